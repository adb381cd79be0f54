//! `/authorize` (RFC 6749 §4.1, OpenID Connect Core §3.1.2): the step table.
//!
//! | Step                                  | Failure                                       |
//! |---------------------------------------|-----------------------------------------------|
//! | read the parameters                   | shown                                         |
//! | identify the client, by either door   | shown                                         |
//! | take up a pushed request              | shown                                         |
//! | match the redirect URI                | shown: there is nowhere to return to (RU-09)  |
//! | read the rest, resource, scopes       | returned, or offered to the person (RU-13)    |
//! | is the person meant signed in, of late | sign-in page, or `login_required`            |
//! | was this consented to before          | consent page, or `consent_required`           |
//! | issue the code                        |                                               |
//!
//! Not here: the decision itself (`consent`), passwords (`sign_in`).

use std::{sync::Arc, time::Duration};

use vestibule_cimd::ResolveError;
use vestibule_policy::{Consent, Power};
use vestibule_protocol::{
    authorize::{AuthorizationRequest, AuthorizeParams},
    client_id::ClientKey,
    client_metadata::DisplayName,
    error_code::{ErrorCode, OAuthError},
    ids::SessionHash,
    redirect_uri::{RedirectKind, TrustedRedirect},
    resource_indicator::{ResourceSpec, ResourceUri},
    scope::{self, Scope, ScopeSet},
    secret::Secret,
    trust::{Action, Door, Trust},
};
use vestibule_seal::{Kind, sha256};
use vestibule_store::{StoreError, sessions::Session, users::User};

use crate::{
    Browser, CookieChange, Engine, FailurePage, FailureStatus, LeavePage, Reply, SignInPage,
    SignInProblem, Step,
    admission::Permit,
    clients::{Client, Unresolved, is_relay},
    consent::Yes,
    hint::Hint,
    issue::under_ceiling,
    throttle::Meter,
    ticket::{NoTicket, Origin, Ticket, binding_of},
};

/// How fresh a sign-in must be where the policies ask for one (outcome `step_up`).
const STEP_UP_FRESH: Duration = Duration::from_mins(5);

/// Everything that is known of a request once it was read.
pub(crate) struct Asked {
    pub(crate) client: Client,
    pub(crate) request: AuthorizationRequest,
    /// As asked for; the `aud` of tokens (QUIRK-28).
    pub(crate) resource: ResourceUri,
    /// Known, allowed scopes of what was asked for.
    pub(crate) scopes: ScopeSet,
    /// Known scopes that were asked for and are not to be had today.
    pub(crate) withheld: ScopeSet,
    pub(crate) power: Power,
    /// Whom the client expects to be signed in.
    pub(crate) hint: Option<Hint>,
    /// Which decision it waits for.
    pub(crate) origin: Origin,
}

impl Asked {
    /// AC-11, A7: a "yes" may count again only where the redirect proves who is asking.
    pub(crate) fn may_be_remembered(&self) -> bool {
        let allowed = match self.power.consent {
            Consent::MayRemember => true,
            Consent::EveryTime | Consent::StepUp | Consent::Warn => false,
        };
        let redirect = &self.request.redirect;
        allowed && redirect.kind() == RedirectKind::Https && !is_relay(redirect.as_str())
    }

    /// Warnings are confirmed one by one with the yes.
    pub(crate) fn needs_confirmation(&self) -> bool {
        match self.power.consent {
            Consent::StepUp | Consent::Warn => true,
            Consent::EveryTime | Consent::MayRemember => false,
        }
    }

    /// A success or error response for the client, with `state` and `iss` (MCP-AS-31).
    pub(crate) fn respond(&self, engine: &Engine, parameters: &[(&str, Option<&str>)]) -> String {
        respond(
            engine,
            &self.request.redirect,
            self.request.state.as_deref(),
            parameters,
        )
    }

    pub(crate) fn error(&self, engine: &Engine, error: &OAuthError) -> String {
        let parameters = [
            ("error", Some(error.code.as_str())),
            ("error_description", Some(&*error.description)),
        ];
        self.respond(engine, &parameters)
    }

