//! The built hub as its users run it: a configuration file, a process, loopback. Nothing here uses
//! a crate of the workspace, so a bug in our types cannot hide itself.
//!
//! The tests of this package start what `cargo build` made; `cargo xtask test` builds it first and
//! gets Node, Python and Chromium. A tool that is missing fails a test, it never skips one.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what surprises a test should end it"
)]

pub mod agent;
mod host;
pub mod http;

use std::{
    fs,
    io::Write as _,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

pub use host::DocumentHost;
use tempfile::TempDir;

/// The account of every hub here.
pub const PERSON: &str = "alice";
/// Its password.
pub const PASSWORD: &str = "correct horse battery staple";

/// A process that ends with its handle.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How a hub differs from the usual one.
#[derive(Clone, Copy, Debug)]
pub struct Doors {
    /// `off`, `token`, `open`.
    pub dcr: &'static str,
    /// `off`, `listed`, `open`.
    pub cimd: &'static str,
}

impl Default for Doors {
    fn default() -> Self {
        Self {
            dcr: "open",
            cimd: "open",
        }
    }
}

/// A running hub with a protected MCP server and a host for client documents.
pub struct Stage {
    /// The issuer.
    pub issuer: String,
    /// The MCP server's URL.
    pub resource: String,
    /// Where documents are served.
    pub documents: DocumentHost,
    folder: TempDir,
    hub: Option<Process>,
    _server: Process,
}

/// `kill -9`, by process id.
///
/// # Panics
/// When `kill` cannot be run.
pub fn kill(pid: u32) {
    let status = Command::new("kill").args(["-9", &pid.to_string()]).status();
    assert!(
        status.expect("kill can be run").success(),
        "the hub had ended by itself"
    );
}

/// The repository's root.
pub fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent().map(PathBuf::from).unwrap_or(here)
}

/// A built binary, beside the test's own.
///
/// # Panics
/// When it was not built.
pub fn binary(name: &str) -> PathBuf {
    if name == "vestibule"
        && let Some(path) = std::env::var_os("VESTIBULE_BIN")
    {
        return path.into();
    }
    let own = std::env::current_exe().expect("a test has an executable");
    let folder = own
        .ancestors()
        .nth(2)
        .expect("it lies in target/PROFILE/deps");
    let path = folder.join(name);
    assert!(
        path.exists(),
        "{} is missing: `cargo xtask test` builds it first",
        path.display()
    );
    path
}

/// A port that was free a moment ago.
///
/// # Panics
/// When loopback has none.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    listener
        .local_addr()
        .expect("a listener has an address")
        .port()
}

