//! The ceiling, as a property (invariant 2): whatever clients, people and admins do in whatever
//! order, no issued token exceeds what trust and risk are worth at that moment, and none has a scope
//! that a person did not allow.
//!
//! The ceiling is computed here a second time, from the words of the presets and the numbers of the
//! table that is in force, without Cedar and without the engine's own functions.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "what surprises a test should end it"
)]

mod support;

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use proptest::{
    prelude::*,
    sample::select,
    test_runner::{Config, TestRunner},
};
use serde_json::json;
use support::{visit::*, *};
use vestibule_engine::{SettingsChange, SignalFiles, Step};
use vestibule_policy::{
    Consent, Power, PowerTable, RefreshLife, ScopeCeiling, preset_text,
    signals::address_list::{AddressList, NamedLists},
};
use vestibule_protocol::{
    audit::Actor,
    scope::ScopeSet,
    trust::{Preset, Standing},
};
use vestibule_store::standings::{SubjectKind, Word};

/// Cases of the property; each is a hub of its own with [`STEPS_MAX`] steps at most.
const CASES: u32 = 24;
const STEPS_MAX: usize = 80;

const SCOPES: [&str; 3] = ["mcp:read", "mcp:write", "mcp:delete"];
const CLAUDE: &str = "https://claude.ai/oauth/mcp-oauth-client-metadata";
const CLAUDE_CALLBACK: &str = "https://claude.ai/api/mcp/auth_callback";
const GOOD: &str = "203.0.113.5";
/// An address with a bad reputation.
const BAD: &str = "198.51.100.7";

/// Rules that are added to a preset, and what they mean.
const RULES: [&str; 5] = [
    // Registered clients do not delete.
    r#"@id("house-0") forbid(principal, action == Action::"grant", resource)
when { context.client.door == Door::"dcr" && resource.name == "mcp:delete" };
@id("house-0-refresh") forbid(principal, action == Action::"refresh", resource)
when { context.client.door == Door::"dcr" && resource.name == "mcp:delete" };"#,
    // Known clients only look.
    r#"@id("house-1") @outcome("read_only") @say("House") permit(principal, action == Action::"flag", resource)
when { context.client.standing == Trust::"known" };"#,
    // Everybody stays for a short time.
    r#"@id("house-2") @outcome("short_session") @say("House") permit(principal, action == Action::"flag", resource);"#,
    // Writing is not refreshed.
    r#"@id("house-3") forbid(principal, action == Action::"refresh", resource)
when { resource.access == Access::"write" };"#,
    // Documents ask for a fresh sign-in.
    r#"@id("house-4") @outcome("step_up") @risk("low") @say("House") permit(principal, action == Action::"flag", resource)
when { context.client.door == Door::"cimd" };"#,
];

/// How a client comes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    /// It registers, under this name and from there.
    Registered { imitates: bool, bad: bool },
    /// It has a document.
    Document { imitates: bool },
    /// The catalogue knows it.
    Known,
    /// An admin made it, and it acts for itself.
    Machine,
}

/// One step.
#[derive(Clone, Debug)]
enum Op {
    Ask {
        client: usize,
        scopes: u8,
        ticks: u8,
        bad: bool,
        /// The code is redeemed at once, as most are.
        at_once: bool,
    },
    Redeem {
        code: usize,
    },
    Refresh {
        session: usize,
        scopes: Option<u8>,
    },
    ActForItself {
        client: usize,
        scopes: Option<u8>,
    },
    Policies {
        preset: Preset,
        rules: u8,
    },
    Table(Box<PowerTable>),
    Preset(Preset),
    Vouch {
        client: usize,
        word: Option<Word>,
    },
    Wait(u64),
}

fn any_kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        3 => any::<(bool, bool)>().prop_map(|(imitates, bad)| Kind::Registered { imitates, bad }),
        2 => any::<bool>().prop_map(|imitates| Kind::Document { imitates }),
        1 => Just(Kind::Known),
        1 => Just(Kind::Machine),
    ]
}

