//! Documents as they are fetched outside: what the catalogue's copy stands in for, told apart by the
//! resolver and the fetcher that the hub runs with, over TLS.

#![expect(clippy::unwrap_used, reason = "what surprises a test should end it")]

mod support;

use std::{net::SocketAddr, sync::Arc};

use serde_json::json;
use support::{
    outside::{NameServer, WebHost, WiredTo},
    visit::*,
    *,
};
use tokio::net::TcpListener;
use vestibule_cimd::{Resolver, ResolverSettings};
use vestibule_engine::{Badge, Step};
use vestibule_fetch::{FetchSettings, Fetcher};

const CLAUDE: &str = "https://claude.ai/oauth/mcp-oauth-client-metadata";
const CLAUDE_CALLBACK: &str = "https://claude.ai/api/mcp/auth_callback";
/// Public, and nobody's.
const PUBLIC: [u8; 4] = [93, 184, 216, 34];

/// An address of this machine where nobody listens.
async fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

fn answer(head: &str, media_type: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {head}\r\nContent-Type: {media_type}\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

/// QUIRK-14, CIMD-52, design 4.3: a host that is dead, or behind a wall, is stood in for; one that
/// answers is not, whatever it answers.
#[tokio::test]
async fn the_catalogue_stands_in_for_dead_hosts_and_walls_only() {
    let document = |redirect: &str| {
        json!({
            "client_id": CLAUDE, "client_name": "Claude", "redirect_uris": [redirect],
            "grant_types": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_method": "none",
        })
        .to_string()
    };
    let json = "application/json";
    let page = "<!doctype html><title>Just a moment</title>";
    let mitigated = "403 Forbidden\r\ncf-mitigated: challenge";
    #[rustfmt::skip]
    let rows = [
        // the host's answer, if it has one, what becomes of it, and whether by the copy
        (None,                                                            "consent", true),
        (Some(answer("403 Forbidden", "text/html", page)),                "consent", true),
        (Some(answer(mitigated, json, "{}")),                             "consent", true),
        (Some(answer("200 OK", "text/html", page)),                       "consent", true),
        (Some(answer("503 Service Unavailable", json, "{}")),             "consent", true),
        (Some("no HTTP at all\r\n\r\n".to_owned()),                       "consent", true),
        (Some(answer("200 OK", json, &document(CLAUDE_CALLBACK))),        "consent", false),
        (Some(answer("200 OK", json, &document(CALLBACK))),               "show",    false),
        (Some(answer("200 OK", json, "{}")),                              "show",    false),
        (Some(answer("404 Not Found", json, "{}")),                       "show",    false),
        (Some(answer("410 Gone", json, "{}")),                            "show",    false),
        (Some(answer("302 Found\r\nLocation: /x", json, "{}")),           "show",    false),
    ];
    for (said, expected, by_copy) in rows {
        let server = NameServer::start(PUBLIC).await;
        let host = WebHost::start("claude.ai").await;
        let address = match &said {
            Some(said) => {
                host.answer.lock().unwrap().clone_from(said);
                host.address
            }
            None => nobody().await,
        };
        let settings = FetchSettings {
            extra_ca_pem: vec![host.authority.clone()],
            ..FetchSettings::default()
        };
        let wired = WiredTo {
            host: address,
            dialled: Arc::default(),
        };
        let fetcher = Fetcher::new(settings).unwrap();
        let fetcher = fetcher
            .with_name_servers(&[server.address])
            .with_dialler(Arc::new(wired));
        let settings = ResolverSettings::default();
        let resolver = Resolver::new(Arc::new(fetcher), settings, || START);
        let hub = Hub::builder().documents(Arc::new(resolver)).start().await;
        let mut visit = Visit::signed_in(&hub, "ada").await;
        let step = visit
            .ask(CLAUDE, &[("redirect_uri", CLAUDE_CALLBACK)])
            .await;
        assert_eq!(word(&step), expected, "{said:?}");
        if let Step::Consent(page) = step {
            assert_eq!(page.badge, Badge::Known, "{said:?}");
            let copied = page.reasons.iter().any(|reason| reason.contains("a copy"));
            assert_eq!(copied, by_copy, "{said:?}");
        }
    }
}
