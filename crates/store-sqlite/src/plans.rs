//! Reads that decide an answer go by an index: what SQLite plans to do, asked of SQLite, on an empty
//! database of today's schema.
//!
//! Not here: lists for admins, and single rows by their key.

use rusqlite::Connection;

use crate::{
    approvals, documents, history, migrations, reports, standings, supersessions, verifications,
};

/// What may be read from end to end: answers of other steps, no tables.
const NO_TABLES: &[&str] = &[
    "(subquery-1)",
    "(subquery-2)",
    "5-ROW VALUES CLAUSE",
    "CONSTANT ROW",
    "c",
    "person",
];

fn database() -> Connection {
    let mut connection = Connection::open_in_memory().unwrap();
    migrations::run(&mut connection).unwrap();
    connection
}

/// Where each `SEARCH` goes, in order. No table is read from end to end.
fn searches(connection: &Connection, statement: &str) -> Vec<String> {
    let mut explained = connection
        .prepare(&format!("EXPLAIN QUERY PLAN {statement}"))
        .unwrap();
    let steps: Vec<String> = explained
        .raw_query()
        .mapped(|row| row.get("detail"))
        .collect::<rusqlite::Result<_>>()
        .unwrap();
    for scanned in steps.iter().filter_map(|step| step.strip_prefix("SCAN ")) {
        assert!(NO_TABLES.contains(&scanned), "{statement}: {steps:#?}");
    }
    steps
        .iter()
        .filter_map(|step| step.strip_prefix("SEARCH "))
        .map(str::to_owned)
        .collect()
}

#[test]
fn reads_that_decide_go_by_an_index() {
    let connection = database();
    let several = standings::find(5);
    #[rustfmt::skip]
    let cases: &[(&str, &[&str])] = &[
        (approvals::FIND, &["approvals USING INDEX sqlite_autoindex_approvals_1 (subject=?)"]),
        (documents::TO_WATCH, &[
            "clients USING INDEX clients_by_check (checked_at<?)",
            "g EXISTS USING COVERING INDEX grants_alive (client=?)",
        ]),
        (history::FIRST_SEEN, &["clients USING PRIMARY KEY (key=?)"]),
        (history::PEOPLE, &[
            "grants USING COVERING INDEX grants_alive (client=?)",
            "g USING COVERING INDEX grants_alive (client=? AND user>?)",
            "g EXISTS USING COVERING INDEX grants_alive (client=? AND user=? AND absolute_until>?)",
        ]),
        (history::SOFTWARE_CLIENTS, &["clients USING COVERING INDEX clients_by_software (software=?)"]),
        (history::SOFTWARE_PEOPLE, &[
            "clients USING COVERING INDEX clients_by_software (software=?)",
            "g USING COVERING INDEX grants_alive (client=?)",
        ]),
        (history::HOST_FIRST_SEEN, &["clients USING COVERING INDEX clients_by_host (host=?)"]),
        (history::CHANGES, &["document_changes USING INDEX document_changes_by_client (client=?)"]),
        (reports::COUNT, &["reports USING COVERING INDEX reports_by_client (client=? AND at>?)"]),
        (&several, &["standings USING INDEX sqlite_autoindex_standings_1 (kind=? AND subject=?)"]),
        (standings::BLOCKED, &[
            "standings USING INDEX sqlite_autoindex_standings_1 (kind=? AND subject=?)",
            "standings USING INDEX sqlite_autoindex_standings_1 (kind=? AND subject=?)",
        ]),
        (supersessions::OF_PERSON, &[
            "g USING INDEX grants_by_user (user=?)",
            "s USING COVERING INDEX supersessions_by_new (new_key=? AND old_key=?)",
        ]),
        (supersessions::OF_SOFTWARE, &["clients USING INDEX clients_by_software (software=?)"]),
        (supersessions::TO_MOVE, &[
            "g USING INDEX grants_by_user (user=?)",
            "s USING COVERING INDEX supersessions_by_new (new_key=? AND old_key=?)",
        ]),
        (verifications::DUE, &["verifications USING INDEX verifications_due (next_check_at<?)"]),
        (verifications::OF_CLIENT, &["verifications USING INDEX verifications_by_client (client=?)"]),
    ];
    for (statement, expected) in cases {
        assert_eq!(searches(&connection, statement), *expected, "{statement}");
    }
}

/// The sweep runs each minute over tables in which nearly nothing is over.
#[test]
fn the_sweep_goes_by_an_index() {
    let connection = database();
    let cases = [
        ("approvals", "until"),
        ("audit", "at"),
        ("decisions", "at"),
        ("reports", "at"),
        ("standings", "until"),
    ];
    for (table, column) in cases {
        let statement = format!("SELECT rowid FROM {table} WHERE {column} <= ?1 LIMIT ?2");
        let searched = searches(&connection, &statement);
        let start = format!("{table} USING COVERING INDEX {table}_by_");
        assert!(
            matches!(searched.as_slice(), [one] if one.starts_with(&start)),
            "{searched:#?}"
        );
    }
}
