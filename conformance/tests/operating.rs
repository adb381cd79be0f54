//! What an operator does at the command line to a hub that has clients.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use vestibule_conformance::{Doors, Stage, agent, http};

/// MCP-07: another issuer is refused by every command, with both names and the way out; taken over
/// on purpose, the hub serves under its new name and says what that costs.
#[tokio::test(flavor = "multi_thread")]
async fn another_issuer_is_refused_until_it_is_accepted() {
    let mut stage = Stage::start(Doors::default()).await;
    let (right, _) = stage.try_command(&["check-config"], "");
    assert!(right);
    stage.kill_hub();
    let new = stage.issuer.replace("127.0.0.1", "localhost");
    let old = stage.rename(&new);
    for command in [&["serve"][..], &["check-config"], &["user", "list"]] {
        let (accepted, text) = stage.try_command(command, "");
        assert!(!accepted, "{command:?}: {text}");
        for word in [old.as_str(), new.as_str(), "--accept-new-issuer"] {
            assert!(text.contains(word), "{command:?}: {text}");
        }
    }
    stage.start_hub_with(&["--accept-new-issuer"]);
    let told = stage.log();
    for word in [&old, "connect anew", "refresh"] {
        assert!(told.contains(word), "{told}");
    }
    let url = format!("{new}/.well-known/oauth-authorization-server");
    let metadata = http::get(&url, "").await.unwrap();
    assert_eq!(metadata.member("issuer"), new);
    // From now on the new name is the name, and the word is not needed again.
    stage.kill_hub();
    stage.start_hub();
    let (accepted, text) = stage.try_command(&["check-config"], "");
    assert!(accepted, "{text}");
}

/// AT-01: an MCP server behind the `resource` crate takes tokens of each algorithm, those of before
/// a change included.
#[tokio::test(flavor = "multi_thread")]
async fn an_mcp_server_takes_tokens_of_each_algorithm() {
    let mut stage = Stage::start(Doors::default()).await;
    let token = |answer: http::Answer| answer.member("access_token");
    let mut tokens = vec![token(agent::session(&stage).await.1)];
    stage.reconfigure(
        "[limits]",
        "[tokens]\naccess_token_alg = \"ES256\"\n[limits]",
    );
    for (old, new) in [("ES256", "RS256"), ("RS256", "EdDSA"), ("EdDSA", "ES256")] {
        stage.kill_hub();
        let line = |alg| format!("access_token_alg = \"{alg}\"");
        stage.reconfigure(&line(old), &line(new));
        stage.start_hub();
        tokens.push(token(agent::session(&stage).await.1));
    }
    for (token, alg) in tokens.iter().zip(["ES256", "RS256", "EdDSA", "ES256"]) {
        assert_eq!(agent::header_of(token)["alg"], alg);
        let answer = agent::call(&stage, token).await;
        assert_eq!(answer.status, 200, "{alg}: {}", answer.body);
    }
    let forged = format!("{}A", tokens.first().unwrap());
    assert_eq!(agent::call(&stage, &forged).await.status, 401);
}

/// SLR-03: another process rotates the sealing key while the hub serves; the hub follows within the
/// time that the command waits, and nobody notices.
#[tokio::test(flavor = "multi_thread")]
async fn keys_rotate_beside_a_running_hub() {
    let stage = Arc::new(Stage::start(Doors::default()).await);
    let (client, first) = agent::session(&stage).await;
    let early = agent::register(&stage).await;
    let keys = |stage: &Stage| -> Vec<serde_json::Value> {
        let text = stage.command(&["keys", "list", "--json"], "");
        serde_json::from_str(&text).unwrap()
    };
    assert_eq!(keys(&stage).len(), 3);
    let stop = Arc::new(AtomicBool::new(false));
    let load = {
        let (stage, stop) = (stage.clone(), stop.clone());
        let mut token = first.member("refresh_token");
        tokio::spawn(async move {
            let mut ids = Vec::new();
            while !stop.load(Ordering::SeqCst) {
                ids.push(agent::register(&stage).await);
                let answer = agent::refresh(&stage, &client, &token).await.unwrap();
                assert_eq!(answer.status, 200, "{}", answer.body);
                token = answer.member("refresh_token");
                let called = agent::call(&stage, &answer.member("access_token")).await;
                assert_eq!(called.status, 200, "{}", called.body);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            ids
        })
    };
    let rotating = stage.clone();
    let told = tokio::task::spawn_blocking(move || {
        rotating.command(&["keys", "rotate", "--usage", "seal"], "")
    });
    let told = told.await.unwrap();
    for word in ["staged", "in use", "retires"] {
        assert!(told.contains(word), "{told}");
    }
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    stop.store(true, Ordering::SeqCst);
    let ids = load.await.unwrap();
    let front = |id: &str| id.chars().take(8).collect::<String>();
    assert_eq!(front(ids.first().unwrap()), front(&early));
    assert_ne!(
        front(ids.last().unwrap()),
        front(&early),
        "the hub seals with the new key"
    );
    let person = agent::sign_in(&stage).await;
    for id in [&early, ids.first().unwrap(), ids.last().unwrap()] {
        let code = agent::code(&stage, id, &person).await.unwrap();
        let answer = agent::redeem(&stage, id, &code).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    let seal: Vec<_> = keys(&stage)
        .into_iter()
        .filter(|key| key["usage"] == "seal")
        .map(|key| key["phase"].clone())
        .collect();
    assert_eq!(seal, ["retiring", "active"]);
    let table = stage.command(&["keys", "list"], "");
    for word in ["id", "usage", "phase", "age", "sign-rs256", "retiring"] {
        assert!(table.contains(word), "{table}");
    }
    let (accepted, text) = stage.try_command(&["keys", "rotate", "--usage", "nonsense"], "");
    assert!(!accepted, "{text}");
}
