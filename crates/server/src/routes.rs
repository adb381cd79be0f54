//! Every route of the server. Nothing else registers one; the router, `docs/endpoints.md`, the
//! coverage test and the matrix of bad input all read this list.

use std::fmt::Write as _;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware::from_fn_with_state,
    routing::{MethodFilter, MethodRouter, get, on, post},
};
use vestibule_protocol::{issuer::Issuer, server_metadata::well_known_paths};

use crate::{
    App,
    endpoints::{discovery, health, introspect, par, register, revoke, token, userinfo},
    pages::{account, admin, assets, authorize, consent, logout, setup, sign_in, waiting},
    surface,
};

/// Largest body of any request (DCR-31; forms are far smaller).
pub(crate) const BODY_BYTES_MAX: usize = 64 << 10;

/// Who a route is for; decides CORS, headers, cookies.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Surface {
    /// People: security headers, no CORS, CSRF protection.
    Browser,
    /// Programs: JSON, CORS for any origin without credentials.
    Client,
    /// Whoever runs the hub.
    Operator,
    /// Documents that anybody reads: CORS, caching.
    Public,
}

impl Surface {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Browser => "browser",
            Self::Client => "client",
            Self::Operator => "operator",
            Self::Public => "public",
        }
    }
}

/// One route.
#[derive(Clone)]
pub struct Route {
    /// Methods, besides HEAD with GET and OPTIONS with CORS.
    pub methods: &'static [&'static str],
    /// Below the issuer's path, unless [`Self::absolute`].
    pub path: String,
    /// The path starts at the host's root, whatever the issuer's path.
    pub absolute: bool,
    /// Who it is for.
    pub surface: Surface,
    /// Names of its parameters, in query or form.
    pub parameters: &'static [&'static str],
    /// For the page of endpoints.
    pub doc: &'static str,
    handler: MethodRouter<App>,
}

const AUTHORIZE: &[&str] = &[
    "response_type",
    "client_id",
    "redirect_uri",
    "scope",
    "state",
    "code_challenge",
    "code_challenge_method",
    "resource",
    "nonce",
    "prompt",
    "max_age",
    "login_hint",
    "id_token_hint",
    "response_mode",
    "request_uri",
    "request",
];
const CLIENT_AUTH: &[&str] = &[
    "client_id",
    "client_secret",
    "client_assertion_type",
    "client_assertion",
];
const TOKEN: &[&str] = &[
    "grant_type",
    "code",
    "redirect_uri",
    "code_verifier",
    "resource",
    "refresh_token",
    "scope",
    "client_id",
    "client_secret",
    "client_assertion_type",
    "client_assertion",
];
const ONE_TOKEN: &[&str] = &[
    "token",
    "token_type_hint",
    "client_id",
    "client_secret",
    "client_assertion_type",
    "client_assertion",
];

