//! npm's `oidc-provider`, as `oidc-provider/server.mjs` sets it up: everything in memory, or
//! everything in a SQLite file.

use std::path::Path;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;
use tempfile::TempDir;

use crate::{
    Outcome,
    contender::{Contender, Routes, Stock},
    http::{self, CALLBACK, VERIFIER},
    hub::{FAMILIES, Hub},
    load::{CONNECTIONS, Load, Until},
    plan::Item,
    process::{self, Process},
};

/// As in `server.mjs`.
const CREDENTIALS: &str = "resource-server:the+secret+of+a+resource+server+in+a+benchmark";
/// As in `server.mjs`.
const MACHINE: &str = "robot:the+secret+of+a+machine+in+a+benchmark";

const ROUTES: Routes = Routes {
    register: "/reg",
    authorize: "/auth",
    asked: 303,
    jwks: "/jwks",
    introspect: "/token/introspection",
    revoke: "/token/revocation",
};

/// Where it keeps things.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) enum Keep {
    /// In its process.
    Memory,
    /// In a file of SQLite.
    File,
}

/// The running server.
pub(crate) struct Provider {
    /// What is measured.
    pub(crate) contender: Contender,
    folder: TempDir,
}

impl Provider {
    /// Start it; it shares the hub's document host and resource.
    pub(crate) async fn start(hub: &Hub, keep: Keep) -> Outcome<Self> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        if !here.join("node_modules/oidc-provider").exists() {
            return Err("oidc-provider is missing: `cargo xtask bench` gets it".to_owned());
        }
        let folder = tempfile::tempdir().map_err(|failure| failure.to_string())?;
        let script = here.join("oidc-provider/server.mjs");
        let port = process::free_port()?.to_string();
        let authority = hub.folder().join("ca.pem");
        let log = folder.path().join("oidc-provider.log");
        let store = match keep {
            Keep::Memory => String::new(),
            Keep::File => {
                let path = folder.path().join("oidc-provider.db");
                path.to_string_lossy().into_owned()
            }
        };
        let variables = [
            ("NODE_ENV", "production"),
            ("NODE_EXTRA_CA_CERTS", &*authority.to_string_lossy()),
            ("PORT", &port),
            ("RESOURCE", &hub.contender.resource),
            ("STORE", &store),
        ];
        let process = Process::on_core_0(
            Path::new("node"),
            &[&script.to_string_lossy()],
            &variables,
            Some(&log),
        )?;
        let host = format!("127.0.0.1:{port}");
        let started = http::ready(&host, ROUTES.jwks, http::PAUSE).await;
        started.map_err(|failure| {
            let log = std::fs::read_to_string(&log).unwrap_or_default();
            format!("{failure}: {log}")
        })?;
        let basic = |pair| format!("authorization: Basic {}\r\n", STANDARD.encode(pair));
        Ok(Self {
            contender: Contender {
                process,
                routes: ROUTES,
                host,
                resource: hub.contender.resource.clone(),
                documents: hub.contender.documents.clone(),
                credentials: basic(CREDENTIALS),
                machine: basic(MACHINE),
                stock: Stock::default(),
            },
            folder,
        })
    }

    /// Its folder: the file, if it has one, and what it logs.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Can it do this? Its consent page is an example that nobody should use, so a "yes" is not
    /// measured.
    pub(crate) fn does(item: Item) -> bool {
        item != Item::Consent
    }

    /// Prepare a measurement that uses up so many codes or tokens, if it uses up any.
    pub(crate) async fn load(&mut self, item: Item, until: Until, spent: usize) -> Outcome<Load> {
        if self.contender.stock.client.is_empty() {
            self.prepare().await?;
        }
        let spent = match item {
            Item::Code => {
                let codes = self.make("code", spent).await?;
                self.contender.redemptions(&codes)
            }
            Item::Revoke => {
                let missing = spent.saturating_sub(self.contender.stock.spare.len());
                let more = self.make("refresh", missing).await?;
                let spare = &mut self.contender.stock.spare;
                spare.extend(more);
                let tokens = spare.split_off(spare.len().saturating_sub(spent));
                self.contender.revocations(&tokens)
            }
            _ => Vec::new(),
        };
        Ok(self.contender.load(item, until, spent))
    }

    async fn prepare(&mut self) -> Outcome<()> {
        self.contender.register().await?;
        self.contender.stock.families = self.make("refresh", FAMILIES).await?;
        let access = self.make("access", 1).await?.pop();
        self.contender.stock.access = access.unwrap_or_default();
        for number in 0..CONNECTIONS {
            let session = self.sign_in(&format!("person{number}")).await?;
            self.contender.stock.sessions.push(session);
        }
        self.contender.check().await
    }

    /// Through the library's models.
    async fn make(&self, kind: &str, count: usize) -> Outcome<Vec<String>> {
        let body = json!({
            "kind": kind,
            "count": count,
            "client_id": self.contender.stock.client,
            "redirect": CALLBACK,
            "verifier": VERIFIER,
        });
        let request = http::post(
            &self.contender.host,
            "/prepare",
            "application/json",
            "",
            &body.to_string(),
        );
        let reply = http::once(&self.contender.host, &request)
            .await?
            .expect(200, "preparation")?;
        serde_json::from_str(&reply.body).map_err(|failure| failure.to_string())
    }

    /// A session, and a yes to the app, by the library's own development pages.
    async fn sign_in(&self, person: &str) -> Outcome<String> {
        let mut jar = Jar(Vec::new());
        let login = [("prompt", "login"), ("login", person), ("password", "-")];
        let page = self.step(&self.contender.app_asks(""), &mut jar).await?;
        let resume = self.say(&page, &login, &mut jar).await?;
        let page = self.follow(&resume, &mut jar).await?;
        let resume = self.say(&page, &[("prompt", "consent")], &mut jar).await?;
        self.follow(&resume, &mut jar).await?;
        jar.0.retain(|cookie| cookie.starts_with("_session"));
        if jar.0.is_empty() {
            return Err("no session at oidc-provider".to_owned());
        }
        Ok(jar.header())
    }

    async fn follow(&self, path: &str, jar: &mut Jar) -> Outcome<String> {
        let request = http::get(&self.contender.host, path, &jar.header());
        self.step(&request, jar).await
    }

    async fn say(&self, page: &str, pairs: &[(&str, &str)], jar: &mut Jar) -> Outcome<String> {
        let request = http::post_form(&self.contender.host, page, &jar.header(), pairs);
        self.step(&request, jar).await
    }

    /// A request that is answered with a redirect: where to, and its cookies.
    async fn step(&self, request: &[u8], jar: &mut Jar) -> Outcome<String> {
        let reply = http::once(&self.contender.host, request)
            .await?
            .expect(303, "signing in at oidc-provider")?;
        reply.cookies().for_each(|cookie| jar.put(cookie));
        let location = reply.header("location").ok_or("no location")?;
        let own = format!("http://{}", self.contender.host);
        Ok(location.strip_prefix(&own).unwrap_or(location).to_owned())
    }
}

/// Cookies, `name=value`, whatever their paths.
struct Jar(Vec<String>);

impl Jar {
    fn put(&mut self, cookie: &str) {
        let name = |cookie: &str| cookie.split('=').next().map(str::to_owned);
        self.0.retain(|kept| name(kept) != name(cookie));
        self.0.push(cookie.to_owned());
    }

    fn header(&self) -> String {
        format!("cookie: {}\r\n", self.0.join("; "))
    }
}
