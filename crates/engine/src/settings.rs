//! Live settings: what an admin changes while the server runs. Every node holds a snapshot that is
//! replaced within a second of a change; boot configuration only gives the first values.

use serde::{Deserialize, Serialize};
use vestibule_protocol::{
    audit::{Actor, Event},
    trust::{CimdMode, DcrMode},
};
use vestibule_store::{AuditEntry, StoreError};

use crate::Engine;

/// Longest grace for a repeated refresh (`design-details.md`, B.7).
const REFRESH_GRACE_SECONDS_MAX: u64 = 300;
/// Most exact CIMD ids in the list of the `listed` mode.
const CIMD_LISTED_MAX: usize = 10_000;

/// The settings in force.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// Sequence of the last change; 0 before the first.
    pub seq: u64,
    /// The DCR door.
    pub dcr: DcrMode,
    /// The CIMD door.
    pub cimd: CimdMode,
    /// Exact ids that the `listed` mode lets in.
    pub cimd_listed: Vec<String>,
    /// How long a repeat of the previous refresh token is answered alike.
    pub refresh_grace_seconds: u64,
}

/// One change.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SettingsChange {
    /// Open or close the CIMD door.
    Cimd(CimdMode),
    /// Replace the list of the `listed` mode.
    CimdListed(Vec<String>),
    /// Open or close the DCR door.
    Dcr(DcrMode),
    /// 0 to 300.
    RefreshGraceSeconds(u64),
}

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// Out of range.
    #[error("{0}")]
    Invalid(&'static str),
    /// Somebody else changed the settings meanwhile; read them again.
    #[error("the settings changed meanwhile")]
    Stale,
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

/// The stored form. Unknown members are an error: an older release must not drop what a newer one
/// wrote.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Document {
    dcr: String,
    cimd: String,
    #[serde(default)]
    cimd_listed: Vec<String>,
    #[serde(default = "default_grace")]
    refresh_grace_seconds: u64,
}

fn default_grace() -> u64 {
    60
}

impl Settings {
    /// The values before anybody changed one.
    pub fn first(dcr: DcrMode, cimd: CimdMode) -> Self {
        Self {
            seq: 0,
            dcr,
            cimd,
            cimd_listed: Vec::new(),
            refresh_grace_seconds: default_grace(),
        }
    }

    /// Read the stored form; `None` if this release cannot.
    pub(crate) fn read(seq: u64, document: &str) -> Option<Self> {
        let stored: Document = serde_json::from_str(document).ok()?;
        Some(Self {
            seq,
            dcr: DcrMode::parse(&stored.dcr)?,
            cimd: CimdMode::parse(&stored.cimd)?,
            cimd_listed: stored.cimd_listed,
            refresh_grace_seconds: stored.refresh_grace_seconds.min(REFRESH_GRACE_SECONDS_MAX),
        })
    }

    fn write(&self) -> String {
        let document = Document {
            dcr: self.dcr.as_str().to_owned(),
            cimd: self.cimd.as_str().to_owned(),
            cimd_listed: self.cimd_listed.clone(),
            refresh_grace_seconds: self.refresh_grace_seconds,
        };
        serde_json::to_string(&document).unwrap_or_default()
    }

    fn with(mut self, change: SettingsChange) -> Result<Self, SettingsError> {
        match change {
            SettingsChange::Cimd(mode) => self.cimd = mode,
            SettingsChange::CimdListed(ids) if ids.len() > CIMD_LISTED_MAX => {
                return Err(SettingsError::Invalid("at most 10,000 ids can be listed"));
            }
            SettingsChange::CimdListed(ids) => self.cimd_listed = ids,
            SettingsChange::Dcr(mode) => self.dcr = mode,
            SettingsChange::RefreshGraceSeconds(seconds) => {
                if seconds > REFRESH_GRACE_SECONDS_MAX {
                    return Err(SettingsError::Invalid(
                        "the refresh grace is 0 to 300 seconds",
                    ));
                }
                self.refresh_grace_seconds = seconds;
            }
        }
        Ok(self)
    }
}

impl Engine {
    /// Make one change to the settings as they were at `seq`; returns the new sequence. This node
    /// follows at once, the others within a second.
    pub async fn change_settings(
        &self,
        change: SettingsChange,
        seq: u64,
        actor: Actor,
    ) -> Result<u64, SettingsError> {
        let current = self.live().settings.clone();
        if current.seq != seq {
            return Err(SettingsError::Stale);
        }
        let detail = format!("{change:?}");
        let next = current.with(change)?;
        let audit = AuditEntry {
            at: self.now(),
            event: Event::SettingsChanged,
            actor,
            client: None,
            grant: None,
            source: None,
            detail: detail.chars().take(300).collect(),
        };
        let saved = self.store.save_settings(seq, &next.write(), audit).await?;
        let saved = saved.ok_or(SettingsError::Stale)?;
        self.follow().await?;
        Ok(saved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_survive_being_stored() {
        let mut settings = Settings::first(DcrMode::Token, CimdMode::Listed);
        settings.cimd_listed = vec!["https://app.example/client.json".to_owned()];
        settings.refresh_grace_seconds = 5;
        assert_eq!(Settings::read(0, &settings.write()), Some(settings));
    }

    #[test]
    fn what_a_newer_release_wrote_is_not_dropped_in_silence() {
        assert_eq!(
            Settings::read(1, r#"{"dcr":"open","cimd":"open","new":1}"#),
            None
        );
        assert_eq!(Settings::read(1, r#"{"dcr":"ajar","cimd":"open"}"#), None);
        assert_eq!(Settings::read(1, ""), None);
    }

    #[test]
    fn the_grace_is_bounded() {
        let settings = Settings::first(DcrMode::Open, CimdMode::Open);
        assert!(
            settings
                .clone()
                .with(SettingsChange::RefreshGraceSeconds(300))
                .is_ok()
        );
        assert!(
            settings
                .with(SettingsChange::RefreshGraceSeconds(301))
                .is_err()
        );
    }
}
