//! An admin's pages: the doors, and who waits.

use askama::Template;
use vestibule_engine::{AdminPage, ApprovalView, ApprovalsPage};
use vestibule_protocol::trust::{CimdMode, DcrMode};

use super::{
    style,
    words::{counted, minute, who},
};

/// One way that a door can stand.
struct Choice {
    value: &'static str,
    title: &'static str,
    text: &'static str,
    chosen: bool,
}

#[derive(Template)]
#[template(path = "admin.html")]
pub(crate) struct AdminView {
    base: String,
    style: String,
    page: AdminPage,
    dcr: Vec<Choice>,
    cimd: Vec<Choice>,
    stored: String,
    /// When, and who.
    versions: Vec<(String, String)>,
}

impl AdminView {
    pub(crate) fn of(base: &str, page: AdminPage) -> Self {
        let dcr = DcrMode::ALL.iter().map(|mode| {
            let (title, text) = dcr_words(*mode);
            Choice {
                value: mode.as_str(),
                title,
                text,
                chosen: *mode == page.dcr,
            }
        });
        let cimd = CimdMode::ALL.iter().map(|mode| {
            let (title, text) = cimd_words(*mode);
            Choice {
                value: mode.as_str(),
                title,
                text,
                chosen: *mode == page.cimd,
            }
        });
        let versions = page.versions.iter();
        Self {
            style: style(base),
            base: base.to_owned(),
            dcr: dcr.collect(),
            cimd: cimd.collect(),
            stored: counted(page.stored_clients, "app"),
            versions: versions.map(|(at, by)| (minute(*at), by.clone())).collect(),
            page,
        }
    }
}

fn dcr_words(mode: DcrMode) -> (&'static str, &'static str) {
    match mode {
        DcrMode::Off => ("Off", "No new app can register."),
        DcrMode::Approval => (
            "With approval",
            "Any app can register, and a new one waits until an administrator approves it.",
        ),
        DcrMode::Token => (
            "With a token",
            "Only an app that brings an initial access token of this hub can register.",
        ),
        DcrMode::Open => ("Open", "Any app can register without asking first."),
    }
}

fn cimd_words(mode: CimdMode) -> (&'static str, &'static str) {
    match mode {
        CimdMode::Off => ("Off", "No new app can come with a document."),
        CimdMode::Listed => (
            "Listed",
            "Only a document whose exact address is on this hub’s list is read.",
        ),
        CimdMode::Open => ("Open", "Any app can come with a document."),
    }
}

/// One that waits, in words.
struct Row {
    host: String,
    since: String,
    times: String,
    view: ApprovalView,
}

#[derive(Template)]
#[template(path = "approvals.html")]
pub(crate) struct ApprovalsView {
    base: String,
    style: String,
    page: ApprovalsPage,
    rows: Vec<Row>,
}

impl ApprovalsView {
    pub(crate) fn of(base: &str, mut page: ApprovalsPage) -> Self {
        let rows = std::mem::take(&mut page.waiting).into_iter();
        let rows = rows.map(|view| Row {
            host: who(&view.client_host),
            since: minute(view.since),
            times: counted(view.times, "time"),
            view,
        });
        Self {
            style: style(base),
            base: base.to_owned(),
            rows: rows.collect(),
            page,
        }
    }
}
