//! From text to a set that may serve: parsed, strictly validated, and held to the save-time rules.
//!
//! | Rule (design-details A.1)                               | Enforced by       |
//! |---------------------------------------------------------|-------------------|
//! | (a) `@id` is there, and unique                          | [`Drafts::push`]  |
//! | (b) exactly one action                                  | [`one_action`]    |
//! | (c) a flag permits, with `@outcome`; others have none   | [`rule`]          |
//! | (d) no unknown annotation                               | [`annotations`]   |
//! | (e) no arithmetic: overflow is an evaluation error      | [`check_contents`]|
//! | (f) each action that decides has a live `permit`        | [`check_permits`] |
//! | (g) no evaluation error over the built-in corpus        | [`Policies::compile`] |
//!
//! Validation's warnings are errors: a condition that is always false is a rule that never works.

use std::{collections::BTreeMap, str::FromStr};

use cedar_policy::{
    ActionConstraint, Effect, Policy, PolicyId, PolicySet, ValidationMode, Validator,
    ffi::DetailedError,
};
use vestibule_protocol::trust::{Action, Outcome, Risk};

use super::{
    combine::{Rule, risk_of},
    corpus,
    evaluate::{Member, NOT_PERMITTED, POLICY_ERROR, Policies, Sets},
    inspect::{Contents, contents},
    source::{DEPTH_MAX, LINKS_MAX, POLICY_BYTES_MAX, Statement, place, statements},
    terms,
};

/// Longest policy text, in bytes.
pub const TEXT_BYTES_MAX: usize = 256 * 1024;
/// Most policies in a text.
pub const POLICIES_MAX: usize = 500;
const ID_CHARS_MAX: usize = 64;
const SAY_CHARS_MAX: usize = 120;

/// What is wrong with a policy text, and where. `Display` is for people who write policies.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct PolicyProblem {
    /// 1-based.
    pub line: u32,
    /// 1-based, in characters.
    pub column: u32,
    /// The `@id` of the policy, where it has one.
    pub policy: Option<String>,
    /// What is wrong, and how to mend it where that is known.
    pub message: String,
}

impl std::fmt::Display for PolicyProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}: ", self.line, self.column)?;
        if let Some(policy) = &self.policy {
            write!(f, "`{policy}`: ")?;
        }
        f.write_str(&self.message)
    }
}

impl Policies {
    /// Compile a text that an admin saves, or that a preset ships.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, in order of place; never an empty list.
    pub fn compile(text: &str) -> Result<Self, Vec<PolicyProblem>> {
        let found = parse(text)?;
        let mut drafts = Drafts::new(text);
        for (statement, policy) in found {
            drafts.push(statement, &policy);
        }
        drafts.validate();
        check_permits(&mut drafts);
        let drafts = drafts.finish()?;
        let warnings = guards_without_companion(&drafts);
        let members = drafts.all.iter().map(Draft::member).collect::<Vec<_>>();
        let sets = Sets::new(&members).map_err(|error| vec![problem_at_the_start(error)])?;
        let faults = corpus::faults(&sets);
        if faults.is_empty() {
            return Ok(Self::of(sets, warnings));
        }
        let problem = |fault| {
            problem_at_the_start(format!(
                "fails while it is evaluated, which is never so when it can be saved: {fault}"
            ))
        };
        Err(faults.into_iter().map(problem).collect())
    }
}

/// One policy that met its own rules.
struct Draft {
    action: Action,
    shadow: bool,
    statement: Statement,
    policy: Policy,
    rule: Rule,
    contents: Contents,
}

impl Draft {
    fn member(&self) -> Member<'_> {
        let Self {
            action,
            shadow,
            policy,
            rule,
            contents,
            ..
        } = self;
        let needs = &contents.needs;
        Member {
            action: *action,
            shadow: *shadow,
            policy,
            rule,
            needs,
        }
    }
}

/// The policies of one text on their way, and what is wrong with them.
struct Drafts<'a> {
    text: &'a str,
    all: Vec<Draft>,
    problems: Vec<PolicyProblem>,
}

