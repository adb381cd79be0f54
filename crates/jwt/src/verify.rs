//! What makes a signed token good, whatever its kind (GEN-19, RFC 8725 §3, RFC 7515 §5.2).
//!
//! | Rule                                                           | Error                        |
//! |----------------------------------------------------------------|------------------------------|
//! | at most so many bytes, three canonical base64url segments       | `TooLarge`, `Malformed`      |
//! | header and claims are objects, no member twice                 | `Malformed`                  |
//! | `crit` is absent: there is no extension that we understand     | `Critical`                   |
//! | `typ` is one of the kind asked for                             | `Type`                       |
//! | `alg` is on the caller's list                                  | `Algorithm`                  |
//! | a key with this `kid`, or without any, is in the set           | `UnknownKey`                 |
//! | that key's one algorithm is `alg`                              | `KeyAlgorithm`               |
//! | the signature is that key's                                    | `Signature`                  |
//!
//! `jku`, `jwk`, `x5c`, `x5u` and `x5t` are not read at all.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{Algorithm, JwkSet, PublicJwk, TOKEN_BYTES_MAX, jwk::KID_BYTES_MAX, strict};

/// `typ` of a signed catalogue of known clients.
pub const CATALOGUE_TYP: &str = "vestibule-catalogue+jws";

/// Which `typ` a token must have (table 1.2 of `spec/oauth.md`). Compared without regard to case,
/// and `application/` may stand in front (RFC 7515 §4.1.9).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TypRule {
    /// `at+jwt`, required (RFC 9068 §2.1).
    AccessToken,
    /// [`CATALOGUE_TYP`], required: no token of another kind is a catalogue (RFC 8725 §3.11).
    Catalogue,
    /// `client-authentication+jwt`, `oauth-client-auth+jwt`, `JWT` or absent (JCA-05, CIMD-66).
    ClientAssertion,
    /// `JWT` or absent (OIDC Core §2).
    IdToken,
}

impl TypRule {
    fn accepts(self, typ: Option<&str>) -> bool {
        let named: &[&str] = match self {
            Self::AccessToken => &["at+jwt"],
            Self::Catalogue => &[CATALOGUE_TYP],
            Self::ClientAssertion => &["JWT", "client-authentication+jwt", "oauth-client-auth+jwt"],
            Self::IdToken => &["JWT"],
        };
        let Some(typ) = typ else {
            return match self {
                Self::AccessToken | Self::Catalogue => false,
                Self::ClientAssertion | Self::IdToken => true,
            };
        };
        let short = match typ.split_at_checked("application/".len()) {
            Some((front, rest)) if front.eq_ignore_ascii_case("application/") => rest,
            _ => typ,
        };
        named.iter().any(|name| name.eq_ignore_ascii_case(short))
    }
}

/// What the caller demands of a token.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// Algorithms that are good enough here.
    pub algorithms: &'a [Algorithm],
    /// The kind of token.
    pub typ: TypRule,
    /// Longest text that is looked at.
    pub size_max: usize,
}

impl<'a> Rules<'a> {
    /// With the usual longest text.
    pub fn new(typ: TypRule, algorithms: &'a [Algorithm]) -> Self {
        Self {
            algorithms,
            typ,
            size_max: TOKEN_BYTES_MAX,
        }
    }
}

/// Why a token is not good. For our log: the peer learns less.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum VerifyError {
    /// `alg` is unknown, `none`, symmetric or not on the list.
    #[error("`alg` is not accepted")]
    Algorithm,
    /// A claim is missing or of the wrong type.
    #[error("claims: {0}")]
    Claims(String),
    /// `crit` is there.
    #[error("`crit` names an extension that is not understood")]
    Critical,
    /// `exp` has passed.
    #[error("expired")]
    Expired,
    /// `iss` is another.
    #[error("`iss` is another issuer")]
    Issuer,
    /// The key is for another algorithm than `alg` says.
    #[error("`alg` is not the algorithm of the key")]
    KeyAlgorithm,
    /// Not a signed token in its one spelling.
    #[error("not a signed token: {0}")]
    Malformed(&'static str),
    /// `nbf` is still to come.
    #[error("not valid yet")]
    NotYet,
    /// No key made this signature.
    #[error("the signature is wrong")]
    Signature,
    /// Longer than is looked at.
    #[error("too large")]
    TooLarge,
    /// `typ` is that of another kind.
    #[error("`typ` is that of another kind of token")]
    Type,
    /// No such key; newer keys may have it.
    #[error("no key with this `kid`")]
    UnknownKey,
}

/// A token whose signature, algorithm and kind are good. Its claims are to be judged yet.
#[derive(Clone, Debug)]
pub struct VerifiedJwt {
    claims: Value,
    algorithm: Algorithm,
    thumbprint: String,
}

