//! Requests to a daemon.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use cid::Cid;
use futures::future::{BoxFuture, FutureExt as _, Shared};
use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use hyper::{Method, Request, StatusCode};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use parking_lot::Mutex;
use serde::Deserialize;
use tokio::{sync::Semaphore, time::timeout};

use super::address::ApiAddress;
use crate::{BLOCK_BYTES_MAX, Block, GetError, Source};

/// How long a daemon may search for a block, in its own network too.
const BLOCK: Duration = Duration::from_secs(60);
/// How long a daemon may take for a list of links.
const LIST: Duration = Duration::from_secs(60);
/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);
/// Bytes of a list of links: about 100,000 links.
const LIST_BYTES_MAX: usize = 16 << 20;
/// Bytes of an error that are read.
const ERROR_BYTES_MAX: usize = 16 << 10;
/// Requests at once. Each holds one block, 64 MiB in all at worst.
const REQUESTS_MAX: usize = 32;
/// Blocks that are fetched ahead.
const AHEAD_MAX: usize = 32;

/// A request to a daemon failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RpcError {
    /// No daemon answers.
    #[error(
        "no IPFS daemon answers at {api}: {reason}; start it (`ipfs daemon`), or name another address with --ipfs-api"
    )]
    Unreachable {
        /// The address.
        api: ApiAddress,
        /// The mistake.
        reason: String,
    },
    /// The daemon did not answer in time.
    #[error("the IPFS daemon at {api} did not answer within {limit:?}; it may not find {cid}")]
    Deadline {
        /// The address.
        api: ApiAddress,
        /// The time.
        limit: Duration,
        /// The CID that was asked for.
        cid: Cid,
    },
    /// The daemon answered with an error.
    #[error("the IPFS daemon at {api} says: {message}")]
    Refused {
        /// The address.
        api: ApiAddress,
        /// The daemon's words.
        message: String,
    },
    /// The answer cannot be used.
    #[error("the IPFS daemon at {api} gave a wrong answer: {reason}")]
    Answer {
        /// The address.
        api: ApiAddress,
        /// The mistake.
        reason: String,
    },
}

/// A link of a directory or a file, as the daemon lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RpcLink {
    /// The name; empty in files.
    pub name: String,
    /// The block that the link leads to.
    pub cid: Cid,
    /// The size that the daemon says.
    pub size: u64,
    /// The kind, as UnixFS numbers it: 0 raw, 1 directory, 2 file, 4 symlink, 5 HAMT.
    pub kind: i32,
}

type Fetching = Shared<BoxFuture<'static, Result<Block, RpcError>>>;

struct Inner {
    api: ApiAddress,
    client: Client<HttpConnector, Empty<Bytes>>,
    requests: Semaphore,
}

/// Blocks that are fetched ahead, in the order in which readers want them.
#[derive(Default)]
struct Ahead {
    fetching: HashMap<Cid, Fetching>,
    order: VecDeque<Cid>,
}

/// A daemon as a source of blocks. Cloning is cheap.
#[derive(Clone)]
pub struct KuboApi {
    inner: Arc<Inner>,
    ahead: Arc<Mutex<Ahead>>,
}

impl fmt::Debug for KuboApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KuboApi").field(&self.inner.api).finish()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Failure {
    message: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listing {
    objects: Vec<Listed>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    #[serde(default)]
    links: Option<Vec<ListedLink>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListedLink {
    name: String,
    hash: String,
    size: u64,
    #[serde(rename = "Type")]
    kind: i32,
}

impl KuboApi {
    /// A daemon at this address. Nothing is sent before the first request.
    #[must_use]
    pub fn new(api: ApiAddress) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT));
        connector.set_nodelay(true);
        let inner = Inner {
            api,
            client: Client::builder(TokioExecutor::new()).build(connector),
            requests: Semaphore::new(REQUESTS_MAX),
        };
        Self {
            inner: Arc::new(inner),
            ahead: Arc::default(),
        }
    }

    /// The links of a directory or a file.
    ///
    /// # Errors
    /// [`RpcError`].
    pub async fn ls(&self, cid: &Cid) -> Result<Vec<RpcLink>, RpcError> {
        // Sizes and kinds come from the links' own blocks, which would have to be fetched first.
        let query = format!("ls?arg={cid}&resolve-type=false&size=false");
        let body = self.inner.ask(&query, cid, LIST, LIST_BYTES_MAX).await?;
        let listing = serde_json::from_slice::<Listing>(&body);
        let listing = listing.map_err(|error| self.inner.wrong(&error))?;
        let objects = listing.objects.into_iter();
        let links = objects.flat_map(|object| object.links.unwrap_or_default());
        let links = links.map(|link| {
            let cid = link.hash.parse();
            Ok(RpcLink {
                cid: cid.map_err(|error: cid::Error| self.inner.wrong(&error))?,
                name: link.name,
                size: link.size,
                kind: link.kind,
            })
        });
        links.collect()
    }

    /// Pins a DAG at the daemon, which fetches it first. `patience` is how long that may take.
    ///
    /// # Errors
    /// [`RpcError`].
    pub async fn pin_add(&self, cid: &Cid, patience: Duration) -> Result<(), RpcError> {
        let query = format!("pin/add?arg={cid}&recursive=true&progress=false");
        let pinned = self.inner.ask(&query, cid, patience, ERROR_BYTES_MAX).await;
        pinned.map(drop)
    }

    /// One block, checked against its CID.
    ///
    /// # Errors
    /// [`RpcError`].
    pub async fn block(&self, cid: &Cid) -> Result<Block, RpcError> {
        if let Some(block) = Block::of_identity(cid) {
            return Ok(block);
        }
        let ahead = self.ahead.lock().take(cid);
        match ahead {
            Some(fetching) => fetching.await,
            None => self.inner.block(*cid).await,
        }
    }
}

