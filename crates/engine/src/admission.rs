//! Admission: who a client is to us, what is known of it and of the request, what the policies make
//! of that, and how the answer is kept.
//!
//! | Moment                     | What is asked                         | Here                      |
//! |----------------------------|---------------------------------------|---------------------------|
//! | it registers               | `flag`, `register`; sealed into its id | [`Engine::admit_registration`] |
//! | a person comes with it     | `flag`, at first sight `appear`       | [`Engine::assess`]        |
//! | a person is about to be asked | `authorize`, `grant` per scope     | [`Engine::permit`]        |
//! | a code or token is used    | `grant`, `refresh` per scope          | [`Engine::permitted`]     |
//!
//! A request's signals (source, flood, score) limit that request and the grant that comes of it;
//! the token endpoint looks at the client's standing and at what the grant was given under, so
//! nobody who floods clones of a victim's software can end the victim's grants.
//!
//! Not here: how a single signal is found (`policy::signals`), lifetimes (`policy::power`), the
//! queue of those who wait (`waiting`).

use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use arc_swap::ArcSwap;
use quick_cache::sync::Cache;
use vestibule_policy::{
    Arrival, Ceiling, Person, Principal, ScopeAsked, ScopeCeiling, Stage,
    decision::{Assessment, Friction, Reason, Verdict},
    facts::{ClientFacts, Facts},
    facts_json,
    signals::{
        ClientInputs, Feed, SourceInputs,
        address_list::NamedLists,
        client_facts,
        domain_proof::claimable,
        geo::Geo,
        history::{self, History},
        homograph::KnownHost,
        lookalike::OwnNames,
        missing,
        score::{ScoreQuestion, request_body},
        source_facts,
        velocity::{SourcePrefix, Velocity, VelocityKey},
    },
};
use vestibule_protocol::{
    client_id::ClientKey,
    client_metadata::DisplayName,
    redirect_uri::{RedirectKind, RedirectUri},
    resource_indicator::ResourceSpec,
    scope::{Scope, ScopeSet},
    time::Timestamp,
    trust::{Action, Door, Outcome, Risk, Signal, Standing, Trust},
};
use vestibule_store::{
    Store, StoreError,
    approvals::ApprovalPhase,
    decisions::DecisionRow,
    grants::Grant,
    standings::{Subject, Word},
    users::User,
    verifications::VerificationState,
};

use crate::{
    Engine, Source,
    clients::{Client, Unresolved},
    issue::IDENTITY_SCOPES,
    live::Live,
    score::Scores,
    sealed::Seen,
};

/// Sources and software whose arrivals of the last hour are counted at a time: about 8 MB.
const VELOCITY_KEYS: usize = 100_000;
/// Document clients whose first sight is remembered, so that it is counted once.
const FIRST_SIGHTS: usize = 50_000;
/// Arrivals of one source in an hour that count against the software they name.
const SHARE_IN_SOFTWARE: u32 = 5;
/// Clients whose comparison is remembered.
const COMPARED: usize = 10_000;
/// Shadow policies whose last line is remembered.
const SHADOW_POLICIES: usize = 500;
/// Decisions that wait to be written; more are dropped, since it is a log beside the work.
const DECISIONS_WAITING_MAX: usize = 2_000;
/// Words of admins, and proofs of domains, that a node holds, of each: about 50 MB together.
const STANDINGS_MAX: usize = 100_000;
const PAGE: usize = 500;
/// Pages of stored clients that are looked through for the hub's own.
const OWN_PAGES_MAX: usize = 40;
/// The synthetic reason of what the registration was assessed as.
const AT_REGISTRATION: &str = "at-registration";
/// The synthetic reason of a document that the catalogue stood in for.
const PINNED_DOCUMENT: &str = "pinned-document";

/// Signals from files. The binary reads them again when they change.
#[derive(Debug, Default)]
pub struct SignalFiles {
    /// An admin's lists: policies see `source.listed`.
    pub listed: NamedLists,
    /// Lists of addresses with a bad reputation; `None` if no file is configured.
    pub reputation: Option<NamedLists>,
    /// Countries by address.
    pub country: Option<Geo>,
    /// Networks by address.
    pub asn: Option<Geo>,
}

