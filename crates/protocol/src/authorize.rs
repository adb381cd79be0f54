//! Authorization requests (RFC 6749 §4.1.1, OpenID Connect Core §3.1.2.1).
//!
//! The order is fixed by types: [`AuthorizeParams`] are raw; client and redirect URI are judged
//! first; only who holds a [`TrustedRedirect`] can read an [`AuthorizationRequest`], and its errors
//! may then be returned there (AC-02, threats A1).

use crate::{
    error_code::{ErrorCode, OAuthError},
    pkce::{self, CodeChallenge},
    redirect_uri::TrustedRedirect,
    resource_indicator::ResourceUri,
    scope::ScopeSet,
    token_request::{Form, pairs_to_form},
};

/// Longest `state`, `nonce` and hints.
const STATE_BYTES_MAX: usize = 4096;
const NONCE_BYTES_MAX: usize = 512;
const HINT_BYTES_MAX: usize = 256;

/// The parameters of a request, each at most once.
#[derive(Clone, Debug)]
pub struct AuthorizeParams(Form);

impl AuthorizeParams {
    /// GEN-03, GEN-04: repetition is an error, empty is absent, unknown is ignored.
    pub fn from_pairs(pairs: &[(String, String)]) -> Result<Self, OAuthError> {
        Ok(Self(pairs_to_form(pairs)?))
    }

    /// Who asks.
    pub fn client_id(&self) -> Option<&str> {
        self.0.get("client_id")
    }

    /// Where to answer.
    pub fn redirect_uri(&self) -> Option<&str> {
        self.0.get("redirect_uri")
    }

    /// RFC 9126 §4.
    pub fn request_uri(&self) -> Option<&str> {
        self.0.get("request_uri")
    }

    /// Returned unchanged.
    pub fn state(&self) -> Option<&str> {
        self.0.get("state")
    }

    /// An ID Token that says who should be signed in (OIDC-08); nothing here can read it.
    pub fn id_token_hint(&self) -> Option<&str> {
        self.0.get("id_token_hint")
    }

    /// The pairs, for pushing a request.
    pub fn form(&self) -> &Form {
        &self.0
    }

    /// OIDC-17: anything but `query` is shown, not redirected.
    pub fn response_mode_is_supported(&self) -> bool {
        matches!(self.0.get("response_mode"), None | Some("query"))
    }
}

/// OpenID Connect Core §3.1.2.1, `prompt`.
#[expect(
    clippy::struct_excessive_bools,
    reason = "four words that combine freely"
)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Prompt {
    /// Show nothing.
    pub none: bool,
    /// Sign in again.
    pub login: bool,
    /// Ask again.
    pub consent: bool,
    /// Choose an account.
    pub select_account: bool,
}

impl Prompt {
    /// Unknown words are ignored; `none` with others is an error (OIDC-06).
    pub fn parse(text: Option<&str>) -> Result<Self, OAuthError> {
        let mut prompt = Self::default();
        let mut words = 0;
        for word in text
            .unwrap_or_default()
            .split(' ')
            .filter(|word| !word.is_empty())
        {
            words += 1;
            match word {
                "none" => prompt.none = true,
                "login" => prompt.login = true,
                "consent" => prompt.consent = true,
                "select_account" => prompt.select_account = true,
                _ => {}
            }
        }
        if prompt.none && words > 1 {
            return Err(invalid("prompt=none goes with no other value"));
        }
        Ok(prompt)
    }
}

/// A request whose client and redirect URI are known.
#[derive(Clone, Debug)]
pub struct AuthorizationRequest {
    /// Where the answer goes.
    pub redirect: TrustedRedirect,
    /// Returned unchanged.
    pub state: Option<String>,
    /// What is asked for.
    pub scope: Option<ScopeSet>,
    /// For which resources.
    pub resource: Vec<ResourceUri>,
    /// RFC 7636; always there.
    pub challenge: CodeChallenge,
    /// OpenID Connect.
    pub nonce: Option<String>,
    /// What may be shown.
    pub prompt: Prompt,
    /// How old the sign-in may be, in seconds.
    pub max_age: Option<u64>,
    /// Who might sign in; never proof (OIDC-08).
    pub login_hint: Option<String>,
}

fn invalid(description: &'static str) -> OAuthError {
    OAuthError::new(ErrorCode::InvalidRequest, description)
}

