//! What [`crate::UserStore`] promises, for `store_conformance_suite!`.

use std::sync::Arc;

use vestibule_protocol::{audit::Event, ids::UserId};

use super::make::{NOW, at, audit, count, lines, race, session, trail, user};
use crate::{Store, users::User};

async fn add(store: &dyn Store, user: &User) {
    let added = store.add_user(user.clone(), audit(Event::UserMade)).await;
    assert!(added.unwrap());
}

async fn has_session(store: &dyn Store, n: usize, user: &User) -> bool {
    let found = store.find_session(&session(n, user).hash, NOW).await;
    found.unwrap().is_some()
}

/// ASCII case is folded and nothing else, so that no two look-alike spellings are one account.
pub async fn names_are_unique_without_regard_to_case(store: Arc<dyn Store>) {
    let names = ["anna", "Anna", "ANNA", "aNNa"];
    let answers = race(20, |n| {
        let store = store.clone();
        let user = User {
            name: names
                .iter()
                .cycle()
                .nth(n)
                .copied()
                .unwrap_or("anna")
                .to_owned(),
            ..user(n)
        };
        async move { store.add_user(user, audit(Event::UserMade)).await.unwrap() }
    });
    assert_eq!(count(&answers.await, &true), 1);
    assert_eq!(store.count_users().await.unwrap(), 1);
    assert_eq!(lines(&*store, Event::UserMade).await, 1);
    for name in names {
        let found = store.find_user_by_name(name).await.unwrap();
        assert!(found.is_some(), "{name}");
    }
    for (n, other) in ["änna", "Änna", "anna ", "ann%"].into_iter().enumerate() {
        assert!(store.find_user_by_name(other).await.unwrap().is_none());
        let user = User {
            name: other.to_owned(),
            ..user(100 + n)
        };
        add(&*store, &user).await;
    }
}

/// Every field comes back; the name as it was given.
pub async fn a_person_is_found_by_name_and_by_id(store: Arc<dyn Store>) {
    let written = User {
        name: "Anna".to_owned(),
        display_name: Some("Anna with a name".to_owned()),
        email: Some("anna@example.org".to_owned()),
        admin: true,
        created_at: at(9),
        ..user(1)
    };
    add(&*store, &written).await;
    add(&*store, &user(2)).await;
    let by_name = store.find_user_by_name("ANNA").await.unwrap().unwrap();
    let by_id = store.find_user(&written.id).await.unwrap().unwrap();
    for read in [by_name, by_id] {
        assert_eq!(format!("{read:?}"), format!("{written:?}"));
    }
    assert!(
        store
            .find_user(&UserId::new("u_9"))
            .await
            .unwrap()
            .is_none()
    );
    assert!(store.find_user_by_name("nobody").await.unwrap().is_none());
}

/// Whoever stole a session loses it, in the same transaction.
pub async fn a_new_password_ends_the_sessions(store: Arc<dyn Store>) {
    let (one, other) = (user(1), user(2));
    for (n, user) in [(1, &one), (2, &one), (3, &other)] {
        if n != 2 {
            add(&*store, user).await;
        }
        store.open_session(session(n, user), None).await.unwrap();
    }
    let changed = store.set_password(&one.id, "$argon2id$new", audit(Event::UserChanged));
    assert!(changed.await.unwrap());
    assert!(!has_session(&*store, 1, &one).await);
    assert!(!has_session(&*store, 2, &one).await);
    assert!(has_session(&*store, 3, &other).await);
    let read = store.find_user(&one.id).await.unwrap().unwrap();
    assert_eq!(read.password_hash, "$argon2id$new");
    let untouched = store.find_user(&other.id).await.unwrap().unwrap();
    assert_eq!(untouched.password_hash, other.password_hash);
}

/// Disabling ends sessions, also those that open at the same moment; enabling revives none.
pub async fn a_disabled_person_has_no_session(store: Arc<dyn Store>) {
    let person = user(1);
    add(&*store, &person).await;
    store.open_session(session(1, &person), None).await.unwrap();
    let disabled = store.set_disabled(&person.id, true, audit(Event::UserChanged));
    assert!(disabled.await.unwrap());
    assert!(!has_session(&*store, 1, &person).await);
    assert!(store.find_user(&person.id).await.unwrap().unwrap().disabled);
    store.open_session(session(2, &person), None).await.unwrap();
    assert!(!has_session(&*store, 2, &person).await);
    let enabled = store.set_disabled(&person.id, false, audit(Event::UserChanged));
    assert!(enabled.await.unwrap());
    assert!(!has_session(&*store, 1, &person).await);
    assert!(!store.find_user(&person.id).await.unwrap().unwrap().disabled);
}

/// And leave no line in the trail.
pub async fn changes_of_nobody_are_refused(store: Arc<dyn Store>) {
    let nobody = UserId::new("u_9");
    let changed = store.set_password(&nobody, "x", audit(Event::UserChanged));
    assert!(!changed.await.unwrap());
    let disabled = store.set_disabled(&nobody, true, audit(Event::UserChanged));
    assert!(!disabled.await.unwrap());
    store.note_failed_sign_in(&nobody, NOW).await.unwrap();
    assert!(trail(&*store).await.is_empty());
    assert_eq!(store.count_users().await.unwrap(), 0);
}

/// It is a count beside the account; how often it is written is for the backend's own tests.
pub async fn a_failed_sign_in_changes_nothing_that_is_seen(store: Arc<dyn Store>) {
    let person = user(1);
    add(&*store, &person).await;
    let before = trail(&*store).await;
    race(50, |_| {
        let (store, id) = (store.clone(), person.id.clone());
        async move { store.note_failed_sign_in(&id, NOW).await.unwrap() }
    })
    .await;
    let read = store.find_user(&person.id).await.unwrap().unwrap();
    assert_eq!(format!("{read:?}"), format!("{person:?}"));
    assert_eq!(trail(&*store).await, before);
}

/// For the admin's list.
pub async fn people_are_listed_by_name(store: Arc<dyn Store>) {
    for (n, name) in ["carla", "Anna", "bert"].into_iter().enumerate() {
        let user = User {
            name: name.to_owned(),
            ..user(n)
        };
        add(&*store, &user).await;
    }
    let names = |users: Vec<User>| users.into_iter().map(|user| user.name).collect::<Vec<_>>();
    let all = names(store.list_users(10).await.unwrap());
    assert_eq!(all, ["Anna", "bert", "carla"]);
    assert_eq!(names(store.list_users(2).await.unwrap()), ["Anna", "bert"]);
    assert_eq!(store.count_users().await.unwrap(), 3);
}
