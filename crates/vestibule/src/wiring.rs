//! Puts the parts together: the only file that names concrete types.

use std::{
    fmt,
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
use vestibule_store::{Store, StoreError, moving::Table};
use vestibule_store_postgres::{Arriving, PostgresOptions, PostgresStore, PostgresUrl};
use vestibule_store_sqlite::{Leaving, SqliteOptions, SqliteStore};

use crate::config::{Checked, HookSettings};

/// A second redemption of a code within this time is a client's retry (AC-06).
const CODE_REPLAY_GRACE: Duration = Duration::from_secs(5);

/// The hub could not be put together.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WiringError {
    #[error("the database {place} cannot be used")]
    Database {
        place: String,
        #[source]
        source: StoreError,
    },
    #[error("{0} is open in another process: stop the hub (and its commands) first")]
    Open(Place),
    #[error("the data is in {0} already; only SQLite can be left")]
    NotSqlite(Place),
    #[error("data is moved to a URL that begins with `postgres://`")]
    NotPostgres,
    #[error("the new database cannot be used")]
    Destination(#[source] StoreError),
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

/// Where the data is.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// In a PostgreSQL database, with so many connections of this node at most.
    Postgres {
        url: Box<PostgresUrl>,
        connections: usize,
    },
    /// In this file.
    Sqlite(PathBuf),
}

impl Place {
    /// From a URL; a file is relative to the data folder.
    pub(crate) fn parse(url: &str, data_dir: &Path, connections: usize) -> Result<Self, String> {
        if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            let url = PostgresUrl::parse(url).map_err(|failure| failure.to_string())?;
            return Ok(Self::Postgres {
                url: Box::new(url),
                connections,
            });
        }
        match url.strip_prefix("sqlite:") {
            Some(path) if !path.is_empty() => Ok(Self::Sqlite(data_dir.join(path))),
            // Not repeated: there may be a password in it.
            _ => {
                Err("`sqlite:` and a path, or `postgres://user:password@host/database`".to_owned())
            }
        }
    }

    async fn open(&self) -> Result<Arc<dyn Store>, StoreError> {
        Ok(match self {
            Self::Postgres { url, connections } => {
                let options = PostgresOptions {
                    connections: *connections,
                    ..PostgresOptions::default()
                };
                Arc::new(PostgresStore::open(url, options).await?)
            }
            Self::Sqlite(path) => Arc::new(SqliteStore::open(path, SqliteOptions::default())?),
        })
    }
}

/// Without a password.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Postgres { url, .. } => url.fmt(f),
            Self::Sqlite(path) => path.display().fmt(f),
        }
    }
}

/// A running hub, without its listener.
pub(crate) struct Hub {
    pub(crate) engine: Arc<Engine>,
    pub(crate) store: Arc<dyn Store>,
}

/// Take the configured issuer over for the data folder, whatever it was before (MCP-07). Returns
/// the old one if it was another.
pub(crate) async fn accept_issuer(config: &Checked) -> Result<Option<String>, WiringError> {
    make_folder(&config.data_dir)?;
    let store = open_database(config).await?;
    let replaced =
        vestibule_engine::accept_issuer(&*store, &config.issuer, SystemClock.now()).await;
    store.close().await;
    replaced.map_err(|source| database_error(config, source))
}

/// The issuer that the data folder belongs to, if there is one yet; changes nothing.
pub(crate) async fn kept_issuer(config: &Checked) -> Result<Option<String>, WiringError> {
    let kept = match &config.database {
        Place::Postgres { url, .. } => vestibule_store_postgres::peek_issuer(url).await,
        Place::Sqlite(path) => vestibule_store_sqlite::peek_issuer(path),
    };
    kept.map_err(|source| database_error(config, source))
}

async fn open_database(config: &Checked) -> Result<Arc<dyn Store>, WiringError> {
    let opened = config.database.open().await;
    opened.map_err(|source| database_error(config, source))
}

/// Copy all data of a hub that is not running to an empty PostgreSQL database, and tell of each
/// table. Returns the number of rows; they all arrived, or none is there.
pub(crate) async fn move_data(
    config: &Checked,
    to: &Place,
    mut told: impl FnMut(&Table),
) -> Result<u64, WiringError> {
    let Place::Sqlite(path) = &config.database else {
        return Err(WiringError::NotSqlite(config.database.clone()));
    };
    let Place::Postgres { url, .. } = to else {
        return Err(WiringError::NotPostgres);
    };
    let leaving = Leaving::open(path).map_err(|failure| match failure {
        StoreError::Busy => WiringError::Open(config.database.clone()),
        source => database_error(config, source),
    })?;
    let mut arriving = Arriving::begin(url)
        .await
        .map_err(WiringError::Destination)?;
    let tables = leaving.tables().to_vec();
    arriving.fits(&tables).map_err(WiringError::Destination)?;
    let (give, mut take) = tokio::sync::mpsc::channel(4);
    let read = tokio::task::spawn_blocking({
        let tables = tables.clone();
        move || -> Result<Leaving, StoreError> {
            for (n, table) in tables.iter().enumerate() {
                leaving.rows(table, |batch| {
                    let given = give.blocking_send((n, batch));
                    // Whoever takes has failed, and says why.
                    given.map_err(|_| StoreError::Failed("the move was given up".to_owned()))
                })?;
            }
            Ok(leaving)
        }
    });
    let mut at = 0;
    while let Some((n, batch)) = take.recv().await {
        tables.get(at..n).into_iter().flatten().for_each(&mut told);
        at = n;
        if let Some(table) = tables.get(n) {
            let put = arriving.put(table, &batch).await;
            put.map_err(WiringError::Destination)?;
        }
    }
    // Nobody opens the file before all of it has arrived.
    let leaving = read
        .await
        .unwrap_or_else(|failure| Err(StoreError::Failed(failure.to_string())))
        .map_err(|source| database_error(config, source))?;
    tables.get(at..).into_iter().flatten().for_each(told);
    let moved = arriving.finish(&tables).await;
    drop(leaving);
    moved.map_err(WiringError::Destination)
}

fn database_error(config: &Checked, source: StoreError) -> WiringError {
    WiringError::Database {
        place: config.database.to_string(),
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
    let store = open_database(config).await?;
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
