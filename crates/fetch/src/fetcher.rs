//! The fetcher: settings, the start-up self-test, and the connector with the guard inside.
//!
//! One fetch is one connection. The name is resolved once, the guard judges the whole answer, and
//! exactly the judged addresses are dialled, in order; there is no second look-up that could say
//! something else (threats F3). One deadline covers waiting, name, connections, TLS, headers and
//! body (F19).
//!
//! Not here: caches, budgets per host and per source (`cimd`), and retries.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, header};
use http_body_util::Full;
use ipnet::IpNet;
use rustls::pki_types::ServerName;
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout, timeout_at},
};
use tokio_rustls::TlsConnector;
use url::form_urlencoded;

use crate::{
    Dial, Dialled, FetchError, Fetched, Io, OperatorUrl, Purpose, Resolve, StrangerUrl,
    StrangerUrlError,
    dial::Tcp,
    exchange::{Budget, exchange},
    guard::{Admitted, Guard, Reach},
    resolve::SystemResolver,
    target::{Target, is_public_record_name},
    tls,
};

/// Most addresses of one name that are tried; all of them are judged.
const ADDRESSES_TRIED_MAX: usize = 6;
/// Most TXT records of one name: more are no place for a proof.
const TXT_RECORDS_MAX: usize = 20;
/// Longest TXT record that is handed over.
const TXT_BYTES_MAX: usize = 512;

/// How a fetcher behaves.
#[derive(Clone, Debug)]
pub struct FetchSettings {
    /// One deadline over everything, default 5 s (CIMD-53).
    pub deadline: Duration,
    /// PEM files with trust anchors beside the system's.
    pub extra_ca_pem: Vec<Vec<u8>>,
    /// Origins such as `https://localhost:9443`, compared as written: URLs below exactly these
    /// reach loopback, and nothing but loopback (CIMD-82). For a hub that is on loopback itself.
    pub loopback_origins: Vec<String>,
    /// Public addresses that strangers may not make us reach; by default the metadata service
    /// that sits on one (threats F17).
    pub denied_addresses: Vec<IpNet>,
    /// `User-Agent`, the same for every request (CIMD-20, threats F29).
    pub user_agent: String,
    /// Most fetches for strangers at a time, and as many for the operator.
    pub connections_max: usize,
}

impl Default for FetchSettings {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(5),
            extra_ca_pem: Vec::new(),
            loopback_origins: Vec::new(),
            denied_addresses: vec![IpNet::from(IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)))],
            user_agent: concat!("Vestibule/", env!("CARGO_PKG_VERSION")).to_owned(),
            connections_max: 64,
        }
    }
}

/// Why there is no fetcher.
#[derive(Debug, thiserror::Error)]
pub enum FetchSetupError {
    /// The self-test failed: without the guard nothing is fetched (threats F16).
    #[error("the guard against inward connections does not hold; refusing to start")]
    Guard,
    /// A deadline of zero, or no connection at all.
    #[error("the fetch deadline and the number of connections must not be zero")]
    Limits,
    /// Not `https://host` or `https://host:port`.
    #[error("`{0}` is not an https origin")]
    LoopbackOrigin(String),
    /// rustls refused its configuration.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
    /// Not PEM, or not a certificate.
    #[error("an extra trust anchor cannot be read: {0}")]
    TrustAnchor(String),
    /// Not a header value.
    #[error("the user agent `{0}` cannot be sent")]
    UserAgent(String),
}

/// The only HTTP client.
pub struct Fetcher {
    deadline: Duration,
    dialler: Arc<dyn Dial>,
    guard: Guard,
    loopback_origins: Vec<String>,
    operators: Semaphore,
    resolver: Arc<dyn Resolve>,
    strangers: Semaphore,
    tls: TlsConnector,
    user_agent: HeaderValue,
}

impl fmt::Debug for Fetcher {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Fetcher")
            .field("deadline", &self.deadline)
            .field("loopback_origins", &self.loopback_origins)
            .finish_non_exhaustive()
    }
}

