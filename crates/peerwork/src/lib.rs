//! Peerwork: a peer-to-peer computing network in one program.
//!
//! ```text
//!  Config ──▶ Node::start ──▶ data directory ▶ network ▶ edge ▶ directory ▶ ingress │ API
//!             Node::stop  ──▶ the same in reverse (node/stack.rs)
//! ```
//! This crate only composes the parts; each part is implemented in a crate of its own. Roles compose
//! too: a node is a relay, an edge, both, or neither. With the default feature `cli` the crate contains
//! the program; without it, it is a node as a library.

pub mod access;
pub mod addresses;
pub mod config;
mod data_dir;
pub mod demo;
mod front;
pub mod http_call;
pub mod join;
mod node;
mod node_event;
mod operate;
pub mod records;
mod routes;
pub mod runtime_file;
pub mod store;
mod tasks;
mod time;
pub mod webapp;

pub use addresses::Addresses;
pub use config::Config;
pub use data_dir::DataDirError;
pub use front::RelayConfigError;
pub use node::{Forwarding, Node, StartError};
