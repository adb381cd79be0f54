//! An arrival, put before the parsers, the signals and a preset as the hub does it.
//!
//! What a country file would say is in the data, since no such file is ours to ship; all else is
//! found out by the hub's own code. Each arrival meets a counter of its own, into which its
//! `before` is replayed: arrivals do not count against each other.

use std::{
    hash::{BuildHasherDefault, DefaultHasher},
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use vestibule_policy::{
    Arrival as Admission, Ceiling, Consent, Person, Policies, PowerTable, Principal, ScopeAsked,
    ScopeCeiling, Stage,
    catalogue::Catalogue,
    decision::Assessment,
    facts::Facts,
    signals::{
        ClientInputs, Feed, SourceInputs,
        address_list::{AddressList, NamedLists},
        client_facts,
        history::History,
        homograph::KnownHost,
        lookalike::OwnNames,
        missing, software, source_facts,
        velocity::{Counts, Velocity},
    },
};
use vestibule_protocol::{
    cimd_document,
    client_id_url::ClientIdUrl,
    client_metadata::{ClientMetadata, MetadataDoor},
    redirect_uri::RedirectPolicy,
    scope::{Access, Scope, ScopeSpec},
    trust::{Door, Preset, Trust},
};

use crate::arrival::{Arrival, Before, Came};

/// The day on which everything arrives, in seconds since 1970.
const NOW_S: u64 = 1_795_500_000;
const DAY_S: u64 = 86_400;
/// Arrivals of the last hour are spread over so many seconds; all of them still count.
const SPREAD_S: u64 = 3_000;
/// Keys of the counter of one arrival.
const KEYS: usize = 1 << 12;
/// Clients of the hub's own, whose names are reserved (threats R8).
const OWN_NAMES: [&str; 2] = ["Acme Portal", "Acme Expenses"];
/// Where the hub is.
const OWN_HOST: &str = "id.acme.example";
const RESOURCE: &str = "https://mcp.acme.example/mcp";

/// What a preset makes of an arrival, in order of falling power.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Outcome {
    /// In, with nothing said against it.
    Clean,
    /// In, to read only, without a warning.
    ReadOnly,
    /// In, with a warning; may write.
    Warned,
    /// In, with a warning, to read only.
    WarnedReadOnly,
    /// Waits for an administrator.
    Held,
    /// Kept out by a policy.
    Blocked,
    /// Kept out by the parser: not a valid request at all.
    Refused,
}

impl Outcome {
    /// All of them, in order.
    pub const ALL: [Self; 7] = [
        Self::Clean,
        Self::ReadOnly,
        Self::Warned,
        Self::WarnedReadOnly,
        Self::Held,
        Self::Blocked,
        Self::Refused,
    ];

    /// As a heading.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::ReadOnly => "read-only",
            Self::Warned => "warned",
            Self::WarnedReadOnly => "warned and read-only",
            Self::Held => "held",
            Self::Blocked => "blocked",
            Self::Refused => "refused",
        }
    }

    /// Something was said against the client, so that a person or its developer notices. Reading
    /// only without a warning is how `strict` treats every stranger, and no alarm.
    pub fn is_alarm(self) -> bool {
        self >= Self::Warned
    }

    /// At least warned of and cut to reading: what an abusive arrival should come to.
    pub fn is_hit(self) -> bool {
        self >= Self::WarnedReadOnly
    }
}

/// What became of an arrival, and why.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Judgement {
    /// What.
    pub outcome: Outcome,
    /// Ids of the policies that fired, or what the parser says.
    pub why: Vec<String>,
}

/// A hub with the shipped catalogue, two clients of its own, and no files but what an arrival says.
#[derive(Debug)]
pub struct Hub {
    catalogue: Arc<Catalogue>,
    own_names: OwnNames,
    own_hosts: Vec<KnownHost>,
}

impl Default for Hub {
    fn default() -> Self {
        Self {
            catalogue: Catalogue::built_in(),
            own_names: OwnNames::new(OWN_NAMES),
            own_hosts: vec![KnownHost::of(OWN_HOST)],
        }
    }
}

/// What is read of a client before any signal.
struct Read<'a> {
    metadata: ClientMetadata,
    door: Door,
    client_id: Option<&'a str>,
    host: Option<String>,
}

impl Hub {
    /// What a policy sees of an arrival.
    ///
    /// # Errors
    ///
    /// The parser's reason to refuse it.
    pub fn facts(&self, arrival: &Arrival) -> Result<Facts, String> {
        let read = read(&arrival.came)?;
        let before = arrival.before;
        let client = ClientInputs {
            metadata: &read.metadata,
            door: read.door,
            client_id: read.client_id,
            document_host: read.host.as_deref(),
            redirect_in_use: arrival.redirect_in_use.as_deref(),
            vouched: None,
            domain_proved: false,
            history: Some(history(before)),
            now_s: NOW_S,
            catalogue: &self.catalogue,
            own_names: &self.own_names,
            own_hosts: &self.own_hosts,
        };
        let ip = arrival.source.ip;
        let (lists, reputation) = (
            list_of(ip, arrival.source.listed)?,
            list_of(ip, arrival.source.reputation)?,
        );
        let source = SourceInputs {
            ip,
            user_agent: arrival.source.user_agent.as_deref(),
            countries: Feed::Off,
            networks: Feed::Off,
            lists: &lists,
            reputation: Feed::Ready(&reputation),
            counts: self.counts(ip, &software::software(&read.metadata), before),
            catalogue: &self.catalogue,
        };
        let score = arrival.score.map_or(Feed::Off, Feed::Ready);
        let mut source_facts = source_facts(&source);
        let missing = missing(&client, &source, &source_facts, &score);
        source_facts.country.clone_from(&arrival.source.country);
        Ok(Facts {
            client: client_facts(&client),
            source: source_facts,
            score: arrival.score,
            missing,
        })
    }