impl Stage {
    /// Start everything.
    ///
    /// # Panics
    /// When something does not start within 15 seconds.
    pub async fn start(doors: Doors) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the hub");
        let documents = DocumentHost::start(folder.path()).await;
        let (hub_port, server_port) = (free_port(), free_port());
        let issuer = format!("http://127.0.0.1:{hub_port}");
        let resource = format!("http://127.0.0.1:{server_port}/mcp");
        let config = format!(
            r#"issuer = "{issuer}"
listen = "127.0.0.1:{hub_port}"
[database]
url = "sqlite:vestibule.db"
[doors]
dcr = "{}"
cimd = "{}"
[fetch]
extra_ca_files = ["ca.pem"]
loopback_origins = ["{}"]
[limits]
enabled = false
[[resources]]
uri = "{resource}"
name = "Notes"
scopes = [
  {{ name = "mcp:read",  description = "Read your notes",   access = "read", default = true }},
  {{ name = "mcp:write", description = "Change your notes", access = "write" }},
]
"#,
            doors.dcr, doors.cimd, documents.origin
        );
        fs::write(folder.path().join("vestibule.toml"), config).expect("the configuration");
        let listen = format!("127.0.0.1:{server_port}");
        let server = Command::new(binary("vestibule-example-mcp-server"))
            .args([
                "--listen",
                &listen,
                "--issuer",
                &issuer,
                "--resource",
                &resource,
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map(Process)
            .expect("the MCP server starts");
        let mut stage = Self {
            issuer,
            resource,
            documents,
            folder,
            hub: None,
            _server: server,
        };
        stage.command(
            &[
                "user",
                "add",
                PERSON,
                "--password-stdin",
                "--email",
                "alice@example.com",
            ],
            PASSWORD,
        );
        stage.start_hub();
        stage
    }

    /// Start (or start again) the hub's process.
    ///
    /// # Panics
    /// When it does not answer within 15 seconds.
    pub fn start_hub(&mut self) {
        self.start_hub_with(&[]);
    }

    /// The same with more arguments.
    ///
    /// # Panics
    /// When it does not answer within 15 seconds.
    pub fn start_hub_with(&mut self, arguments: &[&str]) {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.path().join("hub.log"))
            .expect("a log");
        let hub = Command::new(binary("vestibule"))
            .args(["serve", "--config"])
            .arg(self.config())
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the hub starts");
        self.hub = Some(Process(hub));
        let ready = format!("{}/readyz", self.issuer);
        let address = self.issuer.trim_start_matches("http://").to_owned();
        let deadline = Instant::now() + Duration::from_secs(15);
        while Instant::now() < deadline {
            if answers(&address) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("{ready} does not answer:\n{}", self.log());
    }

    /// End the hub's process at once, as a power cut would.
    pub fn kill_hub(&mut self) {
        self.hub = None;
    }

    /// Process id of the hub.
    ///
    /// # Panics
    /// When it was killed.
    pub fn hub_pid(&self) -> u32 {
        self.hub.as_ref().expect("the hub runs").0.id()
    }

    /// Bytes of everything in the data folder, without the log of the process.
    pub fn data_bytes(&self) -> u64 {
        let files = fs::read_dir(self.folder.path())
            .into_iter()
            .flatten()
            .filter_map(Result::ok);
        let data = files.filter(|file| {
            file.file_name()
                .to_string_lossy()
                .starts_with("vestibule.db")
        });
        data.filter_map(|file| file.metadata().ok())
            .map(|file| file.len())
            .sum()
    }

    /// The configuration file.
    pub fn config(&self) -> PathBuf {
        self.folder.path().join("vestibule.toml")
    }

    /// The data folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What the hub logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("hub.log")).unwrap_or_default()
    }

    /// Run a command of the binary with this configuration; gives its output.
    ///
    /// # Panics
    /// When it fails.
    pub fn command(&self, arguments: &[&str], input: &str) -> String {
        let (succeeded, text) = self.try_command(arguments, input);
        assert!(succeeded, "vestibule {arguments:?}: {text}");
        text
    }

