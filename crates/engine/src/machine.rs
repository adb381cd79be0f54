//! A client acts for itself (`client_credentials`, RFC 6749 §4.4).
//!
//! Only for clients that somebody vouched for: an admin made them, or handed out an initial access
//! token that allows it (DCR-27, R12). No refresh token: the credential is at hand (AC-10).

use vestibule_policy::Stage;
use vestibule_protocol::{
    error_code::ErrorCode,
    resource_indicator::{ResourceSpec, ResourceUri},
    scope::ScopeSet,
    token_response::TokenResponse,
};

use crate::{
    Engine, Problem, Source,
    client_auth::AuthenticatedClient,
    clients::Unresolved,
    issue::{IDENTITY_SCOPES, Minting, under_ceiling},
};

impl Engine {
    pub(crate) async fn serve_machine(
        &self,
        mut client: AuthenticatedClient,
        scope: Option<&ScopeSet>,
        resources: &[ResourceUri],
        source: &Source,
    ) -> Result<TokenResponse, Problem> {
        let unauthorized = || {
            Problem::new(
                ErrorCode::UnauthorizedClient,
                "the client may not act for itself",
            )
        };
        if !client.is_proven() {
            return Err(unauthorized());
        }
        let allowed = client
            .client
            .machine_scopes
            .clone()
            .ok_or_else(unauthorized)?;
        // There is no person to ask: what speaks against it, it does not get.
        client.client = match self.assess(client.client, source).await {
            Ok(assessed) if !assessed.is_held() => assessed,
            Ok(_) | Err(Unresolved::Refused(_) | Unresolved::Blocked) => return Err(unauthorized()),
            Err(_) => return Err(Problem::busy(1)),
        };
        let (resource, spec) = self.machine_resource(resources)?;
        let power = self.live_now().power(&client.client, None);
        let clamp = client.client.scope_ceiling.as_ref();
        let allowed = under_ceiling(&power, clamp, spec, &allowed);
        // There is no person whose identity could be told.
        let ceiling: ScopeSet = self
            .permitted(Stage::Grant, &client.client, None, spec, &allowed)
            .iter()
            .filter(|scope| !IDENTITY_SCOPES.contains(&scope.as_str()))
            .cloned()
            .collect();
        let scopes = match scope {
            Some(asked) if asked.is_subset(&ceiling) => asked.clone(),
            Some(_) => {
                return Err(Problem::new(
                    ErrorCode::InvalidScope,
                    "the client may not have this scope at this resource",
                ));
            }
            None => ceiling,
        };
        if scopes.is_empty() {
            return Err(Problem::new(
                ErrorCode::InvalidScope,
                "the client has no scope at this resource",
            ));
        }
        let response = self.mint(&Minting {
            client: &client.client,
            grant: None,
            resource: &resource,
            scopes: &scopes,
            life: power.access_ttl,
            nonce: None,
            now: self.now(),
        })?;
        self.use_up_assertion(&mut client).await?;
        Ok(response)
    }

    /// The resource asked for, else the only or the default one (RI-04, RI-09, RI-12). The first
    /// spelling becomes `aud` (QUIRK-28).
    fn machine_resource(&self, asked: &[ResourceUri]) -> Result<(String, &ResourceSpec), Problem> {
        let resources = &self.config.resources;
        let refuse = |why| Problem::new(ErrorCode::InvalidTarget, why);
        let Some((first, others)) = asked.split_first() else {
            let fallback = resources.fallback();
            let spec = fallback.ok_or_else(|| refuse("name the resource"))?;
            return Ok((spec.uri.as_str().to_owned(), spec));
        };
        if !others.iter().all(|other| other.is_equivalent(first)) {
            return Err(refuse("a token is for one resource"));
        }
        let (named, spec) = self
            .known_resource(first)
            .ok_or_else(|| refuse("the resource is not known here"))?;
        Ok((named.as_str().to_owned(), spec))
    }
}
