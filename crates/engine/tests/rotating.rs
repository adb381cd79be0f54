//! Keys rotate while the hub serves: nothing that was given out before stops working.

#![expect(clippy::unwrap_used, reason = "what surprises a test should end it")]

mod support;

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use support::{
    GrantSpec, Hub, NOTES, confidential_client, outcome, public_client,
    visit::{Visit, consent, word},
};
use vestibule_engine::KeyError;
use vestibule_protocol::audit::{Actor, Event};
use vestibule_store::keys::{KeyPhase, KeyUse};

async fn phases(hub: &Hub, usage: KeyUse) -> Vec<(u16, KeyPhase)> {
    let (_, rows) = hub.store.load_keys().await.unwrap();
    rows.into_iter()
        .filter(|row| row.usage == usage)
        .map(|row| (row.id, row.phase))
        .collect()
}

/// Seconds that pass at a time.
const STEP: u64 = 4;

/// Rotate everything that `nodes` use; each node follows its store as it does each second.
async fn rotate(nodes: &[&Hub]) {
    let operator = nodes.first().unwrap();
    let mut staged = Vec::new();
    for usage in operator.engine.key_uses() {
        staged.push(
            operator
                .engine
                .stage_key(usage, Actor::System)
                .await
                .unwrap(),
        );
    }
    let wait = staged.iter().map(|key| key.wait.as_secs()).max().unwrap();
    // A node that did not follow for five seconds would refuse to decide.
    for _ in 0..wait.div_ceil(STEP) {
        for node in nodes {
            node.advance(STEP).await;
        }
        // Give whoever runs beside this a turn: a code must be redeemed within a minute.
        if nodes.len() > 1 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    for key in staged {
        operator
            .engine
            .activate_key(key.id, Actor::System)
            .await
            .unwrap();
        // One node knows before the other, and both serve.
        for node in nodes {
            tokio::time::sleep(Duration::from_millis(10)).await;
            node.engine.follow().await.unwrap();
        }
    }
}

/// SLR-03, T9: staged, active, retiring, gone; no step too early, and an interrupted one goes on.
#[tokio::test]
async fn a_key_is_used_when_everybody_knows_it_and_ends_when_nobody_needs_it() {
    let hub = Hub::start().await;
    for (usage, staged_for, retires_for) in [
        (KeyUse::Seal, 7, 91 * 86_400),
        (KeyUse::SignEs256, 340, 7_200),
        (KeyUse::SignRs256, 340, 7_200),
    ] {
        let stage = || hub.engine.stage_key(usage, Actor::System);
        let (old, _) = *phases(&hub, usage).await.first().unwrap();
        let staged = stage().await.unwrap();
        assert_eq!(staged.wait.as_secs(), staged_for);
        hub.advance(staged_for - 1).await;
        let early = hub.engine.activate_key(staged.id, Actor::System).await;
        assert!(matches!(early, Err(KeyError::TooEarly { wait, .. }) if wait.as_secs() == 1));
        let again = stage().await.unwrap();
        assert_eq!((again.id, again.wait.as_secs()), (staged.id, 1));
        let expected = [(old, KeyPhase::Active), (staged.id, KeyPhase::Staged)];
        assert_eq!(phases(&hub, usage).await, expected);

        hub.advance(1).await;
        hub.engine
            .activate_key(staged.id, Actor::System)
            .await
            .unwrap();
        let expected = [(old, KeyPhase::Retiring), (staged.id, KeyPhase::Active)];
        assert_eq!(phases(&hub, usage).await, expected);
        for wrong in [old, staged.id, 999] {
            let refused = hub.engine.activate_key(wrong, Actor::System).await;
            assert!(matches!(refused, Err(KeyError::NotStaged(id)) if id == wrong));
        }
        hub.advance(retires_for - 1).await;
        assert_eq!(hub.engine.end_old_keys().await.unwrap(), 0);
        hub.advance(1).await;
        assert_eq!(hub.engine.end_old_keys().await.unwrap(), 1);
        assert_eq!(phases(&hub, usage).await, [(staged.id, KeyPhase::Active)]);
        hub.engine.follow().await.unwrap();
    }
    // EdDSA is not in use here, so there is nothing to rotate.
    let unused = hub.engine.stage_key(KeyUse::SignEdDsa, Actor::System).await;
    assert!(matches!(unused, Err(KeyError::None(KeyUse::SignEdDsa))));
    let trail = hub.store.audit_rows(None, 100).await.unwrap();
    let changes = trail
        .iter()
        .filter(|line| line.entry.event == Event::KeysChanged);
    assert_eq!(changes.count(), 1 + 3 * 3, "each step has its line");
}

/// A published set that no verifier would read is worse than a key that waits.
#[tokio::test]
async fn rotations_without_end_are_refused() {
    let hub = Hub::start().await;
    let mut refused = None;
    for _ in 0..20 {
        match hub.engine.stage_key(KeyUse::SignEs256, Actor::System).await {
            Ok(key) => {
                hub.advance(key.wait.as_secs()).await;
                hub.engine
                    .activate_key(key.id, Actor::System)
                    .await
                    .unwrap();
            }
            Err(failure) => refused = Some(failure),
        }
    }
    assert!(matches!(refused, Some(KeyError::TooMany("sign-es256"))));
    assert_eq!(phases(&hub, KeyUse::SignEs256).await.len(), 10);
    hub.advance(7_200).await;
    assert_eq!(hub.engine.end_old_keys().await.unwrap(), 9);
}

/// What one node gives out the other one takes: a registration with its secret, an access token.
async fn serve_one(made_by: &Hub, shown_to: &Hub, visit: &mut Visit<'_>, authorization: &str) {
    let registered = made_by
        .register(&confidential_client("client_secret_post"))
        .await;
    let page = visit.ask(registered.client_id(), &[]).await;
    assert_eq!(word(&page), "consent");
    // Its secret follows from its id on the other node as well: the client is known,
    // only the code is not.
    let id = registered.client_id();
    let secret = registered.client_secret().unwrap();
    let list = [
        ("grant_type", "authorization_code"),
        ("client_id", id),
        ("client_secret", secret),
        ("code", "ac_unknown"),
        ("redirect_uri", support::CALLBACK),
        ("code_verifier", support::VERIFIER),
    ];
    let answer = shown_to.token(&list, None).await;
    assert_eq!(outcome(&answer), "invalid_grant");
    let (_, _, tokens) = made_by.public_session().await;
    let seen = shown_to
        .introspect(&tokens.access_token, authorization)
        .await;
    assert!(seen.unwrap().active, "a token of the other node");
}

/// SLR-03, DCR-35, AS-14: two nodes serve while every key rotates, twice. No request fails, on
/// neither node, whichever of them made what is shown.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_request_fails_while_keys_rotate() {
    let hub = Arc::new(Hub::start().await);
    let other = Arc::new(hub.second_node().await);
    let (client, _, tokens) = hub.public_session().await;
    let (_, authorization) = hub.add_resource_server(&[NOTES]).await;
    let stop = Arc::new(AtomicBool::new(false));
    let served = Arc::new(AtomicUsize::new(0));
    let mut tasks = Vec::new();
    for (made_by, shown_to, name) in [(&hub, &other, "alice"), (&other, &hub, "bert")] {
        let (made_by, shown_to) = (made_by.clone(), shown_to.clone());
        let (stop, served) = (stop.clone(), served.clone());
        let authorization = authorization.clone();
        tasks.push(tokio::spawn(async move {
            let mut visit = Visit::signed_in(&shown_to, name).await;
            while !stop.load(Ordering::SeqCst) {
                serve_one(&made_by, &shown_to, &mut visit, &authorization).await;
                served.fetch_add(1, Ordering::SeqCst);
            }
        }));
    }
    // An old family goes on, generation by generation, on alternating nodes.
    let refreshing = {
        let (hub, other, stop) = (hub.clone(), other.clone(), stop.clone());
        let mut token = tokens.refresh_token.clone().unwrap();
        let id = client.client_id.clone();
        tokio::spawn(async move {
            let mut generations = 0;
            while !stop.load(Ordering::SeqCst) {
                for node in [&hub, &other] {
                    let answer = node.refresh(&id, &token, &[]).await.unwrap();
                    token = answer.refresh_token.unwrap();
                    generations += 1;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            generations
        })
    };
    let kids = |hub: &Hub| {
        let keys: serde_json::Value = serde_json::from_slice(&hub.engine.jwks().body).unwrap();
        let keys = keys["keys"].as_array().unwrap().clone();
        let kid = |key: &serde_json::Value| key["kid"].as_str().unwrap().to_owned();
        keys.iter().map(kid).collect::<BTreeSet<_>>()
    };
    let first = kids(&hub);
    for _ in 0..2 {
        rotate(&[&hub, &other]).await;
    }
    stop.store(true, Ordering::SeqCst);
    for task in tasks {
        task.await.unwrap();
    }
    let generations = refreshing.await.unwrap();
    let served = served.load(Ordering::SeqCst);
    assert!(
        served >= 4 && generations >= 4,
        "{served} {generations}: too few to mean anything"
    );
    assert!(
        kids(&hub).is_superset(&first),
        "verifiers find the keys of before"
    );
    assert_eq!(kids(&hub).len(), 6);
    assert_eq!(kids(&hub), kids(&other));
    for usage in [KeyUse::Seal, KeyUse::SignEs256, KeyUse::SignRs256] {
        let rows = phases(&hub, usage).await;
        let found: Vec<_> = rows.into_iter().map(|(_, phase)| phase).collect();
        assert_eq!(
            found,
            [KeyPhase::Retiring, KeyPhase::Retiring, KeyPhase::Active]
        );
    }
}

/// SLR-03: what a stranger carries is good to its use-by, and no longer, however keys rotate.
#[tokio::test]
async fn a_sealed_registration_opens_until_its_use_by_after_a_rotation() {
    let hub = Hub::start().await;
    let registered = hub.register(&public_client()).await;
    let id = registered.client_id();
    rotate(&[&hub]).await;
    let made_at = hub.now();
    let late = hub.register(&public_client()).await;
    assert_ne!(
        late.client_id().get(..8),
        id.get(..8),
        "another key's number"
    );
    let ninety_days = 90 * 86_400;
    // A minute before its end it still opens; the sweep has not taken the key.
    hub.advance(ninety_days - 60 - 341).await;
    hub.engine.end_old_keys().await.unwrap();
    hub.engine.follow().await.unwrap();
    let mut visit = Visit::signed_in(&hub, "alice").await;
    consent(visit.ask(id, &[]).await);
    hub.advance(2 * 86_400).await;
    assert!(hub.now().since(made_at).as_secs() > ninety_days);
    assert_eq!(hub.engine.end_old_keys().await.unwrap(), 1);
    hub.engine.follow().await.unwrap();
    let mut visit = Visit::signed_in(&hub, "alice").await;
    assert_eq!(word(&visit.ask(id, &[]).await), "show");
}

/// SLR-03: a refresh family is under the key that it began with, to its end.
#[tokio::test]
async fn old_refresh_families_go_on_after_a_rotation() {
    let hub = Hub::start().await;
    let (client, _, before) = hub.public_session().await;
    rotate(&[&hub]).await;
    let shown = before.refresh_token.unwrap();
    let one = hub.refresh(&client.client_id, &shown, &[]).await.unwrap();
    let two = hub
        .refresh(&client.client_id, &one.refresh_token.unwrap(), &[])
        .await;
    two.unwrap();
    let user = hub.add_quick_user("late").await;
    let given = hub.grant(&client, &user, &GrantSpec::default()).await;
    let fresh = hub.redeem(&given).await.unwrap().refresh_token.unwrap();
    hub.refresh(&client.client_id, &fresh, &[]).await.unwrap();
}
