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
    issuer::Issuer,
    redirect_uri::RedirectPolicy,
    resource_indicator::Resources,
    scope,
    secret::Secret,
    server_metadata::{MetadataInputs, ServerMetadata},
    time::Timestamp,
    trust::{CimdMode, DcrMode},
};
use vestibule_seal::wrap::MasterKey;
use vestibule_store::{Store, StoreError};

use crate::{
    Clock, Entropy, KeyError, Settings,
    client_auth::ReplayCache,
    introspect::VerifiedTokens,
    keys::{self, Keys},
    password::PasswordPool,
    throttle::{FamiliarSources, Meter, Throttle},
};

/// How old a snapshot may be before the node refuses to decide (design section 10).
const SNAPSHOT_AGE_MAX: Duration = Duration::from_secs(5);
/// How often the store is asked whether something moved.
const FOLLOW_EVERY: Duration = Duration::from_secs(1);
/// How often expired rows are swept, and how many at a time.
const SWEEP_EVERY_FOLLOWS: u64 = 30;
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

/// One consistent view of what changes live.
pub(crate) struct Live {
    pub(crate) settings: Settings,
    pub(crate) keys: Arc<Keys>,
    metadata: Arc<CachedDocument>,
    jwks: Arc<CachedDocument>,
}

/// The authorization server.
pub struct Engine {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) documents: Arc<dyn Documents>,
    pub(crate) config: EngineConfig,
    pub(crate) throttle: Throttle,
    pub(crate) familiar: FamiliarSources,
    pub(crate) passwords: PasswordPool,
    pub(crate) replays: ReplayCache,
    pub(crate) verified: VerifiedTokens,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    live: ArcSwap<Live>,
    followed_at: AtomicU64,
    outside: AtomicU64,
}

impl Engine {
    /// Load or make keys, read the settings, build what is served.
    pub async fn start(parts: EngineParts) -> Result<Arc<Self>, StartError> {
        let EngineParts {
            store,
            clock,
            entropy,
            documents,
            config,
        } = parts;
        let keys = keys::load(
            store.as_ref(),
            &config.master_key,
            &config.issuer,
            clock.as_ref(),
            entropy.as_ref(),
        )
        .await?;
        let settings = read_settings(store.as_ref(), &config).await?;
        let live = Live::build(settings, Arc::new(keys), &config);
        let engine = Self {
            throttle: Throttle::new(config.limits_enabled),
            familiar: FamiliarSources::new(),
            passwords: PasswordPool::new(),
            replays: ReplayCache::new(),
            verified: VerifiedTokens::new(),
            followed_at: AtomicU64::new(clock.now().seconds()),
            outside: AtomicU64::new(store.outside_version().await?),
            live: ArcSwap::from_pointee(live),
            store,
            documents,
            config,
            clock,
            entropy,
        };
        Ok(Arc::new(engine))
    }

