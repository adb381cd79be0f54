//! Phase 2: what the flags that fired make of the standing. Outcomes only restrict, and combine per
//! axis by maximum, so their order is of no consequence and one more never widens anything.

use vestibule_protocol::trust::{Outcome, Risk, Standing, Trust};

use crate::decision::{Assessment, Friction, Reason, ShadowDifference};

/// What a policy's annotations say.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) id: String,
    pub(super) say: Option<String>,
    pub(super) outcomes: Vec<Outcome>,
    pub(super) risk: Risk,
}

impl Rule {
    pub(super) fn reason(&self) -> Reason {
        Reason {
            policy: self.id.clone(),
            say: self.say.clone(),
            outcomes: self.outcomes.clone(),
            risk: self.risk,
        }
    }
}

/// The tier that outcomes imply where no `@risk` says another.
pub(super) fn risk_of(outcomes: &[Outcome]) -> Risk {
    let each = outcomes.iter().map(|outcome| match outcome {
        Outcome::ShortSession | Outcome::Unverified => Risk::Low,
        Outcome::Hold | Outcome::ReadOnly | Outcome::StepUp | Outcome::Warn => Risk::Raised,
        Outcome::Block => Risk::High,
    });
    each.max().unwrap_or(Risk::Low)
}

/// The standing, restricted by what fired; reasons in order of id.
pub(super) fn combine(standing: Standing, mut reasons: Vec<Reason>) -> Assessment {
    reasons.sort_by(|a, b| a.policy.cmp(&b.policy));
    let mut assessment = Assessment::clean(standing);
    for reason in &reasons {
        restrict(&mut assessment, reason.risk, &reason.outcomes);
    }
    Assessment {
        reasons,
        ..assessment
    }
}

/// What each of the policies alone would add to the decision; none for what is so already.
pub(super) fn differences<'a>(
    live: &Assessment,
    shadow: impl IntoIterator<Item = &'a Rule>,
) -> Vec<ShadowDifference> {
    let differs = |rule: &&Rule| {
        let mut with = live.clone();
        restrict(&mut with, rule.risk, &rule.outcomes);
        with != *live
    };
    let shadow = shadow.into_iter().filter(differs);
    let mut found: Vec<_> = shadow
        .map(|rule| ShadowDifference {
            policy: rule.id.clone(),
            outcomes: rule.outcomes.clone(),
        })
        .collect();
    found.sort_by(|a, b| a.policy.cmp(&b.policy));
    found
}

impl Assessment {
    /// Did a policy with this outcome fire?
    pub fn fired(&self, outcome: Outcome) -> bool {
        let mut reasons = self.reasons.iter();
        reasons.any(|reason| reason.outcomes.contains(&outcome))
    }

    /// With one more reason: never wider.
    #[must_use]
    pub fn with(&self, reason: Reason) -> Self {
        let mut with = self.clone();
        restrict(&mut with, reason.risk, &reason.outcomes);
        with.reasons.push(reason);
        with
    }
}

fn restrict(assessment: &mut Assessment, risk: Risk, outcomes: &[Outcome]) {
    assessment.risk = assessment.risk.max(risk);
    for outcome in outcomes {
        // `Trust` and `Friction` rise from most to least trusted, and from none to most asked.
        let (trust, friction) = match outcome {
            Outcome::Unverified => (Trust::Unverified, Friction::EveryTime),
            Outcome::Warn => (Trust::FirstParty, Friction::Warn),
            Outcome::StepUp => (Trust::FirstParty, Friction::StepUp),
            Outcome::Hold => (Trust::Held, Friction::Remembered),
            Outcome::Block => (Trust::Blocked, Friction::Remembered),
            Outcome::ReadOnly | Outcome::ShortSession => (Trust::FirstParty, Friction::Remembered),
        };
        assessment.trust = assessment.trust.max(trust);
        assessment.friction = assessment.friction.max(friction);
        assessment.read_only |= *outcome == Outcome::ReadOnly;
        assessment.short_session |= *outcome == Outcome::ShortSession;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_outcome_restricts_its_axis() {
        use Outcome as O;
        #[rustfmt::skip]
        let cases = [
            (vec![],                    Trust::Known,      Risk::Low,    false, false, Friction::Remembered),
            (vec![O::Unverified],       Trust::Unverified, Risk::Low,    false, false, Friction::EveryTime),
            (vec![O::Warn],             Trust::Known,      Risk::Raised, false, false, Friction::Warn),
            (vec![O::ReadOnly],         Trust::Known,      Risk::Raised, true,  false, Friction::Remembered),
            (vec![O::ShortSession],     Trust::Known,      Risk::Low,    false, true,  Friction::Remembered),
            (vec![O::StepUp],           Trust::Known,      Risk::Raised, false, false, Friction::StepUp),
            (vec![O::Hold],             Trust::Held,       Risk::Raised, false, false, Friction::Remembered),
            (vec![O::Block],            Trust::Blocked,    Risk::High,   false, false, Friction::Remembered),
            (vec![O::StepUp, O::Warn],  Trust::Known,      Risk::Raised, false, false, Friction::StepUp),
            (vec![O::Block, O::Hold],   Trust::Blocked,    Risk::High,   false, false, Friction::Remembered),
        ];
        for (outcomes, trust, risk, read_only, short_session, friction) in cases {
            let reason = Reason {
                policy: "p".into(),
                say: None,
                risk: risk_of(&outcomes),
                outcomes,
            };
            let found = combine(Standing::Known, vec![reason.clone()]);
            let expected = Assessment {
                trust,
                risk,
                read_only,
                short_session,
                friction,
                reasons: vec![reason.clone()],
                ..Assessment::clean(Standing::Known)
            };
            assert_eq!(found, expected, "{reason:?}");
        }
    }

    fn any_reason() -> impl Strategy<Value = Reason> {
        let outcomes = prop::sample::subsequence(Outcome::ALL, 0..=3);
        ("[a-e]", outcomes, prop::sample::select(Risk::ALL)).prop_map(|(policy, outcomes, risk)| {
            Reason {
                policy,
                say: None,
                outcomes,
                risk,
            }
        })
    }

    proptest! {
        /// Design 6: a policy that fires only restricts.
        #[test]
        fn one_more_flag_never_widens_anything(
            standing in prop::sample::select(Standing::ALL),
            reasons in prop::collection::vec(any_reason(), 0..6),
            more in any_reason(),
        ) {
            let before = combine(standing, reasons.clone());
            let after = combine(standing, [reasons, vec![more]].concat());
            prop_assert!(after.trust >= before.trust && after.risk >= before.risk);
            prop_assert!(after.read_only >= before.read_only);
            prop_assert!(after.short_session >= before.short_session);
            prop_assert!(after.friction >= before.friction);
        }

        /// Maximum per axis: order means nothing.
        #[test]
        fn the_order_of_flags_is_of_no_consequence(
            reasons in prop::collection::vec(any_reason(), 0..6),
        ) {
            let forwards = combine(Standing::Known, reasons.clone());
            let backwards = combine(Standing::Known, reasons.into_iter().rev().collect());
            prop_assert_eq!(forwards.trust, backwards.trust);
            prop_assert_eq!(forwards.friction, backwards.friction);
            prop_assert_eq!(forwards.risk, backwards.risk);
        }
    }
}
