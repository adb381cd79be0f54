//! A client that waits for an admin (outcome `hold`, and the DCR door's `approval`): the person's
//! page goes on by itself once somebody decided.
//!
//! The queue is written by the signed-in person who came with the client, never by the client; it
//! is bounded per software and in all (design section 5). The request itself waits in the browser,
//! sealed: in the page's form, and in a cookie where it fits, so that the page can ask again
//! without a script.
//!
//! Not here: what an approval lifts (`admission`), the queue's rows (`store`).

use vestibule_protocol::{
    audit::{Actor, Event},
    secret::Secret,
    trust::{Door, Trust},
};
use vestibule_seal::Kind;
use vestibule_store::{
    AuditEntry,
    approvals::{ApprovalPhase, Ask, Asked as Queued},
    users::User,
};

use crate::{
    Browser, CookieChange, Cookies, Engine, FailurePage, FailureStatus, Reply, Step, WaitingPage,
    admission::policy_ids,
    authorize::{Asked, name_of},
    clients::Client,
    consent::client_host,
    throttle::Meter,
    ticket::{Ticket, binding_of},
};

/// Longest sealed request that a cookie holds; browsers cut at 4 KiB with the attributes.
const COOKIE_CHARS_MAX: usize = 3_600;

/// Whom an approval is about. A document client is one app under one exact id; a registration is
/// one of many of its software, so the software is approved (design 4.1), redirect places included.
pub(crate) fn subject(client: &Client) -> ([u8; 32], String) {
    match client.door {
        Door::Dcr => {
            let text = format!("software:{}", client.software);
            (vestibule_seal::sha256(text.as_bytes()), text)
        }
        Door::Admin | Door::Cimd => (*client.key.as_bytes(), client.client_id.clone()),
    }
}

impl Engine {
    /// What an admin said of a client that is held; `None` while nobody did.
    pub(crate) async fn approval_of(
        &self,
        client: &Client,
    ) -> Result<Option<ApprovalPhase>, vestibule_store::StoreError> {
        let (subject, _) = subject(client);
        let found = self.store.find_approval(&subject, self.now()).await?;
        Ok(found.map(|state| state.phase))
    }

    /// The page of a person whose app waits.
    pub(crate) async fn wait(&self, asked: &Asked, browser: &Browser, user: &User) -> Reply {
        let Some(cookie) = browser.session.as_deref() else {
            return Step::Show(self.busy_page()).into();
        };
        let client = &asked.client;
        let (subject, subject_text) = subject(client);
        let limits = self.live().settings.limits;
        let reasons = crate::consent::sentences(&client.assessment);
        let ask = Ask {
            subject,
            subject_text,
            software: client.software.clone(),
            door: client.door,
            display_name: name_of(client),
            host: client.document_host.clone(),
            reasons: reasons.clone(),
            asked_by: Some(user.id.clone()),
            source_prefix: Some(browser.source.prefix()),
            now: self.now(),
        };
        let audit = AuditEntry {
            source: Some(browser.source.prefix()),
            ..self.audit(
                Event::ApprovalAsked,
                Actor::Person(user.id.clone()),
                Some(client.key),
                client.assessment_ids(),
            )
        };
        let queued = self
            .store
            .ask_approval(
                ask.bounded(),
                limits.waiting_per_software,
                limits.waiting,
                audit,
            )
            .await;
        let full = match queued {
            Ok(Queued::Denied) => return Step::Show(self.refused_page(client)).into(),
            // Decided between the look and the ask: the next look goes on.
            Ok(Queued::Approved | Queued::Waiting(_)) => false,
            Ok(Queued::Full) => true,
            Err(failure) => return Step::Show(self.store_page(&failure)).into(),
        };
        let ticket = Ticket::of(asked, binding_of(cookie));
        let sealed = self.seal_ticket(Kind::Ticket, &ticket);
        let by_itself = sealed.len() <= COOKIE_CHARS_MAX;
        let page = WaitingPage {
            csrf: self.csrf(cookie, "waiting"),
            ticket: sealed.clone(),
            client_host: client_host(client),
            claims_name: name_of(client),
            reasons,
            by_itself,
            full,
            reference: self.reference("an app waits for an approval"),
            form_action: asked.request.redirect.csp_source(),
        };
        Reply {
            step: Step::Waiting(page),
            cookies: Cookies {
                waiting: if by_itself {
                    CookieChange::Set(Secret::new(sealed))
                } else {
                    CookieChange::Clear
                },
                ..Cookies::default()
            },
        }
    }

    /// GET `/waiting`: the page asks again by itself.
    pub async fn resume(&self, browser: &Browser) -> Reply {
        match browser.waiting.clone() {
            Some(ticket) => self.take_up_waiting(&ticket, browser).await,
            None => self.start_again("Nothing waits in this browser.").into(),
        }
    }

    /// POST `/waiting`: the person asks again.
    pub async fn resume_with(&self, ticket: String, csrf: &str, browser: &Browser) -> Reply {
        let cookie = browser.session.as_deref().unwrap_or_default();
        if !self.csrf_is_right(cookie, "waiting", csrf) {
            return self.forged("This page belongs to another session.").into();
        }
        self.take_up_waiting(&ticket, browser).await
    }

    async fn take_up_waiting(&self, ticket: &str, browser: &Browser) -> Reply {
        if let Err(seconds) = self.check_rate(Meter::Authorize, browser.source.bucket()) {
            return Step::Show(self.throttled_page(seconds)).into();
        }
        let done = |step: Step| Reply {
            step,
            cookies: Cookies {
                waiting: CookieChange::Clear,
                ..Cookies::default()
            },
        };
        let (session, user) = match self.session(browser).await {
            Ok(Some(found)) => found,
            Ok(None) => return done(self.start_again("You are not signed in any more.")),
            Err(failure) => return Step::Show(self.store_page(&failure)).into(),
        };
        let cookie = browser.session.as_deref().unwrap_or_default();
        let asked = match self.reopen(ticket, cookie, browser).await {
            Ok((_, asked)) => asked,
            Err(step) => return done(step),
        };
        let mut reply = self.go_on(asked, browser, &session, &user).await;
        if !matches!(reply.step, Step::Waiting(_)) {
            reply.cookies.waiting = CookieChange::Clear;
        }
        reply
    }

    /// The neutral answer for a client that may do nothing (outcome `block`, a denied approval).
    pub(crate) fn refused_page(&self, client: &Client) -> FailurePage {
        tracing::info!(
            client = ?client.key,
            policies = client.assessment_ids(),
            "a client is not let in"
        );
        self.neutral_refusal()
    }

    /// The same words whatever the reason, so that nobody learns how to get around it.
    pub(crate) fn neutral_refusal(&self) -> FailurePage {
        let hint =
            "If you know this app, ask the administrator of this hub and name the reference.";
        self.failure_page(
            FailureStatus::Forbidden,
            "This app cannot connect here",
            "This hub does not let this app in.",
            Some(hint),
        )
    }
}

impl Client {
    /// Nothing is granted until an admin approves.
    pub(crate) fn is_held(&self) -> bool {
        self.assessment.trust == Trust::Held
    }

    /// The policies that spoke, for the trail and the log.
    pub(crate) fn assessment_ids(&self) -> String {
        policy_ids(&self.assessment).join(" ")
    }
}
