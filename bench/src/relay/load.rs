//! Loads a relay with connections, reservations and circuits, and measures the time.

use std::{sync::Arc, time::Instant};

use anyhow::Context as _;
use futures::{AsyncReadExt, AsyncWriteExt, StreamExt, TryStreamExt, stream};
use libp2p::{Multiaddr, PeerId};

use super::{
    client::{Client, Inbox, Stream},
    wire::{self, Hop, Peer, Stop, protocol},
};

/// Clients that work at the same time.
const AT_ONCE: usize = 64;

/// A number of operations, and the time that they took.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rate {
    pub(super) done: f64,
    pub(super) seconds: f64,
}

impl Rate {
    pub(super) fn per_second(self) -> f64 {
        self.done / self.seconds
    }

    fn of(done: usize, since: Instant) -> Self {
        Self {
            done: done as f64,
            seconds: since.elapsed().as_secs_f64(),
        }
    }
}

/// Connects many clients.
pub(super) async fn connect(
    relay: &Multiaddr,
    count: usize,
) -> anyhow::Result<(Vec<(Client, Inbox)>, Rate)> {
    let start = Instant::now();
    let clients: Vec<_> = stream::iter(0..count)
        .map(|_| async { Client::connect(relay).await })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    Ok((clients, Rate::of(count, start)))
}

/// Reserves a place at the relay.
pub(super) async fn reserve(client: &Client) -> anyhow::Result<()> {
    let mut stream = client.open(protocol::HOP).await?;
    wire::send(
        &mut stream,
        &Hop {
            kind: 0,
            peer: None,
            status: None,
        },
    )
    .await?;
    let answer: Hop = wire::receive(&mut stream)
        .await?
        .context("no answer to a reservation")?;
    anyhow::ensure!(
        answer.status == Some(wire::OK),
        "a reservation was answered {answer:?}"
    );
    stream.close().await?;
    Ok(())
}

/// Lets every client reserve a place, `times` times one after the other.
pub(super) async fn reservations(
    clients: &[(Client, Inbox)],
    times: usize,
) -> anyhow::Result<Rate> {
    let start = Instant::now();
    stream::iter(clients)
        .map(|(client, _)| async move {
            for _ in 0..times {
                reserve(client).await?;
            }
            anyhow::Ok(())
        })
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await?;
    Ok(Rate::of(clients.len() * times, start))
}

/// Opens a circuit; the stream then carries the bytes that the two clients send each other.
async fn circuit(from: &Client, to: PeerId, inbox: &mut Inbox) -> anyhow::Result<(Stream, Stream)> {
    let near = async {
        let mut stream = from.open(protocol::HOP).await?;
        let peer = Some(Peer { id: to.to_bytes() });
        wire::send(
            &mut stream,
            &Hop {
                kind: 1,
                peer,
                status: None,
            },
        )
        .await?;
        let answer: Hop = wire::receive(&mut stream)
            .await?
            .context("no answer to a circuit")?;
        anyhow::ensure!(
            answer.status == Some(wire::OK),
            "a circuit was answered {answer:?}"
        );
        anyhow::Ok(stream)
    };
    let far = async {
        loop {
            let (protocol, mut stream) = inbox.recv().await.context("the connection ended")?;
            if protocol != protocol::STOP {
                continue;
            }
            let request: Stop = wire::receive(&mut stream)
                .await?
                .context("no word in a circuit")?;
            anyhow::ensure!(request.kind == 0, "asked for {request:?}");
            wire::send(
                &mut stream,
                &Stop {
                    kind: 1,
                    status: Some(wire::OK),
                },
            )
            .await?;
            return anyhow::Ok(stream);
        }
    };
    futures::try_join!(near, far)
}

/// Two clients, the second of which holds a place.
pub(super) struct Pair {
    from: Arc<Client>,
    to: Client,
    inbox: Inbox,
    _from_inbox: Inbox,
}

/// Pairs of clients; the second of each is to hold a place already.
pub(super) fn pairs(clients: Vec<(Client, Inbox)>) -> Vec<Pair> {
    let mut pairs = Vec::new();
    let mut clients = clients.into_iter();
    while let (Some((from, _from_inbox)), Some((to, inbox))) = (clients.next(), clients.next()) {
        pairs.push(Pair {
            from: Arc::new(from),
            to,
            inbox,
            _from_inbox,
        });
    }
    pairs
}

/// Every pair opens a circuit and ends it, `times` times one after the other.
pub(super) async fn circuits(pairs: &mut [Pair], times: usize) -> anyhow::Result<Rate> {
    let start = Instant::now();
    let count = pairs.len() * times;
    stream::iter(pairs)
        .map(|pair| async move {
            for _ in 0..times {
                let (mut near, mut far) =
                    circuit(&pair.from, pair.to.id(), &mut pair.inbox).await?;
                futures::try_join!(near.close(), far.close())?;
            }
            anyhow::Ok(())
        })
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await?;
    Ok(Rate::of(count, start))
}

/// Every pair sends `mib` MiB through one circuit, all at once; the rate is in MiB.
pub(super) async fn throughput(pairs: &mut [Pair], mib: usize) -> anyhow::Result<Rate> {
    let count = pairs.len();
    let opened = stream::iter(pairs)
        .map(|pair| async { circuit(&pair.from, pair.to.id(), &mut pair.inbox).await })
        .buffer_unordered(AT_ONCE)
        .try_collect::<Vec<_>>()
        .await?;
    let start = Instant::now();
    let transfers = opened
        .into_iter()
        .map(|(near, far)| transfer(near, far, mib << 20));
    futures::future::try_join_all(transfers).await?;
    Ok(Rate::of(count * mib, start))
}

async fn transfer(mut near: Stream, mut far: Stream, bytes: usize) -> anyhow::Result<()> {
    let write = tokio::spawn(async move {
        let chunk = vec![7; 64 << 10];
        for _ in 0..bytes / chunk.len() {
            near.write_all(&chunk).await?;
        }
        near.close().await?;
        anyhow::Ok(near)
    });
    let read = tokio::spawn(async move {
        let mut chunk = vec![0; 64 << 10];
        let mut received = 0;
        loop {
            match far.read(&mut chunk).await? {
                0 => break,
                more => received += more,
            }
        }
        far.close().await?;
        anyhow::Ok(received)
    });
    let (near, received) = (write.await??, read.await??);
    drop(near);
    anyhow::ensure!(
        received == bytes,
        "{received} of {bytes} bytes came through a circuit"
    );
    Ok(())
}