    /// The last hour, replayed, with the arrival itself as its last event.
    fn counts(&self, ip: IpAddr, software: &str, before: Before) -> Counts {
        let velocity: Velocity<BuildHasherDefault<DefaultHasher>> =
            Velocity::new(KEYS, BuildHasherDefault::default());
        let egress = self.catalogue.is_vendor_egress(ip);
        let at = |number: u32, of: u32| {
            NOW_S - SPREAD_S + SPREAD_S * u64::from(number) / u64::from(of.max(1))
        };
        for number in 0..before.from_source {
            let other = format!("another program {number}");
            velocity.note_arrival(ip, &other, egress, at(number, before.from_source));
        }
        for number in 0..before.of_software {
            // RFC 2544's block: nobody's address, and in no vendor's range.
            let elsewhere = Ipv4Addr::from_bits(0xc612_0000 + number);
            let time = at(number, before.of_software);
            velocity.note_arrival(elsewhere.into(), software, false, time);
        }
        velocity.note_arrival(ip, software, egress, NOW_S);
        velocity.counts(ip, software, egress, NOW_S)
    }

    /// What a preset makes of an arrival.
    pub fn judge(&self, preset: Preset, arrival: &Arrival) -> Judgement {
        let facts = match self.facts(arrival) {
            Ok(facts) => facts,
            Err(reason) => {
                return Judgement {
                    outcome: Outcome::Refused,
                    why: vec![reason],
                };
            }
        };
        let policies = Policies::preset(preset);
        let assessment = policies.assess(&facts);
        let fired = assessment.reasons.iter();
        let mut why: Vec<String> = fired.map(|reason| reason.policy.clone()).collect();
        let admission = match arrival.came {
            Came::Registered { .. } => Admission::Register,
            Came::ByDocument { .. } => Admission::Appear,
        };
        let verdict = policies.admits(admission, &facts, &assessment);
        let outcome = match assessment.trust {
            _ if !verdict.allowed => {
                let mut more = verdict.reasons;
                more.retain(|id| !why.contains(id));
                why.extend(more);
                Outcome::Blocked
            }
            Trust::Blocked => Outcome::Blocked,
            Trust::Held => Outcome::Held,
            Trust::FirstParty | Trust::Known | Trust::Unverified | Trust::Verified => {
                inside(preset, &policies, &facts, &assessment)
            }
        };
        Judgement { outcome, why }
    }
}

/// What is left to a client that came in.
fn inside(preset: Preset, policies: &Policies, facts: &Facts, assessment: &Assessment) -> Outcome {
    let table = PowerTable::preset(preset);
    let power = table
        .power(assessment.trust, assessment.risk, None)
        .under(assessment);
    let may_write = writing().is_some_and(|scope| {
        let asked = ScopeAsked {
            resource: RESOURCE,
            scope: &scope,
            client: &facts.client,
            ceiling: Ceiling {
                trust: assessment.trust,
                risk: assessment.risk,
                read_only: power.scopes != ScopeCeiling::All,
            },
            missing: &facts.missing,
        };
        let person = Person {
            id: "u_1",
            groups: &[],
        };
        let verdict = policies.grants(Stage::Grant, Principal::Person(&person), &asked);
        verdict.allowed && power.allows(&scope)
    });
    match (power.consent >= Consent::Warn, may_write) {
        (true, true) => Outcome::Warned,
        (true, false) => Outcome::WarnedReadOnly,
        (false, true) => Outcome::Clean,
        (false, false) => Outcome::ReadOnly,
    }
}

fn writing() -> Option<ScopeSpec> {
    Some(ScopeSpec {
        scope: Scope::parse("notes:write").ok()?,
        description: "Change notes".to_owned(),
        access: Access::Write,
        default: false,
    })
}

fn read(came: &Came) -> Result<Read<'_>, String> {
    let policy = RedirectPolicy::default();
    match came {
        Came::Registered { body } => {
            let door = MetadataDoor::Dcr {
                client_credentials_allowed: false,
            };
            let (metadata, _) = ClientMetadata::parse_json(body.as_bytes(), door, &policy)
                .map_err(|failure| failure.to_string())?;
            Ok(Read {
                metadata,
                door: Door::Dcr,
                client_id: None,
                host: None,
            })
        }
        Came::ByDocument {
            client_id,
            document,
        } => {
            let url =
                ClientIdUrl::parse_default(client_id).map_err(|failure| failure.to_string())?;
            let (metadata, _) = cimd_document::read(document.as_bytes(), client_id, &policy)
                .map_err(|failure| failure.to_string())?;
            Ok(Read {
                metadata,
                door: Door::Cimd,
                client_id: Some(client_id),
                host: Some(url.host().to_owned()),
            })
        }
    }
}

fn history(before: Before) -> History {
    History {
        first_seen_s: (before.known_days > 0).then(|| NOW_S - before.known_days * DAY_S),
        people: before.people,
        reports: before.reports,
        changes_30d: before.changes_30d,
    }
}

/// A list that names this address, or a list that is there and does not.
fn list_of(ip: IpAddr, named: bool) -> Result<NamedLists, String> {
    let text = if named { ip.to_string() } else { String::new() };
    let list = AddressList::parse(&text).map_err(|error| error.to_string())?;
    Ok(NamedLists::new(vec![("list".to_owned(), list)]))
}