    /// An error that the person may not have caused; [`Engine::tell`] decides how it goes.
    pub(crate) fn for_client(&self, engine: &Engine, error: OAuthError) -> ForClient {
        let request = &self.request;
        Returned::of(
            engine,
            &self.client,
            &request.redirect,
            request.state.as_deref(),
        )
        .for_client(error)
    }
}

/// RU-13: nobody vouches for the client.
fn is_stranger(client: &Client) -> bool {
    match client.assessment.trust {
        Trust::FirstParty | Trust::Known | Trust::Verified => false,
        Trust::Blocked | Trust::Held | Trust::Unverified => true,
    }
}

fn respond(
    engine: &Engine,
    redirect: &TrustedRedirect,
    state: Option<&str>,
    parameters: &[(&str, Option<&str>)],
) -> String {
    let mut all = parameters.to_vec();
    all.push(("state", state));
    all.push(("iss", Some(engine.config.issuer.as_str())));
    redirect.with_response(&all)
}

/// Why there is no [`Asked`].
pub(crate) enum NotAsked {
    /// Tell the person; send nothing anywhere.
    Show(FailurePage),
    /// Tell the client, at a place that it registered, if [`Engine::tell`] lets it.
    Return(ForClient),
}

/// An error that belongs to the client, and where it would be told.
pub(crate) struct ForClient {
    pub(crate) error: OAuthError,
    client: ClientKey,
    stranger: bool,
    to: String,
    host: String,
}

impl Engine {
    /// GET or POST `/authorize`.
    pub async fn authorize(&self, pairs: &[(String, String)], browser: &Browser) -> Reply {
        if let Err(seconds) = self.check_rate(Meter::Authorize, browser.source.bucket()) {
            return Step::Show(self.throttled_page(seconds)).into();
        }
        if let Err(reason) = self.readiness() {
            tracing::error!(reason, "an authorization request is refused");
            return Step::Show(self.busy_page()).into();
        }
        let asked = match self.read_authorize(pairs, browser).await {
            Ok(asked) => asked,
            Err(failure) => return self.refuse(failure, browser).await.into(),
        };
        let session = match self.session(browser).await {
            Ok(session) => session,
            Err(failure) => return Step::Show(self.store_page(&failure)).into(),
        };
        match session {
            Some((session, user)) if !self.must_sign_in(&asked, &session) => {
                self.go_on(asked, browser, &session, &user).await
            }
            _ => self.ask_to_sign_in(&asked, browser, None).await,
        }
    }

    /// From parameters to a request whose client, redirect URI, resource and scopes are known.
    async fn read_authorize(
        &self,
        pairs: &[(String, String)],
        browser: &Browser,
    ) -> Result<Asked, NotAsked> {
        let params = AuthorizeParams::from_pairs(pairs)
            .map_err(|error| self.shown(&error.description, None))?;
        let client_id = params
            .client_id()
            .ok_or_else(|| self.shown("The request does not say which app it is for.", None))?;
        let client = self
            .resolve_for_authorize(client_id, &browser.source)
            .await
            .map_err(|failure| NotAsked::Show(self.unresolved_page(client_id, &failure)))?;
        if let Some(uri) = params.request_uri() {
            let (request, hint, origin) = self.take_up_pushed(uri, &client)?;
            return self.understand(client, request, hint, origin);
        }
        let redirect =
            TrustedRedirect::matching(&client.metadata.redirect_uris, params.redirect_uri())
                .map_err(|failure| {
                    tracing::info!(client = ?client.key, %failure, "a redirect URI does not match");
                    self.shown(
                        "The app asks to be answered at an address that it has not registered.",
                        Some("Remove the server in your app and add it again."),
                    )
                })?;
        if !params.response_mode_is_supported() {
            return Err(self.shown(
                "The app asks for a response_mode that is not supported.",
                None,
            ));
        }
        let returned = Returned::of(self, &client, &redirect, params.state());
        if client.metadata.require_par {
            return Err(returned.error(OAuthError::new(
                ErrorCode::InvalidRequest,
                "this client must push its authorization requests",
            )));
        }
        let request =
            AuthorizationRequest::read(&params, redirect).map_err(|error| returned.error(error))?;
        let hint = self.read_hint(&params, &client);
        self.understand(client, request, hint, self.new_origin(None))
    }

