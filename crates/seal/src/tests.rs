//! What the ring promises, tried from outside.

use proptest::prelude::*;

use crate::{
    KeyId, KeyRing, KeyRingError, KeyState, Kind, MacKind, RingKey,
    compact::{Reader, Writer},
    refresh_token,
};

const ISSUER: &str = "https://hub.example";
const KINDS: [Kind; 4] = [
    Kind::Registration,
    Kind::Ticket,
    Kind::PushedRequest,
    Kind::PreSession,
];
const MACS: [MacKind; 4] = [
    MacKind::ClientSecret,
    MacKind::RegistrationToken,
    MacKind::RefreshToken,
    MacKind::Csrf,
];

fn key(id: u16, state: KeyState) -> RingKey {
    RingKey {
        id: KeyId(id),
        state,
        secret: [u8::try_from(id).unwrap(); 32],
    }
}

fn ring(keys: Vec<RingKey>) -> KeyRing {
    KeyRing::new(keys, ISSUER).unwrap()
}

fn one() -> KeyRing {
    ring(vec![key(1, KeyState::Active)])
}

/// SLR-01, T18: a sealed object is of one kind and one issuer.
#[test]
fn kinds_and_issuers_do_not_open_each_other() {
    let elsewhere = KeyRing::new(vec![key(1, KeyState::Active)], "https://other.example").unwrap();
    for kind in KINDS {
        let sealed = one().seal(kind, b"plain", [3; 12]);
        assert!(sealed.starts_with(kind.prefix()));
        assert_eq!(one().open(kind, &sealed).unwrap(), b"plain");
        assert!(elsewhere.open(kind, &sealed).is_err());
        for other in KINDS.into_iter().filter(|other| *other != kind) {
            assert!(one().open(other, &sealed).is_err());
            let renamed = sealed.replacen(kind.prefix(), other.prefix(), 1);
            assert!(one().open(other, &renamed).is_err());
        }
    }
}

/// SLR-01: one registration has exactly one spelling, and no other text opens.
#[test]
fn any_changed_character_does_not_open() {
    for length in 0..8 {
        let sealed = one().seal(Kind::Registration, &vec![9; length], [3; 12]);
        for index in 0..sealed.len() {
            for replacement in ['A', 'B', 'g', 'w', '_', '=', '+', '\n'] {
                let mut text: Vec<char> = sealed.chars().collect();
                if text[index] == replacement {
                    continue;
                }
                text[index] = replacement;
                let text: String = text.into_iter().collect();
                assert!(one().open(Kind::Registration, &text).is_err(), "{text}");
            }
        }
        for text in [
            format!("{sealed}="),
            format!("{sealed}A"),
            format!(" {sealed}"),
        ] {
            assert!(one().open(Kind::Registration, &text).is_err(), "{text}");
        }
    }
}

/// Design section 9: keys move staged → active → retiring → gone.
#[test]
fn every_key_of_the_ring_opens_and_only_the_active_one_seals() {
    let before = ring(vec![key(1, KeyState::Active), key(2, KeyState::Staged)]);
    let after = ring(vec![key(1, KeyState::Retiring), key(2, KeyState::Active)]);
    let gone = ring(vec![key(2, KeyState::Active)]);
    let old = before.seal(Kind::Ticket, b"x", [0; 12]);
    let new = after.seal(Kind::Ticket, b"x", [0; 12]);
    assert_eq!(before.sealed_key_id(Kind::Ticket, &new), Some(KeyId(2)));
    for ring in [&before, &after] {
        assert!(ring.open(Kind::Ticket, &old).is_ok() && ring.open(Kind::Ticket, &new).is_ok());
    }
    assert!(gone.open(Kind::Ticket, &old).is_err());
    assert!(gone.open(Kind::Ticket, &new).is_ok());
}

#[test]
fn a_ring_has_exactly_one_active_key() {
    let make = |keys| KeyRing::new(keys, ISSUER).map(|_| ()).unwrap_err();
    assert_eq!(make(vec![]), KeyRingError::Active(0));
    assert_eq!(
        make(vec![key(1, KeyState::Staged)]),
        KeyRingError::Active(0)
    );
    let two = vec![key(1, KeyState::Active), key(2, KeyState::Active)];
    assert_eq!(make(two), KeyRingError::Active(2));
    let twice = vec![key(1, KeyState::Active), key(1, KeyState::Staged)];
    assert_eq!(make(twice), KeyRingError::Twice(1));
}

