//! The fetcher: one connection, one request, one bounded answer.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::Semaphore,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use crate::{
    FetchSettings, FetchSetupError, OperatorUrl, StrangerUrl, StrangerUrlError,
    address::{Verdict, judge},
    connect::{Dial, TcpDial, dial_first, loopback_addresses, public_addresses},
    resolve::{Resolve, SystemResolver},
};

/// Headers of an answer: bytes and count.
const HEADER_BYTES_MAX: usize = 16 << 10;
const HEADERS_MAX: usize = 64;

/// What is fetched; decides the byte budget.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Purpose {
    /// A client's document: 5 kB (CIMD-84).
    Document,
    /// A client's keys: 64 KiB (CIMD-68).
    Keys,
}

impl Purpose {
    const fn bytes_max(self) -> usize {
        match self {
            Self::Document => 5 * 1024,
            Self::Keys => 64 * 1024,
        }
    }
}

/// Why nothing was fetched. Strangers must not be able to tell these apart (F15).
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum FetchError {
    /// An address of the name must not be dialled.
    #[error("an address is refused")]
    AddressRefused,
    /// Too many fetches at the same time.
    #[error("too many fetches at the same time")]
    Busy,
    /// No address answered.
    #[error("no connection")]
    ConnectFailed,
    /// The deadline passed.
    #[error("the deadline passed")]
    DeadlineExceeded,
    /// The answer is compressed, though that was not asked for (F21).
    #[error("the answer is encoded")]
    Encoded,
    /// The name has no address.
    #[error("the name does not resolve")]
    NameNotResolved,
    /// Not HTTP.
    #[error("the answer is not proper HTTP")]
    Protocol,
    /// The certificate is not good for this name.
    #[error("TLS failed")]
    TlsFailed,
    /// More bytes than the budget.
    #[error("the answer is too large")]
    TooLarge,
}

impl FetchError {
    /// Says nothing about what is served there: it was not reached.
    pub const fn is_transport(self) -> bool {
        !matches!(self, Self::Encoded | Self::TooLarge)
    }
}

/// An answer, whatever its status.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// HTTP status; 3xx is an answer like any other, never followed (F10).
    pub status: u16,
    /// At most the byte budget.
    pub body: Bytes,
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `Cache-Control`.
    pub cache_control: Option<String>,
    /// `Age`, seconds.
    pub age: Option<u64>,
    /// `Retry-After`, if it is in seconds.
    pub retry_after: Option<u64>,
    /// A bot wall says that it answered instead of the host.
    pub cf_mitigated: bool,
}

/// Fetches.
#[derive(Clone)]
pub struct Fetcher {
    settings: Arc<FetchSettings>,
    tls: TlsConnector,
    resolver: Arc<dyn Resolve>,
    dialler: Arc<dyn Dial>,
    slots: Arc<Semaphore>,
}

/// One request.
struct Outgoing<'a> {
    method: Method,
    host: &'a str,
    port: u16,
    tls: bool,
    target: &'a str,
    body: Bytes,
    headers: HeaderMap,
    bytes_max: usize,
}

impl Fetcher {
    /// Over the network, after the guard was tried (F16).
    pub fn new(settings: FetchSettings) -> Result<Self, FetchSetupError> {
        Self::with(
            settings,
            Arc::new(SystemResolver::new()?),
            Arc::new(TcpDial),
        )
    }

    /// With other ways to resolve and to dial; the guard is the same.
    pub fn with(
        settings: FetchSettings,
        resolver: Arc<dyn Resolve>,
        dialler: Arc<dyn Dial>,
    ) -> Result<Self, FetchSetupError> {
        try_the_guard()?;
        Ok(Self {
            tls: TlsConnector::from(Arc::new(tls(&settings.extra_ca_pem)?)),
            slots: Arc::new(Semaphore::new(settings.connections_max.max(1))),
            settings: Arc::new(settings),
            resolver,
            dialler,
        })
    }

    /// Parse a stranger's URL; the configured loopback origins are honoured here and only here.
    pub fn parse_stranger_url(&self, raw: &str) -> Result<StrangerUrl, StrangerUrlError> {
        StrangerUrl::parse_with(raw, &self.settings.loopback_origins)
    }

