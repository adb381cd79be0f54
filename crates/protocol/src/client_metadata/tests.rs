//! The rules of the registration door, row by row. Live bodies and documents are in `tests/`.

use serde_json::{Value, json};

use super::*;

const OPEN: MetadataDoor = MetadataDoor::Dcr {
    client_credentials_allowed: false,
};
const VOUCHED: MetadataDoor = MetadataDoor::Dcr {
    client_credentials_allowed: true,
};

fn read(
    door: MetadataDoor,
    change: &Value,
) -> Result<(ClientMetadata, Vec<Warning>), MetadataError> {
    let mut body = json!({"redirect_uris": ["https://app.example/cb"], "client_name": "App"});
    for (name, value) in change.as_object().unwrap() {
        body[name] = value.clone();
    }
    ClientMetadata::parse_json(
        body.to_string().as_bytes(),
        door,
        &RedirectPolicy::default(),
    )
}

fn register(change: &Value) -> Result<ClientMetadata, MetadataError> {
    read(OPEN, change).map(|(metadata, _)| metadata)
}

fn code(change: &Value) -> ErrorCode {
    register(change).map(|_| ()).expect_err("is refused").code()
}

/// DCR-02, DCR-16, DCR-19, DCR-20, DCR-21, DCR-22, DCR-27, DCR-29, DCR-30, DCR-31, ODCR-04,
/// ODCR-06, ODCR-11, R20: each breaks one rule, and is told with the code for it.
#[test]
fn bodies_that_break_a_rule_of_metadata() {
    let key = |member: &str| json!({"jwks": {"keys": [{"kty": "EC", member: "x"}]}});
    let key_jwt = "private_key_jwt";
    let long = "x".repeat(3_000);
    let many_languages: serde_json::Map<String, Value> = (0..9)
        .map(|n| (format!("client_name#x{n}"), json!("App")))
        .collect();
    let keys: Vec<_> = (0..33).map(|_| json!({"kty": "EC"})).collect();
    let mut rows = vec![
        json!({"redirect_uris": "x"}),
        json!({"redirect_uris": [1]}),
        json!({"redirect_uris": (0..21).map(|n| format!("https://app.example/{n}")).collect::<Vec<_>>()}),
        json!({"client_name": 7}),
        json!({"client_name": long}),
        json!({"client_name#": "App"}),
        json!({"client_name#a b": "App"}),
        json!({"client_name#de": 1}),
        Value::Object(many_languages),
        json!({"scope": ["a"]}),
        json!({"scope": "a\"b"}),
        json!({"grant_types": "authorization_code"}),
        json!({"grant_types": ["implicit"]}),
        json!({"grant_types": ["password", "urn:ietf:params:oauth:grant-type:device_code"]}),
        json!({"grant_types": ["client_credentials"]}),
        json!({"grant_types": ["authorization_code", "client_credentials"]}),
        json!({"grant_types": ["refresh_token"]}),
        json!({"response_types": ["token"]}),
        json!({"response_types": ["id_token", "code token"]}),
        json!({"token_endpoint_auth_method": "client_secret_jwt"}),
        json!({"token_endpoint_auth_method": "tls_client_auth"}),
        json!({"token_endpoint_auth_method": ["none"]}),
        json!({"token_endpoint_auth_method": "none", "token_endpoint_auth_methods_supported": [key_jwt]}),
        json!({"token_endpoint_auth_method": key_jwt}),
        json!({"token_endpoint_auth_signing_alg": "none"}),
        json!({"token_endpoint_auth_signing_alg": "HS256"}),
        json!({"id_token_signed_response_alg": "none"}),
        json!({"jwks": {"keys": []}}),
        json!({"jwks": {"keys": keys}}),
        json!({"jwks": {"keys": [1]}}),
        json!({"jwks": {"keys": [{}]}}),
        json!({"jwks": []}),
        json!({"jwks": {"keys": [{"kty": "oct"}]}}),
        json!({"jwks": {"keys": [{"kty": "EC"}]}, "jwks_uri": "https://app.example/jwks"}),
        json!({"jwks_uri": "http://app.example/jwks"}),
        json!({"jwks_uri": "https://127.0.0.1@app.example/jwks"}),
        json!({"application_type": "browser"}),
        json!({"application_type": 1}),
        json!({"contacts": "ops@app.example"}),
        json!({"contacts": ["a\nb"]}),
        json!({"contacts": vec!["a"; 11]}),
        json!({"software_id": "a\u{7}"}),
        json!({"software_version": 1}),
        json!({"default_max_age": "soon"}),
        json!({"default_max_age": -1}),
        json!({"require_auth_time": "true"}),
        json!({"require_pushed_authorization_requests": 1}),
        json!({"x": "\u{0}"}),
        json!({"subject_type": "pairwise"}),
        json!({"id_token_encrypted_response_alg": "RSA-OAEP"}),
        json!({"userinfo_signed_response_alg": "RS256"}),
        json!({"dpop_bound_access_tokens": true}),
        json!({"tls_client_certificate_bound_access_tokens": true}),
        json!({"require_signed_request_object": true}),
    ];
    rows.extend(["d", "p", "q", "dp", "dq", "qi", "oth", "k"].map(key));
    for change in rows {
        assert_eq!(code(&change), ErrorCode::InvalidClientMetadata, "{change}");
    }
}

