//! Redirects and cookies of apps that nobody here wrote (Flask, Python's http.server) reach curl under the
//! path prefix.

use std::process::Stdio;

use peerwork_net::Network;
use peerwork_tunnel::{Edge, edge, ingress::AppPaths, routes::Found};
use prometheus_client::registry::Registry;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

use crate::{
    secure::certificate,
    world::{SOON, Setup, World, network},
};

/// A second node with an edge for a port, known to the relay of a world.
struct Second {
    network: Network,
    _edge: Edge,
}

impl Second {
    async fn start(world: &World, port: u16) -> Self {
        let network = network().await;
        let config = edge::Config::new("127.0.0.1", [port]);
        let edge = Edge::start(config, &network, &mut Registry::default()).unwrap();
        let found = Found {
            addresses: network.listen_addresses().borrow().clone(),
            requires_key: false,
        };
        world.known.insert(network.node_id(), found);
        Self {
            network,
            _edge: edge,
        }
    }

    fn path(&self, port: u16, of_app: &str) -> String {
        format!("/edge/{}/{port}{of_app}", self.network.node_id())
    }
}

/// A world whose ingress speaks TLS too, by which curl chooses HTTP/2, with a certificate in `folder`.
async fn world(folder: &TempDir, change: impl FnOnce(&mut Setup)) -> World {
    let files = certificate(folder);
    World::with(|setup| {
        setup.ingress.http.preamble.tls = Some(files);
        change(setup);
    })
    .await
}

/// Calls with curl that follow redirects and share a cookie jar.
struct Curl<'a> {
    world: &'a World,
    folder: &'a TempDir,
    jar: TempDir,
    scheme: &'static str,
}

/// The schemes by which curl calls: over https it speaks HTTP/2.
const SCHEMES: [&str; 2] = ["http", "https"];

impl<'a> Curl<'a> {
    fn new(world: &'a World, folder: &'a TempDir, scheme: &'static str) -> Self {
        Self {
            world,
            folder,
            jar: tempfile::tempdir().unwrap(),
            scheme,
        }
    }

    /// The last answer's body, and its status, version and URL in a line behind.
    async fn call(&self, path: &str, more: &[&str]) -> String {
        let jar = self.jar.path().join("jar");
        let port = self.world.address().port();
        let output = Command::new("curl")
            .args(["-sS", "-4", "--location", "--max-redirs", "5"])
            .args(["--max-time", "20", "--cacert"])
            .arg(self.folder.path().join("cert.pem"))
            .args(["-w", "\n%{http_code} %{http_version} %{url_effective}"])
            .arg("--cookie-jar")
            .arg(&jar)
            .arg("--cookie")
            .arg(&jar)
            .args(more)
            .arg(format!("{}://localhost:{port}{path}", self.scheme))
            .output()
            .await
            .expect("curl is installed by cargo xtask test");
        assert!(output.status.success(), "{output:?}");
        let answer = String::from_utf8(output.stdout).unwrap();
        let version = if self.scheme == "https" { "2" } else { "1.1" };
        assert!(
            answer.contains(&format!(" {version} {}:", self.scheme)),
            "{answer}"
        );
        answer
    }
}

#[tokio::test]
async fn curl_follows_redirects_and_sends_cookies_to_the_app_that_set_them_alone() {
    let folder = tempfile::tempdir().unwrap();
    let world = world(&folder, |_| ()).await;
    let second = Second::start(&world, world.port).await;
    for scheme in SCHEMES {
        let curl = Curl::new(&world, &folder, scheme);
        let answer = curl.call(&world.path("/cookies"), &[]).await;
        assert!(answer.starts_with("two\n200 "), "{answer}");
        let own = curl.call(&world.path("/redirect?/headers"), &[]).await;
        assert!(own.contains("cookie: a=1; b=2\n"), "{own}");
        assert!(own.ends_with(&world.path("/headers")), "{own}");
        let path = second.path(world.port, "/headers");
        let other = curl.call(&path, &[]).await;
        assert!(
            other.contains("\n200 ") && !other.contains("cookie"),
            "{other}"
        );
    }
}

