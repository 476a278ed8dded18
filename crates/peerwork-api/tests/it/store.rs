//! These tests call `peerwork.store.v1.Store` with a real gRPC client.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use parking_lot::Mutex;
use peerwork_api::{
    NodeServices, Server, ServiceError,
    operator::connect_for_streams,
    store::{
        Answers, BLOCKS_BYTES_MAX, BlockBytes, Delivery, Dropped, GetItem, GetOpening, Got,
        MESSAGE_BYTES_MAX, Outcome, Pin, PinPage, PinQuery, PinWanted, Progress, PutEvent, PutItem,
        Repair, Sources, Stat, StatQuery, StoreService, Taken, TaskEvent, Usage,
        v1::{self, store_client::StoreClient},
    },
};
use tonic::Code;

use crate::fake::{PATIENCE, config};

/// A store that keeps what it is told.
#[derive(Default)]
struct FakeStore {
    blocks: Mutex<Vec<BlockBytes>>,
    pins: Mutex<Vec<PinWanted>>,
}

fn done(blocks: u64) -> Answers<TaskEvent> {
    let progress = TaskEvent::Progress(Progress {
        blocks,
        bytes: 2,
        bytes_total: Some(3),
        providers: 4,
    });
    let finding = TaskEvent::Finding {
        cid: vec![1],
        text: "found".into(),
    };
    let dropped = TaskEvent::Dropped(dropped());
    let outcome = TaskEvent::Done(Outcome {
        blocks,
        bytes: 5,
        damaged: 6,
        repaired: 7,
        broken_pins: 8,
        deliveries: vec![delivery()],
    });
    let events = [progress, finding, dropped, outcome];
    stream::iter(events).map(Ok).boxed()
}

fn dropped() -> Dropped {
    Dropped {
        node: "a node".into(),
        reason: "was slow".into(),
    }
}

fn delivery() -> Delivery {
    Delivery {
        node: "another node".into(),
        daemon: "a daemon".into(),
        blocks: 9,
        bytes: 10,
    }
}

fn delivery_message() -> v1::Delivery {
    v1::Delivery {
        node: "another node".into(),
        daemon: "a daemon".into(),
        blocks: 9,
        bytes: 10,
    }
}

/// The store behind the shared handle of a test.
struct Shared(Arc<FakeStore>);

#[async_trait]
impl StoreService for Shared {
    fn put(&self, items: Answers<PutItem>) -> Answers<PutEvent> {
        let store = Arc::clone(&self.0);
        let events = items.map(move |item| {
            Ok(match item? {
                PutItem::Blocks(blocks) => {
                    let bytes = blocks.iter().map(|block| block.data.len() as u64).sum();
                    let taken = Taken {
                        blocks: blocks.len() as u64,
                        bytes,
                    };
                    store.blocks.lock().extend(blocks);
                    PutEvent::Taken(taken)
                }
                PutItem::Finish(pins) => {
                    store.pins.lock().extend(pins);
                    PutEvent::Done(Taken::default())
                }
            })
        });
        events.boxed()
    }

    fn get(&self, opening: GetOpening, items: Answers<GetItem>) -> Answers<Got> {
        let given = items.filter_map(move |item| {
            let root = opening.root.clone();
            std::future::ready(match item {
                Ok(GetItem::Want(cid)) if cid == root => Some(Ok(Got::Block(BlockBytes {
                    cid,
                    data: Bytes::from(vec![7; BLOCKS_BYTES_MAX]),
                }))),
                Ok(GetItem::Want(cid)) => Some(Ok(Got::Missing {
                    cid,
                    reason: "nobody".into(),
                    not_found: true,
                })),
                Ok(GetItem::Expect(_)) => Some(Ok(Got::Dropped(dropped()))),
                Ok(GetItem::Deliveries) => Some(Ok(Got::Deliveries(vec![delivery()]))),
                Err(error) => Some(Err(error)),
            })
        });
        given.boxed()
    }

    fn fetch(&self, _: Vec<u8>, sources: Sources) -> Answers<TaskEvent> {
        done(sources.nodes.len() as u64)
    }

    fn pin(&self, pin: PinWanted, _: Sources) -> Answers<TaskEvent> {
        self.0.pins.lock().push(pin);
        done(1)
    }

    async fn unpin(&self, _: Vec<u8>) -> Result<(), ServiceError> {
        Err(ServiceError::not_found("it is not pinned"))
    }

    async fn pins(&self, query: PinQuery) -> Result<PinPage, ServiceError> {
        let pin = Pin {
            root: query.after,
            name: "n".into(),
            pinned_at: query.limit as u64,
        };
        let pins = vec![pin];
        Ok(PinPage { pins, total: 9 })
    }

