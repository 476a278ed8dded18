//! Nodes whose limit of open files is lower than the number of their connections.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    process::{Command, Stdio},
    time::Duration,
};

use peerwork::runtime_file::RuntimeFile;

use crate::network::{Running, World, eventually};

/// More connections than open files.
const CONNECTIONS: usize = 200;
const FILES: usize = 80;
/// Longer than an answer takes, and shorter than the 30 s after which the port closes a connection
/// without a whole request.
const PATIENCE: Duration = Duration::from_secs(15);

/// Starts a relay for browsers in a shell that first runs `ulimit`; returns it with its HTTP address.
fn relay(world: &World, ulimit: &str) -> (Running, SocketAddr) {
    let data = world.path().join("relay");
    std::fs::create_dir(&data).unwrap();
    let line = format!(
        "{ulimit}; exec {} relay --data-dir {} --websocket 127.0.0.1:0 --tcp off",
        env!("CARGO_BIN_EXE_peerwork"),
        data.display()
    );
    let child = Command::new("sh")
        .args(["-c", &line])
        .current_dir(world.path())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(data.join("log.txt")).unwrap())
        .spawn();
    let running = Running(child.unwrap());
    let front = || RuntimeFile::load(&data).ok().flatten()?.front;
    let at = eventually("node.json", front);
    (running, at)
}

/// Sends a request on a new connection, and returns the connection with the first bytes of the answer.
fn ask(at: SocketAddr) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(at).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        .unwrap();
    let mut status = [0; 12];
    let read = stream.read_exact(&mut status);
    assert!(read.is_ok(), "no answer: {read:?}");
    (stream, String::from_utf8_lossy(&status).into_owned())
}

#[test]
fn a_node_has_as_many_connections_as_the_hard_limit_of_open_files_allows() {
    let world = World::new();
    let (_relay, at) = relay(&world, &format!("ulimit -Sn {FILES}"));
    let held: Vec<_> = (0..CONNECTIONS).map(|_| ask(at)).collect();
    assert!(held.iter().all(|(_, status)| status == "HTTP/1.1 200"));
}

#[test]
fn connections_without_a_request_give_way_when_no_file_is_free() {
    let world = World::new();
    let (_relay, at) = relay(&world, &format!("ulimit -n {FILES}"));
    let flood = (0..CONNECTIONS).map(|_| {
        let mut stream = TcpStream::connect(at).unwrap();
        stream.write_all(b"G").unwrap();
        stream
    });
    let _flood: Vec<_> = flood.collect();
    assert_eq!(ask(at).1, "HTTP/1.1 200");
    let log = std::fs::read_to_string(world.path().join("relay/log.txt")).unwrap();
    assert_eq!(log.matches("connections wait").count(), 1, "{log}");
    assert!(log.contains("raise"), "{log}");
}
