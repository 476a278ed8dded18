//! This module serves gRPC `v1.System`, the service of EdgeMatrix's operators, from several
//! domains.
//!
//! The service gets no further methods: a new domain gets a gRPC service of its own.

use tonic::{Request, Response, Status, async_trait};

use super::{
    calls::Calls,
    v1::{self, system_server::System},
};
use crate::{node, peers, relays, services::NodeServices};

/// The gRPC service `v1.System`.
pub(super) struct SystemService {
    pub(super) services: NodeServices,
    pub(super) calls: Calls,
}

#[async_trait]
impl System for SystemService {
    async fn get_status(&self, _: Request<()>) -> Result<Response<v1::ServerStatus>, Status> {
        let call = async { self.services.node()?.status().await };
        self.calls
            .answer("GetStatus", call, node::grpc::status)
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
        let call = async { self.services.peers()?.add(&address).await };
        self.calls.answer("PeersAdd", call, added).await
    }

    async fn peers_list(&self, _: Request<()>) -> Result<Response<v1::PeersListResponse>, Status> {
        let call = async { self.services.peers()?.list().await };
        self.calls
            .answer("PeersList", call, peers::grpc::peers)
            .await
    }

    async fn peers_status(
        &self,
        request: Request<v1::PeersStatusRequest>,
    ) -> Result<Response<v1::Peer>, Status> {
        let id = request.into_inner().id;
        let call = async { self.services.peers()?.get(&id).await };
        self.calls
            .answer("PeersStatus", call, peers::grpc::peer)
            .await
    }

    async fn peers_relay_list(
        &self,
        _: Request<()>,
    ) -> Result<Response<v1::PeersListResponse>, Status> {
        let call = async { self.services.relays()?.known().await };
        self.calls
            .answer("PeersRelayList", call, peers::grpc::peers)
            .await
    }

    async fn relay_status(&self, _: Request<()>) -> Result<Response<v1::Peer>, Status> {
        let relay = |relay: Option<_>| relay.map(peers::grpc::peer).unwrap_or_default();
        let call = async { self.services.relays()?.held().await };
        self.calls.answer("RelayStatus", call, relay).await
    }

    async fn relay_connections(
        &self,
        _: Request<()>,
    ) -> Result<Response<v1::RelayConnectionsCount>, Status> {
        let call = async { self.services.relays()?.connections().await };
        self.calls
            .answer("RelayConnections", call, relays::grpc::relay_connections)
            .await
    }
}
