//! Starts the parts of a node in order, and pushes the stop of each running part onto the stack.
//!
//! ```text
//!  data directory ▶ ports of HTTP ▶ network ▶ edge ▶ directory │ content store ▶ node events ▶ ingress │ API ▶ node.json
//! ```
//! The ports of ingress and browsers are bound early, because directory and network announce them. They
//! are served late, so that on a stop their requests end before the directory says goodbye.

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use multiaddr::Multiaddr;
use parking_lot::Mutex;
use peerwork_api::{Server, bind_front};
use peerwork_directory::Directory;
use peerwork_listener::Bound;
use peerwork_net::Network;
use peerwork_tunnel::{Edge, Ingress, connect::Connector, ingress};
use prometheus_client::registry::Registry;
use tokio::time::{Instant, sleep};

use super::{
    certificate, error::StartError, events::EventPump, gateway, network_file, parts, stack::Stack,
    tickets, traces::Traces,
};
use crate::{
    Addresses, Config, access,
    data_dir::{DataDir, DataDirError},
    front::{FrontSide, Listeners, Shape},
    operate::{self, About, Dials, TunnelCount},
    routes::DirectoryRoutes,
    store,
    tasks::Tasks,
};

/// The total deadline of stopping all parts.
pub(super) const STOP_DEADLINE: Duration = Duration::from_secs(5);

/// How long a start waits for a command that holds the data directory for a moment.
const LOOKED_AT: Duration = Duration::from_secs(1);

/// The deadlines of the parts' stops. Their sum along the stack stays within [`STOP_DEADLINE`], so that
/// no part uses up the time of another.
mod deadline {
    use std::time::Duration;

    /// The deadline of parts that end at their next await.
    pub(super) const AT_ONCE: Duration = Duration::from_millis(50);
    /// The deadline of the ingress, which cancels its requests itself after `Deadlines::drain`, 3 s.
    pub(super) const INGRESS: Duration = Duration::from_millis(3100);
    /// The deadline of the API, which cancels its requests itself after `Config::stop_deadline`, 2 s.
    pub(super) const API: Duration = Duration::from_millis(2500);
    /// The deadline of the directory, whose goodbye takes at most 1 s, and of the content store beside it.
    pub(super) const DIRECTORY: Duration = Duration::from_millis(1100);
    pub(super) const EDGE: Duration = Duration::from_millis(200);
    pub(super) const NETWORK: Duration = Duration::from_millis(400);
}

/// Starts all parts that `config` asks for; on a failure, stops those already started.
pub(super) async fn start(config: Config) -> Result<(Handles, Stack), StartError> {
    let mut stack = Stack::default();
    let mut starting = Starting {
        config,
        registry: Registry::default(),
        stack: &mut stack,
    };
    match starting.run().await {
        Ok(handles) => Ok((handles, stack)),
        Err(error) => {
            stack.unwind(STOP_DEADLINE).await;
            Err(error)
        }
    }
}

/// The state of a start.
struct Starting<'a> {
    config: Config,
    registry: Registry,
    stack: &'a mut Stack,
}

/// The handles of the parts that a running node gives access to.
pub(super) struct Handles {
    pub(super) network: Network,
    pub(super) directory: Directory,
    pub(super) connector: Connector,
    pub(super) front: Option<Arc<FrontSide>>,
    pub(super) addresses: Addresses,
}

/// Bound ports that are not served yet.
struct Ports {
    front: Option<Bound>,
    ingress: Option<ingress::Ports>,
}

/// The parts that the HTTP servers depend on.
struct Core {
    network: Network,
    directory: Directory,
    connector: Connector,
    tunnels: Vec<TunnelCount>,
}

