//! Grants, codes, tickets, remembered consent.

use async_trait::async_trait;
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
    grants::{Approval, Approved, Assertion, Code, CodeSpending, Grant, Spent},
    standings::Subject,
};

use crate::{
    PostgresStore, clients, locks,
    pool::{Work, transact},
    rows::{self, Line, Outcome},
    standings, supersessions, tokens,
};

#[async_trait]
impl GrantStore for PostgresStore {
    async fn approve(&self, approval: Approval) -> Result<Approved> {
        transact!(hot self, |w| { approve(w, &approval).await })
    }

    async fn deny(&self, ticket: TicketId, until: Timestamp, audit: AuditEntry) -> Result<bool> {
        self.trailed(
            rows::trailed!(
                "INSERT INTO tickets (id, until) VALUES ($8, $9) ON CONFLICT (id) DO NOTHING \
                 RETURNING 1"
            ),
            &audit,
            &[&ticket.as_bytes().as_slice(), &rows::seconds(until)],
        )
        .await
    }

    async fn find_code(&self, hash: &CodeHash) -> Result<Option<(Code, Grant)>> {
        self.read(
            concat!(
                "SELECT ",
                rows::code_columns!(),
                ", ",
                rows::grant_columns!(),
                " FROM codes c JOIN grants g ON g.id = c.grant_id WHERE c.hash = $1"
            ),
            &[&hash.as_bytes().as_slice()],
            |row| Ok((rows::code(row)?, rows::grant(row)?)),
        )
        .await
    }

    async fn spend_code(&self, spending: CodeSpending) -> Result<Spent> {
        if spending.assertion.is_none()
            && let Some(grant) = self.spend_at_once(&spending).await?
        {
            return Ok(Spent::Now(grant));
        }
        transact!(hot self, |w| { spend(w, &spending).await })
    }

    async fn find_grant(&self, id: &GrantId) -> Result<Option<Grant>> {
        self.read(
            concat!(
                "SELECT ",
                rows::grant_columns!(),
                " FROM grants g WHERE g.id = $1"
            ),
            &[&id.as_str()],
            rows::grant,
        )
        .await
    }

    async fn revoke_grant(&self, id: &GrantId, audit: AuditEntry) -> Result<bool> {
        transact!(self, |w| {
            let revoked = revoke(w, id.as_str()).await?;
            if revoked {
                w.audit(&audit).await?;
            }
            Ok(revoked)
        })
    }

    async fn remembered_consent(
        &self,
        user: &UserId,
        client: &ClientKey,
        metadata_digest: &[u8; 32],
        resource: &str,
        now: Timestamp,
    ) -> Result<Option<ScopeSet>> {
        self.read(
            "SELECT scopes FROM consents WHERE user_id = $1 AND client = $2 AND resource = $3 \
             AND digest = $4 AND until > $5",
            &[
                &user.as_str(),
                &client.as_bytes().as_slice(),
                &resource,
                &metadata_digest.as_slice(),
                &rows::seconds(now),
            ],
            |row| Ok(ScopeSet::from_text(rows::get(row, "scopes")?)),
        )
        .await
    }

    async fn last_grant(&self, user: &UserId, client: &ClientKey) -> Result<Option<Timestamp>> {
        let last = self
            .read(
                "SELECT max(created_at) AS last FROM grants \
                 WHERE client = $1 AND user_id = $2 AND NOT revoked",
                &[&client.as_bytes().as_slice(), &user.as_str()],
                |row| rows::time_if_any(row, "last"),
            )
            .await?;
        Ok(last.flatten())
    }

    async fn list_grants(&self, user: &UserId, rows_max: usize) -> Result<Vec<Grant>> {
        self.read_all(
            concat!(
                "SELECT ",
                rows::grant_columns!(),
                " FROM grants g WHERE g.user_id = $1 AND NOT g.revoked \
                 ORDER BY g.created_at DESC LIMIT $2"
            ),
            &[&user.as_str(), &rows::limit(rows_max)],
            rows::grant,
        )
        .await
    }
}

