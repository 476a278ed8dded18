//! A hostile node, which encodes the directory's protocol by hand and breaks its rules.

use std::time::Duration;

use multiaddr::Multiaddr;
use peerwork_directory::{
    Advertisement, Offers,
    announcement::Announcement,
    protocol::{PROTOCOL, RefusedReason, Request, Response, request, response},
};
use peerwork_identity::{Keypair, NodeAddress, NodeId};
use peerwork_net::Network;
use peerwork_testkit::{eventually, node};
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

pub use peerwork_testkit::node::soon;

use crate::node::{NETWORK, Node, key, net_config};

pub struct Stranger {
    pub network: Network,
    pub keypair: Keypair,
}

#[derive(Debug, PartialEq)]
pub enum Answer {
    Accepted,
    Refused(RefusedReason, Vec<u8>),
    /// The answer is a chunk of this number of envelopes.
    Chunk(usize),
    /// The stream or the connection ended without an answer.
    Nothing,
}

impl Stranger {
    pub async fn connected_to(relay: &Node) -> Self {
        Self::with_key(relay, key()).await
    }

    /// A node with a new key that is connected to the relay at this address.
    pub async fn at(relay: &Node, address: &Multiaddr) -> Self {
        Self::dialling(relay.id(), address.clone(), key()).await
    }

    pub async fn with_key(relay: &Node, keypair: Keypair) -> Self {
        let NodeAddress { node, transport } = relay.address();
        Self::dialling(node, transport, keypair).await
    }

    async fn dialling(peer: NodeId, address: Multiaddr, keypair: Keypair) -> Self {
        let config = net_config(keypair.clone());
        let network = node::start(config).await;
        let dialled = network.dial(peer, vec![address], soon()).await;
        dialled.unwrap();
        Self { network, keypair }
    }

    pub async fn push(&self, relay: &Node, envelope: Vec<u8>) -> Answer {
        let request = Request::from(request::Kind::Push(envelope));
        self.send(relay, &request.encode_to_vec()).await
    }

    pub async fn send(&self, relay: &Node, frame: &[u8]) -> Answer {
        match self.exchange(relay, frame).await {
            Some(response::Kind::Accepted(_)) => Answer::Accepted,
            Some(response::Kind::Refused(refused)) => {
                Answer::Refused(refused.reason(), refused.newest)
            }
            Some(response::Kind::Chunk(chunk)) => Answer::Chunk(chunk.envelopes.len()),
            None => Answer::Nothing,
        }
    }

    /// The signed envelopes that a relay has of a node.
    pub async fn look_up(&self, relay: &Node, node: NodeId) -> Vec<Vec<u8>> {
        let request = Request::from(request::Kind::Lookup(node.to_bytes()));
        match self.exchange(relay, &request.encode_to_vec()).await {
            Some(response::Kind::Chunk(chunk)) => chunk.envelopes,
            _ => Vec::new(),
        }
    }

    async fn exchange(&self, relay: &Node, frame: &[u8]) -> Option<response::Kind> {
        let opened = self.network.open(relay.id(), &PROTOCOL, soon()).await;
        let mut stream = opened.ok()?;
        let length = u32::try_from(frame.len()).unwrap();
        stream.write_all(&length.to_be_bytes()).await.ok()?;
        stream.write_all(frame).await.ok()?;
        stream.flush().await.ok()?;
        let length = stream.read_u32().await.ok()?;
        let mut bytes = vec![0; length.try_into().unwrap()];
        stream.read_exact(&mut bytes).await.ok()?;
        let response = Response::decode(bytes.as_slice()).unwrap();
        response.kind
    }

    /// A valid advertisement of this stranger.
    pub fn advertisement(&self, sequence: u64) -> Advertisement {
        advertisement(&self.keypair, sequence)
    }

    pub async fn is_blocked_by(&self, relay: &Node) {
        eventually("the stranger to be blocked", || {
            relay
                .network
                .peer(self.network.node_id())
                .is_none()
                .then_some(())
        })
        .await;
        let NodeAddress { node, transport } = relay.address();
        let _ = self.network.dial(node, vec![transport], soon()).await;
        assert!(relay.network.peer(self.network.node_id()).is_none());
    }
}

pub fn advertisement(keypair: &Keypair, sequence: u64) -> Advertisement {
    let now = std::time::SystemTime::now();
    let now = now.duration_since(std::time::UNIX_EPOCH).unwrap();
    let address: Multiaddr = "/ip4/203.0.113.7/tcp/4001".parse().unwrap();
    Advertisement {
        node: keypair.node_id(),
        network: NETWORK.into(),
        sequence,
        issued_at_ms: u64::try_from(now.as_millis()).unwrap(),
        expires_in: Duration::from_secs(600),
        name: format!("stranger {sequence}"),
        version: String::new(),
        roles: Vec::new(),
        relays: Vec::new(),
        addresses: vec![address],
        services: Vec::new(),
        requires_key: false,
        started_at_ms: 0,
        uptime: Duration::ZERO,
        app_origin: String::new(),
        model_hash: String::new(),
        mac: String::new(),
        mem_info: String::new(),
        cpu_info: String::new(),
        gpu_info: String::new(),
        average_power: 0.0,
        relay_proxy_port: None,
        offers: Offers::default(),
    }
}

pub fn sealed(advertisement: Advertisement, keypair: &Keypair) -> Vec<u8> {
    Announcement::from(advertisement).seal(keypair)
}
