//! What [`crate::SettingsStore`] promises, for `store_conformance_suite!`.

use std::sync::Arc;

use vestibule_protocol::audit::Event;

use super::make::{NOW, at, audit, count, hash, lines, race, trail, user};
use crate::{Store, settings::InitialToken, users::User};

fn token(n: usize, uses_left: u32) -> InitialToken {
    InitialToken {
        hash: hash(n << 32),
        note: "for a test".to_owned(),
        uses_left,
        expires_at: at(600),
        scopes: None,
        redirect_hosts: Vec::new(),
        client_credentials: false,
        created_at: NOW,
    }
}

async fn add(store: &dyn Store, token: &InitialToken) {
    let added = store.add_initial_token(token.clone(), audit(Event::InitialTokenMade));
    added.await.unwrap();
}

/// Sequence 0 means that the defaults hold.
pub async fn settings_are_empty_before_the_first_save(store: Arc<dyn Store>) {
    let settings = store.load_settings().await.unwrap();
    assert_eq!((settings.seq, settings.document.as_str()), (0, ""));
}

/// Two admins who read the same settings do not undo each other's change.
pub async fn of_many_savers_one_wins(store: Arc<dyn Store>) {
    for seq in 0..3 {
        let answers = race(20, |n| {
            let store = store.clone();
            async move {
                let document = format!(r#"{{"saver":{n}}}"#);
                let saved = store.save_settings(seq, &document, audit(Event::SettingsChanged));
                (n, saved.await.unwrap())
            }
        });
        let answers = answers.await;
        let won: Vec<_> = answers
            .iter()
            .filter(|(_, saved)| saved.is_some())
            .collect();
        assert_eq!(won.len(), 1);
        let (winner, saved) = won.first().unwrap();
        assert_eq!(*saved, Some(seq + 1));
        let settings = store.load_settings().await.unwrap();
        assert_eq!(settings.seq, seq + 1);
        assert_eq!(settings.document, format!(r#"{{"saver":{winner}}}"#));
    }
    assert_eq!(lines(&*store, Event::SettingsChanged).await, 3);
    let ahead = store.save_settings(9, "{}", audit(Event::SettingsChanged));
    assert_eq!(ahead.await.unwrap(), None);
}

/// MCP-07: the first start decides which issuer the data belongs to, on however many nodes.
pub async fn the_first_issuer_is_kept(store: Arc<dyn Store>) {
    assert_eq!(store.load_issuer().await.unwrap(), None);
    let answers = race(20, |n| {
        let store = store.clone();
        async move {
            let issuer = format!("https://hub{n}.example");
            store.keep_issuer(&issuer).await.unwrap()
        }
    });
    let answers = answers.await;
    let kept = store.load_issuer().await.unwrap().unwrap();
    assert_eq!(count(&answers, &kept), 20);
}

/// MCP-07: a takeover names what it replaces, so of two at once one is refused.
pub async fn an_issuer_is_replaced_by_whoever_names_the_kept_one(store: Arc<dyn Store>) {
    let (old, new) = ("https://old.example", "https://new.example");
    let entry = || audit(Event::SettingsChanged);
    let none = store.replace_issuer(old, new, entry()).await.unwrap();
    assert!(!none, "nothing is kept yet");
    store.keep_issuer(old).await.unwrap();
    let wrong = store.replace_issuer(new, old, entry()).await.unwrap();
    assert!(!wrong);
    let answers = race(10, |_| {
        let store = store.clone();
        async move {
            let replaced = store.replace_issuer(old, new, audit(Event::SettingsChanged));
            replaced.await.unwrap()
        }
    });
    assert_eq!(count(&answers.await, &true), 1);
    assert_eq!(store.keep_issuer(old).await.unwrap(), new);
    assert_eq!(lines(&*store, Event::SettingsChanged).await, 1);
}

/// Every field comes back; the list has the newest first.
pub async fn an_initial_token_reads_back_as_it_was_written(store: Arc<dyn Store>) {
    let written = InitialToken {
        scopes: Some("mcp:read".to_owned()),
        redirect_hosts: vec!["app.example".to_owned(), "b.example".to_owned()],
        client_credentials: true,
        created_at: at(5),
        ..token(1, 3)
    };
    add(&*store, &token(2, 1)).await;
    add(&*store, &written).await;
    let read = store
        .find_initial_token(&written.hash, NOW)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(format!("{read:?}"), format!("{written:?}"));
    let plain = store
        .find_initial_token(&token(2, 1).hash, NOW)
        .await
        .unwrap()
        .unwrap();
    assert!(plain.redirect_hosts.is_empty());
    let all = store.list_initial_tokens(10).await.unwrap();
    let hashes: Vec<_> = all.iter().map(|token| token.hash).collect();
    assert_eq!(hashes, [written.hash, token(2, 1).hash]);
    assert_eq!(store.list_initial_tokens(1).await.unwrap().len(), 1);
}

/// The count bounds what strangers may write, also when they come at once.
pub async fn an_initial_token_is_spent_no_more_than_it_allows(store: Arc<dyn Store>) {
    add(&*store, &token(1, 7)).await;
    add(&*store, &token(2, 1)).await;
    let answers = race(50, |_| {
        let store = store.clone();
        async move {
            store
                .spend_initial_token(&token(1, 7).hash, NOW)
                .await
                .unwrap()
        }
    });
    assert_eq!(count(&answers.await, &true), 7);
    let spent = store.find_initial_token(&token(1, 7).hash, NOW).await;
    assert!(spent.unwrap().is_none());
    assert!(
        store
            .spend_initial_token(&token(2, 1).hash, NOW)
            .await
            .unwrap()
    );
    assert!(!store.spend_initial_token(&hash(99), NOW).await.unwrap());
}

/// At `expires_at` it is over.
pub async fn an_initial_token_dies_at_its_end(store: Arc<dyn Store>) {
    let token = token(1, 10);
    add(&*store, &token).await;
    for (now, lives) in [(0, true), (599, true), (600, false), (601, false)] {
        let found = store
            .find_initial_token(&token.hash, at(now))
            .await
            .unwrap();
        assert_eq!(found.is_some(), lives, "{now}");
        let spent = store
            .spend_initial_token(&token.hash, at(now))
            .await
            .unwrap();
        assert_eq!(spent, lives, "{now}");
    }
}

/// At least eight digits, no patterns, and never more than one token.
pub async fn an_initial_token_is_taken_back_by_the_start_of_its_hash(store: Arc<dyn Store>) {
    for n in 1..=3 {
        add(&*store, &token(n, 5)).await;
    }
    let mut twin = token(3, 5);
    if let Some(last) = twin.hash.last_mut() {
        *last ^= 1;
    }
    add(&*store, &twin).await;
    #[rustfmt::skip]
    let cases = [
        ("",                                 false),
        ("0000000",                          false),
        ("%%%%%%%%",                         false),
        ("________",                         false),
        ("000000020",                        true),
        ("000000020",                        false),
        // Two begin like this.
        ("0000000300000000",                 false),
        ("ffffffffff",                       false),
        ("0000000100000000",                 true),
    ];
    for (prefix, removed) in cases {
        let answer = store.remove_initial_token(prefix, audit(Event::InitialTokenRemoved));
        assert_eq!(answer.await.unwrap(), removed, "{prefix}");
    }
    assert_eq!(store.list_initial_tokens(10).await.unwrap().len(), 2);
    assert_eq!(lines(&*store, Event::InitialTokenRemoved).await, 2);
}

/// P12: the link makes one account, however many hold it.
pub async fn the_setup_link_makes_one_admin(store: Arc<dyn Store>) {
    store.put_setup_link(hash(1), at(600)).await.unwrap();
    assert!(store.setup_link_is_live(&hash(1), NOW).await.unwrap());
    let answers = race(20, |n| {
        let (store, user) = (
            store.clone(),
            User {
                admin: true,
                ..user(n)
            },
        );
        async move {
            let spent = store
                .spend_setup_link(&hash(1), user, NOW, audit(Event::SetUp))
                .await;
            spent.unwrap()
        }
    });
    assert_eq!(count(&answers.await, &true), 1);
    let people = store.list_users(10).await.unwrap();
    assert_eq!(people.len(), 1);
    assert!(people.iter().all(|user| user.admin));
    assert!(!store.setup_link_is_live(&hash(1), NOW).await.unwrap());
    assert_eq!(lines(&*store, Event::SetUp).await, 1);
}

/// Wrong link, late, or a hub that has people already: nothing is written.
pub async fn a_setup_link_is_dead_at_its_end_and_where_people_are(store: Arc<dyn Store>) {
    store.put_setup_link(hash(1), at(600)).await.unwrap();
    let spend = |link, now| {
        let store = store.clone();
        async move {
            let live = store.setup_link_is_live(&hash(link), now).await.unwrap();
            let spent = store
                .spend_setup_link(&hash(link), user(1), now, audit(Event::SetUp))
                .await;
            let spent = spent.unwrap();
            assert_eq!(live, spent);
            spent
        }
    };
    assert!(!spend(2, NOW).await);
    assert!(!spend(1, at(600)).await);
    let added = store.add_user(user(5), audit(Event::UserMade)).await;
    assert!(added.unwrap());
    assert!(!spend(1, NOW).await);
    assert_eq!(store.count_users().await.unwrap(), 1);
    assert_eq!(trail(&*store).await, [Event::UserMade]);
}

/// The hub prints a new link at each start without accounts.
pub async fn a_new_setup_link_replaces_the_old(store: Arc<dyn Store>) {
    store.put_setup_link(hash(1), at(600)).await.unwrap();
    store.put_setup_link(hash(2), at(900)).await.unwrap();
    assert!(!store.setup_link_is_live(&hash(1), NOW).await.unwrap());
    assert!(store.setup_link_is_live(&hash(2), at(899)).await.unwrap());
    assert!(!store.setup_link_is_live(&hash(2), at(900)).await.unwrap());
}
