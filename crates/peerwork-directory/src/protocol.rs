//! Wire messages, their limits and the framing of `/peerwork/directory/1`.
//!
//! The schema is `proto/peer/directory.proto`. Messages are checked for their size alone;
//! [`crate::advertisement`] converts them into checked values.

use std::io;

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use peerwork_net::Protocol;
use prost::Message;
use tokio::io::{AsyncRead, AsyncWrite, ReadHalf, WriteHalf};
use tokio_util::codec::{FramedRead, FramedWrite, LengthDelimitedCodec};

/// Announcements, lookups and snapshots between a node and a relay.
pub const PROTOCOL: Protocol = Protocol::answered("/peerwork/directory/1");
/// The protocol's name in identify.
pub const PROTOCOL_NAME: &str = "/peerwork/directory/1";

/// The signature domain of every envelope of this crate.
pub const DOMAIN: &str = "peerwork-directory";
/// The payload type of an [`Advertisement`].
pub const ADVERTISEMENT_TYPE: &[u8] = b"/peerwork/directory/advertisement";
/// The payload type of a [`Heartbeat`].
pub const HEARTBEAT_TYPE: &[u8] = b"/peerwork/directory/heartbeat";
/// The payload type of a [`Goodbye`].
pub const GOODBYE_TYPE: &[u8] = b"/peerwork/directory/goodbye";

/// Largest signed envelope, in bytes.
pub const ENVELOPE_BYTES_MAX: usize = 64 * 1024;
/// Largest advertisement inside an envelope: the rest is for key, type, signature and their headers.
pub const ADVERTISEMENT_BYTES_MAX: usize = ENVELOPE_BYTES_MAX - 1024;
/// Largest request frame: one envelope and its field headers.
pub const REQUEST_BYTES_MAX: usize = ENVELOPE_BYTES_MAX + 1024;
/// Largest response frame: a chunk of a snapshot, which ends at the first envelope past
/// [`CHUNK_BYTES`].
pub const RESPONSE_BYTES_MAX: usize = CHUNK_BYTES + 2 * ENVELOPE_BYTES_MAX + 4096;
/// A snapshot's chunk is sent when it holds this many bytes.
pub const CHUNK_BYTES: usize = 128 * 1024;
/// Envelopes in one chunk.
pub const CHUNK_ENVELOPES_MAX: usize = 128;
/// Requests on one stream.
pub const REQUESTS_PER_STREAM_MAX: usize = 16;

/// The gossip topic of a network's directory.
#[must_use]
pub fn topic_name(network: &str) -> String {
    format!("peerwork/{network}/directory/1")
}