/// Spends a live code, opens its family and leaves its line. The grant is locked before the code,
/// as a revocation does, and both are read again if somebody had them: `live` has a row or nothing
/// happens. Whoever revokes the grant waits, and finds the family.
const SPEND: &str = "WITH live AS (\
        SELECT c.hash, c.grant_id, c.client FROM codes c JOIN grants g ON g.id = c.grant_id \
        WHERE c.hash = $8 AND c.spent_at IS NULL AND c.expires_at > $9 AND NOT g.revoked \
        FOR SHARE OF g FOR UPDATE OF c), \
    spent AS (UPDATE codes c SET spent_at = $9 FROM live WHERE c.hash = live.hash), \
    family AS (\
        INSERT INTO families (id, grant_id, client, key_id, generation, rotated_at, last_used_at, \
        idle_until, absolute_until, rotates, auth_method, revoked) \
        SELECT $10::bytea, grant_id, client, $11::integer, 0, $9, $9, $12::bigint, $13::bigint, \
        $14::boolean, $15::text, false FROM live WHERE $10::bytea IS NOT NULL), \
    trail AS (\
        INSERT INTO audit (at, event, actor, client, grant_id, source, detail) \
        SELECT $1::bigint, $2::text, $3::text, $4::bytea, $5::text, $6::text, $7::text FROM live) \
    SELECT grant_id FROM live";

/// The parameters of [`SPEND`] after the line of the trail.
struct Spending {
    hash: Vec<u8>,
    now: i64,
    family: Option<Vec<u8>>,
    key_id: Option<i32>,
    idle_until: Option<i64>,
    absolute_until: Option<i64>,
    rotates: Option<bool>,
    auth_method: &'static str,
}

impl Spending {
    fn of(spending: &CodeSpending) -> Self {
        let family = spending.family.as_ref();
        Self {
            hash: spending.hash.as_bytes().to_vec(),
            now: rows::seconds(spending.now),
            family: family.map(|family| family.id.as_bytes().to_vec()),
            key_id: family.map(|family| i32::from(family.key_id)),
            idle_until: family.map(|family| rows::seconds(family.idle_until)),
            absolute_until: family.map(|family| rows::seconds(family.absolute_until)),
            rotates: family.map(|family| family.rotates),
            auth_method: spending.auth_method.as_str(),
        }
    }

    fn parameters<'a>(
        &'a self,
        line: &'a Line,
    ) -> Vec<&'a (dyn tokio_postgres::types::ToSql + Sync)> {
        let mut all = line.parameters().to_vec();
        all.extend_from_slice(&[
            &self.hash,
            &self.now,
            &self.family,
            &self.key_id,
            &self.idle_until,
            &self.absolute_until,
            &self.rotates,
            &self.auth_method,
        ]);
        all
    }
}

fn grant_id(row: &tokio_postgres::Row) -> Outcome<GrantId> {
    Ok(GrantId::new(rows::get::<String>(row, "grant_id")?))
}

impl PostgresStore {
    /// The common case in one statement: the code is live, and nobody proves anything with it.
    async fn spend_at_once(&self, spending: &CodeSpending) -> Result<Option<GrantId>> {
        let (line, own) = (Line::of(&spending.audit), Spending::of(spending));
        let spent = self.hot_row(SPEND, &own.parameters(&line)).await?;
        Ok(spent.as_ref().map(grant_id).transpose()?)
    }
}

