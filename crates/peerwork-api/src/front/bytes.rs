//! `WebSocketBytes` turns the binary messages of a WebSocket into one byte stream, as libp2p's
//! WebSocket transport does.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::extract::ws::{Message, WebSocket};
use bytes::{Buf, Bytes, BytesMut};
use futures::{Sink, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The largest accepted message, in bytes. js-libp2p with TLS in Node.js sends each frame of yamux as one
/// message, and the network accepts frames of 1 MiB from this port; with Noise, messages are slightly
/// over 64 KiB at most.
pub(super) const MESSAGE_BYTES_MAX: usize = 2 << 20;
/// The largest sent message, in bytes.
const WRITE_BYTES: usize = 64 * 1024;

/// A WebSocket as a byte stream. Message boundaries carry no meaning.
pub struct WebSocketBytes(Pipe<WebSocket>);

impl WebSocketBytes {
    pub(super) fn new(socket: WebSocket) -> Self {
        Self(Pipe::new(socket))
    }
}

impl fmt::Debug for WebSocketBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebSocketBytes")
    }
}

impl AsyncRead for WebSocketBytes {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.0.poll_read(cx, buf)
    }
}

impl AsyncWrite for WebSocketBytes {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.0.poll_flush(cx))?;
        Pin::new(&mut self.0.socket)
            .poll_close(cx)
            .map_err(io::Error::other)
    }
}

/// The same conversion over any sink and stream of WebSocket messages, for tests.
struct Pipe<S> {
    socket: S,
    read: Bytes,
    written: BytesMut,
}

impl<S> Pipe<S> {
    fn new(socket: S) -> Self {
        Self {
            socket,
            read: Bytes::new(),
            written: BytesMut::new(),
        }
    }
}

impl<S, E> Pipe<S>
where
    S: Stream<Item = Result<Message, E>> + Sink<Message, Error = E> + Unpin,
    E: std::error::Error + Send + Sync + 'static,
{
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.read.is_empty() {
            match ready!(Pin::new(&mut self.socket).poll_next(cx)) {
                Some(Ok(Message::Binary(bytes))) => self.read = bytes,
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(_))) | None => return Poll::Ready(Ok(())),
                Some(Ok(Message::Text(_))) => {
                    let error = "libp2p speaks binary messages, and a text came";
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error)));
                }
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
            }
        }
        let count = self.read.len().min(buf.remaining());
        buf.put_slice(&self.read[..count]);
        self.read.advance(count);
        Poll::Ready(Ok(()))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.written.len() >= WRITE_BYTES {
            ready!(self.poll_send(cx))?;
        }
        let count = buf.len().min(WRITE_BYTES - self.written.len());
        self.written.extend_from_slice(&buf[..count]);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.written.is_empty() {
            ready!(self.poll_send(cx))?;
        }
        let flushed = ready!(Pin::new(&mut self.socket).poll_flush(cx));
        Poll::Ready(flushed.map_err(io::Error::other))
    }

    /// Sends the bytes written so far as one message.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut socket = Pin::new(&mut self.socket);
        ready!(socket.as_mut().poll_ready(cx)).map_err(io::Error::other)?;
        let message = Message::Binary(self.written.split().freeze());
        Poll::Ready(socket.start_send(message).map_err(io::Error::other))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::{collections::VecDeque, future::poll_fn};

    use super::*;

    #[derive(Default)]
    struct Messages {
        incoming: VecDeque<Message>,
        sent: Vec<Message>,
    }

    impl Stream for Messages {
        type Item = Result<Message, io::Error>;

        fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            Poll::Ready(self.incoming.pop_front().map(Ok))
        }
    }

    impl Sink<Message> for Messages {
        type Error = io::Error;

        fn poll_ready(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn start_send(mut self: Pin<&mut Self>, message: Message) -> io::Result<()> {
            self.sent.push(message);
            Ok(())
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn pipe(incoming: impl IntoIterator<Item = Message>) -> Pipe<Messages> {
        let incoming = incoming.into_iter().collect();
        let sent = Vec::new();
        Pipe::new(Messages { incoming, sent })
    }

    async fn read(pipe: &mut Pipe<Messages>, size: usize) -> io::Result<Vec<u8>> {
        let mut space = vec![0; size];
        let mut buf = ReadBuf::new(&mut space);
        poll_fn(|cx| pipe.poll_read(cx, &mut buf)).await?;
        Ok(buf.filled().to_vec())
    }

    fn binary(bytes: &[u8]) -> Message {
        Message::Binary(Bytes::copy_from_slice(bytes))
    }

    #[tokio::test]
    async fn messages_are_read_as_bytes_wherever_they_end() {
        let pong = Message::Pong(Bytes::new());
        let mut pipe = pipe([binary(b"abc"), pong, binary(b""), binary(b"de")]);
        assert_eq!(read(&mut pipe, 2).await.unwrap(), b"ab");
        assert_eq!(read(&mut pipe, 9).await.unwrap(), b"c");
        assert_eq!(read(&mut pipe, 9).await.unwrap(), b"de");
        assert_eq!(read(&mut pipe, 9).await.unwrap(), b"");
    }

    #[tokio::test]
    async fn a_text_is_an_error_and_a_close_an_end() {
        let mut texts = pipe([Message::Text("hello".into())]);
        let error = read(&mut texts, 9).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        let mut closed = pipe([Message::Close(None), binary(b"x")]);
        assert_eq!(read(&mut closed, 9).await.unwrap(), b"");
    }

    #[tokio::test]
    async fn written_bytes_are_sent_as_messages_of_bounded_size() {
        let mut pipe = pipe([]);
        let all = vec![7; 3 * WRITE_BYTES / 2];
        let mut written = 0;
        while written < all.len() {
            written += poll_fn(|cx| pipe.poll_write(cx, &all[written..]))
                .await
                .unwrap();
        }
        poll_fn(|cx| pipe.poll_flush(cx)).await.unwrap();
        let sizes: Vec<_> = pipe
            .socket
            .sent
            .iter()
            .map(|message| message.clone().into_data().len())
            .collect();
        assert_eq!(sizes, [WRITE_BYTES, WRITE_BYTES / 2]);
    }
}
