//! For tests: a PostgreSQL cluster of their own, in a temporary folder, and an empty database for
//! each test.
//!
//! It needs the programs `initdb` and `postgres` (Debian's package `postgresql`; `cargo xtask
//! setup` installs it where it may). Without them a test fails and says so; none is skipped.
//!
//! A shell is between the tests and the server: it waits on a pipe that ends with the tests,
//! however they end, then stops the server and removes the folder.

use std::{
    fmt::Write as _,
    fs, io,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::OnceCell;
use tokio_postgres::{Client, NoTls};
use vestibule_store::Store as _;

use crate::{PostgresOptions, PostgresStore, PostgresUrl};

/// A folder with the socket of a server that is there already, so that the tests of several
/// processes share one.
pub const SHARED: &str = "VESTIBULE_TEST_POSTGRES";

/// How to get what is missing.
const MISSING: &str = "these tests need PostgreSQL 14 or newer (`initdb` and `postgres`, in PATH or \
     below /usr/lib/postgresql): on Debian `apt-get install postgresql`, or `cargo xtask setup`";

/// A socket has a port in its name. Nobody else is in the folder.
const PORT: u16 = 5432;

/// How long a server may take to start.
const START: Duration = Duration::from_mins(1);

/// Stops the server when its standard input ends, and leaves nothing behind.
const KEEPER: &str = r#"
"$1/postgres" -D "$2/data" >"$2/log" 2>&1 </dev/null &
server=$!
cat >/dev/null
kill -QUIT "$server"
wait "$server"
[ -e "$2/keep" ] || rm -rf "$2"
"#;

/// What a cluster has beside a Unix socket.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// Listen on a free port of 127.0.0.1 too; there passwords are asked for.
    pub tcp: bool,
    /// Certificate and key (PEM) for TLS; then the port answers no other way.
    pub tls: Option<(String, String)>,
    /// Lines of `postgresql.conf`.
    pub lines: Vec<String>,
}

/// A cluster that ends with this value, or with the process.
#[derive(Debug)]
pub struct Cluster {
    programs: PathBuf,
    folder: PathBuf,
    port: u16,
    keeper: Option<Child>,
    template: OnceCell<String>,
}

/// An empty database of today's schema, dropped with this value.
#[derive(Debug)]
pub struct Database {
    url: String,
    name: String,
    admin: String,
}

impl Database {
    /// Where it is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Run a statement as the superuser.
    ///
    /// # Panics
    /// If it fails.
    #[expect(clippy::expect_used, reason = "for tests")]
    pub async fn run(&self, statement: &str) {
        let client = connect(&self.url).await.expect("a connection");
        let ran = client.batch_execute(statement).await;
        ran.expect("the statement is right");
    }

    /// Run a statement in a transaction that stays open until the value is dropped.
    ///
    /// # Panics
    /// If it fails.
    #[expect(clippy::expect_used, reason = "for tests")]
    pub async fn hold(&self, statement: &str) -> Held {
        let client = connect(&self.url).await.expect("a connection");
        let held = client.batch_execute(&format!("BEGIN; {statement}")).await;
        held.expect("the statement is right");
        Held { _client: client }
    }

    /// Every byte of every row, as it was written.
    ///
    /// # Panics
    /// If it cannot be read.
    #[expect(clippy::expect_used, reason = "for tests")]
    pub async fn bytes(&self) -> Vec<u8> {
        use futures_util::TryStreamExt as _;
        let client = connect(&self.url).await.expect("a connection");
        let names = "SELECT relname::text FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace \
                     WHERE relkind = 'r' AND nspname = 'public' ORDER BY relname";
        let mut bytes = Vec::new();
        for row in client.query(names, &[]).await.expect("the tables") {
            let copy = format!("COPY {} TO STDOUT (FORMAT binary)", row.get::<_, String>(0));
            let stream = client.copy_out(copy.as_str()).await.expect("a table");
            let parts: Vec<_> = stream.try_collect().await.expect("its rows");
            bytes.extend(parts.concat());
        }
        bytes
    }

    /// Let nobody write any more; whoever is connected has to come again.
    ///
    /// # Panics
    /// If that fails.
    pub async fn make_read_only(&self) {
        let name = &self.name;
        self.run(&format!(
            "ALTER DATABASE {name} SET default_transaction_read_only = on"
        ))
        .await;
        self.run(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .await;
        // The other side takes notice.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    /// Open a store on it.
    ///
    /// # Panics
    /// If that fails.
    pub async fn open(&self) -> PostgresStore {
        open(&self.url).await
    }
}

/// A transaction of somebody else.
#[derive(Debug)]
pub struct Held {
    _client: Client,
}

impl Drop for Database {
    fn drop(&mut self) {
        let (admin, name) = (self.admin.clone(), self.name.clone());
        // A runtime may be running on this thread, so it is done on another.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(async {
                let client = connect(&admin).await.map_err(io::Error::other)?;
                let statement = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
                client
                    .batch_execute(&statement)
                    .await
                    .map_err(io::Error::other)
            })
        });
        // It goes with its cluster at the latest.
        let _ = dropped.join();
    }
}