    fn remove(&self, _: Vec<u8>) -> Answers<TaskEvent> {
        done(2)
    }

    fn collect(&self) -> Answers<TaskEvent> {
        done(3)
    }

    fn verify(&self, repair: Repair) -> Answers<TaskEvent> {
        done(match repair {
            Repair::No => 4,
            Repair::Yes => 5,
        })
    }

    async fn stat(&self, query: StatQuery) -> Result<Stat, ServiceError> {
        let usage = Usage {
            blocks: 1,
            bytes: 2,
            disk_bytes: 3,
            pins: 4,
            max: 5,
            free: 6,
            segment_bytes: 7,
        };
        Ok(Stat {
            serves: true,
            usage: (!query.only_if_open).then_some(usage),
            block_bytes: Some(query.cid.len() as u64),
        })
    }

    async fn provide(&self, _: Vec<u8>) -> Result<(), ServiceError> {
        Ok(())
    }
}

type Client = StoreClient<peerwork_api::operator::Connection>;

struct Running {
    _server: peerwork_api::Handle,
    client: Client,
    store: Arc<FakeStore>,
}

async fn start() -> Running {
    let store = Arc::new(FakeStore::default());
    let services = NodeServices {
        store: Some(Arc::new(Shared(Arc::clone(&store)))),
        ..NodeServices::default()
    };
    let server = Server::start(config(), services, Default::default());
    let server = server.await.unwrap();
    let address = server.operator_address().unwrap().to_string();
    let connection = connect_for_streams(&address, None, PATIENCE).await.unwrap();
    let client = StoreClient::new(connection).max_decoding_message_size(MESSAGE_BYTES_MAX);
    Running {
        _server: server,
        client,
        store,
    }
}

fn blocks(blocks: Vec<v1::Block>) -> v1::PutRequest {
    let kind = v1::put_request::Kind::Blocks(v1::Blocks { blocks });
    v1::PutRequest { kind: Some(kind) }
}

