//! `peerwork node`: runs a node with any combination of roles, from flags and `peerwork.toml`.

mod check;
mod compose;
mod flags;
mod init;

use clap::{Args, Subcommand};
use peerwork::{Node, addresses::AppAddress};
use peerwork_identity::{InitOptions, KeyType, SecretName, SecretsDir};
use serde::Serialize;

use self::flags::NodeFlags;
use super::{
    command::{Call, Command},
    nodes::records_folder,
    output::{Answer, Form, block},
    running::{Found, start_log, tell_edge, tell_listeners},
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
    let flags = &resolved.own;
    make_missing_keys(&SecretsDir::new(&resolved.data_dir))?;
    let found = Found::new(resolved, || compose::network(flags, &resolved.data_dir))?;
    let mut config = compose::config(flags, found)?;
    config.records = records_folder();
    block_on(async move {
        let signals = Signals::listen()?;
        let roles = compose::roles(&config);
        let edge = config.edge.clone();
        let node = Node::start(config).await?;
        tell_listeners(node.addresses());
        if let Some(edge) = &edge {
            tell_edge(edge, node.node_id());
        }
        form.announce(&Running::of(&node, roles));
        signals
            .stop_on_signal(async move {
                node.stop().await;
            })
            .await
    })
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

fn make_missing_keys(keys: &SecretsDir) -> anyhow::Result<()> {
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

/// The output of a running node: its id and addresses.
#[derive(Serialize)]
struct Running {
    node_id: String,
    roles: Vec<&'static str>,
    addresses: Vec<String>,
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
    fn of(node: &Node, roles: Vec<&'static str>) -> Self {
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
        let ingress = self.ingress_url.iter();
        rows.extend(ingress.map(|url| ("Ingress", format!("{url}/edge/NODE/PORT/PATH"))));
        let apps = self.apps.iter();
        rows.extend(apps.map(|app| ("App", format!("{}/ is {} alone", app.url, app.app))));
        rows.extend(self.grpc.iter().map(|at| ("Operator API", at.clone())));
        block("NODE", &rows)
    }
}
