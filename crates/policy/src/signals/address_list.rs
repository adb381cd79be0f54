//! Lists of addresses that an operator keeps or downloads: parsed once, asked often.
//!
//! Text, one address or CIDR block in a line; what follows `#` or `;` is a comment. A line that is
//! neither fails the whole list, by number: a list that is half read is a list that lies.
//! IPv4-mapped IPv6 is IPv4, in the list and in the question.
//!
//! Not here: where the text comes from, and what it means to be on a list (a policy).

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

/// Most lines with an entry.
pub const ENTRIES_MAX: usize = 1_000_000;
/// Longest line, in bytes.
const LINE_BYTES_MAX: usize = 512;

/// A line that is refused.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct AddressListError {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub message: String,
}

/// A set of addresses: sorted, disjoint ranges.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AddressList {
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u128)>,
}

impl AddressList {
    /// Read a list; the error names the line.
    pub fn parse(text: &str) -> Result<Self, AddressListError> {
        Self::parse_bounded(text, ENTRIES_MAX)
    }

    fn parse_bounded(text: &str, most: usize) -> Result<Self, AddressListError> {
        let mut list = Self::default();
        let mut entries = 0_usize;
        // The mark that some editors write first.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        for (at, line) in text.lines().enumerate() {
            let refuse = |message: String| AddressListError {
                line: at + 1,
                message,
            };
            if line.len() > LINE_BYTES_MAX {
                return Err(refuse(format!("longer than {LINE_BYTES_MAX} bytes")));
            }
            let entry = line.split(['#', ';']).next().unwrap_or_default().trim();
            if entry.is_empty() {
                continue;
            }
            entries += 1;
            if entries > most {
                return Err(refuse(format!("more than {most} entries")));
            }
            list.add(block(entry).map_err(refuse)?);
        }
        list.v4 = merged(list.v4, |end| end.checked_add(1));
        list.v6 = merged(list.v6, |end| end.checked_add(1));
        Ok(list)
    }

    /// Of blocks that were read before.
    pub fn of(blocks: &[IpNet]) -> Self {
        let mut list = Self::default();
        for block in blocks {
            list.add(*block);
        }
        list.v4 = merged(list.v4, |end| end.checked_add(1));
        list.v6 = merged(list.v6, |end| end.checked_add(1));
        list
    }

    fn add(&mut self, block: IpNet) {
        match unmapped(block) {
            IpNet::V4(net) => self
                .v4
                .push((net.network().to_bits(), net.broadcast().to_bits())),
            IpNet::V6(net) => self
                .v6
                .push((net.network().to_bits(), net.broadcast().to_bits())),
        }
    }

    /// Is the address in one of the blocks?
    pub fn contains(&self, ip: IpAddr) -> bool {
        match ip.to_canonical() {
            IpAddr::V4(ip) => holds(&self.v4, ip.to_bits()),
            IpAddr::V6(ip) => holds(&self.v6, ip.to_bits()),
        }
    }

    /// Nothing is on it.
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// Disjoint ranges that are held, for a page; at most the entries of the text.
    pub fn ranges(&self) -> usize {
        self.v4.len() + self.v6.len()
    }
}

/// Several lists by name.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct NamedLists(Vec<(String, AddressList)>);

impl NamedLists {
    /// In the order in which they are shown.
    pub fn new(lists: Vec<(String, AddressList)>) -> Self {
        Self(lists)
    }

    /// The lists that hold this address.
    pub fn naming(&self, ip: IpAddr) -> Vec<&str> {
        self.0
            .iter()
            .filter(|(_, list)| list.contains(ip))
            .map(|(name, _)| name.as_str())
            .collect()
    }

    /// Does any?
    pub fn contains(&self, ip: IpAddr) -> bool {
        self.0.iter().any(|(_, list)| list.contains(ip))
    }

