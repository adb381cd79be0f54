use std::time::{Duration, Instant};

use crate::support::{Folder, Serving, free_port};

/// A second to follow, and half of one for a machine that has much to do.
const SOON: Duration = Duration::from_millis(1_500);
/// The files of signals are looked at every 5 s.
const FILES: Duration = Duration::from_secs(12);

/// What the policies refuse, without a word why.
const REFUSED: u16 = 403;

fn until(what: &str, most: Duration, mut is: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is() {
        assert!(started.elapsed() < most, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn advertises_registration(hub: &Serving) -> bool {
    let path = "/.well-known/oauth-authorization-server";
    let (status, body) = hub.request("GET", path, "");
    assert_eq!(status, 200, "{body}");
    let metadata: serde_json::Value = serde_json::from_str(&body).unwrap();
    metadata.get("registration_endpoint").is_some()
}

/// AS-16: two nodes on one database; both follow what a third process says, within a second.
#[test]
fn a_door_that_is_closed_by_command_closes_on_every_node() {
    let (port, second_port) = (free_port(), free_port());
    let folder = Folder::new(&format!("issuer = \"http://127.0.0.1:{port}\"\n"));
    let nodes = [
        Serving::start(&folder, port, port),
        Serving::start(&folder, port, second_port),
    ];
    for node in &nodes {
        assert!(advertises_registration(node));
        assert_eq!(node.register(), 201);
    }
    folder.run(&["settings", "dcr", "off"]).ok();
    for node in &nodes {
        until("the door closes", SOON, || !advertises_registration(node));
        let refused = node.register();
        assert!((400..500).contains(&refused), "{refused}");
    }
    folder.run(&["settings", "dcr", "open"]).ok();
    for node in &nodes {
        until("the door opens", SOON, || advertises_registration(node));
        assert_eq!(node.register(), 201);
    }
    folder.run(&["settings", "rollback", "1"]).ok();
    for node in &nodes {
        until("the door closes again", SOON, || {
            !advertises_registration(node)
        });
    }
}

/// A list that changes is followed; one that breaks changes nothing, and the log names its line.
#[test]
fn a_list_of_addresses_is_followed_without_a_restart() {
    let port = free_port();
    let folder = Folder::new(&format!(
        "issuer = \"http://127.0.0.1:{port}\"\nlimits.enabled = false\n\
         signals.listed_files = [\"list.txt\"]\n"
    ));
    folder.write("list.txt", "# nobody yet\n");
    let hub = Serving::start(&folder, port, port);
    assert_eq!(hub.register(), 201);
    folder.write("list.txt", "127.0.0.0/8\n");
    until("the list is read", FILES, || hub.register() == REFUSED);
    folder.write("list.txt", "# fine\nnonsense\n");
    until("the log names the line", FILES, || {
        hub.log().contains("list.txt: line 2: `nonsense`")
    });
    assert_eq!(hub.register(), REFUSED);
    folder.write("list.txt", "");
    until("the list is empty", FILES, || hub.register() == 201);
}
