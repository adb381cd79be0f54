//! A world of one host: certificates, a scripted TLS server, names and wires.

use std::{
    collections::{HashMap, VecDeque},
    io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::{
    HandshakeKind, ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;
use vestibule_fetch::{
    BoxFuture, Dial, Dialled, FetchError, FetchSettings, Fetched, Fetcher, NotResolved, Purpose,
    Resolve, StrangerUrl,
};

/// The name of the host, its URL, and the public address that it claims to have.
pub(crate) const NAME: &str = "client.example";
pub(crate) const URL: &str = "https://client.example/agent.json";
pub(crate) const ADDRESS: &str = "93.184.216.34:443";

/// What the host does with a connection, once the request head is in.
#[derive(Clone)]
pub(crate) enum Step {
    Close,
    Hang,
    Pause(u64),
    /// The same octets again and again, with a pause in milliseconds before each.
    Repeat(Vec<u8>, u64),
    Send(Vec<u8>),
}

pub(crate) fn send(text: impl AsRef<[u8]>) -> Vec<Step> {
    vec![Step::Send(text.as_ref().to_vec()), Step::Close]
}

/// An answer with a length.
pub(crate) fn ok(body: &str) -> Vec<Step> {
    send(format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ))
}

/// One throw-away certificate authority.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    pub(crate) fn pem(&self) -> Vec<u8> {
        self.0.pem().into_bytes()
    }

    /// A certificate for these names, valid in these years.
    pub(crate) fn issue(&self, names: &[&str], years: (i32, i32)) -> Identity {
        let (params, key) = leaf(names, years);
        let certificate = params.signed_by(&key, &self.0).unwrap();
        identity(certificate.der().clone(), &key)
    }
}

pub(crate) type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

pub(crate) fn self_signed(names: &[&str]) -> Identity {
    let (params, key) = leaf(names, (2020, 2100));
    identity(params.self_signed(&key).unwrap().der().clone(), &key)
}

fn leaf(names: &[&str], (from, to): (i32, i32)) -> (CertificateParams, KeyPair) {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.not_before = date_time_ymd(from, 1, 1);
    params.not_after = date_time_ymd(to, 1, 1);
    (params, KeyPair::generate().unwrap())
}

fn identity(certificate: CertificateDer<'static>, key: &KeyPair) -> Identity {
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    (vec![certificate], key)
}

pub(crate) fn server_config(
    (chain, key): Identity,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> ServerConfig {
    ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap()
}

/// SNI and request (head, and body where there is one) of every connection.
pub(crate) type Seen = Arc<Mutex<Vec<(Option<String>, String)>>>;

/// A running host.
pub(crate) struct Host {
    pub(crate) address: SocketAddr,
    pub(crate) seen: Seen,
    /// How many handshakes leaned on an earlier one.
    pub(crate) resumed: Arc<AtomicUsize>,
}

impl Host {
    pub(crate) fn requests(&self) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        seen.iter().map(|(_, request)| request.clone()).collect()
    }

    /// Over TLS, the same steps for every connection.
    pub(crate) async fn start(config: ServerConfig, steps: Vec<Step>) -> Self {
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Self::run(Some(acceptor), steps).await
    }

    /// Without TLS.
    pub(crate) async fn plain(steps: Vec<Step>) -> Self {
        Self::run(None, steps).await
    }

    async fn run(acceptor: Option<TlsAcceptor>, steps: Vec<Step>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = seen.clone();
        let resumed = Arc::new(AtomicUsize::new(0));
        let resumptions = resumed.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, steps, log) = (acceptor.clone(), steps.clone(), log.clone());
                let resumptions = resumptions.clone();
                tokio::spawn(async move {
                    let Some(acceptor) = acceptor else {
                        return play(stream, None, &steps, &log).await;
                    };
                    if let Ok(stream) = acceptor.accept(stream).await {
                        if stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed) {
                            resumptions.fetch_add(1, Ordering::SeqCst);
                        }
                        let sni = stream.get_ref().1.server_name().map(str::to_owned);
                        play(stream, sni, &steps, &log).await;
                    }
                });
            }
        });
        Self {
            address,
            seen,
            resumed,
        }
    }
}

async fn play(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    sni: Option<String>,
    steps: &[Step],
    log: &Mutex<Vec<(Option<String>, String)>>,
) {
    let mut head = Vec::new();
    let mut chunk = [0; 4_096];
    while !complete(&head) {
        match stream.read(&mut chunk).await {
            Ok(count) if count > 0 => head.extend_from_slice(&chunk[..count]),
            _ => return,
        }
    }
    let request = String::from_utf8_lossy(&head).into_owned();
    log.lock().unwrap().push((sni, request));
    for step in steps {
        match step {
            Step::Close => {
                let _ = stream.shutdown().await;
                return;
            }
            Step::Hang => return std::future::pending().await,
            Step::Pause(milliseconds) => pause(*milliseconds).await,
            Step::Repeat(octets, milliseconds) => loop {
                pause(*milliseconds).await;
                if stream.write_all(octets).await.is_err() || stream.flush().await.is_err() {
                    return;
                }
            },
            Step::Send(octets) => {
                if stream.write_all(octets).await.is_err() || stream.flush().await.is_err() {
                    return;
                }
            }
        }
    }
}

