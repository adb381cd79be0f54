//! `migrate`: from one machine to many.

use std::{io::IsTerminal as _, path::PathBuf, process::ExitCode};

use clap::Args;

use super::{ConfigArgs, Failure};
use crate::wiring::{self, Place};

/// Move all data from SQLite to an empty PostgreSQL database.
///
/// The hub must not run meanwhile. Every row is copied, read back and compared before anything is
/// kept: afterwards all of it is there, or nothing. The SQLite file stays as it is. Then set
/// `database.url`, and give every node the same `master.key`.
#[derive(Args)]
pub(crate) struct Migrate {
    #[command(flatten)]
    config: ConfigArgs,
    /// `postgres://user@host/database?…`; with a password, better `--to-file`: a command line is
    /// seen by everybody on the machine
    #[arg(long, value_name = "URL", required_unless_present = "to_file")]
    to: Option<String>,
    /// File with the URL
    #[arg(long, value_name = "FILE", conflicts_with = "to")]
    to_file: Option<PathBuf>,
}

impl Migrate {
    pub(super) async fn run(self) -> Result<ExitCode, Failure> {
        let config = self.config.checked()?;
        let url = match (&self.to, &self.to_file) {
            (Some(url), _) => url.clone(),
            (None, Some(file)) => std::fs::read_to_string(file)
                .map_err(|failure| format!("{}: {failure}", file.display()))?,
            (None, None) => return Err("--to or --to-file says where to".into()),
        };
        let to = Place::parse(url.trim(), &config.data_dir, 1)?;
        println!("from {} to {to}", config.database);
        let width = if std::io::stdout().is_terminal() {
            18
        } else {
            0
        };
        let moved = wiring::move_data(&config, &to, |table| {
            println!("  {:width$} {} rows", table.name, table.rows);
        })
        .await?;
        println!(
            "{moved} rows are there, read back and compared. Now set\n\n  [database]\n  url = \"{to}\"\n\n\
             (with the password, or `url_file`), and keep {}: without it no key in the database \
             opens. {} is as it was; nothing reads it any more.",
            config.master_key_file.display(),
            config.database
        );
        Ok(ExitCode::SUCCESS)
    }
}
