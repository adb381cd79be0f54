//! The hub: the built binary with a configuration file and a data folder that is thrown away.
//! Durable as always (SQLite, `synchronous=FULL`); only the limits on floods are off.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    rc::Rc,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use tempfile::TempDir;

use crate::{
    Outcome,
    contender::{Contender, Routes, Stock},
    host,
    http::{self, Connection, Reply},
    load::{CONNECTIONS, Load, Until},
    plan::Item,
    process::{self, Process},
};

const PASSWORD: &str = "correct horse battery staple";
/// Refresh token families: enough that no connection waits for another's token.
pub(crate) const FAMILIES: usize = 512;

/// How much there is of what is prepared once.
#[derive(Clone, Copy)]
pub(crate) struct Scale {
    /// People, each with a session.
    pub(crate) people: usize,
    /// Refresh token families.
    pub(crate) families: usize,
}

/// A person for each connection: nobody consents thousands of times a second.
pub(crate) const MANY: Scale = Scale {
    people: CONNECTIONS,
    families: FAMILIES,
};
/// Connections over which things are prepared.
const PREPARERS: usize = 8;
/// A page of the hub sent the form.
const SAME_ORIGIN: &str = "sec-fetch-site: same-origin\r\n";
/// How often it is started to see how long that takes.
const STARTS: usize = 5;
/// Between two looks at a hub that starts: what the measured time may be off by.
const LOOK: Duration = Duration::from_micros(200);

const ROUTES: Routes = Routes {
    register: "/register",
    authorize: "/authorize",
    asked: 200,
    jwks: "/jwks.json",
    introspect: "/introspect",
    revoke: "/revoke",
};

/// A hub that is set up and does not run.
struct Site {
    folder: TempDir,
    config: PathBuf,
    /// `127.0.0.1:PORT`.
    host: String,
}

impl Site {
    fn new(documents: Option<&str>, people: usize, folder: TempDir) -> Outcome<Self> {
        let port = process::free_port()?;
        let host = format!("127.0.0.1:{port}");
        let config = folder.path().join("vestibule.toml");
        fs::write(&config, configuration(&host, documents))
            .map_err(|failure| failure.to_string())?;
        for number in 0..people {
            let (name, email) = (person(number), format!("{}@example.com", person(number)));
            let arguments = ["user", "add", &name, "--password-stdin", "--email", &email];
            command(&config, &arguments, PASSWORD)?;
        }
        Ok(Self {
            folder,
            config,
            host,
        })
    }

    /// Start it, perhaps under another program.
    fn start(&self, under: &[&str]) -> Outcome<Process> {
        let log = self.folder.path().join("hub.log");
        let (binary, config) = (binary()?, self.config.to_string_lossy());
        let binary = binary.to_string_lossy();
        let mut words = under.to_vec();
        words.extend([&*binary, "serve", "--config", &*config]);
        let (program, arguments) = words.split_first().ok_or("nothing to start")?;
        // As many threads as the one core makes, whoever asks how many there are.
        let variables = [("TOKIO_WORKER_THREADS", "1")];
        let variables = if under.is_empty() {
            &[][..]
        } else {
            &variables
        };
        Process::on_core_0(Path::new(program), arguments, variables, Some(&log))
    }
}

fn person(number: usize) -> String {
    format!("person{number}")
}

fn folder() -> Outcome<TempDir> {
    tempfile::tempdir().map_err(|failure| failure.to_string())
}

/// Milliseconds from the start of the program until it is ready, of a hub that has started before:
/// one number for each start.
pub(crate) async fn cold_starts() -> Outcome<Vec<f64>> {
    let site = Site::new(None, 1, folder()?)?;
    let mut taken = Vec::new();
    for _ in 0..=STARTS {
        let before = Instant::now();
        let _process = site.start(&[])?;
        http::ready(&site.host, "/readyz", LOOK).await?;
        taken.push(before.elapsed().as_secs_f64() * 1_000.0);
    }
    // The first one made keys.
    taken.remove(0);
    Ok(taken)
}

/// Bytes of the binary.
pub(crate) fn binary_bytes() -> Outcome<u64> {
    let path = binary()?;
    let data = fs::metadata(&path).map_err(|failure| format!("{}: {failure}", path.display()))?;
    Ok(data.len())
}

