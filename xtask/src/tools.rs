//! What the tests need beside Rust: PostgreSQL, Node 20, Python 3.11, Chromium, and the packages of
//! the real clients. Present things are left alone; missing ones are installed where this process may.

use std::{path::Path, process::Command};

use crate::run::{Outcome, program, program_with, root, target};

/// Get everything.
pub(crate) fn set_up() -> Outcome {
    postgres()?;
    node()?;
    chromium()?;
    packages_of_node("conformance/js", &[])?;
    python()
}

/// What the benchmarks compare the hub with. `better-sqlite3` is compiled here, so that no binary
/// that somebody else built is fetched.
pub(crate) fn set_up_benches() -> Outcome {
    node()?;
    let headers = folder_of_node_headers();
    let mut variables = vec![("npm_config_build_from_source", "better-sqlite3")];
    variables.extend(headers.as_deref().map(|at| ("npm_config_nodedir", at)));
    packages_of_node("benches", &variables)
}

/// Where Node was installed with its headers; without them npm fetches them from Node's site.
fn folder_of_node_headers() -> Option<String> {
    let node = answers("node", &["--print", "process.execPath"])?;
    let folder = Path::new(&node).parent()?.parent()?;
    let headers = folder.join("include/node/node_version.h");
    headers
        .exists()
        .then(|| folder.to_string_lossy().into_owned())
}

fn answers(name: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(name).args(arguments).output().ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn node() -> Outcome {
    let version =
        answers("node", &["--version"]).ok_or("Node 20 or newer is needed: nodejs.org")?;
    let major = version
        .trim_start_matches('v')
        .split('.')
        .next()
        .and_then(|n| n.parse::<u32>().ok());
    match major {
        Some(major) if major >= 20 => Ok(()),
        _ => Err(format!(
            "Node 20 or newer is needed; `node --version` says {version}"
        )),
    }
}

fn is_root_on_debian() -> bool {
    answers("id", &["-u"]).as_deref() == Some("0") && Path::new("/etc/debian_version").exists()
}

/// The programs of a PostgreSQL server; the tests make clusters of their own with them.
pub(crate) fn postgres() -> Outcome {
    let below_debian = std::fs::read_dir("/usr/lib/postgresql").is_ok_and(|mut versions| {
        versions
            .any(|version| version.is_ok_and(|version| version.path().join("bin/initdb").is_file()))
    });
    if below_debian || answers("initdb", &["--version"]).is_some() {
        return Ok(());
    }
    if !is_root_on_debian() {
        let how = "PostgreSQL 14 or newer is needed (`initdb`, `postgres`): \
                   `sudo apt-get install postgresql`";
        return Err(how.to_owned());
    }
    // The package would start a cluster for everybody, which nobody here needs.
    let failed = |failure: std::io::Error| format!("/etc/postgresql-common: {failure}");
    std::fs::create_dir_all("/etc/postgresql-common").map_err(failed)?;
    let choice = Path::new("/etc/postgresql-common/createcluster.conf");
    if !choice.exists() {
        std::fs::write(choice, "create_main_cluster = false\n").map_err(failed)?;
    }
    install("postgresql")
}

fn install(package: &str) -> Outcome {
    program("", "apt-get", &["update", "-qq"])?;
    // The choice that was made above is no reason to ask.
    let keep = "Dpkg::Options::=--force-confold";
    let arguments = [
        "install",
        "-y",
        "-qq",
        "--no-install-recommends",
        "-o",
        keep,
        package,
    ];
    program("", "apt-get", &arguments)
}

fn chromium() -> Outcome {
    if Path::new("/usr/bin/chromium").exists() {
        return Ok(());
    }
    if !is_root_on_debian() {
        return Err("/usr/bin/chromium is missing: `sudo apt-get install chromium`".to_owned());
    }
    install("chromium")
}

/// `npm ci`, unless the lock file is the one that was installed last.
fn packages_of_node(folder: &str, variables: &[(&str, &str)]) -> Outcome {
    let folder_path = root().join(folder);
    let lock = std::fs::read(folder_path.join("package-lock.json"))
        .map_err(|failure| format!("{folder}/package-lock.json: {failure}"))?;
    let stamp = folder_path.join("node_modules/.installed-lock");
    if std::fs::read(&stamp).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    let arguments = ["ci", "--no-audit", "--no-fund"];
    program_with(folder, "npm", &arguments, variables)?;
    std::fs::write(stamp, lock).map_err(|failure| failure.to_string())
}

/// A virtual environment with the pinned packages, below `target`.
fn python() -> Outcome {
    let version = answers("python3", &["--version"]).ok_or("Python 3.11 or newer is needed")?;
    let minor = version
        .split('.')
        .nth(1)
        .and_then(|n| n.parse::<u32>().ok())
        .unwrap_or(0);
    if minor < 11 {
        return Err(format!(
            "Python 3.11 or newer is needed; `python3 --version` says {version}"
        ));
    }
    let wanted = std::fs::read(root().join("conformance/py/requirements.txt"))
        .map_err(|failure| format!("conformance/py/requirements.txt: {failure}"))?;
    let environment = target().join("conformance-venv");
    let stamp = environment.join(".installed-requirements");
    if std::fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    let place = environment.to_string_lossy().into_owned();
    program("", "python3", &["-m", "venv", &place])?;
    let pip = environment.join("bin/pip").to_string_lossy().into_owned();
    program(
        "",
        &pip,
        &[
            "install",
            "--quiet",
            "-r",
            "conformance/py/requirements.txt",
        ],
    )?;
    std::fs::write(stamp, wanted).map_err(|failure| failure.to_string())
}

/// `cargo fuzz` is a tool of its own.
pub(crate) fn ensure_cargo_fuzz() -> Outcome {
    if answers("cargo", &["fuzz", "--version"]).is_some() {
        return Ok(());
    }
    let install = "install --quiet --locked cargo-fuzz --version 0.13.2";
    let arguments: Vec<&str> = install.split(' ').collect();
    program("", "cargo", &arguments)
}
