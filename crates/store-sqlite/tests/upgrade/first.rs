//! What schema 1 can hold.

use std::time::Duration;

use vestibule_protocol::{
    audit::{Actor, Event},
    client_id::ClientKey,
    client_metadata::{AuthMethod, ClientMetadata, MetadataDoor},
    ids::{CodeHash, FamilyId, GrantId, SessionHash, TicketId, UserId},
    pkce::CodeChallenge,
    redirect_uri::RedirectPolicy,
    scope::ScopeSet,
    time::Timestamp,
    trust::{Door, Risk, Standing},
};
use vestibule_store::{
    AuditEntry, Store,
    clients::{Added, ClientLookup, StoredClient},
    grants::{
        Approval, Approved, Assertion, AssertionUse, Code, CodeSpending, Grant, NewFamily, Spent,
    },
    keys::{KeyPhase, KeyUse, NewKey},
    sessions::Session,
    settings::InitialToken,
    tokens::{Rotated, Rotation},
    users::User,
    versions::{Document, VersionRow},
};

pub(super) const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
pub(super) const RESOURCE: &str = "https://mcp.example/mcp";
/// Lines of the trail that [`fill`] writes.
pub(super) const LINES: usize = 11;
/// How often [`fill`] moves the head of the lists: a client of an admin comes and goes. No schema
/// before the second has that head.
pub(super) const LISTS: u64 = 2;

pub(super) fn at(seconds: u64) -> Timestamp {
    NOW.plus(Duration::from_secs(seconds))
}

pub(super) fn entry(event: Event) -> AuditEntry {
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

/// The client, with all that this release knows of one.
pub(super) fn client() -> StoredClient {
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
        software: "an app".to_owned(),
        host: Some("app.example".to_owned()),
        issued_at: NOW.minus(Duration::from_mins(1)),
        snapshot_at: at(1),
        created_at: NOW,
        version: 1,
    }
}

pub(super) fn user() -> User {
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

/// The person approves the client as number `n`.
fn approval(n: u8) -> Approval {
    approval_of(n, client(), user().id)
}

/// The same by whom and for which client you like.
pub(super) fn approval_of(n: u8, client: StoredClient, user: UserId) -> Approval {
    let grant = GrantId::new(format!("g_{n}"));
    Approval {
        ticket: TicketId::new([n; 16]),
        ticket_until: at(600),
        grant: Grant {
            id: grant.clone(),
            user,
            client: client.key,
            resource: RESOURCE.to_owned(),
            scopes: ScopeSet::from_text("mcp:read mcp:write"),
            metadata_digest: client.metadata.security_digest(),
            auth_time: NOW,
            created_at: at(u64::from(n)),
            absolute_until: at(7 * 86_400),
            risk: Risk::Raised,
            read_only: true,
            short_session: true,
            source: Some("192.0.2.0/24".to_owned()),
            revoked: false,
            version: 1,
        },
        code: Code {
            hash: CodeHash::new([n; 32]),
            client: client.key,
            grant,
            redirect_uri: "https://app.example/callback".to_owned(),
            challenge: CodeChallenge::from_bytes([4; 32]),
            nonce: Some("a nonce".to_owned()),
            auth_method: Some(AuthMethod::ClientSecretBasic),
            expires_at: at(60),
            spent_at: None,
        },
        client,
        supersedes: Vec::new(),
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

/// Something in every table and every column that schema 1 has.
pub(super) async fn fill(store: &dyn Store) {
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

/// [`client`] as a row of `schema` remembers it.
fn client_of(schema: u32) -> StoredClient {
    if schema > 1 {
        return client();
    }
    StoredClient {
        software: String::new(),
        host: None,
        issued_at: NOW,
        snapshot_at: NOW,
        ..client()
    }
}

/// Grant and code of [`approval`], the same way.
fn approval_in(schema: u32, n: u8) -> (Grant, Code) {
    let Approval { grant, code, .. } = approval(n);
    if schema > 1 {
        return (grant, code);
    }
    let grant = Grant {
        risk: Risk::Low,
        read_only: false,
        short_session: false,
        source: None,
        ..grant
    };
    let code = Code {
        auth_method: None,
        ..code
    };
    (grant, code)
}

/// What [`fill`] wrote when `schema` was new, as this release reads it. What came later says what
/// grants least.
pub(super) async fn check(store: &dyn Store, schema: u32) {
    let ClientLookup::Active(read) = store.find_client(&client().key).await.unwrap() else {
        unreachable!("the client is there")
    };
    assert_eq!(format!("{read:?}"), format!("{:?}", client_of(schema)));
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
    let written = approval_in(schema, 2);
    assert_eq!(
        (format!("{grant:?}"), format!("{code:?}")),
        (format!("{:?}", written.0), format!("{:?}", written.1))
    );
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
    check_history(store).await;
}

/// Settings that [`fill`] saved are in the history, also where there was none at that time.
async fn check_history(store: &dyn Store) {
    let saved = VersionRow {
        seq: 1,
        at: NOW,
        actor: format!("client:{}", hex(ClientKey::of("acting").as_bytes())),
        note: "a sentence".to_owned(),
    };
    let versions = store.document_versions(Document::Settings, 10).await;
    assert_eq!(versions.unwrap(), [saved]);
    let text = store.document_version(Document::Settings, 1).await;
    assert_eq!(text.unwrap().as_deref(), Some(r#"{"some":"settings"}"#));
}

fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

/// So many lines, as they were written; the one that the store words is the caller's business.
pub(super) async fn check_trail(store: &dyn Store, lines: usize) {
    let trail = store.audit_rows(None, 100).await.unwrap();
    assert_eq!(trail.len(), lines);
    for row in trail {
        let expected = entry(row.entry.event);
        if row.entry.event != Event::GrantMoved {
            assert_eq!(format!("{:?}", row.entry), format!("{expected:?}"));
        }
    }
}

/// It is not only read: what was open goes on.
pub(super) async fn go_on(store: &dyn Store) {
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
