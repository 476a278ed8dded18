//! HTTP at a relay: `/edge/{node}/{port}/…` is an app behind an edge.
//!
//! ```text
//!  accept ─▶ service.rs: parse (path.rs) → authorize → admit (places) → route, connect or take from
//!            the pool (exchange.rs) → forward → body (body.rs) or upgrade (upgrade.rs)
//!                                  └──▶ finish.rs, whatever happens
//! ```
//! HTTP/1.1 and HTTP/2 without TLS in, HTTP/1.1 to apps. A client that leaves takes its request with
//! it; a response that breaks off in its body is broken off at the client too.

mod activity;
mod authorize;
pub(crate) mod body;
mod cors;
mod exchange;
mod finish;
pub mod headers;
pub mod path;
mod service;
mod upgrade;

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use peerwork_identity::NodeId;
use peerwork_limits::{Bounds, Places};
use peerwork_net::Network;
use prometheus_client::registry::Registry;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub(crate) use finish::Outcome;

use activity::Activity;

use crate::{
    connect::Connector, error::StartError, keys::KeyStore, metrics::IngressMetrics, pool::Pool,
    routes::Routes, socket,
};

/// HTTP/2 clients that vanished are noticed by this.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a request may go on when its key is revoked.
const REVOKED_GRACE: Duration = Duration::from_millis(500);
/// How long an idle client may take to leave once it was asked to.
const LEAVE_DEADLINE: Duration = Duration::from_secs(1);

/// Settings of an ingress.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where it listens; port 0 is any free port.
    pub listen: SocketAddr,
    /// The keys that clients need; `None` lets everybody call.
    pub auth: Option<KeyStore>,
    /// Browser origins that may read answers of apps that set no rules themselves; `*` is all.
    pub cors_origins: Vec<String>,
    /// What `GET /` tells.
    pub about: About,
    /// Bounds.
    pub limits: Limits,
    /// Deadlines.
    pub deadlines: Deadlines,
}

impl Config {
    /// Open to all, with the default bounds and deadlines.
    #[must_use]
    pub fn new(listen: SocketAddr, about: About) -> Self {
        Self {
            listen,
            auth: None,
            cors_origins: Vec::new(),
            about,
            limits: Limits::default(),
            deadlines: Deadlines::default(),
        }
    }
}

/// What `GET /` tells: `{"name","networkID","version"}`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// The network's name.
    pub name: String,
    /// The network's id.
    pub network_id: i64,
    /// This program's version.
    pub version: String,
}

/// Bounds of an ingress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Requests under way; 503 beyond. Each costs about 60 KiB, so 240 MiB at worst.
    pub requests_max: usize,
    /// Requests under way to one node; 503 beyond.
    pub requests_per_node_max: usize,
    /// Connections of clients; further ones wait to be accepted.
    pub connections_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            requests_max: 4096,
            requests_per_node_max: 200,
            connections_max: 8192,
        }
    }
}

/// Deadlines of an ingress. Bodies have none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deadlines {
    /// From the decision to connect until the app took the connection; 504 after it.
    pub connect: Duration,
    /// From the end of the upload, or its last progress, until the response's head; 504 after it.
    pub response: Duration,
    /// For a client's request head. A connection without a request for this long is closed, at the
    /// latest after twice as long.
    pub head: Duration,
    /// How long requests may go on after [`Ingress::stop`].
    pub drain: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            response: Duration::from_secs(300),
            head: Duration::from_secs(60),
            drain: Duration::from_secs(3),
        }
    }
}

/// What all requests share.
pub(crate) struct Shared {
    pub(crate) connector: Connector,
    pub(crate) keys: Option<KeyStore>,
    pub(crate) cors: cors::Cors,
    pub(crate) about: Bytes,
    pub(crate) requests: Places<NodeId>,
    pub(crate) deadlines: Deadlines,
    pub(crate) metrics: IngressMetrics,
    pub(crate) pool: Pool,
    pub(crate) tasks: TaskTracker,
    /// No further requests; upgraded connections end.
    pub(crate) stop: CancellationToken,
    /// What is still under way ends.
    kill: CancellationToken,
}

