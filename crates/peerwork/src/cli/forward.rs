//! `peerwork forward`: a local TCP port that is a port of a node.

use std::{net::SocketAddr, path::PathBuf};

use clap::Args;
use peerwork_identity::NodeId;
use serde::Serialize;

use super::{
    output::{Answer, Form},
    settings::Resolved,
    values::socket_address,
};

/// `peerwork forward`
#[derive(Args, Debug)]
pub(crate) struct ForwardFlags {
    /// Where to listen on this machine: HOST:PORT, or PORT alone for 127.0.0.1
    #[arg(value_name = "LOCAL", value_parser = local)]
    local: SocketAddr,
    /// The port to reach: NODE:PORT
    #[arg(value_name = "NODE:PORT", value_parser = target)]
    target: Target,
    /// The network file to join by; without it, the node of the data directory is asked
    #[arg(long, value_name = "FILE")]
    network: Option<PathBuf>,
    /// The bearer key that the edge demands (`peerwork key create` there)
    #[arg(
        long,
        value_name = "KEY",
        env = "PEERWORK_EDGE_KEY",
        hide_env_values = true
    )]
    edge_key: Option<String>,
}

/// A port of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target {
    node: NodeId,
    port: u16,
}

fn local(text: &str) -> Result<SocketAddr, String> {
    match text.parse::<u16>() {
        Ok(port) => Ok(([127, 0, 0, 1], port).into()),
        Err(_) => socket_address(text),
    }
}

fn target(text: &str) -> Result<Target, String> {
    let (node, port) = text.rsplit_once(':').ok_or("write it like NODE:PORT")?;
    let port = port.parse().ok().filter(|port| *port != 0);
    Ok(Target {
        node: node.parse().map_err(|error| format!("{error}"))?,
        port: port.ok_or("the port is a number from 1 to 65535")?,
    })
}

/// Says where the port is.
#[derive(Serialize)]
struct Forwarding {
    local: SocketAddr,
    node: String,
    port: u16,
}

impl Answer for Forwarding {
    fn text(&self) -> String {
        format!(
            "{} is port {} of {}; Ctrl-C ends it",
            self.local, self.port, self.node
        )
    }
}
