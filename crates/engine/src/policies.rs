//! Policies as an admin changes them: check, save, look back, try on what was decided before.
//!
//! A text is saved only if it compiles by the save-time rules (design-details A.1), so what is
//! stored can decide; each save is a version with its author, and a rollback is a save of an old
//! text. This node follows at once, the others within a second.
//!
//! Not here: the language (`policy`), the commands and pages that call this.

use std::sync::Arc;

use vestibule_policy::{
    Change, Policies, PolicyProblem, PowerTable, compare, facts::Facts, facts_json, preset_text,
};
use vestibule_protocol::{
    audit::{Actor, Event},
    client_id::ClientKey,
    time::Timestamp,
    trust::Preset,
};
use vestibule_store::{
    StoreError,
    versions::{Document, VersionRow, Versioned},
};

use crate::{Engine, SettingsChange, SettingsError};

/// Decisions read at a time.
const PAGE: usize = 1_000;

/// Why policies were not saved.
#[derive(Debug, thiserror::Error)]
pub enum SavePolicyError {
    /// They break the rules; nothing was saved.
    #[error("the policies were not saved: {} problems", .0.len())]
    Problems(Vec<PolicyProblem>),
    /// Somebody else saved meanwhile.
    #[error("the policies changed meanwhile; read them again")]
    Stale,
    /// The power table that goes with a preset was not taken.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The store failed.
    #[error("the store failed: {0}")]
    Store(#[from] StoreError),
}

/// A decision that would be another one.
#[derive(Clone, Debug)]
pub struct ReplayedChange {
    /// When it was taken.
    pub at: Timestamp,
    /// About whom.
    pub client: ClientKey,
    /// The name and host that were known.
    pub who: String,
    /// What it would be, and why.
    pub change: Change,
}

/// What policies would have decided.
#[derive(Clone, Debug, Default)]
pub struct Replay {
    /// Decisions looked at.
    pub looked_at: usize,
    /// Of these, ones that this release cannot read.
    pub unreadable: usize,
    /// Which would be different, newest first.
    pub changes: Vec<ReplayedChange>,
}

impl Engine {
    /// The policies in force, compiled.
    pub fn policies(&self) -> Arc<Policies> {
        Arc::clone(&self.live().policies.used)
    }

    /// Their text with its sequence; the shipped `balanced` with 0 while nobody saved any.
    pub async fn policy_text(&self) -> Result<Versioned, StoreError> {
        let stored = self.store.load_document(Document::Policy).await?;
        if stored.seq > 0 {
            return Ok(stored);
        }
        Ok(Versioned {
            seq: 0,
            text: preset_text(Preset::Balanced).to_owned(),
        })
    }

    /// Save a text as the next version after `seq`; returns its own.
    pub async fn save_policy(
        &self,
        text: &str,
        seq: u64,
        why: &str,
        actor: Actor,
    ) -> Result<u64, SavePolicyError> {
        Policies::compile(text).map_err(SavePolicyError::Problems)?;
        let audit = self.audit(Event::PolicyChanged, actor, None, why.to_owned());
        let saved = self
            .store
            .save_document(Document::Policy, seq, text, audit)
            .await?;
        let saved = saved.ok_or(SavePolicyError::Stale)?;
        self.follow().await?;
        Ok(saved)
    }

    /// Take over a shipped preset: its power table, then its policies.
    pub async fn use_preset(&self, preset: Preset, actor: Actor) -> Result<u64, SavePolicyError> {
        let table = SettingsChange::Power(Box::new(PowerTable::preset(preset)));
        let seq = self.settings().seq;
        self.change_settings(table, seq, actor.clone()).await?;
        let stored = self.store.load_document(Document::Policy).await?;
        let why = format!("the preset {}", preset.as_str());
        self.save_policy(preset_text(preset), stored.seq, &why, actor)
            .await
    }

    /// Versions of a document, newest first.
    pub async fn versions(
        &self,
        document: Document,
        rows_max: usize,
    ) -> Result<Vec<VersionRow>, StoreError> {
        self.store.document_versions(document, rows_max).await
    }

    /// The text of one version; 0 is the shipped `balanced`.
    pub async fn policy_version(&self, seq: u64) -> Result<Option<String>, StoreError> {
        if seq == 0 {
            return Ok(Some(preset_text(Preset::Balanced).to_owned()));
        }
        self.store.document_version(Document::Policy, seq).await
    }

    /// What `new` would have decided about what was decided before, `rows_max` decisions back.
    pub async fn replay(&self, new: &Policies, rows_max: usize) -> Result<Replay, StoreError> {
        let current = self.policies();
        let mut replay = Replay::default();
        let mut before = None;
        while replay.looked_at < rows_max {
            let page = PAGE.min(rows_max - replay.looked_at);
            let rows = self.store.decisions(before, page).await?;
            let Some((oldest, _)) = rows.last() else {
                break;
            };
            before = Some(*oldest);
            for (_, row) in rows {
                replay.looked_at += 1;
                let Some(facts) = read_facts(&row.facts) else {
                    replay.unreadable += 1;
                    continue;
                };
                if let Some(change) = compare(&current, new, &facts) {
                    let who = facts.client.host.clone();
                    replay.changes.push(ReplayedChange {
                        at: row.at,
                        client: row.client,
                        who: who.unwrap_or_else(|| facts.client.software.clone()),
                        change,
                    });
                }
            }
        }
        Ok(replay)
    }
}

fn read_facts(text: &str) -> Option<Facts> {
    let value = serde_json::from_str(text).ok()?;
    facts_json::from_json(&value).ok()
}
