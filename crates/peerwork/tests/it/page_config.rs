//! Tests of `relay-config.json`, from which pages learn a relay's addresses and settings.

use serde_json::{Value, json};

use crate::{
    browser_relay::by_websocket,
    network::{Node, World, curl},
    program::{peerwork, run},
};

/// The document as the relay serves it, which must be the document that it wrote.
fn document(world: &World, relay: &Node) -> Value {
    let at = format!("http://{}/relay-config.json", relay.at.front.unwrap());
    let served: Value = serde_json::from_str(&curl(&at, &[]).unwrap().body).unwrap();
    let written = std::fs::read_to_string(world.path().join("relay-config.json")).unwrap();
    assert!(written.ends_with("}\n"), "{written}");
    assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), served);
    served
}

#[test]
fn pages_read_the_addresses_and_the_limits_of_gossip() {
    let world = World::new();
    let relay = world.browser_relay("relay", "--write-config . --max-message-bytes 1000");
    let expected = json!({
        "bootstrapPeers": [by_websocket(&relay)],
        "pubsubType": "gossipsub",
        "gossip": { "maxMessageBytes": 1000, "messagesPerSecond": 100 },
    });
    assert_eq!(document(&world, &relay), expected);

    let silent = world.browser_relay("silent", "--write-config . --no-gossip");
    let expected = json!({ "bootstrapPeers": [by_websocket(&silent)] });
    assert_eq!(document(&world, &silent), expected);
}

#[test]
fn a_settings_file_names_the_servers_for_webrtc() {
    let world = World::new();
    let settings = r#"
ice-server = ["stun:stun.example.org", "turn:turn.example.org:3478?transport=udp;username=ada;credential=a,b;c"]
pubsub-type = "floodsub"
messages-per-second = 7
"#;
    std::fs::write(world.path().join("page.toml"), settings).unwrap();
    let relay = world.browser_relay("relay", "--write-config . --config page.toml");
    let config = document(&world, &relay);
    assert_eq!(
        config["iceServers"],
        json!([
            { "urls": "stun:stun.example.org" },
            {
                "urls": "turn:turn.example.org:3478?transport=udp",
                "username": "ada",
                "credential": "a,b;c",
            },
        ])
    );
    assert_eq!(config["pubsubType"], "floodsub");
    assert_eq!(config["gossip"]["messagesPerSecond"], 7);
}

#[test]
fn wrong_servers_for_webrtc_are_refused_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let line = "relay --data-dir d --websocket off --tcp off";
    let nine = "--ice-server stun:a.example ".repeat(9);
    let error = run(dir.path(), &format!("{line} {nine}")).failed();
    assert!(error.contains("--ice-server: 9 servers"), "{error}");

    let mut command = peerwork(dir.path());
    command.args(line.split_whitespace());
    let servers = "stun:a.example,turn:b.example";
    let output = command.env("PEERWORK_ICE_SERVER", servers).output();
    let error = String::from_utf8(output.unwrap().stderr).unwrap();
    assert!(error.contains("PEERWORK_ICE_SERVER"), "{error}");
    assert!(error.contains("a TURN server needs credentials"), "{error}");
}
