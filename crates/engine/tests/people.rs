//! People: the first account, signing in, staying signed in, signing out.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "what surprises a test should end it"
)]

mod support;

use support::{visit::*, *};
use vestibule_engine::{
    AddUserError, CookieChange, FailureStatus, SetupForm, SetupPage, SignInProblem, Step,
};
use vestibule_protocol::{audit::Actor, secret::Secret};

fn problem(step: Step) -> (vestibule_engine::SignInPage, Option<SignInProblem>) {
    let page = sign_in(step);
    let problem = page.problem;
    (page, problem)
}

/// T20, OIDC-08: a wrong name and a wrong password look alike, the request goes on waiting in the form,
/// and `login_hint` fills in a name without being one.
#[tokio::test]
async fn a_wrong_name_and_a_wrong_password_look_alike() {
    let hub = Hub::start().await;
    hub.add_user("ada").await;
    let registered = hub.register(&public_client()).await;
    let mut visit = Visit::new(&hub);
    let hint = [("login_hint", "ada")];
    let mut page = sign_in(visit.ask(registered.client_id(), &hint).await);
    assert_eq!(page.username, "ada");
    assert_eq!(page.client_name.as_deref(), Some("Agent"));
    let long = "x".repeat(2_000);
    #[rustfmt::skip]
    let rows = [
        ("ada",         "wrong"),
        ("nobody",      PASSWORD),
        ("",            PASSWORD),
        ("ada",         ""),
        ("ada",         long.as_str()),
        (long.as_str(), PASSWORD),
    ];
    for (name, password) in rows {
        let (next, wrong) = problem(visit.sign_in(&page, name, password).await);
        assert_eq!(wrong, Some(SignInProblem::WrongNameOrPassword));
        assert_eq!(next.username, name.chars().take(256).collect::<String>());
        assert!(visit.browser.session.is_none());
        page = next;
    }
    // The name is matched without regard to case, and white space around it is not typed on purpose.
    let page = consent(visit.sign_in(&page, " Ada ", PASSWORD).await);
    assert_eq!(page.account, "ada");
}

/// A12, AC-17: a new session at each sign-in, the old one dead, the pre-session gone.
#[tokio::test]
async fn each_sign_in_makes_a_new_session() {
    let hub = Hub::start().await;
    hub.add_user("ada").await;
    let registered = hub.register(&public_client()).await;
    let mut visit = Visit::new(&hub);
    let page = sign_in(visit.ask(registered.client_id(), &[]).await);
    let before = visit.browser.pre_session.clone().unwrap();
    consent(visit.sign_in(&page, "ada", PASSWORD).await);
    let first = visit.browser.session.clone().unwrap();
    assert!(visit.browser.pre_session.is_none());
    assert!(first.len() > 43 && first != before);
    let login = [("prompt", "login")];
    let page = sign_in(visit.ask(registered.client_id(), &login).await);
    consent(visit.sign_in(&page, "ada", PASSWORD).await);
    assert_ne!(visit.browser.session.as_ref(), Some(&first));
    let mut old = Visit::new(&hub);
    old.browser.session = Some(first);
    sign_in(old.ask(registered.client_id(), &[]).await);
    // GEN-16: the cookie's value is nowhere on disk.
    let cookie = visit.browser.session.unwrap();
    let bytes = hub.stored_bytes().await;
    assert!(
        !bytes
            .windows(cookie.len())
            .any(|at| at == cookie.as_bytes())
    );
}

/// A9, A12, AC-17: a form of another browser signs nobody in, with its own field or a planted cookie.
#[tokio::test]
async fn a_form_of_another_browser_signs_nobody_in() {
    let hub = Hub::start().await;
    hub.add_user("ada").await;
    let registered = hub.register(&public_client()).await;
    let id = registered.client_id();
    let mut theirs = Visit::new(&hub);
    let mut mine = Visit::new(&hub);
    let foreign = sign_in(theirs.ask(id, &[]).await);
    let own = sign_in(mine.ask(id, &[]).await);
    let page = shown(mine.sign_in(&foreign, "ada", PASSWORD).await);
    assert_eq!(page.status, FailureStatus::Forbidden);
    let mut mixed = own.clone();
    mixed.ticket = foreign.ticket;
    shown(mine.sign_in(&mixed, "ada", PASSWORD).await);
    let mut bare = own;
    bare.csrf = String::new();
    shown(Visit::new(&hub).sign_in(&bare, "ada", PASSWORD).await);
    // A cookie that is not of our making is replaced, not used.
    let mut planted = Visit::new(&hub);
    planted.browser.pre_session = Some("planted".to_owned());
    sign_in(planted.ask(id, &[]).await);
    assert_ne!(planted.browser.pre_session.as_deref(), Some("planted"));
}

