//! The README's flow with real processes, and failures of relays and edges that it must survive.

use std::{
    fmt::Display,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::Command,
    time::{Duration, Instant},
};

use peerwork_testkit::own_loopback;

use crate::{
    network::{World, curl, echo, echo_succeeds, eventually},
    program::run,
};

#[test]
fn the_readme_flow_works_through_both_relays() {
    let world = World::new();
    let (_app, port) = world.webapp();
    let relay_1 = world.relay("node_1", &[], "--app-no-auth");
    let relay_2 = world.relay("node_2", &[relay_1.p2p()], "--app-no-auth");
    let edge = world.edge(
        "edge_1",
        &[relay_1.p2p(), relay_2.p2p()],
        port,
        "--app-no-auth",
    );
    for relay in [&relay_1, &relay_2] {
        echo_succeeds(relay, &edge.at.node_id, port);
        let at = relay.at.ingress.unwrap();
        let home = curl(
            &format!("http://{at}/edge/{}/{port}/home", edge.at.node_id),
            &[],
        );
        let home = home.unwrap();
        assert_eq!(home.status, 200);
        assert!(
            home.head.contains("content-type: text/html"),
            "{}",
            home.head
        );
        let info = curl(&format!("http://{at}/"), &[]).unwrap();
        assert!(
            info.body.contains(r#""name":"MyNetwork","networkID":1000"#),
            "{info:?}"
        );
    }
    // The edge does not offer port 1, and no node has the other id.
    let refused = echo(&relay_1, &edge.at.node_id, 1).unwrap();
    assert_eq!(refused.status, 403, "{refused:?}");
    let unknown = echo(
        &relay_1,
        "16Uiu2HAmEWQnHq2jLKJypwVnVoQeFCULuyop6atvq2eWjYSUjzNi",
        port,
    );
    assert_eq!(unknown.unwrap().status, 404);
}

/// The commands of EdgeMatrix: relays have a port for relays and one for edges, relays and edges have a
/// network file each, and both files name the network's id.
#[test]
fn relays_of_two_ports_and_edges_join_by_two_files_of_one_id() {
    let world = World::new();
    let (_app, port) = world.webapp();
    let genesis = |file: &str, entries: &str| {
        let line = format!("genesis --dir {file} --name MyNetwork --network-id 1000 {entries}");
        assert_eq!(
            world.run(&line),
            format!("\n[GENESIS SUCCESS]\nGenesis written to {file}\n\n")
        );
    };
    let ip = world.ip;
    let relay = |name: &str, file: &str| {
        // Port 0 means no second port, so the test takes a free one of an address of its own.
        let free = TcpListener::bind((own_loopback(), 0)).unwrap();
        let second = free.local_addr().unwrap();
        drop(free);
        world.keys(name);
        let line = format!(
            "server --network {file} --data-dir {name} --grpc-address {ip}:0 --libp2p {ip}:0 \
             --jsonrpc {ip}:0 --relay-libp2p {second} --trans-proxy {ip}:0 --relay-discovery \
             --app-no-auth --app-no-agent"
        );
        let relay = world.start(name, &line);
        let at = |ip: &dyn Display| {
            let start = format!("/ip4/{ip}/tcp/");
            let port = relay.at.p2p.iter().find(|at| at.starts_with(&start));
            port.unwrap().clone()
        };
        let ports = [at(&ip), at(&second.ip())];
        (relay, ports)
    };
    genesis("first.json", "");
    let (relay_1, ports_1) = relay("node_1", "first.json");
    genesis("example.json", &format!("--bootnode={}", ports_1[0]));
    let (relay_2, ports_2) = relay("node_2", "example.json");
    let [of_1, of_2] = [&ports_1[1], &ports_2[1]].map(|at| format!("--relaynode={at}"));
    genesis("example_edge.json", &format!("{of_1} {of_2}"));
    world.keys("edge_1");
    let line = format!(
        "server --network example_edge.json --data-dir edge_1 --grpc-address {ip}:0 --libp2p {ip}:0 - \
         --relay-on --running-mode edge --app-url http://127.0.0.1 --app-default-port {port} \
         --app-no-auth --app-no-agent"
    );
    let edge = world.start("edge_1", &line);
    echo_succeeds(&relay_1, &edge.at.node_id, port);
    echo_succeeds(&relay_2, &edge.at.node_id, port);
}

#[test]
fn operators_see_the_network_through_the_data_directory() {
    let world = World::new();
    let relay = world.relay("node_1", &[], "--app-no-auth");
    let edge = world.edge("edge_1", &[relay.p2p()], 9527, "--app-no-auth");
    eventually("the reservation", || {
        let status = run(world.path(), "relay status --data-dir edge_1");
        status.stdout.contains(&relay.at.node_id).then_some(())
    });
    world.shows("peers list --data-dir node_1 --json", &edge.at.node_id);
    world.shows("relay list --data-dir edge_1", &relay.at.node_id);
    // The edge announces itself on a stream of its own, after its reservation.
    let edges = eventually("the edge's announcement", || {
        let edges = world.run("directory list --data-dir node_1 --role edge --json");
        let edges: serde_json::Value = serde_json::from_str(&edges).unwrap();
        (edges["total"] != 0).then_some(edges)
    });
    assert_eq!(edges["nodes"][0]["id"], edge.at.node_id.as_str(), "{edges}");
    assert_eq!(edges["total"], 1, "{edges}");
    let none = world.run("directory list --data-dir node_1 --offering store --json");
    assert!(none.contains(r#""total":0"#), "{none}");
    let shown = format!("directory show --data-dir node_1 {}", edge.at.node_id);
    assert!(world.run(&shown).contains("Roles       = edge"));
    let wrong = run(
        world.path(),
        "directory list --data-dir node_1 --offering A",
    )
    .failed();
    assert!(
        wrong.contains("a kind has 1 to 32 lower-case letters"),
        "{wrong}"
    );
    let of_relay = "peers relay --data-dir node_1 --json";
    world.shows(of_relay, r#""connected":1"#);
    let status = world.run("status --data-dir node_1");
    assert!(status.contains(&relay.at.node_id), "{status}");
    let peer = world.run(&format!(
        "peers status --data-dir node_1 --peer-id {}",
        edge.at.node_id
    ));
    assert!(peer.contains("[PEER STATUS]"), "{peer}");
    // Figures are updated once a second.
    eventually("the metric", || {
        let metrics = curl(
            &format!("http://{}/metrics", relay.at.jsonrpc.unwrap()),
            &[],
        )?;
        metrics.body.contains("peerwork_net_peers 1").then_some(())
    });
    eventually("the relay to be ready", || {
        let ready = curl(&format!("http://{}/readyz", relay.at.jsonrpc.unwrap()), &[])?;
        (ready.status == 200).then_some(())
    });
}

#[test]
fn an_edge_whose_relay_is_killed_is_reached_through_the_other_within_ten_seconds() {
    let world = World::new();
    let (_app, port) = world.webapp();
    let mut relay_1 = world.relay("node_1", &[], "--app-no-auth");
    let relay_2 = world.relay("node_2", &[relay_1.p2p()], "--app-no-auth");
    let edge = world.edge(
        "edge_1",
        &[relay_1.p2p(), relay_2.p2p()],
        port,
        "--app-no-auth",
    );
    echo_succeeds(&relay_1, &edge.at.node_id, port);
    relay_1.process.kill();
    let start = Instant::now();
    echo_succeeds(&relay_2, &edge.at.node_id, port);
    assert!(
        start.elapsed() < Duration::from_secs(10),
        "{:?}",
        start.elapsed()
    );
    eventually("the edge to have left the dead relay", || {
        let status = run(world.path(), "relay status --data-dir edge_1");
        status.stdout.contains(&relay_2.at.node_id).then_some(())
    });
}

#[test]
fn a_restarted_relay_knows_its_edges_again_within_ten_seconds() {
    let world = World::of_its_own_address();
    let (_app, port) = world.webapp();
    let relay_1 = world.relay("node_1", &[], "--app-no-auth");
    let mut relay_2 = world.relay("node_2", &[relay_1.p2p()], "--app-no-auth");
    let edge = world.edge(
        "edge_1",
        &[relay_1.p2p(), relay_2.p2p()],
        port,
        "--app-no-auth",
    );
    echo_succeeds(&relay_2, &edge.at.node_id, port);
    relay_2.restart(world.path(), "");
    let start = Instant::now();
    echo_succeeds(&relay_2, &edge.at.node_id, port);
    assert!(
        start.elapsed() < Duration::from_secs(10),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn an_edge_that_is_gone_is_a_502_or_404_with_a_body_and_never_an_empty_reply() {
    let world = World::new();
    let (_app, port) = world.webapp();
    let relay = world.relay("node_1", &[], "--app-no-auth");
    let mut edge = world.edge("edge_1", &[relay.p2p()], port, "--app-no-auth");
    echo_succeeds(&relay, &edge.at.node_id, port);
    edge.process.kill();
    let answer = echo(&relay, &edge.at.node_id, port).expect("never an empty reply");
    assert!([502, 404].contains(&answer.status), "{answer:?}");
    assert!(
        answer.head.contains("application/problem+json"),
        "{answer:?}"
    );
}

#[test]
fn a_stopped_edge_says_goodbye_and_is_unknown_at_once() {
    let world = World::new();
    let (_app, port) = world.webapp();
    let relay = world.relay("node_1", &[], "--app-no-auth");
    let mut edge = world.edge("edge_1", &[relay.p2p()], port, "--app-no-auth");
    echo_succeeds(&relay, &edge.at.node_id, port);
    edge.process.signal("-TERM");
    assert_eq!(edge.process.0.wait().unwrap().code(), Some(0));
    eventually("the goodbye", || {
        let answer = echo(&relay, &edge.at.node_id, port)?;
        (answer.status == 404).then_some(())
    });
    assert!(!world.path().join("edge_1/node.json").exists());
}

#[test]
fn a_relay_that_refuses_a_reservation_logs_the_flag_of_the_bound() {
    let world = World::new();
    let relay = world.relay("node_1", &[], "--app-no-auth --max-reservations 1");
    let edges =
        ["edge_1", "edge_2"].map(|name| world.edge(name, &[relay.p2p()], 9527, "--app-no-auth"));
    eventually("the refusal in the log", || {
        let log = std::fs::read_to_string(relay.data().join("log.txt")).unwrap();
        let line = log
            .lines()
            .find(|line| line.contains("reservation refused"))?;
        assert!(line.contains("--max-reservations"), "{line}");
        Some(())
    });
    drop(edges);
}

#[test]
fn keys_authorize_exactly_their_node_and_port() {
    let world = World::new();
    let (_app, port) = world.webapp();
    let relay = world.relay("node_1", &[], "");
    let edge = world.edge("edge_1", &[relay.p2p()], port, "--app-no-auth");
    let node = &edge.at.node_id;
    let create = |line: &str| -> String {
        let json = world.run(&format!("key create --data-dir node_1 --json {line}"));
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        json["key"].as_str().unwrap().to_owned()
    };
    let good = create(&format!("--node {node} --port {port}"));
    let other = create(&format!("--node {node} --port 1"));
    let call = |key: Option<&str>| {
        let at = relay.at.ingress.unwrap();
        let header = key.map(|key| format!("Authorization: Bearer {key}"));
        let more: Vec<&str> = header.iter().flat_map(|h| ["-H", h.as_str()]).collect();
        curl(&format!("http://{at}/edge/{node}/{port}/home"), &more)
            .unwrap()
            .status
    };
    eventually("the key to work", || {
        (call(Some(&good)) == 200).then_some(())
    });
    assert_eq!(call(None), 401);
    assert_eq!(call(Some("pwk_nonsense")), 401);
    eventually("the other key to be known", || {
        (call(Some(&other)) == 403).then_some(())
    });
    let list = world.run("key list --data-dir node_1 --json");
    assert!(!list.contains(&good), "secrets are not listed");
    let id = good.split('_').nth(1).unwrap();
    world.run(&format!("key revoke --data-dir node_1 {id}"));
    eventually("the key to be refused", || {
        (call(Some(&good)) == 401).then_some(())
    });
}

#[test]
fn ssh_style_tcp_is_carried_by_forward() {
    let world = World::new();
    let echo_server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = echo_server.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for socket in echo_server.incoming().flatten() {
            let mut read = socket.try_clone().unwrap();
            let mut write = socket;
            let _ = std::io::copy(&mut read, &mut write);
        }
    });
    let relay = world.relay("node_1", &[], "--app-no-auth");
    let edge = world.edge("edge_1", &[relay.p2p()], port, "--app-no-auth");
    // A node on another machine joins by its network file, or through the node that runs there.
    let _other = world.edge("edge_2", &[relay.p2p()], port, "--app-no-auth");
    for way_in in ["--network edge_1.json", "--data-dir edge_2"] {
        let (_forward, local) = world.forward(&format!("{}:{port}", edge.at.node_id), way_in);
        eventually(way_in, || {
            let mut socket = TcpStream::connect(local).ok()?;
            socket.write_all(b"hello").ok()?;
            socket.shutdown(std::net::Shutdown::Write).ok()?;
            let mut back = String::new();
            socket.read_to_string(&mut back).ok()?;
            (back == "hello").then_some(())
        });
    }
}

#[test]
fn commands_never_act_on_another_node_than_the_one_that_was_named() {
    let world = World::new();
    let relay = world.relay("node_1", &[], "--app-no-auth");
    let nobody = run(world.path(), "status --data-dir nobody");
    assert_eq!(nobody.code, Some(1));
    assert!(
        nobody.stderr.contains("no node runs with"),
        "{}",
        nobody.stderr
    );
    // The file is left by a killed node, whose port another node then took.
    let left = std::fs::read_to_string(world.path().join("node_1/node.json")).unwrap();
    let gone = "16Uiu2HAmEWQnHq2jLKJypwVnVoQeFCULuyop6atvq2eWjYSUjzNi";
    std::fs::create_dir(world.path().join("killed")).unwrap();
    std::fs::write(
        world.path().join("killed/node.json"),
        left.replace(&relay.at.node_id, gone),
    )
    .unwrap();
    let killed = run(world.path(), "status --data-dir killed");
    assert_eq!(killed.code, Some(1));
    assert!(
        killed.stderr.contains("another node's"),
        "{}",
        killed.stderr
    );
}

#[test]
fn the_demo_checks_itself() {
    let world = World::new();
    let report = world.run("demo --check");
    assert!(
        report.contains("All calls were answered as they should"),
        "{report}"
    );
}

#[test]
fn a_second_node_in_the_same_data_directory_is_refused() {
    let world = World::new();
    let _relay = world.relay("node_1", &[], "--app-no-auth");
    let second = run(
        world.path(),
        "server --network node_1.json --data-dir node_1 --grpc-address off --libp2p 127.0.0.1:0 \
         --relay-libp2p off --jsonrpc off --trans-proxy off",
    );
    assert_eq!(second.code, Some(1));
    assert!(
        second.stderr.contains("another node runs"),
        "{}",
        second.stderr
    );
}

#[test]
fn node_events_reach_an_independent_websocket_client() {
    let Some(python) = std::env::var_os("PEERWORK_TEST_PYTHON") else {
        // `cargo xtask test` sets the variable and installs the client.
        return;
    };
    let world = World::new();
    let relay = world.relay("node_1", &[], "--app-no-auth");
    let url = format!("ws://{}/edge_ws", relay.at.jsonrpc.unwrap());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/events.py");
    let mut listener = Command::new(&python)
        .args([script, &url])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(listener.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert_eq!(line, "subscribed\n");
    let edge = world.edge(
        "edge_1",
        &[relay.p2p()],
        9527,
        "--app-no-auth --app-name first",
    );
    line.clear();
    output.read_line(&mut line).unwrap();
    assert!(listener.wait().unwrap().success());
    let event: serde_json::Value = serde_json::from_str(&line).unwrap();
    let keys: Vec<_> = event
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let expected = [
        "Name",
        "Tag",
        "Version",
        "PeerID",
        "IpAddr",
        "AppOrigin",
        "ModelHash",
        "Mac",
        "MemInfo",
        "CpuInfo",
        "GpuInfo",
        "StartupTime",
        "Uptime",
        "GuageHeight",
        "GuageMax",
        "AveragePower",
        "RelayHost",
        "RelayProxyPort",
    ];
    assert_eq!(keys, expected);
    assert_eq!(event["PeerID"], edge.at.node_id.as_str());
    assert_eq!(event["Name"], "first");
    assert_eq!(event["IpAddr"], "127.0.*.*");
    assert_eq!(event["RelayHost"], "127.0.0.1");
    assert_eq!(event["RelayProxyPort"], relay.at.ingress.unwrap().port());
    assert!(
        event["MemInfo"]
            .as_str()
            .unwrap()
            .starts_with("{\"total\": ")
    );
    // A client that subscribes later gets the node that is known already.
    let late = Command::new(python).args([script, &url]).output().unwrap();
    let late = String::from_utf8(late.stdout).unwrap();
    let late: serde_json::Value =
        serde_json::from_str(late.strip_prefix("subscribed\n").unwrap()).unwrap();
    assert_eq!(late["PeerID"], edge.at.node_id.as_str());
}

#[test]
fn a_node_with_stuck_callers_still_stops_in_order() {
    let world = World::new();
    let (_app, port) = world.webapp();
    let mut relay = world.relay("node_1", &[], "--app-no-auth");
    let edge = world.edge("edge_1", &[relay.p2p()], port, "--app-no-auth");
    echo_succeeds(&relay, &edge.at.node_id, port);
    let half = "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{";
    let stuck = [relay.at.jsonrpc, relay.at.ingress].map(|at| {
        let mut stream = TcpStream::connect(at.unwrap()).unwrap();
        stream.write_all(half.as_bytes()).unwrap();
        stream
    });
    relay.process.signal("-TERM");
    let status = relay.process.0.wait().unwrap();
    assert_eq!(status.code(), Some(0));
    drop(stuck);
}
