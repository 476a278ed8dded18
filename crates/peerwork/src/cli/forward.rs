//! `peerwork forward`: forwards a local TCP port to a port of a node.

use std::{net::SocketAddr, path::PathBuf, pin::pin, time::Duration};

use anyhow::Context as _;
use clap::Args;
use multiaddr::{Multiaddr, Protocol};
use peerwork::{Config, Forwarding as Forwarded, Node};
use peerwork_api::{
    invitations::v1::CreateRequest,
    operator::{
        self, Connection,
        v1::{Peer, ServerStatus},
    },
};
use peerwork_identity::{KeyType, Keypair, NetworkFile, NetworkSecret, NodeAddress, NodeId};
use peerwork_ticket::{Pass, Ticket};
use peerwork_tunnel::forward;
use serde::Serialize;
use tokio::time::timeout;

use super::{
    app_listen::node_and_port,
    command::{Call, Command},
    invite, join,
    network_sources::{Sources, refuse_both},
    operator::{connection, refused},
    output::{Answer, Form},
    runtime::block_on,
    settings::Resolved,
    signals::Signals,
    values::socket_address,
    version::RELEASE,
};

/// `peerwork forward`
#[derive(Args, Debug)]
pub(crate) struct ForwardFlags {
    /// The local address to listen on: HOST:PORT, or PORT alone for 127.0.0.1
    #[arg(value_name = "LOCAL", value_parser = local)]
    local: SocketAddr,
    /// The port to reach: NODE:PORT
    #[arg(value_name = "NODE:PORT", value_parser = target)]
    target: Target,
    /// The network file [default: network.json of the data directory; without it, the running node names
    /// the network]
    #[arg(long, value_name = "FILE")]
    network: Option<PathBuf>,
    /// A ticket (`peerwork invite`) for the way into the network; the data directory joins by it where one
    /// is named, and without a --data-dir it counts for this run alone; - reads it from standard input
    #[arg(
        long,
        value_name = "TICKET",
        env = "PEERWORK_JOIN",
        hide_env_values = true
    )]
    join: Option<String>,
    /// The bearer key that the edge demands (`peerwork key create` there)
    #[arg(
        long,
        value_name = "KEY",
        env = "PEERWORK_EDGE_KEY",
        hide_env_values = true
    )]
    edge_key: Option<String>,
}

/// A port of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target {
    node: NodeId,
    port: u16,
}

fn local(text: &str) -> Result<SocketAddr, String> {
    match text.parse::<u16>() {
        Ok(port) => Ok(([127, 0, 0, 1], port).into()),
        Err(_) => socket_address(text),
    }
}

fn target(text: &str) -> Result<Target, String> {
    let (node, port) = node_and_port(text)?;
    Ok(Target { node, port })
}

/// The output of a running forward: the local address and its target.
#[derive(Serialize)]
struct Forwarding {
    local: SocketAddr,
    node: String,
    port: u16,
}

impl Answer for Forwarding {
    fn text(&self) -> String {
        format!(
            "{} is port {} of {}; Ctrl-C ends it",
            self.local, self.port, self.node
        )
    }
}

/// The time after which the user is told that no relay knows the target node. With the start of the
/// forwarder's own node, the warning comes within a second.
const TELL_AFTER: Duration = Duration::from_millis(800);
/// How long the directory may take beyond that to find the node, before the local port is opened.
const KNOWN_DEADLINE: Duration = Duration::from_secs(10);

impl Command for ForwardFlags {
    const NAME: &'static str = "forward";
    const ABOUT: &'static str = "Forward a local TCP port to a port of a node";

    /// Fails when the network cannot be joined, or the local port is taken.
    fn run(self, call: &Call<'_>) -> anyhow::Result<()> {
        let (resolved, form) = call.with_quiet_log()?;
        self.sources(&resolved).join()?;
        block_on(run(self, &resolved, form))
    }
}

/// Forwards connections until a signal.
async fn run(flags: ForwardFlags, resolved: &Resolved, form: Form) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    let Target { node: target, port } = flags.target;
    let (node, forwarder) = tokio::select! {
        biased;
        signal = signals.next() => anyhow::bail!("ended by a signal before the port was open: {signal}"),
        opened = open(flags, resolved) => opened?,
    };
    form.announce(&Forwarding {
        local: forwarder.address(),
        node: target.to_string(),
        port,
    });
    signals
        .stop_on_signal(async move {
            forwarder.stop().await;
            node.stop().await;
        })
        .await
}

/// Joins the network and listens on the local port.
async fn open(flags: ForwardFlags, resolved: &Resolved) -> anyhow::Result<(Node, Forwarded)> {
    let network = network(&flags, resolved).await?;
    let node = Node::start(peer(network)).await?;
    let to = forward::Target {
        node: flags.target.node,
        port: flags.target.port,
        key: flags.edge_key,
    };
    wait_until_known(&node, to.node).await;
    let forwarder = node
        .forward(flags.local, to)
        .await
        .with_context(|| format!("cannot forward {}: name a free port, or 0", flags.local))?;
    Ok((node, forwarder))
}

impl ForwardFlags {
    fn sources<'a>(&'a self, resolved: &'a Resolved) -> Sources<'a> {
        Sources {
            named: self.network.as_deref(),
            // Without a data directory, the ticket counts for this run alone.
            ticket: self
                .join
                .as_deref()
                .filter(|_| !resolved.data_dir_is_default),
            data_dir: &resolved.data_dir,
        }
    }
}

