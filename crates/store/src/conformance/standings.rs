//! What [`crate::StandingStore`] promises, for `store_conformance_suite!`.

use std::sync::Arc;

use vestibule_protocol::{audit::Event, ids::GrantId, trust::Door};

use super::{
    make::{
        NOW, RESOURCE, approval, approved, at, audit, client, found, hash, lines, opened, race,
        spending, trail, user,
    },
    sweep::sweep_all,
};
use crate::{
    Store,
    clients::{ClientLookup, StoredClient},
    grants::{Approval, Approved, Spent},
    standings::{StandingRow, Subject, SubjectKind, Word},
};

/// Where every client of these tests sends people.
const REDIRECT: &str = "https://app.example/callback";

/// An admin's word without an end.
pub(super) fn said(subject: Subject, word: Word) -> StandingRow {
    StandingRow {
        subject,
        subject_text: "a subject".to_owned(),
        word,
        by: "root".to_owned(),
        note: "for a test".to_owned(),
        at: NOW,
        until: None,
    }
}

async fn put(store: &dyn Store, standing: StandingRow) {
    let put = store.put_standing(standing, audit(Event::StandingGiven));
    put.await.unwrap();
}

async fn remove(store: &dyn Store, subject: &Subject) -> bool {
    let removed = store.remove_standing(subject, audit(Event::StandingTaken));
    removed.await.unwrap()
}

async fn word(store: &dyn Store, subject: Subject, seconds: u64) -> Option<Word> {
    let found = store.standings_of(&[subject], at(seconds)).await.unwrap();
    assert!(found.len() <= 1);
    found.first().map(|row| row.word)
}

async fn remembered(store: &dyn Store, n: usize, client: &StoredClient) -> bool {
    let digest = client.metadata.security_digest();
    let scopes = store
        .remembered_consent(&user(n).id, &client.key, &digest, RESOURCE, NOW)
        .await;
    scopes.unwrap().is_some()
}

/// Every field comes back, of several subjects in one read.
pub async fn standings_read_back_as_they_were_written(store: Arc<dyn Store>) {
    let mut written = Vec::new();
    for (n, kind) in SubjectKind::ALL.iter().enumerate() {
        for (m, word) in Word::ALL.iter().enumerate() {
            let subject = Subject {
                kind: *kind,
                hash: hash(10 * n + m),
            };
            let row = StandingRow {
                subject_text: format!("subject {n} {m}"),
                at: at(5),
                until: (m == 0).then_some(at(600)),
                ..said(subject, *word)
            };
            put(&*store, row.clone()).await;
            written.push(row);
        }
    }
    let unknown = Subject {
        kind: SubjectKind::Client,
        hash: hash(99),
    };
    let mut subjects: Vec<_> = written.iter().map(|row| row.subject).collect();
    subjects.push(unknown);
    // Asked twice, answered once.
    subjects.extend(written.first().map(|row| row.subject));
    let mut read = store.standings_of(&subjects, NOW).await.unwrap();
    read.sort_by(|a, b| a.subject_text.cmp(&b.subject_text));
    assert_eq!(read, written);
    assert!(store.standings_of(&[], NOW).await.unwrap().is_empty());
    assert_eq!(word(&*store, unknown, 0).await, None);
    // As many as a registration may have redirect URIs, and more.
    let many: Vec<_> = (0..200)
        .map(|n| Subject {
            kind: SubjectKind::RedirectUri,
            hash: hash(n),
        })
        .collect();
    assert_eq!(store.standings_of(&many, NOW).await.unwrap().len(), 2);
}

/// Identity is exact, and a document's URL as a redirect URI is not the document's client.
pub async fn a_standing_is_of_exactly_its_subject(store: Arc<dyn Store>) {
    let url = "https://agent.example/client.json";
    let document = Subject::client(&client(url, Door::Cimd).key);
    put(&*store, said(document, Word::Verified)).await;
    put(
        &*store,
        said(Subject::redirect_uri(REDIRECT), Word::Verified),
    )
    .await;
    assert_eq!(word(&*store, document, 0).await, Some(Word::Verified));
    let others = [
        Subject::redirect_uri(url),
        Subject::redirect_uri("https://app.example/callback/"),
        Subject::redirect_uri("https://APP.example/callback"),
        Subject::client(&client(REDIRECT, Door::Cimd).key),
    ];
    for other in others {
        assert_eq!(word(&*store, other, 0).await, None, "{other:?}");
    }
    assert!(!remove(&*store, &Subject::redirect_uri(url)).await);
    assert_eq!(word(&*store, document, 0).await, Some(Word::Verified));
}

