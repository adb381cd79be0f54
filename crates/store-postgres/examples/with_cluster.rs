//! Runs a command beside a throw-away PostgreSQL cluster, whose folder it finds in the environment:
//! the tests of several processes share one.

use std::process::{Command, ExitCode};

use vestibule_store_postgres::throw_away::{Cluster, SHARED, Setup};

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    let Some(program) = words.next() else {
        eprintln!("with_cluster COMMAND …");
        return ExitCode::FAILURE;
    };
    let cluster = match Cluster::start(&Setup::default()) {
        Ok(cluster) => cluster,
        Err(failure) => {
            eprintln!("{failure}");
            return ExitCode::FAILURE;
        }
    };
    let ran = Command::new(program)
        .args(words)
        .env(SHARED, cluster.folder())
        .status();
    drop(cluster);
    match ran {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}