/// The running hub.
pub(crate) struct Hub {
    /// What is measured.
    pub(crate) contender: Contender,
    folder: TempDir,
    scale: Scale,
}

impl Hub {
    /// Start it, perhaps under another program. It is idle for a second when this returns.
    pub(crate) async fn start(scale: Scale, under: &[&str]) -> Outcome<Self> {
        let folder = folder()?;
        let documents = host::start(folder.path()).await?;
        let site = Site::new(Some(&documents), scale.people, folder)?;
        let shown = command(&site.config, &["resource", "credentials", RESOURCE], "")?;
        let credentials = basic(&shown)?;
        let robot = ["client", "add", "Bench Robot", "--scopes", "mcp:read"];
        let machine = basic(&command(&site.config, &robot, "")?)?;
        // A yes is remembered only for those whom somebody vouched for.
        let app = format!("{documents}{}", host::APP);
        command(&site.config, &["client", "vouch", &app], "")?;
        let process = site.start(under)?;
        http::ready(&site.host, "/readyz", http::PAUSE).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok(Self {
            contender: Contender {
                process,
                routes: ROUTES,
                host: site.host,
                resource: RESOURCE.to_owned(),
                documents,
                credentials,
                machine,
                stock: Stock::default(),
            },
            folder: site.folder,
            scale,
        })
    }

    /// The data folder.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Prepare a measurement that uses up so many codes, tickets or tokens, if it uses up any.
    pub(crate) async fn load(&mut self, item: Item, until: Until, spent: usize) -> Outcome<Load> {
        if self.contender.stock.client.is_empty() {
            self.prepare().await?;
        }
        let spent = match item {
            Item::Code => {
                let codes = self.codes(spent).await?;
                self.contender.redemptions(&codes)
            }
            Item::Consent => self.asked(spent).await?,
            Item::Revoke => {
                let missing = spent.saturating_sub(self.contender.stock.spare.len());
                let more = self.tokens(missing).await?;
                let spare = &mut self.contender.stock.spare;
                spare.extend(more.into_iter().map(|(refresh, _)| refresh));
                let tokens = spare.split_off(spare.len().saturating_sub(spent));
                self.contender.revocations(&tokens)
            }
            _ => Vec::new(),
        };
        Ok(self.contender.load(item, until, spent))
    }

    /// Clients, sessions, refresh token families and an access token.
    async fn prepare(&mut self) -> Outcome<()> {
        self.contender.register().await?;
        for number in 0..self.scale.people {
            let session = self.sign_in(&person(number)).await?;
            self.contender.stock.sessions.push(session);
        }
        let asks = |session: &str| self.contender.app_asks(session);
        let (people, host) = (self.people(asks), &*self.contender.host);
        several(self.scale.people, host, async move |connection, number| {
            person_of(&people, number)?.code(connection).await
        })
        .await?;
        for (refresh, access) in self.tokens(self.scale.families).await? {
            self.contender.stock.families.push(refresh);
            self.contender.stock.access = access;
        }
        self.contender.check().await
    }

    async fn sign_in(&self, name: &str) -> Outcome<String> {
        let page = http::once(
            &self.contender.host,
            &http::get(&self.contender.host, "/login", ""),
        )
        .await?
        .expect(200, "/login")?;
        let cookies: Vec<&str> = page.cookies().collect();
        let headers = format!("{SAME_ORIGIN}cookie: {}\r\n", cookies.join("; "));
        let csrf = page.hidden("csrf").ok_or("no csrf on the sign-in page")?;
        let pairs = [("csrf", csrf), ("username", name), ("password", PASSWORD)];
        let reply = http::once(
            &self.contender.host,
            &http::post_form(&self.contender.host, "/login", &headers, &pairs),
        )
        .await?;
        let session = reply
            .cookies()
            .find(|cookie| cookie.starts_with("vst-session="));
        session
            .map(|session| format!("cookie: {session}\r\n"))
            .ok_or_else(|| format!("no session: {}", reply.status))
    }

    /// Everybody, with the authorization request that is to be answered.
    fn people(&self, asks: impl Fn(&str) -> Vec<u8>) -> Vec<Person> {
        let sessions = self.contender.stock.sessions.iter();
        let person = |session: &String| Person {
            host: self.contender.host.clone(),
            headers: format!("{SAME_ORIGIN}{session}"),
            ask: asks(session),
        };
        sessions.map(person).collect()
    }

