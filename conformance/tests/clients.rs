//! Real clients, by each door that they know, against the built hub and a real MCP server.

use vestibule_conformance::{Doors, Stage};

async fn plays(script: &str, arguments: &[&str], expected: &[&str]) {
    let stage = Stage::start(Doors::default()).await;
    let told = stage.node(script, arguments).await;
    for line in expected {
        assert!(
            told.contains(line),
            "{script} {arguments:?} did not say `{line}`:\n{told}"
        );
    }
    let log = stage.log();
    assert!(!log.contains("panicked"), "the hub panicked:\n{log}");
}

const ALL: &[&str] = &["signed in, tool called", "refreshed", "stepped up"];

#[tokio::test(flavor = "multi_thread")]
async fn the_typescript_sdk_v1_walks_in_by_registration() {
    plays("sdk.mjs", &["v1", "dcr"], ALL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_typescript_sdk_v1_walks_in_by_document() {
    plays("sdk.mjs", &["v1", "cimd"], ALL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_typescript_sdk_v2_walks_in_by_registration() {
    plays("sdk.mjs", &["v2", "dcr"], ALL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_typescript_sdk_v2_walks_in_by_document() {
    plays("sdk.mjs", &["v2", "cimd"], ALL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_conformance_suite_has_no_complaint() {
    for door in ["dcr", "cimd"] {
        let port = vestibule_conformance::free_port().to_string();
        plays("suite.mjs", &[door, &port], &["suite passed"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn openid_client_signs_a_person_in() {
    plays("openid.mjs", &[], &["identified", "revoked"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mcp_remote_walks_in_by_registration() {
    let port = vestibule_conformance::free_port().to_string();
    plays("bridge.mjs", &["dcr", &port], ALL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mcp_remote_walks_in_by_document() {
    let port = vestibule_conformance::free_port().to_string();
    plays("bridge.mjs", &["cimd", &port], ALL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_inspector_walks_in_by_registration() {
    let port = vestibule_conformance::free_port().to_string();
    plays("inspector.mjs", &["dcr", &port], ALL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_inspector_walks_in_by_document() {
    let port = vestibule_conformance::free_port().to_string();
    plays("inspector.mjs", &["cimd", &port], ALL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_client_with_a_key_proves_itself_everywhere() {
    let expected = [
        "redeemed with a key",
        "weaker and replayed proofs were refused",
    ];
    plays("keyed.mjs", &[], &expected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_sdk_walks_in_by_either_door() {
    for door in ["dcr", "cimd"] {
        let stage = Stage::start(Doors::default()).await;
        let told = stage.python("sdk.py", &[door]).await;
        for line in ALL {
            assert!(told.contains(line), "{door}: {told}");
        }
    }
}
