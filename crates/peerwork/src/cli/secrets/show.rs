//! `peerwork secrets output`: prints the node id and the address of a node's keys.

use std::path::Path;

use clap::Args;
use peerwork_identity::{IdentitySummary, SecretName, SecretsDir};
use serde::Serialize;

use super::names::{address_shown, node_id_shown, rows};
use crate::cli::{
    output::{Answer, Form, block},
    settings::Resolved,
};

/// `peerwork secrets output`
#[derive(Args, Debug)]
pub(crate) struct OutputFlags {
    /// Show the node id alone
    #[arg(long, conflicts_with = "validator")]
    node_id: bool,
    /// Show the address alone
    #[arg(long)]
    validator: bool,
}

/// The names to print.
#[derive(Serialize)]
#[serde(untagged)]
enum Names {
    Both { address: String, node_id: String },
    NodeId { node_id: String },
    Address { address: String },
}

impl Answer for Names {
    fn text(&self) -> String {
        match self {
            Self::Both { address, node_id } => block("SECRETS OUTPUT", &rows(address, node_id)),
            Self::NodeId { node_id: name } | Self::Address { address: name } => name.clone(),
        }
    }
}

pub(super) fn run(flags: &OutputFlags, resolved: &Resolved, form: Form) -> anyhow::Result<()> {
    let needed: &[SecretName] = match (flags.node_id, flags.validator) {
        (true, _) => &[SecretName::NetworkKey],
        (_, true) => &[SecretName::ValidatorKey],
        _ => &[SecretName::ValidatorKey, SecretName::NetworkKey],
    };
    check_directories(&resolved.data_dir, needed)?;
    let keys = SecretsDir::new(&resolved.data_dir);
    let summary = match needed {
        [SecretName::NetworkKey] => IdentitySummary {
            node_id: Some(keys.network_key()?.node_id()),
            address: None,
        },
        [SecretName::ValidatorKey] => IdentitySummary {
            address: Some(keys.validator_key()?.address()),
            node_id: None,
        },
        _ => keys.summary()?,
    };
    let (address, node_id) = (address_shown(&summary), node_id_shown(&summary));
    form.show(&match needed {
        [SecretName::NetworkKey] => Names::NodeId { node_id },
        [SecretName::ValidatorKey] => Names::Address { address },
        _ => Names::Both { address, node_id },
    })
}

fn check_directories(data_dir: &Path, needed: &[SecretName]) -> anyhow::Result<()> {
    let shown = data_dir.display();
    anyhow::ensure!(
        data_dir.is_dir(),
        "the data directory {shown} does not exist: make it by `peerwork secrets init --data-dir {shown}`"
    );
    let missing: Vec<String> = needed
        .iter()
        .map(|secret| data_dir.join(secret.directory()))
        .filter(|dir| !dir.is_dir())
        .map(|dir| format!("the directory {} does not exist", dir.display()))
        .collect();
    anyhow::ensure!(
        missing.is_empty(),
        "{}\nmake the keys by `peerwork secrets init --data-dir {shown}`",
        missing.join("\n")
    );
    Ok(())
}
