//! A hub behind its router, requests to it, and a browser that keeps cookies and fills in forms.

mod browser;
#[path = "../../../../engine/tests/support/database.rs"]
#[expect(
    dead_code,
    unreachable_pub,
    reason = "the engine's tests use more of it, from several files"
)]
mod database;
#[path = "../../../../engine/tests/support/fakes.rs"]
#[expect(
    dead_code,
    unreachable_pub,
    reason = "the engine's tests use more of it, from several files"
)]
mod fakes;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Method, Request, StatusCode, header},
};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;
use vestibule_engine::{
    AccessTokenAlgs, Engine, EngineConfig, EngineParts, SettingsChange, SignalFiles,
};
use vestibule_protocol::{
    audit::{Actor, Event},
    cimd_document,
    client_id::ClientKey,
    client_metadata::{ClientMetadata, MetadataDoor},
    issuer::Issuer,
    redirect_uri::RedirectPolicy,
    resource_indicator::{ResourceSpec, ResourceUri, Resources},
    scope::{Access, Scope, ScopeSpec},
    secret::Secret,
    time::Timestamp,
    trust::{CimdMode, DcrMode, Door, Standing},
};
use vestibule_seal::wrap::MasterKey;
use vestibule_server::{App, HttpSettings, router};
use vestibule_store::{AuditEntry, Store, clients::StoredClient};

pub(crate) use browser::{Browser, Form, parameter};
use database::TestDatabase;
use fakes::{FakeDocuments, FakeDomains, SeededEntropy, TestClock};

/// The issuer of most hubs.
pub(crate) const ISSUER: &str = "https://hub.example";
/// The resource.
pub(crate) const NOTES: &str = "https://notes.example/mcp";
/// RFC 7636 appendix B.
pub(crate) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
/// Its challenge.
pub(crate) const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
/// Where agents of the tests want to be answered.
pub(crate) const CALLBACK: &str = "https://agent.example/callback";
/// A client that identifies itself by its document.
pub(crate) const DOCUMENT: &str = "https://agent.example/client.json";
/// Everybody's password.
pub(crate) const PASSWORD: &str = "correct horse battery staple";
/// When the tests begin.
pub(crate) const START: u64 = 1_795_500_000;

/// A running hub.
pub(crate) struct Hub {
    pub(crate) engine: Arc<Engine>,
    pub(crate) router: Router,
    pub(crate) settings: HttpSettings,
    clock: Arc<TestClock>,
    pub(crate) documents: Arc<FakeDocuments>,
    store: Arc<dyn Store>,
    host: String,
    database: TestDatabase,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// A header's value, or nothing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    /// Where to go next.
    pub(crate) fn location(&self) -> &str {
        self.header("location")
    }
}

/// A request to a hub at the root of [`ISSUER`]; its Host header is set.
pub(crate) fn request(method: &str, path: &str) -> axum::http::request::Builder {
    Request::builder()
        .method(Method::from_bytes(method.as_bytes()).unwrap())
        .uri(path)
}

/// Pairs as a form.
pub(crate) fn encode(pairs: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (name, value) in pairs {
        if !text.is_empty() {
            text.push('&');
        }
        text.extend(url::form_urlencoded::byte_serialize(name.as_bytes()));
        text.push('=');
        text.extend(url::form_urlencoded::byte_serialize(value.as_bytes()));
    }
    text
}

impl Hub {
    /// Both doors open, limits off.
    pub(crate) async fn start() -> Self {
        Self::start_at(ISSUER).await
    }

    /// The same at another issuer.
    pub(crate) async fn start_at(issuer: &str) -> Self {
        Self::start_with(issuer, false, &[]).await
    }

    /// With limits, and with networks of proxies that are believed.
    pub(crate) async fn start_limited(proxies: &[&str]) -> Self {
        Self::start_with(ISSUER, true, proxies).await
    }

