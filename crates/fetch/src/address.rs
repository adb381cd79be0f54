//! Which addresses no stranger may make us connect to: the special-purpose registries of IANA as an
//! own table, one row and one RFC each (RFC 6890; CIMD-81; threats F1, F5, F6 and section 4).
//!
//! | Rule                                                             | Enforced by             |
//! |------------------------------------------------------------------|-------------------------|
//! | a listed IPv4 range is special                                   | the table `V4`          |
//! | IPv6 outside `2000::/3` is special, whatever it will be used for | [`judge`], last line    |
//! | a listed IPv6 range inside `2000::/3` is special                 | the table `V6`          |
//! | an IPv4 address inside an IPv6 address is judged, too            | `embedded`              |
//!
//! The verdict is about numbers, never about text. An embedded address can only make it worse: a
//! NAT64 or 6to4 spelling of a public address stays refused, because its outer range is special.
//! ISATAP is the one form whose outer range may be public; it is as good as what it holds.
//!
//! Entries that the registries call globally reachable (AS112, AMT, anycast for PCP and TURN,
//! `ORCHIDv2`) are refused as well: no client document lives there.
//!
//! Not here: what an operator denies on top, and the exceptions for loopback. That is the guard.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What an address is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// Global unicast.
    Public,
    /// In a special-purpose range, directly or inside a transition form; the name of the range.
    Special(&'static str),
}

struct V4Range {
    base: Ipv4Addr,
    bits: u8,
    name: &'static str,
    /// Read by people.
    _defined_in: &'static str,
}

struct V6Range {
    base: Ipv6Addr,
    bits: u8,
    name: &'static str,
    _defined_in: &'static str,
}

const fn v4(octets: [u8; 4], bits: u8, name: &'static str, rfc: &'static str) -> V4Range {
    let [a, b, c, d] = octets;
    V4Range {
        base: Ipv4Addr::new(a, b, c, d),
        bits,
        name,
        _defined_in: rfc,
    }
}

const fn v6(start: [u16; 4], bits: u8, name: &'static str, rfc: &'static str) -> V6Range {
    let [a, b, c, d] = start;
    V6Range {
        base: Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0),
        bits,
        name,
        _defined_in: rfc,
    }
}

#[rustfmt::skip]
const V4: [V4Range; 18] = [
    v4([0, 0, 0, 0],       8,  "this network",            "RFC 791 §3.2"),
    v4([10, 0, 0, 0],      8,  "private use",             "RFC 1918"),
    v4([100, 64, 0, 0],    10, "shared address space",    "RFC 6598"),
    v4([127, 0, 0, 0],     8,  "loopback",                "RFC 1122 §3.2.1.3"),
    v4([169, 254, 0, 0],   16, "link local",              "RFC 3927"),
    v4([172, 16, 0, 0],    12, "private use",             "RFC 1918"),
    v4([192, 0, 0, 0],     24, "protocol assignments",    "RFC 6890 §2.1"),
    v4([192, 0, 2, 0],     24, "documentation",           "RFC 5737"),
    v4([192, 31, 196, 0],  24, "AS112",                   "RFC 7535"),
    v4([192, 52, 193, 0],  24, "AMT",                     "RFC 7450"),
    v4([192, 88, 99, 0],   24, "6to4 relay",              "RFC 7526"),
    v4([192, 168, 0, 0],   16, "private use",             "RFC 1918"),
    v4([192, 175, 48, 0],  24, "AS112",                   "RFC 7534"),
    v4([198, 18, 0, 0],    15, "benchmarking",            "RFC 2544"),
    v4([198, 51, 100, 0],  24, "documentation",           "RFC 5737"),
    v4([203, 0, 113, 0],   24, "documentation",           "RFC 5737"),
    v4([224, 0, 0, 0],     4,  "multicast",               "RFC 5771"),
    v4([240, 0, 0, 0],     4,  "reserved and broadcast",  "RFC 1112 §4, RFC 919 §7"),
];

