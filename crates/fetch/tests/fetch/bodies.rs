//! How much is read, and in which coding.

use std::fmt::Write as _;

use vestibule_fetch::{FetchError, Purpose};

use crate::support::{Step, URL, ok, send, world};

const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";

fn chunked(body: &str, chunk: usize) -> String {
    let mut text = format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n");
    for piece in body.as_bytes().chunks(chunk) {
        let piece = String::from_utf8_lossy(piece);
        write!(text, "{:x}\r\n{piece}\r\n", piece.len()).unwrap();
    }
    text.push_str("0\r\n\r\n");
    text
}

/// CIMD-84, F20: 5,120 octets are a document, 5,121 are none, however they are announced.
#[tokio::test]
async fn a_document_is_cut_off_at_five_kilobytes() {
    for length in [0, 1, 5_119, 5_120, 5_121, 100_000] {
        let body = "x".repeat(length);
        for (how, answer) in [
            ("announced", ok(&body)),
            ("chunked", send(chunked(&body, 7_000))),
            ("in small chunks", send(chunked(&body, 100))),
            ("until the end", send(format!("{HEAD}\r\n{body}"))),
        ] {
            let (world, _host) = world(answer).await;
            let fetched = world.get().await.map(|fetched| fetched.body.len());
            let expected = if length <= 5_120 {
                Ok(length)
            } else {
                Err(FetchError::TooLarge)
            };
            assert_eq!(fetched, expected, "{length} {how}");
        }
    }
}

/// F20: a set of keys has its own budget.
#[tokio::test]
async fn a_key_set_is_cut_off_at_sixty_four_kibibytes() {
    for (length, fits) in [(5_121, true), (65_536, true), (65_537, false)] {
        let (world, _host) = world(ok(&"x".repeat(length))).await;
        let fetched = world.get_url(URL, Purpose::Keys).await;
        assert_eq!(fetched.is_ok(), fits, "{length}");
    }
}

/// CIMD-84, F20: a body without an end is left after its budget, not after its end.
#[tokio::test]
async fn an_endless_body_is_left() {
    for head in [
        format!("{HEAD}\r\n"),
        format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n"),
    ] {
        let (world, _host) = world(vec![
            Step::Send(head.into_bytes()),
            Step::Repeat(
                b"400\r\n"
                    .iter()
                    .chain(&[b'x'; 1024])
                    .chain(b"\r\n")
                    .copied()
                    .collect(),
                0,
            ),
        ])
        .await;
        assert_eq!(world.get().await, Err(FetchError::TooLarge));
    }
}

/// CIMD-84, F20: an announcement is believed when it is too large, and never when it is small.
#[tokio::test]
async fn a_lying_length_gains_nothing() {
    let long = "x".repeat(6_000);
    let (small, _host) = world(send(format!("{HEAD}Content-Length: 10\r\n\r\n{long}"))).await;
    assert_eq!(small.get().await.unwrap().body.len(), 10);

    let (short, _host) = world(send(format!("{HEAD}Content-Length: 100\r\n\r\nabc"))).await;
    assert_eq!(short.get().await, Err(FetchError::Protocol));

    // Refused on sight: the octets themselves never come.
    let announced = vec![
        Step::Send(format!("{HEAD}Content-Length: 1000000000\r\n\r\n").into_bytes()),
        Step::Hang,
    ];
    let (large, _host) = world(announced).await;
    assert_eq!(large.get().await, Err(FetchError::TooLarge));

    let both = format!(
        "{HEAD}Content-Length: 3\r\n{}",
        &chunked(&long, 100)[HEAD.len()..]
    );
    let (mixed, _host) = world(send(both)).await;
    assert!(matches!(
        mixed.get().await,
        Err(FetchError::TooLarge | FetchError::Protocol)
    ));
}

/// F20: headers and trailers have a budget, too.
#[tokio::test]
async fn a_large_head_is_refused() {
    let long = format!(
        "{HEAD}X-Long: {}\r\nContent-Length: 2\r\n\r\n{{}}",
        "x".repeat(20_000)
    );
    let many = format!(
        "{HEAD}{}Content-Length: 2\r\n\r\n{{}}",
        "X-Many: 1\r\n".repeat(200)
    );
    for answer in [long, many] {
        let (world, _host) = world(send(answer)).await;
        assert_eq!(world.get().await, Err(FetchError::TooLarge));
    }
    let endless = vec![
        Step::Send(HEAD.as_bytes().to_vec()),
        Step::Repeat(
            format!("X-Endless: {}\r\n", "x".repeat(1_000)).into_bytes(),
            0,
        ),
    ];
    let (world, _host) = world(endless).await;
    assert_eq!(world.get().await, Err(FetchError::TooLarge));
}

#[tokio::test]
async fn large_trailers_are_refused() {
    let trailers = format!("X-Trailer: {}\r\n", "x".repeat(1_000)).repeat(40);
    let (world, _host) = world(send(format!(
        "{HEAD}Transfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n{trailers}\r\n"
    )))
    .await;
    assert!(world.get().await.is_err());
}

/// F21: only what needs no decoding.
#[tokio::test]
async fn a_compressed_body_is_refused() {
    for (header, fine) in [
        ("Content-Encoding: gzip", false),
        ("Content-Encoding: br", false),
        ("Content-Encoding: deflate", false),
        ("Content-Encoding: identity, gzip", false),
        (
            "Content-Encoding: identity\r\nContent-Encoding: gzip",
            false,
        ),
        ("content-encoding: GZIP", false),
        ("Content-Encoding: \u{e9}", false),
        ("Content-Encoding: identity", true),
        ("Content-Encoding: Identity", true),
        ("Content-Encoding:", true),
    ] {
        let answer = format!("{HEAD}{header}\r\nContent-Length: 2\r\n\r\n{{}}");
        let (world, _host) = world(send(answer)).await;
        let fetched = world.get().await.map(|fetched| fetched.body.len());
        let expected = if fine {
            Ok(2)
        } else {
            Err(FetchError::Encoded)
        };
        assert_eq!(fetched, expected, "{header}");
    }
    let coded = format!("{HEAD}Transfer-Encoding: gzip, chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n");
    let (world, _host) = world(send(coded)).await;
    assert_eq!(world.get().await, Err(FetchError::Encoded));
}
