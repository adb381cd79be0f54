//! Do the URLs of a client belong together? Home page, policy, terms, logo and keys are compared by
//! site (registrable domain) with the client itself (threats R7, R8).
//!
//! A client by document is the site of its document. A registration has no site of its own: it is
//! where its https redirects lead, or else where its home page is.
//!
//! A foreign URL is a hint: vendors own several domains, and pictures live on delivery networks.

use std::collections::BTreeSet;

use vestibule_protocol::{
    client_id_url::registrable_domain,
    client_metadata::{ClientMetadata, HttpsUrl},
    redirect_uri::{RedirectKind, RedirectUri},
};

/// A URL on another site.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ForeignUrl {
    /// The member of the metadata.
    pub member: &'static str,
    /// Its host.
    pub host: String,
}

/// The sites that a client is at home on; empty if nothing says so.
pub fn home_sites(metadata: &ClientMetadata, document_host: Option<&str>) -> BTreeSet<String> {
    if let Some(host) = document_host {
        return BTreeSet::from([registrable_domain(host)]);
    }
    let redirects: BTreeSet<String> = metadata
        .redirect_uris
        .iter()
        .filter(|uri| uri.kind() == RedirectKind::Https)
        .filter_map(RedirectUri::host)
        .map(|host| registrable_domain(&host))
        .collect();
    if redirects.is_empty() {
        let home = metadata.client_uri.as_ref().map(HttpsUrl::host);
        home.map(registrable_domain).into_iter().collect()
    } else {
        redirects
    }
}

/// The URLs on another site than the client. Where nothing says which site it is at home on, each
/// is foreign.
pub fn foreign_urls(metadata: &ClientMetadata, document_host: Option<&str>) -> Vec<ForeignUrl> {
    let home = home_sites(metadata, document_host);
    [
        ("client_uri", &metadata.client_uri),
        ("policy_uri", &metadata.policy_uri),
        ("tos_uri", &metadata.tos_uri),
        ("logo_uri", &metadata.logo_uri),
        ("jwks_uri", &metadata.jwks_uri),
    ]
    .into_iter()
    .filter_map(|(member, url)| Some((member, url.as_ref()?.host())))
    .filter(|(_, host)| !home.contains(&registrable_domain(host)))
    .map(|(member, host)| ForeignUrl {
        member,
        host: host.to_owned(),
    })
    .collect()
}

/// What a page says of one.
pub fn sentence(foreign: &ForeignUrl) -> String {
    let what = match foreign.member {
        "client_uri" => "home page",
        "policy_uri" => "privacy policy",
        "tos_uri" => "terms of service",
        "logo_uri" => "logo",
        _ => "public key",
    };
    format!(
        "Its {what} is on another site than the app itself: {}.",
        foreign.host
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signals::fixtures::{body, document, parse};

    fn client(members: &str) -> ClientMetadata {
        parse(&format!(
            r#"{{"token_endpoint_auth_method":"none","client_name":"x",{members}}}"#
        ))
    }

    fn members(found: &[ForeignUrl]) -> Vec<&'static str> {
        found.iter().map(|url| url.member).collect()
    }

    /// R7, R8: one row, one client, which of its URLs are foreign.
    #[test]
    fn urls_belong_to_the_client_or_not() {
        let https = r#""redirect_uris":["https://app.notes.example/cb"]"#;
        let local = r#""redirect_uris":["http://localhost/cb"]"#;
        #[rustfmt::skip]
        let rows: [(ClientMetadata, Option<&str>, &[&str]); 11] = [
            (document("claude-ai"),      Some("claude.ai"),    &[]),
            (document("chatgpt-stable"), Some("chatgpt.com"),  &[]),
            (document("vscode"),         Some("vscode.dev"),   &["client_uri"]),
            (body("cursor"),             None,                 &[]),
            (body("mcp-remote"),         None,                 &[]),
            (client(&format!(r#"{https},"client_uri":"https://notes.example/""#)), None, &[]),
            (client(&format!(r#"{https},"client_uri":"https://claude.ai/""#)), None, &["client_uri"]),
            (client(&format!(r#"{https},"logo_uri":"https://claude.ai/l.png""#)), Some("notes.example"), &["logo_uri"]),
            (client(&format!(r#"{local},"client_uri":"https://a.example","tos_uri":"https://b.example""#)), None, &["tos_uri"]),
            (client(&format!(r#"{local},"policy_uri":"https://b.example""#)), None, &["policy_uri"]),
            // Two tenants of one hosting domain are two sites.
            (client(&format!(r#"{local},"client_uri":"https://a.github.io""#)), Some("b.github.io"), &["client_uri"]),
        ];
        for (metadata, host, expected) in rows {
            let found = foreign_urls(&metadata, host);
            assert_eq!(
                members(&found),
                expected,
                "{:?} {host:?}",
                metadata.client_name
            );
            for url in &found {
                assert!(sentence(url).contains(&url.host));
            }
        }
    }
}
