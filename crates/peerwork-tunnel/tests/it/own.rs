//! Calls to the node's own id through its own ingress: the node is both relay and edge.

use std::sync::Arc;

use http_body_util::BodyExt;
use peerwork_identity::NodeId;
use peerwork_net::Network;
use peerwork_testkit::WebApp;
use peerwork_tunnel::{
    Edge, Forwarder, Ingress, connect::Connector, edge, forward::Target, ingress,
};
use prometheus_client::registry::Registry;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::world::{Known, SOON, full, network, none, problem, send, text};

/// A node with an ingress and an edge.
pub(crate) struct Both {
    app: WebApp,
    pub(crate) ingress: Ingress,
    edge: Edge,
    connector: Connector,
    network: Network,
}

impl Both {
    async fn start(change: impl FnOnce(&mut edge::Config)) -> Self {
        Self::start_with(change, |_, _, _| ()).await
    }

    /// Starts the node; the second change gets the node's id and the app's port.
    pub(crate) async fn start_with(
        change: impl FnOnce(&mut edge::Config),
        change_ingress: impl FnOnce(&mut ingress::Config, NodeId, u16),
    ) -> Self {
        let app = WebApp::start().await;
        let network = network().await;
        let mut metrics = Registry::default();
        let mut settings = edge::Config::new("127.0.0.1", [app.address().port()]);
        change(&mut settings);
        let edge = Edge::start(settings, &network, &mut metrics).unwrap();
        let connector = Connector::new(network.clone(), Arc::new(Known::default()));
        let connector = connector.with_own_edge(edge.own());
        let listen = ([127, 0, 0, 1], 0).into();
        let mut settings = ingress::Config::new(listen, ingress::About::default());
        change_ingress(&mut settings, network.node_id(), app.address().port());
        let ports = Ingress::bind(&settings).await.unwrap();
        let ingress = Ingress::serve(ports, settings, connector.clone(), &mut metrics)
            .await
            .unwrap();
        Self {
            app,
            ingress,
            edge,
            connector,
            network,
        }
    }

    fn node(&self) -> NodeId {
        self.network.node_id()
    }

    fn request(&self, method: &str, port: u16, path: &str) -> http::request::Builder {
        http::Request::builder()
            .method(method)
            .uri(format!("/edge/{}/{port}{path}", self.node()))
            .header("host", "x")
    }
}

#[tokio::test]
async fn a_node_calls_its_own_app_with_bodies_upgrades_and_broken_answers() {
    let both = Both::start(|_| ()).await;
    let (at, port) = (both.ingress.address(), both.app.address().port());
    let body = full(vec![b'x'; 1_000_000]);
    let echo = both.request("POST", port, "/echo").body(body).unwrap();
    let answer = send(at, echo).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(text(answer).await.len(), 1_000_000);
    // A response whose body breaks off is broken off at the client too.
    for path in ["/dies", "/dies-chunked"] {
        let dies = both.request("GET", port, path).body(none()).unwrap();
        let answer = send(at, dies).await.unwrap();
        let collected = timeout(SOON, answer.into_body().collect()).await.unwrap();
        assert!(collected.is_err(), "{path}");
    }
    let upgrade = format!(
        "GET /edge/{}/{port}/upgrade HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\n\
         upgrade: echo\r\n\r\n",
        both.node()
    );
    let mut stream = TcpStream::connect(at).await.unwrap();
    stream.write_all(upgrade.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(timeout(SOON, stream.read_u8()).await.unwrap().unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101"));
    stream.write_all(b"hello").await.unwrap();
    let mut back = [0; 5];
    timeout(SOON, stream.read_exact(&mut back))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(&back, b"hello");
}

#[tokio::test]
async fn the_edges_policy_counts_for_its_own_node_too() {
    let stranger = network().await.node_id();
    let both = Both::start(|edge| edge.callers = Some([stranger].into())).await;
    let (at, port) = (both.ingress.address(), both.app.address().port());
    let get = both.request("GET", port, "/count").body(none()).unwrap();
    let answer = send(at, get).await.unwrap();
    problem(answer, 403, "caller-not-allowed", "edge").await;

    let both = Both::start(|edge| edge.limits.tunnels_max = 0).await;
    let (at, port) = (both.ingress.address(), both.app.address().port());
    let closed = both.request("GET", 1, "/count").body(none()).unwrap();
    let answer = send(at, closed).await.unwrap();
    assert_eq!(answer.status(), 503, "full before the port is looked at");
    let get = both.request("GET", port, "/count").body(none()).unwrap();
    assert_eq!(send(at, get).await.unwrap().status(), 503);

    let both = Both::start(|_| ()).await;
    let closed = both.request("GET", 1, "/").body(none()).unwrap();
    let answer = send(both.ingress.address(), closed).await.unwrap();
    problem(answer, 403, "port-not-allowed", "edge").await;
}

#[tokio::test]
async fn a_port_of_the_node_itself_is_forwarded_and_ends_with_the_edge() {
    let both = Both::start(|_| ()).await;
    let to = Target {
        node: both.node(),
        port: both.app.address().port(),
        key: None,
    };
    let local = ([127, 0, 0, 1], 0).into();
    let forwarder = Forwarder::over(local, to, both.connector.clone()).await;
    let forwarder = forwarder.unwrap();
    let mut stream = TcpStream::connect(forwarder.address()).await.unwrap();
    let get = b"GET /events HTTP/1.1\r\nhost: x\r\n\r\n";
    stream.write_all(get).await.unwrap();
    let mut head = [0; 12];
    timeout(SOON, stream.read_exact(&mut head))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    timeout(SOON, both.edge.stop()).await.unwrap();
    let mut rest = Vec::new();
    let cut = timeout(SOON, stream.read_to_end(&mut rest)).await.unwrap();
    assert!(cut.is_err(), "the edge's stop cuts the connection");
    let get = http::Request::get(format!("/edge/{}/1/", both.network.node_id()));
    let get = get.header("host", "x").body(none()).unwrap();
    let answer = send(both.ingress.address(), get).await.unwrap();
    assert!(answer.status().is_server_error(), "{}", answer.status());
}
