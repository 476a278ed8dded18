//! One tunnel at its edge.

use std::{io, sync::Arc, time::Duration};

use peerwork_identity::NodeId;
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    time::{Instant, timeout, timeout_at},
};

use super::Shared;
use crate::{
    copy::{Copied, copy_both},
    keys::{Denied, KeyText},
    limiter::Permit,
    socket,
    stream::TunnelStream,
    wire::{self, Answer, Head, Kind, Reason, Refusal},
};

/// How long a head, or the taking of an answer, may last.
const TALK_DEADLINE: Duration = Duration::from_secs(10);
/// How long an app may go on after the ingress ended its side, which it does only when it is through.
const LINGER: Duration = Duration::from_secs(10);

pub(super) struct Tunnel {
    pub(super) shared: Arc<Shared>,
    pub(super) caller: NodeId,
    pub(super) stream: TunnelStream,
}

/// A tunnel that was granted.
struct Granted {
    head: Head,
    app: TcpStream,
    /// The id of the key it was granted for.
    key: Option<String>,
}

impl Tunnel {
    pub(super) async fn run(mut self, permit: Permit) {
        let _permit = permit;
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
        shared.metrics.accepted();
        shared.metrics.open.inc();
        self.carry(granted).await;
        shared.metrics.open.dec();
    }

    /// Tells that the edge is full, without waiting for the head.
    pub(super) async fn refuse_full(self) {
        let detail = "as many tunnels are open as the edge allows";
        self.refuse(refused(Reason::Full, detail)).await;
    }

    async fn refuse(mut self, refusal: Refusal) {
        self.shared.metrics.refused(refusal.reason);
        tracing::debug!(
            caller = %self.caller,
            reason = ?refusal.reason,
            detail = refusal.detail,
            "tunnel refused"
        );
        let answer = wire::encode_answer(&Answer::Err(refusal));
        let told = async {
            wire::write_message(&mut self.stream, &answer).await?;
            self.stream.shutdown().await
        };
        // The caller sees a reset when it cannot be told.
        let _ = timeout(TALK_DEADLINE, told).await;
    }

    /// Policy first; only then the app is dialled.
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
        if !config.ports.contains(&head.port) {
            let detail = format!("port {} is not offered by this edge", head.port);
            return Err(refused(Reason::PortNotAllowed, &detail));
        }
        let key = self.check_key(&head)?;
        let app = dial(&config.app_host, &head).await?;
        Ok(Granted { head, app, key })
    }

    fn check_key(&self, head: &Head) -> Result<Option<String>, Refusal> {
        let Some(keys) = &self.shared.config.auth else {
            return Ok(None);
        };
        let Some(text) = &head.key else {
            let detail = "send a key of this edge as Peerwork-Edge-Key";
            return Err(refused(Reason::KeyMissing, detail));
        };
        let key: KeyText = text
            .parse()
            .map_err(|error| refused(Reason::KeyInvalid, &format!("{error}")))?;
        match keys.verify(&key, self.shared.this, head.port) {
            Ok(()) => Ok(Some(key.id())),
            Err(error @ Denied::Unknown) => Err(refused(Reason::KeyInvalid, &error.to_string())),
            Err(error @ Denied::Elsewhere) => {
                Err(refused(Reason::CallerNotAllowed, &error.to_string()))
            }
        }
    }

    async fn carry(mut self, granted: Granted) {
        let Granted { head, mut app, key } = granted;
        let mut copied = Copied::default();
        let linger = (head.kind == Kind::Http).then_some(LINGER);
        let stream = &mut self.stream;
        let work = async {
            let answer = wire::encode_answer(&Answer::Ok(()));
            timeout(TALK_DEADLINE, wire::write_message(stream, &answer))
                .await
                .map_err(io::Error::from)??;
            copy_both(stream, &mut app, &mut copied, linger).await
        };
        let result = tokio::select! {
            biased;
            () = self.shared.stop.cancelled() => Err(io::Error::other("the edge is stopping")),
            () = revoked(&self.shared, head.port, key) => {
                Err(io::Error::other("the key was revoked or expired"))
            }
            result = work => result,
        };
        self.shared.metrics.carried(copied);
        if result.is_err() {
            // The app sees a reset, as the caller does: what broke off must not look complete.
            let _ = app.set_zero_linger();
        }
        tracing::debug!(
            caller = %self.caller,
            port = head.port,
            request_id = %head.request_id,
            to_app = copied.forth,
            from_app = copied.back,
            error = result.err().map(tracing::field::display),
            "tunnel finished"
        );
    }
}

async fn dial(host: &str, head: &Head) -> Result<TcpStream, Refusal> {
    let deadline = Instant::now() + head.open_deadline;
    let dialled = timeout_at(deadline, TcpStream::connect((host, head.port))).await;
    let app = dialled
        .map_err(|_| {
            let detail = format!("port {} took no connection in time", head.port);
            refused(Reason::AppTimeout, &detail)
        })?
        .map_err(|error| {
            let detail = format!("port {}: {error}", head.port);
            refused(Reason::AppUnreachable, &detail)
        })?;
    socket::prepare(&app);
    Ok(app)
}

/// Waits until a key that opened a tunnel opens none any more.
async fn revoked(shared: &Shared, port: u16, key: Option<String>) {
    match (&shared.config.auth, key) {
        (Some(keys), Some(id)) => keys.revoked(&id, shared.this, port).await,
        _ => std::future::pending().await,
    }
}

fn refused(reason: Reason, detail: &str) -> Refusal {
    Refusal {
        reason,
        detail: detail.to_owned(),
    }
}
