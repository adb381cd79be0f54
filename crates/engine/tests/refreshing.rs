//! Refresh tokens: the state machine of `oauth.md` section 17 as corrected by `design-details.md`
//! section B, test by test.

mod support;

use std::{collections::HashSet, sync::Arc, time::Duration};

use support::*;
use vestibule_engine::{SettingsChange, Shape};
use vestibule_protocol::{audit::Event, ids::GrantId, trust::Standing};
use vestibule_store::clients::StoredClient;

/// RT-01, RT-02, RT-11, OIDC-16, AT-07: test 1, linear rotation.
#[tokio::test]
async fn a_public_client_rotates_with_each_use() {
    let hub = Hub::start().await;
    let (client, _, mut tokens) = hub.public_session().await;
    let mut seen = HashSet::new();
    for _ in 0..5 {
        let old = tokens.refresh_token.clone().unwrap();
        assert!(seen.insert(old.clone()), "a token came back");
        hub.advance(120).await;
        tokens = hub.refresh(&client.client_id, &old, &[]).await.unwrap();
        let body = claims(&tokens.access_token);
        assert_eq!(body["aud"], NOTES);
        assert_eq!(body["auth_time"], START);
        assert_eq!(body["iat"].as_u64(), Some(hub.now().seconds()));
        assert_eq!(tokens.scope, "mcp:read mcp:write");
        assert_eq!(tokens.expires_in, 600);
    }
}

/// RT-11, QUIRK-30, T7: test 2, two parallel refreshes get the same successor.
#[tokio::test]
async fn two_parallel_refreshes_get_the_same_successor() {
    let hub = Hub::start().await;
    let (client, _, tokens) = hub.public_session().await;
    let refresh = tokens.refresh_token.unwrap();
    let (one, two) = tokio::join!(
        hub.refresh(&client.client_id, &refresh, &[]),
        hub.refresh(&client.client_id, &refresh, &[]),
    );
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!(one.refresh_token, two.refresh_token);
    assert_ne!(one.access_token, two.access_token);
}

/// RT-11, T7: test 8 on two nodes, fifty parallel refreshes make one step.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_parallel_refreshes_give_one_successor() {
    let hub = Arc::new(Hub::start().await);
    let node = Arc::new(hub.second_node().await);
    let (client, _, tokens) = hub.public_session().await;
    let refresh = tokens.refresh_token.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..50 {
        let hub = if number % 2 == 0 {
            hub.clone()
        } else {
            node.clone()
        };
        let (id, refresh) = (client.client_id.clone(), refresh.clone());
        tasks.spawn(async move { hub.refresh(&id, &refresh, &[]).await });
    }
    let mut successors = HashSet::new();
    while let Some(result) = tasks.join_next().await {
        successors.insert(result.unwrap().unwrap().refresh_token.unwrap());
    }
    assert_eq!(successors.len(), 1);
    let successor = successors.into_iter().next().unwrap();
    assert_eq!(
        outcome(&hub.refresh(&client.client_id, &successor, &[]).await),
        "ok"
    );
}

/// QUIRK-30, T6, T9: test 3, a lost answer is given again inside the window, to the second.
#[tokio::test]
async fn a_lost_answer_is_given_again_inside_the_window() {
    let hub = Hub::start().await;
    let (client, _, tokens) = hub.public_session().await;
    let refresh = tokens.refresh_token.unwrap();
    let first = hub.refresh(&client.client_id, &refresh, &[]).await.unwrap();
    for wait in [10, 50] {
        hub.advance(wait).await;
        let again = hub.refresh(&client.client_id, &refresh, &[]).await.unwrap();
        assert_eq!(again.refresh_token, first.refresh_token);
    }
    let successor = first.refresh_token.unwrap();
    assert_eq!(
        outcome(&hub.refresh(&client.client_id, &successor, &[]).await),
        "ok"
    );
}

