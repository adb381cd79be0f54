//! Every route of the table, once per method: what its surface adds, what it refuses.

use axum::{body::Body, http::StatusCode};
use vestibule_protocol::{issuer::Issuer, server_metadata::well_known_paths};
use vestibule_server::{Route, Surface, routes};

use crate::support::{Answer, Hub, ISSUER, request};

const METHODS: [&str; 6] = ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"];

pub(crate) fn all_routes() -> Vec<Route> {
    routes(&well_known_paths(&Issuer::parse(ISSUER).unwrap()))
}

/// A path that the route matches.
pub(crate) fn path_of(route: &Route) -> String {
    route
        .path
        .replace("{client_id}", "nobody")
        .replace("{name}", "style.css")
}

async fn call(hub: &Hub, method: &str, path: &str) -> Answer {
    let request = request(method, path).header("origin", "https://inspector.example");
    hub.send(request.body(Body::empty()).unwrap()).await
}

fn assert_browser_headers(answer: &Answer, what: &str) {
    let policy = answer.header("content-security-policy");
    for part in [
        "default-src 'none'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    ] {
        assert!(policy.contains(part), "{what}: {policy}");
    }
    assert!(!policy.contains("unsafe"), "{what}: {policy}");
    for (name, value) in [
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
        ("cross-origin-opener-policy", "same-origin"),
        ("access-control-allow-origin", ""),
        ("access-control-allow-credentials", ""),
    ] {
        assert_eq!(answer.header(name), value, "{what}: {name}");
    }
    assert_eq!(answer.header("cache-control"), "no-store", "{what}");
}

fn assert_open_headers(answer: &Answer, what: &str) {
    for (name, value) in [
        ("access-control-allow-origin", "*"),
        ("access-control-allow-credentials", ""),
        (
            "access-control-expose-headers",
            "WWW-Authenticate, DPoP-Nonce, Retry-After",
        ),
        ("x-content-type-options", "nosniff"),
        ("set-cookie", ""),
    ] {
        assert_eq!(answer.header(name), value, "{what}: {name}");
    }
}

/// GEN-11, GEN-12, BCP-07, QUIRK-50, A19: each answer of each route wears what its surface
/// says, refused methods included.
#[tokio::test]
async fn every_answer_of_every_route_wears_the_headers_of_its_surface() {
    let hub = Hub::start().await;
    for route in all_routes() {
        for method in METHODS {
            let what = format!("{method} {}", route.path);
            let answer = call(&hub, method, &path_of(&route)).await;
            assert!(
                !answer.status.is_server_error(),
                "{what}: {}",
                answer.status
            );
            match route.surface {
                Surface::Browser => assert_browser_headers(&answer, &what),
                Surface::Client | Surface::Public => assert_open_headers(&answer, &what),
                Surface::Operator => {
                    assert_eq!(answer.header("access-control-allow-origin"), "", "{what}");
                }
            }
        }
    }
}

/// GEN-02: a method that is not in the table gets 405, and `Allow` holds those that are.
#[tokio::test]
async fn other_methods_are_refused_and_told_which_are_allowed() {
    let hub = Hub::start().await;
    for route in all_routes() {
        let open = matches!(route.surface, Surface::Client | Surface::Public);
        for method in METHODS {
            if route.methods.contains(&method) || (method == "OPTIONS" && open) {
                continue;
            }
            let what = format!("{method} {}", route.path);
            let request = request(method, &path_of(&route));
            let answer = hub.send(request.body(Body::empty()).unwrap()).await;
            assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{what}");
            let allow: Vec<&str> = answer.header("allow").split(", ").collect();
            for allowed in route.methods {
                assert!(allow.contains(allowed), "{what}: {allow:?}");
            }
            assert!(!allow.contains(&method), "{what}: {allow:?}");
        }
    }
}

/// QUIRK-50, GEN-12, MCP-RS-17: browsers of strangers may call what programs call, and read no
/// page of people.
#[tokio::test]
async fn a_preflight_passes_for_programs_and_for_nobody_else() {
    let hub = Hub::start().await;
    for route in all_routes() {
        let request = request("OPTIONS", &path_of(&route))
            .header("origin", "https://inspector.example")
            .header("access-control-request-method", route.methods[0])
            .header("access-control-request-headers", "mcp-protocol-version");
        let answer = hub.send(request.body(Body::empty()).unwrap()).await;
        let what = &route.path;
        match route.surface {
            Surface::Client | Surface::Public => {
                assert_eq!(answer.status, StatusCode::NO_CONTENT, "{what}");
                assert_eq!(
                    answer.header("access-control-allow-headers"),
                    "Content-Type, Authorization, MCP-Protocol-Version, Mcp-Method, Mcp-Name, DPoP"
                );
                let methods = answer.header("access-control-allow-methods");
                for method in route.methods {
                    assert!(methods.contains(method), "{what}: {methods}");
                }
                assert!(answer.body.is_empty(), "{what}");
            }
            Surface::Browser | Surface::Operator => {
                assert!(answer.status.is_client_error(), "{what}");
                for header in ["origin", "methods", "headers"] {
                    let name = format!("access-control-allow-{header}");
                    assert_eq!(answer.header(&name), "", "{what}");
                }
            }
        }
    }
}

