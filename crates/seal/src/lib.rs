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
    hmac,
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

/// HMAC-SHA-256 (RFC 2104) under a key that somebody else has, too. What only we read is
/// authenticated by [`KeyRing`], whose keys are separate for each purpose.
pub fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let mut tag = [0; 32];
    tag.copy_from_slice(hmac::sign(&key, message).as_ref());
    tag
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

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231 §4.2 to §4.8; of §4.6 only the first 128 bits are given.
    #[test]
    fn hmac_answers_as_the_standard_says() {
        let counted: Vec<u8> = (1..=25).collect();
        #[rustfmt::skip]
        let cases: [(&[u8], &[u8], &str); 7] = [
            (&[0x0b; 20], b"Hi There",
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
            (b"Jefe", b"what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
            (&[0xaa; 20], &[0xdd; 50],
                "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
            (&counted, &[0xcd; 50],
                "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"),
            (&[0x0c; 20], b"Test With Truncation",
                "a3b6167473100ee06e0c796c2955552b"),
            (&[0xaa; 131], b"Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"),
            (&[0xaa; 131],
                b"This is a test using a larger than block-size key and a larger than block-size \
                data. The key needs to be hashed before being used by the HMAC algorithm.",
                "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"),
        ];
        for (key, message, expected) in cases {
            let tag = hmac_sha256(key, message);
            let hex = tag
                .iter()
                .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
            assert!(hex.starts_with(expected), "{hex} {expected}");
        }
    }
}
