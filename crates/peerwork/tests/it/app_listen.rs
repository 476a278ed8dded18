//! Apps with ports of their own at a relay, called by curl.

use std::net::{SocketAddr, TcpListener};

use crate::{
    network::{Answer, Node, World, curl, eventually},
    program::{peerwork, run},
    secure::certificate,
};

/// The URL at which the relay's log says that the app is alone.
fn url(relay: &Node, app: &str) -> String {
    let line = format!("the app {app} alone: ");
    eventually("the line of the app's port", || {
        let log = std::fs::read_to_string(relay.data().join("log.txt")).unwrap();
        let (_, rest) = log.split_once(&line)?;
        let (url, _) = rest.split_once("/\n")?;
        Some(url.to_owned())
    })
}

/// Calls a path of the app once the relay knows the edge.
fn call(url: &str, more: &[&str]) -> Answer {
    eventually("the app's answer", || {
        curl(url, more).filter(|answer| !matches!(answer.status, 404 | 502))
    })
}

#[test]
fn an_app_is_called_at_its_own_port_that_a_flag_a_variable_or_the_file_names() {
    let world = World::new();
    let (_app, port) = world.webapp();
    let edge_id = world.keys("edge");
    let app = format!("{edge_id}:{port}");
    let flag = format!("--app-no-auth --app-listen 127.0.0.1:0={app}");
    let relay = world.relay("relay", &[], &flag);
    let _edge = world.edge_with_keys("edge", &[relay.p2p()], port, "--app-no-auth");
    let at = url(&relay, &app);
    let answer = call(&format!("{at}/home"), &[]);
    assert_eq!(answer.status, 200, "{answer:?}");
    let data = ["--data", r#"{"message":"hello"}"#];
    let json = ["-H", "Content-Type: application/json"];
    let answer = call(&format!("{at}/echo"), &[&json[..], &data].concat());
    assert_eq!(answer.body.trim(), r#"{"message":"hello"}"#);
    // The relay's own page is not at the app's port.
    let root = curl(&format!("{at}/"), &[]).unwrap();
    assert!(!root.body.contains("networkID"), "{root:?}");

    let home = world.path().join("home");
    std::fs::create_dir(&home).unwrap();
    let settings = format!(
        "network = 'relay.json'\nlibp2p = '127.0.0.1:0'\nbootnode = ['{}']\n[relay]\ningress = '127.0.0.1:0'\nopen = true\n\
         app-listen = ['127.0.0.1:0={app}']\n",
        relay.p2p()
    );
    std::fs::write(home.join("peerwork.toml"), settings).unwrap();
    let second = world.start("home", "node --data-dir home");
    assert_eq!(
        call(&format!("{}/home", url(&second, &app)), &[]).status,
        200
    );
    let check = world.run("node --data-dir home check");
    assert!(check.contains("one app"), "{check}");

    let of_environment = peerwork(world.path())
        .args(["node", "--data-dir", "env", "check"])
        .env(
            "PEERWORK_RELAY_APP_LISTEN",
            format!(":7081={app},:7082={app}"),
        )
        .env("PEERWORK_RELAY", "true")
        .output()
        .unwrap();
    let checked = String::from_utf8(of_environment.stdout).unwrap();
    for at in ["127.0.0.1:7081", "127.0.0.1:7082"] {
        assert!(checked.contains(at), "{checked}");
    }
}

#[test]
fn an_app_port_speaks_https_with_the_certificate_of_the_relay() {
    let world = World::new();
    certificate(world.path());
    let app = format!("{}:9527", world.keys("edge"));
    let more = format!(
        "--app-no-auth --tls-cert cert.pem --tls-key key.pem --app-listen https://127.0.0.1:0={app}"
    );
    let relay = world.relay("relay", &[], &more);
    let at = url(&relay, &app);
    let port = at.strip_prefix("https://127.0.0.1:").unwrap();
    let status = world.run("status --data-dir relay");
    let shown = format!("= https://127.0.0.1:{port}={app}\n");
    assert!(status.contains(&shown), "{status}");
    let pem = world.path().join("cert.pem");
    let trusted = ["--cacert", pem.to_str().unwrap(), "--http1.1"];
    // The edge does not run: the call itself says so.
    let answer = curl(&format!("https://localhost:{port}/"), &trusted).unwrap();
    assert_eq!(answer.status, 404);
    assert!(answer.body.contains("unknown-node"), "{answer:?}");
    let answer = curl(&format!("http://localhost:{port}/x"), &["-4"]).unwrap();
    let expected = format!("location: https://localhost:{port}/x");
    assert!(answer.head.contains(&expected), "{answer:?}");
}

#[test]
fn a_browser_logs_in_with_a_key_of_the_program_until_the_key_is_revoked() {
    let world = World::new();
    let (_app, port) = world.webapp();
    let app = format!("{}:{port}", world.keys("edge"));
    let relay = world.relay("relay", &[], &format!("--app-listen 127.0.0.1:0={app}"));
    let _edge = world.edge_with_keys("edge", &[relay.p2p()], port, "--app-no-auth");
    let created = world.run("key create --data-dir relay --label browser --json");
    let created: serde_json::Value = serde_json::from_str(&created).unwrap();
    let [key, id] = ["key", "id"].map(|field| created[field].as_str().unwrap());
    let jar = world.path().join("jar");
    let jar = jar.to_str().unwrap();
    let browser = ["-H", "accept: text/html", "-b", jar, "-c", jar];
    let home = format!("{}/home", url(&relay, &app));
    let page = curl(&home, &browser).unwrap();
    assert_eq!(page.status, 401);
    assert!(page.body.contains("<label for=\"key\">"), "{page:?}");
    let by_link = [&browser[..], &["-L"]].concat();
    let answer = eventually("the app behind the login", || {
        let answer = curl(&format!("{home}?key={key}"), &by_link)?;
        (answer.status == 200).then_some(answer)
    });
    assert!(!answer.body.contains("<label for=\"key\">"), "{answer:?}");
    assert_eq!(curl(&home, &browser).unwrap().status, 200);
    world.run(&format!("key revoke {id} --data-dir relay"));
    eventually("the end of the login", || {
        (curl(&home, &browser)?.status == 401).then_some(())
    });
}

#[test]
fn a_wrong_or_taken_app_port_is_an_error_that_names_the_flag() {
    let world = World::new();
    let node = world.keys("d");
    world.run("genesis");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let at: SocketAddr = taken.local_addr().unwrap();
    let ports = "--libp2p 127.0.0.1:0 --relay-libp2p off --jsonrpc off --trans-proxy 127.0.0.1:0 \
                 --grpc-address 127.0.0.1:0 --app-no-auth";
    for (value, parts) in [
        (
            format!("{at}={node}:80"),
            vec!["app-listen", "cannot listen"],
        ),
        (format!("{at}={node}"), vec!["--app-listen", "NODE:PORT"]),
        (
            format!("https://{at}={node}:80"),
            vec!["--app-listen", "--tls-cert"],
        ),
    ] {
        let line =
            format!("server --data-dir d --network ./genesis.json {ports} --app-listen {value}");
        let ran = run(world.path(), &line);
        assert_ne!(ran.code, Some(0), "{ran:?}");
        let all_named = parts.iter().all(|part| ran.stderr.contains(part));
        assert!(all_named, "{value}: {}", ran.stderr);
    }
}
