//! What [`crate::DocumentStore`] promises, for `store_conformance_suite!`.

use std::sync::Arc;

use vestibule_protocol::{
    audit::Event, client_id::ClientKey, client_metadata::ClientMetadata, ids::GrantId, trust::Door,
};

use super::make::{
    NOW, RESOURCE, approval, at, audit, client, count, hash, lines, metadata, race, user,
};
use crate::{
    Store,
    clients::{ClientLookup, StoredClient},
    documents::{CHANGES_MAX, DocumentChange, DocumentCheck, DocumentNoted},
    grants::Approved,
};

const HOUR: u64 = 3_600;

fn document(n: usize) -> StoredClient {
    client(
        &format!("https://agent-{n}.example/client.json"),
        Door::Cimd,
    )
}

/// Document client number `n`, approved by person `n`.
async fn kept(store: &dyn Store, n: usize) -> StoredClient {
    let client = document(n);
    let approved = store.approve(approval(n, &client)).await.unwrap();
    assert_eq!(approved, Approved::Done);
    client
}

async fn row(store: &dyn Store, key: &ClientKey) -> StoredClient {
    match store.find_client(key).await.unwrap() {
        ClientLookup::Active(client) => *client,
        other => unreachable!("{other:?}"),
    }
}

fn changed() -> ClientMetadata {
    metadata("https://app.example/new", "A new name")
}

