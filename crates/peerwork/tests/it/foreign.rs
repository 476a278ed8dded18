//! Tests with independent clients: ssh, a browser, grpcurl.
//!
//! `cargo xtask test` installs them. A test whose client is missing does nothing.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::network::{World, echo_succeeds, eventually};

fn found(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    let mut files = folders.map(|folder| folder.join(program));
    files.find(|file| file.is_file())
}

#[cfg(unix)]
fn make(dir: &Path, program: &str, arguments: &[&str]) {
    let output = Command::new(program)
        .current_dir(dir)
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// Starts an sshd for each connection to a free port, which accepts `key`; returns the port.
#[cfg(unix)]
fn sshd(dir: &Path, program: PathBuf) -> u16 {
    use std::os::fd::OwnedFd;
    make(
        dir,
        "ssh-keygen",
        &["-q", "-t", "ed25519", "-N", "", "-f", "host_key"],
    );
    make(
        dir,
        "ssh-keygen",
        &["-q", "-t", "ed25519", "-N", "", "-f", "key"],
    );
    // Debian's sshd demands this folder even when it does not use it.
    let _ = std::fs::create_dir_all("/run/sshd");
    let dir = dir.display();
    let config = format!(
        "HostKey {dir}/host_key\nPidFile none\nAuthorizedKeysFile {dir}/key.pub\n\
         StrictModes no\nUsePAM no\nPermitRootLogin yes\n"
    );
    let file = format!("{dir}/sshd_config");
    std::fs::write(&file, config).unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let output = stream.try_clone().unwrap();
            let served = Command::new(&program)
                .args(["-i", "-f", &file])
                .stdin(OwnedFd::from(stream))
                .stdout(OwnedFd::from(output))
                .stderr(Stdio::null())
                .status();
            assert!(served.is_ok(), "{served:?}");
        }
    });
    port
}

#[cfg(unix)]
#[test]
fn ssh_works_through_forward() {
    let (Some(sshd_program), Some(ssh)) = (found("sshd"), found("ssh")) else {
        return;
    };
    let world = World::new();
    let port = sshd(world.path(), sshd_program);
    let relay = world.relay("node_1", &[], "--app-no-auth");
    let edge = world.edge("edge_1", &[relay.p2p()], port, "--app-no-auth");
    let target = format!("{}:{port}", edge.at.node_id);
    let (_forward, local) = world.forward(&target, "--network edge_1.json");
    let local_port = local.port();
    let output = eventually("ssh to get in", || {
        let output = Command::new(&ssh)
            .current_dir(world.path())
            .args(["-p", &local_port.to_string(), "-i", "key", "-F", "none"])
            .args([
                "-o",
                "StrictHostKeyChecking=no",
                "-o",
                "UserKnownHostsFile=/dev/null",
            ])
            .args([
                "-o",
                "BatchMode=yes",
                "-o",
                "LogLevel=ERROR",
                "127.0.0.1",
                "echo through",
            ])
            .output()
            .unwrap();
        output.status.success().then_some(output.stdout)
    });
    assert_eq!(output, b"through\n");
}

#[test]
fn home_opens_in_a_browser_through_the_relay() {
    let Some(browser) = found("chromium").or_else(|| found("chromium-browser")) else {
        return;
    };
    let world = World::new();
    let (_app, port) = world.webapp();
    let relay = world.relay("node_1", &[], "--app-no-auth");
    let edge = world.edge("edge_1", &[relay.p2p()], port, "--app-no-auth");
    echo_succeeds(&relay, &edge.at.node_id, port);
    let at = relay.at.ingress.unwrap();
    let url = format!("http://{at}/edge/{}/{port}/home", edge.at.node_id);
    let profile = format!("--user-data-dir={}/profile", world.path().display());
    let output = Command::new(browser)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
        ])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ])
        .args([&profile, "--dump-dom", &url])
        .stderr(Stdio::null())
        .output()
        .unwrap();
    let page = String::from_utf8_lossy(&output.stdout);
    assert!(page.contains("<h1"), "{page}");
    assert!(page.contains("Peerwork"), "{page}");
}

#[test]
fn grpcurl_finds_the_operator_api_by_reflection() {
    let tools = std::env::var_os("PEERWORK_TEST_TOOLS").map(PathBuf::from);
    let Some(grpcurl) = tools
        .map(|tools| tools.join("bin/grpcurl"))
        .filter(|g| g.is_file())
    else {
        return;
    };
    let world = World::new();
    let relay = world.relay("node_1", &[], "--app-no-auth");
    let at = relay.at.grpc.unwrap().to_string();
    let ask = |arguments: &[&str]| {
        let output = Command::new(&grpcurl)
            .arg("-plaintext")
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(ask(&[&at, "list"]).contains("v1.System"));
    let status = ask(&[&at, "v1.System/GetStatus"]);
    assert!(status.contains(&relay.at.node_id), "{status}");
    let health = ask(&[&at, "grpc.health.v1.Health/Check"]);
    assert!(health.contains("SERVING"), "{health}");
}
