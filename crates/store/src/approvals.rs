//! The queue of what waits for an admin: who may not go on until somebody decides (design sections
//! 4.1 and 5, outcome `hold` of section 6).
//!
//! A stranger can put a row here, where an admin opted in, so the queue is bounded in rows, in
//! bytes (see [`Ask::bounded`]) and in lines of the trail: a stranger's ask leaves none.
//!
//! Not here: what an approval lifts (`policy`: `held` becomes `unverified`, never more).

use std::time::Duration;

use vestibule_protocol::{ids::UserId, time::Timestamp, trust::Door};

use crate::{AuditEntry, Result, words::words};

/// How long a request waits after it was asked last; then it is over.
pub const WAITING_KEPT: Duration = Duration::from_hours(7 * 24);

/// A request that comes again so soon is not counted (and not written).
pub const ASKED_AGAIN_AFTER: Duration = Duration::from_mins(1);

/// Most octets of [`Ask::subject_text`].
const SUBJECT_OCTETS: usize = 2_048;
/// Most octets of every other text of a request.
pub const TEXT_OCTETS: usize = 512;
/// Most reasons of a request.
pub const REASONS: usize = 16;

/// Most requests of one person that wait: so few that no one person takes all the room of a
/// software.
pub const fn per_person_max(per_software_max: u32) -> u32 {
    match per_software_max / 2 {
        0 => per_software_max,
        half => half,
    }
}

words! {
    /// Where a request is in its life.
    ApprovalPhase {
        /// An admin said yes.
        Approved = "approved",
        /// An admin said no.
        Denied = "denied",
        /// Nobody decided.
        Waiting = "waiting",
    }
}
words! {
    /// What an admin says.
    Decision {
        /// Yes.
        Approve = "approve",
        /// No.
        Deny = "deny",
    }
}

impl Decision {
    /// The phase that it leads to.
    pub const fn phase(self) -> ApprovalPhase {
        match self {
            Self::Approve => ApprovalPhase::Approved,
            Self::Deny => ApprovalPhase::Denied,
        }
    }
}

/// A request's number; never given again.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ApprovalId(u64);

impl ApprovalId {
    /// Of a number that the store gave.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// Somebody asks that a subject may go on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ask {
    /// What is to be approved, by 32 octets that stand for exactly it. One request each.
    pub subject: [u8; 32],
    /// The same for people, such as the `client_id`.
    pub subject_text: String,
    /// What clones share (design section 2); self-asserted.
    pub software: String,
    /// How the client came.
    pub door: Door,
    /// The name that it gives itself.
    pub display_name: Option<String>,
    /// Its host, if it has one.
    pub host: Option<String>,
    /// Why it may not go on by itself, in plain words.
    pub reasons: Vec<String>,
    /// The signed-in person who asks; `None` for a stranger.
    pub asked_by: Option<UserId>,
    /// Prefix of the source address (IPv4 /24, IPv6 /48), never the whole address.
    pub source_prefix: Option<String>,
    /// When.
    pub now: Timestamp,
}

impl Ask {
    /// The same with every text cut to a fixed size, so that a row of the queue has one. Backends
    /// store no other.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        cut(&mut self.subject_text, SUBJECT_OCTETS);
        let others = [
            Some(&mut self.software),
            self.display_name.as_mut(),
            self.host.as_mut(),
            self.source_prefix.as_mut(),
        ];
        for text in others.into_iter().flatten() {
            cut(text, TEXT_OCTETS);
        }
        self.reasons.truncate(REASONS);
        for text in &mut self.reasons {
            cut(text, TEXT_OCTETS);
        }
        self
    }
}

/// At most so many octets, and whole characters.
fn cut(text: &mut String, octets: usize) {
    text.truncate(text.floor_char_boundary(octets));
}

/// What became of [`ApprovalStore::ask_approval`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Asked {
    /// An admin said yes, and it holds.
    Approved,
    /// An admin said no, and it holds.
    Denied,
    /// There is no room; nothing was written.
    Full,
    /// It waits.
    Waiting(ApprovalId),
}

/// What decides an answer: where the request of a subject is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ApprovalState {
    /// Which request.
    pub id: ApprovalId,
    /// Where it is.
    pub phase: ApprovalPhase,
    /// Over from then on.
    pub until: Timestamp,
}

