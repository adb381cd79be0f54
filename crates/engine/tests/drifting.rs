//! Documents that change after a person said yes (threats R10, CIMD-77): what is shown, what is
//! asked again, what stays, and what is kept of it.

#![expect(clippy::unwrap_used, reason = "what surprises a test should end it")]

mod support;

use serde_json::{Value, json};
use support::{visit::*, *};
use vestibule_engine::ConsentPage;
use vestibule_jwt::{Algorithm, JwkSet, SigningKey};
use vestibule_protocol::{
    audit::{Actor, Event},
    client_id::ClientKey,
    ids::GrantId,
};
use vestibule_store::{
    clients::ClientLookup,
    documents::DocumentChange,
    standings::{SubjectKind, Word},
};

const HOUR: u64 = 3_600;
const ELSEWHERE: &str = "https://agent.example/elsewhere";

/// An admin vouches for the document, so that a yes may be remembered.
async fn vouch(hub: &Hub) {
    let kind = SubjectKind::Client;
    hub.engine
        .say(kind, DOCUMENT, Word::Verified, "", None, "root")
        .await
        .unwrap();
}

async fn changes(hub: &Hub) -> Vec<DocumentChange> {
    let key = ClientKey::of(DOCUMENT);
    hub.store.document_changes(&key, 50).await.unwrap()
}

/// Say yes to all that is offered; the Location.
async fn say_yes(visit: &mut Visit<'_>) -> (ConsentPage, String) {
    let page = consent(visit.ask(DOCUMENT, &[]).await);
    let location = redirect(visit.confirm(&page, &offered(&page)).await);
    (page, location)
}

fn given(location: &str) -> Given {
    Given {
        code: answer(location, "code").unwrap(),
        client_id: DOCUMENT.to_owned(),
        grant: GrantId::new("g_unknown"),
    }
}

/// A key set of these keys.
fn key_set(keys: &[&SigningKey]) -> Value {
    let keys = keys.iter().map(|key| key.public_jwk().clone()).collect();
    serde_json::from_slice(&JwkSet::of(keys).to_json()).unwrap()
}

fn with_keys(keys: &[&SigningKey]) -> Value {
    json!({
        "token_endpoint_auth_methods_supported": ["none", "private_key_jwt"],
        "jwks": key_set(keys),
    })
}

/// Another document each time, an hour later, as its host serves it from then on.
async fn serve_later(hub: &Hub, more: &Value) {
    hub.advance(HOUR + 1).await;
    hub.serve_document_at(DOCUMENT, more);
}

/// R10: a new name is a sentence on the page of whoever said yes to the old one, once, and nobody
/// else's.
#[tokio::test]
async fn a_new_name_is_said_at_the_next_consent() {
    let hub = Hub::start().await;
    hub.serve_document_at(DOCUMENT, &json!({}));
    let mut ada = Visit::signed_in(&hub, "ada").await;
    let (page, location) = say_yes(&mut ada).await;
    assert!(page.changed.is_empty(), "{:?}", page.changed);
    let tokens = hub.redeem(&given(&location)).await.unwrap();
    serve_later(&hub, &json!({"client_name": "Somebody else"})).await;
    let said = "Its name changed from Agent to Somebody else.";
    let page = consent(ada.ask(DOCUMENT, &[]).await);
    assert_eq!(page.changed, [said]);
    assert_eq!(page.claims_name.as_deref(), Some("Somebody else"));
    let mut bea = Visit::signed_in(&hub, "bea").await;
    assert!(consent(bea.ask(DOCUMENT, &[]).await).changed.is_empty());
    // What was granted before goes on.
    let refresh = tokens.refresh_token.unwrap();
    let refreshed = hub.refresh(DOCUMENT, &refresh, &[]);
    assert_eq!(outcome(&refreshed.await), "ok");
    // Said yes to the new name, it is the name.
    hub.advance(1).await;
    say_yes(&mut ada).await;
    hub.advance(1).await;
    assert!(consent(ada.ask(DOCUMENT, &[]).await).changed.is_empty());
}

