//! The blocks of the node's own store, and of other nodes by its exchange.

use std::sync::Arc;

use async_trait::async_trait;
use cid::Cid;
use peerwork_store::{Source, Store};

use super::Blocks;
use crate::store;

#[async_trait]
impl Blocks for store::Part {
    async fn local(&self) -> Result<Store, String> {
        let opened = self.open().await.map_err(|error| error.to_string())?;
        Ok(opened.store)
    }

    async fn network(&self, root: &Cid) -> Result<Arc<dyn Source>, String> {
        let opened = self.open().await.map_err(|error| error.to_string())?;
        Ok(opened.read(root, Vec::new()).source())
    }
}
