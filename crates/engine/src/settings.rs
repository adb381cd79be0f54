//! Live settings: what an admin changes while the server runs. Every node holds a snapshot that is
//! replaced within a second of a change; boot configuration only gives the first values.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use vestibule_policy::{PowerTable, signals::address_list::AddressList};
use vestibule_protocol::{
    audit::{Actor, Event},
    trust::{CimdMode, DcrMode, Preset},
};
use vestibule_store::{AuditEntry, StoreError};

use crate::Engine;

/// Longest grace for a repeated refresh (`design-details.md`, B.7).
const REFRESH_GRACE_SECONDS_MAX: u64 = 300;
/// Most exact CIMD ids in the list of the `listed` mode.
const CIMD_LISTED_MAX: usize = 10_000;
/// Most entries of the list of addresses; longer ones belong into a file.
const LISTED_SOURCES_MAX: usize = 10_000;
const RATE_MAX: u64 = 1_000_000;
const WAITING_MAX: u32 = 100_000;

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
    /// Addresses and ranges that policies see as `source.listed`.
    pub listed_sources: Vec<String>,
    /// How fast one source may come.
    pub limits: Limits,
    /// The numbers of the power table, where they are not the balanced ones.
    pub power: PowerTable,
}

/// A leaky bucket: `burst` at once, then `per_minute`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// At once.
    pub burst: u64,
    /// Afterwards.
    pub per_minute: u64,
}

/// Limits that strangers meet. Per node and forgotten at restart: a limit that a stranger can make
/// durable is growth that a stranger can cause.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Authorization requests of one address (IPv6: /64).
    pub authorize: Rate,
    /// Registrations of one address (IPv6: /64).
    pub register: Rate,
    /// Registrations of one wider prefix (IPv4 /24, IPv6 /48).
    pub register_wide: Rate,
    /// Apps of one software that may wait for an approval at a time.
    pub waiting_per_software: u32,
    /// Apps that may wait for an approval at a time.
    pub waiting: u32,
}

impl Default for Limits {
    fn default() -> Self {
        let rate = |burst, per_minute| Rate { burst, per_minute };
        Self {
            authorize: rate(120, 240),
            register: rate(60, 60),
            register_wide: rate(600, 600),
            waiting_per_software: 20,
            waiting: 1_000,
        }
    }
}

impl Limits {
    /// Which limit is out of its range.
    fn fault(&self) -> Option<&'static str> {
        let rates = [self.authorize, self.register, self.register_wide];
        if rates
            .iter()
            .any(|rate| rate.burst == 0 || rate.per_minute == 0)
        {
            return Some("a rate of zero lets nobody in: close the door instead");
        }
        if rates
            .iter()
            .any(|rate| rate.burst > RATE_MAX || rate.per_minute > RATE_MAX)
        {
            return Some("a rate is at most 1,000,000");
        }
        if self.waiting > WAITING_MAX || self.waiting_per_software > self.waiting {
            return Some("at most 100,000 may wait, and of one software no more than of all");
        }
        None
    }
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
    /// Both doors at once, as the admin page sends them.
    Doors(DcrMode, CimdMode),
    /// Replace the limits.
    Limits(Limits),
    /// Replace the list of addresses.
    ListedSources(Vec<String>),
    /// Replace the power table.
    Power(Box<PowerTable>),
    /// 0 to 300.
    RefreshGraceSeconds(u64),
}

