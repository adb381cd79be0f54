//! The binary: reads configuration, wires the crates together, runs one command.
//!
//! Nothing else in the workspace reads the environment, the clock or a configuration file.
//! [`wiring`] is the only file that names concrete types.
//!
//! Not here: any rule of OAuth.

mod commands;
mod config;
mod signal_files;
mod wiring;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = commands::Cli::parse();
    match commands::run(cli) {
        Ok(code) => code,
        Err(failure) => {
            // One line a person can act on; the chain of causes below it.
            eprintln!("vestibule: {failure}");
            let mut cause = failure.source();
            while let Some(inner) = cause {
                eprintln!("  because: {inner}");
                cause = inner.source();
            }
            ExitCode::FAILURE
        }
    }
}
