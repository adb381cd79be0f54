//! Why a client is treated as it is, for an admin: the facts, the policies that fire, what it may.
//!
//! The same steps as for a person's request (`admission`), but nothing is counted or written, and a
//! refusal is an answer here.
//!
//! Not here: the words (`vestibule policy explain`).

use std::sync::Arc;

use vestibule_policy::{Arrival, Power, decision::Assessment, decision::Verdict, facts::Facts};
use vestibule_protocol::trust::{Door, Standing};
use vestibule_store::{StoreError, approvals::ApprovalPhase};

use crate::{Engine, Source, clients::Unresolved};

/// Why there is nothing to explain.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// An admin blocked exactly this client.
    #[error("an administrator blocked exactly this client; see `vestibule client words`")]
    Blocked,
    /// It is not known, and its door is closed.
    #[error("the {0} door is closed for clients that are not known yet")]
    DoorClosed(&'static str),
    /// Its document cannot be used.
    #[error("its document cannot be used: {0}")]
    Document(String),
    /// It was, once.
    #[error("this client was removed, or its registration is over")]
    Gone,
    /// Nobody by that id.
    #[error("there is no client by that client_id")]
    Unknown,
    /// The store failed.
    #[error("the store failed: {0}")]
    Store(#[from] StoreError),
}

impl From<Unresolved> for ExplainError {
    fn from(failure: Unresolved) -> Self {
        match failure {
            Unresolved::Blocked | Unresolved::Refused(_) => Self::Blocked,
            Unresolved::DoorClosed(door) => Self::DoorClosed(door.as_str()),
            Unresolved::Document(failure) => Self::Document(failure.to_string()),
            Unresolved::Expired(_) | Unresolved::Gone => Self::Gone,
            Unresolved::Malformed(_) | Unresolved::Unknown => Self::Unknown,
            Unresolved::Store => StoreError::Busy.into(),
        }
    }
}

/// What a client is to this hub now.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// What it calls itself.
    pub name: Option<String>,
    /// How it came.
    pub door: Door,
    /// Somebody approved it once, so it has a row.
    pub stored: bool,
    /// Who it is to us.
    pub standing: Standing,
    /// What the policies saw.
    pub facts: Facts,
    /// What they made of it.
    pub assessment: Arc<Assessment>,
    /// Whether it may come in, at its own door; none of a client that an admin made.
    pub arrival: Option<Verdict>,
    /// What an admin said of it while it was held.
    pub approval: Option<ApprovalPhase>,
    /// What it may have at most.
    pub power: Power,
}

impl Engine {
    /// Explain a client as for a request from this source.
    pub async fn explain(
        &self,
        client_id: &str,
        source: &Source,
    ) -> Result<Explanation, ExplainError> {
        let client = self.find_for_admin(client_id, source).await?;
        let live = self.live_now();
        let (client, facts) = self.judge(client, source, &live).await?;
        let arrival = match client.door {
            Door::Admin => None,
            Door::Cimd => Some(Arrival::Appear),
            Door::Dcr => Some(Arrival::Register),
        };
        let arrival =
            arrival.map(|arrival| live.policies.admits(arrival, &facts, &client.assessment));
        let approval = self.approval_of(&client).await?;
        let name = client.metadata.client_name.as_ref();
        Ok(Explanation {
            name: name.map(|name| name.as_str().to_owned()),
            door: client.door,
            stored: client.has_row(),
            standing: client.standing,
            facts,
            arrival,
            approval,
            power: live.power(&client, None),
            assessment: client.assessment,
        })
    }
}
