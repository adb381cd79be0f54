//! `/waiting`: a request that waits for an admin asks again. GET is the page by itself, with the
//! request in a cookie; POST is its button, with the request in the form.

use axum::{extract::State, response::Response};

use crate::{
    App,
    extract::{
        cookies::FromBrowser,
        form::{self, BrowserForm, FormError},
    },
    pages::{answer, malformed},
};

pub(crate) async fn show(State(app): State<App>, FromBrowser(browser): FromBrowser) -> Response {
    answer(&app, app.engine.resume(&browser).await)
}

pub(crate) async fn submit(
    State(app): State<App>,
    FromBrowser(browser): FromBrowser,
    BrowserForm(pairs): BrowserForm,
) -> Response {
    if form::repeats_any(&pairs, &["ticket", "csrf"]) {
        return malformed(&app, FormError::Malformed);
    }
    let Some(ticket) = form::value(&pairs, "ticket") else {
        return malformed(&app, FormError::Malformed);
    };
    let csrf = form::value(&pairs, "csrf").unwrap_or_default();
    answer(&app, app.engine.resume_with(ticket, &csrf, &browser).await)
}

#[cfg(test)]
mod tests {
    use vestibule_engine::{ClientHost, Step, WaitingPage};
    use vestibule_protocol::issuer::Issuer;

    use crate::{HttpSettings, pages::respond, surface::FormAction};

    /// GEN-21: the button may lead on to where the app wants its answer.
    #[test]
    fn the_button_may_end_at_the_app() {
        let settings = HttpSettings::new(&Issuer::parse("https://hub.example").unwrap(), vec![]);
        let page = Step::Waiting(WaitingPage {
            ticket: "t".to_owned(),
            csrf: "c".to_owned(),
            client_host: ClientHost::SelfRegistered,
            claims_name: None,
            reasons: Vec::new(),
            by_itself: true,
            full: false,
            reference: "r".to_owned(),
            form_action: "https://agent.example".to_owned(),
        });
        let answer = respond(&settings, page.into());
        let allowed = answer.extensions().get::<FormAction>();
        assert_eq!(
            allowed.map(|action| action.0.as_str()),
            Some("https://agent.example")
        );
    }
}
