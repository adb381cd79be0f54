//! What an admin says of a client or a redirect URI by its exact text: vouched for, or blocked.
//!
//! Not here: what follows from it (`admission`), the row (`store`).

use vestibule_protocol::{
    audit::{Actor, Event},
    client_id::ClientKey,
    redirect_uri::{RedirectKind, RedirectUri},
    time::Timestamp,
};
use vestibule_store::{
    StoreError,
    standings::{StandingRow, Subject, SubjectKind, Word},
};

use crate::Engine;

/// Longest text of a subject.
const SUBJECT_BYTES_MAX: usize = 2_048;
/// Longest note.
const NOTE_CHARS_MAX: usize = 300;

/// Why an admin's word was not taken.
#[derive(Debug, thiserror::Error)]
pub enum VouchError {
    /// Only an https redirect shows who receives the answer.
    #[error("only an https redirect URI can be vouched for: others can be taken by any program")]
    NotHttps,
    /// Empty, too long, or not a redirect URI.
    #[error("this is not a client_id or redirect URI")]
    Subject,
    /// The store failed.
    #[error("the store failed: {0}")]
    Store(#[from] StoreError),
}

impl Engine {
    /// Say a word about an exact client or redirect URI. A blocked client loses its grants at once.
    #[expect(
        clippy::too_many_arguments,
        reason = "each is a member of the row, named where it is said"
    )]
    pub async fn say(
        &self,
        kind: SubjectKind,
        text: &str,
        word: Word,
        note: &str,
        until: Option<Timestamp>,
        by: &str,
    ) -> Result<(), VouchError> {
        let subject = read_subject(kind, text, word)?;
        let actor = Actor::Admin(by.to_owned());
        let client = (kind == SubjectKind::Client).then(|| ClientKey::of(text));
        let shown: String = text.chars().take(200).collect();
        let detail = format!("{} {shown}", word.as_str());
        let audit = self.audit(Event::StandingGiven, actor, client, detail);
        let row = StandingRow {
            subject,
            subject_text: text.to_owned(),
            word,
            by: by.to_owned(),
            note: note.chars().take(NOTE_CHARS_MAX).collect(),
            at: self.now(),
            until,
        };
        self.store.put_standing(row, audit).await?;
        self.verified.clear();
        self.follow().await?;
        Ok(())
    }

    /// Take a word back. Returns whether there was one.
    pub async fn unsay(&self, kind: SubjectKind, text: &str, by: &str) -> Result<bool, StoreError> {
        let subject = subject_of(kind, text);
        let client = (kind == SubjectKind::Client).then(|| ClientKey::of(text));
        let shown: String = text.chars().take(200).collect();
        let audit = self.audit(
            Event::StandingTaken,
            Actor::Admin(by.to_owned()),
            client,
            format!("took back {shown}"),
        );
        let was = self.store.remove_standing(&subject, audit).await?;
        self.follow().await?;
        Ok(was)
    }

    /// All of them, newest first.
    pub async fn words(
        &self,
        before: Option<(Timestamp, Subject)>,
        rows_max: usize,
    ) -> Result<Vec<StandingRow>, StoreError> {
        self.store.list_standings(before, rows_max).await
    }
}

fn subject_of(kind: SubjectKind, text: &str) -> Subject {
    match kind {
        SubjectKind::Client => Subject::client(&ClientKey::of(text)),
        SubjectKind::RedirectUri => Subject::redirect_uri(text),
    }
}

fn read_subject(kind: SubjectKind, text: &str, word: Word) -> Result<Subject, VouchError> {
    if text.is_empty() || text.len() > SUBJECT_BYTES_MAX || text.chars().any(char::is_control) {
        return Err(VouchError::Subject);
    }
    if kind == SubjectKind::RedirectUri {
        let uri = RedirectUri::accepted_before(text).ok_or(VouchError::Subject)?;
        if word == Word::Verified && uri.kind() != RedirectKind::Https {
            return Err(VouchError::NotHttps);
        }
    }
    Ok(subject_of(kind, text))
}
