//! npm's `oidc-provider`, as `oidc-provider/server.mjs` sets it up: everything in memory.

use std::{path::Path, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;

use crate::{
    Item, Outcome,
    http::{self, CALLBACK, REGISTRATION, VERIFIER},
    hub::{FAMILIES, Hub},
    load::{Load, Work},
    process::{self, Process},
};

/// As in `server.mjs`.
const CREDENTIALS: &str = "resource-server:the+secret+of+a+resource+server+in+a+benchmark";

/// The running server.
pub(crate) struct Provider {
    /// Its process.
    pub(crate) process: Process,
    host: String,
    resource: String,
    document: String,
    client: String,
    cookie: String,
    families: Vec<String>,
    access: String,
}

impl Provider {
    /// Start it; it shares the hub's document host and resource.
    pub(crate) async fn start(hub: &Hub) -> Outcome<Self> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        if !here.join("node_modules/oidc-provider").exists() {
            return Err("oidc-provider is missing: `cargo xtask bench` gets it".to_owned());
        }
        let script = here.join("oidc-provider/server.mjs");
        let port = process::free_port()?.to_string();
        let authority = hub.folder().join("ca.pem");
        let log = hub.folder().join("oidc-provider.log");
        let variables = [
            ("NODE_ENV", "production"),
            ("NODE_EXTRA_CA_CERTS", &*authority.to_string_lossy()),
            ("PORT", &port),
            ("RESOURCE", &hub.resource),
        ];
        let process = Process::on_core_0(
            Path::new("node"),
            &[&script.to_string_lossy()],
            &variables,
            Some(&log),
        )?;
        let host = format!("127.0.0.1:{port}");
        http::ready(&host, "/.well-known/openid-configuration").await?;
        Ok(Self {
            process,
            host,
            resource: hub.resource.clone(),
            document: hub.document.clone(),
            client: String::new(),
            cookie: String::new(),
            families: Vec::new(),
            access: String::new(),
        })
    }

    /// Tokens that are alive after a measurement.
    pub(crate) fn give_back(&mut self, tokens: Vec<String>) {
        self.families.extend(tokens);
    }

    /// Prepare a measurement.
    pub(crate) async fn load(
        &mut self,
        item: Item,
        length: Duration,
        codes: usize,
    ) -> Outcome<Load> {
        if self.client.is_empty() {
            self.prepare().await?;
        }
        let host = &self.host;
        let (work, expected) = match item {
            Item::Register => (
                Work::Same(http::post(
                    host,
                    "/reg",
                    "application/json",
                    "",
                    REGISTRATION,
                )),
                201,
            ),
            Item::Discovery => (
                Work::Same(http::get(host, "/.well-known/openid-configuration", "")),
                200,
            ),
            Item::Authorize => {
                let path = http::authorize("/auth", &self.document, &self.resource);
                let cookie = format!("cookie: {}\r\n", self.cookie);
                (Work::Same(http::get(host, &path, &cookie)), 303)
            }
            Item::Code => {
                let codes = self.make("code", codes).await?;
                let requests = codes
                    .iter()
                    .map(|code| http::redeem(host, &self.client, code));
                (Work::Each(requests.collect()), 200)
            }
            Item::Refresh => {
                let tokens = std::mem::take(&mut self.families);
                (
                    Work::Refresh {
                        client: self.client.clone(),
                        tokens,
                    },
                    200,
                )
            }
            Item::Introspect => {
                let pairs = [("token", self.access.as_str())];
                (
                    Work::Same(http::post_form(
                        host,
                        "/token/introspection",
                        &basic(),
                        &pairs,
                    )),
                    200,
                )
            }
        };
        Ok(Load::new(host, work, expected, length))
    }

    async fn prepare(&mut self) -> Outcome<()> {
        let request = http::post(&self.host, "/reg", "application/json", "", REGISTRATION);
        let reply = http::once(&self.host, &request)
            .await?
            .expect(201, "a registration")?;
        reply
            .member("client_id")
            .ok_or("no client_id")?
            .clone_into(&mut self.client);
        self.families = self.make("refresh", FAMILIES).await?;
        self.access = self.make("access", 1).await?.pop().unwrap_or_default();
        let pairs = [("token", self.access.as_str())];
        let request = http::post_form(&self.host, "/token/introspection", &basic(), &pairs);
        let reply = http::once(&self.host, &request)
            .await?
            .expect(200, "introspection")?;
        if !reply.body.contains("\"active\":true") {
            return Err(format!("introspection: {}", reply.body));
        }
        self.cookie = self.sign_in().await?;
        Ok(())
    }

    /// Through the library's models.
    async fn make(&self, kind: &str, count: usize) -> Outcome<Vec<String>> {
        let body = json!({
            "kind": kind,
            "count": count,
            "client_id": self.client,
            "redirect": CALLBACK,
            "verifier": VERIFIER,
        });
        let request = http::post(
            &self.host,
            "/prepare",
            "application/json",
            "",
            &body.to_string(),
        );
        let reply = http::once(&self.host, &request)
            .await?
            .expect(200, "preparation")?;
        serde_json::from_str(&reply.body).map_err(|failure| failure.to_string())
    }

    /// A session, by the library's own development pages.
    async fn sign_in(&self) -> Outcome<String> {
        let mut jar = Vec::new();
        let path = http::authorize("/auth", &self.document, &self.resource);
        let page = self
            .step(&http::get(&self.host, &path, ""), &mut jar)
            .await?;
        let cookie = format!("cookie: {}\r\n", jar.join("; "));
        let pairs = [("prompt", "login"), ("login", "alice"), ("password", "-")];
        let resume = self
            .step(
                &http::post_form(&self.host, &page, &cookie, &pairs),
                &mut jar,
            )
            .await?;
        self.step(&http::get(&self.host, &resume, &cookie), &mut jar)
            .await?;
        jar.retain(|cookie| cookie.starts_with("_session"));
        if jar.is_empty() {
            Err("no session at oidc-provider".to_owned())
        } else {
            Ok(jar.join("; "))
        }
    }

    /// A request that is answered with a redirect: where to, and its cookies.
    async fn step(&self, request: &[u8], jar: &mut Vec<String>) -> Outcome<String> {
        let reply = http::once(&self.host, request)
            .await?
            .expect(303, "signing in at oidc-provider")?;
        jar.extend(reply.cookies().map(str::to_owned));
        let location = reply.header("location").ok_or("no location")?;
        let own = format!("http://{}", self.host);
        Ok(location.strip_prefix(&own).unwrap_or(location).to_owned())
    }
}

fn basic() -> String {
    format!("authorization: Basic {}\r\n", STANDARD.encode(CREDENTIALS))
}
