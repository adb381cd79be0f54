//! What may be registered, what matches, and what is sent back.

use proptest::prelude::*;

use super::*;

fn uri(raw: &str) -> RedirectUri {
    RedirectUri::parse(raw, &RedirectPolicy::default()).unwrap()
}

/// NAT-01, RU-01, RU-02, RU-06, RU-07, DCR-18, DCR-25, QUIRK-20, R1, R2, R3, A5, MCP-AS-07.
#[test]
fn registration_rules() {
    use RedirectUriError as E;
    #[rustfmt::skip]
    let rows = [
        ("https://app.example/cb",                       None),
        ("https://app.example/cb?x=1",                   None),
        ("https://app.example:8443/cb",                  None),
        ("http://127.0.0.1/cb",                          None),
        ("http://127.0.0.1:3000/cb",                     None),
        ("http://[::1]/cb",                              None),
        ("http://localhost:33418/",                      None),
        ("http://localhost",                             None),
        ("cursor://anysphere.cursor-mcp/oauth/callback", None),
        ("com.example.app:/cb",                          None),
        ("https://app.example/cb#",                      Some(E::Fragment)),
        ("https://app.example/cb#x",                     Some(E::Fragment)),
        ("http://app.example/cb",                        Some(E::Http)),
        ("http://127.0.0.1.evil/cb",                     Some(E::Http)),
        ("http://localhost.evil.example/",               Some(E::Http)),
        ("http://0.0.0.0/cb",                            Some(E::Http)),
        ("http://127.0.0.2/cb",                          Some(E::Http)),
        ("http://127.1/cb",                              Some(E::Http)),
        ("http://2130706433/cb",                         Some(E::Http)),
        ("http://localhost./cb",                         Some(E::Http)),
        ("http://[::ffff:127.0.0.1]/cb",                 Some(E::Http)),
        ("http://localhost:0/cb",                        Some(E::Http)),
        ("http://localhost@evil/",                       Some(E::Userinfo)),
        ("https://u:p@app.example/cb",                   Some(E::Userinfo)),
        ("https://@app.example/cb",                      Some(E::Userinfo)),
        ("myapp:/cb",                                    Some(E::Scheme)),
        ("javascript:alert(1)",                          Some(E::Scheme)),
        ("JavaScript:alert(1)",                          Some(E::Scheme)),
        ("data:text/html,x",                             Some(E::Scheme)),
        ("file:///etc/passwd",                           Some(E::Scheme)),
        ("HTTPS://app.example/cb",                       Some(E::Scheme)),
        ("\u{1}javascript:alert(1)",                     Some(E::NotAbsolute)),
        ("java\tscript:alert(1)",                        Some(E::NotAbsolute)),
        ("https://app.example/*",                        Some(E::NotAbsolute)),
        ("https://app.example/a b",                      Some(E::NotAbsolute)),
        ("https://app.example\\@evil/cb",                Some(E::NotAbsolute)),
        ("https:///cb",                                  Some(E::NotAbsolute)),
        ("https:app.example/cb",                         Some(E::NotAbsolute)),
        ("/cb",                                          Some(E::NotAbsolute)),
        ("",                                             Some(E::NotAbsolute)),
        ("https://app.example/cb?code=x",                Some(E::ResponseName)),
        ("https://app.example/cb?%73tate=x",             Some(E::ResponseName)),
    ];
    for (raw, broken) in rows {
        let found = RedirectUri::parse(raw, &RedirectPolicy::default());
        assert_eq!(found.err(), broken, "{raw}");
    }
}

