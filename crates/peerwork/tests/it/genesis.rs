//! `peerwork genesis` as a process.

use std::fs;

use crate::{
    cli::{NODE, folder, json},
    program::run,
};

#[test]
fn genesis_writes_the_network_file_byte_for_byte() {
    let dir = folder();
    let line = format!(
        "genesis --dir example.json --name MyNetwork --network-id 1000 \
         --bootnode=/ip4/127.0.0.1/tcp/50001/p2p/{NODE} --bootnode=/ip4/127.0.0.1/tcp/51001/p2p/{NODE}"
    );
    let text = run(dir.path(), &line).succeeded();
    assert_eq!(
        text,
        "\n[GENESIS SUCCESS]\nGenesis written to example.json\n\n"
    );
    assert_eq!(
        fs::read_to_string(dir.path().join("example.json")).unwrap(),
        format!(
            "{{\n    \"name\": \"MyNetwork\",\n    \"NetworkId\": 1000,\n    \"bootnodes\": [\n        \
             \"/ip4/127.0.0.1/tcp/50001/p2p/{NODE}\",\n        \
             \"/ip4/127.0.0.1/tcp/51001/p2p/{NODE}\"\n    ],\n    \"relaynodes\": []\n}}"
        )
    );
    let error = run(dir.path(), &line).failed();
    assert!(
        error.contains("genesis file at path (example.json) already exists"),
        "{error}"
    );
    let text = run(dir.path(), "genesis --network-id 0 --json").succeeded();
    assert_eq!(
        text,
        "{\"message\":\"Genesis written to ./genesis.json\\n\"}\n"
    );
}

#[test]
fn genesis_without_an_id_takes_a_random_one_and_prints_it() {
    let dir = folder();
    let id_in = |file: &str| {
        let text = fs::read_to_string(dir.path().join(file)).unwrap();
        let file = json(&text);
        assert!(!file.as_object().unwrap().contains_key("secrets"));
        file["NetworkId"].as_i64().unwrap()
    };
    let text = run(dir.path(), "genesis --dir one.json").succeeded();
    let one = id_in("one.json");
    assert!((1..1 << 53).contains(&one), "{one}");
    assert_eq!(
        text,
        format!("\n[GENESIS SUCCESS]\nGenesis written to one.json\nNetwork id = {one}\n\n")
    );
    let value = json(&run(dir.path(), "genesis --dir two.json --json").succeeded());
    let two = id_in("two.json");
    assert_eq!(value["network_id"], two);
    assert_ne!(one, two);
}

#[test]
fn genesis_writes_a_new_secret_which_it_does_not_print() {
    let dir = folder();
    let mut secrets = Vec::new();
    for (file, flag) in [("one.json", ""), ("two.json", "--json")] {
        let line = format!("genesis --dir {file} --secret --network-id 1000 {flag}");
        let text = run(dir.path(), &line).succeeded();
        assert!(text.contains("ecret") && !text.contains("pws_"), "{text}");
        let path = dir.path().join(file);
        let written = json(&fs::read_to_string(&path).unwrap());
        assert_eq!(written["secrets"].as_array().unwrap().len(), 1);
        secrets.push(written["secrets"][0].as_str().unwrap().to_owned());
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt as _;
            let mode = fs::metadata(&path).unwrap().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }
    assert!(secrets.iter().all(|secret| secret.starts_with("pws_")));
    assert_ne!(secrets[0], secrets[1]);
}

#[test]
fn genesis_reports_all_invalid_addresses_at_once() {
    let dir = folder();
    let error = run(
        dir.path(),
        "genesis --bootnode /ip4/1.2.3.4/tcp/1 --relaynode nonsense",
    )
    .failed();
    assert!(error.contains("--bootnode /ip4/1.2.3.4/tcp/1: "), "{error}");
    assert!(error.contains("--relaynode nonsense: "), "{error}");
    assert!(!dir.path().join("genesis.json").exists());
}
