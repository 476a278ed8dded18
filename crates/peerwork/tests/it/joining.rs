//! Tickets with real processes: `peerwork invite`, `peerwork join` and `--join`.

use std::{
    io::Write as _,
    path::PathBuf,
    process::{Command, Stdio},
};

use peerwork_testkit::ClosedPort;
use serde_json::Value;

use crate::{
    network::{Node, World, echo_succeeds, eventually},
    program::{Ran, peerwork, run},
};

/// Starts a node with nothing configured but a loopback address: a network of its own.
pub(crate) fn own_network(world: &World, name: &str) -> Node {
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
    write!(stdin, "> peerwork join `{}`.\n", ticket.to_uppercase()).unwrap();
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
fn a_forward_joins_by_a_ticket_for_one_run() {
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
    let (_forward, at) = world.forward(&target, &format!("--join {ticket}"));
    eventually("the app behind the forward", || {
        let answer = crate::network::curl(&format!("http://{at}/home"), &[])?;
        (answer.status == 200).then_some(())
    });
    let _ = relay;
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

#[test]
fn a_network_of_its_own_keeps_its_id_and_its_port_and_says_how_to_invite() {
    let world = World::of_its_own_address();
    let mut node = own_network(&world, "home");
    let (id, port) = (
        network(&world, "home")["NetworkId"].clone(),
        node.p2p_port(),
    );
    let number = id.as_i64().unwrap();
    assert!((1..1 << 53).contains(&number), "{number}");
    let settings = std::fs::read_to_string(node.data().join("peerwork.toml")).unwrap();
    assert!(
        settings.contains(&format!("libp2p = \"{}:{port}\"", world.ip)),
        "{settings}"
    );
    assert!(
        settings.contains("[relay]") && settings.contains("ingress = \"off\""),
        "{settings}"
    );
    node.process.kill();
    std::fs::remove_file(node.data().join("node.json")).unwrap();
    let mut child: Command = peerwork(world.path());
    let child = child
        .args(["node", "--data-dir", "home", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut child = crate::network::Running(child);
    let mut line = String::new();
    let stdout = child.0.stdout.take().unwrap();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line).unwrap();
    let shown: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(shown["roles"], serde_json::json!(["relay"]));
    assert_eq!(shown["own_network"]["network_id"], id);
    assert_eq!(
        shown["own_network"]["invite"],
        "peerwork invite --data-dir home"
    );
    let again = shown["addresses"].to_string();
    assert!(again.contains(&format!("/tcp/{port}/")), "{again}");
    assert_eq!(shown["ingress"], Value::Null);
}

#[test]
fn a_role_or_a_setting_keeps_a_node_in_the_network_without_a_file() {
    let world = World::new();
    for (name, flags) in [
        ("edge", "--edge"),
        ("mdns", "--mdns"),
        ("relay", "--relay --relay-ingress off"),
    ] {
        let _node = world.start(
            name,
            &format!("node --data-dir {name} --libp2p 127.0.0.1:0 {flags}"),
        );
        assert!(!network_file(&world, name).exists(), "{name}");
    }
    let node = world.start(
        "no",
        "node --data-dir no --libp2p 127.0.0.1:0 --relay=false",
    );
    assert!(network_file(&world, "no").exists());
    let status = world.run("status --data-dir no --json");
    assert!(status.contains(r#""mode":"peer""#), "{status}");
    let settings = std::fs::read_to_string(node.data().join("peerwork.toml")).unwrap();
    assert!(!settings.contains("[relay]"), "{settings}");
}

#[test]
fn a_data_directory_that_ran_a_node_before_networks_of_its_own_stays_in_its_network() {
    let world = World::new();
    std::fs::create_dir(world.path().join("old")).unwrap();
    std::fs::write(world.path().join("old/node.lock"), "").unwrap();
    let _node = own_network(&world, "old");
    assert!(!network_file(&world, "old").exists());
    let status = world.run("status --data-dir old --json");
    assert!(status.contains(r#""mode":"peer""#), "{status}");
}

#[test]
fn the_secret_changes_in_running_nodes_without_a_restart() {
    let world = World::new();
    let (_app, port) = world.webapp();
    let ip = world.ip;
    std::fs::create_dir(world.path().join("relay")).unwrap();
    let text = format!("libp2p = '{ip}:0'\n[relay]\nopen = true\ningress = '{ip}:0'\n");
    std::fs::write(world.path().join("relay/peerwork.toml"), text).unwrap();
    world.run("genesis --dir relay/network.json --name N --network-id 7");
    world.run("network new-secret --data-dir relay");
    let shown = world.run("network show --data-dir relay");
    assert!(
        shown.contains("Secret     = one") && !shown.contains("pws_"),
        "{shown}"
    );
    let relay = world.start("relay", "node --data-dir relay");
    let first = invite(&world, "relay", "");
    let line = format!(
        "node --data-dir edge --libp2p off --edge --edge-open --edge-port {port} --join {first}"
    );
    let edge = world.start("edge", &line);
    echo_succeeds(&relay, &edge.at.node_id, port);

    let changed = world.run("network new-secret --data-dir relay");
    assert!(
        changed.contains("peerwork network drop-secret --data-dir relay"),
        "{changed}"
    );
    let second = eventually("the ticket with the new secret", || {
        let ticket = invite(&world, "relay", "");
        (ticket != first).then_some(ticket)
    });
    echo_succeeds(&relay, &edge.at.node_id, port);
    join(&world, "edge", &second).succeeded();
    for name in ["edge", "relay"] {
        world.run(&format!("network drop-secret --data-dir {name}"));
    }
    let error = run(world.path(), "network drop-secret --data-dir relay").failed();
    assert!(error.contains("holds one secret"), "{error}");
    // The first ticket, which carries the former secret alone, is dead.
    let refused = eventually("the end of the former secret", || {
        let ran = join(&world, "stranger", &first);
        (ran.code == Some(1)).then_some(ran)
    });
    assert!(refused.stdout.contains("refused: "), "{refused:?}");
    echo_succeeds(&relay, &edge.at.node_id, port);
}

/// Runs `join` in a shell in which files cannot grow: `trap` chooses whether a write fails, as on a full
/// disk, or ends the process.
#[cfg(unix)]
fn join_without_room(world: &World, trap: &str, ticket: &str) -> Ran {
    let script = format!("{trap} ulimit -f 0; exec \"$0\" join {ticket} --data-dir joined");
    let program = peerwork(world.path());
    let mut shell = Command::new("sh");
    shell.current_dir(world.path()).arg("-c").arg(script);
    shell.arg(program.get_program());
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell.output().unwrap().into()
}

#[cfg(unix)]
#[test]
fn a_join_without_room_on_the_disk_or_ended_in_the_middle_leaves_no_half_and_goes_on_later() {
    let world = World::new();
    let _relay = own_network(&world, "relay");
    let ticket = invite(&world, "relay", "--once");
    world.keys("joined");
    let full = join_without_room(&world, "trap '' XFSZ;", &ticket);
    assert_eq!(full.code, Some(1), "{full:?}");
    assert!(
        full.stderr
            .contains("can be redeemed again with this data directory"),
        "{full:?}"
    );
    assert!(!network_file(&world, "joined").exists());
    let ended = join_without_room(&world, "", &ticket);
    assert_eq!(ended.code, None, "a signal ends the process: {ended:?}");
    assert!(!network_file(&world, "joined").exists());
    // The ticket was used, and by this node.
    let error = refused(&world, "other", &ticket);
    assert!(error.contains("used by another node already"), "{error}");
    join(&world, "joined", &ticket).succeeded();
    // A member keeps its network file when the next one cannot be written.
    let before = std::fs::read(network_file(&world, "joined")).unwrap();
    world.run("network new-secret --data-dir relay");
    let newer = eventually("the ticket with the new secret", || {
        let ticket = invite(&world, "relay", "");
        let full = join_without_room(&world, "trap '' XFSZ;", &ticket);
        (full.code == Some(1)).then_some(ticket)
    });
    assert_eq!(
        std::fs::read(network_file(&world, "joined")).unwrap(),
        before
    );
    join(&world, "joined", &newer).succeeded();
}
