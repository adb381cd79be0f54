-- Schema 2. What admission needs: documents with history, the queue of approvals, reports, the log
-- of decisions, standings; and what an assessment reads and leaves: history of clients, changes of
-- their documents, domain proofs, successors of registered clients. Times and hashes as in schema 1.
-- What an older row never said gets the answer that grants least: nothing known of its software, its
-- snapshot as old as the row.

INSERT INTO heads VALUES ('policy', 0, ''), ('catalogue', 0, ''), ('lists', 0, '');

-- The history of the documents in `heads`. The text comes last: a list does not read it.
CREATE TABLE versions (
    name     TEXT NOT NULL,
    seq      INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    actor    TEXT NOT NULL,
    note     TEXT NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (name, seq)
) STRICT;
-- Settings that were saved before there was a history can be brought back too. The trail tells
-- when and by whom.
INSERT INTO versions
    SELECT h.name, h.seq, coalesce(a.at, 0), coalesce(a.actor, 'system:'), coalesce(a.detail, ''),
           h.document
    FROM heads h
    LEFT JOIN audit a
        ON a.seq = (SELECT max(seq) FROM audit WHERE event = 'settings-changed')
    WHERE h.name = 'settings' AND h.seq > 0;

CREATE TABLE approvals (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    subject       BLOB NOT NULL UNIQUE,
    subject_text  TEXT NOT NULL,
    software      TEXT NOT NULL,
    door          TEXT NOT NULL,
    display_name  TEXT,
    host          TEXT,
    reasons       TEXT NOT NULL,
    asked_by      TEXT,
    source        TEXT,
    phase         TEXT NOT NULL,
    times         INTEGER NOT NULL,
    asked_at      INTEGER NOT NULL,
    last_asked_at INTEGER NOT NULL,
    decided_by    TEXT,
    decided_at    INTEGER,
    until         INTEGER NOT NULL
) STRICT;
-- Counts, and finds who gives way, without the rows themselves.
CREATE INDEX approvals_waiting ON approvals (software, id, asked_by) WHERE phase = 'waiting';
CREATE INDEX approvals_by_phase ON approvals (phase, id);
CREATE INDEX approvals_by_end ON approvals (until);

CREATE TABLE reports (
    n      INTEGER PRIMARY KEY,
    user   TEXT NOT NULL,
    client BLOB NOT NULL,
    reason TEXT NOT NULL,
    at     INTEGER NOT NULL,
    UNIQUE (user, client)
) STRICT;
CREATE INDEX reports_by_client ON reports (client, at);
CREATE INDEX reports_by_age ON reports (at);

CREATE TABLE decisions (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    at         INTEGER NOT NULL,
    action     TEXT NOT NULL,
    client     BLOB NOT NULL,
    facts      TEXT NOT NULL,
    trust      TEXT NOT NULL,
    risk       TEXT NOT NULL,
    outcomes   TEXT NOT NULL,
    reasons    TEXT NOT NULL,
    policy_seq INTEGER NOT NULL
) STRICT;
CREATE INDEX decisions_by_age ON decisions (at);

CREATE TABLE standings (
    n            INTEGER PRIMARY KEY,
    kind         TEXT NOT NULL,
    subject      BLOB NOT NULL,
    subject_text TEXT NOT NULL,
    word         TEXT NOT NULL,
    said_by      TEXT NOT NULL,
    note         TEXT NOT NULL,
    at           INTEGER NOT NULL,
    until        INTEGER,
    UNIQUE (kind, subject)
) STRICT;
CREATE INDEX standings_by_age ON standings (at DESC, kind, subject);
CREATE INDEX standings_by_end ON standings (until) WHERE until IS NOT NULL;

-- The trail is swept by age.
CREATE INDEX audit_by_age ON audit (at);

-- How the client authenticated when it pushed the request that the code came of; NULL if a browser
-- brought the request (CIMD-65).
ALTER TABLE codes ADD COLUMN auth_method TEXT;

ALTER TABLE clients ADD COLUMN software TEXT NOT NULL DEFAULT '';
ALTER TABLE clients ADD COLUMN host TEXT;
ALTER TABLE clients ADD COLUMN issued_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE clients ADD COLUMN snapshot_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE clients ADD COLUMN checked_at INTEGER NOT NULL DEFAULT 0;
UPDATE clients SET issued_at = created_at, snapshot_at = created_at, checked_at = created_at;
CREATE INDEX clients_by_software ON clients (software, created_at DESC, door) WHERE software <> '';
CREATE INDEX clients_by_host ON clients (host, created_at) WHERE host IS NOT NULL;
CREATE INDEX clients_by_check ON clients (checked_at) WHERE door = 'cimd';

ALTER TABLE grants ADD COLUMN risk TEXT NOT NULL DEFAULT 'low';
ALTER TABLE grants ADD COLUMN read_only INTEGER NOT NULL DEFAULT 0;
ALTER TABLE grants ADD COLUMN short_session INTEGER NOT NULL DEFAULT 0;
ALTER TABLE grants ADD COLUMN source TEXT;
-- Holds all that a count of people needs, so that no row is looked up for it.
CREATE INDEX grants_alive ON grants (client, user, absolute_until) WHERE revoked = 0;

CREATE TABLE document_changes (
    n        INTEGER PRIMARY KEY,
    client   BLOB NOT NULL,
    at       INTEGER NOT NULL,
    security INTEGER NOT NULL,
    digest   BLOB NOT NULL,
    diff     TEXT NOT NULL
) STRICT;
CREATE INDEX document_changes_by_client ON document_changes (client, n);

CREATE TABLE verifications (
    id            TEXT NOT NULL PRIMARY KEY,
    client        BLOB NOT NULL,
    client_id     TEXT NOT NULL,
    domain        TEXT NOT NULL,
    method        TEXT NOT NULL,
    token         TEXT NOT NULL,
    state         TEXT NOT NULL,
    created_at    INTEGER NOT NULL,
    checked_at    INTEGER,
    verified_at   INTEGER,
    next_check_at INTEGER NOT NULL,
    failures      INTEGER NOT NULL,
    last_error    TEXT
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX verifications_alive ON verifications (client, domain, method)
    WHERE state <> 'revoked';
CREATE INDEX verifications_by_client ON verifications (client, created_at DESC, id);
CREATE INDEX verifications_by_age ON verifications (created_at DESC, id);
CREATE INDEX verifications_due ON verifications (next_check_at, id) WHERE state <> 'revoked';
CREATE INDEX verifications_over ON verifications (created_at) WHERE state = 'revoked';

-- A registered client and the document client that takes its place: one, however many say so.
CREATE TABLE supersessions (
    old_key       BLOB NOT NULL PRIMARY KEY,
    new_key       BLOB NOT NULL,
    new_client_id TEXT NOT NULL,
    software      TEXT NOT NULL,
    created_at    INTEGER NOT NULL,
    moved         INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX supersessions_by_new ON supersessions (new_key);