/// RT-05, RT-06, T6: test 4, after the window the family dies, the current token and the access
/// tokens with it.
#[tokio::test]
async fn reuse_after_the_window_revokes_the_family() {
    let hub = Hub::start().await;
    let (_, rs) = hub.add_resource_server(&[NOTES]).await;
    let (client, _, tokens) = hub.public_session().await;
    let refresh = tokens.refresh_token.unwrap();
    let next = hub.refresh(&client.client_id, &refresh, &[]).await.unwrap();
    hub.advance(61).await;
    assert!(
        hub.introspect(&next.access_token, &rs)
            .await
            .unwrap()
            .active
    );
    let result = hub.refresh(&client.client_id, &refresh, &[]).await;
    assert_eq!(outcome(&result), "invalid_grant");
    let current = next.refresh_token.unwrap();
    assert_eq!(
        outcome(&hub.refresh(&client.client_id, &current, &[]).await),
        "invalid_grant"
    );
    assert!(
        !hub.introspect(&next.access_token, &rs)
            .await
            .unwrap()
            .active
    );
    let trail = hub.store.audit_rows(None, 50).await.unwrap();
    let reused = trail
        .iter()
        .filter(|row| row.entry.event == Event::RefreshReuse)
        .count();
    assert_eq!(
        reused, 1,
        "one entry in the trail, whatever the thief repeats"
    );
}

/// RT-05, T6: test 5, two generations old is reuse, inside the window too.
#[tokio::test]
async fn two_generations_back_is_reuse_at_any_time() {
    let hub = Hub::start().await;
    let (client, _, tokens) = hub.public_session().await;
    let oldest = tokens.refresh_token.unwrap();
    let second = hub.refresh(&client.client_id, &oldest, &[]).await.unwrap();
    let second = second.refresh_token.unwrap();
    let third = hub.refresh(&client.client_id, &second, &[]).await.unwrap();
    assert_eq!(
        outcome(&hub.refresh(&client.client_id, &oldest, &[]).await),
        "invalid_grant"
    );
    let third = third.refresh_token.unwrap();
    assert_eq!(
        outcome(&hub.refresh(&client.client_id, &third, &[]).await),
        "invalid_grant"
    );
}

/// RT-01, T5: test 6, another client gets nothing and harms nothing.
#[tokio::test]
async fn another_client_gets_nothing_and_harms_nothing() {
    let hub = Hub::start().await;
    let (client, _, tokens) = hub.public_session().await;
    hub.add_client("thief", &public_client(), None).await;
    let old = tokens.refresh_token.unwrap();
    let next = hub.refresh(&client.client_id, &old, &[]).await.unwrap();
    hub.advance(100).await;
    let current = next.refresh_token.unwrap();
    for stolen in [&old, &current] {
        assert_eq!(
            outcome(&hub.refresh("thief", stolen, &[]).await),
            "invalid_grant"
        );
    }
    assert_eq!(
        outcome(&hub.refresh(&client.client_id, &current, &[]).await),
        "ok"
    );
}

/// RT-05: test 7, without a window the second use is reuse at once.
#[tokio::test]
async fn without_a_window_the_second_use_is_reuse() {
    let hub = Hub::start().await;
    hub.change(SettingsChange::RefreshGraceSeconds(0)).await;
    let (client, _, tokens) = hub.public_session().await;
    let refresh = tokens.refresh_token.unwrap();
    let next = hub.refresh(&client.client_id, &refresh, &[]).await.unwrap();
    hub.advance(1).await;
    assert_eq!(
        outcome(&hub.refresh(&client.client_id, &refresh, &[]).await),
        "invalid_grant"
    );
    let current = next.refresh_token.unwrap();
    assert_eq!(
        outcome(&hub.refresh(&client.client_id, &current, &[]).await),
        "invalid_grant"
    );
}

/// RT-03, QUIRK-34, GEN-16: a client that proves itself keeps its token; the answer names none.
#[tokio::test]
async fn a_confidential_client_keeps_its_token() {
    let hub = Hub::start().await;
    let json = confidential_client("client_secret_post");
    let client = hub
        .add_client("backend", &json, Some("s3cret-of-backend"))
        .await;
    let user = hub.add_quick_user("ada").await;
    let given = hub.grant(&client, &user, &GrantSpec::default()).await;
    let secret = [("client_secret", "s3cret-of-backend")];
    let tokens = hub.redeem_with(&given, &secret, None).await.unwrap();
    let refresh = tokens.refresh_token.unwrap();
    for _ in 0..5 {
        hub.advance(100).await;
        let answer = hub.refresh("backend", &refresh, &secret).await.unwrap();
        assert_eq!(answer.refresh_token, None);
        assert_eq!(answer.scope, "mcp:read mcp:write");
    }
    assert_eq!(
        outcome(&hub.refresh("backend", &refresh, &[]).await),
        "invalid_client"
    );
}