#[expect(clippy::expect_used, reason = "for tests")]
async fn open(url: &str) -> PostgresStore {
    let url = PostgresUrl::parse(url).expect("a URL of the cluster");
    let options = PostgresOptions {
        // A busy machine is not what these tests are about.
        wait: Duration::from_mins(1),
        connect: Duration::from_secs(20),
        connections: 10,
    };
    PostgresStore::open(&url, options)
        .await
        .expect("the throw-away database opens")
}

async fn connect(url: &str) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(async move {
        // It ends with its client.
        let _ = connection.await;
    });
    Ok(client)
}

/// The cluster of this process, or the one that [`SHARED`] names.
///
/// # Panics
/// If there is none and none can be started; the text says how to get one.
#[expect(clippy::panic, reason = "for tests")]
pub fn shared() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| {
        let started = match std::env::var_os(SHARED) {
            Some(folder) => Ok(Cluster::at(folder.into(), PathBuf::new(), PORT)),
            None => Cluster::start(&Setup::default()),
        };
        started.unwrap_or_else(|failure| panic!("{failure}"))
    })
}

impl Cluster {
    fn at(folder: PathBuf, programs: PathBuf, port: u16) -> Self {
        Self {
            programs,
            folder,
            port,
            keeper: None,
            template: OnceCell::new(),
        }
    }

    /// Make a cluster and start it.
    ///
    /// # Errors
    /// A sentence for people: mostly, how to get PostgreSQL.
    pub fn start(setup: &Setup) -> Result<Self, String> {
        let programs = programs().ok_or(MISSING)?;
        let owner = owner()?;
        let folder = tempfile::Builder::new()
            .prefix("vestibule-pg-")
            .tempdir()
            .map_err(|failure| failure.to_string())?
            .keep();
        let port = if setup.tcp {
            free_port().map_err(|failure| failure.to_string())?
        } else {
            PORT
        };
        let made = make(&programs, &folder, port, owner, setup);
        let mut cluster = Self::at(folder, programs, port);
        if let Err(failure) = made.and_then(|()| cluster.launch()) {
            let log = fs::read_to_string(cluster.folder.join("log")).unwrap_or_default();
            return Err(format!(
                "the throw-away cluster did not start: {failure}\n{log}"
            ));
        }
        Ok(cluster)
    }

    /// Stop the server as a power cut would, and keep its data.
    ///
    /// # Errors
    /// If it does not end.
    pub fn stop(&mut self) -> Result<(), String> {
        let keep = self.folder.join("keep");
        fs::write(&keep, "").map_err(|failure| failure.to_string())?;
        self.end();
        fs::remove_file(keep).map_err(|failure| failure.to_string())
    }

