//! `/login`.

use axum::{
    extract::{Request, State},
    response::Response,
};
use vestibule_engine::SignInForm;
use vestibule_protocol::secret::Secret;

use crate::{
    App,
    extract::{
        cookies::FromBrowser,
        form::{self, FormError},
    },
    pages::{answer, malformed},
};

pub(crate) async fn show(State(app): State<App>, FromBrowser(browser): FromBrowser) -> Response {
    answer(&app, app.engine.sign_in_page(&browser).await)
}

pub(crate) async fn submit(
    State(app): State<App>,
    FromBrowser(browser): FromBrowser,
    request: Request,
) -> Response {
    let pairs = match form::read(request, &app).await {
        Ok(pairs) => pairs,
        Err(problem) => return malformed(&app, problem),
    };
    if ["ticket", "username", "password", "csrf"]
        .iter()
        .any(|name| form::repeats(&pairs, name))
    {
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
