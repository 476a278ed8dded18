//! `peerwork node`: runs a node with any combination of roles, from flags and `peerwork.toml`.

mod check;
mod compose;
mod flags;
mod init;
mod own_network;

use clap::{Args, Subcommand};
use peerwork::{Config, Node, StartError, addresses::AppAddress};
use peerwork_identity::SecretsDir;
use serde::Serialize;

use self::flags::NodeFlags;
use super::{
    command::{Call, Command},
    files::flag,
    nodes::records_folder,
    output::{Answer, Form, block},
    running::{Found, make_missing_keys, start_log, tell_edge, tell_listeners},
    runtime::block_on,
    settings::{Resolved, Schema, schema},
    signals::Signals,
};

/// `peerwork node`
#[derive(Args, Debug)]
#[command(subcommand_precedence_over_arg = true)]
pub(crate) struct NodeArgs {
    #[command(subcommand)]
    action: Option<NodeAction>,
    #[command(flatten)]
    flags: Box<NodeFlags>,
}

/// `peerwork node …`
#[derive(Subcommand, Debug)]
enum NodeAction {
    /// Write a peerwork.toml with all settings as comments into the data directory
    Init,
    /// Describe the node without starting it; flags of the node stand before `check`
    Check,
}

impl Command for NodeArgs {
    const NAME: &'static str = "node";
    const ABOUT: &'static str =
        "Run a node with any combination of roles: relay, edge, both, or neither";
    const SETTINGS: Option<Schema> = Some(schema::<NodeFlags>);

    /// Fails when settings are invalid, the node cannot start, or it does not stop in time.
    fn run(self, call: &Call<'_>) -> anyhow::Result<()> {
        match self.action {
            Some(NodeAction::Init) => {
                let (resolved, form) = call.global()?;
                init::run(&resolved, form)
            }
            Some(NodeAction::Check) => {
                let (resolved, form) = call.settings::<NodeFlags>()?;
                check::run(&resolved, form)
            }
            None => {
                let (resolved, form) = call.with_log(|resolved: &Resolved<NodeFlags>, form| {
                    start_log(resolved, form, resolved.own.log_to.as_deref())
                })?;
                run(&resolved, form)
            }
        }
    }
}

/// Runs the node until a signal, and creates its keys and its data directory where they are missing.
fn run(resolved: &Resolved<NodeFlags>, form: Form) -> anyhow::Result<()> {
    compose::sources(&resolved.own, &resolved.data_dir).join()?;
    own_network::make_where_nothing_is_configured(resolved)?;
    make_missing_keys(&SecretsDir::new(&resolved.data_dir))?;
    block_on(async move {
        let signals = Signals::listen()?;
        let (node, config) = start(resolved).await?;
        tell_listeners(node.addresses());
        if let Some(edge) = &config.edge {
            tell_edge(edge, node.node_id());
        }
        let own = own_network::is_own(resolved).then(|| OwnNetwork::of(&config, resolved));
        form.announce(&Running::of(&node, compose::roles(&config), own));
        signals
            .stop_on_signal(async move {
                node.stop().await;
            })
            .await
    })
}

/// Starts the node, and keeps the settings of the first start of a network of its own.
async fn start(resolved: &Resolved<NodeFlags>) -> anyhow::Result<(Node, Config)> {
    let mut attempts = PORT_ATTEMPTS;
    loop {
        attempts -= 1;
        let first = own_network::settings(resolved);
        let flags = first.as_ref().unwrap_or(&resolved.own);
        let found = Found::new(resolved, || compose::network(flags, &resolved.data_dir))?;
        let mut config = compose::config(flags, found)?;
        config.records = records_folder();
        match (Node::start(config.clone()).await, &first) {
            // Another program may have taken the chosen port meanwhile.
            (Err(StartError::Network(_)), Some(_)) if attempts > 0 => {}
            (started, _) => {
                let node = started?;
                if let Some(Err(error)) = first.map(|flags| own_network::keep(&flags, resolved)) {
                    tracing::warn!("{error:#}");
                }
                return Ok((node, config));
            }
        }
    }
}

