//! Introspection, revocation and `/userinfo`: who may see, end and use a token.

mod support;

use std::time::Duration;

use support::*;
use vestibule_engine::Shape;
use vestibule_protocol::{client_id::ClientKey, ids::GrantId, trust::Standing};
use vestibule_store::clients::StoredClient;

fn is_inactive(answer: &vestibule_protocol::token_response::IntrospectionResponse) -> bool {
    serde_json::to_value(answer).ok() == Some(serde_json::json!({"active": false}))
}

/// INT-01, INT-03: a resource server sees the tokens that are for it.
#[tokio::test]
async fn a_resource_server_sees_tokens_for_it() {
    let hub = Hub::start().await;
    let (client, _, tokens) = hub.public_session().await;
    // The slash makes no other resource of it (QUIRK-25).
    let (_, rs) = hub
        .add_resource_server(&["https://NOTES.example/mcp/"])
        .await;
    let answer = hub.introspect(&tokens.access_token, &rs).await.unwrap();
    let json = serde_json::to_value(&answer).unwrap();
    let body = claims(&tokens.access_token);
    assert_eq!(json["active"], true);
    assert_eq!(json["token_type"], "Bearer");
    assert_eq!(json["client_id"], client.client_id);
    for same in ["iss", "sub", "exp", "iat", "jti", "scope"] {
        assert_eq!(json[same], body[same], "{same}");
    }
    assert!(json["aud"] == NOTES || json["aud"] == serde_json::json!([NOTES]));
    assert!(
        json.as_object()
            .unwrap()
            .values()
            .all(|value| !value.is_null())
    );
}

/// INT-01, INT-04, INT-09, T25: others, and about anything else, hear `{"active":false}`.
#[tokio::test]
async fn whoever_may_not_see_a_token_hears_inactive() {
    let hub = Hub::builder().second_resource().start().await;
    let (_, user, tokens) = hub.public_session().await;
    let (_, rs) = hub.add_resource_server(&[NOTES]).await;
    let (_, other_rs) = hub.add_resource_server(&[FILES]).await;
    let json = confidential_client("client_secret_basic");
    let owner = hub
        .add_client("backend", &json, Some("secret-of-backend"))
        .await;
    let owner_auth = basic("backend", "secret-of-backend");
    let given = hub.grant(&owner, &user, &GrantSpec::default()).await;
    let own = hub
        .redeem_with(&given, &[("client_id", "")], Some(&owner_auth))
        .await
        .unwrap();

    let mut forged = tokens.access_token.clone();
    forged.pop();
    let refresh = tokens.refresh_token.unwrap();
    let own_refresh = own.refresh_token.unwrap();
    #[rustfmt::skip]
    let rows = [
        (&rs,         &tokens.access_token, true,  "token for the server"),
        (&other_rs,   &tokens.access_token, false, "token for another server"),
        (&owner_auth, &tokens.access_token, false, "token of another client"),
        (&owner_auth, &own.access_token,    true,  "own token"),
        (&owner_auth, &own_refresh,         true,  "own refresh token"),
        (&rs,         &own_refresh,         false, "refresh token at a resource server"),
        (&rs,         &refresh,             false, "refresh token at a resource server"),
        (&owner_auth, &refresh,             false, "refresh token of another client"),
        (&rs,         &forged,              false, "cut signature"),
        (&rs,         &"garbage".to_owned(), false, "garbage"),
    ];
    for (authorization, token, active, what) in rows {
        let answer = hub.introspect(token, authorization).await.unwrap();
        assert_eq!(answer.active, active, "{what}");
        assert!(answer.active || is_inactive(&answer), "{what}");
    }
}