    /// RFC 9126 §4: bound to its client, once, for 90 seconds; other parameters are ignored.
    fn take_up_pushed(
        &self,
        uri: &str,
        client: &Client,
    ) -> Result<(AuthorizationRequest, Option<Hint>, Origin), NotAsked> {
        let shown = |text| self.shown(text, Some("Start again from your app."));
        let sealed = uri
            .strip_prefix(crate::push::REQUEST_URI_PREFIX)
            .ok_or_else(|| shown("The request_uri is not one of this server."))?;
        let ticket = self.open_pushed(sealed).map_err(|failure| match failure {
            NoTicket::Expired => shown("The request has expired."),
            NoTicket::Foreign => shown("The request_uri is not one of this server."),
        })?;
        if ticket.client_id != client.client_id {
            return Err(shown("The request belongs to another app."));
        }
        let request = ticket
            .request(&client.metadata.redirect_uris)
            .ok_or_else(|| shown("The app has changed since it sent the request."))?;
        Ok((request, ticket.hint, ticket.origin))
    }

    /// Resource, scopes, power.
    pub(crate) fn understand(
        &self,
        client: Client,
        request: AuthorizationRequest,
        hint: Option<Hint>,
        origin: Origin,
    ) -> Result<Asked, NotAsked> {
        let returned = Returned::of(self, &client, &request.redirect, request.state.as_deref());
        let (resource, spec) = self
            .find_resource(&request.resource)
            .map_err(|error| returned.error(error))?;
        let redirect = request.redirect.as_str();
        let live = self.live_now();
        if live.standings.redirect_is_blocked(redirect, self.now()) {
            return Err(NotAsked::Show(self.refused_page(&client)));
        }
        let shape = client.shape(request.redirect.kind(), redirect);
        let power = live.power(&client, Some(shape));
        let (scopes, withheld) =
            find_scopes(&client, &request, spec, &power).map_err(|error| returned.error(error))?;
        if !client.metadata.grant_types.authorization_code {
            return Err(returned.error(OAuthError::new(
                ErrorCode::UnauthorizedClient,
                "the client is not registered for authorization codes",
            )));
        }
        Ok(Asked {
            client,
            request,
            resource,
            scopes,
            withheld,
            power,
            hint,
            origin,
        })
    }

    /// RI-02, RI-04, RI-09, QUIRK-26: one resource, the only or the default one without a name.
    pub(crate) fn find_resource(
        &self,
        asked: &[ResourceUri],
    ) -> Result<(ResourceUri, &ResourceSpec), OAuthError> {
        let target = |text| OAuthError::new(ErrorCode::InvalidTarget, text);
        match asked {
            [] => {
                let spec = self.config.resources.fallback().ok_or_else(|| {
                    target("the request names no resource, and there is no default")
                })?;
                Ok((spec.uri.clone(), spec))
            }
            [one] => self
                .known_resource(one)
                .ok_or_else(|| target("the resource is not known here")),
            _ => Err(target("ask for one resource at a time")),
        }
    }

    /// Outcome `step_up`: the sign-in must have been a fresh one when the request began. Looked at
    /// each time that the request goes on, so that a page from before the policy is no way around.
    pub(crate) fn must_step_up(asked: &Asked, session: &Session) -> bool {
        asked.power.consent == Consent::StepUp
            && asked.origin.since.since(session.auth_time) > STEP_UP_FRESH
    }

    /// The resource that this names and the form that becomes `aud`: as it was asked for
    /// (QUIRK-28), or the resource's own where the option lets its origin stand for it (QUIRK-27).
    pub(crate) fn known_resource(
        &self,
        asked: &ResourceUri,
    ) -> Option<(ResourceUri, &ResourceSpec)> {
        let resources = &self.config.resources;
        if let Some(spec) = resources.find(asked) {
            return Some((asked.clone(), spec));
        }
        if !self.config.origin_as_resource {
            return None;
        }
        let spec = resources.single_under_origin(asked)?;
        tracing::warn!(
            asked = asked.as_str(),
            taken = spec.uri.as_str(),
            "a client named an origin, which is taken for the one resource under it \
             (quirks.origin_as_resource)"
        );
        Some((spec.uri.clone(), spec))
    }

