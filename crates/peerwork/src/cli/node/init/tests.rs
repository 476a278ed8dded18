//! The written file agrees with the settings and defaults of the program.

#![allow(clippy::unwrap_used)]

use peerwork::Config;
use peerwork_identity::{KeyType, Keypair};

use super::*;
use crate::cli::{
    network_file::Chosen,
    node::{compose, flags::NodeFlags},
    running::Found,
    settings::{Environment, Source},
};

/// The lines with a setting or a table, without their `# `.
fn settings() -> Vec<String> {
    let text = text();
    let lines = text.lines().filter_map(|line| line.strip_prefix("# "));
    let is_setting = |line: &&str| {
        let key = line.split(" =").next().unwrap_or_default();
        let plain = key
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        (line.contains(" =") && plain) || matches!(*line, "[relay]" | "[edge]" | "[store]")
    };
    lines.filter(is_setting).map(str::to_owned).collect()
}

fn configured(keypair: &Keypair, file: &str, line: &[&str]) -> Config {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("any.toml");
    std::fs::write(&path, file).unwrap();
    let line = [&["--config", path.to_str().unwrap()], line].concat();
    let flags = schema::<NodeFlags>().try_get_matches_from(line).unwrap();
    let source = Source {
        flags: &flags,
        environment: &Environment::default(),
        schemas: &[schema::<NodeFlags>],
    };
    let resolved = source.resolve::<NodeFlags>().unwrap();
    let found = Found {
        data_dir: "unused".into(),
        grpc_address: resolved.global.grpc_address.as_deref(),
        keypair: keypair.clone(),
        network: Chosen::without_a_file(),
    };
    compose::config(&resolved.own, found).unwrap()
}

#[test]
fn every_setting_of_the_program_stands_in_the_file_once() {
    let lines = settings();
    let all = defaults_of(&schema::<NodeFlags>());
    // The file leaves the data directory out, and each role's switch is its table.
    assert_eq!(lines.len(), all.len() - 1);
    for table in ["[relay]", "[edge]", "[store]"] {
        assert_eq!(lines.iter().filter(|line| *line == table).count(), 1);
    }
}

#[test]
fn the_commented_defaults_are_those_of_the_program() {
    let keypair = Keypair::generate(KeyType::Ed25519);
    let given = |line: &String| !line.ends_with('=');
    let written: Vec<_> = settings().into_iter().filter(given).collect();
    let both = configured(&keypair, &written.join("\n"), &[]);
    assert!(both.relay.is_some() && both.edge.is_some() && both.store.serve);
    let flags = configured(&keypair, "", &["--relay", "--edge", "--store"]);
    assert_eq!(format!("{both:?}"), format!("{flags:?}"));
    let (node, _) = written.split_at(written.iter().position(|l| l == "[relay]").unwrap());
    let peer = configured(&keypair, &node.join("\n"), &[]);
    let flags = configured(&keypair, "", &[]);
    assert_eq!(format!("{peer:?}"), format!("{flags:?}"));
}

#[test]
fn settings_without_a_default_have_none_in_the_program() {
    let defaults = defaults_of(&schema::<NodeFlags>());
    for line in settings().iter().filter(|line| line.ends_with('=')) {
        let key = line.trim_end_matches(" =");
        // In the table of a role the key lacks the role's name.
        let keys = [
            key.to_owned(),
            format!("relay-{key}"),
            format!("edge-{key}"),
            format!("store-{key}"),
        ];
        let mut named = defaults.iter().filter(|s| keys.contains(&s.key)).peekable();
        assert!(named.peek().is_some(), "{key}");
        assert!(
            named.any(|setting| setting.default == Value::Absent),
            "{key}"
        );
    }
}

#[test]
fn a_node_listens_for_nodes_and_operators_at_free_ports() {
    let keypair = Keypair::generate(KeyType::Ed25519);
    let config = configured(&keypair, "", &[]);
    let ports: Vec<_> = config.net.listen.iter().map(ToString::to_string).collect();
    assert_eq!(ports, ["/ip4/0.0.0.0/tcp/0", "/ip4/0.0.0.0/udp/0/quic-v1"]);
    assert_eq!(config.api.operator.unwrap().address.port(), 0);
    assert!(config.relay.is_none() && config.edge.is_none());
    assert!(!config.net.mdns && !config.net.upnp);
}

#[test]
fn a_relay_that_is_an_edge_reserves_nowhere_and_an_edge_or_a_store_alone_does() {
    let keypair = Keypair::generate(KeyType::Ed25519);
    let reserves = |line: &[&str]| configured(&keypair, "", line).directory.keep_reservations;
    assert!(reserves(&["--edge"]));
    assert!(reserves(&["--store"]));
    assert!(!reserves(&["--edge", "--edge-no-reserve"]));
    assert!(!reserves(&["--store", "--edge-no-reserve"]));
    assert!(!reserves(&["--edge", "--relay"]));
    assert!(!reserves(&[]));
}
