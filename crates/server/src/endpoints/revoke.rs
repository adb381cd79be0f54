//! `POST /revoke`: take a token back (RFC 7009 §2). 200 and no body, also for what is no token.

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};

use crate::{
    App,
    extract::{authorization, form::ProgramForm, source},
    problem::Failed,
    surface::no_store,
};

pub(crate) async fn revoke(
    State(app): State<App>,
    source::From(source): source::From,
    headers: HeaderMap,
    ProgramForm(pairs): ProgramForm,
) -> Result<Response, Failed> {
    app.engine
        .revoke(&pairs, authorization(&headers), &source)
        .await?;
    let mut answer = StatusCode::OK.into_response();
    no_store(answer.headers_mut());
    Ok(answer)
}