    /// GET a stranger's URL.
    pub async fn get(&self, url: &StrangerUrl, purpose: Purpose) -> Result<Fetched, FetchError> {
        let work = async {
            let _slot = self.slots.acquire().await.map_err(|_| FetchError::Busy)?;
            let addresses = if url.is_loopback() {
                loopback_addresses(url.host())?
            } else {
                let denied = &self.settings.denied_addresses;
                public_addresses(self.resolver.as_ref(), denied, url.host()).await?
            };
            let stream = dial_first(self.dialler.as_ref(), &addresses, url.port()).await?;
            let mut headers = self.headers();
            headers.insert(
                header::ACCEPT,
                header::HeaderValue::from_static("application/json, application/cimd+json"),
            );
            let outgoing = Outgoing {
                method: Method::GET,
                host: url.host(),
                port: url.port(),
                tls: true,
                target: url.target(),
                body: Bytes::new(),
                headers,
                bytes_max: purpose.bytes_max(),
            };
            self.exchange(stream, outgoing).await
        };
        deadline(self.settings.deadline, work).await
    }

    /// GET an operator's URL.
    pub async fn get_operator(
        &self,
        url: &OperatorUrl,
        bytes_max: usize,
    ) -> Result<Fetched, FetchError> {
        self.operator(url, Method::GET, Bytes::new(), self.headers(), bytes_max)
            .await
    }

    /// POST a form to an operator's URL, with Basic credentials if there are any.
    pub async fn post_form_operator(
        &self,
        url: &OperatorUrl,
        form: &[(&str, &str)],
        basic: Option<(&str, &str)>,
        bytes_max: usize,
    ) -> Result<Fetched, FetchError> {
        let mut headers = self.headers();
        let body = ::url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let value = header::HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.insert(header::CONTENT_TYPE, value);
        if let Some((name, secret)) = basic {
            use base64::{Engine as _, engine::general_purpose::STANDARD};
            let text = format!("Basic {}", STANDARD.encode(format!("{name}:{secret}")));
            let mut value =
                header::HeaderValue::from_str(&text).map_err(|_| FetchError::Protocol)?;
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
        self.operator(url, Method::POST, body.into(), headers, bytes_max)
            .await
    }

    async fn operator(
        &self,
        url: &OperatorUrl,
        method: Method,
        body: Bytes,
        headers: HeaderMap,
        bytes_max: usize,
    ) -> Result<Fetched, FetchError> {
        let work = async {
            let host = url.host().trim_start_matches('[').trim_end_matches(']');
            let addresses = match host.parse() {
                Ok(address) => vec![address],
                Err(_) if host == "localhost" => loopback_addresses(host)?,
                Err(_) => self
                    .resolver
                    .resolve(host)
                    .await
                    .map_err(|_| FetchError::NameNotResolved)?,
            };
            let stream = dial_first(self.dialler.as_ref(), &addresses, url.port()).await?;
            let (host, port, tls, target) = (url.host(), url.port(), url.is_tls(), url.target());
            let outgoing = Outgoing {
                method,
                host,
                port,
                tls,
                target,
                body,
                headers,
                bytes_max,
            };
            self.exchange(stream, outgoing).await
        };
        deadline(self.settings.deadline, work).await
    }

    /// No cookies, no referrer, no credentials, no compression (F13, F21, F29).
    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::ACCEPT,
            header::HeaderValue::from_static("application/json"),
        );
        let identity = header::HeaderValue::from_static("identity");
        headers.insert(header::ACCEPT_ENCODING, identity);
        if let Ok(agent) = header::HeaderValue::from_str(&self.settings.user_agent) {
            headers.insert(header::USER_AGENT, agent);
        }
        headers
    }

    async fn exchange(
        &self,
        stream: TcpStream,
        outgoing: Outgoing<'_>,
    ) -> Result<Fetched, FetchError> {
        if !outgoing.tls {
            return request(stream, outgoing).await;
        }
        let bare = outgoing
            .host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let name = ServerName::try_from(bare).map_err(|_| FetchError::TlsFailed)?;
        let stream = self.tls.connect(name, stream).await.map_err(|failure| {
            tracing::debug!(host = outgoing.host, %failure, "TLS failed");
            FetchError::TlsFailed
        })?;
        request(stream, outgoing).await
    }
}

