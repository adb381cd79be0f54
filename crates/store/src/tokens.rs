//! Refresh families and revoked token ids. Refresh tokens themselves are nowhere: one is
//! `family ‖ generation ‖ MAC`, and the row holds the generation that lives.

use vestibule_protocol::{
    client_id::ClientKey,
    client_metadata::AuthMethod,
    ids::{FamilyId, GrantId},
    time::Timestamp,
};

use crate::{
    AuditEntry, Result,
    grants::{Assertion, AssertionUse, Grant},
};

/// A refresh family.
#[derive(Clone, Debug)]
pub struct Family {
    /// Its id, part of every token of it.
    pub id: FamilyId,
    /// The grant it serves.
    pub grant: GrantId,
    /// Whose.
    pub client: ClientKey,
    /// The seal key of its tokens.
    pub key_id: u16,
    /// The generation that lives.
    pub generation: u64,
    /// When it last moved.
    pub rotated_at: Timestamp,
    /// When it was last used.
    pub last_used_at: Timestamp,
    /// Idle limit.
    pub idle_until: Timestamp,
    /// Limit that nothing extends.
    pub absolute_until: Timestamp,
    /// Whether each use moves the generation.
    pub rotates: bool,
    /// How the client authenticated when the code was redeemed.
    pub auth_method: AuthMethod,
    /// Dead.
    pub revoked: bool,
}

/// One refresh, prepared; nothing is decided yet.
#[derive(Clone, Debug)]
pub struct Rotation {
    /// Which family.
    pub family: FamilyId,
    /// Who asks.
    pub client: ClientKey,
    /// The generation of the token shown.
    pub generation: u64,
    /// `Grant::version` as read when the answer was prepared.
    pub grant_version: u64,
    /// The new idle limit, already cut to the absolute one.
    pub idle_until: Timestamp,
    /// How long a repeat of the previous generation is answered alike.
    pub grace_seconds: u64,
    /// The assertion to use up in the same transaction.
    pub assertion: Option<AssertionUse>,
    /// When.
    pub now: Timestamp,
    /// Written only with reuse and with a fast-forward; a plain rotation is recorded by the row.
    pub audit: AuditEntry,
}

/// What became of a refresh (`design-details.md`, section B).
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Rotated {
    /// The generation moved; answer with `generation + 1`.
    Moved,
    /// A repeat inside the grace window: answer with the living generation; no write.
    Repeat {
        /// The generation that lives.
        generation: u64,
    },
    /// The grant changed since it was read: prepare again, once.
    Changed,
    /// An old generation outside the window: the family is dead now, and its grant with it.
    Reuse,
    /// The token is of a later generation than the row: the database lost a commit. The row was
    /// moved forward to `generation + 1`; never a revocation.
    FastForward,
    /// Other client, expired, revoked, unknown: family untouched.
    Dead,
    /// The assertion was not fresh; family untouched.
    AssertionRefused(Assertion),
}

/// How often the use of a family that does not rotate is written down, in seconds.
pub const TOUCH_SECONDS: u64 = 3_600;

/// What a generation means to a family as it was read (`design-details.md`, section B). A backend
/// decides by it what it has locked, and changes rows by statements that are guarded all the same.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Judged {
    /// Nothing is written for this answer.
    Answer(Rotated),
    /// The MAC was right, so this hub issued a later generation: the database lost a commit.
    Behind,
    /// It is the one that lives.
    Current,
    /// An old generation outside the window.
    Reuse,
}

impl Family {
    /// Is it time to write down that a family is used that does not rotate?
    pub fn is_touch_due(&self, now: Timestamp) -> bool {
        now.since(self.last_used_at).as_secs() >= TOUCH_SECONDS
    }
}

impl Rotation {
    /// Does the family exist for this client, alive now?
    pub fn is_usable(&self, family: &Family, grant: &Grant) -> bool {
        family.client == self.client
            && !family.revoked
            && !grant.revoked
            && self.now < family.idle_until
            && self.now < family.absolute_until
    }

    /// What the generation that is shown means to what was found.
    pub fn judge(&self, found: Option<&(Family, Grant)>) -> Judged {
        let Some((family, grant)) = found.filter(|(family, grant)| self.is_usable(family, grant))
        else {
            return Judged::Answer(Rotated::Dead);
        };
        // Before the assertion is used up: whoever prepares again shows the same one.
        if family.generation <= self.generation && grant.version != self.grant_version {
            return Judged::Answer(Rotated::Changed);
        }
        if family.generation < self.generation {
            return Judged::Behind;
        }
        if family.generation == self.generation {
            return Judged::Current;
        }
        let previous = family.generation == self.generation.saturating_add(1);
        let recent = self.now.since(family.rotated_at).as_secs() <= self.grace_seconds;
        // A window of zero seconds is none.
        if previous && recent && self.grace_seconds > 0 {
            return Judged::Answer(Rotated::Repeat {
                generation: family.generation,
            });
        }
        Judged::Reuse
    }
}

/// Families and revoked token ids.
#[async_trait::async_trait]
pub trait TokenStore: Send + Sync {
    /// A family and its grant.
    async fn find_family(&self, id: &FamilyId) -> Result<Option<(Family, Grant)>>;

    /// Rotate by one guarded update (`design-details.md` B.6).
    ///
    /// # Contract — `conformance::tokens`
    /// - Of any number of concurrent calls with the living generation exactly one is `Moved`, the
    ///   others are `Repeat` with its generation (inside the window).
    /// - The window covers the previous generation only; two back is `Reuse` at any time.
    /// - `Reuse` revokes family and grant and writes the audit entry, once.
    /// - Another client's call, or an expired family, changes nothing.
    /// - `absolute_until` never moves; `idle_until` is what the caller computed.
    async fn rotate(&self, rotation: Rotation) -> Result<Rotated>;

    /// Use a family that does not rotate: moves `last_used_at`/`idle_until`, at most one write an
    /// hour; uses up the assertion if there is one. `Moved` when it may be used, else as `rotate`.
    async fn touch_family(&self, rotation: Rotation) -> Result<Rotated>;

    /// End a family and its grant. Returns whether this call did it.
    async fn revoke_family(&self, id: &FamilyId, audit: AuditEntry) -> Result<bool>;

    /// Refuse one access token until `expires_at` (REV-07). Idempotent.
    async fn revoke_token_id(
        &self,
        jti_hash: [u8; 32],
        expires_at: Timestamp,
        audit: AuditEntry,
    ) -> Result<()>;

    /// Is a token with this grant (if it has one) and id still good? A grant that is revoked or
    /// unknown is not.
    async fn token_is_live(&self, grant: Option<&GrantId>, jti_hash: &[u8; 32]) -> Result<bool>;

    /// Use up an assertion that protects no other write (`client_credentials`, PAR, revocation,
    /// introspection). Stored clients only.
    ///
    /// # Contract — `conformance::tokens`
    /// - Of any number of concurrent calls with one (client, jti) exactly one is `First`.
    async fn use_assertion(&self, assertion: AssertionUse, now: Timestamp) -> Result<Assertion>;
}
