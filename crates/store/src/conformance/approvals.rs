//! What [`crate::ApprovalStore`] promises, for `store_conformance_suite!`.

use std::{collections::HashSet, sync::Arc};

use vestibule_protocol::{audit::Event, trust::Door};

use super::{
    make::{NOW, at, audit, count, hash, lines, race, trail, user},
    sweep::sweep_all,
};
use crate::{
    AuditEntry, Store,
    approvals::{
        ASKED_AGAIN_AFTER, ApprovalId, ApprovalPhase, ApprovalRow, ApprovalState, Ask, Asked,
        Decision, WAITING_KEPT, per_person_max,
    },
};

const WEEK: u64 = WAITING_KEPT.as_secs();

/// A stranger's request number `n`, of a software of its own.
pub(super) fn ask(n: usize) -> Ask {
    Ask {
        subject: hash(n),
        subject_text: format!("vdr_{n}"),
        software: format!("software-{n}"),
        door: Door::Dcr,
        display_name: Some("An app".to_owned()),
        host: None,
        reasons: vec!["first seen here today".to_owned()],
        asked_by: None,
        source_prefix: Some("192.0.2.0/24".to_owned()),
        now: NOW,
    }
}

/// The same of this software.
fn ask_of(software: &str, n: usize) -> Ask {
    Ask {
        software: software.to_owned(),
        ..ask(n)
    }
}

/// The same asked by person `n`.
pub(super) fn by_person(ask: Ask, n: usize) -> Ask {
    Ask {
        asked_by: Some(user(n).id),
        ..ask
    }
}

fn later(ask: Ask, seconds: u64) -> Ask {
    Ask {
        now: at(seconds),
        ..ask
    }
}

async fn asked(store: &dyn Store, ask: Ask, per_software_max: u32, total_max: u32) -> Asked {
    let entry = audit(Event::ApprovalAsked);
    let asked = store.ask_approval(ask, per_software_max, total_max, entry);
    asked.await.unwrap()
}

/// Ask with much room.
async fn asked_freely(store: &dyn Store, ask: Ask) -> Asked {
    asked(store, ask, 100, 1_000).await
}

/// A stranger's request number `n` that waits.
pub(super) async fn waits(store: &dyn Store, n: usize) -> ApprovalId {
    match asked_freely(store, ask(n)).await {
        Asked::Waiting(id) => id,
        other => unreachable!("{other:?}"),
    }
}

async fn decide(
    store: &dyn Store,
    id: ApprovalId,
    decision: Decision,
    now: u64,
    until: u64,
) -> bool {
    let entry = AuditEntry {
        at: at(now),
        ..audit(Event::ApprovalDecided)
    };
    let decided = store.decide_approval(id, decision, "root", at(until), entry);
    decided.await.unwrap()
}

async fn phase(store: &dyn Store, n: usize, seconds: u64) -> Option<ApprovalPhase> {
    let found = store.find_approval(&hash(n), at(seconds)).await.unwrap();
    found.map(|state| state.phase)
}

/// The software of what waits, the oldest first.
async fn waiting(store: &dyn Store) -> Vec<String> {
    let phase = Some(ApprovalPhase::Waiting);
    let rows = store.list_approvals(phase, None, 10_000).await.unwrap();
    rows.into_iter().rev().map(|row| row.ask.software).collect()
}

/// However many ask at once, for one subject one request waits.
pub async fn of_many_who_ask_for_one_subject_one_request_waits(store: Arc<dyn Store>) {
    let answers = race(50, |n| {
        let store = store.clone();
        async move { asked_freely(&*store, by_person(ask(1), n)).await }
    });
    let answers = answers.await;
    let first = answers.first().unwrap();
    assert!(matches!(first, Asked::Waiting(_)), "{first:?}");
    assert_eq!(count(&answers, first), 50);
    let rows = store.list_approvals(None, None, 10).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert!(rows.iter().all(|row| row.times == 1));
    assert_eq!(lines(&*store, Event::ApprovalAsked).await, 1);
}

