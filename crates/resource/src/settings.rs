//! What an embedding server says: issuer, resource, scopes, and a few limits.

use std::{sync::Arc, time::Duration};

use vestibule_fetch::{FetchSettings, FetchSetupError, Fetcher};
use vestibule_protocol::{
    issuer::Issuer, protected_resource, protected_resource::ProtectedResourceMetadata,
    resource_indicator::ResourceUri,
};

use crate::{keys::Keys, layer::ProtectLayer, scopes::McpScopes, verifier::Verifier};

/// A setting cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The fetcher refused to start.
    #[error("the outbound connection guard could not be set up: {0}")]
    Fetch(#[from] FetchSetupError),
    /// Not an issuer.
    #[error("`{0}` is not an issuer: an https URL (http on loopback) without trailing slash")]
    Issuer(String),
    /// Not a resource.
    #[error("`{0}` is not a resource: an absolute http(s) URL without fragment")]
    Resource(String),
}

/// Settings of a protected resource.
#[derive(Clone, Debug)]
pub struct ProtectionSettings {
    pub(crate) issuer: Issuer,
    pub(crate) resource: ResourceUri,
    pub(crate) name: Option<String>,
    pub(crate) scopes: McpScopes,
    pub(crate) origins: Vec<String>,
    pub(crate) leeway: Duration,
    pub(crate) body_bytes_max: usize,
    pub(crate) extra_ca_pem: Vec<Vec<u8>>,
}

impl ProtectionSettings {
    /// `issuer` is the hub, byte for byte as it calls itself; `resource` is this server as its
    /// clients spell it, path included (QUIRK-29, QUIRK-35).
    pub fn new(issuer: &str, resource: &str) -> Result<Self, SettingsError> {
        Ok(Self {
            issuer: Issuer::parse(issuer).map_err(|_| SettingsError::Issuer(issuer.to_owned()))?,
            resource: ResourceUri::parse(resource)
                .map_err(|_| SettingsError::Resource(resource.to_owned()))?,
            name: None,
            scopes: McpScopes::default(),
            origins: Vec::new(),
            leeway: Duration::from_secs(10),
            body_bytes_max: 4 << 20,
            extra_ca_pem: Vec::new(),
        })
    }

    /// What operations need.
    #[must_use]
    pub fn scopes(mut self, scopes: McpScopes) -> Self {
        self.scopes = scopes;
        self
    }

    /// `resource_name` of the metadata.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Web origins (`https://app.example`) whose pages may call this server. Loopback pages and
    /// the server's own origin always may; requests without an `Origin` are not from pages
    /// (MCP-RS-15).
    #[must_use]
    pub fn origin(mut self, origin: impl Into<String>) -> Self {
        self.origins.push(origin.into());
        self
    }

    /// How far the clocks of hub and resource may be apart; 10 s by default.
    #[must_use]
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self
    }

    /// Largest request body that is read to learn what it needs; 4 MiB by default.
    #[must_use]
    pub fn body_bytes_max(mut self, bytes: usize) -> Self {
        self.body_bytes_max = bytes;
        self
    }

    /// One more trust anchor (PEM) for reaching the hub.
    #[must_use]
    pub fn extra_ca_pem(mut self, pem: Vec<u8>) -> Self {
        self.extra_ca_pem.push(pem);
        self
    }
}

/// A protected resource, ready to make layers.
#[derive(Clone)]
pub struct Protection {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) settings: ProtectionSettings,
    pub(crate) verifier: Verifier,
    pub(crate) metadata: Vec<u8>,
    pub(crate) metadata_url: String,
    /// Path of the metadata below the well-known root, such as `/.well-known/…/mcp`.
    pub(crate) metadata_path: String,
    pub(crate) own_origin: String,
}

impl Protection {
    /// Prepare; asks the hub for nothing yet. Keys are fetched with the first token.
    pub fn new(settings: ProtectionSettings) -> Result<Self, SettingsError> {
        let fetcher = Fetcher::new(FetchSettings {
            extra_ca_pem: settings.extra_ca_pem.clone(),
            ..FetchSettings::default()
        })?;
        let document = ProtectedResourceMetadata {
            resource: settings.resource.as_str().to_owned(),
            authorization_servers: vec![settings.issuer.as_str().to_owned()],
            scopes_supported: settings.scopes.supported(),
            bearer_methods_supported: vec!["header".to_owned()],
            resource_name: settings.name.clone(),
        };
        let verifier = Verifier::new(
            settings.issuer.clone(),
            settings.resource.clone(),
            settings.leeway,
            Keys::new(fetcher, settings.issuer.clone()),
        );
        let inner = Inner {
            metadata: serde_json::to_vec(&document).unwrap_or_default(),
            metadata_url: protected_resource::metadata_url(&settings.resource),
            metadata_path: protected_resource::metadata_path(&settings.resource),
            own_origin: origin_of(settings.resource.as_str()),
            settings,
            verifier,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// The tower layer. Put it around everything that the token protects, the router's fallback
    /// included, so that it sees the metadata paths.
    pub fn layer(&self) -> ProtectLayer {
        ProtectLayer::new(self.inner.clone())
    }
}

/// `scheme://host[:port]` of a URL that parsed.
pub(crate) fn origin_of(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return String::new();
    };
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    format!(
        "{}://{}",
        scheme.to_ascii_lowercase(),
        authority.to_ascii_lowercase()
    )
}
