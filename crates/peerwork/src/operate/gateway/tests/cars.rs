//! CARs, read back by the importer of the store.

use cid::Cid;
use hyper::body::Bytes;
use peerwork_store::{Block, Sink, StoreError, car, unixfs};

use super::{Served, add, content, put, serve};

/// The blocks of a CAR, in its order.
#[derive(Default)]
struct Taken(Vec<Cid>);

impl Sink for Taken {
    fn put(&mut self, block: Block) -> Result<(), StoreError> {
        self.0.push(*block.cid());
        Ok(())
    }
}

async fn blocks(gateway: &Served, path: &str, accept: &str) -> Vec<Cid> {
    let response = gateway.with(path, &[("accept", accept)]).await;
    assert_eq!(response.status(), 200, "{path}");
    let mut taken = Taken::default();
    let car: &Bytes = response.body();
    car::import(&car[..], &mut taken, &mut |_| ()).unwrap();
    taken.0
}

async fn car(gateway: &Served, path: &str) -> Vec<Cid> {
    blocks(gateway, path, "application/vnd.ipld.car").await
}

async fn child(gateway: &Served, root: &Cid, path: &str) -> Cid {
    let store = &gateway.stores.local;
    unixfs::resolve(store, root, path, &Default::default())
        .await
        .unwrap()
        .cid
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_car_holds_the_blocks_of_its_scope_in_depth_first_order() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("d")).unwrap();
    std::fs::write(folder.path().join("d/large"), content(600_000)).unwrap();
    std::fs::write(folder.path().join("d/small"), "small").unwrap();
    let gateway = serve().await;
    let root = add(&gateway.stores.local, folder.path());
    let d = child(&gateway, &root, "d").await;
    let large = child(&gateway, &root, "d/large").await;
    let small = child(&gateway, &root, "d/small").await;

    let all = car(&gateway, &format!("/ipfs/{root}")).await;
    // Root, folder, file with three leaves, file.
    assert_eq!(all.len(), 7);
    assert_eq!(all[..3], [root, d, large]);
    assert_eq!(all[6], small);
    let leaves = &all[3..6];

    let path = format!("/ipfs/{root}/d");
    assert_eq!(
        car(&gateway, &format!("{path}?dag-scope=block")).await,
        [root, d]
    );
    assert_eq!(
        car(&gateway, &format!("{path}?dag-scope=entity")).await,
        [root, d]
    );
    assert_eq!(
        car(&gateway, &format!("{path}/small")).await,
        [root, d, small]
    );
    let with = |parts: &[Cid]| [&[root, d, large], parts].concat();
    let large = format!("{path}/large?dag-scope=entity");
    assert_eq!(car(&gateway, &large).await, with(leaves));
    for (bytes, parts) in [
        ("0:*", leaves),
        ("0:262143", &leaves[..1]),
        ("0:262144", &leaves[..2]),
        ("262144:262144", &leaves[1..2]),
        ("-1:*", &leaves[2..]),
        ("599999:999999999", &leaves[2..]),
    ] {
        let found = car(&gateway, &format!("{large}&entity-bytes={bytes}")).await;
        assert_eq!(found, with(parts), "{bytes}");
    }
    let beyond = gateway
        .get(&format!("{large}&format=car&entity-bytes=600000:*"))
        .await;
    assert_eq!(beyond.status(), 400);
    let none = gateway.get(&format!("{path}/none?format=car")).await;
    assert_eq!(none.status(), 404);
}

#[tokio::test]
async fn a_car_repeats_blocks_only_when_it_is_asked_to() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a", "b"] {
        std::fs::write(folder.path().join(name), vec![0; 3 * 262_144]).unwrap();
    }
    let gateway = serve().await;
    let root = add(&gateway.stores.local, folder.path());
    let path = format!("/ipfs/{root}");
    let once = car(&gateway, &path).await;
    assert_eq!(once.len(), 3, "root, file, leaf");
    let accept = "application/vnd.ipld.car; order=dfs; dups=y";
    let each = blocks(&gateway, &path, accept).await;
    let [root, file, leaf] = once[..] else {
        panic!("{once:?}")
    };
    assert_eq!(each, [root, file, leaf, leaf, leaf, file, leaf, leaf, leaf]);
    let entity = blocks(&gateway, &format!("{path}/a?dag-scope=entity"), accept).await;
    assert_eq!(entity, [root, file, leaf, leaf, leaf]);
}

#[tokio::test]
async fn the_probe_of_gateways_is_answered() {
    let gateway = serve().await;
    let raw = gateway.get("/ipfs/bafkqaaa?format=raw").await;
    assert_eq!((raw.status().as_u16(), raw.body().len()), (200, 0));
    assert!(car(&gateway, "/ipfs/bafkqaaa").await.is_empty());
    let hello = gateway.get("/ipfs/bafkqabtimvwgy3yk").await;
    assert_eq!(hello.body(), "hello\n");
}

#[tokio::test]
async fn a_raw_block_is_the_block_itself() {
    let gateway = serve().await;
    let cid = put(&gateway.stores.local, 0x55, "data");
    for accept in [
        "application/vnd.ipld.raw",
        "text/html, application/vnd.ipld.raw",
    ] {
        let response = gateway
            .with(&format!("/ipfs/{cid}"), &[("accept", accept)])
            .await;
        assert_eq!(
            response.headers()["content-type"],
            "application/vnd.ipld.raw"
        );
        Block::verify(cid, response.body().clone()).unwrap();
    }
}