/// Every field comes back, by number and in the list.
pub async fn a_request_reads_back_as_it_was_asked(store: Arc<dyn Store>) {
    let written = Ask {
        door: Door::Cimd,
        host: Some("agent.example".to_owned()),
        reasons: vec![
            "one\nline".to_owned(),
            String::new(),
            "\"three\"".to_owned(),
        ],
        ..by_person(ask(1), 7)
    };
    let plain = Ask {
        display_name: None,
        reasons: Vec::new(),
        source_prefix: None,
        ..ask(2)
    };
    for ask in [written, plain] {
        let Asked::Waiting(id) = asked_freely(&*store, ask.clone()).await else {
            unreachable!("there is room")
        };
        let expected = ApprovalRow {
            id,
            ask,
            phase: ApprovalPhase::Waiting,
            times: 1,
            last_asked_at: NOW,
            decided_by: None,
            decided_at: None,
            until: at(WEEK),
        };
        let read = store.approval(id).await.unwrap();
        assert_eq!(read.as_ref(), Some(&expected));
        let newest = store.list_approvals(None, None, 1).await.unwrap();
        assert_eq!(newest, [expected]);
    }
    let unknown = store.approval(ApprovalId::new(99)).await.unwrap();
    assert_eq!(unknown, None);
}

/// Design section 5: fixed in size. A stranger's megabyte is not stored.
pub async fn a_huge_request_is_cut(store: Arc<dyn Store>) {
    let huge = Ask {
        subject_text: "x".repeat(1_000_000),
        software: "y".repeat(1_000_000),
        reasons: vec!["z".repeat(1_000_000); 20],
        ..ask(1)
    };
    let Asked::Waiting(id) = asked_freely(&*store, huge.clone()).await else {
        unreachable!("there is room")
    };
    let read = store.approval(id).await.unwrap().unwrap();
    assert_eq!(read.ask, huge.bounded());
    assert!(format!("{read:?}").len() < 20_000);
}

/// At most one write a minute, and the wait begins anew with each.
pub async fn asking_again_is_counted_once_a_minute(store: Arc<dyn Store>) {
    let id = waits(&*store, 1).await;
    assert_eq!(ASKED_AGAIN_AFTER.as_secs(), 60);
    #[rustfmt::skip]
    let cases = [
        // seconds, times, last asked
        (0,        1, 0),
        (59,       1, 0),
        (60,       2, 60),
        (119,      2, 60),
        // A clock that went back changes nothing.
        (10,       2, 60),
        (WEEK,     3, WEEK),
        // Still one request: the wait began anew.
        (2 * WEEK - 1, 4, 2 * WEEK - 1),
    ];
    for (seconds, times, last) in cases {
        let again = asked_freely(&*store, later(ask(1), seconds)).await;
        assert_eq!(again, Asked::Waiting(id), "{seconds}");
        let row = store.approval(id).await.unwrap().unwrap();
        assert_eq!((row.times, row.last_asked_at), (times, at(last)));
        assert_eq!((row.ask.now, row.until), (NOW, at(last + WEEK)));
    }
}

/// Yes or no, from the decision to its end; then one may ask anew.
pub async fn a_decision_is_the_answer_until_its_end(store: Arc<dyn Store>) {
    let cases = [
        (1, Decision::Approve, Asked::Approved),
        (2, Decision::Deny, Asked::Denied),
    ];
    for (n, decision, answer) in cases {
        let id = waits(&*store, n).await;
        assert_eq!(phase(&*store, n, 5).await, Some(ApprovalPhase::Waiting));
        assert!(decide(&*store, id, decision, 10, 1_000).await);
        let state = store.find_approval(&hash(n), at(10)).await.unwrap();
        let expected = ApprovalState {
            id,
            phase: decision.phase(),
            until: at(1_000),
        };
        assert_eq!(state, Some(expected));
        for seconds in [10, 100, 999] {
            let again = asked_freely(&*store, later(ask(n), seconds)).await;
            assert_eq!(again, answer);
            assert_eq!(phase(&*store, n, seconds).await, Some(decision.phase()));
        }
        let row = store.approval(id).await.unwrap().unwrap();
        // Asking does not make it longer.
        assert_eq!((row.decided_at, row.until), (Some(at(10)), at(1_000)));
        assert_eq!(row.decided_by.as_deref(), Some("root"));
        assert_eq!(phase(&*store, n, 1_000).await, None);
        let anew = asked_freely(&*store, later(ask(n), 1_000)).await;
        assert!(matches!(anew, Asked::Waiting(new) if new != id), "{anew:?}");
        assert_eq!(phase(&*store, n, 1_000).await, Some(ApprovalPhase::Waiting));
    }
}

