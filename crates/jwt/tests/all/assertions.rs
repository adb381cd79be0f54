//! Client assertions, row by row (JCA).

use serde_json::{Value, json};
use vestibule_jwt::{
    Algorithm, AssertionError, ClientAssertionClaims, VerifyError, peek_assertion_subject,
    verify_client_assertion,
};

use crate::support::*;

fn judge(claims: &Value) -> Result<ClientAssertionClaims, AssertionError> {
    let token = sign(&ES256.key, Some("client-authentication+jwt"), claims);
    verify_client_assertion(
        &token,
        &set_of(&ES256.key),
        ISSUER,
        "agent",
        &Algorithm::ALL,
        NOW,
    )
}

fn judge_with(name: &str, value: Value) -> Result<ClientAssertionClaims, AssertionError> {
    judge(&changed(assertion_claims(), name, Some(value)))
}

#[test]
fn a_good_assertion_is_good() {
    let claims = judge(&assertion_claims()).unwrap();
    assert_eq!((claims.jti.as_str(), claims.exp), ("once", NOW + 60));
    let token = sign(&ES256.key, None, &assertion_claims());
    assert_eq!(peek_assertion_subject(&token).as_deref(), Some("agent"));
    for made in signers() {
        let token = sign(&made.key, None, &assertion_claims());
        let keys = set_of(&made.key);
        let found = verify_client_assertion(&token, &keys, ISSUER, "agent", &Algorithm::ALL, NOW);
        assert!(found.is_ok());
    }
    let token = ps256_token(&assertion_claims());
    let keys = set(&[ps256_jwk()]);
    let only = [Algorithm::Ps256];
    assert!(verify_client_assertion(&token, &keys, ISSUER, "agent", &only, NOW).is_ok());
}

/// JCA-02: `iss` and `sub` are both the client.
#[test]
fn issuer_and_subject_are_the_client() {
    for name in ["iss", "sub"] {
        for value in ["other", "", "Agent", "agent ", ISSUER] {
            assert_eq!(judge_with(name, value.into()), Err(AssertionError::Party));
        }
    }
}

/// JCA-03, JCA-04, T10: our issuer is the sole audience, compared as a string.
#[test]
fn the_issuer_is_the_sole_audience() {
    use AssertionError::Audience;
    #[rustfmt::skip]
    let rows = [
        (json!(ISSUER),                               Ok(())),
        (json!([ISSUER]),                             Ok(())),
        (json!([ISSUER, "https://evil.example"]),     Err(Audience)),
        (json!([ISSUER, ISSUER]),                     Err(Audience)),
        (json!([]),                                   Err(Audience)),
        (json!("https://hub.example/"),               Err(Audience)),
        (json!("https://hub.example/token"),          Err(Audience)),
        (json!(["https://hub.example/token"]),        Err(Audience)),
        (json!("https://hub.example/par"),            Err(Audience)),
        (json!("https://HUB.example"),                Err(Audience)),
        (json!("https://hub.example:443"),            Err(Audience)),
        (json!("https://evil.example"),               Err(Audience)),
        (json!(format!("{ISSUER} https://x.example")), Err(Audience)),
        (json!(""),                                   Err(Audience)),
        (json!("agent"),                              Err(Audience)),
    ];
    for (aud, expected) in rows {
        assert_eq!(
            judge_with("aud", aud.clone()).map(|_| ()),
            expected,
            "{aud}"
        );
    }
}

/// JCA-06, T11: `exp` is to come and near, `nbf` and `iat` have come; 30 seconds either way.
#[test]
fn an_assertion_is_fresh() {
    use AssertionError::{Expired, NotYet, TooFarAhead};
    #[rustfmt::skip]
    let rows = [
        ("exp", NOW + 1,       Ok(())),
        ("exp", NOW + 330,     Ok(())),
        ("exp", NOW + 331,     Err(TooFarAhead)),
        ("exp", NOW + 86_400,  Err(TooFarAhead)),
        ("exp", NOW - 29,      Ok(())),
        ("exp", NOW - 30,      Err(Expired)),
        ("exp", 0,             Err(Expired)),
        ("nbf", NOW + 30,      Ok(())),
        ("nbf", NOW + 31,      Err(NotYet)),
        ("iat", NOW + 30,      Ok(())),
        ("iat", NOW + 31,      Err(NotYet)),
        ("iat", 0,             Ok(())),
    ];
    for (name, value, expected) in rows {
        assert_eq!(
            judge_with(name, json!(value)).map(|_| ()),
            expected,
            "{name} {value}"
        );
    }
}

