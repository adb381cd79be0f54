//! Who signed in? (OIDC Core §5.3), for a client that was granted `openid`.
//!
//! An access token of an MCP server is not enough: this endpoint must be one of its audiences (OIDC-13),
//! which `openid` brings (`issue`).

use vestibule_protocol::{
    error_code::ErrorCode,
    ids::UserId,
    scope::{self, ScopeSet},
    token_response::UserInfo,
};
use vestibule_store::users::User;

use crate::{Engine, Problem, Shape, Source};

impl Engine {
    /// Claims about the person behind an access token; `bearer` is the token of the
    /// `Authorization` header, nothing else carries one (GEN-09).
    pub async fn userinfo(
        &self,
        bearer: Option<&str>,
        source: &Source,
    ) -> Result<UserInfo, Problem> {
        let Some(token) = bearer else {
            return Err(
                Problem::new(ErrorCode::InvalidToken, "an access token is required")
                    .shaped(Shape::BearerMissing),
            );
        };
        let verified = self
            .verified_token(token)
            .ok_or_else(|| invalid_token(source))?;
        let claims = &verified.claims;
        let scopes = ScopeSet::from_text(claims.scope.as_deref().unwrap_or_default());
        if !scopes.contains(scope::OPENID) {
            return Err(
                Problem::new(ErrorCode::InsufficientScope, "the scope openid is needed").shaped(
                    Shape::BearerScope {
                        scope: scope::OPENID.to_owned(),
                    },
                ),
            );
        }
        let audience = self.userinfo_audience();
        if !claims.aud.iter().any(|one| one == audience) || claims.gid.is_none() {
            return Err(invalid_token(source));
        }
        if !self.everybody_is_there(&verified).await? {
            return Err(invalid_token(source));
        }
        let user = self.find_user(&UserId::new(claims.sub.as_str())).await?;
        let user = user.ok_or_else(|| invalid_token(source))?;
        Ok(about(&user, &scopes))
    }
}

/// Scope to claims (OIDC-11); what is not known is left out.
fn about(user: &User, scopes: &ScopeSet) -> UserInfo {
    let profile = scopes.contains(scope::PROFILE);
    let email = user.email.clone().filter(|_| scopes.contains(scope::EMAIL));
    UserInfo {
        sub: user.id.as_str().to_owned(),
        name: user.display_name.clone().filter(|_| profile),
        preferred_username: profile.then(|| user.name.clone()),
        // Nobody has proved that mail arrives there.
        email_verified: email.as_ref().map(|_| false),
        email,
    }
}

fn invalid_token(source: &Source) -> Problem {
    tracing::debug!(source = %source.prefix(), "userinfo was asked with a token that is not good");
    Problem::new(ErrorCode::InvalidToken, "the access token is not valid")
        .shaped(Shape::BearerInvalid)
}
