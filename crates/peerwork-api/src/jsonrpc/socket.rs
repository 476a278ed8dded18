//! This module serves the WebSocket at `/edge_ws`: it answers requests, sends node events, and
//! disconnects clients that read too slowly.
//!
//! ```text
//!  client ─▶ read ─▶ dispatch ─ replies wait for room ────┐
//!                                                         ├─▶ queue ─▶ write ─▶ client
//!  node events ─▶ fan out ─ queue full: socket closes ────┘
//! ```
//!
//! A new subscription gets an event for each node that is known already, and then those of nodes that
//! appear or change. The known nodes wait for room in the queue, so that a client may subscribe to a
//! network that is larger than its queue.
//!
//! The three loops run in one task. A client that does not read blocks only its own `read` loop,
//! because replies wait for room in the queue. Its socket is closed when an event finds the queue
//! full, or when one message is not written in time. No other client waits: events are shared, and
//! every socket has its own receiver.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{
        Request, State, WebSocketUpgrade,
        ws::{CloseFrame, Message, Utf8Bytes, WebSocket, rejection::WebSocketUpgradeRejection},
    },
    http::header,
    response::{IntoResponse, Response},
};
use futures::{
    SinkExt as _, StreamExt as _,
    stream::{SplitSink, SplitStream},
};
use peerwork_listener::Place;
use tokio::{
    sync::{broadcast::error::RecvError, mpsc},
    time::{Instant, MissedTickBehavior, interval_at, timeout},
};
use uuid::Uuid;

use crate::{
    codes::INVALID_REQUEST,
    error::ErrorKind,
    events::{EventsService, NodeEvent},
    jsonrpc::{
        dispatch::Session,
        endpoint::{Endpoint, refusal},
        subscriptions::Subscriptions,
        wire,
    },
};

/// The time for sending the close frame to a client that may not read any more.
const CLOSE_DEADLINE: Duration = Duration::from_secs(1);
/// The number of missed pings after which a socket is closed; a second is added for the round trip.
const SILENT_PINGS: u32 = 2;

/// A message queued for the client. Events are shared between sockets and serialized only when they
/// are sent.
enum Outgoing {
    Reply(Message),
    Event {
        subscription: Uuid,
        event: Arc<NodeEvent>,
    },
}

/// The reason why a socket is closed.
enum Ending {
    Closed,
    Stopping,
    SlowReader,
    Silent,
    Unreadable(String),
}

/// Upgrades the HTTP request to a WebSocket.
pub(super) async fn upgrade(
    State(endpoint): State<Endpoint>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    request: Request,
) -> Response {
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(rejection) => return rejection.into_response(),
    };
    if let Some(origin) = request.headers().get(header::ORIGIN)
        && !endpoint.origins.allows(origin)
    {
        let status = axum::http::StatusCode::FORBIDDEN;
        return refusal(status, "pages of this origin may not connect");
    }
    let Some(place) = request.extensions().get::<Place>().cloned() else {
        return refusal(
            ErrorKind::Internal.codes().http,
            "the connection has no place",
        );
    };
    let owned = endpoint.lifetime.tasks.token();
    // Messages of up to twice the limit are read, so that a message slightly above the limit still
    // gets an error answer.
    let read_max = endpoint.limits.request_bytes_max.saturating_mul(2);
    upgrade
        .max_message_size(read_max)
        .max_frame_size(read_max)
        .on_upgrade(move |socket| async move {
            serve(socket, &endpoint).await;
            drop((place, owned));
        })
}

async fn serve(socket: WebSocket, endpoint: &Endpoint) {
    let limits = &endpoint.limits;
    let metrics = &endpoint.dispatcher.metrics;
    let (mut sink, stream) = socket.split();
    let (queue, waiting) = mpsc::channel(limits.queue_max);
    let subscriptions = Subscriptions::new(limits.subscriptions_max, metrics.clone());
    let events = endpoint.dispatcher.services.events().ok();
    let ending = tokio::select! {
        biased;
        () = endpoint.lifetime.cut.cancelled() => return,
        () = endpoint.lifetime.stop.cancelled() => Ending::Stopping,
        ending = write(endpoint, &mut sink, waiting) => ending,
        ending = fan_out(events, &subscriptions, &queue) => ending,
        ending = read(endpoint, stream, &subscriptions, &queue) => ending,
    };
    if matches!(ending, Ending::SlowReader) {
        metrics.slow_readers.inc();
        tracing::debug!("socket closed: its client does not keep up");
    }
    // A client that is gone or does not read misses the close frame; the socket is dropped in any
    // case.
    let _ = timeout(CLOSE_DEADLINE, send_close(&mut sink, ending)).await;
}

async fn write(
    endpoint: &Endpoint,
    sink: &mut SplitSink<WebSocket, Message>,
    mut waiting: mpsc::Receiver<Outgoing>,
) -> Ending {
    let limits = &endpoint.limits;
    let mut ping = interval_at(Instant::now() + limits.ping_interval, limits.ping_interval);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let message = tokio::select! {
            outgoing = waiting.recv() => match outgoing {
                Some(outgoing) => to_message(endpoint, outgoing),
                None => return Ending::Closed,
            },
            _ = ping.tick() => Message::Ping(axum::body::Bytes::new()),
        };
        match timeout(limits.write_deadline, sink.send(message)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Ending::Closed,
            Err(_) => return Ending::SlowReader,
        }
    }
}

