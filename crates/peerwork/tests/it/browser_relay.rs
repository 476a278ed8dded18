//! Tests of `peerwork relay` with js-libp2p clients, an independent implementation.
//!
//! `cargo xtask test` installs the clients and sets `PEERWORK_TEST_JS` to their folder; without it
//! those tests do nothing.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use serde_json::Value;

use crate::{
    network::{Node, World, curl, eventually},
    program::run,
    secure::certificate,
};

pub(crate) fn script(name: &str, arguments: &[&str]) -> Option<Child> {
    let folder = std::env::var_os("PEERWORK_TEST_JS").map(PathBuf::from)?;
    let child = Command::new("node")
        .arg("--import")
        .arg(folder.join("node20.mjs"))
        .arg(folder.join(name))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    Some(child.unwrap())
}

/// Reads the JSON line that the script prints at its end.
fn saw(child: Child) -> Value {
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let last = text.lines().last().unwrap_or_default();
    serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {text}"))
}

pub(crate) fn address(relay: &Node, has: impl Fn(&str) -> bool) -> &str {
    relay.at.p2p.iter().find(|address| has(address)).unwrap()
}

pub(crate) fn by_websocket(relay: &Node) -> &str {
    address(relay, |address| address.contains("/ws/"))
}

pub(crate) fn by_tcp(relay: &Node) -> &str {
    address(relay, |address| !address.contains("/ws/"))
}

#[test]
fn a_page_and_a_program_find_each_other_and_talk_over_the_relay() {
    for kind in ["gossip", "flood"] {
        let world = World::new();
        let relay = world.browser_relay("relay", "");
        let arguments = [by_websocket(&relay), by_tcp(&relay), kind];
        let Some(child) = script("meet.mjs", &arguments) else {
            return;
        };
        let saw = saw(child);
        assert_eq!(saw["circuit"], true, "{saw}");
        assert_eq!(saw["echoes"], 16, "{saw}");
        // The limit that the client sees is the rest of ten minutes.
        let seconds = saw["limits"]["seconds"].as_u64().unwrap();
        assert!((570..=600).contains(&seconds), "{saw}");
        assert_eq!(saw["heard"]["one"], true, "{saw}");
        assert_eq!(saw["heard"]["two"], true, "{saw}");
    }
}

#[test]
fn clients_that_send_as_much_as_the_windows_allow_keep_their_connections() {
    const BYTES: u64 = 40_000_000;
    let world = World::new();
    certificate(world.path());
    let flags = "--tls-cert cert.pem --tls-key key.pem --circuit-bytes 0";
    let relay = world.browser_relay("relay", flags);
    let wss = address(&relay, |address| address.contains("/tls/ws/"));
    let plain = wss.replace("/tls/ws/", "/ws/");
    for security in ["noise", "tls"] {
        for by in [&plain, wss, by_tcp(&relay)] {
            let Some(child) = script("bulk.mjs", &[by, security, &BYTES.to_string()]) else {
                return;
            };
            let saw = saw(child);
            assert_eq!(saw["closed"], 0, "{security} over {by}: {saw}");
            for arrived in saw["arrived"].as_array().unwrap() {
                assert!(
                    arrived.as_u64() >= Some(BYTES),
                    "{security} over {by}: {saw}"
                );
            }
        }
    }
}

#[test]
fn thirty_clients_find_each_other_and_hear_each_other() {
    let world = World::new();
    let relay = world.browser_relay("relay", "");
    let Some(child) = script("crowd.mjs", &[by_websocket(&relay), "30", "6"]) else {
        return;
    };
    let saw = saw(child);
    assert_eq!(saw["pairs"], 870, "{saw}");
    assert!(saw["delivered"].as_f64().unwrap() >= 0.99, "{saw}");
}

#[test]
fn limits_hold_at_the_limit_and_one_above_and_holders_renew_at_a_full_relay() {
    let world = World::new();
    let limits = "--max-reservations 2 --reservation-duration 35s --circuit-bytes 262144 \
                  --circuit-duration 3s";
    let relay = world.browser_relay("relay", limits);
    let arguments = [by_websocket(&relay), "262144", "3", "35"];
    let Some(child) = script("limits.mjs", &arguments) else {
        return;
    };
    let saw = saw(child);
    for truth in ["refused", "within", "renewed", "stillRefused"] {
        assert_eq!(saw[truth], true, "{truth}: {saw}");
    }
    assert_eq!(saw["above"], "cut", "{saw}");
    let lasted = saw["lasted"].as_f64().unwrap();
    assert!((2.0..30.0).contains(&lasted), "{saw}");
}

