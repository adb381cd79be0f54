use crate::support::Folder;

/// AS-16, QUIRK-05: what a closed door does not do is said, and no door open is warned about.
#[test]
fn closing_a_door_says_that_agents_go_on_and_no_open_door_is_warned_about() {
    let folder = Folder::new("");
    let told = folder.run(&["settings", "dcr", "off"]).ok();
    assert!(told.contains("Agents that have a grant go on"), "{told}");
    assert!(!told.contains("warning"), "{told}");
    let told = folder.run(&["settings", "cimd", "listed"]).ok();
    assert!(
        told.contains("warning: The list of documents is empty"),
        "{told}"
    );
    let told = folder.run(&["settings", "cimd", "off"]).ok();
    assert!(told.contains("warning: Both doors are closed"), "{told}");
    let told = folder.run(&["settings", "dcr", "ajar"]).fails();
    assert!(told.contains("off, approval, token or open"), "{told}");
}

#[test]
fn limits_and_power_change_by_name_and_the_rest_stays() {
    let folder = Folder::new("");
    folder
        .run(&["settings", "limits", "register=5/6", "waiting=700"])
        .ok();
    let changes = [
        "unverified.scopes=read_only",
        "unverified.access=5m",
        "unverified_raised.access=5m",
    ];
    folder
        .run(&[&["settings", "power"], &changes[..]].concat())
        .ok();
    let shown = folder.run(&["settings", "show", "--json"]).json();
    assert_eq!(shown["version"], 2);
    assert_eq!(shown["limits"]["register"]["burst"], 5);
    assert_eq!(shown["limits"]["register"]["per_minute"], 6);
    assert_eq!(shown["limits"]["authorize"]["burst"], 120);
    assert_eq!(shown["power"]["unverified"]["scopes"], "read_only");
    assert_eq!(shown["power"]["unverified"]["access_seconds"], 300);
    assert_eq!(shown["power"]["known"]["scopes"], "all");
    let table = folder.run(&["settings", "power"]).ok();
    assert!(
        table.contains("unverified         read_only  5m"),
        "{table}"
    );
    #[rustfmt::skip]
    let refused: [(&[&str], &str); 6] = [
        (&["limits", "register=0/6"],            "close the door instead"),
        (&["limits", "register=6"],              "BURST/PER-MINUTE"),
        (&["limits", "luck=6"],                  "`luck` is not a limit"),
        (&["power", "known.access=61m"],         "row `known`"),
        (&["power", "unverified.consent=may_remember"], "asked about each time"),
        (&["power", "stranger.access=5m"],       "`stranger` is not a row"),
    ];
    for (arguments, expected) in refused {
        let told = folder.run(&[&["settings"], arguments].concat()).fails();
        assert!(told.contains(expected), "{arguments:?}: {told}");
    }
    assert_eq!(
        folder.run(&["settings", "show", "--json"]).json()["version"],
        2
    );
}

#[test]
fn a_list_of_addresses_is_checked_before_it_is_taken() {
    let folder = Folder::new("");
    let told = folder
        .run(&["settings", "listed-sources", "192.0.2.0/24", "nowhere"])
        .fails();
    assert!(told.contains("line 2: `nowhere`"), "{told}");
    folder
        .run(&["settings", "listed-sources", "192.0.2.0/24"])
        .ok();
    let shown = folder.run(&["settings", "show", "--json"]).json();
    assert_eq!(shown["listed_sources"][0], "192.0.2.0/24");
}

#[test]
fn an_old_version_can_be_seen_compared_and_brought_back() {
    let folder = Folder::new("");
    folder.run(&["settings", "dcr", "token"]).ok();
    folder.run(&["settings", "dcr", "off"]).ok();
    let lines = folder.run(&["settings", "diff", "1", "2"]).ok();
    assert!(lines.contains(r#""dcr": "token""#), "{lines}");
    assert!(lines.contains(r#""dcr": "off""#), "{lines}");
    folder.run(&["settings", "rollback", "1"]).ok();
    let shown = folder.run(&["settings", "show", "--json"]).json();
    assert_eq!(
        (&shown["dcr"], &shown["version"]),
        (&"token".into(), &3.into())
    );
    let history = folder.run(&["settings", "history", "--json"]).json();
    let versions: Vec<_> = history.as_array().unwrap().iter().collect();
    assert_eq!(versions.len(), 3);
    assert_eq!(versions[0]["note"], "back to version 1");
    assert_eq!(versions[0]["actor"], "admin:command line");
    let told = folder.run(&["settings", "rollback", "9"]).fails();
    assert!(told.contains("there is no such version"), "{told}");
}
