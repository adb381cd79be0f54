//! Puts the parts together: the only file that names concrete types.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use vestibule_cimd::{Resolver, ResolverSettings};
use vestibule_engine::{
    Clock, Engine, EngineConfig, EngineParts, Entropy, FetchDomains, HttpScoreHook, Scores,
    SignalFiles, StartError, WeakHookSecret,
};
use vestibule_fetch::{FetchSettings, FetchSetupError, Fetcher};
use vestibule_protocol::time::Timestamp;
use vestibule_seal::wrap::MasterKey;
use vestibule_store::StoreError;
use vestibule_store_sqlite::{SqliteOptions, SqliteStore};

use crate::config::{Checked, HookSettings};

/// A second redemption of a code within this time is a client's retry (AC-06).
const CODE_REPLAY_GRACE: Duration = Duration::from_secs(5);

/// The hub could not be put together.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WiringError {
    #[error("the database {path} cannot be used", path = .path.display())]
    Database {
        path: PathBuf,
        #[source]
        source: StoreError,
    },
    #[error("the outbound connection guard could not be set up")]
    Fetch(#[from] FetchSetupError),
    #[error("{what} {path} cannot be used", path = .path.display())]
    File {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{path} holds no master key: 64 hexadecimal digits are expected", path = .0.display())]
    MasterKey(PathBuf),
    #[error(transparent)]
    Hook(#[from] WeakHookSecret),
    #[error("the files of signals cannot be used:\n  - {}", .0.join("\n  - "))]
    Signals(Vec<String>),
    #[error("the hub could not start")]
    Start(#[from] StartError),
}

/// The machine's clock.
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(unix_seconds())
    }
}

/// The time by the machine's clock.
pub(crate) fn now() -> Timestamp {
    SystemClock.now()
}

fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// The machine's randomness.
pub(crate) struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, buffer: &mut [u8]) {
        vestibule_seal::random(buffer);
    }
}

/// A running hub, without its listener.
pub(crate) struct Hub {
    pub(crate) engine: Arc<Engine>,
    pub(crate) store: Arc<SqliteStore>,
}

/// Take the configured issuer over for the data folder, whatever it was before (MCP-07). Returns
/// the old one if it was another.
pub(crate) async fn accept_issuer(config: &Checked) -> Result<Option<String>, WiringError> {
    make_folder(&config.data_dir)?;
    let store = open_database(config)?;
    let replaced = vestibule_engine::accept_issuer(&store, &config.issuer, SystemClock.now()).await;
    store.close().await;
    replaced.map_err(|source| database_error(config, source))
}

/// The issuer that the data folder belongs to, if there is one yet; changes nothing.
pub(crate) fn kept_issuer(config: &Checked) -> Result<Option<String>, WiringError> {
    vestibule_store_sqlite::peek_issuer(&config.database)
        .map_err(|source| database_error(config, source))
}

fn open_database(config: &Checked) -> Result<SqliteStore, WiringError> {
    SqliteStore::open(&config.database, SqliteOptions::default())
        .map_err(|source| database_error(config, source))
}

fn database_error(config: &Checked, source: StoreError) -> WiringError {
    WiringError::Database {
        path: config.database.clone(),
        source,
    }
}

/// Open the data folder and put a hub together that an admin asks and tells: it judges nobody's
/// request, so it reads no files of signals and asks nobody for a score. Makes what is missing.
pub(crate) async fn assemble(config: &Checked) -> Result<Hub, WiringError> {
    put_together(config, SignalFiles::default(), false).await
}

/// The same with everything that requests are judged by.
pub(crate) async fn assemble_to_decide(config: &Checked) -> Result<Hub, WiringError> {
    let signals = config.signals.read().map_err(WiringError::Signals)?;
    put_together(config, signals, true).await
}

