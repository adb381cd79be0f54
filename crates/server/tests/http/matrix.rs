//! Bad input, generated: every route of the table, each of its parameters, each way to send it
//! badly. The request around the bad parameter is a good one, so that the parameter is reached.

use axum::{body::Body, http::StatusCode};
use serde_json::json;
use vestibule_server::Surface;

use crate::{
    coverage::{all_routes, path_of},
    support::{Answer, CALLBACK, CHALLENGE, Hub, NOTES, VERIFIER, public_client, request},
};

const FORM: &str = "application/x-www-form-urlencoded";
/// A request target holds no more than this; over HTTP, less.
const LONG_QUERY: usize = 60_000;
const LONG_BODY: usize = 1 << 20;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fault {
    Missing,
    Empty,
    Twice,
    Nul,
    Long,
    NotUtf8,
    BrokenEscape,
    WrongType,
}

const FAULTS: [Fault; 8] = [
    Fault::Missing,
    Fault::Empty,
    Fault::Twice,
    Fault::Nul,
    Fault::Long,
    Fault::NotUtf8,
    Fault::BrokenEscape,
    Fault::WrongType,
];

/// What a good request holds. What is not here is left out of the good request.
fn good_value(path: &str, name: &str, client_id: &str) -> Option<String> {
    let value = match name {
        "response_type" => "code",
        "client_id" => client_id,
        "redirect_uri" => CALLBACK,
        "scope" => "mcp:read",
        "state" => "s",
        "code_challenge" => CHALLENGE,
        "code_challenge_method" => "S256",
        "resource" => NOTES,
        "nonce" => "n",
        "max_age" => "60",
        "login_hint" => "ada",
        "response_mode" => "query",
        "grant_type" => "authorization_code",
        "code" => "vco_unknown",
        "code_verifier" => VERIFIER,
        "token" | "csrf" | "ticket" | "username" | "password" => "plausible",
        "token_type_hint" => "refresh_token",
        "decision" => "approve",
        "confirmed" => "yes",
        "duration" => "3600",
        "seq" | "id" => "1",
        "dcr" | "cimd" => "open",
        _ => return None,
    };
    // The good request is the one with a code.
    let left_out = path == "/token" && name == "scope";
    (!left_out).then(|| value.to_owned())
}

/// Without these a request is not one.
fn is_required(path: &str, name: &str) -> bool {
    match path {
        "/authorize" | "/par" => matches!(
            name,
            "response_type" | "client_id" | "code_challenge" | "code_challenge_method"
        ),
        "/revoke" => matches!(name, "token" | "client_id"),
        "/token" | "/introspect" | "/waiting" | "/admin/settings" | "/admin/approvals" => true,
        "/consent" => matches!(name, "ticket" | "decision" | "csrf"),
        "/login" | "/setup" => name == "csrf",
        _ => false,
    }
}

/// GEN-03: these may be there twice.
fn may_repeat(path: &str, name: &str) -> bool {
    matches!(
        (path, name),
        ("/authorize" | "/par" | "/token", "resource") | ("/consent", "scope")
    )
}

fn form_of(
    path: &str,
    parameters: &[&str],
    bad: &str,
    fault: Fault,
    client_id: &str,
    long: usize,
) -> String {
    let escape =
        |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let mut parts: Vec<String> = Vec::new();
    for name in parameters {
        let good = good_value(path, name, client_id).map(|value| escape(&value));
        if *name != bad || fault == Fault::WrongType {
            parts.extend(good.map(|value| format!("{name}={value}")));
            continue;
        }
        let good = good.unwrap_or_else(|| "x".to_owned());
        match fault {
            Fault::Missing | Fault::WrongType => {}
            Fault::Empty => parts.push(format!("{name}=")),
            Fault::Twice => {
                parts.push(format!("{name}={good}"));
                parts.push(format!("{name}={good}"));
            }
            Fault::Nul => parts.push(format!("{name}={good}%00")),
            Fault::Long => parts.push(format!("{name}={}", "a".repeat(long))),
            Fault::NotUtf8 => parts.push(format!("{name}=%ff")),
            Fault::BrokenEscape => parts.push(format!("{name}=%f")),
        }
    }
    parts.join("&")
}

fn assert_refused(answer: &Answer, surface: Surface, what: &str) {
    assert!(
        answer.status.is_client_error(),
        "{what}: {} {}",
        answer.status,
        answer.text()
    );
    assert_eq!(answer.location(), "", "{what}");
    if surface == Surface::Client {
        // GEN-07: a program is told what is wrong in its language.
        let body = answer.json();
        assert!(body["error"].is_string(), "{what}: {body}");
        assert!(body["error_description"].is_string(), "{what}: {body}");
    }
}

