//! What raises a client, and that only it does: a proof of its domain, an admin's word.

#![expect(clippy::unwrap_used, reason = "what surprises a test should end it")]

mod support;

use serde_json::json;
use support::{visit::*, *};
use vestibule_engine::{AskProofError, Badge, ProofAsked, VouchError};
use vestibule_protocol::{
    audit::{Actor, Event},
    ids::GrantId,
};
use vestibule_store::{
    standings::{SubjectKind, Word},
    verifications::{VerificationMethod, VerificationState},
};

const DAY: u64 = 24 * 3_600;
/// Somebody else's document, on another domain.
const ATTACKER: &str = "https://attacker.example/client.json";

async fn ask(
    hub: &Hub,
    client_id: &str,
    domain: Option<&str>,
    method: VerificationMethod,
) -> Result<ProofAsked, AskProofError> {
    hub.engine
        .ask_for_proof(client_id, domain, method, &source(), Actor::System)
        .await
}

/// Publish what was asked for.
fn publish(hub: &Hub, asked: &ProofAsked) {
    let record = (
        asked.place.clone(),
        vec!["v=spf1 -all".to_owned(), asked.value.clone()],
    );
    hub.domains.records.lock().unwrap().extend([record]);
    let file = (asked.place.clone(), format!("# ours\n{}\n", asked.value));
    hub.domains.files.lock().unwrap().extend([file]);
}

fn take_down(hub: &Hub, asked: &ProofAsked) {
    hub.domains.records.lock().unwrap().remove(&asked.place);
    hub.domains.files.lock().unwrap().remove(&asked.place);
}

async fn look(hub: &Hub, asked: &ProofAsked) -> (VerificationState, Option<String>) {
    let looked = hub.engine.check_verification(&asked.id).await.unwrap();
    let (moved, problem) = looked.unwrap();
    (moved.to, problem)
}

async fn badge_of(hub: &Hub, client_id: &str) -> Badge {
    badge_for(hub, client_id, "ada").await
}

/// What a person reads, though they said yes before.
async fn badge_for(hub: &Hub, client_id: &str, person: &str) -> Badge {
    let mut visit = Visit::signed_in(hub, person).await;
    let asked = [("prompt", "consent")];
    consent(visit.ask(client_id, &asked).await).badge
}

/// Design 2: asked, not found, found; the badge and the power come with the find, and not before.
#[tokio::test]
async fn a_proved_domain_makes_a_client_verified() {
    for method in VerificationMethod::ALL {
        let hub = Hub::start().await;
        hub.serve_document(&json!({}));
        let asked = ask(&hub, DOCUMENT, None, *method).await.unwrap();
        assert_eq!(asked.domain, "agent.example");
        let place = match method {
            VerificationMethod::DnsTxt => "_vestibule.agent.example",
            VerificationMethod::WellKnownFile => {
                "https://agent.example/.well-known/vestibule-verification.txt"
            }
        };
        assert_eq!(asked.place, place);
        let (state, problem) = look(&hub, &asked).await;
        assert_eq!(state, VerificationState::Pending);
        assert!(problem.is_some_and(|problem| problem.contains(place)));
        assert_eq!(badge_of(&hub, DOCUMENT).await, Badge::Unverified);
        // Another client's value is not this one's.
        let other = "vestibule-verification=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        let wrong = ProofAsked {
            value: other.to_owned(),
            ..asked.clone()
        };
        publish(&hub, &wrong);
        assert_eq!(look(&hub, &asked).await.0, VerificationState::Pending);
        assert_eq!(badge_of(&hub, DOCUMENT).await, Badge::Unverified);

        publish(&hub, &asked);
        let (state, problem) = look(&hub, &asked).await;
        assert_eq!((state, problem), (VerificationState::Verified, None));
        let mut visit = Visit::signed_in(&hub, "ada").await;
        let page = consent(visit.ask(DOCUMENT, &[]).await);
        assert_eq!(page.badge, Badge::Verified);
        assert!(
            page.reasons[0].contains("proved its domain"),
            "{:?}",
            page.reasons
        );
        assert_eq!(page.access_seconds, 900);
        assert_eq!(page.stays_connected_seconds, Some(90 * DAY));
        assert!(!page.first_seen_today);
        assert_eq!(hub.trail(Event::DomainVerified).await.len(), 1);
        // Other documents on the same domain have proved nothing.
        let other = "https://agent.example/other.json";
        hub.serve_document_at(other, &json!({}));
        assert_eq!(badge_of(&hub, other).await, Badge::Unverified);
    }
}

