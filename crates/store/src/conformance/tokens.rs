//! What [`crate::TokenStore`] promises, for `store_conformance_suite!`: the refresh state machine
//! of `design-details.md`, section B, row by row.

use std::sync::Arc;

use vestibule_protocol::{
    audit::Event,
    client_id::ClientKey,
    ids::{FamilyId, GrantId},
};

use super::make::{
    NOW, approved, assertion, at, audit, count, found, hash, lines, opened, opened_with, race,
    rotation, spending,
};
use crate::{
    Store,
    grants::{Assertion, AssertionUse, Grant, NewFamily},
    tokens::{Family, Rotated, Rotation},
};

async fn rotate(store: &dyn Store, rotation: Rotation) -> Rotated {
    store.rotate(rotation).await.unwrap()
}

fn repeat(generation: u64) -> Rotated {
    Rotated::Repeat { generation }
}

/// Nothing about the family is another than before.
async fn is_untouched(store: &dyn Store, n: usize, before: &(Family, Grant)) -> bool {
    format!("{:?}", found(store, n).await) == format!("{before:?}")
}

/// A family that does not rotate.
async fn opened_steady(store: &dyn Store, n: usize) -> (Family, Grant) {
    let mut steady = spending(n);
    steady.family = steady.family.map(|family| NewFamily {
        rotates: false,
        ..family
    });
    opened_with(store, n, steady).await
}

/// RT-02, T6: section 17, test 1: each use moves the generation by one.
pub async fn generations_move_one_by_one(store: Arc<dyn Store>) {
    let (family, _) = opened(&*store, 1).await;
    for generation in 0..10 {
        let seconds = generation * 100;
        assert_eq!(
            rotate(&*store, rotation(&family, generation, seconds)).await,
            Rotated::Moved
        );
        let (now, _) = found(&*store, 1).await;
        assert_eq!(now.generation, generation + 1);
        assert_eq!(
            (now.rotated_at, now.last_used_at),
            (at(seconds), at(seconds))
        );
    }
}

/// RT-11, T6: section 17, tests 2 and 8: one step, and every success agrees on the successor.
pub async fn of_many_parallel_refreshes_one_moves_and_the_others_repeat(store: Arc<dyn Store>) {
    let (family, _) = opened(&*store, 1).await;
    for (generation, tasks) in [(0, 50), (1, 200)] {
        let answers = race(tasks, |_| {
            let (store, rotation) = (store.clone(), rotation(&family, generation, 5));
            async move { store.rotate(rotation).await.unwrap() }
        });
        let answers = answers.await;
        assert_eq!(count(&answers, &Rotated::Moved), 1);
        assert_eq!(count(&answers, &repeat(generation + 1)), tasks - 1);
        assert_eq!(found(&*store, 1).await.0.generation, generation + 1);
    }
    assert_eq!(lines(&*store, Event::RefreshReuse).await, 0);
}

/// RT-05, RT-11: section 17, tests 3 and 4: a lost answer is repeated for a while and no longer.
pub async fn a_retry_is_answered_alike_inside_the_window_only(store: Arc<dyn Store>) {
    #[rustfmt::skip]
    let cases = [
        // grace, seconds after the rotation, answer
        (60,   0, repeat(1)),
        (60,  10, repeat(1)),
        (60,  60, repeat(1)),
        (60,  61, Rotated::Reuse),
        (30,  30, repeat(1)),
        (30,  31, Rotated::Reuse),
        (300, 61, repeat(1)),
        (0,    0, Rotated::Reuse),
    ];
    for (n, (grace, seconds, expected)) in cases.into_iter().enumerate() {
        let (family, grant) = opened(&*store, n).await;
        assert_eq!(
            rotate(&*store, rotation(&family, 0, 1_000)).await,
            Rotated::Moved
        );
        let before = found(&*store, n).await;
        let retry = Rotation {
            grace_seconds: grace,
            ..rotation(&family, 0, 1_000 + seconds)
        };
        assert_eq!(rotate(&*store, retry).await, expected, "{grace} {seconds}");
        if expected == Rotated::Reuse {
            let (family, after) = found(&*store, n).await;
            assert!(family.revoked && after.revoked);
            // The successor dies with it, and so do the access tokens (RT-06).
            let successor = rotation(&family, 1, 1_000 + seconds);
            assert_eq!(rotate(&*store, successor).await, Rotated::Dead);
            assert!(
                !store
                    .token_is_live(Some(&grant.id), &hash(1))
                    .await
                    .unwrap()
            );
        } else {
            assert!(is_untouched(&*store, n, &before).await);
        }
    }
    assert_eq!(lines(&*store, Event::RefreshReuse).await, 3);
}

