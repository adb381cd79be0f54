//! Around the routes: who is asking, how often, whether the hub can answer, and the socket itself.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::ConnectInfo,
    http::{Request, StatusCode},
};
use hyper::body::Frame;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    time::timeout,
};
use tower::ServiceExt as _;
use vestibule_server::{App, router, serve};

use crate::{
    coverage::all_routes,
    support::{Browser, Form, Hub, PASSWORD, public_client, request},
};

fn registration(peer: &str, forwarded: &str) -> Request<Body> {
    let peer: SocketAddr = peer.parse().unwrap();
    let mut request = request("POST", "/register")
        .header("content-type", "application/json")
        .header("x-forwarded-for", forwarded)
        .header("cf-connecting-ip", forwarded)
        .header("x-real-ip", forwarded)
        .header("forwarded", format!("for={forwarded}"))
        .body(Body::from(public_client().to_string()))
        .unwrap();
    request.extensions_mut().insert(ConnectInfo(peer));
    request
}

/// How many of 100 registrations pass.
async fn passed(hub: &Hub, request: impl Fn(u32) -> Request<Body>) -> usize {
    let mut passed = 0;
    for n in 0..100 {
        let answer = hub.send(request(n)).await;
        if answer.status == StatusCode::CREATED {
            passed += 1;
        } else {
            assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
            assert_ne!(answer.header("retry-after"), "");
            assert_eq!(answer.header("cache-control"), "no-store");
            assert_eq!(answer.header("access-control-allow-origin"), "*");
            assert_eq!(answer.json()["error"], "temporarily_unavailable");
        }
    }
    passed
}

/// P4, BCP-08, DCR-03, GEN-13: a stranger does not choose the address that is counted.
#[tokio::test]
async fn a_header_does_not_make_somebody_else_of_a_stranger() {
    let hub = Hub::start_limited(&["10.0.0.0/8"]).await;
    let stranger = |n| registration("203.0.113.5:1", &format!("198.51.100.{n}"));
    assert_eq!(passed(&hub, stranger).await, 60);
    // Another port and another address of the same IPv6 network are the same stranger.
    let network = |n| registration(&format!("[2001:db8::{n:x}]:{}", n + 1), "1.2.3.4");
    assert_eq!(passed(&hub, network).await, 60);
}

/// P4: a proxy that is configured is believed, and what came before it is not.
#[tokio::test]
async fn a_configured_proxy_says_who_asks() {
    let hub = Hub::start_limited(&["10.0.0.0/8"]).await;
    let many = |n| registration("10.0.0.1:1", &format!("198.51.100.{n}"));
    assert_eq!(passed(&hub, many).await, 100);
    let forged = |n| registration("10.0.0.1:1", &format!("198.18.0.{n}, 192.0.2.7, 10.0.0.2"));
    assert_eq!(passed(&hub, forged).await, 60);
}

/// GEN-13, P16: guessing at a password is slowed, and said in words; it locks nothing, and time
/// alone mends it.
#[tokio::test]
async fn guesses_at_a_password_are_slowed() {
    let hub = Hub::start_limited(&[]).await;
    hub.add_user("ada").await;
    let mut browser = Browser::default();
    let page = browser.get(&hub, "/login").await;
    let mut form = Form::of(&page.text()).set("username", "ada");
    let mut slowed = false;
    for _ in 0..15 {
        let answer = browser
            .submit(&hub, &form.clone().set("password", "guess"))
            .await;
        slowed |= answer.text().contains("Too many tries");
        form = Form::of(&answer.text()).set("username", "ada");
    }
    assert!(slowed);
    let answer = browser.submit(&hub, &form.set("password", PASSWORD)).await;
    assert!(!answer.text().contains("You are signed in"));
    hub.stall(120);
    let page = browser.get(&hub, "/login").await;
    let form = Form::of(&page.text())
        .set("username", "ada")
        .set("password", PASSWORD);
    let answer = browser.submit(&hub, &form).await;
    assert!(answer.text().contains("You are signed in"));
}

/// Ready means that it can decide: with an old view of the settings it says no, and `/authorize`
/// refuses to decide.
#[tokio::test]
async fn a_hub_that_lost_its_store_says_that_it_is_not_ready() {
    let hub = Hub::start().await;
    assert_eq!(hub.get("/readyz").await.status, StatusCode::OK);
    hub.stall(6);
    let answer = hub.get("/readyz").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.json()["reason"].is_string());
    let answer = hub.get("/authorize?client_id=x").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_ne!(answer.header("retry-after"), "");
    assert_eq!(hub.get("/healthz").await.status, StatusCode::OK);
}

