//! Addresses of a known vendor that a client shows as its own (threats R7, R14): the vendor's
//! redirect beside one of a stranger, or the vendor's home page or logo while codes go elsewhere.
//!
//! Programs on a person's machine are left out: what works with a product may link to it, and what
//! returns to loopback has no site to compare with.
//!
//! Not here: hosts that only read like a known one (`homograph`).

use vestibule_protocol::{
    client_id_url::registrable_domain,
    client_metadata::{ClientMetadata, HttpsUrl},
    redirect_uri::RedirectKind,
};

use super::origins::home_sites;
use crate::catalogue::Catalogue;

/// The known host that is borrowed; for a client that is not in the catalogue itself.
pub fn borrowed(
    metadata: &ClientMetadata,
    document_host: Option<&str>,
    catalogue: &Catalogue,
) -> Option<String> {
    if let Some(host) = catalogue.borrowed_redirect(&metadata.redirect_uris) {
        return Some(host);
    }
    let returns_to_a_site = metadata
        .redirect_uris
        .iter()
        .any(|uri| uri.kind() == RedirectKind::Https);
    if !returns_to_a_site {
        return None;
    }
    let home = home_sites(metadata, document_host);
    let shown = [&metadata.client_uri, &metadata.logo_uri];
    let sites = shown.into_iter().flatten().map(HttpsUrl::host);
    let foreign = |host: &&str| !home.contains(&registrable_domain(host));
    let known = |host: &str| {
        let site = registrable_domain(host);
        catalogue.hosts().any(|known| known.domain() == site)
    };
    sites
        .filter(foreign)
        .find(|host| known(host))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signals::fixtures::{
        BODIES, CATALOGUE, DOCUMENTS, body, document, parse, registered,
    };

    const CLAUDE: &str = "https://claude.ai/api/mcp/auth_callback";

    /// R14: one row, the redirects of one registration.
    #[test]
    fn a_vendors_redirect_beside_a_strangers_is_borrowed() {
        #[rustfmt::skip]
        let rows: [(&[&str], Option<&str>); 8] = [
            (&[CLAUDE, "https://evil.example/cb"],                        Some("claude.ai")),
            (&["https://evil.example/cb", CLAUDE],                        Some("claude.ai")),
            (&[CLAUDE, "com.evil.app:/cb"],                               Some("claude.ai")),
            (&[CLAUDE],                                                   None),
            (&[CLAUDE, "https://claude.com/api/mcp/auth_callback"],       None),
            (&[CLAUDE, "http://localhost:6274/oauth/callback"],           None),
            (&["https://vscode.dev/redirect", "https://insiders.vscode.dev/redirect"], None),
            (&["https://evil.example/cb", "https://other.example/cb"],    None),
        ];
        for (uris, expected) in rows {
            let found = borrowed(&registered(Some("Notes"), uris), None, &CATALOGUE);
            assert_eq!(found.as_deref(), expected, "{uris:?}");
        }
    }

    /// R7: a home page and a logo are a vendor's only where codes go to it.
    #[test]
    fn a_vendors_home_page_is_borrowed_by_who_returns_elsewhere() {
        let with = |redirect: &str, home: &str| {
            parse(&format!(
                r#"{{"client_name":"Notes","redirect_uris":["{redirect}"],
                "client_uri":"{home}","token_endpoint_auth_method":"none"}}"#
            ))
        };
        #[rustfmt::skip]
        let rows = [
            ("https://evil.example/cb",  "https://claude.ai",         None,               Some("claude.ai")),
            ("https://evil.example/cb",  "https://www.chatgpt.com/x", None,               Some("www.chatgpt.com")),
            ("https://evil.example/cb",  "https://zed.dev",           Some("zed.dev"),    None),
            ("https://evil.example/cb",  "https://home.example",      None,               None),
            ("http://localhost:1/cb",    "https://claude.ai",         None,               None),
            (CLAUDE,                     "https://claude.ai",         None,               None),
        ];
        for (redirect, home, host, expected) in rows {
            let found = borrowed(&with(redirect, home), host, &CATALOGUE);
            assert_eq!(found.as_deref(), expected, "{redirect} {home}");
        }
    }

    #[test]
    fn live_clients_borrow_nothing() {
        for (name, _) in BODIES {
            assert_eq!(borrowed(&body(name), None, &CATALOGUE), None, "{name}");
        }
        for (name, _) in DOCUMENTS {
            let metadata = document(name);
            let id = crate::signals::fixtures::document_id(name);
            let host = id.split('/').nth(2);
            assert_eq!(borrowed(&metadata, host, &CATALOGUE), None, "{name}");
        }
    }
}
