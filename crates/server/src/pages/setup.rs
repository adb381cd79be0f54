//! `/setup`: the first account, by the one-time link.

use axum::{
    extract::{RawQuery, State},
    response::Response,
};
use vestibule_engine::SetupForm;
use vestibule_protocol::secret::Secret;

use crate::{
    App,
    extract::{
        cookies::FromBrowser,
        form::{self, BrowserForm, FormError},
    },
    pages::{answer, malformed},
};

pub(crate) async fn show(
    State(app): State<App>,
    FromBrowser(browser): FromBrowser,
    RawQuery(query): RawQuery,
) -> Response {
    match form::decode(query.unwrap_or_default().as_bytes()) {
        Ok(pairs) => {
            let token = form::value(&pairs, "token").unwrap_or_default();
            answer(&app, app.engine.setup_page(&token, &browser).await)
        }
        Err(problem) => malformed(&app, problem),
    }
}

pub(crate) async fn submit(
    State(app): State<App>,
    FromBrowser(browser): FromBrowser,
    BrowserForm(pairs): BrowserForm,
) -> Response {
    if form::repeats_any(&pairs, &["token", "username", "password", "csrf"]) {
        return malformed(&app, FormError::Malformed);
    }
    let text = |name| form::value(&pairs, name).unwrap_or_default();
    let form = SetupForm {
        token: text("token"),
        username: text("username"),
        password: Secret::new(text("password")),
        csrf: text("csrf"),
    };
    answer(&app, app.engine.set_up(form, &browser).await)
}
