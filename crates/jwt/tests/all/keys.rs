//! Key sets of others: read whole or not at all, but for kinds that we do not use.

use serde_json::{Value, json};
use vestibule_jwt::{Algorithm, JwkSet, JwksError};

use crate::support::*;

fn parse(keys: &Value) -> Result<JwkSet, JwksError> {
    JwkSet::parse(json!({ "keys": keys }).to_string().as_bytes())
}

/// T12, T19, DPOP-01: a private or symmetric key is refused, wherever it stands.
#[test]
fn a_private_or_symmetric_key_refuses_the_whole_set() {
    for made in signers() {
        for name in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
            for value in [json!("AAAA"), json!(null), json!([])] {
                let bad = changed(jwk(&made.key), name, Some(value));
                let found = parse(&json!([jwk(&made.key), bad]));
                assert!(
                    matches!(found, Err(JwksError::PrivateMember { index: 1 })),
                    "{name}"
                );
            }
        }
    }
    let found = parse(&json!([{ "kty": "oct", "alg": "HS256" }]));
    assert!(matches!(found, Err(JwksError::Symmetric { index: 0 })));
    let found = parse(&json!([{ "kty": "oct", "k": "AAAA" }]));
    assert!(matches!(found, Err(JwksError::PrivateMember { index: 0 })));
}

#[test]
fn keys_of_other_kinds_are_skipped() {
    let with = |made: &Made, name: &str, value: Value| changed(jwk(&made.key), name, Some(value));
    let others = json!([
        { "kty": "EC", "crv": "P-384", "x": "AAAA", "y": "AAAA" },
        { "kty": "EC", "crv": "secp256k1", "x": "AAAA", "y": "AAAA" },
        { "kty": "OKP", "crv": "X25519", "x": "AAAA" },
        { "kty": "OKP", "crv": "Ed448", "x": "AAAA" },
        { "kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA" },
        with(&RS256, "alg", json!("RS512")),
        with(&RS256, "alg", json!("RSA-OAEP-256")),
        with(&RS256, "use", json!("enc")),
        with(&ES256, "key_ops", json!(["deriveKey"])),
    ]);
    assert!(parse(&others).unwrap().is_empty());
    let mut mixed = others.as_array().unwrap().clone();
    mixed.push(jwk(&ES256.key));
    mixed.push(with(&EDDSA, "key_ops", json!(["verify"])));
    mixed.push(with(&EDDSA, "x5c", json!(["ignored"])));
    assert_eq!(parse(&json!(mixed)).unwrap().keys().len(), 3);
}

/// T12: one key has one algorithm.
#[test]
fn the_algorithm_of_a_key_is_stated_or_implied() {
    for made in signers() {
        let bare = changed(jwk(&made.key), "alg", None);
        assert_eq!(set(&[bare]).keys()[0].algorithm(), made.key.algorithm());
    }
    assert_eq!(set(&[ps256_jwk()]).keys()[0].algorithm(), Algorithm::Ps256);
    for (made, alg) in [(&*ES256, "RS256"), (&*RS256, "ES256"), (&*EDDSA, "PS256")] {
        let found = parse(&json!([changed(jwk(&made.key), "alg", Some(alg.into()))]));
        assert!(matches!(found, Err(JwksError::Key { .. })), "{alg}");
    }
}

#[test]
fn a_broken_key_refuses_the_set() {
    let with = |made: &Made, name: &str, value: Value| changed(jwk(&made.key), name, Some(value));
    let without = |made: &Made, name: &str| changed(jwk(&made.key), name, None);
    let zero_in_front = |number: &Value| {
        use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
        let bytes = URL_SAFE_NO_PAD.decode(number.as_str().unwrap()).unwrap();
        json!(b64([&[0][..], &bytes].concat()))
    };
    let small = |bytes: usize| json!(b64([&[0x80][..], &vec![1; bytes - 1]].concat()));
    let padded = format!("{}=", jwk(&ES256.key)["x"].as_str().unwrap());
    let broken = [
        json!("key"),
        json!(null),
        json!({}),
        json!({ "kty": 1 }),
        without(&ES256, "x"),
        without(&ES256, "y"),
        without(&ES256, "crv"),
        without(&EDDSA, "x"),
        without(&RS256, "n"),
        without(&RS256, "e"),
        with(&ES256, "x", json!(1)),
        with(&ES256, "x", json!(padded)),
        with(&ES256, "x", json!(b64([0; 32]))),
        with(&ES256, "y", jwk(&ES256.key)["x"].clone()),
        with(&ES256, "x", zero_in_front(&jwk(&ES256.key)["x"])),
        with(&EDDSA, "x", json!(b64([1; 31]))),
        with(&EDDSA, "x", json!(b64([1; 33]))),
        with(&RS256, "n", zero_in_front(&jwk(&RS256.key)["n"])),
        with(&RS256, "n", json!("")),
        with(&RS256, "n", small(128)),
        with(&RS256, "n", json!(b64([&[0x7f][..], &[1; 255]].concat()))),
        with(&RS256, "n", small(1025)),
        with(&RS256, "e", json!("")),
        with(&RS256, "e", json!("AQ")),
        with(&RS256, "e", json!("AAEAAQ")),
        with(&RS256, "e", json!("AQAA")),
        with(&RS256, "e", json!(b64([0xff; 8]))),
        with(&ES256, "kid", json!(1)),
        with(&ES256, "kid", json!("")),
        with(&ES256, "kid", json!("k".repeat(257))),
        with(&ES256, "alg", json!(null)),
        with(&ES256, "use", json!(["sig"])),
        with(&ES256, "key_ops", json!("verify")),
    ];
    for key in broken {
        let found = parse(&json!([key]));
        assert!(
            matches!(found, Err(JwksError::Key { index: 0, .. })),
            "{key} {found:?}"
        );
    }
}

#[test]
fn a_set_has_at_most_32_keys_and_no_member_twice() {
    let keys = |count| json!(vec![jwk(&EDDSA.key); count]);
    assert_eq!(parse(&keys(32)).unwrap().keys().len(), 32);
    assert!(matches!(parse(&keys(33)), Err(JwksError::TooLarge)));
    let large = format!("{{\"keys\":[],\"x\":\"{}\"}}", "y".repeat(65_536));
    assert!(matches!(
        JwkSet::parse(large.as_bytes()),
        Err(JwksError::TooLarge)
    ));
    let texts = [
        "",
        "[]",
        "{}",
        r#"{"keys":{}}"#,
        r#"{"keys":null}"#,
        r#"{"keys":[],"keys":[]}"#,
        r#"{"keys":[{"kty":"EC","kty":"RSA"}]}"#,
        r#"{"keys":[]} x"#,
        "\u{feff}{\"keys\":[]}",
    ];
    for text in texts {
        assert!(
            matches!(JwkSet::parse(text.as_bytes()), Err(JwksError::Json(_))),
            "{text}"
        );
    }
    assert!(
        JwkSet::parse(br#"{"keys":[],"more":1}"#)
            .unwrap()
            .is_empty()
    );
}
