//! What holds somebody up: waiting for an admin, signing in again, being blocked, being asked again.

#![expect(clippy::unwrap_used, reason = "what surprises a test should end it")]

mod support;

use std::time::Duration;

use serde_json::json;
use support::{visit::*, *};
use vestibule_engine::{
    ApprovalForm, ApprovalsPage, Badge, FailureStatus, NewInitialToken, SettingsChange, Step,
};
use vestibule_policy::{Consent, Power, PowerTable};
use vestibule_protocol::{
    audit::{Actor, Event},
    ids::GrantId,
    secret::Secret,
    trust::{DcrMode, Door, Preset, Standing},
};
use vestibule_store::{
    approvals::{ApprovalPhase, ApprovalRow, Ask, Decision},
    standings::{SubjectKind, Word},
};

const HOLD_STRANGERS: &str = r#"@id("house") @outcome("hold") @risk("low") @say("Somebody looks at it first")
permit(principal, action == Action::"flag", resource)
when { context.client.standing == Trust::"unverified" };"#;
const STEP_UP: &str = r#"@id("house") @outcome("step_up") @risk("low") @say("Sign in freshly for this")
permit(principal, action == Action::"flag", resource);"#;
const WARN: &str = r#"@id("house") @outcome("warn") @say("Be careful")
permit(principal, action == Action::"flag", resource);"#;
const OTHER: &str = "https://agent.example/other.json";

async fn waiting_rows(hub: &Hub) -> Vec<ApprovalRow> {
    let waiting = Some(ApprovalPhase::Waiting);
    hub.store.list_approvals(waiting, None, 100).await.unwrap()
}

async fn decide(hub: &Hub, row: &ApprovalRow, decision: Decision) {
    let decided = hub.engine.decide_approval(row.id, decision, "root").await;
    assert!(decided.unwrap());
}

/// Every line of the trail.
async fn trail_length(hub: &Hub) -> usize {
    hub.store.audit_rows(None, 10_000).await.unwrap().len()
}

fn approvals(step: Step) -> ApprovalsPage {
    match step {
        Step::Approvals(page) => *page,
        other => unreachable!("no page of approvals but {other:?}"),
    }
}

fn given(client_id: &str, location: &str) -> Given {
    Given {
        code: answer(location, "code").unwrap(),
        client_id: client_id.to_owned(),
        grant: GrantId::new("g_unknown"),
    }
}

/// Design 4.1, outcome `hold`: one row for each software that registers and for each document; once
/// an admin approves, every page that waits for it goes on by itself, and what is granted is
/// `unverified`, never more.
#[tokio::test]
async fn an_approval_lets_the_page_go_on_by_itself() {
    let hub = Hub::start().await;
    hub.add_policies(HOLD_STRANGERS).await;
    let first = hub.register(&public_client()).await;
    let clone = hub.register(&public_client()).await;
    hub.serve_document(&json!({}));
    hub.serve_document_at(OTHER, &json!({}));
    let mut ada = Visit::signed_in(&hub, "ada").await;
    let page = waiting(ada.ask(first.client_id(), &[]).await);
    assert!(page.by_itself && !page.full);
    assert_eq!(
        page.reasons,
        [
            "This agent was first seen here today.",
            "Somebody looks at it first."
        ]
    );
    assert!(
        waiting_rows(&hub).await[0]
            .ask
            .subject_text
            .starts_with("software:")
    );
    let mut bea = Visit::signed_in(&hub, "bea").await;
    for id in [clone.client_id(), DOCUMENT, OTHER, DOCUMENT] {
        waiting(bea.ask(id, &[]).await);
    }
    // Clones share a row; documents are each their own.
    let mut subjects: Vec<String> = waiting_rows(&hub)
        .await
        .into_iter()
        .map(|row| row.ask.subject_text)
        .collect();
    subjects.sort();
    assert_eq!(subjects.len(), 3, "{subjects:?}");
    assert_eq!(subjects[..2], [DOCUMENT, OTHER]);
    assert_eq!(hub.trail(Event::ApprovalAsked).await.len(), 3);
    // Nothing happens by waiting.
    waiting(ada.resume().await);
    assert_eq!(hub.store.count_clients().await.unwrap(), 0);

    let rows = waiting_rows(&hub).await;
    let software = rows.iter().find(|row| row.ask.door == Door::Dcr).unwrap();
    decide(&hub, software, Decision::Approve).await;
    let page = consent(ada.resume().await);
    assert!(
        ada.browser.waiting.is_none(),
        "the cookie goes when the wait ends"
    );
    assert_eq!(page.badge, Badge::Unverified);
    let location = redirect(ada.allow(&page, &["mcp:read", "mcp:write"]).await);
    let tokens = hub.redeem(&given(first.client_id(), &location)).await;
    let tokens = tokens.unwrap();
    assert_eq!(
        (tokens.scope.as_str(), tokens.expires_in),
        ("mcp:read mcp:write", 600)
    );
    let trail = hub.trail(Event::GrantGiven).await;
    assert!(
        trail[0].detail.contains("; unverified, low risk; "),
        "{}",
        trail[0].detail
    );
    // Its clones were approved with it; the documents were not.
    consent(bea.ask(clone.client_id(), &[]).await);
    waiting(bea.ask(DOCUMENT, &[]).await);
    waiting(bea.ask(OTHER, &[]).await);
    // An approval is no yes: the next time it is asked again.
    consent(ada.ask(first.client_id(), &[]).await);
    // Another name is another software.
    let mut other = public_client();
    other["client_name"] = json!("Somebody else");
    let other = hub.register(&other).await;
    waiting(bea.ask(other.client_id(), &[]).await);
}

