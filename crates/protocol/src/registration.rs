//! The registration response (RFC 7591 §3.2.1) and the update request (RFC 7592 §2.2).

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    client_metadata::{
        self, AuthMethod, ClientMetadata, DisplayName, HttpsUrl, MetadataDoor, MetadataError,
    },
    json::Json,
    redirect_uri::{RedirectPolicy, RedirectUri},
};

/// What was registered: everything, also what was filled in (DCR-12). Absent members are left out;
/// never `null`, never `""` (QUIRK-40).
#[derive(Clone, Debug, Serialize)]
pub struct RegistrationResponse {
    client_id: String,
    client_id_issued_at: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret_expires_at: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    registration_client_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    registration_access_token: Option<String>,
    redirect_uris: Vec<String>,
    grant_types: Vec<&'static str>,
    response_types: Vec<&'static str>,
    token_endpoint_auth_method: &'static str,
    /// RP Metadata Choices: only where there is a choice.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    token_endpoint_auth_methods_supported: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_endpoint_auth_signing_alg: Option<String>,
    application_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_name: Option<String>,
    #[serde(flatten)]
    localized: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logo_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tos_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwks: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwks_uri: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    contacts: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    software_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    software_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id_token_signed_response_alg: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    require_pushed_authorization_requests: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    default_max_age: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    require_auth_time: Option<bool>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    post_logout_redirect_uris: Vec<String>,
}

/// Credentials that go with a response.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// The secret; `client_secret_expires_at` is 0, never (DCR-10).
    pub client_secret: Option<String>,
    /// RFC 7592: where, and the token. Both or neither (ODCR-07).
    pub management: Option<(String, String)>,
}

impl RegistrationResponse {
    /// Of what was registered.
    pub fn of(
        metadata: &ClientMetadata,
        client_id: &str,
        issued_at: u64,
        credentials: Credentials,
    ) -> Self {
        let url = |url: &Option<HttpsUrl>| url.as_ref().map(|url| url.as_str().to_owned());
        let uris = |list: &[RedirectUri]| list.iter().map(|uri| uri.as_str().to_owned()).collect();
        let methods: Vec<_> = metadata
            .auth_methods
            .iter()
            .map(AuthMethod::as_str)
            .collect();
        let choices = if methods.len() > 1 {
            methods
        } else {
            Vec::new()
        };
        let (uri, token) = credentials.management.unzip();
        Self {
            client_id: client_id.to_owned(),
            client_id_issued_at: issued_at,
            client_secret_expires_at: credentials.client_secret.as_ref().map(|_| 0),
            client_secret: credentials.client_secret,
            registration_client_uri: uri,
            registration_access_token: token,
            redirect_uris: uris(&metadata.redirect_uris),
            grant_types: metadata.grant_types.names(),
            response_types: if metadata.grant_types.authorization_code {
                vec!["code"]
            } else {
                vec![]
            },
            token_endpoint_auth_method: metadata.auth_methods.primary().as_str(),
            token_endpoint_auth_methods_supported: choices,
            token_endpoint_auth_signing_alg: metadata.assertion_alg.clone(),
            application_type: metadata.application_type.as_str(),
            client_name: metadata
                .client_name
                .as_ref()
                .map(|name| name.as_str().to_owned()),
            localized: metadata
                .localized_names
                .iter()
                .map(|(tag, name)| {
                    (
                        format!("client_name#{tag}"),
                        DisplayName::as_str(name).to_owned(),
                    )
                })
                .collect(),
            client_uri: url(&metadata.client_uri),
            logo_uri: url(&metadata.logo_uri),
            tos_uri: url(&metadata.tos_uri),
            policy_uri: url(&metadata.policy_uri),
            scope: metadata.scope.as_ref().map(ToString::to_string),
            jwks: metadata
                .jwks
                .as_deref()
                .and_then(|text| serde_json::from_str(text).ok()),
            jwks_uri: url(&metadata.jwks_uri),
            contacts: metadata.contacts.clone(),
            software_id: metadata.software_id.clone(),
            software_version: metadata.software_version.clone(),
            id_token_signed_response_alg: metadata.id_token_alg.clone(),
            require_pushed_authorization_requests: metadata.require_par.then_some(true),
            default_max_age: metadata.default_max_age,
            require_auth_time: metadata.require_auth_time.then_some(true),
            post_logout_redirect_uris: uris(&metadata.post_logout_redirect_uris),
        }
    }

    /// The id.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// The secret, if one was issued.
    pub fn client_secret(&self) -> Option<&str> {
        self.client_secret.as_deref()
    }

    /// The registration access token, if there is one.
    pub fn registration_access_token(&self) -> Option<&str> {
        self.registration_access_token.as_deref()
    }
}

/// An update request, read (RFC 7592 §2.2).
#[derive(Clone, Debug)]
pub struct UpdateRequest {
    /// The new metadata, whole.
    pub metadata: ClientMetadata,
    /// The secret that the client says it has; must be the current one (DCRM-08).
    pub client_secret: Option<String>,
}

/// Members that a client must not send back (DCRM-07).
const SERVER_MEMBERS: [&str; 4] = [
    "registration_access_token",
    "registration_client_uri",
    "client_secret_expires_at",
    "client_id_issued_at",
];

/// Read an update for this client.
pub fn read_update(
    bytes: &[u8],
    client_id: &str,
    client_credentials_allowed: bool,
    policy: &RedirectPolicy,
) -> Result<UpdateRequest, MetadataError> {
    let members = client_metadata::object(bytes)?;
    if let Some(name) = SERVER_MEMBERS
        .iter()
        .find(|name| members.contains_key(**name))
    {
        return Err(MetadataError::metadata(format!(
            "{name}: is set by the server only"
        )));
    }
    if members.get("client_id").and_then(Json::as_text) != Some(client_id) {
        return Err(MetadataError::metadata(
            "client_id: must be there and be this client's",
        ));
    }
    let client_secret = match members.get("client_secret") {
        None => None,
        Some(Json::Text(secret)) => Some(secret.clone()),
        Some(_) => return Err(MetadataError::metadata("client_secret: must be a string")),
    };
    let door = MetadataDoor::Dcr {
        client_credentials_allowed,
    };
    let (metadata, _) = ClientMetadata::parse_json(bytes, door, policy)?;
    Ok(UpdateRequest {
        metadata,
        client_secret,
    })
}