/// DCR-25, DCR-30, R7: a link is https, or it is refused by name.
#[test]
fn bodies_with_links_that_a_browser_could_run() {
    #[rustfmt::skip]
    let bad = [
        "javascript:alert(1)", "JavaScript:alert(1)", "data:image/png;base64,x", "file:///etc/passwd", "vbscript:x",
        "blob:x", "about:blank", "ftp://app.example", "ws://app.example", "https://u@app.example/",
        "https://app.example/\u{1}", "https://app.example\\x", "https://app.example/a b", "//app.example/x", "x",
    ];
    for link in [
        "client_uri",
        "logo_uri",
        "tos_uri",
        "policy_uri",
        "jwks_uri",
    ] {
        for url in bad {
            let failure = register(&json!({link: url})).map(|_| ()).unwrap_err();
            assert_eq!(
                failure.code(),
                ErrorCode::InvalidClientMetadata,
                "{link} {url}"
            );
            assert!(failure.reason().starts_with(link), "{link} {url}");
        }
    }
}

/// DCR-17, DCR-18, DCR-30, ODCR-02, ODCR-05, QUIRK-20, R1, R2, R3: one bad URI refuses the whole.
#[test]
fn bodies_that_break_a_rule_of_redirects() {
    let rows = [
        json!({"redirect_uris": []}),
        json!({"redirect_uris": null}),
        json!({"redirect_uris": ["https://app.example/cb", "javascript:alert(1)"]}),
        json!({"redirect_uris": ["\u{1}javascript:alert(1)"]}),
        json!({"redirect_uris": ["https://app.example/cb", "http://app.example/cb"]}),
        json!({"redirect_uris": ["https://app.example/*"]}),
        json!({"redirect_uris": ["myapp:/cb"]}),
        json!({"redirect_uris": [""]}),
        json!({"redirect_uris": [format!("https://app.example/{}", "x".repeat(2_048))]}),
        json!({"redirect_uris": ["http://localhost/cb"], "application_type": "web"}),
        json!({"redirect_uris": ["cursor://x/cb"], "application_type": "web"}),
        json!({"post_logout_redirect_uris": ["http://app.example/bye"]}),
    ];
    for change in rows {
        assert_eq!(code(&change), ErrorCode::InvalidRedirectUri, "{change}");
    }
}

