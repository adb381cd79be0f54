//! The consent page and the decision. A decision is bound to the request that was shown, to the
//! session that saw it, and to the client's metadata as it was then; it is taken once.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use vestibule_policy::{
    ScopeCeiling,
    decision::{Assessment, Reason},
};
use vestibule_protocol::{
    audit::{Actor, Event},
    client_id::ClientKey,
    client_metadata::HttpsUrl,
    error_code::{ErrorCode, OAuthError},
    ids::{CodeHash, GrantId},
    resource_indicator::ResourceSpec,
    scope::{self, Access, ScopeSet, ScopeSpec},
    time::Timestamp,
    trust::{Door, Risk, Standing, Trust},
};
use vestibule_seal::{Kind, sha256};
use vestibule_store::{
    AuditEntry, StoreError,
    grants::{Approval, Approved, Code, Grant},
    reports::ReportReason,
    sessions::Session,
    users::User,
};

use crate::{
    Badge, Browser, ClientHost, ConsentPage, DurationChoice, Engine, FailureStatus, Reply,
    ReportedPage, ScopeGroups, ScopeRow, Step,
    authorize::{Asked, host_of, name_of},
    clients::Client,
    ticket::{Ticket, binding_of},
};

/// Life of a code (oauth table 1.3).
const CODE_LIFE: Duration = Duration::from_mins(1);
/// How long a "yes" is remembered, where it is.
const REMEMBERED: Duration = Duration::from_hours(90 * 24);

/// The shipped policy about newcomers.
const FIRST_SEEN: &str = "first-seen-today";
/// Durations that a person can choose, as far as they are shorter than what trust allows.
const DURATIONS: [u64; 6] = [3_600, 28_800, 86_400, 604_800, 2_592_000, 7_776_000];
/// Shortest connection that can be wished for: long enough to redeem the code.
const WISH_MIN: Duration = Duration::from_mins(5);

/// What a person said yes to.
pub(crate) struct Yes {
    pub(crate) scopes: ScopeSet,
    pub(crate) asking: Asking,
    /// How long, if the person chose.
    pub(crate) wish: Option<Duration>,
}

impl Yes {
    /// An earlier yes that holds on.
    pub(crate) fn before(asked: &Asked) -> Self {
        Self {
            scopes: asked.scopes.clone(),
            asking: Asking::Before,
            wish: None,
        }
    }
}

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
    /// Deny, and tell the admins about it.
    pub report: bool,
    /// The second confirmation, where the page asks for one.
    pub confirmed: bool,
    /// Chosen duration in seconds.
    pub duration: Option<u64>,
    /// Ticked scopes.
    pub scopes: Vec<String>,
    /// Belongs to the session.
    pub csrf: String,
}

