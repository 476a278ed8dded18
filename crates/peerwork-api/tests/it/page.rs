//! This test runs the live page of a relay in a real browser.
//!
//! `cargo xtask test` installs the browser and the library that controls it, and sets
//! `PEERWORK_TEST_BROWSER` and `PEERWORK_TEST_JS`. Without these variables the test is skipped.

use std::{path::PathBuf, process::Command};

/// The folder with the scripts that control a browser, and the browser; `None` without the variables.
pub(crate) fn tools() -> Option<(PathBuf, PathBuf)> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    variable("PEERWORK_TEST_JS").zip(variable("PEERWORK_TEST_BROWSER"))
}

#[test]
fn the_live_page_shows_what_the_relay_answers() {
    let Some((folder, browser)) = tools() else {
        return;
    };
    let output = Command::new("node")
        .arg(folder.join("page/check.mjs"))
        .arg(browser)
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && stdout.contains("all passed"),
        "{stdout}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
