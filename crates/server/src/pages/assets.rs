//! The style sheet, under a name that changes with it, so that browsers may keep it for ever.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::LazyLock,
};

use axum::{
    extract::{Path, State, rejection::PathRejection},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};

use crate::{App, pages::not_found_page};

const STYLE: &str = include_str!("../../templates/style.css");

static STYLE_NAME: LazyLock<String> = LazyLock::new(|| {
    let mut hasher = DefaultHasher::new();
    STYLE.hash(&mut hasher);
    format!("style-{:016x}.css", hasher.finish())
});

/// Its name today.
pub(crate) fn style_name() -> &'static str {
    &STYLE_NAME
}

pub(crate) async fn show(
    State(app): State<App>,
    name: Result<Path<String>, PathRejection>,
) -> Response {
    if !name.is_ok_and(|Path(name)| name == style_name()) {
        return not_found_page(&app);
    }
    let mut answer = STYLE.into_response();
    let headers = answer.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/css; charset=utf-8"),
    );
    let caching = HeaderValue::from_static("public, max-age=31536000, immutable");
    headers.insert(header::CACHE_CONTROL, caching);
    answer
}
