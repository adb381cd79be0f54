//! `/admin/`: the doors, and who waits for an approval. Who may come here is the engine's to say.

use axum::{
    extract::{RawQuery, State},
    response::Response,
};
use vestibule_engine::{ApprovalForm, DoorsForm, Step};
use vestibule_protocol::trust::{CimdMode, DcrMode};

use crate::{
    App,
    extract::{
        cookies::FromBrowser,
        form::{self, BrowserForm, FormError, Pairs},
    },
    pages::{answer, malformed},
};

/// `/admin`: links and people forget the last slash.
pub(crate) async fn enter(State(app): State<App>) -> Response {
    answer(&app, Step::Own("/admin/").into())
}

pub(crate) async fn show(State(app): State<App>, FromBrowser(browser): FromBrowser) -> Response {
    answer(&app, app.engine.admin_page(&browser, None).await)
}

pub(crate) async fn change_doors(
    State(app): State<App>,
    FromBrowser(browser): FromBrowser,
    BrowserForm(pairs): BrowserForm,
) -> Response {
    match doors(&pairs) {
        Some(form) => answer(&app, app.engine.change_doors(form, &browser).await),
        None => malformed(&app, FormError::Malformed),
    }
}

/// Both doors, always: a form without one of them is not ours, and changes nothing.
fn doors(pairs: &Pairs) -> Option<DoorsForm> {
    if form::repeats_any(pairs, &["seq", "dcr", "cimd", "csrf"]) {
        return None;
    }
    Some(DoorsForm {
        seq: form::value(pairs, "seq")?.parse().ok()?,
        dcr: DcrMode::parse(&form::value(pairs, "dcr")?)?,
        cimd: CimdMode::parse(&form::value(pairs, "cimd")?)?,
        csrf: form::value(pairs, "csrf").unwrap_or_default(),
    })
}

pub(crate) async fn approvals(
    State(app): State<App>,
    FromBrowser(browser): FromBrowser,
    RawQuery(query): RawQuery,
) -> Response {
    match form::decode(query.unwrap_or_default().as_bytes()) {
        Ok(pairs) => {
            let before = before(&pairs);
            answer(&app, app.engine.approvals_page(before, &browser).await)
        }
        Err(problem) => malformed(&app, problem),
    }
}

/// What is no number is the first page.
fn before(pairs: &Pairs) -> Option<u64> {
    form::value(pairs, "before")?.parse().ok()
}

pub(crate) async fn decide_approval(
    State(app): State<App>,
    FromBrowser(browser): FromBrowser,
    BrowserForm(pairs): BrowserForm,
) -> Response {
    match approval(&pairs) {
        Some(form) => answer(&app, app.engine.decide_approval_form(form, &browser).await),
        None => malformed(&app, FormError::Malformed),
    }
}

fn approval(pairs: &Pairs) -> Option<ApprovalForm> {
    if form::repeats_any(pairs, &["id", "decision", "before", "csrf"]) {
        return None;
    }
    Some(ApprovalForm {
        id: form::value(pairs, "id")?,
        approve: match form::value(pairs, "decision")?.as_str() {
            "approve" => true,
            "deny" => false,
            _ => return None,
        },
        before: before(pairs),
        csrf: form::value(pairs, "csrf").unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Pairs {
        form::decode(text.as_bytes()).unwrap()
    }

    /// A form that does not say how both doors stand changes neither.
    #[test]
    fn a_form_of_the_doors_names_both() {
        #[rustfmt::skip]
        let rows = [
            ("seq=7&dcr=approval&cimd=listed",      Some((7, DcrMode::Approval, CimdMode::Listed))),
            ("seq=0&dcr=off&cimd=off",              Some((0, DcrMode::Off, CimdMode::Off))),
            ("seq=7&dcr=open",                      None),
            ("seq=7&cimd=open",                     None),
            ("dcr=open&cimd=open",                  None),
            ("seq=x&dcr=open&cimd=open",            None),
            ("seq=7&dcr=ajar&cimd=open",            None),
            ("seq=7&dcr=open&cimd=token",           None),
            ("seq=7&dcr=open&dcr=off&cimd=open",    None),
            ("seq=7&seq=8&dcr=open&cimd=open",      None),
        ];
        for (text, expected) in rows {
            let form = doors(&pairs(&format!("{text}&csrf=c")));
            assert_eq!(form.map(|f| (f.seq, f.dcr, f.cimd)), expected, "{text}");
        }
    }

    /// One button decides about one that waits.
    #[test]
    fn a_form_of_an_approval_decides_one_thing() {
        #[rustfmt::skip]
        let rows = [
            ("id=1&decision=approve",               Some(true)),
            ("id=1&decision=deny",                  Some(false)),
            ("id=1&decision=report",                None),
            ("id=1",                                None),
            ("decision=approve",                    None),
            ("id=1&id=2&decision=approve",          None),
            ("id=1&decision=deny&decision=approve", None),
        ];
        for (text, expected) in rows {
            let form = approval(&pairs(&format!("{text}&csrf=c")));
            assert_eq!(form.map(|f| f.approve), expected, "{text}");
        }
    }
}
