//! Members of a JSON object, by name and type. Every refusal names the member.

use std::collections::BTreeMap;

use super::{HttpsUrl, MetadataDoor, MetadataError, Warning};
use crate::json::Json;

/// Longest text of any member, and of one that is opaque to us.
const TEXT_BYTES_MAX: usize = 2048;
const OPAQUE_BYTES_MAX: usize = 512;

/// Reads members and says which one is wrong.
pub(super) struct Reader<'a> {
    members: &'a BTreeMap<String, Json>,
    pub(super) door: MetadataDoor,
    pub(super) warnings: Vec<Warning>,
}

pub(super) fn wrong(name: &str, rule: &str) -> MetadataError {
    MetadataError::metadata(format!("{name}: {rule}"))
}

impl<'a> Reader<'a> {
    pub(super) fn new(members: &'a BTreeMap<String, Json>, door: MetadataDoor) -> Self {
        Self {
            members,
            door,
            warnings: Vec::new(),
        }
    }

    pub(super) fn is_document(&self) -> bool {
        self.door == MetadataDoor::Cimd
    }

    pub(super) fn warn(&mut self, text: impl Into<String>) {
        self.warnings.push(Warning(text.into()));
    }

    /// A member that a document can do without: nobody reads an answer to a document, so it is
    /// dropped and noted (CIMD-23, QUIRK-12). A registration is told.
    pub(super) fn optional<T: Default>(
        &mut self,
        read: Result<T, MetadataError>,
    ) -> Result<T, MetadataError> {
        match read {
            Err(failure) if self.is_document() => {
                self.warn(format!("{failure} (dropped)"));
                Ok(T::default())
            }
            read => read,
        }
    }

    /// Absent and `null` are the same; an empty text too (GEN-04).
    pub(super) fn get(&self, name: &str) -> Option<&'a Json> {
        self.members.get(name).filter(|value| match value {
            Json::Null => false,
            Json::Text(text) => !text.is_empty(),
            Json::Array(_) | Json::Bool(_) | Json::Number(_) | Json::Object(_) => true,
        })
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<&'a str>, MetadataError> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let text = value
            .as_text()
            .ok_or_else(|| wrong(name, "must be a string"))?;
        if text.len() > TEXT_BYTES_MAX {
            return Err(wrong(name, "is too long"));
        }
        Ok(Some(text))
    }

    /// A text that we only hand on.
    pub(super) fn opaque(&self, name: &str) -> Result<Option<String>, MetadataError> {
        let text = self.text(name)?;
        if text
            .is_some_and(|text| text.len() > OPAQUE_BYTES_MAX || text.chars().any(char::is_control))
        {
            return Err(wrong(
                name,
                "must be at most 512 bytes without control characters",
            ));
        }
        Ok(text.map(str::to_owned))
    }

    pub(super) fn texts(&self, name: &str) -> Result<Option<Vec<&'a str>>, MetadataError> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let elements = value
            .as_array()
            .ok_or_else(|| wrong(name, "must be an array of strings"))?;
        let texts: Option<Vec<_>> = elements.iter().map(Json::as_text).collect();
        texts
            .map(Some)
            .ok_or_else(|| wrong(name, "must be an array of strings"))
    }

    pub(super) fn flag(&self, name: &str) -> Result<bool, MetadataError> {
        match self.get(name) {
            None => Ok(false),
            Some(Json::Bool(value)) => Ok(*value),
            Some(_) => Err(wrong(name, "must be true or false")),
        }
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, MetadataError> {
        match self.get(name) {
            None => Ok(None),
            Some(Json::Number(number)) => number
                .as_u64()
                .map(Some)
                .ok_or_else(|| wrong(name, "must be a whole number")),
            Some(_) => Err(wrong(name, "must be a number")),
        }
    }

    pub(super) fn one_of(
        &self,
        name: &str,
        allowed: &[&str],
    ) -> Result<Option<String>, MetadataError> {
        match self.text(name)? {
            None => Ok(None),
            Some(value) if allowed.contains(&value) => Ok(Some(value.to_owned())),
            Some(_) => Err(wrong(
                name,
                &format!("must be one of {}", allowed.join(", ")),
            )),
        }
    }

    /// A link for people. In a document a bad one is dropped (CIMD-26): the person loses a link,
    /// not the client. A registration is told, except for plain `http`: local development
    /// registers such links, they are worth nothing to a person, and no reason to lose the client.
    pub(super) fn link(&mut self, name: &str) -> Result<Option<HttpsUrl>, MetadataError> {
        let read = self.text(name);
        if let Ok(Some(raw)) = read
            && raw.starts_with("http://")
        {
            self.warn(format!("{name}: is not https (dropped)"));
            return Ok(None);
        }
        let read = read.and_then(|raw| match raw {
            None => Ok(None),
            Some(raw) => HttpsUrl::parse(raw)
                .map(Some)
                .ok_or_else(|| wrong(name, "must be an https URL")),
        });
        self.optional(read)
    }

    /// Members `name#tag` (RFC 7591 §2.2): tag and value.
    pub(super) fn tagged(&self, name: &str) -> impl Iterator<Item = (&'a str, &'a Json)> {
        let prefix = format!("{name}#");
        self.members
            .iter()
            .filter_map(move |(member, value)| Some((member.strip_prefix(&prefix)?, value)))
    }
}
