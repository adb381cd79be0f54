//! Requests of programs: forms, client authentication as presented, grants.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::{
    error_code::{ErrorCode, OAuthError},
    resource_indicator::ResourceUri,
    scope::ScopeSet,
    secret::Secret,
};

/// Parameters that may repeat (GEN-03): RFC 8707, RFC 8693.
const REPEATABLE: [&str; 2] = ["resource", "audience"];
/// Most parameters, and most resources, in one request.
const PARAMETERS_MAX: usize = 100;
const RESOURCES_MAX: usize = 10;
/// RFC 7523 §2.2.
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Parameters of a form or query, checked for repetition.
#[derive(Clone, Debug)]
pub struct Form(Vec<(String, String)>);

/// GEN-03: what occurs twice is an error, except what may repeat.
pub fn pairs_to_form(pairs: &[(String, String)]) -> Result<Form, OAuthError> {
    if pairs.len() > PARAMETERS_MAX {
        return Err(invalid("there are too many parameters"));
    }
    for (index, (name, _)) in pairs.iter().enumerate() {
        let again = pairs.iter().skip(index + 1).any(|(other, _)| other == name);
        if again && !REPEATABLE.contains(&name.as_str()) {
            return Err(invalid(format!("the parameter '{name}' is there twice")));
        }
    }
    Ok(Form(pairs.to_vec()))
}

fn invalid(description: impl Into<std::borrow::Cow<'static, str>>) -> OAuthError {
    OAuthError::new(ErrorCode::InvalidRequest, description)
}

impl Form {
    /// The value; an empty one is absent (GEN-04).
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(key, value)| key == name && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }

    /// All values that are not empty.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(key, value)| key == name && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }

    /// An owned value.
    pub fn owned(&self, name: &str) -> Option<String> {
        self.get(name).map(str::to_owned)
    }

    /// RI-01, RI-02: every `resource`, or `invalid_target`.
    pub fn resources(&self) -> Result<Vec<ResourceUri>, OAuthError> {
        let mut resources: Vec<ResourceUri> = Vec::new();
        for raw in self.all("resource") {
            let uri = ResourceUri::parse(raw).map_err(|failure| {
                OAuthError::new(ErrorCode::InvalidTarget, failure.to_string())
            })?;
            // RI-13: the same value again is no second resource.
            if !resources.iter().any(|known| known.is_equivalent(&uri)) {
                resources.push(uri);
            }
        }
        if resources.len() > RESOURCES_MAX {
            return Err(OAuthError::new(
                ErrorCode::InvalidTarget,
                "too many resources",
            ));
        }
        Ok(resources)
    }

    /// GEN-14.
    pub fn scope(&self) -> Result<Option<ScopeSet>, OAuthError> {
        let Some(text) = self.get("scope") else {
            return Ok(None);
        };
        let set = ScopeSet::parse_tolerant(text)
            .map_err(|failure| OAuthError::new(ErrorCode::InvalidScope, failure.to_string()))?;
        Ok((!set.is_empty()).then_some(set))
    }
}

/// A request at the token endpoint.
#[derive(Clone, Debug)]
pub enum TokenRequest {
    /// RFC 6749 §4.1.3.
    AuthorizationCode {
        /// The code.
        code: Secret<String>,
        /// Repeated by OAuth 2.0 clients (RU-10).
        redirect_uri: Option<String>,
        /// RFC 7636 §4.5.
        verifier: Option<Secret<String>>,
        /// RFC 8707 §2.2.
        resource: Vec<ResourceUri>,
    },
    /// RFC 6749 §4.4.
    ClientCredentials {
        /// Asked for.
        scope: Option<ScopeSet>,
        /// For whom.
        resource: Vec<ResourceUri>,
    },
    /// RFC 6749 §6.
    RefreshToken {
        /// The token.
        refresh_token: Secret<String>,
        /// Narrower, if at all.
        scope: Option<ScopeSet>,
        /// A subset, if at all.
        resource: Vec<ResourceUri>,
    },
}

impl TokenRequest {
    /// Read a request.
    pub fn read(form: &Form) -> Result<Self, OAuthError> {
        let needed = |name: &'static str| {
            form.owned(name)
                .map(Secret::new)
                .ok_or_else(|| invalid(format!("the parameter '{name}' is missing")))
        };
        match form.get("grant_type") {
            None => Err(invalid("the parameter 'grant_type' is missing")),
            Some("authorization_code") => Ok(Self::AuthorizationCode {
                code: needed("code")?,
                redirect_uri: form.owned("redirect_uri"),
                verifier: form.owned("code_verifier").map(Secret::new),
                resource: form.resources()?,
            }),
            Some("client_credentials") => Ok(Self::ClientCredentials {
                scope: form.scope()?,
                resource: form.resources()?,
            }),
            Some("refresh_token") => Ok(Self::RefreshToken {
                refresh_token: needed("refresh_token")?,
                scope: form.scope()?,
                resource: form.resources()?,
            }),
            Some(_) => Err(OAuthError::new(
                ErrorCode::UnsupportedGrantType,
                "supported are authorization_code, refresh_token and client_credentials",
            )),
        }
    }
}

