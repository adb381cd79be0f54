//! The vocabulary from outside: what live clients send, what they can read of our answers, and
//! what holds for any input.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "what surprises a test should end it"
)]

mod answers;
mod fixtures;
mod properties;
mod shapes;

use vestibule_protocol::{
    client_metadata::{ClientMetadata, MetadataDoor, MetadataError},
    redirect_uri::RedirectPolicy,
};

const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

macro_rules! data {
    ($folder:literal, $extension:literal, [$($name:literal),* $(,)?]) => {
        [$((
            $name,
            include_str!(concat!("../data/", $folder, "/", $name, ".", $extension)),
        )),*]
    };
}

/// Documents shaped like those that vendors host (client-quirks, section 1).
const DOCUMENTS: [(&str, &str); 10] = data!(
    "cimd",
    "json",
    [
        "claude-ai",
        "claude-code",
        "chatgpt-stable",
        "chatgpt-connector",
        "codex",
        "vscode",
        "zed",
        "opencode",
        "goose",
        "mcpjam",
    ]
);

/// Registration bodies shaped like those that clients send.
const BODIES: [(&str, &str); 10] = data!(
    "dcr",
    "json",
    [
        "cursor",
        "vscode",
        "mcp-remote",
        "rmcp",
        "python-sdk",
        "typescript-sdk",
        "lm-studio",
        "copilot-studio",
        "claude-code",
        "gemini-cli",
    ]
);

/// Queries of authorization requests.
const REQUESTS: [(&str, &str); 6] = data!(
    "authorize",
    "txt",
    [
        "ephemeral-port",
        "missing-resource",
        "origin-slash-resource",
        "leading-space-scope",
        "prompt-consent",
        "no-scope",
    ]
);

const OPEN: MetadataDoor = MetadataDoor::Dcr {
    client_credentials_allowed: false,
};

fn register(body: &str) -> Result<ClientMetadata, MetadataError> {
    ClientMetadata::parse_json(body.as_bytes(), OPEN, &RedirectPolicy::default())
        .map(|(metadata, _)| metadata)
}

fn document(body: &str) -> ClientMetadata {
    let value: serde_json::Value = serde_json::from_str(body).expect("a fixture is JSON");
    let id = value["client_id"].as_str().expect("a document has an id");
    vestibule_protocol::cimd_document::read(body.as_bytes(), id, &RedirectPolicy::default())
        .expect("a live document is accepted")
        .0
}

/// Every fixture of both doors.
fn everybody() -> Vec<(&'static str, ClientMetadata)> {
    let bodies = BODIES
        .iter()
        .map(|(name, body)| (*name, register(body).expect("a live body is accepted")));
    let documents = DOCUMENTS.iter().map(|(name, body)| (*name, document(body)));
    bodies.chain(documents).collect()
}
