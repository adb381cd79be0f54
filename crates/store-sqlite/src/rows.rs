//! From columns to records and back. What does not read back is a damaged row.

use rusqlite::{
    Connection, Error, ErrorCode, Row,
    types::{FromSqlError, Type},
};
use vestibule_protocol::{
    client_id::ClientKey,
    client_metadata::{AuthMethod, ClientMetadata},
    ids::{CodeHash, FamilyId, GrantId, UserId},
    pkce::CodeChallenge,
    scope::ScopeSet,
    time::Timestamp,
    trust::{Door, Risk, Standing},
};
use vestibule_store::{
    AuditEntry, StoreError,
    clients::StoredClient,
    grants::{Assertion, AssertionUse, Code, Grant},
    tokens::Family,
};

/// Busy is busy, the rest failed; the text holds no data of ours.
#[expect(clippy::needless_pass_by_value, reason = "the argument of `map_err`")]
pub(crate) fn failed(failure: Error) -> StoreError {
    match &failure {
        Error::SqliteFailure(inner, _)
            if matches!(
                inner.code,
                ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked
            ) =>
        {
            StoreError::Busy
        }
        Error::FromSqlConversionFailure(_, _, source) => StoreError::Damaged {
            what: "row",
            detail: source.to_string(),
        },
        _ => StoreError::Failed(failure.to_string()),
    }
}

/// SQLite's integers are signed; our times fit.
pub(crate) fn seconds(time: Timestamp) -> i64 {
    i64::try_from(time.seconds()).unwrap_or(i64::MAX)
}

pub(crate) fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(crate) fn damaged(what: &'static str) -> Error {
    Error::FromSqlConversionFailure(0, Type::Blob, Box::new(FromSqlError::Other(what.into())))
}

pub(crate) fn time(row: &Row<'_>, column: &str) -> rusqlite::Result<Timestamp> {
    let seconds: i64 = row.get(column)?;
    Ok(Timestamp::from_seconds(u64::try_from(seconds).unwrap_or(0)))
}

pub(crate) fn unsigned(row: &Row<'_>, column: &str) -> rusqlite::Result<u64> {
    let value: i64 = row.get(column)?;
    u64::try_from(value).map_err(|_| damaged("a number is negative"))
}

