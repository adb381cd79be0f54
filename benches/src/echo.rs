//! The ceiling: an axum server that reads JSON and writes it back, and does nothing else.

use axum::{Json, Router, routing::post};
use serde_json::Value;

use crate::{
    Outcome,
    http::{self, REGISTRATION},
    load::{Load, Until, Work},
    process::{self, Process},
};

/// Be the server.
pub(crate) async fn serve(port: &str) -> Outcome<()> {
    let app = Router::new()
        .route(
            "/echo",
            post(|Json(value): Json<Value>| async move { Json(value) }),
        )
        .route("/readyz", axum::routing::get(|| async { "ready" }));
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}"))
        .await
        .map_err(|failure| format!("port {port}: {failure}"))?;
    // Small answers on many connections: as the hub does it.
    let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
        // Without it answers are only later.
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, app)
        .await
        .map_err(|failure| failure.to_string())
}

/// The running server.
pub(crate) struct Echo {
    /// Its process.
    pub(crate) process: Process,
    host: String,
}

/// Start it in a process of its own.
pub(crate) async fn start() -> Outcome<Echo> {
    let port = process::free_port()?;
    let own = std::env::current_exe().map_err(|failure| failure.to_string())?;
    let process = Process::on_core_0(&own, &["echo", &port.to_string()], &[], None)?;
    let host = format!("127.0.0.1:{port}");
    http::ready(&host, "/readyz", http::PAUSE).await?;
    Ok(Echo { process, host })
}

impl Echo {
    /// A registration, echoed.
    pub(crate) fn load(&self, until: Until) -> Load {
        let request = http::post(&self.host, "/echo", "application/json", "", REGISTRATION);
        Load {
            host: self.host.as_str().into(),
            work: Work::Same(request),
            expected: 200,
            mark: "",
            until,
        }
    }
}
