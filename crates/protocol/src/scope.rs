//! Scopes: tokens of RFC 6749 §3.3, and what a resource says of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use crate::trust::words;

/// OpenID Connect Core §3.1.2.1.
pub const OPENID: &str = "openid";
/// OpenID Connect Core §5.4.
pub const PROFILE: &str = "profile";
/// OpenID Connect Core §5.4.
pub const EMAIL: &str = "email";
/// OpenID Connect Core §11.
pub const OFFLINE_ACCESS: &str = "offline_access";

/// Longest scope token, and most tokens in one set.
const SCOPE_CHARS_MAX: usize = 128;
const SCOPES_MAX: usize = 100;

/// Not a scope.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ScopeError {
    /// GEN-14.
    #[error(
        "a scope holds only printable ASCII characters, without space, quotation mark and backslash"
    )]
    Character,
    /// Our limits.
    #[error("at most 100 scopes of at most 128 characters")]
    TooMany,
}

/// One scope.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Scope(String);

impl Scope {
    /// Parse one token.
    pub fn parse(text: &str) -> Result<Self, ScopeError> {
        let allowed = |c: u8| matches!(c, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        if text.is_empty() || !text.bytes().all(allowed) {
            return Err(ScopeError::Character);
        }
        if text.len() > SCOPE_CHARS_MAX {
            return Err(ScopeError::TooMany);
        }
        Ok(Self(text.to_owned()))
    }

    /// The token.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A set of scopes; prints in a stable order.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct ScopeSet(BTreeSet<Scope>);

impl ScopeSet {
    /// Runs of spaces and duplicates are tolerated (QUIRK-62); characters are not.
    pub fn parse_tolerant(text: &str) -> Result<Self, ScopeError> {
        let mut set = BTreeSet::new();
        for token in text.split(' ').filter(|token| !token.is_empty()) {
            set.insert(Scope::parse(token)?);
            if set.len() > SCOPES_MAX {
                return Err(ScopeError::TooMany);
            }
        }
        Ok(Self(set))
    }

    /// From text that we stored or signed; what does not parse is left out.
    pub fn from_text(text: &str) -> Self {
        text.split(' ')
            .filter_map(|token| Scope::parse(token).ok())
            .collect()
    }

    /// In order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Scope> {
        self.0.iter()
    }

    /// Is this token in it?
    pub fn contains(&self, token: &str) -> bool {
        self.0.iter().any(|scope| scope.0 == token)
    }

    /// Both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        Self(self.0.intersection(&other.0).cloned().collect())
    }

    /// Either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self(self.0.union(&other.0).cloned().collect())
    }

    /// Is everything in the other? An empty set is, and never means "all" (threats T24).
    pub fn is_subset(&self, other: &Self) -> bool {
        self.0.is_subset(&other.0)
    }

    /// Nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Display for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, scope) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            f.write_str(&scope.0)?;
        }
        Ok(())
    }
}

impl FromIterator<Scope> for ScopeSet {
    fn from_iter<T: IntoIterator<Item = Scope>>(scopes: T) -> Self {
        Self(scopes.into_iter().collect())
    }
}

words! {
    /// What a scope lets an agent do.
    Access {
        /// Look.
        Read = "read",
        /// Change.
        Write = "write",
        /// Destroy.
        Destructive = "destructive",
    }
}

/// A scope as its resource describes it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ScopeSpec {
    /// The token.
    pub scope: Scope,
    /// For people.
    pub description: String,
    /// Its class.
    pub access: Access,
    /// Given to clients that ask for none (QUIRK-61).
    pub default: bool,
}

/// The identity scopes that every resource's clients may ask for, with what a person is told.
pub fn identity_scopes() -> BTreeMap<&'static str, &'static str> {
    BTreeMap::from([
        (OPENID, "Know who you are"),
        (PROFILE, "See your name"),
        (EMAIL, "See your email address"),
        (OFFLINE_ACCESS, "Stay connected while you are away"),
    ])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// QUIRK-62, GEN-14: runs of spaces and duplicates pass, other characters do not.
    #[test]
    fn scope_parsing_rules() {
        let set = ScopeSet::parse_tolerant(" b  a offline_access a ").unwrap();
        assert_eq!(set.to_string(), "a b offline_access");
        assert!(ScopeSet::parse_tolerant("").unwrap().is_empty());
        for bad in ["a\"b", "a\\b", "a\tb", "é", "a\u{0}"] {
            assert_eq!(
                ScopeSet::parse_tolerant(bad),
                Err(ScopeError::Character),
                "{bad:?}"
            );
        }
        let many = (0..101)
            .map(|n| n.to_string())
            .collect::<Vec<_>>()
            .join(" ");
        assert_eq!(ScopeSet::parse_tolerant(&many), Err(ScopeError::TooMany));
    }

    proptest! {
        #[test]
        fn scope_sets_survive_printing(text in "[!#-~ ]{0,80}") {
            if let Ok(set) = ScopeSet::parse_tolerant(&text) {
                prop_assert_eq!(ScopeSet::from_text(&set.to_string()), set);
            }
        }
    }
}
