//! `/authorize`: a request is a request, by GET or by POST (OIDC-01).

use axum::{
    extract::{RawQuery, State},
    response::Response,
};

use crate::{
    App,
    extract::{
        cookies::FromBrowser,
        form::{self, BrowserForm},
    },
    pages::{answer, malformed},
};

/// Longest query; a browser sends no longer URL.
const QUERY_BYTES_MAX: usize = 32 << 10;

pub(crate) async fn get(
    State(app): State<App>,
    FromBrowser(browser): FromBrowser,
    RawQuery(query): RawQuery,
) -> Response {
    let query = query.unwrap_or_default();
    if query.len() > QUERY_BYTES_MAX {
        return malformed(&app, form::FormError::TooLarge);
    }
    match form::decode(query.as_bytes()) {
        Ok(pairs) => answer(&app, app.engine.authorize(&pairs, &browser).await),
        Err(problem) => malformed(&app, problem),
    }
}

pub(crate) async fn post(
    State(app): State<App>,
    FromBrowser(browser): FromBrowser,
    BrowserForm(pairs): BrowserForm,
) -> Response {
    answer(&app, app.engine.authorize(&pairs, &browser).await)
}
