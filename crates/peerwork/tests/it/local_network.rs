//! Nodes that mDNS finds on one local network, as real processes on machines of their own (network
//! namespaces, where this machine offers them).

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use peerwork::runtime_file::RuntimeFile;
use peerwork_testkit::machines::{Lab, Machine};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    network::{Running, eventually},
    program::{Ran, peerwork},
};

/// One machine with its files.
struct Site {
    machine: Machine,
    dir: TempDir,
}

/// A running node; its log names each node that mDNS finds.
struct Node {
    _process: Running,
    id: String,
    name: String,
    log: PathBuf,
}

impl Node {
    /// Waits until mDNS has found another node.
    fn finds(&self, other: &Node) {
        self.logs(&format!("discovered peer on address peer={}", other.id));
    }

    /// Waits until the log contains a text.
    fn logs(&self, text: &str) {
        eventually(&format!("`{text}` in the log of {}", self.name), || {
            let log = std::fs::read_to_string(&self.log).unwrap();
            log.contains(text).then_some(())
        });
    }
}

impl Site {
    fn of(machine: &Machine) -> Self {
        Self {
            machine: machine.clone(),
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn run(&self, line: &str) -> Ran {
        let mut command = peerwork(self.path());
        command.args(line.split_whitespace());
        self.machine.command(&command).output().unwrap().into()
    }

    fn keys(&self, name: &str) -> String {
        self.run(&format!("secrets init --data-dir {name}"))
            .succeeded();
        let node = self.run(&format!("secrets output --data-dir {name} --node-id"));
        node.succeeded().trim().to_owned()
    }

    /// Starts a node with the arguments in `line`; its data directory is `name`.
    fn start(&self, name: &str, line: &str) -> Node {
        let data = self.path().join(name);
        std::fs::create_dir_all(&data).unwrap();
        // A node that was killed before has left the file of its addresses.
        let _ = std::fs::remove_file(data.join("node.json"));
        let log = data.join("log.txt");
        let mut command = peerwork(self.path());
        command.args(line.split_whitespace());
        command.args(["--data-dir", name]);
        command.env("PEERWORK_LOG", "info,libp2p_mdns=info,peerwork=debug");
        let child = self
            .machine
            .command(&command)
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn();
        let mut process = Running(child.unwrap());
        let at = eventually("node.json", || {
            if let Some(status) = process.0.try_wait().unwrap() {
                let log = std::fs::read_to_string(&log).unwrap();
                panic!("{line} ended with {status}: {log}");
            }
            RuntimeFile::load(&data).ok().flatten()
        });
        Node {
            _process: process,
            id: at.node_id,
            name: name.to_owned(),
            log,
        }
    }

    /// The network files of a relay and its edges, as the README makes them, with this machine's address.
    fn network_files(&self, network_id: &str) {
        let relay = self.keys("relay");
        self.keys("edge");
        let ip = self.machine.address();
        for (file, entry) in [
            ("example.json", format!("--bootnode=/ip4/{ip}/tcp/50001")),
            (
                "example_edge.json",
                format!("--relaynode=/ip4/{ip}/tcp/50004"),
            ),
        ] {
            self.run(&format!(
                "genesis --dir {file} --name MyNetwork --network-id {network_id} {entry}/p2p/{relay}"
            ))
            .succeeded();
        }
    }

    fn relay(&self) -> Node {
        self.start(
            "relay",
            "server --network example.json --grpc-address 0.0.0.0:50000 --libp2p 0.0.0.0:50001 \
             --jsonrpc 0.0.0.0:50002 --relay-libp2p 0.0.0.0:50004 --trans-proxy 0.0.0.0:50005 \
             --relay-discovery --app-no-auth --app-no-agent",
        )
    }

    fn edge(&self, name: &str, port: u16) -> Node {
        let line = format!(
            "server --network example_edge.json --grpc-address 127.0.0.1:0 --libp2p 0.0.0.0:{port} - \
             --relay-on --running-mode edge --app-url http://127.0.0.1 --app-no-auth --app-no-agent"
        );
        self.start(name, &line)
    }

    /// The nodes that a node lists in its directory and among its connections.
    fn listed(&self, node: &Node) -> String {
        let name = &node.name;
        let directory = self.run(&format!("directory list --data-dir {name} --json"));
        let peers = self.run(&format!("peers list --data-dir {name} --json"));
        format!("{}{}", directory.succeeded(), peers.succeeded())
    }

    fn lists(&self, node: &Node, other: &str) {
        eventually(&format!("{other} in the lists of {}", node.name), || {
            self.listed(node).contains(other).then_some(())
        });
    }

    /// The connected nodes.
    fn peers(&self, node: &Node) -> Vec<String> {
        let name = &node.name;
        let ran = self.run(&format!("peers list --data-dir {name} --json"));
        let shown: Value = serde_json::from_str(&ran.succeeded()).unwrap();
        let peers = shown["peers"].as_array().unwrap().iter();
        peers
            .map(|peer| peer.as_str().unwrap().to_owned())
            .collect()
    }
}

/// The nodes of the second network, which started last, have found those of the first by mDNS, and an edge
/// that starts after that is listed at its relay; no node lists a node of the other network. A node asks
/// for others at its start, and then less and less often, so the first network may find the second later.
#[track_caller]
fn strangers_stay_apart(sites: [&Site; 2], nodes: [&[Node]; 2], late: (&str, u16)) {
    for node in nodes[1] {
        for stranger in nodes[0] {
            node.finds(stranger);
        }
    }
    let (name, port) = late;
    let keys = sites[0].keys(name);
    let _late = sites[0].edge(name, port);
    sites[0].lists(&nodes[0][0], &keys);
    for (one, other) in [(0, 1), (1, 0)] {
        for node in nodes[one] {
            let listed = sites[one].listed(node);
            for stranger in nodes[other] {
                let (at, id) = (&node.name, &stranger.id);
                assert!(
                    !listed.contains(id),
                    "{at} of network {one} lists {id}: {listed}"
                );
            }
        }
    }
}

#[test]
fn two_networks_with_one_id_on_one_local_network_stay_apart() {
    let Some(mut lab) = Lab::or_say() else { return };
    let machines = lab.local_network(2);
    let [first, second] = [0, 1].map(|index| Site::of(&machines[index]));
    for site in [&first, &second] {
        site.network_files("1000");
    }
    let start = |site: &Site| {
        let relay = site.relay();
        let edge = site.edge("edge", 52001);
        site.lists(&relay, &edge.id);
        vec![relay, edge]
    };
    let of_first = start(&first);
    let of_second = start(&second);
    strangers_stay_apart([&first, &second], [&of_first, &of_second], ("late", 53001));
    // The other way round: the first network starts when the second runs.
    drop(of_first);
    let of_first = start(&first);
    strangers_stay_apart([&second, &first], [&of_second, &of_first], ("late", 53001));
}

#[test]
fn a_node_of_the_network_file_is_found_where_its_address_has_changed() {
    let Some(mut lab) = Lab::or_say() else { return };
    let machines = lab.local_network(2);
    let [near, far] = [0, 1].map(|index| Site::of(&machines[index]));
    near.network_files("1000");
    let relay = near.relay();
    far.keys("edge");
    // No machine has the address in this file.
    let entry = format!("--bootnode=/ip4/10.77.1.99/tcp/50001/p2p/{}", relay.id);
    far.run(&format!(
        "genesis --dir example_edge.json --network-id 1000 {entry}"
    ))
    .succeeded();
    let edge = far.edge("edge", 52001);
    eventually("a connection to the relay", || {
        far.peers(&edge).contains(&relay.id).then_some(())
    });
}

#[test]
fn a_network_with_a_secret_finds_its_members_by_mdns_and_no_other_node() {
    let Some(mut lab) = Lab::or_say() else { return };
    let machines = lab.local_network(3);
    let sites = [0, 1, 2].map(|index| Site::of(&machines[index]));
    // Both networks have the same id and the same entry point, at which no node answers.
    let entry = format!(
        "--bootnode=/ip4/10.77.1.99/tcp/50001/p2p/{}",
        sites[0].keys("gone")
    );
    for site in [&sites[0], &sites[2]] {
        let line = format!("genesis --dir example.json --network-id 1000 --secret {entry}");
        site.run(&line).succeeded();
    }
    let [file, copy] = [0, 1].map(|index| sites[index].path().join("example.json"));
    std::fs::copy(file, copy).unwrap();
    let start = |site: &Site| site.start("node", "node --network example.json --mdns");
    let [one, other, stranger] = sites.each_ref().map(start);
    eventually("a connection between the members", || {
        let connected = sites[0].peers(&one).contains(&other.id);
        (connected && sites[1].peers(&other).contains(&one.id)).then_some(())
    });
    for member in [&one, &other] {
        stranger.finds(member);
        stranger.logs(&format!("network node={}", member.id));
        member.logs(&format!("network node={}", stranger.id));
    }
    assert!(sites[2].peers(&stranger).is_empty());
    let peers = [sites[0].peers(&one), sites[1].peers(&other)];
    assert_eq!(peers, [[other.id], [one.id]]);
}

#[test]
fn two_fresh_nodes_find_each_other_by_mdns_alone() {
    let Some(mut lab) = Lab::or_say() else { return };
    let machines = lab.local_network(2);
    let [first, second] = [0, 1].map(|index| Site::of(&machines[index]));
    let one = first.start("fresh", "node --mdns");
    let other = second.start("fresh", "node --mdns");
    eventually("a connection between the fresh nodes", || {
        let connected = first.peers(&one).contains(&other.id);
        (connected && second.peers(&other).contains(&one.id)).then_some(())
    });
}

#[test]
fn a_fresh_node_and_a_configured_network_with_the_id_0_do_not_meet() {
    let Some(mut lab) = Lab::or_say() else { return };
    let machines = lab.local_network(2);
    let [configured, fresh] = [0, 1].map(|index| Site::of(&machines[index]));
    configured.network_files("0");
    let relay = configured.relay();
    let nodes = [
        fresh.start("one", "node --mdns"),
        fresh.start("two", "node --mdns"),
    ];
    for node in &nodes {
        node.finds(&relay);
    }
    // The fresh nodes meet each other, which takes as long as a meeting with the relay.
    eventually("a connection between the fresh nodes", || {
        fresh.peers(&nodes[0]).contains(&nodes[1].id).then_some(())
    });
    configured
        .run("secrets output --data-dir edge --node-id")
        .succeeded();
    let edge = configured.edge("edge", 52001);
    configured.lists(&relay, &edge.id);
    for node in &nodes {
        let (at_fresh, at_relay) = (fresh.peers(node), configured.peers(&relay));
        assert!(!at_fresh.contains(&relay.id), "{at_fresh:?}");
        assert!(!at_relay.contains(&node.id), "{at_relay:?}");
    }
}
