//! The engine: its parts, its live snapshot, and how the snapshot follows the store.
//!
//! A request reads one snapshot ([`Engine::live`]) without a lock. A task replaces it each second
//! when settings or keys moved; a node that could not for five seconds says so in
//! [`Engine::readiness`] and refuses to authorize, instead of deciding by old rules.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::{ArcSwap, Guard};
use vestibule_cimd::Documents;
use vestibule_protocol::{
    audit::{Actor, Event},
    issuer::Issuer,
    redirect_uri::RedirectPolicy,
    resource_indicator::Resources,
    secret::Secret,
    time::Timestamp,
    trust::{CimdMode, DcrMode},
};
use vestibule_seal::wrap::MasterKey;
use vestibule_store::{AuditEntry, Store, StoreError};

use crate::{
    AccessTokenAlgs, Clock, Domains, Entropy, KeyError, Settings, SignalFiles,
    admission::Signals,
    client_auth::ReplayCache,
    drift::NotedChanges,
    introspect::VerifiedTokens,
    keys,
    live::Live,
    password::PasswordPool,
    recent::RecentRows,
    score::Scores,
    throttle::{FamiliarSources, Meter, Throttle},
};

/// How old a snapshot may be before the node refuses to decide (design section 10).
const SNAPSHOT_AGE_MAX: Duration = Duration::from_secs(5);
/// How often the store is asked whether something moved.
const FOLLOW_EVERY: Duration = Duration::from_secs(1);
/// How often expired rows are swept, and how many at a time.
const SWEEP_EVERY_FOLLOWS: u64 = 30;
/// How often documents and domain proofs that are due are looked at.
const LOOK_EVERY_FOLLOWS: u64 = 60;
const SWEEP_ROWS: usize = 500;

/// What does not change while the process runs.
pub struct EngineConfig {
    /// The one issuer string (invariant 8).
    pub issuer: Issuer,
    /// Protected resources.
    pub resources: Resources,
    /// Wraps the keys at rest.
    pub master_key: MasterKey,
    /// Which redirect URIs may be registered.
    pub redirect_policy: RedirectPolicy,
    /// Origins of client documents that may be loopback; only with a loopback issuer.
    pub loopback_origins: Vec<String>,
    /// What signs access tokens.
    pub access_token_algs: AccessTokenAlgs,
    /// A bare origin in `resource` stands for the single resource under it (QUIRK-27).
    pub origin_as_resource: bool,
    /// First value of the DCR door.
    pub first_dcr: DcrMode,
    /// First value of the CIMD door.
    pub first_cimd: CimdMode,
    /// False only in tests and benchmarks on loopback.
    pub limits_enabled: bool,
    /// A second redemption of a code this soon is a client's retry, not a theft (AC-06).
    pub code_replay_grace: Duration,
}

/// What the engine is made of.
pub struct EngineParts {
    /// Kept things.
    pub store: Arc<dyn Store>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Client documents and their keys.
    pub documents: Arc<dyn Documents>,
    /// Signals from files.
    pub signals: SignalFiles,
    /// The third-party risk score.
    pub scores: Option<Scores>,
    /// Where proofs of domains are looked for.
    pub domains: Arc<dyn Domains>,
    /// Boot configuration.
    pub config: EngineConfig,
}

/// Bytes that are served as they are, with their strong entity tag.
#[derive(Clone, Debug)]
pub struct CachedDocument {
    /// JSON.
    pub body: Arc<[u8]>,
    /// With its quotes.
    pub etag: String,
}

/// The engine could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder belongs to a hub of another name (MCP-07).
    #[error(
        "the configured issuer is {configured}, but this data folder belongs to {kept}: clients keep \
         what they registered by issuer, so a new one locks them all out. Put the old issuer back, or \
         start once with `vestibule serve --accept-new-issuer`"
    )]
    Issuer {
        /// What the database says.
        kept: String,
        /// What the configuration says.
        configured: String,
    },
    /// Keys.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// The stored settings are of a newer release.
    #[error("the stored settings cannot be read by this release")]
    Settings,
    /// The store failed.
    #[error("the store failed: {0}")]
    Store(#[from] StoreError),
}

