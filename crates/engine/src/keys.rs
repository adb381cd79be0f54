//! The key ring: made at first start, wrapped by the master key at rest, held parsed in memory.
//!
//! Keys move `staged → active → retiring → gone`; staged and retiring keys are published and
//! accepted, only active ones are used, so no node meets a key it lacks (design section 9). The
//! public set is what `/jwks.json` shows: a projection type that cannot hold a private member.

use std::time::Duration;

use vestibule_jwt::{Algorithm, JwkSet, SigningKey};
use vestibule_protocol::{
    audit::{Actor, Event},
    resource_indicator::ResourceUri,
};
use vestibule_seal::{KeyId, KeyRing, KeyState, RingKey, wrap::MasterKey};
use vestibule_store::{
    AuditEntry, Store, StoreError,
    keys::{KeyPhase, KeyUse, NewKey, StoredKey},
};

use crate::{Clock, Engine, EngineConfig, Entropy};

/// Why the keys could not be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A wrapped key does not open: wrong master key, or a damaged row.
    #[error(
        "key {0} cannot be unwrapped: is this the master key that the data folder was made with?"
    )]
    Unwrap(u16),
    /// A key cannot be parsed or made.
    #[error("key material is unusable: {0}")]
    Material(String),
    /// A use has no active key.
    #[error("there is no active key for {0:?}")]
    None(KeyUse),
    /// Not staged (any more): another process was faster.
    #[error("key {0} is not staged")]
    NotStaged(u16),
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// Not every node, or not every resource server, can know the key yet.
    #[error("key {id} can be activated in {} seconds", .wait.as_secs())]
    TooEarly {
        /// The staged key.
        id: u16,
        /// How long until then.
        wait: Duration,
    },
    /// A published set and the ring have room for so many.
    #[error("there are {KEYS_PER_USE_MAX} keys for {0} already; the oldest ends by itself")]
    TooMany(&'static str),
}

/// A sealing key seals from this long after it was staged on: a node that has not followed the
/// store for five seconds decides nothing ([`Engine::readiness`]), so every node that decides has it.
const STAGED_SEAL: Duration = Duration::from_secs(7);
/// A signing key signs from then on. Verifiers fetch keys anew when they meet an unknown one, but
/// not twice within 30 seconds (`jose`, Nimbus; ten of our own `resource`), and a cache between may
/// give them a set that is 300 seconds old (`/jwks.json`, `max-age`): by then it has the staged key.
const STAGED_SIGN: Duration = Duration::from_secs(340);
/// Registrations and refresh families that a sealing key made are good for 90 days at most.
const RETIRING_SEAL: Duration = Duration::from_hours(91 * 24);
/// Access tokens are good for an hour at most.
const RETIRING_SIGN: Duration = Duration::from_hours(2);
/// Keys of one use that are not gone. Three uses sign, and a set that verifiers read has at most 32.
const KEYS_PER_USE_MAX: usize = 10;

const fn staged_life(usage: KeyUse) -> Duration {
    match usage {
        KeyUse::Seal => STAGED_SEAL,
        KeyUse::SignEdDsa | KeyUse::SignEs256 | KeyUse::SignRs256 => STAGED_SIGN,
    }
}

const fn retiring_life(usage: KeyUse) -> Duration {
    match usage {
        KeyUse::Seal => RETIRING_SEAL,
        KeyUse::SignEdDsa | KeyUse::SignEs256 | KeyUse::SignRs256 => RETIRING_SIGN,
    }
}

/// A key that waits to become the active one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct StagedKey {
    /// Its number.
    pub id: u16,
    /// How long [`Engine::activate_key`] has to wait.
    pub wait: Duration,
}

/// Rotation (SLR-03): `staged → active → retiring → gone`, one step each, from any process.
impl Engine {
    /// The uses that have an active key here, in the order of [`KeyUse::ALL`].
    pub fn key_uses(&self) -> Vec<KeyUse> {
        let uses = self.config.access_token_algs.uses();
        KeyUse::ALL
            .into_iter()
            .filter(|usage| uses.contains(usage))
            .collect()
    }

