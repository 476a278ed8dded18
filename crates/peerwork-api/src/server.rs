//! `Server` opens the listeners of the API, and `Handle` stops them.

use std::{net::SocketAddr, sync::Arc};

use axum::Router;
use peerwork_listener::{
    Bound, Bounds, Config as ListenerConfig, Lifetime, Listener, Serve, Stopped, Wire,
};

use crate::{
    admin::{self, Admin},
    config::{AdminPages, Config, JsonRpcConfig, OperatorConfig},
    front::{self, FrontService},
    gateway::{GatewayConfig, GatewayPort, GatewayService},
    jsonrpc,
    metrics::{Metrics, SharedRegistry},
    operator,
    purpose::Purpose,
    routes::Routes,
    services::NodeServices,
    start_error::StartError,
};

/// The bounds of the metrics listener, which serves a few scrapers and probes.
const METRICS_BOUNDS: Bounds = Bounds {
    connections_max: 64,
    connections_per_address_max: 32,
    local_places: 16,
};
/// The largest size of the header fields of one gRPC call, in bytes.
const GRPC_HEADER_BYTES_MAX: u32 = 16 * 1024;

/// Starts the API of a node.
#[derive(Debug)]
pub struct Server;

/// The running API. Dropping it aborts all requests; [`Handle::stop`] lets open requests finish.
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
    /// The metrics of the API are registered under `peerwork_api_` in `registry`; call this once
    /// per registry.
    ///
    /// # Errors
    /// [`StartError`] when an address cannot be bound or an origin is malformed; no listener stays
    /// open then.
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
            shared.lifetime.cut().await;
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
        let bound = bind(Purpose::JsonRpc, config.address).await?;
        let address = bound.address();
        let (settings, router) = (config.http.clone(), jsonrpc::router(endpoint, pages));
        self.serve(Purpose::JsonRpc, bound, settings, Wire::Http1, router)
            .await?;
        Ok(address)
    }

    async fn start_operator(
        &self,
        config: &OperatorConfig,
    ) -> Result<(SocketAddr, operator::Health), StartError> {
        let bound = bind(Purpose::Operator, config.address).await?;
        let address = bound.address();
        let (router, health) = operator::router(
            self.services.clone(),
            self.metrics.clone(),
            config,
            self.config.call_deadline,
        )
        .await;
        let wire = Wire::Http2 {
            streams_max: config.streams_max,
            header_bytes_max: GRPC_HEADER_BYTES_MAX,
        };
        self.serve(Purpose::Operator, bound, config.http.clone(), wire, router)
            .await?;
        Ok((address, health))
    }

    async fn start_metrics(&self, address: SocketAddr) -> Result<SocketAddr, StartError> {
        let bound = bind(Purpose::Metrics, address).await?;
        let address = bound.address();
        let settings = ListenerConfig {
            bounds: METRICS_BOUNDS,
            ..ListenerConfig::default()
        };
        let router = admin::router(self.admin());
        self.serve(Purpose::Metrics, bound, settings, Wire::Http1, router)
            .await?;
        Ok(address)
    }

    async fn serve(
        &self,
        purpose: Purpose,
        bound: Bound,
        config: ListenerConfig,
        wire: Wire,
        router: Router,
    ) -> Result<(), StartError> {
        self.listen(purpose, bound, config, wire, Routes(router))
            .await
    }

    async fn listen(
        &self,
        purpose: Purpose,
        bound: Bound,
        config: ListenerConfig,
        wire: Wire,
        serve: impl Serve,
    ) -> Result<(), StartError> {
        let listener = Listener {
            name: purpose.name(),
            bound,
            config,
            wire,
            serve: Arc::new(serve),
            counters: self.metrics.connections_of(purpose.name()),
            lifetime: self.lifetime.clone(),
        };
        listener.start().await?;
        Ok(())
    }

    fn admin(&self) -> Admin {
        Admin {
            services: self.services.clone(),
            registry: Arc::clone(&self.registry),
            call_deadline: self.config.call_deadline,
        }
    }
}

async fn bind(purpose: Purpose, address: SocketAddr) -> Result<Bound, StartError> {
    let bound = Bound::take(address).await;
    let bound = bound.map_err(|source| StartError::Bind {
        purpose,
        address,
        source,
    })?;
    tracing::info!(purpose = purpose.name(), bound = %bound.address(), "listening");
    Ok(bound)
}

/// Binds a port for browsers, which [`Handle::serve_front`] serves later; port 0 takes a free port.
///
/// # Errors
/// [`StartError::Bind`] when the address cannot be bound.
pub async fn bind_front(address: SocketAddr) -> Result<Bound, StartError> {
    bind(Purpose::Front, address).await
}

impl Handle {
    /// The address of the JSON-RPC listener.
    #[must_use]
    pub fn json_rpc_address(&self) -> Option<SocketAddr> {
        self.json_rpc
    }

    /// The address of the operator gRPC listener.
    #[must_use]
    pub fn operator_address(&self) -> Option<SocketAddr> {
        self.operator
    }

    /// The address of the listener for metrics and health.
    #[must_use]
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics
    }

    /// Serves a port for browsers until the stop.
    ///
    /// # Errors
    /// [`StartError::Certificate`] when the certificate cannot be used.
    pub async fn serve_front(
        &self,
        bound: Bound,
        config: &ListenerConfig,
        service: Arc<dyn FrontService>,
    ) -> Result<(), StartError> {
        let shared = &self.shared;
        let router = front::router(&config.preamble.proxies, service, shared.admin());
        shared
            .serve(Purpose::Front, bound, config.clone(), Wire::Http1, router)
            .await
    }

    /// Serves a gateway at a port of its own until the stop, and gives the address of the port.
    ///
    /// # Errors
    /// [`StartError::Bind`] when the address cannot be bound, [`StartError::Certificate`] when the
    /// certificate cannot be used.
    pub async fn serve_gateway(
        &self,
        config: &GatewayConfig,
        service: Arc<dyn GatewayService>,
    ) -> Result<SocketAddr, StartError> {
        let shared = &self.shared;
        let bound = bind(Purpose::Gateway, config.address).await?;
        let address = bound.address();
        let port = GatewayPort::new(config, address, service, shared.metrics.clone());
        let (http, wire) = (config.http.clone(), Wire::Http1);
        shared
            .listen(Purpose::Gateway, bound, http, wire, port)
            .await?;
        Ok(address)
    }

    /// Accepts no more connections, lets open requests finish within the stop deadline, and aborts
    /// the rest.
    pub async fn stop(mut self) -> Stopped {
        if let Some(health) = self.health.take() {
            health.stopping().await;
        }
        let Shared {
            lifetime, config, ..
        } = self.shared.as_ref();
        lifetime.stop(config.stop_deadline).await
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.lifetime.cut_now();
    }
}