/// MCP-AS-03, MCP-AS-02, AS-05: each variant answers with the same bytes, whatever the issuer's
/// path.
#[tokio::test]
async fn each_well_known_path_of_the_issuer_holds_the_same_document() {
    for (issuer, paths) in [
        (
            ISSUER,
            &[
                "/.well-known/oauth-authorization-server",
                "/.well-known/openid-configuration",
            ][..],
        ),
        (
            "https://hub.example/t1",
            &[
                "/.well-known/oauth-authorization-server/t1",
                "/.well-known/openid-configuration/t1",
                "/t1/.well-known/openid-configuration",
                "/t1/.well-known/oauth-authorization-server",
            ],
        ),
    ] {
        let hub = Hub::start_at(issuer).await;
        let mut bodies = Vec::new();
        for path in paths {
            let answer = hub.get(path).await;
            assert_eq!(answer.status, StatusCode::OK, "{path}");
            assert_eq!(answer.header("content-type"), "application/json", "{path}");
            assert_eq!(answer.json()["issuer"], issuer, "{path}");
            bodies.push(answer.body);
        }
        assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]), "{issuer}");
    }
}

/// MCP-AS-03: nothing else under `.well-known` is there, and never a page; programs in a browser
/// may read that it is not (QUIRK-50).
#[tokio::test]
async fn unknown_well_known_paths_are_json_that_says_no() {
    let hub = Hub::start().await;
    for path in [
        "/.well-known/oauth-authorization-server/mcp",
        "/.well-known/openid-configuration/",
        "/.well-known/oauth-protected-resource",
        "/.well-known/webfinger?resource=a",
        "/mcp/.well-known/openid-configuration",
        "/.well-known/%2e%2e/authorize",
    ] {
        let request = request("GET", path).header("accept", "text/html");
        let answer = hub.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(answer.header("content-type"), "application/json", "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), "*", "{path}");
        assert_eq!(answer.json()["error"], "not_found", "{path}");
    }
}

/// P5: the issuer is configuration; a request for another host is misdirected, on every route.
#[tokio::test]
async fn an_unknown_host_is_misdirected() {
    let hub = Hub::start().await;
    for host in [
        "evil.example",
        "hub.example.evil.example",
        "hub.example:8443",
        "evil.example:443",
        "localhost",
        "127.0.0.1",
        "",
    ] {
        for route in all_routes() {
            let request = request(route.methods[0], &path_of(&route)).header("host", host);
            let request = request.header("x-forwarded-host", "hub.example");
            let answer = hub.send(request.body(Body::empty()).unwrap()).await;
            let what = format!("{} at {host:?}", route.path);
            if route.surface == Surface::Operator {
                assert_eq!(answer.status, StatusCode::OK, "{what}");
            } else {
                assert_eq!(answer.status, StatusCode::MISDIRECTED_REQUEST, "{what}");
            }
        }
    }
    // HTTP/2 and absolute-form requests carry it in the target.
    let answer = hub.get("https://evil.example/jwks.json").await;
    assert_eq!(answer.status, StatusCode::MISDIRECTED_REQUEST);
    let answer = hub.get("https://HUB.example/jwks.json").await;
    assert_eq!(answer.status, StatusCode::OK);
}

/// AS-06, AS-15: documents are read by HEAD and kept by entity tag.
#[tokio::test]
async fn documents_answer_head_and_revalidate() {
    let hub = Hub::start().await;
    for route in all_routes() {
        if route.surface != Surface::Public {
            continue;
        }
        let path = path_of(&route);
        let full = hub.get(&path).await;
        let tag = full.header("etag").to_owned();
        assert!(tag.starts_with('"') && tag.ends_with('"'), "{path}: {tag}");
        let head = hub
            .send(request("HEAD", &path).body(Body::empty()).unwrap())
            .await;
        assert_eq!(head.status, StatusCode::OK, "{path}");
        assert!(head.body.is_empty(), "{path}");
        for (known, status) in [
            (tag.clone(), StatusCode::NOT_MODIFIED),
            (format!("\"other\", W/{tag}"), StatusCode::NOT_MODIFIED),
            ("*".to_owned(), StatusCode::NOT_MODIFIED),
            ("\"other\"".to_owned(), StatusCode::OK),
        ] {
            let request = request("GET", &path).header("if-none-match", &known);
            let answer = hub.send(request.body(Body::empty()).unwrap()).await;
            assert_eq!(answer.status, status, "{path} {known}");
            assert_eq!(answer.header("etag"), tag, "{path} {known}");
            assert_eq!(answer.body.is_empty(), status == StatusCode::NOT_MODIFIED);
        }
    }
}

/// P5: at a loopback issuer any loopback name will do, with or without a port, and no other.
#[tokio::test]
async fn a_local_hub_answers_to_every_name_of_this_machine() {
    let hub = Hub::start_at("http://localhost:8080").await;
    for (host, status) in [
        ("localhost:8080", StatusCode::OK),
        ("localhost", StatusCode::OK),
        ("127.0.0.1:9999", StatusCode::OK),
        ("[::1]:8080", StatusCode::OK),
        ("[::1]", StatusCode::OK),
        ("localhost.evil.example", StatusCode::MISDIRECTED_REQUEST),
        ("localhost@evil.example", StatusCode::MISDIRECTED_REQUEST),
        ("evil.example:8080", StatusCode::MISDIRECTED_REQUEST),
        ("127.0.0.1.nip.example", StatusCode::MISDIRECTED_REQUEST),
        ("::1", StatusCode::MISDIRECTED_REQUEST),
    ] {
        let request = request("GET", "/login").header("host", host);
        let answer = hub.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, status, "{host}");
        if status == StatusCode::OK {
            // Plain http: a browser would not keep a `Secure` cookie.
            let cookie = answer.header("set-cookie");
            assert!(cookie.starts_with("vst-pre="), "{cookie}");
            assert!(!cookie.contains("Secure"), "{cookie}");
            assert!(cookie.contains("; HttpOnly; SameSite=Lax"), "{cookie}");
        }
    }
}

