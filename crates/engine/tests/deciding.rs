//! The decision: whose it is, for what, how often; and pushed requests, which end in one too.

#![expect(clippy::unwrap_used, reason = "what surprises a test should end it")]

mod support;

use serde_json::json;
use support::{visit::*, *};
use vestibule_engine::{FailureStatus, Problem, Pushed};
use vestibule_protocol::{client_id::ClientKey, trust::Standing};
use vestibule_store::clients::ClientLookup;

/// AC-03, AC-18, A11, A13, MCP-AS-31: a code, the state, the issuer, each once; the second click on
/// either button finds the request decided.
#[tokio::test]
async fn a_request_is_decided_once() {
    let hub = Hub::start().await;
    let registered = hub.register(&public_client()).await;
    let mut visit = Visit::signed_in(&hub, "ada").await;
    let state = "a b&c=d%/+\u{e9}";
    let page = consent(visit.ask(registered.client_id(), &[("state", state)]).await);
    let location = redirect(visit.allow(&page, &["mcp:read"]).await);
    assert!(location.starts_with("https://agent.example/callback?"));
    assert_eq!(answer(&location, "state").as_deref(), Some(state));
    assert_eq!(answer(&location, "iss").as_deref(), Some(ISSUER));
    assert!(answer(&location, "code").unwrap().len() > 43);
    let again = visit.allow(&page, &["mcp:read"]).await;
    assert_eq!(shown(again).title, "Already decided");
    assert_eq!(shown(visit.deny(&page).await).title, "Already decided");

    let page = consent(visit.ask(registered.client_id(), &[]).await);
    let location = redirect(visit.deny(&page).await);
    assert_eq!(answer(&location, "error").as_deref(), Some("access_denied"));
    assert_eq!(answer(&location, "state").as_deref(), Some("st"));
    assert_eq!(answer(&location, "iss").as_deref(), Some(ISSUER));
    let again = visit.allow(&page, &["mcp:read"]).await;
    assert_eq!(shown(again).title, "Already decided");
}

/// A11: of twenty clicks at once one gives a code.
#[tokio::test]
async fn twenty_clicks_at_once_give_one_code() {
    let hub = Hub::start().await;
    let registered = hub.register(&public_client()).await;
    let mut visit = Visit::signed_in(&hub, "ada").await;
    let page = consent(visit.ask(registered.client_id(), &[]).await);
    let form = || vestibule_engine::ConsentForm {
        report: false,
        confirmed: false,
        duration: None,
        ticket: page.ticket.clone(),
        approve: true,
        scopes: vec!["mcp:read".to_owned()],
        csrf: page.csrf.clone(),
    };
    let mut clicks = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (engine, form, browser) = (hub.engine.clone(), form(), visit.browser.clone());
        clicks.spawn(async move { word(&engine.decide(form, &browser).await.step) });
    }
    let answers = clicks.join_all().await;
    let codes = answers.iter().filter(|word| *word == "code").count();
    assert_eq!(codes, 1, "{answers:?}");
}

/// AC-18: two tabs do not mix; the second is decided for itself.
#[tokio::test]
async fn two_tabs_are_two_decisions() {
    let hub = Hub::start().await;
    let registered = hub.register(&public_client()).await;
    let id = registered.client_id();
    let mut visit = Visit::signed_in(&hub, "ada").await;
    let first = consent(visit.ask(id, &[("state", "one")]).await);
    let second = consent(
        visit
            .ask(id, &[("state", "two"), ("scope", "mcp:delete")])
            .await,
    );
    let location = redirect(visit.deny(&second).await);
    assert_eq!(answer(&location, "state").as_deref(), Some("two"));
    let location = redirect(visit.allow(&first, &["mcp:read", "mcp:delete"]).await);
    assert_eq!(answer(&location, "state").as_deref(), Some("one"));
    let tokens = redeem(&hub, id, &location).await;
    assert_eq!(tokens.scope, "mcp:read");
}

async fn redeem(
    hub: &Hub,
    client_id: &str,
    location: &str,
) -> vestibule_protocol::token_response::TokenResponse {
    let given = Given {
        code: answer(location, "code").unwrap(),
        client_id: client_id.to_owned(),
        grant: vestibule_protocol::ids::GrantId::new("g_unknown"),
    };
    hub.redeem(&given).await.unwrap()
}