/// Domains lapse (R9): three looks in a row that find nothing end it, and one that finds it in
/// between begins anew; a grant keeps on, at what it is worth then.
#[tokio::test]
async fn a_proof_that_is_not_found_three_times_is_lost() {
    let hub = Hub::start().await;
    hub.serve_document(&json!({}));
    let asked = ask(&hub, DOCUMENT, None, VerificationMethod::DnsTxt)
        .await
        .unwrap();
    publish(&hub, &asked);
    look(&hub, &asked).await;
    let mut visit = Visit::signed_in(&hub, "ada").await;
    let page = consent(visit.ask(DOCUMENT, &[]).await);
    let location = redirect(visit.allow(&page, &offered(&page)).await);
    let given = Given {
        code: answer(&location, "code").unwrap(),
        client_id: DOCUMENT.to_owned(),
        grant: GrantId::new("g_unknown"),
    };
    let tokens = hub.redeem(&given).await.unwrap();
    assert_eq!(tokens.expires_in, 900);
    // Not due yet: nobody looks.
    assert_eq!(hub.engine.check_due_verifications().await.unwrap(), 0);
    take_down(&hub, &asked);
    let mut due = [DAY, DAY].into_iter();
    for seconds in &mut due {
        hub.advance(seconds).await;
        assert_eq!(hub.engine.check_due_verifications().await.unwrap(), 1);
        assert_eq!(badge_of(&hub, DOCUMENT).await, Badge::Verified);
    }
    assert_eq!(hub.trail(Event::DomainVerificationFailing).await.len(), 1);
    // It comes back, so the count starts again.
    publish(&hub, &asked);
    hub.advance(DAY).await;
    assert_eq!(look(&hub, &asked).await.0, VerificationState::Verified);
    take_down(&hub, &asked);
    for (seconds, badge) in [
        (DAY, Badge::Verified),
        (DAY, Badge::Verified),
        (DAY, Badge::Unverified),
    ] {
        hub.advance(seconds).await;
        assert_eq!(hub.engine.check_due_verifications().await.unwrap(), 1);
        assert_eq!(badge_of(&hub, DOCUMENT).await, badge, "{seconds}");
    }
    assert_eq!(hub.trail(Event::DomainVerificationLost).await.len(), 1);
    let next = hub
        .refresh(DOCUMENT, &tokens.refresh_token.unwrap(), &[])
        .await;
    assert_eq!(next.unwrap().expires_in, 600);
    // Looked for no more, and the record alone brings nothing back.
    publish(&hub, &asked);
    hub.advance(DAY).await;
    assert_eq!(hub.engine.check_due_verifications().await.unwrap(), 0);
    assert_eq!(look(&hub, &asked).await.0, VerificationState::Revoked);
    assert_eq!(badge_of(&hub, DOCUMENT).await, Badge::Unverified);
}

/// Looking again and again at once ends no proof sooner.
#[tokio::test]
async fn an_impatient_admin_ends_no_proof() {
    let hub = Hub::start().await;
    hub.serve_document(&json!({}));
    let asked = ask(&hub, DOCUMENT, None, VerificationMethod::DnsTxt)
        .await
        .unwrap();
    publish(&hub, &asked);
    look(&hub, &asked).await;
    take_down(&hub, &asked);
    for _ in 0..10 {
        look(&hub, &asked).await;
    }
    assert_eq!(badge_of(&hub, DOCUMENT).await, Badge::Verified);
}

