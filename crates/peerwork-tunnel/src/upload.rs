//! Streams the body of a request to the app and counts its bytes. A body can be recorded, so that a
//! request whose first bytes were lost with its connection can be sent again.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::oneshot;

/// The longest part of a body that is recorded.
const RECORDED_BYTES_MAX: usize = 16 * 1024;

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
    /// A recorded part of the body, which is sent before the rest. Boxed, as the recording, because
    /// requests are moved often and recorded bodies are rarely sent again.
    first: Option<Box<Recorded>>,
    incoming: Option<Incoming>,
    progress: Arc<Progress>,
    recording: Option<Box<Recording>>,
}

/// The frames of a body that were sent.
struct Recorded {
    data: Bytes,
    trailers: Option<HeaderMap>,
}

/// A recording under way. It gives the body back when the request is dropped.
struct Recording {
    sent: Vec<u8>,
    trailers: Option<HeaderMap>,
    back: oneshot::Sender<Upload>,
}

impl Upload {
    pub(crate) fn new(incoming: Incoming, progress: Arc<Progress>) -> Self {
        let upload = Self {
            first: None,
            incoming: Some(incoming).filter(|incoming| !incoming.is_end_stream()),
            progress,
            recording: None,
        };
        upload.note_end();
        upload
    }

    /// An empty body for a copy of a request without a body.
    pub(crate) fn empty(progress: Arc<Progress>) -> Self {
        Self {
            first: None,
            incoming: None,
            progress,
            recording: None,
        }
    }

    /// Records a body of which nothing was sent. When the request is dropped, the receiver gets the whole
    /// body, unless more than [`RECORDED_BYTES_MAX`] bytes of it were sent or the client broke it off.
    pub(crate) fn record(&mut self) -> oneshot::Receiver<Self> {
        let (back, given) = oneshot::channel();
        self.recording = Some(Box::new(Recording {
            sent: Vec::new(),
            trailers: None,
            back,
        }));
        given
    }

    /// Begins a body again that was recorded.
    pub(crate) fn begin_again(&self) {
        let done = self.is_end_stream();
        self.progress.done.store(done, Ordering::Release);
    }

    /// Records a frame, or ends the recording of a body that is too long.
    fn note(&mut self, frame: &Frame<Bytes>) {
        let Some(recording) = &mut self.recording else {
            return;
        };
        match frame.data_ref() {
            Some(data) if recording.sent.len() + data.len() > RECORDED_BYTES_MAX => {
                self.recording = None;
            }
            Some(data) => recording.sent.extend_from_slice(data),
            None => recording.trailers = frame.trailers_ref().cloned(),
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
        if let Some(frame) = this.first.as_mut().and_then(|first| first.take()) {
            this.note_end();
            return Poll::Ready(Some(Ok(frame)));
        }
        let Some(incoming) = &mut this.incoming else {
            return Poll::Ready(None);
        };
        let frame = ready!(Pin::new(incoming).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
                this.progress.bytes.fetch_add(bytes, Ordering::Relaxed);
                this.note(frame);
                this.note_end();
            }
            Some(Err(_)) => {
                this.recording = None;
                this.progress.failed.store(true, Ordering::Release);
            }
            None => this.progress.done.store(true, Ordering::Release),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.first.as_ref().is_none_or(|first| first.is_empty())
            && self.incoming.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let incoming = self.incoming.as_ref();
        let mut hint = incoming.map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint);
        let first = self.first.as_ref().map_or(0, |first| first.data.len()) as u64;
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + first);
        }
        hint.set_lower(hint.lower() + first);
        hint
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let Some(recording) = self.recording.take() {
            let again = Self {
                first: Some(Box::new(Recorded {
                    data: recording.sent.into(),
                    trailers: recording.trailers,
                })),
                incoming: self.incoming.take(),
                progress: Arc::clone(&self.progress),
                recording: None,
            };
            // The receiver is gone when the request was answered.
            let _ = recording.back.send(again);
        }
    }
}

impl Recorded {
    fn is_empty(&self) -> bool {
        self.data.is_empty() && self.trailers.is_none()
    }

    fn take(&mut self) -> Option<Frame<Bytes>> {
        if !self.data.is_empty() {
            return Some(Frame::data(std::mem::take(&mut self.data)));
        }
        self.trailers.take().map(Frame::trailers)
    }
}
