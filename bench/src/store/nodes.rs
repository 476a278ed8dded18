//! Two nodes on loopback: one serves its store, the other fetches.

use std::path::{Path, PathBuf};

use super::adding::text;
use crate::{
    children::{Process, output},
    topology::free_port,
};

/// A running node with its data directory.
pub(super) struct Node {
    pub(super) data_dir: String,
    _process: Process,
}

/// The node that serves, as a relay, so that others learn of it, and the network file that names it.
pub(super) fn server(program: &Path, folder: &Path) -> anyhow::Result<(Node, PathBuf)> {
    let data = folder.join("server");
    let data_dir = text(&data);
    output(program, &["secrets", "init", "--data-dir", &data_dir])?;
    let id = ["secrets", "output", "--data-dir", &data_dir, "--node-id"];
    let id = output(program, &id)?;
    let port = free_port()?;
    let address = format!("/ip4/127.0.0.1/tcp/{port}/p2p/{id}");
    let network = folder.join("network.json");
    let file = text(&network);
    let genesis = [
        "genesis",
        "--network-id",
        "78",
        "--name",
        "bench",
        "--dir",
        &file,
    ];
    let entries = ["--bootnode", &address, "--relaynode", &address];
    output(program, &[&genesis[..], &entries[..]].concat())?;
    let at = format!("127.0.0.1:{port}");
    let more = [
        "--libp2p",
        &at,
        "--relay",
        "--relay-ingress",
        "off",
        "--store",
    ];
    let node = start("server", program, &data, &network, &more)?;
    Ok((node, network))
}

/// The node that fetches, in a fresh data directory.
pub(super) fn client(program: &Path, data: &Path, network: &Path) -> anyhow::Result<Node> {
    start("client", program, data, network, &["--libp2p", "off"])
}

fn start(
    name: &'static str,
    program: &Path,
    data: &Path,
    network: &Path,
    more: &[&str],
) -> anyhow::Result<Node> {
    let data_dir = text(data);
    let file = text(network);
    let mut arguments = vec![
        "node",
        "--json",
        "--data-dir",
        &data_dir,
        "--network",
        &file,
    ];
    arguments.extend(["--grpc-address", "127.0.0.1:0", "--log-level", "warn"]);
    arguments.extend(["--no-quic", "--store-max", "100GB"]);
    arguments.extend(more);
    let arguments: Vec<String> = arguments.into_iter().map(String::from).collect();
    let mut process = Process::start(name, program, &arguments)?;
    // The first line of a node's output says that it runs.
    process.line_after("")?;
    Ok(Node {
        data_dir,
        _process: process,
    })
}
