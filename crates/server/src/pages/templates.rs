//! The templates' data: the engine's pages in the words of `templates/*.html`.

use askama::Template;
use vestibule_engine::{
    Badge, ClientHost, ConsentPage, LeavePage, ScopeGroups, ScopeRow, SetupPage, SignInPage,
    SignInProblem, SignedInPage,
};
use vestibule_protocol::redirect_uri::RedirectKind;

use crate::{App, pages::assets};

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
    pub(super) fn of(app: &App, page: SignInPage) -> Self {
        let problem = page.problem.map(|problem| match problem {
            SignInProblem::WrongNameOrPassword => "The name or the password is wrong.".to_owned(),
            SignInProblem::Throttled { seconds } => {
                format!("Too many tries. Wait {seconds} seconds, then try again.")
            }
        });
        let base = app.settings.base.clone();
        Self {
            style: style(&base),
            base,
            page,
            problem,
        }
    }
}

/// A group of tick boxes.
pub(super) struct Group {
    title: &'static str,
    note: &'static str,
    class: &'static str,
    rows: Vec<ScopeRow>,
}

#[derive(Template)]
#[template(path = "consent.html")]
pub(super) struct ConsentView {
    base: String,
    style: String,
    page: ConsentPage,
    host: String,
    self_registered: bool,
    badge: &'static str,
    badge_class: &'static str,
    redirect_note: &'static str,
    groups: Vec<Group>,
    duration: String,
    registered: Option<String>,
}

impl ConsentView {
    pub(super) fn of(app: &App, mut page: ConsentPage) -> Self {
        let (host, self_registered) = match &page.client_host {
            ClientHost::Host(host) => (host.clone(), false),
            ClientHost::FirstParty => ("An app of this hub".to_owned(), false),
            ClientHost::SelfRegistered => ("An app that registered itself".to_owned(), true),
        };
        let (badge, badge_class) = match page.badge {
            Badge::FirstParty => ("Made by your administrator", "good"),
            Badge::Verified => ("Verified", "good"),
            Badge::Known => ("Known", "good"),
            Badge::Unverified => ("Unverified", "warn"),
        };
        let redirect_note = match page.redirect_kind {
            RedirectKind::Https => "A web server will receive the key to your data.",
            RedirectKind::Loopback => {
                "A program on this computer will receive the key to your data."
            }
            RedirectKind::PrivateUse => "An app on this device will receive the key to your data.",
        };
        let base = app.settings.base.clone();
        Self {
            style: style(&base),
            base,
            groups: groups(std::mem::take(&mut page.scopes)),
            duration: duration(&page),
            registered: page.registered_at.and_then(|at| date(at.seconds())),
            page,
            host,
            self_registered,
            badge,
            badge_class,
            redirect_note,
        }
    }
}

fn groups(scopes: ScopeGroups) -> Vec<Group> {
    let groups = [
        Group {
            title: "Look",
            note: "It can read, and change nothing.",
            class: "read",
            rows: scopes.read,
        },
        Group {
            title: "Change",
            note: "It can add and change things for you.",
            class: "write",
            rows: scopes.write,
        },
        Group {
            title: "Destroy",
            note: "It can delete things, or do what cannot be undone.",
            class: "destructive",
            rows: scopes.destructive,
        },
    ];
    groups
        .into_iter()
        .filter(|group| !group.rows.is_empty())
        .collect()
}

fn duration(page: &ConsentPage) -> String {
    match page.stays_connected_seconds {
        Some(seconds) => format!("It stays connected for up to {}.", span(seconds)),
        None => format!(
            "It is connected for {}, then it has to ask again.",
            span(page.access_seconds)
        ),
    }
}

fn span(seconds: u64) -> String {
    let (count, unit) = match seconds {
        0..3_600 => (seconds.div_ceil(60), "minute"),
        3_600..172_800 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    if count == 1 {
        format!("1 {unit}")
    } else {
        format!("{count} {unit}s")
    }
}

fn date(seconds: u64) -> Option<String> {
    let at = jiff::Timestamp::from_second(i64::try_from(seconds).ok()?).ok()?;
    Some(at.to_string().split('T').next()?.to_owned())
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
    pub(super) fn of(app: &App, page: LeavePage) -> Self {
        Self {
            style: style(&app.settings.base),
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
    pub(super) fn of(app: &App, page: SignedInPage) -> Self {
        let base = app.settings.base.clone();
        Self {
            style: style(&base),
            base,
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
    pub(super) fn of(app: &App) -> Self {
        let base = app.settings.base.clone();
        Self {
            style: style(&base),
            base,
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
    pub(super) fn of(app: &App, page: SetupPage) -> Self {
        let base = app.settings.base.clone();
        Self {
            style: style(&base),
            base,
            page,
        }
    }
}
