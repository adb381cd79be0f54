//! ID Tokens (OIDC Core §2, §3.1.3.6; OIDC-02, OIDC-04).
//!
//! Not here: which claims a client gets. `azp` is left out, and no member is ever `null`.

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};

use crate::{Algorithm, numeric_date, strict};

/// The claims of an ID Token.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct IdTokenClaims {
    /// The hub.
    pub iss: String,
    /// The person.
    pub sub: String,
    /// The client.
    pub aud: String,
    /// Good before.
    #[serde(deserialize_with = "numeric_date::required")]
    pub exp: u64,
    /// Made at.
    #[serde(deserialize_with = "numeric_date::required")]
    pub iat: u64,
    /// When the person signed in.
    #[serde(
        default,
        deserialize_with = "numeric_date::optional",
        skip_serializing_if = "Option::is_none"
    )]
    pub auth_time: Option<u64>,
    /// What the client sent, unchanged.
    #[serde(
        default,
        deserialize_with = "numeric_date::present",
        skip_serializing_if = "Option::is_none"
    )]
    pub nonce: Option<String>,
    /// Binds the access token that came with it: [`at_hash`].
    #[serde(
        default,
        deserialize_with = "numeric_date::present",
        skip_serializing_if = "Option::is_none"
    )]
    pub at_hash: Option<String>,
}

/// The left half of the hash of an access token, by the hash of the ID Token's algorithm; Ed25519
/// hashes with SHA-512.
pub fn at_hash(algorithm: Algorithm, access_token: &str) -> String {
    let hash = match algorithm {
        Algorithm::EdDsa => &digest::SHA512,
        Algorithm::Es256 | Algorithm::Ps256 | Algorithm::Rs256 => &digest::SHA256,
    };
    let sum = digest::digest(hash, access_token.as_bytes());
    let (left, _) = sum.as_ref().split_at(sum.as_ref().len() / 2);
    strict::encode(left)
}
