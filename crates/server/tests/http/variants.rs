//! The pages that the engine's data can make, and that a walk through the hub meets seldom or never:
//! warnings, waits, reports, an admin's pages.

use axum::{http::StatusCode, response::Response};
use http_body_util::BodyExt as _;
use vestibule_engine::Step;
use vestibule_protocol::issuer::Issuer;
use vestibule_server::{HttpSettings, respond};

use crate::{
    pages::{assert_order, assert_plain},
    support::{Form, Hub},
};

#[path = "../../examples/pages/variants.rs"]
mod all;

fn response(step: Step) -> Response {
    let issuer = Issuer::parse("https://hub.example/t1").unwrap();
    respond(&HttpSettings::new(&issuer, Vec::new()), step.into())
}

async fn text(step: Step) -> String {
    let body = response(step).into_body().collect().await.unwrap();
    String::from_utf8(body.to_bytes().to_vec()).unwrap()
}

async fn page(name: &str) -> String {
    let found = all::all().into_iter().find(|(known, _)| *known == name);
    text(found.unwrap_or_else(|| panic!("no page {name}")).1).await
}

/// The forms of a page, each as it would be sent.
fn forms(page: &str) -> Vec<Form> {
    let starts = page.split("<form ").skip(1);
    starts
        .map(|form| Form::of(&format!("<form {form}")))
        .collect()
}

/// GEN-11, A9, A16: whatever there is to show, the page is plain, stays below the issuer's path, and
/// each of its forms carries what ties it to the browser.
#[tokio::test]
async fn every_page_is_plain_and_stays_below_the_issuer() {
    for (name, step) in all::all() {
        let page = text(step).await;
        assert_plain(&page);
        for link in page.split(" href=\"").skip(1) {
            let link = link.split('"').next().unwrap();
            let outside = matches!(name, "leave" | "reported" | "reported-registered");
            let own = link.starts_with("/t1/") || link.starts_with('#');
            assert!(own || outside, "{name}: {link}");
        }
        for form in forms(&page) {
            assert!(form.action.starts_with("/t1/"), "{name}: {}", form.action);
            assert_eq!(form.value("csrf"), "csrf", "{name}");
        }
        assert!(!page.contains(" src="), "{name}");
    }
}

/// Design section 8: one order, whatever is said; and each thing that is said only where it holds.
#[tokio::test]
async fn the_consent_page_says_what_holds_in_its_order() {
    #[rustfmt::skip]
    let order: [(&str, &str); 16] = [
        ("host",       "<h1 class=\"host\">"),
        ("badge",      "class=\"badge"),
        ("first seen", "First seen here today."),
        ("claim",      "It calls itself"),
        ("imitates",   "It only looks like it."),
        ("warnings",   "Be careful"),
        ("redirect",   "Answer goes to"),
        ("resource",   "Wants to use"),
        ("account",    "As you"),
        ("loopback",   "any program here could pose as this app"),
        ("scopes",     "<legend>Look</legend>"),
        ("withheld",   "Not available now"),
        ("durations",  "<legend>Stay connected for</legend>"),
        ("changed",    "What is new"),
        ("confirm",    "name=\"confirmed\" value=\"yes\" required"),
        ("report",     "name=\"decision\" value=\"report\" formnovalidate"),
    ];
    let always = [
        "host", "badge", "claim", "redirect", "resource", "account", "scopes", "report",
    ];
    #[rustfmt::skip]
    let rows: [(&str, &[&str]); 14] = [
        ("consent-unverified",      &[]),
        ("consent-registered",      &[]),
        ("consent-first-party",     &[]),
        ("consent-verified",        &[]),
        ("consent-known",           &[]),
        ("consent-first-seen",      &["first seen"]),
        ("consent-raised",          &["warnings", "withheld", "confirm"]),
        ("consent-look-alike",      &["first seen", "imitates", "warnings", "withheld", "confirm"]),
        ("consent-loopback",        &["loopback"]),
        ("consent-private-use",     &[]),
        ("consent-withheld",        &["withheld"]),
        ("consent-changed",         &["changed"]),
        ("consent-durations",       &["durations"]),
        ("consent-everything-long", &["first seen", "imitates", "warnings", "withheld", "durations", "changed", "confirm"]),
    ];
    let consent = all::all();
    let consent = consent
        .iter()
        .filter(|(name, _)| name.starts_with("consent-"));
    assert_eq!(consent.count(), rows.len(), "a variant is missing here");
    for (name, said) in rows {
        let page = page(name).await;
        let holds = |what: &str| {
            // Without a name there is no claim of one.
            let nameless = name == "consent-private-use" && what == "claim";
            (always.contains(&what) || said.contains(&what)) && !nameless
        };
        let (there, absent): (Vec<_>, Vec<_>) = order.iter().partition(|(what, _)| holds(what));
        assert_order(
            &page,
            &there.iter().map(|(_, text)| *text).collect::<Vec<_>>(),
        );
        for (what, text) in absent {
            assert!(!page.contains(text), "{name}: {what}");
        }
        for decision in ["approve", "deny", "report"] {
            let button = format!("<button type=\"submit\" name=\"decision\" value=\"{decision}\"");
            assert_eq!(page.matches(&button).count(), 1, "{name}: {decision}");
        }
    }
}

