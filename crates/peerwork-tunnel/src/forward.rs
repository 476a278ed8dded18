//! Forwards a local TCP port to a port behind an edge.

mod failures;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use peerwork_identity::NodeId;
use peerwork_listener::AcceptFailures;
use peerwork_net::Network;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::failures::{CarryError, Failures};
use crate::{
    connect::{Connector, Destination, Opening},
    copy::{Copied, copy_both},
    error::StartError,
    routes::Routes,
    wire::RequestId,
};

/// Connections forwarded at once; further connections wait to be accepted. Each costs 130 KiB, so 130
/// MiB at worst.
pub const CONNECTIONS_MAX: usize = 1024;
/// How long the tunnel to the app may take to open.
pub const CONNECT_DEADLINE: Duration = Duration::from_secs(10);

/// The destination of forwarded connections.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    /// The edge.
    pub node: NodeId,
    /// The port at the edge, never 0.
    pub port: u16,
    /// The edge's bearer key, where the edge demands one.
    pub key: Option<String>,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.node, self.port)
    }
}

/// A running forwarder of a local port. Dropping it closes its connections.
#[derive(Debug)]
pub struct Forwarder {
    address: SocketAddr,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Forwarder {
    /// Listens on `local` and forwards its connections over `network`; port 0 takes a free port.
    ///
    /// # Errors
    /// [`StartError::Listen`] when the address cannot be listened on.
    pub async fn start(
        local: SocketAddr,
        to: Target,
        network: Network,
        routes: Arc<dyn Routes>,
    ) -> Result<Self, StartError> {
        Self::over(local, to, Connector::new(network, routes)).await
    }

    /// Does the same as [`Forwarder::start`] over the tunnels of `connector`.
    ///
    /// # Errors
    /// [`StartError::Listen`] when the address cannot be listened on.
    pub async fn over(
        local: SocketAddr,
        to: Target,
        connector: Connector,
    ) -> Result<Self, StartError> {
        let failed = |source| StartError::Listen {
            address: local,
            source,
        };
        let listener = TcpListener::bind(local).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let tasks = TaskTracker::new();
        let stop = connector.stopping();
        let carrier = Carrier {
            connector,
            to: Destination {
                node: to.node,
                port: to.port,
                key: to.key.map(Into::into),
            },
            stop: stop.clone(),
            failures: Failures::default(),
        };
        tasks.spawn(accept(listener, Arc::new(carrier), tasks.clone()));
        Ok(Self {
            address,
            tasks,
            stop,
        })
    }

    /// The address that the forwarder listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts no further connections and closes the open ones.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

struct Carrier {
    connector: Connector,
    to: Destination,
    stop: CancellationToken,
    failures: Failures,
}

async fn accept(listener: TcpListener, carrier: Arc<Carrier>, tasks: TaskTracker) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let stop = carrier.stop.clone();
    let mut failures = AcceptFailures::new("forward");
    let work = async {
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                return;
            };
            match listener.accept().await {
                Ok((local, _)) => {
                    let carrier = Arc::clone(&carrier);
                    tasks.spawn(async move {
                        carrier.carry(local).await;
                        drop(place);
                    });
                }
                Err(error) => failures.pause(&error).await,
            }
        }
    };
    stop.run_until_cancelled(work).await;
}

impl Carrier {
    async fn carry(&self, mut local: TcpStream) {
        peerwork_listener::prepare(&local);
        let request_id = RequestId::random();
        let mut copied = Copied::default();
        let work = self.work(&mut local, request_id, &mut copied);
        match self.stop.run_until_cancelled(work).await {
            Some(Ok(())) => {
                let Copied { forth, back } = copied;
                tracing::debug!(to = ?self.to, %request_id, sent = forth, received = back, "connection finished");
            }
            Some(Err(error)) => {
                let _ = local.set_zero_linger();
                self.failures.log(&self.to, request_id, &error);
            }
            None => drop(local.set_zero_linger()),
        }
    }

    async fn work(
        &self,
        local: &mut TcpStream,
        request_id: RequestId,
        copied: &mut Copied,
    ) -> Result<(), CarryError> {
        let deadline = Instant::now() + CONNECT_DEADLINE;
        let mut opened = self
            .connector
            .connect(&self.to, Opening::tcp(request_id), deadline)
            .await?;
        Ok(copy_both(local, &mut opened.stream, copied, None).await?)
    }
}
