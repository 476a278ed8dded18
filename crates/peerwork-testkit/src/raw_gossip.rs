//! A pubsub client below the gossip of `peerwork-net`: it writes messages in any form, also those that
//! are malformed or not signed.

use peerwork_identity::{Keypair, NodeAddress, NodeId};
use peerwork_net::{Network, Protocol, Stream};
use prost::Message as _;
use tokio::io::AsyncWriteExt as _;

use crate::{
    eventually,
    node::{behind_nat_config, soon, start},
};

const FLOODSUB: Protocol = Protocol::bare("/floodsub/1.0.0");
const GOSSIPSUB: Protocol = Protocol::bare("/meshsub/1.1.0");
/// The prefix of the signed bytes (libp2p's pubsub specification).
const SIGNING_PREFIX: &[u8] = b"libp2p-pubsub:";

/// A pubsub message, field by field; a field that is `None` is not written.
#[derive(Clone, PartialEq, prost::Message)]
pub struct RawMessage {
    /// The author's node id.
    #[prost(bytes = "vec", optional, tag = "1")]
    pub from: Option<Vec<u8>>,
    /// The data.
    #[prost(bytes = "vec", optional, tag = "2")]
    pub data: Option<Vec<u8>>,
    /// The sequence number, of eight bytes by the specification.
    #[prost(bytes = "vec", optional, tag = "3")]
    pub seqno: Option<Vec<u8>>,
    /// The topic.
    #[prost(string, optional, tag = "4")]
    pub topic: Option<String>,
    /// The author's signature.
    #[prost(bytes = "vec", optional, tag = "5")]
    pub signature: Option<Vec<u8>>,
    /// The author's public key.
    #[prost(bytes = "vec", optional, tag = "6")]
    pub key: Option<Vec<u8>>,
}

impl RawMessage {
    /// A message without an author and a signature, as with js-libp2p's policy `StrictNoSign`.
    #[must_use]
    pub fn unsigned(topic: &str, data: &[u8]) -> Self {
        Self {
            data: Some(data.to_vec()),
            topic: Some(topic.to_owned()),
            ..Self::default()
        }
    }

    /// Adds the author and the signature, which covers the fields as they are.
    #[must_use]
    pub fn signed_by(mut self, author: &Keypair) -> Self {
        self.from = Some(author.node_id().as_peer_id().to_bytes());
        let mut signed = SIGNING_PREFIX.to_vec();
        signed.extend(self.encode_to_vec());
        self.signature = Some(author.sign(&signed));
        self
    }
}

/// A subscription to a topic.
#[derive(Clone, PartialEq, prost::Message)]
struct Subscription {
    #[prost(bool, optional, tag = "1")]
    subscribe: Option<bool>,
    #[prost(string, optional, tag = "2")]
    topic: Option<String>,
}

/// A frame of pubsub, which may have messages, subscriptions and padding.
#[derive(Clone, PartialEq, prost::Message)]
pub struct RawFrame {
    #[prost(message, repeated, tag = "1")]
    subscriptions: Vec<Subscription>,
    /// The messages.
    #[prost(message, repeated, tag = "2")]
    pub publish: Vec<RawMessage>,
    /// The content of a field that no implementation knows.
    #[prost(bytes = "vec", optional, tag = "1000")]
    pub padding: Option<Vec<u8>>,
}

impl RawFrame {
    /// A frame with subscriptions to `topics`.
    #[must_use]
    pub fn subscribing(topics: impl IntoIterator<Item = String>) -> Self {
        let subscription = |topic| Subscription {
            subscribe: Some(true),
            topic: Some(topic),
        };
        Self {
            subscriptions: topics.into_iter().map(subscription).collect(),
            ..Self::default()
        }
    }

    /// A frame with one message.
    #[must_use]
    pub fn publishing(message: RawMessage) -> Self {
        Self {
            publish: vec![message],
            ..Self::default()
        }
    }

    /// The bytes of the frame behind its length.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.encoded_len()
    }

    /// Adds padding, so that the frame has `bytes` bytes behind its length.
    ///
    /// # Panics
    /// When the frame has more bytes already.
    #[must_use]
    pub fn padded_to(mut self, bytes: usize) -> Self {
        // The padding's own length has the more bytes the longer it is.
        let fits = (0..=bytes).rev().find(|padding| {
            let head = prost::encoding::key_len(1000) + prost::length_delimiter_len(*padding);
            self.encoded_len() + head + padding <= bytes
        });
        self.padding = fits.map(|padding| vec![0; padding]);
        assert_eq!(self.encoded_len(), bytes, "no padding gives this length");
        self
    }
}

/// A node that sends pubsub messages to one other node.
#[derive(Debug)]
pub struct RawGossip {
    network: Network,
    to: NodeId,
    protocol: Protocol,
    stream: Stream,
}

impl RawGossip {
    /// Connects to a hub as a floodsub client.
    ///
    /// # Panics
    /// When the node at `to` is not reached, or does not speak the protocol.
    pub async fn floodsub(to: NodeAddress) -> Self {
        Self::over(&FLOODSUB, to).await
    }

    /// Connects to a node as a gossipsub client.
    ///
    /// # Panics
    /// As [`RawGossip::floodsub`].
    pub async fn gossipsub(to: NodeAddress) -> Self {
        Self::over(&GOSSIPSUB, to).await
    }

    async fn over(protocol: &Protocol, to: NodeAddress) -> Self {
        let network = start(behind_nat_config()).await;
        let dialled = network.dial(to.node, vec![to.transport], soon()).await;
        dialled.unwrap_or_else(|error| panic!("the dial fails: {error:?}"));
        // The client's own gossip opens a stream with the connection. The other node reads one gossip
        // stream of a connection, the latest, so the client's own must be there before this one.
        eventually("identify, which comes after gossip's own stream", || {
            network.peer(to.node)?.agent.clone()
        })
        .await;
        let stream = network.open(to.node, protocol, soon()).await;
        let stream = stream.unwrap_or_else(|error| panic!("no stream: {error:?}"));
        Self {
            network,
            to: to.node,
            protocol: protocol.clone(),
            stream,
        }
    }

    /// The node that sends.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Sends a message in a frame of its own.
    ///
    /// # Panics
    /// When the stream has ended.
    pub async fn send(&mut self, message: RawMessage) {
        self.send_frame(&RawFrame::publishing(message)).await;
    }

    /// Sends a frame.
    ///
    /// # Panics
    /// When the stream has ended.
    pub async fn send_frame(&mut self, frame: &RawFrame) {
        let sent = self.write(&frame.encode_length_delimited_to_vec()).await;
        sent.unwrap_or_else(|error| panic!("the frame is not sent: {error}"));
    }

    async fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// Ends the stream and opens another one on the same connection.
    ///
    /// # Panics
    /// When the other node takes no further stream.
    pub async fn open_anew(&mut self) {
        let _ = self.stream.shutdown().await;
        let stream = self.network.open(self.to, &self.protocol, soon()).await;
        self.stream = stream.unwrap_or_else(|error| panic!("no stream: {error:?}"));
    }
}
