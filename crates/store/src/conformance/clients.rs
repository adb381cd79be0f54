//! What [`crate::ClientStore`] promises, for `store_conformance_suite!`.

use std::sync::Arc;

use vestibule_protocol::{
    audit::Event,
    client_id::ClientKey,
    ids::GrantId,
    trust::{Door, Standing},
};

use super::make::{
    NOW, RESOURCE, approval, approved, at, audit, client, count, found, hash, lines, metadata,
    opened, race, spending, user,
};
use crate::{
    Store,
    clients::{Added, ClientChange, ClientLookup, Replaced, StoredClient},
    grants::{Approved, Spent},
};

fn change(ends_codes: bool) -> ClientChange {
    ClientChange {
        metadata: metadata("https://app.example/other", "Another name"),
        management_hash: Some(hash(78)),
        secret_hash: Some(hash(79)),
        ends_codes,
    }
}

async fn active(store: &dyn Store, key: &ClientKey) -> StoredClient {
    match store.find_client(key).await.unwrap() {
        ClientLookup::Active(client) => *client,
        other => unreachable!("{other:?}"),
    }
}

async fn remembered(store: &dyn Store, n: usize, client: &StoredClient) -> bool {
    let digest = client.metadata.security_digest();
    let scopes = store
        .remembered_consent(&user(n).id, &client.key, &digest, RESOURCE, NOW)
        .await;
    scopes.unwrap().is_some()
}

/// R17: only `NeverSeen` lets another door be asked.
pub async fn who_has_no_row_was_never_seen(store: Arc<dyn Store>) {
    approved(&*store, 1).await;
    let lookup = store.find_client(&ClientKey::of("somebody")).await.unwrap();
    assert!(matches!(lookup, ClientLookup::NeverSeen));
}

/// Made at once and whole.
pub async fn of_many_who_make_one_client_one_succeeds(store: Arc<dyn Store>) {
    let answers = race(20, |_| {
        let store = store.clone();
        async move {
            let made = client("one", Door::Admin);
            store
                .add_client(made, audit(Event::ClientMade))
                .await
                .unwrap()
        }
    });
    let answers = answers.await;
    assert_eq!(count(&answers, &Added::Done), 1);
    assert_eq!(count(&answers, &Added::Taken), 19);
    assert_eq!(store.count_clients().await.unwrap(), 1);
    assert_eq!(lines(&*store, Event::ClientMade).await, 1);
}

/// CIMD-73: every field of a row comes back, the door it came through among them.
pub async fn a_client_reads_back_as_it_was_written(store: Arc<dyn Store>) {
    let written = StoredClient {
        standing: Standing::Verified,
        secret_hash: Some(hash(1)),
        introspects: vec![RESOURCE.to_owned(), "https://b.example/".to_owned()],
        machine_scopes: Some("mcp:read".to_owned()),
        scope_ceiling: Some("mcp:read mcp:write".to_owned()),
        software: "agent|agent.example".to_owned(),
        host: Some("agent.example".to_owned()),
        issued_at: at(3),
        snapshot_at: at(4),
        created_at: at(5),
        version: 4,
        ..client("https://agent.example/client.json", Door::Cimd)
    };
    let made = store.add_client(written.clone(), audit(Event::ClientMade));
    assert_eq!(made.await.unwrap(), Added::Done);
    let read = active(&*store, &written.key).await;
    // The metadata has no other equality than its own.
    assert_eq!(read.metadata, written.metadata);
    assert_eq!(format!("{read:?}"), format!("{written:?}"));
}

/// Of writers who read the same version one wins, the others are told.
pub async fn a_change_needs_the_version_that_was_read(store: Arc<dyn Store>) {
    let client = approved(&*store, 1).await;
    let key = client.key;
    let answers = race(20, |_| {
        let store = store.clone();
        async move {
            let changed = store.replace_client(&key, 1, change(false), audit(Event::ClientChanged));
            changed.await.unwrap()
        }
    });
    let answers = answers.await;
    assert_eq!(count(&answers, &Replaced::Done), 1);
    assert_eq!(count(&answers, &Replaced::Stale), 19);
    let read = active(&*store, &key).await;
    assert_eq!(read.version, 2);
    assert_eq!(read.metadata, change(false).metadata);
    assert_eq!(read.management_hash, Some(hash(78)));
    assert_eq!(read.secret_hash, Some(hash(79)));
    assert_eq!(read.client_id, client.client_id);
    assert_eq!(lines(&*store, Event::ClientChanged).await, 1);
}