/// INT-02: a public client, wrong credentials or none do not introspect.
#[tokio::test]
async fn introspection_wants_a_proof() {
    let hub = Hub::start().await;
    let (client, _, tokens) = hub.public_session().await;
    let (rs_id, _) = hub.add_resource_server(&[NOTES]).await;
    let token = tokens.access_token.as_str();
    let wrong = basic(&rs_id, "wrong");
    #[rustfmt::skip]
    let rows: &[(Params<'_>, Option<&str>, bool)] = &[
        (&[("token", token), ("client_id", &client.client_id)], None,         false),
        (&[("token", token), ("client_id", &rs_id)],            None,         false),
        (&[("token", token)],                                   Some(&wrong), true),
        (&[("token", token)],                                   None,         false),
    ];
    for (list, authorization, is_basic) in rows {
        let result = hub
            .engine
            .introspect(&pairs(list), *authorization, &source())
            .await;
        let (code, shape) = refusal(result).unwrap();
        assert_eq!(code, "invalid_client", "{list:?}");
        assert_eq!(shape, Shape::ClientAuth { basic: *is_basic }, "{list:?}");
    }
    let (_, rs) = hub.add_resource_server(&[NOTES]).await;
    let result = hub
        .engine
        .introspect(&pairs(&[]), Some(&rs), &source())
        .await;
    assert_eq!(outcome(&result), "invalid_request");
}

/// INT-05, T22, REV-07: expiry, revocation, person and client, each, though the signature was
/// found good before.
#[tokio::test]
async fn an_introspected_token_dies_with_whatever_it_stands_on() {
    let hub = Hub::start().await;
    let (_, rs) = hub.add_resource_server(&[NOTES]).await;
    let active = async |token: &str| hub.introspect(token, &rs).await.unwrap().active;

    let (client, _, tokens) = hub.public_session().await;
    assert!(active(&tokens.access_token).await);
    let until = hub.now().plus(Duration::from_hours(1));
    hub.store
        .remove_client(&client.key, until, false, hub.audit())
        .await
        .unwrap();
    assert!(!active(&tokens.access_token).await, "client deleted");

    let (_, user, tokens) = hub.public_session().await;
    assert!(active(&tokens.access_token).await);
    hub.store
        .set_disabled(&user, true, hub.audit())
        .await
        .unwrap();
    assert!(!active(&tokens.access_token).await, "user disabled");
    hub.store
        .set_disabled(&user, false, hub.audit())
        .await
        .unwrap();
    assert!(!active(&tokens.access_token).await, "its grant is gone");

    let (_, _, tokens) = hub.public_session().await;
    assert!(active(&tokens.access_token).await);
    let gid = claims(&tokens.access_token)["gid"]
        .as_str()
        .unwrap()
        .to_owned();
    let gid = GrantId::new(gid);
    hub.store.revoke_grant(&gid, hub.audit()).await.unwrap();
    assert!(!active(&tokens.access_token).await, "grant revoked");

    let (_, _, tokens) = hub.public_session().await;
    hub.advance(599).await;
    assert!(active(&tokens.access_token).await);
    hub.advance(1).await;
    assert!(!active(&tokens.access_token).await, "expired");
}

/// REV-01, REV-02, REV-03, REV-06: a refresh token given back ends the grant, whatever the hint.
#[tokio::test]
async fn a_refresh_token_given_back_ends_the_grant() {
    let hub = Hub::start().await;
    let (_, rs) = hub.add_resource_server(&[NOTES]).await;
    for hint in ["", "refresh_token", "access_token", "foo"] {
        let (client, _, tokens) = hub.public_session().await;
        let refresh = tokens.refresh_token.unwrap();
        let list = pairs(&[
            ("client_id", &client.client_id),
            ("token", &refresh),
            ("token_type_hint", hint),
        ]);
        hub.engine.revoke(&list, None, &source()).await.unwrap();
        let result = hub.refresh(&client.client_id, &refresh, &[]).await;
        assert_eq!(outcome(&result), "invalid_grant", "{hint}");
        assert!(
            !hub.introspect(&tokens.access_token, &rs)
                .await
                .unwrap()
                .active,
            "{hint}"
        );
        // Again is as good as once (REV-04).
        hub.engine.revoke(&list, None, &source()).await.unwrap();
    }
}

/// REV-06, REV-07: an access token given back ends alone, on every node.
#[tokio::test]
async fn an_access_token_given_back_ends_alone() {
    let hub = Hub::start().await;
    let node = hub.second_node().await;
    let (_, rs) = hub.add_resource_server(&[NOTES]).await;
    let (client, _, tokens) = hub.public_session().await;
    assert!(
        node.introspect(&tokens.access_token, &rs)
            .await
            .unwrap()
            .active
    );
    let list = pairs(&[
        ("client_id", &client.client_id),
        ("token", &tokens.access_token),
    ]);
    hub.engine.revoke(&list, None, &source()).await.unwrap();
    hub.engine.revoke(&list, None, &source()).await.unwrap();
    // Here at once, there in the next second.
    node.stall(1);
    for hub in [&hub, &node] {
        assert!(
            !hub.introspect(&tokens.access_token, &rs)
                .await
                .unwrap()
                .active
        );
    }
    let refresh = tokens.refresh_token.unwrap();
    let next = hub.refresh(&client.client_id, &refresh, &[]).await.unwrap();
    assert!(
        hub.introspect(&next.access_token, &rs)
            .await
            .unwrap()
            .active
    );
}

/// REV-04, REV-05, REV-09, T5: garbage is fine, another client's token is not, and nothing of it
/// is revoked.
#[tokio::test]
async fn only_the_owner_revokes() {
    let hub = Hub::start().await;
    let (_, rs) = hub.add_resource_server(&[NOTES]).await;
    let (client, _, tokens) = hub.public_session().await;
    hub.add_client("other", &public_client(), None).await;
    let json = confidential_client("client_secret_post");
    hub.add_client("backend", &json, Some("secret-of-backend"))
        .await;
    let (access, refresh) = (tokens.access_token, tokens.refresh_token.unwrap());
    #[rustfmt::skip]
    let rows: &[(&[(&str, &str)], &str)] = &[
        (&[("client_id", "other"), ("token", &access)],                          "invalid_grant"),
        (&[("client_id", "other"), ("token", &refresh)],                         "invalid_grant"),
        (&[("client_id", "other"), ("token", "garbage")],                        "ok"),
        (&[("client_id", "other"), ("token", "rt_AAAA")],                        "ok"),
        (&[("client_id", "other")],                                              "invalid_request"),
        (&[("client_id", "other"), ("token", "")],                               "invalid_request"),
        (&[("client_id", "nobody"), ("token", &access)],                         "invalid_client"),
        (&[("client_id", "backend"), ("token", &access)],                        "invalid_client"),
        (&[("client_id", "backend"), ("client_secret", "x"), ("token", &access)], "invalid_client"),
        (&[("token", &access)],                                                  "invalid_client"),
    ];
    for (list, expected) in rows {
        let result = hub.engine.revoke(&pairs(list), None, &source()).await;
        assert_eq!(outcome(&result), *expected, "{list:?}");
    }
    assert!(hub.introspect(&access, &rs).await.unwrap().active);
    assert_eq!(
        outcome(&hub.refresh(&client.client_id, &refresh, &[]).await),
        "ok"
    );
}

/// OIDC-11, OIDC-12: scope by scope.
#[tokio::test]
async fn userinfo_tells_what_was_granted() {
    let hub = Hub::start().await;
    let client = hub.add_client("agent", &public_client(), None).await;
    let user = hub.add_quick_user("ada").await;
    let (name, mail) = ("ada the tester", "ada@people.example");
    #[rustfmt::skip]
    let rows = [
        ("openid",               serde_json::json!({"sub": "u_ada"})),
        ("openid profile",       serde_json::json!({"sub": "u_ada", "name": name, "preferred_username": "ada"})),
        ("openid email",         serde_json::json!({"sub": "u_ada", "email": mail, "email_verified": false})),
        ("openid mcp:read",      serde_json::json!({"sub": "u_ada"})),
    ];
    for (scopes, expected) in rows {
        let given = hub
            .grant(
                &client,
                &user,
                &GrantSpec {
                    scopes,
                    ..GrantSpec::default()
                },
            )
            .await;
        let tokens = hub.redeem(&given).await.unwrap();
        let answer = hub
            .engine
            .userinfo(Some(&tokens.access_token), &source())
            .await
            .unwrap();
        assert_eq!(serde_json::to_value(&answer).unwrap(), expected, "{scopes}");
    }
}

/// OIDC-12, OIDC-13, GEN-18, T25: what is not an access token with `openid` is refused by kind.
#[tokio::test]
async fn userinfo_refuses_by_kind() {
    let hub = Hub::start().await;
    let (client, user, plain) = hub.public_session().await;
    let spec = GrantSpec {
        scopes: "openid mcp:read",
        ..GrantSpec::default()
    };
    let given = hub.grant(&client, &user, &spec).await;
    let tokens = hub.redeem(&given).await.unwrap();
    let ask = async |token: Option<&str>| {
        refusal(hub.engine.userinfo(token, &source()).await).map(|(_, shape)| shape)
    };
    assert_eq!(ask(None).await, Some(Shape::BearerMissing));
    assert_eq!(ask(Some("garbage")).await, Some(Shape::BearerInvalid));
    assert_eq!(
        ask(tokens.id_token.as_deref()).await,
        Some(Shape::BearerInvalid)
    );
    assert_eq!(
        ask(tokens.refresh_token.as_deref()).await,
        Some(Shape::BearerInvalid)
    );
    let missing = Shape::BearerScope {
        scope: "openid".to_owned(),
    };
    assert_eq!(ask(Some(&plain.access_token)).await, Some(missing));
    assert_eq!(ask(Some(&tokens.access_token)).await, None);
    hub.store
        .set_disabled(&user, true, hub.audit())
        .await
        .unwrap();
    assert_eq!(
        ask(Some(&tokens.access_token)).await,
        Some(Shape::BearerInvalid)
    );
    hub.store
        .set_disabled(&user, false, hub.audit())
        .await
        .unwrap();
    hub.advance(601).await;
    assert_eq!(
        ask(Some(&tokens.access_token)).await,
        Some(Shape::BearerInvalid)
    );
}

/// A client that acts for itself.
async fn add_machine(hub: &Hub, scopes: Option<&str>) -> String {
    let json = serde_json::json!({
        "client_name": "Nightly job",
        "token_endpoint_auth_method": "client_secret_basic",
        "grant_types": ["client_credentials"],
        "response_types": [],
        "redirect_uris": [],
    });
    let client = StoredClient {
        standing: Standing::FirstParty,
        secret_hash: Some(vestibule_seal::sha256(b"secret-of-the-job")),
        machine_scopes: scopes.map(str::to_owned),
        ..stored_client(hub, "job", &json)
    };
    hub.add_stored(client).await;
    basic("job", "secret-of-the-job")
}

/// AC-10, AC-16, AT-06, R22, RI-12: a client acts for itself, and never looks like a person.
#[tokio::test]
async fn a_machine_gets_a_token_of_its_own() {
    let hub = Hub::start().await;
    let job = add_machine(&hub, Some("mcp:read mcp:write")).await;
    let list = [("grant_type", "client_credentials")];
    let tokens = hub.token(&list, Some(&job)).await.unwrap();
    assert_eq!(tokens.refresh_token, None);
    assert_eq!(tokens.id_token, None);
    assert_eq!(tokens.scope, "mcp:read mcp:write");
    assert_eq!(tokens.expires_in, 3_600);
    let body = claims(&tokens.access_token);
    assert_eq!(
        body["sub"],
        format!("client:{}", ClientKey::of("job").short())
    );
    assert_eq!(body["client_id"], "job");
    assert_eq!(body["aud"], NOTES);
    assert!(body.get("gid").is_none());
    assert!(body.get("auth_time").is_none());
    let (_, rs) = hub.add_resource_server(&[NOTES]).await;
    assert!(
        hub.introspect(&tokens.access_token, &rs)
            .await
            .unwrap()
            .active
    );
    let list = pairs(&[("token", &tokens.access_token)]);
    hub.engine
        .revoke(&list, Some(&job), &source())
        .await
        .unwrap();
    assert!(
        !hub.introspect(&tokens.access_token, &rs)
            .await
            .unwrap()
            .active
    );
}

/// AC-09, AC-10, RI-02, RI-04, RI-09, T24: what a machine may not have.
#[tokio::test]
async fn a_machine_gets_no_more_than_was_set_for_it() {
    let hub = Hub::builder().second_resource().start().await;
    let job = add_machine(&hub, Some("mcp:read openid")).await;
    #[rustfmt::skip]
    let rows: &[(&[(&str, &str)], &str)] = &[
        (&[("resource", NOTES)],                                   "ok"),
        (&[("resource", NOTES), ("scope", "mcp:read")],            "ok"),
        (&[("resource", FILES), ("scope", "")],                    "ok"),
        (&[("resource", NOTES), ("scope", "mcp:write")],           "invalid_scope"),
        (&[("resource", NOTES), ("scope", "openid")],              "invalid_scope"),
        (&[],                                                      "invalid_target"),
        (&[("resource", "https://evil.example/")],                 "invalid_target"),
        (&[("resource", "https://notes.example/mcp#x")],           "invalid_target"),
        (&[("resource", NOTES), ("resource", FILES)],              "invalid_target"),
    ];
    for (more, expected) in rows {
        let mut list = vec![("grant_type", "client_credentials")];
        list.extend(*more);
        assert_eq!(
            outcome(&hub.token(&list, Some(&job)).await),
            *expected,
            "{more:?}"
        );
    }
}

/// DCR-27, R12: nobody vouched for it, so it may not act for itself.
#[tokio::test]
async fn a_client_without_machine_scopes_does_not_act_for_itself() {
    let hub = Hub::start().await;
    let job = add_machine(&hub, None).await;
    let list = [("grant_type", "client_credentials")];
    assert_eq!(
        outcome(&hub.token(&list, Some(&job)).await),
        "unauthorized_client"
    );
}
