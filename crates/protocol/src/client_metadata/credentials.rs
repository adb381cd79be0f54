//! How a client will prove itself: methods, keys, algorithms.

use std::collections::BTreeMap;

use super::{
    AuthMethod, AuthMethods, HttpsUrl, MetadataError,
    reader::{Reader, wrong},
};
use crate::json::Json;

/// DCR-31.
const KEYS_MAX: usize = 32;
/// Members of private and symmetric keys (DCR-20, CIMD-30).
const PRIVATE_KEY_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
/// Algorithms of assertions.
const ASSERTION_ALGS: [&str; 4] = ["ES256", "EdDSA", "RS256", "PS256"];

const METHOD: &str = "token_endpoint_auth_method";
const METHODS: &str = "token_endpoint_auth_methods_supported";

/// What a client has to prove itself with.
pub(super) struct Credentials {
    pub(super) methods: AuthMethods,
    pub(super) assertion_alg: Option<String>,
    pub(super) jwks: Option<String>,
    pub(super) jwks_uri: Option<HttpsUrl>,
}

/// DCR-15, DCR-21, CIMD-32, CIMD-54 to CIMD-59, QUIRK-11, QUIRK-44. A client that has `none` among
/// its methods loses `private_key_jwt` when it has no key for it; one that has not is refused.
pub(super) fn credentials(reader: &mut Reader<'_>) -> Result<Credentials, MetadataError> {
    let methods = methods(reader)?;
    let (jwks, jwks_uri) = keys(reader)?;
    let keyless = jwks.is_none() && jwks_uri.is_none();
    let alg = reader.one_of("token_endpoint_auth_signing_alg", &ASSERTION_ALGS);
    let (assertion_alg, lacking) = match alg {
        Ok(alg) => (
            alg,
            keyless.then(|| wrong(METHOD, "private_key_jwt needs jwks or jwks_uri")),
        ),
        Err(failure) if reader.is_document() => (None, Some(failure)),
        Err(failure) => return Err(failure),
    };
    let Some(lacking) = lacking.filter(|_| methods.accepts(AuthMethod::PrivateKeyJwt)) else {
        return Ok(Credentials {
            methods,
            assertion_alg,
            jwks,
            jwks_uri,
        });
    };
    let rest: Vec<_> = methods
        .iter()
        .filter(|method| *method != AuthMethod::PrivateKeyJwt)
        .collect();
    match AuthMethods::of(&rest) {
        Some(methods) => {
            reader.warn(format!("{lacking} (private_key_jwt dropped)"));
            Ok(Credentials {
                methods,
                assertion_alg,
                jwks,
                jwks_uri,
            })
        }
        None if reader.is_document() => Err(MetadataError::unauthorized(lacking.reason)),
        None => Err(lacking),
    }
}

fn methods(reader: &Reader<'_>) -> Result<AuthMethods, MetadataError> {
    let one = reader.text(METHOD)?;
    let many = reader.texts(METHODS)?.filter(|list| !list.is_empty());
    if let (Some(one), Some(many)) = (one, &many)
        && !many.contains(&one)
    {
        return Err(wrong(
            METHOD,
            "must be one of token_endpoint_auth_methods_supported",
        ));
    }
    let document = reader.is_document();
    let mut wanted: Vec<&str> = one.into_iter().collect();
    wanted.extend(many.unwrap_or_default());
    if wanted.is_empty() {
        // CIMD-54: the default of RFC 7591 is not for documents.
        wanted.push(if document {
            "none"
        } else {
            "client_secret_basic"
        });
    }
    if document && wanted.iter().any(|method| is_shared_secret(method)) {
        return Err(wrong(
            METHOD,
            "a document cannot use a method with a shared secret",
        ));
    }
    let usable: Vec<AuthMethod> = wanted
        .iter()
        .filter_map(|name| AuthMethod::parse(name))
        .collect();
    let needs_secret = |method: &AuthMethod| is_shared_secret(method.as_str());
    // A client with a secret has no way around it, and a public one gets none (QUIRK-44).
    let kept: Vec<AuthMethod> = usable
        .iter()
        .copied()
        .filter(|method| usable.first().map(needs_secret) == Some(needs_secret(method)))
        .collect();
    match (AuthMethods::of(&kept), document) {
        (Some(methods), _) => Ok(methods),
        (None, true) => Err(MetadataError::unauthorized(
            "none of the document's authentication methods is supported here",
        )),
        (None, false) => Err(wrong(
            METHOD,
            "supported are none, client_secret_basic, client_secret_post and private_key_jwt",
        )),
    }
}

fn is_shared_secret(method: &str) -> bool {
    method.starts_with("client_secret_")
}

/// DCR-19, DCR-20, CIMD-26, CIMD-30, CIMD-32, ODCR-06.
fn keys(reader: &Reader<'_>) -> Result<(Option<String>, Option<HttpsUrl>), MetadataError> {
    let uri = match reader.text("jwks_uri")? {
        None => None,
        Some(raw) => {
            Some(HttpsUrl::parse(raw).ok_or_else(|| wrong("jwks_uri", "must be an https URL"))?)
        }
    };
    let Some(set) = reader.get("jwks") else {
        return Ok((None, uri));
    };
    if uri.is_some() {
        return Err(wrong("jwks", "must not be used together with jwks_uri"));
    }
    let keys = set
        .as_object()
        .and_then(|set| set.get("keys"))
        .and_then(Json::as_array)
        .ok_or_else(|| wrong("jwks", "must be an object with an array `keys`"))?;
    if keys.is_empty() || keys.len() > KEYS_MAX {
        return Err(wrong("jwks", "must hold 1 to 32 keys"));
    }
    for key in keys {
        let key = key
            .as_object()
            .ok_or_else(|| wrong("jwks", "a key must be an object"))?;
        if !key.contains_key("kty") {
            return Err(wrong("jwks", "a key must have `kty`"));
        }
        if is_private_key(key) {
            return Err(wrong("jwks", "must hold public keys only"));
        }
    }
    Ok((Some(set.to_text()), None))
}

fn is_private_key(key: &BTreeMap<String, Json>) -> bool {
    key.get("kty").and_then(Json::as_text) == Some("oct")
        || PRIVATE_KEY_MEMBERS
            .iter()
            .any(|member| key.contains_key(*member))
}

/// CIMD-27 to CIMD-31: the first thing in these members that must never be public, by name.
pub(crate) fn published_secret(members: &BTreeMap<String, Json>) -> Option<&'static str> {
    if let Some(name) = ["client_secret", "client_secret_expires_at"]
        .into_iter()
        .find(|name| members.contains_key(*name))
    {
        return Some(name);
    }
    let shared = |value: &Json| value.as_text().is_some_and(is_shared_secret);
    if members.get(METHOD).is_some_and(shared) {
        return Some(METHOD);
    }
    let listed = members.get(METHODS).and_then(Json::as_array);
    if listed.is_some_and(|list| list.iter().any(shared)) {
        return Some(METHODS);
    }
    let keys = members
        .get("jwks")
        .and_then(Json::as_object)
        .and_then(|set| set.get("keys")?.as_array())
        .unwrap_or_default();
    keys.iter()
        .filter_map(Json::as_object)
        .any(is_private_key)
        .then_some("jwks")
}
