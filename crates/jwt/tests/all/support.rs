//! Keys made once, and tokens built by hand.

use std::sync::LazyLock;

use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    signature::{RSA_PSS_SHA256, RsaKeyPair},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use vestibule_jwt::{Algorithm, JwkSet, SigningKey};

/// What the clock says in these tests.
pub(crate) const NOW: u64 = 1_795_500_000;
pub(crate) const ISSUER: &str = "https://hub.example";

/// A key with its PKCS #8 form.
pub(crate) struct Made {
    pub(crate) key: SigningKey,
    pub(crate) pkcs8: Vec<u8>,
}

fn made(algorithm: Algorithm) -> Made {
    let (key, pkcs8) = SigningKey::generate(algorithm).unwrap();
    Made {
        key,
        pkcs8: pkcs8.to_vec(),
    }
}

pub(crate) static EDDSA: LazyLock<Made> = LazyLock::new(|| made(Algorithm::EdDsa));
pub(crate) static ES256: LazyLock<Made> = LazyLock::new(|| made(Algorithm::Es256));
pub(crate) static RS256: LazyLock<Made> = LazyLock::new(|| made(Algorithm::Rs256));

/// The keys that can sign here.
pub(crate) fn signers() -> [&'static Made; 3] {
    [&EDDSA, &ES256, &RS256]
}

/// The published members of a key.
pub(crate) fn jwk(key: &SigningKey) -> Value {
    let set = JwkSet::of(vec![key.public_jwk().clone()]).to_json();
    let mut set: Value = serde_json::from_slice(&set).unwrap();
    set["keys"][0].take()
}

/// A set, as somebody else would read it.
pub(crate) fn set(keys: &[Value]) -> JwkSet {
    JwkSet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
}

pub(crate) fn set_of(key: &SigningKey) -> JwkSet {
    set(&[jwk(key)])
}

/// The RSA key as one for PS256.
pub(crate) fn ps256_jwk() -> Value {
    let mut jwk = jwk(&RS256.key);
    jwk["alg"] = "PS256".into();
    jwk
}

pub(crate) fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A token with any header, signed by a key of ours with its own algorithm.
pub(crate) fn with_header(made: &Made, header: &Value, claims: &[u8]) -> String {
    let input = format!("{}.{}", b64(header.to_string()), b64(claims));
    let signature = raw_signature(made, input.as_bytes());
    format!("{input}.{}", b64(signature))
}

/// The bytes that a key signs a message with.
pub(crate) fn raw_signature(made: &Made, message: &[u8]) -> Vec<u8> {
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256,
    };
    let random = SystemRandom::new();
    match made.key.algorithm() {
        Algorithm::EdDsa => Ed25519KeyPair::from_pkcs8(&made.pkcs8)
            .unwrap()
            .sign(message)
            .as_ref()
            .to_vec(),
        Algorithm::Es256 => EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &made.pkcs8)
            .unwrap()
            .sign(&random, message)
            .unwrap()
            .as_ref()
            .to_vec(),
        Algorithm::Rs256 | Algorithm::Ps256 => {
            let pair = RsaKeyPair::from_pkcs8(&made.pkcs8).unwrap();
            let mut signature = vec![0; pair.public_modulus_len()];
            pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                .unwrap();
            signature
        }
    }
}

/// A PS256 token by the RSA key.
pub(crate) fn ps256_token(claims: &Value) -> String {
    let header = json!({ "alg": "PS256", "kid": RS256.key.kid() });
    let input = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
    let pair = RsaKeyPair::from_pkcs8(&RS256.pkcs8).unwrap();
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(
        &RSA_PSS_SHA256,
        &SystemRandom::new(),
        input.as_bytes(),
        &mut signature,
    )
    .unwrap();
    format!("{input}.{}", b64(signature))
}

/// A token "signed" with HMAC under a public value.
pub(crate) fn hs256_token(header: &Value, claims: &Value, secret: &[u8]) -> String {
    let input = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), input.as_bytes());
    format!("{input}.{}", b64(tag))
}

/// The claims of a good access token.
pub(crate) fn access_claims() -> Value {
    json!({
        "iss": ISSUER, "sub": "u_41", "aud": "https://mcp.example/mcp", "client_id": "agent",
        "scope": "notes:read", "iat": NOW, "exp": NOW + 600, "jti": "N2", "auth_time": NOW - 9,
        "gid": "g_1", "ck": "AAAA", "rev": 7,
    })
}

/// The claims of a good client assertion.
pub(crate) fn assertion_claims() -> Value {
    json!({
        "iss": "agent", "sub": "agent", "aud": ISSUER, "jti": "once",
        "iat": NOW, "nbf": NOW, "exp": NOW + 60,
    })
}

/// Claims with one changed; `None` removes it.
pub(crate) fn changed(mut claims: Value, name: &str, value: Option<Value>) -> Value {
    let members = claims.as_object_mut().unwrap();
    match value {
        Some(value) => members.insert(name.to_owned(), value),
        None => members.remove(name),
    };
    claims
}

pub(crate) fn sign(key: &SigningKey, typ: Option<&str>, claims: &Value) -> String {
    key.sign(typ, claims.to_string().as_bytes()).unwrap()
}
