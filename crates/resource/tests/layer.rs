//! The layer around somebody else's router, against a hub that only publishes metadata and keys.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use axum::{
    Router,
    body::Body,
    http::{Method, Request, Response, StatusCode},
    routing::{any, get},
};
use http_body_util::BodyExt as _;
use tokio::net::TcpListener;
use tower::ServiceExt as _;
use vestibule_jwt::{AccessTokenClaims, Algorithm, Audience, JwkSet, SigningKey};
use vestibule_resource::{McpScopes, Protection, ProtectionSettings, VerifiedToken};

const RESOURCE: &str = "https://mcp.example/mcp";
const METADATA: &str = "https://mcp.example/.well-known/oauth-protected-resource/mcp";

struct World {
    issuer: String,
    key: SigningKey,
    app: Router,
    asked_for_keys: Arc<AtomicUsize>,
}

impl World {
    async fn start() -> Self {
        Self::start_signing(Algorithm::Es256).await
    }

    /// Against a hub that signs with this algorithm.
    async fn start_signing(algorithm: Algorithm) -> Self {
        let (key, _) = SigningKey::generate(algorithm).unwrap();
        let keys = JwkSet::of(vec![key.public_jwk().clone()]).to_json();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let metadata = serde_json::json!({
            "issuer": issuer, "jwks_uri": format!("{issuer}/jwks.json"),
        });
        let asked_for_keys = Arc::new(AtomicUsize::new(0));
        let counter = asked_for_keys.clone();
        let hub = Router::new()
            .route(
                "/.well-known/oauth-authorization-server",
                get(move || async move { axum::Json(metadata) }),
            )
            .route(
                "/jwks.json",
                get(move || async move {
                    counter.fetch_add(1, Ordering::Relaxed);
                    keys
                }),
            );
        tokio::spawn(async move { axum::serve(listener, hub).await });
        let scopes = McpScopes::default()
            .any(["mcp:read"])
            .tool("write_note", ["mcp:write"])
            .implies("mcp:admin", ["mcp:read", "mcp:write"]);
        let settings = ProtectionSettings::new(&issuer, RESOURCE)
            .unwrap()
            .scopes(scopes);
        let protection = Protection::new(settings.name("Notes")).unwrap();
        // What is behind says what it was given.
        let behind = any(|request: Request<Body>| async move {
            let token = request
                .extensions()
                .get::<VerifiedToken>()
                .cloned()
                .unwrap();
            let inbound = request.headers().contains_key("authorization");
            let body = request.into_body().collect().await.unwrap().to_bytes();
            format!("{} {inbound} {}", token.subject(), body.len())
        });
        let app = Router::new()
            .route("/mcp", behind)
            .layer(protection.layer());
        Self {
            issuer,
            key,
            app,
            asked_for_keys,
        }
    }

    fn claims(&self) -> AccessTokenClaims {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs();
        AccessTokenClaims {
            iss: self.issuer.clone(),
            sub: "u_1".to_owned(),
            aud: Audience::One(RESOURCE.to_owned()),
            client_id: "c".to_owned(),
            scope: Some("mcp:read".to_owned()),
            iat: now,
            exp: now + 600,
            jti: "j".to_owned(),
            auth_time: None,
            gid: None,
            ck: None,
            rev: None,
        }
    }

    fn token(&self, change: impl FnOnce(&mut AccessTokenClaims)) -> String {
        let mut claims = self.claims();
        change(&mut claims);
        self.key.sign_access_token(&claims).unwrap()
    }

    async fn send(&self, request: Request<Body>) -> Response<Body> {
        self.app.clone().oneshot(request).await.unwrap()
    }

    async fn call(&self, token: Option<&str>, body: &str) -> Response<Body> {
        let mut request = Request::builder().method(Method::POST).uri("/mcp");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        self.send(request.body(Body::from(body.to_owned())).unwrap())
            .await
    }
}

fn challenge(answer: &Response<Body>) -> String {
    let value = answer
        .headers()
        .get("www-authenticate")
        .expect("a challenge");
    value.to_str().unwrap().to_owned()
}

const LOOK: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whoami"}}"#;
const WRITE: &str =
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"write_note"}}"#;

