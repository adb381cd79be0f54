//! Refresh families and revoked token ids.

use async_trait::async_trait;
use vestibule_protocol::{
    audit::Event,
    ids::{FamilyId, GrantId},
    time::Timestamp,
};
use vestibule_store::{
    AuditEntry, Result, TokenStore,
    grants::{Assertion, AssertionUse, Grant},
    tokens::{Family, Judged, Rotated, Rotation, TOUCH_SECONDS},
};

use crate::{
    PostgresStore,
    grants::revoke,
    locks,
    pool::{Work, transact},
    rows::{self, Outcome},
};

/// One guarded statement (`design-details.md`, B.6): nothing that was read while the answer was
/// prepared has changed. Whoever waits for the row reads it again, its `revoked` too, which every
/// revocation of a grant sets.
macro_rules! rotate {
    ($compare:literal) => {
        concat!(
            "UPDATE families f SET generation = $3 + 1, rotated_at = $4, last_used_at = $4, \
             idle_until = $5 WHERE f.id = $1 AND f.client = $2 AND f.generation ",
            $compare,
            " $3 AND NOT f.revoked AND f.idle_until > $4 AND f.absolute_until > $4 \
             AND EXISTS (SELECT 1 FROM grants g WHERE g.id = f.grant_id AND g.version = $6 \
                         AND NOT g.revoked) RETURNING 1"
        )
    };
}
const ROTATE: &str = rotate!("=");
const FAST_FORWARD: &str = rotate!("<");

const FIND: &str = concat!(
    "SELECT ",
    rows::family_columns!(),
    ", ",
    rows::grant_columns!(),
    " FROM families f JOIN grants g ON g.id = f.grant_id WHERE f.id = $1"
);

/// The parameters of [`ROTATE`].
struct Guards<'a> {
    family: &'a [u8],
    client: &'a [u8],
    generation: i64,
    now: i64,
    idle_until: i64,
    grant_version: i64,
}

impl<'a> Guards<'a> {
    fn of(rotation: &'a Rotation) -> Self {
        Self {
            family: rotation.family.as_bytes(),
            client: rotation.client.as_bytes(),
            generation: rows::number(rotation.generation),
            now: rows::seconds(rotation.now),
            idle_until: rows::seconds(rotation.idle_until),
            grant_version: rows::number(rotation.grant_version),
        }
    }

    fn parameters(&self) -> [&(dyn tokio_postgres::types::ToSql + Sync); 6] {
        [
            &self.family,
            &self.client,
            &self.generation,
            &self.now,
            &self.idle_until,
            &self.grant_version,
        ]
    }
}

#[async_trait]
impl TokenStore for PostgresStore {
    async fn find_family(&self, id: &FamilyId) -> Result<Option<(Family, Grant)>> {
        self.read(FIND, &[&id.as_bytes().as_slice()], pair).await
    }

    async fn rotate(&self, rotation: Rotation) -> Result<Rotated> {
        if rotation.assertion.is_none() {
            let guards = Guards::of(&rotation);
            if self.hot_row(ROTATE, &guards.parameters()).await?.is_some() {
                return Ok(Rotated::Moved);
            }
            // What changes nothing needs no lock: a repeat, a dead family, a changed grant.
            let found = self.find_family(&rotation.family).await?;
            match rotation.judge(found.as_ref()) {
                Judged::Answer(answer) => return Ok(answer),
                Judged::Reuse | Judged::Behind | Judged::Current => {}
            }
        }
        transact!(hot self, |w| { rotate(w, &rotation).await })
    }

    async fn touch_family(&self, rotation: Rotation) -> Result<Rotated> {
        // Mostly there is nothing to write: look first.
        let found = self.find_family(&rotation.family).await?;
        let usable = found.filter(|(family, grant)| rotation.is_usable(family, grant));
        let Some((family, _)) = usable else {
            return Ok(Rotated::Dead);
        };
        if !family.is_touch_due(rotation.now) && rotation.assertion.is_none() {
            return Ok(Rotated::Moved);
        }
        transact!(hot self, |w| { touch(w, &rotation).await })
    }

