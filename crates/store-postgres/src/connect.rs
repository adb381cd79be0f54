//! Where the database is, how to get there, and why that failed, in words for whoever set it up.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use tokio_postgres::{
    Client, Config,
    config::{Host, SslMode},
    error::SqlState,
};
use vestibule_store::{Result, StoreError};

use crate::{
    pool::SESSION,
    rows,
    tls::{Tls, Trust},
};

/// The oldest server that is tried.
const OLDEST: i32 = 14;
/// A connection over which nothing comes back is gone after so long (a cut cable, a stopped host).
const UNANSWERED: Duration = Duration::from_secs(10);
const KEEPALIVE: Duration = Duration::from_secs(15);

/// A URL that names no database. The text has no password.
#[derive(Debug, thiserror::Error)]
pub enum UrlError {
    /// Not a URL of PostgreSQL, or a part of it is wrong.
    #[error("the database's URL cannot be read: {0}")]
    Unreadable(String),
    /// Unknown `sslmode`.
    #[error("sslmode is `disable`, `prefer`, `require` or `verify-full`, not `{0}`")]
    SslMode(String),
    /// No host.
    #[error("the database's URL names no host: postgres://user@host/database, or ?host=/folder")]
    NoHost,
}

/// Whether and how TLS is used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Mode {
    Disable,
    Prefer,
    Require,
    VerifyFull,
}

impl Mode {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "disable" => Self::Disable,
            "prefer" => Self::Prefer,
            "require" => Self::Require,
            "verify-full" => Self::VerifyFull,
            _ => return None,
        })
    }
}

/// `postgres://user:password@host:port/database?…`, checked. Printing it shows no password.
///
/// Beside libpq's own parameters (`host` for a folder of a Unix socket, `application_name`,
/// `options`, `target_session_attrs`, …) two are read here:
///
/// - `sslmode`: `disable`, `prefer`, `require` (encrypted, anybody may answer) or `verify-full`
///   (the certificate is the host's). Without it: `disable` for a Unix socket and a loopback
///   address, `verify-full` for everything else.
/// - `sslrootcert`: a file of trust anchors (PEM) in place of the system's; `verify-full` only.
#[derive(Clone)]
pub struct PostgresUrl {
    config: Config,
    mode: Mode,
    anchors: Option<PathBuf>,
}

impl PostgresUrl {
    /// Read a URL.
    pub fn parse(url: &str) -> Result<Self, UrlError> {
        let unreadable = |why: &str| UrlError::Unreadable(why.to_owned());
        if !(url.starts_with("postgres://") || url.starts_with("postgresql://")) {
            return Err(unreadable("it begins with `postgres://`"));
        }
        let (place, query) = url.split_once('?').unwrap_or((url, ""));
        let mut mode = None;
        let mut anchors = None;
        let mut others = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("sslmode", value)) => {
                    let read = Mode::parse(value);
                    mode = Some(read.ok_or_else(|| UrlError::SslMode(value.to_owned()))?);
                }
                Some(("sslrootcert", value)) => {
                    let path = decode(value).ok_or_else(|| unreadable("sslrootcert"))?;
                    anchors = Some(PathBuf::from(path));
                }
                _ => others.push(pair),
            }
        }
        let rest = format!("{place}?{}", others.join("&"));
        let mut config = Config::from_str(&rest)
            .map_err(|failure| UrlError::Unreadable(rows::chain(&failure)))?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(UrlError::NoHost);
        }
        let mode = mode.unwrap_or(if is_here(&config) {
            Mode::Disable
        } else {
            Mode::VerifyFull
        });
        if anchors.is_some() && mode != Mode::VerifyFull {
            return Err(unreadable("sslrootcert goes with sslmode=verify-full"));
        }
        config.ssl_mode(match mode {
            Mode::Disable => SslMode::Disable,
            Mode::Prefer => SslMode::Prefer,
            Mode::Require | Mode::VerifyFull => SslMode::Require,
        });
        let options = match config.get_options() {
            None => SESSION.to_owned(),
            Some(theirs) => format!("{SESSION} {theirs}"),
        };
        config
            .options(options)
            .tcp_user_timeout(UNANSWERED)
            .keepalives_idle(KEEPALIVE)
            .keepalives_interval(Duration::from_secs(5))
            .keepalives_retries(2);
        if config.get_application_name().is_none() {
            config.application_name("vestibule");
        }
        Ok(Self {
            config,
            mode,
            anchors,
        })
    }

    pub(crate) fn tls(&self) -> Result<Tls> {
        let trust = match self.mode {
            Mode::VerifyFull => Trust::Anchored,
            Mode::Disable | Mode::Prefer | Mode::Require => Trust::Anybody,
        };
        Tls::new(trust, self.anchors.as_deref())
    }

    pub(crate) fn config(&self, connect: Duration) -> Config {
        let mut config = self.config.clone();
        config.connect_timeout(connect);
        config
    }

    fn user(&self) -> &str {
        self.config.get_user().unwrap_or("?")
    }

    fn database(&self) -> &str {
        self.config.get_dbname().unwrap_or_else(|| self.user())
    }
}

