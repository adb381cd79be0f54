//! Endpoints for programs: JSON in and out, one file each.

pub(crate) mod discovery;
pub(crate) mod health;
pub(crate) mod introspect;
pub(crate) mod par;
pub(crate) mod register;
pub(crate) mod revoke;
pub(crate) mod token;
pub(crate) mod userinfo;

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use serde::Serialize;

use crate::surface::no_store;

/// An answer that nobody keeps (GEN-06).
pub(crate) struct NoStore<T>(pub(crate) T);

impl<T: Serialize> IntoResponse for NoStore<T> {
    fn into_response(self) -> Response {
        let mut answer = Json(self.0).into_response();
        no_store(answer.headers_mut());
        answer
    }
}
