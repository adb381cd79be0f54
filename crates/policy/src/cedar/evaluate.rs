//! How a compiled set decides, in three phases, failing closed (design-details A.2).
//!
//! 1. `flag`: which outcomes the client and its request deserve.
//! 2. `combine`: what they make of the standing.
//! 3. `register` or `appear`, `authorize`, then `grant` or `refresh` for each scope.
//!
//! Phase 1 cannot see what phase 2 makes of it, so there is no cycle. A policy that fails holds the
//! request in phase 1 and refuses it in phase 3. One set for each action: Cedar walks every policy
//! of a set.
//!
//! Not here: what a trust level may do. `power` gives held and blocked clients nothing, whatever a
//! `permit` says.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use cedar_policy::{
    Authorizer, Context, Decision, Entities, EntityUid, Policy, PolicySet, Request,
};
use vestibule_protocol::{
    scope::ScopeSpec,
    trust::{Action, Outcome, Risk, Signal, Trust},
};

use super::{
    combine::{Rule, combine, differences, risk_of},
    compile::PolicyProblem,
    inspect::Needs,
    memo::{ArrivalAsk, ArrivalKey, Memo, RequestAsk, RequestKey, ScopeAsk, ScopeKey},
    seen::seen,
    terms::{self, TermError},
};
use crate::{
    decision::{Assessment, Reason, Verdict},
    facts::{ClientFacts, Facts},
};

/// Reason where a policy could not be evaluated.
pub const POLICY_ERROR: &str = "policy-error";
/// Reason where no policy spoke.
pub const NOT_PERMITTED: &str = "not-permitted-by-any-policy";

/// A person who is asked, or whose grant it is.
#[derive(Clone, Copy, Debug)]
pub struct Person<'a> {
    /// Internal id.
    pub id: &'a str,
    /// Names of their groups.
    pub groups: &'a [String],
}

/// For whom a scope is.
#[derive(Clone, Copy, Debug)]
pub enum Principal<'a> {
    /// The client for itself (`client_credentials`).
    Client,
    /// A person.
    Person(&'a Person<'a>),
}

/// What the power table and the flags leave of a client's power.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Ceiling {
    /// Phase 2's.
    pub trust: Trust,
    /// Phase 2's.
    pub risk: Risk,
    /// Only scopes of access class `read`.
    pub read_only: bool,
}

/// How a client arrives.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Arrival {
    /// Its document is seen for the first time.
    Appear,
    /// It registers (RFC 7591).
    Register,
}

impl Arrival {
    fn action(self) -> Action {
        match self {
            Self::Appear => Action::Appear,
            Self::Register => Action::Register,
        }
    }
}

/// Where a scope goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stage {
    /// Into a grant, or into a token redeemed from it.
    Grant,
    /// Into a refreshed token.
    Refresh,
}

impl Stage {
    fn action(self) -> Action {
        match self {
            Self::Grant => Action::Grant,
            Self::Refresh => Action::Refresh,
        }
    }
}

/// One scope, and all that a policy may know when it is asked for it. Nothing of the request's
/// source is in here: that may limit the request, never a grant that exists.
#[derive(Clone, Copy, Debug)]
pub struct ScopeAsked<'a> {
    /// The resource's URI.
    pub resource: &'a str,
    /// Its scope.
    pub scope: &'a ScopeSpec,
    /// The client, as it is now.
    pub client: &'a ClientFacts,
    /// What its power leaves.
    pub ceiling: Ceiling,
    /// Signals that could not be had.
    pub missing: &'a BTreeSet<Signal>,
}

/// A compiled set of policies: what a text means, with a memory of what it decided.
pub struct Policies {
    sets: Sets,
    warnings: Vec<PolicyProblem>,
    memo: Memo,
}

impl std::fmt::Debug for Policies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ids: Vec<_> = self.sets.rules.keys().collect();
        f.debug_struct("Policies")
            .field("ids", &ids)
            .finish_non_exhaustive()
    }
}

impl Policies {
    pub(super) fn of(sets: Sets, warnings: Vec<PolicyProblem>) -> Self {
        Self {
            sets,
            warnings,
            memo: Memo::new(),
        }
    }

    /// What a writer should look at once more: guards that silently do not fire (design-details A.4).
    pub fn warnings(&self) -> &[PolicyProblem] {
        &self.warnings
    }

