//! Who is this client? One resolver for every endpoint: the store, then the seal, then the
//! document. Only "never seen" goes on to the next; a store that fails is a 503, never a
//! fall-through (R17, CIMD-73).

use std::{sync::Arc, time::Duration};

use vestibule_cimd::ResolveError;
use vestibule_policy::{decision::Assessment, facts::Facts, signals::software::software};
use vestibule_protocol::{
    audit::{Actor, Event},
    cimd_document,
    client_id::{ClientId, ClientIdError, ClientKey, IssuedId},
    client_id_url::{ClientIdUrl, ClientIdUrlPolicy},
    client_metadata::{
        ApplicationType, AuthMethod, AuthMethods, ClientMetadata, DisplayName, GrantTypes,
        HttpsUrl, redirect_shape,
    },
    error_code::ErrorCode,
    redirect_uri::{RedirectKind, RedirectUri},
    resource_indicator::ResourceUri,
    scope::ScopeSet,
    secret::Secret,
    time::Timestamp,
    trust::{CimdMode, DcrMode, Door, RedirectShape, Standing},
};
use vestibule_seal::{Kind, MacKind, constant_time_eq, sha256};
use vestibule_store::{
    AuditEntry, StoreError,
    clients::{Added, ClientLookup, StoredClient},
};

use crate::{
    Engine, Problem, Shape, Source,
    admission::Blocked,
    live::Live,
    sealed::{SealedRegistration, Seen},
};

/// How long a host that does not answer may be stood in for by what was stored, from when that was
/// last known to be what the document says.
const SNAPSHOT_STANDS_IN: Duration = Duration::from_hours(7 * 24);

/// Pages of vendors that pass codes on to whatever program asked for them (threats R4, A7).
const RELAYS: [&str; 2] = [
    "https://insiders.vscode.dev/redirect",
    "https://vscode.dev/redirect",
];

/// Does this redirect end in a program on the person's machine, whatever its scheme? A query makes
/// no other page of it.
pub(crate) fn is_relay(redirect_uri: &str) -> bool {
    let (page, _) = redirect_uri.split_once('?').unwrap_or((redirect_uri, ""));
    RELAYS.contains(&page)
}

/// How a secret is recognised.
#[derive(Clone, Debug)]
pub(crate) enum SecretProof {
    /// Recomputed from the id (sealed registrations).
    Derived,
    /// SHA-256, in the row.
    Hash([u8; 32]),
    /// It has none.
    None,
}

/// A client, whichever door it came by.
#[derive(Clone, Debug)]
#[expect(
    clippy::struct_field_names,
    reason = "`client_id` is the parameter's name"
)]
pub(crate) struct Client {
    pub(crate) client_id: String,
    pub(crate) key: ClientKey,
    pub(crate) door: Door,
    pub(crate) standing: Standing,
    /// What its standing and, where a person is about to be asked, the policies make of it.
    pub(crate) assessment: Arc<Assessment>,
    /// What the assessment was made from; none at endpoints for programs.
    pub(crate) facts: Option<Arc<Facts>>,
    /// The assessment at registration, as its id carries it.
    pub(crate) seen: Option<Seen>,
    /// An initial access token stood for it.
    pub(crate) vouched: bool,
    /// What it has in common with other registrations of the same program.
    pub(crate) software: String,
    pub(crate) metadata: Arc<ClientMetadata>,
    pub(crate) secret: SecretProof,
    pub(crate) management_hash: Option<[u8; 32]>,
    pub(crate) introspects: Vec<String>,
    pub(crate) machine_scopes: Option<ScopeSet>,
    pub(crate) scope_ceiling: Option<ScopeSet>,
    /// Host of its document.
    pub(crate) document_host: Option<String>,
    pub(crate) issued_at: Timestamp,
    /// When its metadata was last known to be what its document says.
    pub(crate) snapshot_at: Timestamp,
    /// The host of its document does not answer: this is the catalogue's copy (QUIRK-14).
    pub(crate) pinned: bool,
    /// The row's version, if there is a row.
    pub(crate) version: Option<u64>,
}

/// [`ClientLookup`], ready to use.
pub(crate) enum Row {
    Active(Arc<Client>),
    Blocked,
    Gone,
    NeverSeen,
}

