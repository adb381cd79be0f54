//! Grants, codes, tickets, remembered consent.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _, params};
use vestibule_protocol::{
    client_id::ClientKey,
    client_metadata::AuthMethod,
    ids::{CodeHash, GrantId, TicketId, UserId},
    scope::ScopeSet,
    time::Timestamp,
    trust::Door,
};
use vestibule_store::{
    AuditEntry, GrantStore, Result,
    clients::StoredClient,
    grants::{Approval, Approved, Assertion, Code, CodeSpending, Grant, NewFamily, Spent},
};

use crate::{
    SqliteStore,
    clients::{is_stored, tombstone},
    rows::{self, Columns},
    standings, supersessions,
};

#[async_trait]
impl GrantStore for SqliteStore {
    async fn approve(&self, approval: Approval) -> Result<Approved> {
        let (approved, _) = self
            .writer
            .run_hot(
                move |c| approve(c, &approval),
                |(_, client_changed)| *client_changed,
            )
            .await?;
        Ok(approved)
    }

    async fn deny(&self, ticket: TicketId, until: Timestamp, audit: AuditEntry) -> Result<bool> {
        self.writer
            .run(move |c| {
                let first = use_ticket(c, &ticket, until)?;
                if first {
                    rows::audit(c, &audit)?;
                }
                Ok(first)
            })
            .await
    }

    async fn find_code(&self, hash: &CodeHash) -> Result<Option<(Code, Grant)>> {
        let (code, grant) = (rows::CODE_COLUMNS, rows::GRANT_COLUMNS);
        self.readers.read(|c| {
            c.prepare_cached(&format!(
                "SELECT {code}, {grant} FROM codes c JOIN grants g ON g.id = c.grant_id \
                 WHERE c.hash = ?1"
            ))?
            .query_row([hash.as_bytes()], |row| {
                let mut columns = Columns::of(row);
                Ok((columns.code()?, columns.grant()?))
            })
            .optional()
        })
    }

    async fn spend_code(&self, spending: CodeSpending) -> Result<Spent> {
        self.writer
            .run_hot(move |c| spend(c, &spending), |_| false)
            .await
    }

    async fn find_grant(&self, id: &GrantId) -> Result<Option<Grant>> {
        let columns = rows::GRANT_COLUMNS;
        self.readers.read(|c| {
            c.prepare_cached(&format!("SELECT {columns} FROM grants g WHERE g.id = ?1"))?
                .query_row([id.as_str()], |row| Columns::of(row).grant())
                .optional()
        })
    }

    async fn revoke_grant(&self, id: &GrantId, audit: AuditEntry) -> Result<bool> {
        let id = id.clone();
        self.writer
            .run(move |c| {
                let revoked = revoke(c, id.as_str())?;
                if revoked {
                    rows::audit(c, &audit)?;
                }
                Ok(revoked)
            })
            .await
    }

    async fn remembered_consent(
        &self,
        user: &UserId,
        client: &ClientKey,
        metadata_digest: &[u8; 32],
        resource: &str,
        now: Timestamp,
    ) -> Result<Option<ScopeSet>> {
        let scopes: Option<String> = self.readers.read(|c| {
            c.prepare_cached(
                "SELECT scopes FROM consents WHERE user = ?1 AND client = ?2 AND resource = ?3 \
                 AND digest = ?4 AND until > ?5",
            )?
            .query_row(
                params![
                    user.as_str(),
                    client.as_bytes(),
                    resource,
                    metadata_digest,
                    rows::seconds(now)
                ],
                |row| row.get(0),
            )
            .optional()
        })?;
        Ok(scopes.map(|text| ScopeSet::from_text(&text)))
    }

    async fn last_grant(&self, user: &UserId, client: &ClientKey) -> Result<Option<Timestamp>> {
        let last: Option<i64> = self.readers.read(|c| {
            c.prepare_cached(
                "SELECT max(created_at) FROM grants \
                 WHERE client = ?1 AND user = ?2 AND revoked = 0",
            )?
            .query_row(params![client.as_bytes(), user.as_str()], |row| row.get(0))
        })?;
        Ok(last.map(|at| Timestamp::from_seconds(u64::try_from(at).unwrap_or(0))))
    }

