//! A Client ID Metadata Document: the checks that only documents need, before the shared
//! vocabulary (draft-ietf-oauth-client-id-metadata-document, "Client ID Metadata Document").
//!
//! Rules marked `[-03]` are new in draft -03 and known from its editor's copy only; they live in
//! this file so that they can be compared with the published text in one place.
//!
//! Profile: that of MCP, where `client_name` and `redirect_uris` are needed (MCP-AS-23).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{
    client_metadata::{
        self, ClientMetadata, MetadataDoor, MetadataError, Warning, credentials::published_secret,
    },
    json::Json,
    redirect_uri::RedirectPolicy,
};

/// Read and judge a document that was fetched for this `client_id`.
pub fn read(
    bytes: &[u8],
    client_id: &str,
    policy: &RedirectPolicy,
) -> Result<(ClientMetadata, Vec<Warning>), MetadataError> {
    let members = client_metadata::object(bytes)?;
    // CIMD-17: simple string comparison.
    match members.get("client_id").and_then(Json::as_text) {
        Some(named) if named == client_id => {}
        Some(_) => return refuse("client_id: is not the URL that the document was fetched from"),
        None => return refuse("client_id: is missing or not a string"),
    }
    if let Some(name) = published_secret(&members) {
        return refuse(&format!(
            "{name}: a document must not hold or use a shared or private key"
        ));
    }
    // CIMD-31 [-03]: the bans hold inside a software statement too. It is read for this only; an
    // issuer that nobody trusts adds no trust (CIMD-38).
    let statement = members.get("software_statement").and_then(Json::as_text);
    if let Some(Json::Object(claims)) = statement.and_then(claims_of)
        && let Some(name) = published_secret(&claims)
    {
        return refuse(&format!("software_statement: must not hold {name}"));
    }
    let (metadata, warnings) = ClientMetadata::parse_json(bytes, MetadataDoor::Cimd, policy)?;
    if metadata.client_name.is_none() {
        return refuse("client_name: is missing");
    }
    if metadata.redirect_uris.is_empty() {
        return refuse("redirect_uris: is missing or empty");
    }
    Ok((metadata, warnings))
}

fn refuse<T>(reason: &str) -> Result<T, MetadataError> {
    Err(MetadataError::metadata(reason))
}