    /// Ids of all policies, shadow ones included, in order.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.sets.rules.keys().map(String::as_str)
    }

    /// The `@say` of a policy, for reasons that are only ids.
    pub fn say(&self, id: &str) -> Option<&str> {
        self.sets.rules.get(id)?.say.as_deref()
    }

    /// Phases 1 and 2: which flags fire, and what they make of the standing.
    pub fn assess(&self, facts: &Facts) -> Arc<Assessment> {
        let seen = self.sets.seen(Action::Flag, facts);
        if let Some(known) = self.memo.assessments.get(&seen) {
            return known;
        }
        let assessment = Arc::new(self.sets.assess(&seen));
        self.memo.assessments.insert(seen, Arc::clone(&assessment));
        assessment
    }

    /// [`Self::assess`] without a trace in the memory, for the many facts of a replay.
    pub(crate) fn assess_anew(&self, facts: &Facts) -> Assessment {
        self.sets.assess(facts)
    }

    /// How many decisions of each kind are remembered.
    #[cfg(test)]
    pub(super) fn remembered(&self) -> (usize, usize, usize) {
        let Memo {
            assessments,
            arrivals,
            scopes,
            ..
        } = &self.memo;
        (assessments.len(), arrivals.len(), scopes.len())
    }

    /// Phase 3 for a client that registers or is seen for the first time.
    ///
    /// A blocked client is refused whatever `register` and `appear` permit, with the policies that
    /// block it as the reasons. A held one is for them to judge: it may wait inside.
    pub fn admits(&self, arrival: Arrival, facts: &Facts, assessment: &Assessment) -> Verdict {
        if assessment.trust == Trust::Blocked {
            return blocked(assessment);
        }
        let action = arrival.action();
        let seen = self.sets.seen(action, facts);
        let ask = ArrivalAsk {
            action,
            trust: assessment.trust,
            risk: assessment.risk,
            facts: &seen,
        };
        if let Some(known) = self.memo.arrivals.get(&ask) {
            return known;
        }
        let verdict = self.sets.admits(action, &seen, assessment);
        self.memo
            .arrivals
            .insert(ArrivalKey::from(ask), verdict.clone());
        verdict
    }

    /// Phase 3 before a person is asked. `auth_age_s`: seconds since they signed in.
    ///
    /// Remembered unless a policy looks at that age, which is another one each time.
    pub fn authorizes(
        &self,
        person: &Person<'_>,
        resource: &str,
        facts: &Facts,
        assessment: &Assessment,
        auth_age_s: u64,
    ) -> Verdict {
        let set = self.sets.by_action.get(&Action::Authorize);
        if set.is_none_or(|set| set.needs.auth_age) {
            return self.authorizes_anew(person, resource, facts, assessment, auth_age_s);
        }
        let seen = self.sets.seen(Action::Authorize, facts);
        let ask = RequestAsk {
            person: (person.id, person.groups),
            resource,
            trust: assessment.trust,
            risk: assessment.risk,
            facts: &seen,
        };
        if let Some(known) = self.memo.requests.get(&ask) {
            return known;
        }
        let verdict = self.authorizes_anew(person, resource, &seen, assessment, auth_age_s);
        self.memo
            .requests
            .insert(RequestKey::from(ask), verdict.clone());
        verdict
    }

    fn authorizes_anew(
        &self,
        person: &Person<'_>,
        resource: &str,
        facts: &Facts,
        assessment: &Assessment,
        auth_age_s: u64,
    ) -> Verdict {
        let found = (assessment.trust, assessment.risk);
        let context = |needs: &Needs| terms::request_context(facts, needs, found, Some(auth_age_s));
        let entities = terms::person_entities(person, resource);
        let parties = Parties {
            principal: terms::user(person),
            action: Action::Authorize,
            resource: terms::resource(resource),
        };
        self.sets.verdict(parties, context, entities)
    }

    /// Phase 3 for one scope, when a grant is made, redeemed or refreshed.
    pub fn grants(
        &self,
        stage: Stage,
        principal: Principal<'_>,
        asked: &ScopeAsked<'_>,
    ) -> Verdict {
        let ScopeAsked {
            resource,
            scope,
            client,
            ceiling,
            missing,
        } = *asked;
        let action = stage.action();
        let ask = ScopeAsk::new(
            action,
            principal,
            (resource, scope),
            client,
            ceiling,
            missing,
        );
        if let Some(known) = self.memo.scopes.get(&ask) {
            return known;
        }
        let parties = Parties {
            principal: terms::principal(principal),
            action,
            resource: terms::scope(resource, scope),
        };
        let context = |needs: &Needs| terms::scope_context(client, needs, ceiling, missing);
        let entities = terms::scope_entities(principal, resource, scope);
        let verdict = self.sets.verdict(parties, context, entities);
        self.memo
            .scopes
            .insert(ScopeKey::from(ask), verdict.clone());
        verdict
    }
}

