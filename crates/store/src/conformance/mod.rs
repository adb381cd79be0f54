//! The suite that proves the contracts of [`crate::Store`], the same for every backend.
//!
//! One function per promise, named as a sentence. Races run as that many tasks, released together.
//! A backend runs all of them in three lines:
//!
//! ```text
//! async fn make_store() -> (Arc<dyn Store>, TempDir) { … }
//! vestibule_store::store_conformance_suite!(make_store);
//! ```
//!
//! Not here: how a backend keeps its promises (its own tests try full disks and killed processes),
//! and the rules of OAuth that the engine adds.

#![expect(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "the functions are bodies of tests"
)]

pub mod approvals;
pub mod audit;
pub mod changes;
pub mod clients;
pub mod decisions;
pub mod documents;
pub mod grants;
pub mod history;
pub mod keys;
mod make;
pub mod reports;
pub mod sessions;
pub mod settings;
pub mod standings;
pub mod supersessions;
pub mod sweep;
pub mod tokens;
pub mod users;
pub mod verifications;
pub mod versions;

/// Make one test of each promise. The argument names an `async fn` that returns an empty store as
/// `Arc<dyn Store>` and a guard that is dropped after the test, such as its folder.
#[macro_export]
macro_rules! store_conformance_suite {
    ($make:ident) => {
        $crate::store_conformance_suite! { $make;
            approvals {
                a_decision_can_be_turned_and_not_repeated,
                a_decision_is_the_answer_until_its_end,
                a_huge_request_is_cut,
                a_lowered_limit_lets_the_queue_stay_and_not_grow,
                a_request_reads_back_as_it_was_asked,
                asking_again_is_counted_once_a_minute,
                decided_requests_take_no_room_and_never_give_way,
                of_many_who_ask_for_one_subject_one_request_waits,
                of_many_who_decide_alike_one_decides,
                one_software_has_no_more_than_its_room,
                only_a_persons_request_leaves_a_line,
                one_person_has_no_more_than_their_room,
                requests_are_listed_newest_first_page_by_page,
                requests_end_and_are_swept,
                strangers_never_push_out_people,
                a_full_queue_takes_nobodys_place,
                the_queue_never_exceeds_its_size,
                what_is_over_takes_no_room,
            }
            audit {
                a_plain_rotation_leaves_no_line,
                a_refused_change_leaves_no_line,
                an_entry_reads_back_as_it_was_written,
                every_change_leaves_its_line,
                the_trail_is_read_newest_first_page_by_page,
            }
            changes {
                hot_rows_are_not_counted,
                what_changes_somebody_is_counted,
                what_ends_something_is_counted,
            }
            clients {
                a_block_outlasts_a_later_removal,
                a_change_needs_the_version_that_was_read,
                a_change_of_redirects_ends_codes_and_remembered_consent,
                a_change_of_what_is_not_there_is_gone,
                a_client_reads_back_as_it_was_written,
                a_plain_change_leaves_codes_and_remembered_consent,
                a_removed_client_takes_everything_along,
                a_tombstone_stands_where_no_row_was,
                clients_are_listed_newest_first_page_by_page,
                of_many_who_make_one_client_one_succeeds,
                own_clients_move_the_lists,
                who_has_no_row_was_never_seen,
            }
            decisions {
                decisions_are_numbered_and_read_page_by_page,
                decisions_go_by_age,
                decisions_read_back_as_they_were_written,
                the_log_of_decisions_is_bounded,
            }
            documents {
                a_change_of_security_waits_for_an_approval,
                a_change_of_who_has_no_document_is_gone,
                a_document_is_touched_once_an_hour,
                a_plain_change_of_a_document_replaces_the_snapshot,
                a_waiting_change_keeps_the_snapshot_old,
                documents_in_use_are_watched_longest_unseen_first,
                of_many_who_see_one_change_one_keeps_it,
                the_newest_changes_of_a_document_are_kept,
                what_was_seen_earlier_changes_nothing,
            }
            grants {
                a_code_at_its_end_is_dead,
                a_code_of_a_revoked_grant_is_dead,
                a_document_client_gets_the_snapshot_that_was_approved,
                a_full_table_of_assertions_leaves_the_code_alone,
                a_grant_is_taken_back_once_with_all_that_hangs_on_it,
                a_removed_client_of_an_admin_is_not_made_again_by_an_approval,
                a_spent_code_names_its_grant_and_its_time,
                a_ticket_is_approved_or_denied_but_not_both,
                an_approval_of_a_removed_client_writes_nothing,
                an_approval_that_fails_leaves_nothing,
                an_approval_that_races_a_removal_leaves_no_live_grant,
                an_approval_takes_the_time_of_its_snapshot,
                an_approval_tells_an_old_row_its_software,
                an_unknown_code_is_unknown,
                a_used_assertion_leaves_the_code_alone,
                code_and_grant_read_back_as_they_were_written,
                consent_is_remembered_for_exactly_what_was_shown,
                live_grants_are_listed_newest_first,
                of_fifty_parallel_redemptions_one_wins,
                of_many_approvals_with_one_ticket_one_is_recorded,
                people_who_approve_one_stranger_at_once_all_win,
                redemption_opens_the_family,
            }
            history {
                history_counts_people_clones_and_changes,
                history_counts_the_changes_of_a_month,
                history_forgets_grants_that_ended,
                history_stops_counting,
                of_who_never_was_here_nothing_is_known,
            }
            keys {
                a_key_goes_from_staged_to_gone_step_by_step,
                a_number_of_a_key_is_never_given_again,
                of_many_nodes_that_start_at_once_one_set_of_keys_remains,
                racing_activations_leave_one_active_key_per_use,
            }
            reports {
                a_person_reports_a_client_once,
                a_report_counts_for_half_a_year,
                reports_count_people,
                reports_read_back_as_they_were_written,
            }
            sessions {
                a_session_is_closed_once,
                a_session_is_live_until_its_end,
                a_session_of_nobody_is_none,
                signing_in_ends_the_session_of_before,
            }
            settings {
                a_new_setup_link_replaces_the_old,
                a_setup_link_is_dead_at_its_end_and_where_people_are,
                an_initial_token_dies_at_its_end,
                an_initial_token_is_spent_no_more_than_it_allows,
                an_initial_token_is_taken_back_by_the_start_of_its_hash,
                an_initial_token_reads_back_as_it_was_written,
                an_issuer_is_replaced_by_whoever_names_the_kept_one,
                of_many_savers_one_wins,
                settings_are_empty_before_the_first_save,
                the_first_issuer_is_kept,
                the_setup_link_makes_one_admin,
            }
            standings {
                a_blocked_client_loses_all_that_people_allowed,
                a_standing_ends,
                a_standing_is_of_exactly_its_subject,
                a_standing_is_replaced_and_taken_back,
                an_approval_against_a_block_writes_nothing,
                an_approval_that_races_a_block_leaves_no_live_grant,
                other_words_end_nothing,
                racing_words_leave_one,
                standings_are_listed_newest_first_page_by_page,
                standings_read_back_as_they_were_written,
            }
            supersessions {
                a_client_has_one_successor,
                an_approval_moves_the_person_s_own_grants,
                clients_of_one_software_are_listed,
                of_many_approvals_at_once_one_moves_a_grant,
                predecessors_are_bounded,
                predecessors_are_linked_once,
                registered_software_is_counted,
                the_report_says_who_is_left,
                without_a_link_or_a_wish_nothing_moves,
            }
            sweep {
                a_spent_code_is_kept_while_a_replay_can_be_told,
                a_tombstone_stands_to_its_end,
                lines_of_the_trail_go_by_age,
                what_is_live_survives_the_sweep,
                the_sweep_is_bounded,
                the_sweep_takes_what_has_expired,
                the_trail_is_swept_in_small_steps,
            }
            tokens {
                a_changed_grant_asks_to_prepare_again,
                a_client_with_too_many_assertions_is_refused_and_nothing_is_evicted,
                a_dead_family_stays_dead,
                a_family_is_ended_once,
                a_family_that_does_not_rotate_is_touched_once_an_hour,
                a_refresh_never_moves_the_absolute_end,
                a_retry_is_answered_alike_inside_the_window_only,
                a_revoked_token_id_is_refused_and_others_are_not,
                a_token_newer_than_its_row_moves_the_row_forward,
                a_used_assertion_leaves_the_family_alone,
                an_expired_family_changes_nothing,
                another_client_changes_nothing,
                generations_move_one_by_one,
                of_many_parallel_refreshes_one_moves_and_the_others_repeat,
                of_many_uses_of_an_assertion_one_is_first,
                parallel_reuse_is_found_once,
                two_generations_back_is_reuse_inside_the_window_too,
                without_a_window_the_second_use_revokes,
            }
            users {
                a_disabled_person_has_no_session,
                a_failed_sign_in_changes_nothing_that_is_seen,
                a_new_password_ends_the_sessions,
                a_person_is_found_by_name_and_by_id,
                changes_of_nobody_are_refused,
                names_are_unique_without_regard_to_case,
                people_are_listed_by_name,
            }
            verifications {
                a_removed_client_loses_its_verifications,
                a_verification_is_revoked_once,
                a_verification_moves_as_the_table_says,
                a_verification_reads_back_as_it_was_written,
                each_move_of_a_verification_moves_the_lists,
                of_many_failed_looks_at_once_one_counts,
                of_many_who_ask_to_verify_one_domain_one_is_recorded,
                verifications_are_bounded,
                verifications_are_listed_and_fall_due,
            }
            versions {
                a_huge_document_is_refused,
                a_refused_save_leaves_nothing,
                documents_are_empty_before_the_first_save,
                documents_do_not_disturb_each_other,
                each_change_moves_its_own_head,
                of_many_savers_of_one_version_one_wins,
                settings_have_a_history_too,
                the_history_is_bounded,
                the_history_says_who_and_why,
            }
        }
    };
    ($make:ident; $($module:ident { $($name:ident),* $(,)? })*) => {
        $(mod $module {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $name() {
                let (store, guard) = super::$make().await;
                $crate::conformance::$module::$name(store).await;
                drop(guard);
            })*
        })*
    };
}