    async fn start_with(issuer: &str, limits: bool, proxies: &[&str]) -> Self {
        let database = TestDatabase::make().await;
        let store = database.open().await;
        let documents = Arc::new(FakeDocuments::default());
        let clock = Arc::new(TestClock(AtomicU64::new(START)));
        let issuer = Issuer::parse(issuer).unwrap();
        let engine = Engine::start(EngineParts {
            store: store.clone(),
            clock: clock.clone(),
            entropy: Arc::new(SeededEntropy::new(1 << 32)),
            documents: documents.clone(),
            signals: SignalFiles::default(),
            scores: None,
            domains: Arc::new(FakeDomains::default()),
            config: EngineConfig {
                issuer: issuer.clone(),
                resources: Resources::new(vec![notes()]),
                master_key: MasterKey::new([7; 32]),
                redirect_policy: RedirectPolicy::default(),
                loopback_origins: Vec::new(),
                origin_as_resource: false,
                access_token_algs: AccessTokenAlgs::default(),
                first_dcr: DcrMode::Open,
                first_cimd: CimdMode::Open,
                limits_enabled: limits,
                code_replay_grace: Duration::from_secs(5),
            },
        })
        .await
        .unwrap();
        let proxies = proxies.iter().map(|net| net.parse().unwrap()).collect();
        let settings = HttpSettings::new(&issuer, proxies);
        let host = settings.authority.clone();
        Self {
            router: router(App::new(engine.clone(), settings.clone())),
            engine,
            settings,
            clock,
            documents,
            store,
            host,
            database,
        }
    }

    /// Send a request as it is, with a Host where it has none.
    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        self.send_to(&self.router, request).await
    }

    /// The same to another router of this hub.
    pub(crate) async fn send_to(&self, router: &Router, mut request: Request<Body>) -> Answer {
        if !request.headers().contains_key(header::HOST) {
            let host = self.host.parse().unwrap();
            request.headers_mut().insert(header::HOST, host);
        }
        let answer = router.clone().oneshot(request).await.unwrap();
        let (parts, body) = answer.into_parts();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: body.collect().await.unwrap().to_bytes().to_vec(),
        }
    }

    /// GET.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(request("GET", path).body(Body::empty()).unwrap())
            .await
    }

    /// POST a form.
    pub(crate) async fn post(&self, path: &str, pairs: &[(&str, &str)]) -> Answer {
        self.post_with(path, pairs, &[]).await
    }

    /// POST a form with more headers.
    pub(crate) async fn post_with(
        &self,
        path: &str,
        pairs: &[(&str, &str)],
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut builder =
            request("POST", path).header("content-type", "application/x-www-form-urlencoded");
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        self.send(builder.body(Body::from(encode(pairs))).unwrap())
            .await
    }

    /// POST a body of a media type.
    pub(crate) async fn post_body(&self, path: &str, media: &str, body: impl Into<Body>) -> Answer {
        let request = request("POST", path).header("content-type", media);
        self.send(request.body(body.into()).unwrap()).await
    }

    /// POST JSON to `/register`.
    pub(crate) async fn register(&self, metadata: &Value) -> Answer {
        self.post_body("/register", "application/json", metadata.to_string())
            .await
    }

    /// The `client_id` of a new registration.
    pub(crate) async fn registered(&self, metadata: &Value) -> String {
        let answer = self.register(metadata).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
        answer.json()["client_id"].as_str().unwrap().to_owned()
    }

    /// Serve the document of a client at [`DOCUMENT`].
    pub(crate) fn serve_document(&self, more: &Value) {
        let mut document = public_client();
        document["client_id"] = DOCUMENT.into();
        for (name, value) in more.as_object().into_iter().flatten() {
            document[name.as_str()] = value.clone();
        }
        let policy = RedirectPolicy::default();
        let read = cimd_document::read(document.to_string().as_bytes(), DOCUMENT, &policy);
        self.documents.serve(DOCUMENT, read.unwrap().0);
    }

    /// An account that signs in by [`PASSWORD`].
    pub(crate) async fn add_user(&self, name: &str) {
        let password = Secret::new(PASSWORD.to_owned());
        self.engine
            .add_user(name, password, false, Actor::System)
            .await
            .unwrap();
    }

    /// Change a setting.
    pub(crate) async fn change(&self, change: SettingsChange) {
        let seq = self.engine.settings().seq;
        self.engine
            .change_settings(change, seq, Actor::System)
            .await
            .unwrap();
        self.engine.follow().await.unwrap();
    }

    /// A resource server `rs` with the secret `secret` that may introspect tokens for [`NOTES`].
    pub(crate) async fn add_resource_server(&self) {
        let mut metadata = public_client();
        metadata["token_endpoint_auth_method"] = "client_secret_basic".into();
        let door = MetadataDoor::Dcr {
            client_credentials_allowed: true,
        };
        let policy = RedirectPolicy::default();
        let read = ClientMetadata::parse_json(metadata.to_string().as_bytes(), door, &policy);
        let now = Timestamp::from_seconds(START);
        let client = StoredClient {
            key: ClientKey::of("rs"),
            client_id: "rs".to_owned(),
            door: Door::Admin,
            standing: Standing::FirstParty,
            metadata: read.unwrap().0,
            secret_hash: Some(vestibule_seal::sha256(b"secret")),
            management_hash: None,
            introspects: vec![NOTES.to_owned()],
            machine_scopes: None,
            scope_ceiling: None,
            software: String::new(),
            host: None,
            issued_at: now,
            snapshot_at: now,
            created_at: now,
            version: 1,
        };
        let audit = AuditEntry {
            at: now,
            event: Event::SettingsChanged,
            actor: Actor::System,
            client: None,
            grant: None,
            source: None,
            detail: "test".to_owned(),
        };
        self.store.add_client(client, audit).await.unwrap();
    }

    /// Let time pass without the hub looking at its store.
    pub(crate) fn stall(&self, seconds: u64) {
        self.clock.0.fetch_add(seconds, Ordering::SeqCst);
    }

    /// Take the table of clients away, as far as the store can see: each look-up fails.
    pub(crate) async fn hide_clients(&self) {
        self.alter("ALTER TABLE clients RENAME TO hidden_clients")
            .await;
    }

    /// And bring it back.
    pub(crate) async fn show_clients(&self) {
        self.alter("ALTER TABLE hidden_clients RENAME TO clients")
            .await;
    }

    async fn alter(&self, sql: &str) {
        // What was read counts for the rest of its second.
        self.stall(1);
        if let TestDatabase::Postgres(database) = &self.database {
            return database.run(sql).await;
        }
        let other = rusqlite::Connection::open(self.database.file().unwrap()).unwrap();
        other.execute_batch(sql).unwrap();
    }

    /// Whatever has to be written fails from now on.
    pub(crate) async fn break_store(&self) {
        self.database.stop_writing().await;
    }
}

