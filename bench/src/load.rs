//! Keep-alive load: some connections, each sending one small request after another.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, client::conn::http1::SendRequest, header::HOST};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::JoinSet};

/// The body of a small request.
pub(crate) const SMALL: &[u8] = &[b'a'; 100];

/// The destination of requests: `host:port`, and the path in front of the app's own.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) host: String,
    pub(crate) prefix: String,
}

/// Rate and latency of a load.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Latency {
    pub(crate) per_second: f64,
    pub(crate) p50_us: u32,
    pub(crate) p99_us: u32,
}

/// One HTTP/1.1 connection.
pub(crate) async fn connect(target: &Target) -> anyhow::Result<SendRequest<Full<Bytes>>> {
    let socket = TcpStream::connect(&target.host).await?;
    socket.set_nodelay(true)?;
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

/// A request for `path` below the target's prefix.
pub(crate) fn request(
    target: &Target,
    method: Method,
    path: &str,
    body: &'static [u8],
) -> anyhow::Result<Request<Full<Bytes>>> {
    Ok(Request::builder()
        .method(method)
        .uri(format!("{}{path}", target.prefix))
        .header(HOST, &target.host)
        .body(Full::new(Bytes::from_static(body)))?)
}

/// Sends one small request and checks the answer.
pub(crate) async fn echo(
    sender: &mut SendRequest<Full<Bytes>>,
    target: &Target,
) -> anyhow::Result<()> {
    sender.ready().await?;
    let request = request(target, Method::POST, "/echo", SMALL)?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    anyhow::ensure!(
        status.is_success() && body == SMALL,
        "{status}: {}",
        String::from_utf8_lossy(&body)
    );
    Ok(())
}

/// Loads the target for `duration` on `connections` connections.
pub(crate) async fn run(
    target: &Target,
    connections: usize,
    duration: Duration,
) -> anyhow::Result<Latency> {
    let mut workers = JoinSet::new();
    let start = Instant::now();
    for _ in 0..connections {
        let target = target.clone();
        let mut sender = connect(&target).await?;
        workers.spawn(async move {
            let mut latencies: Vec<u32> = Vec::with_capacity(1 << 16);
            while start.elapsed() < duration {
                let sent = Instant::now();
                echo(&mut sender, &target).await?;
                let micros = sent.elapsed().as_micros();
                latencies.push(u32::try_from(micros).unwrap_or(u32::MAX));
            }
            anyhow::Ok(latencies)
        });
    }
    let mut all = Vec::new();
    while let Some(worker) = workers.join_next().await {
        all.extend(worker.context("a worker panicked")??);
    }
    let seconds = start.elapsed().as_secs_f64();
    all.sort_unstable();
    let at = |share: f64| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an index"
        )]
        let index = (all.len() as f64 * share) as usize;
        all.get(index).copied().unwrap_or_default()
    };
    Ok(Latency {
        per_second: all.len() as f64 / seconds,
        p50_us: at(0.50),
        p99_us: at(0.99),
    })
}
