//! Proofs of domains as they are looked for outside: a name server and a web host of the test's own,
//! asked by the resolver and the fetcher that `vestibule verify` uses.

#![expect(clippy::unwrap_used, reason = "what surprises a test should end it")]

mod support;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use serde_json::json;
use support::{
    outside::{Answer, NameServer, WebHost, WiredTo},
    visit::*,
    *,
};
use vestibule_engine::{Badge, FetchDomains, ProofAsked};
use vestibule_fetch::{FetchSettings, Fetcher};
use vestibule_protocol::audit::Actor;
use vestibule_store::verifications::{VerificationMethod, VerificationState};

const DAY: u64 = 24 * 3_600;
/// Public, and nobody's.
const PUBLIC: [u8; 4] = [93, 184, 216, 34];
const RECORD: &str = "_vestibule.agent.example";

/// A hub that looks for proofs through this fetcher, and a proof of [`DOCUMENT`]'s domain.
async fn asked(fetcher: Fetcher, method: VerificationMethod) -> (Hub, ProofAsked) {
    let domains = Arc::new(FetchDomains(Arc::new(fetcher)));
    let hub = Hub::builder().domains(domains).start().await;
    hub.serve_document(&json!({}));
    let from = source();
    let proof = hub
        .engine
        .ask_for_proof(DOCUMENT, None, method, &from, Actor::System);
    let proof = proof.await.unwrap();
    (hub, proof)
}

async fn look(hub: &Hub, proof: &ProofAsked) -> (VerificationState, Option<String>) {
    let looked = hub.engine.check_verification(&proof.id).await.unwrap();
    let (moved, problem) = looked.unwrap();
    (moved.to, problem)
}

async fn badge(hub: &Hub) -> Badge {
    let mut visit = Visit::signed_in(hub, "ada").await;
    consent(visit.ask(DOCUMENT, &[]).await).badge
}

/// Each answer of a name server, for a proof that is asked for and for one that stands.
#[tokio::test]
async fn each_answer_of_a_name_server_leads_to_its_state() {
    use VerificationState::{Failing, Pending, Verified};
    let absent = Some("does not hold the value");
    let unknown = Some("could not be looked up");
    #[rustfmt::skip]
    let rows = [
        // answer, from pending, from verified, and what an admin is told
        ("found",                Verified, Verified, None),
        ("found, over TCP only", Verified, Verified, None),
        ("wrong",                Pending,  Failing,  absent),
        ("no records",           Pending,  Failing,  absent),
        ("no such name",         Pending,  Failing,  absent),
        ("server failure",       Pending,  Failing,  unknown),
    ];
    for (name, from_pending, from_verified, told) in rows {
        let server = NameServer::start(PUBLIC).await;
        let fetcher = Fetcher::new(FetchSettings::default()).unwrap();
        let fetcher = fetcher.with_name_servers(&[server.address]);
        let (hub, proof) = asked(fetcher, VerificationMethod::DnsTxt).await;
        assert_eq!(proof.place, RECORD);
        let found = vec!["v=spf1 -all".to_owned(), proof.value.clone()];
        let other = format!("vestibule-verification={}", "A".repeat(43));
        let answer = match name {
            "found" => Answer::Texts(found.clone()),
            "found, over TCP only" => Answer::Truncated(found.clone()),
            "wrong" => Answer::Texts(vec![other]),
            "no records" => Answer::NoRecords,
            "no such name" => Answer::NoSuchName,
            _ => Answer::ServerFailure,
        };
        let say = |answer: &Answer| *server.answer.lock().unwrap() = answer.clone();

        say(&answer);
        let (state, problem) = look(&hub, &proof).await;
        assert_eq!(state, from_pending, "{name}: {problem:?}");
        let as_told = match (told, &problem) {
            (Some(told), Some(problem)) => problem.contains(told) && problem.contains(RECORD),
            (None, None) => true,
            _ => false,
        };
        assert!(as_told, "{name}: {problem:?}");
        let verified = from_pending == Verified;
        assert_eq!(badge(&hub).await == Badge::Verified, verified, "{name}");

        say(&Answer::Texts(found));
        hub.advance(DAY).await;
        assert_eq!(look(&hub, &proof).await.0, Verified, "{name}");
        assert_eq!(badge(&hub).await, Badge::Verified, "{name}");
        say(&answer);
        hub.advance(DAY).await;
        assert_eq!(look(&hub, &proof).await.0, from_verified, "{name}");
        // A proof that is failing counts still.
        assert_eq!(badge(&hub).await, Badge::Verified, "{name}");

        let asked = server.asked.lock().unwrap();
        let by_tcp = asked.iter().any(|(_, over_tcp)| *over_tcp);
        assert!(by_tcp || name != "found, over TCP only");
        for (record, _) in asked.iter() {
            assert_eq!(record.to_lowercase(), format!("{RECORD}."), "{name}");
        }
    }
}

