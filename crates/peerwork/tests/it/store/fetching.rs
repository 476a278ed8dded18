//! Fetches between processes that are killed, and from a kubo daemon.

use std::{
    collections::HashMap,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    process::{Child, Stdio},
    sync::Arc,
};

use bytes::Bytes;
use cid::Cid;
use peerwork_store::{
    Block, Sink, StoreError,
    unixfs::{AddOptions, add},
};
use serde_json::Value;

use super::{added, bytes_of, node, noise, reason, tree};
use crate::{
    joining::invite,
    network::{Node, Running, World, eventually},
    program::{peerwork, run},
};

const BYTES: usize = 96 << 20;

/// Two nodes of one network, of which the first has a file.
struct Pair {
    world: World,
    server: Node,
    client: Node,
    cid: String,
    content: Vec<u8>,
}

impl Pair {
    fn start() -> Self {
        let world = World::of_its_own_address();
        let dir = world.path();
        let server = node(&world, "server", "--store");
        let ticket = invite(&world, "server", "");
        run(dir, &format!("join {ticket} --data-dir client")).succeeded();
        let client = node(&world, "client", "");
        let content = noise(BYTES, 21);
        fs::write(dir.join("file"), &content).unwrap();
        let cid = added(dir, "file --data-dir server");
        Self {
            world,
            server,
            client,
            cid,
            content,
        }
    }

