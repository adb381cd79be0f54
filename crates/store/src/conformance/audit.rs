//! What [`crate::AuditLog`] promises, and that no change goes without a line, for
//! `store_conformance_suite!`.

use std::sync::Arc;

use vestibule_protocol::{
    audit::{Actor, Event},
    client_id::ClientKey,
    ids::{GrantId, UserId},
    trust::Door,
};

use super::{
    approvals::{ask, by_person},
    make::{
        NOW, approval, approved, at, audit, client, hash, metadata, opened, rotation, spending,
        trail, user,
    },
    standings::said,
};
use crate::{
    AuditEntry, Store,
    approvals::{Asked, Decision},
    clients::ClientChange,
    keys::{KeyPhase, KeyUse, NewKey},
    reports::ReportReason,
    settings::InitialToken,
    standings::{Subject, Word},
    tokens::Rotated,
    versions::Document,
};

/// Every verb that changes something for good, once, and the line that it leaves.
pub async fn every_change_leaves_its_line(store: Arc<dyn Store>) {
    let store = &*store;
    clients_and_grants(store).await;
    people_and_settings(store).await;
    admission(store).await;
    let expected = [
        Event::ClientMade,
        Event::GrantGiven,
        Event::ConsentDenied,
        Event::CodeRedeemed,
        Event::ClientChanged,
        Event::TokenRevoked,
        Event::GrantRevoked,
        Event::ClientRemoved,
        Event::SetUp,
        Event::UserMade,
        Event::UserChanged,
        Event::UserChanged,
        Event::SettingsChanged,
        Event::InitialTokenMade,
        Event::InitialTokenRemoved,
        Event::KeysChanged,
        Event::KeysChanged,
        Event::KeysChanged,
        Event::KeysChanged,
        Event::PolicyChanged,
        Event::CatalogueChanged,
        Event::ApprovalAsked,
        Event::ApprovalDecided,
        Event::ClientReported,
        Event::StandingGiven,
        Event::StandingTaken,
    ];
    assert_eq!(trail(store).await, expected);
}

async fn admission(store: &dyn Store) {
    let saved = store.save_document(Document::Policy, 0, "", audit(Event::PolicyChanged));
    saved.await.unwrap();
    let entry = audit(Event::CatalogueChanged);
    let saved = store.save_document(Document::Catalogue, 0, "", entry);
    saved.await.unwrap();
    let ask = by_person(ask(1), 1);
    let asked = store.ask_approval(ask, 1, 1, audit(Event::ApprovalAsked));
    let Asked::Waiting(id) = asked.await.unwrap() else {
        unreachable!("there is room")
    };
    let entry = audit(Event::ApprovalDecided);
    let decided = store.decide_approval(id, Decision::Deny, "root", at(9), entry);
    assert!(decided.await.unwrap());
    let (person, agent) = (user(1).id, ClientKey::of("reported"));
    let entry = audit(Event::ClientReported);
    let reported = store.report_client(&person, &agent, ReportReason::Other, NOW, entry);
    assert!(reported.await.unwrap());
    let subject = Subject::client(&agent);
    let put = store.put_standing(said(subject, Word::Blocked), audit(Event::StandingGiven));
    put.await.unwrap();
    let removed = store.remove_standing(&subject, audit(Event::StandingTaken));
    assert!(removed.await.unwrap());
}

async fn clients_and_grants(store: &dyn Store) {
    let stranger = client("vdr_1", Door::Dcr);
    let made = store.add_client(client("made", Door::Admin), audit(Event::ClientMade));
    made.await.unwrap();
    store.approve(approval(1, &stranger)).await.unwrap();
    let ticket = approval(2, &stranger).ticket;
    store
        .deny(ticket, at(600), audit(Event::ConsentDenied))
        .await
        .unwrap();
    store.spend_code(spending(1)).await.unwrap();
    let change = ClientChange {
        metadata: metadata("https://app.example/other", "Other"),
        management_hash: None,
        secret_hash: None,
        ends_codes: false,
    };
    let changed = store.replace_client(&stranger.key, 1, change, audit(Event::ClientChanged));
    changed.await.unwrap();
    let revoked = store.revoke_token_id(hash(1), at(600), audit(Event::TokenRevoked));
    revoked.await.unwrap();
    let revoked = store
        .revoke_grant(&GrantId::new("g_1"), audit(Event::GrantRevoked))
        .await;
    revoked.unwrap();
    let removed = store.remove_client(&stranger.key, at(9), false, audit(Event::ClientRemoved));
    removed.await.unwrap();
}

