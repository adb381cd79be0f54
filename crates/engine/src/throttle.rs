//! Limits on guesses and floods: a leaky bucket (GCRA) per meter and key, in bounded memory.
//!
//! Per node and forgotten at restart, on purpose: a limit that a stranger can make durable is
//! growth that a stranger can cause. The busiest keys stay, the quiet ones fall out; a key that
//! fell out starts anew, which only favours the client.
//!
//! Not here: limits that protect state (uses of initial access tokens, assertions per client);
//! these live in the store.

use quick_cache::sync::Cache;

use crate::{Limits, Rate};

/// What is metered.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Meter {
    /// Authorization requests of one source.
    Authorize,
    /// Failed client authentications of one source for one client.
    ClientAuth,
    /// Registrations of one source.
    Register,
    /// Registrations of one wider prefix.
    RegisterWide,
    /// Failed sign-ins for one account, of one source.
    SignInAccount,
    /// Failed sign-ins for one account, of all sources that it is not known to come from.
    SignInAccountWide,
    /// Failed sign-ins of one source.
    SignInSource,
}

impl Meter {
    /// (burst, one more each so many milliseconds)
    fn rate(self, limits: &Limits) -> (u64, u64) {
        let live = |rate: Rate| (rate.burst, 60_000_u64.div_ceil(rate.per_minute.max(1)));
        match self {
            Self::Authorize => live(limits.authorize),
            Self::Register => live(limits.register),
            Self::RegisterWide => live(limits.register_wide),
            Self::SignInAccount => (10, 6_000),
            Self::SignInAccountWide => (50, 10_000),
            Self::ClientAuth | Self::SignInSource => (20, 3_000),
        }
    }
}

/// All meters of a node.
#[derive(Debug)]
pub(crate) struct Throttle {
    enabled: bool,
    /// Theoretical arrival time in milliseconds, per key.
    arrivals: Cache<(Meter, u64), u64>,
}

/// Keys remembered at most: about 8 MB.
const KEYS_MAX: usize = 100_000;

impl Throttle {
    pub(crate) fn new(enabled: bool) -> Self {
        Self {
            enabled,
            arrivals: Cache::new(KEYS_MAX),
        }
    }

    /// Count one event. `Err` holds the seconds to wait.
    pub(crate) fn check(
        &self,
        limits: &Limits,
        meter: Meter,
        key: u64,
        now_ms: u64,
    ) -> Result<(), u64> {
        let wait = self.peek(limits, meter, key, now_ms);
        if wait.is_ok() {
            self.count(limits, meter, key, now_ms);
        }
        wait
    }

    /// Would one more event be let through? For meters that count failures only.
    pub(crate) fn peek(
        &self,
        limits: &Limits,
        meter: Meter,
        key: u64,
        now_ms: u64,
    ) -> Result<(), u64> {
        if !self.enabled {
            return Ok(());
        }
        let (burst, every) = meter.rate(limits);
        let most = now_ms + (burst + 1) * every;
        let mut arrival = self.arrivals.get(&(meter, key)).unwrap_or(0).max(now_ms);
        if arrival > most {
            // Counted under a slower rate, which an admin has changed since.
            arrival = most;
            self.arrivals.insert((meter, key), most);
        }
        let allowed_at = (arrival + every).saturating_sub(burst * every);
        if allowed_at <= now_ms {
            Ok(())
        } else {
            Err((allowed_at - now_ms).div_ceil(1_000).max(1))
        }
    }

    /// Take back one counted event that turned out to be harmless.
    pub(crate) fn uncount(&self, limits: &Limits, meter: Meter, key: u64) {
        let (_, every) = meter.rate(limits);
        if let Some(arrival) = self.arrivals.get(&(meter, key)) {
            self.arrivals
                .insert((meter, key), arrival.saturating_sub(every));
        }
    }

    /// Count one event without asking.
    pub(crate) fn count(&self, limits: &Limits, meter: Meter, key: u64, now_ms: u64) {
        if !self.enabled {
            return;
        }
        let (burst, every) = meter.rate(limits);
        let arrival = self.arrivals.get(&(meter, key)).unwrap_or(0).max(now_ms);
        // Never further ahead than one full burst: waiting stays bounded (P16: slow, not locked).
        let next = (arrival + every).min(now_ms + (burst + 1) * every);
        self.arrivals.insert((meter, key), next);
    }
}

