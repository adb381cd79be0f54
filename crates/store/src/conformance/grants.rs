//! What [`crate::GrantStore`] promises, for `store_conformance_suite!`.

use std::sync::Arc;

use vestibule_protocol::{
    audit::Event,
    client_metadata::AuthMethod,
    ids::{CodeHash, GrantId, TicketId, UserId},
    scope::ScopeSet,
    trust::{Door, Risk, Standing},
};

use super::make::{
    NOW, RESOURCE, approval, approved, assertion, at, audit, client, count, found, hash, lines,
    metadata, opened, race, spending, user,
};
use crate::{
    Store,
    clients::{ClientLookup, StoredClient},
    grants::{Approval, Approved, Assertion, AssertionUse, CodeSpending, Spent},
};

fn first_grant() -> GrantId {
    GrantId::new("g_1")
}

async fn ticket_is_unused(store: &dyn Store, ticket: TicketId) -> bool {
    let denied = store.deny(ticket, at(600), audit(Event::ConsentDenied));
    denied.await.unwrap()
}

/// AC-06, T1: exactly one redemption of a code wins, whatever the number.
pub async fn of_fifty_parallel_redemptions_one_wins(store: Arc<dyn Store>) {
    approved(&*store, 1).await;
    let answers = race(50, |_| {
        let store = store.clone();
        async move { store.spend_code(spending(1)).await.unwrap() }
    });
    let answers = answers.await;
    assert_eq!(count(&answers, &Spent::Now(first_grant())), 1);
    assert_eq!(count(&answers, &Spent::Before(first_grant(), NOW)), 49);
    assert_eq!(lines(&*store, Event::CodeRedeemed).await, 1);
}

/// AC-05: the caller learns which grant to revoke, and when the first redemption was.
pub async fn a_spent_code_names_its_grant_and_its_time(store: Arc<dyn Store>) {
    approved(&*store, 1).await;
    let first = CodeSpending {
        now: at(10),
        ..spending(1)
    };
    assert_eq!(
        store.spend_code(first).await.unwrap(),
        Spent::Now(first_grant())
    );
    for later in [11, 59, 60, 1_000] {
        let replay = CodeSpending {
            now: at(later),
            ..spending(1)
        };
        let spent = store.spend_code(replay).await.unwrap();
        assert_eq!(spent, Spent::Before(first_grant(), at(10)), "{later}");
    }
    let (code, _) = store
        .find_code(&CodeHash::new(hash(1)))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(code.spent_at, Some(at(10)));
}

/// AC-04: judged by the time that comes with the verb, never by the database's clock.
pub async fn a_code_at_its_end_is_dead(store: Arc<dyn Store>) {
    #[rustfmt::skip]
    let cases = [
        (1,  0, true),
        (2, 59, true),
        (3, 60, false),
        (4, 61, false),
    ];
    for (n, seconds, lives) in cases {
        approved(&*store, n).await;
        let spending = CodeSpending {
            now: at(seconds),
            ..spending(n)
        };
        let spent = store.spend_code(spending).await.unwrap();
        let expected = if lives {
            Spent::Now(GrantId::new(format!("g_{n}")))
        } else {
            Spent::Expired
        };
        assert_eq!(spent, expected, "{seconds}");
    }
}

/// A person who took the grant back before the client came.
pub async fn a_code_of_a_revoked_grant_is_dead(store: Arc<dyn Store>) {
    approved(&*store, 1).await;
    let revoked = store
        .revoke_grant(&first_grant(), audit(Event::GrantRevoked))
        .await;
    assert!(revoked.unwrap());
    let spent = store.spend_code(spending(1)).await.unwrap();
    assert!(
        matches!(spent, Spent::Expired | Spent::Unknown),
        "{spent:?}"
    );
}

/// A guess opens nothing.
pub async fn an_unknown_code_is_unknown(store: Arc<dyn Store>) {
    approved(&*store, 1).await;
    assert_eq!(store.spend_code(spending(2)).await.unwrap(), Spent::Unknown);
    let nothing = store.find_code(&CodeHash::new(hash(2))).await.unwrap();
    assert!(nothing.is_none());
}

