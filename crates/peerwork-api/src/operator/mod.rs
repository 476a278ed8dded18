//! Operator gRPC: the calls by which an owner asks and steers a node.
//!
//! `v1.System` is the contract of EdgeMatrix (spec 8.1) and stays as it is on the wire; further domains
//! have services of their own in `proto/peerwork/`.
//!
//! The server answers callers on this machine, and those from elsewhere who show the operator
//! token. Reflection and health are behind the same door.

mod access;
mod calls;
mod client;
mod server;
mod system;

/// Messages, client and server made from `proto/v1/system.proto`.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
pub mod v1 {
    tonic::include_proto!("v1");
}

pub(crate) use calls::Calls;
pub use client::{Bearer, Client, ConnectError, Connection, connect, system};
pub(crate) use server::{Health, router};

/// The contract in protobuf's own form, for reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/operator.bin"));

/// Bytes of a request: the longest is one multiaddress.
pub(crate) const REQUEST_BYTES_MAX: usize = 64 * 1024;
/// Bytes of an answer: 4096 peers of 2 KiB with room to spare.
pub(crate) const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
