//! The joiner's side of `/peerwork/join/1`.

use peerwork_identity::NetworkFile;
use peerwork_net::{Network, Stream, error::OpenError};
use tokio::time::{Instant, timeout_at};

use crate::{
    error::{RedeemError, Refusal},
    token::Token,
    wire::{
        self, Kind, PROTOCOL, REQUEST_BYTES_MAX, RESPONSE_BYTES_MAX, Reason, Request, Response,
    },
};

/// Shows a token to the relay that it names, and returns the contents of the relay's network file. This
/// node must be connected to the relay.
///
/// This machine's clock has no part in it. The call can be repeated: a relay redeems a one-time token
/// again for the node that used it.
///
/// # Errors
/// [`RedeemError`]; [`Refusal::is_temporary`] tells whether trying later can help.
pub async fn redeem(
    network: &Network,
    token: &Token,
    deadline: Instant,
) -> Result<NetworkFile, RedeemError> {
    let stream = network.open(token.relay, &PROTOCOL, deadline).await;
    let stream = stream.map_err(not_opened)?;
    let exchanged = timeout_at(deadline, exchange(stream, token)).await;
    let response = exchanged.unwrap_or(Err(RedeemError::Deadline))?;
    match response.kind {
        Some(Kind::Network(file)) => NetworkFile::try_from(&file).map_err(RedeemError::Answer),
        Some(Kind::Refused(reason)) => {
            let reason = Reason::try_from(reason).unwrap_or(Reason::Unspecified);
            Err(RedeemError::Refused(reason.into()))
        }
        None => Err(RedeemError::Answer("the response is empty".to_owned())),
    }
}

async fn exchange(mut stream: Stream, token: &Token) -> Result<Response, RedeemError> {
    let request = Request {
        token: Some(token.into()),
    };
    let written = wire::write(&mut stream, &request, REQUEST_BYTES_MAX).await;
    written.map_err(RedeemError::Io)?;
    wire::read(&mut stream, RESPONSE_BYTES_MAX)
        .await
        .map_err(RedeemError::Io)
}

fn not_opened(error: OpenError) -> RedeemError {
    match error {
        OpenError::Unsupported => RedeemError::NotARelay,
        OpenError::Busy => RedeemError::Refused(Refusal::Busy),
        OpenError::Deadline => RedeemError::Deadline,
        error => RedeemError::Open(error),
    }
}
