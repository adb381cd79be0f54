//! Instructions of the hub for each request, counted by Callgrind: a number that is nearly the same
//! on a busy machine and on a quiet one, so that a regression shows where a time would not.
//!
//! One connection, so that what is done for a request is done for it alone. A commit is not shared
//! between requests then, as it is under load.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::json;

use crate::{
    Outcome,
    hub::{Hub, Scale},
    load::Until,
    plan::{Item, Plan, Purpose},
};

/// Requests before them, which fill caches.
const WARM_UP: u32 = 40;
/// One connection needs little.
const FEW: Scale = Scale {
    people: 1,
    families: 8,
};
/// Growth that fails the run, in percent.
const TOLERANCE: f64 = 10.0;

/// Requests that are counted together: so many that what the hub does by itself meanwhile is little
/// beside them.
fn requests(item: Item) -> u32 {
    match item {
        Item::Discovery | Item::Jwks => 2_000,
        _ => 200,
    }
}

/// Instructions per request by the item's word.
type Counts = BTreeMap<String, u32>;

/// Count, and compare with the record or write it.
pub(crate) async fn run(plan: Plan) -> Outcome<()> {
    let counts = count(plan).await?;
    let recorded = read(&record())?;
    let (text, grown) = compare(&counts, &recorded);
    print!("{text}");
    if plan.purpose == Purpose::Record {
        // An item alone leaves the others as they are.
        let all = recorded.into_iter().chain(counts).collect();
        return write(&record(), &all);
    }
    if grown.is_empty() {
        return Ok(());
    }
    Err(format!(
        "more than {TOLERANCE} % more instructions than recorded: {}. If it has to be so, record \
         them: `cargo xtask bench --instructions --record`",
        grown.join(", ")
    ))
}

async fn count(plan: Plan) -> Outcome<Counts> {
    for tool in ["valgrind", "vgdb"] {
        present(tool)?;
    }
    let folder = tempfile::tempdir().map_err(|failure| failure.to_string())?;
    let mut counts = Counts::new();
    for item in plan.items() {
        let out = folder.path().join(item.word());
        let per_request = count_one(item, out)
            .await
            .map_err(|failure| format!("{}: {failure}", item.name()))?;
        eprintln!("  {:<30} {per_request:>10}", item.name());
        counts.insert(item.word().to_owned(), per_request);
    }
    Ok(counts)
}

/// Instructions per request of one item, by a hub of its own: what was done before would count too,
/// where the work grows with what is stored.
async fn count_one(item: Item, out: PathBuf) -> Outcome<u32> {
    let option = format!("--callgrind-out-file={}", out.display());
    let under = ["valgrind", "--tool=callgrind", "--quiet", &*option];
    let mut hub = Hub::start(FEW, &under).await?;
    let spent = |requests| usize::try_from(requests).unwrap_or(usize::MAX);
    let load = hub.load(item, Until::Count(WARM_UP), spent(WARM_UP));
    let left = load.await?.run().await?.tokens;
    hub.contender.give_back(item, left);
    let requests = requests(item);
    let load = hub.load(item, Until::Count(requests), spent(requests));
    let load = load.await?;
    let callgrind = Callgrind {
        process: hub.contender.process.id(),
        out,
    };
    callgrind.tell("zero")?;
    let measured = load.run().await?;
    callgrind.tell("dump")?;
    if measured.requests != requests {
        return Err(format!("only {} requests", measured.requests));
    }
    let per_request = callgrind.total()? / u64::from(requests);
    u32::try_from(per_request).map_err(|_| format!("{per_request} are too many"))
}

/// Fails in words that help if a tool of Valgrind is missing.
fn present(tool: &str) -> Outcome<()> {
    let found = Command::new(tool).arg("--version").output();
    found.map(|_| ()).map_err(|failure| {
        format!("`{tool}` cannot be run ({failure}): instructions are counted by Valgrind, which is the package `valgrind`")
    })
}

/// A process that runs under Callgrind.
struct Callgrind {
    process: u32,
    out: PathBuf,
}

impl Callgrind {
    /// Have it set its counters to zero, or dump them.
    fn tell(&self, command: &str) -> Outcome<()> {
        let process = format!("--pid={}", self.process);
        let output = Command::new("vgdb")
            .args([&*process, "--cmd-time-out=30", command])
            .output()
            .map_err(|failure| format!("vgdb: {failure}"))?;
        if output.status.success() {
            return Ok(());
        }
        Err(format!(
            "vgdb {command}: {}",
            String::from_utf8_lossy(&output.stderr)
        ))
    }

