//! `POST /register` (RFC 7591): parse, judge, seal, answer. No store call at all, but for one
//! decrement of an initial access token: strangers write nothing.

use std::time::Duration;

use vestibule_protocol::{
    client_metadata::{ClientMetadata, MetadataDoor, MetadataError},
    error_code::{ErrorCode, OAuthError},
    redirect_uri::RedirectUri,
    registration::{Credentials, RegistrationResponse},
    scope::ScopeSet,
    trust::DcrMode,
};
use vestibule_seal::{Kind, MacKind, sha256};
use vestibule_store::settings::InitialToken;

use crate::{
    Engine, Problem, Shape, Source,
    clients::Client,
    sealed::{SealedRegistration, Seen, reduce},
    throttle::Meter,
};

/// A sealed registration that nobody approved dies then (design 4.1).
pub(crate) const USE_BY: Duration = Duration::from_hours(90 * 24);
/// Longest `client_id` that is given out.
const CLIENT_ID_CHARS_MAX: usize = 1_000;
/// Longest body (DCR-31).
const BODY_BYTES_MAX: usize = 64 << 10;

impl From<MetadataError> for Problem {
    fn from(failure: MetadataError) -> Self {
        OAuthError::new(failure.code(), failure.reason().to_owned()).into()
    }
}

impl Engine {
    /// Register a client.
    pub async fn register(
        &self,
        body: &[u8],
        bearer: Option<&str>,
        source: &Source,
    ) -> Result<RegistrationResponse, Problem> {
        self.check_rate(Meter::Register, source.bucket())
            .map_err(Problem::throttled)?;
        self.check_rate(Meter::RegisterWide, source.wide_bucket())
            .map_err(Problem::throttled)?;
        let token = self.admit(bearer).await?;
        if body.len() > BODY_BYTES_MAX {
            return Err(Problem::new(
                ErrorCode::InvalidClientMetadata,
                "the body is too large",
            ));
        }
        let door = MetadataDoor::Dcr {
            client_credentials_allowed: token
                .as_ref()
                .is_some_and(|token| token.client_credentials),
        };
        let (metadata, _) = ClientMetadata::parse_json(body, door, &self.config.redirect_policy)?;
        let mut metadata = reduce(metadata);
        let ceiling = token
            .as_ref()
            .map_or(Ok(None), |token| clamp(token, &mut metadata))?;
        let issued_at = self.now();
        let seen = self
            .assess_arrival(&metadata, token.is_some(), source)
            .await?;
        let sealed = SealedRegistration {
            issued_at,
            use_by: issued_at.plus(USE_BY),
            metadata,
            ceiling,
            vouched: token.is_some(),
            seen,
        };
        let nonce = self.random();
        let client_id = self
            .live()
            .keys
            .ring
            .seal(Kind::Registration, &sealed.encode(), nonce);
        if client_id.len() > CLIENT_ID_CHARS_MAX {
            return Err(Problem::new(
                ErrorCode::InvalidClientMetadata,
                "the metadata is too large: use fewer redirect URIs, or jwks_uri instead of jwks",
            ));
        }
        // The decrement is last: a body that is refused costs its holder nothing.
        if let Some(token) = token
            && !self
                .store
                .spend_initial_token(&token.hash, issued_at)
                .await?
        {
            return Err(bad_token());
        }
        let credentials = self.sealed_credentials(&client_id, &sealed.metadata);
        Ok(RegistrationResponse::of(
            &sealed.metadata,
            &client_id,
            issued_at.seconds(),
            credentials,
        ))
    }

    /// What the policies say of a newcomer: refused with a neutral answer, or taken in with what
    /// spoke against it.
    async fn assess_arrival(
        &self,
        metadata: &ClientMetadata,
        vouched: bool,
        source: &Source,
    ) -> Result<Option<Seen>, Problem> {
        let newcomer = Client::newcomer(metadata.clone(), vouched, self.now());
        match self.admit_registration(&newcomer, source).await {
            Ok(seen) => Ok(seen.speaks_against().then_some(seen)),
            Err(verdict) => {
                tracing::info!(
                    source = %source.prefix(),
                    policies = ?verdict.reasons,
                    "a registration is refused"
                );
                let neutral = "this hub does not take this registration";
                Err(Problem::new(ErrorCode::AccessDenied, neutral).shaped(Shape::Forbidden))
            }
        }
    }

    /// What goes with a sealed id: derived, the same each time it is asked for.
    pub(crate) fn sealed_credentials(
        &self,
        client_id: &str,
        metadata: &ClientMetadata,
    ) -> Credentials {
        let secret = metadata.auth_methods.needs_secret();
        let uri = self
            .config
            .issuer
            .endpoint(&format!("/register/{client_id}"));
        Credentials {
            client_secret: secret
                .then(|| self.derived(MacKind::ClientSecret, client_id, 0))
                .flatten(),
            management: self
                .derived(MacKind::RegistrationToken, client_id, 0)
                .map(|token| (uri, token)),
        }
    }

    /// Is the door open for this request?
    async fn admit(&self, bearer: Option<&str>) -> Result<Option<InitialToken>, Problem> {
        let door = self.live().settings.dcr;
        match door {
            DcrMode::Off => Err(Problem::new(
                ErrorCode::InvalidRequest,
                "dynamic client registration is disabled",
            )
            .shaped(Shape::Forbidden)),
            // Where an admin approves, anybody may register; what was registered waits.
            DcrMode::Approval | DcrMode::Open => Ok(None),
            DcrMode::Token => {
                let Some(bearer) = bearer else {
                    return Err(Problem::new(
                        ErrorCode::InvalidToken,
                        "an initial access token is needed to register",
                    )
                    .shaped(Shape::BearerMissing));
                };
                let hash = sha256(bearer.as_bytes());
                let found = self.store.find_initial_token(&hash, self.now()).await?;
                found.map(Some).ok_or_else(bad_token)
            }
        }
    }
}

fn bad_token() -> Problem {
    Problem::new(
        ErrorCode::InvalidToken,
        "the initial access token is not valid",
    )
    .shaped(Shape::BearerInvalid)
}

/// What the token's holder may register at most.
fn clamp(token: &InitialToken, metadata: &mut ClientMetadata) -> Result<Option<ScopeSet>, Problem> {
    let allowed = |uri: &RedirectUri| {
        uri.host()
            .is_some_and(|host| token.redirect_hosts.contains(&host))
    };
    if !token.redirect_hosts.is_empty() && !metadata.redirect_uris.iter().all(allowed) {
        return Err(Problem::new(
            ErrorCode::InvalidRedirectUri,
            "the initial access token does not allow this redirect host",
        ));
    }
    let Some(ceiling) = token.scopes.as_deref().map(ScopeSet::from_text) else {
        return Ok(None);
    };
    // DCR-14: narrower is allowed, and the response says so.
    metadata.scope = metadata
        .scope
        .take()
        .map(|scope| scope.intersection(&ceiling));
    Ok(Some(ceiling))
}
