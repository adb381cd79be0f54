//! Two nodes over one PostgreSQL database, each with connections of its own, at the same moment: always
//! there, whatever store the other tests run on.

#![expect(clippy::unwrap_used, reason = "what surprises a test should end it")]

mod support;

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::json;
use support::{database::TestDatabase, *};
use tokio::sync::Barrier;
use vestibule_engine::SettingsChange;
use vestibule_jwt::{Algorithm, JwkSet, SigningKey};
use vestibule_protocol::{audit::Event, trust::DcrMode};

/// So often each race is run.
const ROUNDS: usize = 25;
/// Racers on each node.
const RACERS: usize = 4;

async fn two_nodes() -> [Arc<Hub>; 2] {
    let database = Arc::new(TestDatabase::postgres().await);
    let one = Hub::builder().start_on(database, 1).await;
    let two = one.second_node().await;
    [Arc::new(one), Arc::new(two)]
}

/// The same call on both nodes, released together; their answers.
async fn race<T, Call>(nodes: &[Arc<Hub>; 2], call: impl Fn(Arc<Hub>) -> Call) -> Vec<T>
where
    T: Send + 'static,
    Call: Future<Output = T> + Send + 'static,
{
    let line = Arc::new(Barrier::new(nodes.len() * RACERS));
    let mut tasks = tokio::task::JoinSet::new();
    for node in nodes {
        for _ in 0..RACERS {
            let (line, call) = (line.clone(), call(node.clone()));
            tasks.spawn(async move {
                line.wait().await;
                call.await
            });
        }
    }
    tasks.join_all().await
}

/// AC-06, T1, design section 10: one code, one family, however many nodes are asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nodes_that_race_on_one_code_redeem_it_once() {
    let nodes = two_nodes().await;
    let [one, _] = &nodes;
    let client = one.add_client("agent", &public_client(), None).await;
    let user = one.add_quick_user("ada").await;
    for round in 0..ROUNDS {
        let given = one.grant(&client, &user, &GrantSpec::default()).await;
        let answers = race(&nodes, |node| {
            let given = given.clone();
            async move { node.redeem(&given).await }
        })
        .await;
        let right = answers.iter().filter(|answer| answer.is_ok());
        assert_eq!(right.count(), 1, "round {round}");
        for answer in answers.iter().filter(|answer| answer.is_err()) {
            assert_eq!(outcome(answer), "invalid_grant", "round {round}");
        }
    }
    assert_eq!(one.trail(Event::CodeRedeemed).await.len(), ROUNDS);
}

/// RT-11, T7: one refresh token, one successor; the grant lives on.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nodes_that_race_on_one_refresh_token_give_one_successor() {
    let nodes = two_nodes().await;
    let [one, two] = &nodes;
    let (client, _, tokens) = one.public_session().await;
    let mut refresh = tokens.refresh_token.unwrap();
    for round in 0..ROUNDS {
        let answers = race(&nodes, |node| {
            let (client_id, refresh) = (client.client_id.clone(), refresh.clone());
            async move { node.refresh(&client_id, &refresh, &[]).await }
        })
        .await;
        let successors: BTreeSet<String> = answers
            .into_iter()
            .map(|answer| answer.unwrap().refresh_token.unwrap())
            .collect();
        assert_eq!(successors.len(), 1, "round {round}");
        refresh = successors.into_iter().next().unwrap();
    }
    assert!(one.trail(Event::RefreshReuse).await.is_empty());
    // And on the other node an old one is still found to be old.
    let old = tokens_of(two, &client.client_id, &refresh).await;
    let newest = tokens_of(two, &client.client_id, &old).await;
    for node in &nodes {
        node.advance(120).await;
    }
    let reused = one.refresh(&client.client_id, &refresh, &[]).await;
    assert_eq!(outcome(&reused), "invalid_grant");
    let after = two.refresh(&client.client_id, &newest, &[]).await;
    assert_eq!(outcome(&after), "invalid_grant");
}

async fn tokens_of(node: &Hub, client_id: &str, refresh: &str) -> String {
    let answer = node.refresh(client_id, refresh, &[]).await;
    answer.unwrap().refresh_token.unwrap()
}

/// INT-05, T22: a node hears of its own changes at once, and of another's in the next second, though it
/// has not looked for what moved since.
#[tokio::test]
async fn what_ends_on_one_node_is_over_on_the_other_within_a_second() {
    let [one, two] = two_nodes().await;
    let (_, user, tokens) = one.public_session().await;
    let (_, rs) = one
        .add_resource_server(&["https://notes.example/mcp"])
        .await;
    let active = async |node: &Hub| {
        let answer = node.introspect(&tokens.access_token, &rs).await;
        answer.unwrap().active
    };
    assert!(active(&one).await && active(&two).await);
    let disabled = one.store.set_disabled(&user, true, one.audit()).await;
    assert!(disabled.unwrap());
    assert!(!active(&one).await, "the node that was told");
    two.stall(1);
    assert!(!active(&two).await, "the other");
}

/// JCA-07, T11: one assertion, one use, on whatever node; and what it did not pay for is untouched.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nodes_that_race_on_one_assertion_use_it_once() {
    let nodes = two_nodes().await;
    let [one, _] = &nodes;
    let key = SigningKey::generate(Algorithm::Es256).unwrap().0;
    let set = JwkSet::of(vec![key.public_jwk().clone()]);
    let mut registration = public_client();
    registration["token_endpoint_auth_method"] = "private_key_jwt".into();
    registration["jwks"] = serde_json::from_slice(&set.to_json()).unwrap();
    let client = one.add_client("agent", &registration, None).await;
    let user = one.add_quick_user("ada").await;
    for round in 0..ROUNDS {
        let claims = json!({
            "iss": "agent", "sub": "agent", "aud": ISSUER, "jti": format!("round-{round}"),
            "iat": START, "exp": START + 60,
        });
        let assertion = key.sign(None, claims.to_string().as_bytes()).unwrap();
        // A code for each, so that only the assertion is raced for.
        let mut codes = Vec::new();
        for _ in 0..nodes.len() * RACERS {
            codes.push(one.grant(&client, &user, &GrantSpec::default()).await);
        }
        let codes = Arc::new(std::sync::Mutex::new(codes));
        let answers = race(&nodes, |node| {
            let (given, assertion) = (codes.lock().unwrap().pop().unwrap(), assertion.clone());
            async move {
                let more = [
                    (
                        "client_assertion_type",
                        "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                    ),
                    ("client_assertion", assertion.as_str()),
                ];
                node.redeem_with(&given, &more, None).await
            }
        })
        .await;
        let right = answers.iter().filter(|answer| answer.is_ok());
        assert_eq!(right.count(), 1, "round {round}");
        for answer in answers.iter().filter(|answer| answer.is_err()) {
            assert_eq!(outcome(answer), "invalid_client", "round {round}");
        }
    }
}

/// Design section 10: what an admin says to one node is in force on the other within a second, by its
/// look at the heads alone: nothing here listens to anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_setting_reaches_the_other_node_within_a_second() {
    let [one, two] = two_nodes().await;
    let background = tokio::spawn(two.engine.clone().run_background());
    for mode in [DcrMode::Off, DcrMode::Open, DcrMode::Off] {
        // In no step with the other's clock.
        tokio::time::sleep(Duration::from_millis(370)).await;
        one.change(SettingsChange::Dcr(mode)).await;
        let changed = Instant::now();
        while two.engine.settings().dcr != mode {
            // A second, and what a busy machine takes beside.
            assert!(changed.elapsed() < Duration::from_millis(1_600), "{mode:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    background.abort();
}
