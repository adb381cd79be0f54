//! The consent page and the decision. A decision is bound to the request that was shown, to the
//! session that saw it, and to the client's metadata as it was then; it is taken once.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use vestibule_protocol::{
    audit::{Actor, Event},
    client_metadata::HttpsUrl,
    error_code::{ErrorCode, OAuthError},
    ids::{CodeHash, GrantId},
    scope::{self, Access, ScopeSet},
    trust::{Door, Standing},
};
use vestibule_seal::{Kind, sha256};
use vestibule_store::{
    AuditEntry,
    grants::{Approval, Approved, Code, Grant},
    sessions::Session,
    users::User,
};

use crate::{
    Badge, Browser, ClientHost, ConsentPage, Engine, FailureStatus, Reply, ScopeGroups, ScopeRow,
    Step,
    authorize::{Asked, host_of, name_of},
    ticket::{NoTicket, Ticket, binding_of},
};

/// Life of a code (oauth table 1.3).
const CODE_LIFE: Duration = Duration::from_mins(1);
/// How long a "yes" is remembered, where it is.
const REMEMBERED: Duration = Duration::from_hours(90 * 24);

/// When the person said yes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Asking {
    /// An earlier time, and it holds on.
    Before,
    /// This time.
    Now,
}

/// The consent form.
#[derive(Clone, Debug)]
pub struct ConsentForm {
    /// The request, sealed.
    pub ticket: String,
    /// Allow, or deny.
    pub approve: bool,
    /// Ticked scopes.
    pub scopes: Vec<String>,
    /// Belongs to the session.
    pub csrf: String,
}

impl Engine {
    /// The page for a request that needs a person.
    pub(crate) fn consent_page(
        &self,
        asked: &Asked,
        session_cookie: &str,
        user: &User,
        changed: Vec<String>,
    ) -> Step {
        let client = &asked.client;
        let Some(spec) = self.config.resources.find(&asked.resource) else {
            return Step::Show(self.busy_page());
        };
        let ticket = Ticket::of(asked, binding_of(session_cookie));
        let mut scopes = ScopeGroups::default();
        for known in spec
            .scopes
            .iter()
            .filter(|known| asked.scopes.contains(known.scope.as_str()))
        {
            let row = ScopeRow {
                scope: known.scope.as_str().to_owned(),
                description: known.description.clone(),
                ticked: asked.power.preticks(known),
            };
            match known.access {
                Access::Read => scopes.read.push(row),
                Access::Write => scopes.write.push(row),
                Access::Destructive => scopes.destructive.push(row),
            }
        }
        let identity_scopes = scope::identity_scopes()
            .into_iter()
            .filter(|(token, _)| asked.scopes.contains(token))
            .map(|(token, text)| ScopeRow {
                scope: token.to_owned(),
                description: text.to_owned(),
                ticked: true,
            })
            .collect();
        let refresh = client.metadata.grant_types.refresh_token;
        let life = asked
            .power
            .refresh
            .filter(|_| refresh)
            .map(|life| life.absolute.as_secs());
        Step::Consent(Box::new(ConsentPage {
            csrf: self.csrf(session_cookie, "consent"),
            ticket: self.seal_ticket(Kind::Ticket, &ticket),
            client_host: match (client.door, &client.document_host) {
                (Door::Cimd, Some(host)) => ClientHost::Host(host.clone()),
                (Door::Admin, _) => ClientHost::FirstParty,
                (Door::Cimd | Door::Dcr, _) => ClientHost::SelfRegistered,
            },
            badge: match client.standing {
                Standing::FirstParty => Badge::FirstParty,
                Standing::Known => Badge::Known,
                Standing::Unverified => Badge::Unverified,
                Standing::Verified => Badge::Verified,
            },
            reasons: reasons(asked),
            claims_name: name_of(client),
            client_uri_host: client
                .metadata
                .client_uri
                .as_ref()
                .map(HttpsUrl::host)
                .map(str::to_owned),
            redirect_host: host_of(asked),
            redirect_kind: asked.request.redirect.kind(),
            loopback_warning: client.metadata.all_loopback(),
            resource_name: spec.name.clone(),
            resource_uri: spec.uri.as_str().to_owned(),
            account: user.name.clone(),
            scopes,
            identity_scopes,
            stays_connected_seconds: life,
            access_seconds: asked.power.access_ttl.as_secs(),
            changed,
            registered_at: (client.door == Door::Dcr).then_some(client.issued_at),
            form_action: asked.request.redirect.csp_source(),
        }))
    }

    /// POST `/consent`.
    pub async fn decide(&self, form: ConsentForm, browser: &Browser) -> Reply {
        self.try_to_decide(form, browser)
            .await
            .unwrap_or_else(|step| step)
            .into()
    }