/// The authorization server.
pub struct Engine {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) documents: Arc<dyn Documents>,
    pub(crate) domains: Arc<dyn Domains>,
    pub(crate) signals: Signals,
    pub(crate) noted_changes: NotedChanges,
    pub(crate) config: EngineConfig,
    pub(crate) throttle: Throttle,
    pub(crate) familiar: FamiliarSources,
    pub(crate) passwords: PasswordPool,
    pub(crate) replays: ReplayCache,
    pub(crate) recent: RecentRows,
    pub(crate) verified: VerifiedTokens,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) live: ArcSwap<Live>,
    /// Held by whoever replaces the view.
    pub(crate) following: tokio::sync::Mutex<()>,
    pub(crate) followed_at: AtomicU64,
    pub(crate) outside: AtomicU64,
}

impl Engine {
    /// Load or make keys, read the settings, build what is served. The first start keeps the issuer;
    /// with another one the engine does not start until [`accept_issuer`] was called (MCP-07).
    pub async fn start(parts: EngineParts) -> Result<Arc<Self>, StartError> {
        let EngineParts {
            store,
            clock,
            entropy,
            documents,
            signals,
            scores,
            domains,
            config,
        } = parts;
        let configured = config.issuer.as_str();
        let kept = store.keep_issuer(configured).await?;
        if kept != configured {
            return Err(StartError::Issuer {
                kept,
                configured: configured.to_owned(),
            });
        }
        let keys = keys::load(store.as_ref(), &config, clock.as_ref(), entropy.as_ref()).await?;
        let live = Live::load(store.as_ref(), Arc::new(keys), &config).await?;
        let engine = Self {
            signals: Signals::new(signals, scores, config.issuer.host()),
            noted_changes: NotedChanges::new(),
            throttle: Throttle::new(config.limits_enabled),
            familiar: FamiliarSources::new(),
            passwords: PasswordPool::new(),
            replays: ReplayCache::new(),
            recent: RecentRows::new(),
            verified: VerifiedTokens::new(),
            followed_at: AtomicU64::new(clock.now().seconds()),
            outside: AtomicU64::new(store.outside_version().await?),
            live: ArcSwap::from_pointee(live),
            following: tokio::sync::Mutex::new(()),
            store,
            documents,
            domains,
            config,
            clock,
            entropy,
        };
        Ok(Arc::new(engine))
    }

    /// Documents of clients with live grants, and proofs of domains: a few at a time, beside the
    /// work.
    fn look_around(self: &Arc<Self>) {
        let engine = Arc::clone(self);
        // A slow host must not keep this node from following the store.
        tokio::spawn(async move {
            let looked = engine.watch_documents().await;
            let checked = engine.check_due_verifications().await;
            for failure in [looked.err(), checked.err()].into_iter().flatten() {
                tracing::warn!(%failure, "a look around failed");
            }
        });
    }

    /// Follow the store and keep it in order until the engine is dropped or the task is aborted. What
    /// may have to wait for the store does not keep the node from following.
    pub async fn run_background(self: Arc<Self>) {
        tokio::join!(self.keep_following(), self.keep_house());
    }

    async fn keep_following(&self) {
        let mut interval = each_second();
        loop {
            interval.tick().await;
            if let Err(failure) = self.follow().await {
                tracing::error!(%failure, "cannot follow the store");
            }
        }
    }

    async fn keep_house(self: &Arc<Self>) {
        let mut interval = each_second();
        let (mut ticks, mut behind): (u64, bool) = (0, false);
        loop {
            interval.tick().await;
            if let Err(failure) = self.flush_decisions().await {
                tracing::warn!(%failure, "decisions were not written");
            }
            ticks = ticks.wrapping_add(1);
            if ticks.is_multiple_of(LOOK_EVERY_FOLLOWS) {
                self.look_around();
            }
            if behind || ticks.is_multiple_of(SWEEP_EVERY_FOLLOWS) {
                behind = self.sweep().await;
            }
            if ticks.is_multiple_of(SWEEP_EVERY_FOLLOWS)
                && let Err(failure) = self.end_old_keys().await
            {
                tracing::warn!(%failure, "old keys could not be ended");
            }
        }
    }

    /// Take a few rows away that have expired. Whether there may be more: then it is time again in a
    /// second.
    pub async fn sweep(&self) -> bool {
        match self.store.sweep(self.now(), SWEEP_ROWS).await {
            Ok(0) => false,
            Ok(rows) => {
                tracing::debug!(rows, "swept expired rows");
                rows >= SWEEP_ROWS
            }
            Err(failure) => {
                tracing::warn!(%failure, "the sweep failed");
                false
            }
        }
    }

