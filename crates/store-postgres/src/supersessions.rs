//! Registered clients and their successors.

use std::collections::BTreeSet;

use async_trait::async_trait;
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

use crate::{
    PostgresStore, grants, locks,
    pool::{Work, transact},
    rows::{self, Outcome},
};

/// Links as columns.
struct Links<'a> {
    new: &'a ClientKey,
    new_client_id: &'a str,
    software: String,
}

#[async_trait]
impl SupersessionStore for PostgresStore {
    async fn put_supersession(
        &self,
        software: &str,
        old: &[ClientKey],
        new_client_id: &str,
        audit: AuditEntry,
    ) -> Result<Superseded> {
        let new = ClientKey::of(new_client_id);
        // Nobody takes their own place. In order, so that rows are locked in one.
        let old: BTreeSet<ClientKey> = old.iter().copied().filter(|key| *key != new).collect();
        if old.len() > PREDECESSORS_MAX {
            return Ok(Superseded::Full);
        }
        let old: Vec<&[u8]> = old.iter().map(|key| key.as_bytes().as_slice()).collect();
        let links = Links {
            new: &new,
            new_client_id,
            software: rows::text(software),
        };
        transact!(self, |w| { link(w, &links, &old, &audit).await })
    }

    async fn superseded_by(&self, new: &ClientKey) -> Result<Vec<ClientKey>> {
        self.read_all(
            "SELECT old_key FROM supersessions WHERE new_key = $1 LIMIT $2",
            &[&new.as_bytes().as_slice(), &rows::limit(NAMED_MAX)],
            |row| rows::client_key(row, "old_key"),
        )
        .await
    }

    async fn superseded_for(
        &self,
        new: &ClientKey,
        user: &UserId,
        resource: &str,
        now: Timestamp,
    ) -> Result<Vec<ClientKey>> {
        self.read_all(
            "SELECT DISTINCT g.client AS old_key FROM grants g \
             JOIN supersessions s ON s.old_key = g.client WHERE g.user_id = $1 \
             AND g.resource = $2 AND NOT g.revoked AND g.absolute_until > $3 AND s.new_key = $4 \
             LIMIT $5",
            &[
                &user.as_str(),
                &resource,
                &rows::seconds(now),
                &new.as_bytes().as_slice(),
                &rows::limit(NAMED_MAX),
            ],
            |row| rows::client_key(row, "old_key"),
        )
        .await
    }

    async fn supersession_report(&self, now: Timestamp) -> Result<Vec<SupersessionRow>> {
        self.read_all(
            "SELECT s.new_client_id, count(*) AS old_clients, sum(s.moved)::bigint AS moved, \
             sum((SELECT count(*) FROM grants g WHERE g.client = s.old_key \
                  AND NOT g.revoked AND g.absolute_until > $1))::bigint AS live_grants_left \
             FROM supersessions s GROUP BY s.new_key, s.new_client_id \
             ORDER BY s.new_client_id LIMIT $2",
            &[&rows::seconds(now), &rows::limit(REPORT_MAX)],
            |row| {
                Ok(SupersessionRow {
                    new_client_id: rows::get(row, "new_client_id")?,
                    old_clients: rows::unsigned(row, "old_clients")?,
                    live_grants_left: rows::unsigned(row, "live_grants_left")?,
                    moved: rows::unsigned(row, "moved")?,
                })
            },
        )
        .await
    }

    async fn remove_supersession(&self, new_client_id: &str, audit: AuditEntry) -> Result<bool> {
        let new = ClientKey::of(new_client_id);
        self.trailed(
            rows::trailed!("DELETE FROM supersessions WHERE new_key = $8 RETURNING 1"),
            &audit,
            &[&new.as_bytes().as_slice()],
        )
        .await
    }

    async fn registered_software(
        &self,
        now: Timestamp,
        rows_max: usize,
    ) -> Result<Vec<SoftwareRow>> {
        let counted = self
            .read_all(
                "SELECT software, count(*) AS clients FROM clients \
                 WHERE software <> '' AND door = 'dcr' \
                 GROUP BY software ORDER BY clients DESC, software LIMIT $1",
                &[&rows::limit(rows_max)],
                |row| {
                    let software: String = rows::get(row, "software")?;
                    Ok((software, rows::unsigned(row, "clients")?))
                },
            )
            .await?;
        let mut described = Vec::with_capacity(counted.len());
        for (software, clients) in counted {
            described.push(self.describe(software, clients, now).await?);
        }
        Ok(described)
    }

    async fn clients_of_software(
        &self,
        software: &str,
        rows_max: usize,
    ) -> Result<Vec<StoredClient>> {
        self.read_all(
            concat!(
                "SELECT ",
                rows::client_columns!(),
                " FROM clients c WHERE software = $1 AND software <> '' \
                 ORDER BY created_at DESC LIMIT $2"
            ),
            &[&rows::text(software), &rows::limit(rows_max)],
            rows::client,
        )
        .await
    }
}

