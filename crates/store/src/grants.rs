//! Grants: what a person allowed an agent at a resource, and the codes that carry them out.

use vestibule_protocol::{
    client_id::ClientKey,
    client_metadata::AuthMethod,
    ids::{CodeHash, FamilyId, GrantId, TicketId, UserId},
    pkce::CodeChallenge,
    scope::ScopeSet,
    time::Timestamp,
    trust::Risk,
};

use crate::{AuditEntry, Result, clients::StoredClient};

/// What a principal allowed an agent at a resource.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Its id; the claim `gid` of tokens.
    pub id: GrantId,
    /// Who allowed it.
    pub user: UserId,
    /// The agent's client.
    pub client: ClientKey,
    /// The resource's URI in the form asked for; the `aud` of tokens (QUIRK-28).
    pub resource: String,
    /// What was allowed. Today's ceiling may be lower; this never changes.
    pub scopes: ScopeSet,
    /// Digest of the metadata consented to (R10).
    pub metadata_digest: [u8; 32],
    /// When the person last signed in, at that time (AT-07).
    pub auth_time: Timestamp,
    /// When it was given.
    pub created_at: Timestamp,
    /// When it ends whatever happens.
    pub absolute_until: Timestamp,
    /// How risky the request was judged when the person said yes.
    pub risk: Risk,
    /// Whether that judgement allowed reading only; refreshes are held to it.
    pub read_only: bool,
    /// Whether that judgement allowed a short session only; refreshes are held to it.
    pub short_session: bool,
    /// Prefix of the address that the yes came from (IPv4 /24, IPv6 /48), never the whole.
    pub source: Option<String>,
    /// Whether it was taken back.
    pub revoked: bool,
    /// Moves with each change; rotation is guarded by it.
    pub version: u64,
}

/// An authorization code as stored: only its hash (GEN-16).
#[derive(Clone, Debug)]
pub struct Code {
    /// SHA-256 of the code.
    pub hash: CodeHash,
    /// The client it was issued to.
    pub client: ClientKey,
    /// The grant that was recorded with it.
    pub grant: GrantId,
    /// Where the browser was sent; the token request must repeat it if it names one (RU-10).
    pub redirect_uri: String,
    /// RFC 7636.
    pub challenge: CodeChallenge,
    /// OpenID Connect `nonce`.
    pub nonce: Option<String>,
    /// How the client authenticated when it pushed the request, if it did (CIMD-65). What may
    /// redeem the code then is the caller's business; it never changes.
    pub auth_method: Option<AuthMethod>,
    /// 60 s after issue.
    pub expires_at: Timestamp,
    /// When it was redeemed.
    pub spent_at: Option<Timestamp>,
}

/// A person approves. Everything that follows from it, in one transaction.
#[derive(Clone, Debug)]
pub struct Approval {
    /// The consent ticket; once only.
    pub ticket: TicketId,
    /// How long the ticket's use must be remembered.
    pub ticket_until: Timestamp,
    /// The client as resolved now. A registered or document client without a row gets one
    /// (promotion); a document client with a row gets this snapshot unless the row's is later;
    /// other rows stay, but one without a software learns it.
    pub client: StoredClient,
    /// The new grant.
    pub grant: Grant,
    /// Its code.
    pub code: Code,
    /// Registered clients that `client` takes the place of, as
    /// [`crate::SupersessionStore::superseded_by`] tells them; mostly none.
    pub supersedes: Vec<ClientKey>,
    /// Remember this consent for (user, client, digest, resource)?
    pub remember_until: Option<Timestamp>,
    /// When.
    pub now: Timestamp,
    /// Trail.
    pub audit: AuditEntry,
}

/// What became of an approval.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Approved {
    /// Client, grant and code are there.
    Done,
    /// A tombstone or block stands against the client; nothing was written.
    ClientGone,
    /// The ticket was approved or denied before; nothing was written.
    TicketUsed,
}

/// A family to open with a redeemed code.
#[derive(Clone, Debug)]
pub struct NewFamily {
    /// Random id.
    pub id: FamilyId,
    /// The seal key whose MAC the family's tokens carry, all its life.
    pub key_id: u16,
    /// Whether each use moves the generation (public clients: yes, RT-02).
    pub rotates: bool,
    /// Idle limit.
    pub idle_until: Timestamp,
    /// Limit that nothing extends.
    pub absolute_until: Timestamp,
}

