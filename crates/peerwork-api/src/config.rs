//! Settings of the API: addresses, limits and deadlines, with safe defaults.

use std::{fmt, net::SocketAddr, time::Duration};

use peerwork_listener::{Bounds, Config as ListenerConfig};
use subtle::ConstantTimeEq as _;

/// Which contracts are opened, where, and how a stop is bounded.
#[derive(Debug, Clone)]
pub struct Config {
    /// JSON-RPC over HTTP and WebSocket; `None` opens none.
    pub json_rpc: Option<JsonRpcConfig>,
    /// Operator gRPC; `None` opens none.
    pub operator: Option<OperatorConfig>,
    /// A listener of its own for `/metrics`, `/healthz` and `/readyz`; `None` opens none.
    pub metrics_address: Option<SocketAddr>,
    /// How long one call of the service may take.
    pub call_deadline: Duration,
    /// How long open requests may go on once the server is asked to stop; then they are cut.
    pub stop_deadline: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            json_rpc: None,
            operator: None,
            metrics_address: None,
            call_deadline: Duration::from_secs(10),
            stop_deadline: Duration::from_secs(2),
        }
    }
}

/// The JSON-RPC listener.
#[derive(Debug, Clone)]
pub struct JsonRpcConfig {
    /// The address to listen on; port 0 takes a free port.
    pub address: SocketAddr,
    /// Bounds and deadlines of its connections, WebSockets included; further ones get 503.
    pub http: ListenerConfig,
    /// Web origins whose pages may call, as in `https://example.org`; `*` is any, empty is none.
    /// Programs that send no `Origin` are not concerned.
    pub cors_origins: Vec<String>,
    /// Whether this listener also answers `/metrics`, `/healthz` and `/readyz`.
    pub admin_pages: AdminPages,
    /// Bounds of requests and WebSockets.
    pub limits: JsonRpcLimits,
}

impl JsonRpcConfig {
    /// A listener on `address` for programs and for no web page, with the admin pages.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            http: ListenerConfig {
                bounds: Bounds {
                    local_places: 0,
                    ..Bounds::default()
                },
                ..ListenerConfig::default()
            },
            cors_origins: Vec::new(),
            admin_pages: AdminPages::Served,
            limits: JsonRpcLimits::default(),
        }
    }
}

/// Whether a listener also answers the admin pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdminPages {
    /// It does.
    Served,
    /// It does not.
    Absent,
}

/// Bounds of JSON-RPC. The defaults keep all sockets together under 2 GiB in the worst case: the
/// listener's 1024 connections with one message of up to 2 MiB being read; waiting events are shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonRpcLimits {
    /// Bytes of an HTTP body or of a WebSocket message.
    pub request_bytes_max: usize,
    /// Requests in a batch.
    pub batch_max: usize,
    /// Subscriptions of one WebSocket.
    pub subscriptions_max: usize,
    /// Messages waiting for one WebSocket; its socket is closed when an event finds no place.
    pub queue_max: usize,
    /// How long a client may take to accept one message.
    pub write_deadline: Duration,
    /// How long a client may take to send one request body.
    pub read_deadline: Duration,
    /// Pause between pings; a socket that stays silent for two of them is closed.
    pub ping_interval: Duration,
}

impl Default for JsonRpcLimits {
    fn default() -> Self {
        Self {
            request_bytes_max: 1024 * 1024,
            batch_max: 20,
            subscriptions_max: 64,
            queue_max: 1024,
            write_deadline: Duration::from_secs(10),
            read_deadline: Duration::from_secs(30),
            ping_interval: Duration::from_secs(30),
        }
    }
}

/// The operator gRPC listener.
#[derive(Debug, Clone)]
pub struct OperatorConfig {
    /// The address to listen on; port 0 takes a free port.
    pub address: SocketAddr,
    /// Bounds and deadlines of its connections; further ones are closed.
    pub http: ListenerConfig,
    /// The token that callers from elsewhere show; without a token such callers are always refused.
    pub token: Option<OperatorToken>,
    /// Whether callers on this machine need the token too.
    pub loopback: Loopback,
    /// Calls at a time on one connection.
    pub streams_max: u32,
}

impl OperatorConfig {
    /// A listener on `address` that trusts callers on this machine.
    #[must_use]
    pub fn new(address: SocketAddr, token: Option<OperatorToken>) -> Self {
        Self {
            address,
            token,
            http: ListenerConfig {
                bounds: Bounds {
                    connections_max: 128,
                    connections_per_address_max: 64,
                    local_places: 16,
                },
                ..ListenerConfig::default()
            },
            loopback: Loopback::Trusted,
            streams_max: 64,
        }
    }
}

/// How callers from the loopback address are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loopback {
    /// They may call without the token.
    Trusted,
    /// They need the token like everyone: for machines that are shared, or behind a local proxy.
    NeedsToken,
}

/// The secret that lets an operator call from elsewhere. Never shown by `Debug`.
#[derive(Clone)]
pub struct OperatorToken(String);

/// Shorter tokens can be guessed.
const TOKEN_BYTES_MIN: usize = 16;

/// Why a text is no operator token.
#[derive(Debug, thiserror::Error)]
#[error("an operator token is {TOKEN_BYTES_MIN} or more visible ASCII characters")]
pub struct TokenError;

impl OperatorToken {
    /// Takes the token from its text; surrounding white space does not count.
    ///
    /// # Errors
    /// When the text is shorter than 16 characters or holds anything but visible ASCII.
    pub fn new(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        if text.len() < TOKEN_BYTES_MIN || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(TokenError);
        }
        Ok(Self(text.to_owned()))
    }

    /// Compares in a time that does not depend on where the difference is.
    pub(crate) fn matches(&self, shown: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(shown).into()
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for OperatorToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OperatorToken(…)")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_token_is_long_enough_and_stays_secret() {
        assert!(OperatorToken::new("fifteen-chars-x").is_err());
        assert!(OperatorToken::new("sixteen chars xx").is_err());
        let token = OperatorToken::new(" sixteen-chars-xx\n").unwrap();
        assert!(token.matches(b"sixteen-chars-xx"));
        assert!(!token.matches(b"sixteen-chars-xy"));
        assert!(!token.matches(b"sixteen-chars-x"));
        assert!(!token.matches(b""));
        assert!(!format!("{token:?}").contains("sixteen"));
    }
}
