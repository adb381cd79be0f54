//! Proofs of domains: an admin asks for one, its owner publishes a value, the hub looks for it, now
//! and again on a schedule. A proof that is not found any more ends after three looks.
//!
//! | Step                    | By                              |
//! |-------------------------|---------------------------------|
//! | ask, with the value     | [`Engine::ask_for_proof`]       |
//! | look                    | [`Engine::check_verification`]  |
//! | look again, on schedule | [`Engine::check_due_verifications`] |
//! | take back               | [`Engine::revoke_proof`]        |
//!
//! Not here: what an answer must say (`policy::signals::domain_proof`), the states (`store`), what a
//! proof is worth (`admission`).

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use vestibule_fetch::{Fetcher, Purpose};
use vestibule_policy::signals::domain_proof::{
    ProofToken, claimable, file_matches, file_url, record_name, txt_matches,
};
use vestibule_protocol::{
    audit::{Actor, Event},
    client_id::ClientKey,
    time::Timestamp,
};
use vestibule_store::{
    StoreError,
    verifications::{
        Verification, VerificationAdded, VerificationMethod, VerificationMove, VerificationOutcome,
        VerificationState,
    },
};

use crate::{Engine, Source, clients::Unresolved};

/// Proofs looked for in one round.
const CHECKS_MAX: usize = 20;
/// A proof that stands is looked for again after so long.
const AGAIN_AFTER: Duration = Duration::from_hours(24);
/// One that is not there (yet) after so long.
const SOON: Duration = Duration::from_mins(10);
/// An admin's own look at one that is not due counts as a look only after so long.
const AFTER_A_LOOK: Duration = Duration::from_mins(1);

/// Where proofs are looked for.
#[async_trait]
pub trait Domains: Send + Sync {
    /// TXT records of a name; the error is a sentence for the admin.
    async fn txt(&self, name: &str) -> Result<Vec<String>, String>;
    /// A small public text file.
    async fn file(&self, url: &str) -> Result<String, String>;
}

/// The real one: through the only way out.
pub struct FetchDomains(pub Arc<Fetcher>);

#[async_trait]
impl Domains for FetchDomains {
    async fn txt(&self, name: &str) -> Result<Vec<String>, String> {
        let found = self.0.txt(name).await;
        found.map_err(|failure| format!("{name} could not be looked up: {failure}"))
    }

    async fn file(&self, url: &str) -> Result<String, String> {
        let target = self
            .0
            .parse_stranger_url(url)
            .map_err(|failure| format!("{url} cannot be fetched: {failure}"))?;
        let fetched = self
            .0
            .get(&target, Purpose::Verification)
            .await
            .map_err(|failure| format!("{url} could not be fetched: {failure}"))?;
        if fetched.status != 200 {
            return Err(format!("{url} answered {}", fetched.status));
        }
        String::from_utf8(fetched.body.to_vec()).map_err(|_| format!("{url} is not text"))
    }
}

/// Why a proof cannot be asked for.
#[derive(Debug, thiserror::Error)]
pub enum AskProofError {
    /// No such client; a document client must be readable now.
    #[error("there is no such client, or its document cannot be read")]
    NoClient,
    /// Not one of its own.
    #[error("the client can only prove {0}")]
    NotItsDomain(String),
    /// It has none.
    #[error("the client has no domain: its redirects stay on the device")]
    NoDomain,
    /// Asked for before.
    #[error("this proof was asked for already; see `vestibule verify list`")]
    Taken,
    /// Too many.
    #[error("too many proofs are kept")]
    Full,
    /// The store failed.
    #[error("the store failed: {0}")]
    Store(#[from] StoreError),
}

/// What to publish.
#[derive(Clone, Debug)]
pub struct ProofAsked {
    /// For later commands.
    pub id: String,
    /// The domain.
    pub domain: String,
    /// Where: a record's name or a file's URL.
    pub place: String,
    /// What.
    pub value: String,
}

impl Engine {
    /// Ask for the proof of a domain of a client: by default its only one.
    pub async fn ask_for_proof(
        &self,
        client_id: &str,
        domain: Option<&str>,
        method: VerificationMethod,
        source: &Source,
        actor: Actor,
    ) -> Result<ProofAsked, AskProofError> {
        let client = match self.find_for_admin(client_id, source).await {
            Ok(client) => client,
            Err(Unresolved::Store) => {
                return Err(StoreError::Busy.into());
            }
            Err(_) => return Err(AskProofError::NoClient),
        };
        let domains = claimable(client_id, &client.metadata);
        let domain = match (domain, domains.as_slice()) {
            (_, []) => return Err(AskProofError::NoDomain),
            (None, [only]) => only.clone(),
            (Some(asked), all) if all.iter().any(|known| known == asked) => asked.to_owned(),
            (_, all) => return Err(AskProofError::NotItsDomain(all.join(", "))),
        };
        let token = self.random_token("").into_inner();
        let id = self
            .random_token("dv_")
            .into_inner()
            .chars()
            .take(15)
            .collect();
        let now = self.now();
        let verification = Verification {
            id,
            client: client.key,
            client_id: client.client_id.clone(),
            domain: domain.clone(),
            method,
            token: token.clone(),
            state: VerificationState::Pending,
            created_at: now,
            checked_at: None,
            verified_at: None,
            next_check_at: now.plus(AFTER_A_LOOK),
            failures: 0,
            last_error: None,
        };
        let asked = ProofAsked {
            id: verification.id.clone(),
            place: place(&verification),
            value: ProofToken::parse(&token).map_or_else(String::new, |token| token.value()),
            domain,
        };
        let audit = self.audit(
            Event::DomainVerificationAsked,
            actor,
            Some(client.key),
            format!("{} by {}", asked.domain, method.as_str()),
        );
        match self.store.add_verification(verification, audit).await? {
            VerificationAdded::Done => Ok(asked),
            VerificationAdded::ClientGone => Err(AskProofError::NoClient),
            VerificationAdded::Full => Err(AskProofError::Full),
            VerificationAdded::Taken => Err(AskProofError::Taken),
        }
    }

