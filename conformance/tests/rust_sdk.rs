//! The official Rust SDK of MCP, by each door: sign-in, tool call, refresh, step-up.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "what surprises a test should end it"
)]

use rmcp::{
    ServiceExt as _,
    model::CallToolRequestParams,
    transport::{
        AuthClient, StreamableHttpClientTransport,
        auth::{AuthorizationRequest, OAuthState},
        streamable_http_client::StreamableHttpClientTransportConfig,
    },
};
use vestibule_conformance::{Doors, PASSWORD, PERSON, Stage, http};

const CALLBACK: &str = "http://127.0.0.1:40404/callback";

/// A person allows what an authorization URL asks for; gives where the browser is sent.
async fn allow(stage: &Stage, url: &str) -> String {
    let page = http::get(url, "").await.unwrap();
    let pre = page.cookie("vst-pre").unwrap();
    let form = http::form(&[
        ("ticket", &page.hidden("ticket").unwrap()),
        ("csrf", &page.hidden("csrf").unwrap()),
        ("username", PERSON),
        ("password", PASSWORD),
    ]);
    let login = format!("{}/login", stage.issuer);
    let page = http::post_form(&login, &format!("vst-pre={pre}"), &form)
        .await
        .unwrap();
    let session = format!("vst-session={}", page.cookie("vst-session").unwrap());
    let mut pairs = vec![
        ("ticket", page.hidden("ticket").unwrap()),
        ("csrf", page.hidden("csrf").unwrap()),
        ("decision", "approve".to_owned()),
    ];
    for scope in [
        "mcp:read",
        "mcp:write",
        "offline_access",
        "openid",
        "profile",
        "email",
    ] {
        if page.body.contains(&format!("value=\"{scope}\" checked")) {
            pairs.push(("scope", scope.to_owned()));
        }
    }
    let pairs: Vec<_> = pairs
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let consent = format!("{}/consent", stage.issuer);
    let answer = http::post_form(&consent, &session, &http::form(&pairs))
        .await
        .unwrap();
    answer
        .header("location")
        .unwrap_or_else(|| panic!("{}", answer.body))
        .to_owned()
}

async fn call(flow: OAuthState, stage: &Stage, tool: &'static str) -> String {
    let manager = flow.into_authorization_manager().unwrap();
    let client = AuthClient::new(reqwest::Client::new(), manager);
    let config = StreamableHttpClientTransportConfig::with_uri(stage.resource.as_str());
    let transport = StreamableHttpClientTransport::with_client(client, config);
    let service = ().serve(transport).await.unwrap();
    let arguments = serde_json::json!({"text": "hello"});
    let request =
        CallToolRequestParams::new(tool).with_arguments(arguments.as_object().unwrap().clone());
    let result = service.call_tool(request).await.unwrap();
    let text = serde_json::to_string(&result).unwrap();
    service.cancel().await.unwrap();
    text
}

async fn refresh_token(flow: &OAuthState) -> String {
    let (_, tokens) = flow.get_credentials().await.unwrap();
    let tokens = serde_json::to_value(tokens).unwrap();
    tokens["refresh_token"].as_str().unwrap().to_owned()
}

