//! Authorization server metadata (RFC 8414, OpenID Connect Discovery): one object on all
//! well-known paths (AS-05, MCP-AS-03). Members whose default would be wrong for us are stated
//! (AS-09); empty lists are left out (AS-07).

use serde::Serialize;

use crate::{issuer::Issuer, scope};

/// What the settings and the configuration decide.
#[derive(Clone, Debug)]
pub struct MetadataInputs {
    /// The DCR door lets somebody in.
    pub dcr_open: bool,
    /// The CIMD door lets somebody in.
    pub cimd_open: bool,
    /// Scopes of the resources and the identity scopes.
    pub scopes_supported: Vec<String>,
    /// RFC 9728 §4.
    pub resources: Vec<String>,
}

/// RFC 8414 §2.
#[expect(
    clippy::struct_excessive_bools,
    reason = "the members of RFC 8414 are what they are"
)]
#[derive(Clone, Debug, Serialize)]
pub struct ServerMetadata {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    registration_endpoint: Option<String>,
    userinfo_endpoint: String,
    end_session_endpoint: String,
    revocation_endpoint: String,
    introspection_endpoint: String,
    pushed_authorization_request_endpoint: String,
    require_pushed_authorization_requests: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    scopes_supported: Vec<String>,
    response_types_supported: &'static [&'static str],
    response_modes_supported: &'static [&'static str],
    grant_types_supported: &'static [&'static str],
    token_endpoint_auth_methods_supported: &'static [&'static str],
    token_endpoint_auth_signing_alg_values_supported: &'static [&'static str],
    revocation_endpoint_auth_methods_supported: &'static [&'static str],
    revocation_endpoint_auth_signing_alg_values_supported: &'static [&'static str],
    introspection_endpoint_auth_methods_supported: &'static [&'static str],
    introspection_endpoint_auth_signing_alg_values_supported: &'static [&'static str],
    code_challenge_methods_supported: &'static [&'static str],
    authorization_response_iss_parameter_supported: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id_metadata_document_supported: Option<bool>,
    request_parameter_supported: bool,
    request_uri_parameter_supported: bool,
    claims_parameter_supported: bool,
    subject_types_supported: &'static [&'static str],
    id_token_signing_alg_values_supported: &'static [&'static str],
    claims_supported: &'static [&'static str],
    prompt_values_supported: &'static [&'static str],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    protected_resources: Vec<String>,
}

/// `none` first: some clients take the first entry (QUIRK-03).
const METHODS: &[&str] = &[
    "none",
    "private_key_jwt",
    "client_secret_post",
    "client_secret_basic",
];
const PROVEN_METHODS: &[&str] = &[
    "private_key_jwt",
    "client_secret_post",
    "client_secret_basic",
];
const ASSERTION_ALGS: &[&str] = &["ES256", "EdDSA", "RS256", "PS256"];

impl ServerMetadata {
    /// For these settings.
    pub fn build(issuer: &Issuer, inputs: &MetadataInputs) -> Self {
        Self {
            issuer: issuer.as_str().to_owned(),
            authorization_endpoint: issuer.endpoint("/authorize"),
            token_endpoint: issuer.endpoint("/token"),
            jwks_uri: issuer.endpoint("/jwks.json"),
            registration_endpoint: inputs.dcr_open.then(|| issuer.endpoint("/register")),
            userinfo_endpoint: issuer.endpoint("/userinfo"),
            end_session_endpoint: issuer.endpoint("/logout"),
            revocation_endpoint: issuer.endpoint("/revoke"),
            introspection_endpoint: issuer.endpoint("/introspect"),
            pushed_authorization_request_endpoint: issuer.endpoint("/par"),
            require_pushed_authorization_requests: false,
            scopes_supported: inputs.scopes_supported.clone(),
            response_types_supported: &["code"],
            response_modes_supported: &["query"],
            grant_types_supported: &["authorization_code", "refresh_token", "client_credentials"],
            token_endpoint_auth_methods_supported: METHODS,
            token_endpoint_auth_signing_alg_values_supported: ASSERTION_ALGS,
            revocation_endpoint_auth_methods_supported: METHODS,
            revocation_endpoint_auth_signing_alg_values_supported: ASSERTION_ALGS,
            introspection_endpoint_auth_methods_supported: PROVEN_METHODS,
            introspection_endpoint_auth_signing_alg_values_supported: ASSERTION_ALGS,
            code_challenge_methods_supported: &["S256"],
            authorization_response_iss_parameter_supported: true,
            client_id_metadata_document_supported: inputs.cimd_open.then_some(true),
            request_parameter_supported: false,
            request_uri_parameter_supported: false,
            claims_parameter_supported: false,
            subject_types_supported: &["public"],
            id_token_signing_alg_values_supported: &["RS256", "ES256"],
            claims_supported: &[
                "sub",
                "iss",
                "aud",
                "exp",
                "iat",
                "auth_time",
                "nonce",
                "name",
                "preferred_username",
                "email",
                "email_verified",
            ],
            prompt_values_supported: &["none", "login", "consent", "select_account"],
            protected_resources: inputs.resources.clone(),
        }
    }
}