/// AS-02, QUIRK-53: at an issuer with a path everything lies below it, forms and links too.
#[tokio::test]
async fn a_hub_below_a_path_stays_below_it() {
    let hub = Hub::start_at("https://hub.example/t1").await;
    let page = hub.get("/t1/login").await;
    assert_eq!(page.status, StatusCode::OK);
    assert_browser_headers(&page, "/t1/login");
    let page = page.text();
    assert!(page.contains("action=\"/t1/login\""), "{page}");
    assert!(page.contains("href=\"/t1/assets/style-"), "{page}");
    for route in all_routes() {
        if !route.absolute {
            let outside = call(&hub, route.methods[0], &path_of(&route)).await;
            assert_eq!(outside.status, StatusCode::NOT_FOUND, "{}", route.path);
            let inside = format!("/t1{}", path_of(&route));
            let inside = call(&hub, "PATCH", &inside).await;
            assert_eq!(
                inside.status,
                if route.surface == Surface::Browser && route.path != "/authorize" {
                    // From another origin: refused before the method is looked at.
                    StatusCode::FORBIDDEN
                } else {
                    StatusCode::METHOD_NOT_ALLOWED
                },
                "{}",
                route.path
            );
        }
    }
    for probe in ["/t1/healthz", "/t1/readyz"] {
        let request = request("GET", probe).header("host", "10.1.2.3:8080");
        let answer = hub.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, StatusCode::OK, "{probe}");
    }
    let metadata = hub.get("/.well-known/oauth-authorization-server/t1").await;
    let metadata = metadata.json();
    for (member, value) in metadata.as_object().unwrap() {
        if let Some(url) = value.as_str().filter(|_| member.ends_with("_endpoint")) {
            assert!(
                url.starts_with("https://hub.example/t1/"),
                "{member}: {url}"
            );
        }
    }
}

/// Elsewhere there is nothing: a page for people, JSON for programs, never a 200.
#[tokio::test]
async fn an_unknown_path_is_a_page_for_people_and_json_for_programs() {
    let hub = Hub::start().await;
    for path in [
        "/",
        "/admin/x",
        "/token/",
        "/authorize/x",
        "//authorize",
        "/TOKEN",
    ] {
        let answer = hub.get(path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(answer.json()["error"], "not_found", "{path}");
        let request = request("GET", path).header("accept", "text/html,*/*;q=0.1");
        let answer = hub.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert_browser_headers(&answer, path);
        assert!(answer.text().starts_with("<!doctype html>"), "{path}");
    }
}
