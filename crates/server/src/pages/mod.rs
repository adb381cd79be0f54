//! What a person sees: the engine's plain data in compiled templates. Every value is escaped;
//! there is no script on any page.

pub(crate) mod account;
pub(crate) mod admin;
pub(crate) mod assets;
pub(crate) mod authorize;
pub(crate) mod consent;
pub(crate) mod logout;
pub(crate) mod setup;
pub(crate) mod sign_in;
mod templates;
pub(crate) mod waiting;

use askama::Template;
use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use vestibule_engine::{FailurePage, FailureStatus, Reply, Step, WaitingPage};

use crate::{
    App, HttpSettings,
    extract::{cookies, form::FormError},
    surface::FormAction,
};

use templates::{
    AdminView, ApprovalsView, ConsentView, FailureView, LeaveView, ReportedView, SetupView,
    SignInView, SignedInView, SignedOutView, WaitingView,
};

/// How long the page of a client that waits stays before it asks again, in seconds.
const ASK_AGAIN_SECONDS: u64 = 4;

/// An engine's answer as a response.
pub(crate) fn answer(app: &App, reply: Reply) -> Response {
    respond(&app.settings, reply)
}

/// An engine's answer as a hub with these settings gives it, without the headers of its surface.
pub fn respond(settings: &HttpSettings, reply: Reply) -> Response {
    let base = settings.base.as_str();
    let mut form_action = None;
    let mut answer = match reply.step {
        Step::Redirect(to) => redirect(&to),
        Step::SignIn(page) => {
            form_action = page.form_action.clone().map(FormAction);
            show(StatusCode::OK, &SignInView::of(base, page))
        }
        Step::Consent(page) => {
            form_action = Some(FormAction(page.form_action.clone()));
            show(StatusCode::OK, &ConsentView::of(base, *page))
        }
        Step::Show(page) => failure(base, page),
        Step::Leave(page) => show(StatusCode::BAD_REQUEST, &LeaveView::of(base, page)),
        Step::SignedIn(page) => show(StatusCode::OK, &SignedInView::of(base, page)),
        Step::SignedOut => show(StatusCode::OK, &SignedOutView::of(base)),
        Step::Setup(page) => show(StatusCode::OK, &SetupView::of(base, page)),
        Step::Waiting(page) => {
            form_action = Some(FormAction(page.form_action.clone()));
            waiting_page(base, page)
        }
        Step::Reported(page) => show(StatusCode::OK, &ReportedView::of(base, page)),
        Step::Admin(page) => show(StatusCode::OK, &AdminView::of(base, *page)),
        Step::Approvals(page) => show(StatusCode::OK, &ApprovalsView::of(base, *page)),
        Step::Own(path) => redirect(&format!("{base}{path}")),
    };
    if let Some(form_action) = form_action {
        answer.extensions_mut().insert(form_action);
    }
    cookies::write(
        answer.headers_mut(),
        &reply.cookies,
        settings.secure_cookies,
    );
    answer
}

/// 303, never 307: what was posted here is not posted there (GEN-10, A15).
fn redirect(to: &str) -> Response {
    let mut answer = StatusCode::SEE_OTHER.into_response();
    match HeaderValue::from_str(to) {
        Ok(value) => {
            answer.headers_mut().insert(header::LOCATION, value);
            answer
        }
        // Redirect URIs are plain ASCII by construction; anything else goes nowhere (A18).
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn show(status: StatusCode, view: &impl Template) -> Response {
    match view.render() {
        Ok(text) => (status, Html(text)).into_response(),
        Err(failure) => {
            tracing::error!(%failure, "a page could not be rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Without a script, `Refresh` is what makes a page ask again. It leads to an address of its own,
/// so that no form is sent twice.
fn waiting_page(base: &str, page: WaitingPage) -> Response {
    let by_itself = page.by_itself;
    let mut answer = show(StatusCode::OK, &WaitingView::of(base, page));
    let again = HeaderValue::from_str(&format!("{ASK_AGAIN_SECONDS}; url={base}/waiting"));
    if let Some(again) = again.ok().filter(|_| by_itself) {
        answer.headers_mut().insert(header::REFRESH, again);
    }
    answer
}

fn failure(base: &str, page: FailurePage) -> Response {
    let (status, retry_after) = match page.status {
        FailureStatus::BadGateway => (StatusCode::BAD_GATEWAY, None),
        FailureStatus::BadRequest => (StatusCode::BAD_REQUEST, None),
        FailureStatus::Forbidden => (StatusCode::FORBIDDEN, None),
        FailureStatus::TooMany { retry_after } => {
            (StatusCode::TOO_MANY_REQUESTS, Some(retry_after))
        }
        FailureStatus::Unavailable { retry_after } => {
            (StatusCode::SERVICE_UNAVAILABLE, Some(retry_after))
        }
    };
    let view = FailureView::of(
        base,
        page.title,
        page.explanation,
        page.hint,
        page.reference,
    );
    let mut answer = show(status, &view);
    if let Some(seconds) = retry_after {
        answer
            .headers_mut()
            .insert(header::RETRY_AFTER, seconds.into());
    }
    answer
}

/// A page that says no before the engine was asked; it is logged by the same kind of reference.
fn refuse(
    app: &App,
    status: StatusCode,
    title: &'static str,
    text: String,
    hint: Option<String>,
) -> Response {
    let reference = app.engine.reference(&text);
    let view = FailureView::of(&app.settings.base, title, text, hint, reference);
    show(status, &view)
}

/// A form or query that cannot be read.
pub(crate) fn malformed(app: &App, problem: FormError) -> Response {
    let title = "This request cannot be answered";
    let text = format!("The request cannot be read: {}.", problem.text());
    refuse(app, problem.status(), title, text, None)
}

pub(crate) fn not_found_page(app: &App) -> Response {
    let text = "There is nothing at this address.".to_owned();
    refuse(app, StatusCode::NOT_FOUND, "Not found", text, None)
}

pub(crate) fn cross_site_page(app: &App) -> Response {
    let text = "This form was sent from another site.".to_owned();
    let hint = Some("Start again from your app.".to_owned());
    refuse(app, StatusCode::FORBIDDEN, "Not from here", text, hint)
}