#[test]
fn a_closed_relay_accepts_reservations_of_nodes_with_a_token() {
    let world = World::new();
    let relay = world.browser_relay("relay", "--token open-sesame-and-more");
    let arguments = [by_websocket(&relay), "open-sesame-and-more"];
    let Some(child) = script("members.mjs", &arguments) else {
        return;
    };
    let saw = saw(child);
    assert_eq!(saw["shown"], serde_json::json!([true, false]), "{saw}");
    assert_eq!(saw["stranger"], false, "{saw}");
}

#[test]
fn a_hostile_client_does_not_keep_others_from_talking() {
    let world = World::new();
    let relay = world.browser_relay(
        "relay",
        "--max-topics-per-peer 100 --messages-per-second 10",
    );
    let Some(child) = script("abuse.mjs", &[by_websocket(&relay)]) else {
        return;
    };
    let saw = saw(child);
    assert_eq!(saw["oversized"], "closed", "{saw}");
    assert_eq!(saw["late"], 1, "{saw}");
    assert_eq!(saw["followed"], 100, "{saw}");
    // Other clients receive no messages of the hostile client beyond its rate.
    let loud = &saw["loud"];
    assert!(loud["messages"].as_u64().unwrap() < 1000, "{saw}");
}

/// The peak memory of the process in MiB, where the system reports it.
fn peak_mib(relay: &Node) -> Option<u64> {
    let status = format!("/proc/{}/status", relay.process.0.id());
    let status = std::fs::read_to_string(status).ok()?;
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = peak.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib >> 10)
}

/// Asserts that the relay's peak memory has grown by at most `more` MiB since `before`.
fn grew_by_at_most(relay: &Node, before: Option<u64>, more: u64) {
    let (Some(before), Some(after)) = (before, peak_mib(relay)) else {
        return;
    };
    assert!(after <= before + more, "from {before} MiB to {after} MiB");
}

#[test]
fn malformed_circuit_requests_get_an_error_status_and_affect_no_other_client() {
    let world = World::new();
    let relay = world.browser_relay("relay", "");
    let before = peak_mib(&relay);
    let arguments = [by_websocket(&relay), by_tcp(&relay)];
    let Some(child) = script("hop.mjs", &arguments) else {
        return;
    };
    let saw = saw(child);
    let outcomes = saw["outcomes"].as_object().unwrap();
    assert_eq!(outcomes.len(), 9, "{saw}");
    for (what, outcome) in outcomes {
        let expected = match what.as_str() {
            "nothing" => "ended",
            "an unknown type" | "a status" => "ended, 401",
            _ => "ended, 400",
        };
        assert_eq!(outcome, expected, "{what}: {saw}");
    }
    assert_eq!(saw["late"], "hello", "{saw}");
    grew_by_at_most(&relay, before, 32);
}

#[test]
fn a_flood_of_connections_does_not_block_other_clients() {
    let world = World::new();
    let relay = world.browser_relay("relay", "");
    let before = peak_mib(&relay);
    let arguments = [by_websocket(&relay), by_tcp(&relay), "2000"];
    let Some(child) = script("flood.mjs", &arguments) else {
        return;
    };
    let saw = saw(child);
    assert_eq!(saw["opened"], 2000, "{saw}");
    // The pending handshakes time out after ten seconds; then the waiting clients are served.
    for (who, bound) in [
        ("webSocket", 30_000.0),
        ("tcp", 30_000.0),
        ("health", 10_000.0),
    ] {
        let waited = saw["waited"][who].as_f64().unwrap();
        assert!(waited < bound, "{who}: {saw}");
    }
    assert!(saw["echoes"].as_u64().unwrap() > 10, "{saw}");
    // Each connection may cost at most 60 KiB.
    grew_by_at_most(&relay, before, 120);
}

