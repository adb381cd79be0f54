//! Hostile headers: algorithms, keys, types, extensions, duplicates, sizes.

use proptest::prelude::*;
use serde_json::{Value, json};
use vestibule_jwt::{
    Algorithm, JwkSet, Rules, TypRule, VerifyError, peek_assertion_subject, verify,
    verify_access_token, verify_client_assertion,
};

use crate::support::*;

fn rules(algorithms: &[Algorithm]) -> Rules<'_> {
    Rules::new(TypRule::ClientAssertion, algorithms)
}

fn verdict(token: &str, keys: &JwkSet) -> Result<(), VerifyError> {
    verify(token, keys, &rules(&Algorithm::ALL)).map(|_| ())
}

fn with_alg(made: &Made, alg: &str) -> String {
    with_header(
        made,
        &json!({ "alg": alg, "kid": made.key.kid() }),
        assertion_claims().to_string().as_bytes(),
    )
}

/// T12, GEN-19, JCA-08: only the algorithm of the key will do, whatever the header says.
#[test]
fn the_key_decides_the_algorithm() {
    #[rustfmt::skip]
    let names = [
        "EdDSA", "ES256", "RS256", "PS256", "none", "None", "NONE", "HS256", "HS384", "HS512",
        "ES384", "ES256K", "RS384", "RS512", "PS384", "PS512", "es256", "", " ES256", "A128KW",
    ];
    for made in signers() {
        let keys = set_of(&made.key);
        for name in names {
            let expected = match Algorithm::parse(name) {
                Some(algorithm) if algorithm == made.key.algorithm() => Ok(()),
                Some(_) => Err(VerifyError::KeyAlgorithm),
                None => Err(VerifyError::Algorithm),
            };
            let own = made.key.algorithm();
            assert_eq!(
                verdict(&with_alg(made, name), &keys),
                expected,
                "{own} as {name}"
            );
        }
    }
}

/// T12: a key of one type never verifies for another, with or without the same name.
#[test]
fn a_key_of_another_type_never_verifies() {
    for signer in signers() {
        for other in signers() {
            let keys = set_of(&other.key);
            let same = signer.key.algorithm() == other.key.algorithm();
            let named = sign(&signer.key, None, &assertion_claims());
            let expected = if same {
                Ok(())
            } else {
                Err(VerifyError::UnknownKey)
            };
            assert_eq!(verdict(&named, &keys), expected);
            let alg = signer.key.algorithm().as_str();
            let claims = assertion_claims().to_string();
            for header in [
                json!({ "alg": alg }),
                json!({ "alg": alg, "kid": other.key.kid() }),
            ] {
                let token = with_header(signer, &header, claims.as_bytes());
                let expected = if same {
                    Ok(())
                } else {
                    Err(VerifyError::KeyAlgorithm)
                };
                assert_eq!(verdict(&token, &keys), expected);
            }
        }
    }
}

/// RFC 9864: `Ed25519` is another name of the same algorithm.
#[test]
fn the_newer_name_of_ed25519_is_understood() {
    let mut key = jwk(&EDDSA.key);
    key["alg"] = "Ed25519".into();
    assert_eq!(verdict(&with_alg(&EDDSA, "Ed25519"), &set(&[key])), Ok(()));
    assert_eq!(
        verdict(&with_alg(&EDDSA, "Ed25519"), &set_of(&EDDSA.key)),
        Ok(())
    );
}

/// T12, GEN-19: HMAC under any public form of the key, and no signature at all.
#[test]
fn a_public_key_is_no_secret_and_nothing_is_no_signature() {
    for made in signers() {
        let keys = set_of(&made.key);
        let public = jwk(&made.key);
        let forms = [
            public.to_string().into_bytes(),
            public["n"]
                .as_str()
                .or(public["x"].as_str())
                .unwrap()
                .as_bytes()
                .to_vec(),
            Vec::new(),
        ];
        for secret in forms {
            for alg in ["HS256", made.key.algorithm().as_str()] {
                let header = json!({ "alg": alg, "kid": made.key.kid() });
                let token = hs256_token(&header, &assertion_claims(), &secret);
                assert!(verdict(&token, &keys).is_err());
            }
        }
        for alg in ["none", made.key.algorithm().as_str()] {
            let input = format!("{}.{}", b64(json!({ "alg": alg }).to_string()), b64("{}"));
            for token in [format!("{input}."), input.clone(), format!("{input}.AA")] {
                assert!(verdict(&token, &keys).is_err(), "{token}");
            }
        }
        // An all-zero ECDSA signature (CVE-2022-21449).
        let header = json!({ "alg": made.key.algorithm().as_str() });
        let zeros = format!("{}.{}.{}", b64(header.to_string()), b64("{}"), b64([0; 64]));
        assert_eq!(verdict(&zeros, &keys), Err(VerifyError::Signature));
    }
}

