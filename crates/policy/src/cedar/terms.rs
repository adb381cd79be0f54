//! Our words in Cedar's terms: names of entities, contexts, entities.
//!
//! Contexts are built from typed facts, without JSON and without a look at the schema for each
//! request: that costs more than the decision. `every_context_meets_the_schema` holds what this
//! rests on. Of the facts only those are built that some policy looks at ([`Needs`]).

use std::{collections::HashSet, str::FromStr, sync::LazyLock};

use cedar_policy::{
    Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, RestrictedExpression, Schema,
};
use vestibule_protocol::{
    scope::ScopeSpec,
    trust::{Action, Risk, Signal, Trust},
};

use super::{
    evaluate::{Ceiling, Person, Principal},
    inspect::{Fields, Needs},
};
use crate::facts::{COUNT_MAX, ClientFacts, Facts, SourceFacts};

/// What could not be put into Cedar's terms; never seen, and fails closed.
#[derive(Debug, thiserror::Error)]
#[error("the request could not be put before the policies: {0}")]
pub(super) struct TermError(String);

impl TermError {
    fn of(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

type Pairs = Vec<(String, RestrictedExpression)>;

/// Names of entity types, parsed once.
struct Types {
    access: EntityTypeName,
    action: EntityTypeName,
    client: EntityTypeName,
    door: EntityTypeName,
    group: EntityTypeName,
    hub: EntityTypeName,
    redirect: EntityTypeName,
    resource: EntityTypeName,
    risk: EntityTypeName,
    scope: EntityTypeName,
    signal: EntityTypeName,
    trust: EntityTypeName,
    user: EntityTypeName,
    user_agent: EntityTypeName,
}

static TYPES: LazyLock<Types> = LazyLock::new(|| Types {
    access: type_name("Access"),
    action: type_name("Action"),
    client: type_name("Client"),
    door: type_name("Door"),
    group: type_name("Group"),
    hub: type_name("Hub"),
    redirect: type_name("Redirect"),
    resource: type_name("Resource"),
    risk: type_name("Risk"),
    scope: type_name("Scope"),
    signal: type_name("Signal"),
    trust: type_name("Trust"),
    user: type_name("User"),
    user_agent: type_name("UserAgent"),
});

#[expect(
    clippy::expect_used,
    reason = "the names are constants, each an identifier"
)]
fn type_name(name: &str) -> EntityTypeName {
    EntityTypeName::from_str(name).expect("an identifier")
}

/// The schema, parsed once.
pub(super) static SCHEMA: LazyLock<Schema> = LazyLock::new(schema);

#[expect(
    clippy::expect_used,
    reason = "the schema is a constant, and every test of this crate parses it"
)]
fn schema() -> Schema {
    let (schema, _warnings) = Schema::from_cedarschema_str(super::SCHEMA).expect("our own schema");
    schema
}

pub(super) fn action(action: Action) -> EntityUid {
    uid(&TYPES.action, action.as_str())
}

pub(super) fn the_client() -> EntityUid {
    uid(&TYPES.client, "client")
}

pub(super) fn the_hub() -> EntityUid {
    uid(&TYPES.hub, "hub")
}

pub(super) fn principal(principal: Principal<'_>) -> EntityUid {
    match principal {
        Principal::Client => the_client(),
        Principal::Person(person) => user(person),
    }
}

pub(super) fn user(person: &Person<'_>) -> EntityUid {
    uid(&TYPES.user, person.id)
}

pub(super) fn resource(uri: &str) -> EntityUid {
    uid(&TYPES.resource, uri)
}

/// A URI and a scope token hold no space, so no two scopes share a name.
pub(super) fn scope(resource: &str, spec: &ScopeSpec) -> EntityUid {
    uid(&TYPES.scope, &format!("{resource} {}", spec.scope))
}

fn uid(of: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(of.clone(), EntityId::new(id))
}

// --- Contexts ----------------------------------------------------------------------------------

