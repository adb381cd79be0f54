//! Rows of the specifications that only show from outside, in the answers of the built hub.

#![expect(clippy::unwrap_used, reason = "what surprises a test should end it")]

use std::{collections::BTreeSet, time::Instant};

use serde_json::{Value, json};
use vestibule_conformance::{Doors, Stage, http};

const CALLBACK: &str = "http://127.0.0.1:40404/callback";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

async fn json_of(url: &str) -> Value {
    let answer = http::get(url, "").await.unwrap();
    assert_eq!(answer.status, 200, "{url}: {}", answer.body);
    assert_eq!(
        answer.header("content-type"),
        Some("application/json"),
        "{url}"
    );
    serde_json::from_str(&answer.body).unwrap()
}

async fn register(stage: &Stage, body: &Value) -> http::Answer {
    let url = format!("{}/register", stage.issuer);
    http::post(&url, "application/json", "", &body.to_string())
        .await
        .unwrap()
}

fn agent() -> Value {
    json!({"client_name": "Agent", "redirect_uris": ["http://127.0.0.1/callback"], "token_endpoint_auth_method": "none"})
}

/// Ask for authorization; gives the page's status and text.
async fn authorize(issuer: &str, client: &str, redirect: &str) -> http::Answer {
    let query = http::form(&[
        ("response_type", "code"),
        ("client_id", client),
        ("redirect_uri", redirect),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ]);
    http::get(&format!("{issuer}/authorize?{query}"), "")
        .await
        .unwrap()
}

fn texts(value: &Value) -> BTreeSet<&str> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

/// MCP-02, MCP-CC-02, JCA-12: both discovery documents name the same issuer, PKCE, and how a
/// program proves itself.
#[tokio::test(flavor = "multi_thread")]
async fn both_discovery_documents_say_how_to_come_in() {
    let stage = Stage::start(Doors::default()).await;
    for name in ["oauth-authorization-server", "openid-configuration"] {
        let metadata = json_of(&format!("{}/.well-known/{name}", stage.issuer)).await;
        assert_eq!(metadata["issuer"], json!(stage.issuer), "{name}");
        assert_eq!(
            metadata["code_challenge_methods_supported"],
            json!(["S256"]),
            "{name}"
        );
        let methods = texts(&metadata["token_endpoint_auth_methods_supported"]);
        assert!(methods.contains("private_key_jwt"), "{name}: {methods:?}");
        assert!(
            methods.contains("client_secret_basic"),
            "{name}: {methods:?}"
        );
        let algorithms = texts(&metadata["token_endpoint_auth_signing_alg_values_supported"]);
        assert!(
            algorithms.contains("ES256") && !algorithms.contains("none"),
            "{algorithms:?}"
        );
    }
}

/// AS-14: the published keys are public, named, and for signatures.
#[tokio::test(flavor = "multi_thread")]
async fn published_keys_hold_nothing_private() {
    let stage = Stage::start(Doors::default()).await;
    let keys = json_of(&format!("{}/jwks.json", stage.issuer)).await;
    let keys = keys["keys"].as_array().unwrap();
    assert!(!keys.is_empty());
    for key in keys {
        for name in ["kid", "alg", "kty"] {
            assert!(key[name].is_string(), "{name}: {key}");
        }
        assert_eq!(key["use"], "sig", "{key}");
        for private in ["d", "p", "q", "dp", "dq", "qi", "k"] {
            assert!(key.get(private).is_none(), "{private}: {key}");
        }
    }
}

/// DCR-01, DCR-05: one object by POST gives 201 and is kept by nobody on the way.
#[tokio::test(flavor = "multi_thread")]
async fn a_registration_is_one_object_by_post() {
    let stage = Stage::start(Doors::default()).await;
    let url = format!("{}/register", stage.issuer);
    let made = register(&stage, &agent()).await;
    assert_eq!(made.status, 201, "{}", made.body);
    assert_eq!(made.header("content-type"), Some("application/json"));
    assert_eq!(made.header("cache-control"), Some("no-store"));
    assert!(
        serde_json::from_str::<Value>(&made.body)
            .unwrap()
            .is_object()
    );
    let asked = http::get(&url, "").await.unwrap();
    assert_eq!(asked.status, 405);
    assert!(asked.header("allow").unwrap().contains("POST"));
    assert_eq!(register(&stage, &json!([agent()])).await.status, 400);
}

/// DCRM-12: a method that a registration does not know is named as such, with those it knows.
#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_method_names_the_known_ones() {
    let stage = Stage::start(Doors::default()).await;
    let id = register(&stage, &agent()).await.member("client_id");
    let url = format!("{}/register/{id}", stage.issuer);
    let answer = http::exchange("PATCH", &url, "application/json", "", "{}")
        .await
        .unwrap();
    assert_eq!(answer.status, 405);
    let allowed = answer.header("allow").unwrap();
    for method in ["GET", "PUT", "DELETE"] {
        assert!(allowed.contains(method), "{method}: {allowed}");
    }
}

