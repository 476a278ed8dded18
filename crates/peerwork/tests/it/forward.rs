//! `peerwork forward` to ports that the edge refuses: its standard error names the reason.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Read as _},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::Stdio,
    time::Duration,
};

use serde_json::Value;
use tokio::net::TcpSocket;

use crate::{
    network::{Running, World, eventually},
    program::peerwork,
};

/// A running `peerwork forward`.
struct Forward {
    process: Running,
    log: PathBuf,
}

impl Forward {
    /// Starts a forward of a free local port to `target`, in the network of the edge `edge_1`.
    fn start(world: &World, target: &str) -> Self {
        let log = world
            .path()
            .join(format!("{}.log", target.replace(':', "_")));
        let child = peerwork(world.path())
            .args(["forward", "0", target, "--network", "edge_1.json", "--json"])
            .stdout(Stdio::piped())
            .stderr(File::create(&log).unwrap())
            .spawn();
        let process = Running(child.unwrap());
        Self { process, log }
    }

    /// The local address, which the program prints once it listens.
    fn address(&mut self) -> SocketAddr {
        let mut line = String::new();
        let stdout = self.process.0.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let answer: Value = serde_json::from_str(&line).unwrap();
        answer["local"].as_str().unwrap().parse().unwrap()
    }

    /// The warnings about connections so far.
    fn warnings(&self) -> Vec<String> {
        let log = std::fs::read_to_string(&self.log).unwrap();
        let lines = log.lines().map(|line| serde_json::from_str(line).unwrap());
        let messages =
            lines.filter_map(|line: Value| Some(line["fields"]["message"].as_str()?.to_owned()));
        messages
            .filter(|message| message.starts_with("no connection"))
            .collect()
    }
}

/// Connects, and waits until the connection is closed without a byte.
fn refused(local: SocketAddr) {
    let mut socket = TcpStream::connect(local).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let mut received = Vec::new();
    if let Err(error) = socket.read_to_end(&mut received) {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}");
    }
    assert!(received.is_empty());
}

#[test]
fn forward_names_the_reason_of_refused_connections_once_for_many() {
    let world = World::new();
    // A socket that is bound and does not listen refuses connections, and keeps its port from others.
    let unused = TcpSocket::new_v4().unwrap();
    unused.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = unused.local_addr().unwrap().port();
    let relay = world.relay("node_1", &[], "--app-no-auth");
    let open = world.edge("edge_1", &[relay.p2p()], port, "--app-no-auth");
    let closed = world.edge("edge_2", &[relay.p2p()], port, "");
    let stranger = "16Uiu2HAmEWQnHq2jLKJypwVnVoQeFCULuyop6atvq2eWjYSUjzNi";
    let (open, closed) = (&open.at.node_id, &closed.at.node_id);
    let cases = [
        (format!("{open}:{port}"), "nothing listens at this port"),
        (format!("{open}:1"), "does not allow this port"),
        (format!("{closed}:{port}"), "demands a key"),
        (
            format!("{stranger}:{port}"),
            "no node of this name is known",
        ),
    ];
    let mut running =
        cases.map(|(target, reason)| (Forward::start(&world, &target), target, reason));
    for (forward, target, reason) in &mut running {
        let local = forward.address();
        for _ in 0..5 {
            refused(local);
        }
        eventually(reason, || (!forward.warnings().is_empty()).then_some(()));
        let warnings = forward.warnings();
        let named = warnings.iter().filter(|warning| warning.contains(*reason));
        assert_eq!(named.count(), 1, "{warnings:?}");
        assert!(warnings[0].contains(target.as_str()), "{warnings:?}");
    }
}

#[test]
fn forward_says_that_no_relay_knows_the_node_before_it_listens() {
    let world = World::new();
    let relay = world.relay("node_1", &[], "--app-no-auth");
    let _edge = world.edge("edge_1", &[relay.p2p()], 9527, "--app-no-auth");
    let unknown = "16Uiu2HAmEWQnHq2jLKJypwVnVoQeFCULuyop6atvq2eWjYSUjzNi:22";
    let mut forward = Forward::start(&world, unknown);
    eventually("the warning", || {
        let log = std::fs::read_to_string(&forward.log).unwrap();
        log.contains("no relay knows this node yet").then_some(())
    });
    let address = forward.address();
    assert!(address.ip().is_loopback());
}