/// Whether the settings of `peerwork node` let callers pass without a key.
pub(crate) fn asks_for_no_key(call: &Call<'_>) -> bool {
    let open = |flags: &NodeFlags| {
        let (edge, relay) = (&flags.edge, &flags.relay);
        (edge.edge && edge.edge_open) || (relay.relay && relay.relay_open)
    };
    let resolved = call.settings_of::<NodeFlags>();
    resolved.is_some_and(|resolved| open(&resolved.own))
}

/// The starts that are tried with a port of the program's choice.
const PORT_ATTEMPTS: usize = 3;

/// The network of a node that is its first.
#[derive(Serialize)]
struct OwnNetwork {
    name: String,
    network_id: i64,
    /// The command that invites others; `None` where the node is no relay that others could join through.
    invite: Option<String>,
}

impl OwnNetwork {
    fn of(config: &Config, resolved: &Resolved<NodeFlags>) -> Self {
        let data_dir = match resolved.data_dir_is_default {
            true => String::new(),
            false => format!(" {}", flag("--data-dir", &resolved.data_dir)),
        };
        let is_relay = config.relay.is_some();
        Self {
            name: config.network.name.clone(),
            network_id: config.network.network_id,
            invite: is_relay.then(|| format!("peerwork invite{data_dir}")),
        }
    }

    fn rows(&self) -> [(&'static str, String); 2] {
        let network = format!("{} ({}), a network of its own", self.name, self.network_id);
        let invite = match &self.invite {
            Some(command) => command.clone(),
            None => "start this node with --relay: others join through a relay".to_owned(),
        };
        [("Network", network), ("Invite others", invite)]
    }
}

/// The output of a running node: its id and addresses.
#[derive(Serialize)]
struct Running {
    node_id: String,
    roles: Vec<&'static str>,
    addresses: Vec<String>,
    /// `None` where the network has other nodes.
    own_network: Option<OwnNetwork>,
    ingress: Option<String>,
    ingress_url: Option<String>,
    apps: Vec<AppUrl>,
    grpc: Option<String>,
}

/// An app with a port of its own.
#[derive(Serialize)]
struct AppUrl {
    app: String,
    url: String,
}

impl AppUrl {
    fn of(app: &AppAddress) -> Self {
        Self {
            app: format!("{}:{}", app.node, app.port),
            url: app.url(),
        }
    }
}

impl Running {
    fn of(node: &Node, roles: Vec<&'static str>, own_network: Option<OwnNetwork>) -> Self {
        let at = node.addresses();
        let shown = |at: Option<std::net::SocketAddr>| at.map(|at| at.to_string());
        Self {
            node_id: node.node_id().to_string(),
            roles,
            addresses: node
                .p2p_addresses()
                .iter()
                .map(ToString::to_string)
                .collect(),
            own_network,
            ingress: shown(at.ingress),
            ingress_url: at.ingress_url(),
            apps: at.apps.iter().map(AppUrl::of).collect(),
            grpc: shown(at.grpc),
        }
    }
}

impl Answer for Running {
    fn text(&self) -> String {
        let mut rows = vec![
            ("Node ID", self.node_id.clone()),
            ("Roles", self.roles.join(", ")),
        ];
        rows.extend(self.addresses.iter().map(|at| ("Address", at.clone())));
        rows.extend(self.own_network.iter().flat_map(OwnNetwork::rows));
        let ingress = self.ingress_url.iter();
        rows.extend(ingress.map(|url| ("Ingress", format!("{url}/edge/NODE/PORT/PATH"))));
        let apps = self.apps.iter();
        rows.extend(apps.map(|app| ("App", format!("{}/ is {} alone", app.url, app.app))));
        rows.extend(self.grpc.iter().map(|at| ("Operator API", at.clone())));
        block("NODE", &rows)
    }
}