/// Without the password, as for a log.
impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "postgres://{}@", self.user())?;
        for (n, host) in self.config.get_hosts().iter().enumerate() {
            if n > 0 {
                f.write_str(",")?;
            }
            match host {
                Host::Tcp(name) if name.contains(':') => write!(f, "[{name}]")?,
                Host::Tcp(name) => f.write_str(name)?,
                #[cfg(unix)]
                Host::Unix(folder) => f.write_str(&folder.to_string_lossy())?,
            }
            let ports = self.config.get_ports();
            if let Some(port) = ports.get(n).or_else(|| ports.first()) {
                write!(f, ":{port}")?;
            }
        }
        write!(f, "/{}", self.database())
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresUrl({self})")
    }
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next()?, rest.next()?];
        let digits = std::str::from_utf8(&digits).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
    }
    String::from_utf8(bytes).ok()
}

/// Does nothing leave this machine?
fn is_here(config: &Config) -> bool {
    let named = config.get_hosts().iter().all(|host| match host {
        Host::Tcp(name) => {
            name == "localhost"
                || name
                    .parse::<std::net::IpAddr>()
                    .is_ok_and(|address| address.is_loopback())
        }
        #[cfg(unix)]
        Host::Unix(_) => true,
    });
    let addresses = config.get_hostaddrs();
    named && addresses.iter().all(std::net::IpAddr::is_loopback)
}

/// A first connection, beside the pool: says in plain words what is wrong with the database.
pub(crate) async fn first(url: &PostgresUrl, tls: Tls, connect: Duration) -> Result<Client> {
    let config = url.config(connect);
    // Name look-up, handshake and sign-in take their time too.
    let connected = tokio::time::timeout(connect * 2, config.connect(tls)).await;
    let (client, connection) = connected
        .map_err(|_| StoreError::Failed(format!("{url} does not answer")))?
        .map_err(|failure| StoreError::Failed(explain(url, &failure)))?;
    tokio::spawn(async move {
        if let Err(failure) = connection.await {
            tracing::debug!(%failure, "the first connection to the database ended");
        }
    });
    check_server(url, &client).await?;
    Ok(client)
}

fn explain(url: &PostgresUrl, failure: &tokio_postgres::Error) -> String {
    let (user, database) = (url.user(), url.database());
    let Some(code) = failure.code() else {
        return format!("{url} cannot be reached: {}", rows::chain(failure));
    };
    if *code == SqlState::INVALID_PASSWORD {
        return format!("{url} refuses the password of `{user}`");
    }
    if *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION {
        let said = failure.as_db_error().map_or("", |error| error.message());
        return format!("{url} does not let `{user}` in: {said}");
    }
    if *code == SqlState::INVALID_CATALOG_NAME {
        return format!("{url}: there is no database `{database}`; `createdb {database}` makes it");
    }
    let said = failure.as_db_error().map_or("", |error| error.message());
    format!("{url} refuses connections: {said} ({})", code.code())
}

async fn check_server(url: &PostgresUrl, client: &Client) -> Result<()> {
    let asked = client
        .query_one(
            "SELECT current_setting('server_version_num')::integer, \
             current_setting('server_encoding'), pg_is_in_recovery()",
            &[],
        )
        .await;
    let row = asked.map_err(|failure| StoreError::from(rows::Failure::Sql(failure)))?;
    let read = |failure| StoreError::from(rows::Failure::Sql(failure));
    let version: i32 = row.try_get(0).map_err(read)?;
    let encoding: String = row.try_get(1).map_err(read)?;
    let standby: bool = row.try_get(2).map_err(read)?;
    usable(url, version, &encoding, standby).map_err(StoreError::Failed)
}

