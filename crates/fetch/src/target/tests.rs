use proptest::prelude::*;

use super::{UrlError as E, *};

/// What a URL says, and the rule that it breaks.
#[rustfmt::skip]
const STRANGERS: &[(&str, Option<E>)] = &[
    ("https://app.example.com/agent",               None),
    ("https://app.example.com:443/agent",           None),
    ("https://app.example.com:1024/agent",          None),
    ("https://app.example.com:8443/agent?v=1&w",    None),
    ("https://app.example.com:65535/",              None),
    ("https://app.example.com",                     None),
    ("https://app.example.com?x=1",                 None),
    ("https://APP.example.com/Agent",               None),
    ("https://xn--bcher-kva.example/agent",         None),
    ("https://app.example.com/%7Eagent;v=1,2/@me",  None),
    ("https://1.example.com/",                      None),
    ("https://localhost.example.com/",              None),
    // scheme
    ("http://app.example.com/",                     Some(E::NotHttps)),
    ("HTTPS://app.example.com/",                    Some(E::NotHttps)),
    ("https:/app.example.com/",                     Some(E::NotHttps)),
    ("https:app.example.com",                       Some(E::NotHttps)),
    ("//app.example.com/",                          Some(E::NotHttps)),
    ("ftp://app.example.com/",                      Some(E::NotHttps)),
    ("gopher://app.example.com/",                   Some(E::NotHttps)),
    ("file:///etc/passwd",                          Some(E::NotHttps)),
    ("javascript:alert(1)",                         Some(E::NotHttps)),
    (" https://app.example.com/",                   Some(E::NotHttps)),
    ("",                                            Some(E::NotHttps)),
    // user name, also an empty one
    ("https://me@app.example.com/",                 Some(E::Userinfo)),
    ("https://me:pw@app.example.com/",              Some(E::Userinfo)),
    ("https://@app.example.com/",                   Some(E::Userinfo)),
    ("https://:@app.example.com/",                  Some(E::Userinfo)),
    ("https://good.example@127.0.0.1/",             Some(E::Userinfo)),
    ("https://good.example\\@169.254.169.254/",     Some(E::Userinfo)),
    // fragment, also an empty one
    ("https://app.example.com/a#b",                 Some(E::Fragment)),
    ("https://app.example.com/a#",                  Some(E::Fragment)),
    ("https://app.example.com#@127.0.0.1/",         Some(E::Fragment)),
    // characters
    ("https://app.example.com\\a",                  Some(E::NotAUrl)),
    ("https://app.example.com/a\\b",                Some(E::NotAUrl)),
    ("https://app.example.com/a b",                 Some(E::NotAUrl)),
    ("https://app.example.com/a\tb",                Some(E::NotAUrl)),
    ("https://app.example.com/a\r\nHost: b",        Some(E::NotAUrl)),
    ("https://app.exa\tmple.com/",                  Some(E::NotAUrl)),
    ("https://app.example.com/a\0",                 Some(E::NotAUrl)),
    ("https://app.example.com/\u{7f}",              Some(E::NotAUrl)),
    ("https://app.example.com/\u{e9}",              Some(E::NotAUrl)),
    ("https://\u{ff11}\u{ff12}\u{ff17}.0.0.1/",     Some(E::NotAUrl)),
    ("https://\u{24db}ocalhost/",                   Some(E::NotAUrl)),
    ("https://exa\u{ad}mple.com/",                  Some(E::NotAUrl)),
    ("https://app.example.com/<a>",                 Some(E::NotAUrl)),
    ("https://app.example.com/\"",                  Some(E::NotAUrl)),
    ("https://app.example.com/[a]",                 Some(E::NotAUrl)),
    ("https://app.example.com/%",                   Some(E::NotAUrl)),
    ("https://app.example.com/%2",                  Some(E::NotAUrl)),
    ("https://app.example.com/%zz",                 Some(E::NotAUrl)),
    // addresses and numbers
    ("https://127.0.0.1/",                          Some(E::Host)),
    ("https://8.8.8.8/",                            Some(E::Host)),
    ("https://169.254.169.254/latest/meta-data/",   Some(E::Host)),
    ("https://[::1]/",                              Some(E::Host)),
    ("https://[2606:4700::1111]/",                  Some(E::Host)),
    ("https://[64:ff9b::a9fe:a9fe]/latest/",        Some(E::Host)),
    ("https://[::ffff:127.0.0.1]:8443/",            Some(E::Host)),
    ("https://[fe80::1%25eth0]/",                   Some(E::Host)),
    ("https://[::1/",                               Some(E::Host)),
    ("https://2130706433/",                         Some(E::Host)),
    ("https://0x7f000001/",                         Some(E::Host)),
    ("https://0177.0.0.1/",                         Some(E::Host)),
    ("https://127.1/",                              Some(E::Host)),
    ("https://0/",                                  Some(E::Host)),
    ("https://app.example.0x7f/",                   Some(E::NotAUrl)),
    ("https://app.example.1/",                      Some(E::NotAUrl)),
    ("https://127.0.0.1./",                         Some(E::Host)),
    // names that lead nowhere public
    ("https://",                                    Some(E::Host)),
    ("https:///a",                                  Some(E::Host)),
    ("https://localhost/",                          Some(E::Host)),
    ("https://LOCALHOST/",                          Some(E::Host)),
    ("https://app.localhost/",                      Some(E::Host)),
    ("https://intranet/",                           Some(E::Host)),
    ("https://printer.local/",                      Some(E::Host)),
    ("https://metadata.google.internal/",           Some(E::Host)),
    ("https://abc.onion/",                          Some(E::Host)),
    ("https://router.home.arpa/",                   Some(E::Host)),
    ("https://home.arpa/",                          Some(E::Host)),
    ("https://app.example.com./",                   Some(E::Host)),
    ("https://.example.com/",                       Some(E::Host)),
    ("https://app..example.com/",                   Some(E::Host)),
    ("https://-app.example.com/",                   Some(E::Host)),
    ("https://app_1.example.com/",                  Some(E::Host)),
    ("https://app%2eexample.com/",                  Some(E::Host)),
    ("https://*.example.com/",                      Some(E::Host)),
    ("https://xn--localhost-/",                     Some(E::Host)),
    ("https://xn--a.example.com/",                  Some(E::NotAUrl)),
    // ports
    ("https://app.example.com:/",                   Some(E::Port)),
    ("https://app.example.com:0/",                  Some(E::Port)),
    ("https://app.example.com:0443/",               Some(E::Port)),
    ("https://app.example.com:65536/",              Some(E::Port)),
    ("https://app.example.com:99999/",              Some(E::Port)),
    ("https://app.example.com:+443/",               Some(E::Port)),
    ("https://app.example.com:443:80/",             Some(E::Port)),
    ("https://app.example.com:22/",                 Some(E::Port)),
    ("https://app.example.com:25/",                 Some(E::Port)),
    ("https://app.example.com:80/",                 Some(E::Port)),
    ("https://app.example.com:1023/",               Some(E::Port)),
];

