//! Runs a whole network in one process: two relays, an edge and the example web app.
//!
//! ```text
//!  curl ─▶ relay 1 ─▶ edge ─▶ web app
//!  curl ─▶ relay 2 ─▶ edge ─▶ web app     (the edge holds a reservation at both)
//! ```
//! The nodes talk over TCP on loopback, exactly as they would in separate processes.

mod check;

use std::{io, net::SocketAddr, time::Duration};

use multiaddr::Multiaddr;
use peerwork_identity::{KeyType, Keypair, NetworkFile, NodeAddress, NodeId};

pub use check::{CheckReport, Step};

use crate::{
    Config, Node, StartError,
    config::{Edge, Ingress, JsonRpcConfig, Relay},
    webapp::WebApp,
};

/// How long the relays may take to learn of the edge.
const READY_DEADLINE: Duration = Duration::from_secs(20);
/// The number of ports of a demo with fixed ports, counted from its base port.
pub const PORTS: u16 = 8;

/// The ports of a demo.
#[derive(Debug, Clone, Copy, Default)]
pub struct DemoOptions {
    /// The first of [`PORTS`] ports in a row; `None` takes free ones.
    pub base_port: Option<u16>,
}

/// The reason why the demo could not start.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The example web app could not listen.
    #[error("the web app cannot listen on {address}: {source}; choose another --base-port")]
    WebApp {
        /// The address of the web app.
        address: SocketAddr,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// A node could not start.
    #[error("starting {0}")]
    Node(&'static str, #[source] Box<StartError>),
    /// The base port leaves no room for [`PORTS`] ports.
    #[error("--base-port {0} is too high: {PORTS} ports in a row are needed")]
    BasePort(u16),
    /// A relay did not learn of the edge in time.
    #[error("a relay did not learn of the edge within {READY_DEADLINE:?}")]
    NotReady,
}

/// A running demo.
#[derive(Debug)]
pub struct Demo {
    webapp: WebApp,
    relays: [Node; 2],
    edge: Node,
}

impl Demo {
    /// Starts all parts and waits until both relays can reach the edge.
    ///
    /// # Errors
    /// [`DemoError`] names the part that failed.
    pub async fn start(options: DemoOptions) -> Result<Self, DemoError> {
        let ports = Ports::new(options)?;
        let address = ports.at(0);
        let webapp = WebApp::start(address)
            .await
            .map_err(|source| DemoError::WebApp { address, source })?;
        let first = start("relay 1", relay(&ports, 1, Vec::new())).await?;
        let known = vec![address_of(&first)];
        let second = start("relay 2", relay(&ports, 4, known)).await?;
        let relays = [first, second];
        let places = relays.iter().map(address_of).collect();
        let edge = start("the edge", edge(&ports, webapp.address().port(), places)).await?;
        let demo = Self {
            webapp,
            relays,
            edge,
        };
        demo.ready().await?;
        Ok(demo)
    }

    async fn ready(&self) -> Result<(), DemoError> {
        let node = self.edge.node_id();
        let both_know = async {
            for relay in &self.relays {
                relay.knows(node).await;
            }
        };
        tokio::time::timeout(READY_DEADLINE, both_know)
            .await
            .map_err(|_| DemoError::NotReady)
    }

    /// The edge's id.
    #[must_use]
    pub fn edge(&self) -> NodeId {
        self.edge.node_id()
    }

    /// The address that the web app listens on.
    #[must_use]
    pub fn webapp(&self) -> SocketAddr {
        self.webapp.address()
    }

    /// The URLs of the web app through both relays, without a path.
    #[must_use]
    pub fn app_urls(&self) -> [String; 2] {
        let (node, port) = (self.edge(), self.webapp.address().port());
        self.each_relay(|relay| {
            let url = relay.addresses().ingress_url();
            url.map_or_else(String::new, |url| format!("{url}/edge/{node}/{port}"))
        })
    }

    /// The URLs of the node events at both relays.
    #[must_use]
    pub fn event_urls(&self) -> [String; 2] {
        self.each_relay(|relay| {
            let urls = relay.addresses().jsonrpc_urls();
            urls.map_or_else(String::new, |[_, web_socket]| {
                format!("{web_socket}/edge_ws")
            })
        })
    }

    fn each_relay(&self, of: impl Fn(&Node) -> String) -> [String; 2] {
        [of(&self.relays[0]), of(&self.relays[1])]
    }

    /// Calls the web app through both relays and receives node events, as a user would.
    pub async fn check(&self) -> CheckReport {
        check::run(&self.app_urls()).await
    }

    /// Stops all parts, the edge first, so that the relays receive its goodbye.
    pub async fn stop(self) {
        self.edge.stop().await;
        let [first, second] = self.relays;
        tokio::join!(first.stop(), second.stop(), self.webapp.stop());
    }
}

async fn start(name: &'static str, config: Config) -> Result<Node, DemoError> {
    Node::start(config)
        .await
        .map_err(|error| DemoError::Node(name, Box::new(error)))
}

fn address_of(node: &Node) -> NodeAddress {
    let transport = node.addresses().p2p.first().cloned();
    NodeAddress {
        node: node.node_id(),
        transport: transport.unwrap_or_else(Multiaddr::empty),
    }
}

/// The ports in a row from a base port, or free ports.
struct Ports(Option<u16>);

impl Ports {
    fn new(options: DemoOptions) -> Result<Self, DemoError> {
        match options.base_port {
            Some(base) if base.checked_add(PORTS - 1).is_none() => Err(DemoError::BasePort(base)),
            base => Ok(Self(base)),
        }
    }

    fn port(&self, nth: u16) -> u16 {
        self.0.map_or(0, |base| base + nth)
    }

    fn at(&self, nth: u16) -> SocketAddr {
        ([127, 0, 0, 1], self.port(nth)).into()
    }

    fn p2p(&self, nth: u16) -> Vec<Multiaddr> {
        let listen = format!("/ip4/127.0.0.1/tcp/{}", self.port(nth));
        listen.parse().into_iter().collect()
    }
}

fn common(
    listen: Vec<Multiaddr>,
    bootnodes: Vec<NodeAddress>,
    relaynodes: Vec<NodeAddress>,
) -> Config {
    let network = NetworkFile {
        name: "Demo".to_owned(),
        network_id: 1000,
        bootnodes,
        relaynodes,
        secrets: Vec::new(),
    };
    let version = format!("v{}", env!("CARGO_PKG_VERSION"));
    let mut config = Config::new(Keypair::generate(KeyType::default()), network, version);
    config.net.listen = listen;
    config
}

fn relay(ports: &Ports, nth: u16, bootnodes: Vec<NodeAddress>) -> Config {
    let mut config = common(ports.p2p(nth), bootnodes, Vec::new());
    let mut ingress = Ingress::new(ports.at(nth + 1));
    ingress.auth = false;
    config.relay = Some(Relay {
        ingress: Some(ingress),
        ..Relay::default()
    });
    let mut json_rpc = JsonRpcConfig::new(ports.at(nth + 2));
    json_rpc.cors_origins = vec!["*".to_owned()];
    config.api.json_rpc = Some(json_rpc);
    config
}

fn edge(ports: &Ports, app_port: u16, relays: Vec<NodeAddress>) -> Config {
    let mut config = common(ports.p2p(7), Vec::new(), relays);
    config.directory.me.name = "demo".to_owned();
    config.directory.keep_reservations = true;
    let mut edge = Edge::new("127.0.0.1", [app_port]);
    edge.auth = false;
    config.edge = Some(edge);
    config
}
