//! The routes to the web app, as processes on loopback.

use std::{
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use tempfile::TempDir;

use crate::{
    children::{Process, output},
    load::{Target, connect, echo},
    tls,
};

/// A free port of loopback.
const ANY: &str = "127.0.0.1:0";
const READY_DEADLINE: Duration = Duration::from_secs(30);

/// The route that all others are compared with.
pub(crate) const PROXY: &str = "plain hyper proxy";
/// The route with as many processes as relay → edge.
pub(crate) const CHAIN: &str = "two chained proxies";

/// A route, and the processes that its requests pass.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) name: &'static str,
    pub(crate) target: Target,
    pub(crate) through: Vec<&'static str>,
}

/// All routes and their processes.
pub(crate) struct Routes {
    pub(crate) routes: Vec<Route>,
    pub(crate) processes: Vec<Process>,
    _folder: TempDir,
}

/// A free port; a start fails when another process binds the port first.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// A relay process with its P2P address and the address of its ingress.
pub(crate) struct Relay {
    pub(crate) process: Process,
    pub(crate) address: String,
    pub(crate) ingress: SocketAddr,
}

/// The reach of a relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Open {
    /// Every node that learns of the relay can connect to it.
    ToAll,
    /// The relay listens on no address; it connects to other relays itself. An announced address that
    /// nobody answers at is not enough: identify tells the real one, and edges connect to it.
    ToRelaysOnly,
}

/// Starts a relay; `bootnode` is the address of another relay, or `None`.
pub(crate) fn relay(
    name: &'static str,
    program: &Path,
    folder: &Path,
    bootnode: Option<&str>,
    open: Open,
) -> anyhow::Result<Relay> {
    let (data, node) = identity(program, folder, name)?;
    let (p2p, ingress) = (free_port()?, free_port()?);
    let address = format!("/ip4/127.0.0.1/tcp/{p2p}/p2p/{node}");
    let network = network_file(
        program,
        folder,
        name,
        "--bootnode",
        bootnode.unwrap_or(&address),
    )?;
    let mut arguments = server(&network, &data);
    arguments.extend(
        [
            "--libp2p",
            &match open {
                Open::ToAll => format!("127.0.0.1:{p2p}"),
                Open::ToRelaysOnly => "off".to_owned(),
            },
            "--relay-libp2p",
            "off",
            "--max-reservations",
            "1000000",
            "--jsonrpc",
            "127.0.0.1:0",
            "--trans-proxy",
            &format!("127.0.0.1:{ingress}"),
        ]
        .map(String::from),
    );
    Ok(Relay {
        process: Process::start(name, program, &arguments)?,
        address,
        ingress: ([127, 0, 0, 1], ingress).into(),
    })
}

fn server(network: &Path, data: &Path) -> Vec<String> {
    let mut arguments = vec!["server".to_owned()];
    for (flag, value) in [("--network", network), ("--data-dir", data)] {
        arguments.push(flag.to_owned());
        arguments.push(value.display().to_string());
    }
    let quiet = ["--log-level", "warn", "--grpc-address", "127.0.0.1:0"];
    let open = [
        "--app-no-auth",
        "--app-no-agent",
        "--no-discover",
        "--no-quic",
    ];
    arguments.extend(quiet.iter().chain(&open).map(ToString::to_string));
    // A direct connection beside the circuit would be used in its place.
    arguments.push("--no-hole-punching".to_owned());
    arguments
}

fn identity(program: &Path, folder: &Path, name: &str) -> anyhow::Result<(PathBuf, String)> {
    let data = folder.join(name.replace(' ', "-"));
    let path = data.display().to_string();
    output(program, &["secrets", "init", "--data-dir", &path])?;
    let node = output(
        program,
        &["secrets", "output", "--data-dir", &path, "--node-id"],
    )?;
    Ok((data, node))
}

fn network_file(
    program: &Path,
    folder: &Path,
    name: &str,
    flag: &str,
    address: &str,
) -> anyhow::Result<PathBuf> {
    let file = folder.join(format!("{}.json", name.replace(' ', "-")));
    let path = file.display().to_string();
    let arguments = [
        "genesis",
        "--network-id",
        "77",
        "--name",
        "bench",
        "--dir",
        &path,
        flag,
        address,
    ];
    output(program, &arguments)?;
    Ok(file)
}

