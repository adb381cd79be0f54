//! A protected MCP server: the official Rust SDK behind `vestibule-resource`. Two tools, one that
//! looks and one that changes something, so that step-up can be seen.
//!
//! This is the example to copy: [`router`] is all there is to protecting a server.

use std::sync::{Arc, Mutex, PoisonError};

use rmcp::{
    ServerHandler,
    handler::server::{router::tool::ToolRouter, tool::Extension, wrapper::Parameters},
    model::{ServerCapabilities, ServerConfig},
    schemars, tool, tool_handler, tool_router,
    transport::streamable_http_server::{
        StreamableHttpServerConfig, StreamableHttpService, session::local::LocalSessionManager,
    },
};
use vestibule_resource::{McpScopes, Protection, ProtectionSettings, SettingsError, VerifiedToken};

/// What a note says.
#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
pub struct WriteNote {
    /// The text of the note
    pub text: String,
}

/// The tools.
#[derive(Clone)]
pub struct Notes {
    #[expect(dead_code, reason = "the macro of the SDK builds its router anew")]
    tool_router: ToolRouter<Self>,
    notes: Arc<Mutex<Vec<String>>>,
}

/// Notes kept at most.
const NOTES_MAX: usize = 1_000;

#[tool_router]
impl Notes {
    fn new(notes: Arc<Mutex<Vec<String>>>) -> Self {
        Self {
            tool_router: Self::tool_router(),
            notes,
        }
    }

    /// Says who is calling, by the token.
    #[expect(
        clippy::unused_self,
        reason = "the router calls every tool as a method"
    )]
    #[tool(description = "Says who you are, through which client, and what you may do")]
    fn whoami(&self, Extension(parts): Extension<http::request::Parts>) -> String {
        match parts.extensions.get::<VerifiedToken>() {
            Some(token) => format!(
                "subject {}, client {}, scopes {}",
                token.subject(),
                token.client_id(),
                token.scopes()
            ),
            None => "nobody".to_owned(),
        }
    }

    /// Keeps a note. Needs `mcp:write`.
    #[tool(description = "Keeps a note")]
    fn write_note(&self, Parameters(WriteNote { text }): Parameters<WriteNote>) -> String {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        if notes.len() >= NOTES_MAX {
            return "there is no room for another note".to_owned();
        }
        notes.push(text);
        format!("note {} is kept", notes.len())
    }
}

#[tool_handler]
impl ServerHandler for Notes {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_instructions("Notes behind a Vestibule hub")
    }
}

/// The server: MCP on the path of `resource`, everything behind tokens of `issuer`.
pub fn router(issuer: &str, resource: &str) -> Result<axum::Router, SettingsError> {
    let notes = Arc::new(Mutex::new(Vec::new()));
    let config = StreamableHttpServerConfig::default().with_legacy_session_mode(true);
    let mcp = StreamableHttpService::new(
        move || Ok(Notes::new(notes.clone())),
        Arc::new(LocalSessionManager::default()),
        config,
    );
    let scopes = McpScopes::default()
        .any(["mcp:read"])
        .tool("write_note", ["mcp:write"]);
    let settings = ProtectionSettings::new(issuer, resource)?
        .scopes(scopes)
        .name("Demo MCP server");
    let protection = Protection::new(settings)?;
    Ok(axum::Router::new()
        .route_service(&path_of(resource), mcp)
        .layer(protection.layer()))
}

fn path_of(resource: &str) -> String {
    let rest = resource.split_once("://").map_or("", |(_, rest)| rest);
    let path = rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/");
    path.to_owned()
}