    /// There is no list at all: what they would say is missing, not good.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What a page says of an address that is listed.
pub fn sentence(list: &str) -> String {
    format!("The request came from an address on the list \u{201c}{list}\u{201d}.")
}

fn block(entry: &str) -> Result<IpNet, String> {
    let short: String = entry.chars().take(60).collect();
    if !entry.contains('/') {
        let ip: IpAddr = entry
            .parse()
            .map_err(|_| format!("`{short}` is neither an address nor a CIDR block"))?;
        return Ok(IpNet::from(ip));
    }
    let net: IpNet = entry
        .parse()
        .map_err(|_| format!("`{short}` is not a CIDR block"))?;
    if net.trunc() == net {
        Ok(net)
    } else {
        // Either the address or the length is a mistake; both readings would be a guess.
        Err(format!(
            "`{short}` has host bits; did you mean `{}`?",
            net.trunc()
        ))
    }
}

/// A block inside `::ffff:0:0/96` is a block of IPv4. A wider one, such as `::/0`, says nothing
/// about IPv4.
fn unmapped(block: IpNet) -> IpNet {
    let IpNet::V6(net) = block else {
        return block;
    };
    let mapped: Option<std::net::Ipv4Addr> = Ipv6Addr::to_ipv4_mapped(&net.network());
    let short = net.prefix_len().checked_sub(96);
    match (mapped, short) {
        (Some(ip), Some(length)) => ipnet::Ipv4Net::new(ip, length).map_or(block, IpNet::V4),
        _ => block,
    }
}

fn merged<T: Copy + Ord>(mut ranges: Vec<(T, T)>, next: impl Fn(T) -> Option<T>) -> Vec<(T, T)> {
    ranges.sort_unstable();
    let mut out: Vec<(T, T)> = Vec::with_capacity(ranges.len());
    for (start, end) in ranges {
        match out.last_mut() {
            Some(last) if next(last.1).is_none_or(|next| start <= next) => {
                last.1 = last.1.max(end);
            }
            _ => out.push((start, end)),
        }
    }
    out.shrink_to_fit();
    out
}

fn holds<T: Copy + Ord>(ranges: &[(T, T)], value: T) -> bool {
    let after = ranges.partition_point(|(start, _)| *start <= value);
    after
        .checked_sub(1)
        .and_then(|at| ranges.get(at))
        .is_some_and(|(_, end)| value <= *end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// One row, one line of a list, what is in it and what is beside it.
    #[test]
    fn blocks_hold_what_they_say() {
        #[rustfmt::skip]
        let rows = [
            ("192.0.2.0/24",                    "192.0.2.0",           "192.0.3.0"),
            ("192.0.2.0/24",                    "192.0.2.255",         "192.0.1.255"),
            ("192.0.2.7",                       "192.0.2.7",           "192.0.2.8"),
            ("192.0.2.7 # a comment",           "::ffff:192.0.2.7",    "::192.0.2.7"),
            ("192.0.2.0/24 ; SBL1",             "192.0.2.9",           "::1"),
            ("::ffff:192.0.2.0/120",            "192.0.2.9",           "192.0.3.9"),
            ("0.0.0.0/0",                       "255.255.255.255",     "2001:db8::1"),
            ("::/0",                            "2001:db8::1",         "192.0.2.1"),
            ("2001:db8::/32",                   "2001:db8:ffff::1",    "2001:db9::1"),
            ("2001:db8::5",                     "2001:db8::5",         "2001:db8::6"),
            ("\t255.255.255.255\r",             "255.255.255.255",     "255.255.255.254"),
            ("\u{feff}192.0.2.7",               "192.0.2.7",           "192.0.2.6"),
        ];
        for (line, inside, outside) in rows {
            let list = AddressList::parse(&format!("# head\n\n{line}\n"));
            let list = list.or_else(|_| AddressList::parse(line)).unwrap();
            assert!(list.contains(ip(inside)), "{line} {inside}");
            assert!(!list.contains(ip(outside)), "{line} {outside}");
        }
        assert!(AddressList::parse("# nothing\n\n").unwrap().is_empty());
    }

    /// A list with one bad line is refused, and the line is named.
    #[test]
    fn a_bad_line_is_named() {
        #[rustfmt::skip]
        let rows = [
            ("192.0.2.1\n\nexample.com",    3, "neither an address"),
            ("192.0.2.0/33",                1, "not a CIDR block"),
            ("# x\n192.0.2.1/24",           2, "did you mean `192.0.2.0/24`"),
            ("192.0.2.1-192.0.2.9",         1, "neither"),
            ("192.0.2.1 192.0.2.2",         1, "neither"),
            ("0x7f.1",                      1, "neither"),
            ("010.0.0.1",                   1, "neither"),
            ("fe80::1%eth0",                1, "neither"),
        ];
        for (text, line, message) in rows {
            let failure = AddressList::parse(text).unwrap_err();
            assert_eq!(failure.line, line, "{text}");
            assert!(failure.message.contains(message), "{failure}");
        }
        let long = "x".repeat(10_000);
        assert!(AddressList::parse(&long).unwrap_err().message.len() < 80);
        let three = AddressList::parse_bounded("192.0.2.1\n# x\n192.0.2.2\n192.0.2.3", 2);
        assert_eq!(three.unwrap_err().line, 4);
    }

    #[test]
    fn neighbours_are_held_as_one_range() {
        let list = AddressList::parse("192.0.2.128/25\n192.0.2.0/25\n192.0.2.4\n::1\n::2").unwrap();
        assert_eq!(list.ranges(), 2);
    }

    #[test]
    fn lists_answer_by_name() {
        let lists = NamedLists::new(vec![
            (
                "office".to_owned(),
                AddressList::parse("192.0.2.0/24").unwrap(),
            ),
            ("tor".to_owned(), AddressList::parse("192.0.2.9").unwrap()),
        ]);
        assert_eq!(lists.naming(ip("192.0.2.9")), ["office", "tor"]);
        assert_eq!(lists.naming(ip("192.0.2.8")), ["office"]);
        assert!(lists.naming(ip("198.51.100.1")).is_empty());
        assert!(sentence("tor").contains("tor"));
    }

    proptest! {
        /// The compact form answers as the list of blocks does.
        #[test]
        fn ranges_agree_with_the_blocks(
            blocks in proptest::collection::vec((any::<u32>(), 0_u8..=32), 0..40),
            probe in any::<u32>(),
        ) {
            let blocks: Vec<IpNet> = blocks
                .into_iter()
                .map(|(bits, length)| {
                    IpNet::new(IpAddr::from(bits.to_be_bytes()), length).unwrap().trunc()
                })
                .collect();
            let text: Vec<String> = blocks.iter().map(IpNet::to_string).collect();
            let list = AddressList::parse(&text.join("\n")).unwrap();
            prop_assert_eq!(&list, &AddressList::of(&blocks));
            let edges = blocks.iter().flat_map(|net| [net.network(), net.broadcast()]);
            for ip in edges.chain([IpAddr::from(probe.to_be_bytes())]) {
                let expected = blocks.iter().any(|net| net.contains(&ip));
                prop_assert_eq!(list.contains(ip), expected, "{}", ip);
            }
        }

        #[test]
        fn reading_never_panics(text in "[0-9a-f.:/#\\n ]{0,200}") {
            let _ = AddressList::parse(&text);
        }
    }
}
