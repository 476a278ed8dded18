//! The errors of starting a node.

use crate::{DataDirError, RelayConfigError};

/// A part of the node could not start; the parts before it are stopped again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The data directory could not be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The peer-to-peer network could not start.
    #[error("starting the network: {0}")]
    Network(#[source] Box<peerwork_net::error::StartError>),
    /// The token check of a closed relay could not start.
    #[error("serving the token check: {0}")]
    Access(#[source] peerwork_net::error::ServeError),
    /// The redemption of tickets could not start.
    #[error("serving the redemption of tickets: {0}")]
    Join(#[source] peerwork_net::error::ServeError),
    /// The tickets that were used could not be read.
    #[error("reading the tickets that were used: {0}")]
    UsedTickets(#[from] peerwork_ticket::UsedFileError),
    /// The directory of nodes could not start.
    #[error("starting the directory: {0}")]
    Directory(#[source] peerwork_directory::error::StartError),
    /// The HTTP ingress or the edge could not start.
    #[error("starting the tunnel: {0}")]
    Tunnel(#[source] peerwork_tunnel::StartError),
    /// The bearer keys could not be read.
    #[error("reading the bearer keys: {0}")]
    Keys(#[source] peerwork_tunnel::keys::KeyFileError),
    /// JSON-RPC, the operator API or metrics could not start.
    #[error(transparent)]
    Api(peerwork_api::StartError),
    /// The file `relay-config.json` could not be written.
    #[error(transparent)]
    RelayConfig(#[from] RelayConfigError),
    /// The WebRTC certificate of a node without a data directory could not be made.
    #[cfg(feature = "webrtc")]
    #[error(transparent)]
    Certificate(peerwork_net::webrtc::CertificateError),
    /// The content store could not be opened.
    #[error("opening the content store: {0}")]
    Store(#[from] crate::store::OpenError),
    /// The settings contradict each other.
    #[error("{0}")]
    Settings(String),
}
