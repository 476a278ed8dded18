//! This module serves gRPC `peerwork.store.v1.Store` from the trait `StoreService`.

use std::sync::Arc;

use futures::{StreamExt as _, stream::BoxStream};
use tokio::time::timeout;
use tonic::{Request, Response, Status, Streaming, async_trait};

use super::{
    Answers, KEEP_ALIVE, MESSAGE_BYTES_MAX, PutEvent, Repair, SILENCE_MAX, StatQuery, StoreService,
    Taken, TaskEvent, convert, paced,
    v1::{self, store_server},
};
use crate::{
    error::{ErrorKind, ServiceError},
    operator::Calls,
    services::NodeServices,
};

/// The gRPC service `Store`.
pub(crate) struct Store {
    services: NodeServices,
    calls: Calls,
}

/// The tonic server of the service, with its message size bounds.
pub(crate) fn server(services: NodeServices, calls: Calls) -> store_server::StoreServer<Store> {
    store_server::StoreServer::new(Store { services, calls })
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX)
}

type Messages<T> = BoxStream<'static, Result<T, Status>>;

impl Store {
    fn service(&self) -> Result<Arc<dyn StoreService>, ServiceError> {
        self.services.store()?;
        let service = self.services.store.clone();
        service.ok_or_else(|| ServiceError::unsupported("this node has no store service"))
    }

    /// Runs a task, and repeats its progress while it is silent.
    fn task(
        &self,
        method: &'static str,
        begin: impl FnOnce(&dyn StoreService) -> Result<Answers<TaskEvent>, ServiceError>,
    ) -> Result<Response<Messages<v1::TaskResponse>>, Status> {
        let events = self.service().and_then(|service| begin(&*service));
        let events = events.unwrap_or_else(failed);
        let silent = || Ok(TaskEvent::Progress(super::Progress::default()));
        let events = paced::filled(events, KEEP_ALIVE, silent);
        self.calls.stream(method, events, convert::task_event)
    }
}

fn failed<T: Send + 'static>(error: ServiceError) -> Answers<T> {
    futures::stream::iter([Err(error)]).boxed()
}

/// The messages of a client, within the bound of its silence.
fn messages<M, T>(
    stream: Streaming<M>,
    convert: impl Fn(M) -> Result<Option<T>, ServiceError> + Send + Sync + 'static,
) -> Answers<T>
where
    M: Send + 'static,
    T: Send + 'static,
{
    let received = stream.map(move |message| match message {
        Ok(message) => convert(message),
        Err(status) => Err(left(&status)),
    });
    let received = paced::bounded(received, SILENCE_MAX);
    received
        .filter_map(|item| std::future::ready(item.transpose()))
        .boxed()
}

fn left(status: &Status) -> ServiceError {
    let message = format!("the caller's stream ended: {}", status.message());
    ServiceError::new(ErrorKind::InvalidArgument, message)
}

#[async_trait]
impl store_server::Store for Store {
    type PutStream = Messages<v1::PutResponse>;
    type GetStream = Messages<v1::GetResponse>;
    type FetchStream = Messages<v1::TaskResponse>;
    type PinStream = Messages<v1::TaskResponse>;
    type RemoveStream = Messages<v1::TaskResponse>;
    type CollectStream = Messages<v1::TaskResponse>;
    type VerifyStream = Messages<v1::TaskResponse>;

    async fn put(
        &self,
        request: Request<Streaming<v1::PutRequest>>,
    ) -> Result<Response<Self::PutStream>, Status> {
        let items = messages(request.into_inner(), convert::put_item);
        let events = self.service().map(|service| service.put(items));
        let events = events.unwrap_or_else(failed);
        let silent = || Ok(PutEvent::Taken(Taken::default()));
        let events = paced::filled(events, KEEP_ALIVE, silent);
        self.calls.stream("StorePut", events, convert::put_event)
    }

