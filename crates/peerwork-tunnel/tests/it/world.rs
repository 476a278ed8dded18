//! A test network of a relay, an edge and a web app, with functions to call the app.

use std::{collections::HashMap, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Full, combinators::BoxBody};
use hyper::{
    Request, Response,
    body::Incoming,
    client::conn::{http1, http2},
    http::request,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use peerwork_identity::NodeId;
use peerwork_net::{
    Config, Network,
    config::{Limits, RelayServer},
    relay::Reservation,
};
use peerwork_testkit::{DEADLINE, RawApp, WebApp, link::Links, node};
use peerwork_tunnel::{
    Edge, Ingress, edge,
    ingress::{self, About, AppPort},
    routes::{Found, Routes},
};
use prometheus_client::registry::Registry;
use tokio::net::TcpStream;

/// How long a test waits for an answer that should come at once.
pub(crate) const SOON: Duration = DEADLINE;

pub(crate) type Body = BoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// A directory that holds the entries that a test inserted.
#[derive(Default)]
pub(crate) struct Known(parking_lot::Mutex<HashMap<NodeId, Found>>);

impl Known {
    pub(crate) fn insert(&self, node: NodeId, found: Found) {
        self.0.lock().insert(node, found);
    }
}

impl Routes for Known {
    fn find(&self, node: NodeId) -> Option<Found> {
        self.0.lock().get(&node).cloned()
    }
}

pub(crate) async fn network() -> Network {
    let (links, limits) = (Links::default(), Limits::default());
    network_at(&["/ip4/127.0.0.1/tcp/0"], None, (&links, &limits)).await
}

async fn network_at(
    listen: &[&str],
    relay_server: Option<RelayServer>,
    common: (&Links, &Limits),
) -> Network {
    network_with(listen, common, |config| config.relay_server = relay_server).await
}

async fn network_with(
    listen: &[&str],
    (links, limits): (&Links, &Limits),
    change: impl FnOnce(&mut Config),
) -> Network {
    let mut config = node::config_of(node::key());
    config.listen = listen.iter().map(|at| at.parse().unwrap()).collect();
    config.hole_punching = false;
    config.limits = limits.clone();
    config.link = Some(links.of(config.keypair.node_id()));
    change(&mut config);
    node::start(config).await
}

/// The transport by which the ingress reaches the edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    Tcp,
    Quic,
    WebSocket,
    /// A circuit through a third node; the edge listens on no address.
    Circuit,
}

/// The node between an ingress and an edge, and the edge's reservation there.
pub(crate) struct Between {
    _relay: Network,
    _place: Reservation,
}

impl Over {
    pub(crate) const ALL: [Self; 4] = [Self::Tcp, Self::Quic, Self::WebSocket, Self::Circuit];

    async fn edge(self, common: (&Links, &Limits)) -> (Network, Option<Between>) {
        const TCP: &str = "/ip4/127.0.0.1/tcp/0";
        const QUIC: &str = "/ip4/127.0.0.1/udp/0/quic-v1";
        const WEB_SOCKET: &str = "/ip4/127.0.0.1/tcp/0/ws";
        match self {
            Self::Tcp => (network_at(&[TCP], None, common).await, None),
            Self::Quic => (network_at(&[QUIC], None, common).await, None),
            Self::WebSocket => (network_at(&[WEB_SOCKET], None, common).await, None),
            Self::Circuit => {
                let relay = network_at(&[TCP], Some(RelayServer::default()), common).await;
                let edge = network_at(&[], None, common).await;
                let deadline = tokio::time::Instant::now() + SOON;
                let place = edge
                    .reserve(&node::address(&relay), deadline)
                    .await
                    .unwrap();
                let between = Between {
                    _relay: relay,
                    _place: place,
                };
                (edge, Some(between))
            }
        }
    }
}

/// The settings of a [`World`].
pub(crate) struct Setup {
    pub(crate) ingress: ingress::Config,
    pub(crate) edge: edge::Config,
    pub(crate) requires_key: bool,
    /// The ports that belong to the web app, each with whether it speaks TLS.
    pub(crate) app_ports: Vec<bool>,
    pub(crate) over: Over,
    /// How often the relay pings its connections.
    pub(crate) ping_interval: Duration,
    /// Limits of the network of ingress and edge.
    pub(crate) limits: Limits,
}

