//! `check-config` and `routes`: what can be said without starting anything. Of the data folder only the
//! issuer is looked at.

use std::process::ExitCode;

use clap::Args;
use vestibule_engine::StartError;

use super::{ConfigArgs, Failure};
use crate::{
    config::{Checked, reference},
    wiring,
};

/// Check the configuration.
#[derive(Args)]
pub(crate) struct CheckConfig {
    #[command(flatten)]
    config: ConfigArgs,
    /// Print the description of every option (Markdown) instead
    #[arg(long)]
    reference: bool,
}

impl CheckConfig {
    pub(super) async fn run(self) -> Result<ExitCode, Failure> {
        if self.reference {
            print!("{}", reference::markdown());
            return Ok(ExitCode::SUCCESS);
        }
        let loaded = self.config.load()?;
        let checked = Checked::of(&loaded)?;
        match &loaded.file {
            Some(file) => println!("{} is usable.", file.display()),
            None => println!("No configuration file; the defaults are usable."),
        }
        println!("  issuer     {}", checked.issuer.as_str());
        println!("  listen     {}", checked.listen);
        println!("  database   {}", checked.database);
        println!(
            "  doors      DCR {}, CIMD {} (first values; `vestibule settings show` has today's)",
            checked.dcr.as_str(),
            checked.cimd.as_str()
        );
        for resource in checked.resources.iter() {
            println!("  resource   {} ({})", resource.uri.as_str(), resource.name);
        }
        for warning in &checked.warnings {
            println!("warning: {warning}");
        }
        let configured = checked.issuer.as_str();
        match wiring::kept_issuer(&checked).await {
            Ok(Some(kept)) if kept != configured => {
                let configured = configured.to_owned();
                return Err(StartError::Issuer { kept, configured }.into());
            }
            Ok(_) => {}
            Err(failure) => {
                println!("warning: the issuer of the data folder is not known: {failure}");
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// List the routes.
#[derive(Args)]
pub(crate) struct Routes {
    /// As JSON
    #[arg(long)]
    json: bool,
}

impl Routes {
    pub(super) fn run(self) -> ExitCode {
        if self.json {
            println!("{}", vestibule_server::route_list());
        } else {
            print!("{}", vestibule_server::endpoints_markdown());
        }
        ExitCode::SUCCESS
    }
}