impl Engine {
    /// The page for a request that needs a person.
    pub(crate) async fn consent_page(
        &self,
        asked: &Asked,
        session_cookie: &str,
        user: &User,
        mut changed: Vec<String>,
    ) -> Step {
        let client = &asked.client;
        match self.changes_since(client, user).await {
            Ok(sentences) => changed.extend(sentences),
            Err(failure) => return Step::Show(self.store_page(&failure)),
        }
        let Some(spec) = self.config.resources.find(&asked.resource) else {
            return Step::Show(self.busy_page());
        };
        let ticket = Ticket::of(asked, binding_of(session_cookie));
        let refresh = client.metadata.grant_types.refresh_token;
        let life = asked
            .power
            .refresh
            .filter(|_| refresh)
            .map(|life| life.absolute.as_secs());
        Step::Consent(Box::new(ConsentPage {
            csrf: self.csrf(session_cookie, "consent"),
            ticket: self.seal_ticket(Kind::Ticket, &ticket),
            client_host: client_host(client),
            badge: badge(&client.assessment),
            reasons: reasons(asked),
            warnings: warnings(&client.assessment),
            imitates: imitates(client),
            first_seen_today: is_newcomer(client),
            confirm: asked.needs_confirmation(),
            withheld: spec
                .scopes
                .iter()
                .filter(|known| asked.withheld.contains(known.scope.as_str()))
                .map(|known| ScopeRow {
                    scope: known.scope.as_str().to_owned(),
                    description: known.description.clone(),
                    ticked: false,
                })
                .collect(),
            durations: life.map(durations).unwrap_or_default(),
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
            scopes: scope_groups(spec, asked),
            identity_scopes: identity_rows(asked),
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
            .unwrap_or_else(|reply| reply)
    }

    async fn try_to_decide(&self, form: ConsentForm, browser: &Browser) -> Result<Reply, Reply> {
        let stale = |text| Reply::from(self.start_again(text));
        let cookie = browser.session.as_deref();
        let signed_in = self
            .session(browser)
            .await
            .map_err(|f| Step::Show(self.store_page(&f)))?;
        let (Some(cookie), Some((session, user))) = (cookie, signed_in) else {
            return Err(stale("You are not signed in any more."));
        };
        if !self.csrf_is_right(cookie, "consent", &form.csrf) {
            return Err(self.forged("This page belongs to another session.").into());
        }
        let (ticket, mut asked) = self.reopen(&form.ticket, cookie, browser).await?;
        let again = async |asked: &Asked, text: &str| {
            let changed = vec![text.to_owned()];
            Reply::from(self.consent_page(asked, cookie, &user, changed).await)
        };
        if asked.client.metadata.security_digest() != ticket.digest {
            // R10: what was shown is not what would be approved.
            let text = "The app changed its details while you were reading.";
            return Err(again(&asked, text).await);
        }
        if !form.approve {
            return self.deny(&asked, &form, &user, browser).await;
        }
        // What was found since the page was shown counts too.
        if let Err(error) = self.narrow(&mut asked, &session, &user) {
            let error = asked.for_client(self, error);
            return Err(self.tell(error, browser).await.into());
        }
        if Self::must_step_up(&asked, &session) {
            return Err(self.ask_to_sign_in(&asked, browser, None).await);
        }
        if asked.client.is_held() {
            return Err(self.wait(&asked, browser, &user).await);
        }
        if asked.needs_confirmation() && !form.confirmed {
            let text = "Read the warnings and confirm them, or deny.";
            return Err(again(&asked, text).await);
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
            let text = "Nothing was ticked: tick what you allow, or deny.";
            return Err(again(&asked, text).await);
        }
        let wish = form.duration.map(Duration::from_secs);
        let yes = Yes {
            scopes: allowed,
            asking: Asking::Now,
            wish,
        };
        Ok(self
            .approve(&asked, yes, &session, &user, browser)
            .await
            .into())
    }

    async fn deny(
        &self,
        asked: &Asked,
        form: &ConsentForm,
        user: &User,
        browser: &Browser,
    ) -> Result<Reply, Reply> {
        let entry = |event, detail| AuditEntry {
            source: Some(browser.source.prefix()),
            ..self.audit(
                event,
                Actor::Person(user.id.clone()),
                Some(asked.client.key),
                detail,
            )
        };
        let audit = entry(Event::ConsentDenied, format!("denied {}", asked.scopes));
        let origin = asked.origin;
        let first = self.store.deny(origin.id, origin.until(), audit).await;
        let error = OAuthError::new(ErrorCode::AccessDenied, "the person said no");
        let to = asked.error(self, &error);
        match first {
            Ok(true) => {}
            Ok(false) => return Err(self.decided_before().into()),
            Err(failure) => return Err(Step::Show(self.store_page(&failure)).into()),
        }
        if !form.report {
            return Ok(Step::Redirect(to).into());
        }
        let audit = entry(Event::ClientReported, "reported at consent".to_owned());
        let reason = ReportReason::Unexpected;
        let key = &asked.client.key;
        let reported = self
            .store
            .report_client(&user.id, key, reason, self.now(), audit)
            .await;
        match reported {
            Ok(_) => Ok(Step::Reported(ReportedPage {
                client_host: client_host(&asked.client),
                to,
                host: host_of(asked),
            })
            .into()),
            Err(failure) => Err(Step::Show(self.store_page(&failure)).into()),
        }
    }

    fn decided_before(&self) -> Step {
        let text = "This request was decided before.";
        let hint = Some("If your app still waits, start again from there.");
        let title = "Already decided";
        Step::Show(self.failure_page(FailureStatus::BadRequest, title, text, hint))
    }

    /// Clients whose grants of this person here the new one takes the place of.
    async fn superseded(
        &self,
        asked: &Asked,
        user: &User,
        now: Timestamp,
    ) -> Result<Vec<ClientKey>, StoreError> {
        let (key, resource) = (&asked.client.key, asked.resource.as_str());
        self.store
            .superseded_for(key, &user.id, resource, now)
            .await
    }

    /// What the trail says of an approval: what, where, and what was found.
    fn approval_entry(&self, approved: &Grant, client: &Client) -> AuditEntry {
        let assessment = &client.assessment;
        AuditEntry {
            grant: Some(approved.id.clone()),
            source: approved.source.clone(),
            ..self.audit(
                Event::GrantGiven,
                Actor::Person(approved.user.clone()),
                Some(client.key),
                format!(
                    "{} at {}; {}, {} risk; {}",
                    approved.scopes,
                    approved.resource,
                    assessment.trust.as_str(),
                    assessment.risk.as_str(),
                    client.assessment_ids(),
                ),
            )
        }
    }

    /// Record the approval and send the code: one committing call, nothing fallible after it.
    pub(crate) async fn approve(
        &self,
        asked: &Asked,
        yes: Yes,
        session: &Session,
        user: &User,
        browser: &Browser,
    ) -> Step {
        let Yes {
            scopes,
            asking,
            wish,
        } = yes;
        let assessment = &asked.client.assessment;
        // A policy may doubt a client of better standing. The token endpoint sees the standing alone,
        // so the doubt stays with the grant as a short session.
        let doubted = assessment.trust > vestibule_policy::trust_of(asked.client.standing);
        if asked.power.scopes == ScopeCeiling::Nothing || asked.client.is_held() {
            return Step::Show(self.refused_page(&asked.client));
        }
        let now = self.now();
        let code = self.random_token("vco_");
        let until = asked
            .power
            .refresh
            .map_or(asked.power.access_ttl, |life| life.absolute);
        // The person may shorten it, never lengthen it.
        let until = wish.map_or(until, |wish| wish.clamp(WISH_MIN, until.max(WISH_MIN)));
        let supersedes = match self.superseded(asked, user, now).await {
            Ok(supersedes) => supersedes,
            Err(failure) => return Step::Show(self.store_page(&failure)),
        };
        let redirect = &asked.request.redirect;
        let may_remember = asking == Asking::Now && asked.may_be_remembered();
        let grant = Grant {
            id: GrantId::new(format!("g_{}", URL_SAFE_NO_PAD.encode(self.random::<16>()))),
            user: user.id.clone(),
            client: asked.client.key,
            resource: asked.resource.as_str().to_owned(),
            scopes,
            metadata_digest: asked.client.metadata.consent_digest(),
            auth_time: session.auth_time,
            created_at: now,
            absolute_until: now.plus(until),
            risk: assessment.risk,
            read_only: assessment.read_only,
            short_session: assessment.short_session || doubted,
            source: Some(browser.source.prefix()),
            revoked: false,
            version: 0,
        };
        let approval = Approval {
            ticket: asked.origin.id,
            ticket_until: asked.origin.until(),
            client: self.as_row(&asked.client, now),
            code: Code {
                hash: CodeHash::new(sha256(code.expose().as_bytes())),
                client: asked.client.key,
                grant: grant.id.clone(),
                redirect_uri: redirect.as_str().to_owned(),
                challenge: asked.request.challenge,
                nonce: asked.request.nonce.clone(),
                auth_method: asked.origin.pushed_by,
                expires_at: now.plus(CODE_LIFE),
                spent_at: None,
            },
            audit: self.approval_entry(&grant, &asked.client),
            grant,
            supersedes,
            remember_until: may_remember.then(|| now.plus(REMEMBERED)),
            now,
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

/// What is shown first of a client.
pub(crate) fn client_host(client: &Client) -> ClientHost {
    match (client.door, &client.document_host) {
        (Door::Cimd, Some(host)) => ClientHost::Host(host.clone()),
        (Door::Admin, _) => ClientHost::FirstParty,
        (Door::Cimd | Door::Dcr, _) => ClientHost::SelfRegistered,
    }
}

fn badge(assessment: &Assessment) -> Badge {
    match (assessment.trust, assessment.risk) {
        (Trust::FirstParty, _) => Badge::FirstParty,
        (Trust::Verified, _) => Badge::Verified,
        (Trust::Known, _) => Badge::Known,
        (Trust::Blocked | Trust::Held | Trust::Unverified, Risk::Low) => Badge::Unverified,
        (Trust::Blocked | Trust::Held | Trust::Unverified, Risk::Raised | Risk::High) => {
            Badge::Raised
        }
    }
}

/// What the policies that fired say to people, each once.
pub(crate) fn sentences(assessment: &Assessment) -> Vec<String> {
    said(assessment, |_| true)
}

/// What speaks against a client: the sentences of policies above low risk.
fn warnings(assessment: &Assessment) -> Vec<String> {
    said(assessment, |reason| reason.risk != Risk::Low)
}

fn said(assessment: &Assessment, counts: impl Fn(&Reason) -> bool) -> Vec<String> {
    let mut sentences: Vec<String> = Vec::new();
    for reason in assessment.reasons.iter().filter(|reason| counts(reason)) {
        let say = reason.say.as_deref().map(sentence);
        if let Some(say) = say.filter(|say| !sentences.contains(say)) {
            sentences.push(say);
        }
    }
    sentences
}

/// What a policy says, with its full stop.
pub(crate) fn sentence(say: &str) -> String {
    format!("{}.", say.trim_end_matches('.'))
}

fn imitates(client: &Client) -> Option<String> {
    let facts = &client.facts.as_ref()?.client;
    facts
        .lookalike_of
        .clone()
        .or_else(|| facts.homograph_of.clone())
}

fn is_newcomer(client: &Client) -> bool {
    let days = client.facts.as_ref().map(|facts| facts.client.days_known);
    client.assessment.trust == Trust::Unverified && days == Some(0)
}

/// What is asked for at the resource, by what it lets an agent do.
fn scope_groups(spec: &ResourceSpec, asked: &Asked) -> ScopeGroups {
    let mut scopes = ScopeGroups::default();
    let wanted = |known: &&ScopeSpec| asked.scopes.contains(known.scope.as_str());
    for known in spec.scopes.iter().filter(wanted) {
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
    scopes
}

/// What is asked for about the person.
fn identity_rows(asked: &Asked) -> Vec<ScopeRow> {
    scope::identity_scopes()
        .into_iter()
        .filter(|(token, _)| asked.scopes.contains(token))
        .map(|(token, text)| ScopeRow {
            scope: token.to_owned(),
            description: text.to_owned(),
            ticked: true,
        })
        .collect()
}

/// How long a person may let an agent stay: up to what its trust allows, which comes chosen.
fn durations(most: u64) -> Vec<DurationChoice> {
    let shorter = DURATIONS.iter().copied().filter(|seconds| *seconds < most);
    let mut choices: Vec<DurationChoice> = shorter
        .map(|seconds| DurationChoice {
            seconds,
            chosen: false,
        })
        .collect();
    if choices.is_empty() {
        return choices;
    }
    choices.push(DurationChoice {
        seconds: most,
        chosen: true,
    });
    choices
}

/// The verdict in plain words.
fn reasons(asked: &Asked) -> Vec<String> {
    let client = &asked.client;
    let mut reasons = Vec::new();
    match (client.standing, client.door) {
        (Standing::FirstParty, _) => {
            reasons.push("An administrator of this hub made it.".to_owned());
        }
        (Standing::Verified, _) => reasons.push(
            "It proved its domain, or an administrator of this hub vouches for it.".to_owned(),
        ),
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
    // The page has a line of its own for a newcomer.
    let said_already = |reason: &Reason| is_newcomer(client) && reason.policy == FIRST_SEEN;
    reasons.extend(said(&client.assessment, |reason| {
        reason.risk == Risk::Low && !said_already(reason)
    }));
    reasons
}
