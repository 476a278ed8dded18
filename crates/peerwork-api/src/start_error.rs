//! Errors at the start of the API.

use std::{io, net::SocketAddr};

use peerwork_listener::CertificateError;

use crate::purpose::Purpose;

/// Why the API could not be started. Nothing stays open then.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A listener's address could not be taken.
    #[error("cannot listen on {address} for {purpose}{}", hint(source))]
    Bind {
        /// The purpose of the listener, which has a flag.
        purpose: Purpose,
        /// The address asked for.
        address: SocketAddr,
        /// The error of the system.
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
