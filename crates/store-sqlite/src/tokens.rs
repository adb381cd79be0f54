//! Refresh families and revoked token ids.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _, params};
use vestibule_protocol::{
    ids::{FamilyId, GrantId},
    time::Timestamp,
};
use vestibule_store::{
    AuditEntry, Result, TokenStore,
    grants::{Assertion, AssertionUse, Grant},
    tokens::{Family, Judged, Rotated, Rotation},
};

use crate::{
    SqliteStore,
    grants::revoke,
    rows::{self, Columns},
};

#[async_trait]
impl TokenStore for SqliteStore {
    async fn find_family(&self, id: &FamilyId) -> Result<Option<(Family, Grant)>> {
        self.readers.read(|c| find(c, id))
    }

    async fn rotate(&self, rotation: Rotation) -> Result<Rotated> {
        let revoked = |outcome: &Rotated| *outcome == Rotated::Reuse;
        self.writer
            .run_hot(move |c| rotate(c, &rotation), revoked)
            .await
    }

    async fn touch_family(&self, rotation: Rotation) -> Result<Rotated> {
        // Mostly there is nothing to write: look first, and queue only if there is.
        if rotation.assertion.is_none() {
            let found = self.readers.read(|c| find(c, &rotation.family))?;
            let usable = found.filter(|(family, grant)| rotation.is_usable(family, grant));
            let Some((family, _)) = usable else {
                return Ok(Rotated::Dead);
            };
            if !family.is_touch_due(rotation.now) {
                return Ok(Rotated::Moved);
            }
        }
        self.writer
            .run_hot(move |c| touch(c, &rotation), |_| false)
            .await
    }

    async fn revoke_family(&self, id: &FamilyId, audit: AuditEntry) -> Result<bool> {
        let id = *id;
        self.writer
            .run(move |c| {
                let grant: Option<String> = c
                    .prepare_cached("SELECT grant_id FROM families WHERE id = ?1 AND revoked = 0")?
                    .query_row([id.as_bytes()], |row| row.get(0))
                    .optional()?;
                let Some(grant) = grant else { return Ok(false) };
                revoke(c, &grant)?;
                rows::audit(c, &audit)?;
                Ok(true)
            })
            .await
    }

    async fn revoke_token_id(
        &self,
        jti_hash: [u8; 32],
        expires_at: Timestamp,
        audit: AuditEntry,
    ) -> Result<()> {
        self.writer
            .run(move |c| {
                let first = c
                    .prepare_cached(
                        "INSERT INTO revoked_tokens VALUES (?1, ?2) ON CONFLICT DO NOTHING",
                    )?
                    .execute(params![jti_hash, rows::seconds(expires_at)])?;
                if first == 1 {
                    rows::audit(c, &audit)?;
                }
                Ok(())
            })
            .await
    }

    async fn token_is_live(&self, grant: Option<&GrantId>, jti_hash: &[u8; 32]) -> Result<bool> {
        self.readers.read(|c| {
            let revoked: bool = c
                .prepare_cached("SELECT EXISTS (SELECT 1 FROM revoked_tokens WHERE jti_hash = ?1)")?
                .query_row([jti_hash], |row| row.get(0))?;
            let Some(grant) = grant else {
                return Ok(!revoked);
            };
            let live: Option<bool> = c
                .prepare_cached("SELECT revoked = 0 FROM grants WHERE id = ?1")?
                .query_row([grant.as_str()], |row| row.get(0))
                .optional()?;
            Ok(!revoked && live == Some(true))
        })
    }

    async fn use_assertion(&self, assertion: AssertionUse, now: Timestamp) -> Result<Assertion> {
        self.writer
            .run_hot(move |c| rows::use_assertion(c, &assertion, now), |_| false)
            .await
    }
}

fn by_id() -> String {
    let (family, grant) = (rows::FAMILY_COLUMNS, rows::GRANT_COLUMNS);
    format!(
        "SELECT {family}, {grant} FROM families f JOIN grants g ON g.id = f.grant_id \
         WHERE f.id = ?1"
    )
}

fn find(c: &Connection, id: &FamilyId) -> rusqlite::Result<Option<(Family, Grant)>> {
    c.prepare_cached(&by_id())?
        .query_row([id.as_bytes()], |row| {
            let mut columns = Columns::of(row);
            Ok((columns.family()?, columns.grant()?))
        })
        .optional()
}

