//! Memory of bytes that streams hold: nodes send bytes that the other side never reads.

use peerwork_net::{Network, Protocol};
use peerwork_testkit::eventually;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
    task::JoinHandle,
};

use crate::node::{config, connect, soon, start, streams};

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_nodes_fill_and_the_server_never_reads_are_reset_and_others_go_on() {
    let mut settings = config();
    settings.limits.unread_bytes_max = 8 << 20;
    settings.limits.unread_bytes_per_connection_max = 4 << 20;
    let server = start(settings).await;
    let _held = serve(&server);
    let mut nodes = Vec::new();
    let mut writers: Vec<JoinHandle<bool>> = Vec::new();
    for _ in 0..3 {
        let node = start(config()).await;
        connect(&node, &server).await;
        for _ in 0..STREAMS {
            let mut stream = node.open(server.node_id(), &UNREAD, soon()).await.unwrap();
            writers.push(tokio::spawn(async move {
                // The write is larger than the window, so that it ends only when the stream is reset.
                stream.write_all(&vec![7; 2 * WINDOW]).await.is_err()
            }));
        }
        nodes.push(node);
    }
    let ended = || writers.iter().filter(|w| w.is_finished()).count();
    // The bound leaves 32 of 96 windows.
    let most = 3 * STREAMS - (8 << 20) / WINDOW;
    eventually("resets", || (ended() >= most).then_some(())).await;
    let other = start(config()).await;
    connect(&other, &server).await;
    echo(&other, &server).await;
    for writer in writers {
        if writer.is_finished() {
            assert!(writer.await.unwrap(), "the server read the stream");
        }
    }
}
