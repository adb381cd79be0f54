//! Protected resource metadata (RFC 9728).

use serde::Serialize;
use url::Url;

use crate::resource_indicator::ResourceUri;

/// RFC 9728 §2, what we publish of it. Empty lists are left out (PRM-03).
#[derive(Clone, Debug, Serialize)]
pub struct ProtectedResourceMetadata {
    /// The resource, identical to what its clients use (PRM-04).
    pub resource: String,
    /// Issuers, ours first (MCP-RS-02).
    pub authorization_servers: Vec<String>,
    /// The minimal useful set (MCP-RS-14), never `offline_access` (MCP-RS-13).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes_supported: Vec<String>,
    /// `header` only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bearer_methods_supported: Vec<String>,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_name: Option<String>,
}

const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// Path of the metadata: the well-known string between host and path (PRM-02).
pub fn metadata_path(resource: &ResourceUri) -> String {
    let path = Url::parse(resource.as_str())
        .map(|url| url.path().to_owned())
        .unwrap_or_default();
    format!("{WELL_KNOWN}{}", path.trim_end_matches('/'))
}

/// URL of the metadata.
pub fn metadata_url(resource: &ResourceUri) -> String {
    let origin = Url::parse(resource.as_str())
        .map(|url| url.origin().ascii_serialization())
        .unwrap_or_default();
    format!("{origin}{}", metadata_path(resource))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// PRM-02, MCP-RS-03: the well-known string is inserted, a slash at the end goes first.
    #[test]
    fn the_metadata_is_where_clients_look() {
        #[rustfmt::skip]
        let rows = [
            ("https://rs.example/mcp",        "https://rs.example/.well-known/oauth-protected-resource/mcp"),
            ("https://rs.example/mcp/",       "https://rs.example/.well-known/oauth-protected-resource/mcp"),
            ("https://rs.example",            "https://rs.example/.well-known/oauth-protected-resource"),
            ("https://rs.example/",           "https://rs.example/.well-known/oauth-protected-resource"),
            ("http://127.0.0.1:9401/a/mcp",   "http://127.0.0.1:9401/.well-known/oauth-protected-resource/a/mcp"),
        ];
        for (resource, expected) in rows {
            assert_eq!(
                metadata_url(&ResourceUri::parse(resource).unwrap()),
                expected
            );
        }
    }
}