/// How a client presented itself. Exactly one method (CA-03, threats T21).
#[derive(Clone, Debug)]
pub enum PresentedAuth {
    /// RFC 7523 §2.2.
    Assertion {
        /// Optional, must agree with the assertion (JCA-02).
        client_id: Option<String>,
        /// The JWT.
        assertion: Secret<String>,
    },
    /// RFC 6749 §2.3.1, in the header.
    Basic {
        /// Who.
        client_id: String,
        /// The secret.
        secret: Secret<String>,
    },
    /// A bare id.
    None {
        /// Who.
        client_id: String,
    },
    /// RFC 6749 §2.3.1, in the body.
    Post {
        /// Who.
        client_id: String,
        /// The secret.
        secret: Secret<String>,
    },
}

impl PresentedAuth {
    /// Read what a request presents.
    pub fn read(form: &Form, authorization: Option<&str>) -> Result<Self, OAuthError> {
        let client_id = form.owned("client_id");
        let secret = form.owned("client_secret");
        let assertion = form.owned("client_assertion");
        let methods = [
            authorization.is_some(),
            secret.is_some(),
            assertion.is_some(),
        ];
        if methods.into_iter().filter(|used| *used).count() > 1 {
            return Err(invalid("use exactly one method of client authentication"));
        }
        if let Some(header) = authorization {
            let (id, secret) = basic(header)
                .ok_or_else(|| client_error("the Authorization header is not Basic credentials"))?;
            if client_id.is_some_and(|named| named != id) {
                return Err(client_error(
                    "client_id differs from the Authorization header",
                ));
            }
            return Ok(Self::Basic {
                client_id: id,
                secret: Secret::new(secret),
            });
        }
        if let Some(assertion) = assertion {
            if form.get("client_assertion_type") != Some(JWT_BEARER) {
                return Err(client_error("client_assertion_type is not supported"));
            }
            return Ok(Self::Assertion {
                client_id,
                assertion: Secret::new(assertion),
            });
        }
        if form.get("client_assertion_type").is_some() {
            return Err(client_error("client_assertion is missing"));
        }
        match (client_id, secret) {
            (Some(client_id), Some(secret)) => Ok(Self::Post {
                client_id,
                secret: Secret::new(secret),
            }),
            (Some(client_id), None) => Ok(Self::None { client_id }),
            (None, _) => Err(client_error(
                "there is no client_id and no client authentication",
            )),
        }
    }
}

fn client_error(description: &'static str) -> OAuthError {
    OAuthError::new(ErrorCode::InvalidClient, description)
}

/// `Basic base64(id:secret)`; both parts may be form-encoded or not (CA-02, QUIRK-45).
fn basic(header: &str) -> Option<(String, String)> {
    let (scheme, credentials) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(credentials.trim()).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    // A URL as id holds a colon of its own: raw, the first colon splits too early.
    if id.eq_ignore_ascii_case("https") && secret.starts_with("//") {
        let (rest, secret) = secret.rsplit_once(':')?;
        return Some((format!("{id}:{rest}"), form_decode(secret)?));
    }
    Some((form_decode(id)?, form_decode(secret)?))
}

