//! Programs that run until a signal ends them.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    net::TcpListener,
    process::{Child, Command, Stdio},
};

#[cfg(target_os = "linux")]
use peerwork::runtime_file::RuntimeFile;

#[cfg(target_os = "linux")]
use crate::network::{Running, eventually};
use crate::program::{peerwork, run};

fn start(dir: &std::path::Path, line: &str) -> Child {
    peerwork(dir)
        .args(line.split_whitespace())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill")
        .args([name, &child.id().to_string()])
        .status();
    assert!(status.unwrap().success());
}

#[test]
fn the_web_app_prints_its_address_and_stops_in_order() {
    let dir = tempfile::tempdir().unwrap();
    for (name, word) in [
        ("-INT", "interrupt"),
        ("-TERM", "terminated"),
        ("-HUP", "hangup"),
    ] {
        let mut child = start(dir.path(), "webapp --listen 127.0.0.1:0");
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        assert!(
            line.starts_with("Server is running, access http://localhost:")
                && line.ends_with("/home\n"),
            "{line}"
        );
        signal(&child, name);
        let mut rest = String::new();
        stdout.read_to_string(&mut rest).unwrap();
        assert_eq!(
            rest,
            format!("\n[SIGNAL] Caught signal: {word}\nGracefully shutting down client...\n")
        );
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn a_web_app_that_cannot_listen_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap();
    let error = run(dir.path(), &format!("webapp --listen {at}")).failed();
    assert!(
        error.contains("cannot listen") && error.contains("--listen"),
        "{error}"
    );
}

/// On a full disk a service cannot write its standard output.
#[cfg(target_os = "linux")]
#[test]
fn a_node_runs_and_stops_in_order_when_standard_output_cannot_be_written() {
    for line in [
        "relay --data-dir d --websocket 127.0.0.1:0 --tcp off",
        "node --data-dir d --libp2p 127.0.0.1:0",
    ] {
        let dir = tempfile::tempdir().unwrap();
        let full = std::fs::File::options().write(true).open("/dev/full");
        let child = peerwork(dir.path())
            .args(line.split_whitespace())
            .stdout(full.unwrap())
            .stderr(Stdio::null())
            .spawn();
        let mut node = Running(child.unwrap());
        let data = dir.path().join("d");
        eventually("node.json", || RuntimeFile::load(&data).ok().flatten());
        node.signal("-TERM");
        assert_eq!(node.0.wait().unwrap().code(), Some(0), "{line}");
        // The file goes only when the parts of the node are stopped.
        assert_eq!(RuntimeFile::load(&data).unwrap(), None, "{line}");
    }
}
