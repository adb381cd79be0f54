//! A problem's status and headers: one match for every endpoint for programs.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use vestibule_engine::{Problem, Shape};
use vestibule_protocol::challenge::{Challenge, ChallengeError};

use crate::surface::plain_error;

/// An engine's problem as a response.
pub(crate) struct Failed(pub(crate) Problem);

impl From<Problem> for Failed {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let Problem { error, shape } = self.0;
        let bearer = |error, scope| {
            Challenge {
                error,
                scope,
                realm: Some("vestibule".to_owned()),
                resource_metadata: None,
            }
            .to_header_value()
        };
        let (status, challenge, retry_after) = match shape {
            Shape::Request => (StatusCode::BAD_REQUEST, None, None),
            Shape::ClientAuth { basic: true } => (
                StatusCode::UNAUTHORIZED,
                Some("Basic realm=\"vestibule\"".to_owned()),
                None,
            ),
            Shape::ClientAuth { basic: false } => (StatusCode::UNAUTHORIZED, None, None),
            Shape::BearerMissing => (StatusCode::UNAUTHORIZED, Some(bearer(None, None)), None),
            Shape::BearerInvalid => (
                StatusCode::UNAUTHORIZED,
                Some(bearer(Some(ChallengeError::InvalidToken), None)),
                None,
            ),
            Shape::BearerScope { scope } => (
                StatusCode::FORBIDDEN,
                Some(bearer(Some(ChallengeError::InsufficientScope), Some(scope))),
                None,
            ),
            Shape::Forbidden => (StatusCode::FORBIDDEN, None, None),
            Shape::NotFound => (StatusCode::NOT_FOUND, None, None),
            Shape::Busy { retry_after } => {
                (StatusCode::SERVICE_UNAVAILABLE, None, Some(retry_after))
            }
            Shape::Throttled { retry_after } => {
                (StatusCode::TOO_MANY_REQUESTS, None, Some(retry_after))
            }
            Shape::Fault => (StatusCode::INTERNAL_SERVER_ERROR, None, None),
        };
        let mut answer = plain_error(status, error.code.as_str(), &error.description);
        let headers = answer.headers_mut();
        if let Some(value) = challenge.and_then(|text| HeaderValue::from_str(&text).ok()) {
            headers.insert(header::WWW_AUTHENTICATE, value);
        }
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        answer
    }
}
