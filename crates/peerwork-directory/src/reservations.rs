//! Keeps reservations at relays: asks for them, watches them, and replaces lost ones.

pub mod keeper;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use multiaddr::Multiaddr;
use peerwork_identity::{NodeAddress, NodeId};
use peerwork_net::relay::{CircuitLimits, Reservation};
use tokio::{
    sync::{broadcast, watch},
    task::JoinSet,
    time::sleep,
};

use crate::{
    core::Core,
    state::{Event, Reason},
};
use keeper::KeeperState;

/// How long a relay may take to grant a reservation, the connection to it included.
const GRANT_TIMEOUT: Duration = Duration::from_secs(5);

/// A reservation that is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReservationStatus {
    /// The relay.
    pub relay: NodeId,
    /// The relay's address as this node reaches it.
    pub address: Multiaddr,
    /// When the relay granted the reservation.
    pub since: SystemTime,
    /// The relay's limits of each circuit.
    pub limits: CircuitLimits,
}

/// The result of a task of the keeper.
enum Ended {
    Answered(NodeAddress, Result<Reservation, String>),
    Lost(NodeId, String),
}

/// The IO shell around [`KeeperState`].
pub(crate) struct Keeper {
    core: Arc<Core>,
    state: KeeperState,
    started: Instant,
    held: BTreeMap<NodeId, ReservationStatus>,
    status: watch::Sender<Vec<ReservationStatus>>,
    tasks: JoinSet<Ended>,
}

impl Keeper {
    pub(crate) fn new(core: Arc<Core>, status: watch::Sender<Vec<ReservationStatus>>) -> Self {
        Self {
            state: KeeperState::new(core.me, &core.config.relays),
            core,
            started: Instant::now(),
            held: BTreeMap::new(),
            status,
            tasks: JoinSet::new(),
        }
    }

    /// Runs the keeper until the future is dropped, which gives all reservations back.
    pub(crate) async fn run(mut self) {
        let mut events = self.core.events();
        loop {
            for relay in self.state.ask(self.started.elapsed()) {
                self.ask(relay);
            }
            let again = self.state.next();
            let pause = again.map(|at| at.saturating_sub(self.started.elapsed()));
            tokio::select! {
                biased;
                Some(ended) = self.tasks.join_next(), if !self.tasks.is_empty() => {
                    // Tasks are never aborted and do not panic.
                    if let Ok(ended) = ended {
                        self.on_ended(ended);
                    }
                }
                event = events.recv() => self.on_event(event),
                () = sleep(pause.unwrap_or_default()), if pause.is_some() => {}
            }
        }
    }

    fn ask(&mut self, relay: NodeAddress) {
        let core = self.core.clone();
        tracing::debug!(relay = %relay.node, address = %relay.transport, "asking for a reservation");
        self.tasks.spawn(async move {
            let deadline = tokio::time::Instant::now() + GRANT_TIMEOUT;
            let answer = core.network.reserve(&relay, deadline).await;
            Ended::Answered(relay, answer.map_err(|error| error.to_string()))
        });
    }

    fn on_ended(&mut self, ended: Ended) {
        match ended {
            Ended::Answered(relay, Ok(mut reservation)) => {
                tracing::info!(relay = %relay.node, address = %relay.transport, "reservation granted");
                self.state.granted(relay.node);
                let status = ReservationStatus {
                    relay: relay.node,
                    address: relay.transport,
                    since: SystemTime::now(),
                    limits: reservation.limits(),
                };
                self.held.insert(relay.node, status);
                self.tasks
                    .spawn(async move { Ended::Lost(relay.node, reservation.lost().await) });
                self.publish();
            }
            Ended::Answered(relay, Err(reason)) => {
                tracing::debug!(relay = %relay.node, reason, "no reservation");
                self.failed(relay.node);
            }
            Ended::Lost(relay, reason) => {
                tracing::warn!(%relay, reason, "reservation lost");
                self.held.remove(&relay);
                self.failed(relay);
                self.publish();
            }
        }
    }

    fn failed(&mut self, relay: NodeId) {
        let now = self.started.elapsed();
        self.state.failed(relay, now, rand::random());
    }

    /// Updates the keeper's relays when entries of the directory come and go.
    fn on_event(&mut self, event: Result<Event, broadcast::error::RecvError>) {
        let relays_may_differ = match event {
            Ok(Event::Announced(entry)) => entry.advertisement.is_relay(),
            Ok(Event::Gone(_, Reason::Expired | Reason::Goodbye)) => true,
            Err(_) => true,
        };
        if relays_may_differ {
            self.state.learned(self.core.relays_learned());
        }
    }

    fn publish(&self) {
        let held = i64::try_from(self.held.len()).unwrap_or(i64::MAX);
        self.core.metrics.reservations.set(held);
        self.status
            .send_replace(self.held.values().cloned().collect());
    }
}
