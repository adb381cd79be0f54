//! The tower layer: metadata, challenges, scopes, origins, CORS.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use tower::{Layer, Service};
use vestibule_protocol::challenge::{Challenge, ChallengeError};

use crate::{
    scopes::Need,
    settings::Inner,
    verifier::{Refusal, VerifiedToken},
};

const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";
/// QUIRK-50.
const CORS_HEADERS: HeaderValue = HeaderValue::from_static(
    "Content-Type, Authorization, MCP-Protocol-Version, Mcp-Method, Mcp-Name, Mcp-Session-Id, \
     Last-Event-ID, DPoP",
);

/// Makes [`Protect`] services; from [`crate::Protection::layer`].
#[derive(Clone)]
pub struct ProtectLayer(Arc<Inner>);

impl ProtectLayer {
    pub(crate) fn new(inner: Arc<Inner>) -> Self {
        Self(inner)
    }
}

impl<S> Layer<S> for ProtectLayer {
    type Service = Protect<S>;

    fn layer(&self, service: S) -> Protect<S> {
        Protect {
            inner: self.0.clone(),
            service,
        }
    }
}

/// A service behind the hub's tokens.
#[derive(Clone)]
pub struct Protect<S> {
    inner: Arc<Inner>,
    service: S,
}

type BoxedFuture<T> = Pin<Box<dyn Future<Output = Result<T, Infallible>> + Send>>;

impl<S, B, R> Service<Request<B>> for Protect<S>
where
    S: Service<Request<B>, Response = Response<R>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + From<Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    R: From<Bytes> + Send + 'static,
{
    type Response = Response<R>;
    type Error = Infallible;
    type Future = BoxedFuture<Response<R>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let inner = self.inner.clone();
        // The service that was polled ready must be the one that is called.
        let fresh = self.service.clone();
        let mut service = std::mem::replace(&mut self.service, fresh);
        Box::pin(async move {
            let origin = request.headers().get(header::ORIGIN).cloned();
            let mut response = match inner.admit(request).await {
                Ok(request) => service.call(request).await?,
                Err(answer) => answer.map(R::from),
            };
            if origin.is_some() {
                expose(response.headers_mut());
            }
            Ok(response)
        })
    }
}

/// An answer of our own.
type Answer = Response<Bytes>;