/// For `flag`.
pub(super) fn flag_context(facts: &Facts, needs: &Needs) -> Result<Context, TermError> {
    Context::from_pairs(request_pairs(facts, needs)?).map_err(TermError::of)
}

/// For `register` and `appear`; with `auth_age_s` for `authorize`.
pub(super) fn request_context(
    facts: &Facts,
    needs: &Needs,
    (trust, risk): (Trust, Risk),
    auth_age_s: Option<u64>,
) -> Result<Context, TermError> {
    let mut pairs = request_pairs(facts, needs)?;
    pairs.push(pair("trust", word(&TYPES.trust, trust.as_str())));
    pairs.push(pair("risk", word(&TYPES.risk, risk.as_str())));
    if let Some(age) = auth_age_s {
        let age = u32::try_from(age).unwrap_or(COUNT_MAX);
        pairs.push(pair("auth_age_s", count(age)));
    }
    Context::from_pairs(pairs).map_err(TermError::of)
}

/// For `grant` and `refresh`.
pub(super) fn scope_context<'a>(
    client: &ClientFacts,
    needs: &Needs,
    ceiling: Ceiling,
    missing: impl IntoIterator<Item = &'a Signal>,
) -> Result<Context, TermError> {
    let mut pairs = vec![
        pair("client", client_record(client, &needs.client)?),
        pair("trust", word(&TYPES.trust, ceiling.trust.as_str())),
        pair("risk", word(&TYPES.risk, ceiling.risk.as_str())),
        pair("ceiling_read_only", flag(ceiling.read_only)),
    ];
    if needs.missing {
        pairs.push(pair("missing", missing_set(missing)));
    }
    Context::from_pairs(pairs).map_err(TermError::of)
}

fn request_pairs(facts: &Facts, needs: &Needs) -> Result<Pairs, TermError> {
    let mut pairs = vec![
        pair("client", client_record(&facts.client, &needs.client)?),
        pair("source", source_record(&facts.source, &needs.source)?),
    ];
    if needs.missing {
        pairs.push(pair("missing", missing_set(&facts.missing)));
    }
    pairs.extend(facts.score.map(|score| pair("score", count(score))));
    Ok(pairs)
}

fn client_record(client: &ClientFacts, fields: &Fields) -> Result<RestrictedExpression, TermError> {
    let redirects = || {
        let shapes = client.redirects.iter();
        let shapes = shapes.map(|shape| word(&TYPES.redirect, shape.as_str()));
        RestrictedExpression::new_set(shapes)
    };
    let mut record = Record::new(fields);
    record.put("id", || text(&client.id));
    record.put_some("host", client.host.as_deref(), text);
    record.put("door", || word(&TYPES.door, client.door.as_str()));
    record.put("software", || text(&client.software));
    record.put("standing", || word(&TYPES.trust, client.standing.as_str()));
    record.put("confidential", || flag(client.confidential));
    record.put("catalogued", || flag(client.catalogued));
    record.put("redirects", redirects);
    record.put("days_known", || count(client.days_known));
    record.put("people", || count(client.people));
    record.put_some("lookalike_of", client.lookalike_of.as_deref(), text);
    record.put_some("claims", client.claims.as_deref(), text);
    record.put_some("homograph_of", client.homograph_of.as_deref(), text);
    record.put("mixed_script", || flag(client.mixed_script));
    record.put("quality", || count(client.quality));
    record.put("foreign_urls", || flag(client.foreign_urls));
    record.put("reports", || count(client.reports));
    record.put("changes_30d", || count(client.changes_30d));
    record.put("domain_proved", || flag(client.domain_proved));
    record.finish()
}

