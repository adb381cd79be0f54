//! A third party's risk score: what is asked, what is believed (design section 6).
//!
//! The request is JSON, `"version": 1`, and holds nothing secret and no person: where a request came
//! from and what the client says of itself. It is signed so that the service knows the hub:
//! `Vestibule-Signature: t=<seconds>,v1=<hex of HMAC-SHA256 over "<seconds>.<body>">`. The MAC is
//! the caller's: this crate has no keys.
//!
//! The answer is `{"score": 0..100, "reasons": ["…"], "ttl": seconds}`, 0 good and 100 bad. Anything
//! else is no answer, and no answer is a missing signal that a policy decides about: junk never
//! looks like a good score. A score limits a request; it never ends a grant.
//!
//! Not here: the connection, its deadline, the cache.

use std::{collections::BTreeSet, net::IpAddr};

use serde_json::json;
use vestibule_protocol::{client_metadata::DisplayName, json::Json, redirect_uri::RedirectUri};

/// Largest answer.
pub const ANSWER_BYTES_MAX: usize = 8 << 10;
/// Most reasons, and the length of each in characters.
pub const REASONS_MAX: usize = 5;
/// See [`REASONS_MAX`].
pub const REASON_CHARS_MAX: usize = 120;
/// Longest time that an answer is believed, in seconds.
pub const TTL_MAX_S: u64 = 86_400;
/// Header of the signature.
pub const SIGNATURE_HEADER: &str = "Vestibule-Signature";
/// Longest user agent that is passed on, in characters.
const USER_AGENT_CHARS_MAX: usize = 256;

/// What is asked about.
#[derive(Clone, Copy, Debug)]
pub struct ScoreQuestion<'a> {
    /// Source address.
    pub ip: IpAddr,
    /// ISO 3166-1 alpha-2.
    pub country: Option<&'a str>,
    /// Autonomous system.
    pub asn: Option<u32>,
    /// What the client calls itself.
    pub client_name: Option<&'a DisplayName>,
    /// Host of its document.
    pub client_host: Option<&'a str>,
    /// Its redirect URIs; only their hosts are passed on.
    pub redirects: &'a [RedirectUri],
    /// `User-Agent`, as sent.
    pub user_agent: Option<&'a str>,
}

/// The body, one spelling for one question.
pub fn request_body(question: &ScoreQuestion<'_>) -> String {
    let hosts: BTreeSet<&str> = question
        .redirects
        .iter()
        .map(RedirectUri::display_host)
        .collect();
    let user_agent: Option<String> = question.user_agent.map(|text| {
        let printable = text.chars().filter(|c| !c.is_control());
        printable.take(USER_AGENT_CHARS_MAX).collect()
    });
    json!({
        "version": 1,
        "source": {
            "ip": question.ip.to_canonical().to_string(),
            "country": question.country,
            "asn": question.asn,
            "user_agent": user_agent,
        },
        "client": {
            "name": question.client_name.map(DisplayName::as_str),
            "host": question.client_host,
            "redirect_hosts": hosts,
        },
    })
    .to_string()
}

/// What the MAC is taken over.
pub fn string_to_sign(now_s: u64, body: &str) -> String {
    format!("{now_s}.{body}")
}

/// The header's value, with the MAC of [`string_to_sign`].
pub fn signature_header(now_s: u64, mac: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut value = format!("t={now_s},v1=");
    for byte in mac {
        // Writing to a text cannot fail.
        let _ = write!(value, "{byte:02x}");
    }
    value
}

/// An answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Score {
    /// 0 (good) to 100 (bad).
    pub score: u32,
    /// Why, cleaned for pages: at most [`REASONS_MAX`] × [`REASON_CHARS_MAX`].
    pub reasons: Vec<String>,
    /// How long it may be believed, in seconds; at most [`TTL_MAX_S`].
    pub ttl_s: u64,
}

/// Read an answer. `None` for anything that is not exactly the documented form: then the signal is
/// missing.
pub fn read_answer(bytes: &[u8]) -> Option<Score> {
    if bytes.len() > ANSWER_BYTES_MAX {
        return None;
    }
    let members = Json::parse_object(bytes).ok()?;
    let known = ["score", "reasons", "ttl"];
    if !members.keys().all(|name| known.contains(&name.as_str())) {
        return None;
    }
    let whole = |name: &str| match members.get(name)? {
        Json::Number(number) => number.as_u64(),
        _ => None,
    };
    let score = u32::try_from(whole("score")?).ok()?;
    if score > 100 {
        return None;
    }
    let reasons = match members.get("reasons") {
        None => &[][..],
        Some(list) => list.as_array()?,
    };
    let reasons: Option<Vec<&str>> = reasons.iter().map(Json::as_text).collect();
    let ttl_s = match members.get("ttl") {
        None => 0,
        Some(_) => whole("ttl")?.min(TTL_MAX_S),
    };
    Some(Score {
        score,
        reasons: reasons?
            .into_iter()
            .filter_map(clean)
            .take(REASONS_MAX)
            .collect(),
        ttl_s,
    })
}

