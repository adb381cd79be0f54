//! The power table in the settings document: the stored form and the parsed one.
//!
//! Not here: what the numbers mean and which are refused (`policy::PowerTable`).

use std::time::Duration;

use serde::{Deserialize, Serialize};
use vestibule_policy::{Consent, Power, PowerTable, RefreshLife, ScopeCeiling};

/// The stored form; unknown members are an error, as everywhere in the settings.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Document {
    first_party: Row,
    verified: Row,
    known: Row,
    unverified: Row,
    unverified_raised: Row,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Row {
    scopes: String,
    access_seconds: u64,
    refresh_idle_seconds: Option<u64>,
    refresh_absolute_seconds: Option<u64>,
    consent: String,
    preticks_destructive: bool,
}

impl Row {
    fn of(power: &Power) -> Self {
        Self {
            scopes: power.scopes.as_str().to_owned(),
            access_seconds: power.access_ttl.as_secs(),
            refresh_idle_seconds: power.refresh.map(|life| life.idle.as_secs()),
            refresh_absolute_seconds: power.refresh.map(|life| life.absolute.as_secs()),
            consent: power.consent.as_str().to_owned(),
            preticks_destructive: power.preticks_destructive,
        }
    }

    fn read(&self) -> Option<Power> {
        let refresh = match (self.refresh_idle_seconds, self.refresh_absolute_seconds) {
            (Some(idle), Some(absolute)) => Some(RefreshLife {
                idle: Duration::from_secs(idle),
                absolute: Duration::from_secs(absolute),
            }),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => return None,
        };
        Some(Power {
            scopes: ScopeCeiling::parse(&self.scopes)?,
            access_ttl: Duration::from_secs(self.access_seconds),
            refresh,
            consent: Consent::parse(&self.consent)?,
            preticks_destructive: self.preticks_destructive,
        })
    }
}

impl Document {
    pub(crate) fn of(table: &PowerTable) -> Self {
        Self {
            first_party: Row::of(&table.first_party),
            verified: Row::of(&table.verified),
            known: Row::of(&table.known),
            unverified: Row::of(&table.unverified),
            unverified_raised: Row::of(&table.unverified_raised),
        }
    }

    /// `None` if this release does not know a word of it, or would not serve by it.
    pub(crate) fn read(&self) -> Option<PowerTable> {
        let table = PowerTable {
            first_party: self.first_party.read()?,
            verified: self.verified.read()?,
            known: self.known.read()?,
            unverified: self.unverified.read()?,
            unverified_raised: self.unverified_raised.read()?,
        };
        table.validate().is_ok().then_some(table)
    }
}

#[cfg(test)]
mod tests {
    use vestibule_protocol::trust::Preset;

    use super::*;

    #[test]
    fn a_power_table_survives_being_stored() {
        for preset in Preset::ALL {
            let table = PowerTable::preset(*preset);
            let text = serde_json::to_string(&Document::of(&table)).unwrap();
            let read: Document = serde_json::from_str(&text).unwrap();
            assert_eq!(read.read(), Some(table), "{preset:?}");
        }
    }

    #[test]
    fn a_table_that_would_not_be_served_by_is_not_read() {
        let mut document = Document::of(&PowerTable::preset(Preset::Balanced));
        document.unverified.consent = "may_remember".to_owned();
        assert_eq!(document.read(), None);
        let mut document = Document::of(&PowerTable::preset(Preset::Balanced));
        document.known.refresh_idle_seconds = None;
        assert_eq!(document.read(), None);
    }
}
