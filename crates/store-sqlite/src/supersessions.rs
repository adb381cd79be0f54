//! Registered clients and their successors.

use std::collections::BTreeSet;

use async_trait::async_trait;
use rusqlite::{Connection, params};
use vestibule_protocol::{
    audit::Event,
    client_id::ClientKey,
    client_metadata::DisplayName,
    ids::{GrantId, UserId},
    redirect_uri::RedirectUri,
    time::Timestamp,
};
use vestibule_store::{
    AuditEntry, Result, SupersessionStore,
    clients::StoredClient,
    grants::Approval,
    supersessions::{
        HOSTS_MAX, NAMED_MAX, PREDECESSORS_MAX, REPORT_MAX, SoftwareRow, Superseded,
        SupersessionRow,
    },
};

use crate::{SqliteStore, grants::revoke, rows};

pub(crate) const OF_PERSON: &str = "SELECT DISTINCT g.client AS old_key FROM grants g \
    CROSS JOIN supersessions s ON s.old_key = g.client WHERE g.user = ?1 AND g.resource = ?2 \
    AND g.revoked = 0 AND g.absolute_until > ?3 AND s.new_key = ?4 LIMIT ?5";

pub(crate) const TO_MOVE: &str = "SELECT g.id, g.client FROM grants g \
    CROSS JOIN supersessions s ON s.old_key = g.client WHERE g.user = ?1 AND g.resource = ?2 \
    AND g.revoked = 0 AND g.absolute_until > ?3 AND s.new_key = ?4 ORDER BY g.created_at";

pub(crate) const OF_SOFTWARE: &str = "SELECT * FROM clients WHERE software = ?1 AND software <> '' \
    ORDER BY created_at DESC LIMIT ?2";

#[async_trait]
impl SupersessionStore for SqliteStore {
    async fn put_supersession(
        &self,
        software: &str,
        old: &[ClientKey],
        new_client_id: &str,
        audit: AuditEntry,
    ) -> Result<Superseded> {
        let (software, new_client_id) = (software.to_owned(), new_client_id.to_owned());
        let new = ClientKey::of(&new_client_id);
        // Nobody takes their own place.
        let old: BTreeSet<ClientKey> = old.iter().copied().filter(|key| *key != new).collect();
        if old.len() > PREDECESSORS_MAX {
            return Ok(Superseded::Full);
        }
        self.writer
            .run(move |c| {
                // Counted before the first write, so that nothing has to be undone.
                let mut linked = c.prepare_cached(
                    "SELECT EXISTS (SELECT 1 FROM supersessions \
                     WHERE old_key = ?1 AND new_key = ?2)",
                )?;
                let mut missing = Vec::new();
                for key in old {
                    let known: bool = linked
                        .query_row(params![key.as_bytes(), new.as_bytes()], |row| row.get(0))?;
                    if !known {
                        missing.push(key);
                    }
                }
                let present: i64 = c
                    .prepare_cached("SELECT count(*) FROM supersessions WHERE new_key = ?1")?
                    .query_row([new.as_bytes()], |row| row.get(0))?;
                let wanted = rows::limit(missing.len()).saturating_add(present);
                if wanted > rows::limit(PREDECESSORS_MAX) {
                    return Ok(Superseded::Full);
                }
                let mut link = c.prepare_cached(
                    "INSERT INTO supersessions VALUES (?1, ?2, ?3, ?4, ?5, 0) \
                     ON CONFLICT (old_key) DO UPDATE SET new_key = excluded.new_key, \
                     new_client_id = excluded.new_client_id, software = excluded.software, \
                     created_at = excluded.created_at, moved = 0",
                )?;
                for key in &missing {
                    link.execute(params![
                        key.as_bytes(),
                        new.as_bytes(),
                        new_client_id,
                        software,
                        rows::seconds(audit.at),
                    ])?;
                }
                if !missing.is_empty() {
                    rows::audit(c, &audit)?;
                }
                Ok(Superseded::Done)
            })
            .await
    }

    async fn superseded_by(&self, new: &ClientKey) -> Result<Vec<ClientKey>> {
        self.readers.read(|c| {
            c.prepare_cached("SELECT old_key FROM supersessions WHERE new_key = ?1 LIMIT ?2")?
                .query_map(params![new.as_bytes(), rows::limit(NAMED_MAX)], |row| {
                    rows::client_key(row, "old_key")
                })?
                .collect()
        })
    }

    async fn superseded_for(
        &self,
        new: &ClientKey,
        user: &UserId,
        resource: &str,
        now: Timestamp,
    ) -> Result<Vec<ClientKey>> {
        let most = rows::limit(NAMED_MAX);
        self.readers.read(|c| {
            // Mostly nothing was linked to this client, and a person may have many grants.
            let linked: bool = c
                .prepare_cached("SELECT EXISTS (SELECT 1 FROM supersessions WHERE new_key = ?1)")?
                .query_row([new.as_bytes()], |row| row.get(0))?;
            if !linked {
                return Ok(Vec::new());
            }
            c.prepare_cached(OF_PERSON)?
                .query_map(
                    params![
                        user.as_str(),
                        resource,
                        rows::seconds(now),
                        new.as_bytes(),
                        most
                    ],
                    |row| rows::client_key(row, "old_key"),
                )?
                .collect()
        })
    }

