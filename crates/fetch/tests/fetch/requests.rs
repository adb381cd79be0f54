//! What is sent, and that an answer can neither steer nor be steered.

use std::{net::TcpListener, process::Command};

use vestibule_fetch::{FetchError, Purpose};

use crate::support::{ADDRESS, NAME, ok, send, world, world_with};

/// CIMD-20, F29: every header that a document host gets to see; nothing about who asked.
#[tokio::test]
async fn a_request_says_nothing_about_the_user() {
    let (world, host) = world_with(ok("{}"), |settings| {
        settings.user_agent = "Vestibule/0.1.0 (https://hub.example)".to_owned();
    })
    .await;
    let answer = world.get().await.unwrap();
    assert_eq!(answer.body.as_ref(), b"{}");
    let seen = host.seen.lock().unwrap().clone();
    let [(sni, request)] = seen.as_slice() else {
        panic!("{seen:?}");
    };
    assert_eq!(sni.as_deref(), Some(NAME));
    let mut lines: Vec<&str> = request.trim_end().split("\r\n").collect();
    assert_eq!(lines.remove(0), "GET /agent.json HTTP/1.1");
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "accept-encoding: identity",
            "accept: application/json, application/cimd+json",
            "connection: close",
            "host: client.example",
            "user-agent: Vestibule/0.1.0 (https://hub.example)",
        ]
    );
}

/// The octets of path and query travel as they were judged.
#[tokio::test]
async fn the_path_is_sent_as_it_was_written() {
    let (world, host) = world(ok("{}")).await;
    let url = "https://client.example/%7Ea/B;c?redirect_uri=https://x.example/cb&d=%2F";
    world.get_url(url, Purpose::Document).await.unwrap();
    let request = host.requests().remove(0);
    assert!(
        request.starts_with("GET /%7Ea/B;c?redirect_uri=https://x.example/cb&d=%2F HTTP/1.1\r\n"),
        "{request}"
    );
}

/// CIMD-13, CIMD-18, CIMD-43, CIMD-44, F10: a redirect is a status and nothing more.
#[tokio::test]
async fn a_redirect_is_not_followed() {
    for status in [300, 301, 302, 303, 304, 305, 307, 308] {
        for location in [
            "https://client.example/other.json",
            "http://169.254.169.254/latest/meta-data/",
            "//127.0.0.1/",
            "/other.json",
        ] {
            let (world, host) = world(send(format!(
                "HTTP/1.1 {status} Moved\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
            )))
            .await;
            let answer = world.get().await.unwrap();
            assert_eq!(answer.status, status);
            assert!(answer.body.is_empty());
            assert_eq!(host.requests().len(), 1, "{status} {location}");
            assert_eq!(world.wires.dialled(), [ADDRESS]);
        }
    }
}

/// F13: headers that would move the next request elsewhere are forgotten, and no connection or
/// cookie survives its fetch.
#[tokio::test]
async fn an_answer_steers_nothing() {
    let (world, host) = world(send(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\
         Alt-Svc: h2=\"127.0.0.1:443\"; ma=86400\r\nRefresh: 0; url=http://127.0.0.1/\r\n\
         Link: <http://127.0.0.1/>; rel=preload\r\nSet-Cookie: a=b\r\nConnection: keep-alive\r\n\
         Strict-Transport-Security: max-age=1\r\n\r\n{}",
    ))
    .await;
    for _ in 0..3 {
        assert_eq!(world.get().await.unwrap().status, 200);
    }
    assert_eq!(world.wires.dialled(), [ADDRESS; 3]);
    let requests = host.requests();
    assert_eq!(requests.len(), 3);
    assert!(requests.iter().all(|request| request == &requests[0]));
}

/// CIMD-47, CIMD-48: what a cache needs arrives as it was sent.
#[tokio::test]
async fn the_headers_of_an_answer_are_handed_over() {
    let (world, _host) = world(send(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\n\
         Cache-Control: max-age=60\r\nCache-Control: no-transform\r\nAge: 7\r\n\
         Expires: Tue, 24 Nov 2026 12:00:00 GMT\r\nDate: Tue, 24 Nov 2026 11:00:00 GMT\r\n\
         Content-Length: 2\r\n\r\n{}",
    ))
    .await;
    let answer = world.get().await.unwrap();
    assert_eq!(
        answer.content_type.as_deref(),
        Some("application/json; charset=utf-8")
    );
    assert_eq!(
        answer.cache_control.as_deref(),
        Some("max-age=60, no-transform")
    );
    assert_eq!(answer.age, Some(7));
    assert_eq!(
        answer.expires.as_deref(),
        Some("Tue, 24 Nov 2026 12:00:00 GMT")
    );
    assert_eq!(
        answer.date.as_deref(),
        Some("Tue, 24 Nov 2026 11:00:00 GMT")
    );
    assert_eq!(answer.retry_after, None);
    assert!(!answer.cf_mitigated);
}

/// CIMD-18, CIMD-43: any status is handed over; a bot wall and a pause are recognised.
#[tokio::test]
async fn every_status_is_an_answer_without_a_body() {
    for status in [201, 202, 204, 206, 400, 401, 403, 404, 410, 429, 500, 503] {
        let (world, _host) = world(send(format!(
            "HTTP/1.1 {status} Other\r\nRetry-After: 30\r\ncf-mitigated: challenge\r\n\
             Content-Encoding: gzip\r\nContent-Length: 100000\r\n\r\n<html>"
        )))
        .await;
        let answer = world.get().await.unwrap();
        assert_eq!(answer.status, status);
        assert_eq!(answer.retry_after, Some(30));
        assert!(answer.cf_mitigated);
        assert!(answer.body.is_empty());
    }
}

/// Two media types are none.
#[tokio::test]
async fn a_header_that_is_sent_twice_is_not_believed() {
    let (world, _host) = world(send(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Type: application/json\r\n\
         Age: x\r\nContent-Length: 2\r\n\r\n{}",
    ))
    .await;
    let answer = world.get().await.unwrap();
    assert_eq!(answer.content_type, None);
    assert_eq!(answer.age, None);
}

/// F14: whatever is not HTTP/1.1 is not an answer.
#[tokio::test]
async fn a_broken_answer_is_a_protocol_failure() {
    for answer in [
        "",
        "{}",
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/1.1 abc OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 200 OK\r\nBad Header: 1\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\nContent-Type: applic",
    ] {
        let (world, _host) = world(send(answer)).await;
        assert_eq!(world.get().await, Err(FetchError::Protocol), "{answer:?}");
    }
}

/// F12: with every proxy variable set, the fetch goes where it went before, and the proxy hears
/// nothing. The variables are given to a child that runs one test of this file.
#[test]
fn proxy_variables_are_not_read() {
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    proxy.set_nonblocking(true).unwrap();
    let url = format!("http://{}", proxy.local_addr().unwrap());
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "requests::a_request_says_nothing_about_the_user"]);
    for name in [
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "http_proxy",
        "https_proxy",
        "all_proxy",
    ] {
        child.env(name, &url);
    }
    let output = child.env("NO_PROXY", "").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("1 passed"), "{text}");
    assert!(proxy.accept().is_err(), "the proxy was asked");
}