#[test]
fn clients_find_each_other_again_after_the_relay_restarts() {
    let world = World::of_its_own_address();
    let mut relay = world.browser_relay("relay", "");
    let addresses = [by_websocket(&relay).to_owned(), by_tcp(&relay).to_owned()];
    let arguments = addresses.each_ref().map(String::as_str);
    let Some(mut child) = script("restart.mjs", &arguments) else {
        return;
    };
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    relay.restart_browser_relay(world.path(), "");
    assert_eq!(by_websocket(&relay), addresses[0], "identity and port stay");
    child
        .stdin
        .take()
        .unwrap()
        .write_all(b"restarted\n")
        .unwrap();
    line.clear();
    output.read_line(&mut line).unwrap();
    let saw: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(
        (&saw["before"], &saw["after"]),
        (&"hello".into(), &"hello".into())
    );
    assert_eq!(
        saw["alone"], false,
        "a static listener needs another: {saw}"
    );
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_page_with_webrtc_only_reconnects_to_the_same_address_after_a_restart() {
    let world = World::of_its_own_address();
    let mut relay = world.browser_relay("relay", &format!("--webrtc {}:0", world.ip));
    let by_webrtc = |relay: &Node| address(relay, |a| a.contains("/certhash/")).to_owned();
    let addresses = [by_webrtc(&relay), by_websocket(&relay).to_owned()];
    let at = format!("http://{}/relay-config.json", relay.at.front.unwrap());
    let config: Value = serde_json::from_str(&curl(&at, &[]).unwrap().body).unwrap();
    let expected = [&addresses[1], &addresses[0]];
    assert_eq!(config["bootstrapPeers"], serde_json::json!(expected));

    let arguments = addresses.each_ref().map(String::as_str);
    let Some(mut child) = script("webrtc.mjs", &arguments) else {
        return;
    };
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    relay.restart_browser_relay(world.path(), "");
    assert_eq!(by_webrtc(&relay), addresses[0], "port and certificate stay");
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"restarted\n").unwrap();
    line.clear();
    output.read_line(&mut line).unwrap();
    let saw: Value = serde_json::from_str(&line).unwrap();
    let both = |value: Value| serde_json::json!([value, value]);
    assert_eq!(saw["via"], both(true.into()), "{saw}");
    assert_eq!(saw["echoes"], both(16.into()), "{saw}");
    assert_eq!(saw["lost"], true, "{saw}");
    assert!(child.wait().unwrap().success());
}

#[test]
fn clients_of_two_relays_find_and_reach_each_other() {
    let world = World::of_its_own_address();
    let first = world.browser_relay("first", "");
    let second = world.browser_relay("second", &format!("--peer {}", by_tcp(&first)));
    // Each relay names the other as a peer; the first keeps its address on restart.
    let (mut first, more) = (first, format!("--peer {}", by_tcp(&second)));
    first.restart_browser_relay(world.path(), &more);
    let arguments = [by_websocket(&first), by_websocket(&second)];
    let Some(child) = script("two-relays.mjs", &arguments) else {
        return;
    };
    let saw = saw(child);
    assert_eq!(
        (&saw["echoed"], &saw["heard"]),
        (&"hello".into(), &2.into())
    );
}

#[test]
fn the_port_for_browsers_reports_the_relays_addresses() {
    let world = World::new();
    let relay = world.browser_relay("relay", "--write-config .");
    let at = format!("http://{}", relay.at.front.unwrap());
    let get = |path: &str, more: &[&str]| curl(&format!("{at}{path}"), more).unwrap();

    let about = get("/", &[]);
    let json: Value = serde_json::from_str(&about.body).unwrap();
    assert_eq!(json["peerId"], relay.at.node_id.as_str());
    assert_eq!(json["limits"]["reservations"], 100);
    assert_eq!(json["limits"]["circuitBytes"], 50 << 20);
    assert!(about.head.contains("access-control-allow-origin: *"));

    let page = get("/", &["-H", "Accept: text/html,*/*"]);
    assert!(
        page.head.contains("content-type: text/html"),
        "{}",
        page.head
    );
    assert!(
        page.head
            .contains("content-security-policy: default-src 'self'")
    );
    for path in [
        "/page.css",
        "/page.js",
        "/status.json",
        "/healthz",
        "/metrics",
    ] {
        assert_eq!(get(path, &[]).status, 200, "{path}");
    }
    assert_eq!(get("/nothing", &[]).status, 404);

    let expected = by_websocket(&relay);
    for path in ["/relay-config.json", "/.relay-config.json"] {
        let config: Value = serde_json::from_str(&get(path, &[]).body).unwrap();
        assert_eq!(config["bootstrapPeers"], serde_json::json!([expected]));
    }
    let written = std::fs::read_to_string(world.path().join("relay-config.json")).unwrap();
    let config: Value = serde_json::from_str(&written).unwrap();
    assert_eq!(config["bootstrapPeers"], serde_json::json!([expected]));

    let refused = get(
        "/",
        &["-H", "Upgrade: websocket", "-H", "Connection: Upgrade"],
    );
    assert_eq!(refused.status, 400, "a WebSocket without a key");
}

#[test]
fn one_port_serves_plain_http_and_tls() {
    let world = World::new();
    certificate(world.path());
    let relay = world.browser_relay("relay", "--tls-cert cert.pem --tls-key key.pem");
    let port = relay.at.front.unwrap().port();
    for scheme in ["http", "https"] {
        let answer = curl(
            &format!("{scheme}://localhost:{port}/healthz"),
            &["-k", "-4"],
        );
        assert_eq!(answer.unwrap().status, 200, "{scheme}");
    }
    let tls = format!("/ip4/127.0.0.1/tcp/{port}/tls/ws/p2p/");
    assert!(
        relay.at.p2p.iter().any(|a| a.starts_with(&tls)),
        "{:?}",
        relay.at.p2p
    );
}

