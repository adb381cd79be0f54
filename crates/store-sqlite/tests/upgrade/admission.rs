//! What schema 2 brought: documents with history, approvals, reports, decisions, standings; changes
//! of documents, domain proofs, successors.

use vestibule_protocol::{
    audit::Event,
    client_id::ClientKey,
    client_metadata::{ClientMetadata, MetadataDoor},
    ids::{GrantId, UserId},
    redirect_uri::RedirectPolicy,
    trust::{Door, Risk, Trust},
};
use vestibule_store::{
    AuditEntry, Store,
    approvals::{ApprovalId, ApprovalPhase, ApprovalRow, Ask, Asked, Decision},
    clients::{ClientLookup, StoredClient},
    decisions::DecisionRow,
    documents::{DocumentChange, DocumentCheck, DocumentNoted},
    grants::{Approval, Approved},
    history::ClientHistory,
    reports::{Report, ReportReason},
    standings::{StandingRow, Subject, SubjectKind, Word},
    supersessions::{Superseded, SupersessionRow},
    verifications::{
        Verification, VerificationAdded, VerificationMethod, VerificationMove, VerificationOutcome,
        VerificationState,
    },
    versions::{Document, Heads},
};

use crate::first::{NOW, approval_of, at, client, entry, user};

/// Lines of the trail that [`fill`] writes.
pub(super) const LINES: usize = 22;
/// How often [`fill`] moves the head of the lists: a decision, two standings, three proofs asked
/// for, and three moves of these.
const LISTS: u64 = 9;
/// The software of two clients, one of which takes the other's place.
const SOFTWARE: &str = "another app";

fn ask(n: u8) -> Ask {
    Ask {
        subject: [n; 32],
        subject_text: format!("vdr_{n}"),
        software: "an app".to_owned(),
        door: Door::Dcr,
        display_name: Some("An app".to_owned()),
        host: Some("app.example".to_owned()),
        reasons: vec!["a reason".to_owned(), "another".to_owned()],
        asked_by: Some(user().id),
        source_prefix: Some("192.0.2.0/24".to_owned()),
        now: NOW,
    }
}

fn standing(kind: SubjectKind, word: Word) -> StandingRow {
    StandingRow {
        subject: Subject {
            kind,
            hash: [11; 32],
        },
        subject_text: "a subject".to_owned(),
        word,
        by: "root".to_owned(),
        note: "a note".to_owned(),
        at: NOW,
        until: Some(at(900)),
    }
}

fn decision() -> DecisionRow {
    DecisionRow {
        at: NOW,
        action: "authorize".to_owned(),
        client: client().key,
        facts: r#"{"some":"facts"}"#.to_owned(),
        trust: Trust::Held,
        risk: Risk::Raised,
        outcomes: "hold".to_owned(),
        reasons: "fresh-host".to_owned(),
        policy_seq: 2,
    }
}

/// A registered client that [`document_client`] takes the place of.
fn predecessor() -> StoredClient {
    StoredClient {
        key: ClientKey::of("vdr_2"),
        client_id: "vdr_2".to_owned(),
        software: SOFTWARE.to_owned(),
        host: None,
        ..client()
    }
}

/// As it was approved.
fn document_client() -> StoredClient {
    let client_id = "https://agent.example/client.json";
    StoredClient {
        key: ClientKey::of(client_id),
        client_id: client_id.to_owned(),
        door: Door::Cimd,
        software: SOFTWARE.to_owned(),
        host: Some("agent.example".to_owned()),
        ..client()
    }
}

/// Another person than that of schema 1.
fn person() -> UserId {
    UserId::new("u_2")
}

/// What the document says later.
fn changed() -> ClientMetadata {
    let body = br#"{"redirect_uris": ["https://agent.example/callback"],
        "client_name": "Another app", "token_endpoint_auth_method": "none",
        "grant_types": ["authorization_code"], "response_types": ["code"]}"#;
    let door = MetadataDoor::Dcr {
        client_credentials_allowed: false,
    };
    let metadata = ClientMetadata::parse_json(body, door, &RedirectPolicy::default());
    metadata.unwrap().0
}