impl AuthorizationRequest {
    /// Everything after client and redirect URI.
    pub fn read(params: &AuthorizeParams, redirect: TrustedRedirect) -> Result<Self, OAuthError> {
        let form = &params.0;
        match form.get("response_type") {
            Some("code") => {}
            None => return Err(invalid("the parameter 'response_type' is missing")),
            Some(_) => {
                return Err(OAuthError::new(
                    ErrorCode::UnsupportedResponseType,
                    "only response_type=code is supported",
                ));
            }
        }
        if form.get("request").is_some() {
            return Err(OAuthError::new(
                ErrorCode::RequestNotSupported,
                "request objects are not supported",
            ));
        }
        let challenge = form.get("code_challenge").ok_or_else(|| {
            invalid("PKCE is required: the parameter 'code_challenge' is missing")
        })?;
        let readable = |failure: pkce::PkceError| {
            OAuthError::new(ErrorCode::InvalidRequest, failure.to_string())
        };
        pkce::parse_method(form.get("code_challenge_method")).map_err(readable)?;
        let bounded = |name: &'static str, limit: usize| match form.get(name) {
            Some(value) if value.len() > limit => Err(OAuthError::new(
                ErrorCode::InvalidRequest,
                format!("'{name}' is too long"),
            )),
            value => Ok(value.map(str::to_owned)),
        };
        let max_age = match form.get("max_age").map(str::parse::<u64>) {
            None => None,
            Some(Ok(seconds)) => Some(seconds),
            Some(Err(_)) => return Err(invalid("max_age must be a number of seconds")),
        };
        Ok(Self {
            redirect,
            state: bounded("state", STATE_BYTES_MAX)?,
            scope: form.scope()?,
            resource: form.resources()?,
            challenge: CodeChallenge::parse(challenge).map_err(readable)?,
            nonce: bounded("nonce", NONCE_BYTES_MAX)?,
            prompt: Prompt::parse(form.get("prompt"))?,
            max_age,
            login_hint: bounded("login_hint", HINT_BYTES_MAX)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redirect_uri::{RedirectPolicy, RedirectUri};

    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    fn read(changes: &[(&str, &str)]) -> Result<AuthorizationRequest, OAuthError> {
        let mut pairs: Vec<(String, String)> = [
            ("response_type", "code"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ]
        .into_iter()
        .filter(|(name, _)| !changes.iter().any(|(changed, _)| changed == name))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
        pairs.extend(
            changes
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        let uri = RedirectUri::parse("https://c.example/cb", &RedirectPolicy::default()).unwrap();
        let redirect = TrustedRedirect::matching(&[uri], None).unwrap();
        AuthorizationRequest::read(&AuthorizeParams::from_pairs(&pairs)?, redirect)
    }

    /// AC-01, PKCE-01, PKCE-02, A6, A17, RI-02, OIDC-06, OIDC-07, OIDC-09: one row, one rule.
    #[test]
    fn authorization_request_rules() {
        use ErrorCode as E;
        let long = "x".repeat(4097);
        let too_long = [("state", long.as_str())];
        #[rustfmt::skip]
        let rows: Vec<(&[(&str, &str)], E)> = vec![
            (&[("response_type", "")],                         E::InvalidRequest),
            (&[("response_type", "token")],                    E::UnsupportedResponseType),
            (&[("response_type", "code id_token")],            E::UnsupportedResponseType),
            (&[("code_challenge", "")],                        E::InvalidRequest),
            (&[("code_challenge", "short")],                   E::InvalidRequest),
            (&[("code_challenge_method", "plain")],            E::InvalidRequest),
            (&[("code_challenge_method", "")],                 E::InvalidRequest),
            (&[("request", "x.y.z")],                          E::RequestNotSupported),
            (&[("resource", "not a uri")],                     E::InvalidTarget),
            (&[("scope", "a\"b")],                             E::InvalidScope),
            (&[("prompt", "none login")],                      E::InvalidRequest),
            (&[("max_age", "soon")],                           E::InvalidRequest),
            (&too_long,                                        E::InvalidRequest),
            (&[("state", "a"), ("state", "b")],                E::InvalidRequest),
        ];
        for (changes, code) in rows {
            assert_eq!(
                read(changes).map(|_| ()).unwrap_err().code,
                code,
                "{changes:?}"
            );
        }
        #[rustfmt::skip]
        let tolerated: [&[(&str, &str)]; 7] = [
            &[], &[("prompt", "consent")], &[("prompt", "login consent future")], &[("scope", "+offline_access ")],
            &[("display", "page"), ("ui_locales", "de"), ("acr_values", "x"), ("claims_locales", "de")],
            &[("max_age", "0")], &[("foo", "bar")],
        ];
        for changes in tolerated {
            assert!(read(changes).is_ok(), "{changes:?}");
        }
    }
}
