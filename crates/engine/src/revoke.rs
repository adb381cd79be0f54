//! A client gives a token back (RFC 7009).
//!
//! The answer is the same for success and for anything unknown (REV-04); only another client's
//! token is refused, and nothing happens to it (REV-05).

use vestibule_protocol::{
    audit::{Actor, Event},
    error_code::ErrorCode,
    ids::GrantId,
    time::Timestamp,
    token_request::pairs_to_form,
};
use vestibule_store::AuditEntry;

use crate::{
    Engine, Problem, Source, client_auth::AuthenticatedClient, issue::invalid_grant,
    refresh::KnownToken,
};

impl Engine {
    /// Revoke a token of the caller's.
    pub async fn revoke(
        &self,
        pairs: &[(String, String)],
        authorization: Option<&str>,
        source: &Source,
    ) -> Result<(), Problem> {
        let form = pairs_to_form(pairs)?;
        let mut caller = self.authenticate(&form, authorization, source).await?;
        let token = form
            .get("token")
            .ok_or_else(|| Problem::new(ErrorCode::InvalidRequest, "token is missing"))?;
        self.use_up_assertion(&mut caller).await?;
        // A token tells its kind; a wrong or unknown hint changes nothing (REV-03).
        match self.read_refresh_token(token) {
            Some(known) => self.revoke_refresh(&caller, &known, source).await,
            None => self.revoke_access(&caller, token, source).await,
        }
    }

    /// The whole grant ends with its refresh token (REV-06).
    async fn revoke_refresh(
        &self,
        caller: &AuthenticatedClient,
        token: &KnownToken,
        source: &Source,
    ) -> Result<(), Problem> {
        let Some((family, grant)) = self.store.find_family(&token.family).await? else {
            return Ok(());
        };
        if family.client != caller.client.key {
            return Err(invalid_grant());
        }
        caller.honours(family.auth_method)?;
        let audit = audit(caller, Some(grant.id), source, self.now());
        self.store.revoke_family(&family.id, audit).await?;
        Ok(())
    }

    /// Only this token ends, until it would have run out (REV-07).
    async fn revoke_access(
        &self,
        caller: &AuthenticatedClient,
        token: &str,
        source: &Source,
    ) -> Result<(), Problem> {
        let Some(verified) = self.verified_token(token) else {
            return Ok(());
        };
        let claims = &verified.claims;
        if claims.client_id != caller.client.client_id {
            return Err(invalid_grant());
        }
        let grant = claims.gid.as_deref().map(GrantId::new);
        let jti_hash = vestibule_seal::sha256(claims.jti.as_bytes());
        let audit = audit(caller, grant, source, self.now());
        self.store
            .revoke_token_id(jti_hash, Timestamp::from_seconds(claims.exp), audit)
            .await?;
        Ok(())
    }
}

fn audit(
    caller: &AuthenticatedClient,
    grant: Option<GrantId>,
    source: &Source,
    now: Timestamp,
) -> AuditEntry {
    AuditEntry {
        at: now,
        event: Event::TokenRevoked,
        actor: Actor::Client(caller.client.key),
        client: Some(caller.client.key),
        grant,
        source: Some(source.prefix()),
        detail: String::new(),
    }
}
