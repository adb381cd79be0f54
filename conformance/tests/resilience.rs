//! What must hold when many come at once, when a stranger floods, and when the power goes.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use vestibule_conformance::{Doors, Stage, agent};

/// AC-06, T2: fifty at once, one grant; a replay after the retry window revokes it.
#[tokio::test(flavor = "multi_thread")]
async fn fifty_redemptions_of_one_code_give_one_grant_and_the_replay_revokes_it() {
    let stage = Arc::new(Stage::start(Doors::default()).await);
    let client = agent::register(&stage).await;
    let session = agent::sign_in(&stage).await;
    let code = agent::code(&stage, &client, &session).await.unwrap();
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let (stage, client, code) = (stage.clone(), client.clone(), code.clone());
            tokio::spawn(async move { agent::redeem(&stage, &client, &code).await.unwrap() })
        })
        .collect();
    let mut won = Vec::new();
    for task in tasks {
        let answer = task.await.unwrap();
        match answer.status {
            200 => won.push(answer.member("refresh_token")),
            400 => assert_eq!(answer.member("error"), "invalid_grant"),
            other => panic!("{other}: {}", answer.body),
        }
    }
    assert_eq!(won.len(), 1, "exactly one redemption wins");
    let alive = agent::refresh(&stage, &client, &won[0]).await.unwrap();
    assert_eq!(
        alive.status, 200,
        "a burst is a client's retry and harms nobody: {}",
        alive.body
    );
    tokio::time::sleep(Duration::from_millis(6_100)).await;
    let replay = agent::redeem(&stage, &client, &code).await.unwrap();
    assert_eq!(replay.member("error"), "invalid_grant");
    let dead = agent::refresh(&stage, &client, &alive.member("refresh_token"))
        .await
        .unwrap();
    assert_eq!(
        dead.member("error"),
        "invalid_grant",
        "the replay revoked the grant"
    );
}

/// T7, RT-11, QUIRK-30: fifty refreshes of one token give one successor.
#[tokio::test(flavor = "multi_thread")]
async fn fifty_refreshes_of_one_token_give_one_successor() {
    let stage = Arc::new(Stage::start(Doors::default()).await);
    let client = agent::register(&stage).await;
    let session = agent::sign_in(&stage).await;
    let code = agent::code(&stage, &client, &session).await.unwrap();
    let first = agent::redeem(&stage, &client, &code)
        .await
        .unwrap()
        .member("refresh_token");
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let (stage, client, first) = (stage.clone(), client.clone(), first.clone());
            tokio::spawn(async move { agent::refresh(&stage, &client, &first).await.unwrap() })
        })
        .collect();
    let mut successors = BTreeSet::new();
    for task in tasks {
        let answer = task.await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
        successors.insert(answer.member("refresh_token"));
    }
    assert_eq!(successors.len(), 1, "{successors:?}");
}

/// R15: strangers write nothing, however many come.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_registrations_leaves_the_data_folder_at_its_size() {
    let stage = Arc::new(Stage::start(Doors::default()).await);
    // The log moves into the file when nobody comes; wait for it, so that only the flood counts.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = stage.data_bytes();
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let stage = stage.clone();
            tokio::spawn(async move {
                for _ in 0..500 {
                    agent::register(&stage).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(stage.data_bytes(), before, "4,000 registrations");
}

/// T9: a hundred power cuts under load. Nothing that was answered is lost, nothing is redeemed
/// twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_kills_under_load_lose_nothing_that_was_answered() {
    let mut stage = Stage::start(Doors::default()).await;
    let client = agent::register(&stage).await;
    let mut session = agent::sign_in(&stage).await;
    let code = agent::code(&stage, &client, &session).await.unwrap();
    let mut refresh = agent::redeem(&stage, &client, &code)
        .await
        .unwrap()
        .member("refresh_token");
    let mut redeemed: Vec<String> = vec![code];
    for round in 0..100_u64 {
        let stop = Arc::new(AtomicBool::new(false));
        let load = {
            let (client, session, start) = (client.clone(), session.clone(), refresh.clone());
            let (stop, stage) = (stop.clone(), &stage);
            async move {
                let (mut latest, mut codes) = (start, Vec::new());
                while !stop.load(Ordering::Relaxed) {
                    // An answer that did not arrive is no answer; the same token is shown again.
                    let Some(answer) = agent::refresh(stage, &client, &latest).await else {
                        break;
                    };
                    assert_eq!(answer.status, 200, "round {round}: {}", answer.body);
                    latest = answer.member("refresh_token");
                    let Some(code) = agent::code(stage, &client, &session).await else {
                        break;
                    };
                    let Some(answer) = agent::redeem(stage, &client, &code).await else {
                        break;
                    };
                    assert_eq!(answer.status, 200, "round {round}: {}", answer.body);
                    codes.push(code);
                }
                (latest, codes)
            }
        };
        let pid = stage.hub_pid();
        let cut = async {
            // Another moment each round.
            tokio::time::sleep(Duration::from_millis(5 + round * 7 % 60)).await;
            vestibule_conformance::kill(pid);
            stop.store(true, Ordering::Relaxed);
        };
        let ((latest, codes), ()) = tokio::join!(load, cut);
        stage.kill_hub();
        stage.start_hub();
        let answer = agent::refresh(&stage, &client, &latest).await.unwrap();
        assert_eq!(
            answer.status, 200,
            "round {round}: an answered refresh is lost: {}",
            answer.body
        );
        refresh = answer.member("refresh_token");
        for code in codes.iter().chain(redeemed.last()) {
            let again = agent::redeem(&stage, &client, code).await.unwrap();
            assert_eq!(
                again.status, 400,
                "round {round}: a code was redeemed twice"
            );
        }
        redeemed.extend(codes);
        if round % 25 == 24 {
            session = agent::sign_in(&stage).await;
        }
    }
    assert!(
        redeemed.len() > 50,
        "the load was too thin to mean anything: {}",
        redeemed.len()
    );
}
