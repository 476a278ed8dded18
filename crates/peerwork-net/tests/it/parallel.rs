//! State that the event loop, the connections and callers on other threads share.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use futures::future::join_all;
use peerwork_net::{Network, Protocol};
use peerwork_testkit::eventually;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::node::{address, config, connect, soon, start, streams};

static SINK: Protocol = Protocol::answered("/test/sink/1");

/// Reads every stream to its end and answers with the number of bytes.
fn serve_sink(network: &Network) {
    let mut incoming = network.serve(SINK.clone(), streams(1024)).unwrap();
    tokio::spawn(async move {
        while let Some(mut inbound) = incoming.next().await {
            tokio::spawn(async move {
                let mut all = Vec::new();
                inbound.stream.read_to_end(&mut all).await?;
                inbound.stream.write_u64(all.len() as u64).await?;
                inbound.stream.shutdown().await
            });
        }
    });
}

async fn send(from: &Network, to: &Network, bytes: usize) {
    let stream = from.open(to.node_id(), &SINK, soon()).await;
    let mut stream = stream.unwrap();
    stream.write_all(&vec![7; bytes]).await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(stream.read_u64().await.unwrap(), bytes as u64);
}

async fn clients(server: &Network, count: usize) -> Vec<Network> {
    let clients = join_all((0..count).map(|_| start(config()))).await;
    join_all(clients.iter().map(|client| connect(client, server))).await;
    clients
}

/// Bytes received from all connected nodes.
fn sum_of_each(network: &Network) -> u64 {
    let peers = network.peers();
    let of_each = peers.iter().filter_map(|peer| network.traffic(peer.node));
    of_each.map(|traffic| traffic.direct_received_bytes).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn meters_add_up_while_streams_carry_bytes() {
    const CLIENTS: usize = 6;
    const STREAMS: usize = 16;
    const BYTES: usize = 64 * 1024;
    let server = start(config()).await;
    serve_sink(&server);
    let clients = clients(&server, CLIENTS).await;
    let all = || (server.peer_count() == CLIENTS).then_some(());
    eventually("all clients", all).await;

    let done = Arc::new(AtomicBool::new(false));
    let (reader, stop) = (server.clone(), Arc::clone(&done));
    let reading = tokio::task::spawn_blocking(move || {
        let mut last = 0;
        while !stop.load(Ordering::SeqCst) {
            let sum = sum_of_each(&reader);
            assert!(last <= sum, "the meters fell from {last} to {sum}");
            last = sum;
        }
    });
    let sends = clients.iter().flat_map(|client| {
        let streams = (0..STREAMS).map(|_| (client.clone(), server.clone()));
        streams.map(|(from, to)| tokio::spawn(async move { send(&from, &to, BYTES).await }))
    });
    for sent in join_all(sends).await {
        sent.unwrap();
    }
    done.store(true, Ordering::SeqCst);
    reading.await.unwrap();
    for client in &clients {
        let traffic = server.traffic(client.node_id()).unwrap();
        assert!(traffic.direct_received_bytes >= (STREAMS * BYTES) as u64);
    }
    eventually("the sum of the meters to be the total", || {
        (sum_of_each(&server) == server.traffic_total().0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn streams_open_while_other_nodes_come_and_go() {
    let server = start(config()).await;
    serve_sink(&server);
    let staying = clients(&server, 3).await;
    let coming = join_all((0..3).map(|_| start(config()))).await;
    let opens = staying.iter().map(|client| {
        let (client, server) = (client.clone(), server.clone());
        tokio::spawn(async move {
            for _ in 0..100 {
                send(&client, &server, 100).await;
                assert!(client.path(server.node_id()).is_some());
            }
        })
    });
    let visits = coming.iter().map(|visitor| {
        let (visitor, server) = (visitor.clone(), server.clone());
        tokio::spawn(async move {
            let to = address(&server);
            for _ in 0..10 {
                connect(&visitor, &server).await;
                send(&visitor, &server, 100).await;
                visitor.disconnect(to.node, soon()).await.unwrap();
                let gone = || visitor.path(to.node).is_none().then_some(());
                eventually("the end of the visit", gone).await;
            }
        })
    });
    for done in join_all(opens.chain(visits)).await {
        done.unwrap();
    }
    eventually("the last visitor's end", || {
        (server.peer_count() == staying.len()).then_some(())
    })
    .await;
    let mut ids: Vec<_> = staying.iter().map(Network::node_id).collect();
    ids.sort();
    let peers = server.peers();
    let connected: Vec<_> = peers.iter().map(|peer| peer.node).collect();
    assert_eq!(connected, ids);
}
