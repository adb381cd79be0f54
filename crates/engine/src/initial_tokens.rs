//! Initial access tokens (RFC 7591 §3): made by an admin, shown once, bounded by count and time,
//! clamped.

use std::time::Duration;

use vestibule_protocol::{
    audit::{Actor, Event},
    scope::ScopeSet,
    secret::Secret,
};
use vestibule_seal::sha256;
use vestibule_store::{StoreError, settings::InitialToken};

use crate::Engine;

/// What an admin chooses.
#[derive(Clone, Debug)]
pub struct NewInitialToken {
    /// For the admin's list.
    pub note: String,
    /// Registrations that it is good for.
    pub uses: u32,
    /// How long.
    pub life: Duration,
    /// Scopes that may be registered and ever granted; `None` for any.
    pub scopes: Option<ScopeSet>,
    /// Redirect hosts that may be registered; empty for any.
    pub redirect_hosts: Vec<String>,
    /// Whether clients may act for themselves.
    pub client_credentials: bool,
}

impl Engine {
    /// Make a token; it is shown once.
    pub async fn issue_initial_token(
        &self,
        new: NewInitialToken,
        actor: Actor,
    ) -> Result<Secret<String>, StoreError> {
        let token = self.random_token("vit_");
        let now = self.now();
        let detail = format!("{} uses: {}", new.uses, new.note);
        let row = InitialToken {
            hash: sha256(token.expose().as_bytes()),
            note: new.note,
            uses_left: new.uses,
            expires_at: now.plus(new.life),
            scopes: new.scopes.as_ref().map(ToString::to_string),
            redirect_hosts: new.redirect_hosts,
            client_credentials: new.client_credentials,
            created_at: now,
        };
        let audit = self.audit(Event::InitialTokenMade, actor, None, detail);
        self.store.add_initial_token(row, audit).await?;
        Ok(token)
    }

    /// Take one back, by the start of its hash.
    pub async fn remove_initial_token(
        &self,
        hash_prefix: &str,
        actor: Actor,
    ) -> Result<bool, StoreError> {
        let audit = self.audit(
            Event::InitialTokenRemoved,
            actor,
            None,
            hash_prefix.to_owned(),
        );
        self.store.remove_initial_token(hash_prefix, audit).await
    }
}
