//! Fetches into a store without room: the error says so, what came is kept, and the fetch goes on after room
//! was made.

use std::path::Path;

use peerwork_store::{
    Config, Store, StoreError,
    exchange::{FetchError, FetchOptions, Fetched},
};
use peerwork_testkit::{DEADLINE, Mesh};
use tokio::time::timeout;

use super::kit::{Peer, Tree, config, leaf, tree};
use crate::disk::full::Disk;

const MAX: u64 = 24 << 20;

fn store(path: &Path, max: u64) -> Store {
    let config = Config {
        reserve: 0,
        max,
        ..Config::new(path)
    };
    Store::open(config).unwrap()
}

async fn fetch(to: &Peer, from: &Peer, tree: &Tree) -> Result<Fetched, FetchError> {
    let options = FetchOptions {
        named: vec![from.id()],
        ..FetchOptions::default()
    };
    let fetch = to.exchange.fetch(tree.root, options, |_| ());
    timeout(DEADLINE, fetch).await.unwrap()
}

/// The blocks of the tree that are in the store.
fn kept(peer: &Peer, tree: &Tree) -> u64 {
    let blocks = tree.blocks.iter();
    let here = blocks.filter(|block| peer.store.get(block.cid()).unwrap().is_some());
    here.count() as u64
}

/// A fetch that ended for want of room goes on after `make_room`.
async fn goes_on(to: &Peer, from: &Peer, tree: &Tree, make_room: impl FnOnce()) {
    let before = kept(to, tree);
    assert!(before > 0, "nothing is kept");
    make_room();
    let fetched = fetch(to, from, tree).await.unwrap();
    assert!(to.has(&tree.blocks));
    assert_eq!(fetched.received.blocks, fetched.blocks - before);
}

#[tokio::test]
async fn a_full_disk_ends_a_fetch_which_goes_on_after_room_was_made() {
    let Some(disk) = Disk::new("32M") else { return };
    let mesh = Mesh::line(2).start().await;
    let a = Peer::new(&mesh[0]);
    let folder = tempfile::tempdir().unwrap();
    let on_disk = store(&disk.path(), 1 << 30);
    let b = Peer::on(&mesh[1], config(), on_disk, folder);
    let tree = tree(95, 200, 250_000);
    a.put(&tree.blocks);
    let error = fetch(&b, &a, &tree).await.err().unwrap();
    let full = matches!(&error, FetchError::Store(StoreError::DiskFull { .. }));
    assert!(full, "{error}");
    assert!(error.to_string().contains("make room on it"), "{error}");
    goes_on(&b, &a, &tree, || disk.resize("128M")).await;
    mesh.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reached_quota_ends_a_fetch_which_goes_on_after_room_was_made() {
    let mesh = Mesh::line(2).start().await;
    let a = Peer::new(&mesh[0]);
    let folder = tempfile::tempdir().unwrap();
    let small = store(&folder.path().join("store"), MAX);
    let b = Peer::on(&mesh[1], config(), small, folder);
    let pinned: Vec<_> = (0..40).map(|seed| leaf(9600 + seed, 250_000)).collect();
    b.put(&pinned);
    for block in &pinned {
        b.store.pin(block.cid(), "").unwrap();
    }
    let tree = tree(96, 60, 250_000);
    a.put(&tree.blocks);
    let error = fetch(&b, &a, &tree).await.err().unwrap();
    let full = matches!(&error, FetchError::Store(StoreError::QuotaFull { .. }));
    assert!(full, "{error}");
    assert!(error.to_string().contains("raise --store-max"), "{error}");
    assert!(b.has(&pinned));
    let unpin = || {
        for block in &pinned {
            b.store.unpin(block.cid()).unwrap();
        }
    };
    goes_on(&b, &a, &tree, unpin).await;
    mesh.stop().await;
}
