//! The two kinds of URL that are fetched, decided on the raw string (threats F7 to F9, F14).
//!
//! | Rule                                              | stranger           | operator            |
//! |---------------------------------------------------|--------------------|---------------------|
//! | printable ASCII of RFC 3986, at most 2048 bytes   | yes                | yes                 |
//! | no user name (also an empty one), no fragment     | yes                | yes                 |
//! | scheme                                            | `https`            | `https`, or `http` to loopback |
//! | host                                              | public DNS name    | any                 |
//! | port                                              | 443 or from 1024   | any but 0           |
//! | the parser reads the same host and port as we do  | yes                | yes                 |
//!
//! Both kinds hold the same parts inside and nothing turns one into the other (design invariant
//! 7). What is sent is cut from the raw string, so the octets that were judged are the octets on
//! the wire.
//!
//! Not here: whether the text is a good `client_id` (`protocol`), and addresses (the guard).

use std::{fmt, net::IpAddr};

use url::Url;

/// Longest URL, in bytes.
const URL_BYTES_MAX: usize = 2_048;

/// Name endings that no public host has (RFC 6761, RFC 6762, RFC 7686, RFC 8375, and
/// `.internal`, which ICANN reserved for private use).
const PRIVATE_SUFFIXES: [&str; 5] = [".localhost", ".local", ".internal", ".onion", ".home.arpa"];

/// Which rule the text broke.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum UrlError {
    /// `#`, also with nothing behind it.
    #[error("the URL must not hold a fragment")]
    Fragment,
    /// An address or a number in any form, a single label, a reserved name, or no name at all.
    #[error("the host of the URL must be a public DNS name")]
    Host,
    /// Not the characters or the shape of RFC 3986.
    #[error("the text is not a plain ASCII URL")]
    NotAUrl,
    /// Another scheme; plain http is for an operator's loopback only.
    #[error("the URL must be https")]
    NotHttps,
    /// Empty, 0, a leading zero, too large, or a port of another service.
    #[error("the port of the URL is not usable")]
    Port,
    /// Longer than 2048 bytes.
    #[error("the URL is longer than 2048 bytes")]
    TooLong,
    /// `@` before the path, also with nothing before it.
    #[error("the URL must not hold a user name")]
    Userinfo,
}

/// Why a text is no [`StrangerUrl`].
pub type StrangerUrlError = UrlError;
/// Why a text is no [`OperatorUrl`].
pub type OperatorUrlError = UrlError;

/// A URL that somebody unknown chose: https, a public DNS name, GET only.
///
/// Holding one says nothing about where the name leads; the guard decides that in the connector.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct StrangerUrl(Target);

impl StrangerUrl {
    /// Parse, or say which rule the text broke. No loopback: see
    /// [`Fetcher::parse_stranger_url`](crate::Fetcher::parse_stranger_url).
    pub fn parse(raw: &str) -> Result<Self, StrangerUrlError> {
        Self::parse_with(raw, &[])
    }

    /// As [`parse`](Self::parse); URLs of exactly these origins skip the rules for host and port.
    pub(crate) fn parse_with(
        raw: &str,
        loopback_origins: &[String],
    ) -> Result<Self, StrangerUrlError> {
        let target = Target::parse(raw)?;
        if !target.https {
            return Err(UrlError::NotHttps);
        }
        if !loopback_origins
            .iter()
            .any(|origin| origin == target.origin())
        {
            target.require_public()?;
        }
        Ok(Self(target))
    }

    /// The octets received.
    pub fn as_str(&self) -> &str {
        &self.0.raw
    }

    /// Host, in lower case.
    pub fn host(&self) -> &str {
        &self.0.host
    }

    /// Port, 443 where none is written.
    pub fn port(&self) -> u16 {
        self.0.port
    }

    pub(crate) fn target(&self) -> &Target {
        &self.0
    }
}

impl fmt::Display for StrangerUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// A URL from configuration. It may lead anywhere, but only to its one origin.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct OperatorUrl(Target);

impl OperatorUrl {
    /// Parse, or say which rule the text broke. Plain http is for loopback literals and
    /// `localhost` only, since credentials and keys travel here.
    pub fn parse(raw: &str) -> Result<Self, OperatorUrlError> {
        let target = Target::parse(raw)?;
        if !target.https && !target.is_loopback() {
            return Err(UrlError::NotHttps);
        }
        Ok(Self(target))
    }

    /// The octets received.
    pub fn as_str(&self) -> &str {
        &self.0.raw
    }

    /// Scheme, host and port, as written.
    pub fn origin(&self) -> &str {
        self.0.origin()
    }

    pub(crate) fn target(&self) -> &Target {
        &self.0
    }
}

impl fmt::Display for OperatorUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// Where a request goes and what it asks for.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Target {
    raw: String,
    origin_length: usize,
    /// Lower case, without the brackets of IPv6.
    pub(crate) host: String,
    /// The host, where it is an address.
    pub(crate) literal: Option<IpAddr>,
    pub(crate) https: bool,
    pub(crate) port: u16,
}

