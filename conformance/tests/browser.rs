//! A person in headless Chromium.

use vestibule_conformance::{Doors, Stage};

#[tokio::test(flavor = "multi_thread")]
async fn a_person_walks_through_in_a_real_browser() {
    assert!(
        std::path::Path::new("/usr/bin/chromium").exists(),
        "/usr/bin/chromium is missing: `cargo xtask setup` installs it"
    );
    let stage = Stage::start(Doors::default()).await;
    let told = stage.node("browser.mjs", &[]).await;
    assert!(told.contains("a person walked through"), "{told}");
}