/// A node's description of itself.
#[derive(Clone, PartialEq, Message)]
pub struct Advertisement {
    /// Binary node id of the subject.
    #[prost(bytes = "vec", tag = "1")]
    pub node: Vec<u8>,
    /// The network that the node belongs to.
    #[prost(string, tag = "2")]
    pub network: String,
    /// The sequence number, which grows with each advertisement.
    #[prost(uint64, tag = "3")]
    pub sequence: u64,
    /// Milliseconds since the epoch.
    #[prost(uint64, tag = "4")]
    pub issued_at_ms: u64,
    /// Milliseconds for which the advertisement may be used.
    #[prost(uint64, tag = "5")]
    pub expires_in_ms: u64,
    /// The app's or node's name.
    #[prost(string, tag = "6")]
    pub name: String,
    /// Version of the node's program.
    #[prost(string, tag = "7")]
    pub version: String,
    /// Role names; unknown ones are skipped.
    #[prost(string, repeated, tag = "8")]
    pub roles: Vec<String>,
    /// Relays at which the node holds a reservation.
    #[prost(message, repeated, tag = "9")]
    pub relays: Vec<RelayHeld>,
    /// Binary multiaddrs at which the node can be dialled directly.
    #[prost(bytes = "vec", repeated, tag = "10")]
    pub addresses: Vec<Vec<u8>>,
    /// Ports that the node serves.
    #[prost(message, repeated, tag = "11")]
    pub services: Vec<Service>,
    /// Whether the node's services require a bearer key.
    #[prost(bool, tag = "12")]
    pub requires_key: bool,
    /// The start of the node, in milliseconds since the epoch.
    #[prost(uint64, tag = "13")]
    pub started_at_ms: u64,
    /// The time since that start, in milliseconds.
    #[prost(uint64, tag = "14")]
    pub uptime_ms: u64,
    /// The app's own description of its origin.
    #[prost(string, tag = "15")]
    pub app_origin: String,
    /// Hash of the model served.
    #[prost(string, tag = "16")]
    pub model_hash: String,
    /// Hardware address.
    #[prost(string, tag = "17")]
    pub mac: String,
    /// Memory, as the inventory writes it.
    #[prost(string, tag = "18")]
    pub mem_info: String,
    /// Processor, as the inventory writes it.
    #[prost(string, tag = "19")]
    pub cpu_info: String,
    /// Graphics cards, as the inventory writes them.
    #[prost(string, tag = "20")]
    pub gpu_info: String,
    /// Average power.
    #[prost(float, tag = "21")]
    pub average_power: f32,
    /// Port of the node's own HTTP ingress; 0 for none.
    #[prost(uint32, tag = "22")]
    pub relay_proxy_port: u32,
    /// Offers of the node's services, one of each kind.
    #[prost(message, repeated, tag = "23")]
    pub offers: Vec<Offer>,
}

/// One service of a node, described in a format of the service's own.
#[derive(Clone, PartialEq, Message)]
pub struct Offer {
    /// The service's name.
    #[prost(string, tag = "1")]
    pub kind: String,
    /// Version of the body's format.
    #[prost(uint32, tag = "2")]
    pub version: u32,
    /// Bytes whose format the service owns.
    #[prost(bytes = "vec", tag = "3")]
    pub body: Vec<u8>,
}

/// A relay a node holds a reservation at.
#[derive(Clone, PartialEq, Message)]
pub struct RelayHeld {
    /// Binary node id of the relay.
    #[prost(bytes = "vec", tag = "1")]
    pub node: Vec<u8>,
    /// The relay's address as the node reaches it.
    #[prost(string, tag = "2")]
    pub address: String,
}

/// A service of a node.
#[derive(Clone, PartialEq, Message)]
pub struct Service {
    /// The port, 1 to 65535.
    #[prost(uint32, tag = "1")]
    pub port: u32,
}

/// Keeps an advertisement alive.
#[derive(Clone, PartialEq, Message)]
pub struct Heartbeat {
    /// Binary node id of the subject.
    #[prost(bytes = "vec", tag = "1")]
    pub node: Vec<u8>,
    /// The network that the node belongs to.
    #[prost(string, tag = "2")]
    pub network: String,
    /// Sequence of the advertisement that the heartbeat keeps alive.
    #[prost(uint64, tag = "3")]
    pub sequence: u64,
    /// The heartbeat's number, which grows within a sequence.
    #[prost(uint64, tag = "4")]
    pub beat: u64,
    /// Milliseconds since the epoch.
    #[prost(uint64, tag = "5")]
    pub issued_at_ms: u64,
    /// Milliseconds.
    #[prost(uint64, tag = "6")]
    pub uptime_ms: u64,
    /// Memory at this moment.
    #[prost(string, optional, tag = "7")]
    pub mem_info: Option<String>,
}

/// Ends all advertisements up to a sequence.
#[derive(Clone, PartialEq, Message)]
pub struct Goodbye {
    /// Binary node id of the subject.
    #[prost(bytes = "vec", tag = "1")]
    pub node: Vec<u8>,
    /// The network that the node belongs to.
    #[prost(string, tag = "2")]
    pub network: String,
    /// The last sequence that the node used.
    #[prost(uint64, tag = "3")]
    pub sequence: u64,
    /// Milliseconds since the epoch.
    #[prost(uint64, tag = "4")]
    pub issued_at_ms: u64,
}

