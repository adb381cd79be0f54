//! What [`crate::VerificationStore`] promises, for `store_conformance_suite!`.

use std::sync::Arc;

use vestibule_protocol::{audit::Event, client_id::ClientKey};

use super::make::{NOW, at, audit, count, lines, race, trail};
use crate::{
    Store,
    verifications::{
        VERIFICATIONS_MAX, Verification, VerificationAdded, VerificationMethod, VerificationMove,
        VerificationOutcome, VerificationState as State,
    },
};

fn verification(id: &str, n: usize) -> Verification {
    let client_id = format!("https://agent-{n}.example/client.json");
    Verification {
        id: id.to_owned(),
        client: ClientKey::of(&client_id),
        client_id,
        domain: format!("agent-{n}.example"),
        method: VerificationMethod::DnsTxt,
        token: format!("vestibule-{n}"),
        state: State::Pending,
        created_at: NOW,
        checked_at: None,
        verified_at: None,
        next_check_at: at(60),
        failures: 0,
        last_error: None,
    }
}

async fn add(store: &dyn Store, verification: Verification) -> VerificationAdded {
    let added = store.add_verification(verification, audit(Event::DomainVerificationAsked));
    added.await.unwrap()
}

async fn find(store: &dyn Store, id: &str) -> Verification {
    store.find_verification(id).await.unwrap().unwrap()
}

/// Note at `seconds`; the next look is a minute later.
async fn note(
    store: &dyn Store,
    id: &str,
    outcome: VerificationOutcome,
    seconds: u64,
) -> Option<VerificationMove> {
    let (now, next) = (at(seconds), at(seconds + 60));
    let noted = store.note_verification(id, outcome, next, now, audit(Event::ClientChanged));
    noted.await.unwrap()
}

fn failed() -> VerificationOutcome {
    VerificationOutcome::Failed("no such record".to_owned())
}

async fn revoke(store: &dyn Store, id: &str) -> bool {
    let revoked = store.revoke_verification(id, audit(Event::DomainVerificationLost));
    revoked.await.unwrap()
}

/// The words of the table are not lost between releases.
pub async fn a_verification_reads_back_as_it_was_written(store: Arc<dyn Store>) {
    for (n, method) in VerificationMethod::ALL.iter().enumerate() {
        for (m, state) in State::ALL.iter().enumerate() {
            assert_eq!(VerificationMethod::parse(method.as_str()), Some(*method));
            assert_eq!(State::parse(state.as_str()), Some(*state));
            let id = format!("v_{n}_{m}");
            let written = Verification {
                method: *method,
                state: *state,
                checked_at: Some(at(1)),
                verified_at: Some(at(2)),
                failures: 2,
                last_error: Some("no such record".to_owned()),
                ..verification(&id, 10 * n + m)
            };
            assert_eq!(add(&*store, written.clone()).await, VerificationAdded::Done);
            assert_eq!(find(&*store, &id).await, written);
        }
    }
    let plain = verification("v_plain", 99);
    add(&*store, plain.clone()).await;
    assert_eq!(find(&*store, "v_plain").await, plain);
    assert!(store.find_verification("v_x").await.unwrap().is_none());
    assert_eq!(lines(&*store, Event::DomainVerificationAsked).await, 9);
}

/// One live challenge, so that there is one value to publish.
pub async fn of_many_who_ask_to_verify_one_domain_one_is_recorded(store: Arc<dyn Store>) {
    let answers = race(20, |n| {
        let store = store.clone();
        async move { add(&*store, verification(&format!("v_{n}"), 1)).await }
    });
    let answers = answers.await;
    assert_eq!(count(&answers, &VerificationAdded::Done), 1);
    assert_eq!(count(&answers, &VerificationAdded::Taken), 19);
    assert_eq!(lines(&*store, Event::DomainVerificationAsked).await, 1);
    let of_client = store.verifications_of(&verification("", 1).client).await;
    let live = of_client.unwrap().pop().unwrap();

    // Another way, another domain, another client: each its own.
    let file = Verification {
        method: VerificationMethod::WellKnownFile,
        ..verification("v_file", 1)
    };
    let elsewhere = Verification {
        domain: "other.example".to_owned(),
        ..verification("v_elsewhere", 1)
    };
    for (new, expected) in [
        (file, VerificationAdded::Done),
        (elsewhere, VerificationAdded::Done),
        (verification("v_other", 2), VerificationAdded::Done),
        (verification("v_other", 3), VerificationAdded::Taken),
    ] {
        let id = new.id.clone();
        assert_eq!(add(&*store, new).await, expected, "{id}");
    }
    // What is over stands in nobody's way.
    assert!(revoke(&*store, &live.id).await);
    assert_eq!(
        add(&*store, verification("v_new", 1)).await,
        VerificationAdded::Done
    );
}

