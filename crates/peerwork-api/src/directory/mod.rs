//! The directory: the nodes of the network that this node believes in.

pub(crate) mod grpc;

/// Messages and client made from `proto/peerwork/directory/v1/directory.proto`.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
pub mod v1 {
    tonic::include_proto!("peerwork.directory.v1");
}

use std::time::Duration;

use async_trait::async_trait;

use crate::error::ServiceError;

/// Nodes of a page unless the caller names another number.
pub const PAGE_DEFAULT: usize = 100;
/// Nodes of a page at most; a node is about 2 KiB.
pub const PAGE_MAX: usize = 1000;

/// The directory of a node. Callers give every method a deadline and drop the future when it passes.
#[async_trait]
pub trait DirectoryService: Send + Sync + 'static {
    /// One page of the nodes that fit, in the order of their ids.
    ///
    /// # Errors
    /// `InvalidArgument` when `offering` is no kind.
    async fn list(&self, query: Query) -> Result<Page, ServiceError>;

    /// One node by its id in text form.
    ///
    /// # Errors
    /// `InvalidArgument` when `id` is no node id, `NotFound` when the directory has no such node.
    async fn get(&self, id: &str) -> Result<Node, ServiceError>;
}

/// Which nodes to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Nodes of the page, 1 to [`PAGE_MAX`].
    pub limit: usize,
    /// Only nodes whose id comes after this text.
    pub after: String,
    /// Only nodes with this role.
    pub role: Option<Role>,
    /// Only nodes with an offer of this kind.
    pub offering: Option<String>,
}

/// A page of the directory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// The nodes of the page.
    pub nodes: Vec<Node>,
    /// How many nodes fit, on all pages together.
    pub total: usize,
}

/// The part that a node plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Carries calls and keeps the directory.
    Relay,
    /// Offers ports.
    Edge,
    /// Calls others.
    Peer,
    /// Runs jobs.
    Worker,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 4] = [Self::Relay, Self::Edge, Self::Peer, Self::Worker];

    /// `relay`, `edge`, `peer` or `worker`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Relay => "relay",
            Self::Edge => "edge",
            Self::Peer => "peer",
            Self::Worker => "worker",
        }
    }

    /// The role of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }
}

/// A node of the network, as it tells of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its id in text form.
    pub id: String,
    /// Its name, as its owner chose it.
    pub name: String,
    /// The version of its program.
    pub version: String,
    /// The parts that it plays.
    pub roles: Vec<Role>,
    /// Multiaddresses that it tells.
    pub addresses: Vec<String>,
    /// Ids of the relays that it holds reservations at.
    pub relays: Vec<String>,
    /// Ports that it offers.
    pub ports: Vec<u16>,
    /// Whether calls to its ports need a bearer key.
    pub requires_key: bool,
    /// Time since its start, as it tells.
    pub uptime: Duration,
    /// Its services in their own words.
    pub offers: Vec<Offer>,
}

/// A service of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The name of the service.
    pub kind: String,
    /// The version of the body's format.
    pub version: u32,
    /// Bytes that the service encodes and decodes.
    pub body: Vec<u8>,
}
