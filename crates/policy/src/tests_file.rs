//! Test files of policies: what a set should decide, in TOML, beside the policies that it is about.
//!
//! ```toml
//! [[case]]
//! name   = "a look-alike only looks"
//! client = { lookalike_of = "Known Agent" }        # the rest is an unremarkable newcomer's
//! source = { country = "NZ" }
//! score  = 10
//! missing = ["asn"]
//! expect = { trust = "unverified", risk = "raised", read_only = true, friction = "warn", fired = ["name-lookalike"], scopes = { write = "refused" } }
//! ```
//!
//! What `expect` does not name is not looked at. `fired` are all flags that fire, `register`,
//! `appear` and `scopes` (by access class, when a grant is made) are `permitted` or `refused`.
//!
//! Not here: reading files.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};
use vestibule_protocol::{
    scope::{Access, Scope, ScopeSpec},
    trust::{Door, Preset, RedirectShape, Standing, UserAgentKind},
};

use crate::{
    cedar::{Arrival, Ceiling, Person, Policies, Principal, ScopeAsked, Stage},
    decision::Assessment,
    facts::{ClientFacts, Facts, SourceFacts},
    facts_json::{self, FactsError},
    power::{PowerTable, ScopeCeiling},
};

/// What became of one case.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CaseResult {
    /// Its `name`.
    pub name: String,
    /// What is not as expected; empty where all is.
    pub differences: Vec<String>,
}

/// Why a file could not be run.
#[derive(Debug, thiserror::Error)]
pub enum TestsFileError {
    /// A case names facts that are none.
    #[error("case `{case}`: {error}")]
    Facts {
        /// Its `name`.
        case: String,
        /// What is wrong with them.
        error: FactsError,
    },
    /// A case expects what cannot be.
    #[error("case `{case}`: `{word}` is no value of `{attribute}`")]
    Word {
        /// Its `name`.
        case: String,
        /// Whose.
        attribute: String,
        /// What was there.
        word: String,
    },
    /// A file without a case proves nothing.
    #[error("no `[[case]]` in the file")]
    NoCases,
    /// Not TOML, or not of this form.
    #[error("{0}")]
    Toml(#[from] toml::de::Error),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TestsFile {
    #[serde(default)]
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    #[serde(default)]
    client: BTreeMap<String, Value>,
    #[serde(default)]
    source: BTreeMap<String, Value>,
    score: Option<u32>,
    #[serde(default)]
    missing: Vec<String>,
    expect: Expect,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    trust: Option<String>,
    risk: Option<String>,
    outcomes: Option<Vec<String>>,
    fired: Option<Vec<String>>,
    read_only: Option<bool>,
    short_session: Option<bool>,
    friction: Option<String>,
    register: Option<String>,
    appear: Option<String>,
    #[serde(default)]
    scopes: BTreeMap<String, String>,
}

/// Run a test file against a set of policies, with the power table of a preset under its scopes.
///
/// # Errors
///
/// The file is not of the form, or a case names what does not exist.
pub fn run_cases(
    policies: &Policies,
    table: &PowerTable,
    text: &str,
) -> Result<Vec<CaseResult>, TestsFileError> {
    let file: TestsFile = toml::from_str(text)?;
    if file.case.is_empty() {
        return Err(TestsFileError::NoCases);
    }
    file.case
        .iter()
        .map(|case| run(policies, table, case))
        .collect()
}

/// The shipped test file of a preset; each of them passes.
pub const fn preset_tests(preset: Preset) -> &'static str {
    match preset {
        Preset::Open => include_str!("../presets/open.test.toml"),
        Preset::Balanced => include_str!("../presets/balanced.test.toml"),
        Preset::Strict => include_str!("../presets/strict.test.toml"),
    }
}

fn run(policies: &Policies, table: &PowerTable, case: &Case) -> Result<CaseResult, TestsFileError> {
    let facts = facts_of(case)?;
    let assessment = policies.assess(&facts);
    let mut differences = Vec::new();
    for (attribute, expected, found) in expectations(case, &assessment) {
        if expected != found {
            differences.push(format!("{attribute}: expected {expected}, found {found}"));
        }
    }
    let verdicts = [
        ("register", &case.expect.register, Arrival::Register),
        ("appear", &case.expect.appear, Arrival::Appear),
    ];
    for (attribute, expected, arrival) in verdicts {
        let Some(expected) = expected else { continue };
        let expected = permitted(case, attribute, expected)?;
        let verdict = policies.admits(arrival, &facts, &assessment);
        differences.extend(verdict_difference(
            attribute,
            expected,
            verdict.allowed,
            &verdict.reasons,
        ));
    }
    for (access, expected) in &case.expect.scopes {
        let Some(class) = Access::parse(access) else {
            return Err(unknown(case, "scopes", access));
        };
        let expected = permitted(case, access, expected)?;
        let (allowed, reasons) = granted(policies, table, &facts, &assessment, class);
        differences.extend(verdict_difference(access, expected, allowed, &reasons));
    }
    Ok(CaseResult {
        name: case.name.clone(),
        differences,
    })
}

