//! The resolver against a host of its own: real TLS, a clock that the test moves, and a count of
//! what was really asked.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{ServerConfig, crypto::aws_lc_rs};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use vestibule_cimd::{Documents as _, ResolveError, Resolver, ResolverSettings};
use vestibule_fetch::{FetchSettings, Fetcher};
use vestibule_protocol::{
    client_id_url::{ClientIdUrl, ClientIdUrlPolicy},
    client_metadata::HttpsUrl,
};

/// What the host answers now.
#[derive(Clone)]
struct Scene {
    status: u16,
    media_type: &'static str,
    cache_control: Option<&'static str>,
    body: String,
    wait: Duration,
}

struct World {
    resolver: Resolver,
    id: ClientIdUrl,
    keys: HttpsUrl,
    scene: Arc<Mutex<Scene>>,
    asked: Arc<AtomicUsize>,
    clock: Arc<AtomicU64>,
    good: Scene,
}

impl World {
    async fn start(limits_enabled: bool) -> Self {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority =
            CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["localhost".to_owned()])
            .unwrap()
            .signed_by(&key, &authority)
            .unwrap();
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!(
            "https://localhost:{}",
            listener.local_addr().unwrap().port()
        );
        let body = format!(
            r#"{{"client_id":"{origin}/a.json","client_name":"A","redirect_uris":["https://a.example/cb"]}}"#
        );
        let good = Scene {
            status: 200,
            media_type: "application/json",
            cache_control: Some("max-age=60"),
            body,
            wait: Duration::ZERO,
        };
        let scene = Arc::new(Mutex::new(good.clone()));
        let asked = Arc::new(AtomicUsize::new(0));
        tokio::spawn(host(
            listener,
            TlsAcceptor::from(Arc::new(config)),
            scene.clone(),
            asked.clone(),
        ));
        let clock = Arc::new(AtomicU64::new(1_795_500_000));
        let fetcher = Fetcher::new(FetchSettings {
            loopback_origins: vec![origin.clone()],
            extra_ca_pem: vec![authority.pem().into_bytes()],
            ..FetchSettings::default()
        })
        .unwrap();
        let now = clock.clone();
        let resolver = Resolver::new(
            Arc::new(fetcher),
            ResolverSettings {
                limits_enabled,
                ..ResolverSettings::default()
            },
            move || now.load(Ordering::Relaxed),
        );
        let origins = [origin.clone()];
        let policy = ClientIdUrlPolicy {
            loopback_origins: &origins,
            ..Default::default()
        };
        Self {
            id: ClientIdUrl::parse(&format!("{origin}/a.json"), &policy).unwrap(),
            keys: HttpsUrl::parse(&format!("{origin}/jwks.json")).unwrap(),
            resolver,
            scene,
            asked,
            clock,
            good,
        }
    }

    fn answer(&self, change: impl FnOnce(&mut Scene)) {
        let mut scene = self.good.clone();
        change(&mut scene);
        *self.scene.lock().unwrap() = scene;
    }

    fn pass(&self, seconds: u64) {
        self.clock.fetch_add(seconds, Ordering::Relaxed);
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    async fn resolve(&self) -> Result<Arc<vestibule_cimd::Document>, ResolveError> {
        self.resolver.document(&self.id, 1).await
    }
}

async fn host(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    scene: Arc<Mutex<Scene>>,
    asked: Arc<AtomicUsize>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, scene, asked) = (acceptor.clone(), scene.clone(), asked.clone());
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            let answer = service_fn(move |_: Request<Incoming>| {
                asked.fetch_add(1, Ordering::Relaxed);
                let scene = scene.lock().unwrap().clone();
                async move {
                    tokio::time::sleep(scene.wait).await;
                    let mut answer = Response::builder()
                        .status(scene.status)
                        .header("content-type", scene.media_type)
                        .header("location", "https://localhost/elsewhere.json");
                    if let Some(value) = scene.cache_control {
                        answer = answer.header("cache-control", value);
                    }
                    Ok::<_, Infallible>(answer.body(Full::new(Bytes::from(scene.body))).unwrap())
                }
            });
            let connection = hyper::server::conn::http1::Builder::new();
            // The resolver closes as it likes.
            let _ = connection
                .serve_connection(TokioIo::new(stream), answer)
                .await;
        });
    }
}

