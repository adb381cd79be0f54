//! Claims, and what they must say.

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use vestibule_protocol::time::Timestamp;

use crate::{Algorithm, JwkSet, Rules, Typ, VerifyError, verify};

/// GEN-19.
const TOKEN_BYTES_MAX: usize = 16 << 10;
/// How far clocks may differ.
const SKEW_SECONDS: u64 = 30;
/// How far an assertion may reach into the future (oauth table 1.3).
const ASSERTION_LIFE_SECONDS_MAX: u64 = 5 * 60;
const JTI_BYTES_MAX: usize = 256;

/// `aud`: one text or several.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Audience {
    /// A text.
    One(String),
    /// A list.
    Many(Vec<String>),
}

impl Audience {
    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many.as_slice(),
        }
        .iter()
        .map(String::as_str)
    }
}

/// RFC 9068 §2.2, and what revocation needs.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct AccessTokenClaims {
    /// Issuer.
    pub iss: String,
    /// A person, or `client:…`.
    pub sub: String,
    /// The resource.
    pub aud: Audience,
    /// The client.
    pub client_id: String,
    /// Space-separated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Seconds since the epoch.
    pub iat: u64,
    /// Seconds since the epoch.
    pub exp: u64,
    /// Unique.
    pub jti: String,
    /// When the person signed in (AT-07).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_time: Option<u64>,
    /// The grant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gid: Option<String>,
    /// Short client key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ck: Option<String>,
    /// Head of the revocation feed at minting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rev: Option<u64>,
}

/// OpenID Connect Core §2.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct IdTokenClaims {
    /// Issuer.
    pub iss: String,
    /// The person.
    pub sub: String,
    /// The client.
    pub aud: String,
    /// Seconds since the epoch.
    pub exp: u64,
    /// Seconds since the epoch.
    pub iat: u64,
    /// When the person signed in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_time: Option<u64>,
    /// Echoed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    /// Half of the access token's digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_hash: Option<String>,
}

/// OpenID Connect Core §3.1.3.6. Every algorithm that we sign with uses SHA-256, but EdDSA, whose
/// own digest is SHA-512; we hash with SHA-256 there too, as nothing specifies otherwise.
pub fn at_hash(access_token: &str, _algorithm: Algorithm) -> String {
    let digest = digest(&SHA256, access_token.as_bytes());
    let (left, _) = digest.as_ref().split_at(16);
    URL_SAFE_NO_PAD.encode(left)
}

/// AT-09: type, signature, issuer, time. The audience is the caller's to compare.
pub fn verify_access_token(
    token: &str,
    keys: &JwkSet,
    issuer: &str,
    now: Timestamp,
) -> Result<AccessTokenClaims, VerifyError> {
    let rules = Rules {
        algorithms: &[Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256, Algorithm::Ps256],
        typ: Typ::AccessToken,
        bytes_max: TOKEN_BYTES_MAX,
    };
    let claims: AccessTokenClaims = verify(token, keys, &rules)?.claims()?;
    if claims.iss != issuer {
        return Err(VerifyError::Issuer);
    }
    if claims.exp.saturating_add(SKEW_SECONDS) <= now.seconds() {
        return Err(VerifyError::Expired);
    }
    if claims.iat > now.seconds().saturating_add(SKEW_SECONDS) {
        return Err(VerifyError::NotYet);
    }
    Ok(claims)
}

/// A client assertion that verified; its `jti` must still be used up.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct VerifiedAssertion {
    /// Unique per client.
    pub jti: String,
    /// From then on it is dead anyway.
    pub expires_at: Timestamp,
}

/// Why an assertion is not good. For our log; the peer hears `invalid_client` (JCA-10).
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AssertionError {
    /// RFC 10070: the issuer, alone.
    #[error("aud is not this issuer alone")]
    Audience,
    /// JCA-07.
    #[error("jti is missing, empty or too long")]
    Jti,
    /// JCA-06.
    #[error("the assertion lives too long")]
    LivesTooLong,
    /// JCA-02.
    #[error("iss and sub are not the client")]
    Subject,
    /// No key with this id; perhaps a new one.
    #[error("no key with this id")]
    UnknownKey,
    /// Header, signature, type or time.
    #[error(transparent)]
    Jwt(VerifyError),
}

impl From<VerifyError> for AssertionError {
    fn from(failure: VerifyError) -> Self {
        match failure {
            VerifyError::UnknownKey => Self::UnknownKey,
            other => Self::Jwt(other),
        }
    }
}

#[derive(Deserialize)]
struct AssertionClaims {
    iss: String,
    sub: String,
    aud: Audience,
    exp: u64,
    #[serde(default)]
    nbf: Option<u64>,
    #[serde(default)]
    iat: Option<u64>,
    #[serde(default)]
    jti: String,
}

/// RFC 7523 §3 with RFC 10070: all of JCA-02 to JCA-08 but the replay.
pub fn verify_client_assertion(
    token: &str,
    keys: &JwkSet,
    issuer: &str,
    client_id: &str,
    algorithms: &[Algorithm],
    now: Timestamp,
) -> Result<VerifiedAssertion, AssertionError> {
    let rules = Rules { algorithms, typ: Typ::ClientAssertion, bytes_max: TOKEN_BYTES_MAX };
    let claims: AssertionClaims = verify(token, keys, &rules)?.claims()?;
    let mut audiences = claims.aud.iter();
    if audiences.next() != Some(issuer) || audiences.next().is_some() {
        return Err(AssertionError::Audience);
    }
    if claims.iss != client_id || claims.sub != client_id {
        return Err(AssertionError::Subject);
    }
    let now = now.seconds();
    if claims.exp.saturating_add(SKEW_SECONDS) <= now {
        return Err(AssertionError::Jwt(VerifyError::Expired));
    }
    if claims.exp > now.saturating_add(ASSERTION_LIFE_SECONDS_MAX + SKEW_SECONDS) {
        return Err(AssertionError::LivesTooLong);
    }
    let latest = now.saturating_add(SKEW_SECONDS);
    if claims.nbf.is_some_and(|at| at > latest) || claims.iat.is_some_and(|at| at > latest) {
        return Err(AssertionError::Jwt(VerifyError::NotYet));
    }
    if claims.jti.is_empty() || claims.jti.len() > JTI_BYTES_MAX {
        return Err(AssertionError::Jti);
    }
    Ok(VerifiedAssertion { jti: claims.jti, expires_at: Timestamp::from_seconds(claims.exp) })
}

/// The `sub` of an assertion, unverified: only to know whose keys to look for.
pub fn peek_assertion_subject(token: &str) -> Result<String, AssertionError> {
    #[derive(Deserialize)]
    struct Subject {
        sub: String,
    }
    let malformed = || AssertionError::Jwt(VerifyError::Malformed);
    if token.len() > TOKEN_BYTES_MAX {
        return Err(malformed());
    }
    let payload = token.split('.').nth(1).ok_or_else(malformed)?;
    let bytes = URL_SAFE_NO_PAD.decode(payload).map_err(|_| malformed())?;
    let subject: Subject = serde_json::from_slice(&bytes).map_err(|_| malformed())?;
    Ok(subject.sub)
}
