//! `/register` (RFC 7591) and `/register/{client_id}` (RFC 7592). JSON only: a form of another
//! site cannot register (threats R18); cookies are not looked at.

use std::convert::Infallible;

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Request, State},
    http::{HeaderMap, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use vestibule_protocol::registration::RegistrationResponse;

use crate::{
    App,
    endpoints::NoStore,
    extract::{bearer, body, source},
    problem::Failed,
    surface::{no_store, plain_error},
};

/// A JSON body, not read yet.
pub(crate) struct JsonBody(Bytes);

impl FromRequest<App> for JsonBody {
    type Rejection = Response;

    async fn from_request(request: Request, app: &App) -> Result<Self, Response> {
        let value = request.headers().get(header::CONTENT_TYPE);
        let value = value
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let essence = value.split(';').next().unwrap_or_default().trim();
        let wrong = |status, text| plain_error(status, "invalid_client_metadata", text);
        if !essence.eq_ignore_ascii_case("application/json") {
            let text = "the media type must be application/json";
            return Err(wrong(StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
        }
        body::read(request, app)
            .await
            .map(Self)
            .map_err(|failure| wrong(failure.status(), failure.text()))
    }
}

/// The `client_id` in the path. One that is not even text is nobody's: the answer is the engine's
/// for any unknown one.
pub(crate) struct ClientId(String);

impl FromRequestParts<App> for ClientId {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        let read = Path::<String>::from_request_parts(parts, app).await;
        Ok(Self(read.map(|Path(id)| id).unwrap_or_default()))
    }
}

pub(crate) async fn register(
    State(app): State<App>,
    source::From(source): source::From,
    headers: HeaderMap,
    JsonBody(body): JsonBody,
) -> Result<Response, Failed> {
    let registered = app
        .engine
        .register(&body, bearer(&headers), &source)
        .await?;
    Ok((StatusCode::CREATED, NoStore(registered)).into_response())
}

pub(crate) async fn read(
    State(app): State<App>,
    ClientId(client_id): ClientId,
    source::From(source): source::From,
    headers: HeaderMap,
) -> Result<NoStore<RegistrationResponse>, Failed> {
    Ok(NoStore(
        app.engine
            .read_registration(&client_id, bearer(&headers), &source)
            .await?,
    ))
}

pub(crate) async fn update(
    State(app): State<App>,
    ClientId(client_id): ClientId,
    source::From(source): source::From,
    headers: HeaderMap,
    JsonBody(body): JsonBody,
) -> Result<NoStore<RegistrationResponse>, Failed> {
    let bearer = bearer(&headers);
    Ok(NoStore(
        app.engine
            .update_registration(&client_id, bearer, &body, &source)
            .await?,
    ))
}

pub(crate) async fn delete(
    State(app): State<App>,
    ClientId(client_id): ClientId,
    source::From(source): source::From,
    headers: HeaderMap,
) -> Result<Response, Failed> {
    app.engine
        .delete_registration(&client_id, bearer(&headers), &source)
        .await?;
    let mut answer = StatusCode::NO_CONTENT.into_response();
    no_store(answer.headers_mut());
    Ok(answer)
}
