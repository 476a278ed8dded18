//! The HTTP server of a relay: `/edge/{node}/{port}/…` leads to an app behind an edge, and a port may
//! belong to one app. Paths below `/ipfs/` belong to the node's content service, where it has one.
//!
//! ```text
//!  peerwork-listener ─▶ session.rs ─▶ service.rs: parse (path.rs) → authorize → admit (admission.rs)
//!  (accept, TLS,         → route, connect or take from the pool (exchange.rs) → forward
//!   deadlines)           → body (download.rs) or upgrade (upgrade.rs)
//!                         ├─ login of browsers, at an app's own port (login.rs)
//!                         └─ content of the node, below /ipfs/ (content_answer.rs)
//!                                  └──▶ finish.rs, in every case
//! ```
//! The ingress accepts HTTP/1.1 and HTTP/2, with or without TLS, and calls apps by HTTP/1.1. A client
//! that resets its connection cancels its request at once; a client that ends its direction gets its
//! answer, unless the answer pauses for longer than [`peerwork_listener::Deadlines::half_closed`]. A
//! response whose body breaks off is broken off at the client too.

mod activity;
mod admission;
mod app;
mod authorize;
pub mod config;
mod content;
mod content_answer;
mod cors;
mod download;
mod exchange;
mod finish;
mod framing;
pub mod headers;
mod host;
mod login;
pub mod path;
mod port;
mod prefix;
mod recent;
mod service;
mod session;
mod shared;
mod upgrade;
mod websocket;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use peerwork_listener::{Bound, Lifetime, Listener, Wire};
use peerwork_net::Network;
use prometheus_client::registry::Registry;
use tokio::time::sleep;

pub use config::{APP_PORTS_MAX, About, AppPaths, AppPort, Config, Deadlines, Limits};
pub use content::{Content, ContentAnswer, ContentBody};
pub use port::Ports;

use crate::{
    connect::Connector, error::StartError, metrics::IngressMetrics, pool::Pool, routes::Routes,
};
use admission::Requests;
use app::App;
use login::Login;
use port::Port;
use shared::Shared;

/// A running ingress. Dropping it closes all connections; [`Ingress::stop`] lets requests finish first.
pub struct Ingress {
    address: SocketAddr,
    apps: Vec<SocketAddr>,
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
    /// Listens, and forwards requests over `network` to the nodes that `routes` finds.
    ///
    /// # Errors
    /// [`StartError`] when the address cannot be listened on, the certificate cannot be used, or a
    /// setting is out of bounds.
    pub async fn start(
        config: Config,
        network: Network,
        routes: Arc<dyn Routes>,
        metrics: &mut Registry,
    ) -> Result<Self, StartError> {
        let ports = Self::bind(&config).await?;
        Self::serve(ports, config, Connector::new(network, routes), metrics).await
    }

    /// Binds the ports of `config` for [`Ingress::serve`]; port 0 takes a free port.
    ///
    /// # Errors
    /// [`StartError`] when an address cannot be listened on, or a setting is out of bounds.
    pub async fn bind(config: &Config) -> Result<Ports, StartError> {
        Ports::bind(config).await
    }

    /// Serves HTTP at `ports`, which were bound for the same settings, and forwards requests over the
    /// tunnels of `connector`.
    ///
    /// # Errors
    /// [`StartError`] when the certificate cannot be used, or a setting is out of bounds.
    pub async fn serve(
        ports: Ports,
        config: Config,
        connector: Connector,
        metrics: &mut Registry,
    ) -> Result<Self, StartError> {
        let cors = cors::Cors::new(&config.cors_origins).map_err(|reason| {
            let setting = "cors_origins";
            StartError::Setting { setting, reason }
        })?;
        let shared = Arc::new(Shared {
            connector,
            keys: config.auth,
            login: Login::new(),
            cors,
            app_paths: config.app_paths,
            content: config.content,
            about: about(&config.about),
            requests: Requests::new(&config.limits),
            deadlines: config.deadlines,
            idle: config.http.deadlines.head,
            stuck: config.http.deadlines.stuck,
            proxies: config.http.preamble.proxies.clone(),
            metrics: IngressMetrics::register(metrics),
            pool: Pool::new(config.http.header_case),
            lifetime: Lifetime::default(),
        });
        let (address, apps) = (ports.address(), ports.apps().collect());
        listen(ports, &shared, (&config.apps, config.http)).await?;
        let Lifetime { tasks, stop, .. } = &shared.lifetime;
        tasks.spawn(sweep(Arc::clone(&shared)));
        if let Some(keys) = &shared.keys {
            tasks.spawn(keys.clone().keep_fresh(stop.clone()));
        }
        Ok(Self {
            address,
            apps,
            shared,
        })
    }

    /// The address of the port of the shared prefix.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The addresses of the apps' own ports, in the order of [`Config::apps`].
    #[must_use]
    pub fn app_addresses(&self) -> &[SocketAddr] {
        &self.apps
    }

    /// Gives a function that counts the requests under way, upgraded ones included.
    pub fn counter(&self) -> impl Fn() -> usize + Send + Sync + 'static {
        let requests = self.shared.requests.clone();
        move || requests.taken()
    }

    /// Accepts no further requests, lets the requests under way finish within [`Deadlines::drain`], and
    /// cancels the rest.
    pub async fn stop(self) {
        let shared = &self.shared;
        shared.lifetime.stop(shared.deadlines.drain).await;
    }
}

impl Drop for Ingress {
    fn drop(&mut self) {
        self.shared.lifetime.cut_now();
        self.shared.pool.close();
    }
}

/// Starts the listeners of all ports, which share the places for connections and the certificate.
async fn listen(
    ports: Ports,
    shared: &Arc<Shared>,
    (apps, http): (&[AppPort], peerwork_listener::Config),
) -> Result<(), StartError> {
    let listener = |bound: Bound, app: Option<App>, config| Listener {
        name: "ingress",
        bound,
        config,
        wire: Wire::Both,
        serve: Arc::new(Port {
            shared: Arc::clone(shared),
            app,
        }),
        counters: shared.metrics.connections.clone(),
        lifetime: shared.lifetime.clone(),
    };
    let first = listener(ports.shared, None, http.clone()).start().await?;
    for (bound, app) in ports.apps.into_iter().zip(apps) {
        let mut http = http.clone();
        http.preamble.tls = http.preamble.tls.filter(|_| app.https);
        let app = App::new(app, bound.address());
        listener(bound, Some(app), http).start_beside(&first);
    }
    Ok(())
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

/// Closes kept connections to apps that have been unused for too long.
async fn sweep(shared: Arc<Shared>) {
    let work = async {
        loop {
            sleep(Duration::from_secs(10)).await;
            shared.pool.sweep();
        }
    };
    shared.lifetime.stop.run_until_cancelled(work).await;
    shared.pool.close();
}
