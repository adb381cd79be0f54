//! From columns to records and back. What does not read back is a damaged row.

use rusqlite::{
    Connection, Error, ErrorCode, Row,
    types::{FromSql, FromSqlError, Type, ValueRef},
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

/// Takes the columns of a row one after the other. The rows that are read at each token request are
/// read so: a look-up by name walks over the names of all columns.
pub(crate) struct Columns<'a> {
    row: &'a Row<'a>,
    next: usize,
}

impl<'a> Columns<'a> {
    /// From the first column on.
    pub(crate) fn of(row: &'a Row<'a>) -> Self {
        Self { row, next: 0 }
    }

    pub(crate) fn take<T: FromSql>(&mut self) -> rusqlite::Result<T> {
        let value = self.row.get(self.next)?;
        self.next += 1;
        Ok(value)
    }

    fn take_ref(&mut self) -> rusqlite::Result<ValueRef<'a>> {
        let value = self.row.get_ref(self.next)?;
        self.next += 1;
        Ok(value)
    }

    fn word<T>(
        &mut self,
        parse: impl FnOnce(&str) -> Option<T>,
        what: &'static str,
    ) -> rusqlite::Result<T> {
        parse(self.take_ref()?.as_str()?).ok_or_else(|| damaged(what))
    }

    fn time(&mut self) -> rusqlite::Result<Timestamp> {
        Ok(self.time_if_any()?.unwrap_or(Timestamp::from_seconds(0)))
    }

    fn time_if_any(&mut self) -> rusqlite::Result<Option<Timestamp>> {
        let seconds: Option<i64> = self.take()?;
        Ok(seconds.map(|seconds| Timestamp::from_seconds(u64::try_from(seconds).unwrap_or(0))))
    }

    fn unsigned(&mut self) -> rusqlite::Result<u64> {
        let value: i64 = self.take()?;
        u64::try_from(value).map_err(|_| damaged("a number is negative"))
    }

    fn client_key(&mut self) -> rusqlite::Result<ClientKey> {
        Ok(ClientKey::from_bytes(self.take()?))
    }

    /// [`GRANT_COLUMNS`].
    pub(crate) fn grant(&mut self) -> rusqlite::Result<Grant> {
        Ok(Grant {
            id: GrantId::new(self.take::<String>()?),
            user: UserId::new(self.take::<String>()?),
            client: self.client_key()?,
            resource: self.take()?,
            scopes: ScopeSet::from_text(self.take_ref()?.as_str()?),
            metadata_digest: self.take()?,
            auth_time: self.time()?,
            created_at: self.time()?,
            absolute_until: self.time()?,
            risk: self.word(Risk::parse, "a risk")?,
            read_only: self.take()?,
            short_session: self.take()?,
            source: self.take()?,
            revoked: self.take()?,
            version: self.unsigned()?,
        })
    }

    /// [`CODE_COLUMNS`].
    pub(crate) fn code(&mut self) -> rusqlite::Result<Code> {
        Ok(Code {
            hash: CodeHash::new(self.take()?),
            client: self.client_key()?,
            grant: GrantId::new(self.take::<String>()?),
            redirect_uri: self.take()?,
            challenge: CodeChallenge::from_bytes(self.take()?),
            nonce: self.take()?,
            auth_method: self
                .take_ref()?
                .as_str_or_null()?
                .map(auth_method)
                .transpose()?,
            expires_at: self.time()?,
            spent_at: self.time_if_any()?,
        })
    }

    /// [`FAMILY_COLUMNS`].
    pub(crate) fn family(&mut self) -> rusqlite::Result<Family> {
        Ok(Family {
            id: FamilyId::new(self.take()?),
            grant: GrantId::new(self.take::<String>()?),
            client: self.client_key()?,
            key_id: self.take()?,
            generation: self.unsigned()?,
            rotated_at: self.time()?,
            last_used_at: self.time()?,
            idle_until: self.time()?,
            absolute_until: self.time()?,
            rotates: self.take()?,
            auth_method: self.word(AuthMethod::parse, "an authentication method")?,
            revoked: self.take()?,
        })
    }
}

/// What [`Columns::grant`] takes, in its order.
pub(crate) const GRANT_COLUMNS: &str = "g.id, g.user, g.client, g.resource, g.scopes, \
    g.metadata_digest, g.auth_time, g.created_at, g.absolute_until, g.risk, g.read_only, \
    g.short_session, g.source, g.revoked, g.version";
/// What [`Columns::code`] takes, in its order.
pub(crate) const CODE_COLUMNS: &str = "c.hash, c.client, c.grant_id, c.redirect_uri, c.challenge, \
    c.nonce, c.auth_method, c.expires_at, c.spent_at";
/// What [`Columns::family`] takes, in its order.
pub(crate) const FAMILY_COLUMNS: &str = "f.id, f.grant_id, f.client, f.key_id, f.generation, \
    f.rotated_at, f.last_used_at, f.idle_until, f.absolute_until, f.rotates, f.auth_method, \
    f.revoked";

fn auth_method(text: &str) -> rusqlite::Result<AuthMethod> {
    AuthMethod::parse(text).ok_or_else(|| damaged("an authentication method"))
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
