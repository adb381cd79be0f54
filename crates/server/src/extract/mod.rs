//! What handlers take from a request, and nothing else does: the client address, forms, bodies,
//! cookies, bearer tokens. Extractors refuse; they do not judge.

pub(crate) mod body;
pub(crate) mod cookies;
pub(crate) mod form;
pub(crate) mod source;

use axum::http::{HeaderMap, header};

/// The token of `Authorization: Bearer …`; any other scheme is none (GEN-17).
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim())
        .filter(|token| !token.is_empty())
}

/// The whole `Authorization` header; one that is not ASCII is there and wrong.
pub(crate) fn authorization(headers: &HeaderMap) -> Option<&str> {
    headers
        .get(header::AUTHORIZATION)
        .map(|value| value.to_str().unwrap_or("?"))
}
