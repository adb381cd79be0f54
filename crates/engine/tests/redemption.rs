//! A code becomes tokens: who may redeem it, once, and what is in the tokens.

mod support;

use std::{sync::Arc, time::Duration};

use support::*;
use vestibule_engine::Shape;

/// AC-08, AC-04, AT-02, AT-03, AT-04, RI-03, GEN-14: one code, one set of tokens, as RFC 9068 wants
/// them.
#[tokio::test]
async fn a_code_becomes_an_access_token_for_its_resource() {
    let hub = Hub::start().await;
    let client = hub.add_client("agent", &public_client(), None).await;
    let user = hub.add_quick_user("ada").await;
    let given = hub.grant(&client, &user, &GrantSpec::default()).await;
    let tokens = hub.redeem(&given).await.unwrap();

    assert_eq!(tokens.token_type, "Bearer");
    assert_eq!(tokens.expires_in, 600);
    assert_eq!(tokens.scope, "mcp:read mcp:write");
    assert!(tokens.id_token.is_none());
    assert!(tokens.refresh_token.as_ref().unwrap().starts_with("rt_"));

    let head = header(&tokens.access_token);
    assert_eq!(head["typ"], "at+jwt");
    assert_eq!(head["alg"], "ES256");
    assert!(head["kid"].is_string());
    let body = claims(&tokens.access_token);
    assert_eq!(body["iss"], ISSUER);
    assert_eq!(body["aud"], NOTES);
    assert_eq!(body["sub"], "u_ada");
    assert_eq!(body["client_id"], "agent");
    assert_eq!(body["scope"], "mcp:read mcp:write");
    assert_eq!(body["iat"], START);
    assert_eq!(body["exp"], START + 600);
    assert_eq!(body["auth_time"], START);
    assert_eq!(body["gid"], given.grant.as_str());
    assert_eq!(body["ck"], client.key.short());
    assert_eq!(body["jti"].as_str().unwrap().len(), 22);
}

