//! A stream to another node on which messages are sent.

use std::{io, time::Duration};

use bytes::Bytes;
use peerwork_identity::NodeId;
use peerwork_net::{Network, Stream, error::OpenError};
use tokio::{
    io::AsyncWriteExt as _,
    time::{Instant, timeout, timeout_at},
};

use super::wire::{Outgoing, PROTOCOL};

/// Bytes that have to be taken within the deadline.
const STEP_BYTES: usize = 64 * 1024;
/// The slowest reader in bytes a second, as in kubo: a message of 1 MiB may take a minute and a half.
const RATE_MIN: f64 = 12_500.0;
/// How long opening a stream may take.
const OPEN: Duration = Duration::from_secs(10);

/// A message was not sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    #[error("opening a stream: {0}")]
    Open(#[from] OpenError),
    #[error("the node does not read")]
    Stalled,
    #[error("writing: {0}")]
    Write(#[from] io::Error),
}

/// Sends messages to one node, on one stream as long as that lasts.
pub(crate) struct Outbox {
    network: Network,
    node: NodeId,
    stream: Option<Stream>,
    deadline: Duration,
}

impl Outbox {
    /// `deadline` is how long the node may take for [`STEP_BYTES`].
    pub(crate) fn new(network: Network, node: NodeId, deadline: Duration) -> Self {
        Self {
            network,
            node,
            stream: None,
            deadline,
        }
    }

    /// Sends a message. A stream that was open before may have been reset by its reader meanwhile, so that
    /// the message is sent again on a further stream.
    pub(crate) async fn send(&mut self, message: Outgoing) -> Result<(), SendError> {
        let pieces = message.into_pieces();
        if let Some(stream) = self.stream.take() {
            match self.write(stream, &pieces).await {
                Err(SendError::Write(_)) => {}
                sent => return sent,
            }
        }
        let deadline = Instant::now() + OPEN;
        let stream = self.network.open(self.node, &PROTOCOL, deadline).await?;
        self.write(stream, &pieces).await
    }

    async fn write(&mut self, mut stream: Stream, pieces: &[Bytes]) -> Result<(), SendError> {
        let end = Instant::now() + whole(self.deadline, pieces.iter().map(Bytes::len).sum());
        for step in pieces.iter().flat_map(|piece| piece.chunks(STEP_BYTES)) {
            let deadline = end.min(Instant::now() + self.deadline);
            let written = timeout_at(deadline, stream.write_all(step)).await;
            written.map_err(|_| SendError::Stalled)??;
        }
        let flushed = timeout(self.deadline, stream.flush()).await;
        flushed.map_err(|_| SendError::Stalled)??;
        self.stream = Some(stream);
        Ok(())
    }

    /// Ends the stream; the next message opens a further one.
    pub(crate) async fn close(&mut self) {
        if let Some(mut stream) = self.stream.take() {
            // A reader that does not take the end gets a reset.
            let _ = timeout(self.deadline, stream.shutdown()).await;
        }
    }
}

/// How long a message of `len` bytes may take, whose reader may take nothing for `deadline`.
#[expect(
    clippy::cast_precision_loss,
    reason = "a message is far shorter than 2^52 bytes"
)]
fn whole(deadline: Duration, len: usize) -> Duration {
    deadline + Duration::from_secs_f64(len as f64 / RATE_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reader of 64 KiB every ten seconds would hold a message of 3 MiB for eight minutes.
    #[test]
    fn a_reader_that_takes_a_little_now_and_then_does_not_hold_a_message_for_long() {
        let deadline = Duration::from_secs(10);
        assert_eq!(whole(deadline, 0), deadline);
        assert_eq!(whole(deadline, 1_000_000), Duration::from_secs(90));
        assert!(whole(deadline, 3 << 20) < Duration::from_secs(300));
    }
}
