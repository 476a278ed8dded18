//! The answer of `peerwork join`: the network, and each relay with what the dial found.

use peerwork::{
    join::{Trial, Tried},
    runtime_file::RuntimeFile,
};
use peerwork_identity::NetworkFile;
use peerwork_net::error::DialError;
use serde::Serialize;

use crate::cli::{
    files::flag,
    network_file::path_in,
    output::{Answer, block},
    settings::Resolved,
};

/// A joined network.
#[derive(Serialize)]
pub(super) struct Joined {
    network: String,
    network_id: i64,
    file: String,
    node_id: String,
    /// Whether the data directory was of no network before.
    is_new: bool,
    relays: Vec<Relay>,
    /// The number of nodes in a relay's directory.
    nodes: Option<usize>,
    /// Whether the node of the data directory runs.
    runs: bool,
    /// The command that starts a node.
    next: String,
}

/// A relay of the ticket.
#[derive(Serialize)]
struct Relay {
    node_id: String,
    addresses: Vec<String>,
    found: Found,
    /// The reason where the relay was not reached.
    reason: Option<String>,
}

/// The outcome of a dial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Found {
    Reachable,
    Refused,
    Unreachable,
}

impl Found {
    fn word(self) -> &'static str {
        match self {
            Self::Reachable => "reachable",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
        }
    }
}

impl From<&Tried> for Relay {
    fn from(tried: &Tried) -> Self {
        let (found, reason) = match &tried.outcome {
            Ok(()) => (Found::Reachable, None),
            Err(error @ DialError::Refused(_)) => (Found::Refused, Some(error.to_string())),
            Err(error) => (Found::Unreachable, Some(error.to_string())),
        };
        Self {
            node_id: tried.relay.to_string(),
            addresses: tried.addresses.iter().map(ToString::to_string).collect(),
            found,
            reason,
        }
    }
}

impl Joined {
    pub(super) fn of(
        file: &NetworkFile,
        resolved: &Resolved,
        node_id: String,
        is_new: bool,
        trial: &Trial,
    ) -> Self {
        let data_dir = match resolved.data_dir_is_default {
            true => String::new(),
            false => format!(" {}", flag("--data-dir", &resolved.data_dir)),
        };
        Self {
            network: file.name.clone(),
            network_id: file.network_id,
            file: path_in(&resolved.data_dir).display().to_string(),
            node_id,
            is_new,
            relays: trial.relays.iter().map(Relay::from).collect(),
            nodes: trial.nodes,
            runs: RuntimeFile::runs(&resolved.data_dir),
            next: format!("peerwork node{data_dir}"),
        }
    }

    /// Whether any relay was reached.
    pub(super) fn reaches_any(&self) -> bool {
        self.relays
            .iter()
            .any(|relay| relay.found == Found::Reachable)
    }
}

impl Answer for Joined {
    fn text(&self) -> String {
        let mut rows = vec![
            ("Network", format!("{} ({})", self.network, self.network_id)),
            ("Network file", self.file.clone()),
            ("Node ID", self.node_id.clone()),
        ];
        for relay in &self.relays {
            let at = relay.addresses.join(" ");
            let mut text = format!("{}: {} at {at}", relay.found.word(), relay.node_id);
            if let Some(reason) = &relay.reason {
                text += &format!(" ({})", reason.replace('\n', " "));
            }
            rows.push(("Relay", text));
        }
        rows.push((
            "Nodes in the network",
            match self.nodes {
                Some(nodes) => nodes.to_string(),
                None => "unknown: no relay told them".to_owned(),
            },
        ));
        rows.push(match self.runs {
            true => (
                "Running node",
                "takes the secret within seconds, and new relays at its next start".to_owned(),
            ),
            false => ("Start a node", self.next.clone()),
        });
        let heading = match self.is_new {
            true => "JOINED",
            false => "JOINED AGAIN",
        };
        block(heading, &rows)
    }
}
