//! What a policy's conditions contain, where validation does not look: arithmetic, guards on signals
//! that can be missing, and which facts they look at at all.

use std::collections::BTreeSet;

use cedar_policy::{
    Policy,
    pst::{BinaryOp, Clause, Expr, Literal, UnaryOp, Var},
};
use vestibule_protocol::trust::Signal;

/// What the conditions of one policy contain.
#[derive(Clone, Debug, Default)]
pub(super) struct Contents {
    /// `+`, `-` or `*`.
    pub(super) arithmetic: bool,
    /// Signals behind a `has` guard: while one is missing, the policy silently does not fire.
    pub(super) guarded: BTreeSet<Signal>,
    /// Signals that it names, as in `context.missing.contains(Signal::"score")`.
    pub(super) named: BTreeSet<Signal>,
    /// What it looks at.
    pub(super) needs: Needs,
}

/// The parts of a context that policies look at. Only these are built: most of what a decision
/// costs is putting facts into Cedar's terms, and what no policy names, no policy can miss.
#[derive(Clone, Debug, Default)]
pub(super) struct Needs {
    pub(super) client: Fields,
    pub(super) source: Fields,
    pub(super) missing: bool,
    /// Always there and small, but another one each second: what looks at it is not remembered.
    pub(super) auth_age: bool,
}

/// Attributes of a record.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields {
    all: bool,
    named: BTreeSet<String>,
}

impl Fields {
    pub(super) fn have(&self, name: &str) -> bool {
        self.all || self.named.contains(name)
    }

    fn merge(&mut self, mut other: Self) {
        self.all |= other.all;
        self.named.append(&mut other.named);
    }
}

impl Needs {
    pub(super) fn everything() -> Self {
        let all = || Fields {
            all: true,
            ..Fields::default()
        };
        Self {
            client: all(),
            source: all(),
            missing: true,
            auth_age: true,
        }
    }

    pub(super) fn merge(mut self, other: Self) -> Self {
        self.client.merge(other.client);
        self.source.merge(other.source);
        self.missing |= other.missing;
        self.auth_age |= other.auth_age;
        self
    }

    /// `context.attribute`, as a value of its own.
    fn whole(attribute: &str) -> Self {
        let all = Fields {
            all: true,
            ..Fields::default()
        };
        match attribute {
            "client" => Self {
                client: all,
                ..Self::default()
            },
            "source" => Self {
                source: all,
                ..Self::default()
            },
            "missing" => Self {
                missing: true,
                ..Self::default()
            },
            "auth_age_s" => Self {
                auth_age: true,
                ..Self::default()
            },
            _ => Self::default(), // small, and always there
        }
    }

    /// `context.record.field`.
    pub(super) fn field(record: &str, field: &str) -> Self {
        let named = Fields {
            all: false,
            named: BTreeSet::from([field.to_owned()]),
        };
        match record {
            "client" => Self {
                client: named,
                ..Self::default()
            },
            "source" => Self {
                source: named,
                ..Self::default()
            },
            _ => Self::default(), // no other record
        }
    }

    /// By the attribute `name` of an expression, with whatever lies in the expression itself.
    fn of_attribute(expr: &Expr, name: &str) -> Option<Self> {
        match expr {
            Expr::Var(Var::Context) => Some(Self::whole(name)),
            Expr::GetAttr { expr, attr } if matches!(**expr, Expr::Var(Var::Context)) => {
                Some(Self::field(attr, name))
            }
            _ => None,
        }
    }
}

impl Contents {
    fn merge(mut self, mut other: Self) -> Self {
        self.arithmetic |= other.arithmetic;
        self.guarded.append(&mut other.guarded);
        self.named.append(&mut other.named);
        self.needs = self.needs.merge(other.needs);
        self
    }
}

/// Look through a policy's conditions. Errors: Cedar cannot show the policy as a tree.
pub(super) fn contents(policy: &Policy) -> Result<Contents, String> {
    let tree = policy.to_pst().map_err(|error| error.to_string())?;
    let mut found = Contents::default();
    for clause in tree.body().clauses() {
        let (Clause::When(condition) | Clause::Unless(condition)) = clause;
        found = found.merge(expression(condition));
    }
    Ok(found)
}