/// RFC 6749 appendix B; text without escapes is itself.
fn form_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let value = digit(rest.next())? * 16 + digit(rest.next())?;
                bytes.push(u8::try_from(value).ok()?);
            }
            other => bytes.push(other),
        }
    }
    String::from_utf8(bytes)
        .ok()
        .filter(|text| !text.contains('\0'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Form, Authorization header, what is read.
    type Row<'a> = (
        Vec<(&'a str, &'a str)>,
        Option<String>,
        Result<&'a str, ErrorCode>,
    );

    fn form(pairs: &[(&str, &str)]) -> Form {
        try_form(pairs).unwrap()
    }

    fn try_form(pairs: &[(&str, &str)]) -> Result<Form, OAuthError> {
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(a, b)| ((*a).into(), (*b).into()))
            .collect();
        pairs_to_form(&pairs)
    }

    /// GEN-03, GEN-04, GEN-05, RI-13, A4: repetition, emptiness, unknown names.
    #[test]
    fn form_rules() {
        assert!(try_form(&[("scope", "a"), ("scope", "a")]).is_err());
        assert!(try_form(&[("scope", ""), ("scope", "a")]).is_err());
        let twice = form(&[
            ("resource", "https://a.example/m"),
            ("resource", "https://A.example/m/"),
        ]);
        assert_eq!(twice.resources().unwrap().len(), 1);
        assert_eq!(form(&[("scope", "")]).get("scope"), None);
        assert!(form(&[("scope", "  ")]).scope().unwrap().is_none());
        assert!(try_form(&[("foo", "bar")]).is_ok());
        let target = form(&[("resource", "mcp.example")])
            .resources()
            .unwrap_err();
        assert_eq!(target.code, ErrorCode::InvalidTarget);
    }

    /// CA-01, CA-02, CA-03, CA-07, JCA-01, T21, QUIRK-45, GEN-17.
    #[test]
    fn client_authentication_as_presented() {
        let header = |text: &str| format!("bAsIc {}", STANDARD.encode(text));
        let read = |pairs: &[(&str, &str)], auth: Option<&str>| {
            PresentedAuth::read(&form(pairs), auth).map(|presented| match presented {
                PresentedAuth::Assertion { .. } => "assertion".to_owned(),
                PresentedAuth::Basic { client_id, secret } => {
                    format!("basic {client_id} {}", secret.expose())
                }
                PresentedAuth::None { client_id } => format!("none {client_id}"),
                PresentedAuth::Post { client_id, secret } => {
                    format!("post {client_id} {}", secret.expose())
                }
            })
        };
        let type_ok = ("client_assertion_type", JWT_BEARER);
        #[rustfmt::skip]
        let rows: Vec<Row<'_>> = vec![
            (vec![("client_id", "a")],                                       None,                   Ok("none a")),
            (vec![("client_id", "a"), ("client_secret", "")],                None,                   Ok("none a")),
            (vec![("client_id", "a"), ("client_secret", "s")],               None,                   Ok("post a s")),
            (vec![],                                                         Some(header("a:s")),    Ok("basic a s")),
            (vec![("client_id", "a")],                                       Some(header("a:s")),    Ok("basic a s")),
            (vec![],                                                         Some(header("a%3Ab:s%2B+x")), Ok("basic a:b s+ x")),
            (vec![],                                                         Some(header("https://a.example/c:s")), Ok("basic https://a.example/c s")),
            (vec![],                                                         Some(header("https%3A%2F%2Fa.example%2Fc:s")), Ok("basic https://a.example/c s")),
            (vec![("client_assertion", "x"), type_ok],                       None,                   Ok("assertion")),
            (vec![("client_id", "b")],                                       Some(header("a:s")),    Err(ErrorCode::InvalidClient)),
            (vec![("client_secret", "s")],                                   Some(header("a:s")),    Err(ErrorCode::InvalidRequest)),
            (vec![("client_id", "a"), ("client_secret", "s"), ("client_assertion", "x"), type_ok], None, Err(ErrorCode::InvalidRequest)),
            (vec![("client_assertion", "x"), ("client_assertion_type", "y")], None,                  Err(ErrorCode::InvalidClient)),
            (vec![type_ok, ("client_id", "a")],                              None,                   Err(ErrorCode::InvalidClient)),
            (vec![],                                                         None,                   Err(ErrorCode::InvalidClient)),
            (vec![],                                                         Some("Bearer x".into()), Err(ErrorCode::InvalidClient)),
            (vec![],                                                         Some("Basic %%%".into()), Err(ErrorCode::InvalidClient)),
            (vec![],                                                         Some(header("nocolon")), Err(ErrorCode::InvalidClient)),
        ];
        for (pairs, auth, expected) in rows {
            let found = read(&pairs, auth.as_deref());
            assert_eq!(
                found.as_deref().map_err(|error| error.code),
                expected,
                "{pairs:?} {auth:?}"
            );
        }
    }

    /// AC-01, AC-09, BCP-01: what is no grant here.
    #[test]
    fn grant_types() {
        let code = |pairs: &[(&str, &str)]| {
            TokenRequest::read(&form(pairs))
                .map(|_| ())
                .map_err(|e| e.code)
        };
        assert_eq!(code(&[]), Err(ErrorCode::InvalidRequest));
        assert_eq!(
            code(&[("grant_type", "authorization_code")]),
            Err(ErrorCode::InvalidRequest)
        );
        for other in [
            "password",
            "implicit",
            "urn:ietf:params:oauth:grant-type:device_code",
            "x",
        ] {
            assert_eq!(
                code(&[("grant_type", other)]),
                Err(ErrorCode::UnsupportedGrantType)
            );
        }
        assert_eq!(
            code(&[("grant_type", "refresh_token"), ("refresh_token", "x")]),
            Ok(())
        );
        assert_eq!(code(&[("grant_type", "client_credentials")]), Ok(()));
    }

    proptest! {
        #[test]
        fn reading_credentials_never_panics(header in ".{0,80}", raw: Vec<u8>) {
            let empty = form(&[]);
            let _ = PresentedAuth::read(&empty, Some(&header));
            let encoded = format!("Basic {}", STANDARD.encode(raw));
            let _ = PresentedAuth::read(&empty, Some(&encoded));
        }
    }
}