/// DCR-13, DCR-14, DCR-16, DCR-31, ODCR-05, SWS-01, QUIRK-48: what is no reason to refuse.
#[test]
fn bodies_that_are_tolerated() {
    let keys: Vec<_> = (0..32).map(|_| json!({"kty": "EC"})).collect();
    let eight: serde_json::Map<String, Value> = (0..8)
        .map(|n| (format!("client_name#x{n}"), json!("App")))
        .collect();
    let rows = [
        json!({"example_extension_parameter": {"deep": [1]}}),
        json!({"software_statement": "x.y.z"}),
        json!({"client_name": null, "scope": "", "logo_uri": "", "contacts": null}),
        json!({"client_uri": "http://localhost:3000"}),
        json!({"grant_types": [], "response_types": []}),
        json!({"grant_types": ["authorization_code", "implicit"], "response_types": ["code", "token"]}),
        json!({"application_type": "native"}),
        json!({"subject_type": "public", "dpop_bound_access_tokens": false}),
        json!({"application_type": "web", "redirect_uris": ["https://app.example/cb", "http://localhost/cb"]}),
        json!({"redirect_uris": (0..20).map(|n| format!("https://app.example/{n}")).collect::<Vec<_>>()}),
        json!({"jwks": {"keys": keys}}),
        Value::Object(eight),
    ];
    for change in rows {
        if let Err(failure) = register(&change) {
            panic!("{change}: {failure}");
        }
    }
}

/// DCR-02, DCR-31: size, form and repetition are judged before any member.
#[test]
fn bodies_that_are_no_metadata_at_all() {
    let policy = RedirectPolicy::default();
    let uris = r#""redirect_uris":["https://app.example/cb"]"#;
    let padded = |length: usize| {
        let body = format!("{{{uris},\"x\":\"\"}}");
        body.replace("\"\"", &format!("\"{}\"", "x".repeat(length - body.len())))
    };
    assert!(ClientMetadata::parse_json(padded(64 << 10).as_bytes(), OPEN, &policy).is_ok());
    let rows = [
        String::new(),
        "[]".to_owned(),
        "null".to_owned(),
        format!("{{{uris}}}x"),
        format!("{{{uris},{uris}}}"),
        format!("{{{uris},\"redirect\\u005furis\":[]}}"),
        format!("{{{uris},\"jwks\":{{\"keys\":[{{\"kty\":\"EC\",\"kty\":\"EC\"}}]}}}}"),
        padded((64 << 10) + 1),
    ];
    for body in rows {
        let found = ClientMetadata::parse_json(body.as_bytes(), OPEN, &policy);
        assert_eq!(
            found.map(|_| ()).unwrap_err().code(),
            ErrorCode::InvalidClientMetadata
        );
    }
}

/// DCR-15, CIMD-54, CIMD-64, QUIRK-11, QUIRK-44, AC-14: which methods a client ends with.
#[test]
fn the_methods_of_a_client() {
    const ONE: &str = "token_endpoint_auth_method";
    const MANY: &str = "token_endpoint_auth_methods_supported";
    let key = json!("https://app.example/jwks");
    #[rustfmt::skip]
    let rows = [
        (OPEN, json!({}),                                                                "client_secret_basic"),
        (OPEN, json!({ONE: "none"}),                                                     "none"),
        (OPEN, json!({ONE: "client_secret_post"}),                                       "client_secret_post"),
        (OPEN, json!({ONE: "private_key_jwt", "jwks_uri": key}),                         "private_key_jwt"),
        (OPEN, json!({MANY: ["spiffe_jwt", "none"]}),                                    "none"),
        (OPEN, json!({ONE: "none", MANY: ["client_secret_basic", "none"]}),              "none"),
        (OPEN, json!({ONE: "client_secret_basic", MANY: ["client_secret_basic", "none"]}), "client_secret_basic"),
        (OPEN, json!({MANY: ["client_secret_post", "client_secret_basic"]}),             "client_secret_post client_secret_basic"),
        (OPEN, json!({ONE: "private_key_jwt", MANY: ["none", "private_key_jwt"]}),       "none"),
        (MetadataDoor::Cimd, json!({}),                                                  "none"),
        (MetadataDoor::Cimd, json!({MANY: ["private_key_jwt"], "jwks_uri": key}),        "private_key_jwt"),
        (MetadataDoor::Cimd, json!({ONE: "private_key_jwt", MANY: ["none", "private_key_jwt"], "jwks_uri": key}), "private_key_jwt none"),
        (MetadataDoor::Cimd, json!({ONE: "private_key_jwt", MANY: ["none", "private_key_jwt"]}), "none"),
        (MetadataDoor::Cimd, json!({MANY: ["none", "private_key_jwt"], "jwks_uri": key, "token_endpoint_auth_signing_alg": "ES512"}), "none"),
    ];
    for (door, change, expected) in rows {
        let (metadata, _) =
            read(door, &change).unwrap_or_else(|failure| panic!("{change}: {failure}"));
        let found: Vec<_> = metadata
            .auth_methods
            .iter()
            .map(AuthMethod::as_str)
            .collect();
        assert_eq!(found.join(" "), expected, "{change}");
    }
    let keyed = json!({ONE: "private_key_jwt", "jwks_uri": key, "token_endpoint_auth_signing_alg": "ES512"});
    let failure = read(MetadataDoor::Cimd, &keyed).map(|_| ()).unwrap_err();
    assert_eq!(failure.code(), ErrorCode::UnauthorizedClient);
}