/// The table in the head of `verifications.rs`, row by row.
pub async fn a_verification_moves_as_the_table_says(store: Arc<dyn Store>) {
    use State::{Failing, Pending, Revoked, Verified};
    let proved = || VerificationOutcome::Proved;
    #[rustfmt::skip]
    let steps = [
        // outcome,  from,     to,       failures, line
        (failed(),   Pending,  Pending,  1, None),
        (failed(),   Pending,  Pending,  2, None),
        (failed(),   Pending,  Pending,  3, None),
        (failed(),   Pending,  Pending,  4, None),
        (proved(),   Pending,  Verified, 0, Some(Event::DomainVerified)),
        (proved(),   Verified, Verified, 0, None),
        (failed(),   Verified, Failing,  1, Some(Event::DomainVerificationFailing)),
        (failed(),   Failing,  Failing,  2, None),
        (proved(),   Failing,  Verified, 0, Some(Event::DomainVerified)),
        (failed(),   Verified, Failing,  1, Some(Event::DomainVerificationFailing)),
        (failed(),   Failing,  Failing,  2, None),
        (failed(),   Failing,  Revoked,  3, Some(Event::DomainVerificationLost)),
        (proved(),   Revoked,  Revoked,  3, None),
        (failed(),   Revoked,  Revoked,  3, None),
    ];
    add(&*store, verification("v_1", 1)).await;
    let mut expected = vec![Event::DomainVerificationAsked];
    for (n, (outcome, from, to, failures, line)) in steps.into_iter().enumerate() {
        let seconds = 60 * (n as u64 + 1);
        let moved = note(&*store, "v_1", outcome.clone(), seconds).await;
        assert_eq!(moved, Some(VerificationMove { from, to }), "step {n}");
        let row = find(&*store, "v_1").await;
        assert_eq!((row.state, row.failures), (to, failures), "step {n}");
        if from != Revoked {
            assert_eq!(row.checked_at, Some(at(seconds)), "step {n}");
            assert_eq!(row.next_check_at, at(seconds + 60), "step {n}");
            let error = (outcome == failed()).then_some("no such record");
            assert_eq!(row.last_error.as_deref(), error, "step {n}");
        }
        if outcome == proved() && from != Revoked {
            assert_eq!(row.verified_at, Some(at(seconds)), "step {n}");
        }
        expected.extend(line);
        assert_eq!(trail(&*store).await, expected, "step {n}");
    }
    assert_eq!(note(&*store, "v_x", proved(), 60).await, None);
}

/// Two nodes that look at the same time count one failure, and a look before its time none.
pub async fn of_many_failed_looks_at_once_one_counts(store: Arc<dyn Store>) {
    add(&*store, verification("v_1", 1)).await;
    note(&*store, "v_1", VerificationOutcome::Proved, 0).await;
    note(&*store, "v_1", failed(), 59).await;
    let early = find(&*store, "v_1").await;
    assert_eq!((early.state, early.failures), (State::Verified, 0));
    assert_eq!(early.checked_at, Some(at(59)));
    assert_eq!(early.next_check_at, at(60));
    assert!(early.last_error.is_some());
    for (failures, state) in [
        (1, State::Failing),
        (2, State::Failing),
        (3, State::Revoked),
    ] {
        let seconds = 60 * failures;
        let answers = race(20, |_| {
            let store = store.clone();
            async move { note(&*store, "v_1", failed(), seconds).await.unwrap() }
        });
        let answers = answers.await;
        let moved = answers.iter().filter(|step| step.from != step.to).count();
        assert_eq!(moved, usize::from(failures != 2), "{failures}");
        let row = find(&*store, "v_1").await;
        assert_eq!((row.state, u64::from(row.failures)), (state, failures));
    }
    assert_eq!(lines(&*store, Event::DomainVerificationFailing).await, 1);
    assert_eq!(lines(&*store, Event::DomainVerificationLost).await, 1);
}

/// Whoever takes it back at the same time, one did.
pub async fn a_verification_is_revoked_once(store: Arc<dyn Store>) {
    add(&*store, verification("v_1", 1)).await;
    let answers = race(20, |_| {
        let store = store.clone();
        async move { revoke(&*store, "v_1").await }
    });
    assert_eq!(count(&answers.await, &true), 1);
    assert_eq!(lines(&*store, Event::DomainVerificationLost).await, 1);
    assert_eq!(find(&*store, "v_1").await.state, State::Revoked);
    assert!(!revoke(&*store, "v_x").await);
    let due = store.due_verifications(at(1_000), 10).await.unwrap();
    assert!(due.is_empty());
}

/// A removed client proves nothing any more, and may not ask again.
pub async fn a_removed_client_loses_its_verifications(store: Arc<dyn Store>) {
    let (one, two) = (verification("v_1", 1), verification("v_2", 2));
    add(&*store, one.clone()).await;
    add(&*store, two.clone()).await;
    note(&*store, "v_1", VerificationOutcome::Proved, 0).await;
    let removed = store.remove_client(&one.client, at(100), true, audit(Event::ClientBlocked));
    removed.await.unwrap();
    assert_eq!(find(&*store, "v_1").await.state, State::Revoked);
    assert_eq!(find(&*store, "v_2").await.state, State::Pending);
    let again = add(&*store, verification("v_3", 1)).await;
    assert_eq!(again, VerificationAdded::ClientGone);
}

