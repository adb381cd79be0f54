//! Everything that we serialise, against the shapes that clients check (client-quirks, section 8).

use serde_json::{Value, json, to_value};
use vestibule_protocol::{
    client_metadata::ClientMetadata,
    issuer::Issuer,
    protected_resource::ProtectedResourceMetadata,
    redirect_uri::RedirectPolicy,
    registration::{Credentials, RegistrationResponse, read_update},
    server_metadata::{MetadataInputs, ServerMetadata},
    token_response::{IntrospectionResponse, TokenResponse, UserInfo},
};

use crate::{everybody, register, shapes};

fn answer(metadata: &ClientMetadata, secret: bool, managed: bool) -> Value {
    let credentials = Credentials {
        client_secret: secret.then(|| "vcs_secret".to_owned()),
        management: managed.then(|| {
            (
                "https://as.example/register/vdr_x".to_owned(),
                "vrt_token".to_owned(),
            )
        }),
    };
    to_value(RegistrationResponse::of(
        metadata,
        "vdr_x",
        1_795_500_000,
        credentials,
    ))
    .unwrap()
}

fn full() -> ClientMetadata {
    let body = json!({
        "redirect_uris": ["https://app.example/cb"], "client_name": "App", "client_name#de": "Programm",
        "client_uri": "https://app.example", "logo_uri": "https://app.example/l.png",
        "tos_uri": "https://app.example/t", "policy_uri": "https://app.example/p", "scope": "b a",
        "token_endpoint_auth_method": "private_key_jwt",
        "token_endpoint_auth_methods_supported": ["private_key_jwt", "none"],
        "token_endpoint_auth_signing_alg": "ES256",
        "jwks": {"keys": [{"kty": "EC", "crv": "P-256", "x": "x", "y": "y"}]},
        "contacts": ["ops@app.example", ""], "software_id": "id", "software_version": "1",
        "id_token_signed_response_alg": "ES256", "require_pushed_authorization_requests": true,
        "default_max_age": 60, "require_auth_time": true,
        "post_logout_redirect_uris": ["https://app.example/bye"],
    });
    register(&body.to_string()).unwrap()
}

/// QUIRK-40, QUIRK-44, QUIRK-47, DCR-10, DCR-11, DCR-12, ODCR-07: no null, no empty text, every
/// type as the strictest schema wants it.
#[test]
fn registration_answers_have_the_shape_that_clients_check() {
    let mut all = everybody();
    all.push(("full", full()));
    for (name, metadata) in &all {
        for (secret, managed) in [(false, false), (false, true), (true, false), (true, true)] {
            let value = answer(metadata, secret, managed);
            shapes::check_registration(&value);
            assert_eq!(value.get("client_secret").is_some(), secret, "{name}");
            assert_eq!(value["client_secret_expires_at"] == 0, secret, "{name}");
        }
    }
}

/// DCR-12, DCR-22, QUIRK-43: what was registered comes back, whole.
#[test]
fn everything_that_was_registered_is_echoed() {
    let value = answer(&full(), false, false);
    #[rustfmt::skip]
    let rows = [
        ("client_name#de",                         json!("Programm")),
        ("scope",                                  json!("a b")),
        ("contacts",                               json!(["ops@app.example"])),
        ("grant_types",                            json!(["authorization_code"])),
        ("response_types",                         json!(["code"])),
        ("application_type",                       json!("web")),
        ("token_endpoint_auth_method",             json!("private_key_jwt")),
        ("token_endpoint_auth_methods_supported",  json!(["private_key_jwt", "none"])),
        ("default_max_age",                        json!(60)),
        ("require_auth_time",                      json!(true)),
        ("post_logout_redirect_uris",              json!(["https://app.example/bye"])),
    ];
    for (name, expected) in rows {
        assert_eq!(value[name], expected, "{name}");
    }
    assert_eq!(value["jwks"]["keys"][0]["crv"], "P-256");
}

/// DCR-12, DCR-15, QUIRK-43, QUIRK-44: a minimal body gets the defaults of RFC 7591, spelled out.
#[test]
fn a_minimal_registration_shows_its_defaults() {
    let minimal = register(r#"{"redirect_uris":["http://localhost:1/callback"]}"#).unwrap();
    assert!(minimal.auth_methods.needs_secret());
    assert_eq!(
        answer(&minimal, true, false),
        json!({
            "client_id": "vdr_x", "client_id_issued_at": 1_795_500_000,
            "client_secret": "vcs_secret", "client_secret_expires_at": 0,
            "redirect_uris": ["http://localhost:1/callback"],
            "grant_types": ["authorization_code"], "response_types": ["code"],
            "token_endpoint_auth_method": "client_secret_basic", "application_type": "native",
        })
    );
}

/// DCRM-06, DCRM-09: an answer, without what only the server sets, is a valid update that changes
/// nothing.
#[test]
fn an_answer_can_be_sent_back_as_an_update() {
    let mut all = everybody();
    all.push(("full", full()));
    for (name, metadata) in all {
        let mut value = answer(&metadata, true, true);
        let members = value.as_object_mut().unwrap();
        for server in [
            "client_id_issued_at",
            "client_secret_expires_at",
            "registration_access_token",
            "registration_client_uri",
        ] {
            members.remove(server);
        }
        let policy = RedirectPolicy::default();
        let update = read_update(value.to_string().as_bytes(), "vdr_x", false, &policy).unwrap();
        assert_eq!(update.metadata, metadata, "{name}");
        assert_eq!(
            update.client_secret.as_deref(),
            Some("vcs_secret"),
            "{name}"
        );
    }
}

/// DCRM-07, DCRM-08: what an update must not hold, and the id that it must.
#[test]
fn an_update_is_the_clients_own() {
    let update = |change: Value| {
        let mut body = json!({"client_id": "vdr_x", "redirect_uris": ["https://app.example/cb"]});
        body.as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());
        let policy = RedirectPolicy::default();
        read_update(body.to_string().as_bytes(), "vdr_x", false, &policy)
    };
    assert!(update(json!({})).unwrap().client_secret.is_none());
    for bad in [
        json!({"registration_access_token": "x"}),
        json!({"registration_client_uri": "https://as.example/register/vdr_x"}),
        json!({"client_secret_expires_at": 0}),
        json!({"client_id_issued_at": 1}),
        json!({"client_id": "vdr_y"}),
        json!({"client_id": 1}),
        json!({"client_id": null}),
        json!({"client_secret": 1}),
        json!({"grant_types": ["client_credentials"]}),
        json!({"redirect_uris": ["javascript:alert(1)"]}),
    ] {
        assert!(update(bad.clone()).is_err(), "{bad}");
    }
}