impl SettingsChange {
    /// For the trail and the history.
    fn words(&self) -> String {
        match self {
            Self::Cimd(mode) => format!("cimd {}", mode.as_str()),
            Self::CimdListed(ids) => format!("cimd-listed {} ids", ids.len()),
            Self::Dcr(mode) => format!("dcr {}", mode.as_str()),
            Self::Doors(dcr, cimd) => format!("dcr {}, cimd {}", dcr.as_str(), cimd.as_str()),
            Self::Limits(_) => "limits".to_owned(),
            Self::ListedSources(sources) => format!("listed-sources {} entries", sources.len()),
            Self::Power(_) => "the power table".to_owned(),
            Self::RefreshGraceSeconds(seconds) => format!("refresh-grace {seconds} s"),
        }
    }
}

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// Out of range.
    #[error("{0}")]
    Invalid(Cow<'static, str>),
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
    #[serde(default)]
    listed_sources: Vec<String>,
    #[serde(default)]
    limits: Limits,
    #[serde(default)]
    power: Option<crate::power_table::Document>,
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
            listed_sources: Vec::new(),
            limits: Limits::default(),
            power: PowerTable::preset(Preset::Balanced),
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
            listed_sources: stored.listed_sources,
            limits: stored.limits,
            power: match stored.power {
                Some(document) => document.read()?,
                None => PowerTable::preset(Preset::Balanced),
            },
        })
    }

    fn write(&self) -> String {
        let document = Document {
            dcr: self.dcr.as_str().to_owned(),
            cimd: self.cimd.as_str().to_owned(),
            cimd_listed: self.cimd_listed.clone(),
            refresh_grace_seconds: self.refresh_grace_seconds,
            listed_sources: self.listed_sources.clone(),
            limits: self.limits,
            power: (self.power != PowerTable::preset(Preset::Balanced))
                .then(|| crate::power_table::Document::of(&self.power)),
        };
        serde_json::to_string(&document).unwrap_or_default()
    }

    fn with(mut self, change: SettingsChange) -> Result<Self, SettingsError> {
        match change {
            SettingsChange::Cimd(mode) => self.cimd = mode,
            SettingsChange::CimdListed(ids) if ids.len() > CIMD_LISTED_MAX => {
                return Err(invalid("at most 10,000 ids can be listed"));
            }
            SettingsChange::CimdListed(ids) => self.cimd_listed = ids,
            SettingsChange::Dcr(mode) => self.dcr = mode,
            SettingsChange::Doors(dcr, cimd) => (self.dcr, self.cimd) = (dcr, cimd),
            SettingsChange::Limits(limits) => {
                if let Some(fault) = limits.fault() {
                    return Err(invalid(fault));
                }
                self.limits = limits;
            }
            SettingsChange::ListedSources(sources) => {
                if sources.len() > LISTED_SOURCES_MAX {
                    return Err(invalid(
                        "at most 10,000 addresses can be listed; use a file",
                    ));
                }
                AddressList::parse(&sources.join("\n"))
                    .map_err(|fault| SettingsError::Invalid(fault.to_string().into()))?;
                self.listed_sources = sources;
            }
            SettingsChange::Power(table) => {
                table
                    .validate()
                    .map_err(|fault| SettingsError::Invalid(fault.to_string().into()))?;
                self.power = *table;
            }
            SettingsChange::RefreshGraceSeconds(seconds) => {
                if seconds > REFRESH_GRACE_SECONDS_MAX {
                    return Err(invalid("the refresh grace is 0 to 300 seconds"));
                }
                self.refresh_grace_seconds = seconds;
            }
        }
        Ok(self)
    }
}

fn invalid(why: &'static str) -> SettingsError {
    SettingsError::Invalid(why.into())
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
        let detail = change.words();
        let next = current.with(change)?;
        let audit = AuditEntry {
            at: self.now(),
            event: Event::SettingsChanged,
            actor,
            client: None,
            grant: None,
            source: None,
            detail,
        };
        let saved = self.store.save_settings(seq, &next.write(), audit).await?;
        let saved = saved.ok_or(SettingsError::Stale)?;
        self.follow().await?;
        Ok(saved)
    }

    /// Save the settings of an old version anew; returns the new sequence.
    pub async fn restore_settings(
        &self,
        version: u64,
        seq: u64,
        actor: Actor,
    ) -> Result<u64, SettingsError> {
        let text = self
            .store
            .document_version(vestibule_store::versions::Document::Settings, version)
            .await?
            .ok_or_else(|| invalid("there is no such version, or it is not kept any more"))?;
        let old = Settings::read(seq, &text)
            .ok_or_else(|| invalid("this release cannot read that version"))?;
        let detail = format!("back to version {version}");
        let audit = self.audit(Event::SettingsChanged, actor, None, detail);
        let saved = self.store.save_settings(seq, &old.write(), audit).await?;
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
