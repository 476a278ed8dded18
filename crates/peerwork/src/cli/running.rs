//! The shared parts of the commands that run a node: log, keys and first lines of output.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use peerwork::{
    Addresses,
    addresses::reachable,
    config::{Edge, RelayToken},
};
use peerwork_identity::{InitOptions, KeyType, Keypair, NodeId, SecretName, SecretsDir};

use super::{
    logging::{self, Log},
    network_file::Chosen,
    offer::Offer,
    output::Form,
    settings::Resolved,
};

/// The longest app origin in bytes; node events carry it to all nodes.
pub(crate) const ORIGIN_BYTES_MAX: usize = 1024;

/// The inputs of a node beside its flags.
pub(crate) struct Found<'a> {
    pub(crate) data_dir: PathBuf,
    pub(crate) grpc_address: Option<&'a str>,
    pub(crate) keypair: Keypair,
    pub(crate) network: Chosen,
}

impl<'a> Found<'a> {
    /// Loads the network key of the data directory, or makes it when there is none, and then loads the
    /// network.
    ///
    /// # Errors
    /// When the key cannot be read or made, or the network file cannot be loaded.
    pub(crate) fn new(
        resolved: &'a Resolved<impl Sized>,
        network: impl FnOnce() -> anyhow::Result<Chosen>,
    ) -> anyhow::Result<Self> {
        let keys = SecretsDir::new(&resolved.data_dir);
        for exposed in keys.permissions_too_open() {
            tracing::warn!("{exposed}");
        }
        let keypair = keys.load_or_create_network_key()?;
        let network = network()?;
        // Without a secret, the file holds nothing that others may not read.
        let file = network.file.as_deref();
        let file = file.filter(|_| !network.network.secrets.is_empty());
        if let Some(exposed) = file.and_then(SecretsDir::exposure_of) {
            tracing::warn!("{exposed}; it holds the network's secret");
        }
        Ok(Self {
            data_dir: resolved.data_dir.clone(),
            grpc_address: resolved.global.grpc_address.as_deref(),
            keypair,
            network,
        })
    }
}

/// Makes the keys of a data directory that are missing, and the data directory itself.
///
/// # Errors
/// When a key cannot be made.
pub(crate) fn make_missing_keys(keys: &SecretsDir) -> anyhow::Result<()> {
    let options = InitOptions {
        validator: !keys.contains(SecretName::ValidatorKey),
        network: !keys.contains(SecretName::NetworkKey),
        key_type: KeyType::default(),
    };
    if options.validator || options.network {
        keys.init(options)?;
        tracing::info!(data_dir = %keys.root().display(), "made the keys of this node");
    }
    Ok(())
}

/// Starts the log of a node, and logs the sources of its settings.
///
/// # Errors
/// When the log file cannot be opened.
pub(crate) fn start_log(
    resolved: &Resolved<impl Sized>,
    form: Form,
    to: Option<&Path>,
) -> anyhow::Result<()> {
    logging::start(&Log {
        level: resolved.global.log_level,
        form,
        file: to,
    })?;
    if let Some(file) = &resolved.file {
        tracing::info!(file = %file.display(), "settings were read");
    }
    Ok(())
}

/// Parses the node ids that `flag` lists; invalid ids are reported in `mistakes`.
pub(crate) fn nodes(flag: &str, texts: &[String], mistakes: &mut Vec<String>) -> HashSet<NodeId> {
    let mut nodes = HashSet::new();
    for text in texts {
        match text.parse() {
            Ok(node) => _ = nodes.insert(node),
            Err(error) => mistakes.push(format!("{flag} = `{text}`: {error}")),
        }
    }
    nodes
}

/// Parses the tokens that `flag` lists. Invalid tokens are reported in `mistakes` without their text.
pub(crate) fn tokens(flag: &str, texts: &[String], mistakes: &mut Vec<String>) -> Vec<RelayToken> {
    let mut tokens = Vec::new();
    for text in texts {
        match RelayToken::new(text) {
            Ok(token) => tokens.push(token),
            Err(error) => mistakes.push(format!("{flag}: {error}")),
        }
    }
    tokens
}

/// Logs which ports an edge offers, to whom, and the path at which callers reach them.
pub(crate) fn tell_edge(edge: &Edge, node: NodeId) {
    let offer = Offer::of_edge(edge.offer(), &node.to_string());
    tracing::info!("offers {}; {}", offer.ports(), offer.callers());
    tracing::info!("callers reach a port at {}", offer.reached_at());
}

/// Logs the listen addresses of a node.
pub(crate) fn tell_listeners(bound: &Addresses) {
    for address in &bound.p2p {
        tracing::info!(%address, "listens for nodes");
    }
    if let Some(url) = bound.ingress_url() {
        tracing::info!("apps behind edges: {url}/edge/NODE/PORT/PATH");
    }
    for app in &bound.apps {
        let (node, port, url) = (app.node, app.port, app.url());
        tracing::info!("the app {node}:{port} alone: {url}/");
    }
    if let Some([http, web_socket]) = bound.jsonrpc_urls() {
        tracing::info!("JSON-RPC: {http}/ and {web_socket}/edge_ws");
    }
    if let Some(at) = bound.grpc.map(reachable) {
        tracing::info!("operator API: {at}; try `peerwork status`");
    }
    if let Some(url) = bound.metrics_url() {
        tracing::info!("metrics: {url}/metrics");
    }
    if let Some(url) = bound.gateway_url() {
        tracing::info!("gateway to content: {url}/ipfs/CID");
    }
}