/// From waiting, or from the other decision; nothing else.
pub async fn a_decision_can_be_turned_and_not_repeated(store: Arc<dyn Store>) {
    let id = waits(&*store, 1).await;
    let unknown = ApprovalId::new(id.number() + 1);
    #[rustfmt::skip]
    let cases = [
        (unknown, Decision::Approve, 10,    false),
        (id,      Decision::Deny,    10,    true),
        (id,      Decision::Deny,    11,    false),
        (id,      Decision::Approve, 12,    true),
        (id,      Decision::Approve, 13,    false),
        (id,      Decision::Deny,    14,    true),
        // Over.
        (id,      Decision::Approve, 1_000, false),
    ];
    let mut changes = 0;
    for (id, decision, now, changed) in cases {
        let answer = decide(&*store, id, decision, now, 1_000).await;
        assert_eq!(answer, changed, "{now}");
        changes += usize::from(changed);
    }
    assert_eq!(phase(&*store, 1, 15).await, Some(ApprovalPhase::Denied));
    assert_eq!(lines(&*store, Event::ApprovalDecided).await, changes);
}

/// Two admins who say the same at the same moment: one of them did it.
pub async fn of_many_who_decide_alike_one_decides(store: Arc<dyn Store>) {
    let id = waits(&*store, 1).await;
    for decision in [Decision::Approve, Decision::Deny] {
        let answers = race(20, |_| {
            let store = store.clone();
            async move { decide(&*store, id, decision, 10, 1_000).await }
        });
        assert_eq!(count(&answers.await, &true), 1);
        assert_eq!(phase(&*store, 1, 11).await, Some(decision.phase()));
    }
    assert_eq!(lines(&*store, Event::ApprovalDecided).await, 2);
}

/// Design section 5: capped per software, also when all come at once; full writes nothing.
pub async fn one_software_has_no_more_than_its_room(store: Arc<dyn Store>) {
    let answers = race(50, |n| {
        let store = store.clone();
        async move { (n, asked(&*store, ask_of("cursor", n), 10, 1_000).await) }
    });
    let answers = answers.await;
    let full: Vec<_> = answers
        .iter()
        .filter(|(_, answer)| *answer == Asked::Full)
        .collect();
    assert_eq!(full.len(), 40);
    assert_eq!(waiting(&*store).await.len(), 10);
    for (n, _) in full {
        assert_eq!(phase(&*store, *n, 0).await, None, "{n}");
    }
    // Who waits already is answered all the same, and others have their own room.
    for (n, answer) in answers {
        if answer != Asked::Full {
            assert_eq!(asked(&*store, ask_of("cursor", n), 10, 1_000).await, answer);
        }
    }
    let other = asked(&*store, ask_of("another", 99), 10, 1_000).await;
    assert!(matches!(other, Asked::Waiting(_)));
    let none = asked(&*store, ask_of("third", 100), 0, 1_000).await;
    assert_eq!(none, Asked::Full);
    assert_eq!(asked(&*store, ask(101), 10, 0).await, Asked::Full);
}

