//! The port of a gateway, which belongs to the gateway alone.

use std::{future::Future, net::SocketAddr, sync::Arc};

use axum::body::Body;
use hyper::{Request, Response, body::Incoming};
use peerwork_listener::{Bounds, Caller, Config as ListenerConfig, Place, Serve};
use tokio::sync::Semaphore;

use super::{
    answer::{Gateway, GatewayLimits, Mode},
    host::Hosts,
    service::{GatewayService, Reach},
};
use crate::metrics::Metrics;

/// Settings of a gateway with a port of its own.
#[derive(Debug, Clone)]
pub struct GatewayConfig {
    /// The address to listen on; port 0 takes a free port.
    pub address: SocketAddr,
    /// DNS names that the gateway answers to, beside addresses and `localhost`.
    pub names: Vec<String>,
    /// Bounds and deadlines of connections; connections beyond the bounds get 503.
    pub http: ListenerConfig,
    /// Bounds of requests.
    pub limits: GatewayLimits,
    /// The places where blocks are looked for.
    pub reach: Reach,
}

impl GatewayConfig {
    /// A gateway at `address` that fetches missing blocks from the network.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            names: Vec::new(),
            http: ListenerConfig {
                bounds: Bounds {
                    connections_max: 256,
                    connections_per_address_max: 64,
                    local_places: 16,
                },
                ..ListenerConfig::default()
            },
            limits: GatewayLimits::default(),
            reach: Reach::Network,
        }
    }
}

/// The service of the port.
pub(crate) struct GatewayPort(Gateway);

impl GatewayPort {
    pub(crate) fn new(
        config: &GatewayConfig,
        bound: SocketAddr,
        service: Arc<dyn GatewayService>,
        metrics: Metrics,
    ) -> Self {
        Self(Gateway {
            service,
            limits: config.limits,
            mode: Mode::Port(Hosts::new(bound, &config.names)),
            reach: config.reach,
            places: Arc::new(Semaphore::new(config.limits.requests_max)),
            metrics: Some(metrics),
        })
    }
}

impl Serve for GatewayPort {
    type Session = Place;
    type Body = Body;

    fn begin(&self, _caller: Caller, place: Place) -> Self::Session {
        place
    }

    fn answer(
        self: Arc<Self>,
        _session: Arc<Self::Session>,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Body>> + Send + 'static {
        let (parts, _body) = request.into_parts();
        async move { self.0.answer(Request::from_parts(parts, ())).await }
    }
}
