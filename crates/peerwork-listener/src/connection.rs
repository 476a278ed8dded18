//! `HttpServer::serve` runs HTTP on one connection, with its deadlines and its end.

use std::{
    convert::Infallible, fmt, future::pending, pin::Pin, pin::pin, sync::Arc, time::Duration,
};

use http::Request;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::time::{sleep, timeout};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;

use crate::{
    Config, Deadlines, HEADER_BYTES_MAX, HeaderCase, Lifetime, Place, Serve, Watched, Wire,
    messages::Messages,
    opening::{Io, Opened},
    splice::Splice,
    watched::StreamTasks,
};

/// The pause between HTTP/2 pings, which find clients that vanished, and the time a client has to
/// answer a ping.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// The headers that one HTTP/1.1 message may have; browsers and apps behind several proxies send more
/// than hyper's default of 100. A request with more gets 431.
pub const HEADERS_MAX: usize = 256;
/// The bytes of headers that HTTP/2 decodes before a service sees them, at a port of [`Wire::Both`]: twice
/// [`HEADER_BYTES_MAX`], so that the service can say why it refuses a request. A request with as many gets
/// 431 without a body.
const DECODED_BYTES_MAX: u32 = 2 * HEADER_BYTES_MAX as u32;

/// The HTTP settings that all connections of a port share.
pub(crate) struct HttpServer {
    builder: auto::Builder<StreamTasks>,
    deadlines: Deadlines,
}

impl HttpServer {
    pub(crate) fn new(wire: Wire, config: &Config, lifetime: &Lifetime) -> Self {
        let deadlines = config.deadlines;
        let kept = config.header_case == HeaderCase::Kept;
        let mut builder = auto::Builder::new(StreamTasks {
            tasks: lifetime.tasks.clone(),
            stuck: deadlines.stuck,
        });
        builder
            .http1()
            .timer(TokioTimer::new())
            .max_headers(HEADERS_MAX)
            .half_close(true)
            .preserve_header_case(kept)
            .title_case_headers(kept)
            .header_read_timeout(deadlines.head);
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT);
        let builder = match wire {
            Wire::Http1 => builder.http1_only(),
            Wire::Http2 {
                streams_max,
                header_bytes_max,
            } => {
                builder
                    .http2()
                    .max_concurrent_streams(streams_max)
                    .max_header_list_size(header_bytes_max);
                builder.http2_only()
            }
            Wire::Both => {
                builder
                    .http2()
                    .max_header_list_size(DECODED_BYTES_MAX)
                    .enable_connect_protocol();
                builder
            }
        };
        Self { builder, deadlines }
    }

    /// Answers the requests of a connection. It ends when the client closes, a deadline passes, the
    /// connection is evicted, or a graceful stop has finished the last request.
    pub(crate) async fn serve<S: Serve>(
        &self,
        opened: Opened,
        serve: Arc<S>,
        place: Place,
        stop: CancellationToken,
    ) {
        let session = Arc::new(serve.begin(opened.caller, place.clone()));
        let (of_requests, of_session) = (Arc::clone(&serve), Arc::clone(&session));
        let proof = place.clone();
        let messages = Arc::<Messages>::default();
        let io = TokioIo::new(self.splice(opened.io, &messages, &serve, &session));
        let service = service_fn(move |mut request: Request<Incoming>| {
            proof.prove();
            let under_way = messages.begin(&mut request);
            let (serve, session) = (Arc::clone(&of_requests), Arc::clone(&of_session));
            let answer = serve.answer(session, request);
            async move {
                let response = answer.await;
                under_way.answers(&response);
                let watched = |body| Watched::new(body, under_way);
                Ok::<_, Infallible>(response.map(watched))
            }
        });
        let connection = self.builder.serve_connection_with_upgrades(io, service);
        let mut connection = pin!(connection);
        let result = tokio::select! {
            biased;
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                Some(connection.await)
            }
            result = connection.as_mut() => Some(result),
            grace = serve.ended(&session) => {
                connection.as_mut().graceful_shutdown();
                timeout(grace, connection).await.ok()
            }
            () = place.evicted() => None,
            () = no_request(&place, self.deadlines.head) => None,
        };
        report(result);
    }

    fn splice<S: Serve>(
        &self,
        io: Io,
        messages: &Arc<Messages>,
        serve: &Arc<S>,
        session: &Arc<S::Session>,
    ) -> Splice<Pin<Box<TimeoutStream<Io>>>> {
        let (serve, session) = (Arc::clone(serve), Arc::clone(session));
        let unparsed = Box::new(move |status| serve.unparsed(&session, status));
        let io = with_deadlines(io, &self.deadlines);
        Splice::new(
            io,
            Arc::clone(messages),
            self.deadlines.half_closed,
            unparsed,
        )
    }
}

/// Waits until the deadline for the first request has passed, provided that no request came.
async fn no_request(place: &Place, head: Duration) {
    sleep(head).await;
    if place.is_proven() {
        pending::<()>().await;
    }
}

fn report<E: fmt::Display>(result: Option<Result<(), E>>) {
    if let Some(Err(error)) = result {
        tracing::debug!(%error, "connection ended early");
    }
}

fn with_deadlines(io: Io, deadlines: &Deadlines) -> Pin<Box<TimeoutStream<Io>>> {
    let mut stream = TimeoutStream::new(io);
    stream.set_read_timeout(deadlines.silence);
    stream.set_write_timeout(Some(deadlines.stuck));
    Box::pin(stream)
}