/// The list, for an issuer.
#[rustfmt::skip]
pub fn routes(issuer_path_variants: &[String]) -> Vec<Route> {
    use Surface::{Browser, Client, Operator, Public};
    let route = |methods, path: &str, surface, parameters, doc, handler| Route {
        methods, path: path.to_owned(), absolute: false, surface, parameters, doc, handler,
    };
    let mut routes: Vec<Route> = issuer_path_variants.iter().map(|path| Route {
        absolute: true,
        ..route(&["GET"], path, Public, &[], "Server metadata (RFC 8414, OpenID Connect Discovery)", get(discovery::metadata))
    }).collect();
    routes.extend([
        route(&["GET"],         "/jwks.json",            Public,   &[],         "Public keys (RFC 7517)",                                   get(discovery::jwks)),
        route(&["GET", "POST"], "/authorize",            Browser,  AUTHORIZE,   "Authorization (RFC 6749 §3.1)",                            get(authorize::get).post(authorize::post)),
        route(&["POST"],        "/token",                Client,   TOKEN,       "Tokens (RFC 6749 §3.2)",                                   post(token::exchange)),
        route(&["POST"],        "/register",             Client,   &[],         "Dynamic Client Registration (RFC 7591)",                   post(register::register)),
        route(&["GET", "PUT", "DELETE"], "/register/{client_id}", Client, &[],  "Client configuration (RFC 7592)",                          get(register::read).put(register::update).delete(register::delete)),
        route(&["POST"],        "/par",                  Client,   AUTHORIZE,   "Pushed authorization requests (RFC 9126)",                 post(par::push)),
        route(&["POST"],        "/revoke",               Client,   ONE_TOKEN,   "Revocation (RFC 7009)",                                    post(revoke::revoke)),
        route(&["POST"],        "/introspect",           Client,   ONE_TOKEN,   "Introspection (RFC 7662)",                                 post(introspect::introspect)),
        route(&["GET", "POST"], "/userinfo",             Client,   &[],         "Claims about the person (OpenID Connect Core §5.3)",       get(userinfo::show).post(userinfo::show)),
        route(&["GET", "POST"], "/login",                Browser,  &["ticket", "username", "password", "csrf"], "Sign in",                 get(sign_in::show).post(sign_in::submit)),
        route(&["POST"],        "/consent",              Browser,  &["ticket", "decision", "scope", "duration", "confirmed", "csrf"], "Allow, deny or report", post(consent::decide)),
        route(&["GET", "POST"], "/waiting",              Browser,  &["ticket", "csrf"], "Ask again for what waits for an administrator",   get(waiting::show).post(waiting::submit)),
        route(&["GET", "POST"], "/logout",               Browser,  &["csrf"],   "Sign out",                                                 get(logout::show).post(logout::submit)),
        route(&["GET"],         "/account",              Browser,  &[],         "Who is signed in",                                         get(account::show)),
        route(&["GET", "POST"], "/setup",                Browser,  &["token", "username", "password", "csrf"], "Make the first account",   get(setup::show).post(setup::submit)),
        route(&["GET"],         "/admin",                Browser,  &[],         "To `/admin/`",                                             get(admin::enter)),
        route(&["GET"],         "/admin/",               Browser,  &[],         "The doors, for administrators",                            get(admin::show)),
        route(&["POST"],        "/admin/settings",       Browser,  &["seq", "dcr", "cimd", "csrf"], "Open and close the doors",             post(admin::change_doors)),
        route(&["GET", "POST"], "/admin/approvals",      Browser,  &["id", "decision", "before", "csrf"], "Who waits for an administrator", get(admin::approvals).post(admin::decide_approval)),
        route(&["GET"],         "/assets/{name}",        Browser,  &[],         "The style sheet",                                          get(assets::show)),
        route(&["GET"],         "/healthz",              Operator, &[],         "The process runs",                                         get(health::alive)),
        route(&["GET"],         "/readyz",               Operator, &[],         "It can decide: database reachable, settings fresh",        get(health::ready)),
    ]);
    routes
}

/// Everything behind one service.
pub fn router(app: App) -> Router {
    let base = app.settings.base.clone();
    let mut router = Router::new();
    for route in routes(&well_known_paths(app.engine.issuer())) {
        let path = if route.absolute {
            route.path.clone()
        } else {
            format!("{base}{}", route.path)
        };
        let allow = allow_header(&route);
        let handler = route
            .handler
            .clone()
            .fallback(move || async move { surface::method_not_allowed(&allow) });
        let handler = if matches!(route.surface, Surface::Client | Surface::Public) {
            handler.merge(on(MethodFilter::OPTIONS, surface::preflight))
        } else {
            handler
        };
        let handler = handler.layer(from_fn_with_state(
            (app.clone(), route.surface),
            surface::guard,
        ));
        router = router.route(&path, handler);
    }
    router
        .fallback(surface::not_found)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(from_fn_with_state(app.clone(), surface::known_host))
        .with_state(app)
}

fn allow_header(route: &Route) -> String {
    let mut methods: Vec<&str> = route.methods.to_vec();
    if methods.contains(&"GET") {
        methods.push("HEAD");
    }
    if matches!(route.surface, Surface::Client | Surface::Public) {
        methods.push("OPTIONS");
    }
    methods.join(", ")
}

/// The routes of a hub at the root of its host, for the pages and the tests.
fn usual_routes() -> Vec<Route> {
    let paths = Issuer::parse("https://hub.example").map(|issuer| well_known_paths(&issuer));
    routes(&paths.unwrap_or_default())
}

/// The list as JSON: method, path, surface, parameters.
pub fn route_list() -> serde_json::Value {
    let mut rows = Vec::new();
    for route in usual_routes() {
        for method in route.methods {
            rows.push(serde_json::json!({
                "method": method,
                "path": route.path,
                "surface": route.surface.as_str(),
                "parameters": route.parameters,
                "client_authentication": if route.surface == Surface::Client { CLIENT_AUTH } else { &[] },
                "doc": route.doc,
            }));
        }
    }
    rows.into()
}

/// `docs/endpoints.md`.
pub fn endpoints_markdown() -> String {
    let mut page = String::from(
        "# Endpoints\n\n\
         Every route of the server, below the path of the issuer. Printed by `vestibule routes`. \
         *client* and *public* routes have CORS for any origin without credentials; *browser* \
         routes have none.\n\n| methods | path | for | what |\n|---|---|---|---|\n",
    );
    for route in usual_routes() {
        // Writing to a String cannot fail.
        let _ = writeln!(
            page,
            "| {} | `{}` | {} | {} |",
            route.methods.join(", "),
            route.path,
            route.surface.as_str(),
            route.doc
        );
    }
    page
}
