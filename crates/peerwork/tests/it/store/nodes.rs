//! Stores of several nodes: a node finds what another one has, without being told where.

use std::fs;

use super::{added, bytes_of, node, noise, reason, tree};
use crate::{
    joining::invite,
    network::{Node, World, eventually},
    program::run,
};

/// A node of the network of `relay` that listens nowhere: others reach it through the relay.
fn behind_the_relay(world: &World, name: &str, more: &str) -> Node {
    let ticket = invite(world, "relay", "");
    run(world.path(), &format!("join {ticket} --data-dir {name}")).succeeded();
    world.start(name, &format!("node --data-dir {name} --libp2p off {more}"))
}

/// Waits until the relay knows the offer of a node.
fn offers(world: &World, node: &Node) {
    let line = "directory list --offering store --data-dir relay";
    world.shows(line, &node.at.node_id);
}

#[test]
fn a_node_finds_by_offer_what_another_has_and_fetches_it_through_a_relay() {
    let world = World::new();
    let dir = world.path();
    let content = tree(dir);
    let _relay = node(&world, "relay", "");
    let a = behind_the_relay(&world, "a", "--store");
    let _b = behind_the_relay(&world, "b", "");
    offers(&world, &a);
    let root = added(dir, "-r tree --data-dir a");
    let listed = eventually("the listing of the root", || {
        let ran = run(dir, &format!("store ls {root} --data-dir b"));
        (ran.code == Some(0)).then_some(ran.stdout)
    });
    assert_eq!(listed.lines().count(), 4);
    let large = bytes_of(dir, &format!("store cat {root}/large --data-dir b"));
    assert_eq!(large, content);
    world.run(&format!("store get {root} -o out --data-dir b"));
    assert_eq!(fs::read(dir.join("out/large")).unwrap(), content);
    // The fetched blocks are in the store of the node.
    let line = format!("store cat {root}/large --offline --data-dir b");
    assert_eq!(bytes_of(dir, &line), content);
    assert_eq!(world.run("store ls --data-dir b"), "");
    world.run(&format!("store pin {root} --name copy --data-dir b"));
    assert_eq!(world.run("store ls --data-dir b"), format!("{root} copy\n"));
    let status = world.run("status --data-dir a");
    assert!(status.contains("1 pins, served"), "{status}");
}

#[test]
fn a_provider_may_be_named_by_its_id_or_its_address() {
    let world = World::new();
    let dir = world.path();
    let relay = node(&world, "relay", "");
    let ticket = invite(&world, "relay", "");
    let started = ["a", "b", "c"].map(|name| {
        run(dir, &format!("join {ticket} --data-dir {name}")).succeeded();
        node(&world, name, if name == "a" { "--store" } else { "" })
    });
    let [a, _b, _c] = &started;
    fs::write(dir.join("file"), noise(700_000, 9)).unwrap();
    let cid = added(dir, "file --data-dir a");
    let by_address = format!("store cat {cid} --from {} --data-dir b", a.p2p());
    assert_eq!(bytes_of(dir, &by_address).len(), 700_000);
    offers(&world, a);
    let by_id = format!("store cat {cid} --from {} --data-dir c", a.at.node_id);
    assert_eq!(bytes_of(dir, &by_id).len(), 700_000);
    let ran = run(
        dir,
        &format!("store cat {cid} --from nonsense --data-dir c"),
    );
    assert!(reason(&ran).contains("`nonsense` is neither"), "{ran:?}");
    drop(relay);
}

#[test]
fn what_nobody_has_ends_with_an_error_that_names_who_was_asked() {
    let world = World::new();
    let dir = world.path();
    let _relay = node(&world, "relay", "");
    let a = behind_the_relay(&world, "a", "--store");
    let _b = behind_the_relay(&world, "b", "");
    offers(&world, &a);
    fs::write(dir.join("file"), noise(1000, 11)).unwrap();
    let hashed = run(dir, "store add -nQ file").succeeded();
    let cid = hashed.trim();
    let from = format!("--from {}", a.at.node_id);
    let ran = run(dir, &format!("store cat {cid} {from} --data-dir b"));
    let reason = reason(&ran);
    assert!(
        reason.contains(cid) && reason.contains(&a.at.node_id),
        "{reason}"
    );
}

#[test]
fn a_root_is_announced_by_a_node_that_serves_it_alone() {
    let world = World::new();
    let dir = world.path();
    let _relay = node(&world, "relay", "--store");
    fs::write(dir.join("file"), noise(1000, 12)).unwrap();
    let cid = added(dir, "file --pin=false --data-dir relay");
    let provided = world.run(&format!("store provide {cid} --data-dir relay"));
    assert_eq!(provided, format!("provided {cid}\n"));
    let hidden = node(&world, "hidden", "");
    let other = added(dir, "file --data-dir hidden");
    assert_eq!(cid, other);
    let ran = run(dir, &format!("store provide {cid} --data-dir hidden"));
    assert!(reason(&ran).contains("--store"), "{ran:?}");
    drop(hidden);
}
