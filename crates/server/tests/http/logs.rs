//! What the hub writes into its log while an agent walks through: no secret, whatever the level.

use std::{
    fmt::{Debug, Write as _},
    sync::{Arc, Mutex, Once},
};

use axum::http::StatusCode;
use serde_json::json;
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
    subscriber::{DefaultGuard, set_default, set_global_default},
};

use crate::support::{
    Browser, CALLBACK, Form, Hub, NOTES, PASSWORD, RS_BASIC, VERIFIER, parameter, public_client,
};

/// Keeps every event of every level as text.
#[derive(Clone, Default)]
pub(crate) struct Everything(Arc<Mutex<String>>);

/// Is interested in everything, and keeps nothing.
struct Deaf;

impl Subscriber for Deaf {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

impl Everything {
    /// Listen to this thread until the guard is dropped.
    pub(crate) fn listen() -> (Self, DefaultGuard) {
        static ONCE: Once = Once::new();
        // While one thread alone listens, a line of code that another thread reaches first is
        // taken for one that nobody wants to hear of, and stays silent for this thread too.
        ONCE.call_once(|| set_global_default(Deaf).unwrap());
        let everything = Self::default();
        let guard = set_default(everything.clone());
        (everything, guard)
    }

    /// What was logged until now.
    pub(crate) fn text(&self) -> String {
        self.0.lock().unwrap().clone()
    }
}

struct Text<'a>(&'a mut String);

impl Visit for Text<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // Writing to a String cannot fail.
        let _ = write!(self.0, " {field}={value:?}");
    }
}

impl Subscriber for Everything {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &span::Attributes<'_>) -> span::Id {
        span.record(&mut Text(&mut self.0.lock().unwrap()));
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, values: &span::Record<'_>) {
        values.record(&mut Text(&mut self.0.lock().unwrap()));
    }

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = self.0.lock().unwrap();
        let _ = write!(text, "\n{}", event.metadata().target());
        event.record(&mut Text(&mut text));
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// A confidential client's whole way; every secret that was seen on it.
async fn walk(hub: &Hub, browser: &mut Browser, secrets: &mut Vec<String>) -> Form {
    let mut metadata = public_client();
    metadata["token_endpoint_auth_method"] = "client_secret_post".into();
    let registered = hub.register(&metadata).await.json();
    let take = |body: &serde_json::Value, name: &str| body[name].as_str().unwrap().to_owned();
    let client_id = take(&registered, "client_id");
    let secret = take(&registered, "client_secret");
    secrets.extend([
        secret.clone(),
        take(&registered, "registration_access_token"),
    ]);
    let page = browser.reach_consent(hub, &client_id, "ada").await;
    let form = Form::of(&page.text());
    let allowed = form.clone().set("decision", "approve");
    let answer = browser.submit(hub, &allowed).await;
    let code = parameter(answer.location(), "code").unwrap();
    secrets.extend(["csrf", "ticket"].map(|name| form.value(name).to_owned()));
    secrets.extend(browser.cookies.values().cloned());
    secrets.push(code.clone());
    let redeem = async |secret: &str| {
        let pairs = [
            ("grant_type", "authorization_code"),
            ("client_id", client_id.as_str()),
            ("client_secret", secret),
            ("code", code.as_str()),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
            ("resource", NOTES),
        ];
        hub.post("/token", &pairs).await
    };
    let wrong = redeem("canary-wrong-secret").await;
    assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
    let tokens = redeem(&secret).await.json();
    assert_eq!(tokens["token_type"], "Bearer", "{tokens}");
    secrets.extend(["access_token", "refresh_token"].map(|name| take(&tokens, name)));
    assert_eq!(redeem(&secret).await.json()["error"], "invalid_grant");
    let bearer = [("authorization", RS_BASIC)];
    let access = take(&tokens, "access_token");
    for token in [access.as_str(), "canary-token"] {
        hub.post_with("/introspect", &[("token", token)], &bearer)
            .await;
    }
    form
}

/// P8: canaries of every kind, right ones and wrong ones, and none of them in the log.
#[tokio::test]
async fn no_secret_is_ever_logged() {
    let (log, _guard) = Everything::listen();
    let hub = Hub::start().await;
    hub.add_resource_server().await;
    hub.add_user("ada").await;
    let mut secrets = vec![PASSWORD.to_owned(), VERIFIER.to_owned()];
    secrets.push(RS_BASIC.replace("Basic ", ""));
    let mut browser = Browser::default();
    let form = walk(&hub, &mut browser, &mut secrets).await;
    let forged = form.set("csrf", "canary-csrf").set("decision", "deny");
    browser.submit(&hub, &forged).await;
    let mut other = Browser::default();
    let page = other.get(&hub, "/login").await;
    let form = Form::of(&page.text()).set("username", "ada");
    let answer = other
        .submit(&hub, &form.set("password", "canary-password"))
        .await;
    assert!(answer.text().contains("is wrong"));
    hub.post("/token?client_secret=canary-in-query", &[]).await;
    let uris = json!(["https://canary-body.example/#x"]);
    hub.register(&json!({ "redirect_uris": uris })).await;
    browser
        .get(&hub, "/authorize?client_id=nobody&state=canary-state")
        .await;
    hub.break_store().await;
    browser.get(&hub, "/readyz").await;

    let text = log.text();
    assert!(text.contains("vestibule"), "nothing was logged: {text}");
    for secret in &secrets {
        assert!(secret.len() >= 8, "{secret}");
        assert!(!text.contains(secret.as_str()), "{secret} in {text}");
    }
    assert!(!text.contains("canary"), "{text}");
}
