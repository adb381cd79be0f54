//! The command line. One file per command; here is the tree and what `--help` teaches.

mod admin;
mod approvals;
mod catalogue;
mod check_config;
mod demo;
mod keys;
mod migrate;
mod migrate_clients;
mod policy;
mod serve;
mod settings;
mod show;
mod user;
mod verify;
mod words;

use std::{
    io::{self, Read as _},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand};
use vestibule_protocol::{audit::Actor, secret::Secret};

use crate::{
    config::{self, Checked, Loaded},
    wiring::{self, Hub},
};

type Failure = Box<dyn std::error::Error>;

/// Who acts, in the trail and in lists.
const ADMIN: &str = "command line";
/// Versions of a document that are listed: as many as are kept.
const VERSIONS_SHOWN: usize = 200;

/// An identity hub for AI agents and MCP servers: OAuth 2.1 and OpenID Connect, with Dynamic
/// Client Registration and Client ID Metadata Documents, each by a toggle.
///
/// Try `vestibule demo` first: it shows the whole story on this machine. `vestibule serve` runs a
/// hub; without any configuration it keeps its data in ./vestibule-data and prints a one-time link
/// to make the first account.
#[derive(Parser)]
#[command(name = "vestibule", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// Where the configuration is.
#[derive(Args, Clone)]
pub(crate) struct ConfigArgs {
    /// Configuration file; `vestibule.toml` in this folder is read by itself
    #[arg(long, value_name = "FILE", env = "VESTIBULE_CONFIG", global = true)]
    config: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Decide about apps that wait for an administrator
    Approvals(approvals::ApprovalsCommand),
    /// Known clients: show, verify and replace the signed list of them
    Catalogue(catalogue::CatalogueCommand),
    /// Read the configuration, say what is wrong with it, and exit
    CheckConfig(check_config::CheckConfig),
    /// Make, list and remove stored clients; vouch for clients and block them
    Client(admin::ClientCommand),
    /// Play the whole story on this machine: both doors, consent, a tool call
    Demo(demo::Demo),
    /// Tokens that let their holder register while the DCR door says `token`
    InitialToken(admin::InitialTokenCommand),
    /// List keys, and rotate them while the hub runs
    Keys(keys::KeysCommand),
    /// Move all data from SQLite to an empty PostgreSQL database
    Migrate(migrate::Migrate),
    /// Move people from a vendor's registered clones to its one document client
    MigrateClients(migrate_clients::MigrateCommand),
    /// The policies that judge clients: read, check, test, try, change
    Policy(policy::PolicyCommand),
    /// Credentials for resource servers that introspect tokens
    Resource(admin::ResourceCommand),
    /// List every route of the server
    Routes(check_config::Routes),
    /// Run the hub
    Serve(serve::Serve),
    /// Show and change live settings: doors, lists, limits, the power table
    Settings(settings::SettingsCommand),
    /// Make, list and change local accounts
    User(user::UserCommand),
    /// Let a client's owner prove that a domain is theirs
    Verify(verify::VerifyCommand),
}

/// Run one command.
pub(crate) fn run(cli: Cli) -> Result<ExitCode, Failure> {
    match cli.command {
        Command::Approvals(command) => on_runtime(command.run()),
        Command::Catalogue(command) => on_runtime(command.run()),
        Command::CheckConfig(command) => on_runtime(command.run()),
        Command::Client(command) => on_runtime(command.run()),
        Command::Demo(command) => on_runtime(command.run()),
        Command::InitialToken(command) => on_runtime(command.run()),
        Command::Keys(command) => on_runtime(command.run()),
        Command::Migrate(command) => on_runtime(command.run()),
        Command::MigrateClients(command) => on_runtime(command.run()),
        Command::Policy(command) => on_runtime(command.run()),
        Command::Resource(command) => on_runtime(command.run()),
        Command::Routes(command) => Ok(command.run()),
        Command::Serve(command) => on_runtime(command.run()),
        Command::Settings(command) => on_runtime(command.run()),
        Command::User(command) => on_runtime(command.run()),
        Command::Verify(command) => on_runtime(command.run()),
    }
}

fn on_runtime<F>(work: F) -> Result<ExitCode, Failure>
where
    F: Future<Output = Result<ExitCode, Failure>>,
{
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(work)
}

impl ConfigArgs {
    fn load(&self) -> Result<Loaded, Failure> {
        Ok(config::load(self.config.as_deref(), std::env::vars())?)
    }

    fn checked(&self) -> Result<Checked, Failure> {
        Ok(Checked::of(&self.load()?)?)
    }
}

/// A secret from standard input: the first line, without its end.
fn secret_from_stdin() -> Result<Secret<String>, Failure> {
    let mut text = String::new();
    io::stdin().take(4_096).read_to_string(&mut text)?;
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() {
        return Err("standard input was empty".into());
    }
    Ok(Secret::new(line.to_owned()))
}

fn actor() -> Actor {
    Actor::Admin(ADMIN.to_owned())
}

/// Do something with a hub that serves nobody, and close it.
async fn with_hub(
    config: &ConfigArgs,
    work: impl AsyncFnOnce(&Hub) -> Result<(), Failure>,
) -> Result<ExitCode, Failure> {
    let hub = wiring::assemble(&config.checked()?).await?;
    work(&hub).await?;
    hub.store.close().await;
    Ok(ExitCode::SUCCESS)
}
