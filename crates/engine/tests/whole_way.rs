//! The whole way of an agent that nobody knows: in by either door, a person signs in and approves,
//! tokens, refresh, introspection, and back.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "what surprises a test should end it"
)]

mod support;

use serde_json::json;
use support::*;
use vestibule_jwt::{Algorithm, JwkSet, SigningKey};
use vestibule_protocol::{cimd_document, client_id::ClientKey, redirect_uri::RedirectPolicy};
use vestibule_store::clients::ClientLookup;

const DOCUMENT: &str = "https://agent.example/client.json";

/// Serve a client document.
fn serve_document(hub: &Hub, more: &serde_json::Value) -> Result<(), String> {
    let mut document = json!({
        "client_id": DOCUMENT,
        "client_name": "Agent",
        "redirect_uris": [CALLBACK],
        "grant_types": ["authorization_code", "refresh_token"],
    });
    for (name, value) in more.as_object().into_iter().flatten() {
        document[name.as_str()] = value.clone();
    }
    let read = cimd_document::read(
        document.to_string().as_bytes(),
        DOCUMENT,
        &RedirectPolicy::default(),
    );
    hub.documents
        .serve(DOCUMENT, read.map_err(|e| e.to_string())?.0);
    Ok(())
}

fn given(client_id: &str, code: String) -> Given {
    let grant = vestibule_protocol::ids::GrantId::new("g_unknown");
    Given {
        code,
        client_id: client_id.to_owned(),
        grant,
    }
}

/// Redeem, use, refresh and give back.
async fn live_and_die(hub: &Hub, client_id: &str, code: String) {
    let tokens = hub.redeem(&given(client_id, code.clone())).await.unwrap();
    let body = claims(&tokens.access_token);
    assert_eq!(body["aud"], NOTES);
    assert_eq!(body["client_id"], client_id);
    let (_, rs) = hub.add_resource_server(&[NOTES]).await;
    assert!(
        hub.introspect(&tokens.access_token, &rs)
            .await
            .unwrap()
            .active
    );
    let refresh = tokens.refresh_token.unwrap();
    let next = hub
        .refresh(client_id, &refresh, &[("resource", NOTES)])
        .await
        .unwrap();
    let list = pairs(&[
        ("client_id", client_id),
        ("token", next.refresh_token.as_ref().unwrap()),
    ]);
    hub.engine.revoke(&list, None, &source()).await.unwrap();
    assert!(
        !hub.introspect(&next.access_token, &rs)
            .await
            .unwrap()
            .active
    );
}

/// Invariant 1, DCR-12, AC-03, AC-04: a registration becomes a row when a person approves, and not
/// before.
#[tokio::test]
async fn an_agent_registers_and_lives() {
    let hub = Hub::start().await;
    hub.add_user("ada").await;
    let registered = hub.register(&public_client()).await;
    let id = registered.client_id();
    let found = hub.store.find_client(&ClientKey::of(id)).await.unwrap();
    assert!(matches!(found, ClientLookup::NeverSeen));
    let code = hub.walk_to_code(id, "mcp:read", "ada").await;
    let found = hub.store.find_client(&ClientKey::of(id)).await.unwrap();
    assert!(matches!(found, ClientLookup::Active(_)));
    live_and_die(&hub, id, code).await;
}

/// CIMD-54, MCP-03: a document without a method is a public client; the token endpoint never
/// fetches.
#[tokio::test]
async fn an_agent_with_a_document_lives() {
    let hub = Hub::start().await;
    hub.add_user("ada").await;
    serve_document(&hub, &json!({})).unwrap();
    let code = hub.walk_to_code(DOCUMENT, "mcp:read", "ada").await;
    hub.documents.withdraw(DOCUMENT);
    live_and_die(&hub, DOCUMENT, code).await;
}

/// A secret that was derived before promotion is right afterwards (design 4.1).
#[tokio::test]
async fn a_derived_secret_outlives_promotion() {
    let hub = Hub::start().await;
    hub.add_user("ada").await;
    let registered = hub
        .register(&confidential_client("client_secret_basic"))
        .await;
    let (id, secret) = (registered.client_id(), registered.client_secret().unwrap());
    let code = hub.walk_to_code(id, "mcp:read", "ada").await;
    let one = given(id, code);
    let wrong = hub.redeem_with(&one, &[], Some(&basic(id, "wrong"))).await;
    assert_eq!(outcome(&wrong), "invalid_client");
    let bare = hub.redeem_with(&one, &[], None).await;
    assert_eq!(outcome(&bare), "invalid_client");
    let tokens = hub
        .redeem_with(&one, &[], Some(&basic(id, secret)))
        .await
        .unwrap();
    assert!(tokens.refresh_token.is_some());
}

/// CIMD-55, CIMD-56, CIMD-62, CIMD-64, CIMD-65: a document that lists both methods may use either,
/// and is held to what it redeemed with; one that lists only the key must use it.
#[tokio::test]
async fn a_document_chooses_among_its_methods() {
    let (key, _) = SigningKey::generate(Algorithm::Es256).unwrap();
    let jwks = JwkSet::of(vec![key.public_jwk().clone()]).to_json();
    let jwks: serde_json::Value = serde_json::from_slice(&jwks).unwrap();
    let sign = |jti: &str| {
        let claims = json!({
            "iss": DOCUMENT, "sub": DOCUMENT, "aud": ISSUER, "jti": jti, "exp": START + 60,
        });
        key.sign(None, &serde_json::to_vec(&claims).unwrap())
            .unwrap()
    };
    let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    let methods = json!({
        "token_endpoint_auth_methods_supported": ["none", "private_key_jwt"],
        "jwks": jwks,
    });
    let hub = Hub::start().await;
    hub.add_user("ada").await;
    serve_document(&hub, &methods).unwrap();

    let bare = given(
        DOCUMENT,
        hub.walk_to_code(DOCUMENT, "mcp:read", "ada").await,
    );
    assert_eq!(outcome(&hub.redeem(&bare).await), "ok");

    let proven = given(
        DOCUMENT,
        hub.walk_to_code(DOCUMENT, "mcp:read", "ada").await,
    );
    let assertion = sign("first");
    let proof = [
        ("client_assertion_type", kind),
        ("client_assertion", assertion.as_str()),
    ];
    let tokens = hub.redeem_with(&proven, &proof, None).await.unwrap();
    let refresh = tokens.refresh_token.unwrap();
    assert_eq!(
        outcome(&hub.refresh(DOCUMENT, &refresh, &[]).await),
        "invalid_client"
    );

    let hub = Hub::start().await;
    hub.add_user("ada").await;
    let only = json!({"token_endpoint_auth_methods_supported": ["private_key_jwt"], "jwks": jwks});
    serve_document(&hub, &only).unwrap();
    let code = given(
        DOCUMENT,
        hub.walk_to_code(DOCUMENT, "mcp:read", "ada").await,
    );
    assert_eq!(outcome(&hub.redeem(&code).await), "invalid_client");
    let assertion = sign("second");
    let proof = [
        ("client_assertion_type", kind),
        ("client_assertion", assertion.as_str()),
    ];
    assert_eq!(outcome(&hub.redeem_with(&code, &proof, None).await), "ok");
}
