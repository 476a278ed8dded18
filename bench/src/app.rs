//! Runs the web app that the bench calls on each measured route; the app echoes small bodies and streams
//! large ones.

use std::{convert::Infallible, net::SocketAddr};

use bytes::Bytes;
use futures::stream;
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::{
    Request, Response,
    body::{Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// One chunk of a large body.
const CHUNK: usize = 64 * 1024;

type Body = BoxBody<Bytes, Infallible>;

/// Serves the web app until the process is killed.
pub(crate) async fn serve(listen: SocketAddr) -> anyhow::Result<()> {
    let listener = TcpListener::bind(listen).await?;
    crate::say::line(listener.local_addr()?)?;
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        tokio::spawn(async move {
            let service = service_fn(answer);
            // A client may leave in the middle of a bench.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(socket), service)
                .await;
        });
    }
}

/// Streams N bytes for `/bytes/N`, and echoes the body of any other request.
async fn answer(request: Request<Incoming>) -> Result<Response<Body>, hyper::Error> {
    let size = request.uri().path().strip_prefix("/bytes/");
    if let Some(size) = size.and_then(|size| size.parse::<u64>().ok()) {
        return Ok(Response::new(large(size)));
    }
    let body = request.into_body().collect().await?.to_bytes();
    Ok(Response::new(Full::new(body).boxed()))
}

fn large(size: u64) -> Body {
    let chunk = Bytes::from(vec![b'x'; CHUNK]);
    let frames = stream::unfold(size, move |left| {
        let chunk = chunk.clone();
        async move {
            let take = left.min(CHUNK as u64);
            let frame = Frame::data(chunk.slice(..usize::try_from(take).unwrap_or(CHUNK)));
            (take > 0).then_some((Ok(frame), left - take))
        }
    });
    BodyExt::boxed(StreamBody::new(frames))
}
