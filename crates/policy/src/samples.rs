//! Facts for tests: a client of whom nothing is known, others, and any at all.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
};

use proptest::{option, prelude::*, sample};
use vestibule_protocol::{
    scope::{Access, Scope, ScopeSpec},
    trust::{Door, RedirectShape, Signal, Standing, UserAgentKind},
};

use crate::facts::{COUNT_MAX, ClientFacts, Facts, SourceFacts};

/// A registration that nobody saw before, from nowhere in particular, with good metadata.
pub(crate) fn newcomer() -> Facts {
    crate::tests_file::newcomer()
}

/// The same client after a while, with a standing.
pub(crate) fn of_standing(standing: Standing) -> Facts {
    let newcomer = newcomer();
    let client = ClientFacts {
        standing,
        days_known: 30,
        ..newcomer.client
    };
    Facts { client, ..newcomer }
}

pub(crate) fn scope(name: &str, access: Access) -> ScopeSpec {
    ScopeSpec {
        scope: Scope::parse(name).unwrap(),
        description: "Use it".to_owned(),
        access,
        default: false,
    }
}

fn count() -> impl Strategy<Value = u32> {
    prop_oneof![0..300_u32, Just(COUNT_MAX), any::<u32>()]
}

fn text() -> impl Strategy<Value = Option<String>> {
    option::of("[a-z]{0,8}|\\PC{0,40}")
}

fn any_client() -> impl Strategy<Value = ClientFacts> {
    let texts = (text(), text(), text(), text(), text());
    let words = (
        sample::select(Door::ALL),
        sample::select(Standing::ALL),
        sample::subsequence(RedirectShape::ALL, 0..=4),
    );
    let counts = (count(), count(), count(), count(), count());
    let flags = any::<[bool; 5]>();
    (texts, words, counts, flags).prop_map(|(texts, words, counts, flags)| ClientFacts {
        id: texts.0.clone().unwrap_or_default(),
        host: texts.0,
        door: words.0,
        software: texts.1.unwrap_or_default(),
        standing: words.1,
        confidential: flags[0],
        catalogued: flags[1],
        redirects: BTreeSet::from_iter(words.2),
        days_known: counts.0,
        people: counts.1,
        lookalike_of: texts.2,
        claims: texts.3,
        homograph_of: texts.4,
        mixed_script: flags[2],
        quality: counts.2,
        foreign_urls: flags[3],
        reports: counts.3,
        changes_30d: counts.4,
        domain_proved: flags[4],
    })
}

fn any_source() -> impl Strategy<Value = SourceFacts> {
    let whence = (any::<IpAddr>(), option::of(any::<u32>()), text());
    let user_agent = sample::select(UserAgentKind::ALL);
    (whence, any::<[bool; 3]>(), count(), count(), user_agent).prop_map(
        |((ip, asn, country), flags, registrations, software, user_agent)| SourceFacts {
            ip,
            asn,
            country,
            listed: flags[0],
            bad_reputation: flags[1],
            vendor_egress: flags[2],
            registrations_last_hour: registrations,
            software_last_hour: software,
            user_agent,
        },
    )
}

/// Anything that the types allow.
pub(crate) fn any_facts() -> impl Strategy<Value = Facts> {
    let missing = sample::subsequence(Signal::ALL, 0..=Signal::ALL.len());
    (any_client(), any_source(), option::of(count()), missing).prop_map(
        |(client, source, score, missing)| Facts {
            client,
            source,
            score,
            missing: BTreeSet::from_iter(missing),
        },
    )
}

#[test]
fn the_newcomer_comes_from_a_documentation_address() {
    assert_eq!(
        newcomer().source.ip,
        IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))
    );
}
