//! A data folder, the binary, a hub that serves, and clients that are stored already.

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;
use vestibule_protocol::{
    audit::{Actor, Event},
    client_id::ClientKey,
    client_metadata::{ClientMetadata, MetadataDoor},
    redirect_uri::RedirectPolicy,
    time::Timestamp,
    trust::{Door, Standing},
};
use vestibule_store::{AuditEntry, clients::StoredClient};
use vestibule_store_sqlite::{SqliteOptions, SqliteStore};

/// A folder with a configuration.
pub(crate) struct Folder(TempDir);

/// What a command said.
pub(crate) struct Ran {
    pub(crate) right: bool,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// What it printed; it ended well.
    pub(crate) fn ok(self) -> String {
        assert!(self.right, "{}{}", self.out, self.err);
        self.out
    }

    /// The same, as JSON.
    pub(crate) fn json(self) -> serde_json::Value {
        serde_json::from_str(&self.ok()).unwrap()
    }

    /// What it complained; it ended badly.
    pub(crate) fn fails(self) -> String {
        assert!(!self.right, "{}{}", self.out, self.err);
        self.err
    }
}

impl Folder {
    pub(crate) fn new(configuration: &str) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write("vestibule.toml", configuration);
        folder
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vestibule"));
        command.args(arguments).current_dir(self.0.path());
        for (name, _) in std::env::vars() {
            if name.starts_with("VESTIBULE_") {
                command.env_remove(name);
            }
        }
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        let output = self.command(arguments).output().unwrap();
        Ran {
            right: output.status.success(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The same, with a line on its standard input.
    pub(crate) fn run_with_input(&self, arguments: &[&str], line: &str) -> Ran {
        let mut command = self.command(arguments);
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = piped.stderr(Stdio::piped()).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        writeln!(input, "{line}").unwrap();
        drop(input);
        let output = child.wait_with_output().unwrap();
        Ran {
            right: output.status.success(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The database, beside the binary.
    pub(crate) fn store(&self) -> SqliteStore {
        SqliteStore::open(&self.path("vestibule.db"), SqliteOptions::default()).unwrap()
    }
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// An answer over HTTP.
pub(crate) struct Response {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Response {
    /// All values of a header.
    pub(crate) fn headers(&self, name: &str) -> impl Iterator<Item = &str> {
        self.head.lines().filter_map(move |line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

/// A hub that serves until it is dropped.
pub(crate) struct Serving {
    child: Child,
    /// What requests must call it.
    host: String,
    port: u16,
    log: PathBuf,
}

impl Serving {
    /// On this port; the issuer's is another where several nodes serve one database.
    pub(crate) fn start(folder: &Folder, issuer_port: u16, port: u16) -> Self {
        let log = folder.path(&format!("log-{port}"));
        let child = folder
            .command(&["serve"])
            .env("VESTIBULE_LISTEN", format!("127.0.0.1:{port}"))
            .stderr(File::create(&log).unwrap())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let serving = Self {
            child,
            host: format!("127.0.0.1:{issuer_port}"),
            port,
            log,
        };
        let started = Instant::now();
        while serving.try_request("GET", "/readyz", "").is_none() {
            assert!(
                started.elapsed() < Duration::from_mins(1),
                "{}",
                serving.log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        serving
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Status and body.
    pub(crate) fn request(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let answer = self.try_request(method, path, body);
        answer.unwrap_or_else(|| panic!("{method} {path}: {}", self.log()))
    }

    /// With headers, each with its end of line.
    pub(crate) fn send(&self, method: &str, path: &str, headers: &str, body: &str) -> Response {
        let answer = self.try_send(method, path, headers, body);
        answer.unwrap_or_else(|| panic!("{method} {path}: {}", self.log()))
    }

    fn try_request(&self, method: &str, path: &str, body: &str) -> Option<(u16, String)> {
        let json = "Content-Type: application/json\r\n";
        let answer = self.try_send(method, path, json, body)?;
        Some((answer.status, answer.body))
    }

    fn try_send(&self, method: &str, path: &str, headers: &str, body: &str) -> Option<Response> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        let (host, length) = (&self.host, body.len());
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\
             {headers}Content-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        Some(Response {
            status: head.split(' ').nth(1)?.parse().ok()?,
            head: head.to_owned(),
            body: body.to_owned(),
        })
    }

    /// Register an app; its status.
    pub(crate) fn register(&self) -> u16 {
        let metadata = r#"{"redirect_uris":["http://127.0.0.1/callback"],"client_name":"An app","token_endpoint_auth_method":"none"}"#;
        self.request("POST", "/register", metadata).0
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // Ended already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn audit(event: Event) -> AuditEntry {
    AuditEntry {
        at: now(),
        event,
        actor: Actor::System,
        client: None,
        grant: None,
        source: None,
        detail: String::new(),
    }
}

pub(crate) fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Timestamp::from_seconds(since.unwrap().as_secs())
}

/// A registration that somebody approved.
pub(crate) fn registered(client_id: &str, software: &str, redirect: &str) -> StoredClient {
    let text = format!(
        r#"{{"redirect_uris": ["{redirect}"], "client_name": "{software}",
            "token_endpoint_auth_method": "none"}}"#
    );
    let door = MetadataDoor::Dcr {
        client_credentials_allowed: false,
    };
    let read = ClientMetadata::parse_json(text.as_bytes(), door, &RedirectPolicy::default());
    StoredClient {
        key: ClientKey::of(client_id),
        client_id: client_id.to_owned(),
        door: Door::Dcr,
        standing: Standing::Unverified,
        metadata: read.unwrap().0,
        secret_hash: None,
        management_hash: None,
        introspects: Vec::new(),
        machine_scopes: None,
        scope_ceiling: None,
        software: software.to_owned(),
        host: None,
        issued_at: now(),
        snapshot_at: now(),
        created_at: now(),
        version: 1,
    }
}
