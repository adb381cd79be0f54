//! Registered clients without a row: their `client_id` is their registration, their secret follows
//! from it, and whatever they do leaves nothing in the store.

#![expect(clippy::unwrap_used, reason = "what surprises a test should end it")]

mod support;

use std::time::Duration;

use serde_json::json;
use support::*;
use vestibule_engine::{NewInitialToken, SettingsChange, Shape};
use vestibule_jwt::{Algorithm, JwkSet, SigningKey};
use vestibule_protocol::{
    audit::Actor, client_id::ClientKey, registration::RegistrationResponse, scope::ScopeSet,
    trust::DcrMode,
};
use vestibule_store::standings::{SubjectKind, Word};

/// Register a client that may act for itself, with an admin's initial access token.
async fn register_machine(hub: &Hub, json: &serde_json::Value) -> RegistrationResponse {
    let new = NewInitialToken {
        note: "nightly jobs".to_owned(),
        uses: 10,
        life: Duration::from_hours(1),
        scopes: Some(ScopeSet::from_text("mcp:read mcp:write")),
        redirect_hosts: Vec::new(),
        client_credentials: true,
    };
    let token = hub
        .engine
        .issue_initial_token(new, Actor::System)
        .await
        .unwrap();
    let body = serde_json::to_vec(json).unwrap();
    let token = token.expose().as_str();
    hub.engine
        .register(&body, Some(token), &source())
        .await
        .unwrap()
}

fn machine(method: &str) -> serde_json::Value {
    json!({
        "client_name": "Nightly job",
        "token_endpoint_auth_method": method,
        "grant_types": ["client_credentials"],
        "response_types": [],
    })
}

/// R13, CA-04, CA-06: a registered client's secret is enforced before its row exists.
#[tokio::test]
async fn the_secret_of_a_sealed_client_is_enforced() {
    let hub = Hub::start().await;
    let registered = hub
        .register(&confidential_client("client_secret_post"))
        .await;
    let id = registered.client_id();
    let secret = registered.client_secret().unwrap();
    let other = hub
        .register(&confidential_client("client_secret_post"))
        .await;
    #[rustfmt::skip]
    let rows = [
        (secret,                           "invalid_grant"),
        (other.client_secret().unwrap(),   "invalid_client"),
        ("wrong",                          "invalid_client"),
        ("",                               "invalid_client"),
    ];
    for (secret, expected) in rows {
        let list = [
            ("grant_type", "authorization_code"),
            ("client_id", id),
            ("client_secret", secret),
            ("code", "ac_none"),
            ("code_verifier", VERIFIER),
        ];
        assert_eq!(outcome(&hub.token(&list, None).await), expected, "{secret}");
    }
    assert_eq!(hub.store.count_clients().await.unwrap(), 0);
}

/// DCR-27, R12, AC-10: with an initial access token that allows it a registered client acts for
/// itself, within the token's clamp, and still has no row.
#[tokio::test]
async fn a_vouched_for_registration_acts_for_itself_within_its_clamp() {
    let hub = Hub::builder().dcr(DcrMode::Token).start().await;
    let registered = register_machine(&hub, &machine("client_secret_basic")).await;
    let auth = basic(registered.client_id(), registered.client_secret().unwrap());
    let tokens = hub
        .token(&[("grant_type", "client_credentials")], Some(&auth))
        .await
        .unwrap();
    assert_eq!(tokens.scope, "mcp:read mcp:write");
    let key = ClientKey::of(registered.client_id());
    assert_eq!(
        claims(&tokens.access_token)["sub"],
        format!("client:{}", key.short())
    );
    let list = [
        ("grant_type", "client_credentials"),
        ("scope", "mcp:delete"),
    ];
    assert_eq!(
        outcome(&hub.token(&list, Some(&auth)).await),
        "invalid_scope"
    );

    let (_, rs) = hub.add_resource_server(&[NOTES]).await;
    assert!(
        hub.introspect(&tokens.access_token, &rs)
            .await
            .unwrap()
            .active
    );
    let until = hub.now().plus(Duration::from_hours(1));
    hub.store
        .remove_client(&key, until, true, hub.audit())
        .await
        .unwrap();
    assert!(
        !hub.introspect(&tokens.access_token, &rs)
            .await
            .unwrap()
            .active,
        "blocked"
    );
    let again = hub
        .token(&[("grant_type", "client_credentials")], Some(&auth))
        .await;
    assert_eq!(outcome(&again), "invalid_client");
}

