-- Schema 1. Times are seconds since the epoch, hashes are 32 bytes, keys of clients are SHA-256 of
-- the raw client_id. Text is compared by its bytes ("C"), whatever the database's collation: an
-- order that changes with the operating system breaks indexes.
--
-- No foreign keys: a verb locks the rows that it decides by, and no others.

CREATE TABLE clients (
    key             bytea PRIMARY KEY CHECK (octet_length(key) = 32),
    client_id       text COLLATE "C" NOT NULL,
    door            text COLLATE "C" NOT NULL,
    standing        text COLLATE "C" NOT NULL,
    metadata        text COLLATE "C" NOT NULL,
    secret_hash     bytea CHECK (octet_length(secret_hash) = 32),
    management_hash bytea CHECK (octet_length(management_hash) = 32),
    introspects     text COLLATE "C" NOT NULL,
    machine_scopes  text COLLATE "C",
    scope_ceiling   text COLLATE "C",
    software        text COLLATE "C" NOT NULL,
    host            text COLLATE "C",
    issued_at       bigint NOT NULL,
    snapshot_at     bigint NOT NULL,
    checked_at      bigint NOT NULL,
    created_at      bigint NOT NULL,
    version         bigint NOT NULL
);
CREATE INDEX clients_by_age ON clients (created_at DESC, key);
-- In the order of age, so that the newest of a software come without sorting; with the key, so that
-- a count needs no row.
CREATE INDEX clients_by_software ON clients (software, created_at DESC, door, key)
    WHERE software <> '';
CREATE INDEX clients_by_host ON clients (host, created_at) WHERE host IS NOT NULL;
CREATE INDEX clients_by_check ON clients (checked_at) WHERE door = 'cimd';

CREATE TABLE tombstones (
    key     bytea PRIMARY KEY CHECK (octet_length(key) = 32),
    until   bigint NOT NULL,
    blocked boolean NOT NULL
);
CREATE INDEX tombstones_by_end ON tombstones (until);

CREATE TABLE users (
    id            text COLLATE "C" PRIMARY KEY,
    name          text COLLATE "C" NOT NULL,
    name_folded   text COLLATE "C" NOT NULL UNIQUE,
    display_name  text COLLATE "C",
    email         text COLLATE "C",
    admin         boolean NOT NULL,
    password_hash text COLLATE "C" NOT NULL,
    disabled      boolean NOT NULL,
    failed_at     bigint NOT NULL DEFAULT 0,
    failures      bigint NOT NULL DEFAULT 0,
    created_at    bigint NOT NULL
);

CREATE TABLE sessions (
    hash       bytea PRIMARY KEY CHECK (octet_length(hash) = 32),
    user_id    text COLLATE "C" NOT NULL,
    auth_time  bigint NOT NULL,
    expires_at bigint NOT NULL
);
CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_end ON sessions (expires_at);

CREATE TABLE grants (
    id              text COLLATE "C" PRIMARY KEY,
    user_id         text COLLATE "C" NOT NULL,
    client          bytea NOT NULL CHECK (octet_length(client) = 32),
    resource        text COLLATE "C" NOT NULL,
    scopes          text COLLATE "C" NOT NULL,
    metadata_digest bytea NOT NULL CHECK (octet_length(metadata_digest) = 32),
    auth_time       bigint NOT NULL,
    created_at      bigint NOT NULL,
    absolute_until  bigint NOT NULL,
    risk            text COLLATE "C" NOT NULL,
    read_only       boolean NOT NULL,
    short_session   boolean NOT NULL,
    source          text COLLATE "C",
    revoked         boolean NOT NULL,
    version         bigint NOT NULL
);
-- Holds all that a count of people needs, so that no row is looked up for it.
CREATE INDEX grants_alive ON grants (client, user_id, absolute_until) WHERE NOT revoked;
CREATE INDEX grants_by_user ON grants (user_id, created_at DESC) WHERE NOT revoked;
CREATE INDEX grants_by_end ON grants (absolute_until);

