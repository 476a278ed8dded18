//! `Tree` is a service of the gateway over files, directories and blocks in memory.

use std::{
    collections::HashMap,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use cid::{Cid, multihash::Multihash};
use futures::{StreamExt as _, stream};
use parking_lot::Mutex;
use peerwork_api::gateway::{
    ByteStream, CarRequest, Dag, DirEntry, Entity, EntityKind, EntryStream, GatewayError,
    GatewayService, Reach,
};

#[derive(Clone)]
enum Node {
    File(Bytes),
    Directory(Vec<(String, Cid)>),
    Symlink(&'static str),
    Block(u64, Bytes),
    /// A directory with this many entries, which are made as they are read.
    Huge(usize),
    /// A file of this size of which only the first chunk can be read.
    Torn(Bytes, u64),
    /// A file whose first chunk comes, and no further one.
    Stuck(Bytes, u64),
    /// A block that no node has.
    Lost,
    /// A block that a node promised, and did not deliver.
    Late,
    /// A block that nobody delivers.
    Silent,
    /// A block that is at another node.
    Remote(Bytes),
}

#[derive(Default)]
pub(crate) struct Tree {
    nodes: Mutex<HashMap<Cid, Node>>,
    next: AtomicUsize,
    /// The chunks of files that were handed out.
    pub(crate) chunks: AtomicUsize,
    /// The entries of directories that were handed out.
    pub(crate) entries: AtomicUsize,
    /// The streams that are being read.
    pub(crate) open: Arc<AtomicUsize>,
    /// The last request for a CAR.
    pub(crate) car: Mutex<Option<CarRequest>>,
}

/// An error that comes after what was read before was sent.
fn later(error: GatewayError) -> ByteStream {
    Box::pin(stream::once(async {
        tokio::task::yield_now().await;
        Err(error)
    }))
}

/// Counts as an open stream until it is dropped.
struct Open(Arc<AtomicUsize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

pub(crate) const CHUNK: usize = 1000;

impl Tree {
    fn add(&self, codec: u64, node: Node) -> Cid {
        let number = self.next.fetch_add(1, Ordering::SeqCst) as u64;
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&number.to_le_bytes());
        let cid = Cid::new_v1(codec, Multihash::wrap(0x12, &digest).unwrap());
        self.nodes.lock().insert(cid, node);
        cid
    }

    pub(crate) fn file(&self, bytes: impl Into<Bytes>) -> Cid {
        self.add(0x70, Node::File(bytes.into()))
    }

    pub(crate) fn directory(&self, entries: &[(&str, Cid)]) -> Cid {
        let entries = entries.iter().map(|(name, cid)| ((*name).to_owned(), *cid));
        self.add(0x70, Node::Directory(entries.collect()))
    }

    pub(crate) fn symlink(&self, target: &'static str) -> Cid {
        self.add(0x70, Node::Symlink(target))
    }

    pub(crate) fn block(&self, codec: u64, bytes: &'static [u8]) -> Cid {
        self.add(codec, Node::Block(codec, bytes.into()))
    }

    pub(crate) fn huge(&self, entries: usize) -> Cid {
        self.add(0x70, Node::Huge(entries))
    }

    pub(crate) fn torn(&self, first: &'static [u8], size: u64) -> Cid {
        self.add(0x70, Node::Torn(first.into(), size))
    }

    pub(crate) fn stuck(&self, first: &'static [u8], size: u64) -> Cid {
        self.add(0x70, Node::Stuck(first.into(), size))
    }

    pub(crate) fn lost(&self) -> Cid {
        self.add(0x70, Node::Lost)
    }

    pub(crate) fn late(&self) -> Cid {
        self.add(0x70, Node::Late)
    }

    pub(crate) fn silent(&self) -> Cid {
        self.add(0x70, Node::Silent)
    }

    pub(crate) fn remote(&self, bytes: &'static [u8]) -> Cid {
        self.add(0x70, Node::Remote(bytes.into()))
    }

    async fn find(&self, cid: &Cid, reach: Reach) -> Result<Node, GatewayError> {
        let node = self.nodes.lock().get(cid).cloned();
        match (node, reach) {
            (
                None | Some(Node::Lost | Node::Late | Node::Silent | Node::Remote(_)),
                Reach::Local,
            ) => Err(GatewayError::NotHere(*cid)),
            (None | Some(Node::Lost), Reach::Network) => Err(GatewayError::NotFound {
                cid: *cid,
                asked: "at 16Uiu2HAmAsked".into(),
            }),
            (Some(Node::Late), Reach::Network) => Err(GatewayError::TimedOut {
                cid: *cid,
                asked: "within 30s; asked: 16Uiu2HAmLate has not answered".into(),
            }),
            (Some(Node::Silent), Reach::Network) => std::future::pending().await,
            (Some(Node::Remote(bytes)), Reach::Network) => Ok(Node::File(bytes)),
            (Some(node), _) => Ok(node),
        }
    }

    /// A stream that counts as open, and ends with `tail`.
    fn stream(&self, chunks: Vec<Bytes>, tail: ByteStream) -> ByteStream {
        self.open.fetch_add(1, Ordering::SeqCst);
        let open = Open(Arc::clone(&self.open));
        let stream = stream::iter(chunks.into_iter().map(Ok)).chain(tail);
        Box::pin(stream.inspect(move |_| {
            let _ = &open;
        }))
    }
}

/// The tree as far as a request may look.
struct View {
    tree: Arc<Tree>,
    reach: Reach,
}

/// The service of a gateway over a tree.
pub(crate) struct Service(pub(crate) Arc<Tree>);

#[async_trait]
impl GatewayService for Service {
    async fn open(&self, _: &Cid, reach: Reach) -> Result<Arc<dyn Dag>, GatewayError> {
        let tree = Arc::clone(&self.0);
        Ok(Arc::new(View { tree, reach }))
    }
}

#[async_trait]
impl Dag for View {
    async fn block(&self, cid: &Cid) -> Result<Bytes, GatewayError> {
        Ok(match self.tree.find(cid, self.reach).await? {
            Node::File(bytes) | Node::Block(_, bytes) => bytes,
            _ => Bytes::from_static(b"a block"),
        })
    }

    async fn entity(&self, cid: &Cid) -> Result<Entity, GatewayError> {
        let (kind, size) = match self.tree.find(cid, self.reach).await? {
            Node::File(bytes) => (EntityKind::File, bytes.len() as u64),
            Node::Torn(_, size) | Node::Stuck(_, size) => (EntityKind::File, size),
            Node::Symlink(target) => (EntityKind::Symlink(target.into()), target.len() as u64),
            Node::Block(0, _) => {
                return Err(GatewayError::Malformed(format!("block {cid} is no UnixFS")));
            }
            Node::Block(codec, bytes) => (EntityKind::Block(codec), bytes.len() as u64),
            _ => (EntityKind::Directory, 0),
        };
        Ok(Entity { kind, size })
    }

    async fn child(&self, directory: &Cid, name: &str) -> Result<Option<Cid>, GatewayError> {
        match self.tree.find(directory, self.reach).await? {
            Node::Directory(entries) => {
                let found = entries.iter().find(|(entry, _)| entry == name);
                Ok(found.map(|(_, cid)| *cid))
            }
            Node::Block(..) => Err(GatewayError::NoNames(*directory)),
            _ => Ok(None),
        }
    }

    fn read(&self, cid: Cid, range: Range<u64>) -> ByteStream {
        let part = |bytes: &Bytes| {
            let end = range.end.min(bytes.len() as u64) as usize;
            bytes.slice(range.start as usize..end)
        };
        let chunks = |bytes: Bytes| -> Vec<Bytes> {
            bytes.chunks(CHUNK).map(Bytes::copy_from_slice).collect()
        };
        let node = self.tree.nodes.lock().get(&cid).cloned();
        match (node, self.reach) {
            (Some(Node::File(bytes)), _) | (Some(Node::Remote(bytes)), Reach::Network) => {
                let chunks = chunks(part(&bytes));
                self.tree.chunks.fetch_add(chunks.len(), Ordering::SeqCst);
                self.tree.stream(chunks, Box::pin(stream::empty()))
            }
            (Some(Node::Torn(first, _)), _) => {
                let lost = GatewayError::NotFound {
                    cid,
                    asked: "at nobody".into(),
                };
                self.tree.stream(vec![first], later(lost))
            }
            (Some(Node::Stuck(first, _)), _) => {
                self.tree.stream(vec![first], Box::pin(stream::pending()))
            }
            _ => Box::pin(stream::iter([Err(GatewayError::NotHere(cid))])),
        }
    }

    fn list(&self, cid: Cid) -> EntryStream {
        let node = self.tree.nodes.lock().get(&cid).cloned();
        let entries = match node {
            Some(Node::Directory(entries)) => entries,
            Some(Node::Huge(entries)) => {
                let entry = move |number| {
                    Ok(DirEntry {
                        name: format!("{number:07}"),
                        cid,
                        size: None,
                    })
                };
                return Box::pin(stream::iter((0..entries).map(entry)));
            }
            _ => Vec::new(),
        };
        self.tree.entries.fetch_add(entries.len(), Ordering::SeqCst);
        let entry = |(name, cid)| {
            Ok(DirEntry {
                name,
                cid,
                size: Some(1234),
            })
        };
        Box::pin(stream::iter(entries.into_iter().map(entry)))
    }

    fn car(&self, request: CarRequest) -> ByteStream {
        let torn = matches!(
            self.tree.nodes.lock().get(&request.root),
            Some(Node::Torn(..))
        );
        let root = request.root;
        *self.tree.car.lock() = Some(request);
        let tail: ByteStream = match torn {
            true => later(GatewayError::NotHere(root)),
            false => Box::pin(stream::empty()),
        };
        self.tree.stream(vec![Bytes::from_static(b"a car")], tail)
    }
}