    /// Start it again after [`Self::stop`].
    ///
    /// # Errors
    /// If it does not start.
    pub fn launch(&mut self) -> Result<(), String> {
        let owner = owner()?;
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg(KEEPER)
            .arg("sh")
            .arg(&self.programs)
            .arg(&self.folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let keeper = run_as(&mut command, owner)
            .spawn()
            .map_err(|failure| failure.to_string())?;
        self.keeper = Some(keeper);
        let deadline = Instant::now() + START;
        loop {
            let ready = Command::new(self.programs.join("pg_isready"))
                .args(["--quiet", "--host"])
                .arg(&self.folder)
                .args(["--port", &self.port.to_string()])
                .status();
            if ready.is_ok_and(|status| status.success()) {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!("no answer for {} s", START.as_secs()));
            }
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    fn end(&mut self) {
        if let Some(mut keeper) = self.keeper.take() {
            drop(keeper.stdin.take());
            // Nobody can do more about it.
            let _ = keeper.wait();
        }
    }

    /// The folder of the socket.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The port, of the socket's name too.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// A URL over the socket, as the superuser.
    pub fn url(&self, database: &str) -> String {
        format!(
            "postgres://postgres@/{database}?host={}&port={}",
            self.folder.display(),
            self.port
        )
    }

    /// Run some statements as the superuser.
    ///
    /// # Panics
    /// If one fails.
    #[expect(clippy::expect_used, reason = "for tests")]
    pub async fn run(&self, database: &str, statements: &str) {
        let client = connect(&self.url(database)).await.expect("a connection");
        for statement in statements.split(';').filter(|one| !one.trim().is_empty()) {
            client
                .batch_execute(statement)
                .await
                .expect("the statement is right");
        }
    }

    /// A database of its own, with today's schema and nothing in it.
    ///
    /// # Panics
    /// If it cannot be made.
    pub async fn database(&self) -> Database {
        let template = self
            .template
            .get_or_init(|| async {
                let name = fresh_name("template");
                self.run("postgres", &format!("CREATE DATABASE {name}"))
                    .await;
                open(&self.url(&name)).await.close().await;
                name
            })
            .await;
        self.make(&format!("TEMPLATE {template}")).await
    }

    /// A database without a schema, made with these options.
    ///
    /// # Panics
    /// If it cannot be made.
    pub async fn make(&self, options: &str) -> Database {
        let name = fresh_name("test");
        let mut tries = 0;
        loop {
            let made = self.try_make(&name, options).await;
            match made {
                Ok(()) => break,
                // The connections that made the template may still be on their way out.
                Err(failure) if tries < 200 && failure.code().is_some() => {
                    tries += 1;
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(failure) => unreachable!("the database cannot be made: {failure:?}"),
            }
        }
        Database {
            url: self.url(&name),
            admin: self.url("postgres"),
            name,
        }
    }

    async fn try_make(&self, name: &str, options: &str) -> Result<(), tokio_postgres::Error> {
        let client = connect(&self.url("postgres")).await?;
        let statement = format!("CREATE DATABASE {name} {options}");
        client.batch_execute(&statement).await
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.end();
    }
}

/// A name that no other test, and no other process, has.
fn fresh_name(kind: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{kind}_{}_{n}", std::process::id())
}

fn free_port() -> io::Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    Ok(listener.local_addr()?.port())
}

/// The folder of `initdb` and `postgres`: PATH, else the newest of Debian's.
fn programs() -> Option<PathBuf> {
    let has_all = |folder: &PathBuf| {
        ["initdb", "postgres", "pg_isready"]
            .iter()
            .all(|name| folder.join(name).is_file())
    };
    let path = std::env::var_os("PATH").unwrap_or_default();
    if let Some(found) = std::env::split_paths(&path).find(has_all) {
        return Some(found);
    }
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .ok()?
        .filter_map(Result::ok)
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .collect();
    versions.sort();
    versions
        .into_iter()
        .rev()
        .map(|(_, folder)| folder)
        .find(has_all)
}

/// Whom the server runs as, where this process is root: PostgreSQL refuses to be.
type Owner = Option<(u32, u32)>;

fn owner() -> Result<Owner, String> {
    let id = Command::new("id")
        .arg("-u")
        .output()
        .map_err(|failure| failure.to_string())?;
    if id.stdout.trim_ascii() != b"0" {
        return Ok(None);
    }
    let passwd = fs::read_to_string("/etc/passwd").map_err(|failure| failure.to_string())?;
    let line = passwd.lines().find(|line| line.starts_with("postgres:"));
    let ids = line.and_then(|line| {
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    });
    let missing = "PostgreSQL does not run as root, and there is no user `postgres`";
    ids.map(Some).ok_or_else(|| missing.to_owned())
}

/// As that user, and out of reach of what a terminal sends to the tests.
fn run_as(command: &mut Command, owner: Owner) -> &mut Command {
    use std::os::unix::process::CommandExt as _;
    if let Some((user, group)) = owner {
        command.uid(user).gid(group);
    }
    command.process_group(0).current_dir("/").env("LC_ALL", "C")
}

fn make(
    programs: &Path,
    folder: &Path,
    port: u16,
    owner: Owner,
    setup: &Setup,
) -> Result<(), String> {
    let failed = |failure: io::Error| failure.to_string();
    let give = |path: &Path| match owner {
        Some((user, group)) => std::os::unix::fs::chown(path, Some(user), Some(group)),
        None => Ok(()),
    };
    give(folder).map_err(failed)?;
    let mut command = Command::new(programs.join("initdb"));
    command.args([
        "--auth-local=trust",
        "--auth-host=scram-sha-256",
        "--encoding=UTF8",
        "--locale=C",
        "--no-sync",
        "--username=postgres",
        "--pgdata",
    ]);
    command.arg(folder.join("data"));
    let output = run_as(&mut command, owner).output().map_err(failed)?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let mut lines = format!(
        "\nport = {port}\nunix_socket_directories = '{}'\nlisten_addresses = '{}'\n\
         fsync = off\nsynchronous_commit = off\nfull_page_writes = off\n\
         max_connections = 300\nshared_buffers = 64MB\ndeadlock_timeout = 100ms\n",
        folder.display(),
        if setup.tcp { "127.0.0.1" } else { "" },
    );
    let data = folder.join("data");
    if let Some((certificate, key)) = &setup.tls {
        lines.push_str("ssl = on\n");
        for (name, text) in [("server.crt", certificate), ("server.key", key)] {
            write_private(&data.join(name), text).map_err(failed)?;
            give(&data.join(name)).map_err(failed)?;
        }
        let rules = data.join("pg_hba.conf");
        let text = fs::read_to_string(&rules).map_err(failed)?;
        fs::write(&rules, text.replace("\nhost ", "\nhostssl ")).map_err(failed)?;
    }
    for line in &setup.lines {
        // Writing to a String cannot fail.
        let _ = writeln!(lines, "{line}");
    }
    let mut file = fs::OpenOptions::new()
        .append(true)
        .open(data.join("postgresql.conf"))
        .map_err(failed)?;
    io::Write::write_all(&mut file, lines.as_bytes()).map_err(failed)
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    io::Write::write_all(&mut options.open(path)?, text.as_bytes())
}
