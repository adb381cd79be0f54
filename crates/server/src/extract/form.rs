//! Forms and queries as pairs, decoded once, strictly: one media type, UTF-8, no U+0000. Which
//! parameter may repeat is the protocol's business.

use axum::{
    extract::{FromRequest, Request},
    http::{HeaderMap, StatusCode, header},
    response::Response,
};

use crate::{
    App,
    extract::body::{self, BodyError},
    pages::malformed,
    surface::plain_error,
};

/// Name and value, in the order sent.
pub(crate) type Pairs = Vec<(String, String)>;

/// Why a form is none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum FormError {
    /// An escape is broken, the text is not UTF-8, or holds U+0000.
    Malformed,
    /// 408.
    Slow,
    /// 413.
    TooLarge,
    /// 415.
    WrongType,
}

impl FormError {
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::Slow => BodyError::Slow.status(),
            Self::TooLarge => BodyError::TooLarge.status(),
            Self::WrongType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        }
    }

    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Malformed => "the parameters are not valid UTF-8, or hold U+0000",
            Self::Slow => BodyError::Slow.text(),
            Self::TooLarge => "the request is too large",
            Self::WrongType => "the media type must be application/x-www-form-urlencoded",
        }
    }
}

/// A form of a program.
pub(crate) struct ProgramForm(pub(crate) Pairs);

impl FromRequest<App> for ProgramForm {
    type Rejection = Response;

    async fn from_request(request: Request, app: &App) -> Result<Self, Response> {
        let secret_in_query = request.uri().query().is_some_and(|query| {
            let pairs = decode(query.as_bytes()).unwrap_or_default();
            pairs
                .iter()
                .any(|(name, _)| name == "client_secret" || name == "client_assertion")
        });
        if secret_in_query {
            let text = "credentials must not be in the query";
            return Err(plain_error(
                StatusCode::UNAUTHORIZED,
                "invalid_client",
                text,
            ));
        }
        read(request, app)
            .await
            .map(Self)
            .map_err(|failure| plain_error(failure.status(), "invalid_request", failure.text()))
    }
}

/// A form of a page.
pub(crate) struct BrowserForm(pub(crate) Pairs);

impl FromRequest<App> for BrowserForm {
    type Rejection = Response;

    async fn from_request(request: Request, app: &App) -> Result<Self, Response> {
        let pairs = read(request, app).await;
        pairs.map(Self).map_err(|problem| malformed(app, problem))
    }
}

/// Read a form body.
async fn read(request: Request, app: &App) -> Result<Pairs, FormError> {
    if !is_form(request.headers()) {
        return Err(FormError::WrongType);
    }
    let body = body::read(request, app)
        .await
        .map_err(|failure| match failure {
            BodyError::Slow => FormError::Slow,
            BodyError::TooLarge => FormError::TooLarge,
        })?;
    decode(&body)
}

fn is_form(headers: &HeaderMap) -> bool {
    let value = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let essence = value
        .and_then(|value| value.split(';').next())
        .unwrap_or_default();
    essence
        .trim()
        .eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// The WHATWG decoder, but refusing what it would replace.
pub(crate) fn decode(bytes: &[u8]) -> Result<Pairs, FormError> {
    let mut pairs = Vec::new();
    for part in bytes
        .split(|byte| *byte == b'&')
        .filter(|part| !part.is_empty())
    {
        let at = part
            .iter()
            .position(|byte| *byte == b'=')
            .unwrap_or(part.len());
        let (name, value) = part.split_at(at);
        let value = value.get(1..).unwrap_or_default();
        pairs.push((unescape(name)?, unescape(value)?));
    }
    Ok(pairs)
}

fn unescape(bytes: &[u8]) -> Result<String, FormError> {
    let mut plain = Vec::with_capacity(bytes.len());
    let mut rest = bytes.iter().copied();
    while let Some(byte) = rest.next() {
        plain.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                let value = digit().zip(digit()).map(|(high, low)| high * 16 + low);
                value
                    .and_then(|value| u8::try_from(value).ok())
                    .ok_or(FormError::Malformed)?
            }
            other => other,
        });
    }
    let text = String::from_utf8(plain).map_err(|_| FormError::Malformed)?;
    if text.contains('\0') {
        Err(FormError::Malformed)
    } else {
        Ok(text)
    }
}

/// The first value of a name; empty is absent.
pub(crate) fn value(pairs: &Pairs, name: &str) -> Option<String> {
    let found = pairs
        .iter()
        .find(|(key, value)| key == name && !value.is_empty());
    found.map(|(_, value)| value.clone())
}

/// Does one of the names occur twice? A browser's form never does that, except for tick boxes.
pub(crate) fn repeats_any(pairs: &Pairs, names: &[&str]) -> bool {
    names.iter().any(|name| repeats(pairs, name))
}

/// Does a name occur twice?
pub(crate) fn repeats(pairs: &Pairs, name: &str) -> bool {
    pairs.iter().filter(|(key, _)| key == name).count() > 1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// P10, GEN-02: what other decoders repair is refused.
    #[test]
    fn forms_are_decoded_strictly() {
        let ok = |text: &str| decode(text.as_bytes()).unwrap();
        assert_eq!(
            ok("a=1&b=+%2B&&c&d="),
            [("a", "1"), ("b", " +"), ("c", ""), ("d", "")]
                .map(|(a, b)| (a.to_owned(), b.to_owned()))
        );
        for bad in [
            "a=%",
            "a=%2",
            "a=%zz",
            "a=%ff",
            "a=%00",
            "%00=a",
            "a=\u{0}",
            "a=%ed%a0%80",
        ] {
            assert_eq!(decode(bad.as_bytes()), Err(FormError::Malformed), "{bad:?}");
        }
        assert_eq!(decode(b"a=\xff"), Err(FormError::Malformed));
    }
}
