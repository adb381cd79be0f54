//! A database file of each schema that was ever released opens, and all of it reads back.
//!
//! `tests/data/schema-N.db` was written by the release that brought schema N, by [`fill`] as it
//! was then. A new schema adds a file; none is ever made again. The test of this release leaves its
//! file as `this-schema.db` in cargo's folder for tests (`target/tmp`).

#![expect(clippy::unwrap_used, reason = "tests")]

use std::{path::Path, time::Duration};

use vestibule_protocol::{
    audit::{Actor, Event},
    client_id::ClientKey,
    client_metadata::{AuthMethod, ClientMetadata, MetadataDoor},
    ids::{CodeHash, FamilyId, GrantId, SessionHash, TicketId, UserId},
    pkce::CodeChallenge,
    redirect_uri::RedirectPolicy,
    scope::ScopeSet,
    time::Timestamp,
    trust::{Door, Standing},
};
use vestibule_store::{
    AuditEntry, Store, StoreError,
    clients::{Added, ClientLookup, StoredClient},
    grants::{
        Approval, Approved, Assertion, AssertionUse, Code, CodeSpending, Grant, NewFamily, Spent,
    },
    keys::{KeyPhase, KeyUse, NewKey},
    sessions::Session,
    settings::InitialToken,
    tokens::{Rotated, Rotation},
    users::User,
};
use vestibule_store_sqlite::{SqliteOptions, SqliteStore};

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
/// The newest one.
const THIS_SCHEMA: u32 = 2;
const RESOURCE: &str = "https://mcp.example/mcp";

fn at(seconds: u64) -> Timestamp {
    NOW.plus(Duration::from_secs(seconds))
}

fn entry(event: Event) -> AuditEntry {
    AuditEntry {
        at: NOW,
        event,
        actor: Actor::Client(ClientKey::of("acting")),
        client: Some(ClientKey::of("concerned")),
        grant: Some(GrantId::new("g_1")),
        source: Some("192.0.2.0/24".to_owned()),
        detail: "a sentence".to_owned(),
    }
}

fn client() -> StoredClient {
    let body = br#"{"redirect_uris": ["https://app.example/callback", "http://127.0.0.1/cb"],
        "client_name": "An app", "client_name#de": "Eine App", "scope": "mcp:read",
        "client_uri": "https://app.example/", "software_id": "an-app",
        "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
        "token_endpoint_auth_method": "client_secret_basic"}"#;
    let door = MetadataDoor::Dcr {
        client_credentials_allowed: false,
    };
    let metadata = ClientMetadata::parse_json(body, door, &RedirectPolicy::default());
    StoredClient {
        key: ClientKey::of("vdr_1"),
        client_id: "vdr_1".to_owned(),
        door: Door::Dcr,
        standing: Standing::Unverified,
        metadata: metadata.unwrap().0,
        secret_hash: Some([2; 32]),
        management_hash: Some([3; 32]),
        introspects: vec![RESOURCE.to_owned()],
        machine_scopes: Some("mcp:read".to_owned()),
        scope_ceiling: Some("mcp:read mcp:write".to_owned()),
        created_at: NOW,
        version: 1,
    }
}

fn user() -> User {
    User {
        id: UserId::new("u_1"),
        name: "Anna".to_owned(),
        display_name: Some("Anna".to_owned()),
        email: Some("anna@example.org".to_owned()),
        admin: true,
        password_hash: "$argon2id$none".to_owned(),
        disabled: false,
        created_at: NOW,
    }
}

fn approval(n: u8) -> Approval {
    let grant = GrantId::new(format!("g_{n}"));
    Approval {
        ticket: TicketId::new([n; 16]),
        ticket_until: at(600),
        client: client(),
        grant: Grant {
            id: grant.clone(),
            user: user().id,
            client: client().key,
            resource: RESOURCE.to_owned(),
            scopes: ScopeSet::from_text("mcp:read mcp:write"),
            metadata_digest: client().metadata.security_digest(),
            auth_time: NOW,
            created_at: at(u64::from(n)),
            absolute_until: at(7 * 86_400),
            revoked: false,
            version: 1,
        },
        code: Code {
            hash: CodeHash::new([n; 32]),
            client: client().key,
            grant,
            redirect_uri: "https://app.example/callback".to_owned(),
            challenge: CodeChallenge::from_bytes([4; 32]),
            nonce: Some("a nonce".to_owned()),
            auth_method: Some(AuthMethod::ClientSecretBasic),
            expires_at: at(60),
            spent_at: None,
        },
        remember_until: Some(at(86_400)),
        now: NOW,
        audit: entry(Event::GrantGiven),
    }
}

