//! A store in memory that notes which blocks it was given, and asked for, in which order.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use cid::Cid;
use peerwork_store::{Block, GetError, Sink, Source, StoreError};

/// Blocks in memory.
#[derive(Debug, Clone, Default)]
pub(crate) struct Memory {
    pub(crate) blocks: HashMap<Vec<u8>, Block>,
    /// The CIDs that were put, in order.
    pub(crate) put: Vec<Cid>,
    /// The CIDs that were asked for, in order.
    pub(crate) asked: Arc<Mutex<Vec<Cid>>>,
    /// The CIDs that were said to be asked for next.
    pub(crate) expected: Arc<Mutex<Vec<Cid>>>,
}

impl Memory {
    pub(crate) fn block(&self, cid: &Cid) -> Block {
        self.blocks[&cid.hash().to_bytes()].clone()
    }

    pub(crate) fn source(&self) -> Arc<dyn Source> {
        Arc::new(self.clone())
    }
}

impl Sink for Memory {
    fn put(&mut self, block: Block) -> Result<(), StoreError> {
        self.put.push(*block.cid());
        self.blocks.insert(block.cid().hash().to_bytes(), block);
        Ok(())
    }
}

#[async_trait]
impl Source for Memory {
    async fn get(&self, cid: &Cid) -> Result<Block, GetError> {
        self.asked.lock().unwrap().push(*cid);
        let found = self.blocks.get(&cid.hash().to_bytes());
        found
            .cloned()
            .or_else(|| Block::of_identity(cid))
            .ok_or(GetError::NotFound {
                cid: *cid,
                asked: "in memory".to_owned(),
            })
    }

    fn expect(&self, cids: &[Cid]) {
        self.expected.lock().unwrap().extend(cids);
    }
}
