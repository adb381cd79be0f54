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
    ResolverBuilder, TokioResolver,
    config::{LookupIpStrategy, ResolveHosts},
    net::runtime::TokioRuntimeProvider,
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
        let made = TokioResolver::builder_tokio().and_then(build);
        if let Err(failure) = &made {
            tracing::warn!(%failure, "no name can be resolved: the resolver has no configuration");
        }
        Self(made.map_err(|failure| failure.to_string()))
    }
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

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use hickory_resolver::config::{NameServerConfig, ResolverConfig};
    use tokio::net::UdpSocket;

    use super::*;

    /// A name server that knows two A records and one AAAA record behind a CNAME of
    /// `client.example`, and writes down what it is asked.
    async fn name_server() -> (u16, Arc<Mutex<Vec<String>>>) {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let port = socket.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        tokio::spawn(async move {
            let mut packet = [0; 1_500];
            while let Ok((length, from)) = socket.recv_from(&mut packet).await {
                let (name, kind, question_end) = question(&packet[..length]);
                let known = name == "client.example.";
                log.lock().unwrap().push(name);
                let answer = answer(&packet[..question_end], known, kind);
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

    fn answer(question: &[u8], known: bool, kind: u8) -> Vec<u8> {
        let mut packet = question.to_vec();
        let head = |name: [u8; 2], kind: u8, length: u8| {
            [name[0], name[1], 0, kind, 0, 1, 0, 0, 0, 60, 0, length]
        };
        let mut records: Vec<Vec<u8>> = Vec::new();
        if known {
            // client.example CNAME a.client.example, whose name stands at the end of this record.
            let target = u8::try_from(question.len() + 12).unwrap();
            let mut alias = head([0xc0, 12], 5, 4).to_vec();
            alias.extend([1, b'a', 0xc0, 12]);
            records.push(alias);
            let addresses: &[&[u8]] = match kind {
                1 => &[&[93, 184, 216, 34], &[10, 0, 0, 1]],
                _ => &[&[0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]],
            };
            for address in addresses {
                let length = u8::try_from(address.len()).unwrap();
                let mut record = head([0xc0, target], kind, length).to_vec();
                record.extend_from_slice(address);
                records.push(record);
            }
        }
        packet[2..4].copy_from_slice(&[0x81, if known { 0x80 } else { 0x83 }]);
        packet[4..12].copy_from_slice(&[0, 1, 0, u8::try_from(records.len()).unwrap(), 0, 0, 0, 0]);
        packet.extend(records.concat());
        packet
    }

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
}