async fn put_together(
    config: &Checked,
    signals: SignalFiles,
    judges: bool,
) -> Result<Hub, WiringError> {
    make_folder(&config.data_dir)?;
    let master_key = master_key(&config.master_key_file)?;
    let store = Arc::new(open_database(config)?);
    let fetcher = Arc::new(Fetcher::new(fetch_settings(config)?)?);
    let documents = Resolver::new(
        Arc::clone(&fetcher),
        ResolverSettings {
            redirect_policy: config.redirect_policy.clone(),
            limits_enabled: config.limits_enabled,
            ..ResolverSettings::default()
        },
        unix_seconds,
    );
    let scores = match &config.score_hook {
        Some(hook) if judges => Some(scores(hook, Arc::clone(&fetcher))?),
        _ => None,
    };
    let engine = Engine::start(EngineParts {
        store: store.clone(),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
        documents: Arc::new(documents),
        signals,
        scores,
        domains: Arc::new(FetchDomains(fetcher)),
        config: EngineConfig {
            issuer: config.issuer.clone(),
            resources: config.resources.clone(),
            master_key,
            redirect_policy: config.redirect_policy.clone(),
            loopback_origins: config.loopback_origins.clone(),
            origin_as_resource: config.origin_as_resource,
            access_token_algs: config.access_token_algs.clone(),
            first_dcr: config.dcr,
            first_cimd: config.cimd,
            limits_enabled: config.limits_enabled,
            code_replay_grace: CODE_REPLAY_GRACE,
        },
    })
    .await?;
    Ok(Hub { engine, store })
}

fn scores(hook: &HookSettings, fetcher: Arc<Fetcher>) -> Result<Scores, WiringError> {
    let HookSettings {
        url,
        secret,
        deadline,
    } = hook.clone();
    let clock = Arc::new(SystemClock);
    let hook = HttpScoreHook::new(fetcher, clock, url, secret, deadline)?;
    Ok(Scores::new(Arc::new(hook), deadline))
}

fn fetch_settings(config: &Checked) -> Result<FetchSettings, WiringError> {
    let mut extra_ca_pem = Vec::new();
    for path in &config.extra_ca_files {
        extra_ca_pem.push(fs::read(path).map_err(|source| WiringError::File {
            what: "the trust anchor file",
            path: path.clone(),
            source,
        })?);
    }
    let mut settings = FetchSettings {
        deadline: config.fetch_deadline,
        extra_ca_pem,
        loopback_origins: config.loopback_origins.clone(),
        user_agent: format!(
            "Vestibule/{} ({})",
            env!("CARGO_PKG_VERSION"),
            config.issuer.origin()
        ),
        ..FetchSettings::default()
    };
    settings
        .denied_addresses
        .extend(config.denied_addresses.iter().copied());
    Ok(settings)
}

fn make_folder(path: &Path) -> Result<(), WiringError> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|source| WiringError::File {
        what: "the data folder",
        path: path.to_owned(),
        source,
    })
}

/// Read the master key, or make one. `create_new` decides between two processes that start at
/// once; the loser reads the winner's.
fn master_key(path: &Path) -> Result<MasterKey, WiringError> {
    let failed = |source| WiringError::File {
        what: "the master key file",
        path: path.to_owned(),
        source,
    };
    match fs::read_to_string(path) {
        Ok(text) => parse_master_key(path, &text),
        Err(failure) if failure.kind() == io::ErrorKind::NotFound => {
            let mut bytes = [0; 32];
            vestibule_seal::random(&mut bytes);
            let text = hex(&bytes);
            let mut options = OpenOptions::new();
            options.write(true).create_new(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            match options.open(path) {
                Ok(mut file) => {
                    file.write_all(text.as_bytes()).map_err(failed)?;
                    file.sync_all().map_err(failed)?;
                    parse_master_key(path, &text)
                }
                Err(race) if race.kind() == io::ErrorKind::AlreadyExists => {
                    let text = fs::read_to_string(path).map_err(failed)?;
                    parse_master_key(path, &text)
                }
                Err(failure) => Err(failed(failure)),
            }
        }
        Err(failure) => Err(failed(failure)),
    }
}

fn parse_master_key(path: &Path, text: &str) -> Result<MasterKey, WiringError> {
    MasterKey::parse(text.trim()).map_err(|_| WiringError::MasterKey(path.to_owned()))
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// P12: no default secret; the key file is the owner's alone and stays what it was.
    #[test]
    fn the_master_key_is_made_once_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        master_key(&path).unwrap();
        let first = fs::read_to_string(&path).unwrap();
        master_key(&path).unwrap();
        assert_eq!(first, fs::read_to_string(&path).unwrap());
        assert_eq!(first.len(), 64);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(
                fs::metadata(&path).unwrap().permissions().mode() & 0o777,
                0o600
            );
        }
    }

    #[test]
    fn a_damaged_master_key_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        fs::write(&path, "not a key").unwrap();
        assert!(matches!(master_key(&path), Err(WiringError::MasterKey(_))));
    }
}