fn blocked(assessment: &Assessment) -> Verdict {
    let blocks = |reason: &&Reason| reason.outcomes.contains(&Outcome::Block);
    let blocking = assessment.reasons.iter().filter(blocks);
    let mut reasons: Vec<_> = blocking.map(|reason| reason.policy.clone()).collect();
    if reasons.is_empty() {
        reasons.push(NOT_PERMITTED.to_owned());
    }
    Verdict {
        allowed: false,
        reasons,
        shadow: Vec::new(),
    }
}

// --- The sets ----------------------------------------------------------------------------------

/// One action's policies.
struct Set {
    live: PolicySet,
    /// What is evaluated aside: the shadow policies, with the live ones where a `forbid` of one
    /// could meet a `permit` of the other. None where the action has no shadow policy.
    aside: Option<PolicySet>,
    /// What any of them looks at.
    needs: Needs,
}

/// One policy on its way into a set.
#[derive(Clone, Copy)]
pub(super) struct Member<'a> {
    pub(super) action: Action,
    pub(super) shadow: bool,
    pub(super) policy: &'a Policy,
    pub(super) rule: &'a Rule,
    pub(super) needs: &'a Needs,
}

/// The policies, split by action, and what their annotations say.
pub(super) struct Sets {
    by_action: BTreeMap<Action, Set>,
    rules: BTreeMap<String, Rule>,
}

/// Who asks for what.
#[derive(Clone)]
pub(super) struct Parties {
    pub(super) principal: EntityUid,
    pub(super) action: Action,
    pub(super) resource: EntityUid,
}

impl Parties {
    pub(super) fn arrival(action: Action) -> Self {
        Self {
            principal: terms::the_client(),
            action,
            resource: terms::the_hub(),
        }
    }
}

/// What a set says.
#[derive(Default)]
pub(super) struct Answer {
    pub(super) allowed: bool,
    pub(super) fired: Vec<String>,
    /// `policy: message` for each that failed.
    pub(super) faults: Vec<String>,
}

impl Answer {
    fn fault(error: impl std::fmt::Display) -> Self {
        Self {
            faults: vec![error.to_string()],
            ..Self::default()
        }
    }
}

