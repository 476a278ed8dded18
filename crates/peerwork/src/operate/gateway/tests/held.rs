//! Answers of an ingress beside collections, which remove all blocks that nothing keeps.

use std::sync::Arc;

use http_body_util::BodyExt as _;
use hyper::Request;
use peerwork_api::gateway::Reach;
use peerwork_store::{Block, Sink, Store, StoreError, car};
use peerwork_testkit::DEADLINE;
use peerwork_tunnel::ingress::Content as _;
use tokio::time::timeout;

use super::{super::AtIngress, Gateway, Served, add, content, serve};

/// The blocks of a CAR, counted.
#[derive(Default)]
struct Counted(usize);

impl Sink for Counted {
    fn put(&mut self, _: Block) -> Result<(), StoreError> {
        self.0 += 1;
        Ok(())
    }
}

/// Collects until nothing is removed any more; returns the blocks that are left.
async fn collect(store: &Store) -> u64 {
    let store = store.clone();
    let collecting = tokio::task::spawn_blocking(move || {
        while store.gc(&mut |_| true).unwrap().blocks > 0 {}
        store.usage().blocks
    });
    timeout(DEADLINE, collecting).await.unwrap().unwrap()
}

fn at_ingress(gateway: &Served) -> AtIngress {
    let service = Arc::new(Gateway(Arc::clone(&gateway.stores)));
    AtIngress::new(service, Reach::Local)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_car_of_an_ingress_is_whole_beside_collections() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("large"), content(12 << 20)).unwrap();
    let gateway = serve().await;
    let store = &gateway.stores.local;
    let root = add(store, folder.path());
    let all = store.usage().blocks;
    let request = Request::get(format!("/ipfs/{root}?format=car"));
    let answer = at_ingress(&gateway).answer(request.body(()).unwrap());
    let mut body = timeout(DEADLINE, answer).await.unwrap().into_body();
    let mut read = Vec::new();
    let mut collections = 0;
    while let Some(frame) = timeout(DEADLINE, body.frame()).await.unwrap() {
        read.extend_from_slice(&frame.unwrap().into_data().unwrap());
        if read.len() >> 20 >= collections {
            collections += 1;
            assert_eq!(collect(store).await, all, "a block of the answer is gone");
        }
    }
    assert!(collections > 10);
    let mut counted = Counted::default();
    car::import(&read[..], &mut counted, &mut |_| ()).unwrap();
    assert_eq!(counted.0 as u64, all);
    drop(body);
    assert_eq!(collect(store).await, 0, "nothing is held after the answer");
}
