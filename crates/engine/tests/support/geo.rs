//! A file of countries and networks in `MaxMind`'s format, for tests of signals.

use vestibule_policy::signals::geo::Geo;

#[path = "../../../policy/src/signals/geo/mmdb.rs"]
mod mmdb;

use mmdb::{Value, database};

/// What a record says of its addresses.
#[derive(Clone, Copy, Debug)]
pub enum Record {
    /// ISO 3166-1 alpha-2.
    Country(&'static str),
    /// The autonomous system.
    Asn(u32),
}

/// A file with these blocks.
pub fn geo(blocks: &[(&str, Record)]) -> Geo {
    let value = |record| match record {
        Record::Country(code) => {
            let code = Value::Map(vec![("iso_code", Value::Text(code))]);
            Value::Map(vec![("country", code)])
        }
        Record::Asn(number) => {
            Value::Map(vec![("autonomous_system_number", Value::Number(number))])
        }
    };
    let entries: Vec<_> = blocks
        .iter()
        .map(|(block, record)| (*block, value(*record)))
        .collect();
    Geo::read(database(&entries)).unwrap()
}
