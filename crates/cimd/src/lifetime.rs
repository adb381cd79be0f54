//! How long a document may be used without asking its host again.
//!
//! HTTP cache headers decide inside our own bounds (CIMD-48, CIMD-53): at least the floor, so that
//! a host cannot make us fetch on every request, at most the ceiling, so that nobody is trusted for
//! ten years (threats F24). `no-store` and `no-cache` mean the floor: the copy serves the
//! transaction that fetched it and its neighbours.

use std::time::Duration;

/// The bounds.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Never ask more often than this.
    pub floor: Duration,
    /// Never trust longer than this.
    pub ceiling: Duration,
    /// Where the host says nothing.
    pub fallback: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            floor: Duration::from_secs(30),
            ceiling: Duration::from_hours(24),
            fallback: Duration::from_mins(5),
        }
    }
}

/// Freshness of an answer with these headers (RFC 9111 §4.2, a private cache).
///
/// `Expires` is not read: it needs the host's clock, and every host that sends it without
/// `max-age` is served well enough by the fallback.
pub fn freshness(cache_control: Option<&str>, age: Option<u64>, bounds: Bounds) -> Duration {
    let mut wanted = None;
    for directive in cache_control.unwrap_or_default().split(',') {
        let directive = directive.trim();
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        if name.eq_ignore_ascii_case("no-store") || name.eq_ignore_ascii_case("no-cache") {
            return bounds.floor;
        }
        if name.eq_ignore_ascii_case("max-age") && wanted.is_none() {
            wanted = Some(seconds(value.trim().trim_matches('"')));
        }
    }
    let wanted = wanted.map_or(bounds.fallback, |seconds| {
        Duration::from_secs(seconds.saturating_sub(age.unwrap_or(0)))
    });
    wanted.clamp(bounds.floor, bounds.ceiling)
}

/// A `delta-seconds`; too large counts as very large, anything else as zero (RFC 9111 §1.2.2).
fn seconds(text: &str) -> u64 {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return 0;
    }
    text.parse().unwrap_or(u64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CIMD-48, CIMD-53, F24: the host's wish inside our bounds.
    #[test]
    fn freshness_follows_the_headers_inside_the_bounds() {
        #[rustfmt::skip]
        let rows = [
            (None,                              None,     300),
            (Some("max-age=60"),                None,      60),
            (Some("max-age=60"),                Some(20),  40),
            (Some("max-age=60"),                Some(99),  30),
            (Some("max-age=5"),                 None,      30),
            (Some("max-age=315360000"),         None,   86400),
            (Some("max-age=99999999999999999999"), None, 86400),
            (Some("public, Max-Age=120"),       None,     120),
            (Some("max-age=\"90\""),            None,      90),
            (Some("max-age=-1"),                None,      30),
            (Some("max-age=soon"),              None,      30),
            (Some("no-store"),                  None,      30),
            (Some("no-cache, max-age=600"),     None,      30),
            (Some("private"),                   None,     300),
            (Some("max-age=60, max-age=600"),   None,      60),
        ];
        for (header, age, expected) in rows {
            let found = freshness(header, age, Bounds::default()).as_secs();
            assert_eq!(found, expected, "{header:?} {age:?}");
        }
    }
}
