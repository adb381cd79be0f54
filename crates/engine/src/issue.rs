//! What may be issued today, and the issuing: RFC 9068 access tokens and ID Tokens.
//!
//! [`Engine::entitle`] is the one place where a grant meets today's ceiling; redemption and refresh
//! both go through it, so neither is a way around (design section 6). Signing happens before the
//! commit: after it nothing may fail.
//!
//! Not here: refresh tokens (`redeem`, `refresh`), whose turn it is (`store`).

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use vestibule_jwt::{AccessTokenClaims, Audience, IdTokenClaims, SigningKey};
use vestibule_policy::{Power, ScopeCeiling, Stage};
use vestibule_protocol::{
    error_code::ErrorCode,
    ids::{GrantId, UserId},
    resource_indicator::{ResourceSpec, ResourceUri},
    scope::{self, Scope, ScopeSet},
    time::Timestamp,
    token_response::TokenResponse,
};
use vestibule_store::{grants::Grant, users::User};

use crate::{Engine, Problem, clients::Client};

/// Life of an ID Token; it only has to reach the client.
const ID_TOKEN_LIFE: Duration = Duration::from_mins(10);

/// Scopes that belong to no resource: they tell the client about the person (OIDC Core §5.4).
pub(crate) const IDENTITY_SCOPES: [&str; 4] = [
    scope::OPENID,
    scope::PROFILE,
    scope::EMAIL,
    scope::OFFLINE_ACCESS,
];

/// What a grant is worth today.
pub(crate) struct Entitlement {
    /// Effective scopes: asked for ∩ granted ∩ today's ceiling.
    pub(crate) scopes: ScopeSet,
    /// Today's row of the power table.
    pub(crate) power: Power,
}

/// One issuing.
pub(crate) struct Minting<'a> {
    pub(crate) client: &'a Client,
    /// The grant behind it; none for a client that acts for itself.
    pub(crate) grant: Option<&'a Grant>,
    /// The form asked for, which becomes `aud` (QUIRK-28).
    pub(crate) resource: &'a str,
    pub(crate) scopes: &'a ScopeSet,
    pub(crate) life: Duration,
    /// `nonce` of the authorization request; at redemption only (OIDC-16).
    pub(crate) nonce: Option<&'a str>,
    pub(crate) now: Timestamp,
}

/// The subject of a client that acts for itself: never equal to a person's, whose ids start with
/// `u_` (AC-16, R22).
pub(crate) fn machine_subject(client: &Client) -> String {
    format!("client:{}", client.key.short())
}

/// A grant on its way into tokens.
pub(crate) struct Entitling<'a> {
    /// Redemption or refresh.
    pub(crate) stage: Stage,
    pub(crate) client: &'a Client,
    pub(crate) grant: &'a Grant,
    pub(crate) user: &'a User,
    /// Less than was granted, if the request says so.
    pub(crate) wanted: Option<&'a ScopeSet>,
    pub(crate) resources: &'a [ResourceUri],
    pub(crate) now: Timestamp,
}

/// `invalid_grant` with one sentence for every reason: what is wrong is for our log only.
pub(crate) fn invalid_grant() -> Problem {
    Problem::new(
        ErrorCode::InvalidGrant,
        "the grant is not valid, sign in again",
    )
}

impl Engine {
    /// Judge a grant by what holds now (RT-09): is it alive, is its resource still ours, is the
    /// client still allowed to have it, and which of its scopes?
    pub(crate) fn entitle(&self, entitling: &Entitling<'_>) -> Result<Entitlement, Problem> {
        let Entitling {
            stage,
            client,
            grant,
            user,
            wanted,
            resources,
            now,
        } = *entitling;
        if grant.revoked || grant.absolute_until <= now || grant.client != client.key {
            return Err(invalid_grant());
        }
        let granted = ResourceUri::parse(&grant.resource).map_err(|_| invalid_grant())?;
        let spec = self
            .config
            .resources
            .find(&granted)
            .ok_or_else(invalid_grant)?;
        // RI-05, RI-07: a grant has one resource; a token request may repeat it, no more.
        let names_it = |asked: &ResourceUri| {
            asked.is_equivalent(&granted)
                || self
                    .known_resource(asked)
                    .is_some_and(|(named, _)| named.is_equivalent(&granted))
        };
        if !resources.iter().all(names_it) {
            return Err(Problem::new(
                ErrorCode::InvalidTarget,
                "the resource was not part of the authorization",
            ));
        }
        let asked = match wanted {
            Some(wanted) if !wanted.is_subset(&grant.scopes) => {
                return Err(Problem::new(
                    ErrorCode::InvalidScope,
                    "more scope than was granted",
                ));
            }
            Some(wanted) => wanted,
            None => &grant.scopes,
        };
        let power = self.live_now().power_of_grant(client, grant);
        let clamp = client.scope_ceiling.as_ref();
        let scopes = under_ceiling(&power, clamp, spec, asked);
        let scopes = self.permitted(stage, client, Some((grant, user)), spec, &scopes);
        // Nothing left of something: the ceiling has taken all of it.
        let emptied = scopes.is_empty() && !asked.is_empty();
        if power.scopes == ScopeCeiling::Nothing || emptied {
            return Err(invalid_grant());
        }
        Ok(Entitlement { scopes, power })
    }