/// AT-01: whatever the hub signs with, the layer verifies; RS256 among it.
#[tokio::test]
async fn tokens_of_every_algorithm_are_let_in() {
    for algorithm in [Algorithm::EdDsa, Algorithm::Es256, Algorithm::Rs256] {
        let world = World::start_signing(algorithm).await;
        let good = world.token(|_| {});
        let answer = world.call(Some(&good), LOOK).await;
        assert_eq!(answer.status(), StatusCode::OK, "{algorithm}");
        // Another key of the same algorithm under the same name is not the hub's.
        let other = World::start_signing(algorithm).await;
        let (signed, _) = good.rsplit_once('.').unwrap();
        let foreign = other.token(|_| {});
        let (_, signature) = foreign.rsplit_once('.').unwrap();
        let forged = format!("{signed}.{signature}");
        let answer = world.call(Some(&forged), LOOK).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{algorithm}");
    }
}

/// MCP-RS-01, MCP-RS-02, MCP-RS-03, MCP-RS-04, MCP-RS-13, MCP-RS-14, PRM-02, PRM-03, PRM-04,
/// PRM-12, QUIRK-29: on the resource's path and at the root, and nothing else below it.
#[tokio::test]
async fn the_metadata_is_published_on_path_and_root() {
    let world = World::start().await;
    for path in [
        "/.well-known/oauth-protected-resource/mcp",
        "/.well-known/oauth-protected-resource",
    ] {
        let request = Request::get(path).header("origin", "https://inspector.example");
        let answer = world.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()["content-type"], "application/json");
        assert_eq!(answer.headers()["access-control-allow-origin"], "*");
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let metadata: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            metadata,
            serde_json::json!({
                "resource": RESOURCE, "authorization_servers": [world.issuer],
                "scopes_supported": ["mcp:read"], "bearer_methods_supported": ["header"],
                "resource_name": "Notes",
            })
        );
    }
    let other = Request::get("/.well-known/oauth-protected-resource/other");
    let answer = world.send(other.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    let post = Request::post("/.well-known/oauth-protected-resource");
    let answer = world.send(post.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
}

/// MCP-RS-06, MCP-RS-08, MCP-RS-09, GEN-18, QUIRK-52: no token is a 401 without an error, however
/// it is not there.
#[tokio::test]
async fn a_stranger_is_told_where_to_read_on() {
    let world = World::start().await;
    let good = world.token(|_| {});
    let expected = format!("Bearer scope=\"mcp:read\", resource_metadata=\"{METADATA}\"");
    let nothing = world.call(None, LOOK).await;
    assert_eq!(nothing.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(challenge(&nothing), expected);
    let query = Request::post(format!("/mcp?access_token={good}"));
    let answer = world.send(query.body(Body::from(LOOK)).unwrap()).await;
    assert_eq!(
        (answer.status(), challenge(&answer)),
        (StatusCode::UNAUTHORIZED, expected.clone())
    );
    let basic = Request::post("/mcp").header("authorization", "Basic eDp5");
    let answer = world.send(basic.body(Body::from(LOOK)).unwrap()).await;
    assert_eq!(
        (answer.status(), challenge(&answer)),
        (StatusCode::UNAUTHORIZED, expected)
    );
}

/// MCP-06, MCP-RS-05, AT-09, AC-19, RI-11, T16, T25: each thing that can be wrong with a token.
#[tokio::test]
async fn a_token_that_is_not_for_here_is_refused() {
    let world = World::start().await;
    let (stranger, _) = SigningKey::generate(Algorithm::Es256).unwrap();
    let tampered = world.token(|_| {}).replacen("eyJ", "eyK", 1);
    let foreign = stranger.sign_access_token(&world.claims()).unwrap();
    let id_token = world
        .key
        .sign(Some("JWT"), &serde_json::to_vec(&world.claims()).unwrap())
        .unwrap();
    let bad = [
        world.token(|c| c.aud = Audience::One("https://other.example/mcp".to_owned())),
        world.token(|c| c.aud = Audience::One("https://mcp.example/mcp-evil".to_owned())),
        world.token(|c| c.iss = "https://evil.example".to_owned()),
        world.token(|c| c.exp = c.iat - 3_600),
        tampered,
        foreign,
        id_token,
        "garbage".to_owned(),
        String::new(),
    ];
    for token in bad {
        let answer = world.call(Some(&token), LOOK).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{token}");
        if !token.is_empty() {
            assert!(
                challenge(&answer).contains("error=\"invalid_token\""),
                "{token}"
            );
        }
    }
}

/// QUIRK-28, GEN-17: both slash forms, arrays, and any case of the scheme's name are good.
#[tokio::test]
async fn equivalent_audiences_are_good_here() {
    let world = World::start().await;
    let both = Audience::Many(vec![
        "https://hub.example/userinfo".to_owned(),
        RESOURCE.to_owned(),
    ]);
    for audience in [
        Audience::One(RESOURCE.to_owned()),
        Audience::One(format!("{RESOURCE}/")),
        both,
    ] {
        let token = world.token(|c| c.aud = audience);
        assert_eq!(
            world.call(Some(&token), LOOK).await.status(),
            StatusCode::OK
        );
    }
    let token = world.token(|_| {});
    let request = Request::post("/mcp").header("authorization", format!("bEaReR {token}"));
    let answer = world.send(request.body(Body::from(LOOK)).unwrap()).await;
    assert_eq!(answer.status(), StatusCode::OK);
}

/// MCP-RS-10, MCP-RS-11, MCP-RS-12, MCP-08, QUIRK-65: too little scope is a 403 that names all of it.
#[tokio::test]
async fn an_operation_beyond_the_token_names_everything_it_needs() {
    let world = World::start().await;
    let reader = world.token(|_| {});
    let answer = world.call(Some(&reader), WRITE).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    assert_eq!(
        challenge(&answer),
        format!(
            "Bearer error=\"insufficient_scope\", scope=\"mcp:read mcp:write\", resource_metadata=\"{METADATA}\""
        )
    );
    for scope in ["mcp:read mcp:write", "mcp:admin"] {
        let token = world.token(|c| c.scope = Some(scope.to_owned()));
        assert_eq!(
            world.call(Some(&token), WRITE).await.status(),
            StatusCode::OK,
            "{scope}"
        );
    }
    let nobody = world.token(|c| c.scope = None);
    assert_eq!(
        world.call(Some(&nobody), LOOK).await.status(),
        StatusCode::FORBIDDEN
    );
}

/// MCP-RS-07: what is behind learns who calls, and gets no token to pass on.
#[tokio::test]
async fn the_token_stays_at_the_door() {
    let world = World::start().await;
    let token = world.token(|_| {});
    let answer = world.call(Some(&token), LOOK).await;
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, format!("u_1 false {}", LOOK.len()));
}

/// MCP-RS-15, QUIRK-50: pages of strangers may not call; preflights name what is allowed.
#[tokio::test]
async fn foreign_pages_are_kept_out() {
    let world = World::start().await;
    let token = world.token(|_| {});
    for (origin, status) in [
        ("https://evil.example", StatusCode::FORBIDDEN),
        ("null", StatusCode::FORBIDDEN),
        ("http://localhost.evil.example", StatusCode::FORBIDDEN),
        ("https://mcp.example", StatusCode::OK),
        ("http://localhost:6274", StatusCode::OK),
    ] {
        let request = Request::post("/mcp")
            .header("origin", origin)
            .header("authorization", format!("Bearer {token}"));
        let answer = world.send(request.body(Body::from(LOOK)).unwrap()).await;
        assert_eq!(answer.status(), status, "{origin}");
    }
    let preflight = Request::options("/mcp")
        .header("origin", "http://localhost:6274")
        .header("access-control-request-method", "POST");
    let answer = world.send(preflight.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    let allowed = answer.headers()["access-control-allow-headers"]
        .to_str()
        .unwrap();
    for name in [
        "Authorization",
        "MCP-Protocol-Version",
        "Mcp-Method",
        "Mcp-Name",
        "Content-Type",
    ] {
        assert!(allowed.contains(name), "{name}");
    }
}

/// F27: tokens with made-up key ids do not make the hub's keys be asked for each time.
#[tokio::test]
async fn unknown_key_ids_cause_one_fetch() {
    let world = World::start().await;
    let (stranger, _) = SigningKey::generate(Algorithm::Es256).unwrap();
    for _ in 0..50 {
        let token = stranger.sign_access_token(&world.claims()).unwrap();
        assert_eq!(
            world.call(Some(&token), LOOK).await.status(),
            StatusCode::UNAUTHORIZED
        );
    }
    assert!(world.asked_for_keys.load(Ordering::Relaxed) <= 2);
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_before_it_is_read() {
    let world = World::start().await;
    let token = world.token(|_| {});
    let answer = world.call(Some(&token), &"x".repeat(5 << 20)).await;
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
}