    /// The uses behind a name: `seal`, `access` (whatever signs access tokens), `id` (whatever signs
    /// ID Tokens), or a use by its own name. Empty for any other.
    pub fn key_uses_named(&self, name: &str) -> Vec<KeyUse> {
        match name {
            "access" => {
                let algs = &self.config.access_token_algs;
                let used = AccessTokenAlg::ALL.into_iter().filter(|alg| algs.has(*alg));
                used.map(AccessTokenAlg::usage).collect()
            }
            "id" => vec![KeyUse::SignEs256, KeyUse::SignRs256],
            name => KeyUse::parse(name).into_iter().collect(),
        }
    }

    /// Stage a key for a use that has an active one. A key that is staged already is taken up, so a
    /// rotation that was interrupted goes on.
    ///
    /// # Errors
    ///
    /// [`KeyError::None`] for a use without a key, [`KeyError::TooMany`] where too many still retire.
    pub async fn stage_key(&self, usage: KeyUse, actor: Actor) -> Result<StagedKey, KeyError> {
        let (_, rows) = self.store.load_keys().await?;
        let mut own = rows.iter().filter(|row| row.usage == usage);
        if !own.clone().any(|row| row.phase == KeyPhase::Active) {
            return Err(KeyError::None(usage));
        }
        if let Some(row) = own.clone().find(|row| row.phase == KeyPhase::Staged) {
            return Ok(StagedKey {
                id: row.id,
                wait: self.staged_wait(row),
            });
        }
        if own.nth(KEYS_PER_USE_MAX - 1).is_some() {
            return Err(KeyError::TooMany(usage.as_str()));
        }
        let (clock, entropy) = (self.clock.as_ref(), self.entropy.as_ref());
        let master = &self.config.master_key;
        let key = make(usage, KeyPhase::Staged, master, clock, entropy)?;
        let detail = format!("a key for {} was staged", usage.as_str());
        let id = self
            .store
            .stage_key(key, audit(clock, actor, detail))
            .await?;
        Ok(StagedKey {
            id,
            wait: staged_life(usage),
        })
    }

    /// Make a staged key the active one of its use; the one before retires.
    ///
    /// # Errors
    ///
    /// [`KeyError::TooEarly`] while somebody may not know it yet, [`KeyError::NotStaged`].
    pub async fn activate_key(&self, id: u16, actor: Actor) -> Result<(), KeyError> {
        let (_, rows) = self.store.load_keys().await?;
        let staged = rows
            .iter()
            .find(|row| row.id == id && row.phase == KeyPhase::Staged)
            .ok_or(KeyError::NotStaged(id))?;
        let wait = self.staged_wait(staged);
        if !wait.is_zero() {
            return Err(KeyError::TooEarly { id, wait });
        }
        let detail = format!("key {id} for {} is in use", staged.usage.as_str());
        let entry = audit(self.clock.as_ref(), actor, detail);
        if self.store.activate_key(id, self.now(), entry).await? {
            Ok(())
        } else {
            Err(KeyError::NotStaged(id))
        }
    }

    /// End keys that nothing good can have been made with any more. Returns how many.
    pub async fn end_old_keys(&self) -> Result<usize, StoreError> {
        let (_, rows) = self.store.load_keys().await?;
        let now = self.now();
        let mut ended = 0;
        for row in rows {
            let over = row.phase_since.plus(retiring_life(row.usage)) <= now;
            if row.phase == KeyPhase::Retiring && over {
                let detail = format!("key {} for {} is gone", row.id, row.usage.as_str());
                let entry = audit(self.clock.as_ref(), Actor::System, detail);
                ended += usize::from(self.store.end_key(row.id, now, entry).await?);
            }
        }
        Ok(ended)
    }

    fn staged_wait(&self, row: &StoredKey) -> Duration {
        let staged = self.now().since(row.phase_since);
        staged_life(row.usage).saturating_sub(staged)
    }
}