/// One word for each subject, the newest; taken back once.
pub async fn a_standing_is_replaced_and_taken_back(store: Arc<dyn Store>) {
    let subject = Subject::redirect_uri(REDIRECT);
    for new in [Word::Verified, Word::Blocked, Word::Verified] {
        put(&*store, said(subject, new)).await;
        assert_eq!(word(&*store, subject, 0).await, Some(new));
    }
    assert_eq!(store.list_standings(None, 10).await.unwrap().len(), 1);
    let answers = race(20, |_| {
        let store = store.clone();
        async move { remove(&*store, &subject).await }
    });
    let removed = answers.await.into_iter().filter(|removed| *removed).count();
    assert_eq!(removed, 1);
    assert_eq!(word(&*store, subject, 0).await, None);
    assert_eq!(lines(&*store, Event::StandingGiven).await, 3);
    assert_eq!(lines(&*store, Event::StandingTaken).await, 1);
}

/// Two admins at once: one row, with the word of one of them.
pub async fn racing_words_leave_one(store: Arc<dyn Store>) {
    let subject = Subject::redirect_uri(REDIRECT);
    race(20, |n| {
        let store = store.clone();
        let word = if n % 2 == 0 {
            Word::Blocked
        } else {
            Word::Verified
        };
        async move { put(&*store, said(subject, word)).await }
    })
    .await;
    let all = store.list_standings(None, 100).await.unwrap();
    assert_eq!(all.len(), 1);
    assert_eq!(
        word(&*store, subject, 0).await,
        all.first().map(|row| row.word)
    );
    assert_eq!(trail(&*store).await.len(), 20);
    assert_eq!(store.heads().await.unwrap().lists, 20);
}

/// At `until` it is over, whether or not the sweep has come; the sweep takes nothing before.
pub async fn a_standing_ends(store: Arc<dyn Store>) {
    let subject = Subject::redirect_uri(REDIRECT);
    let lasting = Subject::redirect_uri("https://app.example/other");
    let row = StandingRow {
        until: Some(at(600)),
        ..said(subject, Word::Verified)
    };
    put(&*store, row).await;
    put(&*store, said(lasting, Word::Verified)).await;
    assert_eq!(sweep_all(&*store, 599).await, 0);
    for (seconds, holds) in [(0, true), (599, true), (600, false), (601, false)] {
        let found = word(&*store, subject, seconds).await;
        assert_eq!(found.is_some(), holds, "{seconds}");
    }
    assert_eq!(store.list_standings(None, 10).await.unwrap().len(), 2);
    assert_eq!(sweep_all(&*store, 600).await, 1);
    assert_eq!(sweep_all(&*store, 100 * 365 * 86_400).await, 2);
    let left = store.list_standings(None, 10).await.unwrap();
    assert_eq!(left, [said(lasting, Word::Verified)]);
}

/// DCRM-11 for a client that stays in the list: grants, families, codes and remembered consent end
/// with the block, the row stays, and nobody else's is touched.
pub async fn a_blocked_client_loses_all_that_people_allowed(store: Arc<dyn Store>) {
    let (_, grant) = opened(&*store, 1).await;
    let client = client("vdr_1", Door::Dcr);
    let second = store.approve(approval(2, &client)).await.unwrap();
    assert_eq!(second, Approved::Done);
    let other = approved(&*store, 3).await;

    let subject = Subject::client(&client.key);
    put(&*store, said(subject, Word::Blocked)).await;
    let (family, after) = found(&*store, 1).await;
    assert!(family.revoked && after.revoked);
    assert_eq!(after.version, grant.version + 1);
    let live = store.token_is_live(Some(&grant.id), &hash(9)).await;
    assert!(!live.unwrap());
    assert_eq!(store.spend_code(spending(2)).await.unwrap(), Spent::Unknown);
    for n in [1, 2] {
        assert!(!remembered(&*store, n, &client).await);
        assert!(store.list_grants(&user(n).id, 10).await.unwrap().is_empty());
    }
    let lookup = store.find_client(&client.key).await.unwrap();
    assert!(matches!(lookup, ClientLookup::Active(_)));

    assert!(remembered(&*store, 3, &other).await);
    let spent = store.spend_code(spending(3)).await.unwrap();
    assert_eq!(spent, Spent::Now(GrantId::new("g_3")));
    // Taking the block back revives nothing.
    assert!(remove(&*store, &subject).await);
    let (family, grant) = found(&*store, 1).await;
    assert!(family.revoked && grant.revoked);
    assert!(!remembered(&*store, 1, &client).await);
}