/// Why a client is not one.
#[derive(Clone, Debug)]
pub(crate) enum Unresolved {
    /// An admin blocked it.
    Blocked,
    /// The door is closed for newcomers.
    DoorClosed(Door),
    /// The document says no, or cannot be had.
    Document(ResolveError),
    /// A sealed registration past its use-by.
    Expired(Option<String>),
    /// Deleted.
    Gone,
    /// Not a `client_id`.
    Malformed(ClientIdError),
    /// The policies let it do nothing; which ones is for our log.
    Refused(Vec<String>),
    /// The store failed.
    Store,
    /// Nobody by that id.
    Unknown,
}

impl From<StoreError> for Unresolved {
    fn from(failure: StoreError) -> Self {
        tracing::error!(%failure, "the store failed");
        Self::Store
    }
}

impl Client {
    pub(crate) fn has_row(&self) -> bool {
        self.version.is_some()
    }

    /// Where this redirect leads, seen from the client's document. A page that passes codes on to
    /// programs on the person's machine proves as little as such a program.
    pub(crate) fn shape(&self, kind: RedirectKind, redirect_uri: &str) -> RedirectShape {
        if is_relay(redirect_uri) {
            return RedirectShape::PrivateUse;
        }
        let host = self
            .metadata
            .redirect_uris
            .iter()
            .find(|uri| uri.as_str() == redirect_uri)
            .and_then(RedirectUri::host);
        redirect_shape(kind, host.as_deref(), self.document_host.as_deref())
    }

    pub(crate) fn of_row(row: StoredClient) -> Self {
        let set = |text: &Option<String>| text.as_deref().map(ScopeSet::from_text);
        let document_host = match row.door {
            Door::Cimd => HttpsUrl::parse(&row.client_id).map(|url| url.host().to_owned()),
            Door::Admin | Door::Dcr => None,
        };
        Self {
            key: row.key,
            door: row.door,
            standing: row.standing,
            assessment: Arc::new(Assessment::clean(row.standing)),
            facts: None,
            seen: None,
            vouched: false,
            software: row.software,
            secret: row.secret_hash.map_or(SecretProof::None, SecretProof::Hash),
            management_hash: row.management_hash,
            machine_scopes: set(&row.machine_scopes),
            scope_ceiling: set(&row.scope_ceiling),
            introspects: row.introspects,
            issued_at: row.issued_at,
            snapshot_at: row.snapshot_at,
            pinned: false,
            version: Some(row.version),
            document_host,
            metadata: Arc::new(row.metadata),
            client_id: row.client_id,
        }
    }

    /// One without a row, of whom only its metadata is known.
    fn of_metadata(
        client_id: &str,
        door: Door,
        metadata: Arc<ClientMetadata>,
        since: Timestamp,
    ) -> Self {
        Self {
            key: ClientKey::of(client_id),
            client_id: client_id.to_owned(),
            door,
            standing: Standing::Unverified,
            assessment: Arc::new(Assessment::clean(Standing::Unverified)),
            facts: None,
            seen: None,
            vouched: false,
            software: software(&metadata),
            secret: SecretProof::None,
            management_hash: None,
            introspects: Vec::new(),
            machine_scopes: None,
            scope_ceiling: None,
            document_host: None,
            issued_at: since,
            snapshot_at: since,
            pinned: false,
            version: None,
            metadata,
        }
    }

    fn of_seal(id: &IssuedId, sealed: SealedRegistration) -> Self {
        let secret = if sealed.metadata.auth_methods.needs_secret() {
            SecretProof::Derived
        } else {
            SecretProof::None
        };
        let machine = sealed.metadata.grant_types.client_credentials.then(|| {
            let clamp = sealed.ceiling.clone();
            clamp
                .or_else(|| sealed.metadata.scope.clone())
                .unwrap_or_default()
        });
        let metadata = Arc::new(sealed.metadata);
        Self {
            seen: sealed.seen,
            vouched: sealed.vouched,
            secret,
            machine_scopes: machine,
            scope_ceiling: sealed.ceiling,
            ..Self::of_metadata(id.as_str(), Door::Dcr, metadata, sealed.issued_at)
        }
    }

    /// One that registers now and has no id yet.
    pub(crate) fn newcomer(metadata: ClientMetadata, vouched: bool, now: Timestamp) -> Self {
        Self {
            vouched,
            ..Self::of_metadata("", Door::Dcr, Arc::new(metadata), now)
        }
    }

    fn of_document(url: &ClientIdUrl, document: &vestibule_cimd::Document) -> Self {
        let metadata = Arc::clone(&document.metadata);
        let since = Timestamp::from_seconds(document.first_seen);
        Self {
            document_host: Some(url.host().to_owned()),
            snapshot_at: Timestamp::from_seconds(document.fetched_at),
            ..Self::of_metadata(url.as_str(), Door::Cimd, metadata, since)
        }
    }

