//! The claims of access tokens: present, of their type, in time.

use serde_json::{Value, json};
use vestibule_jwt::{AccessTokenClaims, VerifyError, verify_access_token};

use crate::support::*;

fn judge(claims: &Value, now: u64, leeway: u64) -> Result<AccessTokenClaims, VerifyError> {
    let token = sign(&EDDSA.key, Some("at+jwt"), claims);
    verify_access_token(&token, &set_of(&EDDSA.key), ISSUER, now, leeway)
}

/// T15, AT-03: a claim of another JSON type is wrong, not absent; `null` is a type.
#[test]
fn every_claim_has_its_type() {
    let text = ["iss", "sub", "client_id", "jti", "scope", "gid", "ck"];
    let dates = ["iat", "exp", "auth_time", "nbf"];
    let wrong = |name: &str| -> Vec<Value> {
        let mut values = vec![json!(null), json!(true), json!({}), json!([]), json!([1])];
        if text.contains(&name) {
            values.extend([json!(1), json!(1.5), json!(["a"])]);
        } else if dates.contains(&name) {
            let now = NOW.to_string();
            values.extend([
                json!("9999999999"),
                json!(now),
                json!("x"),
                json!(-1),
                json!(-0.5),
            ]);
            values.extend([json!(1e300), json!(u64::MAX), json!(1_u64 << 54)]);
        } else if name == "rev" {
            values.extend([json!("7"), json!(-1), json!(1.5)]);
        } else {
            values.extend([
                json!(1),
                json!(["a", 1]),
                json!([null]),
                json!({ "a": "b" }),
            ]);
        }
        values
    };
    for name in text.iter().chain(&dates).chain(&["rev", "aud"]) {
        for value in wrong(name) {
            let found = judge(&changed(access_claims(), name, Some(value.clone())), NOW, 0);
            assert!(
                matches!(found, Err(VerifyError::Claims(_))),
                "{name}: {value} {found:?}"
            );
        }
    }
}

/// AT-03: seven claims are required, the others are not.
#[test]
fn required_claims_are_required() {
    for name in ["iss", "sub", "aud", "client_id", "iat", "exp", "jti"] {
        let found = judge(&changed(access_claims(), name, None), NOW, 0);
        assert!(matches!(found, Err(VerifyError::Claims(_))), "{name}");
    }
    for name in ["scope", "auth_time", "gid", "ck", "rev"] {
        assert!(
            judge(&changed(access_claims(), name, None), NOW, 0).is_ok(),
            "{name}"
        );
    }
    assert!(
        judge(
            &changed(access_claims(), "future", Some(json!({ "x": 1 }))),
            NOW,
            0
        )
        .is_ok()
    );
}

/// AT-09: the issuer is equal byte for byte.
#[test]
fn the_issuer_is_exact() {
    for issuer in [
        "https://hub.example/",
        "https://HUB.example",
        "http://hub.example",
        "",
    ] {
        let found = judge(
            &changed(access_claims(), "iss", Some(issuer.into())),
            NOW,
            0,
        );
        assert_eq!(found, Err(VerifyError::Issuer), "{issuer}");
    }
}

/// AT-09: `exp` and `nbf` hold to the second, with the leeway that the caller gives.
#[test]
fn a_token_has_its_time() {
    let exp = NOW + 600;
    #[rustfmt::skip]
    let rows = [
        (exp - 1,  0,  true),
        (exp,      0,  false),
        (exp + 9,  10, true),
        (exp + 10, 10, false),
        (u64::MAX, 10, false),
        (0,        0,  true),
    ];
    for (now, leeway, good) in rows {
        let found = judge(&access_claims(), now, leeway);
        assert_eq!(found.is_ok(), good, "{now} {leeway}");
        if !good {
            assert_eq!(found, Err(VerifyError::Expired));
        }
    }
    let later = changed(access_claims(), "nbf", Some(json!(NOW + 10)));
    assert_eq!(judge(&later, NOW, 9), Err(VerifyError::NotYet));
    assert!(judge(&later, NOW, 10).is_ok());
    assert!(judge(&access_claims(), NOW, u64::MAX).is_ok());
}

/// RFC 7519 §2: a date may have a fraction; it is dropped.
#[test]
fn a_date_may_have_a_fraction() {
    let claims = changed(access_claims(), "exp", Some(json!(1_795_500_600.75)));
    assert_eq!(judge(&claims, NOW, 0).unwrap().exp, NOW + 600);
}

#[test]
fn an_audience_may_be_an_array_but_not_empty() {
    let several = changed(access_claims(), "aud", Some(json!(["a", "b"])));
    assert_eq!(
        judge(&several, NOW, 0)
            .unwrap()
            .audience()
            .collect::<Vec<_>>(),
        ["a", "b"]
    );
    let one = judge(&access_claims(), NOW, 0).unwrap();
    assert_eq!(
        one.audience().collect::<Vec<_>>(),
        ["https://mcp.example/mcp"]
    );
}

/// AT-09, OIDC-13: an ID Token or an assertion is no access token, signed by us or not.
#[test]
fn other_kinds_are_no_access_tokens() {
    let keys = set_of(&EDDSA.key);
    for typ in [
        None,
        Some("JWT"),
        Some("client-authentication+jwt"),
        Some("logout+jwt"),
    ] {
        let token = sign(&EDDSA.key, typ, &access_claims());
        let found = verify_access_token(&token, &keys, ISSUER, NOW, 0);
        assert_eq!(found, Err(VerifyError::Type));
    }
}
