//! The resolver: one exact string in, one checked document out, as few fetches as possible.
//!
//! - The cache key is the raw `client_id`, octet for octet (CIMD-11, threats F25).
//! - One fetch per id at a time; whoever comes meanwhile waits for its result (F26).
//! - Only what validated is cached; errors and malformed documents never are (CIMD-49, CIMD-50).
//! - A document past its freshness is served while a fetch in the background replaces it, for a
//!   bounded time; after that the request waits, and a transport failure falls back to the last
//!   good copy until [`ResolverSettings::stale_max`] (CIMD-52).
//! - Gone or invalid withdraws: the copy is dropped (F24).
//!
//! What the caller learns is one neutral kind of failure; that an address was refused looks like
//! a name that does not resolve (F15). Details go to the log.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use quick_cache::{Weighter, sync::Cache};
use tokio::sync::OnceCell;
use vestibule_fetch::{FetchError, Fetched, Fetcher, Purpose};
use vestibule_protocol::{
    cimd_document,
    client_id_url::ClientIdUrl,
    client_metadata::{ClientMetadata, HttpsUrl},
    error_code::ErrorCode,
    redirect_uri::RedirectPolicy,
};

use crate::{
    answer::{Class, classify},
    budget::Budget,
    lifetime::{Bounds, freshness},
};

/// Most requests that wait for one fetch.
const WAITERS_MAX: usize = 256;

/// How the resolver behaves.
#[derive(Clone, Debug)]
pub struct ResolverSettings {
    /// Freshness.
    pub bounds: Bounds,
    /// How long past its freshness a copy is served without waiting.
    pub revalidate_in_background: Duration,
    /// How long past its fetch a copy may stand in for a host that does not answer.
    pub stale_max: Duration,
    /// Memory of the document cache, in bytes, roughly.
    pub cache_bytes: u64,
    /// Which redirect URIs a document may hold.
    pub redirect_policy: RedirectPolicy,
    /// False only in tests and benchmarks on loopback.
    pub limits_enabled: bool,
}

impl Default for ResolverSettings {
    fn default() -> Self {
        Self {
            bounds: Bounds::default(),
            revalidate_in_background: Duration::from_mins(10),
            stale_max: Duration::from_hours(24),
            cache_bytes: 64 << 20,
            redirect_policy: RedirectPolicy::default(),
            limits_enabled: true,
        }
    }
}

/// A document that was fetched and passed every check.
#[derive(Clone, Debug)]
pub struct Document {
    /// What it registers.
    pub metadata: Arc<ClientMetadata>,
    /// What was dropped or odd, for the admin.
    pub warnings: Vec<String>,
    /// [`ClientMetadata::security_digest`].
    pub digest: [u8; 32],
    /// Seconds since the epoch.
    pub fetched_at: u64,
    /// When this node first saw the id.
    pub first_seen: u64,
    /// The host did not answer; this is the last good copy.
    pub stale: bool,
}

/// The bytes of a JWK set.
#[derive(Clone, Debug)]
pub struct KeyBytes {
    /// JSON, not parsed here.
    pub body: Vec<u8>,
    /// Seconds since the epoch.
    pub fetched_at: u64,
}

/// Why there is no document.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ResolveError {
    /// Too many requests wait for this id.
    #[error("too many requests wait for this document")]
    Busy,
    /// What is served there is not a valid document.
    #[error("the document is not valid: {reason}")]
    Invalid {
        /// Which rule it broke; for our log, and for the person who runs the client.
        reason: String,
    },
    /// A budget is used up.
    #[error("too many documents were asked for, again in {retry_after} s")]
    Throttled {
        /// Seconds.
        retry_after: u64,
    },
    /// Well-formed, but not for us, such as no authentication method that we have (CIMD-59).
    #[error("the document is not acceptable: {reason}")]
    Unacceptable {
        /// `unauthorized_client`, mostly.
        code: ErrorCode,
        /// Which rule.
        reason: String,
    },
    /// The host could not be asked, and there is no good copy.
    #[error("the host of the document does not answer")]
    Unreachable {
        /// Seconds, if the host said.
        retry_after: Option<u64>,
    },
    /// The host says that there is no such client.
    #[error("there is no such document: {0}")]
    Withdrawn(&'static str),
}

/// Where documents come from. The seam between `engine` and the network.
#[async_trait]
pub trait Documents: Send + Sync {
    /// The document of this id. `source` is the caller's limit key.
    async fn document(&self, id: &ClientIdUrl, source: u64) -> Result<Arc<Document>, ResolveError>;

