//! `cargo xtask`: everything that is done to the repository rather than in it.
//!
//! `cargo xtask test` is the one command of contributors and of CI: it says what is missing on the
//! machine, gets it (by itself where it may: root on Debian), and runs everything.
//!
//! Not here: any check that `cargo test` could run; the house rules are tests in `xtask/tests`.

mod conformance_page;
mod flood;
mod pages;
mod run;
mod tools;

use std::process::ExitCode;

const HELP: &str = "\
cargo xtask COMMAND

  test            everything: format, lints, unit, engine, store, server tests, engine and server
                  again on PostgreSQL, then the built binary with real clients and a real browser
  test --fast     only what needs no Node, Python or browser
  setup           get the tools that the tests need, and stop
  bench           the benchmarks, one table (see docs/benchmarks.md)
  bench --instructions
                  instructions of the hub for each request, counted by Valgrind; fails where one
                  grew by more than 10 % since they were recorded (`--record` does that)
  corpus          labelled arrivals, honest and abusive, before each preset: hit and false-alarm
                  rates; fails where a promise of `balanced` does not hold (see docs/corpus.md)
  flood [N]       send N registrations (1,000,000 by default) to a release build, and say whether
                  the data folder grew
  fuzz SECONDS    run every fuzz target for so long (60 by default)
  pages           write docs/endpoints.md, docs/configuration.md and docs/conformance.md anew
  pages --check   say whether they are up to date
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["test"] => run::test(false),
        ["test", "--fast"] => run::test(true),
        ["setup"] => tools::set_up(),
        ["bench", rest @ ..] => run::bench(rest),
        ["flood"] => flood::flood("1000000"),
        ["flood", count] => flood::flood(count),
        ["corpus"] => run::corpus(),
        ["fuzz"] => run::fuzz("60"),
        ["fuzz", seconds] => run::fuzz(seconds),
        ["pages"] => pages::write(),
        ["pages", "--check"] => pages::check(),
        _ => {
            print!("{HELP}");
            return if words.is_empty() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            };
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::FAILURE
        }
    }
}
