//! The whole way over HTTP, as a browser and an agent go it; and what a forged form achieves.

use axum::http::StatusCode;
use serde_json::json;

use crate::support::{
    Browser, CALLBACK, DOCUMENT, Form, Hub, ISSUER, NOTES, PASSWORD, RS_BASIC, VERIFIER,
    authorize_pairs, encode, parameter, public_client,
};

/// Allow what is ticked; the Location that the browser is sent to.
async fn allow(hub: &Hub, browser: &mut Browser, consent: &str) -> String {
    let form = Form::of(consent).set("decision", "approve");
    let answer = browser.submit(hub, &form).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text());
    assert!(answer.body.is_empty());
    assert_eq!(answer.header("cache-control"), "no-store");
    answer.location().to_owned()
}

/// Redeem, introspect, refresh, revoke.
async fn live_and_die(hub: &Hub, client_id: &str, code: &str) {
    let redeem = [
        ("grant_type", "authorization_code"),
        ("client_id", client_id),
        ("code", code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
        ("resource", NOTES),
    ];
    let tokens = hub.post("/token", &redeem).await;
    assert_eq!(tokens.status, StatusCode::OK, "{}", tokens.text());
    assert_eq!(tokens.header("cache-control"), "no-store");
    assert_eq!(tokens.header("pragma"), "no-cache");
    let tokens = tokens.json();
    assert_eq!(tokens["token_type"], "Bearer");
    let introspect = async |token: &str| {
        let pairs = [("token", token)];
        let answer = hub
            .post_with("/introspect", &pairs, &[("authorization", RS_BASIC)])
            .await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        assert_eq!(answer.header("cache-control"), "no-store");
        answer.json()
    };
    let seen = introspect(tokens["access_token"].as_str().unwrap()).await;
    assert_eq!(seen["active"], true, "{seen}");
    assert_eq!(seen["client_id"], client_id);
    let refresh = [
        ("grant_type", "refresh_token"),
        ("client_id", client_id),
        ("refresh_token", tokens["refresh_token"].as_str().unwrap()),
    ];
    let next = hub.post("/token", &refresh).await;
    assert_eq!(next.status, StatusCode::OK, "{}", next.text());
    let next = next.json();
    assert_ne!(next["refresh_token"], tokens["refresh_token"]);
    let back = [
        ("client_id", client_id),
        ("token", next["refresh_token"].as_str().unwrap()),
        ("token_type_hint", "refresh_token"),
    ];
    let answer = hub.post("/revoke", &back).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.body.is_empty());
    let seen = introspect(next["access_token"].as_str().unwrap()).await;
    assert_eq!(seen, json!({"active": false}));
    // AC-06: the code is spent.
    let again = hub.post("/token", &redeem).await;
    assert_eq!(again.status, StatusCode::BAD_REQUEST);
    assert_eq!(again.json()["error"], "invalid_grant");
}

/// The way of one client.
async fn walk(hub: &Hub, client_id: &str) {
    hub.add_resource_server().await;
    hub.add_user("ada").await;
    let mut browser = Browser::default();
    let consent = browser.reach_consent(hub, client_id, "ada").await;
    let location = allow(hub, &mut browser, &consent.text()).await;
    assert!(location.starts_with(CALLBACK), "{location}");
    assert_eq!(parameter(&location, "state").as_deref(), Some("s t+ä&"));
    assert_eq!(parameter(&location, "iss").as_deref(), Some(ISSUER));
    assert_eq!(parameter(&location, "error"), None);
    let code = parameter(&location, "code").unwrap();
    live_and_die(hub, client_id, &code).await;
}

/// AC-03, ISS-01, GEN-10, A15: by registration, from the first request to the last token.
#[tokio::test]
async fn an_agent_that_registers_itself_gets_its_tokens_and_gives_them_back() {
    let hub = Hub::start().await;
    let client_id = hub.registered(&public_client()).await;
    walk(&hub, &client_id).await;
}

/// AC-03, ISS-01, CIMD-54: by a document, from the first request to the last token.
#[tokio::test]
async fn an_agent_with_a_document_gets_its_tokens_and_gives_them_back() {
    let hub = Hub::start().await;
    hub.serve_document(&json!({}));
    walk(&hub, DOCUMENT).await;
}

/// OIDC-01: a request by POST is a request like one by GET.
#[tokio::test]
async fn a_posted_request_leads_to_the_sign_in_page() {
    let hub = Hub::start().await;
    let client_id = hub.registered(&public_client()).await;
    let pairs = authorize_pairs(&client_id);
    let cross = [("sec-fetch-site", "cross-site")];
    let answer = hub.post_with("/authorize", &pairs, &cross).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.text().contains("name=\"password\""));
}

