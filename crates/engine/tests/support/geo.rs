//! A file of countries and networks in `MaxMind`'s format, for tests of signals.

use std::net::Ipv4Addr;

use vestibule_policy::signals::geo::Geo;

/// What a record says of its addresses.
#[derive(Clone, Copy, Debug)]
pub enum Record {
    /// ISO 3166-1 alpha-2.
    Country(&'static str),
    /// The autonomous system.
    Asn(u32),
}

/// A text of at most 28 octets.
fn text(text: &str, out: &mut Vec<u8>) {
    out.push(0x40 | u8::try_from(text.len()).unwrap());
    out.extend(text.bytes());
}

fn encode(record: Record, out: &mut Vec<u8>) {
    match record {
        Record::Country(code) => {
            out.push(0xe1);
            text("country", out);
            out.push(0xe1);
            text("iso_code", out);
            text(code, out);
        }
        Record::Asn(number) => {
            out.push(0xe1);
            text("autonomous_system_number", out);
            out.push(0xc4);
            out.extend(number.to_be_bytes());
        }
    }
}

#[derive(Clone, Copy)]
enum Side {
    Nothing,
    Node(usize),
    Data(usize),
}

/// A file with these IPv4 blocks: an IPv6 tree with 24-bit records, IPv4 under `::/96`.
pub fn geo(blocks: &[(&str, Record)]) -> Geo {
    let mut nodes = vec![[Side::Nothing; 2]];
    let mut data = Vec::new();
    for (block, record) in blocks {
        let (address, length) = block.split_once('/').unwrap();
        let bits = u128::from(address.parse::<Ipv4Addr>().unwrap().to_bits());
        let length = length.parse::<u32>().unwrap() + 96;
        let offset = data.len();
        encode(*record, &mut data);
        let mut at = 0;
        for depth in 0..length {
            let side = usize::from(bits >> (127 - depth) & 1 == 1);
            if depth + 1 == length {
                nodes[at][side] = Side::Data(offset);
            } else if let Side::Node(next) = nodes[at][side] {
                at = next;
            } else {
                nodes.push([Side::Nothing; 2]);
                nodes[at][side] = Side::Node(nodes.len() - 1);
                at = nodes.len() - 1;
            }
        }
    }
    let count = nodes.len();
    let mut out = Vec::new();
    for side in nodes.into_iter().flatten() {
        let number = match side {
            Side::Nothing => count,
            Side::Node(next) => next,
            Side::Data(offset) => count + 16 + offset,
        };
        out.extend(&u32::try_from(number).unwrap().to_be_bytes()[1..]);
    }
    out.extend([0; 16]);
    out.extend(data);
    out.extend(b"\xab\xcd\xefMaxMind.com");
    out.push(0xe9);
    let mut number = |name: &str, bytes: &[u8]| {
        text(name, &mut out);
        out.extend(bytes);
    };
    let nodes = u32::try_from(count).unwrap().to_be_bytes();
    number("node_count", &[&[0xc4][..], &nodes].concat());
    number("record_size", &[0xa1, 24]);
    number("ip_version", &[0xa1, 6]);
    number("binary_format_major_version", &[0xa1, 2]);
    number("binary_format_minor_version", &[0xa0]);
    number("build_epoch", &[0x04, 0x02, 0x69, 0, 0, 0]);
    number("database_type", b"\x44Test");
    number("languages", &[0x00, 0x04]);
    number("description", &[0xe0]);
    Geo::read(out).unwrap()
}
