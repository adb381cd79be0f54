//! How complete and consistent a client's metadata is, 0 to 100, and what is missing in words that
//! its developer can act on.
//!
//! Low quality is not malice: many honest clients send a name and a redirect and nothing else. It
//! is a nudge in a policy and a to-do list on a page. What a stranger can fill in for free proves
//! nothing, so high quality never raises anything either.
//!
//! That its links are `https` needs no points: nothing else is ever parsed (R7).

use vestibule_protocol::{
    client_metadata::{ClientMetadata, DisplayName},
    redirect_uri::RedirectKind,
};

use super::{lookalike::mixed_script, origins::foreign_urls};

/// Names that are longer do not fit beside a button.
const NAME_CHARS_LONG: usize = 40;

/// A score, and why it is not 100.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Quality {
    /// 0 to 100.
    pub score: u32,
    /// What would raise it, most important first.
    pub missing: Vec<&'static str>,
}

/// Judge; `document_host` is the host of its document, if it has one.
pub fn quality(metadata: &ClientMetadata, document_host: Option<&str>) -> Quality {
    let name = metadata.client_name.as_ref().map(DisplayName::as_str);
    let characters = name.map_or(0, |name| name.chars().count());
    let fits = (2..=NAME_CHARS_LONG).contains(&characters);
    let plain = name.is_some_and(|name| !has_odd_characters(name));
    let links = [
        &metadata.client_uri,
        &metadata.policy_uri,
        &metadata.tos_uri,
        &metadata.logo_uri,
    ];
    let has_links = links.into_iter().any(Option::is_some);
    let matching = has_links && foreign_urls(metadata, document_host).is_empty();
    let secure = metadata
        .redirect_uris
        .iter()
        .any(|uri| uri.kind() == RedirectKind::Https);
    #[rustfmt::skip]
    let rules = [
        (name.is_some(),                 25, "it has no name (client_name)"),
        (metadata.client_uri.is_some(),  15, "it has no home page (client_uri)"),
        (fits,                           10, "its name is not between 2 and 40 characters long"),
        (plain,                          10, "its name has odd characters"),
        (matching,                       15, "its links are not all on its own site"),
        (secure,                         10, "none of its return addresses is https"),
        (metadata.policy_uri.is_some(),   5, "it has no privacy policy (policy_uri)"),
        (!metadata.contacts.is_empty(),   5, "it names no contact (contacts)"),
        (metadata.logo_uri.is_some(),     3, "it has no logo (logo_uri)"),
        (metadata.tos_uri.is_some(),      2, "it has no terms of service (tos_uri)"),
    ];
    let mut found = Quality {
        score: 0,
        missing: Vec::new(),
    };
    for (met, points, lack) in rules {
        if met {
            found.score += points;
        } else {
            found.missing.push(lack);
        }
    }
    found
}

/// What a page says of it.
pub fn sentence(quality: &Quality) -> String {
    match quality.missing.first() {
        None => "It describes itself completely.".to_owned(),
        Some(first) => format!("It describes itself poorly: {first}."),
    }
}

/// Pictures, runs of punctuation, URLs, mixed scripts: what names of programs do not have.
fn has_odd_characters(name: &str) -> bool {
    let usual =
        |c: char| c.is_alphanumeric() || " .,-_+&()[]/:'!@#\u{2013}\u{b7}\u{2019}".contains(c);
    let signs =
        |pair: &[char]| matches!(pair, [a, b] if a == b && !a.is_alphanumeric() && *a != '+');
    let characters: Vec<char> = name.chars().collect();
    !characters.iter().copied().all(usual)
        || !characters.iter().any(|c| c.is_alphanumeric())
        || characters.windows(2).any(signs)
        || name.contains("://")
        || mixed_script(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signals::fixtures::{BODIES, DOCUMENTS, body, document, parse, registered};

    #[test]
    fn live_clients_are_scored() {
        #[rustfmt::skip]
        let rows = [
            (document("claude-ai"),      Some("claude.ai"),      88),
            (document("chatgpt-stable"), Some("chatgpt.com"),    85),
            (document("claude-code"),    Some("claude.ai"),      75),
            (document("vscode"),         Some("vscode.dev"),     70),
            (body("cursor"),             None,                   55),
            (body("lm-studio"),          None,                   45),
            (body("mcp-remote"),         None,                   75),
        ];
        for (metadata, host, expected) in rows {
            let found = quality(&metadata, host);
            assert_eq!(
                found.score, expected,
                "{:?} {found:?}",
                metadata.client_name
            );
        }
        for (name, _) in BODIES {
            assert!(quality(&body(name), None).score <= 100);
        }
        for (name, _) in DOCUMENTS {
            assert!(quality(&document(name), None).score <= 100);
        }
    }

    #[test]
    fn a_complete_client_misses_nothing() {
        let whole = parse(
            r#"{"client_name":"Notes Agent","client_uri":"https://notes.example",
            "policy_uri":"https://notes.example/privacy","tos_uri":"https://notes.example/terms",
            "logo_uri":"https://notes.example/logo.png","contacts":["help@notes.example"],
            "redirect_uris":["https://app.notes.example/cb"],"token_endpoint_auth_method":"none"}"#,
        );
        let found = quality(&whole, Some("notes.example"));
        assert_eq!((found.score, found.missing.len()), (100, 0));
        assert!(sentence(&found).contains("completely"));
        let empty = quality(&registered(None, &["http://localhost/cb"]), None);
        assert_eq!(empty.score, 0);
        assert_eq!(empty.missing.len(), 10);
        assert!(sentence(&empty).contains("no name"));
    }

    #[test]
    fn odd_names_are_odd() {
        #[rustfmt::skip]
        let rows = [
            ("Claude Code (notes)", false), ("n8n", false), ("Größe 日本語", false),
            ("Agent – beta", false), ("C++ Helper", false), ("!!!", true), ("\u{1f600} Agent", true),
            ("Click here >>>", true), ("https://evil.example", true), ("Сlaude", true), ("--", true),
        ];
        for (name, odd) in rows {
            assert_eq!(has_odd_characters(name), odd, "{name}");
        }
    }
}
