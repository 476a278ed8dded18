//! The example web app of the README: an app to call behind an edge.
//!
//! | route | answer |
//! |---|---|
//! | `POST /echo` with `{"message": "…"}` | the same message |
//! | `/home` | a page for browsers |
//! | `/events` | server-sent events, one a second |
//!
//! The app is an example and a test tool. It uses no other part of the network.

mod routes;

use std::{io, net::SocketAddr, time::Duration};

use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use peerwork_listener::AcceptFailures;
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long open requests may go on when the app is stopped; then they are cancelled.
const STOP_DEADLINE: Duration = Duration::from_secs(2);
/// How long a client may take to send the head of a request.
const HEAD_DEADLINE: Duration = Duration::from_secs(30);

/// A running web app. Dropping it stops it at once; [`stop`](Self::stop) lets requests finish.
#[derive(Debug)]
pub struct WebApp {
    address: SocketAddr,
    accepting: CancellationToken,
    connections: CancellationToken,
    tasks: TaskTracker,
}

impl WebApp {
    /// Listens on `address`; port 0 takes a free port.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn start(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let app = Self {
            address: listener.local_addr()?,
            accepting: CancellationToken::new(),
            connections: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        app.tasks.spawn(accept(
            listener,
            app.accepting.clone(),
            app.connections.clone(),
            app.tasks.clone(),
        ));
        Ok(app)
    }

    /// The address that the app listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts no further connections, lets requests under way finish for up to two seconds, and
    /// cancels the rest.
    pub async fn stop(self) {
        self.accepting.cancel();
        self.tasks.close();
        if tokio::time::timeout(STOP_DEADLINE, self.tasks.wait())
            .await
            .is_err()
        {
            self.connections.cancel();
            self.tasks.wait().await;
        }
    }
}

impl Drop for WebApp {
    fn drop(&mut self) {
        self.accepting.cancel();
        self.connections.cancel();
    }
}

/// Accepts connections. Their number is bounded by the system's limit of open files only, because the
/// app serves one machine.
async fn accept(
    listener: TcpListener,
    accepting: CancellationToken,
    connections: CancellationToken,
    tasks: TaskTracker,
) {
    let mut failures = AcceptFailures::new("web app");
    loop {
        let accepted = tokio::select! {
            biased;
            () = accepting.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((socket, _)) => {
                let served = serve(socket, accepting.clone());
                tasks.spawn(connections.clone().run_until_cancelled_owned(served));
            }
            Err(error) => failures.pause(&error).await,
        }
    }
}

async fn serve(socket: tokio::net::TcpStream, stopping: CancellationToken) {
    // Without Nagle's algorithm, an answer of a few bytes is sent at once.
    let _ = socket.set_nodelay(true);
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE);
    let events_end = stopping.clone();
    let service = service_fn(move |request| {
        let end = events_end.clone();
        async move { Ok::<_, std::convert::Infallible>(routes::answer(request, end).await) }
    });
    let connection = builder.serve_connection(TokioIo::new(socket), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection of the web app ended early");
    }
}
