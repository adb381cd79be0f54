//! `POST /register`: what comes in, what comes back, what stays (nothing), and who is let in.

#![expect(clippy::unwrap_used, reason = "what surprises a test should end it")]

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::{visit::*, *};
use vestibule_engine::{Badge, FailureStatus, NewInitialToken, SettingsChange, Shape};
use vestibule_jwt::{Algorithm, SigningKey};
use vestibule_protocol::{audit::Actor, scope::ScopeSet, trust::DcrMode};
use vestibule_store::clients::ClientLookup;

async fn register(hub: &Hub, body: &Value, bearer: Option<&str>) -> Result<Value, Refused> {
    let body = serde_json::to_vec(body).unwrap();
    match hub.engine.register(&body, bearer, &source()).await {
        Ok(response) => Ok(serde_json::to_value(response).unwrap()),
        refused => Err(refusal(refused)),
    }
}

fn text<'a>(response: &'a Value, name: &str) -> &'a str {
    response[name].as_str().unwrap()
}

fn refused<T>(code: &str, shape: Shape) -> Result<T, Refused> {
    Err(Some((code.to_owned(), shape)))
}

/// The catalogued bodies, by file name.
fn catalogued() -> Vec<(String, Value)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../protocol/tests/data/dcr");
    let mut bodies: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let body = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            (
                path.file_stem().unwrap().to_string_lossy().into_owned(),
                body,
            )
        })
        .collect();
    bodies.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(bodies.len() >= 10);
    bodies
}

/// DCR-08, DCR-09, DCR-10, DCR-11, QUIRK-12, QUIRK-13, QUIRK-20, QUIRK-43, QUIRK-44, QUIRK-45:
/// what the named clients send is registered, in an id of at most 400 characters that any header
/// and any path can carry.
#[tokio::test]
async fn catalogued_bodies_fit_into_their_ids() {
    let hub = Hub::start().await;
    for (name, body) in catalogued() {
        let response = register(&hub, &body, None).await.unwrap();
        let id = text(&response, "client_id");
        assert!(id.len() <= 400, "{name}: {}", id.len());
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        assert!(id.chars().all(plain) && !id.starts_with("http"), "{id}");
        assert_eq!(response["redirect_uris"], body["redirect_uris"], "{name}");
        assert_eq!(response["client_name"], body["client_name"], "{name}");
        let method = body["token_endpoint_auth_method"].as_str();
        let public = method == Some("none");
        assert_eq!(
            text(&response, "token_endpoint_auth_method"),
            method.unwrap_or("client_secret_basic"),
            "{name}"
        );
        assert_eq!(response.get("client_secret").is_none(), public, "{name}");
        assert_eq!(
            response.get("client_secret_expires_at").is_none(),
            public,
            "{name}"
        );
        assert_eq!(response["client_id_issued_at"], START, "{name}");
        assert!(response["grant_types"].is_array(), "{name}");
        assert_eq!(response["response_types"], json!(["code"]), "{name}");
        if !public {
            assert_eq!(response["client_secret_expires_at"], 0, "{name}");
        }
        assert!(response.as_object().unwrap().values().all(|v| !v.is_null()));
    }
    assert_eq!(hub.store.count_clients().await.unwrap(), 0);
}

/// DCR-06, DCR-07, DCR-13, ODCR-03, R11, R12: the server alone chooses ids and secrets, each time others; what
/// a client says of its own importance is not even echoed.
#[tokio::test]
async fn the_server_chooses_and_claims_of_importance_are_ignored() {
    let hub = Hub::start().await;
    let mut body = confidential_client("client_secret_basic");
    for (name, value) in [
        ("client_id", json!("admin")),
        ("client_secret", json!("mine")),
        ("trusted", json!(true)),
        ("skip_consent", json!(true)),
        ("example_extension_parameter", json!("x")),
    ] {
        body[name] = value;
    }
    let first = register(&hub, &body, None).await.unwrap();
    let second = register(&hub, &body, None).await.unwrap();
    for name in ["client_id", "client_secret", "registration_access_token"] {
        assert_ne!(first[name], second[name], "{name}");
        assert_ne!(first[name], body[name], "{name}");
    }
    for name in ["trusted", "skip_consent", "example_extension_parameter"] {
        assert!(first.get(name).is_none(), "{name}");
    }
}

