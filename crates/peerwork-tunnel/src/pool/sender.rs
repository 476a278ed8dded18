//! The sending half of a connection to an app, in the version of HTTP that the app speaks.

use std::{
    future::Future,
    sync::{Arc, atomic::AtomicU64},
};

use futures::future::Either;
use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http1, http2},
};
use hyper_util::rt::TokioIo;
use peerwork_listener::{HEADERS_MAX, HeaderCase, Lifetime};

use super::{
    stream::AppStream,
    version::{to_http1, to_http2},
};
use crate::{connect::Opened, upload::Upload, wire::Speaks};

/// The bytes of a response that an HTTP/2 app may send before the client has read them, and of all
/// headers; as many as hyper's server takes of a client's upload. One call uses a connection at a time,
/// so the calls to one node buffer 200 MiB at worst.
const WINDOW_BYTES: u32 = 1024 * 1024;
/// The bytes of the headers that an HTTP/2 app may send, the same as over HTTP/1.1.
const HEADER_BYTES_MAX: u32 = 400 * 1024;

/// The result of sending a request; the error holds the request where no byte of it was sent.
pub(crate) type Sent = Result<Response<Incoming>, TrySendError<Request<Upload>>>;

/// The sending half of a connection, which carries one call at a time.
pub(crate) enum Sender {
    Http1(http1::SendRequest<Upload>),
    Http2(http2::SendRequest<Upload>),
}

impl Sender {
    /// Whether a call may leave the connection reusable although its upload had not ended when the
    /// response began: over HTTP/2 the end of the call ends its stream.
    pub(crate) fn is_multiplexed(&self) -> bool {
        matches!(self, Self::Http2(_))
    }

    pub(crate) fn is_ready(&self) -> bool {
        match self {
            Self::Http1(sender) => sender.is_ready(),
            Self::Http2(sender) => sender.is_ready(),
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        match self {
            Self::Http1(sender) => sender.is_closed(),
            Self::Http2(sender) => sender.is_closed(),
        }
    }

    pub(crate) async fn ready(&mut self) -> hyper::Result<()> {
        match self {
            Self::Http1(sender) => sender.ready().await,
            Self::Http2(sender) => sender.ready().await,
        }
    }

    /// Sends a request in the connection's version of HTTP.
    pub(crate) fn try_send_request(
        &mut self,
        mut request: Request<Upload>,
    ) -> impl Future<Output = Sent> + use<> {
        match self {
            Self::Http1(sender) => {
                to_http1(&mut request);
                Either::Left(sender.try_send_request(request))
            }
            Self::Http2(sender) => {
                to_http2(&mut request);
                Either::Right(sender.try_send_request(request))
            }
        }
    }
}

/// Starts HTTP on tunnels.
pub(super) struct Handshakes {
    http1: http1::Builder,
}

impl Handshakes {
    pub(super) fn new(header_case: HeaderCase) -> Self {
        Self {
            http1: http1(header_case),
        }
    }

    /// Starts the version of HTTP that the app speaks; `written` counts the bytes to the tunnel. The
    /// connection's task ends when the sender is dropped, either side closes, or the lifetime is cancelled.
    pub(super) async fn shake(
        &self,
        opened: Opened,
        written: &Arc<AtomicU64>,
        lifetime: &Lifetime,
    ) -> hyper::Result<Sender> {
        let io = TokioIo::new(AppStream::new(opened.stream, Arc::clone(written)));
        // The error of a connection reaches the request on it.
        match opened.speaks {
            Speaks::Http1 => {
                let (sender, connection) = self.http1.handshake(io).await?;
                lifetime.spawn(async move { drop(connection.with_upgrades().await) });
                Ok(Sender::Http1(sender))
            }
            Speaks::Http2 => {
                let (sender, connection) = Box::pin(http2(lifetime).handshake(io)).await?;
                lifetime.spawn(async move { drop(connection.await) });
                Ok(Sender::Http2(sender))
            }
        }
    }
}

/// The settings of HTTP/1.1 to apps. Blanks before a colon are removed, and folded lines are joined, as
/// proxies must (RFC 9112 sections 5.1 and 5.2).
fn http1(header_case: HeaderCase) -> http1::Builder {
    let kept = header_case == HeaderCase::Kept;
    let mut builder = http1::Builder::new();
    builder
        .preserve_header_case(kept)
        .title_case_headers(kept)
        .max_headers(HEADERS_MAX)
        .allow_spaces_after_header_name_in_responses(true)
        .allow_obsolete_multiline_headers_in_responses(true);
    builder
}

/// The settings of HTTP/2 to apps.
fn http2(lifetime: &Lifetime) -> http2::Builder<Tasks> {
    let mut builder = http2::Builder::new(Tasks(lifetime.clone()));
    builder
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .max_header_list_size(HEADER_BYTES_MAX);
    builder
}

/// Spawns the tasks of HTTP/2 connections, which send the bodies of requests.
#[derive(Clone)]
struct Tasks(Lifetime);

impl<F> hyper::rt::Executor<F> for Tasks
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, task: F) {
        self.0.spawn(task);
    }
}
