//! The key ring: one active key, others that still (or already) open what they sealed.
//!
//! | Rule                                                  | Enforced by              | Where it is written |
//! |-------------------------------------------------------|--------------------------|---------------------|
//! | exactly one key is active, ids differ                 | [`KeyRing::new`]         | design section 9    |
//! | a nonce collision reveals equality of plain texts only | AES-256-GCM-SIV          | RFC 8452 §1         |
//! | kind, key id, version and issuer are bound            | associated data          | design section 4.1  |
//! | one object has one spelling                           | [`KeyRing::open`]        | design section 4.1  |
//! | each use has its own key                              | HKDF-SHA256 with a label | RFC 5869, T18       |
//!
//! Layout of a sealed object: `prefix` + base64url(`version u8 | key id u16 | nonce 12 | ciphertext | tag 16`).
//!
//! Not here: where the secrets come from and how they rest (`wrap`, `engine`).

use std::fmt;

use aws_lc_rs::{
    aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hmac,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use zeroize::Zeroize;

use crate::{constant_time_eq, extract, length, subkey};

const VERSION: u8 = 1;
const HEADER_LEN: usize = 3;
const TAG_LEN: usize = 16;

/// What a sealed object is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// A registration that nobody has approved yet; the text is the `client_id`.
    Registration,
    /// An authorization request on its way through sign-in and consent.
    Ticket,
    /// What a client without a row pushed to `/par` (RFC 9126).
    PushedRequest,
    /// The cookie that binds a browser before it has a session.
    PreSession,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 4] = [
        Self::Registration,
        Self::Ticket,
        Self::PushedRequest,
        Self::PreSession,
    ];

    /// What its text starts with.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Registration => "vdr_",
            Self::Ticket => "vtk_",
            Self::PushedRequest => "vpr_",
            Self::PreSession => "vps_",
        }
    }

    const fn label(self) -> &'static str {
        match self {
            Self::Registration => "seal registration",
            Self::Ticket => "seal ticket",
            Self::PushedRequest => "seal pushed request",
            Self::PreSession => "seal pre-session",
        }
    }
}

/// What a message authentication code is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MacKind {
    /// The secret of a confidential client that registered itself.
    ClientSecret,
    /// Its registration access token (RFC 7592).
    RegistrationToken,
    /// A refresh token.
    RefreshToken,
    /// The token in a form that only our own page can know.
    Csrf,
}

impl MacKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [
        Self::ClientSecret,
        Self::RegistrationToken,
        Self::RefreshToken,
        Self::Csrf,
    ];

    const fn label(self) -> &'static str {
        match self {
            Self::ClientSecret => "mac client secret",
            Self::RegistrationToken => "mac registration token",
            Self::RefreshToken => "mac refresh token",
            Self::Csrf => "mac csrf",
        }
    }
}

/// Which key of the ring; travels in front of everything that it made.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct KeyId(pub u16);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where a key is in its life (design section 9). A key that is gone is not in the ring.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeyState {
    /// Known to every node before any node uses it: opens, does not seal.
    Staged,
    /// Seals and opens.
    Active,
    /// Opens what it sealed before.
    Retiring,
}

/// A secret of the ring, before its subkeys are derived. Wiped when dropped.
pub struct RingKey {
    /// Its id.
    pub id: KeyId,
    /// What it may do.
    pub state: KeyState,
    /// 32 random bytes.
    pub secret: [u8; 32],
}

impl Drop for RingKey {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

impl fmt::Debug for RingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RingKey")
            .field("id", &self.id)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

/// Why a list of keys is not a ring.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum KeyRingError {
    /// Two keys have one id.
    #[error("key id `{0}` occurs twice")]
    DuplicateId(KeyId),
    /// Nothing to seal with.
    #[error("no key is active")]
    NoActive,
    /// More than one key to seal with.
    #[error("more than one key is active")]
    SeveralActive,
}

/// Why a sealed object does not open.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum OpenError {
    /// Not made by this key, for this kind and issuer; or changed since.
    #[error("not sealed by us for this use, or changed")]
    Forged,
    /// Not the shape, or not the one spelling, of this kind.
    #[error("not a sealed object of this kind")]
    Malformed,
    /// Its key is not in the ring (any more).
    #[error("sealed with key `{0}`, which is not in the ring")]
    UnknownKey(KeyId),
}

struct Subkeys {
    id: KeyId,
    state: KeyState,
    seals: [LessSafeKey; 4],
    macs: [hmac::Key; 4],
}

