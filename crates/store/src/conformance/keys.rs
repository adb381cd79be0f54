//! What [`crate::KeyStore`] promises, for `store_conformance_suite!`.

use std::sync::Arc;

use vestibule_protocol::audit::Event;

use super::make::{NOW, at, audit, count, lines, race};
use crate::{
    Store,
    keys::{KeyPhase, KeyUse, NewKey, StoredKey},
};

fn key(usage: KeyUse, byte: u8) -> NewKey {
    NewKey {
        usage,
        phase: KeyPhase::Active,
        wrapped: vec![byte; 60],
        created_at: NOW,
    }
}

fn entry() -> crate::AuditEntry {
    audit(Event::KeysChanged)
}

async fn phase(store: &dyn Store, id: u16) -> Option<KeyPhase> {
    let (_, keys) = store.load_keys().await.unwrap();
    keys.iter().find(|key| key.id == id).map(|key| key.phase)
}

/// Two nodes on an empty database: one set, and both read the same.
pub async fn of_many_nodes_that_start_at_once_one_set_of_keys_remains(store: Arc<dyn Store>) {
    let uses = [
        KeyUse::Seal,
        KeyUse::SignEs256,
        KeyUse::SignEdDsa,
        KeyUse::SignRs256,
    ];
    let added = race(10, |n| {
        let store = store.clone();
        let byte = u8::try_from(n).unwrap();
        let keys = uses.map(|usage| key(usage, byte)).to_vec();
        async move { store.add_missing_keys(keys, entry()).await.unwrap() }
    });
    let added = added.await;
    assert_eq!(count(&added, &uses.len()), 1);
    assert_eq!(count(&added, &0), 9);
    let (seq, keys) = store.load_keys().await.unwrap();
    assert_eq!(seq, 1);
    assert_eq!(keys.len(), uses.len());
    for (key, usage) in keys.iter().zip(uses) {
        assert_eq!((key.usage, key.phase), (usage, KeyPhase::Active));
        assert_eq!(key.wrapped, keys.first().unwrap().wrapped);
        assert_eq!((key.created_at, key.phase_since), (NOW, NOW));
    }
    assert_eq!(lines(&*store, Event::KeysChanged).await, 1);
}

/// Design section 9: no step is left out, and each moves the sequence that nodes poll.
pub async fn a_key_goes_from_staged_to_gone_step_by_step(store: Arc<dyn Store>) {
    store
        .add_missing_keys(vec![key(KeyUse::Seal, 1)], entry())
        .await
        .unwrap();
    let first = store
        .load_keys()
        .await
        .unwrap()
        .1
        .first()
        .map(|key: &StoredKey| key.id)
        .unwrap();
    let next = store
        .stage_key(key(KeyUse::Seal, 2), entry())
        .await
        .unwrap();
    assert_eq!(phase(&*store, next).await, Some(KeyPhase::Staged));
    let seq = store.load_keys().await.unwrap().0;
    // Only what is staged becomes active, only what retires ends.
    for wrong in [first, 999] {
        assert!(!store.activate_key(wrong, at(1), entry()).await.unwrap());
    }
    for wrong in [first, next, 999] {
        assert!(!store.end_key(wrong, at(1), entry()).await.unwrap());
    }
    assert_eq!(store.load_keys().await.unwrap().0, seq);

    assert!(store.activate_key(next, at(10), entry()).await.unwrap());
    assert_eq!(phase(&*store, first).await, Some(KeyPhase::Retiring));
    assert_eq!(phase(&*store, next).await, Some(KeyPhase::Active));
    let (after, keys) = store.load_keys().await.unwrap();
    assert_eq!(after, seq + 1);
    assert!(keys.iter().all(|key| key.phase_since == at(10)));
    assert_eq!(
        keys.iter().map(|key| key.wrapped.len()).collect::<Vec<_>>(),
        [60, 60]
    );

    assert!(store.end_key(first, at(20), entry()).await.unwrap());
    assert_eq!(phase(&*store, first).await, None);
    assert_eq!(store.load_keys().await.unwrap().0, seq + 2);
    assert!(!store.end_key(first, at(20), entry()).await.unwrap());
    assert_eq!(lines(&*store, Event::KeysChanged).await, 4);
}

/// What was sealed under an old number must never meet a new key.
pub async fn a_number_of_a_key_is_never_given_again(store: Arc<dyn Store>) {
    store
        .add_missing_keys(vec![key(KeyUse::Seal, 1)], entry())
        .await
        .unwrap();
    let mut seen = Vec::new();
    for byte in 2..6 {
        let id = store
            .stage_key(key(KeyUse::Seal, byte), entry())
            .await
            .unwrap();
        assert!(
            seen.iter().all(|earlier| *earlier < id),
            "{id} after {seen:?}"
        );
        let (_, keys) = store.load_keys().await.unwrap();
        let active = keys
            .iter()
            .find(|key| key.phase == KeyPhase::Active)
            .unwrap()
            .id;
        assert!(store.activate_key(id, at(1), entry()).await.unwrap());
        assert!(store.end_key(active, at(2), entry()).await.unwrap());
        seen.push(id);
    }
}

/// One active key per use, whoever activates at the same moment; other uses are left alone.
pub async fn racing_activations_leave_one_active_key_per_use(store: Arc<dyn Store>) {
    let first = vec![key(KeyUse::Seal, 1), key(KeyUse::SignEs256, 1)];
    store.add_missing_keys(first, entry()).await.unwrap();
    let mut staged = Vec::new();
    for byte in 2..8 {
        staged.push(
            store
                .stage_key(key(KeyUse::SignEs256, byte), entry())
                .await
                .unwrap(),
        );
    }
    let activated = race(staged.len() * 2, |n| {
        let store = store.clone();
        let id = staged.iter().cycle().nth(n).copied().unwrap_or_default();
        async move { store.activate_key(id, at(5), entry()).await.unwrap() }
    });
    assert_eq!(count(&activated.await, &true), staged.len());
    let (_, keys) = store.load_keys().await.unwrap();
    for usage in [KeyUse::Seal, KeyUse::SignEs256] {
        let active = keys
            .iter()
            .filter(|key| key.usage == usage && key.phase == KeyPhase::Active);
        assert_eq!(active.count(), 1, "{usage:?}");
    }
    assert!(keys.is_sorted_by_key(|key| key.id));
}
