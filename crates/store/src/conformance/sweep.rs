//! What [`crate::Store::sweep`] promises, for `store_conformance_suite!`.

use std::sync::Arc;

use vestibule_protocol::{
    audit::Event,
    ids::{CodeHash, GrantId},
    trust::Door,
};

use super::make::{
    NOW, RESOURCE, approval, approved, assertion, at, audit, client, hash, opened, session,
    spending, trail, user,
};
use crate::{
    AuditEntry, Store,
    audit::AUDIT_KEPT,
    clients::ClientLookup,
    grants::{Assertion, CodeSpending, Spent},
};

const YEAR: u64 = 365 * 86_400;

/// Sweep until nothing is left to sweep, so many seconds after [`NOW`]; how much went.
pub(super) async fn sweep_all(store: &dyn Store, seconds: u64) -> usize {
    let mut total = 0;
    for _ in 0..1_000 {
        let swept = store.sweep(at(seconds), 50).await.unwrap();
        if swept == 0 {
            return total;
        }
        total += swept;
    }
    unreachable!("a sweep that never ends")
}

/// Something of everything that can expire.
async fn fill(store: &dyn Store) {
    opened(store, 1).await;
    let added = store.add_user(user(1), audit(Event::UserMade)).await;
    assert!(added.unwrap());
    store
        .open_session(session(1, &user(1)), None)
        .await
        .unwrap();
    let key = client("vdr_1", Door::Dcr).key;
    store.use_assertion(assertion(key, 5), NOW).await.unwrap();
    let revoked = store.revoke_token_id(hash(6), at(600), audit(Event::TokenRevoked));
    revoked.await.unwrap();
    let gone = client("vdr_gone", Door::Dcr).key;
    let removed = store.remove_client(&gone, at(1_000), false, audit(Event::ClientRemoved));
    removed.await.unwrap();
    approved(store, 2).await;
}

/// Afterwards nothing of it takes room; clients and people stay.
pub async fn the_sweep_takes_what_has_expired(store: Arc<dyn Store>) {
    fill(&*store).await;
    // 2 codes, 2 tickets, 2 consents, 2 grants, 1 family, 1 session, 1 assertion, 1 token id,
    // 1 tombstone.
    assert_eq!(sweep_all(&*store, YEAR).await, 13);
    assert!(
        store
            .find_code(&CodeHash::new(hash(1)))
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        store
            .find_grant(&GrantId::new("g_1"))
            .await
            .unwrap()
            .is_none()
    );
    let gone = store
        .find_client(&client("vdr_gone", Door::Dcr).key)
        .await
        .unwrap();
    assert!(matches!(gone, ClientLookup::NeverSeen));
    assert_eq!(store.count_clients().await.unwrap(), 2);
    assert_eq!(store.count_users().await.unwrap(), 1);
    assert_eq!(sweep_all(&*store, YEAR).await, 0);
}

/// Nothing that decides an answer now is taken: every answer is the same before and after.
pub async fn what_is_live_survives_the_sweep(store: Arc<dyn Store>) {
    fill(&*store).await;
    assert_eq!(sweep_all(&*store, 0).await, 0);
    // Codes are over by now, and nothing else is that lives longer.
    sweep_all(&*store, 120).await;
    let client = client("vdr_1", Door::Dcr);
    let now = at(120);
    let digest = client.metadata.security_digest();
    let consent = store
        .remembered_consent(&user(1).id, &client.key, &digest, RESOURCE, now)
        .await;
    assert!(consent.unwrap().is_some());
    let session = store.find_session(&session(1, &user(1)).hash, now).await;
    assert!(session.unwrap().is_some());
    let replay = store.use_assertion(assertion(client.key, 5), now).await;
    assert_eq!(replay.unwrap(), Assertion::Replayed);
    assert!(!store.token_is_live(None, &hash(6)).await.unwrap());
    let denied = store.deny(
        approval(1, &client).ticket,
        at(600),
        audit(Event::ConsentDenied),
    );
    assert!(!denied.await.unwrap());
    let grant = GrantId::new("g_1");
    assert!(store.token_is_live(Some(&grant), &hash(7)).await.unwrap());
    let replayed = store.spend_code(spending(1)).await.unwrap();
    assert_eq!(replayed, Spent::Before(GrantId::new("g_1"), NOW));
}

