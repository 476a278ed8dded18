//! `Config` holds the settings of the API: addresses, limits and deadlines, with safe defaults.

use std::{fmt, net::SocketAddr, time::Duration};

use peerwork_listener::{Bounds, Config as ListenerConfig};
use subtle::ConstantTimeEq as _;

/// The listeners to open, their addresses, and the deadlines of calls and of the stop.
#[derive(Debug, Clone)]
pub struct Config {
    /// The JSON-RPC listener for HTTP and WebSocket; `None` opens none.
    pub json_rpc: Option<JsonRpcConfig>,
    /// The operator gRPC listener; `None` opens none.
    pub operator: Option<OperatorConfig>,
    /// The address of a separate listener for `/metrics`, `/healthz` and `/readyz`; `None` opens
    /// none.
    pub metrics_address: Option<SocketAddr>,
    /// The time that one call of a service may take.
    pub call_deadline: Duration,
    /// The time that open requests get to finish after the server was asked to stop; then they are
    /// aborted.
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

/// Settings of the JSON-RPC listener.
#[derive(Debug, Clone)]
pub struct JsonRpcConfig {
    /// The address to listen on; port 0 takes a free port.
    pub address: SocketAddr,
    /// Bounds and deadlines of connections, WebSockets included; connections beyond the bounds get
    /// 503.
    pub http: ListenerConfig,
    /// Web origins whose pages may send requests, as in `https://example.org`; `*` allows any
    /// origin, an empty list allows none. Programs that send no `Origin` header are always allowed.
    pub cors_origins: Vec<String>,
    /// Whether this listener also answers `/metrics`, `/healthz` and `/readyz`.
    pub admin_pages: AdminPages,
    /// Bounds of requests and WebSockets.
    pub limits: JsonRpcLimits,
}

impl JsonRpcConfig {
    /// Settings for a listener on `address` that programs may use and web pages may not, with the
    /// admin pages.
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
    /// The listener serves the admin pages.
    Served,
    /// The listener does not serve the admin pages.
    Absent,
}

/// Bounds of JSON-RPC requests and WebSockets. With the defaults all sockets together need less
/// than 2 GiB of memory in the worst case: each of the listener's 1024 connections receives one
/// message of up to 2 MiB. Queued events are shared by all sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonRpcLimits {
    /// The size of an HTTP body or of a WebSocket message, in bytes.
    pub request_bytes_max: usize,
    /// The number of requests in a batch.
    pub batch_max: usize,
    /// The number of subscriptions of one WebSocket.
    pub subscriptions_max: usize,
    /// The number of messages queued for one WebSocket; the socket is closed when an event finds
    /// the queue full.
    pub queue_max: usize,
    /// The time that a client may take to receive one message.
    pub write_deadline: Duration,
    /// The time that a client may take to send one request body.
    pub read_deadline: Duration,
    /// The pause between pings; a socket from which nothing arrives for two pauses is closed.
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

/// Settings of the operator gRPC listener.
#[derive(Debug, Clone)]
pub struct OperatorConfig {
    /// The address to listen on; port 0 takes a free port.
    pub address: SocketAddr,
    /// Bounds and deadlines of connections; connections beyond the bounds are closed.
    pub http: ListenerConfig,
    /// The token that callers on other machines must send; without a configured token such callers
    /// are always refused.
    pub token: Option<OperatorToken>,
    /// Whether callers on this machine need the token too.
    pub loopback: Loopback,
    /// The number of concurrent calls on one connection.
    pub streams_max: u32,
}

impl OperatorConfig {
    /// Settings for a listener on `address` that lets callers on this machine in without a token.
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

/// The treatment of callers from the loopback address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loopback {
    /// Local callers need no token.
    Trusted,
    /// Local callers need the token like all others: for shared machines, or behind a local proxy.
    NeedsToken,
}

/// The secret with which an operator calls from another machine. `Debug` does not print it.
#[derive(Clone)]
pub struct OperatorToken(String);

/// The shortest allowed token, in bytes; shorter tokens can be guessed.
const TOKEN_BYTES_MIN: usize = 16;

/// The text is not a valid operator token.
#[derive(Debug, thiserror::Error)]
#[error("an operator token is {TOKEN_BYTES_MIN} or more visible ASCII characters")]
pub struct TokenError;

impl OperatorToken {
    /// Creates the token from its text, without surrounding white space.
    ///
    /// # Errors
    /// [`TokenError`] when the text is shorter than 16 characters or holds anything but visible
    /// ASCII.
    pub fn new(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        if text.len() < TOKEN_BYTES_MIN || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(TokenError);
        }
        Ok(Self(text.to_owned()))
    }

    /// Compares in constant time, so that the duration does not reveal where the texts differ.
    pub(crate) fn matches(&self, candidate: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(candidate).into()
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