/// DCR-16, DCR-27, ODCR-01, AC-10: acting for itself is for clients that authenticate and that somebody
/// vouched for; it needs no redirect.
#[test]
fn machine_clients_need_a_voucher_and_a_method() {
    let machine = |method: &str| {
        json!({"redirect_uris": [], "response_types": [], "grant_types": ["client_credentials"],
            "token_endpoint_auth_method": method})
    };
    let (metadata, _) = read(VOUCHED, &machine("client_secret_basic")).unwrap();
    assert_eq!(metadata.grant_types.names(), ["client_credentials"]);
    assert!(read(VOUCHED, &machine("none")).is_err());
    assert!(read(OPEN, &machine("client_secret_basic")).is_err());
    let mut with_code = machine("client_secret_basic");
    with_code["response_types"] = json!(["code"]);
    assert!(read(VOUCHED, &with_code).is_err());
}

/// CIMD-23, CIMD-26, QUIRK-12: a document loses what it does not need, with a note; nobody reads
/// an answer to a document.
#[test]
fn a_document_loses_what_it_does_not_need() {
    let rows = [
        json!({"client_uri": "javascript:alert(1)"}),
        json!({"logo_uri": "data:image/png;base64,x"}),
        json!({"tos_uri": "http://app.example/t"}),
        json!({"scope": ["a"]}),
        json!({"contacts": "ops@app.example"}),
        json!({"software_version": 1}),
        json!({"default_max_age": "soon"}),
        json!({"subject_type": "pairwise"}),
        json!({"dpop_bound_access_tokens": true}),
        json!({"client_name#de": 1}),
        json!({"id_token_signed_response_alg": "ES512"}),
        json!({"post_logout_redirect_uris": ["http://app.example/bye"]}),
    ];
    let (plain, notes) = read(MetadataDoor::Cimd, &json!({})).unwrap();
    assert!(notes.is_empty());
    for change in rows {
        let (metadata, notes) = read(MetadataDoor::Cimd, &change).unwrap();
        assert_eq!(metadata, plain, "{change}");
        let named = change.as_object().unwrap().keys().next().unwrap();
        let member = named.split('#').next().unwrap();
        assert!(
            matches!(&notes[..], [note] if note.to_string().starts_with(member)),
            "{change}"
        );
    }
}

/// DCR-22: names in other languages are kept; tags compare without case.
#[test]
fn names_in_other_languages_are_kept() {
    let names = json!({"client_name#ja-Jpan-JP": "アプリ", "client_name#DE": "Programm", "client_name#de": "Zwei"});
    let read = register(&names).unwrap();
    let found: Vec<_> = read
        .localized_names
        .iter()
        .map(|(tag, name)| (tag.as_str(), name.as_str()))
        .collect();
    assert_eq!(found, [("DE", "Programm"), ("ja-Jpan-JP", "アプリ")]);
}

