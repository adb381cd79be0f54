//! `/account`: who is signed in.

use axum::{extract::State, response::Response};

use crate::{App, extract::cookies::FromBrowser, pages::answer};

pub(crate) async fn show(State(app): State<App>, FromBrowser(browser): FromBrowser) -> Response {
    answer(&app, app.engine.signed_in_page(&browser).await)
}