/// A9, A11, A12, AC-17: a decision needs the session that saw the page, its field, and its time.
#[tokio::test]
async fn a_decision_is_bound_to_session_field_and_time() {
    let hub = Hub::start().await;
    let registered = hub.register(&public_client()).await;
    let id = registered.client_id();
    let mut ada = Visit::signed_in(&hub, "ada").await;
    let mut again = Visit::signed_in(&hub, "ada").await;
    let mut bea = Visit::signed_in(&hub, "bea").await;
    let mut nobody = Visit::new(&hub);
    let page = consent(ada.ask(id, &[]).await);
    let others = consent(bea.ask(id, &[]).await);
    let mixed = |ticket: &str, csrf: &str| {
        let mut mixed = page.clone();
        mixed.ticket = ticket.to_owned();
        mixed.csrf = csrf.to_owned();
        mixed
    };
    let mut cut = page.ticket.clone();
    cut.pop();
    let (bad, forbidden) = (FailureStatus::BadRequest, FailureStatus::Forbidden);
    let pages = [
        (mixed(&others.ticket, &page.csrf), bad),
        (mixed(&page.ticket, &others.csrf), forbidden),
        (mixed(&page.ticket, ""), forbidden),
        (mixed(&cut, &page.csrf), bad),
        (mixed("", &page.csrf), bad),
        (mixed(id, &page.csrf), bad),
    ];
    for (page, status) in &pages {
        let refused = shown(ada.allow(page, &["mcp:read"]).await);
        assert_eq!(refused.status, *status, "{page:?}");
        let refused = shown(ada.deny(page).await);
        assert_eq!(refused.status, *status, "{page:?}");
    }
    for visit in [&mut again, &mut bea, &mut nobody] {
        shown(visit.allow(&page, &["mcp:read"]).await);
        shown(visit.deny(&page).await);
    }
    assert!(matches!(hub.lookup(id).await, ClientLookup::NeverSeen));
    hub.advance(30 * 60 - 1).await;
    let late = consent(ada.ask(id, &[]).await);
    redirect(ada.allow(&page, &["mcp:read"]).await);
    hub.advance(30 * 60).await;
    let step = ada.allow(&late, &["mcp:read"]).await;
    assert!(shown(step).explanation.contains("expired"));
}

/// A11, MCP-AS-16: what is granted is what was asked for, allowed and ticked; nothing ticked is no
/// decision.
#[tokio::test]
async fn only_what_was_asked_for_and_ticked_is_granted() {
    let hub = Hub::start().await;
    let registered = hub.register(&public_client()).await;
    let id = registered.client_id();
    let mut visit = Visit::signed_in(&hub, "ada").await;
    let asked = [("scope", "mcp:read mcp:write openid offline_access")];
    let page = consent(visit.ask(id, &asked).await);
    for ticks in [&[][..], &["offline_access"], &["mcp:delete", "admin"]] {
        let again = consent(visit.allow(&page, ticks).await);
        assert!(again.changed[0].contains("Nothing was ticked"), "{ticks:?}");
    }
    let ticks = ["mcp:write", "mcp:delete", "admin", "openid"];
    let location = redirect(visit.allow(&page, &ticks).await);
    let tokens = redeem(&hub, id, &location).await;
    let mut scopes: Vec<_> = tokens.scope.split(' ').collect();
    scopes.sort_unstable();
    assert_eq!(scopes, ["mcp:write", "openid"]);
    // The page that came back is the same request, and that is decided now.
    let again = consent(visit.ask(id, &asked).await);
    let other = consent(visit.allow(&again, &[]).await);
    redirect(visit.allow(&other, &["mcp:read"]).await);
    shown(visit.allow(&again, &["mcp:read"]).await);
}

