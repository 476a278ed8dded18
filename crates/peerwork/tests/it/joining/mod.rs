//! Tickets with real processes: `peerwork invite`, `peerwork join` and `--join`.

mod own_network;
mod refusals;
mod secrets;

use std::{io::Write as _, path::PathBuf, process::Stdio};

use peerwork_testkit::ClosedPort;
use serde_json::Value;

use crate::{
    network::{Node, World, eventually},
    program::{Ran, peerwork, run},
};

/// Starts a node with nothing configured but a loopback address: a network of its own.
fn own_network(world: &World, name: &str) -> Node {
    world.start(
        name,
        &format!("node --data-dir {name} --libp2p {}:0", world.ip),
    )
}

/// Starts a node again with the settings that its first start left.
fn again(world: &World, node: &mut Node, name: &str) {
    node.process.kill();
    let _ = std::fs::remove_file(node.data().join("node.json"));
    *node = world.start(name, &format!("node --data-dir {name}"));
}

/// The ticket that a running node prints.
pub(crate) fn invite(world: &World, name: &str, flags: &str) -> String {
    let printed = world.run(&format!("invite --data-dir {name} {flags}"));
    printed.lines().last().unwrap().to_owned()
}

fn join(world: &World, name: &str, ticket: &str) -> Ran {
    run(world.path(), &format!("join {ticket} --data-dir {name}"))
}

fn network_file(world: &World, name: &str) -> PathBuf {
    world.path().join(name).join("network.json")
}