/// The whole way from sign-in to decision takes 30 minutes at most, and trying again does not extend
/// it.
#[tokio::test]
async fn a_waiting_request_expires() {
    let hub = Hub::start().await;
    hub.add_user("ada").await;
    let registered = hub.register(&public_client()).await;
    let mut visit = Visit::new(&hub);
    let page = sign_in(visit.ask(registered.client_id(), &[]).await);
    hub.advance(29 * 60).await;
    let (page, _) = problem(visit.sign_in(&page, "ada", "wrong").await);
    hub.advance(60).await;
    let page = shown(visit.sign_in(&page, "ada", PASSWORD).await);
    assert!(page.explanation.contains("expired"));
}

/// GEN-13, P16: guesses slow their source down, tries at the same time included; the right password
/// from elsewhere works, waiting is bounded, and who signs in rightly is never slowed.
#[tokio::test]
async fn guessing_is_slowed_and_nobody_is_locked_out() {
    let hub = Hub::builder().limits().start().await;
    hub.add_user("ada").await;
    for _ in 0..30 {
        let mut visit = Visit::new(&hub);
        let page = plain_sign_in(&mut visit).await;
        let step = visit.sign_in(&page, "ada", PASSWORD).await;
        assert!(matches!(step, Step::SignedIn(_)), "{step:?}");
    }
    let mut visit = Visit::new(&hub);
    let page = plain_sign_in(&mut visit).await;
    let mut tries = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let (engine, browser) = (hub.engine.clone(), visit.browser.clone());
        let form = vestibule_engine::SignInForm {
            ticket: None,
            username: "ada".to_owned(),
            password: Secret::new("wrong".to_owned()),
            csrf: page.csrf.clone(),
        };
        tries.spawn(async move { problem(engine.sign_in(form, &browser).await.step).1 });
    }
    let answers = tries.join_all().await;
    let wrong = Some(SignInProblem::WrongNameOrPassword);
    let looked_at = answers.iter().filter(|answer| **answer == wrong).count();
    assert_eq!(looked_at, 10, "{answers:?}");
    let (page, slowed) = problem(visit.sign_in(&page, "ada", PASSWORD).await);
    let Some(SignInProblem::Throttled { seconds }) = slowed else {
        panic!("{slowed:?}");
    };
    assert!(seconds <= 12, "{seconds}");
    let mut elsewhere = Visit::new(&hub);
    elsewhere.browser.source = source_of("198.51.100.9");
    let other = plain_sign_in(&mut elsewhere).await;
    let step = elsewhere.sign_in(&other, "ada", PASSWORD).await;
    assert!(matches!(step, Step::SignedIn(_)), "{step:?}");
    hub.advance(seconds).await;
    let step = visit.sign_in(&page, "ada", PASSWORD).await;
    assert!(matches!(step, Step::SignedIn(_)), "{step:?}");
}

/// One try of somebody at this address.
async fn try_from(hub: &Hub, ip: &str, name: &str, password: &str) -> Option<SignInProblem> {
    let mut visit = Visit::new(hub);
    visit.browser.source = source_of(ip);
    let page = plain_sign_in(&mut visit).await;
    match visit.sign_in(&page, name, password).await {
        Step::SignedIn(_) => None,
        step => problem(step).1,
    }
}

