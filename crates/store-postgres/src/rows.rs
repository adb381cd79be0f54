//! From columns to records and back. What does not read back is a damaged row.

use tokio_postgres::{Row, error::SqlState, types::FromSql};
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
    grants::{Code, Grant},
    tokens::Family,
};

/// Why a statement had no effect.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It does not read back.
    Damaged(&'static str),
    /// PostgreSQL, or the way to it.
    Sql(tokio_postgres::Error),
    /// As the verb says.
    Store(StoreError),
}

/// What a part of a verb returns.
pub(crate) type Outcome<T> = Result<T, Failure>;

impl From<tokio_postgres::Error> for Failure {
    fn from(failure: tokio_postgres::Error) -> Self {
        Self::Sql(failure)
    }
}

impl From<StoreError> for Failure {
    fn from(failure: StoreError) -> Self {
        Self::Store(failure)
    }
}

impl Failure {
    /// Two transactions stood in each other's way, and this one was undone: the same again may go
    /// through.
    pub(crate) fn passes(&self) -> bool {
        let Self::Sql(failure) = self else {
            return false;
        };
        failure.code().is_some_and(|code| {
            *code == SqlState::T_R_SERIALIZATION_FAILURE || *code == SqlState::T_R_DEADLOCK_DETECTED
        })
    }
}

/// Busy is busy, the rest failed; the text holds no data of ours.
impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Damaged(what) => Self::Damaged {
                what: "row",
                detail: what.to_owned(),
            },
            Failure::Sql(failure) => sql(&failure),
            Failure::Store(failure) => failure,
        }
    }
}

fn sql(failure: &tokio_postgres::Error) -> StoreError {
    const BUSY: [SqlState; 5] = [
        SqlState::LOCK_NOT_AVAILABLE,
        SqlState::QUERY_CANCELED,
        SqlState::T_R_DEADLOCK_DETECTED,
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::TOO_MANY_CONNECTIONS,
    ];
    match failure.as_db_error() {
        Some(said) if BUSY.contains(said.code()) => StoreError::Busy,
        // Without its detail: that quotes the row.
        Some(said) => StoreError::Failed(format!("{} ({})", said.message(), said.code().code())),
        None => StoreError::Failed(chain(failure)),
    }
}

/// A failure and what is behind it, in one line.
pub(crate) fn chain(failure: &(dyn std::error::Error + 'static)) -> String {
    let mut text = failure.to_string();
    let mut cause = failure.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        cause = inner.source();
    }
    text
}

/// PostgreSQL's integers are signed; our times fit.
pub(crate) fn seconds(time: Timestamp) -> i64 {
    number(time.seconds())
}

pub(crate) fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// How many rows a verb may return.
pub(crate) fn limit(rows_max: usize) -> i64 {
    i64::try_from(rows_max).unwrap_or(i64::MAX)
}

/// PostgreSQL's text has no character 0; people's texts get the one that stands for it.
pub(crate) fn text(raw: &str) -> String {
    raw.replace('\0', "\u{fffd}")
}

pub(crate) fn get<'r, T: FromSql<'r>>(row: &'r Row, column: &str) -> Outcome<T> {
    Ok(row.try_get(column)?)
}

pub(crate) fn time(row: &Row, column: &str) -> Outcome<Timestamp> {
    Ok(Timestamp::from_seconds(unsigned(row, column)?))
}

/// A time that may be missing.
pub(crate) fn time_if_any(row: &Row, column: &str) -> Outcome<Option<Timestamp>> {
    let seconds: Option<i64> = get(row, column)?;
    Ok(seconds.map(|seconds| Timestamp::from_seconds(u64::try_from(seconds).unwrap_or(0))))
}

pub(crate) fn unsigned(row: &Row, column: &str) -> Outcome<u64> {
    let value: i64 = get(row, column)?;
    u64::try_from(value).map_err(|_| Failure::Damaged("a number is negative"))
}

pub(crate) fn bytes<const N: usize>(row: &Row, column: &str) -> Outcome<[u8; N]> {
    let bytes: &[u8] = get(row, column)?;
    bytes
        .try_into()
        .map_err(|_| Failure::Damaged("a hash has another length"))
}

