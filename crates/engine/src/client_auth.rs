//! Who asks: client authentication at every endpoint for programs (RFC 6749 §2.3, RFC 7523 §2.2,
//! RFC 10070).
//!
//! One method per request, only a registered one, and the method is remembered: what a code or a
//! refresh token was bound to with a key is not served to somebody without it (CIMD-65, T26). An
//! assertion is *verified* here and *used up* in the verb that it protects, so that one commit
//! decides both; requests that write nothing else call [`Engine::use_up_assertion`].
//!
//! Not here: what a client may ask for (`token` and beside it), who it is (`clients`), the
//! signature itself (`vestibule-jwt`).

mod replays;

use std::time::Duration;

use vestibule_cimd::ResolveError;
use vestibule_jwt::{Algorithm, AssertionError, ClientAssertionClaims, JwkSet};
use vestibule_protocol::{
    client_id::ClientKey,
    client_metadata::AuthMethod,
    error_code::{ErrorCode, OAuthError},
    secret::Secret,
    time::Timestamp,
    token_request::{Form, PresentedAuth},
};
use vestibule_store::grants::{Assertion, AssertionUse};

pub(crate) use replays::ReplayCache;

use crate::{Engine, Problem, Shape, Source, clients::Client, throttle::Meter};

/// What a client may sign assertions with (CIMD-66). Its registered algorithm narrows this to one.
const ASSERTION_ALGORITHMS: [Algorithm; 4] = [
    Algorithm::Es256,
    Algorithm::EdDsa,
    Algorithm::Ps256,
    Algorithm::Rs256,
];

/// Live assertions remembered per stored client; more are refused, none is forgotten (T11).
const ASSERTIONS_MAX: u32 = 4_096;

/// An assertion is remembered this much longer than it lives: clocks differ.
const ASSERTION_SKEW: Duration = Duration::from_mins(1);

/// A client that has shown who it is, as far as it is registered to.
///
/// Only [`Engine::authenticate`] makes one.
pub(crate) struct AuthenticatedClient {
    /// Who.
    pub(crate) client: Client,
    /// How it showed it.
    pub(crate) method: AuthMethod,
    /// The assertion that the next verb must use up; `None` once that has happened.
    pub(crate) assertion: Option<AssertionUse>,
}

impl AuthenticatedClient {
    /// Did it prove anything? A bare `client_id` proves nothing.
    pub(crate) fn is_proven(&self) -> bool {
        strength(self.method) > strength(AuthMethod::None)
    }

    /// May it use what was issued to a client that had authenticated by `bound`? Never by a weaker
    /// method (CIMD-65, T26).
    pub(crate) fn honours(&self, bound: AuthMethod) -> Result<(), Problem> {
        if strength(self.method) < strength(bound) {
            return Err(refused(false));
        }
        Ok(())
    }
}

/// Methods by what they prove: nothing, a shared secret, a key that never travels.
fn strength(method: AuthMethod) -> u8 {
    match method {
        AuthMethod::None => 0,
        AuthMethod::ClientSecretBasic | AuthMethod::ClientSecretPost => 1,
        AuthMethod::PrivateKeyJwt => 2,
    }
}

