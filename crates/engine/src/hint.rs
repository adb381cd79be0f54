//! `id_token_hint` (OIDC Core §3.1.2.1): whom the client expects to be signed in.
//!
//! Read once, when the request arrives: what travels on with it is the person, so that no later
//! change of keys makes another request of it.
//!
//! Not here: `login_hint`, which only fills in a field; what a session must be (`authorize`).

use vestibule_jwt::{Algorithm, IdTokenClaims, Rules, TypRule, VerifyError};
use vestibule_protocol::{authorize::AuthorizeParams, ids::UserId};

use crate::{Engine, clients::Client};

/// What an ID Token may be signed with here.
const ALGORITHMS: [Algorithm; 3] = [Algorithm::EdDsa, Algorithm::Es256, Algorithm::Rs256];

/// Whom a hint names.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Hint {
    /// It is not an ID Token of ours for this client: nobody can be said to be the person meant.
    Nobody,
    /// This person, and nobody else.
    Person(UserId),
}

impl Engine {
    /// The hint of a request, if it has one. An ID Token that has run out is as good as a fresh
    /// one: it says who was meant, and proves nothing.
    pub(crate) fn read_hint(&self, params: &AuthorizeParams, client: &Client) -> Option<Hint> {
        let token = params.id_token_hint()?;
        Some(match self.read_id_token(token, client) {
            Ok(person) => Hint::Person(person),
            Err(failure) => {
                tracing::info!(client = ?client.key, %failure, "an id_token_hint names nobody");
                Hint::Nobody
            }
        })
    }

    /// The person of an ID Token that we signed for this client, whenever that was.
    fn read_id_token(&self, token: &str, client: &Client) -> Result<UserId, VerifyError> {
        let rules = Rules::new(TypRule::IdToken, &ALGORITHMS);
        let verified = vestibule_jwt::verify(token, &self.live().keys.public, &rules)?;
        let claims: IdTokenClaims = verified.claims()?;
        if claims.iss != self.config.issuer.as_str() {
            return Err(VerifyError::Issuer);
        }
        if claims.aud != client.client_id {
            return Err(VerifyError::Claims("`aud` is another client".to_owned()));
        }
        Ok(UserId::new(claims.sub))
    }
}
