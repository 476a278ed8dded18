//! The gateway's service over the content store: paths, files, directories and CARs of one root.
//!
//! ```text
//!  peerwork-api: GatewayService::open ─▶ Blocks (the store, or a session with other nodes) ─▶ Content: Dag
//!  peerwork-tunnel: ingress Content  ─▶ AtIngress ─▶ Trustless ─┘
//! ```

mod content;
mod failures;
mod ingress;
mod part;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use cid::Cid;
use peerwork_api::gateway::{Dag, GatewayError, GatewayService, Reach};
use peerwork_store::{Source, Store};

use crate::store::Reading;
use content::Content;
pub(crate) use ingress::AtIngress;

/// The places from which the gateway takes blocks.
#[async_trait]
pub(crate) trait Blocks: Send + Sync + 'static {
    /// The local store.
    ///
    /// # Errors
    /// A text for people when it cannot be opened.
    async fn local(&self) -> Result<Store, String>;

    /// The local store, and other nodes for the blocks below `root` that it lacks.
    ///
    /// # Errors
    /// As [`Blocks::local`].
    async fn network(&self, root: &Cid) -> Result<Arc<dyn Source>, String>;
}

/// The content of the store for the gateway.
pub(crate) struct Gateway<B>(pub(crate) B);

#[async_trait]
impl<B: Blocks> GatewayService for Gateway<B> {
    async fn open(&self, root: &Cid, reach: Reach) -> Result<Arc<dyn Dag>, GatewayError> {
        let source = match reach {
            Reach::Local => {
                let store = self.0.local().await;
                store.map(|store| Reading::of_store(&store, root).source())
            }
            Reach::Network => self.0.network(root).await,
        };
        let source = source.map_err(GatewayError::Internal)?;
        Ok(Arc::new(Content { source, reach }))
    }
}
