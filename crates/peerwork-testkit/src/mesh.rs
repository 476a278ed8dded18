//! Networks of several real nodes over loopback, with links that can be conditioned and cut.

mod shape;

use std::ops::Index;

use futures::future::join_all;
use multiaddr::{Multiaddr, Protocol as Part};
use peerwork_identity::{NodeAddress, NodeId};
use peerwork_net::{Config, Network};

use crate::{
    eventually,
    link::{Cut, Links},
    node,
};
use shape::Shape;

type Change = Box<dyn FnMut(usize, &mut Config) + Send>;

/// A mesh that is not started yet.
#[must_use]
pub struct Plan {
    shape: Shape,
    nodes: usize,
    links: Links,
    change: Change,
}

impl std::fmt::Debug for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plan")
            .field("shape", &self.shape)
            .field("nodes", &self.nodes)
            .finish_non_exhaustive()
    }
}

impl Plan {
    fn new(shape: Shape, nodes: usize) -> Self {
        Self {
            shape,
            nodes,
            links: Links::default(),
            change: Box::new(|_, _| ()),
        }
    }

    /// Changes the settings of each node, by its number from 0; they begin as [`node::config`]'s.
    pub fn configure(self, change: impl FnMut(usize, &mut Config) + Send + 'static) -> Self {
        let change = Box::new(change);
        Self { change, ..self }
    }

    /// Starts the nodes, connects them in their shape, and waits until both ends of each connection
    /// know it.
    ///
    /// # Panics
    /// When a node does not start or a dial fails, and for addresses that are not over TCP, whose
    /// connections no partition would cut.
    pub async fn start(mut self) -> Mesh {
        let mut nodes = Vec::new();
        for i in 0..self.nodes {
            let mut config = node::config();
            (self.change)(i, &mut config);
            let conditioned = config.listen.iter().all(is_over_tcp);
            assert!(conditioned, "links condition TCP only: {:?}", config.listen);
            config.link = Some(self.links.of(config.keypair.node_id()));
            nodes.push(node::start(config).await);
        }
        let mesh = Mesh {
            edges: self.shape.edges(nodes.len()),
            alive: vec![true; nodes.len()],
            nodes,
            links: self.links,
        };
        mesh.connect_all().await;
        mesh
    }
}

fn is_over_tcp(address: &Multiaddr) -> bool {
    address.iter().any(|part| matches!(part, Part::Tcp(_)))
}

/// Nodes with their connections. Nodes are named by their number from 0.
#[derive(Debug)]
pub struct Mesh {
    nodes: Vec<Network>,
    /// Which of the nodes are alive.
    alive: Vec<bool>,
    /// The connections of the shape; the first node dials.
    edges: Vec<(usize, usize)>,
    links: Links,
}

impl Mesh {
    /// Each node is connected to the next one.
    pub fn line(nodes: usize) -> Plan {
        Plan::new(Shape::Line, nodes)
    }

    /// Each node is connected to the next one, and the last node to the first.
    pub fn ring(nodes: usize) -> Plan {
        Plan::new(Shape::Ring, nodes)
    }

    /// All nodes are connected to node 0 only.
    pub fn star(nodes: usize) -> Plan {
        Plan::new(Shape::Star, nodes)
    }

    /// All nodes are connected to all others.
    pub fn full(nodes: usize) -> Plan {
        Plan::new(Shape::Full, nodes)
    }

    /// No nodes are connected: the services under test connect them.
    pub fn apart(nodes: usize) -> Plan {
        Plan::new(Shape::Apart, nodes)
    }

    /// The nodes that were not killed.
    pub fn alive(&self) -> impl Iterator<Item = usize> + Clone {
        (0..self.nodes.len()).filter(|i| self.alive[*i])
    }

    /// The id of a node.
    #[must_use]
    pub fn id(&self, i: usize) -> NodeId {
        self.nodes[i].node_id()
    }

    /// The first address that a node listens on.
    #[must_use]
    pub fn address(&self, i: usize) -> NodeAddress {
        node::address(&self.nodes[i])
    }

    /// The links between the nodes, and to nodes that a test starts with them.
    #[must_use]
    pub fn links(&self) -> &Links {
        &self.links
    }

    /// Whether both nodes know a connection between them.
    #[must_use]
    pub fn is_connected(&self, i: usize, j: usize) -> bool {
        self.knows(i, j) && self.knows(j, i)
    }

