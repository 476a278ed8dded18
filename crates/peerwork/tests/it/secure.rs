//! The HTTP ingress of `peerwork server` with TLS and behind proxies, called by curl.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use crate::{
    network::{Node, Running, World, eventually},
    program::{peerwork, run},
};

/// A certificate for localhost, `cert.pem` with `key.pem`.
pub(crate) fn certificate(dir: &Path) {
    let made = Command::new("openssl")
        .current_dir(dir)
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
        ])
        .args([
            "-nodes", "-keyout", "key.pem", "-out", "cert.pem", "-days", "2",
        ])
        .args([
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost",
        ])
        .output();
    let made = made.expect("openssl is on every machine that has curl");
    assert!(made.status.success(), "{made:?}");
}

/// The version of HTTP and the body of `GET /` at the ingress; `None` when curl fails.
fn root(world: &World, relay: &Node, scheme: &str, more: &[&str]) -> Option<(String, String)> {
    let port = relay.at.ingress.unwrap().port();
    let output = Command::new("curl")
        .current_dir(world.path())
        .args(["-sS", "-4", "--max-time", "20", "-w", "\n%{http_version}"])
        .args(more)
        .arg(format!("{scheme}://localhost:{port}/"))
        .output()
        .expect("curl is installed by cargo xtask test");
    let text = String::from_utf8(output.stdout).unwrap();
    let (body, version) = text.rsplit_once('\n')?;
    output
        .status
        .success()
        .then(|| (version.to_owned(), body.to_owned()))
}

#[test]
fn an_ingress_speaks_https_with_the_certificate_of_its_settings() {
    let world = World::new();
    certificate(world.path());
    let settings = "tls-cert = \"cert.pem\"\ntls-key = \"key.pem\"\n";
    std::fs::write(world.path().join("secure.toml"), settings).unwrap();
    let by_flags = "--tls-cert cert.pem --tls-key key.pem";
    for (name, more) in [("flags", by_flags), ("file", "--config secure.toml")] {
        let relay = world.relay(name, &[], &format!("--app-no-auth {more}"));
        let known = ["--cacert", "cert.pem"];
        for (scheme, flag, version) in [
            ("https", "--http2", "2"),
            ("https", "--http1.1", "1.1"),
            ("http", "--http1.1", "1.1"),
        ] {
            let answer = root(&world, &relay, scheme, &[&known, &[flag][..]].concat());
            let (got, body) = answer.unwrap();
            assert_eq!(got, version, "{name} {flag}");
            assert!(body.contains("\"networkID\":1000"), "{body}");
        }
        assert_eq!(root(&world, &relay, "https", &[]), None);
    }
}

#[test]
fn a_certificate_that_is_replaced_is_served_without_a_restart() {
    let world = World::new();
    certificate(world.path());
    let more = "--app-no-auth --tls-cert cert.pem --tls-key key.pem";
    let relay = world.relay("relay", &[], more);
    let known = ["--cacert", "cert.pem"];
    assert!(root(&world, &relay, "https", &known).is_some());
    certificate(world.path());
    // curl accepts only the certificate that is in the file now.
    eventually("the new certificate", || {
        root(&world, &relay, "https", &known)
    });
}

#[test]
fn a_relay_of_peerwork_node_speaks_https_with_the_certificate_of_its_table() {
    let world = World::new();
    certificate(world.path());
    std::fs::create_dir(world.path().join("home")).unwrap();
    let settings = "libp2p = '127.0.0.1:0'\n[relay]\ningress = '127.0.0.1:0'\nopen = true\n\
                    tls-cert = 'cert.pem'\ntls-key = 'key.pem'\n";
    std::fs::write(world.path().join("home/peerwork.toml"), settings).unwrap();
    let relay = world.start("home", "node --data-dir home");
    let answer = root(
        &world,
        &relay,
        "https",
        &["--cacert", "cert.pem", "--http2"],
    );
    assert_eq!(answer.unwrap().0, "2");
    let status = world.run("status --data-dir home --json");
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    let at = relay.at.ingress.unwrap().to_string();
    assert_eq!(status["endpoints"]["trans-proxy"], at);
    assert_eq!(status["tls_endpoints"], serde_json::json!(["trans-proxy"]));
    let status = world.run("status --data-dir home");
    assert!(
        status.contains(&format!("= {at} (TLS, and plain")),
        "{status}"
    );
    let half = "node --data-dir half --relay --relay-tls-cert cert.pem";
    let error = run(world.path(), half).failed();
    assert!(
        error.contains("--relay-tls-cert needs --relay-tls-key"),
        "{error}"
    );
}

