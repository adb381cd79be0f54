//! What a person is shown: in which order, with what emphasis, and that nothing of a client's text
//! becomes more than text.

use std::{collections::BTreeSet, time::Duration};

use axum::{body::Body, http::StatusCode};
use serde_json::json;
use vestibule_engine::SettingsChange;
use vestibule_protocol::trust::DcrMode;
use vestibule_server::{App, Surface, router};

use crate::{
    coverage::all_routes,
    edge::Silent,
    logs::Everything,
    support::{
        Answer, Browser, CALLBACK, DOCUMENT, Form, Hub, authorize_pairs, encode, public_client,
        request,
    },
};

/// The texts stand on the page in this order.
pub(crate) fn assert_order(page: &str, texts: &[&str]) {
    let mut rest = page;
    for text in texts {
        let (_, after) = rest
            .split_once(text)
            .unwrap_or_else(|| panic!("{text:?} is missing, or stands too early:\n{page}"));
        rest = after;
    }
}

async fn consent(hub: &Hub, client_id: &str) -> String {
    hub.add_user("ada").await;
    let page = Browser::default()
        .reach_consent(hub, client_id, "ada")
        .await;
    page.text()
}

/// CIMD-80, MCP-AS-27, AC-12: host first, its own name second, then where the answer goes, which
/// resource, which account, which scopes, and two equal buttons.
#[tokio::test]
async fn the_consent_page_names_the_host_first_and_the_claim_second() {
    let hub = Hub::start().await;
    hub.serve_document(&json!({
        "client_name": "Claims to be Claude",
        "redirect_uris": [CALLBACK, "https://elsewhere.example/callback"],
    }));
    hub.add_user("ada").await;
    let mut pairs = authorize_pairs(DOCUMENT);
    pairs.retain(|(name, _)| *name != "redirect_uri");
    pairs.push(("redirect_uri", "https://elsewhere.example/callback"));
    let page = Browser::default()
        .reach_consent_by(&hub, &pairs, "ada")
        .await;
    assert_eq!(page.status, StatusCode::OK);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    let page = page.text();
    assert_order(
        &page,
        &[
            "<h1 class=\"host\"><bdi>agent.example</bdi></h1>",
            "Unverified",
            "Nobody has checked who that is",
            "It calls itself “<bdi>Claims to be Claude</bdi>”",
            "Answer goes to",
            "<bdi>elsewhere.example</bdi>",
            "Wants to use",
            "Notes",
            "https://notes.example/mcp",
            "As you",
            "ada",
            "<legend>Look</legend>",
            "mcp:read",
            "<legend>Change</legend>",
            "mcp:write",
            "<legend>Destroy</legend>",
            "mcp:delete",
            "<legend>Know about you</legend>",
            "openid",
            "name=\"decision\" value=\"deny\"",
            "name=\"decision\" value=\"approve\"",
            "name=\"decision\" value=\"report\"",
        ],
    );
    assert_eq!(page.matches("<button ").count(), 3);
    assert!(!page.contains("<script"), "{page}");
    assert!(!page.contains("any program here could pose"), "{page}");
}

/// AC-12: an agent that registered itself has no host of its own; the page says so, and when.
#[tokio::test]
async fn a_self_registered_agent_is_called_that() {
    let hub = Hub::start().await;
    let client_id = hub.registered(&public_client()).await;
    let page = consent(&hub, &client_id).await;
    assert_order(
        &page,
        &[
            "<h1 class=\"host\"><bdi>An app that registered itself</bdi></h1>",
            "Unverified",
            "its name is its own claim",
            "Registered on 2026-11-24.",
            "It calls itself “<bdi>Agent</bdi>”",
            "names no home page",
            "<bdi>agent.example</bdi>",
        ],
    );
}

/// MCP-AS-28, MCP-AS-27: if the answer stays on this machine, the person is warned.
#[tokio::test]
async fn an_agent_on_this_machine_is_shown_with_a_warning() {
    let hub = Hub::start().await;
    let redirect = "http://127.0.0.1:33418/callback";
    let mut metadata = public_client();
    metadata["redirect_uris"] = json!([redirect]);
    let client_id = hub.registered(&metadata).await;
    hub.add_user("ada").await;
    let mut pairs = authorize_pairs(&client_id);
    pairs.retain(|(name, _)| *name != "redirect_uri");
    pairs.push(("redirect_uri", redirect));
    let page = Browser::default()
        .reach_consent_by(&hub, &pairs, "ada")
        .await;
    let page = page.text();
    assert!(page.contains("<bdi>127.0.0.1:33418</bdi>"), "{page}");
    assert!(page.contains("any program here could pose as this app"));
}

