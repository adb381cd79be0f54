//! Where all the redirects of a client lead: what a code that is sent there proves.
//!
//! One redirect is judged by [`vestibule_protocol::client_metadata::redirect_shape`]; this is the
//! set, since a policy sees the whole client (threats R14: not only the redirect in use).

use std::collections::BTreeSet;

use vestibule_protocol::{
    client_metadata::{ClientMetadata, redirect_shape},
    trust::RedirectShape,
};

/// The shapes of all redirect URIs, seen from the host of the client's document. A registration has
/// no host of its own, so each of its https redirects is on another site.
pub fn redirect_shapes(
    metadata: &ClientMetadata,
    document_host: Option<&str>,
) -> BTreeSet<RedirectShape> {
    metadata
        .redirect_uris
        .iter()
        .map(|uri| redirect_shape(uri.kind(), uri.host().as_deref(), document_host))
        .collect()
}

/// What a page says of it.
pub const fn sentence(shape: RedirectShape) -> &'static str {
    match shape {
        RedirectShape::HttpsSameSite => "It returns to its own site.",
        RedirectShape::HttpsOtherSite => "It returns to a site that nothing ties to it.",
        RedirectShape::Loopback => {
            "It returns to a program on your own computer; any program there could receive it."
        }
        RedirectShape::PrivateUse => {
            "It returns to an app on your device; another app could claim the same address."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signals::fixtures::{body, document};

    /// QUIRK-18, QUIRK-20: the shapes of live clients.
    #[test]
    fn the_shapes_of_live_clients() {
        use RedirectShape::{HttpsOtherSite, HttpsSameSite, Loopback, PrivateUse};
        #[rustfmt::skip]
        let rows: [(ClientMetadata, Option<&str>, &[RedirectShape]); 6] = [
            (document("claude-ai"),   Some("claude.ai"),       &[HttpsSameSite, HttpsOtherSite]),
            (document("claude-code"), Some("claude.ai"),       &[Loopback]),
            (document("vscode"),      Some("vscode.dev"),      &[HttpsSameSite, Loopback]),
            (document("mcpjam"),      Some("www.mcpjam.com"),  &[HttpsSameSite, Loopback, PrivateUse]),
            (body("cursor"),          None,                    &[HttpsOtherSite, Loopback, PrivateUse]),
            (body("copilot-studio"),  None,                    &[HttpsOtherSite]),
        ];
        for (metadata, host, expected) in rows {
            let found: Vec<RedirectShape> = redirect_shapes(&metadata, host).into_iter().collect();
            assert_eq!(found, expected, "{host:?}");
        }
        for shape in RedirectShape::ALL {
            assert!(sentence(*shape).ends_with('.'));
        }
    }
}
