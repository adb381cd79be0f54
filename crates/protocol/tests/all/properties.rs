//! What holds for any input: parsers end with a verdict, what was stored reads back, and the ids
//! of the two doors cannot meet.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use proptest::prelude::*;
use serde_json::{Value, json};
use vestibule_protocol::{
    authorize::{AuthorizationRequest, AuthorizeParams, Prompt},
    cimd_document,
    client_id::{ClientId, SEALED_PREFIX},
    client_id_url::{ClientIdUrl, registrable_domain},
    client_metadata::{AuthMethod, ClientMetadata, HttpsUrl},
    issuer::Issuer,
    pkce::{CodeChallenge, CodeVerifier},
    redirect_uri::{RedirectKind, RedirectPolicy, RedirectUri, TrustedRedirect, matches},
    registration::read_update,
    resource_indicator::ResourceUri,
    scope::ScopeSet,
    token_request::{PresentedAuth, TokenRequest, pairs_to_form},
};

use crate::{CHALLENGE, register};

/// Text that is near what parsers know: URLs with odd parts, or anything.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        ".{0,120}",
        "(https?|HTTPS|cursor|com\\.example\\.app|javascript)(://|:/|:)[@a-z0-9.\\[\\]:%\\\\é-]{0,30}([/?#][ -~]{0,30}){0,3}",
    ]
}

/// Any JSON of the kind that a registration may hold, with some members that make sense.
fn body() -> impl Strategy<Value = Value> {
    let uri = prop_oneof![
        3 => "https://[a-z]{1,8}\\.example(:[1-9][0-9]{0,3})?/[a-z0-9%2E]{0,8}".prop_map(Value::from),
        3 => "http://(127\\.0\\.0\\.1|localhost|\\[::1\\])(:[1-9][0-9]{0,3})?(/[a-z]{0,8})?".prop_map(Value::from),
        1 => "(cursor|com\\.example\\.app):/{0,2}[a-z]{1,8}".prop_map(Value::from),
    ];
    let one = |values: &'static [&'static str]| {
        prop::option::of(prop::sample::select(values).prop_map(Value::from))
    };
    let word = || prop::option::of("[\\PC\u{202e}\u{7}]{0,30}".prop_map(Value::from));
    (
        prop::collection::vec(uri, 1..5),
        one(&[
            "none",
            "client_secret_basic",
            "client_secret_post",
            "private_key_jwt",
        ]),
        one(&["native", "web"]),
        one(&["openid mcp:read", " a  b a", "x"]),
        prop::option::of(Just(json!([
            "authorization_code",
            "refresh_token",
            "urn:x"
        ]))),
        (word(), word(), word()),
        prop::option::of("https://[a-z]{1,8}\\.example/[a-z]{0,8}".prop_map(Value::from)),
        (
            prop::option::of(any::<bool>()),
            prop::option::of(any::<u32>()),
        ),
    )
        .prop_map(
            |(uris, method, kind, scope, grants, (name, german, software), uri, (flag, age))| {
                let members = [
                    ("redirect_uris", Some(uris.into())),
                    ("token_endpoint_auth_method", method),
                    ("application_type", kind),
                    ("scope", scope),
                    ("grant_types", grants),
                    ("client_name", name),
                    ("client_name#de", german),
                    ("software_id", software),
                    ("client_uri", uri.clone()),
                    ("jwks_uri", uri),
                    ("require_auth_time", flag.map(Value::from)),
                    (
                        "require_pushed_authorization_requests",
                        flag.map(Value::from),
                    ),
                    ("default_max_age", age.map(Value::from)),
                ];
                let given = members
                    .into_iter()
                    .filter_map(|(name, value)| Some((name.to_owned(), value?)));
                Value::Object(given.collect())
            },
        )
}

/// Any JSON at all.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z_]{1,8}", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

const MEMBERS: [&str; 23] = [
    "redirect_uris",
    "token_endpoint_auth_method",
    "token_endpoint_auth_methods_supported",
    "token_endpoint_auth_signing_alg",
    "grant_types",
    "response_types",
    "application_type",
    "client_name",
    "client_name#de",
    "client_uri",
    "logo_uri",
    "scope",
    "contacts",
    "jwks",
    "jwks_uri",
    "software_id",
    "software_version",
    "software_statement",
    "client_secret",
    "id_token_signed_response_alg",
    "default_max_age",
    "require_auth_time",
    "post_logout_redirect_uris",
];

