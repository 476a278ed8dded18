//! Exchanges with Helia, IPFS's implementation in JavaScript.
//!
//! `cargo xtask test` installs it and sets `PEERWORK_TEST_JS`; without it the tests do nothing.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
};

use cid::Cid;
use peerwork_store::{
    exchange::FetchOptions,
    unixfs::{AddOptions, ExportOptions, Profile, add, export},
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

/// Files of the directory that is a trie of shards.
const MANY: usize = 1150;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tree_is_fetched_from_helia() {
    fetch_from_helia(Profile::UnixfsV0_2015).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tree_of_the_newer_profile_is_fetched_from_helia() {
    fetch_from_helia(Profile::UnixfsV1_2025).await;
}

async fn fetch_from_helia(profile: Profile) {
    let Some(helia) = Helia::start(&["serve", profile.name()]) else {
        return;
    };
    let (_helia, served) = helia.line().await;
    let network = node::start(node::config()).await;
    let peer = Peer::new(&network);
    let address = served["address"].as_str().unwrap().parse().unwrap();
    let soon = Instant::now() + DEADLINE;
    let node = network.dial_address(address, soon).await.unwrap();
    let root: Cid = served["root"].as_str().unwrap().parse().unwrap();
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
    assert_eq!(files.len(), 40 + MANY);
    // More blocks than files and directories: the large directory has shards.
    assert!(fetched.blocks > files.len() as u64 + 100);
    for (path, expected) in &files {
        let bytes = fs::read(out.join(path.trim_start_matches('/'))).unwrap();
        assert_eq!(&hash(&bytes), expected, "{path}");
    }
    // Both give the tree the same root, so both make the same shards.
    assert_eq!(add_tree(&peer, &out, profile), root);
    network.stop().await;
}

fn add_tree(peer: &Peer, path: &Path, profile: Profile) -> Cid {
    let options = AddOptions {
        profile,
        recursive: true,
        ..AddOptions::default()
    };
    let mut writer = peer.store.writer();
    let roots = add(&[path.to_owned()], &options, &mut writer, &mut |_| ()).unwrap();
    writer.commit().unwrap();
    roots[0].cid
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn helia_fetches_a_tree() {
    let_helia_fetch(Profile::UnixfsV0_2015).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn helia_fetches_a_tree_of_the_newer_profile() {
    let_helia_fetch(Profile::UnixfsV1_2025).await;
}

async fn let_helia_fetch(profile: Profile) {
    let network = node::start(node::config()).await;
    let peer = Peer::new(&network);
    let tree = peer.folder.path().join("tree");
    for folder in ["deep", "many"] {
        fs::create_dir_all(tree.join(folder)).unwrap();
    }
    let mut expected = BTreeMap::new();
    for number in 0..MANY {
        let name = format!("many/{}{number:04}", "n".repeat(226));
        let bytes = number.to_string();
        fs::write(tree.join(&name), &bytes).unwrap();
        expected.insert(format!("/{name}"), hash(bytes.as_bytes()));
    }
    for (path, bytes) in [("big", 1_500_000), ("deep/small", 77), ("deep/empty", 0)] {
        let bytes = vec![b'x'; bytes];
        fs::write(tree.join(path), &bytes).unwrap();
        expected.insert(format!("/{path}"), hash(&bytes));
    }
    let root = add_tree(&peer, &tree, profile).to_string();
    let address = node::address(&network);
    let address = format!("{}/p2p/{}", address.transport, address.node);
    let Some(helia) = Helia::start(&["fetch", &address, &root]) else {
        return;
    };
    let (_helia, fetched) = helia.line().await;
    let files: BTreeMap<String, String> = serde_json::from_value(fetched["files"].clone()).unwrap();
    assert_eq!(files, expected);
    network.stop().await;
}