fn spending(n: u8) -> CodeSpending {
    CodeSpending {
        hash: CodeHash::new([n; 32]),
        auth_method: AuthMethod::ClientSecretBasic,
        family: Some(NewFamily {
            id: FamilyId::new([n; 16]),
            key_id: 1,
            rotates: true,
            idle_until: at(86_400),
            absolute_until: at(7 * 86_400),
        }),
        assertion: None,
        now: NOW,
        audit: entry(Event::CodeRedeemed),
    }
}

fn rotation(generation: u64, seconds: u64) -> Rotation {
    Rotation {
        family: FamilyId::new([1; 16]),
        client: client().key,
        generation,
        grant_version: 1,
        idle_until: at(2 * 86_400),
        grace_seconds: 60,
        assertion: None,
        now: at(seconds),
        audit: entry(Event::RefreshReuse),
    }
}

fn assertion() -> AssertionUse {
    AssertionUse {
        client: client().key,
        jti_hash: [6; 32],
        expires_at: at(300),
        rows_max: 10,
    }
}

fn session() -> Session {
    Session {
        hash: SessionHash::new([7; 32]),
        user: user().id,
        auth_time: NOW,
        expires_at: at(3_600),
    }
}

fn initial_token() -> InitialToken {
    InitialToken {
        hash: [8; 32],
        note: "a note".to_owned(),
        uses_left: 5,
        expires_at: at(600),
        scopes: Some("mcp:read".to_owned()),
        redirect_hosts: vec!["app.example".to_owned()],
        client_credentials: true,
        created_at: NOW,
    }
}

fn key(usage: KeyUse) -> NewKey {
    NewKey {
        usage,
        phase: KeyPhase::Active,
        wrapped: vec![9; 60],
        created_at: NOW,
    }
}