/// JCA-07, T11: an assertion of a client without a row is good once too, and writes nothing.
#[tokio::test]
async fn an_assertion_of_a_sealed_client_is_used_once_and_leaves_nothing() {
    let hub = Hub::builder().dcr(DcrMode::Token).start().await;
    let (key, _) = SigningKey::generate(Algorithm::Es256).unwrap();
    let mut body = machine("private_key_jwt");
    let jwks = JwkSet::of(vec![key.public_jwk().clone()]).to_json();
    body["jwks"] = serde_json::from_slice(&jwks).unwrap();
    let registered = register_machine(&hub, &body).await;
    let id = registered.client_id();
    let sign = |jti: &str| {
        let claims = json!({
            "iss": id, "sub": id, "aud": ISSUER, "jti": jti, "exp": START + 60,
        });
        key.sign(None, &serde_json::to_vec(&claims).unwrap())
            .unwrap()
    };
    let ask = async |assertion: &str| {
        let list = [
            ("grant_type", "client_credentials"),
            (
                "client_assertion_type",
                "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            ),
            ("client_assertion", assertion),
        ];
        refusal(hub.token(&list, None).await)
    };
    let (one, two) = (sign("one"), sign("two"));
    let refused = Some((
        "invalid_client".to_owned(),
        Shape::ClientAuth { basic: false },
    ));
    assert_eq!(ask(&one).await, None);
    assert_eq!(ask(&one).await, refused);
    assert_eq!(ask(&two).await, None);
    assert_eq!(hub.store.count_clients().await.unwrap(), 0);
}

/// Design 6, 7: there is no person to ask, so what speaks against a client that acts for itself it
/// does not get, today, whatever it had before; and it is judged again at each request.
#[tokio::test]
async fn what_speaks_against_a_machine_it_does_not_get() {
    const ALL: &str = "mcp:read mcp:write";
    let hub = Hub::builder().dcr(DcrMode::Token).start().await;
    let registered = register_machine(&hub, &machine("client_secret_basic")).await;
    let auth = basic(registered.client_id(), registered.client_secret().unwrap());
    let ask = async |scope: Option<&str>| {
        let mut list = vec![("grant_type", "client_credentials")];
        list.extend(scope.map(|scope| ("scope", scope)));
        match hub.token(&list, Some(&auth)).await {
            Ok(tokens) => tokens.scope,
            Err(problem) => code_of(&problem).to_owned(),
        }
    };
    let flag = |outcomes: &str| {
        format!(
            "@id(\"house\") {outcomes} @say(\"The house rule speaks\")\n\
             permit(principal, action == Action::\"flag\", resource);"
        )
    };
    let forbid = "@id(\"house\") forbid(principal, action == Action::\"grant\", resource)\n\
                  when { resource.access == Access::\"write\" };";
    #[rustfmt::skip]
    let rows = [
        // policies more, and what comes of asking for everything, for nothing in particular, to read
        (String::new(),                             ALL,                   ALL,                   "mcp:read"),
        (flag(r#"@outcome("unverified")"#),         ALL,                   ALL,                   "mcp:read"),
        (flag(r#"@outcome("read_only")"#),          "invalid_scope",       "mcp:read",            "mcp:read"),
        (flag(r#"@outcome("warn")"#),               "invalid_scope",       "mcp:read",            "mcp:read"),
        (forbid.to_owned(),                         "invalid_scope",       "mcp:read",            "mcp:read"),
        (flag(r#"@outcome("hold")"#),               "unauthorized_client", "unauthorized_client", "unauthorized_client"),
        (flag(r#"@outcome("block")"#),              "unauthorized_client", "unauthorized_client", "unauthorized_client"),
        (flag(r#"@outcome("warn") @risk("high")"#), "unauthorized_client", "unauthorized_client", "unauthorized_client"),
        (String::new(),                             ALL,                   ALL,                   "mcp:read"),
    ];
    for (policies, everything, nothing, reading) in rows {
        hub.replace_policies(&policies).await;
        assert_eq!(ask(Some(ALL)).await, everything, "{policies}");
        assert_eq!(ask(None).await, nothing, "{policies}");
        assert_eq!(ask(Some("mcp:read")).await, reading, "{policies}");
    }
    // Where it comes from counts for this request, and the next one from elsewhere is served.
    let listed = vec![source().ip.to_string()];
    hub.change(SettingsChange::ListedSources(listed)).await;
    assert_eq!(ask(None).await, "unauthorized_client");
    hub.change(SettingsChange::ListedSources(Vec::new())).await;
    assert_eq!(ask(None).await, ALL);
    // An admin's word is about the client, and ends it.
    let (kind, id) = (SubjectKind::Client, registered.client_id());
    let said = hub.engine.say(kind, id, Word::Blocked, "", None, "root");
    said.await.unwrap();
    assert_eq!(ask(None).await, "invalid_client");
}