/// Each change that people read is a sentence, each once, and not those from before the last yes.
#[tokio::test]
async fn all_that_changed_since_the_last_yes_is_said() {
    let hub = Hub::start().await;
    hub.serve_document_at(DOCUMENT, &json!({}));
    let mut visit = Visit::signed_in(&hub, "ada").await;
    say_yes(&mut visit).await;
    serve_later(&hub, &json!({"client_name": "Second"})).await;
    consent(visit.ask(DOCUMENT, &[]).await);
    let uris = json!([CALLBACK, ELSEWHERE]);
    serve_later(
        &hub,
        &json!({"client_name": "Second", "redirect_uris": uris}),
    )
    .await;
    let page = consent(visit.ask(DOCUMENT, &[]).await);
    assert_eq!(page.changed.len(), 2, "{:?}", page.changed);
    assert!(page.changed[0].starts_with("Where it returns to changed from "));
    assert!(page.changed[0].contains(ELSEWHERE));
    assert_eq!(page.changed[1], "Its name changed from Agent to Second.");
    hub.advance(1).await;
    redirect(visit.confirm(&page, &offered(&page)).await);
    let home = json!({
        "client_name": "Second",
        "redirect_uris": uris,
        "client_uri": "https://agent.example/",
    });
    serve_later(&hub, &home).await;
    let page = consent(visit.ask(DOCUMENT, &[]).await);
    assert_eq!(
        page.changed,
        ["Its home page changed from nothing to https://agent.example/."]
    );
}

/// R10, CIMD-77, CIMD-78: what ends a remembered yes, and what does not.
#[tokio::test]
async fn a_change_of_places_or_keys_asks_again() {
    let key = || SigningKey::generate(Algorithm::Es256).unwrap().0;
    let (one, two, three) = (key(), key(), key());
    let moved = |uris: Value| {
        let mut with = with_keys(&[&one]);
        with["redirect_uris"] = uris;
        with
    };
    let renamed = {
        let mut with = with_keys(&[&one]);
        with["client_name"] = json!("Somebody else");
        with
    };
    let keyed_only = json!({
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        "jwks": key_set(&[&one]),
    });
    let keys_elsewhere = json!({
        "token_endpoint_auth_methods_supported": ["none", "private_key_jwt"],
        "jwks_uri": "https://agent.example/keys.json",
    });
    let home = {
        let mut with = with_keys(&[&one]);
        with["client_uri"] = json!("https://agent.example/");
        with
    };
    #[rustfmt::skip]
    let rows = [
        ("the same",                     with_keys(&[&one]),               "code",    None),
        ("a home page",                  home,                             "code",    Some(false)),
        ("a key beside the old one",     with_keys(&[&one, &two]),         "code",    Some(false)),
        ("a key in the place of another", with_keys(&[&three]),            "consent", Some(true)),
        ("no keys",                      json!({}),                        "consent", Some(true)),
        ("keys somewhere else",          keys_elsewhere,                   "consent", Some(true)),
        ("another method",               keyed_only,                       "consent", Some(true)),
        ("another place more",           moved(json!([CALLBACK, ELSEWHERE])), "consent", Some(true)),
        // The name is what the person said yes to.
        ("another name",                 renamed,                          "consent", Some(false)),
    ];
    for (what, next, expected, security) in rows {
        let hub = Hub::start().await;
        hub.serve_document_at(DOCUMENT, &with_keys(&[&one]));
        vouch(&hub).await;
        let mut visit = Visit::signed_in(&hub, "ada").await;
        let (_, location) = say_yes(&mut visit).await;
        let tokens = hub.redeem(&given(&location)).await.unwrap();
        assert_eq!(word(&visit.ask(DOCUMENT, &[]).await), "code", "{what}");
        serve_later(&hub, &next).await;
        assert_eq!(word(&visit.ask(DOCUMENT, &[]).await), expected, "{what}");
        let kept = changes(&hub).await;
        let kept: Vec<bool> = kept.iter().map(|change| change.security).collect();
        assert_eq!(kept, security.into_iter().collect::<Vec<_>>(), "{what}");
        // Nothing that was granted ends by it.
        let refresh = tokens.refresh_token.unwrap();
        let refreshed = hub.refresh(DOCUMENT, &refresh, &[]);
        assert_eq!(outcome(&refreshed.await), "ok", "{what}");
        // And a yes to what it is now is remembered again.
        if expected == "consent" {
            hub.advance(1).await;
            say_yes(&mut visit).await;
            assert_eq!(word(&visit.ask(DOCUMENT, &[]).await), "code", "{what}");
        }
    }
}

