//! Sign in, consent, and come back with codes and tokens: an agent without a library.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{PASSWORD, PERSON, Stage, http};

/// Where codes go.
pub const CALLBACK: &str = "http://127.0.0.1:40404/callback";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// Register it; gives its `client_id`.
///
/// # Panics
/// When the hub does not register it.
pub async fn register(stage: &Stage) -> String {
    let body = r#"{"client_name":"Agent","redirect_uris":["http://127.0.0.1/callback"],"grant_types":["authorization_code","refresh_token"],"token_endpoint_auth_method":"none"}"#;
    let url = format!("{}/register", stage.issuer);
    let answer = http::post(&url, "application/json", "", body)
        .await
        .expect("an answer");
    assert_eq!(answer.status, 201, "{}", answer.body);
    answer.member("client_id")
}

/// The session cookie of [`PERSON`].
///
/// # Panics
/// When the person cannot sign in.
pub async fn sign_in(stage: &Stage) -> String {
    sign_in_as(stage, PERSON).await
}

/// The session cookie of an account with the usual password.
///
/// # Panics
/// When the person cannot sign in.
pub async fn sign_in_as(stage: &Stage, person: &str) -> String {
    let page = http::get(&format!("{}/login", stage.issuer), "")
        .await
        .expect("an answer");
    let pre = page.cookie("vst-pre").expect("an answer");
    let csrf = page.hidden("csrf").expect("an answer");
    let form = http::form(&[
        ("csrf", &csrf),
        ("username", person),
        ("password", PASSWORD),
    ]);
    let url = format!("{}/login", stage.issuer);
    let cookie = format!("vst-pre={pre}");
    let answer = http::post_form(&url, &cookie, &form)
        .await
        .expect("an answer");
    format!(
        "vst-session={}",
        answer.cookie("vst-session").expect("an answer")
    )
}

/// A code for the client; none if the hub ended before.
pub async fn code(stage: &Stage, client: &str, session: &str) -> Option<String> {
    let query = http::form(&[
        ("response_type", "code"),
        ("client_id", client),
        ("redirect_uri", CALLBACK),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
        ("scope", "mcp:read"),
    ]);
    let page = http::get(&format!("{}/authorize?{query}", stage.issuer), session).await?;
    let form = http::form(&[
        ("ticket", &page.hidden("ticket")?),
        ("csrf", &page.hidden("csrf")?),
        ("decision", "approve"),
        ("scope", "mcp:read"),
    ]);
    let answer = http::post_form(&format!("{}/consent", stage.issuer), session, &form).await?;
    let location = answer.header("location")?;
    let (_, rest) = location.split_once("code=")?;
    rest.split('&').next().map(str::to_owned)
}

/// `POST /token` with a code.
pub async fn redeem(stage: &Stage, client: &str, code: &str) -> Option<http::Answer> {
    token(
        stage,
        &[
            ("grant_type", "authorization_code"),
            ("client_id", client),
            ("code", code),
            ("code_verifier", VERIFIER),
        ],
    )
    .await
}

/// `POST /token` with a refresh token.
pub async fn refresh(stage: &Stage, client: &str, token_shown: &str) -> Option<http::Answer> {
    token(
        stage,
        &[
            ("grant_type", "refresh_token"),
            ("client_id", client),
            ("refresh_token", token_shown),
        ],
    )
    .await
}

async fn token(stage: &Stage, pairs: &[(&str, &str)]) -> Option<http::Answer> {
    http::post_form(&format!("{}/token", stage.issuer), "", &http::form(pairs)).await
}

/// Register, sign in, consent and redeem; gives the answer of the token endpoint.
///
/// # Panics
/// When a step fails.
pub async fn session(stage: &Stage) -> (String, http::Answer) {
    let client = register(stage).await;
    let person = sign_in(stage).await;
    let code = code(stage, &client, &person).await.expect("a code");
    let answer = redeem(stage, &client, &code).await.expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.body);
    (client, answer)
}

/// What the header of a signed token says.
///
/// # Panics
/// When it is not one.
pub fn header_of(token: &str) -> serde_json::Value {
    let (header, _) = token.split_once('.').expect("three segments");
    let bytes = URL_SAFE_NO_PAD.decode(header).expect("base64url");
    serde_json::from_slice(&bytes).expect("JSON")
}

/// Say hello to the protected MCP server.
///
/// # Panics
/// When it does not answer.
pub async fn call(stage: &Stage, token: &str) -> http::Answer {
    let message = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"conformance","version":"1"}}}"#;
    let headers = format!(
        "authorization: Bearer {token}\r\naccept: application/json, text/event-stream\r\n\
         content-type: application/json\r\n"
    );
    let answer = http::exchange_with("POST", &stage.resource, &headers, message).await;
    answer.expect("the MCP server answers")
}
