//! Live-shaped documents, bodies and requests (client-quirks, section 11).

use vestibule_protocol::{
    authorize::{AuthorizationRequest, AuthorizeParams},
    client_id::ClientId,
    client_metadata::{
        ApplicationType::{Native, Web},
        AuthMethod, ClientMetadata,
    },
    redirect_uri::{RedirectKind, TrustedRedirect},
    resource_indicator::ResourceUri,
};

use crate::{BODIES, DOCUMENTS, REQUESTS, document, everybody, register};

fn methods(metadata: &ClientMetadata) -> String {
    let names: Vec<_> = metadata
        .auth_methods
        .iter()
        .map(AuthMethod::as_str)
        .collect();
    names.join(" ")
}

/// CIMD-23, CIMD-24, CIMD-25, CIMD-54, CIMD-56, CIMD-58, CIMD-64, QUIRK-10, QUIRK-11, QUIRK-12,
/// QUIRK-13, QUIRK-18, MCP-AS-28: each vendor's document is understood as its client means it.
#[test]
fn the_documents_of_live_clients_are_understood() {
    #[rustfmt::skip]
    let rows = [
        // document            calls itself           methods                  type    loopback
        ("claude-ai",         "Claude",              "none",                 Web,    false),
        ("claude-code",       "Claude Code",         "none",                 Native, true),
        ("chatgpt-stable",    "ChatGPT",             "private_key_jwt none", Web,    false),
        ("chatgpt-connector", "ChatGPT",             "private_key_jwt none", Web,    false),
        ("codex",             "Codex",               "none",                 Native, true),
        ("vscode",            "Visual Studio Code",  "none",                 Native, false),
        ("zed",               "Zed",                 "none",                 Native, true),
        ("opencode",          "OpenCode",            "none",                 Native, true),
        ("goose",             "goose",               "none",                 Native, true),
        ("mcpjam",            "MCPJam Inspector",    "none",                 Web,    false),
    ];
    for ((name, body), (row, calls_itself, expected, kind, loopback)) in
        DOCUMENTS.into_iter().zip(rows)
    {
        assert_eq!(name, row);
        let read = document(body);
        let shown = read
            .client_name
            .as_ref()
            .map(|name| name.as_str().to_owned());
        assert_eq!(shown.as_deref(), Some(calls_itself), "{name}");
        assert_eq!(methods(&read), expected, "{name}");
        assert_eq!(read.application_type, kind, "{name}");
        assert_eq!(read.all_loopback(), loopback, "{name}");
        let grants = ["authorization_code", "refresh_token"];
        assert_eq!(read.grant_types.names(), grants, "{name}");
    }
}

/// DCR-12, DCR-13, DCR-14, DCR-15, ODCR-05, AC-15, QUIRK-20, QUIRK-43, QUIRK-44, QUIRK-48: no
/// client of the catalogue is turned away.
#[test]
fn the_bodies_of_live_clients_are_registered() {
    #[rustfmt::skip]
    let rows = [
        // body              methods                type    URIs  refresh
        ("cursor",          "none",                Web,    3,    true),
        ("vscode",          "none",                Native, 4,    true),
        ("mcp-remote",      "none",                Native, 1,    true),
        ("rmcp",            "none",                Native, 1,    true),
        ("python-sdk",      "client_secret_basic", Native, 1,    true),
        ("typescript-sdk",  "client_secret_post",  Native, 1,    true),
        ("lm-studio",       "none",                Native, 1,    false),
        ("copilot-studio",  "client_secret_post",  Web,    1,    true),
        ("claude-code",     "none",                Native, 1,    true),
        ("gemini-cli",      "none",                Native, 1,    true),
    ];
    for ((name, body), (row, expected, kind, uris, refresh)) in BODIES.into_iter().zip(rows) {
        assert_eq!(name, row);
        let read = register(body).unwrap_or_else(|failure| panic!("{name}: {failure}"));
        assert_eq!(methods(&read), expected, "{name}");
        assert_eq!(read.application_type, kind, "{name}");
        assert_eq!(read.redirect_uris.len(), uris, "{name}");
        assert_eq!(read.grant_types.refresh_token, refresh, "{name}");
    }
}