/// RT-05: section 17, test 5: the window is for the previous generation, not for every one.
pub async fn two_generations_back_is_reuse_inside_the_window_too(store: Arc<dyn Store>) {
    let (family, _) = opened(&*store, 1).await;
    for generation in 0..2 {
        assert_eq!(
            rotate(&*store, rotation(&family, generation, 0)).await,
            Rotated::Moved
        );
    }
    assert_eq!(
        rotate(&*store, rotation(&family, 0, 1)).await,
        Rotated::Reuse
    );
    assert_eq!(
        rotate(&*store, rotation(&family, 2, 1)).await,
        Rotated::Dead
    );
    assert_eq!(lines(&*store, Event::RefreshReuse).await, 1);
}

/// RT-01: section 17, test 6: whoever stole an old token cannot kill the family with it.
pub async fn another_client_changes_nothing(store: Arc<dyn Store>) {
    let (family, _) = opened(&*store, 1).await;
    for generation in 0..2 {
        assert_eq!(
            rotate(&*store, rotation(&family, generation, 0)).await,
            Rotated::Moved
        );
    }
    let before = found(&*store, 1).await;
    for generation in 0..5 {
        let stolen = Rotation {
            client: ClientKey::of("thief"),
            ..rotation(&family, generation, 1_000)
        };
        assert_eq!(rotate(&*store, stolen).await, Rotated::Dead, "{generation}");
    }
    assert!(is_untouched(&*store, 1, &before).await);
    assert_eq!(lines(&*store, Event::RefreshReuse).await, 0);
}

/// RT-05: section 17, test 7: a window of zero is strict.
pub async fn without_a_window_the_second_use_revokes(store: Arc<dyn Store>) {
    let (family, _) = opened(&*store, 1).await;
    let answers = race(2, |_| {
        let strict = Rotation {
            grace_seconds: 0,
            ..rotation(&family, 0, 5)
        };
        let store = store.clone();
        async move { store.rotate(strict).await.unwrap() }
    });
    let answers = answers.await;
    assert_eq!(count(&answers, &Rotated::Moved), 1);
    assert_eq!(count(&answers, &Rotated::Reuse), 1);
    assert!(found(&*store, 1).await.0.revoked);
}

/// RT-05: one revocation, one line, however many come with the old token.
pub async fn parallel_reuse_is_found_once(store: Arc<dyn Store>) {
    let (family, _) = opened(&*store, 1).await;
    assert_eq!(
        rotate(&*store, rotation(&family, 0, 0)).await,
        Rotated::Moved
    );
    let answers = race(20, |_| {
        let (store, rotation) = (store.clone(), rotation(&family, 0, 500));
        async move { store.rotate(rotation).await.unwrap() }
    });
    let answers = answers.await;
    assert_eq!(count(&answers, &Rotated::Reuse), 1);
    assert_eq!(count(&answers, &Rotated::Dead), 19);
    assert_eq!(lines(&*store, Event::RefreshReuse).await, 1);
}

/// T9: the MAC was right, so the database lost a commit; never a revocation.
pub async fn a_token_newer_than_its_row_moves_the_row_forward(store: Arc<dyn Store>) {
    let (family, _) = opened(&*store, 1).await;
    assert_eq!(
        rotate(&*store, rotation(&family, 7, 5)).await,
        Rotated::FastForward
    );
    let (after, grant) = found(&*store, 1).await;
    assert_eq!(after.generation, 8);
    assert_eq!(after.rotated_at, at(5));
    assert!(!after.revoked && !grant.revoked);
    assert_eq!(lines(&*store, Event::StoreWentBack).await, 1);
    assert_eq!(lines(&*store, Event::RefreshReuse).await, 0);
    assert_eq!(rotate(&*store, rotation(&family, 7, 6)).await, repeat(8));
    assert_eq!(
        rotate(&*store, rotation(&family, 8, 6)).await,
        Rotated::Moved
    );
    // The same guards as for a plain rotation.
    let thief = Rotation {
        client: ClientKey::of("thief"),
        ..rotation(&family, 20, 7)
    };
    assert_eq!(rotate(&*store, thief).await, Rotated::Dead);
    assert_eq!(found(&*store, 1).await.0.generation, 9);
}

/// RT-09: what was read while the answer was prepared is no more; nothing is written.
pub async fn a_changed_grant_asks_to_prepare_again(store: Arc<dyn Store>) {
    let (family, _) = opened(&*store, 1).await;
    let before = found(&*store, 1).await;
    for generation in [0, 5] {
        let prepared_before = Rotation {
            grant_version: 0,
            assertion: Some(assertion(family.client, 5)),
            ..rotation(&family, generation, 5)
        };
        assert_eq!(
            rotate(&*store, prepared_before).await,
            Rotated::Changed,
            "{generation}"
        );
    }
    assert!(is_untouched(&*store, 1, &before).await);
    // The same assertion serves the second try.
    let again = Rotation {
        assertion: Some(assertion(family.client, 5)),
        ..rotation(&family, 0, 5)
    };
    assert_eq!(rotate(&*store, again).await, Rotated::Moved);
}

