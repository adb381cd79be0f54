//! Values that must not reach a log (threats P8).

use std::fmt;

/// A secret. `Debug` shows nothing of it; there is no `Display`.
#[derive(Clone, Eq, PartialEq)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Take care of a value.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value, where it is needed.
    pub const fn expose(&self) -> &T {
        &self.0
    }

    /// The value, for good.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// P8: a secret does not print.
    #[test]
    fn a_secret_does_not_print() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "Secret(…)");
    }
}
