//! The certificate is the identity of a document (threats F18).

use std::sync::atomic::Ordering;

use rustls::version::{TLS12, TLS13};
use vestibule_fetch::{FetchError, FetchSettings, FetchSetupError, Fetcher};

use crate::support::{
    ADDRESS, Authority, Host, Identity, NAME, Names, Wire, Wires, World, ok, self_signed,
    server_config, settings,
};

async fn fetch_from(authority: &Authority, identity: Identity) -> (Option<FetchError>, usize) {
    let host = Host::start(server_config(identity, rustls::ALL_VERSIONS), ok("{}")).await;
    let world = World::new(
        settings(authority),
        Names::new(&[&["93.184.216.34"]]),
        Wires::new(&[(ADDRESS, Wire::To(host.address))]),
    );
    let failed = world.get().await.err();
    (failed, host.requests().len())
}

/// F18: the name of the URL, a known authority, today; else not even the request is sent.
#[tokio::test]
async fn only_a_valid_certificate_for_the_name_is_accepted() {
    let authority = Authority::new();
    let stranger = Authority::new();
    let good = (2020, 2100);
    #[rustfmt::skip]
    let rows = [
        ("good",              authority.issue(&[NAME], good),                   true),
        ("wildcard over all", authority.issue(&["*.example", "*"], good),       false),
        ("wrong name",        authority.issue(&["other.example"], good),        false),
        ("parent name",       authority.issue(&["example"], good),              false),
        ("address as a name", authority.issue(&["93.184.216.34"], good),        false),
        ("expired",           authority.issue(&[NAME], (2020, 2021)),           false),
        ("not yet valid",     authority.issue(&[NAME], (2099, 2100)),           false),
        ("unknown authority", stranger.issue(&[NAME], good),                    false),
        ("self-signed",       self_signed(&[NAME]),                             false),
    ];
    for (what, identity, accepted) in rows {
        let (failed, requests) = fetch_from(&authority, identity).await;
        let expected = (!accepted).then_some(FetchError::TlsFailed);
        assert_eq!(failed, expected, "{what}");
        assert_eq!(requests, usize::from(accepted), "{what}");
    }
}

/// F13, F18: both versions that are still good, and no session that lives on.
#[tokio::test]
async fn tls_1_2_and_1_3_are_spoken() {
    let authority = Authority::new();
    for version in [&TLS12, &TLS13] {
        let identity = authority.issue(&[NAME], (2020, 2100));
        let host = Host::start(server_config(identity, &[version]), ok("{}")).await;
        let world = World::new(
            settings(&authority),
            Names::new(&[&["93.184.216.34"]]),
            Wires::new(&[(ADDRESS, Wire::To(host.address))]),
        );
        for _ in 0..3 {
            assert_eq!(world.get().await.unwrap().status, 200);
        }
        assert_eq!(host.requests().len(), 3);
        assert_eq!(host.resumed.load(Ordering::SeqCst), 0);
    }
}

/// F14, F18: a plain-text service behind the port gets a `ClientHello` and nothing else.
#[tokio::test]
async fn a_host_without_tls_gets_no_request() {
    let host = Host::plain(ok("{}")).await;
    let world = World::new(
        FetchSettings {
            deadline: std::time::Duration::from_millis(500),
            ..FetchSettings::default()
        },
        Names::new(&[&["93.184.216.34"]]),
        Wires::new(&[(ADDRESS, Wire::To(host.address))]),
    );
    assert!(world.get().await.is_err());
    assert!(host.requests().is_empty());
}

/// F16: what cannot be set up is an error, not a weaker fetcher. No runtime is needed for it.
#[test]
fn a_fetcher_that_cannot_be_set_up_is_none() {
    let with = |change: fn(&mut FetchSettings)| {
        let mut settings = FetchSettings::default();
        change(&mut settings);
        Fetcher::new(settings).err()
    };
    assert!(with(|_| {}).is_none());
    for pem in [
        "",
        "no certificate",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        let settings = FetchSettings {
            extra_ca_pem: vec![pem.as_bytes().to_vec()],
            ..FetchSettings::default()
        };
        let failed = Fetcher::new(settings).err();
        assert!(
            matches!(failed, Some(FetchSetupError::TrustAnchor(_))),
            "{pem}"
        );
    }
    assert!(matches!(
        with(|settings| settings.user_agent = "a\r\nb: c".to_owned()),
        Some(FetchSetupError::UserAgent(_))
    ));
    assert!(matches!(
        with(|settings| settings.connections_max = 0),
        Some(FetchSetupError::Limits)
    ));
    for origin in [
        "http://localhost:9443",
        "https://localhost:9443/",
        "https://localhost:9443/x",
        "localhost:9443",
        "https://a@localhost",
        "https://localhost:0",
        "",
    ] {
        let settings = FetchSettings {
            loopback_origins: vec![origin.to_owned()],
            ..FetchSettings::default()
        };
        let failed = Fetcher::new(settings).err();
        assert!(
            matches!(failed, Some(FetchSetupError::LoopbackOrigin(_))),
            "{origin}"
        );
    }
}