fn bytes_if_any<const N: usize>(row: &Row, column: &str) -> Outcome<Option<[u8; N]>> {
    let bytes: Option<&[u8]> = get(row, column)?;
    bytes
        .map(TryInto::try_into)
        .transpose()
        .map_err(|_| Failure::Damaged("a hash has another length"))
}

pub(crate) fn client_key(row: &Row, column: &str) -> Outcome<ClientKey> {
    bytes(row, column).map(ClientKey::from_bytes)
}

pub(crate) fn client_key_if_any(row: &Row, column: &str) -> Outcome<Option<ClientKey>> {
    Ok(bytes_if_any(row, column)?.map(ClientKey::from_bytes))
}

/// A word in a column, read by its enumeration.
pub(crate) fn word<T>(
    row: &Row,
    column: &str,
    parse: impl Fn(&str) -> Option<T>,
    what: &'static str,
) -> Outcome<T> {
    parse(get(row, column)?).ok_or(Failure::Damaged(what))
}

/// The column `door`.
pub(crate) fn door(row: &Row) -> Outcome<Door> {
    word(row, "door", Door::parse, "a door")
}

/// The columns that [`client`] reads.
macro_rules! client_columns {
    () => {
        "c.key, c.client_id, c.door, c.standing, c.metadata, c.secret_hash, c.management_hash, \
         c.introspects, c.machine_scopes, c.scope_ceiling, c.software, c.host, c.issued_at, \
         c.snapshot_at, c.created_at, c.version"
    };
}
pub(crate) use client_columns;

pub(crate) fn client(row: &Row) -> Outcome<StoredClient> {
    let introspects: &str = get(row, "introspects")?;
    Ok(StoredClient {
        key: client_key(row, "key")?,
        client_id: get(row, "client_id")?,
        door: door(row)?,
        standing: word(row, "standing", Standing::parse, "a standing")?,
        metadata: ClientMetadata::decode_stored(get(row, "metadata")?)
            .map_err(|_| Failure::Damaged("client metadata"))?,
        secret_hash: bytes_if_any(row, "secret_hash")?,
        management_hash: bytes_if_any(row, "management_hash")?,
        introspects: introspects.lines().map(str::to_owned).collect(),
        machine_scopes: get(row, "machine_scopes")?,
        scope_ceiling: get(row, "scope_ceiling")?,
        software: get(row, "software")?,
        host: get(row, "host")?,
        issued_at: time(row, "issued_at")?,
        snapshot_at: time(row, "snapshot_at")?,
        created_at: time(row, "created_at")?,
        version: unsigned(row, "version")?,
    })
}

/// The columns that [`grant`] reads.
macro_rules! grant_columns {
    () => {
        "g.id AS g_id, g.user_id AS g_user, g.client AS g_client, g.resource AS g_resource, \
         g.scopes AS g_scopes, g.metadata_digest AS g_metadata_digest, \
         g.auth_time AS g_auth_time, g.created_at AS g_created_at, \
         g.absolute_until AS g_absolute_until, g.risk AS g_risk, g.read_only AS g_read_only, \
         g.short_session AS g_short_session, g.source AS g_source, g.revoked AS g_revoked, \
         g.version AS g_version"
    };
}
pub(crate) use grant_columns;

pub(crate) fn grant(row: &Row) -> Outcome<Grant> {
    Ok(Grant {
        id: GrantId::new(get::<String>(row, "g_id")?),
        user: UserId::new(get::<String>(row, "g_user")?),
        client: client_key(row, "g_client")?,
        resource: get(row, "g_resource")?,
        scopes: ScopeSet::from_text(get(row, "g_scopes")?),
        metadata_digest: bytes(row, "g_metadata_digest")?,
        auth_time: time(row, "g_auth_time")?,
        created_at: time(row, "g_created_at")?,
        absolute_until: time(row, "g_absolute_until")?,
        risk: word(row, "g_risk", Risk::parse, "a risk")?,
        read_only: get(row, "g_read_only")?,
        short_session: get(row, "g_short_session")?,
        source: get(row, "g_source")?,
        revoked: get(row, "g_revoked")?,
        version: unsigned(row, "g_version")?,
    })
}