/// DCRM-18: what a person saw is not what the client is now.
pub async fn a_change_of_redirects_ends_codes_and_remembered_consent(store: Arc<dyn Store>) {
    let client = approved(&*store, 1).await;
    assert!(remembered(&*store, 1, &client).await);
    let changed = store.replace_client(&client.key, 1, change(true), audit(Event::ClientChanged));
    assert_eq!(changed.await.unwrap(), Replaced::Done);
    assert_eq!(store.spend_code(spending(1)).await.unwrap(), Spent::Unknown);
    assert!(!remembered(&*store, 1, &client).await);
}

/// A new contact address disturbs nobody.
pub async fn a_plain_change_leaves_codes_and_remembered_consent(store: Arc<dyn Store>) {
    let client = approved(&*store, 1).await;
    let changed = store.replace_client(&client.key, 1, change(false), audit(Event::ClientChanged));
    assert_eq!(changed.await.unwrap(), Replaced::Done);
    assert!(remembered(&*store, 1, &client).await);
    let spent = store.spend_code(spending(1)).await.unwrap();
    assert_eq!(spent, Spent::Now(GrantId::new("g_1")));
}

/// Never there, or there no more.
pub async fn a_change_of_what_is_not_there_is_gone(store: Arc<dyn Store>) {
    let nobody = ClientKey::of("nobody");
    let removed = approved(&*store, 1).await.key;
    let gone = store.remove_client(&removed, at(100), false, audit(Event::ClientRemoved));
    assert!(gone.await.unwrap());
    for key in [nobody, removed] {
        let changed = store.replace_client(&key, 1, change(false), audit(Event::ClientChanged));
        assert_eq!(changed.await.unwrap(), Replaced::Gone);
    }
}

/// DCRM-11: row, grants, families, codes and remembered consent, in one transaction.
pub async fn a_removed_client_takes_everything_along(store: Arc<dyn Store>) {
    let (family, grant) = opened(&*store, 1).await;
    let client = client("vdr_1", Door::Dcr);
    let second = store.approve(approval(2, &client)).await.unwrap();
    assert_eq!(second, Approved::Done);
    let other = approved(&*store, 3).await;

    let removed = store.remove_client(&client.key, at(100), false, audit(Event::ClientRemoved));
    assert!(removed.await.unwrap());
    let again = store.remove_client(&client.key, at(100), false, audit(Event::ClientRemoved));
    assert!(!again.await.unwrap());

    let lookup = store.find_client(&client.key).await.unwrap();
    assert!(matches!(lookup, ClientLookup::Gone));
    assert!(found(&*store, 1).await.0.revoked);
    assert!(store.find_grant(&grant.id).await.unwrap().unwrap().revoked);
    assert!(
        !store
            .token_is_live(Some(&grant.id), &hash(9))
            .await
            .unwrap()
    );
    assert_eq!(family.client, client.key);
    let unspent = store.spend_code(spending(2)).await.unwrap();
    assert!(matches!(unspent, Spent::Unknown | Spent::Expired));
    assert!(!remembered(&*store, 1, &client).await);
    // Somebody else's are untouched.
    assert!(remembered(&*store, 3, &other).await);
    assert!(
        store
            .token_is_live(Some(&GrantId::new("g_3")), &hash(9))
            .await
            .unwrap()
    );
    assert_eq!(store.count_clients().await.unwrap(), 1);
}

/// SLR-05: an id that was taken away does not come back through another door.
pub async fn a_tombstone_stands_where_no_row_was(store: Arc<dyn Store>) {
    let stranger = client("vdr_stranger", Door::Dcr);
    let removed = store.remove_client(&stranger.key, at(100), false, audit(Event::ClientRemoved));
    assert!(!removed.await.unwrap());
    let lookup = store.find_client(&stranger.key).await.unwrap();
    assert!(matches!(lookup, ClientLookup::Gone));
    let made = store.add_client(stranger.clone(), audit(Event::ClientMade));
    assert_eq!(made.await.unwrap(), Added::Taken);
    let approved = store.approve(approval(1, &stranger)).await.unwrap();
    assert_eq!(approved, Approved::ClientGone);
    assert_eq!(store.count_clients().await.unwrap(), 0);
}

