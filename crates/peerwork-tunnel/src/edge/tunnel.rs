//! Serves one tunnel at its edge: checks the caller, dials the app, copies bytes.

use std::{io, sync::Arc, time::Duration};

use peerwork_identity::NodeId;
use peerwork_limits::{Full, Origin};
use peerwork_net::InboundStream;
use tokio::{io::AsyncWriteExt, time::timeout};

use super::{
    app::{self, Connected},
    failures::Refused,
    guarded::Guarded,
    shared::Shared,
    socket::Socket,
};
use crate::{
    copy::{Copied, copy_both},
    keys::{Denied, KeyText},
    metrics::EdgeMetrics,
    stream::{Pipe, TunnelStream},
    wire::{self, Accepted, Answer, Head, Kind, Reason, Refusal},
};

/// How long a caller may take to send its head, and to read the answer.
const TALK_DEADLINE: Duration = Duration::from_secs(10);
/// How long an app may go on sending after the ingress ended its direction. The ingress ends it only
/// after the last request.
const LINGER: Duration = Duration::from_secs(10);

/// The stream of one caller, from its head to the end of the tunnel.
struct Tunnel {
    shared: Arc<Shared>,
    caller: NodeId,
    /// The port of the head, once it was read.
    port: Option<u16>,
    stream: TunnelStream,
}

/// A tunnel that passed the checks, with the connection to its app.
struct Granted {
    head: Head,
    app: Connected,
    /// The id of the key that the caller sent.
    key: Option<String>,
}

/// Serves one inbound stream. The stream keeps its place in the network's bounds until the tunnel ends.
pub(super) async fn answer(shared: Arc<Shared>, inbound: InboundStream) {
    let InboundStream {
        node: caller,
        origin,
        stream,
        place: _place,
        ..
    } = inbound;
    admit(shared, caller, origin, TunnelStream::Network(stream)).await;
}

/// Serves a tunnel of the node's own ingress or forwarder, which takes no place in the network's
/// bounds.
pub(super) async fn answer_own(shared: Arc<Shared>, pipe: Pipe) {
    let caller = shared.node;
    admit(shared, caller, None, TunnelStream::Own(pipe)).await;
}

/// Serves a tunnel while the edge has a place for it, or answers `Full`.
async fn admit(shared: Arc<Shared>, caller: NodeId, origin: Option<Origin>, stream: TunnelStream) {
    let tunnel = shared.tunnels.take(caller, origin);
    let this = Tunnel {
        shared,
        caller,
        port: None,
        stream,
    };
    match tunnel {
        Ok(_tunnel) => this.run().await,
        Err(full) => this.refuse_full(full).await,
    }
}

