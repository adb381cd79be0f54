//! Signing in with a local account, and out.

use std::time::Duration;

use vestibule_protocol::{ids::SessionHash, secret::Secret, time::Timestamp};
use vestibule_seal::sha256;
use vestibule_store::{StoreError, sessions::Session, users::User};

use crate::{
    Browser, CookieChange, Cookies, Engine, FailureStatus, Reply, SignInPage, SignInProblem,
    SignedInPage, Step,
    authorize::Asked,
    password::PASSWORD_BYTES_MAX,
    throttle::Meter,
    ticket::{NoTicket, Ticket, binding_of},
};

/// How long a person stays signed in.
pub(crate) const SESSION_LIFE: Duration = Duration::from_hours(12);
const NAME_BYTES_MAX: usize = 256;

/// The sign-in form.
#[derive(Clone, Debug)]
pub struct SignInForm {
    /// The request that waits, if one does.
    pub ticket: Option<String>,
    /// What was typed.
    pub username: String,
    /// What was typed.
    pub password: Secret<String>,
    /// Belongs to the browser.
    pub csrf: String,
}

impl Engine {
    /// GET `/login`: sign in without an app that waits.
    pub async fn sign_in_page(&self, browser: &Browser) -> Reply {
        match self.session(browser).await {
            Ok(Some((_, user))) => self.signed_in(browser, &user),
            Ok(None) => self.plain_sign_in(browser, String::new(), None),
            Err(failure) => Step::Show(self.store_page(&failure)).into(),
        }
    }

    /// GET `/account`.
    pub async fn signed_in_page(&self, browser: &Browser) -> Reply {
        self.sign_in_page(browser).await
    }

    /// POST `/login`.
    pub async fn sign_in(&self, form: SignInForm, browser: &Browser) -> Reply {
        let cookie = browser.pre_session.as_deref().unwrap_or_default();
        if !self.csrf_is_right(cookie, "sign-in", &form.csrf) {
            let text = "This page belongs to another browser, or your browser refuses cookies.";
            return self.forged(text).into();
        }
        let ticket = match form
            .ticket
            .as_deref()
            .map(|t| self.open_ticket(t, binding_of(cookie)))
        {
            None => None,
            Some(Ok(ticket)) => Some(ticket),
            Some(Err(failure)) => return self.no_ticket(failure).into(),
        };
        match self.check_password(&form, browser).await {
            Ok(user) => self.after_sign_in(user, ticket, browser).await,
            Err(SignInFailure::Store(failure)) => Step::Show(self.store_page(&failure)).into(),
            Err(SignInFailure::Person(problem)) => match ticket {
                Some(ticket) => self.ask_again(&ticket, &form, browser, problem).await,
                None => self.plain_sign_in(browser, form.username, Some(problem)),
            },
        }
    }

    /// POST `/logout`.
    pub async fn sign_out(&self, csrf: &str, browser: &Browser) -> Reply {
        let Some(cookie) = browser.session.as_deref() else {
            return Step::SignedOut.into();
        };
        if !self.csrf_is_right(cookie, "sign-out", csrf) {
            return self.sign_in_page(browser).await;
        }
        let hash = SessionHash::new(sha256(cookie.as_bytes()));
        match self.store.close_session(&hash).await {
            Ok(_) => Reply {
                step: Step::SignedOut,
                cookies: Cookies {
                    session: CookieChange::Clear,
                    pre_session: CookieChange::Clear,
                    waiting: CookieChange::Clear,
                },
            },
            Err(failure) => Step::Show(self.store_page(&failure)).into(),
        }
    }

    fn no_ticket(&self, failure: NoTicket) -> Step {
        let text = match failure {
            NoTicket::Expired => "The request has expired.",
            NoTicket::Foreign => "This page belongs to another browser.",
        };
        self.start_again(text)
    }

    /// A page that is no good any more.
    pub(crate) fn start_again(&self, text: &str) -> Step {
        let hint = Some("Start again from your app.");
        Step::Show(self.failure_page(FailureStatus::BadRequest, "Start again", text, hint))
    }