/// Why a server cannot be used, if it cannot.
fn usable(url: &PostgresUrl, version: i32, encoding: &str, standby: bool) -> Result<(), String> {
    let major = version / 10_000;
    if major < OLDEST {
        return Err(format!(
            "{url} is PostgreSQL {major}; version {OLDEST} or newer is needed"
        ));
    }
    if encoding != "UTF8" {
        let database = url.database();
        return Err(format!(
            "{url} has the encoding {encoding}; UTF8 is needed: \
             `createdb --encoding=UTF8 --template=template0 {database}`"
        ));
    }
    if standby {
        return Err(format!(
            "{url} is a standby and takes no writes; with several hosts in the URL, \
             target_session_attrs=read-write finds the one that does"
        ));
    }
    Ok(())
}

/// The file that `sslrootcert` names.
impl PostgresUrl {
    /// Where trust anchors are read from, if not from the system.
    pub fn anchors(&self) -> Option<&Path> {
        self.anchors.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_where_and_how() {
        #[rustfmt::skip]
        let cases = [
            ("postgres://hub@localhost/db",                  "localhost:5432/db",                 Mode::Disable),
            ("postgres://hub@[::1]:5433/db",                 "[::1]:5433/db",                     Mode::Disable),
            ("postgresql://hub:s3cret@db.example:5433/db",   "db.example:5433/db",                Mode::VerifyFull),
            ("postgres://hub@db.example/db?sslmode=require", "db.example:5432/db",                Mode::Require),
            ("postgres://hub@db.example/db?sslmode=disable", "db.example:5432/db",                Mode::Disable),
            ("postgres://hub@127.0.0.1/db?sslmode=prefer",   "127.0.0.1:5432/db",                 Mode::Prefer),
            ("postgres://hub@/db?host=/run/postgresql",      "/run/postgresql/db",                Mode::Disable),
            ("postgres://hub@a.example:1,b.example:2/db",    "a.example:1,b.example:2/db",        Mode::VerifyFull),
            ("postgres://hub@localhost,b.example/db",        "localhost:5432,b.example:5432/db",  Mode::VerifyFull),
        ];
        for (url, shown, mode) in cases {
            let parsed = PostgresUrl::parse(url).unwrap();
            assert_eq!(parsed.to_string(), format!("postgres://hub@{shown}"));
            assert_eq!(parsed.mode, mode, "{url}");
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        let url = "postgres://hub:s3cret%21@db.example/db?sslrootcert=%2Fetc%2Fca.pem";
        let parsed = PostgresUrl::parse(url).unwrap();
        assert_eq!(parsed.anchors(), Some(Path::new("/etc/ca.pem")));
        for shown in [
            parsed.to_string(),
            format!("{parsed:?}"),
            format!("{:?}", parsed.config),
        ] {
            assert!(!shown.contains("s3cret"), "{shown}");
        }
    }

    #[test]
    fn what_is_no_url_is_refused_without_being_repeated() {
        let cases = [
            "mysql://hub:s3cret@db/x",
            "postgres:///db",
            "postgres://hub:s3cret@db/x?sslmode=verify-ca",
            "postgres://hub:s3cret@db/x?sslmode=require&sslrootcert=ca.pem",
            "postgres://hub:s3cret@db:port/x",
            "postgres://hub:s3cret@db/x?no_such=1",
            "postgres://hub:s3cret@db/x?sslrootcert=%zz",
        ];
        for url in cases {
            let refused = PostgresUrl::parse(url).unwrap_err();
            let shown = format!("{refused} {refused:?}");
            assert!(!shown.contains("s3cret"), "{shown}");
        }
    }

    #[test]
    fn an_old_or_odd_server_is_refused() {
        let url = PostgresUrl::parse("postgres://hub@localhost/db").unwrap();
        assert_eq!(usable(&url, 140_001, "UTF8", false), Ok(()));
        #[rustfmt::skip]
        let cases = [
            (130_014, "UTF8",      false, "PostgreSQL 13"),
            (150_000, "SQL_ASCII", false, "SQL_ASCII"),
            (150_000, "UTF8",      true,  "standby"),
        ];
        for (version, encoding, standby, says) in cases {
            let why = usable(&url, version, encoding, standby).unwrap_err();
            assert!(why.contains(says), "{why}");
        }
    }
}