#[test]
fn the_callers_list_is_the_limit() {
    let token = sign(&ES256.key, None, &assertion_claims());
    let keys = set_of(&ES256.key);
    assert!(verify(&token, &keys, &rules(&[Algorithm::Es256])).is_ok());
    for list in [
        &[][..],
        &[Algorithm::EdDsa, Algorithm::Rs256, Algorithm::Ps256],
    ] {
        assert_eq!(
            verify(&token, &keys, &rules(list)).unwrap_err(),
            VerifyError::Algorithm
        );
    }
}

/// T13, GEN-19: a key in the header is not looked at; a `kid` finds registered keys or nothing.
#[test]
fn a_key_in_the_header_is_not_used() {
    let registered = set_of(&ES256.key);
    let (key, pkcs8) = vestibule_jwt::SigningKey::generate(Algorithm::Es256).unwrap();
    let attacker = Made {
        key,
        pkcs8: pkcs8.to_vec(),
    };
    let claims = assertion_claims().to_string();
    let url = "https://evil.example/jwks.json";
    let rows = [
        (
            json!({ "alg": "ES256", "jwk": jwk(&attacker.key) }),
            VerifyError::Signature,
        ),
        (
            json!({ "alg": "ES256", "jku": url }),
            VerifyError::Signature,
        ),
        (
            json!({ "alg": "ES256", "x5u": url, "x5c": ["AAAA"] }),
            VerifyError::Signature,
        ),
        (
            json!({ "alg": "ES256", "kid": ES256.key.kid(), "jwk": jwk(&attacker.key) }),
            VerifyError::Signature,
        ),
        (
            json!({ "alg": "ES256", "kid": attacker.key.kid() }),
            VerifyError::UnknownKey,
        ),
        (
            json!({ "alg": "ES256", "kid": "../../dev/null" }),
            VerifyError::UnknownKey,
        ),
        (
            json!({ "alg": "ES256", "kid": "' OR 1=1 --" }),
            VerifyError::UnknownKey,
        ),
        (
            json!({ "alg": "ES256", "kid": "" }),
            VerifyError::UnknownKey,
        ),
        (
            json!({ "alg": "ES256", "kid": "k".repeat(257) }),
            VerifyError::Malformed("`kid` is too long"),
        ),
    ];
    for (header, expected) in rows {
        let token = with_header(&attacker, &header, claims.as_bytes());
        assert_eq!(verdict(&token, &registered), Err(expected), "{header}");
    }
    // The same members do no harm to a token that is good.
    let header = json!({ "alg": "ES256", "jku": url, "jwk": jwk(&attacker.key), "x5u": url });
    assert_eq!(
        verdict(
            &with_header(&ES256, &header, claims.as_bytes()),
            &registered
        ),
        Ok(())
    );
}

/// Keys without a name, several keys, several of one name.
#[test]
fn a_key_is_found_by_name_or_by_trying_those_that_fit() {
    let unnamed = |made: &Made| changed(jwk(&made.key), "kid", None);
    let renamed = |made: &Made, kid: &str| changed(jwk(&made.key), "kid", Some(kid.into()));
    let other = vestibule_jwt::SigningKey::generate(Algorithm::Es256)
        .unwrap()
        .0;
    let named = sign(&ES256.key, None, &assertion_claims());
    let claims = assertion_claims().to_string();
    let nameless = with_header(&ES256, &json!({ "alg": "ES256" }), claims.as_bytes());
    let kid = ES256.key.kid();
    #[rustfmt::skip]
    let rows = [
        (&named,    vec![unnamed(&ES256)],                            Ok(())),
        (&named,    vec![jwk(&other), jwk(&ES256.key)],               Ok(())),
        (&named,    vec![renamed(&EDDSA, kid), jwk(&ES256.key)],      Ok(())),
        (&named,    vec![jwk(&other)],                                Err(VerifyError::UnknownKey)),
        (&named,    vec![renamed(&ES256, "another")],                 Err(VerifyError::UnknownKey)),
        (&named,    vec![],                                           Err(VerifyError::UnknownKey)),
        (&nameless, vec![jwk(&EDDSA.key), jwk(&other), jwk(&ES256.key)], Ok(())),
        (&nameless, vec![unnamed(&RS256), unnamed(&ES256)],           Ok(())),
        (&nameless, vec![jwk(&other)],                                Err(VerifyError::Signature)),
        (&nameless, vec![jwk(&RS256.key)],                            Err(VerifyError::KeyAlgorithm)),
        (&nameless, vec![],                                           Err(VerifyError::UnknownKey)),
    ];
    for (token, keys, expected) in rows {
        assert_eq!(verdict(token, &set(&keys)), expected, "{keys:?}");
    }
}

