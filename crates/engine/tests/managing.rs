//! `/register/{client_id}` (RFC 7592), before and after a person approved.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "what surprises a test should end it"
)]

mod support;

use serde_json::{Value, json};
use support::{visit::*, *};
use vestibule_engine::{Problem, Shape};
use vestibule_protocol::registration::RegistrationResponse;
use vestibule_store::clients::ClientLookup;

/// A registered client and its management token.
struct Registered {
    id: String,
    token: String,
    body: Value,
    response: Value,
}

async fn register(hub: &Hub, body: Value) -> Registered {
    let response = serde_json::to_value(hub.register(&body).await).unwrap();
    Registered {
        id: response["client_id"].as_str().unwrap().to_owned(),
        token: response["registration_access_token"]
            .as_str()
            .unwrap()
            .to_owned(),
        body,
        response,
    }
}

/// Somebody approves it.
async fn approve(hub: &Hub, id: &str) -> Given {
    let mut visit = Visit::signed_in(hub, "ada").await;
    let page = consent(visit.ask(id, &[]).await);
    let location = redirect(visit.allow(&page, &["mcp:read"]).await);
    Given {
        code: answer(&location, "code").unwrap(),
        client_id: id.to_owned(),
        grant: vestibule_protocol::ids::GrantId::new("g_unknown"),
    }
}

async fn get(hub: &Hub, id: &str, token: Option<&str>) -> Result<RegistrationResponse, Problem> {
    hub.engine.read_registration(id, token, &source()).await
}

async fn put(hub: &Hub, one: &Registered, body: &Value) -> Result<RegistrationResponse, Problem> {
    let body = serde_json::to_vec(body).unwrap();
    let token = Some(one.token.as_str());
    hub.engine
        .update_registration(&one.id, token, &body, &source())
        .await
}

async fn delete(hub: &Hub, id: &str, token: Option<&str>) -> Result<(), Problem> {
    hub.engine.delete_registration(id, token, &source()).await
}

fn update_of(one: &Registered) -> Value {
    let mut body = one.body.clone();
    body["client_id"] = one.id.clone().into();
    body
}

const UNAUTHORIZED: (&str, Shape) = ("invalid_token", Shape::BearerInvalid);

fn is<T>(result: Result<T, Problem>, expected: (&str, Shape)) {
    assert_eq!(refusal(result), Some((expected.0.to_owned(), expected.1)));
}

/// DCRM-01, DCRM-02, DCRM-04, DCRM-05: before the first approval GET answers from the seal, PUT and
/// DELETE have nothing to act on, and nothing is written.
#[tokio::test]
async fn before_approval_a_registration_can_be_read_only() {
    let hub = Hub::start().await;
    let one = register(&hub, confidential_client("client_secret_basic")).await;
    let read = get(&hub, &one.id, Some(&one.token)).await.unwrap();
    assert_eq!(serde_json::to_value(read).unwrap(), one.response);
    assert_eq!(
        one.response["registration_client_uri"],
        format!("{ISSUER}/register/{}", one.id)
    );
    let forbidden = ("invalid_request", Shape::Forbidden);
    is(put(&hub, &one, &update_of(&one)).await, forbidden.clone());
    is(delete(&hub, &one.id, Some(&one.token)).await, forbidden);
    assert!(matches!(hub.lookup(&one.id).await, ClientLookup::NeverSeen));
}

/// DCRM-03, DCRM-13, DCRM-16, R16: an unknown client and any wrong token look alike; before and after
/// approval.
#[tokio::test]
async fn a_wrong_token_and_an_unknown_client_look_alike() {
    let hub = Hub::start().await;
    let one = register(&hub, confidential_client("client_secret_basic")).await;
    let other = register(&hub, public_client()).await;
    let secret = one.response["client_secret"].as_str().unwrap();
    for approved in [false, true] {
        if approved {
            approve(&hub, &one.id).await;
        }
        for token in [other.token.as_str(), secret, "", "vrt_x"] {
            is(get(&hub, &one.id, Some(token)).await, UNAUTHORIZED);
            is(delete(&hub, &one.id, Some(token)).await, UNAUTHORIZED);
        }
        is(get(&hub, "nobody", Some(&one.token)).await, UNAUTHORIZED);
        let missing = ("invalid_token", Shape::BearerMissing);
        is(get(&hub, &one.id, None).await, missing);
    }
    // No client that an admin made is managed here, whatever it is asked with.
    let made = hub.add_client("made", &public_client(), None).await;
    is(
        get(&hub, &made.client_id, Some(&one.token)).await,
        UNAUTHORIZED,
    );
}

/// DCRM-06, DCRM-09, DCRM-10, DCRM-14: PUT replaces everything and the token; what stored clients hold
/// as hashes is left out of GET (DCRM-05 b).
#[tokio::test]
async fn put_replaces_everything_and_the_token() {
    let hub = Hub::start().await;
    let mut body = confidential_client("client_secret_post");
    body["client_uri"] = json!("https://agent.example/");
    let one = register(&hub, body).await;
    approve(&hub, &one.id).await;
    let mut update = update_of(&one);
    update.as_object_mut().unwrap().remove("client_uri");
    update["client_name"] = json!("Renamed");
    update["client_secret"] = one.response["client_secret"].clone();
    let answered = put(&hub, &one, &update).await.unwrap();
    let answered = serde_json::to_value(answered).unwrap();
    assert_eq!(answered["client_name"], "Renamed");
    assert!(answered.get("client_uri").is_none());
    let next = answered["registration_access_token"].as_str().unwrap();
    assert_ne!(next, one.token);

    is(get(&hub, &one.id, Some(&one.token)).await, UNAUTHORIZED);
    hub.advance(5 * 365 * 24 * 3600).await;
    let read = get(&hub, &one.id, Some(next)).await.unwrap();
    let read = serde_json::to_value(read).unwrap();
    assert_eq!(read["client_name"], "Renamed");
    for hashed in ["client_secret", "registration_access_token"] {
        assert!(read.get(hashed).is_none(), "{hashed}");
    }
}

