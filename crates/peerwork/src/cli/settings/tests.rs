//! Which source of a setting wins, and how mistakes are told.

#![allow(clippy::unwrap_used)]

use std::{collections::HashMap, fs};

use super::*;
use crate::cli::args;

fn resolved(line: &[&str], environment: &[(&str, &str)]) -> anyhow::Result<Resolved> {
    let matches = args::command()
        .try_get_matches_from([&["peerwork", "server"], line].concat())
        .unwrap();
    let (_, matches) = matches.subcommand().unwrap();
    let environment: HashMap<_, _> = environment.iter().copied().collect();
    resolve(matches, Scope::Server, &|name| {
        environment.get(name).map(Into::into)
    })
}

fn file(text: &str) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("any.toml");
    fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (dir, path)
}

#[test]
fn a_flag_counts_before_the_environment_before_the_file_before_the_default() {
    let (_dir, path) =
        file("jsonrpc = '127.0.0.1:3'\nlibp2p = '127.0.0.1:3'\ntrans_proxy = ':3'\n");
    let found = resolved(
        &["--config", &path, "--jsonrpc", "127.0.0.1:1"],
        &[
            ("PEERWORK_JSONRPC", "127.0.0.1:2"),
            ("PEERWORK_LIBP2P", "127.0.0.1:2"),
        ],
    )
    .unwrap();
    let port = |listen: crate::cli::values::Listen| listen.address().unwrap().port();
    let server = &found.settings.server;
    assert_eq!(port(server.relay.jsonrpc), 1);
    assert_eq!(port(server.p2p.libp2p), 2);
    assert_eq!(port(server.relay.trans_proxy), 3);
    assert_eq!(port(server.p2p.relay_libp2p), 50004);
}

#[test]
fn a_switch_set_in_the_file_can_be_taken_back_by_its_flag() {
    let (_dir, path) = file("relay-on = true\napp_no_auth = true\n");
    let found = resolved(&["--config", &path, "--relay-on=false"], &[]).unwrap();
    assert!(!found.settings.server.edge.relay_on);
    assert!(found.settings.server.edge.app_no_auth);
}

#[test]
fn lists_come_from_arrays_and_from_commas_and_replace_each_other() {
    let (_dir, path) = file("app-port = [1, 2]\nallow-caller = ['a', 'b']\n");
    let found = resolved(&["--config", &path], &[("PEERWORK_APP_PORT", "3, 4,5")]).unwrap();
    assert_eq!(found.settings.server.edge.app_port, [3, 4, 5]);
    assert_eq!(found.settings.server.edge.allow_caller, ["a", "b"]);
}

#[test]
fn all_mistakes_are_told_at_once_with_key_and_value() {
    let (_dir, path) = file(
        "running-mode = 'egde'\njsonrcp = ':1'\napp-default-port = 70000\nlibp2p = [':1']\n\
         relay_on = 'maybe'\nconfig = 'x'\n[network]\nname = 'x'\n",
    );
    let error = resolved(&["--config", &path], &[("PEERWORK_NAT", "here")]).unwrap_err();
    let text = error.to_string();
    for part in [
        "8 settings are wrong",
        "PEERWORK_NAT = `here`",
        "running-mode in ",
        "`egde`: the modes are full",
        "the nearest is `jsonrpc`",
        "`70000`",
        "not a list",
        "`maybe`: it is one of true, false",
        "cannot name another one",
        "a table has no meaning here",
    ] {
        assert!(text.contains(part), "`{part}` is not in: {text}");
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
    assert_eq!(found.settings.server.edge.app_name, "found");
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
fn exclusive_limits_exclude_each_other_across_their_sources() {
    let (_dir, path) = file("max-peers = 40\n");
    assert!(resolved(&["--config", &path, "--max-inbound-peers", "3"], &[]).is_err());
}
