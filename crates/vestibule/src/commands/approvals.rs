//! `approvals`: the queue of apps that wait for an admin.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use vestibule_store::approvals::{ApprovalId, ApprovalPhase, ApprovalRow, Decision};

use super::{
    ADMIN, ConfigArgs, Failure,
    show::{plain, table, when},
    with_hub,
};
use crate::wiring::Hub;

/// Most rows of one answer, whatever is asked for.
const ROWS_MAX: usize = 1_000;

/// Decide about apps that wait for an administrator.
#[derive(Args)]
pub(crate) struct ApprovalsCommand {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Let an app go on: it is unverified then, never more. Holds for 90 days
    ///
    /// The page of the person who waits goes on by itself.
    Approve {
        /// The number, from `list`
        id: u64,
    },
    /// Let an app not go on. Holds for 90 days; `approve` takes it back
    Deny {
        /// The number, from `list`
        id: u64,
    },
    /// Who waits, newest first, and why
    List {
        /// Decided ones too
        #[arg(long)]
        all: bool,
        /// Only those with a lower number: the next page
        #[arg(long, value_name = "ID")]
        before: Option<u64>,
        /// How many at most, up to 1,000
        #[arg(long, value_name = "ROWS", default_value_t = 100)]
        limit: usize,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

impl ApprovalsCommand {
    pub(super) async fn run(self) -> Result<ExitCode, Failure> {
        let action = self.action;
        with_hub(&self.config, async |hub| {
            match action {
                Action::Approve { id } => decide(hub, id, Decision::Approve).await?,
                Action::Deny { id } => decide(hub, id, Decision::Deny).await?,
                Action::List {
                    all,
                    before,
                    limit,
                    json,
                } => {
                    let phase = (!all).then_some(ApprovalPhase::Waiting);
                    let before = before.map(ApprovalId::new);
                    list(hub, phase, before, limit.clamp(1, ROWS_MAX), json).await?;
                }
            }
            Ok(())
        })
        .await
    }
}

async fn decide(hub: &Hub, id: u64, decision: Decision) -> Result<(), Failure> {
    let number = ApprovalId::new(id);
    if !hub.engine.decide_approval(number, decision, ADMIN).await? {
        return Err(match hub.store.approval(number).await? {
            None => format!("there is no request {id}"),
            Some(row) if row.phase == decision.phase() => {
                format!("request {id} is {} already", row.phase.as_str())
            }
            Some(_) => format!("request {id} is over; the app has to come again"),
        }
        .into());
    }
    match decision {
        Decision::Approve => println!("Approved; the page of whoever waits goes on now."),
        Decision::Deny => println!("Denied."),
    }
    Ok(())
}

async fn list(
    hub: &Hub,
    phase: Option<ApprovalPhase>,
    before: Option<ApprovalId>,
    limit: usize,
    json: bool,
) -> Result<(), Failure> {
    // One more tells whether there is a next page.
    let mut rows = hub.store.list_approvals(phase, before, limit + 1).await?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    if json {
        println!("{}", rows.iter().map(as_json).collect::<Value>());
        return Ok(());
    }
    if rows.is_empty() {
        println!("Nobody waits.");
        return Ok(());
    }
    let shown: Vec<[String; 6]> = rows
        .iter()
        .map(|row| {
            let ask = &row.ask;
            let name = ask.display_name.clone();
            [
                row.id.number().to_string(),
                row.phase.as_str().to_owned(),
                when(ask.now),
                row.times.to_string(),
                name.unwrap_or_else(|| "–".to_owned()),
                ask.subject_text.chars().take(60).collect(),
            ]
        })
        .collect();
    table(
        [
            "id",
            "phase",
            "since",
            "asked",
            "calls itself",
            "what is approved",
        ],
        &shown,
    );
    for row in &rows {
        for reason in &row.ask.reasons {
            println!("  {}: {}", row.id.number(), plain(reason));
        }
    }
    if let Some(last) = rows.last().filter(|_| more) {
        println!("There are more: --before {}", last.id.number());
    }
    Ok(())
}

fn as_json(row: &ApprovalRow) -> Value {
    let ask = &row.ask;
    json!({
        "id": row.id.number(), "phase": row.phase.as_str(), "subject": ask.subject_text,
        "software": ask.software, "door": ask.door.as_str(), "name": ask.display_name,
        "host": ask.host, "reasons": ask.reasons, "source": ask.source_prefix,
        "asked_at": ask.now.seconds(), "last_asked_at": row.last_asked_at.seconds(),
        "times": row.times, "until": row.until.seconds(), "decided_by": row.decided_by,
        "decided_at": row.decided_at.map(vestibule_protocol::time::Timestamp::seconds),
    })
}
