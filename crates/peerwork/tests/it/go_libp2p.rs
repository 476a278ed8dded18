//! Tests of `peerwork relay` with go-libp2p hosts, and of go-libp2p with js-libp2p through it.
//!
//! `cargo xtask test` builds the program in `tests/go` and sets `PEERWORK_TEST_GO` to its path, and
//! installs the js clients (`PEERWORK_TEST_JS`); without the variables the tests do nothing.

use serde_json::json;

use crate::{
    browser_relay::{address, by_tcp, by_websocket},
    network::{Node, World},
    talk::Client,
};

fn relay(world: &World) -> Node {
    let ip = world.ip;
    world.browser_relay("relay", &format!("--quic {ip}:0 --webrtc {ip}:0"))
}

/// The relay's address for each transport, with the flags of the Go program that dials it.
fn transports(relay: &Node) -> [(&[&str], &str); 5] {
    let has = |part: &'static str| address(relay, move |address| address.contains(part));
    [
        (&[], by_tcp(relay)),
        (&[], by_websocket(relay)),
        (&[], has("/quic-v1/")),
        (&["-webrtc", "1"], has("/certhash/")),
        (&["-webrtc", "2"], has("/certhash/")),
    ]
}

/// The transport's part of an address as go-libp2p shows it: without the certificate's hash and the id.
fn without_hash(address: &str) -> &str {
    let transport = address.split("/p2p/").next().unwrap();
    transport.split("/certhash/").next().unwrap()
}

#[test]
fn go_libp2p_reserves_on_each_transport_and_verifies_the_voucher() {
    let world = World::new();
    let relay = relay(&world);
    for (flags, address) in transports(&relay) {
        let Some(mut holder) = Client::go(&[flags, &["hold", address]].concat()) else {
            return;
        };
        let saw = holder.line();
        let voucher = json!({
            "relay": relay.at.node_id, "holder": saw["id"], "expires with the reservation": true,
        });
        assert_eq!(saw["voucher"], voucher, "{saw}");
        assert_eq!(saw["over"], without_hash(address), "{saw}");
        assert_eq!(saw["limit bytes"], 50 << 20, "{saw}");
        assert_eq!(saw["limit seconds"], 600, "{saw}");
        let seconds = saw["seconds"].as_u64().unwrap();
        assert!((3500..=3600).contains(&seconds), "{saw}");
        assert!(!saw["addresses"].as_array().unwrap().is_empty(), "{saw}");
    }
}

#[test]
fn go_libp2p_hosts_echo_over_circuits_between_all_transports() {
    let world = World::new();
    let relay = relay(&world);
    let transports = transports(&relay);
    let others = transports.iter().cycle().skip(1);
    for ((flags, address), (their_flags, their_address)) in transports.iter().zip(others) {
        let Some(mut holder) = Client::go(&[flags, &["hold", address][..]].concat()) else {
            return;
        };
        let circuit = holder.circuit().replace(address, their_address);
        let call = [their_flags, &["call", &circuit, "1048576"][..]].concat();
        Client::go(&call).unwrap().echoed_by_circuit();
    }
}

#[test]
fn go_and_js_clients_reach_each_other_over_circuits() {
    let world = World::new();
    let relay = relay(&world);
    let hold = ["hold", by_websocket(&relay)];
    let Some((mut js, mut go)) = Client::js(&hold).zip(Client::go(&hold)) else {
        return;
    };
    let (to_js, to_go) = (js.circuit(), go.circuit());
    let call = |to| ["call", to, "1048576"];
    Client::go(&call(&to_js)).unwrap().echoed_by_circuit();
    Client::js(&call(&to_go)).unwrap().echoed_by_circuit();
}

#[test]
fn gossip_of_go_and_js_clients_arrives_unchanged_both_ways() {
    let world = World::new();
    let relay = relay(&world);
    // Both texts are longer than a frame of noise, and one is not ASCII.
    let (from_go, from_js) = ("go ".repeat(30_000), "grüße ".repeat(15_000));
    let relay = by_tcp(&relay);
    for (go_flood, js_flood) in [(false, false), (true, false), (false, true), (true, true)] {
        let topic = format!("flood {go_flood} {js_flood}");
        let go = ["gossip", relay, &topic, &from_go];
        let js = ["gossip", relay, &topic, &from_js];
        let flag = |flood: bool| if flood { &["-flood"][..] } else { &[] };
        let go = Client::go(&[flag(go_flood), &go].concat());
        let js = Client::js(&[flag(js_flood), &js].concat());
        let Some((mut go, mut js)) = go.zip(js) else {
            return;
        };
        let (go_id, js_id) = (go.line()["id"].take(), js.line()["id"].take());
        assert!(js.heard() == (json!(from_go), go_id), "{topic}");
        assert!(go.heard() == (json!(from_js), js_id), "{topic}");
    }
}

#[test]
fn go_libp2p_dials_webrtc_direct_in_version_1_and_2() {
    let world = World::new();
    let relay = relay(&world);
    let at = address(&relay, |address| address.contains("/certhash/"));
    for version in ["1", "2"] {
        let Some(mut caller) = Client::go(&["-webrtc", version, "call", at, "0"]) else {
            return;
        };
        let saw = caller.line();
        assert_eq!(saw["limited"], false, "{saw}");
        assert_eq!(saw["over"], without_hash(at), "{saw}");
    }
}
