//! A `client_id` that is the URL of a Client ID Metadata Document: its grammar, decided on the raw
//! string (draft-ietf-oauth-client-id-metadata-document, "Client Identifier"; threats F7 to F9).
//!
//! Holding a [`ClientIdUrl`] proves that the text met every rule. It says nothing about what is
//! served there, nor that we may connect to it: that is `fetch`. Strings are compared octet by
//! octet (CIMD-11); the parsed form is used to dial and to display only.

use url::{Host, Url};

/// Longest id (CIMD-15).
const ID_BYTES_MAX: usize = 2048;
/// Name endings that no public document can have (CIMD-15).
const PRIVATE_SUFFIXES: [&str; 6] = [
    ".localhost",
    ".local",
    ".internal",
    ".onion",
    ".home.arpa",
    ".test",
];

/// What an operator may switch.
#[derive(Clone, Copy, Debug)]
pub struct ClientIdUrlPolicy<'a> {
    /// `https://host/` counts (CIMD-06: off).
    pub allow_root_path: bool,
    /// `?query` counts (CIMD-09: on).
    pub allow_query: bool,
    /// Origins that may be `localhost` or an address; only for a loopback issuer.
    pub loopback_origins: &'a [String],
}

impl Default for ClientIdUrlPolicy<'_> {
    fn default() -> Self {
        Self {
            allow_root_path: false,
            allow_query: true,
            loopback_origins: &[],
        }
    }
}

/// Which rule the text broke.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ClientIdUrlError {
    /// CIMD-07.
    #[error("the client_id URL must not hold `.` or `..` path segments")]
    DotSegment,
    /// CIMD-10.
    #[error("the client_id URL must not hold a fragment")]
    Fragment,
    /// CIMD-15: address, single label, reserved name.
    #[error("the host of the client_id URL must be a public DNS name")]
    Host,
    /// CIMD-04, CIMD-06.
    #[error("the client_id URL must have a path")]
    NoPath,
    /// CIMD-15: not ASCII, white space, control characters, a backslash, a bad escape, not a URL.
    #[error("the client_id is not a plain ASCII URL")]
    NotAUrl,
    /// CIMD-01.
    #[error("the client_id URL must be https")]
    NotHttps,
    /// CIMD-15.
    #[error("the port of the client_id URL is not usable")]
    Port,
    /// CIMD-09.
    #[error("the client_id URL must not hold a query")]
    Query,
    /// CIMD-15.
    #[error("the client_id URL is longer than 2048 bytes")]
    TooLong,
    /// CIMD-02.
    #[error("the client_id URL must not hold a user name")]
    Userinfo,
}

/// A Client Identifier URL.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct ClientIdUrl {
    raw: String,
    host: String,
    origin_length: usize,
}

impl ClientIdUrl {
    /// With the defaults.
    pub fn parse_default(raw: &str) -> Result<Self, ClientIdUrlError> {
        Self::parse(raw, &ClientIdUrlPolicy::default())
    }

    /// Parse, or say which rule the text broke.
    pub fn parse(raw: &str, policy: &ClientIdUrlPolicy<'_>) -> Result<Self, ClientIdUrlError> {
        use ClientIdUrlError as E;
        if raw.len() > ID_BYTES_MAX {
            return Err(E::TooLong);
        }
        let printable = raw
            .bytes()
            .all(|byte| matches!(byte, 0x21..=0x7e) && byte != b'\\');
        if !printable || !escapes_are_whole(raw) {
            return Err(E::NotAUrl);
        }
        let rest = raw.strip_prefix("https://").ok_or(E::NotHttps)?;
        if raw.contains('#') {
            return Err(E::Fragment);
        }
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        if authority.contains('@') {
            return Err(E::Userinfo);
        }
        let tail = rest.get(authority.len()..).unwrap_or_default();
        let (path, query) = tail
            .split_once('?')
            .map_or((tail, None), |(path, q)| (path, Some(q)));
        if path.is_empty() || (path == "/" && !policy.allow_root_path) {
            return Err(E::NoPath);
        }
        if path.split('/').any(is_dot_segment) {
            return Err(E::DotSegment);
        }
        if query.is_some() && !policy.allow_query {
            return Err(E::Query);
        }
        let url = Url::parse(raw).map_err(|_| E::NotAUrl)?;
        let origin_length = "https://".len() + authority.len();
        let origin = raw.get(..origin_length).unwrap_or_default();
        if !policy
            .loopback_origins
            .iter()
            .any(|allowed| allowed == origin)
        {
            check_host(&url, authority)?;
        }
        let host = url.host_str().ok_or(E::Host)?.to_owned();
        Ok(Self {
            raw: raw.to_owned(),
            host,
            origin_length,
        })
    }