impl Target {
    fn parse(raw: &str) -> Result<Self, UrlError> {
        if raw.len() > URL_BYTES_MAX {
            return Err(UrlError::TooLong);
        }
        let (https, rest) = match (raw.strip_prefix("https://"), raw.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => return Err(UrlError::NotHttps),
        };
        if raw.contains('#') {
            return Err(UrlError::Fragment);
        }
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        if authority.contains('@') {
            return Err(UrlError::Userinfo);
        }
        let tail = rest.get(authority.len()..).unwrap_or_default();
        if !tail.bytes().all(is_uri_byte) || !escapes_are_whole(tail) {
            return Err(UrlError::NotAUrl);
        }
        let (host, port) = split_authority(authority)?;
        let default_port = if https { 443 } else { 80 };
        let port = port.map_or(Ok(default_port), parse_port)?;
        let host = host.to_ascii_lowercase();
        let literal = parse_literal(&host);
        let is_name = || host.split('.').all(is_label) && host.len() <= 253;
        if literal.is_none() && !is_name() {
            let plain = host.starts_with('[') || host.bytes().all(is_uri_byte);
            return Err(if plain {
                UrlError::Host
            } else {
                UrlError::NotAUrl
            });
        }
        // A second opinion: the parser that everybody else uses must have read the same.
        let url = Url::parse(raw).map_err(|_| UrlError::NotAUrl)?;
        if url.host_str() != Some(host.as_str())
            || url.port_or_known_default() != Some(port)
            || (url.scheme() == "https") != https
        {
            return Err(UrlError::Host);
        }
        Ok(Self {
            raw: raw.to_owned(),
            origin_length: raw.len().saturating_sub(tail.len()),
            host: host.trim_matches(['[', ']']).to_owned(),
            literal,
            https,
            port,
        })
    }

    /// Scheme, host and port, as written.
    pub(crate) fn origin(&self) -> &str {
        self.raw.get(..self.origin_length).unwrap_or_default()
    }

    /// Path and query, as written.
    pub(crate) fn request_target(&self) -> String {
        let tail = self.raw.get(self.origin_length..).unwrap_or_default();
        if tail.starts_with('/') {
            tail.to_owned()
        } else {
            format!("/{tail}")
        }
    }

    /// The `Host` header.
    pub(crate) fn host_header(&self) -> String {
        let host = match self.literal {
            Some(IpAddr::V6(ip)) => format!("[{ip}]"),
            _ => self.host.clone(),
        };
        match (self.https, self.port) {
            (true, 443) | (false, 80) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }

    /// A public DNS name, and a port that can be one (F7, F14).
    pub(crate) fn require_public(&self) -> Result<(), UrlError> {
        let labels = self.host.split('.').count();
        if self.literal.is_some() || labels < 2 || is_reserved(&self.host) {
            return Err(UrlError::Host);
        }
        if self.port == 443 || self.port >= 1024 {
            Ok(())
        } else {
            Err(UrlError::Port)
        }
    }

    /// `localhost`, a name below it (RFC 6761 §6.3), or a loopback address.
    pub(crate) fn is_loopback(&self) -> bool {
        self.literal.map_or_else(
            || self.host == "localhost" || self.host.ends_with(".localhost"),
            |ip| ip.is_loopback(),
        )
    }

    /// True for the bare origin.
    pub(crate) fn is_origin(&self) -> bool {
        self.origin_length == self.raw.len()
    }

    /// For the settings: a loopback origin as an operator writes it.
    pub(crate) fn parse_loopback_origin(raw: &str) -> Result<(), UrlError> {
        let target = Self::parse(raw)?;
        match (target.https, target.is_origin()) {
            (true, true) => Ok(()),
            (false, _) => Err(UrlError::NotHttps),
            (true, false) => Err(UrlError::NotAUrl),
        }
    }
}

/// A name below which a public host may publish records: as the host of a [`StrangerUrl`], but
/// labels may start with an underscore (RFC 8552 §1.1).
pub(crate) fn is_public_record_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let label = |label: &str| is_label(label.strip_prefix('_').unwrap_or(label));
    let top_is_a_number = |top: &str| top.bytes().all(|byte| byte.is_ascii_digit());
    name.len() <= 253
        && name.split('.').all(label)
        && !is_reserved(&name)
        && name
            .rsplit_once('.')
            .is_some_and(|(_, top)| !top_is_a_number(top))
}

/// Is or ends like a name that no public host has; in lower case.
fn is_reserved(host: &str) -> bool {
    PRIVATE_SUFFIXES
        .iter()
        .any(|suffix| host.ends_with(suffix) || suffix.get(1..) == Some(host))
}

/// Host (with the brackets of IPv6) and port as written.
fn split_authority(authority: &str) -> Result<(&str, Option<&str>), UrlError> {
    if authority.starts_with('[') {
        let end = authority.find(']').ok_or(UrlError::Host)?;
        let (host, rest) = authority.split_at_checked(end + 1).ok_or(UrlError::Host)?;
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err(UrlError::Host),
        };
    }
    Ok(authority
        .split_once(':')
        .map_or((authority, None), |(host, port)| (host, Some(port))))
}

/// Digits without a leading zero, 1 to 65535.
fn parse_port(text: &str) -> Result<u16, UrlError> {
    if text.starts_with('0') || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(UrlError::Port);
    }
    text.parse().map_err(|_| UrlError::Port)
}

/// An address in the one spelling that everybody reads alike.
fn parse_literal(host: &str) -> Option<IpAddr> {
    let bracketed = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    match bracketed {
        Some(inner) => inner.parse().ok().map(IpAddr::V6),
        None => host.parse().ok().map(IpAddr::V4),
    }
}

/// A DNS label: letters, digits and inner hyphens (RFC 1123 §2.1). The parser refuses the ones
/// that make a number of the whole name.
fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// A character of RFC 3986 that may stand in a path or a query (§3.3, §3.4).
fn is_uri_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~:/?@!$&'()*+,;=%".contains(&byte)
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

#[cfg(test)]
mod tests;