/// The one field of a signed envelope that this crate reads before it opens the envelope.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct EnvelopeHead {
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) payload_type: Vec<u8>,
}

/// A request of a node to a relay.
#[derive(Clone, PartialEq, Message)]
pub struct Request {
    /// The kind of request.
    #[prost(oneof = "request::Kind", tags = "1, 2, 3")]
    pub kind: Option<request::Kind>,
}

/// The kinds of [`Request`].
pub mod request {
    /// The kind.
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub enum Kind {
        /// Pushes a signed envelope of the asking node, which the relay forwards. Answered by `Accepted` or
        /// `Refused`.
        #[prost(bytes = "vec", tag = "1")]
        Push(Vec<u8>),
        /// Asks for a snapshot. Answered by chunks, the last one marked.
        #[prost(message, tag = "2")]
        Snapshot(super::SnapshotRequest),
        /// Looks up one node (binary id). Answered by one chunk.
        #[prost(bytes = "vec", tag = "3")]
        Lookup(Vec<u8>),
    }
}

/// Asks for a snapshot.
#[derive(Clone, PartialEq, Message)]
pub struct SnapshotRequest {
    /// The asking node's network.
    #[prost(string, tag = "1")]
    pub network: String,
    /// Only nodes that are relays.
    #[prost(bool, tag = "2")]
    pub relays_only: bool,
    /// Only nodes with an offer of this kind; empty for all nodes.
    #[prost(string, tag = "3")]
    pub offering: String,
}

/// A response of a relay.
#[derive(Clone, PartialEq, Message)]
pub struct Response {
    /// The kind of response.
    #[prost(oneof = "response::Kind", tags = "1, 2, 3")]
    pub kind: Option<response::Kind>,
}

/// The kinds of [`Response`].
pub mod response {
    /// The kind.
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub enum Kind {
        /// The push was accepted, or was known already.
        #[prost(message, tag = "1")]
        Accepted(super::Accepted),
        /// The request was refused.
        #[prost(message, tag = "2")]
        Refused(super::Refused),
        /// A part of a snapshot or lookup.
        #[prost(message, tag = "3")]
        Chunk(super::Chunk),
    }
}

/// A push was accepted.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Accepted {}

/// A request was refused.
#[derive(Clone, PartialEq, Message)]
pub struct Refused {
    /// The reason.
    #[prost(enumeration = "RefusedReason", tag = "1")]
    pub reason: i32,
    /// The subject's own newest signed envelope, when the reason is `Stale`.
    #[prost(bytes = "vec", tag = "2")]
    pub newest: Vec<u8>,
}

/// Why a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum RefusedReason {
    /// The reason is missing, or belongs to a later version.
    Unspecified = 0,
    /// The announcement is larger than allowed.
    TooLarge = 1,
    /// The bytes are no message of this protocol, or beyond its bounds.
    Malformed = 2,
    /// The signature is wrong, or the signer is not the subject.
    Forged = 3,
    /// The announcement belongs to another network.
    OtherNetwork = 4,
    /// The sender's clock differs too much.
    ClockSkew = 5,
    /// The announcement has expired.
    Outdated = 6,
    /// A newer announcement of the node is known.
    Stale = 7,
    /// The node sent too many announcements in too short a time.
    TooFrequent = 8,
    /// The directory is full.
    Full = 9,
    /// The advertisement that a heartbeat keeps alive is not known.
    UnknownAdvertisement = 10,
    /// A snapshot for this node is under way already, or too many are.
    Busy = 11,
}

/// A part of a snapshot.
#[derive(Clone, PartialEq, Message)]
pub struct Chunk {
    /// Signed envelopes as their subjects made them: each advertisement before its heartbeat.
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub envelopes: Vec<Vec<u8>>,
    /// Whether this is the last part.
    #[prost(bool, tag = "2")]
    pub last: bool,
}

