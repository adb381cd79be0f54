//! What [`crate::SupersessionStore`] promises, for `store_conformance_suite!`.

use std::sync::Arc;

use vestibule_protocol::{audit::Event, client_id::ClientKey, ids::GrantId, trust::Door};

use super::make::{
    NOW, RESOURCE, approval, at, audit, client, count, found, hash, lines, metadata, opened, race,
    rotation, user,
};
use crate::{
    Store,
    clients::StoredClient,
    grants::{Approval, Approved},
    supersessions::{NAMED_MAX, PREDECESSORS_MAX, SoftwareRow, Superseded, SupersessionRow},
    tokens::Rotated,
};

const NEW: &str = "https://agent.example/client.json";
const OTHER: &str = "https://other.example/client.json";

fn old(n: usize) -> StoredClient {
    client(&format!("vdr_{n}"), Door::Dcr)
}

async fn put(store: &dyn Store, old: &[ClientKey], new: &str) -> Superseded {
    let put = store.put_supersession("an app", old, new, audit(Event::ClientSuperseded));
    put.await.unwrap()
}

async fn remove(store: &dyn Store, new: &str) -> bool {
    let removed = store.remove_supersession(new, audit(Event::SupersessionRemoved));
    removed.await.unwrap()
}

async fn predecessors(store: &dyn Store, new: &str) -> Vec<ClientKey> {
    let mut keys = store.superseded_by(&ClientKey::of(new)).await.unwrap();
    keys.sort();
    keys
}

fn sorted<const N: usize>(mut keys: [ClientKey; N]) -> [ClientKey; N] {
    keys.sort();
    keys
}

/// Person `person` approves client `client` as number `n`.
async fn give(store: &dyn Store, n: usize, person: usize, client: &StoredClient, resource: &str) {
    let approved = store.approve(by(n, person, client, resource)).await;
    assert_eq!(approved.unwrap(), Approved::Done);
}

fn by(n: usize, person: usize, client: &StoredClient, resource: &str) -> Approval {
    let mut approval = approval(n, client);
    approval.grant.user = user(person).id;
    resource.clone_into(&mut approval.grant.resource);
    approval
}

/// The same for the new client, with everything that it takes the place of.
async fn succeed(store: &dyn Store, n: usize, person: usize, resource: &str) -> Approved {
    let new = client(NEW, Door::Cimd);
    let supersedes = store.superseded_by(&new.key).await.unwrap();
    let approval = Approval {
        supersedes,
        ..by(n, person, &new, resource)
    };
    store.approve(approval).await.unwrap()
}

async fn lives(store: &dyn Store, n: usize) -> bool {
    let grant = GrantId::new(format!("g_{n}"));
    store.token_is_live(Some(&grant), &hash(9)).await.unwrap()
}

/// Links are there once, whoever says so, and go as they came.
pub async fn predecessors_are_linked_once(store: Arc<dyn Store>) {
    let (one, two, three) = (old(1).key, old(2).key, old(3).key);
    assert_eq!(put(&*store, &[one, two, one], NEW).await, Superseded::Done);
    assert_eq!(predecessors(&*store, NEW).await, sorted([one, two]));
    assert_eq!(put(&*store, &[two, one], NEW).await, Superseded::Done);
    assert_eq!(put(&*store, &[], NEW).await, Superseded::Done);
    assert_eq!(lines(&*store, Event::ClientSuperseded).await, 1);
    // Nobody is their own predecessor.
    let itself = ClientKey::of(NEW);
    assert_eq!(put(&*store, &[itself, three], NEW).await, Superseded::Done);
    assert_eq!(predecessors(&*store, NEW).await, sorted([one, two, three]));
    assert!(predecessors(&*store, OTHER).await.is_empty());

    assert!(remove(&*store, NEW).await);
    assert!(!remove(&*store, NEW).await);
    assert!(predecessors(&*store, NEW).await.is_empty());
    assert_eq!(lines(&*store, Event::SupersessionRemoved).await, 1);
}

/// Two admins who disagree leave one answer.
pub async fn a_client_has_one_successor(store: Arc<dyn Store>) {
    let keys = [old(1).key, old(2).key];
    let answers = race(20, |n| {
        let store = store.clone();
        async move { put(&*store, &keys, if n % 2 == 0 { NEW } else { OTHER }).await }
    });
    assert_eq!(count(&answers.await, &Superseded::Done), 20);
    let both = (
        predecessors(&*store, NEW).await,
        predecessors(&*store, OTHER).await,
    );
    let all = sorted(keys).to_vec();
    assert!(
        both == (all.clone(), Vec::new()) || both == (Vec::new(), all),
        "{both:?}"
    );
}

