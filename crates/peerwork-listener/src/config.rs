//! `Config` holds the settings of an HTTP port: TLS, trusted proxies, bounds and deadlines.

use std::{path::PathBuf, time::Duration};

use crate::Proxies;

/// Settings of an HTTP port. The defaults suit an API port.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Config {
    /// TLS and trusted proxies.
    pub preamble: Preamble,
    /// The numbers of connections that may be open at once.
    pub bounds: Bounds,
    /// The times that clients may take.
    pub deadlines: Deadlines,
    /// The letters of header names over HTTP/1.1.
    pub header_case: HeaderCase,
}

/// The letters of header names over HTTP/1.1, where names mean the same in capital and small letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HeaderCase {
    /// Names are written in small letters.
    #[default]
    Lower,
    /// Names keep the letters in which they arrived, and others begin each word with a capital, for
    /// programs that know only such names.
    Kept,
}

/// The protocols that may precede HTTP on a connection; by default none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Preamble {
    /// Certificate and key. With them the port accepts both TLS and plain HTTP; the first byte of a
    /// connection tells them apart.
    pub tls: Option<TlsFiles>,
    /// Trusted proxies, whose headers name the real client.
    pub proxies: Proxies,
    /// Whether those proxies begin each connection with a PROXY protocol header (version 1 or 2).
    pub proxy_protocol: bool,
}

/// The PEM files of a TLS certificate and its key; the port reads them again when they change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate chain, beginning with the certificate of the port.
    pub certificate: PathBuf,
    /// The private key of the certificate.
    pub key: PathBuf,
}

/// Bounds on the connections of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The number of connections open at once, with or without a request.
    pub connections_max: usize,
    /// The number of connections of one network address (an IPv4 address or an IPv6 /64).
    /// Connections from this machine and from trusted proxies are not counted; with the PROXY
    /// protocol, the client behind the proxy is.
    pub connections_per_address_max: usize,
    /// The number of further connections that this machine may open when all places are taken.
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
    /// The time from the accept until the first byte of HTTP, PROXY header and TLS handshake
    /// included.
    pub first_byte: Duration,
    /// The time from the first byte until the first complete request head, and for the head of each
    /// further HTTP/1.1 request.
    pub head: Duration,
    /// The time without a received byte after which a connection is closed; `None` keeps silent
    /// connections open.
    pub silence: Option<Duration>,
    /// The longest pause in the response to an HTTP/1.1 client that has ended its direction; then its
    /// connection is closed. Clients that leave end their direction too.
    pub half_closed: Duration,
    /// The time after which a client that reads no byte of a response loses its connection
    /// (HTTP/1.1, TLS, upgraded connections) or its stream (HTTP/2).
    pub stuck: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            first_byte: Duration::from_secs(10),
            head: Duration::from_secs(30),
            silence: Some(Duration::from_secs(150)),
            half_closed: Duration::from_secs(10),
            stuck: Duration::from_secs(60),
        }
    }
}

/// The versions of HTTP that a port speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// HTTP/1.1 alone.
    Http1,
    /// HTTP/2 alone, as gRPC needs.
    Http2 {
        /// The number of concurrent requests on one connection.
        streams_max: u32,
        /// The bytes of the header fields of one request.
        header_bytes_max: u32,
    },
    /// Both versions, chosen by ALPN over TLS and by the HTTP/2 preface without TLS. The service itself
    /// refuses HTTP/2 requests with more than [`HEADER_BYTES_MAX`](crate::HEADER_BYTES_MAX).
    Both,
}

impl Wire {
    /// The protocol names for ALPN, in order of preference.
    pub(crate) fn alpn(self) -> Vec<Vec<u8>> {
        let names: &[&str] = match self {
            Self::Http1 => &["http/1.1"],
            Self::Http2 { .. } => &["h2"],
            Self::Both => &["h2", "http/1.1"],
        };
        names.iter().map(|name| name.as_bytes().to_vec()).collect()
    }
}