    /// A document client by the catalogue's copy. Its document was never seen, so that what is kept
    /// of it stands in for nothing.
    fn of_pinned(url: &ClientIdUrl, metadata: Arc<ClientMetadata>, now: Timestamp) -> Self {
        Self {
            document_host: Some(url.host().to_owned()),
            snapshot_at: Timestamp::from_seconds(0),
            pinned: true,
            ..Self::of_metadata(url.as_str(), Door::Cimd, metadata, now)
        }
    }
}

impl Engine {
    /// The client of a request at an endpoint for programs. Nothing is fetched: a document client
    /// has a row by the time it holds anything to redeem (design 4.2), or none of our business.
    pub(crate) async fn resolve_client(
        &self,
        raw: &str,
        source: &Source,
    ) -> Result<Client, Problem> {
        let found = self.find_client(raw, source, false).await;
        found.map_err(|failure| match failure {
            Unresolved::Store => Problem::busy(1),
            other => {
                tracing::debug!(?other, source = %source.prefix(), "an unknown client asked");
                Problem::new(ErrorCode::InvalidClient, "the client is not known here")
            }
        })
    }

    /// The client of an authorization request; a document is fetched if need be.
    pub(crate) async fn resolve_for_authorize(
        &self,
        raw: &str,
        source: &Source,
    ) -> Result<Client, Unresolved> {
        // An old snapshot may hold a door open that was closed since, or miss a block.
        if let Err(reason) = self.readiness() {
            tracing::error!(reason, "a client is not looked at");
            return Err(Unresolved::Store);
        }
        let client = self.find_client(raw, source, true).await?;
        self.assess(client, source).await
    }

    /// The client as an admin looks at it: read, and not assessed.
    pub(crate) async fn find_for_admin(
        &self,
        raw: &str,
        source: &Source,
    ) -> Result<Client, Unresolved> {
        self.find_client(raw, source, true).await
    }

    /// The client of a pushed request: as at authorize, in the shape of a program's answer.
    pub(crate) async fn resolve_for_push(
        &self,
        raw: &str,
        source: &Source,
    ) -> Result<Client, Problem> {
        self.resolve_for_authorize(raw, source)
            .await
            .map_err(|failure| match failure {
                Unresolved::Store | Unresolved::Document(ResolveError::Busy) => Problem::busy(1),
                Unresolved::Document(ResolveError::Throttled { retry_after }) => {
                    Problem::throttled(retry_after)
                }
                _ => Problem::new(ErrorCode::InvalidClient, "the client is not known here")
                    .shaped(Shape::ClientAuth { basic: false }),
            })
    }

    /// The client, with the standing that it has today.
    async fn find_client(
        &self,
        raw: &str,
        source: &Source,
        fetch: bool,
    ) -> Result<Client, Unresolved> {
        let mut client = self.find_unplaced(raw, source, fetch).await?;
        let live = self.live_now();
        client.standing = live
            .standing(&client, self.now())
            .map_err(|Blocked| Unresolved::Blocked)?;
        client.assessment = Arc::new(Assessment::clean(client.standing));
        Ok(client)
    }

    async fn find_unplaced(
        &self,
        raw: &str,
        source: &Source,
        fetch: bool,
    ) -> Result<Client, Unresolved> {
        // Identity is the octets; the grammar of URLs is only for those that we might fetch.
        match self.find_row(&ClientKey::of(raw)).await? {
            Row::Active(client) => {
                let client = Client::clone(&client);
                if fetch && client.door == Door::Cimd {
                    return self.with_todays_document(client, source).await;
                }
                return Ok(client);
            }
            Row::Blocked => return Err(Unresolved::Blocked),
            Row::Gone => return Err(Unresolved::Gone),
            Row::NeverSeen => {}
        }
        match ClientId::parse_with(raw, &self.client_id_urls()).map_err(Unresolved::Malformed)? {
            ClientId::Issued(id) if id.is_sealed() => self.open_registration(&id, fetch),
            ClientId::Url(url) if fetch => {
                let live = self.live_now();
                let welcome = match live.settings.cimd {
                    CimdMode::Off => false,
                    CimdMode::Listed => live
                        .settings
                        .cimd_listed
                        .iter()
                        .any(|id| id == url.as_str()),
                    CimdMode::Open => true,
                };
                // Our own host and issuer are nobody's client (CIMD-06, F17, R22).
                let own =
                    url.host() == self.config.issuer.host() && !self.config.issuer.is_loopback();
                if !welcome {
                    return Err(Unresolved::DoorClosed(Door::Cimd));
                }
                if own || url.as_str() == self.config.issuer.as_str() {
                    return Err(Unresolved::Unknown);
                }
                match self.documents.document(&url, source.bucket()).await {
                    Ok(document) => Ok(Client::of_document(&url, &document)),
                    Err(failure) => self
                        .pinned(&live, &url, &failure)
                        .map(|metadata| Client::of_pinned(&url, metadata, self.now()))
                        .ok_or(Unresolved::Document(failure)),
                }
            }
            ClientId::Issued(_) | ClientId::Url(_) => Err(Unresolved::Unknown),
        }
    }

