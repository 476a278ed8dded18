//! A topic with many subscribers, all of whom know only the relay.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context as _;
use futures::io::BufReader;
use parking_lot::Mutex;
use tokio::time::sleep;

use super::{
    client::{Client, Inbox, Stream},
    load::Rate,
    wire::{self, Control, Graft, Published, Rpc, Subscription, protocol},
};

const TOPIC: &str = "bench";
/// Bytes of a message; the first eight are the time of sending.
const MESSAGE_BYTES: usize = 256;
/// The silence after which missing messages count as lost.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// The messages that all subscribers received.
struct Heard {
    start: Instant,
    count: AtomicU64,
    delays_us: Mutex<Vec<u32>>,
    timed: AtomicBool,
}

/// A client in the topic, ready to publish.
struct Member {
    client: Client,
    to_relay: Stream,
    sent: u64,
}

/// A topic whose members have joined and are in the relay's mesh.
pub(super) struct Room {
    members: Vec<Member>,
    heard: Arc<Heard>,
}

/// The delivery of a steady trickle of messages.
#[derive(Debug, Clone, Copy)]
pub(super) struct Delivery {
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    /// The share of the messages to be delivered.
    pub(super) share: f64,
}

/// The delivery of a flood of messages.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flood {
    pub(super) rate: Rate,
    pub(super) share: f64,
}

impl Room {
    /// Lets all clients join and waits until a message of the first reaches all others.
    pub(super) async fn join(clients: Vec<(Client, Inbox)>) -> anyhow::Result<Self> {
        let heard = Arc::new(Heard {
            start: Instant::now(),
            count: AtomicU64::new(0),
            delays_us: Mutex::default(),
            timed: AtomicBool::new(false),
        });
        let mut members = Vec::new();
        for (client, mut inbox) in clients {
            let mut to_relay = client.open(protocol::GOSSIP).await?;
            let topic = Some(TOPIC.to_owned());
            let join = Rpc {
                subscriptions: vec![Subscription {
                    subscribe: Some(true),
                    topic: topic.clone(),
                }],
                control: Some(Control {
                    graft: vec![Graft { topic }],
                }),
                ..Rpc::default()
            };
            wire::send(&mut to_relay, &join).await?;
            members.push(Member {
                client,
                to_relay,
                sent: 0,
            });
            let heard = Arc::clone(&heard);
            tokio::spawn(async move {
                while let Some((protocol, stream)) = inbox.recv().await {
                    if protocol == protocol::GOSSIP {
                        tokio::spawn(listen(stream, Arc::clone(&heard)));
                    }
                }
            });
        }
        let mut room = Self { members, heard };
        room.wait_for_mesh().await?;
        Ok(room)
    }

    async fn wait_for_mesh(&mut self) -> anyhow::Result<()> {
        let others = self.others();
        for _ in 0..60 {
            let before = self.heard.count.load(Ordering::Relaxed);
            self.publish(0, 1).await?;
            sleep(Duration::from_millis(500)).await;
            if self.heard.count.load(Ordering::Relaxed) - before == others {
                return Ok(());
            }
        }
        anyhow::bail!("the relay did not forward a message to all members within half a minute")
    }

    fn others(&self) -> u64 {
        self.members.len() as u64 - 1
    }

    /// One member publishes some messages.
    async fn publish(&mut self, member: usize, count: usize) -> anyhow::Result<()> {
        let start = self.heard.start;
        let member = self.members.get_mut(member).context("a member")?;
        for _ in 0..count {
            let message = member.signed(start)?;
            wire::send(&mut member.to_relay, &message).await?;
        }
        Ok(())
    }

