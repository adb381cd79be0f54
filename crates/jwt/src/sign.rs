//! Signing: the key is parsed once and kept; a token is three base64url segments.

use std::fmt;

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
        RSA_PKCS1_SHA256, RsaKeyPair,
    },
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Serialize;

use crate::{AccessTokenClaims, Algorithm, IdTokenClaims, PublicJwk};

/// A key cannot be made, read or used.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum KeyError {
    /// The key could not be generated.
    #[error("the key could not be generated")]
    Generate,
    /// The bytes are not a PKCS#8 key of this algorithm.
    #[error("the bytes are not a key of this algorithm")]
    Parse,
    /// Signing failed.
    #[error("signing failed")]
    Sign,
    /// We verify this algorithm, we do not sign with it.
    #[error("this algorithm is not signed with")]
    VerifyOnly,
}

enum Pair {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(Box<RsaKeyPair>),
}

/// A private key, ready to sign. Prints nothing of itself.
pub struct SigningKey {
    algorithm: Algorithm,
    pair: Pair,
    public: PublicJwk,
    random: SystemRandom,
    /// `{"typ":"at+jwt","alg":…,"kid":…}`, encoded.
    access_header: String,
    /// The same without a type.
    plain_header: String,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}, {})", self.algorithm.as_str(), self.public.kid())
    }
}

#[derive(Serialize)]
struct Header<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    typ: Option<&'a str>,
    alg: &'a str,
    kid: &'a str,
}

impl SigningKey {
    /// A new key and its PKCS#8 bytes. The randomness is the crypto library's own.
    pub fn generate(algorithm: Algorithm) -> Result<(Self, Vec<u8>), KeyError> {
        let random = SystemRandom::new();
        let bytes = match algorithm {
            Algorithm::Es256 => {
                EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
                    .map_err(|_| KeyError::Generate)?
                    .as_ref()
                    .to_vec()
            }
            Algorithm::EdDsa => Ed25519KeyPair::generate_pkcs8(&random)
                .map_err(|_| KeyError::Generate)?
                .as_ref()
                .to_vec(),
            Algorithm::Rs256 => {
                use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
                let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| KeyError::Generate)?;
                let der: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| KeyError::Generate)?;
                der.as_ref().to_vec()
            }
            Algorithm::Ps256 => return Err(KeyError::VerifyOnly),
        };
        Ok((Self::from_pkcs8(algorithm, &bytes)?, bytes))
    }

    /// From PKCS#8 bytes.
    pub fn from_pkcs8(algorithm: Algorithm, bytes: &[u8]) -> Result<Self, KeyError> {
        let (pair, public) = match algorithm {
            Algorithm::Es256 => {
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, bytes)
                    .map_err(|_| KeyError::Parse)?;
                // Uncompressed point: 0x04, x, y.
                let point = pair.public_key().as_ref();
                let x = point.get(1..33).ok_or(KeyError::Parse)?;
                let y = point.get(33..65).ok_or(KeyError::Parse)?;
                let public = PublicJwk::ec(x, y);
                (Pair::Ecdsa(pair), public)
            }
            Algorithm::EdDsa => {
                let pair = Ed25519KeyPair::from_pkcs8(bytes).map_err(|_| KeyError::Parse)?;
                let public = PublicJwk::ed25519(pair.public_key().as_ref());
                (Pair::Ed25519(pair), public)
            }
            Algorithm::Rs256 => {
                let pair = RsaKeyPair::from_pkcs8(bytes).map_err(|_| KeyError::Parse)?;
                let key = pair.public_key();
                let public = PublicJwk::rsa(
                    key.modulus().big_endian_without_leading_zero(),
                    key.exponent().big_endian_without_leading_zero(),
                );
                (Pair::Rsa(Box::new(pair)), public)
            }
            Algorithm::Ps256 => return Err(KeyError::VerifyOnly),
        };
        let header = |typ| {
            let header = Header { typ, alg: algorithm.as_str(), kid: public.kid() };
            URL_SAFE_NO_PAD.encode(serde_json::to_vec(&header).unwrap_or_default())
        };
        Ok(Self {
            algorithm,
            access_header: header(Some("at+jwt")),
            plain_header: header(None),
            random: SystemRandom::new(),
            pair,
            public,
        })
    }

    /// What it signs with.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// What verifies it.
    pub fn public_jwk(&self) -> &PublicJwk {
        &self.public
    }

    /// RFC 9068: `typ` is `at+jwt`.
    pub fn sign_access_token(&self, claims: &AccessTokenClaims) -> Result<String, KeyError> {
        self.sign_with(&self.access_header, claims)
    }

    /// OpenID Connect Core §2: no `typ`.
    pub fn sign_id_token(&self, claims: &IdTokenClaims) -> Result<String, KeyError> {
        self.sign_with(&self.plain_header, claims)
    }

    /// Any claims under any `typ`.
    pub fn sign(&self, typ: Option<&str>, claims: &impl Serialize) -> Result<String, KeyError> {
        let header = Header { typ, alg: self.algorithm.as_str(), kid: self.public.kid() };
        let header = serde_json::to_vec(&header).map_err(|_| KeyError::Sign)?;
        self.sign_with(&URL_SAFE_NO_PAD.encode(header), claims)
    }

    fn sign_with(&self, header: &str, claims: &impl Serialize) -> Result<String, KeyError> {
        let claims = serde_json::to_vec(claims).map_err(|_| KeyError::Sign)?;
        let mut token = String::with_capacity(header.len() + claims.len() * 2 + 360);
        token.push_str(header);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        let message = token.as_bytes();
        let signature = match &self.pair {
            Pair::Ecdsa(pair) => {
                let made = pair.sign(&self.random, message).map_err(|_| KeyError::Sign)?;
                URL_SAFE_NO_PAD.encode(made.as_ref())
            }
            Pair::Ed25519(pair) => URL_SAFE_NO_PAD.encode(pair.sign(message).as_ref()),
            Pair::Rsa(pair) => {
                let mut made = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &self.random, message, &mut made)
                    .map_err(|_| KeyError::Sign)?;
                URL_SAFE_NO_PAD.encode(made)
            }
        };
        token.push('.');
        token.push_str(&signature);
        Ok(token)
    }
}
