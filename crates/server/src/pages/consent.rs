//! `POST /consent`: the decision.

use axum::{extract::State, response::Response};
use vestibule_engine::ConsentForm;

use crate::{
    App,
    extract::{
        cookies::FromBrowser,
        form::{self, BrowserForm, FormError, Pairs},
    },
    pages::{answer, malformed},
};

pub(crate) async fn decide(
    State(app): State<App>,
    FromBrowser(browser): FromBrowser,
    BrowserForm(pairs): BrowserForm,
) -> Response {
    match read(&pairs) {
        Some(form) => answer(&app, app.engine.decide(form, &browser).await),
        None => malformed(&app, FormError::Malformed),
    }
}

/// What our page can send, and nothing else.
fn read(pairs: &Pairs) -> Option<ConsentForm> {
    let once = ["ticket", "csrf", "decision", "confirmed", "duration"];
    if form::repeats_any(pairs, &once) {
        return None;
    }
    let value = |name| form::value(pairs, name);
    // Anything but the three buttons decides nothing.
    let (approve, report) = match value("decision")?.as_str() {
        "approve" => (true, false),
        "deny" => (false, false),
        "report" => (false, true),
        _ => return None,
    };
    let confirmed = match value("confirmed").as_deref() {
        Some("yes") => true,
        None => false,
        Some(_) => return None,
    };
    let duration = match value("duration") {
        Some(seconds) => Some(seconds.parse().ok()?),
        None => None,
    };
    let scopes = pairs.iter().filter(|(name, _)| name == "scope");
    Some(ConsentForm {
        ticket: value("ticket")?,
        approve,
        report,
        confirmed,
        duration,
        scopes: scopes.map(|(_, value)| value.clone()).collect(),
        // A form without the field is a forged one, not a broken one: the engine refuses both (AC-17).
        csrf: value("csrf").unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(text: &str) -> Option<ConsentForm> {
        read(&form::decode(text.as_bytes()).unwrap())
    }

    /// One button is one decision; what is not a button is none.
    #[test]
    fn a_button_decides_one_thing() {
        #[rustfmt::skip]
        let rows = [
            ("decision=approve",                 Some((true, false))),
            ("decision=deny",                    Some((false, false))),
            ("decision=report",                  Some((false, true))),
            ("decision=Approve",                 None),
            ("decision=",                        None),
            ("",                                 None),
            ("decision=deny&decision=approve",   None),
            ("decision=approve&decision=approve",None),
        ];
        for (text, expected) in rows {
            let found = form(&format!("ticket=t&csrf=c&{text}"));
            assert_eq!(found.map(|f| (f.approve, f.report)), expected, "{text}");
        }
    }

    /// The second confirmation and the duration are what the page offers, or absent.
    #[test]
    fn a_confirmation_is_yes_and_a_duration_is_a_number() {
        #[rustfmt::skip]
        let rows = [
            ("",                               Some((false, None))),
            ("confirmed=yes&duration=3600",    Some((true, Some(3_600)))),
            ("confirmed=&duration=",           Some((false, None))),
            ("confirmed=on",                   None),
            ("confirmed=yes&confirmed=yes",    None),
            ("duration=1h",                    None),
            ("duration=-1",                    None),
            ("duration=99999999999999999999",  None),
            ("duration=1&duration=1",          None),
        ];
        for (text, expected) in rows {
            let found = form(&format!("ticket=t&csrf=c&decision=approve&{text}"));
            let found = found.map(|f| (f.confirmed, f.duration));
            assert_eq!(found, expected, "{text}");
        }
    }
}