impl PostgresStore {
    async fn describe(
        &self,
        software: String,
        clients: u64,
        now: Timestamp,
    ) -> Result<SoftwareRow> {
        let live_grants = self
            .read(
                "SELECT count(*) AS count FROM clients c JOIN grants g ON g.client = c.key \
                 WHERE c.software = $1 AND c.software <> '' AND c.door = 'dcr' \
                 AND NOT g.revoked AND g.absolute_until > $2",
                &[&software, &rows::seconds(now)],
                |row| rows::unsigned(row, "count"),
            )
            .await?;
        let newest = self
            .read_all(
                concat!(
                    "SELECT ",
                    rows::client_columns!(),
                    " FROM clients c WHERE software = $1 AND software <> '' AND door = 'dcr' \
                     ORDER BY created_at DESC LIMIT $2"
                ),
                &[&software, &rows::limit(HOSTS_MAX)],
                rows::client,
            )
            .await?;
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
            clients,
            live_grants: live_grants.unwrap_or(0),
            redirect_hosts: hosts.into_iter().take(HOSTS_MAX).collect(),
            software,
        })
    }
}

async fn link(
    w: &Work,
    links: &Links<'_>,
    old: &[&[u8]],
    audit: &AuditEntry,
) -> Outcome<Superseded> {
    let new = links.new.as_bytes().as_slice();
    // Alone with the successor, so that its predecessors can be counted.
    locks::change(w, links.new.as_bytes()).await?;
    let missing = w
        .rows(
            "SELECT asked.key FROM unnest($1::bytea[]) AS asked (key) \
             WHERE NOT EXISTS (SELECT 1 FROM supersessions s \
                 WHERE s.old_key = asked.key AND s.new_key = $2) ORDER BY asked.key",
            &[&old, &new],
        )
        .await?;
    let missing: Vec<&[u8]> = missing
        .iter()
        .map(|row| rows::get(row, "key"))
        .collect::<Outcome<_>>()?;
    let present = w
        .read(
            "SELECT count(*) AS count FROM supersessions WHERE new_key = $1",
            &[&new],
            |row| rows::get::<i64>(row, "count"),
        )
        .await?;
    let wanted = rows::limit(missing.len()).saturating_add(present.unwrap_or(0));
    if wanted > rows::limit(PREDECESSORS_MAX) {
        return Ok(Superseded::Full);
    }
    if missing.is_empty() {
        return Ok(Superseded::Done);
    }
    w.change(
        "INSERT INTO supersessions (old_key, new_key, new_client_id, software, created_at, moved) \
         SELECT key, $2::bytea, $3::text, $4::text, $5::bigint, 0 \
         FROM unnest($1::bytea[]) AS missing (key) ORDER BY key \
         ON CONFLICT (old_key) DO UPDATE SET new_key = excluded.new_key, \
         new_client_id = excluded.new_client_id, software = excluded.software, \
         created_at = excluded.created_at, moved = 0",
        &[
            &missing,
            &new,
            &links.new_client_id,
            &links.software,
            &rows::seconds(audit.at),
        ],
    )
    .await?;
    w.audit(audit).await?;
    Ok(Superseded::Done)
}

/// End what the person had with predecessors of the client that they approve; in the transaction
/// of the approval. By client, then by id: the order in which their rows are locked.
pub(crate) async fn move_grants(w: &Work, approval: &Approval) -> Outcome<()> {
    let grant = &approval.grant;
    let supersedes: Vec<&[u8]> = approval
        .supersedes
        .iter()
        .map(|key| key.as_bytes().as_slice())
        .collect();
    let old = w
        .rows(
            "SELECT g.id, g.client FROM grants g JOIN supersessions s ON s.old_key = g.client \
             WHERE g.user_id = $1 AND g.resource = $2 AND NOT g.revoked \
             AND g.absolute_until > $3 AND s.new_key = $4 AND g.client = ANY ($5) \
             ORDER BY g.client, g.id FOR UPDATE OF g",
            &[
                &grant.user.as_str(),
                &grant.resource,
                &rows::seconds(approval.now),
                &grant.client.as_bytes().as_slice(),
                &supersedes,
            ],
        )
        .await?;
    for row in &old {
        let (id, client): (String, _) = (rows::get(row, "id")?, rows::client_key(row, "client")?);
        if !grants::revoke(w, &id).await? {
            continue;
        }
        w.change(
            "UPDATE supersessions SET moved = moved + 1 WHERE old_key = $1",
            &[&client.as_bytes().as_slice()],
        )
        .await?;
        w.audit(&AuditEntry {
            event: Event::GrantMoved,
            client: Some(client),
            grant: Some(GrantId::new(id)),
            detail: format!("moved to {}", grant.id),
            ..approval.audit.clone()
        })
        .await?;
    }
    Ok(())
}
