//! Proof that a client's owner controls a domain: the pure half of domain verification.
//!
//! The owner shows a token in DNS (`TXT` at `_vestibule.<domain>`) or in a file
//! (`/.well-known/vestibule-verification.txt`). The token is the hub's secret for one client and one
//! domain, so an answer that was made for another client proves nothing. A proof is looked for again
//! from time to time, because domains lapse (threats R9).
//!
//! Not here: DNS and HTTP (`fetch`), making the token, what `verified` allows (`power`).

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

const HOUR_S: u64 = 3_600;
const DAY_S: u64 = 24 * HOUR_S;
/// How often a proof is looked for again.
const AGAIN_S: u64 = 7 * DAY_S;
/// Failed looks after which a proof is gone: most of a week, so that an outage is no verdict.
pub const FAILURES_MAX: u32 = 6;

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

/// Text that the engine turns into the token with its key: no two clients or domains share one.
pub fn token_input(client_id: &str, domain: &str) -> String {
    format!("domain-proof\n{}\n{domain}\n{client_id}", client_id.len())
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

/// Where a proof stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ProofState {
    /// Asked for, never seen.
    Pending,
    /// Seen.
    Proved,
    /// Was seen, and is gone: only a person starts again.
    Lost,
}

/// State after a look. A proof survives [`FAILURES_MAX`] − 1 failed looks in a row.
pub fn after_look(state: ProofState, failures: u32, found: bool) -> (ProofState, u32) {
    let failures = failures.saturating_add(1);
    match (state, found) {
        (ProofState::Lost, _) => (ProofState::Lost, 0),
        (ProofState::Pending | ProofState::Proved, true) => (ProofState::Proved, 0),
        (ProofState::Pending, false) => (ProofState::Pending, failures),
        (ProofState::Proved, false) if failures >= FAILURES_MAX => (ProofState::Lost, 0),
        (ProofState::Proved, false) => (ProofState::Proved, failures),
    }
}

/// When to look next, in seconds since 1970; `None` for never. A pending proof is looked for with
/// growing pauses and given up after some days; a proved one weekly, and each day after a failure.
pub fn next_check(state: ProofState, failures: u32, now_s: u64) -> Option<u64> {
    let pause = match (state, failures) {
        (ProofState::Pending, 0..=4) => 60 << (2 * failures),
        (ProofState::Pending, 5..=10) => 12 * HOUR_S,
        (ProofState::Lost | ProofState::Pending, _) => return None,
        (ProofState::Proved, 0) => AGAIN_S,
        (ProofState::Proved, _) => DAY_S,
    };
    Some(now_s.saturating_add(pause))
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

    /// An answer made for one client or domain is not another's.
    #[test]
    fn tokens_are_of_one_client_and_one_domain() {
        let inputs = [
            token_input("https://a.example/c", "a.example"),
            token_input("https://a.example/d", "a.example"),
            token_input("https://a.example/c", "b.example"),
            token_input("a\nb", "c"),
            token_input("b", "c\na"),
        ];
        let unique: std::collections::BTreeSet<_> = inputs.iter().collect();
        assert_eq!(unique.len(), inputs.len());
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

    #[test]
    fn a_proof_is_looked_for_again_and_lost_slowly() {
        use ProofState::{Lost, Pending, Proved};
        #[rustfmt::skip]
        let rows = [
            (Pending, 0, Some(60)), (Pending, 1, Some(240)), (Pending, 4, Some(15_360)),
            (Pending, 5, Some(12 * HOUR_S)), (Pending, 10, Some(12 * HOUR_S)), (Pending, 11, None),
            (Pending, u32::MAX, None), (Proved, 0, Some(7 * DAY_S)), (Proved, 1, Some(DAY_S)),
            (Proved, 5, Some(DAY_S)), (Lost, 0, None),
        ];
        for (state, failures, expected) in rows {
            let found = next_check(state, failures, 1_000).map(|at| at - 1_000);
            assert_eq!(found, expected, "{state:?} {failures}");
        }
        let (mut state, mut failures) = (Proved, 0);
        for _ in 0..FAILURES_MAX - 1 {
            (state, failures) = after_look(state, failures, false);
            assert_eq!(state, Proved);
        }
        assert_eq!(after_look(state, failures, true), (Proved, 0));
        assert_eq!(after_look(state, failures, false), (Lost, 0));
        assert_eq!(after_look(Lost, 0, true), (Lost, 0));
        assert_eq!(after_look(Pending, 3, false), (Pending, 4));
    }
}