    async fn try_to_decide(&self, form: ConsentForm, browser: &Browser) -> Result<Step, Step> {
        let stale = |text| self.start_again(text);
        let cookie = browser.session.as_deref();
        let signed_in = self
            .session(browser)
            .await
            .map_err(|f| Step::Show(self.store_page(&f)))?;
        let (Some(cookie), Some((session, user))) = (cookie, signed_in) else {
            return Err(stale("You are not signed in any more."));
        };
        if !self.csrf_is_right(cookie, "consent", &form.csrf) {
            return Err(self.forged("This page belongs to another session."));
        }
        let ticket = self
            .open_ticket(&form.ticket, binding_of(cookie))
            .map_err(|f| match f {
                NoTicket::Expired => stale("The request has expired."),
                NoTicket::Foreign => stale("This page belongs to another session."),
            })?;
        let moved = || stale("The app has changed where it wants to be answered.");
        let asked = self.take_up(&ticket, browser, moved).await?;
        if asked.client.metadata.security_digest() != ticket.digest {
            // R10: what was shown is not what would be approved.
            let changed = vec!["The app changed its details while you were reading.".to_owned()];
            return Err(self.consent_page(&asked, cookie, &user, changed));
        }
        if !form.approve {
            return self.deny(&asked, &user, browser).await;
        }
        let allowed: ScopeSet = asked
            .scopes
            .iter()
            .filter(|scope| form.scopes.iter().any(|ticked| ticked == scope.as_str()))
            .cloned()
            .collect();
        if allowed
            .iter()
            .all(|scope| scope.as_str() == scope::OFFLINE_ACCESS)
        {
            let changed = vec!["Nothing was ticked: tick what you allow, or deny.".to_owned()];
            return Err(self.consent_page(&asked, cookie, &user, changed));
        }
        Ok(self
            .approve(&asked, allowed, &session, &user, Asking::Now)
            .await)
    }

    async fn deny(&self, asked: &Asked, user: &User, browser: &Browser) -> Result<Step, Step> {
        let audit = AuditEntry {
            source: Some(browser.source.prefix()),
            ..self.audit(
                Event::ConsentDenied,
                Actor::Person(user.id.clone()),
                Some(asked.client.key),
                format!("denied {}", asked.scopes),
            )
        };
        let origin = asked.origin;
        let first = self.store.deny(origin.id, origin.until(), audit).await;
        match first {
            Ok(true) => {
                let error = OAuthError::new(ErrorCode::AccessDenied, "the person said no");
                Ok(Step::Redirect(asked.error(self, &error)))
            }
            Ok(false) => Err(self.decided_before()),
            Err(failure) => Err(Step::Show(self.store_page(&failure))),
        }
    }

    fn decided_before(&self) -> Step {
        let text = "This request was decided before.";
        let hint = Some("If your app still waits, start again from there.");
        let title = "Already decided";
        Step::Show(self.failure_page(FailureStatus::BadRequest, title, text, hint))
    }

    /// Record the approval and send the code: one committing call, nothing fallible after it.
    pub(crate) async fn approve(
        &self,
        asked: &Asked,
        scopes: ScopeSet,
        session: &Session,
        user: &User,
        asking: Asking,
    ) -> Step {
        let now = self.now();
        let code = self.random_token("vco_");
        let grant = GrantId::new(format!("g_{}", URL_SAFE_NO_PAD.encode(self.random::<16>())));
        let until = asked
            .power
            .refresh
            .map_or(asked.power.access_ttl, |life| life.absolute);
        let redirect = &asked.request.redirect;
        let may_remember = asking == Asking::Now && asked.may_be_remembered();
        let audit = AuditEntry {
            grant: Some(grant.clone()),
            ..self.audit(
                Event::GrantGiven,
                Actor::Person(user.id.clone()),
                Some(asked.client.key),
                format!("{scopes} at {}", asked.resource.as_str()),
            )
        };
        let approval = Approval {
            ticket: asked.origin.id,
            ticket_until: asked.origin.until(),
            client: self.as_row(&asked.client, now),
            code: Code {
                hash: CodeHash::new(sha256(code.expose().as_bytes())),
                client: asked.client.key,
                grant: grant.clone(),
                redirect_uri: redirect.as_str().to_owned(),
                challenge: asked.request.challenge,
                nonce: asked.request.nonce.clone(),
                auth_method: asked.origin.pushed_by,
                expires_at: now.plus(CODE_LIFE),
                spent_at: None,
            },
            grant: Grant {
                id: grant,
                user: user.id.clone(),
                client: asked.client.key,
                resource: asked.resource.as_str().to_owned(),
                scopes,
                metadata_digest: asked.client.metadata.security_digest(),
                auth_time: session.auth_time,
                created_at: now,
                absolute_until: now.plus(until),
                revoked: false,
                version: 0,
            },
            remember_until: may_remember.then(|| now.plus(REMEMBERED)),
            now,
            audit,
        };
        let answer = asked.respond(self, &[("code", Some(code.expose()))]);
        match self.store.approve(approval).await {
            Ok(Approved::Done) => Step::Redirect(answer),
            Ok(Approved::TicketUsed) => self.decided_before(),
            Ok(Approved::ClientGone) => {
                let gone = crate::clients::Unresolved::Gone;
                Step::Show(self.unresolved_page(&asked.client.client_id, &gone))
            }
            Err(failure) => Step::Show(self.store_page(&failure)),
        }
    }
}

/// The verdict in plain words.
fn reasons(asked: &Asked) -> Vec<String> {
    let client = &asked.client;
    let mut reasons = Vec::new();
    match (client.standing, client.door) {
        (Standing::FirstParty, _) => {
            reasons.push("An administrator of this hub made it.".to_owned());
        }
        (Standing::Verified, _) => reasons.push("It proved who runs it.".to_owned()),
        (Standing::Known, _) => {
            reasons.push("Its identity is in the catalogue of known apps.".to_owned());
        }
        (Standing::Unverified, Door::Cimd) => reasons
            .push("It controls the address above. Nobody has checked who that is.".to_owned()),
        (Standing::Unverified, Door::Admin | Door::Dcr) => reasons.push(
            "It registered itself. Nobody has checked who it is, and its name is its own claim."
                .to_owned(),
        ),
    }
    if client.document_host.is_some() && client.client_id.contains('?') {
        reasons.push("Its description was built for this request.".to_owned());
    }
    reasons
}
