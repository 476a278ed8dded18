//! Streams between this node and go-libp2p, an independent implementation, over each transport.
//!
//! `cargo xtask test` builds the program in `tests/go` and sets `PEERWORK_TEST_GO` to its path; without
//! the variable the tests have nothing to run.

use std::{
    io::{Error, ErrorKind},
    path::PathBuf,
    process::Stdio,
    time::Duration,
};

use multiaddr::Multiaddr;
use peerwork_identity::NodeAddress;
use peerwork_net::{Network, Protocol, Served, Stream};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    sync::mpsc,
    time::timeout,
};

use crate::node::{config, soon, start, streams};

/// The listener returns all bytes and then ends the stream.
static ECHO: Protocol = Protocol::bare("/interop/echo/1");
/// The listener answers four bytes, and resets the stream when another byte has arrived. Over QUIC, bytes
/// that were sent just before a reset may be lost.
static RESET: Protocol = Protocol::bare("/interop/reset/1");
/// The listener answers four bytes and then waits for a reset.
static WAIT: Protocol = Protocol::bare("/interop/wait/1");

const BULK_BYTES: usize = 20 << 20;
const DEADLINE: Duration = Duration::from_secs(60);

/// A command of the program in `tests/go`. `None` without the variable.
fn go(arguments: &[&str]) -> Option<Command> {
    let program = std::env::var_os("PEERWORK_TEST_GO").map(PathBuf::from)?;
    assert!(
        program.is_file(),
        "{} is missing; `cargo xtask setup` builds it from tests/go, which needs Go",
        program.display()
    );
    let mut command = Command::new(program);
    command.args(arguments).kill_on_drop(true);
    Some(command)
}

async fn echo(mut stream: Stream) {
    let (mut reader, mut writer) = tokio::io::split(&mut stream);
    if tokio::io::copy(&mut reader, &mut writer).await.is_ok() {
        let _ = stream.shutdown().await;
    }
}

async fn answer(stream: &mut Stream) -> Result<(), Error> {
    stream.read_exact(&mut [0; 4]).await?;
    stream.write_all(b"back").await?;
    stream.flush().await
}

/// The node's services; the channel reports how the streams of [`WAIT`] ended.
fn serve(node: &Network) -> ([Served; 3], mpsc::Receiver<Result<usize, ErrorKind>>) {
    let (ends, ended) = mpsc::channel(8);
    let echo = node.serve_each(ECHO.clone(), streams(512), |inbound| echo(inbound.stream));
    let reset = node.serve_each(RESET.clone(), streams(8), |mut inbound| async move {
        if answer(&mut inbound.stream).await.is_ok() {
            let _ = inbound.stream.read_exact(&mut [0]).await;
        }
    });
    let wait = node.serve_each(WAIT.clone(), streams(8), move |mut inbound| {
        let ends = ends.clone();
        async move {
            let answered = answer(&mut inbound.stream).await;
            let end = match answered {
                Ok(()) => inbound.stream.read(&mut [0]).await,
                Err(error) => Err(error),
            };
            let _ = ends.send(end.map_err(|error| error.kind())).await;
        }
    });
    ([echo, reset, wait].map(Result::unwrap), ended)
}

/// The bytes that pass between a go-libp2p host and this node.
struct Load {
    /// Streams that are open at once, each with 16 KiB each way.
    streams: usize,
    /// Bytes each way on one stream.
    bulk: usize,
}

const FULL: Load = Load {
    streams: 200,
    bulk: BULK_BYTES,
};
/// SCTP and DTLS are slow without optimization.
#[cfg(feature = "webrtc")]
const LIGHT: Load = Load {
    streams: 24,
    bulk: 1 << 20,
};