    fn knows(&self, i: usize, j: usize) -> bool {
        self.nodes[i].peer(self.id(j)).is_some()
    }

    /// Waits until both nodes know a connection between them.
    ///
    /// # Panics
    /// After the kit's deadline.
    pub async fn connected(&self, i: usize, j: usize) {
        let what = format!("a connection of {i} and {j}");
        eventually(&what, || self.is_connected(i, j).then_some(())).await;
    }

    /// Waits until neither node knows a connection between them; a killed node is not asked.
    ///
    /// # Panics
    /// After the kit's deadline.
    pub async fn disconnected(&self, i: usize, j: usize) {
        let what = format!("the end of the connection of {i} and {j}");
        let knows = |i: usize, j: usize| self.alive[i] && self.knows(i, j);
        eventually(&what, || (!knows(i, j) && !knows(j, i)).then_some(())).await;
    }

    /// Dials node `to` from node `from` and waits until both know the connection.
    ///
    /// # Panics
    /// When the dial fails.
    pub async fn connect(&self, from: usize, to: usize) {
        node::connect(&self.nodes[from], &self.nodes[to]).await;
        self.connected(from, to).await;
    }

    /// Makes the connections of the shape that are missing between nodes that were not killed.
    ///
    /// # Panics
    /// When a dial fails.
    pub async fn connect_all(&self) {
        let missing = self
            .living_edges()
            .filter(|(i, j)| !self.is_connected(*i, *j));
        join_all(missing.map(|(i, j)| self.connect(i, j))).await;
    }

    /// Waits for the connections of the shape between nodes that were not killed.
    ///
    /// # Panics
    /// After the kit's deadline.
    pub async fn all_connected(&self) {
        for (i, j) in self.living_edges() {
            self.connected(i, j).await;
        }
    }

    fn living_edges(&self) -> impl Iterator<Item = (usize, usize)> {
        let edges = self.edges.iter().copied();
        edges.filter(|(i, j)| self.alive[*i] && self.alive[*j])
    }

    /// Breaks all connections between the groups, waits until their nodes know, and refuses new
    /// ones. Nodes in no group are one more group together.
    ///
    /// # Panics
    /// After the kit's deadline.
    pub async fn partition(&self, groups: &[&[usize]]) {
        self.cut(groups, Cut::Broken);
        for (i, j) in self.between(groups) {
            self.disconnected(i, j).await;
        }
    }

    /// Holds back all bytes between the groups, so that only missing answers tell their nodes, and
    /// refuses new connections. Nodes in no group are one more group together.
    pub fn stall(&self, groups: &[&[usize]]) {
        self.cut(groups, Cut::Stalled);
    }

    fn cut(&self, groups: &[&[usize]], cut: Cut) {
        for (i, j) in self.between(groups) {
            self.links.cut(self.id(i), self.id(j), cut);
        }
    }

    /// The pairs of living nodes in different groups.
    fn between(&self, groups: &[&[usize]]) -> Vec<(usize, usize)> {
        let group = |i: usize| groups.iter().position(|group| group.contains(&i));
        let pairs = Shape::Full.edges(self.nodes.len()).into_iter();
        let living = pairs.filter(|(i, j)| self.alive[*i] && self.alive[*j]);
        living.filter(|(i, j)| group(*i) != group(*j)).collect()
    }

    /// Opens all links between nodes that were not killed. Broken connections stay broken until a
    /// service or [`Mesh::connect_all`] makes new ones.
    pub fn heal(&self) {
        let alone: Vec<[usize; 1]> = self.alive().map(|i| [i]).collect();
        let alone: Vec<&[usize]> = alone.iter().map(<[usize; 1]>::as_slice).collect();
        self.cut(&alone, Cut::Open);
    }

    /// Ends a node as `kill -9` would: its connections break before any protocol can say goodbye.
    pub async fn kill(&mut self, i: usize) {
        for j in 0..self.nodes.len() {
            if i != j {
                self.links.cut(self.id(i), self.id(j), Cut::Broken);
            }
        }
        self.alive[i] = false;
        self.nodes[i].stop().await;
    }

    /// Stops all nodes properly.
    pub async fn stop(self) {
        join_all(self.nodes.iter().map(Network::stop)).await;
    }
}

impl Index<usize> for Mesh {
    type Output = Network;

    fn index(&self, i: usize) -> &Network {
        &self.nodes[i]
    }
}