/// Something in every table and every column.
async fn fill(store: &dyn Store) {
    store.put_setup_link([5; 32], at(600)).await.unwrap();
    assert!(
        store
            .add_user(user(), entry(Event::UserMade))
            .await
            .unwrap()
    );
    for n in [1, 2] {
        assert_eq!(store.approve(approval(n)).await.unwrap(), Approved::Done);
    }
    let spent = store.spend_code(spending(1)).await.unwrap();
    assert_eq!(spent, Spent::Now(GrantId::new("g_1")));
    assert_eq!(store.rotate(rotation(0, 10)).await.unwrap(), Rotated::Moved);
    let made = StoredClient {
        key: ClientKey::of("removed"),
        client_id: "removed".to_owned(),
        door: Door::Admin,
        ..client()
    };
    let key_of_removed = made.key;
    let added = store
        .add_client(made, entry(Event::ClientMade))
        .await
        .unwrap();
    assert_eq!(added, Added::Done);
    let blocked = entry(Event::ClientBlocked);
    assert!(
        store
            .remove_client(&key_of_removed, at(9_000), true, blocked)
            .await
            .unwrap()
    );
    assert_eq!(
        store.use_assertion(assertion(), NOW).await.unwrap(),
        Assertion::First
    );
    store
        .revoke_token_id([10; 32], at(600), entry(Event::TokenRevoked))
        .await
        .unwrap();
    store.open_session(session(), None).await.unwrap();
    store.note_failed_sign_in(&user().id, NOW).await.unwrap();
    store
        .add_initial_token(initial_token(), entry(Event::InitialTokenMade))
        .await
        .unwrap();
    let saved = store.save_settings(0, r#"{"some":"settings"}"#, entry(Event::SettingsChanged));
    assert_eq!(saved.await.unwrap(), Some(1));
    let keys = vec![key(KeyUse::Seal), key(KeyUse::SignEs256)];
    assert_eq!(
        store
            .add_missing_keys(keys, entry(Event::KeysChanged))
            .await
            .unwrap(),
        2
    );
    store
        .stage_key(key(KeyUse::SignEs256), entry(Event::KeysChanged))
        .await
        .unwrap();
}

/// What [`fill`] wrote when `schema` was new, as this release reads it.
async fn check(store: &dyn Store, schema: u32) {
    let ClientLookup::Active(read) = store.find_client(&client().key).await.unwrap() else {
        unreachable!("the client is there")
    };
    assert_eq!(format!("{read:?}"), format!("{:?}", client()));
    let removed = store.find_client(&ClientKey::of("removed")).await.unwrap();
    assert!(matches!(removed, ClientLookup::Blocked));
    let read = store.find_user_by_name("anna").await.unwrap().unwrap();
    assert_eq!(format!("{read:?}"), format!("{:?}", user()));
    let (read, _) = store
        .find_session(&session().hash, NOW)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(format!("{read:?}"), format!("{:?}", session()));

    let (code, grant) = store
        .find_code(&CodeHash::new([2; 32]))
        .await
        .unwrap()
        .unwrap();
    let mut written = approval(2).code;
    written.auth_method = written.auth_method.filter(|_| schema >= 2);
    assert_eq!(format!("{code:?}"), format!("{written:?}"));
    assert_eq!(format!("{grant:?}"), format!("{:?}", approval(2).grant));
    assert_eq!(store.list_grants(&user().id, 10).await.unwrap().len(), 2);
    let digest = client().metadata.security_digest();
    let (person, agent) = (user().id, client().key);
    let consent = store.remembered_consent(&person, &agent, &digest, RESOURCE, NOW);
    assert_eq!(consent.await.unwrap(), Some(approval(1).grant.scopes));
    assert_eq!(
        store.approve(approval(2)).await.unwrap(),
        Approved::TicketUsed
    );

    let (family, _) = store
        .find_family(&FamilyId::new([1; 16]))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (family.generation, family.rotated_at, family.key_id),
        (1, at(10), 1)
    );
    assert_eq!(family.auth_method, AuthMethod::ClientSecretBasic);
    assert_eq!(family.idle_until, at(2 * 86_400));
    assert_eq!(family.absolute_until, at(7 * 86_400));
    assert!(!store.token_is_live(None, &[10; 32]).await.unwrap());
    assert_eq!(
        store.use_assertion(assertion(), NOW).await.unwrap(),
        Assertion::Replayed
    );

    let token = store
        .find_initial_token(&[8; 32], NOW)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(format!("{token:?}"), format!("{:?}", initial_token()));
    let settings = store.load_settings().await.unwrap();
    assert_eq!(
        (settings.seq, settings.document.as_str()),
        (1, r#"{"some":"settings"}"#)
    );
    let (seq, keys) = store.load_keys().await.unwrap();
    let phases: Vec<_> = keys
        .iter()
        .map(|key| (key.id, key.usage, key.phase))
        .collect();
    let expected = [
        (1, KeyUse::Seal, KeyPhase::Active),
        (2, KeyUse::SignEs256, KeyPhase::Active),
        (3, KeyUse::SignEs256, KeyPhase::Staged),
    ];
    assert_eq!((seq, phases), (2, expected.to_vec()));
    assert!(keys.iter().all(|key| key.wrapped == [9; 60]));
    let trail = store.audit_rows(None, 100).await.unwrap();
    assert_eq!(trail.len(), 11);
    for row in trail {
        let expected = entry(row.entry.event);
        assert_eq!(format!("{:?}", row.entry), format!("{expected:?}"));
    }
}

/// It is not only read: what was open goes on.
async fn go_on(store: &dyn Store) {
    assert_eq!(store.rotate(rotation(1, 20)).await.unwrap(), Rotated::Moved);
    let spent = store.spend_code(spending(2)).await.unwrap();
    assert_eq!(spent, Spent::Now(GrantId::new("g_2")));
    assert!(store.spend_initial_token(&[8; 32], NOW).await.unwrap());
    assert!(
        store
            .activate_key(3, NOW, entry(Event::KeysChanged))
            .await
            .unwrap()
    );
}

/// A release never loses what an earlier one wrote.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_each_earlier_schema_reads_back_and_goes_on() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    for schema in 1..=THIS_SCHEMA {
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join("vestibule.db");
        std::fs::copy(data.join(format!("schema-{schema}.db")), &copy).unwrap();
        let store = SqliteStore::open(&copy, SqliteOptions::default()).unwrap();
        check(&store, schema).await;
        go_on(&store).await;
        store.close().await;
    }
}

/// The same for what this release writes, so that the two can be told apart when one breaks.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_this_release_reads_back_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vestibule.db");
    let store = SqliteStore::open(&path, SqliteOptions::default()).unwrap();
    fill(&store).await;
    store.close().await;
    let left = Path::new(env!("CARGO_TARGET_TMPDIR")).join("this-schema.db");
    std::fs::copy(&path, left).unwrap();
    let store = SqliteStore::open(&path, SqliteOptions::default()).unwrap();
    check(&store, THIS_SCHEMA).await;
    go_on(&store).await;
}

/// A file of a later release is refused before anything is touched.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_a_later_release_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vestibule.db");
    let store = SqliteStore::open(&path, SqliteOptions::default()).unwrap();
    store.close().await;
    drop(store);
    let connection = rusqlite::Connection::open(&path).unwrap();
    let later =
        "INSERT INTO migrations VALUES (99, 'later'); ALTER TABLE users ADD COLUMN new TEXT";
    connection.execute_batch(later).unwrap();
    drop(connection);
    let before = std::fs::read(&path).unwrap();
    let refused = SqliteStore::open(&path, SqliteOptions::default()).err();
    assert!(
        matches!(refused, Some(StoreError::TooNew { found: 99, .. })),
        "{refused:?}"
    );
    assert!(std::fs::read(&path).unwrap() == before);
}
