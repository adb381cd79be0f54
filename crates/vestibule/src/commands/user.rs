//! `user`: local accounts. Works beside a running hub: both open the same database.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::{ConfigArgs, Failure, actor, secret_from_stdin, with_hub};
use crate::wiring;

#[derive(Args)]
pub(crate) struct UserCommand {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Make an account: `echo "$PASSWORD" | vestibule user add NAME --password-stdin`
    Add {
        /// What they type to sign in
        name: String,
        /// Read the password from standard input (its first line)
        #[arg(long, required = true)]
        password_stdin: bool,
        /// May administer the hub
        #[arg(long)]
        admin: bool,
        /// Mail address, shown to clients that were granted `email`
        #[arg(long)]
        email: Option<String>,
        /// Name for people
        #[arg(long)]
        display_name: Option<String>,
    },
    /// Forbid an account to sign in; what it granted stops working
    Disable {
        /// The account
        name: String,
    },
    /// Allow it again
    Enable {
        /// The account
        name: String,
    },
    /// List accounts
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Change a password; ends the account's sessions
    Password {
        /// The account
        name: String,
        /// Read the password from standard input (its first line)
        #[arg(long, required = true)]
        password_stdin: bool,
    },
}

impl UserCommand {
    pub(super) async fn run(self) -> Result<ExitCode, Failure> {
        let action = self.action;
        with_hub(&self.config, async |hub| {
            let engine = &hub.engine;
            match action {
                Action::Add {
                    name,
                    password_stdin: _,
                    admin,
                    email,
                    display_name,
                } => {
                    let new = vestibule_engine::NewAccount {
                        name: name.clone(),
                        password: secret_from_stdin()?,
                        admin,
                        email,
                        display_name,
                    };
                    let id = engine.add_account(new, actor()).await?;
                    println!("Made the account {name} ({}).", id.as_str());
                }
                Action::Disable { name } => set_disabled(hub, &name, true).await?,
                Action::Enable { name } => set_disabled(hub, &name, false).await?,
                Action::List { json } => list(hub, json).await?,
                Action::Password {
                    name,
                    password_stdin: _,
                } => {
                    engine
                        .change_password(&name, secret_from_stdin()?, actor())
                        .await?;
                    println!("Changed the password of {name}.");
                }
            }
            Ok(())
        })
        .await
    }
}

async fn set_disabled(hub: &wiring::Hub, name: &str, disabled: bool) -> Result<(), Failure> {
    if hub.engine.set_disabled(name, disabled, actor()).await? {
        println!("{} {name}.", if disabled { "Disabled" } else { "Enabled" });
        Ok(())
    } else {
        Err(format!("there is no account {name}").into())
    }
}

async fn list(hub: &wiring::Hub, json: bool) -> Result<(), Failure> {
    let users = hub.store.list_users(10_000).await?;
    if json {
        let rows: Vec<_> = users
            .iter()
            .map(|user| {
                serde_json::json!({
                    "id": user.id.as_str(), "name": user.name, "admin": user.admin,
                    "disabled": user.disabled, "created_at": user.created_at.seconds(),
                })
            })
            .collect();
        println!("{}", serde_json::Value::from(rows));
        return Ok(());
    }
    println!("{:<24} {:<28} {:<6} disabled", "name", "id", "admin");
    let word = |yes| if yes { "yes" } else { "no" };
    for user in users {
        let (admin, disabled) = (word(user.admin), word(user.disabled));
        println!(
            "{:<24} {:<28} {admin:<6} {disabled}",
            user.name,
            user.id.as_str()
        );
    }
    Ok(())
}
