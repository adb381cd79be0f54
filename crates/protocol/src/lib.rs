//! Words and rules of the specifications. Pure: no I/O, no clock, no randomness, no async.
//!
//! `parse` takes untrusted text and returns a type that proves the text met the rules; there is no
//! `check` that forgets what it learned. Domain types are not `Serialize`: what goes over the wire
//! is converted by hand at the edge ([`registration`], [`server_metadata`], [`token_response`]).
//!
//! Not here: who may do what (`policy`), what was said before (`store`), any network.

pub mod audit;
pub mod authorize;
pub mod challenge;
pub mod cimd_document;
pub mod client_id;
pub mod client_id_url;
pub mod client_metadata;
pub mod error_code;
pub mod ids;
pub mod issuer;
pub mod json;
pub mod pkce;
pub mod protected_resource;
pub mod redirect_uri;
pub mod registration;
pub mod resource_indicator;
pub mod scope;
pub mod secret;
pub mod server_metadata;
pub mod time;
pub mod token_request;
pub mod token_response;
pub mod trust;

/// SHA-256: identity of clients, PKCE, digests.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref());
    out
}
