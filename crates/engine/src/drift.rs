//! Documents that change after consent (threats R10, CIMD-77): each use compares the document with
//! the stored snapshot, and a look from time to time watches those with live grants.
//!
//! | What changed                                  | What follows                              |
//! |-----------------------------------------------|-------------------------------------------|
//! | redirect URIs, authentication, keys without an overlap | remembered consent ends; asked again |
//! | keys that overlap, the rest                   | noted, and shown at the next consent      |
//!
//! Grants stay: a code was bound to the metadata that it was given under, and a refresh family to the
//! method that opened it (CIMD-77). Not here: what counts as a change (`policy::signals::stability`).

use std::{sync::Arc, time::Duration};

use vestibule_cimd::ResolveError;
use vestibule_policy::signals::stability::{self, Change};
use vestibule_protocol::{
    audit::{Actor, Event},
    client_id::ClientKey,
    client_id_url::ClientIdUrl,
    client_metadata::ClientMetadata,
    time::Timestamp,
    trust::Door,
};
use vestibule_store::{
    StoreError,
    clients::ClientLookup,
    documents::{DocumentChange, DocumentCheck, DocumentNoted},
    users::User,
};

use quick_cache::sync::Cache;

use crate::{Engine, clients::Client};

/// How long a look at an unchanged document holds.
const LOOK_HOLDS: Duration = Duration::from_hours(1);
/// Documents looked at in one round of the watch.
const LOOKS_MAX: usize = 20;
/// Changes that a consent page looks through.
const CHANGES_SHOWN_MAX: usize = 10;
/// Key of the watch's fetch budget: it is nobody's request.
const WATCH_SOURCE: u64 = u64::MAX;
/// Clients whose noted change is remembered.
const NOTED: usize = 10_000;

/// Changes that this node knows to be noted. A change of security stays one until somebody says
/// yes to it, and whoever asks meanwhile must not cause a write each.
pub(crate) struct NotedChanges(Cache<ClientKey, Noted>);

/// A change from one snapshot to one document.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Noted {
    from: Timestamp,
    to: [u8; 32],
    /// When the store said so: another node may have seen the document otherwise since.
    at: Timestamp,
}

impl NotedChanges {
    pub(crate) fn new() -> Self {
        Self(Cache::new(NOTED))
    }

    fn holds(&self, client: &Client, to: [u8; 32], now: Timestamp) -> bool {
        self.0.get(&client.key).is_some_and(|noted| {
            (noted.from, noted.to) == (client.snapshot_at, to) && now.since(noted.at) < LOOK_HOLDS
        })
    }

    fn remember(&self, client: &Client, to: [u8; 32], at: Timestamp) {
        let from = client.snapshot_at;
        self.0.insert(client.key, Noted { from, to, at });
    }
}

impl Engine {
    /// A stored client's document was read: note what changed since the snapshot.
    pub(crate) async fn watch_document(
        &self,
        client: &Client,
        today: &ClientMetadata,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let changes = stability::diff(&client.metadata, today);
        if changes.is_empty() {
            if at.since(client.snapshot_at) > LOOK_HOLDS {
                let check = DocumentCheck::Unchanged;
                self.store.touch_document(&client.key, check, at).await?;
            }
            return Ok(());
        }
        let digest = vestibule_seal::sha256(today.encode_stored().as_bytes());
        if self.noted_changes.holds(client, digest, self.now()) {
            return Ok(());
        }
        let security = stability::is_security(&changes);
        let members: Vec<&str> = changes.iter().map(|change| change.member).collect();
        let audit = self.audit(
            Event::DocumentChanged,
            Actor::System,
            Some(client.key),
            format!("its document changed: {}", members.join(", ")),
        );
        let change = DocumentChange {
            at,
            security,
            diff: kept(&changes),
            digest,
        };
        let noted = self
            .store
            .note_document(&client.key, change, today, audit)
            .await?;
        if noted == DocumentNoted::Done {
            tracing::info!(client = ?client.key, security, ?members, "a document changed");
        }
        if matches!(noted, DocumentNoted::Done | DocumentNoted::Known) {
            self.noted_changes.remember(client, digest, self.now());
        }
        Ok(())
    }

    /// What changed since this person last said yes to this client, as plain sentences.
    pub(crate) async fn changes_since(
        &self,
        client: &Client,
        user: &User,
    ) -> Result<Vec<String>, StoreError> {
        if client.door != Door::Cimd || !client.has_row() {
            return Ok(Vec::new());
        }
        let last = self.store.last_grant(&user.id, &client.key).await?;
        let Some(last) = last else {
            return Ok(Vec::new());
        };
        let changes = self
            .store
            .document_changes(&client.key, CHANGES_SHOWN_MAX)
            .await?;
        let mut sentences: Vec<String> = Vec::new();
        for change in changes.iter().filter(|change| change.at > last) {
            for sentence in kept_sentences(&change.diff) {
                if !sentences.contains(&sentence) {
                    sentences.push(sentence);
                }
            }
        }
        Ok(sentences)
    }

    /// Look at documents of clients with live grants that nobody looked at for an hour. Returns how
    /// many were looked at. Runs in the background, a few at a time.
    pub async fn watch_documents(&self) -> Result<usize, StoreError> {
        let now = self.now();
        let older_than = now.minus(LOOK_HOLDS);
        let due = self
            .store
            .documents_to_watch(now, older_than, LOOKS_MAX)
            .await?;
        for (key, client_id) in &due {
            self.look(key, client_id).await?;
        }
        Ok(due.len())
    }

    async fn look(&self, key: &ClientKey, client_id: &str) -> Result<(), StoreError> {
        let ClientLookup::Active(row) = self.store.find_client(key).await? else {
            return Ok(());
        };
        let client = Client::of_row(*row);
        let Ok(url) = ClientIdUrl::parse(client_id, &self.client_id_urls()) else {
            return Ok(());
        };
        match self.documents.document(&url, WATCH_SOURCE).await {
            Ok(document) => {
                let metadata = Arc::clone(&document.metadata);
                let at = Timestamp::from_seconds(document.fetched_at);
                self.watch_document(&client, &metadata, at).await?;
                let check = DocumentCheck::Unchanged;
                self.store.touch_document(key, check, self.now()).await?;
            }
            Err(ResolveError::Busy | ResolveError::Throttled { .. }) => {}
            Err(failure) => {
                tracing::info!(client = ?key, %failure, "a document could not be looked at");
                let check = DocumentCheck::Unreachable;
                self.store.touch_document(key, check, self.now()).await?;
            }
        }
        Ok(())
    }
}

/// What is kept of changes: each with the sentence that a person reads.
fn kept(changes: &[Change]) -> String {
    let rows = changes.iter().map(|change| {
        let mut row = change.to_json();
        if let Some(row) = row.as_object_mut() {
            row.insert("sentence".to_owned(), change.sentence().into());
        }
        row
    });
    rows.collect::<serde_json::Value>().to_string()
}

/// The sentences of what was kept.
fn kept_sentences(kept: &str) -> Vec<String> {
    let Ok(serde_json::Value::Array(rows)) = serde_json::from_str(kept) else {
        return Vec::new();
    };
    let sentence = |row: &serde_json::Value| row.get("sentence")?.as_str().map(str::to_owned);
    rows.iter().filter_map(sentence).collect()
}