/// Why a client was not believed. `Display` is for our log; the peer hears `invalid_client`
/// (JCA-10).
#[derive(Debug, thiserror::Error)]
enum AuthFailure {
    #[error("the assertion is not good: {0}")]
    Assertion(#[from] AssertionError),
    #[error("the client has no usable keys: {0}")]
    Keys(String),
    #[error("the method {0:?} is not registered")]
    MethodNotRegistered(AuthMethod),
    #[error("no proof where one is registered")]
    NoProof,
    #[error("the assertion was used before, or too many are alive: {0:?}")]
    NotFresh(Assertion),
    #[error("client_id, user name and assertion subject do not agree")]
    OtherClient,
    #[error("no live client has this id")]
    Unknown,
    #[error("the assertion cannot be read")]
    Unreadable,
    #[error("wrong secret")]
    WrongSecret,
}

/// Where a client authenticates; it decides whether its document may be fetched.
#[derive(Clone, Copy)]
enum Endpoint {
    /// RFC 9126.
    Push,
    /// Token, revocation, introspection: what is held there belongs to a client with a row.
    Token,
}

/// A failure that is the client's, or a condition of ours that says nothing about it.
enum Refusal {
    Client(AuthFailure),
    Ours(Problem),
}

impl<T: Into<AuthFailure>> From<T> for Refusal {
    fn from(failure: T) -> Self {
        Self::Client(failure.into())
    }
}

/// 401 `invalid_client`, the same words for every reason.
fn refused(basic: bool) -> Problem {
    Problem::new(ErrorCode::InvalidClient, "client authentication failed")
        .shaped(Shape::ClientAuth { basic })
}

impl Engine {
    /// Authenticate the client of a request.
    ///
    /// Wrong guesses are counted per source *and* client: whoever guesses is slowed down, the right
    /// client at another address is not (GEN-13).
    pub(crate) async fn authenticate(
        &self,
        form: &Form,
        authorization: Option<&str>,
        source: &Source,
    ) -> Result<AuthenticatedClient, Problem> {
        self.authenticate_at(Endpoint::Token, form, authorization, source)
            .await
    }

    /// The same for a pushed authorization request, where the document of a client that was never
    /// seen is fetched (RFC 9126 §2).
    pub(crate) async fn authenticate_for_push(
        &self,
        form: &Form,
        authorization: Option<&str>,
        source: &Source,
    ) -> Result<AuthenticatedClient, Problem> {
        self.authenticate_at(Endpoint::Push, form, authorization, source)
            .await
    }

    async fn authenticate_at(
        &self,
        endpoint: Endpoint,
        form: &Form,
        authorization: Option<&str>,
        source: &Source,
    ) -> Result<AuthenticatedClient, Problem> {
        let basic = authorization.is_some();
        let presented =
            PresentedAuth::read(form, authorization).map_err(|e| in_scheme(e, basic))?;
        let claimed = Claimed::of(presented).map_err(|failure| {
            tracing::debug!(%failure, "client authentication failed");
            refused(basic)
        })?;
        let meter_key = meter_key(source, &claimed.client_id);
        // A bare client_id guesses nothing; unknown ones are counted all the same below.
        if !matches!(claimed.proof, Proof::None) {
            self.peek_rate(Meter::ClientAuth, meter_key)
                .map_err(Problem::throttled)?;
        }
        match self.believe(endpoint, claimed, source).await {
            Ok(client) => Ok(client),
            Err(Refusal::Ours(problem)) => Err(problem),
            Err(Refusal::Client(failure)) => {
                tracing::info!(%failure, source = %source.prefix(), "client authentication failed");
                self.count_rate(Meter::ClientAuth, meter_key);
                Err(refused(basic))
            }
        }
    }

    async fn believe(
        &self,
        endpoint: Endpoint,
        claimed: Claimed,
        source: &Source,
    ) -> Result<AuthenticatedClient, Refusal> {
        let Claimed { client_id, proof } = claimed;
        let found = match endpoint {
            Endpoint::Push => self.resolve_for_push(&client_id, source).await,
            Endpoint::Token => self.resolve_client(&client_id, source).await,
        };
        let client = found.map_err(Refusal::of_lookup)?;
        let method = proof.method();
        if !client.metadata.auth_methods.accepts(method) {
            return Err(match method {
                AuthMethod::None => AuthFailure::NoProof.into(),
                AuthMethod::ClientSecretBasic
                | AuthMethod::ClientSecretPost
                | AuthMethod::PrivateKeyJwt => AuthFailure::MethodNotRegistered(method).into(),
            });
        }
        let assertion = match &proof {
            Proof::None => None,
            Proof::Basic(secret) | Proof::Post(secret) => {
                if !self.secret_is_right(&client, secret.expose()) {
                    return Err(AuthFailure::WrongSecret.into());
                }
                None
            }
            Proof::Assertion(token) => Some(self.read_assertion(&client, token.expose()).await?),
        };
        Ok(AuthenticatedClient {
            client,
            method,
            assertion,
        })
    }

