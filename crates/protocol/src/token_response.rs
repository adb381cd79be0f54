//! What the token, introspection and userinfo endpoints answer. Absent members are left out
//! (QUIRK-41).

use serde::Serialize;

/// RFC 6749 §5.1.
#[derive(Clone, Debug, Serialize)]
pub struct TokenResponse {
    /// The access token.
    pub access_token: String,
    /// Always `Bearer`.
    pub token_type: &'static str,
    /// Seconds.
    pub expires_in: u64,
    /// What was granted; always there (GEN-14).
    pub scope: String,
    /// Sent when it is new (QUIRK-34).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    /// OpenID Connect Core §3.1.3.3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_token: Option<String>,
}

/// RFC 7662 §2.2.
#[derive(Clone, Debug, Default, Serialize)]
pub struct IntrospectionResponse {
    /// Whether the token is good, and the caller may know.
    pub active: bool,
    /// Granted scopes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// The client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// `Bearer`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_type: Option<&'static str>,
    /// Seconds since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exp: Option<u64>,
    /// Seconds since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iat: Option<u64>,
    /// Who allowed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sub: Option<String>,
    /// For whom.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aud: Option<Vec<String>>,
    /// The issuer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// The token's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
    /// When the person signed in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_time: Option<u64>,
}

impl IntrospectionResponse {
    /// `{"active":false}` and no reason (INT-04).
    pub fn inactive() -> Self {
        Self::default()
    }
}

/// OpenID Connect Core §5.3.2.
#[derive(Clone, Debug, Serialize)]
pub struct UserInfo {
    /// Who.
    pub sub: String,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What they sign in with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_username: Option<String>,
    /// Mail address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Whether mail is known to arrive there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email_verified: Option<bool>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// INT-04, QUIRK-41: absent is absent, never null.
    #[test]
    fn absent_members_are_left_out() {
        let inactive = serde_json::to_string(&IntrospectionResponse::inactive()).unwrap();
        assert_eq!(inactive, r#"{"active":false}"#);
        let token = TokenResponse {
            access_token: "a".into(),
            token_type: "Bearer",
            expires_in: 600,
            scope: "mcp:read".into(),
            refresh_token: None,
            id_token: None,
        };
        let text = serde_json::to_string(&token).unwrap();
        assert_eq!(
            text,
            r#"{"access_token":"a","token_type":"Bearer","expires_in":600,"scope":"mcp:read"}"#
        );
    }
}
