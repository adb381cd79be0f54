//! Server metadata and keys: bytes that the engine keeps ready, with their entity tags (AS-06,
//! AS-15).

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use vestibule_engine::CachedDocument;

use crate::App;

/// Metadata follows the doors at once: revalidate always, cheaply (design section 4).
pub(crate) async fn metadata(State(app): State<App>, headers: HeaderMap) -> Response {
    answer(&app.engine.server_metadata(), &headers, "no-cache")
}

/// Keys are published before they are used (AS-14).
pub(crate) async fn jwks(State(app): State<App>, headers: HeaderMap) -> Response {
    answer(&app.engine.jwks(), &headers, "public, max-age=300")
}

fn answer(document: &CachedDocument, headers: &HeaderMap, caching: &'static str) -> Response {
    let known = headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .map(str::trim)
        .any(|tag| tag == "*" || tag.trim_start_matches("W/") == document.etag);
    let mut answer = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let mut answer = Body::from(document.body.to_vec()).into_response();
        let json = HeaderValue::from_static("application/json");
        answer.headers_mut().insert(header::CONTENT_TYPE, json);
        answer
    };
    let set = answer.headers_mut();
    set.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    if let Ok(tag) = HeaderValue::from_str(&document.etag) {
        set.insert(header::ETAG, tag);
    }
    answer
}
