//! The templates' data: the engine's pages in the words of `templates/*.html`.

mod admin;
mod consent;
mod words;

use askama::Template;
use vestibule_engine::{
    LeavePage, ReportedPage, SetupPage, SignInPage, SignInProblem, SignedInPage, WaitingPage,
};

use crate::pages::assets;

pub(super) use admin::{AdminView, ApprovalsView};
pub(super) use consent::ConsentView;

fn style(base: &str) -> String {
    format!("{base}/assets/{}", assets::style_name())
}

#[derive(Template)]
#[template(path = "sign_in.html")]
pub(super) struct SignInView {
    base: String,
    style: String,
    page: SignInPage,
    problem: Option<String>,
}

impl SignInView {
    pub(super) fn of(base: &str, page: SignInPage) -> Self {
        let problem = page.problem.map(|problem| match problem {
            SignInProblem::WrongNameOrPassword => "The name or the password is wrong.".to_owned(),
            SignInProblem::Throttled { seconds } => {
                format!("Too many tries. Wait {seconds} seconds, then try again.")
            }
        });
        Self {
            style: style(base),
            base: base.to_owned(),
            page,
            problem,
        }
    }
}

#[derive(Template)]
#[template(path = "failure.html")]
pub(super) struct FailureView {
    style: String,
    title: &'static str,
    explanation: String,
    hint: Option<String>,
    reference: String,
}

impl FailureView {
    pub(super) fn of(
        base: &str,
        title: &'static str,
        explanation: String,
        hint: Option<String>,
        reference: String,
    ) -> Self {
        Self {
            style: style(base),
            title,
            explanation,
            hint,
            reference,
        }
    }
}

#[derive(Template)]
#[template(path = "leave.html")]
pub(super) struct LeaveView {
    style: String,
    page: LeavePage,
}

impl LeaveView {
    pub(super) fn of(base: &str, page: LeavePage) -> Self {
        Self {
            style: style(base),
            page,
        }
    }
}

#[derive(Template)]
#[template(path = "signed_in.html")]
pub(super) struct SignedInView {
    base: String,
    style: String,
    page: SignedInPage,
}

impl SignedInView {
    pub(super) fn of(base: &str, page: SignedInPage) -> Self {
        Self {
            style: style(base),
            base: base.to_owned(),
            page,
        }
    }
}

#[derive(Template)]
#[template(path = "signed_out.html")]
pub(super) struct SignedOutView {
    base: String,
    style: String,
}

impl SignedOutView {
    pub(super) fn of(base: &str) -> Self {
        Self {
            style: style(base),
            base: base.to_owned(),
        }
    }
}

#[derive(Template)]
#[template(path = "setup.html")]
pub(super) struct SetupView {
    base: String,
    style: String,
    page: SetupPage,
}

impl SetupView {
    pub(super) fn of(base: &str, page: SetupPage) -> Self {
        Self {
            style: style(base),
            base: base.to_owned(),
            page,
        }
    }
}

#[derive(Template)]
#[template(path = "waiting.html")]
pub(super) struct WaitingView {
    base: String,
    style: String,
    host: String,
    page: WaitingPage,
}

impl WaitingView {
    pub(super) fn of(base: &str, page: WaitingPage) -> Self {
        Self {
            style: style(base),
            base: base.to_owned(),
            host: words::who(&page.client_host),
            page,
        }
    }
}

#[derive(Template)]
#[template(path = "reported.html")]
pub(super) struct ReportedView {
    style: String,
    who: String,
    page: ReportedPage,
}

impl ReportedView {
    pub(super) fn of(base: &str, page: ReportedPage) -> Self {
        Self {
            style: style(base),
            who: words::who(&page.client_host),
            page,
        }
    }
}