    async fn list_grants(&self, user: &UserId, rows_max: usize) -> Result<Vec<Grant>> {
        let columns = rows::GRANT_COLUMNS;
        let limit = rows::limit(rows_max);
        self.readers.read(|c| {
            c.prepare_cached(&format!(
                "SELECT {columns} FROM grants g WHERE g.user = ?1 AND g.revoked = 0 \
                 ORDER BY g.created_at DESC LIMIT ?2"
            ))?
            .query_map(params![user.as_str(), limit], |row| {
                Columns::of(row).grant()
            })?
            .collect()
        })
    }
}

fn use_ticket(c: &Connection, ticket: &TicketId, until: Timestamp) -> rusqlite::Result<bool> {
    let inserted = c
        .prepare_cached("INSERT INTO tickets VALUES (?1, ?2) ON CONFLICT (id) DO NOTHING")?
        .execute(params![ticket.as_bytes(), rows::seconds(until)])?;
    Ok(inserted == 1)
}

/// Besides the outcome: whether a client is another than before.
fn approve(c: &Connection, approval: &Approval) -> rusqlite::Result<(Approved, bool)> {
    let Approval {
        client,
        grant,
        code,
        ..
    } = approval;
    // Tombstone and block are looked at first, so that nothing has to be undone. A client of an
    // admin is never made here: without a row it was removed.
    if tombstone(c, &client.key)?.is_some()
        || standings::is_blocked(c, &client.key, &code.redirect_uri, approval.now)?
        || (client.door == Door::Admin && !is_stored(c, &client.key)?)
    {
        return Ok((Approved::ClientGone, false));
    }
    if !use_ticket(c, &approval.ticket, approval.ticket_until)? {
        return Ok((Approved::TicketUsed, false));
    }
    // Insert or nothing: of two people on two nodes both win.
    let promoted = rows::insert_client(c, client)?;
    let refreshed = !promoted && refresh_client(c, client)?;
    insert_grant(c, grant)?;
    c.prepare_cached(
        "INSERT INTO codes (hash, client, grant_id, redirect_uri, challenge, nonce, auth_method, \
         expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![
        code.hash.as_bytes(),
        code.client.as_bytes(),
        code.grant.as_str(),
        code.redirect_uri,
        code.challenge.as_bytes(),
        code.nonce,
        code.auth_method.map(AuthMethod::as_str),
        rows::seconds(code.expires_at),
    ])?;
    if let Some(until) = approval.remember_until {
        c.prepare_cached(
            "INSERT INTO consents VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO UPDATE SET \
             digest = excluded.digest, scopes = excluded.scopes, until = excluded.until",
        )?
        .execute(params![
            grant.user.as_str(),
            grant.client.as_bytes(),
            grant.resource,
            grant.metadata_digest,
            grant.scopes.to_string(),
            rows::seconds(until),
        ])?;
    }
    rows::audit(c, &approval.audit)?;
    if !approval.supersedes.is_empty() {
        supersessions::move_grants(c, approval)?;
    }
    let client_changed = refreshed || !approval.supersedes.is_empty();
    Ok((Approved::Done, client_changed))
}

/// A row that was there learns what is known now: a document's everything, unless it was looked at
/// later already; a registration's only its software, where the row is older than that column.
fn refresh_client(c: &Connection, client: &StoredClient) -> rusqlite::Result<bool> {
    let refreshed = match client.door {
        Door::Admin => 0,
        Door::Cimd => c
            .prepare_cached(
                "UPDATE clients SET version = version + (metadata <> ?2), metadata = ?2, \
                 software = CASE ?3 WHEN '' THEN software ELSE ?3 END, host = coalesce(?4, host), \
                 snapshot_at = ?5, checked_at = max(checked_at, ?5) \
                 WHERE key = ?1 AND door = 'cimd' AND snapshot_at <= ?5 \
                 AND (snapshot_at < ?5 OR metadata <> ?2 OR software <> ?3 OR host IS NOT ?4)",
            )?
            .execute(params![
                client.key.as_bytes(),
                client.metadata.encode_stored(),
                client.software,
                client.host,
                rows::seconds(client.snapshot_at),
            ])?,
        Door::Dcr => c
            .prepare_cached(
                "UPDATE clients SET software = ?2, host = ?3 \
                 WHERE key = ?1 AND door = 'dcr' AND software = '' AND ?2 <> ''",
            )?
            .execute(params![client.key.as_bytes(), client.software, client.host])?,
    };
    Ok(refreshed > 0)
}

