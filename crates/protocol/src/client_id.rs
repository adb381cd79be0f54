//! Client identifiers of both doors. Ids that we issue never look like a URL (CIMD-72, R17), so the
//! doors cannot be confused.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::client_id_url::{ClientIdUrl, ClientIdUrlError, ClientIdUrlPolicy};

/// Longest id that we ever issued.
const ISSUED_CHARS_MAX: usize = 1500;
/// What a sealed registration starts with.
pub const SEALED_PREFIX: &str = "vdr_";

/// A `client_id`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ClientId {
    /// Issued here: sealed, or an admin's.
    Issued(IssuedId),
    /// The URL of a document.
    Url(ClientIdUrl),
}

/// An id that we may have issued.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct IssuedId(String);

/// Not a `client_id`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ClientIdError {
    /// Neither an id of ours nor a URL.
    #[error("the client_id has characters or a length that no client_id here has")]
    Malformed,
    /// A URL, but not one that can be a client.
    #[error(transparent)]
    Url(#[from] ClientIdUrlError),
}

impl ClientId {
    /// With the default grammar of URLs.
    pub fn parse(raw: &str) -> Result<Self, ClientIdError> {
        Self::parse_with(raw, &ClientIdUrlPolicy::default())
    }

    /// Parse.
    pub fn parse_with(raw: &str, policy: &ClientIdUrlPolicy<'_>) -> Result<Self, ClientIdError> {
        if raw.contains(':') || raw.contains('/') {
            return Ok(Self::Url(ClientIdUrl::parse(raw, policy)?));
        }
        IssuedId::parse(raw)
            .map(Self::Issued)
            .ok_or(ClientIdError::Malformed)
    }

    /// The octets received.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Issued(id) => id.as_str(),
            Self::Url(url) => url.as_str(),
        }
    }

    /// Its key.
    pub fn key(&self) -> ClientKey {
        ClientKey::of(self.as_str())
    }
}

impl IssuedId {
    /// `[A-Za-z0-9_-]`, so that it needs no escapes anywhere (QUIRK-45).
    pub fn parse(raw: &str) -> Option<Self> {
        let allowed = |c: u8| c.is_ascii_alphanumeric() || c == b'_' || c == b'-';
        ((1..=ISSUED_CHARS_MAX).contains(&raw.len()) && raw.bytes().all(allowed))
            .then(|| Self(raw.to_owned()))
    }

    /// As issued.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// It says that it is a sealed registration; opening it decides.
    pub fn is_sealed(&self) -> bool {
        self.0.starts_with(SEALED_PREFIX)
    }
}

/// SHA-256 of the raw `client_id`: what rows, caches, logs and claims use.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ClientKey([u8; 32]);

impl ClientKey {
    /// Of a raw `client_id`.
    pub fn of(raw: &str) -> Self {
        Self(crate::sha256(raw.as_bytes()))
    }

    /// From stored bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// All 256 bits, for look-ups.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first 128 bits, for people and claims: 22 characters.
    pub fn short(&self) -> String {
        let (short, _) = self.0.split_at(16);
        URL_SAFE_NO_PAD.encode(short)
    }
}

impl fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientKey({})", self.short())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// CIMD-72, R17: an id of ours is never a URL, whatever its spelling.
    #[test]
    fn the_doors_cannot_be_confused() {
        assert!(matches!(ClientId::parse("vdr_abc"), Ok(ClientId::Issued(id)) if id.is_sealed()));
        assert!(matches!(ClientId::parse("cl_1"), Ok(ClientId::Issued(id)) if !id.is_sealed()));
        assert!(matches!(
            ClientId::parse("https://a.example/c"),
            Ok(ClientId::Url(_))
        ));
        for bad in [
            "",
            "a b",
            "é",
            "http://a.example/c",
            "HTTPS://a.example/c",
            "a:b",
            "x\u{0}",
        ] {
            assert!(ClientId::parse(bad).is_err(), "{bad:?}");
        }
        assert!(ClientId::parse(&"a".repeat(ISSUED_CHARS_MAX + 1)).is_err());
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_keeps_the_octets(raw in ".{0,300}") {
            if let Ok(id) = ClientId::parse(&raw) {
                prop_assert_eq!(id.as_str(), raw);
            }
        }
    }
}
