//! Which addresses a stranger may make us connect to: the IANA special-purpose registries as a
//! table, and every IPv6 form that carries an IPv4 address taken apart and judged by what is
//! inside. IPv6 outside of `2000::/3` is refused as a whole.
//!
//! The globally reachable entries of the registries (AS112, AMT, ORCHIDv2 …) are refused too: no
//! client's document lives there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What an address is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// May be dialled.
    Public,
    /// Must not be; the name of the block.
    Special(&'static str),
}

type Range4 = ([u8; 4], u8, &'static str);
type Range6 = ([u16; 8], u8, &'static str);

#[rustfmt::skip]
const RANGES_V4: &[Range4] = &[
    ([0, 0, 0, 0],        8, "this network (RFC 791)"),
    ([10, 0, 0, 0],       8, "private use (RFC 1918)"),
    ([100, 64, 0, 0],    10, "shared address space (RFC 6598)"),
    ([127, 0, 0, 0],      8, "loopback (RFC 1122)"),
    ([169, 254, 0, 0],   16, "link local (RFC 3927)"),
    ([172, 16, 0, 0],    12, "private use (RFC 1918)"),
    ([192, 0, 0, 0],     24, "IETF protocol assignments (RFC 6890)"),
    ([192, 0, 2, 0],     24, "documentation (RFC 5737)"),
    ([192, 31, 196, 0],  24, "AS112 (RFC 7535)"),
    ([192, 52, 193, 0],  24, "AMT (RFC 7450)"),
    ([192, 88, 99, 0],   24, "6to4 relay (RFC 7526)"),
    ([192, 168, 0, 0],   16, "private use (RFC 1918)"),
    ([192, 175, 48, 0],  24, "AS112 (RFC 7534)"),
    ([198, 18, 0, 0],    15, "benchmarking (RFC 2544)"),
    ([198, 51, 100, 0],  24, "documentation (RFC 5737)"),
    ([203, 0, 113, 0],   24, "documentation (RFC 5737)"),
    ([224, 0, 0, 0],      4, "multicast (RFC 5771)"),
    ([240, 0, 0, 0],      4, "reserved (RFC 1112)"),
];

/// Inside `2000::/3`; all else is refused before.
#[rustfmt::skip]
const RANGES_V6: &[Range6] = &[
    ([0x2001, 0, 0, 0, 0, 0, 0, 0],            23, "IETF protocol assignments (RFC 2928)"),
    ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0],        32, "documentation (RFC 3849)"),
    ([0x2002, 0, 0, 0, 0, 0, 0, 0],            16, "6to4 (RFC 3056)"),
    ([0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0],    48, "AS112 (RFC 7534)"),
    ([0x3fff, 0, 0, 0, 0, 0, 0, 0],            20, "documentation (RFC 9637)"),
];

/// Judge an address.
pub fn judge(address: IpAddr) -> Verdict {
    match address {
        IpAddr::V4(address) => judge_v4(address),
        IpAddr::V6(address) => judge_v6(address),
    }
}

fn judge_v4(address: Ipv4Addr) -> Verdict {
    let bits = u32::from(address);
    let inside = |(base, length, _): &&Range4| {
        let mask = u32::MAX.checked_shl(32 - u32::from(*length)).unwrap_or(0);
        (bits ^ u32::from(Ipv4Addr::from(*base))) & mask == 0
    };
    RANGES_V4
        .iter()
        .find(inside)
        .map_or(Verdict::Public, |(_, _, name)| Verdict::Special(name))
}

fn judge_v6(address: Ipv6Addr) -> Verdict {
    let segments = address.segments();
    let [first, ..] = segments;
    if first & 0xe000 != 0x2000 {
        return Verdict::Special("outside of global unicast 2000::/3 (RFC 4291)");
    }
    let bits = u128::from(address);
    let inside = |(base, length, _): &&Range6| {
        let mask = u128::MAX.checked_shl(128 - u32::from(*length)).unwrap_or(0);
        (bits ^ u128::from(Ipv6Addr::from(*base))) & mask == 0
    };
    if let Some((_, _, name)) = RANGES_V6.iter().find(inside) {
        return Verdict::Special(name);
    }
    // ISATAP may use any prefix (RFC 5214 §6.1): `…:0[2]00:5efe:a.b.c.d`.
    if let [_, _, _, _, 0 | 0x200, 0x5efe, high, low] = segments {
        if let Verdict::Special(name) = judge_v4(embedded(high, low)) {
            return Verdict::Special(name);
        }
    }
    Verdict::Public
}

/// The IPv4 addresses that an IPv6 address carries, by any transition scheme.
///
/// All of these lie outside of `2000::/3` or inside a refused block, except ISATAP, so [`judge`]
/// refuses them whatever is inside. An operator on an IPv6-only network who allows
/// `64:ff9b::/96` must judge what this returns.
pub fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let bytes = address.octets();
    let at = |positions: [usize; 4]| {
        let pick = |position: usize| bytes.get(position).copied().unwrap_or(0);
        Ipv4Addr::from(positions.map(pick))
    };
    match address.segments() {
        // v4-compatible, v4-mapped (RFC 4291 §2.5.5), v4-translated (RFC 2765).
        [0, 0, 0, 0, 0, 0 | 0xffff, ..] | [0, 0, 0, 0, 0xffff, 0, ..] => Some(at([12, 13, 14, 15])),
        // NAT64 well-known prefix (RFC 6052 §2.1).
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => Some(at([12, 13, 14, 15])),
        // NAT64 local-use prefix (RFC 8215) in its /48 layout (RFC 6052 §2.2).
        [0x64, 0xff9b, 1, ..] => Some(at([6, 7, 9, 10])),
        // 6to4 (RFC 3056).
        [0x2002, ..] => Some(at([2, 3, 4, 5])),
        // Teredo: the client's address is inverted (RFC 4380 §4).
        [0x2001, 0, ..] => {
            let hidden = at([12, 13, 14, 15]).octets();
            Some(Ipv4Addr::from(hidden.map(|byte| !byte)))
        }
        [_, _, _, _, 0 | 0x200, 0x5efe, high, low] => Some(embedded(high, low)),
        _ => None,
    }
}