    /// Whether this node may decide: its snapshot is fresh.
    pub fn readiness(&self) -> Result<(), &'static str> {
        let followed = Timestamp::from_seconds(self.followed_at.load(Ordering::Relaxed));
        if self.now().since(followed) > SNAPSHOT_AGE_MAX {
            return Err("the database has not answered for more than five seconds");
        }
        Ok(())
    }

    /// Whether the database answers now.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.store.ping().await
    }

    /// The issuer.
    pub fn issuer(&self) -> &Issuer {
        &self.config.issuer
    }

    /// The protected resources.
    pub fn resources(&self) -> &Resources {
        &self.config.resources
    }

    /// The settings in force.
    pub fn settings(&self) -> Settings {
        self.live().settings.clone()
    }

    /// RFC 8414 metadata, following the live settings (AS-16).
    pub fn server_metadata(&self) -> Arc<CachedDocument> {
        self.live().metadata.clone()
    }

    /// Public keys.
    pub fn jwks(&self) -> Arc<CachedDocument> {
        self.live().jwks.clone()
    }

    pub(crate) fn live(&self) -> Guard<Arc<Live>> {
        self.live.load()
    }

    /// The same, to be held across an await.
    pub(crate) fn live_now(&self) -> Arc<Live> {
        self.live.load_full()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.entropy.fill(&mut bytes);
        bytes
    }

    /// A secret of 256 random bits behind a prefix that tells its kind (GEN-15, T18).
    pub(crate) fn random_token(&self, prefix: &str) -> Secret<String> {
        use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
        let mut text = String::with_capacity(prefix.len() + 43);
        text.push_str(prefix);
        URL_SAFE_NO_PAD.encode_string(self.random::<32>(), &mut text);
        Secret::new(text)
    }

    /// Count one event; `Err` holds the seconds to wait.
    pub(crate) fn check_rate(&self, meter: Meter, key: u64) -> Result<(), u64> {
        self.throttle.check(
            &self.live().settings.limits,
            meter,
            key,
            self.now().seconds().saturating_mul(1_000),
        )
    }

    /// Would one more be let through? Counts nothing.
    pub(crate) fn peek_rate(&self, meter: Meter, key: u64) -> Result<(), u64> {
        self.throttle.peek(
            &self.live().settings.limits,
            meter,
            key,
            self.now().seconds().saturating_mul(1_000),
        )
    }

    /// Take back one counted event.
    pub(crate) fn uncount_rate(&self, meter: Meter, key: u64) {
        self.throttle
            .uncount(&self.live().settings.limits, meter, key);
    }

    /// Count one event (a failure) without asking.
    pub(crate) fn count_rate(&self, meter: Meter, key: u64) {
        self.throttle.count(
            &self.live().settings.limits,
            meter,
            key,
            self.now().seconds().saturating_mul(1_000),
        );
    }
}

fn each_second() -> tokio::time::Interval {
    let mut interval = tokio::time::interval(FOLLOW_EVERY);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    interval
}

/// Take a new issuer over for the data of an old one (MCP-07), before [`Engine::start`]. Returns the
/// old one if it was another. Nothing is revoked or rewritten, but what names or was made under the
/// old issuer is not good any more: sealed registrations, tickets, refresh tokens and the secrets
/// derived for unapproved registrations (the issuer is in their keys), access and ID Tokens (`iss`).
/// Stored clients, accounts and live settings stay.
pub async fn accept_issuer(
    store: &dyn Store,
    issuer: &Issuer,
    now: Timestamp,
) -> Result<Option<String>, StoreError> {
    let kept = store.keep_issuer(issuer.as_str()).await?;
    if kept == issuer.as_str() {
        return Ok(None);
    }
    let audit = AuditEntry {
        at: now,
        event: Event::SettingsChanged,
        actor: Actor::Admin("command line".to_owned()),
        client: None,
        grant: None,
        source: None,
        detail: format!("the issuer changed from {kept} to {}", issuer.as_str()),
    };
    // False: another node was faster. If it took over something else, the start says so.
    store.replace_issuer(&kept, issuer.as_str(), audit).await?;
    Ok(Some(kept))
}
