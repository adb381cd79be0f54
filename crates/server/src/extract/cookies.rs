//! The two cookies: who is signed in, and which browser is about to.

use std::convert::Infallible;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderValue, header, request::Parts},
};
use vestibule_engine::{Browser, CookieChange, Cookies};

use crate::{App, extract::source};

const SESSION_SECONDS: u64 = 12 * 60 * 60;
const PRE_SESSION_SECONDS: u64 = 60 * 60;
const VALUE_CHARS_MAX: usize = 200;

const fn names(secure: bool) -> (&'static str, &'static str) {
    if secure {
        ("__Host-vst-session", "__Host-vst-pre")
    } else {
        ("vst-session", "vst-pre")
    }
}

/// A browser.
pub(crate) struct FromBrowser(pub(crate) Browser);

impl FromRequestParts<App> for FromBrowser {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        let source = source::From::from_request_parts(parts, app).await?.0;
        let (session, pre_session) = names(app.settings.secure_cookies);
        Ok(Self(Browser {
            source,
            session: read(&parts.headers, session),
            pre_session: read(&parts.headers, pre_session),
        }))
    }
}

/// The value of a cookie. Of several by one name none is believed (A12).
fn read(headers: &HeaderMap, name: &str) -> Option<String> {
    let all = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let mut found = all.flat_map(|list| list.split(';')).filter_map(|pair| {
        let (key, value) = pair.trim().split_once('=')?;
        (key == name).then_some(value)
    });
    let value = found.next()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let good = value.len() <= VALUE_CHARS_MAX && value.chars().all(plain) && found.next().is_none();
    good.then(|| value.to_owned())
}

/// `Set-Cookie` for what changed.
pub(crate) fn write(headers: &mut HeaderMap, cookies: &Cookies, secure: bool) {
    let (session, pre_session) = names(secure);
    let changes = [
        (session, &cookies.session, SESSION_SECONDS),
        (pre_session, &cookies.pre_session, PRE_SESSION_SECONDS),
    ];
    for (name, change, life) in changes {
        let (value, life) = match change {
            CookieChange::Keep => continue,
            CookieChange::Clear => ("", 0),
            CookieChange::Set(value) => (value.expose().as_str(), life),
        };
        let secure = if secure { "; Secure" } else { "" };
        let text =
            format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={life}{secure}");
        if let Ok(mut value) = HeaderValue::from_str(&text) {
            value.set_sensitive(true);
            headers.append(header::SET_COOKIE, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use vestibule_protocol::secret::Secret;

    use super::*;

    /// A12, MCP-SBP-03: `__Host-`, `Secure`, `HttpOnly`, `SameSite`; two by one name are none.
    #[test]
    fn cookies_are_locked_to_the_host() {
        let mut headers = HeaderMap::new();
        let set = CookieChange::Set(Secret::new("vss_x".to_owned()));
        write(
            &mut headers,
            &Cookies {
                session: set,
                pre_session: CookieChange::Clear,
            },
            true,
        );
        let lines: Vec<_> = headers
            .get_all(header::SET_COOKIE)
            .iter()
            .map(|v| v.to_str().unwrap())
            .collect();
        assert_eq!(
            lines,
            [
                "__Host-vst-session=vss_x; Path=/; HttpOnly; SameSite=Lax; Max-Age=43200; Secure",
                "__Host-vst-pre=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0; Secure",
            ]
        );
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, "a=b; vst-session=one; c=d".parse().unwrap());
        assert_eq!(read(&headers, "vst-session").as_deref(), Some("one"));
        headers.append(header::COOKIE, "vst-session=two".parse().unwrap());
        assert_eq!(read(&headers, "vst-session"), None);
    }
}
