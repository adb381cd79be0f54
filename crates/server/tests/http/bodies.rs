//! Exact error bodies and their headers, as programs parse them.

use std::sync::atomic::Ordering;

use axum::{body::Body, http::StatusCode};
use serde_json::json;
use vestibule_engine::SettingsChange;
use vestibule_protocol::trust::DcrMode;

use crate::{
    coverage::all_routes,
    support::{
        Answer, Browser, CALLBACK, DOCUMENT, Form, Hub, RS_BASIC, VERIFIER, authorize_pairs,
        encode, public_client, request,
    },
};

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

/// GEN-06, GEN-07, QUIRK-46: an object with `error` and `error_description` of plain ASCII, that
/// nobody keeps.
fn assert_error(answer: &Answer, status: StatusCode, code: &str, what: &str) {
    assert_eq!(answer.status, status, "{what}: {}", answer.text());
    assert_eq!(answer.header("content-type"), JSON, "{what}");
    assert_eq!(answer.header("cache-control"), "no-store", "{what}");
    assert_eq!(answer.header("pragma"), "no-cache", "{what}");
    let body = answer.json();
    assert_eq!(body["error"], code, "{what}: {body}");
    let allowed = |byte: u8| matches!(byte, 0x20 | 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    for member in ["error", "error_description"] {
        let text = body[member].as_str().unwrap();
        assert!(
            !text.is_empty() && text.bytes().all(allowed),
            "{what}: {text}"
        );
    }
    assert_eq!(body.as_object().unwrap().len(), 2, "{what}: {body}");
}

/// GEN-06, GEN-07, QUIRK-46: each endpoint for programs, asked for nothing that it could do, with
/// text that must not come back as it is.
#[tokio::test]
async fn errors_are_small_json_objects_that_nobody_keeps() {
    let hub = Hub::start().await;
    let hostile = "\"\\ä\u{7f}<b>";
    let invalid_client = (StatusCode::UNAUTHORIZED, "invalid_client");
    for (path, pairs, (status, code)) in [
        (
            "/token",
            vec![],
            (StatusCode::BAD_REQUEST, "invalid_request"),
        ),
        (
            "/token",
            vec![("grant_type", hostile), ("client_id", "x")],
            (StatusCode::BAD_REQUEST, "unsupported_grant_type"),
        ),
        (
            "/token",
            vec![
                ("grant_type", "authorization_code"),
                ("code", hostile),
                ("client_id", hostile),
            ],
            invalid_client,
        ),
        (
            "/revoke",
            vec![("token", hostile), ("client_id", hostile)],
            invalid_client,
        ),
        (
            "/introspect",
            vec![("token", hostile), ("client_id", hostile)],
            invalid_client,
        ),
        ("/par", vec![("client_id", hostile)], invalid_client),
    ] {
        let what = format!("{path} {pairs:?}");
        let answer = hub.post(path, &pairs).await;
        assert_error(&answer, status, code, &what);
    }
}

/// GEN-08: a client that failed by the header learns the scheme; one that failed by the body gets
/// no challenge.
#[tokio::test]
async fn a_failed_client_is_challenged_in_the_scheme_that_it_used() {
    let hub = Hub::start().await;
    hub.add_resource_server().await;
    // rs:wrong
    let wrong = [("authorization", "Basic cnM6d3Jvbmc=")];
    for (path, pairs) in [
        ("/token", vec![("grant_type", "client_credentials")]),
        ("/introspect", vec![("token", "x")]),
        ("/revoke", vec![("token", "x")]),
        ("/par", vec![("response_type", "code")]),
    ] {
        let answer = hub.post_with(path, &pairs, &wrong).await;
        assert_error(&answer, StatusCode::UNAUTHORIZED, "invalid_client", path);
        assert_eq!(
            answer.header("www-authenticate"),
            "Basic realm=\"vestibule\""
        );
        let mut pairs = pairs;
        pairs.extend([("client_id", "rs"), ("client_secret", "wrong")]);
        let answer = hub.post(path, &pairs).await;
        assert_error(&answer, StatusCode::UNAUTHORIZED, "invalid_client", path);
        assert_eq!(answer.header("www-authenticate"), "", "{path}");
    }
}

/// GEN-09: what stands in a query is in every log on the way; it proves nothing.
#[tokio::test]
async fn secrets_and_tokens_in_the_query_are_not_looked_at() {
    let hub = Hub::start().await;
    hub.add_resource_server().await;
    for path in ["/token", "/introspect", "/revoke", "/par"] {
        for query in [
            "client_id=rs&client_secret=secret",
            "client_assertion=a",
            "a&client%5Fsecret=s",
        ] {
            let target = format!("{path}?{query}");
            let answer = hub
                .post(&target, &[("token", "x"), ("grant_type", "x")])
                .await;
            assert_error(&answer, StatusCode::UNAUTHORIZED, "invalid_client", &target);
        }
    }
    // Parameters of the query are no parameters: the form is empty.
    let target = format!("/introspect?{}", encode(&[("token", "x")]));
    let answer = hub
        .post_with(&target, &[], &[("authorization", RS_BASIC)])
        .await;
    assert_error(&answer, StatusCode::BAD_REQUEST, "invalid_request", &target);
    for target in ["/userinfo?access_token=x", "/register/x?access_token=x"] {
        let answer = hub.get(target).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{target}");
    }
    let answer = hub.post("/userinfo", &[("access_token", "x")]).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
}

/// GEN-18: without a token the challenge holds no error; with a bad one it says `invalid_token`.
#[tokio::test]
async fn a_missing_token_is_asked_for_and_a_bad_one_is_named() {
    let hub = Hub::start().await;
    let client_id = hub.registered(&public_client()).await;
    let configuration = format!("/register/{client_id}");
    for path in ["/userinfo", configuration.as_str()] {
        let answer = hub.get(path).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path}");
        let challenge = answer.header("www-authenticate");
        assert!(
            challenge.starts_with("Bearer realm="),
            "{path}: {challenge}"
        );
        assert!(!challenge.contains("error"), "{path}: {challenge}");
        for bad in ["Bearer x", "bearer a.b.c", "BEARER vrt_x"] {
            let request = request("GET", path).header("authorization", bad);
            let answer = hub.send(request.body(Body::empty()).unwrap()).await;
            assert_error(&answer, StatusCode::UNAUTHORIZED, "invalid_token", path);
            let challenge = answer.header("www-authenticate");
            assert!(challenge.starts_with("Bearer "), "{path}: {challenge}");
            assert!(
                challenge.contains("error=\"invalid_token\""),
                "{path}: {challenge}"
            );
        }
    }
}

