//! A request's body: bounded in size and in time. A stranger who sends an octet a minute keeps no
//! handler waiting.

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{StatusCode, header},
};
use tokio::time::timeout;

use crate::{App, routes::BODY_BYTES_MAX};

/// Why there is no body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum BodyError {
    /// 408.
    Slow,
    /// 413.
    TooLarge,
}

impl BodyError {
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        }
    }

    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Slow => "the body did not arrive in time",
            Self::TooLarge => "the body is too large",
        }
    }
}

/// Read it. What says that it is too large is not read at all.
pub(crate) async fn read(request: Request, app: &App) -> Result<Bytes, BodyError> {
    let announced = request.headers().get(header::CONTENT_LENGTH);
    let announced = announced
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse::<usize>().ok());
    if announced.is_some_and(|length| length > BODY_BYTES_MAX) {
        return Err(BodyError::TooLarge);
    }
    timeout(app.settings.body_within, Bytes::from_request(request, app))
        .await
        .map_err(|_| BodyError::Slow)?
        .map_err(|_| BodyError::TooLarge)
}
