//! Where a name becomes addresses: all of them at once, so that the guard sees every one. And where
//! its TXT records are read, which prove the control of a domain.
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
//! Not here: judging the answers, and how many records are too many.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use hickory_resolver::{
    ResolverBuilder, TokioResolver,
    config::{LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig},
    net::runtime::TokioRuntimeProvider,
    proto::rr::{Name, RData},
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

    /// The TXT records of this name, the strings of each one joined (RFC 1035 §3.3.14); empty when
    /// the name servers say that there are none. A source of addresses alone knows nothing of them.
    fn txt<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<Vec<u8>>, NotResolved>> {
        let failure = NotResolved(format!(
            "nobody can be asked for the TXT records of `{name}`"
        ));
        Box::pin(async move { Err(failure) })
    }
}

/// The name servers and the `hosts` file of the system.
pub(crate) struct SystemResolver(Result<TokioResolver, String>);

impl SystemResolver {
    pub(crate) fn new() -> Self {
        let made = TokioResolver::builder_tokio().and_then(build);
        if let Err(failure) = &made {
            tracing::warn!(%failure, "no name can be resolved: the resolver has no configuration");
        }
        Self(made.map_err(|failure| failure.to_string()))
    }

    /// The same with other name servers than the system's, and without search domains.
    pub(crate) fn asking(servers: &[SocketAddr]) -> Self {
        let server = |address: &SocketAddr| {
            let mut server = NameServerConfig::udp_and_tcp(address.ip());
            for connection in &mut server.connections {
                connection.port = address.port();
            }
            server
        };
        let servers = servers.iter().map(server).collect();
        let config = ResolverConfig::from_parts(None, Vec::new(), servers);
        let provider = TokioRuntimeProvider::default();
        let made = build(TokioResolver::builder_with_config(config, provider));
        Self(made.map_err(|failure| failure.to_string()))
    }

    fn resolver(&self) -> Result<&TokioResolver, NotResolved> {
        self.0
            .as_ref()
            .map_err(|failure| NotResolved(failure.clone()))
    }
}

/// The name as written: fully qualified, so that no search domain is tried.
fn qualified(name: &str) -> Result<Name, NotResolved> {
    let mut name = Name::from_ascii(name).map_err(|failure| NotResolved(failure.to_string()))?;
    name.set_fqdn(true);
    Ok(name)
}