/// DCR-12: what is not sealed is not registered, and what is not registered is not echoed.
#[tokio::test]
async fn what_is_not_kept_is_not_echoed() {
    let hub = Hub::start().await;
    let mut body = public_client();
    let dropped = json!({
        "contacts": ["ops@agent.example"],
        "tos_uri": "https://agent.example/tos",
        "policy_uri": "https://agent.example/policy",
        "logo_uri": "https://agent.example/logo.png",
        "client_name#de": "Agent",
    });
    let kept = json!({
        "client_uri": "https://agent.example/",
        "software_id": "agent",
        "software_version": "1.2",
        "scope": "mcp:read",
        "require_pushed_authorization_requests": true,
        "default_max_age": 600,
    });
    for (name, value) in dropped
        .as_object()
        .unwrap()
        .iter()
        .chain(kept.as_object().unwrap())
    {
        body[name.as_str()] = value.clone();
    }
    let response = register(&hub, &body, None).await.unwrap();
    for name in dropped.as_object().unwrap().keys() {
        assert!(response.get(name).is_none(), "{name}");
    }
    let token = text(&response, "registration_access_token");
    let id = text(&response, "client_id");
    let again = hub
        .engine
        .read_registration(id, Some(token), &source())
        .await;
    let again = serde_json::to_value(again.unwrap()).unwrap();
    for (name, value) in kept.as_object().unwrap() {
        assert_eq!(&response[name], value, "{name}");
    }
    // DCRM-04: the same from the seal, credentials included.
    assert_eq!(again, response);
}

/// DCR-31, DCR-02, DCR-17, DCR-18, DCR-20, DCR-27, DCR-30, R1, R2: refused by the code that the table
/// of errors says, and nothing is written.
#[tokio::test]
async fn bad_bodies_are_refused_by_their_code() {
    let hub = Hub::start().await;
    let with = |name: &str, value: Value| {
        let mut body = public_client();
        body[name] = value;
        body
    };
    let many: Vec<_> = (0..19)
        .map(|n| format!("https://agent.example/a/rather/long/path/to/the/callback/{n}"))
        .collect();
    let private = json!({"keys": [{"kty": "oct", "k": "c2VjcmV0"}]});
    #[rustfmt::skip]
    let rows = [
        (with("redirect_uris", json!([])),                            "invalid_redirect_uri"),
        (with("redirect_uris", json!(["javascript:alert(1)"])),       "invalid_redirect_uri"),
        (with("redirect_uris", json!(["http://agent.example/cb"])),   "invalid_redirect_uri"),
        (with("redirect_uris", json!(["https://agent.example/#x"])),  "invalid_redirect_uri"),
        (with("redirect_uris", json!("https://agent.example/")),      "invalid_client_metadata"),
        (with("redirect_uris", json!(many)),                          "invalid_client_metadata"),
        (with("grant_types", json!(["client_credentials"])),          "invalid_client_metadata"),
        (with("jwks", private),                                       "invalid_client_metadata"),
        (json!([]),                                                   "invalid_client_metadata"),
        (with("client_name", json!("x".repeat(70_000))),              "invalid_client_metadata"),
    ];
    for (body, code) in rows {
        let result = register(&hub, &body, None).await;
        assert_eq!(result, refused(code, Shape::Request), "{body:.100}");
    }
    let body = b"{\"redirect_uris\":[]";
    let cut = hub.engine.register(body, None, &source()).await;
    assert_eq!(outcome(&cut), "invalid_client_metadata");
}

