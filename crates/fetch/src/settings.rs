//! What an embedding program chooses.

use std::time::Duration;

use ipnet::IpNet;

/// How fetching behaves.
#[derive(Clone, Debug)]
pub struct FetchSettings {
    /// One deadline over name, connections, TLS, headers and body, all addresses together.
    pub deadline: Duration,
    /// Trust anchors (PEM) beside the system's.
    pub extra_ca_pem: Vec<Vec<u8>>,
    /// Exactly these origins may be on loopback, such as `https://localhost:9443`.
    pub loopback_origins: Vec<String>,
    /// Never connected to, beside the special-purpose ranges.
    pub denied_addresses: Vec<IpNet>,
    /// Sent with every request; names product and issuer (CIMD-20).
    pub user_agent: String,
    /// Fetches of strangers' URLs at the same time.
    pub connections_max: usize,
}

impl Default for FetchSettings {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(5),
            extra_ca_pem: Vec::new(),
            loopback_origins: Vec::new(),
            // A public address that is a cloud's metadata service inside that cloud (F17).
            denied_addresses: "168.63.129.16/32".parse().into_iter().collect(),
            user_agent: concat!("Vestibule/", env!("CARGO_PKG_VERSION")).to_owned(),
            connections_max: 64,
        }
    }
}

/// The fetcher refuses to exist.
#[derive(Debug, thiserror::Error)]
pub enum FetchSetupError {
    /// The guard let through what it must not (F16).
    #[error("the address guard failed its own test")]
    Guard,
    /// A PEM file holds no certificate.
    #[error("a trust anchor file holds no certificate")]
    Pem,
    /// The resolver's configuration cannot be read.
    #[error("the system's resolver configuration cannot be used: {0}")]
    Resolver(String),
    /// TLS cannot be set up.
    #[error("TLS could not be set up: {0}")]
    Tls(String),
}