/// CIMD-01, CIMD-02, CIMD-03, CIMD-10, F7, F8, F9, F14: one row, one rule, on the raw string.
#[test]
fn stranger_url_rules() {
    for (raw, broken) in STRANGERS {
        assert_eq!(StrangerUrl::parse(raw).err(), *broken, "{raw}");
    }
}

/// CIMD-15: 2048 bytes and not one more.
#[test]
fn a_long_url_is_refused() {
    let fitting = format!("https://app.example.com/{}", "a".repeat(2_048 - 24));
    assert_eq!(fitting.len(), 2_048);
    assert!(StrangerUrl::parse(&fitting).is_ok());
    let long = format!("{fitting}a");
    assert_eq!(StrangerUrl::parse(&long), Err(E::TooLong));
}

/// CIMD-82: exactly the configured origin, byte for byte, and nothing that resembles it.
#[test]
fn only_the_configured_loopback_origin_parses() {
    let origins = ["https://localhost:9443".to_owned()];
    for (raw, parses) in [
        ("https://localhost:9443/client.json", true),
        ("https://localhost:9443", true),
        ("https://localhost:9443?x", true),
        ("https://localhost:9444/client.json", false),
        ("https://localhost/client.json", false),
        ("https://LOCALHOST:9443/client.json", false),
        ("https://127.0.0.1:9443/client.json", false),
        ("https://localhost:94430/client.json", false),
        ("https://localhost:9443@evil.example/", false),
        ("https://localhost:9443.evil.example/", false),
        ("https://x.localhost:9443/", false),
        ("http://localhost:9443/client.json", false),
    ] {
        let url = StrangerUrl::parse_with(raw, &origins);
        assert_eq!(url.is_ok(), parses, "{raw}");
        assert!(StrangerUrl::parse(raw).is_err(), "{raw}");
    }
}