impl Sets {
    /// Errors: two policies with one id.
    pub(super) fn new(members: &[Member<'_>]) -> Result<Self, String> {
        let mut by_action = BTreeMap::new();
        for action in Action::ALL {
            let of_action = members.iter().filter(|member| member.action == *action);
            let needs = of_action.clone().fold(Needs::default(), |needs, member| {
                needs.merge(member.needs.clone())
            });
            let (shadow, live): (Vec<_>, Vec<_>) = of_action.partition(|member| member.shadow);
            let set = |members: &[&[&Member<'_>]]| {
                let policies = members.iter().copied().flatten();
                let policies = policies.map(|member| member.policy.clone());
                PolicySet::from_policies(policies).map_err(|error| error.to_string())
            };
            let aside = match (shadow.is_empty(), action) {
                (true, _) => None,
                (false, Action::Flag) => Some(set(&[&shadow])?),
                (false, _) => Some(set(&[&live, &shadow])?),
            };
            by_action.insert(
                *action,
                Set {
                    live: set(&[&live])?,
                    aside,
                    needs,
                },
            );
        }
        let rules = members
            .iter()
            .map(|member| (member.rule.id.clone(), member.rule.clone()));
        Ok(Self {
            by_action,
            rules: rules.collect(),
        })
    }

    /// What the policies of an action look at.
    fn seen(&self, action: Action, facts: &Facts) -> Facts {
        match self.by_action.get(&action) {
            Some(set) => seen(facts, &set.needs),
            None => facts.clone(),
        }
    }

    /// Phases 1 and 2, computed.
    pub(super) fn assess(&self, facts: &Facts) -> Assessment {
        let Some(set) = self.by_action.get(&Action::Flag) else {
            return self.flagged(facts, Answer::fault("no set of flags"));
        };
        let context = match terms::flag_context(facts, &set.needs) {
            Ok(context) => context,
            Err(error) => return self.flagged(facts, Answer::fault(error)),
        };
        let parties = Parties::arrival(Action::Flag);
        let nobody = Entities::empty();
        let Some(aside) = &set.aside else {
            return self.flagged(facts, ask(&set.live, parties, context, &nobody));
        };
        let live = ask(&set.live, parties.clone(), context.clone(), &nobody);
        // Its errors are its own: a shadow policy changes nothing.
        let shadow = ask(aside, parties, context, &nobody);
        let assessment = self.flagged(facts, live);
        let rules = shadow.fired.iter().filter_map(|id| self.rules.get(id));
        let shadow = differences(&assessment, rules);
        Assessment {
            shadow,
            ..assessment
        }
    }

    fn flagged(&self, facts: &Facts, answer: Answer) -> Assessment {
        let fired = answer.fired.iter().filter_map(|id| self.rules.get(id));
        let mut reasons: Vec<_> = fired.map(Rule::reason).collect();
        if !answer.faults.is_empty() {
            let outcomes = vec![Outcome::Hold];
            reasons.push(Reason {
                policy: POLICY_ERROR.to_owned(),
                say: Some("A rule of this hub could not be evaluated".to_owned()),
                risk: risk_of(&outcomes),
                outcomes,
            });
        }
        let assessment = combine(facts.client.standing, reasons);
        Assessment {
            faults: answer.faults,
            ..assessment
        }
    }

    fn admits(&self, action: Action, facts: &Facts, assessment: &Assessment) -> Verdict {
        let found = (assessment.trust, assessment.risk);
        let context = |needs: &Needs| terms::request_context(facts, needs, found, None);
        self.verdict(Parties::arrival(action), context, Ok(Entities::empty()))
    }

    /// Phase 3: permitted, not forbidden, and nothing failed.
    fn verdict(
        &self,
        parties: Parties,
        context: impl FnOnce(&Needs) -> Result<Context, TermError>,
        entities: Result<Entities, TermError>,
    ) -> Verdict {
        let Some(set) = self.by_action.get(&parties.action) else {
            return refused_by_a_fault(vec!["no set of policies".to_owned()]);
        };
        let (context, entities) = match (context(&set.needs), entities) {
            (Ok(context), Ok(entities)) => (context, entities),
            (Err(error), _) | (_, Err(error)) => {
                return refused_by_a_fault(vec![error.to_string()]);
            }
        };
        let Some(aside) = &set.aside else {
            return verdict_of(ask(&set.live, parties, context, &entities));
        };
        let live = verdict_of(ask(&set.live, parties.clone(), context.clone(), &entities));
        let with_shadow = ask(aside, parties, context, &entities);
        if with_shadow.allowed == live.allowed
            || live.reasons.iter().any(|reason| reason == POLICY_ERROR)
        {
            return live;
        }
        let shadow = with_shadow
            .fired
            .into_iter()
            .filter(|id| !live.reasons.contains(id));
        Verdict {
            shadow: shadow.collect(),
            ..live
        }
    }

    /// Evaluation errors of everything that would be asked; for the dry run.
    pub(super) fn faults(
        &self,
        parties: &Parties,
        context: impl FnOnce(&Needs) -> Result<Context, TermError>,
        entities: &Entities,
    ) -> Vec<String> {
        let Some(set) = self.by_action.get(&parties.action) else {
            return vec!["no set of policies".to_owned()];
        };
        let context = match context(&set.needs) {
            Ok(context) => context,
            Err(error) => return vec![error.to_string()],
        };
        let sets = std::iter::once(&set.live).chain(&set.aside);
        let answers = sets.map(|set| ask(set, parties.clone(), context.clone(), entities));
        answers.flat_map(|answer| answer.faults).collect()
    }
}

fn ask(set: &PolicySet, parties: Parties, context: Context, entities: &Entities) -> Answer {
    let Parties {
        principal,
        action,
        resource,
    } = parties;
    let request = match Request::new(principal, terms::action(action), resource, context, None) {
        Ok(request) => request,
        Err(error) => return Answer::fault(error),
    };
    let response = Authorizer::new().is_authorized(&request, set, entities);
    let diagnostics = response.diagnostics();
    Answer {
        allowed: response.decision() == Decision::Allow,
        fired: diagnostics.reason().map(ToString::to_string).collect(),
        faults: diagnostics.errors().map(ToString::to_string).collect(),
    }
}

fn verdict_of(answer: Answer) -> Verdict {
    if !answer.faults.is_empty() {
        return refused_by_a_fault(answer.faults);
    }
    let mut reasons = answer.fired;
    reasons.sort();
    if reasons.is_empty() {
        reasons.push(NOT_PERMITTED.to_owned());
    }
    Verdict {
        allowed: answer.allowed,
        reasons,
        shadow: Vec::new(),
    }
}

fn refused_by_a_fault(faults: Vec<String>) -> Verdict {
    let reasons = [vec![POLICY_ERROR.to_owned()], faults].concat();
    Verdict {
        allowed: false,
        reasons,
        shadow: Vec::new(),
    }
}