/// ISS-01, RU-13: a person who denies sends the client an error with `state` and `iss`.
#[tokio::test]
async fn a_denial_is_told_to_the_client() {
    let hub = Hub::start().await;
    hub.add_user("ada").await;
    let client_id = hub.registered(&public_client()).await;
    let mut browser = Browser::default();
    let consent = browser.reach_consent(&hub, &client_id, "ada").await;
    let form = Form::of(&consent.text()).set("decision", "deny");
    let answer = browser.submit(&hub, &form).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    let location = answer.location();
    assert_eq!(
        parameter(location, "error").as_deref(),
        Some("access_denied")
    );
    assert_eq!(parameter(location, "state").as_deref(), Some("s t+ä&"));
    assert_eq!(parameter(location, "iss").as_deref(), Some(ISSUER));
    assert_eq!(parameter(location, "code"), None);
    // Decided is decided.
    let allow = form.set("decision", "approve");
    let answer = browser.submit(&hub, &allow).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(answer.location(), "");
}

/// A9, AC-17: no form that another site sends, or that does not know the browser's secret,
/// decides anything.
#[tokio::test]
async fn a_forged_form_decides_nothing() {
    let hub = Hub::start().await;
    hub.add_user("ada").await;
    let client_id = hub.registered(&public_client()).await;
    let mut browser = Browser::default();
    let consent = browser.reach_consent(&hub, &client_id, "ada").await;
    let form = Form::of(&consent.text()).set("decision", "approve");
    for site in ["cross-site", "same-site", "unheard-of"] {
        let answer = browser.submit_from(&hub, &form, site).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{site}");
        assert_eq!(answer.location(), "");
    }
    // An older browser says only where the form was.
    let pairs: Vec<_> = form
        .fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    for origin in [
        "https://evil.example",
        "null",
        "https://hub.example.evil.example",
    ] {
        let answer = hub
            .post_with("/consent", &pairs, &[("origin", origin)])
            .await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{origin}");
    }
    let csrf = form.value("csrf");
    for csrf in ["", "x", &csrf.to_uppercase()] {
        for decision in ["approve", "deny"] {
            let forged = form.clone().set("csrf", csrf).set("decision", decision);
            let answer = browser.submit(&hub, &forged).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{csrf} {decision}");
            assert_eq!(answer.location(), "");
        }
    }
    // Another person's browser with this person's form.
    hub.add_user("eve").await;
    let mut other = Browser::default();
    other.reach_consent(&hub, &client_id, "eve").await;
    let answer = other.submit(&hub, &form).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert_eq!(answer.location(), "");
    // And nothing of this has used the request up.
    let answer = browser.submit(&hub, &form).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
}

/// AC-17, A12: a sign-in needs the browser's own form, and changes the session's name.
#[tokio::test]
async fn a_forged_sign_in_signs_nobody_in() {
    let hub = Hub::start().await;
    hub.add_user("ada").await;
    let mut browser = Browser::default();
    let page = browser.get(&hub, "/login").await;
    let form = Form::of(&page.text())
        .set("username", "ada")
        .set("password", PASSWORD);
    let forged = form.clone().set("csrf", "guess");
    for (form, site, browser) in [
        (&forged, "same-origin", &mut browser),
        (&form, "same-origin", &mut Browser::default()),
        (&form, "cross-site", &mut Browser::default()),
    ] {
        let answer = browser.submit_from(&hub, form, site).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
        assert!(!browser.cookies.contains_key("__Host-vst-session"));
    }
    browser
        .cookies
        .insert("__Host-vst-session".to_owned(), "vss_planted".to_owned());
    let answer = browser.submit(&hub, &form).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.text().contains("You are signed in"));
    assert_ne!(browser.cookies["__Host-vst-session"], "vss_planted");
    let line = answer.headers.get_all("set-cookie").iter();
    let lines: Vec<_> = line.map(|value| value.to_str().unwrap()).collect();
    assert!(
        lines.iter().all(|line| line.contains("; Secure")
            && line.contains("; HttpOnly")
            && line.contains("; SameSite=Lax")
            && line.contains("; Path=/;")),
        "{lines:?}"
    );
}

