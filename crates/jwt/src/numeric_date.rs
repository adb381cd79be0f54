//! `NumericDate` (RFC 7519 §2) and optional members, read without mercy for wrong types (T15).
//!
//! A fraction is allowed by the RFC and dropped; a string, a negative or an enormous number is
//! wrong. An optional claim is absent or right: `null` is neither.

use serde::{Deserialize, Deserializer, de};

/// The largest whole number that JSON numbers carry exactly; later than any date.
const MAX: u64 = 1 << 53;

#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Whole(u64),
    Fraction(f64),
}

/// For `#[serde(deserialize_with)]`.
pub(crate) fn required<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let wrong = || de::Error::custom("not a date in seconds");
    let seconds = match Number::deserialize(deserializer).map_err(|_| wrong())? {
        Number::Whole(seconds) => Some(seconds),
        Number::Fraction(seconds) if (0.0..=9_007_199_254_740_992.0).contains(&seconds) =>
        {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "neither negative nor above 2^53, and the fraction is meant to go"
            )]
            Some(seconds as u64)
        }
        Number::Fraction(_) => None,
    };
    seconds.filter(|seconds| *seconds <= MAX).ok_or_else(wrong)
}

/// For `#[serde(default, deserialize_with)]`.
pub(crate) fn optional<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<u64>, D::Error> {
    required(deserializer).map(Some)
}

/// For `#[serde(default, deserialize_with)]`: present and of its type, or absent.
pub(crate) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}
