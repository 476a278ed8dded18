//! Streams the body of a response to the client and counts its bytes.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;

use super::{content::BoxError, content_answer, finish::Finish, shared::Shared};
use crate::{connect::Destination, pool::Connection};

/// The body of an app's response on its way to the client.
pub(crate) struct Download {
    incoming: Incoming,
    finish: Finish,
    /// The connection to the app, which returns to the pool when the response was read to its end.
    lent: Option<Lent>,
}

struct Lent {
    shared: Arc<Shared>,
    to: Destination,
    connection: Connection,
    /// Whether the upload had ended when the response began. An app that answers before may have stopped
    /// reading, so that its connection cannot carry another request; over HTTP/2 only the call's own
    /// stream is affected.
    reusable: bool,
}

impl Download {
    pub(crate) fn new(
        incoming: Incoming,
        finish: Finish,
        shared: Arc<Shared>,
        to: Destination,
        connection: Connection,
    ) -> Self {
        let reusable = finish.progress.is_done() || connection.sender.is_multiplexed();
        let lent = Some(Lent {
            shared,
            to,
            connection,
            reusable,
        });
        Self {
            incoming,
            finish,
            lent,
        }
    }

    fn complete(&mut self) {
        self.finish.complete();
        if let Some(lent) = self.lent.take().filter(|lent| lent.reusable) {
            lent.shared.pool.put(&lent.to, lent.connection);
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.incoming).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                self.finish.sent += frame.data_ref().map_or(0, Bytes::len) as u64;
            }
            Some(Err(error)) => {
                self.finish.broken(error);
                self.lent = None;
            }
            None => self.complete(),
        }
        Poll::Ready(frame)
    }
}

impl Drop for Download {
    /// Completes a body that was read to its end: hyper does not poll for the end of a body of known
    /// length.
    fn drop(&mut self) {
        if self.lent.is_some() && self.incoming.is_end_stream() {
            self.complete();
        }
    }
}

/// The body of a response.
pub(crate) enum Body {
    /// A body made by the ingress; `None` once it was taken.
    Own(Option<Bytes>),
    /// The body of an app's response.
    App(Box<Download>),
    /// The body of an answer of the content service.
    Content(Box<content_answer::Download>),
}

impl Default for Body {
    fn default() -> Self {
        Self::Own(None)
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::Own(Some(bytes).filter(|bytes| !bytes.is_empty()))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut *self {
            Self::Own(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::App(download) => {
                let frame = ready!(download.poll(cx));
                Poll::Ready(frame.map(|frame| frame.map_err(BoxError::from)))
            }
            Self::Content(download) => download.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(bytes) => bytes.is_none(),
            Self::App(download) => download.incoming.is_end_stream(),
            Self::Content(download) => download.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Self::App(download) => download.incoming.size_hint(),
            Self::Content(download) => download.size_hint(),
        }
    }
}
