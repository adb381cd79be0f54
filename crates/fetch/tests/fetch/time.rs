//! One deadline over everything (threats F19), and a bound on how much happens at once (F27).

use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use vestibule_fetch::{FetchError, FetchSettings, Fetched, OperatorUrl};

use crate::support::{
    ADDRESS, Authority, Host, NAME, Names, Step, Wire, Wires, World, ok, server_config, settings,
    world_with,
};

const DEADLINE: Duration = Duration::from_millis(600);

fn impatient(settings: &mut FetchSettings) {
    settings.deadline = DEADLINE;
}

/// The result, and that it came in time.
async fn timed(world: &World) -> Result<Fetched, FetchError> {
    let start = Instant::now();
    let result = world.get().await;
    let took = start.elapsed();
    assert!(took < DEADLINE + Duration::from_secs(2), "{took:?}");
    result
}

/// F19, CIMD-53: an octet now and then, in the head or the body, an endless row of interim
/// answers, or silence.
#[tokio::test]
async fn a_slow_answer_meets_the_deadline() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
    for (what, steps) in [
        ("silence", vec![Step::Hang]),
        (
            "a dripping head",
            vec![
                Step::Send(format!("{head}X-Slow: ").into_bytes()),
                Step::Repeat(b"x".to_vec(), 20),
            ],
        ),
        (
            "a dripping body",
            vec![
                Step::Send(format!("{head}Content-Length: 5000\r\n\r\n").into_bytes()),
                Step::Repeat(b"x".to_vec(), 20),
            ],
        ),
        (
            "a body that stops",
            vec![
                Step::Send(format!("{head}Content-Length: 5000\r\n\r\n{{").into_bytes()),
                Step::Hang,
            ],
        ),
        (
            "dripping chunks",
            vec![
                Step::Send(format!("{head}Transfer-Encoding: chunked\r\n\r\n").into_bytes()),
                Step::Repeat(b"1\r\nx\r\n".to_vec(), 20),
            ],
        ),
        (
            "interim answers",
            vec![Step::Repeat(
                b"HTTP/1.1 103 Early Hints\r\n\r\n".to_vec(),
                5,
            )],
        ),
    ] {
        let (world, _host) = world_with(steps, impatient).await;
        assert_eq!(
            timed(&world).await,
            Err(FetchError::DeadlineExceeded),
            "{what}"
        );
    }
}

/// A pause that fits is none of our business.
#[tokio::test]
async fn an_answer_that_is_merely_late_arrives() {
    let mut steps = vec![Step::Pause(100)];
    steps.extend(ok("{}"));
    let (world, _host) = world_with(steps, |_| {}).await;
    assert_eq!(world.get().await.unwrap().status, 200);
}

/// F19: a listener that never speaks TLS.
#[tokio::test]
async fn a_stalled_handshake_meets_the_deadline() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let world = impatient_world(
        Names::new(&[&["93.184.216.34"]]),
        Wires::new(&[(ADDRESS, Wire::To(address))]),
    );
    assert_eq!(timed(&world).await, Err(FetchError::DeadlineExceeded));
    drop(silent);
}

fn impatient_world(names: Names, wires: Wires) -> World {
    let mut settings = FetchSettings::default();
    impatient(&mut settings);
    World::new(settings, names, wires)
}

/// F19: the deadline is one over all addresses, not one for each.
#[tokio::test]
async fn many_silent_addresses_share_one_deadline() {
    let answer = [
        "93.184.216.34",
        "93.184.216.35",
        "93.184.216.36",
        "93.184.216.37",
    ];
    let addresses = answer.map(|ip| format!("{ip}:443"));
    let wires: Vec<(&str, Wire)> = addresses
        .iter()
        .map(|address| (address.as_str(), Wire::Swallows))
        .collect();
    let world = impatient_world(Names::new(&[&answer]), Wires::new(&wires));
    assert_eq!(timed(&world).await, Err(FetchError::DeadlineExceeded));
    assert_eq!(world.wires.dialled(), addresses);
}

/// F19: an address that swallows packets does not use up the time of the next.
#[tokio::test]
async fn a_silent_address_leaves_time_for_the_next() {
    let authority = Authority::new();
    let identity = authority.issue(&[NAME], (2020, 2100));
    let host = Host::start(server_config(identity, rustls::ALL_VERSIONS), ok("{}")).await;
    let mut settings = settings(&authority);
    settings.deadline = Duration::from_secs(2);
    let world = World::new(
        settings,
        Names::new(&[&["93.184.216.35", "93.184.216.34"]]),
        Wires::new(&[
            ("93.184.216.35:443", Wire::Swallows),
            (ADDRESS, Wire::To(host.address)),
        ]),
    );
    assert_eq!(world.get().await.unwrap().status, 200);
}

/// F19: names count, too.
#[tokio::test]
async fn a_silent_name_server_meets_the_deadline() {
    let names = Names {
        never_answers: true,
        ..Names::new(&[&["93.184.216.34"]])
    };
    let world = impatient_world(names, Wires::default());
    assert_eq!(timed(&world).await, Err(FetchError::DeadlineExceeded));
    assert!(world.wires.dialled().is_empty());
}

/// F27: no more at a time than configured; the operator's own calls do not queue behind strangers.
#[tokio::test]
async fn fetches_beyond_the_limit_are_turned_away() {
    let authority = Authority::new();
    let identity = authority.issue(&[NAME], (2020, 2100));
    let silent = vec![Step::Hang];
    let host = Host::start(server_config(identity, rustls::ALL_VERSIONS), silent).await;
    let plain = Host::plain(ok("{}")).await;
    let world = World::new(
        FetchSettings {
            deadline: Duration::from_millis(900),
            connections_max: 2,
            ..settings(&authority)
        },
        Names::new(&[&["93.184.216.34"]]),
        Wires::new(&[
            (ADDRESS, Wire::To(host.address)),
            (&plain.address.to_string(), Wire::To(plain.address)),
        ]),
    );
    let operator = OperatorUrl::parse(&format!("http://{}/jwks.json", plain.address)).unwrap();
    let own = world.fetcher.get_operator(&operator, 1_000);
    let results = tokio::join!(world.get(), world.get(), world.get(), own);
    assert_eq!(results.3.unwrap().status, 200);
    let results = [results.0, results.1, results.2].map(Result::unwrap_err);
    let busy = results.iter().filter(|f| **f == FetchError::Busy).count();
    let late = results
        .iter()
        .filter(|f| **f == FetchError::DeadlineExceeded)
        .count();
    assert_eq!((busy, late), (1, 2), "{results:?}");
    assert_eq!(host.requests().len(), 2);
    // The seats are free again.
    assert_eq!(world.get().await, Err(FetchError::DeadlineExceeded));
}
