//! A code becomes tokens (RFC 6749 §4.1.3, RFC 7636 §4.6).
//!
//! Same client, same redirect URI, right verifier, no other resource: only then is the code spent,
//! so that nobody but its client can burn it (T3, T4). One guarded update decides who was first;
//! a second, otherwise valid redemption revokes what the first one got (AC-05, AC-06).

use vestibule_policy::Stage;
use vestibule_protocol::{
    audit::{Actor, Event},
    client_metadata::AuthMethod,
    ids::{CodeHash, FamilyId, GrantId},
    pkce::CodeVerifier,
    resource_indicator::ResourceUri,
    secret::Secret,
    time::Timestamp,
    token_response::TokenResponse,
};
use vestibule_store::{
    AuditEntry,
    grants::{Code, CodeSpending, Grant, NewFamily, Spent},
};

use crate::{
    Engine, Problem, Source,
    client_auth::{AuthenticatedClient, assertion_answer},
    issue::{Entitlement, Entitling, Minting, invalid_grant},
    refresh::FIRST_GENERATION,
};

/// What a client shows to redeem a code.
pub(crate) struct ShownCode {
    pub(crate) code: Secret<String>,
    pub(crate) redirect_uri: Option<String>,
    pub(crate) verifier: Option<Secret<String>>,
    pub(crate) resource: Vec<ResourceUri>,
}

/// Why a code was not exchanged. `Display` is for our log; the client hears `invalid_grant`.
#[derive(Debug, thiserror::Error)]
enum RedeemFailure {
    #[error("the code is too old, or its grant was revoked")]
    Expired,
    #[error("the code was issued to another client")]
    OtherClient,
    #[error("redirect_uri is not the one of the authorization request")]
    OtherRedirect,
    #[error("the code of grant {0:?} was spent a moment ago")]
    Raced(GrantId),
    #[error("the code was spent before; grant {0:?} is now revoked")]
    Replayed(GrantId),
    #[error("no such code")]
    Unknown,
    #[error("code_verifier does not answer the code_challenge")]
    WrongVerifier,
}

impl From<RedeemFailure> for Problem {
    fn from(failure: RedeemFailure) -> Self {
        tracing::info!(%failure, "a code was not exchanged");
        invalid_grant()
    }
}

impl Engine {
    pub(crate) async fn redeem(
        &self,
        mut client: AuthenticatedClient,
        shown: ShownCode,
        source: &Source,
    ) -> Result<TokenResponse, Problem> {
        let hash = CodeHash::new(vestibule_seal::sha256(shown.code.expose().as_bytes()));
        let found = self.store.find_code(&hash).await?;
        let (code, grant) = found.ok_or(RedeemFailure::Unknown)?;
        belongs(&code, &client, &shown)?;
        // Who pushed the request with a key does not get by without it now (CIMD-65, T26).
        if let Some(bound) = code.auth_method {
            client.honours(bound)?;
        }
        if let Some(at) = code.spent_at {
            // A spent code stays spent, so this read may decide; nothing is signed for a replay.
            return Err(self
                .answer_replay(&client, &code.grant, at, source)
                .await?
                .into());
        }
        let now = self.now();
        if code.expires_at <= now {
            return Err(RedeemFailure::Expired.into());
        }
        let blocked = &self.live_now().standings;
        if blocked.redirect_is_blocked(&code.redirect_uri, now) {
            return Err(invalid_grant());
        }
        let user = self.enabled(&grant.user).await?;
        let entitlement = self.entitle(&Entitling {
            stage: Stage::Grant,
            client: &client.client,
            grant: &grant,
            user: &user,
            wanted: None,
            resources: &shown.resource,
            now,
        })?;
        let family = self.new_family(&client, &grant, &entitlement, now);
        let mut response = self.mint(&Minting {
            client: &client.client,
            grant: Some(&grant),
            resource: &grant.resource,
            scopes: &entitlement.scopes,
            life: entitlement.power.access_ttl,
            nonce: code.nonce.as_deref(),
            now,
        })?;
        response.refresh_token = match &family {
            Some(family) => {
                Some(self.refresh_token(family.key_id, &family.id, FIRST_GENERATION)?)
            }
            None => None,
        };
        let spending = CodeSpending {
            hash,
            auth_method: client.method,
            family,
            assertion: self.assertion_for_verb(&mut client)?,
            now,
            audit: audit(&client, &grant.id, Event::CodeRedeemed, source, now),
        };
        match self.store.spend_code(spending).await? {
            Spent::AssertionRefused(outcome) => {
                assertion_answer(outcome)?;
                Err(invalid_grant())
            }
            Spent::Before(grant, at) => Err(self
                .answer_replay(&client, &grant, at, source)
                .await?
                .into()),
            Spent::Expired => Err(RedeemFailure::Expired.into()),
            Spent::Now(_) => Ok(response),
            Spent::Unknown => Err(RedeemFailure::Unknown.into()),
        }
    }

