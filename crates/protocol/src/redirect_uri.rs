//! Redirect URIs: what may be registered, and the one function that matches.
//!
//! Matching is byte equality (RFC 9700 §2.1) with one exception: the port of a loopback redirect
//! (RFC 8252 §7.3, for `localhost` too by RFC 9700 §4.1.3). No patterns, no prefixes, no
//! normalisation. Only [`TrustedRedirect::matching`] makes a [`TrustedRedirect`], and only that can
//! be sent a browser; an error without one can only be shown on our own page (RFC 6749 §4.1.2.1).

#[cfg(test)]
mod tests;

use url::{Host, Url};

/// Longest redirect URI (DCR-31).
const URI_BYTES_MAX: usize = 2048;
/// Names that the response adds; a registered query must not hold them (threats A5).
const RESPONSE_NAMES: [&str; 6] = [
    "code",
    "state",
    "iss",
    "error",
    "error_description",
    "error_uri",
];
/// Schemes that are never an app's, whatever a list says (DCR-25, R1).
const FORBIDDEN_SCHEMES: [&str; 14] = [
    "javascript",
    "data",
    "file",
    "vbscript",
    "blob",
    "about",
    "ftp",
    "ws",
    "wss",
    "view-source",
    "filesystem",
    "intent",
    "chrome",
    "mailto",
];
/// Private-use schemes without a dot that known editors claim (RU-07, QUIRK-20).
const KNOWN_SCHEMES: [&str; 10] = [
    "cursor",
    "jetbrains",
    "mcpjam",
    "vscode",
    "vscode-insiders",
    "vscodium",
    "warp",
    "windsurf",
    "zed",
    "goose",
];

/// Which private-use schemes may be registered.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RedirectPolicy {
    /// Schemes without a dot. Schemes with a dot (reverse domain names) always may.
    pub private_schemes: Vec<String>,
}

impl Default for RedirectPolicy {
    fn default() -> Self {
        Self {
            private_schemes: KNOWN_SCHEMES.map(String::from).to_vec(),
        }
    }
}

/// Which rule the text broke.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RedirectUriError {
    /// RU-01.
    #[error("a redirect URI must not hold a fragment")]
    Fragment,
    /// RU-02, R2.
    #[error("http is only for 127.0.0.1, [::1] and localhost")]
    Http,
    /// RU-01, DCR-25.
    #[error("a redirect URI must be an absolute URI in plain ASCII")]
    NotAbsolute,
    /// A5.
    #[error(
        "the query of a redirect URI must not hold names of the response such as code or state"
    )]
    ResponseName,
    /// RU-07, R1.
    #[error("this scheme is neither https, http on loopback, nor a private-use scheme with a dot")]
    Scheme,
    /// DCR-31.
    #[error("a redirect URI must not be longer than 2048 bytes")]
    TooLong,
    /// DCR-25, R2.
    #[error("a redirect URI must not hold a user name")]
    Userinfo,
}

/// Where a redirect leads.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RedirectKind {
    /// A web server.
    Https,
    /// The person's own machine: any program there can listen.
    Loopback,
    /// A scheme that an app claimed: another app can claim it too.
    PrivateUse,
}

/// A redirect URI that may be registered.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RedirectUri {
    raw: String,
    kind: RedirectKind,
    display_host: String,
}

