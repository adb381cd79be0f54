//! What changes live, as one consistent view, and how it follows the store: settings, keys,
//! policies, the catalogue, and who vouches for whom.
//!
//! A request reads one view without a lock. Each second the heads are compared with the store's,
//! and what moved is read again; a policy text that this release cannot use is replaced by the
//! shipped `strict` preset, loudly, never by nothing (design-details A.1).
//!
//! Not here: what any of it means.

use std::sync::{Arc, atomic::Ordering};

use tokio::task::spawn_blocking;
use vestibule_policy::{
    Policies, Power, catalogue::Catalogue, decision::Assessment, signals::address_list::AddressList,
};
use vestibule_protocol::{
    scope,
    server_metadata::{MetadataInputs, ServerMetadata},
    trust::{CimdMode, DcrMode, Preset, RedirectShape, Trust},
};
use vestibule_store::{
    Store, StoreError,
    grants::Grant,
    versions::{Document, Heads},
};

use crate::{
    Engine, EngineConfig, Settings, StartError,
    admission::Standings,
    clients::Client,
    engine::CachedDocument,
    keys::{self, Keys},
};

/// One consistent view of what changes live.
pub(crate) struct Live {
    pub(crate) heads: Heads,
    pub(crate) settings: Settings,
    pub(crate) keys: Arc<Keys>,
    pub(crate) policies: InForce<Policies>,
    pub(crate) catalogue: InForce<Catalogue>,
    pub(crate) standings: Arc<Standings>,
    /// The settings' own list of addresses.
    pub(crate) listed: Arc<AddressList>,
    pub(crate) metadata: Arc<CachedDocument>,
    pub(crate) jwks: Arc<CachedDocument>,
}

impl Live {
    /// Read everything.
    pub(crate) async fn load(
        store: &dyn Store,
        keys: Arc<Keys>,
        config: &EngineConfig,
    ) -> Result<Self, StartError> {
        let heads = store.heads().await?;
        let settings = read_settings(store, config)
            .await?
            .ok_or(StartError::Settings)?;
        let judging = Judging::load(store).await?;
        let standings = Arc::new(Standings::load(store).await?);
        Ok(Self::of(heads, settings, keys, judging, standings, config))
    }

    fn of(
        heads: Heads,
        settings: Settings,
        keys: Arc<Keys>,
        judging: Judging,
        standings: Arc<Standings>,
        config: &EngineConfig,
    ) -> Self {
        Self {
            metadata: metadata(&settings, config),
            jwks: cached(keys.public.to_json()),
            listed: listed(&settings),
            heads,
            settings,
            keys,
            policies: judging.policies,
            catalogue: judging.catalogue,
            standings,
        }
    }

    /// What the client may have at a request: the power table under what the policies found. A
    /// client that waits is shown what an approval would give; nothing is issued meanwhile.
    pub(crate) fn power(&self, client: &Client, redirect: Option<RedirectShape>) -> Power {
        let assessment = &client.assessment;
        let trust = match assessment.trust {
            Trust::Held => Trust::Unverified,
            other => other,
        };
        let table = &self.settings.power;
        table
            .power(trust, assessment.risk, redirect)
            .under(assessment)
    }

    /// What a grant is worth today: today's standing, and what was found when it was given.
    pub(crate) fn power_of_grant(&self, client: &Client, grant: &Grant) -> Power {
        let found = Assessment {
            risk: grant.risk,
            read_only: grant.read_only,
            short_session: grant.short_session,
            ..Assessment::clean(client.standing)
        };
        let table = &self.settings.power;
        table.power(found.trust, grant.risk, None).under(&found)
    }
}

/// What judges clients.
struct Judging {
    policies: InForce<Policies>,
    catalogue: InForce<Catalogue>,
}

impl Judging {
    async fn load(store: &dyn Store) -> Result<Self, StoreError> {
        Ok(Self {
            policies: read_policies(store).await?,
            catalogue: read_catalogue(store).await?,
        })
    }
}

/// What is in force, and why it is not what is stored, where that could not be used.
pub(crate) struct InForce<T> {
    pub(crate) used: Arc<T>,
    pub(crate) instead: Option<String>,
}