impl Inner {
    async fn block(&self, cid: Cid) -> Result<Block, RpcError> {
        let query = format!("block/get?arg={cid}");
        let body = self.ask(&query, &cid, BLOCK, BLOCK_BYTES_MAX).await?;
        Block::verify(cid, body).map_err(|error| self.wrong(&error))
    }

    fn wrong(&self, reason: &impl fmt::Display) -> RpcError {
        RpcError::Answer {
            api: self.api.clone(),
            reason: reason.to_string(),
        }
    }

    /// Sends a request, and reads the answer within its bound and deadline.
    async fn ask(
        &self,
        query: &str,
        cid: &Cid,
        limit: Duration,
        max: usize,
    ) -> Result<Bytes, RpcError> {
        let asking = async {
            let permit = self.requests.acquire().await;
            let _permit = permit.map_err(|error| self.wrong(&error))?;
            self.ask_now(query, max).await
        };
        timeout(limit, asking).await.unwrap_or_else(|_| {
            Err(RpcError::Deadline {
                api: self.api.clone(),
                limit,
                cid: *cid,
            })
        })
    }

    async fn ask_now(&self, query: &str, max: usize) -> Result<Bytes, RpcError> {
        let uri = format!("{}/api/v0/{query}", self.api);
        let request = Request::builder().method(Method::POST).uri(uri);
        let request = request.body(Empty::new());
        let request = request.map_err(|error| self.wrong(&error))?;
        let answer = self.client.request(request).await;
        let answer = answer.map_err(|error| self.unreachable(&error))?;
        let status = answer.status();
        let max = match status {
            StatusCode::OK => max,
            _ => ERROR_BYTES_MAX,
        };
        let body = Limited::new(answer.into_body(), max).collect().await;
        let body = body.map_err(|error| match error.downcast_ref::<LengthLimitError>() {
            Some(_) => self.wrong(&format!("more than {max} bytes")),
            None => self.unreachable(&*error),
        })?;
        let body = body.to_bytes();
        match status {
            StatusCode::OK => Ok(body),
            status => Err(RpcError::Refused {
                api: self.api.clone(),
                message: message(status, &body),
            }),
        }
    }

    fn unreachable(&self, error: &(dyn std::error::Error + 'static)) -> RpcError {
        let mut reason = error.to_string();
        let mut source = error.source();
        while let Some(error) = source {
            reason = error.to_string();
            source = error.source();
        }
        RpcError::Unreachable {
            api: self.api.clone(),
            reason,
        }
    }
}

/// The daemon's words, of which control characters are left out.
fn message(status: StatusCode, body: &[u8]) -> String {
    let failure = serde_json::from_slice::<Failure>(body);
    let text = match failure {
        Ok(failure) => failure.message,
        Err(_) if status == StatusCode::FORBIDDEN || status == StatusCode::UNAUTHORIZED => {
            format!("{status}; this node needs the right to use the API")
        }
        Err(_) => status.to_string(),
    };
    text.chars().filter(|c| !c.is_control()).take(512).collect()
}

impl Ahead {
    fn take(&mut self, cid: &Cid) -> Option<Fetching> {
        self.order.retain(|other| other != cid);
        self.fetching.remove(cid)
    }

    /// Takes the place of a block that was expected before and not asked for.
    fn add(&mut self, cid: Cid, fetching: Fetching) {
        if self.order.len() >= AHEAD_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.fetching.remove(&oldest);
        }
        self.order.push_back(cid);
        self.fetching.insert(cid, fetching);
    }
}

#[async_trait]
impl Source for KuboApi {
    async fn get(&self, cid: &Cid) -> Result<Block, GetError> {
        self.block(cid).await.map_err(|error| GetError::Failed {
            cid: *cid,
            reason: error.to_string(),
        })
    }

    /// Fetches up to 32 blocks ahead.
    fn expect(&self, cids: &[Cid]) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let mut ahead = self.ahead.lock();
        for cid in cids.iter().take(AHEAD_MAX) {
            if Block::of_identity(cid).is_some() || ahead.fetching.contains_key(cid) {
                continue;
            }
            let (inner, wanted) = (Arc::clone(&self.inner), *cid);
            let fetching = async move { inner.block(wanted).await }.boxed().shared();
            // The task ends at the deadline of its request.
            runtime.spawn(fetching.clone());
            ahead.add(*cid, fetching);
        }
    }
}