/// T26, RT-01, CIMD-65: the family is bound to grant, client and the method used, in the same transaction.
pub async fn redemption_opens_the_family(store: Arc<dyn Store>) {
    let client = approved(&*store, 1).await;
    let spending = CodeSpending {
        auth_method: AuthMethod::PrivateKeyJwt,
        now: at(10),
        ..spending(1)
    };
    store.spend_code(spending.clone()).await.unwrap();
    let (family, grant) = found(&*store, 1).await;
    let asked = spending.family.unwrap();
    assert_eq!(family.id, asked.id);
    assert_eq!(family.grant, first_grant());
    assert_eq!(grant.id, first_grant());
    assert_eq!(family.client, client.key);
    assert_eq!(family.key_id, 3);
    assert_eq!(family.generation, 0);
    assert_eq!((family.rotated_at, family.last_used_at), (at(10), at(10)));
    assert_eq!(family.idle_until, asked.idle_until);
    assert_eq!(family.absolute_until, asked.absolute_until);
    assert_eq!(family.auth_method, AuthMethod::PrivateKeyJwt);
    assert!(family.rotates && !family.revoked);
}

/// JCA-07: a replayed assertion is refused, and the real client's code still works.
pub async fn a_used_assertion_leaves_the_code_alone(store: Arc<dyn Store>) {
    let client = approved(&*store, 1).await;
    let used = store.use_assertion(assertion(client.key, 5), NOW).await;
    assert_eq!(used.unwrap(), Assertion::First);
    let with = |n| CodeSpending {
        assertion: Some(assertion(client.key, n)),
        ..spending(1)
    };
    let refused = store.spend_code(with(5)).await.unwrap();
    assert_eq!(refused, Spent::AssertionRefused(Assertion::Replayed));
    assert_eq!(
        store.spend_code(with(6)).await.unwrap(),
        Spent::Now(first_grant())
    );
    let again = store.use_assertion(assertion(client.key, 6), NOW).await;
    assert_eq!(again.unwrap(), Assertion::Replayed);
}

/// Full refuses, and nothing is evicted for it (design section 5).
pub async fn a_full_table_of_assertions_leaves_the_code_alone(store: Arc<dyn Store>) {
    let client = approved(&*store, 1).await;
    let used = store.use_assertion(assertion(client.key, 5), NOW).await;
    assert_eq!(used.unwrap(), Assertion::First);
    let full = CodeSpending {
        assertion: Some(AssertionUse {
            rows_max: 1,
            ..assertion(client.key, 6)
        }),
        ..spending(1)
    };
    let refused = store.spend_code(full).await.unwrap();
    assert_eq!(refused, Spent::AssertionRefused(Assertion::Full));
    assert_eq!(
        store.spend_code(spending(1)).await.unwrap(),
        Spent::Now(first_grant())
    );
}

/// A consent page sent twice gives one grant.
pub async fn of_many_approvals_with_one_ticket_one_is_recorded(store: Arc<dyn Store>) {
    let client = client("vdr_1", Door::Dcr);
    let answers = race(20, |n| {
        let (store, same) = (store.clone(), approval(1, &client).ticket);
        let approval = Approval {
            ticket: same,
            ..approval(n, &client)
        };
        async move { store.approve(approval).await.unwrap() }
    });
    let answers = answers.await;
    assert_eq!(count(&answers, &Approved::Done), 1);
    assert_eq!(count(&answers, &Approved::TicketUsed), 19);
    let mut grants = 0;
    for n in 0..20 {
        let grant = store.find_grant(&GrantId::new(format!("g_{n}"))).await;
        grants += usize::from(grant.unwrap().is_some());
    }
    assert_eq!(grants, 1);
    assert_eq!(lines(&*store, Event::GrantGiven).await, 1);
}

/// Design 4.1: insert or nothing, so that people on several nodes all win.
pub async fn people_who_approve_one_stranger_at_once_all_win(store: Arc<dyn Store>) {
    let client = client("vdr_1", Door::Dcr);
    let answers = race(20, |n| {
        let (store, approval) = (store.clone(), approval(n, &client));
        async move { store.approve(approval).await.unwrap() }
    });
    assert_eq!(count(&answers.await, &Approved::Done), 20);
    assert_eq!(store.count_clients().await.unwrap(), 1);
    for n in 0..20 {
        let grant = store.find_grant(&GrantId::new(format!("g_{n}"))).await;
        assert_eq!(grant.unwrap().unwrap().user, user(n).id);
        let spent = store.spend_code(spending(n)).await.unwrap();
        assert!(matches!(spent, Spent::Now(_)));
    }
}

