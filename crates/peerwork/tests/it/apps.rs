//! Apps with URLs of their own, named by flags, by the environment and by a settings file: TLS, Unix
//! sockets, and gRPC of another implementation.

use std::{
    ffi::OsString,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::UnixListener,
    path::Path,
    process::{Command, Stdio},
};

use crate::{
    network::{Node, Running, World, curl, eventually},
    program::{peerwork, run},
    secure::certificate,
};

/// Starts an edge that offers what `flags` say, at a relay.
fn network(world: &World, flags: &str) -> [Node; 2] {
    let relay = world.relay("relay", &[], "--app-no-auth");
    let flags = format!("--app-no-auth {flags}");
    let edge = world.edge("edge", &[relay.p2p()], 9527, &flags);
    [relay, edge]
}

/// The status and the body of an answer of the app at `port`, once the relay knows the edge.
fn call(relay: &Node, edge: &Node, port: u16) -> (u16, String) {
    let at = relay.at.ingress.unwrap();
    let url = format!("http://{at}/edge/{}/{port}/", edge.at.node_id);
    let answer = eventually("the edge to be known", || {
        curl(&url, &[]).filter(|answer| answer.status != 404)
    });
    (answer.status, answer.body)
}

#[test]
fn an_https_app_is_called_with_a_named_certificate_or_without_verification() {
    let world = World::new();
    certificate(world.path());
    // An app that speaks TLS: the ingress of a further relay.
    let tls = "--app-no-auth --tls-cert cert.pem --tls-key key.pem";
    let tls_app = world.relay("app", &[], tls);
    let app = tls_app.at.ingress.unwrap().port();
    let relay = world.relay("relay", &[], "--app-no-auth");
    for (name, trust, fits) in [
        ("plain", "", false),
        ("named", "--app-ca cert.pem", true),
        ("insecure", "--app-insecure", true),
    ] {
        let flags = format!("--app-no-auth --app-port 443=https://localhost:{app} {trust}");
        let edge = world.edge(name, &[relay.p2p()], 9527, &flags);
        let (status, body) = call(&relay, &edge, 443);
        if fits {
            assert_eq!(status, 200, "{body}");
            assert!(body.contains("\"networkID\":1000"), "{body}");
            continue;
        }
        assert_eq!(status, 502, "{body}");
        let tried = format!("https://localhost:{app} at 127.0.0.1:{app}: no TLS: ");
        assert!(body.contains(&tried), "{body}");
        let log = std::fs::read_to_string(edge.data().join("log.txt")).unwrap();
        assert!(log.contains(&tried), "{log}");
    }
}

#[test]
fn ports_with_urls_come_from_the_environment_and_the_settings_file_too() {
    let world = World::new();
    let app = UnixListener::bind(world.path().join("app.sock")).unwrap();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = app.accept() {
            let _ = stream.read(&mut [0; 4096]);
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello";
            let _ = stream.write_all(answer);
        }
    });
    let url = format!("unix:{}", world.path().join("app.sock").display());
    std::fs::write(
        world.path().join("edge.toml"),
        format!("app-port = [3000, \"80={url}\"]\n"),
    )
    .unwrap();
    let [relay, edge] = network(&world, "--config edge.toml");
    assert_eq!(call(&relay, &edge, 80), (200, "hello".to_owned()));
    let log = std::fs::read_to_string(edge.data().join("log.txt")).unwrap();
    assert!(log.contains(&format!("80 as {url}")), "{log}");
    // `peerwork node` has the same in its table of the role.
    std::fs::create_dir(world.path().join("home")).unwrap();
    let settings = format!("[edge]\nopen = true\nport = [3000, \"80={url}\"]\n");
    std::fs::write(world.path().join("home/peerwork.toml"), settings).unwrap();
    let line = "node check --data-dir home";
    let checked = run(world.path(), line).succeeded();
    for offer in [
        "http://localhost:3000 to every node",
        "as port 80 to every node",
    ] {
        assert!(checked.contains(offer), "{checked}");
    }
    let output = peerwork(world.path())
        .args(line.split(' '))
        .env("PEERWORK_EDGE_PORT", "3000,8443=https://localhost")
        .output();
    let checked = crate::program::Ran::from(output.unwrap()).succeeded();
    let offer = "https://localhost:8443 as port 8443 to every node";
    assert!(checked.contains(offer), "{checked}");
}