/// Every path on which clients look for the metadata of this issuer (MCP-AS-03), host-absolute.
pub fn well_known_paths(issuer: &Issuer) -> Vec<String> {
    const OAUTH: &str = "/.well-known/oauth-authorization-server";
    const OPENID: &str = "/.well-known/openid-configuration";
    let path = issuer.path();
    let mut paths = vec![format!("{OAUTH}{path}"), format!("{OPENID}{path}")];
    if !path.is_empty() {
        paths.extend([format!("{path}{OPENID}"), format!("{path}{OAUTH}")]);
    }
    paths
}

/// Whether a scope is advertised by every hub, whatever its resources.
pub fn is_identity_scope(token: &str) -> bool {
    scope::identity_scopes().contains_key(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(dcr_open: bool, cimd_open: bool) -> serde_json::Value {
        let issuer = Issuer::parse("https://as.example/t1").unwrap();
        let inputs = MetadataInputs {
            dcr_open,
            cimd_open,
            scopes_supported: vec!["mcp:read".into(), "offline_access".into()],
            resources: vec![],
        };
        serde_json::to_value(ServerMetadata::build(&issuer, &inputs)).unwrap()
    }

    /// AS-02, AS-03, AS-04, AS-05, MCP-AS-03, QUIRK-39: every variant.
    #[test]
    fn the_metadata_is_on_every_path_that_clients_try() {
        let paths = |raw| well_known_paths(&Issuer::parse(raw).unwrap());
        assert_eq!(paths("https://as.example").len(), 2);
        assert_eq!(
            paths("https://as.example/t1"),
            [
                "/.well-known/oauth-authorization-server/t1",
                "/.well-known/openid-configuration/t1",
                "/t1/.well-known/openid-configuration",
                "/t1/.well-known/oauth-authorization-server",
            ]
        );
    }

    /// AS-16, CIMD-69, DCR-03: the metadata mirrors the doors.
    #[test]
    fn closed_doors_are_not_advertised() {
        let open = built(true, true);
        assert_eq!(
            open["registration_endpoint"],
            "https://as.example/t1/register"
        );
        assert_eq!(open["client_id_metadata_document_supported"], true);
        let closed = built(false, false);
        assert!(closed.get("registration_endpoint").is_none());
        assert!(
            closed
                .get("client_id_metadata_document_supported")
                .is_none()
        );
    }

    /// AS-07, AS-08, AS-09, AS-10, AS-11, PKCE-07, MCP-AS-05, MCP-AS-32, ISS-02, QUIRK-01,
    /// QUIRK-02, QUIRK-03, QUIRK-33, QUIRK-42, CIMD-71: what clients read first.
    #[test]
    fn members_that_clients_depend_on() {
        let metadata = built(true, true);
        for (name, value) in metadata.as_object().unwrap() {
            assert!(
                !value.is_null() && value != "" && value != &serde_json::json!([]),
                "{name}"
            );
        }
        assert_eq!(metadata["token_endpoint_auth_methods_supported"][0], "none");
        assert_eq!(
            metadata["code_challenge_methods_supported"],
            serde_json::json!(["S256"])
        );
        assert_eq!(
            metadata["authorization_response_iss_parameter_supported"],
            true
        );
        assert_eq!(
            metadata["response_types_supported"],
            serde_json::json!(["code"])
        );
        for needed in [
            "issuer",
            "authorization_endpoint",
            "token_endpoint",
            "jwks_uri",
            "subject_types_supported",
            "grant_types_supported",
            "response_modes_supported",
            "request_uri_parameter_supported",
            "revocation_endpoint_auth_methods_supported",
            "token_endpoint_auth_signing_alg_values_supported",
        ] {
            assert!(metadata.get(needed).is_some(), "{needed}");
        }
        assert!(
            metadata["id_token_signing_alg_values_supported"]
                .as_array()
                .unwrap()
                .contains(&"RS256".into())
        );
        assert!(
            metadata["scopes_supported"]
                .as_array()
                .unwrap()
                .contains(&"offline_access".into())
        );
    }
}