    fn pin(&self) -> Child {
        let from = self.server.p2p();
        let mut command = peerwork(self.world.path());
        command.args(["store", "pin", &self.cid, "--data-dir", "client", "--json"]);
        command.args(["--from", from]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    /// The blocks of the client's store.
    fn blocks(&self) -> u64 {
        let stat = run(self.world.path(), "store stat --json --data-dir client");
        let stat: Value = serde_json::from_str(&stat.succeeded()).unwrap();
        stat["blocks"].as_u64().unwrap()
    }

    fn fetches(&self) {
        eventually("blocks of the fetch", || (self.blocks() > 10).then_some(()));
    }

    fn assert_whole(&self) {
        let line = format!("store cat {} --offline --data-dir client", self.cid);
        assert!(bytes_of(self.world.path(), &line) == self.content);
        let verified = self.world.run("store verify --data-dir client");
        assert!(verified.contains("nothing is damaged"), "{verified}");
    }
}

#[test]
fn a_fetch_says_which_node_stopped_answering_and_how_much_had_come() {
    let pair = Pair::start();
    let pin = pair.pin();
    pair.fetches();
    pair.server.process.signal("-STOP");
    let ended = pin.wait_with_output().unwrap();
    pair.server.process.signal("-CONT");
    let stderr = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{stderr}");
    let node = &pair.server.at.node_id;
    let lines: Vec<Value> = stderr
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let dropped = lines.iter().find(|line| line["event"] == "dropped");
    let dropped = dropped.expect("an event while the fetch went on");
    assert_eq!(dropped["node"], node.as_str());
    let reason = dropped["reason"].as_str().unwrap();
    assert!(reason.contains("stopped answering"), "{reason}");
    let error = lines.last().unwrap()["error"].as_str().unwrap();
    // By then a further dial may have failed.
    let told = [
        node.as_str(),
        "stopped answering",
        "nothing came from it for",
        "bytes had come",
    ];
    assert!(told.iter().all(|text| error.contains(text)), "{error}");
    assert!(!error.contains("has a part"), "{error}");
}

#[test]
fn a_fetch_says_how_much_came_from_which_node() {
    let pair = Pair::start();
    let pinned = pair.pin().wait_with_output().unwrap();
    assert!(pinned.status.success(), "{pinned:?}");
    let stderr = String::from_utf8(pinned.stderr).unwrap();
    let line = stderr.lines().find(|line| line.contains("delivered"));
    let line: Value = serde_json::from_str(line.unwrap()).unwrap();
    assert_eq!(line["node"], pair.server.at.node_id.as_str());
    assert!(line["bytes"].as_u64().unwrap() >= BYTES as u64, "{line}");
    // The blocks of the store are of no other node.
    let dir = pair.world.path();
    let line = format!("store get {} -o out --data-dir client", pair.cid);
    let ran = run(dir, &line);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(!ran.stderr.contains("came from"), "{ran:?}");
    pair.world
        .run(&format!("store rm {} --data-dir client", pair.cid));
    fs::remove_file(dir.join("out")).unwrap();
    let ran = run(dir, &format!("{line} --from {}", pair.server.at.node_id));
    let short = &pair.server.at.node_id[pair.server.at.node_id.len() - 6..];
    let told = format!("blocks came from node …{short}");
    assert!(ran.stderr.contains(&told), "{ran:?}");
}

#[test]
fn a_fetch_goes_on_after_its_node_was_killed() {
    let mut pair = Pair::start();
    let mut pin = Running(pair.pin());
    pair.fetches();
    // The serving node stands still, so that the fetch does not end before the kill.
    pair.server.process.signal("-STOP");
    assert!(pin.0.try_wait().unwrap().is_none(), "the fetch has ended");
    pair.client.restart(pair.world.path(), "");
    let ended = pin.0.wait().unwrap();
    assert_eq!(ended.code(), Some(1));
    assert_eq!(pair.world.run("store ls --data-dir client"), "");
    let verified = pair.world.run("store verify --data-dir client");
    assert!(verified.contains("nothing is damaged"), "{verified}");
    assert!(pair.blocks() > 10, "what came is kept");
    pair.server.process.signal("-CONT");
    let pinned = pair.pin().wait_with_output().unwrap();
    assert!(pinned.status.success(), "{pinned:?}");
    pair.assert_whole();
}

#[test]
fn a_fetch_goes_on_after_the_serving_node_was_killed() {
    let mut pair = Pair::start();
    let mut pin = pair.pin();
    pair.fetches();
    pair.server.process.kill();
    assert!(pin.try_wait().unwrap().is_none(), "the fetch has ended");
    pair.server.restart(pair.world.path(), "");
    let pinned = pin.wait_with_output().unwrap();
    assert!(pinned.status.success(), "{pinned:?}");
    pair.assert_whole();
}

/// Blocks by their CIDs.
#[derive(Default)]
struct Blocks(HashMap<String, Bytes>);

impl Sink for Blocks {
    fn put(&mut self, block: Block) -> Result<(), StoreError> {
        let (cid, data) = block.into_parts();
        self.0.insert(cid.to_string(), data);
        Ok(())
    }
}

/// A daemon that answers `block/get` as kubo does; gives the address of its RPC API. The thread ends with the
/// test's process.
fn daemon(blocks: Blocks) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let blocks = Arc::new(blocks);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, blocks) = (stream.unwrap(), Arc::clone(&blocks));
            std::thread::spawn(move || answer(&stream, &blocks));
        }
    });
    format!("/ip4/127.0.0.1/tcp/{port}")
}

/// Answers the requests of a connection.
fn answer(stream: &TcpStream, blocks: &Blocks) -> Option<()> {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    loop {
        let first = lines.next()?;
        lines.by_ref().find(String::is_empty)?;
        let query = first.strip_prefix("POST /api/v0/block/get?arg=");
        let cid = query.and_then(|rest| rest.split([' ', '&']).next());
        let found = cid.and_then(|cid| blocks.0.get(cid));
        let (status, body) = match found {
            Some(data) => ("200 OK", data.clone()),
            None => {
                let message = r#"{"Message":"block was not found locally","Code":0}"#;
                ("500 Internal Server Error", Bytes::from(message))
            }
        };
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let mut stream = stream;
        stream.write_all(head.as_bytes()).ok()?;
        stream.write_all(&body).ok()?;
    }
}