/// JCA-05, CIMD-66, AT-09, T14: one kind never passes for another.
#[test]
fn each_kind_has_its_types() {
    use TypRule::{AccessToken as A, Catalogue as K, ClientAssertion as C, IdToken as I};
    #[rustfmt::skip]
    let rows: [(Option<&str>, &[TypRule]); 25] = [
        (Some("vestibule-catalogue+jws"),                  &[K]),
        (None,                                             &[C, I]),
        (Some("JWT"),                                      &[C, I]),
        (Some("jwt"),                                      &[C, I]),
        (Some("at+jwt"),                                   &[A]),
        (Some("AT+JWT"),                                   &[A]),
        (Some("application/at+jwt"),                       &[A]),
        (Some("Application/At+JWT"),                       &[A]),
        (Some("client-authentication+jwt"),                &[C]),
        (Some("oauth-client-auth+jwt"),                    &[C]),
        (Some("application/client-authentication+jwt"),    &[C]),
        (Some("dpop+jwt"),                                 &[]),
        (Some("oauth-authz-req+jwt"),                      &[]),
        (Some("token-introspection+jwt"),                  &[]),
        (Some("oauth-id-jag+jwt"),                         &[]),
        (Some("logout+jwt"),                               &[]),
        (Some("wit+jwt"),                                  &[]),
        (Some("oauth-client-attestation+jwt"),             &[]),
        (Some("oauth-client-attestation-pop+jwt"),         &[]),
        (Some("JOSE"),                                     &[]),
        (Some(""),                                         &[]),
        (Some("application/"),                             &[]),
        (Some("application/application/at+jwt"),           &[]),
        (Some(" at+jwt"),                                  &[]),
        (Some("at+jwt; charset=utf-8"),                    &[]),
    ];
    let keys = set_of(&EDDSA.key);
    for (typ, accepted) in rows {
        let token = sign(&EDDSA.key, typ, &json!({}));
        for rule in [A, C, I, K] {
            let found = verify(&token, &keys, &Rules::new(rule, &Algorithm::ALL)).map(|_| ());
            let expected = if accepted.contains(&rule) {
                Ok(())
            } else {
                Err(VerifyError::Type)
            };
            assert_eq!(found, expected, "{typ:?} as {rule:?}");
        }
    }
}

/// T14, GEN-19: an extension that must be understood is not, whatever it is.
#[test]
fn crit_is_refused() {
    let keys = set_of(&EDDSA.key);
    for crit in [
        json!(["b64"]),
        json!(["x"]),
        json!(["exp"]),
        json!([]),
        json!(null),
        json!("x"),
    ] {
        let header = json!({ "alg": "EdDSA", "crit": crit, "x": 1, "b64": false });
        let token = with_header(&EDDSA, &header, b"{}");
        assert_eq!(
            verdict(&token, &keys),
            Err(VerifyError::Critical),
            "{header}"
        );
    }
}

#[test]
fn header_members_have_their_types() {
    let keys = set_of(&EDDSA.key);
    let wrong = [
        json!(1),
        json!(null),
        json!(["EdDSA"]),
        json!({}),
        json!(true),
    ];
    for value in wrong {
        for name in ["alg", "kid", "typ"] {
            let header = changed(json!({ "alg": "EdDSA" }), name, Some(value.clone()));
            let token = with_header(&EDDSA, &header, b"{}");
            assert!(
                matches!(verdict(&token, &keys), Err(VerifyError::Malformed(_))),
                "{header}"
            );
        }
    }
    let token = with_header(&EDDSA, &json!({}), b"{}");
    assert_eq!(verdict(&token, &keys), Err(VerifyError::Algorithm));
}

fn raw(header: &str, claims: &[u8]) -> String {
    let input = format!("{}.{}", b64(header), b64(claims));
    let signature = raw_signature(&EDDSA, input.as_bytes());
    format!("{input}.{}", b64(signature))
}

