//! Live clients and impostors before the shipped catalogue, and what is not a catalogue.

use serde_json::{Value, json};

use vestibule_protocol::{
    cimd_document, client_metadata::DisplayName, redirect_uri::RedirectPolicy,
};

use super::*;
use crate::signals::fixtures::{
    BODIES, DOCUMENTS, body, document, document_id, redirects, registered,
};

fn shipped() -> Catalogue {
    Catalogue::shipped().unwrap()
}

fn product(entry: Option<&Entry>) -> Option<&str> {
    entry.map(|entry| entry.product.as_str())
}

#[test]
fn the_shipped_catalogue_is_whole() {
    let catalogue = shipped();
    assert_eq!(catalogue.serial(), 1);
    assert_eq!(catalogue.issued_at_s(), 1_795_478_400);
    assert_eq!(catalogue.entries().len(), 27);
    for entry in catalogue.entries() {
        assert!(
            entry.source.starts_with("client-quirks 1: "),
            "{}",
            entry.product
        );
        assert!(!entry.vendor.is_empty() && !entry.first_seen.is_empty());
    }
    assert!(catalogue.is_vendor_egress("160.79.104.1".parse().unwrap()));
    assert!(catalogue.is_vendor_egress("::ffff:160.79.111.255".parse().unwrap()));
    assert!(!catalogue.is_vendor_egress("160.79.112.0".parse().unwrap()));
}

/// QUIRK-18: each document of a live client, by its exact id; a per-connector id is nobody.
#[test]
fn documents_of_live_clients_are_known_by_id() {
    let rows = [
        ("chatgpt-connector", None),
        ("chatgpt-stable", Some("ChatGPT")),
        ("claude-ai", Some("Claude")),
        ("claude-code", Some("Claude Code")),
        ("codex", Some("Codex")),
        ("goose", Some("goose")),
        ("mcpjam", Some("MCPJam Inspector")),
        ("opencode", Some("OpenCode")),
        ("vscode", Some("Visual Studio Code")),
        ("zed", Some("Zed")),
    ];
    let catalogue = shipped();
    assert_eq!(rows.len(), DOCUMENTS.len());
    for (name, expected) in rows {
        let id = document_id(name);
        assert_eq!(product(catalogue.known_by_id(&id)), expected, "{name}");
        for near in [
            format!("{id}/"),
            id.replace("https", "HTTPS"),
            format!("{id}?x"),
            id.to_uppercase(),
        ] {
            assert!(catalogue.known_by_id(&near).is_none(), "{near}");
        }
    }
}

/// Each registration body of a live client: known by its redirects, and what it claims.
#[test]
fn registrations_of_live_clients_claim_what_they_are() {
    #[rustfmt::skip]
    let rows = [
        // body              known  claims
        ("claude-code",     None,  Some("Claude Code")),
        ("copilot-studio",  None,  Some("Microsoft Copilot Studio")),
        ("cursor",          None,  Some("Cursor")),
        ("gemini-cli",      None,  Some("Gemini CLI")),
        ("lm-studio",       None,  Some("LM Studio")),
        ("mcp-remote",      None,  Some("mcp-remote")),
        ("python-sdk",      None,  None),
        ("rmcp",            None,  None),
        ("typescript-sdk",  None,  None),
        ("vscode",          None,  Some("Visual Studio Code")),
    ];
    let catalogue = shipped();
    assert_eq!(rows.len(), BODIES.len());
    for (name, known, claims) in rows {
        let metadata = body(name);
        let found = catalogue.known_by_redirects(&metadata.redirect_uris, None);
        assert_eq!(product(found), known, "{name}");
        let shown = metadata.client_name.as_ref().map(DisplayName::as_str);
        let claim = catalogue.claims(
            shown.map(NameKeys::of).as_ref(),
            &metadata.redirect_uris,
            None,
        );
        assert_eq!(
            claim.map(|claim| claim.entry.product.as_str()),
            claims,
            "{name}"
        );
        if let Some(claim) = claim {
            assert!(claim.by_name && claim.sentence().contains("nothing proves it"));
        }
    }
}

