//! A small HTTP/1.1 client for loopback: one request at a time on a connection that stays open.
//! Answers must say their length; all servers here do.

use std::time::{Duration, Instant};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::Outcome;

/// What agents register.
pub(crate) const REGISTRATION: &str = r#"{"client_name":"Bench Agent","application_type":"native","redirect_uris":["http://127.0.0.1/callback"],"grant_types":["authorization_code","refresh_token"],"response_types":["code"],"token_endpoint_auth_method":"none"}"#;

/// The same by an agent that nobody has seen before: the number is replaced in each request.
pub(crate) const NEW_REGISTRATION: &str = r#"{"client_name":"Bench Agent 00000000","application_type":"web","redirect_uris":["https://agent-00000000.example.com/callback"],"grant_types":["authorization_code","refresh_token"],"response_types":["code"],"token_endpoint_auth_method":"none"}"#;

/// Where codes go.
pub(crate) const CALLBACK: &str = "http://127.0.0.1:40404/callback";
/// RFC 7636, appendix B.
pub(crate) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
/// Its challenge.
pub(crate) const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// An answer.
pub(crate) struct Reply {
    /// Its status.
    pub(crate) status: u16,
    /// Status line and headers.
    pub(crate) head: String,
    /// Its body.
    pub(crate) body: String,
}

impl Reply {
    /// A header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }

    /// Cookies that it sets, `name=value`.
    pub(crate) fn cookies(&self) -> impl Iterator<Item = &str> {
        self.head.lines().filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("set-cookie")
                .then(|| value.trim().split(';').next())
                .flatten()
        })
    }

    /// A text member of its JSON body. The measured loop calls it, so it does not parse the rest.
    pub(crate) fn member(&self, name: &str) -> Option<&str> {
        let mark = format!("\"{name}\":\"");
        self.body.split_once(&mark)?.1.split('"').next()
    }

    /// The value of a hidden field of its page.
    pub(crate) fn hidden(&self, name: &str) -> Option<&str> {
        let mark = format!("name=\"{name}\" value=\"");
        self.body.split_once(&mark)?.1.split('"').next()
    }

    /// It, or what it says instead.
    pub(crate) fn expect(self, status: u16, what: &str) -> Outcome<Self> {
        if self.status == status {
            return Ok(self);
        }
        let body: String = self.body.chars().take(400).collect();
        Err(format!(
            "{what}: {status} expected, not {} {body}",
            self.status
        ))
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}

/// A connection that stays open.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connect.
    pub(crate) async fn open(host: &str) -> Outcome<Self> {
        let stream = TcpStream::connect(host)
            .await
            .map_err(|failure| format!("{host}: {failure}"))?;
        stream
            .set_nodelay(true)
            .map_err(|failure| failure.to_string())?;
        Ok(Self {
            stream,
            buffer: Vec::with_capacity(16_384),
        })
    }

    /// One request and its answer.
    pub(crate) async fn send(&mut self, request: &[u8]) -> Outcome<Reply> {
        self.stream
            .write_all(request)
            .await
            .map_err(|failure| failure.to_string())?;
        self.buffer.clear();
        let (head, start) = loop {
            self.more().await?;
            if let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = self.buffer.get(..end).unwrap_or_default();
                break (String::from_utf8_lossy(head).into_owned(), end + 4);
            }
        };
        let length: usize = header(&head, "content-length")
            .and_then(|length| length.parse().ok())
            .ok_or_else(|| format!("an answer without a length: {head}"))?;
        while self.buffer.len() < start + length {
            self.more().await?;
        }
        let body = self.buffer.get(start..start + length).unwrap_or_default();
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .unwrap_or(0);
        Ok(Reply {
            status,
            body: String::from_utf8_lossy(body).into_owned(),
            head,
        })
    }

    async fn more(&mut self) -> Outcome<()> {
        match self.stream.read_buf(&mut self.buffer).await {
            Ok(0) => Err("the server closed the connection".to_owned()),
            Ok(_) => Ok(()),
            Err(failure) => Err(failure.to_string()),
        }
    }
}

/// One request on a connection of its own.
pub(crate) async fn once(host: &str, request: &[u8]) -> Outcome<Reply> {
    Connection::open(host).await?.send(request).await
}

/// GET.
pub(crate) fn get(host: &str, path: &str, headers: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n{headers}\r\n").into_bytes()
}

/// POST. `headers` are whole lines.
pub(crate) fn post(host: &str, path: &str, media_type: &str, headers: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: {media_type}\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// POST a form.
pub(crate) fn post_form(host: &str, path: &str, headers: &str, pairs: &[(&str, &str)]) -> Vec<u8> {
    post(
        host,
        path,
        "application/x-www-form-urlencoded",
        headers,
        &form(pairs),
    )
}

/// `a=b&c=d`.
pub(crate) fn form(pairs: &[(&str, &str)]) -> String {
    let escape = |text: &str| -> String {
        text.bytes()
            .map(|byte| match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                    char::from(byte).to_string()
                }
                other => format!("%{other:02X}"),
            })
            .collect()
    };
    let pairs: Vec<_> = pairs
        .iter()
        .map(|(name, value)| format!("{}={}", escape(name), escape(value)))
        .collect();
    pairs.join("&")
}

/// How long to wait between two attempts to reach a server that starts.
pub(crate) const PAUSE: Duration = Duration::from_millis(20);

/// An authorization request of this client.
pub(crate) fn authorize(path: &str, client: &str, redirect: &str, resource: &str) -> String {
    let query = form(&[
        ("response_type", "code"),
        ("client_id", client),
        ("redirect_uri", redirect),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
        ("scope", "mcp:read"),
        ("resource", resource),
        ("state", "af0ifjsldkj"),
    ]);
    format!("{path}?{query}")
}

/// A token request with a code.
pub(crate) fn redeem(host: &str, client: &str, code: &str) -> Vec<u8> {
    post_form(
        host,
        "/token",
        "",
        &[
            ("grant_type", "authorization_code"),
            ("client_id", client),
            ("code", code),
            ("code_verifier", VERIFIER),
            ("redirect_uri", CALLBACK),
        ],
    )
}

/// A token request of a client for itself.
pub(crate) fn machine(host: &str, credentials: &str, resource: &str) -> Vec<u8> {
    post_form(
        host,
        "/token",
        credentials,
        &[
            ("grant_type", "client_credentials"),
            ("scope", "mcp:read"),
            ("resource", resource),
        ],
    )
}

/// A token request with a refresh token.
pub(crate) fn refresh(host: &str, client: &str, token: &str) -> Vec<u8> {
    post_form(
        host,
        "/token",
        "",
        &[
            ("grant_type", "refresh_token"),
            ("client_id", client),
            ("refresh_token", token),
        ],
    )
}

/// Wait until the path answers 200, for a minute at most: under Valgrind a start takes its time.
/// `pause` is how long it waits between two attempts.
pub(crate) async fn ready(host: &str, path: &str, pause: Duration) -> Outcome<()> {
    let deadline = Instant::now() + Duration::from_mins(1);
    while Instant::now() < deadline {
        if let Ok(reply) = once(host, &get(host, path, "")).await
            && reply.status == 200
        {
            return Ok(());
        }
        tokio::time::sleep(pause).await;
    }
    Err(format!("http://{host}{path} does not answer"))
}