#[test]
fn a_node_prints_urls_that_can_be_opened_with_the_scheme_of_its_port() {
    let world = World::new();
    certificate(world.path());
    let tls = "--tls-cert cert.pem --tls-key key.pem";
    let everywhere =
        "--trans-proxy 0.0.0.0:0 --jsonrpc 0.0.0.0:0 --metrics 0.0.0.0:0 --app-no-auth";
    for (name, more, scheme) in [("plain", "", "http"), ("secure", tls, "https")] {
        let relay = world.relay(name, &[], &format!("{everywhere} {more}"));
        let ingress = relay.at.ingress.unwrap().port();
        let jsonrpc = relay.at.jsonrpc.unwrap().port();
        let expected = [
            format!("apps behind edges: {scheme}://127.0.0.1:{ingress}/edge/NODE/PORT/PATH"),
            format!("JSON-RPC: http://127.0.0.1:{jsonrpc}/ and ws://127.0.0.1:{jsonrpc}/edge_ws"),
            "metrics: http://127.0.0.1:".to_owned(),
        ];
        eventually("the URLs in the log", || {
            let log = std::fs::read_to_string(relay.data().join("log.txt")).unwrap();
            assert!(!log.contains("://0.0.0.0"), "{log}");
            expected.iter().all(|line| log.contains(line)).then_some(())
        });
    }
    let lines = "--relay-ingress 0.0.0.0:0 --relay-tls-cert cert.pem --relay-tls-key key.pem";
    let line = format!("node --data-dir node --libp2p 127.0.0.1:0 --relay {lines}");
    assert!(first_output(&world, &line, "Ingress").contains("= https://127.0.0.1:"));
    let line = format!("relay --data-dir relay --websocket 0.0.0.0:0 --tcp off {tls}");
    let page = first_output(&world, &line, "Live page: ");
    assert!(page.starts_with("Live page: https://127.0.0.1:"), "{page}");
}

/// The first line with `beginning` that a node prints; then the node is killed.
fn first_output(world: &World, line: &str, beginning: &str) -> String {
    let child = peerwork(world.path())
        .args(line.split_whitespace())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut process = Running(child.unwrap());
    let mut lines = BufReader::new(process.0.stdout.take().unwrap()).lines();
    let found = lines.find(|line| line.as_ref().unwrap().starts_with(beginning));
    found.unwrap().unwrap()
}

#[test]
fn an_ingress_takes_the_proxy_protocol_from_its_proxy() {
    let world = World::new();
    let more = "--app-no-auth --trusted-proxy 127.0.0.1 --proxy-protocol";
    let relay = world.relay("relay", &[], more);
    assert!(root(&world, &relay, "http", &["--haproxy-protocol"]).is_some());
    assert_eq!(root(&world, &relay, "http", &[]), None);
}

#[test]
fn half_of_a_pair_of_settings_is_an_error_that_names_the_other_flag() {
    let world = World::new();
    world.keys("d");
    world.run("genesis");
    let mixed = world.path().join("half.toml");
    std::fs::write(mixed, "tls-key = \"key.pem\"\nproxy-protocol = true\n").unwrap();
    for (more, missing) in [
        ("--tls-cert cert.pem", &["--tls-key"][..]),
        ("--tls-key key.pem", &["--tls-cert"]),
        ("--proxy-protocol", &["--trusted-proxy"]),
        ("--config half.toml", &["--tls-cert", "--trusted-proxy"]),
    ] {
        let line = format!("server --data-dir d --network ./genesis.json {more}");
        let failed = run(world.path(), &line).failed();
        for flag in missing {
            assert!(failed.contains(flag), "{more}: {failed}");
        }
    }
}

#[test]
fn certificate_and_key_may_come_from_different_places() {
    let world = World::new();
    certificate(world.path());
    std::fs::write(world.path().join("key.toml"), "tls-key = \"key.pem\"\n").unwrap();
    let more = "--app-no-auth --tls-cert cert.pem --config key.toml";
    let relay = world.relay("relay", &[], more);
    assert!(root(&world, &relay, "https", &["--cacert", "cert.pem"]).is_some());
}
