//! Pushed authorization requests (RFC 9126). The `request_uri` is the request, sealed: nothing is
//! stored for anybody, and it is used up by the decision that a person takes.

use vestibule_protocol::{
    authorize::{AuthorizationRequest, AuthorizeParams},
    error_code::{ErrorCode, OAuthError},
    redirect_uri::TrustedRedirect,
    token_request::pairs_to_form,
};
use vestibule_seal::Kind;

use crate::{
    Engine, Problem, Source,
    authorize::NotAsked,
    throttle::Meter,
    ticket::{PUSHED_LIFE, Ticket},
};

/// RFC 9126 §2.2.
pub(crate) const REQUEST_URI_PREFIX: &str = "urn:ietf:params:oauth:request_uri:";
/// What still fits into the URL of an authorization request.
const REQUEST_URI_CHARS_MAX: usize = 6_000;

/// The answer.
#[derive(Clone, Debug)]
pub struct Pushed {
    /// Use it within [`Self::expires_in`].
    pub request_uri: String,
    /// Seconds.
    pub expires_in: u64,
}

impl Engine {
    /// POST `/par`.
    pub async fn push(
        &self,
        pairs: &[(String, String)],
        authorization: Option<&str>,
        source: &Source,
    ) -> Result<Pushed, Problem> {
        self.check_rate(Meter::Authorize, source.bucket())
            .map_err(Problem::throttled)?;
        let form = pairs_to_form(pairs)?;
        let mut authenticated = self
            .authenticate_for_push(&form, authorization, source)
            .await?;
        let params = AuthorizeParams::from_pairs(pairs)?;
        if params.request_uri().is_some() {
            return Err(invalid("request_uri must not be pushed"));
        }
        if params
            .client_id()
            .is_some_and(|id| id != authenticated.client.client_id)
        {
            return Err(Problem::new(
                ErrorCode::InvalidClient,
                "client_id is another client's",
            ));
        }
        if !params.response_mode_is_supported() {
            return Err(invalid("only response_mode=query is supported"));
        }
        let client = authenticated.client.clone();
        let redirect =
            TrustedRedirect::matching(&client.metadata.redirect_uris, params.redirect_uri())
                .map_err(|failure| {
                    OAuthError::new(ErrorCode::InvalidRequest, failure.to_string())
                })?;
        let request = AuthorizationRequest::read(&params, redirect)?;
        // PAR-02: everything that authorize would judge, now.
        let hint = self.read_hint(&params, &client);
        let origin = self.new_origin(Some(authenticated.method));
        let asked =
            self.understand(client, request, hint, origin)
                .map_err(|failure| match failure {
                    NotAsked::Return(told) => Problem::from(told.error),
                    NotAsked::Show(_) => invalid("the request is not valid"),
                })?;
        let binding = [0; 16];
        let ticket = Ticket::of(&asked, binding);
        let sealed = self.seal_ticket(Kind::PushedRequest, &ticket);
        if sealed.len() > REQUEST_URI_CHARS_MAX {
            return Err(invalid("the request is too large: shorten state and nonce"));
        }
        self.use_up_assertion(&mut authenticated).await?;
        Ok(Pushed {
            request_uri: format!("{REQUEST_URI_PREFIX}{sealed}"),
            expires_in: PUSHED_LIFE.as_secs(),
        })
    }
}

fn invalid(text: &'static str) -> Problem {
    Problem::new(ErrorCode::InvalidRequest, text)
}
