//! Exchanges with Helia, IPFS's implementation in JavaScript.
//!
//! `cargo xtask test` installs it and sets `PEERWORK_TEST_JS`; without it the tests do nothing.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Arc,
};

use peerwork_store::{
    exchange::FetchOptions,
    unixfs::{AddOptions, ExportOptions, add, export},
};
use peerwork_testkit::{DEADLINE, node};
use ring::digest::{SHA256, digest};
use serde_json::Value;
use tokio::{task::spawn_blocking, time::Instant};

use super::kit::Peer;

struct Helia {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Drop for Helia {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Helia {
    /// Starts Helia; `None` where it is not installed.
    fn start(arguments: &[&str]) -> Option<Self> {
        let folder = std::env::var_os("PEERWORK_TEST_JS").map(PathBuf::from)?;
        let mut command = Command::new("node");
        command.arg("helia.mjs").args(arguments).current_dir(folder);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Some(Self { child, lines })
    }

    async fn line(mut self) -> (Self, Value) {
        let reading = spawn_blocking(move || {
            let mut line = String::new();
            self.lines.read_line(&mut line).unwrap();
            (self, serde_json::from_str(&line).unwrap())
        });
        tokio::time::timeout(DEADLINE * 3, reading)
            .await
            .unwrap()
            .unwrap()
    }
}

fn hash(bytes: &[u8]) -> String {
    hex::encode(digest(&SHA256, bytes).as_ref())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tree_is_fetched_from_helia() {
    let Some(helia) = Helia::start(&["serve"]) else {
        return;
    };
    let (_helia, served) = helia.line().await;
    let network = node::start(node::config()).await;
    let peer = Peer::new(&network);
    let address = served["address"].as_str().unwrap().parse().unwrap();
    let soon = Instant::now() + DEADLINE;
    let node = network.dial_address(address, soon).await.unwrap();
    let root = served["root"].as_str().unwrap().parse().unwrap();
    let options = FetchOptions {
        named: vec![node],
        ..FetchOptions::default()
    };
    let fetch = peer.exchange.fetch(root, options, |_| ());
    let fetched = tokio::time::timeout(DEADLINE, fetch)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(fetched.received.blocks, fetched.blocks);
    let out = peer.folder.path().join("out");
    let store = Arc::new(peer.store.clone());
    let options = ExportOptions::default();
    export(store, root, &out, &options, |_| ()).await.unwrap();
    let files: BTreeMap<String, String> = serde_json::from_value(served["files"].clone()).unwrap();
    assert_eq!(files.len(), 40);
    for (path, expected) in &files {
        let bytes = fs::read(out.join(path.trim_start_matches('/'))).unwrap();
        assert_eq!(&hash(&bytes), expected, "{path}");
    }
    network.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn helia_fetches_a_tree() {
    let network = node::start(node::config()).await;
    let peer = Peer::new(&network);
    let tree = peer.folder.path().join("tree");
    fs::create_dir_all(tree.join("deep")).unwrap();
    let mut expected = BTreeMap::new();
    for (path, bytes) in [("big", 1_500_000), ("deep/small", 77), ("deep/empty", 0)] {
        let bytes = vec![b'x'; bytes];
        fs::write(tree.join(path), &bytes).unwrap();
        expected.insert(format!("/{path}"), hash(&bytes));
    }
    let options = AddOptions {
        recursive: true,
        ..AddOptions::default()
    };
    let mut writer = peer.store.writer();
    let roots = add(&[tree], &options, &mut writer, &mut |_| ()).unwrap();
    writer.commit().unwrap();
    let address = node::address(&network);
    let address = format!("{}/p2p/{}", address.transport, address.node);
    let root = roots[0].cid.to_string();
    let Some(helia) = Helia::start(&["fetch", &address, &root]) else {
        return;
    };
    let (_helia, fetched) = helia.line().await;
    let files: BTreeMap<String, String> = serde_json::from_value(fetched["files"].clone()).unwrap();
    assert_eq!(files, expected);
    network.stop().await;
}