impl RedirectUri {
    /// Parse, or say which rule the text broke.
    pub fn parse(raw: &str, policy: &RedirectPolicy) -> Result<Self, RedirectUriError> {
        use RedirectUriError as E;
        if raw.len() > URI_BYTES_MAX {
            return Err(E::TooLong);
        }
        let plain = |byte: u8| matches!(byte, 0x21..=0x7e) && !b"\\\"<>^`{|}*".contains(&byte);
        if !raw.bytes().all(plain) {
            return Err(E::NotAbsolute);
        }
        if raw.contains('#') {
            return Err(E::Fragment);
        }
        let (scheme, rest) = raw.split_once(':').ok_or(E::NotAbsolute)?;
        let url = Url::parse(raw).map_err(|_| E::NotAbsolute)?;
        let authority = rest
            .strip_prefix("//")
            .map(|rest| rest.split(['/', '?']).next());
        if authority
            .flatten()
            .is_some_and(|authority| authority.contains('@'))
        {
            return Err(E::Userinfo);
        }
        let (kind, display_host) = match scheme {
            "https" => (
                RedirectKind::Https,
                web_host(&url, rest).ok_or(E::NotAbsolute)?,
            ),
            "http" => (RedirectKind::Loopback, loopback_host(raw).ok_or(E::Http)?),
            _ => {
                private_scheme(scheme, policy)?;
                (RedirectKind::PrivateUse, format!("{scheme}:"))
            }
        };
        let holds = |name: &str| url.query_pairs().any(|(key, _)| key == name);
        if RESPONSE_NAMES.into_iter().any(holds) {
            return Err(E::ResponseName);
        }
        Ok(Self {
            raw: raw.to_owned(),
            kind,
            display_host,
        })
    }

    /// Read one that was accepted before, under whatever list of schemes held then. Never for what a
    /// client sends.
    pub fn accepted_before(raw: &str) -> Option<Self> {
        let scheme = raw.split(':').next().unwrap_or_default().to_owned();
        let policy = RedirectPolicy {
            private_schemes: vec![scheme],
        };
        Self::parse(raw, &policy).ok()
    }

    /// As registered.
    pub fn as_str(&self) -> &str {
        &self.raw
    }

    /// Where it leads.
    pub fn kind(&self) -> RedirectKind {
        self.kind
    }

    /// Host (and port) for people, or `scheme:`.
    pub fn display_host(&self) -> &str {
        &self.display_host
    }

    /// Host without port, where there is one.
    pub fn host(&self) -> Option<String> {
        match self.kind {
            RedirectKind::PrivateUse => None,
            RedirectKind::Https | RedirectKind::Loopback => {
                Url::parse(&self.raw).ok()?.host_str().map(str::to_owned)
            }
        }
    }
}

fn web_host(url: &Url, rest: &str) -> Option<String> {
    let host = url.host()?;
    if !rest.starts_with("//") || rest.starts_with("///") {
        return None;
    }
    if let Host::Domain(name) = &host
        && (name.ends_with('.') || name.is_empty())
    {
        return None;
    }
    Some(
        url.port()
            .map_or_else(|| host.to_string(), |port| format!("{host}:{port}")),
    )
}

/// Host and port of an `http` loopback URI, decided on the raw text: scheme exactly `http`, host
/// exactly one of three, no user name, port 1 to 65535 if any (RU-06).
fn split_loopback(raw: &str) -> Option<(&str, Option<u16>, &str)> {
    let rest = raw.strip_prefix("http://")?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    let host = ["127.0.0.1", "[::1]", "localhost"]
        .into_iter()
        .find(|host| {
            authority
                .strip_prefix(host)
                .is_some_and(|p| p.is_empty() || p.starts_with(':'))
        })?;
    let port = match authority.get(host.len()..)?.strip_prefix(':') {
        None => None,
        Some(digits) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
            Some(digits.parse::<u16>().ok().filter(|port| *port > 0)?)
        }
        Some(_) => return None,
    };
    Some((host, port, tail))
}

