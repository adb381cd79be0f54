//! A browser that takes one step at a time, for tests of what may go wrong between the steps.

#![expect(clippy::panic, reason = "a step that is another one ends the test")]

use std::time::Duration;

use serde_json::json;
use vestibule_engine::{
    Browser, ConsentForm, ConsentPage, FailurePage, LeavePage, ReportedPage, SignInForm,
    SignInPage, Step, WaitingPage,
};
use vestibule_protocol::{
    cimd_document, client_id::ClientKey, ids::SessionHash, redirect_uri::RedirectPolicy,
    secret::Secret, trust::Standing,
};
use vestibule_store::{
    clients::{ClientLookup, StoredClient},
    sessions::Session,
};

use super::{
    CALLBACK, CHALLENGE, Hub, NOTES, metadata, pairs, public_client, source, source_of,
    stored_client, walk::follow,
};

/// A client document's URL.
pub const DOCUMENT: &str = "https://agent.example/client.json";

/// One browser at a hub.
pub struct Visit<'a> {
    pub hub: &'a Hub,
    pub browser: Browser,
}

/// An authorization request; `more` replaces parameters, an empty value takes one away.
pub fn request(client_id: &str, more: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut list = vec![
        ("response_type", "code"),
        ("client_id", client_id),
        ("redirect_uri", CALLBACK),
        ("state", "st"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
        ("scope", "mcp:read mcp:write"),
        ("resource", NOTES),
    ];
    list.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
    list.extend(more.iter().filter(|(_, value)| !value.is_empty()));
    pairs(&list)
}

impl<'a> Visit<'a> {
    /// A browser that was never here.
    pub fn new(hub: &'a Hub) -> Self {
        let browser = Browser {
            source: source(),
            session: None,
            pre_session: None,
            waiting: None,
        };
        Self { hub, browser }
    }

    /// A browser that comes from this address.
    pub fn from(hub: &'a Hub, ip: &str) -> Self {
        let mut visit = Self::new(hub);
        visit.browser.source = source_of(ip);
        visit
    }

    /// A browser of somebody who signed in just now, by a way that costs no hash.
    pub async fn signed_in(hub: &'a Hub, name: &str) -> Self {
        let known = hub.store.find_user_by_name(name).await.unwrap();
        let user = match known {
            Some(user) => user.id,
            None => hub.add_quick_user(name).await,
        };
        let cookie = format!("session-{name}-{}", hub.unique());
        let session = Session {
            hash: SessionHash::new(vestibule_seal::sha256(cookie.as_bytes())),
            user,
            auth_time: hub.now(),
            expires_at: hub.now().plus(Duration::from_hours(12)),
        };
        hub.store.open_session(session, None).await.unwrap();
        let mut visit = Self::new(hub);
        visit.browser.session = Some(cookie);
        visit
    }

    /// Ask.
    pub async fn ask(&mut self, client_id: &str, more: &[(&str, &str)]) -> Step {
        let list = request(client_id, more);
        let reply = self.hub.engine.authorize(&list, &self.browser).await;
        follow(&mut self.browser, reply)
    }

    /// Fill in the sign-in form.
    pub async fn sign_in(&mut self, page: &SignInPage, name: &str, password: &str) -> Step {
        let form = SignInForm {
            ticket: page.ticket.clone(),
            username: name.to_owned(),
            password: Secret::new(password.to_owned()),
            csrf: page.csrf.clone(),
        };
        let reply = self.hub.engine.sign_in(form, &self.browser).await;
        follow(&mut self.browser, reply)
    }

    /// Press Allow with these ticks.
    pub async fn allow(&mut self, page: &ConsentPage, ticks: &[&str]) -> Step {
        self.decide(page, true, ticks).await
    }

    /// Press Deny.
    pub async fn deny(&mut self, page: &ConsentPage) -> Step {
        self.decide(page, false, &[]).await
    }

    /// Read the warnings, confirm them, and press Allow with these ticks.
    pub async fn confirm(&mut self, page: &ConsentPage, ticks: &[&str]) -> Step {
        let form = ConsentForm {
            confirmed: true,
            ..form(page, true, ticks)
        };
        self.send(form).await
    }

    /// Press Report.
    pub async fn report(&mut self, page: &ConsentPage) -> Step {
        let form = ConsentForm {
            report: true,
            ..form(page, false, &[])
        };
        self.send(form).await
    }

    /// The waiting page asks again by itself.
    pub async fn resume(&mut self) -> Step {
        let reply = self.hub.engine.resume(&self.browser).await;
        follow(&mut self.browser, reply)
    }

    async fn decide(&mut self, page: &ConsentPage, approve: bool, ticks: &[&str]) -> Step {
        self.send(form(page, approve, ticks)).await
    }

    /// Send a consent form.
    pub async fn send(&mut self, form: ConsentForm) -> Step {
        let reply = self.hub.engine.decide(form, &self.browser).await;
        follow(&mut self.browser, reply)
    }
}

/// The consent form as the page sends it.
pub fn form(page: &ConsentPage, approve: bool, ticks: &[&str]) -> ConsentForm {
    ConsentForm {
        report: false,
        confirmed: false,
        duration: None,
        ticket: page.ticket.clone(),
        approve,
        scopes: ticks.iter().map(|scope| (*scope).to_owned()).collect(),
        csrf: page.csrf.clone(),
    }
}

/// Every scope that the page offers.
pub fn offered(page: &ConsentPage) -> Vec<&str> {
    let groups = [
        &page.scopes.read,
        &page.scopes.write,
        &page.scopes.destructive,
        &page.identity_scopes,
    ];
    let rows = groups.into_iter().flatten();
    rows.map(|row| row.scope.as_str()).collect()
}

impl Hub {
    /// Serve a client document at this URL, fetched now; `more` replaces members.
    pub fn serve_document_at(&self, url: &str, more: &serde_json::Value) {
        let mut document = json!({
            "client_id": url,
            "client_name": "Agent",
            "redirect_uris": [CALLBACK],
            "grant_types": ["authorization_code", "refresh_token"],
        });
        for (name, value) in more.as_object().into_iter().flatten() {
            document[name.as_str()] = value.clone();
        }
        let bytes = document.to_string();
        let read = cimd_document::read(bytes.as_bytes(), url, &RedirectPolicy::default());
        let now = self.now().seconds();
        self.documents.serve_fetched(url, read.unwrap().0, now);
    }

    /// A stored client of some standing, with this redirect URI.
    pub async fn add_standing(&self, id: &str, standing: Standing, uri: &str) -> StoredClient {
        let mut json = public_client();
        json["redirect_uris"] = json!([uri]);
        let client = StoredClient {
            standing,
            metadata: metadata(&json),
            ..stored_client(self, id, &json)
        };
        self.add_stored(client).await
    }

    /// Serve a client document with these members more.
    pub fn serve_document(&self, more: &serde_json::Value) {
        let mut document = json!({
            "client_id": DOCUMENT,
            "client_name": "Agent",
            "redirect_uris": [CALLBACK],
            "grant_types": ["authorization_code", "refresh_token"],
        });
        for (name, value) in more.as_object().into_iter().flatten() {
            document[name.as_str()] = value.clone();
        }
        let read = cimd_document::read(
            document.to_string().as_bytes(),
            DOCUMENT,
            &RedirectPolicy::default(),
        );
        let now = self.now().seconds();
        self.documents.serve_fetched(DOCUMENT, read.unwrap().0, now);
    }

    /// What is on disk once the store has moved its journal into its file.
    pub async fn settled_bytes(&self) -> Vec<u8> {
        let mut bytes = self.stored_bytes().await;
        let mut quiet = 0;
        for _ in 0..60 {
            tokio::time::sleep(Duration::from_millis(150)).await;
            let later = self.stored_bytes().await;
            quiet = if later == bytes { quiet + 1 } else { 0 };
            if quiet == 10 {
                break;
            }
            bytes = later;
        }
        bytes
    }

    /// What the store says of a client.
    pub async fn lookup(&self, client_id: &str) -> ClientLookup {
        let key = ClientKey::of(client_id);
        self.store.find_client(&key).await.unwrap()
    }
}

/// The consent page, or the end of the test.
pub fn consent(step: Step) -> ConsentPage {
    match step {
        Step::Consent(page) => *page,
        other => panic!("no consent page but {other:?}"),
    }
}

/// The sign-in page.
pub fn sign_in(step: Step) -> SignInPage {
    match step {
        Step::SignIn(page) => page,
        other => panic!("no sign-in page but {other:?}"),
    }
}

/// The error page.
pub fn shown(step: Step) -> FailurePage {
    match step {
        Step::Show(page) => page,
        other => panic!("no error page but {other:?}"),
    }
}

/// The page of a person whose app waits for an admin.
pub fn waiting(step: Step) -> WaitingPage {
    match step {
        Step::Waiting(page) => page,
        other => panic!("no waiting page but {other:?}"),
    }
}

/// The page after a report.
pub fn reported(step: Step) -> ReportedPage {
    match step {
        Step::Reported(page) => page,
        other => panic!("no page after a report but {other:?}"),
    }
}

/// The page that offers to go on.
pub fn leave(step: Step) -> LeavePage {
    match step {
        Step::Leave(page) => page,
        other => panic!("no page to leave but {other:?}"),
    }
}

/// The Location.
pub fn redirect(step: Step) -> String {
    match step {
        Step::Redirect(location) => location,
        other => panic!("no redirect but {other:?}"),
    }
}

/// One word for tables.
pub fn word(step: &Step) -> String {
    match step {
        Step::Consent(_) => "consent".to_owned(),
        Step::Leave(page) => format!("leave {}", answer(&page.to, "error").unwrap_or_default()),
        Step::Redirect(to) => match answer(to, "error") {
            Some(error) => format!("redirect {error}"),
            None => "code".to_owned(),
        },
        Step::Setup(_) => "setup".to_owned(),
        Step::Show(_) => "show".to_owned(),
        Step::SignIn(_) => "sign-in".to_owned(),
        Step::SignedIn(_) => "signed-in".to_owned(),
        Step::SignedOut => "signed-out".to_owned(),
        Step::Admin(_) => "admin".to_owned(),
        Step::Approvals(_) => "approvals".to_owned(),
        Step::Own(path) => format!("own {path}"),
        Step::Reported(_) => "reported".to_owned(),
        Step::Waiting(_) => "waiting".to_owned(),
    }
}

/// A parameter of a response, decoded; it must be there once at most.
pub fn answer(location: &str, name: &str) -> Option<String> {
    let (_, query) = location.split_once('?')?;
    let mut found = query.split('&').filter_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        (key == name).then(|| decode(value))
    });
    let value = found.next();
    assert!(found.next().is_none(), "{name} twice in {location}");
    value
}

fn decode(text: &str) -> String {
    let mut bytes = text.bytes();
    let mut decoded = Vec::new();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [bytes.next().unwrap(), bytes.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            other => other,
        });
    }
    String::from_utf8(decoded).unwrap()
}
