//! Bad input on the wire: every parameter of every endpoint, as the binary itself lists them, each
//! way to send it badly, byte by byte over a socket. The rest of each request is good, so that the
//! bad parameter is what the hub meets.
//!
//! What each refusal says in detail is tried beside the routes, in `crates/server/tests/http`; here
//! it counts that the whole way in, HTTP library included, answers 4xx and stays up.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "what surprises a test should end it"
)]

use std::time::Duration;

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use vestibule_conformance::{Doors, Stage, http};

const FORM: &str = "application/x-www-form-urlencoded";
const MEGABYTE: usize = 1 << 20;
const CALLBACK: &str = "http://127.0.0.1:40404/callback";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fault {
    Missing,
    Empty,
    Twice,
    Nul,
    Megabyte,
    /// A raw byte that no UTF-8 text holds.
    NotUtf8,
    /// The same, escaped.
    EscapedNotUtf8,
    WrongMediaType,
}

const FAULTS: [Fault; 8] = [
    Fault::Missing,
    Fault::Empty,
    Fault::Twice,
    Fault::Nul,
    Fault::Megabyte,
    Fault::NotUtf8,
    Fault::EscapedNotUtf8,
    Fault::WrongMediaType,
];

/// A row of `vestibule routes --json`.
struct Route {
    method: String,
    path: String,
    surface: String,
    parameters: Vec<String>,
}

fn routes() -> Vec<Route> {
    let output = std::process::Command::new(vestibule_conformance::binary("vestibule"))
        .args(["routes", "--json"])
        .output()
        .unwrap();
    let rows: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let text = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
    let routes: Vec<Route> = rows
        .iter()
        .map(|row| Route {
            method: text(row, "method"),
            path: text(row, "path"),
            surface: text(row, "surface"),
            parameters: row["parameters"]
                .as_array()
                .unwrap()
                .iter()
                .map(|name| name.as_str().unwrap().to_owned())
                .collect(),
        })
        .collect();
    assert!(routes.len() > 20, "the table of routes is too short");
    routes
}

/// One request over a connection of its own; gives status and body. `None` is no answer at all.
async fn send(
    stage: &Stage,
    method: &str,
    target: &[u8],
    media: &str,
    body: &[u8],
) -> Option<(u16, String)> {
    let host = stage.issuer.strip_prefix("http://").unwrap();
    let (mut reader, mut writer) = TcpStream::connect(host).await.ok()?.into_split();
    let mut request = format!("{method} ").into_bytes();
    request.extend_from_slice(target);
    let media = if media.is_empty() {
        String::new()
    } else {
        format!("content-type: {media}\r\n")
    };
    let head = format!(
        " HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\nsec-fetch-site: same-origin\r\n\
         {media}content-length: {}\r\n\r\n",
        body.len()
    );
    request.extend_from_slice(head.as_bytes());
    request.extend_from_slice(body);
    // It may answer before it has read everything; then the rest finds no reader.
    let write = async move {
        let _ = writer.write_all(&request).await;
        writer
    };
    let read = async {
        let mut bytes = Vec::new();
        let _ = reader.read_to_end(&mut bytes).await;
        bytes
    };
    let both = async { tokio::join!(write, read) };
    let (_, bytes) = tokio::time::timeout(Duration::from_secs(15), both)
        .await
        .ok()?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let status = text.split(' ').nth(1)?.parse().ok()?;
    let body = text
        .split_once("\r\n\r\n")
        .map_or("", |(_, body)| body)
        .to_owned();
    Some((status, body))
}

/// What a good request holds; a parameter that is not here is left out of it.
fn good(stage: &Stage, client: &str, name: &str) -> Option<String> {
    let value = match name {
        "response_type" => "code",
        "client_id" => client,
        "redirect_uri" => CALLBACK,
        "scope" => "mcp:read",
        "state" | "nonce" | "login_hint" => "s",
        "code_challenge" | "code_verifier" => CHALLENGE,
        "code_challenge_method" => "S256",
        "resource" => &stage.resource,
        "grant_type" => "authorization_code",
        "decision" => "approve",
        "confirmed" => "yes",
        "duration" => "3600",
        "seq" | "id" => "1",
        "dcr" | "cimd" => "open",
        "code" | "token" | "csrf" | "ticket" | "username" | "password" => "plausible",
        _ => return None,
    };
    Some(value.to_owned())
}

