//! The rules for a text, and how a compiled set decides. Each rule of design-details A is a row or a
//! test here.

use std::{collections::BTreeSet, str::FromStr, sync::Arc};

use cedar_policy::{Entities, Policy, PolicyId, Request};
use proptest::prelude::*;
use vestibule_protocol::{
    scope::Access,
    trust::{
        Action, Door, Outcome, Preset, RedirectShape, Risk, Signal, Standing, Trust, UserAgentKind,
    },
};

use super::{
    combine::Rule,
    evaluate::{Member, Sets},
    inspect::Needs,
    *,
};
use crate::{
    decision::{Assessment, Friction, Verdict},
    facts::Facts,
    samples,
};

/// Permits for every action, so that a text under test is about its own policy.
const BASE: &str = r#"
@id("r") permit(principal, action == Action::"register", resource);
@id("p") permit(principal, action == Action::"appear", resource);
@id("a") permit(principal, action == Action::"authorize", resource);
@id("g") permit(principal, action == Action::"grant", resource);
@id("f") permit(principal, action == Action::"refresh", resource);
"#;

fn compile(policies: &str) -> Policies {
    Policies::compile(&format!("{policies}{BASE}")).unwrap_or_else(|p| panic!("{p:#?}"))
}

fn flag(head: &str, condition: &str) -> String {
    format!(
        "{head} permit(principal, action == Action::\"flag\", resource) when {{ {condition} }};"
    )
}

// --- What may be saved -------------------------------------------------------------------------

/// Design-details A.1: one row, one rule. Each text stands before policies that are good.
#[test]
fn save_time_rules() {
    let flag_on = |condition: &str| flag("@id(\"x\") @outcome(\"warn\")", condition);
    let annotated = |annotations: &str| flag(annotations, "context.source.listed");
    let long = "x".repeat(121);
    #[rustfmt::skip]
    let cases = [
        // (a)
        (annotated("@outcome(\"warn\")"),                        "1:1: has no `@id"),
        (annotated("@id(\"r\") @outcome(\"warn\")"),             "2:1: `r`: another policy has this `@id`"),
        (annotated("@id(\"\") @outcome(\"warn\")"),              "1:1: ``: `@id` is 1 to 64 letters"),
        (annotated("@id(\"a b\") @outcome(\"warn\")"),           "1:1: `a b`: `@id` is 1 to 64 letters"),
        (annotated("@id(\"policy-error\") @outcome(\"warn\")"),  "1:1: `policy-error`: this `@id` is one of our own"),
        // (b)
        ("@id(\"x\") permit(principal, action, resource);".into(), "1:1: `x`: names one action"),
        ("\n  @id(\"x\") permit(principal, action in [Action::\"grant\", Action::\"refresh\"], resource);".into(), "2:3: `x`: names one action"),
        ("@id(\"x\") permit(principal, action == Action::\"dance\", resource);".into(), "Action::\"dance\" is no action"),
        // (c)
        (annotated("@id(\"x\")"),                                "1:1: `x`: a flag has an `@outcome`"),
        (annotated("@id(\"x\") @outcome(\"allow\")"),            "`allow` is no outcome"),
        (annotated("@id(\"x\") @outcome(\"\")"),                 "`` is no outcome"),
        (annotated("@id(\"x\") @outcome(\"warn, warn\")"),       "names `warn` twice"),
        (annotated("@id(\"x\") @outcome(\"warn\") @risk(\"bad\")"), "`@risk` is low, raised or high"),
        (annotated(&format!("@id(\"x\") @outcome(\"warn\") @say(\"{long}\")")), "`@say` is 1 to 120"),
        (annotated("@id(\"x\") @outcome(\"warn\") @say(\"<b>\")"), "`@say` is 1 to 120"),
        (annotated("@id(\"x\") @outcome(\"warn\") @say(\"a\\u{202e}b\")"), "`@say` is 1 to 120"),
        (annotated("@id(\"x\") @outcome(\"warn\") @mode(\"off\")"), "`@mode` is shadow"),
        ("@id(\"x\") @outcome(\"warn\") forbid(principal, action == Action::\"flag\", resource);".into(), "a flag is a `permit`"),
        ("@id(\"x\") @outcome(\"warn\") forbid(principal, action == Action::\"grant\", resource);".into(), "only a flag has"),
        ("@id(\"x\") @risk(\"low\") forbid(principal, action == Action::\"grant\", resource);".into(), "only a flag has"),
        // (d)
        (annotated("@id(\"x\") @outcome(\"warn\") @sey(\"x\")"), "`@sey` is none of"),
        // (e)
        (flag_on("context.client.people * 9223372036854775807 > 0"), "can overflow"),
        (flag_on("context.client.people + 1 > 0"),               "can overflow"),
        // strict validation, warnings too
        (flag_on("context.client.nmae == \"x\""),                "1:88: `x`:"), // where the attribute is named
        (flag_on("context.client.standing == Trust::\"unverifed\""), "unverifed"),
        (flag_on("context.score > 5"),                           "score"),
        (flag_on("context.client.host == \"x\""),                "host"),
        (flag_on("false"),                                       "impossible"),
        (flag_on("context.trust == Trust::\"held\""),            "trust"), // a flag cannot see its own result
        (flag_on("context.source.ip.isInRange(ip(context.client.software))"), "non-literal"),
        ("@id(\"x\") forbid(principal, action == Action::\"grant\", resource) when { context.source.listed };".into(), "source"),
        ("@id(\"x\") permit(principal == ?principal, action == Action::\"grant\", resource);".into(), "have no use here"),
        // not Cedar at all
        ("\n@id(\"x\") permit(principal, action, resource) when { § };".into(), "2:"),
        ("@id(\"x\") permit(principal".into(),                   ""),
    ];
    for (text, message) in cases {
        let problems = Policies::compile(&format!("{text}{BASE}"))
            .err()
            .unwrap_or_default();
        let found: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert!(
            found.iter().any(|problem| problem.contains(message)),
            "{text}\n{found:#?}"
        );
    }
}

