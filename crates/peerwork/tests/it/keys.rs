//! `peerwork key create` warns when no node would ask for the key.

use std::fs;

use crate::{
    network::World,
    program::{Ran, run},
};

/// Makes a key, and gives the warnings.
fn made(world: &World, flags: &str) -> String {
    let Ran {
        code,
        stdout,
        stderr,
    } = run(world.path(), &format!("key create {flags}"));
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.contains("pwk_"), "{stdout}");
    stderr
}

#[test]
fn a_key_of_a_running_node_that_asks_for_none_is_a_warning_with_the_way_out() {
    let world = World::new();
    let relay = world.relay("node_1", &[], "");
    let _open = world.edge("edge_1", &[relay.p2p()], 9527, "--app-no-auth");
    let _closed = world.edge("edge_2", &[relay.p2p()], 9527, "");
    let warning = made(&world, "--data-dir edge_1");
    assert!(warning.contains("protects nothing"), "{warning}");
    assert!(
        warning.contains("start it without `--app-no-auth`"),
        "{warning}"
    );
    for asks in ["--data-dir edge_2", "--data-dir node_1"] {
        assert_eq!(made(&world, asks), "");
    }
    let json = made(&world, "--data-dir edge_1 --json");
    assert!(json.starts_with(r#"{"warning":"#), "{json}");
    let elsewhere = made(&world, "");
    assert!(
        elsewhere.contains("which no running node uses"),
        "{elsewhere}"
    );
    let edge = fs::canonicalize(world.path().join("edge_1")).unwrap();
    let flag = format!("--data-dir {}", edge.display());
    assert!(elsewhere.contains(&flag), "{elsewhere}");
}

#[test]
fn a_key_that_the_settings_do_not_ask_for_is_a_warning() {
    let world = World::new();
    for (name, settings, useless) in [
        ("a", "app-no-auth = true", true),
        ("b", "[edge]\nopen = true", true),
        ("c", "[relay]\nopen = true", true),
        ("d", "[edge]\nport = [22]", false),
        ("e", "[edge]\nenabled = false\nopen = true", false),
    ] {
        let dir = world.path().join(name);
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("peerwork.toml"), settings).unwrap();
        let warning = made(&world, &format!("--data-dir {name}"));
        let found = warning.contains("the settings let callers pass without a key");
        assert_eq!(found, useless, "{settings}: {warning}");
    }
    assert_eq!(made(&world, "--data-dir empty"), "");
}