/// What a node holds in memory to assess by. Bounded, and forgotten at restart.
pub(crate) struct Signals {
    files: ArcSwap<SignalFiles>,
    velocity: Velocity,
    first_sights: Cache<ClientKey, ()>,
    scores: Option<Scores>,
    decisions: Mutex<VecDeque<Decided>>,
    /// What clients say of themselves, compared; see [`Compared`].
    compared: Cache<Compared, Arc<ClientFacts>>,
    /// The hub's own.
    own_hosts: [KnownHost; 1],
    /// The minute in which a shadow policy was last logged.
    shadow_logged: Cache<String, u64>,
}

impl Signals {
    pub(crate) fn new(files: SignalFiles, scores: Option<Scores>, own_host: &str) -> Self {
        Self {
            own_hosts: [KnownHost::of(own_host)],
            files: ArcSwap::from_pointee(files),
            velocity: Velocity::new(VELOCITY_KEYS, std::hash::RandomState::new()),
            first_sights: Cache::new(FIRST_SIGHTS),
            scores,
            decisions: Mutex::new(VecDeque::new()),
            compared: Cache::new(COMPARED),
            shadow_logged: Cache::new(SHADOW_POLICIES),
        }
    }
}

/// Who vouches for whom, who proved a domain, and who is blocked: all of it, in memory, since
/// every token request looks here.
#[derive(Debug, Default)]
pub(crate) struct Standings {
    words: HashMap<Subject, (Word, Option<Timestamp>)>,
    /// Domains that each client has proved.
    proved: HashMap<ClientKey, HashSet<String>>,
    /// Names of the hub's own clients.
    own_names: OwnNames,
    /// What there is more of than a node holds.
    cut: Vec<&'static str>,
    rows_max: usize,
}

impl Standings {
    /// Read all of it.
    pub(crate) async fn load(store: &dyn Store) -> Result<Self, StoreError> {
        Self::load_at_most(store, STANDINGS_MAX).await
    }

    /// Read the newest so many words, and as many proofs.
    pub(crate) async fn load_at_most(
        store: &dyn Store,
        rows_max: usize,
    ) -> Result<Self, StoreError> {
        let mut standings = Self {
            rows_max,
            ..Self::default()
        };
        standings.load_words(store).await?;
        standings.load_proofs(store).await?;
        let mut own: Vec<DisplayName> = Vec::new();
        let mut before = None;
        for _ in 0..OWN_PAGES_MAX {
            let rows = store.list_clients(before, PAGE).await?;
            let Some(last) = rows.last() else { break };
            before = Some((last.created_at, last.key));
            let ours = rows.into_iter().filter(|row| row.door == Door::Admin);
            own.extend(ours.filter_map(|row| row.metadata.client_name));
        }
        standings.own_names = OwnNames::new(own.iter().map(DisplayName::as_str));
        for problem in standings.incomplete() {
            tracing::error!(problem, "not everything is held in memory");
        }
        Ok(standings)
    }

    async fn load_words(&mut self, store: &dyn Store) -> Result<(), StoreError> {
        let mut before: Option<(Timestamp, Subject)> = None;
        loop {
            let mut rows = store.list_standings(before, PAGE).await?;
            let Some(last) = rows.last() else {
                return Ok(());
            };
            before = Some((last.at, last.subject));
            let cut = self.words.len() + rows.len() > self.rows_max;
            rows.truncate(self.rows_max - self.words.len());
            let words = rows.into_iter();
            self.words
                .extend(words.map(|row| (row.subject, (row.word, row.until))));
            if cut {
                self.cut.push("words of administrators");
                return Ok(());
            }
        }
    }