/// (f), and that an empty set never serves.
#[test]
fn each_action_that_decides_needs_a_live_permit() {
    let problems = Policies::compile("").unwrap_err();
    let missing: Vec<_> = problems
        .iter()
        .map(|problem| problem.message.as_str())
        .collect();
    for action in ["register", "appear", "authorize", "grant", "refresh"] {
        let named = format!("Action::\"{action}\"");
        assert!(
            missing.iter().any(|message| message.contains(&named)),
            "{action}: {missing:?}"
        );
    }
    assert_eq!(missing.len(), 5);
    let shadow_only = BASE.replace("@id(\"g\")", "@id(\"g\") @mode(\"shadow\")");
    assert!(Policies::compile(&shadow_only).is_err());
}

#[test]
fn all_problems_are_told_at_once_in_order_of_place() {
    let text = "@id(\"x\") permit(principal, action, resource);\n@nonsense permit(principal, action == Action::\"grant\", resource);";
    let problems = Policies::compile(text).unwrap_err();
    let places: Vec<_> = problems
        .iter()
        .map(|problem| (problem.line, problem.column))
        .collect();
    assert_eq!(places, [(1, 1), (2, 1), (2, 1)], "{problems:#?}");
}

/// Limits: a text that an admin pastes must not stop the hub. The thread has the stack of a worker.
#[test]
fn texts_without_measure_are_refused_before_they_are_parsed() {
    let flag_on = |condition: &str| flag("@id(\"x\") @outcome(\"warn\")", condition);
    let many: String = (0..501)
        .map(|n| {
            flag(
                &format!("@id(\"x{n}\") @outcome(\"warn\")"),
                "context.source.listed",
            )
        })
        .collect();
    let cases = [
        (" ".repeat(TEXT_BYTES_MAX + 1), "longer than"),
        (many, "more than 500 policies"),
        (
            flag_on(&format!("{}true{}", "(".repeat(2_000), ")".repeat(2_000))),
            "nests deeper",
        ),
        (
            flag_on(&format!("{}true", "(".repeat(60_000))),
            "nests deeper",
        ),
        (
            flag_on(&format!("true{}", "&&true".repeat(700))),
            "more than 200 of",
        ),
        (
            flag_on(&format!("context{}", ".a".repeat(1_000))),
            "more than 200 of",
        ),
        (
            flag_on(&format!("true // {}\n", "x".repeat(9_000))),
            "longer than 8192",
        ),
    ];
    let refuse = move || {
        for (text, message) in cases {
            let problems = Policies::compile(&text).unwrap_err();
            let named = |problem: &PolicyProblem| problem.message.contains(message);
            assert!(problems.iter().any(named), "{:?}", problems[0]);
        }
    };
    std::thread::Builder::new()
        .stack_size(2 << 20)
        .spawn(refuse)
        .unwrap()
        .join()
        .unwrap();
}

