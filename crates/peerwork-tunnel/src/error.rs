//! Errors at the start of a part of the tunnel.

use std::{io, net::SocketAddr};

use peerwork_net::error::ServeError;

/// A part of the tunnel could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The address cannot be bound: it is taken, not this machine's, or not permitted.
    #[error("cannot listen on {address}; end what listens there, or name another address or port")]
    Listen {
        /// The address that was to be bound.
        address: SocketAddr,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The address of an app's own port cannot be bound.
    #[error(
        "cannot listen on {address} for the app {app}; end what listens there, or change the address in \
         app-listen"
    )]
    AppListen {
        /// The address that was to be bound.
        address: SocketAddr,
        /// The app, as `node:port`.
        app: String,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The certificate of the ingress cannot be read or used.
    #[error("TLS of the ingress")]
    Certificate(#[from] peerwork_listener::CertificateError),
    /// The tunnel protocol cannot be served.
    #[error("serving tunnels")]
    Serve(#[from] ServeError),
    /// A setting is outside its bounds.
    #[error("setting {setting}: {reason}")]
    Setting {
        /// The setting's name.
        setting: &'static str,
        /// The mistake in it.
        reason: String,
    },
}