    /// The JWK set at this URL. With `unknown_kid` a cached set is asked for again, at most once a
    /// minute (JCA-09).
    async fn keys(&self, uri: &HttpsUrl, unknown_kid: bool) -> Result<Arc<KeyBytes>, ResolveError>;
}

struct Entry<T> {
    value: Arc<T>,
    fresh_until: u64,
    bytes: u64,
}

impl<T> Clone for Entry<T> {
    fn clone(&self) -> Self {
        Self {
            value: self.value.clone(),
            fresh_until: self.fresh_until,
            bytes: self.bytes,
        }
    }
}

#[derive(Clone)]
struct ByBytes;

impl<T> Weighter<String, Entry<T>> for ByBytes {
    fn weight(&self, key: &String, entry: &Entry<T>) -> u64 {
        // Parsed, a document takes about twice its bytes, and the entry some hundred more.
        key.len() as u64 + 2 * entry.bytes + 512
    }
}

/// A cache with its flights.
struct Shelf<T> {
    entries: Cache<String, Entry<T>, ByBytes>,
    flights: Mutex<HashMap<String, Arc<Flight<T>>>>,
}

impl<T> Shelf<T> {
    fn new(bytes: u64) -> Self {
        let items = usize::try_from(bytes / 4_096).unwrap_or(1_000).max(16);
        Self {
            entries: Cache::with_weighter(items, bytes, ByBytes),
            flights: Mutex::new(HashMap::new()),
        }
    }

    /// Take a seat in the flight of this key; `None` when it is full.
    fn board(&self, key: &str) -> Option<Seat<'_, T>> {
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        let flight = flights.entry(key.to_owned()).or_default().clone();
        let others = flight.seated.fetch_add(1, Ordering::Relaxed);
        let seat = Seat {
            shelf: self,
            key: key.to_owned(),
            first: others == 0,
            flight,
        };
        drop(flights);
        (others < WAITERS_MAX).then_some(seat)
    }
}

/// One fetch and those who wait for it.
struct Flight<T> {
    result: OnceCell<Result<Arc<T>, ResolveError>>,
    seated: AtomicUsize,
}

impl<T> Default for Flight<T> {
    fn default() -> Self {
        Self {
            result: OnceCell::new(),
            seated: AtomicUsize::new(0),
        }
    }
}

/// A waiting request. Leaving, also by being dropped half-way, gives the seat back; the last one
/// out ends the flight, so that nobody can fill one for ever by hanging up.
struct Seat<'a, T> {
    shelf: &'a Shelf<T>,
    key: String,
    first: bool,
    flight: Arc<Flight<T>>,
}

impl<T> Seat<'_, T> {
    async fn wait<F>(&self, fetch: impl FnOnce() -> F) -> Result<Arc<T>, ResolveError>
    where
        F: Future<Output = Result<Arc<T>, ResolveError>>,
    {
        let result = self.flight.result.get_or_init(fetch).await.clone();
        self.end();
        result
    }

    /// Later requests start a flight of their own.
    fn end(&self) {
        let mut flights = self
            .shelf
            .flights
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if flights
            .get(&self.key)
            .is_some_and(|current| Arc::ptr_eq(current, &self.flight))
        {
            flights.remove(&self.key);
        }
    }
}

impl<T> Drop for Seat<'_, T> {
    fn drop(&mut self) {
        let mut flights = self
            .shelf
            .flights
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let last = self.flight.seated.fetch_sub(1, Ordering::Relaxed) == 1;
        let current = flights.get(&self.key);
        if last && current.is_some_and(|current| Arc::ptr_eq(current, &self.flight)) {
            flights.remove(&self.key);
        }
    }
}

struct Inner {
    fetcher: Arc<Fetcher>,
    settings: ResolverSettings,
    now: Box<dyn Fn() -> u64 + Send + Sync>,
    documents: Shelf<Document>,
    keys: Shelf<KeyBytes>,
    hosts: Budget,
    sources: Budget,
    refetched_keys: Cache<String, u64>,
}

/// The resolver over the network.
#[derive(Clone)]
pub struct Resolver(Arc<Inner>);