/// RT-04, T24: narrower once, wider again, never more than was granted.
#[tokio::test]
async fn scope_at_refresh_narrows_one_access_token_only() {
    let hub = Hub::start().await;
    let (client, _, tokens) = hub.public_session().await;
    let mut refresh = tokens.refresh_token.unwrap();
    #[rustfmt::skip]
    let rows = [
        ("mcp:read",                      Ok("mcp:read")),
        ("mcp:read mcp:write",            Ok("mcp:read mcp:write")),
        ("mcp:read mcp:read",             Ok("mcp:read")),
        ("",                              Ok("mcp:read mcp:write")),
        ("mcp:delete",                    Err("invalid_scope")),
        ("mcp:read mcp:delete",           Err("invalid_scope")),
        ("openid",                        Err("invalid_scope")),
    ];
    for (scope, expected) in rows {
        hub.advance(1).await;
        match (
            hub.refresh(&client.client_id, &refresh, &[("scope", scope)])
                .await,
            expected,
        ) {
            (Ok(answer), Ok(scope)) => {
                assert_eq!(answer.scope, scope);
                assert_eq!(claims(&answer.access_token)["scope"], scope);
                refresh = answer.refresh_token.unwrap();
            }
            (Err(problem), Err(code)) => assert_eq!(code_of(&problem), code, "{scope}"),
            (found, expected) => panic!("{scope}: {found:?} instead of {expected:?}"),
        }
    }
}

/// RI-05, RI-06, QUIRK-26: the resource is inherited or repeated.
#[tokio::test]
async fn the_resource_is_inherited_or_repeated() {
    let hub = Hub::builder().second_resource().start().await;
    let (client, _, tokens) = hub.public_session().await;
    let mut refresh = tokens.refresh_token.unwrap();
    for resource in ["", NOTES, "https://NOTES.example/mcp/"] {
        let more = [("resource", resource)];
        let answer = hub
            .refresh(&client.client_id, &refresh, &more)
            .await
            .unwrap();
        assert_eq!(claims(&answer.access_token)["aud"], NOTES);
        refresh = answer.refresh_token.unwrap();
    }
    for resource in [FILES, "https://notes.example/", "notes"] {
        let more = [("resource", resource)];
        let result = hub.refresh(&client.client_id, &refresh, &more).await;
        assert_eq!(outcome(&result), "invalid_target", "{resource}");
    }
    let both = [("resource", NOTES), ("resource", FILES)];
    let result = hub.refresh(&client.client_id, &refresh, &both).await;
    assert_eq!(outcome(&result), "invalid_target");
    assert_eq!(
        outcome(&hub.refresh(&client.client_id, &refresh, &[]).await),
        "ok"
    );
}

/// RT-07: unused it dies, used it moves on, and nothing passes the absolute limit.
#[tokio::test]
async fn idle_and_absolute_limits_hold() {
    const HOUR: u64 = 3_600;
    let hub = Hub::start().await;
    let (client, _, tokens) = hub.public_session().await;
    let mut refresh = tokens.refresh_token.unwrap();
    // 48 h idle and 7 d absolute for unverified clients.
    for _ in 0..3 {
        hub.advance(47 * HOUR).await;
        let answer = hub.refresh(&client.client_id, &refresh, &[]).await.unwrap();
        refresh = answer.refresh_token.unwrap();
    }
    hub.advance(26 * HOUR).await;
    let answer = hub.refresh(&client.client_id, &refresh, &[]).await.unwrap();
    refresh = answer.refresh_token.unwrap();
    hub.advance(HOUR).await;
    assert_eq!(
        outcome(&hub.refresh(&client.client_id, &refresh, &[]).await),
        "invalid_grant"
    );

    let (client, _, tokens) = hub.public_session().await;
    let refresh = tokens.refresh_token.unwrap();
    hub.advance(48 * HOUR).await;
    assert_eq!(
        outcome(&hub.refresh(&client.client_id, &refresh, &[]).await),
        "invalid_grant"
    );
}