/// Design 4.3, R4, R5, R8: which redirects make a registration known, for the one in use.
#[test]
fn a_registration_is_known_by_exact_redirects_only() {
    const CLAUDE: &str = "https://claude.ai/api/mcp/auth_callback";
    const CURSOR: &str = "https://www.cursor.com/agents/mcp/oauth/callback";
    const PRIVATE: &str = "cursor://anysphere.cursor-mcp/oauth/callback";
    const LOCAL: &str = "http://localhost:8787/callback";
    const EVIL: &str = "https://evil.example/cb";
    #[rustfmt::skip]
    let rows: [(&[&str], Option<&str>, Option<&str>); 18] = [
        (&[CLAUDE],                                          None,          Some("Claude")),
        (&[CLAUDE],                                          Some(CLAUDE),  Some("Claude")),
        (&[CLAUDE, "https://claude.com/api/mcp/auth_callback"], None,       Some("Claude")),
        (&[CLAUDE, EVIL],                                    None,          None),
        (&[CLAUDE, EVIL],                                    Some(CLAUDE),  None),
        (&[EVIL, CLAUDE],                                    Some(EVIL),    None),
        (&[CLAUDE, CURSOR],                                  Some(CLAUDE),  None),
        (&[CLAUDE, LOCAL],                                   Some(CLAUDE),  None),
        (&["https://claude.ai/api/mcp/auth_callback/"],      None,          None),
        (&["https://claude.ai/api/mcp/auth_callback?x"],     None,          None),
        (&["https://claude.ai/other"],                       None,          None),
        (&["https://claude.ai:443/api/mcp/auth_callback"],   None,          None),
        (&[LOCAL, CURSOR, PRIVATE],                          Some(CURSOR),  Some("Cursor")),
        (&[LOCAL, CURSOR, PRIVATE],                          Some(LOCAL),   None),
        (&[LOCAL, CURSOR, PRIVATE],                          Some(PRIVATE), None),
        (&["http://localhost:8787/evil", CURSOR],            Some(CURSOR),  None),
        (&[EVIL],                                            Some(CLAUDE),  None),
        (&[],                                                None,          None),
    ];
    let catalogue = shipped();
    for (uris, in_use, expected) in rows {
        let found = catalogue.known_by_redirects(&redirects(uris), in_use);
        assert_eq!(product(found), expected, "{uris:?} {in_use:?}");
    }
}

/// R4, R8: a name alone is a claim only where the product could be.
#[test]
fn names_claim_where_the_product_can_be() {
    type Row = (
        &'static str,
        &'static [&'static str],
        Option<&'static str>,
        Option<&'static str>,
    );
    #[rustfmt::skip]
    let rows: [Row; 17] = [
        ("Claude Code (project)",  &["http://localhost:1/callback"],             None,                   Some("Claude Code")),
        ("Claude Code",            &["http://localhost:1/evil"],                 None,                   Some("Claude Code")),
        ("Claude Code",            &["https://evil.example/cb"],                 None,                   None),
        ("Claude Code",            &["http://localhost/callback"],               Some("evil.example"),   None),
        ("Claude Code",            &["http://localhost/callback"],               Some("claude.ai"),      Some("Claude Code")),
        ("Claude",                 &["http://localhost/callback"],               None,                   None),
        ("ChatGPT",                &["https://chatgpt.com/connector/oauth/x"],   Some("chatgpt.com"),    Some("ChatGPT")),
        ("ChatGPT",                &["https://evil.example/x"],                  Some("chatgpt.com"),    None),
        ("Cursor",                 &["cursor://x/y"],                            None,                   Some("Cursor")),
        ("My tool",                &["cursor://x/y"],                            None,                   Some("Cursor")),
        ("Cursor",                 &["com.evil.app:/cb"],                        None,                   Some("Cursor")),
        ("MCP Inspector",          &["https://inspector.example/cb"],            None,                   Some("MCP Inspector")),
        ("Inspector",              &["https://inspector.example/cb"],            None,                   None),
        ("Remote",                 &["http://localhost/oauth/callback"],         None,                   None),
        ("LibreChat",              &["https://chat.acme.example/cb"],            None,                   Some("LibreChat")),
        ("LM Studio",              &["https://lm.example/cb"],                   None,                   None),
        ("Notes",                  &["http://localhost/callback"],               None,                   None),
    ];
    let catalogue = shipped();
    for (name, uris, host, expected) in rows {
        let claim = catalogue.claims(Some(&NameKeys::of(name)), &redirects(uris), host);
        let found = claim.map(|claim| claim.entry.product.as_str());
        assert_eq!(found, expected, "{name} {uris:?} {host:?}");
    }
    let nameless = registered(None, &["http://localhost/callback"]);
    assert!(
        catalogue
            .claims(None, &nameless.redirect_uris, None)
            .is_none()
    );
}