impl<'a> Drafts<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text,
            all: Vec::new(),
            problems: Vec::new(),
        }
    }

    fn problem(&mut self, offset: usize, policy: Option<&str>, message: impl Into<String>) {
        let (line, column) = place(self.text, offset);
        let policy = policy.map(str::to_owned);
        self.problems.push(PolicyProblem {
            line,
            column,
            policy,
            message: message.into(),
        });
    }

    fn push(&mut self, statement: Statement, policy: &Policy) {
        let id = policy.annotation("id").map(str::to_owned);
        match draft(statement, policy) {
            Err(messages) => {
                for message in messages {
                    self.problem(statement.start, id.as_deref(), message);
                }
            }
            Ok(new) if self.all.iter().any(|draft| draft.rule.id == new.rule.id) => {
                self.problem(
                    statement.start,
                    id.as_deref(),
                    "another policy has this `@id`",
                );
            }
            Ok(new) => self.all.push(new),
        }
    }

    /// Cedar's strict validation, whose warnings count.
    fn validate(&mut self) {
        let policies = self.all.iter().map(|draft| draft.policy.clone());
        let set = match PolicySet::from_policies(policies) {
            Ok(set) => set,
            Err(error) => return self.problem(0, None, error.to_string()),
        };
        let result = Validator::new(terms::SCHEMA.clone()).validate(&set, ValidationMode::Strict);
        for error in result.validation_errors() {
            self.validation_problem(error.policy_id(), &DetailedError::from(error));
        }
        for warning in result.validation_warnings() {
            self.validation_problem(warning.policy_id(), &DetailedError::from(warning));
        }
    }

    fn validation_problem(&mut self, policy: &PolicyId, error: &DetailedError) {
        let id: &str = policy.as_ref();
        let named = error.source_locations.first().map(|label| label.loc.start);
        let drafted = self.all.iter().find(|draft| draft.rule.id == id);
        let offset = named.or(drafted.map(|draft| draft.statement.start));
        self.problem(offset.unwrap_or(0), Some(id), in_words(error));
    }

    fn finish(mut self) -> Result<Self, Vec<PolicyProblem>> {
        if self.problems.is_empty() {
            return Ok(self);
        }
        self.problems.sort();
        self.problems.dedup();
        Err(self.problems)
    }
}

fn problem_at_the_start(message: impl Into<String>) -> PolicyProblem {
    PolicyProblem {
        line: 1,
        column: 1,
        policy: None,
        message: message.into(),
    }
}

/// The text's policies, each with its place.
fn parse(text: &str) -> Result<Vec<(Statement, Policy)>, Vec<PolicyProblem>> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(vec![problem_at_the_start(format!(
            "longer than {TEXT_BYTES_MAX} bytes"
        ))]);
    }
    let mut drafts = Drafts::new(text);
    let statements = statements(text);
    if statements.len() > POLICIES_MAX {
        drafts.problem(0, None, format!("more than {POLICIES_MAX} policies"));
    }
    for statement in &statements {
        let Statement {
            start,
            bytes,
            depth,
            links,
        } = *statement;
        for (broken, message) in [
            (
                bytes > POLICY_BYTES_MAX,
                format!("a policy is longer than {POLICY_BYTES_MAX} bytes"),
            ),
            (depth > DEPTH_MAX, format!("nests deeper than {DEPTH_MAX}")),
            (
                links > LINKS_MAX,
                format!("more than {LINKS_MAX} of `&&`, `||`, `.`, `[` and `if`"),
            ),
        ] {
            if broken {
                drafts.problem(start, None, message);
            }
        }
    }
    let mut drafts = drafts.finish()?;
    let set = match PolicySet::from_str(text) {
        Ok(set) => set,
        Err(errors) => {
            let first = DetailedError::from(&errors);
            for error in std::iter::once(&first).chain(&first.related) {
                let offset = error
                    .source_locations
                    .first()
                    .map_or(0, |label| label.loc.start);
                drafts.problem(offset, None, in_words(error));
            }
            return Err(drafts.finish().err().unwrap_or_default());
        }
    };
    if set.templates().next().is_some() {
        drafts.problem(0, None, "`?principal` and `?resource` have no use here");
    }
    drafts.finish()?;
    // Cedar numbers them in order of appearance; a set has no order of its own.
    let number = |policy: &Policy| {
        let id: &str = policy.id().as_ref();
        id.strip_prefix("policy")
            .and_then(|n| n.parse::<usize>().ok())
    };
    let placed = set.policies().filter_map(|policy| {
        let statement = statements.get(number(policy)?)?;
        Some((*statement, policy.clone()))
    });
    let mut placed: Vec<_> = placed.collect();
    placed.sort_by_key(|(statement, _)| statement.start);
    if placed.len() == set.num_of_policies() {
        return Ok(placed);
    }
    Err(vec![problem_at_the_start(
        "the policies of this text cannot be told apart",
    )])
}

