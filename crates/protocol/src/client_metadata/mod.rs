//! Client metadata: the one vocabulary of both doors (RFC 7591 §2, OpenID Connect Registration §2,
//! the CIMD draft §4). One validator, called for registrations, updates and documents (threats R14).
//!
//! | What                                        | Where        |
//! |---------------------------------------------|--------------|
//! | members by name and type                    | `reader`     |
//! | limits, defaults, consistency               | `read`       |
//! | methods, keys, algorithms                   | `credentials` |
//! | what differs by door                        | [`MetadataDoor`], [`crate::cimd_document`] |
//! | names that people see                       | [`names`]    |
//! | the form in a database row                  | `stored`     |
//!
//! Only named members are copied; what a client calls `trusted` or `skip_consent` is nothing here
//! (threats R11).

pub(crate) mod credentials;
pub mod names;
mod read;
mod reader;
mod stored;
#[cfg(test)]
mod tests;
mod urls;

use std::collections::{BTreeMap, BTreeSet};

pub use names::DisplayName;
pub use urls::HttpsUrl;

use crate::{
    client_id_url::registrable_domain,
    error_code::ErrorCode,
    json::Json,
    redirect_uri::{RedirectKind, RedirectPolicy, RedirectUri},
    scope::ScopeSet,
    trust::{RedirectShape, words},
};

/// DCR-31.
const BODY_BYTES_MAX: usize = 64 << 10;

words! {
    /// How a client authenticates (RFC 7591 §2, `token_endpoint_auth_method`).
    AuthMethod {
        /// It does not.
        None = "none",
        /// A secret in the header.
        ClientSecretBasic = "client_secret_basic",
        /// A secret in the body.
        ClientSecretPost = "client_secret_post",
        /// An assertion signed with its key.
        PrivateKeyJwt = "private_key_jwt",
    }
}

words! {
    /// OpenID Connect Registration §2, `application_type`.
    ApplicationType {
        /// On a person's machine.
        Native = "native",
        /// On a server.
        Web = "web",
    }
}

/// The methods that a client may use here; never empty.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AuthMethods {
    primary: AuthMethod,
    others: Vec<AuthMethod>,
}

impl AuthMethods {
    /// One.
    pub fn only(method: AuthMethod) -> Self {
        Self {
            primary: method,
            others: Vec::new(),
        }
    }

    /// Several; the first is what it prefers. `None` for an empty list.
    pub fn of(methods: &[AuthMethod]) -> Option<Self> {
        let (primary, rest) = methods.split_first()?;
        let mut others: Vec<AuthMethod> = Vec::new();
        for method in rest {
            if method != primary && !others.contains(method) {
                others.push(*method);
            }
        }
        Some(Self {
            primary: *primary,
            others,
        })
    }

    /// May it use this one?
    pub fn accepts(&self, method: AuthMethod) -> bool {
        self.iter().any(|known| known == method)
    }

    /// It has nothing to prove itself with.
    pub fn is_public(&self) -> bool {
        self.iter().all(|method| method == AuthMethod::None)
    }

    /// What it prefers.
    pub fn primary(&self) -> AuthMethod {
        self.primary
    }

    /// All, the preferred first.
    pub fn iter(&self) -> impl Iterator<Item = AuthMethod> {
        std::iter::once(self.primary).chain(self.others.iter().copied())
    }

    /// Does one of them need a secret from us?
    pub fn needs_secret(&self) -> bool {
        self.accepts(AuthMethod::ClientSecretBasic) || self.accepts(AuthMethod::ClientSecretPost)
    }
}

/// The grants that a client may use here.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct GrantTypes {
    /// RFC 6749 §4.1.
    pub authorization_code: bool,
    /// RFC 6749 §6.
    pub refresh_token: bool,
    /// RFC 6749 §4.4.
    pub client_credentials: bool,
}

impl GrantTypes {
    /// As registered.
    pub fn names(self) -> Vec<&'static str> {
        [
            (self.authorization_code, "authorization_code"),
            (self.refresh_token, "refresh_token"),
            (self.client_credentials, "client_credentials"),
        ]
        .into_iter()
        .filter_map(|(has, name)| has.then_some(name))
        .collect()
    }
}

/// What a client says of itself, checked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ClientMetadata {
    /// Where the browser may be sent.
    pub redirect_uris: Vec<RedirectUri>,
    /// What it calls itself.
    pub client_name: Option<DisplayName>,
    /// The same in other languages (RFC 7591 §2.2): tag and name.
    pub localized_names: Vec<(String, DisplayName)>,
    /// Its home page.
    pub client_uri: Option<HttpsUrl>,
    /// Its picture.
    pub logo_uri: Option<HttpsUrl>,
    /// Its terms.
    pub tos_uri: Option<HttpsUrl>,
    /// Its privacy policy.
    pub policy_uri: Option<HttpsUrl>,
    /// How it authenticates.
    pub auth_methods: AuthMethods,
    /// `token_endpoint_auth_signing_alg`: the only algorithm of its assertions.
    pub assertion_alg: Option<String>,
    /// What it may ask the token endpoint for.
    pub grant_types: GrantTypes,
    /// What it asks for by default; never a ceiling (QUIRK-64).
    pub scope: Option<ScopeSet>,
    /// Its public keys, as JSON text.
    pub jwks: Option<String>,
    /// Where its public keys are.
    pub jwks_uri: Option<HttpsUrl>,
    /// Where it runs.
    pub application_type: ApplicationType,
    /// Never shown to people by default.
    pub contacts: Vec<String>,
    /// The same for all installations.
    pub software_id: Option<String>,
    /// Its version.
    pub software_version: Option<String>,
    /// `id_token_signed_response_alg`.
    pub id_token_alg: Option<String>,
    /// RFC 9126 §6.
    pub require_par: bool,
    /// OpenID Connect Registration §2, seconds.
    pub default_max_age: Option<u64>,
    /// OpenID Connect Registration §2.
    pub require_auth_time: bool,
    /// OpenID Connect RP-Initiated Logout §3.1.
    pub post_logout_redirect_uris: Vec<RedirectUri>,
}

