//! Connections that leave HTTP behind.

use futures::{SinkExt, StreamExt};
use hyper::{HeaderMap, Request, Response, StatusCode, body::Incoming, upgrade::Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{handshake::derive_accept_key, protocol::Role},
};

use super::{
    bodies::{Body, empty},
    headers::set,
    state::State,
};

/// Answers 101 and echoes messages.
pub(crate) fn websocket(request: Request<Incoming>, state: &State) -> Response<Body> {
    let Some(key) = request.headers().get("sec-websocket-key") else {
        let mut response = Response::new(empty());
        *response.status_mut() = StatusCode::BAD_REQUEST;
        return response;
    };
    let accept = derive_accept_key(key.as_bytes());
    let guard = state.waiting.enter();
    upgraded(request, move |io| async move {
        let _guard = guard;
        let mut socket = WebSocketStream::from_raw_socket(io, Role::Server, None).await;
        while let Some(Ok(message)) = socket.next().await {
            let data = message.is_text() || message.is_binary();
            if data && socket.send(message).await.is_err() {
                return;
            }
        }
    });
    switched("websocket", |headers| {
        set(headers, "sec-websocket-accept", &accept);
    })
}

/// Answers 101 and echoes bytes.
pub(crate) fn echo(request: Request<Incoming>, state: &State) -> Response<Body> {
    let guard = state.waiting.enter();
    upgraded(request, move |mut io| async move {
        let _guard = guard;
        let mut buffer = [0; 1024];
        while let Ok(n @ 1..) = io.read(&mut buffer).await {
            if io.write_all(&buffer[..n]).await.is_err() || io.flush().await.is_err() {
                return;
            }
        }
        let _ = io.shutdown().await;
    });
    switched("echo", |_| ())
}

fn upgraded<F>(
    request: Request<Incoming>,
    then: impl FnOnce(TokioIo<Upgraded>) -> F + Send + 'static,
) where
    F: Future<Output = ()> + Send,
{
    tokio::spawn(async move {
        if let Ok(upgraded) = hyper::upgrade::on(request).await {
            then(TokioIo::new(upgraded)).await;
        }
    });
}

fn switched(protocol: &str, more: impl FnOnce(&mut HeaderMap)) -> Response<Body> {
    let mut response = Response::new(empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    set(headers, "connection", "upgrade");
    set(headers, "upgrade", protocol);
    more(headers);
    response
}
