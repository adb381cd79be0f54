//! From registered clones to one document client: which registered clients a document client takes
//! the place of, and how far people have moved.
//!
//! A link moves nothing by itself. When a person approves the new client at a resource, their own
//! grants there to its predecessors end in that transaction ([`crate::GrantStore::approve`]).
//!
//! Not here: which clones belong together; an admin says so, the software is self-asserted.

use vestibule_protocol::{client_id::ClientKey, ids::UserId, time::Timestamp};

use crate::{AuditEntry, Result, clients::StoredClient};

/// Predecessors of one client at most.
pub const PREDECESSORS_MAX: usize = 10_000;
/// Predecessors that one answer names at most.
pub const NAMED_MAX: usize = 500;
/// Successors that a report tells of at most.
pub const REPORT_MAX: usize = 100;
/// Redirect hosts that a [`SoftwareRow`] names at most, and rows that they are taken from.
pub const HOSTS_MAX: usize = 20;

/// What became of [`SupersessionStore::put_supersession`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Superseded {
    /// All of them are linked to the new client, and to no other.
    Done,
    /// The new client would have more than [`PREDECESSORS_MAX`]; nothing changed.
    Full,
}

/// How far the move to one client is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SupersessionRow {
    /// The new client.
    pub new_client_id: String,
    /// Its predecessors.
    pub old_clients: u64,
    /// Live grants to these that nobody has moved yet.
    pub live_grants_left: u64,
    /// Grants that were moved so far.
    pub moved: u64,
}

/// What registered under one software.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SoftwareRow {
    /// The normalised software key.
    pub software: String,
    /// The name that its newest client gives itself.
    pub example_name: Option<String>,
    /// Registered clients.
    pub clients: u64,
    /// Live grants to these.
    pub live_grants: u64,
    /// Hosts of redirect URIs of its newest clients, sorted, at most [`HOSTS_MAX`].
    pub redirect_hosts: Vec<String>,
}

/// Successions.
#[async_trait::async_trait]
pub trait SupersessionStore: Send + Sync {
    /// Link registered clients to the document client that takes their place. A client that had
    /// another successor changes to this one.
    ///
    /// # Contract — `conformance::supersessions`
    /// - A client has one successor, whoever links at the same time.
    /// - Again with the same clients changes nothing, the count of what was moved least of all.
    async fn put_supersession(
        &self,
        software: &str,
        old: &[ClientKey],
        new_client_id: &str,
        audit: AuditEntry,
    ) -> Result<Superseded>;

    /// Predecessors of a client, at most [`NAMED_MAX`].
    async fn superseded_by(&self, new: &ClientKey) -> Result<Vec<ClientKey>>;

    /// Predecessors of a client to which this person has a live grant at this resource, at most
    /// [`NAMED_MAX`]: what an approval would move, however many predecessors there are.
    async fn superseded_for(
        &self,
        new: &ClientKey,
        user: &UserId,
        resource: &str,
        now: Timestamp,
    ) -> Result<Vec<ClientKey>>;

    /// How far each move is, by `client_id`, at most [`REPORT_MAX`].
    async fn supersession_report(&self, now: Timestamp) -> Result<Vec<SupersessionRow>>;

    /// Take the links to a client away; what was moved stays moved. Returns whether there were any.
    async fn remove_supersession(&self, new_client_id: &str, audit: AuditEntry) -> Result<bool>;

    /// What registered dynamically, by software, most clients first. Clients without a software
    /// are not in it.
    async fn registered_software(
        &self,
        now: Timestamp,
        rows_max: usize,
    ) -> Result<Vec<SoftwareRow>>;

    /// Clients of one software, newest first, whichever door they came by.
    async fn clients_of_software(
        &self,
        software: &str,
        rows_max: usize,
    ) -> Result<Vec<StoredClient>>;
}
