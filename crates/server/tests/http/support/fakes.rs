//! What the engine is given: a clock, randomness, client documents.

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
pub(crate) struct TestClock(pub(crate) AtomicU64);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(self.0.load(Ordering::SeqCst))
    }
}

/// The same bytes in each run (`splitmix64`). Never outside tests.
pub(crate) struct SeededEntropy(pub(crate) AtomicU64);

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

/// Client documents by URL; what is not there was withdrawn.
#[derive(Default)]
pub(crate) struct FakeDocuments(Mutex<HashMap<String, Arc<Document>>>);

impl FakeDocuments {
    /// Serve a client document.
    pub(crate) fn serve(&self, url: &str, metadata: ClientMetadata) {
        let document = Document {
            digest: metadata.security_digest(),
            metadata: Arc::new(metadata),
            warnings: Vec::new(),
            fetched_at: START,
            first_seen: START,
            stale: false,
        };
        self.0
            .lock()
            .unwrap()
            .insert(url.to_owned(), Arc::new(document));
    }
}

#[async_trait::async_trait]
impl Documents for FakeDocuments {
    async fn document(
        &self,
        id: &ClientIdUrl,
        _source: u64,
    ) -> Result<Arc<Document>, ResolveError> {
        let documents = self.0.lock().unwrap();
        documents
            .get(id.as_str())
            .cloned()
            .ok_or(ResolveError::Withdrawn("404"))
    }

    async fn keys(
        &self,
        _uri: &HttpsUrl,
        _unknown_kid: bool,
    ) -> Result<Arc<KeyBytes>, ResolveError> {
        Err(ResolveError::Unreachable { retry_after: None })
    }
}
