//! `Messages` tells at which point of HTTP/1.1 a connection is; the byte stream of the connection
//! (`splice.rs`) and the service share it.
//!
//! ```text
//!   Idle ─ request parsed ─▶ UnderWay ─ response handed to hyper ─▶ Answered ─ all bytes sent ─▶ Idle
//!                                └─ HTTP/2, or an upgrade ─▶ Opaque, until the connection ends
//! ```

use std::{
    fmt::Write as _,
    sync::Arc,
    task::{Context, Waker},
};

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use parking_lot::Mutex;

/// The bytes of interim responses that wait to be written; further ones are dropped, as a server may
/// (RFC 9110 section 15.2). Early hints of large pages take a few KiB.
const QUEUED_BYTES_MAX: usize = 16 * 1024;

/// The point at which a connection is. Clones of the `Arc` share it.
#[derive(Debug, Default)]
pub(crate) struct Messages(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    phase: Phase,
    /// Whether hyper has written bytes that are not known to be sent.
    unsent: bool,
    queued: BytesMut,
    waker: Option<Waker>,
}

/// The phase of the current message.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// No request is under way. Bytes that hyper writes are its own answer to a malformed request.
    #[default]
    Idle,
    /// The service has not answered yet, or the response's body goes on.
    UnderWay,
    /// hyper has the whole response and is writing it.
    Answered,
    /// The connection speaks HTTP/2 or was upgraded.
    Opaque,
}

impl Messages {
    /// Begins a request. An HTTP/1.1 request gets an [`Interim`] as an extension.
    pub(crate) fn begin<B>(self: &Arc<Self>, request: &mut Request<B>) -> UnderWay {
        let mut state = self.0.lock();
        match request.version() {
            Version::HTTP_2 | Version::HTTP_3 => state.phase = Phase::Opaque,
            version => {
                state.phase = Phase::UnderWay;
                if version == Version::HTTP_11 {
                    request.extensions_mut().insert(Interim(Arc::clone(self)));
                }
            }
        }
        UnderWay {
            messages: Arc::clone(self),
            is_connect: request.method() == Method::CONNECT,
        }
    }

    /// The phase before hyper writes; its bytes are unsent from then on. `None` while queued bytes have to
    /// be written first.
    pub(crate) fn before_write(&self) -> Option<Phase> {
        let mut state = self.0.lock();
        if !state.queued.is_empty() {
            return None;
        }
        state.unsent = true;
        Some(state.phase)
    }

    /// Whether bytes are queued, which `write` then takes; it returns the number of bytes written.
    pub(crate) fn write_queued<E>(
        &self,
        mut write: impl FnMut(&[u8]) -> std::task::Poll<Result<usize, E>>,
    ) -> std::task::Poll<Result<(), E>> {
        let mut state = self.0.lock();
        while !state.queued.is_empty() {
            let written = std::task::ready!(write(&state.queued))?;
            let written = written.min(state.queued.len());
            bytes::Buf::advance(&mut state.queued, written);
        }
        std::task::Poll::Ready(Ok(()))
    }

    /// Notes that all bytes of hyper were sent, and returns the phase.
    pub(crate) fn flushed(&self, cx: &Context<'_>) -> Phase {
        let mut state = self.0.lock();
        state.unsent = false;
        if state.phase == Phase::Answered {
            state.phase = Phase::Idle;
        }
        let known = state.waker.as_ref();
        if !known.is_some_and(|waker| waker.will_wake(cx.waker())) {
            state.waker = Some(cx.waker().clone());
        }
        state.phase
    }

    /// Queues the response to a request that hyper could not parse; the connection closes behind it.
    pub(crate) fn queue_last(&self, response: &Response<Bytes>) {
        let mut state = self.0.lock();
        let body = response.body();
        let length = body.len();
        head(&mut state.queued, response.status(), response.headers());
        let _ = write!(
            state.queued,
            "content-length: {length}\r\nconnection: close\r\n\r\n"
        );
        state.queued.extend_from_slice(body);
    }
}

/// Writes a status line and headers. Writing to a `BytesMut` cannot fail.
fn head(to: &mut BytesMut, status: StatusCode, headers: &HeaderMap) {
    let reason = status.canonical_reason().unwrap_or_default();
    let _ = write!(to, "HTTP/1.1 {} {reason}\r\n", status.as_str());
    for (name, value) in headers {
        to.put_slice(name.as_str().as_bytes());
        to.put_slice(b": ");
        to.put_slice(value.as_bytes());
        to.put_slice(b"\r\n");
    }
}

/// A request that is under way until the guard is dropped; the response's body keeps it.
#[derive(Debug, Default)]
pub(crate) struct UnderWay {
    messages: Arc<Messages>,
    is_connect: bool,
}

impl UnderWay {
    /// Notes the response: behind a switch of protocols the bytes are no HTTP.
    pub(crate) fn answers<B>(&self, response: &Response<B>) {
        let status = response.status();
        let tunnel = self.is_connect && status.is_success();
        if status == StatusCode::SWITCHING_PROTOCOLS || tunnel {
            self.messages.0.lock().phase = Phase::Opaque;
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut state = self.messages.0.lock();
        if state.phase == Phase::UnderWay {
            state.phase = Phase::Answered;
        }
    }
}

/// Sends interim responses (1xx) before the response to one HTTP/1.1 request. It is an extension of the
/// request; requests of other versions have none, because HTTP/1.0 knows no interim responses, and hyper
/// cannot send them over HTTP/2.
#[derive(Debug, Clone)]
pub struct Interim(Arc<Messages>);

impl Interim {
    /// Sends an interim response. It is dropped when the response has begun, and when the client does not
    /// read what was sent before.
    pub fn send(&self, status: StatusCode, headers: &HeaderMap) {
        let mut state = self.0.0.lock();
        if state.phase != Phase::UnderWay || state.unsent || !status.is_informational() {
            return;
        }
        let before = state.queued.len();
        head(&mut state.queued, status, headers);
        state.queued.put_slice(b"\r\n");
        if state.queued.len() > QUEUED_BYTES_MAX {
            state.queued.truncate(before);
        }
        if let Some(waker) = &state.waker {
            waker.wake_by_ref();
        }
    }
}