/// Whoever was blocked cannot wash it off by deleting itself.
pub async fn a_block_outlasts_a_later_removal(store: Arc<dyn Store>) {
    let client = approved(&*store, 1).await;
    let blocked = store.remove_client(&client.key, at(100), true, audit(Event::ClientBlocked));
    assert!(blocked.await.unwrap());
    let removed = store.remove_client(&client.key, at(50), false, audit(Event::ClientRemoved));
    assert!(!removed.await.unwrap());
    let lookup = store.find_client(&client.key).await.unwrap();
    assert!(matches!(lookup, ClientLookup::Blocked));
    let again = store.approve(approval(2, &client)).await.unwrap();
    assert_eq!(again, Approved::ClientGone);
}

/// Nodes know an admin's clients by name, and learn by the head that these changed; what a stranger
/// registered, and what was refused, moves nothing.
pub async fn own_clients_move_the_lists(store: Arc<dyn Store>) {
    let store = &*store;
    let own = client("own", Door::Admin);
    let stranger = approved(store, 1).await;
    let change_of = |key, version| {
        store.replace_client(key, version, change(true), audit(Event::ClientChanged))
    };
    let remove = |key| store.remove_client(key, at(100), false, audit(Event::ClientRemoved));
    let lists = || async { store.heads().await.unwrap().lists };
    assert_eq!(lists().await, 0);
    for expected in [Added::Done, Added::Taken] {
        let made = store.add_client(own.clone(), audit(Event::ClientMade));
        assert_eq!(made.await.unwrap(), expected);
        assert_eq!(lists().await, 1);
    }
    for (key, version, expected, moved) in [
        (&own.key, 7, Replaced::Stale, 1),
        (&own.key, 1, Replaced::Done, 2),
        (&stranger.key, 1, Replaced::Done, 2),
    ] {
        let changed = change_of(key, version).await.unwrap();
        assert_eq!((changed, lists().await), (expected, moved));
    }
    for (key, was_there, moved) in [
        (&stranger.key, true, 2),
        (&own.key, true, 3),
        (&own.key, false, 3),
    ] {
        let removed = remove(key).await.unwrap();
        assert_eq!((removed, lists().await), (was_there, moved));
    }
    assert_eq!(change_of(&own.key, 2).await.unwrap(), Replaced::Gone);
    let made = store.add_client(own.clone(), audit(Event::ClientMade));
    assert_eq!(made.await.unwrap(), Added::Taken);
    assert_eq!(lists().await, 3);
    for (id, door) in [("vdr_2", Door::Dcr), ("https://app.example/c", Door::Cimd)] {
        let made = store.add_client(client(id, door), audit(Event::ClientMade));
        assert_eq!(made.await.unwrap(), Added::Done);
    }
    assert_eq!(lists().await, 3);
}

/// The cursor loses nobody, also among rows of one second.
pub async fn clients_are_listed_newest_first_page_by_page(store: Arc<dyn Store>) {
    for n in 0..10_u64 {
        let made = StoredClient {
            created_at: at(n / 4),
            ..client(&format!("client-{n}"), Door::Admin)
        };
        let added = store.add_client(made, audit(Event::ClientMade)).await;
        assert_eq!(added.unwrap(), Added::Done);
    }
    let mut seen: Vec<StoredClient> = Vec::new();
    loop {
        let cursor = seen.last().map(|client| (client.created_at, client.key));
        let page = store.list_clients(cursor, 3).await.unwrap();
        assert!(page.len() <= 3);
        if page.is_empty() {
            break;
        }
        seen.extend(page);
    }
    assert_eq!(seen.len(), 10);
    assert!(seen.is_sorted_by(|a, b| a.created_at >= b.created_at));
    let mut keys: Vec<_> = seen.iter().map(|client| client.key).collect();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 10);
    assert_eq!(store.count_clients().await.unwrap(), 10);
}