#[tokio::test]
async fn where_the_operator_keeps_paths_cookies_reach_other_nodes_and_redirects_end_at_the_relay() {
    let folder = tempfile::tempdir().unwrap();
    let world = world(&folder, |setup| setup.ingress.app_paths = AppPaths::Kept).await;
    let second = Second::start(&world, world.port).await;
    let curl = Curl::new(&world, &folder, "http");
    curl.call(&world.path("/cookies"), &[]).await;
    let path = second.path(world.port, "/headers");
    let other = curl.call(&path, &[]).await;
    assert!(other.contains("cookie: a=1; b=2\n"), "{other}");
    let lost = curl.call(&world.path("/redirect?/headers"), &[]).await;
    assert!(lost.contains("\n404 "), "{lost}");
}

/// A process that prints the port that it serves, at the end of a line or before a blank.
async fn serving(command: &mut Command) -> (Child, u16) {
    command.kill_on_drop(true).stderr(Stdio::null());
    let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(process.stdout.take().unwrap());
    let mut line = String::new();
    let read = timeout(SOON, output.read_line(&mut line)).await;
    read.unwrap().unwrap();
    let port = line.split_whitespace().find_map(|word| word.parse().ok());
    (process, port.expect(&line))
}

/// The Python with the packages of `xtask/requirements.txt`; `None` outside of `cargo xtask test`.
fn python() -> Option<Command> {
    std::env::var_os("PEERWORK_TEST_PYTHON").map(Command::new)
}

#[tokio::test]
async fn a_folder_of_pythons_http_server_is_reached_without_the_slash_behind_it() {
    let Some(mut python) = python() else {
        return;
    };
    let site = tempfile::tempdir().unwrap();
    std::fs::create_dir(site.path().join("folder")).unwrap();
    std::fs::write(site.path().join("folder/index.html"), "the folder").unwrap();
    let server = ["-u", "-m", "http.server", "--bind", "127.0.0.1", "0"];
    let (_server, port) = serving(python.args(server).current_dir(site.path())).await;
    let folder = tempfile::tempdir().unwrap();
    let world = world(&folder, |setup| setup.edge.ports = [port].into()).await;
    let path = format!("/edge/{}/{port}/folder", world.node());
    for scheme in SCHEMES {
        let answer = Curl::new(&world, &folder, scheme).call(&path, &[]).await;
        assert!(answer.starts_with("the folder\n200 "), "{answer}");
        assert!(answer.ends_with(&format!("{path}/")), "{answer}");
    }
}

/// Logs in to a Flask app at one node, and then calls it at that node and at another.
async fn log_in(proxied: &[&str]) {
    let Some(mut python) = python() else {
        return;
    };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/login.py");
    let (_app, port) = serving(python.arg(script).args(proxied)).await;
    let folder = tempfile::tempdir().unwrap();
    let world = world(&folder, |setup| setup.edge.ports = [port].into()).await;
    let second = Second::start(&world, port).await;
    let prefix = format!("/edge/{}/{port}", world.node());
    for scheme in SCHEMES {
        let curl = Curl::new(&world, &folder, scheme);
        let asked = curl.call(&prefix, &[]).await;
        assert!(asked.starts_with("log in\n200 "), "{proxied:?} {asked}");
        assert!(asked.ends_with(&format!("{prefix}/login")), "{asked}");
        for login in ["/login", "/login?external"] {
            let login = format!("{prefix}{login}");
            let home = curl.call(&login, &["--data", "user=alice"]).await;
            assert!(home.starts_with("hello alice\n200 "), "{proxied:?} {home}");
            assert!(home.ends_with(&format!("{prefix}/")), "{home}");
        }
        // The app behind the other node would read the same session.
        let other = curl.call(&second.path(port, "/"), &[]).await;
        assert!(other.starts_with("log in\n200 "), "{proxied:?} {other}");
    }
}

#[tokio::test]
async fn a_login_of_flask_works_under_the_prefix_and_at_one_node_alone() {
    log_in(&[]).await;
}

#[tokio::test]
async fn a_login_of_flask_that_reads_the_forwarding_headers_gets_no_prefix_twice() {
    log_in(&["proxied"]).await;
}
