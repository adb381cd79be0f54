//! What [`crate::Store::changes`] promises, for `store_conformance_suite!`.

use std::sync::Arc;

use vestibule_protocol::{audit::Event, trust::Door};

use super::make::{
    NOW, approval, approved, assertion, at, audit, client, hash, opened, rotation, session, user,
};
use crate::{
    Store,
    clients::ClientChange,
    standings::{StandingRow, Subject, Word},
    tokens::Rotated,
};

/// Asserts that something was counted since the last time.
fn counter(store: &dyn Store) -> impl FnMut(&str) {
    let mut seen = store.changes();
    move |what| {
        let now = store.changes();
        assert!(now > seen, "{what}");
        seen = now;
    }
}

/// INT-05, T22: what ends a session or what was granted is seen by whoever remembers rows.
pub async fn what_ends_something_is_counted(store: Arc<dyn Store>) {
    let person = user(1);
    let mut is_counted = counter(&*store);
    store
        .add_user(person.clone(), audit(Event::UserMade))
        .await
        .unwrap();
    store.open_session(session(1, &person), None).await.unwrap();
    let (family, _) = opened(&*store, 1).await;
    is_counted("what was made");
    let (before, theirs) = (session(1, &person), session(2, &person));
    store
        .open_session(theirs.clone(), Some(&before.hash))
        .await
        .unwrap();
    is_counted("a session that takes another's place");
    store.close_session(&theirs.hash).await.unwrap();
    is_counted("the end of a session");
    let entry = audit(Event::TokenRevoked);
    store.revoke_token_id(hash(4), at(60), entry).await.unwrap();
    is_counted("a revoked token");
    for generation in [0, 1] {
        let moved = store.rotate(rotation(&family, generation, 5)).await;
        assert_eq!(moved.unwrap(), Rotated::Moved);
    }
    let again = store.rotate(rotation(&family, 0, 5)).await;
    assert_eq!(again.unwrap(), Rotated::Reuse);
    is_counted("a refresh token that was stolen");
    opened(&*store, 2).await;
    let entry = audit(Event::GrantRevoked);
    store
        .revoke_grant(&approval(2, &client("", Door::Dcr)).grant.id, entry)
        .await
        .unwrap();
    is_counted("a revoked grant");
    let (family, _) = opened(&*store, 3).await;
    let entry = audit(Event::GrantRevoked);
    assert!(store.revoke_family(&family.id, entry).await.unwrap());
    is_counted("a revoked family");
}

/// The same for what becomes of a client or a person.
pub async fn what_changes_somebody_is_counted(store: Arc<dyn Store>) {
    let person = user(1);
    let entry = audit(Event::UserMade);
    store.add_user(person.clone(), entry).await.unwrap();
    let (_, grant) = opened(&*store, 1).await;
    let mut is_counted = counter(&*store);
    let stored = client("vdr_1", Door::Dcr);
    let change = ClientChange {
        metadata: stored.metadata.clone(),
        management_hash: None,
        secret_hash: None,
        ends_codes: false,
    };
    let entry = audit(Event::ClientChanged);
    store
        .replace_client(&grant.client, 1, change, entry)
        .await
        .unwrap();
    is_counted("a changed client");
    let blocked = StandingRow {
        subject: Subject::client(&grant.client),
        subject_text: String::new(),
        word: Word::Blocked,
        until: None,
        at: NOW,
        by: String::new(),
        note: String::new(),
    };
    let entry = audit(Event::ClientBlocked);
    store.put_standing(blocked, entry).await.unwrap();
    is_counted("a blocked client");
    let entry = audit(Event::ClientRemoved);
    store
        .remove_client(&grant.client, at(60), false, entry)
        .await
        .unwrap();
    is_counted("a removed client");
    let entry = audit(Event::UserChanged);
    store
        .set_password(&person.id, "$argon2id$other", entry)
        .await
        .unwrap();
    is_counted("a new password");
    let entry = audit(Event::UserChanged);
    store.set_disabled(&person.id, true, entry).await.unwrap();
    is_counted("a disabled person");
}

/// What happens at each sign-in and refresh leaves what was remembered in place.
pub async fn hot_rows_are_not_counted(store: Arc<dyn Store>) {
    let stored = approved(&*store, 1).await;
    let (family, _) = opened(&*store, 2).await;
    let before = store.changes();
    store.approve(approval(3, &stored)).await.unwrap();
    store.spend_code(super::make::spending(3)).await.unwrap();
    store.rotate(rotation(&family, 0, 5)).await.unwrap();
    store.touch_family(rotation(&family, 1, 5)).await.unwrap();
    store
        .use_assertion(assertion(stored.key, 1), NOW)
        .await
        .unwrap();
    store.record_decisions(Vec::new()).await.unwrap();
    store.sweep(NOW, 10).await.unwrap();
    store.ping().await.unwrap();
    store.outside_version().await.unwrap();
    assert_eq!(store.changes(), before);
}
