//! `migrate-clients`: a vendor's many registrations become its one document client.
//!
//! Nothing moves by itself: each person's grants move with their next yes to the new client.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use vestibule_engine::Clock as _;
use vestibule_policy::{
    catalogue::{Catalogue, Entry},
    signals::lookalike::NameKeys,
};
use vestibule_protocol::{redirect_uri::RedirectUri, trust::Door};
use vestibule_store::supersessions::{PREDECESSORS_MAX, SoftwareRow, SupersessionRow};

use super::{
    ConfigArgs, Failure, actor,
    show::{plain, table, when},
    verify::no_source,
    with_hub,
};
use crate::wiring::{Hub, SystemClock};

const ROWS: usize = 500;
/// Clients of a plan that are named.
const NAMED: usize = 20;

/// Move people from a vendor's registered clones to its client metadata document.
///
/// `list` shows software that registered, with the document that the catalogue knows for it; `link`
/// makes that document its successor. A person's grants move when that person next says yes to the
/// new client, in the same transaction; until then everything works as before.
#[derive(Args)]
pub(crate) struct MigrateCommand {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Make a document client the successor of everything that registered as a software
    Link {
        /// The software, from `list`
        software: String,
        /// Exact `client_id`: the URL of its document
        client_id: String,
    },
    /// What registered here, by software, and which document could take its place
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// What a link would do; changes nothing
    Plan {
        /// The software, from `list`
        software: String,
        /// Exact `client_id`: the URL of its document
        client_id: String,
    },
    /// How far each move is
    Report {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Take the links to a document client away; what moved stays moved
    Unlink {
        /// Exact `client_id`
        client_id: String,
    },
}

impl MigrateCommand {
    pub(super) async fn run(self) -> Result<ExitCode, Failure> {
        let action = self.action;
        with_hub(&self.config, async |hub| {
            act(hub, action).await?;
            Ok(())
        })
        .await
    }
}

async fn act(hub: &Hub, action: Action) -> Result<(), Failure> {
    let engine = &hub.engine;
    match action {
        Action::Link {
            software,
            client_id,
        } => {
            let linked = engine
                .link_successor(&software, &client_id, actor())
                .await?;
            println!(
                "{linked} registered clients have the successor {client_id}. A person's grants \
                 move with their next yes to it; `vestibule migrate-clients report` shows how far \
                 that is."
            );
        }
        Action::List { json } => list(hub, json).await?,
        Action::Plan {
            software,
            client_id,
        } => plan(hub, &software, &client_id).await?,
        Action::Report { json } => report(hub, json).await?,
        Action::Unlink { client_id } => {
            if !engine.unlink_successor(&client_id, actor()).await? {
                return Err(format!("nothing is linked to {client_id}").into());
            }
            println!("The links are gone; what moved stays moved.");
        }
    }
    Ok(())
}

/// A document that could take the place of a software, and why we think so.
struct Suggestion {
    client_id: String,
    why: String,
}

async fn suggestion(
    hub: &Hub,
    catalogue: &Catalogue,
    row: &SoftwareRow,
) -> Result<Option<Suggestion>, Failure> {
    let newest = hub.store.clients_of_software(&row.software, 1).await?;
    let redirects = newest
        .first()
        .map(|client| client.metadata.redirect_uris.as_slice())
        .unwrap_or_default();
    let with_document = |entry: &Entry, why: String| {
        let client_id = entry.cimd_ids.first()?.clone();
        Some(Suggestion { client_id, why })
    };
    if let Some(entry) = catalogue.known_by_redirects(redirects, None) {
        let why = format!("it returns where only {} does", entry.product);
        return Ok(with_document(entry, why));
    }
    let name = row.example_name.as_deref().map(NameKeys::of);
    let claim = catalogue.claims(name.as_ref(), redirects, None);
    Ok(claim.and_then(|claim| {
        let why = format!("it says that it is {}", claim.entry.product);
        with_document(claim.entry, why)
    }))
}

async fn list(hub: &Hub, json: bool) -> Result<(), Failure> {
    let rows = hub.store.registered_software(SystemClock.now(), ROWS);
    let rows = rows.await?;
    let catalogue = hub.engine.catalogue();
    let mut suggestions = Vec::with_capacity(rows.len());
    for row in &rows {
        suggestions.push(suggestion(hub, &catalogue, row).await?);
    }
    if json {
        let rows = rows.iter().zip(&suggestions).map(|(row, suggested)| {
            json!({
                "software": row.software, "example_name": row.example_name,
                "clients": row.clients, "live_grants": row.live_grants,
                "redirect_hosts": row.redirect_hosts,
                "suggested": suggested.as_ref().map(|s| &s.client_id),
                "why": suggested.as_ref().map(|s| &s.why),
            })
        });
        println!("{}", rows.collect::<Value>());
        return Ok(());
    }
    if rows.is_empty() {
        println!("No stored client registered itself.");
        return Ok(());
    }
    let shown: Vec<[String; 5]> = rows
        .iter()
        .zip(suggestions)
        .map(|(row, suggested)| {
            let suggested = suggested.map_or_else(
                || "–".to_owned(),
                |found| format!("{} ({})", found.client_id, found.why),
            );
            [
                row.software.clone(),
                row.clients.to_string(),
                row.live_grants.to_string(),
                row.redirect_hosts.join(" "),
                suggested,
            ]
        })
        .collect();
    table(
        ["software", "clients", "grants", "returns to", "document"],
        &shown,
    );
    Ok(())
}

async fn plan(hub: &Hub, software: &str, client_id: &str) -> Result<(), Failure> {
    let clients = hub
        .store
        .clients_of_software(software, PREDECESSORS_MAX + 1);
    let mut clients = clients.await?;
    clients.retain(|client| client.door == Door::Dcr);
    if clients.is_empty() {
        return Err(format!(
            "no stored client registered itself as the software `{}`",
            plain(software)
        )
        .into());
    }
    println!(
        "{} registered clients would get the successor {client_id}:",
        clients.len()
    );
    let rows: Vec<[String; 3]> = clients
        .iter()
        .take(NAMED)
        .map(|client| {
            let name = client.metadata.client_name.as_ref();
            let redirects = client.metadata.redirect_uris.iter();
            let redirects: Vec<&str> = redirects.map(RedirectUri::as_str).collect();
            [
                when(client.created_at),
                name.map_or("–", |name| name.as_str()).to_owned(),
                redirects.join(" "),
            ]
        })
        .collect();
    table(["since", "calls itself", "returns to"], &rows);
    if clients.len() > NAMED {
        println!("… and {} more", clients.len() - NAMED);
    }
    let rows = hub.store.registered_software(SystemClock.now(), ROWS);
    let rows = rows.await?;
    if let Some(row) = rows.iter().find(|row| row.software == software) {
        println!(
            "{} live grants would move, each with its person's next yes.",
            row.live_grants
        );
    }
    match hub.engine.explain(client_id, &no_source()).await {
        Ok(found) => println!(
            "The new client calls itself “{}” and is {} here.",
            plain(found.name.as_deref().unwrap_or("–")),
            found.assessment.trust.as_str()
        ),
        Err(failure) => println!("warning: nobody could come as the new client now: {failure}"),
    }
    Ok(())
}

async fn report(hub: &Hub, json: bool) -> Result<(), Failure> {
    let rows = hub.store.supersession_report(SystemClock.now()).await?;
    if json {
        let rows = rows.iter().map(|row| {
            let SupersessionRow {
                new_client_id,
                old_clients,
                live_grants_left,
                moved,
            } = row;
            json!({
                "client_id": new_client_id, "old_clients": old_clients,
                "live_grants_left": live_grants_left, "moved": moved,
            })
        });
        println!("{}", rows.collect::<Value>());
        return Ok(());
    }
    let shown: Vec<[String; 4]> = rows
        .iter()
        .map(|row| {
            [
                row.moved.to_string(),
                row.live_grants_left.to_string(),
                row.old_clients.to_string(),
                row.new_client_id.clone(),
            ]
        })
        .collect();
    table(["moved", "left", "old clients", "new client"], &shown);
    Ok(())
}
