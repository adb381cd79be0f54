//! Public keys (RFC 7517, RFC 7518 §6, RFC 8037 §2).
//!
//! A [`PublicJwk`] has no place for a private member, so neither `/jwks.json` nor a log can show one
//! (T19). Sets of others are read whole or not at all, except for keys of kinds that we do not use:
//!
//! | In a foreign set                                          | What happens      |
//! |-----------------------------------------------------------|-------------------|
//! | a private or symmetric key                                | the set is refused |
//! | a point off the curve, RSA below 2048 or above 8192 bits   | the set is refused |
//! | more than 32 keys, 64 KiB, or a member that occurs twice  | the set is refused |
//! | another `kty`, `crv` or `alg`; `use` other than `sig`     | the key is skipped |
//!
//! One key has one algorithm (T12): its `alg`, else the one that its type implies; a bare RSA key
//! is for RS256.
//!
//! Not here: fetching sets (`cimd`), choosing a key for a token (`verify`).

use std::{fmt, ops::RangeInclusive};

use aws_lc_rs::{
    digest,
    signature::{
        ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
        RsaPublicKeyComponents,
    },
};
use jsonwebtoken::DecodingKey;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{Algorithm, strict};

const KEYS_MAX: usize = 32;
const SET_BYTES_MAX: usize = 64 << 10;
pub(crate) const KID_BYTES_MAX: usize = 256;

const RSA_BITS: RangeInclusive<usize> = 2048..=8192;
/// From 3 to the largest exponent that the library takes.
const EXPONENT_BITS: RangeInclusive<usize> = 2..=33;

/// Members that only a private or symmetric key has (RFC 7518 §6.2.2, §6.3.2, §6.4.1).
const PRIVATE_MEMBERS: [&str; 8] = ["d", "dp", "dq", "k", "oth", "p", "q", "qi"];

/// Why a set of keys is not used.
#[derive(Debug, thiserror::Error)]
pub enum JwksError {
    /// Not the JSON of a set, or a member occurs twice.
    #[error("not a set of keys: {0}")]
    Json(String),
    /// A key that breaks a rule of its type.
    #[error("key {index} is not usable: {reason}")]
    Key {
        /// Its place in the set, from zero.
        index: usize,
        /// The rule.
        reason: &'static str,
    },
    /// A key that should never have left its owner.
    #[error("key {index} has a private member")]
    PrivateMember {
        /// Its place in the set, from zero.
        index: usize,
    },
    /// A shared secret is no public key.
    #[error("key {index} is symmetric")]
    Symmetric {
        /// Its place in the set, from zero.
        index: usize,
    },
    /// More than 32 keys or 64 KiB.
    #[error("more than 32 keys or 64 KiB")]
    TooLarge,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Material {
    Ec { x: [u8; 32], y: [u8; 32] },
    Okp { x: [u8; 32] },
    Rsa { n: Vec<u8>, e: Vec<u8> },
}

/// A public key, checked and ready to verify with.
#[derive(Clone)]
pub struct PublicJwk {
    material: Material,
    algorithm: Algorithm,
    kid: Option<String>,
    pub(crate) decoding: DecodingKey,
}

/// The members, in the order in which they are written.
#[derive(Default, Serialize)]
struct Members<'a> {
    kty: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    crv: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    x: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    y: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    n: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    e: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<&'a str>,
    alg: &'static str,
    r#use: &'static str,
}

