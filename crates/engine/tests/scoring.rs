//! A third party's score: never later than its deadline, never an error, and nothing but a score.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "what surprises a test should end it"
)]

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use vestibule_engine::{
    Clock, HttpScoreHook, SCORE_DEADLINE, SCORE_DEADLINE_MAX, ScoreHook, Scores, WeakHookSecret,
};
use vestibule_fetch::{FetchSettings, Fetcher, OperatorUrl};
use vestibule_protocol::{secret::Secret, time::Timestamp};
use vestibule_seal::hmac_sha256;

const SECRET: &[u8] = b"0123456789abcdef";
const REQUEST: &str = r#"{"client":"a"}"#;
const KEY: &str = "key";
/// What a busy machine may add to a deadline, far from what any of these hosts would take.
const SLACK: Duration = Duration::from_secs(3);

struct StandingClock;

impl Clock for StandingClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(1_700_000_000)
    }
}

/// A hook over HTTP on loopback: sends these octets, then closes or falls silent.
struct Host {
    origin: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Host {
    async fn start(answer: Vec<u8>, hangs: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let log = requests.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(play(stream, answer.clone(), hangs, log.clone()));
            }
        });
        Self { origin, requests }
    }

    fn url(&self, path: &str) -> OperatorUrl {
        OperatorUrl::parse(&format!("{}{path}", self.origin)).unwrap()
    }

    fn asked(&self) -> usize {
        self.requests.lock().unwrap().len()
    }
}

async fn play(mut stream: TcpStream, answer: Vec<u8>, hangs: bool, log: Arc<Mutex<Vec<String>>>) {
    let mut request = String::new();
    let mut chunk = [0; 4_096];
    while !request.ends_with(REQUEST) {
        match stream.read(&mut chunk).await {
            Ok(count) if count > 0 => request.push_str(&String::from_utf8_lossy(&chunk[..count])),
            _ => return,
        }
    }
    log.lock().unwrap().push(request);
    let _ = stream.write_all(&answer).await;
    if hangs {
        std::future::pending::<()>().await;
    }
}

fn answer(status: &str, content_type: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n{body}")
        .into_bytes()
}

fn json(body: &str) -> Vec<u8> {
    answer("200 OK", "application/json", body)
}

fn http_hook(url: OperatorUrl, deadline: Duration) -> HttpScoreHook {
    let fetcher = Arc::new(Fetcher::new(FetchSettings::default()).unwrap());
    let secret = Secret::new(SECRET.to_vec());
    HttpScoreHook::new(fetcher, Arc::new(StandingClock), url, secret, deadline).unwrap()
}

fn scores(host: &Host) -> Scores {
    let hook = http_hook(host.url("/score"), SCORE_DEADLINE_MAX);
    Scores::new(Arc::new(hook), SCORE_DEADLINE_MAX)
}

/// The score, and that it came in time.
async fn in_time(scores: &Scores, what: &str) -> Option<u32> {
    let start = Instant::now();
    let score = scores.score(KEY, REQUEST).await;
    let took = start.elapsed();
    assert!(took < SCORE_DEADLINE_MAX + SLACK, "{what}: {took:?}");
    score
}