/// The parameters of a route as a form, one of them bad.
fn fields(stage: &Stage, client: &str, route: &Route, bad: &str, fault: Fault) -> Vec<u8> {
    let mut parts: Vec<Vec<u8>> = Vec::new();
    for name in &route.parameters {
        let value = good(stage, client, name);
        if name != bad || fault == Fault::WrongMediaType {
            parts.extend(value.map(|value| http::form(&[(name, &value)]).into_bytes()));
            continue;
        }
        let field = |value: &[u8]| [name.as_bytes(), b"=", value].concat();
        let value = http::form(&[("v", &value.unwrap_or_else(|| "x".to_owned()))]).split_off(2);
        match fault {
            Fault::Missing | Fault::WrongMediaType => {}
            Fault::Empty => parts.push(field(b"")),
            Fault::Twice => parts.extend([field(value.as_bytes()), field(value.as_bytes())]),
            Fault::Nul => parts.push(field(&[value.as_bytes(), b"%00"].concat())),
            Fault::Megabyte => parts.push(field(&vec![b'a'; MEGABYTE])),
            Fault::NotUtf8 => parts.push(field(b"\xff\xfe")),
            Fault::EscapedNotUtf8 => parts.push(field(b"%ff%fe")),
        }
    }
    parts.join(&b'&')
}

/// What no request may hold, wherever it is; the other faults are refused where the parameter is
/// needed, or may not be there twice.
fn is_never_good(fault: Fault) -> bool {
    !matches!(fault, Fault::Missing | Fault::Empty | Fault::Twice)
}

fn assert_precise(route: &Route, body: &str, what: &str) {
    if route.surface == "client" {
        let body: Value = serde_json::from_str(body).unwrap_or_default();
        assert!(body["error"].is_string(), "{what}: {body}");
        assert!(body["error_description"].is_string(), "{what}: {body}");
    } else {
        // A person reads what is wrong.
        assert!(body.contains("<h1>"), "{what}: {body}");
    }
}

async fn registered(stage: &Stage) -> String {
    let body = format!(
        r#"{{"redirect_uris":["{CALLBACK}"],"token_endpoint_auth_method":"none","grant_types":["authorization_code","refresh_token"]}}"#
    );
    let url = format!("{}/register", stage.issuer);
    let answer = http::post(&url, "application/json", "", &body)
        .await
        .unwrap();
    assert_eq!(answer.status, 201, "{}", answer.body);
    answer.member("client_id")
}

/// It still works, and nothing broke behind an answer.
async fn assert_unharmed(stage: &Stage) {
    registered(stage).await;
    let log = stage.log();
    assert!(!log.contains("panicked") && !log.contains("ERROR"), "{log}");
}

/// GEN-02, GEN-03, QUIRK-54: every parameter of every form.
#[tokio::test(flavor = "multi_thread")]
async fn every_parameter_of_every_form_is_refused_when_it_is_bad() {
    let stage = Stage::start(Doors::default()).await;
    let client = registered(&stage).await;
    let mut tried = 0;
    for route in routes().iter().filter(|route| route.method == "POST") {
        // Without a fault they are good requests.
        if let "/authorize" | "/par" = route.path.as_str() {
            let body = fields(&stage, &client, route, "", Fault::Missing);
            let answer = send(&stage, "POST", route.path.as_bytes(), FORM, &body).await;
            let (status, body) = answer.unwrap();
            assert!(
                (200..300).contains(&status),
                "{}: {status} {body}",
                route.path
            );
        }
        for name in &route.parameters {
            for fault in FAULTS {
                let what = format!("POST {} {name} {fault:?}", route.path);
                let body = fields(&stage, &client, route, name, fault);
                let media = if fault == Fault::WrongMediaType {
                    "text/plain"
                } else {
                    FORM
                };
                let answer = send(&stage, "POST", route.path.as_bytes(), media, &body).await;
                let (status, body) = answer.unwrap_or_else(|| panic!("{what}: no answer"));
                assert!(status < 500, "{what}: {status} {body}");
                if is_never_good(fault) {
                    assert!((400..500).contains(&status), "{what}: {status} {body}");
                    assert_precise(route, &body, &what);
                }
                tried += 1;
            }
        }
    }
    assert!(tried > 400, "{tried}");
    assert_unharmed(&stage).await;
}