#[test]
fn each_wrong_app_is_refused_at_the_start_with_what_to_do() {
    let world = World::new();
    std::fs::write(world.path().join("empty.pem"), "").unwrap();
    for (flags, parts) in [
        ("--edge-port 0", &["`0` is no port (1 to 65535)"][..]),
        ("--edge-port 80=ftp://localhost", &["h2c://localhost:50051"]),
        (
            "--edge-port 80=https://localhost/app",
            &["leave out `/app`"],
        ),
        ("--edge-port 80=unix:app.sock", &["begins with /"]),
        (
            "--edge-port 80=https://192.0.2.1 --edge-port 81=h2c://[2001:db8::1]",
            &[
                "2 settings are wrong",
                "80=https://192.0.2.1:80",
                "81=h2c://[2001:db8::1]:81",
                "run an edge on the machine of the app",
            ],
        ),
        (
            "--edge-port 80 --edge-port 80=https://localhost",
            &["port 80 with different apps"],
        ),
        (
            "--edge-ca empty.pem",
            &["--edge-ca: empty.pem holds no certificate"],
        ),
        (
            "--edge-ca empty.pem --edge-insecure",
            &["--edge-ca and --edge-insecure contradict each other"],
        ),
    ] {
        let line = format!("node --data-dir d --libp2p 127.0.0.1:0 --edge {flags}");
        let ran = run(world.path(), &line);
        assert!(matches!(ran.code, Some(1 | 2)), "{ran:?}");
        for part in parts {
            assert!(
                ran.stderr.contains(part),
                "`{part}` is not in: {}",
                ran.stderr
            );
        }
    }
}

#[test]
fn an_edge_warns_when_all_its_apps_are_on_another_machine() {
    let world = World::new();
    for (name, url, warns) in [
        ("other", "http://192.0.2.1", true),
        ("own", "http://127.0.0.1", false),
    ] {
        let line = format!("node --data-dir {name} --libp2p 127.0.0.1:0 --edge --edge-url {url}");
        let edge = world.start(name, &line);
        let log = std::fs::read_to_string(edge.data().join("log.txt")).unwrap();
        let warning = "--edge-url names another machine";
        assert_eq!(log.contains(warning), warns, "{log}");
    }
}

/// Starts the gRPC server of `grpc_peer.py`; gives its port.
fn grpc_server(python: &OsString, script: &Path) -> (Running, u16) {
    let mut server = Command::new(python)
        .arg(script)
        .arg("serve")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let output = server.stdout.take().unwrap();
    BufReader::new(output).read_line(&mut line).unwrap();
    (Running(server), line.trim().parse().unwrap())
}

#[test]
fn a_grpc_client_and_server_of_python_talk_through_relay_and_edge() {
    let Some(python) = std::env::var_os("PEERWORK_TEST_PYTHON") else {
        // `cargo xtask test` sets the variable and installs grpcio.
        return;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/grpc_peer.py");
    let (_server, port) = grpc_server(&python, &script);
    let world = World::new();
    let [relay, edge] = network(&world, &format!("--app-port 50051=h2c://127.0.0.1:{port}"));
    // The relay knows the edge once it answers otherwise than by 404.
    call(&relay, &edge, 50051);
    let id = &edge.at.node_id;
    let (_forward, local) = world.forward(&format!("{id}:50051"), "--network edge.json");
    let ways = [
        (relay.at.ingress.unwrap(), format!("/edge/{id}/50051")),
        (local, String::new()),
    ];
    for (at, prefix) in ways {
        let client = Command::new(&python)
            .arg(&script)
            .args(["call", &at.to_string(), &prefix])
            .output()
            .unwrap();
        let output = String::from_utf8_lossy(&client.stdout);
        assert_eq!(output, "passed\n", "{prefix}: {client:?}");
    }
}
