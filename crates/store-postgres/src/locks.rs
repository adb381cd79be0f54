//! Locks of what has no row to lock: advisory locks, which end with the transaction.
//!
//! Order, so that nobody waits in a circle: advisory locks first, by number; then grants by id,
//! families, codes, remembered consents; heads last.

use vestibule_protocol::client_id::ClientKey;

use crate::{pool::Work, rows::Outcome};

/// What is locked as a whole, by all nodes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Whole {
    /// The log of decisions: its numbers have no gaps and its length is bounded.
    Decisions,
    /// The queue of approvals: bounded.
    Queue,
    /// Domain proofs: bounded.
    Verifications,
}

impl Whole {
    /// In the second half of PostgreSQL's two-number locks.
    const fn number(self) -> i32 {
        match self {
            Self::Decisions => 1,
            Self::Queue => 2,
            Self::Verifications => 3,
        }
    }
}

/// The first half, also of the lock that migrations take: says that it is ours.
pub(crate) const OURS: i32 = 0x5645_5354;
/// The migrations' second half.
pub(crate) const MIGRATIONS: i32 = 0;

/// Nobody else has it until the end of the transaction.
pub(crate) async fn take(w: &Work, whole: Whole) -> Outcome<()> {
    w.rows(
        "SELECT pg_advisory_xact_lock($1, $2)",
        &[&OURS, &whole.number()],
    )
    .await
    .map(drop)
}

/// A subject by 64 of its bits. Two that share them wait for each other without need.
fn number(hash: &[u8; 32]) -> i64 {
    hash.first_chunk()
        .map_or(0, |bits| i64::from_be_bytes(*bits))
}

/// What is said about a client (or a redirect URI) changes: no approval of it runs beside this.
pub(crate) async fn change(w: &Work, subject: &[u8; 32]) -> Outcome<()> {
    w.rows("SELECT pg_advisory_xact_lock($1)", &[&number(subject)])
        .await
        .map(drop)
}

/// The assertions of a client are counted. Another number than [`change`]'s: an approval of the client
/// has nothing to do with it.
pub(crate) async fn assertions(w: &Work, client: &ClientKey) -> Outcome<()> {
    let number = number(client.as_bytes()) ^ i64::from(OURS);
    w.rows("SELECT pg_advisory_xact_lock($1)", &[&number])
        .await
        .map(drop)
}

/// An approval relies on what is said about a client and a redirect URI; others may rely on it too.
pub(crate) async fn rely(w: &Work, client: &ClientKey, redirect: &[u8; 32]) -> Outcome<()> {
    let mut numbers = [number(client.as_bytes()), number(redirect)];
    numbers.sort_unstable();
    let [first, second] = numbers;
    // Two statements in one, evaluated from left to right.
    w.rows(
        "SELECT pg_advisory_xact_lock_shared($1), pg_advisory_xact_lock_shared($2)",
        &[&first, &second],
    )
    .await
    .map(drop)
}
