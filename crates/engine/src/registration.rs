//! `/register/{client_id}` (RFC 7592). Before the first approval a registration is its own id: GET
//! answers from the seal, PUT and DELETE have nothing to act on. Afterwards all act on the row. An
//! unknown client and a wrong token look alike: 401 (DCRM-13).

use vestibule_protocol::{
    audit::{Actor, Event},
    error_code::ErrorCode,
    redirect_uri::RedirectUri,
    registration::{Credentials, RegistrationResponse, read_update},
    trust::Door,
};
use vestibule_seal::{MacKind, constant_time_eq, sha256};
use vestibule_store::clients::{ClientChange, Replaced};

use crate::{Engine, Problem, Shape, Source, clients::Client, register::USE_BY, throttle::Meter};

fn unauthorized() -> Problem {
    Problem::new(
        ErrorCode::InvalidToken,
        "the registration access token is not valid",
    )
    .shaped(Shape::BearerInvalid)
}

impl Engine {
    /// GET: all metadata (DCRM-04). Secrets of stored clients are hashes and are left out
    /// (DCRM-05 b); sealed ones are recomputed.
    pub async fn read_registration(
        &self,
        client_id: &str,
        bearer: Option<&str>,
        source: &Source,
    ) -> Result<RegistrationResponse, Problem> {
        let client = self.managed(client_id, bearer, source).await?;
        let credentials = if client.has_row() {
            Credentials::default()
        } else {
            self.sealed_credentials(client_id, &client.metadata)
        };
        let issued_at = client.issued_at.seconds();
        Ok(RegistrationResponse::of(
            &client.metadata,
            client_id,
            issued_at,
            credentials,
        ))
    }

    /// PUT: replace everything (DCRM-06), and the registration access token with it (DCRM-10).
    pub async fn update_registration(
        &self,
        client_id: &str,
        bearer: Option<&str>,
        body: &[u8],
        source: &Source,
    ) -> Result<RegistrationResponse, Problem> {
        let client = self.managed(client_id, bearer, source).await?;
        let version = client.version.ok_or_else(before_approval)?;
        let machine = client.machine_scopes.is_some();
        let update = read_update(body, client_id, machine, &self.config.redirect_policy)?;
        let invalid = |text| Problem::new(ErrorCode::InvalidClientMetadata, text);
        if let Some(secret) = &update.client_secret
            && !self.secret_is_right(&client, secret)
        {
            return Err(invalid("client_secret: is not the current one"));
        }
        let metadata = update.metadata;
        // DCRM-17: what had to prove itself goes on having to.
        if !client.metadata.auth_methods.is_public()
            && metadata
                .auth_methods
                .accepts(vestibule_protocol::client_metadata::AuthMethod::None)
        {
            return Err(invalid("token_endpoint_auth_method: cannot become none"));
        }
        // An initial access token may have clamped the hosts, and whoever finds the management token
        // must not lead people elsewhere (R14, R21).
        if let Some(uri) = metadata
            .redirect_uris
            .iter()
            .find(|uri| !same_place(&client, uri))
        {
            tracing::info!(client = ?client.key, host = uri.display_host(), "a new redirect host");
            return Err(Problem::new(
                ErrorCode::InvalidRedirectUri,
                "redirect_uris: a host that is new needs a new registration",
            ));
        }
        let old_secret = match &client.secret {
            crate::clients::SecretProof::Hash(hash) => Some(*hash),
            crate::clients::SecretProof::Derived | crate::clients::SecretProof::None => None,
        };
        let needs_secret = metadata.auth_methods.needs_secret();
        let new_secret = (needs_secret && old_secret.is_none()).then(|| self.random_token("vcs_"));
        let token = self.random_token("vrt_");
        let change = ClientChange {
            management_hash: Some(sha256(token.expose().as_bytes())),
            secret_hash: match &new_secret {
                Some(secret) => Some(sha256(secret.expose().as_bytes())),
                None => old_secret.filter(|_| needs_secret),
            },
            ends_codes: metadata.security_digest() != client.metadata.security_digest(),
            metadata: metadata.clone(),
        };
        let audit = self.audit(
            Event::ClientChanged,
            Actor::Client(client.key),
            Some(client.key),
            "replaced its registration".to_owned(),
        );
        match self
            .store
            .replace_client(&client.key, version, change, audit)
            .await?
        {
            Replaced::Done => {}
            Replaced::Stale => return Err(Problem::busy(1)),
            Replaced::Gone => return Err(unauthorized()),
        }
        let uri = self
            .config
            .issuer
            .endpoint(&format!("/register/{client_id}"));
        let credentials = Credentials {
            client_secret: new_secret.map(vestibule_protocol::secret::Secret::into_inner),
            management: Some((uri, token.into_inner())),
        };
        let issued_at = client.issued_at.seconds();
        Ok(RegistrationResponse::of(
            &metadata,
            client_id,
            issued_at,
            credentials,
        ))
    }

    /// DELETE: the client, its grants and families, at once; a tombstone stands (DCRM-11).
    pub async fn delete_registration(
        &self,
        client_id: &str,
        bearer: Option<&str>,
        source: &Source,
    ) -> Result<(), Problem> {
        let client = self.managed(client_id, bearer, source).await?;
        if !client.has_row() {
            return Err(before_approval());
        }
        let audit = self.audit(
            Event::ClientRemoved,
            Actor::Client(client.key),
            Some(client.key),
            "deleted its registration".to_owned(),
        );
        self.store
            .remove_client(&client.key, self.now().plus(USE_BY), false, audit)
            .await?;
        Ok(())
    }

    /// The client that this token manages.
    async fn managed(
        &self,
        client_id: &str,
        bearer: Option<&str>,
        source: &Source,
    ) -> Result<Client, Problem> {
        let Some(bearer) = bearer else {
            return Err(Problem::new(
                ErrorCode::InvalidToken,
                "a registration access token is needed",
            )
            .shaped(Shape::BearerMissing));
        };
        self.peek_rate(Meter::ClientAuth, source.bucket())
            .map_err(Problem::throttled)?;
        let client = match self.resolve_client(client_id, source).await {
            Ok(client) => client,
            Err(problem) if matches!(problem.shape, Shape::ClientAuth { .. }) => {
                self.count_rate(Meter::ClientAuth, source.bucket());
                return Err(unauthorized());
            }
            Err(problem) => return Err(problem),
        };
        let right = match (client.door, client.has_row()) {
            (Door::Dcr, true) => client
                .management_hash
                .is_some_and(|hash| constant_time_eq(&hash, &sha256(bearer.as_bytes()))),
            (Door::Dcr, false) => self
                .derived(MacKind::RegistrationToken, client_id, 0)
                .is_some_and(|token| constant_time_eq(token.as_bytes(), bearer.as_bytes())),
            (Door::Admin | Door::Cimd, _) => false,
        };
        if right {
            Ok(client)
        } else {
            self.count_rate(Meter::ClientAuth, source.bucket());
            Err(unauthorized())
        }
    }
}

/// Does the redirect lead to a host (or an app's scheme) that the client has already?
fn same_place(client: &Client, uri: &RedirectUri) -> bool {
    let place = |uri: &RedirectUri| uri.host().unwrap_or_else(|| uri.display_host().to_owned());
    let mut known = client.metadata.redirect_uris.iter();
    known.any(|old| old.kind() == uri.kind() && place(old) == place(uri))
}

fn before_approval() -> Problem {
    Problem::new(
        ErrorCode::InvalidRequest,
        "a registration can be changed or deleted once a person has approved it; register anew",
    )
    .shaped(Shape::Forbidden)
}
