//! What an operator does to a hub that has clients: its name, its keys.

mod support;

use std::{sync::Arc, time::Duration};

use serde_json::json;
use support::{Hub, ISSUER, public_client, source_of, visit::Visit};
use vestibule_engine::{Limits, Rate, SettingsChange, StartError, Step, accept_issuer};
use vestibule_protocol::issuer::Issuer;
use vestibule_store::versions::Document;

const OTHER: &str = "https://other.example";

/// MCP-07: clients keep what they registered by issuer, so a hub that has a name keeps it.
#[tokio::test]
async fn a_hub_does_not_start_under_another_issuer() {
    let hub = Hub::start().await;
    // The same string is no change, one more letter is.
    hub.node_of(ISSUER).await.map(drop).unwrap();
    for other in [
        OTHER,
        "https://hub.example/tenant",
        "https://hub.example:8443",
    ] {
        let Err(StartError::Issuer { kept, configured }) = hub.node_of(other).await else {
            panic!("{other} was taken for {ISSUER}");
        };
        assert_eq!((kept.as_str(), configured.as_str()), (ISSUER, other));
        let told = StartError::Issuer { kept, configured }.to_string();
        for word in [ISSUER, other, "--accept-new-issuer"] {
            assert!(told.contains(word), "{told}");
        }
    }
    assert_eq!(
        hub.store.load_issuer().await.unwrap().as_deref(),
        Some(ISSUER)
    );
}

/// MCP-07: taken over on purpose, the data goes on; only what was made under the old name ends.
#[tokio::test]
async fn a_new_issuer_is_taken_over_when_an_operator_says_so() {
    let hub = Hub::start().await;
    let registered = hub.register(&public_client()).await;
    let (client, _, tokens) = hub.public_session().await;
    let issuer = Issuer::parse(OTHER).unwrap();
    let replaced = accept_issuer(&*hub.store, &issuer, hub.now()).await;
    assert_eq!(replaced.unwrap().as_deref(), Some(ISSUER));
    let again = accept_issuer(&*hub.store, &issuer, hub.now()).await;
    assert_eq!(again.unwrap(), None, "nothing is left to replace");

    let node = hub.node_of(OTHER).await.unwrap();
    assert!(matches!(
        hub.node_of(ISSUER).await,
        Err(StartError::Issuer { .. })
    ));
    // What it said stops working.
    let refresh_token = tokens.refresh_token.unwrap();
    let refreshed = node.refresh(&client.client_id, &refresh_token, &[]);
    assert_eq!(support::outcome(&refreshed.await), "invalid_grant");
    let (_, authorization) = node.add_resource_server(&[support::NOTES]).await;
    let seen = node.introspect(&tokens.access_token, &authorization).await;
    assert!(!seen.unwrap().active);
    let mut visit = Visit::signed_in(&node, "alice").await;
    assert!(matches!(
        visit.ask(registered.client_id(), &[]).await,
        Step::Show(_)
    ));
    // What it said stays: the stored client gets a new grant and tokens of the new issuer.
    let user = node.add_quick_user("newcomer").await;
    let spec = support::GrantSpec::default();
    let given = node.grant(&client, &user, &spec).await;
    let tokens = node.redeem(&given).await.unwrap();
    let seen = node.introspect(&tokens.access_token, &authorization).await;
    assert_eq!(seen.unwrap().iss.as_deref(), Some(OTHER));
}

/// A catalogue of so many products, newer than the shipped one.
fn catalogue(serial: u64, products: usize) -> String {
    let entries: Vec<_> = (0..products)
        .map(|n| {
            json!({
                "product": format!("Demo {n}"), "vendor": "Example", "names": [format!("Demo {n}")],
                "cimd_ids": [format!("https://demo{n}.example/c")],
                "document_hosts": [format!("demo{n}.example")],
                "first_seen": "2026-01-31", "source": "a test",
            })
        })
        .collect();
    let issued_at = 4_000_000_000_u64;
    json!({"version": 1, "serial": serial, "issued_at": issued_at, "entries": entries}).to_string()
}