/// R10, CIMD-77, CIMD-78, DCRM-18, ODCR-13: what a consent was given to, and what it was not.
#[test]
fn the_security_digest_sees_what_matters() {
    let digest = |change: Value| register(&change).unwrap().security_digest();
    let plain = digest(json!({}));
    #[rustfmt::skip]
    let same = [
        json!({"redirect_uris": ["https://app.example/cb", "https://app.example/cb"]}),
        json!({"logo_uri": "https://app.example/other.png"}),
        json!({"scope": "a b", "software_version": "2", "contacts": ["x@app.example"]}),
    ];
    for change in same {
        assert_eq!(digest(change.clone()), plain, "{change}");
    }
    let key = |x: &str| json!({"jwks": {"keys": [{"kty": "EC", "x": x}]}});
    let changed = [
        json!({"redirect_uris": ["https://app.example/cb2"]}),
        json!({"redirect_uris": ["https://app.example/cb", "https://evil.example/cb"]}),
        json!({"token_endpoint_auth_method": "none"}),
        json!({"client_name": "Other"}),
        json!({"client_name": "Caf\u{e9}"}),
        json!({"client_name": "Cafe\u{301}"}),
        json!({"jwks_uri": "https://app.example/jwks"}),
        key("a"),
        key("b"),
    ];
    let mut seen: Vec<_> = changed.into_iter().map(digest).collect();
    seen.push(plain);
    let count = seen.len();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), count);
    let two = ["https://a.example/1", "https://a.example/2"];
    let back: Vec<_> = two.iter().rev().collect();
    assert_eq!(
        digest(json!({"redirect_uris": two})),
        digest(json!({"redirect_uris": back}))
    );
}

/// Clones of one program count together: by `software_id`, else by name and redirect hosts.
#[test]
fn clones_share_a_software_key() {
    let key = |change: Value| register(&change).unwrap().software_key();
    let port = |port: u16| json!({"redirect_uris": [format!("http://localhost:{port}/cb")]});
    assert_eq!(key(port(1)), key(port(2)));
    assert_ne!(
        key(port(1)),
        key(json!({"redirect_uris": ["http://127.0.0.1:1/cb"]}))
    );
    assert_eq!(key(json!({"client_name": "APP"})), key(json!({})));
    assert_ne!(key(json!({"client_name": "Other"})), key(json!({})));
    let named = |name: &str| json!({"software_id": "x", "client_name": name});
    assert_eq!(key(named("a")), key(named("b")));
}

/// CIMD-36: a redirect is on the client's own site when both share a registrable domain.
#[test]
fn the_shape_of_a_redirect() {
    use RedirectShape as S;
    let uri = |raw: &str| RedirectUri::parse(raw, &RedirectPolicy::default()).unwrap();
    #[rustfmt::skip]
    let rows = [
        ("https://auth.app.example/cb",  Some("app.example"),     S::HttpsSameSite),
        ("https://app.example/cb",       Some("evil.example"),    S::HttpsOtherSite),
        ("https://a.co.uk/cb",           Some("b.co.uk"),         S::HttpsOtherSite),
        ("https://a.github.io/cb",       Some("b.github.io"),     S::HttpsOtherSite),
        ("https://app.example/cb",       None,                    S::HttpsOtherSite),
        ("http://localhost/cb",          Some("localhost"),       S::Loopback),
        ("cursor://x/cb",                Some("cursor.example"),  S::PrivateUse),
    ];
    for (raw, client, shape) in rows {
        let uri = uri(raw);
        assert_eq!(
            redirect_shape(uri.kind(), uri.host().as_deref(), client),
            shape,
            "{raw}"
        );
    }
}

/// A row that was damaged, or written by a newer release, is an error, never a client with fewer
/// rules.
#[test]
fn damaged_rows_are_errors() {
    let good = register(&json!({})).unwrap().encode_stored();
    assert!(ClientMetadata::decode_stored(&good).is_ok());
    for (from, to) in [
        ("\"v\":1", "\"v\":2"),
        ("\"kind\":\"web\"", "\"kind\":\"x\""),
        ("https://app.example/cb", "http://app.example/cb"),
        ("client_secret_basic", "client_secret_jwt"),
        ("[\"client_secret_basic\"]", "[]"),
        ("\"v\":1", "\"v\":1,\"trusted\":true"),
        ("{", ""),
    ] {
        assert!(good.contains(from), "{from} {good}");
        assert!(
            ClientMetadata::decode_stored(&good.replacen(from, to, 1)).is_err(),
            "{to}"
        );
    }
}
