//! `FakeNode` is a node that answers from constants; this module also has clients for its API.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use futures::{SinkExt as _, StreamExt as _};
use http_body_util::{BodyExt as _, Full};
use hyper::{Method, Request, Response, body::Bytes};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use parking_lot::Mutex;
use peerwork_api::{
    Handle, NodeServices, Server, ServiceError, SharedRegistry,
    config::{Config, JsonRpcConfig, OperatorConfig, OperatorToken},
    directory::{self, DirectoryService, Query, Role},
    events::{EventsService, NodeEvent},
    invitations::{Invitation, InvitationsService, Limits, Wanted},
    node::{
        Check, EdgeOffer, Endpoint, Mode, Network, NodeService, NodeStatus, OfferedPort,
        Reachability, Readiness, Refused,
    },
    peers::{Peer, PeersService},
    relays::{RelayConnections, RelaysService, Reservation},
};
use prometheus_client::{encoding::text, registry::Registry};
use serde_json::Value;
use tokio::{
    net::TcpStream,
    sync::{Notify, broadcast},
    time::timeout,
};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, tungstenite::Message};

/// A deadline that is longer than any step of these tests takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
pub(crate) const TOKEN: &str = "operator-token-of-the-tests";

pub(crate) struct FakeNode {
    pub(crate) events: broadcast::Sender<Arc<NodeEvent>>,
    /// The nodes that are known when a client subscribes.
    pub(crate) known: Mutex<Vec<NodeEvent>>,
    pub(crate) ready: AtomicBool,
    /// Makes `network` and `status` wait for ever.
    pub(crate) hanging: AtomicBool,
    /// Makes `network` fail with an internal error.
    pub(crate) broken: AtomicBool,
    /// Notified when a client asks for `status`.
    pub(crate) status_requested: Notify,
}

impl FakeNode {
    async fn obstacles(&self) -> Result<(), ServiceError> {
        if self.broken.load(Ordering::Relaxed) {
            return Err(ServiceError::internal("secret detail"));
        }
        if self.hanging.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        Ok(())
    }
}

pub(crate) fn network() -> Network {
    Network {
        name: "MyNetwork".into(),
        network_id: 1000,
        version: "0.1.0".into(),
    }
}

pub(crate) fn peer() -> Peer {
    Peer {
        id: "16Uiu2HAmEWQnHq2jLKJypwVnVoQeFCULuyop6atvq2eWjYSUjzNi".into(),
        protocols: vec!["/ipfs/id/1.0.0".into(), "/ipfs/ping/1.0.0".into()],
        addresses: vec!["/ip4/203.0.113.9/tcp/50004".into()],
        reservation: None,
    }
}

pub(crate) fn relay() -> Peer {
    Peer {
        reservation: Some(Reservation {
            bytes_max: None,
            duration_max: None,
            expires_at: Some(SystemTime::UNIX_EPOCH),
            addresses: Vec::new(),
        }),
        ..peer()
    }
}

#[async_trait]
impl NodeService for FakeNode {
    async fn network(&self) -> Result<Network, ServiceError> {
        self.obstacles().await?;
        Ok(network())
    }

    async fn status(&self) -> Result<NodeStatus, ServiceError> {
        self.status_requested.notify_one();
        self.obstacles().await?;
        Ok(NodeStatus {
            node_id: peer().id,
            mode: Mode::Full,
            network: network(),
            uptime: Duration::from_millis(61_500),
            listen_addresses: vec!["/ip4/127.0.0.1/tcp/50001".into()],
            reachability: Reachability::Private,
            peers_connected: 3,
            reservations_held: 1,
            reservations_given: Some(2),
            edges_known: None,
            tunnels_active: 4,
            bytes_received: 5,
            bytes_sent: 6,
            endpoints: vec![Endpoint {
                name: "json-rpc".into(),
                address: loopback(50002),
                tls: true,
            }],
            edge: Some(EdgeOffer {
                ports: vec![OfferedPort {
                    port: 8080,
                    app: "localhost".into(),
                }],
                keys_needed: true,
                callers_allowed: Some(7),
            }),
            ingress_keys_needed: Some(false),
            refused: vec![Refused {
                node_id: "16U".into(),
                reason: "it has a secret".into(),
            }],
        })
    }

    async fn readiness(&self) -> Readiness {
        Readiness::from_checks(vec![Check {
            name: "listening".into(),
            ok: self.ready.load(Ordering::Relaxed),
            detail: "on 1 address".into(),
        }])
    }
}

#[async_trait]
impl PeersService for FakeNode {
    async fn list(&self) -> Result<Vec<Peer>, ServiceError> {
        Ok(vec![peer()])
    }

