//! `peerwork server`: runs a node until a signal.

mod compose;
mod export;
mod flags;
mod listeners;

use std::path::Path;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use peerwork::{Node, config::Config};
use peerwork_identity::SecretsDir;

use self::{
    export::ExportFlags,
    flags::{RunningMode, ServerFlags},
};
use super::{
    command::{Call, Command},
    network_file::{self, Chosen, Sources},
    nodes::records_folder,
    running::{Found, start_log, tell_edge, tell_listeners},
    runtime::block_on,
    secrets::check_secrets_config,
    settings::{Resolved, Schema, schema},
    signals::Signals,
};

/// The network file in the current folder that is used where no other is.
const GENESIS: &str = "./genesis.json";

/// `peerwork server`
#[derive(Args, Debug)]
#[command(subcommand_precedence_over_arg = true)]
pub(crate) struct ServerArgs {
    #[command(subcommand)]
    action: Option<ServerAction>,
    #[command(flatten)]
    pub(crate) flags: ServerFlags,
    /// Stray arguments, which are ignored: EdgeMatrix's README has a lone dash among the flags.
    #[arg(hide = true, value_name = "IGNORED")]
    pub(crate) stray: Vec<String>,
}

/// `peerwork server …`
#[derive(Subcommand, Debug)]
enum ServerAction {
    /// Write all settings with their defaults into a file
    Export(ExportFlags),
}

impl Command for ServerArgs {
    const NAME: &'static str = "server";
    const ABOUT: &'static str =
        "Run a node as EdgeMatrix's program does: a relay node, an edge or a peer";
    const SETTINGS: Option<Schema> = Some(schema::<ServerFlags>);

    /// Fails when settings are invalid, the node cannot start, or it does not stop in time.
    fn run(self, call: &Call<'_>) -> anyhow::Result<()> {
        if let Some(ServerAction::Export(flags)) = &self.action {
            return export::run(flags, call.form);
        }
        let (resolved, _) = call.with_log(|resolved: &Resolved<ServerFlags>, form| {
            start_log(resolved, form, resolved.own.log_to.as_deref())
        })?;
        tell_ignored(&resolved.own, &self.stray);
        let config = config(&resolved)?;
        block_on(serve(config, resolved.own.running_mode))
    }
}

/// Builds the node's configuration from the settings and the files that they name.
fn config(resolved: &Resolved<ServerFlags>) -> anyhow::Result<Config> {
    let flags = &resolved.own;
    if let Some(path) = &flags.secrets_config {
        check_secrets_config(path)?;
    }
    // A ticket makes the keys too.
    sources(flags, &resolved.data_dir).join()?;
    // The validator key, which gives the owner's address, must exist before the node joins the network.
    SecretsDir::new(&resolved.data_dir).validator_key()?;
    let found = Found::new(resolved, || network(flags, &resolved.data_dir))?;
    let mut config = compose::config(flags, found)?;
    config.records = records_folder();
    Ok(config)
}

fn sources<'a>(flags: &'a ServerFlags, data_dir: &'a Path) -> Sources<'a> {
    Sources {
        named: flags.network.as_deref(),
        ticket: flags.join.as_deref(),
        data_dir,
    }
}

/// Loads the network. `./genesis.json` is the default of EdgeMatrix.
fn network(flags: &ServerFlags, data_dir: &Path) -> anyhow::Result<Chosen> {
    match sources(flags, data_dir).choose()? {
        Some(chosen) => Ok(chosen),
        None => Chosen::load(Path::new(GENESIS)).with_context(|| {
            let own = network_file::path_in(data_dir);
            format!("no --network was named, and there is no {}", own.display())
        }),
    }
}

/// Whether the settings of `peerwork server` let callers pass without a key.
pub(crate) fn asks_for_no_key(call: &Call<'_>) -> bool {
    let resolved = call.settings_of::<ServerFlags>();
    resolved.is_some_and(|resolved| resolved.own.edge.app_no_auth)
}

async fn serve(config: Config, mode: RunningMode) -> anyhow::Result<()> {
    let signals = Signals::listen()?;
    let network = format!("{} ({})", config.network.name, config.network.network_id);
    let edge = config.edge.clone();
    let node = Node::start(config).await?;
    tracing::info!(node = %node.node_id(), ?mode, network, "the node runs");
    tell_listeners(node.addresses());
    if let Some(edge) = &edge {
        tell_edge(edge, node.node_id());
    }
    signals
        .stop_on_signal(async move {
            node.stop().await;
        })
        .await
}

fn tell_ignored(flags: &ServerFlags, stray: &[String]) {
    for flag in flags.ignored.given() {
        tracing::debug!(flag, "this flag has no effect here");
    }
    if flags.ignored.auth_url.is_some() && !flags.edge.app_no_auth {
        tracing::warn!(
            "--auth-url has no effect: callers are checked against the keys of this data directory \
             (`peerwork key create`), or not at all with --app-no-auth"
        );
    }
    for argument in stray {
        match argument.as_str() {
            "-" => tracing::debug!("a lone dash among the arguments is ignored"),
            _ => tracing::warn!("the argument `{argument}` is ignored"),
        }
    }
}