/// GEN-19: two parsers must not read two different tokens.
#[test]
fn members_that_occur_twice_are_refused() {
    let keys = set_of(&EDDSA.key);
    let good = r#"{"alg":"EdDSA"}"#;
    assert_eq!(verdict(&raw(good, b"{}"), &keys), Ok(()));
    #[rustfmt::skip]
    let rows: [(&str, &[u8]); 13] = [
        (r#"{"alg":"EdDSA","alg":"EdDSA"}"#,       b"{}"),
        (r#"{"alg":"none","alg":"EdDSA"}"#,        b"{}"),
        (r#"{"alg":"EdDSA","\u0061lg":"EdDSA"}"#,  b"{}"),
        (r#"{"alg":"EdDSA","x":{"y":1,"y":1}}"#,   b"{}"),
        (good, br#"{"sub":"a","sub":"b"}"#),
        (good, br#"{"x":[{"y":1,"y":2}]}"#),
        (good, b"[]"),
        (good, b"\"text\""),
        (good, b""),
        (good, b"{} {}"),
        (good, b"{\"a\":\"\xff\"}"),
        (good, b"\xef\xbb\xbf{}"),
        ("[]",  b"{}"),
    ];
    for (header, claims) in rows {
        let found = verdict(&raw(header, claims), &keys);
        assert!(
            matches!(found, Err(VerifyError::Malformed(_))),
            "{header} {claims:?}"
        );
    }
    let deep = format!("{{\"x\":{}{}}}", "[".repeat(2000), "]".repeat(2000));
    assert!(verdict(&raw(good, deep.as_bytes()), &keys).is_err());
}

/// GEN-19: 16 KiB and not a byte more.
#[test]
fn a_large_token_is_not_looked_at() {
    let keys = set_of(&EDDSA.key);
    let token = |length: usize| {
        let claims = json!({ "x": "y".repeat(length) });
        sign(&EDDSA.key, None, &claims)
    };
    assert_eq!(verdict(&token(12_000), &keys), Ok(()));
    assert_eq!(verdict(&token(13_000), &keys), Err(VerifyError::TooLarge));
    let small = Rules {
        size_max: 100,
        ..rules(&Algorithm::ALL)
    };
    assert_eq!(
        verify(&token(100), &keys, &small).unwrap_err(),
        VerifyError::TooLarge
    );
}

#[test]
fn shapes_that_are_no_token() {
    let keys = set_of(&EDDSA.key);
    let token = sign(&EDDSA.key, None, &json!({}));
    let mut parts = token.split('.');
    let (header, claims, signature) = (
        parts.next().unwrap(),
        parts.next().unwrap(),
        parts.next().unwrap(),
    );
    let shapes = [
        String::new(),
        ".".into(),
        "..".into(),
        "....".into(),
        header.into(),
        format!("{header}.{claims}"),
        format!("{header}..{signature}"),
        format!(".{claims}.{signature}"),
        format!("{header}.{claims}.{signature}."),
        format!("{header}.{claims}.{signature}.{signature}"),
        format!("{header}.{claims}.{signature}.{signature}.{signature}"),
        format!("{header}=.{claims}.{signature}"),
        format!("{header}.{claims}=.{signature}"),
        format!("{header}.{claims}.{signature}=="),
        format!("{header} .{claims}.{signature}"),
        format!("Bearer {token}"),
        format!("{}.{claims}.{signature}", header.replace('J', "+")),
    ];
    for shape in shapes {
        assert!(
            matches!(verdict(&shape, &keys), Err(VerifyError::Malformed(_))),
            "{shape}"
        );
        assert!(peek_assertion_subject(&shape).is_none(), "{shape}");
    }
}

fn everything(text: &str) {
    let keys = set(&[jwk(&EDDSA.key), jwk(&ES256.key), jwk(&RS256.key)]);
    assert!(verdict(text, &keys).is_err());
    assert!(verify_access_token(text, &keys, ISSUER, NOW, 0).is_err());
    let found = verify_client_assertion(text, &keys, ISSUER, "agent", &Algorithm::ALL, NOW);
    assert!(found.is_err());
    let _ = peek_assertion_subject(text);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn arbitrary_text_never_panics(text in ".{0,200}") {
        everything(&text);
    }

    #[test]
    fn arbitrary_segments_never_panic(text in "[A-Za-z0-9_-]{0,40}\\.[A-Za-z0-9_-]{0,40}\\.[A-Za-z0-9_-]{0,90}") {
        everything(&text);
    }

    #[test]
    fn arbitrary_contents_never_panic(
        alg in "EdDSA|ES256|RS256|none|.{0,6}",
        claims: Vec<u8>,
        signature: Vec<u8>,
    ) {
        let header = json!({ "alg": alg }).to_string();
        everything(&format!("{}.{}.{}", b64(&header), b64(&claims), b64(&signature)));
        everything(&format!("{}.{}.{}", b64(&header), b64("{\"sub\":\"a\"}"), b64(&signature)));
    }

    #[test]
    fn arbitrary_key_sets_never_panic(bytes: Vec<u8>, text in ".{0,200}") {
        let _ = JwkSet::parse(&bytes);
        let _ = JwkSet::parse(text.as_bytes());
        let key = json!({ "kty": "EC", "crv": "P-256", "x": b64(&bytes), "y": text });
        let set: Value = json!({ "keys": [key] });
        let _ = JwkSet::parse(set.to_string().as_bytes());
        let key = json!({ "kty": "RSA", "n": b64(&bytes), "e": "AQAB" });
        let _ = JwkSet::parse(json!({ "keys": [key] }).to_string().as_bytes());
    }
}
