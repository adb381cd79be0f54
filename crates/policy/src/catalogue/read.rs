//! The form of the file: each entry judged by the rules that the real thing would meet, each error
//! with the member that broke one.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;
use vestibule_protocol::{
    cimd_document,
    client_id_url::ClientIdUrl,
    client_metadata::DisplayName,
    json::Json,
    redirect_uri::{RedirectKind, RedirectPolicy, RedirectUri},
};

use super::{CatalogueError, ENTRIES_MAX, Entry};
use crate::signals::{homograph::KnownHost, lookalike::NameKeys};

/// Most elements of a list in an entry.
const LIST_MAX: usize = 100;
/// Version of the form.
const VERSION: u64 = 1;

/// What the file holds.
pub(super) struct Content {
    pub(super) serial: u64,
    pub(super) issued_at_s: u64,
    pub(super) entries: Vec<Entry>,
}

/// Read a payload.
pub(super) fn content(json: &[u8]) -> Result<Content, CatalogueError> {
    let members = Json::parse_object(json).map_err(|failure| file(&failure.to_string()))?;
    let reader = Reader {
        members: &members,
        entry: None,
    };
    reader.only(&["version", "serial", "issued_at", "entries"])?;
    if reader.number("version")? != VERSION {
        return Err(reader.wrong("version", "is not 1"));
    }
    let serial = reader.number("serial")?;
    if serial == 0 {
        return Err(reader.wrong("serial", "begins at 1"));
    }
    let issued_at_s = reader.number("issued_at")?;
    let list = members.get("entries").and_then(Json::as_array);
    let list = list.ok_or_else(|| reader.wrong("entries", "must be an array"))?;
    if list.is_empty() || list.len() > ENTRIES_MAX {
        return Err(reader.wrong("entries", "must hold 1 to 5000 entries"));
    }
    let entries: Result<Vec<Entry>, CatalogueError> = list
        .iter()
        .enumerate()
        .map(|(at, value)| entry(at, value))
        .collect();
    Ok(Content {
        serial,
        issued_at_s,
        entries: entries?,
    })
}

pub(super) fn file(message: &str) -> CatalogueError {
    CatalogueError {
        entry: None,
        member: "file".to_owned(),
        message: message.to_owned(),
    }
}

fn entry(at: usize, value: &Json) -> Result<Entry, CatalogueError> {
    let Some(members) = value.as_object() else {
        return Err(CatalogueError {
            entry: Some(at),
            member: "entry".to_owned(),
            message: "must be an object".to_owned(),
        });
    };
    let reader = Reader {
        members,
        entry: Some(at),
    };
    reader.only(&[
        "product",
        "vendor",
        "names",
        "cimd_ids",
        "https_redirects",
        "loopback_paths",
        "private_schemes",
        "document_hosts",
        "redirect_hosts",
        "egress",
        "first_seen",
        "source",
        "generic",
        "pinned",
    ])?;
    let names = reader.texts("names", is_name, "is not a name that pages show")?;
    if names.is_empty() {
        return Err(reader.wrong("names", "must hold at least one name"));
    }
    let cimd_ids = reader.texts("cimd_ids", is_document_id, "is not the URL of a document")?;
    let https_redirects = reader.texts("https_redirects", is_https, "is not an https redirect")?;
    let document_hosts = reader.texts("document_hosts", is_host, "is not a public host")?;
    let redirect_hosts = reader.texts("redirect_hosts", is_host, "is not a public host")?;
    let away = cimd_ids.iter().find(|id| {
        let host = ClientIdUrl::parse_default(id).map(|url| url.host().to_owned());
        !host.is_ok_and(|host| document_hosts.contains(&host))
    });
    if let Some(id) = away {
        return Err(reader.wrong(
            "cimd_ids",
            &format!("`{id}` is on none of its document_hosts"),
        ));
    }
    let hosts = all_hosts(&https_redirects, [&document_hosts, &redirect_hosts]);
    let egress = reader.texts("egress", |text| range(text).is_some(), "is not a range")?;
    let first_seen = reader.text("first_seen")?;
    if !is_date(&first_seen) {
        return Err(reader.wrong("first_seen", "is not a date (YYYY-MM-DD)"));
    }
    let vendor = reader.name("vendor")?;
    let vendor_keys = NameKeys::of(&vendor);
    let keys: Vec<NameKeys> = names.iter().map(|name| NameKeys::of(name)).collect();
    Ok(Entry {
        product: reader.name("product")?,
        vendor_signs: !keys.iter().any(|keys| keys.holds(&vendor_keys)),
        vendor_keys,
        vendor,
        loopback_paths: reader.texts("loopback_paths", is_path, "is not a path")?,
        private_schemes: reader.texts(
            "private_schemes",
            is_scheme,
            "is not a private-use scheme",
        )?,
        egress: egress.iter().filter_map(|text| range(text)).collect(),
        first_seen,
        source: reader.text("source")?,
        generic: reader.flag("generic")?,
        pinned: reader.pinned(&cimd_ids)?,
        keys,
        names,
        cimd_ids,
        https_redirects,
        document_hosts,
        redirect_hosts,
        known_hosts: hosts.iter().map(|host| KnownHost::of(host)).collect(),
        hosts,
    })
}

fn all_hosts(https_redirects: &[String], named: [&[String]; 2]) -> BTreeSet<String> {
    https_redirects
        .iter()
        .filter_map(|uri| RedirectUri::accepted_before(uri)?.host())
        .chain(named.into_iter().flatten().cloned())
        .collect()
}

struct Reader<'a> {
    members: &'a BTreeMap<String, Json>,
    entry: Option<usize>,
}

