//! Each outcome of the policies, end to end, through a real SDK client by both doors: an
//! administrator saves a policy with one command, and an unknown agent meets it.

#![expect(clippy::expect_used, reason = "what surprises a test should end it")]

use vestibule_conformance::{Doors, Stage, binary};

/// `balanced`, and one more flag that every unverified client sets off.
fn with_outcome(shipped: &str, outcome: &str) -> String {
    format!(
        "{shipped}\n@id(\"under-test\") @outcome(\"{outcome}\") @say(\"A test of {outcome}\")\n\
         permit(principal, action == Action::\"flag\", resource)\n\
         when {{ context.client.standing == Trust::\"unverified\" }};\n"
    )
}

async fn meets(outcome: &str) {
    for door in ["dcr", "cimd"] {
        let stage = Stage::start(Doors::default()).await;
        if outcome != "allow" {
            let shipped = stage.command(&["policy", "show"], "");
            let file = stage.folder().join("policies.cedar");
            std::fs::write(&file, with_outcome(&shipped, outcome)).expect("a file of policies");
            let file = file.to_string_lossy();
            stage.command(&["policy", "set", &file, "--why", "a test"], "");
            // The hub is another process: it follows within a second.
            tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
        }
        let binary = binary("vestibule");
        let config = stage.config();
        let arguments = [
            door,
            outcome,
            &binary.to_string_lossy(),
            &config.to_string_lossy(),
        ];
        let told = stage.node("outcomes.mjs", &arguments).await;
        let expected = format!("{outcome} is what it says");
        assert!(told.contains(&expected), "{door}: {told}");
        let log = stage.log();
        assert!(!log.contains("panicked"), "the hub panicked:\n{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_against_which_nothing_speaks_is_allowed() {
    meets("allow").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unverified_agent_is_called_so() {
    meets("unverified").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warning_is_read_and_confirmed() {
    meets("warn").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_agent_reads_whatever_it_asks_for() {
    meets("read_only").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_session_is_short() {
    meets("short_session").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_up_needs_a_fresh_sign_in_and_a_confirmation() {
    meets("step_up").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_agent_goes_on_when_an_administrator_approves() {
    meets("hold").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_agent_gets_a_neutral_answer() {
    meets("block").await;
}
