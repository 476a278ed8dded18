//! The network over loopback, with real swarms.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should stop where it stands"
)]

mod connections;
mod dht;
mod go;
mod gossip;
mod gossip_forms;
mod gossip_frames;
mod hostile;
mod hub;
mod interop;
mod membership;
mod memory;
mod mesh;
mod node;
mod parallel;
mod quic;
mod relay;
mod resets;
mod rust;
mod serving;
mod stopping;
mod streams;
mod voucher;
mod webrtc;
