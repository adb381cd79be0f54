//! `GET` and `POST /userinfo` (OpenID Connect Core §5.3); the token comes in the header only.

use axum::{extract::State, http::HeaderMap};
use vestibule_protocol::token_response::UserInfo;

use crate::{
    App,
    endpoints::NoStore,
    extract::{bearer, source},
    problem::Failed,
};

pub(crate) async fn show(
    State(app): State<App>,
    source::From(source): source::From,
    headers: HeaderMap,
) -> Result<NoStore<UserInfo>, Failed> {
    Ok(NoStore(
        app.engine.userinfo(bearer(&headers), &source).await?,
    ))
}