    fn people_of_client(&self) -> Vec<Person> {
        self.people(|session| self.contender.client_asks(session))
    }

    /// Consent forms that are ready to be sent.
    async fn asked(&self, count: usize) -> Outcome<Vec<Vec<u8>>> {
        let (people, host) = (self.people_of_client(), &*self.contender.host);
        several(count, host, async move |connection, number| {
            let person = person_of(&people, number)?;
            let page = connection.send(&person.ask).await?;
            person.yes(&page.expect(200, "the consent page")?)
        })
        .await
    }

    /// Codes, by the consent page.
    async fn codes(&self, count: usize) -> Outcome<Vec<String>> {
        let (people, host) = (self.people_of_client(), &*self.contender.host);
        several(count, host, async move |connection, number| {
            person_of(&people, number)?.code(connection).await
        })
        .await
    }

    /// A refresh token and an access token of each of so many families.
    async fn tokens(&self, count: usize) -> Outcome<Vec<(String, String)>> {
        let (people, host) = (self.people_of_client(), &*self.contender.host);
        let client = self.contender.stock.client.clone();
        several(count, host, async move |connection, number| {
            let person = person_of(&people, number)?;
            let code = person.code(connection).await?;
            let request = http::redeem(&person.host, &client, &code);
            let reply = connection.send(&request).await?.expect(200, "a code")?;
            let member = |name: &str| reply.member(name).map(str::to_owned);
            let tokens = member("refresh_token").zip(member("access_token"));
            tokens.ok_or_else(|| format!("no tokens: {}", reply.body))
        })
        .await
    }
}

/// People take turns.
fn person_of(people: &[Person], number: usize) -> Outcome<&Person> {
    let person = number.checked_rem(people.len());
    let person = person.and_then(|number| people.get(number));
    person.ok_or_else(|| "nobody is signed in".to_owned())
}

/// Prepare this many of something on a few connections; each has a number.
async fn several<T: 'static>(
    count: usize,
    host: &str,
    one: impl AsyncFn(&mut Connection, usize) -> Outcome<T> + 'static,
) -> Outcome<Vec<T>> {
    let one = Rc::new(one);
    let tasks: Vec<_> = (0..PREPARERS)
        .map(|first| {
            let (host, one) = (host.to_owned(), one.clone());
            tokio::task::spawn_local(async move {
                let mut connection = Connection::open(&host).await?;
                let mut made = Vec::new();
                for number in (first..count).step_by(PREPARERS) {
                    made.push(one(&mut connection, number).await?);
                }
                Ok::<_, String>(made)
            })
        })
        .collect();
    let mut made = Vec::new();
    for task in tasks {
        made.extend(task.await.map_err(|failure| failure.to_string())??);
    }
    Ok(made)
}

/// A signed-in person who says yes to whatever is asked.
struct Person {
    host: String,
    headers: String,
    /// The authorization request.
    ask: Vec<u8>,
}

impl Person {
    /// Ask, and say it: the code.
    async fn code(&self, connection: &mut Connection) -> Outcome<String> {
        let page = connection.send(&self.ask).await?;
        let page = page.expect(200, "the consent page")?;
        let reply = connection.send(&self.yes(&page)?).await?;
        let code = reply
            .header("location")
            .and_then(|location| location.split_once("code=")?.1.split('&').next());
        code.map(str::to_owned)
            .ok_or_else(|| format!("no code: {} {}", reply.status, reply.body))
    }

    /// The request that says it on this page.
    fn yes(&self, page: &Reply) -> Outcome<Vec<u8>> {
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
        let path = "/consent";
        Ok(http::post_form(&self.host, path, &self.headers, &pairs))
    }
}

/// Nothing runs there: tokens are only issued for it.
const RESOURCE: &str = "http://127.0.0.1:9/mcp";

fn configuration(host: &str, documents: Option<&str>) -> String {
    let fetch = documents.map_or(String::new(), |origin| {
        format!("[fetch]\nextra_ca_files = [\"ca.pem\"]\nloopback_origins = [\"{origin}\"]\n")
    });
    format!(
        r#"issuer = "http://{host}"
listen = "{host}"
[database]
url = "sqlite:vestibule.db"
[doors]
dcr = "open"
cimd = "open"
{fetch}[limits]
enabled = false
[[resources]]
uri = "{RESOURCE}"
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
