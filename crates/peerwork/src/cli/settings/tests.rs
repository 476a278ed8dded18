//! Tests of the precedence of setting sources, and of the messages about mistakes.

#![allow(clippy::unwrap_used)]

use std::{fs, net::SocketAddr};

use super::*;
use crate::cli::values::multiaddress;

/// The settings of a command as they occur: texts, switches, lists, limits, roles.
#[derive(Args, Debug, Clone)]
struct Flags {
    #[arg(long, default_value = "127.0.0.1:50002")]
    jsonrpc: SocketAddr,
    #[arg(long, default_value = "127.0.0.1:50001")]
    libp2p: SocketAddr,
    #[arg(long, default_value = "127.0.0.1:50005")]
    trans_proxy: SocketAddr,
    #[arg(long, default_value = "127.0.0.1:50004")]
    relay_libp2p: SocketAddr,
    #[arg(long)]
    relay_on: bool,
    #[arg(long)]
    app_no_auth: bool,
    #[arg(long, default_value = "")]
    app_name: String,
    #[arg(long)]
    app_port: Vec<u16>,
    #[arg(long)]
    allow_caller: Vec<String>,
    #[arg(long)]
    nat: Option<std::net::IpAddr>,
    #[arg(long, value_parser = multiaddress)]
    announce: Option<multiaddr::Multiaddr>,
    #[arg(long, conflicts_with = "max_inbound_peers")]
    max_peers: Option<u32>,
    #[arg(long)]
    max_inbound_peers: Option<u32>,
    #[arg(long, default_value = "./genesis.json")]
    network: PathBuf,
    #[arg(long)]
    edge: bool,
    #[arg(long, default_value = "1")]
    edge_port: u16,
}

/// The settings of another command in the same file.
#[derive(Args, Debug, Clone)]
struct OtherFlags {
    #[arg(long)]
    topic: Vec<String>,
    #[arg(long)]
    worker: bool,
    #[arg(long)]
    worker_memory: Option<u64>,
    #[arg(long)]
    worker_memory_max: Option<u64>,
}

const SCHEMAS: &[Schema] = &[schema::<Flags>, schema::<OtherFlags>];

fn resolved_as<F: Args>(
    line: &[&str],
    environment: &[(&str, &str)],
) -> anyhow::Result<Resolved<F>> {
    let matches = schema::<F>().try_get_matches_from(line).unwrap();
    let environment: Environment = environment.iter().copied().collect();
    let source = Source {
        flags: &matches,
        environment: &environment,
        schemas: SCHEMAS,
    };
    source.resolve()
}

fn resolved(line: &[&str], environment: &[(&str, &str)]) -> anyhow::Result<Resolved<Flags>> {
    resolved_as(line, environment)
}

fn file(text: &str) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("any.toml");
    fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (dir, path)
}

#[test]
fn a_flag_overrides_the_environment_then_the_file_then_the_default() {
    let (_dir, path) =
        file("jsonrpc = '127.0.0.1:3'\nlibp2p = '127.0.0.1:3'\ntrans_proxy = '127.0.0.1:3'\n");
    let found = resolved(
        &["--config", &path, "--jsonrpc", "127.0.0.1:1"],
        &[
            ("PEERWORK_JSONRPC", "127.0.0.1:2"),
            ("PEERWORK_LIBP2P", "127.0.0.1:2"),
        ],
    )
    .unwrap();
    let own = &found.own;
    assert_eq!(own.jsonrpc.port(), 1);
    assert_eq!(own.libp2p.port(), 2);
    assert_eq!(own.trans_proxy.port(), 3);
    assert_eq!(own.relay_libp2p.port(), 50004);
}

#[test]
fn a_switch_set_in_the_file_can_be_taken_back_by_its_flag() {
    let (_dir, path) = file("relay-on = true\napp_no_auth = true\n");
    let found = resolved(&["--config", &path, "--relay-on=false"], &[]).unwrap();
    assert!(!found.own.relay_on);
    assert!(found.own.app_no_auth);
}

#[test]
fn lists_come_from_arrays_and_from_commas_and_replace_each_other() {
    let (_dir, path) = file("app-port = [1, 2]\nallow-caller = ['a', 'b']\n");
    let found = resolved(&["--config", &path], &[("PEERWORK_APP_PORT", "3, 4,5")]).unwrap();
    assert_eq!(found.own.app_port, [3, 4, 5]);
    assert_eq!(found.own.allow_caller, ["a", "b"]);
}

