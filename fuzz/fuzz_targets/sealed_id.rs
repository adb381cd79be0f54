//! Sealed ids and refresh tokens: a text that we did not make opens nothing, one that we made has
//! one spelling.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use vestibule_seal::{KeyId, KeyRing, KeyState, Kind, RingKey, refresh_token};

// This one never seals: libFuzzer learns from comparisons, and would soon show us our own work.
static UNUSED: LazyLock<KeyRing> = LazyLock::new(|| ring(3));
static RING: LazyLock<KeyRing> = LazyLock::new(|| ring(7));

fn ring(secret: u8) -> KeyRing {
    let key = RingKey {
        id: KeyId(1),
        state: KeyState::Active,
        secret: [secret; 32],
    };
    KeyRing::new(vec![key], "https://hub.example").expect("a ring")
}

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        for kind in Kind::ALL {
            let prefixed = format!("{}{text}", kind.prefix());
            for sealed in [text, &prefixed] {
                assert!(UNUSED.open(kind, sealed).is_err());
            }
        }
        assert!(refresh_token::decode(&UNUSED, text).is_err());
        assert!(refresh_token::decode(&UNUSED, &format!("rt_{text}")).is_err());
    }
    let [at, to, plain @ ..] = bytes else { return };
    let sealed = RING.seal(Kind::Registration, plain, [9; 12]);
    assert_eq!(RING.open(Kind::Registration, &sealed).as_deref(), Ok(plain));
    assert!(RING.open(Kind::Ticket, &sealed).is_err());
    // Any other letter at any place is another text, and nobody's.
    let mut changed = sealed.clone().into_bytes();
    let at = usize::from(*at) * changed.len() / 256;
    changed[at] = b"ABCDEFGHIJKLMNOPabcdefghijklmnop0123456789-_=."[usize::from(*to) % 46];
    if changed != sealed.as_bytes() {
        let changed = String::from_utf8(changed).expect("ASCII");
        assert!(RING.open(Kind::Registration, &changed).is_err());
    }
});
