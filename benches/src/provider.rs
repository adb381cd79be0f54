//! npm's `oidc-provider`, as `oidc-provider/server.mjs` sets it up: everything in memory.

use std::{path::Path, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;

use crate::{
    Item, Outcome,
    contender::{Contender, Routes},
    http::{self, CALLBACK, VERIFIER},
    hub::{FAMILIES, Hub},
    load::Load,
    process::{self, Process},
};

/// As in `server.mjs`.
const CREDENTIALS: &str = "resource-server:the+secret+of+a+resource+server+in+a+benchmark";

const ROUTES: Routes = Routes {
    register: "/reg",
    authorize: "/auth",
    asked: 303,
    introspect: "/token/introspection",
};

/// The running server.
pub(crate) struct Provider {
    /// What is measured.
    pub(crate) contender: Contender,
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
            ("RESOURCE", &hub.contender.resource),
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
            contender: Contender {
                process,
                routes: ROUTES,
                host,
                resource: hub.contender.resource.clone(),
                document: hub.contender.document.clone(),
                credentials: format!("authorization: Basic {}\r\n", STANDARD.encode(CREDENTIALS)),
                client: String::new(),
                cookie: String::new(),
                families: Vec::new(),
                access: String::new(),
            },
        })
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
            Item::Code => self.make("code", codes).await?,
            _ => Vec::new(),
        };
        Ok(self.contender.load(item, length, &codes))
    }

    async fn prepare(&mut self) -> Outcome<()> {
        self.contender.register().await?;
        self.contender.families = self.make("refresh", FAMILIES).await?;
        self.contender.access = self.make("access", 1).await?.pop().unwrap_or_default();
        self.contender.check_introspection().await?;
        self.contender.cookie = self.sign_in().await?;
        Ok(())
    }

    /// Through the library's models.
    async fn make(&self, kind: &str, count: usize) -> Outcome<Vec<String>> {
        let body = json!({
            "kind": kind,
            "count": count,
            "client_id": self.contender.client,
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

    /// A session, by the library's own development pages.
    async fn sign_in(&self) -> Outcome<String> {
        let mut jar = Vec::new();
        let path = http::authorize(
            ROUTES.authorize,
            &self.contender.document,
            &self.contender.resource,
        );
        let page = self
            .step(&http::get(&self.contender.host, &path, ""), &mut jar)
            .await?;
        let cookie = format!("cookie: {}\r\n", jar.join("; "));
        let pairs = [("prompt", "login"), ("login", "alice"), ("password", "-")];
        let resume = self
            .step(
                &http::post_form(&self.contender.host, &page, &cookie, &pairs),
                &mut jar,
            )
            .await?;
        self.step(&http::get(&self.contender.host, &resume, &cookie), &mut jar)
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
        let reply = http::once(&self.contender.host, request)
            .await?
            .expect(303, "signing in at oidc-provider")?;
        jar.extend(reply.cookies().map(str::to_owned));
        let location = reply.header("location").ok_or("no location")?;
        let own = format!("http://{}", self.contender.host);
        Ok(location.strip_prefix(&own).unwrap_or(location).to_owned())
    }
}
