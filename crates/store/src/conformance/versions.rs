//! What [`crate::VersionStore`] promises, for `store_conformance_suite!`.

use std::sync::Arc;

use vestibule_protocol::audit::{Actor, Event};

use super::{
    approvals::waits,
    make::{NOW, approved, at, audit, count, lines, race, trail},
    standings::said,
    sweep::sweep_all,
};
use crate::{
    AuditEntry, Store, StoreError,
    approvals::Decision,
    keys::{KeyPhase, KeyUse, NewKey},
    standings::{Subject, Word},
    versions::{DOCUMENT_OCTETS_MAX, Document, Heads, VERSIONS_KEPT, VersionRow, Versioned},
};

async fn save(store: &dyn Store, document: Document, seq: u64, text: &str) -> Option<u64> {
    let saved = store.save_document(document, seq, text, audit(Event::PolicyChanged));
    saved.await.unwrap()
}

async fn seqs(store: &dyn Store, document: Document) -> Vec<u64> {
    let versions = store.document_versions(document, 10_000).await.unwrap();
    versions.iter().map(|row| row.seq).collect()
}

/// Sequence 0 means that what is shipped holds.
pub async fn documents_are_empty_before_the_first_save(store: Arc<dyn Store>) {
    for document in Document::ALL {
        let empty = Versioned {
            seq: 0,
            text: String::new(),
        };
        assert_eq!(store.load_document(*document).await.unwrap(), empty);
        assert!(seqs(&*store, *document).await.is_empty());
        let none = store.document_version(*document, 0).await.unwrap();
        assert_eq!(none, None);
    }
    assert_eq!(store.heads().await.unwrap(), Heads::default());
}

/// Two admins who read the same text do not undo each other's change; the history has the winner's
/// text and nobody else's.
pub async fn of_many_savers_of_one_version_one_wins(store: Arc<dyn Store>) {
    for seq in 0..3 {
        let answers = race(20, |n| {
            let store = store.clone();
            async move { save(&*store, Document::Policy, seq, &format!("saver {n}")).await }
        });
        let answers = answers.await;
        assert_eq!(count(&answers, &Some(seq + 1)), 1);
        assert_eq!(count(&answers, &None), 19);
        let winner = answers.iter().position(Option::is_some).unwrap();
        let now = store.load_document(Document::Policy).await.unwrap();
        assert_eq!(now.seq, seq + 1);
        assert_eq!(now.text, format!("saver {winner}"));
        let kept = store.document_version(Document::Policy, seq + 1).await;
        assert_eq!(kept.unwrap(), Some(now.text));
    }
    assert_eq!(seqs(&*store, Document::Policy).await, [3, 2, 1]);
    assert_eq!(lines(&*store, Event::PolicyChanged).await, 3);
}

/// Neither ahead nor behind; no row of history and no line of the trail either.
pub async fn a_refused_save_leaves_nothing(store: Arc<dyn Store>) {
    assert_eq!(save(&*store, Document::Catalogue, 0, "one").await, Some(1));
    for seq in [0, 2, u64::MAX] {
        assert_eq!(save(&*store, Document::Catalogue, seq, "two").await, None);
    }
    assert_eq!(seqs(&*store, Document::Catalogue).await, [1]);
    assert_eq!(trail(&*store).await.len(), 1);
}

/// The largest text is kept whole; one octet more is refused, whoever is first.
pub async fn a_huge_document_is_refused(store: Arc<dyn Store>) {
    // Octets count, not characters.
    let largest = "é".repeat(DOCUMENT_OCTETS_MAX / 2);
    let huge = format!("{largest}.");
    for document in Document::ALL {
        for seq in [0, 1] {
            let saved = store.save_document(*document, seq, &huge, audit(Event::PolicyChanged));
            let refused = saved.await.unwrap_err();
            assert!(
                matches!(refused, StoreError::TooLarge { octets_max, .. } if octets_max == DOCUMENT_OCTETS_MAX),
                "{refused:?}"
            );
        }
        assert!(seqs(&*store, *document).await.is_empty());
    }
    assert_eq!(store.heads().await.unwrap(), Heads::default());
    assert!(trail(&*store).await.is_empty());
    let saved = save(&*store, Document::Catalogue, 0, &largest).await;
    assert_eq!(saved, Some(1));
    let read = store.load_document(Document::Catalogue).await.unwrap();
    assert!(read.text == largest);
}

/// Who, when and why; the newest first.
pub async fn the_history_says_who_and_why(store: Arc<dyn Store>) {
    for n in 0..3 {
        let entry = AuditEntry {
            at: at(n),
            actor: Actor::Admin("root".to_owned()),
            detail: format!("change {n}"),
            ..audit(Event::PolicyChanged)
        };
        let text = format!("text {n}");
        let saved = store.save_document(Document::Policy, n, &text, entry);
        assert_eq!(saved.await.unwrap(), Some(n + 1));
    }
    let row = |n: u64| VersionRow {
        seq: n + 1,
        at: at(n),
        actor: "admin:root".to_owned(),
        note: format!("change {n}"),
    };
    let all = store.document_versions(Document::Policy, 10).await.unwrap();
    assert_eq!(all, [row(2), row(1), row(0)]);
    let newest = store.document_versions(Document::Policy, 1).await.unwrap();
    assert_eq!(newest, [row(2)]);
    let text = store.document_version(Document::Policy, 2).await.unwrap();
    assert_eq!(text.as_deref(), Some("text 1"));
    // Bringing an old text back is a save like any other.
    assert_eq!(save(&*store, Document::Policy, 3, "text 1").await, Some(4));
    assert_eq!(seqs(&*store, Document::Policy).await, [4, 3, 2, 1]);
}