/// A table in order: what is drawn is sorted by power.
fn any_table() -> impl Strategy<Value = PowerTable> {
    let ceilings = prop_oneof![
        1 => Just(ScopeCeiling::Nothing),
        3 => Just(ScopeCeiling::ReadOnly),
        12 => Just(ScopeCeiling::All),
    ];
    (
        prop::collection::vec(60_u64..=3_600, 5),
        prop::collection::vec(ceilings, 5),
        prop::collection::vec(3_600_u64..=3_000_000, 5),
        2_usize..=12,
    )
        .prop_map(|(mut access, mut scopes, mut lives, without)| {
            access.sort_unstable_by(|a, b| b.cmp(a));
            scopes.sort_unstable_by(|a, b| b.cmp(a));
            lives.sort_unstable_by(|a, b| b.cmp(a));
            let row = |place: usize, consent| Power {
                scopes: scopes[place],
                access_ttl: Duration::from_secs(access[place]),
                refresh: (place < without).then(|| RefreshLife {
                    idle: Duration::from_secs(lives[place] / 2),
                    absolute: Duration::from_secs(lives[place]),
                }),
                consent,
                preticks_destructive: false,
            };
            PowerTable {
                first_party: row(0, Consent::MayRemember),
                verified: row(1, Consent::MayRemember),
                known: row(2, Consent::MayRemember),
                unverified: row(3, Consent::EveryTime),
                unverified_raised: row(4, Consent::Warn),
            }
        })
}

fn any_op() -> impl Strategy<Value = Op> {
    let word = prop_oneof![
        4 => Just(None),
        4 => Just(Some(Word::Verified)),
        1 => Just(Some(Word::Blocked)),
    ];
    let mask = || prop_oneof![1 => 1..8_u8, 1 => Just(7_u8)];
    let ask = (
        0..4_usize,
        mask(),
        mask(),
        any::<bool>(),
        prop::bool::weighted(0.7),
    );
    prop_oneof![
        12 => ask.prop_map(|(client, scopes, ticks, bad, at_once)| Op::Ask {
            client,
            scopes,
            ticks,
            bad,
            at_once,
        }),
        3 => (0..3_usize).prop_map(|code| Op::Redeem { code }),
        14 => (0..8_usize, prop::option::of(1..8_u8))
            .prop_map(|(session, scopes)| Op::Refresh { session, scopes }),
        2 => (0..4_usize, prop::option::of(1..8_u8))
            .prop_map(|(client, scopes)| Op::ActForItself { client, scopes }),
        3 => (select(Preset::ALL), any::<u8>())
            .prop_map(|(preset, rules)| Op::Policies { preset, rules }),
        2 => any_table().prop_map(|table| Op::Table(Box::new(table))),
        2 => select(Preset::ALL).prop_map(Op::Preset),
        2 => (0..4_usize, word).prop_map(|(client, word)| Op::Vouch { client, word }),
        3 => select(vec![1_u64, 20, 400, 4_000, 90_000]).prop_map(Op::Wait),
    ]
}

type Scopes = BTreeSet<&'static str>;

fn scopes_of(mask: u8) -> Scopes {
    let bits = SCOPES.iter().enumerate();
    bits.filter(|(bit, _)| mask & (1 << bit) != 0)
        .map(|(_, scope)| *scope)
        .collect()
}

fn text(scopes: &Scopes) -> String {
    scopes.iter().copied().collect::<Vec<_>>().join(" ")
}

fn parsed(text: &str) -> Scopes {
    let known = |scope: &str| SCOPES.iter().find(|known| **known == scope).copied();
    text.split(' ')
        .map(|scope| known(scope).unwrap_or_else(|| panic!("{scope} was never asked for")))
        .collect()
}

/// What speaks against a client at a moment.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Flags {
    raised: bool,
    read_only: bool,
    short: bool,
}

impl Flags {
    fn and(self, other: Self) -> Self {
        Self {
            raised: self.raised || other.raised,
            read_only: self.read_only || other.read_only,
            short: self.short || other.short,
        }
    }
}

