//! A client that waits for an admin (outcome `hold`, and the DCR door's `approval`): the person's
//! page goes on by itself once somebody decided.
//!
//! The queue is written by the signed-in person who came with the client, never by the client; it
//! is bounded per software and in all (design section 5). The request itself waits in the browser,
//! sealed: in the page's form, and in a cookie where it fits, so that the page can ask again
//! without a script.
//!
//! Not here: what an approval lifts (`admission`), the queue's rows (`store`).

use std::{collections::BTreeSet, fmt::Write as _};

use vestibule_protocol::{
    audit::{Actor, Event},
    client_metadata::AuthMethod,
    redirect_uri::{RedirectKind, RedirectUri},
    secret::Secret,
    trust::{Door, Outcome, Trust},
};
use vestibule_seal::Kind;
use vestibule_store::{
    AuditEntry, StoreError,
    approvals::{ApprovalPhase, Ask, Asked as Queued, REASONS, TEXT_OCTETS},
    users::User,
};

use crate::{
    Browser, CookieChange, Cookies, Engine, FailurePage, FailureStatus, Reply, Step, WaitingPage,
    admission::policy_ids,
    authorize::{Asked, name_of},
    clients::Client,
    consent::{client_host, sentence, sentences},
    throttle::Meter,
    ticket::{Ticket, binding_of},
};

/// Longest sealed request that a cookie holds; browsers cut at 4 KiB with the attributes.
const COOKIE_CHARS_MAX: usize = 3_600;
/// Most requests of one client that are decided and hold at a time: it changed, or other reasons
/// came. Each is looked up.
const ROUNDS_MAX: u8 = 8;

/// Whom an approval is about. A document client is one app under one exact id; a registration is
/// one of many of its software, so the software is approved (design 4.1).
fn subject(client: &Client) -> ([u8; 32], String) {
    match client.door {
        Door::Dcr => {
            let text = format!("software:{}", client.software);
            (vestibule_seal::sha256(text.as_bytes()), text)
        }
        Door::Admin | Door::Cimd => (*client.key.as_bytes(), client.client_id.clone()),
    }
}

/// The key of a client's request number `round`.
fn round_key(subject: [u8; 32], round: u8) -> [u8; 32] {
    match round {
        0 => subject,
        _ => vestibule_seal::sha256(&[&subject[..], &[round]].concat()),
    }
}

