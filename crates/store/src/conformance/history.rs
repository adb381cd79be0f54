//! What [`crate::HistoryStore`] promises, for `store_conformance_suite!`.

use std::sync::Arc;

use vestibule_protocol::{audit::Event, client_id::ClientKey, ids::GrantId, trust::Door};

use super::make::{approval, at, audit, client, hash, metadata, user};
use crate::{
    Store,
    clients::StoredClient,
    documents::{DocumentChange, DocumentNoted},
    grants::Approved,
    history::{COUNT_MAX, ClientHistory},
};

const DAY: u64 = 86_400;

fn of(id: &str, software: &str, host: Option<&str>, seconds: u64) -> StoredClient {
    StoredClient {
        software: software.to_owned(),
        host: host.map(str::to_owned),
        created_at: at(seconds),
        ..client(id, Door::Cimd)
    }
}

/// Grant number `n`, of person `person`, to this client.
async fn give(store: &dyn Store, n: usize, person: usize, client: &StoredClient) {
    let mut approval = approval(n, client);
    approval.grant.user = user(person).id;
    assert_eq!(store.approve(approval).await.unwrap(), Approved::Done);
}

async fn history(store: &dyn Store, client: &StoredClient, seconds: u64) -> ClientHistory {
    let host = client.host.as_deref();
    store
        .client_history(&client.key, &client.software, host, at(seconds))
        .await
        .unwrap()
}

/// Nothing is known, and what is unknown is shared with nobody.
pub async fn of_who_never_was_here_nothing_is_known(store: Arc<dyn Store>) {
    let here = of("https://a.example/c", "", None, 5);
    give(&*store, 1, 1, &here).await;
    let stranger = of("https://b.example/c", "", None, 5);
    let known = history(&*store, &stranger, 10).await;
    assert_eq!(known, ClientHistory::default());
    let known = store
        .client_history(&ClientKey::of("x"), "other", Some("b.example"), at(10))
        .await;
    assert_eq!(known.unwrap(), ClientHistory::default());
}

/// Each number, with neighbours that must not count.
pub async fn history_counts_people_clones_and_changes(store: Arc<dyn Store>) {
    let host = Some("agent.example");
    let first = of("https://agent.example/1", "agent", host, 10);
    let second = of("https://agent.example/2", "agent", host, 20);
    let other = of("https://other.example/1", "other", Some("other.example"), 1);
    // Ada twice with the first; Bob with both; Cleo with the second; Dora elsewhere.
    let given = [
        (1, 1, &first),
        (2, 1, &first),
        (3, 2, &first),
        (4, 2, &second),
        (5, 3, &second),
        (6, 4, &other),
    ];
    for (n, person, client) in given {
        give(&*store, n, person, client).await;
    }
    for (n, seconds) in [(1, 100), (2, 10 * DAY), (3, 35 * DAY)] {
        let change = DocumentChange {
            at: at(seconds),
            security: false,
            diff: "{}".to_owned(),
            digest: hash(n),
        };
        let new = metadata("https://app.example/callback", "Another name");
        let noted = store.note_document(&first.key, change, &new, audit(Event::DocumentChanged));
        assert_eq!(noted.await.unwrap(), DocumentNoted::Done);
    }
    let expected = ClientHistory {
        first_seen: Some(at(10)),
        people: 2,
        software_clients: 2,
        software_people: 3,
        host_first_seen: Some(at(10)),
        changes_30d: 3,
        last_changed_at: Some(at(35 * DAY)),
    };
    assert_eq!(history(&*store, &first, 200).await, expected);
    let expected = ClientHistory {
        first_seen: Some(at(20)),
        people: 2,
        changes_30d: 0,
        last_changed_at: None,
        ..expected
    };
    assert_eq!(history(&*store, &second, 200).await, expected);
    // A clone without a row is known by its software and host.
    let clone = of("https://agent.example/3", "agent", host, 0);
    let expected = ClientHistory {
        first_seen: None,
        people: 0,
        ..expected
    };
    assert_eq!(history(&*store, &clone, 200).await, expected);
}

/// What was taken back or is over speaks for nobody.
pub async fn history_forgets_grants_that_ended(store: Arc<dyn Store>) {
    let client = of("https://agent.example/1", "agent", None, 10);
    for n in 1..=3 {
        give(&*store, n, n, &client).await;
    }
    let people = |history: ClientHistory| (history.people, history.software_people);
    assert_eq!(people(history(&*store, &client, 0).await), (3, 3));
    let second = GrantId::new("g_2");
    let revoked = store.revoke_grant(&second, audit(Event::GrantRevoked));
    assert!(revoked.await.unwrap());
    assert_eq!(people(history(&*store, &client, 0).await), (2, 2));
    assert_eq!(people(history(&*store, &client, 7 * DAY - 1).await), (2, 2));
    assert_eq!(people(history(&*store, &client, 7 * DAY).await), (0, 0));
}

/// 30 days back and not a second more.
pub async fn history_counts_the_changes_of_a_month(store: Arc<dyn Store>) {
    let client = of("https://agent.example/1", "agent", None, 0);
    give(&*store, 1, 1, &client).await;
    let change = DocumentChange {
        at: at(100),
        security: true,
        diff: "{}".to_owned(),
        digest: hash(1),
    };
    let audit = audit(Event::DocumentChanged);
    let noted = store.note_document(&client.key, change, &client.metadata, audit);
    assert_eq!(noted.await.unwrap(), DocumentNoted::Done);
    for (seconds, changes) in [(100, 1), (30 * DAY + 99, 1), (30 * DAY + 100, 0)] {
        let history = history(&*store, &client, seconds).await;
        assert_eq!(history.changes_30d, changes, "{seconds}");
        assert_eq!(history.last_changed_at, Some(at(100)));
    }
}

/// However popular, the read stops counting.
pub async fn history_stops_counting(store: Arc<dyn Store>) {
    let most = usize::try_from(COUNT_MAX).unwrap();
    let client = of("https://agent.example/1", "agent", None, 0);
    let calls = (0..most + 20).map(|n| give(&*store, n, n, &client));
    for call in calls {
        call.await;
    }
    let history = history(&*store, &client, 10).await;
    assert_eq!(history.people, COUNT_MAX);
    assert_eq!(history.software_people, COUNT_MAX);
    assert_eq!(history.software_clients, 1);
}
