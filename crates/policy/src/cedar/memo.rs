//! Decisions that were taken, by everything that they depend on. Bounded, so that strangers who
//! never repeat themselves cost time and no memory.

use std::{collections::BTreeSet, sync::Arc};

use quick_cache::{Equivalent, sync::Cache};
use vestibule_protocol::{
    scope::{Access, ScopeSpec},
    trust::{Action, Risk, Signal, Trust},
};

use super::evaluate::{Ceiling, Principal};
use crate::{
    decision::{Assessment, Verdict},
    facts::{ClientFacts, Facts},
};

/// Entries of each kind. A record of facts is about a kilobyte.
const ENTRIES_MAX: usize = 2_048;

pub(super) struct Memo {
    pub(super) assessments: Cache<Facts, Arc<Assessment>>,
    pub(super) arrivals: Cache<ArrivalKey, Verdict>,
    pub(super) requests: Cache<RequestKey, Verdict>,
    pub(super) scopes: Cache<ScopeKey, Verdict>,
}

impl Memo {
    pub(super) fn new() -> Self {
        Self {
            assessments: Cache::new(ENTRIES_MAX),
            arrivals: Cache::new(ENTRIES_MAX),
            requests: Cache::new(ENTRIES_MAX),
            scopes: Cache::new(ENTRIES_MAX),
        }
    }
}

/// Everything that a verdict on an arrival depends on; borrowed for the look-up.
#[derive(Clone, Copy, Hash)]
pub(super) struct ArrivalAsk<'a> {
    pub(super) action: Action,
    pub(super) trust: Trust,
    pub(super) risk: Risk,
    pub(super) facts: &'a Facts,
}

/// The same, owned. Its fields hash as [`ArrivalAsk`]'s do, in that order.
#[derive(Eq, Hash, PartialEq)]
pub(super) struct ArrivalKey {
    action: Action,
    trust: Trust,
    risk: Risk,
    facts: Facts,
}

impl From<ArrivalAsk<'_>> for ArrivalKey {
    fn from(ask: ArrivalAsk<'_>) -> Self {
        let ArrivalAsk {
            action,
            trust,
            risk,
            facts,
        } = ask;
        Self {
            action,
            trust,
            risk,
            facts: facts.clone(),
        }
    }
}

impl Equivalent<ArrivalKey> for ArrivalAsk<'_> {
    fn equivalent(&self, key: &ArrivalKey) -> bool {
        (self.action, self.trust, self.risk) == (key.action, key.trust, key.risk)
            && *self.facts == key.facts
    }
}

/// Everything that a verdict on a person's request depends on, where no policy looks at the age of
/// the sign-in; borrowed for the look-up.
#[derive(Clone, Copy, Hash)]
pub(super) struct RequestAsk<'a> {
    pub(super) person: (&'a str, &'a [String]),
    pub(super) resource: &'a str,
    pub(super) trust: Trust,
    pub(super) risk: Risk,
    pub(super) facts: &'a Facts,
}

/// The same, owned. Its fields hash as [`RequestAsk`]'s do, in that order.
#[derive(Eq, Hash, PartialEq)]
pub(super) struct RequestKey {
    person: (String, Vec<String>),
    resource: String,
    trust: Trust,
    risk: Risk,
    facts: Facts,
}

impl From<RequestAsk<'_>> for RequestKey {
    fn from(ask: RequestAsk<'_>) -> Self {
        Self {
            person: (ask.person.0.to_owned(), ask.person.1.to_vec()),
            resource: ask.resource.to_owned(),
            trust: ask.trust,
            risk: ask.risk,
            facts: ask.facts.clone(),
        }
    }
}

impl Equivalent<RequestKey> for RequestAsk<'_> {
    fn equivalent(&self, key: &RequestKey) -> bool {
        self.person == (key.person.0.as_str(), key.person.1.as_slice())
            && self.resource == key.resource
            && (self.trust, self.risk) == (key.trust, key.risk)
            && *self.facts == key.facts
    }
}

/// Everything that a verdict on a scope depends on; borrowed for the look-up.
#[derive(Clone, Copy, Hash)]
pub(super) struct ScopeAsk<'a> {
    pub(super) action: Action,
    person: Option<(&'a str, &'a [String])>,
    pub(super) resource: &'a str,
    scope: (&'a str, Access),
    pub(super) client: &'a ClientFacts,
    pub(super) ceiling: Ceiling,
    pub(super) missing: &'a BTreeSet<Signal>,
}

impl<'a> ScopeAsk<'a> {
    pub(super) fn new(
        action: Action,
        principal: Principal<'a>,
        (resource, spec): (&'a str, &'a ScopeSpec),
        client: &'a ClientFacts,
        ceiling: Ceiling,
        missing: &'a BTreeSet<Signal>,
    ) -> Self {
        let person = match principal {
            Principal::Client => None,
            Principal::Person(person) => Some((person.id, person.groups)),
        };
        let scope = (spec.scope.as_str(), spec.access);
        Self {
            action,
            person,
            resource,
            scope,
            client,
            ceiling,
            missing,
        }
    }
}

/// The same, owned. Its fields hash as [`ScopeAsk`]'s do, in that order.
#[derive(Eq, Hash, PartialEq)]
pub(super) struct ScopeKey {
    action: Action,
    person: Option<(String, Vec<String>)>,
    resource: String,
    scope: (String, Access),
    client: ClientFacts,
    ceiling: Ceiling,
    missing: BTreeSet<Signal>,
}

impl From<ScopeAsk<'_>> for ScopeKey {
    fn from(ask: ScopeAsk<'_>) -> Self {
        Self {
            action: ask.action,
            person: ask
                .person
                .map(|(id, groups)| (id.to_owned(), groups.to_vec())),
            resource: ask.resource.to_owned(),
            scope: (ask.scope.0.to_owned(), ask.scope.1),
            client: ask.client.clone(),
            ceiling: ask.ceiling,
            missing: ask.missing.clone(),
        }
    }
}

impl Equivalent<ScopeKey> for ScopeAsk<'_> {
    fn equivalent(&self, key: &ScopeKey) -> bool {
        let person = key.person.as_ref();
        self.action == key.action
            && self.person == person.map(|(id, groups)| (id.as_str(), groups.as_slice()))
            && self.resource == key.resource
            && self.scope == (key.scope.0.as_str(), key.scope.1)
            && *self.client == key.client
            && self.ceiling == key.ceiling
            && *self.missing == key.missing
    }
}
