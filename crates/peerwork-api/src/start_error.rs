//! `StartError` describes a failed start of the API.

use std::{io, net::SocketAddr};

use peerwork_listener::CertificateError;

use crate::purpose::Purpose;

/// The reason why the API could not be started. No listener stays open then.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address of a listener could not be bound.
    #[error("cannot listen on {address} for {purpose}{}", hint(source))]
    Bind {
        /// The purpose of the listener, which tells the flag to change.
        purpose: Purpose,
        /// The configured address.
        address: SocketAddr,
        /// The error of the system.
        source: io::Error,
    },
    /// A text in `cors_origins` is not a web origin.
    #[error("`{origin}` is no web origin: write `*`, or one like `https://example.org`")]
    Origin {
        /// The malformed text.
        origin: String,
    },
    /// The certificate of the port for browsers cannot be used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

fn hint(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::AddrInUse => ": choose another port or stop the program that holds it",
        io::ErrorKind::AddrNotAvailable => ": this machine has no such address",
        io::ErrorKind::PermissionDenied => ": choose a port above 1023",
        _ => "",
    }
}