/// An approval is for what the admin saw: another redirect URI, name or way to authenticate of the
/// document waits anew, and what was approved stays so. What nobody is deceived by changes nothing.
#[tokio::test]
async fn an_approval_is_for_the_document_that_the_admin_saw() {
    let hub = Hub::start().await;
    hub.add_policies(HOLD_STRANGERS).await;
    let elsewhere = json!({"redirect_uris": [CALLBACK, "https://elsewhere.example/cb"]});
    let harmless = json!({"tos_uri": "https://agent.example/terms"});
    let renamed = json!({"client_name": "Another Agent"});
    let mut visit = Visit::signed_in(&hub, "ada").await;
    hub.serve_document(&json!({}));
    waiting(visit.ask(DOCUMENT, &[]).await);
    let first = waiting_rows(&hub).await.remove(0);
    assert!(
        first.ask.reasons[0].contains("as they are now"),
        "{first:?}"
    );
    decide(&hub, &first, Decision::Approve).await;
    consent(visit.resume().await);
    hub.serve_document(&harmless);
    consent(visit.ask(DOCUMENT, &[]).await);

    hub.serve_document(&elsewhere);
    waiting(visit.ask(DOCUMENT, &[]).await);
    waiting(visit.resume().await);
    let rows = waiting_rows(&hub).await;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].ask.subject_text, DOCUMENT);
    assert_ne!(rows[0].ask.reasons[0], first.ask.reasons[0]);
    // What was approved still is, whatever waits.
    hub.serve_document(&json!({}));
    consent(visit.ask(DOCUMENT, &[]).await);
    decide(&hub, &rows[0], Decision::Approve).await;
    hub.serve_document(&elsewhere);
    consent(visit.ask(DOCUMENT, &[]).await);

    // A no is for the client: it does not come back as somebody else.
    hub.serve_document(&renamed);
    waiting(visit.ask(DOCUMENT, &[]).await);
    let third = waiting_rows(&hub).await.remove(0);
    decide(&hub, &third, Decision::Deny).await;
    shown(visit.ask(DOCUMENT, &[]).await);
    hub.serve_document(&json!({"client_name": "Yet Another"}));
    shown(visit.ask(DOCUMENT, &[]).await);
    assert!(waiting_rows(&hub).await.is_empty());
}

