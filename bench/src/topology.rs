//! The four ways to the web app, as processes on loopback.

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
};

const READY_DEADLINE: Duration = Duration::from_secs(30);

/// One way, and the processes that its requests pass.
#[derive(Debug)]
pub(crate) struct Way {
    pub(crate) name: &'static str,
    pub(crate) target: Target,
    pub(crate) through: Vec<&'static str>,
}

/// All ways and their processes.
pub(crate) struct Ways {
    pub(crate) ways: Vec<Way>,
    pub(crate) processes: Vec<Process>,
    _folder: TempDir,
}

/// A free port; the next one to bind it may be somebody else, which the start then tells.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// A relay process, where it is reached, and where its ingress is.
pub(crate) struct Relay {
    pub(crate) process: Process,
    pub(crate) address: String,
    pub(crate) ingress: SocketAddr,
}

/// Who can connect to a relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Open {
    /// Everybody who learns of it.
    ToAll,
    /// Nobody: it connects to others itself.
    ToRelaysOnly,
}

/// Starts a relay; `bootnode` is another relay's address or nothing.
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
            &format!("127.0.0.1:{p2p}"),
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
    if open == Open::ToRelaysOnly {
        // An edge that learns of this relay cannot connect to it.
        arguments.extend(["--announce", "/ip4/127.0.0.1/tcp/1"].map(String::from));
    }
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

impl Ways {
    /// Starts everything and waits until each way answers.
    pub(crate) async fn start(program: &Path) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let own = std::env::current_exe()?;
        let any = "127.0.0.1:0".to_owned();
        let mut app = Process::start("web app", &own, &["app".to_owned(), any.clone()])?;
        let app_at: SocketAddr = app.line_after("")?.parse()?;
        let proxy = ["proxy".to_owned(), any, app_at.to_string()];
        let mut proxy = Process::start("proxy", &own, &proxy)?;
        let proxy_at: SocketAddr = proxy.line_after("")?.parse()?;

        let b = relay("relay B", program, folder.path(), None, Open::ToAll)?;
        // The edge cannot reach relay A, so relay A's only way to the edge is a circuit through B.
        let only = Open::ToRelaysOnly;
        let a = relay("relay A", program, folder.path(), Some(&b.address), only)?;
        let (edge, node) = edge("edge", program, folder.path(), &b.address, app_at.port())?;
        let prefix = format!("/edge/{node}/{}", app_at.port());
        let ways = vec![
            way("web app directly", app_at, "", &[]),
            way("plain hyper proxy", proxy_at, "", &["proxy"]),
            way("relay → edge", b.ingress, &prefix, &["relay B", "edge"]),
            way(
                "relay A → relay B → edge (circuit)",
                a.ingress,
                &prefix,
                &["relay A", "relay B", "edge"],
            ),
        ];
        for way in &ways {
            answers(&way.target).await.with_context(|| way.name)?;
        }
        Ok(Self {
            ways,
            processes: vec![edge, a.process, b.process, proxy, app],
            _folder: folder,
        })
    }

    pub(crate) fn process(&self, name: &str) -> Option<&Process> {
        self.processes.iter().find(|process| process.name == name)
    }
}

fn way(name: &'static str, at: SocketAddr, prefix: &str, through: &[&'static str]) -> Way {
    Way {
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