impl Inner {
    /// The request with its verified token, or the answer instead.
    async fn admit<B>(&self, request: Request<B>) -> Result<Request<B>, Answer>
    where
        B: http_body::Body<Data = Bytes> + From<Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        if let Some(metadata) = self.metadata_answer(request.method(), request.uri().path()) {
            return Err(metadata);
        }
        if !self.origin_is_allowed(request.headers()) {
            return Err(plain(
                StatusCode::FORBIDDEN,
                "this origin may not call this server",
            ));
        }
        if request.method() == Method::OPTIONS
            && request
                .headers()
                .contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
        {
            return Err(preflight());
        }
        let token = self
            .authenticate(request.headers())
            .await
            .map_err(|refusal| {
                tracing::debug!(%refusal, "a request was refused");
                self.challenge(&refusal)
            })?;
        let (mut request, need) = self.read_need(request).await?;
        if self
            .settings
            .scopes
            .missing(&need, |scope| token.has_scope(scope))
        {
            return Err(self.insufficient(&need));
        }
        // The token stays here: what is behind gets what it says, not what opens doors (MCP-RS-07).
        request.headers_mut().remove(header::AUTHORIZATION);
        request.extensions_mut().insert(token);
        Ok(request)
    }

    async fn authenticate(&self, headers: &HeaderMap) -> Result<VerifiedToken, Refusal> {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let value = values.next().ok_or(Refusal::Missing)?;
        if values.next().is_some() {
            return Err(Refusal::Invalid("two Authorization headers"));
        }
        let value = value.to_str().map_err(|_| Refusal::Invalid("not ASCII"))?;
        let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(Refusal::Missing);
        }
        self.verifier.verify(token.trim()).await
    }

    /// Read what the request needs; only bodies that can carry JSON-RPC are read.
    async fn read_need<B>(&self, request: Request<B>) -> Result<(Request<B>, Need), Answer>
    where
        B: http_body::Body<Data = Bytes> + From<Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let scopes = &self.settings.scopes;
        if !scopes.reads_bodies() || request.method() != Method::POST {
            return Ok((request, scopes.base()));
        }
        let (parts, body) = request.into_parts();
        let limited = Limited::new(body, self.settings.body_bytes_max);
        let bytes = limited
            .collect()
            .await
            .map_err(|_| {
                plain(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "the request body is too large",
                )
            })?
            .to_bytes();
        let need = scopes.need(&bytes);
        Ok((Request::from_parts(parts, B::from(bytes)), need))
    }

    fn challenge(&self, refusal: &Refusal) -> Answer {
        let (status, error) = match refusal {
            Refusal::KeysUnavailable => {
                let mut answer = plain(StatusCode::SERVICE_UNAVAILABLE, "try again in a moment");
                answer
                    .headers_mut()
                    .insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
                return answer;
            }
            Refusal::Missing => (StatusCode::UNAUTHORIZED, None),
            Refusal::Invalid(_) => (StatusCode::UNAUTHORIZED, Some(ChallengeError::InvalidToken)),
        };
        self.challenged(status, error, &self.settings.scopes.base())
    }

    fn insufficient(&self, need: &Need) -> Answer {
        self.challenged(
            StatusCode::FORBIDDEN,
            Some(ChallengeError::InsufficientScope),
            need,
        )
    }

    fn challenged(&self, status: StatusCode, error: Option<ChallengeError>, need: &Need) -> Answer {
        let challenge = Challenge {
            error,
            scope: (!need.scopes().is_empty()).then(|| need.to_text()),
            resource_metadata: Some(self.metadata_url.clone()),
            realm: None,
        };
        let mut answer = plain(
            status,
            match status {
                StatusCode::FORBIDDEN => {
                    "the access token does not have the scopes that this needs"
                }
                _ => "an access token for this server is needed",
            },
        );
        if let Ok(value) = HeaderValue::from_str(&challenge.to_header_value()) {
            answer.headers_mut().insert(header::WWW_AUTHENTICATE, value);
        }
        answer
    }

    /// RFC 9728 §3.1, on the path of the resource and at the root (MCP-RS-03).
    fn metadata_answer(&self, method: &Method, path: &str) -> Option<Answer> {
        if path != WELL_KNOWN && path != self.metadata_path {
            // Below the well-known root there is nothing else of ours: 404, not a challenge.
            let below = path
                .strip_prefix(WELL_KNOWN)
                .is_some_and(|rest| rest.starts_with('/'));
            return below.then(|| plain(StatusCode::NOT_FOUND, "no such resource here"));
        }
        let mut answer = match *method {
            Method::GET => json(StatusCode::OK, self.metadata.clone()),
            Method::HEAD => json(StatusCode::OK, Vec::new()),
            Method::OPTIONS => preflight(),
            _ => {
                let mut answer = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET is allowed here");
                answer
                    .headers_mut()
                    .insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
                answer
            }
        };
        let headers = answer.headers_mut();
        headers.insert(
            header::CACHE_CONTROL,
            HeaderValue::from_static("public, max-age=300"),
        );
        expose(headers);
        Some(answer)
    }

    fn origin_is_allowed(&self, headers: &HeaderMap) -> bool {
        let Some(origin) = headers.get(header::ORIGIN) else {
            return true;
        };
        let Ok(origin) = origin.to_str() else {
            return false;
        };
        let origin = origin.to_ascii_lowercase();
        origin == self.own_origin || self.settings.origins.contains(&origin) || is_loopback(&origin)
    }
}

fn is_loopback(origin: &str) -> bool {
    let Some((_, authority)) = origin.split_once("://") else {
        return false;
    };
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    matches!(host, "localhost" | "127.0.0.1" | "[::1]")
}

fn expose(headers: &mut HeaderMap) {
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_ORIGIN,
        HeaderValue::from_static("*"),
    );
    headers.insert(
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("WWW-Authenticate, Mcp-Session-Id, Retry-After"),
    );
}

fn preflight() -> Answer {
    let mut answer = Response::new(Bytes::new());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    let headers = answer.headers_mut();
    expose(headers);
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("GET, POST, DELETE, OPTIONS"),
    );
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, CORS_HEADERS);
    headers.insert(
        HeaderName::from_static("access-control-max-age"),
        HeaderValue::from_static("600"),
    );
    answer
}

fn json(status: StatusCode, body: Vec<u8>) -> Answer {
    let mut answer = Response::new(Bytes::from(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    answer
}

/// A refusal that a person can read: `{"error_description": "…"}`.
fn plain(status: StatusCode, text: &'static str) -> Answer {
    let body = serde_json::json!({ "error_description": text });
    json(status, body.to_string().into_bytes())
}