/// An admin who approved did not see what is found later: that waits anew, and goes with its reason.
#[tokio::test]
async fn an_approval_does_not_cover_a_reason_that_came_later() {
    const AFTERWARDS: &str = r#"@id("later") @outcome("hold") @risk("low") @say("Its vendor was taken over")
permit(principal, action == Action::"flag", resource)
when { context.client.standing == Trust::"unverified" };"#;
    let hub = Hub::start().await;
    let registered = hub.register(&public_client()).await;
    hub.serve_document(&json!({}));
    hub.add_policies(HOLD_STRANGERS).await;
    let mut visit = Visit::signed_in(&hub, "ada").await;
    for id in [registered.client_id(), DOCUMENT] {
        waiting(visit.ask(id, &[]).await);
        decide(&hub, &waiting_rows(&hub).await[0], Decision::Approve).await;
        consent(visit.ask(id, &[]).await);
    }
    hub.replace_policies(&format!("{HOLD_STRANGERS}\n{AFTERWARDS}"))
        .await;
    for id in [registered.client_id(), DOCUMENT] {
        let page = waiting(visit.ask(id, &[]).await);
        let said = "Its vendor was taken over.".to_owned();
        assert!(page.reasons.contains(&said), "{:?}", page.reasons);
        let rows = waiting_rows(&hub).await;
        assert!(rows[0].ask.reasons.contains(&said), "{rows:?}");
    }
    // The reason that was approved stays approved, alone.
    hub.replace_policies(HOLD_STRANGERS).await;
    for id in [registered.client_id(), DOCUMENT] {
        consent(visit.ask(id, &[]).await);
    }
    // With both approved, each alone is.
    for row in waiting_rows(&hub).await {
        decide(&hub, &row, Decision::Approve).await;
    }
    for policies in [
        AFTERWARDS.to_owned(),
        format!("{HOLD_STRANGERS}\n{AFTERWARDS}"),
    ] {
        hub.replace_policies(&policies).await;
        for id in [registered.client_id(), DOCUMENT] {
            consent(visit.ask(id, &[]).await);
        }
    }
}

/// Copies of a software share an approval with any loopback port (RFC 8252 §7.3) and version; one
/// that sends codes somewhere else, or authenticates otherwise, is not what was approved.
#[tokio::test]
async fn an_approval_of_a_software_is_for_where_its_codes_go() {
    let hub = Hub::start().await;
    hub.add_policies(HOLD_STRANGERS).await;
    let with = |uri: &str, method: &str| {
        let mut body = confidential_client(method);
        body["redirect_uris"] = json!([uri]);
        body
    };
    #[rustfmt::skip]
    let rows = [
        // approved, and comes
        ("http://127.0.0.1:4000/cb", "http://127.0.0.1:5000/cb",    "none",                true),
        ("http://127.0.0.1:4000/cb", "http://127.0.0.1/cb",         "none",                true),
        ("http://127.0.0.1:4000/cb", "http://127.0.0.1:5000/else",  "none",                false),
        (CALLBACK,                   CALLBACK,                      "none",                true),
        (CALLBACK,                   CALLBACK,                      "client_secret_basic", false),
        (CALLBACK,                   "https://agent.example/open?", "none",                false),
    ];
    for (n, (approved, comes, method, covered)) in rows.into_iter().enumerate() {
        let name = format!("Agent {}", char::from(b'a' + u8::try_from(n).unwrap()));
        let mut first = with(approved, "none");
        let mut second = with(comes, method);
        first["client_name"] = json!(name);
        second["client_name"] = json!(format!("{name} 1.2.3"));
        let mut visit = Visit::signed_in(&hub, &format!("ada{n}")).await;
        let first = hub.register(&first).await;
        let uri = [("redirect_uri", approved)];
        waiting(visit.ask(first.client_id(), &uri).await);
        decide(&hub, &waiting_rows(&hub).await[0], Decision::Approve).await;
        let second = hub.register(&second).await;
        let uri = [("redirect_uri", comes)];
        let step = visit.ask(second.client_id(), &uri).await;
        let expected = if covered { "consent" } else { "waiting" };
        assert_eq!(word(&step), expected, "{approved} {comes} {method}");
    }
}

/// Outcome `hold`: a no is final until an admin says yes; the answer names no reason.
#[tokio::test]
async fn a_denied_app_is_refused() {
    let hub = Hub::start().await;
    hub.add_policies(HOLD_STRANGERS).await;
    hub.serve_document(&json!({}));
    let mut visit = Visit::signed_in(&hub, "ada").await;
    waiting(visit.ask(DOCUMENT, &[]).await);
    let silent = visit.ask(DOCUMENT, &[("prompt", "none")]).await;
    assert_eq!(word(&silent), "leave interaction_required");
    let row = waiting_rows(&hub).await.remove(0);
    decide(&hub, &row, Decision::Deny).await;
    for step in [visit.resume().await, visit.ask(DOCUMENT, &[]).await] {
        let page = shown(step);
        assert_eq!(page.status, FailureStatus::Forbidden);
        assert_eq!(page.title, "This app cannot connect here");
        assert!(
            !page.explanation.contains("looks at it"),
            "{}",
            page.explanation
        );
    }
    assert!(visit.browser.waiting.is_none());
    assert!(waiting_rows(&hub).await.is_empty());
    decide(&hub, &row, Decision::Approve).await;
    consent(visit.ask(DOCUMENT, &[]).await);
}

