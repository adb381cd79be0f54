//! Which program several registrations share: a key that groups clones (`software` in a policy).
//!
//! Everything in it is self-asserted. It groups, counts and queues; it never raises a standing
//! (design 4.1). A flood that invents a name for each registration is not grouped: its source is
//! what counts it then (`velocity`).

use std::collections::BTreeSet;

use unicode_normalization::UnicodeNormalization as _;
use vestibule_protocol::{
    client_id::ClientKey,
    client_metadata::{ClientMetadata, DisplayName},
    redirect_uri::{RedirectKind, RedirectUri},
};

/// Longest key, in bytes; what is longer is hashed.
pub const SOFTWARE_BYTES_MAX: usize = 64;
/// What a page says of it.
pub const SENTENCE: &str = "Registrations with this name and these return addresses are counted together; nothing proves that they are one program.";

/// Separators between the words of a name.
const SEPARATORS: [char; 14] = [
    '-', '_', '/', '|', '@', ',', ';', ':', '#', '+', '=', '"', '(', '[',
];

/// `id|name|redirects`: `software_id` if present, the name without what varies between
/// installations, and the hosts or schemes that it returns to. At most [`SOFTWARE_BYTES_MAX`] bytes.
pub fn software(metadata: &ClientMetadata) -> String {
    let id = metadata.software_id.as_deref().unwrap_or_default();
    let name = metadata
        .client_name
        .as_ref()
        .map_or_else(String::new, |name| plain_name(DisplayName::as_str(name)));
    let redirects: BTreeSet<String> = metadata.redirect_uris.iter().map(target).collect();
    let redirects: Vec<String> = redirects.into_iter().collect();
    let key = format!("{}|{name}|{}", id.replace('|', "/"), redirects.join(","));
    if key.len() <= SOFTWARE_BYTES_MAX {
        key
    } else {
        // The same digest that names clients: 128 bits are plenty to group by.
        format!("sha256:{}", ClientKey::of(&key).short())
    }
}

/// A name without versions, ports, host names, what stands in brackets, and random words: lower
/// case, words joined by `-`. If nothing else is left, the whole name in lower case.
pub fn plain_name(name: &str) -> String {
    let words = lasting_words(name);
    if words.is_empty() {
        let folded: String = name.nfkc().flat_map(char::to_lowercase).collect();
        folded.split_whitespace().collect::<Vec<_>>().join("-")
    } else {
        words.join("-").to_lowercase()
    }
}

/// The words of a name (NFKC) that do not vary between installations, in their own case.
pub(super) fn lasting_words(name: &str) -> Vec<String> {
    let composed: String = name.nfkc().collect();
    let open = without_brackets(&composed);
    open.split_whitespace()
        .map(without_uuid)
        .flat_map(|token| token.split(SEPARATORS))
        .map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()))
        .filter(|word| !word.is_empty() && !varies(&word.to_lowercase()))
        .map(str::to_owned)
        .collect()
}

fn target(uri: &RedirectUri) -> String {
    match uri.kind() {
        RedirectKind::Https => uri.host().unwrap_or_default(),
        RedirectKind::Loopback => "loopback".to_owned(),
        RedirectKind::PrivateUse => uri.display_host().to_owned(),
    }
}

fn without_brackets(text: &str) -> String {
    let mut depth = 0_u32;
    let mut kept = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => {
                depth = depth.saturating_sub(1);
                kept.push(' ');
            }
            _ if depth == 0 => kept.push(c),
            _ => {}
        }
    }
    kept
}

