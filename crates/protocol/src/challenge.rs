//! `WWW-Authenticate: Bearer …` (RFC 6750 §3, RFC 9728 §5.1).

/// Why a bearer token did not do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ChallengeError {
    /// RFC 6750 §3.1.
    InsufficientScope,
    /// RFC 6750 §3.1.
    InvalidToken,
}

/// A challenge.
#[derive(Clone, Debug, Default)]
pub struct Challenge {
    /// Absent when there was no token at all (GEN-18).
    pub error: Option<ChallengeError>,
    /// All scopes that the operation needs (MCP-RS-11).
    pub scope: Option<String>,
    /// Where the resource's metadata is.
    pub resource_metadata: Option<String>,
    /// Who challenges.
    pub realm: Option<String>,
}

impl Challenge {
    /// The header's value. Values are ours; what cannot stand in a quoted string is left out of it.
    pub fn to_header_value(&self) -> String {
        let error = self.error.map(|error| match error {
            ChallengeError::InsufficientScope => "insufficient_scope",
            ChallengeError::InvalidToken => "invalid_token",
        });
        let parts = [
            ("realm", self.realm.as_deref()),
            ("error", error),
            ("scope", self.scope.as_deref()),
            ("resource_metadata", self.resource_metadata.as_deref()),
        ];
        let mut text = "Bearer".to_owned();
        let mut separator = " ";
        for (name, value) in parts {
            if let Some(value) = value {
                let quoted: String = value
                    .chars()
                    .filter(|c| matches!(c, ' '..='~') && !matches!(c, '"' | '\\'))
                    .collect();
                text.extend([separator, name, "=\"", &quoted, "\""]);
                separator = ", ";
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// MCP-RS-09, MCP-RS-10, PRM-06, GEN-18: the shapes that clients parse.
    #[test]
    fn challenges_have_the_shape_that_clients_parse() {
        let first = Challenge {
            scope: Some("files:read".into()),
            resource_metadata: Some(
                "https://h.example/.well-known/oauth-protected-resource/mcp".into(),
            ),
            ..Challenge::default()
        };
        assert_eq!(
            first.to_header_value(),
            "Bearer scope=\"files:read\", resource_metadata=\"https://h.example/.well-known/oauth-protected-resource/mcp\""
        );
        let hostile = Challenge {
            error: Some(ChallengeError::InsufficientScope),
            scope: Some("a\", evil=\"\r\n".into()),
            ..Challenge::default()
        };
        assert_eq!(
            hostile.to_header_value(),
            "Bearer error=\"insufficient_scope\", scope=\"a, evil=\""
        );
    }
}