/// RT-07: an access token does not outlive its grant.
#[tokio::test]
async fn an_access_token_does_not_outlive_its_grant() {
    let hub = Hub::start().await;
    let client = hub.add_client("agent", &public_client(), None).await;
    let user = hub.add_quick_user("ada").await;
    let spec = GrantSpec {
        lasts: Duration::from_secs(90),
        ..GrantSpec::default()
    };
    let given = hub.grant(&client, &user, &spec).await;
    let tokens = hub.redeem(&given).await.unwrap();
    assert_eq!(tokens.expires_in, 90);
    hub.advance(80).await;
    let refresh = tokens.refresh_token.unwrap();
    let tokens = hub.refresh("agent", &refresh, &[]).await.unwrap();
    assert_eq!(tokens.expires_in, 10);
    hub.advance(10).await;
    let refresh = tokens.refresh_token.unwrap();
    assert_eq!(
        outcome(&hub.refresh("agent", &refresh, &[]).await),
        "invalid_grant"
    );
}

/// RT-08: an account that is disabled or gets a new password loses every grant, of every client,
/// and enabling it again brings none back. Other people keep theirs.
#[tokio::test]
async fn a_new_password_or_a_disabled_account_revokes_all_grants() {
    for disable in [false, true] {
        let hub = Hub::start().await;
        let (client, user, tokens) = hub.public_session().await;
        let (other_client, _, other) = hub.public_session().await;
        let audit = || hub.audit();
        if disable {
            assert!(hub.store.set_disabled(&user, true, audit()).await.unwrap());
            assert!(hub.store.set_disabled(&user, false, audit()).await.unwrap());
        } else {
            let changed = hub.store.set_password(&user, "another-hash", audit());
            assert!(changed.await.unwrap());
        }
        let refresh = tokens.refresh_token.unwrap();
        let refused = hub.refresh(&client.client_id, &refresh, &[]).await;
        assert_eq!(outcome(&refused), "invalid_grant", "disable: {disable}");
        let refresh = other.refresh_token.unwrap();
        let kept = hub.refresh(&other_client.client_id, &refresh, &[]).await;
        assert_eq!(outcome(&kept), "ok", "disable: {disable}");
    }
}

/// RT-09, T22, QUIRK-31, QUIRK-32: whoever is gone takes the refresh along.
#[tokio::test]
async fn a_refresh_asks_whether_everybody_is_still_there() {
    let hub = Hub::start().await;
    let (client, user, tokens) = hub.public_session().await;
    let refresh = tokens.refresh_token.unwrap();
    hub.store
        .set_disabled(&user, true, hub.audit())
        .await
        .unwrap();
    assert_eq!(
        outcome(&hub.refresh(&client.client_id, &refresh, &[]).await),
        "invalid_grant"
    );
    hub.store
        .set_disabled(&user, false, hub.audit())
        .await
        .unwrap();

    let (client, _, tokens) = hub.public_session().await;
    let gid = claims(&tokens.access_token)["gid"]
        .as_str()
        .unwrap()
        .to_owned();
    let gid = GrantId::new(gid);
    hub.store.revoke_grant(&gid, hub.audit()).await.unwrap();
    let refresh = tokens.refresh_token.unwrap();
    assert_eq!(
        outcome(&hub.refresh(&client.client_id, &refresh, &[]).await),
        "invalid_grant"
    );

    for block in [false, true] {
        let (client, _, tokens) = hub.public_session().await;
        let refresh = tokens.refresh_token.unwrap();
        let until = hub.now().plus(Duration::from_secs(1_000));
        hub.store
            .remove_client(&client.key, until, block, hub.audit())
            .await
            .unwrap();
        let refused = refusal(hub.refresh(&client.client_id, &refresh, &[]).await).unwrap();
        assert_eq!(
            refused,
            (
                "invalid_client".to_owned(),
                Shape::ClientAuth { basic: false }
            )
        );
    }
}