    async fn load_proofs(&mut self, store: &dyn Store) -> Result<(), StoreError> {
        let mut before: Option<(Timestamp, String)> = None;
        let mut held = 0;
        loop {
            let rows = store.list_verifications(before, PAGE).await?;
            let Some(last) = rows.last() else {
                return Ok(());
            };
            before = Some((last.created_at, last.id.clone()));
            let stands = |state| match state {
                VerificationState::Verified | VerificationState::Failing => true,
                VerificationState::Pending | VerificationState::Revoked => false,
            };
            for row in rows.into_iter().filter(|row| stands(row.state)) {
                if held == self.rows_max {
                    self.cut.push("proofs of domains");
                    return Ok(());
                }
                held += 1;
                self.proved
                    .entry(row.client)
                    .or_default()
                    .insert(row.domain);
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn words_held(&self) -> usize {
        self.words.len()
    }

    /// What an admin should know: what a node does not hold does not count.
    pub(crate) fn incomplete(&self) -> Vec<String> {
        let sentence = |what: &&str| {
            format!(
                "There are more {what} than the {} that a node holds; the oldest do not count",
                self.rows_max
            )
        };
        self.cut.iter().map(sentence).collect()
    }

    fn word(&self, subject: &Subject, now: Timestamp) -> Option<Word> {
        let (word, until) = self.words.get(subject)?;
        until.is_none_or(|until| now < until).then_some(*word)
    }

    /// Was this redirect blocked by its exact text?
    pub(crate) fn redirect_is_blocked(&self, uri: &str, now: Timestamp) -> bool {
        self.word(&Subject::redirect_uri(uri), now) == Some(Word::Blocked)
    }

    /// Did the client prove every domain that it claims, and does it claim one? A redirect that
    /// stays on the device claims nothing, and proves nothing about who listens there.
    fn has_proved(&self, client: &Client) -> bool {
        let Some(proved) = self.proved.get(&client.key) else {
            return false;
        };
        let claimed = claimable(&client.client_id, &client.metadata);
        let leads_away = |uri: &RedirectUri| uri.kind() == RedirectKind::Https;
        let all_lead_away = client.metadata.redirect_uris.iter().all(leads_away);
        !claimed.is_empty()
            && claimed.iter().all(|domain| proved.contains(domain))
            && (client.door == Door::Cimd || all_lead_away)
    }
}

/// Nothing is to be done with the client: an admin blocked its exact identity.
pub(crate) struct Blocked;

impl Live {
    /// Who is this client to us (design section 2)? Raised only explicitly: by an admin, a proved
    /// domain, or the catalogue's exact identities; never by a host.
    pub(crate) fn standing(&self, client: &Client, now: Timestamp) -> Result<Standing, Blocked> {
        let standings = &self.standings;
        if standings.word(&Subject::client(&client.key), now) == Some(Word::Blocked) {
            return Err(Blocked);
        }
        if client.door == Door::Admin {
            return Ok(client.standing);
        }
        if self.is_vouched(client, now) || standings.has_proved(client) {
            return Ok(Standing::Verified);
        }
        if self.is_catalogued(client) {
            return Ok(Standing::Known);
        }
        Ok(Standing::Unverified)
    }

    /// An admin vouches for exactly this client, or for every redirect that it has.
    fn is_vouched(&self, client: &Client, now: Timestamp) -> bool {
        let says = |subject| self.standings.word(&subject, now) == Some(Word::Verified);
        let redirects = &client.metadata.redirect_uris;
        let vouched = |uri: &RedirectUri| {
            uri.kind() == RedirectKind::Https && says(Subject::redirect_uri(uri.as_str()))
        };
        // A document may name anybody's redirect; only a registration is where its codes go.
        let by_redirects = client.door == Door::Dcr && !redirects.is_empty();
        says(Subject::client(&client.key)) || (by_redirects && redirects.iter().all(vouched))
    }

    fn is_catalogued(&self, client: &Client) -> bool {
        match client.door {
            Door::Admin => false,
            Door::Cimd => self.catalogue.known_by_id(&client.client_id).is_some(),
            Door::Dcr => {
                let redirects = &client.metadata.redirect_uris;
                self.catalogue.known_by_redirects(redirects, None).is_some()
            }
        }
    }

    /// What is known of a client before it is judged.
    fn client_inputs<'a>(
        &'a self,
        client: &'a Client,
        history: Option<History>,
        own_hosts: &'a [KnownHost],
        now: Timestamp,
    ) -> ClientInputs<'a> {
        let made_here = (client.door == Door::Admin).then_some(client.standing);
        ClientInputs {
            metadata: &client.metadata,
            door: client.door,
            client_id: (!client.client_id.is_empty()).then_some(client.client_id.as_str()),
            document_host: client.document_host.as_deref(),
            redirect_in_use: None,
            vouched: made_here
                .or_else(|| self.is_vouched(client, now).then_some(Standing::Verified)),
            domain_proved: self.standings.has_proved(client),
            history,
            now_s: now.seconds(),
            catalogue: &self.catalogue,
            own_names: &self.standings.own_names,
            own_hosts,
        }
    }
}

impl Engine {
    /// Take over signals whose files changed.
    pub fn replace_signal_files(&self, files: SignalFiles) {
        self.signals.files.store(Arc::new(files));
    }

