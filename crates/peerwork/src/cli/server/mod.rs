//! `peerwork server`: runs a node until a signal.

mod addresses;
mod compose;
mod export;
mod flags;
mod ports;

use clap::{ArgMatches, Args, Subcommand};
use peerwork::{Node, config::Config};
use peerwork_identity::{NetworkFile, SecretsDir};

use self::export::ExportFlags;
pub(crate) use self::{
    addresses::{Listener, announced},
    flags::ServerFlags,
    ports::{Claim, clashes},
};
use super::{
    block_on,
    node::{Found, start_log},
    output::Form,
    secrets::check_secrets_config,
    settings::{Resolved, Scope, resolve},
    signals::Signals,
};

/// `peerwork server`
#[derive(Args, Debug)]
#[command(subcommand_precedence_over_arg = true)]
pub(crate) struct ServerArgs {
    #[command(subcommand)]
    action: Option<ServerAction>,
    #[command(flatten)]
    pub(crate) flags: ServerFlags,
    /// Anything else: EdgeMatrix's own README has a lone dash among the flags.
    #[arg(hide = true, value_name = "IGNORED")]
    pub(crate) stray: Vec<String>,
}

/// `peerwork server …`
#[derive(Subcommand, Debug)]
enum ServerAction {
    /// Write all settings with their defaults into a file
    Export(ExportFlags),
}

/// Runs a node, or what was asked for in its place.
///
/// # Errors
/// When settings are wrong, the node cannot start, or it does not end in time.
pub(super) fn run(server: &ServerArgs, matches: &ArgMatches, form: Form) -> anyhow::Result<()> {
    if let Some(ServerAction::Export(flags)) = &server.action {
        return export::run(flags, form);
    }
    let resolved = resolve(matches, Scope::Server, &|name| std::env::var_os(name))?;
    let settings = &resolved.settings;
    let form = match settings.global.json {
        true => Form::Json,
        false => Form::Text,
    };
    start_log(&resolved, form, settings.server.log_to.as_deref())?;
    tell_ignored(&settings.server, &server.stray);
    let config = config(&resolved)?;
    block_on(serve(config))
}

/// The node's configuration, from the settings and the files that they name.
fn config(resolved: &Resolved) -> anyhow::Result<Config> {
    let flags = &resolved.settings.server;
    if let Some(path) = &flags.secrets_config {
        check_secrets_config(path)?;
    }
    // The address that the owner is known by must be there before the node shows up anywhere.
    SecretsDir::new(&resolved.data_dir).validator_key()?;
    let found = Found::new(resolved, || Ok(NetworkFile::load(&flags.network)?))?;
    compose::config(flags, found)
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let signals = Signals::listen()?;
    let mode = config.mode;
    let network = format!("{} ({})", config.network.name, config.network.network_id);
    let node = Node::start(config).await?;
    let bound = node.addresses();
    tracing::info!(node = %node.node_id(), ?mode, network, "the node runs");
    for address in &bound.p2p {
        tracing::info!(%address, "listens for nodes");
    }
    if let Some(at) = bound.ingress {
        tracing::info!("apps behind edges: http://{at}/edge/NODE/PORT/PATH");
    }
    if let Some(at) = bound.jsonrpc {
        tracing::info!("JSON-RPC: http://{at}/ and ws://{at}/edge_ws");
    }
    if let Some(at) = bound.grpc {
        tracing::info!("operator API: {at}; try `peerwork status`");
    }
    if let Some(at) = bound.metrics {
        tracing::info!("metrics: http://{at}/metrics");
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
