//! Assertions of clients that have no row, remembered in the bounded memory of this node: strangers
//! write nothing, and an assertion is good once all the same (JCA-07).
//!
//! Not here: assertions of stored clients, which the store uses up in the verb that they protect.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use vestibule_protocol::{client_id::ClientKey, time::Timestamp};
use vestibule_store::grants::{Assertion, AssertionUse};

/// Assertions of clients that have no row, in bounded memory of this node.
///
/// Full means refuse: an entry that made room for another could be replayed. One client can fill
/// only its own share, so that nobody crowds the others out cheaply.
#[derive(Debug, Default)]
pub(crate) struct ReplayCache {
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    by_client: HashMap<ClientKey, Vec<([u8; 32], Timestamp)>>,
    entries: usize,
    swept_at: Option<Timestamp>,
}

/// Assertions remembered in all, about 4 MB.
const REPLAYS_MAX: usize = 50_000;
/// Assertions remembered per client without a row.
const REPLAYS_PER_CLIENT_MAX: usize = 64;

impl ReplayCache {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Use up an assertion.
    pub(crate) fn remember(&self, assertion: &AssertionUse, now: Timestamp) -> Assertion {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.forget_expired_of(&assertion.client, now);
        if seen.entries >= REPLAYS_MAX {
            seen.sweep(now);
        }
        let full = seen.entries >= REPLAYS_MAX;
        let mine = seen.by_client.entry(assertion.client).or_default();
        if mine.iter().any(|(jti, _)| *jti == assertion.jti_hash) {
            return Assertion::Replayed;
        }
        if full || mine.len() >= REPLAYS_PER_CLIENT_MAX {
            if mine.is_empty() {
                seen.by_client.remove(&assertion.client);
            }
            return Assertion::Full;
        }
        mine.push((assertion.jti_hash, assertion.expires_at));
        seen.entries += 1;
        Assertion::First
    }

    /// Was it used here?
    pub(crate) fn knows(&self, assertion: &AssertionUse, now: Timestamp) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.forget_expired_of(&assertion.client, now);
        let mine = seen.by_client.get(&assertion.client);
        mine.is_some_and(|mine| mine.iter().any(|(jti, _)| *jti == assertion.jti_hash))
    }
}

impl Seen {
    fn forget_expired_of(&mut self, client: &ClientKey, now: Timestamp) {
        let Some(mine) = self.by_client.get_mut(client) else {
            return;
        };
        let before = mine.len();
        mine.retain(|(_, expires_at)| *expires_at > now);
        let (gone, empty) = (before - mine.len(), mine.is_empty());
        self.entries = self.entries.saturating_sub(gone);
        if empty {
            self.by_client.remove(client);
        }
    }

    /// At most once a second: a full memory must not become slow as well.
    fn sweep(&mut self, now: Timestamp) {
        if self.swept_at.is_some_and(|at| at >= now) {
            return;
        }
        self.swept_at = Some(now);
        self.by_client.retain(|_, mine| {
            mine.retain(|(_, expires_at)| *expires_at > now);
            !mine.is_empty()
        });
        self.entries = self.by_client.values().map(Vec::len).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assertion(client: u8, jti: u32, expires_at: u64) -> AssertionUse {
        let mut jti_hash = [0; 32];
        jti_hash[..4].copy_from_slice(&jti.to_be_bytes());
        AssertionUse {
            client: ClientKey::from_bytes([client; 32]),
            jti_hash,
            expires_at: Timestamp::from_seconds(expires_at),
            rows_max: 4_096,
        }
    }

    /// JCA-07, T11: a client without a row cannot use an assertion twice either.
    #[test]
    fn an_assertion_of_a_client_without_a_row_is_used_once() {
        let (cache, now) = (ReplayCache::new(), Timestamp::from_seconds(100));
        assert_eq!(cache.remember(&assertion(1, 1, 200), now), Assertion::First);
        assert_eq!(
            cache.remember(&assertion(1, 1, 200), now),
            Assertion::Replayed
        );
        assert_eq!(cache.remember(&assertion(1, 2, 200), now), Assertion::First);
        assert_eq!(cache.remember(&assertion(2, 1, 200), now), Assertion::First);
        assert!(cache.knows(&assertion(1, 1, 200), now));
        assert!(!cache.knows(&assertion(1, 9, 200), now));
    }

    /// T11: full refuses, nothing is evicted; time makes room.
    #[test]
    fn a_client_fills_only_its_own_share() {
        let (cache, now) = (ReplayCache::new(), Timestamp::from_seconds(100));
        for jti in 0..64 {
            assert_eq!(
                cache.remember(&assertion(1, jti, 200), now),
                Assertion::First
            );
        }
        assert_eq!(cache.remember(&assertion(1, 64, 200), now), Assertion::Full);
        assert_eq!(
            cache.remember(&assertion(1, 0, 200), now),
            Assertion::Replayed
        );
        assert_eq!(cache.remember(&assertion(2, 0, 200), now), Assertion::First);
        let later = Timestamp::from_seconds(200);
        assert_eq!(
            cache.remember(&assertion(1, 64, 300), later),
            Assertion::First
        );
    }

    #[test]
    fn memory_stays_bounded_whoever_asks() {
        let (cache, now) = (ReplayCache::new(), Timestamp::from_seconds(100));
        let mut refused = 0;
        for client in 0..1_000_u32 {
            for jti in 0..64_u32 {
                let mut one = assertion(0, jti, 200);
                let mut key = [0; 32];
                key[..4].copy_from_slice(&client.to_be_bytes());
                one.client = ClientKey::from_bytes(key);
                if cache.remember(&one, now) == Assertion::Full {
                    refused += 1;
                }
            }
        }
        assert_eq!(refused, 64_000 - REPLAYS_MAX);
        let seen = cache.seen.lock().unwrap();
        assert_eq!(seen.entries, REPLAYS_MAX);
    }
}
