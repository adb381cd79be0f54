//! Names to addresses, with every answer visible. No search domains, system configuration, hosts
//! file honoured.

use std::{future::Future, net::IpAddr, pin::Pin};

use hickory_resolver::{Resolver, net::runtime::TokioRuntimeProvider};

use crate::FetchSetupError;

/// The name has no address, or nobody could say.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the name does not resolve")]
pub struct ResolveFailed;

/// A resolution under way.
pub type Resolving<'a> =
    Pin<Box<dyn Future<Output = Result<Vec<IpAddr>, ResolveFailed>> + Send + 'a>>;

/// Gives all addresses of a name. The seam for tests; what it gives is judged by the caller.
pub trait Resolve: Send + Sync {
    /// Resolve a name.
    fn resolve<'a>(&'a self, host: &'a str) -> Resolving<'a>;
}

/// The system's resolver configuration.
pub struct SystemResolver(Resolver<TokioRuntimeProvider>);

impl SystemResolver {
    /// Read the system's configuration.
    pub fn new() -> Result<Self, FetchSetupError> {
        let failed =
            |failure: &dyn std::fmt::Display| FetchSetupError::Resolver(failure.to_string());
        let mut builder = Resolver::builder_tokio().map_err(|e| failed(&e))?;
        let options = builder.options_mut();
        options.ndots = 1;
        options.cache_size = 1_024;
        builder.build().map(Self).map_err(|e| failed(&e))
    }
}

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, host: &'a str) -> Resolving<'a> {
        Box::pin(async move {
            // The final dot keeps search domains out.
            let name = format!("{host}.");
            let found = self.0.lookup_ip(name.as_str()).await.map_err(|failure| {
                tracing::debug!(host, %failure, "a name did not resolve");
                ResolveFailed
            })?;
            Ok(found.iter().collect())
        })
    }
}