/// The hook can tell that it is us, and when we asked.
#[tokio::test]
async fn a_request_is_signed_with_its_time() {
    let host = Host::start(json(r#"{"score":42}"#), false).await;
    assert_eq!(in_time(&scores(&host), "good").await, Some(42));
    let request = host.requests.lock().unwrap()[0].clone();
    assert!(request.starts_with("POST /score HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("\r\ncontent-type: application/json\r\n"));
    assert!(request.ends_with("\r\n\r\n{\"client\":\"a\"}"), "{request}");
    let signature = "\r\nvestibule-signature: t=1700000000,v1=\
                     2e46d6d70ca230a38c7f7a766b0f0f3967cabf440e1f797a19dd5355ccf2a262\r\n";
    assert!(request.contains(signature), "{request}");

    // As the hook would: cut the header apart, and compare.
    let (_, rest) = request.split_once("vestibule-signature: t=").unwrap();
    let (time, rest) = rest.split_once(",v1=").unwrap();
    let (shown, _) = rest.split_once("\r\n").unwrap();
    let (_, body) = request.split_once("\r\n\r\n").unwrap();
    let own = hmac_sha256(SECRET, format!("{time}.{body}").as_bytes());
    let own = own
        .iter()
        .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    assert_eq!(shown, own);
}

/// Whoever answers in another way than agreed is not believed.
#[tokio::test]
async fn a_hook_that_lies_gives_no_score() {
    let spaces = " ".repeat(1 << 20);
    let good = r#"{"score":42}"#;
    #[rustfmt::skip]
    let cases = [
        ("a word",             json(r#"{"score":"high"}"#)),
        ("too much",           json(r#"{"score":101}"#)),
        ("less than nothing",  json(r#"{"score":-1}"#)),
        ("no number",          json(r#"{"score":NaN}"#)),
        ("a nested score",     json(r#"{"score":{"score":42}}"#)),
        ("a score inside",     json(r#"{"result":{"score":42}}"#)),
        ("deep",               json(&format!("{}{}", "[".repeat(4_000), "]".repeat(4_000)))),
        ("two scores",         json(r#"{"score":1,"score":99}"#)),
        ("half JSON",          json(r#"{"score":42"#)),
        ("nothing",            json("")),
        ("not UTF-8",          [b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n".as_slice(), b"\xff\xfe"].concat()),
        ("one megabyte",       json(&format!("{good}{spaces}"))),
        ("8 KiB and a byte",   json(&format!("{good:<8193}"))),
        ("a web page",         answer("200 OK", "text/html", good)),
        ("text",               answer("200 OK", "text/plain", good)),
        ("no type",            format!("HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{good}").into_bytes()),
        ("created",            answer("201 Created", "application/json", good)),
        ("an error",           answer("500 Internal Server Error", "application/json", good)),
        ("unauthorized",       answer("401 Unauthorized", "application/json", good)),
        ("compressed",         format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: 12\r\n\r\n{good}").into_bytes()),
        ("not HTTP",           b"SSH-2.0-OpenSSH_9.9\r\n".to_vec()),
        ("a closed door",      Vec::new()),
    ];
    for (what, octets) in cases {
        let host = Host::start(octets, false).await;
        assert_eq!(in_time(&scores(&host), what).await, None, "{what}");
        assert_eq!(host.asked(), 1, "{what}");
    }
    // The same way with what is agreed, so that the table shows what it says.
    for octets in [
        json(good),
        json(&format!("{good:<8192}")),
        answer("200 OK", "Application/JSON; charset=utf-8", good),
    ] {
        let host = Host::start(octets, false).await;
        assert_eq!(in_time(&scores(&host), "good").await, Some(42));
    }
}

/// F10: a redirect of the hook is no answer, and is not followed to one.
#[tokio::test]
async fn a_redirect_of_the_hook_is_not_followed() {
    let other = Host::start(json(r#"{"score":42}"#), false).await;
    for status in [
        "301 Moved",
        "302 Found",
        "307 Temporary Redirect",
        "308 Permanent",
    ] {
        let octets = format!(
            "HTTP/1.1 {status}\r\nLocation: {}/\r\nContent-Type: application/json\r\n\
             Content-Length: 12\r\n\r\n{{\"score\":42}}",
            other.origin
        );
        let host = Host::start(octets.into_bytes(), false).await;
        assert_eq!(in_time(&scores(&host), status).await, None, "{status}");
        assert_eq!(host.asked(), 1);
    }
    assert_eq!(other.asked(), 0);
}

/// F19: silence before, within and after the head, on the wire.
#[tokio::test]
async fn a_hook_that_hangs_meets_the_deadline() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n";
    for octets in ["", "HTTP/1.1 200", head, &format!("{head}{{\"score\":")] {
        let host = Host::start(octets.as_bytes().to_vec(), true).await;
        // The hook's own deadline and that of those who wait for it: each holds alone.
        let start = Instant::now();
        let hook = http_hook(host.url("/"), SCORE_DEADLINE);
        assert_eq!(hook.ask(REQUEST).await, None, "{octets}");
        let took = start.elapsed();
        assert!(
            took >= SCORE_DEADLINE && took < SCORE_DEADLINE + SLACK,
            "{took:?}"
        );

        let hook = http_hook(host.url("/"), SCORE_DEADLINE_MAX);
        let scores = Scores::new(Arc::new(hook), Duration::from_millis(100));
        let start = Instant::now();
        assert_eq!(scores.score(KEY, REQUEST).await, None, "{octets}");
        let took = start.elapsed();
        assert!(took < SCORE_DEADLINE_MAX, "{took:?}");
    }
}

/// Nobody listens, or somebody who speaks no TLS.
#[tokio::test]
async fn a_hook_that_is_not_there_gives_no_score() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let plain = Host::start(json(r#"{"score":42}"#), false).await;
    let plain = plain.origin.replace("http:", "https:");
    for url in [nobody, plain] {
        let hook = http_hook(OperatorUrl::parse(&url).unwrap(), SCORE_DEADLINE);
        let scores = Scores::new(Arc::new(hook), SCORE_DEADLINE);
        assert_eq!(in_time(&scores, &url).await, None, "{url}");
    }
}

/// A key that can be guessed signs nothing.
#[tokio::test]
async fn a_short_secret_makes_no_hook() {
    let fetcher = Arc::new(Fetcher::new(FetchSettings::default()).unwrap());
    for (length, weak) in [(0, true), (15, true), (16, false)] {
        let hook = HttpScoreHook::new(
            fetcher.clone(),
            Arc::new(StandingClock),
            OperatorUrl::parse("https://risk.example/score").unwrap(),
            Secret::new(vec![b'a'; length]),
            SCORE_DEADLINE,
        );
        assert_eq!(hook.err(), weak.then_some(WeakHookSecret), "{length}");
    }
}

/// What the hook of the tests without a network does.
#[derive(Clone, Copy)]
enum Manner {
    Answers(&'static str),
    Hangs,
    Panics,
    /// Answers 42, after so many milliseconds.
    Takes(u64),
}

struct FakeHook {
    asked: AtomicUsize,
    manner: Mutex<Manner>,
}

impl FakeHook {
    fn new(manner: Manner) -> Arc<Self> {
        Arc::new(Self {
            asked: AtomicUsize::new(0),
            manner: Mutex::new(manner),
        })
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn becomes(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }
}

#[async_trait::async_trait]
impl ScoreHook for FakeHook {
    async fn ask(&self, _request: &str) -> Option<String> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let manner = *self.manner.lock().unwrap();
        match manner {
            Manner::Answers(text) => Some(text.to_owned()),
            Manner::Hangs => std::future::pending().await,
            Manner::Panics => panic!("the hook of the test panics"),
            Manner::Takes(milliseconds) => {
                sleep(Duration::from_millis(milliseconds)).await;
                Some(r#"{"score":42}"#.to_owned())
            }
        }
    }
}

fn key(number: u8) -> String {
    format!("key {number}")
}

/// However many sign-ins ask at once, the hook is asked once; and once more for another key.
#[tokio::test(start_paused = true)]
async fn one_call_answers_everybody_who_waits() {
    let hook = FakeHook::new(Manner::Takes(100));
    let scores = Scores::new(hook.clone(), SCORE_DEADLINE);
    let mut asking = JoinSet::new();
    for number in 0..50 {
        let scores = scores.clone();
        asking.spawn(async move { scores.score(&key(number % 2), REQUEST).await });
    }
    assert_eq!(asking.join_all().await, [Some(42); 50]);
    assert_eq!(hook.asked(), 2);
}

/// Whoever hangs up takes no score away from others.
#[tokio::test(start_paused = true)]
async fn a_call_goes_on_without_its_asker() {
    let hook = FakeHook::new(Manner::Takes(200));
    let scores = Scores::new(hook.clone(), SCORE_DEADLINE);
    let first = timeout(Duration::from_millis(50), scores.score(KEY, REQUEST)).await;
    assert!(first.is_err());
    assert_eq!(scores.score(KEY, REQUEST).await, Some(42));
    assert_eq!(hook.asked(), 1);
}

/// A latecomer waits for the rest of the call, not for a deadline more.
#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_the_call() {
    let hook = FakeHook::new(Manner::Hangs);
    let scores = Scores::new(hook.clone(), SCORE_DEADLINE);
    let start = Instant::now();
    let late = async {
        sleep(Duration::from_millis(200)).await;
        scores.score(KEY, REQUEST).await
    };
    let both = tokio::join!(scores.score(KEY, REQUEST), late);
    assert_eq!(both, (None, None));
    let took = start.elapsed();
    assert!(
        took <= SCORE_DEADLINE + Duration::from_millis(2),
        "{took:?}"
    );
    assert_eq!(hook.asked(), 1);
}

/// The longest deadline that can be asked for is two seconds.
#[tokio::test(start_paused = true)]
async fn no_deadline_is_longer_than_two_seconds() {
    let scores = Scores::new(FakeHook::new(Manner::Hangs), Duration::from_mins(1));
    let start = Instant::now();
    assert_eq!(scores.score(KEY, REQUEST).await, None);
    let took = start.elapsed();
    assert!(took <= Duration::from_millis(2_002), "{took:?}");
}

/// An answer is good for as long as it says, but for a minute at least and a day at most.
#[tokio::test(start_paused = true)]
async fn an_answer_is_remembered_within_bounds() {
    for (answer, seconds) in [
        (r#"{"score":42,"ttl":0}"#, 60),
        (r#"{"score":42,"ttl":90}"#, 90),
        (r#"{"score":42}"#, 60),
        (r#"{"score":42,"ttl":999999999}"#, 86_400),
    ] {
        let hook = FakeHook::new(Manner::Answers(answer));
        let scores = Scores::new(hook.clone(), SCORE_DEADLINE);
        assert_eq!(scores.score(KEY, REQUEST).await, Some(42));
        hook.becomes(Manner::Answers(r#"{"score":1}"#));
        sleep(Duration::from_millis(seconds * 1_000 - 20)).await;
        assert_eq!(scores.score(KEY, REQUEST).await, Some(42), "{answer}");
        assert_eq!(hook.asked(), 1, "{answer}");
        sleep(Duration::from_millis(40)).await;
        assert_eq!(scores.score(KEY, REQUEST).await, Some(1), "{answer}");
        assert_eq!(hook.asked(), 2, "{answer}");
    }
}

/// What is no answer is not remembered as one.
#[tokio::test(start_paused = true)]
async fn a_failure_is_not_remembered() {
    let hook = FakeHook::new(Manner::Answers(r#"{"score":"high"}"#));
    let scores = Scores::new(hook.clone(), SCORE_DEADLINE);
    assert_eq!(scores.score(KEY, REQUEST).await, None);
    hook.becomes(Manner::Answers(r#"{"score":3}"#));
    assert_eq!(scores.score(KEY, REQUEST).await, Some(3));
}

/// A hook that hangs costs five deadlines, and then one each half minute.
#[tokio::test(start_paused = true)]
async fn a_hook_that_fails_again_and_again_is_left_alone() {
    let hook = FakeHook::new(Manner::Hangs);
    let scores = Scores::new(hook.clone(), SCORE_DEADLINE);
    let failing_since = Instant::now();
    for number in 0..5 {
        assert_eq!(scores.score(&key(number), REQUEST).await, None);
    }
    assert!(failing_since.elapsed() >= SCORE_DEADLINE * 5);
    assert_eq!(hook.asked(), 5);

    for _ in 0..3 {
        // The call ends when the wait does; let it say so.
        sleep(Duration::from_millis(1)).await;
        let left_alone_since = Instant::now();
        let asked = hook.asked();
        for number in 0..100 {
            assert_eq!(scores.score(&key(number), REQUEST).await, None);
        }
        assert_eq!(left_alone_since.elapsed(), Duration::ZERO);
        sleep(Duration::from_millis(29_900)).await;
        assert_eq!(scores.score(KEY, REQUEST).await, None);
        assert_eq!(hook.asked(), asked);

        // One try, and nobody else waits meanwhile.
        sleep(Duration::from_millis(200)).await;
        let start = Instant::now();
        let second = async {
            sleep(Duration::from_millis(10)).await;
            let start = Instant::now();
            assert_eq!(scores.score(&key(1), REQUEST).await, None);
            assert_eq!(start.elapsed(), Duration::ZERO);
        };
        let (first, ()) = tokio::join!(scores.score("key 0", REQUEST), second);
        assert_eq!(first, None);
        assert!(start.elapsed() >= SCORE_DEADLINE);
        assert_eq!(hook.asked(), asked + 1);
    }

    hook.becomes(Manner::Answers(r#"{"score":9}"#));
    sleep(Duration::from_secs(31)).await;
    for number in 0..10 {
        assert_eq!(scores.score(&key(number), REQUEST).await, Some(9));
    }
}

/// Only failures in a row count.
#[tokio::test(start_paused = true)]
async fn a_good_answer_forgives_the_failures_before_it() {
    let hook = FakeHook::new(Manner::Hangs);
    let scores = Scores::new(hook.clone(), SCORE_DEADLINE);
    for round in 0..3 {
        hook.becomes(Manner::Answers("no"));
        for _ in 0..4 {
            assert_eq!(scores.score(KEY, REQUEST).await, None);
        }
        hook.becomes(Manner::Answers(r#"{"score":9}"#));
        assert_eq!(scores.score(&key(100 + round), REQUEST).await, Some(9));
    }
    assert_eq!(hook.asked(), 15);
}

/// A remembered answer stays good while the hook is left alone.
#[tokio::test(start_paused = true)]
async fn a_remembered_score_needs_no_hook() {
    let hook = FakeHook::new(Manner::Answers(r#"{"score":9}"#));
    let scores = Scores::new(hook.clone(), SCORE_DEADLINE);
    assert_eq!(scores.score(KEY, REQUEST).await, Some(9));
    hook.becomes(Manner::Hangs);
    for number in 0..6 {
        assert_eq!(scores.score(&key(number), REQUEST).await, None);
    }
    assert_eq!(scores.score(KEY, REQUEST).await, Some(9));
}

/// A flood of distinct requests opens a bounded number of calls; the others do not wait.
#[tokio::test(start_paused = true)]
async fn calls_at_a_time_are_bounded() {
    let hook = FakeHook::new(Manner::Takes(100));
    let scores = Scores::new(hook.clone(), SCORE_DEADLINE);
    let mut asking = JoinSet::new();
    for number in 0..100 {
        let scores = scores.clone();
        asking.spawn(async move { scores.score(&key(number), REQUEST).await });
    }
    let answers = asking.join_all().await;
    assert_eq!(
        answers.iter().filter(|score| **score == Some(42)).count(),
        32
    );
    assert_eq!(answers.iter().filter(|score| score.is_none()).count(), 68);
    assert_eq!(hook.asked(), 32);
    // And the seats are free again.
    assert_eq!(scores.score(&key(200), REQUEST).await, Some(42));
}

/// A hook that panics is a hook that failed.
#[tokio::test(start_paused = true)]
async fn a_hook_that_panics_gives_no_score() {
    let hook = FakeHook::new(Manner::Panics);
    let scores = Scores::new(hook.clone(), SCORE_DEADLINE);
    for _ in 0..8 {
        let start = Instant::now();
        assert_eq!(scores.score(KEY, REQUEST).await, None);
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
    assert_eq!(hook.asked(), 5);
}
