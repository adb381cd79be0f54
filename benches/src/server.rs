//! Who is measured.

/// A server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Server {
    /// The ceiling.
    Echo,
    /// The hub.
    Vestibule,
    /// `oidc-provider`, everything in memory.
    Memory,
    /// `oidc-provider`, everything in a SQLite file.
    Durable,
}

impl Server {
    /// Those that do the same work, in the order of the table.
    pub(crate) const RIVALS: [Self; 3] = [Self::Vestibule, Self::Memory, Self::Durable];

    /// Name in the table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Echo => "bare axum",
            Self::Vestibule => "vestibule",
            Self::Memory => "oidc-provider (memory)",
            Self::Durable => "oidc-provider (SQLite)",
        }
    }

    /// How much of what the hub uses up in a measurement this one does: it takes its time, and all
    /// of it is made beforehand.
    pub(crate) fn spends(self, hub: usize) -> usize {
        match self {
            Self::Echo | Self::Vestibule => hub,
            Self::Memory => hub / 2,
            Self::Durable => hub / 4,
        }
    }
}