    /// A code came a second time, with everything right. Within a moment it is the same client
    /// asking again (AC-06); later somebody has stolen it, and all that came of it ends.
    async fn answer_replay(
        &self,
        client: &AuthenticatedClient,
        grant: &GrantId,
        spent_at: Timestamp,
        source: &Source,
    ) -> Result<RedeemFailure, Problem> {
        let now = self.now();
        if now.since(spent_at) <= self.config.code_replay_grace {
            return Ok(RedeemFailure::Raced(grant.clone()));
        }
        let audit = audit(client, grant, Event::CodeReplayed, source, now);
        self.store.revoke_grant(grant, audit).await?;
        Ok(RedeemFailure::Replayed(grant.clone()))
    }

    /// The refresh family that goes with the grant, for a client that registered the grant type,
    /// asked for `offline_access` or not (QUIRK-33).
    fn new_family(
        &self,
        client: &AuthenticatedClient,
        grant: &Grant,
        entitlement: &Entitlement,
        now: Timestamp,
    ) -> Option<NewFamily> {
        let life = entitlement.power.refresh?;
        if !client.client.metadata.grant_types.refresh_token {
            return None;
        }
        let absolute_until = now.plus(life.absolute).min(grant.absolute_until);
        Some(NewFamily {
            id: FamilyId::new(self.random()),
            key_id: self.live().keys.ring.active_id().0,
            // RT-02, RT-03: what proves itself by a key or a secret need not rotate.
            rotates: client.method == AuthMethod::None,
            idle_until: now.plus(life.idle).min(absolute_until),
            absolute_until,
        })
    }
}

/// Is this the client, the redirect and the person's browser that the code was made for?
fn belongs(
    code: &Code,
    client: &AuthenticatedClient,
    shown: &ShownCode,
) -> Result<(), RedeemFailure> {
    if code.client != client.client.key {
        return Err(RedeemFailure::OtherClient);
    }
    // RU-10: with the actual port. OAuth 2.1 clients leave it out.
    if shown
        .redirect_uri
        .as_ref()
        .is_some_and(|uri| *uri != code.redirect_uri)
    {
        return Err(RedeemFailure::OtherRedirect);
    }
    // PKCE-05: missing, malformed and wrong are one answer.
    let verifier = shown
        .verifier
        .as_ref()
        .and_then(|text| CodeVerifier::parse(text.expose()).ok());
    match verifier {
        Some(verifier) if code.challenge.accepts(&verifier) => Ok(()),
        Some(_) | None => Err(RedeemFailure::WrongVerifier),
    }
}

fn audit(
    client: &AuthenticatedClient,
    grant: &GrantId,
    event: Event,
    source: &Source,
    now: Timestamp,
) -> AuditEntry {
    AuditEntry {
        at: now,
        event,
        actor: Actor::Client(client.client.key),
        client: Some(client.client.key),
        grant: Some(grant.clone()),
        source: Some(source.prefix()),
        detail: String::new(),
    }
}
