//! A strict reader of JSON that strangers send: bounded depth, no duplicate members at any level
//! (`serde_json::Value` would keep the last in silence), no U+0000, nothing behind the value
//! (threats F22).

use std::{collections::BTreeMap, fmt};

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// Deepest nesting.
const DEPTH_MAX: u8 = 16;

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    /// `[…]`
    Array(Vec<Self>),
    /// `true`, `false`
    Bool(bool),
    /// `null`
    Null,
    /// A number, as written by our own printer.
    Number(serde_json::Number),
    /// `{…}`
    Object(BTreeMap<String, Self>),
    /// `"…"`
    Text(String),
}

/// Not JSON that we read.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct JsonError(String);

impl Json {
    /// Read a whole text.
    pub fn parse(bytes: &[u8]) -> Result<Self, JsonError> {
        let text = std::str::from_utf8(bytes)
            .map_err(|_| JsonError("the body is not valid UTF-8".to_owned()))?;
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let value = Depth(DEPTH_MAX)
            .deserialize(&mut deserializer)
            .and_then(|value| deserializer.end().map(|()| value));
        value.map_err(|failure| JsonError(format!("not valid JSON: {failure}")))
    }

    /// Read a whole text that must be an object.
    pub fn parse_object(bytes: &[u8]) -> Result<BTreeMap<String, Self>, JsonError> {
        match Self::parse(bytes)? {
            Self::Object(members) => Ok(members),
            _ => Err(JsonError("the body must be a JSON object".to_owned())),
        }
    }

    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The elements, if it is an array.
    pub fn as_array(&self) -> Option<&[Self]> {
        match self {
            Self::Array(elements) => Some(elements),
            _ => None,
        }
    }

    /// The members, if it is an object.
    pub fn as_object(&self) -> Option<&BTreeMap<String, Self>> {
        match self {
            Self::Object(members) => Some(members),
            _ => None,
        }
    }

    /// Back to text, in one spelling.
    pub fn to_text(&self) -> String {
        self.to_value().to_string()
    }

    /// As `serde_json` sees it, for answers.
    pub fn to_value(&self) -> serde_json::Value {
        match self {
            Self::Array(elements) => elements.iter().map(Self::to_value).collect(),
            Self::Bool(value) => (*value).into(),
            Self::Null => serde_json::Value::Null,
            Self::Number(number) => number.clone().into(),
            Self::Object(members) => serde_json::Value::Object(
                members
                    .iter()
                    .map(|(name, value)| (name.clone(), value.to_value()))
                    .collect(),
            ),
            Self::Text(text) => text.as_str().into(),
        }
    }
}

struct Depth(u8);

impl<'de> DeserializeSeed<'de> for Depth {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Depth {
    fn deeper<E: de::Error>(&self) -> Result<Self, E> {
        self.0
            .checked_sub(1)
            .map(Self)
            .ok_or_else(|| E::custom("nested too deeply"))
    }
}

fn clean<E: de::Error>(text: &str) -> Result<(), E> {
    if text.contains('\0') {
        Err(E::custom("U+0000 is not accepted"))
    } else {
        Ok(())
    }
}

impl<'de> Visitor<'de> for Depth {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Json, E> {
        serde_json::Number::from_f64(value)
            .map(Json::Number)
            .ok_or_else(|| E::custom("a number is out of range"))
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Json, E> {
        clean(text)?;
        Ok(Json::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Json, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = sequence.next_element_seed(self.deeper()?)? {
            elements.push(element);
        }
        Ok(Json::Array(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut members = BTreeMap::new();
        while let Some(name) = map.next_key::<String>()? {
            clean(&name)?;
            let value = map.next_value_seed(self.deeper()?)?;
            if members.insert(name, value).is_some() {
                return Err(de::Error::custom("a member is there twice"));
            }
        }
        Ok(Json::Object(members))
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Depth(DEPTH_MAX).deserialize(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// CIMD-16, DCR-02, F22: what is refused before anything is believed.
    #[test]
    fn hostile_json_is_refused() {
        let deep = "[".repeat(100_000);
        let nested = format!("{}1{}", "[".repeat(17), "]".repeat(17));
        #[rustfmt::skip]
        let bad: [&[u8]; 15] = [
            b"", b" ", b"{", b"{}x", b"{\"a\":1,\"a\":2}", b"{\"x\":{\"a\":1,\"a\":1}}", b"\"\\u0000\"",
            b"{\"\\u0000\":1}", b"\"\xff\"", b"\xef\xbb\xbf{}", b"\"\\ud800\"", b"{'a':1}", b"[1,]",
            deep.as_bytes(), nested.as_bytes(),
        ];
        for bytes in bad {
            assert!(
                Json::parse(bytes).is_err(),
                "{:?}",
                String::from_utf8_lossy(&bytes[..bytes.len().min(40)])
            );
        }
        let digits = "9".repeat(400);
        assert!(Json::parse(digits.as_bytes()).is_err());
        for not_object in [&b"[]"[..], b"null", b"\"x\"", b"1"] {
            assert!(Json::parse_object(not_object).is_err());
        }
        assert!(Json::parse_object(b" {\"a\":[1,2.5,null,true,\"x\"]} ").is_ok());
    }

    proptest! {
        #[test]
        fn reading_never_panics(bytes: Vec<u8>) {
            let _ = Json::parse(&bytes);
        }
    }
}
