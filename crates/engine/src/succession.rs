//! From registered clones to one document client: an admin says which software has a document now.
//!
//! A link moves nothing by itself: each person's grants move with their own next yes to the new
//! client (`consent`).
//!
//! Not here: which software that is (an admin's decision; the catalogue only suggests), the move
//! (`store::GrantStore::approve`).

use vestibule_protocol::{
    audit::{Actor, Event},
    client_id::ClientKey,
    client_id_url::ClientIdUrl,
    trust::Door,
};
use vestibule_store::{
    StoreError,
    supersessions::{PREDECESSORS_MAX, Superseded},
};

use crate::Engine;

/// Why clients were not linked.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// Only a document client can take the place of registered ones.
    #[error("`{0}` is not the URL of a client metadata document")]
    NotADocument(String),
    /// Nobody registered under it.
    #[error("no stored client registered itself as the software `{0}`")]
    NoClients(String),
    /// The new client would have too many predecessors.
    #[error("one client can take the place of at most {PREDECESSORS_MAX} others")]
    Full,
    /// The store failed.
    #[error("the store failed: {0}")]
    Store(#[from] StoreError),
}

impl Engine {
    /// Link everything that registered itself under a software to the document client that takes
    /// its place; returns how many. A person's grants move when that person approves the new one.
    pub async fn link_successor(
        &self,
        software: &str,
        client_id: &str,
        actor: Actor,
    ) -> Result<usize, LinkError> {
        if ClientIdUrl::parse(client_id, &self.client_id_urls()).is_err() {
            return Err(LinkError::NotADocument(client_id.to_owned()));
        }
        // One more than can be linked, so that too many are noticed.
        let clients = self
            .store
            .clients_of_software(software, PREDECESSORS_MAX + 1);
        let clients = clients.await?;
        let old: Vec<ClientKey> = clients
            .iter()
            .filter(|client| client.door == Door::Dcr)
            .map(|client| client.key)
            .collect();
        if old.is_empty() {
            return Err(LinkError::NoClients(software.to_owned()));
        }
        let audit = self.audit(
            Event::ClientSuperseded,
            actor,
            Some(ClientKey::of(client_id)),
            format!("{} clients of {software}", old.len()),
        );
        let linked = self
            .store
            .put_supersession(software, &old, client_id, audit)
            .await?;
        match linked {
            Superseded::Done => Ok(old.len()),
            Superseded::Full => Err(LinkError::Full),
        }
    }

    /// Take the links to a client away; what moved stays moved. Returns whether there were any.
    pub async fn unlink_successor(
        &self,
        client_id: &str,
        actor: Actor,
    ) -> Result<bool, StoreError> {
        let key = Some(ClientKey::of(client_id));
        let detail = "links taken away".to_owned();
        let audit = self.audit(Event::SupersessionRemoved, actor, key, detail);
        self.store.remove_supersession(client_id, audit).await
    }
}