impl Subkeys {
    fn derive(key: &RingKey, issuer: &str) -> Self {
        let root = extract(&key.secret);
        let seal = |kind: Kind| aead_key(&subkey(&root, &[kind.label().as_bytes()]));
        let mac = |kind: MacKind| {
            let labels = [kind.label().as_bytes(), issuer.as_bytes()];
            hmac::Key::new(hmac::HMAC_SHA256, subkey(&root, &labels).as_slice())
        };
        Self {
            id: key.id,
            state: key.state,
            seals: Kind::ALL.map(seal),
            macs: MacKind::ALL.map(mac),
        }
    }

    fn seal(&self, kind: Kind) -> &LessSafeKey {
        let [registration, ticket, pushed_request, pre_session] = &self.seals;
        match kind {
            Kind::Registration => registration,
            Kind::Ticket => ticket,
            Kind::PushedRequest => pushed_request,
            Kind::PreSession => pre_session,
        }
    }

    fn mac(&self, kind: MacKind) -> &hmac::Key {
        let [client_secret, registration_token, refresh_token, csrf] = &self.macs;
        match kind {
            MacKind::ClientSecret => client_secret,
            MacKind::RegistrationToken => registration_token,
            MacKind::RefreshToken => refresh_token,
            MacKind::Csrf => csrf,
        }
    }
}

/// The keys of one issuer, ready for use.
pub struct KeyRing {
    active: Subkeys,
    others: Vec<Subkeys>,
    issuer: String,
}

impl KeyRing {
    /// Derive every subkey once.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the secrets are wiped on return"
    )]
    pub fn new(keys: Vec<RingKey>, issuer: &str) -> Result<Self, KeyRingError> {
        let mut active = None;
        let mut others: Vec<Subkeys> = Vec::new();
        let mut seen = Vec::new();
        for key in &keys {
            if seen.contains(&key.id) {
                return Err(KeyRingError::DuplicateId(key.id));
            }
            seen.push(key.id);
            let subkeys = Subkeys::derive(key, issuer);
            if key.state != KeyState::Active {
                others.push(subkeys);
            } else if active.replace(subkeys).is_some() {
                return Err(KeyRingError::SeveralActive);
            }
        }
        let active = active.ok_or(KeyRingError::NoActive)?;
        Ok(Self {
            active,
            others,
            issuer: issuer.to_owned(),
        })
    }

    /// The key that seals.
    pub fn active_id(&self) -> KeyId {
        self.active.id
    }

    /// Seal with the active key. `nonce` is 96 random bits; a repeated one reveals whether two
    /// objects are equal and nothing more (RFC 8452 §1).
    pub fn seal(&self, kind: Kind, plain: &[u8], nonce: [u8; NONCE_LEN]) -> String {
        let id = self.active.id;
        let mut body = Vec::with_capacity(HEADER_LEN + NONCE_LEN + plain.len() + TAG_LEN);
        body.push(VERSION);
        body.extend_from_slice(&id.0.to_be_bytes());
        body.extend_from_slice(&nonce);
        let aad = self.associated(kind, id);
        body.extend_from_slice(&aead_seal(self.active.seal(kind), &aad, plain, nonce));
        let mut text = String::with_capacity(kind.prefix().len() + body.len().div_ceil(3) * 4);
        text.push_str(kind.prefix());
        URL_SAFE_NO_PAD.encode_string(&body, &mut text);
        text
    }

    /// Open with whichever key of the ring sealed it.
    pub fn open(&self, kind: Kind, sealed: &str) -> Result<Vec<u8>, OpenError> {
        let (id, body) = disassemble(kind, sealed).ok_or(OpenError::Malformed)?;
        let key = self.find(id).ok_or(OpenError::UnknownKey(id))?;
        let aad = self.associated(kind, id);
        aead_open(key.seal(kind), &aad, &body).ok_or(OpenError::Forged)
    }

    /// The key that a text claims to be sealed with; says nothing about whether it is.
    pub fn sealed_key_id(&self, kind: Kind, sealed: &str) -> Option<KeyId> {
        disassemble(kind, sealed).map(|(id, _)| id)
    }

    /// Authenticate with the active key. Each part is preceded by its length, so that no two lists
    /// of parts are one message.
    pub fn mac(&self, kind: MacKind, message: &[&[u8]]) -> (KeyId, [u8; 32]) {
        (self.active.id, tag(self.active.mac(kind), message))
    }

    /// Authenticate with a given key; none if the ring does not have it.
    pub fn mac_with(&self, kind: MacKind, key: KeyId, message: &[&[u8]]) -> Option<[u8; 32]> {
        self.find(key)
            .map(|subkeys| tag(subkeys.mac(kind), message))
    }

    /// Is `mac` what [`KeyRing::mac_with`] gives? Constant time.
    pub fn verify(&self, kind: MacKind, key: KeyId, message: &[&[u8]], mac: &[u8]) -> bool {
        self.mac_with(kind, key, message)
            .is_some_and(|own| constant_time_eq(&own, mac))
    }

    fn find(&self, id: KeyId) -> Option<&Subkeys> {
        if self.active.id == id {
            return Some(&self.active);
        }
        self.others.iter().find(|key| key.id == id)
    }

    /// `prefix | version | key id | label | issuer`, the variable parts preceded by their length.
    fn associated(&self, kind: Kind, id: KeyId) -> Vec<u8> {
        let (label, issuer) = (kind.label().as_bytes(), self.issuer.as_bytes());
        let mut aad = Vec::with_capacity(64 + issuer.len());
        aad.extend_from_slice(kind.prefix().as_bytes());
        aad.push(VERSION);
        aad.extend_from_slice(&id.0.to_be_bytes());
        for part in [label, issuer] {
            aad.extend_from_slice(&length(part));
            aad.extend_from_slice(part);
        }
        aad
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = std::iter::once(&self.active).chain(&self.others);
        f.debug_struct("KeyRing")
            .field("issuer", &self.issuer)
            .field(
                "keys",
                &keys.map(|key| (key.id, key.state)).collect::<Vec<_>>(),
            )
            .finish_non_exhaustive()
    }
}