fn network(world: &World, name: &str) -> Value {
    let text = std::fs::read_to_string(network_file(world, name)).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The reason of a `join` that wrote no network file.
fn refused(world: &World, name: &str, ticket: &str) -> String {
    let error = join(world, name, ticket).failed();
    assert!(!network_file(world, name).exists(), "{error}");
    error
}

#[test]
fn a_ticket_leads_a_fresh_machine_into_the_network_of_a_node_with_nothing_configured() {
    let world = World::new();
    let first = own_network(&world, "first");
    let id = &first.at.node_id;
    let printed = run(world.path(), "invite --data-dir first");
    assert!(
        printed
            .stderr
            .contains("all addresses in the ticket are private"),
        "{printed:?}"
    );
    assert!(
        printed.stderr.contains("carries the network's secret"),
        "{printed:?}"
    );
    let printed = printed.succeeded();
    assert!(printed.contains(&format!(
        "{}/p2p/{id}",
        first.p2p().split("/p2p/").next().unwrap()
    )));
    let ticket = printed.lines().last().unwrap();
    assert!(ticket.starts_with("peerwork1"), "{printed}");

    let joined = join(&world, "second", ticket).succeeded();
    for text in [
        "[JOINED]",
        "reachable: ",
        id,
        "Nodes in the network = 1",
        "peerwork node --data-dir second",
    ] {
        assert!(joined.contains(text), "`{text}` is not in: {joined}");
    }
    let (own, got) = (network(&world, "first"), network(&world, "second"));
    assert_eq!(own["NetworkId"], got["NetworkId"]);
    assert_eq!(own["secrets"], got["secrets"]);
    assert_eq!(got["relaynodes"], got["bootnodes"]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(network_file(&world, "second"))
            .unwrap()
            .permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
    }
    let line = format!("node --data-dir second --libp2p {}:0", world.ip);
    let second = world.start("second", &line);
    world.shows("peers list --data-dir first", &second.at.node_id);
    world.shows("directory list --data-dir first", &second.at.node_id);
    // A node that is no relay invites to the relays that it knows.
    let ticket = invite(&world, "second", "");
    let third = join(&world, "third", &ticket).succeeded();
    assert!(
        third.contains(id) && third.contains("Nodes in the network = 2"),
        "{third}"
    );
    // A member makes tickets with an end for a relay, by the secret of the network.
    let once = invite(&world, "second", "--once --expires 1h");
    join(&world, "fourth", &once).succeeded();
    let error = refused(&world, "fifth", &once);
    assert!(error.contains("used by another node already"), "{error}");
}

#[test]
fn a_ticket_for_one_node_is_used_up_across_a_restart_of_the_relay() {
    let world = World::of_its_own_address();
    let mut relay = own_network(&world, "relay");
    let ticket = invite(&world, "relay", "--once");
    let joined = join(&world, "one", &ticket).succeeded();
    assert!(joined.contains("[JOINED]"), "{joined}");
    assert_eq!(
        network(&world, "one")["secrets"],
        network(&world, "relay")["secrets"]
    );
    let error = refused(&world, "two", &ticket);
    assert!(error.contains("used by another node already"), "{error}");
    // The same node may use it again.
    let joined = join(&world, "one", &ticket).succeeded();
    assert!(joined.contains("[JOINED AGAIN]"), "{joined}");

    let port = relay.p2p_port();
    again(&world, &mut relay, "relay");
    assert_eq!(relay.p2p_port(), port);
    let error = refused(&world, "two", &ticket);
    assert!(error.contains("used by another node already"), "{error}");
    std::fs::remove_file(network_file(&world, "one")).unwrap();
    join(&world, "one", &ticket).succeeded();
}

#[test]
fn a_ticket_expires_by_the_clock_of_the_relay() {
    let world = World::new();
    let _relay = own_network(&world, "relay");
    let ticket = invite(&world, "relay", "--expires 2s");
    let error = eventually("the end of the ticket", || {
        let joined = join(&world, "late", &ticket);
        let _ = std::fs::remove_file(network_file(&world, "late"));
        (joined.code == Some(1)).then_some(joined.stderr)
    });
    assert!(error.contains("the ticket has expired"), "{error}");
    for (flags, word) in [("--expires 31d", "30 days"), ("--expires 0s", "expires")] {
        let error = run(world.path(), &format!("invite --data-dir relay {flags}"));
        assert_ne!(error.code, Some(0), "{flags}");
        assert!(error.stderr.contains(word), "{flags}: {error:?}");
    }
}

#[test]
fn texts_that_are_no_ticket_of_this_version_are_refused_in_words_and_change_nothing() {
    let world = World::new();
    let _relay = own_network(&world, "relay");
    let ticket = invite(&world, "relay", "");
    let later = ticket.replacen("peerwork1", "peerwork2", 1);
    let damaged = ticket[..ticket.len() - 1].to_owned();
    for (text, word) in [
        (later.as_str(), "has version 2"),
        (&damaged, "copy all of it again"),
        ("hello", "this is not a ticket"),
    ] {
        for command in ["join", "node --join"] {
            let line = format!("{command} {text} --data-dir none");
            let error = run(world.path(), &line).failed();
            assert!(error.contains(word), "{line}: {error}");
            assert!(
                !error.contains(text),
                "the error repeats the ticket: {error}"
            );
        }
    }
    assert!(!world.path().join("none").exists());
}

#[test]
fn a_ticket_is_read_from_standard_input_and_from_pasted_pieces() {
    let world = World::new();
    let _relay = own_network(&world, "relay");
    let ticket = invite(&world, "relay", "");
    let mut child = peerwork(world.path())
        .args(["join", "-", "--data-dir", "piped"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    writeln!(stdin, "> peerwork join `{}`.", ticket.to_uppercase()).unwrap();
    drop(stdin);
    Ran::from(child.wait_with_output().unwrap()).succeeded();
    let (start, end) = ticket.split_at(40);
    join(&world, "pasted", &format!("{start} {end}")).succeeded();
    assert_eq!(network(&world, "piped"), network(&world, "pasted"));
}

#[test]
fn a_data_directory_of_another_network_is_left_as_it_is() {
    let world = World::new();
    let _one = own_network(&world, "one");
    let _two = own_network(&world, "two");
    let (one, two) = (invite(&world, "one", ""), invite(&world, "two", "--once"));
    join(&world, "joined", &one).succeeded();
    let before = std::fs::read(network_file(&world, "joined")).unwrap();
    for line in [
        format!("join {two} --data-dir joined"),
        format!("node --join {two} --data-dir joined"),
        format!("relay --join {two} --data-dir joined"),
        format!("server --join {two} --data-dir joined"),
        format!(
            "forward 0 {}:1 --join {two} --data-dir joined",
            _one.at.node_id
        ),
    ] {
        let error = run(world.path(), &line).failed();
        assert!(error.contains("belongs to the network"), "{line}: {error}");
    }
    assert_eq!(
        std::fs::read(network_file(&world, "joined")).unwrap(),
        before
    );
    // The ticket was not used up.
    join(&world, "other", &two).succeeded();
}

#[test]
fn a_node_that_was_joined_by_a_used_ticket_starts_again_with_the_same_flags() {
    let world = World::new();
    let mut relay = own_network(&world, "relay");
    let ticket = invite(&world, "relay", "--once");
    let line = format!("node --data-dir edge --libp2p off --edge --join {ticket}");
    let mut edge = world.start("edge", &line);
    world.shows(
        "directory list --data-dir relay --role edge",
        &edge.at.node_id,
    );
    edge.process.kill();
    relay.process.kill();
    std::fs::remove_file(edge.data().join("node.json")).unwrap();
    // The relay is gone, and the ticket would be used up: neither matters for a member.
    let edge_again = world.start("edge", &line);
    assert_eq!(edge_again.at.node_id, edge.at.node_id);
    let file = world.path().join("x.json");
    std::fs::copy(network_file(&world, "edge"), file).unwrap();
    for command in ["node", "relay", "server", "forward 0 X:1"] {
        let command = command.replace('X', &edge.at.node_id);
        let line = format!("{command} --data-dir new --network x.json --join {ticket}");
        let error = run(world.path(), &line).failed();
        assert!(
            error.contains("--join and --network contradict"),
            "{line}: {error}"
        );
    }
}

#[test]
fn servers_and_relays_join_by_a_ticket_from_the_environment() {
    let world = World::new();
    let first = own_network(&world, "first");
    let ticket = invite(&world, "first", "");
    let ip = world.ip;
    for (name, line) in [
        (
            "server",
            format!(
                "server --libp2p {ip}:0 --relay-libp2p off --jsonrpc {ip}:0 --trans-proxy {ip}:0 --grpc-address 127.0.0.1:0"
            ),
        ),
        ("relay", format!("relay --websocket {ip}:0 --tcp {ip}:0")),
    ] {
        let file = world.path().join(name).join("peerwork.toml");
        std::fs::create_dir(file.parent().unwrap()).unwrap();
        std::fs::write(&file, format!("join = '{ticket}'\n")).unwrap();
        let node = world.start(name, &format!("{line} --data-dir {name}"));
        world.shows("peers list --data-dir first", &node.at.node_id);
        assert_eq!(
            network(&world, name)["NetworkId"],
            network(&world, "first")["NetworkId"]
        );
        let printed = world.run(&format!("relay invite --data-dir {name} --json"));
        let printed: Value = serde_json::from_str(&printed).unwrap();
        let relays = printed["relays"].to_string();
        assert!(relays.contains(&node.at.node_id), "{relays}");
        assert!(relays.contains(&first.at.node_id), "{relays}");
        assert_eq!(printed["has_secret"], true);
    }
    let output = peerwork(world.path())
        .args(["node", "check", "--data-dir", "environment"])
        .env("PEERWORK_JOIN", &ticket)
        .output()
        .unwrap();
    let checked = Ran::from(output).succeeded();
    assert!(checked.contains(&first.at.node_id), "{checked}");
    assert!(
        !network_file(&world, "environment").exists(),
        "check writes nothing"
    );
}

#[test]
fn a_forward_joins_by_a_ticket_for_one_run_or_by_the_running_node() {
    let world = World::new();
    let (_app, port) = world.webapp();
    let relay = own_network(&world, "relay");
    let ticket = invite(&world, "relay", "");
    let line = format!(
        "node --data-dir edge --libp2p off --edge --edge-open --edge-port {port} --join {ticket}"
    );
    let edge = world.start("edge", &line);
    world.shows(
        "directory list --data-dir relay --role edge",
        &edge.at.node_id,
    );
    let target = format!("{}:{port}", edge.at.node_id);
    // The running node lends its secret to a forward that is given neither a ticket nor a file.
    let running = format!("--grpc-address {}", relay.at.grpc.unwrap());
    for way in [format!("--join {ticket}"), running] {
        let (_forward, at) = world.forward(&target, &way);
        eventually("the app behind the forward", || {
            let answer = crate::network::curl(&format!("http://{at}/home"), &[])?;
            (answer.status == 200).then_some(())
        });
    }
}

#[test]
fn relays_that_cannot_be_reached_are_named_and_the_file_of_a_ticket_with_the_secret_stays() {
    let world = World::new();
    let mut relay = own_network(&world, "relay");
    let closed = ClosedPort::bind().unwrap();
    let dead = format!("--address /ip4/127.0.0.1/tcp/{}", closed.address().port());
    let ticket = invite(&world, "relay", &dead);
    let ran = join(&world, "far", &ticket);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stdout.contains("unreachable: "), "{ran:?}");
    assert!(ran.stderr.contains("is written"), "{ran:?}");
    assert!(network_file(&world, "far").exists());
    // Entries are merged, and the reachable ones count.
    let both = invite(&world, "relay", "");
    let joined = join(&world, "far", &both).succeeded();
    assert!(joined.contains("[JOINED AGAIN]"), "{joined}");
    let relays = network(&world, "far")["relaynodes"].to_string();
    assert!(
        relays.contains(&closed.address().port().to_string()),
        "{relays}"
    );
    let limited = invite(&world, "relay", "--once");
    relay.process.kill();
    let error = refused(&world, "late", &limited);
    assert!(
        error.contains("alone redeems this ticket, cannot be reached"),
        "{error}"
    );
}

#[test]
fn a_node_without_a_relay_says_how_to_invite_and_a_ticket_with_an_end_needs_a_key() {
    let world = World::new();
    let _peer = world.start(
        "peer",
        "node --data-dir peer --libp2p 127.0.0.1:0 --mdns=false --edge",
    );
    let error = run(world.path(), "invite --data-dir peer").failed();
    assert!(
        error.contains("knows no relay") && error.contains("--address"),
        "{error}"
    );
    let at = "--address /ip4/127.0.0.1/tcp/1";
    let error = run(world.path(), &format!("invite --data-dir peer {at} --once")).failed();
    assert!(error.contains("new-secret"), "{error}");
    let open = run(world.path(), &format!("invite --data-dir peer {at}"));
    assert!(
        open.stderr.contains("the network has no secret"),
        "{open:?}"
    );
    let error = run(world.path(), "invite --data-dir peer --address nowhere").failed();
    assert!(error.contains("--address nowhere"), "{error}");
    let silent = "node --data-dir silent --libp2p off --relay --relay-ingress off";
    let _silent = world.start("silent", silent);
    let error = run(world.path(), "invite --data-dir silent").failed();
    assert!(error.contains("listens on no address"), "{error}");
}

#[test]
fn a_relay_redeems_its_tickets_in_a_network_without_a_secret_too() {
    let world = World::new();
    let line = "node --data-dir open --libp2p 127.0.0.1:0 --relay --relay-ingress off";
    let _relay = world.start("open", line);
    let printed = run(world.path(), "invite --data-dir open --once");
    assert!(
        printed.stderr.contains("the network has no secret"),
        "{printed:?}"
    );
    let printed = printed.succeeded();
    let ticket = printed.lines().last().unwrap();
    let joined = join(&world, "one", ticket).succeeded();
    assert!(joined.contains("reachable: "), "{joined}");
    assert_eq!(network(&world, "one")["NetworkId"], 0);
    let error = refused(&world, "two", ticket);
    assert!(error.contains("used by another node already"), "{error}");
}

#[test]
fn a_qr_code_stands_before_the_ticket_and_only_where_it_is_wanted() {
    let world = World::new();
    let _relay = own_network(&world, "relay");
    let plain = world.run("invite --data-dir relay");
    let drawn = world.run("invite --data-dir relay --qr");
    assert!(!plain.contains('█') && drawn.contains('█'), "{drawn}");
    assert_eq!(plain.lines().last(), drawn.lines().last());
    let json = world.run("invite --data-dir relay --qr --json --once");
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["limits"]["once"], true);
    assert!(json["ticket"].as_str().unwrap().starts_with("peerwork1"));
    let error = run(world.path(), "invite --data-dir relay --qr --no-qr").failed();
    assert!(error.contains("contradict"), "{error}");
}