/// GEN-13, P16: guesses that come from many networks are slowed for the account as a whole; where it
/// has signed in before it is not, another account is not, and whoever waits gets in from anywhere.
#[tokio::test]
async fn guesses_spread_over_many_sources_are_slowed_where_nobody_is_known() {
    let hub = Hub::builder().limits().start().await;
    hub.add_user("ada").await;
    hub.add_user("bea").await;
    assert_eq!(try_from(&hub, "192.0.2.7", "ada", PASSWORD).await, None);
    let wrong = Some(SignInProblem::WrongNameOrPassword);
    for n in 0..50 {
        let stranger = format!("198.18.{n}.1");
        assert_eq!(try_from(&hub, &stranger, "Ada", "guess").await, wrong);
    }
    let slowed = try_from(&hub, "198.18.99.1", "ada", "guess").await;
    let Some(SignInProblem::Throttled { seconds }) = slowed else {
        panic!("{slowed:?}");
    };
    assert!(seconds <= 20, "{seconds}");
    let new = try_from(&hub, "2001:db8::1", "ada", PASSWORD).await;
    assert_eq!(new, slowed, "the right one from a place that is new");
    // Another address of the known network, a wrong password there, and then the right one.
    assert_eq!(try_from(&hub, "192.0.2.99", "ada", "typo").await, wrong);
    assert_eq!(try_from(&hub, "192.0.2.99", "ada", PASSWORD).await, None);
    assert_eq!(try_from(&hub, "198.18.99.1", "bea", PASSWORD).await, None);
    hub.advance(seconds).await;
    assert_eq!(try_from(&hub, "2001:db8::1", "ada", PASSWORD).await, None);
    // It is known there now; the strangers have one guess for the time that has passed.
    assert_eq!(try_from(&hub, "198.18.98.1", "ada", "guess").await, wrong);
    let slowed = try_from(&hub, "198.18.97.1", "ada", "guess").await;
    assert!(matches!(slowed, Some(SignInProblem::Throttled { .. })));
    assert_eq!(try_from(&hub, "2001:db8::2", "ada", PASSWORD).await, None);
}

async fn plain_sign_in(visit: &mut Visit<'_>) -> vestibule_engine::SignInPage {
    let reply = visit.hub.engine.sign_in_page(&visit.browser).await;
    sign_in(walk::follow(&mut visit.browser, reply))
}

/// A session lasts twelve hours, and ends at once with the account, the password, or the sign-out.
#[tokio::test]
async fn sessions_end() {
    let hub = Hub::start().await;
    hub.add_user("ada").await;
    let registered = hub.register(&public_client()).await;
    let id = registered.client_id();

    let mut visit = Visit::signed_in(&hub, "ada").await;
    hub.advance(12 * 3600 - 1).await;
    consent(visit.ask(id, &[]).await);
    hub.advance(1).await;
    sign_in(visit.ask(id, &[]).await);

    let mut visit = Visit::signed_in(&hub, "ada").await;
    let other = Secret::new("another good password".to_owned());
    hub.engine
        .change_password("ada", other, Actor::System)
        .await
        .unwrap();
    sign_in(visit.ask(id, &[]).await);

    let mut visit = Visit::signed_in(&hub, "ada").await;
    assert!(
        hub.engine
            .set_disabled("ada", true, Actor::System)
            .await
            .unwrap()
    );
    let page = sign_in(visit.ask(id, &[]).await);
    let (page, wrong) = problem(visit.sign_in(&page, "ada", "another good password").await);
    assert_eq!(wrong, Some(SignInProblem::WrongNameOrPassword));
    assert!(
        hub.engine
            .set_disabled("ada", false, Actor::System)
            .await
            .unwrap()
    );
    consent(visit.sign_in(&page, "ada", "another good password").await);

    let reply = hub.engine.signed_in_page(&visit.browser).await;
    let Step::SignedIn(page) = reply.step else {
        panic!("not signed in");
    };
    let reply = hub.engine.sign_out("forged", &visit.browser).await;
    assert!(matches!(reply.step, Step::SignedIn(_)));
    let reply = hub.engine.sign_out(&page.csrf, &visit.browser).await;
    assert!(matches!(reply.step, Step::SignedOut));
    assert!(matches!(reply.cookies.session, CookieChange::Clear));
    sign_in(visit.ask(id, &[]).await);
}