/// The network of the ticket, of the network file, or of the running node.
async fn network(flags: &ForwardFlags, resolved: &Resolved) -> anyhow::Result<NetworkFile> {
    match &flags.join {
        Some(ticket) if resolved.data_dir_is_default => {
            refuse_both(flags.network.as_deref(), Some(ticket))?;
            join::for_this_run(ticket).await
        }
        _ => match flags.sources(resolved).choose()? {
            Some(chosen) => Ok(chosen.network),
            None => network_of_running_node(resolved).await,
        },
    }
}

/// Waits until the directory knows the target, so that the first connection finds it.
async fn wait_until_known(node: &Node, target: NodeId) {
    let mut known = pin!(node.knows(target));
    if timeout(TELL_AFTER, &mut known).await.is_ok() {
        return;
    }
    tracing::warn!(
        node = %target,
        "no relay knows this node yet; connections fail until one does"
    );
    // The port is open afterwards in any case.
    let _ = timeout(KNOWN_DEADLINE, known).await;
}

/// The configuration of a node for this call alone: it keeps no files, listens on no address and has no
/// role.
fn peer(network: NetworkFile) -> Config {
    Config::new(Keypair::generate(KeyType::default()), network, RELEASE)
}

/// The network of the running node: that node and the relays it knows become the entry points.
async fn network_of_running_node(resolved: &Resolved) -> anyhow::Result<NetworkFile> {
    const ADVICE: &str = "no way into the network: name its file by --network";
    let connection = connection(resolved).await.context(ADVICE)?;
    let mut client = operator::system(connection.clone());
    let answer = client
        .get_status(())
        .await
        .map_err(|status| refused(&status))
        .context(ADVICE)?;
    let relays = client
        .peers_relay_list(())
        .await
        .map_err(|status| refused(&status))
        .context(ADVICE)?;
    let network = network_of(&answer.into_inner(), &relays.into_inner().peers).context(ADVICE)?;
    let secrets = secrets_of(connection, &network).await.context(ADVICE)?;
    Ok(NetworkFile { secrets, ..network })
}

/// The secrets of the running node's network, from a ticket that the node makes.
async fn secrets_of(
    connection: Connection,
    network: &NetworkFile,
) -> anyhow::Result<Vec<NetworkSecret>> {
    let entry = network.bootnodes.iter().chain(&network.relaynodes).next();
    let request = CreateRequest {
        // The node needs no relay of its own for a ticket with a given address.
        addresses: entry.iter().map(ToString::to_string).collect(),
        ..CreateRequest::default()
    };
    let invitation = invite::create(connection, request).await?;
    match invitation.ticket.parse::<Ticket>()?.pass {
        Pass::Secrets(secrets) => Ok(secrets),
        Pass::Open | Pass::Token(_) => Ok(Vec::new()),
    }
}

fn network_of(status: &ServerStatus, relays: &[Peer]) -> anyhow::Result<NetworkFile> {
    let node: NodeId = status.node_id.parse().context("the node told no node id")?;
    let bootnodes = addresses(node, &status.listen_addresses);
    let relaynodes: Vec<NodeAddress> = relays
        .iter()
        .filter_map(|relay| Some((relay.id.parse().ok()?, &relay.addrs)))
        .flat_map(|(relay, at)| addresses(relay, at))
        .collect();
    anyhow::ensure!(
        !bootnodes.is_empty() || !relaynodes.is_empty(),
        "the running node listens nowhere and knows no relay"
    );
    Ok(NetworkFile {
        name: status.network_name.clone(),
        network_id: i64::try_from(status.network_id)
            .context("the network's number is too large")?,
        bootnodes,
        relaynodes,
        secrets: Vec::new(),
    })
}

fn addresses(node: NodeId, texts: &[String]) -> Vec<NodeAddress> {
    let parsed = texts.iter().filter_map(|text| text.parse().ok());
    let entries = parsed.map(|address| NodeAddress {
        node,
        transport: without_id(address),
    });
    entries.collect()
}

fn without_id(mut address: Multiaddr) -> Multiaddr {
    if matches!(address.iter().last(), Some(Protocol::P2p(_))) {
        address.pop();
    }
    address
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const NODE: &str = "16Uiu2HAmEWQnHq2jLKJypwVnVoQeFCULuyop6atvq2eWjYSUjzNi";

    #[test]
    fn the_local_side_may_be_a_port_alone() {
        assert_eq!(local("2222"), Ok("127.0.0.1:2222".parse().unwrap()));
        assert_eq!(local("[::1]:2222"), Ok("[::1]:2222".parse().unwrap()));
        assert!(local("nonsense").is_err());
    }

    #[test]
    fn the_target_is_a_node_and_a_port() {
        let found = target(&format!("{NODE}:22")).unwrap();
        assert_eq!((found.node.to_string().as_str(), found.port), (NODE, 22));
        for wrong in [
            NODE.to_owned(),
            format!("{NODE}:0"),
            format!("{NODE}:70000"),
            "x:22".into(),
        ] {
            assert!(target(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_running_node_is_an_entry_point_of_its_network() {
        let mut status = ServerStatus {
            node_id: NODE.into(),
            network_name: "N".into(),
            network_id: 1000,
            ..ServerStatus::default()
        };
        assert!(network_of(&status, &[]).is_err());
        status.listen_addresses = vec![
            "/ip4/127.0.0.1/tcp/7".into(),
            format!("/ip4/127.0.0.1/tcp/8/p2p/{NODE}"),
        ];
        let network = network_of(&status, &[]).unwrap();
        let entries: Vec<String> = network.bootnodes.iter().map(ToString::to_string).collect();
        assert_eq!(network.network_id, 1000);
        assert_eq!(
            entries,
            [
                format!("/ip4/127.0.0.1/tcp/7/p2p/{NODE}"),
                format!("/ip4/127.0.0.1/tcp/8/p2p/{NODE}")
            ]
        );
    }
}
