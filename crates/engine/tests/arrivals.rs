//! Arrivals, one a row: who comes, from where, under which policies, and all that follows: what the
//! person reads, what is granted, for how long, and what the trail says why.
//!
//! Each row is the whole way: register or serve a document, authorize, sign in with a password,
//! consent, redeem, refresh.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "what surprises a test should end it"
)]

mod support;

use std::{fmt::Write as _, sync::Arc};

use serde_json::json;
use support::{
    fakes::FakeScores,
    geo::{Record, geo},
    visit::*,
    *,
};
use vestibule_engine::{Badge, ConsentPage, SettingsChange, SignalFiles, Step};
use vestibule_policy::signals::address_list::{AddressList, NamedLists};
use vestibule_protocol::{
    audit::{Actor, Event},
    client_id::ClientKey,
    ids::GrantId,
    secret::Secret,
    trust::{DcrMode, Preset},
};
use vestibule_store::{
    reports::ReportReason,
    standings::{SubjectKind, Word},
    users::User,
    verifications::VerificationMethod,
};

/// Where people come from unless a row says another place.
const HOME: &str = "203.0.113.5";
const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;
const CLAUDE: &str = "https://claude.ai/oauth/mcp-oauth-client-metadata";
const CLAUDE_CALLBACK: &str = "https://claude.ai/api/mcp/auth_callback";
const LOOPBACK: &str = "http://localhost/callback";

// What the page says.
const TODAY: &str = "This agent was first seen here today.";
const THEN: &str = "Something spoke against it when it registered.";
const REPUTATION: &str = "The address that this comes from has a bad reputation.";
const SCORE: &str = "A risk service advises caution.";
const FLOOD: &str = "Unusually many agents came from this address in the last hour.";
const CLONES: &str = "Unusually many agents with this name arrived in the last hour.";
const LOOKALIKE: &str = "Its name looks like the name of another, known agent.";
const HOMOGRAPH: &str = "Its addresses are made to look like those of a known agent.";
const MIXED: &str = "Its name mixes alphabets in a way that people do not write.";
const CLAIM: &str = "It says it is a well-known product; nothing proves it.";
const THIN: &str = "It says little about itself, and part of that leads elsewhere.";
const CHANGES: &str = "What it says about itself changed often in the last 30 days.";
const REPORTED: &str = "People here reported this agent.";
const CUSTOM: &str = "The house rule speaks.";
const KNOWN: &str = "Its identity is in the catalogue of known apps.";
const VOUCHED: &str = "It proved its domain, or an administrator of this hub vouches for it.";