-- No index has spent_at, and pages keep some room: a redemption writes no index.
CREATE TABLE codes (
    hash         bytea PRIMARY KEY CHECK (octet_length(hash) = 32),
    client       bytea NOT NULL CHECK (octet_length(client) = 32),
    grant_id     text COLLATE "C" NOT NULL,
    redirect_uri text COLLATE "C" NOT NULL,
    challenge    bytea NOT NULL CHECK (octet_length(challenge) = 32),
    nonce        text COLLATE "C",
    auth_method  text COLLATE "C",
    expires_at   bigint NOT NULL,
    spent_at     bigint
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX codes_by_end ON codes (expires_at);
CREATE INDEX codes_by_client ON codes (client);
CREATE INDEX codes_by_grant ON codes (grant_id);

CREATE TABLE tickets (
    id    bytea PRIMARY KEY CHECK (octet_length(id) = 16),
    until bigint NOT NULL
);
CREATE INDEX tickets_by_end ON tickets (until);

CREATE TABLE consents (
    user_id  text COLLATE "C" NOT NULL,
    client   bytea NOT NULL CHECK (octet_length(client) = 32),
    resource text COLLATE "C" NOT NULL,
    digest   bytea NOT NULL CHECK (octet_length(digest) = 32),
    scopes   text COLLATE "C" NOT NULL,
    until    bigint NOT NULL,
    PRIMARY KEY (user_id, client, resource)
);
CREATE INDEX consents_by_client ON consents (client);
CREATE INDEX consents_by_end ON consents (until);

-- The hot row of a refresh: narrow, and none of its indexes has a column that a refresh changes, so
-- that the new version of the row stays on its page and no index is written.
CREATE TABLE families (
    id             bytea PRIMARY KEY CHECK (octet_length(id) = 16),
    grant_id       text COLLATE "C" NOT NULL,
    client         bytea NOT NULL CHECK (octet_length(client) = 32),
    key_id         integer NOT NULL,
    generation     bigint NOT NULL,
    rotated_at     bigint NOT NULL,
    last_used_at   bigint NOT NULL,
    idle_until     bigint NOT NULL,
    absolute_until bigint NOT NULL,
    rotates        boolean NOT NULL,
    auth_method    text COLLATE "C" NOT NULL,
    revoked        boolean NOT NULL
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX families_by_grant ON families (grant_id) WHERE NOT revoked;
CREATE INDEX families_by_client ON families (client) WHERE NOT revoked;
CREATE INDEX families_by_end ON families (absolute_until);

CREATE TABLE assertions (
    client     bytea NOT NULL CHECK (octet_length(client) = 32),
    jti_hash   bytea NOT NULL CHECK (octet_length(jti_hash) = 32),
    expires_at bigint NOT NULL,
    PRIMARY KEY (client, jti_hash)
);
CREATE INDEX assertions_by_client ON assertions (client, expires_at);
CREATE INDEX assertions_by_end ON assertions (expires_at);

CREATE TABLE revoked_tokens (
    jti_hash   bytea PRIMARY KEY CHECK (octet_length(jti_hash) = 32),
    expires_at bigint NOT NULL
);
CREATE INDEX revoked_tokens_by_end ON revoked_tokens (expires_at);

CREATE TABLE keys (
    id          integer PRIMARY KEY,
    usage       text COLLATE "C" NOT NULL,
    phase       text COLLATE "C" NOT NULL,
    wrapped     bytea NOT NULL,
    created_at  bigint NOT NULL,
    phase_since bigint NOT NULL
);
-- Whatever the verbs do: two active keys for one use cannot be.
CREATE UNIQUE INDEX keys_active ON keys (usage) WHERE phase = 'active';

-- Numbers that nodes follow, and the documents behind some of them. A transaction moves a number by
-- an update, so the lock of the row puts numbers into the order of commits (design section 10).
CREATE TABLE heads (
    name     text COLLATE "C" PRIMARY KEY,
    seq      bigint NOT NULL,
    document text COLLATE "C" NOT NULL
) WITH (fillfactor = 50);
INSERT INTO heads VALUES
    ('settings', 0, ''), ('keys', 0, ''), ('policy', 0, ''), ('catalogue', 0, ''), ('lists', 0, '');

-- The history of the documents in `heads`.
CREATE TABLE versions (
    name     text COLLATE "C" NOT NULL,
    seq      bigint NOT NULL,
    at       bigint NOT NULL,
    actor    text COLLATE "C" NOT NULL,
    note     text COLLATE "C" NOT NULL,
    document text COLLATE "C" NOT NULL,
    PRIMARY KEY (name, seq)
);

CREATE TABLE initial_tokens (
    hash               bytea PRIMARY KEY CHECK (octet_length(hash) = 32),
    note               text COLLATE "C" NOT NULL,
    uses_left          bigint NOT NULL CHECK (uses_left >= 0),
    expires_at         bigint NOT NULL,
    scopes             text COLLATE "C",
    redirect_hosts     text COLLATE "C" NOT NULL,
    client_credentials boolean NOT NULL,
    created_at         bigint NOT NULL
);

CREATE TABLE setup_link (
    one        integer PRIMARY KEY CHECK (one = 1),
    hash       bytea NOT NULL CHECK (octet_length(hash) = 32),
    expires_at bigint NOT NULL
);

CREATE TABLE audit (
    seq      bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    at       bigint NOT NULL,
    event    text COLLATE "C" NOT NULL,
    actor    text COLLATE "C" NOT NULL,
    client   bytea CHECK (octet_length(client) = 32),
    grant_id text COLLATE "C",
    source   text COLLATE "C",
    detail   text COLLATE "C" NOT NULL
);
CREATE INDEX audit_by_age ON audit (at);

CREATE TABLE approvals (
    id            bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    subject       bytea NOT NULL UNIQUE CHECK (octet_length(subject) = 32),
    subject_text  text COLLATE "C" NOT NULL,
    software      text COLLATE "C" NOT NULL,
    door          text COLLATE "C" NOT NULL,
    display_name  text COLLATE "C",
    host          text COLLATE "C",
    reasons       text COLLATE "C" NOT NULL,
    asked_by      text COLLATE "C",
    source        text COLLATE "C",
    phase         text COLLATE "C" NOT NULL CHECK (phase IN ('approved', 'denied', 'waiting')),
    times         bigint NOT NULL,
    asked_at      bigint NOT NULL,
    last_asked_at bigint NOT NULL,
    decided_by    text COLLATE "C",
    decided_at    bigint,
    until         bigint NOT NULL
);
-- Counts, and finds who gives way, without the rows themselves.
CREATE INDEX approvals_waiting ON approvals (software, id, asked_by) WHERE phase = 'waiting';
CREATE INDEX approvals_by_phase ON approvals (phase, id);
CREATE INDEX approvals_by_end ON approvals (until);

CREATE TABLE reports (
    n       bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    user_id text COLLATE "C" NOT NULL,
    client  bytea NOT NULL CHECK (octet_length(client) = 32),
    reason  text COLLATE "C" NOT NULL,
    at      bigint NOT NULL,
    UNIQUE (user_id, client)
);
CREATE INDEX reports_by_client ON reports (client, at);
CREATE INDEX reports_by_age ON reports (at);

CREATE TABLE decisions (
    seq        bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    at         bigint NOT NULL,
    action     text COLLATE "C" NOT NULL,
    client     bytea NOT NULL CHECK (octet_length(client) = 32),
    facts      text COLLATE "C" NOT NULL,
    trust      text COLLATE "C" NOT NULL,
    risk       text COLLATE "C" NOT NULL,
    outcomes   text COLLATE "C" NOT NULL,
    reasons    text COLLATE "C" NOT NULL,
    policy_seq bigint NOT NULL
);
CREATE INDEX decisions_by_age ON decisions (at);

CREATE TABLE standings (
    n            bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    kind         text COLLATE "C" NOT NULL,
    subject      bytea NOT NULL CHECK (octet_length(subject) = 32),
    subject_text text COLLATE "C" NOT NULL,
    word         text COLLATE "C" NOT NULL,
    said_by      text COLLATE "C" NOT NULL,
    note         text COLLATE "C" NOT NULL,
    at           bigint NOT NULL,
    until        bigint,
    UNIQUE (kind, subject)
);
CREATE INDEX standings_by_age ON standings (at DESC, kind, subject);
CREATE INDEX standings_by_end ON standings (until) WHERE until IS NOT NULL;

CREATE TABLE document_changes (
    n        bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    client   bytea NOT NULL CHECK (octet_length(client) = 32),
    at       bigint NOT NULL,
    security boolean NOT NULL,
    digest   bytea NOT NULL CHECK (octet_length(digest) = 32),
    diff     text COLLATE "C" NOT NULL
);
CREATE INDEX document_changes_by_client ON document_changes (client, n);

CREATE TABLE verifications (
    id            text COLLATE "C" PRIMARY KEY,
    client        bytea NOT NULL CHECK (octet_length(client) = 32),
    client_id     text COLLATE "C" NOT NULL,
    domain        text COLLATE "C" NOT NULL,
    method        text COLLATE "C" NOT NULL,
    token         text COLLATE "C" NOT NULL,
    state         text COLLATE "C" NOT NULL,
    created_at    bigint NOT NULL,
    checked_at    bigint,
    verified_at   bigint,
    next_check_at bigint NOT NULL,
    failures      bigint NOT NULL,
    last_error    text COLLATE "C"
);
CREATE UNIQUE INDEX verifications_alive ON verifications (client, domain, method)
    WHERE state <> 'revoked';
CREATE INDEX verifications_by_client ON verifications (client, created_at DESC, id);
CREATE INDEX verifications_by_age ON verifications (created_at DESC, id);
CREATE INDEX verifications_due ON verifications (next_check_at, id) WHERE state <> 'revoked';
CREATE INDEX verifications_over ON verifications (created_at) WHERE state = 'revoked';

-- A registered client and the document client that takes its place: one, however many say so.
CREATE TABLE supersessions (
    old_key       bytea PRIMARY KEY CHECK (octet_length(old_key) = 32),
    new_key       bytea NOT NULL CHECK (octet_length(new_key) = 32),
    new_client_id text COLLATE "C" NOT NULL,
    software      text COLLATE "C" NOT NULL,
    created_at    bigint NOT NULL,
    moved         bigint NOT NULL
);
CREATE INDEX supersessions_by_new ON supersessions (new_key, old_key);
