//! `POST /introspect`: is this token good (RFC 7662 §2).

use axum::{extract::State, http::HeaderMap};
use vestibule_protocol::token_response::IntrospectionResponse;

use crate::{
    App,
    endpoints::NoStore,
    extract::{authorization, form::ProgramForm, source},
    problem::Failed,
};

pub(crate) async fn introspect(
    State(app): State<App>,
    source::From(source): source::From,
    headers: HeaderMap,
    ProgramForm(pairs): ProgramForm,
) -> Result<NoStore<IntrospectionResponse>, Failed> {
    Ok(NoStore(
        app.engine
            .introspect(&pairs, authorization(&headers), &source)
            .await?,
    ))
}
