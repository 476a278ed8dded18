//! Environment variables `PEERWORK_…`: warnings about those that no setting has.

use std::path::Path;

use serde_json::Value;

use crate::program::{Ran, peerwork};

/// Runs the program with further environment variables.
fn run(dir: &Path, line: &str, variables: &[(&str, &str)]) -> Ran {
    let mut command = peerwork(dir);
    command
        .args(line.split_whitespace())
        .envs(variables.iter().copied());
    command.output().unwrap().into()
}

const MISTYPED: &[(&str, &str)] = &[("PEERWORK_RELAY_OPNE", "a-secret")];

#[test]
fn a_mistyped_variable_is_a_warning_that_leaves_standard_output_alone() {
    let dir = tempfile::tempdir().unwrap();
    run(dir.path(), "secrets init --data-dir d", &[]).succeeded();
    for line in ["secrets output --data-dir d", "node --data-dir d check"] {
        let plain = run(dir.path(), line, &[]);
        assert_eq!(plain.stderr, "", "{line}");
        let warned = run(dir.path(), line, MISTYPED);
        assert_eq!(warned.stdout, plain.succeeded(), "{line}");
        assert!(
            warned
                .stderr
                .starts_with("warning: the environment variable PEERWORK_RELAY_OPNE has no effect"),
            "{warned:?}"
        );
        assert!(
            warned
                .stderr
                .ends_with("the nearest is PEERWORK_RELAY_OPEN\n"),
            "{warned:?}"
        );
        assert!(!warned.stderr.contains("a-secret"), "{warned:?}");
    }
}

#[test]
fn with_json_a_warning_is_a_line_of_json_before_the_error() {
    let dir = tempfile::tempdir().unwrap();
    let failed = run(dir.path(), "status --data-dir nowhere --json", MISTYPED).failed();
    let lines: Vec<Value> = failed
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let [warning, error] = lines.as_slice() else {
        panic!("{failed}");
    };
    let warning = warning["warning"].as_str().unwrap();
    assert!(warning.contains("PEERWORK_RELAY_OPNE"), "{warning}");
    assert!(error["error"].is_string(), "{failed}");
}

#[test]
fn a_node_writes_the_warning_into_its_log() {
    let dir = tempfile::tempdir().unwrap();
    // A server without keys ends right after it began its log.
    let line = "server --data-dir d --log-to x.log --json";
    let failed = run(dir.path(), line, MISTYPED).failed();
    assert!(!failed.contains("PEERWORK_RELAY_OPNE"), "{failed}");
    let log = std::fs::read_to_string(dir.path().join("x.log")).unwrap();
    let first: Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
    assert_eq!(first["level"], "WARN");
    let message = first["fields"]["message"].as_str().unwrap();
    assert!(message.contains("PEERWORK_RELAY_OPNE"), "{log}");
    // A log that cannot be opened loses no warning.
    let line = "server --data-dir d --log-to no/such/folder.log";
    let failed = run(dir.path(), line, MISTYPED).failed();
    assert!(failed.starts_with("warning: "), "{failed}");
}

#[test]
fn known_variables_and_those_of_kubernetes_make_no_warning() {
    let dir = tempfile::tempdir().unwrap();
    let quiet = [
        ("PEERWORK_LOG", "info"),
        ("PEERWORK_JSON", "false"),
        ("PEERWORK_DATA_DIR", "d"),
        ("PEERWORK_EDGE_KEY", "pwk_x"),
        ("PEERWORK_RUNNING_MODE", "edge"),
        ("PEERWORK_TRUSTED_PROXY", "127.0.0.1"),
        ("PEERWORK_BRANCH", "main"),
        ("PEERWORK_SERVICE_HOST", "10.96.3.7"),
        ("PEERWORK_SERVICE_PORT", "50005"),
        ("PEERWORK_PORT", "tcp://10.96.3.7:50005"),
        ("PEERWORK_PORT_50005_TCP_ADDR", "10.96.3.7"),
        // A service called peerwork-edge: the value is not the port of a setting.
        ("PEERWORK_EDGE_PORT", "tcp://10.96.3.7:9527"),
    ];
    let checked = run(dir.path(), "node check", &quiet);
    assert_eq!(checked.stderr, "", "{checked:?}");
    checked.succeeded();
}