impl Resolver {
    /// `now` gives seconds since the epoch.
    pub fn new(
        fetcher: Arc<Fetcher>,
        settings: ResolverSettings,
        now: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Inner {
            documents: Shelf::new(settings.cache_bytes),
            keys: Shelf::new(settings.cache_bytes / 8),
            // A host is asked 20 times at once and then every 3 s; a source may bring 20 ids that
            // are not cached and then one every 2 s.
            hosts: Budget::new(20, 3_000),
            sources: Budget::new(20, 2_000),
            refetched_keys: Cache::new(4_096),
            fetcher,
            settings,
            now: Box::new(now),
        }))
    }

    /// How many documents are cached.
    pub fn cached_documents(&self) -> usize {
        self.0.documents.entries.len()
    }

    async fn fetch_document(
        &self,
        id: &ClientIdUrl,
        source: Option<u64>,
        previous: Option<Entry<Document>>,
    ) -> Result<Arc<Document>, ResolveError> {
        let inner = &self.0;
        let failure = match inner
            .get(id.as_str(), id.host(), source, Purpose::Document)
            .await
        {
            Ok(answer) => match inner.read_document(id, &answer, previous.as_ref()) {
                Ok(entry) => {
                    inner
                        .documents
                        .entries
                        .insert(id.as_str().to_owned(), entry.clone());
                    return Ok(entry.value);
                }
                Err(failure) => failure,
            },
            Err(failure) => failure,
        };
        match (&failure, previous) {
            (
                ResolveError::Invalid { .. }
                | ResolveError::Withdrawn(_)
                | ResolveError::Unacceptable { .. },
                _,
            ) => {
                tracing::info!(client_id = id.as_str(), %failure, "client document withdrawn");
                inner.documents.entries.remove(id.as_str());
                Err(failure)
            }
            (_, Some(entry)) if inner.may_stand_in(entry.value.fetched_at) => {
                let copy = Document {
                    stale: true,
                    ..(*entry.value).clone()
                };
                Ok(Arc::new(copy))
            }
            _ => Err(failure),
        }
    }

    async fn fetch_keys(
        &self,
        uri: &HttpsUrl,
        previous: Option<Entry<KeyBytes>>,
    ) -> Result<Arc<KeyBytes>, ResolveError> {
        let inner = &self.0;
        match inner
            .get(uri.as_str(), uri.host(), None, Purpose::Keys)
            .await
        {
            Ok(answer) => {
                let now = (inner.now)();
                let fresh = freshness(
                    answer.cache_control.as_deref(),
                    answer.age,
                    inner.settings.bounds,
                );
                let entry = Entry {
                    bytes: answer.body.len() as u64,
                    value: Arc::new(KeyBytes {
                        body: answer.body.to_vec(),
                        fetched_at: now,
                    }),
                    fresh_until: now.saturating_add(fresh.as_secs()),
                };
                inner
                    .keys
                    .entries
                    .insert(uri.as_str().to_owned(), entry.clone());
                Ok(entry.value)
            }
            Err(failure) => match previous {
                // A key set that went away is not a key set that changed: the last one stays good
                // for its bounded time (JCA-09).
                Some(entry) if inner.may_stand_in(entry.value.fetched_at) => Ok(entry.value),
                _ => Err(failure),
            },
        }
    }
}

impl Inner {
    fn may_stand_in(&self, fetched_at: u64) -> bool {
        (self.now)().saturating_sub(fetched_at) <= self.settings.stale_max.as_secs()
    }

    /// One GET inside the budgets; `Ok` only for a 200 with a JSON media type.
    async fn get(
        &self,
        raw: &str,
        host: &str,
        source: Option<u64>,
        purpose: Purpose,
    ) -> Result<Fetched, ResolveError> {
        let url =
            self.fetcher
                .parse_stranger_url(raw)
                .map_err(|failure| ResolveError::Invalid {
                    reason: format!("the URL may not be fetched: {failure}"),
                })?;
        if self.settings.limits_enabled {
            let now_ms = (self.now)().saturating_mul(1_000);
            let wait = |retry_after| ResolveError::Throttled { retry_after };
            if let Some(source) = source {
                self.sources.take(source, now_ms).map_err(wait)?;
            }
            self.hosts.take(host_key(host), now_ms).map_err(wait)?;
        }
        let answer = self.fetcher.get(&url, purpose).await.map_err(|failure| {
            tracing::info!(
                url = raw,
                ?failure,
                "a client's document or keys could not be fetched"
            );
            match failure {
                FetchError::TooLarge => ResolveError::Withdrawn("the answer is too large"),
                FetchError::Encoded => ResolveError::Withdrawn("the answer is compressed"),
                _ => ResolveError::Unreachable { retry_after: None },
            }
        })?;
        match classify(
            answer.status,
            answer.content_type.as_deref(),
            answer.cf_mitigated,
        ) {
            Class::Document => Ok(answer),
            Class::Withdrawn(reason) => {
                log_answer(raw, &answer, reason);
                Err(ResolveError::Withdrawn(reason))
            }
            Class::Unreachable(reason) => {
                log_answer(raw, &answer, reason);
                Err(ResolveError::Unreachable {
                    retry_after: answer.retry_after,
                })
            }
        }
    }

