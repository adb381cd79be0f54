//! A plain HTTP client for loopback, as small as the demo's agent needs it. Not the hub's way
//! out: that is `vestibule-fetch`.

use std::{collections::BTreeMap, time::Duration};

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Request, Uri, body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};

use super::super::Failure;

const BODY_BYTES_MAX: usize = 1 << 20;
const WITHIN: Duration = Duration::from_secs(10);

/// An answer.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    pub(super) fn json(&self) -> Result<serde_json::Value, Failure> {
        Ok(serde_json::from_str(&self.body)?)
    }
}

/// One request.
pub(super) async fn send(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: impl Into<String>,
) -> Result<Answer, Failure> {
    timeout(WITHIN, exchange(method, url, headers, body.into()))
        .await
        .map_err(|_| format!("{url} did not answer within 10 s"))?
}

async fn exchange(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: String,
) -> Result<Answer, Failure> {
    let uri: Uri = url.parse()?;
    let authority = uri.authority().ok_or("a URL without a host")?.to_string();
    let stream = TcpStream::connect(&authority).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let target = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::builder()
        .method(method)
        .uri(target)
        .header("host", &authority);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = sender
        .send_request(request.body(Full::new(Bytes::from(body)))?)
        .await?;
    let status = answer.status().as_u16();
    let headers = answer
        .headers()
        .iter()
        .map(|(name, value)| {
            (
                name.as_str().to_owned(),
                String::from_utf8_lossy(value.as_bytes()).into_owned(),
            )
        })
        .collect();
    let body = Limited::new(answer.into_body(), BODY_BYTES_MAX)
        .collect()
        .await;
    let body = body.map_err(|failure| failure.to_string())?.to_bytes();
    connection.abort();
    Ok(Answer {
        status,
        headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}

/// A form body.
pub(super) fn form(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish()
}

/// A browser: cookies, and forms filled in from the page.
#[derive(Default)]
pub(super) struct Browser {
    cookies: BTreeMap<String, String>,
}

impl Browser {
    pub(super) async fn get(&mut self, url: &str) -> Result<Answer, Failure> {
        let cookies = self.cookie_header();
        let answer = send(
            "GET",
            url,
            &[("cookie", &cookies), ("accept", "text/html")],
            "",
        )
        .await?;
        self.keep(&answer);
        Ok(answer)
    }

    pub(super) async fn post(
        &mut self,
        url: &str,
        pairs: &[(&str, &str)],
    ) -> Result<Answer, Failure> {
        let cookies = self.cookie_header();
        let headers = [
            ("cookie", cookies.as_str()),
            ("accept", "text/html"),
            ("content-type", "application/x-www-form-urlencoded"),
            ("sec-fetch-site", "same-origin"),
        ];
        let answer = send("POST", url, &headers, form(pairs)).await?;
        self.keep(&answer);
        Ok(answer)
    }

    fn cookie_header(&self) -> String {
        let pairs: Vec<_> = self
            .cookies
            .iter()
            .map(|(k, v)| format!("{k}={v}"))
            .collect();
        pairs.join("; ")
    }

    fn keep(&mut self, answer: &Answer) {
        for (name, value) in &answer.headers {
            if name != "set-cookie" {
                continue;
            }
            let pair = value.split(';').next().unwrap_or_default();
            if let Some((name, value)) = pair.split_once('=') {
                if value.is_empty() {
                    self.cookies.remove(name);
                } else {
                    self.cookies.insert(name.to_owned(), value.to_owned());
                }
            }
        }
    }
}

/// The value of a hidden field; ours need no unescaping.
pub(super) fn hidden(page: &str, name: &str) -> Option<String> {
    let mark = format!("name=\"{name}\" value=\"");
    let (_, rest) = page.split_once(&mark)?;
    rest.split('"').next().map(str::to_owned)
}

/// The values of the ticked boxes.
pub(super) fn ticked(page: &str) -> Vec<String> {
    page.split("<input type=\"checkbox\"")
        .skip(1)
        .filter_map(|part| part.split('>').next())
        .filter(|tag| tag.contains(" checked"))
        .filter_map(|tag| {
            tag.split_once("value=\"")?
                .1
                .split('"')
                .next()
                .map(str::to_owned)
        })
        .collect()
}