    /// The person behind a grant, still there and enabled (T22).
    pub(crate) async fn enabled(&self, user: &UserId) -> Result<Arc<User>, Problem> {
        let user = self.find_user(user).await?;
        user.filter(|user| !user.disabled).ok_or_else(invalid_grant)
    }

    /// Is the person still there and enabled (T22)?
    pub(crate) async fn is_enabled(&self, user: &UserId) -> Result<bool, Problem> {
        let user = self.find_user(user).await?;
        Ok(user.is_some_and(|user| !user.disabled))
    }

    /// Sign an access token, and an ID Token where `openid` is part of it.
    pub(crate) fn mint(&self, minting: &Minting<'_>) -> Result<TokenResponse, Problem> {
        let keys = self.live().keys.clone();
        let Minting {
            client,
            grant,
            scopes,
            now,
            ..
        } = *minting;
        let limit = grant.map_or(minting.life, |grant| grant.absolute_until.since(now));
        let life = minting.life.min(limit);
        let openid = scopes.contains(scope::OPENID);
        let scope = scopes.to_string();
        let subject = match grant {
            Some(grant) => grant.user.as_str().to_owned(),
            None => machine_subject(client),
        };
        let claims = AccessTokenClaims {
            iss: self.config.issuer.as_str().to_owned(),
            sub: subject,
            aud: self.audience(minting.resource, openid),
            client_id: client.client_id.clone(),
            scope: Some(scope.clone()),
            iat: now.seconds(),
            exp: now.plus(life).seconds(),
            jti: URL_SAFE_NO_PAD.encode(self.random::<16>()),
            auth_time: grant.map(|grant| grant.auth_time.seconds()),
            gid: grant.map(|grant| grant.id.as_str().to_owned()),
            ck: Some(client.key.short()),
            rev: None,
        };
        let alg = self.config.access_token_algs.for_resource(minting.resource);
        let access_token = match keys.access(alg) {
            Some(key) => signed(key.sign_access_token(&claims))?,
            None => return Err(signing_failed(&"no key of the algorithm is active")),
        };
        let id_token = match grant {
            Some(grant) if openid => {
                let key = keys.id_token(client.metadata.id_token_alg.as_deref());
                Some(self.sign_id_token(key, minting, grant, &access_token)?)
            }
            Some(_) | None => None,
        };
        Ok(TokenResponse {
            access_token,
            token_type: "Bearer",
            expires_in: life.as_secs(),
            scope,
            refresh_token: None,
            id_token,
        })
    }

    /// `aud`: the resource as asked for. One audience per token is the rule (RI-09). With `openid`
    /// the person has also allowed `/userinfo`, so its audience is added: a token without it is not
    /// valid there (OIDC-13), and that endpoint belongs to this issuer, which can do nothing with
    /// the token that it could not do without.
    fn audience(&self, resource: &str, openid: bool) -> Audience {
        if openid {
            Audience::Many(vec![resource.to_owned(), self.userinfo_audience()])
        } else {
            Audience::One(resource.to_owned())
        }
    }

    /// The audience of `/userinfo`.
    pub(crate) fn userinfo_audience(&self) -> String {
        self.config.issuer.endpoint("/userinfo")
    }

    /// OIDC Core §2, §3.1.3.6.
    fn sign_id_token(
        &self,
        key: &SigningKey,
        minting: &Minting<'_>,
        grant: &Grant,
        access_token: &str,
    ) -> Result<String, Problem> {
        let claims = IdTokenClaims {
            iss: self.config.issuer.as_str().to_owned(),
            sub: grant.user.as_str().to_owned(),
            aud: minting.client.client_id.clone(),
            exp: minting.now.plus(ID_TOKEN_LIFE).seconds(),
            iat: minting.now.seconds(),
            auth_time: Some(grant.auth_time.seconds()),
            nonce: minting.nonce.map(str::to_owned),
            at_hash: Some(vestibule_jwt::at_hash(key.algorithm(), access_token)),
        };
        signed(key.sign_id_token(&claims))
    }

