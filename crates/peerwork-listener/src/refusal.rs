//! `Refusal` answers connections that get no place with 503, and closes them.

use std::{future::Future, time::Duration};

use peerwork_limits::{Share, Shares};
use tokio::{
    io::{AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_util::either::Either;

use crate::{
    Wire,
    opening::{Io, TLS_HANDSHAKE},
};

const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\n\
    content-length: 0\r\nconnection: close\r\n\r\n";
/// The number of refused connections that are being answered at once; with their sockets they use
/// 256 KiB. Further connections are closed without an answer.
const LINGERING_MAX: usize = 256;
/// The time that a refused client has to read the answer.
const LINGER: Duration = Duration::from_secs(1);
/// The number of request bytes that are read and dropped, so that the answer is not lost.
const DISCARDED_BYTES_MAX: u64 = 64 * 1024;

/// Answers and closes refused connections.
#[derive(Debug)]
pub(crate) struct Refusal {
    lingering: Shares<()>,
    wire: Wire,
}

impl Refusal {
    pub(crate) fn new(wire: Wire) -> Self {
        Self::with(wire, LINGERING_MAX)
    }

    fn with(wire: Wire, lingering_max: usize) -> Self {
        let lingering = Shares::new(lingering_max);
        Self { lingering, wire }
    }

    /// Answers a refused client with 503. Returns `None` when the whole answer fitted into the
    /// socket's send buffer; otherwise returns the remaining work as a future, which takes at most
    /// a second.
    ///
    /// Unread bytes of the request are read and dropped for a moment, because closing a socket with
    /// unread bytes resets it, and a client that is still sending then loses the answer. A port
    /// that speaks HTTP/2 alone closes the connection without an answer, because no response can
    /// precede the HTTP/2 handshake.
    pub(crate) fn refuse(
        &self,
        stream: TcpStream,
        is_plain: bool,
    ) -> Option<impl Future<Output = ()> + Send + use<>> {
        if matches!(self.wire, Wire::Http2 { .. }) {
            return None;
        }
        match self.lingering.take(()) {
            Some(share) => Some(answer_refused(stream, is_plain, share)),
            None => {
                if is_plain {
                    let _ = stream.try_write(BUSY);
                }
                None
            }
        }
    }
}

async fn answer_refused(mut stream: TcpStream, is_plain: bool, share: Share<()>) {
    let work = async {
        if !is_plain {
            // A TLS client gets no answer: it would take plain HTTP for a broken handshake.
            let mut first = [0];
            if stream.peek(&mut first).await.ok()? == 0 || first[0] == TLS_HANDSHAKE {
                return None;
            }
        }
        answer(&mut stream).await.ok()?;
        let mut rest = stream.take(DISCARDED_BYTES_MAX);
        tokio::io::copy(&mut rest, &mut tokio::io::sink())
            .await
            .ok()
    };
    let _ = timeout(LINGER, work).await;
    drop(share);
}

/// Writes the 503 answer on an open HTTP/1.1 connection and closes it, within a second. Over HTTP/2
/// the connection is closed without an answer.
pub(crate) async fn answer_opened(mut io: Io) {
    let h2 = match &io {
        Either::Right(tls) => tls.get_ref().1.alpn_protocol() == Some(b"h2"),
        Either::Left(_) => false,
    };
    if !h2 {
        let _ = timeout(LINGER, answer(&mut io)).await;
    }
}

async fn answer(io: &mut (impl AsyncWrite + Unpin)) -> std::io::Result<()> {
    io.write_all(BUSY).await?;
    io.shutdown().await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn above_the_limit_of_lingering_connections_the_answer_is_one_write_and_the_close() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let refusal = Refusal::with(Wire::Both, 1);
        let mut answers = Vec::new();
        let mut lingering = Vec::new();
        for _ in 0..2 {
            let client = TcpStream::connect(listener.local_addr().unwrap()).await;
            let (socket, _) = listener.accept().await.unwrap();
            lingering.push(refusal.refuse(socket, true));
            answers.push(client.unwrap());
        }
        assert!(lingering[0].is_some() && lingering[1].is_none());
        let mut answer = String::new();
        let mut above = answers.pop().unwrap();
        above.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer.as_bytes(), BUSY);
        let first = lingering.swap_remove(0).unwrap();
        let mut below = answers.pop().unwrap();
        answer.clear();
        let client = async {
            below.read_to_string(&mut answer).await.unwrap();
            drop(below);
        };
        tokio::join!(first, client);
        assert_eq!(answer.as_bytes(), BUSY);
        assert!(refusal.lingering.is_empty());
    }
}
