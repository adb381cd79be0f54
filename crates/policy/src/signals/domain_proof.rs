//! Proof that a client's owner controls a domain: the pure half of domain verification.
//!
//! The owner shows a token in DNS (`TXT` at `_vestibule.<domain>`) or in a file
//! (`/.well-known/vestibule-verification.txt`). The token is random and kept for one client and one
//! domain, so an answer that was made for another client proves nothing.
//!
//! Not here: DNS and HTTP (`fetch`), making the token, when to look and when a proof is lost (`engine`,
//! `store`), what `verified` allows (`power`).

use vestibule_protocol::{
    client_id_url::{ClientIdUrl, registrable_domain},
    client_metadata::ClientMetadata,
    redirect_uri::{RedirectKind, RedirectUri},
};

/// What the value starts with.
const PREFIX: &str = "vestibule-verification=";
/// Path of the file.
pub const FILE_PATH: &str = "/.well-known/vestibule-verification.txt";
/// What a page says of a proof.
pub const SENTENCE: &str = "Its owner proved that they control this domain.";
/// Answers that are looked at, and bytes of each: a `TXT` record set is bounded anyway.
const ANSWERS_MAX: usize = 50;
const ANSWER_BYTES_MAX: usize = 1_024;
/// Lines of a file that are looked at: one host may verify several clients.
const LINES_MAX: usize = 50;

/// The token of one client and one domain: 22 to 86 characters of base64url.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ProofToken(String);

impl ProofToken {
    /// Of what the engine derived.
    pub fn parse(text: &str) -> Option<Self> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        ((22..=86).contains(&text.len()) && text.bytes().all(plain)).then(|| Self(text.to_owned()))
    }

    /// What must be shown: `vestibule-verification=<token>`.
    pub fn value(&self) -> String {
        format!("{PREFIX}{}", self.0)
    }
}

/// Where the `TXT` record must be.
pub fn record_name(domain: &str) -> String {
    format!("_vestibule.{domain}")
}

/// URL of the file; on the domain itself, since a subdomain may be somebody else's.
pub fn file_url(domain: &str) -> String {
    format!("https://{domain}{FILE_PATH}")
}

/// Does one of the `TXT` answers show the token? Each answer is a whole record, its strings joined.
pub fn txt_matches(answers: &[String], expected: &ProofToken) -> bool {
    let value = expected.value();
    answers
        .iter()
        .take(ANSWERS_MAX)
        .filter(|answer| answer.len() <= ANSWER_BYTES_MAX)
        .any(|answer| answer.trim() == value)
}

/// Does a line of the file show the token?
pub fn file_matches(text: &str, expected: &ProofToken) -> bool {
    let value = expected.value();
    text.lines()
        .take(LINES_MAX)
        .any(|line| line.trim() == value)
}

/// The domains that a client may claim: its document's, or, for a registration, those of its https
/// redirects. What it merely links to is not its own. Sorted; without names that have no
/// registrable domain (public suffixes, addresses).
pub fn claimable(client_id: &str, metadata: &ClientMetadata) -> Vec<String> {
    let mut domains: Vec<String> = match ClientIdUrl::parse_default(client_id) {
        Ok(url) => vec![url.host().to_owned()],
        Err(_) => metadata
            .redirect_uris
            .iter()
            .filter(|uri| uri.kind() == RedirectKind::Https)
            .filter_map(RedirectUri::host)
            .collect(),
    };
    domains.retain(|host| is_name(host));
    for host in &mut domains {
        *host = registrable_domain(host);
    }
    // For a public suffix `registrable_domain` gives back the host; nobody owns all of `co.uk`.
    domains.retain(|domain| is_registrable(domain));
    domains.sort_unstable();
    domains.dedup();
    domains
}

fn is_name(host: &str) -> bool {
    host.contains('.') && !host.starts_with('[') && host.parse::<std::net::Ipv4Addr>().is_err()
}

/// A label in front changes nothing about a registrable domain, and everything about a suffix.
fn is_registrable(domain: &str) -> bool {
    registrable_domain(&format!("x.{domain}")) == domain
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signals::fixtures::{body, document, document_id, registered};

    const TOKEN: &str = "k3vQd0Zr7xYbk3vQd0Zr7x";

    #[test]
    fn only_the_exact_value_proves() {
        let token = ProofToken::parse(TOKEN).unwrap();
        let value = token.value();
        assert_eq!(value, format!("vestibule-verification={TOKEN}"));
        #[rustfmt::skip]
        let rows = [
            (value.clone(),                      true),
            (format!("  {value}\t"),             true),
            (format!("\"{value}\""),             false),
            (format!("{value}x"),                false),
            (value.to_uppercase(),               false),
            (TOKEN.to_owned(),                   false),
            ("vestibule-verification=".to_owned(), false),
            (String::new(),                      false),
        ];
        for (shown, proves) in rows {
            let answers = ["v=spf1 -all".to_owned(), shown.clone()];
            assert_eq!(txt_matches(&answers, &token), proves, "{shown}");
            assert_eq!(
                file_matches(&format!("# ours\n{shown}\n"), &token),
                proves,
                "{shown}"
            );
        }
        assert!(!file_matches(
            &format!("{}{value}", "\n".repeat(60)),
            &token
        ));
        for bad in ["", "short", "has space has space has", &"x".repeat(90)] {
            assert!(ProofToken::parse(bad).is_none());
        }
        assert_eq!(record_name("a.example"), "_vestibule.a.example");
        assert_eq!(
            file_url("a.example"),
            format!("https://a.example{FILE_PATH}")
        );
    }

    /// R9: a client claims where it lives or where codes go, never what it links to or copies.
    #[test]
    fn a_client_claims_its_own_domains_only() {
        #[rustfmt::skip]
        let rows: [(&str, ClientMetadata, &[&str]); 8] = [
            (&document_id("claude-ai"), document("claude-ai"), &["claude.ai"]),
            (&document_id("mcpjam"),    document("mcpjam"),    &["mcpjam.com"]),
            ("vdr_x",                   body("cursor"),        &["cursor.com"]),
            ("vdr_x",                   body("lm-studio"),     &[]),
            ("https://evil.example/c",  document("claude-ai"), &["evil.example"]),
            ("https://me.github.io/c",  document("zed"),       &["me.github.io"]),
            ("vdr_x",                   registered(None, &["https://192.0.2.1/cb"]), &[]),
            ("vdr_x",                   registered(None, &["https://b.app.example/1", "https://app.example/2", "https://a.co.uk/3", "https://co.uk/4"]), &["a.co.uk", "app.example"]),
        ];
        for (id, metadata, expected) in rows {
            assert_eq!(claimable(id, &metadata), expected, "{id}");
        }
    }
}