    /// Members take turns, with a pause after each message.
    pub(super) async fn trickle(
        &mut self,
        count: usize,
        pause: Duration,
    ) -> anyhow::Result<Delivery> {
        self.heard.count.store(0, Ordering::Relaxed);
        self.heard.timed.store(true, Ordering::Relaxed);
        for n in 0..count {
            self.publish(n % self.members.len(), 1).await?;
            sleep(pause).await;
        }
        let due = count as u64 * self.others();
        let (arrived, _) = self.arrive(due).await;
        self.heard.timed.store(false, Ordering::Relaxed);
        let mut delays = std::mem::take(&mut *self.heard.delays_us.lock());
        delays.sort_unstable();
        let at = |nth: usize| {
            let delay = delays.get(delays.len() * nth / 100).copied();
            f64::from(delay.unwrap_or_default()) / 1000.0
        };
        Ok(Delivery {
            p50_ms: at(50),
            p99_ms: at(99),
            share: arrived as f64 / due as f64,
        })
    }

    /// `senders` members publish as fast as they can.
    pub(super) async fn flood(&mut self, senders: usize, each: usize) -> anyhow::Result<Flood> {
        self.heard.count.store(0, Ordering::Relaxed);
        // The messages are signed before the clock starts, because the load has to cost little.
        let start_of_all = self.heard.start;
        let mut batches = Vec::new();
        for member in self.members.iter_mut().take(senders) {
            let signed = (0..each).map(|_| member.signed(start_of_all));
            batches.push(signed.collect::<anyhow::Result<Vec<_>>>()?);
        }
        let start = Instant::now();
        let sending = self
            .members
            .iter_mut()
            .zip(batches)
            .map(|(member, batch)| async move {
                for message in batch {
                    wire::send(&mut member.to_relay, &message).await?;
                }
                anyhow::Ok(())
            });
        let sending = futures::future::try_join_all(sending);
        sending.await?;
        let due = (senders * each) as u64 * self.others();
        let (arrived, last) = self.arrive(due).await;
        Ok(Flood {
            rate: Rate {
                done: arrived as f64,
                seconds: last.duration_since(start).as_secs_f64(),
            },
            share: arrived as f64 / due as f64,
        })
    }

    /// Waits until all messages have arrived or no further one comes; returns their number and the time
    /// of the last.
    async fn arrive(&self, due: u64) -> (u64, Instant) {
        let mut last = (0, Instant::now());
        loop {
            let count = self.heard.count.load(Ordering::Relaxed);
            if count > last.0 {
                last = (count, Instant::now());
            }
            if count >= due || last.1.elapsed() > SILENCE_MAX {
                return last;
            }
            sleep(Duration::from_millis(2)).await;
        }
    }
}

impl Member {
    /// Signs a message with the time of this moment.
    fn signed(&mut self, start: Instant) -> anyhow::Result<Rpc> {
        self.sent += 1;
        let mut data = vec![0; MESSAGE_BYTES];
        let now = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
        data[..8].copy_from_slice(&now.to_be_bytes());
        let mut message = Published {
            from: Some(self.client.id().to_bytes()),
            data: Some(data),
            seqno: Some(self.sent.to_be_bytes().into()),
            topic: Some(TOPIC.to_owned()),
            signature: None,
        };
        let signed = [
            b"libp2p-pubsub:",
            prost::Message::encode_to_vec(&message).as_slice(),
        ]
        .concat();
        message.signature = Some(self.client.key.sign(&signed)?);
        Ok(Rpc {
            publish: vec![message],
            ..Rpc::default()
        })
    }
}

/// Counts the messages that the relay forwards.
async fn listen(stream: Stream, heard: Arc<Heard>) -> anyhow::Result<()> {
    let mut stream = BufReader::with_capacity(64 << 10, stream);
    while let Some(rpc) = wire::receive::<Rpc>(&mut stream).await? {
        let count = rpc.publish.len() as u64;
        if heard.timed.load(Ordering::Relaxed) {
            let now = u64::try_from(heard.start.elapsed().as_micros()).unwrap_or(u64::MAX);
            let sent = rpc.publish.iter().filter_map(|message| {
                let stamp = message.data.as_ref()?.first_chunk()?;
                Some(u64::from_be_bytes(*stamp))
            });
            let delays =
                sent.map(|sent| u32::try_from(now.saturating_sub(sent)).unwrap_or(u32::MAX));
            heard.delays_us.lock().extend(delays);
        }
        heard.count.fetch_add(count, Ordering::Relaxed);
    }
    Ok(())
}