/// What is expected and what was found, as text, for each attribute that the case names.
fn expectations<'a>(
    case: &'a Case,
    found: &'a Assessment,
) -> impl Iterator<Item = (&'static str, String, String)> {
    let expect = &case.expect;
    let list = |all: &[String]| {
        let mut all = all.to_vec();
        all.sort();
        all.dedup();
        format!("[{}]", all.join(", "))
    };
    let fired: Vec<_> = found
        .reasons
        .iter()
        .map(|reason| reason.policy.clone())
        .collect();
    let outcomes = found.reasons.iter().flat_map(|reason| &reason.outcomes);
    let outcomes: Vec<_> = outcomes
        .map(|outcome| outcome.as_str().to_owned())
        .collect();
    let rows = [
        (
            "trust",
            expect.trust.clone(),
            found.trust.as_str().to_owned(),
        ),
        ("risk", expect.risk.clone(), found.risk.as_str().to_owned()),
        (
            "outcomes",
            expect.outcomes.as_deref().map(list),
            list(&outcomes),
        ),
        ("fired", expect.fired.as_deref().map(list), list(&fired)),
        (
            "read_only",
            expect.read_only.map(|b| b.to_string()),
            found.read_only.to_string(),
        ),
        (
            "short_session",
            expect.short_session.map(|b| b.to_string()),
            found.short_session.to_string(),
        ),
        (
            "friction",
            expect.friction.clone(),
            found.friction.as_str().to_owned(),
        ),
    ];
    let named = rows.into_iter();
    named.filter_map(|(attribute, expected, found)| Some((attribute, expected?, found)))
}

fn verdict_difference(
    what: &str,
    expected: bool,
    allowed: bool,
    reasons: &[String],
) -> Option<String> {
    let word = |allowed| if allowed { PERMITTED } else { REFUSED };
    (expected != allowed).then(|| {
        let (expected, found) = (word(expected), word(allowed));
        format!(
            "{what}: expected {expected}, found {found} ({})",
            reasons.join(", ")
        )
    })
}

const PERMITTED: &str = "permitted";
const REFUSED: &str = "refused";

fn permitted(case: &Case, attribute: &str, word: &str) -> Result<bool, TestsFileError> {
    match word {
        PERMITTED => Ok(true),
        REFUSED => Ok(false),
        _ => Err(unknown(case, attribute, word)),
    }
}

fn unknown(case: &Case, attribute: &str, word: &str) -> TestsFileError {
    TestsFileError::Word {
        case: case.name.clone(),
        attribute: attribute.to_owned(),
        word: word.to_owned(),
    }
}

/// A scope of that class, as a grant would get it: by the power table, then by policy.
fn granted(
    policies: &Policies,
    table: &PowerTable,
    facts: &Facts,
    assessment: &Assessment,
    access: Access,
) -> (bool, Vec<String>) {
    let power = table
        .power(assessment.trust, assessment.risk, None)
        .under(assessment);
    let Ok(scope) = Scope::parse(access.as_str()) else {
        return (false, Vec::new()); // each class is a token of RFC 6749 §3.3
    };
    let scope = ScopeSpec {
        scope,
        description: String::new(),
        access,
        default: false,
    };
    let ceiling = Ceiling {
        trust: assessment.trust,
        risk: assessment.risk,
        read_only: power.scopes != ScopeCeiling::All,
    };
    let asked = ScopeAsked {
        resource: "https://mcp.example/",
        scope: &scope,
        client: &facts.client,
        ceiling,
        missing: &facts.missing,
    };
    let person = Person {
        id: "u_1",
        groups: &[],
    };
    let verdict = policies.grants(Stage::Grant, Principal::Person(&person), &asked);
    match (verdict.allowed, power.allows(&scope)) {
        (true, false) => (false, vec!["power-table".to_owned()]),
        (allowed, _) => (allowed, verdict.reasons),
    }
}