#[test]
fn all_mistakes_are_reported_at_once_with_key_and_value() {
    let (_dir, path) = file(
        "announce = 'egde'\njsonrcp = ':1'\napp-port = 70000\nlibp2p = [':1']\n\
         relay_on = 'maybe'\nconfig = 'x'\n[network]\nname = 'x'\n[edge]\nport = 0x10000\nprot = 1\n",
    );
    let error = resolved(&["--config", &path], &[("PEERWORK_NAT", "here")]).unwrap_err();
    let text = error.to_string();
    for part in [
        "10 settings are wrong",
        "PEERWORK_NAT = `here`",
        "announce in ",
        "`egde`",
        "the nearest is `jsonrpc`",
        "`70000`",
        "not a list",
        "`maybe`: it is one of true, false",
        "cannot name another one",
        "a table has no meaning here",
        "edge.port in ",
        "`65536`",
        "edge.prot in ",
        "the nearest is `port`",
    ] {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

#[test]
fn a_mistyped_key_of_a_table_is_answered_in_the_spelling_of_the_table() {
    let mistake = |text: &str| {
        let (_dir, path) = file(text);
        let error = resolved(&["--config", &path], &[]).unwrap_err().to_string();
        assert!(error.starts_with("a setting is wrong: "), "{error}");
        error
    };
    for (text, shown, correction) in [
        ("[edge]\nprot = 1", "edge.prot in ", "the nearest is `port`"),
        (
            "[edge]\nenabeld = false",
            "edge.enabeld in ",
            "the nearest is `enabled`",
        ),
        // The tables of other commands are checked too.
        (
            "[worker]\nmemry = 1",
            "worker.memry in ",
            "the nearest is `memory`",
        ),
        (
            "[worker]\nmemory_maks = 1",
            "worker.memory_maks in ",
            "the nearest is `memory_max`",
        ),
        (
            "[worker]\nmemory-maks = 1",
            "worker.memory-maks in ",
            "the nearest is `memory-max`",
        ),
        (
            "[edge]\nedge_port = 1",
            "edge.edge_port in ",
            "it is written `port`",
        ),
        (
            "[worker]\nworker_memory_max = 1",
            "worker.worker_memory_max in ",
            "it is written `memory_max`",
        ),
        (
            "[edge]\njsonrpc = ':1'",
            "edge.jsonrpc in ",
            "above the first table",
        ),
        (
            "[edge]\nmemory = 1",
            "edge.memory in ",
            "a setting of the table `[worker]`",
        ),
        (
            "[edge]\nzzz = 1",
            "edge.zzz in ",
            "`peerwork node init` writes all of them",
        ),
        ("[egde]\nport = 1", "egde in ", "the nearest is `[edge]`"),
        (
            "[zzz]\nport = 1",
            "zzz in ",
            "the tables are `[edge]`, `[worker]`",
        ),
        ("app_prot = 1", "app_prot in ", "the nearest is `app_port`"),
        ("app-prot = 1", "app-prot in ", "the nearest is `app-port`"),
        ("zzz = 1", "zzz in ", "`peerwork server export`"),
    ] {
        let error = mistake(text);
        assert!(
            error.contains(shown) && error.contains(correction),
            "{text}: {error}"
        );
    }
}

#[test]
fn a_table_turns_its_role_on_and_holds_its_settings() {
    let (_dir, path) = file("[edge]\nport = 7\n[worker]\nmemory = 1\n");
    let found = resolved(&["--config", &path], &[]).unwrap();
    assert!(found.own.edge);
    assert_eq!(found.own.edge_port, 7);
    let worker = resolved_as::<OtherFlags>(&["--config", &path], &[]).unwrap();
    assert!(worker.own.worker);
    assert_eq!(worker.own.worker_memory, Some(1));
    let (_dir, path) = file("[edge]\nenabled = false\nport = 7\n");
    let found = resolved(&["--config", &path], &[]).unwrap();
    assert!(!found.own.edge);
    assert!(
        resolved(&["--config", &path, "--edge"], &[])
            .unwrap()
            .own
            .edge
    );
    let (_dir, path) = file("edge-port = 8\n[edge]\nport = 7\n");
    let error = resolved(&["--config", &path], &[]).unwrap_err().to_string();
    assert!(error.contains("the same as edge"), "{error}");
}

#[test]
fn one_file_may_hold_the_settings_of_several_commands() {
    let (_dir, path) = file("topic = ['a']\napp-name = 'x'\njson = true\n");
    let found = resolved(&["--config", &path], &[]).unwrap();
    assert_eq!(found.own.app_name, "x");
    let other = resolved_as::<OtherFlags>(&["--config", &path], &[]).unwrap();
    assert_eq!(other.own.topic, ["a"]);
    let none = resolved_as::<NoSettings>(&["--config", &path], &[]).unwrap();
    assert!(none.global.json);
    let (_dir, path) = file("topics = ['a']\n");
    for error in [
        resolved(&["--config", &path], &[]).unwrap_err(),
        resolved_as::<NoSettings>(&["--config", &path], &[]).unwrap_err(),
    ] {
        let error = error.to_string();
        assert!(error.contains("the nearest is `topic`"), "{error}");
    }
}

#[test]
fn a_file_that_is_not_toml_is_an_error_with_its_place() {
    let (_dir, path) = file("jsonrpc = \n");
    let error = format!("{:#}", resolved(&["--config", &path], &[]).unwrap_err());
    assert!(
        error.contains("is not TOML") && error.contains("line 1"),
        "{error}"
    );
    let error = format!(
        "{:#}",
        resolved(&["--config", "/no/such/file"], &[]).unwrap_err()
    );
    assert!(
        error.contains("cannot read the settings file /no/such/file"),
        "{error}"
    );
}

#[test]
fn peerwork_toml_in_the_data_directory_is_read_without_being_named() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("peerwork.toml"), "app-name = 'found'\n").unwrap();
    let data_dir = dir.path().to_str().unwrap();
    let found = resolved(&["--data-dir", data_dir], &[]).unwrap();
    assert_eq!(found.own.app_name, "found");
    assert!(!found.data_dir_is_default);

    fs::write(
        dir.path().join("peerwork.toml"),
        "data-dir = '/elsewhere'\n",
    )
    .unwrap();
    assert!(resolved(&["--data-dir", data_dir], &[]).is_err());
}

#[test]
fn a_named_file_may_name_the_data_directory() {
    let (_dir, path) = file("data-dir = '/somewhere'\n");
    let found = resolved(&["--config", &path], &[]).unwrap();
    assert_eq!(found.data_dir, Path::new("/somewhere"));
}

#[test]
fn mutually_exclusive_limits_conflict_across_their_sources() {
    let (_dir, path) = file("max-peers = 40\n");
    assert!(resolved(&["--config", &path, "--max-inbound-peers", "3"], &[]).is_err());
}
