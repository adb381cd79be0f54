//! Where a request comes from. The server reads the address (peer, or what a configured proxy
//! says); here it only becomes the keys of limits and the prefix that may be written down.

use std::net::IpAddr;

/// The source of a request.
#[derive(Clone, Debug)]
pub struct Source {
    /// Client address, IPv4-mapped forms already unwrapped.
    pub ip: IpAddr,
    /// `User-Agent`, as sent, cut to 200 bytes by the server.
    pub user_agent: Option<String>,
}

/// An address without its host part: IPv4 /24, IPv6 /48.
pub(crate) fn prefix_address(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            IpAddr::from([a, b, c, 0])
        }
        IpAddr::V6(ip) => {
            let [a, b, c, ..] = ip.segments();
            IpAddr::from([a, b, c, 0, 0, 0, 0, 0])
        }
    }
}

impl Source {
    /// What audit rows keep: IPv4 /24, IPv6 /48.
    pub fn prefix(&self) -> String {
        match self.ip {
            IpAddr::V4(ip) => {
                let [a, b, c, _] = ip.octets();
                format!("{a}.{b}.{c}.0/24")
            }
            IpAddr::V6(ip) => {
                let [a, b, c, ..] = ip.segments();
                format!("{a:x}:{b:x}:{c:x}::/48")
            }
        }
    }

    /// Key of limits: one IPv4 address, or one IPv6 /64, since a host owns at least that.
    pub fn bucket(&self) -> u64 {
        match self.ip {
            IpAddr::V4(ip) => u64::from(u32::from(ip)),
            // The top 64 bits; the low half is the host's to choose.
            IpAddr::V6(ip) => u64::try_from(u128::from(ip) >> 64).unwrap_or(u64::MAX),
        }
    }

    /// A wider key: IPv4 /24, IPv6 /48.
    pub fn wide_bucket(&self) -> u64 {
        match self.ip {
            IpAddr::V4(_) => (self.bucket() >> 8) | (1 << 63),
            IpAddr::V6(_) => (self.bucket() >> 16) | (1 << 62),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(ip: &str) -> Source {
        Source {
            ip: ip.parse().unwrap(),
            user_agent: None,
        }
    }

    #[test]
    fn prefixes_hide_the_host() {
        assert_eq!(source("203.0.113.77").prefix(), "203.0.113.0/24");
        assert_eq!(source("2001:db8:1:2:3:4:5:6").prefix(), "2001:db8:1::/48");
    }

    /// P4: whoever rotates the low 64 bits stays in one bucket.
    #[test]
    fn an_ipv6_host_is_one_bucket() {
        assert_eq!(
            source("2001:db8:1:2::1").bucket(),
            source("2001:db8:1:2:ffff::9").bucket()
        );
        assert_ne!(
            source("2001:db8:1:2::1").bucket(),
            source("2001:db8:1:3::1").bucket()
        );
        assert_ne!(
            source("203.0.113.7").bucket(),
            source("203.0.113.8").bucket()
        );
        assert_eq!(
            source("203.0.113.7").wide_bucket(),
            source("203.0.113.8").wide_bucket()
        );
    }
}