fn auth_method(text: &str) -> Outcome<AuthMethod> {
    AuthMethod::parse(text).ok_or(Failure::Damaged("an authentication method"))
}

/// The columns that [`code`] reads.
macro_rules! code_columns {
    () => {
        "c.hash, c.client, c.grant_id, c.redirect_uri, c.challenge, c.nonce, c.auth_method, \
         c.expires_at, c.spent_at"
    };
}
pub(crate) use code_columns;

pub(crate) fn code(row: &Row) -> Outcome<Code> {
    let method: Option<&str> = get(row, "auth_method")?;
    Ok(Code {
        hash: CodeHash::new(bytes(row, "hash")?),
        client: client_key(row, "client")?,
        grant: GrantId::new(get::<String>(row, "grant_id")?),
        redirect_uri: get(row, "redirect_uri")?,
        challenge: CodeChallenge::from_bytes(bytes(row, "challenge")?),
        nonce: get(row, "nonce")?,
        auth_method: method.map(auth_method).transpose()?,
        expires_at: time(row, "expires_at")?,
        spent_at: time_if_any(row, "spent_at")?,
    })
}

/// The columns that [`family`] reads.
macro_rules! family_columns {
    () => {
        "f.id, f.grant_id, f.client, f.key_id, f.generation, f.rotated_at, f.last_used_at, \
         f.idle_until, f.absolute_until, f.rotates, f.auth_method, f.revoked"
    };
}
pub(crate) use family_columns;

pub(crate) fn family(row: &Row) -> Outcome<Family> {
    Ok(Family {
        id: FamilyId::new(bytes(row, "id")?),
        grant: GrantId::new(get::<String>(row, "grant_id")?),
        client: client_key(row, "client")?,
        key_id: key_id(row, "key_id")?,
        generation: unsigned(row, "generation")?,
        rotated_at: time(row, "rotated_at")?,
        last_used_at: time(row, "last_used_at")?,
        idle_until: time(row, "idle_until")?,
        absolute_until: time(row, "absolute_until")?,
        rotates: get(row, "rotates")?,
        auth_method: auth_method(get(row, "auth_method")?)?,
        revoked: get(row, "revoked")?,
    })
}

/// A key's number.
pub(crate) fn key_id(row: &Row, column: &str) -> Outcome<u16> {
    let id: i32 = get(row, column)?;
    u16::try_from(id).map_err(|_| Failure::Damaged("the number of a key"))
}

/// A line of the trail as its columns, in the order that [`trailed`] numbers them.
pub(crate) struct Line {
    at: i64,
    event: &'static str,
    actor: String,
    client: Option<Vec<u8>>,
    grant: Option<String>,
    source: Option<String>,
    detail: String,
}

impl Line {
    pub(crate) fn of(entry: &AuditEntry) -> Self {
        Self {
            at: seconds(entry.at),
            event: entry.event.as_str(),
            actor: text(&crate::audit::actor_text(&entry.actor)),
            client: entry.client.map(|key| key.as_bytes().to_vec()),
            grant: entry.grant.as_ref().map(|id| id.as_str().to_owned()),
            source: entry.source.as_deref().map(text),
            detail: text(&entry.detail),
        }
    }

    /// `$1` to `$7`.
    pub(crate) fn parameters(&self) -> [&(dyn tokio_postgres::types::ToSql + Sync); 7] {
        [
            &self.at,
            &self.event,
            &self.actor,
            &self.client,
            &self.grant,
            &self.source,
            &self.detail,
        ]
    }
}

/// A change and its line of the trail in one statement. The line is `$1` to `$7` and is written if
/// the change returned a row; the change's own parameters begin with `$8`.
macro_rules! trailed {
    ($change:expr) => {
        concat!(
            "WITH done AS (",
            $change,
            "), trail AS (INSERT INTO audit (at, event, actor, client, grant_id, source, detail) \
             SELECT $1::bigint, $2::text, $3::text, $4::bytea, $5::text, $6::text, $7::text \
             WHERE EXISTS (SELECT 1 FROM done)) SELECT * FROM done"
        )
    };
}
pub(crate) use trailed;
