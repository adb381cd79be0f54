//! The facts of live clients and of impostors, put together.

use vestibule_protocol::{client_id_url::ClientIdUrl, trust::RedirectShape};

use super::*;
use crate::{
    facts::COUNT_MAX,
    signals::fixtures::{BODIES, DOCUMENTS, body, document, document_id, parse, registered},
};

const NOW: u64 = 1_790_000_000;

/// What is the same for all clients of a test.
struct World {
    catalogue: Catalogue,
    own_names: OwnNames,
    own_hosts: Vec<KnownHost>,
}

impl World {
    fn new() -> Self {
        Self {
            catalogue: Catalogue::shipped().unwrap(),
            own_names: OwnNames::new(["Acme Portal"]),
            own_hosts: vec![KnownHost::of("hub.acme.example")],
        }
    }

    fn inputs<'a>(&'a self, metadata: &'a ClientMetadata, id: Option<&'a str>) -> ClientInputs<'a> {
        let url = id.and_then(|id| id.strip_prefix("https://"));
        let host = url.and_then(|rest| rest.split('/').next());
        ClientInputs {
            metadata,
            door: if host.is_some() {
                Door::Cimd
            } else {
                Door::Dcr
            },
            client_id: id,
            document_host: host,
            redirect_in_use: None,
            vouched: None,
            domain_proved: false,
            history: Some(History::default()),
            now_s: NOW,
            catalogue: &self.catalogue,
            own_names: &self.own_names,
            own_hosts: &self.own_hosts,
        }
    }
}

/// No honest client of the catalogue's page looks like another or like a homograph.
#[test]
fn live_clients_imitate_nobody() {
    let world = World::new();
    for (name, _) in DOCUMENTS {
        let (metadata, id) = (document(name), document_id(name));
        assert!(ClientIdUrl::parse_default(&id).is_ok());
        let facts = client_facts(&world.inputs(&metadata, Some(&id)));
        let connector = *name == "chatgpt-connector";
        let expected = if connector {
            Standing::Unverified
        } else {
            Standing::Known
        };
        assert_eq!(
            (facts.standing, facts.catalogued),
            (expected, !connector),
            "{name}"
        );
        assert_eq!(facts.claims.is_some(), connector, "{name}");
        assert_eq!(
            (facts.lookalike_of, facts.homograph_of),
            (None, None),
            "{name}"
        );
        assert!(!facts.mixed_script, "{name}");
        assert_eq!(facts.id.len(), 22);
    }
    for (name, _) in BODIES {
        let metadata = body(name);
        let facts = client_facts(&world.inputs(&metadata, None));
        assert_eq!(facts.standing, Standing::Unverified, "{name}");
        assert_eq!(
            (facts.lookalike_of, facts.homograph_of),
            (None, None),
            "{name}"
        );
        assert_eq!((facts.id.as_str(), facts.host), ("", None), "{name}");
    }
}

/// Client id, name, redirect; look-alike, claim, homograph.
type Row = (Text, &'static str, &'static str, Text, Text, Text);
type Text = Option<&'static str>;

