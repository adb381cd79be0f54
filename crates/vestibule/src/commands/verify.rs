//! `verify`: proofs that a domain belongs to a client's owner.

use std::{net::Ipv4Addr, process::ExitCode};

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};
use vestibule_engine::Source;
use vestibule_protocol::time::Timestamp;
use vestibule_store::verifications::{Verification, VerificationMethod, VerificationState};

use super::{
    ConfigArgs, Failure, actor,
    show::{table, when},
    with_hub,
};
use crate::wiring::Hub;

const ROWS: usize = 10_000;

/// Let a client's owner prove that a domain is theirs.
///
/// `add` prints what to publish; `check` looks for it. A running hub looks again every day, and a
/// proof that is not found three times in a row ends.
#[derive(Args)]
pub(crate) struct VerifyCommand {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(subcommand)]
    action: Action,
}

#[derive(Clone, Copy, ValueEnum)]
enum Method {
    Dns,
    File,
}

#[derive(Subcommand)]
enum Action {
    /// Ask for a proof; prints what its owner has to publish, and where
    Add {
        /// Exact `client_id`
        client_id: String,
        /// Which of its domains, where it has several
        #[arg(long)]
        domain: Option<String>,
        /// A TXT record, or a file under /.well-known/
        #[arg(long, value_enum, default_value = "dns")]
        method: Method,
    },
    /// Look for a proof now
    Check {
        /// Its id, from `add` or `list`
        id: String,
    },
    /// List proofs, newest first
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// End a proof; the client is as it was without it
    Revoke {
        /// Its id
        id: String,
    },
}

impl VerifyCommand {
    pub(super) async fn run(self) -> Result<ExitCode, Failure> {
        let action = self.action;
        with_hub(&self.config, async |hub| {
            match action {
                Action::Add {
                    client_id,
                    domain,
                    method,
                } => add(hub, &client_id, domain.as_deref(), method).await?,
                Action::Check { id } => check(hub, &id).await?,
                Action::List { json } => list(hub, json).await?,
                Action::Revoke { id } => {
                    if !hub.engine.revoke_proof(&id, actor()).await? {
                        return Err(format!("there is no live proof {id}").into());
                    }
                    println!("Ended; what follows from it ends within a second.");
                }
            }
            Ok(())
        })
        .await
    }
}

/// The command line is nobody's network.
pub(super) fn no_source() -> Source {
    Source {
        ip: Ipv4Addr::LOCALHOST.into(),
        user_agent: None,
    }
}

async fn add(
    hub: &Hub,
    client_id: &str,
    domain: Option<&str>,
    method: Method,
) -> Result<(), Failure> {
    let kept = match method {
        Method::Dns => VerificationMethod::DnsTxt,
        Method::File => VerificationMethod::WellKnownFile,
    };
    let source = no_source();
    let asked = hub
        .engine
        .ask_for_proof(client_id, domain, kept, &source, actor())
        .await?;
    match method {
        Method::Dns => println!("Publish this TXT record for {}:", asked.domain),
        Method::File => println!("Publish a text file for {}:", asked.domain),
    }
    println!();
    println!("  {}", asked.place);
    println!("  {}", asked.value);
    println!();
    println!("Then: vestibule verify check {}", asked.id);
    Ok(())
}

async fn check(hub: &Hub, id: &str) -> Result<(), Failure> {
    let Some((moved, problem)) = hub.engine.check_verification(id).await? else {
        return Err(format!("there is no proof {id}").into());
    };
    if let Some(problem) = problem {
        return Err(format!("not found: {problem}; it is {} now", moved.to.as_str()).into());
    }
    match moved.to {
        VerificationState::Verified => println!("Found; the proof stands."),
        VerificationState::Revoked => {
            return Err("found, but this proof has ended; ask for a new one".into());
        }
        other => println!("Found; it is {} now.", other.as_str()),
    }
    Ok(())
}

async fn list(hub: &Hub, json: bool) -> Result<(), Failure> {
    let rows = hub.engine.proofs(None, ROWS).await?;
    if json {
        println!("{}", rows.iter().map(as_json).collect::<Value>());
        return Ok(());
    }
    let shown: Vec<[String; 6]> = rows
        .iter()
        .map(|row| {
            [
                row.id.clone(),
                row.state.as_str().to_owned(),
                row.domain.clone(),
                row.method.as_str().to_owned(),
                row.checked_at.map_or_else(|| "never".to_owned(), when),
                row.client_id.chars().take(60).collect(),
            ]
        })
        .collect();
    table(
        ["id", "state", "domain", "method", "looked at", "client_id"],
        &shown,
    );
    for row in &rows {
        if let Some(problem) = &row.last_error {
            println!("  {}: {}", row.id, super::show::plain(problem));
        }
    }
    Ok(())
}

fn as_json(row: &Verification) -> Value {
    let seconds = |at: Option<Timestamp>| at.map(Timestamp::seconds);
    json!({
        "id": row.id, "client_id": row.client_id, "domain": row.domain,
        "method": row.method.as_str(), "state": row.state.as_str(), "failures": row.failures,
        "created_at": row.created_at.seconds(), "checked_at": seconds(row.checked_at),
        "verified_at": seconds(row.verified_at), "next_check_at": row.next_check_at.seconds(),
        "last_error": row.last_error,
    })
}
