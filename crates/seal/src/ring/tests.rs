//! What sealing promises, tried from outside.

use proptest::prelude::*;

use super::*;

const ISSUER: &str = "https://hub.example";
const NONCE: [u8; NONCE_LEN] = [5; NONCE_LEN];
const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn key(id: u16, state: KeyState) -> RingKey {
    RingKey {
        id: KeyId(id),
        state,
        secret: [u8::try_from(id).unwrap(); 32],
    }
}

fn ring_of(issuer: &str, keys: &[(u16, KeyState)]) -> KeyRing {
    let keys = keys.iter().map(|&(id, state)| key(id, state)).collect();
    KeyRing::new(keys, issuer).unwrap()
}

fn ring() -> KeyRing {
    ring_of(ISSUER, &[(1, KeyState::Active)])
}

#[test]
fn what_was_sealed_opens() {
    for kind in Kind::ALL {
        for plain in [&b""[..], b"x", &[7; 500]] {
            let sealed = ring().seal(kind, plain, NONCE);
            assert!(sealed.starts_with(kind.prefix()));
            assert_eq!(ring().open(kind, &sealed).unwrap(), plain);
            assert_eq!(ring().sealed_key_id(kind, &sealed), Some(KeyId(1)));
        }
    }
}

/// T18: nothing sealed for one use passes for another, not even with the prefix changed.
#[test]
fn kinds_do_not_open_each_other() {
    for kind in Kind::ALL {
        let sealed = ring().seal(kind, b"payload", NONCE);
        for other in Kind::ALL.into_iter().filter(|other| *other != kind) {
            assert_eq!(ring().open(other, &sealed), Err(OpenError::Malformed));
            let renamed = format!("{}{}", other.prefix(), &sealed[4..]);
            assert_eq!(ring().open(other, &renamed), Err(OpenError::Forged));
        }
    }
}

#[test]
fn issuers_with_one_secret_do_not_open_each_other() {
    let other = ring_of("https://hub.example/", &[(1, KeyState::Active)]);
    let sealed = ring().seal(Kind::Ticket, b"payload", NONCE);
    assert_eq!(other.open(Kind::Ticket, &sealed), Err(OpenError::Forged));
    let (id, mac) = ring().mac(MacKind::Csrf, &[b"session"]);
    assert!(!other.verify(MacKind::Csrf, id, &[b"session"], &mac));
}

/// SLR-02, T18: prefix, version, key id, kind and issuer are bound by the associated data, not only
/// by the key: sealed with the very key of a registration, it does not open if one of them was
/// another.
#[test]
fn nothing_opens_under_other_associated_data() {
    let ring = ring();
    let kind = Kind::Registration;
    let cipher = ring.active.seal(kind);
    let spell = |aad: &[u8]| {
        let mut body = vec![VERSION, 0, 1];
        body.extend_from_slice(&NONCE);
        body.extend_from_slice(&aead_seal(cipher, aad, b"payload", NONCE));
        format!("{}{}", kind.prefix(), URL_SAFE_NO_PAD.encode(body))
    };
    let of = |prefix: &str, version: u8, id: u16, label: &str, issuer: &str| {
        let mut aad = prefix.as_bytes().to_vec();
        aad.push(version);
        aad.extend_from_slice(&id.to_be_bytes());
        for part in [label, issuer] {
            aad.extend_from_slice(&length(part.as_bytes()));
            aad.extend_from_slice(part.as_bytes());
        }
        aad
    };
    let (prefix, label) = (kind.prefix(), kind.label());
    let right = of(prefix, VERSION, 1, label, ISSUER);
    assert_eq!(right, ring.associated(kind, KeyId(1)));
    assert_eq!(spell(&right), ring.seal(kind, b"payload", NONCE));
    assert_eq!(ring.open(kind, &spell(&right)).unwrap(), b"payload");
    #[rustfmt::skip]
    let rows = [
        ("prefix",           of("vtk_", VERSION, 1, label, ISSUER)),
        ("version",          of(prefix, VERSION + 1, 1, label, ISSUER)),
        ("key id",           of(prefix, VERSION, 2, label, ISSUER)),
        ("kind",             of(prefix, VERSION, 1, Kind::Ticket.label(), ISSUER)),
        ("issuer",           of(prefix, VERSION, 1, label, "https://hub.example/")),
        ("parts that moved", of(prefix, VERSION, 1, "seal registrationh", "ttps://hub.example")),
        ("nothing",          Vec::new()),
    ];
    for (what, aad) in rows {
        let sealed = spell(&aad);
        assert_eq!(ring.open(kind, &sealed), Err(OpenError::Forged), "{what}");
    }
}

/// T18: every single character is fixed, the unused bits of the last one included.
#[test]
fn no_changed_character_opens() {
    // One, two and no unused bit patterns in the last character.
    for length in 0..3 {
        let plain = vec![3; length];
        let sealed = ring().seal(Kind::Registration, &plain, NONCE);
        for at in 0..sealed.len() {
            for other in ALPHABET
                .chars()
                .filter(|other| !sealed[at..].starts_with(*other))
            {
                let changed = format!("{}{other}{}", &sealed[..at], &sealed[at + 1..]);
                assert!(
                    ring().open(Kind::Registration, &changed).is_err(),
                    "{changed}"
                );
            }
            assert!(ring().open(Kind::Registration, &sealed[..at]).is_err());
        }
        for more in ["=", "==", "A", "AA", "\n", " ", "\0"] {
            assert!(
                ring()
                    .open(Kind::Registration, &format!("{sealed}{more}"))
                    .is_err()
            );
            assert!(
                ring()
                    .open(Kind::Registration, &format!("{more}{sealed}"))
                    .is_err()
            );
        }
    }
}

