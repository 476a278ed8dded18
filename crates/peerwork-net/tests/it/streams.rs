//! Opening and serving streams.

use std::{net::SocketAddr, time::Duration};

use peerwork_net::{
    Limits, Network, Protocol,
    error::{OpenError, ServeError},
    streams::SILENT_AFTER,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::Instant,
};

use peerwork_identity::{Keypair, NodeAddress};
use peerwork_testkit::{
    DEADLINE, Door, HeldLink, eventually,
    node::{config_of, key},
};

use crate::{
    node::{address, config, connect, soon, start, streams},
    serving::{dialled, handed},
};

static ECHO: Protocol = Protocol::answered("/test/echo/1");

fn serve_echo(network: &Network) {
    let mut incoming = network.serve(ECHO.clone(), streams(256)).unwrap();
    tokio::spawn(async move {
        while let Some(inbound) = incoming.next().await {
            tokio::spawn(async move {
                let (mut read, mut write) = tokio::io::split(inbound.stream);
                let _ = tokio::io::copy(&mut read, &mut write).await;
                let _ = write.shutdown().await;
            });
        }
    });
}

async fn echo_once(network: &Network, to: peerwork_identity::NodeId, text: &[u8]) {
    let stream = network.open(to, &ECHO, soon()).await.unwrap();
    let (mut read, mut write) = tokio::io::split(stream);
    // The sender and the reader run at once: the echoed bytes must be read before the window of the
    // sent ones opens again.
    let send = async {
        write.write_all(text).await.unwrap();
        write.shutdown().await.unwrap();
    };
    let mut back = Vec::new();
    let (_, received) = tokio::join!(send, read.read_to_end(&mut back));
    received.unwrap();
    assert_eq!(back, text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_carries_bytes_both_ways_and_ends_cleanly() {
    let (server, client) = (start(config()).await, start(config()).await);
    serve_echo(&server);
    connect(&client, &server).await;
    echo_once(&client, server.node_id(), b"hello").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_over_each_transport_carries_bytes() {
    for listen in [
        "/ip4/127.0.0.1/tcp/0",
        "/ip4/127.0.0.1/udp/0/quic-v1",
        "/ip4/127.0.0.1/tcp/0/ws",
        "/ip6/::1/tcp/0",
    ] {
        let mut settings = config();
        settings.listen = vec![listen.parse().unwrap()];
        let (server, client) = (start(settings).await, start(config()).await);
        serve_echo(&server);
        connect(&client, &server).await;
        let long = vec![7; 1 << 20];
        echo_once(&client, server.node_id(), &long).await;
    }
}

/// A node that is connected to `to` and whose process then does not run: its runtime is not driven, so
/// its sockets stay open and answer nothing, as after a power cut.
async fn frozen(keypair: Keypair, to: NodeAddress) -> (tokio::runtime::Runtime, Network) {
    let frozen = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build().unwrap();
        let network = runtime.block_on(async {
            let network = start(config_of(keypair)).await;
            let dialled = network.dial(to.node, vec![to.transport], soon());
            dialled.await.unwrap();
            network
        });
        (runtime, network)
    });
    frozen.await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_node_is_reached_while_the_connection_of_its_former_process_is_silent() {
    let mut settings = config();
    // No ping notices the silence before the test ends.
    settings.ping_interval = Duration::from_secs(3600);
    let relay = start(settings).await;
    let key = key();
    let (runtime, _former) = frozen(key.clone(), address(&relay)).await;
    let restarted = start(config_of(key)).await;
    serve_echo(&restarted);
    connect(&restarted, &relay).await;
    let node = restarted.node_id();
    let connections = || relay.peer(node).map_or(0, |peer| peer.connections.len());
    eventually("both connections", || (connections() == 2).then_some(())).await;
    let opened = relay.open(node, &ECHO, soon()).await;
    assert!(opened.is_ok(), "{opened:?}");
    runtime.shutdown_background();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_opens_on_an_older_connection_when_the_youngest_is_silent() {
    let door = Door::bind().await;
    let (listener, through_link) = (handed(door.address()), dialled(door.address()));
    let mut settings = config();
    settings.handed = vec![listener.clone()];
    let server = start(settings).await;
    let link = HeldLink::default();
    let (handing, held) = (server.clone(), link.clone());
    door.open(move |stream| {
        let remote = SocketAddr::from(([192, 0, 2, 1], 4001));
        let _ = handing.hand_over(held.before(stream), listener.clone(), remote);
    });
    serve_echo(&server);
    let client = start(config()).await;
    connect(&client, &server).await;
    let node = server.node_id();
    let known = client.peer(node).unwrap().connections.clone();
    let further = client.dial_beyond(node, vec![through_link], known, soon());
    further.await.unwrap();
    echo_once(&client, node, b"over the link").await;
    link.set_open(false);
    // Less than the pings need to notice the silence.
    let before_pings = || Instant::now() + Duration::from_secs(4);
    let opened = client.open(node, &ECHO, before_pings()).await;
    assert!(opened.is_ok(), "{opened:?}");
    // The silent connection is not asked first again.
    let at_once = Instant::now() + SILENT_AFTER / 2;
    let opened = client.open(node, &ECHO, at_once).await;
    assert!(opened.is_ok(), "{opened:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_that_dial_a_connected_node_again_at_once_share_one_connection() {
    let (server, client) = (start(config()).await, start(config()).await);
    connect(&client, &server).await;
    let (node, addresses) = (server.node_id(), vec![address(&server).transport]);
    let known = client.peer(node).unwrap().connections.clone();
    let dial = |_| client.dial_beyond(node, addresses.clone(), known.clone(), soon());
    let dials = (0..50).map(dial);
    for dialled in futures::future::join_all(dials).await {
        dialled.unwrap();
    }
    assert_eq!(client.peer(node).unwrap().connections.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_that_give_the_same_connections_up_in_turn_share_one_further_connection() {
    let (server, client) = (start(config()).await, start(config()).await);
    connect(&client, &server).await;
    let (node, addresses) = (server.node_id(), vec![address(&server).transport]);
    let known = client.peer(node).unwrap().connections.clone();
    let count = || client.peer(node).unwrap().connections.len();
    for _ in 0..3 {
        let dialled = client.dial_beyond(node, addresses.clone(), known.clone(), soon());
        dialled.await.unwrap();
        assert_eq!(count(), 2);
    }
    // A caller that knows both of them gets a third.
    let known = client.peer(node).unwrap().connections.clone();
    let dialled = client.dial_beyond(node, addresses, known, soon());
    dialled.await.unwrap();
    assert_eq!(count(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unserved_protocol_is_unsupported() {
    let (server, client) = (start(config()).await, start(config()).await);
    connect(&client, &server).await;
    let opened = client.open(server.node_id(), &ECHO, soon()).await;
    assert_eq!(opened.unwrap_err(), OpenError::Unsupported);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opening_to_a_stranger_says_not_connected() {
    let (server, client) = (start(config()).await, start(config()).await);
    let opened = client.open(server.node_id(), &ECHO, soon()).await;
    assert_eq!(opened.unwrap_err(), OpenError::NotConnected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_is_answered_busy_and_nothing_is_dropped_in_silence() {
    let (server, client) = (start(config()).await, start(config()).await);
    let mut incoming = server.serve(ECHO.clone(), streams(4)).unwrap();
    connect(&client, &server).await;
    let opens = (0..20).map(|_| client.open(server.node_id(), &ECHO, soon()));
    let results = futures::future::join_all(opens).await;
    let accepted = results.iter().filter(|r| r.is_ok()).count();
    let busy = results
        .iter()
        .filter(|r| matches!(r, Err(OpenError::Busy)))
        .count();
    assert_eq!((accepted, busy), (4, 16));
    for _ in 0..4 {
        incoming.next().await.unwrap();
    }
    let opened = client.open(server.node_id(), &ECHO, soon()).await;
    assert!(opened.is_ok(), "room again: {opened:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_stream_is_lost_when_twenty_nodes_open_ten_each_at_once() {
    let server = start(config()).await;
    serve_echo(&server);
    let mut clients = Vec::new();
    for _ in 0..20 {
        let client = start(config()).await;
        connect(&client, &server).await;
        clients.push(client);
    }
    let node = server.node_id();
    let calls = clients.iter().flat_map(|client| {
        (0..10u8).map(move |n| async move { echo_once(client, node, &[n; 100]).await })
    });
    futures::future::join_all(calls).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opens_past_the_parallel_limit_wait_for_earlier_ones() {
    let mut settings = config();
    settings.limits.opens_per_connection_max = 4;
    let (server, client) = (start(config()).await, start(settings).await);
    serve_echo(&server);
    connect(&client, &server).await;
    let calls = (0..100u8).map(|n| echo_once(&client, address(&server).node, vec![n; 10].leak()));
    futures::future::join_all(calls).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_protocol_is_served_once_and_again_after_it_was_dropped() {
    let server = start(config()).await;
    let first = server.serve(ECHO.clone(), streams(1)).unwrap();
    assert!(server.serve(ECHO.clone(), streams(1)).is_err());
    drop(first);
    assert!(server.serve(ECHO.clone(), streams(1)).is_ok());
    let other = |queue| {
        let limits = Limits {
            queue,
            ..Limits::default()
        };
        server.serve(Protocol::bare("/test/other/1"), limits)
    };
    assert_eq!(other(0).unwrap_err(), ServeError::Queue(0));
    assert_eq!(other(65_537).unwrap_err(), ServeError::Queue(65_537));
    assert!(other(1).is_ok() && other(65_536).is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_server_costs_the_opener_its_deadline_only() {
    let (server, client) = (start(config()).await, start(config()).await);
    // The protocol is served and its queue is never read: the answering byte still comes, and the
    // stream then stays silent.
    let _incoming = server.serve(ECHO.clone(), streams(1)).unwrap();
    connect(&client, &server).await;
    let mut stream = client.open(server.node_id(), &ECHO, soon()).await.unwrap();
    let mut byte = [0];
    let read = tokio::time::timeout(Duration::from_millis(50), stream.read(&mut byte)).await;
    assert!(read.is_err(), "nothing was sent");
    let past = client.open(server.node_id(), &ECHO, Instant::now()).await;
    assert!(matches!(past, Err(OpenError::Deadline | OpenError::Busy)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traffic_and_round_trip_time_are_measured() {
    let (server, client) = (start(config()).await, start(config()).await);
    serve_echo(&server);
    connect(&client, &server).await;
    echo_once(&client, server.node_id(), &vec![1; 100_000]).await;
    let traffic = client.traffic(server.node_id()).unwrap();
    assert!(traffic.direct_sent_bytes >= 100_000, "{traffic:?}");
    assert!(traffic.direct_received_bytes >= 100_000, "{traffic:?}");
    assert_eq!(traffic.relayed_sent_bytes, 0);
    peerwork_testkit::eventually("a round-trip time", || {
        client.traffic(server.node_id())?.rtt
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_connection_ends_its_streams_on_both_sides() {
    for listen in ["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"] {
        let mut settings = config();
        settings.listen = vec![listen.parse().unwrap()];
        let (server, client) = (start(settings).await, start(config()).await);
        let mut incoming = server.serve(ECHO.clone(), streams(8)).unwrap();
        connect(&client, &server).await;
        let mut near = client.open(server.node_id(), &ECHO, soon()).await.unwrap();
        let mut far = incoming.next().await.unwrap().stream;
        client.disconnect(server.node_id(), soon()).await.unwrap();
        for stream in [&mut near, &mut far] {
            let mut byte = [0];
            let read = tokio::time::timeout(DEADLINE, stream.read(&mut byte)).await;
            let ended = read.expect("a read must not hang on a closed connection");
            assert!(ended.is_err(), "{listen}: {ended:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_full_of_streams_refuses_one_more_and_goes_on() {
    let (server, client) = (start(config()).await, start(config()).await);
    let mut incoming = server.serve(ECHO.clone(), streams(4096)).unwrap();
    connect(&client, &server).await;
    let node = server.node_id();
    let mut held = Vec::new();
    while held.len() < 3584 {
        let opened = client.open(node, &ECHO, soon()).await.unwrap();
        held.push((opened, incoming.next().await.unwrap().stream));
    }
    let one_more = client.open(node, &ECHO, soon()).await;
    assert_eq!(one_more.unwrap_err(), OpenError::Congested);
    for (near, far) in &mut held {
        near.write_all(b"x").await.unwrap();
        assert_eq!(far.read_u8().await.unwrap(), b'x');
    }
    held.truncate(2047);
    let again = peerwork_testkit::eventually_async("a free place", || async {
        client.open(node, &ECHO, soon()).await.ok()
    });
    again.await;
    assert_eq!(client.peer(node).unwrap().connections.len(), 1);
}
