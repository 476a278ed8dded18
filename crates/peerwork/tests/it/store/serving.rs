//! Stores of nodes that `peerwork server` runs, as operators of relays start them.

use std::fs;

use super::{added, bytes_of, tree};
use crate::{
    network::{World, eventually},
    program::run,
};

#[test]
fn a_relay_of_server_serves_its_store_to_the_nodes_of_its_network() {
    let world = World::of_its_own_address();
    let dir = world.path();
    let content = tree(dir);
    let mut relay = world.relay("relay", &[], "--store");
    let root = added(dir, "-r tree --data-dir relay");
    let other = world.relay("other", &[relay.p2p()], "");
    let line = format!("store get {root} -o out --data-dir other");
    eventually("the content of the relay", || {
        (run(dir, &line).code == Some(0)).then_some(())
    });
    assert_eq!(fs::read(dir.join("out/large")).unwrap(), content);
    let status = world.run("status --data-dir relay");
    assert!(status.contains("1 pins, served"), "{status}");
    let status = world.run("status --data-dir other");
    assert!(status.contains("0 pins, not served"), "{status}");
    // A relay that was killed serves again what it had, also to a node that it has not met before.
    drop(other);
    relay.restart(dir, "");
    let _third = world.relay("third", &[relay.p2p()], "");
    let line = format!("store cat {root}/large --data-dir third");
    eventually("the content of the relay that was killed", || {
        let ran = run(dir, &format!("store ls {root} --data-dir third"));
        (ran.code == Some(0)).then_some(())
    });
    assert_eq!(bytes_of(dir, &line), content);
}

#[test]
fn a_relay_of_server_without_the_flag_gives_no_block_to_others() {
    let world = World::new();
    let dir = world.path();
    fs::write(dir.join("file"), "kept to myself\n").unwrap();
    let relay = world.relay("relay", &[], "");
    let _other = world.relay("other", &[relay.p2p()], "");
    let cid = added(dir, "file --data-dir relay");
    world.shows("peers list --data-dir other", &relay.at.node_id);
    let from = format!("--from {}", relay.p2p());
    let ran = run(dir, &format!("store cat {cid} {from} --data-dir other"));
    let reason = super::reason(&ran);
    assert!(reason.contains(&relay.at.node_id), "{reason}");
    assert_eq!(ran.stdout, "");
}
