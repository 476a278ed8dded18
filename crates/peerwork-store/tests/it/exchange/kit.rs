//! Nodes with stores, DAGs to exchange, and a node whose answers the test writes.

use std::{
    collections::HashSet,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use cid::{Cid, Version};
use peerwork_identity::NodeId;
use peerwork_limits::Bounds;
use peerwork_net::{Limits, Network};
use peerwork_store::{
    Block, Config, DAG_PB, Exchange, ExchangeConfig, RAW, Sink as _, Store,
    dag::{Node, NodeLink},
    exchange::{
        AnnounceError, Providers,
        wire::{Entry, Message, Outgoing, PROTOCOL, read_frame},
    },
};
use peerwork_testkit::{DEADLINE, eventually, node};
use prometheus_client::{encoding::text::encode, registry::Registry};
use tempfile::TempDir;
use tokio::{io::AsyncWriteExt as _, time::Instant};

/// Providers that a test names, connects and watches.
#[derive(Default)]
pub(crate) struct Known {
    pub(crate) nodes: Mutex<Vec<NodeId>>,
    pub(crate) networks: Mutex<Vec<(Network, Network)>>,
    pub(crate) announced: Mutex<HashSet<Cid>>,
    pub(crate) ever: Mutex<HashSet<Cid>>,
    /// Announcements that the DHT takes.
    pub(crate) room: Mutex<Option<usize>>,
}

#[async_trait]
impl Providers for Known {
    async fn find(&self, _root: &Cid) -> Vec<NodeId> {
        self.nodes.lock().unwrap().clone()
    }

    async fn connect(&self, node: NodeId) -> Result<(), String> {
        let known = self.networks.lock().unwrap().clone();
        let pair = known.into_iter().find(|(_, to)| to.node_id() == node);
        let (from, to) = pair.ok_or("the test does not know the node")?;
        let address = node::address(&to);
        let deadline = Instant::now() + DEADLINE;
        let dialled = from.dial(node, vec![address.transport], deadline).await;
        dialled.map_err(|error| error.to_string())
    }

    async fn announce(&self, root: &Cid) -> Result<(), AnnounceError> {
        let room = *self.room.lock().unwrap();
        let mut announced = self.announced.lock().unwrap();
        if room.is_some_and(|room| announced.len() >= room) {
            return Err(AnnounceError::Full);
        }
        announced.insert(*root);
        self.ever.lock().unwrap().insert(*root);
        Ok(())
    }

    async fn withdraw(&self, root: &Cid) {
        self.announced.lock().unwrap().remove(root);
    }
}

/// A node with a store and an exchange.
pub(crate) struct Peer {
    pub(crate) network: Network,
    pub(crate) store: Store,
    pub(crate) exchange: Exchange,
    pub(crate) known: Arc<Known>,
    pub(crate) registry: Registry,
    /// Keeps the store's folder.
    pub(crate) folder: TempDir,
}

/// Settings with short pauses.
pub(crate) fn config() -> ExchangeConfig {
    ExchangeConfig {
        patience: Duration::from_secs(3),
        silence: Duration::from_secs(1),
        pause: Duration::from_millis(300),
        find_interval: Duration::from_millis(200),
        lookup_interval: Duration::from_millis(50),
        write_timeout: Duration::from_secs(2),
        announce_interval: Duration::from_millis(100),
        ..ExchangeConfig::default()
    }
}

pub(crate) fn store(folder: &Path) -> Store {
    let mut config = Config::new(folder.join("store"));
    config.reserve = 0;
    Store::open(config).unwrap()
}

impl Peer {
    pub(crate) fn new(network: &Network) -> Self {
        Self::with(network, config())
    }

    pub(crate) fn with(network: &Network, config: ExchangeConfig) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        Self::on(network, config, store, folder)
    }

    pub(crate) fn on(
        network: &Network,
        config: ExchangeConfig,
        store: Store,
        folder: TempDir,
    ) -> Self {
        let known = Arc::new(Known::default());
        let mut registry = Registry::default();
        let providers: Arc<dyn Providers> = Arc::clone(&known) as _;
        let exchange = Exchange::start(config, network, &store, providers, &mut registry);
        Self {
            network: network.clone(),
            exchange: exchange.unwrap(),
            store,
            known,
            registry,
            folder,
        }
    }

    pub(crate) fn id(&self) -> NodeId {
        self.network.node_id()
    }

    pub(crate) fn put(&self, blocks: &[Block]) {
        let mut writer = self.store.writer();
        for block in blocks {
            writer.put(block.clone()).unwrap();
        }
        writer.commit().unwrap();
    }

    pub(crate) fn has(&self, blocks: &[Block]) -> bool {
        let here = |block: &Block| self.store.get(block.cid()).unwrap().as_ref() == Some(block);
        blocks.iter().all(here)
    }

    /// The value of a metric, by the beginning of its line.
    pub(crate) fn metric(&self, line: &str) -> f64 {
        let mut text = String::new();
        encode(&mut text, &self.registry).unwrap();
        let found = text.lines().find(|text| text.starts_with(line));
        let value = found.and_then(|text| text.rsplit(' ').next());
        value.map_or(0.0, |value| value.parse().unwrap())
    }

    /// Blocks that a node gave to this one.
    pub(crate) fn blocks_from(&self, node: NodeId) -> u64 {
        let figures = self.exchange.figures();
        let of_node = figures.iter().find(|figures| figures.node == node);
        of_node.map_or(0, |figures| figures.blocks_received)
    }

    /// Waits until the other speaks Bitswap, as identify tells.
    pub(crate) async fn knows(&self, other: NodeId) {
        eventually("identify of the other node", || {
            let info = self.network.peer(other)?;
            info.protocols
                .iter()
                .any(|p| p == PROTOCOL.name())
                .then_some(())
        })
        .await;
    }
}

