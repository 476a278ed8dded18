//! Memory of bytes that streams hold: nodes send bytes that the other side never reads.

use peerwork_net::{Network, Path, Protocol};
use peerwork_testkit::eventually;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
    task::JoinHandle,
};

use crate::node::{address, config, connect, relay_config, soon, start, streams};

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
async fn bounded() -> Network {
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
async fn unread_streams_over_circuits_are_within_the_same_bound() {
    let (relay, server) = (start(relay_config()).await, bounded().await);
    let _held = serve(&server);
    let reserved = server.reserve(&address(&relay), soon()).await.unwrap();
    let caller = || async {
        let mut settings = config();
        settings.hole_punching = false;
        let node = start(settings).await;
        let circuit = vec![reserved.address()];
        let dialled = node.dial(server.node_id(), circuit, soon());
        dialled.await.unwrap();
        assert_eq!(node.path(server.node_id()), Some(Path::Relayed));
        node
    };
    let mut nodes = Vec::new();
    let mut writers = Vec::new();
    for _ in 0..3 {
        let node = caller().await;
        writers.extend(fill(&node, &server).await);
        nodes.push(node);
    }
    resets(&writers).await;
    echo(&caller().await, &server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_nodes_fill_and_the_server_never_reads_are_reset_and_others_go_on() {
    let server = bounded().await;
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