fn assertion_refused(c: &Connection, rotation: &Rotation) -> rusqlite::Result<Option<Rotated>> {
    let Some(assertion) = &rotation.assertion else {
        return Ok(None);
    };
    Ok(match rows::use_assertion(c, assertion, rotation.now)? {
        Assertion::First => None,
        refused => Some(Rotated::AssertionRefused(refused)),
    })
}

fn rotate(c: &Connection, rotation: &Rotation) -> rusqlite::Result<Rotated> {
    // The common case in one guarded statement (`design-details.md`, B.6): nothing that was read
    // while the answer was prepared has changed.
    let now = rows::seconds(rotation.now);
    let guarded = |from: &str| {
        format!(
            "UPDATE families SET generation = ?3 + 1, rotated_at = ?4, last_used_at = ?4, \
             idle_until = ?5 WHERE id = ?1 AND client = ?2 AND generation {from} ?3 \
             AND revoked = 0 AND idle_until > ?4 AND absolute_until > ?4 \
             AND EXISTS (SELECT 1 FROM grants g WHERE g.id = families.grant_id \
                         AND g.version = ?6 AND g.revoked = 0)"
        )
    };
    let parameters = params![
        rotation.family.as_bytes(),
        rotation.client.as_bytes(),
        rows::number(rotation.generation),
        now,
        rows::seconds(rotation.idle_until),
        rows::number(rotation.grant_version),
    ];
    if rotation.assertion.is_none() && c.prepare_cached(&guarded("="))?.execute(parameters)? == 1 {
        return Ok(Rotated::Moved);
    }
    let found = find(c, &rotation.family)?;
    let judged = rotation.judge(found.as_ref());
    if let Judged::Answer(answer @ (Rotated::Dead | Rotated::Changed)) = judged {
        return Ok(answer);
    }
    if let Some(refused) = assertion_refused(c, rotation)? {
        return Ok(refused);
    }
    let (from, answer) = match judged {
        Judged::Answer(answer) => return Ok(answer),
        Judged::Reuse => {
            if let Some((family, _)) = &found {
                revoke(c, family.grant.as_str())?;
                rows::audit(c, &rotation.audit)?;
            }
            return Ok(Rotated::Reuse);
        }
        Judged::Current => ("=", Rotated::Moved),
        Judged::Behind => ("<", Rotated::FastForward),
    };
    if c.prepare_cached(&guarded(from))?.execute(parameters)? == 0 {
        return Ok(Rotated::Changed);
    }
    if answer == Rotated::FastForward {
        rows::audit(
            c,
            &AuditEntry {
                event: vestibule_protocol::audit::Event::StoreWentBack,
                ..rotation.audit.clone()
            },
        )?;
    }
    Ok(answer)
}

fn touch(c: &Connection, rotation: &Rotation) -> rusqlite::Result<Rotated> {
    let found = find(c, &rotation.family)?;
    let usable = found.filter(|(family, grant)| rotation.is_usable(family, grant));
    let Some((family, _)) = usable else {
        return Ok(Rotated::Dead);
    };
    if let Some(refused) = assertion_refused(c, rotation)? {
        return Ok(refused);
    }
    if family.is_touch_due(rotation.now) {
        c.prepare_cached("UPDATE families SET last_used_at = ?2, idle_until = ?3 WHERE id = ?1")?
            .execute(params![
                rotation.family.as_bytes(),
                rows::seconds(rotation.now),
                rows::seconds(rotation.idle_until),
            ])?;
    }
    Ok(Rotated::Moved)
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;
    use vestibule_store::Store as _;

    use super::*;
    use crate::SqliteOptions;

    /// Another value does not have SQLite parse the statement again.
    #[tokio::test]
    async fn a_hot_statement_is_parsed_once() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("v.db"), SqliteOptions::default());
        let store = store.unwrap();
        let parsed_again = store.readers.read(|c| {
            for byte in 0..10 {
                assert!(find(c, &FamilyId::new([byte; 16]))?.is_none());
            }
            Ok(c.prepare_cached(&by_id())?
                .get_status(StatementStatus::RePrepare))
        });
        assert_eq!(parsed_again.unwrap(), 0);
        store.close().await;
    }
}