fn to_message(endpoint: &Endpoint, outgoing: Outgoing) -> Message {
    match outgoing {
        Outgoing::Reply(message) => message,
        Outgoing::Event {
            subscription,
            event,
        } => {
            endpoint.dispatcher.metrics.events_sent.inc();
            notification(subscription, &event)
        }
    }
}

fn notification(subscription: Uuid, event: &NodeEvent) -> Message {
    #[derive(serde::Serialize)]
    struct Params<'a> {
        subscription: String,
        result: &'a NodeEvent,
    }
    #[derive(serde::Serialize)]
    struct Notification<'a> {
        jsonrpc: &'static str,
        method: &'static str,
        params: Params<'a>,
    }
    let text = wire::to_text(&Notification {
        jsonrpc: "2.0",
        method: "edge_subscription",
        params: Params {
            subscription: subscription.to_string(),
            result: event,
        },
    });
    Message::text(text)
}

async fn fan_out(
    service: Option<&dyn EventsService>,
    subscriptions: &Subscriptions,
    queue: &mpsc::Sender<Outgoing>,
) -> Ending {
    let Some(service) = service else {
        return std::future::pending().await;
    };
    let mut events = service.subscribe();
    loop {
        let event = tokio::select! {
            biased;
            () = subscriptions.answered() => {
                for subscription in subscriptions.follow() {
                    if !send_known(service, subscriptions, subscription, queue).await {
                        return Ending::Closed;
                    }
                }
                continue;
            }
            event = events.recv() => event,
        };
        let event = match event {
            Ok(event) => event,
            Err(RecvError::Lagged(_)) if subscriptions.is_empty() => continue,
            // The socket is closed, because silently missing events would be worse for the client
            // than connecting again.
            Err(RecvError::Lagged(_)) => return Ending::SlowReader,
            // The node is stopping. The stop ends this socket by itself, with its own close code.
            Err(RecvError::Closed) => return std::future::pending().await,
        };
        for subscription in subscriptions.matching(&event) {
            let outgoing = Outgoing::Event {
                subscription,
                event: Arc::clone(&event),
            };
            if queue.try_send(outgoing).is_err() {
                return Ending::SlowReader;
            }
        }
    }
}

/// Queues the events of the known nodes that a subscription selects; false when the queue is gone.
async fn send_known(
    service: &dyn EventsService,
    subscriptions: &Subscriptions,
    subscription: Uuid,
    queue: &mpsc::Sender<Outgoing>,
) -> bool {
    for id in service.known() {
        let event = service.describe(&id);
        let Some(event) = event.filter(|event| subscriptions.selects(subscription, event)) else {
            continue;
        };
        let outgoing = Outgoing::Event {
            subscription,
            event,
        };
        if queue.send(outgoing).await.is_err() {
            return false;
        }
    }
    true
}

async fn read(
    endpoint: &Endpoint,
    mut stream: SplitStream<WebSocket>,
    subscriptions: &Subscriptions,
    queue: &mpsc::Sender<Outgoing>,
) -> Ending {
    let silence_max = endpoint.limits.ping_interval * SILENT_PINGS + CLOSE_DEADLINE;
    loop {
        let message = match timeout(silence_max, stream.next()).await {
            Err(_) => return Ending::Silent,
            Ok(None | Some(Ok(Message::Close(_)))) => return Ending::Closed,
            Ok(Some(Err(error))) => return Ending::Unreadable(error.to_string()),
            Ok(Some(Ok(message))) => message,
        };
        let reply = match message {
            Message::Text(text) => {
                let answer = answer(endpoint, text.as_bytes(), subscriptions).await;
                answer.map(Message::text)
            }
            Message::Binary(bytes) => {
                let answer = answer(endpoint, &bytes, subscriptions).await;
                answer.map(|text| Message::binary(text.into_bytes()))
            }
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) => None,
        };
        if let Some(reply) = reply
            && queue.send(Outgoing::Reply(reply)).await.is_err()
        {
            return Ending::Closed;
        }
        subscriptions.announce();
    }
}

async fn answer(endpoint: &Endpoint, text: &[u8], subscriptions: &Subscriptions) -> Option<String> {
    let max = endpoint.limits.request_bytes_max;
    if text.len() > max {
        let message = format!("the request is larger than {max} bytes");
        return Some(wire::error_text(INVALID_REQUEST, message));
    }
    endpoint
        .dispatcher
        .answer(text, Session::Socket(subscriptions))
        .await
}

/// Sends the close frame with the reason, using the close codes of RFC 6455.
async fn send_close(sink: &mut SplitSink<WebSocket, Message>, ending: Ending) {
    let (code, reason) = match ending {
        Ending::Closed => (1000, "closed"),
        Ending::Stopping => (1001, "the node is stopping"),
        Ending::SlowReader => (1008, "too slow: read faster and subscribe again"),
        Ending::Silent => (1008, "no answer to pings"),
        Ending::Unreadable(error) => {
            let text = wire::error_text(INVALID_REQUEST, format!("unreadable message: {error}"));
            let _ = sink.feed(Message::text(text)).await;
            (1008, "unreadable message")
        }
    };
    let reason = Utf8Bytes::from_static(reason);
    let _ = sink
        .send(Message::Close(Some(CloseFrame { code, reason })))
        .await;
}