/// RU-03, RU-04, RU-05, RU-06, CIMD-33, CIMD-34, QUIRK-21, QUIRK-22, QUIRK-23, MCP-AS-08.
#[test]
fn matching_rules() {
    #[rustfmt::skip]
    let rows = [
        ("https://c.example/cb",      "https://c.example/cb",        true),
        ("https://c.example/cb",      "https://c.example/cb/",       false),
        ("https://c.example/cb",      "https://c.example/CB",        false),
        ("https://c.example/cb",      "https://c.example/cb?x",      false),
        ("https://c.example/cb",      "https://C.example/cb",        false),
        ("https://c.example/cb",      "https://c.example/%63b",      false),
        ("https://c.example/cb",      "https://c.example:443/cb",    false),
        ("http://127.0.0.1/cb",       "http://127.0.0.1:51004/cb",   true),
        ("http://127.0.0.1:3000/cb",  "http://127.0.0.1:51004/cb",   true),
        ("http://127.0.0.1:3000/cb",  "http://127.0.0.1/cb",         true),
        ("http://[::1]/cb",           "http://[::1]:1/cb",           true),
        ("http://localhost/cb",       "http://localhost:53682/cb",   true),
        ("http://127.0.0.1:33418/",   "http://127.0.0.1:9",          true),
        ("http://127.0.0.1",          "http://127.0.0.1:33418/",     true),
        ("http://127.0.0.1/cb?a=1",   "http://127.0.0.1:9/cb?a=1",   true),
        ("http://127.0.0.1/cb",       "http://127.0.0.1:51004/other", false),
        ("http://127.0.0.1/cb",       "http://127.0.0.1:51004/cb/x", false),
        ("http://127.0.0.1/cb",       "http://127.0.0.1:51004/cb?x", false),
        ("http://127.0.0.1/cb",       "http://localhost:51004/cb",   false),
        ("http://127.0.0.1/cb",       "http://[::1]:51004/cb",       false),
        ("http://127.0.0.1/cb",       "https://127.0.0.1:51004/cb",  false),
        ("http://127.0.0.1/cb",       "http://127.0.0.1:0/cb",       false),
        ("http://127.0.0.1/cb",       "http://127.0.0.1:65536/cb",   false),
        ("http://127.0.0.1/cb",       "http://127.0.0.1:٣/cb",       false),
        ("http://127.0.0.1/cb",       "http://x@127.0.0.1:1/cb",     false),
        ("http://127.0.0.1/cb",       "http://127.0.0.1:1/cb#x",     false),
        ("http://localhost/cb",       "http://localhost.evil.example/cb", false),
        ("https://localhost/cb",      "https://localhost:1/cb",      false),
        ("cursor://x/cb",             "cursor://x:1/cb",             false),
    ];
    for (registered, requested, same) in rows {
        assert_eq!(
            matches(&uri(registered), requested),
            same,
            "{registered} {requested}"
        );
    }
}

/// RU-08: several registered means that the request must name one.
#[test]
fn the_redirect_may_be_left_out_only_when_there_is_one() {
    let one = [uri("https://c.example/cb")];
    let two = [uri("https://c.example/cb"), uri("https://c.example/2")];
    assert!(
        !TrustedRedirect::matching(&one, None)
            .unwrap()
            .was_explicit()
    );
    assert_eq!(
        TrustedRedirect::matching(&two, None),
        Err(RedirectMismatch::Ambiguous)
    );
    let found = TrustedRedirect::matching(&two, Some("https://c.example/3"));
    assert_eq!(found, Err(RedirectMismatch::NotRegistered));
}

/// GEN-20, A5, A18: the response is appended, encoded, and replaces nothing.
#[test]
fn responses_are_appended_to_the_uris_own_query() {
    let redirect = |raw: &str| TrustedRedirect::matching(&[uri(raw)], Some(raw)).unwrap();
    let response = [
        ("code", Some("c")),
        ("state", Some("x&code=y\r\n")),
        ("error", None),
    ];
    #[rustfmt::skip]
    let rows = [
        ("https://c.example/cb",     "https://c.example/cb?code=c&state=x%26code%3Dy%0D%0A"),
        ("https://c.example/cb?x=1", "https://c.example/cb?x=1&code=c&state=x%26code%3Dy%0D%0A"),
        ("https://c.example/cb?",    "https://c.example/cb?code=c&state=x%26code%3Dy%0D%0A"),
    ];
    for (raw, expected) in rows {
        assert_eq!(redirect(raw).with_response(&response), expected);
    }
}

proptest! {
    #[test]
    fn parsing_and_matching_never_panic(raw in ".{0,200}", asked in ".{0,200}") {
        if let Ok(known) = RedirectUri::parse(&raw, &RedirectPolicy::default()) {
            prop_assert!(matches(&known, &raw));
            let _ = matches(&known, &asked);
        }
        let _ = matches(&uri("http://127.0.0.1/cb"), &asked);
    }

    #[test]
    fn any_port_of_a_loopback_redirect_matches(port in 1_u16..) {
        let asked = format!("http://localhost:{port}/cb");
        prop_assert!(matches(&uri("http://localhost/cb"), &asked));
    }
}
