//! `docs/conformance.md`: requirement → the tests that show it, or the reason why there is none.
//!
//! A test says what it covers in the line above it: `/// CIMD-07, F9: …` in Rust, `// covers: …` in
//! JavaScript, `# covers: …` in Python. `docs/requirements.txt` lists every requirement that this
//! release answers for, with its level; `docs/waived.txt` gives reasons. A MUST that is in neither
//! a test nor the waivers fails the check, and so does a waiver that a test made needless.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::Path,
};

use crate::run::root;

/// Requirement → names of the tests that show it.
type Covered = BTreeMap<String, BTreeSet<String>>;

/// The page.
pub(crate) fn print() -> Result<String, String> {
    let read = |path: &str| {
        fs::read_to_string(root().join(path)).map_err(|failure| format!("{path}: {failure}"))
    };
    let requirements = table(&read("docs/requirements.txt")?);
    let waivers = table(&read("docs/waived.txt")?);
    // `DPOP-*` waives a whole family, as far as no test shows its rows.
    let waiver = |id: &str| {
        let exact = waivers.iter().find(|(name, _)| name == id);
        let family = || {
            waivers.iter().find(|(name, _)| {
                name.strip_suffix('*')
                    .is_some_and(|prefix| id.starts_with(prefix))
            })
        };
        (
            exact.is_some(),
            exact.or_else(family).map(|(_, reason)| reason),
        )
    };
    let covered = covered()?;
    let known: BTreeSet<_> = requirements.iter().map(|(id, _)| id.as_str()).collect();
    let mut problems = Vec::new();
    for id in covered.keys().filter(|id| !known.contains(id.as_str())) {
        problems.push(format!(
            "a test covers {id}, which docs/requirements.txt does not list"
        ));
    }
    let mut page = String::from(
        "# Conformance\n\n\
         What this release answers for, and the test that shows it. Written by `cargo xtask pages` \
         from the lines above the tests; checked by `cargo xtask test`. A row without a test says \
         why.\n\n| requirement | level | shown by |\n|---|---|---|\n",
    );
    for (id, level) in &requirements {
        let tests = covered.get(id);
        let (exact, reason) = waiver(id);
        match (tests, reason) {
            (Some(_), Some(_)) if exact => {
                problems.push(format!("{id} has a test: take its waiver out"));
            }
            (None, None) if level == "MUST" => {
                problems.push(format!("{id} is a MUST with neither a test nor a waiver"));
            }
            _ => {}
        }
        let shown = match (tests, reason) {
            (Some(tests), _) => tests
                .iter()
                .map(|name| format!("`{name}`"))
                .collect::<Vec<_>>()
                .join(", "),
            (None, Some(reason)) => format!("not shown: {reason}"),
            (None, None) => "–".to_owned(),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(page, "| {id} | {level} | {shown} |");
    }
    if problems.is_empty() {
        Ok(page)
    } else {
        Err(problems.join("\n       "))
    }
}

/// Lines of `ID text`; `#` starts a comment.
fn table(text: &str) -> Vec<(String, String)> {
    text.lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
        .map(|line| {
            let (id, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            (id.to_owned(), rest.trim().to_owned())
        })
        .collect()
}

fn covered() -> Result<Covered, String> {
    let mut covered = Covered::new();
    for folder in ["crates", "conformance", "examples", "xtask/tests"] {
        visit(&root().join(folder), &mut covered)?;
    }
    Ok(covered)
}

fn visit(folder: &Path, covered: &mut Covered) -> Result<(), String> {
    let entries =
        fs::read_dir(folder).map_err(|failure| format!("{}: {failure}", folder.display()))?;
    for entry in entries.filter_map(Result::ok) {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() {
            if !["node_modules", "target", "data", "__pycache__"].contains(&name.as_str()) {
                visit(&path, covered)?;
            }
            continue;
        }
        let text = fs::read_to_string(&path).unwrap_or_default();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("rs") => rust_tests(&text, covered),
            Some("mjs" | "js") => scripts(&name, &text, "// covers:", covered),
            Some("py") => scripts(&name, &text, "# covers:", covered),
            _ => {}
        }
    }
    Ok(())
}

/// Ids in the doc lines above a test function.
fn rust_tests(text: &str, covered: &mut Covered) {
    let mut pending: Vec<String> = Vec::new();
    let mut is_test = false;
    for line in text.lines().map(str::trim) {
        if let Some(doc) = line.strip_prefix("///") {
            pending.extend(ids(doc));
        } else if line.starts_with("#[") {
            is_test |= line.contains("test");
        } else if let Some(name) = function_name(line) {
            // Functions of the store's suite become tests by its macro.
            if is_test || text.contains("store_conformance") {
                for id in pending.drain(..) {
                    covered.entry(id).or_default().insert(name.to_owned());
                }
            }
            pending.clear();
            is_test = false;
        } else if !line.starts_with("//") {
            pending.clear();
            is_test = false;
        }
    }
}

fn function_name(line: &str) -> Option<&str> {
    let line = line.strip_prefix("pub ").unwrap_or(line);
    let line = line.strip_prefix("async ").unwrap_or(line);
    line.strip_prefix("fn ")?.split(['(', '<']).next()
}

fn scripts(file: &str, text: &str, mark: &str, covered: &mut Covered) {
    for line in text
        .lines()
        .map(str::trim)
        .filter_map(|line| line.strip_prefix(mark))
    {
        for id in ids(line) {
            covered.entry(id).or_default().insert(file.to_owned());
        }
    }
}

/// Words such as `CIMD-07`, `MCP-AS-03`, `F5`, `R14`, `T10`, `P4`.
fn ids(text: &str) -> Vec<String> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
        .filter(|word| {
            let digits = word.trim_start_matches(|c: char| c.is_ascii_uppercase() || c == '-');
            let head = &word.len().saturating_sub(digits.len());
            let threat = *head == 1 && "ADFPRT".contains(word.get(..1).unwrap_or_default());
            let row = word
                .get(..*head)
                .is_some_and(|head| head.ends_with('-') && head.len() >= 3);
            !digits.is_empty()
                && digits.bytes().all(|byte| byte.is_ascii_digit())
                && (threat || row)
                && !["RFC-", "S-", "SHA-", "UTF-", "PKCS-", "P-"]
                    .contains(&word.get(..*head).unwrap_or_default())
        })
        .map(str::to_owned)
        .collect()
}
