//! The hub's public keys: found through its metadata, cached, asked for again when a token names
//! a key that is not among them, at most once per interval, whatever strangers send (threats F27).

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use serde::Deserialize;
use tokio::sync::Mutex;
use vestibule_fetch::{Fetcher, OperatorUrl};
use vestibule_jwt::JwkSet;
use vestibule_protocol::issuer::Issuer;

const FRESH: Duration = Duration::from_mins(10);
const RETRY: Duration = Duration::from_secs(10);
const DOCUMENT_BYTES_MAX: usize = 64 << 10;

/// The keys could not be had.
#[derive(Debug, thiserror::Error)]
#[error("the hub's keys are not available: {0}")]
pub(crate) struct KeysUnavailable(String);

#[derive(Clone, Default)]
struct State {
    keys: Option<Arc<JwkSet>>,
    fetched: Option<Instant>,
    tried: Option<Instant>,
}

pub(crate) struct Keys {
    fetcher: Fetcher,
    issuer: Issuer,
    state: RwLock<State>,
    /// One fetch at a time.
    gate: Mutex<()>,
}

#[derive(Deserialize)]
struct HubMetadata {
    issuer: String,
    jwks_uri: String,
}

impl Keys {
    pub(crate) fn new(fetcher: Fetcher, issuer: Issuer) -> Self {
        Self {
            fetcher,
            issuer,
            state: RwLock::default(),
            gate: Mutex::default(),
        }
    }

    /// The keys; with `again` they are fetched anew unless that was tried a moment ago.
    pub(crate) async fn get(&self, again: bool) -> Result<Arc<JwkSet>, KeysUnavailable> {
        if let Some(keys) = self.usable(again) {
            return Ok(keys);
        }
        let _one_at_a_time = self.gate.lock().await;
        if let Some(keys) = self.usable(again) {
            return Ok(keys);
        }
        let fetched = self.fetch().await;
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.tried = Some(Instant::now());
        match fetched {
            Ok(keys) => {
                let keys = Arc::new(keys);
                state.keys = Some(keys.clone());
                state.fetched = state.tried;
                Ok(keys)
            }
            // The last good set stays: a hub that restarts must not take its resources down.
            Err(failure) => state.keys.clone().ok_or(failure),
        }
    }

    fn usable(&self, again: bool) -> Option<Arc<JwkSet>> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let within = |at: Option<Instant>, life| at.is_some_and(|at| at.elapsed() < life);
        let wait = within(state.tried, RETRY);
        let fresh = within(state.fetched, FRESH) && !again;
        if fresh || (wait && state.keys.is_some()) {
            state.keys.clone()
        } else {
            None
        }
    }

    async fn fetch(&self) -> Result<JwkSet, KeysUnavailable> {
        let path = self.issuer.path();
        let url = format!(
            "{}/.well-known/oauth-authorization-server{path}",
            self.issuer.origin()
        );
        let metadata: HubMetadata = serde_json::from_slice(&self.get_json(&url).await?)
            .map_err(|failure| KeysUnavailable(format!("{url}: {failure}")))?;
        if metadata.issuer != self.issuer.as_str() {
            return Err(KeysUnavailable(format!("{url} names another issuer")));
        }
        // Keys are taken from the hub itself, wherever its metadata points.
        let home = OperatorUrl::parse(self.issuer.as_str()).map(|url| url.origin().to_owned());
        let keys = OperatorUrl::parse(&metadata.jwks_uri).map(|url| url.origin().to_owned());
        if home.is_err() || home.ok() != keys.ok() {
            return Err(KeysUnavailable(format!("{url} names keys on another host")));
        }
        let body = self.get_json(&metadata.jwks_uri).await?;
        JwkSet::parse(&body)
            .map_err(|failure| KeysUnavailable(format!("{}: {failure}", metadata.jwks_uri)))
    }

    async fn get_json(&self, url: &str) -> Result<Vec<u8>, KeysUnavailable> {
        let target = OperatorUrl::parse(url)
            .map_err(|failure| KeysUnavailable(format!("{url}: {failure}")))?;
        let answer = self
            .fetcher
            .get_operator(&target, DOCUMENT_BYTES_MAX)
            .await
            .map_err(|failure| KeysUnavailable(format!("{url}: {failure}")))?;
        if answer.status != 200 {
            return Err(KeysUnavailable(format!("{url} answered {}", answer.status)));
        }
        Ok(answer.body.to_vec())
    }
}