/// `Authorization` of the resource server.
pub(crate) const RS_BASIC: &str = "Basic cnM6c2VjcmV0";

/// The registration of a public client that may refresh.
pub(crate) fn public_client() -> Value {
    json!({
        "client_name": "Agent",
        "redirect_uris": [CALLBACK],
        "token_endpoint_auth_method": "none",
        "grant_types": ["authorization_code", "refresh_token"],
    })
}

/// An ordinary authorization request.
pub(crate) fn authorize_pairs(client_id: &str) -> Vec<(&str, &str)> {
    vec![
        ("response_type", "code"),
        ("client_id", client_id),
        ("redirect_uri", CALLBACK),
        ("state", "s t+ä&"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
        (
            "scope",
            "mcp:read mcp:write mcp:delete openid offline_access",
        ),
        ("resource", NOTES),
    ]
}

fn notes() -> ResourceSpec {
    let spec = |scope: &str, access, default| ScopeSpec {
        scope: Scope::parse(scope).unwrap(),
        description: format!("May {scope}"),
        access,
        default,
    };
    ResourceSpec {
        uri: ResourceUri::parse(NOTES).unwrap(),
        name: "Notes".to_owned(),
        scopes: vec![
            spec("mcp:read", Access::Read, true),
            spec("mcp:write", Access::Write, false),
            spec("mcp:delete", Access::Destructive, false),
        ],
        default: false,
    }
}
