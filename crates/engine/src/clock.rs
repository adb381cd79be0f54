//! Time and randomness, as arguments. The binary gives the real ones; tests give fixed ones.

use vestibule_protocol::time::Timestamp;

/// Says what time it is.
pub trait Clock: Send + Sync {
    /// Now, by the wall clock: lifetimes outlive the process (threats T8).
    fn now(&self) -> Timestamp;
}

/// Gives unpredictable bytes.
pub trait Entropy: Send + Sync {
    /// Fill the buffer, or die: there is nothing safe to do without randomness.
    fn fill(&self, buffer: &mut [u8]);
}
