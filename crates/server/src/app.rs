//! What every handler has: the engine, and how this hub is reached.

use std::{sync::Arc, time::Duration};

use ipnet::IpNet;
use vestibule_engine::Engine;
use vestibule_protocol::issuer::Issuer;

/// How this hub is reached.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// Networks of reverse proxies whose `X-Forwarded-For` is read.
    pub trusted_proxies: Vec<IpNet>,
    /// The issuer is `https`: cookies are `Secure` and `__Host-`.
    pub secure_cookies: bool,
    /// Host and port of the issuer; other `Host` headers are misdirected (P5).
    pub authority: String,
    /// Any loopback name will do.
    pub loopback: bool,
    /// Path of the issuer, before every route.
    pub base: String,
    /// Connections at the same time.
    pub connections_max: usize,
    /// A body arrives within this time, or is not waited for.
    pub body_within: Duration,
}

impl HttpSettings {
    /// For this issuer.
    pub fn new(issuer: &Issuer, trusted_proxies: Vec<IpNet>) -> Self {
        let origin = issuer.origin();
        let authority = origin.split_once("://").map_or("", |(_, rest)| rest);
        Self {
            trusted_proxies,
            secure_cookies: issuer.is_https(),
            authority: authority.to_owned(),
            loopback: issuer.is_loopback(),
            base: issuer.path().to_owned(),
            connections_max: 10_000,
            body_within: Duration::from_secs(20),
        }
    }
}

/// The state of every handler.
#[derive(Clone)]
pub struct App {
    pub(crate) engine: Arc<Engine>,
    pub(crate) settings: Arc<HttpSettings>,
}

impl App {
    /// Of an engine and its settings.
    pub fn new(engine: Arc<Engine>, settings: HttpSettings) -> Self {
        Self {
            engine,
            settings: Arc::new(settings),
        }
    }
}
