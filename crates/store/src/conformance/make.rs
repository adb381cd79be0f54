//! What the promises are tried on: records with nothing special about them, and the race.

use std::{sync::Arc, time::Duration};

use tokio::sync::Barrier;
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

use crate::{
    AuditEntry, Store,
    clients::StoredClient,
    grants::{Approval, Approved, AssertionUse, Code, CodeSpending, Grant, NewFamily, Spent},
    sessions::Session,
    tokens::{Family, Rotation},
    users::User,
};

/// When everything happens.
pub(super) const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

/// The resource of all grants.
pub(super) const RESOURCE: &str = "https://mcp.example/mcp";

/// So many seconds later.
pub(super) fn at(seconds: u64) -> Timestamp {
    NOW.plus(Duration::from_secs(seconds))
}

/// Bytes that differ by `n`.
pub(super) fn hash(n: usize) -> [u8; 32] {
    let mut bytes = [7; 32];
    for (to, from) in bytes.iter_mut().zip(n.to_be_bytes()) {
        *to = from;
    }
    bytes
}

fn short_hash(n: usize) -> [u8; 16] {
    let mut bytes = [9; 16];
    for (to, from) in bytes.iter_mut().zip(n.to_be_bytes()) {
        *to = from;
    }
    bytes
}

/// Run `count` calls as tasks that start together, and collect what they return.
pub(super) async fn race<T, F, Call>(count: usize, call: F) -> Vec<T>
where
    T: Send + 'static,
    F: Fn(usize) -> Call,
    Call: Future<Output = T> + Send + 'static,
{
    let line = Arc::new(Barrier::new(count));
    let tasks: Vec<_> = (0..count)
        .map(|n| {
            let (line, call) = (line.clone(), call(n));
            tokio::spawn(async move {
                line.wait().await;
                call.await
            })
        })
        .collect();
    let mut answers = Vec::with_capacity(count);
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    answers
}

/// How often `wanted` is among the answers.
pub(super) fn count<T: PartialEq>(answers: &[T], wanted: &T) -> usize {
    answers.iter().filter(|answer| *answer == wanted).count()
}

pub(super) fn audit(event: Event) -> AuditEntry {
    AuditEntry {
        at: NOW,
        event,
        actor: Actor::System,
        client: None,
        grant: None,
        source: None,
        detail: String::new(),
    }
}

/// The events of the trail, oldest first.
pub(super) async fn trail(store: &dyn Store) -> Vec<Event> {
    let rows = store.audit_rows(None, 10_000).await.unwrap();
    rows.iter().rev().map(|row| row.entry.event).collect()
}

/// How often an event is in the trail.
pub(super) async fn lines(store: &dyn Store, event: Event) -> usize {
    count(&trail(store).await, &event)
}

pub(super) fn metadata(redirect: &str, name: &str) -> ClientMetadata {
    let text = format!(
        r#"{{"redirect_uris": ["{redirect}"], "client_name": "{name}",
            "token_endpoint_auth_method": "none", "grant_types":
            ["authorization_code", "refresh_token"], "response_types": ["code"]}}"#
    );
    let door = MetadataDoor::Dcr {
        client_credentials_allowed: false,
    };
    let read = ClientMetadata::parse_json(text.as_bytes(), door, &RedirectPolicy::default());
    read.unwrap().0
}

pub(super) fn client(client_id: &str, door: Door) -> StoredClient {
    StoredClient {
        key: ClientKey::of(client_id),
        client_id: client_id.to_owned(),
        door,
        standing: Standing::Unverified,
        metadata: metadata("https://app.example/callback", "An app"),
        secret_hash: None,
        management_hash: Some(hash(77)),
        introspects: Vec::new(),
        machine_scopes: None,
        scope_ceiling: None,
        software: "an app".to_owned(),
        host: None,
        issued_at: NOW,
        snapshot_at: NOW,
        created_at: NOW,
        version: 1,
    }
}

pub(super) fn user(n: usize) -> User {
    User {
        id: UserId::new(format!("u_{n}")),
        name: format!("person-{n}"),
        display_name: None,
        email: None,
        admin: false,
        password_hash: "$argon2id$none".to_owned(),
        disabled: false,
        created_at: NOW,
    }
}