    /// What the store knows by this key.
    pub(crate) async fn find_row(&self, key: &ClientKey) -> Result<Row, StoreError> {
        let (recent, moment) = (&self.recent.clients, self.moment());
        if let Some(client) = recent.get(key, moment) {
            return Ok(Row::Active(client));
        }
        Ok(match self.store.find_client(key).await? {
            ClientLookup::Active(row) => {
                let client = Arc::new(Client::of_row(*row));
                recent.put(key, moment, Arc::clone(&client));
                Row::Active(client)
            }
            ClientLookup::Blocked => Row::Blocked,
            ClientLookup::Gone => Row::Gone,
            ClientLookup::NeverSeen => Row::NeverSeen,
        })
    }

    /// A stored document client, as its document says today. A host that does not answer is stood
    /// in for by the last snapshot for a while; gone or invalid is the last word.
    async fn with_todays_document(
        &self,
        client: Client,
        source: &Source,
    ) -> Result<Client, Unresolved> {
        let url = ClientIdUrl::parse(&client.client_id, &self.client_id_urls())
            .map_err(|failure| Unresolved::Malformed(failure.into()))?;
        match self.documents.document(&url, source.bucket()).await {
            Ok(document) => {
                let snapshot_at = Timestamp::from_seconds(document.fetched_at);
                self.watch_document(&client, &document.metadata, snapshot_at)
                    .await?;
                Ok(Client {
                    metadata: document.metadata.clone(),
                    snapshot_at,
                    ..client
                })
            }
            Err(ResolveError::Unreachable { .. } | ResolveError::Throttled { .. })
                if self.now().since(client.snapshot_at) <= SNAPSHOT_STANDS_IN =>
            {
                Ok(client)
            }
            Err(failure) => self
                .pinned(&self.live_now(), &url, &failure)
                .map(|metadata| Client {
                    metadata,
                    // So that a yes does not put it in the place of what was fetched once.
                    snapshot_at: Timestamp::from_seconds(0),
                    pinned: true,
                    ..client
                })
                .ok_or(Unresolved::Document(failure)),
        }
    }

    /// The catalogue's copy of a document whose host cannot be asked, as a last resort. Whatever a
    /// host answers counts instead, also that there is none or that we do not understand it
    /// (QUIRK-14), and that we asked too often says nothing about the host.
    fn pinned(
        &self,
        live: &Live,
        url: &ClientIdUrl,
        failure: &ResolveError,
    ) -> Option<Arc<ClientMetadata>> {
        let ResolveError::Unreachable { .. } = failure else {
            return None;
        };
        let text = live.catalogue.pinned(url.as_str())?;
        let policy = &self.config.redirect_policy;
        match cimd_document::read(text.as_bytes(), url.as_str(), policy) {
            Ok((metadata, _)) => {
                tracing::warn!(client_id = url.as_str(), "a catalogued document stands in");
                Some(Arc::new(metadata))
            }
            Err(problem) => {
                tracing::error!(client_id = url.as_str(), %problem, "a catalogued document is of no use");
                None
            }
        }
    }

    /// A registration without a row. At authorize this is its first appearance, which a closed
    /// door stops; an initial access token stood for it whatever the door's mode became, but off.
    fn open_registration(&self, id: &IssuedId, appears: bool) -> Result<Client, Unresolved> {
        let live = self.live();
        let sealed = self.opened(id.as_str())?;
        if self.now() >= sealed.use_by {
            let name = sealed
                .metadata
                .client_name
                .as_ref()
                .map(DisplayName::as_str);
            return Err(Unresolved::Expired(name.map(str::to_owned)));
        }
        let welcome = match live.settings.dcr {
            DcrMode::Off => false,
            DcrMode::Token => sealed.vouched,
            // Where an admin approves, it may appear, and waits (`admission`).
            DcrMode::Approval | DcrMode::Open => true,
        };
        if appears && !welcome {
            return Err(Unresolved::DoorClosed(Door::Dcr));
        }
        Ok(Client::of_seal(id, sealed))
    }

