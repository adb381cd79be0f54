//! A hub for the engine's tests: a store in a folder that goes away, a clock that the test moves,
//! randomness from a seed, client documents from a map.
//!
//! Two ways to a code: [`Hub::walk`] takes the whole way (authorize, sign in, consent) as a browser
//! does, and [`Hub::grant`] writes the approval straight into the store for tests of the token
//! endpoint that care only for what follows.

#![expect(dead_code, reason = "each test file uses its own part of the support")]
#![expect(
    unreachable_pub,
    reason = "a module of several test files has no crate to be public in"
)]
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "what surprises a test should end it"
)]

pub mod database;
pub mod fakes;
pub mod geo;
pub mod outside;
pub mod visit;
pub mod walk;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use database::TestDatabase;
pub use fakes::{FakeDocuments, FakeDomains, SeededEntropy, TestClock};
use vestibule_cimd::Documents;
use vestibule_engine::{
    AccessTokenAlgs, Clock, Domains, Engine, EngineConfig, EngineParts, Problem, SCORE_DEADLINE,
    ScoreHook, Scores, SettingsChange, Shape, SignalFiles, Source, StartError,
};
use vestibule_protocol::{
    audit::{Actor, Event},
    client_id::ClientKey,
    client_metadata::{ClientMetadata, MetadataDoor},
    ids::{CodeHash, GrantId, TicketId, UserId},
    issuer::Issuer,
    pkce::CodeChallenge,
    redirect_uri::RedirectPolicy,
    registration::RegistrationResponse,
    resource_indicator::{ResourceSpec, ResourceUri, Resources},
    scope::{Access, Scope, ScopeSet, ScopeSpec},
    time::Timestamp,
    token_response::{IntrospectionResponse, TokenResponse},
    trust::{CimdMode, DcrMode, Door, Risk, Standing},
};
use vestibule_seal::wrap::MasterKey;
use vestibule_store::{
    AuditEntry, Store,
    clients::{Added, StoredClient},
    grants::{Approval, Approved, Code, Grant},
    users::User,
};

/// The issuer of every test hub.
pub const ISSUER: &str = "https://hub.example";
/// The first resource.
pub const NOTES: &str = "https://notes.example/mcp";
/// Another resource, only with [`Builder::second_resource`].
pub const FILES: &str = "https://files.example/mcp";
/// RFC 7636 appendix B.
pub const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
/// Its challenge.
pub const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
/// A redirect URI for clients of the tests.
pub const CALLBACK: &str = "https://agent.example/callback";
/// When the tests begin.
pub const START: u64 = 1_795_500_000;
/// Everybody's password.
pub const PASSWORD: &str = "correct horse battery staple";

/// How a test hub differs from the usual one.
pub struct Builder {
    dcr: DcrMode,
    cimd: CimdMode,
    limits: bool,
    replay_grace: Duration,
    second_resource: bool,
    issuer: &'static str,
    scores: Option<Arc<dyn ScoreHook>>,
    access_token_algs: AccessTokenAlgs,
    origin_as_resource: bool,
    domains: Option<Arc<dyn Domains>>,
    fetched: Option<Arc<dyn Documents>>,
}

impl Builder {
    /// Fetch client documents here, and not from [`Hub::documents`].
    pub fn documents(mut self, documents: Arc<dyn Documents>) -> Self {
        self.fetched = Some(documents);
        self
    }

    /// Look for proofs of domains here, and not in [`Hub::domains`].
    pub fn domains(mut self, domains: Arc<dyn Domains>) -> Self {
        self.domains = Some(domains);
        self
    }

    /// Ask this hook for scores.
    pub fn scores(mut self, hook: Arc<dyn ScoreHook>) -> Self {
        self.scores = Some(hook);
        self
    }

    /// Let an origin stand for the one resource under it.
    pub fn origins_as_resources(mut self) -> Self {
        self.origin_as_resource = true;
        self
    }

    /// Sign access tokens with others than ES256.
    pub fn algs(mut self, algs: AccessTokenAlgs) -> Self {
        self.access_token_algs = algs;
        self
    }

    /// Another issuer than [`ISSUER`].
    pub fn issuer(mut self, issuer: &'static str) -> Self {
        self.issuer = issuer;
        self
    }

    /// Set the DCR door.
    pub fn dcr(mut self, mode: DcrMode) -> Self {
        self.dcr = mode;
        self
    }