impl Reader<'_> {
    fn wrong(&self, member: &str, message: &str) -> CatalogueError {
        CatalogueError {
            entry: self.entry,
            member: member.to_owned(),
            message: message.to_owned(),
        }
    }

    fn only(&self, known: &[&str]) -> Result<(), CatalogueError> {
        match self
            .members
            .keys()
            .find(|name| !known.contains(&name.as_str()))
        {
            None => Ok(()),
            Some(name) => Err(self.wrong(name, "is not a member of the catalogue")),
        }
    }

    fn number(&self, member: &str) -> Result<u64, CatalogueError> {
        match self.members.get(member) {
            Some(Json::Number(number)) => number.as_u64(),
            _ => None,
        }
        .ok_or_else(|| self.wrong(member, "must be a whole number"))
    }

    fn text(&self, member: &str) -> Result<String, CatalogueError> {
        let text = self.members.get(member).and_then(Json::as_text);
        text.filter(|text| (1..=300).contains(&text.len()))
            .map(str::to_owned)
            .ok_or_else(|| self.wrong(member, "must be a text of 1 to 300 bytes"))
    }

    fn name(&self, member: &str) -> Result<String, CatalogueError> {
        let text = self.text(member)?;
        if is_name(&text) {
            Ok(text)
        } else {
            Err(self.wrong(member, "is not a name that pages show"))
        }
    }

    fn flag(&self, member: &str) -> Result<bool, CatalogueError> {
        match self.members.get(member) {
            None => Ok(false),
            Some(Json::Bool(value)) => Ok(*value),
            Some(_) => Err(self.wrong(member, "must be true or false")),
        }
    }

    /// A list of texts that all meet a rule; absent is empty.
    fn texts(
        &self,
        member: &str,
        rule: impl Fn(&str) -> bool,
        broken: &str,
    ) -> Result<Vec<String>, CatalogueError> {
        let Some(value) = self.members.get(member) else {
            return Ok(Vec::new());
        };
        let list = value
            .as_array()
            .ok_or_else(|| self.wrong(member, "must be an array of texts"))?;
        if list.len() > LIST_MAX {
            return Err(self.wrong(member, "must not hold more than 100 elements"));
        }
        let mut texts: Vec<String> = Vec::with_capacity(list.len());
        for value in list {
            let text = value
                .as_text()
                .ok_or_else(|| self.wrong(member, "must be an array of texts"))?;
            if !rule(text) {
                return Err(self.wrong(member, &format!("`{text}` {broken}")));
            }
            if texts.iter().any(|known| known == text) {
                return Err(self.wrong(member, &format!("`{text}` is there twice")));
            }
            texts.push(text.to_owned());
        }
        Ok(texts)
    }

    /// Documents by id, each valid as if it had been fetched.
    fn pinned(&self, ids: &[String]) -> Result<BTreeMap<String, String>, CatalogueError> {
        let Some(value) = self.members.get("pinned") else {
            return Ok(BTreeMap::new());
        };
        let documents = value
            .as_object()
            .ok_or_else(|| self.wrong("pinned", "must be an object of documents by id"))?;
        let mut pinned = BTreeMap::new();
        for (id, document) in documents {
            if !ids.contains(id) {
                return Err(self.wrong("pinned", &format!("`{id}` is not one of its cimd_ids")));
            }
            let text = document.to_text();
            cimd_document::read(text.as_bytes(), id, &RedirectPolicy::default())
                .map_err(|failure| self.wrong("pinned", &format!("`{id}`: {failure}")))?;
            pinned.insert(id.clone(), text);
        }
        Ok(pinned)
    }
}

fn is_name(text: &str) -> bool {
    DisplayName::sanitize(text).is_some_and(|name| name.as_str() == text)
}

/// A document "built on request" never profits from lists (CIMD-09, threats F23).
fn is_document_id(text: &str) -> bool {
    ClientIdUrl::parse_default(text).is_ok_and(|url| !url.has_query())
}

fn is_https(text: &str) -> bool {
    RedirectUri::parse(text, &RedirectPolicy::default())
        .is_ok_and(|uri| uri.kind() == RedirectKind::Https)
}

fn is_host(text: &str) -> bool {
    ClientIdUrl::parse_default(&format!("https://{text}/x")).is_ok_and(|url| url.host() == text)
}

fn is_path(text: &str) -> bool {
    let plain = |byte: u8| matches!(byte, 0x21..=0x7e) && !b"?#*".contains(&byte);
    text.starts_with('/') && text.bytes().all(plain)
}

fn is_scheme(text: &str) -> bool {
    RedirectUri::accepted_before(&format!("{text}://x"))
        .is_some_and(|uri| uri.kind() == RedirectKind::PrivateUse)
}

/// A range that one vendor can have: nobody gets headroom for a continent.
fn range(text: &str) -> Option<IpNet> {
    let net: IpNet = text.parse().ok()?;
    let narrow = match net {
        IpNet::V4(net) => net.prefix_len() >= 12,
        IpNet::V6(net) => net.prefix_len() >= 28,
    };
    (narrow && net.trunc() == net).then_some(net)
}

fn is_date(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let number = |part: &str, length: usize| -> Option<u32> {
        let digits = part.len() == length && part.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| part.parse().ok()).flatten()
    };
    match parts.as_slice() {
        [year, month, day] => {
            number(year, 4).is_some()
                && number(month, 2).is_some_and(|month| (1..=12).contains(&month))
                && number(day, 2).is_some_and(|day| (1..=31).contains(&day))
        }
        _ => false,
    }
}
