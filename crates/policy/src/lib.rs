//! Trust decides power: what a client may do, how long, and how often a person is asked.
//!
//! The numbers are the `balanced` preset of the power table (`docs/power.md`). One function,
//! [`power`], is called at authorize, redemption, refresh and `client_credentials`, so no path has
//! a ceiling of its own.
//!
//! Not here: signals and rules that *find* a trust level; they come to this crate as Cedar
//! policies and end in the same [`Trust`] and [`Risk`]. Nothing here knows a clock, a database or
//! a request.

use std::time::Duration;

use vestibule_protocol::{
    scope::{Access, ScopeSpec},
    trust::{RedirectShape, Risk, Standing, Trust},
};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// What a client may have at most.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ScopeCeiling {
    /// Nothing: held, blocked, or at high risk.
    Nothing,
    /// Scopes of access class `read`, and the identity scopes.
    ReadOnly,
    /// Whatever the resource has and the person grants.
    All,
}

/// How long a refresh family may live.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RefreshLife {
    /// Without use.
    pub idle: Duration,
    /// Whatever happens.
    pub absolute: Duration,
}

/// How often a person is asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Consent {
    /// Each time.
    EveryTime,
    /// A "yes" may be remembered for the same user, metadata, scopes and resource.
    MayRemember,
    /// Each time, with a warning.
    Warn,
}

/// A row of the power table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Power {
    /// Most that may be granted.
    pub scopes: ScopeCeiling,
    /// Life of an access token.
    pub access_ttl: Duration,
    /// Life of a refresh family; `None` gives no refresh tokens.
    pub refresh: Option<RefreshLife>,
    /// Friction.
    pub consent: Consent,
    /// Whether destructive scopes come ticked on the consent page.
    pub preticks_destructive: bool,
}

impl Power {
    /// May a scope of this kind be in a token today?
    pub fn allows(&self, scope: &ScopeSpec) -> bool {
        match self.scopes {
            ScopeCeiling::All => true,
            ScopeCeiling::Nothing => false,
            ScopeCeiling::ReadOnly => match scope.access {
                Access::Read => true,
                Access::Destructive | Access::Write => false,
            },
        }
    }

    /// Does the scope come ticked?
    pub fn preticks(&self, scope: &ScopeSpec) -> bool {
        self.allows(scope)
            && match scope.access {
                Access::Read | Access::Write => true,
                Access::Destructive => self.preticks_destructive,
            }
    }
}

/// The power of a client at this trust and risk, for the redirect in use.
///
/// A loopback or private-use redirect proves nothing about who listens (threats R4, R5), so it is
/// asked each time at every level.
pub fn power(trust: Trust, risk: Risk, redirect: Option<RedirectShape>) -> Power {
    let row = row(trust, risk);
    let proven = match redirect {
        None | Some(RedirectShape::HttpsSameSite | RedirectShape::HttpsOtherSite) => true,
        Some(RedirectShape::Loopback | RedirectShape::PrivateUse) => false,
    };
    match row.consent {
        Consent::MayRemember if !proven => Power {
            consent: Consent::EveryTime,
            ..row
        },
        Consent::EveryTime | Consent::MayRemember | Consent::Warn => row,
    }
}

/// What a standing is worth while nothing speaks against the client.
pub fn trust_of(standing: Standing) -> Trust {
    match standing {
        Standing::FirstParty => Trust::FirstParty,
        Standing::Known => Trust::Known,
        Standing::Unverified => Trust::Unverified,
        Standing::Verified => Trust::Verified,
    }
}

