//! `client`, `initial-token`, `resource`: what an admin does from a shell. Works beside a running
//! hub; it follows within a second.

use std::{process::ExitCode, time::Duration};

use clap::{Args, Subcommand};
use vestibule_engine::{NewCredentials, NewInitialToken};
use vestibule_protocol::{resource_indicator::ResourceUri, scope::ScopeSet};

use super::{
    ConfigArgs, Failure, actor, with_hub,
    words::{self, WordAction},
};
use crate::wiring::Hub;

fn show_once(made: &NewCredentials) {
    println!("client_id     {}", made.client_id);
    println!("client_secret {}", made.client_secret.expose());
    println!("The secret is shown this once; only its hash is kept.");
}

#[derive(Args)]
pub(crate) struct ClientCommand {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(subcommand)]
    action: ClientAction,
}

#[derive(Subcommand)]
enum ClientAction {
    /// Make a client that acts for itself (`client_credentials`); prints its id and secret
    Add {
        /// Its name, for people
        name: String,
        /// What it may do, space-separated
        #[arg(long)]
        scopes: String,
    },
    /// List stored clients, newest first
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Delete a client, and take back everything that was granted to it
    Remove {
        /// Its `client_id`
        client_id: String,
    },
    #[command(flatten)]
    Word(WordAction),
}

impl ClientCommand {
    pub(super) async fn run(self) -> Result<ExitCode, Failure> {
        let action = self.action;
        with_hub(&self.config, async |hub| {
            match action {
                ClientAction::Add { name, scopes } => {
                    let scopes = ScopeSet::parse_tolerant(&scopes)?;
                    show_once(
                        &hub.engine
                            .add_machine_client(&name, scopes, actor())
                            .await?,
                    );
                }
                ClientAction::List { json } => list_clients(hub, json).await?,
                ClientAction::Remove { client_id } => {
                    if !hub.engine.remove_client(&client_id, actor()).await? {
                        return Err("there is no stored client by that client_id".into());
                    }
                    println!("Removed; its tokens are refused from now on.");
                }
                ClientAction::Word(action) => words::run(hub, action).await?,
            }
            Ok(())
        })
        .await
    }
}

async fn list_clients(hub: &Hub, json: bool) -> Result<(), Failure> {
    let clients = hub.store.list_clients(None, 1_000).await?;
    let name = |client: &vestibule_store::clients::StoredClient| {
        client
            .metadata
            .client_name
            .as_ref()
            .map_or("–", |name| name.as_str())
            .to_owned()
    };
    if json {
        let rows: Vec<_> = clients
            .iter()
            .map(|client| {
                serde_json::json!({
                    "client_id": client.client_id, "name": name(client),
                    "door": client.door.as_str(), "standing": client.standing.as_str(),
                    "created_at": client.created_at.seconds(),
                })
            })
            .collect();
        println!("{}", serde_json::Value::from(rows));
        return Ok(());
    }
    println!("{:<6} {:<12} {:<28} client_id", "door", "standing", "name");
    for client in &clients {
        let id: String = client.client_id.chars().take(60).collect();
        let (door, standing) = (client.door.as_str(), client.standing.as_str());
        println!("{door:<6} {standing:<12} {:<28} {id}", name(client));
    }
    let all = hub.store.count_clients().await?;
    println!(
        "{} of {all} stored clients. Registrations that nobody approved are not stored.",
        clients.len()
    );
    Ok(())
}

#[derive(Args)]
pub(crate) struct InitialTokenCommand {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(subcommand)]
    action: InitialTokenAction,
}

#[derive(Subcommand)]
enum InitialTokenAction {
    /// Make a token; it is printed once
    Add {
        /// For your own list
        #[arg(long, default_value = "")]
        note: String,
        /// How many registrations it is good for
        #[arg(long, default_value_t = 1)]
        uses: u32,
        /// How many hours it lives
        #[arg(long, default_value_t = 24)]
        hours: u64,
        /// Scopes that its clients may ever have, space-separated; any without this
        #[arg(long)]
        scopes: Option<String>,
        /// A host that its clients may redirect to; repeat for several, any without this
        #[arg(long = "redirect-host")]
        redirect_hosts: Vec<String>,
        /// Its clients may act for themselves (`client_credentials`)
        #[arg(long)]
        client_credentials: bool,
    },
    /// List tokens by the start of their hash
    List,
    /// Take one back
    Remove {
        /// At least 8 digits of its hash, from `list`
        hash: String,
    },
}

impl InitialTokenCommand {
    pub(super) async fn run(self) -> Result<ExitCode, Failure> {
        let action = self.action;
        with_hub(&self.config, async |hub| {
            match action {
                InitialTokenAction::Add {
                    note,
                    uses,
                    hours,
                    scopes,
                    redirect_hosts,
                    client_credentials,
                } => {
                    let new = NewInitialToken {
                        note,
                        uses,
                        life: Duration::from_secs(hours.saturating_mul(3_600)),
                        scopes: scopes
                            .as_deref()
                            .map(ScopeSet::parse_tolerant)
                            .transpose()?,
                        redirect_hosts,
                        client_credentials,
                    };
                    let token = hub.engine.issue_initial_token(new, actor()).await?;
                    println!("{}", token.expose());
                }
                InitialTokenAction::List => {
                    println!("{:<10} {:>5}  note", "hash", "uses");
                    for token in hub.store.list_initial_tokens(1_000).await? {
                        let hash = crate::wiring::hex(&token.hash[..4]);
                        println!("{hash:<10} {:>5}  {}", token.uses_left, token.note);
                    }
                }
                InitialTokenAction::Remove { hash } => {
                    if !hub.engine.remove_initial_token(&hash, actor()).await? {
                        return Err("no token's hash starts with that".into());
                    }
                    println!("Removed.");
                }
            }
            Ok(())
        })
        .await
    }
}

#[derive(Args)]
pub(crate) struct ResourceCommand {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(subcommand)]
    action: ResourceAction,
}

#[derive(Subcommand)]
enum ResourceAction {
    /// Make credentials with which a resource server may introspect its tokens
    Credentials {
        /// The resource, as configured
        uri: String,
    },
}

impl ResourceCommand {
    pub(super) async fn run(self) -> Result<ExitCode, Failure> {
        let ResourceAction::Credentials { uri } = self.action;
        with_hub(&self.config, async |hub| {
            let uri = ResourceUri::parse(&uri)?;
            show_once(&hub.engine.add_resource_server(&uri, actor()).await?);
            Ok(())
        })
        .await
    }
}