/// Design 5: the queue is bounded, and a full one says so; room makes it go on.
#[tokio::test]
async fn a_full_queue_says_so() {
    let hub = Hub::start().await;
    hub.add_policies(HOLD_STRANGERS).await;
    let mut limits = hub.engine.settings().limits;
    (limits.waiting_per_software, limits.waiting) = (1, 1);
    hub.change(SettingsChange::Limits(limits)).await;
    hub.serve_document(&json!({}));
    hub.serve_document_at(OTHER, &json!({}));
    let mut visit = Visit::signed_in(&hub, "ada").await;
    assert!(!waiting(visit.ask(DOCUMENT, &[]).await).full);
    let page = waiting(visit.ask(OTHER, &[]).await);
    assert!(page.full);
    let rows = waiting_rows(&hub).await;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].ask.subject_text, DOCUMENT);
    // The page asks again, and once there is room it waits like the others.
    assert!(waiting(visit.resume().await).full);
    decide(&hub, &rows[0], Decision::Approve).await;
    assert!(!waiting(visit.resume().await).full);
    assert_eq!(waiting_rows(&hub).await[0].ask.subject_text, OTHER);
}

/// However many wait, an admin comes to each of them, page by page, and stays on a page there.
#[tokio::test]
async fn an_admin_comes_to_each_of_many_who_wait() {
    let hub = Hub::start().await;
    for n in 0..120 {
        let text = format!("https://agent{n}.example/client.json");
        let ask = Ask {
            subject: vestibule_seal::sha256(text.as_bytes()),
            software: text.clone(),
            subject_text: text,
            door: Door::Cimd,
            display_name: None,
            host: None,
            reasons: Vec::new(),
            asked_by: None,
            source_prefix: None,
            now: hub.now(),
        };
        let asked = hub.store.ask_approval(ask, 1_000, 1_000, hub.audit());
        asked.await.unwrap();
    }
    let password = Secret::new(PASSWORD.to_owned());
    let made = hub.engine.add_user("root", password, true, Actor::System);
    made.await.unwrap();
    let visit = Visit::signed_in(&hub, "root").await;
    let mut seen: Vec<u64> = Vec::new();
    let mut before = None;
    let mut pages = 0;
    loop {
        let reply = hub.engine.approvals_page(before, &visit.browser).await;
        let page = approvals(reply.step);
        assert!(page.waiting.len() <= 50, "{}", page.waiting.len());
        assert_eq!(page.before, before);
        seen.extend(
            page.waiting
                .iter()
                .map(|row| row.id.parse::<u64>().unwrap()),
        );
        pages += 1;
        let Some(older) = page.older else { break };
        before = Some(older);
    }
    assert_eq!((pages, seen.len()), (3, 120));
    assert!(seen.is_sorted_by(|newer, older| newer > older), "{seen:?}");

    let reply = hub.engine.admin_page(&visit.browser, None).await;
    let Step::Admin(doors) = reply.step else {
        unreachable!("no page with the doors")
    };
    assert_eq!((doors.waiting, doors.more_wait), (50, true));
    let form = ApprovalForm {
        id: seen[60].to_string(),
        approve: false,
        before: Some(seen[49]),
        csrf: doors.csrf,
    };
    let reply = hub.engine.decide_approval_form(form, &visit.browser).await;
    let page = approvals(reply.step);
    assert_eq!(page.notice.as_deref(), Some("Denied."));
    assert_eq!(page.before, Some(seen[49]));
    assert_eq!(page.waiting[0].id, seen[50].to_string());
    assert!(
        page.waiting
            .iter()
            .all(|row| row.id != seen[60].to_string())
    );
}

