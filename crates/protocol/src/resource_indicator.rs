//! Resource indicators (RFC 8707), with the tolerance that deployed clients need (QUIRK-25).

use url::Url;

use crate::scope::{ScopeSet, ScopeSpec};

const URI_BYTES_MAX: usize = 2048;

/// Not a resource indicator.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ResourceError {
    /// RFC 8707 §2.
    #[error("a resource must not hold a fragment")]
    Fragment,
    /// RFC 8707 §2; MCP resources are http(s).
    #[error("a resource must be an absolute http or https URL")]
    NotAbsolute,
    /// Our limit.
    #[error("a resource must not be longer than 2048 bytes")]
    TooLong,
    /// No user name belongs there.
    #[error("a resource must not hold a user name")]
    Userinfo,
}

/// The identifier of a protected resource, in the form it was written.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct ResourceUri {
    raw: String,
    canonical: String,
}

impl ResourceUri {
    /// Parse, or say which rule the text broke.
    pub fn parse(raw: &str) -> Result<Self, ResourceError> {
        use ResourceError as E;
        if raw.len() > URI_BYTES_MAX {
            return Err(E::TooLong);
        }
        if raw.contains('#') {
            return Err(E::Fragment);
        }
        if !raw
            .bytes()
            .all(|byte| matches!(byte, 0x21..=0x7e) && byte != b'\\')
        {
            return Err(E::NotAbsolute);
        }
        let url = Url::parse(raw).map_err(|_| E::NotAbsolute)?;
        if !matches!(url.scheme(), "http" | "https") || !raw.contains("://") {
            return Err(E::NotAbsolute);
        }
        if !url.username().is_empty() || url.password().is_some() || authority(raw).contains('@') {
            return Err(E::Userinfo);
        }
        // Scheme and host in lower case, no default port, no slash at the end: what two spellings
        // of one resource may differ in. Path and query stay as they are.
        let mut canonical = url.as_str().to_owned();
        if url.query().is_none() && canonical.ends_with('/') {
            canonical.pop();
        }
        Ok(Self {
            raw: raw.to_owned(),
            canonical,
        })
    }

    /// As written; the `aud` of tokens (QUIRK-28).
    pub fn as_str(&self) -> &str {
        &self.raw
    }

    /// The form that equivalent spellings share.
    pub fn canonical(&self) -> &str {
        &self.canonical
    }

    /// The same resource? Case of scheme and host, a default port, an empty path and one slash at
    /// the end do not matter; anything else does (RI-10: never a prefix).
    pub fn is_equivalent(&self, other: &Self) -> bool {
        self.canonical == other.canonical
    }
}

fn authority(raw: &str) -> &str {
    let rest = raw.split_once("://").map_or("", |(_, rest)| rest);
    rest.split(['/', '?']).next().unwrap_or_default()
}

/// A protected resource as configured.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ResourceSpec {
    /// Its identifier.
    pub uri: ResourceUri,
    /// For people.
    pub name: String,
    /// What it has.
    pub scopes: Vec<ScopeSpec>,
    /// Used when a client names no resource.
    pub default: bool,
}

impl ResourceSpec {
    /// The description of a scope.
    pub fn scope(&self, token: &str) -> Option<&ScopeSpec> {
        self.scopes.iter().find(|spec| spec.scope.as_str() == token)
    }

    /// What a client gets that asks for nothing (QUIRK-61).
    pub fn default_scopes(&self) -> ScopeSet {
        self.scopes
            .iter()
            .filter(|spec| spec.default)
            .map(|spec| spec.scope.clone())
            .collect()
    }
}

/// All protected resources.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Resources(Vec<ResourceSpec>);

impl Resources {
    /// Of these.
    pub fn new(resources: Vec<ResourceSpec>) -> Self {
        Self(resources)
    }

    /// The resource that this names, in any equivalent spelling.
    pub fn find(&self, uri: &ResourceUri) -> Option<&ResourceSpec> {
        self.0.iter().find(|spec| spec.uri.is_equivalent(uri))
    }

    /// The single resource under a bare origin, for clients that send the origin of a host in place
    /// of the resource's path (QUIRK-27). None for anything but an origin, for the origin itself
    /// being a resource, and where several are under it: never a guess, never a prefix (RI-10).
    pub fn single_under_origin(&self, uri: &ResourceUri) -> Option<&ResourceSpec> {
        let asked = Url::parse(&uri.canonical).ok()?;
        if asked.path() != "/" || asked.query().is_some() || self.find(uri).is_some() {
            return None;
        }
        let mut under = self.0.iter().filter(|spec| {
            Url::parse(&spec.uri.canonical).is_ok_and(|url| url.origin() == asked.origin())
        });
        match (under.next(), under.next()) {
            (Some(only), None) => Some(only),
            _ => None,
        }
    }

    /// What a client means that names none: the only one, or the configured default (QUIRK-26).
    pub fn fallback(&self) -> Option<&ResourceSpec> {
        match self.0.as_slice() {
            [only] => Some(only),
            several => several.iter().find(|spec| spec.default),
        }
    }

