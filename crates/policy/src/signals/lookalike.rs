//! Names that imitate: a client's name against the catalogue's and the hub's own (threats R6, R8).
//!
//! Four things are told apart:
//!
//! | the name                                              | is                                  |
//! |-------------------------------------------------------|-------------------------------------|
//! | is a product's, and where it returns to allows it     | a *claim* (`Catalogue::claims`)     |
//! | is a product's, from another https host               | a look-alike                        |
//! | reads like a product's (`Сlaude`, `Cl4ude`, `Cursorr`) | a look-alike                        |
//! | quotes one beside a word of trust (`Claude Login`)    | a look-alike                        |
//!
//! Names are compared after NFKC, case folding, the confusables of UTS 39, and without spaces,
//! punctuation, versions and filler words. Then by one edit for five letters and two for nine.
//!
//! A vendor's name is protected as a product's is. A name that says what it is *for* (`Tasks for
//! Claude`) quotes and imitates nobody.
//!
//! A look-alike is a suspicion with a false alarm here and there: it warns, it does not block.

use std::{collections::HashSet, sync::LazyLock};

use unicode_security::{
    MixedScript as _, RestrictionLevel, RestrictionLevelDetection as _, skeleton,
};

use super::software::lasting_words;
use crate::catalogue::Catalogue;

/// Only so much of a name is compared.
const NAME_CHARS_MAX: usize = 100;
/// Own names that are compared.
const OWN_NAMES_MAX: usize = 1_000;
/// Words that make no other name.
const FILLERS: [&str; 11] = [
    "official",
    "officially",
    "app",
    "application",
    "mcp",
    "client",
    "connector",
    "the",
    "real",
    "oauth",
    "verified",
];

/// Words that lend a known name's trust to whoever quotes it, or ask the person for theirs.
const TRUST: [&str; 24] = [
    "administrator",
    "allow",
    "approve",
    "approved",
    "authentic",
    "authorize",
    "authorized",
    "certified",
    "genuine",
    "helpdesk",
    "login",
    "official",
    "officially",
    "safe",
    "secure",
    "security",
    "signin",
    "sso",
    "support",
    "team",
    "trusted",
    "verification",
    "verified",
    "verify",
];
/// Words in front of a known name that say what a client works with.
const RELATIONS: [&str; 12] = [
    "avec", "con", "für", "for", "in", "mit", "on", "para", "pour", "to", "via", "with",
];
/// The same words as they read.
static FILLERS_READ: LazyLock<HashSet<String>> = LazyLock::new(|| as_they_read(&FILLERS));
static TRUST_READ: LazyLock<HashSet<String>> = LazyLock::new(|| as_they_read(&TRUST));
static RELATIONS_READ: LazyLock<HashSet<String>> = LazyLock::new(|| as_they_read(&RELATIONS));

fn as_they_read(words: &[&str]) -> HashSet<String> {
    words.iter().map(|word| reading(word)).collect()
}

/// Known names with fewer letters are words too often to be quotations.
const QUOTED_CHARS_MIN: usize = 5;

/// A name in the forms that are compared.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NameKeys {
    /// Letters and digits in lower case, without filler words.
    plain: String,
    /// The same with them.
    full: String,
    /// Confusable skeleton of the name as written, and in lower case: `I` looks like `l`, and `i`
    /// does not.
    skeletons: [String; 2],
    /// Each word as it reads, fillers included.
    words: Vec<String>,
    /// `plain` and the skeletons, letter by letter, for counting edits.
    spelt: [Vec<char>; 3],
}

impl NameKeys {
    /// Of a name.
    pub fn of(name: &str) -> Self {
        let name: String = name.chars().take(NAME_CHARS_MAX).collect();
        let mut words = lasting_words(&name);
        if words.is_empty() {
            words.push(name);
        }
        let full = words.concat();
        let read = words.iter().map(|word| reading(word)).collect();
        let telling: String = words.into_iter().filter(|word| !is_filler(word)).collect();
        let kept = if telling.is_empty() { &full } else { &telling };
        let lower = kept.to_lowercase();
        let plain = letters(lower.chars());
        let skeletons = [letters(skeleton(kept)), letters(skeleton(&lower))];
        let [as_written, in_lower_case] = &skeletons;
        Self {
            spelt: [&plain, as_written, in_lower_case].map(|text| text.chars().collect()),
            full: letters(full.chars()),
            words: read,
            plain,
            skeletons,
        }
    }

