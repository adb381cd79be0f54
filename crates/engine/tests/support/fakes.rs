//! What the engine is given in tests: a clock, randomness, client documents.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use vestibule_cimd::{Document, Documents, KeyBytes, ResolveError};
use vestibule_engine::{Clock, Entropy};
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

/// The same bytes in each run (`splitmix64`). Never outside tests.
pub struct SeededEntropy(pub AtomicU64);

impl Entropy for SeededEntropy {
    fn fill(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            let mut z = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::SeqCst);
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
    cut_off: Mutex<Vec<String>>,
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
        let document = Document {
            digest: metadata.security_digest(),
            metadata: Arc::new(metadata),
            warnings: Vec::new(),
            fetched_at: START,
            first_seen: START,
            stale: false,
        };
        self.documents
            .lock()
            .unwrap()
            .insert(url.to_owned(), Arc::new(document));
    }

    /// Stop serving it.
    pub fn withdraw(&self, url: &str) {
        self.documents.lock().unwrap().remove(url);
    }

    /// Its host does not answer any more.
    pub fn cut_off(&self, url: &str) {
        self.cut_off.lock().unwrap().push(url.to_owned());
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
        let cut_off = self.cut_off.lock().unwrap();
        if cut_off.iter().any(|url| url == id.as_str()) {
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