    /// OIDC-06, OIDC-07, OIDC-08.
    fn must_sign_in(&self, asked: &Asked, session: &Session) -> bool {
        let prompt = asked.request.prompt;
        if prompt.login || prompt.select_account || Self::must_step_up(asked, session) {
            return true;
        }
        match &asked.hint {
            Some(Hint::Nobody) => return true,
            Some(Hint::Person(person)) if *person != session.user => return true,
            Some(Hint::Person(_)) | None => {}
        }
        let max_age = asked
            .request
            .max_age
            .or(asked.client.metadata.default_max_age);
        max_age.is_some_and(|limit| self.now().since(session.auth_time).as_secs() >= limit.max(1))
    }

    /// Signed in: was this consented to before?
    pub(crate) async fn go_on(
        &self,
        mut asked: Asked,
        browser: &Browser,
        session: &Session,
        user: &User,
    ) -> Reply {
        // Whoever has just signed in is not the person that the client meant (OIDC-08).
        if matches!(&asked.hint, Some(Hint::Person(person)) if *person != user.id) {
            let error = OAuthError::new(ErrorCode::LoginRequired, "somebody else is signed in");
            let error = asked.for_client(self, error);
            return self.tell(error, browser).await.into();
        }
        if Self::must_step_up(&asked, session) {
            return self.ask_to_sign_in(&asked, browser, None).await;
        }
        self.note_decision(&asked.client, Action::Authorize);
        if let Err(error) = self.narrow(&mut asked, session, user) {
            let error = asked.for_client(self, error);
            return self.tell(error, browser).await.into();
        }
        if asked.client.is_held() {
            if asked.request.prompt.none {
                let error = OAuthError::new(
                    ErrorCode::InteractionRequired,
                    "the client waits for an administrator's approval",
                );
                let error = asked.for_client(self, error);
                return self.tell(error, browser).await.into();
            }
            return self.wait(&asked, browser, user).await;
        }
        match self.remembered(&asked, user).await {
            Ok(true) => self
                .approve(&asked, Yes::before(&asked), session, user, browser)
                .await
                .into(),
            Ok(false) if asked.request.prompt.none => {
                let error = OAuthError::new(ErrorCode::ConsentRequired, "consent is needed");
                let error = asked.for_client(self, error);
                self.tell(error, browser).await.into()
            }
            Ok(false) => match &browser.session {
                Some(cookie) => self.consent_page(&asked, cookie, user, Vec::new()).await,
                None => Step::Show(self.busy_page()),
            }
            .into(),
            Err(failure) => Step::Show(self.store_page(&failure)).into(),
        }
    }

    /// What the policies leave of the request for this person; the scopes that they take away are
    /// withheld.
    pub(crate) fn narrow(
        &self,
        asked: &mut Asked,
        session: &Session,
        user: &User,
    ) -> Result<(), OAuthError> {
        let denied = |text| OAuthError::new(ErrorCode::AccessDenied, text);
        let spec = self
            .config
            .resources
            .find(&asked.resource)
            .ok_or_else(|| denied("the resource is not known here"))?;
        let age = self.now().since(session.auth_time).as_secs();
        match self.permit(&asked.client, user, spec, &asked.scopes, age) {
            Permit::Refused(verdict) => {
                tracing::info!(client = ?asked.client.key, policies = ?verdict.reasons, "a request is refused");
                Err(denied(
                    "the policy of this hub does not let the app use this resource",
                ))
            }
            Permit::Scopes(left) if left.is_empty() => {
                Err(denied("the policy of this hub leaves none of the scopes"))
            }
            Permit::Scopes(left) => {
                let taken: ScopeSet = asked
                    .scopes
                    .iter()
                    .filter(|scope| !left.contains(scope.as_str()))
                    .cloned()
                    .collect();
                asked.withheld = asked.withheld.union(&taken);
                asked.scopes = left;
                Ok(())
            }
        }
    }

