//! Relays whose network is partitioned and healed.

use std::time::Duration;

use peerwork_directory::Reason;
use peerwork_net::config::RelayServer;
use peerwork_testkit::{Mesh, eventually};

use crate::node::{Node, gone, key, relay_config, start_on};

/// Three relays that know the first one as their bootnode, over links that can be cut.
async fn relays() -> (Mesh, Vec<Node>) {
    let keys = [key(), key(), key()];
    let of_nodes = keys.clone();
    let mesh = Mesh::apart(3).configure(move |i, config| {
        config.keypair = of_nodes[i].clone();
        config.relay_server = Some(RelayServer::default());
    });
    let mesh = mesh.start().await;
    let mut nodes = Vec::new();
    for (i, key) in keys.into_iter().enumerate() {
        let mut config = relay_config(&[]);
        config.bootnodes.extend((i > 0).then(|| mesh.address(0)));
        config.expiry = Duration::from_secs(5);
        nodes.push(start_on(mesh[i].clone(), key, config).await);
    }
    (mesh, nodes)
}

async fn all_know_all(nodes: &[Node]) {
    eventually("all relays to know all", || {
        let ids = || nodes.iter().map(Node::id);
        let complete = |node: &Node| ids().all(|id| node.knows(id));
        nodes.iter().all(complete).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn relays_forget_each_other_in_a_partition_and_converge_after_it() {
    let (mesh, nodes) = relays().await;
    all_know_all(&nodes).await;
    let mut events = [nodes[0].directory.events(), nodes[2].directory.events()];
    mesh.partition(&[&[0, 1], &[2]]).await;
    assert_eq!(gone(&mut events[0], nodes[2].id()).await, Reason::Expired);
    assert_eq!(gone(&mut events[1], nodes[0].id()).await, Reason::Expired);
    assert!(nodes[0].knows(nodes[1].id()) && nodes[1].knows(nodes[0].id()));
    mesh.heal();
    all_know_all(&nodes).await;
}