/// RT-07: idle and absolute end; at the second itself it is over.
pub async fn an_expired_family_changes_nothing(store: Arc<dyn Store>) {
    let (idle, absolute) = (2 * 86_400, 7 * 86_400);
    for (n, ends_at) in [(1, idle), (2, absolute)] {
        let mut spending = spending(n);
        spending.family = spending.family.map(|family| NewFamily {
            idle_until: at(ends_at),
            ..family
        });
        let before = opened_with(&*store, n, spending).await;
        for seconds in [ends_at, ends_at + 1] {
            for generation in [0, 3] {
                let late = rotation(&before.0, generation, seconds);
                assert_eq!(rotate(&*store, late).await, Rotated::Dead, "{seconds}");
            }
        }
        assert!(is_untouched(&*store, n, &before).await);
        let last_second = rotation(&before.0, 0, ends_at - 1);
        assert_eq!(rotate(&*store, last_second).await, Rotated::Moved);
    }
}

/// RT-07: rotation moves the idle end as the caller computed it, and the absolute end never.
pub async fn a_refresh_never_moves_the_absolute_end(store: Arc<dyn Store>) {
    let (family, _) = opened(&*store, 1).await;
    for (generation, seconds) in [(0, 86_400), (1, 2 * 86_400), (2, 3 * 86_400)] {
        let rotation = rotation(&family, generation, seconds);
        let idle_until = rotation.idle_until;
        assert_eq!(rotate(&*store, rotation).await, Rotated::Moved);
        let (after, _) = found(&*store, 1).await;
        assert_eq!(after.idle_until, idle_until);
        assert_eq!(after.absolute_until, family.absolute_until);
    }
}

/// RT-09: revoked by a person, or never there.
pub async fn a_dead_family_stays_dead(store: Arc<dyn Store>) {
    let (family, grant) = opened(&*store, 1).await;
    let revoked = store.revoke_grant(&grant.id, audit(Event::GrantRevoked));
    assert!(revoked.await.unwrap());
    let unknown = Family {
        id: FamilyId::new([0xee; 16]),
        ..family.clone()
    };
    for dead in [&family, &unknown] {
        for generation in 0..3 {
            for grant_version in 1..3 {
                let rotation = Rotation {
                    grant_version,
                    ..rotation(dead, generation, 5)
                };
                assert_eq!(rotate(&*store, rotation.clone()).await, Rotated::Dead);
                let touched = store.touch_family(rotation).await.unwrap();
                assert_eq!(touched, Rotated::Dead);
            }
        }
    }
    assert!(store.find_family(&unknown.id).await.unwrap().is_none());
    assert_eq!(lines(&*store, Event::RefreshReuse).await, 0);
    assert_eq!(lines(&*store, Event::StoreWentBack).await, 0);
}

/// JCA-07: a replayed assertion moves nothing.
pub async fn a_used_assertion_leaves_the_family_alone(store: Arc<dyn Store>) {
    let (family, _) = opened(&*store, 1).await;
    let used = store.use_assertion(assertion(family.client, 5), NOW).await;
    assert_eq!(used.unwrap(), Assertion::First);
    let before = found(&*store, 1).await;
    let with = |n| Rotation {
        assertion: Some(assertion(family.client, n)),
        ..rotation(&family, 0, 5)
    };
    let refused = Rotated::AssertionRefused(Assertion::Replayed);
    assert_eq!(rotate(&*store, with(5)).await, refused);
    assert_eq!(store.touch_family(with(5)).await.unwrap(), refused);
    assert!(is_untouched(&*store, 1, &before).await);
    assert_eq!(rotate(&*store, with(6)).await, Rotated::Moved);
    assert_eq!(rotate(&*store, with(6)).await, refused);
}

/// RT-03: confidential clients keep their token; its use is written down at most hourly.
pub async fn a_family_that_does_not_rotate_is_touched_once_an_hour(store: Arc<dyn Store>) {
    let (family, _) = opened_steady(&*store, 1).await;
    #[rustfmt::skip]
    let cases = [
        // seconds, last use afterwards
        (0,     0),
        (600,   0),
        (3_599, 0),
        (3_600, 3_600),
        (3_700, 3_600),
        (7_200, 7_200),
    ];
    for (seconds, last_use) in cases {
        let touched = store.touch_family(rotation(&family, 0, seconds)).await;
        assert_eq!(touched.unwrap(), Rotated::Moved, "{seconds}");
        let (after, _) = found(&*store, 1).await;
        assert_eq!(after.last_used_at, at(last_use), "{seconds}");
        assert_eq!(after.generation, 0);
        assert_eq!(after.idle_until, at(last_use + 2 * 86_400));
    }
    let thief = Rotation {
        client: ClientKey::of("thief"),
        ..rotation(&family, 0, 9_000)
    };
    assert_eq!(store.touch_family(thief).await.unwrap(), Rotated::Dead);
    let late = rotation(&family, 0, 7_200 + 2 * 86_400);
    assert_eq!(store.touch_family(late).await.unwrap(), Rotated::Dead);
    // An assertion is used up also when the use is not written down.
    let with = |seconds| Rotation {
        assertion: Some(assertion(family.client, 5)),
        ..rotation(&family, 0, seconds)
    };
    assert_eq!(
        store.touch_family(with(7_300)).await.unwrap(),
        Rotated::Moved
    );
    let again = store.touch_family(with(7_301)).await.unwrap();
    assert_eq!(again, Rotated::AssertionRefused(Assertion::Replayed));
}