impl Fetcher {
    /// Prepare, test the guard, and fail closed.
    pub fn new(settings: FetchSettings) -> Result<Self, FetchSetupError> {
        let guard = Guard::new(settings.denied_addresses);
        if !guard.holds() {
            return Err(FetchSetupError::Guard);
        }
        if settings.deadline.is_zero() || settings.connections_max == 0 {
            return Err(FetchSetupError::Limits);
        }
        for origin in &settings.loopback_origins {
            Target::parse_loopback_origin(origin)
                .map_err(|_| FetchSetupError::LoopbackOrigin(origin.clone()))?;
        }
        let user_agent = HeaderValue::from_str(&settings.user_agent)
            .map_err(|_| FetchSetupError::UserAgent(settings.user_agent.clone()))?;
        let connections_max = settings.connections_max.min(Semaphore::MAX_PERMITS);
        Ok(Self {
            deadline: settings.deadline,
            dialler: Arc::new(Tcp),
            guard,
            loopback_origins: settings.loopback_origins,
            operators: Semaphore::new(connections_max),
            resolver: Arc::new(SystemResolver::new()),
            strangers: Semaphore::new(connections_max),
            tls: tls::connector(&settings.extra_ca_pem)?,
            user_agent,
        })
    }

    /// With another source of addresses. The guard judges its answers all the same.
    #[must_use]
    pub fn with_resolver(mut self, resolver: Arc<dyn Resolve>) -> Self {
        self.resolver = resolver;
        self
    }

    /// With these name servers in place of the system's, over UDP, and over TCP where an answer is
    /// too long for that.
    #[must_use]
    pub fn with_name_servers(self, servers: &[SocketAddr]) -> Self {
        self.with_resolver(Arc::new(SystemResolver::asking(servers)))
    }

    /// With another way to open connections. It is asked for admitted addresses only.
    #[must_use]
    pub fn with_dialler(mut self, dialler: Arc<dyn Dial>) -> Self {
        self.dialler = dialler;
        self
    }

    /// [`StrangerUrl::parse`], where URLs below a configured loopback origin parse, too.
    pub fn parse_stranger_url(&self, raw: &str) -> Result<StrangerUrl, StrangerUrlError> {
        StrangerUrl::parse_with(raw, &self.loopback_origins)
    }

    /// Fetch what a stranger pointed at. Any status is an answer; only 200 brings a body.
    pub async fn get(&self, url: &StrangerUrl, purpose: Purpose) -> Result<Fetched, FetchError> {
        let target = url.target();
        // The settings of *this* fetcher decide, not those of the one that parsed the URL.
        let reach = if self.loopback_origins.iter().any(|o| o == target.origin()) {
            Reach::Loopback
        } else {
            target
                .require_public()
                .map_err(|_| FetchError::AddressRefused)?;
            Reach::Public
        };
        let request = self
            .request(Method::GET, target)
            .header(header::ACCEPT, purpose.accept())
            .body(Full::default())
            .map_err(|_| FetchError::Protocol)?;
        let budget = Budget {
            body_bytes_max: purpose.body_bytes_max(),
            only_ok: true,
        };
        self.run(target, reach, request, budget, self.deadline)
            .await
    }

    /// The TXT records of a public DNS name, as text; empty where the name has none.
    ///
    /// The name is looked up as written, without search domains; labels may start with `_`
    /// (RFC 8552). Records that are longer than 512 bytes or not UTF-8 are left out. One
    /// deadline, [`FetchSettings::deadline`], covers all of it.
    ///
    /// # Errors
    ///
    /// [`NameNotResolved`](FetchError::NameNotResolved) for a name that no public host can have
    /// and when nobody could say, [`TooLarge`](FetchError::TooLarge) for more than 20 records,
    /// [`Busy`](FetchError::Busy) and [`DeadlineExceeded`](FetchError::DeadlineExceeded) as for a
    /// fetch.
    pub async fn txt(&self, name: &str) -> Result<Vec<String>, FetchError> {
        if !is_public_record_name(name) {
            return Err(FetchError::NameNotResolved);
        }
        let look_up = async {
            let records = self.resolver.txt(name).await.map_err(|failure| {
                tracing::debug!(name, %failure, "the TXT records of a name were not found");
                FetchError::NameNotResolved
            })?;
            if records.len() > TXT_RECORDS_MAX {
                return Err(FetchError::TooLarge);
            }
            let short = |record: &Vec<u8>| record.len() <= TXT_BYTES_MAX;
            let records = records.into_iter().filter(short);
            Ok(records.filter_map(|r| String::from_utf8(r).ok()).collect())
        };
        Self::in_time(&self.strangers, self.deadline, |_| look_up).await
    }

