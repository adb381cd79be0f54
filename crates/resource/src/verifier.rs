//! What makes an access token good here: RFC 9068 §4, in one place.
//!
//! Signature by a key of the hub, `typ` `at+jwt`, issuer equal byte for byte, this resource among
//! the audience (both slash forms, QUIRK-28), in time. A token that passed is remembered until it
//! expires, so that a signature is checked once per token and not once per request.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use quick_cache::sync::Cache;
use vestibule_jwt::{AccessTokenClaims, VerifyError, verify_access_token};
use vestibule_protocol::{issuer::Issuer, resource_indicator::ResourceUri, scope::ScopeSet};

use crate::keys::{Keys, KeysUnavailable};

const TOKENS_MAX: usize = 10_000;

/// A token that was checked; found in the extensions of requests.
#[derive(Clone, Debug)]
pub struct VerifiedToken {
    claims: Arc<AccessTokenClaims>,
    scopes: Arc<ScopeSet>,
}

impl VerifiedToken {
    /// Who allowed this: a person's stable id, or `client:…` for a machine.
    pub fn subject(&self) -> &str {
        &self.claims.sub
    }

    /// Which client acts.
    pub fn client_id(&self) -> &str {
        &self.claims.client_id
    }

    /// Unique id of the token.
    pub fn token_id(&self) -> &str {
        &self.claims.jti
    }

    /// What it allows here.
    pub fn scopes(&self) -> &ScopeSet {
        &self.scopes
    }

    /// Does it allow this?
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes.contains(scope)
    }

    /// Seconds since the epoch.
    pub fn expires_at(&self) -> u64 {
        self.claims.exp
    }

    /// All claims.
    pub fn claims(&self) -> &AccessTokenClaims {
        &self.claims
    }
}

/// Why a request was not let in.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// No keys to check with: 503.
    #[error("the hub's keys are not available")]
    KeysUnavailable,
    /// 401 without `error` (RFC 6750 §3.1).
    #[error("no access token")]
    Missing,
    /// 401 `invalid_token`.
    #[error("the access token is not good here: {0}")]
    Invalid(&'static str),
}

impl From<KeysUnavailable> for Refusal {
    fn from(failure: KeysUnavailable) -> Self {
        tracing::error!(%failure, "cannot check access tokens");
        Self::KeysUnavailable
    }
}

pub(crate) struct Verifier {
    issuer: Issuer,
    resource: ResourceUri,
    leeway: u64,
    keys: Keys,
    checked: Cache<String, VerifiedToken>,
}

impl Verifier {
    pub(crate) fn new(issuer: Issuer, resource: ResourceUri, leeway: Duration, keys: Keys) -> Self {
        Self {
            issuer,
            resource,
            leeway: leeway.as_secs(),
            keys,
            checked: Cache::new(TOKENS_MAX),
        }
    }

    /// Judge a bearer token.
    pub(crate) async fn verify(&self, token: &str) -> Result<VerifiedToken, Refusal> {
        let now = now();
        if let Some(known) = self.checked.get(token) {
            if now < known.expires_at() + self.leeway {
                return Ok(known);
            }
            self.checked.remove(token);
            return Err(Refusal::Invalid("expired"));
        }
        let claims = self.check(token, now).await?;
        let scopes = ScopeSet::from_text(claims.scope.as_deref().unwrap_or_default());
        let verified = VerifiedToken {
            claims: Arc::new(claims),
            scopes: Arc::new(scopes),
        };
        self.checked.insert(token.to_owned(), verified.clone());
        Ok(verified)
    }

    async fn check(&self, token: &str, now: u64) -> Result<AccessTokenClaims, Refusal> {
        let judge =
            |keys: &_| verify_access_token(token, keys, self.issuer.as_str(), now, self.leeway);
        let mut verdict = judge(self.keys.get(false).await?.as_ref());
        if matches!(verdict, Err(VerifyError::UnknownKey)) {
            verdict = judge(self.keys.get(true).await?.as_ref());
        }
        let claims = verdict.map_err(|failure| {
            tracing::debug!(%failure, "an access token was refused");
            Refusal::Invalid("signature, issuer, type or time")
        })?;
        let for_us = claims.audience().any(|audience| {
            ResourceUri::parse(audience).is_ok_and(|uri| uri.is_equivalent(&self.resource))
        });
        if for_us {
            Ok(claims)
        } else {
            Err(Refusal::Invalid("audience"))
        }
    }
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