impl VerifiedJwt {
    /// Its claims as a type: whatever is missing or of another type is an error (T15).
    pub fn claims<T: DeserializeOwned>(&self) -> Result<T, VerifyError> {
        T::deserialize(&self.claims).map_err(|failure| VerifyError::Claims(failure.to_string()))
    }

    /// What it was signed with.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The thumbprint of the key that signed it (RFC 7638).
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }
}

/// A token taken apart; nothing is verified.
pub(crate) struct Parts<'a> {
    header: Map<String, Value>,
    pub(crate) claims: Map<String, Value>,
    signed: &'a str,
    signature: &'a str,
}

impl<'a> Parts<'a> {
    pub(crate) fn of(token: &'a str, size_max: usize) -> Result<Self, VerifyError> {
        use VerifyError::Malformed;
        if token.len() > size_max {
            return Err(VerifyError::TooLarge);
        }
        let three = Malformed("not three segments");
        let (signed, signature) = token.rsplit_once('.').ok_or(three.clone())?;
        let (header, claims) = signed.split_once('.').ok_or(three.clone())?;
        if claims.contains('.') {
            return Err(three);
        }
        let object = |segment| {
            let bytes = strict::decode(segment).ok_or(Malformed("not canonical base64url"))?;
            strict::object(&bytes).map_err(|_| Malformed("not an object without duplicates"))
        };
        let (header, claims) = (object(header)?, object(claims)?);
        if strict::decode(signature).is_none_or(|signature| signature.is_empty()) {
            return Err(Malformed("the signature is not canonical base64url"));
        }
        Ok(Self {
            header,
            claims,
            signed,
            signature,
        })
    }

    fn header(&self, name: &str) -> Result<Option<&str>, VerifyError> {
        match self.header.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(VerifyError::Malformed("a header member is not a string")),
        }
    }
}

/// Verify a token with the keys of whoever should have signed it.
pub fn verify(token: &str, keys: &JwkSet, rules: &Rules<'_>) -> Result<VerifiedJwt, VerifyError> {
    let parts = Parts::of(token, rules.size_max)?;
    if parts.header.contains_key("crit") {
        return Err(VerifyError::Critical);
    }
    if !rules.typ.accepts(parts.header("typ")?) {
        return Err(VerifyError::Type);
    }
    let algorithm = parts
        .header("alg")?
        .and_then(Algorithm::parse)
        .filter(|algorithm| rules.algorithms.contains(algorithm))
        .ok_or(VerifyError::Algorithm)?;
    let candidates = candidates(keys, parts.header("kid")?)?;
    let mut fitting = candidates
        .into_iter()
        .filter(|key| key.algorithm() == algorithm)
        .peekable();
    if fitting.peek().is_none() {
        return Err(VerifyError::KeyAlgorithm);
    }
    let signer = fitting
        .find(|key| signed_by(&parts, key))
        .ok_or(VerifyError::Signature)?;
    Ok(VerifiedJwt {
        claims: Value::Object(parts.claims),
        algorithm,
        thumbprint: crate::thumbprint(signer),
    })
}

/// Verify a document in a compact JWS, such as a catalogue, by the rules of [`verify`]; returns the
/// octets that were signed, which is what counts where a document has one spelling.
pub fn verify_document(
    text: &str,
    keys: &JwkSet,
    rules: &Rules<'_>,
) -> Result<Vec<u8>, VerifyError> {
    verify(text, keys, rules)?;
    let payload = text.split('.').nth(1).and_then(strict::decode);
    payload.ok_or(VerifyError::Malformed("not three segments"))
}

/// The keys that a header may mean: those of this name, else those without a name; without a `kid`
/// all of them. A set has at most 32.
fn candidates<'k>(keys: &'k JwkSet, kid: Option<&str>) -> Result<Vec<&'k PublicJwk>, VerifyError> {
    let Some(kid) = kid else {
        let all: Vec<_> = keys.keys().iter().collect();
        return if all.is_empty() {
            Err(VerifyError::UnknownKey)
        } else {
            Ok(all)
        };
    };
    if kid.len() > KID_BYTES_MAX {
        return Err(VerifyError::Malformed("`kid` is too long"));
    }
    let (named, unnamed): (Vec<_>, Vec<_>) = keys
        .keys()
        .iter()
        .filter(|key| key.kid().is_none_or(|own| own == kid))
        .partition(|key| key.kid().is_some());
    let found = if named.is_empty() { unnamed } else { named };
    if found.is_empty() {
        Err(VerifyError::UnknownKey)
    } else {
        Ok(found)
    }
}

fn signed_by(parts: &Parts<'_>, key: &PublicJwk) -> bool {
    let algorithm = key.algorithm().of_library();
    let message = parts.signed.as_bytes();
    jsonwebtoken::crypto::verify(parts.signature, message, &key.decoding, algorithm)
        .unwrap_or(false)
}