    /// Verify an assertion; using it up is for later, when the request turned out to be good.
    async fn read_assertion(&self, client: &Client, token: &str) -> Result<AssertionUse, Refusal> {
        let verified = match self.verify_assertion(client, token, false).await {
            // One refetch for a key that we have not met (JCA-09); `cimd` limits how often.
            Err(Refusal::Client(AuthFailure::Assertion(AssertionError::UnknownKey)))
                if client.metadata.jwks_uri.is_some() =>
            {
                self.verify_assertion(client, token, true).await?
            }
            other => other?,
        };
        Ok(AssertionUse {
            client: client.key,
            jti_hash: vestibule_seal::sha256(verified.jti.as_bytes()),
            expires_at: Timestamp::from_seconds(verified.exp).plus(ASSERTION_SKEW),
            rows_max: ASSERTIONS_MAX,
        })
    }

    async fn verify_assertion(
        &self,
        client: &Client,
        token: &str,
        unknown_kid: bool,
    ) -> Result<ClientAssertionClaims, Refusal> {
        let keys = self.assertion_keys(client, unknown_kid).await?;
        let algorithms: Vec<Algorithm> = ASSERTION_ALGORITHMS
            .into_iter()
            .filter(|algorithm| {
                let registered = client.metadata.assertion_alg.as_deref();
                registered.is_none_or(|name| name == algorithm.as_str())
            })
            .collect();
        Ok(vestibule_jwt::verify_client_assertion(
            token,
            &keys,
            self.config.issuer.as_str(),
            &client.client_id,
            &algorithms,
            self.now().seconds(),
        )?)
    }

    async fn assertion_keys(&self, client: &Client, unknown_kid: bool) -> Result<JwkSet, Refusal> {
        let unusable = |what: &dyn std::fmt::Display| AuthFailure::Keys(what.to_string());
        if let Some(jwks) = &client.metadata.jwks {
            return Ok(JwkSet::parse(jwks.as_bytes()).map_err(|e| unusable(&e))?);
        }
        let Some(uri) = &client.metadata.jwks_uri else {
            return Err(unusable(&"neither jwks nor jwks_uri").into());
        };
        let fetched = self
            .documents
            .keys(uri, unknown_kid)
            .await
            .map_err(|failure| {
                match failure {
                    // Says nothing about the client: `invalid_client` would make it drop all it has.
                    ResolveError::Busy => Refusal::Ours(Problem::busy(1)),
                    ResolveError::Throttled { retry_after } => {
                        Refusal::Ours(Problem::busy(retry_after))
                    }
                    ResolveError::Unreachable { retry_after } => {
                        Refusal::Ours(Problem::busy(retry_after.unwrap_or(5)))
                    }
                    ResolveError::Invalid { .. }
                    | ResolveError::Unacceptable { .. }
                    | ResolveError::Withdrawn(_) => unusable(&failure).into(),
                }
            })?;
        Ok(JwkSet::parse(&fetched.body).map_err(|e| unusable(&e))?)
    }

    /// The assertion that the next verb of the store has to use up.
    pub(crate) fn assertion_for_verb(
        &self,
        client: &mut AuthenticatedClient,
    ) -> Result<Option<AssertionUse>, Problem> {
        let assertion = client.assertion.take();
        // Used before the client had a row: still once.
        if assertion
            .as_ref()
            .is_some_and(|one| self.replays.knows(one, self.now()))
        {
            assertion_answer(Assertion::Replayed)?;
        }
        Ok(assertion)
    }

