//! What changed between two versions of a client's metadata (threats R10; design 4.2).
//!
//! Redirect URIs, methods and keys are *security* changes: they ask for consent again. Everything
//! else is noted. Two things are no change: the port of a loopback redirect, which matching ignores
//! (RFC 8252 §7.3), and the order of a list. A key rotation in which an old key stays beside the new
//! one is normal, and noted only.
//!
//! Not here: what is kept and how long; asking.

use std::collections::{BTreeMap, BTreeSet};

use vestibule_protocol::{
    client_metadata::{AuthMethod, ClientMetadata, DisplayName, HttpsUrl},
    json::Json,
    redirect_uri::{self, RedirectUri},
};

/// Longest side of a change that is kept, in characters.
const SIDE_CHARS_MAX: usize = 300;

/// One difference.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Change {
    /// The member of the metadata.
    pub member: &'static str,
    /// What it was, for people; shortened.
    pub before: Option<String>,
    /// What it is, for people; shortened.
    pub after: Option<String>,
    /// Asks for consent again.
    pub security: bool,
}

impl Change {
    /// One sentence that a person understands.
    pub fn sentence(&self) -> String {
        let what = match self.member {
            "redirect_uris" => "Where it returns to",
            "token_endpoint_auth_method" => "How it proves itself",
            "jwks" => "Its keys",
            "jwks_uri" => "Where its keys are",
            "client_name" => "Its name",
            "client_uri" => "Its home page",
            "logo_uri" => "Its logo",
            "policy_uri" => "Its privacy policy",
            "tos_uri" => "Its terms of service",
            "grant_types" => "How it connects",
            "scope" => "What it asks for by default",
            "contacts" => "Whom to contact about it",
            "software_id" => "Which program it says it is",
            _ => "Its version",
        };
        let side = |side: &Option<String>| side.clone().unwrap_or_else(|| "nothing".to_owned());
        format!(
            "{what} changed from {} to {}.",
            side(&self.before),
            side(&self.after)
        )
    }

    /// For an audit row.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "member": self.member,
            "before": self.before,
            "after": self.after,
            "security": self.security,
        })
    }
}

/// All of them, for an audit row.
pub fn to_json(changes: &[Change]) -> serde_json::Value {
    changes.iter().map(Change::to_json).collect()
}

/// Whether consent must be asked for again.
pub fn is_security(changes: &[Change]) -> bool {
    changes.iter().any(|change| change.security)
}

/// What differs, security first. Empty for metadata that means the same.
pub fn diff(old: &ClientMetadata, new: &ClientMetadata) -> Vec<Change> {
    let mut changes = Vec::new();
    if !same_redirects(&old.redirect_uris, &new.redirect_uris) {
        let list = |metadata: &ClientMetadata| {
            let uris: BTreeSet<&str> = metadata
                .redirect_uris
                .iter()
                .map(RedirectUri::as_str)
                .collect();
            joined(uris)
        };
        changes.push(change("redirect_uris", list(old), list(new), true));
    }
    let methods = |metadata: &ClientMetadata| {
        let methods: BTreeSet<&str> = metadata
            .auth_methods
            .iter()
            .map(AuthMethod::as_str)
            .collect();
        joined(methods)
    };
    note(
        &mut changes,
        "token_endpoint_auth_method",
        methods(old),
        methods(new),
        true,
    );
    let url = |url: &Option<HttpsUrl>| url.as_ref().map(|url| url.as_str().to_owned());
    note(
        &mut changes,
        "jwks_uri",
        url(&old.jwks_uri),
        url(&new.jwks_uri),
        true,
    );
    if let Some(found) = keys(old.jwks.as_deref(), new.jwks.as_deref()) {
        changes.push(found);
    }
    let name = |metadata: &ClientMetadata| {
        metadata
            .client_name
            .as_ref()
            .map(|name| DisplayName::as_str(name).to_owned())
    };
    let grants = |metadata: &ClientMetadata| joined(metadata.grant_types.names());
    let scope = |metadata: &ClientMetadata| metadata.scope.as_ref().map(ToString::to_string);
    let contacts = |metadata: &ClientMetadata| {
        joined(
            metadata
                .contacts
                .iter()
                .map(String::as_str)
                .collect::<BTreeSet<_>>(),
        )
    };
    let rest = [
        ("client_name", name(old), name(new)),
        ("client_uri", url(&old.client_uri), url(&new.client_uri)),
        ("logo_uri", url(&old.logo_uri), url(&new.logo_uri)),
        ("policy_uri", url(&old.policy_uri), url(&new.policy_uri)),
        ("tos_uri", url(&old.tos_uri), url(&new.tos_uri)),
        ("grant_types", grants(old), grants(new)),
        ("scope", scope(old), scope(new)),
        ("contacts", contacts(old), contacts(new)),
        (
            "software_id",
            old.software_id.clone(),
            new.software_id.clone(),
        ),
        (
            "software_version",
            old.software_version.clone(),
            new.software_version.clone(),
        ),
    ];
    for (member, before, after) in rest {
        note(&mut changes, member, before, after, false);
    }
    changes.sort_by_key(|change| !change.security);
    changes
}