/// DCR-03, DCR-04, QUIRK-04, DCRM-16: who may come in by which mode.
#[tokio::test]
async fn the_door_has_four_modes() {
    let hub = Hub::start().await;
    let body = public_client();
    let open = register(&hub, &body, None).await.unwrap();
    let management = text(&open, "registration_access_token");
    #[rustfmt::skip]
    let rows = [
        (DcrMode::Off,      None,             "invalid_request", Shape::Forbidden),
        (DcrMode::Token,    None,             "invalid_token",   Shape::BearerMissing),
        (DcrMode::Token,    Some("vit_x"),    "invalid_token",   Shape::BearerInvalid),
        (DcrMode::Token,    Some(management), "invalid_token",   Shape::BearerInvalid),
    ];
    for (mode, bearer, code, shape) in rows {
        hub.change(SettingsChange::Dcr(mode)).await;
        let result = register(&hub, &body, bearer).await;
        assert_eq!(result, refused(code, shape), "{mode:?}");
    }
    // Where an admin approves, anybody registers: the app waits when a person comes with it.
    hub.change(SettingsChange::Dcr(DcrMode::Approval)).await;
    assert!(register(&hub, &body, None).await.is_ok());
}

async fn initial_token(hub: &Hub, uses: u32, scopes: Option<&str>, hosts: &[&str]) -> String {
    let new = NewInitialToken {
        note: "for a team".to_owned(),
        uses,
        life: Duration::from_hours(1),
        scopes: scopes.map(ScopeSet::from_text),
        redirect_hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
        client_credentials: false,
    };
    let token = hub.engine.issue_initial_token(new, Actor::System).await;
    token.unwrap().into_inner()
}

/// DCR-04, DCR-14: clamps of host, scope, count and time; a refused body costs the holder nothing.
#[tokio::test]
async fn an_initial_access_token_clamps_what_it_lets_in() {
    let hub = Hub::builder().dcr(DcrMode::Token).start().await;
    let token = initial_token(&hub, 1, Some("mcp:read"), &["agent.example"]).await;
    let bearer = Some(token.as_str());
    let mut body = public_client();
    for uri in [
        "https://agent.example.evil.example/cb",
        "http://localhost/cb",
        "cursor://x/cb",
    ] {
        body["redirect_uris"] = json!([CALLBACK, uri]);
        let result = register(&hub, &body, bearer).await;
        assert_eq!(result, refused("invalid_redirect_uri", Shape::Request));
    }
    let mut body = public_client();
    body["scope"] = json!("mcp:read mcp:delete");
    let response = register(&hub, &body, bearer).await.unwrap();
    assert_eq!(response["scope"], "mcp:read");
    let spent = register(&hub, &body, bearer).await;
    assert_eq!(spent, refused("invalid_token", Shape::BearerInvalid));

    // The clamp holds at the consent page whatever is asked for (R12, QUIRK-64).
    let mut visit = Visit::signed_in(&hub, "ada").await;
    let asked = [("scope", "mcp:read mcp:write mcp:delete")];
    let page = consent(visit.ask(text(&response, "client_id"), &asked).await);
    assert_eq!(page.scopes.read.len(), 1);
    assert!(page.scopes.write.is_empty() && page.scopes.destructive.is_empty());

    let token = initial_token(&hub, 1, None, &[]).await;
    hub.advance(3600).await;
    let late = register(&hub, &body, Some(token.as_str())).await;
    assert_eq!(late, refused("invalid_token", Shape::BearerInvalid));
}

/// Of twenty holders of the last use one registers.
#[tokio::test]
async fn the_last_use_of_an_initial_access_token_is_used_once() {
    let hub = Hub::builder().dcr(DcrMode::Token).start().await;
    let token = initial_token(&hub, 1, None, &[]).await;
    let body = serde_json::to_vec(&public_client()).unwrap();
    let mut tries = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (engine, token, body) = (hub.engine.clone(), token.clone(), body.clone());
        tries.spawn(async move {
            engine
                .register(&body, Some(&token), &source())
                .await
                .is_ok()
        });
    }
    let let_in = tries.join_all().await.into_iter().filter(|ok| *ok).count();
    assert_eq!(let_in, 1);
}