/// A running ingress. Dropping it cuts everything off; [`Ingress::stop`] ends it in order.
pub struct Ingress {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Ingress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ingress")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Ingress {
    /// Listens, and carries requests over `network` to the nodes that `routes` knows.
    ///
    /// # Errors
    /// [`StartError`] when the address cannot be listened on or a setting is out of bounds.
    pub async fn start(
        config: Config,
        network: Network,
        routes: Arc<dyn Routes>,
        metrics: &mut Registry,
    ) -> Result<Self, StartError> {
        let cors = cors::Cors::new(&config.cors_origins).map_err(|reason| {
            let setting = "cors_origins";
            StartError::Setting { setting, reason }
        })?;
        let failed = |source| StartError::Listen {
            address: config.listen,
            source,
        };
        let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let limits = &config.limits;
        let shared = Arc::new(Shared {
            connector: Connector::new(network, routes),
            keys: config.auth,
            cors,
            about: about(&config.about),
            requests: Places::new(Bounds {
                all: limits.requests_max,
                per_key: limits.requests_per_node_max,
                per_origin: limits.requests_max,
            }),
            deadlines: config.deadlines,
            metrics: IngressMetrics::register(metrics),
            pool: Pool::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            kill: CancellationToken::new(),
        });
        let connections = limits.connections_max.min(Semaphore::MAX_PERMITS);
        let accept = accept(Arc::clone(&shared), listener, connections);
        shared.tasks.spawn(accept);
        shared.tasks.spawn(sweep(Arc::clone(&shared)));
        if let Some(keys) = &shared.keys {
            let refresh = keys.clone().keep_fresh(shared.stop.clone());
            shared.tasks.spawn(refresh);
        }
        Ok(Self { address, shared })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Counts the requests under way at this moment, upgraded ones included.
    pub fn counter(&self) -> impl Fn() -> usize + Send + Sync + 'static {
        let requests = self.shared.requests.clone();
        move || requests.taken()
    }

    /// Takes no further requests, lets those under way finish within [`Deadlines::drain`], and cuts
    /// off the rest.
    pub async fn stop(self) {
        let shared = &self.shared;
        shared.stop.cancel();
        shared.tasks.close();
        let drain = shared.deadlines.drain;
        if timeout(drain, shared.tasks.wait()).await.is_err() {
            shared.kill.cancel();
            shared.tasks.wait().await;
        }
    }
}

impl Drop for Ingress {
    fn drop(&mut self) {
        self.shared.stop.cancel();
        self.shared.kill.cancel();
        self.shared.pool.clear();
    }
}

fn about(about: &About) -> Bytes {
    let About {
        name,
        network_id,
        version,
    } = about;
    let json = serde_json::json!({ "name": name, "networkID": network_id, "version": version });
    Bytes::from(json.to_string())
}

async fn accept(shared: Arc<Shared>, listener: TcpListener, connections_max: usize) {
    let places = Arc::new(Semaphore::new(connections_max));
    let stop = shared.stop.clone();
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(shared.deadlines.head);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    let builder = Arc::new(builder);
    let work = async {
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                return;
            };
            match listener.accept().await {
                Ok((stream, client)) => {
                    let serve = serve(Arc::clone(&shared), Arc::clone(&builder), stream, client);
                    shared.tasks.spawn(while_placed(serve, place));
                }
                Err(error) => {
                    // Out of file descriptors, most likely: trying at once would only burn the CPU.
                    tracing::warn!(%error, "a client could not be accepted");
                    sleep(Duration::from_millis(50)).await;
                }
            }
        }
    };
    stop.run_until_cancelled(work).await;
}

async fn while_placed(serve: impl Future<Output = ()>, place: OwnedSemaphorePermit) {
    serve.await;
    drop(place);
}

async fn serve(
    shared: Arc<Shared>,
    builder: Arc<auto::Builder<TokioExecutor>>,
    stream: TcpStream,
    client: SocketAddr,
) {
    socket::prepare(&stream);
    let client = Arc::new(headers::Client::new(client));
    let (stop, kill) = (shared.stop.clone(), shared.kill.clone());
    let patience = shared.deadlines.head;
    let activity = Arc::new(Activity::default());
    let requests = Arc::clone(&activity);
    let keys = shared.keys.clone();
    let service = service_fn(move |request| {
        let (shared, client) = (Arc::clone(&shared), Arc::clone(&client));
        let answer = service::handle(shared, client, requests.begin(), request);
        async { Ok::<_, Infallible>(answer.await) }
    });
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    // What went wrong is told by the requests that were under way.
    let work = async {
        tokio::select! {
            biased;
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                drop(connection.await);
            }
            result = connection.as_mut() => drop(result),
            () = activity.revoked(keys.as_ref()) => {
                // A short request that came with the last use of its key is answered.
                connection.as_mut().graceful_shutdown();
                drop(timeout(REVOKED_GRACE, connection).await);
            }
            () = activity.idle(patience) => {
                connection.as_mut().graceful_shutdown();
                drop(timeout(LEAVE_DEADLINE, connection).await);
            }
        }
    };
    kill.run_until_cancelled(work).await;
}

/// Lets go of connections that are kept for nothing.
async fn sweep(shared: Arc<Shared>) {
    let work = async {
        loop {
            sleep(Duration::from_secs(10)).await;
            shared.pool.sweep();
        }
    };
    shared.stop.run_until_cancelled(work).await;
    shared.pool.clear();
}