    fn read_document(
        &self,
        id: &ClientIdUrl,
        answer: &Fetched,
        previous: Option<&Entry<Document>>,
    ) -> Result<Entry<Document>, ResolveError> {
        let read = cimd_document::read(&answer.body, id.as_str(), &self.settings.redirect_policy);
        let (metadata, warnings) = read.map_err(|failure| match failure.code() {
            code @ ErrorCode::UnauthorizedClient => ResolveError::Unacceptable {
                code,
                reason: failure.to_string(),
            },
            _ => ResolveError::Invalid {
                reason: failure.to_string(),
            },
        })?;
        let now = (self.now)();
        let fresh = freshness(
            answer.cache_control.as_deref(),
            answer.age,
            self.settings.bounds,
        );
        let document = Document {
            digest: metadata.security_digest(),
            metadata: Arc::new(metadata),
            warnings: warnings.iter().map(ToString::to_string).collect(),
            fetched_at: now,
            first_seen: previous.map_or(now, |entry| entry.value.first_seen),
            stale: false,
        };
        Ok(Entry {
            value: Arc::new(document),
            fresh_until: now.saturating_add(fresh.as_secs()),
            bytes: answer.body.len() as u64,
        })
    }
}

#[async_trait]
impl Documents for Resolver {
    async fn document(&self, id: &ClientIdUrl, source: u64) -> Result<Arc<Document>, ResolveError> {
        let inner = &self.0;
        let cached = inner.documents.entries.get(id.as_str());
        let now = (inner.now)();
        if let Some(entry) = &cached {
            if now < entry.fresh_until {
                return Ok(entry.value.clone());
            }
            let lenient = inner.settings.revalidate_in_background.as_secs();
            if now < entry.fresh_until.saturating_add(lenient) {
                let (resolver, id, previous) = (self.clone(), id.clone(), cached.clone());
                tokio::spawn(async move {
                    // Somebody else may be at it already: then there is nothing to do.
                    if let Some(seat) = resolver.0.documents.board(id.as_str())
                        && seat.first
                    {
                        let refreshed = seat.wait(|| resolver.fetch_document(&id, None, previous));
                        if let Err(failure) = refreshed.await {
                            tracing::debug!(%failure, "a document was not refreshed");
                        }
                    }
                });
                return Ok(entry.value.clone());
            }
        }
        let seat = inner
            .documents
            .board(id.as_str())
            .ok_or(ResolveError::Busy)?;
        seat.wait(|| self.fetch_document(id, Some(source), cached))
            .await
    }

    async fn keys(&self, uri: &HttpsUrl, unknown_kid: bool) -> Result<Arc<KeyBytes>, ResolveError> {
        let inner = &self.0;
        let cached = inner.keys.entries.get(uri.as_str());
        let now = (inner.now)();
        if let Some(entry) = &cached {
            let refetched = inner.refetched_keys.get(uri.as_str()).unwrap_or(0);
            let may_refetch = now.saturating_sub(refetched.max(entry.value.fetched_at)) >= 60;
            if now < entry.fresh_until && !(unknown_kid && may_refetch) {
                return Ok(entry.value.clone());
            }
        }
        inner.refetched_keys.insert(uri.as_str().to_owned(), now);
        let seat = inner.keys.board(uri.as_str()).ok_or(ResolveError::Busy)?;
        seat.wait(|| self.fetch_keys(uri, cached)).await
    }
}

/// Budget key of a host: its registrable domain would be better for `*.victim.example`, so it is
/// that (F27).
fn host_key(host: &str) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    vestibule_protocol::client_id_url::registrable_domain(host).hash(&mut hasher);
    hasher.finish()
}

fn log_answer(url: &str, answer: &Fetched, reason: &'static str) {
    tracing::info!(
        url,
        status = answer.status,
        content_type = answer.content_type.as_deref().unwrap_or("none"),
        bytes = answer.body.len(),
        cf_mitigated = answer.cf_mitigated,
        reason,
        "a host did not serve a client's document or keys"
    );
}