/// AC-12: the verdict in words, and in the class that colours it.
#[tokio::test]
async fn the_badge_says_who_vouches() {
    for (name, badge) in [
        ("consent-first-party", "good\">Made by your administrator"),
        ("consent-verified", "good\">Verified"),
        ("consent-known", "good\">Known"),
        ("consent-unverified", "warn\">Unverified<"),
        ("consent-raised", "bad\">Unverified, with warnings"),
    ] {
        let page = page(name).await;
        assert!(page.contains(&format!("class=\"badge {badge}")), "{name}");
        assert_eq!(page.matches("class=\"badge").count(), 1, "{name}");
    }
}

/// What is not to be had has no box to tick, and the page says why.
#[tokio::test]
async fn a_withheld_scope_cannot_be_ticked() {
    for (name, why) in [
        ("consent-raised", "while warnings stand"),
        ("consent-withheld", "while nobody has checked who it is"),
    ] {
        let page = page(name).await;
        assert_order(
            &page,
            &["Not available now", why, "<code>mcp:delete</code>"],
        );
        assert!(!page.contains("value=\"mcp:delete\""), "{name}");
    }
}

/// One duration comes chosen; the confirmation never comes ticked.
#[tokio::test]
async fn a_form_as_it_comes_has_a_duration_and_no_confirmation() {
    let form = &forms(&page("consent-durations").await)[0];
    assert_eq!(form.values("duration"), ["604800"]);
    let offered = page("consent-durations").await;
    assert_order(&offered, &["1 hour", "1 day", "7 days", "30 days"]);
    let form = &forms(&page("consent-everything-long").await)[0];
    assert_eq!(form.values("duration"), ["3600"]);
    assert!(form.values("confirmed").is_empty());
}

/// Outcome `hold`: the page says who, why and what comes next, and asks again without a script where
/// the browser holds the request; by its button everywhere.
#[tokio::test]
async fn a_page_that_waits_asks_again() {
    for (name, refresh, says) in [
        ("waiting", "4; url=/t1/waiting", "goes on by itself"),
        ("waiting-by-hand", "", "ask again later"),
        (
            "waiting-full",
            "4; url=/t1/waiting",
            "no administrator was asked",
        ),
        ("waiting-full-by-hand", "", "no administrator was asked"),
    ] {
        let (_, step) = all::all()
            .into_iter()
            .find(|(known, _)| *known == name)
            .unwrap();
        let answer = response(step);
        assert_eq!(answer.status(), StatusCode::OK);
        let header = answer.headers().get("refresh");
        assert_eq!(
            header.map_or("", |value| value.to_str().unwrap()),
            refresh,
            "{name}"
        );
        let page = page(name).await;
        let says = [
            "wants to connect",
            "Why it has to wait:",
            says,
            "Reference <code>",
        ];
        for text in says {
            assert!(page.contains(text), "{name}: {text}");
        }
        let form = &forms(&page)[0];
        assert_eq!(form.action, "/t1/waiting");
        assert_eq!(form.value("ticket"), "ticket");
    }
}

