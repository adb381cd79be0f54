//! The power table: what a client may do, how long, and how often a person is asked.
//!
//! Plain numbers, so that an admin changes them live; [`PowerTable::validate`] keeps them in order.
//! One table is asked at authorize, redemption, refresh and `client_credentials`, so no path has a
//! ceiling of its own. `docs/power.md` publishes the `balanced` one.
//!
//! Not here: what finds a trust level and a risk ([`crate::cedar`]).

use std::time::Duration;

use vestibule_protocol::{
    scope::{Access, ScopeSpec},
    trust::{Preset, RedirectShape, Risk, Standing, Trust},
    words,
};

use crate::decision::{Assessment, Friction};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Longest life of an access token: entries of the revocation feed live this long.
const ACCESS_TTL_MAX: Duration = Duration::from_secs(HOUR);
const ACCESS_TTL_MIN: Duration = Duration::from_secs(MINUTE);
/// Longest life of a refresh family.
const REFRESH_MAX: Duration = Duration::from_secs(366 * DAY);
/// `short_session`, design 7: what raised risk has, whatever the row.
const SHORT_ACCESS_TTL: Duration = Duration::from_secs(5 * MINUTE);
const SHORT_REFRESH: RefreshLife = life(HOUR, 8 * HOUR);

words! {
    /// What a client may have at most, in rising order.
    ScopeCeiling {
        /// Nothing: held, blocked, or at high risk.
        Nothing = "nothing",
        /// Scopes of access class `read`, and the identity scopes.
        ReadOnly = "read_only",
        /// Whatever the resource has and the person grants.
        All = "all",
    }
}

/// How long a refresh family may live.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RefreshLife {
    /// Without use.
    pub idle: Duration,
    /// Whatever happens.
    pub absolute: Duration,
}

impl RefreshLife {
    fn min(self, other: Self) -> Self {
        Self {
            idle: self.idle.min(other.idle),
            absolute: self.absolute.min(other.absolute),
        }
    }
}

words! {
    /// How often a person is asked, in rising order.
    Consent {
        /// A "yes" may be remembered for the same user, metadata, scopes and resource.
        MayRemember = "may_remember",
        /// Each time.
        EveryTime = "every_time",
        /// Each time, with a warning.
        Warn = "warn",
        /// Each time, after signing in again.
        StepUp = "step_up",
    }
}

impl From<Friction> for Consent {
    fn from(friction: Friction) -> Self {
        match friction {
            Friction::Remembered => Self::MayRemember,
            Friction::EveryTime => Self::EveryTime,
            Friction::Warn => Self::Warn,
            Friction::StepUp => Self::StepUp,
        }
    }
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
    /// Held, blocked, or at high risk.
    pub const NOTHING: Self = Self {
        scopes: ScopeCeiling::Nothing,
        access_ttl: Duration::ZERO,
        refresh: None,
        consent: Consent::EveryTime,
        preticks_destructive: false,
    };

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

    /// The row, restricted by what the flags say beside trust and risk: its scopes, session and
    /// friction axes. Never more than the row.
    #[must_use]
    pub fn under(self, assessment: &Assessment) -> Self {
        let scopes = if assessment.read_only {
            ScopeCeiling::ReadOnly
        } else {
            ScopeCeiling::All
        };
        let (access_ttl, refresh) = if assessment.short_session {
            let refresh = self.refresh.map(|life| life.min(SHORT_REFRESH));
            (self.access_ttl.min(SHORT_ACCESS_TTL), refresh)
        } else {
            (self.access_ttl, self.refresh)
        };
        Self {
            scopes: self.scopes.min(scopes),
            access_ttl,
            refresh,
            consent: self.consent.max(assessment.friction.into()),
            ..self
        }
    }
}

/// The numbers of the power table, one row for each trust and risk that has any power.
///
/// Held, blocked and high risk have no row: they get [`Power::NOTHING`] in every table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PowerTable {
    /// An admin made it.
    pub first_party: Power,
    /// It proved a domain, or an admin vouches for it.
    pub verified: Power,
    /// Its exact identity is in the catalogue.
    pub known: Power,
    /// Nobody vouches for it, and nothing in particular speaks against it.
    pub unverified: Power,
    /// Nobody vouches for it, and something speaks against it.
    pub unverified_raised: Power,
}