    /// The same name, apart from case, spaces and filler words.
    pub fn is_same(&self, other: &Self) -> bool {
        !self.plain.is_empty() && self.plain == other.plain
    }

    /// The same name with its filler words.
    pub fn is_same_in_full(&self, other: &Self) -> bool {
        !self.full.is_empty() && self.full == other.full
    }

    /// Holds the other's words in a row, and does not say that it works for or with it.
    pub fn holds(&self, other: &Self) -> bool {
        let (ours, theirs) = (&self.words, &other.words);
        if other.full.chars().count() < QUOTED_CHARS_MIN {
            return false;
        }
        let related = |at: usize| {
            let before = at.checked_sub(1).and_then(|at| ours.get(at));
            before.is_some_and(|word| RELATIONS_READ.contains(word))
        };
        let mut windows = ours.windows(theirs.len()).enumerate();
        windows.any(|(at, window)| window == theirs.as_slice() && !related(at))
    }

    /// Has a word of trust; `sign in` and `log-in` are one.
    fn is_trusting(&self) -> bool {
        let is_trust = |word: &str| TRUST_READ.contains(word);
        let pairs = self.words.iter().zip(self.words.iter().skip(1));
        let mut pairs = pairs.map(|(first, second)| format!("{first}{second}"));
        self.words.iter().any(|word| is_trust(word)) || pairs.any(|pair| is_trust(&pair))
    }

    /// Uses the other's name to be trusted: beside a word of trust, or signed with its vendor's
    /// (`Claude, Anthropic PBC`).
    pub fn quotes(&self, other: &Self, vendor: Option<&Self>) -> bool {
        self.words.len() > other.words.len()
            && self.holds(other)
            && (self.is_trusting() || vendor.is_some_and(|vendor| self.holds(vendor)))
    }

    /// Reads like the other: the same, confusable, or an edit or two away.
    pub fn resembles(&self, other: &Self) -> bool {
        let confusable = self
            .skeletons
            .iter()
            .any(|key| !key.is_empty() && other.skeletons.contains(key));
        let mut spelt = self.spelt.iter().zip(&other.spelt);
        confusable || spelt.any(|(ours, theirs)| is_near(ours, theirs))
    }
}

/// Names that the hub's own clients have: first-party and admin-made (threats R8: reserved).
#[derive(Clone, Debug, Default)]
pub struct OwnNames(Vec<(String, NameKeys)>);

impl OwnNames {
    /// Leave out the name of the client that is judged.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let keyed = |name: &str| (name.to_owned(), NameKeys::of(name));
        Self(names.into_iter().take(OWN_NAMES_MAX).map(keyed).collect())
    }
}

/// The name that one with these keys imitates.
///
/// `own_identity_proved`: an admin or the catalogue says who it is, so its name is its own.
/// `is_claim`: [`Catalogue::claims`] took the name for an honest claim; then only the hub's own
/// names are protected from it.
pub fn lookalike(
    keys: &NameKeys,
    own_identity_proved: bool,
    is_claim: bool,
    catalogue: &Catalogue,
    own_names: &OwnNames,
) -> Option<String> {
    if own_identity_proved {
        return None;
    }
    let own_names = &own_names.0;
    let own = own_names
        .iter()
        .find(|(_, own)| keys.resembles(own) || keys.quotes(own, None));
    if let Some((own, _)) = own {
        return Some(own.clone());
    }
    if is_claim {
        return None;
    }
    let same = catalogue.names().find(|known| keys.is_same(known.keys));
    let found = match same {
        // Exactly a known name: of that product and no other.
        Some(known) => Some(known),
        None => catalogue
            .names()
            .find(|known| keys.resembles(known.keys))
            .or_else(|| {
                catalogue
                    .names()
                    .find(|known| keys.quotes(known.keys, known.vendor))
            }),
    };
    found
        .filter(|known| !known.generic)
        .map(|known| known.product.to_owned())
}

/// A word of the name mixes scripts in a way that people do not write (UTS 39, above *highly
/// restrictive*). Words of different scripts beside each other are ordinary.
pub fn mixed_script(name: &str) -> bool {
    let letters = |word: &str| -> String { word.chars().filter(|c| c.is_alphabetic()).collect() };
    let name: String = name.chars().take(NAME_CHARS_MAX).collect();
    name.split(|c: char| !c.is_alphanumeric())
        .map(letters)
        .any(|word| {
            !word.as_str().is_single_script()
                && !word.check_restriction_level(RestrictionLevel::HighlyRestrictive)
        })
}