/// Each answer of a web host; nothing but a file of that name, from that host, proves anything.
#[tokio::test]
async fn each_answer_of_a_web_host_leads_to_its_state() {
    use VerificationState::{Pending, Verified};
    const PRIVATE: [u8; 4] = [10, 0, 0, 1];
    let ours = "agent.example";
    #[rustfmt::skip]
    let rows = [
        // answer, certificate for, address, state, and what an admin is told
        ("the value",         ours,              PUBLIC,  Verified, None),
        ("another value",     ours,              PUBLIC,  Pending,  Some("does not hold the value")),
        ("not found",         ours,              PUBLIC,  Pending,  Some("answered 404")),
        ("elsewhere",         ours,              PUBLIC,  Pending,  Some("answered 302")),
        ("the value",         "other.example",   PUBLIC,  Pending,  Some("could not be fetched")),
        ("the value",         ours,              PRIVATE, Pending,  Some("could not be fetched")),
    ];
    for (name, certified, address, expected, told) in rows {
        let server = NameServer::start(address).await;
        let host = WebHost::start(certified).await;
        let dialled: Arc<Mutex<Vec<SocketAddr>>> = Arc::default();
        let settings = FetchSettings {
            extra_ca_pem: vec![host.authority.clone()],
            ..FetchSettings::default()
        };
        let wired = WiredTo {
            host: host.address,
            dialled: dialled.clone(),
        };
        let fetcher = Fetcher::new(settings).unwrap();
        let fetcher = fetcher
            .with_name_servers(&[server.address])
            .with_dialler(Arc::new(wired));
        let (hub, proof) = asked(fetcher, VerificationMethod::WellKnownFile).await;
        let other = format!("vestibule-verification={}", "A".repeat(43));
        let (head, body) = match name {
            "the value" => ("200 OK", format!("# ours\n{}\n", proof.value)),
            "another value" => ("200 OK", other),
            "elsewhere" => (
                "302 Found\r\nLocation: https://agent.example/there",
                proof.value.clone(),
            ),
            _ => ("404 Not Found", proof.value.clone()),
        };
        let length = body.len();
        *host.answer.lock().unwrap() = format!(
            "HTTP/1.1 {head}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        let (state, problem) = look(&hub, &proof).await;
        assert_eq!(state, expected, "{name} {certified}: {problem:?}");
        let problem = problem.unwrap_or_default();
        assert!(
            problem.contains(told.unwrap_or_default()),
            "{name}: {problem}"
        );
        assert_eq!(problem.is_empty(), told.is_none(), "{name}: {problem}");
        let verified = expected == Verified;
        assert_eq!(badge(&hub).await == Badge::Verified, verified, "{name}");

        let dialled = dialled.lock().unwrap();
        let public = SocketAddr::from((PUBLIC, 443));
        assert!(dialled.iter().all(|to| *to == public), "{dialled:?}");
        assert_eq!(dialled.is_empty(), address == PRIVATE, "{dialled:?}");
        let requests = host.asked.lock().unwrap();
        let path = "GET /.well-known/vestibule-verification.txt HTTP/1.1\r\n";
        assert!(requests.iter().all(|head| head.starts_with(path)));
        let came = certified == ours && address == PUBLIC;
        assert_eq!(requests.len(), usize::from(came), "{name}: {requests:?}");
    }
}