fn judge(answer: &Answer, path: &str, name: &str, fault: Fault, surface: Surface, what: &str) {
    assert!(
        !answer.status.is_server_error(),
        "{what}: {} {}",
        answer.status,
        answer.text()
    );
    let malformed = match fault {
        Fault::Missing | Fault::Empty => is_required(path, name),
        Fault::Twice => !may_repeat(path, name) && path != "/logout",
        _ => true,
    };
    if malformed {
        assert_refused(answer, surface, what);
    }
    match fault {
        Fault::WrongType => {
            assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{what}");
        }
        Fault::Nul | Fault::NotUtf8 | Fault::BrokenEscape => {
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{what}");
        }
        Fault::Long => assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE, "{what}"),
        Fault::Missing | Fault::Empty | Fault::Twice => {}
    }
}

/// The requests that are spoilt below are good ones, so that it is the fault that is refused.
#[tokio::test]
async fn the_requests_of_the_matrix_are_good_without_their_fault() {
    let hub = Hub::start().await;
    let client_id = hub.registered(&public_client()).await;
    let (mut reached, none) = (0, Fault::Missing);
    for route in all_routes() {
        let (path, names) = (route.path.as_str(), route.parameters);
        let body = form_of(path, names, "none of them", none, &client_id, 0);
        let answer = hub.post_body(path, FORM, body).await;
        let wanted = match path {
            "/authorize" | "/revoke" => 200,
            "/par" => 201,
            // An unknown code; a ticket that is none.
            "/token" | "/consent" => 400,
            // No resource server.
            "/introspect" => 401,
            // Another browser's form.
            "/login" | "/setup" => 403,
            "/waiting" | "/admin/settings" | "/admin/approvals" => {
                // Nobody is signed in: the engine's to refuse, so the form was read.
                assert!(answer.status.is_client_error(), "{path}");
                assert!(!answer.text().contains("cannot be read"), "{path}");
                reached += 1;
                continue;
            }
            _ => continue,
        };
        reached += 1;
        assert_eq!(answer.status, wanted, "{path}: {}", answer.text());
        if path == "/token" {
            assert_eq!(answer.json()["error"], "invalid_grant");
        }
    }
    assert_eq!(reached, 11);
}

/// P10, GEN-02, GEN-03, QUIRK-54: every parameter of every form, each way: refused with a reason,
/// never a fault of ours.
#[tokio::test]
async fn every_parameter_of_every_form_may_be_bad() {
    let hub = Hub::start().await;
    let client_id = hub.registered(&public_client()).await;
    for route in all_routes() {
        if !route.methods.contains(&"POST") {
            continue;
        }
        let (path, names) = (route.path.as_str(), route.parameters);
        for name in names {
            for fault in FAULTS {
                let what = format!("POST {path} {name} {fault:?}");
                let body = form_of(path, names, name, fault, &client_id, LONG_BODY);
                let media = if fault == Fault::WrongType {
                    "text/plain"
                } else {
                    FORM
                };
                let answer = hub.post_body(path, media, body).await;
                judge(&answer, path, name, fault, route.surface, &what);
            }
        }
    }
}

/// P10: every parameter in the query of every page, whether the page reads it or not.
#[tokio::test]
async fn every_parameter_of_every_query_may_be_bad() {
    let hub = Hub::start().await;
    let client_id = hub.registered(&public_client()).await;
    for route in all_routes() {
        if !route.methods.contains(&"GET") {
            continue;
        }
        let (path, names) = (route.path.as_str(), route.parameters);
        let reads = matches!(path, "/authorize" | "/setup");
        for name in names.iter().copied().chain(["unheard-of"]) {
            for fault in FAULTS
                .into_iter()
                .filter(|fault| *fault != Fault::WrongType)
            {
                let what = format!("GET {path} {name} {fault:?}");
                let query = form_of(path, names, name, fault, &client_id, LONG_QUERY);
                let answer = hub.get(&format!("{}?{query}", path_of(&route))).await;
                assert!(
                    !answer.status.is_server_error(),
                    "{what}: {}",
                    answer.status
                );
                if reads && name != "unheard-of" && path == "/authorize" {
                    judge(&answer, path, name, fault, route.surface, &what);
                } else if reads && names.contains(&name) && fault != Fault::Missing {
                    assert!(answer.status.is_client_error(), "{what}: {}", answer.status);
                }
            }
        }
    }
}

