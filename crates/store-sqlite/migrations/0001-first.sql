-- Schema 1. Times are seconds since the epoch, hashes are 32-byte blobs, keys of clients are
-- SHA-256 of the raw client_id, so every comparison is of bytes (no collation takes part).

CREATE TABLE clients (
    key             BLOB NOT NULL PRIMARY KEY,
    client_id       TEXT NOT NULL,
    door            TEXT NOT NULL,
    standing        TEXT NOT NULL,
    metadata        TEXT NOT NULL,
    secret_hash     BLOB,
    management_hash BLOB,
    introspects     TEXT NOT NULL,
    machine_scopes  TEXT,
    scope_ceiling   TEXT,
    created_at      INTEGER NOT NULL,
    version         INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX clients_by_age ON clients (created_at DESC, key);

CREATE TABLE tombstones (
    key     BLOB NOT NULL PRIMARY KEY,
    until   INTEGER NOT NULL,
    blocked INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX tombstones_by_end ON tombstones (until);

CREATE TABLE users (
    id            TEXT NOT NULL PRIMARY KEY,
    name          TEXT NOT NULL,
    name_folded   TEXT NOT NULL UNIQUE,
    display_name  TEXT,
    email         TEXT,
    admin         INTEGER NOT NULL,
    password_hash TEXT NOT NULL,
    disabled      INTEGER NOT NULL,
    failed_at     INTEGER NOT NULL DEFAULT 0,
    failures      INTEGER NOT NULL DEFAULT 0,
    created_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
    hash       BLOB NOT NULL PRIMARY KEY,
    user       TEXT NOT NULL,
    auth_time  INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_by_user ON sessions (user);
CREATE INDEX sessions_by_end ON sessions (expires_at);

CREATE TABLE grants (
    id              TEXT NOT NULL PRIMARY KEY,
    user            TEXT NOT NULL,
    client          BLOB NOT NULL,
    resource        TEXT NOT NULL,
    scopes          TEXT NOT NULL,
    metadata_digest BLOB NOT NULL,
    auth_time       INTEGER NOT NULL,
    created_at      INTEGER NOT NULL,
    absolute_until  INTEGER NOT NULL,
    revoked         INTEGER NOT NULL,
    version         INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX grants_by_client ON grants (client);
CREATE INDEX grants_by_user ON grants (user, created_at DESC);
CREATE INDEX grants_by_end ON grants (absolute_until);

CREATE TABLE codes (
    hash         BLOB NOT NULL PRIMARY KEY,
    client       BLOB NOT NULL,
    grant_id     TEXT NOT NULL,
    redirect_uri TEXT NOT NULL,
    challenge    BLOB NOT NULL,
    nonce        TEXT,
    expires_at   INTEGER NOT NULL,
    spent_at     INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX codes_by_end ON codes (expires_at);
CREATE INDEX codes_by_client ON codes (client);
CREATE INDEX codes_by_grant ON codes (grant_id);

CREATE TABLE tickets (
    id    BLOB NOT NULL PRIMARY KEY,
    until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX tickets_by_end ON tickets (until);

CREATE TABLE consents (
    user     TEXT NOT NULL,
    client   BLOB NOT NULL,
    resource TEXT NOT NULL,
    digest   BLOB NOT NULL,
    scopes   TEXT NOT NULL,
    until    INTEGER NOT NULL,
    PRIMARY KEY (user, client, resource)
) STRICT, WITHOUT ROWID;
CREATE INDEX consents_by_client ON consents (client);
CREATE INDEX consents_by_end ON consents (until);

-- The hot row of a refresh: narrow, updated in place, never moved. The rowid table keeps the row
-- where it is however random the id; the unique index is only read by a refresh, because no
-- indexed column changes.
CREATE TABLE families (
    n              INTEGER PRIMARY KEY,
    id             BLOB NOT NULL UNIQUE,
    grant_id       TEXT NOT NULL,
    client         BLOB NOT NULL,
    key_id         INTEGER NOT NULL,
    generation     INTEGER NOT NULL,
    rotated_at     INTEGER NOT NULL,
    last_used_at   INTEGER NOT NULL,
    idle_until     INTEGER NOT NULL,
    absolute_until INTEGER NOT NULL,
    rotates        INTEGER NOT NULL,
    auth_method    TEXT NOT NULL,
    revoked        INTEGER NOT NULL
) STRICT;
CREATE INDEX families_by_grant ON families (grant_id);
CREATE INDEX families_by_client ON families (client);
CREATE INDEX families_by_end ON families (absolute_until);

CREATE TABLE assertions (
    client     BLOB NOT NULL,
    jti_hash   BLOB NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (client, jti_hash)
) STRICT, WITHOUT ROWID;
CREATE INDEX assertions_by_end ON assertions (expires_at);

CREATE TABLE revoked_tokens (
    jti_hash   BLOB NOT NULL PRIMARY KEY,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX revoked_tokens_by_end ON revoked_tokens (expires_at);

CREATE TABLE keys (
    id          INTEGER PRIMARY KEY,
    usage       TEXT NOT NULL,
    phase       TEXT NOT NULL,
    wrapped     BLOB NOT NULL,
    created_at  INTEGER NOT NULL,
    phase_since INTEGER NOT NULL
) STRICT;

-- Numbers taken in commit order (design section 10), and the settings document.
CREATE TABLE heads (
    name     TEXT NOT NULL PRIMARY KEY,
    seq      INTEGER NOT NULL,
    document TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO heads VALUES ('settings', 0, ''), ('keys', 0, '');

CREATE TABLE initial_tokens (
    hash               BLOB NOT NULL PRIMARY KEY,
    note               TEXT NOT NULL,
    uses_left          INTEGER NOT NULL,
    expires_at         INTEGER NOT NULL,
    scopes             TEXT,
    redirect_hosts     TEXT NOT NULL,
    client_credentials INTEGER NOT NULL,
    created_at         INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE setup_link (
    only       INTEGER PRIMARY KEY CHECK (only = 1),
    hash       BLOB NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;

CREATE TABLE audit (
    seq      INTEGER PRIMARY KEY AUTOINCREMENT,
    at       INTEGER NOT NULL,
    event    TEXT NOT NULL,
    actor    TEXT NOT NULL,
    client   BLOB,
    grant_id TEXT,
    source   TEXT,
    detail   TEXT NOT NULL
) STRICT;