    /// Set the CIMD door.
    pub fn cimd(mut self, mode: CimdMode) -> Self {
        self.cimd = mode;
        self
    }

    /// Switch limits on.
    pub fn limits(mut self) -> Self {
        self.limits = true;
        self
    }

    /// How soon a second redemption is still a retry.
    pub fn replay_grace(mut self, seconds: u64) -> Self {
        self.replay_grace = Duration::from_secs(seconds);
        self
    }

    /// Protect a second resource; then there is no fallback.
    pub fn second_resource(mut self) -> Self {
        self.second_resource = true;
        self
    }

    /// Start it.
    pub async fn start(self) -> Hub {
        let database = TestDatabase::make().await;
        self.start_on(Arc::new(database), 1).await
    }

    /// Start a node on an existing database. `seed` makes its randomness its own.
    pub async fn start_on(self, database: Arc<TestDatabase>, seed: u64) -> Hub {
        self.try_start_on(database, seed).await.unwrap()
    }

    async fn try_start_on(self, database: Arc<TestDatabase>, seed: u64) -> Result<Hub, StartError> {
        let store = database.open().await;
        let clock = Arc::new(TestClock(AtomicU64::new(START)));
        let documents = Arc::new(FakeDocuments::default());
        let domains = Arc::new(FakeDomains::default());
        let entropy = Arc::new(SeededEntropy::new(seed << 32));
        let mut resources = vec![resource(NOTES, "Notes")];
        if self.second_resource {
            resources.push(resource(FILES, "Files"));
        }
        let engine = Engine::start(EngineParts {
            store: store.clone(),
            clock: clock.clone(),
            entropy: entropy.clone(),
            documents: self.fetched.unwrap_or_else(|| documents.clone()),
            signals: SignalFiles::default(),
            scores: self.scores.map(|hook| Scores::new(hook, SCORE_DEADLINE)),
            domains: self.domains.unwrap_or_else(|| domains.clone()),
            config: EngineConfig {
                issuer: Issuer::parse(self.issuer).unwrap(),
                resources: Resources::new(resources),
                master_key: MasterKey::new([7; 32]),
                redirect_policy: RedirectPolicy::default(),
                loopback_origins: Vec::new(),
                origin_as_resource: self.origin_as_resource,
                access_token_algs: self.access_token_algs,
                first_dcr: self.dcr,
                first_cimd: self.cimd,
                limits_enabled: self.limits,
                code_replay_grace: self.replay_grace,
            },
        })
        .await?;
        Ok(Hub {
            engine,
            store,
            clock,
            documents,
            domains,
            entropy,
            // Nodes over one store give no name twice.
            counter: AtomicU64::new((seed - 1) * 1_000_000 + 1),
            database,
        })
    }
}

fn resource(uri: &str, name: &str) -> ResourceSpec {
    let spec = |scope: &str, access, default| ScopeSpec {
        scope: Scope::parse(scope).unwrap(),
        description: format!("May {scope}"),
        access,
        default,
    };
    ResourceSpec {
        uri: ResourceUri::parse(uri).unwrap(),
        name: name.to_owned(),
        scopes: vec![
            spec("mcp:read", Access::Read, true),
            spec("mcp:write", Access::Write, false),
            spec("mcp:delete", Access::Destructive, false),
        ],
        default: false,
    }
}

/// A running hub.
pub struct Hub {
    pub engine: Arc<Engine>,
    pub store: Arc<dyn Store>,
    pub clock: Arc<TestClock>,
    pub documents: Arc<FakeDocuments>,
    pub domains: Arc<FakeDomains>,
    pub entropy: Arc<SeededEntropy>,
    counter: AtomicU64,
    database: Arc<TestDatabase>,
}

/// A code and what it takes to redeem it.
#[derive(Clone, Debug)]
pub struct Given {
    pub code: String,
    pub client_id: String,
    pub grant: GrantId,
}

/// What [`Hub::grant`] writes.
pub struct GrantSpec<'a> {
    pub scopes: &'a str,
    pub resource: &'a str,
    pub nonce: Option<&'a str>,
    pub lasts: Duration,
}

impl Default for GrantSpec<'_> {
    fn default() -> Self {
        Self {
            scopes: "mcp:read mcp:write",
            resource: NOTES,
            nonce: None,
            lasts: Duration::from_hours(7 * 24),
        }
    }
}

/// Parameters of a request.
pub type Params<'a> = &'a [(&'a str, &'a str)];