/// Design 10: of two that replace a node's view at once, the one that began with the older one and
/// takes longer does not put it in the place of the newer one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_node_shows_never_goes_back() {
    let hub = Arc::new(Hub::start().await);
    let save = async |seq: u64, text: String| {
        let saved = hub
            .store
            .save_document(Document::Catalogue, seq, &text, hub.audit());
        assert_eq!(saved.await.unwrap(), Some(seq + 1));
    };
    // Large, so that reading it takes a while; where it was read all the same before anybody could come
    // between, once more.
    for round in 0..20 {
        let serial = 1_000_000 + 2 * round;
        save(2 * round, catalogue(serial, 8_000)).await;
        let slow = hub.clone();
        let slow = tokio::spawn(async move { slow.engine.follow().await });
        tokio::time::sleep(Duration::from_millis(3)).await;
        let met = !slow.is_finished();
        save(2 * round + 1, catalogue(serial + 1, 1)).await;
        hub.engine.follow().await.unwrap();
        assert_eq!(hub.engine.catalogue().serial(), serial + 1);
        slow.await.unwrap().unwrap();
        assert_eq!(hub.engine.catalogue().serial(), serial + 1);
        if met {
            return;
        }
    }
    panic!("the catalogue is too small for this test");
}

/// Limits are live settings: a change to a rate is in force at once, on the node where it was made
/// and on the others when they follow, also for who was refused under the old one.
#[tokio::test]
async fn a_changed_rate_is_in_force_without_a_restart() {
    let hub = Hub::builder().limits().start().await;
    let other = hub.node(Hub::builder().limits()).await.unwrap();
    let registered = hub.register(&public_client()).await;
    let id = registered.client_id();
    let body = serde_json::to_vec(&public_client()).unwrap();
    // How many of ten requests in the same second are served.
    let served = async |node: &Hub, ip: &str| {
        let (mut registrations, mut visits) = (0, 0);
        for _ in 0..10 {
            let from = source_of(ip);
            registrations += u32::from(node.engine.register(&body, None, &from).await.is_ok());
            let step = Visit::from(node, ip).ask(id, &[]).await;
            visits += u32::from(matches!(step, Step::SignIn(_)));
        }
        (registrations, visits)
    };
    let rate = |burst| Rate {
        burst,
        per_minute: 1,
    };
    assert_eq!(served(&hub, "192.0.2.1").await, (10, 10));
    let usual = hub.engine.settings().limits;
    let narrow = Limits {
        register: rate(3),
        authorize: rate(4),
        ..usual
    };
    hub.change(SettingsChange::Limits(narrow)).await;
    assert_eq!(served(&hub, "198.51.100.1").await, (3, 4));
    assert_eq!(served(&hub, "198.51.100.1").await, (0, 0));
    // The other node follows within a second.
    assert_eq!(served(&other, "198.51.100.2").await, (10, 10));
    other.engine.follow().await.unwrap();
    assert_eq!(served(&other, "198.51.100.3").await, (3, 4));
    // The wider prefix has a rate of its own.
    let wide = Limits {
        register_wide: rate(2),
        ..usual
    };
    hub.change(SettingsChange::Limits(wide)).await;
    assert_eq!(served(&hub, "198.18.7.1").await, (2, 10));
    assert_eq!(served(&hub, "198.18.7.2").await, (0, 10));
    // Who was refused waits no longer than at the new rate.
    hub.change(SettingsChange::Limits(usual)).await;
    served(&hub, "198.51.100.1").await;
    hub.advance(15).await;
    assert_eq!(served(&hub, "198.51.100.1").await, (10, 10));
}

/// What expired faster than it was swept is caught up with, in small steps.
#[tokio::test]
async fn a_sweep_says_whether_there_may_be_more() {
    let hub = Hub::start().await;
    let mut kept = tokio::task::JoinSet::new();
    for n in 0_u32..600 {
        let (store, until, audit) = (hub.store.clone(), hub.now(), hub.audit());
        let mut jti = [0; 32];
        jti[..4].copy_from_slice(&n.to_be_bytes());
        kept.spawn(async move { store.revoke_token_id(jti, until, audit).await });
    }
    assert!(kept.join_all().await.into_iter().all(|kept| kept.is_ok()));
    hub.advance(60).await;
    assert!(hub.engine.sweep().await, "the first 500 of 600");
    assert!(!hub.engine.sweep().await);
    assert!(!hub.engine.sweep().await);
}
