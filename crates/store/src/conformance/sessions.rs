//! What [`crate::SessionStore`] promises, for `store_conformance_suite!`.

use std::sync::Arc;

use vestibule_protocol::audit::Event;

use super::make::{NOW, at, audit, count, race, session, user};
use crate::{Store, users::User};

async fn person(store: &dyn Store) -> User {
    let person = user(1);
    let added = store.add_user(person.clone(), audit(Event::UserMade)).await;
    assert!(added.unwrap());
    person
}

/// At `expires_at` it is over; before, it comes with its person.
pub async fn a_session_is_live_until_its_end(store: Arc<dyn Store>) {
    let person = person(&*store).await;
    let written = session(1, &person);
    store.open_session(written.clone(), None).await.unwrap();
    for (now, lives) in [(0, true), (3_599, true), (3_600, false), (9_999, false)] {
        let found = store.find_session(&written.hash, at(now)).await.unwrap();
        assert_eq!(found.is_some(), lives, "{now}");
        if let Some((session, user)) = found {
            assert_eq!(format!("{session:?}"), format!("{written:?}"));
            assert_eq!(user.id, person.id);
        }
    }
    let unknown = store.find_session(&session(2, &person).hash, NOW).await;
    assert!(unknown.unwrap().is_none());
}

/// A12: a new id at sign-in, and the old one is dead.
pub async fn signing_in_ends_the_session_of_before(store: Arc<dyn Store>) {
    let person = person(&*store).await;
    let (old, new) = (session(1, &person), session(2, &person));
    store.open_session(old.clone(), None).await.unwrap();
    let opened = store.open_session(new.clone(), Some(&old.hash)).await;
    opened.unwrap();
    assert!(store.find_session(&old.hash, NOW).await.unwrap().is_none());
    assert!(store.find_session(&new.hash, NOW).await.unwrap().is_some());
    // An old id that is unknown is no problem.
    let third = store.open_session(session(3, &person), Some(&old.hash));
    third.await.unwrap();
}

/// Sign out.
pub async fn a_session_is_closed_once(store: Arc<dyn Store>) {
    let person = person(&*store).await;
    let hash = session(1, &person).hash;
    store.open_session(session(1, &person), None).await.unwrap();
    let answers = race(10, |_| {
        let store = store.clone();
        async move { store.close_session(&hash).await.unwrap() }
    });
    assert_eq!(count(&answers.await, &true), 1);
    assert!(store.find_session(&hash, NOW).await.unwrap().is_none());
}

/// A session without an account signs nobody in.
pub async fn a_session_of_nobody_is_none(store: Arc<dyn Store>) {
    let nobody = user(9);
    store.open_session(session(1, &nobody), None).await.unwrap();
    let found = store.find_session(&session(1, &nobody).hash, NOW).await;
    assert!(found.unwrap().is_none());
}