    /// The octets received.
    pub fn as_str(&self) -> &str {
        &self.raw
    }

    /// Host, for people: lower case, punycode.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Scheme, host and port, as written.
    pub fn origin(&self) -> &str {
        self.raw.get(..self.origin_length).unwrap_or_default()
    }

    /// A document "built on request" never profits from lists (CIMD-09, threats F23).
    pub fn has_query(&self) -> bool {
        self.raw.contains('?')
    }
}

/// A public DNS name, and a port that can be one (threats F7, F14).
fn check_host(url: &Url, authority: &str) -> Result<(), ClientIdUrlError> {
    use ClientIdUrlError as E;
    let Some(Host::Domain(name)) = url.host() else {
        return Err(E::Host);
    };
    let written = authority
        .rsplit_once(':')
        .map_or(authority, |(host, _)| host);
    let last_label = name.rsplit('.').next().unwrap_or_default();
    let rules = [
        name.contains('.'),
        !name.ends_with('.'),
        !last_label.bytes().all(|byte| byte.is_ascii_digit()),
        !PRIVATE_SUFFIXES.iter().any(|suffix| name.ends_with(suffix)),
        // The parser decodes escapes in hosts; what it had to decode was hiding something (F8).
        written.eq_ignore_ascii_case(name),
    ];
    if rules.contains(&false) {
        return Err(E::Host);
    }
    match (url.port_or_known_default(), authority.rsplit_once(':')) {
        (Some(0) | None, _) => Err(E::Port),
        (_, Some((_, port))) if port.is_empty() || !port.bytes().all(|b| b.is_ascii_digit()) => {
            Err(E::Port)
        }
        _ => Ok(()),
    }
}

/// `.`, `..`, and their escaped spellings. Parsers collapse these before one can see them.
fn is_dot_segment(segment: &str) -> bool {
    let plain = segment.to_ascii_lowercase().replace("%2e", ".");
    plain == "." || plain == ".."
}

/// Every `%` is followed by two hexadecimal digits.
fn escapes_are_whole(text: &str) -> bool {
    text.split('%').skip(1).all(|after| {
        after
            .as_bytes()
            .first_chunk::<2>()
            .is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit))
    })
}

