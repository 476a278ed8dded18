//! The gRPC services: System, reflection (v1 and v1alpha), health.

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Router, middleware};
use tonic::{Request, Response, Status, async_trait, service::Routes};
use tonic_health::{ServingStatus, server::HealthReporter};

use super::{
    ANSWER_BYTES_MAX, FILE_DESCRIPTOR_SET, REQUEST_BYTES_MAX,
    access::{self, Access},
    convert,
    v1::{
        self,
        system_server::{System, SystemServer},
    },
};
use crate::{
    config::OperatorConfig,
    deadline::within,
    metrics::{Contract, Metrics, Outcome, log_failure},
    service::{NodeService, ServiceError},
};

/// Tells health watchers how the server is.
#[derive(Debug, Clone)]
pub(crate) struct Health(HealthReporter);

/// The health name of the whole server, next to that of `v1.System`.
const WHOLE_SERVER: &str = "";

impl Health {
    /// From here on health checks answer that nobody should send more.
    pub(crate) async fn stopping(&self) {
        self.0
            .set_service_status(WHOLE_SERVER, ServingStatus::NotServing)
            .await;
        self.0.set_not_serving::<SystemServer<Operator>>().await;
    }
}

/// All services of the listener behind its access rule.
pub(crate) async fn router(
    service: Arc<dyn NodeService>,
    metrics: Metrics,
    config: &OperatorConfig,
    call_deadline: Duration,
) -> (Router, Health) {
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<SystemServer<Operator>>().await;
    let system = SystemServer::new(Operator {
        service,
        metrics,
        call_deadline,
    })
    .max_decoding_message_size(REQUEST_BYTES_MAX)
    .max_encoding_message_size(ANSWER_BYTES_MAX);
    let routes = Routes::new(system)
        .add_service(health_service.max_decoding_message_size(REQUEST_BYTES_MAX))
        .add_service(
            reflection()
                .build_v1()
                .expect("invariant: the descriptors were encoded by the build")
                .max_decoding_message_size(REQUEST_BYTES_MAX),
        )
        .add_service(
            reflection()
                .build_v1alpha()
                .expect("invariant: the descriptors were encoded by the build")
                .max_decoding_message_size(REQUEST_BYTES_MAX),
        );
    let guard = middleware::from_fn_with_state(Access::new(config), access::guard);
    (
        routes.prepare().into_axum_router().layer(guard),
        Health(health),
    )
}

fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}

/// `v1.System` over the node's service.
pub(crate) struct Operator {
    service: Arc<dyn NodeService>,
    metrics: Metrics,
    call_deadline: Duration,
}

impl Operator {
    async fn answer<T, M>(
        &self,
        method: &'static str,
        call: impl Future<Output = Result<T, ServiceError>> + Send,
        convert: impl FnOnce(T) -> M,
    ) -> Result<Response<M>, Status> {
        let started = Instant::now();
        let answer = within(self.call_deadline, call).await;
        let outcome = answer
            .as_ref()
            .map_or_else(|error| error.kind.into(), |_| Outcome::Ok);
        self.metrics
            .finished(Contract::Operator, method, outcome, started);
        match answer {
            Ok(value) => Ok(Response::new(convert(value))),
            Err(error) => {
                log_failure(method, &error);
                Err(error.into())
            }
        }
    }
}

#[async_trait]
impl System for Operator {
    async fn get_status(&self, _: Request<()>) -> Result<Response<v1::ServerStatus>, Status> {
        self.answer("GetStatus", self.service.status(), convert::status)
            .await
    }

    async fn peers_add(
        &self,
        request: Request<v1::PeersAddRequest>,
    ) -> Result<Response<v1::PeersAddResponse>, Status> {
        let address = request.into_inner().id;
        let added = |()| v1::PeersAddResponse {
            message: "Peer address marked ready for dialing".to_owned(),
        };
        self.answer("PeersAdd", self.service.add_peer(&address), added)
            .await
    }

    async fn peers_list(&self, _: Request<()>) -> Result<Response<v1::PeersListResponse>, Status> {
        self.answer("PeersList", self.service.peers(), convert::peers)
            .await
    }

    async fn peers_status(
        &self,
        request: Request<v1::PeersStatusRequest>,
    ) -> Result<Response<v1::Peer>, Status> {
        let id = request.into_inner().id;
        self.answer("PeersStatus", self.service.peer(&id), convert::peer)
            .await
    }

    async fn peers_relay_list(
        &self,
        _: Request<()>,
    ) -> Result<Response<v1::PeersListResponse>, Status> {
        self.answer("PeersRelayList", self.service.relays(), convert::peers)
            .await
    }

    async fn relay_status(&self, _: Request<()>) -> Result<Response<v1::Peer>, Status> {
        let relay = |relay: Option<_>| relay.map(convert::peer).unwrap_or_default();
        self.answer("RelayStatus", self.service.relay_status(), relay)
            .await
    }

    async fn relay_connections(
        &self,
        _: Request<()>,
    ) -> Result<Response<v1::RelayConnectionsCount>, Status> {
        let call = self.service.relay_connections();
        self.answer("RelayConnections", call, convert::relay_connections)
            .await
    }
}