/// Design 4: a closed door stops first appearances, sealed ids from before included; who has a row
/// goes on, and who came with an admin's token is let in as long as the door is not off.
#[tokio::test]
async fn a_closed_door_stops_first_appearances_only() {
    let hub = Hub::start().await;
    let newcomer = register(&hub, &public_client(), None).await.unwrap();
    let newcomer = text(&newcomer, "client_id");
    let stored = register(&hub, &public_client(), None).await.unwrap();
    let stored = text(&stored, "client_id");
    let mut visit = Visit::signed_in(&hub, "ada").await;
    let page = consent(visit.ask(stored, &[]).await);
    redirect(visit.allow(&page, &["mcp:read"]).await);
    hub.change(SettingsChange::Dcr(DcrMode::Token)).await;
    let token = initial_token(&hub, 1, None, &[]).await;
    let vouched = register(&hub, &public_client(), Some(&token))
        .await
        .unwrap();
    let vouched = text(&vouched, "client_id");
    #[rustfmt::skip]
    let rows = [
        (DcrMode::Open,     ["consent", "consent", "consent"]),
        (DcrMode::Token,    ["show",    "consent", "consent"]),
        (DcrMode::Approval, ["waiting", "consent", "consent"]),
        (DcrMode::Off,      ["show",    "consent", "show"]),
    ];
    for (mode, expected) in rows {
        hub.change(SettingsChange::Dcr(mode)).await;
        for (id, expected) in [newcomer, stored, vouched].into_iter().zip(expected) {
            assert_eq!(word(&visit.ask(id, &[]).await), expected, "{mode:?}");
        }
    }
    let page = shown(visit.ask(newcomer, &[]).await);
    assert_eq!(page.status, FailureStatus::Forbidden);
}

/// DCR-28, SLR-07: 90 days after the registration the page names the app and says what to do; a forged or
/// respelled id is nobody's.
#[tokio::test]
async fn an_old_id_says_reconnect_and_a_changed_one_is_unknown() {
    let hub = Hub::start().await;
    let response = register(&hub, &public_client(), None).await.unwrap();
    let id = text(&response, "client_id");
    let mut visit = Visit::signed_in(&hub, "ada").await;
    let mut forged = Vec::new();
    for at in [id.len() / 2, id.len() - 1] {
        for letter in ['A', 'B', '-'] {
            let mut other = id.to_owned();
            other.replace_range(at..=at, &letter.to_string());
            forged.push(other);
        }
    }
    forged.push(format!("{id}A"));
    let mut cut = id.to_owned();
    cut.pop();
    forged.push(cut);
    for other in forged.iter().filter(|other| *other != id) {
        let page = shown(visit.ask(other, &[]).await);
        assert_eq!(page.title, "Unknown app", "{other}");
    }
    hub.advance(90 * 24 * 3600 - 1).await;
    let mut visit = Visit::signed_in(&hub, "ada").await;
    consent(visit.ask(id, &[]).await);
    hub.advance(1).await;
    let page = shown(visit.ask(id, &[]).await);
    assert_eq!(page.title, "Reconnect your app");
    assert!(page.explanation.contains("“Agent”"), "{}", page.explanation);
    assert!(page.hint.unwrap().contains("add it again"));
}

/// R15, invariant 1, QUIRK-06: a flood of registrations leaves the folder as it was, to the byte.
#[tokio::test]
async fn registrations_leave_no_byte_behind() {
    let hub = Hub::start().await;
    let before = hub.settled_bytes().await;
    let body = serde_json::to_vec(&confidential_client("client_secret_post")).unwrap();
    for _ in 0..5_000 {
        hub.engine.register(&body, None, &source()).await.unwrap();
    }
    let after = hub.settled_bytes().await;
    assert!(
        after == before,
        "{} bytes, then {}",
        before.len(),
        after.len()
    );
}

/// DCR-03, P4: a source that floods is slowed down; its neighbours are not.
#[tokio::test]
async fn a_flood_from_one_source_is_slowed_down() {
    let hub = Hub::builder().limits().start().await;
    let body = serde_json::to_vec(&public_client()).unwrap();
    let mut last = None;
    for _ in 0..70 {
        last = refusal(hub.engine.register(&body, None, &source()).await);
    }
    let (code, shape) = last.unwrap();
    assert_eq!(code, "temporarily_unavailable");
    assert!(matches!(shape, Shape::Throttled { retry_after: 1.. }));
    let other = source_of("198.51.100.9");
    assert!(hub.engine.register(&body, None, &other).await.is_ok());
}

