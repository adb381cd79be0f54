//! The key ring: made at first start, wrapped by the master key at rest, held parsed in memory.
//!
//! Keys move `staged → active → retiring → gone`; staged and retiring keys are published and
//! accepted, only active ones are used, so no node meets a key it lacks (design section 9). The
//! public set is what `/jwks.json` shows: a projection type that cannot hold a private member.

use vestibule_jwt::{Algorithm, JwkSet, SigningKey};
use vestibule_protocol::{
    audit::{Actor, Event},
    issuer::Issuer,
};
use vestibule_seal::{KeyId, KeyRing, KeyState, RingKey, wrap::MasterKey};
use vestibule_store::{
    AuditEntry, Store, StoreError,
    keys::{KeyPhase, KeyUse, NewKey, StoredKey},
};

use crate::{Clock, Entropy};

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
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

/// All keys, ready for use.
pub(crate) struct Keys {
    pub(crate) seq: u64,
    pub(crate) ring: KeyRing,
    /// Signs access tokens.
    pub(crate) access: SigningKey,
    /// Signs ID tokens (OIDC-03: RS256 unless the client registered otherwise).
    pub(crate) id_rs256: SigningKey,
    /// Everything that verifies what we signed.
    pub(crate) public: JwkSet,
}

const ALL_USES: [KeyUse; 3] = [KeyUse::Seal, KeyUse::SignEs256, KeyUse::SignRs256];

/// Load the keys; make those that are missing.
pub(crate) async fn load(
    store: &dyn Store,
    master: &MasterKey,
    issuer: &Issuer,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
) -> Result<Keys, KeyError> {
    let (mut seq, mut rows) = store.load_keys().await?;
    let missing: Vec<KeyUse> = ALL_USES
        .into_iter()
        .filter(|usage| !rows.iter().any(|row| row.usage == *usage))
        .collect();
    if !missing.is_empty() {
        let made = missing
            .into_iter()
            .map(|usage| make(usage, KeyPhase::Active, master, clock, entropy))
            .collect::<Result<Vec<_>, _>>()?;
        store
            .add_missing_keys(made, audit(clock, "first keys made"))
            .await?;
        (seq, rows) = store.load_keys().await?;
    }
    assemble(seq, &rows, master, issuer)
}

/// A new wrapped key.
pub(crate) fn make(
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
    let wrapped = master.wrap(label(usage), &plain, nonce);
    Ok(NewKey {
        usage,
        phase,
        wrapped,
        created_at: clock.now(),
    })
}

fn label(usage: KeyUse) -> &'static str {
    match usage {
        KeyUse::Seal => "seal",
        KeyUse::SignEs256 => "sign-es256",
        KeyUse::SignEdDsa => "sign-eddsa",
        KeyUse::SignRs256 => "sign-rs256",
    }
}

pub(crate) fn audit(clock: &dyn Clock, detail: &str) -> AuditEntry {
    AuditEntry {
        at: clock.now(),
        event: Event::KeysChanged,
        actor: Actor::System,
        client: None,
        grant: None,
        source: None,
        detail: detail.to_owned(),
    }
}

/// Parse what the store holds.
pub(crate) fn assemble(
    seq: u64,
    rows: &[StoredKey],
    master: &MasterKey,
    issuer: &Issuer,
) -> Result<Keys, KeyError> {
    let mut ring = Vec::new();
    let mut public = Vec::new();
    let (mut access, mut id_rs256) = (None, None);
    for row in rows {
        let plain = master
            .unwrap(label(row.usage), &row.wrapped)
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
            (KeyUse::SignEs256, KeyPhase::Active) => access = Some(key),
            (KeyUse::SignRs256, KeyPhase::Active) => id_rs256 = Some(key),
            _ => {}
        }
    }
    Ok(Keys {
        seq,
        ring: KeyRing::new(ring, issuer.as_str())
            .map_err(|failure| KeyError::Material(failure.to_string()))?,
        access: access.ok_or(KeyError::None(KeyUse::SignEs256))?,
        id_rs256: id_rs256.ok_or(KeyError::None(KeyUse::SignRs256))?,
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