    /// Look for one now. `None` if there is no such proof; the sentence says why it was not found.
    pub async fn check_verification(
        &self,
        id: &str,
    ) -> Result<Option<(VerificationMove, Option<String>)>, StoreError> {
        let Some(verification) = self.store.find_verification(id).await? else {
            return Ok(None);
        };
        let looked = self.look_and_note(&verification).await?;
        self.follow().await?;
        Ok(looked)
    }

    async fn look_and_note(
        &self,
        verification: &Verification,
    ) -> Result<Option<(VerificationMove, Option<String>)>, StoreError> {
        let found = self.look_for(verification).await;
        let now = self.now();
        let (outcome, next, problem) = match found {
            Ok(()) => (VerificationOutcome::Proved, now.plus(AGAIN_AFTER), None),
            Err(problem) => (
                VerificationOutcome::Failed(problem.clone()),
                // A proof that stood is given days, so that no outage of an hour ends it.
                match verification.state {
                    VerificationState::Pending => now.plus(SOON),
                    _ => now.plus(AGAIN_AFTER),
                },
                Some(problem),
            ),
        };
        let audit = self.audit(
            Event::DomainVerified,
            Actor::System,
            Some(verification.client),
            format!(
                "{} by {}",
                verification.domain,
                verification.method.as_str()
            ),
        );
        let moved = self
            .store
            .note_verification(&verification.id, outcome, next, now, audit)
            .await?;
        Ok(moved.map(|moved| (moved, problem)))
    }

    /// Look for those that are due; returns how many.
    pub async fn check_due_verifications(&self) -> Result<usize, StoreError> {
        let due = self.store.due_verifications(self.now(), CHECKS_MAX).await?;
        for verification in &due {
            self.look_and_note(verification).await?;
        }
        if !due.is_empty() {
            self.follow().await?;
        }
        Ok(due.len())
    }

    /// End a proof. Returns whether this call did it.
    pub async fn revoke_proof(&self, id: &str, actor: Actor) -> Result<bool, StoreError> {
        let client = self.store.find_verification(id).await?;
        let client: Option<ClientKey> = client.map(|verification| verification.client);
        let detail = format!("{id} was taken back");
        let audit = self.audit(Event::DomainVerificationLost, actor, client, detail);
        let revoked = self.store.revoke_verification(id, audit).await?;
        self.follow().await?;
        Ok(revoked)
    }

    /// Proofs that are kept, newest first.
    pub async fn proofs(
        &self,
        before: Option<(Timestamp, String)>,
        rows_max: usize,
    ) -> Result<Vec<Verification>, StoreError> {
        self.store.list_verifications(before, rows_max).await
    }

    async fn look_for(&self, verification: &Verification) -> Result<(), String> {
        let token = ProofToken::parse(&verification.token).ok_or("the kept value is damaged")?;
        let place = place(verification);
        let found = match verification.method {
            VerificationMethod::DnsTxt => txt_matches(&self.domains.txt(&place).await?, &token),
            VerificationMethod::WellKnownFile => {
                file_matches(&self.domains.file(&place).await?, &token)
            }
        };
        if found {
            Ok(())
        } else {
            Err(format!("{place} does not hold the value"))
        }
    }
}

/// Where a proof is published.
fn place(verification: &Verification) -> String {
    match verification.method {
        VerificationMethod::DnsTxt => record_name(&verification.domain),
        VerificationMethod::WellKnownFile => file_url(&verification.domain),
    }
}