/// DCR-02, DCR-29, DCR-30: which error for which body.
#[tokio::test]
async fn registrations_fail_by_their_own_codes() {
    let hub = Hub::start().await;
    let metadata = "invalid_client_metadata";
    let redirect = "invalid_redirect_uri";
    for (body, code) in [
        ("", metadata),
        ("{", metadata),
        ("[]", metadata),
        ("null", metadata),
        ("\"text\"", metadata),
        ("{}{}", metadata),
        (r#"{"redirect_uris":"https://a.example/"}"#, metadata),
        (
            r#"{"redirect_uris":["https://a.example/"],"client_name":7}"#,
            metadata,
        ),
        (
            r#"{"redirect_uris":["https://a.example/"],"redirect_uris":[]}"#,
            metadata,
        ),
        (
            r#"{"redirect_uris":["https://a.example/"],"token_endpoint_auth_method":"magic"}"#,
            metadata,
        ),
        (
            r#"{"redirect_uris":["https://a.example/"],"grant_types":["password"]}"#,
            metadata,
        ),
        (r#"{"redirect_uris":[]}"#, redirect),
        (r#"{"redirect_uris":["http://a.example/"]}"#, redirect),
        (r#"{"redirect_uris":["https://a.example/#f"]}"#, redirect),
        (r#"{"redirect_uris":["javascript:alert(1)"]}"#, redirect),
        (
            r#"{"redirect_uris":["https://a.example/","/relative"]}"#,
            redirect,
        ),
    ] {
        let answer = hub.post_body("/register", JSON, body).await;
        assert_error(&answer, StatusCode::BAD_REQUEST, code, body);
    }
}

/// QUIRK-48: members that mean nothing here fail nothing, and are not echoed.
#[tokio::test]
async fn unknown_members_of_a_registration_are_ignored() {
    let hub = Hub::start().await;
    for (member, value) in [
        ("software_statement", json!("a.b.c")),
        ("x_vendor", json!({"a": [1]})),
        ("skip_consent", json!(true)),
        ("trusted", json!(true)),
    ] {
        let mut body = public_client();
        body[member] = value;
        let answer = hub.register(&body).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{member}");
        assert!(answer.json().get(member).is_none(), "{member}");
    }
}

/// DCR-02, R18: a form of another site cannot register anybody: 415, in the same shape.
#[tokio::test]
async fn only_json_registers() {
    let hub = Hub::start().await;
    let body = public_client().to_string();
    for media in [
        "text/plain",
        FORM,
        "multipart/form-data",
        "application/jsonx",
        "text/json",
        "",
    ] {
        let answer = hub.post_body("/register", media, body.clone()).await;
        let unsupported = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        assert_error(&answer, unsupported, "invalid_client_metadata", media);
    }
    let bare = request("POST", "/register").body(Body::from(body.clone()));
    let answer = hub.send(bare.unwrap()).await;
    assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    for media in ["application/json", "Application/JSON; charset=utf-8"] {
        let answer = hub.post_body("/register", media, body.clone()).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{media}");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("pragma"), "no-cache");
    }
}

/// DCR-31: the body's limit is 64 KiB, exactly, and over it is 413.
#[tokio::test]
async fn a_body_over_64_kib_is_too_large() {
    let hub = Hub::start().await;
    let padded = |bytes: usize| {
        let mut body = public_client().to_string();
        body.extend(std::iter::repeat_n(' ', bytes - body.len()));
        body
    };
    let answer = hub.post_body("/register", JSON, padded(64 << 10)).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
    let answer = hub
        .post_body("/register", JSON, padded((64 << 10) + 1))
        .await;
    assert_error(
        &answer,
        StatusCode::PAYLOAD_TOO_LARGE,
        "invalid_client_metadata",
        "register",
    );
    for route in all_routes() {
        if route.methods.contains(&"POST") && !matches!(&*route.path, "/register" | "/userinfo") {
            let body = format!("a={}", "b".repeat(64 << 10));
            let answer = hub.post_body(&route.path, FORM, body).await;
            assert_eq!(
                answer.status,
                StatusCode::PAYLOAD_TOO_LARGE,
                "{}",
                route.path
            );
        }
    }
}

/// DCR-31, DCR-30: too many or too long redirect URIs.
#[tokio::test]
async fn a_registration_has_bounds() {
    let hub = Hub::start().await;
    let uris = |count: usize| {
        (0..count)
            .map(|n| format!("https://a.example/{n}"))
            .collect::<Vec<_>>()
    };
    let long = |bytes: usize| format!("https://a.example/{}", "p".repeat(bytes - 18));
    for (redirect_uris, fine) in [
        (uris(20), true),
        (uris(21), false),
        (vec![long(2_048 + 1)], false),
    ] {
        let mut body = public_client();
        body["redirect_uris"] = json!(redirect_uris);
        let answer = hub.register(&body).await;
        if fine {
            assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
        } else {
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.text());
            assert_eq!(answer.header("cache-control"), "no-store");
        }
    }
}

/// QUIRK-04, AS-16: old SDKs register unasked; a closed door says so in JSON, and the metadata
/// does not name it.
#[tokio::test]
async fn a_closed_door_says_that_it_is_closed() {
    let hub = Hub::start().await;
    let metadata = "/.well-known/oauth-authorization-server";
    let before = hub.get(metadata).await;
    assert!(before.json()["registration_endpoint"].is_string());
    hub.change(SettingsChange::Dcr(DcrMode::Off)).await;
    let answer = hub.register(&public_client()).await;
    assert_error(
        &answer,
        StatusCode::FORBIDDEN,
        "invalid_request",
        "register",
    );
    assert_eq!(
        answer.json()["error_description"],
        "dynamic client registration is disabled"
    );
    let after = hub.get(metadata).await;
    assert!(after.json().get("registration_endpoint").is_none());
    assert_ne!(before.header("etag"), after.header("etag"));
}

/// QUIRK-54, GEN-02: one media type, with or without parameters; anything else is refused, and
/// nothing is issued.
#[tokio::test]
async fn forms_have_one_media_type() {
    let hub = Hub::start().await;
    let body = "grant_type=authorization_code&client_id=x&code=y";
    for media in [
        FORM,
        "application/x-www-form-urlencoded; charset=UTF-8",
        "APPLICATION/X-WWW-FORM-URLENCODED;a=b;c",
    ] {
        let answer = hub.post_body("/token", media, body).await;
        assert_ne!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{media}");
    }
    for path in ["/token", "/par", "/revoke", "/introspect"] {
        for media in [
            JSON,
            "multipart/form-data; boundary=x",
            "text/plain",
            "x-www-form-urlencoded",
            "",
        ] {
            let answer = hub.post_body(path, media, body).await;
            let unsupported = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            assert_error(
                &answer,
                unsupported,
                "invalid_request",
                &format!("{path} {media}"),
            );
        }
    }
}

/// GEN-03: twice is once too often, except for `resource`.
#[tokio::test]
async fn a_parameter_that_is_there_twice_is_refused() {
    let hub = Hub::start().await;
    let client_id = hub.registered(&public_client()).await;
    let twice = [
        ("grant_type", "authorization_code"),
        ("client_id", client_id.as_str()),
        ("scope", "a"),
        ("scope", "a"),
    ];
    let answer = hub.post("/token", &twice).await;
    assert_error(&answer, StatusCode::BAD_REQUEST, "invalid_request", "scope");
    let resources = [
        ("grant_type", "authorization_code"),
        ("client_id", client_id.as_str()),
        ("code", "vco_unknown"),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
        ("resource", "https://a.example/"),
        ("resource", "https://b.example/"),
    ];
    let answer = hub.post("/token", &resources).await;
    assert_ne!(answer.json()["error"], "invalid_request");
}

/// P11: a store that fails is our trouble: 503 with `Retry-After`, never a protocol answer that
/// makes clients drop what they hold.
#[tokio::test]
async fn a_broken_store_is_not_the_client_s_fault() {
    let hub = Hub::start().await;
    let client_id = hub.registered(&public_client()).await;
    hub.add_user("ada").await;
    let mut browser = Browser::default();
    let page = browser.reach_consent(&hub, &client_id, "ada").await;
    let form = Form::of(&page.text()).set("decision", "approve");
    hub.break_store().await;
    let answer = browser.submit(&hub, &form).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_ne!(answer.header("retry-after"), "");
    assert_eq!(answer.location(), "");
    // Who only reads or seals goes on.
    let answer = hub.register(&public_client()).await;
    assert_eq!(answer.status, StatusCode::CREATED);
}

/// One request for each endpoint that asks who a client is.
async fn ask_everywhere(hub: &Hub, id: &str) -> Vec<(String, Answer)> {
    let mut answers = Vec::new();
    let authorize = authorize_pairs(id);
    let path = format!("/authorize?{}", encode(&authorize));
    answers.push(("GET /authorize".to_owned(), hub.get(&path).await));
    for (path, pairs) in [
        ("/authorize", authorize.clone()),
        ("/par", authorize),
        (
            "/token",
            vec![
                ("grant_type", "authorization_code"),
                ("client_id", id),
                ("code", "vco_unknown"),
                ("code_verifier", VERIFIER),
            ],
        ),
        (
            "/token",
            vec![
                ("grant_type", "refresh_token"),
                ("client_id", id),
                ("refresh_token", "rt_unknown"),
            ],
        ),
        (
            "/token",
            vec![("grant_type", "client_credentials"), ("client_id", id)],
        ),
        ("/revoke", vec![("client_id", id), ("token", "unknown")]),
        ("/introspect", vec![("client_id", id), ("token", "unknown")]),
    ] {
        let what = format!("POST {path} {:?}", pairs.first());
        answers.push((what, hub.post(path, &pairs).await));
    }
    let escaped: String = url::form_urlencoded::byte_serialize(id.as_bytes()).collect();
    for method in ["GET", "PUT", "DELETE"] {
        let path = format!("/register/{escaped}");
        let asked = request(method, &path)
            .header("content-type", JSON)
            .header("authorization", "Bearer vrt_unknown")
            .body(Body::from("{}"));
        let answer = hub.send(asked.unwrap()).await;
        answers.push((format!("{method} /register/…"), answer));
    }
    answers
}

/// R17, P11, CIMD-73: a look-up that fails is our trouble at every endpoint: 503 with `Retry-After`,
/// never "unknown", and never a step on to the seal or the document. Afterwards everything goes on.
#[tokio::test]
async fn a_client_look_up_that_fails_makes_nobody_unknown() {
    let hub = Hub::start().await;
    hub.add_resource_server().await;
    hub.add_user("ada").await;
    hub.serve_document(&json!({}));
    let sealed = hub.registered(&public_client()).await;
    let mut browser = Browser::default();
    let page = browser.reach_consent(&hub, &sealed, "ada").await;
    let decision = Form::of(&page.text()).set("decision", "approve");
    let ids = ["rs", &sealed, DOCUMENT, "nobody"];
    for id in ids {
        for (what, answer) in ask_everywhere(&hub, id).await {
            assert!(!answer.status.is_server_error(), "{id} {what}: {answer:?}");
        }
    }
    let fetched = hub.documents.document_asks.load(Ordering::SeqCst);
    assert!(fetched > 0);
    hub.hide_clients().await;
    for id in ids {
        for (what, answer) in ask_everywhere(&hub, id).await {
            let what = format!("{id} {what}");
            assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{what}");
            let wait: u64 = answer.header("retry-after").parse().unwrap();
            assert!((1..=60).contains(&wait), "{what}: {wait}");
            assert_eq!(answer.location(), "", "{what}");
            assert!(!answer.text().contains("invalid_client"), "{what}");
            if !what.contains("/authorize") {
                let code = "temporarily_unavailable";
                assert_error(&answer, StatusCode::SERVICE_UNAVAILABLE, code, &what);
            }
        }
    }
    let basic = [("authorization", RS_BASIC)];
    let answer = hub
        .post_with("/introspect", &[("token", "unknown")], &basic)
        .await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    let answer = browser.submit(&hub, &decision).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_ne!(answer.header("retry-after"), "");
    let asked = hub.documents.document_asks.load(Ordering::SeqCst);
    assert_eq!(
        asked, fetched,
        "a look-up that failed went on to a document"
    );
    hub.show_clients().await;
    let answer = hub
        .post_with("/introspect", &[("token", "unknown")], &basic)
        .await;
    assert_eq!(answer.json(), json!({"active": false}));
    let answer = browser.submit(&hub, &decision).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text());
}
