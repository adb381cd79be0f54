use proptest::prelude::*;

use super::*;

/// First and last address of a refused range, and what is just before and just after it where that
/// is public. Written down beside the table, not computed from it.
#[rustfmt::skip]
const IPV4_BOUNDARIES: [(&str, &str, Option<&str>, Option<&str>); 18] = [
    ("0.0.0.0",      "0.255.255.255",   None,                    Some("1.0.0.0")),
    ("10.0.0.0",     "10.255.255.255",  Some("9.255.255.255"),   Some("11.0.0.0")),
    ("100.64.0.0",   "100.127.255.255", Some("100.63.255.255"),  Some("100.128.0.0")),
    ("127.0.0.0",    "127.255.255.255", Some("126.255.255.255"), Some("128.0.0.0")),
    ("169.254.0.0",  "169.254.255.255", Some("169.253.255.255"), Some("169.255.0.0")),
    ("172.16.0.0",   "172.31.255.255",  Some("172.15.255.255"),  Some("172.32.0.0")),
    ("192.0.0.0",    "192.0.0.255",     Some("191.255.255.255"), Some("192.0.1.0")),
    ("192.0.2.0",    "192.0.2.255",     Some("192.0.1.255"),     Some("192.0.3.0")),
    ("192.31.196.0", "192.31.196.255",  Some("192.31.195.255"),  Some("192.31.197.0")),
    ("192.52.193.0", "192.52.193.255",  Some("192.52.192.255"),  Some("192.52.194.0")),
    ("192.88.99.0",  "192.88.99.255",   Some("192.88.98.255"),   Some("192.88.100.0")),
    ("192.168.0.0",  "192.168.255.255", Some("192.167.255.255"), Some("192.169.0.0")),
    ("192.175.48.0", "192.175.48.255",  Some("192.175.47.255"),  Some("192.175.49.0")),
    ("198.18.0.0",   "198.19.255.255",  Some("198.17.255.255"),  Some("198.20.0.0")),
    ("198.51.100.0", "198.51.100.255",  Some("198.51.99.255"),   Some("198.51.101.0")),
    ("203.0.113.0",  "203.0.113.255",   Some("203.0.112.255"),   Some("203.0.114.0")),
    ("224.0.0.0",    "239.255.255.255", Some("223.255.255.255"), None),
    ("240.0.0.0",    "255.255.255.255", None,                    None),
];