/// Nothing that writes or destroys comes ticked, and what was unticked is not sent.
#[tokio::test]
async fn a_stranger_s_powerful_scopes_come_unticked() {
    let hub = Hub::start().await;
    let client_id = hub.registered(&public_client()).await;
    let page = consent(&hub, &client_id).await;
    let form = Form::of(&page);
    let ticked = form.values("scope");
    assert!(ticked.contains(&"mcp:read"), "{ticked:?}");
    assert!(!ticked.contains(&"mcp:delete"), "{ticked:?}");
}

/// A16, P1, R6: what a client calls itself is text, in its own isolate, without what turns it
/// around or hides it.
#[tokio::test]
async fn hostile_text_of_a_client_is_only_text() {
    let hub = Hub::start().await;
    let mut metadata = public_client();
    metadata["client_name"] =
        "</bdi><script>alert(1)</script>\"'&\u{202e}moc.evil\u{200b}\n<img src=x onerror=1>".into();
    let client_id = hub.registered(&metadata).await;
    hub.add_user("ada").await;
    let mut browser = Browser::default();
    let mut pairs = authorize_pairs(&client_id);
    pairs.push(("login_hint", "\"><script>alert(2)</script>"));
    let sign_in = browser
        .get(&hub, &format!("/authorize?{}", encode(&pairs)))
        .await
        .text();
    let consent = Browser::default()
        .reach_consent(&hub, &client_id, "ada")
        .await
        .text();
    for page in [&sign_in, &consent] {
        assert!(
            page.contains("script"),
            "the name is not on the page: {page}"
        );
        for bad in ["<script", "<img", "\u{202e}", "\u{200b}", "onerror=1>"] {
            assert!(!page.contains(bad), "{bad:?} in {page}");
        }
    }
    assert_eq!(
        Form::of(&sign_in).value("username"),
        "\"><script>alert(2)</script>"
    );
}

/// A16: error pages echo nothing that could be markup.
#[tokio::test]
async fn an_error_page_is_text_with_a_reference() {
    let hub = Hub::start().await;
    let client_id = hub.registered(&public_client()).await;
    let hostile = "<script>alert(1)</script>";
    for (name, value) in [
        ("client_id", hostile),
        ("client_id", "https://evil.example/<script>"),
        ("client_id", "https://nobody.example/client.json"),
        ("redirect_uri", hostile),
        ("response_type", hostile),
        ("scope", hostile),
        ("resource", hostile),
        ("resource", "https://other.example/\"><script>"),
        ("code_challenge", hostile),
        ("prompt", hostile),
        ("request_uri", hostile),
        ("request", hostile),
        ("response_mode", hostile),
    ] {
        let mut pairs = authorize_pairs(&client_id);
        pairs.retain(|(key, _)| *key != name);
        pairs.push((name, value));
        let answer = hub.get(&format!("/authorize?{}", encode(&pairs))).await;
        let what = format!("{name}={value}");
        let page = answer.text();
        assert!(!page.contains("<script"), "{what}: {page}");
        if answer.status != StatusCode::OK {
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{what}");
            let (_, rest) = page.split_once("Reference <code>").expect("a reference");
            let reference = rest.split('<').next().unwrap();
            let shape = |c: char| c.is_ascii_hexdigit() || c == '-';
            assert!(
                reference.len() == 11 && reference.chars().all(shape),
                "{reference}"
            );
        }
    }
}

