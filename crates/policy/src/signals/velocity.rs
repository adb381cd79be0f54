//! How often a source or a software appeared in the last hour, in fixed memory (threats R15; design
//! section 5: strangers' traffic is counted only).
//!
//! Twelve buckets of five minutes: an event counts for at least 55 minutes and at most 60. A count
//! is never higher than what happened; it is lower only for a key that was pushed out. A full set
//! pushes out the key with the lowest count, so a flood of keys that appear once pushes out its own
//! kind and never a key that is busy.
//!
//! **Headroom for vendors.** Thousands of people share the egress addresses of one vendor, and an
//! attacker can copy its name. So an event from a vendor's published range is not counted against
//! the software, and a request from there is not told what others did in the software's name:
//! Claude is never throttled by a flood from elsewhere.
//!
//! Counts are per node. Not here: what a count means (a policy), and a clock: times are arguments.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hash},
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

/// Seconds in a bucket.
const BUCKET_S: u64 = 300;
/// Buckets in an hour.
const BUCKETS: usize = 12;
/// Keys in a set: where a key may be.
const WAYS: usize = 8;
/// Locks.
const SHARDS: usize = 64;
/// Default number of keys: about 5 MB.
pub const KEYS_DEFAULT: usize = 1 << 16;

/// What is counted.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum VelocityKey<'a> {
    /// An IPv4 address, or the /64 of an IPv6 address: what one stranger has.
    Source(SourcePrefix),
    /// A software key (`software`).
    Software(&'a str),
}

/// An IPv4 address or an IPv6 /64.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum SourcePrefix {
    /// The whole address.
    V4(u32),
    /// The upper half.
    V6(u64),
}

impl SourcePrefix {
    /// Of an address; IPv4-mapped is IPv4.
    pub fn of(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Self::V4(ip.to_bits()),
            IpAddr::V6(ip) => {
                let [a, b, c, d, ..] = ip.segments();
                let join = |high: u64, low: u16| (high << 16) | u64::from(low);
                Self::V6([a, b, c, d].into_iter().fold(0, join))
            }
        }
    }
}

/// What a request is told.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// From its prefix.
    pub source: u32,
    /// In its software's name, from everywhere but vendor egress; 0 for a request from there.
    pub software: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    /// Keyed hash of the key: two keys in one set meet with a chance of 1 in 2⁶⁴.
    key: u64,
    /// Number of the newest bucket; 0 where the slot is empty.
    newest: u64,
    counts: [u32; BUCKETS],
}

impl Slot {
    /// Events in the hour that ends with `bucket`. Buckets that other threads began already count.
    fn count(&self, bucket: u64) -> u32 {
        let oldest = (bucket + 1).saturating_sub(BUCKETS as u64);
        let first = oldest.max((self.newest + 1).saturating_sub(BUCKETS as u64));
        (first..=self.newest).fold(0, |sum: u32, number| {
            let at = place(number);
            sum.saturating_add(self.counts.get(at).copied().unwrap_or(0))
        })
    }

    fn note(&mut self, bucket: u64) {
        if bucket > self.newest {
            let fresh = (bucket - self.newest).min(BUCKETS as u64);
            for number in bucket + 1 - fresh..=bucket {
                if let Some(count) = self.counts.get_mut(place(number)) {
                    *count = 0;
                }
            }
            self.newest = bucket;
        }
        // An event that is older than the ring is older than an hour.
        if bucket + BUCKETS as u64 > self.newest
            && let Some(count) = self.counts.get_mut(place(bucket))
        {
            *count = count.saturating_add(1);
        }
    }
}

fn place(bucket: u64) -> usize {
    usize::try_from(bucket % BUCKETS as u64).unwrap_or(0)
}

/// Counts of the last hour.
pub struct Velocity<S = RandomState> {
    hasher: S,
    sets_per_shard: usize,
    shards: Vec<Mutex<Vec<[Slot; WAYS]>>>,
}

impl<S> std::fmt::Debug for Velocity<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Velocity({} keys)", self.capacity())
    }
}

impl<S: BuildHasher> Velocity<S> {
    /// Room for about so many keys. The hasher must be seeded at random outside of tests
    /// (`RandomState::new()`), or a stranger can choose which keys share a set.
    pub fn new(keys: usize, hasher: S) -> Self {
        let sets_per_shard = keys.div_ceil(SHARDS * WAYS).max(1);
        let shards = (0..SHARDS)
            .map(|_| Mutex::new(vec![[Slot::default(); WAYS]; sets_per_shard]))
            .collect();
        Self {
            hasher,
            sets_per_shard,
            shards,
        }
    }

