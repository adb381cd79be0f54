//! Rows that were read a moment ago. A client, a person and a session are asked for at each request;
//! one counts again for the rest of the second in which it was read, as long as this process
//! changed nothing but hot rows since ([`vestibule_store::Store::changes`]). So a node sees its own
//! changes at once, and those of others within a second, as it does with settings.
//!
//! Not here: rows that decide by themselves, such as codes and refresh families; what is not there is
//! never remembered.

use std::{hash::Hash, sync::Arc};

use quick_cache::sync::Cache;
use vestibule_policy::signals::history::History;
use vestibule_protocol::{
    client_id::ClientKey,
    ids::{SessionHash, UserId},
};
use vestibule_store::{StoreError, sessions::Session, users::User};

use crate::{Engine, clients::Client};

/// Rows of each kind. One takes a kilobyte or two, most of it shared with requests under way.
const ROWS_MAX: usize = 2_000;

/// The state of the store that a row was read in, as far as this process can tell: the second, and the
/// changes of its own. The lower halves of both are enough to tell two apart.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Moment(u64);

impl Moment {
    /// For an atomic; [`Moment::of_bits`] of 0 was never.
    pub(crate) const fn bits(self) -> u64 {
        self.0
    }

    pub(crate) const fn of_bits(bits: u64) -> Self {
        Self(bits)
    }
}

/// What was read of one kind.
pub(crate) struct Recent<K, V> {
    rows: Cache<K, (Moment, V)>,
}

impl<K: Clone + Eq + Hash, V: Clone> Recent<K, V> {
    pub(crate) fn new() -> Self {
        Self {
            rows: Cache::new(ROWS_MAX),
        }
    }

    pub(crate) fn get(&self, key: &K, moment: Moment) -> Option<V> {
        let (then, row) = self.rows.get(key)?;
        (then == moment).then_some(row)
    }

    /// `moment` is that of before the row was read.
    pub(crate) fn put(&self, key: &K, moment: Moment, row: V) {
        self.rows.insert(key.clone(), (moment, row));
    }
}

/// All kinds.
pub(crate) struct RecentRows {
    pub(crate) clients: Recent<ClientKey, Arc<Client>>,
    pub(crate) histories: Recent<ClientKey, History>,
    sessions: Recent<SessionHash, (Arc<Session>, Arc<User>)>,
    users: Recent<UserId, Arc<User>>,
}

impl RecentRows {
    pub(crate) fn new() -> Self {
        Self {
            clients: Recent::new(),
            histories: Recent::new(),
            sessions: Recent::new(),
            users: Recent::new(),
        }
    }
}

impl Engine {
    /// Now, for rows that are about to be read.
    pub(crate) fn moment(&self) -> Moment {
        let changes = self.store.changes() & 0xffff_ffff;
        Moment(self.now().seconds() << 32 | changes)
    }

    /// The person by this id.
    pub(crate) async fn find_user(&self, id: &UserId) -> Result<Option<Arc<User>>, StoreError> {
        let (recent, moment) = (&self.recent.users, self.moment());
        if let Some(user) = recent.get(id, moment) {
            return Ok(Some(user));
        }
        let user = self.store.find_user(id).await?.map(Arc::new);
        if let Some(user) = &user {
            recent.put(id, moment, Arc::clone(user));
        }
        Ok(user)
    }

    /// The live session by this hash, with its person.
    pub(crate) async fn find_session(
        &self,
        hash: &SessionHash,
    ) -> Result<Option<(Arc<Session>, Arc<User>)>, StoreError> {
        // Within a second no session passes its end unseen: the end is a whole second too.
        let (recent, moment) = (&self.recent.sessions, self.moment());
        if let Some(found) = recent.get(hash, moment) {
            return Ok(Some(found));
        }
        let found = self.store.find_session(hash, self.now()).await?;
        let found = found.map(|(session, user)| (Arc::new(session), Arc::new(user)));
        if let Some(found) = &found {
            recent.put(hash, moment, found.clone());
        }
        Ok(found)
    }
}