/// Something dropped or odd, for the admin; nothing that a client could exploit.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Warning(pub(crate) String);

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Metadata that is refused.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{reason}")]
pub struct MetadataError {
    code: ErrorCode,
    reason: String,
}

impl MetadataError {
    pub(crate) fn metadata(reason: impl Into<String>) -> Self {
        Self {
            code: ErrorCode::InvalidClientMetadata,
            reason: reason.into(),
        }
    }

    pub(crate) fn redirect(reason: impl Into<String>) -> Self {
        Self {
            code: ErrorCode::InvalidRedirectUri,
            reason: reason.into(),
        }
    }

    pub(crate) fn unauthorized(reason: impl Into<String>) -> Self {
        Self {
            code: ErrorCode::UnauthorizedClient,
            reason: reason.into(),
        }
    }

    /// RFC 7591 §3.2.2, or `unauthorized_client` for a document without a method that we have.
    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// Which rule, for the peer.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

/// What differs by door.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MetadataDoor {
    /// A registration request or update.
    Dcr {
        /// Whether somebody vouched for it (DCR-27).
        client_credentials_allowed: bool,
    },
    /// A document.
    Cimd,
}

impl ClientMetadata {
    /// Read and judge. The errors name the member.
    pub fn parse_json(
        bytes: &[u8],
        door: MetadataDoor,
        policy: &RedirectPolicy,
    ) -> Result<(Self, Vec<Warning>), MetadataError> {
        read::metadata(&object(bytes)?, door, policy)
    }

    /// Digest of what a consent was given to (R10, CIMD-77): redirect URIs, methods, keys, name.
    /// Inline keys count by their text; a `jwks_uri` by its URL, so that rotation behind it is
    /// normal.
    pub fn security_digest(&self) -> [u8; 32] {
        self.digest(self.jwks.as_deref().unwrap_or_default())
    }

    /// Digest that a remembered consent is kept under: [`Self::security_digest`] without the text of
    /// inline keys, since rotation with an overlap is normal (CIMD-78). Whoever watches the document
    /// forgets the consent when the keys changed without one.
    pub fn consent_digest(&self) -> [u8; 32] {
        self.digest(if self.jwks.is_some() { "inline" } else { "" })
    }

    fn digest(&self, jwks: &str) -> [u8; 32] {
        let mut parts: Vec<String> = Vec::new();
        let redirects: BTreeSet<&str> =
            self.redirect_uris.iter().map(RedirectUri::as_str).collect();
        parts.extend(redirects.into_iter().map(|uri| format!("redirect {uri}")));
        let methods: BTreeSet<&str> = self.auth_methods.iter().map(AuthMethod::as_str).collect();
        parts.extend(methods.into_iter().map(|method| format!("method {method}")));
        parts.push(format!("jwks {jwks}"));
        parts.push(format!(
            "jwks_uri {}",
            self.jwks_uri.as_ref().map_or("", HttpsUrl::as_str)
        ));
        parts.push(format!(
            "name {}",
            self.client_name.as_ref().map_or("", DisplayName::as_str)
        ));
        crate::sha256(parts.join("\n").as_bytes())
    }

    /// Whether every redirect leads to the person's own machine (MCP-AS-28).
    pub fn all_loopback(&self) -> bool {
        !self.redirect_uris.is_empty()
            && self
                .redirect_uris
                .iter()
                .all(|uri| uri.kind() == RedirectKind::Loopback)
    }

    /// What several registrations of one program share: name and redirect hosts, or `software_id`.
    pub fn software_key(&self) -> [u8; 16] {
        let name = self
            .client_name
            .as_ref()
            .map(|name| name.as_str().to_lowercase());
        let hosts: BTreeSet<String> = self
            .redirect_uris
            .iter()
            .filter_map(RedirectUri::host)
            .collect();
        let text = match &self.software_id {
            Some(id) => format!("id {id}"),
            None => format!(
                "name {} hosts {}",
                name.unwrap_or_default(),
                hosts.into_iter().collect::<Vec<_>>().join(" ")
            ),
        };
        let digest = crate::sha256(text.as_bytes());
        digest.first_chunk::<16>().copied().unwrap_or_default()
    }
}

/// The members of a body, within the limit of DCR-31.
pub(crate) fn object(bytes: &[u8]) -> Result<BTreeMap<String, Json>, MetadataError> {
    if bytes.len() > BODY_BYTES_MAX {
        return Err(MetadataError::metadata("the body is longer than 64 KiB"));
    }
    Json::parse_object(bytes).map_err(|failure| MetadataError::metadata(failure.to_string()))
}

/// Where a redirect leads, seen from the host of the client's document (if it has one).
pub fn redirect_shape(
    kind: RedirectKind,
    redirect_host: Option<&str>,
    client_host: Option<&str>,
) -> RedirectShape {
    match kind {
        RedirectKind::Loopback => RedirectShape::Loopback,
        RedirectKind::PrivateUse => RedirectShape::PrivateUse,
        RedirectKind::Https => match (redirect_host, client_host) {
            (Some(redirect), Some(client))
                if registrable_domain(redirect) == registrable_domain(client) =>
            {
                RedirectShape::HttpsSameSite
            }
            _ => RedirectShape::HttpsOtherSite,
        },
    }
}