/// Whole or not at all, and an answer stays short.
pub async fn predecessors_are_bounded(store: Arc<dyn Store>) {
    let keys: Vec<_> = (0..=PREDECESSORS_MAX)
        .map(|n| ClientKey::of(&format!("clone-{n}")))
        .collect();
    assert_eq!(put(&*store, &keys, NEW).await, Superseded::Full);
    assert!(predecessors(&*store, NEW).await.is_empty());
    let (last, most) = keys.split_last().unwrap();
    assert_eq!(put(&*store, most, NEW).await, Superseded::Done);
    assert_eq!(put(&*store, &[*last], NEW).await, Superseded::Full);
    assert_eq!(put(&*store, most, NEW).await, Superseded::Done);
    assert_eq!(predecessors(&*store, NEW).await.len(), NAMED_MAX);
    let report = store.supersession_report(NOW).await.unwrap();
    let counts: Vec<_> = report.iter().map(|row| row.old_clients).collect();
    assert_eq!(counts, [PREDECESSORS_MAX as u64]);
}

/// The person who says yes moves; nobody else, and nothing elsewhere.
pub async fn an_approval_moves_the_person_s_own_grants(store: Arc<dyn Store>) {
    let elsewhere = "https://other.example/mcp";
    // Person 1 has a family with the first, and a grant with the second.
    let (family, _) = opened(&*store, 1).await;
    give(&*store, 2, 1, &old(2), RESOURCE).await;
    #[rustfmt::skip]
    let untouched = [
        (3, 1, old(1), elsewhere),
        (4, 2, old(1), RESOURCE),
        (5, 1, old(3), RESOURCE),
        (6, 1, client(NEW, Door::Cimd), RESOURCE),
    ];
    for (n, person, client, resource) in &untouched {
        give(&*store, *n, *person, client, resource).await;
    }
    put(&*store, &[old(1).key, old(2).key], NEW).await;
    let new = ClientKey::of(NEW);
    let mine = store.superseded_for(&new, &user(1).id, RESOURCE, NOW).await;
    let mut mine = mine.unwrap();
    mine.sort();
    assert_eq!(mine, sorted([old(1).key, old(2).key]));

    assert_eq!(succeed(&*store, 7, 1, RESOURCE).await, Approved::Done);
    for n in [1, 2] {
        assert!(!lives(&*store, n).await, "{n}");
    }
    for n in 3..=7 {
        assert!(lives(&*store, n).await, "{n}");
    }
    let (family_now, grant_now) = found(&*store, 1).await;
    assert!(family_now.revoked && grant_now.revoked);
    let refreshed = store.rotate(rotation(&family, 0, 10)).await.unwrap();
    assert_eq!(refreshed, Rotated::Dead);
    let digest = old(1).metadata.security_digest();
    let remembered = store
        .remembered_consent(&user(1).id, &old(1).key, &digest, RESOURCE, NOW)
        .await;
    // Person 1 approved the first client at two resources; the one elsewhere stays remembered.
    assert_eq!(remembered.unwrap(), None);

    let moved: Vec<_> = store
        .audit_rows(None, 100)
        .await
        .unwrap()
        .into_iter()
        .filter(|row| row.entry.event == Event::GrantMoved)
        .map(|row| (row.entry.client, row.entry.grant, row.entry.detail))
        .collect();
    let line = |n: usize| {
        (
            Some(old(n).key),
            Some(GrantId::new(format!("g_{n}"))),
            "moved to g_7".to_owned(),
        )
    };
    assert_eq!(moved.len(), 2);
    assert!(moved.contains(&line(1)) && moved.contains(&line(2)));
    let after = store.superseded_for(&new, &user(1).id, RESOURCE, NOW).await;
    assert!(after.unwrap().is_empty());
}

/// An approval that names others' clients, or says nothing, moves nothing.
pub async fn without_a_link_or_a_wish_nothing_moves(store: Arc<dyn Store>) {
    for n in [1, 2, 3] {
        give(&*store, n, 1, &old(n), RESOURCE).await;
    }
    put(&*store, &[old(1).key], NEW).await;
    put(&*store, &[old(2).key], OTHER).await;
    let new = client(NEW, Door::Cimd);
    let silent = by(4, 1, &new, RESOURCE);
    assert_eq!(store.approve(silent).await.unwrap(), Approved::Done);
    let greedy = Approval {
        supersedes: vec![old(2).key, old(3).key],
        ..by(5, 1, &new, RESOURCE)
    };
    assert_eq!(store.approve(greedy).await.unwrap(), Approved::Done);
    // Taken back between the read and the verb.
    assert!(remove(&*store, NEW).await);
    let late = Approval {
        supersedes: vec![old(1).key],
        ..by(6, 1, &new, RESOURCE)
    };
    assert_eq!(store.approve(late).await.unwrap(), Approved::Done);
    for n in 1..=6 {
        assert!(lives(&*store, n).await, "{n}");
    }
    assert_eq!(lines(&*store, Event::GrantMoved).await, 0);
}