fn claims_of(jwt: &str) -> Option<Json> {
    let payload = jwt.split('.').nth(1)?;
    Json::parse(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error_code::ErrorCode;

    const ID: &str = "https://app.example.com/client.json";

    fn document(change: impl Fn(&mut serde_json::Map<String, serde_json::Value>)) -> Vec<u8> {
        let mut value = serde_json::json!({
            "client_id": ID, "client_name": "App", "redirect_uris": ["https://app.example.com/cb"],
        });
        change(value.as_object_mut().unwrap());
        value.to_string().into_bytes()
    }

    fn set(name: &'static str, value: serde_json::Value) -> Vec<u8> {
        document(move |members| {
            members.insert(name.to_owned(), value.clone());
        })
    }

    fn judge(bytes: &[u8]) -> Result<ClientMetadata, MetadataError> {
        read(bytes, ID, &RedirectPolicy::default()).map(|(metadata, _)| metadata)
    }

    /// CIMD-16, CIMD-17, CIMD-11, CIMD-27, CIMD-28, CIMD-29, CIMD-30, CIMD-31, CIMD-32, CIMD-57,
    /// MCP-AS-22, MCP-AS-23, R20: what makes a document worthless.
    #[test]
    fn documents_that_are_refused() {
        use serde_json::json;
        let statement = |claims: serde_json::Value| {
            let payload = URL_SAFE_NO_PAD.encode(claims.to_string());
            json!(format!("eyJhbGciOiJub25lIn0.{payload}."))
        };
        let key = |member: &str| json!({"keys": [{"kty": "EC", "crv": "P-256", member: "x"}]});
        let mut bad = vec![
            b"[]".to_vec(),
            b"null".to_vec(),
            b"{}x".to_vec(),
            b"\xff".to_vec(),
            document(|members| {
                members.remove("client_id");
            }),
            document(|members| {
                members.remove("client_name");
            }),
            document(|members| {
                members.remove("redirect_uris");
            }),
            set("client_id", json!(1)),
            set("redirect_uris", json!([])),
            set(
                "redirect_uris",
                json!(["https://app.example.com/cb", "javascript:alert(1)"]),
            ),
            set("client_secret", json!("")),
            set("client_secret", json!("s")),
            set("client_secret_expires_at", json!(0)),
            set(
                "token_endpoint_auth_methods_supported",
                json!(["none", "client_secret_basic"]),
            ),
            set(
                "software_statement",
                statement(json!({"client_secret": "x"})),
            ),
            set(
                "software_statement",
                statement(json!({"token_endpoint_auth_method": "client_secret_post"})),
            ),
            set(
                "software_statement",
                statement(json!({"token_endpoint_auth_methods_supported": ["client_secret_jwt"]})),
            ),
            set("software_statement", statement(json!({"jwks": key("d")}))),
            set("grant_types", json!(["implicit"])),
            set("jwks_uri", json!("http://app.example.com/jwks")),
        ];
        for method in [
            "client_secret_post",
            "client_secret_basic",
            "client_secret_jwt",
        ] {
            bad.push(set("token_endpoint_auth_method", json!(method)));
        }
        for other in [
            "https://app.example.com:443/client.json",
            "https://app.example.com/client.json/",
            "https://APP.example.com/client.json",
        ] {
            bad.push(set("client_id", json!(other)));
        }
        for member in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
            bad.push(set("jwks", key(member)));
        }
        bad.push(document(|members| {
            members.insert("jwks".into(), key("x"));
            members.insert("jwks_uri".into(), json!("https://app.example.com/jwks"));
        }));
        bad.push(document(|members| {
            members.insert("token_endpoint_auth_method".into(), json!("none"));
            members.insert(
                "token_endpoint_auth_methods_supported".into(),
                json!(["private_key_jwt"]),
            );
        }));
        for bytes in bad {
            assert!(
                judge(&bytes).is_err(),
                "{}",
                String::from_utf8_lossy(&bytes)
            );
        }
    }

    /// CIMD-59: none of the declared methods is ours → `unauthorized_client`.
    #[test]
    fn a_document_without_a_usable_method_is_unauthorized() {
        for value in ["spiffe_jwt", "tls_client_auth"] {
            let failure = judge(&set("token_endpoint_auth_method", value.into())).unwrap_err();
            assert_eq!(failure.code(), ErrorCode::UnauthorizedClient);
        }
        let keyless = judge(&set("token_endpoint_auth_method", "private_key_jwt".into()));
        assert_eq!(keyless.unwrap_err().code(), ErrorCode::UnauthorizedClient);
    }

    /// CIMD-22, CIMD-23, CIMD-24, CIMD-25, CIMD-26, CIMD-54, CIMD-55, CIMD-58: what is tolerated.
    #[test]
    fn documents_that_are_tolerated() {
        use crate::client_metadata::{ApplicationType, AuthMethod};
        use serde_json::json;
        let plain = judge(&document(|_| {})).unwrap();
        assert!(plain.auth_methods.is_public());
        let many = judge(&document(|members| {
            members.insert(
                "token_endpoint_auth_methods_supported".into(),
                json!(["private_key_jwt"]),
            );
            members.insert("jwks_uri".into(), json!("https://app.example.com/jwks"));
        }));
        assert!(!many.unwrap().auth_methods.accepts(AuthMethod::None));
        let mixed = set(
            "token_endpoint_auth_methods_supported",
            json!(["none", "private_key_jwt", "spiffe_jwt"]),
        );
        assert!(
            judge(&mixed)
                .unwrap()
                .auth_methods
                .accepts(AuthMethod::None)
        );
        let local = judge(&set("redirect_uris", json!(["http://127.0.0.1/callback"]))).unwrap();
        assert_eq!(local.application_type, ApplicationType::Native);
        let grants = json!([
            "authorization_code",
            "refresh_token",
            "urn:ietf:params:oauth:grant-type:jwt-bearer"
        ]);
        assert!(
            judge(&set("grant_types", grants))
                .unwrap()
                .grant_types
                .refresh_token
        );
        for (name, value) in [
            ("client_uri", json!("javascript:alert(1)")),
            ("logo_uri", json!("data:image/png;base64,x")),
            ("@context", json!({"x": [1]})),
            ("client_id_expires_at", json!(0)),
            ("policy_uri", json!(7)),
        ] {
            let read = judge(&set(name, value)).unwrap();
            assert!(
                read.client_uri.is_none() && read.logo_uri.is_none() && read.policy_uri.is_none()
            );
        }
    }
}