/// Every other case. What decides is locked first.
async fn spend(w: &Work, spending: &CodeSpending) -> Outcome<Spent> {
    let hash = spending.hash.as_bytes().as_slice();
    w.rows(
        "SELECT 1 FROM grants WHERE id = (SELECT grant_id FROM codes WHERE hash = $1) FOR SHARE",
        &[&hash],
    )
    .await?;
    w.rows("SELECT 1 FROM codes WHERE hash = $1 FOR UPDATE", &[&hash])
        .await?;
    let found = w
        .read(
            concat!(
                "SELECT ",
                rows::code_columns!(),
                ", g.revoked AS g_revoked FROM codes c JOIN grants g ON g.id = c.grant_id \
                 WHERE c.hash = $1"
            ),
            &[&hash],
            |row| Ok((rows::code(row)?, rows::get::<bool>(row, "g_revoked")?)),
        )
        .await?;
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
        match tokens::use_assertion(w, assertion, spending.now).await? {
            Assertion::First => {}
            refused => return Ok(Spent::AssertionRefused(refused)),
        }
    }
    let (line, own) = (Line::of(&spending.audit), Spending::of(spending));
    // Both rows are ours, so it is as it was read.
    let spent = w.read(SPEND, &own.parameters(&line), grant_id).await?;
    Ok(spent.map_or(Spent::Before(code.grant, spending.now), Spent::Now))
}

async fn use_ticket(w: &Work, ticket: &TicketId, until: Timestamp) -> Outcome<bool> {
    let inserted = w
        .change(
            "INSERT INTO tickets (id, until) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING",
            &[&ticket.as_bytes().as_slice(), &rows::seconds(until)],
        )
        .await?;
    Ok(inserted == 1)
}

/// May this client be approved at all? A client of an admin is never made by an approval: without a
/// row it was removed.
async fn may_be_approved(w: &Work, approval: &Approval) -> Outcome<bool> {
    let Approval { client, code, .. } = approval;
    let redirect = Subject::redirect_uri(&code.redirect_uri);
    locks::rely(w, &client.key, &redirect.hash).await?;
    // A statement of its own: it sees what was committed while the locks were waited for.
    let row = w
        .row(
            concat!(
                "SELECT EXISTS (SELECT 1 FROM tombstones WHERE key = $1) AS gone, ",
                standings::blocked!(),
                " AS blocked, EXISTS (SELECT 1 FROM clients WHERE key = $1) AS stored"
            ),
            &[
                &client.key.as_bytes().as_slice(),
                &redirect.hash.as_slice(),
                &rows::seconds(approval.now),
            ],
        )
        .await?;
    let Some(row) = row else {
        return Ok(false);
    };
    let (gone, blocked): (bool, bool) = (rows::get(&row, "gone")?, rows::get(&row, "blocked")?);
    let stored: bool = rows::get(&row, "stored")?;
    Ok(!gone && !blocked && (stored || client.door != Door::Admin))
}

async fn approve(w: &Work, approval: &Approval) -> Outcome<Approved> {
    if !may_be_approved(w, approval).await? {
        return Ok(Approved::ClientGone);
    }
    if !use_ticket(w, &approval.ticket, approval.ticket_until).await? {
        return Ok(Approved::TicketUsed);
    }
    // Insert or nothing: of two people on two nodes both win.
    if !clients::insert(w, &approval.client).await? {
        refresh_client(w, &approval.client).await?;
    }
    insert_grant(w, &approval.grant).await?;
    insert_code(w, &approval.code).await?;
    if let Some(until) = approval.remember_until {
        remember(w, &approval.grant, until).await?;
    }
    w.audit(&approval.audit).await?;
    if !approval.supersedes.is_empty() {
        w.changed();
        supersessions::move_grants(w, approval).await?;
    }
    Ok(Approved::Done)
}

async fn insert_code(w: &Work, code: &Code) -> Outcome<()> {
    w.change(
        "INSERT INTO codes (hash, client, grant_id, redirect_uri, challenge, nonce, auth_method, \
         expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        &[
            &code.hash.as_bytes().as_slice(),
            &code.client.as_bytes().as_slice(),
            &code.grant.as_str(),
            &code.redirect_uri,
            &code.challenge.as_bytes().as_slice(),
            &code.nonce,
            &code.auth_method.map(AuthMethod::as_str),
            &rows::seconds(code.expires_at),
        ],
    )
    .await
    .map(drop)
}

async fn remember(w: &Work, grant: &Grant, until: Timestamp) -> Outcome<()> {
    w.change(
        "INSERT INTO consents (user_id, client, resource, digest, scopes, until) \
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (user_id, client, resource) DO UPDATE SET \
         digest = excluded.digest, scopes = excluded.scopes, until = excluded.until",
        &[
            &grant.user.as_str(),
            &grant.client.as_bytes().as_slice(),
            &grant.resource,
            &grant.metadata_digest.as_slice(),
            &grant.scopes.to_string(),
            &rows::seconds(until),
        ],
    )
    .await
    .map(drop)
}