fn expression(condition: &Expr) -> Contents {
    // `reduce` stops where its function answers, so nodes that can hold others go on by hand.
    let visit = |node: &Expr| match node {
        Expr::Literal(Literal::EntityUID(uid)) if uid.ty.to_string() == "Signal" => {
            let named = Signal::parse(&uid.eid).into_iter().collect();
            Some(Contents {
                named,
                ..Contents::default()
            })
        }
        Expr::BinaryOp {
            op: BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul,
            ..
        }
        | Expr::UnaryOp {
            op: UnaryOp::Neg, ..
        } => Some(Contents {
            arithmetic: true,
            ..Contents::default()
        }),
        Expr::HasAttr { expr, attrs } => {
            let guarded = attrs
                .iter()
                .filter_map(|attribute| signal_behind(attribute))
                .collect();
            let (first, second) = (&attrs.head, attrs.tail.first());
            let inside = match (&**expr, second) {
                (Expr::Var(Var::Context), Some(field)) => Some(Needs::field(first, field)),
                _ => Needs::of_attribute(expr, first),
            };
            let found = Contents {
                guarded,
                ..Contents::default()
            };
            Some(match inside {
                Some(needs) => Contents { needs, ..found },
                None => found.merge(expression(expr)),
            })
        }
        Expr::GetAttr { expr, attr } => {
            let needs = Needs::of_attribute(expr, attr)?;
            Some(Contents {
                needs,
                ..Contents::default()
            })
        }
        // The context as a value: compared, or in a set.
        Expr::Var(Var::Context) => Some(Contents {
            needs: Needs::everything(),
            ..Contents::default()
        }),
        _ => None,
    };
    condition.reduce(&visit, &Contents::merge, Contents::default())
}

/// The optional attributes that a signal fills. Other optional ones say something by their absence.
fn signal_behind(attribute: &str) -> Option<Signal> {
    match attribute {
        "asn" => Some(Signal::Asn),
        "country" => Some(Signal::Country),
        "score" => Some(Signal::Score),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(condition: &str) -> Contents {
        let text = format!("permit(principal, action, resource) when {{ {condition} }};");
        contents(&Policy::parse(None, text).unwrap()).unwrap()
    }

    #[test]
    fn arithmetic_is_found_wherever_it_hides() {
        #[rustfmt::skip]
        let cases = [
            ("context.client.people > 3",                            false),
            ("context.client.people > -3",                           false),
            ("{\"+\": context.client.people}[\"+\"] > 1",            false),
            ("context.client.people + 1 > 3",                        true),
            ("context.client.people * 2 > 3",                        true),
            ("[1, context.score - 1].contains(2)",                   true),
            ("-context.client.people < 3",                           true),
            ("if true then {a: 1 + context.x}.a > 1 else false",     true),
            ("{a: [context.x * 1]} has a",                           true),
            ("!(context.a == \"x\") || !(context.b + 1 == 2)",       true),
        ];
        for (condition, arithmetic) in cases {
            assert_eq!(of(condition).arithmetic, arithmetic, "{condition}");
        }
    }

    /// What is not built must be what no condition can look at.
    #[test]
    fn the_facts_that_a_condition_looks_at_are_found() {
        #[rustfmt::skip]
        let cases = [
            ("context.ceiling_read_only",                                   "",             "",        false),
            ("context.client.people > 3 && context.source.listed",          "people",       "listed",  false),
            ("context.client has host && context.client.host == \"x\"",     "host",         "",        false),
            ("context has client.host && context has source.asn",           "host",         "asn",     false),
            ("context.missing.contains(Signal::\"score\")",                 "",             "",        true),
            ("[context.client.software].contains(context.client.id)",       "id, software", "",        false),
            ("context.client.software like \"*x\"",                         "software",     "",        false),
            ("context.client == context.client",                            "all",          "",        false),
            ("[context.source].contains(context.source)",                   "",             "all",     false),
            ("{a: context.client}.a.people > 1",                            "all",          "",        false),
            ("{a: context}.a.client.people > 1",                            "all",          "all",     true),
            ("(if true then context else context).source.listed",           "all",          "all",     true),
            ("(if true then context.client else context.client).people > 1", "all",         "",        false),
            ("context[\"client\"][\"people\"] > 1",                         "people",       "",        false),
            ("{a: context.client.id} has a",                                "id",           "",        false),
            ("(if true then context else context) has client",              "all",          "all",     true),
        ];
        for (condition, client, source, missing) in cases {
            let needs = of(condition).needs;
            let list = |fields: &Fields| {
                let named: Vec<_> = fields.named.iter().map(String::as_str).collect();
                if fields.all {
                    "all".to_owned()
                } else {
                    named.join(", ")
                }
            };
            let found = (list(&needs.client), list(&needs.source), needs.missing);
            assert_eq!(
                found,
                (client.to_owned(), source.to_owned(), missing),
                "{condition}"
            );
        }
    }

    #[test]
    fn guards_and_their_companions_are_found() {
        let guarded =
            of("context has score && context.source has country && context.client has host");
        assert_eq!(
            guarded.guarded,
            BTreeSet::from([Signal::Country, Signal::Score])
        );
        assert_eq!(
            of("context has source.asn").guarded,
            BTreeSet::from([Signal::Asn])
        );
        let named = of("context.missing.contains(Signal::\"score\")");
        assert_eq!(named.named, BTreeSet::from([Signal::Score]));
    }
}