/// A wrong password shows the form again, and the request that waits survives.
#[tokio::test]
async fn a_mistyped_password_is_asked_for_again() {
    let hub = Hub::start().await;
    hub.add_user("ada").await;
    let client_id = hub.registered(&public_client()).await;
    let mut browser = Browser::default();
    let query = encode(&authorize_pairs(&client_id));
    let page = browser.get(&hub, &format!("/authorize?{query}")).await;
    let form = Form::of(&page.text()).set("username", "ada");
    let answer = browser.submit(&hub, &form.set("password", "no")).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.text().contains("The name or the password is wrong."));
    let form = Form::of(&answer.text());
    assert_eq!(form.value("username"), "ada");
    let answer = browser.submit(&hub, &form.set("password", PASSWORD)).await;
    assert!(answer.text().contains("name=\"decision\""));
}

/// GEN-21: browsers apply `form-action` to the redirect after a form; the pages before it name
/// the place where the answer goes, and only that.
#[tokio::test]
async fn the_policy_of_the_forms_lets_the_answer_through() {
    let hub = Hub::start().await;
    hub.add_user("ada").await;
    for (redirect, source) in [
        (CALLBACK, "https://agent.example"),
        ("http://127.0.0.1:33418/callback", "http://127.0.0.1:33418"),
        ("http://localhost:8080/", "http://localhost:8080"),
        // No host in the grammar of policies: browsers ignore it, and would block the answer.
        ("http://[::1]:8080/callback", "http:"),
        ("com.example.agent:/callback", "com.example.agent:"),
    ] {
        let mut metadata = public_client();
        metadata["redirect_uris"] = json!([redirect]);
        let client_id = hub.registered(&metadata).await;
        let mut pairs = authorize_pairs(&client_id);
        pairs.retain(|(name, _)| *name != "redirect_uri");
        pairs.push(("redirect_uri", redirect));
        let mut browser = Browser::default();
        let page = browser
            .get(&hub, &format!("/authorize?{}", encode(&pairs)))
            .await;
        let consent = Browser::default()
            .reach_consent_by(&hub, &pairs, "ada")
            .await;
        for page in [page, consent] {
            let policy = page.header("content-security-policy");
            let wanted = format!("form-action 'self' {source};");
            assert!(policy.contains(&wanted), "{redirect}: {policy}");
        }
    }
    let plain = hub.get("/login").await;
    let policy = plain.header("content-security-policy");
    assert!(policy.contains("form-action 'self';"), "{policy}");
}

/// RU-09, RU-13, A3: an error goes nowhere by itself while nobody vouches for the client.
#[tokio::test]
async fn an_error_is_shown_before_it_is_sent_to_a_stranger() {
    let hub = Hub::start().await;
    let client_id = hub.registered(&public_client()).await;
    let with = |name: &'static str, value: &'static str| {
        let mut pairs = authorize_pairs(&client_id);
        pairs.retain(|(key, _)| *key != name);
        pairs.push((name, value));
        format!("/authorize?{}", encode(&pairs))
    };
    for (path, may_go_on) in [
        (with("redirect_uri", "https://evil.example/"), false),
        (with("client_id", "nobody"), false),
        (with("response_type", "token"), true),
        (with("scope", "unheard-of"), true),
        (with("code_challenge_method", "plain"), true),
        (with("prompt", "none"), true),
    ] {
        let answer = hub.get(&path).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path}");
        assert_eq!(answer.location(), "", "{path}");
        let page = answer.text();
        let link = format!("href=\"{CALLBACK}?");
        assert_eq!(page.contains(&link), may_go_on, "{path}: {page}");
        assert!(!page.contains("evil.example"), "{page}");
    }
}

/// PAR-01, PAR-02: a pushed request is walked like any other.
#[tokio::test]
async fn a_pushed_request_leads_to_the_same_page() {
    let hub = Hub::start().await;
    let client_id = hub.registered(&public_client()).await;
    let pushed = hub.post("/par", &authorize_pairs(&client_id)).await;
    assert_eq!(pushed.status, StatusCode::CREATED, "{}", pushed.text());
    assert_eq!(pushed.header("cache-control"), "no-store");
    let uri = pushed.json()["request_uri"].as_str().unwrap().to_owned();
    let pairs = [("client_id", client_id.as_str()), ("request_uri", &uri)];
    let answer = hub.get(&format!("/authorize?{}", encode(&pairs))).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert!(answer.text().contains("name=\"password\""));
}