/// However many come at once and with whatever names, the queue has its size.
pub async fn the_queue_never_exceeds_its_size(store: Arc<dyn Store>) {
    for round in 0..4 {
        race(50, |n| {
            let store = store.clone();
            let of = if n % 3 == 0 { n } else { n % 5 };
            let new = ask_of(&format!("software-{of}"), 100 * round + n);
            let new = if n % 7 == 0 { by_person(new, n) } else { new };
            async move { asked(&*store, new, 6, 20).await }
        })
        .await;
        let waiting = waiting(&*store).await;
        assert_eq!(waiting.len(), 20);
        for software in &waiting {
            assert!(count(&waiting, software) <= 6, "{software}");
        }
    }
}

/// What waits when an admin lowers the limits stays, and nothing is added.
pub async fn a_lowered_limit_lets_the_queue_stay_and_not_grow(store: Arc<dyn Store>) {
    for n in 0..6 {
        asked(&*store, ask_of(if n < 4 { "a" } else { "b" }, n), 10, 10).await;
    }
    assert_eq!(asked(&*store, ask_of("a", 10), 2, 3).await, Asked::Full);
    let comes = asked(&*store, by_person(ask_of("c", 11), 1), 2, 3).await;
    assert!(matches!(comes, Asked::Waiting(_)));
    assert_eq!(waiting(&*store).await, ["a", "a", "a", "b", "b", "c"]);
    for (per_software_max, total_max) in [(0, 10), (10, 0)] {
        let by_person = by_person(ask_of("a", 12), 1);
        let full = asked(&*store, by_person, per_software_max, total_max);
        assert_eq!(full.await, Asked::Full);
    }
    assert_eq!(waiting(&*store).await.len(), 6);
}

/// Names of software are free: whoever invents some must not push out what others asked for. Only
/// what a stranger asked for gives way, and only to a person.
pub async fn a_full_queue_takes_nobodys_place(store: Arc<dyn Store>) {
    let person = |software: &str, n: usize| by_person(ask_of(software, n), n);
    let queue = [
        ask_of("a", 0),
        person("b", 1),
        ask_of("c", 2),
        ask_of("c", 3),
        person("b", 4),
        person("d", 5),
    ];
    for ask in queue {
        let answer = asked(&*store, ask, 5, 6).await;
        assert!(matches!(answer, Asked::Waiting(_)));
    }
    #[rustfmt::skip]
    let cases = [
        // who comes, and the queue afterwards, the oldest first
        (ask_of("new", 10),  "abccbd"),
        (ask_of("a", 11),    "abccbd"),
        // The oldest of the software of which strangers ask most, whoever it is that comes.
        (person("new", 12),  "abcbdn"),
        (ask_of("c", 13),    "abcbdn"),
        (person("b", 14),    "bcbdnb"),
        (person("newer", 15), "bbdnbn"),
        // Only people are left.
        (person("newest", 16), "bbdnbn"),
        (person("b", 17),    "bbdnbn"),
        (ask_of("e", 18),    "bbdnbn"),
    ];
    for (number, (comes, expected)) in cases.into_iter().enumerate() {
        let before = waiting(&*store).await;
        let answer = asked(&*store, comes, 5, 6).await;
        let after = waiting(&*store).await;
        let first = after.iter().filter_map(|software| software.chars().next());
        assert_eq!(first.collect::<String>(), expected, "{number}");
        assert_eq!(answer == Asked::Full, before == after, "{number}");
    }
}

