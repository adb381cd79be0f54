//! `client vouch`, `block`, `unvouch`, `words`: what an admin says of an exact client or redirect.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use vestibule_engine::Clock as _;
use vestibule_protocol::time::Timestamp;
use vestibule_store::standings::{StandingRow, SubjectKind, Word};

use super::{
    ADMIN, Failure,
    show::{table, when},
};
use crate::wiring::{Hub, SystemClock};

const ROWS: usize = 20_000;

/// A client or a redirect URI, by its exact text.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Subject {
    /// Exact `client_id`
    client_id: Option<String>,
    /// An exact redirect URI instead, whichever client has it
    #[arg(long)]
    redirect_uri: Option<String>,
}

impl Subject {
    fn split(&self) -> Result<(SubjectKind, &str), Failure> {
        match (&self.client_id, &self.redirect_uri) {
            (Some(id), None) => Ok((SubjectKind::Client, id)),
            (None, Some(uri)) => Ok((SubjectKind::RedirectUri, uri)),
            _ => Err("name a client_id or a --redirect-uri".into()),
        }
    }
}

#[derive(Args)]
pub(crate) struct Saying {
    #[command(flatten)]
    subject: Subject,
    /// Why, for your own list
    #[arg(long, default_value = "")]
    note: String,
    /// For so many days; without this for good
    #[arg(long)]
    days: Option<u32>,
}

#[derive(Subcommand)]
pub(crate) enum WordAction {
    /// Let a client, or a redirect URI whoever has it, do nothing. A client's grants end at once
    Block(Saying),
    /// Take back what was said of a client or a redirect URI, good or bad
    Unvouch(Subject),
    /// Vouch for a client, or for whoever receives an https redirect URI: `verified`
    ///
    /// A client is verified when it is vouched for itself, or when all its redirect URIs are. Never
    /// a host: exact text only.
    Vouch(Saying),
    /// List who is vouched for and who is blocked
    Words {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

pub(super) async fn run(hub: &Hub, action: WordAction) -> Result<(), Failure> {
    match action {
        WordAction::Block(saying) => {
            let (kind, text) = say(hub, &saying, Word::Blocked).await?;
            match kind {
                SubjectKind::Client => println!("Blocked; the grants of {text} have ended."),
                SubjectKind::RedirectUri => {
                    println!("Blocked; no new grant is given to a client that uses {text}.");
                }
            }
            Ok(())
        }
        WordAction::Vouch(saying) => {
            let (_, text) = say(hub, &saying, Word::Verified).await?;
            println!("You vouch for {text}.");
            Ok(())
        }
        WordAction::Unvouch(subject) => {
            let (kind, text) = subject.split()?;
            if !hub.engine.unsay(kind, text, ADMIN).await? {
                return Err(format!("nothing was said of {text}").into());
            }
            println!("Nothing is said of {text} any more. What a block ended stays ended.");
            Ok(())
        }
        WordAction::Words { json } => list(hub, json).await,
    }
}

async fn say<'a>(
    hub: &Hub,
    saying: &'a Saying,
    word: Word,
) -> Result<(SubjectKind, &'a str), Failure> {
    let (kind, text) = saying.subject.split()?;
    let days = |days: u32| Duration::from_secs(u64::from(days) * 86_400);
    let until = saying.days.map(|count| SystemClock.now().plus(days(count)));
    hub.engine
        .say(kind, text, word, &saying.note, until, ADMIN)
        .await?;
    Ok((kind, text))
}

async fn list(hub: &Hub, json: bool) -> Result<(), Failure> {
    let rows = hub.engine.words(None, ROWS).await?;
    if json {
        let rows = rows.iter().map(|row| {
            json!({
                "kind": row.subject.kind.as_str(), "subject": row.subject_text,
                "word": row.word.as_str(), "by": row.by, "note": row.note,
                "at": row.at.seconds(), "until": row.until.map(Timestamp::seconds),
            })
        });
        println!("{}", rows.collect::<Value>());
        return Ok(());
    }
    let now = SystemClock.now();
    let until = |row: &StandingRow| match row.until {
        None => "for good".to_owned(),
        Some(end) if end <= now => format!("over since {}", when(end)),
        Some(end) => when(end),
    };
    let rows: Vec<[String; 6]> = rows
        .iter()
        .map(|row| {
            [
                row.word.as_str().to_owned(),
                row.subject.kind.as_str().to_owned(),
                row.subject_text.clone(),
                until(row),
                row.by.clone(),
                row.note.clone(),
            ]
        })
        .collect();
    table(["word", "of a", "subject", "until", "by", "note"], &rows);
    Ok(())
}
