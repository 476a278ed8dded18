//! A store without a node: the data directory is locked, and stays what it was.

use std::{
    fs,
    process::Stdio,
    sync::atomic::{AtomicBool, Ordering},
};

use peerwork_testkit::repetitions;

use super::{HELLO_WORLD, added, bytes_of, node, noise, reason, tree};
use crate::{
    network::{Running, World, eventually},
    program::{peerwork, run},
};

#[test]
fn a_store_without_a_node_keeps_what_was_added_and_a_node_takes_it_over() {
    let world = World::new();
    let dir = world.path();
    let content = tree(dir);
    let root = added(dir, "-r tree --data-dir home");
    assert_eq!(
        world.run("store ls --data-dir home"),
        format!("{root} tree\n")
    );
    let large = bytes_of(dir, &format!("store cat {root}/large --data-dir home"));
    assert_eq!(large, content);
    let verified = world.run("store verify --data-dir home");
    assert!(verified.contains("nothing is damaged"), "{verified}");
    let stat = world.run("store stat --data-dir home");
    assert!(stat.contains("Pins        = 1"), "{stat}");
    // The store made no data directory of a node: the first node still makes its own network.
    let _node = node(&world, "home", "--store");
    assert!(dir.join("home/network.json").exists());
    let hello = bytes_of(dir, &format!("store cat {root}/sub/hello --data-dir home"));
    assert_eq!(hello, b"hello world\n");
    assert_eq!(
        world.run("store ls --data-dir home"),
        format!("{root} tree\n")
    );
}

#[test]
fn a_block_that_is_not_here_is_said_to_be_missing_without_a_node() {
    let dir = tempfile::tempdir().unwrap();
    for line in ["cat", "get", "stat", "pin", "export-car"] {
        let ran = run(
            dir.path(),
            &format!("store {line} {HELLO_WORLD} --data-dir home"),
        );
        let reason = reason(&ran);
        assert!(reason.contains(HELLO_WORLD), "{reason}");
        assert!(reason.contains("no node runs"), "{line}: {reason}");
    }
    let ran = run(
        dir.path(),
        &format!("store provide {HELLO_WORLD} --data-dir home"),
    );
    assert!(reason(&ran).contains("peerwork node --store"), "{ran:?}");
    let from = "--from 16Uiu2HAmEWQnHq2jLKJypwVnVoQeFCULuyop6atvq2eWjYSUjzNi";
    let ran = run(
        dir.path(),
        &format!("store cat {HELLO_WORLD} {from} --data-dir home"),
    );
    assert!(reason(&ran).contains("--from asks another node"), "{ran:?}");
}

#[test]
fn without_any_setting_the_only_node_is_asked_and_else_the_default_folder_is_used() {
    let world = World::new();
    let dir = world.path();
    fs::write(dir.join("file"), "hello world\n").unwrap();
    assert_eq!(added(dir, "file"), HELLO_WORLD);
    let pins = format!("{HELLO_WORLD} file\n");
    assert_eq!(world.run("store ls"), pins);
    let _node = node(&world, "home", "");
    assert_eq!(world.run("store ls"), "");
    assert_eq!(world.run("store ls --data-dir home"), "");
    let _second = node(&world, "second", "");
    let ran = run(dir, "store ls");
    assert!(reason(&ran).contains("2 nodes of this user run"), "{ran:?}");
}

#[test]
fn a_node_that_answers_no_command_keeps_its_store_for_itself() {
    let world = World::new();
    let dir = world.path();
    let _node = node(&world, "home", "--grpc-address off");
    let ran = run(dir, "store ls --data-dir home");
    let reason = reason(&ran);
    assert!(
        reason.contains("start it with --grpc-address, or stop it"),
        "{reason}"
    );
}

/// A node writes its addresses when it has started, and removes them when it stops: until then, and from then
/// on, only the lock of its data directory tells of it.
#[test]
fn a_node_that_neither_starts_nor_stops_in_time_is_named_so() {
    let world = World::new();
    let dir = world.path();
    fs::create_dir(dir.join("home")).unwrap();
    let lock = fs::File::create(dir.join("home/node.lock")).unwrap();
    lock.lock().unwrap();
    let ran = run(dir, "store ls --data-dir home");
    let reason = reason(&ran);
    assert!(reason.contains("a node that starts or stops"), "{reason}");
    drop(lock);
    world.run("store ls --data-dir home");
}