pub(super) fn session(n: usize, user: &User) -> Session {
    Session {
        hash: SessionHash::new(hash(n)),
        user: user.id.clone(),
        auth_time: NOW,
        expires_at: at(3_600),
    }
}

/// Person, ticket, grant and code number `n`, for this client.
pub(super) fn approval(n: usize, client: &StoredClient) -> Approval {
    let grant = Grant {
        id: GrantId::new(format!("g_{n}")),
        user: user(n).id,
        client: client.key,
        resource: RESOURCE.to_owned(),
        scopes: ScopeSet::from_text("mcp:read mcp:write"),
        metadata_digest: client.metadata.security_digest(),
        auth_time: NOW,
        created_at: NOW,
        absolute_until: at(7 * 86_400),
        risk: Risk::Low,
        read_only: false,
        short_session: false,
        source: None,
        revoked: false,
        version: 1,
    };
    Approval {
        ticket: TicketId::new(short_hash(n)),
        ticket_until: at(600),
        client: client.clone(),
        code: Code {
            hash: CodeHash::new(hash(n)),
            client: client.key,
            grant: grant.id.clone(),
            redirect_uri: "https://app.example/callback".to_owned(),
            challenge: CodeChallenge::from_bytes(hash(55)),
            nonce: Some("n-0S6".to_owned()),
            auth_method: Some(AuthMethod::PrivateKeyJwt),
            expires_at: at(60),
            spent_at: None,
        },
        grant,
        supersedes: Vec::new(),
        remember_until: Some(at(86_400)),
        now: NOW,
        audit: audit(Event::GrantGiven),
    }
}

/// Spend code number `n` and open family number `n`.
pub(super) fn spending(n: usize) -> CodeSpending {
    CodeSpending {
        hash: CodeHash::new(hash(n)),
        auth_method: AuthMethod::None,
        family: Some(NewFamily {
            id: FamilyId::new(short_hash(n)),
            key_id: 3,
            rotates: true,
            idle_until: at(2 * 86_400),
            absolute_until: at(7 * 86_400),
        }),
        assertion: None,
        now: NOW,
        audit: audit(Event::CodeRedeemed),
    }
}

pub(super) fn assertion(client: ClientKey, n: usize) -> AssertionUse {
    AssertionUse {
        client,
        jti_hash: hash(n),
        expires_at: at(300),
        rows_max: 100,
    }
}

/// A stored client that a person approved.
pub(super) async fn approved(store: &dyn Store, n: usize) -> StoredClient {
    let client = client(&format!("vdr_{n}"), Door::Dcr);
    let done = store.approve(approval(n, &client)).await.unwrap();
    assert_eq!(done, Approved::Done);
    client
}

/// A family that lives, at generation 0.
pub(super) async fn opened(store: &dyn Store, n: usize) -> (Family, Grant) {
    opened_with(store, n, spending(n)).await
}

/// The same with this spending.
pub(super) async fn opened_with(
    store: &dyn Store,
    n: usize,
    spending: CodeSpending,
) -> (Family, Grant) {
    approved(store, n).await;
    let spent = store.spend_code(spending).await.unwrap();
    assert_eq!(spent, Spent::Now(GrantId::new(format!("g_{n}"))));
    found(store, n).await
}

/// Family number `n` and its grant, as they are now.
pub(super) async fn found(store: &dyn Store, n: usize) -> (Family, Grant) {
    let family = store.find_family(&FamilyId::new(short_hash(n))).await;
    family.unwrap().unwrap()
}

/// Show the token of a generation, so many seconds after [`NOW`].
pub(super) fn rotation(family: &Family, generation: u64, seconds: u64) -> Rotation {
    Rotation {
        family: family.id,
        client: family.client,
        generation,
        grant_version: 1,
        idle_until: at(seconds + 2 * 86_400).min(family.absolute_until),
        grace_seconds: 60,
        assertion: None,
        now: at(seconds),
        audit: audit(Event::RefreshReuse),
    }
}
