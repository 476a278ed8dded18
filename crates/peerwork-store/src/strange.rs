//! The decoders of strangers' bytes, for the fuzz targets: each panics where it breaks its own rules.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cid::{Cid, Version};
use futures::{FutureExt, StreamExt};

use crate::{
    Block, DAG_PB, GetError, Sink, Source, StoreError, car,
    dag::{self, Limits, Node},
    unixfs,
};

/// Reads a dag-pb block as node, as UnixFS, and as the root of a tree.
pub fn dag(bytes: &[u8]) {
    let data = Bytes::copy_from_slice(bytes);
    let Ok(block) = Block::new(Version::V1, DAG_PB, data) else {
        return;
    };
    let links = dag::links(&block);
    if let Ok(node) = Node::decode(&block) {
        let cids: Vec<Cid> = node.links.iter().map(|link| link.cid).collect();
        assert_eq!(links, Ok(cids), "the links are those of the node");
        if let Ok(again) = Block::new(Version::V1, DAG_PB, node.encode()) {
            assert_eq!(
                Node::decode(&again),
                Ok(node),
                "a node reads back as itself"
            );
        }
    }
    tree(block);
}

/// Imports a CAR file; what is put was checked, and is written and read again.
pub fn car(bytes: &[u8]) {
    let mut checked = Checked(0);
    if let Ok(imported) = car::import(bytes, &mut checked, &mut |_| {}) {
        assert!(
            imported.blocks >= checked.0,
            "each block that is put was counted"
        );
    }
}

/// All readers of a tree. Every block below the root is the root again, under the CID that was asked for: a
/// circle, which hashes exclude, and which the limits must end too.
fn tree(root: Block) {
    let cid = *root.cid();
    let source: Arc<dyn Source> = Arc::new(Echo(root));
    let limits = Limits {
        depth: 16,
        entries: 64,
        bytes: 1 << 16,
        blocks: 64,
    };
    let read = async {
        let _ = unixfs::resolve(&*source, &cid, "a/b", &limits).await;
        let listed = unixfs::list(source.clone(), cid, limits).take(100);
        assert!(listed.count().await <= 65, "a listing ends at its limit");
        let read = unixfs::read(source.clone(), cid, 0..u64::MAX, limits);
        let bytes = read
            .map(|piece| piece.map_or(0, |piece| piece.len()))
            .take(1 << 12);
        let sum = bytes.fold(0, |sum, more| async move { sum + more });
        assert!(sum.await <= 1 << 16, "content ends at its limit");
        let _ = dag::walk(source.clone(), cid, limits, |_| {}).await;
    };
    // The source never waits.
    read.now_or_never().expect("a source that never waits");
}

struct Echo(Block);

#[async_trait]
impl Source for Echo {
    async fn get(&self, cid: &Cid) -> Result<Block, GetError> {
        Ok(Block::trusted(*cid, self.0.data().clone()))
    }
}

struct Checked(u64);

impl Sink for Checked {
    fn put(&mut self, block: Block) -> Result<(), StoreError> {
        self.0 += 1;
        let (cid, data) = block.into_parts();
        assert!(Block::verify(cid, data).is_ok(), "a block matches its CID");
        Ok(())
    }
}