#[test]
fn commands_beside_a_node_that_stops_and_starts_are_answered() {
    let world = World::new();
    let dir = world.path();
    fs::write(dir.join("file"), "hello world\n").unwrap();
    let mut home = node(&world, "home", "");
    assert_eq!(added(dir, "file --data-dir home"), HELLO_WORLD);
    let going = AtomicBool::new(true);
    let answers = std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let mut answers = Vec::new();
            while going.load(Ordering::Relaxed) {
                answers.push(run(dir, "store ls --data-dir home"));
            }
            answers
        });
        for _ in 0..repetitions(40) {
            home.process.signal("-TERM");
            home.process.0.wait().unwrap();
            home = node(&world, "home", "");
        }
        going.store(false, Ordering::Relaxed);
        asking.join().unwrap()
    });
    assert!(!answers.is_empty());
    for ran in answers {
        // A call that was under way ends with its connection, or with the word of the node.
        let left = ["the node ended the connection", "the node stops"];
        match ran.code {
            Some(0) => assert_eq!(ran.stdout, format!("{HELLO_WORLD} file\n")),
            _ => assert!(left.iter().any(|text| ran.stderr.contains(text)), "{ran:?}"),
        }
    }
}

#[test]
fn a_command_waits_for_the_node_that_starts() {
    let world = World::new();
    let dir = world.path();
    fs::write(dir.join("file"), "hello world\n").unwrap();
    let node = peerwork(dir)
        .args(["node", "--data-dir", "home", "--libp2p", "127.0.0.1:0"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _node = Running(node);
    // The node takes the folder first, and writes its address later.
    eventually("the lock of the node", || {
        dir.join("home/node.lock").exists().then_some(())
    });
    assert_eq!(added(dir, "file --data-dir home"), HELLO_WORLD);
    let status = world.run("status --data-dir home");
    assert!(status.contains("1 pins, not served"), "{status}");
}

#[test]
fn a_node_that_was_killed_leaves_its_store_to_commands() {
    let world = World::new();
    let dir = world.path();
    fs::write(dir.join("file"), "hello world\n").unwrap();
    let mut node = node(&world, "home", "--store");
    assert_eq!(added(dir, "file --data-dir home"), HELLO_WORLD);
    node.process.kill();
    assert!(dir.join("home/node.json").exists());
    assert_eq!(
        bytes_of(dir, &format!("store cat {HELLO_WORLD} --data-dir home")),
        b"hello world\n"
    );
}

#[test]
fn a_second_command_is_told_that_the_store_is_in_use() {
    let world = World::new();
    let dir = world.path();
    // The command holds the store while it waits for its input.
    let mut adding = peerwork(dir)
        .args(["store", "add", "-", "--data-dir", "home"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let input = adding.stdin.take();
    let mut adding = Running(adding);
    let ran = eventually("the store to be in use", || {
        let ran = run(dir, "store ls --data-dir home");
        (ran.code == Some(1)).then_some(ran)
    });
    assert!(ran.stderr.contains("is in use by"), "{ran:?}");
    drop(input);
    assert!(adding.0.wait().unwrap().success());
    world.run("store ls --data-dir home");
}

#[test]
fn a_quota_that_is_reached_is_an_error_that_names_the_setting() {
    let world = World::new();
    let dir = world.path();
    fs::write(dir.join("large"), noise(200 << 20, 3)).unwrap();
    let ran = run(dir, "store add large --store-max 100MB --data-dir home");
    assert!(reason(&ran).contains("--store-max"), "{ran:?}");
    assert_eq!(world.run("store ls --data-dir home"), "");
    fs::write(dir.join("small"), noise(1 << 20, 4)).unwrap();
    // Blocks that were not pinned give way.
    added(dir, "small --store-max 100MB --data-dir home");
}