/// A go-libp2p host dials this node, opens many streams at once, sends bytes each way, and sees a reset.
async fn go_dials(listen: &str, flags: &[&str], load: Load) {
    let mut settings = config();
    settings.listen = vec![listen.parse().unwrap()];
    let node = start(settings).await;
    let (_served, mut ended) = serve(&node);
    let address = node.listen_addresses().borrow()[0].clone();
    let address = address.with_p2p(*node.node_id().as_peer_id()).unwrap();
    let address = address.to_string();
    let [count, bulk] = [load.streams, load.bulk].map(|number| number.to_string());
    let arguments = [flags, &["streams", &address, &count, &bulk]].concat();
    let Some(mut program) = go(&arguments) else {
        return;
    };
    let output = timeout(DEADLINE, program.output()).await.unwrap().unwrap();
    let saw = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    for part in [
        &format!(r#""streams":{count}"#),
        &format!(r#""echoed":{bulk},"#),
        r#""ended":"reset""#,
        r#""connections":1"#,
    ] {
        assert!(saw.contains(part), "{address} {flags:?}: {saw}{errors}");
    }
    let end = timeout(DEADLINE, ended.recv()).await.unwrap().unwrap();
    assert_eq!(end, Err(ErrorKind::ConnectionReset), "{address} {flags:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn go_libp2p_dials_by_quic_and_streams_end_and_reset_as_they_should() {
    go_dials("/ip4/127.0.0.1/udp/0/quic-v1", &[], FULL).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn go_libp2p_dials_by_tcp_with_tls_or_noise() {
    for security in ["tls", "noise"] {
        go_dials("/ip4/127.0.0.1/tcp/0", &["-security", security], FULL).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn go_libp2p_dials_by_websocket() {
    go_dials("/ip4/127.0.0.1/tcp/0/ws", &[], FULL).await;
}

#[cfg(feature = "webrtc")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn go_libp2p_dials_by_both_versions_of_webrtc_direct() {
    for version in ["1", "2"] {
        let flags = ["-webrtc", version];
        go_dials("/ip4/127.0.0.1/udp/0/webrtc-direct", &flags, LIGHT).await;
    }
}

/// A listening go-libp2p host, which ends with its input.
struct Listener {
    _program: Child,
    lines: Lines<BufReader<ChildStdout>>,
    at: NodeAddress,
}

impl Listener {
    async fn start(listen: &str) -> Option<Self> {
        let mut program = go(&["listen", listen])?;
        let pipes = program.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut program = pipes.spawn().unwrap();
        let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
        let line = timeout(DEADLINE, lines.next_line()).await.unwrap();
        let line = line.unwrap().unwrap();
        let address = line.strip_prefix(r#"{"address":""#);
        let address = address.and_then(|rest| rest.strip_suffix(r#""}"#));
        Some(Self {
            at: address.unwrap().parse().unwrap(),
            _program: program,
            lines,
        })
    }
}

/// Sends `length` bytes to the echo of the other node while it reads them back.
async fn echoed(node: &Network, to: &Listener, length: usize) {
    let mut stream = node.open(to.at.node, &ECHO, soon()).await.unwrap();
    let sent: Vec<u8> = (0..length).map(|n| (n * 31 % 251) as u8).collect();
    let mut received = Vec::new();
    let (mut reader, mut writer) = tokio::io::split(&mut stream);
    let writing = async {
        writer.write_all(&sent).await?;
        writer.shutdown().await
    };
    let both = async { tokio::join!(writing, reader.read_to_end(&mut received)) };
    let (written, read) = timeout(DEADLINE, both).await.unwrap();
    written.unwrap();
    read.unwrap();
    assert!(sent == received, "{} of {length}", received.len());
}

async fn greet(node: &Network, to: &Listener, protocol: &Protocol) -> Stream {
    let mut stream = node.open(to.at.node, protocol, soon()).await.unwrap();
    stream.write_all(b"here").await.unwrap();
    stream.read_exact(&mut [0; 4]).await.unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn this_node_dials_go_libp2p_by_each_transport() {
    for listen in [
        "/ip4/127.0.0.1/udp/0/quic-v1",
        "/ip4/127.0.0.1/tcp/0",
        "/ip4/127.0.0.1/tcp/0/ws",
    ] {
        let Some(mut listener) = Listener::start(listen).await else {
            return;
        };
        let node = start(config()).await;
        let addresses: Vec<Multiaddr> = vec![listener.at.transport.clone()];
        let dialled = node.dial(listener.at.node, addresses, soon()).await;
        dialled.unwrap();
        let many = (0..64).map(|_| echoed(&node, &listener, 16 << 10));
        futures::future::join_all(many).await;
        echoed(&node, &listener, BULK_BYTES).await;

        let mut reset = greet(&node, &listener, &RESET).await;
        reset.write_all(b"!").await.unwrap();
        reset.flush().await.unwrap();
        let end = timeout(DEADLINE, reset.read(&mut [0])).await.unwrap();
        let end = end.map_err(|error| error.kind());
        assert_eq!(end, Err(ErrorKind::ConnectionReset), "{listen}");

        drop(greet(&node, &listener, &WAIT).await);
        let line = timeout(DEADLINE, listener.lines.next_line()).await.unwrap();
        let line = line.unwrap().unwrap();
        assert_eq!(line, r#"{"waited":"reset"}"#, "{listen}");
    }
}
