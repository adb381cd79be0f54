//! The form of metadata in a database row: JSON with short, stable names. What does not read back
//! is a damaged row, never a client with fewer rules.

use serde::{Deserialize, Serialize};

use super::{
    ApplicationType, AuthMethod, AuthMethods, ClientMetadata, DisplayName, GrantTypes, HttpsUrl,
};
use crate::{redirect_uri::RedirectUri, scope::ScopeSet};

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    v: u8,
    redirect_uris: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    names: Vec<(String, String)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    client_uri: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    logo_uri: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tos_uri: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    policy_uri: Option<String>,
    methods: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    assertion_alg: Option<String>,
    grants: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    jwks: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    jwks_uri: Option<String>,
    kind: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    contacts: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    software_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    software_version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id_token_alg: Option<String>,
    #[serde(default, skip_serializing_if = "is_false")]
    require_par: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    default_max_age: Option<u64>,
    #[serde(default, skip_serializing_if = "is_false")]
    require_auth_time: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    post_logout: Vec<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}

/// The row cannot be read back.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("stored client metadata is damaged: {0}")]
pub struct StoredMetadataError(String);

fn texts<T>(values: &[T], text: impl Fn(&T) -> &str) -> Vec<String> {
    values.iter().map(|value| text(value).to_owned()).collect()
}

impl ClientMetadata {
    /// For a row.
    pub fn encode_stored(&self) -> String {
        let url = |url: &Option<HttpsUrl>| url.as_ref().map(|url| url.as_str().to_owned());
        let stored = Stored {
            v: 1,
            redirect_uris: texts(&self.redirect_uris, RedirectUri::as_str),
            name: self
                .client_name
                .as_ref()
                .map(|name| name.as_str().to_owned()),
            names: self
                .localized_names
                .iter()
                .map(|(tag, name)| (tag.clone(), name.as_str().to_owned()))
                .collect(),
            client_uri: url(&self.client_uri),
            logo_uri: url(&self.logo_uri),
            tos_uri: url(&self.tos_uri),
            policy_uri: url(&self.policy_uri),
            methods: self
                .auth_methods
                .iter()
                .map(|method| method.as_str().to_owned())
                .collect(),
            assertion_alg: self.assertion_alg.clone(),
            grants: self
                .grant_types
                .names()
                .into_iter()
                .map(str::to_owned)
                .collect(),
            scope: self.scope.as_ref().map(ToString::to_string),
            jwks: self.jwks.clone(),
            jwks_uri: url(&self.jwks_uri),
            kind: self.application_type.as_str().to_owned(),
            contacts: self.contacts.clone(),
            software_id: self.software_id.clone(),
            software_version: self.software_version.clone(),
            id_token_alg: self.id_token_alg.clone(),
            require_par: self.require_par,
            default_max_age: self.default_max_age,
            require_auth_time: self.require_auth_time,
            post_logout: texts(&self.post_logout_redirect_uris, RedirectUri::as_str),
        };
        serde_json::to_string(&stored).unwrap_or_default()
    }

    /// From a row. Redirect URIs were judged when they were registered; a list of schemes that
    /// shrank since does not damage rows.
    pub fn decode_stored(text: &str) -> Result<Self, StoredMetadataError> {
        let damaged = |what: &str| StoredMetadataError(what.to_owned());
        let stored: Stored =
            serde_json::from_str(text).map_err(|failure| damaged(&failure.to_string()))?;
        if stored.v != 1 {
            return Err(damaged("of a newer release"));
        }
        let redirects = |raw: &[String]| {
            raw.iter()
                .map(|raw| RedirectUri::accepted_before(raw))
                .collect::<Option<Vec<_>>>()
        };
        let url = |raw: Option<String>| match raw {
            None => Ok(None),
            Some(raw) => HttpsUrl::parse(&raw)
                .map(Some)
                .ok_or_else(|| damaged("a URL")),
        };
        let methods: Option<Vec<_>> = stored
            .methods
            .iter()
            .map(|m| AuthMethod::parse(m))
            .collect();
        let has = |name: &str| stored.grants.iter().any(|grant| grant == name);
        Ok(Self {
            redirect_uris: redirects(&stored.redirect_uris)
                .ok_or_else(|| damaged("a redirect URI"))?,
            client_name: stored.name.as_deref().and_then(DisplayName::sanitize),
            localized_names: stored
                .names
                .into_iter()
                .filter_map(|(tag, name)| Some((tag, DisplayName::sanitize(&name)?)))
                .collect(),
            client_uri: url(stored.client_uri)?,
            logo_uri: url(stored.logo_uri)?,
            tos_uri: url(stored.tos_uri)?,
            policy_uri: url(stored.policy_uri)?,
            auth_methods: methods
                .and_then(|methods| AuthMethods::of(&methods))
                .ok_or_else(|| damaged("an authentication method"))?,
            assertion_alg: stored.assertion_alg,
            grant_types: GrantTypes {
                authorization_code: has("authorization_code"),
                refresh_token: has("refresh_token"),
                client_credentials: has("client_credentials"),
            },
            scope: stored.scope.as_deref().map(ScopeSet::from_text),
            jwks: stored.jwks,
            jwks_uri: url(stored.jwks_uri)?,
            application_type: ApplicationType::parse(&stored.kind)
                .ok_or_else(|| damaged("the application type"))?,
            contacts: stored.contacts,
            software_id: stored.software_id,
            software_version: stored.software_version,
            id_token_alg: stored.id_token_alg,
            require_par: stored.require_par,
            default_max_age: stored.default_max_age,
            require_auth_time: stored.require_auth_time,
            post_logout_redirect_uris: redirects(&stored.post_logout)
                .ok_or_else(|| damaged("a logout URI"))?,
        })
    }
}
