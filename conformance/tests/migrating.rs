//! The move from a vendor's registrations to its document client, from the first look to the last
//! grant.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "what surprises a test should end it"
)]

use serde_json::Value;
use vestibule_conformance::{Doors, PASSWORD, PERSON, Stage, agent, http};

/// Somebody else who uses the same software.
const OTHER: &str = "bea";

/// A client with a live grant, and the tokens of it.
struct Connected {
    client: String,
    access: String,
    refresh: String,
}

impl Connected {
    /// A person says yes to the client, and it redeems its code.
    async fn by(stage: &Stage, client: &str, session: &str) -> Self {
        let code = agent::code(stage, client, session).await.unwrap();
        let answer = agent::redeem(stage, client, &code).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
        Self {
            client: client.to_owned(),
            access: answer.member("access_token"),
            refresh: answer.member("refresh_token"),
        }
    }

    /// Refresh; the error if it is refused.
    async fn goes_on(&mut self, stage: &Stage) -> Result<(), String> {
        let answer = agent::refresh(stage, &self.client, &self.refresh).await;
        let answer = answer.unwrap();
        if answer.status != 200 {
            return Err(answer.member("error"));
        }
        self.refresh = answer.member("refresh_token");
        self.access = answer.member("access_token");
        let called = agent::call(stage, &self.access).await;
        assert_eq!(called.status, 200, "{}", called.body);
        Ok(())
    }

    /// What introspection says of the access token, to the resource server that it is for.
    async fn is_active(&self, stage: &Stage, server: &(String, String)) -> bool {
        let form = http::form(&[
            ("client_id", &server.0),
            ("client_secret", &server.1),
            ("token", &self.access),
        ]);
        let url = format!("{}/introspect", stage.issuer);
        let answer = http::post_form(&url, "", &form).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
        let answer: Value = serde_json::from_str(&answer.body).unwrap();
        answer["active"].as_bool().unwrap()
    }
}

fn migrate(stage: &Stage, arguments: &[&str]) -> String {
    stage.command(&[&["migrate-clients"], arguments].concat(), "")
}

/// Id and secret with which the resource server introspects.
fn resource_server(stage: &Stage) -> (String, String) {
    let told = stage.command(&["resource", "credentials", &stage.resource], "");
    let word = |prefix: &str| {
        let mut words = told.split_whitespace();
        words
            .find(|word| word.starts_with(prefix))
            .unwrap()
            .to_owned()
    };
    (word("vcl_"), word("vcs_"))
}

fn rows(stage: &Stage, what: &str) -> Vec<Value> {
    serde_json::from_str(&migrate(stage, &[what, "--json"])).unwrap()
}

/// Grants that moved and that are left, as the report counts them.
fn report(stage: &Stage) -> (u64, u64) {
    let rows = rows(stage, "report");
    assert_eq!(rows.len(), 1, "{rows:?}");
    let count = |name: &str| rows[0][name].as_u64().unwrap();
    (count("moved"), count("live_grants_left"))
}

/// A link moves nothing; a person's next yes moves that person's grants, all of them and nobody
/// else's; the old tokens end with them, and the report counts it.
#[tokio::test(flavor = "multi_thread")]
async fn registrations_become_a_document_client_person_by_person() {
    let stage = Stage::start(Doors::default()).await;
    stage.command(&["user", "add", OTHER, "--password-stdin"], PASSWORD);
    let alice = agent::sign_in_as(&stage, PERSON).await;
    let bea = agent::sign_in_as(&stage, OTHER).await;
    let document = stage.documents.url("agent.json");
    let server = resource_server(&stage);
    let mut of_alice = Vec::new();
    for _ in 0..2 {
        let clone = agent::register(&stage).await;
        of_alice.push(Connected::by(&stage, &clone, &alice).await);
    }
    let clone = agent::register(&stage).await;
    let mut of_bea = vec![Connected::by(&stage, &clone, &bea).await];

    // What there is, and what a link would do.
    let listed = rows(&stage, "list");
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert_eq!(listed[0]["clients"], 3);
    assert_eq!(listed[0]["live_grants"], 3);
    let software = listed[0]["software"].as_str().unwrap();
    let told = migrate(&stage, &["plan", software, &document]);
    let lines = [
        "3 registered clients would get the successor",
        "3 live grants would move",
        "calls itself “Conformance Agent” and is unverified here",
    ];
    for line in lines {
        assert!(told.contains(line), "{told}");
    }
    assert!(rows(&stage, "report").is_empty(), "a plan changes nothing");

    // The link moves nothing.
    let told = migrate(&stage, &["link", software, &document]);
    assert!(told.starts_with("3 registered clients"), "{told}");
    assert_eq!(report(&stage), (0, 3));
    for connected in of_alice.iter_mut().chain(&mut of_bea) {
        assert_eq!(connected.goes_on(&stage).await, Ok(()));
        assert!(connected.is_active(&stage, &server).await);
    }

    // A yes of one person moves what that person granted.
    let mut moved = Connected::by(&stage, &document, &alice).await;
    assert_eq!(report(&stage), (2, 1));
    for connected in &mut of_alice {
        let refused = Err("invalid_grant".to_owned());
        assert!(!connected.is_active(&stage, &server).await);
        assert_eq!(connected.goes_on(&stage).await, refused);
    }
    assert_eq!(moved.goes_on(&stage).await, Ok(()));
    assert_eq!(of_bea[0].goes_on(&stage).await, Ok(()));

    // What registers later is not linked until it is linked.
    let later = agent::register(&stage).await;
    of_bea.push(Connected::by(&stage, &later, &bea).await);
    assert_eq!(report(&stage), (2, 1));
    let told = migrate(&stage, &["link", software, &document]);
    assert!(told.starts_with("4 registered clients"), "{told}");
    assert_eq!(report(&stage), (2, 2));
    Connected::by(&stage, &document, &bea).await;
    assert_eq!(report(&stage), (4, 0));
    for connected in &mut of_bea {
        let refused = Err("invalid_grant".to_owned());
        assert_eq!(connected.goes_on(&stage).await, refused);
    }
    assert_eq!(moved.goes_on(&stage).await, Ok(()));

    // The links go, and what moved stays moved.
    migrate(&stage, &["unlink", &document]);
    assert!(rows(&stage, "report").is_empty());
    assert!(of_alice[0].goes_on(&stage).await.is_err());
    assert_eq!(moved.goes_on(&stage).await, Ok(()));
    // A registration that lost its grants may ask for new ones.
    let mut anew = Connected::by(&stage, &of_alice[0].client, &alice).await;
    assert_eq!(anew.goes_on(&stage).await, Ok(()));
}