/// A row that was there learns what is known now: a document's everything, unless it was looked at
/// later already; a registration's only its software, where the row is older than that column. A row
/// that would not change is not locked, so that people who approve a popular client do not queue.
async fn refresh_client(w: &Work, client: &StoredClient) -> Outcome<()> {
    let key = client.key.as_bytes().as_slice();
    let software = rows::text(&client.software);
    let refreshed = match client.door {
        Door::Admin => 0,
        Door::Cimd => {
            w.change(
                "UPDATE clients SET version = version + (metadata <> $2)::integer, metadata = $2, \
                 software = CASE $3::text WHEN '' THEN software ELSE $3::text END, \
                 host = coalesce($4::text, host), snapshot_at = $5, \
                 checked_at = greatest(checked_at, $5) \
                 WHERE key = $1 AND door = 'cimd' AND snapshot_at <= $5 \
                 AND (snapshot_at < $5 OR metadata <> $2 \
                      OR ($3::text <> '' AND software <> $3::text) \
                      OR ($4::text IS NOT NULL AND host IS DISTINCT FROM $4::text))",
                &[
                    &key,
                    &client.metadata.encode_stored(),
                    &software,
                    &client.host,
                    &rows::seconds(client.snapshot_at),
                ],
            )
            .await?
        }
        Door::Dcr => {
            w.change(
                "UPDATE clients SET software = $2, host = $3 \
                 WHERE key = $1 AND door = 'dcr' AND software = '' AND $2 <> ''",
                &[&key, &software, &client.host],
            )
            .await?
        }
    };
    if refreshed > 0 {
        w.changed();
    }
    Ok(())
}

async fn insert_grant(w: &Work, grant: &Grant) -> Outcome<()> {
    w.change(
        "INSERT INTO grants (id, user_id, client, resource, scopes, metadata_digest, auth_time, \
         created_at, absolute_until, revoked, version, risk, read_only, short_session, source) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
        &[
            &grant.id.as_str(),
            &grant.user.as_str(),
            &grant.client.as_bytes().as_slice(),
            &grant.resource,
            &grant.scopes.to_string(),
            &grant.metadata_digest.as_slice(),
            &rows::seconds(grant.auth_time),
            &rows::seconds(grant.created_at),
            &rows::seconds(grant.absolute_until),
            &grant.revoked,
            &rows::number(grant.version),
            &grant.risk.as_str(),
            &grant.read_only,
            &grant.short_session,
            &grant.source,
        ],
    )
    .await
    .map(drop)
}

/// End a grant and all that hangs on it. Returns whether it was alive.
pub(crate) async fn revoke(w: &Work, id: &str) -> Outcome<bool> {
    Ok(revoke_all(w, &[id.to_owned()]).await? == 1)
}

/// The same for several, whose rows the caller has locked in the order of their ids.
pub(crate) async fn revoke_all(w: &Work, ids: &[String]) -> Outcome<u64> {
    if ids.is_empty() {
        return Ok(0);
    }
    let revoked = w
        .change(
            "UPDATE grants SET revoked = true, version = version + 1 \
             WHERE id = ANY ($1) AND NOT revoked",
            &[&ids],
        )
        .await?;
    w.change(
        "UPDATE families SET revoked = true WHERE grant_id = ANY ($1) AND NOT revoked",
        &[&ids],
    )
    .await?;
    w.change(
        "DELETE FROM codes WHERE grant_id = ANY ($1) AND spent_at IS NULL",
        &[&ids],
    )
    .await?;
    w.change(
        "DELETE FROM consents n USING grants g WHERE g.id = ANY ($1) \
         AND n.user_id = g.user_id AND n.client = g.client AND n.resource = g.resource",
        &[&ids],
    )
    .await?;
    Ok(revoked)
}