/// RT-09: a resource that is not configured any more is not served any more.
#[tokio::test]
async fn a_resource_that_is_gone_ends_the_refresh() {
    let hub = Hub::builder().second_resource().start().await;
    let client = hub.add_client("agent", &public_client(), None).await;
    let user = hub.add_quick_user("ada").await;
    let spec = GrantSpec {
        resource: FILES,
        ..GrantSpec::default()
    };
    let given = hub.grant(&client, &user, &spec).await;
    let tokens = hub.redeem(&given).await.unwrap();
    let without_files = hub.second_node().await;
    let refresh = tokens.refresh_token.unwrap();
    let result = without_files.refresh("agent", &refresh, &[]).await;
    assert_eq!(outcome(&result), "invalid_grant");
}

/// OIDC-16: an ID Token on refresh has a new `iat`, the old `auth_time` and no `nonce`.
#[tokio::test]
async fn a_refresh_renews_the_id_token() {
    let hub = Hub::start().await;
    let client = hub.add_client("agent", &public_client(), None).await;
    let user = hub.add_quick_user("ada").await;
    let spec = GrantSpec {
        scopes: "openid mcp:read",
        nonce: Some("once"),
        ..GrantSpec::default()
    };
    let given = hub.grant(&client, &user, &spec).await;
    let first = hub.redeem(&given).await.unwrap();
    hub.advance(300).await;
    let refresh = first.refresh_token.unwrap();
    let second = hub.refresh("agent", &refresh, &[]).await.unwrap();
    let (before, after) = (
        claims(&first.id_token.unwrap()),
        claims(second.id_token.as_ref().unwrap()),
    );
    for same in ["iss", "sub", "aud", "auth_time"] {
        assert_eq!(before[same], after[same], "{same}");
    }
    assert_eq!(after["iat"].as_u64(), Some(hub.now().seconds()));
    assert_eq!(before["nonce"], "once");
    assert!(after.get("nonce").is_none());
    // Without `openid` this time there is none.
    let refresh = second.refresh_token.unwrap();
    let third = hub
        .refresh("agent", &refresh, &[("scope", "mcp:read")])
        .await
        .unwrap();
    assert_eq!(third.id_token, None);
}

/// RT-11: tokens are made, not stored; one that we did not make is worth nothing.
#[tokio::test]
async fn a_forged_token_is_worth_nothing_and_harms_nothing() {
    let hub = Hub::start().await;
    let (client, _, tokens) = hub.public_session().await;
    let refresh = tokens.refresh_token.unwrap();
    for at in 3..refresh.len() {
        let mut forged: Vec<char> = refresh.chars().collect();
        forged[at] = if forged[at] == 'A' { 'B' } else { 'A' };
        let forged: String = forged.into_iter().collect();
        let result = hub.refresh(&client.client_id, &forged, &[]).await;
        assert_eq!(outcome(&result), "invalid_grant", "changed at {at}");
    }
    assert_eq!(
        outcome(&hub.refresh(&client.client_id, &refresh, &[]).await),
        "ok"
    );
}

/// Trust decides power: the same grant is worth more to a client that an admin vouches for.
#[tokio::test]
async fn a_verified_client_has_longer_tokens() {
    let hub = Hub::start().await;
    let user = hub.add_quick_user("ada").await;
    #[rustfmt::skip]
    let rows = [
        (Standing::FirstParty, 3_600),
        (Standing::Verified,     900),
        (Standing::Known,        900),
        (Standing::Unverified,   600),
    ];
    for (standing, expires_in) in rows {
        let id = format!("agent-{}", standing.as_str().replace('_', "-"));
        let client = StoredClient {
            standing,
            ..stored_client(&hub, &id, &public_client())
        };
        let client = hub.add_stored(client).await;
        let given = hub.grant(&client, &user, &GrantSpec::default()).await;
        assert_eq!(
            hub.redeem(&given).await.unwrap().expires_in,
            expires_in,
            "{standing:?}"
        );
    }
}