/// A time that may be missing.
pub(crate) fn time_if_any(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<Timestamp>> {
    let seconds: Option<i64> = row.get(column)?;
    Ok(seconds.map(|seconds| Timestamp::from_seconds(u64::try_from(seconds).unwrap_or(0))))
}

/// The column `door`.
pub(crate) fn door(row: &Row<'_>) -> rusqlite::Result<Door> {
    Door::parse(row.get_ref("door")?.as_str()?).ok_or_else(|| damaged("a door"))
}

/// How many rows a verb may return, as SQLite counts.
pub(crate) fn limit(rows_max: usize) -> i64 {
    i64::try_from(rows_max).unwrap_or(i64::MAX)
}

pub(crate) fn client_key(row: &Row<'_>, column: &str) -> rusqlite::Result<ClientKey> {
    Ok(ClientKey::from_bytes(row.get(column)?))
}

/// Columns of `clients`.
pub(crate) fn client(row: &Row<'_>) -> rusqlite::Result<StoredClient> {
    let metadata: String = row.get("metadata")?;
    let introspects: String = row.get("introspects")?;
    Ok(StoredClient {
        key: client_key(row, "key")?,
        client_id: row.get("client_id")?,
        door: door(row)?,
        standing: Standing::parse(row.get_ref("standing")?.as_str()?)
            .ok_or_else(|| damaged("a standing"))?,
        metadata: ClientMetadata::decode_stored(&metadata)
            .map_err(|_| damaged("client metadata"))?,
        secret_hash: row.get("secret_hash")?,
        management_hash: row.get("management_hash")?,
        introspects: introspects.lines().map(str::to_owned).collect(),
        machine_scopes: row.get("machine_scopes")?,
        scope_ceiling: row.get("scope_ceiling")?,
        software: row.get("software")?,
        host: row.get("host")?,
        issued_at: time(row, "issued_at")?,
        snapshot_at: time(row, "snapshot_at")?,
        created_at: time(row, "created_at")?,
        version: unsigned(row, "version")?,
    })
}

/// Insert a client; does nothing if the key is there. Returns whether it did.
pub(crate) fn insert_client(c: &Connection, client: &StoredClient) -> rusqlite::Result<bool> {
    let inserted = c
        .prepare_cached(
            "INSERT INTO clients (key, client_id, door, standing, metadata, secret_hash, \
             management_hash, introspects, machine_scopes, scope_ceiling, created_at, version, \
             software, host, issued_at, snapshot_at, checked_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, \
             ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?16) ON CONFLICT (key) DO NOTHING",
        )?
        .execute(rusqlite::params![
            client.key.as_bytes(),
            client.client_id,
            client.door.as_str(),
            client.standing.as_str(),
            client.metadata.encode_stored(),
            client.secret_hash,
            client.management_hash,
            client.introspects.join("\n"),
            client.machine_scopes,
            client.scope_ceiling,
            seconds(client.created_at),
            number(client.version),
            client.software,
            client.host,
            seconds(client.issued_at),
            seconds(client.snapshot_at),
        ])?;
    Ok(inserted == 1)
}

/// Columns of `grants`, each under `g_` when joined.
pub(crate) fn grant(row: &Row<'_>) -> rusqlite::Result<Grant> {
    let scopes: String = row.get("g_scopes")?;
    Ok(Grant {
        id: GrantId::new(row.get::<_, String>("g_id")?),
        user: UserId::new(row.get::<_, String>("g_user")?),
        client: client_key(row, "g_client")?,
        resource: row.get("g_resource")?,
        scopes: ScopeSet::from_text(&scopes),
        metadata_digest: row.get("g_metadata_digest")?,
        auth_time: time(row, "g_auth_time")?,
        created_at: time(row, "g_created_at")?,
        absolute_until: time(row, "g_absolute_until")?,
        risk: Risk::parse(row.get_ref("g_risk")?.as_str()?).ok_or_else(|| damaged("a risk"))?,
        read_only: row.get("g_read_only")?,
        short_session: row.get("g_short_session")?,
        source: row.get("g_source")?,
        revoked: row.get("g_revoked")?,
        version: unsigned(row, "g_version")?,
    })
}

/// The columns that [`grant`] reads.
pub(crate) const GRANT_COLUMNS: &str = "g.id AS g_id, g.user AS g_user, g.client AS g_client, \
    g.resource AS g_resource, g.scopes AS g_scopes, g.metadata_digest AS g_metadata_digest, \
    g.auth_time AS g_auth_time, g.created_at AS g_created_at, \
    g.absolute_until AS g_absolute_until, g.risk AS g_risk, g.read_only AS g_read_only, \
    g.short_session AS g_short_session, g.source AS g_source, g.revoked AS g_revoked, \
    g.version AS g_version";

fn auth_method(text: &str) -> rusqlite::Result<AuthMethod> {
    AuthMethod::parse(text).ok_or_else(|| damaged("an authentication method"))
}

/// Columns of `codes`.
pub(crate) fn code(row: &Row<'_>) -> rusqlite::Result<Code> {
    Ok(Code {
        hash: CodeHash::new(row.get("hash")?),
        client: client_key(row, "client")?,
        grant: GrantId::new(row.get::<_, String>("grant_id")?),
        redirect_uri: row.get("redirect_uri")?,
        challenge: CodeChallenge::from_bytes(row.get("challenge")?),
        nonce: row.get("nonce")?,
        auth_method: row
            .get_ref("auth_method")?
            .as_str_or_null()?
            .map(auth_method)
            .transpose()?,
        expires_at: time(row, "expires_at")?,
        spent_at: time_if_any(row, "spent_at")?,
    })
}

/// Columns of `families`.
pub(crate) fn family(row: &Row<'_>) -> rusqlite::Result<Family> {
    Ok(Family {
        id: FamilyId::new(row.get("id")?),
        grant: GrantId::new(row.get::<_, String>("grant_id")?),
        client: client_key(row, "client")?,
        key_id: row.get("key_id")?,
        generation: unsigned(row, "generation")?,
        rotated_at: time(row, "rotated_at")?,
        last_used_at: time(row, "last_used_at")?,
        idle_until: time(row, "idle_until")?,
        absolute_until: time(row, "absolute_until")?,
        rotates: row.get("rotates")?,
        auth_method: auth_method(row.get_ref("auth_method")?.as_str()?)?,
        revoked: row.get("revoked")?,
    })
}

/// Write a line of the trail.
pub(crate) fn audit(c: &Connection, entry: &AuditEntry) -> rusqlite::Result<()> {
    c.prepare_cached(
        "INSERT INTO audit (at, event, actor, client, grant_id, source, detail) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(rusqlite::params![
        seconds(entry.at),
        entry.event.as_str(),
        crate::audit::actor_text(&entry.actor),
        entry.client.as_ref().map(ClientKey::as_bytes),
        entry.grant.as_ref().map(GrantId::as_str),
        entry.source,
        entry.detail,
    ])?;
    Ok(())
}

/// Use up an assertion; in the transaction of what it protects.
pub(crate) fn use_assertion(
    c: &Connection,
    assertion: &AssertionUse,
    now: Timestamp,
) -> rusqlite::Result<Assertion> {
    let live: i64 = c
        .prepare_cached("SELECT count(*) FROM assertions WHERE client = ?1 AND expires_at > ?2")?
        .query_row(
            rusqlite::params![assertion.client.as_bytes(), seconds(now)],
            |row| row.get(0),
        )?;
    let known: bool = c
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM assertions WHERE client = ?1 AND jti_hash = ?2)",
        )?
        .query_row(
            rusqlite::params![assertion.client.as_bytes(), assertion.jti_hash],
            |row| row.get(0),
        )?;
    if known {
        return Ok(Assertion::Replayed);
    }
    if live >= i64::from(assertion.rows_max) {
        return Ok(Assertion::Full);
    }
    c.prepare_cached("INSERT INTO assertions VALUES (?1, ?2, ?3)")?
        .execute(rusqlite::params![
            assertion.client.as_bytes(),
            assertion.jti_hash,
            seconds(assertion.expires_at),
        ])?;
    Ok(Assertion::First)
}