/// Signing out ends the session, and only by the person's own form.
#[tokio::test]
async fn signing_out_needs_the_form_and_ends_the_session() {
    let hub = Hub::start().await;
    hub.add_user("ada").await;
    let mut browser = Browser::default();
    let page = browser.get(&hub, "/login").await;
    let form = Form::of(&page.text())
        .set("username", "ada")
        .set("password", PASSWORD);
    let page = browser.submit(&hub, &form).await;
    let out = Form::of(&page.text());
    assert_eq!(out.action, "/logout");
    browser
        .submit(&hub, &out.clone().set("csrf", "guess"))
        .await;
    let page = browser.get(&hub, "/account").await;
    assert!(page.text().contains("You are signed in"));
    let before = browser.cookies.clone();
    let page = browser.submit(&hub, &out).await;
    assert!(page.text().contains("You are signed out"));
    assert!(browser.cookies.is_empty(), "{:?}", browser.cookies);
    browser.cookies = before;
    let page = browser.get(&hub, "/account").await;
    assert!(!page.text().contains("You are signed in"));
}

/// OIDC-12, GEN-18: the token of a person who allowed `openid` opens `/userinfo`, by GET and by
/// POST, and a token without that scope is told what it lacks.
#[tokio::test]
async fn userinfo_answers_for_openid_alone() {
    let hub = Hub::start().await;
    hub.add_user("ada").await;
    let client_id = hub.registered(&public_client()).await;
    for (scope, status) in [
        ("openid mcp:read", StatusCode::OK),
        ("mcp:read", StatusCode::FORBIDDEN),
    ] {
        let mut pairs = authorize_pairs(&client_id);
        pairs.retain(|(name, _)| *name != "scope");
        pairs.push(("scope", scope));
        let mut browser = Browser::default();
        let consent = browser.reach_consent_by(&hub, &pairs, "ada").await;
        let location = allow(&hub, &mut browser, &consent.text()).await;
        let code = parameter(&location, "code").unwrap();
        let redeem = [
            ("grant_type", "authorization_code"),
            ("client_id", client_id.as_str()),
            ("code", &code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
        ];
        let tokens = hub.post("/token", &redeem).await.json();
        let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
        let headers = [("authorization", bearer.as_str())];
        let answer = hub.post_with("/userinfo", &[], &headers).await;
        assert_eq!(answer.status, status, "{scope}: {}", answer.text());
        assert_eq!(answer.header("cache-control"), "no-store");
        if status == StatusCode::OK {
            assert!(answer.json()["sub"].is_string());
        } else {
            let challenge = answer.header("www-authenticate");
            assert!(
                challenge.contains("error=\"insufficient_scope\""),
                "{challenge}"
            );
            assert!(challenge.contains("scope=\"openid\""), "{challenge}");
        }
    }
}

/// DCRM-04, DCRM-06, DCRM-10: a client reads, replaces and deletes its registration with the token
/// that it was given, and only after somebody approved it may it change.
#[tokio::test]
async fn a_client_manages_its_registration() {
    let hub = Hub::start().await;
    hub.add_user("ada").await;
    let registered = hub.register(&public_client()).await.json();
    let client_id = registered["client_id"].as_str().unwrap();
    let uri = registered["registration_client_uri"].as_str().unwrap();
    let path = uri.strip_prefix(ISSUER).unwrap();
    let call = async |method: &str, token: &str, body: String| {
        let request = crate::support::request(method, path)
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {token}"));
        hub.send(request.body(body.into()).unwrap()).await
    };
    let token = registered["registration_access_token"].as_str().unwrap();
    let read = call("GET", token, String::new()).await;
    assert_eq!(read.status, StatusCode::OK, "{}", read.text());
    assert_eq!(read.header("cache-control"), "no-store");
    assert_eq!(read.json()["redirect_uris"], registered["redirect_uris"]);
    let mut update = public_client();
    update["client_id"] = client_id.into();
    update["client_name"] = "Renamed".into();
    let early = call("PUT", token, update.to_string()).await;
    assert_eq!(early.status, StatusCode::FORBIDDEN, "{}", early.text());

    let mut browser = Browser::default();
    let consent = browser.reach_consent(&hub, client_id, "ada").await;
    allow(&hub, &mut browser, &consent.text()).await;
    let put = call("PUT", token, update.to_string()).await;
    assert_eq!(put.status, StatusCode::OK, "{}", put.text());
    let put = put.json();
    assert_eq!(put["client_name"], "Renamed");
    let next = put["registration_access_token"].as_str().unwrap();
    let old = call("GET", token, String::new()).await;
    assert_eq!(old.status, StatusCode::UNAUTHORIZED);
    let gone = call("DELETE", next, String::new()).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    assert_eq!(gone.header("cache-control"), "no-store");
    let after = call("GET", next, String::new()).await;
    assert_eq!(after.status, StatusCode::UNAUTHORIZED);
    let lost = hub
        .get(&format!(
            "/authorize?{}",
            encode(&authorize_pairs(client_id))
        ))
        .await;
    assert_eq!(lost.status, StatusCode::BAD_REQUEST);
}