impl Starting<'_> {
    async fn run(&mut self) -> Result<Handles, StartError> {
        install_crypto_provider();
        let data_dir = self.data_dir().await?;
        let ports = self.ports().await?;
        certificate::provide(&mut self.config, data_dir.as_deref())?;
        let front_at = ports.front.as_ref().map(Bound::address);
        let ingress_at = ports.ingress.as_ref().map(ingress::Ports::address);
        let apps = parts::app_addresses(&self.config, ports.ingress.as_ref());
        let listeners = front_at.map(|at| self.front_listeners(at));
        let network = self.network(listeners.as_ref()).await?;
        self.follow_network_file(&network);
        let mut core = self.core(network, ingress_at).await?;
        let store = self.store(&core, data_dir.as_ref());
        let events = self.events(&core);
        let content = gateway::at_ingress(store.as_ref());
        self.ingress(ports.ingress, content, &mut core).await?;
        let front = listeners.map(|listeners| self.front(&core.network, listeners));
        let bound = Addresses {
            ingress: ingress_at,
            apps,
            front: front_at,
            tls: parts::tls_ports(&self.config),
            ..Addresses::default()
        };
        let front_port = ports.front.zip(front.clone());
        let addresses = self
            .api(
                &core,
                &events,
                store,
                data_dir.as_deref(),
                front_port,
                bound,
            )
            .await?;
        let addresses = Addresses {
            p2p: parts::direct_addresses(&core.network),
            ..addresses
        };
        if let Some(data_dir) = &data_dir {
            let traces = Traces::leave(&self.config, data_dir, core.network.node_id(), &addresses);
            self.stack
                .push("node.json", deadline::AT_ONCE, move || async move {
                    traces.remove();
                });
        }
        let Core {
            network,
            directory,
            connector,
            ..
        } = core;
        Ok(Handles {
            network,
            directory,
            connector,
            front,
            addresses,
        })
    }

    async fn data_dir(&mut self) -> Result<Option<Arc<DataDir>>, StartError> {
        let Some(path) = &self.config.data_dir else {
            return Ok(None);
        };
        let data_dir = Arc::new(taken(path).await?);
        let held = Arc::clone(&data_dir);
        self.stack
            .push("data directory", deadline::AT_ONCE, move || async move {
                drop(held);
            });
        Ok(Some(data_dir))
    }

    async fn ports(&self) -> Result<Ports, StartError> {
        let relay = self.config.relay.as_ref();
        let front = match relay.and_then(|relay| relay.front.as_ref()) {
            Some(front) => Some(bind_front(front.listen).await.map_err(StartError::Api)?),
            None => None,
        };
        let ingress = match self.config.ingress() {
            Some(ingress) => Some(
                Ingress::bind(&ingress.settings)
                    .await
                    .map_err(StartError::Tunnel)?,
            ),
            None => None,
        };
        Ok(Ports { front, ingress })
    }

    /// The multiaddresses of the port for browsers at `at`.
    fn front_listeners(&self, at: SocketAddr) -> Listeners {
        let front = self.config.relay.as_ref().and_then(|r| r.front.as_ref());
        let encrypts = front.is_some_and(|front| front.settings.preamble.tls.is_some());
        Listeners::new(at, encrypts)
    }

    async fn network(&mut self, front: Option<&Listeners>) -> Result<Network, StartError> {
        let handed: Vec<Multiaddr> = front.iter().flat_map(|front| front.all()).collect();
        let settings = parts::network(&self.config, handed);
        let network = Network::start(settings, &mut self.registry)
            .await
            .map_err(|error| StartError::Network(Box::new(error)))?;
        let stopping = network.clone();
        self.stack
            .push("network", deadline::NETWORK, move || async move {
                stopping.stop().await;
            });
        let tokens = self.config.relay.iter().flat_map(|relay| &relay.tokens);
        let tokens: Vec<_> = tokens.cloned().collect();
        if !tokens.is_empty() {
            let served = access::serve(&network, tokens).map_err(StartError::Access)?;
            self.stack
                .push("token check", deadline::AT_ONCE, move || async move {
                    // A stop that takes longer is cancelled and logged by the stack.
                    let _ = served.stop(Instant::now() + deadline::AT_ONCE).await;
                });
        }
        if let Some(served) = tickets::serve(&network, &self.config)? {
            let stop = move || async move {
                let _ = served.stop(Instant::now() + deadline::AT_ONCE).await;
            };
            self.stack
                .push_beside("redemption of tickets", deadline::AT_ONCE, stop);
        }
        Ok(network)
    }

    /// Reads the secrets of the network file again when it changes.
    fn follow_network_file(&mut self, network: &Network) {
        let Some(file) = network_file::Followed::of(&self.config) else {
            return;
        };
        let tasks = Tasks::default();
        tasks.spawn(network_file::follow(file, network.clone()));
        self.stack
            .push_beside("network file", deadline::AT_ONCE, move || async move {
                tasks.stop().await;
            });
    }

    /// Starts edge and directory on `network`. The edge starts before the directory, so it stops later:
    /// the edge still answers while the directory's goodbye goes out, and no caller is sent to an edge
    /// that refuses.
    async fn core(
        &mut self,
        network: Network,
        ingress_at: Option<SocketAddr>,
    ) -> Result<Core, StartError> {
        let edge = self.edge(&network)?;
        let (own, tunnels) = match edge {
            Some((own, count)) => (Some(own), vec![count]),
            None => (None, Vec::new()),
        };
        let settings = parts::directory(&self.config, ingress_at.map(|at| at.port()));
        let keypair = self.config.net.keypair.clone();
        let directory = Directory::start(settings, network.clone(), keypair, &mut self.registry)
            .await
            .map_err(StartError::Directory)?;
        let stopping = directory.clone();
        self.stack
            .push("directory", deadline::DIRECTORY, move || async move {
                stopping.stop().await;
            });
        let routes = Arc::new(DirectoryRoutes(directory.clone()));
        let connector = Connector::new(network.clone(), routes);
        Ok(Core {
            connector: match own {
                Some(own) => connector.with_own_edge(own),
                None => connector,
            },
            network,
            directory,
            tunnels,
        })
    }

    fn edge(
        &mut self,
        network: &Network,
    ) -> Result<Option<(peerwork_tunnel::edge::Own, TunnelCount)>, StartError> {
        let Some(wanted) = &self.config.edge else {
            return Ok(None);
        };
        let settings = parts::edge(&self.config, wanted)?;
        let edge = Edge::start(settings, network, &mut self.registry);
        let edge = edge.map_err(StartError::Tunnel)?;
        let (own, count) = (edge.own(), edge.counter());
        self.stack.push("edge", deadline::EDGE, move || async move {
            edge.stop().await;
        });
        Ok(Some((own, Arc::new(count))))
    }

    /// The content store. It closes beside the directory: after the API and the ingress, which use it.
    fn store(&mut self, core: &Core, data_dir: Option<&Arc<DataDir>>) -> Option<store::Part> {
        let (directory, connector) = (&core.directory, &core.connector);
        let part = parts::store(&self.config, data_dir?, &core.network, directory, connector);
        let stopping = part.clone();
        let stop = move || async move { stopping.stop().await };
        self.stack
            .push_beside("content store", deadline::DIRECTORY, stop);
        Some(part)
    }

    fn events(&mut self, core: &Core) -> Arc<EventPump> {
        let events = Arc::new(EventPump::start(&core.network, &core.directory));
        let stopping = Arc::clone(&events);
        self.stack
            .push("node events", deadline::AT_ONCE, move || async move {
                stopping.stop().await;
            });
        events
    }

    async fn ingress(
        &mut self,
        ports: Option<ingress::Ports>,
        content: Option<Arc<dyn ingress::Content>>,
        core: &mut Core,
    ) -> Result<(), StartError> {
        let wanted = self.config.relay.as_ref().and_then(|r| r.ingress.as_ref());
        let (Some(wanted), Some(ports)) = (wanted, ports) else {
            return Ok(());
        };
        let mut settings = parts::ingress(&self.config, wanted)?;
        settings.content = content;
        let connector = core.connector.clone();
        let ingress = Ingress::serve(ports, settings, connector, &mut self.registry).await;
        let ingress = ingress.map_err(StartError::Tunnel)?;
        core.tunnels.push(Arc::new(ingress.counter()));
        self.stack
            .push("ingress", deadline::INGRESS, move || async move {
                ingress.stop().await;
            });
        Ok(())
    }

    /// Starts the service behind the port for browsers, which the API serves.
    fn front(&mut self, network: &Network, listeners: Listeners) -> Arc<FrontSide> {
        let side = FrontSide::start(Shape::of(&self.config), network.clone(), listeners);
        let stopping = Arc::clone(&side);
        self.stack
            .push_beside("relay figures", deadline::AT_ONCE, move || async move {
                stopping.stop().await;
            });
        side
    }

    /// Starts the API, and adds its addresses to those of the ports that are `bound` already.
    async fn api(
        &mut self,
        core: &Core,
        events: &EventPump,
        store: Option<store::Part>,
        data_dir: Option<&DataDir>,
        front: Option<(Bound, Arc<FrontSide>)>,
        bound: Addresses,
    ) -> Result<Addresses, StartError> {
        let dials = Arc::new(Dials::new(core.network.clone()));
        let stopping = Arc::clone(&dials);
        self.stack.push_beside(
            "dials of operators",
            deadline::AT_ONCE,
            move || async move {
                stopping.stop().await;
            },
        );
        let shared_addresses = Arc::new(OnceLock::new());
        let services = operate::services(operate::Parts {
            about: About::of(&self.config),
            network: core.network.clone(),
            directory: core.directory.clone(),
            dials,
            events: events.sender(),
            tunnels: core.tunnels.clone(),
            addresses: Arc::clone(&shared_addresses),
            network_file: self.config.network.clone(),
            followed: network_file::Followed::of(&self.config),
            store: store.clone(),
            keypair: self.config.net.keypair.clone(),
        });
        let registry = Arc::new(Mutex::new(std::mem::take(&mut self.registry)));
        if let Some(store) = &store {
            store.run(Arc::clone(&registry)).await?;
        }
        let settings = parts::api(&self.config, data_dir)?;
        let api = Server::start(settings, services, registry)
            .await
            .map_err(StartError::Api)?;
        let addresses = Addresses {
            jsonrpc: api.json_rpc_address(),
            grpc: api.operator_address(),
            metrics: api.metrics_address(),
            gateway: gateway::serve(&self.config, &api, store).await?,
            ..bound
        };
        // This is the only place that sets the addresses.
        let _ = shared_addresses.set(addresses.clone());
        let served = self.serve_front(&api, front).await;
        self.stack
            .push_beside("API", deadline::API, move || async move {
                api.stop().await;
            });
        served?;
        Ok(addresses)
    }

    async fn serve_front(
        &self,
        api: &peerwork_api::Handle,
        front: Option<(Bound, Arc<FrontSide>)>,
    ) -> Result<(), StartError> {
        let wanted = self.config.relay.as_ref().and_then(|r| r.front.as_ref());
        let (Some(wanted), Some((bound, side))) = (wanted, front) else {
            return Ok(());
        };
        let service = Arc::clone(&side);
        api.serve_front(bound, &wanted.settings, service)
            .await
            .map_err(StartError::Api)?;
        Ok(side.write_config(&wanted.config_folders)?)
    }
}

/// Installs the TLS provider of the process: two providers are linked, so rustls cannot choose by
/// itself. A second call has no effect.
pub(crate) fn install_crypto_provider() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// Takes a data directory. Commands that look whether a node runs hold it for a moment.
async fn taken(path: &std::path::Path) -> Result<DataDir, DataDirError> {
    let end = Instant::now() + LOOKED_AT;
    loop {
        match DataDir::take(path) {
            Err(DataDirError::InUse(_)) if Instant::now() < end => {
                sleep(Duration::from_millis(20)).await;
            }
            taken => return taken,
        }
    }
}
