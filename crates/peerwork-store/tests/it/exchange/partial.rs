//! Providers that have only a part of a DAG.

use std::time::Duration;

use peerwork_store::{
    DAG_PB,
    exchange::{
        FetchEvent, FetchOptions,
        wire::{Entry, Outgoing, Presence, WantType, cid_of},
    },
};
use peerwork_testkit::{DEADLINE, Mesh, eventually};
use tokio::time::timeout;

use super::kit::{Fake, Peer, config, message, tree};

/// Settings with which nothing helps a fetch but the answers of its providers.
fn without_searches() -> peerwork_store::ExchangeConfig {
    let mut config = config();
    config.find_interval = Duration::from_secs(600);
    config.silence = DEADLINE;
    config.patience = DEADLINE;
    config
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_providers_with_a_half_each_give_the_whole() {
    let mesh = Mesh::star(3).start().await;
    let asker = Peer::with(&mesh[0], without_searches());
    let halves = [Peer::new(&mesh[1]), Peer::new(&mesh[2])];
    let tree = tree(91, 1000, 3000);
    let (mut of_one, mut of_other) = (Vec::new(), Vec::new());
    for (number, block) in tree.blocks.iter().enumerate() {
        let is_node = block.cid().codec() == DAG_PB;
        let first_half = number < tree.blocks.len() / 2;
        if is_node || first_half {
            of_one.push(block.clone());
        }
        if is_node || !first_half {
            of_other.push(block.clone());
        }
    }
    halves[0].put(&of_one);
    halves[1].put(&of_other);
    let options = FetchOptions {
        named: vec![mesh.id(1), mesh.id(2)],
        ..FetchOptions::default()
    };
    let mut most = 0;
    let fetch = asker.exchange.fetch(tree.root, options, |event| {
        if let FetchEvent::Progress(progress) = event {
            most = most.max(progress.providers);
        }
    });
    let fetched = timeout(DEADLINE, fetch).await.unwrap().unwrap();
    assert!(asker.has(&tree.blocks));
    assert_eq!(fetched.received.duplicate_bytes, 0);
    assert_eq!(most, 2, "the nodes that deliver");
    for half in [1, 2] {
        let blocks = asker.blocks_from(mesh.id(half));
        assert!(blocks >= 400, "{blocks} blocks came from node {half}");
    }
    mesh.stop().await;
}

/// The first part of the DAG is only at a node that keeps its wants and is silent about them, and the last
/// part only at another node.
#[tokio::test]
async fn a_provider_that_lacks_the_next_blocks_gives_later_ones() {
    let mesh = Mesh::star(3).start().await;
    let asker = Peer::with(&mesh[0], without_searches());
    let last = Peer::new(&mesh[1]);
    let tree = tree(92, 1600, 200);
    let (nodes, leaves): (Vec<_>, Vec<_>) = tree
        .blocks
        .iter()
        .cloned()
        .partition(|block| block.cid().codec() == DAG_PB);
    let (kept, given) = leaves.split_at(1300);
    last.put(&nodes);
    last.put(given);
    let (kept, given) = (kept.to_vec(), given.to_vec());
    let here = move |entry: &Entry| {
        let cid = cid_of(&entry.block)?;
        if let Some(block) = nodes.iter().find(|block| *block.cid() == cid) {
            return Some(message(block));
        }
        let is_kept = kept.iter().any(|block| *block.cid() == cid);
        let silent = is_kept && entry.want_type == i32::from(WantType::Block);
        if silent {
            return None;
        }
        let mut said = Outgoing::default();
        let presence = match is_kept {
            true => Presence::Present,
            false => Presence::Absent,
        };
        said.add_presence(&cid, presence);
        Some(said)
    };
    let _fake = Fake::new(&mesh[2], move |entry| here(entry).into_iter().collect());
    let options = FetchOptions {
        named: vec![mesh.id(1), mesh.id(2)],
        ..FetchOptions::default()
    };
    let fetch = asker.exchange.fetch(tree.root, options, |_| ());
    tokio::select! {
        fetched = fetch => panic!("the first part cannot be had: {:?}", fetched.err()),
        () = eventually("the last part", || asker.has(&given).then_some(())) => {}
    }
    mesh.stop().await;
}
