//! A writer of files in `MaxMind`'s format, for the tests of this crate and of the engine.

use std::net::IpAddr;

/// A value of the format, as far as tests need them.
pub(crate) enum Value {
    /// At most 28 octets.
    Text(&'static str),
    /// Of 32 bits.
    Number(u32),
    /// In order.
    Map(Vec<(&'static str, Value)>),
}

fn encode(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Text(text) => {
            out.push(0x40 | u8::try_from(text.len()).unwrap());
            out.extend(text.bytes());
        }
        Value::Number(number) => {
            out.push(0xc4);
            out.extend(number.to_be_bytes());
        }
        Value::Map(members) => {
            out.push(0xe0 | u8::try_from(members.len()).unwrap());
            for (name, value) in members {
                encode(&Value::Text(name), out);
                encode(value, out);
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Record {
    Nothing,
    Node(usize),
    Data(usize),
}

/// A database as the format's specification describes it: an IPv6 tree with 24-bit records,
/// IPv4 under `::/96`.
pub(crate) fn database(entries: &[(&str, Value)]) -> Vec<u8> {
    let mut nodes = vec![[Record::Nothing; 2]];
    let mut data = Vec::new();
    for (net, value) in entries {
        let (address, length) = net.split_once('/').unwrap();
        let length: u32 = length.parse().unwrap();
        let (bits, length) = match address.parse().unwrap() {
            IpAddr::V4(address) => (u128::from(address.to_bits()), length + 96),
            IpAddr::V6(address) => (address.to_bits(), length),
        };
        let offset = data.len();
        encode(value, &mut data);
        let mut at = 0;
        for depth in 0..length {
            let side = usize::from(bits >> (127 - depth) & 1 == 1);
            if depth + 1 == length {
                nodes[at][side] = Record::Data(offset);
            } else if let Record::Node(next) = nodes[at][side] {
                at = next;
            } else {
                nodes.push([Record::Nothing; 2]);
                nodes[at][side] = Record::Node(nodes.len() - 1);
                at = nodes.len() - 1;
            }
        }
    }
    let count = nodes.len();
    let mut out = Vec::new();
    for record in nodes.into_iter().flatten() {
        let number = match record {
            Record::Nothing => count,
            Record::Node(next) => next,
            Record::Data(offset) => count + 16 + offset,
        };
        out.extend(&u32::try_from(number).unwrap().to_be_bytes()[1..]);
    }
    out.extend([0; 16]);
    out.extend(data);
    out.extend(b"\xab\xcd\xefMaxMind.com");
    out.push(0xe9);
    let mut number = |name: &'static str, bytes: &[u8]| {
        encode(&Value::Text(name), &mut out);
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
    out
}
