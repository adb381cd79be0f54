//! `/login`.

use axum::{extract::State, response::Response};
use vestibule_engine::SignInForm;
use vestibule_protocol::secret::Secret;

use crate::{
    App,
    extract::{
        cookies::FromBrowser,
        form::{self, BrowserForm, FormError},
    },
    pages::{answer, malformed},
};

pub(crate) async fn show(State(app): State<App>, FromBrowser(browser): FromBrowser) -> Response {
    answer(&app, app.engine.sign_in_page(&browser).await)
}

pub(crate) async fn submit(
    State(app): State<App>,
    FromBrowser(browser): FromBrowser,
    BrowserForm(pairs): BrowserForm,
) -> Response {
    if form::repeats_any(&pairs, &["ticket", "username", "password", "csrf"]) {
        return malformed(&app, FormError::Malformed);
    }
    let text = |name| form::value(&pairs, name).unwrap_or_default();
    let form = SignInForm {
        ticket: form::value(&pairs, "ticket"),
        username: text("username"),
        password: Secret::new(text("password")),
        csrf: text("csrf"),
    };
    answer(&app, app.engine.sign_in(form, &browser).await)
}
