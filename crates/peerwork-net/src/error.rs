//! Errors, one enum for each public operation.

use multiaddr::Multiaddr;

pub use crate::membership::Refusal;

/// Starting the network failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The network's name cannot be part of a protocol name.
    #[error("network name {0:?} is not 1 to 64 characters of A-Z, a-z, 0-9, '.', '_' and '-'")]
    NetworkName(String),
    /// This build cannot listen on WebRTC-direct addresses.
    #[error(
        "cannot listen on {0}: this build has no WebRTC; build it with the feature `webrtc`, or leave the address out"
    )]
    WithoutWebRtc(Multiaddr),
    /// A setting is outside its bounds.
    #[error("setting {setting}: {reason}")]
    Setting {
        /// The setting's name.
        setting: &'static str,
        /// The mistake.
        reason: String,
    },
    /// A transport could not be built.
    #[error("building the {transport} transport")]
    Transport {
        /// The name of the transport or protocol.
        transport: &'static str,
        /// The reason.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A protocol behaviour could not be built.
    #[error("building the {protocol} protocol: {reason}")]
    Behaviour {
        /// The name of the transport or protocol.
        protocol: &'static str,
        /// The reason.
        reason: String,
    },
    /// Listening on an address failed: the port is taken, the address is another machine's, or the
    /// transport is not supported.
    #[error(
        "cannot listen on {address}: {reason}; end what listens there, or name another address or port"
    )]
    Listen {
        /// The requested address.
        address: Multiaddr,
        /// The reason of the refusal.
        reason: String,
    },
}

/// Opening a stream failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// There is no connection to the node; dial first.
    #[error("not connected to the node")]
    NotConnected,
    /// The node does not speak the protocol.
    #[error("the node does not speak the protocol")]
    Unsupported,
    /// The node answered that its queue for this protocol is full; trying later can help.
    #[error("the node is busy")]
    Busy,
    /// Too many streams are being opened to this node from here; trying later can help.
    #[error("too many streams are being opened to the node")]
    Congested,
    /// The connection failed while the stream was negotiated.
    #[error("the connection failed while opening the stream: {0}")]
    Failed(String),
    /// The deadline passed.
    #[error("the deadline passed while opening the stream")]
    Deadline,
    /// The network has stopped.
    #[error("the network has stopped")]
    Stopped,
}

/// Handing over a byte stream failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandOverError {
    /// Too many handed-over streams wait for the swarm.
    #[error("too many connections come in at once")]
    Busy,
    /// The network has stopped.
    #[error("the network has stopped")]
    Stopped,
}

/// Dialling failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    /// No address is known for the node.
    #[error("no address is known for the node")]
    NoAddresses,
    /// The node is this node.
    #[error("cannot dial oneself")]
    Oneself,
    /// The node is blocked.
    #[error("the node is blocked")]
    Blocked,
    /// None of the addresses worked.
    #[error("no connection to the node: {0}")]
    Failed(String),
    /// The connection was established, and one side refused the other as no member of its network.
    #[error("{0}")]
    Refused(Refusal),
    /// The deadline passed.
    #[error("the deadline passed while dialling")]
    Deadline,
    /// Too many dials are waiting in this node.
    #[error("too many dials are waiting")]
    Busy,
    /// The network has stopped.
    #[error("the network has stopped")]
    Stopped,
}

/// A call that the event loop carries out was not confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The deadline passed before the event loop confirmed the call, which may be carried out still.
    #[error("the deadline passed before the network carried out the call")]
    Deadline,
    /// The network has stopped.
    #[error("the network has stopped")]
    Stopped,
}

/// Converts a [`CallError`] to the error of a call that can fail in further ways.
macro_rules! of_a_call {
    ($($error:ident),*) => {$(
        impl From<CallError> for $error {
            fn from(error: CallError) -> Self {
                match error {
                    CallError::Deadline => Self::Deadline,
                    CallError::Stopped => Self::Stopped,
                }
            }
        }
    )*};
}

of_a_call!(DialError, TopicError, ReserveError, DhtError);

/// Serving a protocol failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The protocol is being served already.
    #[error("protocol {0} is being served already")]
    Taken(String),
    /// A queue of this length is not allowed (1 to 65536).
    #[error("queue length {0} is not within 1 to 65536")]
    Queue(usize),
}

/// Joining or publishing on a topic failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TopicError {
    /// This node joined the topic already.
    #[error("topic {0} is joined already")]
    Taken(String),
    /// The topic could not be joined.
    #[error("joining the topic: {0}")]
    Join(String),
    /// A limit of the topic cannot be used.
    #[error("limits of the topic: {0}")]
    Limits(String),
    /// The message is larger than the topic's limit.
    #[error("message of {size} bytes exceeds the limit of {limit}")]
    TooLarge {
        /// Bytes of the message.
        size: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// No other node of the topic is connected; the message went nowhere.
    #[error("no other node of the topic is connected")]
    NoPeers,
    /// All queues to other nodes are full; trying later can help.
    #[error("all queues to other nodes are full")]
    Busy,
    /// Publishing failed for another reason.
    #[error("publishing: {0}")]
    Publish(String),
    /// The deadline passed. A message may be published still; a topic is not joined, and left again
    /// within about a second if the network joined it in the meantime.
    #[error("the deadline passed while joining or publishing on the topic")]
    Deadline,
    /// The network has stopped.
    #[error("the network has stopped")]
    Stopped,
}

/// Reserving a place at a relay failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReserveError {
    /// A reservation at this relay is held or being made.
    #[error("a reservation at this relay exists already")]
    Exists,
    /// The address cannot be used for a reservation.
    #[error("address cannot be used: {0}")]
    Address(String),
    /// The relay refused or could not be reached.
    #[error("the relay did not grant a reservation: {0}")]
    Refused(String),
    /// The deadline passed.
    #[error("the deadline passed while reserving a place at the relay")]
    Deadline,
    /// The network has stopped.
    #[error("the network has stopped")]
    Stopped,
}

/// A DHT operation failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DhtError {
    /// The DHT is switched off on this node.
    #[error("the DHT is switched off")]
    Off,
    /// The record store is full.
    #[error("the store of provided keys is full")]
    Full,
    /// Too many queries are under way.
    #[error("too many queries are under way")]
    Busy,
    /// The query ended without a result.
    #[error("the query ended without a result: {0}")]
    Failed(String),
    /// The deadline passed.
    #[error("the deadline passed during the query")]
    Deadline,
    /// The network has stopped.
    #[error("the network has stopped")]
    Stopped,
}
