//! Programs that run until a signal ends them.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    net::TcpListener,
    process::{Child, Command, Stdio},
};

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
