//! The form of the data: one arrival a line, each line a JSON object.
//!
//! Not here: whether a body is any good. That the parser refuses some is part of the result.

use std::net::IpAddr;

use serde::Deserialize;
use serde_json::Value;

const HONEST: &str = include_str!("../data/honest.jsonl");
const ABUSIVE: &str = include_str!("../data/abusive.jsonl");

/// What an arrival is in truth.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum Label {
    /// Sent by somebody who means well.
    Honest,
    /// Sent by somebody who does not.
    Abusive,
}

/// How a client comes in.
#[derive(Clone, Debug, PartialEq)]
pub enum Came {
    /// It registers (RFC 7591).
    Registered {
        /// The body of its request, as JSON text.
        body: String,
    },
    /// Its id is the URL of a document.
    ByDocument {
        /// The URL.
        client_id: String,
        /// What is served there, as JSON text.
        document: String,
    },
}

/// Where the request comes from.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The address.
    pub ip: IpAddr,
    /// `User-Agent`; none where none was sent.
    #[serde(default)]
    pub user_agent: Option<String>,
    /// ISO 3166-1 alpha-2.
    #[serde(default)]
    pub country: Option<String>,
    /// A list of the administrator names the address.
    #[serde(default)]
    pub listed: bool,
    /// A reputation list names the address.
    #[serde(default)]
    pub reputation: bool,
}

/// What happened before.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Before {
    /// Arrivals of other programs from the same address in the last hour.
    pub from_source: u32,
    /// Arrivals of the same software from other addresses in the last hour.
    pub of_software: u32,
    /// Days since the client was first stored here; 0 for a newcomer.
    pub known_days: u64,
    /// People with a live grant to it.
    pub people: u64,
    /// People who reported it.
    pub reports: u64,
    /// Changes of its document that mattered, in the last 30 days.
    pub changes_30d: u64,
}

/// One labelled arrival.
#[derive(Clone, Debug, PartialEq)]
pub struct Arrival {
    /// Unique in the corpus.
    pub id: String,
    /// What it is in truth.
    pub label: Label,
    /// Groups arrivals in the tables.
    pub kind: String,
    /// The product of the catalogue that this really is; only honest ones have one.
    pub product: Option<String>,
    /// By which door.
    pub came: Came,
    /// The redirect that a person is sent to, where it is known already.
    pub redirect_in_use: Option<String>,
    /// From where.
    pub source: Source,
    /// What a risk service says, 0 (good) to 100 (bad); none where the hub asks nobody.
    pub score: Option<u32>,
    /// What happened before.
    pub before: Before,
    /// Why it is in.
    pub note: String,
}

/// What is wrong with a line.
#[derive(Debug, thiserror::Error)]
#[error("{file}, line {line}: {message}")]
pub struct CorpusError {
    file: &'static str,
    line: usize,
    message: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    id: String,
    label: Label,
    kind: String,
    #[serde(default)]
    product: Option<String>,
    door: String,
    #[serde(default)]
    client_id: Option<String>,
    #[serde(default)]
    body: Option<Value>,
    #[serde(default)]
    document: Option<Value>,
    #[serde(default)]
    redirect_in_use: Option<String>,
    source: Source,
    #[serde(default)]
    score: Option<u32>,
    #[serde(default)]
    before: Before,
    note: String,
}

/// The corpus: the honest arrivals, then the abusive ones.
///
/// # Errors
///
/// The first line that is not of the form, or stands in the wrong file.
pub fn corpus() -> Result<Vec<Arrival>, CorpusError> {
    let mut all = read("honest.jsonl", HONEST, Label::Honest)?;
    all.extend(read("abusive.jsonl", ABUSIVE, Label::Abusive)?);
    Ok(all)
}

fn read(file: &'static str, text: &str, label: Label) -> Result<Vec<Arrival>, CorpusError> {
    let numbered = text.lines().zip(1..);
    numbered
        .map(|(text, line)| {
            arrival(text, label).map_err(|message| CorpusError {
                file,
                line,
                message,
            })
        })
        .collect()
}

fn arrival(text: &str, label: Label) -> Result<Arrival, String> {
    let line: Line = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if line.label != label {
        return Err("its label is that of the other file".to_owned());
    }
    if line.product.is_some() && label == Label::Abusive {
        return Err("only an honest client is a product of the catalogue".to_owned());
    }
    let came = match (line.door.as_str(), line.body, line.client_id, line.document) {
        ("dcr", Some(body), None, None) => Came::Registered {
            body: body.to_string(),
        },
        ("cimd", None, Some(client_id), Some(document)) => Came::ByDocument {
            client_id,
            document: document.to_string(),
        },
        _ => {
            return Err(
                "needs `body` at the door dcr, `client_id` and `document` at the door cimd"
                    .to_owned(),
            );
        }
    };
    Ok(Arrival {
        id: line.id,
        label,
        kind: line.kind,
        product: line.product,
        came,
        redirect_in_use: line.redirect_in_use,
        source: line.source,
        score: line.score,
        before: line.before,
        note: line.note,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(change: &str) -> String {
        let door = r#""door":"dcr","body":{"client_name":"A"}"#;
        let rest = r#""source":{"ip":"192.0.2.1"},"note":"n""#;
        format!(r#"{{"id":"h-1","label":"honest","kind":"k",{door},{rest}{change}}}"#)
    }

    #[test]
    fn a_line_says_what_it_needs() {
        let found = arrival(&line(""), Label::Honest).unwrap();
        assert_eq!(found.before, Before::default());
        assert!(matches!(found.came, Came::Registered { body } if body.contains("client_name")));
        #[rustfmt::skip]
        let bad = [
            (line(""),                          Label::Abusive),
            (line(r#","client_id":"https://a.example/c""#), Label::Honest),
            (line(r#","colour":"red""#),        Label::Honest),
            (line(r#","before":{"days":1}"#),   Label::Honest),
            (line("").replace("dcr", "admin"),  Label::Honest),
            ("{".to_owned(),                    Label::Honest),
        ];
        for (text, label) in bad {
            assert!(arrival(&text, label).is_err(), "{text}");
        }
    }
}
