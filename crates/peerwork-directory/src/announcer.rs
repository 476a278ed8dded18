//! Announces this node: after each change, by heartbeats, and by a full advertisement from time to time.

use std::{future::pending, sync::Arc, time::Duration};

use peerwork_identity::Keypair;
use peerwork_net::gossip::Publisher;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, interval_at, sleep, sleep_until, timeout},
};

use crate::{
    announcement::Announcement,
    core::{CALL, Core},
    inventory::Inventory,
    limiter::Bucket,
    offer::Offers,
    own::{Content, Own},
    reservations::ReservationStatus,
};

/// Changes come in groups (two reservations, several addresses); one advertisement holds them all.
const SETTLE: Duration = Duration::from_millis(50);
/// How long the first advertisement of a node that wants reservations waits for one.
const FIRST_RESERVATION: Duration = Duration::from_secs(3);

/// The newest signed announcements of this node.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    pub(crate) sequence: u64,
    pub(crate) advertisement: Arc<[u8]>,
    /// The last beat of that sequence.
    pub(crate) heartbeat: Option<(u64, Arc<[u8]>)>,
}

/// The values that the announcer watches.
pub(crate) struct Watched {
    pub(crate) reservations: watch::Receiver<Vec<ReservationStatus>>,
    pub(crate) inventory: watch::Receiver<Inventory>,
    pub(crate) offers: watch::Receiver<Offers>,
    /// Asks for a heartbeat at once.
    pub(crate) beat: Arc<Notify>,
}

pub(crate) struct Announcer {
    core: Arc<Core>,
    keypair: Keypair,
    own: Own,
    watched: Watched,
    outgoing: watch::Sender<Option<Outgoing>>,
    /// The publisher of the gossip topic, on relays alone.
    publisher: Option<Publisher>,
    /// The rate at which changes are announced.
    changes: Bucket,
}

/// The reason for an announcement.
enum Wake {
    Changed,
    Refresh,
    Beat,
}

impl Announcer {
    pub(crate) fn new(
        core: Arc<Core>,
        keypair: Keypair,
        watched: Watched,
        outgoing: watch::Sender<Option<Outgoing>>,
        publisher: Option<Publisher>,
    ) -> Self {
        let config = &core.config;
        let own = Own::new(
            core.me,
            config.network.clone(),
            config.me.clone(),
            config.validity,
            core.now(),
        );
        Self {
            core,
            keypair,
            own,
            watched,
            outgoing,
            publisher,
            changes: Bucket::default(),
        }
    }

    /// Runs the announcer until the future is dropped.
    pub(crate) async fn run(mut self) {
        let mut listen = self.core.network.listen_addresses();
        let mut reachability = self.core.network.reachability();
        let mut floor = self.core.sequence_floor.subscribe();
        self.wait_for_first_reservation().await;
        self.advertise().await;

        let period = self.core.config.heartbeat;
        let mut heartbeat = interval_at(Instant::now() + period, period);
        let period = self.core.config.refresh;
        let mut refresh = interval_at(Instant::now() + period, period);
        // The time of a postponed announcement, whose change came too soon after others.
        let mut postponed: Option<Instant> = None;
        loop {
            let beat = self.watched.beat.clone();
            let wake = tokio::select! {
                () = changed(&mut self.watched.reservations) => Wake::Changed,
                () = changed(&mut listen) => Wake::Changed,
                () = changed(&mut reachability) => Wake::Changed,
                () = changed(&mut self.watched.inventory) => Wake::Changed,
                () = changed(&mut self.watched.offers) => Wake::Changed,
                () = until(postponed) => {
                    postponed = None;
                    Wake::Changed
                }
                () = changed(&mut floor) => {
                    let seen = *floor.borrow_and_update();
                    if !self.own.skip_past(seen) {
                        continue;
                    }
                    tracing::warn!(
                        "others know later announcements of this node: its clock went back, or \
                         another node uses the same key"
                    );
                    Wake::Refresh
                }
                _ = refresh.tick() => Wake::Refresh,
                _ = heartbeat.tick() => Wake::Beat,
                () = beat.notified() => Wake::Beat,
            };
            match wake {
                Wake::Beat if self.own.clock_stepped(self.core.now()) => {
                    tracing::info!("the system's clock was set: this node announces itself again");
                    self.advertise().await;
                }
                Wake::Beat => self.beat().await,
                Wake::Refresh => self.advertise().await,
                Wake::Changed => {
                    sleep(SETTLE).await;
                    let rate = self.core.config.change_rate();
                    let content = self.content();
                    if !self.own.differs(&content) {
                        postponed = None;
                    } else if self.changes.take(self.core.now().elapsed, rate) {
                        postponed = None;
                        self.advertise().await;
                    } else {
                        // The rate gives one token within an interval.
                        postponed.get_or_insert_with(|| Instant::now() + rate.interval);
                    }
                }
            }
        }
    }

