//! The settings of a network, as plain data. The schema of the settings file is in the program.

use std::{collections::HashSet, time::Duration};

use multiaddr::Multiaddr;
use peerwork_identity::{Keypair, NetworkSecret, NodeId};
use peerwork_limits::Rate;

/// Settings of one node's network.
#[derive(Debug, Clone)]
pub struct Config {
    /// The key whose peer id is the node's id.
    pub keypair: Keypair,
    /// Which network this node belongs to; part of protocol names, at most 64 bytes of `[A-Za-z0-9._-]`.
    pub network: String,
    /// The agent version that this node sends in identify, for instance `peerwork/0.1.0`.
    pub agent: String,
    /// Addresses to listen on; an empty list makes a node that only dials.
    pub listen: Vec<Multiaddr>,
    /// Addresses on which the program itself accepts connections, and hands them to
    /// [`Network::hand_over`](crate::Network::hand_over); in the form `/ip4/…/tcp/…/ws`.
    pub handed: Vec<Multiaddr>,
    /// Addresses that this node advertises; when the list is empty, it advertises its listen addresses
    /// and those that other nodes observed.
    pub announce: Vec<Multiaddr>,
    /// The certificate of WebRTC-direct listeners. Their addresses contain its hash, so the addresses
    /// stay valid as long as the certificate is kept. `None` makes a certificate that lasts as long as
    /// this network.
    #[cfg(feature = "webrtc")]
    pub certificate: Option<crate::webrtc::Certificate>,
    /// The links that carry the bytes of connections in a test.
    #[cfg(feature = "testkit")]
    pub link: Option<std::sync::Arc<dyn crate::link::Link>>,
    /// Offer circuit relay v2 to others.
    pub relay_server: Option<RelayServer>,
    /// The secrets that nodes prove to each other, and whether this node has entry points.
    pub membership: Membership,
    /// Gossip settings.
    pub gossip: Gossip,
    /// Connection limits.
    pub limits: Limits,
    /// Dial loopback and private addresses that other nodes advertise: for networks that live on them.
    /// Addresses that are given to [`Network::dial`](crate::Network::dial) and
    /// [`Network::reserve`](crate::Network::reserve) are dialled in any case.
    pub allow_private: bool,
    /// Find nodes on the local network by mDNS. `membership` decides whether the network dials them by
    /// itself; [`Network::found`](crate::Network::found) has their addresses.
    pub mdns: bool,
    /// Ask the router for port mappings by UPnP.
    pub upnp: bool,
    /// Ask others whether this node's addresses can be reached, and answer them (AutoNAT v2).
    pub autonat: bool,
    /// Try to replace relayed connections by direct ones (DCUtR).
    pub hole_punching: bool,
    /// Part in this network's own Kademlia DHT.
    pub dht: Dht,
    /// Bounds on the keys of the DHT.
    pub dht_keys: DhtKeys,
    /// How often each connection is pinged, and how long an answer may take before the connection is
    /// given up.
    pub ping_interval: Duration,
    /// How long a connection without streams and without a reservation is kept. The gossip stream
    /// that this node opens on every connection counts as long as the other node has not refused it.
    pub idle_timeout: Duration,
}

/// Membership of a network. The default is a node without entry points and without a secret, which knows
/// only the nodes that mDNS finds and those that services name.
#[derive(Debug, Clone, Default)]
pub struct Membership {
    /// The secrets of the network, the newest first, at most
    /// [`SECRETS_MAX`](peerwork_identity::network_file::SECRETS_MAX). With any, connections are held
    /// back until both nodes have proven that they share one of them.
    pub secrets: Vec<NetworkSecret>,
    /// Whether the network file names entry points. A node without a secret and without entry points
    /// dials all nodes that mDNS finds, and keeps the connections to those that have neither as well.
    pub entries: bool,
    /// Whether this node uses only the protocols for guests
    /// ([`Protocol::for_guests`](crate::Protocol::for_guests)): it shows no secret and is not refused at
    /// once for that.
    pub guest: bool,
}

/// The most circuits of one node: each is a stream of its connection, which has room for 4096.
pub const CIRCUITS_PER_PEER_MAX: usize = 1536;