impl From<request::Kind> for Request {
    fn from(kind: request::Kind) -> Self {
        Self { kind: Some(kind) }
    }
}

impl From<response::Kind> for Response {
    fn from(kind: response::Kind) -> Self {
        Self { kind: Some(kind) }
    }
}

/// One side of a stream of frames: four bytes of length, most significant first, then a message.
pub(crate) struct Frames<S> {
    reader: FramedRead<ReadHalf<S>, LengthDelimitedCodec>,
    writer: FramedWrite<WriteHalf<S>, LengthDelimitedCodec>,
}

impl<S: AsyncRead + AsyncWrite> Frames<S> {
    /// Frames of the client side.
    pub(crate) fn asking(stream: S) -> Self {
        Self::new(stream, RESPONSE_BYTES_MAX, REQUEST_BYTES_MAX)
    }

    /// Frames of the server side.
    pub(crate) fn answering(stream: S) -> Self {
        Self::new(stream, REQUEST_BYTES_MAX, RESPONSE_BYTES_MAX)
    }

    fn new(stream: S, read_bytes_max: usize, write_bytes_max: usize) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        Self {
            reader: FramedRead::new(reader, codec(read_bytes_max)),
            writer: FramedWrite::new(writer, codec(write_bytes_max)),
        }
    }

    /// The next message; `None` at the stream's end.
    ///
    /// # Errors
    /// `InvalidData` for a frame beyond the limit or one that is no such message.
    pub(crate) async fn read<M: Message + Default>(&mut self) -> io::Result<Option<M>> {
        let Some(frame) = self.reader.next().await else {
            return Ok(None);
        };
        let message = M::decode(frame?);
        message
            .map(Some)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// # Errors
    /// `InvalidInput` for a message beyond the limit.
    pub(crate) async fn write(&mut self, message: &impl Message) -> io::Result<()> {
        self.writer.send(Bytes::from(message.encode_to_vec())).await
    }

    pub(crate) async fn close(&mut self) -> io::Result<()> {
        SinkExt::<Bytes>::close(&mut self.writer).await
    }
}

fn codec(bytes_max: usize) -> LengthDelimitedCodec {
    LengthDelimitedCodec::builder()
        .max_frame_length(bytes_max)
        .new_codec()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn push(bytes: usize) -> Request {
        request::Kind::Push(vec![7; bytes]).into()
    }

    #[tokio::test]
    async fn frames_arrive_in_order_and_then_the_end() {
        let (near, far) = tokio::io::duplex(1 << 20);
        let (mut near, mut far) = (Frames::asking(near), Frames::answering(far));
        near.write(&push(1)).await.unwrap();
        near.write(&push(ENVELOPE_BYTES_MAX)).await.unwrap();
        near.close().await.unwrap();
        assert_eq!(far.read::<Request>().await.unwrap(), Some(push(1)));
        let largest = far.read::<Request>().await.unwrap();
        assert_eq!(largest, Some(push(ENVELOPE_BYTES_MAX)));
        assert_eq!(far.read::<Request>().await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_frame_beyond_the_limit_is_an_error() {
        let (near, far) = tokio::io::duplex(1 << 20);
        let (mut near, mut far) = (Frames::answering(near), Frames::answering(far));
        near.write(&push(REQUEST_BYTES_MAX + 1)).await.unwrap();
        let error = far.read::<Request>().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn the_largest_chunk_fits_into_a_response() {
        let mut envelopes = vec![vec![0; 1100]; CHUNK_BYTES / 1100];
        envelopes.push(vec![0; ENVELOPE_BYTES_MAX]);
        envelopes.push(vec![0; ENVELOPE_BYTES_MAX]);
        let chunk = Chunk {
            envelopes,
            last: true,
        };
        let response: Response = response::Kind::Chunk(chunk).into();
        assert!(response.encoded_len() <= RESPONSE_BYTES_MAX);
    }

    #[test]
    fn the_topic_carries_the_network() {
        assert_eq!(topic_name("1000"), "peerwork/1000/directory/1");
    }
}