fn change(n: usize, seconds: u64, security: bool) -> DocumentChange {
    DocumentChange {
        at: at(seconds),
        security,
        diff: format!(r#"{{"change":{n}}}"#),
        digest: hash(n),
    }
}

async fn note(store: &dyn Store, key: &ClientKey, change: DocumentChange) -> DocumentNoted {
    let new = changed();
    let noted = store.note_document(key, change, &new, audit(Event::DocumentChanged));
    noted.await.unwrap()
}

async fn remembers(store: &dyn Store, n: usize, client: &StoredClient) -> bool {
    let digest = client.metadata.security_digest();
    let scopes = store
        .remembered_consent(&user(n).id, &client.key, &digest, RESOURCE, NOW)
        .await;
    scopes.unwrap().is_some()
}

async fn due(store: &dyn Store, now: u64, older_than: u64) -> Vec<String> {
    let due = store
        .documents_to_watch(at(now), at(older_than), 10)
        .await
        .unwrap();
    for (key, id) in &due {
        assert_eq!(*key, ClientKey::of(id));
    }
    due.into_iter().map(|(_, id)| id).collect()
}

/// Two nodes that see one change keep one, and the trail has one line.
pub async fn of_many_who_see_one_change_one_keeps_it(store: Arc<dyn Store>) {
    for (n, security) in [(1, true), (2, false)] {
        let key = kept(&*store, n).await.key;
        let answers = race(20, |_| {
            let store = store.clone();
            async move { note(&*store, &key, change(1, 10, security)).await }
        });
        let answers = answers.await;
        assert_eq!(count(&answers, &DocumentNoted::Done), 1, "{security}");
        assert_eq!(count(&answers, &DocumentNoted::Known), 19, "{security}");
        let changes = store.document_changes(&key, 10).await.unwrap();
        assert_eq!(changes, [change(1, 10, security)]);
        assert_eq!(lines(&*store, Event::DocumentChanged).await, n);
    }
}

/// A new name is simply the new name.
pub async fn a_plain_change_of_a_document_replaces_the_snapshot(store: Arc<dyn Store>) {
    let before = kept(&*store, 1).await;
    assert_eq!(
        note(&*store, &before.key, change(1, 10, false)).await,
        DocumentNoted::Done
    );
    let after = row(&*store, &before.key).await;
    assert_eq!(after.metadata, changed());
    assert_eq!(after.snapshot_at, at(10));
    assert_eq!(after.version, before.version + 1);
    assert!(remembers(&*store, 1, &before).await);
    assert!(due(&*store, 20, 10).await.is_empty());
    assert_eq!(due(&*store, 20, 11).await, [before.client_id]);
}

/// CIMD: what a person relied on is not what the document says; they are asked again, and until
/// somebody says yes the hub goes by what they said yes to.
pub async fn a_change_of_security_waits_for_an_approval(store: Arc<dyn Store>) {
    let before = kept(&*store, 1).await;
    let other = kept(&*store, 2).await;
    assert_eq!(
        note(&*store, &before.key, change(1, 10, true)).await,
        DocumentNoted::Done
    );
    let waiting = row(&*store, &before.key).await;
    assert_eq!(waiting.metadata, before.metadata);
    assert_eq!(waiting.snapshot_at, before.snapshot_at);
    assert!(!remembers(&*store, 1, &before).await);
    assert!(remembers(&*store, 2, &other).await);
    let grant = GrantId::new("g_1");
    assert!(store.token_is_live(Some(&grant), &hash(9)).await.unwrap());

    // The yes to the new document takes it, and the same change again takes nothing back.
    let after = StoredClient {
        metadata: changed(),
        snapshot_at: at(10),
        ..before.clone()
    };
    let approved = store.approve(approval(3, &after)).await.unwrap();
    assert_eq!(approved, Approved::Done);
    let now = row(&*store, &before.key).await;
    assert_eq!((now.metadata, now.snapshot_at), (changed(), at(10)));
    let again = note(&*store, &before.key, change(1, 11, true)).await;
    assert_eq!(again, DocumentNoted::Known);
    assert!(remembers(&*store, 3, &after).await);
}

/// A node with an old copy of a document does not undo what another saw later.
pub async fn what_was_seen_earlier_changes_nothing(store: Arc<dyn Store>) {
    let key = kept(&*store, 1).await.key;
    note(&*store, &key, change(1, 100, false)).await;
    #[rustfmt::skip]
    let cases = [
        (2,  99, false, DocumentNoted::Stale),
        (2,  99, true,  DocumentNoted::Stale),
        (1,  99, true,  DocumentNoted::Known),
        (3, 100, true,  DocumentNoted::Done),
        (4,  99, false, DocumentNoted::Stale),
        (5, 200, false, DocumentNoted::Done),
    ];
    for (n, seconds, security, expected) in cases {
        let noted = note(&*store, &key, change(n, seconds, security)).await;
        assert_eq!(noted, expected, "{n} {seconds}");
    }
    assert_eq!(row(&*store, &key).await.snapshot_at, at(200));
    assert_eq!(lines(&*store, Event::DocumentChanged).await, 3);
    // Nor does an approval that was begun with it.
    let old = StoredClient {
        snapshot_at: at(150),
        ..document(1)
    };
    let approved = store.approve(approval(2, &old)).await.unwrap();
    assert_eq!(approved, Approved::Done);
    let now = row(&*store, &key).await;
    assert_eq!((now.metadata, now.snapshot_at), (changed(), at(200)));
}

/// Who has no row, or came by another door, has no document here.
pub async fn a_change_of_who_has_no_document_is_gone(store: Arc<dyn Store>) {
    let registered = client("vdr_1", Door::Dcr);
    store.approve(approval(1, &registered)).await.unwrap();
    let removed = kept(&*store, 2).await.key;
    note(&*store, &removed, change(1, 10, false)).await;
    let gone = store.remove_client(&removed, at(100), false, audit(Event::ClientRemoved));
    assert!(gone.await.unwrap());
    assert!(
        store
            .document_changes(&removed, 9)
            .await
            .unwrap()
            .is_empty()
    );
    for key in [registered.key, removed, document(3).key] {
        let noted = note(&*store, &key, change(2, 20, true)).await;
        assert_eq!(noted, DocumentNoted::Gone);
        let touched = store.touch_document(&key, DocumentCheck::Unchanged, at(9 * HOUR));
        assert!(!touched.await.unwrap());
        assert!(store.document_changes(&key, 9).await.unwrap().is_empty());
    }
    assert!(remembers(&*store, 1, &registered).await);
    assert_eq!(lines(&*store, Event::DocumentChanged).await, 1);
}

/// A document that changes each minute takes no more room than this.
pub async fn the_newest_changes_of_a_document_are_kept(store: Arc<dyn Store>) {
    let (one, two) = (kept(&*store, 1).await.key, kept(&*store, 2).await.key);
    note(&*store, &two, change(1, 5, true)).await;
    let most = CHANGES_MAX + 7;
    for n in 1..=most {
        let noted = note(&*store, &one, change(n, n as u64, false)).await;
        assert_eq!(noted, DocumentNoted::Done);
    }
    let changes = store.document_changes(&one, 1_000).await.unwrap();
    let expected: Vec<_> = (8..=most)
        .rev()
        .map(|n| change(n, n as u64, false))
        .collect();
    assert_eq!(changes, expected);
    let newest = store.document_changes(&one, 2).await.unwrap();
    assert_eq!(newest, expected.get(..2).unwrap());
    assert_eq!(store.document_changes(&two, 9).await.unwrap().len(), 1);
}

/// Invariant 1: a stranger who asks again and again causes one write an hour.
pub async fn a_document_is_touched_once_an_hour(store: Arc<dyn Store>) {
    let key = kept(&*store, 1).await.key;
    let mut snapshot = 0;
    #[rustfmt::skip]
    let cases = [
        (1,            DocumentCheck::Unchanged,   false),
        (HOUR - 1,     DocumentCheck::Unchanged,   false),
        (HOUR,         DocumentCheck::Unchanged,   true),
        (2 * HOUR - 1, DocumentCheck::Unchanged,   false),
        (2 * HOUR,     DocumentCheck::Unreachable, true),
        (2 * HOUR,     DocumentCheck::Unchanged,   false),
        (3 * HOUR,     DocumentCheck::Unchanged,   true),
        // A clock that goes back moves nothing back.
        (HOUR,         DocumentCheck::Unchanged,   false),
    ];
    for (seconds, check, writes) in cases {
        let answers = race(10, |_| {
            let store = store.clone();
            async move {
                store
                    .touch_document(&key, check, at(seconds))
                    .await
                    .unwrap()
            }
        });
        let expected = usize::from(writes);
        assert_eq!(
            count(&answers.await, &true),
            expected,
            "{seconds} {check:?}"
        );
        if writes && check == DocumentCheck::Unchanged {
            snapshot = seconds;
        }
        let row = row(&*store, &key).await;
        assert_eq!(row.snapshot_at, at(snapshot), "{seconds} {check:?}");
        assert_eq!(row.version, 1);
    }
}

/// As long as a person has not said yes to what the document says now, what is stored grows old.
pub async fn a_waiting_change_keeps_the_snapshot_old(store: Arc<dyn Store>) {
    let client = kept(&*store, 1).await;
    let key = client.key;
    note(&*store, &key, change(1, 10, true)).await;
    let touch = |seconds| store.touch_document(&key, DocumentCheck::Unchanged, at(seconds));
    assert!(touch(2 * HOUR).await.unwrap());
    assert_eq!(row(&*store, &key).await.snapshot_at, NOW);
    assert!(due(&*store, 3 * HOUR, 2 * HOUR).await.is_empty());
    let after = StoredClient {
        metadata: changed(),
        snapshot_at: at(2 * HOUR),
        ..client
    };
    store.approve(approval(2, &after)).await.unwrap();
    assert!(touch(4 * HOUR).await.unwrap());
    assert_eq!(row(&*store, &key).await.snapshot_at, at(4 * HOUR));
}

/// Only where somebody would suffer; who was not looked at for longest comes first.
pub async fn documents_in_use_are_watched_longest_unseen_first(store: Arc<dyn Store>) {
    for n in 1..=5 {
        let client = StoredClient {
            snapshot_at: at(10 - n as u64),
            ..document(n)
        };
        store.approve(approval(n, &client)).await.unwrap();
    }
    let registered = client("vdr_6", Door::Dcr);
    store.approve(approval(6, &registered)).await.unwrap();
    let second = GrantId::new("g_2");
    let revoked = store.revoke_grant(&second, audit(Event::GrantRevoked));
    assert!(revoked.await.unwrap());
    let mut short = approval(7, &document(7));
    short.grant.absolute_until = at(50);
    store.approve(short).await.unwrap();

    let ids = |numbers: &[usize]| -> Vec<String> {
        numbers.iter().map(|n| document(*n).client_id).collect()
    };
    #[rustfmt::skip]
    let cases = [
        (49, 100, ids(&[7, 5, 4, 3, 1])),
        (50, 100, ids(&[5, 4, 3, 1])),
        (50,   7, ids(&[5, 4])),
        (50,   0, ids(&[])),
        (7 * 86_400, 100, ids(&[])),
    ];
    for (now, older_than, expected) in cases {
        assert_eq!(due(&*store, now, older_than).await, expected, "{now}");
    }
    let two = store.documents_to_watch(at(50), at(100), 2).await.unwrap();
    assert_eq!(two.len(), 2);
    let unseen = document(5).key;
    let touched = store.touch_document(&unseen, DocumentCheck::Unreachable, at(2 * HOUR));
    assert!(touched.await.unwrap());
    assert_eq!(due(&*store, 2 * HOUR, HOUR).await, ids(&[4, 3, 1]));
}