    async fn wait_for_first_reservation(&mut self) {
        if self.core.config.keep_reservations {
            let reservations = &mut self.watched.reservations;
            let granted = async {
                let held = reservations.wait_for(|held| !held.is_empty());
                held.await.map(drop)
            };
            // After the timeout the node is announced with its direct addresses alone.
            let granted = timeout(FIRST_RESERVATION, granted).await;
            let granted = matches!(granted, Ok(Ok(())));
            if granted {
                sleep(SETTLE).await;
            }
        }
    }

    fn content(&mut self) -> Content {
        let held = self.watched.reservations.borrow_and_update();
        let relays = held.iter().map(|held| peerwork_identity::NodeAddress {
            node: held.relay,
            transport: held.address.clone(),
        });
        let relays = relays.collect();
        drop(held);
        let inventory = self.watched.inventory.borrow_and_update();
        let offers = self.watched.offers.borrow_and_update().clone();
        Content::new(relays, self.core.own_addresses(), &inventory, offers)
    }

    fn mem_info(&self) -> String {
        self.watched.inventory.borrow().mem_info.clone()
    }

    async fn advertise(&mut self) {
        let content = self.content();
        let mem_info = self.mem_info();
        let advertisement = self.own.advertise(self.core.now(), content, &mem_info);
        let sequence = advertisement.sequence;
        tracing::debug!(
            sequence,
            relays = advertisement.relays.len(),
            addresses = advertisement.addresses.len(),
            "announcing this node"
        );
        let envelope = self.seal(advertisement.into());
        self.outgoing.send_replace(Some(Outgoing {
            sequence,
            advertisement: envelope.clone(),
            heartbeat: None,
        }));
        self.publish(&envelope).await;
    }

    async fn beat(&mut self) {
        let mem_info = self.mem_info();
        let heartbeat = self.own.beat(self.core.now(), &mem_info);
        let beat = heartbeat.beat;
        let envelope = self.seal(heartbeat.into());
        self.outgoing.send_if_modified(|outgoing| {
            let Some(outgoing) = outgoing else {
                return false;
            };
            outgoing.heartbeat = Some((beat, envelope.clone()));
            true
        });
        self.publish(&envelope).await;
    }

    fn seal(&self, announcement: Announcement) -> Arc<[u8]> {
        let envelope: Arc<[u8]> = announcement.seal(&self.keypair).into();
        self.core.accept_own(announcement, &envelope);
        envelope
    }

    async fn publish(&self, envelope: &[u8]) {
        let Some(publisher) = &self.publisher else {
            return;
        };
        let deadline = Instant::now() + CALL;
        if let Err(error) = publisher.publish(envelope.to_vec(), deadline).await {
            // Relays that connect later ask for a snapshot, which holds this node too.
            tracing::debug!(%error, "own announcement not published");
        }
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => pending().await,
    }
}

/// Waits for a change; for ever when the sender was dropped.
async fn changed<T>(receiver: &mut watch::Receiver<T>) {
    if receiver.changed().await.is_err() {
        pending::<()>().await;
    }
}