/// QUIRK-14: a pinned copy is a valid document of exactly its id, and means what the live one does.
#[test]
fn pinned_documents_are_valid_and_exact() {
    let catalogue = shipped();
    for name in [
        "claude-ai",
        "claude-code",
        "chatgpt-stable",
        "codex",
        "vscode",
    ] {
        let id = document_id(name);
        let pinned = catalogue.pinned(&id).unwrap();
        let (read, _) =
            cimd_document::read(pinned.as_bytes(), &id, &RedirectPolicy::default()).unwrap();
        let live = document(name);
        assert_eq!(read.client_name, live.client_name, "{name}");
        assert_eq!(read.auth_methods, live.auth_methods, "{name}");
        assert_eq!(read.jwks_uri, live.jwks_uri, "{name}");
        assert!(
            read.redirect_uris
                .iter()
                .all(|uri| live.redirect_uris.contains(uri)),
            "{name}"
        );
    }
    assert!(catalogue.pinned("https://evil.example/c").is_none());
    assert!(catalogue.pinned(&document_id("zed")).is_none());
}

fn sample() -> Value {
    json!({
        "version": 1, "serial": 7, "issued_at": 1_000, "entries": [{
            "product": "Demo", "vendor": "Example", "names": ["Demo"],
            "cimd_ids": ["https://demo.example/c"], "https_redirects": ["https://demo.example/cb"],
            "loopback_paths": ["/cb"], "private_schemes": ["com.demo"],
            "document_hosts": ["demo.example"], "redirect_hosts": [], "egress": ["192.0.2.0/24"],
            "first_seen": "2026-01-31", "source": "a page",
        }],
    })
}

fn parse(value: &Value) -> Result<Catalogue, CatalogueError> {
    Catalogue::parse(value.to_string().as_bytes())
}

