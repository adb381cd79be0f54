//! [`Facts`] as JSON: for the log of decision inputs, for replays, and for test files of policies.
//!
//! Strict: an unknown name, an unknown word or another version is refused, since a fact that is
//! misread is a decision that is wrong. The mirrors are private, so that a change of [`Facts`] is
//! not silently a change of what is stored.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use vestibule_protocol::trust::{Door, RedirectShape, Signal, Standing, UserAgentKind};

use crate::facts::{ClientFacts, Facts, SourceFacts};

/// Of the form below.
const VERSION: u32 = 1;

/// Why a JSON text is no record of facts.
#[derive(Debug, thiserror::Error)]
pub enum FactsError {
    /// Not the form; says where.
    #[error("{0}")]
    Form(#[from] serde_json::Error),
    /// Written by a release that knows more than this one.
    #[error("version {0} of a facts record is not known here")]
    Version(u32),
    /// Not a word of the attribute.
    #[error("`{word}` is no value of `{attribute}`")]
    Word {
        /// Whose.
        attribute: &'static str,
        /// What was there.
        word: String,
    },
}

/// Facts as one JSON object.
pub fn to_json(facts: &Facts) -> serde_json::Value {
    serde_json::json!(FactsRecord::from(facts))
}

/// Facts from such an object.
///
/// # Errors
///
/// It is not one, or not of a version that this release reads.
pub fn from_json(value: &serde_json::Value) -> Result<Facts, FactsError> {
    let record = FactsRecord::deserialize(value)?;
    if record.version != VERSION {
        return Err(FactsError::Version(record.version));
    }
    Ok(Facts {
        client: record.client.try_into()?,
        source: record.source.try_into()?,
        score: record.score,
        missing: words("missing", &record.missing, Signal::parse)?,
    })
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct FactsRecord {
    version: u32,
    client: ClientRecord,
    source: SourceRecord,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    score: Option<u32>,
    missing: Vec<String>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "mirrors the facts")]
struct ClientRecord {
    id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    door: String,
    software: String,
    standing: String,
    confidential: bool,
    catalogued: bool,
    redirects: Vec<String>,
    days_known: u32,
    people: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lookalike_of: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    claims: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    homograph_of: Option<String>,
    mixed_script: bool,
    quality: u32,
    foreign_urls: bool,
    reports: u32,
    changes_30d: u32,
    domain_proved: bool,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct SourceRecord {
    ip: IpAddr,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    asn: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    country: Option<String>,
    listed: bool,
    bad_reputation: bool,
    vendor_egress: bool,
    registrations_last_hour: u32,
    software_last_hour: u32,
    user_agent: String,
}

impl From<&Facts> for FactsRecord {
    fn from(facts: &Facts) -> Self {
        let Facts {
            client,
            source,
            score,
            missing,
        } = facts;
        Self {
            version: VERSION,
            client: client.into(),
            source: source.into(),
            score: *score,
            missing: missing
                .iter()
                .map(|signal| signal.as_str().to_owned())
                .collect(),
        }
    }
}

impl From<&ClientFacts> for ClientRecord {
    fn from(client: &ClientFacts) -> Self {
        let client = client.clone();
        let redirects = client.redirects.iter();
        Self {
            id: client.id,
            host: client.host,
            door: client.door.as_str().to_owned(),
            software: client.software,
            standing: client.standing.as_str().to_owned(),
            confidential: client.confidential,
            catalogued: client.catalogued,
            redirects: redirects.map(|shape| shape.as_str().to_owned()).collect(),
            days_known: client.days_known,
            people: client.people,
            lookalike_of: client.lookalike_of,
            claims: client.claims,
            homograph_of: client.homograph_of,
            mixed_script: client.mixed_script,
            quality: client.quality,
            foreign_urls: client.foreign_urls,
            reports: client.reports,
            changes_30d: client.changes_30d,
            domain_proved: client.domain_proved,
        }
    }
}

impl TryFrom<ClientRecord> for ClientFacts {
    type Error = FactsError;

    fn try_from(record: ClientRecord) -> Result<Self, FactsError> {
        Ok(Self {
            id: record.id,
            host: record.host,
            door: word("door", &record.door, Door::parse)?,
            software: record.software,
            standing: word("standing", &record.standing, Standing::parse)?,
            confidential: record.confidential,
            catalogued: record.catalogued,
            redirects: words("redirects", &record.redirects, RedirectShape::parse)?,
            days_known: record.days_known,
            people: record.people,
            lookalike_of: record.lookalike_of,
            claims: record.claims,
            homograph_of: record.homograph_of,
            mixed_script: record.mixed_script,
            quality: record.quality,
            foreign_urls: record.foreign_urls,
            reports: record.reports,
            changes_30d: record.changes_30d,
            domain_proved: record.domain_proved,
        })
    }
}

impl From<&SourceFacts> for SourceRecord {
    fn from(source: &SourceFacts) -> Self {
        Self {
            ip: source.ip,
            asn: source.asn,
            country: source.country.clone(),
            listed: source.listed,
            bad_reputation: source.bad_reputation,
            vendor_egress: source.vendor_egress,
            registrations_last_hour: source.registrations_last_hour,
            software_last_hour: source.software_last_hour,
            user_agent: source.user_agent.as_str().to_owned(),
        }
    }
}

impl TryFrom<SourceRecord> for SourceFacts {
    type Error = FactsError;

    fn try_from(record: SourceRecord) -> Result<Self, FactsError> {
        Ok(Self {
            ip: record.ip,
            asn: record.asn,
            country: record.country,
            listed: record.listed,
            bad_reputation: record.bad_reputation,
            vendor_egress: record.vendor_egress,
            registrations_last_hour: record.registrations_last_hour,
            software_last_hour: record.software_last_hour,
            user_agent: word("user_agent", &record.user_agent, UserAgentKind::parse)?,
        })
    }
}

fn word<T>(
    attribute: &'static str,
    word: &str,
    parse: fn(&str) -> Option<T>,
) -> Result<T, FactsError> {
    parse(word).ok_or_else(|| FactsError::Word {
        attribute,
        word: word.to_owned(),
    })
}

fn words<T, All: FromIterator<T>>(
    attribute: &'static str,
    all: &[String],
    parse: fn(&str) -> Option<T>,
) -> Result<All, FactsError> {
    all.iter()
        .map(|each| word(attribute, each, parse))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::samples;

    proptest! {
        #[test]
        fn facts_survive_the_log(facts in samples::any_facts()) {
            let text = to_json(&facts).to_string();
            let value: Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(from_json(&value).unwrap(), facts);
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        type Spoil = fn(&mut Value);
        let cases: [(Spoil, &str); 5] = [
            (
                |v| v["version"] = json!(2),
                "version 2 of a facts record is not known here",
            ),
            (
                |v| v["client"]["door"] = json!("side"),
                "`side` is no value of `door`",
            ),
            (
                |v| v["missing"] = json!(["luck"]),
                "`luck` is no value of `missing`",
            ),
            (
                |v| v["client"]["mood"] = json!("good"),
                "unknown field `mood`",
            ),
            (|v| v["source"]["listed"] = Value::Null, "invalid type"),
        ];
        for (spoil, message) in cases {
            let mut value = to_json(&samples::newcomer());
            spoil(&mut value);
            let refused = from_json(&value).unwrap_err().to_string();
            assert!(refused.contains(message), "{refused}");
        }
    }
}
