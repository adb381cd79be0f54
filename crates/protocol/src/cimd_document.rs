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
    use serde_json::{Value, json};

    use super::*;
    use crate::{client_metadata::ApplicationType, error_code::ErrorCode};

    const ID: &str = "https://app.example.com/client.json";

    /// A good document with these members changed; `null` takes one out.
    fn judge(change: &Value) -> Result<ClientMetadata, MetadataError> {
        let mut body = json!({
            "client_id": ID, "client_name": "App", "redirect_uris": ["https://app.example.com/cb"],
        });
        let members = body.as_object_mut().unwrap();
        for (name, value) in change.as_object().unwrap() {
            members.insert(name.clone(), value.clone());
        }
        members.retain(|_, value| !value.is_null());
        read(body.to_string().as_bytes(), ID, &RedirectPolicy::default())
            .map(|(metadata, _)| metadata)
    }

    /// Each change is refused, with a reason that names the member.
    fn refused(member: &str, changes: impl IntoIterator<Item = Value>) {
        for change in changes {
            let failure = judge(&change).map(|_| ()).expect_err(&change.to_string());
            assert!(failure.reason().starts_with(member), "{change}: {failure}");
        }
    }

    fn keys(member: &str) -> Value {
        json!({"keys": [{"kty": "EC", "crv": "P-256", member: "x"}]})
    }

    /// CIMD-16, CIMD-17, CIMD-11, MCP-AS-20, MCP-AS-22, MCP-AS-23: a document says whose it is, in
    /// the octets of the URL, and has what MCP needs.
    #[test]
    fn a_document_is_of_its_own_url() {
        refused(
            "client_id",
            [
                json!({"client_id": null}),
                json!({"client_id": 1}),
                json!({"client_id": "https://app.example.com:443/client.json"}),
                json!({"client_id": "https://app.example.com/client.json/"}),
                json!({"client_id": "https://APP.example.com/client.json"}),
                json!({"client_id": "https://app.example.com/%63lient.json"}),
            ],
        );
        refused(
            "client_name",
            [json!({"client_name": null}), json!({"client_name": ""})],
        );
        refused(
            "redirect_uris",
            [
                json!({"redirect_uris": null}),
                json!({"redirect_uris": []}),
                json!({"redirect_uris": ["https://app.example.com/cb", "javascript:alert(1)"]}),
            ],
        );
        let no_objects: [&[u8]; 6] = [b"", b"[]", b"null", b"{}x", b"\xff", b"{\"client_id\":"];
        for bytes in no_objects {
            assert!(read(bytes, ID, &RedirectPolicy::default()).is_err());
        }
        let twice = format!(r#"{{"client_id":"{ID}","client_id":"{ID}","client_name":"App"}}"#);
        assert!(read(twice.as_bytes(), ID, &RedirectPolicy::default()).is_err());
    }

    /// CIMD-27, CIMD-28, CIMD-29, CIMD-30, R20: whatever is secret makes a document worthless.
    #[test]
    fn a_document_that_holds_a_secret_is_refused() {
        refused(
            "client_secret",
            [
                json!({"client_secret": ""}),
                json!({"client_secret": "s"}),
                json!({"client_secret": 0}),
                json!({"client_secret_expires_at": 0}),
            ],
        );
        let methods = [
            "client_secret_post",
            "client_secret_basic",
            "client_secret_jwt",
        ];
        refused(
            "token_endpoint_auth_method",
            methods.map(|method| json!({"token_endpoint_auth_method": method})),
        );
        refused(
            "token_endpoint_auth_methods_supported",
            methods
                .map(|method| json!({"token_endpoint_auth_methods_supported": ["none", method]})),
        );
        let private = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
        refused("jwks", private.map(|member| json!({"jwks": keys(member)})));
        refused("jwks", [json!({"jwks": {"keys": [{"kty": "oct"}]}})]);
    }

    /// CIMD-31, CIMD-38, CIMD-39: the bans reach into a statement, which is believed nothing else.
    #[test]
    fn a_statement_may_not_hold_a_secret_either() {
        let statement = |claims: Value| {
            let payload = URL_SAFE_NO_PAD.encode(claims.to_string());
            json!({"software_statement": format!("eyJhbGciOiJub25lIn0.{payload}.")})
        };
        refused(
            "software_statement",
            [
                statement(json!({"client_secret": "x"})),
                statement(json!({"client_secret_expires_at": 0})),
                statement(json!({"token_endpoint_auth_method": "client_secret_post"})),
                statement(json!({"token_endpoint_auth_methods_supported": ["client_secret_jwt"]})),
                statement(json!({"jwks": keys("d")})),
            ],
        );
        let plain = judge(&json!({})).unwrap();
        for harmless in [
            statement(json!({"client_name": "Bank", "redirect_uris": ["https://evil.example/"]})),
            json!({"software_statement": "not a JWT"}),
            json!({"software_statement": 1}),
        ] {
            assert_eq!(judge(&harmless).as_ref(), Ok(&plain), "{harmless}");
        }
    }

    /// CIMD-24, CIMD-26, CIMD-32, CIMD-57: what contradicts itself, or leaves nothing usable.
    #[test]
    fn a_document_that_contradicts_itself_is_refused() {
        let other = json!({"token_endpoint_auth_method": "none",
            "token_endpoint_auth_methods_supported": ["private_key_jwt"]});
        refused("token_endpoint_auth_method", [other]);
        let both = json!({"jwks": keys("x"), "jwks_uri": "https://app.example.com/jwks"});
        refused("jwks", [both]);
        refused(
            "jwks_uri",
            [json!({"jwks_uri": "http://app.example.com/jwks"})],
        );
        refused("grant_types", [json!({"grant_types": ["implicit"]})]);
        refused("response_types", [json!({"response_types": ["token"]})]);
    }

    /// CIMD-32, CIMD-59: none of the declared methods is usable here → `unauthorized_client`.
    #[test]
    fn a_document_without_a_usable_method_is_unauthorized() {
        for method in ["spiffe_jwt", "tls_client_auth", "private_key_jwt"] {
            let failure = judge(&json!({"token_endpoint_auth_method": method}));
            let code = failure.map(|_| ()).unwrap_err().code();
            assert_eq!(code, ErrorCode::UnauthorizedClient, "{method}");
        }
    }

    /// CIMD-22, CIMD-23, CIMD-24, CIMD-25, CIMD-54, CIMD-55, CIMD-58: what is tolerated, and what
    /// absence means.
    #[test]
    fn documents_that_are_tolerated() {
        let good = |change: Value| judge(&change).unwrap();
        let plain = good(json!({}));
        assert!(plain.auth_methods.is_public());
        let key = json!({"token_endpoint_auth_methods_supported": ["private_key_jwt"],
            "jwks_uri": "https://app.example.com/jwks"});
        assert!(
            !good(key)
                .auth_methods
                .accepts(crate::client_metadata::AuthMethod::None)
        );
        let mixed = json!(["none", "private_key_jwt", "spiffe_jwt"]);
        let mixed = good(json!({"token_endpoint_auth_methods_supported": mixed}));
        assert_eq!(mixed, plain);
        let local = good(json!({"redirect_uris": ["http://127.0.0.1/callback"]}));
        assert_eq!(local.application_type, ApplicationType::Native);
        let web =
            json!({"redirect_uris": ["http://127.0.0.1/callback"], "application_type": "web"});
        assert_eq!(good(web).application_type, ApplicationType::Native);
        let grants = [
            "authorization_code",
            "urn:ietf:params:oauth:grant-type:jwt-bearer",
            "client_credentials",
        ];
        assert_eq!(good(json!({"grant_types": grants})), plain);
        assert_eq!(
            good(json!({"@context": {"x": [1]}, "client_id_expires_at": 0})),
            plain
        );
    }
}