    /// Did this person say yes to this client, as it is now, and to all that it asks for?
    async fn remembered(&self, asked: &Asked, user: &User) -> Result<bool, StoreError> {
        if asked.request.prompt.consent || !asked.may_be_remembered() {
            return Ok(false);
        }
        let given = self
            .store
            .remembered_consent(
                &user.id,
                &asked.client.key,
                &asked.client.metadata.consent_digest(),
                asked.resource.as_str(),
                self.now(),
            )
            .await?;
        Ok(given.is_some_and(|given| asked.scopes.is_subset(&given)))
    }

    /// The live session of this browser.
    pub(crate) async fn session(
        &self,
        browser: &Browser,
    ) -> Result<Option<(Arc<Session>, Arc<User>)>, StoreError> {
        let Some(cookie) = &browser.session else {
            return Ok(None);
        };
        let hash = SessionHash::new(sha256(cookie.as_bytes()));
        self.find_session(&hash).await
    }

    /// The sign-in page, with the request in its form.
    pub(crate) async fn ask_to_sign_in(
        &self,
        asked: &Asked,
        browser: &Browser,
        problem: Option<SignInProblem>,
    ) -> Reply {
        if asked.request.prompt.none {
            let error = OAuthError::new(ErrorCode::LoginRequired, "nobody is signed in");
            let error = asked.for_client(self, error);
            return self.tell(error, browser).await.into();
        }
        let (cookie, change) = self.pre_session(browser);
        let ticket = Ticket::of(asked, binding_of(cookie.expose()));
        let page = SignInPage {
            ticket: Some(self.seal_ticket(Kind::Ticket, &ticket)),
            csrf: self.csrf(cookie.expose(), "sign-in"),
            username: asked.request.login_hint.clone().unwrap_or_default(),
            client_host: asked.client.document_host.clone(),
            client_name: name_of(&asked.client),
            problem,
            again: (asked.power.consent == Consent::StepUp && browser.session.is_some())
                .then_some("Sign in again: something about this app calls for care."),
            form_action: Some(asked.request.redirect.csp_source()),
        };
        Step::SignIn(page).before_sign_in(change)
    }

    /// The browser's pre-session cookie, or a new one.
    pub(crate) fn pre_session(&self, browser: &Browser) -> (Secret<String>, CookieChange) {
        match &browser.pre_session {
            Some(cookie) if cookie.len() == 43 + 4 => {
                (Secret::new(cookie.clone()), CookieChange::Keep)
            }
            _ => {
                let cookie = self.random_token("vps_");
                (cookie.clone(), CookieChange::Set(cookie))
            }
        }
    }

    /// The answer to a request that cannot be gone on with, at its first sight or later.
    pub(crate) async fn refuse(&self, failure: NotAsked, browser: &Browser) -> Step {
        match failure {
            NotAsked::Show(page) => Step::Show(page),
            NotAsked::Return(error) => self.tell(error, browser).await,
        }
    }

    /// An error that belongs to the client: returned, or offered to the person first. Every error
    /// that no person asked for goes through here.
    pub(crate) async fn tell(&self, told: ForClient, browser: &Browser) -> Step {
        if self.may_return(&told, browser).await {
            Step::Redirect(told.to)
        } else {
            Step::Leave(self.leave_page(told))
        }
    }

    /// May an error go to the client without a click (RU-13, A3)? Somebody must be signed in, unless
    /// the error says that nobody is; and where nobody vouches for the client, this person has, by
    /// a grant that is still alive.
    async fn may_return(&self, told: &ForClient, browser: &Browser) -> bool {
        if !told.stranger && told.error.code == ErrorCode::LoginRequired {
            return true;
        }
        let Ok(Some((_, user))) = self.session(browser).await else {
            return false;
        };
        if !told.stranger {
            return true;
        }
        let last = self.store.last_grant(&user.id, &told.client).await;
        last.is_ok_and(|last| last.is_some())
    }

    fn leave_page(&self, told: ForClient) -> LeavePage {
        let ForClient {
            error, to, host, ..
        } = told;
        LeavePage {
            host,
            to,
            explanation: format!("{} ({})", error.description, error.code.as_str()),
            reference: self.reference(&error.description),
        }
    }

