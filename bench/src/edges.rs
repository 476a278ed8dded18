//! The memory of a relay for each edge, from its memory before and after many edges registered.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use peerwork::{Config, Node, config::Edge};
use peerwork_identity::{KeyType, Keypair, NetworkFile};

use crate::{
    children::Process,
    topology::{Open, Relay, relay},
};

const DEADLINE: Duration = Duration::from_secs(300);

/// Starts a relay and many edges in another process, and compares the relay's memory.
pub(crate) async fn measure(program: &Path, count: usize) -> anyhow::Result<String> {
    let folder = tempfile::tempdir()?;
    let Relay {
        process, address, ..
    } = relay("relay", program, folder.path(), None, Open::ToAll)?;
    let network = folder.path().join("edges.json");
    let file = NetworkFile {
        name: "bench".to_owned(),
        network_id: 77,
        bootnodes: Vec::new(),
        relaynodes: vec![address.parse()?],
        secrets: Vec::new(),
    };
    file.create_new(&network)?;
    process.settle().await?;
    let before = process.usage()?.resident_kib;
    let own = std::env::current_exe()?;
    let arguments = [
        "edges".to_owned(),
        network.display().to_string(),
        count.to_string(),
    ];
    let start = Instant::now();
    let mut edges = Process::start("edges", &own, &arguments)?;
    let ready = tokio::task::spawn_blocking(move || {
        let line = edges.line_after("");
        line.map(|line| (edges, line))
    });
    let (edges, line) = ready.await.context("waiting for the edges")??;
    anyhow::ensure!(
        line == "ready",
        "the edges did not get their places: {line}"
    );
    let took = start.elapsed();
    process.settle().await?;
    let after = process.usage()?.resident_kib;
    drop(edges);
    let each = after.saturating_sub(before) as f64 / count.max(1) as f64;
    Ok(format!(
        "{count} edges at one relay: {each:.0} KiB each ({:.0} MiB before, {:.0} MiB after), \
         all registered after {:.1} s.",
        before as f64 / 1024.0,
        after as f64 / 1024.0,
        took.as_secs_f64()
    ))
}

/// The child process: holds `count` edges, prints `ready` once all have a place, and stays.
pub(crate) async fn hold(network: &Path, count: usize) -> anyhow::Result<()> {
    let network = NetworkFile::load(network)?;
    let mut nodes = Vec::new();
    for _ in 0..count {
        nodes.push(Node::start(edge(network.clone())).await?);
    }
    let start = Instant::now();
    for node in &nodes {
        let mut held = node.directory().reservations();
        let left = DEADLINE.saturating_sub(start.elapsed());
        tokio::time::timeout(left, held.wait_for(|held| !held.is_empty()))
            .await
            .context("an edge got no place")??;
    }
    crate::say::line("ready")?;
    std::future::pending().await
}

fn edge(network: NetworkFile) -> Config {
    let mut config = Config::new(Keypair::generate(KeyType::default()), network, "bench");
    config.directory.keep_reservations = true;
    let mut edge = Edge::new("127.0.0.1", [9527]);
    edge.auth = false;
    config.edge = Some(edge);
    config
}
