//! `/logout`: GET asks, POST does it.

use axum::{
    extract::{Request, State},
    response::Response,
};

use crate::{
    App,
    extract::{cookies::FromBrowser, form},
    pages::{answer, malformed},
};

pub(crate) async fn show(State(app): State<App>, FromBrowser(browser): FromBrowser) -> Response {
    answer(&app, app.engine.signed_in_page(&browser).await)
}

pub(crate) async fn submit(
    State(app): State<App>,
    FromBrowser(browser): FromBrowser,
    request: Request,
) -> Response {
    match form::read(request, &app).await {
        Ok(pairs) => {
            let csrf = form::value(&pairs, "csrf").unwrap_or_default();
            answer(&app, app.engine.sign_out(&csrf, &browser).await)
        }
        Err(problem) => malformed(&app, problem),
    }
}
