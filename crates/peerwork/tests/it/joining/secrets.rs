//! Secrets that change while nodes run, and joins that find no room on the disk.

#[cfg(unix)]
use std::process::Command;

use super::{invite, join, network_file, own_network, refused};
use crate::{
    network::{World, echo_succeeds, eventually},
    program::{Ran, peerwork, run},
};

#[test]
fn the_secret_changes_in_running_nodes_without_a_restart() {
    let world = World::new();
    let (_app, port) = world.webapp();
    let ip = world.ip;
    std::fs::create_dir(world.path().join("relay")).unwrap();
    let text = format!("libp2p = '{ip}:0'\n[relay]\nopen = true\ningress = '{ip}:0'\n");
    std::fs::write(world.path().join("relay/peerwork.toml"), text).unwrap();
    world.run("genesis --dir relay/network.json --name N --network-id 7");
    world.run("network new-secret --data-dir relay");
    let shown = world.run("network show --data-dir relay");
    assert!(
        shown.contains("Secret     = one") && !shown.contains("pws_"),
        "{shown}"
    );
    let relay = world.start("relay", "node --data-dir relay");
    let first = invite(&world, "relay", "");
    let line = format!(
        "node --data-dir edge --libp2p off --edge --edge-open --edge-port {port} --join {first}"
    );
    let edge = world.start("edge", &line);
    echo_succeeds(&relay, &edge.at.node_id, port);

    let changed = world.run("network new-secret --data-dir relay");
    assert!(
        changed.contains("peerwork network drop-secret --data-dir relay"),
        "{changed}"
    );
    // A ticket holds the secrets of the file as it is at that moment.
    let second = invite(&world, "relay", "");
    assert_ne!(second, first);
    echo_succeeds(&relay, &edge.at.node_id, port);
    let joined = join(&world, "edge", &second).succeeded();
    assert!(
        joined.contains("takes the secret within seconds"),
        "{joined}"
    );
    for name in ["edge", "relay"] {
        world.run(&format!("network drop-secret --data-dir {name}"));
    }
    let error = run(world.path(), "network drop-secret --data-dir relay").failed();
    assert!(error.contains("holds one secret"), "{error}");
    // The first ticket, which carries the former secret alone, is dead.
    let refused = eventually("the end of the former secret", || {
        let ran = join(&world, "stranger", &first);
        (ran.code == Some(1)).then_some(ran)
    });
    assert!(refused.stdout.contains("refused: "), "{refused:?}");
    echo_succeeds(&relay, &edge.at.node_id, port);
}

/// Runs `join` in a shell in which files cannot grow: `trap` chooses whether a write fails, as on a full
/// disk, or ends the process.
#[cfg(unix)]
fn join_without_room(world: &World, trap: &str, ticket: &str) -> Ran {
    let script = format!("{trap} ulimit -f 0; exec \"$0\" join {ticket} --data-dir joined");
    let program = peerwork(world.path());
    let mut shell = Command::new("sh");
    shell.current_dir(world.path()).arg("-c").arg(script);
    shell.arg(program.get_program());
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell.output().unwrap().into()
}

#[cfg(unix)]
#[test]
fn a_join_without_room_on_the_disk_or_ended_in_the_middle_leaves_no_half_and_goes_on_later() {
    let world = World::new();
    let _relay = own_network(&world, "relay");
    let ticket = invite(&world, "relay", "--once");
    world.keys("joined");
    let full = join_without_room(&world, "trap '' XFSZ;", &ticket);
    assert_eq!(full.code, Some(1), "{full:?}");
    assert!(
        full.stderr
            .contains("can be redeemed again with this data directory"),
        "{full:?}"
    );
    assert!(!network_file(&world, "joined").exists());
    let ended = join_without_room(&world, "", &ticket);
    assert_eq!(ended.code, None, "a signal ends the process: {ended:?}");
    assert!(!network_file(&world, "joined").exists());
    // The ticket was used, and by this node.
    let error = refused(&world, "other", &ticket);
    assert!(error.contains("used by another node already"), "{error}");
    join(&world, "joined", &ticket).succeeded();
    // A member keeps its network file when the next one cannot be written.
    let before = std::fs::read(network_file(&world, "joined")).unwrap();
    world.run("network new-secret --data-dir relay");
    let newer = eventually("the ticket with the new secret", || {
        let ticket = invite(&world, "relay", "");
        let full = join_without_room(&world, "trap '' XFSZ;", &ticket);
        (full.code == Some(1)).then_some(ticket)
    });
    assert_eq!(
        std::fs::read(network_file(&world, "joined")).unwrap(),
        before
    );
    join(&world, "joined", &newer).succeeded();
}
