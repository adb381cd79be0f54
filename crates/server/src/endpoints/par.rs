//! `POST /par`: push an authorization request (RFC 9126 §2). 201.

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};

use crate::{
    App,
    endpoints::NoStore,
    extract::{authorization, form::ProgramForm, source},
    problem::Failed,
};

pub(crate) async fn push(
    State(app): State<App>,
    source::From(source): source::From,
    headers: HeaderMap,
    ProgramForm(pairs): ProgramForm,
) -> Result<Response, Failed> {
    let pushed = app
        .engine
        .push(&pairs, authorization(&headers), &source)
        .await?;
    let body = serde_json::json!({
        "request_uri": pushed.request_uri,
        "expires_in": pushed.expires_in,
    });
    Ok((StatusCode::CREATED, NoStore(body)).into_response())
}
