//! What a `User-Agent` says it is. Anybody can send any; it is a hint beside others, and honest
//! SDKs send the name of their HTTP library, so `script` alone speaks against nobody.

use vestibule_protocol::trust::UserAgentKind;

/// Only so much of it is looked at.
const LOOKED_AT_BYTES: usize = 512;

/// Bare libraries and command-line tools, as the first product of the header.
const SCRIPTS: [&str; 29] = [
    "aiohttp",
    "apache-httpclient",
    "axios",
    "bun",
    "curl",
    "deno",
    "dart",
    "fetch",
    "go-http-client",
    "got",
    "guzzlehttp",
    "httpie",
    "hyper",
    "insomnia",
    "java",
    "java-http-client",
    "libwww-perl",
    "node",
    "node-fetch",
    "node.js",
    "okhttp",
    "php",
    "postmanruntime",
    "python",
    "python-httpx",
    "python-requests",
    "python-urllib",
    "reqwest",
    "undici",
];
const MORE_SCRIPTS: [&str; 4] = ["ruby", "wget", "windowspowershell", "powershell"];

/// Read a header; `None` where there is none.
pub fn user_agent(header: Option<&str>) -> UserAgentKind {
    let text: String = header
        .unwrap_or_default()
        .chars()
        .take(LOOKED_AT_BYTES)
        .collect();
    let text = text.trim().to_ascii_lowercase();
    let product = text.split(['/', ' ', '(']).next().unwrap_or_default();
    if text.is_empty() {
        UserAgentKind::Missing
    } else if product == "mozilla" || product == "opera" {
        mozilla(&text)
    } else if SCRIPTS.contains(&product) || MORE_SCRIPTS.contains(&product) {
        UserAgentKind::Script
    } else {
        UserAgentKind::Program
    }
}

/// Everything says `Mozilla/5.0`: apps built on a browser add their name, robots a URL, and bare
/// tools add nothing.
fn mozilla(text: &str) -> UserAgentKind {
    let says = |word: &str| text.contains(word);
    let engine = ["applewebkit/", "gecko/", "trident/", "presto/"];
    if says("electron/") || says("compatible;") || says("bot/") || says("headless") {
        UserAgentKind::Program
    } else if says("powershell/") || !engine.into_iter().any(says) {
        UserAgentKind::Script
    } else {
        UserAgentKind::Browser
    }
}

/// What a page says of it.
pub const fn sentence(kind: UserAgentKind) -> &'static str {
    match kind {
        UserAgentKind::Browser => "The request says that it comes from a browser.",
        UserAgentKind::Program => "The request says which program sent it.",
        UserAgentKind::Script => "The request came from a bare HTTP library or command-line tool.",
        UserAgentKind::Missing => "The request did not say which program sent it.",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn user_agents_are_what_they_say() {
        use UserAgentKind::{Browser, Missing, Program, Script};
        #[rustfmt::skip]
        let rows = [
            (None,                                                                         Missing),
            (Some(""),                                                                     Missing),
            (Some("  \t"),                                                                 Missing),
            (Some("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36"), Browser),
            (Some("Mozilla/5.0 (Windows NT 10.0; rv:140.0) Gecko/20100101 Firefox/140.0"), Browser),
            (Some("Mozilla/5.0 (Macintosh) AppleWebKit/537.36 Cursor/2.1 Chrome/138.0 Electron/37.0 Safari/537.36"), Program),
            (Some("Mozilla/5.0 (compatible; Demo-Agent/1.0; +https://agent.example)"),     Program),
            (Some("Mozilla/5.0"),                                                          Script),
            (Some("Mozilla/5.0 (Windows NT; en-US) WindowsPowerShell/5.1"),                Script),
            (Some("claude-code/2.1.258 (cli)"),                                            Program),
            (Some("Claude-User"),                                                          Program),
            (Some("mcp-remote/0.1"),                                                       Program),
            (Some("curl/8.5.0"),                                                           Script),
            (Some("python-httpx/0.28"),                                                    Script),
            (Some("Python/3.12 aiohttp/3.10"),                                             Script),
            (Some("node"),                                                                 Script),
            (Some("Go-http-client/2.0"),                                                   Script),
            (Some("Wget"),                                                                 Script),
        ];
        for (header, expected) in rows {
            assert_eq!(user_agent(header), expected, "{header:?}");
            assert!(sentence(expected).ends_with('.'));
        }
    }

    proptest! {
        #[test]
        fn reading_never_panics(header in "\\PC{0,600}") {
            let _ = user_agent(Some(&header));
        }
    }
}
