//! What a client holds after a person allowed it, and what follows from a second time.

#![expect(clippy::unwrap_used, reason = "what surprises a test should end it")]

use serde_json::Value;
use vestibule_conformance::{Doors, PASSWORD, PERSON, Stage, http};

const CALLBACK: &str = "http://127.0.0.1:40404/callback";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// Sign in and allow; gives where the browser is sent.
async fn allowed(stage: &Stage, client: &str) -> String {
    let query = http::form(&[
        ("response_type", "code"),
        ("client_id", client),
        ("redirect_uri", CALLBACK),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
        ("scope", "mcp:read"),
        ("state", "s"),
    ]);
    let page = http::get(&format!("{}/authorize?{query}", stage.issuer), "")
        .await
        .unwrap();
    let pre = format!("vst-pre={}", page.cookie("vst-pre").unwrap());
    let form = http::form(&[
        ("ticket", &page.hidden("ticket").unwrap()),
        ("csrf", &page.hidden("csrf").unwrap()),
        ("username", PERSON),
        ("password", PASSWORD),
    ]);
    let page = http::post_form(&format!("{}/login", stage.issuer), &pre, &form)
        .await
        .unwrap();
    let session = format!("vst-session={}", page.cookie("vst-session").unwrap());
    let form = http::form(&[
        ("ticket", &page.hidden("ticket").unwrap()),
        ("csrf", &page.hidden("csrf").unwrap()),
        ("decision", "approve"),
        ("scope", "mcp:read"),
    ]);
    let answer = http::post_form(&format!("{}/consent", stage.issuer), &session, &form)
        .await
        .unwrap();
    answer.header("location").unwrap().to_owned()
}

fn code_of(location: &str) -> String {
    let (_, rest) = location.split_once("code=").unwrap();
    rest.split('&').next().unwrap().to_owned()
}

async fn token(stage: &Stage, pairs: &[(&str, &str)]) -> http::Answer {
    let url = format!("{}/token", stage.issuer);
    http::post_form(&url, "", &http::form(pairs)).await.unwrap()
}

async fn redeem(stage: &Stage, client: &str, code: &str, verifier: Option<&str>) -> http::Answer {
    let mut pairs = vec![
        ("grant_type", "authorization_code"),
        ("client_id", client),
        ("code", code),
    ];
    pairs.extend(verifier.map(|verifier| ("code_verifier", verifier)));
    token(stage, &pairs).await
}

async fn refresh(stage: &Stage, client: &str, shown: &str) -> http::Answer {
    token(
        stage,
        &[
            ("grant_type", "refresh_token"),
            ("client_id", client),
            ("refresh_token", shown),
        ],
    )
    .await
}

/// QUIRK-17: one document stands for all installations; a second one logs the first out of nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_installation_leaves_the_first_alone() {
    let stage = Stage::start(Doors::default()).await;
    let client = stage.documents.url("agent.json");
    let first = code_of(&allowed(&stage, &client).await);
    let first = redeem(&stage, &client, &first, Some(VERIFIER))
        .await
        .member("refresh_token");
    let second = code_of(&allowed(&stage, &client).await);
    let second = redeem(&stage, &client, &second, Some(VERIFIER))
        .await
        .member("refresh_token");
    for kept in [&first, &second] {
        let answer = refresh(&stage, &client, kept).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
}

/// MCP-05, BCP-03: without `resource` the token is for the one that was granted, it
/// lives shortly, and a public client's refresh token changes with each use.
#[tokio::test(flavor = "multi_thread")]
async fn a_public_client_gets_short_tokens_for_one_resource() {
    let stage = Stage::start(Doors::default()).await;
    let client = stage.documents.url("agent.json");
    let code = code_of(&allowed(&stage, &client).await);
    let answer = redeem(&stage, &client, &code, Some(VERIFIER)).await;
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    assert!(body["expires_in"].as_u64().unwrap() <= 900, "{body}");
    let asked = http::exchange(
        "POST",
        &stage.resource,
        "application/json",
        "",
        r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#,
    )
    .await
    .unwrap();
    assert_eq!(asked.status, 401, "the MCP server asks for a token");
    let claims = answer.member("access_token");
    let claims = claims.split('.').nth(1).unwrap();
    assert!(
        decoded(claims).contains(&format!("\"aud\":\"{}\"", stage.resource)),
        "{}",
        decoded(claims)
    );
    let shown = answer.member("refresh_token");
    let next = refresh(&stage, &client, &shown).await;
    assert_ne!(next.member("refresh_token"), shown);
}

/// PKCE-04, PKCE-06: a code says nothing of its challenge, and is worth nothing without the
/// verifier; a request without a challenge gives no code at all.
#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_worth_nothing_without_its_verifier() {
    let stage = Stage::start(Doors::default()).await;
    let client = stage.documents.url("agent.json");
    let location = allowed(&stage, &client).await;
    assert!(
        !location.contains(CHALLENGE) && !location.contains("S256"),
        "{location}"
    );
    let code = code_of(&location);
    for verifier in [None, Some(CHALLENGE), Some("short")] {
        let answer = redeem(&stage, &client, &code, verifier).await;
        assert_eq!(answer.status, 400, "{verifier:?}: {}", answer.body);
        assert!(!answer.body.contains(CHALLENGE));
    }
    let query = http::form(&[
        ("response_type", "code"),
        ("client_id", &client),
        ("redirect_uri", CALLBACK),
    ]);
    let refused = http::get(&format!("{}/authorize?{query}", stage.issuer), "")
        .await
        .unwrap();
    let told = refused.header("location").unwrap_or(&refused.body);
    assert!(
        told.contains("error=invalid_request") && !told.contains("code="),
        "{told}"
    );
}

/// Codes and tokens have room for 128 random bits (what fills them is tried where they are made),
/// and none of them repeats.
#[tokio::test(flavor = "multi_thread")]
async fn codes_and_tokens_are_long_and_never_alike() {
    let stage = Stage::start(Doors::default()).await;
    let client = stage.documents.url("agent.json");
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..3 {
        let code = code_of(&allowed(&stage, &client).await);
        let tokens = redeem(&stage, &client, &code, Some(VERIFIER)).await;
        for secret in [
            code,
            tokens.member("refresh_token"),
            tokens.member("access_token"),
        ] {
            assert!(secret.len() >= 22, "{secret}");
            assert!(seen.insert(secret));
        }
    }
}

fn decoded(text: &str) -> String {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (mut bits, mut held, mut bytes) = (0_u32, 0, Vec::new());
    for sign in text.chars() {
        bits = bits << 6 | u32::try_from(ALPHABET.find(sign).unwrap()).unwrap();
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from(bits >> held & 0xff).unwrap());
            bits &= (1 << held) - 1;
        }
    }
    String::from_utf8(bytes).unwrap()
}