async fn deadline<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, FetchError>>,
) -> Result<T, FetchError> {
    timeout(limit, work)
        .await
        .unwrap_or(Err(FetchError::DeadlineExceeded))
}

/// Ends the connection's task when the answer is there, or when nobody waits for it any more.
struct Connection(tokio::task::JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn request<S>(stream: S, outgoing: Outgoing<'_>) -> Result<Fetched, FetchError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(HEADER_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|_| FetchError::Protocol)?;
    let _connection = Connection(tokio::spawn(async move {
        if let Err(failure) = connection.await {
            tracing::debug!(%failure, "a connection ended early");
        }
    }));
    let default_port = if outgoing.tls { 443 } else { 80 };
    let authority = if outgoing.port == default_port {
        outgoing.host.to_owned()
    } else {
        format!("{}:{}", outgoing.host, outgoing.port)
    };
    let mut request = Request::builder()
        .method(outgoing.method)
        .uri(outgoing.target)
        .header(header::HOST, authority)
        .header(header::CONNECTION, "close")
        .body(Full::new(outgoing.body))
        .map_err(|_| FetchError::Protocol)?;
    request.headers_mut().extend(outgoing.headers);
    let answer = sender
        .send_request(request)
        .await
        .map_err(|_| FetchError::Protocol)?;
    let status = answer.status().as_u16();
    let headers = answer.headers().clone();
    let text = |name: header::HeaderName| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned)
    };
    if text(header::CONTENT_ENCODING).is_some_and(|coding| !coding.eq_ignore_ascii_case("identity"))
    {
        return Err(FetchError::Encoded);
    }
    let length: Option<usize> = text(header::CONTENT_LENGTH).and_then(|text| text.parse().ok());
    if length.is_some_and(|length| length > outgoing.bytes_max) {
        return Err(FetchError::TooLarge);
    }
    let body = Limited::new(answer.into_body(), outgoing.bytes_max)
        .collect()
        .await;
    let body = body.map_err(|failure| {
        if failure.is::<LengthLimitError>() {
            FetchError::TooLarge
        } else {
            FetchError::Protocol
        }
    })?;
    Ok(Fetched {
        status,
        body: body.to_bytes(),
        content_type: text(header::CONTENT_TYPE),
        cache_control: text(header::CACHE_CONTROL),
        age: text(header::AGE).and_then(|text| text.parse().ok()),
        retry_after: text(header::RETRY_AFTER).and_then(|text| text.parse().ok()),
        cf_mitigated: headers.contains_key("cf-mitigated"),
    })
}

/// The system's trust anchors (ours compiled in if it has none) and the operator's.
fn tls(extra: &[Vec<u8>]) -> Result<ClientConfig, FetchSetupError> {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    for failure in &native.errors {
        tracing::warn!(%failure, "a trust anchor of the system cannot be read");
    }
    let (added, _) = roots.add_parsable_certificates(native.certs);
    if added == 0 {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    for pem in extra {
        let mut found = 0;
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|_| FetchSetupError::Pem)?;
            roots
                .add(certificate)
                .map_err(|e| FetchSetupError::Tls(e.to_string()))?;
            found += 1;
        }
        if found == 0 {
            return Err(FetchSetupError::Pem);
        }
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| FetchSetupError::Tls(e.to_string()))?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// F16: no fetcher without a guard that refuses what it must.
fn try_the_guard() -> Result<(), FetchSetupError> {
    let refused = [
        "127.0.0.1",
        "10.0.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "::1",
        "::ffff:127.0.0.1",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::",
        "fd00::1",
        "fe80::1",
    ];
    let special = |text: &str| {
        text.parse()
            .is_ok_and(|address| judge(address) != Verdict::Public)
    };
    let public = |text: &str| {
        text.parse()
            .is_ok_and(|address| judge(address) == Verdict::Public)
    };
    let good = refused.into_iter().all(special) && public("8.8.8.8") && public("2606:4700::1111");
    if good {
        Ok(())
    } else {
        Err(FetchSetupError::Guard)
    }
}
