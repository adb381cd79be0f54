//! What the hub and its rival have in common: a client, a session and tokens, and the requests of
//! each item of work. How a client gets its session and its codes is each server's own.

use std::time::Duration;

use crate::{
    Item, Outcome,
    http::{self, REGISTRATION},
    load::{Load, Work},
    process::Process,
};

/// What the servers call the same things.
pub(crate) struct Routes {
    /// Registration endpoint.
    pub(crate) register: &'static str,
    /// Authorization endpoint.
    pub(crate) authorize: &'static str,
    /// Status of an authorization request that a person is asked about.
    pub(crate) asked: u16,
    /// Introspection endpoint.
    pub(crate) introspect: &'static str,
}

/// A running server and what measurements of it need.
pub(crate) struct Contender {
    /// Its process.
    pub(crate) process: Process,
    /// Its names.
    pub(crate) routes: Routes,
    /// `127.0.0.1:PORT`.
    pub(crate) host: String,
    /// The protected resource.
    pub(crate) resource: String,
    /// `client_id` of the client that has a document.
    pub(crate) document: String,
    /// The header by which the resource server introspects.
    pub(crate) credentials: String,
    /// The registered client.
    pub(crate) client: String,
    /// The person's session.
    pub(crate) cookie: String,
    /// Refresh tokens that are alive.
    pub(crate) families: Vec<String>,
    /// An access token.
    pub(crate) access: String,
}

impl Contender {
    /// Tokens that are alive after a measurement.
    pub(crate) fn give_back(&mut self, tokens: Vec<String>) {
        self.families.extend(tokens);
    }

    /// A measurement; `codes` are only spent by [`Item::Code`].
    pub(crate) fn load(&mut self, item: Item, length: Duration, codes: &[String]) -> Load {
        let host = &self.host;
        let (work, expected) = match item {
            Item::Register => (Work::Same(self.registration()), 201),
            Item::Discovery => {
                let request = http::get(host, "/.well-known/openid-configuration", "");
                (Work::Same(request), 200)
            }
            Item::Authorize => {
                let path = http::authorize(self.routes.authorize, &self.document, &self.resource);
                let cookie = format!("cookie: {}\r\n", self.cookie);
                let request = http::get(host, &path, &cookie);
                (Work::Same(request), self.routes.asked)
            }
            Item::Code => {
                let requests = codes
                    .iter()
                    .map(|code| http::redeem(host, &self.client, code));
                (Work::Each(requests.collect()), 200)
            }
            Item::Refresh => {
                let work = Work::Refresh {
                    client: self.client.clone(),
                    tokens: std::mem::take(&mut self.families),
                };
                (work, 200)
            }
            Item::Introspect => (Work::Same(self.introspection()), 200),
        };
        Load::new(&self.host, work, expected, length)
    }

    /// Register the client.
    pub(crate) async fn register(&mut self) -> Outcome<()> {
        let reply = http::once(&self.host, &self.registration())
            .await?
            .expect(201, "a registration")?;
        let client = reply.member("client_id").ok_or("no client_id")?;
        client.clone_into(&mut self.client);
        Ok(())
    }

    /// The access token must be active: what is measured is the answer about a good one.
    pub(crate) async fn check_introspection(&self) -> Outcome<()> {
        let reply = http::once(&self.host, &self.introspection())
            .await?
            .expect(200, "introspection")?;
        if reply.body.contains("\"active\":true") {
            Ok(())
        } else {
            Err(format!("introspection: {}", reply.body))
        }
    }

    fn registration(&self) -> Vec<u8> {
        let json = "application/json";
        http::post(&self.host, self.routes.register, json, "", REGISTRATION)
    }

    fn introspection(&self) -> Vec<u8> {
        let pairs = [("token", self.access.as_str())];
        let path = self.routes.introspect;
        http::post_form(&self.host, path, &self.credentials, &pairs)
    }
}
