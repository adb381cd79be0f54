//! Where a name becomes addresses: all of them at once, so that the guard sees every one.
//!
//! | Rule                                               | Enforced by                 | Threat |
//! |----------------------------------------------------|-----------------------------|--------|
//! | the name is looked up as written, no search domain | a fully qualified name      | F2     |
//! | A and AAAA both, after CNAMEs                      | `Ipv4AndIpv6`               | F2, F4 |
//! | no HTTPS or SVCB record steers the connection      | they are not asked for      | F13    |
//!
//! The system's `resolv.conf` and `hosts` are read once. Where there is none, no name resolves, and
//! that is all: a hub without DNS still serves.
//!
//! Not here: judging the answers.

use std::{net::IpAddr, time::Duration};

use hickory_resolver::{
    TokioResolver,
    config::{LookupIpStrategy, ResolveHosts},
    proto::rr::Name,
};

use crate::BoxFuture;

/// Longest that one question to one name server takes, so that a second one fits the deadline.
const QUESTION_MAX: Duration = Duration::from_secs(2);
/// Longest that an address is remembered, whatever its owner says.
const REMEMBERED_MAX: Duration = Duration::from_mins(5);
/// Longest that the absence of one is.
const ABSENCE_MAX: Duration = Duration::from_secs(10);

/// Why a name has no address.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NotResolved(pub String);

/// Turns names into addresses.
pub trait Resolve: Send + Sync {
    /// Every address of this name; never called with an IP literal.
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, NotResolved>>;
}

/// The name servers and the `hosts` file of the system.
pub(crate) struct SystemResolver(Result<TokioResolver, String>);

impl SystemResolver {
    pub(crate) fn new() -> Self {
        let made = TokioResolver::builder_tokio().and_then(|mut builder| {
            let options = builder.options_mut();
            options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
            options.use_hosts_file = ResolveHosts::Always;
            options.timeout = options.timeout.min(QUESTION_MAX);
            options.try_tcp_on_error = true;
            options.positive_max_ttl = Some(REMEMBERED_MAX);
            options.negative_max_ttl = Some(ABSENCE_MAX);
            builder.build()
        });
        if let Err(failure) = &made {
            tracing::warn!(%failure, "no name can be resolved: the resolver has no configuration");
        }
        Self(made.map_err(|failure| failure.to_string()))
    }
}

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, NotResolved>> {
        Box::pin(async move {
            let resolver = self
                .0
                .as_ref()
                .map_err(|failure| NotResolved(failure.clone()))?;
            let mut name =
                Name::from_ascii(host).map_err(|failure| NotResolved(failure.to_string()))?;
            name.set_fqdn(true);
            let found = resolver.lookup_ip(name).await;
            let found = found.map_err(|failure| NotResolved(failure.to_string()))?;
            Ok(found.iter().collect())
        })
    }
}