/// The case's facts over an unremarkable newcomer's.
fn facts_of(case: &Case) -> Result<Facts, TestsFileError> {
    let mut facts = facts_json::to_json(&newcomer());
    for (record, overlay) in [("client", &case.client), ("source", &case.source)] {
        let Some(record) = facts.get_mut(record).and_then(Value::as_object_mut) else {
            continue;
        };
        record.extend(
            overlay
                .iter()
                .map(|(name, value)| (name.clone(), value.clone())),
        );
    }
    if let Some(facts) = facts.as_object_mut() {
        facts.extend(case.score.map(|score| ("score".to_owned(), json!(score))));
        facts.insert("missing".to_owned(), json!(case.missing));
    }
    facts_json::from_json(&facts).map_err(|error| TestsFileError::Facts {
        case: case.name.clone(),
        error,
    })
}

/// A registration that nobody saw before, from nowhere in particular, with good metadata.
pub(crate) fn newcomer() -> Facts {
    Facts {
        client: ClientFacts {
            id: String::new(),
            host: None,
            door: Door::Dcr,
            software: "an agent".to_owned(),
            standing: Standing::Unverified,
            confidential: false,
            catalogued: false,
            redirects: [RedirectShape::Loopback].into(),
            days_known: 0,
            people: 0,
            lookalike_of: None,
            claims: None,
            homograph_of: None,
            mixed_script: false,
            quality: 80,
            foreign_urls: false,
            reports: 0,
            changes_30d: 0,
            domain_proved: false,
        },
        source: SourceFacts {
            ip: [192, 0, 2, 1].into(), // RFC 5737
            asn: None,
            country: None,
            listed: false,
            bad_reputation: false,
            vendor_egress: false,
            registrations_last_hour: 0,
            software_last_hour: 0,
            user_agent: UserAgentKind::Program,
        },
        score: None,
        missing: [].into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_preset_passes_its_own_test_file() {
        for preset in Preset::ALL {
            let (policies, table) = (Policies::preset(*preset), PowerTable::preset(*preset));
            let results = run_cases(&policies, &table, preset_tests(*preset)).unwrap();
            for CaseResult { name, differences } in results {
                assert_eq!(differences, [] as [String; 0], "{preset:?}: {name}");
            }
        }
    }

    /// A test file that could not fail would prove nothing.
    #[test]
    fn every_expectation_can_fail() {
        let text = r#"
            [[case]]
            name = "all wrong"
            client = { lookalike_of = "Known" }
            expect = { trust = "known", risk = "high", outcomes = ["hold"], fired = ["x"], read_only = false, short_session = true, friction = "remembered", register = "refused", appear = "refused", scopes = { read = "refused", write = "permitted" } }
        "#;
        let policies = Policies::preset(Preset::Balanced);
        let results = run_cases(&policies, &PowerTable::preset(Preset::Balanced), text).unwrap();
        assert_eq!(
            results[0].differences,
            [
                "trust: expected known, found unverified",
                "risk: expected high, found raised",
                "outcomes: expected [hold], found [read_only, unverified, warn]",
                "fired: expected [x], found [first-seen-today, name-lookalike]",
                "read_only: expected false, found true",
                "short_session: expected true, found false",
                "friction: expected remembered, found warn",
                "register: expected refused, found permitted (registers-by-default)",
                "appear: expected refused, found permitted (appears-by-default)",
                "read: expected refused, found permitted (granted-by-default)",
                "write: expected permitted, found refused (read-only-at-raised-risk)",
            ]
        );
    }

    #[test]
    fn a_file_that_names_what_does_not_exist_is_refused() {
        #[rustfmt::skip]
        let cases = [
            ("",                                                        "no `[[case]]`"),
            ("[[case]]\nname = 'a'",                                    "missing field `expect`"),
            ("[[case]]\nname = 'a'\nexpect = { luck = 1 }",             "unknown field `luck`"),
            ("[[case]]\nname = 'a'\nclient = { mood = 1 }\nexpect = {}", "case `a`: unknown field `mood`"),
            ("[[case]]\nname = 'a'\nmissing = ['luck']\nexpect = {}",   "`luck` is no value of `missing`"),
            ("[[case]]\nname = 'a'\nexpect = { register = 'yes' }",     "`yes` is no value of `register`"),
            ("[[case]]\nname = 'a'\nexpect = { scopes = { rule = 'permitted' } }", "`rule` is no value of `scopes`"),
        ];
        let policies = Policies::preset(Preset::Balanced);
        for (text, message) in cases {
            let refused = run_cases(&policies, &PowerTable::preset(Preset::Balanced), text);
            let refused = refused.unwrap_err().to_string();
            assert!(refused.contains(message), "{text}: {refused}");
        }
    }
}
