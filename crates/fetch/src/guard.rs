//! Which resolved addresses may be dialled: all of an answer, or none of it (threats F1 to F5).
//!
//! An [`Admitted`] address is proof that the guard saw that very number; the connector dials
//! nothing else. There is no way around and no switch: whoever is allowed more, an operator's URL
//! or a configured loopback origin, is let through here, by name.
//!
//! | Reach      | Admits                                                            |
//! |------------|-------------------------------------------------------------------|
//! | `Public`   | global unicast that the operator does not deny; one bad, all bad  |
//! | `Loopback` | loopback only (CIMD-82)                                           |
//! | `Operator` | everything; plain http was limited to loopback when it was parsed |
//!
//! Not here: the table itself ([`crate::address`]), and opening connections.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ipnet::IpNet;

use crate::address::{Verdict, embedded, judge};

/// How far a fetch may reach.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Reach {
    Loopback,
    Operator,
    Public,
}

/// An address that may be dialled.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Admitted(SocketAddr);

impl Admitted {
    pub(crate) fn address(self) -> SocketAddr {
        self.0
    }
}

/// An address that may not, and what it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Refused {
    pub(crate) address: IpAddr,
    pub(crate) range: &'static str,
}

pub(crate) struct Guard {
    denied: Vec<IpNet>,
    judge: fn(IpAddr) -> Verdict,
}

/// What the self-test asks about: one address of each family of trouble.
const MUST_BE_REFUSED: [&str; 14] = [
    "127.0.0.1",
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "192.168.0.1",
    "::1",
    "fd00::1",
    "fe80::1",
    "::ffff:127.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "2001:4860::5efe:7f00:1",
];

impl Guard {
    pub(crate) fn new(denied: Vec<IpNet>) -> Self {
        Self { denied, judge }
    }

    /// Judge a whole answer.
    pub(crate) fn admit(
        &self,
        answer: &[IpAddr],
        port: u16,
        reach: Reach,
    ) -> Result<Vec<Admitted>, Refused> {
        for &address in answer {
            let refusal = match reach {
                Reach::Public => self.refusal(address),
                Reach::Loopback => (!address.is_loopback()).then_some("not loopback"),
                Reach::Operator => None,
            };
            if let Some(range) = refusal {
                return Err(Refused { address, range });
            }
        }
        let admit = |&address: &IpAddr| Admitted(SocketAddr::new(address, port));
        Ok(answer.iter().map(admit).collect())
    }

    fn refusal(&self, address: IpAddr) -> Option<&'static str> {
        if let Verdict::Special(range) = (self.judge)(address) {
            return Some(range);
        }
        let inner = match address {
            IpAddr::V4(_) => Vec::new(),
            IpAddr::V6(outer) => embedded(outer),
        };
        let mut faces = std::iter::once(address).chain(inner.into_iter().map(IpAddr::V4));
        let denied = faces.any(|face| self.denied.iter().any(|net| net.contains(&face)));
        denied.then_some("denied by configuration")
    }

    /// True when everything that must be refused is, alone and beside a public address (F16).
    pub(crate) fn holds(&self) -> bool {
        let public = IpAddr::V4(Ipv4Addr::new(8, 8, 8, 8));
        MUST_BE_REFUSED.iter().all(|text| {
            text.parse().is_ok_and(|bad: IpAddr| {
                let answers: [&[IpAddr]; 3] = [&[bad], &[public, bad], &[bad, public]];
                answers
                    .iter()
                    .all(|answer| self.admit(answer, 443, Reach::Public).is_err())
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard() -> Guard {
        Guard::new(vec!["168.63.129.16/32".parse().unwrap()])
    }

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    /// F16: a guard that no longer judges is noticed before anything is fetched.
    #[test]
    fn a_broken_guard_does_not_hold() {
        assert!(guard().holds());
        let open = Guard {
            denied: Vec::new(),
            judge: |_| Verdict::Public,
        };
        assert!(!open.holds());
        let only_ipv4 = Guard {
            denied: Vec::new(),
            judge: |ip| {
                if ip.is_ipv4() {
                    judge(ip)
                } else {
                    Verdict::Public
                }
            },
        };
        assert!(!only_ipv4.holds());
    }

    /// F2, F4, CIMD-81: one bad address spoils the answer, wherever it stands.
    #[test]
    fn a_mixed_answer_is_refused_whole() {
        let rows: [(&[&str], bool); 6] = [
            (&["8.8.8.8", "2606:4700::1111"], true),
            (&["8.8.8.8", "10.0.0.1"], false),
            (&["10.0.0.1", "8.8.8.8"], false),
            (&["8.8.8.8", "fd00::1"], false),
            (&["8.8.8.8", "1.1.1.1", "::ffff:169.254.169.254"], false),
            (&["2606:4700::1111", "64:ff9b::a9fe:a9fe"], false),
        ];
        for (answer, admitted) in rows {
            let judged = guard().admit(&ips(answer), 443, Reach::Public);
            assert_eq!(judged.is_ok(), admitted, "{answer:?}");
        }
    }

    /// F17: a public address that the operator denies, also in disguise.
    #[test]
    fn a_denied_address_is_refused_in_every_form() {
        for text in ["168.63.129.16", "2001:4860::5efe:a83f:8110"] {
            let refused = guard().admit(&ips(&[text]), 443, Reach::Public);
            assert!(refused.is_err(), "{text}");
        }
        assert!(
            guard()
                .admit(&ips(&["168.63.129.17"]), 443, Reach::Public)
                .is_ok()
        );
    }

    /// CIMD-82: the exception is loopback itself, not whatever a name leads to.
    #[test]
    fn a_loopback_origin_reaches_loopback_only() {
        for (text, admitted) in [
            ("127.0.0.1", true),
            ("::1", true),
            ("10.0.0.1", false),
            ("8.8.8.8", false),
            ("169.254.169.254", false),
        ] {
            let judged = guard().admit(&ips(&[text]), 9443, Reach::Loopback);
            assert_eq!(judged.is_ok(), admitted, "{text}");
        }
    }
}
