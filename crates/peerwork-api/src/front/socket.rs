//! WebSockets for the network, on any path.

use axum::{
    RequestExt as _,
    extract::{Request, State, WebSocketUpgrade},
    http::header,
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use super::{WebSocketBytes, bytes::MESSAGE_BYTES_MAX, pages::Pages};
use crate::listener::{RemoteAddress, Secure};

/// Takes what wants to be a WebSocket, and lets everything else pass to the pages.
pub(super) async fn or_page(
    State(pages): State<Pages>,
    mut request: Request,
    next: Next,
) -> Response {
    let upgrade = request.headers().get(header::UPGRADE);
    if upgrade.is_none_or(|to| !to.as_bytes().eq_ignore_ascii_case(b"websocket")) {
        return next.run(request).await;
    }
    let extensions = request.extensions();
    let remote = extensions.get::<RemoteAddress>().map(|remote| remote.0);
    let secure = extensions.get::<Secure>().is_some_and(|secure| secure.0);
    let Some(remote) = remote.map(|remote| pages.proxies.client(remote, request.headers())) else {
        return next.run(request).await;
    };
    let upgrade = match request.extract_parts::<WebSocketUpgrade>().await {
        Ok(upgrade) => upgrade,
        Err(rejection) => return rejection.into_response(),
    };
    upgrade
        .max_message_size(MESSAGE_BYTES_MAX)
        .max_frame_size(MESSAGE_BYTES_MAX)
        // Each message goes out at once: the network collects before it flushes.
        .write_buffer_size(0)
        .on_upgrade(async move |socket| {
            let io = WebSocketBytes::new(socket);
            if let Err(error) = pages.service.accept(io, remote, secure) {
                tracing::debug!(%remote, %error, "a WebSocket was not taken over");
            }
        })
}