#[rustfmt::skip]
const IPV6_BOUNDARIES: [(&str, &str, Option<&str>, Option<&str>); 19] = [
    ("::",               "::",                                        None, None),
    ("::1",              "::1",                                       None, None),
    ("::2",              "::ffff:ffff",                               None, None),
    ("::ffff:0:0",       "::ffff:ffff:ffff",                          None, None),
    ("::ffff:0:0:0",     "::ffff:0:ffff:ffff",                        None, None),
    ("64:ff9b::",        "64:ff9b::ffff:ffff",                        None, None),
    ("64:ff9b:1::",      "64:ff9b:1:ffff:ffff:ffff:ffff:ffff",        None, None),
    ("100::",            "100::ffff:ffff:ffff:ffff",                  None, None),
    ("100:0:0:1::",      "100::1:ffff:ffff:ffff:ffff",                None, None),
    // Everything below and above global unicast.
    ("::",               "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",   None, Some("2000::")),
    ("2001::",           "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff",
        Some("2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),              Some("2001:200::")),
    ("2001:db8::",       "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
        Some("2001:db7:ffff:ffff:ffff:ffff:ffff:ffff"),               Some("2001:db9::")),
    ("2002::",           "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        Some("2001:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),              Some("2003::")),
    ("2620:4f:8000::",   "2620:4f:8000:ffff:ffff:ffff:ffff:ffff",
        Some("2620:4f:7fff:ffff:ffff:ffff:ffff:ffff"),                Some("2620:4f:8001::")),
    ("3fff::",           "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff",
        Some("3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),              Some("3fff:1000::")),
    ("4000::",           "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        Some("3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),              None),
    ("5f00::",           "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff",   None, None),
    ("fc00::",           "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",   None, None),
    ("fe80::",           "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",   None, None),
];

fn verdict(text: &str) -> Verdict {
    judge(text.parse().unwrap())
}

fn is_special(text: &str) -> bool {
    matches!(verdict(text), Verdict::Special(_))
}

/// CIMD-81, F1, F6: every range of the table, its first and last address, and both neighbours.
#[test]
fn every_range_is_refused_from_its_first_to_its_last_address() {
    for (first, last, before, after) in IPV4_BOUNDARIES.into_iter().chain(IPV6_BOUNDARIES) {
        assert!(is_special(first), "{first}");
        assert!(is_special(last), "{last}");
        for neighbour in [before, after].into_iter().flatten() {
            assert_eq!(verdict(neighbour), Verdict::Public, "{neighbour}");
        }
    }
}

/// CIMD-81, F1, F6: what attackers ask for, by name of the range.
#[test]
fn well_known_targets_have_a_verdict_with_a_name() {
    #[rustfmt::skip]
    let rows = [
        ("127.0.0.1",           Verdict::Special("loopback")),
        ("169.254.169.254",     Verdict::Special("link local")),
        ("169.254.170.2",       Verdict::Special("link local")),
        ("100.100.100.200",     Verdict::Special("shared address space")),
        ("192.0.0.192",         Verdict::Special("protocol assignments")),
        ("192.0.0.8",           Verdict::Special("protocol assignments")),
        ("255.255.255.255",     Verdict::Special("reserved and broadcast")),
        ("fd00:ec2::254",       Verdict::Special("unique local")),
        ("fe80::a9fe:a9fe",     Verdict::Special("link local")),
        ("fec0::1",             Verdict::Special("site local")),
        ("ff02::1",             Verdict::Special("multicast")),
        ("::1",                 Verdict::Special("unspecified, loopback or IPv4-compatible")),
        ("4000::1",             Verdict::Special("outside global unicast")),
        ("8.8.8.8",             Verdict::Public),
        ("2606:4700::1111",     Verdict::Public),
        ("2a00:1450:4001::200e", Verdict::Public),
    ];
    for (text, expected) in rows {
        assert_eq!(verdict(text), expected, "{text}");
    }
}

/// F5, CIMD-81: the metadata address 169.254.169.254 in every spelling that a transition mechanism
/// knows; the verdict names what is inside.
#[test]
fn an_ipv4_address_inside_an_ipv6_address_is_judged() {
    #[rustfmt::skip]
    let rows = [
        "::a9fe:a9fe",                          // IPv4-compatible
        "::ffff:a9fe:a9fe",                     // IPv4-mapped
        "::ffff:0:a9fe:a9fe",                   // IPv4-translated (SIIT)
        "64:ff9b::a9fe:a9fe",                   // NAT64, well-known prefix
        "64:ff9b:1:a9fe:a9:fe00::",             // NAT64, local use, /48 layout
        "64:ff9b:1:12a9:fe:a9fe::",             // /56
        "64:ff9b:1:1234:a9:fea9:fe00:0",        // /64
        "64:ff9b:1:808:8:808:a9fe:a9fe",        // /96
        "2002:a9fe:a9fe::1",                    // 6to4
        "2001:0:a9fe:a9fe:0:1234:0808:0808",    // Teredo, server
        "2001:0:808:808:0:1234:5601:5601",      // Teredo, client, every bit turned
        "2606:4700::5efe:a9fe:a9fe",            // ISATAP, under a public prefix
        "2606:4700:0:0:200:5efe:a9fe:a9fe",     // ISATAP, universal bit set
    ];
    for text in rows {
        assert_eq!(verdict(text), Verdict::Special("link local"), "{text}");
    }
}

/// F5: a public address inside does not make a special outside public.
#[test]
fn a_transition_form_of_a_public_address_stays_refused() {
    for text in [
        "::808:808",
        "::ffff:808:808",
        "::ffff:0:808:808",
        "64:ff9b::808:808",
        "64:ff9b:1::808:808",
        "2002:808:808::1",
        "2001:0:808:808:0:0:f7f7:f7f7",
    ] {
        assert!(is_special(text), "{text}");
    }
    assert_eq!(verdict("2606:4700::5efe:808:808"), Verdict::Public);
}

/// The RFC 6052 §2.4 examples, moved under the local-use prefix: each layout is read back.
#[test]
fn every_layout_of_rfc_6052_is_read() {
    let inner: Ipv4Addr = "192.0.2.33".parse().unwrap();
    for text in [
        "64:ff9b:1:c000:2:2100::",
        "64:ff9b:1:1c0:0:221::",
        "64:ff9b:1:1:c0:2:2100::",
        "64:ff9b:1:1:1:1:192.0.2.33",
        "64:ff9b::192.0.2.33",
    ] {
        let found = embedded(text.parse().unwrap());
        assert!(found.contains(&inner), "{text}: {found:?}");
    }
}

type Embedding = fn([u8; 4], [u8; 4]) -> [u8; 16];

/// Every way in which four octets of IPv4 stand in sixteen of IPv6; `n` is noise for what is free.
#[rustfmt::skip]
const REFUSED_FORMS: [(&str, Embedding); 10] = [
    ("compatible", |[a, b, c, d], _| [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d]),
    ("mapped",     |[a, b, c, d], _| [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d]),
    ("translated", |[a, b, c, d], _| [0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, a, b, c, d]),
    ("nat64",      |[a, b, c, d], _| [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d]),
    ("nat64 /48",  |[a, b, c, d], _| [0, 0x64, 0xff, 0x9b, 0, 1, a, b, 0, c, d, 8, 8, 8, 8, 8]),
    ("nat64 /56",  |[a, b, c, d], _| [0, 0x64, 0xff, 0x9b, 0, 1, 8, a, 0, b, c, d, 8, 8, 8, 8]),
    ("nat64 /64",  |[a, b, c, d], _| [0, 0x64, 0xff, 0x9b, 0, 1, 8, 8, 0, a, b, c, d, 8, 8, 8]),
    ("nat64 /96",  |[a, b, c, d], _| [0, 0x64, 0xff, 0x9b, 0, 1, 8, 8, 0, 8, 8, 8, a, b, c, d]),
    ("6to4",       |[a, b, c, d], [n, m, o, p]| [0x20, 2, a, b, c, d, n, m, o, p, 0, 0, 0, 0, 0, 1]),
    ("teredo",     |[a, b, c, d], [n, m, ..]|
        [0x20, 1, 0, 0, 8, 8, 8, 8, 0, 0, n, m, !a, !b, !c, !d]),
];

fn is_isatap(form: Ipv6Addr) -> bool {
    matches!(form.octets(), [.., 0 | 2, 0, 0x5e, 0xfe, _, _, _, _])
}

proptest! {
    /// F5: no embedding is public, and what is special inside gives the verdict its name.
    #[test]
    fn an_embedded_address_is_judged_by_what_is_inside(inner: [u8; 4], noise: [u8; 4]) {
        let of_inner = judge_v4(Ipv4Addr::from(inner));
        for (name, embed) in REFUSED_FORMS {
            let form = Ipv6Addr::from(embed(inner, noise));
            let verdict = judge(IpAddr::V6(form));
            prop_assert_ne!(verdict, Verdict::Public, "{} {}", name, form);
            // The layouts below one /48 overlap: an earlier one may name its own finding. `::` and
            // `::1` are themselves.
            let one_reading = embedded(form).len() == 1 || name == "teredo";
            if of_inner != Verdict::Public && one_reading && !is_isatap(form) {
                prop_assert_eq!(verdict, of_inner, "{} {}", name, form);
            }
        }
    }

    /// F5: an ISATAP address under a public prefix is exactly as good as the address inside.
    #[test]
    fn isatap_is_as_good_as_the_address_inside(inner: [u8; 4], universal: bool) {
        let [a, b, c, d] = inner;
        let flag = if universal { 2 } else { 0 };
        let form = [0x26, 0x06, 0x47, 0, 0, 0, 0, 1, flag, 0, 0x5e, 0xfe, a, b, c, d];
        prop_assert_eq!(judge(IpAddr::V6(Ipv6Addr::from(form))), judge_v4(Ipv4Addr::from(inner)));
    }

    /// F1: whatever is not 2000::/3 is refused, listed or not.
    #[test]
    fn nothing_outside_global_unicast_is_public(octets: [u8; 16]) {
        if octets[0] >> 5 != 1 {
            let verdict = judge(IpAddr::V6(Ipv6Addr::from(octets)));
            prop_assert_ne!(verdict, Verdict::Public);
        }
    }
}