/// DCRM-07, DCRM-08, DCRM-17, R14, R21: what an update may not say, each 400, and nothing changes.
#[tokio::test]
async fn what_an_update_may_not_say() {
    let hub = Hub::start().await;
    let one = register(&hub, confidential_client("client_secret_basic")).await;
    approve(&hub, &one.id).await;
    #[rustfmt::skip]
    let rows = [
        ("registration_access_token",  json!(one.token),                    "invalid_client_metadata"),
        ("registration_client_uri",    json!("https://hub.example/x"),      "invalid_client_metadata"),
        ("client_secret_expires_at",   json!(0),                            "invalid_client_metadata"),
        ("client_id_issued_at",        json!(START),                        "invalid_client_metadata"),
        ("client_id",                  json!("other"),                      "invalid_client_metadata"),
        ("client_secret",              json!("chosen"),                     "invalid_client_metadata"),
        ("token_endpoint_auth_method", json!("none"),                       "invalid_client_metadata"),
        ("grant_types",                json!(["client_credentials"]),       "invalid_client_metadata"),
        ("redirect_uris",              json!(["javascript:alert(1)"]),      "invalid_redirect_uri"),
        ("redirect_uris",              json!(["https://evil.example/cb"]),  "invalid_redirect_uri"),
        ("redirect_uris",              json!([CALLBACK, "cursor://x/cb"]),  "invalid_redirect_uri"),
        ("redirect_uris",              json!([]),                           "invalid_redirect_uri"),
    ];
    for (name, value, code) in rows {
        let mut update = update_of(&one);
        update[name] = value;
        let result = put(&hub, &one, &update).await;
        assert_eq!(outcome(&result), code, "{name}");
    }
    let mut update = update_of(&one);
    update.as_object_mut().unwrap().remove("client_id");
    assert_eq!(
        outcome(&put(&hub, &one, &update).await),
        "invalid_client_metadata"
    );
    // Another path on the host that it has is fine, and the token from the start is still the one.
    let mut update = update_of(&one);
    update["redirect_uris"] = json!(["https://agent.example/other"]);
    assert!(put(&hub, &one, &update).await.is_ok());
}

/// DCRM-18: whoever changes redirect URIs, keys or name voids the codes that are out.
#[tokio::test]
async fn a_change_of_redirects_voids_codes() {
    let hub = Hub::start().await;
    let one = register(&hub, public_client()).await;
    let given = approve(&hub, &one.id).await;
    let mut update = update_of(&one);
    update["redirect_uris"] = json!([CALLBACK, "https://agent.example/other"]);
    put(&hub, &one, &update).await.unwrap();
    assert_eq!(outcome(&hub.redeem(&given).await), "invalid_grant");
}

/// DCRM-19: of parallel updates and a deletion no half client is left.
#[tokio::test]
async fn updates_and_a_deletion_at_once_leave_no_half_client() {
    let hub = Hub::start().await;
    let one = register(&hub, public_client()).await;
    approve(&hub, &one.id).await;
    let update = update_of(&one);
    let _ = tokio::join!(
        put(&hub, &one, &update),
        put(&hub, &one, &update),
        delete(&hub, &one.id, Some(&one.token)),
    );
    match hub.lookup(&one.id).await {
        ClientLookup::Gone => {}
        ClientLookup::Active(row) => assert_eq!(row.client_id, one.id),
        other => assert!(matches!(other, ClientLookup::Gone), "{other:?}"),
    }
}

/// DCRM-11, QUIRK-32, DCR-28: after DELETE everything of the client is over, and its id, though the
/// seal still opens, does not come back.
#[tokio::test]
async fn delete_ends_everything_for_good() {
    let hub = Hub::start().await;
    let one = register(&hub, public_client()).await;
    let given = approve(&hub, &one.id).await;
    let tokens = hub.redeem(&given).await.unwrap();
    let (_, rs) = hub.add_resource_server(&[NOTES]).await;
    delete(&hub, &one.id, Some(&one.token)).await.unwrap();

    let refresh = tokens.refresh_token.unwrap();
    let refreshed = hub.refresh(&one.id, &refresh, &[]).await;
    assert_eq!(outcome(&refreshed), "invalid_client");
    assert!(
        !hub.introspect(&tokens.access_token, &rs)
            .await
            .unwrap()
            .active
    );
    is(get(&hub, &one.id, Some(&one.token)).await, UNAUTHORIZED);
    let mut visit = Visit::signed_in(&hub, "ada").await;
    let page = shown(visit.ask(&one.id, &[]).await);
    assert_eq!(page.title, "Reconnect your app");
    hub.advance(89 * 24 * 3600).await;
    let mut visit = Visit::signed_in(&hub, "ada").await;
    shown(visit.ask(&one.id, &[]).await);
}
