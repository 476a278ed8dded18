//! What the commands that run a node share: the log, and what the data directory holds.

use std::path::{Path, PathBuf};

use peerwork_identity::{Keypair, NetworkFile, SecretsDir};

use super::{
    logging::{self, Log},
    output::Form,
    settings::Resolved,
};

/// What a node needs beside its flags.
pub(crate) struct Found<'a> {
    pub(crate) data_dir: PathBuf,
    pub(crate) grpc_address: Option<&'a str>,
    pub(crate) keypair: Keypair,
    pub(crate) network: NetworkFile,
}

impl<'a> Found<'a> {
    /// With the network key of the data directory, which is made when there is none, and then the
    /// network.
    ///
    /// # Errors
    /// When the key cannot be read or made, or the network is not found.
    pub(crate) fn new(
        resolved: &'a Resolved,
        network: impl FnOnce() -> anyhow::Result<NetworkFile>,
    ) -> anyhow::Result<Self> {
        let keys = SecretsDir::new(&resolved.data_dir);
        for exposed in keys.permissions_too_open() {
            tracing::warn!("{exposed}");
        }
        Ok(Self {
            data_dir: resolved.data_dir.clone(),
            grpc_address: resolved.settings.global.grpc_address.as_deref(),
            keypair: keys.load_or_create_network_key()?,
            network: network()?,
        })
    }
}

/// Starts the log of a node, and says in it where the settings came from.
///
/// # Errors
/// When the log file cannot be opened.
pub(crate) fn start_log(resolved: &Resolved, form: Form, to: Option<&Path>) -> anyhow::Result<()> {
    logging::start(&Log {
        level: resolved.settings.global.log_level,
        form,
        file: to,
    })?;
    if let Some(file) = &resolved.file {
        tracing::info!(file = %file.display(), "settings were read");
    }
    Ok(())
}

/// A bound that was given as a number.
pub(crate) fn count(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