/// QUIRK-20, RU-07: one body mixes three kinds, and keeps them.
#[test]
fn the_three_redirects_of_cursor_are_kept() {
    let [(name, body), ..] = BODIES;
    assert_eq!(name, "cursor");
    let kinds: Vec<_> = register(body)
        .unwrap()
        .redirect_uris
        .iter()
        .map(|uri| (uri.kind(), uri.display_host().to_owned()))
        .collect();
    assert_eq!(
        kinds,
        [
            (RedirectKind::Loopback, "localhost:8787".to_owned()),
            (RedirectKind::Https, "www.cursor.com".to_owned()),
            (RedirectKind::PrivateUse, "cursor:".to_owned()),
        ]
    );
}

/// QUIRK-19, QUIRK-21, CIMD-33, MCP-AS-25: what was accepted at the door is accepted at authorize, also after
/// the row was written and read.
#[test]
fn every_registered_redirect_is_accepted_later() {
    for (name, metadata) in everybody() {
        let stored = ClientMetadata::decode_stored(&metadata.encode_stored()).unwrap();
        assert_eq!(stored, metadata, "{name}");
        for uri in &metadata.redirect_uris {
            let found = TrustedRedirect::matching(&stored.redirect_uris, Some(uri.as_str()));
            assert_eq!(found.unwrap().kind(), uri.kind(), "{name} {}", uri.as_str());
        }
    }
}

/// CIMD-76, QUIRK-18: two documents of one vendor are two clients.
#[test]
fn no_two_documents_share_an_identity() {
    let mut keys: Vec<_> = DOCUMENTS
        .iter()
        .map(|(_, body)| {
            let value: serde_json::Value = serde_json::from_str(body).unwrap();
            ClientId::parse(value["client_id"].as_str().unwrap())
                .unwrap()
                .key()
        })
        .collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), DOCUMENTS.len());
}

fn request(name: &str) -> AuthorizationRequest {
    let (_, query) = REQUESTS
        .into_iter()
        .find(|(known, _)| *known == name)
        .unwrap();
    let pairs: Vec<(String, String)> = url::form_urlencoded::parse(query.trim().as_bytes())
        .into_owned()
        .collect();
    let params = AuthorizeParams::from_pairs(&pairs).unwrap();
    let id = params.client_id().unwrap();
    assert!(matches!(ClientId::parse(id), Ok(ClientId::Url(_))), "{id}");
    let quoted = format!("\"{id}\"");
    let (_, body) = DOCUMENTS
        .into_iter()
        .find(|(_, body)| body.contains(&quoted))
        .unwrap();
    let redirect = TrustedRedirect::matching(&document(body).redirect_uris, params.redirect_uri());
    AuthorizationRequest::read(&params, redirect.unwrap()).unwrap()
}

/// GEN-20, QUIRK-21, QUIRK-23, QUIRK-25, QUIRK-26, QUIRK-38, QUIRK-61, QUIRK-62, QUIRK-63, RU-04,
/// RU-05: the odd requests of live clients are read as they are meant.
#[test]
fn the_requests_of_live_clients_are_understood() {
    #[rustfmt::skip]
    let rows = [
        // request                  scope                        resource                      shown as           prompt
        ("ephemeral-port",         Some("mcp:read"),             Some("https://notes.example/mcp"), "localhost:52163", false),
        ("missing-resource",       Some("mcp:read"),             None,                              "127.0.0.1:41207", false),
        ("origin-slash-resource",  Some("mcp:read"),             Some("https://notes.example"),     "127.0.0.1:41207", false),
        ("leading-space-scope",    Some("offline_access"),       Some("https://notes.example/mcp"), "claude.ai",       false),
        ("prompt-consent",         Some("mcp:read offline_access"), Some("https://notes.example/mcp"), "127.0.0.1:60011", true),
        ("no-scope",               None,                         Some("https://notes.example/mcp/"), "127.0.0.1:33418", false),
    ];
    for (name, scope, resource, shown, consent) in rows {
        let read = request(name);
        assert_eq!(
            read.scope.map(|set| set.to_string()).as_deref(),
            scope,
            "{name}"
        );
        let configured = resource.map(|raw| ResourceUri::parse(raw).unwrap());
        assert_eq!(
            read.resource.len(),
            usize::from(configured.is_some()),
            "{name}"
        );
        for (asked, configured) in read.resource.iter().zip(&configured) {
            assert!(asked.is_equivalent(configured), "{name}");
        }
        assert_eq!(read.redirect.display_host(), shown, "{name}");
        assert_eq!(read.prompt.consent, consent, "{name}");
        let answer = read
            .redirect
            .with_response(&[("state", read.state.as_deref())]);
        assert!(answer.ends_with("?state=q7K1"), "{name} {answer}");
    }
}
