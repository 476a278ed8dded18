//! Streams the body of a request to the app and counts its bytes.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;

/// The progress of one request's upload.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    bytes: AtomicU64,
    done: AtomicBool,
    failed: AtomicBool,
}

impl Progress {
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn is_done(&self) -> bool {
        self.done.load(Ordering::Acquire)
    }

    /// Whether the client broke the body off.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }
}

/// The body of a request on its way to the app.
pub(crate) struct Upload {
    incoming: Option<Incoming>,
    progress: Arc<Progress>,
}

impl Upload {
    pub(crate) fn new(incoming: Incoming, progress: Arc<Progress>) -> Self {
        let upload = Self {
            incoming: Some(incoming).filter(|incoming| !incoming.is_end_stream()),
            progress,
        };
        upload.note_end();
        upload
    }

    /// An empty body for a copy of a request without a body.
    pub(crate) fn empty(progress: Arc<Progress>) -> Self {
        Self {
            incoming: None,
            progress,
        }
    }

    fn note_end(&self) {
        if self.is_end_stream() {
            self.progress.done.store(true, Ordering::Release);
        }
    }
}

impl HttpBody for Upload {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = &mut *self;
        let Some(incoming) = &mut this.incoming else {
            return Poll::Ready(None);
        };
        let frame = ready!(Pin::new(incoming).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
                this.progress.bytes.fetch_add(bytes, Ordering::Relaxed);
                this.note_end();
            }
            Some(Err(_)) => this.progress.failed.store(true, Ordering::Release),
            None => this.progress.done.store(true, Ordering::Release),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let incoming = self.incoming.as_ref();
        incoming.map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}
