//! OAuth error codes, and what a peer is told.

use std::borrow::Cow;

use crate::trust::words;

words! {
    /// Codes of RFC 6749, 6750, 7009, 7591, 8707, 9126 and OpenID Connect that we send.
    ErrorCode {
        /// RFC 6749 §4.1.2.1.
        AccessDenied = "access_denied",
        /// OpenID Connect Core §3.1.2.6.
        AccountSelectionRequired = "account_selection_required",
        /// OpenID Connect Core §3.1.2.6.
        ConsentRequired = "consent_required",
        /// RFC 6750 §3.1.
        InsufficientScope = "insufficient_scope",
        /// OpenID Connect Core §3.1.2.6.
        InteractionRequired = "interaction_required",
        /// RFC 6749 §5.2.
        InvalidClient = "invalid_client",
        /// RFC 7591 §3.2.2.
        InvalidClientMetadata = "invalid_client_metadata",
        /// RFC 6749 §5.2.
        InvalidGrant = "invalid_grant",
        /// RFC 7591 §3.2.2.
        InvalidRedirectUri = "invalid_redirect_uri",
        /// RFC 6749 §5.2.
        InvalidRequest = "invalid_request",
        /// RFC 9101 §6.2, RFC 9126.
        InvalidRequestUri = "invalid_request_uri",
        /// RFC 6749 §5.2.
        InvalidScope = "invalid_scope",
        /// RFC 8707 §2.
        InvalidTarget = "invalid_target",
        /// RFC 6750 §3.1.
        InvalidToken = "invalid_token",
        /// OpenID Connect Core §3.1.2.6.
        LoginRequired = "login_required",
        /// OpenID Connect Core §3.1.2.6.
        RequestNotSupported = "request_not_supported",
        /// OpenID Connect Core §3.1.2.6.
        RequestUriNotSupported = "request_uri_not_supported",
        /// RFC 6749 §4.1.2.1.
        ServerError = "server_error",
        /// RFC 6749 §4.1.2.1.
        TemporarilyUnavailable = "temporarily_unavailable",
        /// RFC 6749 §5.2.
        UnauthorizedClient = "unauthorized_client",
        /// RFC 6749 §5.2.
        UnsupportedGrantType = "unsupported_grant_type",
        /// RFC 6749 §4.1.2.1.
        UnsupportedResponseType = "unsupported_response_type",
    }
}

/// Longest description that is sent.
const DESCRIPTION_CHARS_MAX: usize = 300;

/// What a peer is told: a code and a sentence in the character set of RFC 6749 §5.2.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OAuthError {
    /// The code.
    pub code: ErrorCode,
    /// The sentence.
    pub description: Cow<'static, str>,
}

impl OAuthError {
    /// Characters outside of %x20-21 / %x23-5B / %x5D-7E become `?` (GEN-07).
    pub fn new(code: ErrorCode, description: impl Into<Cow<'static, str>>) -> Self {
        let description = description.into();
        let allowed = |c: char| matches!(c, ' '..='!' | '#'..='[' | ']'..='~');
        if description.len() <= DESCRIPTION_CHARS_MAX && description.chars().all(allowed) {
            return Self { code, description };
        }
        let clean: String = description
            .chars()
            .take(DESCRIPTION_CHARS_MAX)
            .map(|c| match c {
                '"' | '`' => '\'',
                c if allowed(c) => c,
                _ => '?',
            })
            .collect();
        Self {
            code,
            description: clean.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// GEN-07: what is echoed stays inside the character set, however it comes.
    #[test]
    fn descriptions_keep_to_the_character_set() {
        let error = OAuthError::new(ErrorCode::InvalidRequest, "a \"b\" \\ é \n".to_owned());
        assert_eq!(error.description, "a 'b' ? ? ?");
        let long = OAuthError::new(ErrorCode::InvalidRequest, "x".repeat(10_000));
        assert_eq!(long.description.len(), DESCRIPTION_CHARS_MAX);
    }
}
