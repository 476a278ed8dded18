//! Bodies are streams with a deadline for progress, which break off when the content breaks off.

use std::{collections::VecDeque, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use tokio::time::timeout;

use super::{
    finish::Finish,
    problem::Problem,
    service::{ByteStream, GatewayError},
};

/// A stream of content whose first bytes were read.
pub(super) struct Begun {
    stream: ByteStream,
    read: VecDeque<Bytes>,
    progress: Duration,
}

impl Begun {
    /// Reads the first `bytes` bytes, or all, so that a missing block is an error with a status of its own.
    pub(super) async fn read(
        stream: ByteStream,
        bytes: usize,
        progress: Duration,
    ) -> Result<Self, Problem> {
        let mut begun = Self {
            stream,
            read: VecDeque::new(),
            progress,
        };
        let mut missing = bytes;
        while missing > 0 {
            let Some(chunk) = begun.more().await? else {
                break;
            };
            missing = missing.saturating_sub(chunk.len());
            begun.read.push_back(chunk);
        }
        Ok(begun)
    }

    /// The first bytes, at most `max`.
    pub(super) fn first(&self, max: usize) -> Vec<u8> {
        self.read.iter().flatten().take(max).copied().collect()
    }

    async fn more(&mut self) -> Result<Option<Bytes>, GatewayError> {
        let next = timeout(self.progress, self.stream.next()).await;
        let seconds = self.progress.as_secs();
        let late = || GatewayError::Internal(format!("nothing was read for {seconds} s"));
        next.map_err(|_| late())?.transpose()
    }

    async fn next(&mut self) -> Result<Option<Bytes>, GatewayError> {
        match self.read.pop_front() {
            Some(chunk) => Ok(Some(chunk)),
            None => self.more().await,
        }
    }

    /// The body. It ends with an error when the content does, or has another length than promised: hyper
    /// closes the connection then, so that the client knows that bytes are missing.
    pub(super) fn body(self, length: Option<u64>, mut finish: Finish) -> Body {
        match length {
            // A body without bytes is not read.
            Some(0) => finish.complete(),
            _ => finish.sending(),
        }
        let state = Some((self, length, finish));
        let stream = stream::unfold(state, async |state| {
            let (mut begun, mut left, mut finish) = state?;
            let broken = async |error: GatewayError, mut finish: Finish| {
                tracing::info!(%error, "the content of a response broke off");
                finish.broken();
                // hyper sends what came before only while it waits for the body.
                tokio::task::yield_now().await;
                Some((Err(error), None))
            };
            match begun.next().await {
                Ok(Some(chunk)) => {
                    let bytes = chunk.len() as u64;
                    left = match left.map(|left| left.checked_sub(bytes)) {
                        Some(None) => {
                            let long = "the content is longer than it claims".to_owned();
                            return broken(GatewayError::Malformed(long), finish).await;
                        }
                        left => left.flatten(),
                    };
                    finish.sent += bytes;
                    if left == Some(0) {
                        finish.complete();
                    }
                    Some((Ok(chunk), Some((begun, left, finish))))
                }
                Ok(None) if left.is_none_or(|left| left == 0) => {
                    finish.complete();
                    None
                }
                Ok(None) => {
                    let short = "the content is shorter than it claims".to_owned();
                    broken(GatewayError::Malformed(short), finish).await
                }
                Err(error) => broken(error, finish).await,
            }
        });
        Body::from_stream(stream)
    }
}