/// One person takes no more than half the room of a software, under however many names.
pub async fn one_person_has_no_more_than_their_room(store: Arc<dyn Store>) {
    let cases = [(1, 1), (2, 1), (3, 1), (4, 2), (7, 3), (20, 10)];
    for (person, (per_software_max, room)) in cases.into_iter().enumerate() {
        assert_eq!(per_person_max(per_software_max), room);
        for n in 0..=room {
            let number = 100 * person + usize::try_from(n).unwrap();
            // Each of a software of its own.
            let answer = asked(
                &*store,
                by_person(ask(number), person),
                per_software_max,
                1_000,
            );
            let is_full = answer.await == Asked::Full;
            assert_eq!(is_full, n == room, "{per_software_max} {n}");
        }
    }
    // Somebody else comes in, a request of one's own is asked for again, and what was decided
    // leaves its room.
    let other = asked(&*store, by_person(ask(900), 90), 20, 1_000).await;
    assert!(matches!(other, Asked::Waiting(_)));
    let again = asked(&*store, by_person(ask(500), 5), 20, 1_000).await;
    let Asked::Waiting(id) = again else {
        unreachable!("it waits")
    };
    assert!(decide(&*store, id, Decision::Deny, 1, 1_000).await);
    let next = asked(&*store, by_person(ask(599), 5), 20, 1_000).await;
    assert!(matches!(next, Asked::Waiting(_)));
    // However many come at once.
    let many = race(50, |n| {
        let store = store.clone();
        async move { asked(&*store, by_person(ask(1_000 + n), 91), 20, 1_000).await }
    });
    assert_eq!(count(&many.await, &Asked::Full), 40);
}

/// A signed-in person's request is worth more than any number of strangers' ones.
pub async fn strangers_never_push_out_people(store: Arc<dyn Store>) {
    for n in 0..3 {
        let answer = asked(&*store, by_person(ask_of("a", n), n), 5, 6).await;
        assert!(matches!(answer, Asked::Waiting(_)));
    }
    let flood = race(60, |n| {
        let (store, n) = (store.clone(), 100 + n);
        async move { asked(&*store, ask(n), 5, 6).await }
    });
    flood.await;
    for n in 0..3 {
        let waits = Some(ApprovalPhase::Waiting);
        assert_eq!(phase(&*store, n, 0).await, waits, "{n}");
    }
    assert_eq!(waiting(&*store).await.len(), 6);
    // A person comes in among the strangers, also when the own software has the most …
    let comes = asked(&*store, by_person(ask_of("a", 10), 10), 5, 6).await;
    assert!(matches!(comes, Asked::Waiting(_)));
    // … and when strangers took all the room under its name.
    for n in 200..205 {
        asked(&*store, ask_of("cursor", n), 2, 1_000).await;
    }
    let stranger = asked(&*store, ask_of("cursor", 210), 2, 1_000).await;
    assert_eq!(stranger, Asked::Full);
    for n in 211..213 {
        let comes = asked(&*store, by_person(ask_of("cursor", n), n), 2, 1_000).await;
        assert!(matches!(comes, Asked::Waiting(_)), "{n}");
        assert_eq!(count(&waiting(&*store).await, &"cursor".to_owned()), 2);
    }
    let full = asked(&*store, by_person(ask_of("cursor", 214), 1), 2, 1_000).await;
    assert_eq!(full, Asked::Full);
}

/// What an admin decided is no part of the flood.
pub async fn decided_requests_take_no_room_and_never_give_way(store: Arc<dyn Store>) {
    for n in 0..6 {
        let id = waits(&*store, n).await;
        let decision = if n % 2 == 0 {
            Decision::Approve
        } else {
            Decision::Deny
        };
        assert!(decide(&*store, id, decision, 1, 10_000).await);
    }
    for n in 10..40 {
        let answer = asked(&*store, ask_of("software-0", n), 2, 3).await;
        assert_eq!(answer == Asked::Full, n >= 12, "{n}");
    }
    for n in 40..60 {
        asked(&*store, ask(n), 2, 3).await;
    }
    assert_eq!(waiting(&*store).await.len(), 3);
    for n in 0..6 {
        assert!(phase(&*store, n, 2).await != Some(ApprovalPhase::Waiting));
        assert!(phase(&*store, n, 2).await.is_some(), "{n}");
    }
}