/// The blocks of the test's tree, its root and the content of its large file.
fn blocks_of_tree(world: &World) -> (Blocks, Cid, Vec<u8>) {
    let content = tree(world.path());
    let options = AddOptions {
        recursive: true,
        ..AddOptions::default()
    };
    let mut blocks = Blocks::default();
    let path = world.path().join("tree");
    let roots = add(&[path], &options, &mut blocks, &mut |_| ()).unwrap();
    (blocks, roots[0].cid, content)
}

#[test]
fn a_kubo_daemon_gives_blocks_to_a_node_and_to_a_store_without_one() {
    let world = World::new();
    let dir = world.path();
    let (blocks, root, content) = blocks_of_tree(&world);
    let api = daemon(blocks);
    let _node = node(&world, "home", &format!("--store-ipfs-api {api}"));
    let told = "blocks came from kubo at http://127.0.0.1:";
    let ran = run(dir, &format!("store get {root} -o out --data-dir home"));
    assert!(ran.code == Some(0) && ran.stderr.contains(told), "{ran:?}");
    assert!(fs::read(dir.join("out/large")).unwrap() == content);
    let ran = run(dir, &format!("store rm {root} --data-dir home"));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let ran = run(dir, &format!("store pin {root} --data-dir home --json"));
    let line = ran.stderr.lines().find(|line| line.contains("delivered"));
    let event: Value = serde_json::from_str(line.expect("an event")).unwrap();
    assert!(event["bytes"].as_u64().unwrap() > 3 << 20, "{event}");
    assert!(
        event["daemon"].as_str().unwrap().starts_with("http://"),
        "{event}"
    );
    let line = format!("store cat {root}/large --offline --data-dir home");
    assert!(bytes_of(dir, &line) == content);
    let line = format!("store cat {root}/large --data-dir alone --ipfs-api {api}");
    assert!(bytes_of(dir, &line) == content);
    // A pin fetches too, and keeps all of it.
    let line = format!("store pin {root} --name copy --data-dir pinned");
    let ran = run(dir, &format!("{line} --offline --ipfs-api {api}"));
    assert!(reason(&ran).contains("is not in the store"), "{ran:?}");
    world.run(&format!("{line} --ipfs-api {api}"));
    world.run("store gc --data-dir pinned");
    world.run("store verify --data-dir pinned");
    assert_eq!(
        world.run("store ls --data-dir pinned"),
        format!("{root} copy\n")
    );
    let line = format!("store cat {root}/large --offline --data-dir pinned");
    assert!(bytes_of(dir, &line) == content);
    let ran = run(
        dir,
        &format!("store get {root} -o out2 --data-dir other --ipfs-api {api}"),
    );
    assert!(ran.code == Some(0) && ran.stderr.contains(told), "{ran:?}");
    let ran = run(
        dir,
        &format!("store get {root} -o out3 -q --data-dir third --ipfs-api {api}"),
    );
    assert!(ran.code == Some(0) && ran.stderr.is_empty(), "{ran:?}");
}

#[test]
fn wrong_data_of_a_kubo_daemon_is_refused() {
    let world = World::new();
    let (mut blocks, root, content) = blocks_of_tree(&world);
    // Another block of the same length stands for a leaf of the large file.
    let leaf = blocks.0.values_mut().find(|data| data.len() > 200_000);
    *leaf.unwrap() = Bytes::from(content[..262_144].to_vec());
    let api = daemon(blocks);
    let line = format!("store cat {root}/large --data-dir alone --ipfs-api {api}");
    let ran = peerwork(world.path())
        .args(line.split_whitespace())
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("wrong answer"), "{stderr}");
    let nothing = daemon(Blocks::default());
    let line = format!("store get {root} -o out --data-dir alone --ipfs-api {nothing}");
    let ran = run(world.path(), &line);
    assert!(reason(&ran).contains("was not found locally"), "{ran:?}");
    assert!(!world.path().join("out").exists());
}
