//! Exchanges with kubo, IPFS's implementation in Go, and its RPC API.
//!
//! `PEERWORK_TEST_KUBO` is the program; without it the test does nothing. kubo runs on loopback alone,
//! without bootstrap nodes and routing.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
};

use peerwork_store::{
    Source,
    exchange::FetchOptions,
    rpc::KuboApi,
    unixfs::{AddOptions, ExportOptions, add, export},
};
use peerwork_testkit::{DEADLINE, eventually_async, node};
use tokio::{task::spawn_blocking, time::Instant};

use super::kit::Peer;

struct Daemon {
    program: PathBuf,
    repository: PathBuf,
    child: Option<Child>,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Daemon {
    async fn start(repository: &Path) -> Option<Self> {
        let program = std::env::var_os("PEERWORK_TEST_KUBO").map(PathBuf::from)?;
        let mut daemon = Self {
            program,
            repository: repository.to_owned(),
            child: None,
        };
        daemon.run(&["init", "--profile=test"]).await;
        daemon.run(&["config", "Routing.Type", "none"]).await;
        let mut command = daemon.command(&["daemon"]);
        daemon.child = Some(
            command
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap(),
        );
        let api = repository.join("api");
        eventually_async("the daemon", || {
            let there = api.exists();
            async move { there.then_some(()) }
        })
        .await;
        Some(daemon)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).env("IPFS_PATH", &self.repository);
        command
    }

    async fn run(&self, arguments: &[&str]) -> String {
        let mut command = self.command(arguments);
        let output = spawn_blocking(move || command.output().unwrap());
        let output = tokio::time::timeout(DEADLINE * 3, output)
            .await
            .unwrap()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {errors}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

/// Files of some chunks, empty ones, and a directory of 200 entries.
fn make_tree(folder: &Path) {
    fs::create_dir_all(folder.join("many")).unwrap();
    for number in 0..200_u32 {
        let text = format!("file {number}").repeat(number as usize);
        fs::write(folder.join(format!("many/{number}")), text).unwrap();
    }
    let big: Vec<u8> = (0..30_000_000_u32)
        .map(|i| (i.wrapping_mul(7919) >> 8) as u8)
        .collect();
    fs::write(folder.join("big"), big).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubo_and_a_node_fetch_trees_from_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let Some(kubo) = Daemon::start(&folder.path().join("kubo")).await else {
        return;
    };
    let network = node::start(node::config()).await;
    let peer = Peer::new(&network);
    let tree = folder.path().join("tree");
    make_tree(&tree);
    let path = tree.to_str().unwrap();

    // From kubo, by Bitswap and by its RPC API.
    let root = kubo.run(&["add", "-rQ", path]).await;
    let id = kubo.run(&["id", "-f", "<addrs>"]).await;
    let address = id.lines().find(|line| line.contains("/tcp/")).unwrap();
    let soon = Instant::now() + DEADLINE;
    let node = network
        .dial_address(address.parse().unwrap(), soon)
        .await
        .unwrap();
    let options = FetchOptions {
        named: vec![node],
        ..FetchOptions::default()
    };
    let cid = root.parse().unwrap();
    let fetch = peer.exchange.fetch(cid, options, |_| ());
    let fetched = tokio::time::timeout(DEADLINE, fetch)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(fetched.received.duplicate_bytes, 0);
    let out = folder.path().join("out");
    let store = Arc::new(peer.store.clone());
    export(store, cid, &out, &ExportOptions::default(), |_| ())
        .await
        .unwrap();
    assert_eq!(
        fs::read(out.join("big")).unwrap(),
        fs::read(tree.join("big")).unwrap()
    );
    assert_eq!(
        fs::read(out.join("many/199")).unwrap(),
        fs::read(tree.join("many/199")).unwrap()
    );
    let api = fs::read_to_string(folder.path().join("kubo/api")).unwrap();
    let source = KuboApi::new(api.trim().parse().unwrap());
    assert_eq!(source.ls(&cid).await.unwrap().len(), 2);
    source.pin_add(&cid, DEADLINE).await.unwrap();
    let by_api = Source::get(&source, &cid).await.unwrap();
    assert_eq!(Some(by_api), peer.store.get(&cid).unwrap());

    // To kubo: another tree, with the CID that kubo gives it.
    fs::write(tree.join("big"), vec![b'y'; 5_000_000]).unwrap();
    let options = AddOptions {
        recursive: true,
        ..AddOptions::default()
    };
    let mut writer = peer.store.writer();
    let roots = add(&[tree.clone()], &options, &mut writer, &mut |_| ()).unwrap();
    writer.commit().unwrap();
    let root = roots[0].cid.to_string();
    let expected = kubo.run(&["add", "-rQ", "--only-hash", path]).await;
    assert_eq!(root, expected);
    let got = folder.path().join("got");
    kubo.run(&["get", &root, "-o", got.to_str().unwrap()]).await;
    assert_eq!(fs::read(got.join("big")).unwrap(), vec![b'y'; 5_000_000]);
    network.stop().await;
}
