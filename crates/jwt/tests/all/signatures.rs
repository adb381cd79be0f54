//! Round trips, published vectors, and `jsonwebtoken` as the second opinion.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey,
    VerificationAlgorithm,
};
use serde_json::{Value, json};
use vestibule_jwt::{
    AccessTokenClaims, Algorithm, Audience, CATALOGUE_TYP, IdTokenClaims, JwkSet, Rules,
    SigningKey, TypRule, VerifyError, at_hash, thumbprint, verify, verify_access_token,
    verify_document,
};

use crate::support::*;

fn claims() -> AccessTokenClaims {
    serde_json::from_value(access_claims()).unwrap()
}

/// AT-02, AT-03: what we sign reads back, by every algorithm, as the kind that it is.
#[test]
fn an_access_token_reads_back_with_every_algorithm() {
    for made in signers() {
        let token = made.key.sign_access_token(&claims()).unwrap();
        let keys = set_of(&made.key);
        assert_eq!(
            verify_access_token(&token, &keys, ISSUER, NOW, 0).unwrap(),
            claims()
        );
        let verified = verify(
            &token,
            &keys,
            &Rules::new(TypRule::AccessToken, &Algorithm::ALL),
        )
        .unwrap();
        assert_eq!(verified.algorithm(), made.key.algorithm());
        assert_eq!(verified.thumbprint(), made.key.kid());
    }
}

/// OIDC-02: an ID Token has no null members, and is an ID Token.
#[test]
fn an_id_token_reads_back_and_has_no_null_members() {
    let claims = IdTokenClaims {
        iss: ISSUER.into(),
        sub: "u_41".into(),
        aud: "agent".into(),
        exp: NOW + 600,
        iat: NOW,
        auth_time: None,
        nonce: Some("n".into()),
        at_hash: None,
    };
    for made in signers() {
        let token = made.key.sign_id_token(&claims).unwrap();
        let keys = set_of(&made.key);
        let verified = verify(
            &token,
            &keys,
            &Rules::new(TypRule::IdToken, &Algorithm::ALL),
        );
        let verified = verified.unwrap();
        assert_eq!(verified.claims::<IdTokenClaims>().unwrap(), claims);
        let raw: Value = verified.claims().unwrap();
        assert!(
            raw.as_object()
                .unwrap()
                .values()
                .all(|value| !value.is_null())
        );
        assert_eq!(raw.as_object().unwrap().len(), 6);
    }
}

/// A key that was stored signs as the same key.
#[test]
fn a_stored_key_is_the_same_key() {
    for made in signers() {
        let again = SigningKey::from_pkcs8(made.key.algorithm(), &made.pkcs8).unwrap();
        assert_eq!(again.public_jwk(), made.key.public_jwk());
        let token = again.sign_access_token(&claims()).unwrap();
        assert!(verify_access_token(&token, &set_of(&made.key), ISSUER, NOW, 0).is_ok());
        for other in Algorithm::ALL
            .into_iter()
            .filter(|other| *other != again.algorithm())
        {
            assert!(
                SigningKey::from_pkcs8(other, &made.pkcs8).is_err(),
                "{other}"
            );
        }
        assert!(SigningKey::from_pkcs8(made.key.algorithm(), b"nonsense").is_err());
    }
    assert!(SigningKey::generate(Algorithm::Ps256).is_err());
}

fn library_key(jwk: &Value) -> jsonwebtoken::DecodingKey {
    let jwk: jsonwebtoken::jwk::Jwk = serde_json::from_value(jwk.clone()).unwrap();
    jsonwebtoken::DecodingKey::from_jwk(&jwk).unwrap()
}

fn library_algorithm(algorithm: Algorithm) -> jsonwebtoken::Algorithm {
    algorithm.as_str().parse().unwrap()
}

/// What we sign, `jsonwebtoken` and the bare primitive accept; what `jsonwebtoken` signs, we accept.
#[test]
fn the_library_and_we_accept_each_other() {
    for made in signers() {
        let algorithm = library_algorithm(made.key.algorithm());
        let token = made.key.sign_access_token(&claims()).unwrap();
        let mut validation = jsonwebtoken::Validation::new(algorithm);
        validation.validate_exp = false;
        validation.set_audience(&["https://mcp.example/mcp"]);
        validation.set_issuer(&[ISSUER]);
        let key = library_key(&jwk(&made.key));
        let data = jsonwebtoken::decode::<Value>(&token, &key, &validation).unwrap();
        assert_eq!(data.claims, access_claims());
        assert_eq!(data.header.kid.as_deref(), Some(made.key.kid()));
        assert_eq!(data.header.typ.as_deref(), Some("at+jwt"));

        let encoding = match made.key.algorithm() {
            Algorithm::EdDsa => jsonwebtoken::EncodingKey::from_ed_der(&made.pkcs8),
            Algorithm::Es256 => jsonwebtoken::EncodingKey::from_ec_der(&made.pkcs8),
            // The library wants PKCS #1, which is what the PKCS #8 wrapping of 26 bytes holds.
            _ => jsonwebtoken::EncodingKey::from_rsa_der(&made.pkcs8[26..]),
        };
        let mut header = jsonwebtoken::Header::new(algorithm);
        header.typ = Some("at+jwt".into());
        header.kid = Some(made.key.kid().into());
        let token = jsonwebtoken::encode(&header, &access_claims(), &encoding).unwrap();
        let found = verify_access_token(&token, &set_of(&made.key), ISSUER, NOW, 0).unwrap();
        assert_eq!(found, claims());
    }
}

