//! Requests to a gateway over a real store, with trees as `peerwork store add` makes them.
#![allow(clippy::unwrap_used)]

mod cars;
mod files;
mod held;
mod missing;

use std::{net::SocketAddr, path::Path, sync::Arc};

use async_trait::async_trait;
use cid::Cid;
use http_body_util::{BodyExt as _, Empty};
use hyper::{Request, Response, body::Bytes};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use peerwork_api::{
    Handle, NodeServices, Server, SharedRegistry, config::Config, gateway::GatewayConfig,
};
use peerwork_store::{
    Block, GetError, Sink as _, Source, Store,
    unixfs::{self, AddOptions},
};
use peerwork_testkit::DEADLINE;
use tempfile::TempDir;
use tokio::time::timeout;

use super::{Blocks, Gateway};

/// A store, and another one that stands for the nodes of the network.
pub(super) struct Stores {
    pub(super) local: Store,
    pub(super) elsewhere: Store,
    _folder: TempDir,
}

/// Blocks of the first store, or else of the second one.
struct Both(Store, Store);

#[async_trait]
impl Source for Both {
    async fn get(&self, cid: &Cid) -> Result<Block, GetError> {
        if let Ok(block) = Source::get(&self.0, cid).await {
            return Ok(block);
        }
        let found = Source::get(&self.1, cid).await;
        found.map_err(|_| GetError::NotFound {
            cid: *cid,
            asked: "here or elsewhere; asked: 16Uiu2HAmNode does not have it".to_owned(),
        })
    }
}

#[async_trait]
impl Blocks for Arc<Stores> {
    async fn local(&self) -> Result<Store, String> {
        Ok(self.local.clone())
    }

    async fn network(&self, _: &Cid) -> Result<Arc<dyn Source>, String> {
        let (local, elsewhere) = (self.local.clone(), self.elsewhere.clone());
        Ok(Arc::new(Both(local, elsewhere)))
    }
}

/// A gateway at a port of its own.
pub(super) struct Served {
    pub(super) stores: Arc<Stores>,
    pub(super) address: SocketAddr,
    _handle: Handle,
}

fn store(folder: &Path) -> Store {
    let config = peerwork_store::Config {
        path: folder.to_owned(),
        max: 1 << 30,
        reserve: 0,
    };
    Store::open(config).unwrap()
}

pub(super) async fn serve() -> Served {
    let folder = tempfile::tempdir().unwrap();
    let stores = Arc::new(Stores {
        local: store(&folder.path().join("local")),
        elsewhere: store(&folder.path().join("elsewhere")),
        _folder: folder,
    });
    let registry = SharedRegistry::default();
    let handle = Server::start(Config::default(), NodeServices::default(), registry);
    let handle = handle.await.unwrap();
    let config = GatewayConfig::new(([127, 0, 0, 1], 0).into());
    let service = Arc::new(Gateway(Arc::clone(&stores)));
    let address = handle.serve_gateway(&config, service).await.unwrap();
    Served {
        stores,
        address,
        _handle: handle,
    }
}

impl Served {
    pub(super) async fn get(&self, path: &str) -> Response<Bytes> {
        self.with(path, &[]).await
    }

    pub(super) async fn with(&self, path: &str, headers: &[(&str, &str)]) -> Response<Bytes> {
        let response = self.begin(path, headers).await;
        let (parts, body) = response.into_parts();
        let body = timeout(DEADLINE, body.collect()).await.unwrap().unwrap();
        Response::from_parts(parts, body.to_bytes())
    }

    /// The head of a response, whose body was not read.
    pub(super) async fn begin(
        &self,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Response<hyper::body::Incoming> {
        let mut request = Request::builder().uri(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Empty::<Bytes>::new()).unwrap();
        let client = Client::builder(TokioExecutor::new()).build_http();
        timeout(DEADLINE, client.request(request))
            .await
            .unwrap()
            .unwrap()
    }
}

/// Adds a file or folder to a store, and gives its CID.
pub(super) fn add(store: &Store, path: &Path) -> Cid {
    let options = AddOptions {
        recursive: true,
        ..AddOptions::default()
    };
    let mut writer = store.writer();
    let roots = unixfs::add(&[path.to_owned()], &options, &mut writer, &mut |_| ()).unwrap();
    writer.commit().unwrap();
    roots[0].cid
}

/// Puts a block into a store.
pub(super) fn put(store: &Store, codec: u64, data: impl Into<Bytes>) -> Cid {
    let block = Block::new(cid::Version::V1, codec, data.into()).unwrap();
    let cid = *block.cid();
    let mut writer = store.writer();
    writer.put(block).unwrap();
    writer.commit().unwrap();
    cid
}

/// Bytes that differ everywhere.
pub(super) fn content(bytes: usize) -> Vec<u8> {
    (0..bytes as u64)
        .map(|at| (at.wrapping_mul(at) >> 7) as u8 ^ (at >> 16) as u8)
        .collect()
}
