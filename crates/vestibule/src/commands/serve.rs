//! `serve`: the hub on its listener until a signal ends it.

use std::{io::IsTerminal as _, process::ExitCode, sync::Arc};

use clap::Args;
use tokio::{net::TcpListener, task::JoinHandle};
use vestibule_server::{App, HttpSettings};

use super::{ConfigArgs, Failure};
use crate::{
    config::Checked,
    signal_files::Watch,
    wiring::{self, Hub},
};

/// What a change of the issuer costs, in the log of whoever asked for it.
const ISSUER_TAKEN_OVER: &str = "the issuer was changed. Nothing was revoked, but this stops \
    working: access, refresh and ID tokens of before; registrations that nobody has approved yet, \
    with their secrets; pages and pushed requests that are open now. Apps know this hub by its old \
    name and have to connect anew; MCP servers have to be told the new issuer. Stored clients, \
    accounts and settings stay";

/// Run the hub.
#[derive(Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    config: ConfigArgs,
    /// Go on with the configured issuer where the data folder belongs to another one. Clients keep
    /// what they registered by issuer: they all have to connect anew
    #[arg(long)]
    accept_new_issuer: bool,
}

impl Serve {
    pub(super) async fn run(self) -> Result<ExitCode, Failure> {
        let config = self.config.checked()?;
        start_logging(&config);
        for warning in &config.warnings {
            tracing::warn!("{warning}");
        }
        if self.accept_new_issuer
            && let Some(old) = wiring::accept_issuer(&config).await?
        {
            tracing::warn!(%old, new = config.issuer.as_str(), "{ISSUER_TAKEN_OVER}");
        }
        // Before they are read, so that no change in between is missed.
        let watch = Watch::new(config.signals.clone());
        let hub = wiring::assemble_to_decide(&config).await?;
        let listener = TcpListener::bind(config.listen)
            .await
            .map_err(|failure| format!("cannot listen on {}: {failure}", config.listen))?;
        tracing::info!(issuer = config.issuer.as_str(), listen = %config.listen, "serving");
        show_setup_link(&hub, &config).await?;
        let running = Running::start(&hub, listener, &config, watch);
        shutdown_signal().await;
        tracing::info!("shutting down: open requests are answered first");
        running.stop().await?;
        hub.store.close().await;
        Ok(ExitCode::SUCCESS)
    }
}

/// A hub that serves in the background.
pub(crate) struct Running {
    background: JoinHandle<()>,
    signals: JoinHandle<()>,
    server: JoinHandle<std::io::Result<()>>,
    stop: tokio::sync::oneshot::Sender<()>,
}

impl Running {
    /// Serve on this listener.
    pub(crate) fn start(hub: &Hub, listener: TcpListener, config: &Checked, watch: Watch) -> Self {
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let settings = HttpSettings::new(&config.issuer, config.trusted_proxies.clone());
        let app = App::new(hub.engine.clone(), settings.clone());
        let router = vestibule_server::router(app);
        let server = tokio::spawn(vestibule_server::serve(listener, router, settings, async {
            // Dropped or sent: both mean stop.
            let _ = stopped.await;
        }));
        let background = tokio::spawn(Arc::clone(&hub.engine).run_background());
        let signals = tokio::spawn(watch.follow(Arc::clone(&hub.engine)));
        Self {
            background,
            signals,
            server,
            stop,
        }
    }

    /// Answer what is open, then end.
    pub(crate) async fn stop(self) -> Result<(), Failure> {
        drop(self.stop);
        self.server.await??;
        self.background.abort();
        self.signals.abort();
        Ok(())
    }
}

/// P12: no account yet means a one-time link, on the terminal of whoever started the hub.
async fn show_setup_link(hub: &Hub, config: &Checked) -> Result<(), Failure> {
    if let Some(path) = hub.engine.create_setup_link().await? {
        // Not through the log: logs are shipped elsewhere, and this opens the hub.
        eprintln!();
        eprintln!(
            "  There is no account yet. Open this link, once, within a day, to make the first:"
        );
        eprintln!("  {}{path}", config.issuer.as_str());
        eprintln!();
    }
    Ok(())
}

fn start_logging(config: &Checked) {
    use tracing_subscriber::{EnvFilter, fmt};
    let filter = EnvFilter::try_new(&config.log_filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let builder = fmt()
        .with_env_filter(filter)
        .with_ansi(colours)
        .with_writer(std::io::stderr);
    // A second subscriber (the demo's) is not an error.
    let started = if config.json_logs {
        builder.json().try_init()
    } else {
        builder.with_target(false).try_init()
    };
    if let Err(failure) = started {
        eprintln!("logging was started before: {failure}");
    }
}

/// Ctrl-C or SIGTERM.
pub(crate) async fn shutdown_signal() {
    let interrupt = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => {
                tokio::select! {
                    _ = interrupt => {}
                    _ = terminate.recv() => {}
                }
            }
            Err(failure) => {
                tracing::warn!(%failure, "SIGTERM cannot be caught");
                let _ = interrupt.await;
            }
        }
    }
    #[cfg(not(unix))]
    {
        let _ = interrupt.await;
    }
}