#[test]
fn the_bare_primitive_accepts_our_signatures() {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    for made in signers() {
        let token = made.key.sign_access_token(&claims()).unwrap();
        let (message, signature) = token.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let jwk = jwk(&made.key);
        let member = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
        let check = |algorithm: &'static dyn VerificationAlgorithm, key: &[u8]| {
            UnparsedPublicKey::new(algorithm, key).verify(message.as_bytes(), &signature)
        };
        let verdict = match made.key.algorithm() {
            Algorithm::EdDsa => check(&ED25519, &member("x")),
            Algorithm::Es256 => check(
                &ECDSA_P256_SHA256_FIXED,
                &[&[4][..], &member("x"), &member("y")].concat(),
            ),
            _ => aws_lc_rs::signature::RsaPublicKeyComponents {
                n: member("n"),
                e: member("e"),
            }
            .verify(&RSA_PKCS1_2048_8192_SHA256, message.as_bytes(), &signature),
        };
        assert!(verdict.is_ok());
    }
}

/// JCA-08: PS256 is verified with a key that says so.
#[test]
fn a_ps256_token_verifies_with_a_ps256_key_only() {
    let token = ps256_token(&assertion_claims());
    let rules = Rules::new(TypRule::ClientAssertion, &Algorithm::ALL);
    assert!(verify(&token, &set(&[ps256_jwk()]), &rules).is_ok());
    assert_eq!(
        verify(&token, &set(&[jwk(&RS256.key)]), &rules).unwrap_err(),
        VerifyError::KeyAlgorithm
    );
}

/// T13: no character of a token can change, be cut or be added.
#[test]
fn no_changed_token_verifies() {
    let rules = Rules::new(TypRule::AccessToken, &Algorithm::ALL);
    for made in [&*EDDSA, &*ES256] {
        let keys = set_of(&made.key);
        let token = made.key.sign_access_token(&claims()).unwrap();
        for at in 0..token.len() {
            for other in ["A", "B", "g", "w", "_", ".", "=", "+", "\n"] {
                if token[at..].starts_with(other) {
                    continue;
                }
                let changed = format!("{}{other}{}", &token[..at], &token[at + 1..]);
                assert!(verify(&changed, &keys, &rules).is_err(), "{changed}");
            }
        }
        for more in ["=", "A", ".", " ", "\n", ".A"] {
            assert!(verify(&format!("{token}{more}"), &keys, &rules).is_err());
            assert!(verify(&format!("{more}{token}"), &keys, &rules).is_err());
        }
    }
}

/// GEN-19: the unused bits of the last character of a signature are zero, or it is another text.
#[test]
fn a_signature_has_one_spelling() {
    let keys = set_of(&ES256.key);
    let token = ES256.key.sign_access_token(&claims()).unwrap();
    let last = token.chars().next_back().unwrap();
    // 64 bytes leave four unused bits: fifteen other characters decode to the same bytes.
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for other in alphabet.chars().filter(|other| *other != last) {
        let changed = format!("{}{other}", &token[..token.len() - 1]);
        assert!(verify_access_token(&changed, &keys, ISSUER, NOW, 0).is_err());
    }
}