fn embedded(high: u16, low: u16) -> Ipv4Addr {
    let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
    Ipv4Addr::new(a, b, c, d)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn special(text: &str) -> bool {
        judge(text.parse().unwrap()) != Verdict::Public
    }

    /// F1, F6, F17, CIMD-81: first and last address of every block, and its neighbours.
    #[test]
    fn every_special_block_of_ipv4_is_refused_to_its_edges() {
        for (base, length, name) in RANGES_V4 {
            let first = u32::from(Ipv4Addr::from(*base));
            let last = first | u32::MAX.checked_shr(u32::from(*length)).unwrap_or(0);
            for edge in [first, last] {
                assert_ne!(
                    judge_v4(edge.into()),
                    Verdict::Public,
                    "{name} {}",
                    Ipv4Addr::from(edge)
                );
            }
        }
        #[rustfmt::skip]
        let public = [
            "1.0.0.0", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255",
            "128.0.0.0", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "191.255.255.255",
            "192.0.1.0", "192.0.3.0", "192.31.195.255", "192.31.197.0", "192.52.192.255", "192.52.194.0",
            "192.88.98.255", "192.88.100.0", "192.167.255.255", "192.169.0.0", "192.175.47.255", "192.175.49.0",
            "198.17.255.255", "198.20.0.0", "198.51.99.255", "198.51.101.0", "203.0.112.255", "203.0.114.0",
            "223.255.255.255", "8.8.8.8", "160.79.104.1",
        ];
        for text in public {
            assert!(!special(text), "{text}");
        }
        for text in [
            "192.0.0.8",
            "192.0.0.192",
            "192.0.0.170",
            "255.255.255.255",
            "169.254.169.254",
        ] {
            assert!(special(text), "{text}");
        }
    }

    /// F1, F5, F6, CIMD-81: IPv6, one row per block of the registry.
    #[test]
    fn every_special_block_of_ipv6_is_refused() {
        #[rustfmt::skip]
        let refused = [
            "::", "::1", "::a9fe:a9fe", "::ffff:10.0.0.1", "::ffff:8.8.8.8", "::ffff:0:a9fe:a9fe",
            "64:ff9b::a9fe:a9fe", "64:ff9b::808:808", "64:ff9b:1::1", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff",
            "100::1", "100:0:0:1::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1",
            "1fff::1", "4000::1", "2001::1", "2001:1::1", "2001:2::1", "2001:20::1", "2001:1ff:ffff::1",
            "2001:db8::1", "2001:db8:ffff::1", "2002:a9fe:a9fe::", "2002:808:808::1", "2620:4f:8000::1",
            "3fff::1", "3fff:fff::1", "2606:4700::5efe:a9fe:a9fe", "2606:4700:0:0:200:5efe:7f00:1",
        ];
        for text in refused {
            assert!(special(text), "{text}");
        }
        #[rustfmt::skip]
        let public = [
            "2000::1", "2001:200::1", "2001:4860:4860::8888", "2606:4700::1111", "2003::1", "2620:4f:8001::1",
            "2620:4f:7fff::1", "3ffe::1", "3fff:1000::1", "2606:4700::5efe:808:808", "2a00:1450::1",
        ];
        for text in public {
            assert!(!special(text), "{text}");
        }
    }

    proptest! {
        /// F5: whatever disguise a special IPv4 address wears, it is refused.
        #[test]
        fn no_disguise_helps_a_special_address(range in 0..RANGES_V4.len(), host: u32, prefix in 0x2600_u16..0x2fff) {
            let (base, length, _) = RANGES_V4[range];
            let mask = u32::MAX.checked_shr(u32::from(length)).unwrap_or(0);
            let inner = Ipv4Addr::from(u32::from(Ipv4Addr::from(base)) | (host & mask));
            let [a, b, c, d] = inner.octets();
            let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
            let teredo = inner.octets().map(|byte| !byte);
            let (thigh, tlow) = (u16::from_be_bytes([teredo[0], teredo[1]]), u16::from_be_bytes([teredo[2], teredo[3]]));
            let disguises = [
                Ipv6Addr::new(0, 0, 0, 0, 0, 0, high, low),
                Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, high, low),
                Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, high, low),
                Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
                Ipv6Addr::new(0x64, 0xff9b, 1, high, low >> 8, low << 8, 0, 0),
                Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
                Ipv6Addr::new(0x2001, 0, 0x4136, 0xe378, 0x8000, 0x63bf, thigh, tlow),
                Ipv6Addr::new(prefix, 1, 2, 3, 0, 0x5efe, high, low),
                Ipv6Addr::new(prefix, 1, 2, 3, 0x200, 0x5efe, high, low),
            ];
            for disguise in disguises {
                prop_assert_ne!(judge(disguise.into()), Verdict::Public);
                prop_assert_eq!(embedded_v4(disguise), Some(inner));
            }
        }
    }
}