/// What an admin who approves says yes to: the client as it is, and each reason to hold it. An
/// approval counts for nobody of whom one of these is new.
fn approvable(client: &Client) -> Vec<String> {
    let mut lines = vec![format!(
        "An approval is for its redirect URIs, authentication and keys as they are now ({}).",
        hex(&digest_to_approve(client)[..16])
    )];
    let reasons = client.assessment.reasons.iter();
    for reason in reasons.filter(|reason| reason.outcomes.contains(&Outcome::Hold)) {
        let said = reason.say.as_deref().map(sentence);
        let mut line = said.unwrap_or_else(|| format!("The policy `{}` holds it.", reason.policy));
        // As the queue keeps it.
        line.truncate(line.floor_char_boundary(TEXT_OCTETS));
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines.truncate(REASONS);
    lines
}

/// A document is one app, and is approved as it is. Copies of a software that registers differ in
/// names, loopback ports and their own keys, which is why the software is approved; where its codes
/// go and how it authenticates is what they share.
fn digest_to_approve(client: &Client) -> [u8; 32] {
    let metadata = &client.metadata;
    if client.door != Door::Dcr {
        return metadata.security_digest();
    }
    let redirects: BTreeSet<String> = metadata.redirect_uris.iter().map(without_port).collect();
    let methods: BTreeSet<&str> = metadata
        .auth_methods
        .iter()
        .map(AuthMethod::as_str)
        .collect();
    let redirects = redirects.iter().map(String::as_str);
    let parts: Vec<&str> = redirects.chain(methods).collect();
    vestibule_seal::sha256(parts.join("\n").as_bytes())
}

/// A loopback redirect matches with any port (RFC 8252 §7.3).
fn without_port(uri: &RedirectUri) -> String {
    let host = uri.host().filter(|_| uri.kind() == RedirectKind::Loopback);
    let text = uri.as_str();
    host.map_or_else(
        || text.to_owned(),
        |host| text.replacen(uri.display_host(), &host, 1),
    )
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Where the requests for a client are.
struct Rounds {
    /// What an admin said that holds for the client as it is; `None` while nobody was asked.
    phase: Option<ApprovalPhase>,
    /// The request that waits, or that may be made.
    open: Option<[u8; 32]>,
}

impl Engine {
    /// What an admin said of a client that is held; `None` while nobody did.
    pub(crate) async fn approval_of(
        &self,
        client: &Client,
    ) -> Result<Option<ApprovalPhase>, StoreError> {
        Ok(self.rounds(client).await?.phase)
    }

    /// An approval is for what the admin saw; what is new is a request of its own, one at a time. A
    /// no is for the client, whatever becomes of it.
    async fn rounds(&self, client: &Client) -> Result<Rounds, StoreError> {
        let now = self.now();
        let (subject, _) = subject(client);
        let approvable = approvable(client);
        let (mut denied, mut waiting, mut free) = (false, None, None);
        for round in 0..ROUNDS_MAX {
            let key = round_key(subject, round);
            let Some(found) = self.store.find_approval(&key, now).await? else {
                free = free.or(Some(key));
                continue;
            };
            match found.phase {
                ApprovalPhase::Denied => denied = true,
                ApprovalPhase::Waiting => waiting = waiting.or(Some(key)),
                ApprovalPhase::Approved => {
                    let row = self.store.approval(found.id).await?;
                    let seen = row.map(|row| row.ask.reasons).unwrap_or_default();
                    if approvable.iter().all(|line| seen.contains(line)) {
                        return Ok(Rounds {
                            phase: Some(ApprovalPhase::Approved),
                            open: None,
                        });
                    }
                }
            }
        }
        let phase = match waiting {
            _ if denied => Some(ApprovalPhase::Denied),
            Some(_) => Some(ApprovalPhase::Waiting),
            None => None,
        };
        Ok(Rounds {
            phase,
            open: waiting.or(free),
        })
    }

    /// The page of a person whose app waits.
    pub(crate) async fn wait(&self, asked: &Asked, browser: &Browser, user: &User) -> Reply {
        let Some(cookie) = browser.session.as_deref() else {
            return Step::Show(self.busy_page()).into();
        };
        let client = &asked.client;
        let reasons = sentences(&client.assessment);
        let queued = self.ask(client, &reasons, browser, user).await;
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

    /// Put it into the queue, unless it is there.
    async fn ask(
        &self,
        client: &Client,
        sentences: &[String],
        browser: &Browser,
        user: &User,
    ) -> Result<Queued, StoreError> {
        let rounds = self.rounds(client).await?;
        let open = match (rounds.phase, rounds.open) {
            (Some(ApprovalPhase::Approved), _) => return Ok(Queued::Approved),
            (Some(ApprovalPhase::Denied), _) => return Ok(Queued::Denied),
            (Some(ApprovalPhase::Waiting) | None, Some(open)) => open,
            (Some(ApprovalPhase::Waiting) | None, None) => return Ok(Queued::Full),
        };
        // What an approval is for comes first, so that it is there if the list is too long.
        let mut reasons = approvable(client);
        for sentence in sentences {
            if !reasons.contains(sentence) {
                reasons.push(sentence.clone());
            }
        }
        let ask = Ask {
            subject: open,
            subject_text: subject(client).1,
            software: client.software.clone(),
            door: client.door,
            display_name: name_of(client),
            host: client.document_host.clone(),
            reasons,
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
        let limits = self.live().settings.limits;
        let (software, all) = (limits.waiting_per_software, limits.waiting);
        self.store
            .ask_approval(ask.bounded(), software, all, audit)
            .await
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