/// Requests the report on a connection that begins with `first`, and tells whether the first node of
/// the list has an address. The relay hides addresses from callers on other machines.
fn shows_addresses(relay: &Node, first: &str, header: &str) -> Option<bool> {
    use std::io::Read as _;
    let mut stream = std::net::TcpStream::connect(relay.at.front.unwrap()).unwrap();
    let request = format!("{first}GET /status.json HTTP/1.0\r\nhost: x\r\n{header}\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let report: Value = serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()?;
    let peers = report["peers"].as_array().unwrap();
    Some(!peers.first()?["address"].is_null())
}

#[test]
fn client_addresses_are_taken_from_trusted_proxies_only() {
    let world = World::new();
    let proxied = "--trusted-proxy 127.0.0.1 --proxy-protocol";
    let proxied = world.browser_relay("proxied", proxied);
    let trusting = world.browser_relay("trusting", "--trusted-proxy 127.0.0.1");
    let direct = world.browser_relay("direct", "");
    let relays = [&proxied, &trusting, &direct].map(|relay| format!("--peer {}", by_tcp(relay)));
    let _other = world.browser_relay("other", &relays.join(" "));

    let (here, elsewhere) = ("127.0.0.1", "203.0.113.9");
    let line = |ip| format!("PROXY TCP4 {ip} 127.0.0.1 4711 9090\r\n");
    let forwarded = |ip| format!("x-forwarded-for: {ip}\r\n");
    eventually("the other relay at all three", || {
        let all = [
            shows_addresses(&proxied, &line(here), ""),
            shows_addresses(&trusting, "", &forwarded(here)),
            shows_addresses(&direct, "", ""),
        ];
        all.iter().all(Option::is_some).then_some(())
    });
    assert_eq!(shows_addresses(&proxied, &line(here), ""), Some(true));
    assert_eq!(shows_addresses(&proxied, &line(elsewhere), ""), Some(false));
    assert_eq!(
        shows_addresses(&proxied, "", ""),
        None,
        "a proxy that says nothing"
    );
    let forged = format!("{elsewhere}, {here}");
    for (client, visible) in [(here, false), (elsewhere, false), (forged.as_str(), false)] {
        let answer = shows_addresses(&trusting, "", &forwarded(client));
        assert_eq!(answer, Some(visible), "{client}");
    }
    assert_eq!(shows_addresses(&direct, "", ""), Some(true));
    assert_eq!(
        shows_addresses(&direct, "", &forwarded(elsewhere)),
        Some(false)
    );
}

#[test]
fn a_taken_port_is_named_with_its_flag() {
    let world = World::new();
    let relay = world.browser_relay("relay", "");
    world.run("secrets init --data-dir other");
    let taken = relay.at.front.unwrap();
    let line = format!("relay --data-dir other --websocket {taken} --tcp 127.0.0.1:0");
    let error = crate::program::run(world.path(), &line).failed();
    for part in [&taken.to_string(), "--websocket", "choose another port"] {
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[test]
fn a_client_that_leaves_frees_its_place_at_once() {
    let world = World::new();
    let relay = world.browser_relay("relay", "");
    let report = || -> Value {
        let at = relay.at.front.unwrap();
        let answer = curl(&format!("http://{at}/status.json"), &[]).unwrap();
        serde_json::from_str(&answer.body).unwrap()
    };
    let arguments = [by_websocket(&relay), by_tcp(&relay)];
    let Some(child) = script("meet.mjs", &arguments) else {
        return;
    };
    eventually("two places to be held", || {
        (report()["reservations"]["held"] == 2).then_some(())
    });
    saw(child);
    eventually("both to be free", || {
        let report = report();
        let free = report["reservations"]["held"] == 0 && report["connections"] == 0;
        free.then_some(())
    });
    let report = report();
    assert!(report["circuits"]["opened"].as_u64() >= Some(1), "{report}");
    assert!(
        report["traffic"]["receivedBytes"].as_u64() > Some(2 << 20),
        "{report}"
    );
}

#[test]
fn a_relay_refuses_a_share_of_one_address_that_is_more_than_all_reservations() {
    let dir = tempfile::tempdir().unwrap();
    let relay = "relay --data-dir d --websocket off --tcp off --max-reservations";
    let line = format!("{relay} 100 --max-reservations-per-address 101");
    let error = run(dir.path(), &line).failed();
    let message = "--max-reservations-per-address = 101: more than --max-reservations = 100";
    assert!(error.contains(message), "{error}");
}
