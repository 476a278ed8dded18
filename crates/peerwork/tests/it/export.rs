//! `peerwork server export`: the file that it writes, and the command that it names, start a node.

use serde_json::Value;

use crate::{network::World, program::run};

/// The command in the answer of `server export`.
fn next(text: &str) -> &str {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("Use it by: "));
    line.and_then(|line| line.strip_prefix("peerwork "))
        .unwrap()
}

#[test]
fn each_exported_file_is_named_by_the_printed_command_and_starts_a_node() {
    let world = World::new();
    for (line, file) in [
        ("server export", "default-config.toml"),
        ("server export --type json", "default-config.json"),
        ("server export --to peerwork.toml", "peerwork.toml"),
        ("server export --to peerwork.json", "peerwork.json"),
    ] {
        let text = world.run(line);
        assert!(text.starts_with("\n[EXPORT SUCCESS]\n"), "{text}");
        assert!(text.contains(&format!("written to {file}\n")), "{text}");
        assert_eq!(next(&text), format!("server --config {file}"));
        let name = file.replace('.', "_");
        world.keys(&name);
        world.run(&format!("genesis --dir {name}.json"));
        let ports = "--libp2p 127.0.0.1:0 --relay-libp2p off --jsonrpc off --trans-proxy off";
        let more = format!("--data-dir {name} --network {name}.json --grpc-address 127.0.0.1:0");
        let node = world.start(&name, &format!("{} {ports} {more}", next(&text)));
        let status = world.run(&format!("status --data-dir {name}"));
        assert!(status.contains(&node.at.node_id), "{status}");
    }
}

#[test]
fn an_exported_file_never_replaces_another_and_its_name_fits_its_form() {
    let world = World::new();
    let shown = world.run("server export --to a.json --json");
    let value: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(value["next"], "peerwork server --config a.json");
    assert!(value["export_result"].as_str().unwrap().contains("a.json"));
    for (line, part) in [
        ("server export --to a.json", "a.json exists"),
        (
            "server export --to b.toml --type json",
            "is not a name for json",
        ),
        ("server export --type yaml", "--type toml"),
    ] {
        let error = run(world.path(), line).failed();
        assert!(error.contains(part), "{error}");
    }
    std::fs::write(world.path().join("bad.json"), "libp2p = 1").unwrap();
    let error = run(world.path(), "server --config bad.json").failed();
    assert!(error.contains("bad.json is not JSON settings"), "{error}");
    std::fs::write(world.path().join("bad.json"), r#"{"libp2q": "x"}"#).unwrap();
    let error = run(world.path(), "server --config bad.json").failed();
    assert!(error.contains("libp2q in bad.json"), "{error}");
}