/// Why a power table is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PowerProblem {
    /// Entries of the revocation feed live for the longest access token.
    #[error("row `{0}`: an access token lives 1 to 60 minutes")]
    AccessTtl(&'static str),
    /// Trust and risk decide power, in that order.
    #[error("row `{0}` has more power than the row above it")]
    MoreThanAbove(&'static str),
    /// Nobody vouches for the client, so nobody's yes outlives the page.
    #[error("row `{0}`: an unverified client is asked about each time")]
    Remembered(&'static str),
    /// A family without an end, or one that never idles.
    #[error("row `{0}`: a connection idles no longer than it lives, and lives at most 366 days")]
    Refresh(&'static str),
}

impl PowerTable {
    /// The table of a preset; each passes [`Self::validate`].
    pub const fn preset(preset: Preset) -> Self {
        match preset {
            Preset::Open => OPEN,
            Preset::Balanced => BALANCED,
            Preset::Strict => STRICT,
        }
    }

    /// The table in order of falling power, with the names of its rows.
    pub fn rows(&self) -> [(&'static str, &Power); 5] {
        [
            ("first_party", &self.first_party),
            ("verified", &self.verified),
            ("known", &self.known),
            ("unverified", &self.unverified),
            ("unverified_raised", &self.unverified_raised),
        ]
    }

    /// Is the table fit to serve?
    ///
    /// # Errors
    ///
    /// The first row, from the top, that breaks a rule.
    pub fn validate(&self) -> Result<(), PowerProblem> {
        for (name, row) in self.rows() {
            if !(ACCESS_TTL_MIN..=ACCESS_TTL_MAX).contains(&row.access_ttl) {
                return Err(PowerProblem::AccessTtl(name));
            }
            let sane = |life: RefreshLife| {
                !life.idle.is_zero() && life.idle <= life.absolute && life.absolute <= REFRESH_MAX
            };
            if !row.refresh.is_none_or(sane) {
                return Err(PowerProblem::Refresh(name));
            }
        }
        for (name, row) in [
            ("unverified", &self.unverified),
            ("unverified_raised", &self.unverified_raised),
        ] {
            if row.consent == Consent::MayRemember {
                return Err(PowerProblem::Remembered(name));
            }
        }
        let rows = self.rows();
        let pairs = rows.iter().zip(rows.iter().skip(1));
        for ((_, above), (name, below)) in pairs {
            if !at_most(below, above) {
                return Err(PowerProblem::MoreThanAbove(name));
            }
        }
        Ok(())
    }

    /// The power of a client at this trust and risk, for the redirect in use.
    ///
    /// A loopback or private-use redirect proves nothing about who listens (threats R4, R5), so it
    /// is asked each time at every level.
    pub fn power(&self, trust: Trust, risk: Risk, redirect: Option<RedirectShape>) -> Power {
        let row = match (trust, risk) {
            (Trust::Blocked | Trust::Held, _) | (_, Risk::High) => return Power::NOTHING,
            (Trust::FirstParty, Risk::Low | Risk::Raised) => self.first_party,
            (Trust::Verified, Risk::Low | Risk::Raised) => self.verified,
            (Trust::Known, Risk::Low | Risk::Raised) => self.known,
            (Trust::Unverified, Risk::Low) => self.unverified,
            (Trust::Unverified, Risk::Raised) => self.unverified_raised,
        };
        let least = match redirect {
            None | Some(RedirectShape::HttpsSameSite | RedirectShape::HttpsOtherSite) => {
                Consent::MayRemember
            }
            Some(RedirectShape::Loopback | RedirectShape::PrivateUse) => Consent::EveryTime,
        };
        Power {
            consent: row.consent.max(least),
            ..row
        }
    }
}

/// The power of a client in the `balanced` table ([`PowerTable::power`]).
pub fn power(trust: Trust, risk: Risk, redirect: Option<RedirectShape>) -> Power {
    BALANCED.power(trust, risk, redirect)
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

fn at_most(below: &Power, above: &Power) -> bool {
    let no_life = RefreshLife {
        idle: Duration::ZERO,
        absolute: Duration::ZERO,
    };
    let (lower, upper) = (
        below.refresh.unwrap_or(no_life),
        above.refresh.unwrap_or(no_life),
    );
    below.scopes <= above.scopes
        && below.access_ttl <= above.access_ttl
        && lower.idle <= upper.idle
        && lower.absolute <= upper.absolute
        && below.consent >= above.consent
        && below.preticks_destructive <= above.preticks_destructive
}

// --- The presets -------------------------------------------------------------------------------

/// Design 7.
const BALANCED: PowerTable = PowerTable {
    first_party: Power {
        preticks_destructive: true,
        ..row(
            ScopeCeiling::All,
            60,
            life(30 * DAY, 90 * DAY),
            Consent::MayRemember,
        )
    },
    verified: row(
        ScopeCeiling::All,
        15,
        life(30 * DAY, 90 * DAY),
        Consent::MayRemember,
    ),
    known: row(
        ScopeCeiling::All,
        15,
        life(30 * DAY, 90 * DAY),
        Consent::MayRemember,
    ),
    unverified: row(
        ScopeCeiling::All,
        10,
        life(48 * HOUR, 7 * DAY),
        Consent::EveryTime,
    ),
    unverified_raised: row(
        ScopeCeiling::ReadOnly,
        10,
        life(HOUR, 8 * HOUR),
        Consent::Warn,
    ),
};

/// A warning instead of a cut, and longer connections.
const OPEN: PowerTable = PowerTable {
    unverified: row(
        ScopeCeiling::All,
        15,
        life(7 * DAY, 30 * DAY),
        Consent::EveryTime,
    ),
    unverified_raised: row(
        ScopeCeiling::All,
        10,
        life(48 * HOUR, 7 * DAY),
        Consent::Warn,
    ),
    ..BALANCED
};

/// Unverified clients only look, and not for long.
const STRICT: PowerTable = PowerTable {
    first_party: Power {
        preticks_destructive: true,
        ..row(
            ScopeCeiling::All,
            30,
            life(14 * DAY, 30 * DAY),
            Consent::MayRemember,
        )
    },
    verified: row(
        ScopeCeiling::All,
        10,
        life(14 * DAY, 30 * DAY),
        Consent::MayRemember,
    ),
    known: row(
        ScopeCeiling::All,
        10,
        life(7 * DAY, 30 * DAY),
        Consent::MayRemember,
    ),
    unverified: row(
        ScopeCeiling::ReadOnly,
        5,
        life(8 * HOUR, 24 * HOUR),
        Consent::EveryTime,
    ),
    unverified_raised: row(
        ScopeCeiling::ReadOnly,
        5,
        life(HOUR, 8 * HOUR),
        Consent::Warn,
    ),
};

const fn row(scopes: ScopeCeiling, minutes: u64, refresh: RefreshLife, consent: Consent) -> Power {
    Power {
        scopes,
        access_ttl: Duration::from_secs(minutes * MINUTE),
        refresh: Some(refresh),
        consent,
        preticks_destructive: false,
    }
}

const fn life(idle_seconds: u64, absolute_seconds: u64) -> RefreshLife {
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

    #[test]
    fn the_presets_are_tables_that_may_serve() {
        for preset in Preset::ALL {
            assert_eq!(PowerTable::preset(*preset).validate(), Ok(()), "{preset:?}");
        }
    }

    #[test]
    fn a_table_out_of_order_is_refused() {
        type Spoil = fn(&mut PowerTable);
        #[rustfmt::skip]
        let cases: [(Spoil, PowerProblem); 8] = [
            (|t| t.known.access_ttl = Duration::from_secs(3_601),       PowerProblem::AccessTtl("known")),
            (|t| t.known.access_ttl = Duration::ZERO,                   PowerProblem::AccessTtl("known")),
            (|t| t.verified.refresh = Some(life(2 * DAY, DAY)),         PowerProblem::Refresh("verified")),
            (|t| t.first_party.refresh = Some(life(DAY, 400 * DAY)),    PowerProblem::Refresh("first_party")),
            (|t| t.unverified.consent = Consent::MayRemember,           PowerProblem::Remembered("unverified")),
            (|t| t.unverified.preticks_destructive = true,              PowerProblem::MoreThanAbove("unverified")),
            (|t| t.unverified_raised.refresh = Some(life(DAY, 8 * DAY)), PowerProblem::MoreThanAbove("unverified_raised")),
            (|t| t.verified.refresh = None,                             PowerProblem::MoreThanAbove("known")),
        ];
        for (spoil, problem) in cases {
            let mut table = PowerTable::preset(Preset::Balanced);
            spoil(&mut table);
            assert_eq!(table.validate(), Err(problem));
        }
    }

    /// `docs/power.md` says what the tables say.
    #[test]
    fn the_published_tables_are_the_ones_in_force() {
        let page = include_str!("../../../docs/power.md");
        for preset in Preset::ALL {
            let table = PowerTable::preset(*preset);
            let rows = table
                .rows()
                .map(|(name, row)| published(name, row))
                .concat();
            let table = format!("## `{}`\n\n{HEAD}{rows}", preset.as_str());
            assert!(page.contains(&table), "docs/power.md should have\n{table}");
        }
    }

    const HEAD: &str = "| trust, risk | scopes | access token | refresh idle / absolute | consent | destructive ticked |\n|---|---|---|---|---|---|\n";

    fn published(name: &str, row: &Power) -> String {
        let scopes = match row.scopes {
            ScopeCeiling::All => "all",
            ScopeCeiling::Nothing => "none",
            ScopeCeiling::ReadOnly => "read only",
        };
        let consent = match row.consent {
            Consent::MayRemember => "remembered",
            Consent::EveryTime => "every time",
            Consent::Warn => "warning",
            Consent::StepUp => "fresh sign-in",
        };
        let refresh = row.refresh.map_or("–".to_owned(), |life| {
            let hours = |time: Duration| time.as_secs() / HOUR;
            format!("{} h / {} h", hours(life.idle), hours(life.absolute))
        });
        let minutes = row.access_ttl.as_secs() / MINUTE;
        let ticked = if row.preticks_destructive {
            "yes"
        } else {
            "no"
        };
        format!("| {name} | {scopes} | {minutes} min | {refresh} | {consent} | {ticked} |\n")
    }

    /// The scopes, session and friction axes of a decision reach power, by maximum.
    #[test]
    fn flags_restrict_the_row_and_never_widen_it() {
        let clean = Assessment::clean(Standing::Known);
        let row = power(Trust::Known, Risk::Low, None);
        assert_eq!(row.under(&clean), row);
        let read_only = row.under(&Assessment {
            read_only: true,
            ..clean.clone()
        });
        assert_eq!(
            read_only,
            Power {
                scopes: ScopeCeiling::ReadOnly,
                ..row
            }
        );
        let short = row.under(&Assessment {
            short_session: true,
            ..clean.clone()
        });
        let expected = Power {
            access_ttl: Duration::from_secs(5 * MINUTE),
            refresh: Some(life(HOUR, 8 * HOUR)),
            ..row
        };
        assert_eq!(short, expected);
        let frictions = [
            (Friction::Remembered, Consent::MayRemember),
            (Friction::EveryTime, Consent::EveryTime),
            (Friction::Warn, Consent::Warn),
            (Friction::StepUp, Consent::StepUp),
        ];
        for (friction, consent) in frictions {
            let asked = row.under(&Assessment {
                friction,
                ..clean.clone()
            });
            assert_eq!(asked, Power { consent, ..row });
        }
        let everything = Assessment {
            read_only: true,
            short_session: true,
            friction: Friction::StepUp,
            ..clean
        };
        let nothing = Power::NOTHING.under(&everything);
        assert_eq!(
            (nothing.scopes, nothing.access_ttl),
            (ScopeCeiling::Nothing, Duration::ZERO)
        );
        let raised = power(Trust::Unverified, Risk::Raised, None);
        assert_eq!(
            raised.under(&Assessment::clean(Standing::Unverified)),
            raised
        );
    }
}