    async fn get(
        &self,
        request: Request<Streaming<v1::GetRequest>>,
    ) -> Result<Response<Self::GetStream>, Status> {
        let mut stream = request.into_inner();
        let first = timeout(SILENCE_MAX, stream.message()).await;
        let opening = match first {
            Ok(Ok(first)) => convert::get_opening(first),
            Ok(Err(status)) => Err(left(&status)),
            Err(_) => Err(ServiceError::new(
                ErrorKind::Deadline,
                "a get was not opened",
            )),
        };
        let items = messages(stream, convert::get_item);
        let blocks = opening.and_then(|opening| Ok(self.service()?.get(opening, items)));
        let blocks = blocks.unwrap_or_else(failed);
        let blocks = blocks.map(|got| got.map(convert::got));
        let blocks = paced::filled(blocks, KEEP_ALIVE, || Ok(convert::keeps_get_alive()));
        self.calls.stream("StoreGet", blocks, |message| message)
    }

    async fn fetch(
        &self,
        request: Request<v1::FetchRequest>,
    ) -> Result<Response<Self::FetchStream>, Status> {
        let v1::FetchRequest { root, sources } = request.into_inner();
        self.task("StoreFetch", |service| {
            Ok(service.fetch(convert::cid(root)?, convert::sources(sources)?))
        })
    }

    async fn pin(
        &self,
        request: Request<v1::PinRequest>,
    ) -> Result<Response<Self::PinStream>, Status> {
        let request = request.into_inner();
        self.task("StorePin", |service| {
            let (pin, sources) = convert::pin_wanted(request)?;
            Ok(service.pin(pin, sources))
        })
    }

    async fn unpin(
        &self,
        request: Request<v1::RootRequest>,
    ) -> Result<Response<v1::UnpinResponse>, Status> {
        let root = request.into_inner().root;
        let call = async { self.service()?.unpin(convert::cid(root)?).await };
        let done = |()| v1::UnpinResponse {};
        self.calls.answer("StoreUnpin", call, done).await
    }

    async fn pins(
        &self,
        request: Request<v1::PinsRequest>,
    ) -> Result<Response<v1::PinsResponse>, Status> {
        let request = request.into_inner();
        let call = async { self.service()?.pins(convert::pin_query(request)?).await };
        self.calls
            .answer("StorePins", call, convert::pin_page)
            .await
    }

    async fn remove(
        &self,
        request: Request<v1::RootRequest>,
    ) -> Result<Response<Self::RemoveStream>, Status> {
        let root = request.into_inner().root;
        self.task("StoreRemove", |service| {
            Ok(service.remove(convert::cid(root)?))
        })
    }

    async fn collect(
        &self,
        _: Request<v1::CollectRequest>,
    ) -> Result<Response<Self::CollectStream>, Status> {
        self.task("StoreCollect", |service| Ok(service.collect()))
    }

    async fn verify(
        &self,
        request: Request<v1::VerifyRequest>,
    ) -> Result<Response<Self::VerifyStream>, Status> {
        let repair = match request.into_inner().repair {
            true => Repair::Yes,
            false => Repair::No,
        };
        self.task("StoreVerify", |service| Ok(service.verify(repair)))
    }

    async fn stat(
        &self,
        request: Request<v1::StatRequest>,
    ) -> Result<Response<v1::StatResponse>, Status> {
        let v1::StatRequest { cid, only_if_open } = request.into_inner();
        let call = async {
            let cid = match cid.is_empty() {
                true => cid,
                false => convert::cid(cid)?,
            };
            let query = StatQuery { cid, only_if_open };
            self.service()?.stat(query).await
        };
        self.calls.answer("StoreStat", call, convert::stat).await
    }

    async fn provide(
        &self,
        request: Request<v1::RootRequest>,
    ) -> Result<Response<v1::ProvideResponse>, Status> {
        let root = request.into_inner().root;
        let call = async { self.service()?.provide(convert::cid(root)?).await };
        let done = |()| v1::ProvideResponse {};
        self.calls.answer("StoreProvide", call, done).await
    }
}
