//! Every page in every variant, in headless Chromium: nothing that axe complains of, nothing that
//! scrolls sideways, in both colour schemes, on a phone, on a desk and at 200 % zoom.

use std::process::Command;

use vestibule_conformance::{binary, node_without_a_hub};

#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_readable_by_everybody() {
    assert!(
        std::path::Path::new("/usr/bin/chromium").exists(),
        "/usr/bin/chromium is missing: `cargo xtask setup` installs it"
    );
    let folder = tempfile::tempdir().expect("a folder for the pages");
    let output = Command::new(binary("examples/pages"))
        .arg(folder.path())
        .output()
        .expect("the pages are written");
    assert!(output.status.success(), "{output:?}");
    let written = String::from_utf8_lossy(&output.stdout).lines().count();
    assert!(written >= 30, "only {written} pages");
    let folder = folder.path().to_string_lossy();
    let told = node_without_a_hub("pages.mjs", &[&folder]).await;
    assert!(
        told.contains(&format!("{written} pages are readable")),
        "{told}"
    );
}