/// Never a long delete.
pub async fn the_sweep_is_bounded(store: Arc<dyn Store>) {
    for n in 0..60 {
        let hash = [u8::try_from(n).unwrap(); 32];
        let revoked = store.revoke_token_id(hash, at(10), audit(Event::TokenRevoked));
        revoked.await.unwrap();
    }
    let mut left = 60;
    while left > 0 {
        let swept = store.sweep(at(20), 25).await.unwrap();
        assert_eq!(swept, left.min(25));
        left -= swept;
    }
    assert_eq!(store.sweep(at(20), 25).await.unwrap(), 0);
    assert_eq!(store.sweep(at(20), 0).await.unwrap(), 0);
}

/// A trail that only grows fills the disk in the end: at 400 days a line goes, younger ones stay.
pub async fn lines_of_the_trail_go_by_age(store: Arc<dyn Store>) {
    // Not in the order of their times: a clock may have been wrong.
    let days = [0, 500, 100, 399, 7];
    for (n, day) in days.into_iter().enumerate() {
        let entry = AuditEntry {
            at: at(day * 86_400),
            ..audit(Event::UserMade)
        };
        assert!(store.add_user(user(n), entry).await.unwrap());
    }
    let kept = AUDIT_KEPT.as_secs();
    #[rustfmt::skip]
    let cases = [
        (kept - 1,            0, 5),
        (kept,                1, 4),
        (kept + 100 * 86_400, 2, 2),
        (kept + 399 * 86_400, 1, 1),
        (kept + 500 * 86_400, 1, 0),
    ];
    for (seconds, goes, stay) in cases {
        assert_eq!(sweep_all(&*store, seconds).await, goes, "{seconds}");
        assert_eq!(trail(&*store).await.len(), stay, "{seconds}");
    }
    assert_eq!(store.count_users().await.unwrap(), 5);
}

/// Many old lines never make a long delete.
pub async fn the_trail_is_swept_in_small_steps(store: Arc<dyn Store>) {
    for n in 0..7 {
        let added = store.add_user(user(n), audit(Event::UserMade));
        assert!(added.await.unwrap());
    }
    let late = at(AUDIT_KEPT.as_secs());
    for (swept, left) in [(3, 4), (3, 1), (1, 0), (0, 0)] {
        assert_eq!(store.sweep(late, 3).await.unwrap(), swept);
        assert_eq!(trail(&*store).await.len(), left);
    }
}

/// T1: a replay after the code's end is still told from a guess.
pub async fn a_spent_code_is_kept_while_a_replay_can_be_told(store: Arc<dyn Store>) {
    opened(&*store, 1).await;
    for seconds in [60, 61, 600] {
        sweep_all(&*store, seconds).await;
        let replay = CodeSpending {
            now: at(seconds),
            ..spending(1)
        };
        let spent = store.spend_code(replay).await.unwrap();
        assert_eq!(spent, Spent::Before(GrantId::new("g_1"), NOW), "{seconds}");
    }
}

/// SLR-05: until then the id is gone; afterwards it has expired by itself.
pub async fn a_tombstone_stands_to_its_end(store: Arc<dyn Store>) {
    let key = client("vdr_gone", Door::Dcr).key;
    let removed = store.remove_client(&key, at(1_000), true, audit(Event::ClientBlocked));
    removed.await.unwrap();
    // A second removal never shortens it.
    let again = store.remove_client(&key, at(10), false, audit(Event::ClientRemoved));
    again.await.unwrap();
    sweep_all(&*store, 999).await;
    assert!(matches!(
        store.find_client(&key).await.unwrap(),
        ClientLookup::Blocked
    ));
    sweep_all(&*store, 1_000).await;
    assert!(matches!(
        store.find_client(&key).await.unwrap(),
        ClientLookup::NeverSeen
    ));
}