    /// The client, assessed for a request that a person comes with. Blocked is an error; held is
    /// not: it may wait.
    pub(crate) async fn assess(
        &self,
        mut client: Client,
        source: &Source,
    ) -> Result<Client, Unresolved> {
        let live = self.live_now();
        let newcomer = !client.has_row() && client.door == Door::Cimd;
        // Counted once, judged each time until somebody said yes.
        if newcomer && self.signals.first_sights.get(&client.key).is_none() {
            self.signals.first_sights.insert(client.key, ());
            self.note_arrival(&live, &client, source);
        }
        let facts = self.look_at(&mut client, source, &live).await?;
        if newcomer {
            let verdict = live
                .policies
                .admits(Arrival::Appear, &facts, &client.assessment);
            if !verdict.allowed {
                return Err(Unresolved::Refused(verdict.reasons));
            }
        }
        self.signals
            .log_shadow(&client.assessment, &client, self.now());
        client.facts = Some(Arc::new(facts));
        self.lift(client, &live).await
    }

    /// The same judgement for an admin who looks: nothing is counted, and a client that is let into
    /// nothing is an answer.
    pub(crate) async fn judge(
        &self,
        mut client: Client,
        source: &Source,
        live: &Live,
    ) -> Result<(Client, Facts), Unresolved> {
        let facts = self.look_at(&mut client, source, live).await?;
        match self.lift(client.clone(), live).await {
            Ok(lifted) => Ok((lifted, facts)),
            Err(Unresolved::Refused(_)) => Ok((client, facts)),
            Err(failure) => Err(failure),
        }
    }

    /// Phases 1 and 2, now and as of the registration: leaves the assessment with the client.
    async fn look_at(
        &self,
        client: &mut Client,
        source: &Source,
        live: &Live,
    ) -> Result<Facts, StoreError> {
        if client.seen.is_none() && client.door == Door::Dcr {
            client.seen = self.seen_of(&client.client_id);
        }
        let known = self.history_of(client).await?;
        let facts = self.gather(live, client, source, Some(known)).await;
        let assessment = live.policies.assess(&facts);
        client.assessment = with_seen(&assessment, client.seen, client.standing);
        if client.pinned {
            let say = "The host of its document does not answer, so a copy from the catalogue of \
                       this hub is used";
            client.assessment = Arc::new(client.assessment.with(Reason {
                policy: PINNED_DOCUMENT.to_owned(),
                say: Some(say.to_owned()),
                outcomes: Vec::new(),
                risk: Risk::Low,
            }));
        }
        Ok(facts)
    }

    /// What the store knows of a client and its like.
    async fn history_of(&self, client: &Client) -> Result<History, StoreError> {
        let (recent, moment) = (&self.recent.histories, self.moment());
        if let Some(history) = recent.get(&client.key, moment) {
            return Ok(history);
        }
        let history = self.read_history(client).await?;
        recent.put(&client.key, moment, history);
        Ok(history)
    }

