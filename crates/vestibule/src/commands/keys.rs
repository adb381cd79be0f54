//! `keys`: which keys there are, and new ones in their place. Works beside a running hub; it follows
//! within a second.

use std::{process::ExitCode, time::Duration};

use clap::{Args, Subcommand};
use vestibule_protocol::audit::Actor;
use vestibule_store::keys::StoredKey;

use super::{ConfigArgs, Failure, with_hub};
use crate::wiring::{self, Hub};

#[derive(Args)]
pub(crate) struct KeysCommand {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// List the keys that are not gone, oldest first
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Put new keys in the place of the active ones, which stay good for what they made. Waits until
    /// every node (7 seconds) and every MCP server (340 seconds, for keys that sign) knows the new
    /// key; if it is interrupted, the next one goes on
    Rotate {
        /// What for: seal, access, id, or a usage as `list` shows it; everything without this
        #[arg(long)]
        usage: Option<String>,
    },
}

impl KeysCommand {
    pub(super) async fn run(self) -> Result<ExitCode, Failure> {
        let action = self.action;
        with_hub(&self.config, async |hub| match action {
            Action::List { json } => list(hub, json).await,
            Action::Rotate { usage } => rotate(hub, usage.as_deref()).await,
        })
        .await
    }
}

async fn list(hub: &Hub, json: bool) -> Result<(), Failure> {
    let (_, keys) = hub.store.load_keys().await?;
    let age = |key: &StoredKey| wiring::now().since(key.created_at);
    if json {
        let rows: Vec<_> = keys
            .iter()
            .map(|key| {
                serde_json::json!({
                    "id": key.id, "usage": key.usage.as_str(), "phase": key.phase.as_str(),
                    "age_seconds": age(key).as_secs(), "created_at": key.created_at.seconds(),
                    "phase_since": key.phase_since.seconds(),
                })
            })
            .collect();
        println!("{}", serde_json::Value::from(rows));
        return Ok(());
    }
    println!("{:>5}  {:<12} {:<9} age", "id", "usage", "phase");
    for key in &keys {
        let (usage, phase) = (key.usage.as_str(), key.phase.as_str());
        println!("{:>5}  {usage:<12} {phase:<9} {}", key.id, words(age(key)));
    }
    Ok(())
}

/// Everything is staged first, so that one wait is enough for all.
async fn rotate(hub: &Hub, usage: Option<&str>) -> Result<(), Failure> {
    let actor = || Actor::Admin("command line".to_owned());
    let engine = &hub.engine;
    let uses = match usage {
        None => engine.key_uses(),
        Some(name) => engine.key_uses_named(name),
    };
    if uses.is_empty() {
        return Err("a usage is seal, access, id, or one that `vestibule keys list` shows".into());
    }
    let mut staged = Vec::new();
    for usage in uses {
        let key = engine.stage_key(usage, actor()).await?;
        println!("Key {} for {} is staged.", key.id, usage.as_str());
        staged.push(key);
    }
    let wait = staged.iter().map(|key| key.wait).max().unwrap_or_default();
    println!(
        "Waiting {} seconds, until everybody knows it.",
        wait.as_secs()
    );
    // The clock of keys counts whole seconds.
    tokio::time::sleep(wait + Duration::from_secs(1)).await;
    for key in staged {
        engine.activate_key(key.id, actor()).await?;
        println!("Key {} is in use; the one before retires.", key.id);
    }
    Ok(())
}

fn words(age: Duration) -> String {
    match age.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_told_in_the_unit_that_fits() {
        let rows = [
            (0, "0 s"),
            (119, "119 s"),
            (120, "2 min"),
            (7_199, "119 min"),
            (7_200, "2 h"),
            (172_799, "47 h"),
            (172_800, "2 d"),
        ];
        for (seconds, expected) in rows {
            assert_eq!(words(Duration::from_secs(seconds)), expected);
        }
    }
}