impl Tunnel {
    async fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let grant = self.grant();
        let granted = match shared.stop.run_until_cancelled(grant).await {
            Some(Ok(granted)) => granted,
            Some(Err(refusal)) => return self.refuse(refusal).await,
            None => {
                let detail = "the edge is stopping";
                return self.refuse(refused(Reason::ShuttingDown, detail)).await;
            }
        };
        self.carry(granted).await;
    }

    /// Answers `Full` without waiting for the head.
    async fn refuse_full(self, full: Full) {
        tracing::debug!(caller = %self.caller, %full, "no place for a tunnel");
        let detail = "as many tunnels are open as the edge allows";
        self.refuse(refused(Reason::Full, detail)).await;
    }

    async fn refuse(mut self, refusal: Refusal) {
        self.shared.metrics.refused(refusal.reason);
        self.shared.failures.log(&Refused {
            caller: self.caller,
            port: self.port,
            refusal: &refusal,
        });
        let answer = wire::encode_answer(&Answer::Err(refusal));
        let write = async {
            wire::write_message(&mut self.stream, &answer).await?;
            self.stream.shutdown().await
        };
        // A caller that does not read the answer in time sees a reset.
        let _ = timeout(TALK_DEADLINE, write).await;
    }

    /// Checks the caller, the port and the key, and dials the app only after that.
    async fn grant(&mut self) -> Result<Granted, Refusal> {
        let config = &self.shared.config;
        if let Some(callers) = &config.callers
            && !callers.contains(&self.caller)
        {
            let detail = "this edge is not open to the calling node";
            return Err(refused(Reason::CallerNotAllowed, detail));
        }
        let message = timeout(TALK_DEADLINE, wire::read_message(&mut self.stream)).await;
        let message = message.map_err(|_| refused(Reason::Malformed, "no head in time"))?;
        let head = message.and_then(|message| Head::decode(&message));
        let head = head.map_err(|error| refused(Reason::Malformed, &error.to_string()))?;
        self.port = Some(head.port);
        if !config.ports.contains(&head.port) {
            let detail = format!("port {} is not offered by this edge", head.port);
            return Err(refused(Reason::PortNotAllowed, &detail));
        }
        let key = self.check_key(&head)?;
        if let Some(repeated) = head.repeats
            && !self.shared.records.seal(self.caller, repeated)
        {
            let detail = "the app may have got the request before the connection to it ended";
            return Err(refused(Reason::MayHaveArrived, detail));
        }
        let app = app::connect(&self.shared, &head).await?;
        Ok(Granted { head, app, key })
    }

    fn check_key(&self, head: &Head) -> Result<Option<String>, Refusal> {
        let Some(keys) = &self.shared.config.auth else {
            return Ok(None);
        };
        let Some(text) = &head.key else {
            let detail = match head.kind {
                Kind::Http => "send a key of this edge as Peerwork-Edge-Key",
                Kind::Tcp => "send a key of this edge",
            };
            return Err(refused(Reason::KeyMissing, detail));
        };
        let key: KeyText = text
            .parse()
            .map_err(|error| refused(Reason::KeyInvalid, &format!("{error}")))?;
        match keys.verify(&key, self.shared.node, head.port) {
            Ok(()) => Ok(Some(key.id())),
            Err(error @ Denied::Unknown) => Err(refused(Reason::KeyInvalid, &error.to_string())),
            Err(error @ Denied::Elsewhere) => {
                Err(refused(Reason::CallerNotAllowed, &error.to_string()))
            }
        }
    }

    async fn carry(mut self, granted: Granted) {
        let Granted { head, app, key } = granted;
        let Connected { socket, speaks } = app;
        let mut open = Open::begin(&self.shared, socket);
        let linger = (head.kind == Kind::Http).then_some(LINGER);
        let records = &self.shared.records;
        let record = head
            .keeps
            .then(|| records.begin(self.caller, head.request_id));
        let mut app = Guarded::new(&mut open.app, record);
        let stream = &mut self.stream;
        let work = async {
            let unsent = head.repeats.is_some();
            let answer = wire::encode_answer(&Answer::Ok(Accepted { speaks, unsent }));
            timeout(TALK_DEADLINE, wire::write_message(stream, &answer))
                .await
                .map_err(io::Error::from)??;
            copy_both(stream, &mut app, &mut open.copied, linger).await
        };
        let result = tokio::select! {
            biased;
            () = self.shared.stop.cancelled() => Err(io::Error::other("the edge is stopping")),
            () = revoked(&self.shared, head.port, key) => {
                Err(io::Error::other("the key was revoked or expired"))
            }
            result = work => result,
        };
        open.complete = result.is_ok();
        tracing::debug!(
            caller = %self.caller,
            port = head.port,
            request_id = %head.request_id,
            to_app = open.copied.forth,
            from_app = open.copied.back,
            error = result.err().map(tracing::field::display),
            "tunnel finished"
        );
    }
}

/// The connection to the app of an open tunnel. Dropping it counts the tunnel's end, also when the task
/// is cancelled.
struct Open<'a> {
    metrics: &'a EdgeMetrics,
    app: Socket,
    copied: Copied,
    complete: bool,
}

impl<'a> Open<'a> {
    fn begin(shared: &'a Shared, app: Socket) -> Self {
        shared.metrics.accepted();
        shared.metrics.open.inc();
        Self {
            metrics: &shared.metrics,
            app,
            copied: Copied::default(),
            complete: false,
        }
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if !self.complete {
            // Both app and caller see a reset: a transfer that broke off must not look complete.
            self.app.reset_on_drop();
        }
        self.metrics.carried(self.copied);
        self.metrics.open.dec();
    }
}

/// Waits until the key that opened a tunnel is revoked or has expired.
async fn revoked(shared: &Shared, port: u16, key: Option<String>) {
    match (&shared.config.auth, key) {
        (Some(keys), Some(id)) => keys.revoked(&id, shared.node, port).await,
        _ => std::future::pending().await,
    }
}

fn refused(reason: Reason, detail: &str) -> Refusal {
    Refusal {
        reason,
        detail: detail.to_owned(),
    }
}