    /// Follow the store and sweep it until the engine is dropped or the task is aborted.
    pub async fn run_background(self: Arc<Self>) {
        let mut ticks: u64 = 0;
        let mut interval = tokio::time::interval(FOLLOW_EVERY);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            if let Err(failure) = self.follow().await {
                tracing::error!(%failure, "cannot follow the store");
            }
            ticks = ticks.wrapping_add(1);
            if ticks.is_multiple_of(SWEEP_EVERY_FOLLOWS) {
                match self.store.sweep(self.now(), SWEEP_ROWS).await {
                    Ok(0) => {}
                    Ok(rows) => tracing::debug!(rows, "swept expired rows"),
                    Err(failure) => tracing::warn!(%failure, "the sweep failed"),
                }
            }
        }
    }

    /// Replace the snapshot if settings or keys moved.
    pub async fn follow(&self) -> Result<(), StoreError> {
        let stored = self.store.load_settings().await?;
        let (key_seq, rows) = self.store.load_keys().await?;
        let live = self.live();
        if stored.seq != live.settings.seq || key_seq != live.keys.seq {
            let settings = if stored.seq == live.settings.seq {
                Some(live.settings.clone())
            } else {
                Settings::read(stored.seq, &stored.document)
            };
            let keys = if key_seq == live.keys.seq {
                Ok(live.keys.clone())
            } else {
                let config = &self.config;
                keys::assemble(key_seq, &rows, &config.master_key, &config.issuer).map(Arc::new)
            };
            match (settings, keys) {
                (Some(settings), Ok(keys)) => {
                    self.live
                        .store(Arc::new(Live::build(settings, keys, &self.config)));
                }
                (None, _) => {
                    tracing::error!("the stored settings cannot be read by this release");
                    return Err(StoreError::Damaged {
                        what: "settings",
                        detail: "not readable by this release".to_owned(),
                    });
                }
                (_, Err(failure)) => {
                    tracing::error!(%failure, "the stored keys cannot be used");
                    return Err(StoreError::Damaged {
                        what: "key",
                        detail: failure.to_string(),
                    });
                }
            }
        }
        let outside = self.store.outside_version().await?;
        if self.outside.swap(outside, Ordering::Relaxed) != outside {
            self.verified.clear();
        }
        self.followed_at
            .store(self.now().seconds(), Ordering::Relaxed);
        Ok(())
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
        self.throttle
            .check(meter, key, self.now().seconds().saturating_mul(1_000))
    }

    /// Would one more be let through? Counts nothing.
    pub(crate) fn peek_rate(&self, meter: Meter, key: u64) -> Result<(), u64> {
        self.throttle
            .peek(meter, key, self.now().seconds().saturating_mul(1_000))
    }

    /// Take back one counted event.
    pub(crate) fn uncount_rate(&self, meter: Meter, key: u64) {
        self.throttle.uncount(meter, key);
    }

    /// Count one event (a failure) without asking.
    pub(crate) fn count_rate(&self, meter: Meter, key: u64) {
        self.throttle
            .count(meter, key, self.now().seconds().saturating_mul(1_000));
    }
}

async fn read_settings(store: &dyn Store, config: &EngineConfig) -> Result<Settings, StartError> {
    let stored = store.load_settings().await?;
    if stored.seq == 0 {
        return Ok(Settings::first(config.first_dcr, config.first_cimd));
    }
    Settings::read(stored.seq, &stored.document).ok_or(StartError::Settings)
}

impl Live {
    fn build(settings: Settings, keys: Arc<Keys>, config: &EngineConfig) -> Self {
        let mut scopes: Vec<String> = Vec::new();
        for resource in config.resources.iter() {
            for spec in &resource.scopes {
                let name = spec.scope.as_str();
                if !scopes.iter().any(|known| known == name) {
                    scopes.push(name.to_owned());
                }
            }
        }
        scopes.extend(
            [
                scope::OPENID,
                scope::PROFILE,
                scope::EMAIL,
                scope::OFFLINE_ACCESS,
            ]
            .map(String::from),
        );
        let inputs = MetadataInputs {
            // A mode that registers nobody new is not advertised (AS-16).
            dcr_open: matches!(settings.dcr, DcrMode::Open | DcrMode::Token),
            cimd_open: settings.cimd != CimdMode::Off,
            scopes_supported: scopes,
            resources: config
                .resources
                .iter()
                .map(|r| r.uri.as_str().to_owned())
                .collect(),
        };
        let metadata = ServerMetadata::build(&config.issuer, &inputs);
        Self {
            metadata: cached(serde_json::to_vec(&metadata).unwrap_or_default()),
            jwks: cached(keys.public.to_json()),
            settings,
            keys,
        }
    }
}

fn cached(body: Vec<u8>) -> Arc<CachedDocument> {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let digest = vestibule_seal::sha256(&body);
    let etag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(digest));
    Arc::new(CachedDocument {
        body: body.into(),
        etag,
    })
}