impl PublicJwk {
    /// The only algorithm that this key verifies.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The name that its owner gave it.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// A key of P-256, from `0x04 ‖ x ‖ y`.
    pub(crate) fn ec(point: &[u8]) -> Option<Self> {
        let (x, y) = point.strip_prefix(&[4])?.split_first_chunk()?;
        let y = y.try_into().ok()?;
        ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).ok()?;
        Some(Self {
            material: Material::Ec { x: *x, y },
            algorithm: Algorithm::Es256,
            kid: None,
            decoding: DecodingKey::from_ec_der(point),
        })
    }

    /// A key of Ed25519.
    pub(crate) fn okp(x: &[u8]) -> Option<Self> {
        ParsedPublicKey::new(&ED25519, x).ok()?;
        Some(Self {
            material: Material::Okp {
                x: x.try_into().ok()?,
            },
            algorithm: Algorithm::EdDsa,
            kid: None,
            decoding: DecodingKey::from_ed_der(x),
        })
    }

    /// An RSA key of 2048 to 8192 bits.
    pub(crate) fn rsa(n: &[u8], e: &[u8]) -> Option<Self> {
        let minimal = |number: &[u8]| number.first().is_some_and(|first| *first != 0);
        if !minimal(n) || !minimal(e) || !RSA_BITS.contains(&bits(n)) {
            return None;
        }
        // With the exponent 1 everybody can sign; the library does not look at it here.
        let odd = |number: &[u8]| number.last().is_some_and(|last| last % 2 == 1);
        if !odd(n) || !odd(e) || !EXPONENT_BITS.contains(&bits(e)) {
            return None;
        }
        RsaPublicKeyComponents { n, e }
            .to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
            .ok()?;
        Some(Self {
            material: Material::Rsa {
                n: n.to_vec(),
                e: e.to_vec(),
            },
            algorithm: Algorithm::Rs256,
            kid: None,
            decoding: DecodingKey::from_rsa_raw_components(n, e),
        })
    }

    /// The same key under the name that its content gives it (RFC 7638).
    pub(crate) fn named_by_thumbprint(mut self) -> Self {
        self.kid = Some(thumbprint(&self));
        self
    }

    fn members(&self) -> Members<'_> {
        let common = Members {
            kid: self.kid.as_deref(),
            alg: self.algorithm.as_str(),
            r#use: "sig",
            ..Members::default()
        };
        let text = |bytes: &[u8]| Some(strict::encode(bytes));
        match &self.material {
            Material::Ec { x, y } => Members {
                kty: "EC",
                crv: Some("P-256"),
                x: text(x),
                y: text(y),
                ..common
            },
            Material::Okp { x } => Members {
                kty: "OKP",
                crv: Some("Ed25519"),
                x: text(x),
                ..common
            },
            Material::Rsa { n, e } => Members {
                kty: "RSA",
                n: text(n),
                e: text(e),
                ..common
            },
        }
    }

    /// Read a foreign key; `None` if it is of a kind that we do not use.
    fn parse(index: usize, key: &Value) -> Result<Option<Self>, JwksError> {
        let broken = |reason| JwksError::Key { index, reason };
        let Value::Object(key) = key else {
            return Err(broken("not an object"));
        };
        if PRIVATE_MEMBERS.iter().any(|name| key.contains_key(*name)) {
            return Err(JwksError::PrivateMember { index });
        }
        let text = |name| string(key, name).map_err(broken);
        let kty = text("kty")?.ok_or(broken("`kty` is missing"))?;
        if kty == "oct" {
            return Err(JwksError::Symmetric { index });
        }
        let (crv, alg, kid) = (text("crv")?, text("alg")?, text("kid")?);
        let usable =
            text("use")?.is_none_or(|usage| usage == "sig") && operations(key).map_err(broken)?;
        let number = |name| {
            let text = text(name)?.ok_or(broken("a coordinate or number is missing"))?;
            strict::decode(text).ok_or(broken("a coordinate or number is not base64url"))
        };
        if kid.is_some_and(|kid| kid.is_empty() || kid.len() > KID_BYTES_MAX) {
            return Err(broken("`kid` is empty or too long"));
        }
        let found = match (kty, crv) {
            ("EC", Some("P-256")) => {
                let (x, y) = (number("x")?, number("y")?);
                // Both halves on their own: 31 and 33 bytes are no coordinates.
                let whole = x.len() == 32 && y.len() == 32;
                whole
                    .then(|| [&[4][..], &x, &y].concat())
                    .and_then(|point| Self::ec(&point))
            }
            ("OKP", Some("Ed25519")) => Self::okp(&number("x")?),
            ("RSA", _) => Self::rsa(&number("n")?, &number("e")?),
            ("EC" | "OKP", None) => return Err(broken("`crv` is missing")),
            _ => return Ok(None),
        };
        let mut found =
            found.ok_or(broken("not a point of its curve, or not 2048 to 8192 bits"))?;
        found.kid = kid.map(str::to_owned);
        if let Some(alg) = alg {
            match (Algorithm::parse(alg), found.algorithm) {
                (Some(Algorithm::Ps256), Algorithm::Rs256) => found.algorithm = Algorithm::Ps256,
                (Some(stated), implied) if stated == implied => {}
                (Some(_), _) => return Err(broken("`alg` does not fit `kty`")),
                (None, _) => return Ok(None),
            }
        }
        Ok(usable.then_some(found))
    }
}

