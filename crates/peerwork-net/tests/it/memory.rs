//! Memory of bytes that streams hold: nodes send bytes that the other side never reads.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use multiaddr::{Multiaddr, Protocol as Part};
use peerwork_identity::NodeId;
use peerwork_net::{Config, Network, Protocol, metering::Buffered};
use peerwork_testkit::{
    eventually,
    link::{Conditions, Links},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
    task::JoinHandle,
};

use crate::{
    node::{address, behind_nat_config, config, connect, relay_config, soon, start, streams},
    relay::hop,
};

static UNREAD: Protocol = Protocol::answered("/test/unread/1");
static ECHO: Protocol = Protocol::answered("/test/echo/1");

const STREAMS: usize = 32;
/// A window of yamux.
const WINDOW: usize = 256 << 10;

/// Accepts streams of [`UNREAD`] and reads none; answers one stream of [`ECHO`].
fn serve(network: &Network) -> mpsc::UnboundedReceiver<peerwork_net::Stream> {
    let (sender, held) = mpsc::unbounded_channel();
    let mut unread = network.serve(UNREAD.clone(), streams(256)).unwrap();
    let mut echo = network.serve(ECHO.clone(), streams(16)).unwrap();
    tokio::spawn(async move {
        while let Some(inbound) = unread.next().await {
            sender.send(inbound.stream).unwrap();
        }
    });
    tokio::spawn(async move {
        let inbound = echo.next().await.unwrap();
        let (mut read, mut write) = tokio::io::split(inbound.stream);
        tokio::io::copy(&mut read, &mut write).await.unwrap();
        write.shutdown().await.unwrap();
    });
    held
}

async fn echo(from: &Network, to: &Network) {
    let stream = from.open(to.node_id(), &ECHO, soon()).await.unwrap();
    let (mut read, mut write) = tokio::io::split(stream);
    let ask = async {
        write.write_all(&vec![7; 4 * WINDOW]).await.unwrap();
        write.shutdown().await.unwrap();
    };
    let mut answer = Vec::new();
    let (_, received) = tokio::join!(ask, read.read_to_end(&mut answer));
    assert_eq!(received.unwrap(), 4 * WINDOW);
}

/// Opens streams that the server never reads, and writes more to each than its window takes, so that a
/// write ends only when the stream is reset.
async fn fill(node: &Network, server: &Network) -> Vec<JoinHandle<bool>> {
    let mut writers = Vec::new();
    for _ in 0..STREAMS {
        let mut stream = node.open(server.node_id(), &UNREAD, soon()).await.unwrap();
        writers.push(tokio::spawn(async move {
            stream.write_all(&vec![7; 2 * WINDOW]).await.is_err()
        }));
    }
    writers
}

/// A server whose budget leaves 32 of the windows of three nodes.
async fn bounded_server() -> Network {
    let mut settings = config();
    settings.limits.unread_bytes_max = 8 << 20;
    settings.limits.unread_bytes_per_connection_max = 4 << 20;
    start(settings).await
}