/// The registrable domain of a host (`app.example.co.uk` → `example.co.uk`), or the host itself
/// where there is none.
pub fn registrable_domain(host: &str) -> String {
    psl::domain_str(host).unwrap_or(host).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CIMD-01, CIMD-02, CIMD-03, CIMD-04, CIMD-06, CIMD-07, CIMD-08, CIMD-10, CIMD-15, F7, F8, F9:
    /// one row, one rule.
    #[test]
    fn client_id_url_rules() {
        use ClientIdUrlError as E;
        #[rustfmt::skip]
        let rows = [
            ("https://app.example.com/agent",              None),
            ("https://app.example.com:8443/agent?v=1",     None),
            ("https://app.example.com:443/agent",          None),
            ("https://APP.example.com/agent",              None),
            ("https://app.example.com/%7Eagent",           None),
            ("https://app.example.com/agent/",             None),
            ("https://xn--bcher-kva.example/agent",        None),
            ("http://app.example.com/agent",               Some(E::NotHttps)),
            ("HTTPS://app.example.com/agent",              Some(E::NotHttps)),
            ("ftp://app.example.com/agent",                Some(E::NotHttps)),
            ("https:/app.example.com/agent",               Some(E::NotHttps)),
            ("https://app.example.com",                    Some(E::NoPath)),
            ("https://app.example.com?x=1",                Some(E::NoPath)),
            ("https://app.example.com/",                   Some(E::NoPath)),
            ("https://app.example.com/a#top",              Some(E::Fragment)),
            ("https://app.example.com/a#",                 Some(E::Fragment)),
            ("https://me:pw@app.example.com/a",            Some(E::Userinfo)),
            ("https://me@app.example.com/a",               Some(E::Userinfo)),
            ("https://@app.example.com/a",                 Some(E::Userinfo)),
            ("https://app.example.com/a/../b",             Some(E::DotSegment)),
            ("https://app.example.com/./b",                Some(E::DotSegment)),
            ("https://app.example.com/%2e%2E/b",           Some(E::DotSegment)),
            ("https://app.example.com/.%2e/b",             Some(E::DotSegment)),
            ("https://app.example.com/%2E/b",              Some(E::DotSegment)),
            ("https://app.example.com/b/..",               Some(E::DotSegment)),
            ("https://good\\@169.254.169.254/a",           Some(E::NotAUrl)),
            ("https://app.example.com/a b",                Some(E::NotAUrl)),
            ("https://app.example.com/\ta",                Some(E::NotAUrl)),
            (" https://app.example.com/a",                 Some(E::NotAUrl)),
            ("https://app.example.com/é",                  Some(E::NotAUrl)),
            ("https://１２７.0.0.1/a",                       Some(E::NotAUrl)),
            ("https://app.example.com/%zz",                Some(E::NotAUrl)),
            ("https://app.example.com/%2",                 Some(E::NotAUrl)),
            ("https://127.0.0.1/a",                        Some(E::Host)),
            ("https://2130706433/a",                       Some(E::Host)),
            ("https://0x7f000001/a",                       Some(E::Host)),
            ("https://0177.0.0.1/a",                       Some(E::Host)),
            ("https://127.1/a",                            Some(E::Host)),
            ("https://[::1]/a",                            Some(E::Host)),
            ("https://localhost/a",                        Some(E::Host)),
            ("https://app.localhost/a",                    Some(E::Host)),
            ("https://printer.local/a",                    Some(E::Host)),
            ("https://metadata.google.internal/a",         Some(E::Host)),
            ("https://x.onion/a",                          Some(E::Host)),
            ("https://intranet/a",                         Some(E::Host)),
            ("https://app.example.com./a",                 Some(E::Host)),
            ("https://%6c%6fcalhost.example.com/a",        Some(E::Host)),
            ("https://app.example.com:0/a",                Some(E::Port)),
            ("https://app.example.com:/a",                 Some(E::Port)),
            ("https://app.example.com:99999/a",            Some(E::NotAUrl)),
            ("https:///a",                                 Some(E::NotAUrl)),
            ("app.example.com/a",                          Some(E::NotHttps)),
            ("",                                           Some(E::NotHttps)),
        ];
        for (raw, broken) in rows {
            let found = ClientIdUrl::parse_default(raw).err();
            if raw == "https:///a" {
                assert!(found.is_some(), "{raw}");
                continue;
            }
            assert_eq!(found, broken, "{raw}");
        }
        let long = format!("https://app.example.com/{}", "a".repeat(2048));
        assert_eq!(ClientIdUrl::parse_default(&long).err(), Some(E::TooLong));
    }

    /// CIMD-06, CIMD-09, CIMD-82: what an operator may switch.
    #[test]
    fn switches_change_single_rules() {
        let root = ClientIdUrlPolicy {
            allow_root_path: true,
            ..Default::default()
        };
        assert!(ClientIdUrl::parse("https://app.example.com/", &root).is_ok());
        let no_query = ClientIdUrlPolicy {
            allow_query: false,
            ..Default::default()
        };
        let found = ClientIdUrl::parse("https://app.example.com/a?x", &no_query);
        assert_eq!(found.err(), Some(ClientIdUrlError::Query));
        let origins = ["https://localhost:9443".to_owned()];
        let loopback = ClientIdUrlPolicy {
            loopback_origins: &origins,
            ..Default::default()
        };
        assert!(ClientIdUrl::parse("https://localhost:9443/a", &loopback).is_ok());
        assert!(ClientIdUrl::parse("https://localhost:9444/a", &loopback).is_err());
        assert!(ClientIdUrl::parse("https://localhost/a", &loopback).is_err());
    }

    /// CIMD-11, F25: two spellings are two clients.
    #[test]
    fn nothing_is_normalised() {
        let a = ClientIdUrl::parse_default("https://app.example.com/client").unwrap();
        let b = ClientIdUrl::parse_default("https://app.example.com:443/client").unwrap();
        assert_ne!(a, b);
        assert_eq!(b.origin(), "https://app.example.com:443");
        assert_eq!(b.host(), "app.example.com");
    }
}