/// All of it or nothing: not even the ticket is used.
pub async fn an_approval_of_a_removed_client_writes_nothing(store: Arc<dyn Store>) {
    let client = client("vdr_1", Door::Dcr);
    let removed = store.remove_client(&client.key, at(100), false, audit(Event::ClientRemoved));
    removed.await.unwrap();
    let approval = approval(1, &client);
    let ticket = approval.ticket;
    assert_eq!(store.approve(approval).await.unwrap(), Approved::ClientGone);
    assert!(store.find_grant(&first_grant()).await.unwrap().is_none());
    assert!(
        store
            .find_code(&CodeHash::new(hash(1)))
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(lines(&*store, Event::GrantGiven).await, 0);
    assert!(ticket_is_unused(&*store, ticket).await);
}

/// A row of an admin comes from an admin only; an approval promotes strangers.
pub async fn a_removed_client_of_an_admin_is_not_made_again_by_an_approval(store: Arc<dyn Store>) {
    let never_made = client("made-by-an-admin", Door::Admin);
    let approved = store.approve(approval(1, &never_made)).await.unwrap();
    assert_eq!(approved, Approved::ClientGone);
    assert_eq!(store.count_clients().await.unwrap(), 0);
}

/// All of it or nothing, also when the database refuses the last row of it.
pub async fn an_approval_that_fails_leaves_nothing(store: Arc<dyn Store>) {
    approved(&*store, 1).await;
    let stranger = client("vdr_2", Door::Dcr);
    let mut approval = approval(2, &stranger);
    // The code is there already: a defect of the caller, found after everything else was written.
    approval.code.hash = CodeHash::new(hash(1));
    let ticket = approval.ticket;
    assert!(store.approve(approval).await.is_err());
    let lookup = store.find_client(&stranger.key).await.unwrap();
    assert!(matches!(lookup, ClientLookup::NeverSeen));
    assert!(
        store
            .find_grant(&GrantId::new("g_2"))
            .await
            .unwrap()
            .is_none()
    );
    assert!(ticket_is_unused(&*store, ticket).await);
}

/// Whoever comes first: afterwards the client is gone and nothing of it lives.
pub async fn an_approval_that_races_a_removal_leaves_no_live_grant(store: Arc<dyn Store>) {
    for n in 0..10 {
        let client = client(&format!("vdr_{n}"), Door::Dcr);
        let key = client.key;
        race(2, |side| {
            let (store, approval) = (store.clone(), approval(n, &client));
            async move {
                if side == 0 {
                    store.approve(approval).await.unwrap();
                } else {
                    let entry = audit(Event::ClientRemoved);
                    store
                        .remove_client(&key, at(100), false, entry)
                        .await
                        .unwrap();
                }
            }
        })
        .await;
        let lookup = store.find_client(&key).await.unwrap();
        assert!(matches!(lookup, ClientLookup::Gone));
        let grant = store
            .find_grant(&GrantId::new(format!("g_{n}")))
            .await
            .unwrap();
        assert!(grant.is_none_or(|grant| grant.revoked));
        let spent = store.spend_code(spending(n)).await.unwrap();
        assert!(matches!(spent, Spent::Unknown | Spent::Expired));
    }
}

/// A double click on Allow and Deny has one outcome.
pub async fn a_ticket_is_approved_or_denied_but_not_both(store: Arc<dyn Store>) {
    let client = client("vdr_1", Door::Dcr);
    let answers = race(20, |n| {
        let (store, approval) = (store.clone(), approval(1, &client));
        async move {
            if n % 2 == 0 {
                store.approve(approval).await.unwrap() == Approved::Done
            } else {
                let denied = store.deny(approval.ticket, at(600), audit(Event::ConsentDenied));
                denied.await.unwrap()
            }
        }
    });
    assert_eq!(count(&answers.await, &true), 1);
    let said = lines(&*store, Event::GrantGiven).await + lines(&*store, Event::ConsentDenied).await;
    assert_eq!(said, 1);
}

/// A document's row follows what was approved; a registered client changes by RFC 7592.
pub async fn a_document_client_gets_the_snapshot_that_was_approved(store: Arc<dyn Store>) {
    for (n, door, follows) in [(1, Door::Cimd, true), (2, Door::Dcr, false)] {
        let id = format!("https://agent-{n}.example/client.json");
        let before = client(&id, door);
        let first = store.approve(approval(n, &before)).await.unwrap();
        assert_eq!(first, Approved::Done);
        let after = StoredClient {
            metadata: metadata("https://app.example/new", "A new name"),
            standing: Standing::Known,
            ..before.clone()
        };
        let second = store.approve(approval(n + 10, &after)).await.unwrap();
        assert_eq!(second, Approved::Done);
        let ClientLookup::Active(row) = store.find_client(&before.key).await.unwrap() else {
            unreachable!("the client is there")
        };
        let expected = if follows { &after } else { &before };
        assert_eq!(row.metadata, expected.metadata, "{door:?}");
        // Standing is raised explicitly, never by an approval.
        assert_eq!(row.standing, Standing::Unverified);
    }
}

/// A snapshot that stood in for a silent host is as old as before; a later one says when it was
/// taken, though nothing changed.
pub async fn an_approval_takes_the_time_of_its_snapshot(store: Arc<dyn Store>) {
    let document = client("https://agent.example/client.json", Door::Cimd);
    #[rustfmt::skip]
    let cases = [
        (1, 10,  "",      10,  "",      1),
        (2, 10,  "agent", 10,  "agent", 1),
        (3, 500, "",      500, "agent", 1),
        (4, 400, "other", 500, "agent", 1),
    ];
    for (n, taken, software, snapshot, kept, version) in cases {
        let resolved = StoredClient {
            snapshot_at: at(taken),
            software: software.to_owned(),
            ..document.clone()
        };
        let approved = store.approve(approval(n, &resolved)).await.unwrap();
        assert_eq!(approved, Approved::Done);
        let ClientLookup::Active(row) = store.find_client(&document.key).await.unwrap() else {
            unreachable!("the client is there")
        };
        let expected = (at(snapshot), kept, version);
        let seen = (row.snapshot_at, row.software.as_str(), row.version);
        assert_eq!(seen, expected, "{n}");
    }
}

/// A row of before the column learns it once; afterwards it is what it was at its first yes.
pub async fn an_approval_tells_an_old_row_its_software(store: Arc<dyn Store>) {
    for (n, software, kept) in [(1, "", ""), (2, "agent", "agent"), (3, "other", "agent")] {
        let registered = StoredClient {
            software: software.to_owned(),
            ..client("vdr_1", Door::Dcr)
        };
        store.approve(approval(n, &registered)).await.unwrap();
        let ClientLookup::Active(row) = store.find_client(&registered.key).await.unwrap() else {
            unreachable!("the client is there")
        };
        assert_eq!((row.software.as_str(), row.version), (kept, 1), "{n}");
    }
}

/// AC-04, CIMD-65: what the code is bound to, the method of a push included.
pub async fn code_and_grant_read_back_as_they_were_written(store: Arc<dyn Store>) {
    let client = client("vdr_1", Door::Dcr);
    let mut written = approval(1, &client);
    written.grant.risk = Risk::Raised;
    written.grant.read_only = true;
    written.grant.short_session = true;
    written.grant.source = Some("192.0.2.0/24".to_owned());
    store.approve(written.clone()).await.unwrap();
    let (code, grant) = store
        .find_code(&CodeHash::new(hash(1)))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(format!("{code:?}"), format!("{:?}", written.code));
    assert_eq!(format!("{grant:?}"), format!("{:?}", written.grant));
    let grant = store.find_grant(&first_grant()).await.unwrap().unwrap();
    assert_eq!(format!("{grant:?}"), format!("{:?}", written.grant));
    let methods = [
        None,
        Some(AuthMethod::None),
        Some(AuthMethod::ClientSecretBasic),
    ];
    for (n, method) in (2..).zip(methods) {
        let mut approval = approval(n, &client);
        approval.code.auth_method = method;
        store.approve(approval).await.unwrap();
        let found = store.find_code(&CodeHash::new(hash(n))).await.unwrap();
        assert_eq!(found.unwrap().0.auth_method, method);
    }
}

/// One call did it; family, unspent codes and remembered consent go with the grant.
pub async fn a_grant_is_taken_back_once_with_all_that_hangs_on_it(store: Arc<dyn Store>) {
    let (_, grant) = opened(&*store, 1).await;
    let answers = race(20, |_| {
        let (store, id) = (store.clone(), grant.id.clone());
        async move {
            let revoked = store.revoke_grant(&id, audit(Event::GrantRevoked));
            revoked.await.unwrap()
        }
    });
    assert_eq!(count(&answers.await, &true), 1);
    assert_eq!(lines(&*store, Event::GrantRevoked).await, 1);
    let (family, after) = found(&*store, 1).await;
    assert!(family.revoked && after.revoked);
    assert!(after.version > grant.version);
    let remembered = store.remembered_consent(
        &grant.user,
        &grant.client,
        &grant.metadata_digest,
        RESOURCE,
        NOW,
    );
    assert_eq!(remembered.await.unwrap(), None);
    let nobody = store
        .revoke_grant(&GrantId::new("g_99"), audit(Event::GrantRevoked))
        .await;
    assert!(!nobody.unwrap());
}

/// R10: another person, client, digest, resource or time is asked again.
pub async fn consent_is_remembered_for_exactly_what_was_shown(store: Arc<dyn Store>) {
    let client = approved(&*store, 1).await;
    let other = approved(&*store, 2).await;
    let digest = client.metadata.security_digest();
    let elsewhere = "https://other.example/mcp";
    #[rustfmt::skip]
    let cases = [
        (user(1).id, client.key, digest,  RESOURCE,  at(0),      true),
        (user(1).id, client.key, digest,  RESOURCE,  at(86_399), true),
        (user(1).id, client.key, digest,  RESOURCE,  at(86_400), false),
        (user(2).id, client.key, digest,  RESOURCE,  at(0),      false),
        (user(1).id, other.key,  digest,  RESOURCE,  at(0),      false),
        (user(1).id, client.key, hash(1), RESOURCE,  at(0),      false),
        (user(1).id, client.key, digest,  elsewhere, at(0),      false),
    ];
    for (row, (user, client, digest, resource, now, remembered)) in cases.into_iter().enumerate() {
        let found = store
            .remembered_consent(&user, &client, &digest, resource, now)
            .await;
        let expected = remembered.then(|| ScopeSet::from_text("mcp:read mcp:write"));
        assert_eq!(found.unwrap(), expected, "row {row}");
    }
    // Without the wish to remember nothing is.
    let once = Approval {
        remember_until: None,
        ..approval(3, &client)
    };
    store.approve(once).await.unwrap();
    let found = store
        .remembered_consent(&user(3).id, &client.key, &digest, RESOURCE, NOW)
        .await;
    assert_eq!(found.unwrap(), None);
}

/// What a person sees under "agents I connected".
pub async fn live_grants_are_listed_newest_first(store: Arc<dyn Store>) {
    let client = client("vdr_1", Door::Dcr);
    for n in 1..=5 {
        let mut approval = approval(n, &client);
        approval.grant.user = user(1).id;
        approval.grant.created_at = at(n as u64);
        store.approve(approval).await.unwrap();
    }
    store.approve(approval(6, &client)).await.unwrap();
    let revoked = store
        .revoke_grant(&GrantId::new("g_3"), audit(Event::GrantRevoked))
        .await;
    assert!(revoked.unwrap());
    let ids = |grants: Vec<crate::grants::Grant>| -> Vec<String> {
        grants.iter().map(|grant| grant.id.to_string()).collect()
    };
    let all = store.list_grants(&user(1).id, 10).await.unwrap();
    assert_eq!(ids(all), ["g_5", "g_4", "g_2", "g_1"]);
    let two = store.list_grants(&user(1).id, 2).await.unwrap();
    assert_eq!(ids(two), ["g_5", "g_4"]);
    let nobody = store.list_grants(&UserId::new("u_none"), 10).await.unwrap();
    assert!(nobody.is_empty());
}