/// A request with all that an admin sees.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ApprovalRow {
    /// Its number.
    pub id: ApprovalId,
    /// As first asked; [`Ask::now`] is when. `asked_by` is the first signed-in person.
    pub ask: Ask,
    /// Where it is.
    pub phase: ApprovalPhase,
    /// How often it was asked for, at most once a minute.
    pub times: u64,
    /// The last of these.
    pub last_asked_at: Timestamp,
    /// Who decided, as the admin is called.
    pub decided_by: Option<String>,
    /// When.
    pub decided_at: Option<Timestamp>,
    /// Over from then on: the end of a decision, or [`WAITING_KEPT`] after the last ask.
    pub until: Timestamp,
}

/// The queue.
#[async_trait::async_trait]
pub trait ApprovalStore: Send + Sync {
    /// Ask for a subject, or ask again.
    ///
    /// # Contract — `conformance::approvals`
    /// - One request for each subject: of any number of concurrent calls all get the same
    ///   [`Asked::Waiting`]. Asking again moves `times`, `last_asked_at` and the end of the wait,
    ///   at most once each [`ASKED_AGAIN_AFTER`].
    /// - A decision that holds at `now` is the answer; one that is over is as if it never was.
    /// - No more than `per_software_max` requests of one software wait, nor `total_max` in all.
    ///   Decided ones take no room and never give way. A limit that was lowered lets those stay
    ///   that wait; then a newcomer only takes another's place. With a limit of 0 nobody comes in.
    /// - No more than [`per_person_max`] requests that one person asked for wait; then the answer
    ///   to another one is [`Asked::Full`].
    /// - What a signed-in person asked for never gives way: names of software are free, so whoever
    ///   invented some could push out the others. What a stranger asked for gives way to a person:
    ///   the oldest of the own software at `per_software_max`, and when `total_max` wait, the
    ///   oldest of the software with the most of them. To a stranger nobody gives way. A person who
    ///   asks for what a stranger asked for makes it theirs, whatever else of theirs waits.
    /// - `audit` is written when a person's request appears, never for a stranger's: their flood
    ///   must not grow the trail.
    async fn ask_approval(
        &self,
        ask: Ask,
        per_software_max: u32,
        total_max: u32,
        audit: AuditEntry,
    ) -> Result<Asked>;

    /// Decide, from `audit.at` to `until`. Returns whether this call changed anything.
    ///
    /// # Contract — `conformance::approvals`
    /// - From waiting, or from the other decision. The same decision again, an unknown number and
    ///   a request that is over change nothing.
    /// - Of any number of concurrent calls with one decision exactly one returns true.
    /// - Moves [`crate::versions::Heads::lists`].
    async fn decide_approval(
        &self,
        id: ApprovalId,
        decision: Decision,
        decided_by: &str,
        until: Timestamp,
        audit: AuditEntry,
    ) -> Result<bool>;

    /// The request of a subject that is not over at `now`.
    async fn find_approval(
        &self,
        subject: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<ApprovalState>>;

    /// A request by its number, over or not, until the sweep takes it.
    async fn approval(&self, id: ApprovalId) -> Result<Option<ApprovalRow>>;

    /// The newest `rows_max` requests with `id < before`, in one phase or all, newest first.
    async fn list_approvals(
        &self,
        phase: Option<ApprovalPhase>,
        before: Option<ApprovalId>,
        rows_max: usize,
    ) -> Result<Vec<ApprovalRow>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(text: &str) -> Ask {
        Ask {
            subject: [1; 32],
            subject_text: text.to_owned(),
            software: text.to_owned(),
            door: Door::Dcr,
            display_name: Some(text.to_owned()),
            host: Some(text.to_owned()),
            reasons: vec![text.to_owned(); 40],
            asked_by: None,
            source_prefix: Some(text.to_owned()),
            now: Timestamp::from_seconds(0),
        }
    }

    #[test]
    fn a_request_has_a_largest_size_and_whole_characters() {
        let bounded = ask(&"é€".repeat(10_000)).bounded();
        assert_eq!(bounded.subject_text.len(), 2_047);
        assert_eq!(bounded.reasons.len(), 16);
        let others = [&bounded.software].into_iter();
        let others = others.chain(&bounded.display_name).chain(&bounded.host);
        for text in others.chain(&bounded.source_prefix).chain(&bounded.reasons) {
            assert_eq!(text.len(), 512);
        }
    }

    #[test]
    fn a_small_request_stays_as_it_is() {
        let small = Ask {
            reasons: vec!["first seen here today".to_owned()],
            ..ask("an app")
        };
        assert_eq!(small.clone().bounded(), small);
    }
}
