//! The way of a browser: register, sign in, consent.

#![expect(clippy::panic, reason = "a walk that ends elsewhere ends the test")]

use vestibule_engine::{Browser, ConsentForm, CookieChange, Reply, SignInForm, Step};
use vestibule_protocol::{audit::Actor, ids::UserId, secret::Secret};

use super::{CALLBACK, CHALLENGE, Hub, NOTES, PASSWORD, pairs, source};

impl Hub {
    /// An account that signs in by password.
    pub async fn add_user(&self, name: &str) -> UserId {
        let password = Secret::new(PASSWORD.to_owned());
        self.engine
            .add_user(name, password, false, Actor::System)
            .await
            .unwrap()
    }

    /// The whole way of a browser from `/authorize` to the redirect, approving what is ticked.
    /// Returns the Location. `person` signs in with [`PASSWORD`] where asked.
    pub async fn walk(&self, request: &[(&str, &str)], person: &str) -> String {
        let mut browser = Browser {
            source: source(),
            session: None,
            pre_session: None,
            waiting: None,
        };
        let reply = self.engine.authorize(&pairs(request), &browser).await;
        let mut step = follow(&mut browser, reply);
        for _ in 0..3 {
            step = match step {
                Step::SignIn(page) => {
                    let form = SignInForm {
                        ticket: page.ticket,
                        username: person.to_owned(),
                        password: Secret::new(PASSWORD.to_owned()),
                        csrf: page.csrf,
                    };
                    let reply = self.engine.sign_in(form, &browser).await;
                    follow(&mut browser, reply)
                }
                Step::Consent(page) => {
                    let rows = page
                        .scopes
                        .read
                        .iter()
                        .chain(&page.scopes.write)
                        .chain(&page.scopes.destructive)
                        .chain(&page.identity_scopes);
                    let scopes = rows
                        .filter(|row| row.ticked)
                        .map(|row| row.scope.clone())
                        .collect();
                    let form = ConsentForm {
                        report: false,
                        confirmed: false,
                        duration: None,
                        ticket: page.ticket,
                        approve: true,
                        scopes,
                        csrf: page.csrf,
                    };
                    let reply = self.engine.decide(form, &browser).await;
                    follow(&mut browser, reply)
                }
                Step::Redirect(location) => return location,
                other => panic!("the walk ended at {other:?}"),
            };
        }
        panic!("the walk did not end");
    }

    /// An ordinary authorization request of a client, walked to its code.
    pub async fn walk_to_code(&self, client_id: &str, scope: &str, person: &str) -> String {
        let location = self
            .walk(
                &[
                    ("response_type", "code"),
                    ("client_id", client_id),
                    ("redirect_uri", CALLBACK),
                    ("state", "st"),
                    ("code_challenge", CHALLENGE),
                    ("code_challenge_method", "S256"),
                    ("scope", scope),
                    ("resource", NOTES),
                ],
                person,
            )
            .await;
        query(&location, "code").unwrap_or_else(|| panic!("no code in {location}"))
    }
}

/// Take over the cookies of an answer.
pub fn follow(browser: &mut Browser, reply: Reply) -> Step {
    let take = |slot: &mut Option<String>, change: CookieChange| match change {
        CookieChange::Keep => {}
        CookieChange::Set(value) => *slot = Some(value.expose().clone()),
        CookieChange::Clear => *slot = None,
    };
    take(&mut browser.session, reply.cookies.session);
    take(&mut browser.pre_session, reply.cookies.pre_session);
    take(&mut browser.waiting, reply.cookies.waiting);
    reply.step
}

/// A parameter of a URL's query, where nothing needs decoding.
pub fn query(location: &str, name: &str) -> Option<String> {
    let (_, query) = location.split_once('?')?;
    query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        (key == name).then(|| value.to_owned())
    })
}
