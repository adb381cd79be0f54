//! Protects an MCP server, or any HTTP API, with tokens of a Vestibule hub (or of any server that
//! follows RFC 8414 and RFC 9068).
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use vestibule_resource::{McpScopes, Protection, ProtectionSettings};
//!
//! let scopes = McpScopes::default().any(["mcp:read"]).tool("write_note", ["mcp:write"]);
//! let settings = ProtectionSettings::new("https://hub.example", "https://mcp.example/mcp")?;
//! let protection = Protection::new(settings.scopes(scopes))?;
//! # let mcp = tower::service_fn(|_| async { Ok::<_, std::convert::Infallible>(http::Response::new(axum::body::Body::empty())) });
//! let app: axum::Router = axum::Router::new().route_service("/mcp", mcp).layer(protection.layer());
//! # Ok(()) }
//! ```
//!
//! The layer answers the metadata paths of RFC 9728 itself, challenges requests without a good
//! token (401) or without enough scopes (403, naming *all* that the operation needs), and puts a
//! [`VerifiedToken`] into the extensions of every request that it lets through.
//!
//! | Rule                                                   | Where          |
//! |--------------------------------------------------------|----------------|
//! | which keys, and when they are asked for again          | [`keys`]       |
//! | what makes a token good (RFC 9068 §4)                  | [`verifier`]   |
//! | what an MCP message needs                              | [`scopes`]     |
//! | metadata, challenges, CORS, origins                    | [`layer`]      |
//!
//! Tokens are taken from the `Authorization` header only, and never handed on (MCP-RS-07,
//! MCP-RS-08): forwarding one upstream is what a token for the wrong audience looks like.
//!
//! Not here: following the hub's revocations before a token expires; access tokens live ten to
//! sixty minutes. No dependency on the hub's engine, store or server.

mod keys;
mod layer;
mod scopes;
mod settings;
mod verifier;

pub use layer::{Protect, ProtectLayer};
pub use scopes::{McpScopes, Need};
pub use settings::{Protection, ProtectionSettings, SettingsError};
pub use verifier::{Refusal, VerifiedToken};
