//! Country and network of an address, from files in `MaxMind`'s format that the operator provides.
//! None is shipped: their licences differ, and they age.
//!
//! An address that a file does not know, or a damaged record, is a missing signal. Country and
//! network are weak: proxies change them, and people travel.
//!
//! Not here: reading the file; which countries matter (a policy).

#[cfg(test)]
mod mmdb;

use std::net::IpAddr;

use maxminddb::{MaxMindDbError, PathElement, Reader};

/// The file cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a database in MaxMind's format: {0}")]
pub struct GeoError(String);

/// One file, in memory.
pub struct Geo(Reader<Vec<u8>>);

impl std::fmt::Debug for Geo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Geo({})", self.database_type())
    }
}

impl Geo {
    /// Take the bytes of a file.
    pub fn read(bytes: Vec<u8>) -> Result<Self, GeoError> {
        Reader::from_source(bytes)
            .map(Self)
            .map_err(|failure: MaxMindDbError| GeoError(failure.to_string()))
    }

    /// What the file calls itself, for a page.
    pub fn database_type(&self) -> &str {
        &self.0.metadata().database_type
    }

    /// When the file was made, in seconds since 1970, for a page: old files tell old stories.
    pub fn built_at_s(&self) -> u64 {
        self.0.metadata().build_epoch
    }

    /// ISO 3166-1 alpha-2, in upper case. From `country.iso_code` (`MaxMind` and most others) or
    /// `country_code` (iptoasn).
    pub fn country(&self, ip: IpAddr) -> Option<String> {
        let code: &str = self
            .value(ip, &["country", "iso_code"])
            .or_else(|| self.value(ip, &["country_code"]))?;
        let well_formed = code.len() == 2 && code.bytes().all(|b| b.is_ascii_alphabetic());
        well_formed.then(|| code.to_ascii_uppercase())
    }

    /// The autonomous system; 0 is reserved (RFC 7607) and means none.
    pub fn asn(&self, ip: IpAddr) -> Option<u32> {
        self.value(ip, &["autonomous_system_number"])
            .filter(|number| *number != 0)
    }

    fn value<'a, T: serde::Deserialize<'a>>(&'a self, ip: IpAddr, path: &[&str]) -> Option<T> {
        let path: Vec<PathElement<'_>> = path.iter().map(|key| PathElement::Key(key)).collect();
        let found = self.0.lookup(ip.to_canonical()).ok()?;
        found.decode_path(&path).ok().flatten()
    }
}

/// What a page says of a country.
pub fn sentence(country: &str) -> String {
    format!("The request came from a network in {country}.")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        mmdb::{Value, database},
        *,
    };

    fn country(code: &'static str) -> Value {
        Value::Map(vec![(
            "country",
            Value::Map(vec![("iso_code", Value::Text(code))]),
        )])
    }

    #[test]
    fn addresses_have_countries_and_networks() {
        let geo = Geo::read(database(&[
            ("192.0.2.0/24", country("de")),
            (
                "198.51.100.0/24",
                Value::Map(vec![("country_code", Value::Text("FR"))]),
            ),
            ("203.0.113.0/25", country("")),
            ("203.0.113.128/25", Value::Text("junk")),
            (
                "2001:db8::/32",
                Value::Map(vec![
                    ("autonomous_system_number", Value::Number(64500)),
                    ("autonomous_system_organization", Value::Text("Example")),
                ]),
            ),
            (
                "2001:db9::/32",
                Value::Map(vec![("autonomous_system_number", Value::Number(0))]),
            ),
        ]))
        .unwrap();
        #[rustfmt::skip]
        let rows = [
            ("192.0.2.9",             Some("DE"), None),
            ("::ffff:192.0.2.9",      Some("DE"), None),
            ("198.51.100.1",          Some("FR"), None),
            ("203.0.113.1",           None,       None),
            ("203.0.113.200",         None,       None),
            ("10.0.0.1",              None,       None),
            ("2001:db8:1::1",         None,       Some(64500)),
            ("2001:db9::1",           None,       None),
            ("2001:dba::1",           None,       None),
        ];
        for (text, expected, asn) in rows {
            let ip: IpAddr = text.parse().unwrap();
            assert_eq!(geo.country(ip).as_deref(), expected, "{text}");
            assert_eq!(geo.asn(ip), asn, "{text}");
        }
        assert_eq!(geo.database_type(), "Test");
        assert_eq!(geo.built_at_s(), 0x6900_0000);
        assert!(sentence("DE").contains("DE"));
    }

    #[test]
    fn what_is_not_a_database_is_refused() {
        let whole = database(&[("192.0.2.0/24", country("DE"))]);
        for bytes in [&b""[..], b"junk", &whole[..whole.len() / 2]] {
            assert!(Geo::read(bytes.to_vec()).is_err());
        }
    }

    proptest! {
        /// A file that was damaged on the way answers wrongly at worst; it does not take us down.
        #[test]
        fn damaged_files_never_panic(at in 0_usize..1_500, byte: u8, ip: u32) {
            let mut bytes = database(&[("192.0.2.0/24", country("DE")), ("0.0.0.0/2", country("US"))]);
            let length = bytes.len();
            bytes[at % length] = byte;
            if let Ok(geo) = Geo::read(bytes) {
                for ip in [ip, 0xc000_0201, 1] {
                    let _ = (geo.country(IpAddr::from(ip.to_be_bytes())), geo.asn(IpAddr::from(ip.to_be_bytes())));
                }
            }
        }
    }
}