async fn setup_page(hub: &Hub, visit: &mut Visit<'_>) -> SetupPage {
    let link = hub.engine.create_setup_link().await.unwrap().unwrap();
    let token = link.strip_prefix("/setup?token=").unwrap();
    let reply = hub.engine.setup_page(token, &visit.browser).await;
    setup(walk::follow(&mut visit.browser, reply))
}

fn setup(step: Step) -> SetupPage {
    match step {
        Step::Setup(page) => page,
        other => panic!("no set-up page but {other:?}"),
    }
}

async fn set_up(visit: &mut Visit<'_>, page: &SetupPage, name: &str, password: &str) -> Step {
    let form = SetupForm {
        token: page.token.clone(),
        username: name.to_owned(),
        password: Secret::new(password.to_owned()),
        csrf: page.csrf.clone(),
    };
    let reply = visit.hub.engine.set_up(form, &visit.browser).await;
    walk::follow(&mut visit.browser, reply)
}

/// P12: one link, one admin, signed in; weak passwords refused; afterwards there is no link.
#[tokio::test]
async fn the_first_account_comes_by_a_link_that_works_once() {
    let hub = Hub::start().await;
    let mut visit = Visit::new(&hub);
    let page = setup_page(&hub, &mut visit).await;
    #[rustfmt::skip]
    let rows = [
        ("ada",       "short"),
        ("ada",       "ada-is-my-name"),
        ("",          PASSWORD),
        ("a b",       PASSWORD),
        ("a\u{202e}", "x"),
    ];
    for (name, password) in rows {
        let again = setup(set_up(&mut visit, &page, name, password).await);
        assert!(again.problem.is_some(), "{name}");
        assert_eq!(again.username, name);
    }
    let step = set_up(&mut visit, &page, "ada", PASSWORD).await;
    let Step::SignedIn(account) = step else {
        panic!("{step:?}");
    };
    assert!(account.admin && account.account == "ada");
    assert!(visit.browser.session.is_some());
    shown(set_up(&mut visit, &page, "eve", PASSWORD).await);
    assert_eq!(hub.engine.create_setup_link().await.unwrap(), None);
    assert_eq!(hub.store.count_users().await.unwrap(), 1);
}

/// P12, A9: the link dies after a day, with the next one, and with the first account by any way; and a
/// form belongs to its browser.
#[tokio::test]
async fn a_link_that_is_not_live_makes_nobody() {
    let hub = Hub::start().await;
    let mut visit = Visit::new(&hub);
    let page = setup_page(&hub, &mut visit).await;
    let mut other = Visit::new(&hub);
    shown(set_up(&mut other, &page, "eve", PASSWORD).await);
    let newer = setup_page(&hub, &mut visit).await;
    shown(set_up(&mut visit, &page, "eve", PASSWORD).await);
    hub.advance(24 * 3600).await;
    shown(set_up(&mut visit, &newer, "eve", PASSWORD).await);
    let newest = setup_page(&hub, &mut visit).await;
    hub.add_user("ada").await;
    shown(set_up(&mut visit, &newest, "eve", PASSWORD).await);
    let reply = hub.engine.setup_page("vsu_guess", &visit.browser).await;
    shown(reply.step);
    assert_eq!(hub.store.count_users().await.unwrap(), 1);
}

/// Accounts by command line follow the same rules.
#[tokio::test]
async fn names_and_passwords_of_accounts_are_judged() {
    let hub = Hub::start().await;
    hub.add_user("ada").await;
    let add = async |name: &str, password: &str| {
        let password = Secret::new(password.to_owned());
        hub.engine
            .add_user(name, password, false, Actor::System)
            .await
    };
    assert!(matches!(
        add("ADA", PASSWORD).await,
        Err(AddUserError::Taken)
    ));
    assert!(matches!(
        add("a b", PASSWORD).await,
        Err(AddUserError::Name)
    ));
    assert!(matches!(
        add("bea", "short").await,
        Err(AddUserError::Password(_))
    ));
    assert!(add("bea", PASSWORD).await.is_ok());
    let password = Secret::new(PASSWORD.to_owned());
    let nobody = hub
        .engine
        .change_password("cleo", password, Actor::System)
        .await;
    assert!(matches!(nobody, Err(AddUserError::NoSuchUser)));
}