/// What just passes the limits is compiled, or refused in words; nothing else.
#[test]
fn the_longest_chains_that_may_be_saved_end() {
    let flag_on = |condition: &str| flag("@id(\"x\") @outcome(\"warn\")", condition);
    let chains = [
        format!(
            "context.source.listed{}",
            " && context.source.listed".repeat(65)
        ),
        format!("true{}", "&&true".repeat(199)),
        format!("{}true", "if true then true else ".repeat(199)),
        format!(
            "{}true{}",
            "if ".repeat(199),
            " then true else true".repeat(199)
        ),
        format!("{}context.source.listed{}", "!(".repeat(29), ")".repeat(29)),
        format!("!!!!{}", "context.source.listed"),
        format!("context{}", ".a".repeat(199)),
        format!("context{}", "[\"a\"]".repeat(199)),
        format!("context has a{}", ".a".repeat(199)),
        format!("[{}1].contains(1)", "1,".repeat(3_500)),
    ];
    let end = move || {
        for chain in chains {
            let text = format!("{}{BASE}", flag_on(&chain));
            if let Ok(policies) = Policies::compile(&text) {
                assert_eq!(
                    policies.assess(&samples::newcomer()).faults,
                    [] as [String; 0]
                );
            }
        }
    };
    std::thread::Builder::new()
        .stack_size(2 << 20)
        .spawn(end)
        .unwrap()
        .join()
        .unwrap();
}

/// Design-details A.4.
#[test]
fn a_guard_on_a_signal_wants_a_companion_that_says_what_its_absence_means() {
    let guard =
        |id: &str, condition: &str| flag(&format!("@id(\"{id}\") @outcome(\"warn\")"), condition);
    let score = guard("score", "context has score && context.score > 50");
    let country = guard(
        "country",
        "context.source has country && context.source.country == \"ZZ\"",
    );
    let companion = guard("missing", "context.missing.contains(Signal::\"score\")");
    let host = guard(
        "host",
        "context.client has host && context.client.host == \"a.example\"",
    );
    let forbids = "@id(\"late\") forbid(principal, action == Action::\"register\", resource) when { context has score && context.score > 5 };";
    let permits = forbids.replace("forbid", "permit");
    #[rustfmt::skip]
    let cases = [
        (score.clone(),                          vec!["score"]),
        (format!("{score}{country}"),            vec!["score", "country"]),
        (format!("{score}{companion}"),          vec![]),
        (format!("{forbids}{companion}"),        vec![]), // a flag limits whatever comes after it
        (forbids.to_owned(),                     vec!["late"]),
        (permits,                                vec![]), // fails closed by itself
        (host,                                   vec![]), // its absence says something
    ];
    for (text, warned) in cases {
        let policies = compile(&text);
        let found: Vec<_> = policies
            .warnings()
            .iter()
            .filter_map(|w| w.policy.as_deref())
            .collect();
        assert_eq!(found, warned, "{text}");
    }
}

/// The schema's enumerations are the protocol's words, no more and no less.
#[test]
fn the_schema_and_the_protocol_use_the_same_words() {
    fn words<T: Copy>(all: &[T], word: fn(T) -> &'static str) -> String {
        let quoted: Vec<_> = all
            .iter()
            .map(|each| format!("\"{}\"", word(*each)))
            .collect();
        format!("enum [{}]", quoted.join(", "))
    }
    let cases = [
        ("Access", words(Access::ALL, Access::as_str)),
        ("Door", words(Door::ALL, Door::as_str)),
        ("Redirect", words(RedirectShape::ALL, RedirectShape::as_str)),
        ("Risk", words(Risk::ALL, Risk::as_str)),
        ("Signal", words(Signal::ALL, Signal::as_str)),
        ("Trust", words(Trust::ALL, Trust::as_str)),
        (
            "UserAgent",
            words(UserAgentKind::ALL, UserAgentKind::as_str),
        ),
    ];
    for (name, words) in cases {
        let line = SCHEMA
            .lines()
            .find(|line| line.starts_with(&format!("entity {name} ")));
        assert!(line.unwrap().contains(&words), "{name}: {words}");
    }
    for standing in Standing::ALL {
        assert!(Trust::parse(standing.as_str()).is_some());
    }
    let actions: BTreeSet<_> = terms::SCHEMA
        .actions()
        .map(|action| action.id().unescaped().to_owned())
        .collect();
    assert_eq!(
        actions,
        Action::ALL
            .iter()
            .map(|action| action.as_str().to_owned())
            .collect()
    );
}

