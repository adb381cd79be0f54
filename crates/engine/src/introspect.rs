//! Is this token good? (RFC 7662), for resource servers that ask instead of verifying themselves,
//! and for confidential clients about their own tokens.
//!
//! Whoever is not allowed to see a token hears the same `{"active":false}` as about garbage
//! (INT-04). A signature is verified once per token and node; everything that can change, which is
//! whether grant, person and client are still there, is asked once a second, and again after each
//! change on this node (INT-05, [`crate::recent`]).

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use quick_cache::sync::Cache;
use vestibule_jwt::AccessTokenClaims;
use vestibule_protocol::{
    client_id::ClientKey,
    error_code::ErrorCode,
    ids::{GrantId, UserId},
    resource_indicator::ResourceUri,
    token_request::pairs_to_form,
    token_response::IntrospectionResponse,
};

use crate::{
    Engine, Problem, Shape, Source, client_auth::AuthenticatedClient, clients::Row, recent::Moment,
    refresh::KnownToken,
};

/// Access tokens whose signature was found good, by their SHA-256. Only tokens that we signed get
/// in, so strangers cannot fill it.
#[derive(Debug)]
pub(crate) struct VerifiedTokens {
    tokens: Cache<[u8; 32], Arc<VerifiedToken>>,
}

/// Tokens remembered at most.
const TOKENS_MAX: usize = 100_000;

/// A token that we signed.
#[derive(Debug)]
pub(crate) struct VerifiedToken {
    /// What it says.
    pub(crate) claims: AccessTokenClaims,
    /// The state of the key ring that said so.
    keys_seq: u64,
    /// The [`Moment`] in which all of its claims' people, grants and clients were there.
    alive_at: AtomicU64,
}

impl VerifiedTokens {
    pub(crate) fn new() -> Self {
        Self {
            tokens: Cache::new(TOKENS_MAX),
        }
    }

    /// Forget everything.
    pub(crate) fn clear(&self) {
        self.tokens.clear();
    }
}

impl Engine {
    /// Introspect a token.
    pub async fn introspect(
        &self,
        pairs: &[(String, String)],
        authorization: Option<&str>,
        source: &Source,
    ) -> Result<IntrospectionResponse, Problem> {
        let form = pairs_to_form(pairs)?;
        let mut caller = self.authenticate(&form, authorization, source).await?;
        // INT-02: a public client_id proves nothing.
        if !caller.is_proven() {
            return Err(Problem::new(
                ErrorCode::InvalidClient,
                "client authentication is required",
            )
            .shaped(Shape::ClientAuth {
                basic: authorization.is_some(),
            }));
        }
        let token = form
            .get("token")
            .ok_or_else(|| Problem::new(ErrorCode::InvalidRequest, "token is missing"))?;
        self.use_up_assertion(&mut caller).await?;
        // The hint is not needed: a token tells its kind (INT-01).
        if let Some(known) = self.read_refresh_token(token) {
            return self.introspect_refresh(&caller, &known).await;
        }
        match self.verified_token(token) {
            Some(verified) if may_see(&caller, &verified.claims) => {
                self.introspect_access(&verified).await
            }
            Some(_) | None => Ok(IntrospectionResponse::inactive()),
        }
    }

    async fn introspect_access(
        &self,
        verified: &VerifiedToken,
    ) -> Result<IntrospectionResponse, Problem> {
        let claims = &verified.claims;
        if !self.everybody_is_there(verified).await? {
            return Ok(IntrospectionResponse::inactive());
        }
        Ok(IntrospectionResponse {
            active: true,
            scope: claims.scope.clone(),
            client_id: Some(claims.client_id.clone()),
            token_type: Some("Bearer"),
            exp: Some(claims.exp),
            iat: Some(claims.iat),
            sub: Some(claims.sub.clone()),
            aud: Some(claims.aud.iter().map(str::to_owned).collect()),
            iss: Some(claims.iss.clone()),
            jti: Some(claims.jti.clone()),
            auth_time: claims.auth_time,
        })
    }