/// The code and shape of a refused request; none if it was served.
pub type Refused = Option<(String, Shape)>;

/// The address that tests come from.
pub fn source() -> Source {
    source_of("203.0.113.5")
}

/// Another one.
pub fn source_of(ip: &str) -> Source {
    Source {
        ip: ip.parse().unwrap(),
        user_agent: Some("tests".to_owned()),
    }
}

/// Owned pairs, as the server hands them over.
pub fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// The error code of a problem.
pub fn code_of(problem: &Problem) -> &str {
    problem.error.code.as_str()
}

/// The code and shape of a refused request, for tables.
pub fn refusal<T>(result: Result<T, Problem>) -> Refused {
    result
        .err()
        .map(|problem| (code_of(&problem).to_owned(), problem.shape))
}

/// Only the error code, or `ok`.
pub fn outcome<T>(result: &Result<T, Problem>) -> &str {
    match result {
        Ok(_) => "ok",
        Err(problem) => problem.error.code.as_str(),
    }
}

/// `Authorization: Basic`.
pub fn basic(client_id: &str, secret: &str) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    format!("Basic {}", STANDARD.encode(format!("{client_id}:{secret}")))
}

/// Metadata by way of the parser.
pub fn metadata(json: &serde_json::Value) -> ClientMetadata {
    let door = MetadataDoor::Dcr {
        client_credentials_allowed: true,
    };
    let body = serde_json::to_vec(json).unwrap();
    ClientMetadata::parse_json(&body, door, &RedirectPolicy::default())
        .unwrap()
        .0
}

/// The registration of a public client that may refresh.
pub fn public_client() -> serde_json::Value {
    serde_json::json!({
        "client_name": "Agent",
        "redirect_uris": [CALLBACK],
        "token_endpoint_auth_method": "none",
        "grant_types": ["authorization_code", "refresh_token"],
    })
}

/// The same with a secret, sent by the named method.
pub fn confidential_client(method: &str) -> serde_json::Value {
    let mut json = public_client();
    json["token_endpoint_auth_method"] = method.into();
    json
}

impl Hub {
    /// The usual hub: both doors open, limits off, five seconds for a retried redemption.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// A hub that differs.
    pub fn builder() -> Builder {
        Builder {
            dcr: DcrMode::Open,
            cimd: CimdMode::Open,
            limits: false,
            replay_grace: Duration::from_secs(5),
            second_resource: false,
            issuer: ISSUER,
            scores: None,
            access_token_algs: AccessTokenAlgs::default(),
            origin_as_resource: false,
            domains: None,
            fetched: None,
        }
    }

    /// Another node on the same store, at the same time of day.
    pub async fn second_node(&self) -> Self {
        let node = Self::builder().start_on(self.database.clone(), 2).await;
        node.clock
            .0
            .store(self.clock.0.load(Ordering::SeqCst), Ordering::SeqCst);
        node.engine.follow().await.unwrap();
        node
    }

    /// A node of another issuer on the same store.
    pub async fn node_of(&self, issuer: &'static str) -> Result<Self, StartError> {
        self.node(Self::builder().issuer(issuer)).await
    }

    /// A node of another configuration on the same store.
    pub async fn node(&self, builder: Builder) -> Result<Self, StartError> {
        builder.try_start_on(self.database.clone(), 3).await
    }

    /// Now.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Let time pass; the node follows its store as its background task would.
    pub async fn advance(&self, seconds: u64) {
        self.clock.0.fetch_add(seconds, Ordering::SeqCst);
        self.engine.follow().await.unwrap();
    }

    /// Let time pass without the node looking at its store.
    pub fn stall(&self, seconds: u64) {
        self.clock.0.fetch_add(seconds, Ordering::SeqCst);
    }

    /// Whatever has to be written fails from now on.
    pub async fn break_store(&self) {
        self.database.stop_writing().await;
    }

    /// Every byte that is on disk.
    pub async fn stored_bytes(&self) -> Vec<u8> {
        self.database.bytes().await
    }

    /// A trail entry for writes that a test makes itself.
    pub fn audit(&self) -> AuditEntry {
        AuditEntry {
            at: self.now(),
            event: Event::SettingsChanged,
            actor: Actor::System,
            client: None,
            grant: None,
            source: None,
            detail: "test".to_owned(),
        }
    }

