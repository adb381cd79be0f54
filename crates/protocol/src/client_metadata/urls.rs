//! URLs inside metadata: absolute `https`, nothing that a browser could run (CIMD-26, R7).

use url::{Host, Url};

/// An absolute `https` URL.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct HttpsUrl {
    raw: String,
    host: String,
}

impl HttpsUrl {
    /// Parse; `None` for anything else.
    pub fn parse(raw: &str) -> Option<Self> {
        let plain = |byte: u8| matches!(byte, 0x21..=0x7e) && !b"\\\"<>`".contains(&byte);
        if raw.len() > 2048 || !raw.starts_with("https://") || !raw.bytes().all(plain) {
            return None;
        }
        let url = Url::parse(raw).ok()?;
        let authority = raw.get(8..)?.split(['/', '?', '#']).next()?;
        if authority.contains('@') {
            return None;
        }
        let host = match url.host()? {
            Host::Domain(name) if !name.is_empty() => name.to_owned(),
            Host::Domain(_) => return None,
            address @ (Host::Ipv4(_) | Host::Ipv6(_)) => address.to_string(),
        };
        Some(Self {
            raw: raw.to_owned(),
            host,
        })
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        &self.raw
    }

    /// Its host.
    pub fn host(&self) -> &str {
        &self.host
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R7, DCR-25, CIMD-26: a link is https or it is none.
    #[test]
    fn only_https_urls_are_links() {
        assert_eq!(
            HttpsUrl::parse("https://app.example/x?y#z").unwrap().host(),
            "app.example"
        );
        #[rustfmt::skip]
        let bad = [
            "javascript:alert(1)", "data:image/png;base64,x", "http://app.example", "//app.example",
            "https://u@app.example/", "https://", "https://a b/", "https://a\\b/", "https://a/\"x", "",
            "HTTPS://app.example", "https://app.example/<x>",
        ];
        for raw in bad {
            assert!(HttpsUrl::parse(raw).is_none(), "{raw}");
        }
    }
}
