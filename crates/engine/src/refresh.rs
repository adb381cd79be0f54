//! A refresh token becomes an access token and, for clients that prove nothing, its own successor
//! (`design-details.md`, section B; OAuth 2.1 §4.3).
//!
//! Everything is prepared from a read; one guarded update decides. A generation has exactly one
//! spelling, so whoever repeats inside the grace window gets the same successor: two processes
//! that share a token do not fork it, and a thief's copy is exposed by the next rotation.
//!
//! Not here: the decision itself ([`vestibule_store::TokenStore::rotate`]).

use vestibule_policy::Stage;
use vestibule_protocol::{
    audit::{Actor, Event},
    ids::FamilyId,
    resource_indicator::ResourceUri,
    scope::ScopeSet,
    secret::Secret,
    token_response::TokenResponse,
};
use vestibule_seal::{KeyId, refresh_token};
use vestibule_store::{
    AuditEntry,
    tokens::{Rotated, Rotation},
};

use crate::{
    Engine, Problem, Source,
    client_auth::{AuthenticatedClient, assertion_answer},
    issue::{Entitling, Minting, invalid_grant},
};

/// The generation that a new family starts with.
pub(crate) const FIRST_GENERATION: u64 = 0;

/// A client that keeps changing its grant while it refreshes is told to try again.
const ATTEMPTS_MAX: usize = 2;

/// What a client shows to refresh.
pub(crate) struct ShownRefresh {
    pub(crate) refresh_token: Secret<String>,
    pub(crate) scope: Option<ScopeSet>,
    pub(crate) resource: Vec<ResourceUri>,
}

/// Why nothing was refreshed. `Display` is for our log; the client hears `invalid_grant`.
#[derive(Debug, thiserror::Error)]
enum RefreshFailure {
    #[error("not a refresh token of ours")]
    BadToken,
    #[error("the family is over")]
    Dead,
    #[error("the token belongs to another client")]
    OtherClient,
    #[error("an old token was used again; the family is revoked")]
    Reuse,
    #[error("no such family")]
    Unknown,
}

impl From<RefreshFailure> for Problem {
    fn from(failure: RefreshFailure) -> Self {
        tracing::info!(%failure, "a grant was not refreshed");
        invalid_grant()
    }
}

/// An answer that waits for the commit.
struct Prepared {
    response: TokenResponse,
    rotates: bool,
    rotation: Rotation,
}

/// What a refresh token says, its MAC proved.
pub(crate) struct KnownToken {
    pub(crate) family: FamilyId,
    pub(crate) generation: u64,
    pub(crate) key_id: u16,
}

impl Engine {
    pub(crate) async fn refresh(
        &self,
        mut client: AuthenticatedClient,
        shown: ShownRefresh,
        source: &Source,
    ) -> Result<TokenResponse, Problem> {
        let token = self
            .read_refresh_token(shown.refresh_token.expose())
            .ok_or(RefreshFailure::BadToken)?;
        let assertion = self.assertion_for_verb(&mut client)?;
        for _ in 0..ATTEMPTS_MAX {
            let prepared = self
                .prepare_refresh(&client, &token, &shown, source)
                .await?;
            let rotation = Rotation {
                assertion: assertion.clone(),
                ..prepared.rotation
            };
            let outcome = if prepared.rotates {
                self.store.rotate(rotation).await?
            } else {
                self.store.touch_family(rotation).await?
            };
            match outcome {
                Rotated::AssertionRefused(outcome) => {
                    assertion_answer(outcome)?;
                    return Err(invalid_grant());
                }
                // Nothing was written, the assertion included: prepare again.
                Rotated::Changed => {}
                Rotated::Dead => return Err(RefreshFailure::Dead.into()),
                // A repeat is served the living generation, which is the one after its own.
                Rotated::FastForward | Rotated::Moved | Rotated::Repeat { .. } => {
                    return Ok(prepared.response);
                }
                Rotated::Reuse => return Err(RefreshFailure::Reuse.into()),
            }
        }
        Err(Problem::busy(1))
    }

    /// Everything that can fail, before the one commit.
    async fn prepare_refresh(
        &self,
        client: &AuthenticatedClient,
        token: &KnownToken,
        shown: &ShownRefresh,
        source: &Source,
    ) -> Result<Prepared, Problem> {
        let found = self.store.find_family(&token.family).await?;
        let (family, grant) = found.ok_or(RefreshFailure::Unknown)?;
        // Ownership before anything else: another client's try must not even be judged (T5).
        if family.client != client.client.key {
            return Err(RefreshFailure::OtherClient.into());
        }
        // A family has one key all its life.
        if family.key_id != token.key_id {
            return Err(RefreshFailure::BadToken.into());
        }
        client.honours(family.auth_method)?;
        let now = self.now();
        if family.revoked || family.idle_until <= now || family.absolute_until <= now {
            return Err(RefreshFailure::Dead.into());
        }
        let scope = shown.scope.as_ref();
        let user = self.enabled(&grant.user).await?;
        let entitlement = self.entitle(&Entitling {
            stage: Stage::Refresh,
            client: &client.client,
            grant: &grant,
            user: &user,
            wanted: scope,
            resources: &shown.resource,
            now,
        })?;
        let life = entitlement.power.refresh.ok_or(RefreshFailure::Dead)?;
        let mut response = self.mint(&Minting {
            client: &client.client,
            grant: Some(&grant),
            resource: &grant.resource,
            scopes: &entitlement.scopes,
            life: entitlement.power.access_ttl,
            nonce: None,
            now,
        })?;
        // QUIRK-34: an answer without one means "keep the old one" (RT-03).
        if family.rotates {
            let next = token.generation.saturating_add(1);
            response.refresh_token = Some(self.refresh_token(family.key_id, &family.id, next)?);
        }
        let rotation = Rotation {
            family: family.id,
            client: client.client.key,
            generation: token.generation,
            grant_version: grant.version,
            idle_until: now.plus(life.idle).min(family.absolute_until),
            grace_seconds: self.live().settings.refresh_grace_seconds,
            assertion: None,
            now,
            audit: AuditEntry {
                at: now,
                event: Event::RefreshReuse,
                actor: Actor::Client(client.client.key),
                client: Some(client.client.key),
                grant: Some(grant.id.clone()),
                source: Some(source.prefix()),
                detail: format!("generation {} of {}", token.generation, family.generation),
            },
        };
        Ok(Prepared {
            response,
            rotates: family.rotates,
            rotation,
        })
    }

    /// Spell the token of a generation.
    pub(crate) fn refresh_token(
        &self,
        key_id: u16,
        family: &FamilyId,
        generation: u64,
    ) -> Result<String, Problem> {
        let live = self.live();
        refresh_token::encode(
            &live.keys.ring,
            KeyId(key_id),
            family.as_bytes(),
            generation,
        )
        .ok_or_else(|| {
            tracing::error!(key_id, "the key of a refresh family is gone");
            Problem::fault()
        })
    }

    /// Read a refresh token; `None` unless we made it.
    pub(crate) fn read_refresh_token(&self, text: &str) -> Option<KnownToken> {
        let opened = refresh_token::decode(&self.live().keys.ring, text).ok()?;
        Some(KnownToken {
            family: FamilyId::new(opened.family),
            generation: opened.generation,
            key_id: opened.kid.0,
        })
    }
}