fn insert_grant(c: &Connection, grant: &Grant) -> rusqlite::Result<()> {
    c.prepare_cached(
        "INSERT INTO grants (id, user, client, resource, scopes, metadata_digest, auth_time, \
         created_at, absolute_until, revoked, version, risk, read_only, short_session, source) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
    )?
    .execute(params![
        grant.id.as_str(),
        grant.user.as_str(),
        grant.client.as_bytes(),
        grant.resource,
        grant.scopes.to_string(),
        grant.metadata_digest,
        rows::seconds(grant.auth_time),
        rows::seconds(grant.created_at),
        rows::seconds(grant.absolute_until),
        grant.revoked,
        rows::number(grant.version),
        grant.risk.as_str(),
        grant.read_only,
        grant.short_session,
        grant.source,
    ])?;
    Ok(())
}

fn spend(c: &Connection, spending: &CodeSpending) -> rusqlite::Result<Spent> {
    let found = c
        .prepare_cached(&format!(
            "SELECT {code}, g.revoked FROM codes c JOIN grants g ON g.id = c.grant_id \
             WHERE c.hash = ?1",
            code = rows::CODE_COLUMNS
        ))?
        .query_row([spending.hash.as_bytes()], |row| {
            let mut columns = Columns::of(row);
            Ok((columns.code()?, columns.take::<bool>()?))
        })
        .optional()?;
    let Some((code, revoked)) = found else {
        return Ok(Spent::Unknown);
    };
    if let Some(at) = code.spent_at {
        return Ok(Spent::Before(code.grant, at));
    }
    if revoked || spending.now >= code.expires_at {
        return Ok(Spent::Expired);
    }
    if let Some(assertion) = &spending.assertion {
        match rows::use_assertion(c, assertion, spending.now)? {
            Assertion::First => {}
            refused => return Ok(Spent::AssertionRefused(refused)),
        }
    }
    // The writer is alone, and the guard stands all the same: this statement decides.
    let spent = c
        .prepare_cached("UPDATE codes SET spent_at = ?2 WHERE hash = ?1 AND spent_at IS NULL")?
        .execute(params![
            spending.hash.as_bytes(),
            rows::seconds(spending.now)
        ])?;
    if spent == 0 {
        return Ok(Spent::Before(code.grant, spending.now));
    }
    if let Some(family) = &spending.family {
        open_family(c, family, &code, spending)?;
    }
    rows::audit(c, &spending.audit)?;
    Ok(Spent::Now(code.grant))
}

fn open_family(
    c: &Connection,
    family: &NewFamily,
    code: &Code,
    spending: &CodeSpending,
) -> rusqlite::Result<()> {
    let now = rows::seconds(spending.now);
    c.prepare_cached(
        "INSERT INTO families (id, grant_id, client, key_id, generation, rotated_at, \
         last_used_at, idle_until, absolute_until, rotates, auth_method, revoked) \
         VALUES (?1, ?2, ?3, ?4, 0, ?5, ?5, ?6, ?7, ?8, ?9, 0)",
    )?
    .execute(params![
        family.id.as_bytes(),
        code.grant.as_str(),
        code.client.as_bytes(),
        family.key_id,
        now,
        rows::seconds(family.idle_until),
        rows::seconds(family.absolute_until),
        family.rotates,
        spending.auth_method.as_str(),
    ])?;
    Ok(())
}

/// End a grant and all that hangs on it.
pub(crate) fn revoke(c: &Connection, id: &str) -> rusqlite::Result<bool> {
    let revoked = c
        .prepare_cached(
            "UPDATE grants SET revoked = 1, version = version + 1 WHERE id = ?1 AND revoked = 0",
        )?
        .execute([id])?;
    c.execute(
        "UPDATE families SET revoked = 1 WHERE grant_id = ?1 AND revoked = 0",
        [id],
    )?;
    c.execute(
        "DELETE FROM codes WHERE grant_id = ?1 AND spent_at IS NULL",
        [id],
    )?;
    c.execute(
        "DELETE FROM consents WHERE (user, client, resource) IN \
         (SELECT user, client, resource FROM grants WHERE id = ?1)",
        [id],
    )?;
    Ok(revoked == 1)
}