#[cfg(test)]
mod tests {
    /// A promise that is not in the list above would never be tried.
    #[test]
    fn every_promise_is_in_the_list() {
        let list = include_str!("mod.rs");
        let promises = [
            include_str!("approvals.rs"),
            include_str!("audit.rs"),
            include_str!("changes.rs"),
            include_str!("clients.rs"),
            include_str!("decisions.rs"),
            include_str!("documents.rs"),
            include_str!("grants.rs"),
            include_str!("history.rs"),
            include_str!("keys.rs"),
            include_str!("reports.rs"),
            include_str!("sessions.rs"),
            include_str!("settings.rs"),
            include_str!("standings.rs"),
            include_str!("supersessions.rs"),
            include_str!("sweep.rs"),
            include_str!("tokens.rs"),
            include_str!("users.rs"),
            include_str!("verifications.rs"),
            include_str!("versions.rs"),
        ];
        let modules = list.lines().filter(|line| line.starts_with("pub mod "));
        assert_eq!(modules.count(), promises.len());
        let names = promises.iter().flat_map(|text| {
            text.lines()
                .filter_map(|line| line.strip_prefix("pub async fn "))
                .filter_map(|rest| rest.split('(').next())
        });
        let mut count = 0;
        for name in names {
            assert!(
                list.contains(&format!("\n                {name},\n")),
                "{name}"
            );
            count += 1;
        }
        assert!(count > 100, "{count}");
    }
}
