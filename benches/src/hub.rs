//! The hub: the built binary with a configuration file and a data folder that is thrown away.
//! Durable as always (SQLite, `synchronous=FULL`); only the limits on floods are off.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use tempfile::TempDir;

use crate::{
    Item, Outcome,
    contender::{Contender, Routes},
    host,
    http::{self, Connection},
    load::Load,
    process::{self, Process},
};

const PERSON: &str = "alice";
const PASSWORD: &str = "correct horse battery staple";
/// Refresh token families.
pub(crate) const FAMILIES: usize = 512;
/// A page of the hub sent the form.
const SAME_ORIGIN: &str = "sec-fetch-site: same-origin\r\n";

const ROUTES: Routes = Routes {
    register: "/register",
    authorize: "/authorize",
    asked: 200,
    introspect: "/introspect",
};

/// The running hub.
pub(crate) struct Hub {
    /// What is measured.
    pub(crate) contender: Contender,
    folder: TempDir,
}

impl Hub {
    /// Start it. It is idle for a second when this returns.
    pub(crate) async fn start() -> Outcome<Self> {
        let folder = tempfile::tempdir().map_err(|failure| failure.to_string())?;
        let origin = host::start(folder.path()).await?;
        let port = process::free_port()?;
        let host = format!("127.0.0.1:{port}");
        // Nothing runs there: tokens are only issued for it.
        let resource = "http://127.0.0.1:9/mcp".to_owned();
        let config = folder.path().join("vestibule.toml");
        fs::write(&config, configuration(&host, &origin, &resource))
            .map_err(|failure| failure.to_string())?;
        let arguments = [
            "user",
            "add",
            PERSON,
            "--password-stdin",
            "--email",
            "alice@example.com",
        ];
        command(&config, &arguments, PASSWORD)?;
        let shown = command(&config, &["resource", "credentials", &resource], "")?;
        let log = folder.path().join("hub.log");
        let path = config.to_string_lossy();
        let process =
            Process::on_core_0(&binary()?, &["serve", "--config", &path], &[], Some(&log))?;
        http::ready(&host, "/readyz").await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok(Self {
            contender: Contender {
                process,
                routes: ROUTES,
                host,
                resource,
                document: format!("{origin}/agent.json"),
                credentials: basic(&shown)?,
                client: String::new(),
                cookie: String::new(),
                families: Vec::new(),
                access: String::new(),
            },
            folder,
        })
    }

    /// The data folder.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Prepare a measurement.
    pub(crate) async fn load(
        &mut self,
        item: Item,
        length: Duration,
        codes: usize,
    ) -> Outcome<Load> {
        if self.contender.client.is_empty() {
            self.prepare().await?;
        }
        let codes = match item {
            Item::Code => self.codes(codes).await?,
            _ => Vec::new(),
        };
        Ok(self.contender.load(item, length, &codes))
    }

    /// A client, a session, refresh token families and an access token.
    async fn prepare(&mut self) -> Outcome<()> {
        self.contender.register().await?;
        self.contender.cookie = self.sign_in().await?;
        let codes = self.codes(FAMILIES).await?;
        let hub = &mut self.contender;
        let mut connection = Connection::open(&hub.host).await?;
        for code in codes {
            let request = http::redeem(&hub.host, &hub.client, &code);
            let reply = connection.send(&request).await?.expect(200, "a code")?;
            let refresh = reply.member("refresh_token").ok_or("no refresh token")?;
            hub.families.push(refresh.to_owned());
            let access = reply.member("access_token").ok_or("no access token")?;
            access.clone_into(&mut hub.access);
        }
        hub.check_introspection().await
    }

    async fn sign_in(&self) -> Outcome<String> {
        let page = http::once(
            &self.contender.host,
            &http::get(&self.contender.host, "/login", ""),
        )
        .await?
        .expect(200, "/login")?;
        let cookies: Vec<&str> = page.cookies().collect();
        let headers = format!("{SAME_ORIGIN}cookie: {}\r\n", cookies.join("; "));
        let csrf = page.hidden("csrf").ok_or("no csrf on the sign-in page")?;
        let pairs = [("csrf", csrf), ("username", PERSON), ("password", PASSWORD)];
        let reply = http::once(
            &self.contender.host,
            &http::post_form(&self.contender.host, "/login", &headers, &pairs),
        )
        .await?;
        let session = reply
            .cookies()
            .find(|cookie| cookie.starts_with("vst-session="));
        session
            .map(str::to_owned)
            .ok_or_else(|| format!("no session: {}", reply.status))
    }