    async fn get(&self, id: &str) -> Result<Peer, ServiceError> {
        match id {
            id if id == peer().id => Ok(peer()),
            id if id.starts_with("16U") => Err(ServiceError::not_found("no such peer")),
            _ => Err(ServiceError::invalid_argument("no node id")),
        }
    }

    async fn add(&self, address: &str) -> Result<(), ServiceError> {
        let good = address.contains("/p2p/");
        good.then_some(())
            .ok_or_else(|| ServiceError::invalid_argument("the address has no /p2p/ part"))
    }
}

#[async_trait]
impl RelaysService for FakeNode {
    async fn known(&self) -> Result<Vec<Peer>, ServiceError> {
        Ok(vec![relay()])
    }

    async fn held(&self) -> Result<Option<Peer>, ServiceError> {
        Ok(None)
    }

    async fn connections(&self) -> Result<RelayConnections, ServiceError> {
        Ok(RelayConnections {
            connected: 7,
            reservations_max: 2048,
        })
    }
}

/// Nodes `n1` to `n9`; the odd ones are relays.
#[async_trait]
impl DirectoryService for FakeNode {
    async fn list(&self, query: Query) -> Result<directory::Page, ServiceError> {
        let fits = |node: &directory::Node| query.role.is_none_or(|role| node.roles[0] == role);
        let all: Vec<_> = (1..=9).map(known_node).filter(fits).collect();
        let total = all.len();
        let after = all.into_iter().filter(|node| node.id > query.after);
        let nodes = after.take(query.limit).collect();
        Ok(directory::Page { nodes, total })
    }

    async fn get(&self, id: &str) -> Result<directory::Node, ServiceError> {
        let found = (1..=9).map(known_node).find(|node| node.id == id);
        found.ok_or_else(|| ServiceError::not_found("no such node"))
    }
}

pub(crate) fn known_node(number: u16) -> directory::Node {
    directory::Node {
        id: format!("n{number}"),
        name: "box".into(),
        version: "0.1.0".into(),
        roles: vec![[Role::Edge, Role::Relay][usize::from(number % 2)]],
        addresses: vec!["/ip4/203.0.113.9/tcp/50004".into()],
        relays: vec!["n1".into()],
        ports: vec![number],
        requires_key: true,
        uptime: Duration::from_millis(1_500),
        offers: Vec::new(),
    }
}

/// The ticket of every invitation.
pub(crate) const TICKET: &str = "peerwork1aaaa";

#[async_trait]
impl InvitationsService for FakeNode {
    async fn create(&self, wanted: Wanted) -> Result<Invitation, ServiceError> {
        if wanted.addresses.is_empty() {
            return Err(ServiceError::unavailable("no relay is known"));
        }
        let limits = wanted.expires.map(|expires| Limits {
            relay: "n1".into(),
            once: wanted.once,
            expires_at: SystemTime::UNIX_EPOCH + expires,
        });
        Ok(Invitation {
            ticket: TICKET.into(),
            network_id: -7,
            network_name: "net".into(),
            relays: wanted.addresses,
            has_secret: true,
            limits,
        })
    }
}

impl EventsService for FakeNode {
    fn subscribe(&self) -> broadcast::Receiver<Arc<NodeEvent>> {
        self.events.subscribe()
    }

    fn known(&self) -> Vec<String> {
        self.known
            .lock()
            .iter()
            .map(|e| e.peer_id.clone())
            .collect()
    }

    fn describe(&self, id: &str) -> Option<Arc<NodeEvent>> {
        let known = self.known.lock();
        let event = known.iter().find(|event| event.peer_id == id);
        event.cloned().map(Arc::new)
    }
}

/// All domains, served by one node.
pub(crate) fn services(node: &Arc<FakeNode>) -> NodeServices {
    NodeServices {
        node: Some(node.clone()),
        peers: Some(node.clone()),
        relays: Some(node.clone()),
        directory: Some(node.clone()),
        invitations: Some(node.clone()),
        events: Some(node.clone()),
        store: None,
    }
}

pub(crate) fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// A configuration that opens every listener on a free port.
pub(crate) fn config() -> Config {
    let token = OperatorToken::new(TOKEN).unwrap();
    Config {
        json_rpc: Some(JsonRpcConfig::new(loopback(0))),
        operator: Some(OperatorConfig::new(loopback(0), Some(token))),
        metrics_address: Some(loopback(0)),
        ..Config::default()
    }
}

pub(crate) struct Running {
    pub(crate) node: Arc<FakeNode>,
    pub(crate) handle: Handle,
    registry: SharedRegistry,
}

pub(crate) fn node() -> Arc<FakeNode> {
    Arc::new(FakeNode {
        events: broadcast::Sender::new(1024),
        known: Mutex::default(),
        ready: AtomicBool::new(true),
        hanging: AtomicBool::new(false),
        broken: AtomicBool::new(false),
        status_requested: Notify::new(),
    })
}