    /// Change a setting.
    pub async fn change(&self, change: SettingsChange) {
        let seq = self.engine.settings().seq;
        self.engine
            .change_settings(change, seq, Actor::System)
            .await
            .unwrap();
    }

    fn unique(&self) -> u64 {
        self.counter.fetch_add(1, Ordering::SeqCst)
    }

    /// An account without a usable password, which costs no hash.
    pub async fn add_quick_user(&self, name: &str) -> UserId {
        let id = UserId::new(format!("u_{name}"));
        let user = User {
            id: id.clone(),
            name: name.to_owned(),
            display_name: Some(format!("{name} the tester")),
            email: Some(format!("{name}@people.example")),
            admin: false,
            password_hash: "none".to_owned(),
            disabled: false,
            created_at: self.now(),
        };
        assert!(self.store.add_user(user, self.audit()).await.unwrap());
        id
    }

    /// A stored client. `secret` is hashed as the engine does it.
    pub async fn add_client(
        &self,
        client_id: &str,
        json: &serde_json::Value,
        secret: Option<&str>,
    ) -> StoredClient {
        let client = StoredClient {
            secret_hash: secret.map(|text| vestibule_seal::sha256(text.as_bytes())),
            ..stored_client(self, client_id, json)
        };
        self.add_stored(client).await
    }

    /// A stored client as given.
    pub async fn add_stored(&self, client: StoredClient) -> StoredClient {
        let added = self
            .store
            .add_client(client.clone(), self.audit())
            .await
            .unwrap();
        assert_eq!(added, Added::Done);
        client
    }

    /// Write an approval by `user` for a stored client.
    pub async fn grant(&self, client: &StoredClient, user: &UserId, spec: &GrantSpec<'_>) -> Given {
        let number = self.unique();
        let code = format!("ac_test-code-{number:032}");
        let now = self.now();
        let mut ticket = [0; 16];
        ticket[..8].copy_from_slice(&number.to_be_bytes());
        let grant = Grant {
            id: GrantId::new(format!("g_test{number}")),
            user: user.clone(),
            client: client.key,
            resource: spec.resource.to_owned(),
            scopes: ScopeSet::from_text(spec.scopes),
            metadata_digest: client.metadata.security_digest(),
            auth_time: now,
            created_at: now,
            absolute_until: now.plus(spec.lasts),
            risk: Risk::Low,
            read_only: false,
            short_session: false,
            source: None,
            revoked: false,
            version: 1,
        };
        let id = grant.id.clone();
        let approval = Approval {
            ticket: TicketId::new(ticket),
            ticket_until: now.plus(Duration::from_mins(10)),
            client: client.clone(),
            code: Code {
                hash: CodeHash::new(vestibule_seal::sha256(code.as_bytes())),
                client: client.key,
                grant: grant.id.clone(),
                redirect_uri: CALLBACK.to_owned(),
                challenge: CodeChallenge::parse(CHALLENGE).unwrap(),
                nonce: spec.nonce.map(str::to_owned),
                auth_method: None,
                expires_at: now.plus(Duration::from_mins(1)),
                spent_at: None,
            },
            grant,
            supersedes: Vec::new(),
            remember_until: None,
            now,
            audit: self.audit(),
        };
        assert_eq!(self.store.approve(approval).await.unwrap(), Approved::Done);
        Given {
            code,
            client_id: client.client_id.clone(),
            grant: id,
        }
    }

    /// `POST /token` of the usual source.
    pub async fn token(
        &self,
        list: &[(&str, &str)],
        authorization: Option<&str>,
    ) -> Result<TokenResponse, Problem> {
        self.engine
            .token(&pairs(list), authorization, &source())
            .await
    }

    /// Redeem a code as a public client does.
    pub async fn redeem(&self, given: &Given) -> Result<TokenResponse, Problem> {
        self.redeem_with(given, &[], None).await
    }

    /// Redeem a code with more parameters. An empty value takes a parameter away.
    pub async fn redeem_with(
        &self,
        given: &Given,
        more: &[(&str, &str)],
        authorization: Option<&str>,
    ) -> Result<TokenResponse, Problem> {
        let mut list = vec![
            ("grant_type", "authorization_code"),
            ("client_id", given.client_id.as_str()),
            ("code", given.code.as_str()),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
        ];
        list.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
        list.extend(more);
        self.token(&list, authorization).await
    }

