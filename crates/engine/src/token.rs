//! `POST /token` (RFC 6749 §3.2): which grant is it, who asks, may they, then the use case.
//!
//! Cheap checks come first: a body that names no grant costs no look-up, and no signature is made
//! for a request that fails.

use vestibule_protocol::{
    client_metadata::GrantTypes,
    error_code::ErrorCode,
    token_request::{TokenRequest, pairs_to_form},
    token_response::TokenResponse,
};

use crate::{Engine, Problem, Source};

impl Engine {
    /// Exchange a grant for tokens.
    ///
    /// `authorization` is the header of that name, if there was one.
    pub async fn token(
        &self,
        pairs: &[(String, String)],
        authorization: Option<&str>,
        source: &Source,
    ) -> Result<TokenResponse, Problem> {
        // Old rules must not decide (design section 10).
        self.readiness().map_err(|_| Problem::busy(1))?;
        let form = pairs_to_form(pairs)?;
        let request = TokenRequest::read(&form)?;
        let client = self.authenticate(&form, authorization, source).await?;
        if !registered(client.client.metadata.grant_types, &request) {
            return Err(Problem::new(
                ErrorCode::UnauthorizedClient,
                "the client is not registered for this grant type",
            ));
        }
        match request {
            TokenRequest::AuthorizationCode {
                code,
                redirect_uri,
                verifier,
                resource,
            } => {
                let shown = crate::redeem::ShownCode {
                    code,
                    redirect_uri,
                    verifier,
                    resource,
                };
                self.redeem(client, shown, source).await
            }
            TokenRequest::ClientCredentials { scope, resource } => {
                self.serve_machine(client, scope.as_ref(), &resource, source)
                    .await
            }
            TokenRequest::RefreshToken {
                refresh_token,
                scope,
                resource,
            } => {
                let shown = crate::refresh::ShownRefresh {
                    refresh_token,
                    scope,
                    resource,
                };
                self.refresh(client, shown, source).await
            }
        }
    }
}

/// AC-09. Refresh tokens exist only for clients that registered the grant (QUIRK-33).
fn registered(grants: GrantTypes, request: &TokenRequest) -> bool {
    match request {
        TokenRequest::AuthorizationCode { .. } => grants.authorization_code,
        TokenRequest::ClientCredentials { .. } => grants.client_credentials,
        TokenRequest::RefreshToken { .. } => grants.refresh_token,
    }
}