fn block(bytes: usize) -> v1::Block {
    v1::Block {
        cid: vec![1; 36],
        data: Bytes::from(vec![9; bytes]),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blocks_of_the_largest_size_and_roots_reach_the_store() {
    let mut running = start().await;
    let root = v1::PinRequest {
        root: vec![1; 36],
        name: "tree".into(),
        sources: None,
    };
    let finish = v1::put_request::Kind::Finish(v1::Finish { pins: vec![root] });
    let requests = [
        blocks(vec![block(BLOCKS_BYTES_MAX)]),
        blocks(vec![block(1), block(2)]),
        v1::PutRequest { kind: Some(finish) },
    ];
    let answers = running.client.put(stream::iter(requests)).await.unwrap();
    let answers: Vec<_> = answers.into_inner().collect().await;
    let kinds = answers
        .into_iter()
        .map(|answer| answer.unwrap().kind.unwrap());
    let taken = |blocks, bytes| v1::put_response::Kind::Taken(v1::Taken { blocks, bytes });
    let done = v1::put_response::Kind::Done(v1::Taken::default());
    let expected = [taken(1, BLOCKS_BYTES_MAX as u64), taken(2, 3), done];
    assert_eq!(kinds.collect::<Vec<_>>(), expected);
    assert_eq!(running.store.blocks.lock().len(), 3);
    assert_eq!(running.store.pins.lock()[0].name, "tree");
}

#[tokio::test]
async fn blocks_beyond_the_bounds_end_the_put_with_the_reason() {
    let mut running = start().await;
    let too_many = vec![block(BLOCKS_BYTES_MAX), block(1)];
    let requests = stream::iter([blocks(too_many), blocks(vec![block(1)])]);
    let mut answers = running.client.put(requests).await.unwrap().into_inner();
    let error = answers.message().await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    assert!(
        error.message().contains("2097152 bytes together"),
        "{error}"
    );
    assert!(running.store.blocks.lock().is_empty());
    // A message that is longer than any allowed one is not read at all.
    let huge = stream::iter([blocks(vec![block(MESSAGE_BYTES_MAX + 1)])]);
    let mut answers = running.client.put(huge).await.unwrap().into_inner();
    answers.message().await.unwrap_err();
    assert!(running.store.blocks.lock().is_empty());
}

#[tokio::test]
async fn a_get_gives_blocks_and_reasons() {
    let mut running = start().await;
    let request = |kind| v1::GetRequest { kind: Some(kind) };
    let open = v1::get_request::Kind::Open(v1::GetOpen {
        root: vec![5],
        sources: None,
    });
    let expect = v1::get_request::Kind::Expect(v1::Expected {
        cids: vec![vec![5]],
    });
    let requests = [
        request(open),
        request(expect),
        request(v1::get_request::Kind::Want(vec![5])),
        request(v1::get_request::Kind::Want(vec![6])),
        request(v1::get_request::Kind::Deliveries(v1::DeliveriesRequest {})),
    ];
    let answers = running.client.get(stream::iter(requests)).await.unwrap();
    let answers: Vec<_> = answers.into_inner().map(Result::unwrap).collect().await;
    let [left, block, missing, delivered] = &answers[..] else {
        panic!("{}", answers.len());
    };
    let expected = v1::Dropped {
        node: "a node".into(),
        reason: "was slow".into(),
    };
    assert_eq!(left.kind, Some(v1::get_response::Kind::Dropped(expected)));
    let expected = v1::Deliveries {
        deliveries: vec![delivery_message()],
    };
    assert_eq!(
        delivered.kind,
        Some(v1::get_response::Kind::Deliveries(expected))
    );
    let Some(v1::get_response::Kind::Block(block)) = &block.kind else {
        panic!("no block");
    };
    assert_eq!(
        (block.cid.as_slice(), block.data.len()),
        (&[5][..], BLOCKS_BYTES_MAX)
    );
    let Some(v1::get_response::Kind::Missing(missing)) = &missing.kind else {
        panic!("{missing:?}");
    };
    assert_eq!(
        (missing.reason.as_str(), missing.not_found),
        ("nobody", true)
    );
}

#[tokio::test]
async fn a_task_tells_its_progress_findings_and_outcome() {
    let mut running = start().await;
    let request = v1::VerifyRequest { repair: true };
    let events = running.client.verify(request).await.unwrap().into_inner();
    let events: Vec<_> = events
        .map(|event| event.unwrap().kind.unwrap())
        .collect()
        .await;
    use v1::task_response::Kind;
    let expected = [
        Kind::Progress(v1::Progress {
            blocks: 5,
            bytes: 2,
            bytes_total: Some(3),
            providers: 4,
        }),
        Kind::Finding(v1::Finding {
            cid: vec![1],
            text: "found".into(),
        }),
        Kind::Dropped(v1::Dropped {
            node: "a node".into(),
            reason: "was slow".into(),
        }),
        Kind::Done(v1::Outcome {
            blocks: 5,
            bytes: 5,
            damaged: 6,
            repaired: 7,
            broken_pins: 8,
            deliveries: vec![delivery_message()],
        }),
    ];
    assert_eq!(events, expected);
}

#[tokio::test]
async fn pins_amounts_and_refusals_have_all_their_fields() {
    let mut running = start().await;
    let client = &mut running.client;
    let request = v1::PinsRequest {
        limit: 0,
        after: vec![3],
    };
    let page = client.pins(request).await.unwrap().into_inner();
    let pin = &page.pins[0];
    assert_eq!(
        (page.total, pin.pinned_at, pin.name.as_str()),
        (9, 100, "n")
    );
    assert_eq!(pin.root, [3]);
    let stat = client
        .stat(v1::StatRequest::default())
        .await
        .unwrap()
        .into_inner();
    let usage = v1::Usage {
        blocks: 1,
        bytes: 2,
        disk_bytes: 3,
        pins: 4,
        max: 5,
        free: 6,
        segment_bytes: 7,
    };
    let expected = v1::StatResponse {
        serves: true,
        usage: Some(usage),
        block_bytes: Some(0),
    };
    assert_eq!(stat, expected);
    let root = vec![1];
    let error = client.unpin(v1::RootRequest { root }).await.unwrap_err();
    assert_eq!(
        (error.code(), error.message()),
        (Code::NotFound, "it is not pinned")
    );
    let empty = v1::RootRequest { root: Vec::new() };
    let error = client.provide(empty).await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_node_without_a_store_says_so() {
    let server = Server::start(config(), NodeServices::default(), Default::default());
    let server = server.await.unwrap();
    let address = server.operator_address().unwrap().to_string();
    let connection = connect_for_streams(&address, None, PATIENCE).await.unwrap();
    let mut client: Client = StoreClient::new(connection);
    let error = client.stat(v1::StatRequest::default()).await.unwrap_err();
    assert_eq!(error.code(), Code::Unimplemented);
    let mut events = client
        .collect(v1::CollectRequest {})
        .await
        .unwrap()
        .into_inner();
    let error = events.message().await.unwrap_err();
    assert_eq!(error.code(), Code::Unimplemented);
}
