//! A test network of real processes: relays, edges and web apps, on free ports.

use std::{
    io::{BufRead as _, BufReader},
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use peerwork::runtime_file::RuntimeFile;
use peerwork_testkit::own_loopback;
use tempfile::TempDir;

use crate::program::{peerwork, run};

pub(crate) use peerwork_testkit::process::{Running, eventually_blocking as eventually};

/// A node's process with its addresses.
pub(crate) struct Node {
    pub(crate) process: Running,
    pub(crate) at: RuntimeFile,
    data: PathBuf,
    arguments: Vec<String>,
}

impl Node {
    /// The node's first peer-to-peer address.
    pub(crate) fn p2p(&self) -> &str {
        &self.at.p2p[0]
    }

    /// The data directory, which also holds the log.
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// The port of the first peer-to-peer address.
    pub(crate) fn p2p_port(&self) -> u16 {
        let port = self.p2p().split('/').nth(4);
        port.and_then(|port| port.parse().ok()).unwrap()
    }

    /// Starts the node again with the same ports, and with `more` arguments.
    pub(crate) fn restart(&mut self, dir: &Path, more: &str) {
        self.process.kill();
        let own = |at: Option<SocketAddr>| at.map(|at| at.to_string());
        let fixed = [
            ("--libp2p", Some(host_and_port(self.p2p()))),
            ("--trans-proxy", own(self.at.ingress)),
            ("--jsonrpc", own(self.at.jsonrpc)),
        ];
        self.restart_with(dir, fixed, more);
    }

    /// Starts a relay for browsers again with the same ports, and with `more` arguments.
    pub(crate) fn restart_browser_relay(&mut self, dir: &Path, more: &str) {
        self.process.kill();
        let tcp = self.at.p2p.iter().find(|address| !address.contains("/ws/"));
        let webrtc = self.at.p2p.iter().find(|a| a.contains("/webrtc-direct/"));
        let port = |address: Option<&String>| address.map(|address| host_and_port(address));
        let fixed = [
            ("--websocket", self.at.front.map(|at| at.to_string())),
            ("--tcp", port(tcp)),
            ("--webrtc", port(webrtc)),
        ];
        self.restart_with(dir, fixed, more);
    }

    fn restart_with<const N: usize>(
        &mut self,
        dir: &Path,
        fixed: [(&str, Option<String>); N],
        more: &str,
    ) {
        let mut arguments = self.arguments.clone();
        for (flag, value) in fixed {
            let at = arguments.iter().position(|argument| argument == flag);
            if let (Some(at), Some(value)) = (at, value) {
                arguments[at + 1] = value;
            }
        }
        arguments.extend(more.split_whitespace().map(str::to_owned));
        let _ = std::fs::remove_file(self.data.join("node.json"));
        *self = start(dir, &self.data, arguments);
    }
}

/// The host and port of a multiaddr over TCP or UDP.
fn host_and_port(address: &str) -> String {
    let parts: Vec<&str> = address.split('/').collect();
    format!("{}:{}", parts[2], parts[4])
}

/// The folder of all files of one test, and the loopback address that its nodes listen on.
pub(crate) struct World {
    pub(crate) dir: TempDir,
    pub(crate) ip: Ipv4Addr,
}

fn start(dir: &Path, data: &Path, arguments: Vec<String>) -> Node {
    let log = std::fs::File::create(data.join("log.txt")).unwrap();
    let child = peerwork(dir)
        .args(&arguments)
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap();
    let mut process = Running(child);
    let at = eventually("node.json", || {
        if let Some(status) = process.0.try_wait().unwrap() {
            let log = std::fs::read_to_string(data.join("log.txt")).unwrap();
            panic!("{arguments:?} ended with {status}: {log}");
        }
        RuntimeFile::load(data).ok().flatten()
    });
    Node {
        process,
        at,
        data: data.to_owned(),
        arguments,
    }
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            ip: Ipv4Addr::LOCALHOST,
        }
    }

    /// A world whose nodes may be restarted: no other test takes the ports of its address meanwhile.
    pub(crate) fn of_its_own_address() -> Self {
        let ip = own_loopback();
        Self { ip, ..Self::new() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn run(&self, line: &str) -> String {
        run(self.path(), line).succeeded()
    }

    /// Makes the keys of a node, whose data directory is called `name`.
    pub(crate) fn keys(&self, name: &str) -> String {
        self.run(&format!("secrets init --data-dir {name}"));
        let node = self.run(&format!("secrets output --data-dir {name} --node-id"));
        node.trim().to_owned()
    }

    fn network_file(&self, name: &str, flag: &str, addresses: &[&str]) -> String {
        let file = format!("{name}.json");
        let entries: Vec<_> = addresses.iter().map(|at| format!("{flag}={at}")).collect();
        let entries = entries.join(" ");
        self.run(&format!(
            "genesis --dir {file} --name MyNetwork --network-id 1000 {entries}"
        ));
        file
    }

    /// Starts a relay on free ports; `more` are further arguments.
    pub(crate) fn relay(&self, name: &str, bootnodes: &[&str], more: &str) -> Node {
        self.keys(name);
        let network = self.network_file(name, "--bootnode", bootnodes);
        let ip = self.ip;
        self.server(
            name,
            &format!(
                "--network {network} --libp2p {ip}:0 --relay-libp2p off --jsonrpc {ip}:0 \
                 --trans-proxy {ip}:0 --relay-discovery --app-no-agent {more}"
            ),
        )
    }

    /// Starts an edge that holds reservations at `relays`.
    pub(crate) fn edge(&self, name: &str, relays: &[&str], port: u16, more: &str) -> Node {
        self.keys(name);
        self.edge_with_keys(name, relays, port, more)
    }

    /// Starts an edge whose keys were made before.
    pub(crate) fn edge_with_keys(
        &self,
        name: &str,
        relays: &[&str],
        port: u16,
        more: &str,
    ) -> Node {
        let network = self.network_file(name, "--relaynode", relays);
        let ip = self.ip;
        self.server(
            name,
            &format!(
                "--network {network} --libp2p {ip}:0 - --relay-on --running-mode edge \
                 --app-url http://127.0.0.1 --app-default-port {port} --app-no-agent {more}"
            ),
        )
    }

    fn server(&self, name: &str, flags: &str) -> Node {
        let line = format!("server --data-dir {name} --grpc-address 127.0.0.1:0 {flags}");
        self.start(name, &line)
    }

    /// Starts a node with the arguments in `line`; its data directory is `name`.
    pub(crate) fn start(&self, name: &str, line: &str) -> Node {
        let data = self.path().join(name);
        std::fs::create_dir_all(&data).unwrap();
        let arguments = line.split_whitespace().map(str::to_owned).collect();
        start(self.path(), &data, arguments)
    }

    /// Starts a relay for browsers on free ports of loopback.
    pub(crate) fn browser_relay(&self, name: &str, more: &str) -> Node {
        let data = self.path().join(name);
        std::fs::create_dir(&data).unwrap();
        let ip = self.ip;
        let line = format!("relay --data-dir {name} --websocket {ip}:0 --tcp {ip}:0 {more}");
        let arguments = line.split_whitespace().map(str::to_owned).collect();
        start(self.path(), &data, arguments)
    }

    /// Waits until the output of a command contains a text.
    pub(crate) fn shows(&self, line: &str, text: &str) {
        eventually(&format!("`{text}` in the output of `{line}`"), || {
            run(self.path(), line).stdout.contains(text).then_some(())
        });
    }

    /// Forwards a free local port to NODE:PORT; `more` is the way into the network.
    pub(crate) fn forward(&self, target: &str, more: &str) -> (Running, SocketAddr) {
        let mut child = peerwork(self.path())
            .args(["forward", "0", target, "--json"])
            .args(more.split(' '))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let shown: serde_json::Value = serde_json::from_str(&line).unwrap();
        let local = shown["local"].as_str().unwrap().parse();
        (Running(child), local.unwrap())
    }

    /// Starts the example web app and returns its port.
    pub(crate) fn webapp(&self) -> (Running, u16) {
        let mut child = peerwork(self.path())
            .args(["webapp", "--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let port = line.trim().trim_end_matches("/home").rsplit(':').next();
        (Running(child), port.unwrap().parse().unwrap())
    }
}

/// The answer that curl received.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

/// Calls a URL with the real curl; `None` when curl received no answer.
pub(crate) fn curl(url: &str, more: &[&str]) -> Option<Answer> {
    let output = Command::new("curl")
        .args(["-sS", "-i", "--max-time", "20"])
        .args(more)
        .arg(url)
        .output()
        .expect("curl is installed by cargo xtask test");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (head, body) = text.rsplit_once("\r\n\r\n")?;
    let status = head.rsplit("HTTP/1.1 ").next()?;
    Some(Answer {
        status: status.split_whitespace().next()?.parse().ok()?,
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    })
}

/// Makes the echo call of the README.
pub(crate) fn echo(relay: &Node, edge: &str, port: u16) -> Option<Answer> {
    let at = relay.at.ingress.unwrap();
    curl(
        &format!("http://{at}/edge/{edge}/{port}/echo"),
        &[
            "-H",
            "Content-Type: application/json",
            "--data",
            r#"{"message":"hello"}"#,
        ],
    )
}

/// Waits until the echo call succeeds.
pub(crate) fn echo_succeeds(relay: &Node, edge: &str, port: u16) {
    eventually("the echo", || {
        let answer = echo(relay, edge, port)?;
        (answer.status == 200 && answer.body.trim() == r#"{"message":"hello"}"#).then_some(())
    });
}
