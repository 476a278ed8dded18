//! The flags of `peerwork relay`, which are also keys of the settings file and, with the prefix
//! `PEERWORK_`, names of environment variables.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use clap::Args;
use ipnet::IpNet;
use multiaddr::Multiaddr;
use peerwork_identity::NodeAddress;

use crate::cli::values::{DnsName, Listen, duration, multiaddress, network, some_duration};

/// Every setting of a relay for browsers.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Relay")]
pub(crate) struct RelayNodeFlags {
    /// Where browsers connect, and where the live page is
    #[arg(long, value_name = "HOST:PORT", default_value = "0.0.0.0:9090")]
    pub(crate) websocket: Listen,
    /// Where programs connect, or off
    #[arg(long, value_name = "HOST:PORT", default_value = "0.0.0.0:9091")]
    pub(crate) tcp: Listen,
    /// Where programs connect by QUIC, or off
    #[arg(long, value_name = "HOST:PORT", default_value = "off")]
    pub(crate) quic: Listen,
    /// Where browsers connect by WebRTC, on UDP and without a certificate of an authority, or off
    #[arg(long, value_name = "HOST:PORT", default_value = "off")]
    pub(crate) webrtc: Listen,
    /// A further address to listen on (repeatable)
    #[arg(long, value_name = "MULTIADDR", value_parser = multiaddress)]
    pub(crate) listen: Vec<Multiaddr>,
    /// An address to tell others, as it is, like /dns4/relay.example/tcp/443/wss (repeatable)
    #[arg(long, value_name = "MULTIADDR", value_parser = multiaddress)]
    pub(crate) announce: Vec<Multiaddr>,
    /// The address that the router has outside: told to others with the port of each listener
    #[arg(long, value_name = "IP")]
    pub(crate) nat: Option<IpAddr>,
    /// The name that others reach this machine by: example.org, or dns4/… or dns6/…
    #[arg(long, value_name = "NAME")]
    pub(crate) dns: Option<DnsName>,
    /// The network file of the network to belong to; without one, the relay stands for itself
    #[arg(long, value_name = "FILE")]
    pub(crate) network: Option<PathBuf>,
    /// Another relay to stay connected to, so that their clients find each other (repeatable)
    #[arg(long, value_name = "MULTIADDR")]
    pub(crate) peer: Vec<NodeAddress>,
    /// How often to report what the relay does; 0s is never
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration)]
    pub(crate) report_every: Duration,
    /// A folder that gets a relay-config.json for pages (repeatable)
    #[arg(long, value_name = "DIR")]
    pub(crate) write_config: Vec<PathBuf>,
    /// Write the log to this file, behind what it holds, and not to standard error
    #[arg(long, value_name = "FILE")]
    pub(crate) log_to: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) limits: LimitFlags,
    #[command(flatten)]
    pub(crate) gossip: GossipFlags,
    #[command(flatten)]
    pub(crate) front: FrontFlags,
}

/// What the relay grants.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Limits")]
pub(crate) struct LimitFlags {
    /// Connections at once
    #[arg(long, value_name = "N", default_value = "8192",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) max_connections: u32,
    /// Connections from one network address; this machine's own are not counted
    #[arg(long, value_name = "N", default_value = "512",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) max_connections_per_address: u32,
    /// Reservations at once
    #[arg(long, value_name = "N", default_value = "100",
          value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub(crate) max_reservations: u32,
    /// Reservations from one network address, at most as many as in all; this machine's own are not
    /// counted [default: half of --max-reservations]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) max_reservations_per_address: Option<u32>,
    /// How long a reservation is valid without renewal
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = some_duration)]
    pub(crate) reservation_duration: Duration,
    /// Circuits at once
    #[arg(long, value_name = "N", default_value = "8192",
          value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub(crate) max_circuits: u32,
    /// Circuits of one node
    #[arg(long, value_name = "N", default_value = "256",
          value_parser = clap::value_parser!(u32).range(0..=1536))]
    pub(crate) max_circuits_per_peer: u32,
    /// Circuits opened from one network address; this machine's own are not counted
    #[arg(long, value_name = "N", default_value = "2048",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) max_circuits_per_address: u32,
    /// Bytes that one circuit may carry, both directions together; 0 is no limit
    #[arg(long, value_name = "BYTES", default_value = "52428800")]
    pub(crate) circuit_bytes: u64,
    /// How long one circuit may last; 0s is no limit
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = duration)]
    pub(crate) circuit_duration: Duration,
    /// A node that may reserve (repeatable); with any of these or a token, others may not
    #[arg(long, value_name = "NODE")]
    pub(crate) allow: Vec<String>,
    /// A secret whose holders may reserve (repeatable); with any of these or --allow, others may not.
    /// Keep it in the settings file: a command line can be read by others on this machine
    #[arg(long, value_name = "TEXT", hide_env_values = true)]
    pub(crate) token: Vec<String>,
}

/// Gossip for others.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Gossip")]
pub(crate) struct GossipFlags {
    /// Forward no topics
    #[arg(long)]
    pub(crate) no_gossip: bool,
    /// A topic to forward from the start (repeatable) [default: those of peer discovery]
    #[arg(long, value_name = "TOPIC")]
    pub(crate) topic: Vec<String>,
    /// Forward topics of clients that begin with this (repeatable) [default: all]
    #[arg(long, value_name = "PREFIX")]
    pub(crate) follow: Vec<String>,
    /// Forward no topics but those of --topic
    #[arg(long)]
    pub(crate) no_follow: bool,
    /// Topics at once
    #[arg(long, value_name = "N", default_value = "1024",
          value_parser = clap::value_parser!(u32).range(1..=2048))]
    pub(crate) max_topics: u32,
    /// Topics that are forwarded because of one node
    #[arg(long, value_name = "N", default_value = "64",
          value_parser = clap::value_parser!(u32).range(1..=2048))]
    pub(crate) max_topics_per_peer: u32,
    /// Bytes of one message
    #[arg(long, value_name = "BYTES", default_value = "262144",
          value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    pub(crate) max_message_bytes: u32,
    /// Messages a second of one node on one topic, with bursts of four seconds
    #[arg(long, value_name = "N", default_value = "100",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) messages_per_second: u32,
    /// Messages a second on one topic, with bursts of two seconds
    #[arg(long, value_name = "N", default_value = "2000",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) topic_messages_per_second: u32,
}

/// The port for browsers.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Port for browsers")]
pub(crate) struct FrontFlags {
    /// A certificate (PEM, with its chain): the port then speaks wss and https too
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// The key of the certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
    /// A reverse proxy that is believed who its clients are: an address, or a network such as
    /// 10.0.0.0/8 (repeatable)
    #[arg(long, value_name = "IP", value_parser = network)]
    pub(crate) trusted_proxy: Vec<IpNet>,
    /// The trusted proxies begin each connection with the PROXY protocol (version 1 or 2)
    #[arg(long, requires = "trusted_proxy")]
    pub(crate) proxy_protocol: bool,
}