    /// AC-17: a form without the field that this browser was given decides nothing.
    pub(crate) fn forged(&self, text: &str) -> Step {
        let hint = Some("Start again from your app, with cookies allowed for this site.");
        Step::Show(self.failure_page(FailureStatus::Forbidden, "Start again", text, hint))
    }

    /// The sign-in page for somebody who must (again), with the reason.
    pub(crate) fn sign_in_again(&self, browser: &Browser, why: Option<&'static str>) -> Reply {
        let mut reply = self.plain_sign_in(browser, String::new(), None);
        if let Step::SignIn(page) = &mut reply.step {
            page.again = why;
        }
        reply
    }

    fn plain_sign_in(
        &self,
        browser: &Browser,
        username: String,
        problem: Option<SignInProblem>,
    ) -> Reply {
        let (cookie, change) = self.pre_session(browser);
        let page = SignInPage {
            ticket: None,
            csrf: self.csrf(cookie.expose(), "sign-in"),
            username,
            client_host: None,
            client_name: None,
            problem,
            again: None,
            form_action: None,
        };
        Step::SignIn(page).before_sign_in(change)
    }

    pub(crate) fn signed_in(&self, browser: &Browser, user: &User) -> Reply {
        let cookie = browser.session.as_deref().unwrap_or_default();
        Step::SignedIn(SignedInPage {
            account: user.name.clone(),
            csrf: self.csrf(cookie, "sign-out"),
            admin: user.admin,
        })
        .into()
    }

    /// The same page again, with what went wrong.
    async fn ask_again(
        &self,
        ticket: &Ticket,
        form: &SignInForm,
        browser: &Browser,
        problem: SignInProblem,
    ) -> Reply {
        let moved = || self.no_ticket(NoTicket::Expired);
        match self.take_up(ticket, browser, moved).await {
            Ok(mut asked) => {
                asked.request.login_hint = Some(form.username.chars().take(256).collect());
                self.ask_to_sign_in(&asked, browser, Some(problem)).await
            }
            Err(step) => step.into(),
        }
    }

    /// The request in a form or cookie of a session, judged anew, with its ticket.
    pub(crate) async fn reopen(
        &self,
        sealed: &str,
        session_cookie: &str,
        browser: &Browser,
    ) -> Result<(Ticket, Asked), Step> {
        let ticket = self
            .open_ticket(sealed, binding_of(session_cookie))
            .map_err(|failure| match failure {
                NoTicket::Expired => self.start_again("The request has expired."),
                NoTicket::Foreign => self.start_again("This page belongs to another session."),
            })?;
        let moved = || self.start_again("The app has changed where it wants to be answered.");
        let asked = self.take_up(&ticket, browser, moved).await?;
        Ok((ticket, asked))
    }

    /// The request of a ticket, judged anew; `moved` is the answer where its redirect URI is not
    /// registered any more.
    pub(crate) async fn take_up(
        &self,
        ticket: &Ticket,
        browser: &Browser,
        moved: impl FnOnce() -> Step,
    ) -> Result<Asked, Step> {
        let client = self
            .resolve_for_authorize(&ticket.client_id, &browser.source)
            .await
            .map_err(|f| Step::Show(self.unresolved_page(&ticket.client_id, &f)))?;
        // QUIRK-21: the same function matches here as at the first sight of the request.
        let request = ticket
            .request(&client.metadata.redirect_uris)
            .ok_or_else(moved)?;
        match self.understand(client, request, ticket.hint.clone(), ticket.origin) {
            Ok(asked) => Ok(asked),
            Err(failure) => Err(self.refuse(failure, browser).await),
        }
    }