impl<T> From<Arc<T>> for InForce<T> {
    fn from(used: Arc<T>) -> Self {
        Self {
            used,
            instead: None,
        }
    }
}

impl<T> InForce<T> {
    /// The same once more.
    fn again(&self) -> Self {
        Self {
            used: Arc::clone(&self.used),
            instead: self.instead.clone(),
        }
    }
}

impl<T> std::ops::Deref for InForce<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.used
    }
}

impl Engine {
    /// Replace what moved in the store.
    ///
    /// One at a time, from the look at the heads on: of two at once, the one that read the older
    /// heads could put its view in the place of the newer one.
    pub async fn follow(&self) -> Result<(), StoreError> {
        let _one_at_a_time = self.following.lock().await;
        let heads = self.store.heads().await?;
        let live = self.live_now();
        if heads != live.heads {
            let next = self.next_live(&live, heads).await?;
            self.live.store(Arc::new(next));
        }
        let outside = self.store.outside_version().await?;
        if self.outside.swap(outside, Ordering::Relaxed) != outside {
            self.verified.clear();
        }
        self.followed_at
            .store(self.now().seconds(), Ordering::Relaxed);
        Ok(())
    }

    async fn next_live(&self, live: &Live, heads: Heads) -> Result<Live, StoreError> {
        let store = self.store.as_ref();
        let settings = if heads.settings == live.heads.settings {
            live.settings.clone()
        } else {
            read_settings(store, &self.config)
                .await?
                .ok_or_else(|| damaged("settings", "not readable by this release"))?
        };
        let keys = if heads.keys == live.heads.keys {
            Arc::clone(&live.keys)
        } else {
            let (seq, rows) = store.load_keys().await?;
            let config = &self.config;
            let keys = keys::assemble(seq, &rows, config);
            Arc::new(keys.map_err(|failure| damaged("key", &failure.to_string()))?)
        };
        let judging = Judging {
            policies: if heads.policy == live.heads.policy {
                live.policies.again()
            } else {
                read_policies(store).await?
            },
            catalogue: if heads.catalogue == live.heads.catalogue {
                live.catalogue.again()
            } else {
                read_catalogue(store).await?
            },
        };
        let standings = if heads.lists == live.heads.lists {
            Arc::clone(&live.standings)
        } else {
            Arc::new(Standings::load(store).await?)
        };
        let config = &self.config;
        Ok(Live::of(heads, settings, keys, judging, standings, config))
    }

    /// What stands in for something that could not be used; empty in health.
    pub fn degraded(&self) -> Vec<String> {
        let live = self.live();
        let incomplete = live.standings.incomplete();
        let instead = [&live.policies.instead, &live.catalogue.instead];
        instead
            .into_iter()
            .flatten()
            .cloned()
            .chain(incomplete)
            .collect()
    }
}

fn damaged(what: &'static str, detail: &str) -> StoreError {
    tracing::error!(what, detail, "what the store holds cannot be used");
    StoreError::Damaged {
        what,
        detail: detail.to_owned(),
    }
}

/// `None` if a newer release wrote them.
async fn read_settings(
    store: &dyn Store,
    config: &EngineConfig,
) -> Result<Option<Settings>, StoreError> {
    let stored = store.load_settings().await?;
    if stored.seq == 0 {
        return Ok(Some(Settings::first(config.first_dcr, config.first_cimd)));
    }
    Ok(Settings::read(stored.seq, &stored.document))
}

/// The stored policies; `balanced` while nobody saved any.
async fn read_policies(store: &dyn Store) -> Result<InForce<Policies>, StoreError> {
    let stored = store.load_document(Document::Policy).await?;
    if stored.seq == 0 {
        return Ok(Policies::preset(Preset::Balanced).into());
    }
    // Compiling takes a while, and requests go on.
    let compiled = spawn_blocking(move || Policies::compile(&stored.text)).await;
    let problem = match compiled {
        Ok(Ok(policies)) => return Ok(Arc::new(policies).into()),
        Ok(Err(problems)) => problems.first().map(ToString::to_string),
        Err(failure) => Some(failure.to_string()),
    };
    let problem = problem.unwrap_or_default();
    tracing::error!(problem, "the stored policies cannot be used: strict holds");
    Ok(InForce {
        used: Policies::preset(Preset::Strict),
        instead: Some(format!(
            "The stored policies cannot be used by this release, so the preset `strict` holds: \
             {problem}"
        )),
    })
}