/// Where accounts have signed in from: the prefix of the source, while this process remembers it.
///
/// Only a right password gets an entry in, so strangers cannot fill it.
#[derive(Debug)]
pub(crate) struct FamiliarSources {
    seen: Cache<(u64, u64), ()>,
}

/// Pairs remembered at most: about 6 MB.
const FAMILIAR_MAX: usize = 100_000;

impl FamiliarSources {
    pub(crate) fn new() -> Self {
        Self {
            seen: Cache::new(FAMILIAR_MAX),
        }
    }

    /// The account has signed in from this prefix.
    pub(crate) fn remember(&self, account: u64, prefix: u64) {
        self.seen.insert((account, prefix), ());
    }

    /// The key of [`Meter::SignInAccountWide`]: strangers share one, whatever their number, and a
    /// prefix that the account is known to come from has its own. So guesses of strangers slow
    /// strangers only.
    pub(crate) fn wide_key(&self, account: u64, prefix: u64) -> u64 {
        match self.seen.get(&(account, prefix)) {
            Some(()) => account ^ prefix.rotate_left(29),
            None => account,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// P16: one place where the account was seen is set apart, for that account only.
    #[test]
    fn a_familiar_prefix_has_a_meter_of_its_own() {
        let familiar = FamiliarSources::new();
        let (ada, bea, home, office) = (1, 2, 70, 80);
        assert_eq!(familiar.wide_key(ada, home), familiar.wide_key(ada, office));
        familiar.remember(ada, home);
        let keys = [
            familiar.wide_key(ada, home),
            familiar.wide_key(ada, office),
            familiar.wide_key(bea, home),
        ];
        assert_eq!(keys[1..], [ada, bea]);
        assert!(keys[0] != ada && keys[0] != bea);
        assert_eq!(familiar.wide_key(ada, 81), ada);
    }

    /// GEN-13, P16: a burst passes, then one event per interval; waiting never grows without end.
    #[test]
    fn a_flood_is_slowed_and_never_locked_out() {
        let throttle = Throttle::new(true);
        let (burst, every) = Meter::SignInAccount.rate(&Limits::default());
        for _ in 0..burst {
            assert_eq!(
                throttle.check(&Limits::default(), Meter::SignInAccount, 7, 1_000_000),
                Ok(())
            );
        }
        assert!(
            throttle
                .check(&Limits::default(), Meter::SignInAccount, 7, 1_000_000)
                .is_err()
        );
        for _ in 0..10_000 {
            throttle.count(&Limits::default(), Meter::SignInAccount, 7, 1_000_000);
        }
        let wait = throttle
            .peek(&Limits::default(), Meter::SignInAccount, 7, 1_000_000)
            .unwrap_err();
        assert!(wait <= 2 * every / 1_000, "{wait}");
        assert_eq!(
            throttle.check(
                &Limits::default(),
                Meter::SignInAccount,
                7,
                1_000_000 + 2 * every + 1
            ),
            Ok(())
        );
    }

    #[test]
    fn other_keys_and_other_meters_are_not_touched() {
        let throttle = Throttle::new(true);
        for _ in 0..1_000 {
            throttle.count(&Limits::default(), Meter::Register, 1, 5_000);
        }
        assert!(
            throttle
                .check(&Limits::default(), Meter::Register, 1, 5_000)
                .is_err()
        );
        assert_eq!(
            throttle.check(&Limits::default(), Meter::Register, 2, 5_000),
            Ok(())
        );
        assert_eq!(
            throttle.check(&Limits::default(), Meter::Authorize, 1, 5_000),
            Ok(())
        );
    }

    #[test]
    fn a_switched_off_throttle_lets_everything_through() {
        let throttle = Throttle::new(false);
        for _ in 0..100_000 {
            assert_eq!(
                throttle.check(&Limits::default(), Meter::Register, 1, 0),
                Ok(())
            );
        }
    }
}