/// RFC 7638 §3.1, RFC 8037 A.3, DPOP-05 (the example of RFC 9449): published thumbprints.
#[test]
fn thumbprints_are_those_of_the_rfcs() {
    let rsa = json!({
        "kty": "RSA", "alg": "RS256", "kid": "2011-04-29", "e": "AQAB",
        "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSo\
              c_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YG\
              jQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt\
              -bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
    });
    let okp = json!({
        "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    });
    let ec = json!({
        "kty": "EC", "crv": "P-256",
        "x": "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
        "y": "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA",
    });
    for (key, expected) in [
        (rsa, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"),
        (okp, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"),
        (ec, "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"),
    ] {
        let set = set(&[key]);
        assert_eq!(thumbprint(&set.keys()[0]), expected);
    }
}

/// The octets that were signed come back as they are, spaces and order included; one octet more or
/// another key, and nothing does.
#[test]
fn a_signed_document_comes_back_octet_by_octet() {
    let [made, ..] = signers();
    let keys = set_of(&made.key);
    let rules = Rules::new(TypRule::Catalogue, &Algorithm::ALL);
    let document = br#"{ "b" : 1,"a":[ 1.0 ] }"#;
    let signed = made.key.sign(Some(CATALOGUE_TYP), document).unwrap();
    assert_eq!(verify_document(&signed, &keys, &rules).unwrap(), document);
    let parts: Vec<&str> = signed.split('.').collect();
    let [header, _, signature] = parts[..] else {
        unreachable!("a compact JWS has three parts");
    };
    let spliced = format!("{header}.{}.{signature}", b64(br#"{"b":1,"a":[1.0]}"#));
    assert_eq!(
        verify_document(&spliced, &keys, &rules),
        Err(VerifyError::Signature)
    );
    let nobody = JwkSet::parse(br#"{"keys":[]}"#).unwrap();
    assert_eq!(
        verify_document(&signed, &nobody, &rules),
        Err(VerifyError::UnknownKey)
    );
}

/// RFC 7515 A.3: the published ES256 token.
#[test]
fn the_example_of_rfc_7515_verifies() {
    let key = json!({
        "kty": "EC", "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    });
    let token = "eyJhbGciOiJFUzI1NiJ9.\
                 eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb2\
                 90Ijp0cnVlfQ.\
                 DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6\
                 NU1Q";
    let rules = Rules::new(TypRule::IdToken, &[Algorithm::Es256]);
    let verified = verify(token, &set(&[key]), &rules).unwrap();
    let claims: Value = verified.claims().unwrap();
    assert_eq!(claims["iss"], "joe");
    assert_eq!(claims["exp"], 1_300_819_380);
}

/// RFC 8037 A.1, A.4: the published Ed25519 key makes the published signature.
#[test]
fn the_example_of_rfc_8037_verifies() {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let bytes = |text| URL_SAFE_NO_PAD.decode(text).unwrap();
    let seed = bytes("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A");
    let public = bytes("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
    let pair =
        aws_lc_rs::signature::Ed25519KeyPair::from_seed_and_public_key(&seed, &public).unwrap();
    let pkcs8 = pair.to_pkcs8().unwrap().as_ref().to_vec();
    let key = SigningKey::from_pkcs8(Algorithm::EdDsa, &pkcs8).unwrap();
    assert_eq!(key.kid(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    let message = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    let signature = raw_signature(&Made { key, pkcs8 }, message.as_bytes());
    assert_eq!(
        b64(signature),
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
    );
}

/// OIDC-04: the example of OIDC Core, appendix A.4; Ed25519 hashes with SHA-512.
#[test]
fn at_hash_is_the_left_half() {
    let token = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y";
    for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::Ps256] {
        assert_eq!(at_hash(algorithm, token), "77QmUPtjPfzWtF2AnpK9RQ");
    }
    assert_eq!(at_hash(Algorithm::EdDsa, token).len(), 43);
}

/// T19: the published set has public members only, and a distinct name for each key (OIDC-18).
#[test]
fn the_published_set_shows_nothing_private() {
    let keys = signers().map(|made| made.key.public_jwk().clone());
    let json = JwkSet::of(keys.to_vec()).to_json();
    let set: Value = serde_json::from_slice(&json).unwrap();
    let names = |key: &Value| key.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let expected: [&[&str]; 3] = [
        &["alg", "crv", "kid", "kty", "use", "x"],
        &["alg", "crv", "kid", "kty", "use", "x", "y"],
        &["alg", "e", "kid", "kty", "n", "use"],
    ];
    for (key, expected) in set["keys"].as_array().unwrap().iter().zip(expected) {
        let mut names = names(key);
        names.sort();
        assert_eq!(names, expected);
        assert_eq!(key["use"], "sig");
    }
    // What we publish, we would accept.
    assert_eq!(JwkSet::parse(&json).unwrap(), JwkSet::of(keys.to_vec()));
    let kids: Vec<_> = keys.iter().map(|key| key.kid().unwrap()).collect();
    assert_ne!(kids[0], kids[1]);
    assert_ne!(kids[1], kids[2]);
    for made in signers() {
        let printed = format!("{:?}", made.key);
        assert!(
            printed.starts_with("SigningKey { public: PublicJwk"),
            "{printed}"
        );
    }
}

#[test]
fn an_audience_may_be_one_or_several() {
    let many = Audience::Many(vec!["a".into(), "b".into()]);
    assert!(many.contains("b") && !many.contains("c"));
    assert_eq!(many.sole(), None);
    assert_eq!(Audience::Many(vec!["a".into()]).sole(), Some("a"));
    assert_eq!(Audience::Many(vec![]).sole(), None);
    assert_eq!(Audience::One("a".into()).sole(), Some("a"));
}
