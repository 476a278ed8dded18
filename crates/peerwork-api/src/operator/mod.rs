//! The operator gRPC lets the owner of a node query and control it.
//!
//! The service `v1.System` is that of EdgeMatrix (spec 8.1) and stays unchanged on the wire.
//! Further domains have gRPC services of their own in `proto/peerwork/`.
//!
//! The server answers callers on this machine, and callers on other machines that send the operator
//! token. The same access rule covers reflection and health.

mod access;
mod calls;
mod client;
mod server;
mod system;

/// Messages, client and server generated from `proto/v1/system.proto`.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
pub mod v1 {
    tonic::include_proto!("v1");
}

pub(crate) use calls::Calls;
pub use client::{Bearer, Client, ConnectError, Connection, connect, connect_for_streams, system};
pub(crate) use server::{Health, router};

/// The descriptors of all protobuf files, for reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/operator.bin"));

/// The largest request, in bytes; the longest request is one multiaddress.
pub(crate) const REQUEST_BYTES_MAX: usize = 64 * 1024;
/// The largest response, in bytes: 4096 peers of 2 KiB, with room to spare.
pub(crate) const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
