//! Targets. A stranger's text is judged on its octets before any parser touches it (F9), and the
//! parser must then agree.

use url::{Host, Url};

const URL_BYTES_MAX: usize = 2048;
/// Endings that no public document can have.
const PRIVATE_SUFFIXES: [&str; 5] = [".localhost", ".local", ".internal", ".onion", ".home.arpa"];

/// Which rule a stranger's URL broke.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum StrangerUrlError {
    /// Address, number, single label, private name.
    #[error("the host must be a public DNS name")]
    Host,
    /// White space, control characters, backslash, not ASCII, or not a URL.
    #[error("not a plain ASCII URL")]
    NotAUrl,
    /// Another scheme.
    #[error("only https URLs are fetched")]
    NotHttps,
    /// F14.
    #[error("the port must be 443 or above 1023")]
    Port,
    /// A fragment.
    #[error("a fragment is not fetched")]
    Fragment,
    /// Too long.
    #[error("longer than 2048 bytes")]
    TooLong,
    /// `@` in the authority, also with nothing before it.
    #[error("a user name must not be there")]
    Userinfo,
}

/// Where a stranger wants us to look: `https`, a public DNS name, a GET.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StrangerUrl {
    raw: String,
    host: String,
    port: u16,
    target: String,
    loopback: bool,
}

impl StrangerUrl {
    /// Parse, or say which rule the text broke.
    pub fn parse(raw: &str) -> Result<Self, StrangerUrlError> {
        Self::parse_with(raw, &[])
    }

    /// The same, where exactly these origins may be on loopback.
    pub(crate) fn parse_with(raw: &str, loopback: &[String]) -> Result<Self, StrangerUrlError> {
        use StrangerUrlError as E;
        if raw.len() > URL_BYTES_MAX {
            return Err(E::TooLong);
        }
        if !raw
            .bytes()
            .all(|byte| matches!(byte, 0x21..=0x7e) && byte != b'\\')
        {
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
        let url = Url::parse(raw).map_err(|_| E::NotAUrl)?;
        let origin = raw
            .get(.."https://".len() + authority.len())
            .unwrap_or_default();
        let is_loopback = loopback.iter().any(|allowed| allowed == origin);
        let host = if is_loopback {
            url.host_str().ok_or(E::Host)?.to_owned()
        } else {
            public_name(&url, authority).ok_or(E::Host)?
        };
        let port = url.port_or_known_default().ok_or(E::Port)?;
        if port != 443 && port < 1024 && !is_loopback {
            return Err(E::Port);
        }
        let query = url
            .query()
            .map(|query| format!("?{query}"))
            .unwrap_or_default();
        let target = format!("{}{query}", url.path());
        Ok(Self {
            raw: raw.to_owned(),
            host,
            port,
            target,
            loopback: is_loopback,
        })
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        &self.raw
    }

    /// Host.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Port.
    pub fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn target(&self) -> &str {
        &self.target
    }

    pub(crate) fn is_loopback(&self) -> bool {
        self.loopback
    }
}

/// F7, F8: a DNS name with a dot, written as it is, not a number in any spelling.
fn public_name(url: &Url, authority: &str) -> Option<String> {
    let Some(Host::Domain(name)) = url.host() else {
        return None;
    };
    let written = authority
        .rsplit_once(':')
        .map_or(authority, |(host, _)| host);
    let last = name.rsplit('.').next().unwrap_or_default();
    let good = written.eq_ignore_ascii_case(name)
        && name.contains('.')
        && !name.ends_with('.')
        && !last.bytes().all(|byte| byte.is_ascii_digit())
        && !PRIVATE_SUFFIXES.iter().any(|suffix| name.ends_with(suffix));
    good.then(|| name.to_owned())
}

/// Not an operator's URL.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not an absolute http or https URL without user name and fragment")]
pub struct OperatorUrlError;

/// A target from configuration: trusted, and still one exact origin. There is no way from a
/// [`StrangerUrl`] to this.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OperatorUrl {
    raw: String,
    host: String,
    port: u16,
    target: String,
    tls: bool,
}

impl OperatorUrl {
    /// Parse.
    pub fn parse(raw: &str) -> Result<Self, OperatorUrlError> {
        let url = Url::parse(raw).map_err(|_| OperatorUrlError)?;
        let tls = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(OperatorUrlError),
        };
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return Err(OperatorUrlError);
        }
        let query = url
            .query()
            .map(|query| format!("?{query}"))
            .unwrap_or_default();
        Ok(Self {
            host: url.host_str().ok_or(OperatorUrlError)?.to_owned(),
            port: url.port_or_known_default().ok_or(OperatorUrlError)?,
            target: format!("{}{query}", url.path()),
            raw: raw.to_owned(),
            tls,
        })
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        &self.raw
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn target(&self) -> &str {
        &self.target
    }

    pub(crate) fn is_tls(&self) -> bool {
        self.tls
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// F7, F8, F9, F14, CIMD-83: one row, one rule.
    #[test]
    fn stranger_url_rules() {
        use StrangerUrlError as E;
        #[rustfmt::skip]
        let rows = [
            ("https://app.example.com/a?b",           None),
            ("https://app.example.com",               None),
            ("https://app.example.com:8443/a",        None),
            ("http://app.example.com/a",              Some(E::NotHttps)),
            ("gopher://app.example.com/a",            Some(E::NotHttps)),
            ("javascript:alert(1)",                   Some(E::NotHttps)),
            ("https:/app.example.com/a",              Some(E::NotHttps)),
            ("https://app.example.com:6379/a",        None),
            ("https://app.example.com:25/a",          Some(E::Port)),
            ("https://app.example.com:0/a",           Some(E::Port)),
            ("https://app.example.com/a#",            Some(E::Fragment)),
            ("https://@app.example.com/a",            Some(E::Userinfo)),
            ("https://good@127.0.0.1/a",              Some(E::Userinfo)),
            ("https://good\\@169.254.169.254/",       Some(E::NotAUrl)),
            ("https://app.example.com/\n",            Some(E::NotAUrl)),
            ("https://ⓛocalhost/",                    Some(E::NotAUrl)),
            ("https://127.0.0.1/",                    Some(E::Host)),
            ("https://[64:ff9b::a9fe:a9fe]/",         Some(E::Host)),
            ("https://2130706433/",                   Some(E::Host)),
            ("https://0x7f000001/",                   Some(E::Host)),
            ("https://0177.0.0.1/",                   Some(E::Host)),
            ("https://127.1/",                        Some(E::Host)),
            ("https://0/",                            Some(E::Host)),
            ("https://localhost/",                    Some(E::Host)),
            ("https://a.localhost/",                  Some(E::Host)),
            ("https://metadata.google.internal/",     Some(E::Host)),
            ("https://intranet/",                     Some(E::Host)),
            ("https://%6cocalhost.example.com/",      Some(E::Host)),
        ];
        for (raw, broken) in rows {
            assert_eq!(StrangerUrl::parse(raw).err(), broken, "{raw}");
        }
        let origins = ["https://localhost:9443".to_owned()];
        assert!(
            StrangerUrl::parse_with("https://localhost:9443/a", &origins)
                .unwrap()
                .is_loopback()
        );
        assert!(StrangerUrl::parse_with("https://localhost:9444/a", &origins).is_err());
        assert!(
            StrangerUrl::parse_with("https://localhost:9443.evil.example/a", &origins).is_err()
        );
    }

    proptest! {
        #[test]
        fn parsing_never_panics(raw in ".{0,200}") {
            let _ = StrangerUrl::parse(&raw);
            let _ = OperatorUrl::parse(&raw);
        }
    }
}