/// R9: a client proves its own domain, never another's, whatever it says of itself.
#[tokio::test]
async fn nobody_claims_another_domain() {
    let hub = Hub::start().await;
    hub.serve_document(&json!({}));
    // It answers at the victim's place, links there, and calls itself so.
    let body = json!({"client_uri": "https://agent.example/", "redirect_uris": [CALLBACK]});
    hub.serve_document_at(ATTACKER, &body);
    let method = VerificationMethod::DnsTxt;
    let refused = ask(&hub, ATTACKER, Some("agent.example"), method).await;
    assert!(matches!(refused, Err(AskProofError::NotItsDomain(own)) if own == "attacker.example"));
    let asked = ask(&hub, ATTACKER, None, method).await.unwrap();
    assert_eq!(asked.domain, "attacker.example");
    // The value of one at the place of the other proves neither.
    let victim = ask(&hub, DOCUMENT, None, method).await.unwrap();
    let crossed = [
        (asked.place.clone(), vec![victim.value.clone()]),
        (victim.place.clone(), vec![asked.value.clone()]),
    ];
    hub.domains.records.lock().unwrap().extend(crossed);
    assert_eq!(look(&hub, &asked).await.0, VerificationState::Pending);
    assert_eq!(look(&hub, &victim).await.0, VerificationState::Pending);
    publish(&hub, &asked);
    publish(&hub, &victim);
    assert_eq!(look(&hub, &asked).await.0, VerificationState::Verified);
    assert_eq!(badge_of(&hub, DOCUMENT).await, Badge::Unverified);

    // A registration claims the domains that it returns to, all of them or it has proved nothing.
    let mut body = public_client();
    body["redirect_uris"] = json!([CALLBACK, "https://attacker.example/cb"]);
    let both = hub.register(&body).await;
    let asked = ask(&hub, both.client_id(), Some("attacker.example"), method)
        .await
        .unwrap();
    publish(&hub, &asked);
    assert_eq!(look(&hub, &asked).await.0, VerificationState::Verified);
    assert_eq!(badge_of(&hub, both.client_id()).await, Badge::Unverified);
    let undecided = ask(&hub, both.client_id(), None, method).await;
    assert!(matches!(undecided, Err(AskProofError::NotItsDomain(_))));
    let twice = ask(&hub, both.client_id(), Some("attacker.example"), method).await;
    assert!(matches!(twice, Err(AskProofError::Taken)));

    // One that also returns to this machine proves nothing about who listens there.
    body["redirect_uris"] = json!([CALLBACK, "http://127.0.0.1/cb"]);
    let mixed = hub.register(&body).await;
    let asked = ask(&hub, mixed.client_id(), None, method).await.unwrap();
    publish(&hub, &asked);
    assert_eq!(look(&hub, &asked).await.0, VerificationState::Verified);
    assert_eq!(badge_of(&hub, mixed.client_id()).await, Badge::Unverified);
    body["redirect_uris"] = json!(["http://127.0.0.1/cb"]);
    let local = hub.register(&body).await;
    let none = ask(&hub, local.client_id(), None, method).await;
    assert!(matches!(none, Err(AskProofError::NoDomain)));
    let nobody = ask(&hub, "https://nowhere.example/client.json", None, method).await;
    assert!(matches!(nobody, Err(AskProofError::NoClient)));
}

/// A proved domain proves nothing about a name (R6).
#[tokio::test]
async fn a_proved_domain_is_no_name() {
    let hub = Hub::start().await;
    hub.serve_document_at(
        ATTACKER,
        &json!({
            "client_name": "Claude",
            "redirect_uris": ["https://attacker.example/cb"],
        }),
    );
    let asked = ask(&hub, ATTACKER, None, VerificationMethod::DnsTxt)
        .await
        .unwrap();
    publish(&hub, &asked);
    look(&hub, &asked).await;
    let mut visit = Visit::signed_in(&hub, "ada").await;
    let more = [("redirect_uri", "https://attacker.example/cb")];
    let page = consent(visit.ask(ATTACKER, &more).await);
    assert_eq!(page.badge, Badge::Verified);
    assert_eq!(page.imitates.as_deref(), Some("Claude"));
}