/// R10, CIMD-77, DCRM-18: what changed while the person was reading is shown before it counts; a
/// redirect URI that is gone ends the request.
#[tokio::test]
async fn a_document_that_changes_meanwhile_is_shown_again() {
    let hub = Hub::start().await;
    hub.serve_document(&json!({}));
    let mut visit = Visit::signed_in(&hub, "ada").await;
    let page = consent(visit.ask(DOCUMENT, &[]).await);
    hub.serve_document(&json!({"client_name": "Somebody else"}));
    let again = consent(visit.allow(&page, &["mcp:read"]).await);
    assert_eq!(again.claims_name.as_deref(), Some("Somebody else"));
    assert_eq!(again.changed.len(), 1);
    assert!(matches!(
        hub.lookup(DOCUMENT).await,
        ClientLookup::NeverSeen
    ));
    redirect(visit.allow(&again, &["mcp:read"]).await);

    let page = consent(visit.ask(DOCUMENT, &[]).await);
    let elsewhere = json!({"redirect_uris": ["https://agent.example/elsewhere"]});
    hub.serve_document(&elsewhere);
    shown(visit.allow(&page, &["mcp:read"]).await);
    hub.documents.withdraw(DOCUMENT);
    shown(visit.allow(&page, &["mcp:read"]).await);
}

/// Design 4.1, DCRM-11: a client that is removed or blocked while the person reads gets nothing, and
/// its row does not come back.
#[tokio::test]
async fn a_tombstone_wins_over_an_open_consent_page() {
    for block in [false, true] {
        let hub = Hub::start().await;
        let registered = hub.register(&public_client()).await;
        let id = registered.client_id();
        let mut visit = Visit::signed_in(&hub, "ada").await;
        let page = consent(visit.ask(id, &[]).await);
        let until = hub.now().plus(std::time::Duration::from_hours(1));
        hub.store
            .remove_client(&ClientKey::of(id), until, block, hub.audit())
            .await
            .unwrap();
        let page = shown(visit.allow(&page, &["mcp:read"]).await);
        let expected = if block {
            FailureStatus::Forbidden
        } else {
            FailureStatus::BadRequest
        };
        assert_eq!(page.status, expected);
        assert_eq!(hub.store.count_clients().await.unwrap(), 0);
    }
}

/// P11: a store that cannot write gives no code and no error for the client, but "try again".
#[tokio::test]
async fn a_store_that_fails_decides_nothing() {
    let hub = Hub::start().await;
    let registered = hub.register(&public_client()).await;
    let mut visit = Visit::signed_in(&hub, "ada").await;
    let page = consent(visit.ask(registered.client_id(), &[]).await);
    hub.break_store().await;
    for step in [
        visit.allow(&page, &["mcp:read"]).await,
        visit.deny(&page).await,
    ] {
        let page = shown(step);
        assert!(matches!(page.status, FailureStatus::Unavailable { .. }));
    }
}

async fn push(
    hub: &Hub,
    client_id: &str,
    more: &[(&str, &str)],
    auth: Option<&str>,
) -> Result<Pushed, Problem> {
    hub.engine
        .push(&request(client_id, more), auth, &source())
        .await
}

/// The parameters of `/authorize` after a push; others that a client adds are ignored.
fn taken_up(pushed: &Pushed) -> [(&str, &str); 4] {
    [
        ("request_uri", pushed.request_uri.as_str()),
        ("scope", "admin"),
        ("redirect_uri", "https://evil.example/"),
        ("state", "other"),
    ]
}

/// PAR-03, PAR-05, A2, A17: bound to its client, 90 seconds, other parameters ignored; reload works
/// until the decision, and the decision uses it up.
#[tokio::test]
async fn a_pushed_request_serves_one_decision() {
    let hub = Hub::start().await;
    let registered = hub.register(&public_client()).await;
    let id = registered.client_id();
    let pushed = push(&hub, id, &[("state", "pushed")], None).await.unwrap();
    assert_eq!(pushed.expires_in, 90);
    assert!(
        pushed
            .request_uri
            .starts_with("urn:ietf:params:oauth:request_uri:")
    );
    let mut visit = Visit::signed_in(&hub, "ada").await;
    consent(visit.ask(id, &taken_up(&pushed)).await);
    let page = consent(visit.ask(id, &taken_up(&pushed)).await);
    let location = redirect(visit.allow(&page, &["mcp:read", "mcp:write"]).await);
    assert!(location.starts_with(CALLBACK));
    assert_eq!(answer(&location, "state").as_deref(), Some("pushed"));
    let page = consent(visit.ask(id, &taken_up(&pushed)).await);
    let again = visit.allow(&page, &["mcp:read"]).await;
    assert_eq!(shown(again).title, "Already decided");

    let other = hub.register(&public_client()).await;
    let pushed = push(&hub, id, &[], None).await.unwrap();
    shown(visit.ask(other.client_id(), &taken_up(&pushed)).await);
    hub.advance(89).await;
    consent(visit.ask(id, &taken_up(&pushed)).await);
    hub.advance(1).await;
    let page = shown(visit.ask(id, &taken_up(&pushed)).await);
    assert!(page.explanation.contains("expired"));
    // A consent ticket is not a pushed request, nor the other way round.
    let page = consent(visit.ask(id, &[]).await);
    let crossed = format!("urn:ietf:params:oauth:request_uri:{}", page.ticket);
    shown(visit.ask(id, &[("request_uri", &crossed)]).await);
    assert_eq!(hub.store.count_clients().await.unwrap(), 1);
}

