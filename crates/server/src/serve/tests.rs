//! Over real sockets: whoever says nothing, or half of something, loses the slot.

use std::net::SocketAddr;

use axum::routing::get;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::oneshot,
    task::JoinHandle,
};

use super::*;

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const IMPATIENT: Patience = Patience {
    headers: Duration::from_millis(300),
    drain: Duration::from_millis(300),
};

struct Served {
    address: SocketAddr,
    end: oneshot::Sender<()>,
    server: JoinHandle<io::Result<()>>,
}

async fn start(connections_max: usize, patience: Patience) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (end, ended) = oneshot::channel::<()>();
    let router = Router::new()
        .route("/", get(async || "here"))
        .route("/never", get(async || pending::<()>().await))
        .route("/panic", get(panics));
    let shutdown = async move {
        ended.await.ok();
    };
    let server = tokio::spawn(serve_with(
        listener,
        router,
        connections_max,
        patience,
        shutdown,
    ));
    Served {
        address,
        end,
        server,
    }
}

async fn panics() -> &'static str {
    panic!("secret of the fault")
}

/// What comes until the other side closes, five seconds at most.
async fn all_of(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    timeout(Duration::from_secs(5), stream.read_to_end(&mut text))
        .await
        .expect("the connection is closed")
        .ok();
    String::from_utf8_lossy(&text).into_owned()
}

/// P6: nothing at all, the first letters of either version, headers without an end, HTTP/2 without
/// a request: each loses its slot, and the next one is served.
#[tokio::test]
async fn a_connection_that_asks_for_nothing_is_closed() {
    let served = start(1, IMPATIENT).await;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let h2 = [preface.as_slice(), &[0, 0, 0, 4, 0, 0, 0, 0, 0]].concat();
    for sent in [
        b"".as_slice(),
        b"P",
        &preface[..23],
        preface,
        &h2,
        b"GET / HTTP/1.1\r\nHost: a\r\n",
    ] {
        let mut silent = TcpStream::connect(served.address).await.unwrap();
        silent.write_all(sent).await.unwrap();
        let answer = all_of(&mut silent).await;
        assert!(!answer.contains("here"), "{answer}");
        let mut next = TcpStream::connect(served.address).await.unwrap();
        next.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            .await
            .unwrap();
        let answer = all_of(&mut next).await;
        assert!(answer.ends_with("here"), "{sent:?}: {answer}");
    }
    served.end.send(()).unwrap();
    served.server.await.unwrap().unwrap();
}

/// A request that was asked in time may take longer than its headers.
#[tokio::test]
async fn a_request_in_time_is_not_cut_off() {
    let served = start(1, IMPATIENT).await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    stream
        .write_all(b"GET /never HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    let early = timeout(IMPATIENT.headers * 3, stream.read_u8()).await;
    assert!(early.is_err(), "{early:?}");
    served.end.send(()).unwrap();
    served.server.await.unwrap().unwrap();
}

/// The end comes also while every slot is taken, and at its deadline whatever is still open.
#[tokio::test]
async fn a_full_house_ends_in_time() {
    let patience = Patience {
        headers: Duration::from_mins(1),
        ..IMPATIENT
    };
    let served = start(1, patience).await;
    let mut busy = TcpStream::connect(served.address).await.unwrap();
    busy.write_all(b"GET /never HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    // Waits behind it.
    let mut second = TcpStream::connect(served.address).await.unwrap();
    second.write_all(GET).await.unwrap();
    let nothing = timeout(Duration::from_millis(200), second.read_u8()).await;
    assert!(nothing.is_err(), "{nothing:?}");
    served.end.send(()).unwrap();
    timeout(Duration::from_secs(5), served.server)
        .await
        .expect("it ends")
        .unwrap()
        .unwrap();
}

/// P10: a fault of ours is a 500 with a reference, tells nothing else, and the connection goes on.
#[tokio::test]
async fn a_panic_is_answered_and_ends_nothing_else() {
    let served = start(1, PATIENCE).await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    stream
        .write_all(
            b"GET /panic HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        )
        .await
        .unwrap();
    let answers = all_of(&mut stream).await;
    assert!(answers.starts_with("HTTP/1.1 500 "), "{answers}");
    for part in [
        "content-type: application/json\r\n",
        "cache-control: no-store\r\n",
        "{\"error\":\"server_error\",\"error_description\":\"a fault of this server, reference fault-1\"}",
    ] {
        assert!(answers.contains(part), "{part}: {answers}");
    }
    assert!(!answers.contains("secret"), "{answers}");
    assert!(answers.ends_with("here"), "{answers}");
    served.end.send(()).unwrap();
    served.server.await.unwrap().unwrap();
}
