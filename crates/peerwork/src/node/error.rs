//! Why a node does not start.

use crate::{DataDirError, RelayConfigError};

/// A part of the node could not start. Nothing runs then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The data directory.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The peer-to-peer network.
    #[error("starting the network: {0}")]
    Network(#[source] Box<peerwork_net::error::StartError>),
    /// Tokens of a closed relay.
    #[error("asking for tokens: {0}")]
    Access(#[source] peerwork_net::error::ServeError),
    /// The directory of nodes.
    #[error("starting the directory: {0}")]
    Directory(#[source] peerwork_directory::error::StartError),
    /// HTTP ingress or the edge side.
    #[error("starting the tunnel: {0}")]
    Tunnel(#[source] peerwork_tunnel::StartError),
    /// The bearer keys.
    #[error("reading the bearer keys: {0}")]
    Keys(#[source] peerwork_tunnel::keys::KeyFileError),
    /// The outside contracts.
    #[error(transparent)]
    Api(peerwork_api::StartError),
    /// `relay-config.json`.
    #[error(transparent)]
    RelayConfig(#[from] RelayConfigError),
    /// The certificate for WebRTC of a node without a data directory.
    #[cfg(feature = "webrtc")]
    #[error(transparent)]
    Certificate(peerwork_net::webrtc::CertificateError),
    /// The settings contradict each other.
    #[error("{0}")]
    Settings(String),
}