/// Circuit relay v2 server limits.
#[derive(Debug, Clone)]
pub struct RelayServer {
    /// Reservations held at once.
    pub reservations_max: usize,
    /// Reservations from one network address (an IPv4 address, an IPv6 /64); this machine's own are
    /// not counted. `None` is half of all, so that one address never takes a whole relay; a share
    /// larger than all is refused at the start.
    pub reservations_per_address_max: Option<usize>,
    /// Nodes that may reserve, beside those that present a token; `None` lets all nodes reserve.
    pub allowed: Option<HashSet<NodeId>>,
    /// How long a reservation is valid without renewal.
    pub reservation_duration: Duration,
    /// Circuits carried at once.
    pub circuits_max: usize,
    /// Circuits that one node may open, at most [`CIRCUITS_PER_PEER_MAX`]; twice as many may lead to
    /// one holder.
    pub circuits_per_peer_max: usize,
    /// Circuits opened from one network address (an IPv4 address, an IPv6 /64); this machine's own
    /// are not counted.
    pub circuits_per_address_max: usize,
    /// How long one circuit may last; `None` is without limit.
    pub circuit_duration: Option<Duration>,
    /// Bytes one circuit may carry, both directions together; `None` is without limit.
    pub circuit_bytes_max: Option<u64>,
}

impl RelayServer {
    /// The bound of reservations from one network address.
    #[must_use]
    pub fn reservations_per_address(&self) -> usize {
        let half = self.reservations_max.div_ceil(2);
        self.reservations_per_address_max.unwrap_or(half)
    }
}

impl Default for RelayServer {
    /// The defaults of `peerwork server`: generous, without limits on a circuit.
    fn default() -> Self {
        Self {
            reservations_max: 2048,
            reservations_per_address_max: None,
            allowed: None,
            reservation_duration: Duration::from_secs(3600),
            circuits_max: 8192,
            circuits_per_peer_max: CIRCUITS_PER_PEER_MAX,
            circuits_per_address_max: 4096,
            circuit_duration: None,
            circuit_bytes_max: None,
        }
    }
}

/// Gossip settings. `message_bytes_max` must be the same on all nodes of a network.
#[derive(Debug, Clone)]
pub struct Gossip {
    /// Largest message in bytes, 1 MiB by default: the data alone, without what gossipsub adds to it.
    /// Keep to 1 MiB where js-libp2p takes part. It takes 4 MiB itself, but it sends yamux frames as
    /// large as the window, and a frame above 1 MiB ends a connection with rust-yamux.
    pub message_bytes_max: usize,
    /// The mesh maintenance interval.
    pub heartbeat: Duration,
    /// Forward topics for nodes that are connected to this one alone, as browsers are.
    pub hub: Option<Hub>,
}

/// Bytes of a topic's name that a hub follows.
pub const TOPIC_BYTES_MAX: usize = 256;

/// A hub keeps all its nodes in the mesh, understands floodsub too, and joins topics for others.
#[derive(Debug, Clone)]
pub struct Hub {
    /// Topics joined from the start.
    pub topics: Vec<String>,
    /// Prefixes of further topics, which the hub joins when a node subscribes to them; an empty prefix
    /// fits all topics.
    pub follow: Vec<String>,
    /// Topics joined at once, the configured ones included; a topic costs about 1 KiB, and 100 bytes
    /// for each subscriber.
    pub topics_max: usize,
    /// Topics that are joined because of one node.
    pub topics_per_node_max: usize,
    /// Largest message of a followed topic; a larger message is not forwarded.
    pub message_bytes_max: usize,
    /// Messages that one node may send on one topic. Further ones are not forwarded; the node is not
    /// scored for them.
    pub sender_rate: Rate,
    /// Messages forwarded on one topic.
    pub topic_rate: Rate,
    /// Other hubs. Their subscriptions alone join nothing, and `sender_rate` does not apply to them.
    pub hubs: HashSet<NodeId>,
}

impl Default for Hub {
    /// Any topic, 100 messages a second from each node and 2000 in all on each.
    fn default() -> Self {
        Self {
            topics: Vec::new(),
            follow: vec![String::new()],
            topics_max: 1024,
            topics_per_node_max: 64,
            message_bytes_max: 256 * 1024,
            sender_rate: Rate {
                burst: 400,
                interval: Duration::from_millis(10),
            },
            topic_rate: Rate {
                burst: 4000,
                interval: Duration::from_micros(500),
            },
            hubs: HashSet::new(),
        }
    }
}