/// One row, one member of the sample changed, and what the error names.
#[test]
fn a_bad_catalogue_is_refused_by_entry_and_member() {
    assert!(parse(&sample()).is_ok());
    #[rustfmt::skip]
    let rows = [
        ("product",         json!(""),                             "1 to 300"),
        ("product",         json!("a\u{202e}b"),                   "not a name"),
        ("vendor",          json!(null),                           "1 to 300"),
        ("names",           json!([]),                             "at least one"),
        ("names",           json!("Demo"),                         "array"),
        ("names",           json!(["Demo", "Demo"]),               "twice"),
        ("cimd_ids",        json!(["http://demo.example/c"]),      "not the URL"),
        ("cimd_ids",        json!(["https://demo.example/c?x"]),   "not the URL"),
        ("cimd_ids",        json!(["https://other.example/c"]),    "document_hosts"),
        ("https_redirects", json!(["http://localhost/cb"]),        "not an https"),
        ("https_redirects", json!(["https://*.example/cb"]),       "not an https"),
        ("loopback_paths",  json!(["cb"]),                         "not a path"),
        ("loopback_paths",  json!(["/*"]),                         "not a path"),
        ("private_schemes", json!(["javascript"]),                 "not a private-use"),
        ("private_schemes", json!(["https"]),                      "not a private-use"),
        ("document_hosts",  json!(["demo.example", "localhost"]),  "not a public host"),
        ("document_hosts",  json!(["DEMO.example"]),               "not a public host"),
        ("redirect_hosts",  json!(["a.example/x"]),                "not a public host"),
        ("egress",          json!(["0.0.0.0/0"]),                  "not a range"),
        ("egress",          json!(["192.0.2.1/24"]),               "not a range"),
        ("first_seen",      json!("2026-13-01"),                   "not a date"),
        ("first_seen",      json!("yesterday"),                    "not a date"),
        ("generic",         json!("yes"),                          "true or false"),
        ("trusted",         json!(true),                           "not a member"),
        ("pinned",          json!([]),                             "object"),
        ("pinned",          json!({"https://x.example/c": {}}),    "cimd_ids"),
        ("pinned",          json!({"https://demo.example/c": {}}), "client_id"),
    ];
    for (member, value, message) in rows {
        let mut whole = sample();
        whole["entries"][0][member] = value.clone();
        let failure = parse(&whole).unwrap_err();
        assert_eq!(
            (failure.entry, failure.member.as_str()),
            (Some(0), member),
            "{value}"
        );
        assert!(failure.message.contains(message), "{failure}");
        assert!(
            failure
                .to_string()
                .starts_with(&format!("entries[0].{member}: "))
        );
    }
    #[rustfmt::skip]
    let rows = [
        ("version",   json!(2)), ("serial", json!(0)), ("serial", json!(-1)), ("serial", json!("7")),
        ("issued_at", json!(null)), ("entries", json!([])), ("entries", json!({})), ("extra", json!(1)),
    ];
    for (member, value) in rows {
        let mut whole = sample();
        whole[member] = value.clone();
        let failure = parse(&whole).unwrap_err();
        assert_eq!(
            (failure.entry, failure.member.as_str()),
            (None, member),
            "{value}"
        );
    }
    for text in ["", "null", "[]", "{\"version\":1,\"version\":1}"] {
        assert_eq!(
            Catalogue::parse(text.as_bytes()).unwrap_err().member,
            "file",
            "{text}"
        );
    }
}

#[test]
fn an_identity_belongs_to_one_entry() {
    #[rustfmt::skip]
    let rows = [
        ("product",         json!({"product": "Demo"})),
        ("cimd_ids",        json!({"cimd_ids": ["https://demo.example/c"], "document_hosts": ["demo.example"]})),
        ("https_redirects", json!({"https_redirects": ["https://demo.example/cb"]})),
    ];
    for (member, change) in rows {
        let mut other = json!({
            "product": "Other", "vendor": "Example", "names": ["Other"], "first_seen": "2026-01-31",
            "source": "a page",
        });
        for (name, value) in change.as_object().unwrap() {
            other[name] = value.clone();
        }
        let mut whole = sample();
        whole["entries"].as_array_mut().unwrap().push(other);
        let failure = parse(&whole).unwrap_err();
        assert_eq!((failure.entry, failure.member.as_str()), (Some(1), member));
    }
}

/// An old catalogue that was signed once does not come back.
#[test]
fn an_update_must_be_newer() {
    let current = parse(&sample()).unwrap();
    #[rustfmt::skip]
    let rows = [
        (8, 1_000, None), (8, 2_000, None), (7, 2_000, Some("serial")), (6, 2_000, Some("serial")),
        (8, 999, Some("issued_at")),
    ];
    for (serial, issued_at, refused) in rows {
        let mut new = sample();
        new["serial"] = serial.into();
        new["issued_at"] = issued_at.into();
        let failure = current.update(new.to_string().as_bytes()).err();
        assert_eq!(
            failure.map(|failure| failure.member).as_deref(),
            refused,
            "{serial}"
        );
    }
}