    /// Is a token with this grant and id still good, and is everybody behind it (INT-05)?
    pub(crate) async fn is_alive(
        &self,
        grant: Option<&GrantId>,
        jti: &str,
    ) -> Result<bool, Problem> {
        let jti_hash = vestibule_seal::sha256(jti.as_bytes());
        Ok(self.store.token_is_live(grant, &jti_hash).await?)
    }
}

/// What of `asked` this power, and the clamp of the client's initial access token, allow at this
/// resource. Scopes that the resource does not have (any more) fall away (RI-08).
pub(crate) fn under_ceiling(
    power: &Power,
    clamp: Option<&ScopeSet>,
    resource: &ResourceSpec,
    asked: &ScopeSet,
) -> ScopeSet {
    let allowed = |scope: &Scope| {
        let name = scope.as_str();
        if clamp.is_some_and(|clamp| name != scope::OFFLINE_ACCESS && !clamp.contains(name)) {
            return false;
        }
        if IDENTITY_SCOPES.contains(&name) {
            return power.scopes != ScopeCeiling::Nothing;
        }
        resource
            .scopes
            .iter()
            .any(|spec| spec.scope.as_str() == name && power.allows(spec))
    };
    asked
        .iter()
        .filter(|scope| allowed(scope))
        .cloned()
        .collect()
}

/// Signing fails only by a defect of ours.
fn signed<E: std::fmt::Display>(token: Result<String, E>) -> Result<String, Problem> {
    token.map_err(|failure| signing_failed(&failure))
}

fn signing_failed(failure: &dyn std::fmt::Display) -> Problem {
    tracing::error!(%failure, "a token could not be signed");
    Problem::fault()
}

#[cfg(test)]
mod tests {
    use vestibule_protocol::{
        scope::{Access, ScopeSpec},
        trust::{Risk, Trust},
    };

    use super::*;

    fn resource() -> ResourceSpec {
        let spec = |name: &str, access| ScopeSpec {
            scope: Scope::parse(name).unwrap(),
            description: String::new(),
            access,
            default: false,
        };
        ResourceSpec {
            uri: ResourceUri::parse("https://notes.example/mcp").unwrap(),
            name: "Notes".to_owned(),
            scopes: vec![
                spec("read", Access::Read),
                spec("write", Access::Write),
                spec("delete", Access::Destructive),
            ],
            default: false,
        }
    }

    /// RI-08, R12: effective scope = asked ∩ what the resource has ∩ today's ceiling.
    #[test]
    fn effective_scope_never_passes_the_ceiling() {
        #[rustfmt::skip]
        let rows = [
            (Trust::FirstParty, Risk::Low,    "read write delete",      "delete read write"),
            (Trust::Unverified, Risk::Low,    "read write delete",      "delete read write"),
            (Trust::Unverified, Risk::Raised, "read write delete",      "read"),
            (Trust::Unverified, Risk::Raised, "openid write",           "openid"),
            (Trust::Unverified, Risk::High,   "openid read",            ""),
            (Trust::Held,       Risk::Low,    "openid read",            ""),
            (Trust::Blocked,    Risk::Low,    "offline_access read",    ""),
            (Trust::Verified,   Risk::Low,    "read admin other:read",  "read"),
            (Trust::Verified,   Risk::Low,    "",                       ""),
        ];
        for (trust, risk, asked, expected) in rows {
            let power = vestibule_policy::power(trust, risk, None);
            let found = under_ceiling(&power, None, &resource(), &ScopeSet::from_text(asked));
            assert_eq!(
                found,
                ScopeSet::from_text(expected),
                "{trust:?} {risk:?} {asked}"
            );
        }
    }

    /// R12: an initial access token's clamp holds for whatever is asked for later.
    #[test]
    fn a_clamped_client_never_gets_more_than_its_clamp() {
        let power = vestibule_policy::power(Trust::Unverified, Risk::Low, None);
        let clamp = ScopeSet::from_text("read other");
        let asked = ScopeSet::from_text("read write openid offline_access");
        let found = under_ceiling(&power, Some(&clamp), &resource(), &asked);
        assert_eq!(found, ScopeSet::from_text("read offline_access"));
    }
}
