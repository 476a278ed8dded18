//! Data directories that cannot be used: each failure names the path and the way out.
//!
//! Tests may run as root, which may write everywhere; so a file stands where a folder should be, or a
//! folder where a file should be.

use std::fs;

use crate::{
    network::{Running, eventually},
    program::{peerwork, run},
};

#[test]
fn a_data_directory_that_cannot_be_made_is_an_error_that_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    run(dir.path(), "genesis").succeeded();
    for command in [
        "node",
        "node init",
        "relay",
        "server",
        "secrets init",
        "key create",
        "key list",
    ] {
        let error = run(dir.path(), &format!("{command} --data-dir file/deep/er")).failed();
        assert!(error.contains("file/deep/er"), "{command}: {error}");
        let advice = "a part of its path is a file: name another folder";
        assert!(error.trim_end().ends_with(advice), "{command}: {error}");
    }
    let error = run(dir.path(), "node --data-dir d --log-to file/x.log").failed();
    assert!(
        error.contains("cannot open the log file file/x.log") && error.contains("name another"),
        "{error}"
    );
    let pages = "relay --data-dir e --websocket 127.0.0.1:0 --tcp off --write-config file";
    let error = run(dir.path(), pages).failed();
    let error = error.lines().last().unwrap();
    assert!(
        error.starts_with("error: file/relay-config.json cannot be written: Not a directory")
            && error.ends_with("name another folder"),
        "{error}"
    );
}

#[test]
fn a_file_of_the_node_that_cannot_be_written_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let files = ["node.lock", "operator.token", "webrtc.pem", "keys.json"];
    for (number, file) in files.iter().enumerate() {
        let data = format!("d{number}");
        fs::create_dir_all(dir.path().join(&data).join(file)).unwrap();
        let line = format!(
            "node --data-dir {data} --libp2p 127.0.0.1:0 --edge \
             --listen /ip4/127.0.0.1/udp/0/webrtc-direct"
        );
        let error = run(dir.path(), &line).failed();
        let error = error.lines().last().unwrap();
        assert!(error.starts_with("error: "), "{error}");
        assert!(error.contains(&format!("{data}/{file}")), "{error}");
        assert!(
            error.ends_with("a folder has this name: move it away"),
            "{error}"
        );
    }
}

#[test]
fn a_node_whose_addresses_cannot_be_written_runs_and_says_how_to_ask_it() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("d/node.json/full")).unwrap();
    let log = dir.path().join("log.txt");
    let child = peerwork(dir.path())
        .args(["node", "--data-dir", "d", "--libp2p", "127.0.0.1:0"])
        .stdout(std::process::Stdio::null())
        .stderr(fs::File::create(&log).unwrap())
        .spawn();
    let _node = Running(child.unwrap());
    let address = eventually("the warning", || {
        let text = fs::read_to_string(&log).unwrap();
        let warning = text
            .lines()
            .find(|line| line.contains("node.json could not be written"))?;
        assert!(warning.contains("move it away"), "{warning}");
        let (_, rest) = warning.split_once("give them --grpc-address ")?;
        Some(rest.split(';').next()?.to_owned())
    });
    let status = run(dir.path(), &format!("status --grpc-address {address}")).succeeded();
    assert!(status.contains("[STATUS]"), "{status}");
}
