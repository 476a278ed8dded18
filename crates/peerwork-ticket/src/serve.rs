//! The relay's side of `/peerwork/join/1`: checks tokens and answers with the network file's contents.

use std::{
    fmt, io,
    sync::Arc,
    time::{Duration, SystemTime},
};

use parking_lot::Mutex;
use peerwork_identity::{Keypair, NetworkFile, NodeId};
use peerwork_limits::{Bounds, Origin, Rate, Rates};
use peerwork_net::{InboundStream, Limits, Network, Served, error::ServeError};
use tokio::{task::spawn_blocking, time::Instant};

use crate::{
    error::Refusal,
    token::{MacKeys, Token},
    used::{TakeError, UsedTokens},
    wire::{
        self, Kind, PROTOCOL, REQUEST_BYTES_MAX, RESPONSE_BYTES_MAX, Reason, Request, Response,
    },
};

/// The bounds of streams answered at once. Each holds at most a request and a response, about 2 MiB at
/// worst and a few KiB as a rule.
const STREAMS: Bounds = Bounds {
    all: 64,
    per_key: 2,
    per_origin: 16,
};
/// How long a joiner may take for its request and for the response.
const PATIENCE: Duration = Duration::from_secs(20);
/// The rate of wrong tokens from one network address.
const WRONG: Rate = Rate {
    burst: 10,
    interval: Duration::from_secs(6),
};
/// The network addresses whose wrong tokens are counted, about 64 bytes each. A wrong token is
/// forgotten within a minute.
const ORIGINS_MAX: usize = 8192;

/// The source of the network file's contents, which may change while the relay runs.
type File = Arc<dyn Fn() -> NetworkFile + Send + Sync>;

/// The part of a relay that redeems tokens.
pub struct Redeemer {
    keys: MacKeys,
    file: File,
    used: Option<UsedTokens>,
    wrong: Mutex<Rates<Origin>>,
    started: Instant,
}

impl fmt::Debug for Redeemer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redeemer")
            .field("used", &self.used)
            .finish_non_exhaustive()
    }
}

impl Redeemer {
    /// Redeems tokens that were made with this key pair or with a secret of the network. `file` gives
    /// the network file's contents at the time of each request. Without `used`, which needs a data
    /// directory, the relay refuses one-time tokens.
    #[must_use]
    pub fn new(
        keypair: &Keypair,
        used: Option<UsedTokens>,
        file: impl Fn() -> NetworkFile + Send + Sync + 'static,
    ) -> Self {
        Self {
            keys: MacKeys::of(keypair),
            file: Arc::new(file),
            used,
            wrong: Mutex::new(Rates::new(ORIGINS_MAX)),
            started: Instant::now(),
        }
    }

    /// Redeems the token of a request, for the node that sent it.
    async fn redeem(
        self: &Arc<Self>,
        request: &Request,
        node: NodeId,
        origin: Option<Origin>,
    ) -> Result<NetworkFile, Refusal> {
        let token = self.checked(request, origin)?;
        if token.once {
            self.record(token, node).await?;
        }
        Ok((self.file)())
    }

    /// Checks the token, within the rate of wrong tokens from one network address.
    fn checked(&self, request: &Request, origin: Option<Origin>) -> Result<Token, Refusal> {
        let now = self.started.elapsed();
        let counted = origin.is_none_or(|origin| self.wrong.lock().take(now, origin, WRONG));
        if !counted {
            return Err(Refusal::Busy);
        }
        let checked = self.check(request);
        if let (Some(origin), false) = (origin, checked == Err(Refusal::Unknown)) {
            self.wrong.lock().give_back(origin, WRONG);
        }
        checked
    }

    fn check(&self, request: &Request) -> Result<Token, Refusal> {
        let token = request.token.as_ref().ok_or(Refusal::Unknown)?;
        let token = Token::try_from(token).map_err(|_| Refusal::Unknown)?;
        let file = (self.file)();
        let now = SystemTime::now();
        self.keys
            .check(&token, file.network_id, &file.secrets, now)?;
        Ok(token)
    }

    /// Records the use of a one-time token on a thread for blocking work.
    async fn record(self: &Arc<Self>, token: Token, node: NodeId) -> Result<(), Refusal> {
        let redeemer = Arc::clone(self);
        let take = move || match &redeemer.used {
            Some(used) => used.take(&token, node, SystemTime::now()).map_err(refusal),
            None => {
                tracing::warn!(
                    "a one-time ticket was refused: used tickets are kept in a data directory, and this relay has none"
                );
                Err(Refusal::NotRecorded)
            }
        };
        let taken = spawn_blocking(take).await;
        taken.unwrap_or(Err(Refusal::NotRecorded))
    }
}

fn refusal(error: TakeError) -> Refusal {
    match error {
        TakeError::UsedUp => Refusal::UsedUp,
        TakeError::Full | TakeError::File(_) => {
            tracing::warn!(%error, "a one-time ticket was refused");
            Refusal::NotRecorded
        }
    }
}

/// Serves `/peerwork/join/1` until the returned handle is stopped or dropped.
///
/// # Errors
/// When the protocol is served already.
pub fn serve(network: &Network, redeemer: Redeemer) -> Result<Served, ServeError> {
    let limits = Limits::new(STREAMS).with_deadline(Some(PATIENCE));
    let redeemer = Arc::new(redeemer);
    network.serve_each(PROTOCOL, limits, move |inbound| {
        let redeemer = Arc::clone(&redeemer);
        async move {
            let node = inbound.node;
            if let Err(error) = answer(inbound, &redeemer).await {
                tracing::debug!(%node, %error, "redeeming a ticket");
            }
        }
    })
}

async fn answer(inbound: InboundStream, redeemer: &Arc<Redeemer>) -> io::Result<()> {
    let InboundStream {
        node,
        origin,
        mut stream,
        place: _place,
        ..
    } = inbound;
    let request = wire::read(&mut stream, REQUEST_BYTES_MAX).await?;
    let kind = match redeemer.redeem(&request, node, origin).await {
        Ok(file) => {
            tracing::info!(%node, "a ticket was redeemed");
            Kind::Network((&file).into())
        }
        Err(refusal) => {
            tracing::debug!(%node, %refusal, "a ticket was refused");
            Kind::Refused(Reason::from(refusal).into())
        }
    };
    let response = Response { kind: Some(kind) };
    wire::write(&mut stream, &response, RESPONSE_BYTES_MAX).await
}
