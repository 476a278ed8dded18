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
