//! A name server and a web host on loopback, for what goes out through the real fetcher.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{ServerConfig, crypto::aws_lc_rs, pki_types::PrivateKeyDer};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
};
use tokio_rustls::TlsAcceptor;
use vestibule_fetch::{BoxFuture, Dial, Dialled};

/// What a name server says when it is asked for TXT records.
#[derive(Clone, Debug, Default)]
pub enum Answer {
    /// RFC 2308 §2.2: the name is there, records of this type are not.
    #[default]
    NoRecords,
    /// RFC 1035 §4.1.1, code 3.
    NoSuchName,
    /// Code 2.
    ServerFailure,
    /// These records.
    Texts(Vec<String>),
    /// These records over TCP, and over UDP only that there are more than fit.
    Truncated(Vec<String>),
}

/// A name server that gives one answer to whoever asks for TXT records, and one address to others.
pub struct NameServer {
    /// Where it listens, over UDP and TCP.
    pub address: SocketAddr,
    /// What it answers.
    pub answer: Arc<Mutex<Answer>>,
    /// Names that TXT records were asked for, and whether over TCP.
    pub asked: Arc<Mutex<Vec<(String, bool)>>>,
}

impl NameServer {
    /// Start one that knows this IPv4 address of every name.
    pub async fn start(host: [u8; 4]) -> Self {
        let (udp, tcp) = one_port().await;
        let answer = Arc::new(Mutex::new(Answer::default()));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let server = Self {
            address: udp.local_addr().unwrap(),
            answer: answer.clone(),
            asked: asked.clone(),
        };
        let reply = Arc::new(move |query: &[u8], over_tcp: bool| {
            let (name, kind, end) = question(query);
            let said = answer.lock().unwrap().clone();
            if kind == TXT {
                asked.lock().unwrap().push((name, over_tcp));
            }
            message(&query[..end], kind, &said, over_tcp, host)
        });
        let by_udp = reply.clone();
        tokio::spawn(async move {
            let mut packet = [0; 1_500];
            while let Ok((length, from)) = udp.recv_from(&mut packet).await {
                let answer = by_udp(&packet[..length], false);
                udp.send_to(&answer, from).await.unwrap();
            }
        });
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = tcp.accept().await {
                let reply = reply.clone();
                tokio::spawn(async move {
                    // RFC 1035 §4.2.2: two octets of length before each message.
                    while let Ok(length) = stream.read_u16().await {
                        let mut query = vec![0; usize::from(length)];
                        stream.read_exact(&mut query).await.unwrap();
                        let answer = reply(&query, true);
                        let length = u16::try_from(answer.len()).unwrap();
                        stream.write_u16(length).await.unwrap();
                        stream.write_all(&answer).await.unwrap();
                    }
                });
            }
        });
        server
    }
}

/// The same free port for both.
async fn one_port() -> (UdpSocket, TcpListener) {
    loop {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()).await {
            return (udp, tcp);
        }
    }
}

const A: u8 = 1;
const TXT: u8 = 16;

/// Name, type and end of the question.
fn question(packet: &[u8]) -> (String, u8, usize) {
    let (mut name, mut at) = (String::new(), 12);
    while packet[at] != 0 {
        let end = at + 1 + usize::from(packet[at]);
        name.push_str(&String::from_utf8_lossy(&packet[at + 1..end]));
        name.push('.');
        at = end;
    }
    (name, packet[at + 2], at + 5)
}

fn message(question: &[u8], kind: u8, said: &Answer, over_tcp: bool, host: [u8; 4]) -> Vec<u8> {
    let mut records: Vec<Vec<u8>> = Vec::new();
    let (mut code, mut truncated) = (0, false);
    match (kind, said) {
        (A, _) => records.push(host.to_vec()),
        (TXT, Answer::Truncated(_)) if !over_tcp => truncated = true,
        (TXT, Answer::Texts(texts) | Answer::Truncated(texts)) => {
            records.extend(texts.iter().map(|text| strings(text)));
        }
        (TXT, Answer::NoSuchName) => code = 3,
        (TXT, Answer::ServerFailure) => code = 2,
        _ => {}
    }
    let mut packet = question.to_vec();
    // An answer to a recursive question, and nothing but answers behind it.
    packet[2..4].copy_from_slice(&[0x81 | if truncated { 2 } else { 0 }, 0x80 | code]);
    let count = u16::try_from(records.len()).unwrap().to_be_bytes();
    packet[4..12].copy_from_slice(&[0, 1, count[0], count[1], 0, 0, 0, 0]);
    for data in records {
        // The question's name, class IN, not to be remembered.
        packet.extend([0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 0]);
        packet.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        packet.extend(data);
    }
    packet
}

/// RFC 1035 §3.3: strings of at most 255 octets, here of at most 20, to have several.
fn strings(text: &str) -> Vec<u8> {
    let parts = text.as_bytes().chunks(20);
    parts
        .flat_map(|part| [&[u8::try_from(part.len()).unwrap()], part].concat())
        .collect()
}

/// A web host with a certificate for one name.
pub struct WebHost {
    /// Where it listens.
    pub address: SocketAddr,
    /// Who issued its certificate, PEM.
    pub authority: Vec<u8>,
    /// The whole answer to every request.
    pub answer: Arc<Mutex<String>>,
    /// The heads of the requests.
    pub asked: Arc<Mutex<Vec<String>>>,
}

impl WebHost {
    /// Start one.
    pub async fn start(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = Self {
            address: listener.local_addr().unwrap(),
            authority: authority.pem().into_bytes(),
            answer: Arc::default(),
            asked: Arc::default(),
        };
        let (answer, asked) = (host.answer.clone(), host.asked.clone());
        let acceptor = TlsAcceptor::from(Arc::new(config));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (answer, asked) = (answer.clone(), asked.clone());
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    if let Ok(mut stream) = acceptor.accept(stream).await {
                        let head = head(&mut stream).await;
                        asked.lock().unwrap().push(head);
                        let answer = answer.lock().unwrap().clone();
                        // Who does not want to read it has hung up.
                        let _ = reply(&mut stream, &answer).await;
                    }
                });
            }
        });
        host
    }
}

async fn head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8_lossy(&head).into_owned()
}

async fn reply(stream: &mut (impl AsyncWrite + Unpin), answer: &str) -> io::Result<()> {
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

/// Wires every public address to one host, and writes down which were dialled.
pub struct WiredTo {
    /// The host; where nobody listens, it is dead.
    pub host: SocketAddr,
    /// What was dialled.
    pub dialled: Arc<Mutex<Vec<SocketAddr>>>,
}

impl Dial for WiredTo {
    fn dial(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Dialled>> {
        self.dialled.lock().unwrap().push(address);
        Box::pin(async move {
            let stream = Box::new(TcpStream::connect(self.host).await?);
            let peer = address;
            Ok(Dialled { stream, peer })
        })
    }
}