/// What is to be had.
#[derive(Clone, Debug)]
struct Most {
    scopes: Scopes,
    access: u64,
    refresh: Option<u64>,
}

struct Agent {
    kind: Kind,
    client_id: String,
    /// Of a machine.
    authorization: Option<String>,
    word: Option<Word>,
    /// What spoke against it when it registered.
    seen: Flags,
    /// What people ever allowed it.
    allowed: Scopes,
}

/// A grant, as the test remembers it.
#[derive(Clone, Debug)]
struct Yes {
    agent: usize,
    scopes: Scopes,
    flags: Flags,
    ends: u64,
}

struct World {
    hub: Hub,
    agents: Vec<Agent>,
    preset: Preset,
    rules: u8,
    table: PowerTable,
    codes: Vec<(String, Yes)>,
    sessions: Vec<(String, Yes)>,
    issued: usize,
}

impl World {
    fn rule(&self, number: u8) -> bool {
        self.rules & (1 << number) != 0
    }

    fn standing(agent: &Agent) -> Standing {
        match (agent.kind, agent.word) {
            (Kind::Machine, _) => Standing::FirstParty,
            (_, Some(Word::Verified)) => Standing::Verified,
            (Kind::Known, _) => Standing::Known,
            (Kind::Document { .. } | Kind::Registered { .. }, _) => Standing::Unverified,
        }
    }

    /// What the policies in force find, as their texts say in words.
    fn flags(&self, kind: Kind, standing: Standing, bad: bool) -> Flags {
        let mut flags = Flags::default();
        let imitates = match kind {
            Kind::Registered { imitates, .. } | Kind::Document { imitates } => imitates,
            Kind::Known | Kind::Machine => false,
        };
        // The open preset warns, and costs nothing.
        if standing == Standing::Unverified && self.preset != Preset::Open {
            flags.raised |= imitates || bad;
            flags.read_only |= imitates || bad;
            flags.short |= bad;
        }
        if self.rule(1) && standing == Standing::Known {
            flags.raised = true;
            flags.read_only = true;
        }
        flags.short |= self.rule(2) && kind != Kind::Machine;
        flags
    }

    /// The ceiling in force now for what was found.
    fn most(&self, kind: Kind, standing: Standing, flags: Flags, refreshing: bool) -> Most {
        let row = match standing {
            Standing::FirstParty => self.table.first_party,
            Standing::Verified => self.table.verified,
            Standing::Known => self.table.known,
            Standing::Unverified if flags.raised => self.table.unverified_raised,
            Standing::Unverified => self.table.unverified,
        };
        let strict = self.preset == Preset::Strict && standing == Standing::Unverified;
        let looks_only = flags.read_only || row.scopes == ScopeCeiling::ReadOnly || strict;
        let mut scopes: Scopes = SCOPES.into_iter().collect();
        if looks_only {
            scopes.retain(|scope| *scope == "mcp:read");
        }
        if row.scopes == ScopeCeiling::Nothing {
            scopes.clear();
        }
        if self.rule(0) && matches!(kind, Kind::Registered { .. }) {
            scopes.remove("mcp:delete");
        }
        if self.rule(3) && refreshing {
            scopes.remove("mcp:write");
        }
        let shorten = |seconds: u64, short: u64| {
            if flags.short {
                seconds.min(short)
            } else {
                seconds
            }
        };
        Most {
            scopes,
            access: shorten(row.access_ttl.as_secs(), 300),
            refresh: row
                .refresh
                .map(|life| shorten(life.absolute.as_secs(), 8 * 3_600)),
        }
    }

