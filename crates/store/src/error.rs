//! How a verb fails. None of these is a protocol answer: a client never hears `invalid_grant`
//! because a database was busy (threats P11).

/// What every verb returns.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Why a verb had no effect.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Too many verbs wait, or another process holds the lock: nothing was done, try again.
    #[error("the store is busy")]
    Busy,
    /// A stored value cannot be read back; somebody else wrote it.
    #[error("a stored {what} is damaged: {detail}")]
    Damaged {
        /// The noun, such as `client`.
        what: &'static str,
        /// What was wrong with it, without its content.
        detail: String,
    },
    /// Disk full, file gone, connection lost: nothing was done.
    #[error("the store failed: {0}")]
    Failed(String),
    /// More than is kept of this: nothing was done, and trying again does not help.
    #[error("the {what} is longer than {octets_max} octets")]
    TooLarge {
        /// The noun, such as `policy`.
        what: &'static str,
        /// How much there may be.
        octets_max: usize,
    },
    /// The database was made by a newer release.
    #[error("the database has schema {found}, this release knows up to {known}")]
    TooNew {
        /// Schema version in the file.
        found: u32,
        /// The newest that we know.
        known: u32,
    },
}