/// CIMD-78: keys that rotate with an overlap, step by step, end up as other keys altogether, and
/// nobody was asked.
#[tokio::test]
async fn keys_that_rotate_with_an_overlap_ask_nobody() {
    let key = || SigningKey::generate(Algorithm::Es256).unwrap().0;
    let keys = [key(), key(), key()];
    let hub = Hub::start().await;
    hub.serve_document_at(DOCUMENT, &with_keys(&[&keys[0]]));
    vouch(&hub).await;
    let mut visit = Visit::signed_in(&hub, "ada").await;
    say_yes(&mut visit).await;
    for set in [
        vec![&keys[0], &keys[1]],
        vec![&keys[1]],
        vec![&keys[1], &keys[2]],
        vec![&keys[2]],
    ] {
        serve_later(&hub, &with_keys(&set)).await;
        assert_eq!(word(&visit.ask(DOCUMENT, &[]).await), "code");
    }
    assert_eq!(changes(&hub).await.len(), 4);
    // Back to the first one is no overlap.
    serve_later(&hub, &with_keys(&[&keys[0]])).await;
    assert_eq!(word(&visit.ask(DOCUMENT, &[]).await), "consent");
}

/// R10: the watch finds a change without anybody asking, keeps what was and what is, and ends what
/// was remembered.
#[tokio::test]
async fn the_watch_notes_a_change_without_a_person() {
    let hub = Hub::start().await;
    hub.serve_document_at(DOCUMENT, &json!({}));
    vouch(&hub).await;
    let mut visit = Visit::signed_in(&hub, "ada").await;
    say_yes(&mut visit).await;
    // Nobody looks again so soon.
    assert_eq!(hub.engine.watch_documents().await.unwrap(), 0);
    serve_later(&hub, &json!({"redirect_uris": [CALLBACK, ELSEWHERE]})).await;
    assert_eq!(hub.engine.watch_documents().await.unwrap(), 1);
    let kept = changes(&hub).await;
    assert_eq!(kept.len(), 1);
    assert!(kept[0].security);
    assert_eq!(kept[0].at, hub.now());
    let diff: Value = serde_json::from_str(&kept[0].diff).unwrap();
    assert_eq!(diff[0]["member"], "redirect_uris");
    assert_eq!(diff[0]["before"], CALLBACK);
    assert_eq!(diff[0]["after"], format!("{CALLBACK} {ELSEWHERE}"));
    assert_eq!(diff[0]["security"], true);
    let trail = hub.trail(Event::DocumentChanged).await;
    assert_eq!(trail.len(), 1);
    assert!(matches!(trail[0].actor, Actor::System));
    assert!(
        trail[0].detail.contains("redirect_uris"),
        "{}",
        trail[0].detail
    );
    // The stored snapshot waits for the next yes.
    let ClientLookup::Active(row) = hub.lookup(DOCUMENT).await else {
        panic!("the client is gone");
    };
    assert_eq!(row.metadata.redirect_uris.len(), 1);
    // A look at the same again notes nothing more, nor does the person's own request.
    hub.advance(HOUR + 1).await;
    assert_eq!(hub.engine.watch_documents().await.unwrap(), 1);
    let page = consent(visit.ask(DOCUMENT, &[]).await);
    assert_eq!(page.changed.len(), 1);
    assert_eq!(changes(&hub).await.len(), 1);
    assert_eq!(hub.trail(Event::DocumentChanged).await.len(), 1);
    redirect(visit.confirm(&page, &offered(&page)).await);
    let ClientLookup::Active(row) = hub.lookup(DOCUMENT).await else {
        panic!("the client is gone");
    };
    assert_eq!(row.metadata.redirect_uris.len(), 2);
}