fn row(trust: Trust, risk: Risk) -> Power {
    let nothing = Power {
        scopes: ScopeCeiling::Nothing,
        access_ttl: Duration::ZERO,
        refresh: None,
        consent: Consent::EveryTime,
        preticks_destructive: false,
    };
    match (trust, risk) {
        (Trust::Blocked | Trust::Held, _) | (_, Risk::High) => nothing,
        (Trust::FirstParty, Risk::Low | Risk::Raised) => Power {
            scopes: ScopeCeiling::All,
            access_ttl: Duration::from_secs(HOUR),
            refresh: Some(life(30 * DAY, 90 * DAY)),
            consent: Consent::MayRemember,
            preticks_destructive: true,
        },
        (Trust::Known | Trust::Verified, Risk::Low | Risk::Raised) => Power {
            scopes: ScopeCeiling::All,
            access_ttl: Duration::from_secs(15 * MINUTE),
            refresh: Some(life(30 * DAY, 90 * DAY)),
            consent: Consent::MayRemember,
            preticks_destructive: false,
        },
        (Trust::Unverified, Risk::Low) => Power {
            scopes: ScopeCeiling::All,
            access_ttl: Duration::from_secs(10 * MINUTE),
            refresh: Some(life(48 * HOUR, 7 * DAY)),
            consent: Consent::EveryTime,
            preticks_destructive: false,
        },
        (Trust::Unverified, Risk::Raised) => Power {
            scopes: ScopeCeiling::ReadOnly,
            access_ttl: Duration::from_secs(10 * MINUTE),
            refresh: Some(life(HOUR, 8 * HOUR)),
            consent: Consent::Warn,
            preticks_destructive: false,
        },
    }
}

fn life(idle_seconds: u64, absolute_seconds: u64) -> RefreshLife {
    RefreshLife {
        idle: Duration::from_secs(idle_seconds),
        absolute: Duration::from_secs(absolute_seconds),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of the design, row by row: trust, risk → scopes, access minutes, refresh hours.
    #[test]
    fn the_power_table_is_the_published_one() {
        use ScopeCeiling::{All, Nothing, ReadOnly};
        #[rustfmt::skip]
        let rows = [
            (Trust::FirstParty, Risk::Low,    All,      60, Some((720, 2160))),
            (Trust::Verified,   Risk::Low,    All,      15, Some((720, 2160))),
            (Trust::Known,      Risk::Low,    All,      15, Some((720, 2160))),
            (Trust::Unverified, Risk::Low,    All,      10, Some((48, 168))),
            (Trust::Unverified, Risk::Raised, ReadOnly, 10, Some((1, 8))),
            (Trust::Unverified, Risk::High,   Nothing,   0, None),
            (Trust::FirstParty, Risk::High,   Nothing,   0, None),
            (Trust::Held,       Risk::Low,    Nothing,   0, None),
            (Trust::Blocked,    Risk::Low,    Nothing,   0, None),
        ];
        for (trust, risk, scopes, minutes, hours) in rows {
            let power = power(trust, risk, Some(RedirectShape::HttpsSameSite));
            assert_eq!(power.scopes, scopes, "{trust:?} {risk:?}");
            assert_eq!(
                power.access_ttl.as_secs() / 60,
                minutes,
                "{trust:?} {risk:?}"
            );
            let found = power
                .refresh
                .map(|life| (life.idle.as_secs() / HOUR, life.absolute.as_secs() / HOUR));
            assert_eq!(found, hours, "{trust:?} {risk:?}");
        }
    }

    /// AC-11: a redirect that any local program can take is asked about each time.
    #[test]
    fn loopback_and_private_use_redirects_are_never_remembered() {
        for trust in [
            Trust::FirstParty,
            Trust::Verified,
            Trust::Known,
            Trust::Unverified,
        ] {
            for shape in [RedirectShape::Loopback, RedirectShape::PrivateUse] {
                let power = power(trust, Risk::Low, Some(shape));
                assert_ne!(power.consent, Consent::MayRemember, "{trust:?} {shape:?}");
            }
        }
    }

    /// Raising the risk never raises anything.
    #[test]
    fn risk_only_costs_power() {
        let risks = [Risk::Low, Risk::Raised, Risk::High];
        for trust in [
            Trust::FirstParty,
            Trust::Verified,
            Trust::Known,
            Trust::Unverified,
        ] {
            for pair in risks.windows(2) {
                let (lower, higher) = (power(trust, pair[0], None), power(trust, pair[1], None));
                assert!(higher.access_ttl <= lower.access_ttl);
                let idle = |p: Power| p.refresh.map_or(Duration::ZERO, |life| life.idle);
                assert!(idle(higher) <= idle(lower));
            }
        }
    }
}