async fn people_and_settings(store: &dyn Store) {
    store.put_setup_link(hash(1), at(600)).await.unwrap();
    let set_up = store
        .spend_setup_link(&hash(1), user(1), NOW, audit(Event::SetUp))
        .await;
    assert!(set_up.unwrap());
    store
        .add_user(user(2), audit(Event::UserMade))
        .await
        .unwrap();
    let changed = store
        .set_password(&user(2).id, "x", audit(Event::UserChanged))
        .await;
    changed.unwrap();
    let changed = store
        .set_disabled(&user(2).id, true, audit(Event::UserChanged))
        .await;
    changed.unwrap();
    let saved = store.save_settings(0, "{}", audit(Event::SettingsChanged));
    saved.await.unwrap();
    let token = InitialToken {
        hash: [0xab; 32],
        note: String::new(),
        uses_left: 1,
        expires_at: at(60),
        scopes: None,
        redirect_hosts: Vec::new(),
        client_credentials: false,
        created_at: NOW,
    };
    let added = store.add_initial_token(token, audit(Event::InitialTokenMade));
    added.await.unwrap();
    let removed = store.remove_initial_token("abababab", audit(Event::InitialTokenRemoved));
    assert!(removed.await.unwrap());
    let key = NewKey {
        usage: KeyUse::Seal,
        phase: KeyPhase::Active,
        wrapped: vec![1],
        created_at: NOW,
    };
    let entry = || audit(Event::KeysChanged);
    store
        .add_missing_keys(vec![key.clone()], entry())
        .await
        .unwrap();
    let next = store.stage_key(key, entry()).await.unwrap();
    assert!(store.activate_key(next, NOW, entry()).await.unwrap());
    assert!(store.end_key(1, NOW, entry()).await.unwrap());
}

/// Design-details B.8: the family row's own columns record it; a line would double the hottest
/// write.
pub async fn a_plain_rotation_leaves_no_line(store: Arc<dyn Store>) {
    let (family, _) = opened(&*store, 1).await;
    let before = trail(&*store).await;
    for generation in 0..5 {
        let rotation = rotation(&family, generation, generation);
        assert_eq!(
            store.rotate(rotation.clone()).await.unwrap(),
            Rotated::Moved
        );
        let repeated = store.rotate(rotation).await.unwrap();
        assert!(matches!(repeated, Rotated::Repeat { .. }));
    }
    assert_eq!(trail(&*store).await, before);
}

/// What did not happen is not in the trail.
pub async fn a_refused_change_leaves_no_line(store: Arc<dyn Store>) {
    let client = approved(&*store, 1).await;
    let before = trail(&*store).await;
    store.approve(approval(1, &client)).await.unwrap();
    store
        .add_client(client.clone(), audit(Event::ClientMade))
        .await
        .unwrap();
    let nobody = GrantId::new("g_9");
    store
        .revoke_grant(&nobody, audit(Event::GrantRevoked))
        .await
        .unwrap();
    store
        .save_settings(7, "{}", audit(Event::SettingsChanged))
        .await
        .unwrap();
    store
        .activate_key(7, NOW, audit(Event::KeysChanged))
        .await
        .unwrap();
    store.spend_code(spending(7)).await.unwrap();
    let removed = store.remove_initial_token("abababab", audit(Event::InitialTokenRemoved));
    removed.await.unwrap();
    let set_up = store
        .spend_setup_link(&hash(1), user(1), NOW, audit(Event::SetUp))
        .await;
    set_up.unwrap();
    assert_eq!(trail(&*store).await, before);
}

/// The cursor loses nothing and repeats nothing.
pub async fn the_trail_is_read_newest_first_page_by_page(store: Arc<dyn Store>) {
    for n in 0..10 {
        store
            .add_user(user(n), audit(Event::UserMade))
            .await
            .unwrap();
    }
    let mut seqs: Vec<u64> = Vec::new();
    loop {
        let page = store.audit_rows(seqs.last().copied(), 3).await.unwrap();
        assert!(page.len() <= 3);
        if page.is_empty() {
            break;
        }
        seqs.extend(page.iter().map(|row| row.seq));
    }
    assert_eq!(seqs.len(), 10);
    assert!(seqs.is_sorted_by(|a, b| a > b));
}

/// Whoever acted, and all that was said about it.
pub async fn an_entry_reads_back_as_it_was_written(store: Arc<dyn Store>) {
    let acting = ClientKey::of("acting");
    let actors = [
        Actor::System,
        Actor::Admin("an:odd:name".to_owned()),
        Actor::Person(UserId::new("u_1")),
        Actor::Client(acting),
    ];
    for (n, actor) in actors.into_iter().enumerate() {
        let written = AuditEntry {
            at: at(9),
            actor,
            client: Some(ClientKey::of("concerned")),
            grant: Some(GrantId::new("g_1")),
            source: Some("192.0.2.0/24".to_owned()),
            detail: "a short plain sentence".to_owned(),
            ..audit(Event::UserMade)
        };
        store.add_user(user(n), written.clone()).await.unwrap();
        let newest = store.audit_rows(None, 1).await.unwrap();
        let read = newest.first().map(|row| &row.entry);
        assert_eq!(format!("{:?}", read.unwrap()), format!("{written:?}"));
    }
}
