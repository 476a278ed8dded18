//! The app's side of a kept tunnel: passes no request to an app that has ended its direction, and counts
//! the bytes that the app's socket took.
//!
//! An app that closes a kept connection does so between two requests. The close may be known to the
//! kernel only, so the socket itself is asked before the first byte after the app's last answer.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{records::Record, socket::Socket};

/// The connection to an app, with the record of its tunnel.
pub(super) struct Guarded<'a> {
    app: &'a mut Socket,
    /// `None` for a tunnel that carries other bytes than one request after the other.
    record: Option<Arc<Record>>,
    /// Whether the next byte to the app is the first after an answer.
    begins: bool,
    /// Whether the app had ended its direction before a request.
    ended: bool,
    /// The error that the socket told at the begin of a request, for the reader.
    failed: Option<io::Error>,
}

impl<'a> Guarded<'a> {
    pub(super) fn new(app: &'a mut Socket, record: Option<Arc<Record>>) -> Self {
        Self {
            app,
            record,
            begins: true,
            ended: false,
            failed: None,
        }
    }

    /// Phase "begin" of a request: the app must still be there.
    fn begin(&mut self) {
        self.begins = false;
        self.ended = match self.app.has_ended() {
            Ok(ended) => ended,
            Err(error) => {
                self.failed = Some(error);
                true
            }
        };
    }
}

impl AsyncRead for Guarded<'_> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(error) = this.failed.take() {
            return Poll::Ready(Err(error));
        }
        ready!(Pin::new(&mut *this.app).poll_read(cx, buf))?;
        this.begins = true;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Guarded<'_> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.record.is_some() && this.begins && !this.ended {
            this.begin();
        }
        let Some(record) = &this.record else {
            return Pin::new(&mut *this.app).poll_write(cx, buf);
        };
        if this.ended {
            let error = "the app closed the connection before the request";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::BrokenPipe, error)));
        }
        record.write(|| Pin::new(&mut *this.app).poll_write(cx, buf))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.app).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.app).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use peerwork_testkit::DEADLINE;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, Interest},
        net::{TcpListener, TcpStream},
        time::timeout,
    };

    use super::*;

    /// Waits until the end of the other side has arrived, without reading it.
    async fn closed(socket: &Socket) {
        let Socket::Tcp(stream) = socket else {
            panic!("the tests are over TCP");
        };
        let closed = async {
            while !stream
                .ready(Interest::READABLE)
                .await
                .unwrap()
                .is_read_closed()
            {
                tokio::task::yield_now().await;
            }
        };
        timeout(DEADLINE, closed).await.unwrap();
    }

    async fn pair() -> (Socket, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let connect = TcpStream::connect(listener.local_addr().unwrap());
        let (ours, (theirs, _)) = tokio::try_join!(connect, listener.accept()).unwrap();
        (Socket::Tcp(ours), theirs)
    }

    #[tokio::test]
    async fn an_app_that_ended_its_direction_gets_no_request_and_its_reset_stays_one() {
        for reset in [false, true] {
            let (mut ours, mut app) = pair().await;
            let mut guarded = Guarded::new(&mut ours, Some(Arc::default()));
            guarded.write_all(b"one").await.unwrap();
            app.read_exact(&mut [0; 3]).await.unwrap();
            app.write_all(b"answer").await.unwrap();
            guarded.read_exact(&mut [0; 6]).await.unwrap();
            if reset {
                app.set_zero_linger().unwrap();
            }
            drop(app);
            closed(guarded.app).await;
            let error = guarded.write_all(b"two").await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
            match guarded.read(&mut [0]).await {
                Ok(read) => assert!(!reset && read == 0),
                Err(error) => {
                    assert!(reset);
                    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
                }
            }
        }
    }

    #[tokio::test]
    async fn an_app_that_ends_its_direction_within_a_request_gets_the_rest_of_the_request() {
        let (mut ours, mut app) = pair().await;
        let mut guarded = Guarded::new(&mut ours, Some(Arc::default()));
        guarded.write_all(b"first").await.unwrap();
        app.shutdown().await.unwrap();
        closed(guarded.app).await;
        guarded.write_all(b"second").await.unwrap();
        let mut got = [0; 11];
        app.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"firstsecond");
    }

    #[tokio::test]
    async fn a_tunnel_without_a_record_passes_bytes_to_a_half_closed_app() {
        let (mut ours, mut app) = pair().await;
        app.shutdown().await.unwrap();
        closed(&ours).await;
        let mut guarded = Guarded::new(&mut ours, None);
        guarded.write_all(b"x").await.unwrap();
        app.read_exact(&mut [0]).await.unwrap();
    }
}