    /// A short number that the person can quote and the log holds, for every page that says no.
    /// `what` is what the page says, and goes into the log beside it.
    pub fn reference(&self, what: &str) -> String {
        let number = u64::from_be_bytes(self.random());
        let reference = format!("{:04X}-{:06X}", number >> 48, number & 0xff_ffff);
        tracing::info!(reference, what, "an attempt ended");
        reference
    }

    pub(crate) fn failure_page(
        &self,
        status: FailureStatus,
        title: &'static str,
        explanation: &str,
        hint: Option<&str>,
    ) -> FailurePage {
        FailurePage {
            status,
            title,
            explanation: explanation.to_owned(),
            hint: hint.map(str::to_owned),
            reference: self.reference(explanation),
        }
    }

    fn shown(&self, explanation: &str, hint: Option<&str>) -> NotAsked {
        let title = "This request cannot be answered";
        NotAsked::Show(self.failure_page(FailureStatus::BadRequest, title, explanation, hint))
    }

    pub(crate) fn busy_page(&self) -> FailurePage {
        let status = FailureStatus::Unavailable { retry_after: 2 };
        self.failure_page(status, "Try again in a moment", "The hub is busy.", None)
    }

    pub(crate) fn store_page(&self, failure: &StoreError) -> FailurePage {
        tracing::error!(%failure, "the store failed");
        self.busy_page()
    }

    pub(crate) fn throttled_page(&self, retry_after: u64) -> FailurePage {
        let status = FailureStatus::TooMany { retry_after };
        let text = "There were too many requests from your network.";
        self.failure_page(status, "Try again in a moment", text, None)
    }

    /// What a person is told of a client that is not one. Neutral where more would help an
    /// attacker (F15), exact where it helps whoever runs the client.
    pub(crate) fn unresolved_page(&self, client_id: &str, failure: &Unresolved) -> FailurePage {
        let again = Some("Remove the server in your app and add it again; it will register anew.");
        let bad = FailureStatus::BadRequest;
        let (status, title, text, hint) = match failure {
            Unresolved::Store => return self.busy_page(),
            Unresolved::Blocked => return self.neutral_refusal(),
            Unresolved::DoorClosed(door) => (
                FailureStatus::Forbidden,
                "This app cannot connect here",
                match door {
                    Door::Cimd => "Apps that identify themselves by a metadata document (CIMD) are \
                                   not let in here: the setting `cimd` is off or does not list this one.",
                    Door::Admin | Door::Dcr => "Apps that register themselves are not let in here.",
                }
                .to_owned(),
                Some("Ask the administrator of this hub."),
            ),
            Unresolved::Expired(name) => (
                bad,
                "Reconnect your app",
                format!(
                    "The registration of {} is older than 90 days and was never used.",
                    name.as_deref().map_or_else(|| "the app".to_owned(), |name| format!("“{name}”"))
                ),
                again,
            ),
            Unresolved::Gone => {
                (bad, "Reconnect your app", "This app's registration was deleted.".to_owned(), again)
            }
            Unresolved::Malformed(rule) => {
                (bad, "Unknown app", format!("invalid_client: {rule}."), None)
            }
            Unresolved::Unknown => {
                (bad, "Unknown app", "invalid_client: nobody by this client_id is known here.".to_owned(), again)
            }
            Unresolved::Refused(policies) => {
                tracing::info!(client = ?ClientKey::of(client_id), ?policies, "the policies do not let a client in");
                return self.neutral_refusal();
            }
            Unresolved::Document(failure) => return self.document_page(client_id, failure),
        };
        tracing::info!(client = ?ClientKey::of(client_id), ?failure, "a client is not let in");
        self.failure_page(status, title, &text, hint)
    }

