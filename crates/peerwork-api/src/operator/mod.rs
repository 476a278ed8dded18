//! Operator gRPC: what the owner of a node asks and tells it (`proto/v1/system.proto`, spec 8.1).
//!
//! The server answers callers on this machine, and those from elsewhere who show the operator
//! token. Reflection and health are behind the same door.

mod access;
mod client;
mod convert;
mod server;

/// Messages, client and server made from `proto/v1/system.proto`.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
pub mod v1 {
    tonic::include_proto!("v1");
}

pub use client::{Bearer, Client, ConnectError, connect};
pub(crate) use server::{Health, router};

/// The contract in protobuf's own form, for reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/system.bin"));

/// Bytes of a request: the longest is one multiaddress.
const REQUEST_BYTES_MAX: usize = 64 * 1024;
/// Bytes of an answer: 4096 peers of 2 KiB with room to spare.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
