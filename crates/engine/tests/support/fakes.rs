//! What the engine is given in tests: a clock, randomness, client documents.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use vestibule_cimd::{Document, Documents, KeyBytes, ResolveError};
use vestibule_engine::{Clock, Domains, Entropy, ScoreHook};
use vestibule_protocol::{
    client_id_url::ClientIdUrl,
    client_metadata::{ClientMetadata, HttpsUrl},
    time::Timestamp,
};

use super::START;

/// A clock that stands until it is moved.
pub struct TestClock(pub AtomicU64);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(self.0.load(Ordering::SeqCst))
    }
}

/// The same bytes in each run (`splitmix64`), and a list of what was drawn. Never outside tests.
pub struct SeededEntropy {
    state: AtomicU64,
    drawn: Mutex<Vec<Vec<u8>>>,
}

impl SeededEntropy {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self {
            state: AtomicU64::new(seed),
            drawn: Mutex::default(),
        }
    }

    /// How often exactly these bytes were drawn at once.
    pub fn draws_of(&self, bytes: &[u8]) -> usize {
        let drawn = self.drawn.lock().unwrap();
        drawn.iter().filter(|draw| *draw == bytes).count()
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, buffer: &mut [u8]) {
        self.draw(buffer);
        self.drawn.lock().unwrap().push(buffer.to_vec());
    }
}

impl SeededEntropy {
    fn draw(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            let mut z = self
                .state
                .fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::SeqCst);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            let bytes = (z ^ (z >> 31)).to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
    }
}

/// Client documents and key sets by URL; what is not there cannot be reached.
#[derive(Default)]
pub struct FakeDocuments {
    documents: Mutex<HashMap<String, Arc<Document>>>,
    keys: Mutex<HashMap<String, Vec<u8>>>,
    silent: Mutex<HashSet<String>>,
    /// Times that a document was asked for.
    pub document_asks: AtomicU64,
    /// Times that a key set was asked for, and of these because of an unknown key.
    pub key_asks: AtomicU64,
    /// See above.
    pub unknown_kid_asks: AtomicU64,
}

impl FakeDocuments {
    /// Serve a client document.
    pub fn serve(&self, url: &str, metadata: ClientMetadata) {
        self.serve_fetched(url, metadata, START);
    }

    /// The same, fetched at that second; its host speaks again.
    pub fn serve_fetched(&self, url: &str, metadata: ClientMetadata, fetched_at: u64) {
        self.silent.lock().unwrap().remove(url);
        let document = Document {
            digest: metadata.security_digest(),
            metadata: Arc::new(metadata),
            warnings: Vec::new(),
            fetched_at,
            first_seen: START,
            stale: false,
        };
        self.documents
            .lock()
            .unwrap()
            .insert(url.to_owned(), Arc::new(document));
    }

    /// Its host does not answer any more.
    pub fn silence(&self, url: &str) {
        self.silent.lock().unwrap().insert(url.to_owned());
    }

    /// Its host answers again, be it that there is nothing.
    pub fn speak(&self, url: &str) {
        self.silent.lock().unwrap().remove(url);
    }

    /// Stop serving it.
    pub fn withdraw(&self, url: &str) {
        self.documents.lock().unwrap().remove(url);
    }

    /// Serve a key set.
    pub fn serve_keys(&self, url: &str, jwks: &str) {
        self.keys
            .lock()
            .unwrap()
            .insert(url.to_owned(), jwks.as_bytes().to_vec());
    }
}

#[async_trait::async_trait]
impl Documents for FakeDocuments {
    async fn document(
        &self,
        id: &ClientIdUrl,
        _source: u64,
    ) -> Result<Arc<Document>, ResolveError> {
        self.document_asks.fetch_add(1, Ordering::SeqCst);
        if self.silent.lock().unwrap().contains(id.as_str()) {
            return Err(ResolveError::Unreachable { retry_after: None });
        }
        let documents = self.documents.lock().unwrap();
        documents
            .get(id.as_str())
            .cloned()
            .ok_or(ResolveError::Withdrawn("404"))
    }

    async fn keys(&self, uri: &HttpsUrl, unknown_kid: bool) -> Result<Arc<KeyBytes>, ResolveError> {
        self.key_asks.fetch_add(1, Ordering::SeqCst);
        if unknown_kid {
            self.unknown_kid_asks.fetch_add(1, Ordering::SeqCst);
        }
        let keys = self.keys.lock().unwrap();
        let body = keys.get(uri.as_str()).cloned();
        let body = body.ok_or(ResolveError::Unreachable {
            retry_after: Some(7),
        })?;
        Ok(Arc::new(KeyBytes {
            body,
            fetched_at: START,
        }))
    }
}

/// Proofs of domains by place; what is not there is not found.
#[derive(Default)]
pub struct FakeDomains {
    /// TXT records by name.
    pub records: Mutex<HashMap<String, Vec<String>>>,
    /// Files by URL.
    pub files: Mutex<HashMap<String, String>>,
}

#[async_trait::async_trait]
impl Domains for FakeDomains {
    async fn txt(&self, name: &str) -> Result<Vec<String>, String> {
        let records = self.records.lock().unwrap();
        Ok(records.get(name).cloned().unwrap_or_default())
    }

    async fn file(&self, url: &str) -> Result<String, String> {
        let files = self.files.lock().unwrap();
        let found = files.get(url).cloned();
        found.ok_or_else(|| format!("{url} answered 404"))
    }
}

/// A score hook that gives everybody the same score, or none at all.
#[derive(Default)]
pub struct FakeScores {
    /// `None` is an answer that cannot be read.
    pub score: Mutex<Option<u32>>,
    /// Times that it was asked.
    pub asks: AtomicU64,
}

#[async_trait::async_trait]
impl ScoreHook for FakeScores {
    async fn ask(&self, _request: &str) -> Option<String> {
        self.asks.fetch_add(1, Ordering::SeqCst);
        let score = *self.score.lock().unwrap();
        score.map(|score| format!("{{\"score\":{score}}}"))
    }
}
