//! How a request of a program fails: an OAuth error and the shape of the answer.
//!
//! Variant to code is decided here and beside each use case; code to status and headers is one
//! match in the server. What a peer sees is fixed text; details go to the log.

use vestibule_protocol::error_code::{ErrorCode, OAuthError};
use vestibule_store::StoreError;

/// A failed request at an endpoint for programs.
#[derive(Debug, thiserror::Error)]
#[error("{} ({shape:?}): {}", error.code.as_str(), error.description)]
pub struct Problem {
    /// What the peer is told.
    pub error: OAuthError,
    /// How.
    pub shape: Shape,
}

/// The kinds of failed answers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Shape {
    /// 401 challenge without an error: there was no credential (GEN-18).
    BearerMissing,
    /// 401 challenge, `invalid_token`.
    BearerInvalid,
    /// 403, `insufficient_scope`.
    BearerScope {
        /// What would suffice.
        scope: String,
    },
    /// 503: nothing was done, try again.
    Busy {
        /// Seconds.
        retry_after: u64,
    },
    /// 401, naming the scheme that the client used (GEN-08).
    ClientAuth {
        /// It came as `Authorization: Basic`.
        basic: bool,
    },
    /// 500: our own fault.
    Fault,
    /// 403.
    Forbidden,
    /// 404.
    NotFound,
    /// 400.
    Request,
    /// 429.
    Throttled {
        /// Seconds.
        retry_after: u64,
    },
}

impl Problem {
    /// A 400 with this code; `invalid_client` becomes a 401.
    pub fn new(code: ErrorCode, description: &'static str) -> Self {
        OAuthError::new(code, description).into()
    }

    /// The same error in another shape.
    #[must_use]
    pub fn shaped(self, shape: Shape) -> Self {
        Self { shape, ..self }
    }

    /// 429.
    pub fn throttled(retry_after: u64) -> Self {
        Self::new(
            ErrorCode::TemporarilyUnavailable,
            "too many requests, try again later",
        )
        .shaped(Shape::Throttled { retry_after })
    }

    /// 503.
    pub fn busy(retry_after: u64) -> Self {
        Self::new(
            ErrorCode::TemporarilyUnavailable,
            "the server is busy, try again",
        )
        .shaped(Shape::Busy { retry_after })
    }

    /// 500, for what only a defect of ours can cause.
    pub fn fault() -> Self {
        Self::new(ErrorCode::ServerError, "the server could not answer").shaped(Shape::Fault)
    }
}

impl From<OAuthError> for Problem {
    fn from(error: OAuthError) -> Self {
        let shape = match error.code {
            ErrorCode::InvalidClient => Shape::ClientAuth { basic: false },
            _ => Shape::Request,
        };
        Self { error, shape }
    }
}

impl From<StoreError> for Problem {
    /// A store that fails is a 503, never a protocol answer that makes clients drop what they
    /// hold (threats P11).
    fn from(failure: StoreError) -> Self {
        tracing::error!(%failure, "the store failed");
        Self::busy(1)
    }
}