    /// GET from an origin that configuration names.
    pub async fn get_operator(
        &self,
        url: &OperatorUrl,
        bytes_max: usize,
    ) -> Result<Fetched, FetchError> {
        let target = url.target();
        let request = self
            .request(Method::GET, target)
            .header(header::ACCEPT, "application/json")
            .body(Full::default())
            .map_err(|_| FetchError::Protocol)?;
        let budget = operator(bytes_max);
        self.run(target, Reach::Operator, request, budget, self.deadline)
            .await
    }

    /// POST JSON to an origin that configuration names, with headers whose values are secret:
    /// they do not show in `Debug`. The deadline is the smaller of this one and
    /// [`FetchSettings::deadline`].
    ///
    /// # Errors
    ///
    /// As for every fetch, and [`Protocol`](FetchError::Protocol) without a call for a header that
    /// cannot be sent.
    pub async fn post_json_operator(
        &self,
        url: &OperatorUrl,
        body: Vec<u8>,
        headers: &[(&'static str, &str)],
        deadline: Duration,
        bytes_max: usize,
    ) -> Result<Fetched, FetchError> {
        let target = url.target();
        let mut request = self
            .request(Method::POST, target)
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/json");
        for &(name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| FetchError::Protocol)?;
            request = request.header(name, sensitive(value)?);
        }
        let request = request
            .body(Full::from(body))
            .map_err(|_| FetchError::Protocol)?;
        let (budget, deadline) = (operator(bytes_max), deadline.min(self.deadline));
        self.run(target, Reach::Operator, request, budget, deadline)
            .await
    }

    /// POST a form to an origin that configuration names, with HTTP Basic where credentials are
    /// given (both parts form-encoded first, RFC 6749 §2.3.1).
    pub async fn post_form_operator(
        &self,
        url: &OperatorUrl,
        form: &[(&str, &str)],
        basic: Option<(&str, &str)>,
        bytes_max: usize,
    ) -> Result<Fetched, FetchError> {
        let target = url.target();
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let mut request = self
            .request(Method::POST, target)
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        if let Some((name, secret)) = basic {
            request = request.header(header::AUTHORIZATION, basic_credentials(name, secret)?);
        }
        let request = request
            .body(Full::from(body))
            .map_err(|_| FetchError::Protocol)?;
        let budget = operator(bytes_max);
        self.run(target, Reach::Operator, request, budget, self.deadline)
            .await
    }

    /// What every request says: nothing about who asked for it (F29), and no cookie, referrer or
    /// credential (CIMD-20).
    fn request(&self, method: Method, target: &Target) -> http::request::Builder {
        Request::builder()
            .method(method)
            .uri(target.request_target())
            .header(header::HOST, target.host_header())
            .header(header::USER_AGENT, self.user_agent.clone())
            .header(header::ACCEPT_ENCODING, "identity")
            .header(header::CONNECTION, "close")
    }

    /// Everything, inside one deadline.
    async fn run(
        &self,
        target: &Target,
        reach: Reach,
        request: Request<Full<Bytes>>,
        budget: Budget,
        limit: Duration,
    ) -> Result<Fetched, FetchError> {
        let seats = match reach {
            Reach::Loopback | Reach::Public => &self.strangers,
            Reach::Operator => &self.operators,
        };
        let fetch = |deadline| async move {
            let stream = self.connect(target, reach, deadline).await?;
            exchange(stream, request, budget).await
        };
        Self::in_time(seats, limit, fetch).await
    }

    /// Wait for a seat, then do this until the deadline, which it is told.
    async fn in_time<T, F>(
        seats: &Semaphore,
        limit: Duration,
        work: impl FnOnce(Instant) -> F,
    ) -> Result<T, FetchError>
    where
        F: Future<Output = Result<T, FetchError>>,
    {
        let start = Instant::now();
        let deadline = start + limit;
        // A seat that comes later would leave no time for the work.
        let Ok(Ok(_seat)) = timeout_at(start + limit / 2, seats.acquire()).await else {
            return Err(FetchError::Busy);
        };
        timeout_at(deadline, work(deadline))
            .await
            .unwrap_or(Err(FetchError::DeadlineExceeded))
    }

    /// The connector. Nothing is dialled that the guard has not admitted.
    async fn connect(
        &self,
        target: &Target,
        reach: Reach,
        deadline: Instant,
    ) -> Result<Box<dyn Io>, FetchError> {
        let answer = self.resolve(target, reach).await?;
        let admitted = self
            .guard
            .admit(&answer, target.port, reach)
            .map_err(|refused| {
                tracing::debug!(
                    host = target.host,
                    address = %refused.address,
                    range = refused.range,
                    "an address was refused"
                );
                FetchError::AddressRefused
            })?;
        let stream = self.dial(&admitted, deadline).await?;
        if !target.https {
            return Ok(stream);
        }
        let name = match target.literal {
            Some(ip) => ServerName::IpAddress(ip.into()),
            None => ServerName::try_from(target.host.clone()).map_err(|_| FetchError::TlsFailed)?,
        };
        let secured = self.tls.connect(name, stream).await.map_err(|failure| {
            tracing::debug!(host = target.host, %failure, "a TLS handshake failed");
            FetchError::TlsFailed
        })?;
        Ok(Box::new(secured))
    }

    async fn resolve(&self, target: &Target, reach: Reach) -> Result<Vec<IpAddr>, FetchError> {
        if let Some(literal) = target.literal {
            return Ok(vec![literal]);
        }
        // RFC 6761 §6.3: `localhost` is not a question for anybody else.
        if reach != Reach::Public && target.is_loopback() {
            return Ok(vec![
                IpAddr::V4(Ipv4Addr::LOCALHOST),
                IpAddr::V6(Ipv6Addr::LOCALHOST),
            ]);
        }
        let answer = self.resolver.resolve(&target.host).await;
        let answer = answer.map_err(|failure| {
            tracing::debug!(host = target.host, %failure, "a name was not resolved");
            FetchError::NameNotResolved
        })?;
        if answer.is_empty() {
            return Err(FetchError::NameNotResolved);
        }
        Ok(answer)
    }

    /// Try the addresses in turn; each gets an equal share of the time that is left, so that one
    /// which swallows packets does not use it all up.
    async fn dial(
        &self,
        admitted: &[Admitted],
        deadline: Instant,
    ) -> Result<Box<dyn Io>, FetchError> {
        let tried = admitted.len().min(ADDRESSES_TRIED_MAX);
        let mut failed = FetchError::ConnectFailed;
        for (index, admitted) in admitted.iter().take(tried).enumerate() {
            let left = u32::try_from(tried.saturating_sub(index)).unwrap_or(1);
            let share = deadline.saturating_duration_since(Instant::now()) / left.max(1);
            let address = admitted.address();
            match timeout(share, self.dialler.dial(address)).await {
                Ok(Ok(Dialled { stream, peer })) if peer == address => return Ok(stream),
                Ok(Ok(Dialled { peer, .. })) => {
                    tracing::warn!(%address, %peer, "a connection led somewhere else");
                    return Err(FetchError::AddressRefused);
                }
                Ok(Err(failure)) => {
                    tracing::debug!(%address, %failure, "an address did not answer");
                    failed = FetchError::ConnectFailed;
                }
                Err(_) => failed = FetchError::DeadlineExceeded,
            }
        }
        Err(failed)
    }
}

/// An operator's peer is read whatever its status: errors of introspection carry a reason.
fn operator(bytes_max: usize) -> Budget {
    Budget {
        body_bytes_max: bytes_max,
        only_ok: false,
    }
}

fn basic_credentials(name: &str, secret: &str) -> Result<HeaderValue, FetchError> {
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pair = format!("{}:{}", encode(name), encode(secret));
    sensitive(&format!("Basic {}", BASE64_STANDARD.encode(pair)))
}

/// A value that must not reach a log.
fn sensitive(text: &str) -> Result<HeaderValue, FetchError> {
    let mut value = HeaderValue::from_str(text).map_err(|_| FetchError::Protocol)?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// P8: what is secret in a request does not print with it.
    #[test]
    fn a_secret_header_does_not_print() {
        for value in [sensitive("hunter2"), basic_credentials("id", "hunter2")] {
            assert_eq!(format!("{:?}", value.unwrap()), "Sensitive");
        }
        assert_eq!(sensitive("a\r\nb: c"), Err(FetchError::Protocol));
    }
}
