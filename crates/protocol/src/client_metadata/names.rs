//! Names that people see. A name is a claim of the client; what reaches a page holds no control,
//! format or private characters, no line breaks, and fits on a line (threats R6).

const NAME_CHARS_MAX: usize = 100;

/// A name that may be shown.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DisplayName(String);

impl DisplayName {
    /// What is left of a text after taking out what could mislead; `None` if nothing is.
    pub fn sanitize(text: &str) -> Option<Self> {
        let mut clean = String::new();
        let mut gap = false;
        for c in text.chars() {
            if c.is_whitespace() {
                gap = !clean.is_empty();
            } else if !is_misleading(c) {
                if gap {
                    clean.push(' ');
                    gap = false;
                }
                clean.push(c);
            }
            if clean.chars().count() >= NAME_CHARS_MAX {
                break;
            }
        }
        (!clean.is_empty()).then_some(Self(clean))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Control, format (bidi overrides, zero width), surrogate, private use, line and paragraph
/// separators, and characters that are invisible by definition.
fn is_misleading(c: char) -> bool {
    c.is_control()
        || matches!(
            u32::from(c),
            0x00ad | 0x034f | 0x0600..=0x0605 | 0x061c | 0x06dd | 0x070f | 0x08e2
            | 0x115f..=0x1160 | 0x17b4..=0x17b5 | 0x180b..=0x180f | 0x200b..=0x200f
            | 0x2028..=0x202e | 0x2060..=0x206f | 0x2800 | 0x3164 | 0xe000..=0xf8ff
            | 0xfe00..=0xfe0f | 0xfeff | 0xffa0 | 0xfff0..=0xfffb | 0x110bd | 0x110cd
            | 0x13430..=0x1343f | 0x1bca0..=0x1bca3 | 0x1d173..=0x1d17a | 0xe0000..=0xe0fff
            | 0xf0000..=0x0010_ffff
        )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// R6, P9, CIMD-80: what could mislead does not reach a page or a log.
    #[test]
    fn misleading_characters_are_taken_out() {
        let long = "x".repeat(3_000);
        #[rustfmt::skip]
        let rows = [
            ("Claude",                          Some("Claude")),
            ("  Demo \n\t Agent ",              Some("Demo Agent")),
            ("a\u{202e}b\u{200b}c\u{feff}",     Some("abc")),
            ("esc\u{1b}[31m",                   Some("esc[31m")),
            ("\u{e0041}\u{200d}",               None),
            ("\u{3164}\u{2800}",                None),
            ("",                                None),
            ("Größe 日本語",                     Some("Größe 日本語")),
            (long.as_str(),                     long.get(..100)),
        ];
        for (text, expected) in rows {
            let found = DisplayName::sanitize(text);
            assert_eq!(
                found.as_ref().map(DisplayName::as_str),
                expected,
                "{text:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn sanitizing_twice_changes_nothing(text in "\\PC{0,200}") {
            if let Some(name) = DisplayName::sanitize(&text) {
                prop_assert_eq!(DisplayName::sanitize(name.as_str()), Some(name));
            }
        }
    }
}
