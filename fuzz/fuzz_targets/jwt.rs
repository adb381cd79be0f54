//! Signed tokens and key sets of strangers (RFC 7515, RFC 7517): nothing that we did not sign is good.
#![no_main]

use std::sync::LazyLock;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
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
const AGENT: &str = "https://agent.example/client.json";
const NOW: u64 = 1_795_500_000;

static KEY: LazyLock<SigningKey> =
    LazyLock::new(|| SigningKey::generate(Algorithm::EdDsa).expect("a key").0);
static KEYS: LazyLock<JwkSet> = LazyLock::new(|| JwkSet::of(vec![KEY.public_jwk().clone()]));
/// A client's, which signs whatever it likes.
static CLIENT: LazyLock<SigningKey> =
    LazyLock::new(|| SigningKey::generate(Algorithm::EdDsa).expect("a key").0);
static CLIENT_KEYS: LazyLock<JwkSet> =
    LazyLock::new(|| JwkSet::of(vec![CLIENT.public_jwk().clone()]));

fuzz_target!(|bytes: &[u8]| {
    let _ = JwkSet::parse(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        refused(text);
    }
    // Header and claims in their encoding, under a signature that is none.
    if let Some(at) = bytes.iter().position(|byte| *byte == b'\n') {
        let (header, claims) = bytes.split_at(at);
        let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let signature = part(&[1; 64]);
        refused(&format!(
            "{}.{}.{signature}",
            part(header),
            part(&claims[1..])
        ));
    }
    // Any claims at all under a good signature: they are good for this client, now, or not at all.
    let signed = CLIENT.sign(Some("JWT"), bytes).expect("a signature");
    if let Ok(claims) = verify_client_assertion(&signed, &CLIENT_KEYS, HUB, AGENT, &ALL, NOW) {
        assert!(claims.iss == AGENT && claims.sub == AGENT && claims.aud.sole() == Some(HUB));
        assert!(claims.exp + 30 > NOW && claims.exp <= NOW + 330 && !claims.jti.is_empty());
    }
    assert!(verify_access_token(&signed, &CLIENT_KEYS, HUB, NOW, 0).is_err());
    let signed = CLIENT.sign(Some("at+jwt"), bytes).expect("a signature");
    if let Ok(claims) = verify_access_token(&signed, &CLIENT_KEYS, HUB, NOW, 0) {
        assert!(claims.iss == HUB && claims.exp > NOW && claims.audience().next().is_some());
    }
});

fn refused(text: &str) {
    let _ = peek_assertion_subject(text);
    assert!(verify_access_token(text, &KEYS, HUB, NOW, 0).is_err());
    assert!(verify_client_assertion(text, &KEYS, HUB, AGENT, &ALL, NOW).is_err());
}