    async fn arrive(&mut self, kind: Kind, number: usize) {
        let name = |imitates: bool| if imitates { "Claude" } else { "Agent" };
        let mut authorization = None;
        let client_id = match kind {
            Kind::Registered { imitates, bad } => {
                let mut body = public_client();
                body["client_name"] = json!(name(imitates));
                let ip = if bad { BAD } else { GOOD };
                let registered = self.hub.register_from(&body, ip).await.unwrap();
                registered.client_id().to_owned()
            }
            Kind::Document { imitates } => {
                let url = format!("https://agent.example/client-{number}.json");
                let more = json!({"client_name": name(imitates)});
                self.hub.serve_document_at(&url, &more);
                url
            }
            Kind::Known => {
                let more = json!({"client_name": "Claude", "redirect_uris": [CLAUDE_CALLBACK]});
                self.hub.serve_document_at(CLAUDE, &more);
                CLAUDE.to_owned()
            }
            Kind::Machine => {
                let scopes = ScopeSet::from_text("mcp:read mcp:write");
                let made = self
                    .hub
                    .engine
                    .add_machine_client("Job", scopes, Actor::System);
                let made = made.await.unwrap();
                authorization = Some(basic(&made.client_id, made.client_secret.expose()));
                made.client_id
            }
        };
        let seen = match kind {
            Kind::Registered { bad, .. } => self.flags(kind, Standing::Unverified, bad),
            Kind::Document { .. } | Kind::Known | Kind::Machine => Flags::default(),
        };
        self.agents.push(Agent {
            kind,
            client_id,
            authorization,
            word: None,
            seen,
            allowed: Scopes::new(),
        });
    }

