//! Sockets: bind, accept within a bound, serve, and stop with all tasks owned.

use std::{
    fmt,
    future::Future,
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use axum::{Router, body::Body, extract::Request};
use futures::future::BoxFuture;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulConnection},
};
use tokio::net::{TcpListener, TcpStream};
use tokio_io_timeout::TimeoutStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::Service as _;

use crate::{
    front::{Io, Opened, Opening},
    metrics::{Metrics, Open},
    places::{Places, Taken},
};

/// A client sends a whole HTTP/1 head, or the first byte after a pause, within this time.
const HEADER_DEADLINE: Duration = Duration::from_secs(30);
/// A connection on which nothing arrives for this long is cut; sockets and gRPC ping more often.
const IDLE_MAX: Duration = Duration::from_secs(150);
/// A connection that takes nothing for this long is cut.
const STUCK_MAX: Duration = Duration::from_secs(60);
/// gRPC connections are asked for a sign of life this often.
const GRPC_PING_INTERVAL: Duration = Duration::from_secs(45);
/// Pause after a failed accept: the process is out of file descriptors until something closes.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Bytes of the header fields of one gRPC call.
const GRPC_HEADER_BYTES_MAX: u32 = 16 * 1024;

/// What a listener is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// JSON-RPC over HTTP and WebSocket.
    JsonRpc,
    /// Operator gRPC.
    Operator,
    /// Metrics and health.
    Metrics,
    /// WebSockets for the network, and the pages of a relay.
    Front,
}

impl Purpose {
    /// The flag of the program that sets the address.
    #[must_use]
    pub fn flag(self) -> &'static str {
        match self {
            Self::JsonRpc => "--jsonrpc",
            Self::Operator => "--grpc-address",
            Self::Metrics => "--metrics",
            Self::Front => "--websocket",
        }
    }

    /// The label in metrics and in the list of endpoints.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::JsonRpc => "json-rpc",
            Self::Operator => "operator",
            Self::Metrics => "metrics",
            Self::Front => "relay-front",
        }
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.flag())
    }
}

/// The address of the caller, in the extensions of every request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RemoteAddress(pub(crate) SocketAddr);

/// Whether the listener itself did the encryption, in the extensions of every request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Secure(pub(crate) bool);

/// A place among the connections of a listener, in the extensions of every request: a WebSocket
/// keeps it, because it outlives the HTTP connection that it came from.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    _parts: Arc<(Taken, Open)>,
}

/// How tasks end: `stop` asks, `abort` cuts, `tasks` owns them all.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lifetime {
    pub(crate) stop: CancellationToken,
    pub(crate) abort: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

impl Lifetime {
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let abort = self.abort.clone();
        self.tasks.spawn(async move {
            tokio::select! { biased; () = abort.cancelled() => (), () = task => () }
        });
    }
}

/// Lets HTTP/2 spawn its streams as owned tasks.
impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Lifetime {
    fn execute(&self, task: F) {
        self.spawn(task);
    }
}

/// The language of a listener.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wire {
    Http1,
    Http2 { streams_max: u32 },
}

/// A bound socket with all that its connections need.
pub(crate) struct Listener {
    pub(crate) purpose: Purpose,
    pub(crate) socket: TcpListener,
    pub(crate) opening: Opening,
    pub(crate) router: Router,
    pub(crate) wire: Wire,
    pub(crate) places: Arc<Places>,
    pub(crate) metrics: Metrics,
    pub(crate) lifetime: Lifetime,
}

impl Listener {
    /// Accepts in the background until the lifetime ends.
    pub(crate) fn start(self) {
        self.lifetime.clone().spawn(self.accept());
    }

    async fn accept(self) {
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.lifetime.stop.cancelled() => return,
                accepted = self.socket.accept() => accepted,
            };
            let (stream, remote) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    let name = self.purpose.name();
                    tracing::warn!(listener = name, %error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let Some(taken) = self.places.take(remote.ip()) else {
                self.refuse(&stream);
                continue;
            };
            self.serve(stream, remote, taken);
        }
    }

    /// Says why, as far as the empty buffer of a fresh socket takes it without waiting.
    fn refuse(&self, stream: &TcpStream) {
        self.metrics.refused(self.purpose.name());
        if matches!(self.wire, Wire::Http1) {
            const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\n\
                content-length: 0\r\nconnection: close\r\n\r\n";
            // The client learns the same from the close when this does not arrive.
            let _ = stream.try_write(BUSY);
        }
    }

    fn serve(&self, stream: TcpStream, remote: SocketAddr, mut taken: Taken) {
        // Answers are small and one write each; waiting to fill a segment only delays them.
        let _ = stream.set_nodelay(true);
        let (opening, router, builder) =
            (self.opening.clone(), self.router.clone(), self.builder());
        let stop = self.lifetime.stop.clone();
        let places = Arc::clone(&self.places);
        let open = self.metrics.connection(self.purpose.name());
        self.lifetime.spawn(async move {
            let opening = opening.open(stream, remote);
            let opened = stop.run_until_cancelled(opening).await;
            match opened {
                Some(Ok(opened)) => {
                    if places.take_behind(&mut taken, opened.remote.ip()) {
                        let _parts = Arc::new((taken, open));
                        speak_http(opened, router, builder, Place { _parts }, stop).await;
                    } else {
                        tracing::debug!(client = %opened.remote, "its address has too many");
                    }
                }
                Some(Err(error)) => {
                    tracing::debug!(%remote, %error, "a connection did not begin as it should");
                }
                None => {}
            }
        });
    }

    fn builder(&self) -> auto::Builder<Lifetime> {
        let builder = auto::Builder::new(self.lifetime.clone());
        match self.wire {
            Wire::Http1 => {
                let mut builder = builder.http1_only();
                builder
                    .http1()
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEADER_DEADLINE);
                builder
            }
            Wire::Http2 { streams_max } => {
                let mut builder = builder.http2_only();
                builder
                    .http2()
                    .timer(TokioTimer::new())
                    .max_concurrent_streams(streams_max)
                    .max_header_list_size(GRPC_HEADER_BYTES_MAX)
                    .keep_alive_interval(GRPC_PING_INTERVAL);
                builder
            }
        }
    }
}

/// Answers the requests of one connection.
fn speak_http(
    opened: Opened,
    router: Router,
    builder: auto::Builder<Lifetime>,
    place: Place,
    stop: CancellationToken,
) -> BoxFuture<'static, ()> {
    let Opened { io, remote, secure } = opened;
    let service = service_fn(move |mut request: Request<Incoming>| {
        let extensions = request.extensions_mut();
        extensions.insert(RemoteAddress(remote));
        extensions.insert(Secure(secure));
        extensions.insert(place.clone());
        router.clone().call(request.map(Body::new))
    });
    let io = TokioIo::new(with_deadlines(io));
    Box::pin(async move {
        drive(builder.serve_connection_with_upgrades(io, service), stop).await;
    })
}

fn with_deadlines(stream: Io) -> Pin<Box<TimeoutStream<Io>>> {
    let mut stream = TimeoutStream::new(stream);
    stream.set_read_timeout(Some(IDLE_MAX));
    stream.set_write_timeout(Some(STUCK_MAX));
    Box::pin(stream)
}

/// Serves until the client is done, or until open requests are done once `stop` asks for it.
async fn drive<C>(connection: C, stop: CancellationToken)
where
    C: GracefulConnection,
    C::Error: fmt::Display,
{
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended early");
    }
}

/// Binds `address`, and says which address it got.
pub(crate) async fn bind(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = TcpListener::bind(address).await?;
    let bound = socket.local_addr()?;
    Ok((socket, bound))
}