    async fn read_history(&self, client: &Client) -> Result<History, StoreError> {
        let now = self.now();
        let reports = self.store.count_reports(&client.key, now).await?;
        if !client.has_row() {
            return Ok(History {
                reports,
                ..History::default()
            });
        }
        let host = client.document_host.as_deref();
        let history = self
            .store
            .client_history(&client.key, &client.software, host, now)
            .await?;
        Ok(History {
            first_seen_s: history.first_seen.map(Timestamp::seconds),
            people: history.people,
            reports,
            changes_30d: history.changes_30d,
        })
    }

    /// An approval lifts `held` to `unverified`, never higher; what else was found stays.
    async fn lift(&self, mut client: Client, live: &Live) -> Result<Client, Unresolved> {
        // The DCR door's `approval` mode holds every registration that nobody stands for.
        let waits_at_the_door = client.door == Door::Dcr
            && live.settings.dcr == vestibule_protocol::trust::DcrMode::Approval
            && !client.vouched
            && !client.has_row()
            && client.assessment.trust == Trust::Unverified;
        if waits_at_the_door {
            client.assessment = Arc::new(client.assessment.with(Reason {
                policy: "door-approval".to_owned(),
                say: Some(
                    "Apps that register themselves wait for an administrator here".to_owned(),
                ),
                outcomes: vec![Outcome::Hold],
                risk: Risk::Low,
            }));
        }
        // High risk has no power at all, so it gets the neutral refusal too (design section 7).
        if client.assessment.trust == Trust::Blocked || client.assessment.risk == Risk::High {
            return Err(Unresolved::Refused(policy_ids(&client.assessment)));
        }
        if !client.is_held() {
            return Ok(client);
        }
        match self.approval_of(&client).await? {
            Some(ApprovalPhase::Approved) => {
                let mut lifted = (*client.assessment).clone();
                lifted.trust = Trust::Unverified;
                lifted.friction = lifted.friction.max(Friction::EveryTime);
                client.assessment = Arc::new(lifted);
                Ok(client)
            }
            Some(ApprovalPhase::Denied) => Err(Unresolved::Refused(policy_ids(&client.assessment))),
            Some(ApprovalPhase::Waiting) | None => Ok(client),
        }
    }

    /// A registration: count it, and let the policies say whether it may come in and how it is
    /// seen. No store call: a newcomer has no history.
    pub(crate) async fn admit_registration(
        &self,
        client: &Client,
        source: &Source,
    ) -> Result<Seen, Verdict> {
        let live = self.live_now();
        self.note_arrival(&live, client, source);
        let facts = self.gather(&live, client, source, None).await;
        let assessment = live.policies.assess(&facts);
        self.signals.log_shadow(&assessment, client, self.now());
        let verdict = live.policies.admits(Arrival::Register, &facts, &assessment);
        if verdict.allowed {
            // What others do in its name now must not stay with it when they have stopped.
            let mut alone = facts;
            alone.source.software_last_hour = 0;
            Ok(Seen::of(&live.policies.assess(&alone)))
        } else {
            Err(verdict)
        }
    }

    /// Everything that a policy may look at.
    async fn gather(
        &self,
        live: &Live,
        client: &Client,
        source: &Source,
        history: Option<History>,
    ) -> Facts {
        let files = self.signals.files.load_full();
        let now = self.now();
        let egress = live.catalogue.is_vendor_egress(source.ip);
        let software = &client.software;
        let counts = self
            .signals
            .velocity
            .counts(source.ip, software, egress, now.seconds());
        let source_inputs = SourceInputs {
            ip: source.ip,
            user_agent: source.user_agent.as_deref(),
            countries: feed(files.country.as_ref()),
            networks: feed(files.asn.as_ref()),
            lists: &files.listed,
            reputation: feed(files.reputation.as_ref()),
            counts,
            catalogue: &live.catalogue,
        };
        let mut source_facts = source_facts(&source_inputs);
        source_facts.listed |= live.listed.contains(source.ip);
        let own_hosts = &self.signals.own_hosts;
        let client_inputs = live.client_inputs(client, history, own_hosts, now);
        let client_facts = self.client_facts(live, client, &client_inputs);
        let score = match &self.signals.scores {
            None => Feed::Off,
            Some(scores) => {
                let question = request_body(&ScoreQuestion {
                    ip: source.ip,
                    country: source_facts.country.as_deref(),
                    asn: source_facts.asn,
                    client_name: client.metadata.client_name.as_ref(),
                    client_host: client.document_host.as_deref(),
                    redirects: &client.metadata.redirect_uris,
                    user_agent: source.user_agent.as_deref(),
                });
                let score = scores.score(&question, &question).await;
                score.map_or(Feed::Failed, Feed::Ready)
            }
        };
        let missing = missing(&client_inputs, &source_inputs, &source_facts, &score);
        Facts {
            client: client_facts,
            source: source_facts,
            score: match score {
                Feed::Ready(score) => Some(score),
                Feed::Failed | Feed::Off => None,
            },
            missing,
        }
    }