/// Vouching for a client, or blocking where others send people, ends nothing of a client.
pub async fn other_words_end_nothing(store: Arc<dyn Store>) {
    let client = approved(&*store, 1).await;
    let words = [
        (Subject::client(&client.key), Word::Verified),
        (Subject::redirect_uri(REDIRECT), Word::Blocked),
        // The same octets as the client's id, as a redirect URI.
        (Subject::redirect_uri(&client.client_id), Word::Blocked),
    ];
    for (subject, word) in words {
        put(&*store, said(subject, word)).await;
    }
    assert!(remembered(&*store, 1, &client).await);
    let spent = store.spend_code(spending(1)).await.unwrap();
    assert_eq!(spent, Spent::Now(GrantId::new("g_1")));
}

/// The guard is in the verb: an approval that was prepared before the block writes nothing.
pub async fn an_approval_against_a_block_writes_nothing(store: Arc<dyn Store>) {
    let client = client("vdr_1", Door::Dcr);
    let late = |seconds| Approval {
        now: at(seconds),
        ..approval(1, &client)
    };
    let of_client = Subject::client(&client.key);
    let of_redirect = Subject::redirect_uri(REDIRECT);
    for subject in [of_client, of_redirect] {
        let block = StandingRow {
            until: Some(at(600)),
            ..said(subject, Word::Blocked)
        };
        put(&*store, block).await;
        let refused = store.approve(late(599)).await.unwrap();
        assert_eq!(refused, Approved::ClientGone, "{subject:?}");
        assert!(remove(&*store, &subject).await);
    }
    // Vouching is no block, and neither is one that is over.
    put(&*store, said(of_client, Word::Verified)).await;
    let over = StandingRow {
        until: Some(at(600)),
        ..said(of_redirect, Word::Blocked)
    };
    put(&*store, over).await;
    assert_eq!(store.count_clients().await.unwrap(), 0);
    assert_eq!(lines(&*store, Event::GrantGiven).await, 0);
    // The ticket was not used up by the refusals.
    let done = store.approve(late(600)).await.unwrap();
    assert_eq!(done, Approved::Done);
}

/// Whichever of the two comes first, afterwards no grant and no code of the client lives.
pub async fn an_approval_that_races_a_block_leaves_no_live_grant(store: Arc<dyn Store>) {
    for n in 0..10 {
        let client = client(&format!("vdr_{n}"), Door::Dcr);
        race(2, |side| {
            let (store, approval) = (store.clone(), approval(n, &client));
            let block = said(Subject::client(&client.key), Word::Blocked);
            async move {
                if side == 0 {
                    store.approve(approval).await.unwrap();
                } else {
                    put(&*store, block).await;
                }
            }
        })
        .await;
        let id = GrantId::new(format!("g_{n}"));
        let grant = store.find_grant(&id).await.unwrap();
        assert!(grant.is_none_or(|grant| grant.revoked));
        let spent = store.spend_code(spending(n)).await.unwrap();
        assert_eq!(spent, Spent::Unknown);
        assert!(!remembered(&*store, n, &client).await);
    }
}

/// The cursor loses nobody, also among rows of one second.
pub async fn standings_are_listed_newest_first_page_by_page(store: Arc<dyn Store>) {
    for n in 0..5 {
        for kind in SubjectKind::ALL {
            let subject = Subject {
                kind: *kind,
                hash: hash(n),
            };
            let row = StandingRow {
                at: at(u64::try_from(n / 2).unwrap()),
                ..said(subject, Word::Verified)
            };
            put(&*store, row).await;
        }
    }
    let mut seen: Vec<StandingRow> = Vec::new();
    loop {
        let cursor = seen.last().map(|row| (row.at, row.subject));
        let page = store.list_standings(cursor, 3).await.unwrap();
        assert!(page.len() <= 3);
        if page.is_empty() {
            break;
        }
        seen.extend(page);
    }
    assert!(seen.is_sorted_by(|a, b| a.at >= b.at));
    let mut subjects: Vec<_> = seen.iter().map(|row| row.subject).collect();
    assert_eq!(subjects.len(), 10);
    subjects.sort_by_key(|subject| (subject.kind.as_str(), subject.hash));
    subjects.dedup();
    assert_eq!(subjects.len(), 10);
}
