//! The one exception for development: exactly the configured origins, to loopback only (CIMD-82).

use std::sync::Arc;

use vestibule_fetch::{FetchError, FetchSettings, Fetcher, Purpose, StrangerUrl};

use crate::support::{Authority, Host, Names, Wires, ok, server_config, settings};

async fn local_host(authority: &Authority) -> (Host, u16) {
    let identity = authority.issue(&["localhost", "127.0.0.1"], (2020, 2100));
    let host = Host::start(server_config(identity, rustls::ALL_VERSIONS), ok("{}")).await;
    let port = host.address.port();
    (host, port)
}

fn fetcher(authority: &Authority, origins: &[String]) -> Fetcher {
    Fetcher::new(FetchSettings {
        loopback_origins: origins.to_vec(),
        ..settings(authority)
    })
    .unwrap()
}

/// CIMD-82: over the real dialler, by name and by address, for a document and for keys.
#[tokio::test]
async fn a_configured_loopback_origin_is_fetched() {
    let authority = Authority::new();
    let (host, port) = local_host(&authority).await;
    let origins = [
        format!("https://localhost:{port}"),
        format!("https://127.0.0.1:{port}"),
    ];
    let fetcher = fetcher(&authority, &origins);
    for origin in &origins {
        let url = format!("{origin}/agent.json");
        assert!(StrangerUrl::parse(&url).is_err());
        let url = fetcher.parse_stranger_url(&url).unwrap();
        for purpose in [Purpose::Document, Purpose::Keys] {
            let answer = fetcher.get(&url, purpose).await.unwrap();
            assert_eq!(answer.body.as_ref(), b"{}");
        }
    }
    let requests = host.requests();
    assert_eq!(requests.len(), 4);
    assert!(requests[0].contains(&format!("host: localhost:{port}\r\n")));
}

/// CIMD-82: another port, another spelling or another fetcher has no part in it.
#[tokio::test]
async fn no_other_loopback_origin_is() {
    let authority = Authority::new();
    let (host, port) = local_host(&authority).await;
    let lenient = fetcher(&authority, &[format!("https://localhost:{port}")]);
    for raw in [
        format!("https://127.0.0.1:{port}/a"),
        format!("https://[::1]:{port}/a"),
        format!("https://LOCALHOST:{port}/a"),
        "https://localhost:1/a".to_owned(),
    ] {
        assert!(lenient.parse_stranger_url(&raw).is_err(), "{raw}");
    }
    let url = lenient
        .parse_stranger_url(&format!("https://localhost:{port}/a"))
        .unwrap();
    let wires = Arc::new(Wires::default());
    let strict = fetcher(&authority, &[]).with_dialler(wires.clone());
    let refused = strict.get(&url, Purpose::Document).await;
    assert_eq!(refused, Err(FetchError::AddressRefused));
    assert!(wires.dialled().is_empty());
    assert!(host.requests().is_empty());
}

/// CIMD-82: a configured name that leads anywhere but to loopback is refused.
#[tokio::test]
async fn a_loopback_origin_that_leads_elsewhere_is_refused() {
    let authority = Authority::new();
    for address in [
        "10.0.0.1",
        "93.184.216.34",
        "169.254.169.254",
        "::ffff:10.0.0.1",
    ] {
        let wires = Arc::new(Wires::default());
        let fetcher = fetcher(&authority, &["https://agent.test:9443".to_owned()])
            .with_resolver(Arc::new(Names::new(&[&["127.0.0.1", address]])))
            .with_dialler(wires.clone());
        let url = fetcher
            .parse_stranger_url("https://agent.test:9443/a")
            .unwrap();
        let refused = fetcher.get(&url, Purpose::Document).await;
        assert_eq!(refused, Err(FetchError::AddressRefused), "{address}");
        assert!(wires.dialled().is_empty(), "{address}");
    }
}

/// CIMD-81: a loopback origin opens no door for any other name that leads to loopback.
#[tokio::test]
async fn other_names_stay_refused_beside_a_loopback_origin() {
    let authority = Authority::new();
    let wires = Arc::new(Wires::default());
    let fetcher = fetcher(&authority, &["https://localhost:9443".to_owned()])
        .with_resolver(Arc::new(Names::new(&[&["127.0.0.1"]])))
        .with_dialler(wires.clone());
    let url = StrangerUrl::parse("https://client.example:9443/a").unwrap();
    let refused = fetcher.get(&url, Purpose::Document).await;
    assert_eq!(refused, Err(FetchError::AddressRefused));
    assert!(wires.dialled().is_empty());
}
