//! Sealed objects and message authentication under a key ring: what lets strangers carry their own
//! state, so that they write nothing here (design section 4.1, invariant 1).
//!
//! | Part              | What it is                                                          |
//! |-------------------|---------------------------------------------------------------------|
//! | [`KeyRing`]       | seals and opens per [`Kind`], authenticates per [`MacKind`]         |
//! | [`refresh_token`] | the text of a refresh token: nothing stored per token (details B)   |
//! | [`wrap`]          | keys encrypted at rest by the master key (T19, P13)                 |
//! | [`compact`]       | the typed encoding of sealed payloads                               |
//!
//! A sealed object of one kind can never pass for another (T18): prefix, associated data and key all
//! differ. Nonces come from the caller, so everything but [`random`] is a function of its input.
//!
//! Not here: what is inside a sealed object, how long it is good for, and whether it was used
//! already. That is `engine`'s business, and the last one needs the store.

pub mod compact;
pub mod refresh_token;
mod ring;
pub mod wrap;

use aws_lc_rs::{
    digest,
    hkdf::{self, HKDF_SHA256, Prk, Salt},
    rand::{SecureRandom, SystemRandom},
};
use subtle::ConstantTimeEq;

pub use ring::{KeyId, KeyRing, KeyRingError, KeyState, Kind, MacKind, OpenError, RingKey};

/// SHA-256.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut sum = [0; 32];
    sum.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    sum
}

/// Compare secrets in a time that depends on their length only.
pub fn constant_time_eq(one: &[u8], other: &[u8]) -> bool {
    one.ct_eq(other).into()
}

/// Fill `buffer` from the operating system's generator.
///
/// # Panics
///
/// If the operating system has no randomness to give: nothing that follows could be safe.
#[expect(
    clippy::expect_used,
    reason = "going on without randomness would be worse than stopping"
)]
pub fn random(buffer: &mut [u8]) {
    SystemRandom::new()
        .fill(buffer)
        .expect("the operating system gives random bytes");
}

/// Domain separation of everything that is derived here.
const SALT: &[u8] = b"vestibule seal 1";

/// The root that a secret's subkeys are derived from (RFC 5869 §2.2).
fn extract(secret: &[u8]) -> Prk {
    Salt::new(HKDF_SHA256, SALT).extract(secret)
}

/// A 32-byte subkey for a list of labels, each preceded by its length (RFC 5869 §2.3).
#[expect(
    clippy::expect_used,
    reason = "HKDF-SHA256 refuses only outputs above 8,160 bytes"
)]
fn subkey(root: &Prk, labels: &[&[u8]]) -> zeroize::Zeroizing<[u8; 32]> {
    let mut info = Vec::new();
    for label in labels {
        info.extend_from_slice(&length(label));
        info.extend_from_slice(label);
    }
    let mut key = zeroize::Zeroizing::new([0; 32]);
    root.expand(&[info.as_slice()], hkdf::HKDF_SHA256)
        .and_then(|output| output.fill(key.as_mut_slice()))
        .expect("32 bytes are within HKDF's limit");
    key
}

/// The length of a part, eight bytes, big endian.
fn length(part: &[u8]) -> [u8; 8] {
    u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes()
}
