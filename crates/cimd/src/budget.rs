//! Fetch budgets: how often a host may be asked, and how many unknown ids one source may bring
//! (CIMD-51, threats F27). Errors are not cached; asking again is limited instead, and a limit
//! answers "try again", it is never a stored "no".

use quick_cache::sync::Cache;

/// Hosts and sources remembered at most.
const KEYS_MAX: usize = 20_000;

/// A leaky bucket per key, bounded memory.
#[derive(Debug)]
pub struct Budget {
    burst: u64,
    every_ms: u64,
    arrivals: Cache<u64, u64>,
}

impl Budget {
    /// `burst` at once, then one each `every_ms` milliseconds.
    pub fn new(burst: u64, every_ms: u64) -> Self {
        Self {
            burst,
            every_ms,
            arrivals: Cache::new(KEYS_MAX),
        }
    }

    /// Take one. `Err` holds the seconds to wait.
    pub fn take(&self, key: u64, now_ms: u64) -> Result<(), u64> {
        let arrival = self.arrivals.get(&key).unwrap_or(0).max(now_ms) + self.every_ms;
        let allowed_at = arrival.saturating_sub(self.burst * self.every_ms);
        if allowed_at > now_ms {
            return Err((allowed_at - now_ms).div_ceil(1_000).max(1));
        }
        self.arrivals.insert(key, arrival);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CIMD-51, F27: a host that fails is asked a bounded number of times.
    #[test]
    fn a_budget_is_a_burst_and_then_a_trickle() {
        let budget = Budget::new(3, 10_000);
        let taken = (0..100)
            .filter(|_| budget.take(1, 1_000_000).is_ok())
            .count();
        assert_eq!(taken, 3);
        assert_eq!(budget.take(1, 1_000_000), Err(10));
        assert_eq!(budget.take(2, 1_000_000), Ok(()));
        assert_eq!(budget.take(1, 1_010_000), Ok(()));
        assert!(budget.take(1, 1_010_000).is_err());
    }
}