    /// The same for a command that may be refused; gives whether it succeeded and what it said,
    /// the errors only if it did not.
    ///
    /// # Panics
    /// When it cannot be run.
    pub fn try_command(&self, arguments: &[&str], input: &str) -> (bool, String) {
        let mut child = Command::new(binary("vestibule"))
            .args(arguments)
            .arg("--config")
            .arg(self.config())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut stdin = child.stdin.take().expect("it has an input");
        stdin
            .write_all(input.as_bytes())
            .expect("it reads its input");
        drop(stdin);
        let output = child.wait_with_output().expect("it ends");
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            text.push_str(&String::from_utf8_lossy(&output.stderr));
        }
        (output.status.success(), text)
    }

    /// Give the hub another name in its configuration; it is not started again. Returns the old.
    ///
    /// # Panics
    /// When the configuration cannot be written.
    pub fn rename(&mut self, issuer: &str) -> String {
        let old = std::mem::replace(&mut self.issuer, issuer.to_owned());
        let line = |issuer: &str| format!("issuer = \"{issuer}\"");
        self.reconfigure(&line(&old), &line(issuer));
        old
    }

    /// Put something else in the place of a part of the configuration; the hub is not started again.
    ///
    /// # Panics
    /// When the part is not there.
    pub fn reconfigure(&self, from: &str, to: &str) {
        let text = fs::read_to_string(self.config()).expect("the configuration");
        assert!(text.contains(from), "{text}");
        fs::write(self.config(), text.replace(from, to)).expect("the configuration");
    }

    /// Run a script of `conformance/js` against this stage; gives its output.
    ///
    /// # Panics
    /// When it fails, or takes longer than two minutes.
    pub async fn node(&self, script: &str, arguments: &[&str]) -> String {
        self.script("node", &node_folder(), script, arguments).await
    }

    /// Run a script of `conformance/py`.
    ///
    /// # Panics
    /// When it fails, or takes longer than two minutes.
    pub async fn python(&self, script: &str, arguments: &[&str]) -> String {
        let target = std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| root().join("target"), PathBuf::from);
        let python = target.join("conformance-venv/bin/python");
        assert!(
            python.exists(),
            "{} is missing: `cargo xtask setup` makes it",
            python.display()
        );
        let python = python.to_string_lossy().into_owned();
        self.script(&python, &root().join("conformance/py"), script, arguments)
            .await
    }

    async fn script(
        &self,
        program: &str,
        folder: &Path,
        script: &str,
        arguments: &[&str],
    ) -> String {
        let mut command = tokio::process::Command::new(program);
        command
            .arg(script)
            .args(arguments)
            .current_dir(folder)
            .env("HUB_ISSUER", &self.issuer)
            .env("HUB_RESOURCE", &self.resource)
            .env("HUB_USER", PERSON)
            .env("HUB_PASSWORD", PASSWORD)
            .env("HUB_CLIENT_DOCUMENT", self.documents.url("agent.json"))
            .env("HUB_KEYED_DOCUMENT", self.documents.url("keyed.json"))
            .env("HUB_KEY_FILE", self.folder.path().join("client-key.pem"))
            .env("HUB_SCREENSHOTS", screenshots())
            .env("NODE_EXTRA_CA_CERTS", self.folder.path().join("ca.pem"));
        let (succeeded, said) = run(command, script).await;
        assert!(
            succeeded,
            "{script} {arguments:?} failed:\n{said}\nThe hub's log:\n{}",
            self.log()
        );
        said
    }
}

/// Run a script of `conformance/js` that needs no hub; gives its output.
///
/// # Panics
/// When it fails, or takes longer than two minutes.
pub async fn node_without_a_hub(script: &str, arguments: &[&str]) -> String {
    let mut command = tokio::process::Command::new("node");
    command
        .arg(script)
        .args(arguments)
        .current_dir(node_folder())
        .env("HUB_SCREENSHOTS", screenshots());
    let (succeeded, said) = run(command, script).await;
    assert!(succeeded, "{script} {arguments:?} failed:\n{said}");
    said
}

fn node_folder() -> PathBuf {
    let folder = root().join("conformance/js");
    assert!(
        folder.join("node_modules").exists(),
        "the packages of the real clients are missing: `cargo xtask setup` gets them"
    );
    folder
}

fn screenshots() -> PathBuf {
    root().join("target/screenshots")
}

/// Whether it succeeded, and all that it said.
async fn run(mut command: tokio::process::Command, script: &str) -> (bool, String) {
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|failure| panic!("{script} cannot be run: {failure}"));
    let output = tokio::time::timeout(Duration::from_mins(2), child.wait_with_output());
    let output = output
        .await
        .unwrap_or_else(|_| panic!("{script} took longer than two minutes"));
    let output = output.expect("the script ends");
    let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        said.push_str(&String::from_utf8_lossy(&output.stderr));
    }
    (output.status.success(), said)
}

/// Does an HTTP server answer `/readyz` with 200?
fn answers(address: &str) -> bool {
    use std::io::Read as _;
    let Ok(mut stream) = std::net::TcpStream::connect(address) else {
        return false;
    };
    let request = format!("GET /readyz HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    let mut answer = String::new();
    let set = stream.set_read_timeout(Some(Duration::from_secs(2)));
    set.is_ok()
        && stream.write_all(request.as_bytes()).is_ok()
        && stream.read_to_string(&mut answer).is_ok()
        && answer.starts_with("HTTP/1.1 200")
}
