//! Commands without `--data-dir` find the one running node of their user, and say what else they find.

use std::{fs, io::Write as _, net::TcpListener};

use crate::{
    network::World,
    program::{Ran, peerwork, run},
};

/// The folder of the records of running nodes.
fn records(world: &World) -> std::path::PathBuf {
    world.path().join("state/peerwork/nodes")
}

fn record_names(world: &World) -> Vec<String> {
    let entries = fs::read_dir(records(world)).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect()
}

/// Runs a command in a folder that is not the one in which the nodes were started.
fn elsewhere(world: &World, line: &str) -> Ran {
    let folder = world.path().join("elsewhere");
    fs::create_dir_all(&folder).unwrap();
    let mut command = peerwork(world.path());
    command.current_dir(folder).args(line.split_whitespace());
    command.output().unwrap().into()
}

#[test]
fn commands_find_the_one_running_node_whatever_its_ports_and_data_directory() {
    let world = World::new();
    let mut relay = world.relay("node_1", &[], "--app-no-auth");
    let id = relay.at.node_id.clone();
    let status = elsewhere(&world, "status").succeeded();
    assert!(status.contains(&format!("= {id}\n")), "{status}");
    let peers = elsewhere(&world, "peers list").succeeded();
    assert!(peers.contains("No peers found"), "{peers}");
    elsewhere(&world, "peers relay").succeeded();
    elsewhere(&world, "relay list").succeeded();
    let nodes = elsewhere(&world, "directory list --json").succeeded();
    assert!(nodes.contains(&id), "{nodes}");

    assert_eq!(record_names(&world), [format!("{id}.json")]);
    relay.process.kill();
    let none = elsewhere(&world, "status").failed();
    assert!(none.contains("no running node of this user"), "{none}");
    assert!(record_names(&world).is_empty(), "the killed node's record");
}

#[test]
fn a_node_that_stops_takes_its_record_with_it() {
    let world = World::new();
    let mut relay = world.browser_relay("relay_1", "");
    assert_eq!(record_names(&world).len(), 1);
    let report = elsewhere(&world, "relay top --once").succeeded();
    assert!(report.contains(&relay.at.node_id), "{report}");
    relay.process.signal("-TERM");
    relay.process.0.wait().unwrap();
    assert!(record_names(&world).is_empty());
}

#[test]
fn several_running_nodes_are_listed_with_the_flag_that_chooses() {
    let world = World::new();
    let relay = world.relay("node_1", &[], "--app-no-auth");
    let edge = world.edge("edge_1", &[relay.p2p()], 9527, "--app-no-auth");
    for command in ["status", "peers list", "relay status", "forward 0 X:1"] {
        let target = format!("{}:1", edge.at.node_id);
        let error = elsewhere(&world, &command.replace("X:1", &target)).failed();
        assert!(error.contains("2 nodes of this user run"), "{error}");
        for (name, mode, id) in [
            ("node_1", "full", &relay.at.node_id),
            ("edge_1", "edge", &edge.at.node_id),
        ] {
            let folder = fs::canonicalize(world.path().join(name)).unwrap();
            let folder = folder.display();
            let line = format!("--data-dir {folder}   {mode} node of MyNetwork (1000), {id}");
            assert!(error.contains(&line), "{line}: {error}");
        }
    }
    let status = run(world.path(), "status --data-dir node_1").succeeded();
    assert!(status.contains(&relay.at.node_id), "{status}");
}

#[test]
fn a_program_that_is_no_node_is_named_and_never_shown_as_an_empty_node() {
    let world = World::new();
    let (_webapp, port) = world.webapp();
    for command in ["status", "peers list", "peers list --json"] {
        let line = format!("{command} --grpc-address 127.0.0.1:{port}");
        let error = run(world.path(), &line).failed();
        assert!(error.contains("is not a Peerwork node"), "{error}");
        assert!(error.contains(&port.to_string()), "{error}");
    }
}

#[test]
fn a_record_whose_address_belongs_to_another_program_is_removed() {
    let world = World::new();
    let mut relay = world.relay("node_1", &[], "--app-no-auth");
    let file = records(&world).join(format!("{}.json", relay.at.node_id));
    let record = fs::read_to_string(&file).unwrap();
    relay.process.kill();
    // A mail server stands for a program of another kind.
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = other.local_addr().unwrap().to_string();
    let thread = std::thread::spawn(move || {
        let (mut connection, _) = other.accept().unwrap();
        connection.write_all(b"220 mail\r\n").unwrap();
    });
    let former = relay.at.grpc.unwrap().to_string();
    fs::write(&file, record.replace(&former, &taken)).unwrap();
    let none = elsewhere(&world, "status").failed();
    assert!(none.contains("no running node of this user"), "{none}");
    assert!(!file.exists());
    thread.join().unwrap();
}
