use vestibule_protocol::{audit::Event, trust::Door};
use vestibule_store::{ApprovalStore as _, ClientStore as _, Store as _, approvals::Ask};

use crate::support::{Folder, audit, now, registered};

/// As the engine normalises it.
const SOFTWARE: &str = "|claude|claude.ai";

#[test]
fn a_word_is_said_of_an_exact_text_and_taken_back() {
    let folder = Folder::new("");
    let uri = "https://app.example/callback";
    let vouch = [
        "client",
        "vouch",
        "--redirect-uri",
        uri,
        "--note",
        "ours",
        "--days",
        "30",
    ];
    folder.run(&vouch).ok();
    folder.run(&["client", "block", "vdr_bad"]).ok();
    let words = folder.run(&["client", "words", "--json"]).json();
    let rows = words.as_array().unwrap();
    assert_eq!(rows.len(), 2);
    let vouched = rows.iter().find(|row| row["subject"] == uri).unwrap();
    assert_eq!(vouched["word"], "verified");
    assert_eq!(vouched["kind"], "redirect_uri");
    assert_eq!(vouched["note"], "ours");
    let days = vouched["until"].as_u64().unwrap() - vouched["at"].as_u64().unwrap();
    assert!(
        (days / 86_400) == 30 || days.div_ceil(86_400) == 30,
        "{days}"
    );
    let table = folder.run(&["client", "words"]).ok();
    assert!(table.contains("for good"), "{table}");
    folder
        .run(&["client", "unvouch", "--redirect-uri", uri])
        .ok();
    let told = folder
        .run(&["client", "unvouch", "--redirect-uri", uri])
        .fails();
    assert!(told.contains("nothing was said of"), "{told}");
}

/// Threats R4, R5: who listens there is nobody's to vouch for.
#[test]
fn a_redirect_that_any_program_can_take_is_not_vouched_for() {
    let folder = Folder::new("");
    for uri in ["http://127.0.0.1/callback", "cursor://anysphere/callback"] {
        let told = folder
            .run(&["client", "vouch", "--redirect-uri", uri])
            .fails();
        assert!(told.contains("only an https redirect URI"), "{uri}: {told}");
    }
    let told = folder.run(&["client", "vouch"]).fails();
    assert!(told.contains("--redirect-uri"), "{told}");
}

#[tokio::test]
async fn a_proof_is_asked_for_looked_for_and_ended() {
    let folder = Folder::new("");
    let told = folder.run(&["verify", "add", "nobody"]).fails();
    assert!(told.contains("there is no such client"), "{told}");
    let store = folder.store();
    let client = registered("vdr_1", "an app", "https://app.example/callback");
    store
        .add_client(client, audit(Event::ClientMade))
        .await
        .unwrap();
    store.close().await;
    let told = folder.run(&["verify", "add", "vdr_1"]).ok();
    assert!(told.contains("  _vestibule.app.example\n"), "{told}");
    assert!(told.contains("  vestibule-verification="), "{told}");
    let id = told.lines().last().unwrap().rsplit(' ').next().unwrap();
    let again = folder.run(&["verify", "add", "vdr_1"]).fails();
    assert!(again.contains("asked for already"), "{again}");
    let file = folder
        .run(&["verify", "add", "vdr_1", "--method", "file"])
        .ok();
    assert!(
        file.contains("  https://app.example/.well-known/vestibule-verification.txt\n"),
        "{file}"
    );
    let other = ["verify", "add", "vdr_1", "--domain", "other.example"];
    let told = folder.run(&other).fails();
    assert!(told.contains("can only prove app.example"), "{told}");
    let told = folder.run(&["verify", "check", id]).fails();
    assert!(told.contains("not found: _vestibule.app.example"), "{told}");
    assert!(told.contains("it is pending now"), "{told}");
    folder.run(&["verify", "revoke", id]).ok();
    let told = folder.run(&["verify", "revoke", id]).fails();
    assert!(told.contains("there is no live proof"), "{told}");
    let rows = folder.run(&["verify", "list", "--json"]).json();
    let row = rows.as_array().unwrap().iter().find(|row| row["id"] == id);
    assert_eq!(row.unwrap()["state"], "revoked");
}

