//! Hosts that imitate: the host of a client against the hosts of known vendors and of the operator
//! (threats R9).
//!
//! Compared is the registrable domain, as people read it (punycode decoded). It imitates a known one
//! if it reads the same (UTS 39, `rn` for `m`, digits for letters), differs by a hyphen, is the same
//! name under another suffix, has words of trust around the same name (`claude-login.example`), or is
//! an edit away; also if a known host is among the labels in front (`login.claude.ai.evil.example`).
//! A host on a known domain imitates nothing: it is its own.
//!
//! Not here: whether the host may be connected to (`fetch`).

use unicode_normalization::UnicodeNormalization as _;
use unicode_security::skeleton;
use vestibule_protocol::client_id_url::registrable_domain;

use super::lookalike::is_within;

/// Names with fewer letters are compared exactly only.
const NEAR_CHARS_MIN: usize = 6;
/// Words of trust that people put around a name in a host, beside hyphens or without.
const TRUST: [&str; 14] = [
    "accounts", // before what it begins with
    "account",
    "oauth", // before what it ends with
    "auth",
    "id",
    "login",
    "official",
    "secure",
    "security",
    "signin",
    "sso",
    "support",
    "verification",
    "verify",
];
/// Longest host of the DNS.
const HOST_BYTES_MAX: usize = 253;
/// Operator's and vendors' hosts that are compared.
const KNOWN_MAX: usize = 5_000;

/// A host that others must not imitate: its registrable domain, and that as people read it.
#[derive(Clone, Debug)]
pub struct KnownHost {
    domain: String,
    reading: Reading,
}

impl KnownHost {
    /// Of a host.
    pub fn of(host: &str) -> Self {
        let domain = registrable_domain(host);
        Self {
            reading: Reading::of(&domain),
            domain,
        }
    }

    /// Its registrable domain.
    pub fn domain(&self) -> &str {
        &self.domain
    }
}

/// The known registrable domain that this host imitates.
pub fn homograph<'a>(host: &str, known: impl IntoIterator<Item = &'a KnownHost>) -> Option<String> {
    if host.len() > HOST_BYTES_MAX {
        return None;
    }
    let host = host.to_ascii_lowercase();
    let host = host.trim_end_matches('.');
    let domain = registrable_domain(host);
    let ours = Reading::of(&domain);
    let mut found = None;
    for known in known.into_iter().take(KNOWN_MAX) {
        let theirs = &known.domain;
        if *theirs == domain {
            return None;
        }
        if found.is_none() && (stands_in(host, theirs) || ours.imitates(&known.reading)) {
            found = Some(theirs.clone());
        }
    }
    found
}

/// Whole labels of the host, not the last ones, are the known domain.
fn stands_in(host: &str, known: &str) -> bool {
    host.match_indices(known).any(|(at, _)| {
        let (before, rest) = host.split_at(at);
        let after = rest.strip_prefix(known).unwrap_or_default();
        (before.is_empty() || before.ends_with('.')) && after.starts_with('.')
    })
}

/// A registrable domain as people read it.
#[derive(Clone, Debug)]
struct Reading {
    /// The label in front of the public suffix, without hyphens.
    label: String,
    /// The same letter by letter.
    spelt: Vec<char>,
    /// The same without words of trust at its ends; empty where there are none.
    bare: String,
    /// The label with letters for digits.
    digits: String,
    /// The whole, without dots and hyphens: `claude-ai.com` quotes `claude.ai`.
    whole: String,
}

impl Reading {
    fn of(domain: &str) -> Self {
        let (unicode, _) = idna::domain_to_unicode(domain);
        let (label, _) = unicode.split_once('.').unwrap_or((&unicode, ""));
        let read = |text: &str| -> String {
            let folded: String = text.nfkc().flat_map(char::to_lowercase).collect();
            let looks: String = skeleton(&folded).flat_map(char::to_lowercase).collect();
            let joined: String = looks.chars().filter(|c| c.is_alphanumeric()).collect();
            joined.replace("vv", "w")
        };
        let bare = without_trust(label);
        let bare = bare.map_or_else(String::new, |bare| read(&bare));
        let label = read(label);
        Self {
            bare,
            digits: label.chars().map(letter).collect(),
            spelt: label.chars().collect(),
            whole: read(&unicode),
            label,
        }
    }