proptest! {
    /// GEN-19, F9: whatever the text, every parser ends with a verdict.
    #[test]
    fn parsers_never_panic(raw in text()) {
        let _ = ClientId::parse(&raw);
        let _ = CodeChallenge::parse(&raw);
        let _ = CodeVerifier::parse(&raw);
        let _ = HttpsUrl::parse(&raw);
        let _ = Issuer::parse(&raw);
        let _ = Prompt::parse(Some(&raw));
        let _ = ClientMetadata::decode_stored(&raw);
        let _ = registrable_domain(&raw);
        if let Ok(resource) = ResourceUri::parse(&raw) {
            prop_assert!(resource.is_equivalent(&resource));
            prop_assert_eq!(resource.as_str(), &raw);
        }
    }

    /// F9, CIMD-11: what passes is an https URL whose octets were not touched.
    #[test]
    fn a_client_id_url_keeps_its_octets(raw in text()) {
        if let Ok(id) = ClientIdUrl::parse_default(&raw) {
            prop_assert_eq!(id.as_str(), &raw);
            prop_assert!(raw.starts_with(id.origin()) && raw.starts_with("https://"));
            prop_assert!(!raw.contains(['#', '\\', ' ']) && raw.is_ascii());
        }
    }

    /// RU-03, R1: a registered redirect matches itself, and nothing that is not its kind.
    #[test]
    fn matching_is_reflexive_and_keeps_the_kind(raw in text(), asked in text()) {
        let policy = RedirectPolicy::default();
        if let Ok(known) = RedirectUri::parse(&raw, &policy) {
            prop_assert!(matches(&known, known.as_str()));
            let harmless = ["https://", "http://127.0.0.1", "http://localhost", "http://[::1]", "cursor:", "com.example.app:"];
            prop_assert!(harmless.iter().any(|start| raw.starts_with(start)), "{}", raw);
            if matches(&known, &asked) {
                prop_assert!(asked == raw || known.kind() == RedirectKind::Loopback);
                prop_assert_eq!(RedirectUri::parse(&asked, &policy).map(|uri| uri.kind()), Ok(known.kind()));
            }
        }
    }

    /// GEN-14, QUIRK-62: a set reads back as it prints.
    #[test]
    fn scope_sets_survive_printing(raw in "[!#-~ ]{0,200}") {
        if let Ok(set) = ScopeSet::parse_tolerant(&raw) {
            let printed = set.to_string();
            prop_assert_eq!(ScopeSet::parse_tolerant(&printed), Ok(set.clone()));
            prop_assert_eq!(ScopeSet::from_text(&printed), set.clone());
            prop_assert!(set.is_subset(&set) && set.intersection(&set) == set && set.union(&set) == set);
        }
    }

    /// DCR-12, CIMD-77: what was registered is stored without loss, and its digest with it.
    #[test]
    fn stored_metadata_reads_back(body in body()) {
        if let Ok(metadata) = register(&body.to_string()) {
            let stored = ClientMetadata::decode_stored(&metadata.encode_stored());
            prop_assert_eq!(stored.as_ref(), Ok(&metadata));
            prop_assert_eq!(stored.map(|read| read.security_digest()), Ok(metadata.security_digest()));
        }
    }

    /// DCR-02, CIMD-16: any value in any member is judged, at both doors.
    #[test]
    fn metadata_of_any_type_is_judged(name in prop::sample::select(&MEMBERS[..]), value in any_json()) {
        let mut body = json!({"client_id": "https://a.example/c", "client_name": "A", "redirect_uris": ["https://a.example/cb"]});
        body[name] = value;
        let text = body.to_string();
        let policy = RedirectPolicy::default();
        if let Ok((read, _)) = cimd_document::read(text.as_bytes(), "https://a.example/c", &policy) {
            prop_assert!(!read.auth_methods.needs_secret() && !read.redirect_uris.is_empty());
            prop_assert!(!read.auth_methods.accepts(AuthMethod::PrivateKeyJwt) || read.jwks.is_some() || read.jwks_uri.is_some());
        }
        if let Ok(read) = register(&text) {
            prop_assert!(!read.grant_types.client_credentials && !read.redirect_uris.is_empty());
        }
        let _ = read_update(text.as_bytes(), "https://a.example/c", true, &policy);
    }

    /// AC-01, CA-03: requests of any shape are answered by an error or understood.
    #[test]
    fn requests_never_panic(pairs in prop::collection::vec((text(), text()), 0..8), known in text()) {
        let named = ["resource", "scope", "client_id", "prompt", "max_age", "code_verifier"];
        let mut pairs = pairs;
        for (pair, name) in pairs.iter_mut().zip(named) {
            name.clone_into(&mut pair.0);
        }
        pairs.push(("response_type".into(), "code".into()));
        pairs.push(("grant_type".into(), "refresh_token".into()));
        pairs.push(("refresh_token".into(), known.clone()));
        pairs.push(("code_challenge".into(), CHALLENGE.into()));
        pairs.push(("code_challenge_method".into(), "S256".into()));
        if let Ok(form) = pairs_to_form(&pairs) {
            let _ = TokenRequest::read(&form);
            let _ = PresentedAuth::read(&form, Some(&known));
            let _ = PresentedAuth::read(&form, None);
        }
        let uri = RedirectUri::parse("https://c.example/cb?x=1", &RedirectPolicy::default()).unwrap();
        let redirect = TrustedRedirect::matching(&[uri], None).unwrap();
        if let Ok(params) = AuthorizeParams::from_pairs(&pairs) {
            let _ = AuthorizationRequest::read(&params, redirect.clone());
        }
        // A5, A18: whatever the state, it is one parameter, in plain ASCII.
        let answer = redirect.with_response(&[("state", Some(&known)), ("code", Some("c"))]);
        prop_assert!(answer.bytes().all(|byte| (0x21..=0x7e).contains(&byte)));
        let parsed = url::Url::parse(&answer).unwrap();
        let read: Vec<_> = parsed.query_pairs().into_owned().collect();
        prop_assert_eq!(read.len(), 3);
        prop_assert_eq!(&read[1].1, &known);
    }

    /// CIMD-72, CIMD-73, DCR-08, R17: an id that we seal is never taken for a URL, and a URL never
    /// for an id of ours.
    #[test]
    fn the_ids_of_the_two_doors_never_meet(bytes in prop::collection::vec(any::<u8>(), 16..700), raw in text()) {
        let sealed = format!("{SEALED_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes));
        prop_assert!(!sealed.starts_with("http"));
        prop_assert!(matches!(ClientId::parse(&sealed), Ok(ClientId::Issued(id)) if id.is_sealed()));
        if let Ok(ClientId::Issued(id)) = ClientId::parse(&raw) {
            prop_assert!(!id.as_str().contains([':', '/', '.']));
        }
    }
}