    async fn check_password(
        &self,
        form: &SignInForm,
        browser: &Browser,
    ) -> Result<User, SignInFailure> {
        let source = browser.source.bucket();
        let account = name_meter(&form.username);
        let prefix = browser.source.wide_bucket();
        let throttled = |seconds| SignInFailure::Person(SignInProblem::Throttled { seconds });
        // GEN-13, P16: slower for this source and this account, never locked; and where guesses
        // are spread over many sources, slower for all that the account is not known to come from.
        // Counted before the hash is computed, or tries at the same time would all be let
        // through; a right password takes its count back.
        let meters = [
            (Meter::SignInSource, source),
            (Meter::SignInAccount, account ^ source),
            (
                Meter::SignInAccountWide,
                self.familiar.wide_key(account, prefix),
            ),
        ];
        for (meter, key) in meters {
            self.peek_rate(meter, key).map_err(throttled)?;
        }
        for (meter, key) in meters {
            self.count_rate(meter, key);
        }
        let plausible = form.username.len() <= NAME_BYTES_MAX
            && form.password.expose().len() <= PASSWORD_BYTES_MAX;
        let user = if plausible {
            self.store.find_user_by_name(form.username.trim()).await?
        } else {
            None
        };
        let hash = user.as_ref().map(|user| user.password_hash.clone());
        let verified = self.passwords.verify(form.password.clone(), hash).await;
        let right = plausible && verified.map_err(|_| throttled(1))?;
        match user {
            Some(user) if right && !user.disabled => {
                for (meter, key) in meters {
                    self.uncount_rate(meter, key);
                }
                self.familiar.remember(account, prefix);
                Ok(user)
            }
            other => {
                if let Some(user) = other {
                    self.store.note_failed_sign_in(&user.id, self.now()).await?;
                }
                tracing::info!(source = %browser.source.prefix(), "a sign-in failed");
                Err(SignInFailure::Person(SignInProblem::WrongNameOrPassword))
            }
        }
    }

    /// A new session, and on with the request (A12: a new id at sign-in).
    async fn after_sign_in(&self, user: User, ticket: Option<Ticket>, browser: &Browser) -> Reply {
        let (cookie, session) = match self.open_session(&user, browser).await {
            Ok(opened) => opened,
            Err(failure) => return Step::Show(self.store_page(&failure)).into(),
        };
        let browser = Browser {
            session: Some(cookie.expose().clone()),
            pre_session: None,
            waiting: None,
            source: browser.source.clone(),
        };
        let mut reply = match ticket {
            None => self.signed_in(&browser, &user),
            Some(ticket) => {
                let moved = || self.no_ticket(NoTicket::Expired);
                match self.take_up(&ticket, &browser, moved).await {
                    Ok(asked) => self.go_on(asked, &browser, &session, &user).await,
                    Err(step) => step.into(),
                }
            }
        };
        reply.cookies = Cookies {
            session: CookieChange::Set(cookie),
            pre_session: CookieChange::Clear,
            waiting: reply.cookies.waiting,
        };
        reply
    }

    /// Open a session that replaces the browser's old one.
    pub(crate) async fn open_session(
        &self,
        user: &User,
        browser: &Browser,
    ) -> Result<(Secret<String>, Session), StoreError> {
        let cookie = self.random_token("vss_");
        let now: Timestamp = self.now();
        let session = Session {
            hash: SessionHash::new(sha256(cookie.expose().as_bytes())),
            user: user.id.clone(),
            auth_time: now,
            expires_at: now.plus(SESSION_LIFE),
        };
        let old = browser
            .session
            .as_deref()
            .map(|old| SessionHash::new(sha256(old.as_bytes())));
        self.store
            .open_session(session.clone(), old.as_ref())
            .await?;
        Ok((cookie, session))
    }
}

enum SignInFailure {
    Person(SignInProblem),
    Store(StoreError),
}

impl From<StoreError> for SignInFailure {
    fn from(failure: StoreError) -> Self {
        Self::Store(failure)
    }
}

fn name_meter(name: &str) -> u64 {
    let digest = sha256(name.trim().to_ascii_lowercase().as_bytes());
    digest
        .first_chunk::<8>()
        .map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
