//! One request and its answer on one connection, HTTP/1.1, bounded (threats F13, F20, F21).
//!
//! | Rule                                               | Enforced by                            |
//! |----------------------------------------------------|----------------------------------------|
//! | a body ends at its budget, whatever was announced  | [`Budget`], counted as it arrives      |
//! | headers and trailers are bounded                   | `max_header_size`, `max_headers`       |
//! | no content or transfer coding but chunked          | `refuse_codings`                       |
//! | the connection is closed afterwards                | `Connection: close`, nothing keeps it  |
//!
//! Not here: time. The caller puts one deadline around everything.

use std::pin::pin;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::{Body, Incoming},
    client::conn::http1,
};
use hyper_util::rt::TokioIo;

use crate::{FetchError, Fetched, Io};

/// Most octets of status line and headers, and again of trailers.
const HEADER_BYTES_MAX: usize = 16 * 1024;
/// Most header lines.
const HEADERS_MAX: usize = 100;
/// Most octets that wait in memory.
const BUFFER_BYTES_MAX: usize = 32 * 1024;

/// How much of a body is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    pub(crate) body_bytes_max: usize,
    /// Read the body of status 200 only.
    pub(crate) only_ok: bool,
}

/// Send the request and read the answer. Everything is dropped, and so closed, with this future.
pub(crate) async fn exchange(
    stream: Box<dyn Io>,
    request: Request<Full<Bytes>>,
    budget: Budget,
) -> Result<Fetched, FetchError> {
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(BUFFER_BYTES_MAX)
        .max_header_size(HEADER_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|failure| protocol(&failure))?;
    let mut connection = pin!(connection);
    let mut answer = pin!(async {
        let sent = sender.send_request(request).await;
        read(sent.map_err(|failure| protocol(&failure))?, budget).await
    });
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        // The peer closed; what had arrived by then is still handed over.
        _ = &mut connection => answer.await,
    }
}

async fn read(response: Response<Incoming>, budget: Budget) -> Result<Fetched, FetchError> {
    let (head, mut body) = response.into_parts();
    let headers = &head.headers;
    let mut fetched = Fetched {
        status: head.status.as_u16(),
        body: Bytes::new(),
        content_type: only(headers, &header::CONTENT_TYPE),
        cache_control: joined(headers, &header::CACHE_CONTROL),
        age: only(headers, &header::AGE).and_then(|text| seconds(&text)),
        expires: only(headers, &header::EXPIRES),
        date: only(headers, &header::DATE),
        retry_after: only(headers, &header::RETRY_AFTER).and_then(|text| seconds(&text)),
        cf_mitigated: headers.contains_key("cf-mitigated"),
    };
    if budget.only_ok && fetched.status != 200 {
        return Ok(fetched);
    }
    refuse_codings(headers)?;
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > budget.body_bytes_max {
        return Err(FetchError::TooLarge);
    }
    let mut bytes = BytesMut::with_capacity(announced);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|failure| protocol(&failure))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if bytes.len().saturating_add(data.len()) > budget.body_bytes_max {
            return Err(FetchError::TooLarge);
        }
        bytes.extend_from_slice(&data);
    }
    fetched.body = bytes.freeze();
    Ok(fetched)
}

/// Only what needs no decoding (F21).
fn refuse_codings(headers: &HeaderMap) -> Result<(), FetchError> {
    let all_are = |name: HeaderName, allowed: &str| {
        headers.get_all(name).iter().all(|value| {
            let text = value.to_str().unwrap_or("?").trim();
            text.is_empty() || text.eq_ignore_ascii_case(allowed)
        })
    };
    if all_are(header::CONTENT_ENCODING, "identity")
        && all_are(header::TRANSFER_ENCODING, "chunked")
    {
        Ok(())
    } else {
        Err(FetchError::Encoded)
    }
}

fn protocol(failure: &hyper::Error) -> FetchError {
    tracing::debug!(%failure, "an answer was not proper HTTP");
    if failure.is_parse_too_large() {
        FetchError::TooLarge
    } else {
        FetchError::Protocol
    }
}

/// A header that was sent exactly once, in visible ASCII.
fn only(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?.to_str().ok()?.to_owned();
    values.next().is_none().then_some(first)
}

/// All lines of a list header, as if they were one (RFC 9110 §5.3).
fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let lines: Vec<&str> = headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect();
    (!lines.is_empty()).then(|| lines.join(", "))
}

fn seconds(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}