    fn redirect(&self, agent: usize) -> &'static str {
        match self.agents[agent].kind {
            Kind::Known => CLAUDE_CALLBACK,
            Kind::Document { .. } | Kind::Machine | Kind::Registered { .. } => CALLBACK,
        }
    }

    async fn ask(&mut self, agent: usize, asked: &Scopes, ticks: &Scopes, bad: bool) {
        let ip = if bad { BAD } else { GOOD };
        let redirect = self.redirect(agent);
        let client_id = self.agents[agent].client_id.clone();
        let scope = text(asked);
        let more = [("redirect_uri", redirect), ("scope", scope.as_str())];
        let mut visit = Visit::signed_in(&self.hub, "ada").await;
        visit.browser.source = source_of(ip);
        let (step, ticked) = match visit.ask(&client_id, &more).await {
            // A form may be sent with ticks that were never offered.
            Step::Consent(page) => {
                let ticks: Vec<&str> = ticks.iter().copied().collect();
                (visit.confirm(&page, &ticks).await, true)
            }
            other => (other, false),
        };
        let Step::Redirect(location) = step else {
            return;
        };
        let Some(code) = answer(&location, "code") else {
            return;
        };
        let known = &self.agents[agent];
        assert_ne!(
            known.word,
            Some(Word::Blocked),
            "a blocked client got a code"
        );
        let standing = Self::standing(known);
        let mut flags = self.flags(known.kind, standing, bad);
        if standing == Standing::Unverified {
            flags = flags.and(known.seen);
        }
        let most = self.most(known.kind, standing, flags, false);
        let mut scopes: Scopes = asked & &most.scopes;
        if ticked {
            scopes = &scopes & ticks;
        } else {
            // Remembered: only what was allowed before, and only where the table lets it.
            assert!(asked.is_subset(&known.allowed) || scopes.is_subset(&known.allowed));
            assert_ne!(standing, Standing::Unverified, "a stranger was remembered");
        }
        assert!(!scopes.is_empty(), "a code for nothing");
        let lasts = most.refresh.unwrap_or(most.access).max(300);
        let ends = self.hub.now().seconds() + lasts;
        let yes = Yes {
            agent,
            scopes: scopes.clone(),
            flags,
            ends,
        };
        self.agents[agent].allowed.extend(scopes);
        self.codes.push((code, yes));
    }

    /// Hold a token against what is to be had now.
    fn check(
        &mut self,
        tokens: &vestibule_protocol::token_response::TokenResponse,
        most: &Most,
        allowed: &Scopes,
        ends: Option<u64>,
    ) {
        let body = claims(&tokens.access_token);
        let scopes = parsed(body["scope"].as_str().unwrap());
        assert_eq!(scopes, parsed(&tokens.scope));
        assert!(
            scopes.is_subset(allowed),
            "{scopes:?} of {allowed:?} granted"
        );
        assert!(scopes.is_subset(&most.scopes), "{scopes:?} of {most:?}");
        let (from, until) = (body["iat"].as_u64().unwrap(), body["exp"].as_u64().unwrap());
        assert_eq!(from, self.hub.now().seconds());
        assert!(
            until - from <= most.access,
            "{} s of {most:?}",
            until - from
        );
        assert!(until - from <= 3_600);
        if let Some(ends) = ends {
            assert!(until <= ends, "a token outlives its grant");
        }
        if tokens.refresh_token.is_some() {
            assert!(
                most.refresh.is_some(),
                "a refresh token where there is none"
            );
        }
        self.issued += 1;
    }

    async fn redeem(&mut self, code: usize) {
        if self.codes.is_empty() {
            return;
        }
        let (code, yes) = self.codes.remove(code % self.codes.len());
        let given = Given {
            code,
            client_id: self.agents[yes.agent].client_id.clone(),
            grant: vestibule_protocol::ids::GrantId::new("g_unknown"),
        };
        let more = [("redirect_uri", self.redirect(yes.agent))];
        let Ok(tokens) = self.hub.redeem_with(&given, &more, None).await else {
            return;
        };
        let agent = &self.agents[yes.agent];
        assert_ne!(
            agent.word,
            Some(Word::Blocked),
            "a blocked client got a token"
        );
        let most = self.most(agent.kind, Self::standing(agent), yes.flags, false);
        self.check(&tokens, &most, &yes.scopes, Some(yes.ends));
        if let Some(refresh) = tokens.refresh_token {
            self.sessions.push((refresh, yes));
        }
    }

    async fn refresh(&mut self, session: usize, wanted: Option<u8>) {
        if self.sessions.is_empty() {
            return;
        }
        let session = session % self.sessions.len();
        let (token, yes) = self.sessions[session].clone();
        let id = self.agents[yes.agent].client_id.clone();
        let scope = wanted.map(|mask| text(&scopes_of(mask)));
        let more: Vec<(&str, &str)> = scope.iter().map(|text| ("scope", text.as_str())).collect();
        let Ok(tokens) = self.hub.refresh(&id, &token, &more).await else {
            return;
        };
        let agent = &self.agents[yes.agent];
        assert_ne!(
            agent.word,
            Some(Word::Blocked),
            "a blocked client refreshed"
        );
        let most = self.most(agent.kind, Self::standing(agent), yes.flags, true);
        let allowed =
            wanted.map_or_else(|| yes.scopes.clone(), |mask| &yes.scopes & &scopes_of(mask));
        assert!(
            self.hub.now().seconds() < yes.ends,
            "a grant outlived itself"
        );
        self.check(&tokens, &most, &allowed, Some(yes.ends));
        if let Some(next) = tokens.refresh_token {
            self.sessions[session].0 = next;
        }
    }

    async fn act_for_itself(&mut self, agent: usize, wanted: Option<u8>) {
        let known = &self.agents[agent];
        let mut list = vec![("grant_type", "client_credentials"), ("resource", NOTES)];
        let scope = wanted.map(|mask| text(&scopes_of(mask)));
        list.extend(scope.iter().map(|text| ("scope", text.as_str())));
        let kind = known.kind;
        let authorization = known.authorization.clone();
        if authorization.is_none() {
            list.push(("client_id", known.client_id.as_str()));
        }
        let answer = self.hub.token(&list, authorization.as_deref()).await;
        let Ok(tokens) = answer else { return };
        assert_eq!(kind, Kind::Machine, "a stranger acts for itself");
        let most = self.most(kind, Standing::FirstParty, Flags::default(), false);
        let own: Scopes = ["mcp:read", "mcp:write"].into();
        let allowed = wanted.map_or_else(|| own.clone(), |mask| &own & &scopes_of(mask));
        assert!(tokens.refresh_token.is_none());
        self.check(&tokens, &most, &allowed, None);
    }

    async fn take(&mut self, op: &Op) {
        let count = self.agents.len();
        match op {
            Op::Ask {
                client,
                scopes,
                ticks,
                bad,
                at_once,
            } => {
                let (asked, ticks) = (scopes_of(*scopes), scopes_of(*ticks));
                let before = self.codes.len();
                self.ask(client % count, &asked, &ticks, *bad).await;
                if *at_once && self.codes.len() > before {
                    self.redeem(before).await;
                }
            }
            Op::Redeem { code } => self.redeem(*code).await,
            Op::Refresh { session, scopes } => self.refresh(*session, *scopes).await,
            Op::ActForItself { client, scopes } => {
                self.act_for_itself(client % count, *scopes).await;
            }
            Op::Policies { preset, rules } => {
                let on = RULES.iter().enumerate();
                let on = on.filter(|(bit, _)| rules & (1 << bit) != 0);
                let mut policies = preset_text(*preset).to_owned();
                on.for_each(|(_, rule)| {
                    policies.push('\n');
                    policies.push_str(rule);
                });
                let seq = self.hub.engine.policy_text().await.unwrap().seq;
                let engine = &self.hub.engine;
                let saved = engine.save_policy(&policies, seq, "a test", Actor::System);
                saved.await.unwrap();
                (self.preset, self.rules) = (*preset, *rules);
            }
            Op::Table(table) => {
                let change = SettingsChange::Power(table.clone());
                self.hub.change(change).await;
                self.table = **table;
            }
            Op::Preset(preset) => {
                let engine = &self.hub.engine;
                engine.use_preset(*preset, Actor::System).await.unwrap();
                (self.preset, self.rules) = (*preset, 0);
                self.table = PowerTable::preset(*preset);
            }
            Op::Vouch { client, word } => self.vouch(client % count, *word).await,
            Op::Wait(seconds) => self.hub.advance(*seconds).await,
        }
    }

    async fn vouch(&mut self, agent: usize, word: Option<Word>) {
        let known = &mut self.agents[agent];
        if known.kind == Kind::Machine {
            return;
        }
        let (kind, text) = (SubjectKind::Client, known.client_id.as_str());
        let engine = &self.hub.engine;
        match word {
            Some(word) => {
                let said = engine.say(kind, text, word, "a test", None, "root");
                said.await.unwrap();
            }
            None => {
                engine.unsay(kind, text, "root").await.unwrap();
            }
        }
        known.word = word;
        if word == Some(Word::Blocked) {
            // Its grants ended with it.
            self.codes.retain(|(_, yes)| yes.agent != agent);
            self.sessions.retain(|(_, yes)| yes.agent != agent);
        }
    }
}