async fn walk(document: bool) {
    // The SDK's HTTP client takes the provider of the process.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let stage = Stage::start(Doors::default()).await;
    let request = || {
        let request = AuthorizationRequest::new(CALLBACK).with_client_name("Rust agent");
        let request = request.with_scopes(["mcp:read"]);
        if document {
            request.with_client_metadata_url(stage.documents.url("agent.json"))
        } else {
            request
        }
    };
    let mut flow = OAuthState::new(stage.resource.as_str(), None)
        .await
        .unwrap();
    flow.start_authorization(request()).await.unwrap();
    let url = flow.get_authorization_url().await.unwrap();
    let answered = allow(&stage, &url).await;
    flow.handle_callback_url(&answered).await.unwrap();
    let before = refresh_token(&flow).await;
    flow.refresh_token().await.unwrap();
    assert_ne!(
        refresh_token(&flow).await,
        before,
        "the refresh token did not rotate"
    );

    let url = flow
        .request_scope_upgrade("mcp:write", CALLBACK)
        .await
        .unwrap();
    assert!(
        url.contains("mcp%3Awrite") && url.contains("mcp%3Aread"),
        "{url}"
    );
    let answered = allow(&stage, &url).await;
    flow.handle_callback_url(&answered).await.unwrap();
    let told = call(flow, &stage, "write_note").await;
    assert!(told.contains("is kept"), "{told}");

    let mut flow = OAuthState::new(stage.resource.as_str(), None)
        .await
        .unwrap();
    flow.start_authorization(request()).await.unwrap();
    let url = flow.get_authorization_url().await.unwrap();
    let answered = allow(&stage, &url).await;
    flow.handle_callback_url(&answered).await.unwrap();
    let told = call(flow, &stage, "whoami").await;
    assert!(told.contains("scopes mcp:read"), "{told}");
    assert_eq!(
        told.contains(&stage.documents.url("agent.json")),
        document,
        "{told}"
    );
}

/// MCP-AS-14, QUIRK-39
#[tokio::test(flavor = "multi_thread")]
async fn the_rust_sdk_walks_in_by_registration() {
    walk(false).await;
}

/// MCP-AS-13
#[tokio::test(flavor = "multi_thread")]
async fn the_rust_sdk_walks_in_by_document() {
    walk(true).await;
}

/// MCP-RS-10: within one session the SDK hears what is missing, a person allows it, and the same
/// session goes on with the new token.
#[tokio::test(flavor = "multi_thread")]
async fn the_rust_sdk_is_told_what_it_lacks_and_goes_on_in_its_session() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let stage = Stage::start(Doors::default()).await;
    let mut flow = OAuthState::new(stage.resource.as_str(), None)
        .await
        .unwrap();
    let request = AuthorizationRequest::new(CALLBACK).with_scopes(["mcp:read"]);
    flow.start_authorization(request).await.unwrap();
    let url = flow.get_authorization_url().await.unwrap();
    flow.handle_callback_url(&allow(&stage, &url).await)
        .await
        .unwrap();
    let client = AuthClient::new(
        reqwest::Client::new(),
        flow.into_authorization_manager().unwrap(),
    );
    let manager = client.auth_manager.clone();
    let config = StreamableHttpClientTransportConfig::with_uri(stage.resource.as_str());
    let transport = StreamableHttpClientTransport::with_client(client, config);
    let service = ().serve(transport).await.unwrap();
    let arguments = serde_json::json!({"text": "hello"});
    let request = || {
        CallToolRequestParams::new("write_note")
            .with_arguments(arguments.as_object().unwrap().clone())
    };
    let refused = format!("{:?}", service.call_tool(request()).await.unwrap_err());
    assert!(
        refused.contains("insufficient_scope") && refused.contains("mcp:write"),
        "{refused}"
    );

    let url = manager
        .lock()
        .await
        .request_scope_upgrade("mcp:write")
        .await
        .unwrap();
    let answered = allow(&stage, &url).await;
    let query = answered.split_once('?').unwrap().1.to_owned();
    let value = |name: &str| {
        let found = query
            .split('&')
            .find_map(|pair| pair.strip_prefix(&format!("{name}=")));
        found.unwrap_or_default().to_owned()
    };
    let (code, csrf) = (value("code"), value("state"));
    let issuer = Some(stage.issuer.as_str());
    let exchanged = manager
        .lock()
        .await
        .exchange_code_for_token_with_issuer(&code, &csrf, issuer)
        .await;
    exchanged.unwrap();
    let told = serde_json::to_string(&service.call_tool(request()).await.unwrap()).unwrap();
    assert!(told.contains("is kept"), "{told}");
    service.cancel().await.unwrap();
}
