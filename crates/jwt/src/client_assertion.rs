//! JWTs by which a client proves who it is: `private_key_jwt` (RFC 7523 §2.2, §3, RFC 10070).
//!
//! | Row            | Rule                                                                      |
//! |----------------|---------------------------------------------------------------------------|
//! | JCA-02         | `iss` = `sub` = the client                                                |
//! | JCA-03, JCA-04 | `aud` is our issuer, alone: a string or an array of one                   |
//! | JCA-05         | `typ` is absent, `JWT`, or one of the two names for client assertions     |
//! | JCA-06         | `exp` is to come, at most 5 minutes ahead; `nbf` and `iat` have come; 30 s |
//! | JCA-07         | `jti` is there and not longer than 256 bytes                              |
//! | JCA-08         | the signature is by a registered key, with its algorithm                  |
//!
//! Not here: whether the `jti` was used (the store's), finding the client and its keys (`engine`).

use serde::Deserialize;

use crate::{
    Algorithm, Audience, JwkSet, Rules, TOKEN_BYTES_MAX, TypRule, VerifyError, numeric_date,
    verify, verify::Parts,
};

/// How far ahead `exp` may be (table 1.3 of `spec/oauth.md`).
const LIFE_MAX: u64 = 5 * 60;
/// How much clocks may differ.
const SKEW: u64 = 30;
const JTI_BYTES_MAX: usize = 256;

/// The claims of a client assertion.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub struct ClientAssertionClaims {
    /// The client.
    pub iss: String,
    /// The client again.
    pub sub: String,
    /// Us.
    pub aud: Audience,
    /// Good before.
    #[serde(deserialize_with = "numeric_date::required")]
    pub exp: u64,
    /// Not good before.
    #[serde(default, deserialize_with = "numeric_date::optional")]
    pub nbf: Option<u64>,
    /// Made at.
    #[serde(default, deserialize_with = "numeric_date::optional")]
    pub iat: Option<u64>,
    /// Good once.
    pub jti: String,
}

/// Why an assertion proves nothing. For our log: the peer gets `invalid_client` (JCA-10).
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AssertionError {
    /// Meant for somebody else, or not for us alone.
    #[error("`aud` is not the issuer alone")]
    Audience,
    /// `exp` has passed.
    #[error("expired")]
    Expired,
    /// `iat` or `nbf` is still to come.
    #[error("`iat` or `nbf` is in the future")]
    NotYet,
    /// By or about another client.
    #[error("`iss` and `sub` are not both the client")]
    Party,
    /// Its `jti` is empty or too long.
    #[error("`jti` is empty or longer than 256 bytes")]
    TokenId,
    /// Good for too long.
    #[error("`exp` is more than 5 minutes ahead")]
    TooFarAhead,
    /// Not good as a token.
    #[error(transparent)]
    Token(VerifyError),
    /// No such key; newer keys of the client may have it (JCA-09).
    #[error("no key of the client has this `kid`")]
    UnknownKey,
}

impl From<VerifyError> for AssertionError {
    fn from(failure: VerifyError) -> Self {
        match failure {
            VerifyError::UnknownKey => Self::UnknownKey,
            other => Self::Token(other),
        }
    }
}

/// Judge an assertion by all but the earlier use of its `jti`. `now` is in seconds.
pub fn verify_client_assertion(
    token: &str,
    keys: &JwkSet,
    issuer: &str,
    client_id: &str,
    algorithms: &[Algorithm],
    now: u64,
) -> Result<ClientAssertionClaims, AssertionError> {
    use AssertionError as E;
    let verified = verify(
        token,
        keys,
        &Rules::new(TypRule::ClientAssertion, algorithms),
    )?;
    let claims: ClientAssertionClaims = verified.claims()?;
    let to_come = |at: Option<u64>| at.is_some_and(|at| at > now.saturating_add(SKEW));
    let rules = [
        (claims.iss == client_id && claims.sub == client_id, E::Party),
        (claims.aud.sole() == Some(issuer), E::Audience),
        (claims.exp.saturating_add(SKEW) > now, E::Expired),
        (
            claims.exp <= now.saturating_add(LIFE_MAX + SKEW),
            E::TooFarAhead,
        ),
        (!to_come(claims.nbf) && !to_come(claims.iat), E::NotYet),
        ((1..=JTI_BYTES_MAX).contains(&claims.jti.len()), E::TokenId),
    ];
    let broken = rules.into_iter().find(|(kept, _)| !kept);
    broken.map_or(Ok(claims), |(_, rule)| Err(rule))
}

/// Who an assertion says it is by: to find the client and its keys, nothing else is known.
pub fn peek_assertion_subject(token: &str) -> Option<String> {
    let parts = Parts::of(token, TOKEN_BYTES_MAX).ok()?;
    parts.claims.get("sub")?.as_str().map(str::to_owned)
}