    /// Which URLs can be a `client_id` here: with a loopback issuer, also configured loopback ones.
    pub(crate) fn client_id_urls(&self) -> ClientIdUrlPolicy<'_> {
        ClientIdUrlPolicy {
            loopback_origins: &self.config.loopback_origins,
            ..ClientIdUrlPolicy::default()
        }
    }

    /// What a sealed id says; nothing of it is judged but that it is ours.
    pub(crate) fn opened(&self, client_id: &str) -> Result<SealedRegistration, Unresolved> {
        let plain = self
            .live()
            .keys
            .ring
            .open(Kind::Registration, client_id)
            .map_err(|_| Unresolved::Unknown)?;
        let sealed = SealedRegistration::decode(&plain).map_err(|_| Unresolved::Unknown)?;
        // One registration, one spelling.
        if sealed.encode() == plain {
            Ok(sealed)
        } else {
            Err(Unresolved::Unknown)
        }
    }

    /// Constant time; false for a client without a secret (R13).
    pub(crate) fn secret_is_right(&self, client: &Client, secret: &str) -> bool {
        match &client.secret {
            SecretProof::None => false,
            SecretProof::Hash(hash) => constant_time_eq(hash, &sha256(secret.as_bytes())),
            SecretProof::Derived => self
                .derived(MacKind::ClientSecret, &client.client_id, 0)
                .is_some_and(|right| constant_time_eq(right.as_bytes(), secret.as_bytes())),
        }
    }

    /// A secret that follows from a sealed id: `HMAC(key[kid], label ‖ id ‖ generation)`, where the
    /// key is the one that sealed the id, so that it stays what it was when keys rotate.
    pub(crate) fn derived(
        &self,
        kind: MacKind,
        client_id: &str,
        generation: u64,
    ) -> Option<String> {
        use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
        let prefix = match kind {
            MacKind::ClientSecret => "vcs_",
            MacKind::RegistrationToken => "vrt_",
            MacKind::Csrf | MacKind::RefreshToken => return None,
        };
        let live = self.live();
        let ring = &live.keys.ring;
        let key = ring.sealed_key_id(Kind::Registration, client_id)?;
        let message: [&[u8]; 2] = [client_id.as_bytes(), &generation.to_be_bytes()];
        let mac = ring.mac_with(kind, key, &message)?;
        Some(format!("{prefix}{}", URL_SAFE_NO_PAD.encode(mac)))
    }

    /// The row of a client at its first approval; hashes take the place of what was derived.
    pub(crate) fn as_row(&self, client: &Client, now: Timestamp) -> StoredClient {
        let hash = |kind| {
            self.derived(kind, &client.client_id, 0)
                .map(|secret| sha256(secret.as_bytes()))
        };
        let (secret_hash, management_hash) = match client.door {
            Door::Dcr if !client.has_row() => (
                match client.secret {
                    SecretProof::Derived => hash(MacKind::ClientSecret),
                    SecretProof::Hash(_) | SecretProof::None => None,
                },
                hash(MacKind::RegistrationToken),
            ),
            Door::Admin | Door::Cimd | Door::Dcr => (None, client.management_hash),
        };
        StoredClient {
            key: client.key,
            client_id: client.client_id.clone(),
            door: client.door,
            // What raises it is looked at each time (`admission`), so a row keeps only what an admin's
            // own client is.
            standing: match client.door {
                Door::Admin => client.standing,
                Door::Cimd | Door::Dcr => Standing::Unverified,
            },
            metadata: (*client.metadata).clone(),
            secret_hash,
            management_hash,
            introspects: client.introspects.clone(),
            machine_scopes: client.machine_scopes.as_ref().map(ToString::to_string),
            scope_ceiling: client.scope_ceiling.as_ref().map(ToString::to_string),
            software: client.software.clone(),
            host: client.document_host.clone(),
            issued_at: client.issued_at,
            snapshot_at: client.snapshot_at,
            created_at: now,
            version: 1,
        }
    }

    /// Make a client that acts for itself (MCP-CC-01): id and secret are shown once.
    pub async fn add_machine_client(
        &self,
        name: &str,
        scopes: ScopeSet,
        actor: Actor,
    ) -> Result<NewCredentials, AddClientError> {
        self.add_confidential(name, Vec::new(), Some(scopes), actor)
            .await
    }

    /// Make the credentials of a resource server: it may introspect tokens of this resource.
    pub async fn add_resource_server(
        &self,
        resource: &ResourceUri,
        actor: Actor,
    ) -> Result<NewCredentials, AddClientError> {
        let spec = self
            .config
            .resources
            .find(resource)
            .ok_or(AddClientError::UnknownResource)?;
        let uri = spec.uri.as_str().to_owned();
        self.add_confidential(&spec.name, vec![uri], None, actor)
            .await
    }

    async fn add_confidential(
        &self,
        name: &str,
        introspects: Vec<String>,
        machine_scopes: Option<ScopeSet>,
        actor: Actor,
    ) -> Result<NewCredentials, AddClientError> {
        let name = DisplayName::sanitize(name).ok_or(AddClientError::Name)?;
        let client_id = self.random_token("vcl_").into_inner();
        let secret = self.random_token("vcs_");
        let now = self.now();
        let both = [AuthMethod::ClientSecretBasic, AuthMethod::ClientSecretPost];
        let detail = format!("made {}", name.as_str());
        let row = StoredClient {
            key: ClientKey::of(&client_id),
            client_id: client_id.clone(),
            door: Door::Admin,
            standing: Standing::FirstParty,
            metadata: ClientMetadata {
                redirect_uris: Vec::new(),
                client_name: Some(name),
                localized_names: Vec::new(),
                client_uri: None,
                logo_uri: None,
                tos_uri: None,
                policy_uri: None,
                auth_methods: AuthMethods::of(&both)
                    .unwrap_or_else(|| AuthMethods::only(AuthMethod::ClientSecretBasic)),
                assertion_alg: None,
                grant_types: GrantTypes {
                    client_credentials: machine_scopes.is_some(),
                    ..GrantTypes::default()
                },
                scope: None,
                jwks: None,
                jwks_uri: None,
                application_type: ApplicationType::Web,
                contacts: Vec::new(),
                software_id: None,
                software_version: None,
                id_token_alg: None,
                require_par: false,
                default_max_age: None,
                require_auth_time: false,
                post_logout_redirect_uris: Vec::new(),
            },
            secret_hash: Some(sha256(secret.expose().as_bytes())),
            management_hash: None,
            introspects,
            machine_scopes: machine_scopes.as_ref().map(ToString::to_string),
            scope_ceiling: None,
            software: String::new(),
            host: None,
            issued_at: now,
            snapshot_at: now,
            created_at: now,
            version: 1,
        };
        let audit = self.audit(Event::ClientMade, actor, Some(row.key), detail);
        match self.store.add_client(row, audit).await? {
            Added::Done => Ok(NewCredentials {
                client_id,
                client_secret: secret,
            }),
            Added::Taken => Err(AddClientError::Taken),
        }
    }

    /// How many clients have a row. Strangers have none.
    pub async fn stored_clients(&self) -> Result<u64, StoreError> {
        self.store.count_clients().await
    }

    /// Delete a client and everything that was granted to it. Returns whether it was there.
    pub async fn remove_client(&self, client_id: &str, actor: Actor) -> Result<bool, StoreError> {
        let key = ClientKey::of(client_id);
        let until = self.now().plus(crate::register::USE_BY);
        let audit = self.audit(
            Event::ClientRemoved,
            actor,
            Some(key),
            "removed by an admin".into(),
        );
        self.store.remove_client(&key, until, false, audit).await
    }

    /// An entry of the trail, now.
    pub(crate) fn audit(
        &self,
        event: Event,
        actor: Actor,
        client: Option<ClientKey>,
        detail: String,
    ) -> AuditEntry {
        AuditEntry {
            at: self.now(),
            event,
            actor,
            client,
            grant: None,
            source: None,
            detail,
        }
    }
}

/// Shown once.
#[derive(Debug)]
pub struct NewCredentials {
    /// The id.
    pub client_id: String,
    /// The secret.
    pub client_secret: Secret<String>,
}

/// A client could not be made.
#[derive(Debug, thiserror::Error)]
pub enum AddClientError {
    /// Nothing that can be shown.
    #[error("the name is empty")]
    Name,
    /// The store failed.
    #[error("the store failed: {0}")]
    Store(#[from] StoreError),
    /// The id exists; cannot happen with 256 random bits.
    #[error("the client exists")]
    Taken,
    /// Not configured.
    #[error("there is no such resource in the configuration")]
    UnknownResource,
}
