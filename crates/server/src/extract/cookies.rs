//! The three cookies: who is signed in, which browser is about to be, and which request of it waits
//! for an admin.

use std::convert::Infallible;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderValue, header, request::Parts},
};
use vestibule_engine::{Browser, CookieChange, Cookies};

use crate::{App, extract::source};

/// One cookie: what it is called, how long it lives, and what it may hold.
struct Kind {
    /// Over plain http, where `Secure` cookies are not kept.
    name: &'static str,
    /// Over https: no other host and no page without TLS can plant it (A12).
    host_name: &'static str,
    life_seconds: u64,
    chars_max: usize,
}

const SESSION: Kind = Kind {
    name: "vst-session",
    host_name: "__Host-vst-session",
    life_seconds: 12 * 60 * 60,
    chars_max: 200,
};
const PRE_SESSION: Kind = Kind {
    name: "vst-pre",
    host_name: "__Host-vst-pre",
    life_seconds: 60 * 60,
    chars_max: 200,
};
/// A sealed request. Browsers keep 4,096 bytes of name, value and attributes together.
const WAITING: Kind = Kind {
    name: "vst-wait",
    host_name: "__Host-vst-wait",
    life_seconds: 30 * 60,
    chars_max: 3_900,
};

impl Kind {
    const fn name(&self, secure: bool) -> &'static str {
        if secure { self.host_name } else { self.name }
    }

    /// Its value. Of several by one name none is believed (A12).
    fn read(&self, headers: &HeaderMap, secure: bool) -> Option<String> {
        let all = headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok());
        let mut found = all.flat_map(|list| list.split(';')).filter_map(|pair| {
            let (key, value) = pair.trim().split_once('=')?;
            (key == self.name(secure)).then_some(value)
        });
        let value = found.next()?;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        let good =
            value.len() <= self.chars_max && value.chars().all(plain) && found.next().is_none();
        good.then(|| value.to_owned())
    }
}

/// A browser.
pub(crate) struct FromBrowser(pub(crate) Browser);

impl FromRequestParts<App> for FromBrowser {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        let source = source::From::from_request_parts(parts, app).await?.0;
        let secure = app.settings.secure_cookies;
        Ok(Self(Browser {
            source,
            session: SESSION.read(&parts.headers, secure),
            pre_session: PRE_SESSION.read(&parts.headers, secure),
            waiting: WAITING.read(&parts.headers, secure),
        }))
    }
}

/// `Set-Cookie` for what changed.
pub(crate) fn write(headers: &mut HeaderMap, cookies: &Cookies, secure: bool) {
    let changes = [
        (&SESSION, &cookies.session),
        (&PRE_SESSION, &cookies.pre_session),
        (&WAITING, &cookies.waiting),
    ];
    for (kind, change) in changes {
        let (value, life) = match change {
            CookieChange::Keep => continue,
            CookieChange::Clear => ("", 0),
            CookieChange::Set(value) => (value.expose().as_str(), kind.life_seconds),
        };
        let name = kind.name(secure);
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

    fn set(value: &str) -> CookieChange {
        CookieChange::Set(Secret::new(value.to_owned()))
    }

    /// A12, MCP-SBP-03: `__Host-`, `Secure`, `HttpOnly`, `SameSite`; two by one name are none.
    #[test]
    fn cookies_are_locked_to_the_host() {
        let mut headers = HeaderMap::new();
        let changes = Cookies {
            session: set("vss_x"),
            pre_session: CookieChange::Clear,
            waiting: set("vti_x.y"),
        };
        write(&mut headers, &changes, true);
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
                "__Host-vst-wait=vti_x.y; Path=/; HttpOnly; SameSite=Lax; Max-Age=1800; Secure",
            ]
        );
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, "a=b; vst-session=one; c=d".parse().unwrap());
        assert_eq!(SESSION.read(&headers, false).as_deref(), Some("one"));
        assert_eq!(SESSION.read(&headers, true), None);
        headers.append(header::COOKIE, "vst-session=two".parse().unwrap());
        assert_eq!(SESSION.read(&headers, false), None);
    }

    /// Each cookie has its own bound, and the longest that is read fits into what a browser keeps.
    #[test]
    fn a_cookie_holds_no_more_than_its_kind_may() {
        for kind in [&SESSION, &PRE_SESSION, &WAITING] {
            for (value, good) in [
                ("a".repeat(kind.chars_max), true),
                ("a".repeat(kind.chars_max + 1), false),
                ("a.b_c-D9".to_owned(), true),
                (String::new(), true),
                ("a%00".to_owned(), false),
                ("a b".to_owned(), false),
                ("\"a\"".to_owned(), false),
            ] {
                let mut headers = HeaderMap::new();
                let line = format!("{}={value}", kind.host_name);
                headers.insert(header::COOKIE, line.parse().unwrap());
                let shown: String = line.chars().take(40).collect();
                assert_eq!(kind.read(&headers, true).is_some(), good, "{shown}");
            }
        }
        let mut headers = HeaderMap::new();
        let longest = Cookies {
            waiting: set(&"a".repeat(WAITING.chars_max)),
            ..Cookies::default()
        };
        write(&mut headers, &longest, true);
        assert!(headers[header::SET_COOKIE].len() <= 4_096);
    }
}
