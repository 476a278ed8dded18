//! Bodies that stream, break off, and report when they are dropped.

use std::{
    error::Error,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use http_body_util::{BodyExt, Empty, StreamBody, combinators::BoxBody};
use hyper::body::{Frame, Incoming};

pub(crate) type Body = BoxBody<Bytes, Box<dyn Error + Send + Sync>>;
pub(crate) type FrameResult = Result<Frame<Bytes>, Box<dyn Error + Send + Sync>>;

/// Counts the requests and bodies that are under way.
#[derive(Debug, Default, Clone)]
pub(crate) struct Gauge(Arc<AtomicUsize>);

/// One request or body under way, until it is dropped.
#[derive(Debug)]
pub(crate) struct Guard(Arc<AtomicUsize>);

impl Gauge {
    pub(crate) fn enter(&self) -> Guard {
        self.0.fetch_add(1, Ordering::Relaxed);
        Guard(Arc::clone(&self.0))
    }

    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A stream that can be shared, as boxed bodies ask for; only one task polls it.
pub(crate) struct SyncStream(std::sync::Mutex<Pin<Box<dyn Stream<Item = FrameResult> + Send>>>);

impl SyncStream {
    pub(crate) fn new(stream: impl Stream<Item = FrameResult> + Send + 'static) -> Self {
        Self(std::sync::Mutex::new(Box::pin(stream)))
    }
}

impl Stream for SyncStream {
    type Item = FrameResult;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<FrameResult>> {
        let stream = self.get_mut().0.get_mut();
        match stream {
            Ok(stream) => stream.poll_next_unpin(cx),
            Err(_) => Poll::Ready(None),
        }
    }
}

pub(crate) fn empty() -> Body {
    BoxBody::new(Empty::new().map_err(|never| match never {}))
}

pub(crate) fn of_stream(stream: impl Stream<Item = FrameResult> + Send + 'static) -> Body {
    BodyExt::boxed(StreamBody::new(SyncStream::new(stream)))
}

/// A body of ten bytes that then fails.
pub(crate) fn dying() -> Body {
    let ten = Ok(Frame::data(Bytes::from_static(b"0123456789")));
    let error = stream::once(async {
        // The server writes its buffer when a body is pending.
        tokio::task::yield_now().await;
        Err(io::Error::other("the app dies here").into())
    });
    of_stream(stream::iter([ten]).chain(error))
}

pub(crate) fn zeros(bytes: usize) -> Body {
    static PIECE: [u8; 64 * 1024] = [0; 64 * 1024];
    let pieces = stream::unfold(bytes, |left| async move {
        let n = left.min(PIECE.len());
        let frame = Ok(Frame::data(Bytes::from_static(&PIECE[..n])));
        (n > 0).then_some((frame, left - n))
    });
    of_stream(pieces)
}

/// The length of a body as text, or the error of reading it.
pub(crate) async fn count(mut body: Incoming) -> String {
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => bytes += frame.data_ref().map_or(0, Bytes::len),
            Err(error) => return error.to_string(),
        }
    }
    bytes.to_string()
}