/// DCR-35: registered on one node, known on the other at once, since nothing had to travel.
#[tokio::test]
async fn a_registration_is_known_on_every_node_at_once() {
    let hub = Hub::start().await;
    let other = hub.second_node().await;
    let response = register(&hub, &public_client(), None).await.unwrap();
    let id = text(&response, "client_id");
    let mut visit = Visit::signed_in(&other, "ada").await;
    let here = consent(visit.ask(id, &[]).await);
    // Design 4.1: two people on two nodes approve it for the first time, and both win.
    let mut second = Visit::signed_in(&hub, "bea").await;
    let there = consent(second.ask(id, &[]).await);
    let (one, two) = tokio::join!(
        visit.allow(&here, &["mcp:read"]),
        second.allow(&there, &["mcp:read"])
    );
    assert_eq!((word(&one), word(&two)), ("code".into(), "code".into()));
    assert!(matches!(hub.lookup(id).await, ClientLookup::Active(_)));
    assert_eq!(hub.store.count_clients().await.unwrap(), 1);
}

/// SWS-01, R19: a software statement is not supported, so it is ignored whole, whoever signed it, and
/// left out of the answer: what it says of names, redirects and software raises and opens nothing.
#[tokio::test]
async fn a_software_statement_raises_nothing() {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    const VENDOR: &str = "https://claude.ai/api/mcp/auth_callback";
    let part = |json: Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let claims = json!({
        "iss": ISSUER, "software_id": "vendor", "client_name": "Claude", "redirect_uris": [VENDOR],
        "scope": "mcp:delete", "grant_types": ["client_credentials"],
        "token_endpoint_auth_method": "client_secret_basic",
    });
    let payload = part(claims.clone());
    let (key, _) = SigningKey::generate(Algorithm::Es256).unwrap();
    let statements = [
        json!(format!("{}.{payload}.", part(json!({"alg": "none"})))),
        json!(format!(
            "{}.{payload}.{payload}",
            part(json!({"alg": "RS256", "jku": "https://evil.example"}))
        )),
        json!(key.sign(None, claims.to_string().as_bytes()).unwrap()),
        json!("no JWT"),
        json!({"client_name": "Claude"}),
        json!(null),
    ];
    let hub = Hub::start().await;
    let mut visit = Visit::signed_in(&hub, "ada").await;
    let usual = register(&hub, &public_client(), None).await.unwrap();
    let plain = consent(visit.ask(text(&usual, "client_id"), &[]).await);
    let members = |answer: &Value| {
        let mut members = answer.as_object().unwrap().clone();
        members.retain(|name, _| !name.starts_with("registration_") && name != "client_id");
        members
    };
    for statement in statements {
        let mut body = public_client();
        body["software_statement"] = statement.clone();
        let answer = register(&hub, &body, None).await.unwrap();
        assert_eq!(members(&answer), members(&usual), "{statement}");
        let id = text(&answer, "client_id");
        assert_eq!(id.len(), text(&usual, "client_id").len(), "{statement}");
        let page = consent(visit.ask(id, &[]).await);
        assert_eq!(page.badge, Badge::Unverified, "{statement}");
        assert_eq!(
            (page.claims_name, page.reasons, page.warnings),
            (
                plain.claims_name.clone(),
                plain.reasons.clone(),
                plain.warnings.clone()
            ),
            "{statement}"
        );
        let elsewhere = visit.ask(id, &[("redirect_uri", VENDOR)]).await;
        assert_eq!(word(&elsewhere), "show", "{statement}");
        // What is missing is missing, whatever the statement holds.
        body.as_object_mut().unwrap().remove("redirect_uris");
        assert!(register(&hub, &body, None).await.is_err(), "{statement}");
    }
}
