use crate::support::Folder;

fn catalogue(serial: u64) -> String {
    format!(
        r#"{{"version": 1, "serial": {serial}, "issued_at": 1900000000, "entries": [
            {{"product": "Example Agent", "vendor": "Example", "names": ["Example Agent"],
              "cimd_ids": ["https://agent.example/client.json"],
              "document_hosts": ["agent.example"], "first_seen": "2026-01-01", "source": "a test"}}
        ]}}"#
    )
}

/// Make a key, and trust it.
fn key(folder: &Folder, name: &str) -> String {
    let told = folder.run(&["catalogue", "new-key", name]).ok();
    let (_, key) = told.split_once("[catalogue]").unwrap();
    format!("[catalogue]{key}")
}

fn signed(folder: &Folder, serial: u64, key: &str, name: &str) {
    folder.write("catalogue.json", &catalogue(serial));
    let jws = folder
        .run(&["catalogue", "sign", "catalogue.json", "--key-file", key])
        .ok();
    folder.write(name, &jws);
}

#[test]
fn a_catalogue_is_taken_with_a_trusted_signature_and_a_higher_serial() {
    let folder = Folder::new("");
    let trust = key(&folder, "a.pem");
    signed(&folder, 7, "a.pem", "seven.jws");
    let told = folder.run(&["catalogue", "verify", "seven.jws"]).fails();
    assert!(told.contains("names no key"), "{told}");
    folder.write("vestibule.toml", &trust);
    let told = folder.run(&["catalogue", "verify", "seven.jws"]).ok();
    assert!(told.contains("Serial 7"), "{told}");
    assert!(!folder.path("vestibule.db").exists());
    folder.run(&["catalogue", "update", "seven.jws"]).ok();
    let shown = folder.run(&["catalogue", "show", "--json"]).json();
    assert_eq!(shown["serial"], 7);
    assert_eq!(shown["entries"][0]["product"], "Example Agent");
    let claim = folder
        .run(&["catalogue", "show", "--claims", "example agent"])
        .ok();
    assert!(
        claim.contains("https://agent.example/client.json"),
        "{claim}"
    );
    let claim = folder
        .run(&["catalogue", "show", "--claims", "Somebody"])
        .ok();
    assert!(claim.contains("claims to be nobody here"), "{claim}");
    // The same again, and an older one.
    signed(&folder, 6, "a.pem", "six.jws");
    for file in ["seven.jws", "six.jws"] {
        let told = folder.run(&["catalogue", "update", file]).fails();
        assert!(told.contains("is not newer than 7"), "{file}: {told}");
    }
}

#[test]
fn a_catalogue_of_another_s_hand_is_refused() {
    let folder = Folder::new("");
    let trust = key(&folder, "a.pem");
    key(&folder, "b.pem");
    folder.write("vestibule.toml", &trust);
    signed(&folder, 7, "b.pem", "foreign.jws");
    signed(&folder, 7, "a.pem", "good.jws");
    let good = std::fs::read_to_string(folder.path("good.jws")).unwrap();
    let parts: Vec<&str> = good.trim().split('.').collect();
    signed(&folder, 8, "a.pem", "other.jws");
    let other = std::fs::read_to_string(folder.path("other.jws")).unwrap();
    let payload = other.split('.').nth(1).unwrap();
    folder.write(
        "spliced.jws",
        &format!("{}.{payload}.{}", parts[0], parts[2]),
    );
    folder.write("nothing.jws", "nothing");
    for (file, expected) in [
        ("foreign.jws", "the signature is wrong"),
        ("spliced.jws", "the signature is wrong"),
        ("nothing.jws", "not a signed token"),
        ("gone.jws", "cannot be read"),
    ] {
        let told = folder.run(&["catalogue", "update", file]).fails();
        assert!(told.contains(expected), "{file}: {told}");
    }
    folder.write("catalogue.json", "{}");
    let sign = ["catalogue", "sign", "catalogue.json", "--key-file", "a.pem"];
    let told = folder.run(&sign).fails();
    assert!(told.contains("is no catalogue"), "{told}");
    let told = folder.run(&["catalogue", "new-key", "a.pem"]).fails();
    assert!(told.contains("cannot be made"), "{told}");
}

#[cfg(unix)]
#[test]
fn a_private_key_is_its_owner_s_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = Folder::new("");
    key(&folder, "a.pem");
    let mode = std::fs::metadata(folder.path("a.pem"))
        .unwrap()
        .permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
}
