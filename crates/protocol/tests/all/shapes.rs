//! What the strictest clients demand of our JSON: the shapes of the TypeScript SDK's schemas and
//! of the Python SDK's models, as checks of our own (client-quirks, section 8).

use serde_json::{Map, Value};
use url::Url;

type Rule = fn(&Value) -> bool;

fn is_text(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.is_empty())
}

fn is_number(value: &Value) -> bool {
    value.is_u64()
}

fn is_flag(value: &Value) -> bool {
    value.is_boolean()
}

fn is_url(value: &Value) -> bool {
    let url = value.as_str().and_then(|text| Url::parse(text).ok());
    url.is_some_and(|url| !matches!(url.scheme(), "javascript" | "data" | "vbscript"))
}

/// VS Code wants addresses that start with http.
fn is_web_url(value: &Value) -> bool {
    is_url(value) && value.as_str().is_some_and(|text| text.starts_with("http"))
}

fn is_texts(value: &Value) -> bool {
    value
        .as_array()
        .is_some_and(|list| list.iter().all(is_text))
}

fn is_urls(value: &Value) -> bool {
    value.as_array().is_some_and(|list| list.iter().all(is_url))
}

fn no_null_no_empty(name: &str, value: &Value) {
    match value {
        Value::Null => panic!("{name} is null"),
        Value::String(text) => assert!(!text.is_empty(), "{name} is an empty string"),
        Value::Array(list) => list.iter().for_each(|value| no_null_no_empty(name, value)),
        Value::Object(members) => members
            .iter()
            .for_each(|(name, value)| no_null_no_empty(name, value)),
        Value::Bool(_) | Value::Number(_) => {}
    }
}

fn check<'a>(value: &'a Value, needed: &[&str], rules: &[(&str, Rule)]) -> &'a Map<String, Value> {
    no_null_no_empty("the answer", value);
    let members = value.as_object().expect("an answer is an object");
    for name in needed {
        assert!(members.contains_key(*name), "{name} is missing");
    }
    for (name, value) in members {
        let plain = name.split('#').next().unwrap_or_default();
        let rule = rules.iter().find(|(known, _)| *known == plain);
        let (_, rule) = rule.unwrap_or_else(|| panic!("{name} is not in the shape"));
        assert!(rule(value), "{name} has the wrong type: {value}");
    }
    members
}

/// QUIRK-40.
pub(crate) fn check_registration(value: &Value) {
    #[rustfmt::skip]
    let rules: [(&str, Rule); 28] = [
        ("client_id", is_text), ("client_secret", is_text), ("client_name", is_text), ("scope", is_text),
        ("token_endpoint_auth_method", is_text), ("token_endpoint_auth_methods_supported", is_texts),
        ("token_endpoint_auth_signing_alg", is_text), ("application_type", is_text),
        ("software_id", is_text), ("software_version", is_text), ("id_token_signed_response_alg", is_text),
        ("registration_access_token", is_text), ("registration_client_uri", is_web_url),
        ("client_id_issued_at", is_number), ("client_secret_expires_at", is_number), ("default_max_age", is_number),
        ("require_auth_time", is_flag), ("require_pushed_authorization_requests", is_flag),
        ("redirect_uris", is_urls), ("post_logout_redirect_uris", is_urls),
        ("grant_types", is_texts), ("response_types", is_texts), ("contacts", is_texts),
        ("client_uri", is_web_url), ("logo_uri", is_web_url), ("tos_uri", is_web_url), ("policy_uri", is_web_url),
        ("jwks_uri", is_web_url),
    ];
    let mut value = value.clone();
    let jwks = value
        .as_object_mut()
        .and_then(|members| members.remove("jwks"));
    assert!(jwks.is_none_or(|jwks| jwks["keys"].is_array()));
    let needed = [
        "client_id",
        "client_id_issued_at",
        "redirect_uris",
        "grant_types",
        "response_types",
        "token_endpoint_auth_method",
        "application_type",
    ];
    let members = check(&value, &needed, &rules);
    let both = |a, b| members.contains_key(a) == members.contains_key(b);
    // DCR-10, ODCR-07.
    assert!(both("client_secret", "client_secret_expires_at"));
    assert!(both("registration_client_uri", "registration_access_token"));
}

/// QUIRK-41.
pub(crate) fn check_token(value: &Value) {
    let rules: [(&str, Rule); 6] = [
        ("access_token", is_text),
        ("token_type", |value| value == "Bearer"),
        ("expires_in", is_number),
        ("scope", is_text),
        ("refresh_token", is_text),
        ("id_token", is_text),
    ];
    check(value, &["access_token", "token_type", "expires_in"], &rules);
}

/// QUIRK-42; the members of both discovery documents, since both are one object.
pub(crate) fn check_server_metadata(value: &Value) {
    let needed = [
        "issuer",
        "authorization_endpoint",
        "token_endpoint",
        "response_types_supported",
        "jwks_uri",
        "subject_types_supported",
        "id_token_signing_alg_values_supported",
        "code_challenge_methods_supported",
    ];
    let members = value.as_object().expect("metadata is an object");
    let rules: Vec<(&str, Rule)> = members
        .keys()
        .map(|name| {
            let rule: Rule = match name.as_str() {
                "issuer" => is_web_url,
                "protected_resources" => is_urls,
                "require_pushed_authorization_requests" => is_flag,
                other if other.ends_with("_endpoint") || other.ends_with("_uri") => is_web_url,
                other if other.ends_with("_parameter_supported") => is_flag,
                "client_id_metadata_document_supported" => is_flag,
                _ => |value| is_texts(value) && value != &serde_json::json!([]),
            };
            (name.as_str(), rule)
        })
        .collect();
    check(value, &needed, &rules);
    let lists_code = |value: &Value| {
        value
            .as_array()
            .is_some_and(|list| list.contains(&"code".into()))
    };
    assert!(
        members
            .get("response_types_supported")
            .is_some_and(lists_code)
    );
}

/// MCP-RS-02, MCP-RS-04, PRM-03.
pub(crate) fn check_resource_metadata(value: &Value) {
    let rules: [(&str, Rule); 5] = [
        ("resource", is_web_url),
        ("authorization_servers", |value| {
            is_urls(value) && value != &serde_json::json!([])
        }),
        ("scopes_supported", |value| {
            is_texts(value) && value != &serde_json::json!([])
        }),
        ("bearer_methods_supported", |value| {
            is_texts(value) && value != &serde_json::json!([])
        }),
        ("resource_name", is_text),
    ];
    check(value, &["resource", "authorization_servers"], &rules);
}

/// INT-03, INT-04.
pub(crate) fn check_introspection(value: &Value) {
    #[rustfmt::skip]
    let rules: [(&str, Rule); 11] = [
        ("active", is_flag), ("scope", is_text), ("client_id", is_text), ("token_type", is_text),
        ("exp", is_number), ("iat", is_number), ("auth_time", is_number), ("sub", is_text), ("aud", is_texts),
        ("iss", is_text), ("jti", is_text),
    ];
    check(value, &["active"], &rules);
}

/// OpenID Connect Core §5.3.2.
pub(crate) fn check_user_info(value: &Value) {
    let rules: [(&str, Rule); 5] = [
        ("sub", is_text),
        ("name", is_text),
        ("preferred_username", is_text),
        ("email", is_text),
        ("email_verified", is_flag),
    ];
    check(value, &["sub"], &rules);
}