async fn resets(writers: &[JoinHandle<bool>]) {
    let ended = || writers.iter().filter(|w| w.is_finished()).count();
    let most = 3 * STREAMS - (8 << 20) / WINDOW;
    eventually("resets", || (ended() >= most).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_nodes_fill_and_the_server_never_reads_are_reset_and_others_go_on() {
    let server = bounded_server().await;
    let _held = serve(&server);
    let mut nodes = Vec::new();
    let mut writers: Vec<JoinHandle<bool>> = Vec::new();
    for _ in 0..3 {
        let node = start(config()).await;
        connect(&node, &server).await;
        writers.extend(fill(&node, &server).await);
        nodes.push(node);
    }
    resets(&writers).await;
    let other = start(config()).await;
    connect(&other, &server).await;
    echo(&other, &server).await;
    for writer in writers {
        if writer.is_finished() {
            assert!(writer.await.unwrap(), "the server read the stream");
        }
    }
}

/// Bounds of the nodes in the tests of circuits.
const BOUNDS: Buffered = Buffered {
    unread_bytes: 8 << 20,
    unsent_bytes: 4 << 20,
};
const UNREAD_PER_CONNECTION: usize = 4 << 20;

fn bounded(mut settings: Config) -> Config {
    let limits = &mut settings.limits;
    limits.unread_bytes_max = BOUNDS.unread_bytes;
    limits.unread_bytes_per_connection_max = UNREAD_PER_CONNECTION;
    limits.unsent_bytes_max = BOUNDS.unsent_bytes;
    limits.unsent_bytes_per_connection_max = 1 << 20;
    // No connection ends for a ping that waits behind the bytes of a test.
    settings.ping_interval = std::time::Duration::from_secs(120);
    settings
}

/// Compares the memory of a node with its bounds. Streams that were reset count until their muxers have
/// dropped them; more than an eighth above the bound ends a connection, which takes a moment too. Each
/// connection may hold 64 KiB of unsent bytes in any case.
fn within_bounds(network: &Network) {
    const RESETTING: usize = BOUNDS.unread_bytes;
    let Buffered {
        unread_bytes,
        unsent_bytes,
    } = network.buffered();
    let connections: usize = network.peers().iter().map(|p| p.connections.len()).sum();
    assert!(
        unread_bytes <= BOUNDS.unread_bytes + RESETTING,
        "{unread_bytes}"
    );
    let always = (connections + 8) * (64 << 10);
    assert!(
        unsent_bytes <= BOUNDS.unsent_bytes + always,
        "{unsent_bytes}"
    );
}

/// Waits until the resets are over and the unread bytes are within their bound.
async fn settled(network: &Network) {
    eventually("the bound of unread bytes", || {
        within_bounds(network);
        (network.buffered().unread_bytes <= BOUNDS.unread_bytes).then_some(())
    })
    .await;
}

fn circuit(relay: &Network, to: NodeId) -> Multiaddr {
    let relay = address(relay);
    relay
        .transport
        .with(Part::P2p(*relay.node.as_peer_id()))
        .with(Part::P2pCircuit)
        .with(Part::P2p(*to.as_peer_id()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn circuits_whose_ends_never_read_stay_within_the_bounds_of_all_nodes() {
    const CALLERS: usize = 6;
    const EACH: usize = 16;
    let relay = start(bounded(relay_config())).await;
    let holder = start(bounded(behind_nat_config())).await;
    let _place = holder.reserve(&address(&relay), soon()).await.unwrap();
    let _held = serve(&holder);
    let mut callers = Vec::new();
    let mut writers: Vec<JoinHandle<bool>> = Vec::new();
    for _ in 0..CALLERS {
        let mut settings = bounded(behind_nat_config());
        settings.hole_punching = false;
        let caller = start(settings).await;
        let through = vec![circuit(&relay, holder.node_id())];
        caller
            .dial(holder.node_id(), through, soon())
            .await
            .unwrap();
        for _ in 0..EACH {
            let mut stream = caller
                .open(holder.node_id(), &UNREAD, soon())
                .await
                .unwrap();
            writers.push(tokio::spawn(async move {
                stream.write_all(&vec![7; 2 * WINDOW]).await.is_err()
            }));
        }
        callers.push(caller);
    }
    assert_eq!(relay.relay_in_use().1, CALLERS);
    // The bound of the holder leaves 32 of 96 windows.
    let most = CALLERS * EACH - BOUNDS.unread_bytes / WINDOW;
    eventually("resets", || {
        callers
            .iter()
            .chain([&relay, &holder])
            .for_each(within_bounds);
        let ended = writers.iter().filter(|w| w.is_finished()).count();
        (ended >= most).then_some(())
    })
    .await;
    settled(&holder).await;
    echo(&callers[0], &holder).await;
    callers
        .iter()
        .chain([&relay, &holder])
        .for_each(within_bounds);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_whose_holder_takes_nothing_stays_within_its_bounds() {
    const CALLERS: usize = 4;
    const EACH: usize = 24;
    let links = Links::default();
    let linked = |mut settings: Config| {
        settings.link = Some(links.of(settings.keypair.node_id()));
        bounded(settings)
    };
    let relay = start(linked(relay_config())).await;
    let holder = start(linked(behind_nat_config())).await;
    let _place = holder.reserve(&address(&relay), soon()).await.unwrap();
    let mut circuits = Vec::new();
    let mut callers = Vec::new();
    for _ in 0..CALLERS {
        let caller = start(bounded(config())).await;
        connect(&caller, &relay).await;
        for _ in 0..EACH {
            let opened = hop::ask(&caller, &relay, &hop::connect(&holder)).await;
            let (status, circuit) = opened.unwrap();
            assert_eq!(status, 100);
            circuits.push(circuit);
        }
        callers.push(caller);
    }
    let stuck = Conditions {
        bytes_per_second: Some(1),
        ..Conditions::CLEAR
    };
    links.set(relay.node_id(), holder.node_id(), stuck);
    let ended = std::sync::Arc::new(AtomicUsize::new(0));
    for mut circuit in circuits {
        let ended = std::sync::Arc::clone(&ended);
        tokio::spawn(async move {
            if circuit.write_all(&vec![7; 8 * WINDOW]).await.is_err() {
                ended.fetch_add(1, Relaxed);
            }
        });
    }
    // 96 circuits of a window and more each do not fit into the relay's bound. The highest amount counts:
    // a relay that resets too slowly ends its callers' connections, and holds nothing afterwards.
    let mut most = 0;
    eventually("unread bytes of circuits, and resets", || {
        within_bounds(&relay);
        within_bounds(&holder);
        most = most.max(relay.buffered().unread_bytes);
        let reset = ended.load(Relaxed) >= CALLERS * EACH / 4;
        (reset && most >= BOUNDS.unread_bytes / 4).then_some(())
    })
    .await;
    settled(&relay).await;
    let other = start(config()).await;
    connect(&other, &relay).await;
}