/// What access tokens are signed with (AT-01): ES256 unless the configuration says otherwise.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum AccessTokenAlg {
    /// Ed25519.
    EdDsa,
    /// ECDSA with P-256.
    #[default]
    Es256,
    /// RSA, 2048 bits: what every verifier must know (RFC 9068 §2.1).
    Rs256,
}

impl AccessTokenAlg {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::EdDsa, Self::Es256, Self::Rs256];

    /// The name in headers and in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
        }
    }

    /// From its name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == name)
    }

    const fn usage(self) -> KeyUse {
        match self {
            Self::EdDsa => KeyUse::SignEdDsa,
            Self::Es256 => KeyUse::SignEs256,
            Self::Rs256 => KeyUse::SignRs256,
        }
    }
}

/// Which algorithm signs the access tokens of which resource (AT-01).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AccessTokenAlgs {
    /// Of every resource that is not listed.
    pub usual: AccessTokenAlg,
    /// Of resources that take another one.
    pub of_resources: Vec<(ResourceUri, AccessTokenAlg)>,
}

impl AccessTokenAlgs {
    /// The one for this resource, in any equivalent spelling.
    pub fn for_resource(&self, resource: &str) -> AccessTokenAlg {
        let special = || {
            let uri = ResourceUri::parse(resource).ok()?;
            let mut listed = self.of_resources.iter();
            listed.find(|(known, _)| known.is_equivalent(&uri))
        };
        // Parsed only where there is a list.
        let found = if self.of_resources.is_empty() {
            None
        } else {
            special()
        };
        found.map_or(self.usual, |(_, alg)| *alg)
    }

    /// Is this algorithm in use?
    fn has(&self, alg: AccessTokenAlg) -> bool {
        self.usual == alg || self.of_resources.iter().any(|(_, used)| *used == alg)
    }

    /// Every use that must have an active key: with EdDSA's only where it is asked for, since not
    /// every client can read a set with such a key in it.
    pub(crate) fn uses(&self) -> Vec<KeyUse> {
        let mut uses = vec![KeyUse::Seal, KeyUse::SignEs256, KeyUse::SignRs256];
        if self.has(AccessTokenAlg::EdDsa) {
            uses.push(KeyUse::SignEdDsa);
        }
        uses
    }
}

/// All keys, ready for use.
pub(crate) struct Keys {
    pub(crate) seq: u64,
    pub(crate) ring: KeyRing,
    /// The active keys that sign. ES256 and RS256 are always there: ID Tokens are made with either
    /// (OIDC-03).
    es256: SigningKey,
    rs256: SigningKey,
    eddsa: Option<SigningKey>,
    /// Everything that verifies what we signed.
    pub(crate) public: JwkSet,
}

impl Keys {
    /// The key that signs access tokens with this algorithm; none if it has no active key.
    pub(crate) fn access(&self, alg: AccessTokenAlg) -> Option<&SigningKey> {
        match alg {
            AccessTokenAlg::EdDsa => self.eddsa.as_ref(),
            AccessTokenAlg::Es256 => Some(&self.es256),
            AccessTokenAlg::Rs256 => Some(&self.rs256),
        }
    }

    /// The key that the client's registration asks for; RS256 if it says nothing (OIDC-03).
    pub(crate) fn id_token(&self, registered_alg: Option<&str>) -> &SigningKey {
        match registered_alg {
            Some("ES256") => &self.es256,
            Some(_) | None => &self.rs256,
        }
    }
}

/// Load the keys; make those that are missing.
pub(crate) async fn load(
    store: &dyn Store,
    config: &EngineConfig,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
) -> Result<Keys, KeyError> {
    let (mut seq, mut rows) = store.load_keys().await?;
    let missing: Vec<KeyUse> = config
        .access_token_algs
        .uses()
        .into_iter()
        .filter(|usage| !rows.iter().any(|row| row.usage == *usage))
        .collect();
    if !missing.is_empty() {
        let made = missing
            .into_iter()
            .map(|usage| make(usage, KeyPhase::Active, &config.master_key, clock, entropy))
            .collect::<Result<Vec<_>, _>>()?;
        store
            .add_missing_keys(
                made,
                audit(clock, Actor::System, "first keys made".to_owned()),
            )
            .await?;
        (seq, rows) = store.load_keys().await?;
    }
    assemble(seq, &rows, config)
}