/// A language, a title, one heading, a label for each field, and no element that calls for script.
/// Gives the title.
pub(crate) fn assert_plain(page: &str) -> String {
    assert!(page.starts_with("<!doctype html>"));
    assert!(page.contains("<html lang=\"en\">"));
    assert_eq!(page.matches("<h1").count(), 1, "{page}");
    for bad in [
        "<script",
        " onclick",
        " style=",
        "javascript:",
        "http-equiv",
    ] {
        assert!(!page.contains(bad), "{bad}: {page}");
    }
    for input in page.split("<input ").skip(1) {
        let tag = input.split('>').next().unwrap();
        let hidden = tag.contains("type=\"hidden\"");
        let inside_label = tag.contains("type=\"checkbox\"") || tag.contains("type=\"radio\"");
        let id = tag
            .split("id=\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next());
        let labelled = id.is_some_and(|id| page.contains(&format!("<label for=\"{id}\"")));
        assert!(hidden || inside_label || labelled, "{tag}");
    }
    let (_, title) = page.split_once("<title>").unwrap();
    title.split("</title>").next().unwrap().to_owned()
}

/// Pages are for keyboards and screen readers: a language, a title, a label for each field, and
/// no element that calls for script.
#[tokio::test]
async fn pages_have_titles_labels_and_no_script() {
    let hub = Hub::start().await;
    let client_id = hub.registered(&public_client()).await;
    let sign_in = hub
        .get(&format!(
            "/authorize?{}",
            encode(&authorize_pairs(&client_id))
        ))
        .await
        .text();
    let lost = hub.get("/authorize").await.text();
    let consent = consent(&hub, &client_id).await;
    let mut titles = Vec::new();
    for page in [&sign_in, &lost, &consent] {
        titles.push(assert_plain(page));
    }
    titles.sort();
    titles.dedup();
    assert_eq!(titles.len(), 3, "{titles:?}");
}

/// The number on an error page.
fn reference_of(page: &str, what: &str) -> String {
    let (_, rest) = page
        .split_once("Reference <code>")
        .unwrap_or_else(|| panic!("{what}: no reference in {page}"));
    let reference = rest.split('<').next().unwrap();
    let shape = |c: char| c.is_ascii_hexdigit() || c == '-';
    assert!(
        reference.len() == 11 && reference.chars().all(shape),
        "{what}: {reference}"
    );
    reference.to_owned()
}

/// A refused request: what it was, the status it must have, and what came.
type Refused = (String, u16, Answer);

/// What the server refuses before it asks the engine, at every route for people.
async fn refused_by_the_server(hub: &Hub) -> Vec<Refused> {
    let mut refused = Vec::new();
    let mut keep = |what: String, status, answer| refused.push((what, status, answer));
    let form = "application/x-www-form-urlencoded";
    let mut settings = hub.settings.clone();
    settings.body_within = Duration::from_millis(20);
    let impatient = router(App::new(hub.engine.clone(), settings));
    for route in all_routes() {
        if route.surface != Surface::Browser || !route.methods.contains(&"POST") {
            continue;
        }
        let path = route.path.as_str();
        let post = async |media: &str, body: Body| hub.post_body(path, media, body).await;
        let answer = post("text/plain", Body::from("a=b")).await;
        keep(format!("{path}, another media type"), 415, answer);
        let answer = post(form, Body::from("a=%ff")).await;
        keep(format!("{path}, not UTF-8"), 400, answer);
        let answer = post(form, Body::from("a".repeat(1 << 20))).await;
        keep(format!("{path}, too large"), 413, answer);
        let silent = request("POST", path)
            .header("host", "hub.example")
            .header("content-type", form);
        let silent = silent.body(Body::new(Silent)).unwrap();
        let answer = hub.send_to(&impatient, silent).await;
        keep(format!("{path}, too slow"), 408, answer);
        if path != "/authorize" {
            let cross = [("sec-fetch-site", "cross-site")];
            let answer = hub.post_with(path, &[], &cross).await;
            keep(format!("{path}, from another site"), 403, answer);
        }
    }
    let long = format!("/authorize?{}", "a".repeat(40 << 10));
    for (path, status) in [
        ("/authorize?a=%f", 400),
        (long.as_str(), 413),
        ("/setup?token=%00", 400),
        ("/assets/nothing.css", 404),
        ("/nothing", 404),
    ] {
        let asked = request("GET", path).header("accept", "text/html");
        let answer = hub.send(asked.body(Body::empty()).unwrap()).await;
        keep(path.chars().take(30).collect(), status, answer);
    }
    for (path, pairs) in [
        ("/consent", &[("decision", "perhaps"), ("csrf", "x")][..]),
        ("/consent", &[("decision", "deny"), ("csrf", "x")]),
        ("/login", &[("username", "a"), ("username", "b")]),
        ("/setup", &[("token", "a"), ("token", "b")]),
    ] {
        let answer = hub.post(path, pairs).await;
        keep(format!("{path} {pairs:?}"), 400, answer);
    }
    refused
}

/// What the engine refuses: every status that it has a page for.
async fn refused_by_the_engine(hub: &Hub) -> Vec<Refused> {
    let mut refused = Vec::new();
    let mut keep = |what: &str, status, answer| refused.push((what.to_owned(), status, answer));
    hub.add_user("ada").await;
    let client_id = hub.registered(&public_client()).await;
    let path_for = |id: &str| format!("/authorize?{}", encode(&authorize_pairs(id)));
    keep("an unknown app", 400, hub.get(&path_for("nobody")).await);
    let mut wrong = authorize_pairs(&client_id);
    wrong.push(("max_age", "soon"));
    let path = format!("/authorize?{}", encode(&wrong));
    keep("an error offered first", 400, hub.get(&path).await);
    hub.documents.silence(DOCUMENT);
    let answer = hub.get(&path_for(DOCUMENT)).await;
    keep("a host that does not answer", 502, answer);
    let answer = hub.get("/setup?token=guess").await;
    keep("a dead set-up link", 403, answer);
    let mut browser = Browser::default();
    let page = browser.get(hub, "/login").await;
    let forged = Form::of(&page.text()).set("csrf", "guess");
    let answer = browser.submit(hub, &forged).await;
    keep("a forged sign-in", 403, answer);
    let page = browser.reach_consent(hub, &client_id, "ada").await;
    let form = Form::of(&page.text()).set("decision", "deny");
    let forged = form.clone().set("csrf", "guess");
    let answer = browser.submit(hub, &forged).await;
    keep("a forged decision", 403, answer);
    let nobody = Browser::default().submit(hub, &form).await;
    keep("a decision of nobody", 400, nobody);
    browser.submit(hub, &form).await;
    let answer = browser.submit(hub, &form).await;
    keep("a second decision", 400, answer);
    hub.change(SettingsChange::Dcr(DcrMode::Off)).await;
    let answer = hub.get(&path_for(&client_id)).await;
    keep("a closed door", 403, answer);
    let mut throttled = hub.get(&path_for("nobody")).await;
    for _ in 0..200 {
        throttled = hub.get(&path_for("nobody")).await;
    }
    keep("a flood", 429, throttled);
    let page = browser.get(hub, "/account").await;
    let sign_out = Form::of(&page.text());
    hub.break_store().await;
    let answer = browser.submit(hub, &sign_out).await;
    keep("a store that fails", 503, answer);
    refused
}

/// Whoever is told no can quote a number, and the log holds it beside what the page says.
#[tokio::test]
async fn every_failure_page_has_a_reference_that_the_log_holds() {
    let (log, _guard) = Everything::listen();
    let hub = Hub::start_limited(&[]).await;
    let mut refused = refused_by_the_server(&hub).await;
    refused.extend(refused_by_the_engine(&hub).await);
    let log = log.text();
    let mut seen = BTreeSet::new();
    for (what, status, answer) in &refused {
        assert_eq!(answer.status, *status, "{what}: {}", answer.text());
        let reference = reference_of(&answer.text(), what);
        let entry = format!("reference=\"{reference}\"");
        assert_eq!(log.matches(&entry).count(), 1, "{what}: {reference}");
        assert!(seen.insert(reference), "{what}: a number twice");
    }
    assert!(seen.len() >= 30, "{}", seen.len());
}

/// The style sheet is the only thing that a page loads, by a name that changes with it.
#[tokio::test]
async fn a_page_loads_its_style_sheet_and_nothing_else() {
    let hub = Hub::start().await;
    let page = hub.get("/login").await.text();
    assert_eq!(page.matches("<link ").count(), 1);
    assert!(!page.contains(" src="), "{page}");
    let (_, rest) = page.split_once("<link rel=\"stylesheet\" href=\"").unwrap();
    let style = hub.get(rest.split('"').next().unwrap()).await;
    assert_eq!(style.status, StatusCode::OK);
    assert_eq!(style.header("content-type"), "text/css; charset=utf-8");
    assert!(style.header("cache-control").contains("immutable"));
    assert!(!style.text().contains("url("));
    let missing = hub.get("/assets/../style.css").await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
}
