//! Proof Key for Code Exchange (RFC 7636), `S256` only.
//!
//! OAuth 2.1 makes PKCE mandatory here, so no type in this workspace holds an
//! `Option<CodeChallenge>`: an authorization request without one does not parse. `plain` is
//! refused, not modelled; RFC 7636 §4.4.1 names the answer (`invalid_request`).
//!
//! | Rule                                      | Enforced by                | Source         |
//! |-------------------------------------------|----------------------------|----------------|
//! | a verifier is 43 to 128 unreserved bytes  | [`CodeVerifier::parse`]    | RFC 7636 §4.1  |
//! | an `S256` challenge is 43 base64url bytes | [`CodeChallenge::parse`]   | RFC 7636 §4.2  |
//! | `BASE64URL(SHA256(verifier))` must match  | [`CodeChallenge::accepts`] | RFC 7636 §4.6  |
//!
//! Not here: *when* a client must send a challenge. That is [`crate::authorize`]'s business.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

/// Not a challenge or verifier.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PkceError {
    /// RFC 7636 §4.2.
    #[error("code_challenge must be 43 characters of base64url")]
    Challenge,
    /// RFC 7636 §4.4.1; an absent method means `plain`.
    #[error("code_challenge_method must be S256")]
    Method,
    /// RFC 7636 §4.1.
    #[error("code_verifier must be 43 to 128 unreserved characters")]
    Verifier,
}

/// SHA-256 of the verifier.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CodeChallenge([u8; 32]);

/// The secret behind a challenge.
pub struct CodeVerifier(String);

impl CodeChallenge {
    /// Parse, or say which rule the text broke.
    pub fn parse(text: &str) -> Result<Self, PkceError> {
        let bytes = URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|_| PkceError::Challenge)?;
        bytes
            .as_slice()
            .try_into()
            .map(Self)
            .map_err(|_| PkceError::Challenge)
    }

    /// From stored bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The digest.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Does this verifier answer the challenge? The digest is public, so equality needs no
    /// constant time.
    pub fn accepts(&self, verifier: &CodeVerifier) -> bool {
        crate::sha256(verifier.0.as_bytes()) == self.0
    }
}

impl CodeVerifier {
    /// Parse, or say which rule the text broke.
    pub fn parse(text: &str) -> Result<Self, PkceError> {
        let unreserved = |c: u8| c.is_ascii_alphanumeric() || b"-._~".contains(&c);
        if (43..=128).contains(&text.len()) && text.bytes().all(unreserved) {
            Ok(Self(text.to_owned()))
        } else {
            Err(PkceError::Verifier)
        }
    }
}

/// `S256` or nothing.
pub fn parse_method(method: Option<&str>) -> Result<(), PkceError> {
    if method == Some("S256") {
        Ok(())
    } else {
        Err(PkceError::Method)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    /// PKCE-03: the vector of RFC 7636 appendix B.
    #[test]
    fn the_published_vector_matches() {
        let challenge = CodeChallenge::parse(CHALLENGE).unwrap();
        assert!(challenge.accepts(&CodeVerifier::parse(VERIFIER).unwrap()));
        let other = VERIFIER.replacen('d', "e", 1);
        assert!(!challenge.accepts(&CodeVerifier::parse(&other).unwrap()));
    }

    /// PKCE-02, PKCE-03, NAT-02, A6: what is not S256 of a proper verifier does not parse.
    #[test]
    fn pkce_rules() {
        for bad in [
            "",
            &VERIFIER.replacen('d', "", 1),
            &"a".repeat(129),
            &format!("{VERIFIER}="),
            &format!("{VERIFIER}+"),
        ] {
            assert!(CodeVerifier::parse(bad).is_err(), "{bad}");
        }
        assert!(CodeVerifier::parse(&"a".repeat(128)).is_ok());
        for bad in [
            "",
            &CHALLENGE.replacen('E', "", 1),
            &format!("{CHALLENGE}A"),
            &CHALLENGE.replace("-cM", "-cN"),
            &format!("{CHALLENGE}="),
        ] {
            assert!(CodeChallenge::parse(bad).is_err(), "{bad}");
        }
        for bad in [None, Some("plain"), Some("s256"), Some("")] {
            assert_eq!(parse_method(bad), Err(PkceError::Method));
        }
        assert_eq!(parse_method(Some("S256")), Ok(()));
    }
}