/// R4, R8, R9: one row, one impostor, what its facts say.
#[test]
fn impostors_are_named() {
    let claude = "https://claude.ai/api/mcp/auth_callback";
    #[rustfmt::skip]
    let rows: [Row; 10] = [
        // client id                        name            redirect                    look-alike           claims             homograph
        (None,                             "Claude",        "https://evil.example/cb",  Some("Claude"),      None,              None),
        (None,                             "Claude",        "http://localhost/cb",      Some("Claude"),      None,              None),
        (None,                             "Сlaude Code",   "http://localhost/cb",      Some("Claude Code"), None,              None),
        (None,                             "Claude Code",   "http://localhost/cb",      None,                Some("Claude Code"), None),
        (None,                             "Notes",         "https://c1aude.ai/cb",     None,                None,              Some("claude.ai")),
        (None,                             "Claude",        "cursor://x/y",             Some("Claude"),      Some("Cursor"),    None),
        (None,                             "Acme-Portal",   "http://localhost/cb",      Some("Acme Portal"), None,              None),
        (Some("https://evil.example/c"),   "Claude",        claude,                     Some("Claude"),      None,              None),
        (Some("https://claude-ai.com/c"),  "Notes",         claude,                     None,                None,              Some("claude.ai")),
        (Some("https://hub-acme.example/c"), "Hub",         "https://acrne.example/cb", None,                None,              Some("acme.example")),
    ];
    let world = World::new();
    for (id, name, redirect, lookalike, claims, homograph) in rows {
        let metadata = registered(Some(name), &[redirect]);
        let facts = client_facts(&world.inputs(&metadata, id));
        let found = (
            facts.lookalike_of.as_deref(),
            facts.claims.as_deref(),
            facts.homograph_of.as_deref(),
        );
        assert_eq!(found, (lookalike, claims, homograph), "{name} {redirect}");
        assert_eq!(facts.standing, Standing::Unverified, "{name} {redirect}");
        assert!(!facts.catalogued);
    }
}

/// RFC 7591 §2.2: a name in another language imitates as well as the first.
#[test]
fn translated_names_are_weighed_too() {
    let world = World::new();
    let metadata = parse(
        r#"{"client_name":"Notes","client_name#de":"Сlaude","token_endpoint_auth_method":"none",
        "redirect_uris":["https://evil.example/cb"]}"#,
    );
    let facts = client_facts(&world.inputs(&metadata, None));
    assert_eq!(facts.lookalike_of.as_deref(), Some("Claude"));
    assert!(facts.mixed_script);
}

/// First-party before verified before known before unverified.
#[test]
fn the_best_word_for_a_client_is_its_standing() {
    use Standing::{FirstParty, Known, Unverified, Verified};
    let exact = "https://claude.ai/api/mcp/auth_callback";
    #[rustfmt::skip]
    let rows = [
        (Door::Dcr,   None,             false, exact,                     Known,      true),
        (Door::Dcr,   None,             false, "https://a.example/cb",    Unverified, false),
        (Door::Dcr,   None,             true,  "https://a.example/cb",    Verified,   false),
        (Door::Dcr,   None,             true,  exact,                     Verified,   true),
        (Door::Dcr,   Some(Verified),   false, "https://a.example/cb",    Verified,   false),
        (Door::Dcr,   Some(FirstParty), true,  exact,                     FirstParty, true),
        (Door::Dcr,   Some(Unverified), false, exact,                     Known,      true),
        (Door::Admin, None,             false, "https://a.example/cb",    FirstParty, false),
        (Door::Cimd,  None,             false, exact,                     Unverified, false),
    ];
    let world = World::new();
    for (door, vouched, domain_proved, redirect, expected, catalogued) in rows {
        let metadata = registered(Some("Notes"), &[redirect]);
        let facts = client_facts(&ClientInputs {
            door,
            vouched,
            domain_proved,
            ..world.inputs(&metadata, Some("x"))
        });
        assert_eq!(
            (facts.standing, facts.catalogued),
            (expected, catalogued),
            "{door:?} {redirect}"
        );
        assert_eq!(facts.domain_proved, domain_proved);
    }
}

/// A domain of one's own does not make a copied name honest; an admin's word does.
#[test]
fn a_proved_domain_does_not_excuse_a_name() {
    let world = World::new();
    let metadata = registered(Some("Claude"), &["https://evil.example/cb"]);
    let inputs = world.inputs(&metadata, None);
    let proved = client_facts(&ClientInputs {
        domain_proved: true,
        ..inputs
    });
    assert_eq!(proved.lookalike_of.as_deref(), Some("Claude"));
    let vouched = client_facts(&ClientInputs {
        vouched: Some(Standing::Verified),
        ..inputs
    });
    assert_eq!(vouched.lookalike_of, None);
}