#[test]
fn the_published_schema_is_the_one_in_force() {
    let page = include_str!("../../../../docs/policy-schema.md");
    assert!(
        page.contains(&format!("```cedarschema\n{SCHEMA}```")),
        "copy schema.cedarschema into docs/policy-schema.md"
    );
}

// --- How a set decides -------------------------------------------------------------------------

fn assessed(policies: &str, facts: &Facts) -> Assessment {
    compile(policies).assess(facts).as_ref().clone()
}

#[test]
fn reasons_come_in_order_of_id_with_what_people_read() {
    let text = flag(
        "@id(\"zeta\") @outcome(\"unverified\")",
        "context.client.days_known < 1",
    ) + &flag(
        "@id(\"alpha\") @outcome(\"warn, read_only\") @risk(\"low\") @say(\"Mind it\")",
        "context.client.quality > 1",
    );
    let found = assessed(&text, &samples::newcomer());
    let ids: Vec<_> = found
        .reasons
        .iter()
        .map(|reason| reason.policy.as_str())
        .collect();
    assert_eq!(ids, ["alpha", "zeta"]);
    assert_eq!(found.reasons[0].say.as_deref(), Some("Mind it"));
    assert_eq!(
        found.reasons[0].outcomes,
        [Outcome::Warn, Outcome::ReadOnly]
    );
    assert_eq!(
        (found.risk, found.read_only, found.friction),
        (Risk::Low, true, Friction::Warn)
    );
}

/// A policy that cannot be saved, in a set of its own: rule (e) is what keeps it out.
fn failing(action: Action, effect: &str) -> Sets {
    let rule = |id: &str| Rule {
        id: id.into(),
        say: None,
        outcomes: vec![Outcome::Warn],
        risk: Risk::Low,
    };
    let of = |id: &str, effect: &str, condition: &str| {
        let action = action.as_str();
        let text = format!(
            "{effect}(principal, action == Action::\"{action}\", resource) when {{ {condition} }};"
        );
        Policy::parse(Some(PolicyId::new(id)), text).unwrap()
    };
    let overflow = of(
        "bad",
        effect,
        "context.client.quality * 9223372036854775807 > 0",
    );
    let good = of("good", "permit", "true");
    let (bad_rule, good_rule, needs) = (rule("bad"), rule("good"), Needs::everything());
    let member = |policy, rule| Member {
        action,
        shadow: false,
        policy,
        rule,
        needs: &needs,
    };
    Sets::new(&[member(&overflow, &bad_rule), member(&good, &good_rule)]).unwrap()
}

/// Cedar skips a policy that fails: a `forbid` with an overflow forbids nothing (A, results).
#[test]
fn a_flag_that_fails_holds_the_request() {
    let facts = samples::of_standing(Standing::FirstParty);
    let found = Policies::of(failing(Action::Flag, "permit"), Vec::new()).assess(&facts);
    assert_eq!((found.trust, found.risk), (Trust::Held, Risk::Raised));
    assert!(found.faults[0].contains("bad"), "{:?}", found.faults);
    let ids: Vec<_> = found
        .reasons
        .iter()
        .map(|reason| reason.policy.as_str())
        .collect();
    assert_eq!(ids, ["good", POLICY_ERROR]);
}

#[test]
fn a_policy_that_fails_in_phase_3_refuses_though_another_permits() {
    let clean = Assessment::clean(Standing::Known);
    let facts = samples::of_standing(Standing::Known);
    for effect in ["permit", "forbid"] {
        let found = Policies::of(failing(Action::Register, effect), Vec::new()).admits(
            Arrival::Register,
            &facts,
            &clean,
        );
        assert!(!found.allowed, "{effect}");
        assert_eq!(found.reasons[0], POLICY_ERROR);
        let policies = Policies::of(failing(Action::Grant, effect), Vec::new());
        assert!(
            !granted(&policies, Stage::Grant, Access::Read, false).allowed,
            "{effect}"
        );
    }
}

/// (g): what rule (e) would let through, the dry run finds.
#[test]
fn the_dry_run_finds_a_policy_that_fails() {
    for action in Action::ALL {
        let found = corpus::faults(&failing(*action, "permit"));
        assert!(
            found.iter().any(|fault| fault.contains("bad")),
            "{action:?}: {found:?}"
        );
    }
}