fn in_words(error: &DetailedError) -> String {
    match &error.help {
        Some(help) => format!("{}; {help}", error.message),
        None => error.message.clone(),
    }
}

// --- One policy --------------------------------------------------------------------------------

fn draft(statement: Statement, policy: &Policy) -> Result<Draft, Vec<String>> {
    let mut problems = Vec::new();
    let mut keep = |problem: String| problems.push(problem);
    let action = one_action(policy).map_err(&mut keep).ok();
    let contents = check_contents(policy).map_err(&mut keep).ok();
    let notes = match annotations(policy) {
        Ok(notes) => Some(notes),
        Err(found) => {
            found.into_iter().for_each(&mut keep);
            None
        }
    };
    let (Some(action), Some(contents), Some(notes)) = (action, contents, notes) else {
        return Err(problems);
    };
    let shadow = notes.shadow;
    let rule = rule(action, policy.effect(), notes)?;
    let policy = policy.new_id(PolicyId::new(&rule.id));
    Ok(Draft {
        action,
        shadow,
        statement,
        policy,
        rule,
        contents,
    })
}

/// (b).
fn one_action(policy: &Policy) -> Result<Action, String> {
    let all = || {
        Action::ALL
            .iter()
            .map(|a| a.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    };
    let ActionConstraint::Eq(action) = policy.action_constraint() else {
        return Err(format!(
            "names one action, as in `action == Action::\"flag\"`; one of {}",
            all()
        ));
    };
    let named = Action::parse(action.id().unescaped());
    named.ok_or_else(|| format!("{action} is no action; one of {}", all()))
}

/// (e).
fn check_contents(policy: &Policy) -> Result<Contents, String> {
    let contents = contents(policy)?;
    if contents.arithmetic {
        return Err("`+`, `-` and `*` can overflow, and a policy that fails decides nothing; compare instead".into());
    }
    Ok(contents)
}

/// Annotations as written, each well-formed.
struct Notes {
    id: String,
    outcomes: Option<Vec<Outcome>>,
    risk: Option<Risk>,
    say: Option<String>,
    shadow: bool,
}

/// (a), (d), and the form of each.
fn annotations(policy: &Policy) -> Result<Notes, Vec<String>> {
    let mut notes = Notes {
        id: String::new(),
        outcomes: None,
        risk: None,
        say: None,
        shadow: false,
    };
    let mut problems = Vec::new();
    let mut keep = |problem: Option<String>| problems.extend(problem);
    keep(
        policy
            .annotation("id")
            .is_none()
            .then(|| "has no `@id(\"…\")`".into()),
    );
    for (name, value) in policy.annotations() {
        match name {
            "id" => {
                value.clone_into(&mut notes.id);
                keep(id_problem(value));
            }
            "outcome" => match outcomes(value) {
                Ok(outcomes) => notes.outcomes = Some(outcomes),
                Err(problem) => keep(Some(problem)),
            },
            "risk" => {
                notes.risk = Risk::parse(value);
                let unknown = notes.risk.is_none();
                keep(unknown.then(|| format!("`@risk` is low, raised or high, not `{value}`")));
            }
            "say" => {
                notes.say = Some(value.to_owned());
                keep(say_problem(value));
            }
            "mode" => {
                notes.shadow = value == "shadow";
                keep((!notes.shadow).then(|| format!("`@mode` is shadow, not `{value}`")));
            }
            _ => keep(Some(format!(
                "`@{name}` is none of id, outcome, say, risk, mode"
            ))),
        }
    }
    if problems.is_empty() {
        Ok(notes)
    } else {
        Err(problems)
    }
}

/// An id goes into logs, pages and test files as it is.
fn id_problem(id: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if id.is_empty() || id.len() > ID_CHARS_MAX || !id.chars().all(plain) {
        return Some(format!(
            "`@id` is 1 to {ID_CHARS_MAX} letters, digits, hyphens, underscores and dots"
        ));
    }
    let reserved = [POLICY_ERROR, NOT_PERMITTED].contains(&id);
    reserved.then(|| "this `@id` is one of our own".into())
}

/// People read it on a page, so it is a sentence and nothing that a page could take for more.
fn say_problem(say: &str) -> Option<String> {
    // Marks that reorder or hide text (UAX 9, zero-width) could turn a warning around.
    let hides = |c| matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
    let markup = |c: char| c.is_control() || hides(c) || matches!(c, '<' | '>' | '&' | '`');
    if say.is_empty() || say.chars().count() > SAY_CHARS_MAX || say.chars().any(markup) {
        return Some(format!(
            "`@say` is 1 to {SAY_CHARS_MAX} characters of plain text"
        ));
    }
    None
}

fn outcomes(list: &str) -> Result<Vec<Outcome>, String> {
    let mut found = Vec::new();
    for word in list.split(',').map(str::trim) {
        let Some(outcome) = Outcome::parse(word) else {
            let all: Vec<_> = Outcome::ALL
                .iter()
                .map(|outcome| outcome.as_str())
                .collect();
            return Err(format!(
                "`{word}` is no outcome; one or more of {}",
                all.join(", ")
            ));
        };
        if found.contains(&outcome) {
            return Err(format!("`@outcome` names `{word}` twice"));
        }
        found.push(outcome);
    }
    Ok(found)
}

/// (c).
fn rule(action: Action, effect: Effect, notes: Notes) -> Result<Rule, Vec<String>> {
    let Notes {
        id,
        outcomes,
        risk,
        say,
        ..
    } = notes;
    match action {
        Action::Flag => {
            let mut problems = Vec::new();
            if effect != Effect::Permit {
                problems.push("a flag is a `permit`: it says what fires".into());
            }
            let Some(outcomes) = outcomes else {
                problems.push("a flag has an `@outcome`".into());
                return Err(problems);
            };
            if !problems.is_empty() {
                return Err(problems);
            }
            let risk = risk.unwrap_or_else(|| risk_of(&outcomes));
            Ok(Rule {
                id,
                say,
                outcomes,
                risk,
            })
        }
        Action::Appear | Action::Authorize | Action::Grant | Action::Refresh | Action::Register => {
            if outcomes.is_some() || risk.is_some() {
                return Err(vec!["only a flag has an `@outcome` or a `@risk`".into()]);
            }
            Ok(Rule {
                id,
                say,
                outcomes: Vec::new(),
                risk: Risk::Low,
            })
        }
    }
}

// --- The whole set -----------------------------------------------------------------------------

/// (f): what nothing permits is refused, always.
fn check_permits(drafts: &mut Drafts<'_>) {
    if !drafts.problems.is_empty() {
        return; // a policy that was refused may be the missing one
    }
    for action in Action::ALL.iter().filter(|action| **action != Action::Flag) {
        let permits = |draft: &Draft| {
            draft.action == *action && !draft.shadow && draft.policy.effect() == Effect::Permit
        };
        if !drafts.all.iter().any(permits) {
            let action = action.as_str();
            drafts.problem(
                0,
                None,
                format!("no live policy permits Action::\"{action}\", so nothing ever could"),
            );
        }
    }
}

/// A.4: a guard fails open while its signal is missing, unless some policy decides what that means.
fn guards_without_companion(drafts: &Drafts<'_>) -> Vec<PolicyProblem> {
    let mut named = BTreeMap::<_, Vec<Action>>::new();
    for draft in &drafts.all {
        for signal in &draft.contents.named {
            named.entry(*signal).or_default().push(draft.action);
        }
    }
    let restricts =
        |draft: &&Draft| draft.action == Action::Flag || draft.policy.effect() == Effect::Forbid;
    let mut warnings = Vec::new();
    for draft in drafts.all.iter().filter(restricts) {
        for signal in &draft.contents.guarded {
            // A flag limits whatever comes after it.
            let covers = |action: &Action| *action == draft.action || *action == Action::Flag;
            if named
                .get(signal)
                .is_some_and(|actions| actions.iter().any(covers))
            {
                continue;
            }
            let (line, column) = place(drafts.text, draft.statement.start);
            let word = signal.as_str();
            warnings.push(PolicyProblem {
                line,
                column,
                policy: Some(draft.rule.id.clone()),
                message: format!(
                    "does not fire while the signal `{word}` is missing, and no policy says what \
                     that means: add one with `context.missing.contains(Signal::\"{word}\")`"
                ),
            });
        }
    }
    warnings
}