#[tokio::test]
async fn who_waits_is_shown_with_reasons_and_decided_once() {
    let folder = Folder::new("");
    let none = folder.run(&["approvals", "list"]).ok();
    assert!(none.contains("Nobody waits."), "{none}");
    let store = folder.store();
    let ask = Ask {
        subject: [1; 32],
        subject_text: "software:an app".to_owned(),
        software: "an app".to_owned(),
        door: Door::Dcr,
        display_name: Some("An \u{1b}[2Japp".to_owned()),
        host: None,
        reasons: vec!["First seen here today".to_owned()],
        asked_by: None,
        source_prefix: None,
        now: now(),
    };
    let asked = store.ask_approval(ask, 20, 100, audit(Event::ApprovalAsked));
    asked.await.unwrap();
    store.close().await;
    let listed = folder.run(&["approvals", "list"]).ok();
    assert!(listed.contains("First seen here today"), "{listed}");
    assert!(!listed.contains('\u{1b}'), "{listed:?}");
    let rows = folder.run(&["approvals", "list", "--json"]).json();
    let id = rows[0]["id"].to_string();
    folder.run(&["approvals", "approve", &id]).ok();
    let told = folder.run(&["approvals", "approve", &id]).fails();
    assert!(told.contains("is approved already"), "{told}");
    folder.run(&["approvals", "deny", &id]).ok();
    let rows = folder.run(&["approvals", "list", "--all", "--json"]).json();
    assert_eq!(rows[0]["phase"], "denied");
    assert_eq!(rows[0]["decided_by"], "command line");
    let told = folder.run(&["approvals", "deny", "999"]).fails();
    assert!(told.contains("there is no request 999"), "{told}");
}

/// The list is read to its end, page by page, as a table and as JSON.
#[tokio::test]
async fn a_long_list_of_those_who_wait_comes_in_pages() {
    let folder = Folder::new("");
    folder.run(&["approvals", "list"]).ok();
    let store = folder.store();
    for n in 0..5_u8 {
        let ask = Ask {
            subject: [n; 32],
            subject_text: format!("software:app {n}"),
            software: format!("app {n}"),
            door: Door::Dcr,
            display_name: None,
            host: None,
            reasons: Vec::new(),
            asked_by: None,
            source_prefix: None,
            now: now(),
        };
        let asked = store.ask_approval(ask, 20, 100, audit(Event::ApprovalAsked));
        asked.await.unwrap();
    }
    store.close().await;
    let mut seen = Vec::new();
    let mut before = "999".to_owned();
    loop {
        let page = ["approvals", "list", "--limit", "2", "--before", &before];
        let listed = folder.run(&page).ok();
        let rows = folder.run(&[&page[..], &["--json"]].concat()).json();
        let ids = rows.as_array().unwrap().iter();
        seen.extend(ids.map(|row| row["id"].as_u64().unwrap()));
        let last = seen.last().unwrap().to_string();
        if !listed.contains(&format!("There are more: --before {last}\n")) {
            break;
        }
        before = last;
    }
    assert_eq!(seen, [5, 4, 3, 2, 1]);
}

#[tokio::test]
async fn clones_are_matched_with_their_vendor_s_document_and_linked() {
    let folder = Folder::new("");
    let none = folder.run(&["migrate-clients", "list"]).ok();
    assert!(
        none.contains("No stored client registered itself."),
        "{none}"
    );
    let store = folder.store();
    for id in ["vdr_1", "vdr_2"] {
        let client = registered(id, SOFTWARE, "https://claude.ai/api/mcp/auth_callback");
        store
            .add_client(client, audit(Event::ClientMade))
            .await
            .unwrap();
    }
    let other = registered("vdr_3", "somebody", "https://app.example/callback");
    store
        .add_client(other, audit(Event::ClientMade))
        .await
        .unwrap();
    store.close().await;
    let document = "https://claude.ai/oauth/mcp-oauth-client-metadata";
    let rows = folder.run(&["migrate-clients", "list", "--json"]).json();
    assert_eq!(rows[0]["software"], SOFTWARE);
    assert_eq!(rows[0]["clients"], 2);
    assert_eq!(rows[0]["suggested"], document);
    assert_eq!(rows[1]["suggested"], serde_json::Value::Null);
    let told = folder
        .run(&["migrate-clients", "plan", SOFTWARE, document])
        .ok();
    assert!(
        told.contains("2 registered clients would get the successor"),
        "{told}"
    );
    let report = folder.run(&["migrate-clients", "report", "--json"]).json();
    assert_eq!(
        report.as_array().unwrap().len(),
        0,
        "a plan changes nothing"
    );
    folder
        .run(&["migrate-clients", "link", SOFTWARE, document])
        .ok();
    let report = folder.run(&["migrate-clients", "report", "--json"]).json();
    assert_eq!(report[0]["client_id"], document);
    assert_eq!(report[0]["old_clients"], 2);
    assert_eq!(report[0]["moved"], 0);
    let told = folder
        .run(&["migrate-clients", "link", SOFTWARE, "vdr_3"])
        .fails();
    assert!(
        told.contains("is not the URL of a client metadata document"),
        "{told}"
    );
    let told = folder
        .run(&["migrate-clients", "link", "nobody", document])
        .fails();
    assert!(
        told.contains("no stored client registered itself as"),
        "{told}"
    );
    folder.run(&["migrate-clients", "unlink", document]).ok();
    let told = folder.run(&["migrate-clients", "unlink", document]).fails();
    assert!(told.contains("nothing is linked to"), "{told}");
}