/// The stored catalogue if it is newer than the shipped one.
async fn read_catalogue(store: &dyn Store) -> Result<InForce<Catalogue>, StoreError> {
    let stored = store.load_document(Document::Catalogue).await?;
    let shipped = Catalogue::built_in();
    if stored.seq == 0 {
        return Ok(shipped.into());
    }
    Ok(match Catalogue::parse(stored.text.as_bytes()) {
        Ok(catalogue) if catalogue.serial() > shipped.serial() => Arc::new(catalogue).into(),
        Ok(_) => shipped.into(),
        Err(failure) => {
            tracing::error!(%failure, "the stored catalogue cannot be used: the shipped one holds");
            InForce {
                used: shipped,
                instead: Some(format!(
                    "The stored catalogue cannot be used, so the shipped one holds: {failure}"
                )),
            }
        }
    })
}

fn listed(settings: &Settings) -> Arc<AddressList> {
    // Parsed before it was saved; a list that does not parse any more lists nobody.
    let list = AddressList::parse(&settings.listed_sources.join("\n"));
    Arc::new(list.unwrap_or_else(|_| AddressList::of(&[])))
}

fn metadata(settings: &Settings, config: &EngineConfig) -> Arc<CachedDocument> {
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
        dcr_open: settings.dcr != DcrMode::Off,
        cimd_open: settings.cimd != CimdMode::Off,
        scopes_supported: scopes,
        resources: config
            .resources
            .iter()
            .map(|r| r.uri.as_str().to_owned())
            .collect(),
    };
    let metadata = ServerMetadata::build(&config.issuer, &inputs);
    cached(serde_json::to_vec(&metadata).unwrap_or_default())
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

#[cfg(test)]
mod tests {
    use vestibule_protocol::{
        audit::{Actor, Event},
        client_id::ClientKey,
        time::Timestamp,
    };
    use vestibule_store::{
        AuditEntry, StandingStore as _,
        standings::{StandingRow, Subject, Word},
    };
    use vestibule_store_sqlite::{SqliteOptions, SqliteStore};

    use super::*;

    /// What an admin said never stops to count in silence: up to the bound all of it is held, over
    /// any number of pages, and beyond it the admin is told.
    #[tokio::test]
    async fn more_words_than_a_node_holds_are_a_warning() {
        let folder = tempfile::tempdir().unwrap();
        let options = SqliteOptions::default();
        let store = SqliteStore::open(&folder.path().join("hub.db"), options).unwrap();
        for n in 0..1_201_u64 {
            let id = format!("vdr_{n}");
            let at = Timestamp::from_seconds(n);
            let audit = AuditEntry {
                at,
                event: Event::StandingGiven,
                actor: Actor::System,
                client: None,
                grant: None,
                source: None,
                detail: String::new(),
            };
            let row = StandingRow {
                subject: Subject::client(&ClientKey::of(&id)),
                subject_text: id,
                word: Word::Blocked,
                by: "root".to_owned(),
                note: String::new(),
                at,
                until: None,
            };
            store.put_standing(row, audit).await.unwrap();
        }
        for (rows_max, held, told) in [(2_000, 1_201, 0), (1_201, 1_201, 0), (1_200, 1_200, 1)] {
            let standings = Standings::load_at_most(&store, rows_max).await.unwrap();
            assert_eq!(standings.words_held(), held, "{rows_max}");
            let incomplete = standings.incomplete();
            assert_eq!(incomplete.len(), told, "{incomplete:?}");
            assert!(
                incomplete
                    .iter()
                    .all(|said| said.contains("more words of administrators than the 1200")),
                "{incomplete:?}"
            );
        }
        let all = Standings::load(&store).await.unwrap();
        assert!(all.incomplete().is_empty());
    }
}
