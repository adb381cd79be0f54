//! What a fetch is for, what it brings back, and the ways it fails.
//!
//! Not here: what a status or a media type means. The callers decide that.

use bytes::Bytes;

/// What is fetched from a stranger; decides how much is read (threats F20, section 5 rule 1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Purpose {
    /// A client document: 5 kB (CIMD-84).
    Document,
    /// A key set: 64 KiB.
    Keys,
    /// A small text file that proves the control of a host: 4 KiB.
    Verification,
}

impl Purpose {
    /// The most octets of body that are accepted.
    pub const fn body_bytes_max(self) -> usize {
        match self {
            Self::Document => 5 * 1024,
            Self::Keys => 64 * 1024,
            Self::Verification => 4 * 1024,
        }
    }

    /// The media types that the request asks for.
    pub(crate) const fn accept(self) -> &'static str {
        match self {
            Self::Document | Self::Keys => "application/json, application/cimd+json",
            Self::Verification => "text/plain",
        }
    }
}

/// An answer over HTTP. Every status arrives here, redirects included; none is followed (CIMD-44).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Fetched {
    /// HTTP status.
    pub status: u16,
    /// The whole body. From a stranger it is read for status 200 only and empty otherwise, so that
    /// a large error page is an error page and not "too large" (CIMD-18).
    pub body: Bytes,
    /// `Content-Type`, when there is exactly one.
    pub content_type: Option<String>,
    /// All `Cache-Control` lines, joined by commas.
    pub cache_control: Option<String>,
    /// `Age`, in seconds.
    pub age: Option<u64>,
    /// `Expires`, as sent.
    pub expires: Option<String>,
    /// `Date`, as sent.
    pub date: Option<String>,
    /// `Retry-After` in seconds; its other form, a date, is left out.
    pub retry_after: Option<u64>,
    /// A bot wall answered instead of the host (`cf-mitigated`).
    pub cf_mitigated: bool,
}

/// Why there is no answer.
///
/// To anybody outside, [`AddressRefused`](Self::AddressRefused) and
/// [`NameNotResolved`](Self::NameNotResolved) must be one and the same (threats F15); the caller
/// that talks to browsers (`cimd`) folds them. Here they differ, for the log.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum FetchError {
    /// The name leads to an address that strangers may not make us reach.
    #[error("the address is not one that may be connected to")]
    AddressRefused,
    /// Too many fetches are under way.
    #[error("too many fetches are under way")]
    Busy,
    /// Nobody answered at any of the addresses.
    #[error("no connection could be opened")]
    ConnectFailed,
    /// The one deadline over name, connection, TLS, headers and body passed.
    #[error("the deadline passed")]
    DeadlineExceeded,
    /// The body came with a content or transfer coding (F21).
    #[error("the answer is compressed")]
    Encoded,
    /// The name has no address.
    #[error("the name has no address")]
    NameNotResolved,
    /// Not HTTP/1.1, or cut short.
    #[error("the answer is not proper HTTP")]
    Protocol,
    /// Certificate, name, validity or version of TLS (F18).
    #[error("the TLS handshake failed")]
    TlsFailed,
    /// More headers or body than are accepted (F20).
    #[error("the answer is too large")]
    TooLarge,
}

impl FetchError {
    /// True where nothing was learned about the document, so that a last good copy may stand in
    /// (threats F24). What the host itself answered, too large or compressed, is its answer.
    pub fn is_transport(&self) -> bool {
        match self {
            Self::AddressRefused
            | Self::Busy
            | Self::ConnectFailed
            | Self::DeadlineExceeded
            | Self::NameNotResolved
            | Self::Protocol
            | Self::TlsFailed => true,
            Self::Encoded | Self::TooLarge => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// F15: whoever sorts failures by class cannot tell "leads inward" from "leads nowhere".
    #[test]
    fn refused_and_unresolved_are_of_one_class() {
        assert!(FetchError::AddressRefused.is_transport());
        assert!(FetchError::NameNotResolved.is_transport());
        assert!(!FetchError::TooLarge.is_transport());
        assert!(!FetchError::Encoded.is_transport());
    }

    /// CIMD-84: five kilobytes of document.
    #[test]
    fn a_document_is_five_kilobytes_and_a_key_set_sixty_four() {
        assert_eq!(Purpose::Document.body_bytes_max(), 5_120);
        assert_eq!(Purpose::Keys.body_bytes_max(), 65_536);
        assert_eq!(Purpose::Verification.body_bytes_max(), 4_096);
    }
}