    /// What the id of a registration says about the moment that it was made.
    fn seen_of(&self, client_id: &str) -> Option<Seen> {
        self.opened(client_id).ok()?.seen
    }

    /// Phase 3 for a person: may this client ask them at this resource at all, and for which of
    /// the scopes? What is taken away is returned beside what is left.
    pub(crate) fn permit(
        &self,
        client: &Client,
        user: &User,
        spec: &ResourceSpec,
        scopes: &ScopeSet,
        auth_age_s: u64,
    ) -> Permit {
        let live = self.live_now();
        let groups = groups_of(user);
        let person = Person {
            id: user.id.as_str(),
            groups: &groups,
        };
        let resource = spec.uri.as_str();
        if let Some(facts) = &client.facts {
            let verdict =
                live.policies
                    .authorizes(&person, resource, facts, &client.assessment, auth_age_s);
            if !verdict.allowed {
                return Permit::Refused(verdict);
            }
        }
        let ceiling = live.ceiling(client, None);
        let principal = Principal::Person(&person);
        let asking = self.asking(&live, client, spec, ceiling);
        Permit::Scopes(permitted(&live, Stage::Grant, principal, &asking, scopes))
    }

    /// Phase 3 at the token endpoint: which of these scopes may be in a token now? `grant` is what
    /// was consented to; none for a client that acts for itself.
    pub(crate) fn permitted(
        &self,
        stage: Stage,
        client: &Client,
        grant: Option<(&Grant, &User)>,
        spec: &ResourceSpec,
        scopes: &ScopeSet,
    ) -> ScopeSet {
        let live = self.live_now();
        let ceiling = live.ceiling(client, grant.map(|(grant, _)| grant));
        let asking = self.asking(&live, client, spec, ceiling);
        match grant {
            Some((_, user)) => {
                let groups = groups_of(user);
                let person = Person {
                    id: user.id.as_str(),
                    groups: &groups,
                };
                permitted(&live, stage, Principal::Person(&person), &asking, scopes)
            }
            None => permitted(&live, stage, Principal::Client, &asking, scopes),
        }
    }

    /// Keep what was decided about a signed-in person's request, for `vestibule policy replay`.
    pub(crate) fn note_decision(&self, client: &Client, action: Action) {
        let Some(facts) = &client.facts else { return };
        let decided = Decided {
            at: self.now(),
            action,
            client: client.key,
            facts: Arc::clone(facts),
            assessment: Arc::clone(&client.assessment),
            policy_seq: self.live().heads.policy,
        };
        let mut waiting = self
            .signals
            .decisions
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < DECISIONS_WAITING_MAX {
            waiting.push_back(decided);
        }
    }

    /// Write what was decided since the last time. Runs each second.
    pub async fn flush_decisions(&self) -> Result<(), StoreError> {
        let decided = {
            let mut waiting = self
                .signals
                .decisions
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *waiting)
        };
        if decided.is_empty() {
            return Ok(());
        }
        let rows = decided.iter().map(Decided::row).collect();
        self.store.record_decisions(rows).await
    }
}

/// A decision that waits to be written.
struct Decided {
    at: Timestamp,
    action: Action,
    client: ClientKey,
    facts: Arc<Facts>,
    assessment: Arc<Assessment>,
    policy_seq: u64,
}