    /// CIMD-46: 400 for a bad document, 502 or 503 for a host that cannot be asked.
    fn document_page(&self, client_id: &str, failure: &ResolveError) -> FailurePage {
        tracing::info!(client = ?ClientKey::of(client_id), %failure, "a client's document is not to be had");
        let (status, text) = match failure {
            ResolveError::Busy => (
                FailureStatus::Unavailable { retry_after: 2 },
                "The hub is busy.".to_owned(),
            ),
            ResolveError::Throttled { retry_after } => (
                FailureStatus::Unavailable {
                    retry_after: *retry_after,
                },
                "Too many apps that are new here were asked for.".to_owned(),
            ),
            ResolveError::Unreachable { .. } => (
                FailureStatus::BadGateway,
                "The app's metadata document could not be fetched from its host.".to_owned(),
            ),
            ResolveError::Invalid { reason } => (
                FailureStatus::BadRequest,
                format!("invalid_client: the app's metadata document is not valid: {reason}."),
            ),
            ResolveError::Unacceptable { code, reason } => (
                FailureStatus::BadRequest,
                format!("{}: {reason}.", code.as_str()),
            ),
            ResolveError::Withdrawn(reason) => (
                FailureStatus::BadRequest,
                format!("invalid_client: the app's metadata document cannot be used: {reason}."),
            ),
        };
        self.failure_page(status, "The app could not be identified", &text, None)
    }
}

/// QUIRK-60, QUIRK-61, QUIRK-62, QUIRK-64: unknown scopes are ignored, none means the
/// resource's defaults, and what the client registered is no ceiling.
fn find_scopes(
    client: &Client,
    request: &AuthorizationRequest,
    spec: &ResourceSpec,
    power: &Power,
) -> Result<(ScopeSet, ScopeSet), OAuthError> {
    let identity = scope::identity_scopes();
    let known = |scope: &Scope| {
        spec.scope(scope.as_str()).is_some() || identity.contains_key(scope.as_str())
    };
    let asked = request.scope.as_ref().or(client.metadata.scope.as_ref());
    let mut scopes: ScopeSet = match asked {
        Some(asked) => asked.iter().filter(|scope| known(scope)).cloned().collect(),
        None => ScopeSet::default(),
    };
    let names_the_resource = scopes
        .iter()
        .any(|scope| spec.scope(scope.as_str()).is_some());
    // Who asks for `openid` alone wants no more; who asks for nothing wants the resource.
    let identity_only = request.scope.is_some() && scopes.contains(scope::OPENID);
    if !names_the_resource && !identity_only {
        let nothing_known = asked.is_some_and(|asked| !asked.is_empty()) && scopes.is_empty();
        if nothing_known && request.scope.is_some() {
            return Err(OAuthError::new(
                ErrorCode::InvalidScope,
                "none of the scopes is known at this resource",
            ));
        }
        scopes = scopes.union(&spec.default_scopes());
    }
    let allowed = under_ceiling(power, client.scope_ceiling.as_ref(), spec, &scopes);
    if allowed.is_empty() {
        return Err(OAuthError::new(
            ErrorCode::InvalidScope,
            "the client may have none of these scopes",
        ));
    }
    let withheld = scopes
        .iter()
        .filter(|scope| !allowed.contains(scope.as_str()))
        .cloned()
        .collect();
    Ok((allowed, withheld))
}

pub(crate) fn name_of(client: &Client) -> Option<String> {
    client
        .metadata
        .client_name
        .as_ref()
        .map(DisplayName::as_str)
        .map(str::to_owned)
}

pub(crate) fn host_of(asked: &Asked) -> String {
    asked.request.redirect.display_host().to_owned()
}

/// Where errors go once the redirect URI has matched.
struct Returned<'a> {
    engine: &'a Engine,
    client: ClientKey,
    stranger: bool,
    redirect: TrustedRedirect,
    state: Option<String>,
}

impl<'a> Returned<'a> {
    fn of(
        engine: &'a Engine,
        client: &Client,
        redirect: &TrustedRedirect,
        state: Option<&str>,
    ) -> Self {
        Self {
            engine,
            client: client.key,
            stranger: is_stranger(client),
            redirect: redirect.clone(),
            state: state.map(str::to_owned),
        }
    }

    fn error(&self, error: OAuthError) -> NotAsked {
        NotAsked::Return(self.for_client(error))
    }

    fn for_client(&self, error: OAuthError) -> ForClient {
        let parameters = [
            ("error", Some(error.code.as_str())),
            ("error_description", Some(&*error.description)),
        ];
        ForClient {
            client: self.client,
            stranger: self.stranger,
            to: respond(
                self.engine,
                &self.redirect,
                self.state.as_deref(),
                &parameters,
            ),
            host: self.redirect.display_host().to_owned(),
            error,
        }
    }
}