/// Two tabs and a refresh at once: the old grant ends once, and no family outlives it.
pub async fn of_many_approvals_at_once_one_moves_a_grant(store: Arc<dyn Store>) {
    let (family, _) = opened(&*store, 1).await;
    put(&*store, &[old(1).key], NEW).await;
    let answers = race(20, |n| {
        let (store, family) = (store.clone(), family.clone());
        async move {
            if n % 2 == 0 {
                let approved = succeed(&*store, 100 + n, 1, RESOURCE).await;
                assert_eq!(approved, Approved::Done);
                None
            } else {
                Some(store.rotate(rotation(&family, 0, 10)).await.unwrap())
            }
        }
    });
    let refreshed: Vec<_> = answers.await.into_iter().flatten().collect();
    assert!(count(&refreshed, &Rotated::Moved) <= 1);
    assert_eq!(lines(&*store, Event::GrantMoved).await, 1);
    let (family, grant) = found(&*store, 1).await;
    assert!(family.revoked && grant.revoked);
    let report = store.supersession_report(NOW).await.unwrap();
    let moved: Vec<_> = report.iter().map(|row| row.moved).collect();
    assert_eq!(moved, [1]);
}

/// How far the move is, for each successor.
pub async fn the_report_says_who_is_left(store: Arc<dyn Store>) {
    for n in 1..=4 {
        give(&*store, n, n, &old(n), RESOURCE).await;
    }
    give(&*store, 5, 5, &old(1), RESOURCE).await;
    put(&*store, &[old(1).key, old(2).key, old(9).key], NEW).await;
    put(&*store, &[old(3).key], OTHER).await;
    let row = |new: &str, old_clients, live_grants_left, moved| SupersessionRow {
        new_client_id: new.to_owned(),
        old_clients,
        live_grants_left,
        moved,
    };
    let report = |seconds| store.supersession_report(at(seconds));
    let before = report(0).await.unwrap();
    assert_eq!(before, [row(NEW, 3, 3, 0), row(OTHER, 1, 1, 0)]);
    assert_eq!(succeed(&*store, 10, 1, RESOURCE).await, Approved::Done);
    assert_eq!(succeed(&*store, 11, 5, RESOURCE).await, Approved::Done);
    // Linked again: what was moved stays counted.
    put(&*store, &[old(1).key], NEW).await;
    let after = report(0).await.unwrap();
    assert_eq!(after, [row(NEW, 3, 1, 2), row(OTHER, 1, 1, 0)]);
    let at_the_end = report(7 * 86_400).await.unwrap();
    assert_eq!(at_the_end, [row(NEW, 3, 0, 2), row(OTHER, 1, 0, 0)]);
}

/// What registered, and how much hangs on it: registered clients only.
pub async fn registered_software_is_counted(store: Arc<dyn Store>) {
    let of = |n: usize, software: &str, redirect: &str, door| StoredClient {
        software: software.to_owned(),
        metadata: metadata(redirect, &format!("App {n}")),
        created_at: at(n as u64),
        ..client(&format!("client-{n}"), door)
    };
    #[rustfmt::skip]
    let clients = [
        of(1, "rare",   "https://rare.example/cb",  Door::Dcr),
        of(2, "common", "https://b.example/cb",     Door::Dcr),
        of(3, "common", "https://a.example/cb",     Door::Dcr),
        of(4, "common", "https://a.example/cb",     Door::Dcr),
        of(5, "common", "https://doc.example/cb",   Door::Cimd),
        of(6, "",       "https://empty.example/cb", Door::Dcr),
    ];
    for (n, client) in clients.iter().enumerate() {
        give(&*store, n, n, client, RESOURCE).await;
    }
    let second = GrantId::new("g_2");
    let revoked = store.revoke_grant(&second, audit(Event::GrantRevoked));
    assert!(revoked.await.unwrap());
    let row = |software: &str, name: &str, clients, live_grants, hosts: &[&str]| SoftwareRow {
        software: software.to_owned(),
        example_name: Some(name.to_owned()),
        clients,
        live_grants,
        redirect_hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
    };
    let common = row("common", "App 4", 3, 2, &["a.example", "b.example"]);
    let rare = row("rare", "App 1", 1, 1, &["rare.example"]);
    let all = store.registered_software(at(10), 10).await.unwrap();
    assert_eq!(all, [common.clone(), rare]);
    let first = store.registered_software(at(10), 1).await.unwrap();
    assert_eq!(first, [common]);
    let later = store.registered_software(at(7 * 86_400), 1).await.unwrap();
    assert_eq!(later.first().map(|row| row.live_grants), Some(0));
}

/// Newest first, by whatever door; nobody shares an unknown software.
pub async fn clients_of_one_software_are_listed(store: Arc<dyn Store>) {
    for n in 1..=4_u64 {
        let number = usize::try_from(n).unwrap();
        let client = StoredClient {
            software: if n == 4 { "" } else { "agent" }.to_owned(),
            created_at: at(n),
            ..client(&format!("client-{n}"), Door::Dcr)
        };
        give(&*store, number, number, &client, RESOURCE).await;
    }
    let of = |software: &'static str, rows_max| {
        let store = store.clone();
        async move {
            let clients = store.clients_of_software(software, rows_max).await.unwrap();
            let ids = clients.into_iter().map(|client| client.client_id);
            ids.collect::<Vec<_>>()
        }
    };
    assert_eq!(of("agent", 9).await, ["client-3", "client-2", "client-1"]);
    assert_eq!(of("agent", 1).await, ["client-3"]);
    assert!(of("", 9).await.is_empty());
    assert!(of("age", 9).await.is_empty());
}