/// Design 5: whoever is not signed in writes nothing, whatever is held.
#[tokio::test]
async fn strangers_write_nothing() {
    let hub = Hub::builder().dcr(DcrMode::Approval).start().await;
    hub.add_policies(HOLD_STRANGERS).await;
    hub.serve_document(&json!({}));
    let before = trail_length(&hub).await;
    for number in 0..40 {
        let ip = format!("198.18.0.{number}");
        let mut body = public_client();
        body["client_name"] = json!(format!("App {}", char::from(b'a' + number % 26)));
        let registered = hub.register_from(&body, &ip).await.unwrap();
        for id in [registered.client_id(), DOCUMENT] {
            let mut visit = Visit::from(&hub, &ip);
            sign_in(visit.ask(id, &[]).await);
            shown(visit.resume().await);
            let wrong = hub
                .engine
                .resume_with(String::new(), "", &visit.browser)
                .await;
            shown(wrong.step);
        }
    }
    hub.engine.flush_decisions().await.unwrap();
    assert_eq!(trail_length(&hub).await, before);
    assert_eq!(hub.store.count_clients().await.unwrap(), 0);
    assert!(waiting_rows(&hub).await.is_empty());
    assert!(hub.store.decisions(None, 10).await.unwrap().is_empty());
}

/// Design 4.1: the `approval` mode holds newcomers that nobody stands for; who is here stays, and
/// an open door lets those who wait go on.
#[tokio::test]
async fn the_approval_mode_holds_newcomers() {
    let hub = Hub::start().await;
    let here = hub.register(&public_client()).await;
    let mut visit = Visit::signed_in(&hub, "ada").await;
    let page = consent(visit.ask(here.client_id(), &[]).await);
    let location = redirect(visit.allow(&page, &["mcp:read"]).await);
    let tokens = hub
        .redeem(&given(here.client_id(), &location))
        .await
        .unwrap();

    hub.change(SettingsChange::Dcr(DcrMode::Token)).await;
    let new = NewInitialToken {
        note: "a partner".to_owned(),
        uses: 1,
        life: Duration::from_hours(1),
        scopes: None,
        redirect_hosts: Vec::new(),
        client_credentials: false,
    };
    let token = hub
        .engine
        .issue_initial_token(new, Actor::System)
        .await
        .unwrap();
    let body = serde_json::to_vec(&public_client()).unwrap();
    let from = source();
    let vouched = hub
        .engine
        .register(&body, Some(token.expose()), &from)
        .await;
    let vouched = vouched.unwrap();

    hub.change(SettingsChange::Dcr(DcrMode::Approval)).await;
    let stranger = hub.register(&public_client()).await;
    consent(visit.ask(here.client_id(), &[]).await);
    let refresh = tokens.refresh_token.unwrap();
    let refreshed = hub.refresh(here.client_id(), &refresh, &[]);
    assert_eq!(outcome(&refreshed.await), "ok");
    consent(visit.ask(vouched.client_id(), &[]).await);
    let page = waiting(visit.ask(stranger.client_id(), &[]).await);
    let said = "Apps that register themselves wait for an administrator here.";
    assert!(
        page.reasons.iter().any(|reason| reason == said),
        "{:?}",
        page.reasons
    );
    // A document comes by the other door, and does not wait at this one.
    hub.serve_document(&json!({}));
    consent(visit.ask(DOCUMENT, &[]).await);

    waiting(visit.ask(stranger.client_id(), &[]).await);
    hub.change(SettingsChange::Dcr(DcrMode::Open)).await;
    consent(visit.resume().await);
}

/// What waits is bound to its browser, its session and its time.
#[tokio::test]
async fn a_wait_is_bound_to_session_and_time() {
    let hub = Hub::start().await;
    hub.add_policies(HOLD_STRANGERS).await;
    hub.serve_document(&json!({}));
    let mut ada = Visit::signed_in(&hub, "ada").await;
    let page = waiting(ada.ask(DOCUMENT, &[]).await);
    let mut bea = Visit::signed_in(&hub, "bea").await;
    bea.browser.waiting = ada.browser.waiting.clone();
    shown(bea.resume().await);
    let forged = hub
        .engine
        .resume_with(page.ticket.clone(), &page.csrf, &bea.browser);
    assert_eq!(shown(forged.await.step).status, FailureStatus::Forbidden);
    let mine = hub
        .engine
        .resume_with(page.ticket, &page.csrf, &ada.browser);
    waiting(mine.await.step);
    hub.advance(30 * 60).await;
    assert!(shown(ada.resume().await).explanation.contains("expired"));
    assert!(ada.browser.waiting.is_none());
}