/// Cursor registers three redirects; only the one that its vendor receives makes it known.
#[test]
fn standing_follows_the_redirect_in_use() {
    let world = World::new();
    let metadata = body("cursor");
    let https = "https://www.cursor.com/agents/mcp/oauth/callback";
    let inputs = world.inputs(&metadata, Some("vdr_x"));
    #[rustfmt::skip]
    let rows = [
        (None,                                   Standing::Unverified, Some("Cursor")),
        (Some("http://localhost:8787/callback"), Standing::Unverified, Some("Cursor")),
        (Some(https),                            Standing::Known,      None),
    ];
    for (redirect_in_use, standing, claims) in rows {
        let facts = client_facts(&ClientInputs {
            redirect_in_use,
            ..inputs
        });
        assert_eq!(
            (facts.standing, facts.claims.as_deref()),
            (standing, claims),
            "{redirect_in_use:?}"
        );
        let shapes = [
            RedirectShape::HttpsOtherSite,
            RedirectShape::Loopback,
            RedirectShape::PrivateUse,
        ];
        assert_eq!(facts.redirects, BTreeSet::from(shapes));
    }
}

#[test]
fn history_and_metadata_become_facts() {
    let world = World::new();
    let metadata = body("typescript-sdk");
    let facts = client_facts(&ClientInputs {
        history: Some(History {
            first_seen_s: Some(NOW - 3 * 86_400),
            people: 4,
            reports: u64::MAX,
            changes_30d: 1,
        }),
        ..world.inputs(&metadata, Some("vdr_x"))
    });
    assert_eq!(
        (facts.days_known, facts.people, facts.changes_30d),
        (3, 4, 1)
    );
    assert_eq!(facts.reports, COUNT_MAX);
    assert!(facts.confidential);
    assert_eq!(facts.software, "|simple-oauth-mcp-client|loopback");
}

#[test]
fn a_source_is_described_and_what_is_missing_is_named() {
    let world = World::new();
    let metadata = body("cursor");
    let listed = |text: &str| {
        let list = address_list::AddressList::parse(text).unwrap();
        NamedLists::new(vec![("a list".to_owned(), list)])
    };
    let (admin, bad) = (listed("192.0.2.0/24"), listed("192.0.2.7"));
    let client = world.inputs(&metadata, None);
    let source = SourceInputs {
        ip: "::ffff:192.0.2.7".parse().unwrap(),
        user_agent: Some("curl/8"),
        countries: Feed::Off,
        networks: Feed::Off,
        lists: &admin,
        reputation: Feed::Ready(&bad),
        counts: Counts {
            source: u32::MAX,
            software: 3,
        },
        catalogue: &world.catalogue,
    };
    let facts = source_facts(&source);
    assert_eq!(facts.ip.to_string(), "192.0.2.7");
    assert!(facts.listed && facts.bad_reputation && !facts.vendor_egress);
    assert_eq!(
        (facts.registrations_last_hour, facts.software_last_hour),
        (COUNT_MAX, 3)
    );
    assert_eq!(facts.user_agent, UserAgentKind::Script);
    // What is not set up is not missing.
    assert!(missing(&client, &source, &facts, &Feed::Off).is_empty());

    let vendor = SourceInputs {
        ip: "160.79.104.9".parse().unwrap(),
        user_agent: None,
        countries: Feed::Failed,
        networks: Feed::Failed,
        reputation: Feed::Failed,
        ..source
    };
    let facts = source_facts(&vendor);
    assert!(facts.vendor_egress && !facts.listed && !facts.bad_reputation);
    let client = ClientInputs {
        history: None,
        ..client
    };
    let all: BTreeSet<Signal> = Signal::ALL.iter().copied().collect();
    assert_eq!(missing(&client, &vendor, &facts, &Feed::Failed), all);
}