    async fn revoke_family(&self, id: &FamilyId, audit: AuditEntry) -> Result<bool> {
        transact!(self, |w| {
            let Some((family, _)) = lock(w, id).await? else {
                return Ok(false);
            };
            if family.revoked {
                return Ok(false);
            }
            revoke(w, family.grant.as_str()).await?;
            w.audit(&audit).await?;
            Ok(true)
        })
    }

    async fn revoke_token_id(
        &self,
        jti_hash: [u8; 32],
        expires_at: Timestamp,
        audit: AuditEntry,
    ) -> Result<()> {
        self.trailed(
            rows::trailed!(
                "INSERT INTO revoked_tokens (jti_hash, expires_at) VALUES ($8, $9) \
                 ON CONFLICT (jti_hash) DO NOTHING RETURNING 1"
            ),
            &audit,
            &[&jti_hash.as_slice(), &rows::seconds(expires_at)],
        )
        .await
        .map(drop)
    }

    async fn token_is_live(&self, grant: Option<&GrantId>, jti_hash: &[u8; 32]) -> Result<bool> {
        let live = self
            .read(
                "SELECT NOT EXISTS (SELECT 1 FROM revoked_tokens WHERE jti_hash = $1) \
                 AND ($2::text IS NULL \
                      OR EXISTS (SELECT 1 FROM grants WHERE id = $2 AND NOT revoked)) AS live",
                &[&jti_hash.as_slice(), &grant.map(GrantId::as_str)],
                |row| rows::get(row, "live"),
            )
            .await?;
        Ok(live == Some(true))
    }

    async fn use_assertion(&self, assertion: AssertionUse, now: Timestamp) -> Result<Assertion> {
        let far_from_full = Use::of(&assertion, now, ROOM);
        if self
            .hot_row(USE_ASSERTION, &far_from_full.all())
            .await?
            .is_some()
        {
            return Ok(Assertion::First);
        }
        transact!(hot self, |w| { use_one_of_the_last(w, &assertion, now).await })
    }
}

/// Recorded if nobody did before and there is room.
const USE_ASSERTION: &str = "INSERT INTO assertions (client, jti_hash, expires_at) \
    SELECT $1::bytea, $2::bytea, $3::bigint WHERE (SELECT count(*) FROM (\
        SELECT 1 FROM assertions WHERE client = $1 AND expires_at > $4 LIMIT $5) AS live) < $5 \
    ON CONFLICT (client, jti_hash) DO NOTHING RETURNING 1";
const KNOWN_ASSERTION: &str = "SELECT 1 FROM assertions WHERE client = $1 AND jti_hash = $2";

/// With so many free places nobody has to be alone to take one: more than come at the same time over
/// all connections of all nodes.
const ROOM: i64 = 512;

/// The parameters of [`USE_ASSERTION`].
struct Use<'a> {
    client: &'a [u8],
    jti: &'a [u8],
    expires_at: i64,
    now: i64,
    rows_max: i64,
}

impl<'a> Use<'a> {
    fn of(assertion: &'a AssertionUse, now: Timestamp, room: i64) -> Self {
        Self {
            client: assertion.client.as_bytes(),
            jti: &assertion.jti_hash,
            expires_at: rows::seconds(assertion.expires_at),
            now: rows::seconds(now),
            rows_max: (i64::from(assertion.rows_max) - room).max(0),
        }
    }

    fn all(&self) -> [&(dyn tokio_postgres::types::ToSql + Sync); 5] {
        [
            &self.client,
            &self.jti,
            &self.expires_at,
            &self.now,
            &self.rows_max,
        ]
    }
}

/// Use up an assertion in the transaction of what it protects.
pub(crate) async fn use_assertion(
    w: &Work,
    assertion: &AssertionUse,
    now: Timestamp,
) -> Outcome<Assertion> {
    let far_from_full = Use::of(assertion, now, ROOM);
    if w.row(USE_ASSERTION, &far_from_full.all()).await?.is_some() {
        return Ok(Assertion::First);
    }
    use_one_of_the_last(w, assertion, now).await
}