fn without_uuid(token: &str) -> &str {
    let split = token
        .len()
        .checked_sub(36)
        .and_then(|at| token.split_at_checked(at));
    match split {
        Some((head, tail)) if is_uuid(tail) => head,
        _ => token,
    }
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

fn varies(word: &str) -> bool {
    matches!(word, "http" | "https" | "localhost")
        || is_version(word)
        || is_host(word)
        || is_random(word)
}

/// `3`, `v2`, `1.20.3`, `1.2.0rc1`, and port numbers.
fn is_version(word: &str) -> bool {
    let bare = word.strip_prefix('v').unwrap_or(word);
    let digits_first = bare.starts_with(|c: char| c.is_ascii_digit());
    digits_first
        && (bare.chars().all(|c| c.is_ascii_digit() || c == '.')
            || (bare.contains('.') && bare.is_ascii()))
}

fn is_host(word: &str) -> bool {
    let labels: Vec<&str> = word.split('.').collect();
    let last = labels.last().copied().unwrap_or_default();
    labels.len() > 1
        && labels.iter().all(|label| !label.is_empty())
        && last.len() > 1
        && last.chars().all(char::is_alphabetic)
}

/// Hexadecimal with a digit in it, or letters and digits in turns.
fn is_random(word: &str) -> bool {
    let ascii = word.bytes().all(|b| b.is_ascii_alphanumeric());
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    let turns = word
        .as_bytes()
        .windows(2)
        .filter(|pair| matches!(pair, [a, b] if a.is_ascii_digit() != b.is_ascii_digit()))
        .count();
    let hexadecimal = word.len() >= 6 && word.bytes().all(|b| b.is_ascii_hexdigit());
    ascii && digits > 0 && (hexadecimal || (word.len() >= 8 && digits > 1 && turns > 1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::signals::fixtures::registered;

    /// R15, QUIRK-06: what differs between installations of one program is not in its name.
    #[test]
    fn names_lose_what_varies_between_installations() {
        #[rustfmt::skip]
        let rows = [
            ("Cursor",                                     "cursor"),
            ("Claude Code (notes)",                        "claude-code"),
            ("Claude  Code [work] 2.1.258",                "claude-code"),
            ("mcp-remote-a8f3c2d1",                        "mcp-remote"),
            ("mcp_remote v0.1.29",                         "mcp-remote"),
            ("mcp-remote@0.1.29",                          "mcp-remote"),
            ("Agent 1b4e28ba-2fa1-41d2-883f-0016d3cca427", "agent"),
            ("Agent-1b4e28ba-2fa1-41d2-883f-0016d3cca427", "agent"),
            ("Notes for https://notes.example:8443/mcp",   "notes-for-mcp"),
            ("MCP CLI Proxy localhost:3334",               "mcp-cli-proxy"),
            ("LibreChat - chat.example.org",               "librechat"),
            ("connector k3vQd0Zr7xYb",                     "connector"),
            ("n8n",                                        "n8n"),
            ("Facade",                                     "facade"),
            ("agent007",                                   "agent007"),
            ("ＣＵＲＳＯＲ",                                   "cursor"),
            ("1.2.3",                                      "1.2.3"),
            ("chat.example.org",                           "chat.example.org"),
        ];
        for (name, expected) in rows {
            assert_eq!(plain_name(name), expected, "{name}");
        }
    }

    /// Ports and versions do not make another program; another return host does.
    #[test]
    fn clones_share_a_key_and_others_do_not() {
        let key = |name: &str, uris: &[&str]| software(&registered(Some(name), uris));
        let one = key("Claude Code (a)", &["http://localhost:3118/callback"]);
        assert_eq!(one, "|claude-code|loopback");
        assert_eq!(
            one,
            key("Claude Code (b)", &["http://127.0.0.1:4242/callback"])
        );
        assert_ne!(one, key("Claude Code", &["https://evil.example/callback"]));
        let cursor = key(
            "Cursor",
            &[
                "cursor://anysphere.cursor-mcp/cb",
                "https://www.cursor.com/cb",
                "http://localhost:8787/cb",
            ],
        );
        assert_eq!(cursor, "|cursor|cursor:,loopback,www.cursor.com");
        let long = "x".repeat(90);
        let hashed = key(&long, &["http://localhost/"]);
        assert!(hashed.starts_with("sha256:"), "{hashed}");
        assert_ne!(hashed, key(&format!("{long}y"), &["http://localhost/"]));
    }

    #[test]
    fn a_software_id_is_part_of_the_key() {
        let mut metadata = registered(Some("MCP CLI Proxy"), &["http://localhost:3334/cb"]);
        metadata.software_id = Some("mcp|remote".to_owned());
        assert_eq!(software(&metadata), "mcp/remote|mcp-cli-proxy|loopback");
    }

    proptest! {
        #[test]
        fn a_key_is_short_whatever_the_name(name in "\\PC{1,100}") {
            if DisplayName::sanitize(&name).is_some() {
                let metadata = registered(Some(&name), &["https://app.example/cb"]);
                prop_assert!(software(&metadata).len() <= SOFTWARE_BYTES_MAX);
            }
        }
    }
}