impl Decided {
    fn row(&self) -> DecisionRow {
        let assessment = &self.assessment;
        let outcomes = Outcome::ALL.iter().copied();
        let outcomes = outcomes.filter(|outcome| assessment.fired(*outcome));
        let outcomes: Vec<&str> = outcomes.map(Outcome::as_str).collect();
        DecisionRow {
            at: self.at,
            action: self.action.as_str().to_owned(),
            client: self.client,
            facts: facts_json::to_json(&without_host_part(&self.facts)).to_string(),
            trust: assessment.trust,
            risk: assessment.risk,
            outcomes: outcomes.join(" "),
            reasons: policy_ids(assessment).join(" "),
            policy_seq: self.policy_seq,
        }
    }
}

/// What phase 3 says of a request.
pub(crate) enum Permit {
    /// The resource's policy does not let this client ask.
    Refused(Verdict),
    /// What may be granted.
    Scopes(ScopeSet),
}

struct Asking<'a> {
    facts: ClientFacts,
    missing: BTreeSet<Signal>,
    spec: &'a ResourceSpec,
    ceiling: Ceiling,
}

/// Scopes that belong to no resource tell the client about the person; the ceiling alone judges
/// them.
fn permitted(
    live: &Live,
    stage: Stage,
    principal: Principal<'_>,
    asking: &Asking<'_>,
    scopes: &ScopeSet,
) -> ScopeSet {
    let allowed = |scope: &&Scope| {
        let name = scope.as_str();
        if IDENTITY_SCOPES.contains(&name) {
            return true;
        }
        let Some(spec) = asking.spec.scope(name) else {
            return false;
        };
        let asked = ScopeAsked {
            resource: asking.spec.uri.as_str(),
            scope: spec,
            client: &asking.facts,
            ceiling: asking.ceiling,
            missing: &asking.missing,
        };
        live.policies.grants(stage, principal, &asked).allowed
    };
    scopes.iter().filter(allowed).cloned().collect()
}

impl Engine {
    /// What a client says of itself, compared with the catalogue and the hub's own clients, and what
    /// the store remembers of it. The comparison is most of the work and stays the same while
    /// neither side changes, so it is remembered.
    fn client_facts(&self, live: &Live, client: &Client, inputs: &ClientInputs<'_>) -> ClientFacts {
        let compared = self.compared(live, client, inputs);
        let history = history::history(&inputs.history.unwrap_or_default(), inputs.now_s);
        ClientFacts {
            days_known: history.days_known,
            people: history.people,
            reports: history.reports,
            changes_30d: history.changes_30d,
            ..compared
        }
    }

    fn compared(&self, live: &Live, client: &Client, inputs: &ClientInputs<'_>) -> ClientFacts {
        let key = Compared {
            client: client.key,
            metadata: vestibule_seal::sha256(client.metadata.encode_stored().as_bytes()),
            vouched: inputs.vouched,
            proved: inputs.domain_proved,
            catalogue: live.heads.catalogue,
            lists: live.heads.lists,
        };
        if let Some(facts) = self.signals.compared.get(&key) {
            return (*facts).clone();
        }
        let facts = client_facts(inputs);
        self.signals.compared.insert(key, Arc::new(facts.clone()));
        facts
    }

    fn asking<'a>(
        &self,
        live: &Live,
        client: &Client,
        spec: &'a ResourceSpec,
        ceiling: Ceiling,
    ) -> Asking<'a> {
        let (facts, missing) = match &client.facts {
            Some(facts) => (facts.client.clone(), facts.missing.clone()),
            None => self.stable_facts(live, client),
        };
        Asking {
            facts,
            missing,
            spec,
            ceiling,
        }
    }

    /// What is known of a client without asking the store: for the token endpoint, where signals of
    /// the request play no part.
    fn stable_facts(&self, live: &Live, client: &Client) -> (ClientFacts, BTreeSet<Signal>) {
        let own_hosts = &self.signals.own_hosts;
        let inputs = live.client_inputs(client, None, own_hosts, self.now());
        let missing = BTreeSet::from([Signal::History]);
        (self.client_facts(live, client, &inputs), missing)
    }
}