/// One name's number and history are not another's.
pub async fn documents_do_not_disturb_each_other(store: Arc<dyn Store>) {
    assert_eq!(save(&*store, Document::Policy, 0, "a").await, Some(1));
    assert_eq!(save(&*store, Document::Policy, 1, "b").await, Some(2));
    assert_eq!(save(&*store, Document::Catalogue, 0, "c").await, Some(1));
    assert_eq!(seqs(&*store, Document::Policy).await, [2, 1]);
    assert_eq!(seqs(&*store, Document::Catalogue).await, [1]);
    assert!(seqs(&*store, Document::Settings).await.is_empty());
    let catalogue = store.load_document(Document::Catalogue).await.unwrap();
    assert_eq!(catalogue.text, "c");
}

/// The settings are a document like the others, by whichever verb they are saved.
pub async fn settings_have_a_history_too(store: Arc<dyn Store>) {
    let saved = store.save_settings(0, "{}", audit(Event::SettingsChanged));
    assert_eq!(saved.await.unwrap(), Some(1));
    assert_eq!(save(&*store, Document::Settings, 1, "[]").await, Some(2));
    let settings = store.load_settings().await.unwrap();
    assert_eq!((settings.seq, settings.document.as_str()), (2, "[]"));
    assert_eq!(seqs(&*store, Document::Settings).await, [2, 1]);
    let first = store.document_version(Document::Settings, 1).await.unwrap();
    assert_eq!(first.as_deref(), Some("{}"));
}

/// The newest stay, the others go with the save, and never with the sweep.
pub async fn the_history_is_bounded(store: Arc<dyn Store>) {
    assert_eq!(save(&*store, Document::Policy, 0, "other").await, Some(1));
    let last = VERSIONS_KEPT + 3;
    for seq in 0..last {
        let saved = save(&*store, Document::Settings, seq, &format!("{seq}")).await;
        assert_eq!(saved, Some(seq + 1));
    }
    let kept = seqs(&*store, Document::Settings).await;
    assert_eq!(u64::try_from(kept.len()).unwrap(), VERSIONS_KEPT);
    assert_eq!((kept.first(), kept.last()), (Some(&last), Some(&4)));
    for (seq, is_kept) in [(1, false), (3, false), (4, true), (last, true)] {
        let text = store.document_version(Document::Settings, seq).await;
        assert_eq!(text.unwrap().is_some(), is_kept, "{seq}");
    }
    // A document that is saved seldom keeps what it has.
    assert_eq!(seqs(&*store, Document::Policy).await, [1]);
    sweep_all(&*store, 10 * 365 * 86_400).await;
    assert_eq!(seqs(&*store, Document::Settings).await, kept);
}

/// Design section 4: a node learns of every change by one read, and of nothing else.
pub async fn each_change_moves_its_own_head(store: Arc<dyn Store>) {
    let store = &*store;
    let mut heads = Heads::default();
    save(store, Document::Settings, 0, "{}").await;
    heads.settings = 1;
    assert_eq!(store.heads().await.unwrap(), heads);
    for seq in 0..2 {
        save(store, Document::Policy, seq, "permit").await;
    }
    heads.policy = 2;
    assert_eq!(store.heads().await.unwrap(), heads);
    save(store, Document::Catalogue, 0, "[]").await;
    heads.catalogue = 1;
    assert_eq!(store.heads().await.unwrap(), heads);
    let key = NewKey {
        usage: KeyUse::Seal,
        phase: KeyPhase::Staged,
        wrapped: vec![1],
        created_at: NOW,
    };
    store
        .stage_key(key, audit(Event::KeysChanged))
        .await
        .unwrap();
    heads.keys = store.load_keys().await.unwrap().0;
    assert_eq!((store.heads().await.unwrap(), heads.keys), (heads, 1));

    let subject = Subject::redirect_uri("https://app.example/callback");
    let put = store.put_standing(said(subject, Word::Verified), audit(Event::StandingGiven));
    put.await.unwrap();
    heads.lists = 1;
    assert_eq!(store.heads().await.unwrap(), heads);
    for _ in 0..2 {
        let removed = store.remove_standing(&subject, audit(Event::StandingTaken));
        removed.await.unwrap();
        heads.lists = 2;
        assert_eq!(store.heads().await.unwrap(), heads);
    }
    let id = waits(store, 1).await;
    assert_eq!(store.heads().await.unwrap(), heads);
    for _ in 0..2 {
        let entry = audit(Event::ApprovalDecided);
        let decided = store.decide_approval(id, Decision::Approve, "root", at(9), entry);
        decided.await.unwrap();
        heads.lists = 3;
        assert_eq!(store.heads().await.unwrap(), heads);
    }
    // Ordinary work moves none.
    approved(store, 1).await;
    assert_eq!(store.heads().await.unwrap(), heads);
}