fn granted(policies: &Policies, stage: Stage, access: Access, read_only: bool) -> Verdict {
    let (scope, client) = (
        samples::scope("mcp:use", access),
        samples::newcomer().client,
    );
    let asked = ScopeAsked {
        resource: "https://mcp.example/",
        scope: &scope,
        client: &client,
        ceiling: Ceiling {
            trust: Trust::Unverified,
            risk: Risk::Raised,
            read_only,
        },
        missing: &BTreeSet::new(),
    };
    let person = Person {
        id: "u_1",
        groups: &["staff".to_owned()],
    };
    policies.grants(stage, Principal::Person(&person), &asked)
}

/// Design 6, the example: the presets' ceiling at raised risk, at both stages.
#[test]
fn a_ceiling_of_read_only_refuses_every_other_scope() {
    for preset in [Preset::Balanced, Preset::Strict] {
        let policies = Policies::preset(preset);
        for stage in [Stage::Grant, Stage::Refresh] {
            assert!(granted(&policies, stage, Access::Read, true).allowed);
            for access in [Access::Write, Access::Destructive] {
                let found = granted(&policies, stage, access, true);
                assert!(!found.allowed);
                assert!(found.reasons[0].contains("read-only"), "{found:?}");
            }
        }
    }
    assert!(
        granted(
            &Policies::preset(Preset::Balanced),
            Stage::Grant,
            Access::Write,
            false
        )
        .allowed
    );
}

#[test]
fn what_no_policy_permits_is_refused_with_a_reason_of_its_own() {
    let text = BASE.replace(
        "action == Action::\"grant\", resource)",
        "action == Action::\"grant\", resource) when { resource.name == \"other\" }",
    );
    let found = granted(
        &Policies::compile(&text).unwrap(),
        Stage::Grant,
        Access::Read,
        false,
    );
    assert_eq!(
        (found.allowed, found.reasons),
        (false, vec![NOT_PERMITTED.to_owned()])
    );
}

/// The scope, its resource and the person with their groups are there to be looked at.
#[test]
fn policies_see_the_resource_the_scope_and_the_groups() {
    let only = |condition: &str| {
        let text = BASE.replace(
            "Action::\"grant\", resource)",
            &format!("Action::\"grant\", resource) when {{ {condition} }}"),
        );
        granted(
            &Policies::compile(&text).unwrap(),
            Stage::Grant,
            Access::Write,
            false,
        )
        .allowed
    };
    #[rustfmt::skip]
    let cases = [
        ("resource in Resource::\"https://mcp.example/\"",  true),
        ("resource in Resource::\"https://mcp.example\"",   false),
        ("resource.name == \"mcp:use\"",                    true),
        ("resource.access == Access::\"write\"",            true),
        ("resource.access == Access::\"read\"",             false),
        ("principal in Group::\"staff\"",                   true),
        ("principal in Group::\"admins\"",                  false),
        ("principal is User",                               true),
        ("principal is Client",                             false),
        ("principal == User::\"u_1\"",                      true),
    ];
    for (condition, expected) in cases {
        assert_eq!(only(condition), expected, "{condition}");
    }
}

#[test]
fn authorize_sees_the_person_the_resource_and_the_age_of_the_sign_in() {
    let text = BASE.replace("@id(\"a\")", "@id(\"old\") forbid(principal, action == Action::\"authorize\", resource == Resource::\"https://mcp.example/\") when { context.auth_age_s > 600 && !(principal in Group::\"admins\") };\n@id(\"a\")");
    let policies = Policies::compile(&text).unwrap();
    let (facts, admins) = (samples::newcomer(), ["admins".to_owned()]);
    let assessment = policies.assess(&facts);
    #[rustfmt::skip]
    let cases = [
        ("https://mcp.example/",   &[][..],     600,      true,  "a"),
        ("https://mcp.example/",   &[],         601,      false, "old"),
        ("https://mcp.example/",   &[],         u64::MAX, false, "old"),
        ("https://other.example/", &[],         601,      true,  "a"),
        ("https://mcp.example/",   &admins[..], 601,      true,  "a"),
    ];
    for (resource, groups, age, allowed, reason) in cases {
        let person = Person { id: "u_1", groups };
        let found = policies.authorizes(&person, resource, &facts, &assessment, age);
        assert_eq!(
            (found.allowed, found.reasons),
            (allowed, vec![reason.to_owned()]),
            "{resource} {age}"
        );
    }
}