pub(crate) async fn start(change: impl FnOnce(&mut Config)) -> Running {
    let mut config = config();
    change(&mut config);
    let node = node();
    let registry = Arc::new(Mutex::new(Registry::default()));
    let handle = Server::start(config, services(&node), Arc::clone(&registry))
        .await
        .unwrap();
    Running {
        node,
        handle,
        registry,
    }
}

/// Starts the API like [`start`], after `change` has changed the JSON-RPC settings.
pub(crate) async fn start_json_rpc(change: impl FnOnce(&mut JsonRpcConfig)) -> Running {
    start(|config| change(config.json_rpc.as_mut().unwrap())).await
}

impl Running {
    pub(crate) fn json_rpc(&self) -> SocketAddr {
        self.handle.json_rpc_address().unwrap()
    }

    pub(crate) fn publish(&self, event: NodeEvent) {
        let _ = self.node.events.send(Arc::new(event));
    }

    /// The value of the first line of the metrics page that begins with `start`.
    pub(crate) fn metric(&self, start: &str) -> Option<f64> {
        let mut page = String::new();
        text::encode(&mut page, &self.registry.lock()).unwrap();
        let line = page.lines().find(|line| line.starts_with(start))?;
        line.rsplit(' ').next()?.parse().ok()
    }

    /// Waits until a metric has a value.
    pub(crate) async fn metric_becomes(&self, start: &str, value: f64) {
        let what = format!("{start} to become {value}");
        peerwork_testkit::eventually(&what, || (self.metric(start) == Some(value)).then_some(()))
            .await;
    }
}

pub(crate) fn named(name: &str) -> NodeEvent {
    NodeEvent {
        name: name.into(),
        ..NodeEvent::default()
    }
}

/// Sends one HTTP request over a connection of its own.
pub(crate) async fn http(request: Request<Full<Bytes>>) -> Response<Bytes> {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let response = timeout(PATIENCE, client.request(request))
        .await
        .unwrap()
        .unwrap();
    let (parts, body) = response.into_parts();
    Response::from_parts(parts, body.collect().await.unwrap().to_bytes())
}

pub(crate) fn request(method: Method, address: SocketAddr, path: &str) -> Request<Full<Bytes>> {
    let request = Request::builder()
        .method(method)
        .uri(format!("http://{address}{path}"));
    request.body(Full::default()).unwrap()
}

pub(crate) async fn get(address: SocketAddr, path: &str) -> Response<Bytes> {
    http(request(Method::GET, address, path)).await
}

pub(crate) async fn post(
    address: SocketAddr,
    path: &str,
    body: impl Into<Bytes>,
) -> Response<Bytes> {
    http(request(Method::POST, address, path).map(|_| Full::new(body.into()))).await
}

pub(crate) fn json(response: &Response<Bytes>) -> Value {
    serde_json::from_slice(response.body()).unwrap()
}

/// A WebSocket client.
pub(crate) struct Socket(pub(crate) WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    pub(crate) async fn open(running: &Running) -> Self {
        let url = format!("ws://{}/edge_ws", running.json_rpc());
        Self(tokio_tungstenite::connect_async(url).await.unwrap().0)
    }

    pub(crate) async fn send(&mut self, text: impl Into<String>) {
        self.0.send(Message::text(text.into())).await.unwrap();
    }

    /// The next frame that is not a ping; `None` when the socket broke without a close frame.
    pub(crate) async fn frame(&mut self) -> Option<Message> {
        loop {
            match timeout(PATIENCE, self.0.next())
                .await
                .expect("a frame in time")
            {
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(message)) => return Some(message),
                Some(Err(_)) | None => return None,
            }
        }
    }

    pub(crate) async fn text(&mut self) -> String {
        match self.frame().await {
            Some(Message::Text(text)) => text.to_string(),
            other => panic!("expected a text frame, got {other:?}"),
        }
    }

    pub(crate) async fn json(&mut self) -> Value {
        serde_json::from_str(&self.text().await).unwrap()
    }

    pub(crate) async fn ask(&mut self, text: &str) -> Value {
        self.send(text).await;
        self.json().await
    }

    /// Subscribes with `params` and returns the id.
    pub(crate) async fn subscribe(&mut self, params: &str) -> String {
        let answer = self.ask(&call("edge_subscribe", params)).await;
        answer["result"]
            .as_str()
            .unwrap_or_else(|| panic!("{answer}"))
            .to_owned()
    }

    /// The name in the next node event.
    pub(crate) async fn event_name(&mut self) -> String {
        let event = self.json().await;
        event["params"]["result"]["Name"]
            .as_str()
            .unwrap_or_else(|| panic!("{event}"))
            .to_owned()
    }
}

pub(crate) fn call(method: &str, params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#)
}
