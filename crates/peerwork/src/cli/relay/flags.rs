//! The flags of `peerwork relay`. They are also keys of the settings file and, with the prefix
//! `PEERWORK_`, names of environment variables.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};
use multiaddr::Multiaddr;
use peerwork::config::IceServer;
use peerwork_identity::NodeAddress;
use peerwork_net::config::{Hub, Limits, RelayServer};

use crate::cli::{
    preamble::PreambleFlags,
    values::{DnsName, Listen, bound, duration, multiaddress, some_duration},
};

/// Every setting of a relay for browsers.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Relay")]
pub(crate) struct RelayNodeFlags {
    /// The address of the WebSocket port for browsers, which also serves the live page
    #[arg(long, value_name = "HOST:PORT", default_value = "0.0.0.0:9090")]
    pub(crate) websocket: Listen,
    /// The address that programs connect to by TCP, or off
    #[arg(long, value_name = "HOST:PORT", default_value = "0.0.0.0:9091")]
    pub(crate) tcp: Listen,
    /// The address that programs connect to by QUIC, or off
    #[arg(long, value_name = "HOST:PORT", default_value = "off")]
    pub(crate) quic: Listen,
    /// The UDP address at which browsers connect by WebRTC, which needs no certificate of an authority,
    /// or off
    #[arg(long, value_name = "HOST:PORT", default_value = "off")]
    pub(crate) webrtc: Listen,
    /// A further multiaddress to listen on (repeatable)
    #[arg(long, value_name = "MULTIADDR", value_parser = multiaddress)]
    pub(crate) listen: Vec<Multiaddr>,
    /// An address to announce, unchanged, like /dns4/relay.example/tcp/443/wss (repeatable)
    #[arg(long, value_name = "MULTIADDR", value_parser = multiaddress)]
    pub(crate) announce: Vec<Multiaddr>,
    /// The router's public IP address, announced with the port of each listener
    #[arg(long, value_name = "IP")]
    pub(crate) nat: Option<IpAddr>,
    /// The DNS name of this machine to announce: example.org, or dns4/… or dns6/…
    #[arg(long, value_name = "NAME")]
    pub(crate) dns: Option<DnsName>,
    /// The network file of the network to join [default: network.json of the data directory, or none, for
    /// a network of this relay alone]
    #[arg(long, value_name = "FILE")]
    pub(crate) network: Option<PathBuf>,
    /// A ticket (`peerwork invite`): the node joins its network at the first start, and later just starts;
    /// - reads it from standard input. It stands in the list of processes: PEERWORK_JOIN does not
    #[arg(long, value_name = "TICKET", hide_env_values = true)]
    pub(crate) join: Option<String>,
    /// Another relay to stay connected to, so that their clients find each other (repeatable)
    #[arg(long, value_name = "MULTIADDR")]
    pub(crate) peer: Vec<NodeAddress>,
    /// The interval of reports in the log; 0s for none
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration)]
    pub(crate) report_every: Duration,
    /// Write no line into the log when a node connects or disconnects
    #[arg(long)]
    pub(crate) no_peer_log: bool,
    /// A folder that gets a relay-config.json for pages (repeatable)
    #[arg(long, value_name = "DIR")]
    pub(crate) write_config: Vec<PathBuf>,
    /// A STUN or TURN server for WebRTC between pages, named in relay-config.json (repeatable):
    /// stun:HOST:PORT, or turn:HOST:PORT?transport=udp;username=NAME;credential=TEXT. Everybody can read
    /// that file, so the credential is public: give one that expires, or that you would publish
    #[arg(long, value_name = "URL")]
    pub(crate) ice_server: Vec<IceServer>,
    /// The gossip protocol that relay-config.json tells pages to use; the relay speaks both
    #[arg(long, value_name = "NAME", value_enum, default_value = "gossipsub")]
    pub(crate) pubsub_type: PubsubFlag,
    /// Append the log to this file and do not write it to standard error
    #[arg(long, value_name = "FILE")]
    pub(crate) log_to: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) limits: LimitFlags,
    #[command(flatten)]
    pub(crate) gossip: GossipFlags,
    #[command(flatten, next_help_heading = "Port for browsers")]
    pub(crate) front: PreambleFlags,
}