/// The parts that are dialled and sent are those of the raw string.
#[test]
fn the_parts_of_a_url_are_those_of_the_text() {
    #[rustfmt::skip]
    let rows = [
        ("https://App.example.com/A/../b?c", "app.example.com", 443,  "/A/../b?c", "app.example.com"),
        ("https://app.example.com:443/",     "app.example.com", 443,  "/",         "app.example.com"),
        ("https://app.example.com:8443?q",   "app.example.com", 8443, "/?q",  "app.example.com:8443"),
        ("https://app.example.com",          "app.example.com", 443,  "/",         "app.example.com"),
    ];
    for (raw, host, port, request_target, host_header) in rows {
        let url = StrangerUrl::parse(raw).unwrap();
        assert_eq!(url.as_str(), raw);
        assert_eq!(url.to_string(), raw);
        assert_eq!(url.host(), host);
        assert_eq!(url.port(), port);
        assert_eq!(url.target().request_target(), request_target);
        assert_eq!(url.target().host_header(), host_header);
    }
}

/// Configuration may point anywhere over https; plain http stays on the machine.
#[test]
fn operator_url_rules() {
    #[rustfmt::skip]
    let rows = [
        ("https://hub.example/jwks.json",    None),
        ("https://hub.internal:22/jwks",     None),
        ("https://10.0.0.1/jwks.json",       None),
        ("https://[fd00::1]:8443/jwks.json", None),
        ("https://hub/jwks.json",            None),
        ("http://127.0.0.1:9400/jwks.json",  None),
        ("http://[::1]:9400/jwks.json",      None),
        ("http://localhost:9400/jwks.json",  None),
        ("http://localhost/jwks.json",       None),
        ("http://hub.example/jwks.json",     Some(E::NotHttps)),
        ("http://10.0.0.1/jwks.json",        Some(E::NotHttps)),
        ("http://127.0.0.1.evil.example/",   Some(E::NotHttps)),
        ("ftp://127.0.0.1/",                 Some(E::NotHttps)),
        ("http://me@127.0.0.1/",             Some(E::Userinfo)),
        ("http://127.0.0.1/#",               Some(E::Fragment)),
        ("http://127.1/",                    Some(E::Host)),
        ("http://2130706433/",               Some(E::Host)),
        ("http://127.0.0.1:0/",              Some(E::Port)),
        ("http://[::1]x/",                   Some(E::Host)),
        ("http://[0:0::1]/",                 Some(E::Host)),
    ];
    for (raw, broken) in rows {
        assert_eq!(OperatorUrl::parse(raw).err(), broken, "{raw}");
    }
    let url = OperatorUrl::parse("http://[::1]:9400/jwks.json?x").unwrap();
    assert_eq!(url.origin(), "http://[::1]:9400");
    assert_eq!(url.target().host_header(), "[::1]:9400");
    assert_eq!(url.target().host, "::1");
}

/// RFC 8552 §1.1: names of records may start with an underscore; F7, F8: and lead nowhere inside.
#[test]
fn a_name_of_records_is_a_public_name_or_below_one() {
    #[rustfmt::skip]
    let cases = [
        ("client.example",               true),
        ("_vestibule.Client.example",    true),
        ("_a._b.xn--bcher-kva.example",  true),
        ("1.client.example",             true),
        ("client",                       false),
        ("_vestibule.localhost",         false),
        ("_vestibule.printer.LOCAL",     false),
        ("_vestibule.db.internal",       false),
        ("internal",                     false),
        ("10.0.0.1",                     false),
        ("client.example.",              false),
        (".client.example",              false),
        ("client..example",              false),
        ("__a.client.example",           false),
        ("_.client.example",             false),
        ("a_b.client.example",           false),
        ("cli\\046ent.example",          false),
        ("client.example:53",            false),
        ("cliënt.example",               false),
        ("",                             false),
    ];
    for (name, public) in cases {
        assert_eq!(is_public_record_name(name), public, "{name}");
    }
    for (labels, public) in [(123, true), (124, false)] {
        let name = format!("{}example", "a.".repeat(labels));
        assert_eq!(is_public_record_name(&name), public, "{}", name.len());
    }
}

proptest! {
    /// F7, F9: whatever text is accepted, the parser of everybody else sees the same public host.
    #[test]
    fn an_accepted_url_has_one_reading(raw in "https://[a-z0-9.@:%\\\\/?#xX\\[\\]-]{0,40}") {
        if let Ok(url) = StrangerUrl::parse(&raw) {
            let parsed = Url::parse(&raw).unwrap();
            prop_assert_eq!(parsed.scheme(), "https");
            prop_assert_eq!(parsed.host_str(), Some(url.host()));
            prop_assert!(parsed.domain().is_some(), "{}", raw);
            prop_assert_eq!(parsed.username(), "");
            prop_assert_eq!(parsed.port_or_known_default(), Some(url.port()));
        }
    }

    /// Nothing makes the parser panic.
    #[test]
    fn any_text_is_answered(raw in "\\PC{0,80}") {
        let _ = StrangerUrl::parse(&raw);
        let _ = OperatorUrl::parse(&raw);
        let _ = StrangerUrl::parse(&format!("https://{raw}"));
    }
}
