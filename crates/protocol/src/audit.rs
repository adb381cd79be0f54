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
    /// A person asked that an admin approve a client.
    ApprovalAsked = "approval-asked",
    /// An admin approved or denied what waited.
    ApprovalDecided = "approval-decided",
    /// The catalogue of known clients was replaced.
    CatalogueChanged = "catalogue-changed",
    /// A stored client was blocked.
    ClientBlocked = "client-blocked",
    /// A stored client's metadata was replaced.
    ClientChanged = "client-changed",
    /// An admin made a client.
    ClientMade = "client-made",
    /// A client was deleted.
    ClientRemoved = "client-removed",
    /// A person reported a client.
    ClientReported = "client-reported",
    /// Registered clients were linked to the document client that takes their place.
    ClientSuperseded = "client-superseded",
    /// A code was shown again by its own client.
    CodeReplayed = "code-replayed",
    /// A code became tokens.
    CodeRedeemed = "code-redeemed",
    /// A person said no.
    ConsentDenied = "consent-denied",
    /// A client's document is not what it was.
    DocumentChanged = "document-changed",
    /// A client asked to prove that a domain is its own.
    DomainVerificationAsked = "domain-verification-asked",
    /// A proof that stood was not found; it stands a little longer.
    DomainVerificationFailing = "domain-verification-failing",
    /// A proof was not found for too long, or was taken back.
    DomainVerificationLost = "domain-verification-lost",
    /// A client proved that a domain is its own.
    DomainVerified = "domain-verified",
    /// A person said yes.
    GrantGiven = "grant-given",
    /// A registered client's grant ended because its successor got one in its place.
    GrantMoved = "grant-moved",
    /// A grant was taken back.
    GrantRevoked = "grant-revoked",
    /// An initial access token was made.
    InitialTokenMade = "initial-token-made",
    /// An initial access token was taken back.
    InitialTokenRemoved = "initial-token-removed",
    /// Signing or sealing keys changed.
    KeysChanged = "keys-changed",
    /// The policies were replaced.
    PolicyChanged = "policy-changed",
    /// An old refresh token came back; its family died.
    RefreshReuse = "refresh-reuse",
    /// Live settings changed.
    SettingsChanged = "settings-changed",
    /// The first account was made with the set-up link.
    SetUp = "set-up",
    /// An admin vouched for somebody, or blocked them.
    StandingGiven = "standing-given",
    /// An admin took that back.
    StandingTaken = "standing-taken",
    /// The database lost commits: a token was newer than its row.
    StoreWentBack = "store-went-back",
    /// Registered clients are no longer linked to a successor.
    SupersessionRemoved = "supersession-removed",
    /// A token was revoked by its client.
    TokenRevoked = "token-revoked",
    /// An account changed.
    UserChanged = "user-changed",
    /// An account was made.
    UserMade = "user-made",
}
