use vestibule_policy::{
    facts::{ClientFacts, Facts, SourceFacts},
    facts_json,
};
use vestibule_protocol::{
    audit::Event,
    client_id::ClientKey,
    trust::{Door, RedirectShape, Risk, Standing, Trust, UserAgentKind},
};
use vestibule_store::{ClientStore as _, DecisionLog as _, Store as _, decisions::DecisionRow};

use crate::support::{Folder, audit, now, registered};

const BROKEN: &str = "\n@id(\"x\")\n@outcome(\"warn\")\npermit(principal, action == Action::\"flag\", resource)\nwhen { context.client.mood };\n";

/// The shipped preset, with a flag that holds everybody.
fn holding(folder: &Folder) -> String {
    let preset = folder.run(&["policy", "show", "--preset", "balanced"]).ok();
    format!(
        "{preset}\n@id(\"nobody\")\n@outcome(\"hold\")\n\
         permit(principal, action == Action::\"flag\", resource);\n"
    )
}

#[test]
fn a_problem_is_shown_at_its_place_and_needs_no_database() {
    let folder = Folder::new("");
    folder.write("p.cedar", BROKEN);
    let told = folder.run(&["policy", "check", "p.cedar"]).fails();
    assert!(told.contains("p.cedar:5:"), "{told}");
    assert!(told.contains("  | when { context.client.mood };"), "{told}");
    assert!(
        told.lines().any(|line| line.trim_end().ends_with('^')),
        "{told}"
    );
    folder.write("p.cedar", &holding(&folder));
    let told = folder.run(&["policy", "check", "p.cedar"]).ok();
    assert!(told.contains("ready to be set"), "{told}");
    assert!(!folder.path("vestibule.db").exists());
}

#[test]
fn a_test_file_says_which_case_fails_and_needs_no_database() {
    let folder = Folder::new("");
    folder.write("p.cedar", &holding(&folder));
    folder.write(
        "p.test.toml",
        "[[case]]\nname = \"a newcomer waits\"\nexpect = { trust = \"held\" }\n",
    );
    let policy = ["--policy", "p.cedar"];
    let told = folder
        .run(&[&["policy", "test", "p.test.toml"], &policy[..]].concat())
        .ok();
    assert!(told.contains("1 cases, 0 failed."), "{told}");
    // The shipped preset does not hold it.
    let ran = folder.run(&["policy", "test", "p.test.toml"]);
    assert!(!ran.right);
    assert!(
        ran.out.contains("p.test.toml: a newcomer waits"),
        "{}",
        ran.out
    );
    assert!(
        ran.out.contains("trust: expected held, found unverified"),
        "{}",
        ran.out
    );
    assert!(ran.err.contains("no database yet"), "{}", ran.err);
    folder.write(
        "bad.toml",
        "[[case]]\nname = \"a\"\nclient = { mood = 1 }\nexpect = {}\n",
    );
    let told = folder.run(&["policy", "test", "bad.toml"]).fails();
    assert!(
        told.contains("bad.toml: case `a`: unknown field `mood`"),
        "{told}"
    );
    assert!(!folder.path("vestibule.db").exists());
    // With a database the policies in force are tested.
    folder
        .run(&["policy", "set", "p.cedar", "--why", "tired"])
        .ok();
    folder.run(&["policy", "test", "p.test.toml"]).ok();
}

#[test]
fn policies_are_set_compared_and_brought_back() {
    let folder = Folder::new("");
    folder.write("broken.cedar", BROKEN);
    let told = folder
        .run(&["policy", "set", "broken.cedar", "--why", "x"])
        .fails();
    assert!(told.contains("broken.cedar:5:"), "{told}");
    folder.write("p.cedar", &holding(&folder));
    folder
        .run(&["policy", "set", "p.cedar", "--why", "a storm"])
        .ok();
    let told = folder
        .run(&["policy", "set", "p.cedar", "--why", "late", "--after", "0"])
        .fails();
    assert!(told.contains("changed meanwhile"), "{told}");
    let lines = folder.run(&["policy", "diff", "0", "1"]).ok();
    assert!(lines.contains("@id(\"nobody\")"), "{lines}");
    assert!(lines.lines().all(|line| line.starts_with('+')), "{lines}");
    folder.run(&["policy", "rollback", "0"]).ok();
    let shown = folder.run(&["policy", "show"]).ok();
    assert_eq!(
        shown,
        folder.run(&["policy", "show", "--version", "0"]).ok()
    );
    let kept = folder.run(&["policy", "show", "--version", "1"]).ok();
    assert!(kept.contains("@id(\"nobody\")"), "{kept}");
    let history = folder.run(&["policy", "history", "--json"]).json();
    assert_eq!(history[0]["version"], 2);
    assert_eq!(history[1]["note"], "a storm");
    let told = folder.run(&["policy", "rollback", "9"]).fails();
    assert!(told.contains("no version 9"), "{told}");
}