/// A flood of strangers must not grow the trail; a person's request is a line.
pub async fn only_a_persons_request_leaves_a_line(store: Arc<dyn Store>) {
    for n in 0..20 {
        asked(&*store, ask(n), 5, 5).await;
    }
    assert!(trail(&*store).await.is_empty());
    // A person asks for what a stranger asked for: it is theirs, and stays theirs.
    let id = waits(&*store, 50).await;
    for (n, lines) in [(7, 1), (8, 1)] {
        let again = asked_freely(&*store, by_person(ask(50), n)).await;
        assert_eq!(again, Asked::Waiting(id));
        assert_eq!(trail(&*store).await.len(), lines);
        let row = store.approval(id).await.unwrap().unwrap();
        assert_eq!(row.ask.asked_by, Some(user(7).id));
        assert_eq!(row.times, 1);
    }
    let fresh = asked_freely(&*store, by_person(ask(51), 9)).await;
    assert!(matches!(fresh, Asked::Waiting(_)));
    assert_eq!(lines(&*store, Event::ApprovalAsked).await, 2);
}

/// At its end a request decides nothing, whether or not the sweep has come; before, the sweep
/// leaves it alone.
pub async fn requests_end_and_are_swept(store: Arc<dyn Store>) {
    let waiting = waits(&*store, 1).await;
    let decided = waits(&*store, 2).await;
    assert!(decide(&*store, decided, Decision::Deny, 1, 3 * WEEK).await);
    assert_eq!(sweep_all(&*store, WEEK - 1).await, 0);
    assert_eq!(
        phase(&*store, 1, WEEK - 1).await,
        Some(ApprovalPhase::Waiting)
    );
    assert_eq!(phase(&*store, 1, WEEK).await, None);
    assert!(!decide(&*store, waiting, Decision::Approve, WEEK, 9 * WEEK).await);
    assert_eq!(sweep_all(&*store, WEEK).await, 1);
    assert_eq!(store.approval(waiting).await.unwrap(), None);
    assert_eq!(sweep_all(&*store, 3 * WEEK - 1).await, 0);
    let denied = Some(ApprovalPhase::Denied);
    assert_eq!(phase(&*store, 2, 3 * WEEK - 1).await, denied);
    assert_eq!(sweep_all(&*store, 3 * WEEK).await, 1);
    assert_eq!(store.approval(decided).await.unwrap(), None);
}

/// Also before the sweep: what is over takes nobody's room.
pub async fn what_is_over_takes_no_room(store: Arc<dyn Store>) {
    for n in 0..3 {
        asked(&*store, ask_of("a", n), 3, 3).await;
    }
    assert_eq!(asked(&*store, ask_of("a", 5), 3, 3).await, Asked::Full);
    let next = later(ask_of("a", 5), WEEK);
    let comes = asked(&*store, next, 3, 3).await;
    assert!(matches!(comes, Asked::Waiting(_)));
    assert_eq!(waiting(&*store).await.len(), 1);
}

/// The cursor loses nobody; a number is never given again.
pub async fn requests_are_listed_newest_first_page_by_page(store: Arc<dyn Store>) {
    let mut ids = Vec::new();
    for n in 0..10 {
        let id = waits(&*store, n).await;
        if n % 3 == 0 {
            assert!(decide(&*store, id, Decision::Approve, 1, 100).await);
        }
        ids.push(id);
    }
    assert!(ids.is_sorted_by(|a, b| a < b));
    #[rustfmt::skip]
    let cases = [
        (None,                          10),
        (Some(ApprovalPhase::Waiting),  6),
        (Some(ApprovalPhase::Approved), 4),
        (Some(ApprovalPhase::Denied),   0),
    ];
    for (phase, expected) in cases {
        let mut seen: Vec<ApprovalId> = Vec::new();
        loop {
            let page = store.list_approvals(phase, seen.last().copied(), 3);
            let page = page.await.unwrap();
            assert!(page.len() <= 3);
            assert!(page.iter().all(|row| phase.is_none_or(|p| p == row.phase)));
            if page.is_empty() {
                break;
            }
            seen.extend(page.iter().map(|row| row.id));
        }
        assert!(seen.is_sorted_by(|a, b| a > b));
        assert_eq!(seen.len(), expected, "{phase:?}");
    }
    sweep_all(&*store, 2 * WEEK).await;
    let next = waits(&*store, 99).await;
    let given: HashSet<_> = ids.into_iter().collect();
    assert!(!given.contains(&next));
}