/// A DAG of leaves below one or two levels of nodes: the root, all blocks in depth-first order.
pub(crate) struct Tree {
    pub(crate) root: Cid,
    pub(crate) blocks: Vec<Block>,
}

impl Tree {
    pub(crate) fn bytes(&self) -> u64 {
        self.blocks.iter().map(|b| b.data().len() as u64).sum()
    }
}

/// A raw block of `bytes` bytes that depend on `seed`.
pub(crate) fn leaf(seed: u64, bytes: usize) -> Block {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut data = Vec::with_capacity(bytes + 8);
    while data.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        data.extend_from_slice(&state.to_le_bytes());
    }
    data.truncate(bytes);
    Block::new(Version::V1, RAW, data.into()).unwrap()
}

pub(crate) fn parent(children: &[Cid]) -> Block {
    let link = |cid: &Cid| NodeLink {
        name: Bytes::new(),
        cid: *cid,
        tsize: 1,
    };
    let node = Node {
        links: children.iter().map(link).collect(),
        data: None,
    };
    Block::new(Version::V1, DAG_PB, node.encode()).unwrap()
}

/// `leaves` leaves of `bytes` bytes, 100 below each node.
pub(crate) fn tree(seed: u64, leaves: u64, bytes: usize) -> Tree {
    let leaves: Vec<Block> = (0..leaves).map(|i| leaf(seed << 32 | i, bytes)).collect();
    let mut nodes = Vec::new();
    let mut blocks = Vec::new();
    for group in leaves.chunks(100) {
        let cids: Vec<Cid> = group.iter().map(|leaf| *leaf.cid()).collect();
        let node = parent(&cids);
        nodes.push(*node.cid());
        blocks.push(node);
        blocks.extend_from_slice(group);
    }
    let root = parent(&nodes);
    blocks.insert(0, root.clone());
    Tree {
        root: *root.cid(),
        blocks,
    }
}

/// The answers of a node that the test writes: the messages for one entry.
type Answers = dyn FnMut(&Entry) -> Vec<Outgoing> + Send;

/// A node that reads wants and answers as the test says, and counts the wants.
pub(crate) struct Fake {
    pub(crate) wants: Arc<Mutex<Vec<Entry>>>,
    pub(crate) task: tokio::task::JoinHandle<()>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Fake {
    pub(crate) fn new(
        network: &Network,
        mut answers: impl FnMut(&Entry) -> Vec<Outgoing> + Send + 'static,
    ) -> Self {
        let wants = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&wants);
        let network = network.clone();
        let limits = Limits::new(Bounds {
            all: 64,
            per_key: 64,
            per_origin: 64,
        });
        let mut incoming = network.serve(PROTOCOL, limits).unwrap();
        let task = tokio::spawn(async move {
            while let Some(mut inbound) = incoming.next().await {
                while let Some(message) = read(&mut inbound.stream).await {
                    let entries = message.wantlist.unwrap_or_default().entries;
                    let replies = answer_all(&entries, &mut answers);
                    seen.lock().unwrap().extend(entries);
                    send(&network, inbound.node, replies).await;
                }
            }
        });
        Self { wants, task }
    }

    pub(crate) fn wanted(&self) -> usize {
        let wants = self.wants.lock().unwrap();
        wants.iter().filter(|entry| !entry.cancel).count()
    }
}

fn answer_all(entries: &[Entry], answers: &mut Answers) -> Vec<Outgoing> {
    let wants = entries.iter().filter(|entry| !entry.cancel);
    wants.flat_map(answers).collect()
}

async fn read(stream: &mut peerwork_net::Stream) -> Option<Message> {
    let frame = read_frame(stream, &mut |_| (), DEADLINE, DEADLINE)
        .await
        .ok()??;
    Message::read(frame).ok()
}

/// Sends messages on a stream of their own.
pub(crate) async fn send(network: &Network, to: NodeId, messages: Vec<Outgoing>) {
    if messages.is_empty() {
        return;
    }
    let deadline = Instant::now() + DEADLINE;
    let Ok(mut stream) = network.open(to, &PROTOCOL, deadline).await else {
        return;
    };
    for piece in messages.into_iter().flat_map(Outgoing::into_pieces) {
        if stream.write_all(&piece).await.is_err() {
            return;
        }
    }
    let _ = stream.shutdown().await;
}

/// A message of one block.
pub(crate) fn message(block: &Block) -> Outgoing {
    let mut outgoing = Outgoing::default();
    outgoing.add_block(block);
    outgoing
}
