//! The client side, for the command line and for programs of operators.

use std::time::Duration;

use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint},
};

use super::{ANSWER_BYTES_MAX, v1::system_client::SystemClient};
use crate::config::OperatorToken;

/// A connected client of `v1.System`.
pub type Client = SystemClient<Connection>;

/// A connection to a node's operator API, for the clients of all its services; cloning is cheap.
pub type Connection = InterceptedService<Channel, Bearer>;

/// Adds the operator token, if there is one, to every call.
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

/// Why no node could be asked.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The address is not one.
    #[error("`{address}` is no address: write it like 127.0.0.1:50000")]
    Address {
        /// The text given.
        address: String,
    },
    /// No node answers there.
    #[error("no node answers at {address}: start one, or name its --grpc-address")]
    Unreachable {
        /// Where it was tried.
        address: String,
        /// What the connection said.
        source: tonic::transport::Error,
    },
    /// The connection was not made in time.
    #[error("no node answered at {address} within {deadline:?}")]
    Deadline {
        /// Where it was tried.
        address: String,
        /// How long it was tried.
        deadline: Duration,
    },
}

/// Connects to the node at `address`, `host:port`.
///
/// `deadline` bounds the connecting, and again every call on the client.
///
/// # Errors
/// When the address is malformed, or no connection could be made in time.
pub async fn connect(
    address: &str,
    token: Option<&OperatorToken>,
    deadline: Duration,
) -> Result<Connection, ConnectError> {
    let malformed = || ConnectError::Address {
        address: address.to_owned(),
    };
    let authority: axum::http::uri::Authority = address.parse().map_err(|_| malformed())?;
    if authority.port_u16().is_none() {
        return Err(malformed());
    }
    let endpoint = Endpoint::from_shared(format!("http://{authority}"))
        .map_err(|_| malformed())?
        .connect_timeout(deadline)
        .timeout(deadline);
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

/// A client of `v1.System` on a connection.
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