    async fn supersession_report(&self, now: Timestamp) -> Result<Vec<SupersessionRow>> {
        self.readers.read(|c| {
            c.prepare_cached(
                "SELECT s.new_client_id, count(*) AS old_clients, sum(s.moved) AS moved, \
                 sum((SELECT count(*) FROM grants g WHERE g.client = s.old_key \
                      AND g.revoked = 0 AND g.absolute_until > ?1)) AS live_grants_left \
                 FROM supersessions s GROUP BY s.new_key ORDER BY s.new_client_id LIMIT ?2",
            )?
            .query_map(
                params![rows::seconds(now), rows::limit(REPORT_MAX)],
                |row| {
                    Ok(SupersessionRow {
                        new_client_id: row.get("new_client_id")?,
                        old_clients: rows::unsigned(row, "old_clients")?,
                        live_grants_left: rows::unsigned(row, "live_grants_left")?,
                        moved: rows::unsigned(row, "moved")?,
                    })
                },
            )?
            .collect()
        })
    }

    async fn remove_supersession(&self, new_client_id: &str, audit: AuditEntry) -> Result<bool> {
        let new = ClientKey::of(new_client_id);
        self.writer
            .run(move |c| {
                let removed = c.execute(
                    "DELETE FROM supersessions WHERE new_key = ?1",
                    [new.as_bytes()],
                )?;
                if removed > 0 {
                    rows::audit(c, &audit)?;
                }
                Ok(removed > 0)
            })
            .await
    }

    async fn registered_software(
        &self,
        now: Timestamp,
        rows_max: usize,
    ) -> Result<Vec<SoftwareRow>> {
        self.readers.read(|c| {
            let counted: Vec<(String, i64)> = c
                .prepare_cached(
                    "SELECT software, count(*) AS clients FROM clients \
                     WHERE software <> '' AND door = 'dcr' \
                     GROUP BY software ORDER BY clients DESC, software LIMIT ?1",
                )?
                .query_map([rows::limit(rows_max)], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })?
                .collect::<rusqlite::Result<_>>()?;
            counted
                .into_iter()
                .map(|(software, clients)| describe(c, software, clients, now))
                .collect()
        })
    }

    async fn clients_of_software(
        &self,
        software: &str,
        rows_max: usize,
    ) -> Result<Vec<StoredClient>> {
        self.readers.read(|c| {
            c.prepare_cached(OF_SOFTWARE)?
                .query_map(params![software, rows::limit(rows_max)], rows::client)?
                .collect()
        })
    }
}

fn describe(
    c: &Connection,
    software: String,
    clients: i64,
    now: Timestamp,
) -> rusqlite::Result<SoftwareRow> {
    let live_grants: i64 = c
        .prepare_cached(
            "SELECT count(*) FROM clients c CROSS JOIN grants g ON g.client = c.key \
             WHERE c.software = ?1 AND c.software <> '' AND c.door = 'dcr' \
             AND g.revoked = 0 AND g.absolute_until > ?2",
        )?
        .query_row(params![software, rows::seconds(now)], |row| row.get(0))?;
    let newest: Vec<StoredClient> = c
        .prepare_cached(
            "SELECT * FROM clients WHERE software = ?1 AND software <> '' AND door = 'dcr' \
             ORDER BY created_at DESC LIMIT ?2",
        )?
        .query_map(params![software, rows::limit(HOSTS_MAX)], rows::client)?
        .collect::<rusqlite::Result<_>>()?;
    let name = newest
        .iter()
        .find_map(|client| client.metadata.client_name.as_ref());
    let hosts: BTreeSet<String> = newest
        .iter()
        .flat_map(|client| &client.metadata.redirect_uris)
        .filter_map(RedirectUri::host)
        .collect();
    Ok(SoftwareRow {
        example_name: name.map(DisplayName::as_str).map(str::to_owned),
        clients: u64::try_from(clients).unwrap_or(0),
        live_grants: u64::try_from(live_grants).unwrap_or(0),
        redirect_hosts: hosts.into_iter().take(HOSTS_MAX).collect(),
        software,
    })
}

/// End what the person had with predecessors of the client that they approve; in the transaction
/// of the approval.
pub(crate) fn move_grants(c: &Connection, approval: &Approval) -> rusqlite::Result<()> {
    let grant = &approval.grant;
    let old: Vec<(String, [u8; 32])> = c
        .prepare_cached(TO_MOVE)?
        .query_map(
            params![
                grant.user.as_str(),
                grant.resource,
                rows::seconds(approval.now),
                grant.client.as_bytes(),
            ],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?
        .collect::<rusqlite::Result<_>>()?;
    for (id, client) in old {
        let client = ClientKey::from_bytes(client);
        if !approval.supersedes.contains(&client) || !revoke(c, &id)? {
            continue;
        }
        c.prepare_cached("UPDATE supersessions SET moved = moved + 1 WHERE old_key = ?1")?
            .execute([client.as_bytes()])?;
        let line = AuditEntry {
            event: Event::GrantMoved,
            client: Some(client),
            grant: Some(GrantId::new(id)),
            detail: format!("moved to {}", grant.id),
            ..approval.audit.clone()
        };
        rows::audit(c, &line)?;
    }
    Ok(())
}