/// P10: what stands in a path.
#[tokio::test]
async fn a_path_may_hold_anything() {
    let hub = Hub::start().await;
    let long = "a".repeat(LONG_QUERY);
    for route in all_routes() {
        for bad in [
            "%00",
            "%ff",
            "%f",
            "%2e%2e%2f",
            "%0d%0aSet-Cookie:%20a=b",
            "v.r.1",
            &long,
        ] {
            let path = route
                .path
                .replace("{client_id}", bad)
                .replace("{name}", bad);
            if path == route.path {
                continue;
            }
            for method in route.methods {
                let shown: String = bad.chars().take(30).collect();
                let what = format!("{method} {} {shown}", route.path);
                let request = request(method, &path)
                    .header("content-type", "application/json")
                    .header("authorization", "Bearer plausible");
                let answer = hub.send(request.body(Body::from("{}")).unwrap()).await;
                assert_refused(&answer, route.surface, &what);
                assert!(!answer.headers.contains_key("set-cookie"), "{what}");
            }
        }
    }
}

/// P10, DCR-02, DCR-31: every member of a registration, each way.
#[tokio::test]
async fn every_member_of_a_registration_may_be_bad() {
    let hub = Hub::start().await;
    let members = [
        "redirect_uris",
        "token_endpoint_auth_method",
        "grant_types",
        "response_types",
        "client_name",
        "client_uri",
        "logo_uri",
        "scope",
        "contacts",
        "tos_uri",
        "policy_uri",
        "jwks_uri",
        "jwks",
        "software_id",
        "software_version",
        "software_statement",
        "application_type",
        "client_name#de",
        "default_max_age",
        "require_auth_time",
    ];
    let long = "a".repeat(LONG_BODY);
    for member in members {
        let texts = [
            json!(""),
            json!([]),
            json!([""]),
            json!({}),
            json!(null),
            json!(-1),
            json!(1e300),
            json!("\u{0}"),
            json!(["\u{0}"]),
            json!(["\u{202e}https://a"]),
            json!([[[]]]),
            json!("x".repeat(5_000)),
            json!(vec!["https://a.example/"; 100]),
        ];
        for text in texts {
            let mut body = public_client();
            body[member] = text.clone();
            let answer = hub.register(&body).await;
            let what = format!(
                "{member} {}",
                text.to_string().chars().take(60).collect::<String>()
            );
            let fine = answer.status == StatusCode::CREATED;
            assert!(
                fine || answer.status == StatusCode::BAD_REQUEST,
                "{what}: {}",
                answer.status
            );
            if !fine {
                assert_refused(&answer, Surface::Client, &what);
            }
        }
        for body in [
            format!("{{\"redirect_uris\":[\"{CALLBACK}\"],\"{member}\":[],\"{member}\":[]}}")
                .into_bytes(),
            [format!("{{\"{member}\":\"").as_bytes(), b"\xff\"}"].concat(),
            format!("{{\"{member}\":\"\\ud800\"}}").into_bytes(),
            format!("{{\"{member}\":").into_bytes(),
        ] {
            let what = format!("{member} {}", String::from_utf8_lossy(&body));
            let answer = hub.post_body("/register", "application/json", body).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{what}");
            assert_refused(&answer, Surface::Client, &what);
        }
        let body = json!({"redirect_uris": [CALLBACK], member: long}).to_string();
        let answer = hub.post_body("/register", "application/json", body).await;
        assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE, "{member}");
        assert_refused(&answer, Surface::Client, member);
    }
}

/// P10: many parameters, many cookies, hostile headers.
#[tokio::test]
async fn a_flood_of_parameters_or_headers_harms_nothing() {
    let hub = Hub::start().await;
    for route in all_routes() {
        let path = path_of(&route);
        for method in route.methods {
            let mut many = "a=&".repeat(15_000);
            many.push_str("b=");
            let hostile = request(method, &path)
                .header("content-type", FORM)
                .header("authorization", [0xff, 0x80].as_slice())
                .header("cookie", "__Host-vst-session=\"; __Host-vst-pre=%00; =; ;;")
                .header("cookie", [b'a', b'=', 0xff].as_slice())
                .header("accept", [0xff].as_slice())
                .header("origin", [0xff].as_slice())
                .header("user-agent", "a".repeat(10_000))
                .header("x-forwarded-for", "1.2.3.4, ::, evil, [::1]:80")
                .header("if-none-match", [0xff].as_slice())
                .header("sec-fetch-site", "same-origin");
            let answer = hub.send(hostile.body(Body::from(many)).unwrap()).await;
            assert!(
                !answer.status.is_server_error(),
                "{method} {path}: {}",
                answer.status
            );
        }
    }
}
