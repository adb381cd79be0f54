//! JWT access tokens ([RFC 9068]): what ours say, and when one is good (AT-01 to AT-09).
//!
//! Not here: whether the audience is the one that asks (it knows its own names, QUIRK-28), and
//! whether grant and person still live (`engine`).
//!
//! [RFC 9068]: https://www.rfc-editor.org/rfc/rfc9068

use serde::{Deserialize, Serialize};

use crate::{Algorithm, Audience, JwkSet, Rules, TypRule, VerifyError, numeric_date, verify};

/// The claims of an access token (RFC 9068 §2.2, AT-03).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct AccessTokenClaims {
    /// The hub.
    pub iss: String,
    /// The person, or the client itself.
    pub sub: String,
    /// Where it is good.
    pub aud: Audience,
    /// The client that uses it.
    pub client_id: String,
    /// What it allows, separated by spaces (AT-04).
    #[serde(
        default,
        deserialize_with = "numeric_date::present",
        skip_serializing_if = "Option::is_none"
    )]
    pub scope: Option<String>,
    /// Made at.
    #[serde(deserialize_with = "numeric_date::required")]
    pub iat: u64,
    /// Good before.
    #[serde(deserialize_with = "numeric_date::required")]
    pub exp: u64,
    /// Unique.
    pub jti: String,
    /// When the person signed in (AT-07).
    #[serde(
        default,
        deserialize_with = "numeric_date::optional",
        skip_serializing_if = "Option::is_none"
    )]
    pub auth_time: Option<u64>,
    /// The grant behind it.
    #[serde(
        default,
        deserialize_with = "numeric_date::present",
        skip_serializing_if = "Option::is_none"
    )]
    pub gid: Option<String>,
    /// The client key.
    #[serde(
        default,
        deserialize_with = "numeric_date::present",
        skip_serializing_if = "Option::is_none"
    )]
    pub ck: Option<String>,
    /// The revocation sequence that it was made at (design details, section C).
    #[serde(
        default,
        deserialize_with = "numeric_date::present",
        skip_serializing_if = "Option::is_none"
    )]
    pub rev: Option<u64>,
}

impl AccessTokenClaims {
    /// Each audience.
    pub fn audience(&self) -> impl Iterator<Item = &str> {
        self.aud.iter()
    }
}

/// A claim that we never write, and respect if somebody does.
#[derive(Deserialize)]
struct NotBefore {
    #[serde(default, deserialize_with = "numeric_date::optional")]
    nbf: Option<u64>,
}

const ALGORITHMS: [Algorithm; 3] = [Algorithm::EdDsa, Algorithm::Es256, Algorithm::Rs256];

/// Judge an access token by all but its audience (RFC 9068 §4, AT-09). `now` and `leeway` are in
/// seconds.
pub fn verify_access_token(
    token: &str,
    keys: &JwkSet,
    issuer: &str,
    now: u64,
    leeway: u64,
) -> Result<AccessTokenClaims, VerifyError> {
    let verified = verify(token, keys, &Rules::new(TypRule::AccessToken, &ALGORITHMS))?;
    let claims: AccessTokenClaims = verified.claims()?;
    let NotBefore { nbf } = verified.claims()?;
    if claims.iss != issuer {
        return Err(VerifyError::Issuer);
    }
    if claims.exp.saturating_add(leeway) <= now {
        return Err(VerifyError::Expired);
    }
    if nbf.is_some_and(|nbf| nbf > now.saturating_add(leeway)) {
        return Err(VerifyError::NotYet);
    }
    if claims.audience().next().is_none() {
        return Err(VerifyError::Claims("`aud` is empty".to_owned()));
    }
    Ok(claims)
}