async fn live_through(kinds: &[Kind], ops: &[Op]) -> usize {
    let hub = Hub::start().await;
    let list = AddressList::parse(BAD).unwrap();
    hub.engine.replace_signal_files(SignalFiles {
        reputation: Some(NamedLists::new(vec![("test".to_owned(), list)])),
        ..SignalFiles::default()
    });
    let mut world = World {
        hub,
        agents: Vec::new(),
        preset: Preset::Balanced,
        rules: 0,
        table: PowerTable::preset(Preset::Balanced),
        codes: Vec::new(),
        sessions: Vec::new(),
        issued: 0,
    };
    for (number, kind) in kinds.iter().enumerate() {
        // The catalogue knows one by its exact id, so there is one of it.
        let kind = match kind {
            Kind::Known if kinds[..number].contains(kind) => Kind::Document { imitates: false },
            other => *other,
        };
        world.arrive(kind, number).await;
    }
    for op in ops {
        world.take(op).await;
    }
    world.issued
}

/// RI-08, R12, invariant 2: over every path, refresh and client credentials included.
#[test]
fn no_token_ever_exceeds_the_ceiling_in_force() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let issued = Cell::new(0);
    let mut runner = TestRunner::new(Config {
        cases: CASES,
        max_shrink_iters: 100,
        failure_persistence: None,
        ..Config::default()
    });
    let strategy = (
        prop::collection::vec(any_kind(), 2..=4),
        prop::collection::vec(any_op(), 20..=STEPS_MAX),
    );
    let result = runner.run(&strategy, |(kinds, ops)| {
        let count = runtime.block_on(live_through(&kinds, &ops));
        issued.set(issued.get() + count);
        Ok(())
    });
    result.unwrap_or_else(|failure| panic!("{failure}"));
    // A property over nothing would hold too.
    println!("{} tokens in {CASES} cases", issued.get());
    assert!(issued.get() > 5 * CASES as usize, "{}", issued.get());
}

