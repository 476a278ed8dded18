//! Opens the listeners and closes them in order.

use std::{io, net::SocketAddr, sync::Arc};

use crate::{
    admin::{self, Admin},
    config::{AdminPages, Config, JsonRpcConfig, OperatorConfig},
    front::{self, Bound, CertificateError, FrontConfig, FrontService, Opening},
    jsonrpc,
    listener::{Lifetime, Listener, Purpose, Wire, bind},
    metrics::{Metrics, SharedRegistry},
    operator,
    places::Places,
    services::NodeServices,
};

/// Connections of the metrics listener: a few scrapers and probes.
const METRICS_CONNECTIONS_MAX: usize = 64;
/// Further connections to the operator's and the metrics listener for callers on the same machine.
const LOCAL_PLACES: usize = 16;

/// Starts the API of a node.
#[derive(Debug)]
pub struct Server;

/// Why the API could not be started. Nothing stays open then.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A listener's address could not be taken.
    #[error("cannot listen on {address} for {purpose}{}", hint(source))]
    Bind {
        /// What the listener is for, with its flag.
        purpose: Purpose,
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A text in `cors_origins` is no origin.
    #[error("`{origin}` is no web origin: write `*`, or one like `https://example.org`")]
    Origin {
        /// The text.
        origin: String,
    },
    /// The certificate of the port for browsers cannot be used.
    #[error(transparent)]
    Certificate(CertificateError),
    /// The system has no more threads.
    #[error("reading a certificate: {0}")]
    Io(io::Error),
}

fn hint(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::AddrInUse => ": choose another port or stop the program that holds it",
        io::ErrorKind::AddrNotAvailable => ": this machine has no such address",
        io::ErrorKind::PermissionDenied => ": choose a port above 1023",
        _ => "",
    }
}

/// The running API. Dropping it cuts everything; [`Handle::stop`] lets open requests finish.
pub struct Handle {
    json_rpc: Option<SocketAddr>,
    operator: Option<SocketAddr>,
    metrics: Option<SocketAddr>,
    health: Option<operator::Health>,
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle")
            .field("json_rpc", &self.json_rpc)
            .field("operator", &self.operator)
            .field("metrics", &self.metrics)
            .finish_non_exhaustive()
    }
}

/// How a stop went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// Every request was answered.
    Drained,
    /// The deadline passed and open requests were cut.
    Cut,
}

struct Shared {
    config: Config,
    services: NodeServices,
    registry: SharedRegistry,
    metrics: Metrics,
    lifetime: Lifetime,
}

impl Server {
    /// Opens every configured listener and serves until [`Handle::stop`].
    ///
    /// Registers the API's metrics under `peerwork_api_` in `registry`: once per registry.
    ///
    /// # Errors
    /// When an address cannot be taken or an origin is malformed; then nothing stays open.
    pub async fn start(
        config: Config,
        services: NodeServices,
        registry: SharedRegistry,
    ) -> Result<Handle, StartError> {
        let shared = Arc::new(Shared {
            metrics: Metrics::register(&registry),
            lifetime: Lifetime::default(),
            config,
            services,
            registry,
        });
        let mut handle = Handle {
            json_rpc: None,
            operator: None,
            metrics: None,
            health: None,
            shared: Arc::clone(&shared),
        };
        if let Err(error) = shared.open(&mut handle).await {
            handle.cut().await;
            return Err(error);
        }
        Ok(handle)
    }
}

impl Shared {
    async fn open(&self, handle: &mut Handle) -> Result<(), StartError> {
        if let Some(json_rpc) = &self.config.json_rpc {
            handle.json_rpc = Some(self.start_json_rpc(json_rpc).await?);
        }
        if let Some(operator) = &self.config.operator {
            let (address, health) = self.start_operator(operator).await?;
            handle.operator = Some(address);
            handle.health = Some(health);
        }
        if let Some(address) = self.config.metrics_address {
            handle.metrics = Some(self.start_metrics(address).await?);
        }
        Ok(())
    }

    async fn start_json_rpc(&self, config: &JsonRpcConfig) -> Result<SocketAddr, StartError> {
        let endpoint = jsonrpc::Endpoint::new(
            self.services.clone(),
            self.metrics.clone(),
            self.lifetime.clone(),
            config,
            self.config.call_deadline,
        )?;
        let pages = match config.admin_pages {
            AdminPages::Served => Some(self.admin()),
            AdminPages::Absent => None,
        };
        let (socket, bound) = self.bind(Purpose::JsonRpc, config.address).await?;
        Listener {
            purpose: Purpose::JsonRpc,
            socket,
            router: endpoint.router(pages),
            opening: Opening::plain(),
            wire: Wire::Http1,
            places: Arc::new(Places::new(config.limits.connections_max, 0)),
            metrics: self.metrics.clone(),
            lifetime: self.lifetime.clone(),
        }
        .start();
        Ok(bound)
    }