/// What an arrival has. In any order, but for what comes before it.
#[derive(Clone, Copy, Debug)]
enum Fact {
    /// It calls itself so; nothing at all if empty.
    Name(&'static str),
    /// It wants to be answered there.
    Redirect(&'static str),
    /// It has a document there, and does not register.
    Document(&'static str),
    /// The registration and the browser come from there.
    From(&'static str),
    /// Only the browser does.
    LaterFrom(&'static str),
    /// So many others registered from the same address just before.
    Before(u32),
    /// So many of the same software did, each from another address.
    Clones(u32),
    /// The risk service says so.
    Score(u32),
    /// The risk service does not answer.
    NoScore,
    /// A reputation list names this block.
    Reputation(&'static str),
    /// An admin's list names it.
    Listed(&'static str),
    /// An admin's file names it.
    ListedInFile(&'static str),
    /// Countries are known: `192.0.2.0/24` is in France.
    Countries,
    /// Networks are known: `192.0.2.0/24` is 64500.
    Networks,
    /// An admin says a word about exactly this client.
    Client(Word),
    /// An admin says a word about its redirect.
    RedirectIs(Word),
    /// It proved its domain.
    Proved,
    /// So many people reported it.
    Reports(u32),
    /// Somebody here uses it since so many days.
    Days(u64),
    /// Its document changed so often of late.
    Changes(u32),
    /// The hub runs this preset.
    Runs(Preset),
    /// The hub has this policy more.
    Rule(&'static str),
    /// The DCR door.
    Dcr(DcrMode),
    /// The person is an admin.
    Admin,
}

use Fact::*;

/// What follows.
#[derive(Clone, Copy, Debug)]
enum Then {
    /// A code, tokens, and what they are worth.
    Code(Worth),
    /// The registration is refused.
    NotRegistered,
    /// A neutral page, and no reason.
    Refused,
    /// The client is told this error, if the person lets it.
    Told(&'static str),
    /// The person's page waits for an admin.
    Waits,
}

/// What a person reads, and what their yes is worth.
#[derive(Clone, Copy, Debug)]
struct Worth {
    trust_and_risk: &'static str,
    /// `r`, `w`, `d`.
    scopes: &'static str,
    /// Seconds of an access token.
    access: u64,
    /// Seconds of the grant.
    stays: u64,
    badge: Badge,
    /// Policies, as the trail names them.
    because: &'static str,
    /// What speaks against it.
    warnings: &'static [&'static str],
    /// What is said besides.
    says: &'static [&'static str],
    imitates: &'static str,
}

/// One arrival.
struct Row(&'static str, &'static [Fact], Then);

/// Nothing speaks against a newcomer.
const fn newcomer() -> Then {
    Then::Code(Worth {
        trust_and_risk: "unverified, low",
        scopes: "rwd",
        access: 600,
        stays: 7 * DAY,
        badge: Badge::Unverified,
        because: "first-seen-today",
        warnings: &[],
        says: &[TODAY],
        imitates: "",
    })
}

/// A newcomer at raised risk only looks.
const fn raised(because: &'static str, warnings: &'static [&'static str]) -> Then {
    Then::Code(Worth {
        trust_and_risk: "unverified, raised",
        scopes: "r",
        access: 600,
        stays: 8 * HOUR,
        badge: Badge::Raised,
        because,
        warnings,
        says: &[TODAY],
        imitates: "",
    })
}

/// Somebody stands for it.
const fn trusted(
    trust_and_risk: &'static str,
    badge: Badge,
    says: &'static [&'static str],
) -> Then {
    Then::Code(Worth {
        trust_and_risk,
        scopes: "rwd",
        access: 900,
        stays: 90 * DAY,
        badge,
        because: "",
        warnings: &[],
        says,
        imitates: "",
    })
}

impl Then {
    const fn imitates(self, imitates: &'static str) -> Self {
        match self {
            Self::Code(worth) => Self::Code(Worth { imitates, ..worth }),
            other => other,
        }
    }

    const fn because(self, because: &'static str, says: &'static [&'static str]) -> Self {
        match self {
            Self::Code(worth) => Self::Code(Worth {
                because,
                says,
                ..worth
            }),
            other => other,
        }
    }

    const fn worth(self, scopes: &'static str, access: u64, stays: u64) -> Self {
        match self {
            Self::Code(worth) => Self::Code(Worth {
                scopes,
                access,
                stays,
                ..worth
            }),
            other => other,
        }
    }
}

const FRANCE_SHORT: &str = r#"@id("house") @outcome("short_session") @say("The house rule speaks")
permit(principal, action == Action::"flag", resource)
when { context.source has country && context.source.country == "FR" };"#;
const NETWORK_BLOCKED: &str = r#"@id("house") @outcome("block") @say("The house rule speaks")
permit(principal, action == Action::"flag", resource)
when { context.source has asn && context.source.asn == 64500 };"#;
const NOT_REGISTERED_FROM_FRANCE: &str = r#"@id("house")
forbid(principal, action == Action::"register", resource)
when { context.source has country && context.source.country == "FR" };"#;
const NO_NEW_DOCUMENTS: &str = r#"@id("house")
forbid(principal, action == Action::"appear", resource)
when { context.client.days_known < 1 };"#;
const ONLY_VERIFIED_ASK: &str = r#"@id("house")
forbid(principal, action == Action::"authorize", resource)
when { context.trust == Trust::"unverified" };"#;
const REGISTERED_ONLY_LOOK: &str = r#"@id("house")
forbid(principal, action == Action::"grant", resource)
when { context.client.door == Door::"dcr" && resource.access != Access::"read" };"#;
const ADMINS_DELETE: &str = r#"@id("house")
forbid(principal, action == Action::"grant", resource)
when { resource.name == "mcp:delete" }
unless { principal in Group::"admins" };"#;
const NOT_REFRESHED: &str = r#"@id("house")
forbid(principal, action == Action::"refresh", resource)
when { resource.access == Access::"destructive" };"#;
const WARN_KNOWN: &str = r#"@id("house") @outcome("warn") @say("The house rule speaks")
permit(principal, action == Action::"flag", resource)
when { context.client.standing == Trust::"known" };"#;
const STEP_UP_LOOPBACK: &str = r#"@id("house") @outcome("step_up") @risk("low") @say("The house rule speaks")
permit(principal, action == Action::"flag", resource)
when { context.client.redirects.contains(Redirect::"loopback") };"#;
const HOLD_FRANCE: &str = r#"@id("house") @outcome("hold") @say("The house rule speaks")
permit(principal, action == Action::"flag", resource)
when { context.source has country && context.source.country == "FR" };"#;
const DOUBT_EVERYBODY: &str = r#"@id("house") @outcome("unverified") @say("The house rule speaks")
permit(principal, action == Action::"flag", resource);"#;
const HIGH_RISK: &str = r#"@id("house") @outcome("warn") @risk("high") @say("The house rule speaks")
permit(principal, action == Action::"flag", resource)
when { context.client.door == Door::"dcr" };"#;
const QUIETLY_RAISED: &str = r#"@id("house") @outcome("unverified") @risk("raised") @say("The house rule speaks")
permit(principal, action == Action::"flag", resource)
when { context.source has country && context.source.country == "FR" };"#;
const SHADOW: &str = r#"@id("house") @mode("shadow") @outcome("block") @say("The house rule speaks")
permit(principal, action == Action::"flag", resource);"#;
const ALL_COUNTRIES: &str = "192.0.2.44";

#[rustfmt::skip]
const ROWS: &[Row] = &[
    // --- nothing speaks against it ---
    Row("a registration", &[], newcomer()),
    Row("a document", &[Document(DOCUMENT)], newcomer()),
    Row("a registration from France, where no rule asks", &[Countries, From(ALL_COUNTRIES)], newcomer()),
    Row("it was here yesterday", &[Days(1)], newcomer().because("", &[])),
    Row("a document that was here yesterday", &[Document(DOCUMENT), Days(1)], newcomer().because("", &[])),
    Row("twenty from one place", &[Before(19)], newcomer()),
    Row("one report", &[Reports(1)], newcomer()),
    Row("a fair score", &[Score(49)], newcomer()),
    Row("a score that does not come", &[NoScore], newcomer()),
    Row("a bad reputation of others", &[Reputation("198.51.100.0/24")], newcomer()),
    Row("many from a vendor's own addresses", &[From("160.79.104.9"), Before(40)], newcomer()),
    Row("a shadow rule changes nothing", &[Rule(SHADOW)], newcomer()),
    // --- what it says it is ---
    Row("a claim on this machine", &[Name("Claude Code"), Redirect(LOOPBACK)],
        newcomer().because("claims-without-proof first-seen-today", &[TODAY, CLAIM])),
    Row("a known name from another host", &[Name("Claude")],
        raised("first-seen-today name-lookalike", &[LOOKALIKE]).imitates("Claude")),
    Row("a name with a digit in it", &[Name("Cl4ude")],
        raised("first-seen-today name-lookalike", &[LOOKALIKE]).imitates("Claude")),
    Row("a document with a known name", &[Document(DOCUMENT), Name("Claude")],
        raised("first-seen-today name-lookalike", &[LOOKALIKE]).imitates("Claude")),
    Row("a name in two alphabets", &[Name("P\u{430}pers and Notes")],
        raised("first-seen-today name-mixed-script", &[MIXED])),
    Row("a host like a known one", &[Redirect("https://claude-ai.com/cb")],
        raised("first-seen-today host-homograph", &[HOMOGRAPH]).imitates("claude.ai")),
    Row("a document on a host like a known one", &[Document("https://c1aude.ai/client.json"), Redirect("https://c1aude.ai/cb")],
        raised("first-seen-today host-homograph", &[HOMOGRAPH]).imitates("claude.ai")),
    Row("a registration without a name", &[Name("")],
        newcomer().because("first-seen-today metadata-thin", &[TODAY, THIN])),
    // --- where it comes from ---
    Row("twenty-one from one place", &[Before(20)],
        raised("first-seen-today many-arrivals-from-one-place", &[FLOOD])),
    Row("two hundred clones", &[Clones(200)],
        raised("first-seen-today many-arrivals-of-one-software", &[CLONES])),
    Row("a bad reputation", &[Reputation("203.0.113.0/24")],
        raised("first-seen-today source-bad-reputation", &[REPUTATION]).worth("r", 300, 8 * HOUR)),
    Row("a bad reputation only then", &[From("198.51.100.7"), LaterFrom(HOME), Reputation("198.51.100.0/24")],
        raised("first-seen-today at-registration", &[THEN]).worth("r", 300, 8 * HOUR)),
    Row("a bad reputation only now", &[LaterFrom("198.51.100.7"), Reputation("198.51.100.0/24")],
        raised("first-seen-today source-bad-reputation", &[REPUTATION]).worth("r", 300, 8 * HOUR)),
    Row("a bad score", &[Score(50)],
        raised("first-seen-today score-bad", &[SCORE])),
    Row("a very bad score", &[Score(80)], Then::NotRegistered),
    Row("a document with a very bad score", &[Document(DOCUMENT), Score(80)], Then::Refused),
    Row("a listed address", &[Listed("203.0.113.0/24")], Then::NotRegistered),
    Row("a document from a listed address", &[Document(DOCUMENT), Listed("203.0.113.5")], Then::Refused),
    Row("an address that a file lists", &[ListedInFile("203.0.113.0/24")], Then::NotRegistered),
    Row("listed only now", &[LaterFrom("198.51.100.7"), Listed("198.51.100.7")], Then::Refused),
    // --- what is remembered of it ---
    Row("two reports", &[Reports(2)], raised("first-seen-today reported", &[REPORTED])),
    Row("five reports", &[Reports(5)], Then::Waits),
    Row("a document that changes all the time", &[Document(DOCUMENT), Days(2), Changes(5)],
        newcomer().because("document-changes-often", &[CHANGES])),
    // --- somebody stands for it ---
    Row("the catalogue knows the document", &[Document(CLAUDE), Name("Claude"), Redirect(CLAUDE_CALLBACK)],
        trusted("known, low", Badge::Known, &[KNOWN])),
    Row("the catalogue knows the redirect", &[Name("Claude"), Redirect(CLAUDE_CALLBACK)],
        trusted("known, low", Badge::Known, &[KNOWN])),
    Row("known, and flooded by clones", &[Document(CLAUDE), Name("Claude"), Redirect(CLAUDE_CALLBACK), Clones(220)],
        trusted("known, low", Badge::Known, &[KNOWN])),
    Row("known, in spite of its address", &[Name("Claude"), Redirect(CLAUDE_CALLBACK), Reputation("203.0.113.0/24"), Score(90)],
        trusted("known, low", Badge::Known, &[KNOWN])),
    Row("known, from a listed address", &[Document(CLAUDE), Name("Claude"), Redirect(CLAUDE_CALLBACK), Listed(HOME)], Then::Refused),
    Row("an admin vouches for a registration", &[Client(Word::Verified)],
        trusted("verified, low", Badge::Verified, &[VOUCHED])),
    Row("an admin vouches for a document, whatever its name", &[Document(DOCUMENT), Name("Claude"), Client(Word::Verified)],
        trusted("verified, low", Badge::Verified, &[VOUCHED])),
    Row("an admin vouches for the redirect", &[RedirectIs(Word::Verified), Reports(3)],
        trusted("verified, low", Badge::Verified, &[VOUCHED])),
    Row("a proved domain", &[Proved], trusted("verified, low", Badge::Verified, &[VOUCHED])),
    Row("a document's proved domain", &[Document(DOCUMENT), Proved], trusted("verified, low", Badge::Verified, &[VOUCHED])),
    Row("an admin blocked it", &[Client(Word::Blocked)], Then::Refused),
    Row("an admin blocked a document", &[Document(DOCUMENT), Client(Word::Blocked)], Then::Refused),
    Row("an admin blocked where it returns to", &[RedirectIs(Word::Blocked)], Then::Refused),
    // --- the doors ---
    Row("the door asks for an approval", &[Dcr(DcrMode::Approval)], Then::Waits),
    Row("the door is closed", &[Dcr(DcrMode::Off)], Then::NotRegistered),
    Row("the door asks for a token", &[Dcr(DcrMode::Token)], Then::NotRegistered),
    // --- the open preset ---
    Row("open: a registration", &[Runs(Preset::Open)], newcomer().worth("rwd", 900, 30 * DAY)),
    Row("open: an imitation is warned of", &[Runs(Preset::Open), Name("Claude")],
        newcomer().worth("rwd", 900, 30 * DAY)
            .because("first-seen-today name-lookalike", &[TODAY, LOOKALIKE]).imitates("Claude")),
    Row("open: a very bad score is warned of", &[Runs(Preset::Open), Score(95)],
        newcomer().worth("rwd", 900, 30 * DAY)
            .because("first-seen-today score-bad", &[TODAY, SCORE])),
    Row("open: a listed address", &[Runs(Preset::Open), Listed(HOME)], Then::NotRegistered),
    // --- the strict preset ---
    Row("strict: a registration looks", &[Runs(Preset::Strict)], newcomer().worth("r", 300, DAY)),
    Row("strict: an imitation waits", &[Runs(Preset::Strict), Name("Claude")], Then::Waits),
    Row("strict: one report waits", &[Runs(Preset::Strict), Reports(1)], Then::Waits),
    Row("strict: no score, and it waits", &[Runs(Preset::Strict), NoScore], Then::Waits),
    Row("strict: a reported one that is not new", &[Runs(Preset::Strict), Days(1), Reports(1)],
        raised("reported", &[REPORTED]).worth("r", 300, 8 * HOUR).because("reported", &[])),
    Row("strict: known", &[Runs(Preset::Strict), Document(CLAUDE), Name("Claude"), Redirect(CLAUDE_CALLBACK)],
        trusted("known, low", Badge::Known, &[KNOWN]).worth("rwd", 600, 30 * DAY)),
    // --- rules of the house ---
    Row("house: short sessions from France", &[Countries, From(ALL_COUNTRIES), Rule(FRANCE_SHORT)],
        newcomer().worth("rwd", 300, 8 * HOUR).because("first-seen-today house", &[TODAY, CUSTOM])),
    Row("house: nobody registers in France", &[Countries, From(ALL_COUNTRIES), Rule(NOT_REGISTERED_FROM_FRANCE)], Then::NotRegistered),
    Row("house: France waits", &[Countries, LaterFrom(ALL_COUNTRIES), Rule(HOLD_FRANCE)], Then::Waits),
    Row("house: a network is blocked", &[Networks, LaterFrom(ALL_COUNTRIES), Rule(NETWORK_BLOCKED)], Then::Refused),
    Row("house: no new documents", &[Document(DOCUMENT), Rule(NO_NEW_DOCUMENTS)], Then::Refused),
    Row("house: only the verified ask", &[Rule(ONLY_VERIFIED_ASK)], Then::Told("access_denied")),
    Row("house: the verified do", &[Rule(ONLY_VERIFIED_ASK), Client(Word::Verified)],
        trusted("verified, low", Badge::Verified, &[VOUCHED])),
    Row("house: registrations only look", &[Rule(REGISTERED_ONLY_LOOK)], newcomer().worth("r", 600, 7 * DAY)),
    Row("house: documents do not only look", &[Document(DOCUMENT), Rule(REGISTERED_ONLY_LOOK)], newcomer()),
    Row("house: people do not let anybody delete", &[Rule(ADMINS_DELETE)], newcomer().worth("rw", 600, 7 * DAY)),
    Row("house: admins do", &[Admin, Rule(ADMINS_DELETE)], newcomer()),
    Row("house: the known are warned of", &[Document(CLAUDE), Name("Claude"), Redirect(CLAUDE_CALLBACK), Rule(WARN_KNOWN)],
        Then::Code(Worth {
            trust_and_risk: "known, raised", scopes: "rwd", access: 900, stays: 90 * DAY,
            badge: Badge::Known, because: "house", warnings: &[CUSTOM], says: &[KNOWN], imitates: "",
        })),
    Row("house: a fresh sign-in for programs on this machine", &[Redirect(LOOPBACK), Rule(STEP_UP_LOOPBACK)],
        newcomer().because("first-seen-today house", &[TODAY, CUSTOM])),
    Row("house: too much risk for anything", &[Rule(HIGH_RISK)], Then::Refused),
    Row("house: risk without another outcome is remembered", &[Countries, From(ALL_COUNTRIES), LaterFrom(HOME), Rule(QUIETLY_RAISED)],
        raised("first-seen-today at-registration", &[THEN])),
];

struct Setting {
    name: &'static str,
    redirect: &'static str,
    document: Option<&'static str>,
    from: &'static str,
    later: &'static str,
    /// Nobody here uses it yet.
    is_new: bool,
}

fn setting(facts: &[Fact]) -> Setting {
    let mut setting = Setting {
        name: "Agent",
        redirect: CALLBACK,
        document: None,
        from: HOME,
        later: "",
        is_new: true,
    };
    for fact in facts {
        match *fact {
            Name(name) => setting.name = name,
            Redirect(uri) => setting.redirect = uri,
            Document(url) => setting.document = Some(url),
            From(ip) => setting.from = ip,
            LaterFrom(ip) => setting.later = ip,
            Days(_) => setting.is_new = false,
            _ => {}
        }
    }
    if setting.later.is_empty() {
        setting.later = setting.from;
    }
    setting
}

fn list(block: &str) -> NamedLists {
    let list = AddressList::parse(block).unwrap();
    NamedLists::new(vec![("test".to_owned(), list)])
}

/// A hub as the facts say, before anybody comes.
async fn hub_of(facts: &[Fact], person: &User) -> Hub {
    let scores = Arc::new(FakeScores::default());
    let mut builder = Hub::builder();
    let mut files = SignalFiles::default();
    for fact in facts {
        match *fact {
            Score(score) => {
                *scores.score.lock().unwrap() = Some(score);
                builder = builder.scores(scores.clone());
            }
            NoScore => builder = builder.scores(scores.clone()),
            Reputation(block) => files.reputation = Some(list(block)),
            ListedInFile(block) => files.listed = list(block),
            Countries => files.country = Some(geo(&[("192.0.2.0/24", Record::Country("FR"))])),
            Networks => files.asn = Some(geo(&[("192.0.2.0/24", Record::Asn(64_500))])),
            _ => {}
        }
    }
    let hub = builder.start().await;
    hub.engine.replace_signal_files(files);
    for fact in facts {
        match *fact {
            Runs(preset) => {
                hub.engine.use_preset(preset, Actor::System).await.unwrap();
            }
            Rule(text) => hub.add_policies(text).await,
            Listed(block) => {
                hub.change(SettingsChange::ListedSources(vec![block.to_owned()]))
                    .await;
            }
            Dcr(mode) => hub.change(SettingsChange::Dcr(mode)).await,
            _ => {}
        }
    }
    let person = User {
        admin: facts.iter().any(|fact| matches!(fact, Admin)),
        ..person.clone()
    };
    assert!(hub.store.add_user(person, hub.audit()).await.unwrap());
    hub
}

fn registration(setting: &Setting) -> serde_json::Value {
    let mut body = public_client();
    if setting.name.is_empty() {
        body.as_object_mut().unwrap().remove("client_name");
    } else {
        body["client_name"] = json!(setting.name);
    }
    body["redirect_uris"] = json!([setting.redirect]);
    body
}

/// The others that came before it.
async fn crowd(hub: &Hub, facts: &[Fact], setting: &Setting) {
    for fact in facts {
        match *fact {
            Before(count) => {
                for number in 0..count {
                    let mut other = public_client();
                    other["client_name"] = json!(format!("{} others", ordinal(number)));
                    hub.register_from(&other, setting.from).await.unwrap();
                }
            }
            Clones(count) => {
                for number in 0..count {
                    let ip = format!("198.18.{}.{}", number / 250, number % 250 + 1);
                    let clone = registration(setting);
                    hub.register_from(&clone, &ip).await.unwrap();
                }
            }
            _ => {}
        }
    }
}

/// Words that differ, for software that does.
fn ordinal(number: u32) -> String {
    let letter = |place: u32| char::from(b'a' + u8::try_from(place % 26).unwrap());
    format!("Group {}{}", letter(number / 26), letter(number))
}

/// What happens to it before the person comes.
async fn history(hub: &Hub, facts: &[Fact], setting: &Setting, client_id: &str) {
    for fact in facts {
        match *fact {
            Days(days) => {
                let mut visit = Visit::signed_in(hub, "bea").await;
                let page = consent(
                    visit
                        .ask(client_id, &[("redirect_uri", setting.redirect)])
                        .await,
                );
                redirect(visit.confirm(&page, &["mcp:read"]).await);
                hub.advance(days * DAY).await;
            }
            Changes(count) => {
                for number in 0..count {
                    hub.advance(60).await;
                    let url = setting.document.unwrap();
                    let uris = json!([setting.redirect, format!("https://agent.example/{number}")]);
                    let more = json!({"client_name": setting.name, "redirect_uris": uris});
                    hub.serve_document_at(url, &more);
                    let more = [("redirect_uri", setting.redirect)];
                    Visit::new(hub).ask(client_id, &more).await;
                }
            }
            Reports(count) => {
                let key = ClientKey::of(client_id);
                for number in 0..count {
                    let person = hub.add_quick_user(&format!("reporter{number}")).await;
                    let reason = ReportReason::Harmful;
                    let (now, audit) = (hub.now(), hub.audit());
                    let reported = hub.store.report_client(&person, &key, reason, now, audit);
                    assert!(reported.await.unwrap());
                }
            }
            Client(word) => say(hub, SubjectKind::Client, client_id, word).await,
            RedirectIs(word) => say(hub, SubjectKind::RedirectUri, setting.redirect, word).await,
            Proved => {
                let method = VerificationMethod::DnsTxt;
                let asked = hub
                    .engine
                    .ask_for_proof(client_id, None, method, &source(), Actor::System)
                    .await
                    .unwrap();
                let records = (asked.place, vec![asked.value]);
                hub.domains.records.lock().unwrap().extend([records]);
                hub.engine.check_verification(&asked.id).await.unwrap();
            }
            _ => {}
        }
    }
}

async fn say(hub: &Hub, kind: SubjectKind, text: &str, word: Word) {
    hub.engine
        .say(kind, text, word, "a test", None, "root")
        .await
        .unwrap();
}

fn letters<'a>(scopes: impl IntoIterator<Item = &'a str>) -> String {
    let mut found = String::new();
    let scopes: Vec<&str> = scopes.into_iter().collect();
    for (scope, letter) in [("mcp:read", 'r'), ("mcp:write", 'w'), ("mcp:delete", 'd')] {
        if scopes.contains(&scope) {
            found.push(letter);
        }
    }
    found
}

/// Go the whole way and compare; the text says what is different.
async fn arrive(row: &Row, person: &User) -> Result<(), String> {
    let Row(_, facts, then) = row;
    let setting = setting(facts);
    let hub = hub_of(facts, person).await;
    crowd(&hub, facts, &setting).await;
    let client_id = match setting.document {
        Some(url) => {
            let more = json!({"client_name": setting.name, "redirect_uris": [setting.redirect]});
            hub.serve_document_at(url, &more);
            url.to_owned()
        }
        None => match hub
            .register_from(&registration(&setting), setting.from)
            .await
        {
            Ok(registered) => registered.client_id().to_owned(),
            Err(problem) if matches!(then, Then::NotRegistered) => {
                // One sentence for whatever speaks against it; a closed door says so.
                let door = facts.iter().any(|fact| matches!(fact, Dcr(_)));
                let neutral = "this hub does not take this registration";
                return same(
                    "a neutral answer",
                    &(problem.error.description == neutral),
                    &!door,
                );
            }
            Err(problem) => return Err(format!("it is not registered: {problem:?}")),
        },
    };
    history(&hub, facts, &setting, &client_id).await;
    let mut visit = Visit::from(&hub, setting.later);
    let all = "mcp:read mcp:write mcp:delete";
    let more = [("redirect_uri", setting.redirect), ("scope", all)];
    let mut step = visit.ask(&client_id, &more).await;
    if let Step::SignIn(page) = step {
        step = visit.sign_in(&page, "ada", PASSWORD).await;
    }
    match (then, step) {
        (Then::Code(worth), Step::Consent(page)) => {
            whole_way(&hub, visit, *page, &client_id, &setting, worth).await
        }
        (Then::Waits, Step::Waiting(page)) => same("a full queue", &page.full, &false),
        (Then::Refused, Step::Show(page)) => {
            let (title, wanted) = (
                page.title.to_owned(),
                "This app cannot connect here".to_owned(),
            );
            same("the page", &title, &wanted)
        }
        (Then::Told(error), step) => {
            let to = match step {
                Step::Leave(page) => page.to,
                Step::Redirect(to) => to,
                other => return Err(format!("it ended at {other:?}")),
            };
            same(
                "the error",
                &answer(&to, "error"),
                &Some((*error).to_owned()),
            )
        }
        (_, other) => Err(format!("it ended at {} ({other:?})", word(&other))),
    }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, wanted: &T) -> Result<(), String> {
    if found == wanted {
        Ok(())
    } else {
        Err(format!("{what}: {found:?} instead of {wanted:?}"))
    }
}

async fn whole_way(
    hub: &Hub,
    mut visit: Visit<'_>,
    page: ConsentPage,
    client_id: &str,
    setting: &Setting,
    worth: &Worth,
) -> Result<(), String> {
    what_is_read(&page, setting, worth)?;
    // A warning asks for a second confirmation, and nothing is granted without it.
    let ticks = offered(&page);
    if page.confirm {
        let again = word(&visit.allow(&page, &ticks).await);
        same("without the confirmation", &again, &"consent".to_owned())?;
    } else {
        same("warnings without a confirmation", &page.warnings.len(), &0)?;
    }
    let step = visit.confirm(&page, &ticks).await;
    let Step::Redirect(location) = step else {
        return Err(format!("no code but {step:?}"));
    };
    let grant = what_is_granted(hub, setting, worth).await?;
    let given = Given {
        code: answer(&location, "code").ok_or("no code")?,
        client_id: client_id.to_owned(),
        grant,
    };
    what_is_issued(hub, &given, setting, worth).await
}

fn what_is_read(page: &ConsentPage, setting: &Setting, worth: &Worth) -> Result<(), String> {
    same("warnings", &page.warnings, &owned(worth.warnings))?;
    same("the badge", &page.badge, &worth.badge)?;
    let whom = (!worth.imitates.is_empty()).then(|| worth.imitates.to_owned());
    same("whom it imitates", &page.imitates, &whom)?;
    let mut said = page.reasons.clone();
    said.retain(|text| !text.contains("Nobody has checked"));
    said.sort();
    let mut wanted = owned(worth.says);
    // The page has a line of its own for it.
    wanted.retain(|text| !(page.first_seen_today && text == TODAY));
    wanted.sort();
    same("what is said", &said, &wanted)?;
    let today = setting.is_new && is_a_strangers(worth.badge);
    same("first seen today", &page.first_seen_today, &today)?;
    let scopes = worth.scopes.to_owned();
    same("offered scopes", &letters(offered(page)), &scopes)?;
    let withheld = page.withheld.iter().map(|row| row.scope.as_str());
    let rest: String = "rwd".chars().filter(|c| !scopes.contains(*c)).collect();
    same("withheld scopes", &letters(withheld), &rest)?;
    let seconds = page.access_seconds;
    same("access seconds on the page", &seconds, &worth.access)?;
    let stays = page.stays_connected_seconds;
    same("stays connected", &stays, &Some(worth.stays))
}

async fn what_is_granted(hub: &Hub, setting: &Setting, worth: &Worth) -> Result<GrantId, String> {
    let trail = hub.trail(Event::GrantGiven).await;
    let mut parts = trail[0].detail.split("; ").skip(1).map(str::to_owned);
    let (found, ids) = (parts.next(), parts.next());
    let wanted = format!("{} risk", worth.trust_and_risk);
    same("trust and risk", &found, &Some(wanted))?;
    let because = worth.because.to_owned();
    same("the policies in the trail", &ids, &Some(because))?;
    let prefix = Some(source_of(setting.later).prefix());
    same("the source in the trail", &trail[0].source, &prefix)?;
    let id = trail[0].grant.clone().ok_or("no grant in the trail")?;
    let grant = hub.store.find_grant(&id).await.unwrap().unwrap();
    let lasts = grant.absolute_until.since(grant.created_at).as_secs();
    same("the grant lasts", &lasts, &worth.stays)?;
    Ok(id)
}

async fn what_is_issued(
    hub: &Hub,
    given: &Given,
    setting: &Setting,
    worth: &Worth,
) -> Result<(), String> {
    let wanted = (worth.scopes.to_owned(), worth.access);
    let of = |token: &str| {
        let body = claims(token);
        let life = body["exp"].as_u64().unwrap() - body["iat"].as_u64().unwrap();
        (letters(body["scope"].as_str().unwrap().split(' ')), life)
    };
    let more = [("redirect_uri", setting.redirect)];
    let tokens = hub.redeem_with(given, &more, None).await;
    let tokens = tokens.map_err(|problem| format!("not redeemed: {problem:?}"))?;
    same("the token", &of(&tokens.access_token), &wanted)?;
    let refresh = tokens.refresh_token.ok_or("no refresh token")?;
    hub.advance(30).await;
    let next = hub.refresh(&given.client_id, &refresh, &[]).await;
    let next = next.map_err(|problem| format!("not refreshed: {problem:?}"))?;
    same("the refreshed token", &of(&next.access_token), &wanted)
}

fn owned(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

fn is_a_strangers(badge: Badge) -> bool {
    match badge {
        Badge::Raised | Badge::Unverified => true,
        Badge::FirstParty | Badge::Known | Badge::Verified => false,
    }
}

/// The person of all rows; the password is hashed once.
async fn person() -> User {
    let hub = Hub::start().await;
    hub.engine
        .add_user(
            "ada",
            Secret::new(PASSWORD.to_owned()),
            false,
            Actor::System,
        )
        .await
        .unwrap();
    hub.store.find_user_by_name("ada").await.unwrap().unwrap()
}

/// Design 6 to 8: each arrival is met as the policies say, from the page to the refreshed token.
#[tokio::test]
async fn each_arrival_is_met_as_the_policies_say() {
    let person = person().await;
    let mut failures = String::new();
    for row in ROWS {
        // A task of its own, so that a row that panics is named, too.
        let person = person.clone();
        let arrived = tokio::spawn(async move { arrive(row, &person).await });
        let arrived = arrived.await.unwrap_or_else(|panic| Err(panic.to_string()));
        if let Err(failure) = arrived {
            writeln!(failures, "{}: {failure}", row.0).unwrap();
        }
    }
    assert!(failures.is_empty(), "{failures}");
    assert!(ROWS.len() >= 40);
}

/// Outcome `unverified`: whom somebody vouches for is marked and asked about each time all the same.
#[tokio::test]
async fn a_doubted_client_is_marked_and_asked_each_time() {
    let person = person().await;
    for (rule, badge, second) in [
        (SHADOW, Badge::Verified, "code"),
        (DOUBT_EVERYBODY, Badge::Unverified, "consent"),
    ] {
        let hub = hub_of(&[Rule(rule)], &person).await;
        let registered = hub.register_from(&public_client(), HOME).await.unwrap();
        let id = registered.client_id();
        say(&hub, SubjectKind::Client, id, Word::Verified).await;
        let mut visit = Visit::signed_in(&hub, "bea").await;
        let page = consent(visit.ask(id, &[]).await);
        assert_eq!(page.badge, badge);
        redirect(visit.allow(&page, &offered(&page)).await);
        assert_eq!(word(&visit.ask(id, &[]).await), second);
    }
}

/// What refreshing is forbidden ends with the first refresh; what is left goes on.
#[tokio::test]
async fn a_rule_about_refreshing_is_a_rule_about_refreshing() {
    let person = person().await;
    let facts = [Rule(NOT_REFRESHED)];
    let hub = hub_of(&facts, &person).await;
    let registered = hub.register_from(&public_client(), HOME).await.unwrap();
    let id = registered.client_id();
    let mut visit = Visit::signed_in(&hub, "bea").await;
    let page = consent(visit.ask(id, &[("scope", "mcp:read mcp:delete")]).await);
    let location = redirect(visit.allow(&page, &offered(&page)).await);
    let given = Given {
        code: answer(&location, "code").unwrap(),
        client_id: id.to_owned(),
        grant: GrantId::new("g_unknown"),
    };
    let tokens = hub.redeem(&given).await.unwrap();
    assert_eq!(letters(tokens.scope.split(' ')), "rd");
    let next = hub.refresh(id, &tokens.refresh_token.unwrap(), &[]).await;
    assert_eq!(letters(next.unwrap().scope.split(' ')), "r");
}

/// R15, design 6: whoever floods clones of somebody's software ends, shortens and narrows nothing
/// that people gave to it; the clones are warned of, and a known client is not even that.
#[tokio::test]
async fn a_flood_of_clones_costs_the_victim_nothing() {
    let hub = Hub::start().await;
    let mut body = public_client();
    body["client_name"] = json!("Field Notes");
    let victim = hub.register_from(&body, HOME).await.unwrap();
    let id = victim.client_id();
    let mut visit = Visit::signed_in(&hub, "ada").await;
    let all = [("scope", "mcp:read mcp:write mcp:delete")];
    let page = consent(visit.ask(id, &all).await);
    let location = redirect(visit.allow(&page, &offered(&page)).await);
    let given = Given {
        code: answer(&location, "code").unwrap(),
        client_id: id.to_owned(),
        grant: GrantId::new("g_unknown"),
    };
    let mut tokens = hub.redeem(&given).await.unwrap();
    let before = hub.trail(Event::GrantGiven).await[0].grant.clone().unwrap();
    let grant = hub.store.find_grant(&before).await.unwrap().unwrap();

    let claude = json!({"client_name": "Claude", "redirect_uris": [CLAUDE_CALLBACK]});
    hub.serve_document_at(CLAUDE, &claude);
    for number in 0..500_u32 {
        let ip = format!("198.18.{}.{}", number / 250, number % 250 + 1);
        let clone = hub.register_from(&body, &ip).await.unwrap();
        let mut claimed = body.clone();
        claimed["client_name"] = json!("Claude");
        claimed["redirect_uris"] = json!([CLAUDE_CALLBACK]);
        hub.register_from(&claimed, &ip).await.unwrap();
        if number % 100 == 99 {
            // Who signs in for a clone is warned, and the victim goes on as before.
            let mut other = Visit::signed_in(&hub, "bea").await;
            let page = consent(other.ask(clone.client_id(), &all).await);
            assert_eq!(
                page.warnings.contains(&CLONES.to_owned()),
                number >= 199,
                "{number}"
            );
            hub.advance(60).await;
            let refresh = tokens.refresh_token.unwrap();
            tokens = hub.refresh(id, &refresh, &[]).await.unwrap();
            assert_eq!(letters(tokens.scope.split(' ')), "rwd");
            assert_eq!(tokens.expires_in, 600);
        }
    }
    let after = hub.store.find_grant(&before).await.unwrap().unwrap();
    assert!(!after.revoked);
    assert_eq!(after.absolute_until, grant.absolute_until);
    assert_eq!(after.scopes, grant.scopes);

    // The known client comes from anywhere, and nobody is warned of it.
    let more = [("redirect_uri", CLAUDE_CALLBACK), all[0]];
    let mut visit = Visit::signed_in(&hub, "cleo").await;
    let page = consent(visit.ask(CLAUDE, &more).await);
    assert_eq!((page.badge, page.confirm), (Badge::Known, false));
    assert!(page.warnings.is_empty(), "{:?}", page.warnings);
    assert_eq!(letters(offered(&page)), "rwd");
}
