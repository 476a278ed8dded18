//! Sessions as sources of blocks for readers.

use std::sync::Arc;

use peerwork_store::{GetError, Source};
use peerwork_testkit::{DEADLINE, Mesh, eventually, link::Conditions};
use tokio::time::timeout;

use super::kit::{Fake, Peer, leaf, message, tree};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_gets_blocks_of_the_store_and_of_other_nodes() {
    let mesh = Mesh::line(2).start().await;
    let (a, b) = (Peer::new(&mesh[0]), Peer::new(&mesh[1]));
    let tree = tree(71, 150, 2000);
    a.put(&tree.blocks);
    b.put(&tree.blocks[..5]);
    let session: Arc<dyn Source> = Arc::new(b.exchange.session(tree.root, vec![a.id()]));
    for block in &tree.blocks {
        let got = timeout(DEADLINE, session.get(block.cid())).await.unwrap();
        assert_eq!(&got.unwrap(), block);
    }
    // The blocks are kept for others.
    assert!(b.has(&tree.blocks));
    mesh.stop().await;
}

#[tokio::test]
async fn expected_blocks_come_before_they_are_asked_for() {
    let mesh = Mesh::line(2).start().await;
    let (a, b) = (Peer::new(&mesh[0]), Peer::new(&mesh[1]));
    let tree = tree(72, 80, 2000);
    a.put(&tree.blocks);
    let session = b.exchange.session(tree.root, vec![a.id()]);
    let cids: Vec<_> = tree.blocks.iter().map(|block| *block.cid()).collect();
    session.expect(&cids);
    eventually("all blocks", || b.has(&tree.blocks).then_some(())).await;
    assert_eq!(session.received().blocks, tree.blocks.len() as u64);
    for cid in &cids {
        timeout(DEADLINE, session.get(cid)).await.unwrap().unwrap();
    }
    assert_eq!(session.received().blocks, tree.blocks.len() as u64);
    mesh.stop().await;
}

#[tokio::test]
async fn a_reader_does_not_wait_behind_the_blocks_ahead() {
    let mesh = Mesh::line(2).start().await;
    let (a, b) = (Peer::new(&mesh[0]), Peer::new(&mesh[1]));
    let tree = tree(73, 400, 20_000);
    a.put(&tree.blocks);
    let slow = Conditions {
        bytes_per_second: Some(4_000_000),
        ..Conditions::CLEAR
    };
    mesh.links().set_all(slow);
    let session = b.exchange.session(tree.root, vec![a.id()]);
    let cids: Vec<_> = tree.blocks.iter().map(|block| *block.cid()).collect();
    session.expect(&cids);
    eventually("the first blocks", || {
        (session.received().blocks > 1).then_some(())
    })
    .await;
    let last = tree.blocks.last().unwrap();
    let got = timeout(DEADLINE, session.get(last.cid())).await.unwrap();
    assert_eq!(&got.unwrap(), last);
    let received = session.received().blocks;
    assert!(
        received < tree.blocks.len() as u64 - 100,
        "{received} blocks came first"
    );
    mesh.stop().await;
}

#[tokio::test]
async fn a_block_that_nobody_has_is_an_error_that_names_who_was_asked() {
    let mesh = Mesh::line(2).start().await;
    let (a, b) = (Peer::new(&mesh[0]), Peer::new(&mesh[1]));
    let missing = leaf(74, 10);
    let session = b.exchange.session(*missing.cid(), vec![a.id()]);
    let error = timeout(DEADLINE, session.get(missing.cid())).await.unwrap();
    let error = error.unwrap_err();
    assert!(matches!(error, GetError::NotFound { .. }));
    assert!(error.to_string().contains(&a.id().to_string()), "{error}");
    mesh.stop().await;
}

#[tokio::test]
async fn a_session_that_is_dropped_ends_its_wants() {
    let mesh = Mesh::line(2).start().await;
    let b = Peer::new(&mesh[0]);
    let block = leaf(75, 100);
    let fake = Fake::new(&mesh[1], |_| Vec::new());
    let session = b.exchange.session(*block.cid(), vec![mesh.id(1)]);
    let reading = session.get(block.cid());
    let asked = eventually("the want", || (fake.wanted() > 0).then_some(()));
    tokio::select! {
        _ = reading => panic!("nobody answers"),
        () = asked => {}
    }
    drop(session);
    let cancelled = || fake.wants.lock().unwrap().iter().any(|entry| entry.cancel);
    eventually("the cancel", || cancelled().then_some(())).await;
    // A late block harms nobody, and is not stored.
    super::kit::send(&mesh[1], b.id(), vec![message(&block)]).await;
    eventually("the block is read", || {
        let late = b.metric("peerwork_exchange_unasked_bytes_total");
        (late > 0.0).then_some(())
    })
    .await;
    assert_eq!(b.store.get(block.cid()).unwrap(), None);
    mesh.stop().await;
}
