//! Settings of an HTTP port.

use std::{path::PathBuf, time::Duration};

use crate::Proxies;

/// Settings of an HTTP port. The defaults suit an API port.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Config {
    /// TLS and trusted proxies.
    pub preamble: Preamble,
    /// How many connections are open at once.
    pub bounds: Bounds,
    /// How long clients may take.
    pub deadlines: Deadlines,
}

/// Everything that a connection may carry before its first HTTP byte; by default nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Preamble {
    /// Certificate and key. With them the port speaks TLS as well as plain HTTP: the first byte of a
    /// connection tells which.
    pub tls: Option<TlsFiles>,
    /// Proxies whose statements about their clients are believed.
    pub proxies: Proxies,
    /// Whether those proxies begin each connection with a PROXY protocol header (version 1 or 2).
    pub proxy_protocol: bool,
}

/// Files of a TLS certificate, both PEM; they are read again when they change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain, the certificate of the port first.
    pub certificate: PathBuf,
    /// The private key of the certificate.
    pub key: PathBuf,
}

/// Bounds on the connections of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Connections open at once, with or without a request.
    pub connections_max: usize,
    /// Connections of one network address (an IPv4 address, an IPv6 /64). Connections from this
    /// machine and from trusted proxies are not counted; behind the PROXY protocol the client's are.
    pub connections_per_address_max: usize,
    /// Further connections from this machine when all places are taken.
    pub local_places: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connections_max: 1024,
            connections_per_address_max: 256,
            local_places: 16,
        }
    }
}

/// Deadlines of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// From the accept until the first byte of HTTP: PROXY header and TLS handshake included.
    pub first_byte: Duration,
    /// From then until the first request, and for the head of each further HTTP/1.1 request.
    pub head: Duration,
    /// A connection on which no byte arrives for this long is cut; `None` never cuts for silence.
    pub silence: Option<Duration>,
    /// A client that takes no byte of an answer for this long loses its connection (HTTP/1.1, TLS,
    /// upgraded connections) or its stream (HTTP/2).
    pub stuck: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            first_byte: Duration::from_secs(10),
            head: Duration::from_secs(30),
            silence: Some(Duration::from_secs(150)),
            stuck: Duration::from_secs(60),
        }
    }
}

/// The versions of HTTP that a port speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// HTTP/1.1 alone.
    Http1,
    /// HTTP/2 alone, as gRPC needs it.
    Http2 {
        /// Requests at once on one connection.
        streams_max: u32,
        /// Bytes of the header fields of one request.
        header_bytes_max: u32,
    },
    /// Both: by ALPN over TLS, by the HTTP/2 preface without.
    Both,
}

impl Wire {
    /// The protocol names for ALPN, the preferred first.
    pub(crate) fn alpn(self) -> Vec<Vec<u8>> {
        let names: &[&str] = match self {
            Self::Http1 => &["http/1.1"],
            Self::Http2 { .. } => &["h2"],
            Self::Both => &["h2", "http/1.1"],
        };
        names.iter().map(|name| name.as_bytes().to_vec()).collect()
    }
}
