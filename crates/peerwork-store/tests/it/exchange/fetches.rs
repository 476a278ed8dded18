//! Fetches between nodes that keep the rules.

use std::time::Duration;

use peerwork_store::exchange::{Answer, FetchError, FetchEvent, FetchOptions};
use peerwork_testkit::{DEADLINE, Mesh, eventually, link::Conditions};
use tokio::time::timeout;

use super::kit::{Peer, config, leaf, parent, tree};

fn named(node: peerwork_identity::NodeId) -> FetchOptions {
    FetchOptions {
        named: vec![node],
        ..FetchOptions::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dag_is_fetched_from_a_named_node_once_and_not_again() {
    let mesh = Mesh::line(2).start().await;
    let (a, b) = (Peer::new(&mesh[0]), Peer::new(&mesh[1]));
    let tree = tree(1, 250, 20_000);
    a.put(&tree.blocks);
    let mut last = 0;
    let fetched = b.exchange.fetch(tree.root, named(a.id()), |event| {
        let FetchEvent::Progress(progress) = event else {
            panic!("{event:?}");
        };
        assert!(progress.blocks >= last);
        last = progress.blocks;
    });
    let fetched = timeout(DEADLINE, fetched).await.unwrap().unwrap();
    assert!(b.has(&tree.blocks));
    assert_eq!(fetched.blocks, tree.blocks.len() as u64);
    assert_eq!(fetched.bytes, tree.bytes());
    assert_eq!(fetched.received.blocks, fetched.blocks);
    assert_eq!(fetched.received.bytes, fetched.bytes);
    assert_eq!(fetched.received.duplicate_bytes, 0);
    let report = &fetched.providers[0];
    assert_eq!((report.node, report.answer), (a.id(), Answer::Has));
    assert_eq!(report.blocks, fetched.blocks);
    let again = b.exchange.fetch(tree.root, named(a.id()), |_| ());
    let again = timeout(DEADLINE, again).await.unwrap().unwrap();
    assert_eq!((again.blocks, again.bytes), (fetched.blocks, fetched.bytes));
    assert_eq!(
        b.metric("peerwork_exchange_block_bytes_total{direction=\"received\"}"),
        tree.bytes() as f64
    );
    assert_eq!(
        a.metric("peerwork_exchange_block_bytes_total{direction=\"sent\"}"),
        tree.bytes() as f64
    );
    assert_eq!(b.blocks_from(a.id()), fetched.blocks);
    mesh.stop().await;
}

#[tokio::test]
async fn connected_nodes_are_asked_without_being_named() {
    let mesh = Mesh::star(4).start().await;
    let nodes: Vec<Peer> = (0..4).map(|i| Peer::new(&mesh[i])).collect();
    let tree = tree(2, 20, 1000);
    nodes[3].put(&tree.blocks);
    for other in &nodes[1..] {
        nodes[0].knows(other.id()).await;
    }
    let fetch = nodes[0]
        .exchange
        .fetch(tree.root, FetchOptions::default(), |_| ());
    timeout(DEADLINE, fetch).await.unwrap().unwrap();
    assert!(nodes[0].has(&tree.blocks));
    assert_eq!(
        nodes[0].blocks_from(nodes[3].id()),
        tree.blocks.len() as u64
    );
    mesh.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_providers_share_the_work_by_their_speed() {
    let mesh = Mesh::star(3).start().await;
    let nodes: Vec<Peer> = (0..3).map(|i| Peer::new(&mesh[i])).collect();
    let tree = tree(3, 700, 50_000);
    for provider in &nodes[1..] {
        provider.put(&tree.blocks);
    }
    let slow = Conditions {
        bytes_per_second: Some(4_000_000),
        ..Conditions::CLEAR
    };
    let fast = Conditions {
        bytes_per_second: Some(20_000_000),
        ..Conditions::CLEAR
    };
    mesh.links().set(mesh.id(0), mesh.id(1), slow);
    mesh.links().set(mesh.id(0), mesh.id(2), fast);
    let options = FetchOptions {
        named: vec![mesh.id(1), mesh.id(2)],
        ..FetchOptions::default()
    };
    let fetch = nodes[0].exchange.fetch(tree.root, options, |_| ());
    let fetched = timeout(DEADLINE, fetch).await.unwrap().unwrap();
    let (from_slow, from_fast) = (
        nodes[0].blocks_from(mesh.id(1)),
        nodes[0].blocks_from(mesh.id(2)),
    );
    assert!(
        from_slow > 0 && from_fast > from_slow,
        "{from_slow} {from_fast}"
    );
    // Only wants that were given to another node can come twice.
    assert!(fetched.received.duplicate_bytes <= tree.bytes() / 10);
    mesh.stop().await;
}

#[tokio::test]
async fn a_fetch_goes_on_where_a_crash_ended_it_and_with_another_provider() {
    let mut mesh = Mesh::apart(3).start().await;
    let b = Peer::new(&mesh[0]);
    let (a, c) = (Peer::new(&mesh[1]), Peer::new(&mesh[2]));
    let tree = tree(4, 300, 40_000);
    a.put(&tree.blocks);
    c.put(&tree.blocks);
    let slow = Conditions {
        bytes_per_second: Some(8_000_000),
        ..Conditions::CLEAR
    };
    mesh.links().set(mesh.id(0), mesh.id(1), slow);
    mesh.connect(0, 1).await;
    let exchange = b.exchange.clone();
    let (root, node) = (tree.root, a.id());
    let first = tokio::spawn(async move { exchange.fetch(root, named(node), |_| ()).await });
    let part = || (b.blocks_from(a.id()) > 50).then_some(());
    eventually("a part of the DAG", part).await;
    mesh.kill(1).await;
    mesh.connect(0, 2).await;
    let fetched = timeout(DEADLINE, first).await.unwrap().unwrap().unwrap();
    assert!(b.has(&tree.blocks));
    let (from_a, from_c) = (b.blocks_from(a.id()), b.blocks_from(c.id()));
    assert!(from_c > 0);
    let all = from_a + from_c;
    assert_eq!(all, tree.blocks.len() as u64, "a verified block came twice");
    assert_eq!(fetched.received.blocks, all);
    assert_eq!(fetched.received.duplicate_bytes, 0);
    mesh.stop().await;
}

#[tokio::test]
async fn a_store_that_has_a_part_fetches_only_the_rest() {
    let mesh = Mesh::line(2).start().await;
    let (a, b) = (Peer::new(&mesh[0]), Peer::new(&mesh[1]));
    let tree = tree(5, 200, 3000);
    a.put(&tree.blocks);
    let (here, rest) = tree.blocks.split_at(120);
    b.put(here);
    let fetch = b.exchange.fetch(tree.root, named(a.id()), |_| ());
    let fetched = timeout(DEADLINE, fetch).await.unwrap().unwrap();
    let bytes: u64 = rest.iter().map(|block| block.data().len() as u64).sum();
    assert_eq!(fetched.received.blocks, rest.len() as u64);
    assert_eq!(fetched.received.bytes, bytes);
    assert_eq!(
        a.metric("peerwork_exchange_block_bytes_total{direction=\"sent\"}"),
        bytes as f64
    );
    mesh.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_fetches_of_one_root_share_the_work() {
    let mesh = Mesh::line(2).start().await;
    let (a, b) = (Peer::new(&mesh[0]), Peer::new(&mesh[1]));
    let tree = tree(6, 300, 30_000);
    a.put(&tree.blocks);
    let fetch = || b.exchange.fetch(tree.root, named(a.id()), |_| ());
    let both = async { tokio::join!(fetch(), fetch()) };
    let (one, other) = timeout(DEADLINE, both).await.unwrap();
    assert_eq!(one.unwrap().bytes, tree.bytes());
    assert_eq!(other.unwrap().bytes, tree.bytes());
    assert_eq!(
        a.metric("peerwork_exchange_block_bytes_total{direction=\"sent\"}"),
        tree.bytes() as f64
    );
    mesh.stop().await;
}

#[tokio::test]
async fn a_fetch_of_what_nobody_has_names_who_was_asked_and_their_answers() {
    let mesh = Mesh::star(3).start().await;
    let nodes: Vec<Peer> = (0..3).map(|i| Peer::new(&mesh[i])).collect();
    nodes[0].knows(mesh.id(1)).await;
    nodes[0].knows(mesh.id(2)).await;
    let missing = leaf(7, 100);
    let fetch = nodes[0]
        .exchange
        .fetch(*missing.cid(), named(mesh.id(1)), |_| ());
    let error = timeout(DEADLINE, fetch).await.unwrap().err().unwrap();
    let FetchError::NotFound { cid, asked } = &error else {
        panic!("{error}");
    };
    assert_eq!(cid, missing.cid());
    assert_eq!(asked.0.len(), 2);
    let text = error.to_string();
    for node in [mesh.id(1), mesh.id(2)] {
        assert!(text.contains(&format!("{node} does not have it")), "{text}");
    }
    mesh.stop().await;
}

#[tokio::test]
async fn a_fetch_without_any_node_ends_after_its_patience() {
    let mesh = Mesh::apart(1).start().await;
    let a = Peer::new(&mesh[0]);
    let options = FetchOptions {
        patience: Some(Duration::from_millis(300)),
        ..named(a.id())
    };
    let fetch = a.exchange.fetch(*leaf(8, 10).cid(), options, |_| ());
    let error = timeout(DEADLINE, fetch).await.unwrap().err().unwrap();
    assert!(matches!(error, FetchError::Stalled { .. }), "{error}");
    assert!(error.to_string().contains("no node was asked"), "{error}");
    mesh.stop().await;
}

#[tokio::test]
async fn fetching_from_oneself_works() {
    let mesh = Mesh::apart(1).start().await;
    let a = Peer::new(&mesh[0]);
    let tree = tree(9, 30, 500);
    a.put(&tree.blocks);
    let fetch = a.exchange.fetch(tree.root, named(a.id()), |_| ());
    let fetched = timeout(DEADLINE, fetch).await.unwrap().unwrap();
    assert_eq!(fetched.bytes, tree.bytes());
    assert_eq!(fetched.received.blocks, 0);
    mesh.stop().await;
}

#[tokio::test]
async fn a_provider_that_appears_in_the_middle_is_used() {
    let mesh = Mesh::apart(3).start().await;
    let nodes: Vec<Peer> = (0..3).map(|i| Peer::new(&mesh[i])).collect();
    let tree = tree(10, 200, 5000);
    // The first node has no leaf but the first ones, and the second node connects later.
    nodes[1].put(&tree.blocks[..50]);
    nodes[2].put(&tree.blocks);
    mesh.connect(0, 1).await;
    let networks = (mesh[0].clone(), mesh[2].clone());
    nodes[0].known.networks.lock().unwrap().push(networks);
    let exchange = nodes[0].exchange.clone();
    let (root, node) = (tree.root, mesh.id(1));
    // An unreachable node keeps the fetch alive: it may come back.
    let options = FetchOptions {
        named: vec![node, mesh.id(2)],
        ..FetchOptions::default()
    };
    mesh.links()
        .cut(mesh.id(0), mesh.id(2), peerwork_testkit::link::Cut::Broken);
    let fetch = tokio::spawn(async move { exchange.fetch(root, options, |_| ()).await });
    eventually("the first part", || {
        (nodes[0].blocks_from(node) >= 50).then_some(())
    })
    .await;
    mesh.links()
        .cut(mesh.id(0), mesh.id(2), peerwork_testkit::link::Cut::Open);
    let fetched = timeout(DEADLINE, fetch).await.unwrap().unwrap().unwrap();
    assert_eq!(fetched.received.blocks, tree.blocks.len() as u64);
    assert!(nodes[0].blocks_from(mesh.id(2)) >= 150);
    mesh.stop().await;
}

#[tokio::test]
async fn providers_that_were_found_are_dialled() {
    let mesh = Mesh::apart(2).start().await;
    let (a, b) = (Peer::new(&mesh[0]), Peer::new(&mesh[1]));
    let tree = tree(11, 10, 500);
    b.put(&tree.blocks);
    a.known.nodes.lock().unwrap().push(b.id());
    a.known
        .networks
        .lock()
        .unwrap()
        .push((mesh[0].clone(), mesh[1].clone()));
    let fetch = a.exchange.fetch(tree.root, FetchOptions::default(), |_| ());
    timeout(DEADLINE, fetch).await.unwrap().unwrap();
    assert!(a.has(&tree.blocks));
    mesh.stop().await;
}

#[tokio::test]
async fn the_bounds_of_a_dag_end_a_fetch_just_beyond_them() {
    let mesh = Mesh::line(2).start().await;
    let (a, b) = (Peer::new(&mesh[0]), Peer::new(&mesh[1]));
    let tree = tree(12, 20, 500);
    a.put(&tree.blocks);
    let exact = peerwork_store::dag::Limits {
        depth: 3,
        bytes: tree.bytes(),
        blocks: tree.blocks.len() as u64,
        ..peerwork_store::dag::Limits::default()
    };
    let mut below = [exact; 3];
    below[0].depth -= 1;
    below[1].bytes -= 1;
    below[2].blocks -= 1;
    for limits in below {
        let options = FetchOptions {
            limits,
            ..named(a.id())
        };
        let fetch = b.exchange.fetch(tree.root, options, |_| ());
        let error = timeout(DEADLINE, fetch).await.unwrap().err().unwrap();
        assert!(matches!(error, FetchError::Bound { .. }), "{error}");
    }
    let options = FetchOptions {
        limits: exact,
        ..named(a.id())
    };
    let fetch = b.exchange.fetch(tree.root, options, |_| ());
    timeout(DEADLINE, fetch).await.unwrap().unwrap();
    mesh.stop().await;
}

#[tokio::test]
async fn a_dag_that_repeats_its_blocks_is_fetched_once() {
    let mesh = Mesh::line(2).start().await;
    let (a, b) = (Peer::new(&mesh[0]), Peer::new(&mesh[1]));
    // Forty levels of two equal links: 2^40 paths, 41 blocks.
    let mut blocks = vec![leaf(13, 50)];
    for _ in 0..40 {
        let below = *blocks.last().unwrap().cid();
        blocks.push(parent(&[below, below]));
    }
    a.put(&blocks);
    let root = *blocks.last().unwrap().cid();
    let fetch = b.exchange.fetch(root, named(a.id()), |_| ());
    let fetched = timeout(DEADLINE, fetch).await.unwrap().unwrap();
    assert_eq!(fetched.blocks, 41);
    mesh.stop().await;
}

#[tokio::test]
async fn fetching_works_while_serving_is_switched_off() {
    let mesh = Mesh::line(2).start().await;
    let a = Peer::new(&mesh[0]);
    let mut quiet = config();
    quiet.serve = false;
    let b = Peer::with(&mesh[1], quiet);
    let (there, here) = (tree(14, 20, 900), tree(15, 20, 900));
    a.put(&there.blocks);
    b.put(&here.blocks);
    let fetch = b.exchange.fetch(there.root, named(a.id()), |_| ());
    timeout(DEADLINE, fetch).await.unwrap().unwrap();
    let fetch = a.exchange.fetch(here.root, named(b.id()), |_| ());
    let error = timeout(DEADLINE, fetch).await.unwrap().err().unwrap();
    assert!(matches!(error, FetchError::NotFound { .. }), "{error}");
    assert!(!b.exchange.provide(here.root));
    mesh.stop().await;
}

#[tokio::test]
async fn stopping_ends_fetches_and_tasks() {
    let mesh = Mesh::line(2).start().await;
    let a = Peer::new(&mesh[0]);
    let exchange = a.exchange.clone();
    let fetch = tokio::spawn(async move {
        let cid = *leaf(16, 10).cid();
        exchange.fetch(cid, FetchOptions::default(), |_| ()).await
    });
    eventually("a session", || {
        (a.metric("peerwork_exchange_sessions") > 0.0).then_some(())
    })
    .await;
    assert!(
        a.exchange
            .stop(tokio::time::Instant::now() + DEADLINE)
            .await
    );
    let error = timeout(DEADLINE, fetch)
        .await
        .unwrap()
        .unwrap()
        .err()
        .unwrap();
    assert!(matches!(error, FetchError::Stopped), "{error}");
    let after = a
        .exchange
        .fetch(*leaf(17, 10).cid(), FetchOptions::default(), |_| ());
    let error = timeout(DEADLINE, after).await.unwrap().err().unwrap();
    assert!(matches!(error, FetchError::Stopped), "{error}");
    mesh.stop().await;
}
