//! The login at an app's own port in a real browser.
//!
//! `cargo xtask test` installs the browser and the library that controls it, and sets
//! `PEERWORK_TEST_BROWSER` and `PEERWORK_TEST_JS`. Without these variables the test is skipped. It writes
//! pictures of the pages into the folder `PEERWORK_TEST_PICTURES`, where that is set.

use std::path::PathBuf;

use peerwork_tunnel::{KeyStore, NewKey};
use tokio::process::Command;

use crate::world::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_logs_in_by_typing_a_key_and_another_ports_page_cannot_use_it() {
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    let (Some(folder), Some(browser)) = (
        variable("PEERWORK_TEST_JS"),
        variable("PEERWORK_TEST_BROWSER"),
    ) else {
        return;
    };
    let keys = tempfile::tempdir().unwrap();
    let store = KeyStore::open(&keys.path().join("keys.json")).unwrap();
    let key = store.create(NewKey::default()).unwrap().secret;
    let world = World::with(|setup| {
        setup.app_ports = vec![false, false];
        setup.ingress.auth = Some(store);
    })
    .await;
    let urls = world.ingress.app_addresses().iter();
    let output = Command::new("node")
        .arg(folder.join("login.mjs"))
        .arg(browser)
        .args(urls.map(|at| format!("http://{at}")))
        .arg(key)
        .args(variable("PEERWORK_TEST_PICTURES"))
        .output()
        .await
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && stdout.contains("all passed"),
        "{stdout}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
