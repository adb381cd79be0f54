//! Ids of our own making. Hashes and ids are different types, so that a raw code cannot stand
//! where its hash belongs.

use std::fmt;

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name(String);

        impl $name {
            /// Of a value that we made or stored.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// As text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

macro_rules! bytes_id {
    ($(#[$doc:meta])* $name:ident, $length:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name([u8; $length]);

        impl $name {
            /// Of these bytes.
            pub const fn new(bytes: [u8; $length]) -> Self {
                Self(bytes)
            }

            /// The bytes.
            pub const fn as_bytes(&self) -> &[u8; $length] {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let [a, b, c, d, ..] = self.0;
                write!(f, concat!(stringify!($name), "({:02x}{:02x}{:02x}{:02x}…)"), a, b, c, d)
            }
        }
    };
}

text_id! {
    /// A person: `u_…`, the `sub` of tokens. Machine clients have another namespace (AC-16).
    UserId
}
text_id! {
    /// A grant: `g_…`, the claim `gid` of tokens.
    GrantId
}
bytes_id! {
    /// A refresh family.
    FamilyId, 16
}
bytes_id! {
    /// A consent ticket or pushed request.
    TicketId, 16
}
bytes_id! {
    /// SHA-256 of an authorization code.
    CodeHash, 32
}
bytes_id! {
    /// SHA-256 of a session cookie's value.
    SessionHash, 32
}