pub(crate) struct World {
    pub(crate) app: WebApp,
    pub(crate) port: u16,
    pub(crate) ingress: Ingress,
    pub(crate) edge: Edge,
    pub(crate) relay_network: Network,
    pub(crate) edge_network: Network,
    pub(crate) known: Arc<Known>,
    pub(crate) metrics: Registry,
    /// The links between relay, edge, and the node between them.
    pub(crate) links: Links,
    _between: Option<Between>,
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::with(|_| ()).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Setup)) -> Self {
        let app = WebApp::start().await;
        let port = app.address().port();
        let about = About {
            name: "Test".into(),
            network_id: 1000,
            version: "v1".into(),
        };
        let mut setup = Setup {
            ingress: ingress::Config::new(([127, 0, 0, 1], 0).into(), about),
            edge: edge::Config::new("127.0.0.1", [port]),
            requires_key: false,
            app_ports: Vec::new(),
            over: Over::Tcp,
            ping_interval: Duration::from_secs(5),
            limits: Limits::default(),
        };
        setup.ingress.deadlines.drain = Duration::from_millis(100);
        change(&mut setup);
        let mut metrics = Registry::default();
        let links = Links::default();
        let common = (&links, &setup.limits);
        let relay_network = network_with(&["/ip4/127.0.0.1/tcp/0"], common, |config| {
            config.ping_interval = setup.ping_interval;
        })
        .await;
        let (edge_network, between) = setup.over.edge(common).await;
        let edge = Edge::start(setup.edge, &edge_network, &mut metrics).unwrap();
        setup
            .ingress
            .apps
            .extend(setup.app_ports.iter().map(|https| AppPort {
                listen: ([127, 0, 0, 1], 0).into(),
                node: edge_network.node_id(),
                port,
                https: *https,
            }));
        let known = Arc::new(Known::default());
        let found = Found {
            addresses: edge_network.listen_addresses().borrow().clone(),
            requires_key: setup.requires_key,
        };
        known.insert(edge_network.node_id(), found);
        let routes: Arc<dyn Routes> = Arc::clone(&known) as _;
        let ingress = Ingress::start(setup.ingress, relay_network.clone(), routes, &mut metrics)
            .await
            .unwrap();
        Self {
            app,
            port,
            ingress,
            edge,
            relay_network,
            edge_network,
            known,
            metrics,
            links,
            _between: between,
        }
    }

    /// A world whose edge offers the port of `app` alone, to which [`World::path`] leads.
    pub(crate) async fn before(app: &RawApp, change: impl FnOnce(&mut Setup)) -> Self {
        let port = app.address().port();
        let world = Self::with(|setup| {
            setup.edge.ports = [port].into();
            change(setup);
        });
        Self {
            port,
            ..world.await
        }
    }

    pub(crate) fn node(&self) -> NodeId {
        self.edge_network.node_id()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.ingress.address()
    }

    /// The path at the ingress of a path of the app.
    pub(crate) fn path(&self, of_app: &str) -> String {
        format!("/edge/{}/{}{of_app}", self.node(), self.port)
    }

    pub(crate) fn request(&self, method: &str, of_app: &str) -> request::Builder {
        Request::builder()
            .method(method)
            .uri(self.path(of_app))
            .header("host", "relay.test:50005")
    }

    pub(crate) async fn get(&self, of_app: &str) -> Response<Incoming> {
        let request = self.request("GET", of_app);
        self.send(request.body(none()).unwrap()).await
    }

    /// Sends a request on a new connection.
    pub(crate) async fn send(&self, request: Request<Body>) -> Response<Incoming> {
        self.try_send(request).await.unwrap()
    }

    /// Sends a request as [`World::send`] does, where the connection may be cut before the answer.
    pub(crate) async fn try_send(
        &self,
        request: Request<Body>,
    ) -> hyper::Result<Response<Incoming>> {
        send(self.address(), request).await
    }

    /// Opens a raw connection and writes a request to it.
    pub(crate) async fn raw(&self, request: &str) -> TcpStream {
        use tokio::io::AsyncWriteExt;
        let mut stream = TcpStream::connect(self.address()).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    /// The value of a line of the metrics.
    pub(crate) fn metric(&self, line: &str) -> f64 {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.metrics).unwrap();
        let value = text
            .lines()
            .find_map(|l| l.strip_prefix(line)?.trim().parse().ok());
        value.unwrap_or_else(|| panic!("no {line} in {text}"))
    }
}

pub(crate) async fn send(
    to: SocketAddr,
    request: Request<Body>,
) -> hyper::Result<Response<Incoming>> {
    let stream = TcpStream::connect(to).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection.with_upgrades());
    tokio::time::timeout(SOON, sender.send_request(request))
        .await
        .unwrap()
}

/// A client's connection of HTTP/2.
pub(crate) async fn http2<B>(to: SocketAddr) -> http2::SendRequest<B>
where
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let io = TokioIo::new(TcpStream::connect(to).await.unwrap());
    let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    sender
}

pub(crate) fn none() -> Body {
    Empty::new().map_err(|never| match never {}).boxed()
}

pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed()
}

pub(crate) async fn bytes(response: Response<Incoming>) -> Bytes {
    let collected = tokio::time::timeout(SOON, response.into_body().collect());
    collected.await.unwrap().unwrap().to_bytes()
}

pub(crate) async fn text(response: Response<Incoming>) -> String {
    String::from_utf8(bytes(response).await.to_vec()).unwrap()
}

/// Asserts that a response is the given problem, and returns its body.
pub(crate) async fn problem(
    response: Response<Incoming>,
    status: u16,
    name: &str,
    side: &str,
) -> serde_json::Value {
    let headers = response.headers().clone();
    let got = response.status();
    let body = text(response).await;
    assert_eq!(got, status, "{body}");
    assert_eq!(headers["content-type"], "application/problem+json");
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        body["type"],
        format!("urn:peerwork:problem:{name}"),
        "{body}"
    );
    assert_eq!(body["side"], side, "{body}");
    assert_eq!(body["status"], status);
    assert_eq!(
        headers["peerwork-request-id"],
        body["request_id"].as_str().unwrap()
    );
    body
}