/// SLR-01, SLR-06: a registration that was changed, or made by another hub, is unknown; one that
/// would not fit into a URL is not made.
#[tokio::test(flavor = "multi_thread")]
async fn a_changed_or_foreign_registration_is_unknown() {
    let stage = Stage::start(Doors::default()).await;
    let other = Stage::start(Doors::default()).await;
    let id = register(&stage, &agent()).await.member("client_id");
    assert_eq!(authorize(&stage.issuer, &id, CALLBACK).await.status, 200);
    assert_eq!(authorize(&other.issuer, &id, CALLBACK).await.status, 400);
    for at in 4..id.len() {
        let mut changed = id.clone().into_bytes();
        let byte = changed.get_mut(at).unwrap();
        *byte = if *byte == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        let answer = authorize(&stage.issuer, &changed, CALLBACK).await;
        assert_eq!(answer.status, 400, "{at}: {changed}");
        assert!(answer.header("location").is_none());
    }
    let mut large = agent();
    let many: Vec<_> = (0..9)
        .map(|n| format!("https://agent{n}.example/{}", "a".repeat(190)))
        .collect();
    large["redirect_uris"] = json!(many);
    let refused = register(&stage, &large).await;
    assert_eq!(refused.status, 400);
    assert!(refused.body.contains("too large"), "{}", refused.body);
}

/// MCP-SBP-04: the redirect URI is compared, not matched by a pattern; only the port of loopback
/// is free.
#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_uri_is_compared_exactly() {
    let stage = Stage::start(Doors::default()).await;
    let mut body = agent();
    body["redirect_uris"] = json!([
        "https://agent.example/callback",
        "http://127.0.0.1/callback"
    ]);
    let id = register(&stage, &body).await.member("client_id");
    for good in ["https://agent.example/callback", CALLBACK] {
        assert_eq!(
            authorize(&stage.issuer, &id, good).await.status,
            200,
            "{good}"
        );
    }
    for bad in [
        "https://agent.example/callback/",
        "https://agent.example/callback?a=b",
        "https://agent.example:8443/callback",
        "https://evil.agent.example/callback",
        "https://agent.example.evil.example/callback",
        "https://agent.example/*",
        "https://AGENT.example/callback",
        "http://agent.example/callback",
        "http://127.0.0.1:1/callback/x",
        "http://127.0.0.1.evil.example/callback",
        "https://127.0.0.1/callback",
    ] {
        let answer = authorize(&stage.issuer, &id, bad).await;
        assert_eq!(answer.status, 400, "{bad}");
        assert!(answer.header("location").is_none(), "{bad}");
    }
}

/// JCA-10: however a proof fails, the answer is the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_proof_is_not_explained() {
    let stage = Stage::start(Doors::default()).await;
    let client = stage.documents.url("keyed.json");
    let mut answers = BTreeSet::new();
    for proof in [
        "x",
        "a.b.c",
        "eyJhbGciOiJub25lIn0.e30.",
        "eyJhbGciOiJFUzI1NiIsImtpZCI6ImsxIn0.e30.AAAA",
    ] {
        let body = http::form(&[
            ("grant_type", "refresh_token"),
            ("refresh_token", "rt_x"),
            ("client_id", &client),
            (
                "client_assertion_type",
                "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            ),
            ("client_assertion", proof),
        ]);
        let answer = http::post_form(&format!("{}/token", stage.issuer), "", &body)
            .await
            .unwrap();
        assert_eq!(answer.status, 401, "{proof}: {}", answer.body);
        assert_eq!(answer.member("error"), "invalid_client");
        answers.insert(answer.body);
    }
    assert_eq!(answers.len(), 1, "{answers:?}");
}

/// QUIRK-51: discovery, registration and a refused token request answer well within ten seconds,
/// also while a document is fetched for the first time.
#[tokio::test(flavor = "multi_thread")]
async fn programs_are_answered_in_time() {
    let stage = Stage::start(Doors::default()).await;
    let started = Instant::now();
    json_of(&format!(
        "{}/.well-known/oauth-authorization-server",
        stage.issuer
    ))
    .await;
    register(&stage, &agent()).await;
    authorize(&stage.issuer, &stage.documents.url("agent.json"), CALLBACK).await;
    let body = http::form(&[
        ("grant_type", "authorization_code"),
        ("code", "x"),
        ("client_id", "nobody"),
    ]);
    http::post_form(&format!("{}/token", stage.issuer), "", &body)
        .await
        .unwrap();
    let spent = started.elapsed();
    assert!(spent.as_secs() < 5, "{spent:?}");
}