fn note(
    changes: &mut Vec<Change>,
    member: &'static str,
    before: Option<String>,
    after: Option<String>,
    security: bool,
) {
    if before != after {
        changes.push(change(member, before, after, security));
    }
}

fn change(
    member: &'static str,
    before: Option<String>,
    after: Option<String>,
    security: bool,
) -> Change {
    let short = |side: Option<String>| side.map(|text| text.chars().take(SIDE_CHARS_MAX).collect());
    Change {
        member,
        before: short(before),
        after: short(after),
        security,
    }
}

fn joined<'a>(words: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let words: Vec<&str> = words.into_iter().collect();
    (!words.is_empty()).then(|| words.join(" "))
}

/// Each side's URIs are accepted by the other's: what may be requested stays the same.
fn same_redirects(old: &[RedirectUri], new: &[RedirectUri]) -> bool {
    let covered = |some: &[RedirectUri], by: &[RedirectUri]| {
        some.iter().all(|uri| {
            by.iter()
                .any(|known| redirect_uri::matches(known, uri.as_str()))
        })
    };
    covered(old, new) && covered(new, old)
}

fn keys(old: Option<&str>, new: Option<&str>) -> Option<Change> {
    let (before, after) = (key_set(old), key_set(new));
    if before == after {
        return None;
    }
    // Overlap by the key itself: an id can be given to another key.
    let overlaps = before.keys().any(|key| after.contains_key(key));
    let names = |set: &BTreeMap<String, String>| joined(set.values().map(String::as_str));
    Some(change("jwks", names(&before), names(&after), !overlaps))
}

