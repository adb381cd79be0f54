//! What a route's surface adds: CORS for programs, security headers and CSRF checks for people,
//! and for all that an unknown host is misdirected.

use axum::{
    Json,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::{App, routes::Surface};

/// QUIRK-50.
const ALLOWED_HEADERS: HeaderValue = HeaderValue::from_static(
    "Content-Type, Authorization, MCP-Protocol-Version, Mcp-Method, Mcp-Name, DPoP",
);
const EXPOSED_HEADERS: HeaderValue =
    HeaderValue::from_static("WWW-Authenticate, DPoP-Nonce, Retry-After");

/// A JSON error without a problem behind it.
pub(crate) fn plain_error(status: StatusCode, error: &str, text: &str) -> Response {
    let body = serde_json::json!({ "error": error, "error_description": text });
    let mut answer = (status, Json(body)).into_response();
    no_store(answer.headers_mut());
    answer
}

/// GEN-06.
pub(crate) fn no_store(headers: &mut HeaderMap) {
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
}

pub(crate) fn method_not_allowed(allow: &str) -> Response {
    let text = "this method is not allowed here";
    let mut answer = plain_error(StatusCode::METHOD_NOT_ALLOWED, "invalid_request", text);
    if let Ok(value) = HeaderValue::from_str(allow) {
        answer.headers_mut().insert(header::ALLOW, value);
    }
    answer
}

pub(crate) async fn preflight(headers: HeaderMap) -> Response {
    let mut answer = StatusCode::NO_CONTENT.into_response();
    let set = answer.headers_mut();
    let methods = HeaderValue::from_static("GET, POST, PUT, DELETE, OPTIONS");
    set.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
    set.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED_HEADERS);
    set.insert(
        header::ACCESS_CONTROL_MAX_AGE,
        HeaderValue::from_static("600"),
    );
    if !headers.contains_key(header::ORIGIN) {
        set.insert(
            header::ALLOW,
            HeaderValue::from_static("GET, POST, OPTIONS"),
        );
    }
    answer
}

/// 404: JSON for programs and under `.well-known`, a small page for people (MCP-AS-03: never HTML
/// with 200).
pub(crate) async fn not_found(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Response {
    let wants_page = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"));
    let well_known = uri.path().contains("/.well-known/");
    if well_known || !wants_page {
        let mut answer = plain_error(StatusCode::NOT_FOUND, "not_found", "there is nothing here");
        if well_known {
            // Programs in browsers try several paths: without this a 404 looks like no network.
            open_to_programs(answer.headers_mut());
        }
        return answer;
    }
    let mut answer = crate::pages::not_found_page(&app);
    protect(answer.headers_mut(), None);
    answer
}

/// P5: the issuer is configuration, and a request for another host is not for us.
pub(crate) async fn known_host(State(app): State<App>, request: Request, next: Next) -> Response {
    let settings = &app.settings;
    // Probes come by address.
    let path = request.uri().path();
    let below = path.strip_prefix(settings.base.as_str());
    let health = matches!(below, Some("/healthz" | "/readyz"));
    let host = request
        .uri()
        .authority()
        .map(ToString::to_string)
        .or_else(|| {
            let host = request.headers().get(header::HOST)?;
            host.to_str().ok().map(str::to_owned)
        });
    let known = host.is_some_and(|host| {
        // The colons of an IPv6 address stand in brackets; only one behind them begins a port.
        let bare = match host.rsplit_once(':') {
            Some((name, port)) if !port.ends_with(']') => name,
            _ => host.as_str(),
        };
        let loopback = matches!(bare, "localhost" | "127.0.0.1" | "[::1]");
        host.eq_ignore_ascii_case(&settings.authority) || (settings.loopback && loopback)
    });
    if known || health {
        next.run(request).await
    } else {
        let text = "this host is not served here";
        plain_error(StatusCode::MISDIRECTED_REQUEST, "invalid_request", text)
    }
}

/// The layer of every route.
pub(crate) async fn guard(
    State((app, surface)): State<(App, Surface)>,
    request: Request,
    next: Next,
) -> Response {
    match surface {
        Surface::Operator => next.run(request).await,
        Surface::Client | Surface::Public => {
            let mut answer = next.run(request).await;
            open_to_programs(answer.headers_mut());
            answer
        }
        Surface::Browser => {
            let unsafe_method = !matches!(*request.method(), Method::GET | Method::HEAD);
            // `/authorize` takes POST from anywhere: it is a request like GET, not a decision.
            let is_authorize = request.uri().path().ends_with("/authorize");
            if unsafe_method && !is_authorize && is_cross_site(request.headers()) {
                let mut answer = crate::pages::cross_site_page(&app);
                protect(answer.headers_mut(), None);
                return answer;
            }
            let mut answer = next.run(request).await;
            let form_action = answer.extensions_mut().remove::<FormAction>();
            protect(answer.headers_mut(), form_action.as_ref());
            answer
        }
    }
}

/// QUIRK-50: any origin may read it, without credentials.
fn open_to_programs(headers: &mut HeaderMap) {
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_ORIGIN,
        HeaderValue::from_static("*"),
    );
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED_HEADERS);
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
}

/// Where the form of this page may end up after its redirect (GEN-21).
#[derive(Clone, Debug)]
pub(crate) struct FormAction(pub(crate) String);

/// A9: what the browser says of where a request comes from.
fn is_cross_site(headers: &HeaderMap) -> bool {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    match text(HeaderName::from_static("sec-fetch-site")) {
        Some(site) => !matches!(site, "same-origin" | "none"),
        // Older browsers: Origin against Host.
        None => match (text(header::ORIGIN), text(header::HOST)) {
            (Some(origin), Some(host)) => {
                origin.split_once("://").map_or("", |(_, rest)| rest) != host
            }
            (Some(_), None) => true,
            (None, _) => false,
        },
    }
}

/// GEN-11, BCP-07, A10, A16: nothing of ours is framed, sniffed, cached or told to others.
fn protect(headers: &mut HeaderMap, form_action: Option<&FormAction>) {
    let extra = form_action
        .map(|source| format!(" {}", source.0))
        .unwrap_or_default();
    let policy = format!(
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'{extra}; \
         frame-ancestors 'none'; base-uri 'none'"
    );
    let policy = HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static(
        "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
    ));
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    let fixed = [
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("permissions-policy"),
            "camera=(), geolocation=(), microphone=(), payment=()",
        ),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        no_store(headers);
    }
}