    fn imitates(&self, known: &Self) -> bool {
        if self.label.is_empty() || known.label.is_empty() {
            return false;
        }
        let (ours, theirs) = (&self.spelt, &known.spelt);
        let near = ours.len().min(theirs.len()) >= NEAR_CHARS_MIN && is_within(ours, theirs, 1);
        let trusting = theirs.len() >= NEAR_CHARS_MIN && self.bare == known.label;
        trusting
            || self.label == known.label
            || self.digits == known.digits
            || self.label == known.whole
            || self.whole == known.whole
            || near
    }
}

/// A label without the words of trust in front and behind; `None` where it has none, or is nothing
/// else.
fn without_trust(label: &str) -> Option<String> {
    let mut bare = label;
    while let Some(rest) = TRUST.iter().find_map(|word| bare.strip_prefix(word)) {
        bare = rest.trim_start_matches('-');
    }
    while let Some(rest) = TRUST.iter().find_map(|word| bare.strip_suffix(word)) {
        bare = rest.trim_end_matches('-');
    }
    (!bare.is_empty() && bare != label).then(|| bare.to_owned())
}

/// A digit as the letter that it stands for; `0` and `1` are in UTS 39 already.
fn letter(c: char) -> char {
    match c {
        '3' => 'e',
        '4' => 'a',
        '5' => 's',
        '7' => 't',
        '6' | '8' => 'b',
        '9' => 'g',
        other => other,
    }
}

/// What a page says of it.
pub fn sentence(imitated: &str) -> String {
    format!("Its address looks like {imitated}, but it is another site.")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::signals::fixtures::CATALOGUE;

    fn find(host: &str) -> Option<String> {
        let own = KnownHost::of("login.acme.example");
        homograph(host, CATALOGUE.hosts().chain([&own]))
    }

    /// R9: one row, one host, what it imitates.
    #[test]
    fn hosts_that_imitate_are_found() {
        #[rustfmt::skip]
        let rows = [
            ("c1aude.ai",                    Some("claude.ai")),
            ("claude-ai.com",                Some("claude.ai")),
            ("claudeai.com",                 Some("claude.ai")),
            ("cl-aude.ai",                   Some("claude.ai")),
            ("claude.dev",                   Some("claude.ai")),
            ("cluade.ai",                    Some("claude.ai")),
            ("xn--clude-5ve.ai",             Some("claude.ai")),   // Cyrillic а
            ("www.claude.ai.evil.example",   Some("claude.ai")),
            ("login.claude.ai.evil.example", Some("claude.ai")),
            ("notclaude.ai.evil.example",    None),                // whole labels
            ("claude-login.com",             Some("claude.ai")),
            ("secure-chatgpt.com",           Some("chatgpt.com")),
            ("account-verify-claude.example", Some("claude.ai")),
            ("cursorauth.dev",               Some("cursor.com")),
            ("login-zed.dev",                None),                // too short a name
            ("login.example",                None),
            ("support-desk.example",         None),
            ("claude.ai.evil.example",       Some("claude.ai")),
            ("chatgtp.com",                  Some("chatgpt.com")),
            ("ch4tgp7.com",                  Some("chatgpt.com")),
            ("chatgpt.co.uk",                Some("chatgpt.com")),
            ("login.chatgpt.app",            Some("chatgpt.com")),
            ("vsc0de.dev",                   Some("vscode.dev")),
            ("rncpjam.com",                  Some("mcpjam.com")),
            ("zed.com",                      Some("zed.dev")),
            ("acme.org",                     Some("acme.example")),
            ("acrne.example",                Some("acme.example")),
            // Their own, and others.
            ("claude.ai",                    None),
            ("api.claude.ai",                None),
            ("CLAUDE.AI.",                   None),
            ("code.vscode.dev",              None),
            ("login.acme.example",           None),
            ("notes.example",                None),
            ("claude-notes.example",         None),
            ("zen.dev",                      None),
            ("curl.dev",                     None),
            ("xn--bcher-kva.example",        None),
            ("evil-claude.ai.example",       None),
            ("localhost",                    None),
            ("",                             None),
        ];
        for (host, expected) in rows {
            assert_eq!(find(host).as_deref(), expected, "{host}");
        }
        assert!(sentence("claude.ai").contains("claude.ai"));
    }

    proptest! {
        #[test]
        fn comparing_never_panics(host in "\\PC{0,300}", xn in "xn--[a-z0-9-]{0,60}\\.[a-z]{2,4}") {
            let _ = (find(&host), find(&xn));
        }
    }
}