fn build(
    mut builder: ResolverBuilder<TokioRuntimeProvider>,
) -> Result<TokioResolver, hickory_resolver::net::NetError> {
    let options = builder.options_mut();
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    options.use_hosts_file = ResolveHosts::Always;
    options.timeout = options.timeout.min(QUESTION_MAX);
    options.try_tcp_on_error = true;
    options.positive_max_ttl = Some(REMEMBERED_MAX);
    options.negative_max_ttl = Some(ABSENCE_MAX);
    builder.build()
}

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, NotResolved>> {
        Box::pin(async move {
            let found = self.resolver()?.lookup_ip(qualified(host)?).await;
            let found = found.map_err(|failure| NotResolved(failure.to_string()))?;
            Ok(found.iter().collect())
        })
    }

    fn txt<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<Vec<u8>>, NotResolved>> {
        Box::pin(async move {
            let found = match self.resolver()?.txt_lookup(qualified(name)?).await {
                Ok(found) => found,
                Err(failure) if failure.is_no_records_found() => return Ok(Vec::new()),
                Err(failure) => return Err(NotResolved(failure.to_string())),
            };
            let joined = |data: &RData| match data {
                RData::TXT(strings) => Some(strings.txt_data.concat()),
                _ => None,
            };
            let records = found.answers().iter();
            Ok(records.filter_map(|record| joined(&record.data)).collect())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::net::UdpSocket;

    use super::*;

    /// A name server that knows two A records, one AAAA record and two TXT records behind a CNAME
    /// of `client.example` and of each name below it, fails for `broken.example`, knows nothing
    /// else, and writes down what it is asked.
    async fn name_server() -> (u16, Arc<Mutex<Vec<String>>>) {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let port = socket.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        tokio::spawn(async move {
            let mut packet = [0; 1_500];
            while let Ok((length, from)) = socket.recv_from(&mut packet).await {
                let (name, kind, question_end) = question(&packet[..length]);
                let code = match name.as_str() {
                    "broken.example." => SERVFAIL,
                    name if name.ends_with("client.example.") => NO_ERROR,
                    _ => NXDOMAIN,
                };
                log.lock().unwrap().push(name);
                let answer = answer(&packet[..question_end], code, kind);
                socket.send_to(&answer, from).await.unwrap();
            }
        });
        (port, asked)
    }

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

    fn answer(question: &[u8], code: u8, kind: u8) -> Vec<u8> {
        let mut packet = question.to_vec();
        let head = |name: [u8; 2], kind: u8, length: u8| {
            [name[0], name[1], 0, kind, 0, 1, 0, 0, 0, 60, 0, length]
        };
        let mut records: Vec<Vec<u8>> = Vec::new();
        if code == NO_ERROR {
            // client.example CNAME a.client.example, whose name stands at the end of this record.
            let target = u8::try_from(question.len() + 12).unwrap();
            let mut alias = head([0xc0, 12], 5, 4).to_vec();
            alias.extend([1, b'a', 0xc0, 12]);
            records.push(alias);
            let addresses: &[&[u8]] = match kind {
                1 => &[&[93, 184, 216, 34], &[10, 0, 0, 1]],
                // Two strings that are one text, and one that is none.
                16 => &[b"\x0avestibule=\x051a2b3", b"\x02\xff\xfe"],
                _ => &[&[0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]],
            };
            for address in addresses {
                let length = u8::try_from(address.len()).unwrap();
                let mut record = head([0xc0, target], kind, length).to_vec();
                record.extend_from_slice(address);
                records.push(record);
            }
        }
        packet[2..4].copy_from_slice(&[0x81, 0x80 | code]);
        packet[4..12].copy_from_slice(&[0, 1, 0, u8::try_from(records.len()).unwrap(), 0, 0, 0, 0]);
        packet.extend(records.concat());
        packet
    }

    /// RFC 1035 §4.1.1.
    const NO_ERROR: u8 = 0;
    const SERVFAIL: u8 = 2;
    const NXDOMAIN: u8 = 3;

    async fn resolver() -> (SystemResolver, Arc<Mutex<Vec<String>>>) {
        let (port, asked) = name_server().await;
        let mut server = NameServerConfig::udp(std::net::Ipv4Addr::LOCALHOST.into());
        for connection in &mut server.connections {
            connection.port = port;
        }
        let corporate = Name::from_ascii("corp.example.").unwrap();
        let search = vec![corporate.clone()];
        let config = ResolverConfig::from_parts(Some(corporate), search, vec![server]);
        let provider = TokioRuntimeProvider::default();
        let built = build(TokioResolver::builder_with_config(config, provider));
        (
            SystemResolver(built.map_err(|failure| failure.to_string())),
            asked,
        )
    }

    /// F2, F4: both families, behind the CNAME, and every address of them.
    #[tokio::test]
    async fn every_address_of_a_name_is_seen() {
        let (resolver, _asked) = resolver().await;
        let mut found = resolver.resolve("client.example").await.unwrap();
        found.sort_unstable();
        let expected: [IpAddr; 3] =
            ["10.0.0.1", "93.184.216.34", "fd00::1"].map(|ip| ip.parse().unwrap());
        assert_eq!(found, expected);
    }

    /// F2: `wiki.intra` stays what it is, and never becomes `wiki.intra.corp.example`.
    #[tokio::test]
    async fn no_search_domain_is_tried() {
        let (resolver, asked) = resolver().await;
        assert!(resolver.resolve("wiki.intra").await.is_err());
        let asked = asked.lock().unwrap();
        assert!(!asked.is_empty());
        assert!(asked.iter().all(|name| name == "wiki.intra."), "{asked:?}");
    }

    /// RFC 1035 §3.3.14: the strings of a record are one text, behind the CNAME, and nothing but
    /// TXT records counts.
    #[tokio::test]
    async fn the_strings_of_a_text_record_are_joined() {
        let (resolver, asked) = resolver().await;
        let mut found = resolver.txt("_proof.client.example").await.unwrap();
        found.sort_unstable();
        assert_eq!(found, [b"vestibule=1a2b3".to_vec(), vec![0xff, 0xfe]]);
        let asked = asked.lock().unwrap();
        assert!(!asked.is_empty());
        assert!(
            asked.iter().all(|name| name == "_proof.client.example."),
            "{asked:?}"
        );
    }

    /// "There is none" is an answer, "I do not know" is not; and no search domain is tried.
    #[tokio::test]
    async fn an_absent_text_record_is_not_a_failure() {
        let (resolver, asked) = resolver().await;
        let nothing: Vec<Vec<u8>> = Vec::new();
        assert_eq!(resolver.txt("wiki.intra").await.unwrap(), nothing);
        assert!(resolver.txt("broken.example").await.is_err());
        let unconfigured = SystemResolver(Err("no configuration".to_owned()));
        assert!(unconfigured.txt("client.example").await.is_err());
        let asked = asked.lock().unwrap();
        let written = ["wiki.intra.", "broken.example."];
        assert!(!asked.is_empty());
        assert!(
            asked.iter().all(|name| written.contains(&name.as_str())),
            "{asked:?}"
        );
    }
}
