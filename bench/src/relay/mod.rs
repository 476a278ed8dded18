//! Measures our relay beside one of js-libp2p, under the same clients.
//!
//! ```text
//!  round: for each relay a fresh process
//!           connect ─▶ reserve ─▶ open circuits ─▶ send through one, through 50 ─▶ gossip to 100
//!  memory: for each relay a fresh process, 1,000 and 10,000 clients that hold a place and are idle
//! ```

mod client;
mod figures;
mod gossip;
mod load;
mod subject;
mod wire;

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::Context as _;

use crate::{
    children::Process,
    relay::{
        figures::{Figures, Held, Round, Work},
        gossip::Room,
        subject::{Kind, Subject},
    },
};

#[derive(clap::Args)]
pub(crate) struct RelayArgs {
    /// The `peerwork` program to measure
    #[arg(long)]
    program: PathBuf,
    /// The folder of `relay.mjs`, with its packages
    #[arg(long)]
    scripts: PathBuf,
    /// Rounds over both relays; the median of the rounds is printed. 0 leaves the rates out
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Clients that hold a place at once, for the memory figures
    #[arg(long, value_delimiter = ',', default_values_t = [1000, 10_000])]
    held: Vec<usize>,
}

/// Clients that connect, and ask for places.
const CLIENTS: usize = 500;
/// The reservations of each client, one after the other.
const RESERVATIONS: usize = 10;
/// Circuits that each pair opens, one after the other.
const CIRCUITS: usize = 20;
/// Circuits that carry bytes at once.
const CARRYING: usize = 50;
/// MiB through a circuit that is alone, and through each of many.
const ALONE_MIB: usize = 256;
const EACH_MIB: usize = 8;
/// Subscribers, and a member that publishes.
const MEMBERS: usize = 101;
const TRICKLE: usize = 200;
const TRICKLE_PAUSE: Duration = Duration::from_millis(50);
/// Members that publish as fast as they can, and the messages of each.
const SENDERS: usize = 10;
const FLOOD: usize = 200;

/// The time to fill one relay; the places held by then are measured.
const HOLDING: Duration = Duration::from_secs(240);

/// Measures both relays and gives the tables.
pub(crate) async fn measure(args: &RelayArgs) -> anyhow::Result<Figures> {
    let kinds = [
        Kind::Peerwork(args.program.clone()),
        Kind::Js(args.scripts.clone()),
    ];
    let mut figures = Figures::default();
    for _ in 0..args.rounds {
        for kind in &kinds {
            let round = round(kind).await.with_context(|| kind.name())?;
            figures.rounds.entry(kind.name()).or_default().push(round);
        }
    }
    for kind in &kinds {
        let held = held(kind, &args.held).await.with_context(|| kind.name())?;
        figures.held.push((kind.name(), held));
    }
    Ok(figures)
}

async fn round(kind: &Kind) -> anyhow::Result<Round> {
    let subject = kind.start()?;
    let relay = &subject.process;
    let ((clients, connections), cpu) =
        timed(relay, load::connect(&subject.address, CLIENTS)).await?;
    let connections = Work::new(connections, cpu);
    let (reservations, cpu) = timed(relay, load::reservations(&clients, RESERVATIONS)).await?;
    let reservations = Work::new(reservations, cpu);
    let mut pairs = load::pairs(clients);
    let (circuits, cpu) = timed(relay, load::circuits(&mut pairs, CIRCUITS)).await?;
    let circuits = Work::new(circuits, cpu);
    let (alone, cpu) = timed(relay, load::throughput(&mut pairs[..1], ALONE_MIB)).await?;
    let alone = Work::new(alone, cpu);
    let (many, cpu) = timed(relay, load::throughput(&mut pairs[..CARRYING], EACH_MIB)).await?;
    let many = Work::new(many, cpu);
    drop(pairs);
    let (members, _) = load::connect(&subject.address, MEMBERS).await?;
    let mut room = Room::join(members).await?;
    let delivery = room.trickle(TRICKLE, TRICKLE_PAUSE).await?;
    let (flood, cpu) = timed(relay, room.flood(SENDERS, FLOOD)).await?;
    Ok(Round {
        connections,
        reservations,
        circuits,
        alone,
        many,
        delivery,
        fan_out: Work::new(flood.rate, cpu),
        fan_out_share: flood.share,
    })
}

/// Awaits `work`; gives its result, and the CPU time that `process` used meanwhile.
async fn timed<T>(
    process: &Process,
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<(T, Duration)> {
    let before = process.usage()?.cpu;
    let done = work.await?;
    Ok((done, process.usage()?.cpu.saturating_sub(before)))
}

/// Memory and idle CPU time of a relay whose clients hold places and do nothing.
async fn held(kind: &Kind, counts: &[usize]) -> anyhow::Result<Vec<Held>> {
    let subject = kind.start()?;
    subject.process.settle().await?;
    let before = subject.process.usage()?.resident_kib;
    let mut clients = Vec::new();
    let mut all = Vec::new();
    let start = Instant::now();
    for &count in counts {
        let mut took = Duration::ZERO;
        while clients.len() < count && start.elapsed() < HOLDING {
            let since = Instant::now();
            let more = (count - clients.len()).min(CLIENTS);
            let (new, _) = load::connect(&subject.address, more).await?;
            load::reservations(&new, 1).await?;
            clients.extend(new);
            took += since.elapsed();
        }
        all.push(idle(&subject, before, clients.len(), took.as_secs_f64()).await?);
    }
    Ok(all)
}

async fn idle(subject: &Subject, before: u64, count: usize, seconds: f64) -> anyhow::Result<Held> {
    const WATCHED: Duration = Duration::from_secs(20);
    subject.process.settle().await?;
    let start = subject.process.usage()?;
    tokio::time::sleep(WATCHED).await;
    let end = subject.process.usage()?;
    let cpu = end.cpu.saturating_sub(start.cpu).as_secs_f64();
    Ok(Held {
        count,
        seconds,
        kib_each: end.resident_kib.saturating_sub(before) as f64 / count as f64,
        mib: end.resident_kib as f64 / 1024.0,
        idle_cpu: cpu / WATCHED.as_secs_f64(),
    })
}