/// A new wrapped key.
fn make(
    usage: KeyUse,
    phase: KeyPhase,
    master: &MasterKey,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
) -> Result<NewKey, KeyError> {
    let generated = |algorithm| {
        SigningKey::generate(algorithm)
            .map(|(_, pkcs8)| pkcs8.to_vec())
            .map_err(|failure| KeyError::Material(failure.to_string()))
    };
    let plain = match usage {
        KeyUse::Seal => {
            let mut secret = vec![0; 32];
            entropy.fill(&mut secret);
            secret
        }
        KeyUse::SignEs256 => generated(Algorithm::Es256)?,
        KeyUse::SignEdDsa => generated(Algorithm::EdDsa)?,
        KeyUse::SignRs256 => generated(Algorithm::Rs256)?,
    };
    let mut nonce = [0; 12];
    entropy.fill(&mut nonce);
    let wrapped = master.wrap(usage.as_str(), &plain, nonce);
    Ok(NewKey {
        usage,
        phase,
        wrapped,
        created_at: clock.now(),
    })
}

fn audit(clock: &dyn Clock, actor: Actor, detail: String) -> AuditEntry {
    AuditEntry {
        at: clock.now(),
        event: Event::KeysChanged,
        actor,
        client: None,
        grant: None,
        source: None,
        detail,
    }
}

/// Parse what the store holds.
pub(crate) fn assemble(
    seq: u64,
    rows: &[StoredKey],
    config: &EngineConfig,
) -> Result<Keys, KeyError> {
    let mut ring = Vec::new();
    let mut public = Vec::new();
    let (mut es256, mut rs256, mut eddsa) = (None, None, None);
    for row in rows {
        let plain = config
            .master_key
            .unwrap(row.usage.as_str(), &row.wrapped)
            .map_err(|_| KeyError::Unwrap(row.id))?;
        let algorithm = match row.usage {
            KeyUse::Seal => {
                let secret = plain
                    .as_slice()
                    .try_into()
                    .map_err(|_| KeyError::Unwrap(row.id))?;
                if let Some(state) = ring_state(row.phase) {
                    ring.push(RingKey {
                        id: KeyId(row.id),
                        state,
                        secret,
                    });
                }
                continue;
            }
            KeyUse::SignEs256 => Algorithm::Es256,
            KeyUse::SignEdDsa => Algorithm::EdDsa,
            KeyUse::SignRs256 => Algorithm::Rs256,
        };
        if row.phase == KeyPhase::Gone {
            continue;
        }
        let key = SigningKey::from_pkcs8(algorithm, &plain)
            .map_err(|failure| KeyError::Material(failure.to_string()))?;
        public.push(key.public_jwk().clone());
        match (row.usage, row.phase) {
            (KeyUse::SignEs256, KeyPhase::Active) => es256 = Some(key),
            (KeyUse::SignRs256, KeyPhase::Active) => rs256 = Some(key),
            (KeyUse::SignEdDsa, KeyPhase::Active) => eddsa = Some(key),
            _ => {}
        }
    }
    if eddsa.is_none() && config.access_token_algs.has(AccessTokenAlg::EdDsa) {
        return Err(KeyError::None(KeyUse::SignEdDsa));
    }
    Ok(Keys {
        seq,
        ring: KeyRing::new(ring, config.issuer.as_str())
            .map_err(|failure| KeyError::Material(failure.to_string()))?,
        es256: es256.ok_or(KeyError::None(KeyUse::SignEs256))?,
        rs256: rs256.ok_or(KeyError::None(KeyUse::SignRs256))?,
        eddsa,
        public: JwkSet::of(public),
    })
}

fn ring_state(phase: KeyPhase) -> Option<KeyState> {
    match phase {
        KeyPhase::Staged => Some(KeyState::Staged),
        KeyPhase::Active => Some(KeyState::Active),
        KeyPhase::Retiring => Some(KeyState::Retiring),
        KeyPhase::Gone => None,
    }
}
