//! Whose outcome would other policies change, and why: the comparison behind a replay of kept
//! decision inputs.
//!
//! Not here: the log of inputs, and what of it is shown.

use crate::{
    cedar::Policies,
    decision::{Assessment, Reason},
    facts::Facts,
};

/// What two sets of policies make of the same facts, where they differ.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Change {
    /// By the old policies.
    pub before: Assessment,
    /// By the new ones.
    pub after: Assessment,
    /// What differs, in words: the axes first, then the policies that fire or no longer do.
    pub why: Vec<String>,
}

/// Compare. None where the decision stays as it is; a policy that only got another name, or says it
/// in other words, changes no decision, and neither do shadow policies.
pub fn compare(old: &Policies, new: &Policies, facts: &Facts) -> Option<Change> {
    let (before, after) = (old.assess_anew(facts), new.assess_anew(facts));
    let mut why = axes(&before, &after);
    if why.is_empty() {
        return None;
    }
    let fires = |reasons: &[Reason], policy: &str| reasons.iter().any(|r| r.policy == policy);
    for reason in &after.reasons {
        if !fires(&before.reasons, &reason.policy) {
            why.push(format!("`{}` fires", reason.policy));
        }
    }
    for reason in &before.reasons {
        if !fires(&after.reasons, &reason.policy) {
            why.push(format!("`{}` no longer fires", reason.policy));
        }
    }
    for reason in &after.reasons {
        let differs = |old: &&Reason| {
            old.policy == reason.policy
                && (&old.outcomes, old.risk) != (&reason.outcomes, reason.risk)
        };
        if before.reasons.iter().any(|old| differs(&old)) {
            why.push(format!("`{}` does something else", reason.policy));
        }
    }
    Some(Change { before, after, why })
}

fn axes(before: &Assessment, after: &Assessment) -> Vec<String> {
    let yes_no = |yes| if yes { "yes" } else { "no" };
    let friction = |a: &Assessment| a.friction.as_str();
    let rows = [
        ("trust", before.trust.as_str(), after.trust.as_str()),
        ("risk", before.risk.as_str(), after.risk.as_str()),
        (
            "read only",
            yes_no(before.read_only),
            yes_no(after.read_only),
        ),
        (
            "short session",
            yes_no(before.short_session),
            yes_no(after.short_session),
        ),
        ("asked", friction(before), friction(after)),
    ];
    let changed = rows.into_iter().filter(|(_, old, new)| old != new);
    changed
        .map(|(axis, old, new)| format!("{axis}: {old} → {new}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use vestibule_protocol::trust::{Preset, Standing, Trust};

    use super::*;
    use crate::samples;

    #[test]
    fn a_replay_names_the_axes_and_the_policies_that_made_the_difference() {
        let (open, strict) = (
            Policies::preset(Preset::Open),
            Policies::preset(Preset::Strict),
        );
        let mut facts = samples::newcomer();
        facts.source.bad_reputation = true;
        let change = compare(&open, &strict, &facts).unwrap();
        assert_eq!(
            (change.before.trust, change.after.trust),
            (Trust::Unverified, Trust::Held)
        );
        assert_eq!(
            change.why,
            [
                "trust: unverified → held",
                "risk: low → raised",
                "read only: no → yes",
                "short session: no → yes",
                "`newcomer-with-doubts` fires",
                "`source-bad-reputation` does something else",
            ]
        );
    }

    #[test]
    fn what_stays_as_it_is_is_no_change() {
        let (open, strict) = (
            Policies::preset(Preset::Open),
            Policies::preset(Preset::Strict),
        );
        assert_eq!(
            compare(&open, &strict, &samples::of_standing(Standing::Known)),
            None
        );
        assert_eq!(compare(&open, &open, &samples::newcomer()), None);
    }
}
