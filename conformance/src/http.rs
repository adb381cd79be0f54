//! A small HTTP/1.1 client for loopback. `None` is a connection that ended before its answer, as
//! happens when the hub is killed.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    headers: Vec<(String, String)>,
    /// Its body.
    pub body: String,
}

impl Answer {
    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The value of a cookie that it sets.
    pub fn cookie(&self, name: &str) -> Option<String> {
        let mark = format!("{name}=");
        self.headers
            .iter()
            .filter(|(key, _)| key.eq_ignore_ascii_case("set-cookie"))
            .find_map(|(_, value)| {
                value
                    .strip_prefix(&mark)?
                    .split(';')
                    .next()
                    .map(str::to_owned)
            })
    }

    /// A member of its JSON body, as text.
    ///
    /// # Panics
    /// When it is not there.
    pub fn member(&self, name: &str) -> String {
        let json: serde_json::Value = serde_json::from_str(&self.body).unwrap_or_default();
        let text = json.get(name).and_then(serde_json::Value::as_str);
        text.unwrap_or_else(|| panic!("no {name} in {} {}", self.status, self.body))
            .to_owned()
    }

    /// The value of a hidden field of its page.
    pub fn hidden(&self, name: &str) -> Option<String> {
        let mark = format!("name=\"{name}\" value=\"");
        let (_, rest) = self.body.split_once(&mark)?;
        rest.split('"').next().map(str::to_owned)
    }
}

/// `a=b&c=d`.
pub fn form(pairs: &[(&str, &str)]) -> String {
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

/// GET.
pub async fn get(url: &str, cookie: &str) -> Option<Answer> {
    exchange("GET", url, "", cookie, "").await
}

/// POST.
pub async fn post(url: &str, media_type: &str, cookie: &str, body: &str) -> Option<Answer> {
    exchange("POST", url, media_type, cookie, body).await
}

/// POST a form, as a page of the hub would.
pub async fn post_form(url: &str, cookie: &str, body: &str) -> Option<Answer> {
    post(url, "application/x-www-form-urlencoded", cookie, body).await
}

/// Any method.
pub async fn exchange(
    method: &str,
    url: &str,
    media_type: &str,
    cookie: &str,
    body: &str,
) -> Option<Answer> {
    let media_type = if media_type.is_empty() {
        String::new()
    } else {
        format!("content-type: {media_type}\r\n")
    };
    let cookie = if cookie.is_empty() {
        String::new()
    } else {
        format!("cookie: {cookie}\r\n")
    };
    let headers = format!("sec-fetch-site: same-origin\r\n{media_type}{cookie}");
    exchange_with(method, url, &headers, body).await
}

/// Any method with any headers, whole lines.
pub async fn exchange_with(method: &str, url: &str, headers: &str, body: &str) -> Option<Answer> {
    let rest = url.strip_prefix("http://")?;
    let (host, path) = rest.split_at(rest.find('/')?);
    let mut stream = TcpStream::connect(host).await.ok()?;
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{headers}\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    // A body that was cut short is no answer.
    if length.is_some_and(|(_, length)| length.parse() != Ok(body.len())) {
        return None;
    }
    Some(Answer {
        status,
        headers,
        body: body.to_owned(),
    })
}