impl fmt::Debug for PublicJwk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublicJwk")
            .field("kid", &self.kid)
            .field("algorithm", &self.algorithm)
            .field("material", &self.material)
            .finish_non_exhaustive()
    }
}

impl Eq for PublicJwk {}

impl PartialEq for PublicJwk {
    fn eq(&self, other: &Self) -> bool {
        (&self.material, self.algorithm, &self.kid)
            == (&other.material, other.algorithm, &other.kid)
    }
}

/// The length of a number without leading zero bytes.
fn bits(number: &[u8]) -> usize {
    let leading = number.first().map_or(0, |first| first.leading_zeros());
    (number.len() * 8).saturating_sub(usize::try_from(leading).unwrap_or(0))
}

/// A string member, if there.
fn string<'a>(key: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, &'static str> {
    match key.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err("a member that should be a string is not"),
    }
}

/// May it verify, as far as `key_ops` says (RFC 7517 §4.3)?
fn operations(key: &Map<String, Value>) -> Result<bool, &'static str> {
    match key.get("key_ops") {
        None => Ok(true),
        Some(Value::Array(operations)) => Ok(operations.iter().any(|one| one == "verify")),
        Some(_) => Err("`key_ops` is not an array"),
    }
}

/// The thumbprint of a key: base64url of SHA-256 over its required members (RFC 7638 §3).
pub fn thumbprint(key: &PublicJwk) -> String {
    // Base64url and the names of curves need no escaping, and the order is the alphabet's.
    let text = |bytes: &[u8]| strict::encode(bytes);
    let members = match &key.material {
        Material::Ec { x, y } => {
            format!(
                r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#,
                text(x),
                text(y)
            )
        }
        Material::Okp { x } => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, text(x)),
        Material::Rsa { n, e } => {
            format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, text(e), text(n))
        }
    };
    strict::encode(digest::digest(&digest::SHA256, members.as_bytes()))
}

/// A set of public keys (RFC 7517 §5).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct JwkSet {
    keys: Vec<PublicJwk>,
}

impl JwkSet {
    /// Of our own keys.
    pub fn of(keys: Vec<PublicJwk>) -> Self {
        Self { keys }
    }

    /// Read a set that somebody else made.
    pub fn parse(bytes: &[u8]) -> Result<Self, JwksError> {
        if bytes.len() > SET_BYTES_MAX {
            return Err(JwksError::TooLarge);
        }
        let set = strict::object(bytes).map_err(|failure| JwksError::Json(failure.to_string()))?;
        let Some(Value::Array(keys)) = set.get("keys") else {
            return Err(JwksError::Json("`keys` is not an array".to_owned()));
        };
        if keys.len() > KEYS_MAX {
            return Err(JwksError::TooLarge);
        }
        let read = keys
            .iter()
            .enumerate()
            .map(|(index, key)| PublicJwk::parse(index, key));
        let keys = read
            .filter_map(Result::transpose)
            .collect::<Result<_, _>>()?;
        Ok(Self { keys })
    }

    /// The body of `/jwks.json`.
    pub fn to_json(&self) -> Vec<u8> {
        #[derive(Serialize)]
        struct Set<'a> {
            keys: Vec<Members<'a>>,
        }
        let set = Set {
            keys: self.keys.iter().map(PublicJwk::members).collect(),
        };
        serde_json::to_vec(&set).unwrap_or_default()
    }

    /// Its keys.
    pub fn keys(&self) -> &[PublicJwk] {
        &self.keys
    }

    /// Does it have no usable key?
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}
