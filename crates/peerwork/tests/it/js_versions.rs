//! Tests of `peerwork relay` with clients of js-libp2p 1 and 2, and of these with js-libp2p 3.
//!
//! `cargo xtask test` installs the clients and sets `PEERWORK_TEST_JS`; without it the tests do nothing.

use serde_json::json;

use crate::{
    browser_relay::{by_tcp, by_websocket},
    network::World,
    talk::Client,
};

/// A client of js-libp2p 1 or 2 and one of version 3 hold places, and each calls the other.
fn reach_each_other(version: &str) {
    let world = World::new();
    let relay = world.browser_relay("relay", "");
    let old = Client::old_js(version, &["hold", by_websocket(&relay)]);
    let Some((mut old, mut js)) = old.zip(Client::js(&["hold", by_tcp(&relay)])) else {
        return;
    };
    let (to_old, to_js) = (old.circuit(), js.circuit());
    let call = |to| ["call", to, "1048576"];
    let caller = Client::js(&call(&to_old)).unwrap();
    caller.echoed_by_circuit();
    let caller = Client::old_js(version, &call(&to_js)).unwrap();
    caller.echoed_by_circuit();
}

/// Gossip passes between a client of js-libp2p 1 or 2 and one of version 3, unchanged and both ways.
fn hear_each_other(version: &str) {
    let world = World::new();
    let relay = world.browser_relay("relay", "");
    let gossip = |text| ["gossip", by_tcp(&relay), "app", text];
    let old = Client::old_js(version, &gossip("from the old"));
    let Some((mut old, mut js)) = old.zip(Client::js(&gossip("from the new"))) else {
        return;
    };
    let (old_id, js_id) = (old.line()["id"].take(), js.line()["id"].take());
    assert_eq!(js.heard(), (json!("from the old"), old_id));
    assert_eq!(old.heard(), (json!("from the new"), js_id));
}

#[test]
fn clients_of_js_libp2p_1_reserve_and_reach_version_3_over_circuits() {
    reach_each_other("1");
}

#[test]
fn clients_of_js_libp2p_2_reserve_and_reach_version_3_over_circuits() {
    reach_each_other("2");
}

#[test]
fn gossip_passes_between_js_libp2p_1_and_3() {
    hear_each_other("1");
}

#[test]
fn gossip_passes_between_js_libp2p_2_and_3() {
    hear_each_other("2");
}
