//! The running API against its own description: schemathesis sends what the description allows, and
//! what it does not, to every operation. tests/run installs it, and names it.

use std::path::PathBuf;
use std::time::Duration;

use openfed_tests::openfed::{Openfed, Setup};
use openfed_tests::scene::play_within;
use openfed_tests::{Failure, Result, http};
use serde_json::json;
use tokio::process::Command;

/// What is looked at in every answer.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
    response_headers_conformance,response_schema_conformance,unsupported_method,\
    allow_header_conformance,ignored_auth";
/// How long requests are made up, in seconds, and how long all of it may take.
const BUDGET: (&str, Duration) = ("60", Duration::from_secs(175));
/// The same requests in each run: what fails today failed yesterday.
const SEED: &str = "1";

fn program() -> Result<PathBuf> {
    let missing = || Failure::new("OPENFED_SCHEMATHESIS names no program: use tests/run api");
    std::env::var_os("OPENFED_SCHEMATHESIS").map(PathBuf::from).ok_or_else(missing)
}

/// One of each, so that paths with names in them lead somewhere.
async fn furnish(openfed: &Openfed) -> Result<()> {
    let noted = json!({ "domain": "a.example", "note": "why" });
    let user = json!({ "name": "ada", "password": "correct horse battery" });
    for (path, body) in [
        ("static-routes", json!({ "pattern": ".com.example", "next_hop": "192.0.2.1" })),
        ("sip-domains", json!({ "domain": "a.example" })),
        ("blocked-domains", noted.clone()),
        ("xmpp-domains", noted),
        ("users", user),
        ("tokens", json!({ "name": "ci", "scopes": ["read"] })),
    ] {
        let path = format!("/api/v1/{path}");
        let answer = http::call(openfed.api(), "POST", &path, Some(&body)).await?;
        assert_eq!(answer.status, 201, "{path}: {answer:?}");
    }
    Ok(())
}

#[test]
fn no_answer_of_the_api_is_missing_in_its_description() {
    play_within(BUDGET.1, async |place| {
        let setup = Setup { log: Some("info"), ..Setup::default() };
        let openfed = Openfed::start(place, &setup).await?;
        furnish(&openfed).await?;
        let token = format!("Authorization: Bearer {}", http::TOKEN);
        let mut command = Command::new(program()?);
        command
            .arg("run")
            .arg(format!("http://{}/api/v1/openapi.json", openfed.api()))
            .args(["--header", &token, "--checks", CHECKS, "--seed", SEED])
            .args(["--phases", "examples,coverage,fuzzing", "--max-time", BUDGET.0])
            .args(["--max-examples", "40", "--no-shrink", "--continue-on-failure"])
            .args(["--request-timeout", "20", "--warnings", "off", "--no-color"])
            // One never ends; the other takes what nobody makes up: whole backups.
            .args(["--exclude-operation-id", "streamFlows"])
            .args(["--exclude-operation-id", "putBackup"])
            .current_dir(place.directory("schemathesis")?)
            .kill_on_drop(true);
        let output = command.output().await?;
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        #[expect(clippy::print_stdout, reason = "what was sent is what this test is run for")]
        {
            println!("{told}");
        }
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(told.contains("generated"), "it has sent something");
        // Whatever was sent, messages are still routed.
        openfed.is_ready().await?;
        let lines = openfed.log_lines();
        assert!(!lines.iter().any(|line| line.contains("panicked")), "{lines:?}");
        openfed.stop().await
    });
}