/// A gossip protocol of pages.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PubsubFlag {
    Gossipsub,
    Floodsub,
}

/// Limits of reservations, circuits and connections.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Limits")]
pub(crate) struct LimitFlags {
    /// The most connections at the same time
    #[arg(long, value_name = "N", default_value_t = Limits::default().connections_max,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) max_connections: u32,
    /// The most connections from one network address; those of this machine are not counted
    #[arg(long, value_name = "N", default_value = "512",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) max_connections_per_address: u32,
    /// The most reservations at the same time
    #[arg(long, value_name = "N", default_value = "100",
          value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub(crate) max_reservations: u32,
    /// The most reservations from one network address, not above --max-reservations; those of this
    /// machine are not counted [default: half of --max-reservations]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) max_reservations_per_address: Option<u32>,
    /// How long a reservation is valid without renewal
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = some_duration)]
    pub(crate) reservation_duration: Duration,
    /// The most circuits at the same time
    #[arg(long, value_name = "N", default_value_t = bound(RelayServer::default().circuits_max),
          value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub(crate) max_circuits: u32,
    /// The most circuits of one node
    #[arg(long, value_name = "N", default_value = "256",
          value_parser = clap::value_parser!(u32).range(0..=1536))]
    pub(crate) max_circuits_per_peer: u32,
    /// The most circuits opened from one network address; those of this machine are not counted
    #[arg(long, value_name = "N", default_value = "2048",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) max_circuits_per_address: u32,
    /// The most bytes of one circuit, both directions together; 0 for no limit
    #[arg(long, value_name = "BYTES", default_value = "52428800")]
    pub(crate) circuit_bytes: u64,
    /// The longest time of one circuit; 0s for no limit
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = duration)]
    pub(crate) circuit_duration: Duration,
    /// The id of a node that may hold a reservation (repeatable); with --allow or --token, no other
    /// node may
    #[arg(long, value_name = "NODE")]
    pub(crate) allow: Vec<String>,
    /// A secret; a node that sends it may hold a reservation (repeatable); with --token or --allow, no
    /// other node may. Keep it in the settings file: other users of this machine can read command lines
    #[arg(long, value_name = "TEXT", hide_env_values = true)]
    pub(crate) token: Vec<String>,
}

/// Gossip of the relay's clients.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Gossip")]
pub(crate) struct GossipFlags {
    /// Forward no gossip
    #[arg(long)]
    pub(crate) no_gossip: bool,
    /// A topic to forward from the start (repeatable) [default: those of peer discovery]
    #[arg(long, value_name = "TOPIC")]
    pub(crate) topic: Vec<String>,
    /// The beginning of topics to forward when a client subscribes to them (repeatable) [default: all]
    #[arg(long, value_name = "PREFIX")]
    pub(crate) follow: Vec<String>,
    /// Forward only the topics of --topic
    #[arg(long)]
    pub(crate) no_follow: bool,
    /// The most topics at the same time
    #[arg(long, value_name = "N", default_value_t = bound(Hub::default().topics_max),
          value_parser = clap::value_parser!(u32).range(1..=2048))]
    pub(crate) max_topics: u32,
    /// The most topics that are forwarded because one node subscribed to them
    #[arg(long, value_name = "N", default_value_t = bound(Hub::default().topics_per_node_max),
          value_parser = clap::value_parser!(u32).range(1..=2048))]
    pub(crate) max_topics_per_peer: u32,
    /// The most bytes of one message
    #[arg(long, value_name = "BYTES", default_value_t = bound(Hub::default().message_bytes_max),
          value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    pub(crate) max_message_bytes: u32,
    /// The most messages of one node on one topic per second; a burst may have those of four seconds
    #[arg(long, value_name = "N", default_value = "100",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) messages_per_second: u32,
    /// The most messages on one topic per second; a burst may have those of two seconds
    #[arg(long, value_name = "N", default_value = "2000",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) topic_messages_per_second: u32,
}
