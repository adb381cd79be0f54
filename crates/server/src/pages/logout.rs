//! `/logout`: GET asks, POST does it.

use axum::{extract::State, response::Response};

use crate::{
    App,
    extract::{
        cookies::FromBrowser,
        form::{self, BrowserForm},
    },
    pages::answer,
};

pub(crate) async fn show(State(app): State<App>, FromBrowser(browser): FromBrowser) -> Response {
    answer(&app, app.engine.signed_in_page(&browser).await)
}

pub(crate) async fn submit(
    State(app): State<App>,
    FromBrowser(browser): FromBrowser,
    BrowserForm(pairs): BrowserForm,
) -> Response {
    let csrf = form::value(&pairs, "csrf").unwrap_or_default();
    answer(&app, app.engine.sign_out(&csrf, &browser).await)
}