fn source_record(source: &SourceFacts, fields: &Fields) -> Result<RestrictedExpression, TermError> {
    // A dual-stack listener shows `::ffff:192.0.2.1`, which Cedar refuses and nobody means.
    let ip = || RestrictedExpression::new_ip(source.ip.to_canonical().to_string());
    let number = |number| RestrictedExpression::new_long(i64::from(number));
    let mut record = Record::new(fields);
    record.put("ip", ip);
    record.put_some("asn", source.asn, number);
    record.put_some("country", source.country.as_deref(), text);
    record.put("listed", || flag(source.listed));
    record.put("bad_reputation", || flag(source.bad_reputation));
    record.put("vendor_egress", || flag(source.vendor_egress));
    record.put("registrations_last_hour", || {
        count(source.registrations_last_hour)
    });
    record.put("software_last_hour", || count(source.software_last_hour));
    record.put("user_agent", || {
        word(&TYPES.user_agent, source.user_agent.as_str())
    });
    record.finish()
}

/// A record of those attributes that some policy looks at.
struct Record<'a> {
    fields: &'a Fields,
    pairs: Pairs,
}

impl<'a> Record<'a> {
    fn new(fields: &'a Fields) -> Self {
        Self {
            fields,
            pairs: Vec::new(),
        }
    }

    fn put(&mut self, name: &str, value: impl FnOnce() -> RestrictedExpression) {
        if self.fields.have(name) {
            self.pairs.push(pair(name, value()));
        }
    }

    fn put_some<T>(
        &mut self,
        name: &str,
        value: Option<T>,
        form: impl FnOnce(T) -> RestrictedExpression,
    ) {
        if let Some(value) = value {
            self.put(name, || form(value));
        }
    }

    fn finish(self) -> Result<RestrictedExpression, TermError> {
        RestrictedExpression::new_record(self.pairs).map_err(TermError::of)
    }
}

fn missing_set<'a>(missing: impl IntoIterator<Item = &'a Signal>) -> RestrictedExpression {
    let missing = missing.into_iter();
    RestrictedExpression::new_set(missing.map(|signal| word(&TYPES.signal, signal.as_str())))
}

fn pair(name: &str, value: RestrictedExpression) -> (String, RestrictedExpression) {
    (name.to_owned(), value)
}

fn word(of: &EntityTypeName, word: &str) -> RestrictedExpression {
    RestrictedExpression::new_entity_uid(uid(of, word))
}

fn text(value: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(value.to_owned())
}

fn flag(value: bool) -> RestrictedExpression {
    RestrictedExpression::new_bool(value)
}

fn count(value: u32) -> RestrictedExpression {
    RestrictedExpression::new_long(i64::from(value.min(COUNT_MAX)))
}

// --- Entities ----------------------------------------------------------------------------------

/// The person with their groups, and the resource.
pub(super) fn person_entities(person: &Person<'_>, uri: &str) -> Result<Entities, TermError> {
    let resource = Entity::new_no_attrs(resource(uri), HashSet::new());
    Entities::from_entities([user_entity(person), resource], None).map_err(TermError::of)
}

/// The scope that is asked for and who asks: a policy that looks at one that is not there would
/// fail, and a `forbid` that fails forbids nothing.
pub(super) fn scope_entities(
    who: Principal<'_>,
    uri: &str,
    spec: &ScopeSpec,
) -> Result<Entities, TermError> {
    let attributes = [
        ("name".to_owned(), text(spec.scope.as_str())),
        (
            "access".to_owned(),
            word(&TYPES.access, spec.access.as_str()),
        ),
    ];
    let parents = HashSet::from([resource(uri)]);
    let scope = Entity::new(scope(uri, spec), attributes.into(), parents).map_err(TermError::of)?;
    let mut entities = vec![scope, Entity::new_no_attrs(resource(uri), HashSet::new())];
    entities.push(match who {
        Principal::Client => Entity::new_no_attrs(the_client(), HashSet::new()),
        Principal::Person(person) => user_entity(person),
    });
    Entities::from_entities(entities, None).map_err(TermError::of)
}

fn user_entity(person: &Person<'_>) -> Entity {
    let groups = person.groups.iter().map(|group| uid(&TYPES.group, group));
    Entity::new_no_attrs(user(person), groups.collect())
}
