//! One libp2p swarm behind a cloneable [`Network`] handle.
//!
//! No other crate names libp2p. The other crates use nodes, byte streams and topics.
//!
//! ```text
//!  services ──▶ Network: */handle.rs ──command──▶ event_loop.rs ──▶ drivers: peers, relay, gossip, dht
//!      ▲             │  ▲ snapshots                   │ owns            each with its own commands,
//!      │             │  └──────────── peers table ◀───┤                 pending requests and events
//!      │             └─ open ─▶ streams/registry ─▶ connection handlers (never through the loop)
//!      └──────── byte streams, gossip messages, events ◀── Swarm<Behaviour> over transport.rs
//! ```
//!
//! * [`Network::open`], [`Network::serve`] and [`Network::serve_each`]: byte streams ([`streams`]).
//! * [`Network::topic`]: gossip that is validated before it is forwarded ([`gossip`]).
//! * [`Network::dial`], [`Network::dial_address`], [`Network::reserve`], [`Network::block`]:
//!   connections ([`peers`], [`relay`]).
//! * [`Network::provide`], [`Network::unprovide`], [`Network::providers`], [`Network::addresses`]: the
//!   DHT ([`dht`]).
//! * [`config::Membership`], [`Network::change_secrets`]: the secret that keeps strangers out
//!   (`membership`).
//! * [`DialPolicy`]: which addresses from other nodes may be dialled ([`dial_policy`]).
//! * [`Network::peers`], [`Network::events`], [`Network::connection_events`], [`Network::traffic`]:
//!   observations ([`peers`], [`metering`]).

mod behaviour;
mod call;
pub mod config;
pub mod dht;
pub mod dial_policy;
pub mod error;
mod event_loop;
#[doc(hidden)]
pub mod fuzzing;
pub mod gossip;
mod handle;
#[cfg(feature = "testkit")]
pub mod link;
mod membership;
pub mod metering;
mod metrics;
pub mod peers;
mod reasons;
pub mod relay;
pub mod streams;
mod transport;
pub mod webrtc;

pub use config::Config;
pub use dial_policy::DialPolicy;
pub use handle::Network;
pub use peers::{Event, Path, PeerInfo, Reachability};
pub use streams::{InboundStream, Incoming, Limits, Protocol, Served, Stream};
