//! The text of a refresh token (design details, section B).
//!
//! `rt_` + base64url(`family 16 | generation varint | key id u16 | MAC 32`). Nothing is stored per
//! token: the MAC proves that we made it, family and generation say whose turn it is. The key is the
//! family's own, so that one generation always has the same text and a repeated answer is equal.
//!
//! Not here: whether the generation is the current one. That is the store's `rotate_refresh_token`.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{
    KeyId, KeyRing, MacKind,
    compact::{Reader, Writer},
};

/// What the text starts with.
pub const PREFIX: &str = "rt_";

const MAC_LEN: usize = 32;

/// What a refresh token says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Decoded {
    /// The family that it belongs to.
    pub family: [u8; 16],
    /// Its place in the family.
    pub generation: u64,
    /// The key that authenticates the family.
    pub kid: KeyId,
}

/// Why a text is not a refresh token of ours.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DecodeError {
    /// The MAC is not ours.
    #[error("not made by us, or changed")]
    Forged,
    /// Not the shape, or not the one spelling, of a refresh token.
    #[error("not a refresh token")]
    Malformed,
    /// Its key is not in the ring (any more).
    #[error("made with key `{0}`, which is not in the ring")]
    UnknownKey(KeyId),
}

/// The text of a generation; none if the ring does not have the family's key.
pub fn encode(ring: &KeyRing, kid: KeyId, family: &[u8; 16], generation: u64) -> Option<String> {
    let mac = mac(
        ring,
        &Decoded {
            family: *family,
            generation,
            kid,
        },
    )?;
    let mut writer = Writer::new();
    writer.array(family);
    writer.varint(generation);
    writer.array(&kid.0.to_be_bytes());
    writer.array(&mac);
    let mut text = PREFIX.to_owned();
    URL_SAFE_NO_PAD.encode_string(writer.finish(), &mut text);
    Some(text)
}

/// Read a token that we made.
pub fn decode(ring: &KeyRing, text: &str) -> Result<Decoded, DecodeError> {
    let (decoded, shown) = parse(text).ok_or(DecodeError::Malformed)?;
    let own = mac(ring, &decoded).ok_or(DecodeError::UnknownKey(decoded.kid))?;
    if crate::constant_time_eq(&own, &shown) {
        Ok(decoded)
    } else {
        Err(DecodeError::Forged)
    }
}

fn parse(text: &str) -> Option<(Decoded, [u8; MAC_LEN])> {
    let text = text.strip_prefix(PREFIX)?;
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    if URL_SAFE_NO_PAD.encode(&bytes) != text {
        return None;
    }
    let mut reader = Reader::new(&bytes);
    let family = reader.array().ok()?;
    let generation = reader.varint().ok()?;
    let kid = KeyId(u16::from_be_bytes(reader.array().ok()?));
    let mac = reader.array().ok()?;
    reader.finish().ok()?;
    Some((
        Decoded {
            family,
            generation,
            kid,
        },
        mac,
    ))
}

fn mac(ring: &KeyRing, token: &Decoded) -> Option<[u8; MAC_LEN]> {
    let generation = token.generation.to_be_bytes();
    ring.mac_with(
        MacKind::RefreshToken,
        token.kid,
        &[&token.family, &generation],
    )
}

#[cfg(test)]
#[expect(clippy::string_slice, reason = "what is cut here is ASCII")]
mod tests {
    use super::*;
    use crate::{KeyState, RingKey};

    const FAMILY: [u8; 16] = [7; 16];

    fn ring(keys: &[(u16, KeyState)]) -> KeyRing {
        let key = |&(id, state)| RingKey {
            id: KeyId(id),
            state,
            secret: [u8::try_from(id).unwrap(); 32],
        };
        KeyRing::new(keys.iter().map(key).collect(), "https://hub.example").unwrap()
    }

    fn both() -> KeyRing {
        ring(&[(1, KeyState::Retiring), (2, KeyState::Active)])
    }

    #[test]
    fn a_generation_reads_back_and_always_has_the_same_text() {
        for generation in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            for kid in [KeyId(1), KeyId(2)] {
                let text = encode(&both(), kid, &FAMILY, generation).unwrap();
                assert_eq!(encode(&both(), kid, &FAMILY, generation).unwrap(), text);
                let decoded = decode(&both(), &text).unwrap();
                assert_eq!(
                    decoded,
                    Decoded {
                        family: FAMILY,
                        generation,
                        kid
                    }
                );
                assert!(text.len() <= 83, "{}", text.len());
            }
        }
        assert_eq!(encode(&both(), KeyId(2), &FAMILY, 3).unwrap().len(), 71);
    }

    #[test]
    fn the_text_outlives_a_change_of_the_active_key_and_ends_with_its_own() {
        let before = ring(&[(1, KeyState::Active)]);
        let text = encode(&before, KeyId(1), &FAMILY, 3).unwrap();
        assert_eq!(
            encode(&both(), KeyId(1), &FAMILY, 3).as_deref(),
            Some(text.as_str())
        );
        let after = ring(&[(2, KeyState::Active)]);
        assert_eq!(
            decode(&after, &text),
            Err(DecodeError::UnknownKey(KeyId(1)))
        );
        assert_eq!(encode(&after, KeyId(1), &FAMILY, 3), None);
    }

    /// T18: any change of any character, cut or addition makes it another text that is not ours.
    #[test]
    fn no_changed_text_reads() {
        let ring = both();
        let text = encode(&ring, KeyId(2), &FAMILY, 300).unwrap();
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=+/ ";
        for at in 0..text.len() {
            for other in alphabet
                .chars()
                .filter(|other| !text[at..].starts_with(*other))
            {
                let changed = format!("{}{other}{}", &text[..at], &text[at + 1..]);
                assert!(decode(&ring, &changed).is_err(), "{changed}");
            }
            assert!(decode(&ring, &text[..at]).is_err());
        }
        assert!(decode(&ring, &format!("{text}A")).is_err());
        assert!(decode(&ring, &format!("{text}=")).is_err());
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in "(rt_)?[A-Za-z0-9_-]{0,100}") {
            proptest::prop_assert!(decode(&both(), &text).is_err());
        }
    }
}