/// Design 2: an admin vouches for exact texts: an https redirect, whoever comes with it; and for
/// nothing that any program on a machine could take.
#[tokio::test]
async fn a_vouched_redirect_is_an_exact_text() {
    let hub = Hub::start().await;
    let kind = SubjectKind::RedirectUri;
    let vouch = async |text: &str| {
        hub.engine
            .say(kind, text, Word::Verified, "", None, "root")
            .await
    };
    for text in ["http://127.0.0.1/cb", "com.example.app:/cb"] {
        assert!(
            matches!(vouch(text).await, Err(VouchError::NotHttps)),
            "{text}"
        );
    }
    for text in ["", "not a uri", "https://agent.example/callback#x"] {
        assert!(
            matches!(vouch(text).await, Err(VouchError::Subject)),
            "{text}"
        );
    }
    vouch(CALLBACK).await.unwrap();
    let with = |uris: serde_json::Value| {
        let mut body = public_client();
        body["redirect_uris"] = uris;
        body
    };
    #[rustfmt::skip]
    let rows = [
        (json!([CALLBACK]),                                   Badge::Verified),
        (json!([CALLBACK, "https://agent.example/callback/"]), Badge::Unverified),
        (json!([CALLBACK, "http://127.0.0.1/cb"]),            Badge::Unverified),
    ];
    for (uris, badge) in rows {
        let registered = hub.register(&with(uris.clone())).await;
        assert_eq!(
            badge_of(&hub, registered.client_id()).await,
            badge,
            "{uris}"
        );
    }
    assert_eq!(hub.engine.words(None, 10).await.unwrap().len(), 1);
    let registered = hub.register(&public_client()).await;
    assert!(hub.engine.unsay(kind, CALLBACK, "root").await.unwrap());
    assert!(!hub.engine.unsay(kind, CALLBACK, "root").await.unwrap());
    assert_eq!(
        badge_of(&hub, registered.client_id()).await,
        Badge::Unverified
    );
    assert_eq!(hub.trail(Event::StandingGiven).await.len(), 1);
    assert_eq!(hub.trail(Event::StandingTaken).await.len(), 1);
}

/// Design 10: what one node is told, the other knows once it has followed, in both directions.
#[tokio::test]
async fn a_word_and_a_proof_reach_the_other_node() {
    let hub = Hub::start().await;
    let other = hub.second_node().await;
    for node in [&hub, &other] {
        node.serve_document(&json!({}));
    }
    let badges = async |hub: &Hub, other: &Hub| {
        other.engine.follow().await.unwrap();
        hub.engine.follow().await.unwrap();
        let here = badge_for(hub, DOCUMENT, "ada").await;
        (here, badge_for(other, DOCUMENT, "bea").await)
    };
    let (plain, verified) = (Badge::Unverified, Badge::Verified);
    assert_eq!(badges(&hub, &other).await, (plain, plain));
    let kind = SubjectKind::Client;
    for (teller, word) in [
        (&hub, Some(Word::Verified)),
        (&other, None),
        (&other, Some(Word::Verified)),
        (&hub, None),
    ] {
        match word {
            Some(word) => teller
                .engine
                .say(kind, DOCUMENT, word, "", None, "root")
                .await
                .unwrap(),
            None => assert!(teller.engine.unsay(kind, DOCUMENT, "root").await.unwrap()),
        }
        let expected = if word.is_some() { verified } else { plain };
        assert_eq!(badges(&hub, &other).await, (expected, expected), "{word:?}");
    }
    let asked = ask(&hub, DOCUMENT, None, VerificationMethod::DnsTxt)
        .await
        .unwrap();
    publish(&other, &asked);
    assert_eq!(look(&other, &asked).await.0, VerificationState::Verified);
    assert_eq!(badges(&hub, &other).await, (verified, verified));
    assert!(
        hub.engine
            .revoke_proof(&asked.id, Actor::System)
            .await
            .unwrap()
    );
    assert_eq!(badges(&hub, &other).await, (plain, plain));

    // A blocked client's tokens end at the other node too.
    let (client, _, tokens) = hub.public_session().await;
    let (_, rs) = hub.add_resource_server(&[NOTES]).await;
    let live = other.introspect(&tokens.access_token, &rs).await.unwrap();
    assert!(live.active);
    let said = hub
        .engine
        .say(kind, &client.client_id, Word::Blocked, "", None, "root");
    said.await.unwrap();
    other.engine.follow().await.unwrap();
    let ended = other.introspect(&tokens.access_token, &rs).await.unwrap();
    assert!(!ended.active);
    let refresh = tokens.refresh_token.unwrap();
    let refused = other.refresh(&client.client_id, &refresh, &[]).await;
    assert_eq!(outcome(&refused), "invalid_client");
}