impl Default for Gossip {
    fn default() -> Self {
        Self {
            message_bytes_max: 1 << 20,
            heartbeat: Duration::from_secs(1),
            hub: None,
        }
    }
}

/// Connection limits. A connection costs about 60 to 100 KiB, so 8192 is at most about 800 MiB.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Established connections.
    pub connections_max: u32,
    /// Established connections from one network address (an IPv4 address, an IPv6 /64); this
    /// machine's own are not counted.
    pub connections_per_address_max: u32,
    /// Connections in their handshake from one network address.
    pub handshakes_per_address_max: u32,
    /// Established connections to one node.
    pub connections_per_peer_max: u32,
    /// Inbound connections in their handshake.
    pub handshakes_inbound_max: u32,
    /// Outbound connections in their handshake.
    pub handshakes_outbound_max: u32,
    /// How long connecting, or being connected to, may take: the socket, the proof of identity and
    /// the muxer together; over a circuit also the relay's part. A silent peer loses its place then.
    pub handshake_timeout: Duration,
    /// Refuse connections while this process uses more than this share of the machine's memory.
    pub memory_share_max: f64,
    /// Streams being opened at once on one connection.
    pub opens_per_connection_max: usize,
    /// Memory that the unread bytes of all yamux and WebRTC connections take. Above this bound, the
    /// streams that held most bytes for longest are reset. The windows of all QUIC connections, 2 MiB
    /// each, are at most as much again: further QUIC connections are refused.
    pub unread_bytes_max: usize,
    /// Memory that the unread bytes of one yamux connection take; at least 4 MiB.
    pub unread_bytes_per_connection_max: usize,
    /// Bytes that were written to streams of all yamux connections and that the sockets have not taken.
    /// Above this bound writers wait, except that each connection may always hold 64 KiB.
    pub unsent_bytes_max: usize,
    /// Unsent bytes of one connection.
    pub unsent_bytes_per_connection_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 8192,
            connections_per_address_max: 1024,
            handshakes_per_address_max: 128,
            connections_per_peer_max: 8,
            handshakes_inbound_max: 2048,
            handshakes_outbound_max: 512,
            handshake_timeout: Duration::from_secs(10),
            memory_share_max: 0.8,
            opens_per_connection_max: 64,
            unread_bytes_max: 512 << 20,
            unread_bytes_per_connection_max: 128 << 20,
            unsent_bytes_max: 256 << 20,
            unsent_bytes_per_connection_max: 4 << 20,
        }
    }
}

/// Part in this network's Kademlia DHT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dht {
    /// The node does not speak the DHT's protocol.
    #[default]
    Off,
    /// The node sends queries and answers none.
    Client,
    /// The node sends queries and answers those of others.
    Server,
}

/// How many keys of the DHT this node remembers. A key costs about 300 bytes, and up to 20 times as
/// much when 20 nodes provide it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DhtKeys {
    /// Keys that this node provides.
    pub provided_max: usize,
    /// Keys for which other nodes have announced a provider to this node.
    pub announced_max: usize,
}

impl Default for DhtKeys {
    fn default() -> Self {
        Self {
            provided_max: 1024,
            announced_max: 1024,
        }
    }
}

impl Config {
    /// Settings of a node that listens nowhere and discovers no other nodes.
    #[must_use]
    pub fn new(keypair: Keypair, network: impl Into<String>) -> Self {
        Self {
            keypair,
            network: network.into(),
            agent: format!("peerwork/{}", env!("CARGO_PKG_VERSION")),
            listen: Vec::new(),
            handed: Vec::new(),
            announce: Vec::new(),
            #[cfg(feature = "webrtc")]
            certificate: None,
            #[cfg(feature = "testkit")]
            link: None,
            relay_server: None,
            membership: Membership::default(),
            gossip: Gossip::default(),
            limits: Limits::default(),
            allow_private: false,
            mdns: false,
            upnp: false,
            autonat: false,
            hole_punching: true,
            dht: Dht::Off,
            dht_keys: DhtKeys::default(),
            ping_interval: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(120),
        }
    }
}
