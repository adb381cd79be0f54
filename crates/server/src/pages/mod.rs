//! What a person sees: the engine's plain data in compiled templates. Every value is escaped;
//! there is no script on any page.

pub(crate) mod account;
pub(crate) mod assets;
pub(crate) mod authorize;
pub(crate) mod consent;
pub(crate) mod logout;
pub(crate) mod setup;
pub(crate) mod sign_in;
mod templates;

use askama::Template;
use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use vestibule_engine::{FailurePage, FailureStatus, Reply, Step};

use crate::{
    App,
    extract::{cookies, form::FormError},
    surface::FormAction,
};

use templates::{
    ConsentView, FailureView, LeaveView, SetupView, SignInView, SignedInView, SignedOutView,
};

/// An engine's answer as a response.
pub(crate) fn answer(app: &App, reply: Reply) -> Response {
    let mut form_action = None;
    let mut answer = match reply.step {
        Step::Redirect(to) => redirect(app, &to),
        Step::SignIn(page) => {
            form_action = page.form_action.clone().map(FormAction);
            show(StatusCode::OK, &SignInView::of(app, page))
        }
        Step::Consent(page) => {
            form_action = Some(FormAction(page.form_action.clone()));
            show(StatusCode::OK, &ConsentView::of(app, *page))
        }
        Step::Show(page) => failure(app, page),
        Step::Leave(page) => show(StatusCode::BAD_REQUEST, &LeaveView::of(app, page)),
        Step::SignedIn(page) => show(StatusCode::OK, &SignedInView::of(app, page)),
        Step::SignedOut => show(StatusCode::OK, &SignedOutView::of(app)),
        Step::Setup(page) => show(StatusCode::OK, &SetupView::of(app, page)),
    };
    if let Some(form_action) = form_action {
        answer.extensions_mut().insert(form_action);
    }
    cookies::write(
        answer.headers_mut(),
        &reply.cookies,
        app.settings.secure_cookies,
    );
    answer
}

/// 303, never 307: what was posted here is not posted there (GEN-10, A15).
fn redirect(app: &App, to: &str) -> Response {
    let mut answer = StatusCode::SEE_OTHER.into_response();
    match HeaderValue::from_str(to) {
        Ok(value) => {
            answer.headers_mut().insert(header::LOCATION, value);
            answer
        }
        // Redirect URIs are plain ASCII by construction; anything else goes nowhere (A18).
        Err(_) => refuse(
            app,
            StatusCode::INTERNAL_SERVER_ERROR,
            "This did not work",
            "The answer cannot be sent to the app.".to_owned(),
            None,
        ),
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

fn failure(app: &App, page: FailurePage) -> Response {
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
        &app.settings.base,
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