/// What a page says of a look-alike.
pub fn sentence(imitated: &str) -> String {
    format!("Its name looks like \u{201c}{imitated}\u{201d}, but it is not known to be that app.")
}

/// What a page says of mixed scripts.
pub const MIXED_SCRIPT_SENTENCE: &str =
    "Its name mixes alphabets within a word, which can make letters look like others.";

fn is_filler(word: &str) -> bool {
    FILLERS_READ.contains(&reading(word))
}

/// A word in lower case, as it reads.
fn reading(word: &str) -> String {
    skeleton(&word.to_lowercase()).collect()
}

fn letters(text: impl Iterator<Item = char>) -> String {
    text.filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}

fn is_near(ours: &[char], theirs: &[char]) -> bool {
    let allowed = match ours.len().min(theirs.len()) {
        0..=4 => return false,
        5..=8 => 1,
        _ => 2,
    };
    is_within(ours, theirs, allowed)
}

/// Are these so many edits apart, or fewer? Most names are not, which their lengths or their first
/// letters tell.
pub(super) fn is_within(a: &[char], b: &[char], edits: usize) -> bool {
    a.len().abs_diff(b.len()) <= edits && distance(a, b, edits) <= edits
}

/// Damerau-Levenshtein (optimal string alignment): insert, delete, replace, swap neighbours. What is
/// above `most` may be any number above it.
fn distance(a: &[char], b: &[char], most: usize) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    let at = |row: &[usize], place: usize| row.get(place).copied().unwrap_or(usize::MAX / 2);
    let mut previous: Option<char> = None;
    for (i, &c) in a.iter().enumerate() {
        let mut row = Vec::with_capacity(b.len() + 1);
        row.push(i + 1);
        let mut left: Option<char> = None;
        for (j, &d) in b.iter().enumerate() {
            let replaced = at(&last, j) + usize::from(c != d);
            let mut cost = replaced.min(at(&last, j + 1) + 1).min(at(&row, j) + 1);
            if left == Some(c) && previous == Some(d) {
                cost = cost.min(at(&before, j - 1) + 1);
            }
            row.push(cost);
            left = Some(d);
        }
        // Later rows build on this one and the one before it, and never get cheaper.
        let cheapest = row.iter().chain(&last).min();
        if cheapest.is_some_and(|cost| *cost > most) {
            return most + 1;
        }
        before = std::mem::replace(&mut last, row);
        previous = Some(c);
    }
    at(&last, b.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::signals::fixtures::CATALOGUE;

    fn find(name: &str) -> Option<String> {
        lookalike(
            &NameKeys::of(name),
            false,
            false,
            &CATALOGUE,
            &OwnNames::default(),
        )
    }

    /// R6, R8: one row, one name from a host that no vendor is known by.
    #[test]
    fn names_that_imitate_are_found() {
        #[rustfmt::skip]
        let rows = [
            ("Claude",                   Some("Claude")),
            ("CLAUDE",                   Some("Claude")),
            ("C l a u d e",              Some("Claude")),
            ("Official Claude App",      Some("Claude")),
            ("Claude (verified)",        Some("Claude")),
            ("Claude 4.5",               Some("Claude")),
            ("The real Claude MCP client", Some("Claude")),
            ("\u{421}laude",             Some("Claude")),
            ("Clаudе",                   Some("Claude")),
            ("CIaude",                   Some("Claude")),
            ("C1aude",                   Some("Claude")),
            ("Cl4ude",                   Some("Claude")),
            ("Claudе mсp",               Some("Claude")),
            ("Ｃｌａｕｄｅ",                Some("Claude")),
            ("𝐂𝐥𝐚𝐮𝐝𝐞",                 Some("Claude")),
            ("Claudé",                   Some("Claude")),
            ("Cluade",                   Some("Claude")),
            ("ChatGTP",                  Some("ChatGPT")),
            ("Chat-GPT",                 Some("ChatGPT")),
            ("Cursorr",                  Some("Cursor")),
            ("C\u{3bf}dex",              Some("Codex")),
            ("Visual Stvdio Code",       Some("Visual Studio Code")),
            ("VS C0de",                  Some("Visual Studio Code")),
            ("rn\u{441}pjam inspector",  Some("MCPJam Inspector")),
            ("Claude Login",             Some("Claude")),
            ("ChatGPT sign-in",          Some("ChatGPT")),
            ("Claude: verified by the team", Some("Claude")),
            ("Visual Studio Code Security", Some("Visual Studio Code")),
            ("\u{421}laude Support",     Some("Claude")),
            ("Claude \u{2705} Anthropic PBC", Some("Claude")),
            ("Anthropic",                Some("Anthropic")),
            ("OpenAl",                   Some("OpenAI")),
            ("Approved by Microsoft",    Some("Microsoft")),
            // Honest names.
            ("Login for Claude users",   None),
            ("Security tasks with ChatGPT", None),
            ("GitHub Copilot CLI wrapper", None),
            ("Secure notes",             None),
            ("Make team reports",        None),
            ("Notes Agent",              None),
            ("Claudia's Notes",          None),
            ("Task manager for Claude",  None),
            ("Client",                   None),
            ("Curve",                    None),
            ("Line",                     None),
            ("MCP Client",               None),
            ("MCP Inspector",            None),
            ("mcp-remote",               None),
            ("Simple Auth Client",       None),
            ("Zoo",                      None),
            ("日本語エージェント",          None),
            ("!!!",                      None),
            ("",                         None),
        ];
        for (name, expected) in rows {
            assert_eq!(find(name).as_deref(), expected, "{name}");
        }
        assert!(sentence("Claude").contains("Claude"));
    }

    #[test]
    fn who_proved_itself_or_claims_honestly_is_no_imitation() {
        let none = OwnNames::default();
        let (claude, notes) = (NameKeys::of("Claude"), NameKeys::of("Claude Code (notes)"));
        assert_eq!(lookalike(&claude, true, false, &CATALOGUE, &none), None);
        assert_eq!(lookalike(&notes, false, true, &CATALOGUE, &none), None);
    }

    /// R8: the names of the hub's own clients are reserved, whatever the catalogue says.
    #[test]
    fn own_names_are_reserved() {
        let own = OwnNames::new(["Acme Portal", "HR"]);
        #[rustfmt::skip]
        let rows = [
            ("Acme Portal", true,  Some("Acme Portal")),
            ("acme-portal", false, Some("Acme Portal")),
            ("Acne Portal", false, Some("Acme Portal")),
            ("HR",          false, Some("HR")),
            ("Acme Portal: approve to keep access", false, Some("Acme Portal")),
            ("HT",          false, None),
            ("Portal",      false, None),
        ];
        for (name, claim, expected) in rows {
            let found = lookalike(&NameKeys::of(name), false, claim, &CATALOGUE, &own);
            assert_eq!(found.as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn scripts_are_mixed_within_a_word() {
        #[rustfmt::skip]
        let rows = [
            ("Claude",           false),
            ("Größe",            false),
            ("Яндекс Browser",   false),
            ("日本語 Agent",       false),
            ("日本語Agent",        false),
            ("Agentです",         false),
            ("n8n 2.0",          false),
            ("\u{421}laude",     true),
            ("Claude C\u{3bf}de", true),
            ("",                 false),
        ];
        for (name, mixed) in rows {
            assert_eq!(mixed_script(name), mixed, "{name}");
        }
    }

    #[test]
    fn distances_are_counted_in_edits() {
        #[rustfmt::skip]
        let rows = [
            ("", "", 0), ("abc", "", 3), ("", "abc", 3), ("claude", "claude", 0), ("claude", "cluade", 1),
            ("claude", "claud", 1), ("claude", "clauude", 1), ("claude", "cloude", 1), ("ca", "abc", 3),
        ];
        for (a, b, expected) in rows {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            assert_eq!(distance(&chars(a), &chars(b), 9), expected, "{a} {b}");
            for edits in 0..5 {
                let within = is_within(&chars(a), &chars(b), edits);
                assert_eq!(within, expected <= edits, "{a} {b} {edits}");
            }
        }
    }

    proptest! {
        #[test]
        fn comparing_never_panics(name in "\\PC{0,300}") {
            let _ = (find(&name), mixed_script(&name));
        }

        #[test]
        fn distance_is_symmetric(a in "[abc]{0,6}", b in "[abc]{0,6}") {
            let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
            prop_assert_eq!(distance(&a, &b, 9), distance(&b, &a, 9));
            for edits in 0..4 {
                prop_assert_eq!(is_within(&a, &b, edits), distance(&a, &b, 9) <= edits);
            }
        }
    }
}
