//! `POST /consent`: the decision.

use axum::{extract::State, response::Response};
use vestibule_engine::ConsentForm;

use crate::{
    App,
    extract::{
        cookies::FromBrowser,
        form::{self, BrowserForm, FormError},
    },
    pages::{answer, malformed},
};

pub(crate) async fn decide(
    State(app): State<App>,
    FromBrowser(browser): FromBrowser,
    BrowserForm(pairs): BrowserForm,
) -> Response {
    let once = |name| form::value(&pairs, name).filter(|_| !form::repeats(&pairs, name));
    // Anything but the two buttons decides nothing.
    let approve = match once("decision").as_deref() {
        Some("approve") => true,
        Some("deny") => false,
        _ => return malformed(&app, FormError::Malformed),
    };
    let Some(ticket) = once("ticket") else {
        return malformed(&app, FormError::Malformed);
    };
    // A form without the field is a forged one, not a broken one: the engine refuses both (AC-17).
    let csrf = once("csrf").unwrap_or_default();
    let scopes = pairs
        .iter()
        .filter(|(name, _)| name == "scope")
        .map(|(_, v)| v.clone())
        .collect();
    let form = ConsentForm {
        ticket,
        approve,
        scopes,
        csrf,
    };
    answer(&app, app.engine.decide(form, &browser).await)
}