#[test]
fn a_blocked_client_does_not_come_in_whatever_is_permitted() {
    let policies = Policies::preset(Preset::Balanced);
    let mut facts = samples::newcomer();
    facts.source.listed = true;
    let found = policies.admits(Arrival::Register, &facts, &policies.assess(&facts));
    assert_eq!(
        (found.allowed, found.reasons),
        (false, vec!["source-listed".to_owned()])
    );
}

/// Phase 3 sees what phases 1 and 2 found.
#[test]
fn arrivals_see_trust_and_risk() {
    let text = "@id(\"not-held\") forbid(principal, action == Action::\"register\", resource) when { context.trust == Trust::\"held\" && context.risk == Risk::\"raised\" };".to_owned()
        + &flag("@id(\"h\") @outcome(\"hold\")", "context.client.reports > 2");
    let policies = compile(&text);
    let mut facts = samples::newcomer();
    let admits = |facts: &Facts, arrival| {
        policies
            .admits(arrival, facts, &policies.assess(facts))
            .allowed
    };
    assert!(admits(&facts, Arrival::Register));
    facts.client.reports = 3;
    assert!(!admits(&facts, Arrival::Register));
    assert!(admits(&facts, Arrival::Appear));
}

// --- Memory ------------------------------------------------------------------------------------

#[test]
fn equal_facts_are_decided_once() {
    let policies = Policies::compile(crate::preset_text(Preset::Balanced)).unwrap();
    let first = policies.assess(&samples::newcomer());
    assert!(Arc::ptr_eq(&first, &policies.assess(&samples::newcomer())));
    let mut other = samples::newcomer();
    other.client.reports = 5;
    assert!(!Arc::ptr_eq(&first, &policies.assess(&other)));
    for _ in 0..2 {
        policies.admits(Arrival::Register, &other, &first);
        policies.admits(Arrival::Appear, &other, &first);
        granted(&policies, Stage::Grant, Access::Read, false);
        granted(&policies, Stage::Refresh, Access::Read, false);
        granted(&policies, Stage::Refresh, Access::Write, true);
    }
    assert_eq!(policies.remembered(), (2, 2, 3));
}

// --- Shadow ------------------------------------------------------------------------------------