/// Outcome `step_up`: the sign-in is not older than five minutes when the request begins, whenever
/// the policy comes.
#[tokio::test]
async fn step_up_asks_to_sign_in_again() {
    let hub = Hub::start().await;
    hub.add_user("ada").await;
    let registered = hub.register(&public_client()).await;
    let id = registered.client_id();
    let mut visit = Visit::signed_in(&hub, "ada").await;
    hub.advance(301).await;
    let open_page = consent(visit.ask(id, &[]).await);
    hub.add_policies(STEP_UP).await;
    let page = sign_in(visit.ask(id, &[]).await);
    assert!(page.again.is_some_and(|why| why.contains("Sign in again")));
    // The page that was open is no way around.
    let step = visit.confirm(&open_page, &["mcp:read"]).await;
    assert_eq!(word(&step), "sign-in");
    let step = visit.sign_in(&page, "ada", PASSWORD).await;
    let page = consent(step);
    assert!(page.confirm);
    // Reading takes as long as it takes.
    hub.advance(10 * 60).await;
    let location = redirect(visit.confirm(&page, &["mcp:read"]).await);
    assert_eq!(outcome(&hub.redeem(&given(id, &location)).await), "ok");
    // Ten minutes later it is an old sign-in again, and a fresh one is enough for a while.
    sign_in(visit.ask(id, &[]).await);
    let mut visit = Visit::signed_in(&hub, "ada").await;
    hub.advance(300).await;
    consent(visit.ask(id, &[]).await);
    // Nobody is there to sign in.
    hub.advance(1).await;
    let silent = visit.ask(id, &[("prompt", "none")]).await;
    assert_eq!(word(&silent), "redirect login_required");
}

/// The same for somebody who waited for an admin meanwhile.
#[tokio::test]
async fn step_up_holds_after_a_wait_too() {
    let hub = Hub::start().await;
    hub.add_policies(HOLD_STRANGERS).await;
    hub.serve_document(&json!({}));
    let mut visit = Visit::signed_in(&hub, "ada").await;
    hub.advance(400).await;
    waiting(visit.ask(DOCUMENT, &[]).await);
    let text = format!(
        "{}\n{STEP_UP}",
        vestibule_policy::preset_text(Preset::Balanced)
    );
    let seq = hub.engine.policy_text().await.unwrap().seq;
    let saved = hub.engine.save_policy(&text, seq, "a test", Actor::System);
    saved.await.unwrap();
    sign_in(visit.resume().await);
}

/// Design 6: signals of a request refuse that request and end nothing; an admin's word does.
#[tokio::test]
async fn signals_end_no_grant_and_an_admins_word_does() {
    let hub = Hub::start().await;
    let registered = hub.register(&public_client()).await;
    let id = registered.client_id();
    let mut visit = Visit::signed_in(&hub, "ada").await;
    let page = consent(visit.ask(id, &[]).await);
    let location = redirect(visit.allow(&page, &["mcp:read", "mcp:write"]).await);
    let tokens = hub.redeem(&given(id, &location)).await.unwrap();
    let (_, rs) = hub.add_resource_server(&[NOTES]).await;

    let listed = SettingsChange::ListedSources(vec![source().ip.to_string()]);
    hub.change(listed).await;
    shown(visit.ask(id, &[]).await);
    let next = hub.refresh(id, &tokens.refresh_token.unwrap(), &[]).await;
    let next = next.unwrap();
    assert_eq!(
        (next.scope.as_str(), next.expires_in),
        ("mcp:read mcp:write", 600)
    );
    assert!(
        hub.introspect(&next.access_token, &rs)
            .await
            .unwrap()
            .active
    );
    hub.change(SettingsChange::ListedSources(Vec::new())).await;

    let kind = SubjectKind::Client;
    let said = hub
        .engine
        .say(kind, id, Word::Blocked, "harm", None, "root");
    said.await.unwrap();
    assert!(
        !hub.introspect(&next.access_token, &rs)
            .await
            .unwrap()
            .active
    );
    let refresh = next.refresh_token.unwrap();
    assert_eq!(
        outcome(&hub.refresh(id, &refresh, &[]).await),
        "invalid_client"
    );
    let page = shown(visit.ask(id, &[]).await);
    assert_eq!(page.status, FailureStatus::Forbidden);
    // Taking the word back lets it in again, and brings no grant back.
    assert!(hub.engine.unsay(kind, id, "root").await.unwrap());
    assert_eq!(
        outcome(&hub.refresh(id, &refresh, &[]).await),
        "invalid_grant"
    );
    consent(visit.ask(id, &[]).await);
}

