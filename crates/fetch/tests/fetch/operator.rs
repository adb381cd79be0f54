//! Calls that configuration asks for: anywhere, but to one origin only (design invariant 7).

use std::time::{Duration, Instant};

use vestibule_fetch::{FetchError, FetchSettings, Fetcher, OperatorUrl};

use crate::support::{Host, Step, ok, send};

/// Longer than any test.
const LONG: Duration = Duration::from_mins(1);

fn fetcher() -> Fetcher {
    Fetcher::new(FetchSettings::default()).unwrap()
}

fn url(host: &Host, path: &str) -> OperatorUrl {
    OperatorUrl::parse(&format!("http://{}{path}", host.address)).unwrap()
}

/// The key set of a hub on the same machine.
#[tokio::test]
async fn an_operator_url_may_be_plain_http_on_loopback() {
    let host = Host::plain(ok("{\"keys\":[]}")).await;
    let answer = fetcher()
        .get_operator(&url(&host, "/jwks.json"), 1_000)
        .await
        .unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body.as_ref(), b"{\"keys\":[]}");
    assert!(host.requests()[0].starts_with("GET /jwks.json HTTP/1.1\r\n"));

    let named = format!("http://localhost:{}/jwks.json", host.address.port());
    let named = OperatorUrl::parse(&named).unwrap();
    assert_eq!(
        fetcher().get_operator(&named, 1_000).await.unwrap().status,
        200
    );
}

/// F10: no redirect is followed for anybody.
#[tokio::test]
async fn an_operator_redirect_is_not_followed() {
    let host = Host::plain(send(
        "HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n",
    ))
    .await;
    let answer = fetcher().get_operator(&url(&host, "/a"), 1_000).await;
    assert_eq!(answer.unwrap().status, 302);
    assert_eq!(host.requests().len(), 1);
}

/// F20: the caller's budget holds here, too.
#[tokio::test]
async fn an_operator_answer_is_bounded() {
    let host = Host::plain(ok("12345")).await;
    for (bytes_max, expected) in [(5, Ok(5)), (4, Err(FetchError::TooLarge))] {
        let answer = fetcher().get_operator(&url(&host, "/a"), bytes_max).await;
        assert_eq!(answer.map(|answer| answer.body.len()), expected);
    }
}

/// RFC 7662 §2.1, RFC 6749 §2.3.1: the form, and credentials that are form-encoded inside Basic.
#[tokio::test]
async fn a_form_is_posted_with_basic_credentials() {
    let host = Host::plain(send(
        "HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
    ))
    .await;
    let form = [("token", "a b&c=d"), ("token_type_hint", "access_token")];
    let answer = fetcher()
        .post_form_operator(
            &url(&host, "/introspect"),
            &form,
            Some(("id:1", "s p%")),
            1_000,
        )
        .await
        .unwrap();
    assert_eq!(answer.status, 401);
    assert_eq!(answer.body.as_ref(), b"{}");
    let request = host.requests().remove(0);
    assert!(
        request.starts_with("POST /introspect HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(request.contains("content-type: application/x-www-form-urlencoded\r\n"));
    // id%3A1:s+p%25
    assert!(
        request.contains("authorization: Basic aWQlM0ExOnMrcCUyNQ==\r\n"),
        "{request}"
    );
    assert!(request.ends_with("\r\n\r\ntoken=a+b%26c%3Dd&token_type_hint=access_token"));
}

/// Without credentials none are sent.
#[tokio::test]
async fn a_form_without_credentials_sends_none() {
    let host = Host::plain(ok("{}")).await;
    fetcher()
        .post_form_operator(&url(&host, "/introspect"), &[("token", "t")], None, 1_000)
        .await
        .unwrap();
    let request = host.requests().remove(0);
    assert!(
        !request.to_ascii_lowercase().contains("authorization"),
        "{request}"
    );
}

/// JSON, the headers of the caller, and the answer whatever its status.
#[tokio::test]
async fn json_is_posted_with_the_headers_of_the_caller() {
    let host = Host::plain(send(
        "HTTP/1.1 422 Unprocessable\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nno",
    ))
    .await;
    let answer = fetcher()
        .post_json_operator(
            &url(&host, "/score?v=1"),
            b"{\"a\":1}".to_vec(),
            &[("Vestibule-Signature", "t=1,v1=00"), ("x-b", "c d")],
            LONG,
            1_000,
        )
        .await
        .unwrap();
    assert_eq!(
        (answer.status, answer.body.as_ref()),
        (422, b"no".as_slice())
    );
    let request = host.requests().remove(0);
    assert!(
        request.starts_with("POST /score?v=1 HTTP/1.1\r\n"),
        "{request}"
    );
    for line in [
        "content-type: application/json",
        "accept: application/json",
        "content-length: 7",
        "vestibule-signature: t=1,v1=00",
        "x-b: c d",
    ] {
        assert!(
            request.contains(&format!("\r\n{line}\r\n")),
            "{line} {request}"
        );
    }
    assert!(request.ends_with("\r\n\r\n{\"a\":1}"), "{request}");
}

/// Nothing is sent with a header that would be two, or none.
#[tokio::test]
async fn a_header_that_cannot_be_sent_sends_nothing() {
    let host = Host::plain(ok("{}")).await;
    for header in [("x-a", "1\r\nx-b: 2"), ("x a", "1"), ("", "1")] {
        let answer = fetcher()
            .post_json_operator(&url(&host, "/a"), Vec::new(), &[header], LONG, 1_000)
            .await;
        assert_eq!(answer, Err(FetchError::Protocol), "{header:?}");
    }
    assert!(host.requests().is_empty());
}

/// F10, F20: no redirect, and the caller's budget.
#[tokio::test]
async fn a_json_answer_is_bounded_and_leads_nowhere() {
    let host = Host::plain(ok("12345")).await;
    for (bytes_max, expected) in [(5, Ok(5)), (4, Err(FetchError::TooLarge))] {
        let answer = fetcher()
            .post_json_operator(&url(&host, "/a"), Vec::new(), &[], LONG, bytes_max)
            .await;
        assert_eq!(answer.map(|answer| answer.body.len()), expected);
    }
    let host = Host::plain(send(
        "HTTP/1.1 307 Temporary\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n",
    ))
    .await;
    let answer = fetcher()
        .post_json_operator(&url(&host, "/a"), Vec::new(), &[], LONG, 1_000)
        .await;
    assert_eq!(answer.unwrap().status, 307);
    assert_eq!(host.requests().len(), 1);
}

/// F19: the caller's deadline and the fetcher's, whichever is shorter.
#[tokio::test]
async fn the_shorter_deadline_counts() {
    let (short, long) = (Duration::from_millis(200), Duration::from_secs(30));
    let host = Host::plain(vec![Step::Hang]).await;
    for (own, asked) in [(short, long), (long, short)] {
        let fetcher = Fetcher::new(FetchSettings {
            deadline: own,
            ..FetchSettings::default()
        })
        .unwrap();
        let start = Instant::now();
        let answer = fetcher
            .post_json_operator(&url(&host, "/a"), Vec::new(), &[], asked, 1_000)
            .await;
        assert_eq!(answer, Err(FetchError::DeadlineExceeded));
        let took = start.elapsed();
        assert!(took >= short && took < Duration::from_secs(5), "{took:?}");
    }
}