/// Design-details A.5.
#[test]
fn a_shadow_policy_shows_what_it_would_have_changed_and_nothing_else() {
    let shadow = "@mode(\"shadow\") ";
    let live = flag(
        "@id(\"live\") @outcome(\"warn\")",
        "context.client.days_known < 1",
    );
    let holds = flag(
        &format!("@id(\"holds\") {shadow}@outcome(\"hold, warn\")"),
        "context.client.days_known < 1",
    );
    let idle = flag(
        &format!("@id(\"idle\") {shadow}@outcome(\"block\")"),
        "context.source.listed",
    );
    let same = flag(
        &format!("@id(\"same\") {shadow}@outcome(\"warn\")"),
        "context.client.days_known < 1",
    );
    let facts = samples::newcomer();
    let without = assessed(&live, &facts);
    let with = assessed(&format!("{live}{holds}{idle}{same}"), &facts);
    let found: Vec<_> = with
        .shadow
        .iter()
        .map(|d| (d.policy.as_str(), d.outcomes.clone()))
        .collect();
    assert_eq!(found, [("holds", vec![Outcome::Hold, Outcome::Warn])]);
    assert_eq!(
        Assessment {
            shadow: Vec::new(),
            ..with
        },
        without
    );

    let refuses = "@id(\"refuses\") @mode(\"shadow\") forbid(principal, action == Action::\"grant\", resource) when { resource.access == Access::\"write\" };";
    let policies = compile(refuses);
    let (read, write) = (
        granted(&policies, Stage::Grant, Access::Read, false),
        granted(&policies, Stage::Grant, Access::Write, false),
    );
    assert_eq!((read.allowed, read.shadow), (true, vec![]));
    assert_eq!(
        (write.allowed, write.shadow),
        (true, vec!["refuses".to_owned()])
    );
    assert_eq!(write.reasons, ["g"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The balanced preset with every flag in the shadow decides as if it had none.
    #[test]
    fn shadow_policies_change_nothing_but_the_log(facts in samples::any_facts()) {
        let text = crate::preset_text(Preset::Strict).replace("@outcome", "@mode(\"shadow\") @outcome");
        let (shadowed, bare) = (cached(&text), cached(BASE));
        let (with, without) = (shadowed.assess(&facts), bare.assess(&facts));
        let with_log_cut = Assessment { shadow: Vec::new(), ..with.as_ref().clone() };
        prop_assert_eq!(&with_log_cut, without.as_ref());
        let live = Policies::preset(Preset::Strict).assess(&facts);
        let changes = Assessment { reasons: Vec::new(), ..live.as_ref().clone() } != *without;
        prop_assert_eq!(!with.shadow.is_empty(), changes, "{:?}", with.shadow);
    }

    /// Contexts and entities go to Cedar unchecked, because each of them would pass.
    #[test]
    fn every_context_meets_the_schema(facts in samples::any_facts(), read_only: bool, age: u64) {
        let (schema, all, known) = (&*terms::SCHEMA, Needs::everything(), (Trust::Known, Risk::Low));
        let person = Person { id: "u_1", groups: &["a".to_owned(), "a".to_owned(), String::new()] };
        let scope = samples::scope("mcp:use", Access::Write);
        let ceiling = Ceiling { trust: Trust::Held, risk: Risk::High, read_only };
        let resource = "https://mcp.example/";
        let of_scope = |action, who| {
            let context = terms::scope_context(&facts.client, &all, ceiling, &facts.missing).unwrap();
            (terms::principal(who), action, terms::scope(resource, &scope), context)
        };
        let arrival = |action| {
            let context = terms::request_context(&facts, &all, known, None).unwrap();
            (terms::the_client(), action, terms::the_hub(), context)
        };
        let authorize = terms::request_context(&facts, &all, known, Some(age)).unwrap();
        for (principal, action, resource, context) in [
            (terms::the_client(), Action::Flag, terms::the_hub(), terms::flag_context(&facts, &all).unwrap()),
            arrival(Action::Register),
            arrival(Action::Appear),
            (terms::user(&person), Action::Authorize, terms::resource(resource), authorize),
            of_scope(Action::Grant, Principal::Client),
            of_scope(Action::Refresh, Principal::Person(&person)),
        ] {
            let request = Request::new(principal, terms::action(action), resource, context, Some(schema));
            prop_assert!(request.is_ok(), "{:?}: {:?}", action, request.err());
        }
        for entities in [
            terms::person_entities(&person, resource).unwrap(),
            terms::scope_entities(Principal::Client, resource, &scope).unwrap(),
            terms::scope_entities(Principal::Person(&person), resource, &scope).unwrap(),
        ] {
            let all = entities.iter().cloned().collect::<Vec<_>>();
            let checked = Entities::from_entities(all, Some(schema));
            prop_assert!(checked.is_ok(), "{:?}", checked.err());
        }
    }

    /// Leaving out of a context what no policy looks at changes nothing.
    #[test]
    fn a_decision_is_the_same_over_all_facts_and_over_those_it_looks_at(
        facts in samples::any_facts(),
        access in prop::sample::select(Access::ALL),
        read_only: bool,
    ) {
        // Always false, and it names everything.
        let looks = "context.client == context.client && context.source == context.source && context.missing.containsAll(context.missing) && context.client.days_known < -1";
        let looks_scope = "context == context && context.client.days_known < -1";
        let more = flag("@id(\"looks\") @outcome(\"block\")", looks)
            + &format!("@id(\"looks-2\") forbid(principal, action == Action::\"register\", resource) when {{ {looks} }};")
            + &format!("@id(\"looks-3\") forbid(principal, action == Action::\"grant\", resource) when {{ {looks_scope} }};");
        for preset in Preset::ALL {
            let all = cached(&format!("{}{more}", crate::preset_text(*preset)));
            let some = Policies::preset(*preset);
            let (over_all, over_some) = (all.assess(&facts), some.assess(&facts));
            prop_assert_eq!(&over_all, &over_some);
            for arrival in [Arrival::Register, Arrival::Appear] {
                let over_all = all.admits(arrival, &facts, &over_all);
                prop_assert_eq!(over_all, some.admits(arrival, &facts, &over_some));
            }
            let scope = samples::scope("mcp:use", access);
            let ceiling = Ceiling { trust: over_some.trust, risk: over_some.risk, read_only };
            let asked = ScopeAsked {
                resource: "https://mcp.example/",
                scope: &scope,
                client: &facts.client,
                ceiling,
                missing: &facts.missing,
            };
            let over_all = all.grants(Stage::Grant, Principal::Client, &asked);
            prop_assert_eq!(over_all, some.grants(Stage::Grant, Principal::Client, &asked));
        }
    }

    /// No facts make a preset fail or panic, and what was once restricted stays so when one more
    /// thing speaks against the client.
    #[test]
    fn presets_decide_everything_and_only_restrict(facts in samples::any_facts()) {
        for preset in Preset::ALL {
            let policies = Policies::preset(*preset);
            let before = policies.assess(&facts);
            prop_assert!(before.faults.is_empty());
            prop_assert!(before.trust >= crate::trust_of(facts.client.standing));
            let mut worse = facts.clone();
            worse.source.bad_reputation = true;
            worse.client.lookalike_of = Some("Known".into());
            worse.client.reports = worse.client.reports.max(5);
            worse.score = Some(worse.score.unwrap_or(0).max(80));
            let after = policies.assess(&worse);
            prop_assert!(after.trust >= before.trust && after.risk >= before.risk);
            prop_assert!(after.read_only >= before.read_only && after.friction >= before.friction);
            let verdict = policies.admits(Arrival::Register, &facts, &before);
            prop_assert_eq!(verdict.allowed, before.trust != Trust::Blocked);
        }
    }

    /// No honest known client is held, blocked or cut, whatever its requests look like.
    #[test]
    fn a_standing_outlasts_every_signal_but_an_admins_list(
        facts in samples::any_facts(),
        standing in prop::sample::select(&[Standing::FirstParty, Standing::Verified, Standing::Known][..]),
    ) {
        let mut facts = facts;
        facts.client.standing = standing;
        facts.source.listed = false;
        for preset in Preset::ALL {
            let found = Policies::preset(*preset).assess(&facts);
            prop_assert_eq!(found.as_ref(), &Assessment::clean(standing), "{:?}", preset);
        }
    }

    /// A live flag more, whatever it says, widens nothing.
    #[test]
    fn one_more_policy_never_widens_a_decision(
        facts in samples::any_facts(),
        outcome in prop::sample::select(Outcome::ALL),
    ) {
        let more = flag(&format!("@id(\"more\") @outcome(\"{}\")", outcome.as_str()), "context.client.days_known >= 0");
        let text = format!("{}{more}", crate::preset_text(Preset::Balanced));
        let (before, after) = (Policies::preset(Preset::Balanced).assess(&facts), cached(&text).assess(&facts));
        prop_assert!(after.trust >= before.trust && after.risk >= before.risk);
        prop_assert!(after.read_only >= before.read_only);
        prop_assert!(after.short_session >= before.short_session);
        prop_assert!(after.friction >= before.friction);
        prop_assert_eq!(after.reasons.len(), before.reasons.len() + 1);
    }

    /// Hostile text, whole or cut: an answer, never a panic.
    #[test]
    fn no_text_makes_the_compiler_panic(at in 0..8_000_usize, cut in 0..400_usize, noise in "\\PC{0,12}") {
        let text = crate::preset_text(Preset::Balanced);
        let (before, rest) = text.split_at(text.floor_char_boundary(at.min(text.len())));
        let (_, after) = rest.split_at(rest.floor_char_boundary(cut.min(rest.len())));
        let mangled = format!("{before}{noise}{after}");
        if let Err(problems) = Policies::compile(&mangled) {
            prop_assert!(!problems.is_empty());
        }
    }
}

/// Compiling takes milliseconds, and a property asks for the same few texts many times.
fn cached(text: &str) -> Arc<Policies> {
    use std::{collections::HashMap, sync::Mutex};
    static COMPILED: Mutex<Option<HashMap<String, Arc<Policies>>>> = Mutex::new(None);
    let mut compiled = COMPILED.lock().unwrap();
    let compiled = compiled.get_or_insert_default();
    let policies = compiled.entry(text.to_owned());
    Arc::clone(policies.or_insert_with(|| Arc::new(Policies::compile(text).unwrap())))
}

#[test]
fn an_address_is_one_that_policies_can_range_over() {
    let text = flag(
        "@id(\"range\") @outcome(\"warn\")",
        "context.source.ip.isInRange(ip(\"192.0.2.0/24\"))",
    );
    let policies = compile(&text);
    for (ip, fired) in [
        ("192.0.2.77", 1),
        ("::ffff:192.0.2.77", 1),
        ("192.0.3.1", 0),
        ("2001:db8::1", 0),
    ] {
        let mut facts = samples::newcomer();
        facts.source.ip = std::net::IpAddr::from_str(ip).unwrap();
        assert_eq!(policies.assess(&facts).reasons.len(), fired, "{ip}");
    }
}