/// CIMD-40, CIMD-41, CIMD-47, CIMD-48, CIMD-89, MCP-AS-21, MCP-AS-24: one fetch, until the headers
/// say that it is time again.
#[tokio::test]
async fn a_document_is_fetched_once_and_again_when_it_is_stale() {
    let world = World::start(false).await;
    for _ in 0..5 {
        world.resolve().await.unwrap();
    }
    assert_eq!(world.asked(), 1);
    world.pass(59);
    world.resolve().await.unwrap();
    assert_eq!(world.asked(), 1);
    world.pass(2);
    // Served at once from the copy; the fetch goes on behind it.
    world.resolve().await.unwrap();
    for _ in 0..100 {
        if world.asked() == 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(world.asked(), 2);
    assert_eq!(world.resolver.cached_documents(), 1);
}

/// What a host does to its answer.
type Change = Box<dyn Fn(&mut Scene)>;

/// CIMD-18, CIMD-43, CIMD-44, CIMD-45, CIMD-49, CIMD-50, CIMD-84, F10, F24: nothing that fails is
/// kept, so the next good answer counts.
#[tokio::test]
async fn no_error_and_no_bad_document_is_ever_cached() {
    let world = World::start(false).await;
    let bad: [Change; 10] = [
        Box::new(|s| s.status = 500),
        Box::new(|s| s.status = 404),
        Box::new(|s| s.status = 302),
        Box::new(|s| s.status = 307),
        Box::new(|s| s.status = 206),
        Box::new(|s| s.media_type = "text/html"),
        Box::new(|s| s.media_type = "text/plain"),
        Box::new(|s| s.body = "{not json".to_owned()),
        Box::new(|s| s.body = s.body.replace("a.json", "b.json")),
        Box::new(|s| s.body.push_str(&" ".repeat(6_000))),
    ];
    for change in bad {
        let before = world.asked();
        world.answer(|scene| change(scene));
        assert!(world.resolve().await.is_err());
        assert_eq!(
            world.asked(),
            before + 1,
            "exactly one request, nothing followed"
        );
        assert_eq!(world.resolver.cached_documents(), 0);
    }
    world.answer(|_| {});
    assert!(world.resolve().await.is_ok());
}

/// CIMD-52, QUIRK-14, QUIRK-15, F24: a host that does not answer is stood in for; one that says
/// "gone", or serves something else, is the last word.
#[tokio::test]
async fn the_last_good_copy_stands_in_for_silence_only() {
    for (change, stands_in) in [
        (
            Box::new(|s: &mut Scene| s.status = 503) as Box<dyn Fn(&mut Scene)>,
            true,
        ),
        (Box::new(|s: &mut Scene| s.status = 403), true),
        (Box::new(|s: &mut Scene| s.media_type = "text/html"), true),
        (Box::new(|s: &mut Scene| s.status = 404), false),
        (Box::new(|s: &mut Scene| s.status = 410), false),
        (Box::new(|s: &mut Scene| s.body = "[]".to_owned()), false),
    ] {
        let world = World::start(false).await;
        world.resolve().await.unwrap();
        world.pass(60 + 11 * 60);
        world.answer(|scene| change(scene));
        let found = world.resolve().await;
        assert_eq!(found.is_ok(), stands_in, "{found:?}");
        if stands_in {
            assert!(found.unwrap().stale);
            world.pass(24 * 60 * 60);
            let late = world.resolve().await.unwrap_err();
            assert!(matches!(late, ResolveError::Unreachable { .. }), "{late:?}");
        } else {
            world.answer(|_| {});
            assert!(!world.resolve().await.unwrap().stale, "it may come back");
        }
    }
}

/// CIMD-51, F26: a hundred at once are one fetch, and share its failure too.
#[tokio::test(flavor = "multi_thread")]
async fn a_stampede_is_one_fetch() {
    let world = Arc::new(World::start(false).await);
    for (status, good) in [(500, false), (200, true)] {
        let before = world.asked();
        world.answer(|scene| {
            scene.status = status;
            scene.wait = Duration::from_millis(200);
        });
        let tasks: Vec<_> = (0..100)
            .map(|_| {
                let world = world.clone();
                tokio::spawn(async move { world.resolve().await.is_ok() })
            })
            .collect();
        for task in tasks {
            assert_eq!(task.await.unwrap(), good);
        }
        assert_eq!(world.asked(), before + 1);
    }
}

/// F26: hanging up does not fill a flight for ever.
#[tokio::test(flavor = "multi_thread")]
async fn requests_that_hang_up_give_their_seats_back() {
    let world = Arc::new(World::start(false).await);
    world.answer(|scene| scene.wait = Duration::from_secs(2));
    for _ in 0..600 {
        let waiting = world.resolve();
        let gone = tokio::time::timeout(Duration::from_millis(1), waiting).await;
        assert!(gone.is_err() || !matches!(gone, Ok(Err(ResolveError::Busy))));
    }
    world.answer(|_| {});
    assert!(world.resolve().await.is_ok());
}

/// CIMD-51, F27: a host that fails is asked a bounded number of times, and a source may bring a
/// bounded number of ids that nobody knows.
#[tokio::test]
async fn budgets_bound_what_one_host_and_one_source_can_cause() {
    let world = World::start(true).await;
    world.answer(|scene| scene.status = 500);
    let mut throttled = 0;
    for _ in 0..100 {
        if let Err(ResolveError::Throttled { retry_after }) = world.resolve().await {
            assert!(retry_after > 0);
            throttled += 1;
        }
    }
    assert_eq!((world.asked(), throttled), (20, 80));
    world.pass(3_600);
    world.answer(|_| {});
    assert!(world.resolve().await.is_ok(), "a limit is no verdict");
}

/// CIMD-68, JCA-09: keys are cached, an unknown key id asks again at most once a minute, and a set
/// that cannot be had is stood in for.
#[tokio::test]
async fn keys_are_asked_for_again_once_a_minute_at_most() {
    let world = World::start(false).await;
    world.answer(|scene| {
        scene.body = r#"{"keys":[]}"#.to_owned();
        scene.cache_control = Some("max-age=3600");
    });
    for _ in 0..10 {
        world.resolver.keys(&world.keys, false).await.unwrap();
    }
    assert_eq!(world.asked(), 1);
    for _ in 0..10 {
        world.resolver.keys(&world.keys, true).await.unwrap();
    }
    assert_eq!(world.asked(), 1, "the set is younger than a minute");
    world.pass(61);
    for _ in 0..10 {
        world.resolver.keys(&world.keys, true).await.unwrap();
    }
    assert_eq!(world.asked(), 2);
    world.pass(2 * 3_600);
    world.answer(|scene| scene.status = 503);
    assert!(
        world.resolver.keys(&world.keys, false).await.is_ok(),
        "the last good set"
    );
}

/// F15, CIMD-46: what a stranger can tell apart is never an address that was refused.
#[tokio::test]
async fn a_refused_address_looks_like_a_host_that_does_not_answer() {
    let world = World::start(false).await;
    let missing = ClientIdUrl::parse_default("https://nowhere.invalid/a.json").unwrap();
    let failure = world.resolver.document(&missing, 1).await.unwrap_err();
    assert!(
        matches!(failure, ResolveError::Unreachable { .. }),
        "{failure:?}"
    );
}