/// DCR-06, R11: what only the server decides is not in the answer, whatever the body says.
#[test]
fn a_client_cannot_choose_what_the_server_decides() {
    let read = register(
        r#"{"redirect_uris":["https://app.example/cb"],"client_id":"admin","client_secret":"chosen",
            "trusted":true,"skip_consent":true,"require_pkce":false,"standing":"first_party",
            "registration_access_token":"mine","client_id_issued_at":1}"#,
    );
    let value = answer(&read.unwrap(), false, false);
    assert_eq!(value["client_id"], "vdr_x");
    for name in [
        "client_secret",
        "trusted",
        "skip_consent",
        "require_pkce",
        "standing",
        "registration_access_token",
    ] {
        assert!(value.get(name).is_none(), "{name}");
    }
    assert_ne!(value["client_id_issued_at"], 1);
}

/// AS-06, AS-07, MCP-AS-02, MCP-AS-04, QUIRK-35, QUIRK-42: the metadata of every setting has the
/// shape, and says the issuer byte for byte.
#[test]
fn server_metadata_has_the_shape_that_clients_check() {
    for raw in [
        "https://as.example",
        "https://as.example/t1",
        "http://127.0.0.1:9400",
    ] {
        for doors in 0_u8..4 {
            for resources in [vec![], vec!["https://rs.example/mcp".to_owned()]] {
                let inputs = MetadataInputs {
                    dcr_open: doors & 1 == 1,
                    cimd_open: doors & 2 == 2,
                    scopes_supported: resources.iter().map(|_| "mcp:read".to_owned()).collect(),
                    resources,
                };
                let issuer = Issuer::parse(raw).unwrap();
                let value = to_value(ServerMetadata::build(&issuer, &inputs)).unwrap();
                shapes::check_server_metadata(&value);
                assert_eq!(value["issuer"], raw);
            }
        }
    }
}

/// AC-08, QUIRK-34, QUIRK-41, INT-03: with and without each member that may be absent.
#[test]
fn token_answers_have_the_shape_that_clients_check() {
    for bits in 0_u8..4 {
        let text = |bit: u8| (bits & bit != 0).then(|| "value".to_owned());
        let token = TokenResponse {
            access_token: "at".into(),
            token_type: "Bearer",
            expires_in: 600,
            scope: "mcp:read".into(),
            refresh_token: text(1),
            id_token: text(2),
        };
        shapes::check_token(&to_value(token).unwrap());
        let user = UserInfo {
            sub: "u_1".into(),
            name: text(1),
            preferred_username: text(2),
            email: text(1),
            email_verified: text(1).map(|_| false),
        };
        shapes::check_user_info(&to_value(user).unwrap());
    }
    let active = IntrospectionResponse {
        active: true,
        scope: Some("mcp:read".into()),
        client_id: Some("vdr_x".into()),
        token_type: Some("Bearer"),
        exp: Some(2),
        iat: Some(1),
        sub: Some("u_1".into()),
        aud: Some(vec!["https://rs.example/mcp".into()]),
        iss: Some("https://as.example".into()),
        jti: Some("j".into()),
        auth_time: Some(1),
    };
    shapes::check_introspection(&to_value(active).unwrap());
    shapes::check_introspection(&to_value(IntrospectionResponse::inactive()).unwrap());
}

/// MCP-RS-02, MCP-RS-04, PRM-03: empty lists are left out.
#[test]
fn resource_metadata_has_the_shape_that_clients_check() {
    for scopes in [vec![], vec!["mcp:read".to_owned()]] {
        let metadata = ProtectedResourceMetadata {
            resource: "https://rs.example/mcp".into(),
            authorization_servers: vec!["https://as.example".into()],
            resource_name: (!scopes.is_empty()).then(|| "Notes".to_owned()),
            bearer_methods_supported: scopes.iter().map(|_| "header".to_owned()).collect(),
            scopes_supported: scopes,
        };
        shapes::check_resource_metadata(&to_value(metadata).unwrap());
    }
}
