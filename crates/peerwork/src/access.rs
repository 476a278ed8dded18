//! `/peerwork/access/1`: how a node shows a token to a relay that is closed to strangers.
//!
//! The stream is answered as all of this project; then the node writes the token's length (two bytes,
//! most significant first) and the token, and the relay one byte: 1 when the node may reserve within
//! the next hour, 0 when not.

use std::{fmt, io, sync::Arc, time::Duration};

use peerwork_net::{InboundStream, Incoming, Network, Protocol, error::ServeError};
use subtle::ConstantTimeEq as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::Semaphore,
    time::timeout,
};

/// The protocol.
pub const PROTOCOL: Protocol = Protocol::answered("/peerwork/access/1");

/// Bytes of a token.
const TOKEN_BYTES_MAX: usize = 256;
/// Shorter ones can be guessed.
const TOKEN_BYTES_MIN: usize = 16;
/// Streams answered at once, and as many wait.
const STREAMS_MAX: usize = 64;
/// How long a node may take to show its token.
const PATIENCE: Duration = Duration::from_secs(5);

/// A secret that lets its holders reserve at a closed relay. Never shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct RelayToken(String);

/// Why a text is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a token has {TOKEN_BYTES_MIN} to {TOKEN_BYTES_MAX} visible ASCII characters")]
pub struct TokenError;

impl RelayToken {
    /// # Errors
    /// When it is too short, too long, or not visible ASCII.
    pub fn new(text: &str) -> Result<Self, TokenError> {
        let fits = (TOKEN_BYTES_MIN..=TOKEN_BYTES_MAX).contains(&text.len());
        match fits && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            true => Ok(Self(text.to_owned())),
            false => Err(TokenError),
        }
    }
}

impl fmt::Debug for RelayToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RelayToken(…)")
    }
}

/// Answers until the network stops.
///
/// # Errors
/// When the protocol is served already.
pub(crate) fn serve(network: &Network, tokens: Vec<RelayToken>) -> Result<(), ServeError> {
    let incoming = network.serve(PROTOCOL.clone(), STREAMS_MAX)?;
    let (stopping, network) = (network.stopping(), network.clone());
    tokio::spawn(async move {
        let answering = answer_all(incoming, &network, tokens.into());
        stopping.run_until_cancelled(answering).await;
    });
    Ok(())
}

async fn answer_all(mut incoming: Incoming, network: &Network, tokens: Arc<[RelayToken]>) {
    let places = Arc::new(Semaphore::new(STREAMS_MAX));
    while let Some(inbound) = incoming.next().await {
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        let (network, tokens) = (network.clone(), tokens.clone());
        // Ends by its own deadline.
        tokio::spawn(async move {
            let node = inbound.node;
            if !matches!(
                timeout(PATIENCE, answer(inbound, &network, &tokens)).await,
                Ok(Ok(()))
            ) {
                tracing::debug!(%node, "showed no token");
            }
            drop(place);
        });
    }
}

async fn answer(
    inbound: InboundStream,
    network: &Network,
    tokens: &[RelayToken],
) -> io::Result<()> {
    let InboundStream {
        node, mut stream, ..
    } = inbound;
    let length = usize::from(stream.read_u16().await?);
    if length > TOKEN_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut shown = vec![0; length];
    stream.read_exact(&mut shown).await?;
    // Each is compared, so that the time tells nothing.
    let known = tokens.iter().fold(false, |known, token| {
        known | bool::from(token.0.as_bytes().ct_eq(&shown))
    });
    if known {
        network.grant_reservation(node);
    }
    tracing::debug!(%node, known, "showed a token");
    stream.write_all(&[u8::from(known)]).await?;
    stream.shutdown().await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_token_is_long_enough_and_stays_secret() {
        assert!(RelayToken::new("fifteen-chars-x").is_err());
        assert!(RelayToken::new("sixteen chars xx").is_err());
        assert!(RelayToken::new(&"x".repeat(257)).is_err());
        let token = RelayToken::new("sixteen-chars-xx").unwrap();
        assert!(!format!("{token:?}").contains("sixteen"));
    }
}
