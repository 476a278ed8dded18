//! `Purpose` names what a listener is for, with its command-line flag and its metrics label.

use std::fmt;

/// The purpose of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// JSON-RPC over HTTP and WebSocket.
    JsonRpc,
    /// Operator gRPC.
    Operator,
    /// Metrics and health pages.
    Metrics,
    /// WebSockets for the network, and the status pages of a relay.
    Front,
    /// The HTTP gateway to content.
    Gateway,
}

impl Purpose {
    /// The command-line flag that sets the address.
    #[must_use]
    pub fn flag(self) -> &'static str {
        match self {
            Self::JsonRpc => "--jsonrpc",
            Self::Operator => "--grpc-address",
            Self::Metrics => "--metrics",
            Self::Front => "--websocket",
            Self::Gateway => "--gateway",
        }
    }

    /// The label in metrics and in the list of endpoints.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::JsonRpc => "json-rpc",
            Self::Operator => "operator",
            Self::Metrics => "metrics",
            Self::Front => "relay-front",
            Self::Gateway => "gateway",
        }
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.flag())
    }
}