/// It is known, or there is not much room: then those of one client come one after the other, and
/// the bound is exact.
async fn use_one_of_the_last(
    w: &Work,
    assertion: &AssertionUse,
    now: Timestamp,
) -> Outcome<Assertion> {
    let parameters = Use::of(assertion, now, 0);
    let known = [&parameters.client as _, &parameters.jti as _];
    if w.row(KNOWN_ASSERTION, &known).await?.is_some() {
        return Ok(Assertion::Replayed);
    }
    locks::assertions(w, &assertion.client).await?;
    if w.row(USE_ASSERTION, &parameters.all()).await?.is_some() {
        return Ok(Assertion::First);
    }
    let known = w.row(KNOWN_ASSERTION, &known).await?;
    Ok(known.map_or(Assertion::Full, |_| Assertion::Replayed))
}

fn pair(row: &tokio_postgres::Row) -> Outcome<(Family, Grant)> {
    Ok((rows::family(row)?, rows::grant(row)?))
}

/// A family and its grant, both ours until the transaction ends; the grant first, as everywhere.
async fn lock(w: &Work, id: &FamilyId) -> Outcome<Option<(Family, Grant)>> {
    let id = id.as_bytes().as_slice();
    w.rows(
        "SELECT 1 FROM grants WHERE id = (SELECT grant_id FROM families WHERE id = $1) \
         FOR NO KEY UPDATE",
        &[&id],
    )
    .await?;
    w.rows(
        "SELECT 1 FROM families WHERE id = $1 FOR NO KEY UPDATE",
        &[&id],
    )
    .await?;
    w.read(FIND, &[&id], pair).await
}

async fn assertion_refused(w: &Work, rotation: &Rotation) -> Outcome<Option<Rotated>> {
    let Some(assertion) = &rotation.assertion else {
        return Ok(None);
    };
    Ok(match use_assertion(w, assertion, rotation.now).await? {
        Assertion::First => None,
        refused => Some(Rotated::AssertionRefused(refused)),
    })
}

/// Every case that is not plain, decided on locked rows.
async fn rotate(w: &Work, rotation: &Rotation) -> Outcome<Rotated> {
    let found = lock(w, &rotation.family).await?;
    let judged = rotation.judge(found.as_ref());
    if let Judged::Answer(answer @ (Rotated::Dead | Rotated::Changed)) = judged {
        return Ok(answer);
    }
    if let Some(refused) = assertion_refused(w, rotation).await? {
        return Ok(refused);
    }
    let guards = Guards::of(rotation);
    let (statement, answer) = match judged {
        Judged::Answer(answer) => return Ok(answer),
        Judged::Reuse => {
            if let Some((family, _)) = &found {
                w.changed();
                revoke(w, family.grant.as_str()).await?;
                w.audit(&rotation.audit).await?;
            }
            return Ok(Rotated::Reuse);
        }
        Judged::Current => (ROTATE, Rotated::Moved),
        Judged::Behind => (FAST_FORWARD, Rotated::FastForward),
    };
    if w.row(statement, &guards.parameters()).await?.is_none() {
        return Ok(Rotated::Changed);
    }
    if answer == Rotated::FastForward {
        w.audit(&AuditEntry {
            event: Event::StoreWentBack,
            ..rotation.audit.clone()
        })
        .await?;
    }
    Ok(answer)
}

/// No lock: what another does to the family at the same time comes before or after.
async fn touch(w: &Work, rotation: &Rotation) -> Outcome<Rotated> {
    let id = rotation.family.as_bytes().as_slice();
    let found = w.read(FIND, &[&id], pair).await?;
    let usable = found.filter(|(family, grant)| rotation.is_usable(family, grant));
    let Some((family, _)) = usable else {
        return Ok(Rotated::Dead);
    };
    if let Some(refused) = assertion_refused(w, rotation).await? {
        return Ok(refused);
    }
    if family.is_touch_due(rotation.now) {
        let (now, hour) = (rows::seconds(rotation.now), rows::number(TOUCH_SECONDS));
        w.change(
            "UPDATE families SET last_used_at = $2, idle_until = $3 \
             WHERE id = $1 AND NOT revoked AND last_used_at <= $2 - $4::bigint",
            &[&id, &now, &rows::seconds(rotation.idle_until), &hour],
        )
        .await?;
    }
    Ok(Rotated::Moved)
}