    /// Count one event.
    pub fn note(&self, key: VelocityKey<'_>, now_s: u64) {
        let bucket = number(now_s);
        self.with_set(key, |set, hash| {
            if let Some(slot) = set.iter_mut().find(|slot| is(slot, hash)) {
                slot.note(bucket);
                return;
            }
            let poorest = set
                .iter_mut()
                .min_by_key(|slot| (slot.count(bucket), slot.newest));
            if let Some(slot) = poorest {
                *slot = Slot {
                    key: hash,
                    newest: bucket,
                    counts: [0; BUCKETS],
                };
                slot.note(bucket);
            }
        });
    }

    /// Events of this key in the last hour.
    pub fn count(&self, key: VelocityKey<'_>, now_s: u64) -> u32 {
        let bucket = number(now_s);
        self.with_set(key, |set, hash| {
            set.iter()
                .find(|slot| is(slot, hash))
                .map_or(0, |slot| slot.count(bucket))
        })
        .unwrap_or(0)
    }

    /// A client registered or was seen for the first time.
    pub fn note_arrival(&self, ip: IpAddr, software: &str, vendor_egress: bool, now_s: u64) {
        self.note(VelocityKey::Source(SourcePrefix::of(ip)), now_s);
        if !vendor_egress {
            self.note(VelocityKey::Software(software), now_s);
        }
    }

    /// What a request from there, in the name of that software, is told.
    pub fn counts(&self, ip: IpAddr, software: &str, vendor_egress: bool, now_s: u64) -> Counts {
        Counts {
            source: self.count(VelocityKey::Source(SourcePrefix::of(ip)), now_s),
            software: if vendor_egress {
                0
            } else {
                self.count(VelocityKey::Software(software), now_s)
            },
        }
    }

    fn with_set<T>(
        &self,
        key: VelocityKey<'_>,
        act: impl FnOnce(&mut [Slot; WAYS], u64) -> T,
    ) -> Option<T> {
        let hash = self.hasher.hash_one(key);
        let sets = (self.sets_per_shard * SHARDS) as u64;
        let set = usize::try_from(hash % sets).ok()?;
        let shard = self.shards.get(set % SHARDS)?;
        // Counts stay whole at every step, so a panic elsewhere leaves nothing half done.
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        shard.get_mut(set / SHARDS).map(|set| act(set, hash))
    }
}

impl<S> Velocity<S> {
    /// Most keys that are held; memory does not grow beyond them.
    pub fn capacity(&self) -> usize {
        self.sets_per_shard * SHARDS * WAYS
    }
}

/// Bucket numbers begin at 1, so that 0 marks an empty slot.
fn number(now_s: u64) -> u64 {
    (now_s / BUCKET_S).saturating_add(1).min(u64::MAX / 2)
}

fn is(slot: &Slot, hash: u64) -> bool {
    slot.newest > 0 && slot.key == hash
}

/// What a page says of a source that is busy.
pub fn sentence(count: u32) -> String {
    format!("{count} clients arrived from the same network in the last hour.")
}

#[cfg(test)]
mod tests {
    use std::{
        collections::HashMap,
        hash::{BuildHasherDefault, DefaultHasher},
    };

    use proptest::prelude::*;

    use super::*;

    type Fixed = BuildHasherDefault<DefaultHasher>;

    fn velocity(keys: usize) -> Velocity<Fixed> {
        Velocity::new(keys, Fixed::default())
    }

