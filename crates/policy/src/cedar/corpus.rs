//! The dry run of rule (g): facts at every edge of the schema, put before each policy that is about
//! to be saved. With strict validation and no arithmetic nothing should fail here; this holds it.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
};

use vestibule_protocol::{
    scope::{Access, Scope, ScopeSpec},
    trust::{Action, Door, RedirectShape, Risk, Signal, Standing, Trust, UserAgentKind},
};

use super::{
    evaluate::{Ceiling, Parties, Person, Principal, Sets},
    inspect::Needs,
    terms,
};
use crate::facts::{COUNT_MAX, ClientFacts, Facts, SourceFacts};

/// Messages of all that failed, each once.
pub(super) fn faults(sets: &Sets) -> BTreeSet<String> {
    let facts = facts();
    let mut found = BTreeSet::new();
    for facts in &facts {
        arrival_faults(sets, facts, &mut found);
        person_faults(sets, facts, &mut found);
        scope_faults(sets, facts, &mut found);
    }
    found
}

fn arrival_faults(sets: &Sets, facts: &Facts, found: &mut BTreeSet<String>) {
    let nobody = cedar_policy::Entities::empty();
    let flag = |needs: &Needs| terms::flag_context(facts, needs);
    found.extend(sets.faults(&Parties::arrival(Action::Flag), flag, &nobody));
    for action in [Action::Appear, Action::Register] {
        for found_before in [(Trust::Unverified, Risk::Low), (Trust::Held, Risk::Raised)] {
            let context = |needs: &Needs| terms::request_context(facts, needs, found_before, None);
            found.extend(sets.faults(&Parties::arrival(action), context, &nobody));
        }
    }
}

fn person_faults(sets: &Sets, facts: &Facts, found: &mut BTreeSet<String>) {
    let groups = ["admins".to_owned()];
    for person in [
        Person {
            id: "",
            groups: &[],
        },
        Person {
            id: "u_1",
            groups: &groups,
        },
    ] {
        let parties = Parties {
            principal: terms::user(&person),
            action: Action::Authorize,
            resource: terms::resource(RESOURCE),
        };
        let found_before = (Trust::Known, Risk::Low);
        let context =
            |needs: &Needs| terms::request_context(facts, needs, found_before, Some(u64::MAX));
        match terms::person_entities(&person, RESOURCE) {
            Ok(entities) => found.extend(sets.faults(&parties, context, &entities)),
            Err(error) => found.extend([error.to_string()]),
        }
    }
}

const RESOURCE: &str = "https://mcp.example/";

fn scope_faults(sets: &Sets, facts: &Facts, found: &mut BTreeSet<String>) {
    let person = Person {
        id: "u_1",
        groups: &["staff".to_owned()],
    };
    let ceiling = Ceiling {
        trust: Trust::Unverified,
        risk: Risk::Raised,
        read_only: true,
    };
    for (access, principal) in [
        (Access::Read, Principal::Client),
        (Access::Write, Principal::Person(&person)),
        (Access::Destructive, Principal::Person(&person)),
    ] {
        let Ok(scope) = Scope::parse("mcp:use") else {
            continue;
        };
        let spec = ScopeSpec {
            scope,
            description: String::new(),
            access,
            default: false,
        };
        let entities = match terms::scope_entities(principal, RESOURCE, &spec) {
            Ok(entities) => entities,
            Err(error) => {
                found.insert(error.to_string());
                continue;
            }
        };
        for action in [Action::Grant, Action::Refresh] {
            let parties = Parties {
                principal: terms::principal(principal),
                action,
                resource: terms::scope(RESOURCE, &spec),
            };
            let context =
                |needs: &Needs| terms::scope_context(&facts.client, needs, ceiling, &facts.missing);
            found.extend(sets.faults(&parties, context, &entities));
        }
    }
}

/// A newcomer of whom nothing is known; everything at its largest; each word of each enumeration.
fn facts() -> Vec<Facts> {
    let (nothing, everything) = (nothing(), everything());
    let mut all = vec![nothing.clone(), everything.clone()];
    let standings = Standing::ALL.iter().zip(Door::ALL.iter().cycle());
    all.extend(standings.map(|(standing, door)| {
        let client = ClientFacts {
            standing: *standing,
            door: *door,
            ..everything.client.clone()
        };
        Facts {
            client,
            ..nothing.clone()
        }
    }));
    all.extend(RedirectShape::ALL.iter().map(|shape| {
        let redirects = BTreeSet::from([*shape]);
        Facts {
            client: ClientFacts {
                redirects,
                ..nothing.client.clone()
            },
            ..nothing.clone()
        }
    }));
    all.extend(UserAgentKind::ALL.iter().map(|user_agent| {
        let source = SourceFacts {
            user_agent: *user_agent,
            ..everything.source.clone()
        };
        Facts {
            source,
            ..nothing.clone()
        }
    }));
    all.extend(Signal::ALL.iter().map(|signal| Facts {
        missing: BTreeSet::from([*signal]),
        ..everything.clone()
    }));
    all
}

fn nothing() -> Facts {
    Facts {
        client: ClientFacts {
            id: String::new(),
            host: None,
            door: Door::Dcr,
            software: String::new(),
            standing: Standing::Unverified,
            confidential: false,
            catalogued: false,
            redirects: BTreeSet::new(),
            days_known: 0,
            people: 0,
            lookalike_of: None,
            claims: None,
            homograph_of: None,
            mixed_script: false,
            quality: 0,
            foreign_urls: false,
            reports: 0,
            changes_30d: 0,
            domain_proved: false,
        },
        source: SourceFacts {
            ip: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            asn: None,
            country: None,
            listed: false,
            bad_reputation: false,
            vendor_egress: false,
            registrations_last_hour: 0,
            software_last_hour: 0,
            user_agent: UserAgentKind::Missing,
        },
        score: None,
        missing: Signal::ALL.iter().copied().collect(),
    }
}

fn everything() -> Facts {
    let text = || Some("some \"text\" \u{202e}\\ *".to_owned());
    Facts {
        client: ClientFacts {
            id: "c_1".to_owned(),
            host: text(),
            door: Door::Cimd,
            software: "agent".to_owned(),
            standing: Standing::Known,
            confidential: true,
            catalogued: true,
            redirects: RedirectShape::ALL.iter().copied().collect(),
            days_known: COUNT_MAX,
            people: COUNT_MAX,
            lookalike_of: text(),
            claims: text(),
            homograph_of: text(),
            mixed_script: true,
            quality: COUNT_MAX,
            foreign_urls: true,
            reports: COUNT_MAX,
            changes_30d: COUNT_MAX,
            domain_proved: true,
        },
        source: SourceFacts {
            ip: IpAddr::V6(Ipv4Addr::LOCALHOST.to_ipv6_mapped()),
            asn: Some(u32::MAX),
            country: text(),
            listed: true,
            bad_reputation: true,
            vendor_egress: true,
            registrations_last_hour: u32::MAX,
            software_last_hour: u32::MAX,
            user_agent: UserAgentKind::Browser,
        },
        score: Some(u32::MAX),
        missing: BTreeSet::new(),
    }
}
