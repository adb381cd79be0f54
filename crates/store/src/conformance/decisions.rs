//! What [`crate::DecisionLog`] promises, for `store_conformance_suite!`.

use std::sync::Arc;

use vestibule_protocol::{
    client_id::ClientKey,
    trust::{Risk, Trust},
};

use super::{
    make::{at, race, trail},
    sweep::sweep_all,
};
use crate::{
    Store,
    decisions::{DECISION_ROWS, DECISIONS_KEPT, DecisionRow},
};

/// Decision number `n`, at second `n`.
fn decision(n: u64) -> DecisionRow {
    DecisionRow {
        at: at(n),
        action: "authorize".to_owned(),
        client: ClientKey::of("a client"),
        facts: format!(r#"{{"n":{n}}}"#),
        trust: Trust::Unverified,
        risk: Risk::Low,
        outcomes: String::new(),
        reasons: "fresh-host".to_owned(),
        policy_seq: 3,
    }
}

/// Every field and every word comes back, the newest first.
pub async fn decisions_read_back_as_they_were_written(store: Arc<dyn Store>) {
    let mut written = Vec::new();
    for (n, trust) in (0..).zip(Trust::ALL) {
        for risk in Risk::ALL {
            written.push(DecisionRow {
                trust: *trust,
                risk: *risk,
                outcomes: "hold read_only".to_owned(),
                client: ClientKey::of(risk.as_str()),
                ..decision(n)
            });
        }
    }
    for row in &written {
        store.record_decision(row.clone()).await.unwrap();
    }
    let read = store.decisions(None, 1_000).await.unwrap();
    let rows: Vec<_> = read.into_iter().rev().map(|(_, row)| row).collect();
    assert_eq!(rows, written);
    // It is a log of its own, not the trail.
    assert!(trail(&*store).await.is_empty());
}

/// Each has a number of its own, also when they come at once; the cursor loses none.
pub async fn decisions_are_numbered_and_read_page_by_page(store: Arc<dyn Store>) {
    race(8, |n| {
        let (store, n) = (store.clone(), u64::try_from(n).unwrap());
        async move {
            let rows = (10 * n..10 * n + 5).map(decision).collect();
            store.record_decisions(rows).await.unwrap();
        }
    })
    .await;
    let mut seen: Vec<(u64, DecisionRow)> = Vec::new();
    loop {
        let before = seen.last().map(|(seq, _)| *seq);
        let page = store.decisions(before, 7).await.unwrap();
        assert!(page.len() <= 7);
        if page.is_empty() {
            break;
        }
        seen.extend(page);
    }
    assert_eq!(seen.len(), 40);
    assert!(seen.is_sorted_by(|a, b| a.0 > b.0));
    // What was recorded together stays together, in its order.
    for together in seen.chunks(5) {
        assert!(together.is_sorted_by(|a, b| a.1.at > b.1.at));
    }
    store.record_decisions(Vec::new()).await.unwrap();
    assert_eq!(store.decisions(None, 100).await.unwrap().len(), 40);
}

/// The newest stay, whether or not the sweep comes.
pub async fn the_log_of_decisions_is_bounded(store: Arc<dyn Store>) {
    let (step, extra) = (5_000, 123);
    for from in (0..DECISION_ROWS).step_by(5_000) {
        let rows = (from..from + step).map(decision).collect();
        store.record_decisions(rows).await.unwrap();
    }
    let all = store.decisions(None, usize::MAX).await.unwrap().len();
    assert_eq!(u64::try_from(all).unwrap(), DECISION_ROWS);
    let rows = (DECISION_ROWS..DECISION_ROWS + extra).map(decision);
    store.record_decisions(rows.collect()).await.unwrap();
    let left = store.decisions(None, usize::MAX).await.unwrap();
    assert_eq!(u64::try_from(left.len()).unwrap(), DECISION_ROWS);
    let (newest, oldest) = (left.first().unwrap(), left.last().unwrap());
    assert_eq!(newest.1, decision(DECISION_ROWS + extra - 1));
    assert_eq!(oldest.1, decision(extra));
}

/// Design section 6: 30 days, and not a long delete.
pub async fn decisions_go_by_age(store: Arc<dyn Store>) {
    // A clock that went back: numbers and times do not agree.
    let rows = [9, 3, 5, 7, 1].map(decision);
    store.record_decisions(rows.to_vec()).await.unwrap();
    let kept = DECISIONS_KEPT.as_secs();
    assert_eq!(sweep_all(&*store, kept).await, 0);
    assert_eq!(sweep_all(&*store, kept + 3).await, 2);
    let left = store.decisions(None, 10).await.unwrap();
    let left: Vec<_> = left.into_iter().map(|(_, row)| row).collect();
    assert_eq!(left, [7, 5, 9].map(decision));
    for (swept, left) in [(2, 1), (1, 0), (0, 0)] {
        assert_eq!(store.sweep(at(kept + 9), 2).await.unwrap(), swept);
        assert_eq!(store.decisions(None, 10).await.unwrap().len(), left);
    }
}
