//! What [`crate::ReportStore`] promises, for `store_conformance_suite!`.

use std::sync::Arc;

use vestibule_protocol::{audit::Event, client_id::ClientKey};

use super::{
    make::{NOW, approved, at, audit, count, lines, race, user},
    sweep::sweep_all,
};
use crate::{
    Store,
    reports::{REPORTS_KEPT, Report, ReportReason},
};

async fn report(store: &dyn Store, n: usize, client: &ClientKey, seconds: u64) -> bool {
    let (user, reason) = (user(n).id, ReportReason::Impersonation);
    let entry = audit(Event::ClientReported);
    let reported = store.report_client(&user, client, reason, at(seconds), entry);
    reported.await.unwrap()
}

/// One person counts once, however often and however fast they press the button.
pub async fn a_person_reports_a_client_once(store: Arc<dyn Store>) {
    let client = approved(&*store, 1).await.key;
    let answers = race(20, |_| {
        let store = store.clone();
        async move { report(&*store, 1, &client, 0).await }
    });
    assert_eq!(count(&answers.await, &true), 1);
    assert!(!report(&*store, 1, &client, 86_400).await);
    assert_eq!(store.count_reports(&client, NOW).await.unwrap(), 1);
    assert_eq!(lines(&*store, Event::ClientReported).await, 1);
}

/// Different people are as many; other clients have their own number.
pub async fn reports_count_people(store: Arc<dyn Store>) {
    // With and without a row.
    let stored = approved(&*store, 1).await.key;
    let stranger = ClientKey::of("https://agent.example/client.json");
    for (client, people) in [(stored, 20), (stranger, 5)] {
        let answers = race(people, |n| {
            let store = store.clone();
            async move { report(&*store, n, &client, 0).await }
        });
        assert_eq!(count(&answers.await, &true), people);
        let counted = store.count_reports(&client, NOW).await.unwrap();
        assert_eq!(usize::try_from(counted).unwrap(), people);
    }
    let nobody = ClientKey::of("nobody");
    assert_eq!(store.count_reports(&nobody, NOW).await.unwrap(), 0);
}

/// Every field comes back, the newest first.
pub async fn reports_read_back_as_they_were_written(store: Arc<dyn Store>) {
    let client = ClientKey::of("reported");
    let mut written = Vec::new();
    for (n, reason) in ReportReason::ALL.iter().enumerate() {
        let (user, at) = (user(n).id, at(u64::try_from(n / 2).unwrap()));
        let entry = audit(Event::ClientReported);
        let reported = store.report_client(&user, &client, *reason, at, entry);
        assert!(reported.await.unwrap());
        written.push(Report {
            user,
            client,
            reason: *reason,
            at,
        });
    }
    written.reverse();
    let all = store.list_reports(&client, 100).await.unwrap();
    assert_eq!(all, written);
    let two = store.list_reports(&client, 2).await.unwrap();
    assert_eq!(two, written.get(..2).unwrap());
}

/// After half a year it no longer counts, whether or not the sweep has come, and may be said again.
pub async fn a_report_counts_for_half_a_year(store: Arc<dyn Store>) {
    let client = ClientKey::of("reported");
    let kept = REPORTS_KEPT.as_secs();
    assert!(report(&*store, 1, &client, 0).await);
    assert!(report(&*store, 2, &client, 10).await);
    #[rustfmt::skip]
    let cases = [
        (0,         2, 0),
        (kept - 1,  2, 0),
        (kept,      1, 1),
        (kept + 9,  1, 0),
        (kept + 10, 0, 1),
    ];
    for (seconds, counted, swept) in cases {
        let count = || store.count_reports(&client, at(seconds));
        assert_eq!(count().await.unwrap(), counted, "{seconds}");
        assert_eq!(sweep_all(&*store, seconds).await, swept, "{seconds}");
        assert_eq!(count().await.unwrap(), counted, "{seconds}");
    }
    assert!(report(&*store, 1, &client, kept + 20).await);
    // Also when the sweep is late.
    assert!(!report(&*store, 1, &client, 2 * kept + 19).await);
    assert!(report(&*store, 1, &client, 2 * kept + 20).await);
    let now = at(2 * kept + 20);
    assert_eq!(store.count_reports(&client, now).await.unwrap(), 1);
}