/// The way down, step by step: each change narrows what the same grant is worth at its next use.
#[tokio::test]
async fn a_grant_is_worth_what_holds_at_each_use() {
    let hub = Hub::start().await;
    let registered = hub.register(&public_client()).await;
    let id = registered.client_id();
    let mut visit = Visit::signed_in(&hub, "ada").await;
    let page = consent(
        visit
            .ask(id, &[("scope", "mcp:read mcp:write mcp:delete")])
            .await,
    );
    let location = redirect(visit.allow(&page, &offered(&page)).await);
    let given = Given {
        code: answer(&location, "code").unwrap(),
        client_id: id.to_owned(),
        grant: vestibule_protocol::ids::GrantId::new("g_unknown"),
    };
    let tokens = hub.redeem(&given).await.unwrap();
    let mut refresh = tokens.refresh_token.unwrap();
    let mut worth: BTreeMap<&str, (Scopes, u64)> = BTreeMap::new();
    let nothing = PowerTable {
        unverified: Power {
            scopes: ScopeCeiling::Nothing,
            ..PowerTable::preset(Preset::Strict).unverified
        },
        unverified_raised: Power {
            scopes: ScopeCeiling::Nothing,
            ..PowerTable::preset(Preset::Strict).unverified_raised
        },
        ..PowerTable::preset(Preset::Strict)
    };
    for step in ["as given", "strict", "vouched for", "not any more", "open"] {
        match step {
            "strict" => {
                let used = hub.engine.use_preset(Preset::Strict, Actor::System).await;
                used.unwrap();
            }
            "vouched for" => {
                let kind = SubjectKind::Client;
                let said = hub.engine.say(kind, id, Word::Verified, "", None, "root");
                said.await.unwrap();
            }
            "not any more" => {
                hub.engine
                    .unsay(SubjectKind::Client, id, "root")
                    .await
                    .unwrap();
            }
            "open" => {
                let used = hub.engine.use_preset(Preset::Open, Actor::System).await;
                used.unwrap();
            }
            _ => {}
        }
        let next = hub.refresh(id, &refresh, &[]).await.unwrap();
        worth.insert(step, (parsed(&next.scope), next.expires_in));
        refresh = next.refresh_token.unwrap();
    }
    let (all, look): (Scopes, Scopes) = (SCOPES.into(), ["mcp:read"].into());
    let expected = BTreeMap::from([
        ("as given", (all.clone(), 600)),
        ("strict", (look.clone(), 300)),
        ("vouched for", (all.clone(), 600)),
        ("not any more", (look, 300)),
        ("open", (all, 900)),
    ]);
    assert_eq!(worth, expected);
    // A table that leaves nothing ends no grant, and gives nothing.
    hub.change(SettingsChange::Power(Box::new(nothing))).await;
    let refused = hub.refresh(id, &refresh, &[]).await;
    assert_eq!(outcome(&refused), "invalid_grant");
    let back = SettingsChange::Power(Box::new(PowerTable::preset(Preset::Balanced)));
    hub.change(back).await;
    assert_eq!(outcome(&hub.refresh(id, &refresh, &[]).await), "ok");
}