/// A report is thanked for, granted nothing, and the way back leaks no address of ours.
#[tokio::test]
async fn a_report_ends_with_a_link_back() {
    let page = page("reported").await;
    let link = "<a class=\"button\" rel=\"noreferrer noopener nofollow\" \
                href=\"https://agent.example/callback?error=access_denied\">";
    assert_order(
        &page,
        &["Thank you", "agent.example", "Nothing was granted", link],
    );
    assert!(forms(&page).is_empty());
}

/// Both doors show how they stand, what each way means, and that closing one cuts nobody off.
#[tokio::test]
async fn the_doors_are_shown_as_they_stand() {
    for (name, dcr, cimd) in [
        ("admin-open", "open", "open"),
        ("admin-closed", "off", "off"),
        ("admin-half-open", "approval", "listed"),
    ] {
        let page = page(name).await;
        let form = &forms(&page)[0];
        assert_eq!(form.action, "/t1/admin/settings");
        assert_eq!(form.values("dcr"), [dcr], "{name}");
        assert_eq!(form.values("cimd"), [cimd], "{name}");
        assert_eq!(form.value("seq"), "7");
        assert_eq!(page.matches("name=\"dcr\"").count(), 4);
        assert_eq!(page.matches("name=\"cimd\"").count(), 3);
        assert!(page.contains("their tokens keep working until they end"));
    }
    let open = page("admin-open").await;
    assert_order(
        &open,
        &["Approvals (2)", "12 apps", "2026-11-24 06:00 UTC", "ada"],
    );
    let closed = page("admin-closed").await;
    let warning = "Both doors are closed: no new app can come in.";
    assert_order(&closed, &["The doors were changed.", warning, "1 app."]);
}

/// Each one that waits has a form of its own, with the host above what it calls itself.
#[tokio::test]
async fn approvals_are_decided_one_by_one() {
    let page = page("approvals").await;
    let ids: Vec<_> = forms(&page)
        .iter()
        .map(|form| (form.action.clone(), form.value("id").to_owned()))
        .collect();
    let action = "/t1/admin/approvals".to_owned();
    assert_eq!(
        ids,
        [(action.clone(), "1".to_owned()), (action, "2".to_owned())]
    );
    #[rustfmt::skip]
    assert_order(&page, &[
        "<bdi>agent.example</bdi></h2>", "calls itself “<bdi>Agent</bdi>”", "https://agent.example/client.json",
        "3 times", "value=\"deny\"", "value=\"approve\"", "An app that registered itself", "1 time<",
    ]);
    let nobody = self::page("approvals-empty").await;
    assert!(nobody.contains("No app waits") && forms(&nobody).is_empty());
    assert!(!nobody.contains("before="));
    // Where many wait, a page leads to the next one, and a decision back to its page.
    let more = self::page("approvals-more").await;
    let older = "href=\"/t1/admin/approvals?before=40\" rel=\"next\"";
    assert_order(&more, &["href=\"/t1/admin/approvals\">Newest", older]);
    assert_eq!(forms(&more)[0].value("before"), "90");
}

/// Somebody who is signed in and asked again is told why, above the form.
#[tokio::test]
async fn who_is_asked_again_is_told_why() {
    let again = page("sign-in-again").await;
    assert_order(
        &again,
        &["<h1>Sign in", "You are signed in already.", "<form "],
    );
    assert!(!page("sign-in").await.contains("already"));
    let admin = page("account-of-an-admin").await;
    assert!(admin.contains("href=\"/t1/admin/\""), "{admin}");
    assert!(!page("account").await.contains("/admin/"));
}

/// Links and people forget the last slash.
#[tokio::test]
async fn the_way_to_the_doors_needs_no_slash() {
    for (issuer, path, to) in [
        ("https://hub.example", "/admin", "/admin/"),
        ("https://hub.example/t1", "/t1/admin", "/t1/admin/"),
    ] {
        let answer = Hub::start_at(issuer).await.get(path).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{path}");
        assert_eq!(answer.location(), to);
    }
}
