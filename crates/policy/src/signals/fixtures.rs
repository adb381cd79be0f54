//! What tests of signals look at: the live-shaped fixtures of `protocol`, and small registrations.

use std::sync::LazyLock;

use vestibule_protocol::{
    client_metadata::{ClientMetadata, MetadataDoor},
    redirect_uri::{RedirectPolicy, RedirectUri},
};

use crate::catalogue::Catalogue;

/// The shipped catalogue, read once.
pub(crate) static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| Catalogue::shipped().unwrap());

macro_rules! data {
    ($folder:literal, [$($name:literal),* $(,)?]) => {
        &[$((
            $name,
            include_str!(concat!("../../../protocol/tests/data/", $folder, "/", $name, ".json")),
        )),*]
    };
}

/// Documents, by name.
pub(crate) const DOCUMENTS: &[(&str, &str)] = data!(
    "cimd",
    [
        "chatgpt-connector",
        "chatgpt-stable",
        "claude-ai",
        "claude-code",
        "codex",
        "goose",
        "mcpjam",
        "opencode",
        "vscode",
        "zed",
    ]
);
/// Registration bodies, by name.
pub(crate) const BODIES: &[(&str, &str)] = data!(
    "dcr",
    [
        "claude-code",
        "copilot-studio",
        "cursor",
        "gemini-cli",
        "lm-studio",
        "mcp-remote",
        "python-sdk",
        "rmcp",
        "typescript-sdk",
        "vscode",
    ]
);

const DCR: MetadataDoor = MetadataDoor::Dcr {
    client_credentials_allowed: false,
};

fn text(list: &[(&str, &'static str)], name: &str) -> &'static str {
    let found = list.iter().find(|(known, _)| *known == name);
    found.unwrap_or_else(|| panic!("no fixture {name}")).1
}

/// A registration fixture.
pub(crate) fn body(name: &str) -> ClientMetadata {
    parse(text(BODIES, name))
}

/// A registration from its JSON.
pub(crate) fn parse(json: &str) -> ClientMetadata {
    ClientMetadata::parse_json(json.as_bytes(), DCR, &RedirectPolicy::default())
        .unwrap()
        .0
}

/// The `client_id` of a document fixture.
pub(crate) fn document_id(name: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(text(DOCUMENTS, name)).unwrap();
    value["client_id"].as_str().unwrap().to_owned()
}

/// A document fixture.
pub(crate) fn document(name: &str) -> ClientMetadata {
    let policy = RedirectPolicy::default();
    let bytes = text(DOCUMENTS, name).as_bytes();
    vestibule_protocol::cimd_document::read(bytes, &document_id(name), &policy)
        .unwrap()
        .0
}

/// A public client with this name and these redirects.
pub(crate) fn registered(name: Option<&str>, redirects: &[&str]) -> ClientMetadata {
    let mut value = serde_json::json!({
        "redirect_uris": redirects,
        "token_endpoint_auth_method": "none",
    });
    if let Some(name) = name {
        value["client_name"] = name.into();
    }
    parse(&value.to_string())
}

/// Redirect URIs from their text.
pub(crate) fn redirects(uris: &[&str]) -> Vec<RedirectUri> {
    uris.iter()
        .map(|uri| RedirectUri::parse(uri, &RedirectPolicy::default()).unwrap())
        .collect()
}
