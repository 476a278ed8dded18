//! Delay, loss and large amounts.

use std::time::Duration;

use peerwork_store::exchange::FetchOptions;
use peerwork_testkit::{DEADLINE, Mesh, link::Conditions};
use tokio::time::timeout;

use super::kit::{Peer, tree};

/// A delay would cost a round trip for each block if the window were one block: 400 × 100 ms. The deadline
/// of the test is half of that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_delay_is_filled_by_the_window() {
    let mesh = Mesh::line(2).start().await;
    let (a, b) = (Peer::new(&mesh[0]), Peer::new(&mesh[1]));
    let tree = tree(81, 400, 10_000);
    a.put(&tree.blocks);
    let conditions = Conditions {
        delay: Duration::from_millis(50),
        lost_per_thousand: 2,
        retransmission: Duration::from_millis(100),
        ..Conditions::CLEAR
    };
    mesh.links().set_all(conditions);
    let options = FetchOptions {
        named: vec![a.id()],
        ..FetchOptions::default()
    };
    let fetch = b.exchange.fetch(tree.root, options, |_| ());
    timeout(DEADLINE, fetch).await.unwrap().unwrap();
    assert!(b.has(&tree.blocks));
    mesh.stop().await;
}