    /// All.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &ResourceSpec> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(raw: &str) -> ResourceUri {
        ResourceUri::parse(raw).unwrap()
    }

    /// RI-10, RI-11, QUIRK-25, QUIRK-38, MCP-AS-18: what may differ, and what may not.
    #[test]
    fn equivalent_spellings() {
        #[rustfmt::skip]
        let rows = [
            ("https://h.example",        "https://h.example/",           true),
            ("https://h.example/mcp",    "https://h.example/mcp/",       true),
            ("https://h.example/mcp",    "HTTPS://H.example/mcp",        true),
            ("https://h.example/mcp",    "https://h.example:443/mcp",    true),
            ("https://h.example/mcp",    "https://h.example/MCP",        false),
            ("https://h.example/mcp",    "https://h.example/mcp-evil",   false),
            ("https://h.example/mcp",    "https://h.example/mcp//",      false),
            ("https://h.example/mcp",    "https://h.example",            false),
            ("https://h.example/mcp",    "http://h.example/mcp",         false),
            ("https://h.example/mcp",    "https://h.example:8443/mcp",   false),
            ("https://h.example/mcp",    "https://h.example/mcp?x=1",    false),
            ("https://h.example/mcp",    "https://h.example.evil/mcp",   false),
        ];
        for (a, b, same) in rows {
            assert_eq!(uri(a).is_equivalent(&uri(b)), same, "{a} {b}");
            assert_eq!(uri(b).is_equivalent(&uri(a)), same, "{b} {a}");
        }
        assert_eq!(
            uri("HTTPS://H.example/mcp").as_str(),
            "HTTPS://H.example/mcp"
        );
    }

    /// QUIRK-27, RI-10: an origin stands for the one resource under it, and nothing else does.
    #[test]
    fn an_origin_stands_for_the_single_resource_under_it() {
        let spec = |raw: &str| ResourceSpec {
            uri: uri(raw),
            name: String::new(),
            scopes: vec![],
            default: false,
        };
        let known = Resources::new(vec![
            spec("https://one.example/mcp"),
            spec("https://two.example/a"),
            spec("https://two.example/b"),
            spec("https://root.example"),
            spec("https://port.example:8443/mcp"),
        ]);
        #[rustfmt::skip]
        let rows = [
            ("https://one.example",           Some("https://one.example/mcp")),
            ("https://one.example/",          Some("https://one.example/mcp")),
            ("HTTPS://ONE.example:443",       Some("https://one.example/mcp")),
            ("https://port.example:8443",     Some("https://port.example:8443/mcp")),
            ("http://one.example",            None),
            ("https://one.example:8443",      None),
            ("https://one.example/other",     None),
            ("https://one.example/mcp",       None),
            ("https://one.example/mcp/x",     None),
            ("https://one.example/?x=1",      None),
            ("https://one.example.evil",      None),
            ("https://evil.one.example",      None),
            ("https://two.example",           None),
            ("https://root.example",          None),
            ("https://port.example",          None),
            ("https://unknown.example",       None),
        ];
        for (asked, expected) in rows {
            let found = known.single_under_origin(&uri(asked));
            assert_eq!(found.map(|spec| spec.uri.as_str()), expected, "{asked}");
        }
    }

    /// RI-01, PRM-01: what is no resource.
    #[test]
    fn resource_rules() {
        use ResourceError as E;
        #[rustfmt::skip]
        let rows = [
            ("mcp.example",                E::NotAbsolute),
            ("",                           E::NotAbsolute),
            ("urn:x:y",                    E::NotAbsolute),
            ("https:h.example",            E::NotAbsolute),
            ("https://h.example/a b",      E::NotAbsolute),
            ("https://h.example/#x",       E::Fragment),
            ("https://h.example/#",        E::Fragment),
            ("https://u@h.example/",       E::Userinfo),
            ("https://@h.example/",        E::Userinfo),
        ];
        for (raw, broken) in rows {
            assert_eq!(ResourceUri::parse(raw).err(), Some(broken), "{raw}");
        }
    }

    /// RI-04, QUIRK-26: without a name it is the only one, or the default, or none.
    #[test]
    fn the_fallback_is_never_a_guess() {
        let spec = |raw: &str, default| ResourceSpec {
            uri: uri(raw),
            name: String::new(),
            scopes: vec![],
            default,
        };
        let (a, b) = ("https://a.example/m", "https://b.example/m");
        let found = |list: Vec<ResourceSpec>| {
            Resources::new(list)
                .fallback()
                .map(|spec| spec.uri.as_str().to_owned())
        };
        assert_eq!(found(vec![]), None);
        assert_eq!(found(vec![spec(a, false)]).as_deref(), Some(a));
        assert_eq!(found(vec![spec(a, false), spec(b, false)]), None);
        assert_eq!(
            found(vec![spec(a, false), spec(b, true)]).as_deref(),
            Some(b)
        );
    }
}