/// Split a sealed text into the id of its key and `nonce | ciphertext | tag`; none unless it is
/// spelled as [`KeyRing::seal`] spells it.
fn disassemble(kind: Kind, sealed: &str) -> Option<(KeyId, Vec<u8>)> {
    let text = sealed.strip_prefix(kind.prefix())?;
    let mut bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    // The decoder refuses padding and stray trailing bits already; this does not rely on it.
    if URL_SAFE_NO_PAD.encode(&bytes) != text || bytes.len() < HEADER_LEN + NONCE_LEN + TAG_LEN {
        return None;
    }
    let body = bytes.split_off(HEADER_LEN);
    match bytes.as_slice() {
        &[VERSION, high, low] => Some((KeyId(u16::from_be_bytes([high, low])), body)),
        _ => None,
    }
}

fn tag(key: &hmac::Key, message: &[&[u8]]) -> [u8; 32] {
    let mut context = hmac::Context::with_key(key);
    for part in message {
        context.update(&length(part));
        context.update(part);
    }
    let mut tag = [0; 32];
    tag.copy_from_slice(context.sign().as_ref());
    tag
}

#[expect(clippy::expect_used, reason = "fails for a key of another length only")]
pub(crate) fn aead_key(secret: &[u8; 32]) -> LessSafeKey {
    LessSafeKey::new(
        UnboundKey::new(&AES_256_GCM_SIV, secret.as_slice()).expect("AES-256 takes 32 bytes"),
    )
}

/// `ciphertext | tag`.
#[expect(
    clippy::expect_used,
    reason = "fails above 64 GiB only, see RFC 8452 §6"
)]
pub(crate) fn aead_seal(
    key: &LessSafeKey,
    aad: &[u8],
    plain: &[u8],
    nonce: [u8; NONCE_LEN],
) -> Vec<u8> {
    let mut text = Vec::with_capacity(plain.len() + TAG_LEN);
    text.extend_from_slice(plain);
    key.seal_in_place_append_tag(
        Nonce::assume_unique_for_key(nonce),
        Aad::from(aad),
        &mut text,
    )
    .expect("what we seal is small");
    text
}

/// The plain text of `nonce | ciphertext | tag`.
pub(crate) fn aead_open(key: &LessSafeKey, aad: &[u8], body: &[u8]) -> Option<Vec<u8>> {
    let (nonce, text) = body.split_first_chunk::<NONCE_LEN>()?;
    let mut text = text.to_vec();
    let nonce = Nonce::assume_unique_for_key(*nonce);
    let opened = key.open_in_place(nonce, Aad::from(aad), &mut text).ok()?;
    let plain_len = opened.len();
    text.truncate(plain_len);
    Some(text)
}

#[cfg(test)]
#[expect(clippy::string_slice, reason = "what is cut here is ASCII")]
mod tests;
