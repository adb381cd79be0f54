//! The accept loop: bounded connections, bounded headers, a deadline for slow ones, and an end
//! that answers what is open first.
//!
//! Not here: the deadline of a body (`extract`), limits per source (the engine's).

#[cfg(test)]
mod tests;

use std::{
    convert::Infallible,
    future::{Future, pending, poll_fn},
    io,
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::ConnectInfo,
    http::{Request, StatusCode},
    response::Response,
};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto::Builder, graceful::GracefulShutdown},
};
use tokio::{
    net::TcpListener,
    sync::{Notify, Semaphore},
    time::{sleep, timeout},
};
use tower::ServiceExt as _;

use crate::{HttpSettings, surface::plain_error};

const HEADER_BYTES_MAX: usize = 64 << 10;
const HEADERS_MAX: usize = 100;
const STREAMS_MAX: u32 = 100;

/// How long others may take.
#[derive(Clone, Copy)]
struct Patience {
    /// From accepting a connection to its first request, and for the headers of each.
    headers: Duration,
    /// From the shutdown to the end of what is still open.
    drain: Duration,
}

const PATIENCE: Patience = Patience {
    headers: Duration::from_secs(10),
    drain: Duration::from_secs(10),
};

/// Serve until `shutdown`, then answer what is open, ten seconds at most.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    settings: HttpSettings,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    serve_with(
        listener,
        router,
        settings.connections_max,
        PATIENCE,
        shutdown,
    )
    .await
}

async fn serve_with(
    listener: TcpListener,
    router: Router,
    connections_max: usize,
    patience: Patience,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let builder = builder(patience);
    let slots = Arc::new(Semaphore::new(connections_max));
    let graceful = GracefulShutdown::new();
    tokio::pin!(shutdown);
    loop {
        // Also while every slot is taken: whoever holds them must not keep the hub from ending.
        let slot = tokio::select! {
            slot = slots.clone().acquire_owned() => slot.map_err(io::Error::other)?,
            () = &mut shutdown => break,
        };
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(failure) => {
                    // Out of descriptors, most likely: wait instead of spinning.
                    tracing::warn!(%failure, "a connection could not be accepted");
                    sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
            () = &mut shutdown => break,
        };
        if let Err(failure) = stream.set_nodelay(true) {
            tracing::debug!(%failure, "TCP_NODELAY could not be set");
        }
        let asked = Arc::new(Notify::new());
        let service = service(router.clone(), peer, asked.clone());
        let connection = builder
            .serve_connection(TokioIo::new(stream), service)
            .into_owned();
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            tokio::select! {
                ended = connection => if let Err(failure) = ended {
                    tracing::debug!(%failure, "a connection ended early");
                },
                () = silence(&asked, patience.headers) => {
                    tracing::debug!("a connection asked for nothing");
                }
            }
            drop(slot);
        });
    }
    drop(listener);
    if timeout(patience.drain, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests were still open at the deadline");
    }
    Ok(())
}

fn builder(patience: Patience) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(patience.headers)
        .max_buf_size(HEADER_BYTES_MAX)
        .max_headers(HEADERS_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(u32::try_from(HEADER_BYTES_MAX).unwrap_or(u32::MAX))
        .keep_alive_interval(Some(Duration::from_secs(30)));
    builder
}

/// Ends if no request comes in time. The timer of the headers starts only when the first bytes
/// have told HTTP/1 from HTTP/2, and HTTP/2 has none: without this a silent connection would keep
/// its slot for ever (P6).
async fn silence(asked: &Notify, within: Duration) {
    if timeout(within, asked.notified()).await.is_ok() {
        pending::<()>().await;
    }
}

fn service(
    router: Router,
    peer: SocketAddr,
    asked: Arc<Notify>,
) -> impl hyper::service::Service<
    Request<Incoming>,
    Response = Response,
    Error = Infallible,
    Future: Send + 'static,
> + Clone {
    service_fn(move |request: Request<Incoming>| {
        asked.notify_one();
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        let answer = router.clone().oneshot(request);
        async { Ok(whatever_happens(answer).await) }
    })
}

/// The last resort: nothing here panics on purpose, and a fault that does still answers, and ends
/// no other request on its connection. What it said is in the log, not in the answer.
async fn whatever_happens(answer: impl Future<Output = Result<Response, Infallible>>) -> Response {
    static FAULTS: AtomicU64 = AtomicU64::new(1);
    let mut answer = pin!(answer);
    let ended = poll_fn(|context| {
        // After a panic it is not polled again.
        match catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(context))) {
            Ok(poll) => poll.map(Some),
            Err(_) => Poll::Ready(None),
        }
    });
    if let Some(Ok(answer)) = ended.await {
        return answer;
    }
    let reference = format!("fault-{}", FAULTS.fetch_add(1, Ordering::Relaxed));
    tracing::error!(reference, "a request ended in a panic");
    let text = format!("a fault of this server, reference {reference}");
    plain_error(StatusCode::INTERNAL_SERVER_ERROR, "server_error", &text)
}