    /// Codes, by the consent page, on eight connections.
    async fn codes(&self, count: usize) -> Outcome<Vec<String>> {
        let path = http::authorize(
            ROUTES.authorize,
            &self.contender.client,
            &self.contender.resource,
        );
        let headers = format!("{SAME_ORIGIN}cookie: {}\r\n", self.contender.cookie);
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let (host, headers) = (self.contender.host.clone(), headers.clone());
                let ask = http::get(&host, &path, &headers);
                tokio::task::spawn_local(async move {
                    let mut connection = Connection::open(&host).await?;
                    let mut codes = Vec::new();
                    for _ in 0..count.div_ceil(8) {
                        codes.push(consent(&mut connection, &host, &ask, &headers).await?);
                    }
                    Ok::<_, String>(codes)
                })
            })
            .collect();
        let mut codes = Vec::new();
        for task in tasks {
            codes.extend(task.await.map_err(|failure| failure.to_string())??);
        }
        Ok(codes)
    }
}

async fn consent(
    connection: &mut Connection,
    host: &str,
    ask: &[u8],
    headers: &str,
) -> Outcome<String> {
    let page = connection
        .send(ask)
        .await?
        .expect(200, "the consent page")?;
    let field = |name| {
        page.hidden(name)
            .ok_or_else(|| format!("no {name} on the consent page"))
    };
    let pairs = [
        ("ticket", field("ticket")?),
        ("csrf", field("csrf")?),
        ("decision", "approve"),
        ("scope", "mcp:read"),
    ];
    let reply = connection
        .send(&http::post_form(host, "/consent", headers, &pairs))
        .await?;
    let code = reply
        .header("location")
        .and_then(|location| location.split_once("code=")?.1.split('&').next());
    code.map(str::to_owned)
        .ok_or_else(|| format!("no code: {} {}", reply.status, reply.body))
}

fn configuration(host: &str, origin: &str, resource: &str) -> String {
    format!(
        r#"issuer = "http://{host}"
listen = "{host}"
[database]
url = "sqlite:vestibule.db"
[doors]
dcr = "open"
cimd = "open"
[fetch]
extra_ca_files = ["ca.pem"]
loopback_origins = ["{origin}"]
[limits]
enabled = false
[[resources]]
uri = "{resource}"
name = "Notes"
scopes = [
  {{ name = "mcp:read",  description = "Read your notes",   access = "read", default = true }},
  {{ name = "mcp:write", description = "Change your notes", access = "write" }},
]
"#
    )
}

/// The built binary beside this one.
fn binary() -> Outcome<PathBuf> {
    let own = std::env::current_exe().map_err(|failure| failure.to_string())?;
    let path = own.with_file_name("vestibule");
    if path.exists() {
        Ok(path)
    } else {
        Err(format!(
            "{} is missing: `cargo xtask bench` builds it first",
            path.display()
        ))
    }
}

/// Run a command of the binary; gives its output.
fn command(config: &Path, arguments: &[&str], input: &str) -> Outcome<String> {
    let failed = |failure: std::io::Error| format!("vestibule {arguments:?}: {failure}");
    let mut child = Command::new(binary()?)
        .args(arguments)
        .arg("--config")
        .arg(config)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).map_err(failed)?;
    }
    let output = child.wait_with_output().map_err(failed)?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    Err(format!(
        "vestibule {arguments:?}: {text}{}",
        String::from_utf8_lossy(&output.stderr)
    ))
}

/// The header line that the printed credentials make.
fn basic(shown: &str) -> Outcome<String> {
    let value = |name: &str| {
        let line = shown.lines().find_map(|line| line.strip_prefix(name));
        line.map(str::trim)
            .ok_or_else(|| format!("no {name} in: {shown}"))
    };
    let pair = format!("{}:{}", value("client_id")?, value("client_secret")?);
    Ok(format!(
        "authorization: Basic {}\r\n",
        STANDARD.encode(pair)
    ))
}