    /// Refresh as a public client does.
    pub async fn refresh(
        &self,
        client_id: &str,
        refresh_token: &str,
        more: &[(&str, &str)],
    ) -> Result<TokenResponse, Problem> {
        let mut list = vec![
            ("grant_type", "refresh_token"),
            ("client_id", client_id),
            ("refresh_token", refresh_token),
        ];
        list.extend(more);
        self.token(&list, None).await
    }

    /// A public client with a person's grant, its first tokens included.
    pub async fn public_session(&self) -> (StoredClient, UserId, TokenResponse) {
        let number = self.unique();
        let client = self
            .add_client(&format!("agent-{number}"), &public_client(), None)
            .await;
        let user = self.add_quick_user(&format!("person{number}")).await;
        let given = self.grant(&client, &user, &GrantSpec::default()).await;
        let tokens = self.redeem(&given).await.unwrap();
        (client, user, tokens)
    }

    /// A resource server that may introspect tokens for `resources`.
    pub async fn add_resource_server(&self, resources: &[&str]) -> (String, String) {
        let id = format!("rs-{}", self.unique());
        let secret = "resource-server-secret".to_owned();
        let json = confidential_client("client_secret_basic");
        let client = StoredClient {
            standing: Standing::FirstParty,
            secret_hash: Some(vestibule_seal::sha256(secret.as_bytes())),
            introspects: resources.iter().map(|uri| (*uri).to_owned()).collect(),
            ..stored_client(self, &id, &json)
        };
        self.add_stored(client).await;
        (id.clone(), basic(&id, &secret))
    }

    /// `POST /register` from this address.
    pub async fn register_from(
        &self,
        json: &serde_json::Value,
        ip: &str,
    ) -> Result<RegistrationResponse, Problem> {
        let body = serde_json::to_vec(json).unwrap();
        self.engine.register(&body, None, &source_of(ip)).await
    }

    /// The newest lines of the trail of this kind.
    pub async fn trail(&self, event: Event) -> Vec<AuditEntry> {
        let rows = self.store.audit_rows(None, 500).await.unwrap();
        let entries = rows.into_iter().map(|row| row.entry);
        entries.filter(|entry| entry.event == event).collect()
    }

    /// Save these policies behind the balanced ones.
    pub async fn add_policies(&self, text: &str) {
        let stored = self.engine.policy_text().await.unwrap();
        let text = format!("{}\n{text}", stored.text);
        self.engine
            .save_policy(&text, stored.seq, "a test", Actor::System)
            .await
            .unwrap();
    }

    /// Save the preset with these policies more, and no others.
    pub async fn replace_policies(&self, more: &str) {
        let preset = vestibule_policy::preset_text(vestibule_protocol::trust::Preset::Balanced);
        let seq = self.engine.policy_text().await.unwrap().seq;
        let text = format!("{preset}\n{more}");
        let saved = self.engine.save_policy(&text, seq, "a test", Actor::System);
        saved.await.unwrap();
    }

    /// `POST /register`.
    pub async fn register(&self, json: &serde_json::Value) -> RegistrationResponse {
        let body = serde_json::to_vec(json).unwrap();
        self.engine.register(&body, None, &source()).await.unwrap()
    }

    /// Introspect with Basic credentials.
    pub async fn introspect(
        &self,
        token: &str,
        authorization: &str,
    ) -> Result<IntrospectionResponse, Problem> {
        let list = pairs(&[("token", token)]);
        self.engine
            .introspect(&list, Some(authorization), &source())
            .await
    }
}

/// A client as an admin would make it: unverified, without secret or rights of its own.
pub fn stored_client(hub: &Hub, client_id: &str, json: &serde_json::Value) -> StoredClient {
    StoredClient {
        key: ClientKey::of(client_id),
        client_id: client_id.to_owned(),
        door: Door::Admin,
        standing: Standing::Unverified,
        metadata: metadata(json),
        secret_hash: None,
        management_hash: None,
        introspects: Vec::new(),
        machine_scopes: None,
        scope_ceiling: None,
        software: String::new(),
        host: None,
        issued_at: hub.now(),
        snapshot_at: hub.now(),
        created_at: hub.now(),
        version: 1,
    }
}

/// The claims of a JWT, unverified.
pub fn claims(token: &str) -> serde_json::Value {
    part(token, 1)
}

/// The header of a JWT.
pub fn header(token: &str) -> serde_json::Value {
    part(token, 0)
}

fn part(token: &str, index: usize) -> serde_json::Value {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let text = token.split('.').nth(index).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
}