    /// Use up the assertion of a request that protects no other write (PAR, `client_credentials`,
    /// revocation, introspection). For a client without a row the memory of this node is the only
    /// place to remember it, since strangers write nothing.
    pub(crate) async fn use_up_assertion(
        &self,
        client: &mut AuthenticatedClient,
    ) -> Result<(), Problem> {
        let Some(assertion) = self.assertion_for_verb(client)? else {
            return Ok(());
        };
        let now = self.now();
        let fresh = if client.client.has_row() {
            self.store.use_assertion(assertion, now).await?
        } else {
            self.replays.remember(&assertion, now)
        };
        assertion_answer(fresh)
    }
}

/// What a verb said of the assertion, as an answer.
pub(crate) fn assertion_answer(outcome: Assertion) -> Result<(), Problem> {
    match outcome {
        Assertion::First => Ok(()),
        Assertion::Full | Assertion::Replayed => {
            let failure = AuthFailure::NotFresh(outcome);
            tracing::info!(%failure, "client authentication failed");
            Err(refused(false))
        }
    }
}

impl Refusal {
    fn of_lookup(problem: Problem) -> Self {
        match problem.shape {
            Shape::ClientAuth { .. } => AuthFailure::Unknown.into(),
            _ => Self::Ours(problem),
        }
    }
}

/// An OAuth error about credentials, in the scheme that carried them (GEN-08).
fn in_scheme(error: OAuthError, basic: bool) -> Problem {
    let problem = Problem::from(error);
    match problem.shape {
        Shape::ClientAuth { .. } => problem.shaped(Shape::ClientAuth { basic }),
        _ => problem,
    }
}

/// One counter for one source and one client.
fn meter_key(source: &Source, client_id: &str) -> u64 {
    let key = ClientKey::of(client_id);
    let low = key
        .as_bytes()
        .first_chunk::<8>()
        .map_or(0, |bytes| u64::from_le_bytes(*bytes));
    source.bucket().rotate_left(29) ^ low
}

/// Whom the request claims to come from, and with what proof.
struct Claimed {
    client_id: String,
    proof: Proof,
}

enum Proof {
    Assertion(Secret<String>),
    Basic(Secret<String>),
    None,
    Post(Secret<String>),
}

impl Claimed {
    fn of(presented: PresentedAuth) -> Result<Self, AuthFailure> {
        let (client_id, proof) = match presented {
            // An empty secret is none (R13): a confidential client then has no proof.
            PresentedAuth::Basic { client_id, secret }
            | PresentedAuth::Post { client_id, secret }
                if secret.expose().is_empty() =>
            {
                (client_id, Proof::None)
            }
            PresentedAuth::Assertion {
                client_id,
                assertion,
            } => {
                // Unverified, only to know whose keys to use; the verifier compares it again.
                let subject = vestibule_jwt::peek_assertion_subject(assertion.expose())
                    .ok_or(AuthFailure::Unreadable)?;
                if client_id.is_some_and(|named| named != subject) {
                    return Err(AuthFailure::OtherClient);
                }
                (subject, Proof::Assertion(assertion))
            }
            PresentedAuth::Basic { client_id, secret } => (client_id, Proof::Basic(secret)),
            PresentedAuth::None { client_id } => (client_id, Proof::None),
            PresentedAuth::Post { client_id, secret } => (client_id, Proof::Post(secret)),
        };
        Ok(Self { client_id, proof })
    }
}

impl Proof {
    fn method(&self) -> AuthMethod {
        match self {
            Self::Assertion(_) => AuthMethod::PrivateKeyJwt,
            Self::Basic(_) => AuthMethod::ClientSecretBasic,
            Self::None => AuthMethod::None,
            Self::Post(_) => AuthMethod::ClientSecretPost,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_proves_more_than_a_secret_and_a_secret_more_than_nothing() {
        assert!(strength(AuthMethod::PrivateKeyJwt) > strength(AuthMethod::ClientSecretPost));
        assert!(strength(AuthMethod::ClientSecretBasic) > strength(AuthMethod::None));
    }
}