/// A head, and as much body as it announces.
fn complete(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    body.len() >= length.map_or(0, |text| text.parse().unwrap())
}

async fn pause(milliseconds: u64) {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}

/// Answers of the resolver, in turn; the last one stays.
#[derive(Default)]
pub(crate) struct Names {
    pub(crate) answers: Mutex<VecDeque<Vec<IpAddr>>>,
    pub(crate) asked: Mutex<Vec<String>>,
    pub(crate) never_answers: bool,
}

impl Names {
    pub(crate) fn new(answers: &[&[&str]]) -> Self {
        let parse = |texts: &&[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        Self {
            answers: Mutex::new(answers.iter().map(parse).collect()),
            ..Self::default()
        }
    }
}

impl Resolve for Names {
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, NotResolved>> {
        self.asked.lock().unwrap().push(host.to_owned());
        let mut answers = self.answers.lock().unwrap();
        let answer = if answers.len() > 1 {
            answers.pop_front()
        } else {
            answers.front().cloned()
        };
        Box::pin(async move {
            if self.never_answers {
                std::future::pending::<()>().await;
            }
            answer.ok_or_else(|| NotResolved("no such name".to_owned()))
        })
    }
}

/// Where a dialled address really leads.
#[derive(Clone, Copy)]
pub(crate) enum Wire {
    /// A host of this test; it says that it is who was dialled.
    To(SocketAddr),
    /// A host of this test that turns out to be somebody else.
    Elsewhere(SocketAddr),
    Nowhere,
    Swallows,
}

/// The dialler of the tests: counts, and knows no other way out.
#[derive(Default)]
pub(crate) struct Wires {
    pub(crate) wires: HashMap<SocketAddr, Wire>,
    pub(crate) dialled: Mutex<Vec<SocketAddr>>,
}

impl Wires {
    pub(crate) fn new(wires: &[(&str, Wire)]) -> Self {
        let parse = |(text, wire): &(&str, Wire)| (text.parse().unwrap(), *wire);
        Self {
            wires: wires.iter().map(parse).collect(),
            ..Self::default()
        }
    }

    pub(crate) fn dialled(&self) -> Vec<String> {
        let dialled = self.dialled.lock().unwrap();
        dialled.iter().map(ToString::to_string).collect()
    }
}

impl Dial for Wires {
    fn dial(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Dialled>> {
        self.dialled.lock().unwrap().push(address);
        let wire = self.wires.get(&address).copied().unwrap_or(Wire::Nowhere);
        Box::pin(async move {
            let (to, peer) = match wire {
                Wire::To(to) => (to, address),
                Wire::Elsewhere(to) => (to, to),
                Wire::Nowhere => return Err(io::ErrorKind::ConnectionRefused.into()),
                Wire::Swallows => std::future::pending().await,
            };
            let stream = Box::new(TcpStream::connect(to).await?);
            Ok(Dialled { stream, peer })
        })
    }
}

/// Fetcher, names and wires around one host.
pub(crate) struct World {
    pub(crate) fetcher: Fetcher,
    pub(crate) names: Arc<Names>,
    pub(crate) wires: Arc<Wires>,
}

impl World {
    pub(crate) fn new(settings: FetchSettings, names: Names, wires: Wires) -> Self {
        let (names, wires) = (Arc::new(names), Arc::new(wires));
        let fetcher = Fetcher::new(settings)
            .unwrap()
            .with_resolver(names.clone())
            .with_dialler(wires.clone());
        Self {
            fetcher,
            names,
            wires,
        }
    }

    pub(crate) async fn get(&self) -> Result<Fetched, FetchError> {
        self.get_url(URL, Purpose::Document).await
    }

    pub(crate) async fn get_url(&self, url: &str, purpose: Purpose) -> Result<Fetched, FetchError> {
        let url = StrangerUrl::parse(url).unwrap();
        self.fetcher.get(&url, purpose).await
    }
}

pub(crate) fn settings(authority: &Authority) -> FetchSettings {
    FetchSettings {
        extra_ca_pem: vec![authority.pem()],
        deadline: Duration::from_secs(10),
        ..FetchSettings::default()
    }
}

/// A host with a good certificate that answers every request with these steps.
pub(crate) async fn world(steps: Vec<Step>) -> (World, Host) {
    world_with(steps, |_| {}).await
}

pub(crate) async fn world_with(
    steps: Vec<Step>,
    change: impl FnOnce(&mut FetchSettings),
) -> (World, Host) {
    let authority = Authority::new();
    let identity = authority.issue(&[NAME], (2020, 2100));
    let host = Host::start(server_config(identity, rustls::ALL_VERSIONS), steps).await;
    let mut settings = settings(&authority);
    change(&mut settings);
    let names = Names::new(&[&["93.184.216.34"]]);
    let wires = Wires::new(&[(ADDRESS, Wire::To(host.address))]);
    (World::new(settings, names, wires), host)
}
