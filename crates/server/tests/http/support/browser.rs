//! A browser: cookies that it was given, forms that it was shown.

use std::collections::BTreeMap;

use axum::body::Body;

use super::{Answer, Hub, PASSWORD, authorize_pairs, encode, request};

/// Keeps cookies of one hub.
#[derive(Default)]
pub(crate) struct Browser {
    pub(crate) cookies: BTreeMap<String, String>,
}

/// A form as it would be sent, without its buttons.
#[derive(Clone, Debug)]
pub(crate) struct Form {
    pub(crate) action: String,
    pub(crate) fields: Vec<(String, String)>,
}

impl Form {
    /// The only form of a page.
    pub(crate) fn of(page: &str) -> Self {
        let (_, rest) = page.split_once("<form ").expect("a form");
        let (form, _) = rest.split_once("</form>").expect("its end");
        let head = form.split('>').next().unwrap();
        assert_eq!(attribute(head, "method").as_deref(), Some("post"));
        let mut fields = Vec::new();
        for input in form.split("<input ").skip(1) {
            let input = input.split('>').next().unwrap();
            let can_be_chosen = ["checkbox", "radio"]
                .iter()
                .any(|kind| input.contains(&format!("type=\"{kind}\"")));
            if !can_be_chosen || input.ends_with(" checked") {
                let name = attribute(input, "name").expect("a name");
                fields.push((name, attribute(input, "value").unwrap_or_default()));
            }
        }
        Self {
            action: attribute(head, "action").expect("an action"),
            fields,
        }
    }

    /// Fill in a field.
    pub(crate) fn set(mut self, name: &str, value: &str) -> Self {
        self.fields.retain(|(field, _)| field != name);
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// What is in a field.
    pub(crate) fn value(&self, name: &str) -> &str {
        let field = self.fields.iter().find(|(field, _)| field == name);
        &field.expect("a field").1
    }

    /// Every value of a field.
    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        let fields = self.fields.iter().filter(|(field, _)| field == name);
        fields.map(|(_, value)| value.as_str()).collect()
    }
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, rest) = tag.split_once(&format!("{name}=\""))?;
    let value = rest.split('"').next()?;
    let plain = value
        .replace("&#34;", "\"")
        .replace("&#39;", "'")
        .replace("&#60;", "<")
        .replace("&#62;", ">")
        .replace("&#38;", "&");
    Some(plain)
}

/// A parameter of a URL's query, decoded; twice is an error.
pub(crate) fn parameter(location: &str, name: &str) -> Option<String> {
    let url = url::Url::parse(location).unwrap();
    let mut found = url.query_pairs().filter(|(key, _)| key == name);
    let value = found.next().map(|(_, value)| value.into_owned());
    assert!(found.next().is_none(), "{name} is twice in {location}");
    value
}

impl Browser {
    fn cookie_header(&self) -> String {
        let pairs = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        pairs.collect::<Vec<_>>().join("; ")
    }

    fn keep(&mut self, answer: &Answer) {
        for line in answer.headers.get_all("set-cookie") {
            let pair = line.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    /// Follow a link.
    pub(crate) async fn get(&mut self, hub: &Hub, path: &str) -> Answer {
        let request = request("GET", path).header("cookie", self.cookie_header());
        let answer = hub.send(request.body(Body::empty()).unwrap()).await;
        self.keep(&answer);
        answer
    }

    /// Send a form, as pages of the hub itself do.
    pub(crate) async fn submit(&mut self, hub: &Hub, form: &Form) -> Answer {
        self.submit_from(hub, form, "same-origin").await
    }

    /// Send a form from where `Sec-Fetch-Site` says.
    pub(crate) async fn submit_from(&mut self, hub: &Hub, form: &Form, site: &str) -> Answer {
        let pairs: Vec<_> = form
            .fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let cookie = self.cookie_header();
        let headers = [("cookie", cookie.as_str()), ("sec-fetch-site", site)];
        let answer = hub.post_with(&form.action, &pairs, &headers).await;
        self.keep(&answer);
        answer
    }

    /// From an authorization request to the consent page, signing in as `person`.
    pub(crate) async fn reach_consent(
        &mut self,
        hub: &Hub,
        client_id: &str,
        person: &str,
    ) -> Answer {
        self.reach_consent_by(hub, &authorize_pairs(client_id), person)
            .await
    }

    /// The same for any request.
    pub(crate) async fn reach_consent_by(
        &mut self,
        hub: &Hub,
        pairs: &[(&str, &str)],
        person: &str,
    ) -> Answer {
        let page = self
            .get(hub, &format!("/authorize?{}", encode(pairs)))
            .await;
        let form = Form::of(&page.text())
            .set("username", person)
            .set("password", PASSWORD);
        let answer = self.submit(hub, &form).await;
        assert!(answer.text().contains("name=\"decision\""), "{answer:?}");
        answer
    }
}
