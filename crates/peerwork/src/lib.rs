//! Peerwork: a peer-to-peer computing network in one program.
//!
//! ```text
//!  Config ──▶ Node::start ──▶ data directory ▶ network ▶ directory ▶ ingress or edge ▶ API
//!             Node::stop  ──▶ the same in reverse
//! ```
//! This crate only composes: each part lives in a crate of its own. With the default feature `cli` it
//! is the program; without it, it is a node as a library.

pub mod access;
pub mod config;
mod data_dir;
pub mod demo;
mod front;
pub mod http_call;
mod node;
mod node_event;
mod operate;
mod routes;
pub mod runtime_file;
pub mod webapp;

pub use config::Config;
pub use data_dir::DataDirError;
pub use front::RelayConfigError;
pub use node::{Addresses, Node, StartError};