/// What a comparison of a client depends on.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
struct Compared {
    client: ClientKey,
    metadata: [u8; 32],
    vouched: Option<Standing>,
    proved: bool,
    catalogue: u64,
    lists: u64,
}

fn feed<T>(file: Option<&T>) -> Feed<&T> {
    file.map_or(Feed::Off, Feed::Ready)
}

impl Live {
    /// The ceiling of a token: today's standing, and what the grant was given under.
    fn ceiling(&self, client: &Client, grant: Option<&Grant>) -> Ceiling {
        let power = match grant {
            Some(grant) => self.power_of_grant(client, grant),
            None => self.power(client, None),
        };
        Ceiling {
            trust: client.assessment.trust,
            risk: grant.map_or(client.assessment.risk, |grant| grant.risk),
            read_only: power.scopes != ScopeCeiling::All,
        }
    }
}

fn groups_of(user: &User) -> Vec<String> {
    if user.admin {
        vec!["admins".to_owned()]
    } else {
        Vec::new()
    }
}

/// The policies that spoke.
pub(crate) fn policy_ids(assessment: &Assessment) -> Vec<String> {
    let reasons = assessment.reasons.iter();
    reasons.map(|reason| reason.policy.clone()).collect()
}

/// The assessment at registration and today's, whichever is stricter, as long as nobody vouches
/// for the client. What is found today as well is said once.
fn with_seen(
    assessment: &Arc<Assessment>,
    seen: Option<Seen>,
    standing: Standing,
) -> Arc<Assessment> {
    let Some(seen) = seen.filter(|_| standing == Standing::Unverified) else {
        return Arc::clone(assessment);
    };
    let today = Seen::of(assessment);
    let fired: Vec<Outcome> = Outcome::ALL
        .iter()
        .copied()
        // What is only about being asked each time holds for every stranger anyway.
        .filter(|outcome| *outcome != Outcome::Unverified)
        .filter(|outcome| seen.fired(*outcome) && !today.fired(*outcome))
        .collect();
    // A policy may raise the risk by its tier alone.
    if fired.is_empty() && seen.risk <= assessment.risk {
        return Arc::clone(assessment);
    }
    let reason = Reason {
        policy: AT_REGISTRATION.to_owned(),
        say: Some("Something spoke against it when it registered".to_owned()),
        outcomes: fired,
        risk: seen.risk,
    };
    Arc::new(assessment.with(reason))
}

impl Engine {
    /// Count one that registers or is seen for the first time. The machine itself is no crowd:
    /// whoever comes from loopback is the operator, or everybody behind a proxy that was not
    /// configured, and a count would hold all of them for a flood.
    fn note_arrival(&self, live: &Live, client: &Client, source: &Source) {
        if source.ip.is_loopback() {
            return;
        }
        let (velocity, now) = (&self.signals.velocity, self.now().seconds());
        let prefix = VelocityKey::Source(SourcePrefix::of(source.ip));
        // One source has a small share in what a software is blamed for, or a single stranger could
        // make every copy of it look like a flood.
        if velocity.count(prefix, now) < SHARE_IN_SOFTWARE {
            let egress = live.catalogue.is_vendor_egress(source.ip);
            velocity.note_arrival(source.ip, &client.software, egress, now);
        } else {
            velocity.note(prefix, now);
        }
    }
}

impl Signals {
    /// Differences only, and each policy once a minute: a sample, not a record.
    fn log_shadow(&self, assessment: &Assessment, client: &Client, now: Timestamp) {
        let minute = now.seconds() / 60;
        for difference in &assessment.shadow {
            if self.shadow_logged.get(&difference.policy) == Some(minute) {
                continue;
            }
            self.shadow_logged.insert(difference.policy.clone(), minute);
            tracing::info!(
                client = ?client.key,
                policy = difference.policy,
                outcomes = ?difference.outcomes,
                "a shadow policy would have fired"
            );
        }
    }
}

/// What a log keeps of an address: IPv4 /24, IPv6 /48.
fn without_host_part(facts: &Facts) -> Facts {
    let mut facts = facts.clone();
    facts.source.ip = crate::source::prefix_address(facts.source.ip);
    facts
}