/// Rows outside `2000::/3` only give the refusal a name; the refusal itself needs none of them.
#[rustfmt::skip]
const V6: [V6Range; 15] = [
    v6([0, 0, 0, 0],             96, "unspecified, loopback or IPv4-compatible", "RFC 4291 §2.5"),
    v6([0x0064, 0xff9b, 0, 0],   96, "NAT64",                    "RFC 6052"),
    v6([0x0064, 0xff9b, 1, 0],   48, "local-use NAT64",          "RFC 8215"),
    v6([0x0100, 0, 0, 0],        64, "discard only",             "RFC 6666"),
    v6([0x0100, 0, 0, 1],        64, "dummy prefix",             "RFC 9780"),
    v6([0x2001, 0, 0, 0],        23, "protocol assignments",     "RFC 2928"),
    v6([0x2001, 0x0db8, 0, 0],   32, "documentation",            "RFC 3849"),
    v6([0x2002, 0, 0, 0],        16, "6to4",                     "RFC 3056"),
    v6([0x2620, 0x4f, 0x8000, 0], 48, "AS112",                   "RFC 7534"),
    v6([0x3fff, 0, 0, 0],        20, "documentation",            "RFC 9637"),
    v6([0x5f00, 0, 0, 0],        16, "segment routing",          "RFC 9602"),
    v6([0xfc00, 0, 0, 0],        7,  "unique local",             "RFC 4193"),
    v6([0xfe80, 0, 0, 0],        10, "link local",               "RFC 4291 §2.5.6"),
    v6([0xfec0, 0, 0, 0],        10, "site local",               "RFC 3879"),
    v6([0xff00, 0, 0, 0],        8,  "multicast",                "RFC 4291 §2.7"),
];

/// Judge one address by its numbers.
pub fn judge(ip: IpAddr) -> Verdict {
    match ip {
        IpAddr::V4(ip) => judge_v4(ip),
        IpAddr::V6(ip) => judge_v6(ip),
    }
}

fn judge_v4(ip: Ipv4Addr) -> Verdict {
    let inside = |range: &&V4Range| {
        let differing = u32::from(ip) ^ u32::from(range.base);
        differing.leading_zeros() >= u32::from(range.bits)
    };
    let range = V4.iter().find(inside);
    range.map_or(Verdict::Public, |range| Verdict::Special(range.name))
}

fn judge_v6(ip: Ipv6Addr) -> Verdict {
    for inner in embedded(ip) {
        if let special @ Verdict::Special(_) = judge_v4(inner) {
            return special;
        }
    }
    let inside = |range: &&V6Range| {
        let differing = u128::from(ip) ^ u128::from(range.base);
        differing.leading_zeros() >= u32::from(range.bits)
    };
    if let Some(range) = V6.iter().find(inside) {
        return Verdict::Special(range.name);
    }
    // RFC 4291 §2.4 gives only 2000::/3 to global unicast so far (IANA's IPv6 address space).
    if ip.octets()[0] >> 5 == 1 {
        Verdict::Public
    } else {
        Verdict::Special("outside global unicast")
    }
}

/// Every IPv4 address that some transition mechanism reads out of this IPv6 address.
pub(crate) fn embedded(ip: Ipv6Addr) -> Vec<Ipv4Addr> {
    let octets = ip.octets();
    let mut found = Vec::new();
    let mut push = |a: u8, b: u8, c: u8, d: u8| found.push(Ipv4Addr::new(a, b, c, d));
    match octets {
        // `::` and `::1` hold nothing.
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 | 1] => {}
        // IPv4-compatible (RFC 4291 §2.5.5.1), IPv4-mapped (§2.5.5.2), IPv4-translated (RFC 2765
        // §2.1), NAT64 well-known prefix (RFC 6052 §2.1), 6to4 (RFC 3056 §2).
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d]
        | [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d]
        | [0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, a, b, c, d]
        | [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d]
        | [0x20, 0x02, a, b, c, d, ..] => push(a, b, c, d),
        // Local-use NAT64 (RFC 8215): an operator's prefix below this /48 may be a /48, /56, /64
        // or /96, and RFC 6052 §2.2 puts the address elsewhere in each, around octet 8.
        [
            0,
            0x64,
            0xff,
            0x9b,
            0,
            1,
            p6,
            p7,
            _,
            p9,
            p10,
            p11,
            p12,
            p13,
            p14,
            p15,
        ] => {
            push(p6, p7, p9, p10);
            push(p7, p9, p10, p11);
            push(p9, p10, p11, p12);
            push(p12, p13, p14, p15);
        }
        // Teredo (RFC 4380 §4): the server, and the client with every bit turned.
        [0x20, 0x01, 0, 0, a, b, c, d, _, _, _, _, p12, p13, p14, p15] => {
            push(a, b, c, d);
            push(!p12, !p13, !p14, !p15);
        }
        _ => {}
    }
    // ISATAP (RFC 5214 §6.1): an interface identifier, so under any prefix.
    if let [_, _, _, _, _, _, _, _, 0 | 2, 0, 0x5e, 0xfe, a, b, c, d] = octets {
        found.push(Ipv4Addr::new(a, b, c, d));
    }
    found
}

#[cfg(test)]
mod tests;