/// Nodes hold proved domains in memory, and learn by the head that one changed. A look that changes
/// no state, and what was refused, moves nothing.
pub async fn each_move_of_a_verification_moves_the_lists(store: Arc<dyn Store>) {
    use State::{Failing, Pending, Revoked, Verified};
    let store = &*store;
    let lists = || async { store.heads().await.unwrap().lists };
    for (expected, moved) in [(VerificationAdded::Done, 1), (VerificationAdded::Taken, 1)] {
        let added = add(store, verification("v_1", 1)).await;
        assert_eq!((added, lists().await), (expected, moved));
    }
    let proved = || VerificationOutcome::Proved;
    #[rustfmt::skip]
    let steps = [
        (failed(), Pending,  1),
        (proved(), Verified, 2),
        (proved(), Verified, 2),
        (failed(), Failing,  3),
        (failed(), Failing,  3),
        (proved(), Verified, 4),
        (failed(), Failing,  5),
        (failed(), Failing,  5),
        (failed(), Revoked,  6),
        (proved(), Revoked,  6),
    ];
    for (n, (outcome, to, moved)) in steps.into_iter().enumerate() {
        let step = note(store, "v_1", outcome, 60 * (n as u64 + 1)).await;
        let state = step.map(|step| step.to);
        assert_eq!((state, lists().await), (Some(to), moved), "step {n}");
    }
    add(store, verification("v_2", 2)).await;
    for (revoked, moved) in [(true, 8), (false, 8)] {
        assert_eq!(
            (revoke(store, "v_2").await, lists().await),
            (revoked, moved)
        );
    }
    add(store, verification("v_3", 3)).await;
    let removed = verification("v_3", 3).client;
    let others = verification("v_4", 4).client;
    for (client, moved) in [(others, 9), (removed, 10), (removed, 10)] {
        let gone = store.remove_client(&client, at(100), false, audit(Event::ClientRemoved));
        gone.await.unwrap();
        assert_eq!(lists().await, moved);
    }
    let again = add(store, verification("v_5", 3)).await;
    assert_eq!((again, lists().await), (VerificationAdded::ClientGone, 10));
}

/// Those whose time has come, longest due first; and the list with a cursor that loses nobody.
pub async fn verifications_are_listed_and_fall_due(store: Arc<dyn Store>) {
    for n in 0..10_u64 {
        let number = usize::try_from(n).unwrap();
        let new = Verification {
            created_at: at(n / 4),
            next_check_at: at(100 - n),
            ..verification(&format!("v_{n}"), number)
        };
        add(&*store, new).await;
    }
    revoke(&*store, "v_9").await;
    let ids =
        |rows: Vec<Verification>| -> Vec<String> { rows.into_iter().map(|row| row.id).collect() };
    let due = store.due_verifications(at(94), 10).await.unwrap();
    assert_eq!(ids(due), ["v_8", "v_7", "v_6"]);
    let due = store.due_verifications(at(1_000), 2).await.unwrap();
    assert_eq!(ids(due), ["v_8", "v_7"]);
    assert!(store.due_verifications(at(91), 9).await.unwrap().is_empty());

    let mut seen: Vec<Verification> = Vec::new();
    loop {
        let cursor = seen.last().map(|row| (row.created_at, row.id.clone()));
        let page = store.list_verifications(cursor, 3).await.unwrap();
        assert!(page.len() <= 3);
        if page.is_empty() {
            break;
        }
        seen.extend(page);
    }
    assert!(seen.is_sorted_by(|a, b| a.created_at >= b.created_at));
    let mut all = ids(seen);
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 10);
    let of_one = store.verifications_of(&verification("", 9).client).await;
    assert_eq!(ids(of_one.unwrap()), ["v_9"]);
}

/// Bounded: what lives is refused beyond it, and what is over makes room.
pub async fn verifications_are_bounded(store: Arc<dyn Store>) {
    let mut answers = Vec::new();
    for start in (0..VERIFICATIONS_MAX).step_by(500) {
        let batch = race(500, |n| {
            let store = store.clone();
            let id = format!("v_{}", start + n);
            async move { add(&*store, verification(&id, start + n)).await }
        });
        answers.extend(batch.await);
    }
    assert_eq!(count(&answers, &VerificationAdded::Done), VERIFICATIONS_MAX);
    let more = |n| add(&*store, verification("v_more", VERIFICATIONS_MAX + n));
    assert_eq!(more(1).await, VerificationAdded::Full);
    assert!(store.find_verification("v_more").await.unwrap().is_none());
    assert!(revoke(&*store, "v_77").await);
    assert_eq!(more(1).await, VerificationAdded::Done);
    assert!(store.find_verification("v_77").await.unwrap().is_none());
    let full = add(&*store, verification("v_full", VERIFICATIONS_MAX + 2)).await;
    assert_eq!(full, VerificationAdded::Full);
}
