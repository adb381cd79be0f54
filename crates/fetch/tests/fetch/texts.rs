//! What proves the control of a domain: TXT records, and a small text file.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use vestibule_fetch::{
    BoxFuture, FetchError, FetchSettings, Fetcher, NotResolved, Purpose, Resolve,
};

use crate::support::{Names, ok, send, world};

const NAME: &str = "_vestibule.client.example";
const FILE: &str = "https://client.example/.well-known/vestibule-verification.txt";

/// Records of every name, or none ever; and the names that were asked for.
#[derive(Default)]
struct Records {
    records: Option<Vec<Vec<u8>>>,
    asked: Mutex<Vec<String>>,
}

impl Records {
    fn new(records: &[&[u8]]) -> Arc<Self> {
        let records = records.iter().map(|record| record.to_vec()).collect();
        Arc::new(Self {
            records: Some(records),
            ..Self::default()
        })
    }
}

impl Resolve for Records {
    fn resolve<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, NotResolved>> {
        Box::pin(async { Err(NotResolved("only texts are known here".to_owned())) })
    }

    fn txt<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<Vec<u8>>, NotResolved>> {
        self.asked.lock().unwrap().push(name.to_owned());
        Box::pin(async move {
            match &self.records {
                Some(records) => Ok(records.clone()),
                None => std::future::pending().await,
            }
        })
    }
}

fn fetcher(resolver: Arc<dyn Resolve>) -> Fetcher {
    let settings = FetchSettings {
        deadline: Duration::from_millis(300),
        connections_max: 1,
        ..FetchSettings::default()
    };
    Fetcher::new(settings).unwrap().with_resolver(resolver)
}

/// F20: what is too long or no text is left out, and what is too much is refused whole, since
/// name servers turn the order around.
#[tokio::test]
async fn text_records_are_bounded() {
    let (longest, too_long) = ([b'a'; 512], [b'a'; 513]);
    let records = Records::new(&[b"one", b"\xff", &longest, &too_long, b""]);
    let found = fetcher(records).txt(NAME).await.unwrap();
    assert_eq!(found, ["one", &"a".repeat(512), ""]);

    for (count, expected) in [(0, Ok(0)), (20, Ok(20)), (21, Err(FetchError::TooLarge))] {
        let records = Records::new(&vec![b"one".as_slice(); count]);
        let found = fetcher(records).txt(NAME).await;
        assert_eq!(found.map(|found| found.len()), expected, "{count}");
    }
}

/// F19, F27: one deadline, and a bounded number at a time.
#[tokio::test]
async fn a_name_server_that_is_silent_meets_the_deadline() {
    let fetcher = fetcher(Arc::new(Records::default()));
    let start = Instant::now();
    let (first, second) = tokio::join!(fetcher.txt(NAME), fetcher.txt(NAME));
    assert_eq!(first, Err(FetchError::DeadlineExceeded));
    assert_eq!(second, Err(FetchError::Busy));
    assert!(
        start.elapsed() < Duration::from_secs(3),
        "{:?}",
        start.elapsed()
    );
}

/// F7: no name server is asked for a name that only the inside of a network knows.
#[tokio::test]
async fn no_private_name_is_looked_up_for_texts() {
    let records = Records::new(&[b"one"]);
    let fetcher = fetcher(records.clone());
    for name in [
        "intranet",
        "_vestibule.db.internal",
        "10.0.0.1",
        "client.example.",
    ] {
        assert_eq!(
            fetcher.txt(name).await,
            Err(FetchError::NameNotResolved),
            "{name}"
        );
    }
    assert!(records.asked.lock().unwrap().is_empty());
    assert_eq!(fetcher.txt(NAME).await.unwrap(), ["one"]);
    assert_eq!(*records.asked.lock().unwrap(), [NAME]);
}

/// A source of addresses that knows no texts fails, rather than saying that there are none.
#[tokio::test]
async fn a_source_of_addresses_alone_has_no_texts() {
    let fetcher = fetcher(Arc::new(Names::new(&[&["93.184.216.34"]])));
    assert_eq!(fetcher.txt(NAME).await, Err(FetchError::NameNotResolved));
}

/// F20: the file of a proof is text and small.
#[tokio::test]
async fn a_verification_file_is_asked_for_as_text_and_is_small() {
    for (length, expected) in [(4_096, Ok(4_096)), (4_097, Err(FetchError::TooLarge))] {
        let (world, host) = world(ok(&"a".repeat(length))).await;
        let answer = world.get_url(FILE, Purpose::Verification).await;
        assert_eq!(answer.map(|answer| answer.body.len()), expected);
        let request = host.requests().remove(0);
        assert!(
            request.starts_with("GET /.well-known/vestibule-verification.txt HTTP/1.1\r\n"),
            "{request}"
        );
        assert!(request.contains("\r\naccept: text/plain\r\n"), "{request}");
    }
}

/// F1, F10: and it is fetched from where the name leads, behind the same guard as everything.
#[tokio::test]
async fn a_verification_file_is_not_fetched_from_the_inside_nor_from_elsewhere() {
    let (world, host) = world(ok("proof")).await;
    let inside = Names::new(&[&["93.184.216.34", "10.0.0.1"]]);
    *world.names.answers.lock().unwrap() = inside.answers.into_inner().unwrap();
    let answer = world.get_url(FILE, Purpose::Verification).await;
    assert_eq!(answer, Err(FetchError::AddressRefused));
    assert!(world.wires.dialled().is_empty());
    assert!(host.requests().is_empty());

    let (world, host) = crate::support::world(send(
        "HTTP/1.1 302 Found\r\nLocation: https://other.example/\r\nContent-Length: 5\r\n\r\nproof",
    ))
    .await;
    let answer = world.get_url(FILE, Purpose::Verification).await.unwrap();
    assert_eq!((answer.status, answer.body.len()), (302, 0));
    assert_eq!(host.requests().len(), 1);
}