/// RT-05: the family and its grant, by one call.
pub async fn a_family_is_ended_once(store: Arc<dyn Store>) {
    let (family, _) = opened(&*store, 1).await;
    let answers = race(20, |_| {
        let (store, id) = (store.clone(), family.id);
        async move {
            let revoked = store.revoke_family(&id, audit(Event::TokenRevoked));
            revoked.await.unwrap()
        }
    });
    assert_eq!(count(&answers.await, &true), 1);
    let (family, grant) = found(&*store, 1).await;
    assert!(family.revoked && grant.revoked);
    assert_eq!(lines(&*store, Event::TokenRevoked).await, 1);
    let unknown = FamilyId::new([0xee; 16]);
    let nothing = store.revoke_family(&unknown, audit(Event::TokenRevoked));
    assert!(!nothing.await.unwrap());
}

/// REV-07: one token by its id, all tokens by their grant.
pub async fn a_revoked_token_id_is_refused_and_others_are_not(store: Arc<dyn Store>) {
    approved(&*store, 1).await;
    approved(&*store, 2).await;
    let (live, dead, unknown) = (
        GrantId::new("g_1"),
        GrantId::new("g_2"),
        GrantId::new("g_9"),
    );
    for _ in 0..2 {
        let revoked = store.revoke_token_id(hash(5), at(600), audit(Event::TokenRevoked));
        revoked.await.unwrap();
    }
    assert_eq!(lines(&*store, Event::TokenRevoked).await, 1);
    let revoked = store.revoke_grant(&dead, audit(Event::GrantRevoked));
    assert!(revoked.await.unwrap());
    #[rustfmt::skip]
    let cases = [
        (None,           5, false),
        (None,           6, true),
        (Some(&live),    5, false),
        (Some(&live),    6, true),
        (Some(&dead),    6, false),
        (Some(&unknown), 6, false),
    ];
    for (grant, jti, is_live) in cases {
        let answer = store.token_is_live(grant, &hash(jti)).await.unwrap();
        assert_eq!(answer, is_live, "{grant:?} {jti}");
    }
}

/// JCA-07: once, whoever else comes at the same moment.
pub async fn of_many_uses_of_an_assertion_one_is_first(store: Arc<dyn Store>) {
    let client = approved(&*store, 1).await.key;
    let answers = race(50, |_| {
        let store = store.clone();
        async move {
            store
                .use_assertion(assertion(client, 5), NOW)
                .await
                .unwrap()
        }
    });
    let answers = answers.await;
    assert_eq!(count(&answers, &Assertion::First), 1);
    assert_eq!(count(&answers, &Assertion::Replayed), 49);
    // The same `jti` of another client is another assertion.
    let other = store.use_assertion(assertion(ClientKey::of("other"), 5), NOW);
    assert_eq!(other.await.unwrap(), Assertion::First);
}

/// Design section 5: capped per client; full refuses, never evicts.
pub async fn a_client_with_too_many_assertions_is_refused_and_nothing_is_evicted(
    store: Arc<dyn Store>,
) {
    let client = approved(&*store, 1).await.key;
    let capped = |n| AssertionUse {
        rows_max: 10,
        ..assertion(client, n)
    };
    let answers = race(30, |n| {
        let (store, assertion) = (store.clone(), capped(n));
        async move { store.use_assertion(assertion, NOW).await.unwrap() }
    });
    let answers = answers.await;
    assert_eq!(count(&answers, &Assertion::First), 10);
    assert_eq!(count(&answers, &Assertion::Full), 20);
    for (n, answer) in answers.iter().enumerate() {
        if *answer == Assertion::First {
            let again = store.use_assertion(capped(n), NOW).await.unwrap();
            assert_eq!(again, Assertion::Replayed, "{n}");
        }
    }
    // Past their end they no longer count.
    let later = AssertionUse {
        expires_at: at(900),
        ..capped(99)
    };
    assert_eq!(
        store.use_assertion(later, at(300)).await.unwrap(),
        Assertion::First
    );
}
