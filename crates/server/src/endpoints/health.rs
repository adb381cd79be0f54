//! For whoever runs the hub.

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};

use crate::App;

/// The process runs.
pub(crate) async fn alive() -> Json<serde_json::Value> {
    Json(serde_json::json!({ "status": "ok" }))
}

/// It can decide.
pub(crate) async fn ready(State(app): State<App>) -> Response {
    let problem = match app.engine.readiness() {
        Err(reason) => Some(reason),
        Ok(()) => app
            .engine
            .ping()
            .await
            .err()
            .map(|_| "the database does not answer"),
    };
    match problem {
        None => {
            // It serves by what stands in, so a balancer may keep it; a person should look.
            let degraded = app.engine.degraded();
            let body = if degraded.is_empty() {
                serde_json::json!({ "status": "ready" })
            } else {
                serde_json::json!({ "status": "degraded", "reasons": degraded })
            };
            Json(body).into_response()
        }
        Some(reason) => {
            let body = Json(serde_json::json!({ "status": "not ready", "reason": reason }));
            (StatusCode::SERVICE_UNAVAILABLE, body).into_response()
        }
    }
}