/// Starts an edge that holds a place at `relay` and listens nowhere; gives its node id.
fn edge(
    name: &'static str,
    program: &Path,
    folder: &Path,
    relay: &str,
    app_port: u16,
) -> anyhow::Result<(Process, String)> {
    let (data, node) = identity(program, folder, name)?;
    let network = network_file(program, folder, name, "--relaynode", relay)?;
    let mut arguments = server(&network, &data);
    arguments.extend(
        [
            "--running-mode",
            "edge",
            "--relay-on",
            "--libp2p",
            "off",
            "--app-url",
            "http://127.0.0.1",
            "--app-default-port",
            &app_port.to_string(),
        ]
        .map(String::from),
    );
    Ok((Process::start(name, program, &arguments)?, node))
}

impl Routes {
    /// Starts all processes and waits until each route answers.
    pub(crate) async fn start(program: &Path) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let own = std::env::current_exe()?;
        let mut app = Process::start("web app", &own, &["app".to_owned(), ANY.to_owned()])?;
        let app_at: SocketAddr = app.line_after("")?.parse()?;
        let (proxies, mut routes) = proxies(&own, folder.path(), app_at)?;

        let b = relay("relay B", program, folder.path(), None, Open::ToAll)?;
        // The edge cannot reach relay A, so relay A's only connection to the edge is a circuit through B.
        let only = Open::ToRelaysOnly;
        let a = relay("relay A", program, folder.path(), Some(&b.address), only)?;
        let (edge, node) = edge("edge", program, folder.path(), &b.address, app_at.port())?;
        let prefix = format!("/edge/{node}/{}", app_at.port());
        let circuit = "relay A → relay B → edge (circuit)";
        routes.insert(0, route("web app directly", app_at, "", &[]));
        routes.extend([
            route("relay → edge", b.ingress, &prefix, &["relay B", "edge"]),
            route(circuit, a.ingress, &prefix, &["relay A", "relay B", "edge"]),
        ]);
        for route in &routes {
            answers(&route.target).await.with_context(|| route.name)?;
        }
        let mut processes = vec![edge, a.process, b.process];
        processes.extend(proxies);
        processes.push(app);
        Ok(Self {
            routes,
            processes,
            _folder: folder,
        })
    }

    pub(crate) fn process(&self, name: &str) -> Option<&Process> {
        self.processes.iter().find(|process| process.name == name)
    }
}

/// Starts the proxies: one alone, two in a chain, and two with TLS between them.
fn proxies(
    own: &Path,
    folder: &Path,
    app: SocketAddr,
) -> anyhow::Result<(Vec<Process>, Vec<Route>)> {
    tls::write_certificate(folder)?;
    let certificate = folder.display().to_string();
    let (tls_in, tls_out) = (["--tls-in", &certificate], ["--tls-out", &certificate]);
    let (alone, alone_at) = proxy("proxy", own, app, &[])?;
    let (second, second_at) = proxy("proxy 2", own, app, &[])?;
    let (first, first_at) = proxy("proxy 1", own, second_at, &[])?;
    let (tls_second, tls_second_at) = proxy("TLS proxy 2", own, app, &tls_in)?;
    let (tls_first, tls_first_at) = proxy("TLS proxy 1", own, tls_second_at, &tls_out)?;
    let with_tls = "two chained proxies, TLS between";
    let routes = vec![
        route(PROXY, alone_at, "", &["proxy"]),
        route(CHAIN, first_at, "", &["proxy 1", "proxy 2"]),
        route(with_tls, tls_first_at, "", &["TLS proxy 1", "TLS proxy 2"]),
    ];
    Ok((vec![alone, first, second, tls_first, tls_second], routes))
}

/// Starts a proxy in front of `upstream`; gives its address.
fn proxy(
    name: &'static str,
    own: &Path,
    upstream: SocketAddr,
    flags: &[&str],
) -> anyhow::Result<(Process, SocketAddr)> {
    let upstream = upstream.to_string();
    let mut arguments = vec!["proxy", ANY, &upstream];
    arguments.extend(flags);
    let arguments: Vec<String> = arguments.into_iter().map(String::from).collect();
    let mut process = Process::start(name, own, &arguments)?;
    let address = process.line_after("")?.parse()?;
    Ok((process, address))
}

fn route(name: &'static str, at: SocketAddr, prefix: &str, through: &[&'static str]) -> Route {
    Route {
        name,
        target: Target {
            host: at.to_string(),
            prefix: prefix.to_owned(),
        },
        through: through.to_vec(),
    }
}

async fn answers(target: &Target) -> anyhow::Result<()> {
    let start = Instant::now();
    loop {
        let once = async {
            let mut sender = connect(target).await?;
            echo(&mut sender, target).await
        };
        match once.await {
            Ok(()) => return Ok(()),
            Err(error) if start.elapsed() > READY_DEADLINE => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}
