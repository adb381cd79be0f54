//! What the hub and its rivals have in common: clients, a session and tokens, and the requests of
//! each item of work. How a client gets its session and its codes is each server's own.

use std::{cell::Cell, rc::Rc};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{
    Outcome, host,
    http::{self, NEW_REGISTRATION, REGISTRATION},
    load::{Load, Until, Work},
    plan::Item,
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
    /// Public keys.
    pub(crate) jwks: &'static str,
    /// Introspection endpoint.
    pub(crate) introspect: &'static str,
    /// Revocation endpoint.
    pub(crate) revoke: &'static str,
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
    /// Where the documents of clients are.
    pub(crate) documents: String,
    /// The header by which the resource server introspects.
    pub(crate) credentials: String,
    /// The header by which a client acts for itself.
    pub(crate) machine: String,
    /// What measurements use, once it is prepared.
    pub(crate) stock: Stock,
}

/// What measurements use.
#[derive(Default)]
pub(crate) struct Stock {
    /// The registered client.
    pub(crate) client: String,
    /// The sessions of people, each as a header.
    pub(crate) sessions: Vec<String>,
    /// Refresh tokens that are alive, one of each family.
    pub(crate) families: Vec<String>,
    /// Refresh tokens to be revoked.
    pub(crate) spare: Vec<String>,
    /// An access token.
    pub(crate) access: String,
    /// The last number of a client that was new.
    pub(crate) newest: Rc<Cell<u32>>,
}

impl Contender {
    /// Tokens that are alive after a measurement.
    pub(crate) fn give_back(&mut self, item: Item, tokens: Vec<String>) {
        match item {
            Item::Code => self.stock.spare.extend(tokens),
            _ => self.stock.families.extend(tokens),
        }
    }

    /// A measurement. `spent` is what it uses up: codes for [`Item::Code`], tokens for
    /// [`Item::Revoke`], whole requests for [`Item::Consent`].
    pub(crate) fn load(&mut self, item: Item, until: Until, spent: Vec<Vec<u8>>) -> Load {
        let host = &self.host;
        let (work, expected) = match item {
            Item::Register => (Work::Same(self.registration(REGISTRATION)), 201),
            Item::RegisterNew => {
                let work = Work::Numbered {
                    request: self.registration(NEW_REGISTRATION),
                    last: self.stock.newest.clone(),
                };
                (work, 201)
            }
            Item::Discovery => {
                let request = http::get(host, "/.well-known/openid-configuration", "");
                (Work::Same(request), 200)
            }
            Item::Jwks => (Work::Same(http::get(host, self.routes.jwks, "")), 200),
            Item::Authorize => {
                let requests = self.of_each(|session| self.agent_asks(session));
                (Work::Own(requests), self.routes.asked)
            }
            Item::Remembered => {
                let requests = self.of_each(|session| self.app_asks(session));
                (Work::Own(requests), 303)
            }
            Item::Consent => (Work::Each(spent), 303),
            Item::Code | Item::Revoke => (Work::Each(spent), 200),
            Item::Refresh => {
                let work = Work::Refresh {
                    client: self.stock.client.clone(),
                    tokens: std::mem::take(&mut self.stock.families),
                };
                (work, 200)
            }
            Item::Machine => (Work::Same(self.act_for_itself()), 200),
            Item::Introspect => (Work::Same(self.introspection()), 200),
        };
        let mark = match item {
            // A redirect to somewhere else would have the same status.
            Item::Remembered | Item::Consent => "code=",
            _ => "",
        };
        Load {
            host: host.as_str().into(),
            work,
            expected,
            mark,
            until,
        }
    }

    /// Register the client.
    pub(crate) async fn register(&mut self) -> Outcome<()> {
        let reply = http::once(&self.host, &self.registration(REGISTRATION))
            .await?
            .expect(201, "a registration")?;
        let client = reply.member("client_id").ok_or("no client_id")?;
        client.clone_into(&mut self.stock.client);
        Ok(())
    }

    /// What is measured is the answer about a good access token, the token of a client that may
    /// have it, and a code without a question.
    pub(crate) async fn check(&self) -> Outcome<()> {
        let reply = http::once(&self.host, &self.introspection())
            .await?
            .expect(200, "introspection")?;
        if !reply.body.contains("\"active\":true") {
            return Err(format!("introspection: {}", reply.body));
        }
        let reply = http::once(&self.host, &self.act_for_itself())
            .await?
            .expect(200, "client_credentials")?;
        let token = reply.member("access_token").unwrap_or_default();
        let header = token.split('.').next().unwrap_or_default();
        let header = URL_SAFE_NO_PAD.decode(header).unwrap_or_default();
        if !String::from_utf8_lossy(&header).contains("\"ES256\"") {
            return Err(format!("client_credentials, no ES256: {}", reply.body));
        }
        let callback = self.app_callback();
        for request in self.of_each(|session| self.app_asks(session)) {
            let reply = http::once(&self.host, &request).await?;
            let location = reply.header("location").unwrap_or_default();
            if !location.starts_with(&callback) || !location.contains("code=") {
                return Err(format!("not remembered: {} {location}", reply.status));
            }
        }
        Ok(())
    }

    /// The agent asks for a person's consent.
    fn agent_asks(&self, session: &str) -> Vec<u8> {
        self.ask(
            &format!("{}{}", self.documents, host::AGENT),
            http::CALLBACK,
            session,
        )
    }

    /// The app does.
    pub(crate) fn app_asks(&self, session: &str) -> Vec<u8> {
        let client = format!("{}{}", self.documents, host::APP);
        self.ask(&client, &self.app_callback(), session)
    }

    /// The registered client does.
    pub(crate) fn client_asks(&self, session: &str) -> Vec<u8> {
        self.ask(&self.stock.client, http::CALLBACK, session)
    }

    /// The tokens as requests that revoke them.
    pub(crate) fn revocations(&self, tokens: &[String]) -> Vec<Vec<u8>> {
        let request = |token: &String| {
            let pairs = [("client_id", &*self.stock.client), ("token", token)];
            http::post_form(&self.host, self.routes.revoke, "", &pairs)
        };
        tokens.iter().map(request).collect()
    }

    /// The codes as requests that redeem them.
    pub(crate) fn redemptions(&self, codes: &[String]) -> Vec<Vec<u8>> {
        let client = &self.stock.client;
        let request = |code: &String| http::redeem(&self.host, client, code);
        codes.iter().map(request).collect()
    }

    fn app_callback(&self) -> String {
        format!("{}{}", self.documents, host::APP_CALLBACK)
    }

    /// A request of each person.
    fn of_each(&self, request: impl Fn(&str) -> Vec<u8>) -> Vec<Vec<u8>> {
        let sessions = self.stock.sessions.iter();
        sessions.map(|session| request(session)).collect()
    }

    fn ask(&self, client: &str, redirect: &str, session: &str) -> Vec<u8> {
        let path = http::authorize(self.routes.authorize, client, redirect, &self.resource);
        http::get(&self.host, &path, session)
    }

    fn registration(&self, body: &str) -> Vec<u8> {
        http::post(
            &self.host,
            self.routes.register,
            "application/json",
            "",
            body,
        )
    }

    fn act_for_itself(&self) -> Vec<u8> {
        http::machine(&self.host, &self.machine, &self.resource)
    }

    fn introspection(&self) -> Vec<u8> {
        let pairs = [("token", self.stock.access.as_str())];
        let path = self.routes.introspect;
        http::post_form(&self.host, path, &self.credentials, &pairs)
    }
}
