//! The consent page (design section 8).

use askama::Template;
use vestibule_engine::{Badge, ClientHost, ConsentPage, ScopeGroups, ScopeRow};
use vestibule_protocol::redirect_uri::RedirectKind;

use super::{
    style,
    words::{date, span, who},
};

/// A group of tick boxes.
pub(super) struct Group {
    title: &'static str,
    note: &'static str,
    class: &'static str,
    rows: Vec<ScopeRow>,
}

/// A choice of how long.
struct Choice {
    seconds: u64,
    text: String,
    chosen: bool,
}

#[derive(Template)]
#[template(path = "consent.html")]
pub(crate) struct ConsentView {
    base: String,
    style: String,
    page: ConsentPage,
    host: String,
    self_registered: bool,
    badge: &'static str,
    badge_class: &'static str,
    redirect_note: &'static str,
    groups: Vec<Group>,
    withheld_note: &'static str,
    choices: Vec<Choice>,
    duration: String,
    registered: Option<String>,
}

impl ConsentView {
    pub(crate) fn of(base: &str, mut page: ConsentPage) -> Self {
        let (badge, badge_class) = match page.badge {
            Badge::FirstParty => ("Made by your administrator", "good"),
            Badge::Verified => ("Verified", "good"),
            Badge::Known => ("Known", "good"),
            Badge::Raised => ("Unverified, with warnings", "bad"),
            Badge::Unverified => ("Unverified", "warn"),
        };
        let withheld_note = match page.badge {
            Badge::Raised => "It asked for these too. It cannot have them while warnings stand.",
            Badge::Unverified => {
                "It asked for these too. It cannot have them while nobody has checked who it is."
            }
            Badge::FirstParty | Badge::Known | Badge::Verified => {
                "It asked for these too. The rules of this hub do not give them to it."
            }
        };
        let redirect_note = match page.redirect_kind {
            RedirectKind::Https => "A web server will receive the key to your data.",
            RedirectKind::Loopback => {
                "A program on this computer will receive the key to your data."
            }
            RedirectKind::PrivateUse => "An app on this device will receive the key to your data.",
        };
        let choices = page.durations.iter().map(|choice| Choice {
            seconds: choice.seconds,
            text: span(choice.seconds),
            chosen: choice.chosen,
        });
        Self {
            style: style(base),
            base: base.to_owned(),
            host: who(&page.client_host),
            self_registered: page.client_host == ClientHost::SelfRegistered,
            badge,
            badge_class,
            redirect_note,
            groups: groups(std::mem::take(&mut page.scopes)),
            withheld_note,
            choices: choices.collect(),
            duration: duration(&page),
            registered: page.registered_at.and_then(date),
            page,
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