fn loopback_host(raw: &str) -> Option<String> {
    let (host, port, _) = split_loopback(raw)?;
    Some(port.map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}

fn private_scheme(scheme: &str, policy: &RedirectPolicy) -> Result<(), RedirectUriError> {
    let grammar = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"+-.".contains(&c);
    let well_formed = scheme.bytes().all(grammar)
        && scheme
            .bytes()
            .next()
            .is_some_and(|c| c.is_ascii_lowercase());
    let listed = policy.private_schemes.iter().any(|known| known == scheme);
    let dotted = scheme.contains('.') && !scheme.starts_with('.') && !scheme.ends_with('.');
    let harmless = !FORBIDDEN_SCHEMES.contains(&scheme);
    if well_formed && harmless && (listed || dotted) {
        Ok(())
    } else {
        Err(RedirectUriError::Scheme)
    }
}

/// The one matching function (RU-03 to RU-06).
pub fn matches(registered: &RedirectUri, requested: &str) -> bool {
    if registered.raw == requested {
        return true;
    }
    if registered.kind != RedirectKind::Loopback {
        return false;
    }
    let plain = requested
        .bytes()
        .all(|byte| matches!(byte, 0x21..=0x7e) && byte != b'\\');
    let (Some((host, _, tail)), Some((asked_host, _, asked_tail))) =
        (split_loopback(&registered.raw), split_loopback(requested))
    else {
        return false;
    };
    // An empty path is `/`, for loopback only (QUIRK-23).
    let rooted = |tail: &str| {
        if tail.starts_with('/') {
            tail.to_owned()
        } else {
            format!("/{tail}")
        }
    };
    plain && !requested.contains('#') && host == asked_host && rooted(tail) == rooted(asked_tail)
}

/// Why there is nowhere to send the browser.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RedirectMismatch {
    /// RU-08.
    #[error("the client registered several redirect URIs, so the request must name one")]
    Ambiguous,
    /// RU-03.
    #[error("the redirect_uri is not one that the client registered")]
    NotRegistered,
}

/// A redirect URI that this client registered.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TrustedRedirect {
    raw: String,
    kind: RedirectKind,
    display_host: String,
    explicit: bool,
}

impl TrustedRedirect {
    /// The only way to get one from a request.
    pub fn matching(
        registered: &[RedirectUri],
        requested: Option<&str>,
    ) -> Result<Self, RedirectMismatch> {
        let Some(requested) = requested else {
            let [only] = registered else {
                return Err(RedirectMismatch::Ambiguous);
            };
            return Ok(Self::of(only, only.as_str(), false));
        };
        let found = registered.iter().find(|known| matches(known, requested));
        found
            .map(|known| Self::of(known, requested, true))
            .ok_or(RedirectMismatch::NotRegistered)
    }

    fn of(registered: &RedirectUri, raw: &str, explicit: bool) -> Self {
        let display_host = match registered.kind {
            RedirectKind::Loopback => loopback_host(raw),
            RedirectKind::Https | RedirectKind::PrivateUse => None,
        };
        Self {
            raw: raw.to_owned(),
            kind: registered.kind,
            display_host: display_host.unwrap_or_else(|| registered.display_host.clone()),
            explicit,
        }
    }

    /// As requested, with the actual port.
    pub fn as_str(&self) -> &str {
        &self.raw
    }

    /// Where it leads.
    pub fn kind(&self) -> RedirectKind {
        self.kind
    }

    /// For people (MCP-AS-27).
    pub fn display_host(&self) -> &str {
        &self.display_host
    }

    /// Whether the request named it (RU-10).
    pub fn was_explicit(&self) -> bool {
        self.explicit
    }

    /// `https://host:port` or `scheme:`, as a Content-Security-Policy source (GEN-21). That grammar
    /// knows no IPv6 literals, and browsers ignore what it does not know: then it is `http:`.
    pub fn csp_source(&self) -> String {
        match self.kind {
            RedirectKind::PrivateUse => self.display_host.clone(),
            RedirectKind::Https => format!("https://{}", self.display_host),
            RedirectKind::Loopback if self.display_host.starts_with('[') => "http:".to_owned(),
            RedirectKind::Loopback => format!("http://{}", self.display_host),
        }
    }

    /// The response: its own query is kept, the parameters are appended, nothing is replaced
    /// (GEN-20). `None` values are left out.
    pub fn with_response(&self, parameters: &[(&str, Option<&str>)]) -> String {
        let mut text = self.raw.clone();
        let mut separator = match self.raw.split_once('?') {
            None => "?",
            Some((_, "")) => "",
            Some(_) => "&",
        };
        for (name, value) in parameters {
            if let Some(value) = value {
                text.push_str(separator);
                separator = "&";
                text.push_str(name);
                text.push('=');
                text.extend(url::form_urlencoded::byte_serialize(value.as_bytes()));
            }
        }
        // A browser must not carry an old fragment over to the client (RU-11).
        text
    }
}
