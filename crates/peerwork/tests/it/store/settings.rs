//! The settings of the store, from flags, the environment and the table `[store]`.

use std::fs;

use serde_json::Value;

use super::{node, reason};
use crate::{
    network::World,
    program::{peerwork, run},
};

fn max_of(world: &World, line: &str, variables: &[(&str, &str)]) -> u64 {
    let mut command = peerwork(world.path());
    command
        .args(line.split_whitespace())
        .envs(variables.iter().copied());
    let ran = command.output().unwrap();
    assert!(ran.status.success(), "{ran:?}");
    let stat: Value = serde_json::from_slice(&ran.stdout).unwrap();
    stat["max_bytes"].as_u64().unwrap()
}

const STAT: &str = "store stat --json --data-dir home";

#[test]
fn a_store_without_a_node_has_the_settings_of_flags_environment_and_file() {
    let world = World::new();
    assert_eq!(max_of(&world, STAT, &[]), 10_000_000_000);
    let file = "libp2p = \"127.0.0.1:0\"\n[store]\nmax = \"3GB\"\nreserve = 500\n";
    fs::write(world.path().join("home/peerwork.toml"), file).unwrap();
    assert_eq!(max_of(&world, STAT, &[]), 3_000_000_000);
    let variable = [("PEERWORK_STORE_MAX", "2GiB")];
    assert_eq!(max_of(&world, STAT, &variable), 2 << 30);
    let flag = format!("{STAT} --store-max 4000000000");
    assert_eq!(max_of(&world, &flag, &variable), 4_000_000_000);
}

#[test]
fn a_node_takes_the_same_settings_and_the_table_makes_it_serve() {
    let world = World::new();
    fs::create_dir(world.path().join("home")).unwrap();
    let file = "[store]\nmax = \"3GB\"\nipfs-api = \"/ip4/127.0.0.1/tcp/5001\"\n";
    fs::write(world.path().join("home/peerwork.toml"), file).unwrap();
    let more = "--store-reserve 1MB --relay --relay-ingress off";
    let node = node(&world, "home", more);
    let stat: Value = serde_json::from_str(&world.run(STAT)).unwrap();
    assert_eq!(stat["max_bytes"], 3_000_000_000_u64);
    assert_eq!(stat["serves"], true);
    let id = &node.at.node_id;
    world.shows(&format!("directory show {id} --data-dir home"), "store/1");
    let checked = world.run("node check --data-dir home");
    assert!(
        checked.contains("the content store, of at most 3000000000 bytes"),
        "{checked}"
    );
}

#[test]
fn a_wrong_size_is_named_with_its_place() {
    let world = World::new();
    fs::create_dir(world.path().join("home")).unwrap();
    fs::write(
        world.path().join("home/peerwork.toml"),
        "[store]\nmax = \"many\"\n",
    )
    .unwrap();
    let ran = run(world.path(), "store stat --data-dir home");
    let reason = reason(&ran);
    assert!(
        reason.contains("store.max in") && reason.contains("write it like 10GB"),
        "{reason}"
    );
}