    fn source(number: u32) -> VelocityKey<'static> {
        VelocityKey::Source(SourcePrefix::V4(number))
    }

    const NOW: u64 = 1_790_000_000;

    #[test]
    fn an_event_counts_for_an_hour() {
        let start = NOW / BUCKET_S * BUCKET_S;
        #[rustfmt::skip]
        let rows = [
            (0, 2), (299, 2), (3_299, 2), (3_300, 2), (3_599, 2), (3_600, 0), (7_200, 0), (86_400 * 365, 0),
        ];
        for (later, expected) in rows {
            let velocity = velocity(8);
            velocity.note(source(1), start);
            velocity.note(source(1), start);
            assert_eq!(
                velocity.count(source(1), start + later),
                expected,
                "{later}"
            );
        }
        let velocity = velocity(8);
        for minute in 0..600 {
            velocity.note(source(1), start + minute * 60);
            let count = velocity.count(source(1), start + minute * 60);
            assert!(u64::from(count) <= (minute + 1).min(60), "{minute} {count}");
            assert!(u64::from(count) >= (minute + 1).min(56), "{minute} {count}");
        }
        assert!(sentence(7).starts_with('7'));
    }

    /// Clocks of two threads differ by moments; a count does not shrink for that.
    #[test]
    fn a_clock_that_steps_back_loses_nothing() {
        let velocity = velocity(8);
        velocity.note(source(1), NOW);
        velocity.note(source(1), NOW - 400);
        velocity.note(source(1), NOW + 400);
        assert_eq!(velocity.count(source(1), NOW - 400), 3);
        assert_eq!(velocity.count(source(1), NOW), 3);
        velocity.note(source(1), 0);
        assert_eq!(velocity.count(source(1), NOW), 3);
        velocity.note(source(1), u64::MAX);
        assert_eq!(velocity.count(source(1), u64::MAX), 1);
    }

    #[test]
    fn a_source_is_an_ipv4_address_or_an_ipv6_half() {
        let of = |text: &str| SourcePrefix::of(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    }

    /// R15: a million strangers take no more room than the first thousands, and a busy key keeps
    /// its count through them.
    #[test]
    fn a_million_keys_fit_in_fixed_memory() {
        let velocity = velocity(4_096);
        let capacity = velocity.capacity();
        assert_eq!(capacity, 4_096);
        for _ in 0..50 {
            velocity.note(source(u32::MAX), NOW);
        }
        for number in 0..1_000_000 {
            velocity.note(source(number), NOW + u64::from(number / 1_000));
        }
        assert_eq!(velocity.count(source(u32::MAX), NOW + 1_000), 50);
        let held: usize = velocity
            .shards
            .iter()
            .map(|shard| shard.lock().unwrap().len() * WAYS)
            .sum();
        assert_eq!(held, capacity);
    }

    /// Claude is never throttled by a flood from elsewhere, and a busy vendor does not
    /// hold up others.
    #[test]
    fn a_flood_elsewhere_does_not_count_against_a_vendor() {
        let velocity = velocity(1_024);
        let vendor: IpAddr = "160.79.104.7".parse().unwrap();
        let stranger: IpAddr = "192.0.2.1".parse().unwrap();
        let other: IpAddr = "198.51.100.1".parse().unwrap();
        let software = "|claude|claude.ai";
        for _ in 0..10_000 {
            velocity.note_arrival(stranger, software, false, NOW);
        }
        let told = velocity.counts(vendor, software, true, NOW);
        assert_eq!(
            told,
            Counts {
                source: 0,
                software: 0
            }
        );
        for _ in 0..500 {
            velocity.note_arrival(vendor, software, true, NOW);
        }
        let told = velocity.counts(vendor, software, true, NOW);
        assert_eq!(
            told,
            Counts {
                source: 500,
                software: 0
            }
        );
        let told = velocity.counts(other, software, false, NOW);
        assert_eq!(
            told,
            Counts {
                source: 0,
                software: 10_000
            }
        );
    }

    #[test]
    fn threads_lose_no_event() {
        let velocity = Velocity::new(KEYS_DEFAULT, RandomState::new());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for number in 0..10_000 {
                        velocity.note(source(number % 10), NOW);
                    }
                });
            }
        });
        for number in 0..10 {
            assert_eq!(velocity.count(source(number), NOW), 4_000);
        }
    }

    proptest! {
        /// Against a model that forgets nothing: never higher than what happened, and exact as
        /// long as there is room.
        #[test]
        fn counts_agree_with_a_model(
            events in proptest::collection::vec((0_u32..60, 0_u64..9_000), 1..300),
            narrow: bool,
        ) {
            let velocity = velocity(if narrow { 1 } else { KEYS_DEFAULT });
            let mut model: HashMap<u32, Vec<u64>> = HashMap::new();
            let mut events = events;
            events.sort_unstable_by_key(|(_, at)| *at);
            for (key, at) in &events {
                let now = NOW + at;
                let before = velocity.count(source(*key), now);
                velocity.note(source(*key), now);
                prop_assert_eq!(velocity.count(source(*key), now), before + 1);
                model.entry(*key).or_default().push(number(now));
            }
            let now = NOW + events.last().map_or(0, |(_, at)| *at);
            for (key, seen) in model {
                let recent = seen.iter().filter(|bucket| **bucket + 12 > number(now)).count();
                let found = velocity.count(source(key), now) as usize;
                prop_assert!(found <= recent);
                if !narrow {
                    prop_assert_eq!(found, recent);
                }
            }
        }
    }
}
