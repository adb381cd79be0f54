//! Places in a policy text: offsets as lines and columns, where each policy starts, and how deep it
//! nests before anything parses it.

/// Deepest nesting of brackets in a policy. The parser calls itself for each, and a text of
/// 256 KiB holds enough of them to exhaust its stack.
pub(super) const DEPTH_MAX: usize = 32;
/// Most `&&`, `||`, `.`, `[` and `if` in a policy: each is a level of the tree without a bracket.
/// Cedar's validator needs between 500 and 700 of them to exhaust the 2 MiB of a worker's stack.
pub(super) const LINKS_MAX: usize = 200;
/// Longest policy, in bytes, comments inside it included.
pub(super) const POLICY_BYTES_MAX: usize = 8 * 1024;

/// 1-based line and column (in characters) of a byte offset.
pub(super) fn place(text: &str, offset: usize) -> (u32, u32) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    let narrow = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    (narrow(line), narrow(column))
}

/// A policy as it lies in the text.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Statement {
    /// Offset of its first character that is not space or comment.
    pub(super) start: usize,
    /// Bytes up to its semicolon.
    pub(super) bytes: usize,
    /// Deepest nesting of brackets.
    pub(super) depth: usize,
    /// Operators that chain.
    pub(super) links: usize,
}

/// The policies in their order. Cedar ends each with a semicolon, and has none elsewhere but in
/// strings and comments.
pub(super) fn statements(text: &str) -> Vec<Statement> {
    let mut found = Vec::new();
    let mut current: Option<Statement> = None;
    let mut depth = 0_usize;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if c == '/' && chars.peek().is_some_and(|(_, next)| *next == '/') {
            while chars.next_if(|(_, next)| *next != '\n').is_some() {}
            continue;
        }
        if c.is_whitespace() {
            continue;
        }
        let statement = current.get_or_insert(Statement {
            start: at,
            ..Statement::default()
        });
        statement.bytes = at + c.len_utf8() - statement.start;
        match c {
            '"' => skip_string(&mut chars),
            '(' | '[' | '{' => {
                depth += 1;
                statement.depth = statement.depth.max(depth);
                statement.links += usize::from(c == '[');
            }
            '.' => statement.links += 1,
            '&' | '|' if chars.next_if(|(_, next)| *next == c).is_some() => statement.links += 1,
            'i' if text.get(at..).is_some_and(is_if) => statement.links += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            ';' => {
                depth = 0;
                found.extend(current.take());
            }
            _ => {}
        }
    }
    found.extend(current);
    found
}

/// Also where a longer word ends so: counting one too many is no harm.
fn is_if(rest: &str) -> bool {
    let after = rest.strip_prefix("if").map(|rest| rest.chars().next());
    after.is_some_and(|next| !next.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_'))
}

fn skip_string(chars: &mut impl Iterator<Item = (usize, char)>) {
    while let Some((_, c)) = chars.next() {
        match c {
            '\\' => {
                chars.next();
            }
            '"' => return,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_becomes_a_line_and_a_column_in_characters() {
        let text = "a\nbü c\n";
        for (offset, expected) in [
            (0, (1, 1)),
            (2, (2, 1)),
            (5, (2, 3)),
            (6, (2, 4)),
            (99, (3, 1)),
        ] {
            assert_eq!(place(text, offset), expected, "{offset}");
        }
    }

    #[test]
    fn comments_and_strings_hide_what_ends_or_nests_a_policy() {
        let text = "// a;((\n@id(\"x;\\\"((\") permit(p); // (\n forbid((p));\n tail";
        let found = statements(text);
        let starts: Vec<_> = found
            .iter()
            .map(|s| text.get(s.start..s.start + 4))
            .collect();
        assert_eq!(starts, [Some("@id("), Some("forb"), Some("tail")]);
        assert_eq!(found.iter().map(|s| s.depth).collect::<Vec<_>>(), [1, 2, 0]);
    }

    #[test]
    fn what_chains_is_counted() {
        #[rustfmt::skip]
        let cases = [
            ("a && b || c",          2),
            ("a.b[\"c.d\"] // x.y",  2),
            ("if a then if(b)",      2),
            ("iff && notif_",        1),
            ("a & b | c",            0),
        ];
        for (text, links) in cases {
            assert_eq!(statements(text)[0].links, links, "{text}");
        }
    }
}
