//! Where a request comes from: the peer, unless the peer is a configured proxy; then the last
//! address in `X-Forwarded-For` that is not one (threats P4).

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
};

use axum::{
    extract::{ConnectInfo, FromRequestParts},
    http::{HeaderMap, header, request::Parts},
};
use ipnet::IpNet;
use vestibule_engine::Source;

use crate::App;

const AGENT_CHARS_MAX: usize = 200;

/// The source of a request.
pub(crate) struct From(pub(crate) Source);

impl FromRequestParts<App> for From {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        let peer = parts
            .extensions
            .get::<ConnectInfo<SocketAddr>>()
            .map(|info| info.0.ip());
        // Without a peer (tests in process) everybody is one stranger.
        let peer = peer.unwrap_or(IpAddr::from([0, 0, 0, 0])).to_canonical();
        let agent = parts
            .headers
            .get(header::USER_AGENT)
            .and_then(|value| value.to_str().ok());
        Ok(Self(Source {
            ip: client_address(peer, &parts.headers, &app.settings.trusted_proxies),
            user_agent: agent.map(|agent| agent.chars().take(AGENT_CHARS_MAX).collect()),
        }))
    }
}

fn client_address(peer: IpAddr, headers: &HeaderMap, proxies: &[IpNet]) -> IpAddr {
    let trusted = |address: &IpAddr| proxies.iter().any(|net| net.contains(address));
    if !trusted(&peer) {
        return peer;
    }
    let mut nearest = peer;
    let lists = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|value| value.to_str().ok());
    let hops: Vec<&str> = lists
        .flat_map(|list| list.split(','))
        .map(str::trim)
        .collect();
    for hop in hops.into_iter().rev() {
        // What does not parse was written by a stranger: stop at the last address that we believe.
        let Ok(address) = hop.parse::<IpAddr>() else {
            break;
        };
        nearest = address.to_canonical();
        if !trusted(&nearest) {
            break;
        }
    }
    nearest
}

#[cfg(test)]
mod tests {
    use super::*;

    /// P4, BCP-08: only a configured proxy is believed, and only what it added itself.
    #[test]
    fn forwarded_addresses_are_counted_from_the_right() {
        let proxies: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        #[rustfmt::skip]
        let rows = [
            ("203.0.113.9", "1.2.3.4",                        "203.0.113.9"),
            ("10.0.0.1",    "",                               "10.0.0.1"),
            ("10.0.0.1",    "198.51.100.7",                   "198.51.100.7"),
            ("10.0.0.1",    "1.2.3.4, 198.51.100.7",          "198.51.100.7"),
            ("10.0.0.1",    "1.2.3.4, 198.51.100.7, 10.0.0.2","198.51.100.7"),
            ("10.0.0.1",    "garbage, 10.0.0.2",              "10.0.0.2"),
            ("10.0.0.1",    "198.51.100.7, garbage",          "10.0.0.1"),
            ("10.0.0.1",    "::ffff:198.51.100.7",            "198.51.100.7"),
            ("fd00::1",     "2001:db8::5",                    "2001:db8::5"),
        ];
        for (peer, header, expected) in rows {
            let mut headers = HeaderMap::new();
            if !header.is_empty() {
                headers.insert("x-forwarded-for", header.parse().unwrap());
            }
            let found = client_address(peer.parse().unwrap(), &headers, &proxies);
            assert_eq!(
                found,
                expected.parse::<IpAddr>().unwrap(),
                "{peer} {header}"
            );
        }
    }
}
