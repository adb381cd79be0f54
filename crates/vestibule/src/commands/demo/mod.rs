//! `demo`: the whole story on this machine. A hub, a protected MCP server, a host for a client's
//! document, and an agent that nobody knows, through each door, over real HTTP.

mod agent;
mod host;
mod http;
mod timeline;

use std::{net::SocketAddr, path::Path, process::ExitCode};

use clap::Args;
use tokio::net::TcpListener;
use vestibule_protocol::{audit::Actor, secret::Secret};

use super::{
    Failure,
    serve::{Running, shutdown_signal},
};
use crate::{
    config::{self, Checked, Config, Loaded},
    signal_files::Watch,
    wiring::{self, Hub},
};

const PERSON: &str = "demo";

/// Play the whole story, then stay up for a client of your own.
#[derive(Args)]
pub(crate) struct Demo {
    /// Play it once and exit: 0 only if every step really succeeded
    #[arg(long)]
    once: bool,
}

struct Stage {
    hub: Hub,
    running: Running,
    server: String,
    document: String,
    password: String,
    // Removed with everything in it at the end.
    _folder: tempfile::TempDir,
}

impl Demo {
    pub(super) async fn run(self) -> Result<ExitCode, Failure> {
        println!("Vestibule: an agent nobody knows walks in, by either door, and calls a tool.");
        let mut timeline = timeline::Timeline::new();
        timeline::Timeline::chapter("The stage");
        let stage = set_the_stage(&mut timeline).await?;
        let person = agent::Person {
            name: PERSON,
            password: &stage.password,
        };
        let before = stage.hub.engine.stored_clients().await?;
        timeline::Timeline::chapter("Door 1: Dynamic Client Registration");
        agent::play(&mut timeline, &stage.server, agent::By::Dcr, &person).await?;
        timeline::Timeline::chapter("Door 2: Client ID Metadata Document");
        let by = agent::By::Cimd(&stage.document);
        agent::play(&mut timeline, &stage.server, by, &person).await?;
        let after = stage.hub.engine.stored_clients().await?;
        if (before, after) != (0, 2) {
            return Err(format!(
                "{before} clients were stored before, {after} after; expected 0 and 2"
            )
            .into());
        }
        timeline::Timeline::chapter("The end");
        timeline.step(
            "two agents are in",
            &["two stored clients: each was written when the person said yes, not before"],
        );
        if !self.once {
            explain(&stage);
            shutdown_signal().await;
        }
        stage.running.stop().await?;
        stage.hub.store.close().await;
        Ok(ExitCode::SUCCESS)
    }
}

async fn set_the_stage(timeline: &mut timeline::Timeline) -> Result<Stage, Failure> {
    let folder = tempfile::tempdir()?;
    let host = host::start().await?;
    let ca_file = folder.path().join("demo-ca.pem");
    std::fs::write(&ca_file, &host.ca_pem)?;
    timeline.step(
        "a web host for a client's document",
        &[&host.origin, "TLS by an authority made just now"],
    );

    let hub_listener = listen(9400).await?;
    let server_listener = listen(9401).await?;
    let server = format!("http://{}/mcp", server_listener.local_addr()?);
    let config = configure(
        folder.path(),
        &ca_file,
        &host.origin,
        &hub_listener,
        &server,
    )?;
    let hub = wiring::assemble_to_decide(&config).await?;
    let issuer = config.issuer.as_str().to_owned();
    let password = random_password();
    let secret = Secret::new(password.clone());
    hub.engine
        .add_user(PERSON, secret, false, Actor::System)
        .await?;
    let running = Running::start(
        &hub,
        hub_listener,
        &config,
        Watch::new(config.signals.clone()),
    );
    timeline.step(
        "the hub",
        &[&issuer, "a data folder of its own, new keys, one account"],
    );

    let app = vestibule_example_mcp_server::router(&issuer, &server)?;
    tokio::spawn(async move { axum::serve(server_listener, app).await });
    timeline.step("a protected MCP server (official Rust SDK)", &[&server]);
    let document = format!("{}/agent.json", host.origin);
    Ok(Stage {
        hub,
        running,
        server,
        document,
        password,
        _folder: folder,
    })
}

/// The usual port, or any that is free.
async fn listen(port: u16) -> Result<TcpListener, Failure> {
    let usual = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port))).await;
    match usual {
        Ok(listener) => Ok(listener),
        Err(_) => Ok(TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?),
    }
}

fn configure(
    folder: &Path,
    ca_file: &Path,
    origin: &str,
    hub: &TcpListener,
    server: &str,
) -> Result<Checked, Failure> {
    let address = hub.local_addr()?;
    let scope = |name: &str, description: &str, access: &str, default| config::Scope {
        name: name.to_owned(),
        description: description.to_owned(),
        access: access.to_owned(),
        default,
    };
    let config = Config {
        issuer: format!("http://{address}"),
        listen: address.to_string(),
        data_dir: Some(folder.to_owned()),
        fetch: config::Fetch {
            extra_ca_files: vec![ca_file.to_owned()],
            loopback_origins: vec![origin.to_owned()],
            ..config::Fetch::default()
        },
        resources: vec![config::Resource {
            access_token_alg: None,
            uri: server.to_owned(),
            name: "Demo MCP server".to_owned(),
            default: true,
            scopes: vec![
                scope("mcp:read", "Read your items", "read", true),
                scope("mcp:write", "Change your items", "write", false),
            ],
        }],
        ..Config::default()
    };
    Ok(Checked::of(&Loaded {
        config,
        base: folder.to_owned(),
        file: None,
    })?)
}

fn random_password() -> String {
    let mut bytes = [0; 9];
    vestibule_seal::random(&mut bytes);
    crate::wiring::hex(&bytes)
}

fn explain(stage: &Stage) {
    let server = &stage.server;
    println!(
        "\nStill up, until Ctrl-C. Connect a client of your own, and sign in as `{PERSON}` with the password\n\
         `{}`:\n\n\
         \x20 Claude Code     claude mcp add --transport http vestibule-demo {server}\n\
         \x20                 then /mcp inside Claude Code, and Authenticate\n\
         \x20 VS Code         \"MCP: Add Server…\", HTTP, {server}\n\
         \x20 MCP Inspector   npx @modelcontextprotocol/inspector\n\
         \x20                 transport Streamable HTTP, URL {server}, Connect",
        stage.password
    );
}