#[test]
fn no_changed_bit_opens() {
    let sealed = ring().seal(Kind::PushedRequest, b"payload", NONCE);
    let bytes = URL_SAFE_NO_PAD.decode(&sealed[4..]).unwrap();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << bit;
            let text = format!("vpr_{}", URL_SAFE_NO_PAD.encode(changed));
            assert!(ring().open(Kind::PushedRequest, &text).is_err());
        }
    }
}

#[test]
fn staged_and_retiring_keys_open_and_a_key_that_is_gone_does_not() {
    let by_two = ring_of(ISSUER, &[(2, KeyState::Active)]).seal(Kind::Ticket, b"p", NONCE);
    for state in [KeyState::Staged, KeyState::Retiring] {
        let ring = ring_of(ISSUER, &[(1, KeyState::Active), (2, state)]);
        assert_eq!(ring.active_id(), KeyId(1));
        assert_eq!(ring.open(Kind::Ticket, &by_two).unwrap(), b"p");
        let own = ring.seal(Kind::Ticket, b"p", NONCE);
        assert_eq!(ring.sealed_key_id(Kind::Ticket, &own), Some(KeyId(1)));
    }
    assert_eq!(
        ring().open(Kind::Ticket, &by_two),
        Err(OpenError::UnknownKey(KeyId(2)))
    );
    // A key id alone does not help: another secret under the same id opens nothing.
    let impostor = RingKey {
        secret: [99; 32],
        ..key(2, KeyState::Active)
    };
    let impostor = KeyRing::new(vec![impostor], ISSUER).unwrap();
    assert_eq!(impostor.open(Kind::Ticket, &by_two), Err(OpenError::Forged));
}

#[test]
fn a_ring_has_one_active_key_and_distinct_ids() {
    use KeyState::{Active, Retiring, Staged};
    #[rustfmt::skip]
    let rows: [(&[(u16, KeyState)], KeyRingError); 4] = [
        (&[],                          KeyRingError::NoActive),
        (&[(1, Staged), (2, Retiring)], KeyRingError::NoActive),
        (&[(1, Active), (2, Active)],   KeyRingError::SeveralActive),
        (&[(1, Active), (1, Retiring)], KeyRingError::DuplicateId(KeyId(1))),
    ];
    for (keys, expected) in rows {
        let keys = keys.iter().map(|&(id, state)| key(id, state)).collect();
        assert_eq!(KeyRing::new(keys, ISSUER).unwrap_err(), expected);
    }
}

/// T18, P13: a MAC of one use, message or key is none of another.
#[test]
fn mac_kinds_parts_and_keys_are_separated() {
    let ring = ring_of(ISSUER, &[(1, KeyState::Active), (2, KeyState::Staged)]);
    for kind in MacKind::ALL {
        let (id, mac) = ring.mac(kind, &[b"ab", b"c"]);
        assert_eq!(ring.mac_with(kind, id, &[b"ab", b"c"]), Some(mac));
        assert!(ring.verify(kind, id, &[b"ab", b"c"], &mac));
        for other in MacKind::ALL.into_iter().filter(|other| *other != kind) {
            assert!(!ring.verify(other, id, &[b"ab", b"c"], &mac));
        }
        let messages: [&[&[u8]]; 4] = [&[b"a", b"bc"], &[b"abc"], &[b"ab", b"c", b""], &[]];
        for message in messages {
            assert!(!ring.verify(kind, id, message, &mac));
        }
        assert!(!ring.verify(kind, KeyId(2), &[b"ab", b"c"], &mac));
        assert!(!ring.verify(kind, KeyId(3), &[b"ab", b"c"], &mac));
        assert_eq!(ring.mac_with(kind, KeyId(3), &[b"ab"]), None);
        assert!(!ring.verify(kind, id, &[b"ab", b"c"], &mac[..31]));
        assert!(!ring.verify(kind, id, &[b"ab", b"c"], &[]));
    }
}

/// A registration of 264 bytes fits the 400 characters of design section 4.1.
#[test]
fn the_overhead_is_31_bytes_and_the_prefix() {
    for length in [0, 1, 100, 264] {
        let sealed = ring().seal(Kind::Registration, &vec![0; length], NONCE);
        assert_eq!(sealed.len(), 4 + ((31 + length) * 4).div_ceil(3));
    }
    assert!(ring().seal(Kind::Registration, &[0; 264], NONCE).len() <= 400);
}

#[test]
fn secrets_do_not_print() {
    let printed = format!("{:?} {:?}", key(7, KeyState::Active), ring());
    assert!(!printed.contains("7, 7"), "{printed}");
    assert!(!printed.contains("secret"), "{printed}");
}

#[test]
fn equal_plain_texts_look_different_under_different_nonces() {
    let one = ring().seal(Kind::Ticket, b"same", [1; NONCE_LEN]);
    let other = ring().seal(Kind::Ticket, b"same", [2; NONCE_LEN]);
    assert_ne!(one[24..], other[24..]);
}

proptest! {
    #[test]
    fn anything_opens_as_it_was_sealed(plain: Vec<u8>, nonce: [u8; 12]) {
        for kind in Kind::ALL {
            let sealed = ring().seal(kind, &plain, nonce);
            prop_assert_eq!(ring().open(kind, &sealed), Ok(plain.clone()));
        }
    }

    #[test]
    fn arbitrary_text_never_panics(text in "(vdr_|vtk_)?([A-Za-z0-9_-]{0,120}|.{0,40})") {
        for kind in Kind::ALL {
            prop_assert!(ring().open(kind, &text).is_err());
        }
    }
}