    async fn start_operator(
        &self,
        config: &OperatorConfig,
    ) -> Result<(SocketAddr, operator::Health), StartError> {
        let (socket, bound) = self.bind(Purpose::Operator, config.address).await?;
        let (router, health) = operator::router(
            self.services.clone(),
            self.metrics.clone(),
            config,
            self.config.call_deadline,
        )
        .await;
        Listener {
            purpose: Purpose::Operator,
            socket,
            router,
            opening: Opening::plain(),
            wire: Wire::Http2 {
                streams_max: config.streams_max,
            },
            places: Arc::new(Places::new(config.connections_max, LOCAL_PLACES)),
            metrics: self.metrics.clone(),
            lifetime: self.lifetime.clone(),
        }
        .start();
        Ok((bound, health))
    }

    async fn start_metrics(&self, address: SocketAddr) -> Result<SocketAddr, StartError> {
        let (socket, bound) = self.bind(Purpose::Metrics, address).await?;
        Listener {
            purpose: Purpose::Metrics,
            socket,
            router: admin::router(self.admin()),
            opening: Opening::plain(),
            wire: Wire::Http1,
            places: Arc::new(Places::new(METRICS_CONNECTIONS_MAX, LOCAL_PLACES)),
            metrics: self.metrics.clone(),
            lifetime: self.lifetime.clone(),
        }
        .start();
        Ok(bound)
    }

    fn admin(&self) -> Admin {
        Admin {
            services: self.services.clone(),
            registry: Arc::clone(&self.registry),
            call_deadline: self.config.call_deadline,
        }
    }

    async fn bind(
        &self,
        purpose: Purpose,
        address: SocketAddr,
    ) -> Result<(tokio::net::TcpListener, SocketAddr), StartError> {
        let (socket, bound) = bind(address).await.map_err(|source| StartError::Bind {
            purpose,
            address,
            source,
        })?;
        tracing::info!(purpose = purpose.name(), %bound, "listening");
        Ok((socket, bound))
    }
}

impl Handle {
    /// Where JSON-RPC listens.
    #[must_use]
    pub fn json_rpc_address(&self) -> Option<SocketAddr> {
        self.json_rpc
    }

    /// Where the operator gRPC listens.
    #[must_use]
    pub fn operator_address(&self) -> Option<SocketAddr> {
        self.operator
    }

    /// Where the metrics listener listens.
    #[must_use]
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics
    }

    /// Serves a port for browsers until the stop.
    ///
    /// # Errors
    /// When the certificate cannot be used.
    pub async fn serve_front(
        &self,
        bound: Bound,
        config: &FrontConfig,
        service: Arc<dyn FrontService>,
    ) -> Result<(), StartError> {
        let shared = &self.shared;
        let (opening, router) = front::build(config, service, shared.admin()).await?;
        let (stop, keep) = (shared.lifetime.stop.clone(), opening.clone());
        shared.lifetime.tasks.spawn(async move {
            stop.run_until_cancelled(keep.keep_certificate()).await;
        });
        Listener {
            purpose: Purpose::Front,
            socket: bound.socket,
            opening,
            router,
            wire: Wire::Http1,
            places: Arc::new(
                Places::new(config.connections_max, LOCAL_PLACES).per_address(
                    config.connections_per_address_max,
                    config.proxies.networks(),
                ),
            ),
            metrics: shared.metrics.clone(),
            lifetime: shared.lifetime.clone(),
        }
        .start();
        Ok(())
    }

    /// Takes no more connections, lets open requests finish within the stop deadline, cuts the rest.
    pub async fn stop(mut self) -> Stopped {
        if let Some(health) = self.health.take() {
            health.stopping().await;
        }
        let Shared {
            lifetime, config, ..
        } = self.shared.as_ref();
        lifetime.stop.cancel();
        lifetime.tasks.close();
        let drained = tokio::time::timeout(config.stop_deadline, lifetime.tasks.wait()).await;
        if drained.is_ok() {
            return Stopped::Drained;
        }
        self.cut().await;
        Stopped::Cut
    }

    /// Every task ends at its next await once this is asked for.
    async fn cut(&self) {
        let lifetime = &self.shared.lifetime;
        lifetime.stop.cancel();
        lifetime.abort.cancel();
        lifetime.tasks.close();
        lifetime.tasks.wait().await;
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.lifetime.stop.cancel();
        self.shared.lifetime.abort.cancel();
    }
}
