//! Running things, with what is going on printed before it goes on.

use std::{path::PathBuf, process::Command, time::Instant};

use crate::{pages, tools};

pub(crate) type Outcome = Result<(), String>;

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent().map(PathBuf::from).unwrap_or(here)
}

/// Where cargo builds to.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Run a program in a folder; its output is the user's.
pub(crate) fn program(folder: &str, name: &str, arguments: &[&str]) -> Outcome {
    program_with(folder, name, arguments, &[])
}

/// The same with variables.
pub(crate) fn program_with(
    folder: &str,
    name: &str,
    arguments: &[&str],
    variables: &[(&str, &str)],
) -> Outcome {
    println!("\n── {name} {}", arguments.join(" "));
    let started = Instant::now();
    let status = Command::new(name)
        .args(arguments)
        .current_dir(root().join(folder))
        .envs(variables.iter().copied())
        .status()
        .map_err(|failure| format!("{name} cannot be run: {failure}"))?;
    println!("── {:.0} s", started.elapsed().as_secs_f64());
    if status.success() {
        Ok(())
    } else {
        Err(format!("`{name} {}` failed", arguments.join(" ")))
    }
}

/// Everything.
pub(crate) fn test(fast: bool) -> Outcome {
    let cargo = |arguments: &[&str]| program("", "cargo", arguments);
    cargo(&["fmt", "--all", "--check"])?;
    if fast {
        tools::postgres()?;
    } else {
        tools::set_up()?;
    }
    cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
        "--",
        "-D",
        "warnings",
    ])?;
    // One build for unit, engine, store and server tests, examples and the binary.
    cargo(&[
        "test",
        "--workspace",
        "--exclude",
        "vestibule-conformance",
        "--locked",
    ])?;
    test_on_postgres()?;
    pages::check()?;
    if fast {
        println!("\nNot run (--fast): real clients, the browser, the black-box suite.");
        return Ok(());
    }
    cargo(&[
        "build",
        "--locked",
        "-p",
        "vestibule",
        "-p",
        "vestibule-example-mcp-server",
    ])?;
    cargo(&[
        "build",
        "--locked",
        "-p",
        "vestibule-server",
        "--example",
        "pages",
    ])?;
    cargo(&["test", "-p", "vestibule-conformance", "--locked"])
}

/// The tests of engine and server once more, on PostgreSQL: the binaries that were just built, beside
/// one cluster for all of them.
fn test_on_postgres() -> Outcome {
    let mut arguments: Vec<String> = ["cargo", "test", "--workspace", "--exclude"]
        .map(str::to_owned)
        .to_vec();
    arguments.extend(["vestibule-conformance", "--locked", "--test", "http"].map(str::to_owned));
    let folder = root().join("crates/engine/tests");
    let files =
        std::fs::read_dir(&folder).map_err(|failure| format!("{}: {failure}", folder.display()))?;
    let mut names: Vec<String> = files
        .filter_map(Result::ok)
        .filter_map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            name.strip_suffix(".rs").map(str::to_owned)
        })
        // It is on PostgreSQL anyway.
        .filter(|name| name != "two_nodes")
        .collect();
    names.sort();
    for name in names {
        arguments.extend(["--test".to_owned(), name]);
    }
    let runner = target().join("debug/examples/with_cluster");
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let store = [("VESTIBULE_TEST_STORE", "postgres")];
    program_with("", &runner.to_string_lossy(), &words, &store)
}

/// Benchmarks. Only the table needs what the hub is compared with.
pub(crate) fn bench(arguments: &[&str]) -> Outcome {
    if !arguments.contains(&"--instructions") {
        tools::set_up_benches()?;
    }
    let build = [
        "build",
        "--release",
        "--locked",
        "-p",
        "vestibule",
        "-p",
        "vestibule-benches",
    ];
    program("", "cargo", &build)?;
    let runner = target().join("release").join("vestibule-bench");
    program("", &runner.to_string_lossy(), arguments)
}

/// What each preset makes of the labelled corpus.
pub(crate) fn corpus() -> Outcome {
    let run = ["run", "--quiet", "--locked", "-p", "vestibule-corpus"];
    program("", "cargo", &run)
}

/// All fuzz targets, one after the other, from the catalogued bodies on where there are some. The
/// toolchain is stable; libFuzzer's flags are not.
pub(crate) fn fuzz(seconds: &str) -> Outcome {
    if seconds.parse::<u32>().is_err() {
        return Err(format!("fuzz: `{seconds}` is not a number of seconds"));
    }
    let bound = format!("-max_total_time={seconds}");
    let mut targets: Vec<String> = std::fs::read_dir(root().join("fuzz/fuzz_targets"))
        .map_err(|failure| format!("fuzz/fuzz_targets: {failure}"))?
        .filter_map(Result::ok)
        .filter_map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            name.strip_suffix(".rs").map(str::to_owned)
        })
        .collect();
    targets.sort();
    tools::ensure_cargo_fuzz()?;
    for name in targets {
        let corpus = format!("fuzz/corpus/{name}");
        std::fs::create_dir_all(root().join(&corpus))
            .map_err(|failure| format!("{corpus}: {failure}"))?;
        let mut arguments = vec!["fuzz", "run", "--sanitizer", "none", &name, &corpus];
        match name.as_str() {
            "cimd_document" => arguments.push("crates/protocol/tests/data/cimd"),
            "client_metadata" => arguments.push("crates/protocol/tests/data/dcr"),
            "jwt" => arguments.push("fuzz/seeds/jwt"),
            _ => {}
        }
        arguments.extend(["--", &bound, "-max_len=4096", "-print_final_stats=1"]);
        // A target folder of its own: its flags would have everything else built anew.
        let variables = [
            ("RUSTC_BOOTSTRAP", "1"),
            ("CARGO_TARGET_DIR", "fuzz/target"),
        ];
        program_with("", "cargo", &arguments, &variables)?;
    }
    Ok(())
}
