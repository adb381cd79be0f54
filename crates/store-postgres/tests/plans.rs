//! No verb reads a table that grows from end to end: what PostgreSQL did, by its own account.

use std::{collections::BTreeSet, sync::Arc};

use vestibule_store::conformance;
use vestibule_store_postgres::throw_away::{Cluster, Setup};

/// Small whatever happens, or read whole for an admin's report.
const SMALL: [&str; 5] = [
    "heads",
    "initial_tokens",
    "keys",
    "setup_link",
    "supersessions",
];

macro_rules! run {
    ($cluster:ident: $($module:ident::$promise:ident),* $(,)?) => {
        $({
            let database = $cluster.database().await;
            let store = Arc::new(database.open().await);
            conformance::$module::$promise(store).await;
        })*
    };
}

/// Tables are small in tests, where reading all of one is cheapest; with that made dear, it is done
/// only where there is no index to go by.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_table_that_grows_is_read_from_end_to_end() {
    let lines = "enable_seqscan = off\nshared_preload_libraries = auto_explain\n\
                 auto_explain.log_min_duration = 0";
    let cluster = Cluster::start(&Setup {
        lines: vec![lines.to_owned()],
        ..Setup::default()
    })
    .unwrap();
    run!(cluster:
        approvals::one_software_has_no_more_than_its_room,
        approvals::requests_end_and_are_swept,
        approvals::a_full_queue_takes_nobodys_place,
        audit::every_change_leaves_its_line,
        clients::a_removed_client_takes_everything_along,
        clients::clients_are_listed_newest_first_page_by_page,
        decisions::decisions_go_by_age,
        documents::a_change_of_security_waits_for_an_approval,
        documents::documents_in_use_are_watched_longest_unseen_first,
        grants::a_full_table_of_assertions_leaves_the_code_alone,
        grants::consent_is_remembered_for_exactly_what_was_shown,
        grants::live_grants_are_listed_newest_first,
        grants::redemption_opens_the_family,
        history::history_counts_people_clones_and_changes,
        reports::a_report_counts_for_half_a_year,
        sessions::signing_in_ends_the_session_of_before,
        standings::a_blocked_client_loses_all_that_people_allowed,
        standings::standings_are_listed_newest_first_page_by_page,
        supersessions::an_approval_moves_the_person_s_own_grants,
        supersessions::clients_of_one_software_are_listed,
        sweep::the_sweep_takes_what_has_expired,
        tokens::a_retry_is_answered_alike_inside_the_window_only,
        tokens::a_revoked_token_id_is_refused_and_others_are_not,
        tokens::two_generations_back_is_reuse_inside_the_window_too,
        users::a_new_password_ends_the_sessions,
        users::a_person_is_found_by_name_and_by_id,
        verifications::verifications_are_listed_and_fall_due,
    );
    let log = std::fs::read_to_string(cluster.folder().join("log")).unwrap();
    assert!(log.contains("Index Scan"), "nothing was explained");
    let read: BTreeSet<&str> = log
        .split("Seq Scan on ")
        .skip(1)
        .filter_map(|rest| rest.split_whitespace().next())
        .filter(|table| !SMALL.contains(table))
        .collect();
    assert!(read.is_empty(), "{read:?}");
}