/// The watch looks at documents that somebody relies on, and a host that is away for a while
/// changes nothing.
#[tokio::test]
async fn the_watch_looks_only_where_somebody_relies_on_it() {
    let hub = Hub::start().await;
    hub.serve_document_at(DOCUMENT, &json!({}));
    let mut visit = Visit::signed_in(&hub, "ada").await;
    consent(visit.ask(DOCUMENT, &[]).await);
    hub.advance(HOUR + 1).await;
    assert_eq!(hub.engine.watch_documents().await.unwrap(), 0);
    say_yes(&mut visit).await;
    hub.documents.silence(DOCUMENT);
    hub.advance(HOUR + 1).await;
    assert_eq!(hub.engine.watch_documents().await.unwrap(), 1);
    assert!(changes(&hub).await.is_empty());
    // Once an hour, not again and again.
    assert_eq!(hub.engine.watch_documents().await.unwrap(), 0);
    let grants = hub.store.list_grants(&visit_user(&hub).await, 10).await;
    let grant = grants.unwrap().remove(0);
    hub.store
        .revoke_grant(&grant.id, hub.audit())
        .await
        .unwrap();
    hub.advance(HOUR + 1).await;
    assert_eq!(hub.engine.watch_documents().await.unwrap(), 0);
}

async fn visit_user(hub: &Hub) -> vestibule_protocol::ids::UserId {
    let user = hub.store.find_user_by_name("ada").await.unwrap();
    user.unwrap().id
}

/// CIMD-77: a code is redeemed for the document that it was given under, though its document moves
/// on before that.
#[tokio::test]
async fn a_code_outlives_a_change_of_the_document() {
    let hub = Hub::start().await;
    hub.serve_document_at(DOCUMENT, &json!({}));
    let mut visit = Visit::signed_in(&hub, "ada").await;
    let (_, location) = say_yes(&mut visit).await;
    hub.advance(5).await;
    hub.serve_document_at(DOCUMENT, &json!({"redirect_uris": [ELSEWHERE]}));
    // Somebody else comes with the new one meanwhile.
    let mut bea = Visit::signed_in(&hub, "bea").await;
    shown(bea.ask(DOCUMENT, &[]).await);
    consent(bea.ask(DOCUMENT, &[("redirect_uri", ELSEWHERE)]).await);
    assert_eq!(outcome(&hub.redeem(&given(&location)).await), "ok");
}

/// Invariant 1: a change of security stays a change until somebody says yes to it, and whoever asks
/// meanwhile does not cause a write each: it is written once, and another one once.
#[tokio::test]
async fn a_change_that_waits_for_a_yes_is_written_once() {
    let hub = Hub::start().await;
    hub.serve_document_at(DOCUMENT, &json!({}));
    let mut visit = Visit::signed_in(&hub, "ada").await;
    say_yes(&mut visit).await;
    let uris = json!({"redirect_uris": [CALLBACK, ELSEWHERE]});
    serve_later(&hub, &uris).await;
    consent(visit.ask(DOCUMENT, &[]).await);
    // A yes to another document in between, and it is a change anew.
    serve_later(
        &hub,
        &json!({"client_name": "Second", "redirect_uris": uris["redirect_uris"]}),
    )
    .await;
    consent(visit.ask(DOCUMENT, &[]).await);
    assert_eq!(changes(&hub).await.len(), 2);
    say_yes(&mut visit).await;
    serve_later(&hub, &json!({})).await;
    consent(visit.ask(DOCUMENT, &[]).await);
    assert_eq!(changes(&hub).await.len(), 3);

    // Nothing can be written any more, and nothing has to be.
    hub.break_store().await;
    for _ in 0..3 {
        let mut stranger = Visit::new(&hub);
        assert_eq!(word(&stranger.ask(DOCUMENT, &[]).await), "sign-in");
    }
    hub.serve_document_at(DOCUMENT, &json!({"redirect_uris": [ELSEWHERE]}));
    let mut stranger = Visit::new(&hub);
    let step = stranger.ask(DOCUMENT, &[("redirect_uri", ELSEWHERE)]).await;
    assert_eq!(word(&step), "show");
}
