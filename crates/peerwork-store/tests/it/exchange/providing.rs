//! Announcements of roots and pins.

use std::time::Duration;

use peerwork_testkit::{Mesh, eventually};

use super::kit::{Peer, config, leaf, tree};

#[tokio::test]
async fn pins_and_provided_roots_are_announced_and_inner_blocks_are_not() {
    let mesh = Mesh::apart(1).start().await;
    let a = Peer::new(&mesh[0]);
    let (pinned, provided) = (tree(51, 10, 100), tree(52, 10, 100));
    a.put(&pinned.blocks);
    a.put(&provided.blocks);
    a.store.pin(&pinned.root, "a").unwrap();
    a.exchange.pins_changed();
    assert!(a.exchange.provide(provided.root));
    let announced = || a.known.announced.lock().unwrap().clone();
    eventually("both roots", || (announced().len() == 2).then_some(())).await;
    assert!(announced().contains(&pinned.root) && announced().contains(&provided.root));
    assert!(a.store.unpin(&pinned.root).unwrap());
    assert!(a.exchange.withdraw(&provided.root));
    assert!(!a.exchange.withdraw(&provided.root));
    eventually("no root", || announced().is_empty().then_some(())).await;
    mesh.stop().await;
}

#[tokio::test]
async fn more_roots_than_the_dht_takes_have_their_turns() {
    let mesh = Mesh::apart(1).start().await;
    let mut quick = config();
    quick.announce_interval = Duration::from_millis(20);
    let a = Peer::with(&mesh[0], quick);
    *a.known.room.lock().unwrap() = Some(3);
    for seed in 0..10 {
        a.exchange.provide(*leaf(60 + seed, 10).cid());
    }
    let ever = || a.known.ever.lock().unwrap().len();
    eventually("every root had its turn", || (ever() == 10).then_some(())).await;
    assert!(a.known.announced.lock().unwrap().len() <= 3);
    mesh.stop().await;
}