/// JCA-07: `jti` is there, not empty, at most 256 bytes.
#[test]
fn an_assertion_has_an_id() {
    #[rustfmt::skip]
    let rows = [
        ("j".to_owned(),   Ok(())),
        ("j".repeat(256),  Ok(())),
        ("j".repeat(257),  Err(AssertionError::TokenId)),
        ("é".repeat(129),  Err(AssertionError::TokenId)),
        (String::new(),    Err(AssertionError::TokenId)),
    ];
    for (jti, expected) in rows {
        assert_eq!(judge_with("jti", json!(jti)).map(|_| ()), expected);
    }
}

/// JCA-06, JCA-07, T15: required claims are required, and each has its type.
#[test]
fn claims_are_there_and_typed() {
    let is_typed = |found: Result<ClientAssertionClaims, AssertionError>| {
        matches!(found, Err(AssertionError::Token(VerifyError::Claims(_))))
    };
    for name in ["iss", "sub", "aud", "exp", "jti"] {
        assert!(
            is_typed(judge(&changed(assertion_claims(), name, None))),
            "{name}"
        );
    }
    for name in ["nbf", "iat"] {
        assert!(judge(&changed(assertion_claims(), name, None)).is_ok());
    }
    for name in ["iss", "sub", "aud", "exp", "jti", "nbf", "iat"] {
        for value in [json!(null), json!(true), json!({}), json!([1])] {
            assert!(is_typed(judge_with(name, value.clone())), "{name}: {value}");
        }
    }
    for name in ["exp", "nbf", "iat"] {
        for value in [json!(NOW.to_string()), json!(-1), json!(1e300)] {
            assert!(is_typed(judge_with(name, value.clone())), "{name}: {value}");
        }
    }
    for name in ["iss", "sub", "jti"] {
        assert!(is_typed(judge_with(name, json!(1))), "{name}");
        assert!(is_typed(judge_with(name, json!(["agent"]))), "{name}");
    }
}

/// JCA-05: an access token of ours is no assertion.
#[test]
fn other_kinds_are_no_assertions() {
    for typ in ["at+jwt", "dpop+jwt", "oauth-authz-req+jwt", "logout+jwt"] {
        let token = sign(&ES256.key, Some(typ), &assertion_claims());
        let keys = set_of(&ES256.key);
        let found = verify_client_assertion(&token, &keys, ISSUER, "agent", &Algorithm::ALL, NOW);
        assert_eq!(
            found,
            Err(AssertionError::Token(VerifyError::Type)),
            "{typ}"
        );
    }
}

/// JCA-08, JCA-09: an unknown key is told apart, since newer keys may have it.
#[test]
fn an_unknown_key_is_told_apart_from_a_wrong_signature() {
    let token = sign(&ES256.key, None, &assertion_claims());
    let other = vestibule_jwt::SigningKey::generate(Algorithm::Es256)
        .unwrap()
        .0;
    let judge = |keys| {
        verify_client_assertion(&token, &keys, ISSUER, "agent", &Algorithm::ALL, NOW).unwrap_err()
    };
    assert_eq!(judge(set_of(&other)), AssertionError::UnknownKey);
    let same_name = changed(jwk(&other), "kid", Some(ES256.key.kid().into()));
    assert_eq!(
        judge(set(&[same_name])),
        AssertionError::Token(VerifyError::Signature)
    );
}

/// The subject of anything that is not a token is nobody.
#[test]
fn a_subject_is_a_string() {
    for sub in [json!(1), json!(null), json!(["agent"]), json!({})] {
        let token = sign(&ES256.key, None, &json!({ "sub": sub }));
        assert_eq!(peek_assertion_subject(&token), None);
    }
    assert_eq!(
        peek_assertion_subject(&sign(&ES256.key, None, &json!({}))),
        None
    );
}