fn change(n: u8, security: bool) -> DocumentChange {
    DocumentChange {
        at: at(10 * u64::from(n)),
        security,
        diff: format!(r#"{{"change":{n}}}"#),
        digest: [n; 32],
    }
}

/// As asked for.
fn verification(n: u8) -> Verification {
    Verification {
        id: format!("v_{n}"),
        client: document_client().key,
        client_id: document_client().client_id,
        domain: format!("agent-{n}.example"),
        method: VerificationMethod::DnsTxt,
        token: format!("token {n}"),
        state: VerificationState::Pending,
        created_at: NOW,
        checked_at: None,
        verified_at: None,
        next_check_at: at(60),
        failures: 0,
        last_error: None,
    }
}

/// What [`fill`] made of them: one that stood and is not found, one that waits, one taken back.
fn verifications() -> [Verification; 3] {
    let failing = Verification {
        state: VerificationState::Failing,
        checked_at: Some(at(120)),
        verified_at: Some(at(60)),
        next_check_at: at(180),
        failures: 1,
        last_error: Some("no such record".to_owned()),
        ..verification(1)
    };
    let pending = Verification {
        method: VerificationMethod::WellKnownFile,
        ..verification(2)
    };
    let revoked = Verification {
        state: VerificationState::Revoked,
        ..verification(3)
    };
    [failing, pending, revoked]
}

fn not_found() -> VerificationOutcome {
    VerificationOutcome::Failed("no such record".to_owned())
}

async fn look(store: &dyn Store, outcome: VerificationOutcome, seconds: u64) -> VerificationMove {
    let (now, next, line) = (at(seconds), at(seconds + 60), entry(Event::DomainVerified));
    let noted = store.note_verification("v_1", outcome, next, now, line);
    noted.await.unwrap().unwrap()
}

async fn note(store: &dyn Store, change: DocumentChange) {
    let (key, line) = (document_client().key, entry(Event::DocumentChanged));
    let noted = store.note_document(&key, change, &changed(), line).await;
    assert_eq!(noted.unwrap(), DocumentNoted::Done);
}

/// [`document_client`] is approved as number `n`, in place of what it takes the place of.
async fn succeed(store: &dyn Store, n: u8, user: UserId) {
    let new = document_client();
    let approval = Approval {
        supersedes: store.superseded_by(&new.key).await.unwrap(),
        ..approval_of(n, new, user)
    };
    assert_eq!(store.approve(approval).await.unwrap(), Approved::Done);
}

/// The same for what schema 2 brought, after the fill of schema 1.
pub(super) async fn fill(store: &dyn Store) {
    fill_documents(store).await;
    fill_queue(store).await;
    fill_clients(store).await;
    fill_verifications(store).await;
}

async fn fill_documents(store: &dyn Store) {
    for (document, event) in [
        (Document::Policy, Event::PolicyChanged),
        (Document::Catalogue, Event::CatalogueChanged),
    ] {
        for seq in 0..2 {
            let text = format!("{} {seq}", document.as_str());
            let saved = store.save_document(document, seq, &text, entry(event));
            assert_eq!(saved.await.unwrap(), Some(seq + 1));
        }
    }
}

async fn fill_queue(store: &dyn Store) {
    for n in [1, 2] {
        let asked = store.ask_approval(ask(n), 10, 10, entry(Event::ApprovalAsked));
        let id = ApprovalId::new(u64::from(n));
        assert_eq!(asked.await.unwrap(), Asked::Waiting(id));
    }
    let (id, decided) = (ApprovalId::new(2), entry(Event::ApprovalDecided));
    let decided = store.decide_approval(id, Decision::Approve, "root", at(900), decided);
    assert!(decided.await.unwrap());
    let (person, agent) = (user().id, client().key);
    let reported = entry(Event::ClientReported);
    let reported = store.report_client(&person, &agent, ReportReason::TooMuch, NOW, reported);
    assert!(reported.await.unwrap());
    store.record_decision(decision()).await.unwrap();
    for (kind, word) in [
        (SubjectKind::Client, Word::Verified),
        (SubjectKind::RedirectUri, Word::Blocked),
    ] {
        let put = store.put_standing(standing(kind, word), entry(Event::StandingGiven));
        put.await.unwrap();
    }
}

async fn fill_clients(store: &dyn Store) {
    let (old, new) = (predecessor(), document_client());
    let approved = store.approve(approval_of(3, old.clone(), person())).await;
    assert_eq!(approved.unwrap(), Approved::Done);
    let predecessors = [old.key, client().key];
    let line = entry(Event::ClientSuperseded);
    let put = store.put_supersession(SOFTWARE, &predecessors, &new.client_id, line);
    assert_eq!(put.await.unwrap(), Superseded::Done);
    succeed(store, 4, person()).await;
    note(store, change(1, false)).await;
    note(store, change(2, true)).await;
    let touched = store.touch_document(&new.key, DocumentCheck::Unreachable, at(4_000));
    assert!(touched.await.unwrap());
}

async fn fill_verifications(store: &dyn Store) {
    for asked in [
        verification(1),
        Verification {
            method: VerificationMethod::WellKnownFile,
            ..verification(2)
        },
        verification(3),
    ] {
        let added = store.add_verification(asked, entry(Event::DomainVerificationAsked));
        assert_eq!(added.await.unwrap(), VerificationAdded::Done);
    }
    look(store, VerificationOutcome::Proved, 60).await;
    look(store, not_found(), 120).await;
    let revoked = store.revoke_verification("v_3", entry(Event::DomainVerificationLost));
    assert!(revoked.await.unwrap());
}

/// What [`fill`] wrote into a database in which the head of the lists had moved `lists` times.
pub(super) async fn check(store: &dyn Store, lists: u64) {
    let heads = Heads {
        settings: 1,
        keys: 2,
        policy: 2,
        catalogue: 2,
        lists: lists + LISTS,
    };
    assert_eq!(store.heads().await.unwrap(), heads);
    check_documents(store).await;
    check_queue(store).await;
    check_clients(store).await;
    check_succession(store).await;
    let key = document_client().key;
    let read = store.verifications_of(&key).await.unwrap();
    assert_eq!(read, verifications());
    let due = store.due_verifications(at(180), 10).await.unwrap();
    let [failing, pending, _] = verifications();
    assert_eq!(due, [pending, failing]);
}

async fn check_documents(store: &dyn Store) {
    for document in [Document::Policy, Document::Catalogue] {
        let now = store.load_document(document).await.unwrap();
        let text = |seq: u64| format!("{} {seq}", document.as_str());
        assert_eq!((now.seq, now.text), (2, text(1)));
        let first = store.document_version(document, 1).await.unwrap();
        assert_eq!(first, Some(text(0)));
    }
}

async fn check_queue(store: &dyn Store) {
    for (n, phase) in [(1, ApprovalPhase::Waiting), (2, ApprovalPhase::Approved)] {
        let decided = phase == ApprovalPhase::Approved;
        let expected = ApprovalRow {
            id: ApprovalId::new(u64::from(n)),
            ask: ask(n),
            phase,
            times: 1,
            last_asked_at: NOW,
            decided_by: decided.then(|| "root".to_owned()),
            decided_at: decided.then_some(NOW),
            until: if decided { at(900) } else { at(7 * 86_400) },
        };
        let read = store.approval(expected.id).await.unwrap();
        assert_eq!(read, Some(expected));
    }
    let report = Report {
        user: user().id,
        client: client().key,
        reason: ReportReason::TooMuch,
        at: NOW,
    };
    let reports = store.list_reports(&client().key, 10).await.unwrap();
    assert_eq!(reports, [report]);
    let decisions = store.decisions(None, 10).await.unwrap();
    assert_eq!(decisions, [(1, decision())]);
    let expected = [
        standing(SubjectKind::Client, Word::Verified),
        standing(SubjectKind::RedirectUri, Word::Blocked),
    ];
    let standings = store.list_standings(None, 10).await.unwrap();
    assert_eq!(standings, expected);
}

async fn check_clients(store: &dyn Store) {
    let written = document_client();
    let ClientLookup::Active(read) = store.find_client(&written.key).await.unwrap() else {
        unreachable!("the client is there")
    };
    let expected = StoredClient {
        metadata: changed(),
        snapshot_at: at(10),
        version: 2,
        ..written
    };
    assert_eq!(format!("{read:?}"), format!("{expected:?}"));
    let key = expected.key;
    let changes = store.document_changes(&key, 10).await.unwrap();
    assert_eq!(changes, [change(2, true), change(1, false)]);
    for (older_than, due) in [(4_000, false), (4_001, true)] {
        let due = due.then(|| (key, expected.client_id.clone()));
        let watched = store.documents_to_watch(NOW, at(older_than), 10).await;
        assert_eq!(watched.unwrap(), Vec::from_iter(due), "{older_than}");
    }
    let history = ClientHistory {
        first_seen: Some(NOW),
        people: 1,
        software_clients: 2,
        software_people: 1,
        host_first_seen: Some(NOW),
        changes_30d: 2,
        last_changed_at: Some(at(20)),
    };
    let read = store.client_history(&key, SOFTWARE, Some("agent.example"), at(30));
    assert_eq!(read.await.unwrap(), history);
}

async fn check_succession(store: &dyn Store) {
    let new = document_client();
    let mut predecessors = store.superseded_by(&new.key).await.unwrap();
    predecessors.sort();
    let mut expected = [predecessor().key, client().key];
    expected.sort();
    assert_eq!(predecessors, expected);
    check_report(store, 2, 1).await;
    for (n, revoked) in [(3, true), (4, false)] {
        let grant = store.find_grant(&GrantId::new(format!("g_{n}"))).await;
        assert_eq!(grant.unwrap().unwrap().revoked, revoked, "{n}");
    }
    let trail = store.audit_rows(None, 100).await.unwrap();
    let moved = trail.into_iter().map(|row| row.entry);
    let moved: Vec<AuditEntry> = moved
        .filter(|line| line.event == Event::GrantMoved)
        .collect();
    let expected = AuditEntry {
        client: Some(predecessor().key),
        grant: Some(GrantId::new("g_3")),
        detail: "moved to g_4".to_owned(),
        ..entry(Event::GrantMoved)
    };
    assert_eq!(format!("{moved:?}"), format!("{:?}", [expected]));
}

async fn check_report(store: &dyn Store, live_grants_left: u64, moved: u64) {
    let expected = SupersessionRow {
        new_client_id: document_client().client_id,
        old_clients: 2,
        live_grants_left,
        moved,
    };
    let report = store.supersession_report(NOW).await.unwrap();
    assert_eq!(report, [expected]);
}

/// What was open goes on there too, after that of schema 1.
pub(super) async fn go_on(store: &dyn Store) {
    let again = Ask {
        now: at(100),
        ..ask(1)
    };
    let asked = store.ask_approval(again, 10, 10, entry(Event::ApprovalAsked));
    let id = ApprovalId::new(1);
    assert_eq!(asked.await.unwrap(), Asked::Waiting(id));
    let another = store.ask_approval(ask(3), 10, 10, entry(Event::ApprovalAsked));
    assert_eq!(another.await.unwrap(), Asked::Waiting(ApprovalId::new(3)));
    let decided = entry(Event::ApprovalDecided);
    let decided = store.decide_approval(id, Decision::Deny, "root", at(900), decided);
    assert!(decided.await.unwrap());
    let saved = store.save_document(Document::Policy, 2, "next", entry(Event::PolicyChanged));
    assert_eq!(saved.await.unwrap(), Some(3));
    store.record_decision(decision()).await.unwrap();
    let decisions = store.decisions(None, 10).await.unwrap();
    assert_eq!(decisions, [(2, decision()), (1, decision())]);
    let subject = standing(SubjectKind::Client, Word::Verified).subject;
    let removed = store.remove_standing(&subject, entry(Event::StandingTaken));
    assert!(removed.await.unwrap());
    note(store, change(3, false)).await;
    let moved = VerificationMove {
        from: VerificationState::Failing,
        to: VerificationState::Verified,
    };
    let found = look(store, VerificationOutcome::Proved, 180).await;
    assert_eq!(found, moved);
    succeed(store, 5, user().id).await;
    check_report(store, 0, 3).await;
}

/// A database of schema 1 has none of this.
pub(super) async fn check_empty(store: &dyn Store) {
    let heads = Heads {
        settings: 1,
        keys: 2,
        ..Heads::default()
    };
    assert_eq!(store.heads().await.unwrap(), heads);
    let approvals = store.list_approvals(None, None, 10).await.unwrap();
    assert!(approvals.is_empty());
    assert!(store.decisions(None, 10).await.unwrap().is_empty());
    assert!(store.list_standings(None, 10).await.unwrap().is_empty());
    let agent = client().key;
    assert!(store.list_reports(&agent, 10).await.unwrap().is_empty());
    let changes = store.document_changes(&agent, 10).await.unwrap();
    assert!(changes.is_empty());
    let verifications = store.list_verifications(None, 10).await.unwrap();
    assert!(verifications.is_empty());
    assert!(store.supersession_report(NOW).await.unwrap().is_empty());
    let history = ClientHistory {
        first_seen: Some(NOW),
        people: 1,
        ..ClientHistory::default()
    };
    let read = store.client_history(&agent, "", Some("app.example"), NOW);
    assert_eq!(read.await.unwrap(), history);
}
