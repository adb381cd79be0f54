//! Keys at rest: signing and sealing keys are stored encrypted by the master key (T19, P13).
//!
//! Layout: `version u8 | nonce 12 | ciphertext | tag 16`, AES-256-GCM-SIV; the label is part of the
//! associated data, so a wrapped key of one use cannot be put in the place of another.
//!
//! Not here: where the master key lives. That is boot configuration.

use std::fmt;

use aws_lc_rs::aead::{LessSafeKey, NONCE_LEN};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use crate::{
    extract, length,
    ring::{aead_key, aead_open, aead_seal},
    subkey,
};

const VERSION: u8 = 1;

/// The text is no master key. It is not repeated here: it may be a secret with a typing error.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a master key is 32 bytes: 64 hexadecimal digits or 43 characters of base64url")]
pub struct MasterKeyError;

/// A wrapped key does not open: other master key, other label, or damaged.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("wrapped by another master key, for another use, or damaged")]
pub struct UnwrapError;

/// The key that encrypts keys.
pub struct MasterKey(LessSafeKey);

impl MasterKey {
    /// From 32 random bytes.
    pub fn new(secret: [u8; 32]) -> Self {
        let secret = Zeroizing::new(secret);
        Self(aead_key(&subkey(&extract(secret.as_slice()), &[b"wrap"])))
    }

    /// From 64 hexadecimal digits or 43 characters of base64url.
    pub fn parse(text: &str) -> Result<Self, MasterKeyError> {
        let bytes = if text.len() == 64 {
            from_hex(text)
        } else {
            URL_SAFE_NO_PAD.decode(text).ok()
        };
        let bytes = Zeroizing::new(bytes.ok_or(MasterKeyError)?);
        bytes
            .as_slice()
            .try_into()
            .map(Self::new)
            .map_err(|_| MasterKeyError)
    }

    /// Encrypt a key for the use that `label` names.
    pub fn wrap(&self, label: &str, plain: &[u8], nonce: [u8; NONCE_LEN]) -> Vec<u8> {
        let mut wrapped = vec![VERSION];
        wrapped.extend_from_slice(&nonce);
        wrapped.extend_from_slice(&aead_seal(&self.0, &associated(label), plain, nonce));
        wrapped
    }

    /// Decrypt a key that was wrapped for this use.
    pub fn unwrap(&self, label: &str, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, UnwrapError> {
        let (&VERSION, body) = wrapped.split_first().ok_or(UnwrapError)? else {
            return Err(UnwrapError);
        };
        aead_open(&self.0, &associated(label), body)
            .map(Zeroizing::new)
            .ok_or(UnwrapError)
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(…)")
    }
}

fn associated(label: &str) -> Vec<u8> {
    let mut aad = b"wrapped key".to_vec();
    aad.push(VERSION);
    aad.extend_from_slice(&length(label.as_bytes()));
    aad.extend_from_slice(label.as_bytes());
    aad
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    text.as_bytes()
        .chunks(2)
        .map(|pair| match *pair {
            [high, low] => Some(digit(high)? << 4 | digit(low)?),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: [u8; NONCE_LEN] = [9; NONCE_LEN];

    /// P13, T19: what the database holds does not show the key.
    #[test]
    fn a_wrapped_key_opens_with_its_master_key_and_label_only() {
        let master = MasterKey::new([1; 32]);
        let wrapped = master.wrap("seal", b"the key itself", NONCE);
        assert!(
            !wrapped
                .windows(8)
                .any(|window| b"the key itself".windows(8).any(|w| w == window))
        );
        assert_eq!(
            master.unwrap("seal", &wrapped).unwrap().as_slice(),
            b"the key itself"
        );
        assert_eq!(master.unwrap("sign-es256", &wrapped), Err(UnwrapError));
        assert_eq!(
            MasterKey::new([2; 32]).unwrap("seal", &wrapped),
            Err(UnwrapError)
        );
        assert_eq!(wrapped.len(), b"the key itself".len() + 29);
    }

    #[test]
    fn no_changed_or_cut_byte_opens() {
        let master = MasterKey::new([1; 32]);
        let wrapped = master.wrap("seal", b"k", NONCE);
        for at in 0..wrapped.len() {
            for bit in 0..8 {
                let mut changed = wrapped.clone();
                changed[at] ^= 1 << bit;
                assert_eq!(master.unwrap("seal", &changed), Err(UnwrapError));
            }
            assert_eq!(master.unwrap("seal", &wrapped[..at]), Err(UnwrapError));
        }
    }

    #[test]
    fn a_master_key_is_written_in_hex_or_base64url() {
        let wrapped = MasterKey::new([0xab; 32]).wrap("seal", b"k", NONCE);
        let base64url = URL_SAFE_NO_PAD.encode([0xab; 32]);
        for text in ["ab".repeat(32), "AB".repeat(32), base64url.clone()] {
            assert!(
                MasterKey::parse(&text)
                    .unwrap()
                    .unwrap("seal", &wrapped)
                    .is_ok(),
                "{text}"
            );
        }
        let wrong = [
            String::new(),
            "ab".repeat(31),
            "ab".repeat(33),
            "zz".repeat(32),
            format!("+{}", "a".repeat(63)),
            format!("{base64url}="),
            format!(" {base64url}"),
            "é".repeat(32),
        ];
        for text in wrong {
            assert_eq!(
                MasterKey::parse(&text).unwrap_err(),
                MasterKeyError,
                "{text}"
            );
        }
    }

    #[test]
    fn a_master_key_does_not_print() {
        assert_eq!(format!("{:?}", MasterKey::new([1; 32])), "MasterKey(…)");
    }
}
