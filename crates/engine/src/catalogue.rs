//! The catalogue of known clients as an admin replaces it: only by a newer one.
//!
//! Not here: the signature of the file (the binary, by its configuration), what a catalogue says
//! (`policy::catalogue`), what follows from it (`admission`).

use std::sync::Arc;

use vestibule_policy::catalogue::{Catalogue, CatalogueError};
use vestibule_protocol::audit::{Actor, Event};
use vestibule_store::{StoreError, versions::Document};

use crate::Engine;

/// Why a catalogue was not saved.
#[derive(Debug, thiserror::Error)]
pub enum SaveCatalogueError {
    /// It is not one, or not newer than the one in use.
    #[error("the catalogue was not taken: {0}")]
    Refused(#[from] CatalogueError),
    /// Somebody else saved one meanwhile.
    #[error("the catalogue changed meanwhile; look again")]
    Stale,
    /// The store failed.
    #[error("the store failed: {0}")]
    Store(#[from] StoreError),
}

impl Engine {
    /// The catalogue in use.
    pub fn catalogue(&self) -> Arc<Catalogue> {
        Arc::clone(&self.live().catalogue.used)
    }

    /// Take over a catalogue, whose signature the caller has verified, in place of an older one.
    /// Returns it. This node follows at once, the others within a second.
    pub async fn save_catalogue(
        &self,
        json: &str,
        why: &str,
        actor: Actor,
    ) -> Result<Arc<Catalogue>, SaveCatalogueError> {
        self.follow().await?;
        let stored = self.store.load_document(Document::Catalogue).await?;
        let new = self.catalogue().update(json.as_bytes())?;
        let detail = format!("serial {}, {why}", new.serial());
        let audit = self.audit(Event::CatalogueChanged, actor, None, detail);
        let saved = self
            .store
            .save_document(Document::Catalogue, stored.seq, json, audit)
            .await?;
        saved.ok_or(SaveCatalogueError::Stale)?;
        self.follow().await?;
        Ok(self.catalogue())
    }
}
