//! This module connects to a node's operator gRPC, for the command line and for programs of
//! operators.

use std::time::Duration;

use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint},
};

use super::{ANSWER_BYTES_MAX, v1::system_client::SystemClient};
use crate::config::OperatorToken;

/// A connected gRPC client of `v1.System`.
pub type Client = SystemClient<Connection>;

/// A connection to a node's operator gRPC, shared by the clients of all its services; cloning is
/// cheap.
pub type Connection = InterceptedService<Channel, Bearer>;

/// Adds the operator token to every call, if a token is set.
#[derive(Clone)]
#[doc(hidden)]
pub struct Bearer(Option<MetadataValue<Ascii>>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request
                .metadata_mut()
                .insert("authorization", value.clone());
        }
        Ok(request)
    }
}

/// The reason why no connection to a node was made.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The text is not an address.
    #[error("`{address}` is no address: write it like 127.0.0.1:50000")]
    Address {
        /// The given text.
        address: String,
    },
    /// No node answers at the address.
    #[error("no node answers at {address}: start one, or name its --grpc-address")]
    Unreachable {
        /// The address that was dialled.
        address: String,
        /// The error of the connection.
        source: tonic::transport::Error,
    },
    /// The connection was not made in time.
    #[error("no node answered at {address} within {deadline:?}")]
    Deadline {
        /// The address that was dialled.
        address: String,
        /// The deadline that passed.
        deadline: Duration,
    },
}

/// Connects to the node at `address`, `host:port`.
///
/// `deadline` limits the connection attempt, and also each call of the client.
///
/// # Errors
/// [`ConnectError`] when the address is malformed, or no connection could be made in time.
pub async fn connect(
    address: &str,
    token: Option<&OperatorToken>,
    deadline: Duration,
) -> Result<Connection, ConnectError> {
    let endpoint = endpoint(address)?
        .connect_timeout(deadline)
        .timeout(deadline);
    connected(endpoint, address, token, deadline).await
}

/// Connects as [`connect`] does, for calls with streams that take their time: `deadline` limits the
/// connection attempt alone, and the caller puts a deadline around each call.
///
/// # Errors
/// As [`connect`].
pub async fn connect_for_streams(
    address: &str,
    token: Option<&OperatorToken>,
    deadline: Duration,
) -> Result<Connection, ConnectError> {
    let endpoint = endpoint(address)?
        .connect_timeout(deadline)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(STREAM_WINDOW_BYTES * 2)
        .max_frame_size(FRAME_BYTES);
    connected(endpoint, address, token, deadline).await
}

/// The bytes that a node may send ahead on one stream of [`connect_for_streams`].
const STREAM_WINDOW_BYTES: u32 = 4 << 20;
/// The largest frame of such a stream: a block is in few frames, each of which costs both sides a turn.
const FRAME_BYTES: u32 = 1 << 20;

fn endpoint(address: &str) -> Result<Endpoint, ConnectError> {
    let malformed = || ConnectError::Address {
        address: address.to_owned(),
    };
    let authority: axum::http::uri::Authority = address.parse().map_err(|_| malformed())?;
    if authority.port_u16().is_none() {
        return Err(malformed());
    }
    Endpoint::from_shared(format!("http://{authority}")).map_err(|_| malformed())
}

async fn connected(
    endpoint: Endpoint,
    address: &str,
    token: Option<&OperatorToken>,
    deadline: Duration,
) -> Result<Connection, ConnectError> {
    let channel = tokio::time::timeout(deadline, endpoint.connect())
        .await
        .map_err(|_| ConnectError::Deadline {
            address: address.to_owned(),
            deadline,
        })?
        .map_err(|source| ConnectError::Unreachable {
            address: address.to_owned(),
            source,
        })?;
    Ok(InterceptedService::new(channel, Bearer(token.map(header))))
}

/// Creates a client of `v1.System` on a connection.
#[must_use]
pub fn system(connection: Connection) -> Client {
    SystemClient::new(connection).max_decoding_message_size(ANSWER_BYTES_MAX)
}

fn header(token: &OperatorToken) -> MetadataValue<Ascii> {
    let mut value: MetadataValue<Ascii> = format!("Bearer {}", token.as_str())
        .parse()
        .expect("invariant: a token is visible ASCII");
    value.set_sensitive(true);
    value
}
