//! Signed JSON Web Tokens: the three kinds that this hub makes or takes, signed catalogues, and the
//! keys for them.
//!
//! | Kind             | `typ`                                  | Made by                            | Judged by                     |
//! |------------------|----------------------------------------|------------------------------------|-------------------------------|
//! | access token     | `at+jwt` (RFC 9068)                    | [`SigningKey::sign_access_token`]  | [`verify_access_token`]       |
//! | ID Token         | `JWT` or absent (OIDC Core §2)         | [`SigningKey::sign_id_token`]      | [`verify`]                    |
//! | client assertion | `client-authentication+jwt` (RFC 7523) | the client                         | [`verify_client_assertion`]   |
//! | catalogue        | [`CATALOGUE_TYP`] (no token: a file)   | its maintainer, [`SigningKey::sign`] | [`verify_document`]         |
//!
//! | Rule (GEN-19, RFC 8725)                           | Enforced by              | Threat   |
//! |---------------------------------------------------|--------------------------|----------|
//! | the key decides the algorithm, the header agrees  | [`verify`]               | T12      |
//! | keys in headers are not looked at                 | [`verify`]               | T13      |
//! | `crit` is refused, `typ` is checked per kind      | [`Rules`], [`TypRule`]   | T14      |
//! | a claim of the wrong type is wrong, not absent    | the claim types          | T15      |
//! | one spelling: canonical base64url, no duplicates  | `strict`                 | GEN-19   |
//! | no private or symmetric key is ever read or shown | [`JwkSet`], [`PublicJwk`] | T12, T19 |
//!
//! Signing uses prepared `aws-lc-rs` keys, parsed once. Signatures of others are checked by
//! `jsonwebtoken`; header and claims are read here, since that is where the rules above live. Time
//! is a parameter. Randomness is used in two places, both inside `aws-lc-rs`: making a key, and the
//! nonce of an ECDSA signature.
//!
//! Not here: whether a `jti` was used before, whether a grant still lives, which audience is meant,
//! and where keys of others are fetched.

mod access_token;
mod algorithm;
mod client_assertion;
mod id_token;
mod jwk;
mod numeric_date;
mod signing;
mod strict;
mod verify;

use serde::{Deserialize, Serialize};

pub use access_token::{AccessTokenClaims, verify_access_token};
pub use algorithm::Algorithm;
pub use client_assertion::{
    AssertionError, ClientAssertionClaims, peek_assertion_subject, verify_client_assertion,
};
pub use id_token::{IdTokenClaims, at_hash};
pub use jwk::{JwkSet, JwksError, PublicJwk, thumbprint};
pub use signing::{SignError, SigningKey, SigningKeyError};
pub use verify::{
    CATALOGUE_TYP, Rules, TypRule, VerifiedJwt, VerifyError, verify, verify_document,
};

/// Longest token that is looked at (GEN-19).
pub const TOKEN_BYTES_MAX: usize = 16 << 10;

/// `aud`: one or several (RFC 7519 §4.1.3).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Audience {
    /// A string.
    One(String),
    /// An array of strings.
    Many(Vec<String>),
}

impl Audience {
    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        let all = match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        };
        all.iter().map(String::as_str)
    }

    /// Is this one of them?
    pub fn contains(&self, audience: &str) -> bool {
        self.iter().any(|one| one == audience)
    }

    /// The only one.
    pub fn sole(&self) -> Option<&str> {
        match self {
            Self::One(one) => Some(one),
            Self::Many(many) => match many.as_slice() {
                [one] => Some(one),
                _ => None,
            },
        }
    }
}