/// T5, AC-07, RU-10, PKCE-03, PKCE-05, RI-05: whatever does not belong to the code is refused, and
/// the code lives on for its client (T3, T4).
#[tokio::test]
async fn what_does_not_belong_to_the_code_is_refused_and_does_not_burn_it() {
    let hub = Hub::start().await;
    let client = hub.add_client("agent", &public_client(), None).await;
    hub.add_client("other", &public_client(), None).await;
    let user = hub.add_quick_user("ada").await;
    let given = hub.grant(&client, &user, &GrantSpec::default()).await;

    let long = "a".repeat(129);
    #[rustfmt::skip]
    let rows: &[(&str, &str, &str)] = &[
        ("client_id",     "other",                                         "invalid_grant"),
        ("client_id",     "nobody",                                        "invalid_client"),
        ("redirect_uri",  "https://agent.example/callback/",               "invalid_grant"),
        ("redirect_uri",  "https://agent.example:443/callback",            "invalid_grant"),
        ("redirect_uri",  "https://evil.example/callback",                 "invalid_grant"),
        ("code_verifier", "",                                              "invalid_grant"),
        ("code_verifier", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXl",   "invalid_grant"),
        ("code_verifier", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjX",    "invalid_grant"),
        ("code_verifier", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r+wW1gFWFOEjXk",   "invalid_grant"),
        ("code_verifier", &long,                                           "invalid_grant"),
        ("code",          "ac_unknown",                                    "invalid_grant"),
        ("resource",      FILES,                                           "invalid_target"),
        ("resource",      "https://notes.example/mcp-evil",                "invalid_target"),
    ];
    for (name, value, expected) in rows {
        let result = hub.redeem_with(&given, &[(name, value)], None).await;
        assert_eq!(outcome(&result), *expected, "{name}={value}");
    }
    assert!(hub.redeem(&given).await.is_ok(), "the code was burnt");
}

/// RU-10, QUIRK-26, RI-13: an OAuth 2.1 client repeats neither redirect URI nor resource; an MCP
/// client repeats both.
#[tokio::test]
async fn redirect_uri_and_resource_may_be_left_out_or_repeated() {
    let hub = Hub::start().await;
    let client = hub.add_client("agent", &public_client(), None).await;
    let user = hub.add_quick_user("ada").await;
    let rows: &[&[(&str, &str)]] = &[
        &[("redirect_uri", "")],
        &[("resource", NOTES)],
        &[("resource", "HTTPS://NOTES.example:443/mcp")],
        &[("resource", "https://notes.example/mcp/")],
        &[("resource", NOTES), ("resource", NOTES)],
        &[("foo", "bar")],
    ];
    for more in rows {
        let given = hub.grant(&client, &user, &GrantSpec::default()).await;
        let tokens = hub.redeem_with(&given, more, None).await;
        let tokens = tokens.unwrap_or_else(|problem| panic!("{more:?}: {problem}"));
        assert_eq!(claims(&tokens.access_token)["aud"], NOTES, "{more:?}");
    }
}

/// T3, AC-04: sixty seconds, and not one more.
#[tokio::test]
async fn a_code_lives_sixty_seconds() {
    let hub = Hub::start().await;
    let client = hub.add_client("agent", &public_client(), None).await;
    let user = hub.add_quick_user("ada").await;
    let early = hub.grant(&client, &user, &GrantSpec::default()).await;
    let late = hub.grant(&client, &user, &GrantSpec::default()).await;
    hub.advance(59).await;
    assert_eq!(outcome(&hub.redeem(&early).await), "ok");
    hub.advance(1).await;
    assert_eq!(outcome(&hub.redeem(&late).await), "invalid_grant");
}

/// AC-05, T1: a spent code revokes its grant, if the second request is otherwise valid.
#[tokio::test]
async fn a_spent_code_revokes_its_grant() {
    let hub = Hub::start().await;
    let client = hub.add_client("agent", &public_client(), None).await;
    let user = hub.add_quick_user("ada").await;
    let given = hub.grant(&client, &user, &GrantSpec::default()).await;
    let tokens = hub.redeem(&given).await.unwrap();
    hub.advance(6).await;
    assert_eq!(outcome(&hub.redeem(&given).await), "invalid_grant");

    let (_, rs) = hub.add_resource_server(&[NOTES]).await;
    assert!(
        !hub.introspect(&tokens.access_token, &rs)
            .await
            .unwrap()
            .active
    );
    let refresh = tokens.refresh_token.unwrap();
    assert_eq!(
        outcome(&hub.refresh("agent", &refresh, &[]).await),
        "invalid_grant"
    );
}

/// AC-05, T4: a leaked code with a wrong verifier, or of another client, kills nothing.
#[tokio::test]
async fn a_replay_that_is_not_otherwise_valid_revokes_nothing() {
    let hub = Hub::start().await;
    let client = hub.add_client("agent", &public_client(), None).await;
    hub.add_client("other", &public_client(), None).await;
    let user = hub.add_quick_user("ada").await;
    let given = hub.grant(&client, &user, &GrantSpec::default()).await;
    let tokens = hub.redeem(&given).await.unwrap();
    hub.advance(10).await;
    let wrong = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
    let rows: &[(&str, &str)] = &[
        ("code_verifier", wrong),
        ("code_verifier", ""),
        ("client_id", "other"),
        ("redirect_uri", "https://evil.example/"),
    ];
    for row in rows {
        assert_eq!(
            outcome(&hub.redeem_with(&given, &[*row], None).await),
            "invalid_grant"
        );
    }
    let (_, rs) = hub.add_resource_server(&[NOTES]).await;
    assert!(
        hub.introspect(&tokens.access_token, &rs)
            .await
            .unwrap()
            .active
    );
}

/// AC-06, T2: of fifty parallel redemptions one succeeds, and the losers, who come at once, are the
/// client's own retries: its tokens live.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_parallel_redemptions_give_exactly_one_grant() {
    let hub = Arc::new(Hub::start().await);
    let client = hub.add_client("agent", &public_client(), None).await;
    let user = hub.add_quick_user("ada").await;
    let given = hub.grant(&client, &user, &GrantSpec::default()).await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (hub, given) = (hub.clone(), given.clone());
        tasks.spawn(async move { hub.redeem(&given).await });
    }
    let mut winners = Vec::new();
    while let Some(result) = tasks.join_next().await {
        match result.unwrap() {
            Ok(tokens) => winners.push(tokens),
            Err(problem) => assert_eq!(code_of(&problem), "invalid_grant"),
        }
    }
    assert_eq!(winners.len(), 1);
    let (_, rs) = hub.add_resource_server(&[NOTES]).await;
    assert!(
        hub.introspect(&winners[0].access_token, &rs)
            .await
            .unwrap()
            .active
    );
    // Later it is a replay, and revokes what the winner got.
    hub.advance(6).await;
    assert_eq!(outcome(&hub.redeem(&given).await), "invalid_grant");
    assert!(
        !hub.introspect(&winners[0].access_token, &rs)
            .await
            .unwrap()
            .active
    );
}

/// AC-06: with no grace at all the next second is a replay already.
#[tokio::test]
async fn without_grace_a_retry_is_a_replay() {
    let hub = Hub::builder().replay_grace(0).start().await;
    let client = hub.add_client("agent", &public_client(), None).await;
    let user = hub.add_quick_user("ada").await;
    let given = hub.grant(&client, &user, &GrantSpec::default()).await;
    let tokens = hub.redeem(&given).await.unwrap();
    hub.advance(1).await;
    assert_eq!(outcome(&hub.redeem(&given).await), "invalid_grant");
    let (_, rs) = hub.add_resource_server(&[NOTES]).await;
    assert!(
        !hub.introspect(&tokens.access_token, &rs)
            .await
            .unwrap()
            .active
    );
}

/// RT-09, T22: who is gone by now gets nothing from a code that is still fresh.
#[tokio::test]
async fn a_disabled_person_or_revoked_grant_redeems_nothing() {
    let hub = Hub::start().await;
    let client = hub.add_client("agent", &public_client(), None).await;
    let user = hub.add_quick_user("ada").await;
    let given = hub.grant(&client, &user, &GrantSpec::default()).await;
    hub.store
        .set_disabled(&user, true, hub.audit())
        .await
        .unwrap();
    assert_eq!(outcome(&hub.redeem(&given).await), "invalid_grant");
    hub.store
        .set_disabled(&user, false, hub.audit())
        .await
        .unwrap();
    hub.store
        .revoke_grant(&given.grant, hub.audit())
        .await
        .unwrap();
    assert_eq!(outcome(&hub.redeem(&given).await), "invalid_grant");
}

/// QUIRK-32, T22: a deleted client hears `invalid_client` and registers again by itself.
#[tokio::test]
async fn a_deleted_client_hears_invalid_client() {
    let hub = Hub::start().await;
    let client = hub.add_client("agent", &public_client(), None).await;
    let user = hub.add_quick_user("ada").await;
    let given = hub.grant(&client, &user, &GrantSpec::default()).await;
    let until = hub.now().plus(Duration::from_hours(24));
    hub.store
        .remove_client(&client.key, until, false, hub.audit())
        .await
        .unwrap();
    let refused = refusal(hub.redeem(&given).await).unwrap();
    assert_eq!(
        refused,
        (
            "invalid_client".to_owned(),
            Shape::ClientAuth { basic: false }
        )
    );
}

/// QUIRK-33: a refresh token goes with the registered grant type, `offline_access` or not.
#[tokio::test]
async fn refresh_tokens_go_with_the_registered_grant_type() {
    let hub = Hub::start().await;
    let user = hub.add_quick_user("ada").await;
    let mut without = public_client();
    without["grant_types"] = serde_json::json!(["authorization_code"]);
    let rows = [
        ("with", public_client(), "mcp:read", true),
        (
            "with-offline",
            public_client(),
            "mcp:read offline_access",
            true,
        ),
        ("without", without.clone(), "mcp:read", false),
        ("without-offline", without, "mcp:read offline_access", false),
    ];
    for (id, json, scopes, expected) in rows {
        let client = hub.add_client(id, &json, None).await;
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
        assert_eq!(tokens.refresh_token.is_some(), expected, "{id}");
    }
}

/// OIDC-02, OIDC-03, OIDC-04, OIDC-05, OIDC-13: `openid` brings an ID Token, RS256 unless
/// registered otherwise, and `/userinfo` as a second audience.
#[tokio::test]
async fn openid_brings_an_id_token_and_the_audience_of_userinfo() {
    let hub = Hub::start().await;
    let user = hub.add_quick_user("ada").await;
    for alg in [None, Some("RS256"), Some("ES256")] {
        let id = format!("agent-{}", alg.unwrap_or("default"));
        let mut json = public_client();
        if let Some(alg) = alg {
            json["id_token_signed_response_alg"] = alg.into();
        }
        let client = hub.add_client(&id, &json, None).await;
        let spec = GrantSpec {
            scopes: "openid mcp:read",
            nonce: Some("n-0S6_WzA2Mj"),
            ..GrantSpec::default()
        };
        let given = hub.grant(&client, &user, &spec).await;
        hub.advance(7).await;
        let tokens = hub.redeem(&given).await.unwrap();
        let id_token = tokens.id_token.unwrap();
        let head = header(&id_token);
        assert_eq!(head["alg"], alg.unwrap_or("RS256"));
        assert_ne!(head["typ"], "at+jwt");
        let body = claims(&id_token);
        assert_eq!(body["iss"], ISSUER);
        assert_eq!(body["sub"], "u_ada");
        assert_eq!(body["aud"], id);
        assert_eq!(body["nonce"], "n-0S6_WzA2Mj");
        assert_eq!(body["iat"].as_u64(), Some(hub.now().seconds()));
        assert_eq!(body["exp"].as_u64(), Some(hub.now().seconds() + 600));
        assert_eq!(body["auth_time"].as_u64(), Some(hub.now().seconds() - 7));
        assert_eq!(body["at_hash"].as_str().unwrap().len(), 22);
        assert!(
            body.as_object()
                .unwrap()
                .values()
                .all(|value| !value.is_null())
        );
        let access = claims(&tokens.access_token);
        assert_eq!(
            access["aud"],
            serde_json::json!([NOTES, format!("{ISSUER}/userinfo")])
        );
    }
}

/// QUIRK-28: `aud` is the form that the client asked for at the authorization endpoint.
#[tokio::test]
async fn the_audience_is_the_form_asked_for() {
    let hub = Hub::start().await;
    let client = hub.add_client("agent", &public_client(), None).await;
    let user = hub.add_quick_user("ada").await;
    let asked = "https://notes.example/mcp/";
    let spec = GrantSpec {
        resource: asked,
        ..GrantSpec::default()
    };
    let given = hub.grant(&client, &user, &spec).await;
    let tokens = hub
        .redeem_with(&given, &[("resource", NOTES)], None)
        .await
        .unwrap();
    assert_eq!(claims(&tokens.access_token)["aud"], asked);
}

/// AC-01, AC-09, GEN-03, GEN-04, GEN-05: what kind of request is it?
#[tokio::test]
async fn requests_for_no_or_other_grants_are_told_apart() {
    let hub = Hub::start().await;
    let mut json = public_client();
    json["grant_types"] = serde_json::json!(["authorization_code"]);
    hub.add_client("agent", &json, None).await;
    #[rustfmt::skip]
    let rows: &[(&[(&str, &str)], &str)] = &[
        (&[("client_id", "agent")],                                                "invalid_request"),
        (&[("client_id", "agent"), ("grant_type", "")],                            "invalid_request"),
        (&[("client_id", "agent"), ("grant_type", "password")],                    "unsupported_grant_type"),
        (&[("client_id", "agent"), ("grant_type", "implicit")],                    "unsupported_grant_type"),
        (&[("client_id", "agent"), ("grant_type", "refresh_token"),
           ("refresh_token", "rt_x")],                                             "unauthorized_client"),
        (&[("client_id", "agent"), ("grant_type", "client_credentials")],          "unauthorized_client"),
        (&[("client_id", "agent"), ("grant_type", "authorization_code")],          "invalid_request"),
        (&[("client_id", "agent"), ("grant_type", "authorization_code"),
           ("code", "")],                                                          "invalid_request"),
        (&[("client_id", "agent"), ("grant_type", "authorization_code"),
           ("grant_type", "authorization_code"), ("code", "c")],                   "invalid_request"),
        (&[("client_id", "agent"), ("client_id", "agent"),
           ("grant_type", "authorization_code"), ("code", "c")],                   "invalid_request"),
        (&[("grant_type", "authorization_code"), ("code", "c")],                   "invalid_client"),
    ];
    for (list, expected) in rows {
        let result = hub.token(list, None).await;
        assert_eq!(outcome(&result), *expected, "{list:?}");
    }
}

/// T18: no kind of opaque value passes for another.
#[tokio::test]
async fn one_kind_of_value_does_not_pass_for_another() {
    let hub = Hub::start().await;
    let (client, _, tokens) = hub.public_session().await;
    let refresh = tokens.refresh_token.unwrap();
    for value in [refresh.as_str(), tokens.access_token.as_str()] {
        let given = Given {
            code: value.to_owned(),
            client_id: client.client_id.clone(),
            grant: vestibule_protocol::ids::GrantId::new("g_none"),
        };
        assert_eq!(outcome(&hub.redeem(&given).await), "invalid_grant");
    }
    for value in [
        tokens.access_token.as_str(),
        "ac_test-code-1",
        "rt_",
        "rt_AAAA",
    ] {
        let result = hub.refresh(&client.client_id, value, &[]).await;
        assert_eq!(outcome(&result), "invalid_grant", "{value}");
    }
}

/// Two nodes on one store: a code redeemed at one is spent at the other (T2, T8).
#[tokio::test]
async fn a_code_is_spent_on_every_node() {
    let hub = Hub::start().await;
    let node = hub.second_node().await;
    let client = hub.add_client("agent", &public_client(), None).await;
    let user = hub.add_quick_user("ada").await;
    let given = hub.grant(&client, &user, &GrantSpec::default()).await;
    let tokens = hub.redeem(&given).await.unwrap();
    assert_eq!(outcome(&node.redeem(&given).await), "invalid_grant");
    let refresh = tokens.refresh_token.unwrap();
    assert_eq!(outcome(&node.refresh("agent", &refresh, &[]).await), "ok");
}

/// P11, T9: a store that cannot write is a 503; the client keeps what it holds and tries again.
#[tokio::test]
async fn a_store_that_fails_is_no_protocol_answer() {
    let hub = Hub::start().await;
    let (client, user, tokens) = hub.public_session().await;
    let given = hub.grant(&client, &user, &GrantSpec::default()).await;
    hub.break_store().await;
    let refresh = tokens.refresh_token.unwrap();
    for result in [
        hub.redeem(&given).await,
        hub.refresh(&client.client_id, &refresh, &[]).await,
    ] {
        let (_, shape) = refusal(result).unwrap();
        assert!(
            matches!(shape, Shape::Busy { retry_after } if retry_after >= 1),
            "{shape:?}"
        );
    }
}

/// A node that has not heard of its store for more than five seconds decides nothing (design,
/// section 10).
#[tokio::test]
async fn a_node_with_old_rules_decides_nothing() {
    let hub = Hub::start().await;
    let client = hub.add_client("agent", &public_client(), None).await;
    let user = hub.add_quick_user("ada").await;
    let given = hub.grant(&client, &user, &GrantSpec::default()).await;
    hub.stall(6);
    let (_, shape) = refusal(hub.redeem(&given).await).unwrap();
    assert_eq!(shape, Shape::Busy { retry_after: 1 });
    hub.advance(0).await;
    assert_eq!(outcome(&hub.redeem(&given).await), "ok");
}

/// GEN-16: nothing that opens a door is on disk, in no file of the store.
#[tokio::test]
async fn nothing_that_opens_a_door_is_stored() {
    let hub = Hub::start().await;
    let secret = "a-secret-that-must-not-be-stored";
    let json = confidential_client("client_secret_post");
    let client = hub.add_client("backend", &json, Some(secret)).await;
    let user = hub.add_quick_user("ada").await;
    let given = hub.grant(&client, &user, &GrantSpec::default()).await;
    let more = [("client_secret", secret)];
    let tokens = hub.redeem_with(&given, &more, None).await.unwrap();
    let refresh = tokens.refresh_token.unwrap();
    hub.refresh("backend", &refresh, &more).await.unwrap();
    let bytes = hub.stored_bytes().await;
    let holds = |text: &str| {
        bytes
            .windows(text.len())
            .any(|window| window == text.as_bytes())
    };
    assert!(holds("backend"), "the files were read");
    let signature = tokens.access_token.rsplit('.').next().unwrap();
    for raw in [
        given.code.as_str(),
        &refresh,
        refresh.trim_start_matches("rt_"),
        signature,
        secret,
        VERIFIER,
    ] {
        assert!(!holds(raw), "{raw} is on disk");
    }
}