/// T18: a MAC for one use is none for another, and parts cannot be moved between fields.
#[test]
fn macs_are_separated_by_use_and_by_field() {
    let ring = one();
    for kind in MACS {
        let (id, mac) = ring.mac(kind, &[b"ab", b"c"]);
        assert!(ring.verify(kind, id, &[b"ab", b"c"], &mac));
        assert!(!ring.verify(kind, id, &[b"a", b"bc"], &mac));
        assert!(!ring.verify(kind, id, &[b"abc"], &mac));
        assert!(!ring.verify(kind, id, &[b"ab", b"c"], &mac[..31]));
        assert!(!ring.verify(kind, KeyId(9), &[b"ab", b"c"], &mac));
        for other in MACS.into_iter().filter(|other| *other != kind) {
            assert!(!ring.verify(other, id, &[b"ab", b"c"], &mac));
        }
    }
}

/// GEN-16: the same generation is the same string on every node, and no other string is.
#[test]
fn a_generation_of_a_family_has_one_string() {
    let ring = ring(vec![key(1, KeyState::Retiring), key(2, KeyState::Active)]);
    let token = refresh_token::encode(&ring, KeyId(1), &[5; 16], 7).unwrap();
    assert_eq!(
        token,
        refresh_token::encode(&ring, KeyId(1), &[5; 16], 7).unwrap()
    );
    let decoded = refresh_token::decode(&ring, &token).unwrap();
    assert_eq!(
        (decoded.family, decoded.generation, decoded.key),
        ([5; 16], 7, KeyId(1))
    );
    for index in 3..token.len() {
        for replacement in ["A", "B", "_"] {
            let mut text = token.clone();
            text.replace_range(index..=index, replacement);
            assert!(
                text == token || refresh_token::decode(&ring, &text).is_err(),
                "{text}"
            );
        }
    }
    assert!(refresh_token::decode(&one(), &token).is_ok());
    let without = KeyRing::new(vec![key(2, KeyState::Active)], ISSUER).unwrap();
    assert!(refresh_token::decode(&without, &token).is_err());
    assert!(refresh_token::encode(&without, KeyId(1), &[5; 16], 7).is_none());
}

/// What sealing adds to a payload: 31 bytes, and a third for base64url.
#[test]
fn the_overhead_is_known() {
    let sealed = one().seal(Kind::Registration, &[0; 250], [0; 12]);
    assert_eq!(sealed.len(), 4 + (250_usize + 31).div_ceil(3) * 4 - 1);
}

proptest! {
    #[test]
    fn what_was_sealed_opens(plain: Vec<u8>, nonce: [u8; 12]) {
        let sealed = one().seal(Kind::Ticket, &plain, nonce);
        prop_assert_eq!(one().open(Kind::Ticket, &sealed).unwrap(), plain);
    }

    #[test]
    fn arbitrary_text_never_opens_and_never_panics(text in ".{0,200}") {
        for kind in KINDS {
            prop_assert!(one().open(kind, &text).is_err());
            let prefixed = format!("{}{text}", kind.prefix());
            prop_assert!(one().open(kind, &prefixed).is_err());
        }
        prop_assert!(refresh_token::decode(&one(), &text).is_err());
    }

    #[test]
    fn compact_round_trip(a: u8, b: u64, c: Vec<u8>, d: String, e: Option<u64>, f: Vec<String>) {
        let mut writer = Writer::new();
        writer.u8(a).u64(b).bytes(&c).str(&d);
        writer.option(e, |w, v| { w.u64(v); });
        writer.list(f.iter(), |w, v| { w.str(v); });
        writer.fixed(&[1, 2, 3]);
        let bytes = writer.finish();
        let mut reader = Reader::new(&bytes);
        prop_assert_eq!(reader.u8().unwrap(), a);
        prop_assert_eq!(reader.u64().unwrap(), b);
        prop_assert_eq!(reader.bytes().unwrap(), &c[..]);
        prop_assert_eq!(reader.str().unwrap(), d);
        prop_assert_eq!(reader.option(Reader::u64).unwrap(), e);
        prop_assert_eq!(reader.list(|r| r.str().map(str::to_owned)).unwrap(), f);
        prop_assert_eq!(reader.fixed::<3>().unwrap(), [1, 2, 3]);
        reader.finish().unwrap();
    }

    #[test]
    fn compact_reading_never_panics_and_has_one_spelling(bytes: Vec<u8>) {
        let mut reader = Reader::new(&bytes);
        if let Ok(value) = reader.u64() {
            let mut writer = Writer::new();
            writer.u64(value);
            prop_assert!(bytes.starts_with(&writer.finish()));
        }
        let _ = Reader::new(&bytes).list(|r| r.bytes().map(<[u8]>::to_vec));
        let _ = Reader::new(&bytes).option(Reader::str);
    }
}
