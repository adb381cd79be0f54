//! How commands show things: tables, times, durations, what differs between two texts.
//!
//! What strangers wrote is shown without control characters: a terminal obeys them.

use std::time::Duration;

use vestibule_protocol::time::Timestamp;

/// Lines times lines that are compared exactly; beyond it a change is shown as a whole.
const DIFF_CELLS_MAX: usize = 4_000_000;

/// Print rows under their heads, each column as wide as its widest cell.
pub(super) fn table<const N: usize>(heads: [&str; N], rows: &[[String; N]]) {
    let rows: Vec<[String; N]> = rows
        .iter()
        .map(|row| row.clone().map(|cell| plain(&cell)))
        .collect();
    let mut widths = heads.map(str::len);
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let print = |cells: &mut dyn Iterator<Item = &str>| {
        let padded = cells
            .zip(widths)
            .map(|(cell, width)| format!("{cell:<width$}"));
        println!("{}", padded.collect::<Vec<_>>().join("  ").trim_end());
    };
    print(&mut heads.into_iter());
    for row in &rows {
        print(&mut row.iter().map(String::as_str));
    }
}

/// Without control characters.
pub(super) fn plain(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

/// A day and its minute, in UTC.
pub(super) fn when(at: Timestamp) -> String {
    let civil = i64::try_from(at.seconds())
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
        .map(|at| jiff::tz::TimeZone::UTC.to_datetime(at));
    civil.map_or_else(
        || at.seconds().to_string(),
        |at| format!("{} {:02}:{:02} UTC", at.date(), at.hour(), at.minute()),
    )
}

/// `90s`, `15m`, `48h` or `30d`: in the largest unit that divides it.
pub(super) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let units = [(86_400, "d"), (3_600, "h"), (60, "m")];
    let fitting = units
        .into_iter()
        .find(|(unit, _)| seconds > 0 && seconds.is_multiple_of(*unit));
    match fitting {
        Some((unit, name)) => format!("{}{name}", seconds / unit),
        None => format!("{seconds}s"),
    }
}

/// The other way; days from two on are written as hours or days alike.
pub(super) fn parse_duration(text: &str) -> Option<Duration> {
    let at = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(at)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    let number: u64 = number.parse().ok()?;
    Some(Duration::from_secs(number.checked_mul(seconds)?))
}

/// What differs: lines that went with `-`, lines that came with `+`, each with its line number.
pub(super) fn diff(old: &str, new: &str) -> Vec<String> {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let same = |(a, b): &(&&str, &&str)| a == b;
    let head = old.iter().zip(&new).take_while(same).count();
    let most = old.len().min(new.len()) - head;
    let backwards = old.iter().rev().zip(new.iter().rev());
    let tail = backwards.take(most).take_while(same).count();
    let cut = |lines: &[&str]| -> Vec<String> {
        let middle = lines.iter().take(lines.len() - tail).skip(head);
        middle.map(|line| plain(line)).collect()
    };
    let (gone, come) = (cut(&old), cut(&new));
    let kept = common(&gone, &come);
    let mut lines = Vec::new();
    let (mut from, mut to) = (0, 0);
    for (next_gone, next_come) in kept.into_iter().chain([(gone.len(), come.len())]) {
        for (at, line) in gone.iter().enumerate().take(next_gone).skip(from) {
            lines.push(format!("-{:<5} {line}", head + at + 1));
        }
        for (at, line) in come.iter().enumerate().take(next_come).skip(to) {
            lines.push(format!("+{:<5} {line}", head + at + 1));
        }
        (from, to) = (next_gone + 1, next_come + 1);
    }
    lines
}

/// Places of a longest common subsequence; none where the texts are too long to look for one.
fn common(a: &[String], b: &[String]) -> Vec<(usize, usize)> {
    let width = b.len() + 1;
    if a.len().saturating_mul(b.len()) > DIFF_CELLS_MAX {
        return Vec::new();
    }
    // `lengths[i * width + j]`: the longest of `a[i..]` and `b[j..]`.
    let mut lengths = vec![0_u32; (a.len() + 1) * width];
    let length = |lengths: &[u32], i: usize, j: usize| {
        lengths.get(i * width + j).copied().unwrap_or_default()
    };
    for (i, left) in a.iter().enumerate().rev() {
        for (j, right) in b.iter().enumerate().rev() {
            let longest = if left == right {
                length(&lengths, i + 1, j + 1) + 1
            } else {
                length(&lengths, i + 1, j).max(length(&lengths, i, j + 1))
            };
            if let Some(cell) = lengths.get_mut(i * width + j) {
                *cell = longest;
            }
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut places = Vec::new();
    while let (Some(left), Some(right)) = (a.get(i), b.get(j)) {
        if left == right {
            places.push((i, j));
            (i, j) = (i + 1, j + 1);
        } else if length(&lengths, i + 1, j) >= length(&lengths, i, j + 1) {
            i += 1;
        } else {
            j += 1;
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_names_the_lines_that_went_and_came() {
        #[rustfmt::skip]
        let cases: [(&str, &str, &[&str]); 5] = [
            ("a\nb\nc", "a\nb\nc", &[]),
            ("a\nb\nc", "a\nc",    &["-2     b"]),
            ("a\nc",    "a\nb\nc", &["+2     b"]),
            ("a\nb\nc\nd", "a\nx\nc\ny", &["-2     b", "+2     x", "-4     d", "+4     y"]),
            ("a\na",    "a\na\na", &["+3     a"]),
        ];
        for (old, new, expected) in cases {
            assert_eq!(diff(old, new), expected, "{old:?} {new:?}");
        }
    }

    #[test]
    fn a_duration_is_written_as_it_is_read() {
        for text in ["0s", "90s", "15m", "36h", "30d"] {
            assert_eq!(duration(parse_duration(text).unwrap()), text);
        }
        for text in ["", "15", "m", "1w", "-1m", "99999999999999999999d"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn what_strangers_wrote_cannot_command_a_terminal() {
        assert_eq!(plain("a\u{1b}[2Jb\u{9b}c"), "a\u{fffd}[2Jb\u{fffd}c");
    }
}
