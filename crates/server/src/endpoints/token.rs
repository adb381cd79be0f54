//! `POST /token`: exchange a grant for tokens (RFC 6749 §3.2).

use axum::{extract::State, http::HeaderMap};
use vestibule_protocol::token_response::TokenResponse;

use crate::{
    App,
    endpoints::NoStore,
    extract::{authorization, form::ProgramForm, source},
    problem::Failed,
};

pub(crate) async fn exchange(
    State(app): State<App>,
    source::From(source): source::From,
    headers: HeaderMap,
    ProgramForm(pairs): ProgramForm,
) -> Result<NoStore<TokenResponse>, Failed> {
    Ok(NoStore(
        app.engine
            .token(&pairs, authorization(&headers), &source)
            .await?,
    ))
}