    /// INT-09: only the client that holds a refresh token may ask about it.
    async fn introspect_refresh(
        &self,
        caller: &AuthenticatedClient,
        token: &KnownToken,
    ) -> Result<IntrospectionResponse, Problem> {
        let Some((family, grant)) = self.store.find_family(&token.family).await? else {
            return Ok(IntrospectionResponse::inactive());
        };
        let now = self.now();
        let until = family
            .idle_until
            .min(family.absolute_until)
            .min(grant.absolute_until);
        let alive = family.client == caller.client.key
            && family.generation == token.generation
            && !family.revoked
            && !grant.revoked
            && until > now
            && self.is_enabled(&grant.user).await?;
        if !alive {
            return Ok(IntrospectionResponse::inactive());
        }
        Ok(IntrospectionResponse {
            active: true,
            scope: Some(grant.scopes.to_string()),
            client_id: Some(caller.client.client_id.clone()),
            exp: Some(until.seconds()),
            sub: Some(grant.user.as_str().to_owned()),
            iss: Some(self.config.issuer.as_str().to_owned()),
            ..IntrospectionResponse::inactive()
        })
    }

    /// An access token that we signed and that has not run out; whether everybody is still there is
    /// another question.
    pub(crate) fn verified_token(&self, token: &str) -> Option<Arc<VerifiedToken>> {
        let (live, now) = (self.live(), self.now());
        let hash = vestibule_seal::sha256(token.as_bytes());
        if let Some(known) = self.verified.tokens.get(&hash)
            && known.keys_seq == live.keys.seq
        {
            if known.claims.exp <= now.seconds() {
                self.verified.tokens.remove(&hash);
                return None;
            }
            return Some(known);
        }
        let issuer = self.config.issuer.as_str();
        // No leeway: it is our own clock that set the time.
        let now = now.seconds();
        let claims = vestibule_jwt::verify_access_token(token, &live.keys.public, issuer, now, 0)
            .inspect_err(|failure| tracing::debug!(%failure, "an access token is not ours"))
            .ok()?;
        let verified = Arc::new(VerifiedToken {
            claims,
            keys_seq: live.keys.seq,
            alive_at: AtomicU64::new(0),
        });
        self.verified.tokens.insert(hash, Arc::clone(&verified));
        Some(verified)
    }

    /// Are token, grant, person and client all still good (INT-05, T22)?
    pub(crate) async fn everybody_is_there(
        &self,
        verified: &VerifiedToken,
    ) -> Result<bool, Problem> {
        let moment = self.moment();
        if Moment::of_bits(verified.alive_at.load(Ordering::Relaxed)) == moment {
            return Ok(true);
        }
        let claims = &verified.claims;
        let grant = claims.gid.as_deref().map(GrantId::new);
        let alive = self.is_alive(grant.as_ref(), &claims.jti).await?
            && self.person_is_there(claims, grant.is_some()).await?
            && self.client_is_there(claims, grant.is_some()).await?;
        if alive {
            verified.alive_at.store(moment.bits(), Ordering::Relaxed);
        }
        Ok(alive)
    }

    async fn person_is_there(
        &self,
        claims: &AccessTokenClaims,
        has_grant: bool,
    ) -> Result<bool, Problem> {
        if !has_grant {
            return Ok(true);
        }
        self.is_enabled(&UserId::new(claims.sub.as_str())).await
    }

    async fn client_is_there(
        &self,
        claims: &AccessTokenClaims,
        has_grant: bool,
    ) -> Result<bool, Problem> {
        let key = ClientKey::of(&claims.client_id);
        Ok(match self.find_row(&key).await? {
            Row::Active(_) => true,
            Row::Blocked | Row::Gone => false,
            // A sealed registration may act for itself without a row, never for a person.
            Row::NeverSeen => !has_grant,
        })
    }
}

/// INT-04: the resource server that the token is for, or the client that it was issued to.
fn may_see(caller: &AuthenticatedClient, claims: &AccessTokenClaims) -> bool {
    if claims.client_id == caller.client.client_id {
        return true;
    }
    let introspects = &caller.client.introspects;
    !introspects.is_empty()
        && claims
            .aud
            .iter()
            .filter_map(|audience| ResourceUri::parse(audience).ok())
            .any(|audience| {
                introspects
                    .iter()
                    .filter_map(|own| ResourceUri::parse(own).ok())
                    .any(|own| own.is_equivalent(&audience))
            })
}