/// As names are cleaned, and without what could be taken for markup.
fn clean(text: &str) -> Option<String> {
    let plain: String = text.chars().filter(|c| !"<>&`".contains(*c)).collect();
    // In pieces: the cleaner of names stops at a name's length.
    let words: Vec<String> = plain
        .split_whitespace()
        .filter_map(DisplayName::sanitize)
        .map(|word| word.as_str().to_owned())
        .collect();
    let short: String = words.join(" ").chars().take(REASON_CHARS_MAX).collect();
    (!short.is_empty()).then(|| short.trim_end().to_owned())
}

/// What a page says of a score.
pub fn sentence(score: u32) -> String {
    format!("A reputation service rates the request's risk at {score} of 100.")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::signals::fixtures::redirects;

    #[test]
    fn a_question_holds_no_path_and_no_secret() {
        let redirects = redirects(&[
            "https://a.example/cb/secret-path?tenant=7",
            "http://localhost:9/x",
        ]);
        let name = DisplayName::sanitize("Notes");
        let question = ScoreQuestion {
            ip: "::ffff:192.0.2.1".parse().unwrap(),
            country: Some("DE"),
            asn: None,
            client_name: name.as_ref(),
            client_host: Some("a.example"),
            redirects: &redirects,
            user_agent: Some("curl/8\r\nX: y"),
        };
        let body = request_body(&question);
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&body).unwrap(),
            json!({
                "version": 1,
                "source": {"ip": "192.0.2.1", "country": "DE", "asn": null, "user_agent": "curl/8X: y"},
                "client": {"name": "Notes", "host": "a.example", "redirect_hosts": ["a.example", "localhost:9"]},
            })
        );
        assert_eq!(string_to_sign(7, "{}"), "7.{}");
        assert_eq!(signature_header(7, &[0x0a, 0xff]), "t=7,v1=0aff");
        assert!(sentence(70).contains("70"));
    }

    /// Junk is a missing signal, never a good score.
    #[test]
    fn only_the_documented_answer_is_an_answer() {
        let good = [
            (
                r#"{"score":0}"#,
                Score {
                    score: 0,
                    reasons: vec![],
                    ttl_s: 0,
                },
            ),
            (
                r#"{"score":100,"reasons":["Tor exit","  seen\n in <b>spam</b> "],"ttl":60}"#,
                Score {
                    score: 100,
                    reasons: vec!["Tor exit".to_owned(), "seen in bspam/b".to_owned()],
                    ttl_s: 60,
                },
            ),
            (
                r#"{"score":5,"ttl":99999999}"#,
                Score {
                    score: 5,
                    reasons: vec![],
                    ttl_s: TTL_MAX_S,
                },
            ),
        ];
        for (text, expected) in good {
            assert_eq!(read_answer(text.as_bytes()), Some(expected), "{text}");
        }
        #[rustfmt::skip]
        let bad = [
            "", "null", "[]", "0", "{}", r#"{"score":-1}"#, r#"{"score":101}"#, r#"{"score":"0"}"#,
            r#"{"score":0.5}"#, r#"{"score":null}"#, r#"{"score":0,"score":90}"#, r#"{"score":0}x"#,
            r#"{"score":0,"reasons":"x"}"#, r#"{"score":0,"reasons":[1]}"#, r#"{"score":0,"ttl":-1}"#,
            r#"{"score":0,"ttl":"60"}"#, r#"{"score":0,"risk":"low"}"#, r#"{"score":1e1}"#, "<html>",
        ];
        for text in bad {
            assert_eq!(read_answer(text.as_bytes()), None, "{text}");
        }
        let long = format!(r#"{{"score":0,"reasons":["{}"]}}"#, "x".repeat(9_000));
        assert_eq!(read_answer(long.as_bytes()), None);
        let many = format!(
            r#"{{"score":9,"reasons":[{}"{}"]}}"#,
            "\"a b\",".repeat(9),
            "x ".repeat(300)
        );
        let found = read_answer(many.as_bytes()).unwrap();
        assert_eq!(found.reasons.len(), REASONS_MAX);
        let one = format!(r#"{{"score":9,"reasons":["{}"]}}"#, "word ".repeat(300));
        assert!(
            read_answer(one.as_bytes()).unwrap().reasons[0]
                .chars()
                .count()
                <= REASON_CHARS_MAX
        );
    }

    proptest! {
        #[test]
        fn reading_never_panics(bytes: Vec<u8>) {
            let _ = read_answer(&bytes);
        }
    }
}
