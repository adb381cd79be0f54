//! Pages that are printed from the code, and the check that they are current.

use std::{fs, process::Command};

use crate::{
    conformance_page,
    run::{Outcome, root},
};

const PAGES: [(&str, &[&str]); 2] = [
    ("docs/endpoints.md", &["routes"]),
    ("docs/configuration.md", &["check-config", "--reference"]),
];

fn printed(arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("cargo")
        .args(["run", "--quiet", "--locked", "-p", "vestibule", "--"])
        .args(arguments)
        .current_dir(root())
        .output()
        .map_err(|failure| format!("cargo cannot be run: {failure}"))?;
    if !output.status.success() {
        return Err(format!(
            "`vestibule {}` failed: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    String::from_utf8(output.stdout).map_err(|failure| failure.to_string())
}

fn all() -> Result<Vec<(&'static str, String)>, String> {
    let mut pages = Vec::new();
    for (path, arguments) in PAGES {
        pages.push((path, printed(arguments)?));
    }
    pages.push(("docs/conformance.md", conformance_page::print()?));
    Ok(pages)
}

/// Write them.
pub(crate) fn write() -> Outcome {
    for (path, text) in all()? {
        fs::write(root().join(path), text).map_err(|failure| format!("{path}: {failure}"))?;
        println!("wrote {path}");
    }
    Ok(())
}

/// Compare them.
pub(crate) fn check() -> Outcome {
    for (path, text) in all()? {
        let found = fs::read_to_string(root().join(path)).unwrap_or_default();
        if found != text {
            return Err(format!(
                "{path} is not current: run `cargo xtask pages` and commit it"
            ));
        }
    }
    println!("\ndocs/endpoints.md, docs/configuration.md and docs/conformance.md are current");
    Ok(())
}
