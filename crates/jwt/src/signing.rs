//! Keys that sign, parsed once, and the three segments that they make (RFC 7515 §5.1).
//!
//! Not here: how private keys rest (`seal::wrap`), which of them is active (`engine`).

use std::fmt;

use aws_lc_rs::{
    encoding::AsDer,
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
        RSA_PKCS1_SHA256, RsaKeyPair,
    },
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::{AccessTokenClaims, Algorithm, IdTokenClaims, PublicJwk};

/// Why there is no signing key.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SigningKeyError {
    /// The library could not make one.
    #[error("a key could not be made")]
    Generate,
    /// Not PKCS #8 of this algorithm.
    #[error("not a PKCS #8 private key for {0}")]
    Pkcs8(Algorithm),
    /// PS256 is verified, never made here.
    #[error("keys for {0} are not made here")]
    VerifyOnly(Algorithm),
}

/// The library refused to sign: a defect, not a fault of anybody's input.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a token could not be signed")]
pub struct SignError;

enum Pair {
    EdDsa(Ed25519KeyPair),
    Es256(EcdsaKeyPair),
    Rs256(RsaKeyPair),
}

/// A private key, ready to sign. Its `kid` is its thumbprint (RFC 7638), in full.
pub struct SigningKey {
    pair: Pair,
    public: PublicJwk,
    kid: String,
}

/// What the header of a token says.
#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    typ: Option<&'a str>,
    kid: &'a str,
}

impl SigningKey {
    /// Make a key; with it comes its PKCS #8 form, to be wrapped and stored. The randomness is the
    /// library's own.
    pub fn generate(algorithm: Algorithm) -> Result<(Self, Zeroizing<Vec<u8>>), SigningKeyError> {
        let failed = |_| SigningKeyError::Generate;
        let pkcs8 = match algorithm {
            Algorithm::EdDsa => {
                let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new());
                document.map_err(failed)?.as_ref().to_vec()
            }
            Algorithm::Es256 => {
                let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING);
                pair.and_then(|pair| pair.to_pkcs8v1())
                    .map_err(failed)?
                    .as_ref()
                    .to_vec()
            }
            Algorithm::Rs256 => {
                let pair = RsaKeyPair::generate(KeySize::Rsa2048);
                pair.and_then(|pair| pair.as_der())
                    .map_err(failed)?
                    .as_ref()
                    .to_vec()
            }
            Algorithm::Ps256 => return Err(SigningKeyError::VerifyOnly(algorithm)),
        };
        let pkcs8 = Zeroizing::new(pkcs8);
        Ok((Self::from_pkcs8(algorithm, &pkcs8)?, pkcs8))
    }

    /// Parse a key that was made before.
    pub fn from_pkcs8(algorithm: Algorithm, pkcs8: &[u8]) -> Result<Self, SigningKeyError> {
        let refused = |_| SigningKeyError::Pkcs8(algorithm);
        let (pair, public) = match algorithm {
            Algorithm::EdDsa => {
                let pair = Ed25519KeyPair::from_pkcs8(pkcs8).map_err(refused)?;
                let public = PublicJwk::okp(pair.public_key().as_ref());
                (Pair::EdDsa(pair), public)
            }
            Algorithm::Es256 => {
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8)
                    .map_err(refused)?;
                let public = PublicJwk::ec(pair.public_key().as_ref());
                (Pair::Es256(pair), public)
            }
            Algorithm::Rs256 => {
                let pair = RsaKeyPair::from_pkcs8(pkcs8).map_err(refused)?;
                let key = pair.public_key();
                let (n, e) = (key.modulus(), key.exponent());
                let public = PublicJwk::rsa(
                    n.big_endian_without_leading_zero(),
                    e.big_endian_without_leading_zero(),
                );
                (Pair::Rs256(pair), public)
            }
            Algorithm::Ps256 => return Err(SigningKeyError::VerifyOnly(algorithm)),
        };
        let public = public
            .ok_or(SigningKeyError::Pkcs8(algorithm))?
            .named_by_thumbprint();
        let kid = crate::thumbprint(&public);
        Ok(Self { pair, public, kid })
    }

    /// What it signs with.
    pub fn algorithm(&self) -> Algorithm {
        self.public.algorithm()
    }

    /// Its name in headers and in the published set.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// What verifies its signatures.
    pub fn public_jwk(&self) -> &PublicJwk {
        &self.public
    }

    /// Sign claims that are JSON already.
    pub fn sign(&self, typ: Option<&str>, claims_json: &[u8]) -> Result<String, SignError> {
        let header = Header {
            alg: self.algorithm().as_str(),
            typ,
            kid: &self.kid,
        };
        let header = serde_json::to_vec(&header).map_err(|_| SignError)?;
        let mut token = String::with_capacity((header.len() + claims_json.len()) * 2 + 350);
        URL_SAFE_NO_PAD.encode_string(header, &mut token);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims_json, &mut token);
        let signature = self.signature(token.as_bytes())?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }

    /// Sign an access token (RFC 9068 §2.1).
    pub fn sign_access_token(&self, claims: &AccessTokenClaims) -> Result<String, SignError> {
        self.sign(
            Some("at+jwt"),
            &serde_json::to_vec(claims).map_err(|_| SignError)?,
        )
    }

    /// Sign an ID Token (OIDC Core §2).
    pub fn sign_id_token(&self, claims: &IdTokenClaims) -> Result<String, SignError> {
        self.sign(
            Some("JWT"),
            &serde_json::to_vec(claims).map_err(|_| SignError)?,
        )
    }

    fn signature(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let failed = |_| SignError;
        match &self.pair {
            Pair::EdDsa(pair) => Ok(pair.try_sign(message).map_err(failed)?.as_ref().to_vec()),
            Pair::Es256(pair) => {
                let signature = pair.sign(&SystemRandom::new(), message);
                Ok(signature.map_err(failed)?.as_ref().to_vec())
            }
            Pair::Rs256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(
                    &RSA_PKCS1_SHA256,
                    &SystemRandom::new(),
                    message,
                    &mut signature,
                )
                .map_err(failed)?;
                Ok(signature)
            }
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("public", &self.public)
            .finish_non_exhaustive()
    }
}
