//! Boot configuration: file, then environment, then command line. Read once; a change needs a
//! restart. What an admin changes live (doors, lists, limits) is *settings* and lives in the
//! database; `[doors]` here gives only the first values.
//!
//! `docs/configuration.md` is printed from [`reference::OPTIONS`], and a test compares it with the
//! structs below, so neither can drift.

pub(crate) mod check;
pub(crate) mod reference;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub(crate) use check::{Checked, ConfigError, HookSettings};

/// `vestibule.toml`, as written.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    pub(crate) issuer: String,
    pub(crate) listen: String,
    pub(crate) data_dir: Option<PathBuf>,
    pub(crate) master_key_file: Option<PathBuf>,
    pub(crate) http: Http,
    pub(crate) database: Database,
    pub(crate) doors: Doors,
    pub(crate) fetch: Fetch,
    pub(crate) limits: Limits,
    pub(crate) tokens: Tokens,
    pub(crate) quirks: Quirks,
    pub(crate) redirects: Redirects,
    pub(crate) log: Log,
    pub(crate) signals: Signals,
    pub(crate) catalogue: Catalogue,
    pub(crate) resources: Vec<Resource>,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Http {
    pub(crate) trusted_proxies: Vec<String>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Database {
    pub(crate) url: String,
    pub(crate) url_file: Option<PathBuf>,
    pub(crate) connections: usize,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Doors {
    pub(crate) dcr: String,
    pub(crate) cimd: String,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Fetch {
    pub(crate) extra_ca_files: Vec<PathBuf>,
    pub(crate) loopback_origins: Vec<String>,
    pub(crate) denied_addresses: Vec<String>,
    pub(crate) deadline_seconds: u64,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Limits {
    pub(crate) enabled: bool,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Tokens {
    pub(crate) access_token_alg: String,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Quirks {
    pub(crate) origin_as_resource: bool,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Redirects {
    pub(crate) private_schemes: Option<Vec<String>>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Log {
    pub(crate) format: String,
    pub(crate) filter: String,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Signals {
    pub(crate) listed_files: Vec<PathBuf>,
    pub(crate) reputation_files: Vec<PathBuf>,
    pub(crate) country_file: Option<PathBuf>,
    pub(crate) asn_file: Option<PathBuf>,
    pub(crate) score_hook: ScoreHook,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ScoreHook {
    pub(crate) url: Option<String>,
    pub(crate) secret_file: Option<PathBuf>,
    pub(crate) deadline_ms: u64,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Catalogue {
    pub(crate) trusted_keys: Vec<String>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Resource {
    pub(crate) uri: String,
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) default: bool,
    pub(crate) access_token_alg: Option<String>,
    #[serde(default)]
    pub(crate) scopes: Vec<Scope>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scope {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) access: String,
    #[serde(default)]
    pub(crate) default: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            issuer: "http://127.0.0.1:9400".to_owned(),
            listen: "127.0.0.1:9400".to_owned(),
            data_dir: None,
            master_key_file: None,
            http: Http::default(),
            database: Database::default(),
            doors: Doors::default(),
            fetch: Fetch::default(),
            limits: Limits::default(),
            tokens: Tokens::default(),
            quirks: Quirks::default(),
            redirects: Redirects::default(),
            log: Log::default(),
            signals: Signals::default(),
            catalogue: Catalogue::default(),
            resources: Vec::new(),
        }
    }
}

impl Default for Database {
    fn default() -> Self {
        Self {
            url: "sqlite:vestibule.db".to_owned(),
            url_file: None,
            connections: 16,
        }
    }
}

impl Default for Doors {
    fn default() -> Self {
        Self {
            dcr: "open".to_owned(),
            cimd: "open".to_owned(),
        }
    }
}

impl Default for Fetch {
    fn default() -> Self {
        Self {
            extra_ca_files: Vec::new(),
            loopback_origins: Vec::new(),
            denied_addresses: Vec::new(),
            deadline_seconds: 5,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { enabled: true }
    }
}

impl Default for Tokens {
    fn default() -> Self {
        Self {
            access_token_alg: "ES256".to_owned(),
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            format: "human".to_owned(),
            filter: "info".to_owned(),
        }
    }
}

impl Default for ScoreHook {
    fn default() -> Self {
        Self {
            url: None,
            secret_file: None,
            deadline_ms: 300,
        }
    }
}

/// Where the configuration came from.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    pub(crate) config: Config,
    /// Relative paths of the file are relative to its folder.
    pub(crate) base: PathBuf,
    pub(crate) file: Option<PathBuf>,
}

/// Read the file (or `vestibule.toml` here, if there is one), then lay the environment over it.
pub(crate) fn load(
    file: Option<&Path>,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<Loaded, ConfigError> {
    let default_file = Path::new("vestibule.toml");
    let file = file.or_else(|| default_file.exists().then_some(default_file));
    let mut table = toml::Table::new();
    if let Some(path) = file {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        // Parsed as a whole first: this error knows line and column.
        toml::from_str::<Config>(&text).map_err(|source| ConfigError::Syntax {
            path: path.to_owned(),
            source,
        })?;
        table = text.parse().map_err(|source| ConfigError::Syntax {
            path: path.to_owned(),
            source,
        })?;
    }
    for (name, value) in environment {
        overlay(&mut table, &name, &value)?;
    }
    let config = table.try_into().map_err(ConfigError::Environment)?;
    let base = file
        .and_then(Path::parent)
        .map(Path::to_owned)
        .unwrap_or_default();
    Ok(Loaded {
        config,
        base,
        file: file.map(Path::to_owned),
    })
}

/// Names of the environment that are not configuration.
const NOT_CONFIGURATION: [&str; 2] = ["VESTIBULE_BIN", "VESTIBULE_CONFIG"];

/// `VESTIBULE_HTTP__TRUSTED_PROXIES='["10.0.0.0/8"]'` sets `http.trusted_proxies`. A value that is
/// not TOML is a string, so that `VESTIBULE_ISSUER=https://…` needs no quotes.
fn overlay(table: &mut toml::Table, name: &str, value: &str) -> Result<(), ConfigError> {
    let Some(key) = name.strip_prefix("VESTIBULE_") else {
        return Ok(());
    };
    if NOT_CONFIGURATION.contains(&name) {
        return Ok(());
    }
    let key = key.to_ascii_lowercase();
    let mut path: Vec<&str> = key.split("__").collect();
    let Some(last) = path.pop() else {
        return Ok(());
    };
    if !reference::is_known(&key.replace("__", ".")) {
        return Err(ConfigError::UnknownVariable(name.to_owned()));
    }
    let mut here = table;
    for part in path {
        let next = here
            .entry(part.to_owned())
            .or_insert_with(|| toml::Value::Table(toml::Table::new()));
        let toml::Value::Table(next) = next else {
            return Err(ConfigError::UnknownVariable(name.to_owned()));
        };
        here = next;
    }
    let parsed = format!("value = {value}")
        .parse::<toml::Table>()
        .ok()
        .and_then(|mut table| table.remove("value"));
    here.insert(last.to_owned(), parsed.unwrap_or_else(|| value.into()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_environment(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let pairs = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        load(Some(Path::new("/dev/null")), pairs).map(|loaded| loaded.config)
    }

    #[test]
    fn the_environment_lies_over_the_file() {
        let config = with_environment(&[
            ("VESTIBULE_ISSUER", "https://hub.example"),
            ("VESTIBULE_HTTP__TRUSTED_PROXIES", r#"["10.0.0.0/8"]"#),
            ("VESTIBULE_LIMITS__ENABLED", "false"),
            ("VESTIBULE_DOORS__DCR", "token"),
            ("HOME", "ignored"),
        ])
        .unwrap();
        assert_eq!(config.issuer, "https://hub.example");
        assert_eq!(config.http.trusted_proxies, ["10.0.0.0/8"]);
        assert!(!config.limits.enabled);
        assert_eq!(config.doors.dcr, "token");
    }

    #[test]
    fn a_misspelt_variable_is_an_error_that_names_it() {
        let failure = with_environment(&[("VESTIBULE_ISUER", "https://hub.example")]).unwrap_err();
        assert!(failure.to_string().contains("VESTIBULE_ISUER"), "{failure}");
    }

    #[test]
    fn a_misspelt_key_is_an_error_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vestibule.toml");
        std::fs::write(&path, "issuer = \"https://hub.example\"\nlisen = \"x\"\n").unwrap();
        let failure = load(Some(&path), std::iter::empty()).unwrap_err();
        let text = format!("{failure} {}", std::error::Error::source(&failure).unwrap());
        assert!(text.contains("line 2") && text.contains("lisen"), "{text}");
    }
}