/// The keys of a set: what makes the key (the input of an RFC 7638 thumbprint), and its name for
/// people. Where a set cannot be read, its whole text is the key, so that any change counts.
fn key_set(jwks: Option<&str>) -> BTreeMap<String, String> {
    let Some(text) = jwks else {
        return BTreeMap::new();
    };
    let whole = || BTreeMap::from([(text.to_owned(), "a key set".to_owned())]);
    let Ok(set) = Json::parse_object(text.as_bytes()) else {
        return whole();
    };
    let Some(keys) = set.get("keys").and_then(Json::as_array) else {
        return whole();
    };
    keys.iter()
        .filter_map(Json::as_object)
        .map(|key| {
            let member = |name: &str| key.get(name).and_then(Json::as_text).unwrap_or_default();
            let needed: &[&str] = match member("kty") {
                "EC" => &["crv", "x", "y"],
                "OKP" => &["crv", "x"],
                "RSA" => &["e", "n"],
                _ => &["k", "x", "y", "n", "e"],
            };
            let material: Vec<&str> = needed.iter().map(|name| member(name)).collect();
            let name = match member("kid") {
                "" => format!("a key of type {}", member("kty")),
                id => format!("\u{201c}{id}\u{201d}"),
            };
            (format!("{} {}", member("kty"), material.join(" ")), name)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signals::fixtures::{BODIES, body, parse};

    fn client(members: &str) -> ClientMetadata {
        parse(&format!(
            r#"{{"token_endpoint_auth_method":"none","redirect_uris":["https://a.example/cb"]{members}}}"#
        ))
    }

    fn with_keys(keys: &[(&str, &str)]) -> ClientMetadata {
        let mut metadata = client("");
        let keys: Vec<_> = keys
            .iter()
            .map(|(kid, x)| serde_json::json!({"kty":"OKP","crv":"Ed25519","kid":kid,"x":x}))
            .collect();
        metadata.jwks = Some(serde_json::json!({ "keys": keys }).to_string());
        metadata
    }

    fn with_redirects(uris: &[&str]) -> ClientMetadata {
        crate::signals::fixtures::registered(None, uris)
    }

    type Row = (
        &'static str,
        ClientMetadata,
        ClientMetadata,
        &'static [(&'static str, bool)],
    );

    /// R10: one row, one change: which member, and whether people are asked again.
    #[test]
    fn changes_are_named_and_weighed() {
        #[rustfmt::skip]
        let rows: Vec<Row> = vec![
            ("nothing",        client(""), client(""), &[]),
            ("redirect added", with_redirects(&["https://a.example/cb"]), with_redirects(&["https://a.example/cb", "https://b.example/cb"]), &[("redirect_uris", true)]),
            ("redirect moved", with_redirects(&["https://a.example/cb"]), with_redirects(&["https://a.example/cb2"]), &[("redirect_uris", true)]),
            ("other order",    with_redirects(&["https://a.example/1", "https://a.example/2"]), with_redirects(&["https://a.example/2", "https://a.example/1"]), &[]),
            ("loopback port",  with_redirects(&["http://localhost:1234/cb"]), with_redirects(&["http://localhost:9/cb"]), &[]),
            ("loopback path",  with_redirects(&["http://localhost/cb"]), with_redirects(&["http://localhost/x"]), &[("redirect_uris", true)]),
            ("loopback host",  with_redirects(&["http://localhost/cb"]), with_redirects(&["http://127.0.0.1/cb"]), &[("redirect_uris", true)]),
            ("name",           client(r#","client_name":"A""#), client(r#","client_name":"B""#), &[("client_name", false)]),
            ("logo goes",      client(r#","logo_uri":"https://a.example/l""#), client(""), &[("logo_uri", false)]),
            ("version",        client(r#","software_version":"1""#), client(r#","software_version":"2""#), &[("software_version", false)]),
            ("method",         client(""), parse(r#"{"redirect_uris":["https://a.example/cb"]}"#), &[("token_endpoint_auth_method", true)]),
            ("first key",      client(""), with_keys(&[("1", "a")]), &[("jwks", true)]),
            ("key overlaps",   with_keys(&[("1", "a")]), with_keys(&[("1", "a"), ("2", "b")]), &[("jwks", false)]),
            ("old key leaves", with_keys(&[("1", "a"), ("2", "b")]), with_keys(&[("2", "b")]), &[("jwks", false)]),
            ("key replaced",   with_keys(&[("1", "a")]), with_keys(&[("2", "b")]), &[("jwks", true)]),
            ("same id, other", with_keys(&[("1", "a")]), with_keys(&[("1", "b")]), &[("jwks", true)]),
        ];
        for (what, old, new, expected) in rows {
            let found = diff(&old, &new);
            let members: Vec<_> = found.iter().map(|c| (c.member, c.security)).collect();
            assert_eq!(members, expected, "{what}");
            assert_eq!(
                is_security(&found),
                expected.iter().any(|(_, s)| *s),
                "{what}"
            );
            for change in &found {
                assert!(change.sentence().ends_with('.'), "{what}");
            }
        }
    }

    #[test]
    fn a_moved_key_address_is_a_security_change() {
        let mut old = client("");
        old.jwks_uri = HttpsUrl::parse("https://a.example/keys");
        let mut new = old.clone();
        new.jwks_uri = HttpsUrl::parse("https://b.example/keys");
        new.logo_uri = HttpsUrl::parse("https://b.example/logo");
        let found = diff(&old, &new);
        assert_eq!(
            to_json(&found),
            serde_json::json!([
                {"member":"jwks_uri","before":"https://a.example/keys","after":"https://b.example/keys","security":true},
                {"member":"logo_uri","before":null,"after":"https://b.example/logo","security":false},
            ])
        );
        let expected =
            "Where its keys are changed from https://a.example/keys to https://b.example/keys.";
        assert_eq!(found[0].sentence(), expected);
        assert_eq!(
            found[1].sentence(),
            "Its logo changed from nothing to https://b.example/logo."
        );
    }

    /// What a security change is here, the digest of a consent notices too (it also holds the name).
    #[test]
    fn a_security_change_changes_the_digest_of_the_consent() {
        let all: Vec<ClientMetadata> = BODIES.iter().map(|(name, _)| body(name)).collect();
        for old in &all {
            assert!(diff(old, old).is_empty());
            for new in &all {
                if is_security(&diff(old, new)) {
                    assert_ne!(old.security_digest(), new.security_digest());
                }
            }
        }
    }

    /// People see the names of keys, not the keys.
    #[test]
    fn keys_are_named_by_their_ids() {
        let found = diff(
            &with_keys(&[("2026-a", "x1"), ("2026-b", "x2")]),
            &with_keys(&[("", "x3")]),
        );
        let expected = "Its keys changed from \u{201c}2026-a\u{201d} \u{201c}2026-b\u{201d} to a key of type OKP.";
        assert_eq!(found[0].sentence(), expected);
    }

    #[test]
    fn sides_are_short() {
        let long = format!("https://a.example/{}", "x".repeat(1_900));
        let found = diff(&client(""), &with_redirects(&[&long]));
        assert_eq!(found[0].after.as_ref().unwrap().len(), 300);
    }
}