    /// Instructions in the first dump.
    fn total(&self) -> Outcome<u64> {
        let path = format!("{}.1", self.out.display());
        let text = fs::read_to_string(&path).map_err(|failure| format!("{path}: {failure}"))?;
        total(&text).ok_or_else(|| format!("{path}: no totals"))
    }
}

/// The `totals:` of a dump.
fn total(dump: &str) -> Option<u64> {
    let line = dump.lines().rev().find_map(|l| l.strip_prefix("totals:"));
    line?.trim().parse().ok()
}

/// The counts beside the recorded ones, and the items that grew too much.
fn compare(counts: &Counts, recorded: &Counts) -> (String, Vec<String>) {
    let mut text =
        "\n| work | instructions per request | recorded | change |\n|---|--:|--:|--:|\n".to_owned();
    let mut grown = Vec::new();
    for (word, count) in counts {
        let (before, change) = match recorded.get(word) {
            None => ("–".to_owned(), "new".to_owned()),
            Some(before) => {
                let percent = (f64::from(*count) / f64::from(*before) - 1.0) * 100.0;
                if percent > TOLERANCE {
                    grown.push(word.clone());
                }
                (format!("{before}"), format!("{percent:+.1} %"))
            }
        };
        // Writing into a string cannot fail.
        let _ = writeln!(text, "| {word} | {count} | {before} | {change} |");
    }
    (text, grown)
}

/// Where the recorded counts are.
fn record() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("instructions.json")
}

/// The record; none yet is an empty one.
fn read(path: &Path) -> Outcome<Counts> {
    let fail = |failure: &dyn std::fmt::Display| format!("{}: {failure}", path.display());
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(failure) if failure.kind() == std::io::ErrorKind::NotFound => return Ok(Counts::new()),
        Err(failure) => return Err(fail(&failure)),
    };
    let value: serde_json::Value = serde_json::from_str(&text).map_err(|failure| fail(&failure))?;
    let counts = value.get("instructions_per_request");
    let counts = counts.and_then(serde_json::Value::as_object);
    let counts = counts.ok_or_else(|| fail(&"no instructions_per_request"))?;
    let number = |(word, count): (&String, &serde_json::Value)| {
        let count = count.as_u64().and_then(|count| u32::try_from(count).ok());
        let count = count.filter(|count| *count > 0);
        let count = count.ok_or_else(|| fail(&format!("{word} is no count")))?;
        Ok((word.clone(), count))
    };
    counts.iter().map(number).collect()
}

fn write(path: &Path, counts: &Counts) -> Outcome<()> {
    let about = "Written by `cargo xtask bench --instructions --record`; docs/benchmarks.md says what it means.";
    let value = json!({ "about": about, "instructions_per_request": counts });
    let text = format!("{value:#}\n");
    fs::write(path, text).map_err(|failure| format!("{}: {failure}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(pairs: &[(&str, u32)]) -> Counts {
        let owned = |(word, count): &(&str, u32)| ((*word).to_owned(), *count);
        pairs.iter().map(owned).collect()
    }

    #[test]
    fn growth_beyond_the_tolerance_fails_and_nothing_else_does() {
        let recorded = counts(&[("code", 1_000), ("jwks", 1_000), ("refresh", 1_000)]);
        let now = counts(&[
            ("code", 1_099),
            ("jwks", 1_101),
            ("refresh", 10),
            ("revoke", 5),
        ]);
        let (text, grown) = compare(&now, &recorded);
        assert_eq!(grown, ["jwks"]);
        assert!(text.contains("| code | 1099 | 1000 | +9.9 % |"), "{text}");
        assert!(text.contains("| refresh | 10 | 1000 | -99.0 % |"), "{text}");
        assert!(text.contains("| revoke | 5 | – | new |"), "{text}");
    }

    #[test]
    fn what_is_written_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record.json");
        assert_eq!(read(&path), Ok(Counts::new()));
        let some = counts(&[("code", 1_000), ("jwks", 7)]);
        write(&path, &some).unwrap();
        assert_eq!(read(&path), Ok(some));
        fs::write(&path, r#"{"instructions_per_request":{"code":0}}"#).unwrap();
        assert!(read(&path).is_err());
    }

    #[test]
    fn the_total_of_a_dump_is_found() {
        assert_eq!(
            total("events: Ir\nfn=x\n3 4\ntotals: 641626\n"),
            Some(641_626)
        );
        assert_eq!(total("events: Ir\n"), None);
    }
}
