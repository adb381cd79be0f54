//! Words of the trail.

use crate::{client_id::ClientKey, ids::UserId};

/// Who did something.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Actor {
    /// An admin, named by account or by where they act.
    Admin(String),
    /// A client that authenticated.
    Client(ClientKey),
    /// A signed-in person.
    Person(UserId),
    /// The hub itself.
    System,
}

impl Actor {
    /// `kind:name`, as stored.
    pub fn to_text(&self) -> String {
        match self {
            Self::Admin(name) => format!("admin:{name}"),
            Self::Client(key) => format!("client:{}", key.short()),
            Self::Person(user) => format!("person:{user}"),
            Self::System => "system:".to_owned(),
        }
    }
}

macro_rules! events {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// What happened.
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        pub enum Event {
            $($(#[$doc])* $name,)*
        }

        impl Event {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// As stored and shown.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }

            /// From the stored form.
            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|event| event.as_str() == text)
            }
        }
    };
}

events! {
    /// A stored client was blocked.
    ClientBlocked = "client-blocked",
    /// A stored client's metadata was replaced.
    ClientChanged = "client-changed",
    /// An admin made a client.
    ClientMade = "client-made",
    /// A client was deleted.
    ClientRemoved = "client-removed",
    /// A code was shown again by its own client.
    CodeReplayed = "code-replayed",
    /// A code became tokens.
    CodeRedeemed = "code-redeemed",
    /// A person said no.
    ConsentDenied = "consent-denied",
    /// A person said yes.
    GrantGiven = "grant-given",
    /// A grant was taken back.
    GrantRevoked = "grant-revoked",
    /// An initial access token was made.
    InitialTokenMade = "initial-token-made",
    /// An initial access token was taken back.
    InitialTokenRemoved = "initial-token-removed",
    /// Signing or sealing keys changed.
    KeysChanged = "keys-changed",
    /// An old refresh token came back; its family died.
    RefreshReuse = "refresh-reuse",
    /// Live settings changed.
    SettingsChanged = "settings-changed",
    /// The first account was made with the set-up link.
    SetUp = "set-up",
    /// The database lost commits: a token was newer than its row.
    StoreWentBack = "store-went-back",
    /// A token was revoked by its client.
    TokenRevoked = "token-revoked",
    /// An account changed.
    UserChanged = "user-changed",
    /// An account was made.
    UserMade = "user-made",
}
