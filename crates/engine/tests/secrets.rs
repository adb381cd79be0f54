//! How hard what we give out is to guess, and what it tells whoever finds it.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "what surprises a test should end it"
)]

mod support;

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use support::{visit::*, *};
use vestibule_engine::{NewInitialToken, Step};
use vestibule_protocol::{audit::Actor, scope::ScopeSet};
use vestibule_seal::{KeyId, KeyRing, KeyState, Kind, RingKey, refresh_token, wrap::MasterKey};
use vestibule_store::keys::KeyUse;

fn decoded(secret: &str, prefix: &str) -> Vec<u8> {
    let text = secret.strip_prefix(prefix);
    let text = text.unwrap_or_else(|| panic!("{secret} does not begin with {prefix}"));
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

/// The sealing key of a hub, as somebody with its master key and database can have it.
async fn sealing_key(hub: &Hub) -> (u16, [u8; 32]) {
    let (_, rows) = hub.store.load_keys().await.unwrap();
    let row = rows.iter().find(|row| row.usage == KeyUse::Seal).unwrap();
    let plain = MasterKey::new([7; 32])
        .unwrap("seal", &row.wrapped)
        .unwrap();
    (row.id, plain.as_slice().try_into().unwrap())
}

fn ring_of(id: u16, secret: [u8; 32]) -> KeyRing {
    let key = RingKey {
        id: KeyId(id),
        state: KeyState::Active,
        secret,
    };
    KeyRing::new(vec![key], ISSUER).unwrap()
}

/// GEN-15, DCRM-15, T18: every secret that is a random value is one draw of 256 bits of the given
/// source, whole and for itself alone.
#[tokio::test]
async fn every_random_secret_is_256_bits_of_the_source() {
    let hub = Hub::start().await;
    let mut secrets = Vec::new();
    let link = hub.engine.create_setup_link().await.unwrap().unwrap();
    let (_, token) = link.rsplit_once(['/', '=']).unwrap();
    secrets.push(("set-up link", token.to_owned(), "vsu_"));
    let new = NewInitialToken {
        note: String::new(),
        uses: 1,
        life: Duration::from_hours(1),
        scopes: None,
        redirect_hosts: Vec::new(),
        client_credentials: false,
    };
    let token = hub
        .engine
        .issue_initial_token(new, Actor::System)
        .await
        .unwrap();
    secrets.push(("initial access token", token.expose().clone(), "vit_"));
    let scopes = ScopeSet::from_text("mcp:read");
    let made = hub
        .engine
        .add_machine_client("Job", scopes, Actor::System)
        .await
        .unwrap();
    secrets.push((
        "client id of an admin's client",
        made.client_id.clone(),
        "vcl_",
    ));
    secrets.push(("its secret", made.client_secret.expose().clone(), "vcs_"));

    // A browser: before and after sign-in, its code; the management token after a change.
    hub.add_user("alice").await;
    let registered = hub.register(&public_client()).await;
    let id = registered.client_id().to_owned();
    let mut visit = Visit::new(&hub);
    let page = sign_in(visit.ask(&id, &[]).await);
    secrets.push((
        "pre-session",
        visit.browser.pre_session.clone().unwrap(),
        "vps_",
    ));
    let page = consent(visit.sign_in(&page, "alice", PASSWORD).await);
    secrets.push(("session", visit.browser.session.clone().unwrap(), "vss_"));
    let location = redirect(visit.allow(&page, &["mcp:read"]).await);
    secrets.push(("code", answer(&location, "code").unwrap(), "vco_"));
    let response = serde_json::to_value(&registered).unwrap();
    let token = response["registration_access_token"].as_str().unwrap();
    let mut body = public_client();
    body["client_id"] = id.clone().into();
    let body = serde_json::to_vec(&body).unwrap();
    let from = source();
    let updated = hub
        .engine
        .update_registration(&id, Some(token), &body, &from);
    let response = serde_json::to_value(updated.await.unwrap()).unwrap();
    let token = response["registration_access_token"].as_str().unwrap();
    secrets.push(("management token", token.to_owned(), "vrt_"));

    for (what, secret, prefix) in &secrets {
        let bytes = decoded(secret, prefix);
        assert_eq!(bytes.len(), 32, "{what}");
        assert_eq!(
            hub.entropy.draws_of(&bytes),
            1,
            "{what} is no draw of its own"
        );
    }
}

/// GEN-15, DCRM-15: what is derived or sealed is as hard to guess: 256 bits of MAC under a key that
/// is one draw of 256 bits (2^-256), or a tag of 128 bits under it beside a nonce of its own draw
/// (2^-128 for any that opens, less for a given one).
#[tokio::test]
async fn what_is_derived_hangs_on_a_key_of_256_bits() {
    let hub = Hub::start().await;
    let (key_id, key) = sealing_key(&hub).await;
    assert_eq!(hub.entropy.draws_of(&key), 1);
    let registered = hub
        .register(&confidential_client("client_secret_post"))
        .await;
    let response = serde_json::to_value(&registered).unwrap();
    for (member, prefix) in [
        ("client_secret", "vcs_"),
        ("registration_access_token", "vrt_"),
    ] {
        let secret = response[member].as_str().unwrap();
        assert_eq!(decoded(secret, prefix).len(), 32, "{member}");
    }
    let (_, _, tokens) = hub.public_session().await;
    let refresh = tokens.refresh_token.unwrap();
    let ring = ring_of(key_id, key);
    let opened = refresh_token::decode(&ring, &refresh).unwrap();
    assert_eq!(hub.entropy.draws_of(&opened.family), 1);
    // family 16, generation 1, key id 2, MAC 32
    assert_eq!(decoded(&refresh, refresh_token::PREFIX).len(), 51);

    let body = pairs(&[
        ("response_type", "code"),
        ("client_id", registered.client_id()),
        ("client_secret", response["client_secret"].as_str().unwrap()),
        ("redirect_uri", CALLBACK),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ]);
    let pushed = hub.engine.push(&body, None, &source()).await.unwrap();
    let (_, sealed) = pushed.request_uri.rsplit_once(':').unwrap();
    for (kind, text) in [
        (Kind::PushedRequest, sealed),
        (Kind::Registration, registered.client_id()),
    ] {
        let plain = ring.open(kind, text).unwrap();
        let bytes = decoded(text, kind.prefix());
        // version 1, key id 2, nonce 12, tag 16
        assert_eq!(bytes.len(), plain.len() + 31);
        assert_eq!(
            hub.entropy.draws_of(&bytes[3..15]),
            1,
            "{kind:?}: its nonce"
        );
    }
}

/// SLR-02: opened, a sealed registration shows no secret; known, it proves nothing.
#[tokio::test]
async fn a_sealed_id_holds_no_secret_and_proves_nothing() {
    let hub = Hub::start().await;
    let (key_id, key) = sealing_key(&hub).await;
    let registered = hub
        .register(&confidential_client("client_secret_post"))
        .await;
    let id = registered.client_id();
    let response = serde_json::to_value(&registered).unwrap();
    let plain = ring_of(key_id, key).open(Kind::Registration, id).unwrap();
    assert!(
        holds(&plain, b"Agent") && holds(&plain, CALLBACK.as_bytes()),
        "it is the registration"
    );
    for (member, prefix) in [
        ("client_secret", "vcs_"),
        ("registration_access_token", "vrt_"),
    ] {
        let secret = response[member].as_str().unwrap();
        let bytes = decoded(secret, prefix);
        for part in [
            secret.as_bytes(),
            &bytes[..],
            &bytes[..8],
            &vestibule_seal::sha256(secret.as_bytes()),
        ] {
            assert!(!holds(&plain, part), "{member}");
            assert!(!holds(id.as_bytes(), part), "{member}");
        }
    }
    assert!(!holds(&plain, &key[..8]));
    // Whoever saw the id in a log has no credential: not at the token endpoint, not for managing.
    let code = [
        ("grant_type", "authorization_code"),
        ("code", "vco_x"),
        ("code_verifier", VERIFIER),
    ];
    for secret in [None, Some(""), Some(id)] {
        let mut list = vec![("client_id", id), ("redirect_uri", CALLBACK)];
        list.extend(code);
        list.extend(secret.map(|secret| ("client_secret", secret)));
        assert_eq!(
            outcome(&hub.token(&list, None).await),
            "invalid_client",
            "{secret:?}"
        );
    }
    for token in [None, Some(""), Some(id)] {
        let read = hub.engine.read_registration(id, token, &source()).await;
        assert_eq!(outcome(&read), "invalid_token", "{token:?}");
    }
    let mut visit = Visit::new(&hub);
    assert!(
        matches!(visit.ask(id, &[]).await, Step::SignIn(_)),
        "a person is still asked"
    );
}

fn holds(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
