//! Signed tokens and key sets of strangers (RFC 7515, RFC 7517): nothing that we did not sign is good.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use vestibule_jwt::{
    Algorithm, JwkSet, SigningKey, peek_assertion_subject, verify_access_token,
    verify_client_assertion,
};

const ALL: [Algorithm; 4] = [
    Algorithm::EdDsa,
    Algorithm::Es256,
    Algorithm::Ps256,
    Algorithm::Rs256,
];
const HUB: &str = "https://hub.example";

static KEYS: LazyLock<JwkSet> = LazyLock::new(|| {
    let keys = [Algorithm::Es256, Algorithm::EdDsa].map(|algorithm| {
        let (key, _) = SigningKey::generate(algorithm).expect("a key");
        key.public_jwk().clone()
    });
    JwkSet::of(keys.to_vec())
});

fuzz_target!(|bytes: &[u8]| {
    let _ = JwkSet::parse(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let _ = peek_assertion_subject(text);
    assert!(verify_access_token(text, &KEYS, HUB, 0, 0).is_err());
    let client = "https://agent.example/client.json";
    assert!(verify_client_assertion(text, &KEYS, HUB, client, &ALL, 0).is_err());
});