#[test]
fn a_preset_brings_its_power_table_along() {
    let folder = Folder::new("");
    folder.run(&["policy", "preset", "strict"]).ok();
    let shown = folder.run(&["policy", "show"]).ok();
    assert_eq!(
        shown,
        folder.run(&["policy", "show", "--preset", "strict"]).ok()
    );
    let settings = folder.run(&["settings", "show", "--json"]).json();
    assert_eq!(settings["power"]["unverified"]["scopes"], "read_only");
    let told = folder.run(&["policy", "preset", "lax"]).fails();
    assert!(told.contains("open, balanced or strict"), "{told}");
}

fn facts() -> Facts {
    Facts {
        client: ClientFacts {
            id: String::new(),
            host: None,
            door: Door::Dcr,
            software: "an agent".to_owned(),
            standing: Standing::Unverified,
            confidential: false,
            catalogued: false,
            redirects: [RedirectShape::Loopback].into(),
            days_known: 3,
            people: 1,
            lookalike_of: None,
            claims: None,
            homograph_of: None,
            mixed_script: false,
            quality: 80,
            foreign_urls: false,
            reports: 0,
            changes_30d: 0,
            domain_proved: false,
        },
        source: SourceFacts {
            ip: [192, 0, 2, 0].into(),
            asn: None,
            country: None,
            listed: false,
            bad_reputation: false,
            vendor_egress: false,
            registrations_last_hour: 0,
            software_last_hour: 0,
            user_agent: UserAgentKind::Program,
        },
        score: None,
        missing: [].into(),
    }
}

#[tokio::test]
async fn a_replay_shows_whose_decision_would_be_another() {
    let folder = Folder::new("");
    folder.write("p.cedar", &holding(&folder));
    let told = folder.run(&["policy", "replay", "p.cedar"]).ok();
    assert!(told.contains("0 of 0 kept decisions"), "{told}");
    let store = folder.store();
    let row = DecisionRow {
        at: now(),
        action: "authorize".to_owned(),
        client: ClientKey::of("somebody"),
        facts: facts_json::to_json(&facts()).to_string(),
        trust: Trust::Unverified,
        risk: Risk::Low,
        outcomes: String::new(),
        reasons: String::new(),
        policy_seq: 0,
    };
    store.record_decision(row).await.unwrap();
    store.close().await;
    let told = folder.run(&["policy", "replay", "p.cedar"]).ok();
    assert!(told.contains("1 of 1 kept decisions"), "{told}");
    assert!(told.contains("an agent"), "{told}");
    assert!(told.contains("trust: unverified → held"), "{told}");
    assert!(told.contains("`nobody` fires"), "{told}");
    folder.write("p.cedar", BROKEN);
    let told = folder.run(&["policy", "replay", "p.cedar"]).fails();
    assert!(told.contains("p.cedar:5:"), "{told}");
}

#[tokio::test]
async fn an_explanation_names_facts_policies_and_power() {
    let folder = Folder::new("signals.listed_files = [\"list.txt\"]\n");
    folder.write("list.txt", "198.51.100.0/24\n");
    let told = folder
        .run(&["policy", "explain", "--client", "nobody"])
        .fails();
    assert!(
        told.contains("there is no client by that client_id"),
        "{told}"
    );
    let store = folder.store();
    let client = registered("vdr_1", "claude", "https://app.example/callback");
    store
        .add_client(client, audit(Event::ClientMade))
        .await
        .unwrap();
    store.close().await;
    let explain = ["policy", "explain", "--client", "vdr_1"];
    let told = folder.run(&explain).ok();
    for word in [
        "it calls itself “claude”",
        "Standing  unverified",
        "returns to: https_other_site",
        "Trust     unverified",
        "Power     scopes",
    ] {
        assert!(told.contains(word), "{word}: {told}");
    }
    // As if it came from an address that an admin listed.
    let told = folder
        .run(&[&explain[..], &["--from", "198.51.100.7"]].concat())
        .ok();
    for word in [
        "on a list of an administrator",
        "`source-listed` fires: block",
        "Trust     blocked",
        "scopes nothing",
    ] {
        assert!(told.contains(word), "{word}: {told}");
    }
    let json = folder.run(&[&explain[..], &["--json"]].concat()).json();
    assert_eq!(json["trust"], "unverified");
    assert_eq!(json["facts"]["client"]["standing"], "unverified");
    assert!(
        json["facts"]["source"].is_null(),
        "no request was looked at"
    );
    folder.run(&["client", "block", "vdr_1"]).ok();
    let told = folder.run(&explain).fails();
    assert!(told.contains("blocked exactly this client"), "{told}");
}
