//! What a decision costs with the default preset, in medians: `cargo bench -p vestibule-policy`.
//!
//! The goal is at most 40 µs for a whole decision at `register` about facts that were never seen.
//! A stranger who never repeats itself makes each decision a new one.

#![expect(
    clippy::expect_used,
    reason = "a benchmark may stop where it cannot go on"
)]

use std::{
    collections::BTreeSet,
    hint::black_box,
    time::{Duration, Instant},
};

use vestibule_policy::{
    Policies,
    cedar::{Arrival, Ceiling, Person, Principal, ScopeAsked, Stage},
    facts::Facts,
    facts_json,
};
use vestibule_protocol::{
    scope::{Access, Scope, ScopeSpec},
    trust::{Preset, Risk, Trust},
};

fn main() {
    // Without `--bench` it is only built and tried, as by `cargo test --benches`.
    let rounds = if std::env::args().any(|arg| arg == "--bench") {
        20_000
    } else {
        20
    };
    let policies = Policies::preset(Preset::Balanced);
    let new: Vec<_> = (0..rounds).map(newcomer).collect();

    let register = |facts: &Facts| {
        let assessment = policies.assess(facts);
        policies
            .admits(Arrival::Register, facts, &assessment)
            .allowed
    };
    report(
        "register, new facts",
        new.iter().map(|facts| timed(|| register(facts))),
    );
    let known = newcomer(0);
    register(&known);
    report(
        "register, remembered",
        new.iter().map(|_| timed(|| register(&known))),
    );
    report(
        "flags alone, new facts",
        (0..rounds).map(|n| {
            let facts = newcomer(rounds + n);
            timed(|| policies.assess(&facts))
        }),
    );

    let scope = scope();
    let grant = |facts: &Facts| {
        let asked = ScopeAsked {
            resource: "https://mcp.example/",
            scope: &scope,
            client: &facts.client,
            ceiling: Ceiling {
                trust: Trust::Unverified,
                risk: Risk::Low,
                read_only: false,
            },
            missing: &BTreeSet::new(),
        };
        let person = Person {
            id: "u_1",
            groups: &[],
        };
        policies
            .grants(Stage::Grant, Principal::Person(&person), &asked)
            .allowed
    };
    report(
        "one scope, new client",
        new.iter().map(|facts| timed(|| grant(facts))),
    );
    grant(&known);
    report(
        "one scope, remembered",
        new.iter().map(|_| timed(|| grant(&known))),
    );
}

fn timed<T>(decide: impl FnOnce() -> T) -> Duration {
    let start = Instant::now();
    black_box(decide());
    start.elapsed()
}

fn report(what: &str, times: impl Iterator<Item = Duration>) {
    let mut times: Vec<_> = times.collect();
    times.sort();
    let at = |percent: usize| {
        times
            .get(times.len() * percent / 100)
            .copied()
            .unwrap_or_default()
    };
    let micros = |time: Duration| time.as_secs_f64() * 1e6;
    println!(
        "{what:<24} median {:7.2} µs   p99 {:7.2} µs",
        micros(at(50)),
        micros(at(99))
    );
}

/// An ordinary registration; each number is another software.
/// One whose count is its own, so that no decision about another one is its decision: what a policy
/// does not look at, such as a name, would not do.
fn newcomer(n: u32) -> Facts {
    let facts = serde_json::json!({
        "version": 1,
        "client": {
            "id": "", "door": "dcr", "software": format!("some agent number {n}"),
            "standing": "unverified", "confidential": false, "catalogued": false,
            "redirects": ["loopback"], "days_known": 0, "people": 0, "claims": "Known Agent",
            "mixed_script": false, "quality": 80, "foreign_urls": false, "reports": 0,
            "changes_30d": 0, "domain_proved": false,
        },
        "source": {
            "ip": "192.0.2.1", "asn": 64496, "country": "NZ", "listed": false,
            "bad_reputation": false, "vendor_egress": false, "registrations_last_hour": n,
            "software_last_hour": 1, "user_agent": "program",
        },
        "score": 10,
        "missing": [],
    });
    facts_json::from_json(&facts).expect("a record of facts")
}

fn scope() -> ScopeSpec {
    ScopeSpec {
        scope: Scope::parse("mcp:read").expect("a scope"),
        description: "Read".to_owned(),
        access: Access::Read,
        default: true,
    }
}