/// A client assertion that must be used once (JCA-07); written with what it protects.
#[derive(Clone, Debug)]
pub struct AssertionUse {
    /// Whose.
    pub client: ClientKey,
    /// SHA-256 of `jti`.
    pub jti_hash: [u8; 32],
    /// Remember until then.
    pub expires_at: Timestamp,
    /// At most this many live rows per client; full refuses, never evicts.
    pub rows_max: u32,
}

/// What became of an assertion.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Assertion {
    /// First use; recorded.
    First,
    /// The client has too many live ones.
    Full,
    /// Used before.
    Replayed,
}

/// Spend a code.
#[derive(Clone, Debug)]
pub struct CodeSpending {
    /// Which.
    pub hash: CodeHash,
    /// How the client authenticated; bound to the family (T26, CIMD-65).
    pub auth_method: AuthMethod,
    /// The refresh family to open, if the client gets one.
    pub family: Option<NewFamily>,
    /// The assertion to use up in the same transaction.
    pub assertion: Option<AssertionUse>,
    /// When.
    pub now: Timestamp,
    /// Trail.
    pub audit: AuditEntry,
}

/// What became of an authorization code.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Spent {
    /// The assertion was not fresh; the code is untouched.
    AssertionRefused(Assertion),
    /// Spent earlier, at that time, for this grant. The caller decides whether to revoke.
    Before(GrantId, Timestamp),
    /// Too old, or its grant was revoked meanwhile.
    Expired,
    /// This call was first.
    Now(GrantId),
    /// No such code.
    Unknown,
}

/// Grants, codes, tickets, remembered consent.
#[async_trait::async_trait]
pub trait GrantStore: Send + Sync {
    /// Record an approval: use the ticket, promote the client, open the grant, keep the code.
    ///
    /// # Contract — `conformance::grants`
    /// - All of it or nothing.
    /// - Of any number of concurrent calls with one ticket exactly one returns `Done`.
    /// - Concurrent approvals by different people of one client without a row all return `Done`,
    ///   and there is one row (insert-or-nothing, then check that it is live).
    /// - A tombstone or block that exists when the transaction runs wins: `ClientGone`. So does a
    ///   block of the client or of the redirect URI by [`crate::StandingStore::put_standing`] that
    ///   holds at `now`.
    /// - A document's snapshot never replaces a later one (`StoredClient::snapshot_at`).
    ///
    /// And by `conformance::supersessions`:
    /// - Live grants of the same person at the same resource to a client in `supersedes` end with
    ///   all that hangs on them, each with a line [`GrantMoved`] of its own. Only where the link
    ///   still stands when the transaction runs; nobody else's grant and no other resource's.
    ///
    /// [`GrantMoved`]: vestibule_protocol::audit::Event::GrantMoved
    async fn approve(&self, approval: Approval) -> Result<Approved>;

    /// Record a denial: use the ticket. Returns false if it was used before.
    async fn deny(&self, ticket: TicketId, until: Timestamp, audit: AuditEntry) -> Result<bool>;

    /// The code and its grant, spent or not, expired or not.
    async fn find_code(&self, hash: &CodeHash) -> Result<Option<(Code, Grant)>>;

    /// Spend a code and open its family, in one transaction. Callers check client, redirect URI
    /// and PKCE first; this decides only who was first.
    ///
    /// # Contract — `conformance::grants`
    /// - Of any number of concurrent calls with one code exactly one returns [`Spent::Now`].
    /// - Every other call returns [`Spent::Before`] with the grant (RFC 6749 §4.1.2).
    /// - Lifetimes are judged against `now`, never against the database's clock; a code at
    ///   `expires_at` is dead.
    async fn spend_code(&self, spending: CodeSpending) -> Result<Spent>;

    /// A grant by id.
    async fn find_grant(&self, id: &GrantId) -> Result<Option<Grant>>;

    /// Take a grant back: the grant, its families and its unspent codes, at once. Returns whether
    /// this call did it. Remembered consent for the same user, client and resource goes too.
    async fn revoke_grant(&self, id: &GrantId, audit: AuditEntry) -> Result<bool>;

    /// Scopes that this person said yes to before for the same client, digest and resource.
    async fn remembered_consent(
        &self,
        user: &UserId,
        client: &ClientKey,
        metadata_digest: &[u8; 32],
        resource: &str,
        now: Timestamp,
    ) -> Result<Option<ScopeSet>>;

    /// When this person last gave this client a grant that is still alive.
    async fn last_grant(&self, user: &UserId, client: &ClientKey) -> Result<Option<Timestamp>>;

    /// Live grants of a person, newest first.
    async fn list_grants(&self, user: &UserId, rows_max: usize) -> Result<Vec<Grant>>;
}