/// A17: used up on the way without a page too.
#[tokio::test]
async fn a_pushed_request_serves_one_silent_answer() {
    let hub = Hub::start().await;
    hub.add_standing("trusted", Standing::Verified, CALLBACK)
        .await;
    let mut visit = Visit::signed_in(&hub, "ada").await;
    let page = consent(visit.ask("trusted", &[]).await);
    redirect(visit.allow(&page, &["mcp:read", "mcp:write"]).await);
    let pushed = push(&hub, "trusted", &[("prompt", "none")], None)
        .await
        .unwrap();
    let first = visit.ask("trusted", &taken_up(&pushed)).await;
    assert_eq!(word(&first), "code");
    let second = visit.ask("trusted", &taken_up(&pushed)).await;
    assert_eq!(shown(second).title, "Already decided");
}

/// PAR-01, PAR-02, PAR-04, CA-01: what is wrong is said at once, in the shape of the token endpoint.
#[tokio::test]
async fn a_push_is_judged_like_a_request() {
    let hub = Hub::start().await;
    let registered = hub.register(&public_client()).await;
    let id = registered.client_id();
    #[rustfmt::skip]
    let rows = [
        ("request_uri",           "urn:x",                    "invalid_request"),
        ("redirect_uri",          "https://evil.example/cb",  "invalid_request"),
        ("response_type",         "token",                    "unsupported_response_type"),
        ("response_mode",         "fragment",                 "invalid_request"),
        ("code_challenge",        "",                         "invalid_request"),
        ("code_challenge_method", "plain",                    "invalid_request"),
        ("scope",                 "admin",                    "invalid_scope"),
        ("resource",              "https://other.example/",   "invalid_target"),
        ("client_id",             "",                         "invalid_client"),
        ("client_id",             "nobody",                   "invalid_client"),
        ("state",                 "",                         "ok"),
    ];
    for (name, value, expected) in rows {
        let result = push(&hub, id, &[(name, value)], None).await;
        assert_eq!(outcome(&result), expected, "{name}={value}");
    }
    let keyed = hub
        .register(&confidential_client("client_secret_basic"))
        .await;
    let (id, secret) = (keyed.client_id(), keyed.client_secret().unwrap());
    let right = basic(id, secret);
    let wrong = basic(id, "wrong");
    assert_eq!(outcome(&push(&hub, id, &[], Some(&right)).await), "ok");
    assert_eq!(
        outcome(&push(&hub, id, &[], Some(&wrong)).await),
        "invalid_client"
    );
    assert_eq!(outcome(&push(&hub, id, &[], None).await), "invalid_client");
    assert_eq!(hub.store.count_clients().await.unwrap(), 0);
}

/// PAR-06, PAR-07: who registered to push must; and what changed since is looked at again.
#[tokio::test]
async fn a_client_that_must_push_must() {
    let hub = Hub::start().await;
    let mut body = public_client();
    body["require_pushed_authorization_requests"] = json!(true);
    let registered = hub.register(&body).await;
    let id = registered.client_id();
    let mut visit = Visit::signed_in(&hub, "ada").await;
    assert_eq!(word(&visit.ask(id, &[]).await), "leave invalid_request");
    let pushed = push(&hub, id, &[], None).await.unwrap();
    let page = consent(visit.ask(id, &taken_up(&pushed)).await);
    redirect(visit.allow(&page, &["mcp:read"]).await);
    let pushed = push(&hub, id, &[], None).await.unwrap();
    let key = ClientKey::of(id);
    let until = hub.now().plus(std::time::Duration::from_hours(1));
    hub.store
        .remove_client(&key, until, false, hub.audit())
        .await
        .unwrap();
    shown(visit.ask(id, &taken_up(&pushed)).await);
}
