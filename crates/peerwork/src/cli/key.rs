//! `peerwork key …`: the bearer keys that callers of apps show.
//!
//! They are kept hashed in the data directory, so a key is shown once, when it is made. A running
//! node reads the file again when it changes.

use std::{
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use peerwork_identity::NodeId;
use serde::Serialize;

use super::{
    output::{Answer, Form, block, section, table},
    settings::Resolved,
    values::duration,
};

/// The file in the data directory.
const FILE: &str = "keys.json";

/// What can be done with keys.
#[derive(Subcommand, Debug)]
pub(crate) enum KeyCommand {
    /// Make a key and show it, once
    Create(CreateFlags),
    /// The keys there are
    List,
    /// Make a key worthless
    Revoke {
        /// Its id, from `peerwork key list`
        id: String,
    },
}

/// `peerwork key create`
#[derive(Args, Debug)]
pub(crate) struct CreateFlags {
    /// A word that tells you later whom the key is for
    #[arg(long, value_name = "TEXT", default_value = "")]
    label: String,
    /// The only node that may be called with it
    #[arg(long, value_name = "NODE")]
    node: Option<NodeId>,
    /// The only port that may be called with it
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// How long it is good for, as in 30d [default: until it is revoked]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    expires: Option<Duration>,
}

/// Runs the command; no node has to run.
///
/// # Errors
/// When the file of keys cannot be read or written, or there is no such key.
pub(super) fn run(command: KeyCommand, resolved: &Resolved, form: Form) -> anyhow::Result<()> {
    let file = resolved.data_dir.join(FILE);
    match command {
        KeyCommand::Create(flags) => form.show(&create(&file, flags)?),
        KeyCommand::List => form.show(&list(&file)?),
        KeyCommand::Revoke { id } => form.show(&revoke(&file, id)?),
    }
}
