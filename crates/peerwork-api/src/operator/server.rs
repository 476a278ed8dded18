//! This module assembles the gRPC services: System, one for each further domain, reflection (v1 and
//! v1alpha), health.

use std::time::Duration;

use axum::{Router, middleware};
use tonic::service::Routes;
use tonic_health::{ServingStatus, server::HealthReporter};

use super::{
    ANSWER_BYTES_MAX, FILE_DESCRIPTOR_SET, REQUEST_BYTES_MAX,
    access::{self, Access},
    calls::Calls,
    system::SystemService,
    v1::system_server::SystemServer,
};
use crate::{
    config::OperatorConfig, directory, invitations, metrics::Metrics, services::NodeServices, store,
};

/// Reports the state of the server to gRPC health watchers.
#[derive(Debug, Clone)]
pub(crate) struct Health(HealthReporter);

/// The service name by which health checks ask for the whole server, beside `v1.System`.
const WHOLE_SERVER: &str = "";

impl Health {
    /// Makes health checks answer `NOT_SERVING` from here on, so that clients send no further
    /// calls.
    pub(crate) async fn stopping(&self) {
        self.0
            .set_service_status(WHOLE_SERVER, ServingStatus::NotServing)
            .await;
        self.0
            .set_not_serving::<SystemServer<SystemService>>()
            .await;
    }
}

/// All gRPC services of the listener, behind its access rule.
pub(crate) async fn router(
    services: NodeServices,
    metrics: Metrics,
    config: &OperatorConfig,
    call_deadline: Duration,
) -> (Router, Health) {
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<SystemServer<SystemService>>().await;
    let calls = Calls::new(metrics, call_deadline);
    let system = SystemServer::new(SystemService {
        services: services.clone(),
        calls: calls.clone(),
    })
    .max_decoding_message_size(REQUEST_BYTES_MAX)
    .max_encoding_message_size(ANSWER_BYTES_MAX);
    let routes = Routes::new(system)
        .add_service(directory::grpc::server(services.clone(), calls.clone()))
        .add_service(invitations::grpc::server(services.clone(), calls.clone()))
        .add_service(store::grpc::server(services, calls))
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
