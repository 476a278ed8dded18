//! The relays that are measured, as processes on loopback.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use libp2p::{Multiaddr, multiaddr::Protocol as Part};
use tempfile::TempDir;

use crate::children::Process;

/// The kind of a measured relay.
#[derive(Debug, Clone)]
pub(super) enum Kind {
    /// The `peerwork` program.
    Peerwork(PathBuf),
    /// The folder of `relay.mjs` and its packages.
    Js(PathBuf),
}

/// A running relay.
pub(super) struct Subject {
    pub(super) process: Process,
    pub(super) address: Multiaddr,
    _folder: TempDir,
}

impl Kind {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Peerwork(_) => "peerwork",
            Self::Js(_) => "js-libp2p",
        }
    }

    /// Starts a relay whose limits are all above the load.
    pub(super) fn start(&self) -> anyhow::Result<Subject> {
        let folder = tempfile::tempdir()?;
        let process = match self {
            Self::Peerwork(program) => peerwork(program, folder.path()),
            Self::Js(scripts) => js(scripts),
        };
        let mut process = process.with_context(|| format!("starting the {} relay", self.name()))?;
        let prefix = match self {
            Self::Peerwork(_) => "For programs: ",
            Self::Js(_) => "",
        };
        let address: Multiaddr = process.line_after(prefix)?.parse()?;
        let address = address
            .into_iter()
            .filter(|part| !matches!(part, Part::P2p(_)))
            .collect();
        Ok(Subject {
            process,
            address,
            _folder: folder,
        })
    }
}

fn peerwork(program: &Path, folder: &Path) -> anyhow::Result<Process> {
    let data = folder.display().to_string();
    let arguments = [
        "relay",
        "--data-dir",
        &data,
        "--log-level",
        "warn",
        "--grpc-address",
        "127.0.0.1:0",
        "--websocket",
        "127.0.0.1:0",
        "--tcp",
        "127.0.0.1:0",
        "--max-connections",
        "20000",
        "--max-reservations",
        "20000",
        "--circuit-bytes",
        "0",
        "--circuit-duration",
        "0s",
        "--topic",
        "bench",
        "--messages-per-second",
        "1000000",
        "--topic-messages-per-second",
        "1000000",
    ];
    Process::start("peerwork", program, &arguments.map(String::from))
}

fn js(scripts: &Path) -> anyhow::Result<Process> {
    let script = |name: &str| scripts.join(name).display().to_string();
    let arguments = [
        "--import".to_owned(),
        script("node20.mjs"),
        script("relay.mjs"),
    ];
    Process::start("js-libp2p", Path::new("node"), &arguments)
}