/// GEN-02, GEN-03, AC-03: every parameter of every query, also where nobody reads it.
#[tokio::test(flavor = "multi_thread")]
async fn every_parameter_of_every_query_is_refused_when_it_is_bad() {
    let stage = Stage::start(Doors::default()).await;
    let client = registered(&stage).await;
    for route in routes().iter().filter(|route| route.method == "GET") {
        for name in &route.parameters {
            for fault in FAULTS {
                let what = format!("GET {} {name} {fault:?}", route.path);
                let query = fields(&stage, &client, route, name, fault);
                let target = [route.path.as_bytes(), b"?", &query].concat();
                let answer = send(&stage, "GET", &target, "", b"").await;
                let (status, body) = answer.unwrap_or_else(|| panic!("{what}: no answer"));
                assert!(status < 500, "{what}: {status} {body}");
                let reads = route.path == "/authorize" && fault != Fault::WrongMediaType;
                if reads && is_never_good(fault) {
                    assert!((400..500).contains(&status), "{what}: {status} {body}");
                }
            }
        }
    }
    assert_unharmed(&stage).await;
}

/// DCR-02: a registration's members, and the body as a whole.
#[tokio::test(flavor = "multi_thread")]
async fn every_member_of_a_registration_is_refused_when_it_is_bad() {
    let stage = Stage::start(Doors::default()).await;
    let members = [
        "redirect_uris",
        "token_endpoint_auth_method",
        "grant_types",
        "response_types",
        "client_name",
        "client_uri",
        "scope",
        "jwks_uri",
        "software_id",
        "application_type",
    ];
    let good = format!(r#""redirect_uris":["{CALLBACK}"]"#);
    for member in members {
        let one = |value: &[u8]| {
            let others = if member == "redirect_uris" {
                String::new()
            } else {
                format!("{good},")
            };
            [
                b"{",
                others.as_bytes(),
                b"\"",
                member.as_bytes(),
                b"\":",
                value,
                b"}",
            ]
            .concat()
        };
        let long = format!("\"{}\"", "a".repeat(MEGABYTE));
        let cases: [(&str, &str, Vec<u8>); 7] = [
            ("empty text", "application/json", one(b"\"\"")),
            (
                "twice",
                "application/json",
                one(format!("\"a\",\"{member}\":\"a\"").as_bytes()),
            ),
            ("NUL", "application/json", one(br#""a\u0000""#)),
            ("a raw NUL", "application/json", one(b"\"a\0\"")),
            ("not UTF-8", "application/json", one(b"\"\xff\xfe\"")),
            ("1 MB", "application/json", one(long.as_bytes())),
            ("as a form", FORM, one(b"\"a\"")),
        ];
        for (name, media, body) in cases {
            let what = format!("{member} {name}");
            let answer = send(&stage, "POST", b"/register", media, &body).await;
            let (status, body) = answer.unwrap_or_else(|| panic!("{what}: no answer"));
            assert!(status < 500, "{what}: {status} {body}");
            // An empty text of a member that says nothing may be taken for its absence.
            if name != "empty text" {
                assert!((400..500).contains(&status), "{what}: {status} {body}");
                assert!(body.contains("\"error_description\""), "{what}: {body}");
            }
        }
    }
    for (what, body) in [
        ("nothing", &b""[..]),
        ("null", b"null"),
        ("a list", b"[]"),
        ("an empty object", b"{}"),
    ] {
        let answer = send(&stage, "POST", b"/register", "application/json", body).await;
        assert_eq!(answer.map(|(status, _)| status), Some(400), "{what}");
    }
    assert_unharmed(&stage).await;
}
