//! The directory domain lists the nodes of the network whose advertisements this node has verified.

pub(crate) mod grpc;

/// Messages and client generated from `proto/peerwork/directory/v1/directory.proto`.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
pub mod v1 {
    tonic::include_proto!("peerwork.directory.v1");
}

use std::time::Duration;

use async_trait::async_trait;

use crate::error::ServiceError;

/// The number of nodes on a page unless the caller asks for another number.
pub const PAGE_DEFAULT: usize = 100;
/// The largest number of nodes on a page; a node takes about 2 KiB.
pub const PAGE_MAX: usize = 1000;

/// The directory of a node. The caller puts a deadline around every method and drops the future
/// when it passes.
#[async_trait]
pub trait DirectoryService: Send + Sync + 'static {
    /// One page of the matching nodes, in the order of their ids.
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

/// The query for a page of nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// The number of nodes on the page, 1 to [`PAGE_MAX`].
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
    /// The number of matching nodes, on all pages together.
    pub total: usize,
}

/// The role of a node in the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A relay forwards requests to edges and keeps the directory.
    Relay,
    /// An edge offers ports of its machine.
    Edge,
    /// A peer has no role and only sends requests.
    Peer,
    /// A worker runs jobs.
    Worker,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 4] = [Self::Relay, Self::Edge, Self::Peer, Self::Worker];

    /// The role's name: `relay`, `edge`, `peer` or `worker`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Relay => "relay",
            Self::Edge => "edge",
            Self::Peer => "peer",
            Self::Worker => "worker",
        }
    }

    /// The role with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }
}

/// A node of the network, as its advertisement describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The node id in text form.
    pub id: String,
    /// The name that the node's owner chose.
    pub name: String,
    /// The version of the node's program.
    pub version: String,
    /// The roles of the node.
    pub roles: Vec<Role>,
    /// The multiaddresses that the node advertises.
    pub addresses: Vec<String>,
    /// The ids of the relays at which the node holds reservations.
    pub relays: Vec<String>,
    /// The ports that the node offers.
    pub ports: Vec<u16>,
    /// Whether requests to the ports need a bearer key.
    pub requires_key: bool,
    /// The time since the node's start, as the node reports it.
    pub uptime: Duration,
    /// The offers of the node: its services in their own words.
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
