//! The issuer: one string, byte-identical wherever it appears (RFC 8414 §2, RFC 9207).

use url::{Host, Url};

/// An issuer identifier.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Issuer {
    raw: String,
    origin: String,
    path: String,
    host: String,
    loopback: bool,
}

/// Which rule the text broke.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum IssuerError {
    /// Upper case, a default port, dot segments, a percent sign, or characters with a meaning for
    /// shells.
    #[error(
        "the issuer must be written plainly: lower case, no default port, no `.` segments, only letters, digits, `-._~/:[]`"
    )]
    NotPlain,
    /// Not a URL at all.
    #[error("the issuer must be a URL such as https://hub.example")]
    NotAUrl,
    /// Plain `http` on a host that is not loopback.
    #[error("the issuer must be https (http only for 127.0.0.1, [::1] and localhost)")]
    NotHttps,
    /// Query or fragment.
    #[error("the issuer must have neither query nor fragment")]
    QueryOrFragment,
    /// A slash at the end.
    #[error("the issuer must not end in a slash")]
    TrailingSlash,
    /// `user@host`.
    #[error("the issuer must not hold a user name")]
    Userinfo,
}

impl Issuer {
    /// Parse, strictly: clients compare issuers byte for byte (QUIRK-35), and what is published
    /// ends up in a shell or browser on somebody's desktop (threats P14).
    pub fn parse(raw: &str) -> Result<Self, IssuerError> {
        use IssuerError as E;
        let url = Url::parse(raw).map_err(|_| E::NotAUrl)?;
        let host = url.host().ok_or(E::NotAUrl)?;
        let loopback = match &host {
            Host::Domain(name) => *name == "localhost",
            Host::Ipv4(ip) => ip.is_loopback(),
            Host::Ipv6(ip) => ip.is_loopback(),
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._~/:[]".contains(c);
        let rules = [
            (raw.contains(['?', '#']), E::QueryOrFragment),
            (raw.contains('@'), E::Userinfo),
            (raw.ends_with('/'), E::TrailingSlash),
            (!raw.chars().all(plain), E::NotPlain),
            (
                url.scheme() != "https" && !(url.scheme() == "http" && loopback),
                E::NotHttps,
            ),
            // The parser adds the slash of an empty path; anything else it changed was not plain.
            (
                url.as_str() != raw && url.as_str() != format!("{raw}/"),
                E::NotPlain,
            ),
        ];
        if let Some((_, rule)) = rules.into_iter().find(|(broken, _)| *broken) {
            return Err(rule);
        }
        let path = if url.path() == "/" { "" } else { url.path() };
        let origin = raw.strip_suffix(path).unwrap_or(raw).to_owned();
        Ok(Self {
            host: host.to_string(),
            origin,
            path: path.to_owned(),
            loopback,
            raw: raw.to_owned(),
        })
    }

    /// As configured.
    pub fn as_str(&self) -> &str {
        &self.raw
    }

    /// Scheme, host and port.
    pub fn origin(&self) -> String {
        self.origin.clone()
    }

    /// Host without port.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// `""` or `/tenant`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// On this machine only.
    pub fn is_loopback(&self) -> bool {
        self.loopback
    }

    /// Whether it is `https`, so that cookies can be `Secure`.
    pub fn is_https(&self) -> bool {
        self.raw.starts_with("https:")
    }

    /// The issuer with a path behind it: `endpoint("/token")`.
    pub fn endpoint(&self, path: &str) -> String {
        format!("{}{path}", self.raw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// AS-01, GEN-01, MCP-AS-06, QUIRK-35, P14: one plain string.
    #[test]
    fn issuer_rules() {
        use IssuerError as E;
        #[rustfmt::skip]
        let rows = [
            ("https://as.example",               None),
            ("https://as.example/t1",            None),
            ("https://as.example:8443",          None),
            ("http://127.0.0.1:9400",            None),
            ("http://localhost:9400",            None),
            ("http://[::1]:9400",                None),
            ("http://as.example",                Some(E::NotHttps)),
            ("ftp://as.example",                 Some(E::NotHttps)),
            ("https://as.example/",              Some(E::TrailingSlash)),
            ("https://as.example/t1/",           Some(E::TrailingSlash)),
            ("https://as.example?x",             Some(E::QueryOrFragment)),
            ("https://as.example#",              Some(E::QueryOrFragment)),
            ("https://a@as.example",             Some(E::Userinfo)),
            ("https://AS.example",               Some(E::NotPlain)),
            ("https://as.example:443",           Some(E::NotPlain)),
            ("https://as.example/a/../b",        Some(E::NotPlain)),
            ("https://as.example/$(id)",         Some(E::NotPlain)),
            ("https://as.example/a;b",           Some(E::NotPlain)),
            ("as.example",                       Some(E::NotAUrl)),
            ("",                                 Some(E::NotAUrl)),
        ];
        for (raw, broken) in rows {
            assert_eq!(Issuer::parse(raw).err(), broken, "{raw}");
        }
        let tenant = Issuer::parse("https://as.example/t1").unwrap();
        assert_eq!(
            (tenant.origin().as_str(), tenant.path()),
            ("https://as.example", "/t1")
        );
        assert_eq!(tenant.endpoint("/token"), "https://as.example/t1/token");
    }
}