/// The first account, by the one-time link, over HTTP; the link works once.
#[tokio::test]
async fn the_set_up_link_makes_one_admin() {
    let hub = Hub::start().await;
    let link = hub.engine.create_setup_link().await.unwrap().unwrap();
    let mut browser = Browser::default();
    let page = browser.get(&hub, &link).await;
    assert_eq!(page.status, StatusCode::OK);
    let form = Form::of(&page.text()).set("username", "ada");
    let short = browser
        .submit(&hub, &form.clone().set("password", "short"))
        .await;
    assert!(short.text().contains("role=\"alert\""), "{}", short.text());
    let good = form.set("password", PASSWORD);
    let forged = Browser::default().submit(&hub, &good).await;
    assert_eq!(forged.status, StatusCode::FORBIDDEN);
    let answer = browser.submit(&hub, &good).await;
    assert!(answer.text().contains("an administrator of this hub"));
    let again = Browser::default().get(&hub, &link).await;
    assert_eq!(again.status, StatusCode::FORBIDDEN);
    assert!(hub.engine.create_setup_link().await.unwrap().is_none());
}

/// What `docs/endpoints.md` and `vestibule routes` print is the table, whole.
#[test]
fn the_printed_tables_hold_every_route() {
    let page = vestibule_server::endpoints_markdown();
    let list = vestibule_server::route_list();
    let rows = list.as_array().unwrap();
    for route in all_routes() {
        assert!(
            page.contains(&format!("| `{}` |", route.path)),
            "{}",
            route.path
        );
        for method in route.methods {
            let found =
                |row: &&serde_json::Value| row["path"] == route.path && row["method"] == *method;
            assert_eq!(
                rows.iter().filter(found).count(),
                1,
                "{method} {}",
                route.path
            );
        }
    }
}

/// A body that never comes.
pub(crate) struct Silent;

impl HttpBody for Silent {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }
}

async fn answer_of(stream: &mut TcpStream, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = vec![0; 64 << 10];
    let read = timeout(Duration::from_secs(5), stream.read(&mut text)).await;
    let what: String = request.chars().take(40).collect();
    let read = read.unwrap_or_else(|_| panic!("no answer to {what}"));
    String::from_utf8_lossy(&text[..read.unwrap()]).into_owned()
}

/// P10: a body that does not come is not waited for, and one that says that it is too large is
/// not read.
#[tokio::test]
async fn a_slow_or_large_body_is_refused_in_time() {
    let hub = Hub::start().await;
    let mut settings = hub.settings.clone();
    settings.body_within = Duration::from_millis(50);
    let router = router(App::new(hub.engine.clone(), settings));
    for route in all_routes() {
        if !route.methods.contains(&"POST") || route.path == "/userinfo" {
            continue;
        }
        let media = match &*route.path {
            "/register" => "application/json",
            _ => "application/x-www-form-urlencoded",
        };
        for (length, status) in [("10", 408), ("65537", 413)] {
            let request = request("POST", &route.path)
                .header("host", "hub.example")
                .header("content-type", media)
                .header("content-length", length)
                .body(Body::new(Silent))
                .unwrap();
            let answer = router.clone().oneshot(request);
            let answer = timeout(Duration::from_secs(5), answer).await.unwrap();
            assert_eq!(answer.unwrap().status(), status, "{}", route.path);
        }
    }
}

/// Served over a real socket: odd requests are refused by name, and the end of the server answers
/// what is open and lets nobody new in.
#[tokio::test]
async fn a_socket_is_served_until_the_end_and_then_closed() {
    let hub = Hub::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (end, ended) = oneshot::channel::<()>();
    let server = tokio::spawn(serve(
        listener,
        hub.router.clone(),
        hub.settings.clone(),
        async move {
            ended.await.ok();
        },
    ));
    let mut one = TcpStream::connect(address).await.unwrap();
    let get = "GET /healthz HTTP/1.1\r\nHost: hub.example\r\n\r\n";
    assert!(answer_of(&mut one, get).await.starts_with("HTTP/1.1 200"));
    // The same connection again.
    assert!(answer_of(&mut one, get).await.starts_with("HTTP/1.1 200"));
    let long = "a".repeat(70 << 10);
    let many = "X: y\r\n".repeat(200);
    for (bad, status) in [
        ("GET /jwks.json HTTP/1.1\r\n\r\n".to_owned(), "421"),
        ("GET /jwks.json HTTP/1.1\r\nHost: evil.example\r\n\r\n".to_owned(), "421"),
        ("NONSENSE\r\n\r\n".to_owned(), "400"),
        (format!("GET /healthz?{long} HTTP/1.1\r\nHost: a\r\n\r\n"), "4"),
        (format!("GET /healthz HTTP/1.1\r\nHost: a\r\nX: {long}\r\n\r\n"), "431"),
        (format!("GET /healthz HTTP/1.1\r\nHost: a\r\n{many}\r\n"), "431"),
        (
            "POST /token HTTP/1.1\r\nHost: hub.example\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000000\r\n\r\na=".to_owned(),
            "413",
        ),
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let answer = answer_of(&mut stream, &bad).await;
        let wanted = format!("HTTP/1.1 {status}");
        let what: String = bad.chars().take(60).collect();
        assert!(answer.starts_with(&wanted), "{what}: {answer}");
    }
    end.send(()).unwrap();
    let result = timeout(Duration::from_secs(9), server).await;
    result
        .expect("the idle connection is closed")
        .unwrap()
        .unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}