/// A word that ends ends by itself.
#[tokio::test]
async fn a_word_with_an_end_ends() {
    let hub = Hub::start().await;
    hub.serve_document(&json!({}));
    let mut visit = Visit::signed_in(&hub, "ada").await;
    let kind = SubjectKind::Client;
    for (spoken, during) in [(Word::Verified, "consent"), (Word::Blocked, "show")] {
        let until = Some(hub.now().plus(Duration::from_mins(10)));
        let said = hub.engine.say(kind, DOCUMENT, spoken, "", until, "root");
        said.await.unwrap();
        let step = visit.ask(DOCUMENT, &[]).await;
        assert_eq!(word(&step), during);
        if let Step::Consent(page) = step {
            assert_eq!(page.badge, Badge::Verified);
        }
        hub.advance(10 * 60).await;
        let page = consent(visit.ask(DOCUMENT, &[]).await);
        assert_eq!(page.badge, Badge::Unverified);
    }
}

/// A table in which even the verified are asked each time.
fn asks_everybody() -> PowerTable {
    let balanced = PowerTable::preset(Preset::Balanced);
    let each_time = |row: Power| Power {
        consent: row.consent.max(Consent::EveryTime),
        ..row
    };
    PowerTable {
        verified: each_time(balanced.verified),
        known: each_time(balanced.known),
        ..balanced
    }
}

/// AC-11: a yes counts again where the table in force lets it, the redirect proves who asks, and
/// nothing speaks against the client; each of these is looked at each time.
#[tokio::test]
async fn a_yes_is_remembered_only_where_the_table_lets_it() {
    let hub = Hub::start().await;
    let rows = [
        ("verified", Standing::Verified, CALLBACK, "code"),
        ("known", Standing::Known, CALLBACK, "code"),
        ("stranger", Standing::Unverified, CALLBACK, "consent"),
        (
            "local",
            Standing::Verified,
            "http://127.0.0.1/cb",
            "consent",
        ),
    ];
    let mut visit = Visit::signed_in(&hub, "ada").await;
    for (id, standing, uri, second) in rows {
        hub.add_standing(id, standing, uri).await;
        let asked = [("redirect_uri", uri)];
        let page = consent(visit.ask(id, &asked).await);
        redirect(visit.allow(&page, &offered(&page)).await);
        assert_eq!(word(&visit.ask(id, &asked).await), second, "{id}");
    }
    hub.change(SettingsChange::Power(Box::new(asks_everybody())))
        .await;
    for (id, _, uri, _) in rows {
        consent(visit.ask(id, &[("redirect_uri", uri)]).await);
    }
    let back = PowerTable::preset(Preset::Balanced);
    hub.change(SettingsChange::Power(Box::new(back))).await;
    assert_eq!(word(&visit.ask("verified", &[]).await), "code");

    // Whom an admin vouches for is remembered while the word holds, and while nothing warns.
    hub.serve_document(&json!({}));
    let kind = SubjectKind::Client;
    let said = hub
        .engine
        .say(kind, DOCUMENT, Word::Verified, "", None, "root");
    said.await.unwrap();
    let page = consent(visit.ask(DOCUMENT, &[]).await);
    redirect(visit.allow(&page, &offered(&page)).await);
    assert_eq!(word(&visit.ask(DOCUMENT, &[]).await), "code");
    hub.add_policies(WARN).await;
    let page = consent(visit.ask(DOCUMENT, &[]).await);
    assert_eq!(page.warnings, ["Be careful."]);
    let text = vestibule_policy::preset_text(Preset::Balanced);
    let seq = hub.engine.policy_text().await.unwrap().seq;
    let saved = hub.engine.save_policy(text, seq, "a test", Actor::System);
    saved.await.unwrap();
    assert_eq!(word(&visit.ask(DOCUMENT, &[]).await), "code");
    hub.engine.unsay(kind, DOCUMENT, "root").await.unwrap();
    consent(visit.ask(DOCUMENT, &[]).await);
}
