//! This module upgrades HTTP requests on any path to WebSockets and hands them to the network.

use std::sync::Arc;

use axum::{
    RequestExt as _,
    extract::{Request, State, WebSocketUpgrade},
    http::header,
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use peerwork_listener::{Caller, Proxies};

use super::{
    bytes::{MESSAGE_BYTES_MAX, WebSocketBytes},
    service::FrontService,
};

/// The state that the upgrade handler needs.
#[derive(Clone)]
pub(super) struct Sockets {
    pub(super) service: Arc<dyn FrontService>,
    pub(super) proxies: Proxies,
}

/// Upgrades WebSocket requests, and lets all other requests pass to the pages.
pub(super) async fn or_page(
    State(sockets): State<Sockets>,
    mut request: Request,
    next: Next,
) -> Response {
    let upgrade = request.headers().get(header::UPGRADE);
    if upgrade.is_none_or(|to| !to.as_bytes().eq_ignore_ascii_case(b"websocket")) {
        return next.run(request).await;
    }
    let Some(caller) = request.extensions().get::<Caller>().copied() else {
        return next.run(request).await;
    };
    let remote = sockets.proxies.client(&caller, request.headers()).address;
    let upgrade = match request.extract_parts::<WebSocketUpgrade>().await {
        Ok(upgrade) => upgrade,
        Err(rejection) => return rejection.into_response(),
    };
    upgrade
        .max_message_size(MESSAGE_BYTES_MAX)
        .max_frame_size(MESSAGE_BYTES_MAX)
        // Every message is written at once, because the network itself collects bytes before it
        // flushes.
        .write_buffer_size(0)
        .on_upgrade(async move |socket| {
            let io = WebSocketBytes::new(socket);
            if let Err(error) = sockets.service.accept(io, remote, caller.tls) {
                tracing::debug!(%remote, %error, "a WebSocket was not taken over");
            }
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::net::SocketAddr;

    use axum::{Extension, Router, middleware};
    use futures::SinkExt as _;
    use tokio::{io::AsyncReadExt as _, net::TcpListener, sync::mpsc};
    use tokio_tungstenite::tungstenite::Message;

    use super::{
        super::{PageSettings, RelayReport},
        *,
    };
    use crate::error::ServiceError;

    /// A node that takes every WebSocket.
    struct Taking(mpsc::UnboundedSender<WebSocketBytes>);

    impl FrontService for Taking {
        fn accept(&self, io: WebSocketBytes, _: SocketAddr, _: bool) -> Result<(), ServiceError> {
            self.0.send(io).unwrap();
            Ok(())
        }

        fn report(&self) -> RelayReport {
            unreachable!("the test asks for no page")
        }

        fn page_settings(&self) -> PageSettings {
            unreachable!("the test asks for no page")
        }
    }

    #[tokio::test]
    async fn a_message_of_the_allowed_size_is_read_and_one_byte_more_ends_the_socket() {
        let (taking, mut taken) = mpsc::unbounded_channel();
        let sockets = Sockets {
            service: Arc::new(Taking(taking)),
            proxies: Proxies::new(Vec::new()),
        };
        let caller = Caller {
            address: ([127, 0, 0, 1], 1).into(),
            tls: false,
            https: false,
        };
        let router = Router::new()
            .fallback(|| async {})
            .layer(middleware::from_fn_with_state(sockets, or_page))
            .layer(Extension(caller));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/", listener.local_addr().unwrap());
        let serving = tokio::spawn(async move { axum::serve(listener, router).await });
        for (bytes, fits) in [(MESSAGE_BYTES_MAX, true), (MESSAGE_BYTES_MAX + 1, false)] {
            let (mut client, _) = tokio_tungstenite::connect_async(&url).await.unwrap();
            let message = Message::Binary(vec![7; bytes].into());
            let reading = async {
                let mut socket = taken.recv().await.unwrap();
                let mut all = vec![0; bytes];
                socket.read_exact(&mut all).await.is_ok()
            };
            // The message that is too large may be refused while it is sent.
            let (_, read) = tokio::join!(client.send(message), reading);
            assert_eq!(read, fits, "{bytes}");
        }
        serving.abort();
    }
}
